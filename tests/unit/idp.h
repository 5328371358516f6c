/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_IDP_H
#define TESTS_UNIT_IDP_H

/*
 * An identity service in a thread, on a loopback port: says what the test has put down for a path, and remembers what it was asked. After
 * cmocka.h.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"

#define IDP_LINES 256

/* What an answer may be, besides a status with a body. */
enum idp_way {
	IDP_BODY,
	IDP_FLOOD,    /* 100 MB */
	IDP_NONSENSE, /* no HTTP */
	IDP_REDIRECT, /* 302, to a path of this service that would give the right answer */
	IDP_HANG_UP,
};

/* One answer. Several of one path are given in the order they were put down; the last one stays. */
struct idp_line {
	char path[96];
	enum idp_way way;
	int status;
	char *body; /* owned */
};

static struct {
	pthread_mutex_t lock;
	pthread_t thread;
	int fd, connections;
	char url[64]; /* "http://127.0.0.1:PORT" */
	struct idp_line lines[IDP_LINES];
	size_t count;
	char asked[IDP_LINES][4096]; /* requests, oldest first */
	size_t asked_count;
} idp = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

/** idp_says() - put an answer down; @body is copied, NULL for none */
static inline void idp_says(const char *path, enum idp_way way, int status, const char *body)
{
	pthread_mutex_lock(&idp.lock);
	assert_true(idp.count < IDP_LINES);
	idp.lines[idp.count].way = way;
	idp.lines[idp.count].status = status;
	idp.lines[idp.count].body = strdup(body ? body : "");
	(void)snprintf(idp.lines[idp.count].path, sizeof(idp.lines[0].path), "%s", path);
	idp.count++;
	pthread_mutex_unlock(&idp.lock);
}

static inline void idp_forget_line(size_t i)
{
	free(idp.lines[i].body);
	memmove(&idp.lines[i], &idp.lines[i + 1], (idp.count - i - 1) * sizeof(idp.lines[0]));
	idp.count--;
}

/** idp_forget() - take the answers of a path back; NULL: all, and what was asked */
static inline void idp_forget(const char *path)
{
	pthread_mutex_lock(&idp.lock);
	for (size_t i = idp.count; i-- > 0;)
		if (!path || strcmp(idp.lines[i].path, path) == 0)
			idp_forget_line(i);
	if (!path)
		idp.asked_count = 0;
	pthread_mutex_unlock(&idp.lock);
}

static inline bool idp_is_for(const char *request, const char *path)
{
	const char *at = strchr(request, ' ');
	size_t len = strlen(path);

	return at && strncmp(at + 1, path, len) == 0 && (at[1 + len] == ' ' || at[1 + len] == '?');
}

/** idp_asked() - the @n-th request for a path, head and body, or NULL; stays until idp_forget(NULL) */
static inline const char *idp_asked(const char *path, size_t n)
{
	const char *found = NULL;

	pthread_mutex_lock(&idp.lock);
	for (size_t i = 0; i < idp.asked_count && !found; i++)
		if (idp_is_for(idp.asked[i], path) && n-- == 0)
			found = idp.asked[i];
	pthread_mutex_unlock(&idp.lock);
	return found;
}

static inline void idp_send(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static inline void idp_flood(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"x\":\"";
	static char block[65536];

	memset(block, 'x', sizeof(block));
	idp_send(fd, head, sizeof(head) - 1);
	for (int i = 0; i < 1600; i++)
		if (send(fd, block, sizeof(block), MSG_NOSIGNAL) <= 0)
			return;
}

static inline void idp_answer(int fd, const struct idp_line *l)
{
	char head[256];
	int n;

	if (l->way == IDP_FLOOD)
		idp_flood(fd);
	else if (l->way == IDP_NONSENSE)
		idp_send(fd, "\x01\x02 what?\r\n\r\n", 12);
	if (l->way != IDP_BODY && l->way != IDP_REDIRECT)
		return;
	n = snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\n%s%s%sContent-Length: %zu\r\nConnection: close\r\n\r\n", l->status,
		     l->way == IDP_REDIRECT ? "Location: " : "", l->way == IDP_REDIRECT ? l->body : "", l->way == IDP_REDIRECT ? "\r\n" : "",
		     l->way == IDP_REDIRECT ? 0 : strlen(l->body));
	idp_send(fd, head, (size_t)n);
	if (l->way == IDP_BODY)
		idp_send(fd, l->body, strlen(l->body));
}

