/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What both daemons add to libev: work put off to the end of the turn, so that no callback frees an object that a later one in
 * the same batch still holds, and an orderly end on SIGTERM and SIGINT. Watchers themselves are plain libev, embedded in their owners.
 */

/** struct loop_task - embedded in an object that may be put off; zeroed = idle */
struct loop_task {
	struct loop_task *next; /* borrowed: the queue */
	void (*run)(struct loop_task *);
};

struct loop {
	struct ev_loop *ev;	/* owned */
	ev_signal on_term, on_int;
	ev_prepare at_end;
	ev_idle awake;
	struct loop_task *first, **last;
};

/** loop_init() - create the loop, ignore SIGPIPE, end on SIGTERM or SIGINT. Return: 0 or -errno */
int loop_init(struct loop *l);

/** loop_run() - serve until loop_stop() or a signal; pending tasks are run before it returns */
void loop_run(struct loop *l);

/** loop_stop() - leave loop_run() at the end of this turn */
void loop_stop(struct loop *l);

/**
 * loop_defer() - run @task once, at the end of this turn, after every callback that is already due
 *
 * Asking again while it waits changes nothing. @task may free the object it is embedded in.
 */
void loop_defer(struct loop *l, struct loop_task *task, void (*run)(struct loop_task *));

/** loop_cancel() - take a waiting task back */
void loop_cancel(struct loop *l, struct loop_task *task);

/** loop_now_ms() - monotonic milliseconds, not cached */
uint64_t loop_now_ms(void);

/** loop_finish() - run what is left and free the loop */
void loop_finish(struct loop *l);

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif
