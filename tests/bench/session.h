/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include <sys/types.h>

#include "tests/bench/client.h"

/*
 * A terminal with tests/bench/child.c at its other end: knows the pattern and the child's answers, and serves many of them.
 */

struct sealed;

/**
 * struct session - one of them; zeroed before use
 * @sealed:   owned; NULL: what comes is what the child says
 * @heard:    bytes that the child, or the shell before it, has said
 * @want:     bytes of the pattern to come; what follows them are the child's answers
 * @at:       bytes of the pattern that came; @wrong: not as they should be
 * @ready:    CHILD_READY came; @stopped: CHILD_STOPPED came, after which nothing of the pattern is expected
 * @awaits_stop: look for CHILD_STOPPED in the pattern
 * @open_ms:  how long it took to open, see session_open()
 */
struct session {
	struct term t;
	struct sealed *sealed;
	uint64_t heard, want, at;
	bool wrong, ready, stopped, awaits_stop;
	double open_ms;
};

#define FLOOD_WITHOUT_END UINT64_MAX

/** session_open() - a new process and an attachment to it, until the first byte of the child is there */
void session_open(struct session *s, const struct peer *p, struct http *h);

/** session_attach() - an attachment to a stream that exists, as a fresh page does it, until the stream's first byte is there */
void session_attach(struct session *s, const struct peer *p, struct http *h);

/** session_say() - keystrokes */
void session_say(struct session *s, const char *text);

/** session_resume() - the same client comes back after term_drop() */
void session_resume(struct session *s, const struct peer *p, struct http *h);

/** session_command() - give the child a command that writes @want bytes of the pattern */
void session_command(struct session *s, uint64_t want, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

enum open_how { OPEN_NEW, OPEN_ATTACH };

/** sessions_open() - open @n of them, as many at once as the parallel openers allow. Return: seconds that took */
double sessions_open(struct session *s, size_t n, const struct peer *p, enum open_how how);

#define OPENERS 16

/**
 * sessions_serve() - read and answer all of them for @ms, or until @stop_fd (-1 for none) is readable or all are closed
 *
 * Return: seconds served.
 */
double sessions_serve(struct session *s, size_t n, double ms, int stop_fd);

/** flooders: a process of its own that opens @n sessions, lets them flood, and drinks what comes */
struct flooders {
	pid_t pid;
	int control_fd;
};

void flooders_start(struct flooders *f, const struct peer *p, size_t n);

/** flooders_stop() - Return: MiB/s that came out of all of them together */
double flooders_stop(struct flooders *f);

#endif