/* Head and body of one request. */
static inline void idp_read(int fd, char *text, size_t size)
{
	size_t len = 0, want = size;

	while (len < want && len + 1 < size) {
		ssize_t n = recv(fd, text + len, size - len - 1, 0);
		const char *end, *length;

		if (n <= 0)
			break;
		len += (size_t)n;
		text[len] = '\0';
		end = strstr(text, "\r\n\r\n");
		length = end ? strstr(text, "Content-Length: ") : NULL;
		if (end)
			want = (size_t)(end + 4 - text) + (length ? strtoul(length + 16, NULL, 10) : 0);
	}
	text[len] = '\0';
}

static inline void *idp_serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct idp_line line = { .status = 404, .body = NULL };
	char request[4096];

	idp_read(fd, request, sizeof(request));
	pthread_mutex_lock(&idp.lock);
	if (idp.asked_count < IDP_LINES)
		memcpy(idp.asked[idp.asked_count++], request, sizeof(request));
	for (size_t i = 0; i < idp.count; i++) {
		bool last = true;

		if (!idp_is_for(request, idp.lines[i].path))
			continue;
		for (size_t k = i + 1; k < idp.count; k++)
			last = last && strcmp(idp.lines[k].path, idp.lines[i].path) != 0;
		line = idp.lines[i];
		line.body = strdup(line.body);
		if (!last)
			idp_forget_line(i);
		break;
	}
	pthread_mutex_unlock(&idp.lock);
	if (!line.body)
		line.body = strdup("");
	idp_answer(fd, &line);
	free(line.body);
	close(fd);
	pthread_mutex_lock(&idp.lock);
	idp.connections--;
	pthread_mutex_unlock(&idp.lock);
	return NULL;
}

static inline void *idp_serve(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(idp.fd, NULL, NULL);
		pthread_t thread;

		if (fd < 0)
			return NULL;
		pthread_mutex_lock(&idp.lock);
		idp.connections++;
		pthread_mutex_unlock(&idp.lock);
		if (pthread_create(&thread, NULL, idp_serve_one, (void *)(intptr_t)fd) != 0)
			abort();
		pthread_detach(thread);
	}
}

static inline void idp_start(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);

	idp.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(idp.fd >= 0);
	assert_int_equal(bind(idp.fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(idp.fd, 64), 0);
	assert_int_equal(getsockname(idp.fd, (struct sockaddr *)&sin, &len), 0);
	(void)snprintf(idp.url, sizeof(idp.url), "http://127.0.0.1:%u", ntohs(sin.sin_port));
	assert_int_equal(pthread_create(&idp.thread, NULL, idp_serve, NULL), 0);
}

static inline void idp_stop(void)
{
	int left = 1;

	shutdown(idp.fd, SHUT_RDWR);
	pthread_join(idp.thread, NULL);
	for (int i = 0; i < 500 && left; i++) {
		pthread_mutex_lock(&idp.lock);
		left = idp.connections;
		pthread_mutex_unlock(&idp.lock);
		(void)poll(NULL, 0, 10);
	}
	close(idp.fd);
	idp_forget(NULL);
}

/* --- the loop --------------------------------------------------------------------------------------------------------- */

static inline void idp_on_tick(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev, (void)w, (void)events;
}

/** loop_until() - turn the loop until @seen is set, @limit_ms at most. Return: *seen */
static inline bool loop_until(struct loop *l, const bool *seen, int limit_ms)
{
	uint64_t end_ms = loop_now_ms() + (uint64_t)limit_ms;
	ev_timer tick;

	ev_timer_init(&tick, idp_on_tick, 0.005, 0.005);
	ev_timer_start(l->ev, &tick);
	while (!*seen && loop_now_ms() < end_ms)
		ev_run(l->ev, EVRUN_ONCE);
	ev_timer_stop(l->ev, &tick);
	return *seen;
}

/** loop_for() - turn the loop for a while */
static inline void loop_for(struct loop *l, int ms)
{
	static const bool never;

	(void)loop_until(l, &never, ms);
}

#endif
