/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define LOOPBACK_MS 20 /* to answer: it does at once, but where the listener's queue is full; then what is written waits */

static int connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t len = sizeof(error);

	if (poll(&p, 1, LOOPBACK_MS) > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

/* Return: the socket or -errno */
static int connect_to(const struct sockaddr *to, socklen_t len)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, to, len) < 0)
		r = errno == EINPROGRESS ? connected(fd) : -errno;
	if (r == 0)
		return fd;
	(void)fd_close(fd);
	return r;
}

/* Return: 1 to 65535, or 0 for what is no port */
static uint16_t port_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long n = digits > 0 && digits <= 5 && text[digits] == '\0' ? strtoul(text, NULL, 10) : 0;

	return n <= 65535 ? (uint16_t)n : 0;
}

int port_job(struct guest_job *j, const struct agent_open *o)
{
	uint16_t port = port_number(o->argv[0]);
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd, first;

	if (port == 0)
		return -EINVAL;
	fd = first = connect_to((const struct sockaddr *)&four, sizeof(four));
	if (fd < 0)
		fd = connect_to((const struct sockaddr *)&six, sizeof(six));
	if (fd < 0)
		return first; /* IPv6 may just be off */
	j->in_fd = fd;
	j->out[0].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return j->out[0].fd < 0 ? -errno : 0;
}
