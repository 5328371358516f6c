/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/caller.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"

#define REQUESTS_PER_TURN 32
#define GREETING_S	  10. /* a gateway that has not said HELLO by then never will */
#define STALL_S		  10. /* it takes its answers in microseconds; one that does not for so long is stuck */

struct caller {
	struct loop *loop; /* borrowed */
	const struct caller_hooks *hooks;
	void *arg;
	struct request_limits lim;
	uid_t uid;
	char path[108];
	int listen_fd, fd; /* owned */
	bool greeted, answering;
	uint64_t number;
	ev_io on_listen, on_read, on_write;
	ev_timer patience; /* for HELLO, later for room in the socket */
	struct loop_task lost; /* lets go of notices when a connection ends */
	struct caller_frame waiting;
	bool has_waiting;
	union netd_request rq;
};

static void set_patience(struct caller *c, double seconds)
{
	ev_timer_stop(c->loop->ev, &c->patience);
	if (seconds <= 0.)
		return;
	ev_timer_set(&c->patience, seconds, 0.);
	ev_timer_start(c->loop->ev, &c->patience);
}

static void put_notices(struct caller *c);

static void on_lost(struct loop_task *t)
{
	put_notices(container_of(t, struct caller, lost));
}

/* Hangs up. Machines run on; what was asked and not answered finds no asker any more. */
static void drop(struct caller *c, const char *why)
{
	if (c->fd < 0)
		return;
	log_info("gateway disconnected: %s", why);
	ev_io_stop(c->loop->ev, &c->on_read);
	ev_io_stop(c->loop->ev, &c->on_write);
	set_patience(c, 0.);
	c->fd = fd_close(c->fd);
	c->greeted = c->has_waiting = false;
	loop_defer(c->loop, &c->lost, on_lost);
}

/* Sends or keeps for later. */
static void put(struct caller *c, const struct caller_frame *f)
{
	int r = c->fd < 0 ? 0 : ipc_send(c->fd, &f->head, f->head.size, f->fds, f->nfds);

	if (r == 0)
		return;
	if (r != -EAGAIN) {
		drop(c, strerror(-r));
		return;
	}
	c->waiting = *f;
	c->has_waiting = true;
	ev_io_stop(c->loop->ev, &c->on_read);
	ev_io_start(c->loop->ev, &c->on_write);
	set_patience(c, STALL_S);
}

static void put_notices(struct caller *c)
{
	struct caller_frame f;

	while (!c->has_waiting && c->hooks->next_notice(c->arg, &f))
		if (c->greeted)
			put(c, &f);
}

void caller_send(struct caller *c, const struct caller_frame *f)
{
	if (f->head.op == (NETD_HELLO | NETD_REPLY) && f->head.status == 0) {
		c->greeted = true;
		set_patience(c, 0.);
	}
	put(c, f);
}

void caller_refuse(struct caller *c, const struct netd_head *head, const struct err *e)
{
	struct caller_frame f = { .error.head = {
		.size = sizeof(f.error), .op = (uint16_t)(head->op | NETD_REPLY), .seq = head->seq,
		.status = e->code < 0 ? e->code : -EIO } };

	(void)snprintf(f.error.reason, sizeof(f.error.reason), "%.*s", (int)sizeof(f.error.reason) - 1, e->msg);
	put(c, &f);
}

void caller_notice(struct caller *c)
{
	/* Never between a request and its answer: EXITED must not overtake the answer of VM_SPAWN. */
	if (!c->answering)
		put_notices(c);
}

uint64_t caller_number(const struct caller *c)
{
	return c->fd >= 0 ? c->number : 0;
}

static void judge(struct caller *c, struct ipc_msg *msg)
{
	struct err e = { 0 };
	enum request_verdict v = request_check(&c->rq, msg->len, c->greeted, &c->lim, &e);

	if (v == REQUEST_OK)
		v = request_files(&c->rq, msg->fds, msg->nfds, c->uid, &e);
	switch (v) {
	case REQUEST_OK:
		c->hooks->on_request(c->arg, &c->rq, msg->fds);
		break;
	case REQUEST_REFUSED:
		caller_refuse(c, &c->rq.head, &e);
		break;
	case REQUEST_BROKEN:
		log_warn("gateway broke the protocol: %s", e.msg);
		drop(c, "protocol error");
		break;
	}
}

