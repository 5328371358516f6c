/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   loop: scribe_text() --> fill --swapped by the thread--> work --> lines --> write(2)         (one of each for a file)
 *   thread: state --> on_news() in the loop
 *
 * Under the lock: fill, state, limit, the flags and both lists. The thread alone has work, lines, cast and the
 * descriptor. Events are handed over FLUSH_S after the first of them, or when much is queued: a keystroke
 * costs no wake-up of its own, and a crash costs nothing, for the ring of the stream still holds what was not written.
 *
 * A piece is written whole or not at all: what a full disk took of it is cut off again. So the file always ends
 * with whole lines, but for a death of the process in the middle of write(2), which cast_find_mark() mends.
 */
#include "gateway/scribe.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/thread.h"

#define FLUSH_S	     .25
#define HURRY_BYTES  (64u << 10)
#define LINES_MAX    (2u << 20) /* bytes of lines in memory */
#define PIECE_BYTES  (256u << 10) /* of lines, that are written at once */
#define SMALL_BYTES  (4u << 10) /* beside the queue, for what always finds room */
#define GATHER_US    10000 /* output that comes so soon after other output is one event with it */
#define NAME_BYTES   64
#define NEWS_PER_TURN 64

enum kind { ITEM_OUTPUT = CAST_OUTPUT, ITEM_INPUT = CAST_INPUT, ITEM_MARKER = CAST_MARKER, ITEM_HEADER, ITEM_RESIZE, ITEM_EXIT };

/* In front of the @len bytes of each event. */
struct item {
	enum kind kind;
	uint32_t len;
	uint64_t at_us, offset;
	int64_t a, b; /* cols and rows, code and signal */
};

struct scribe_file {
	struct scribe *s;
	struct scribe_file *next, *todo_next, *news_next;
	void (*on_news)(void *arg, const struct scribe_state *st); /* loop */
	void *arg;
	size_t last_at; /* loop: of the last item in fill, SIZE_MAX without one that may grow */

	struct buf fill; /* lock */
	struct scribe_state state;
	uint64_t limit;
	bool queued, busy, told, closing;

	int fd; /* thread; owned */
	struct buf work, lines;
	struct cast cast;
};

struct removal {
	struct removal *next;
	char name[NAME_BYTES];
};

struct scribe {
	struct loop *loop; /* borrowed */
	int dir_fd;	   /* borrowed */
	pthread_t thread;
	ev_async wake;
	ev_timer flush;
	struct scribe_file *files; /* loop */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct scribe_file *todo, *news;
	struct removal *removals;
	size_t total; /* bytes of all events that wait, being written or not */
	bool stop, running;
};

/* --- thread: events to lines to disk --------------------------------------------------------------------- */

static int add_line(struct scribe_file *f, const struct item *i, const uint8_t *data)
{
	struct cast *c = &f->cast;

	switch (i->kind) {
	case ITEM_HEADER: {
		char title[256];
		size_t n = i->len < sizeof(title) - 1 ? i->len : sizeof(title) - 1;
		struct cast_head h = { .cols = (uint16_t)i->a, .rows = (uint16_t)i->b, .started_s = (int64_t)i->offset, .title = title };

		memcpy(title, data, n);
		title[n] = '\0';
		return cast_header(&f->lines, &h);
	}
	case ITEM_RESIZE:
		return cast_resize(c, &f->lines, i->at_us, (uint16_t)i->a, (uint16_t)i->b);
	case ITEM_EXIT: {
		int r = cast_flush(c, &f->lines, i->at_us);

		return r < 0 ? r : cast_exit(c, &f->lines, i->at_us, (int)i->a, (int)i->b);
	}
	default:
		return cast_text(c, &f->lines, (enum cast_event)i->kind, i->at_us, data, i->len);
	}
}

static int add_mark(struct scribe_file *f, const struct scribe_state *st)
{
	const struct cast_mark m = { .offset = st->offset - f->cast.held_len, .at_us = f->cast.last_us, .replaced = f->cast.replaced };

	return cast_mark(&f->lines, &m);
}

/* Put the lines behind what is there; or leave the file as it was. */
static int write_lines(struct scribe_file *f, struct scribe_state *st)
{
	int r = f->lines.len > 0 ? fd_write_all(f->fd, f->lines.data, f->lines.len) : 0;

	if (r == -EDQUOT)
		r = -ENOSPC; /* of the file system; ours is another */

	if (r < 0) {
		/* A half line would be the end of the recording for every player. */
		if (ftruncate(f->fd, (off_t)st->size) < 0)
			log_debug("recording: ftruncate failed: %s", strerror(errno));
	} else {
		st->size += f->lines.len;
		st->at_us = f->cast.last_us;
		st->replaced = f->cast.replaced;
	}
	f->lines.len = 0;
	return r;
}

