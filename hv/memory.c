/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   next --timer--> the machine that was read longest ago -NETD_MEMORY-> a file of the kernel's -thread-> done: noted, and the timer again
 *
 * The helper opens the file, for it may act as the machine's user; nothing is read there, and it never waits. Without machines that run the timer rests.
 */
#include "hv/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"
#include "hv/vm.h"

#define ROLLUP_MAX 4096
#define DUTY	   20 /* of the time, one part in so many is spent on counting */

uint64_t gauge_parse(const char *text, size_t len)
{
	static const char name[] = "\nPss:";
	const char *at = memmem(text, len, name, sizeof(name) - 1);
	char number[32];
	size_t n;

	if (!at)
		return 0;
	at += sizeof(name) - 1;
	n = (size_t)(text + len - at);
	n = n < sizeof(number) - 1 ? n : sizeof(number) - 1;
	memcpy(number, at, n);
	number[n] = '\0';
	return (uint64_t)strtoul(number, NULL, 10) << 10;
}

static bool counts(const struct hv_vm *vm)
{
	return vm->running && vm->has_slot && (vm->state == HV_READY || vm->state == HV_PAUSED);
}

static uint64_t due_ms(const struct hv_vm *vm)
{
	return vm->pss_ms ? vm->pss_ms + vm->hv->limits.memory_ms : 0;
}

/* The one that has waited longest. NULL: none runs */
static struct hv_vm *first_due(const struct hv *hv)
{
	struct hv_vm *best = NULL;

	for (struct hv_vm *vm = hv->first; vm; vm = vm->next)
		if (counts(vm) && (!best || due_ms(vm) < due_ms(best)))
			best = vm;
	return best;
}

static void arm(struct hv *hv, uint64_t pause_ms)
{
	const struct hv_vm *vm = first_due(hv);
	uint64_t now = loop_now_ms(), wait;

	ev_timer_stop(hv->loop->ev, &hv->gauge.next);
	if (!vm || hv->gauge.busy)
		return;
	wait = due_ms(vm) > now ? due_ms(vm) - now : 0;
	wait = wait > pause_ms ? wait : pause_ms;
	ev_now_update(hv->loop->ev);
	ev_timer_set(&hv->gauge.next, (double)wait / 1000., 0.);
	ev_timer_start(hv->loop->ev, &hv->gauge.next);
}

static void rest(struct hv *hv)
{
	struct gauge *g = &hv->gauge;
	uint64_t pause = DUTY * g->took_ms;

	g->busy = false;
	arm(hv, pause > hv->limits.memory_gap_ms ? pause : hv->limits.memory_gap_ms);
}

static void *run_thread(void *arg)
{
	struct hv *hv = arg;
	struct gauge *g = &hv->gauge;
	uint64_t since = loop_now_ms();
	char text[ROLLUP_MAX];
	ssize_t n = read(g->fd, text, sizeof(text));

	g->fd = fd_close(g->fd);
	g->bytes = n > 0 ? gauge_parse(text, (size_t)n) : 0;
	g->took_ms = loop_now_ms() - since;
	ev_async_send(hv->loop->ev, &g->done);
	return NULL;
}

static void on_done(struct ev_loop *ev, ev_async *w, int events)
{
	struct hv *hv = w->data;
	struct gauge *g = &hv->gauge;
	struct hv_vm *vm = hv_find(hv, g->id);

	(void)events;
	ev_async_stop(ev, w);
	(void)pthread_join(g->thread, NULL);
	g->reading = false;
	if (vm && counts(vm))
		vm->pss_bytes = g->bytes;
	rest(hv);
}

static void on_file(struct helper_call *c, const struct helper_result *r)
{
	struct hv *hv = container_of(c, struct hv, gauge.call);
	struct gauge *g = &hv->gauge;

	g->took_ms = 0;
	if (r->status < 0 || r->nfds != 1) {
		log_debug("the memory of a machine is not known: %s", r->reason ? r->reason : "the helper gave no file");
		rest(hv);
		return;
	}
	g->fd = fd_take(&r->fds[0]);
	ev_async_start(hv->loop->ev, &g->done);
	g->reading = thread_begin(&hv->gauge.thread, run_thread, hv) == 0;
	if (g->reading)
		return;
	ev_async_stop(hv->loop->ev, &g->done);
	g->fd = fd_close(g->fd);
	rest(hv);
}

static void on_next(struct ev_loop *ev, ev_timer *w, int events)
{
	struct hv *hv = w->data;
	struct gauge *g = &hv->gauge;
	struct hv_vm *vm = first_due(hv);

	(void)ev;
	(void)events;
	if (!vm)
		return;
	if (!helper_up(hv->helper) || due_ms(vm) > loop_now_ms()) {
		arm(hv, hv->limits.memory_gap_ms);
		return;
	}
	vm->pss_ms = loop_now_ms();
	memcpy(g->id, vm->id, sizeof(g->id));
	g->busy = true;
	g->call.done = on_file;
	helper_memory(hv->helper, &g->call, vm->info.slot);
}

void gauge_wake(struct hv *hv)
{
	if (!hv->gauge.busy && (!ev_is_active(&hv->gauge.next) ||
				ev_timer_remaining(hv->loop->ev, &hv->gauge.next) * 1000. > (double)hv->limits.memory_gap_ms))
		arm(hv, hv->limits.memory_gap_ms);
}

void gauge_init(struct hv *hv)
{
	struct gauge *g = &hv->gauge;

	g->fd = -1;
	ev_init(&g->next, on_next);
	ev_async_init(&g->done, on_done);
	g->next.data = g->done.data = hv;
}

void gauge_finish(struct hv *hv)
{
	struct gauge *g = &hv->gauge;

	ev_timer_stop(hv->loop->ev, &g->next);
	helper_cancel(hv->helper, &g->call);
	if (g->reading)
		(void)pthread_join(g->thread, NULL);
	g->reading = false;
	ev_async_stop(hv->loop->ev, &g->done);
}
