// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/pattern.h"
#include "tests/bench/sealed.h"
#include "tests/bench/usage.h"

#define STEP_BYTES (256U << 10)
#define EVENTS 256

/* One block twice, so that any run of up to a block can be compared in one call. */
static uint8_t pattern[2 * PATTERN_BLOCK];
static pthread_once_t pattern_once = PTHREAD_ONCE_INIT;

static void pattern_init(void)
{
	pattern_fill(pattern);
	memcpy(pattern + PATTERN_BLOCK, pattern, PATTERN_BLOCK);
}

static void answer(struct session *s, uint8_t byte)
{
	if (byte == CHILD_READY)
		s->ready = true;
	else if (byte == CHILD_STOPPED)
		s->stopped = true;
}

static void on_plain(void *arg, const uint8_t *data, size_t len)
{
	struct session *s = arg;
	size_t n = s->want - s->at < len ? (size_t)(s->want - s->at) : len;

	s->heard += len;
	if (s->awaits_stop && !s->stopped) {
		const uint8_t *stop = memchr(data, CHILD_STOPPED, n);

		if (stop != NULL)
			s->want = s->at + (n = (size_t)(stop - data));
	}
	if (memcmp(data, pattern + s->at % PATTERN_BLOCK, n) != 0)
		s->wrong = true;
	s->at += n;
	for (; n < len; n++)
		answer(s, data[n]);
}

static void on_output(struct term *t, const uint8_t *data, size_t len)
{
	struct session *s = t->arg;

	if (s->sealed != NULL)
		sealed_feed(s->sealed, data, len);
	else
		on_plain(s, data, len);
}

static const struct term_hooks hooks = { .on_output = on_output };

static void await_first_byte(struct session *s)
{
	while (s->heard == 0) {
		errno = 0;
		if (term_step(&s->t, WAIT_BLOCK, STEP_BYTES) == 0)
			die("the terminal closed with %u before its first byte", s->t.close_code);
	}
}

/* What the login shell says before does not count. */
static void become_child(struct session *s, const char *program)
{
	char line[512];

	(void)snprintf(line, sizeof(line), " exec %s\n", program);
	session_say(s, line);
	while (!s->ready) {
		errno = 0;
		if (term_step(&s->t, WAIT_BLOCK, STEP_BYTES) == 0)
			die("the shell closed with %u before its child came", s->t.close_code);
	}
	s->t.total = s->t.frames = 0;
}

void session_open(struct session *s, const struct peer *p, struct http *h)
{
	double start = now_us();

	pthread_once(&pattern_once, pattern_init);
	session_create(p, h, s->t.stream);
	if (p->owner_key != NULL)
		s->sealed = sealed_new(&s->t, p->owner_key, on_plain, s);
	term_open(&s->t, p, h, &hooks, s);
	if (s->sealed != NULL)
		sealed_greet(s->sealed);
	if (p->shell != NULL)
		become_child(s, p->shell);
	else
		await_first_byte(s);
	s->open_ms = (now_us() - start) / 1e3;
}

void session_attach(struct session *s, const struct peer *p, struct http *h)
{
	double start = now_us();

	s->t.epoch[0] = '\0';
	s->t.total = s->heard = 0;
	term_open(&s->t, p, h, &hooks, s);
	await_first_byte(s);
	s->open_ms = (now_us() - start) / 1e3;
}

void session_resume(struct session *s, const struct peer *p, struct http *h)
{
	term_open(&s->t, p, h, &hooks, s);
}

void session_say(struct session *s, const char *text)
{
	if (s->sealed != NULL)
		sealed_send(s->sealed, text, strlen(text));
	else
		term_say(&s->t, text);
}

void session_command(struct session *s, uint64_t want, const char *fmt, ...)
{
	char line[128];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	s->want = want;
	s->at = 0;
	s->ready = s->stopped = s->wrong = false;
	session_say(s, line);
}

/* --- opening many ------------------------------------------------------------------------------------------------------ */

struct opening {
	struct session *s;
	size_t n;
	const struct peer *peer;
	enum open_how how;
	atomic_size_t next;
};

static void *opener(void *arg)
{
	struct opening *o = arg;
	struct http h = { 0 };

	for (;;) {
		size_t i = atomic_fetch_add(&o->next, 1);

		if (i >= o->n)
			break;
		if (o->how == OPEN_NEW)
			session_open(&o->s[i], o->peer, &h);
		else
			session_attach(&o->s[i], o->peer, &h);
	}
	http_close(&h);
	return NULL;
}

