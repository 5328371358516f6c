/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_STREAM_H
#define GATEWAY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct hv_console;
struct loop;
struct sched;
struct stream;

/*
 * A stream: the terminal bytes of one console (later: of one shell), with absolute offsets. It owns the
 * console FD and the replay ring, outlives every attachment, and is served by the scheduler. Knows neither
 * websockets nor users.
 *
 * This header is for the owner of the stream (gateway/machine.c); attachments use gateway/viewer.h.
 */

/* What the stream tells its owner; all run on the loop. */
struct stream_hooks {
	/* Bytes just read from the console; for the ready marker. */
	void (*on_output)(void *arg, const uint8_t *data, size_t len);
};

/**
 * stream_create() - a stream without a process: epoch 0, offsets 0
 * @id:   text id, copied; unique in this gateway
 * @hooks, @arg: borrowed, live as long as the stream
 *
 * Return: 0 or -ENOMEM.
 */
int stream_create(struct stream **out, struct loop *loop, struct sched *sched, const char *id,
		  const struct stream_hooks *hooks, void *arg);

/** stream_destroy() - close console and ring; attachments get 4404. Returns NULL; NULL is fine */
struct stream *stream_destroy(struct stream *s);

const char *stream_id(const struct stream *s);
/** stream_arg() - the owner's @arg of stream_create() */
void *stream_arg(const struct stream *s);

/**
 * stream_open() - a console to serve; consumes its FDs on success and failure
 *
 * A fresh console begins a new epoch at offset 0. An adopted one whose ring is sound continues at the
 * offset where the last gateway stopped; if the ring is damaged the epoch is new and a warning is logged.
 * Return: 0 or -errno (the ring cannot be mapped).
 */
int stream_open(struct stream *s, const struct hv_console *c);

/**
 * stream_exit() - the process has ended; what the console still holds is read to its end, then every
 * attachment gets EXIT
 */
void stream_exit(struct stream *s, int code, int signal);

/** stream_notify() - the machine's state changed: every attachment gets an EVENT of type "vm" */
void stream_notify(struct stream *s);

#endif
