/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/frames.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "hv/driver.h"

#define RING_BYTES_MAX (64U << 20)

/* Size of each reply without an error; 0 = no such reply. */
static const size_t reply_size[NETD_OP_COUNT] = {
	[NETD_HELLO] = sizeof(struct netd_hello_reply),
	[NETD_NET_ALLOC] = sizeof(struct netd_net_alloc_reply),
	[NETD_NET_FREE] = sizeof(struct netd_head),
	[NETD_VM_SPAWN] = sizeof(struct netd_vm_spawn_reply),
	[NETD_VM_KILL] = sizeof(struct netd_head),
	[NETD_LIST] = sizeof(struct netd_list_reply),
	[NETD_ADOPT] = sizeof(struct netd_adopt_reply),
	[NETD_CONNECT] = sizeof(struct netd_head),
	[NETD_VM_LIMITS] = sizeof(struct netd_head),
	[NETD_MEMORY] = sizeof(struct netd_head),
	[NETD_CARD_ADD] = sizeof(struct netd_card_reply),
	[NETD_CARD_REMOVE] = sizeof(struct netd_head),
};

static bool is_text(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

static bool is_info(const struct netd_slot_info *i)
{
	if (i->slot >= NETD_SLOTS_MAX || i->state > NETD_SLOT_EXITED || i->net > NETD_NET_ISOLATED || i->pid < 0)
		return false;
	if (i->nwant > NETD_FDS_MAX || i->ring_bytes > RING_BYTES_MAX || i->prefix4 > 32 || i->prefix6 > 128)
		return false;
	for (uint32_t w = 0; w < i->nwant; w++) {
		if (i->want[w] < NETD_FD_TAP || i->want[w] > NETD_FD_LAST)
			return false;
	}
	return is_text(i->ifname, sizeof(i->ifname));
}

static bool is_card(const struct netd_card_info *i)
{
	return i->slot < NETD_SLOTS_MAX && i->card >= 1 && i->card <= NETD_CARDS_MAX && i->prefix4 <= 32 && i->prefix6 <= 128 &&
	       is_text(i->ifname, sizeof(i->ifname));
}

static size_t fds_of(const struct netd_slot_info *i)
{
	size_t n = 0;

	for (uint32_t w = 0; w < i->nwant; w++)
		n += plan_returns(i->want[w]);
	return n;
}

static bool is_hello(const struct netd_hello_reply *h)
{
	for (size_t i = 0; i < NETD_BINARIES_MAX; i++) {
		if (!is_text(h->binaries[i].name, sizeof(h->binaries[i].name)))
			return false;
	}
	return is_text(h->uplink, sizeof(h->uplink)) && h->slots_max <= NETD_SLOTS_MAX && h->slots_used <= h->slots_max;
}

static bool is_list(const struct netd_list_reply *l)
{
	if (l->count > NETD_LIST_MAX || l->next_slot >= NETD_SLOTS_MAX)
		return false;
	for (uint32_t i = 0; i < l->count; i++) {
		if (!is_info(&l->info[i]))
			return false;
	}
	return true;
}

const struct netd_slot_info *frame_info(const union helper_frame *f)
{
	switch (f->head.op) {
	case NETD_NET_ALLOC | NETD_REPLY:
		return &f->alloc.info;
	case NETD_VM_SPAWN | NETD_REPLY:
		return &f->spawn.info;
	case NETD_ADOPT | NETD_REPLY:
		return &f->adopt.info;
	case NETD_EXITED:
		return &f->exited.info;
	default:
		return NULL;
	}
}

static int check_error(const struct netd_error *f, size_t len, size_t nfds, struct err *e)
{
	if (len != sizeof(*f) || nfds > 0 || !is_text(f->reason, sizeof(f->reason)))
		return err_set(e, -EPROTO, "the helper sent a malformed refusal");
	return 0;
}

static int check_exited(const struct netd_exited *f, size_t len, size_t nfds, struct err *e)
{
	if (len != sizeof(*f) || nfds > 0 || f->head.seq != 0 || f->head.status != 0 || !is_info(&f->info))
		return err_set(e, -EPROTO, "the helper sent a malformed end of a process");
	return 0;
}

static int check_body(const union helper_frame *f, unsigned op, size_t nfds, struct err *e)
{
	const struct netd_slot_info *info = frame_info(f);
	size_t want = 0;
	bool good = true;

	if (op == NETD_HELLO)
		good = is_hello(&f->hello);
	else if (op == NETD_LIST)
		good = is_list(&f->list);
	else if (info)
		good = is_info(info);
	if (good && (op == NETD_VM_SPAWN || op == NETD_ADOPT))
		want = fds_of(info);
	if (op == NETD_CARD_ADD)
		good = is_card(&f->card.info);
	if (op == NETD_CONNECT || op == NETD_MEMORY || op == NETD_CARD_ADD)
		want = 1;
	if (!good || nfds != want)
		return err_set(e, -EPROTO, "the helper's answer to request %u is malformed (%zu descriptors)", op, nfds);
	return 0;
}

int frame_check(const union helper_frame *f, size_t len, size_t nfds, struct err *e)
{
	unsigned op;

	if (len < sizeof(f->head) || f->head.size != len || f->head.reserved != 0)
		return err_set(e, -EPROTO, "the helper sent a frame of %zu bytes with a bad head", len);
	if (f->head.op == NETD_EXITED)
		return check_exited(&f->exited, len, nfds, e);
	op = f->head.op & ~(unsigned)NETD_REPLY;
	if (!(f->head.op & NETD_REPLY) || op >= NETD_OP_COUNT || reply_size[op] == 0 || f->head.status > 0)
		return err_set(e, -EPROTO, "the helper sent an unknown frame (operation %u)", f->head.op);
	if (f->head.status < 0)
		return check_error(&f->error, len, nfds, e);
	if (len != reply_size[op])
		return err_set(e, -EPROTO, "the helper's answer to request %u has %zu bytes instead of %zu", op, len, reply_size[op]);
	return check_body(f, op, nfds, e);
}
