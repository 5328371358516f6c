/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A connection to the loopback is made or refused at once, unless the listener's queue is full: then the kernel says its SYN
 * again after a second, and again. So the OPEN is answered when that is decided, by IPv4 and where that is refused by IPv6, and the loop goes
 * on meanwhile.
 *
 *   port_job -IPv4-> connecting -made-> streams begin, answer 0
 *                               -refused-> connecting by IPv6 -made-> the same;  -refused-> answer of IPv4's errno, the job is gone
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define CONNECT_S 10.0 /* for both attempts; the gateway waits for an answer a little longer */

static int try_ipv6(struct guest_job *j);

static void ended(struct guest_job *j, int status)
{
	struct guest_connect *c = &j->connect;
	bool answer = c->answer_due;

	if (status == 0) {
		j->in_fd = c->fd;
		c->fd = -1;
		j->out[0].fd = fcntl(j->in_fd, F_DUPFD_CLOEXEC, 3);
		status = j->out[0].fd < 0 ? -errno : 0;
	}
	port_stop(j);
	if (status == 0)
		job_begin_streams(j);
	if (answer)
		guest_opened(j, c->seq, status);
	if (status < 0)
		job_free(j);
}

static void on_done(struct ev_loop *ev, ev_io *w, int events)
{
	struct guest_job *j = w->data;
	struct guest_connect *c = &j->connect;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)events;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	ev_io_stop(ev, w);
	if (error && !c->refused) {
		c->refused = -error;
		c->fd = fd_close(c->fd);
		if (try_ipv6(j) == 0)
			return;
	}
	ended(j, error ? c->refused : 0); /* IPv6 may just be off: what IPv4 said is told */
}

static void on_late(struct ev_loop *ev, ev_timer *w, int events)
{
	struct guest_job *j = w->data;

	(void)ev;
	(void)events;
	ended(j, j->connect.refused ? j->connect.refused : -ETIMEDOUT);
}

/* Return: 0: on_done() follows; or -errno */
static int begin(struct guest_job *j, const struct sockaddr *to, socklen_t len)
{
	struct guest_connect *c = &j->connect;
	int r = 0;

	c->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return -errno;
	if (connect(c->fd, to, len) < 0 && errno != EINPROGRESS) {
		r = -errno;
		c->fd = fd_close(c->fd);
		return r;
	}
	ev_io_set(&c->on_done, c->fd, EV_WRITE);
	ev_io_start(j->g->loop->ev, &c->on_done);
	return 0;
}

static int try_ipv4(struct guest_job *j)
{
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(j->connect.port), .sin_addr = { htonl(INADDR_LOOPBACK) } };

	return begin(j, (const struct sockaddr *)&to, sizeof(to));
}

static int try_ipv6(struct guest_job *j)
{
	const struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(j->connect.port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	return begin(j, (const struct sockaddr *)&to, sizeof(to));
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
	struct guest_connect *c = &j->connect;
	int r;

	c->port = port_number(o->argv[0]);
	if (c->port == 0)
		return -EINVAL;
	ev_init(&c->on_done, on_done);
	ev_timer_init(&c->deadline, on_late, CONNECT_S, 0.);
	c->on_done.data = c->deadline.data = j;
	r = try_ipv4(j);
	if (r < 0) {
		c->refused = r;
		r = try_ipv6(j);
	}
	if (r == 0)
		ev_timer_start(j->g->loop->ev, &c->deadline);
	return r < 0 ? c->refused : 0;
}

void port_stop(struct guest_job *j)
{
	struct guest_connect *c = &j->connect;

	if (c->port == 0)
		return;
	ev_io_stop(j->g->loop->ev, &c->on_done);
	ev_timer_stop(j->g->loop->ev, &c->deadline);
	c->fd = fd_close(c->fd);
	c->answer_due = false;
}
