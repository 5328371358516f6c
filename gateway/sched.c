/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 * A source is in one of three places: with the loop (its ev_io runs), in the queue of floods (its ev_io
 * stands still, so polling costs nothing for it), or shut.
 *
 * A source that has given little lately is served straight from its watcher, which has a higher priority
 * than those of the websockets: what a person waits for goes out first. One that has given more than
 * QUIET_BYTES within WINDOW_S is flooding, and stays so until a whole window with less has passed. Floods
 * stand in the queue, first in, first out. At the end of a turn of the loop, after its deferred tasks
 * (which write out what the quiet sources gave), the first of them is served once. Then the loop polls
 * again.
 *
 * So a keystroke, and its echo, wait for one read of one flood. Serving the queue for longer saves nothing:
 * a poll costs 1 us, a read of a PTY 20 to 40 us for 4 KiB whatever its buffer, and where the kernel gets
 * time between two reads to fill that buffer again, reading is even cheaper (measured: 3.2 ms per MiB
 * instead of 5, and half as much again in throughput). Reads are gathered into frames by the stream.
 *
 * Each read of a flood also lets its program run, on the processor that the one who was typed to needs. So after a
 * keystroke no flood is read until its answer is there, or for ANSWER_S; after that at least BETWEEN floods are served
 * before the next keystroke may hold them up.
 */
#include "gateway/sched.h"

#include <errno.h>
#include <stdlib.h>

#include "base/loop.h"

#define WINDOW_S      0.1
#define QUIET_BYTES   16384u
#define QUIET_QUANTUM 16384u
#define QUANTUM_BYTES 65520u /* one frame of the websocket */
#define QUIET_PRIORITY 1 /* websockets have 0 */
#define ANSWER_S      0.0005 /* the loop makes up to a millisecond of it */
#define BETWEEN	      2u

struct sched {
	struct loop *loop; /* borrowed */
	ev_prepare turn;   /* runs while there is a queue; so does awake, which keeps the loop from sleeping */
	ev_idle awake;
	struct sched_source *first, **last;
	const struct sched_source *awaited; /* typed to, and has not answered; NULL = none */
	ev_timer patience;		    /* then floods go on without its answer */
	unsigned served;		    /* floods since they last waited */
};

static void on_turn(struct ev_loop *ev, ev_prepare *turn, int events);

static void on_awake(struct ev_loop *ev, ev_idle *awake, int events)
{
	(void)ev;
	(void)awake;
	(void)events;
}

static void answered(struct sched *s)
{
	s->awaited = NULL;
	s->served = 0;
	ev_timer_stop(s->loop->ev, &s->patience);
	if (s->first)
		ev_idle_start(s->loop->ev, &s->awake);
}

static void on_patience(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)ev;
	(void)events;
	answered(container_of(timer, struct sched, patience));
}

int sched_create(struct sched **out, struct loop *loop)
{
	struct sched *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->last = &s->first;
	ev_prepare_init(&s->turn, on_turn);
	ev_set_priority(&s->turn, EV_MINPRI); /* after the loop's own, which runs deferred tasks */
	ev_idle_init(&s->awake, on_awake);
	ev_timer_init(&s->patience, on_patience, ANSWER_S, 0.);
	*out = s;
	return 0;
}

static void rest(struct sched *s)
{
	ev_prepare_stop(s->loop->ev, &s->turn);
	ev_idle_stop(s->loop->ev, &s->awake);
	ev_timer_stop(s->loop->ev, &s->patience);
}

struct sched *sched_destroy(struct sched *s)
{
	if (s)
		rest(s);
	free(s);
	return NULL;
}

static void enqueue(struct sched_source *src)
{
	struct sched *s = src->sched;

	ev_io_stop(s->loop->ev, &src->io);
	src->next = NULL;
	src->queued = true;
	*s->last = src;
	s->last = &src->next;
	ev_prepare_start(s->loop->ev, &s->turn);
	if (!s->awaited)
		ev_idle_start(s->loop->ev, &s->awake);
}

