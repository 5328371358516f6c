/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "netsetup/plan.h"
#include "netsetup/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_spawn(union netd_request *rq, const struct request_limits *lim)
{
	const struct netd_vm_spawn *s = &rq->vm_spawn;
	char *argv[NETD_ARGC_MAX + 1];
	size_t bytes = 0;

	if (s->binary >= lim->binaries || s->nwant > NETD_FDS_MAX || s->argc > NETD_ARGC_MAX || s->ring_bytes > 64U << 20 ||
	    s->nfiles > NETD_FILES_MAX || s->flags & ~(uint32_t)NETD_SPAWN_LEAN)
		abort();
	request_argv(rq, argv);
	for (uint32_t i = 0; i < s->argc; i++)
		bytes += strlen(argv[i]) + 1;
	if (bytes != s->argv_bytes || argv[s->argc])
		abort();
}

/* What passes is in range: its slot has a plan, its tail is argc strings; what does not has a reason. First byte: HELLO was said. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct request_limits lim = { .slots = NETD_SLOTS_MAX, .binaries = 3 };
	static union netd_request rq;
	struct err e = { 0 };
	enum request_verdict v;

	if (size < 1 || size - 1 > sizeof(rq.bytes))
		return 0;
	memset(&rq, 0xa5, sizeof(rq));
	memcpy(rq.bytes, data + 1, size - 1);
	v = request_check(&rq, size - 1, data[0] & 1, &lim, &e);
	if (v != REQUEST_OK) {
		if (!e.msg[0] || e.code >= 0)
			abort();
		return 0;
	}
	if (e.code)
		abort();
	switch (rq.head.op) {
	case NETD_VM_SPAWN:
		check_spawn(&rq, &lim);
		break;
	case NETD_NET_FREE:
	case NETD_ADOPT:
	case NETD_CONNECT:
	case NETD_VM_KILL:
		if (rq.net_free.slot < 1 || rq.net_free.slot > NETD_SLOTS_MAX)
			abort();
		break;
	case NETD_CARD_ADD:
	case NETD_CARD_REMOVE:
		if (rq.card.slot < 1 || rq.card.slot > NETD_SLOTS_MAX || rq.card.card < 1 || rq.card.card > NETD_CARDS_MAX)
			abort();
		break;
	default:
		break;
	}
	return 0;
}
