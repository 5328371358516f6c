/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/ch_snapshot.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/thread.h"
#include "hv/ch_config.h"
#include "hv/driver.h"

#define PAGE	4096
#define AT_ONCE (64 * PAGE) /* what a drop may have to wait for: the file was just written, and most of it is in the host's memory */

enum { CONFIG, STATE, MEMORY, FILES };

struct ch_snapshot {
	struct loop *loop; /* borrowed */
	ev_async ended;
	pthread_t thread;
	atomic_bool drop;
	int folder, from[FILES], to[FILES]; /* owned; duplicates */
	uint64_t bytes[FILES];
	struct err e; /* of the thread, until it has ended */
	void (*done)(void *arg, const char *why);
	void *arg;
};

static const char *const names[FILES] = { CH_SNAPSHOT_CONFIG, CH_SNAPSHOT_STATE, CH_SNAPSHOT_MEMORY };

static void destroy(struct ch_snapshot *s)
{
	for (int i = 0; i < FILES; i++) {
		(void)fd_close(s->from[i]);
		(void)fd_close(s->to[i]);
	}
	(void)fd_close(s->folder);
	free(s);
}

static bool is_zero(const uint8_t *page, size_t len)
{
	return page[0] == 0 && memcmp(page, page + 1, len - 1) == 0;
}

/* What is zero already is not written: it would take memory. */
static int put(int fd, const uint8_t *data, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i += PAGE) {
		size_t n = len - i < PAGE ? len - i : PAGE;

		if (!is_zero(data + i, n) && pwrite(fd, data + i, n, (off_t)(at + i)) != (ssize_t)n)
			return -EIO;
	}
	return 0;
}

static int copy(struct ch_snapshot *s, int i, uint8_t *room)
{
	uint64_t at = 0;

	while (at < s->bytes[i]) {
		size_t want = s->bytes[i] - at < AT_ONCE ? (size_t)(s->bytes[i] - at) : AT_ONCE;
		ssize_t n = pread(s->from[i], room, want, (off_t)at);

		if (atomic_load(&s->drop))
			return -ECANCELED;
		/* Whole pages but for the end, or zeros would be compared with the wrong ones. */
		if (n < 0 || (size_t)n != want)
			return err_set(&s->e, -EIO, "the snapshot's %s cannot be read whole", names[i]);
		if (put(s->to[i], room, want, at) < 0)
			return err_set(&s->e, -ENOMEM, "no memory for the snapshot's %s", names[i]);
		at += want;
	}
	return 0;
}

static void *run_thread(void *arg)
{
	struct ch_snapshot *s = arg;
	uint8_t *room = malloc(AT_ONCE);
	int r = 0;

	if (!room)
		(void)err_set(&s->e, -ENOMEM, "no memory to copy a snapshot");
	for (int i = 0; room && r == 0 && i < FILES; i++)
		r = i == MEMORY || ftruncate(s->to[i], (off_t)s->bytes[i]) == 0 ? copy(s, i, room) : err_set(&s->e, -errno, "no memory for a snapshot");
	free(room);
	/* Here, for gigabytes are not given back at once. */
	for (int i = 0; i < FILES; i++) {
		(void)unlinkat(s->folder, names[i], 0);
		s->from[i] = fd_close(s->from[i]);
	}
	ev_async_send(s->loop->ev, &s->ended);
	return NULL;
}

static void on_ended(struct ev_loop *ev, ev_async *w, int events)
{
	struct ch_snapshot *s = w->data;
	void (*done)(void *, const char *) = s->done;
	void *arg = s->arg;
	struct err e;

	(void)events;
	ev_async_stop(ev, w);
	(void)pthread_join(s->thread, NULL);
	e = s->e;
	destroy(s);
	done(arg, e.code ? e.msg : NULL);
}

/* A file of its maker's, by no other name, and no larger than it may be. */
static int open_file(struct ch_snapshot *s, int folder, int i, uint64_t most)
{
	struct stat st;

	s->from[i] = openat(folder, names[i], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (s->from[i] < 0 || fstat(s->from[i], &st) < 0)
		return err_set(&s->e, -errno, "the snapshot's %s cannot be opened: %s", names[i], strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size > most)
		return err_set(&s->e, -EPROTO, "the snapshot's %s is none, or larger than the machine", names[i]);
	s->bytes[i] = (uint64_t)st.st_size;
	return 0;
}

static int open_all(struct ch_snapshot *s, int folder, const struct hv_origin *into, uint64_t memory_bytes)
{
	const int to[FILES] = { into->config_fd, into->state_fd, into->memory_fd };
	const uint64_t most[FILES] = { CH_CONFIG_MAX, CH_STATE_MAX, memory_bytes };
	int r = 0;

	s->folder = fcntl(folder, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; r == 0 && i < FILES; i++) {
		s->to[i] = fcntl(to[i], F_DUPFD_CLOEXEC, 3);
		r = s->to[i] < 0 ? err_set(&s->e, -errno, "no file descriptor is left for a snapshot") : open_file(s, folder, i, most[i]);
	}
	/* All of its memory, or pages of it would be missing. */
	if (r == 0 && s->bytes[MEMORY] != memory_bytes)
		r = err_set(&s->e, -EPROTO, "the snapshot's %s has not the size of the machine's memory", names[MEMORY]);
	return r;
}

int ch_snapshot_take(struct ch_snapshot **out, struct loop *loop, int folder, const struct hv_origin *into, uint64_t memory_bytes,
		     void (*done)(void *arg, const char *why), void *arg, struct err *e)
{
	struct ch_snapshot *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "no memory to copy a snapshot");
	for (int i = 0; i < FILES; i++)
		s->from[i] = s->to[i] = -1;
	s->folder = -1;
	s->loop = loop;
	s->done = done;
	s->arg = arg;
	ev_async_init(&s->ended, on_ended);
	s->ended.data = s;
	r = open_all(s, folder, into, memory_bytes);
	if (r == 0) {
		ev_async_start(loop->ev, &s->ended);
		r = thread_begin(&s->thread, run_thread, s);
		if (r < 0) {
			ev_async_stop(loop->ev, &s->ended);
			(void)err_set(&s->e, r, "no thread to copy a snapshot");
		}
	}
	if (r == 0) {
		*out = s;
		return 0;
	}
	(void)err_set(e, r, "%s", s->e.msg);
	destroy(s);
	return r;
}

struct ch_snapshot *ch_snapshot_drop(struct ch_snapshot *s)
{
	if (!s)
		return NULL;
	atomic_store(&s->drop, true);
	(void)pthread_join(s->thread, NULL);
	ev_async_stop(s->loop->ev, &s->ended);
	destroy(s);
	return NULL;
}