static struct sched_source *dequeue(struct sched *s)
{
	struct sched_source *src = s->first;

	s->first = src->next;
	if (!s->first)
		s->last = &s->first;
	src->next = NULL;
	src->queued = false;
	return src;
}

static void unqueue(struct sched_source *src)
{
	struct sched *s = src->sched;

	for (struct sched_source **p = &s->first; *p; p = &(*p)->next) {
		if (*p != src)
			continue;
		*p = src->next;
		if (s->last == &src->next)
			s->last = p;
		break;
	}
	src->next = NULL;
	src->queued = false;
}

/* Keep the books on how much a source gives. */
static void count(struct sched_source *src, size_t got)
{
	ev_tstamp now = ev_now(src->sched->loop->ev);

	if (now - src->window_at >= WINDOW_S) {
		src->flooding = src->window_bytes > QUIET_BYTES && now - src->window_at < 2 * WINDOW_S;
		src->window_at = now;
		src->window_bytes = 0;
	}
	src->window_bytes = src->window_bytes + (uint32_t)got;
	if (src->window_bytes > QUIET_BYTES)
		src->flooding = true;
}

void sched_source_typed(struct sched_source *src)
{
	struct sched *s = src->sched;

	if (!s->first || !src->open || src->flooding || s->awaited || s->served < BETWEEN)
		return;
	s->awaited = src;
	ev_timer_set(&s->patience, ANSWER_S, 0.);
	ev_timer_start(s->loop->ev, &s->patience);
	ev_idle_stop(s->loop->ev, &s->awake); /* the loop sleeps meanwhile: the processor is the answer's */
}

/* Serve once, then put the source where it belongs. */
static void serve(struct sched_source *src, size_t quantum)
{
	size_t got = 0;
	enum sched_rest left = src->serve(src, quantum, &got);

	if (got > 0)
		count(src, got);
	src->dry = left == SCHED_EMPTY;
	if (left == SCHED_SHUT)
		sched_source_shut(src);
	if (!src->open)
		return;
	if (left == SCHED_MORE && src->flooding)
		enqueue(src);
	else
		ev_io_start(src->sched->loop->ev, &src->io);
}

static void on_turn(struct ev_loop *ev, ev_prepare *turn, int events)
{
	struct sched *s = container_of(turn, struct sched, turn);

	(void)ev;
	(void)events;
	if (s->awaited)
		return;
	if (s->first) {
		s->served++;
		serve(dequeue(s), QUANTUM_BYTES);
	}
	if (!s->first)
		rest(s);
}

static void on_readable(struct ev_loop *ev, ev_io *io, int events)
{
	struct sched_source *src = container_of(io, struct sched_source, io);

	(void)ev;
	(void)events;
	if (src->sched->awaited == src)
		answered(src->sched);
	count(src, 0);
	if (src->flooding)
		enqueue(src);
	else
		serve(src, QUIET_QUANTUM);
}

void sched_source_init(struct sched_source *src, struct sched *s, int fd,
		       enum sched_rest (*serve_one)(struct sched_source *, size_t, size_t *))
{
	*src = (struct sched_source){ .serve = serve_one, .sched = s, .dry = true };
	ev_io_init(&src->io, on_readable, fd, EV_READ);
	ev_set_priority(&src->io, QUIET_PRIORITY);
}

void sched_source_open(struct sched_source *src)
{
	if (src->open)
		return;
	src->open = true;
	if (src->flooding && !src->dry)
		enqueue(src);
	else
		ev_io_start(src->sched->loop->ev, &src->io);
}

void sched_source_shut(struct sched_source *src)
{
	if (!src->open)
		return;
	src->open = false;
	if (src->sched->awaited == src)
		answered(src->sched);
	if (src->queued)
		unqueue(src);
	ev_io_stop(src->sched->loop->ev, &src->io);
}
