// SPDX-License-Identifier: Apache-2.0
/*
 * bare CHILD BYTES GATHER: what the least loop that carries a terminal costs here, as one JSON object with the names of load.c.
 *
 * The child writes BYTES of the pattern to a PTY. This process waits in epoll_wait(), reads once, and sends what has been gathered to a client
 * on loopback TCP, by one send() for each GATHER bytes: no websocket, no ring that survives a restart, no credit, nobody else to serve. What a
 * server costs above that is the server's doing, and what this costs is the kernel's. The client drinks and compares as load.c does.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pty.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/client.h"
#include "tests/bench/pattern.h"
#include "tests/bench/usage.h"

#define MIB (1U << 20)
#define STEP_BYTES (256U << 10) /* as much as load.c asks for at once */
#define READ_BYTES (64U << 10)
#define DEADLINE_S 170

struct bare {
	uint64_t bytes, got, sends;
	size_t gather, fill;
	int pty_fd, client_fd;
	uint8_t *buf; /* @gather and one more read */
};

/* --- the client -------------------------------------------------------------------------------------------------------- */

/* Ends with 0 when all of the pattern came, and as it should be. */
static _Noreturn void drink(int fd, uint64_t bytes)
{
	uint8_t *pattern = malloc(2U * PATTERN_BLOCK), *buf = malloc(STEP_BYTES);
	bool wrong = false;
	uint64_t at = 0;
	ssize_t n;

	if (pattern == NULL || buf == NULL)
		die("memory");
	pattern_fill(pattern);
	memcpy(pattern + PATTERN_BLOCK, pattern, PATTERN_BLOCK);
	while ((n = recv(fd, buf, STEP_BYTES, 0)) > 0) {
		wrong = wrong || memcmp(buf, pattern + at % PATTERN_BLOCK, (size_t)n) != 0;
		at += (uint64_t)n;
	}
	_exit(wrong || at != bytes);
}

/* Return: the server's end of a connection to a client that is a process of its own. */
static int client_start(uint64_t bytes, pid_t *pid)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, one = 1;

	if (listener < 0 || bind(listener, (struct sockaddr *)&at, len) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) < 0)
		die("listen");
	*pid = fork();
	if (*pid < 0)
		die("fork");
	if (*pid == 0) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&at, len) < 0)
			die("connect");
		(void)close(listener);
		drink(fd, bytes);
	}
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		die("accept");
	(void)close(listener);
	return fd;
}

/* --- the loop ---------------------------------------------------------------------------------------------------------- */

static void flush(struct bare *b)
{
	for (size_t at = 0; at < b->fill;) {
		ssize_t n = send(b->client_fd, b->buf + at, b->fill - at, MSG_NOSIGNAL);

		if (n < 0)
			die("send");
		at += (size_t)n;
	}
	b->sends += b->fill > 0;
	b->fill = 0;
}

static void carry(struct bare *b)
{
	int poll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };

	if (poll_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, b->pty_fd, &ev) < 0)
		die("epoll");
	while (b->got < b->bytes) {
		ssize_t n;

		if (epoll_wait(poll_fd, &ev, 1, -1) < 0)
			die("epoll_wait");
		n = read(b->pty_fd, b->buf + b->fill, READ_BYTES);
		if (n < 0 && errno != EAGAIN)
			die("read");
		/* Behind the last byte comes CHILD_READY. */
		if (n > 0 && (uint64_t)n > b->bytes - b->got)
			n = (ssize_t)(b->bytes - b->got);
		if (n > 0) {
			b->fill += (size_t)n;
			b->got += (size_t)n;
		}
		if (b->fill >= b->gather)
			flush(b);
	}
	flush(b);
	(void)close(poll_fd);
}

static void await_ready(int fd)
{
	char c = 0;

	while (c != CHILD_READY) {
		if (read(fd, &c, 1) != 1)
			die("the child ended");
	}
}

static void child_start(struct bare *b, const char *program, pid_t *pid)
{
	struct winsize size = { .ws_col = 80, .ws_row = 24 };

	*pid = forkpty(&b->pty_fd, NULL, NULL, &size);
	if (*pid < 0)
		die("forkpty");
	if (*pid == 0) {
		(void)execl(program, program, (char *)NULL);
		die("%s", program);
	}
	await_ready(b->pty_fd);
	if (fcntl(b->pty_fd, F_SETFL, O_NONBLOCK) < 0)
		die("the child's terminal");
}

int main(int argc, char **argv)
{
	struct bare b = { 0 };
	double start, cpu_ms, seconds, mib;
	pid_t child, client;
	int status;

	errno = 0;
	if (argc != 4)
		die("give CHILD BYTES GATHER");
	(void)alarm(DEADLINE_S);
	b.bytes = strtoull(argv[2], NULL, 10);
	b.gather = strtoul(argv[3], NULL, 10);
	b.buf = malloc(b.gather + READ_BYTES);
	if (b.buf == NULL)
		die("memory");
	b.client_fd = client_start(b.bytes, &client);
	child_start(&b, argv[1], &child);
	cpu_ms = usage_cpu_ms(getpid());
	start = now_us();
	if (dprintf(b.pty_fd, "data %llu\n", (unsigned long long)b.bytes) < 0)
		die("the child's terminal");
	carry(&b);
	(void)close(b.client_fd);
	if (waitpid(client, &status, 0) != client)
		die("the client");
	seconds = (now_us() - start) / 1e6;
	cpu_ms = usage_cpu_ms(getpid()) - cpu_ms;
	(void)close(b.pty_fd);
	(void)waitpid(child, NULL, 0);
	mib = (double)b.bytes / MIB;
	(void)printf("{\"mib_per_s\":%.3f,\"cpu_ms_per_mib\":%.3f,\"bytes_per_frame\":%.0f,\"whole\":%s}\n", mib / seconds, cpu_ms / mib,
		     (double)b.bytes / (double)b.sends, status == 0 ? "true" : "false");
	return 0;
}
