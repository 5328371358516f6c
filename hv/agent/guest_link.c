/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. One conversation at a time. Bytes come in pieces of 64 KiB and are served as long as answers fit (ANSWERS_MAX): then reading
 * stops until the host has read. Stream data is queued only while little waits (STREAM_MAX), all jobs in turn, so an answer is never far
 * behind. What a flooding terminal gives, in pieces of at most 4 KiB, is gathered for GATHER_S: every time that the host wakes up costs it as much as
 * copying tens of thousands of bytes. A new HELLO throws away what was queued for the old host: streams are sent again from where the new one says.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "base/log.h"
#include "hv/agent/guest.h"

#define STREAM_MAX  (4U * AGENT_DATA_MAX)
#define ANSWERS_MAX (16U * AGENT_DATA_MAX)
#define OUT_MAX	    (ANSWERS_MAX + AGENT_JOBS_MAX * 256U + 4U * AGENT_FRAME_MAX) /* and what jobs say beside data */
#define GATHER_S    0.002
#define PORT_RETRY_S 0.25 /* a port without a host reads as ended, and polls as ready: look again later */

static void link_drop(struct guest *g)
{
	struct guest_link *l = &g->link;

	ev_io_stop(g->loop->ev, &l->on_read);
	ev_io_stop(g->loop->ev, &l->on_write);
	ev_timer_stop(g->loop->ev, &l->retry);
	l->fd = fd_close(l->fd);
	buf_finish(&l->out);
	l->in_at = l->in_len = 0;
	job_detach_all(g);
}

static void write_out(struct guest *g);

/* What waits goes at the end of the turn; only for a full descriptor is the loop asked. */
static void flush(struct loop_task *task)
{
	struct guest *g = container_of(task, struct guest, link.flush);
	struct guest_link *l = &g->link;

	if (l->fd >= 0 && l->out.len > 0 && !ev_is_active(&l->on_write) && !ev_is_active(&l->retry))
		write_out(g);
}

size_t guest_begin(struct guest *g, const struct agent_frame *head)
{
	return agent_frame_begin(&g->link.out, head);
}

int guest_end(struct guest *g, size_t start)
{
	struct guest_link *l = &g->link;
	int r = l->fd < 0 || l->reader.tail == 0 ? -ENOSPC : 0;

	if (r < 0)
		l->out.len = start;
	else
		r = agent_frame_end(&l->out, start, l->reader.tail);
	if (l->fd >= 0 && l->out.len > 0)
		loop_defer(g->loop, &l->flush, flush);
	return r;
}

bool guest_room(const struct guest *g)
{
	return g->link.fd >= 0 && g->link.reader.tail != 0 && g->link.out.len < STREAM_MAX;
}

/* The job that came first goes last the next time. */
static void rotate(struct guest *g)
{
	struct guest_job *first = g->jobs, **last;

	if (!first || !first->next)
		return;
	g->jobs = first->next;
	first->next = NULL;
	for (last = &g->jobs; *last; last = &(*last)->next)
		;
	*last = first;
}

static void pump(struct loop_task *task)
{
	struct guest *g = container_of(task, struct guest, link.pump);
	struct guest_link *l = &g->link;

	ev_timer_stop(g->loop->ev, &l->gather);
	for (struct guest_job *j = g->jobs; j && guest_room(g); j = j->next)
		job_pump(j);
	rotate(g);
	loop_cancel(g->loop, &l->flush);
	flush(&l->flush);
}

void guest_wake(struct guest *g)
{
	loop_defer(g->loop, &g->link.pump, pump);
}

static void on_gathered(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)events;
	guest_wake(w->data);
}

void guest_wake_soon(struct guest *g)
{
	ev_timer *w = &g->link.gather;

	if (ev_is_active(w))
		return;
	ev_timer_set(w, GATHER_S, 0.);
	ev_timer_start(g->loop->ev, w);
}

static int greet(struct guest *g, const struct agent_frame *f, struct agent_hello *h)
{
	struct guest_link *l = &g->link;
	size_t start;

	job_detach_all(g);
	l->out.len = 0;
	l->reader.tail = h->tail;
	h->highest = h->highest < AGENT_VERSION ? h->highest : AGENT_VERSION;
	if (h->lowest > AGENT_VERSION)
		h->highest = 0; /* no common version: said, so that the host can tell a person */
	memcpy(h->boot_id, g->boot_id, sizeof(h->boot_id));
	agent_put_pad(&l->out);
	start = guest_begin(g, &(struct agent_frame){ .type = AGENT_HELLO | AGENT_REPLY, .seq = f->seq });
	agent_put_hello_reply(&l->out, h);
	if (guest_end(g, start) < 0)
		return -ENOSPC;
	if (h->highest == 0)
		l->reader.tail = 0;
	return 0;
}

static bool on_frame(void *arg, struct agent_frame *f)
{
	struct guest *g = arg;
	struct agent_hello h;

	if (f->type == AGENT_HELLO) {
		if (agent_get_hello(&f->body, &h) < 0 || greet(g, f, &h) < 0)
			g->link.reader.tail = 0;
	} else if (!guest_request(g, f)) {
		log_warn("the host broke the rules in a frame of type %u; waiting for a new HELLO", f->type);
		g->link.reader.tail = 0;
		job_detach_all(g);
	}
	return g->link.out.len < ANSWERS_MAX;
}

