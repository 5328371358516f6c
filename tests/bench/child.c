// SPDX-License-Identifier: Apache-2.0
/*
 * The process at the other end of every terminal that is measured: the same program below each server, on a PTY or on a socket.
 *
 * It makes its terminal raw (kernel echo and newline translation would be measured otherwise), says CHILD_READY and then obeys:
 *
 *   data N       write N bytes of the pattern, say CHILD_READY
 *   exit N CODE  write N bytes of the pattern and exit at once with CODE
 *   flood        write the pattern until Ctrl-C comes in, say CHILD_STOPPED, then CHILD_READY
 *   echo         give back what comes in, for ever
 *
 * One that gets no command is an idle session. It ends with its terminal.
 */
#include "tests/bench/pattern.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define WRITE_BYTES 65536

static uint8_t *pattern;

static _Noreturn void gone(void)
{
	_exit(0);
}

static void put(const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			gone();
		p += n;
		len -= (size_t)n;
	}
}

static void say(char c)
{
	put(&c, 1);
}

/* An idle child should cost the machine nothing: the block is made by the first command that needs it. */
static const uint8_t *pattern_block(void)
{
	if (pattern == NULL) {
		pattern = malloc(PATTERN_BLOCK);
		if (pattern == NULL)
			_exit(71);
		pattern_fill(pattern);
	}
	return pattern;
}

static void write_pattern(unsigned long long len)
{
	const uint8_t *block = pattern_block();

	for (unsigned long long at = 0; at < len;) {
		size_t from = (size_t)(at % PATTERN_BLOCK);
		size_t n = PATTERN_BLOCK - from < WRITE_BYTES ? PATTERN_BLOCK - from : WRITE_BYTES;

		if (n > len - at)
			n = (size_t)(len - at);
		put(block + from, n);
		at += n;
	}
}

static bool ctrl_c_came(void)
{
	char in[256];
	ssize_t n = read(STDIN_FILENO, in, sizeof(in));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		gone();
	return n > 0 && memchr(in, CHILD_CTRL_C, (size_t)n) != NULL;
}

static void set_nonblock(bool on)
{
	for (int fd = STDIN_FILENO; fd <= STDOUT_FILENO; fd++) {
		int flags = fcntl(fd, F_GETFL);

		if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
			_exit(71);
	}
}

/* Never sleeps in write(): Ctrl-C must stop it also when the output is stuck, as the terminal's signal would. */
static void flood(void)
{
	const uint8_t *block = pattern_block();
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = STDOUT_FILENO, .events = POLLOUT } };
	size_t at = 0;

	set_nonblock(true);
	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			gone();
		if ((p[0].revents != 0 && ctrl_c_came()))
			break;
		size_t n = PATTERN_BLOCK - at < WRITE_BYTES ? PATTERN_BLOCK - at : WRITE_BYTES;
		ssize_t done = write(STDOUT_FILENO, block + at, n);

		if (done < 0 && errno != EAGAIN && errno != EINTR)
			gone();
		if (done > 0)
			at = (at + (size_t)done) % PATTERN_BLOCK;
	}
	set_nonblock(false);
	say(CHILD_STOPPED);
}

static void echo(void)
{
	char in[4096];

	for (;;) {
		ssize_t n = read(STDIN_FILENO, in, sizeof(in));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			gone();
		put(in, (size_t)n);
	}
}

/* One byte at a time: what follows the line belongs to the command. */
static void read_line(char *line, size_t size)
{
	size_t at = 0;

	for (;;) {
		char c;
		ssize_t n = read(STDIN_FILENO, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			gone();
		if (c == '\n')
			break;
		if (at + 1 < size)
			line[at++] = c;
	}
	line[at] = '\0';
}

static void obey(const char *line)
{
	char *end;

	if (strncmp(line, "data ", 5) == 0) {
		write_pattern(strtoull(line + 5, NULL, 10));
	} else if (strncmp(line, "exit ", 5) == 0) {
		write_pattern(strtoull(line + 5, &end, 10));
		_exit((int)strtol(end, NULL, 10));
	} else if (strcmp(line, "flood") == 0) {
		flood();
	} else if (strcmp(line, "echo") == 0) {
		echo();
	}
}

int main(void)
{
	struct termios t;
	char line[128];

	if (tcgetattr(STDIN_FILENO, &t) == 0) {
		cfmakeraw(&t);
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &t);
	}
	for (;;) {
		say(CHILD_READY);
		read_line(line, sizeof(line));
		obey(line);
	}
}