/* One frame. Return: false when there is no more to do now. */
static bool take_request(struct caller *c)
{
	struct ipc_msg msg;
	int r = ipc_recv(c->fd, c->rq.bytes, sizeof(c->rq.bytes), &msg);

	if (r == -EAGAIN)
		return false;
	if (r < 0) {
		drop(c, r == -EPIPE ? "end of connection" : strerror(-r));
		return false;
	}
	judge(c, &msg);
	ipc_msg_finish(&msg);
	return c->fd >= 0 && !c->has_waiting;
}

static void on_read(struct ev_loop *ev, ev_io *w, int events)
{
	struct caller *c = w->data;

	(void)ev;
	(void)events;
	c->answering = true;
	for (int i = 0; i < REQUESTS_PER_TURN && take_request(c); i++)
		;
	c->answering = false;
	put_notices(c);
}

static void on_write(struct ev_loop *ev, ev_io *w, int events)
{
	struct caller *c = w->data;

	(void)events;
	ev_io_stop(ev, w);
	set_patience(c, 0.);
	c->has_waiting = false;
	ev_io_start(ev, &c->on_read);
	put(c, &c->waiting);
	put_notices(c);
}

static void on_patience(struct ev_loop *ev, ev_timer *w, int events)
{
	struct caller *c = w->data;

	(void)ev;
	(void)events;
	drop(c, c->greeted ? "it does not take its answers" : "it did not say HELLO in time");
}

/* A gateway that was killed may not have been noticed yet in this turn. */
static bool is_alive(const struct caller *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	return c->fd >= 0 && poll(&p, 1, 0) >= 0 && !(p.revents & (POLLHUP | POLLERR));
}

/* Says why before hanging up; whoever it is, it gets no more than this one frame. */
static void turn_away(int fd, int code, const char *reason)
{
	struct netd_error f = { .head = { .size = sizeof(f), .op = NETD_HELLO | NETD_REPLY, .status = code } };

	(void)snprintf(f.reason, sizeof(f.reason), "%s", reason);
	(void)ipc_send(fd, &f, sizeof(f), NULL, 0);
	(void)fd_close(fd);
}

static void on_listen(struct ev_loop *ev, ev_io *w, int events)
{
	struct caller *c = w->data;
	int fd = ipc_accept(c->listen_fd);
	uid_t uid = 0;

	(void)events;
	if (fd < 0)
		return;
	if (ipc_peer_uid(fd, &uid) < 0 || uid != c->uid) {
		log_warn("refused a connection of uid %u; gateway_user says uid %u", uid, c->uid);
		turn_away(fd, -EPERM, "this user is not the gateway_user of terrarium-netd");
		return;
	}
	if (is_alive(c)) {
		log_warn("refused a second gateway");
		turn_away(fd, -EBUSY, "another gateway is connected to terrarium-netd");
		return;
	}
	drop(c, "a new one takes its place");
	c->fd = fd;
	c->number++;
	ev_io_set(&c->on_read, fd, EV_READ);
	ev_io_set(&c->on_write, fd, EV_WRITE);
	ev_io_start(ev, &c->on_read);
	set_patience(c, GREETING_S);
	log_info("gateway connected");
}

int caller_listen(struct caller **out, struct loop *loop, const char *path, uid_t uid,
		  const struct request_limits *lim, const struct caller_hooks *hooks, void *arg, struct err *e)
{
	struct caller *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, -ENOMEM, "no memory for the gateway's connection");
	c->loop = loop;
	c->hooks = hooks;
	c->arg = arg;
	c->uid = uid;
	c->lim = *lim;
	c->fd = -1;
	(void)snprintf(c->path, sizeof(c->path), "%s", path);
	/* Everybody may knock; the peer's uid decides. */
	c->listen_fd = ipc_listen(path, 0666);
	if (c->listen_fd < 0) {
		int r = c->listen_fd;

		free(c);
		return err_set(e, r, "cannot listen on %s: %s%s", path, strerror(-r),
			       r == -EADDRINUSE ? "; another terrarium-netd serves it" : "");
	}
	ev_io_init(&c->on_listen, on_listen, c->listen_fd, EV_READ);
	ev_init(&c->on_read, on_read);
	ev_init(&c->on_write, on_write);
	ev_init(&c->patience, on_patience);
	c->on_listen.data = c->on_read.data = c->on_write.data = c->patience.data = c;
	ev_io_start(loop->ev, &c->on_listen);
	*out = c;
	return 0;
}

struct caller *caller_close(struct caller *c)
{
	if (!c)
		return NULL;
	drop(c, "the helper ends");
	loop_cancel(c->loop, &c->lost);
	ev_io_stop(c->loop->ev, &c->on_listen);
	(void)fd_close(c->listen_fd);
	(void)unlink(c->path);
	free(c);
	return NULL;
}