/* Serves what came in. Reading goes on only when all of it is served. */
static void serve_input(struct guest *g)
{
	struct guest_link *l = &g->link;

	while (l->in_at < l->in_len && l->out.len < ANSWERS_MAX) {
		size_t used = l->in_len - l->in_at;

		if (agent_reader_feed(&l->reader, l->in + l->in_at, &used, on_frame, g) > 0)
			job_detach_all(g);
		l->in_at += used;
	}
	if (l->wipe) {
		explicit_bzero(l->in, l->in_at);
		explicit_bzero(l->in + l->in_len, sizeof(l->in) - l->in_len);
		l->wipe = false;
	}
	if (l->in_at < l->in_len)
		ev_io_stop(g->loop->ev, &l->on_read);
	else if (l->fd >= 0 && !ev_is_active(&l->retry))
		ev_io_start(g->loop->ev, &l->on_read);
}

/* The other end is gone: for a port until somebody opens it again, for a connection for good. */
static void on_hangup(struct guest *g)
{
	struct guest_link *l = &g->link;

	if (!l->is_port) {
		link_drop(g);
		if (l->listen_fd < 0)
			loop_stop(g->loop);
		return;
	}
	ev_io_stop(g->loop->ev, &l->on_read);
	ev_io_stop(g->loop->ev, &l->on_write);
	ev_timer_again(g->loop->ev, &l->retry);
}

static void on_read(struct ev_loop *ev, ev_io *w, int events)
{
	struct guest *g = w->data;
	struct guest_link *l = &g->link;
	ssize_t n = read(l->fd, l->in, sizeof(l->in));

	(void)ev;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		on_hangup(g);
		return;
	}
	l->in_at = 0;
	l->in_len = (size_t)n;
	serve_input(g);
}

static void write_out(struct guest *g)
{
	struct guest_link *l = &g->link;
	bool was_full = l->out.len >= STREAM_MAX;
	ssize_t n = l->out.len > 0 ? write(l->fd, l->out.data, l->out.len) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		on_hangup(g);
		return;
	}
	buf_eat(&l->out, n > 0 ? (size_t)n : 0);
	if (l->out.len == 0)
		ev_io_stop(g->loop->ev, &l->on_write);
	else
		ev_io_start(g->loop->ev, &l->on_write);
	if (was_full && l->out.len < STREAM_MAX)
		guest_wake(g);
	if (l->in_at < l->in_len)
		serve_input(g);
}

static void on_write(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)events;
	write_out(w->data);
}

static void on_retry(struct ev_loop *ev, ev_timer *w, int events)
{
	struct guest *g = w->data;

	(void)events;
	ev_timer_stop(ev, w);
	ev_io_start(ev, &g->link.on_read);
	if (g->link.out.len > 0)
		ev_io_start(ev, &g->link.on_write);
}

void guest_use(struct guest *g, int fd, bool is_port)
{
	struct guest_link *l = &g->link;

	link_drop(g);
	agent_reader_finish(&l->reader);
	agent_reader_init(&l->reader, AGENT_HELLO);
	if (fd_nonblock(fd) < 0 || fd_cloexec(fd, 1) < 0) {
		(void)fd_close(fd);
		return;
	}
	l->fd = fd;
	l->is_port = is_port;
	l->out = BUF_INIT(OUT_MAX);
	ev_io_set(&l->on_read, fd, EV_READ);
	ev_io_set(&l->on_write, fd, EV_WRITE);
	ev_io_start(g->loop->ev, &l->on_read);
}

/* By vsock the guest's own users could come as well, from itself. */
static bool is_host(const struct sockaddr_vm *peer)
{
	return peer->svm_family != AF_VSOCK || peer->svm_cid == VMADDR_CID_HOST;
}

static void on_accept(struct ev_loop *ev, ev_io *w, int events)
{
	union {
		struct sockaddr any;
		struct sockaddr_vm vm;
		struct sockaddr_storage room;
	} peer = { .any.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(peer);
	int fd = accept4(w->fd, &peer.any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)ev;
	(void)events;
	if (fd >= 0 && is_host(&peer.vm)) {
		guest_use(w->data, fd, false);
	} else if (fd >= 0) {
		log_warn("refused a connection that does not come from the host");
		(void)fd_close(fd);
	}
}

void guest_listen(struct guest *g, int fd)
{
	g->link.listen_fd = fd;
	ev_io_set(&g->link.on_accept, fd, EV_READ);
	ev_io_start(g->loop->ev, &g->link.on_accept);
}

int guest_init(struct guest *g, struct loop *loop, const char *root)
{
	struct guest_link *l = &g->link;

	memset(g, 0, sizeof(*g));
	g->loop = loop;
	l->fd = l->listen_fd = g->console.pid_fd = -1;
	g->held = (struct guest_held){ -1, -1, -1 };
	ev_init(&l->on_read, on_read);
	ev_init(&l->on_write, on_write);
	ev_init(&l->on_accept, on_accept);
	ev_timer_init(&l->retry, on_retry, PORT_RETRY_S, PORT_RETRY_S);
	ev_timer_init(&l->gather, on_gathered, GATHER_S, 0.);
	l->gather.data = g;
	l->on_read.data = l->on_write.data = l->on_accept.data = l->retry.data = g;
	g->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (g->root_fd < 0)
		return -errno;
	return getrandom(g->boot_id, sizeof(g->boot_id), 0) == (ssize_t)sizeof(g->boot_id) ? 0 : -EIO;
}

void guest_finish(struct guest *g)
{
	link_drop(g);
	ev_io_stop(g->loop->ev, &g->link.on_accept);
	g->link.listen_fd = fd_close(g->link.listen_fd);
	agent_reader_finish(&g->link.reader);
	job_end_all(g);
	ev_timer_stop(g->loop->ev, &g->link.gather);
	loop_cancel(g->loop, &g->link.pump);
	loop_cancel(g->loop, &g->link.flush);
	rebirth_drop(&g->held);
	g->root_fd = fd_close(g->root_fd);
}
