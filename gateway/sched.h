/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SCHED_H
#define GATEWAY_SCHED_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct sched;

/*
 * Decides which streams are read in a turn of the loop: those that have been quiet are served first and at
 * once, flooding ones take turns, one read in each turn of the loop, so that an echo never waits for more
 * than one read of somebody else's flood.
 */
int sched_create(struct sched **out, struct loop *loop);
struct sched *sched_destroy(struct sched *s);

/* What a source says after it was served. */
enum sched_rest {
	SCHED_EMPTY, /* nothing more to read now: wait for the FD */
	SCHED_MORE,  /* there may be more */
	SCHED_SHUT,  /* do not read until sched_source_open() is called again */
};

/**
 * struct sched_source - an FD to be read in turns; embedded in its stream
 * @serve: read at most @quantum bytes, set *@got to what was read; from a source that is @flooding by one
 * call of the kernel
 * @flooding: has given much lately
 *
 * The other fields are the scheduler's own.
 */
struct sched_source {
	enum sched_rest (*serve)(struct sched_source *src, size_t quantum, size_t *got);
	struct sched *sched;
	struct sched_source *next;
	ev_io io;
	ev_tstamp window_at;	/* start of the present window of time */
	uint32_t window_bytes;	/* read in it */
	bool flooding, queued, open;
	bool dry;		/* the last read found nothing more */
};

/** sched_source_init() - get ready to read @fd; nothing is read yet */
void sched_source_init(struct sched_source *src, struct sched *s, int fd,
		       enum sched_rest (*serve)(struct sched_source *, size_t, size_t *));

/** sched_source_open() - begin or go on reading. Never serves before it returns. Cheap when already open */
void sched_source_open(struct sched_source *src);

/** sched_source_typed() - its program was given input: floods wait a moment, so that the answer need not */
void sched_source_typed(struct sched_source *src);

/** sched_source_shut() - stop reading; the source may then be freed, or its FD be closed */
void sched_source_shut(struct sched_source *src);

#endif
