/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/ops.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "netsetup/config.h"
#include "netsetup/net.h"
#include "netsetup/slot.h"

static void begin_reply(struct caller_frame *f, const struct netd_head *rq, size_t size)
{
	memset(f, 0, sizeof(*f));
	f->head.size = (uint32_t)size;
	f->head.op = (uint16_t)(rq->op | NETD_REPLY);
	f->head.seq = rq->seq;
}

/* The FDs that the gateway gets, in the order of want[]. */
static void attach_fds(struct caller_frame *f, const struct slot *s)
{
	for (uint32_t i = 0; i < s->nwant; i++)
		if (s->near[i] >= 0)
			f->fds[f->nfds++] = s->near[i];
}

/* --- requests; @s: the slot, in one of the states that the table permits; NULL where the request names none --- */

static void do_hello(struct ops *o, union netd_request *rq, struct slot *s)
{
	struct caller_frame f;

	(void)s;
	begin_reply(&f, &rq->head, sizeof(f.hello));
	f.hello.version = NETD_VERSION;
	f.hello.caps = o->caps;
	f.hello.slots_max = (uint32_t)o->config->slots;
	f.hello.slots_used = slots_used(o->slots);
	for (size_t i = 0; i < o->config->nbinaries; i++)
		memcpy(f.hello.binaries[i].name, o->config->binaries[i].name, sizeof(f.hello.binaries[i].name));
	if (o->net && net_uplink(o->net, f.hello.uplink))
		f.hello.caps |= NETD_CAP_UPLINK;
	caller_send(o->caller, &f);
}

static void send_alloc(struct ops *o, uint32_t seq, const struct slot *s)
{
	const struct netd_head rq = { .op = NETD_NET_ALLOC, .seq = seq };
	struct caller_frame f;

	begin_reply(&f, &rq, sizeof(f.alloc));
	slot_info(s, &f.alloc.info);
	caller_send(o->caller, &f);
}

static void do_net_alloc(struct ops *o, union netd_request *rq, struct slot *s)
{
	struct err e = { 0 };

	s = slots_find(o->slots, rq->net_alloc.vm_id);
	if (s && s->phase == SLOT_JOINING && s->alloc_caller == caller_number(o->caller)) {
		err_set(&e, -EALREADY, "NET_ALLOC: the same request is being carried out");
		caller_refuse(o->caller, &rq->head, &e);
		return;
	}
	if (!s)
		s = slot_alloc(o->slots, rq->net_alloc.vm_id, (enum netd_net)rq->net_alloc.net, &e);
	if (!s) {
		caller_refuse(o->caller, &rq->head, &e);
		return;
	}
	if (s->phase != SLOT_JOINING) {
		send_alloc(o, rq->head.seq, s);
		return;
	}
	s->alloc_seq = rq->head.seq;
	s->alloc_caller = caller_number(o->caller);
}

static void do_net_free(struct ops *o, union netd_request *rq, struct slot *s)
{
	s->free_seq = rq->head.seq;
	s->free_caller = caller_number(o->caller);
	slot_free(s);
}

static void do_vm_spawn(struct ops *o, union netd_request *rq, struct slot *s)
{
	char *argv[NETD_ARGC_MAX + 1];
	struct caller_frame f;
	struct err e = { 0 };

	request_argv(rq, argv);
	if (slot_spawn(s, &rq->vm_spawn, argv, o->files, &e) < 0) {
		caller_refuse(o->caller, &rq->head, &e);
		return;
	}
	begin_reply(&f, &rq->head, sizeof(f.spawn));
	slot_info(s, &f.spawn.info);
	attach_fds(&f, s);
	caller_send(o->caller, &f);
}

static void do_vm_kill(struct ops *o, union netd_request *rq, struct slot *s)
{
	struct caller_frame f;
	struct err e = { 0 };
	int r = slot_kill(s, (enum netd_kill)rq->vm_kill.how);

	if (r < 0) {
		err_set(&e, r, "VM_KILL: slot %u: %s", s->plan.slot, strerror(-r));
		caller_refuse(o->caller, &rq->head, &e);
		return;
	}
	begin_reply(&f, &rq->head, sizeof(f.head));
	caller_send(o->caller, &f);
}

