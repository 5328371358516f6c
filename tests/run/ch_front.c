/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands before the API of tests/fake/cloud-hypervisor, where descriptors are to be taken in (SCM_RIGHTS), which its language cannot do. Usage:
 * ch_front LISTENING_FD INNER_SOCKET QMP_SOCKET. Connections are handed through, one process for each; a descriptor that comes along is given to the
 * guest's QEMU by "add-fd", and the number that it has there goes on as a header: X-Descriptor.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/ipc.h"

static int connect_to(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* One line that is no event, NUL-terminated. */
static void read_line(int fd, char *line, size_t size)
{
	size_t n;

	do {
		for (n = 0; n + 1 < size && read(fd, line + n, 1) == 1 && line[n] != '\n'; n++)
			;
		line[n] = '\0';
	} while (strstr(line, "\"event\""));
}

/* Return: its number in QEMU, or -1. */
static int give_to_qemu(const char *qmp, int fd)
{
	static const char hello[] = "{\"execute\":\"qmp_capabilities\"}\n", add[] = "{\"execute\":\"add-fd\"}\n";
	_close_ int q = connect_to(qmp);
	char line[4096];
	const char *at;

	read_line(q, line, sizeof(line));
	if (fd_write_all(q, hello, strlen(hello)) < 0)
		return -1;
	read_line(q, line, sizeof(line));
	if (ipc_send(q, add, strlen(add), &fd, 1) < 0)
		return -1;
	read_line(q, line, sizeof(line));
	at = strstr(line, "\"fd\":");
	return at ? atoi(at + strlen("\"fd\":")) : -1; /* NOLINT(cert-err34-c) */
}

static void pass_request(int from, int to, const char *qmp)
{
	char data[65536], header[64];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(from, &msg, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	const char *end = n > 0 ? memmem(data, (size_t)n, "\r\n", 2) : NULL;
	size_t first = end ? (size_t)(end - data) + 2 : 0;
	int fd;

	if (n <= 0)
		exit(0);
	if (c && c->cmsg_type == SCM_RIGHTS && first > 0) {
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		(void)snprintf(header, sizeof(header), "X-Descriptor: %d\r\n", give_to_qemu(qmp, fd));
		(void)close(fd);
		if (fd_write_all(to, data, first) < 0 || fd_write_all(to, header, strlen(header)) < 0)
			exit(1);
	} else {
		first = 0;
	}
	if (fd_write_all(to, data + first, (size_t)n - first) < 0)
		exit(0);
}

static void serve(int client, const char *inner, const char *qmp)
{
	struct pollfd p[2] = { { .fd = client, .events = POLLIN | POLLRDHUP }, { .fd = connect_to(inner), .events = POLLIN } };
	char data[65536];

	while (poll(p, 2, -1) > 0 || errno == EINTR) {
		if (p[0].revents & POLLIN)
			pass_request(client, p[1].fd, qmp);
		else if (p[0].revents)
			return;
		if (p[1].revents) {
			ssize_t n = read(p[1].fd, data, sizeof(data));

			if (n <= 0 || fd_write_all(client, data, (size_t)n) < 0)
				return;
		}
	}
}

int main(int argc, char **argv)
{
	int listening = argc == 4 ? atoi(argv[1]) : -1; /* NOLINT(cert-err34-c) */

	if (listening < 0)
		return 2;
	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int client = accept(listening, NULL, NULL);

		if (client < 0 && errno != EINTR)
			return 1;
		if (client >= 0 && fork() == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(client, argv[2], argv[3]);
			_exit(0);
		}
		(void)fd_close(client);
	}
}