/* A piece: the lines and their mark. */
static void write_piece(struct scribe_file *f, struct scribe_state *st, uint64_t done)
{
	uint64_t before = st->offset;

	if (f->lines.len == 0)
		return;
	st->offset = done;
	st->error = add_mark(f, st);
	if (st->error == 0)
		st->error = write_lines(f, st);
	if (st->error < 0)
		st->offset = before;
}

/* All events in @f->work, as far as limit and disk let them be written. */
static void write_events(struct scribe_file *f, struct scribe_state *st, uint64_t limit)
{
	uint64_t done = st->offset;
	size_t at = 0;

	while (st->error == 0 && at < f->work.len) {
		const struct cast before = f->cast;
		size_t whole = f->lines.len;
		struct item i;
		int r;

		memcpy(&i, f->work.data + at, sizeof(i));
		r = add_line(f, &i, (const uint8_t *)f->work.data + at + sizeof(i));
		if (r == 0 && st->size + f->lines.len > limit && i.kind != ITEM_HEADER) {
			f->cast = before;
			f->lines.len = whole;
			r = -EDQUOT;
		}
		if (r == 0 && i.kind != ITEM_HEADER)
			done = i.offset;
		at += sizeof(i) + i.len;
		if (r < 0 || f->lines.len >= PIECE_BYTES)
			write_piece(f, st, done);
		if (r < 0 && st->error == 0)
			st->error = r;
	}
	if (st->error == 0)
		write_piece(f, st, done);
	f->work.len = 0;
	if (f->work.cap > HURRY_BYTES)
		buf_finish(&f->work); /* floods are rare and idle recordings many */
}

static void close_file(struct scribe_file *f, struct scribe_state *st)
{
	int r = cast_flush(&f->cast, &f->lines, f->cast.last_us);

	if (r == 0)
		r = cast_closing(&f->cast, &f->lines);
	if (r == 0)
		r = write_lines(f, st);
	if (r < 0 && st->error == 0)
		st->error = r;
	if (fsync(f->fd) < 0 && st->error == 0)
		st->error = -errno;
	f->fd = fd_close(f->fd);
	st->closed = true;
}

/* With the lock held, and let go of in between. */
static void serve(struct scribe *s, struct scribe_file *f)
{
	struct scribe_state st = f->state;
	uint64_t limit = f->limit;
	bool closing = f->closing;
	struct buf full = f->fill;
	size_t taken = full.len;

	f->fill = f->work;
	f->work = full;
	f->queued = false;
	f->busy = true;
	pthread_mutex_unlock(&s->lock);
	write_events(f, &st, limit);
	if (closing && !st.closed)
		close_file(f, &st);
	pthread_mutex_lock(&s->lock);
	f->state = st;
	f->busy = false;
	s->total -= taken;
	if (!f->told) {
		f->told = true;
		f->news_next = s->news;
		s->news = f;
		ev_async_send(s->loop->ev, &s->wake);
	}
}

static void remove_files(struct scribe *s)
{
	struct removal *list = s->removals, *next;

	s->removals = NULL;
	pthread_mutex_unlock(&s->lock);
	for (; list; list = next) {
		next = list->next;
		if (unlinkat(s->dir_fd, list->name, 0) < 0 && errno != ENOENT)
			log_warn("recording %s cannot be deleted: %s", list->name, strerror(errno));
		free(list);
	}
	pthread_mutex_lock(&s->lock);
}