static void do_list(struct ops *o, union netd_request *rq, struct slot *s)
{
	struct caller_frame f;

	(void)s;
	begin_reply(&f, &rq->head, sizeof(f.list));
	for (uint32_t n = rq->list.from_slot; n <= NETD_SLOTS_MAX; n++) {
		s = slots_get(o->slots, n);
		if (!s || s->phase == SLOT_LEAVING)
			continue;
		if (f.list.count == NETD_LIST_MAX) {
			f.list.next_slot = n;
			break;
		}
		slot_info(s, &f.list.info[f.list.count++]);
	}
	caller_send(o->caller, &f);
}

static void do_adopt(struct ops *o, union netd_request *rq, struct slot *s)
{
	struct caller_frame f;
	struct err e = { 0 };

	if (memcmp(s->vm_id, rq->adopt.vm_id, sizeof(s->vm_id)) != 0) {
		err_set(&e, -ESTALE, "ADOPT: slot %u belongs to another VM", s->plan.slot);
		caller_refuse(o->caller, &rq->head, &e);
		return;
	}
	begin_reply(&f, &rq->head, sizeof(f.adopt));
	slot_info(s, &f.adopt.info);
	attach_fds(&f, s);
	caller_send(o->caller, &f);
}

static void do_connect(struct ops *o, union netd_request *rq, struct slot *s)
{
	struct caller_frame f;
	struct err e = { 0 };
	_close_ int fd = ends_dir_connect(&s->dir);

	if (fd < 0) {
		err_set(&e, fd, "CONNECT: slot %u: %s", s->plan.slot, strerror(-fd));
		caller_refuse(o->caller, &rq->head, &e);
		return;
	}
	begin_reply(&f, &rq->head, sizeof(f.head));
	f.fds[f.nfds++] = fd;
	caller_send(o->caller, &f);
}

static void do_vm_limits(struct ops *o, union netd_request *rq, struct slot *s)
{
	struct caller_frame f;
	struct err e = { 0 };

	if (slot_limits(s, rq->vm_limits.memory_max, rq->vm_limits.cpu_percent, &e) < 0) {
		caller_refuse(o->caller, &rq->head, &e);
		return;
	}
	begin_reply(&f, &rq->head, sizeof(f.head));
	caller_send(o->caller, &f);
}

static void do_memory(struct ops *o, union netd_request *rq, struct slot *s)
{
	struct caller_frame f;
	struct err e = { 0 };
	_close_ int fd = slot_memory(s);

	if (fd < 0) {
		err_set(&e, fd, "MEMORY: slot %u: %s", s->plan.slot, strerror(-fd));
		caller_refuse(o->caller, &rq->head, &e);
		return;
	}
	begin_reply(&f, &rq->head, sizeof(f.head));
	f.fds[f.nfds++] = fd;
	caller_send(o->caller, &f);
}

/* An answer at once: it is there, or it is not to be. */
static void answer_card(struct ops *o, const struct netd_head *rq, const struct slot *s, unsigned card)
{
	struct caller_frame f;

	begin_reply(&f, rq, sizeof(f.card));
	slot_card_info(s, card, &f.card.info);
	f.fds[f.nfds++] = s->cards[card - 1].tap_fd;
	caller_send(o->caller, &f);
}

static void do_card(struct ops *o, union netd_request *rq, struct slot *s)
{
	struct slot_card *c = s->cards ? &s->cards[rq->card.card - 1] : NULL;
	struct err e = { 0 };
	int r;

	if (c && c->caller && c->caller == caller_number(o->caller))
		r = err_set(&e, -EALREADY, "%s: another change of this card is being carried out", request_op_name(rq->head.op));
	else
		r = rq->head.op == NETD_CARD_ADD ? slot_card_add(s, rq->card.card, &e) : slot_card_remove(s, rq->card.card, &e);
	if (r < 0) {
		caller_refuse(o->caller, &rq->head, &e);
	} else if (r > 0) {
		answer_card(o, &rq->head, s, rq->card.card);
	} else {
		c = &s->cards[rq->card.card - 1];
		c->seq = rq->head.seq;
		c->caller = caller_number(o->caller);
		c->op = rq->head.op;
	}
}

