/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   down --timer--> connect() --HELLO answered--> up --EOF, bad frame, overdue answer--> down (pause doubles up to 32 x)
 *
 * Calls stand in one queue in the order of their requests; the first `sent` of them wait for an answer, the rest for room in the
 * socket. All have the same time to be answered, so the first one's deadline is the earliest and one timer is enough. A request
 * that cannot be made (no connection, no memory) goes onto a second list and is answered at the end of the turn: a callback
 * never runs inside the function that asked.
 */
#include "hv/helper.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "hv/driver.h"
#include "hv/frames.h"

#define FRAMES_PER_WAKE 32 /* then others get their turn */
#define BACKOFF_STEPS	5

struct helper {
	struct loop *loop; /* borrowed */
	struct helper_config c;
	const struct helper_hooks *hooks; /* borrowed */
	void *arg;
	int fd;
	bool up;
	unsigned failures;
	uint32_t seq;
	ev_io readable, writable;
	ev_timer retry, overdue;
	struct helper_call *first, **last;   /* borrowed: sent ones, then unsent ones */
	struct helper_call *failed, **failed_last; /* borrowed: to be answered with -ENOTCONN */
	struct loop_task answer_failed;
	struct helper_call hello;
	char why[256];
	union helper_frame in;
};

static void on_retry(struct ev_loop *ev, ev_timer *w, int events);
static void drop(struct helper *h, const char *why);

static void arm(struct helper *h, ev_timer *w, uint64_t ms)
{
	ev_timer_stop(h->loop->ev, w);
	ev_now_update(h->loop->ev);
	ev_timer_set(w, (double)ms / 1000.0, 0.);
	ev_timer_start(h->loop->ev, w);
}

static void arm_overdue(struct helper *h)
{
	uint64_t now = loop_now_ms();

	if (h->first)
		arm(h, &h->overdue, h->first->due_ms > now ? h->first->due_ms - now : 1);
	else
		ev_timer_stop(h->loop->ev, &h->overdue);
}

static void append(struct helper_call ***last, struct helper_call *c)
{
	c->next = NULL;
	**last = c;
	*last = &c->next;
}

/* Takes @c out of a queue. Return: false if it is not in it. */
static bool unlink_call(struct helper_call **first, struct helper_call ***last, const struct helper_call *c)
{
	for (struct helper_call **p = first; *p; p = &(*p)->next) {
		if (*p != c)
			continue;
		*p = c->next;
		if (*last == &c->next)
			*last = p;
		return true;
	}
	return false;
}

/* Sent, or never to be sent. */
static void free_frame(struct helper_call *c)
{
	for (size_t i = 0; i < c->nfiles; i++)
		(void)fd_close(c->files[i]);
	c->nfiles = 0;
	free(c->frame);
	c->frame = NULL;
}

static void answer(struct helper_call *c, const struct helper_result *r)
{
	free_frame(c);
	c->pending = false;
	c->done(c, r);
}

static void run_failed(struct loop_task *t)
{
	struct helper *h = container_of(t, struct helper, answer_failed);
	struct helper_result r = { .status = -ENOTCONN, .reason = "the helper terrarium-netd is away" };
	struct helper_call *c;
	size_t n = 0;

	/* Those that fail meanwhile have their turn later. */
	for (c = h->failed; c; c = c->next)
		n++;
	while (n-- > 0 && (c = h->failed)) {
		h->failed = c->next;
		if (!h->failed)
			h->failed_last = &h->failed;
		answer(c, &r);
	}
}

static void fail_call(struct helper *h, struct helper_call *c)
{
	append(&h->failed_last, c);
	loop_defer(h->loop, &h->answer_failed, run_failed);
}

/* Sends what the socket takes, in order. */
static void flush(struct helper *h)
{
	struct helper_call *c = h->first;

	while (c && !c->frame)
		c = c->next;
	for (; c; c = c->next) {
		int r = ipc_send(h->fd, c->frame, c->frame_len, c->files, c->nfiles);

		if (r == -EAGAIN) {
			ev_io_start(h->loop->ev, &h->writable);
			return;
		}
		if (r < 0) {
			drop(h, strerror(-r));
			return;
		}
		free_frame(c);
	}
	ev_io_stop(h->loop->ev, &h->writable);
}

