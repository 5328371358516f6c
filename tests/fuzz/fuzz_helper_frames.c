/* SPDX-License-Identifier: Apache-2.0 */
/* Frames from the helper as the gateway sees them: byte 0 is the number of descriptors that came along. What passes is used here as hv/ does. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/driver.h"
#include "hv/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_info(const struct netd_slot_info *info, size_t nfds)
{
	int fds[NETD_FDS_MAX];

	for (int i = 0; i < NETD_FDS_MAX; i++)
		fds[i] = i;
	if (info->slot >= NETD_SLOTS_MAX || strlen(info->ifname) >= sizeof(info->ifname))
		abort();
	for (unsigned kind = NETD_FD_TAP; kind <= NETD_FD_RING; kind++) {
		int fd = plan_take(info, fds, (enum netd_fd_kind)kind, 0);

		if (fd >= NETD_FDS_MAX || (nfds > 0 && fd >= (int)nfds))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static union helper_frame f;
	struct err e = { 0 };
	const struct netd_slot_info *info;
	size_t len;

	if (size == 0 || size - 1 > sizeof(f))
		return 0;
	len = size - 1;
	memset(&f, 0, sizeof(f));
	memcpy(&f, data + 1, len);
	if (frame_check(&f, len, data[0], &e) < 0) {
		if (e.msg[0] == '\0')
			abort();
		return 0;
	}
	info = f.head.status == 0 ? frame_info(&f) : NULL;
	if (f.head.status == 0 && f.head.op == (NETD_CARD_ADD | NETD_REPLY) &&
	    (data[0] != 1 || f.card.info.card < 1 || f.card.info.card > NETD_CARDS_MAX || strlen(f.card.info.ifname) >= sizeof(f.card.info.ifname)))
		abort();
	if (info)
		use_info(info, data[0]);
	return 0;
}