#define HAS_PROCESS (SLOT_IN(SLOT_RUNNING) | SLOT_IN(SLOT_ENDING))

/*
 * Which request may come in which phase of its slot. Size and range were checked before (request.c); quotas are
 * checked by what the operation calls (slot.c), because they depend on the request.
 * @otherwise: errno when the phase does not permit it
 */
static const struct permit {
	unsigned phases; /* set of SLOT_IN(); 0 = names no slot */
	int otherwise;
	void (*run)(struct ops *, union netd_request *, struct slot *);
} permits[NETD_OP_COUNT] = {
	[NETD_HELLO] = { 0, 0, do_hello },
	[NETD_NET_ALLOC] = { 0, 0, do_net_alloc },
	[NETD_NET_FREE] = { SLOT_IN(SLOT_JOINING) | SLOT_IN(SLOT_READY) | SLOT_IN(SLOT_EXITED), -EBUSY,
			    do_net_free },
	[NETD_VM_SPAWN] = { SLOT_IN(SLOT_READY) | SLOT_IN(SLOT_EXITED), -EBUSY, do_vm_spawn },
	[NETD_VM_KILL] = { SLOT_IN(SLOT_RUNNING), -ESRCH, do_vm_kill },
	[NETD_LIST] = { 0, 0, do_list },
	[NETD_ADOPT] = { HAS_PROCESS | SLOT_IN(SLOT_EXITED), -ESRCH, do_adopt },
	[NETD_CONNECT] = { SLOT_IN(SLOT_RUNNING), -ESRCH, do_connect },
	[NETD_VM_LIMITS] = { SLOT_IN(SLOT_RUNNING), -ESRCH, do_vm_limits },
	[NETD_MEMORY] = { SLOT_IN(SLOT_RUNNING), -ESRCH, do_memory },
	[NETD_CARD_ADD] = { SLOT_IN(SLOT_RUNNING), -ESRCH, do_card },
	[NETD_CARD_REMOVE] = { SLOT_IN(SLOT_RUNNING), -ESRCH, do_card },
};

static uint32_t slot_number(const union netd_request *rq)
{
	switch (rq->head.op) {
	case NETD_NET_FREE:
		return rq->net_free.slot;
	case NETD_VM_SPAWN:
		return rq->vm_spawn.slot;
	case NETD_VM_KILL:
		return rq->vm_kill.slot;
	case NETD_ADOPT:
		return rq->adopt.slot;
	case NETD_CONNECT:
		return rq->connect.slot;
	case NETD_VM_LIMITS:
		return rq->vm_limits.slot;
	case NETD_MEMORY:
		return rq->memory.slot;
	case NETD_CARD_ADD:
	case NETD_CARD_REMOVE:
		return rq->card.slot;
	default:
		return 0;
	}
}

static const char *phase_text(const struct slot *s)
{
	static const char *const texts[SLOT_PHASE_COUNT] = {
		[SLOT_JOINING] = "is still being set up",   [SLOT_READY] = "runs no process",
		[SLOT_RUNNING] = "runs a process",	    [SLOT_ENDING] = "has a process that is ending",
		[SLOT_EXITED] = "runs no process any more", [SLOT_LEAVING] = "is free",
	};

	return texts[s->phase];
}

void ops_request(void *arg, union netd_request *rq, int *fds)
{
	struct ops *o = arg;
	const struct permit *p = &permits[rq->head.op];
	struct slot *s = p->phases ? slots_get(o->slots, slot_number(rq)) : NULL;
	struct err e = { 0 };

	if (p->phases && (!s || s->phase == SLOT_LEAVING))
		err_set(&e, -ENOENT, "%s: slot %u is not allocated", request_op_name(rq->head.op),
			slot_number(rq));
	else if (s && !(p->phases & SLOT_IN(s->phase)))
		err_set(&e, p->otherwise, "%s: slot %u %s", request_op_name(rq->head.op), slot_number(rq),
			phase_text(s));
	if (e.code)
		caller_refuse(o->caller, &rq->head, &e);
	else {
		o->files = fds;
		p->run(o, rq, s);
		o->files = NULL;
	}
}