static void on_writable(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)events;
	flush(w->data);
}

/* Begins a call with room for a frame of @len zeroed bytes. Return: the frame, or NULL when the call has failed already. */
static void *begin(struct helper *h, struct helper_call *c, enum netd_op op, size_t len)
{
	struct netd_head *head;

	assert(!c->pending);
	c->pending = true;
	c->nfiles = 0;
	c->op = (uint16_t)op;
	c->frame = h->fd >= 0 && (h->up || op == NETD_HELLO) ? calloc(1, len) : NULL;
	if (!c->frame) {
		fail_call(h, c);
		return NULL;
	}
	if (++h->seq == 0)
		h->seq = 1;
	c->frame_len = len;
	c->seq = h->seq;
	c->due_ms = loop_now_ms() + h->c.call_ms;
	head = c->frame;
	head->size = (uint32_t)len;
	head->op = (uint16_t)op;
	head->seq = c->seq;
	return c->frame;
}

static void submit(struct helper *h, struct helper_call *c)
{
	bool idle = !h->first;

	append(&h->last, c);
	if (idle)
		arm_overdue(h);
	/* Never sent from here: a failing send answers calls. */
	ev_io_start(h->loop->ev, &h->writable);
}

static void fail_all(struct helper *h)
{
	struct helper_call *c;

	while ((c = h->first)) {
		h->first = c->next;
		append(&h->failed_last, c);
	}
	h->last = &h->first;
	run_failed(&h->answer_failed);
}

/* The connection ends: everybody who waits is told, then the owner, then the pause begins. */
static void drop(struct helper *h, const char *why)
{
	bool was_up = h->up, news = was_up || strcmp(h->why, why) != 0;
	unsigned step = h->failures < BACKOFF_STEPS ? h->failures : BACKOFF_STEPS;

	(void)snprintf(h->why, sizeof(h->why), "%s", why);
	h->up = false;
	h->failures++;
	ev_io_stop(h->loop->ev, &h->readable);
	ev_io_stop(h->loop->ev, &h->writable);
	ev_timer_stop(h->loop->ev, &h->overdue);
	h->fd = fd_close(h->fd);
	fail_all(h);
	arm(h, &h->retry, h->c.retry_ms << step);
	if (news)
		h->hooks->on_down(h->arg, h->why);
}

void helper_reconnect(struct helper *h, const char *why)
{
	if (h->fd >= 0)
		drop(h, why);
}

static void on_overdue(struct ev_loop *ev, ev_timer *w, int events)
{
	struct helper *h = w->data;

	(void)ev;
	(void)events;
	if (h->first && h->first->due_ms > loop_now_ms())
		arm_overdue(h);
	else
		drop(h, "the helper terrarium-netd does not answer");
}

static void on_hello(struct helper_call *c, const struct helper_result *r)
{
	struct helper *h = container_of(c, struct helper, hello);

	/* The good answer is taken in deliver(), where the frame is. */
	if (r->status == 0 || r->status == -ENOTCONN)
		return;
	drop(h, r->reason);
}

static struct helper_call *find_call(struct helper *h, const struct netd_head *head)
{
	for (struct helper_call *c = h->first; c && !c->frame; c = c->next) {
		if (c->seq == head->seq && (c->op | NETD_REPLY) == head->op)
			return c;
	}
	return NULL;
}