static void *run_thread(void *arg)
{
	struct scribe *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		struct scribe_file *f = s->todo;

		if (f) {
			s->todo = f->todo_next;
			serve(s, f);
		} else if (s->removals) {
			remove_files(s);
		} else if (s->stop) {
			break;
		} else {
			pthread_cond_wait(&s->work, &s->lock);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* --- loop: queueing -------------------------------------------------------------------------------------- */

static void free_file(struct scribe_file *f)
{
	struct scribe_file **p = &f->s->files;

	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	f->fd = fd_close(f->fd);
	buf_finish(&f->fill);
	buf_finish(&f->work);
	buf_finish(&f->lines);
	free(f);
}

/* With the lock held. */
static void hand_over(struct scribe_file *f)
{
	struct scribe *s = f->s;

	if (f->queued || f->state.closed || (f->fill.len == 0 && !f->closing))
		return;
	f->queued = true;
	f->todo_next = s->todo;
	s->todo = f;
	f->last_at = SIZE_MAX;
	pthread_cond_signal(&s->work);
}

static void on_flush(struct ev_loop *ev, ev_timer *w, int events)
{
	struct scribe *s = container_of(w, struct scribe, flush);

	(void)events;
	ev_timer_stop(ev, w);
	pthread_mutex_lock(&s->lock);
	for (struct scribe_file *f = s->files; f; f = f->next)
		hand_over(f);
	pthread_mutex_unlock(&s->lock);
}

/* The next file that has news. Return: it, or NULL; @over: nothing will touch it any more. */
static struct scribe_file *next_news(struct scribe *s, struct scribe_state *st, bool *over)
{
	struct scribe_file *f;

	pthread_mutex_lock(&s->lock);
	f = s->news;
	if (f) {
		s->news = f->news_next;
		f->told = false;
		*st = f->state;
		*over = st->closed && !f->queued && !f->busy;
	}
	pthread_mutex_unlock(&s->lock);
	return f;
}

static void on_wake(struct ev_loop *ev, ev_async *w, int events)
{
	struct scribe *s = container_of(w, struct scribe, wake);
	struct scribe_state st;
	struct scribe_file *f;
	bool over;

	(void)events;
	for (int n = 0; n < NEWS_PER_TURN; n++) {
		f = next_news(s, &st, &over);
		if (!f)
			return;
		if (f->on_news)
			f->on_news(f->arg, &st);
		if (!f->on_news && over)
			free_file(f);
	}
	ev_async_send(ev, w);
}

/* What a file may queue now. With the lock held. */
static size_t room_of(const struct scribe_file *f)
{
	return f->s->total > SCRIBE_TOTAL_BYTES ? SCRIBE_QUEUE_LEAST : SCRIBE_QUEUE_BYTES;
}

/* With the lock held. Return: 0, or negative when it would pass @room. */
static int put(struct scribe_file *f, const struct item *i, const void *data, size_t room)
{
	size_t at = f->fill.len;
	int r;

	if (at + sizeof(*i) + i->len > room)
		return -ENOSPC;
	r = buf_add(&f->fill, i, sizeof(*i));
	if (r == 0 && i->len > 0)
		r = buf_add(&f->fill, data, i->len);
	if (r < 0) {
		f->fill.len = at;
		return r;
	}
	f->last_at = at;
	f->s->total += sizeof(*i) + i->len;
	return 0;
}

static void soon(struct scribe_file *f)
{
	struct scribe *s = f->s;

	if (f->fill.len >= HURRY_BYTES)
		hand_over(f);
	else if (!ev_is_active(&s->flush)) {
		ev_timer_set(&s->flush, FLUSH_S, 0.);
		ev_timer_start(s->loop->ev, &s->flush);
	}
}

static void put_small(struct scribe_file *f, const struct item *i, const void *data)
{
	pthread_mutex_lock(&f->s->lock);
	if (put(f, i, data, room_of(f) + SMALL_BYTES) == 0)
		soon(f);
	pthread_mutex_unlock(&f->s->lock);
}

/* Output right behind other output: one event. With the lock held. */
static bool grow_last(struct scribe_file *f, enum cast_event what, uint64_t at_us, uint64_t offset, const uint8_t *data, size_t len)
{
	struct item last;

	if (what != CAST_OUTPUT || f->last_at >= f->fill.len)
		return false;
	memcpy(&last, f->fill.data + f->last_at, sizeof(last));
	if (last.kind != ITEM_OUTPUT || at_us - last.at_us > GATHER_US || last.len + len > SCRIBE_PIECE_MAX ||
	    f->fill.len + len > room_of(f) || buf_add(&f->fill, data, len) < 0)
		return false;
	last.len += (uint32_t)len;
	last.offset = offset;
	f->s->total += len;
	memcpy(f->fill.data + f->last_at, &last, sizeof(last));
	return true;
}

bool scribe_text(struct scribe_file *f, enum cast_event what, uint64_t at_us, uint64_t offset, const uint8_t *data, size_t len)
{
	const struct item i = { .kind = (enum kind)what, .len = (uint32_t)len, .at_us = at_us, .offset = offset };
	bool taken;

	pthread_mutex_lock(&f->s->lock);
	taken = grow_last(f, what, at_us, offset, data, len) || put(f, &i, data, room_of(f)) == 0;
	if (taken)
		soon(f);
	else
		hand_over(f);
	pthread_mutex_unlock(&f->s->lock);
	return taken;
}

void scribe_cut(struct scribe_file *f)
{
	f->last_at = SIZE_MAX;
}

void scribe_header(struct scribe_file *f, const struct cast_head *h)
{
	const struct item i = { .kind = ITEM_HEADER, .len = (uint32_t)strlen(h->title), .offset = (uint64_t)h->started_s, .a = h->cols, .b = h->rows };

	put_small(f, &i, h->title);
}

void scribe_resize(struct scribe_file *f, uint64_t at_us, uint64_t offset, uint16_t cols, uint16_t rows)
{
	const struct item i = { .kind = ITEM_RESIZE, .at_us = at_us, .offset = offset, .a = cols, .b = rows };

	put_small(f, &i, NULL);
}

void scribe_exit(struct scribe_file *f, uint64_t at_us, uint64_t offset, int code, int signal)
{
	const struct item i = { .kind = ITEM_EXIT, .at_us = at_us, .offset = offset, .a = code, .b = signal };

	put_small(f, &i, NULL);
}

void scribe_limit(struct scribe_file *f, uint64_t limit)
{
	pthread_mutex_lock(&f->s->lock);
	f->limit = limit;
	pthread_mutex_unlock(&f->s->lock);
}

void scribe_close(struct scribe_file *f)
{
	pthread_mutex_lock(&f->s->lock);
	f->closing = true;
	hand_over(f);
	pthread_mutex_unlock(&f->s->lock);
}

struct scribe_file *scribe_forget(struct scribe_file *f)
{
	if (!f)
		return NULL;
	f->on_news = NULL;
	scribe_close(f);
	return NULL;
}

/* With the first work: most gateways record nothing. */
static int need_thread(struct scribe *s)
{
	int r;

	if (s->running)
		return 0;
	r = thread_begin(&s->thread, run_thread, s);
	s->running = r == 0;
	if (r < 0)
		log_err("the thread for recordings does not start: %s", strerror(-r));
	return r;
}

void scribe_remove(struct scribe *s, const char *name)
{
	struct removal *r = calloc(1, sizeof(*r));

	if (!r || strlen(name) >= sizeof(r->name) || need_thread(s) < 0) {
		free(r);
		log_warn("recording %s is not deleted: no memory or thread; the next start does it", name);
		return;
	}
	memcpy(r->name, name, strlen(name) + 1);
	pthread_mutex_lock(&s->lock);
	r->next = s->removals;
	s->removals = r;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
}

/* --- life ------------------------------------------------------------------------------------------------ */

struct scribe_file *scribe_open(struct scribe *s, const struct scribe_open *o)
{
	struct scribe_file *f = calloc(1, sizeof(*f));

	if (!f || need_thread(s) < 0) {
		free(f);
		(void)fd_close(o->fd);
		return NULL;
	}
	f->s = s;
	f->fd = o->fd;
	f->state = o->state;
	f->limit = o->limit;
	f->on_news = o->on_news;
	f->arg = o->arg;
	f->last_at = SIZE_MAX;
	f->fill = f->work = BUF_INIT(SCRIBE_QUEUE_BYTES + SMALL_BYTES);
	f->lines = BUF_INIT(LINES_MAX);
	f->cast.last_us = o->state.at_us;
	f->cast.replaced = o->state.replaced;
	f->next = s->files;
	s->files = f;
	return f;
}

int scribe_create(struct scribe **out, struct loop *loop, int dir_fd, struct err *e)
{
	struct scribe *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "no memory for recordings");
	s->loop = loop;
	s->dir_fd = dir_fd;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	ev_async_init(&s->wake, on_wake);
	ev_timer_init(&s->flush, on_flush, FLUSH_S, 0.);
	ev_async_start(loop->ev, &s->wake);
	*out = s;
	return 0;
}

struct scribe *scribe_destroy(struct scribe *s)
{
	if (!s)
		return NULL;
	for (struct scribe_file *f = s->files; f; f = f->next)
		(void)scribe_forget(f);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	if (s->running)
		(void)pthread_join(s->thread, NULL);
	ev_async_stop(s->loop->ev, &s->wake);
	ev_timer_stop(s->loop->ev, &s->flush);
	while (s->files)
		free_file(s->files);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}