double sessions_open(struct session *s, size_t n, const struct peer *p, enum open_how how)
{
	struct opening o = { .s = s, .n = n, .peer = p, .how = how };
	pthread_t thread[OPENERS];
	double start = now_us();

	for (size_t i = 0; i < OPENERS; i++) {
		errno = pthread_create(&thread[i], NULL, opener, &o);
		if (errno != 0)
			die("thread");
	}
	for (size_t i = 0; i < OPENERS; i++)
		(void)pthread_join(thread[i], NULL);
	return (now_us() - start) / 1e6;
}

/* --- serving many ------------------------------------------------------------------------------------------------------ */

static void watch(int epoll_fd, int fd, void *ptr)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = ptr };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll");
}

/* Return: how many closed. */
static size_t serve_turn(int epoll_fd, double left_ms, bool *stop)
{
	struct epoll_event ev[EVENTS];
	int got = epoll_wait(epoll_fd, ev, EVENTS, left_ms > 1e9 ? -1 : (int)left_ms + 1);
	size_t closed = 0;

	for (int i = 0; i < got; i++) {
		struct session *s = ev[i].data.ptr;

		if (s == NULL) {
			*stop = true;
			continue;
		}
		(void)term_step(&s->t, WAIT_NOT, STEP_BYTES);
		if (s->t.closed) {
			(void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->t.fd, NULL);
			closed++;
		}
	}
	return closed;
}

double sessions_serve(struct session *s, size_t n, double ms, int stop_fd)
{
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	double start = now_us();
	size_t open = 0;
	bool stop = false;

	if (epoll_fd < 0)
		die("epoll");
	for (size_t i = 0; i < n; i++) {
		if (s[i].t.closed)
			continue;
		watch(epoll_fd, s[i].t.fd, &s[i]);
		open++;
	}
	if (stop_fd >= 0)
		watch(epoll_fd, stop_fd, NULL);
	while (open > 0 && !stop) {
		double left_ms = ms - (now_us() - start) / 1e3;

		if (left_ms <= 0)
			break;
		open -= serve_turn(epoll_fd, left_ms, &stop);
	}
	close(epoll_fd);
	return (now_us() - start) / 1e6;
}

/* --- flooders ---------------------------------------------------------------------------------------------------------- */

static uint64_t sum_total(const struct session *s, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += s[i].t.total;
	return sum;
}

static _Noreturn void flooders_run(const struct peer *p, size_t n, int control_fd)
{
	struct session *s = calloc(n, sizeof(*s));
	double seconds, rate;
	uint64_t before;

	if (s == NULL)
		die("memory");
	(void)sessions_open(s, n, p, OPEN_NEW);
	for (size_t i = 0; i < n; i++)
		session_command(&s[i], FLOOD_WITHOUT_END, "flood\n");
	(void)sessions_serve(s, n, 500, -1); /* until all flood */
	if (write(control_fd, "r", 1) != 1)
		die("pipe");
	before = sum_total(s, n);
	seconds = sessions_serve(s, n, 1e12, control_fd);
	rate = (double)(sum_total(s, n) - before) / seconds / (1 << 20);
	if (write(control_fd, &rate, sizeof(rate)) != (ssize_t)sizeof(rate))
		die("pipe");
	exit(0);
}

void flooders_start(struct flooders *f, const struct peer *p, size_t n)
{
	int pair[2];
	char ready;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	f->pid = fork();
	if (f->pid < 0)
		die("fork");
	if (f->pid == 0) {
		close(pair[0]);
		flooders_run(p, n, pair[1]);
	}
	close(pair[1]);
	f->control_fd = pair[0];
	errno = 0;
	if (read(f->control_fd, &ready, 1) != 1)
		die("the flooding clients ended");
}

double flooders_stop(struct flooders *f)
{
	double rate = 0;

	(void)shutdown(f->control_fd, SHUT_WR);
	errno = 0;
	if (read(f->control_fd, &rate, sizeof(rate)) != (ssize_t)sizeof(rate))
		die("the flooding clients ended");
	close(f->control_fd);
	(void)waitpid(f->pid, NULL, 0);
	return rate;
}