/* One good frame. The FDs that nobody takes are closed by the caller. */
static void deliver(struct helper *h, struct ipc_msg *msg)
{
	const union helper_frame *f = &h->in;
	struct helper_result r = { .status = f->head.status, .fds = msg->fds, .nfds = msg->nfds };
	struct helper_call *c;

	if (f->head.op == NETD_EXITED) {
		h->hooks->on_exited(h->arg, &f->exited.info);
		return;
	}
	c = find_call(h, &f->head);
	if (!c) {
		log_debug("an answer of the helper that nobody waits for any more (operation %u)", f->head.op);
		return;
	}
	(void)unlink_call(&h->first, &h->last, c);
	arm_overdue(h);
	if (r.status < 0)
		r.reason = f->error.reason;
	else if (c->op == NETD_LIST)
		r.list = &f->list;
	else if (c->op == NETD_CARD_ADD)
		r.card = &f->card.info;
	else
		r.info = frame_info(f);
	if (c != &h->hello || r.status < 0) {
		answer(c, &r);
		return;
	}
	answer(c, &r);
	if (f->hello.version != NETD_VERSION) {
		drop(h, "the helper terrarium-netd is of another version; install both programs of one release");
		return;
	}
	h->up = true;
	h->failures = 0;
	h->why[0] = '\0';
	h->hooks->on_up(h->arg, &f->hello);
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
	struct helper *h = w->data;

	(void)ev;
	(void)events;
	for (int i = 0; i < FRAMES_PER_WAKE && h->fd >= 0; i++) {
		struct err e = { 0 };
		struct ipc_msg msg;
		int r = ipc_recv(h->fd, &h->in, sizeof(h->in), &msg);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			drop(h, r == -EPIPE ? "the helper terrarium-netd closed the connection" : strerror(-r));
			return;
		}
		r = frame_check(&h->in, msg.len, msg.nfds, &e);
		if (r == 0)
			deliver(h, &msg);
		ipc_msg_finish(&msg);
		if (r < 0) {
			drop(h, e.msg);
			return;
		}
	}
}

static void on_retry(struct ev_loop *ev, ev_timer *w, int events)
{
	struct helper *h = w->data;
	struct netd_hello *f;

	(void)ev;
	(void)events;
	h->fd = ipc_connect(h->c.socket);
	if (h->fd < 0) {
		char why[256];

		(void)snprintf(why, sizeof(why), "cannot connect to the helper at %s: %s", h->c.socket, strerror(-h->fd));
		h->fd = -1;
		drop(h, why);
		return;
	}
	ev_io_set(&h->readable, h->fd, EV_READ);
	ev_io_set(&h->writable, h->fd, EV_WRITE);
	ev_io_start(h->loop->ev, &h->readable);
	h->hello.done = on_hello;
	f = begin(h, &h->hello, NETD_HELLO, sizeof(*f));
	if (!f)
		return;
	f->version = NETD_VERSION;
	submit(h, &h->hello);
}

int helper_create(struct helper **out, struct loop *loop, const struct helper_config *c, const struct helper_hooks *hooks, void *arg)
{
	struct helper *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->loop = loop;
	h->c = *c;
	h->hooks = hooks;
	h->arg = arg;
	h->fd = -1;
	h->last = &h->first;
	h->failed_last = &h->failed;
	ev_init(&h->readable, on_readable);
	ev_init(&h->writable, on_writable);
	ev_init(&h->retry, on_retry);
	ev_init(&h->overdue, on_overdue);
	h->readable.data = h->writable.data = h->retry.data = h->overdue.data = h;
	arm(h, &h->retry, 0);
	*out = h;
	return 0;
}

struct helper *helper_destroy(struct helper *h)
{
	if (!h)
		return NULL;
	ev_io_stop(h->loop->ev, &h->readable);
	ev_io_stop(h->loop->ev, &h->writable);
	ev_timer_stop(h->loop->ev, &h->retry);
	ev_timer_stop(h->loop->ev, &h->overdue);
	h->fd = fd_close(h->fd);
	fail_all(h);
	loop_cancel(h->loop, &h->answer_failed);
	free(h);
	return NULL;
}

bool helper_up(const struct helper *h)
{
	return h->up;
}

void helper_net_alloc(struct helper *h, struct helper_call *c, const uint8_t vm_id[16], enum netd_net net)
{
	struct netd_net_alloc *f = begin(h, c, NETD_NET_ALLOC, sizeof(*f));

	if (!f)
		return;
	memcpy(f->vm_id, vm_id, sizeof(f->vm_id));
	f->net = net;
	submit(h, c);
}

void helper_net_free(struct helper *h, struct helper_call *c, uint32_t slot)
{
	struct netd_net_free *f = begin(h, c, NETD_NET_FREE, sizeof(*f));

	if (!f)
		return;
	f->slot = slot;
	submit(h, c);
}