/* --- what was not answered at once --- */

void ops_on_due(void *arg)
{
	struct ops *o = arg;

	if (o->caller)
		caller_notice(o->caller);
}

static void fill_error(struct caller_frame *f, const struct netd_head *rq, int code, const char *reason)
{
	begin_reply(f, rq, sizeof(f->error));
	f->head.status = code;
	(void)snprintf(f->error.reason, sizeof(f->error.reason), "%.*s", (int)sizeof(f->error.reason) - 1,
		       reason);
}

/* The join is done: answer, unless the asker is gone. Return: false if there is nothing to send. */
static bool notice_allocated(struct ops *o, struct slot *s, struct caller_frame *f)
{
	const struct netd_head rq = { .op = NETD_NET_ALLOC, .seq = s->alloc_seq };
	bool asked = s->alloc_caller && s->alloc_caller == caller_number(o->caller);

	if (s->join.status < 0)
		fill_error(f, &rq, s->join.status, s->join.err.msg);
	else if (s->phase == SLOT_LEAVING)
		fill_error(f, &rq, -ECANCELED, "NET_ALLOC: the slot was given back meanwhile");
	else {
		begin_reply(f, &rq, sizeof(f->alloc));
		slot_info(s, &f->alloc.info);
	}
	return asked;
}

static bool notice_freed(struct ops *o, struct slot *s, struct caller_frame *f)
{
	const struct netd_head rq = { .op = NETD_NET_FREE, .seq = s->free_seq };

	begin_reply(f, &rq, sizeof(f->head));
	return s->free_caller && s->free_caller == caller_number(o->caller);
}

/* A process's end is told to whoever is connected, unless the slot has moved on. */
static bool notice_exited(struct ops *o, struct slot *s, struct caller_frame *f)
{
	(void)o;
	memset(f, 0, sizeof(*f));
	f->head.size = sizeof(f->exited);
	f->head.op = NETD_EXITED;
	slot_info(s, &f->exited.info);
	return s->phase == SLOT_EXITED;
}

/* A card has come or gone. What nobody asked for any more is not told. */
static bool notice_card(struct ops *o, struct slot *s, unsigned card, struct caller_frame *f)
{
	struct slot_card *c = &s->cards[card - 1];
	const struct netd_head rq = { .op = c->op, .seq = c->seq };
	bool asked = c->caller && c->caller == caller_number(o->caller);

	c->caller = 0;
	if (c->op == NETD_CARD_REMOVE) {
		begin_reply(f, &rq, sizeof(f->head));
	} else if (c->phase == CARD_UP) {
		begin_reply(f, &rq, sizeof(f->card));
		slot_card_info(s, card, &f->card.info);
		f->fds[f->nfds++] = c->tap_fd;
	} else if (c->join.status < 0) {
		fill_error(f, &rq, c->join.status, c->join.err.msg);
	} else {
		fill_error(f, &rq, -ECANCELED, "CARD_ADD: the process has ended meanwhile");
	}
	return asked;
}

static bool notice_card1(struct ops *o, struct slot *s, struct caller_frame *f)
{
	return notice_card(o, s, 1, f);
}

static bool notice_card2(struct ops *o, struct slot *s, struct caller_frame *f)
{
	return notice_card(o, s, 2, f);
}

static const struct {
	enum slot_due what;
	bool (*fill)(struct ops *, struct slot *, struct caller_frame *);
} notices[] = {
	{ DUE_ALLOCATED, notice_allocated },
	{ DUE_CARD1, notice_card1 },
	{ DUE_CARD2, notice_card2 },
	{ DUE_EXITED, notice_exited },
	{ DUE_FREED, notice_freed },
};

bool ops_next_notice(void *arg, struct caller_frame *out)
{
	struct ops *o = arg;
	struct slot *s;

	while ((s = slots_first_due(o->slots))) {
		size_t i = 0;
		bool wanted;

		while (!(s->due & notices[i].what))
			i++;
		wanted = notices[i].fill(o, s, out);
		slot_told(s, notices[i].what);
		if (wanted)
			return true;
	}
	return false;
}
