/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for a guest: the helper starts `tapwire inner FD SOCKET` with a slot's TAP, which carries every
 * frame to `tapwire outer IFNAME SOCKET` in another network namespace, where IFNAME is the guest's network
 * card. So the guest's side of the stories is a real kernel with real tools.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ipc.h"

#define FRAME_MAX 65600

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "tapwire: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Frames with their struct virtio_net_hdr go over unchanged: both TAPs have the same settings. */
static int copy(int from, int to)
{
	static char frame[FRAME_MAX];
	ssize_t n = read(from, frame, sizeof(frame));

	if (n == 0)
		return 0;
	/* A full queue loses frames, as wires do. */
	if (n > 0 && write(to, frame, (size_t)n) < 0 && errno == EPIPE)
		return 0;
	return n > 0 || errno == EAGAIN || errno == EIO;
}

static void carry(int tap, int sock)
{
	struct pollfd p[2] = { { .fd = tap, .events = POLLIN }, { .fd = sock, .events = POLLIN } };

	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		if (p[0].revents & POLLIN && !copy(tap, sock))
			return;
		if (p[1].revents && !copy(sock, tap))
			return;
	}
}

static int open_tap(const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &req) < 0)
		fail("cannot create a TAP");
	return fd;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "inner") == 0) {
		int sock = ipc_connect(argv[3]);

		if (sock < 0)
			fail("cannot connect");
		printf("wired\n");
		(void)fflush(stdout);
		carry((int)strtol(argv[2], NULL, 10), sock);
		return 0;
	}
	if (argc == 4 && strcmp(argv[1], "outer") == 0) {
		int tap = open_tap(argv[2]), sock = ipc_listen(argv[3], 0777);
		struct pollfd p = { .fd = sock, .events = POLLIN };

		if (sock < 0 || poll(&p, 1, 30000) != 1)
			fail("nobody connected");
		carry(tap, ipc_accept(sock));
		return 0;
	}
	fprintf(stderr, "usage: tapwire inner FD SOCKET | outer IFNAME SOCKET\n");
	return 2;
}
