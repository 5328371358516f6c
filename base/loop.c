/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

/* Runs what waits now: a task that defers itself again runs in the next turn. */
static void run_tasks(struct loop *l)
{
	size_t n = 0;

	for (struct loop_task *t = l->first; t; t = t->next)
		n++;
	while (n-- > 0 && l->first) {
		struct loop_task *t = l->first;
		void (*run)(struct loop_task *) = t->run;

		l->first = t->next;
		if (!l->first)
			l->last = &l->first;
		t->next = NULL;
		t->run = NULL;
		run(t);
	}
	if (!l->first)
		ev_idle_stop(l->ev, &l->awake);
}

/* ev_prepare runs before the loop sleeps: the end of a turn. */
static void on_end(struct ev_loop *ev, ev_prepare *w, int events)
{
	(void)ev;
	(void)events;
	run_tasks(w->data);
}

static void on_signal(struct ev_loop *ev, ev_signal *w, int events)
{
	(void)w;
	(void)events;
	ev_break(ev, EVBREAK_ALL);
}

/* The idle watcher only keeps the loop from sleeping while tasks wait. */
static void on_awake(struct ev_loop *ev, ev_idle *w, int events)
{
	(void)ev;
	(void)w;
	(void)events;
}

int loop_init(struct loop *l)
{
	memset(l, 0, sizeof(*l));
	l->last = &l->first;
	l->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (!l->ev)
		return -ENOMEM;
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	ev_signal_init(&l->on_term, on_signal, SIGTERM);
	ev_signal_init(&l->on_int, on_signal, SIGINT);
	ev_prepare_init(&l->at_end, on_end);
	ev_idle_init(&l->awake, on_awake);
	l->at_end.data = l;
	ev_signal_start(l->ev, &l->on_term);
	ev_signal_start(l->ev, &l->on_int);
	ev_prepare_start(l->ev, &l->at_end);
	return 0;
}

void loop_run(struct loop *l)
{
	ev_run(l->ev, 0);
	run_tasks(l);
}

void loop_stop(struct loop *l)
{
	ev_break(l->ev, EVBREAK_ALL);
}

void loop_defer(struct loop *l, struct loop_task *task, void (*run)(struct loop_task *))
{
	if (task->run) {
		task->run = run;
		return;
	}
	task->run = run;
	task->next = NULL;
	*l->last = task;
	l->last = &task->next;
	ev_idle_start(l->ev, &l->awake);
}

void loop_cancel(struct loop *l, struct loop_task *task)
{
	if (!task->run)
		return;
	for (struct loop_task **p = &l->first; *p; p = &(*p)->next) {
		if (*p != task)
			continue;
		*p = task->next;
		if (l->last == &task->next)
			l->last = p;
		break;
	}
	task->next = NULL;
	task->run = NULL;
}

uint64_t loop_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void loop_finish(struct loop *l)
{
	if (!l->ev)
		return;
	while (l->first)
		run_tasks(l);
	ev_signal_stop(l->ev, &l->on_term);
	ev_signal_stop(l->ev, &l->on_int);
	ev_prepare_stop(l->ev, &l->at_end);
	ev_idle_stop(l->ev, &l->awake);
	ev_loop_destroy(l->ev);
	l->ev = NULL;
}
