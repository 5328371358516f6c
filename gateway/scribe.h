/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SCRIBE_H
#define GATEWAY_SCRIBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/cast.h"

struct err;
struct loop;
struct scribe;
struct scribe_file;

/*
 * Writes recordings in a thread of its own, so that a slow disk makes no terminal wait. The loop puts events into
 * a bounded queue for each file; the thread makes lines of them (gateway/cast.h) and writes them, some time later,
 * in pieces that end with a mark. Knows neither streams nor people.
 */
#define SCRIBE_QUEUE_BYTES (8u << 20)   /* of a file's events, before they are lines: a second of a flood that a disk may pause */
#define SCRIBE_QUEUE_LEAST (512u << 10) /* what each file has once all of them together hold more than */
#define SCRIBE_TOTAL_BYTES (128u << 20)
#define SCRIBE_PIECE_MAX   32768u       /* bytes of one event */

/**
 * struct scribe_state - how far a file is
 * @size:   bytes in the file, all of whole lines
 * @offset: of the stream: output before it is in the file
 * @at_us:  of the last event
 * @error:  0; -EDQUOT when the next line would pass the limit; or why writing failed. Nothing is written after that
 * @closed: scribe_close() is done: the file is on the disk as far as it could be
 */
struct scribe_state {
	uint64_t size, offset, at_us, replaced;
	int error;
	bool closed;
};

/** scribe_create() - its thread starts with the first file. @dir_fd: of the recordings, borrowed */
int scribe_create(struct scribe **out, struct loop *loop, int dir_fd, struct err *e);

/** scribe_destroy() - write what is queued, close every file, end the thread. Waits for the disk. Returns NULL */
struct scribe *scribe_destroy(struct scribe *s);

/**
 * struct scribe_open - a file to write
 * @fd:      consumed; opened for writing, at its end
 * @state:   how far it is; zeroes for a new one
 * @limit:   bytes that it may have
 * @on_news: runs on the loop when the state has changed and there is room in the queue again; may call scribe_forget()
 */
struct scribe_open {
	int fd;
	struct scribe_state state;
	uint64_t limit;
	void (*on_news)(void *arg, const struct scribe_state *st);
	void *arg;
};

/** scribe_open() - NULL without memory */
struct scribe_file *scribe_open(struct scribe *s, const struct scribe_open *o);

/** scribe_header() - queue the header of a new file. @title: at most SCRIBE_PIECE_MAX bytes */
void scribe_header(struct scribe_file *f, const struct cast_head *h);

/**
 * scribe_text() - queue what happened; @len at most SCRIBE_PIECE_MAX. @offset: of the stream, behind it
 *
 * Return: false when the queue is full: again after on_news().
 */
bool scribe_text(struct scribe_file *f, enum cast_event what, uint64_t at_us, uint64_t offset, const uint8_t *data, size_t len);

/** scribe_cut() - the next output is an event of its own, however soon it comes */
void scribe_cut(struct scribe_file *f);

/** scribe_resize(), scribe_exit() - always find room */
void scribe_resize(struct scribe_file *f, uint64_t at_us, uint64_t offset, uint16_t cols, uint16_t rows);
void scribe_exit(struct scribe_file *f, uint64_t at_us, uint64_t offset, int code, int signal);

/** scribe_limit() - from now on */
void scribe_limit(struct scribe_file *f, uint64_t limit);

/** scribe_close() - no more events; on_news() tells when it is done */
void scribe_close(struct scribe_file *f);

/** scribe_forget() - no more on_news(); the file is written to its end and let go of by itself. Returns NULL */
struct scribe_file *scribe_forget(struct scribe_file *f);

/** scribe_remove() - delete a file of the folder. Large ones take their time: the thread does it */
void scribe_remove(struct scribe *s, const char *name);

#endif
