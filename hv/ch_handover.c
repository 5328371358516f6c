/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/ch_handover.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/loop.h"

#define REQUEST_BYTES 768
#define LENGTH_HEADER "Content-Length:"

/* Of the lines up to @end. Return: it, 0 without one, or -1: none that an answer here may have. */
static long content_length(const char *data, const char *end)
{
	const char *line = data;
	long length = 0;

	while ((line = memmem(line, (size_t)(end - line), "\r\n", 2)) != NULL) {
		line += 2;
		if ((size_t)(end - line) < strlen(LENGTH_HEADER) || strncasecmp(line, LENGTH_HEADER, strlen(LENGTH_HEADER)) != 0)
			continue;
		line += strlen(LENGTH_HEADER);
		while (line < end && *line == ' ')
			line++;
		for (length = 0; line < end && isdigit((unsigned char)*line); line++) {
			length = length * 10 + (*line - '0');
			if (length > CH_HANDOVER_MAX)
				return -1;
		}
	}
	return length;
}

int ch_answer_parse(const char *data, size_t len, struct httpc_answer *out)
{
	static const char begin[] = "HTTP/1.1 ";
	const size_t before = sizeof(begin) - 1;
	const char *head = memmem(data, len, "\r\n\r\n", 4);
	long length;

	if (memcmp(data, begin, len < before ? len : before) != 0)
		return -EPROTO;
	if (!head)
		return len < CH_HANDOVER_MAX ? 0 : -EPROTO;
	if ((size_t)(head - data) < before + 3 || !isdigit((unsigned char)data[before]) || !isdigit((unsigned char)data[before + 1]) ||
	    !isdigit((unsigned char)data[before + 2]))
		return -EPROTO;
	length = content_length(data, head + 2);
	if (length < 0)
		return -EPROTO;
	head += 4;
	if (len - (size_t)(head - data) < (size_t)length)
		return len < CH_HANDOVER_MAX ? 0 : -EPROTO;
	*out = (struct httpc_answer){ .why = "", .cache_s = -1, .body = head, .len = (size_t)length,
				      .status = (data[before] - '0') * 100L + (data[before + 1] - '0') * 10L + (data[before + 2] - '0') };
	return 1;
}

void ch_handover_cancel(struct ch_handover *h)
{
	if (!h->active)
		return;
	h->active = false;
	ev_io_stop(h->loop->ev, &h->readable);
	ev_timer_stop(h->loop->ev, &h->late);
	h->fd = fd_close(h->fd);
	buf_finish(&h->in);
}

/* @a may lie in the buffer, which goes afterwards. */
static void finish(struct ch_handover *h, const struct httpc_answer *a)
{
	struct buf in = h->in;

	h->in = BUF_INIT(CH_HANDOVER_MAX);
	ch_handover_cancel(h);
	h->done(h->arg, a);
	buf_finish(&in);
}

static void fails(struct ch_handover *h, int error, const char *why)
{
	const struct httpc_answer a = { .error = error, .why = why, .cache_s = -1, .body = "" };

	finish(h, &a);
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
	struct ch_handover *h = w->data;
	struct httpc_answer a;
	char data[1024];
	ssize_t n = read(h->fd, data, sizeof(data));
	int r;

	(void)ev;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fails(h, -EIO, "it hung up without an answer");
		return;
	}
	r = buf_add(&h->in, data, (size_t)n) < 0 ? -EPROTO : ch_answer_parse(h->in.data, h->in.len, &a);
	if (r < 0)
		fails(h, -EPROTO, "it answered nonsense");
	else if (r > 0)
		finish(h, &a);
}

static void on_late(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)events;
	fails(w->data, -ETIMEDOUT, "no answer in time");
}

static int socket_to(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || snprintf(to.sun_path, sizeof(to.sun_path), "%s", path) >= (int)sizeof(to.sun_path))
		return fd < 0 ? -errno : -ENAMETOOLONG;
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return errno == EAGAIN ? -ECONNREFUSED : -errno;
	return fd_take(&fd);
}

static int send_with(int to, const char *text, size_t len, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { .iov_base = (char *)(uintptr_t)text, .iov_len = len };
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n;

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	n = sendmsg(to, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n < 0 ? -errno : (size_t)n < len ? -EIO : 0;
}

int ch_handover_start(struct ch_handover *h, struct loop *loop, const char *socket, const char *name, const char *body, int fd, uint32_t deadline_ms,
		      httpc_done *done, void *arg)
{
	char text[REQUEST_BYTES];
	int n = snprintf(text, sizeof(text), "PUT /api/v1/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", name, strlen(body), body);
	int r;

	if (n < 0 || (size_t)n >= sizeof(text))
		return -E2BIG;
	h->fd = socket_to(socket);
	if (h->fd < 0)
		return h->fd;
	/* All of it at once: the descriptor belongs to the first bytes, and a connection that is new has room. */
	r = send_with(h->fd, text, (size_t)n, fd);
	if (r < 0) {
		h->fd = fd_close(h->fd);
		return r;
	}
	h->loop = loop;
	h->done = done;
	h->arg = arg;
	h->in = BUF_INIT(CH_HANDOVER_MAX);
	h->active = true;
	ev_io_init(&h->readable, on_readable, h->fd, EV_READ);
	ev_timer_init(&h->late, on_late, deadline_ms / 1000., 0.);
	h->readable.data = h->late.data = h;
	ev_now_update(loop->ev);
	ev_io_start(loop->ev, &h->readable);
	ev_timer_start(loop->ev, &h->late);
	return 0;
}
