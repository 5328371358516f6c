/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_STREAM_H
#define GATEWAY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct err;
struct hv_console;
struct loop;
struct sched;
struct stream;

/*
 * A stream: the terminal bytes of one console or one shell, with absolute offsets. It owns the replay ring and a
 * console's FD, outlives every attachment, and a console is served by the scheduler. Knows neither websockets nor
 * users.
 *
 * This header is for the owner of the stream (gateway/machine_life.c, gateway/shell.c); attachments use
 * gateway/viewer.h.
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

/* --- streams whose bytes come from elsewhere than a descriptor --- */

struct ring_size;
struct stream_line;

/* What the stream asks of the far end; none may call the stream before it returns. */
struct stream_line_ops {
	/* Input. Return: bytes taken; when fewer, stream_line_moved() follows as soon as there is room. */
	size_t (*write)(struct stream_line *line, const uint8_t *data, size_t len);
	/* Output before @offset is safe and wanted: more may come, up to @offset + window. */
	void (*take)(struct stream_line *line, uint64_t offset);
	void (*resize)(struct stream_line *line, struct ring_size size);
	/* No input follows. Again: does nothing. */
	void (*end)(struct stream_line *line);
};

/**
 * struct stream_line - embedded in the owner. @window: bytes that may come unasked for; @sealed: they are ciphertext; @command: they are no
 * terminal's but a command's: none is ever given up for want of a reader
 */
struct stream_line {
	const struct stream_line_ops *ops;
	uint32_t window;
	bool sealed, command;
};

/**
 * stream_open_line() - serve what the owner gives; consumes @ring_fd
 * @line:  borrowed until stream_line_end() or stream_destroy()
 * @adopt: go on with the ring as it is
 *
 * Nobody attaches before stream_line_up(). Return: 0; -EBADMSG when the ring to go on with is damaged; or -errno.
 */
int stream_open_line(struct stream *s, struct stream_line *line, int ring_fd, uint32_t ring_bytes, bool adopt);

/** stream_line_up() - the far end is there and has input up to @written. Again: does nothing */
void stream_line_up(struct stream *s, uint64_t written);

/** stream_line_output() - the next output, at most 64 KiB: lies in the ring when this returns */
void stream_line_output(struct stream *s, const uint8_t *data, size_t len);

/** stream_line_moved() - the far end has input up to @written for certain, or room for more */
void stream_line_moved(struct stream *s, uint64_t written);

/** stream_line_end() - nothing more comes: EXIT for every attachment. @why: copied; closes them, "" = it has just ended */
void stream_line_end(struct stream *s, int code, int signal, const char *why);

/**
 * stream_settle() - the process of a console stands still and is put aside: read its last output
 *
 * stream_ring() gives what must be kept of its ring then; the next process's ring begins with that, adopted. stream_sleep() - the console's end is
 * none, and what is typed waits for stream_open().
 */
void stream_settle(struct stream *s);
void stream_ring(const struct stream *s, struct iovec out[2]);
void stream_sleep(struct stream *s);

/** stream_speak() - a console that was mute (struct hv_console) takes what is typed, and what was */
void stream_speak(struct stream *s);

/** stream_open_asleep() - the same, after this program was started anew; consumes @ring_fd. Return: 0 or -errno */
int stream_open_asleep(struct stream *s, int ring_fd, uint32_t ring_bytes);

/** stream_notify() - the machine's state changed: every attachment gets an EVENT of type "vm" */
void stream_notify(struct stream *s);

#endif
