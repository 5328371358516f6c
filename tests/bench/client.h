/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A terminal client that costs little: blocking calls to open, one recv() of a large buffer per step afterwards. Speaks
 * terrarium.v1 (docs/protocol.md) and ttyd's "tty" protocol. A tool for measuring on loopback: any failure ends the program
 * with a sentence.
 */
enum dialect { DIALECT_TTYD, DIALECT_TERRARIUM };

#define STREAM_TEXT 64
#define WINDOW_BYTES (384U << 10) /* what the page asks for on a desktop */

/**
 * struct peer - the server under test
 * @cookie: value of the Cookie header; a secret, read from a file
 * @vm:     JSON of the machine to make for a session
 * @shell:  the program that each session has instead of its login shell, beside others in one machine; NULL: sessions are consoles
 * @owner_key: opens sealed terminals (tests/bench/sealed.h), which shells are then; NULL: they are plain. A secret, read from a file
 */
struct peer {
	enum dialect dialect;
	uint16_t port;
	char cookie[512];
	const char *vm, *shell;
	const uint8_t *owner_key;
};

#define VM_TEXT		  40
#define SHELLS_PER_MACHINE 25 /* WELCOME lists them all, in at most 4 KiB here */

/* A kept-alive HTTP connection; zeroed = closed. Not shared between threads. @vm: the machine that gets its sessions' @shells */
struct http {
	bool open;
	int fd;
	char vm[VM_TEXT];
	size_t shells;
};

/** http_post() - POST @body; the answer's body goes to @reply. Return: the status */
int http_post(const struct peer *p, struct http *h, const char *path, const char *body, char *reply, size_t size);
void http_close(struct http *h);

struct term;

struct term_hooks {
	/* Terminal output in order, already checked for gaps. */
	void (*on_output)(struct term *t, const uint8_t *data, size_t len);
};

/* How far the client's part of flow control goes. */
enum pace {
	PACE_PROMPT, /* as a page that keeps up: CREDIT at a quarter of the window; nothing for ttyd, which sends on without */
	PACE_STOCK,  /* the same, and for ttyd RESUME after every 100 000 bytes, as its page sends */
	PACE_HOLD,   /* CREDIT withheld */
};

/**
 * struct term - one attached terminal
 * @viewer:    attaches to look on only
 * @total:     bytes of output since term_open()
 * @offset:    absolute offset of the next output byte; @credited: sent in CREDIT
 * @in_offset: of the next input byte; @turn: in which it is typed
 * @frames:    messages with output
 * @lost, @repeated: bytes by which OUTPUT's offset jumped
 * @closed:    the server ended the connection; @close_code is its code, 0 without one
 * @exited:    EXIT came, with @exit_code
 */
struct term {
	const struct peer *peer;
	const struct term_hooks *hooks;
	void *arg;
	int fd;
	enum pace pace;
	bool viewer;
	char stream[STREAM_TEXT], epoch[32];
	uint64_t total, offset, credited, in_offset, frames, lost, repeated;
	uint32_t turn;
	bool welcome, closed, exited;
	uint16_t close_code;
	int exit_code;
	/* Parser of frames: @head_len bytes of the frame's head, then @left bytes of payload, the first of which go to @msg. */
	uint8_t head[10];
	size_t head_len, msg_len;
	uint64_t left;
	uint8_t opcode;
	bool in_body;
	uint8_t msg[4096];
};

/** session_create() - a new process behind a new stream; fills @stream (nothing happens at ttyd before term_open()) */
void session_create(const struct peer *p, struct http *h, char stream[STREAM_TEXT]);

/**
 * term_open() - attach: ticket, websocket, HELLO
 *
 * @t->stream is the stream; @t->epoch and offsets, when set, say what the client already has. The welcome is awaited.
 */
void term_open(struct term *t, const struct peer *p, struct http *h, const struct term_hooks *hooks, void *arg);

/** term_drop() - close the TCP connection without a word */
void term_drop(struct term *t);

enum wait_mode { WAIT_BLOCK, WAIT_NOT };

/**
 * term_step() - take what the socket has, at most @max bytes, and answer it
 *
 * WAIT_BLOCK waits for at least one byte; none within 60 s ends the program.
 * Return: bytes taken off the socket; 0 when there is nothing (WAIT_NOT) or the connection is closed.
 */
size_t term_step(struct term *t, enum wait_mode wait, size_t max);

/** term_send() - keystrokes; at most 1 KiB */
void term_send(struct term *t, const char *data, size_t len);
void term_say(struct term *t, const char *text);

/** term_credit() - CREDIT for all that came */
void term_credit(struct term *t);

/** term_raw() - one message of the protocol as it is, at most 1 KiB; for a client that misbehaves */
void term_raw(struct term *t, const void *data, size_t len);

/** die() - print a sentence with the reason of errno when it is set, and end */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