/* Return: false when there are no descriptors left, and the call has failed. */
static bool take_files(struct helper *h, struct helper_call *c, const struct spawn_plan *plan)
{
	for (size_t i = 0; i < plan->nfile; i++) {
		int fd = fcntl(plan->file[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			free_frame(c);
			fail_call(h, c);
			return false;
		}
		c->files[c->nfiles++] = fd;
	}
	return true;
}

void helper_spawn(struct helper *h, struct helper_call *c, uint32_t slot, uint16_t binary, const struct spawn_plan *plan)
{
	struct netd_vm_spawn *f = begin(h, c, NETD_VM_SPAWN, sizeof(*f) + plan->text_len);

	if (!f || !take_files(h, c, plan))
		return;
	f->nfiles = (uint32_t)plan->nfile;
	f->flags = plan->lean ? NETD_SPAWN_LEAN : 0;
	f->slot = slot;
	f->binary = binary;
	f->nwant = (uint16_t)plan->nwant;
	memcpy(f->want, plan->want, sizeof(f->want));
	f->memory_max = plan->memory_max;
	f->cpu_percent = plan->cpu_percent;
	f->pids_max = plan->pids_max;
	f->ring_bytes = plan->ring_bytes;
	f->cols = plan->cols;
	f->rows = plan->rows;
	f->argc = (uint32_t)plan->argc;
	f->argv_bytes = (uint32_t)plan->text_len;
	memcpy(f + 1, plan->text, plan->text_len);
	submit(h, c);
}

void helper_kill(struct helper *h, struct helper_call *c, uint32_t slot, enum netd_kill how)
{
	struct netd_vm_kill *f = begin(h, c, NETD_VM_KILL, sizeof(*f));

	if (!f)
		return;
	f->slot = slot;
	f->how = how;
	submit(h, c);
}

void helper_list(struct helper *h, struct helper_call *c, uint32_t from_slot)
{
	struct netd_list *f = begin(h, c, NETD_LIST, sizeof(*f));

	if (!f)
		return;
	f->from_slot = from_slot;
	submit(h, c);
}

void helper_adopt(struct helper *h, struct helper_call *c, uint32_t slot, const uint8_t vm_id[16])
{
	struct netd_adopt *f = begin(h, c, NETD_ADOPT, sizeof(*f));

	if (!f)
		return;
	f->slot = slot;
	memcpy(f->vm_id, vm_id, sizeof(f->vm_id));
	submit(h, c);
}

void helper_connect(struct helper *h, struct helper_call *c, uint32_t slot)
{
	struct netd_connect *f = begin(h, c, NETD_CONNECT, sizeof(*f));

	if (!f)
		return;
	f->slot = slot;
	submit(h, c);
}

void helper_limits(struct helper *h, struct helper_call *c, uint32_t slot, uint64_t memory_max, uint32_t cpu_percent)
{
	struct netd_vm_limits *f = begin(h, c, NETD_VM_LIMITS, sizeof(*f));

	if (!f)
		return;
	f->slot = slot;
	f->memory_max = memory_max;
	f->cpu_percent = cpu_percent;
	submit(h, c);
}

void helper_memory(struct helper *h, struct helper_call *c, uint32_t slot)
{
	struct netd_memory *f = begin(h, c, NETD_MEMORY, sizeof(*f));

	if (!f)
		return;
	f->slot = slot;
	submit(h, c);
}

void helper_card(struct helper *h, struct helper_call *c, uint32_t slot, unsigned card, bool add)
{
	struct netd_card *f = begin(h, c, add ? NETD_CARD_ADD : NETD_CARD_REMOVE, sizeof(*f));

	if (!f)
		return;
	f->slot = slot;
	f->card = card;
	submit(h, c);
}

void helper_cancel(struct helper *h, struct helper_call *c)
{
	if (!c->pending)
		return;
	/* Not yet sent: the helper never hears of it. Sent: deliver() drops the answer. */
	if (!unlink_call(&h->first, &h->last, c))
		(void)unlink_call(&h->failed, &h->failed_last, c);
	free_frame(c);
	c->pending = false;
	arm_overdue(h);
}
