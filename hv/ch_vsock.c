/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. PAUSE -timer-> REACH (the helper connects, for the VMM's socket is its uid's alone) -FD-> ASKED ("CONNECT" was sent, the
 * answer is read byte by byte, for what follows it belongs to the agent) -"OK n"-> IDLE, the stream is the machine's. Whatever goes wrong
 * leads back to PAUSE, which grows up to PAUSE_MAX_MS.
 */
#include "hv/ch_vsock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "hv/agent/proto.h"

#define ANSWER_MS    3000 /* the VMM itself gives up after two seconds */
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 2000

int ch_vsock_answer(const char *line, size_t len)
{
	if (len < 4 || len > 13 || memcmp(line, "OK ", 3) != 0)
		return -EPROTO;
	for (size_t i = 3; i < len; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EPROTO;
	}
	return 0;
}

static void arm(struct ch_vsock *v, enum ch_vsock_step step, uint64_t ms)
{
	struct ev_loop *ev = hv_vm_loop(v->vm)->ev;

	v->step = step;
	ev_timer_stop(ev, &v->timer);
	ev_now_update(ev);
	ev_timer_set(&v->timer, (double)ms / 1000., 0.);
	ev_timer_start(ev, &v->timer);
}

static void let_go(struct ch_vsock *v)
{
	struct ev_loop *ev = hv_vm_loop(v->vm)->ev;

	ev_timer_stop(ev, &v->timer);
	if (v->fd >= 0)
		ev_io_stop(ev, &v->readable);
	v->fd = fd_close(v->fd);
	hv_reach_cancel(v->vm, &v->call);
	v->step = CH_VSOCK_IDLE;
}

static void again(struct ch_vsock *v)
{
	let_go(v);
	v->pause_ms = v->pause_ms * 2 < PAUSE_MAX_MS ? v->pause_ms * 2 : PAUSE_MAX_MS;
	arm(v, CH_VSOCK_PAUSE, v->pause_ms);
}

static void found(struct ch_vsock *v)
{
	int fd = v->fd;

	ev_io_stop(hv_vm_loop(v->vm)->ev, &v->readable);
	v->fd = -1;
	let_go(v);
	hv_agent_stream(v->vm, fd);
	hv_agent_here(v->vm); /* may end everything: comes last */
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
	struct ch_vsock *v = w->data;
	ssize_t n;

	(void)ev;
	(void)events;
	while ((n = recv(v->fd, v->line + v->len, 1, MSG_DONTWAIT)) == 1) {
		if (v->line[v->len] != '\n' && ++v->len < sizeof(v->line))
			continue;
		if (v->len < sizeof(v->line) && ch_vsock_answer(v->line, v->len) == 0)
			found(v);
		else
			again(v);
		return;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		again(v);
}

static void on_reached(struct helper_call *c, const struct helper_result *r)
{
	struct ch_vsock *v = container_of(c, struct ch_vsock, call);
	char ask[CH_VSOCK_LINE];
	int len = snprintf(ask, sizeof(ask), "CONNECT %u\n", AGENT_VSOCK_PORT);

	if (r->status < 0 || r->nfds != 1) {
		log_debug("the agent's socket is not reached: %s", r->reason ? r->reason : "");
		again(v);
		return;
	}
	v->fd = r->fds[0];
	r->fds[0] = -1;
	v->len = 0;
	ev_io_set(&v->readable, v->fd, EV_READ);
	ev_io_start(hv_vm_loop(v->vm)->ev, &v->readable);
	if (send(v->fd, ask, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) == len)
		arm(v, CH_VSOCK_ASKED, ANSWER_MS);
	else
		again(v);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int events)
{
	struct ch_vsock *v = w->data;

	(void)ev;
	(void)events;
	if (v->step == CH_VSOCK_ASKED) {
		again(v);
		return;
	}
	v->step = CH_VSOCK_REACH;
	v->call.done = on_reached;
	hv_reach(v->vm, &v->call);
}

void ch_vsock_init(struct ch_vsock *v, struct hv_vm *vm)
{
	v->vm = vm;
	v->fd = -1;
	ev_init(&v->readable, on_readable);
	ev_init(&v->timer, on_timer);
	v->readable.data = v->timer.data = v;
}

void ch_vsock_seek(struct ch_vsock *v, uint64_t pause_ms)
{
	if (v->step != CH_VSOCK_IDLE)
		return;
	v->pause_ms = PAUSE_MIN_MS;
	arm(v, CH_VSOCK_PAUSE, pause_ms);
}

void ch_vsock_stop(struct ch_vsock *v)
{
	if (v->vm)
		let_go(v);
}
