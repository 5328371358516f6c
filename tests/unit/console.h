/* SPDX-License-Identifier: Apache-2.0 */
/* Consoles for tests: a socketpair or a PTY, and the memfd of a ring. */
#ifndef TESTS_CONSOLE_H
#define TESTS_CONSOLE_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/hv.h"

#define CONSOLE_RING_BYTES (256u << 10)

/** struct test_console - @near is ours, @far belongs to the "guest"; both non-blocking; @ring is the memfd */
struct test_console {
	int near, far, ring;
	enum hv_console_kind kind;
};

static inline int test_ring_fd(uint32_t bytes)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, bytes) < 0)
		abort();
	return fd;
}

static inline void test_console_open(struct test_console *c, enum hv_console_kind kind)
{
	int pair[2];

	c->kind = kind;
	c->ring = test_ring_fd(CONSOLE_RING_BYTES);
	if (kind == HV_CONSOLE_SOCKET) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			abort();
	} else {
		struct termios raw;

		pair[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (pair[0] < 0 || grantpt(pair[0]) < 0 || unlockpt(pair[0]) < 0)
			abort();
		pair[1] = open(ptsname(pair[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (pair[1] < 0 || tcgetattr(pair[1], &raw) < 0)
			abort();
		cfmakeraw(&raw);
		if (tcsetattr(pair[1], TCSANOW, &raw) < 0)
			abort();
	}
	c->near = pair[0];
	c->far = pair[1];
	if (fd_nonblock(c->near) < 0 || fd_nonblock(c->far) < 0)
		abort();
}

/* What the owner of a stream gets: duplicates, so that the test keeps its own. */
static inline struct hv_console test_console_hand(const struct test_console *c, bool adopted)
{
	return (struct hv_console){
		.fd = fcntl(c->near, F_DUPFD_CLOEXEC, 0),
		.ring_fd = fcntl(c->ring, F_DUPFD_CLOEXEC, 0),
		.ring_bytes = CONSOLE_RING_BYTES,
		.kind = c->kind,
		.adopted = adopted,
	};
}

static inline void test_console_close(struct test_console *c)
{
	c->near = fd_close(c->near);
	c->far = fd_close(c->far);
	c->ring = fd_close(c->ring);
}

#endif
