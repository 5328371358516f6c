/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU Machine Protocol (docs/interop/qmp-spec.txt of QEMU): one JSON object a line. Each command carries its own name as its id, so
 * the answer says what it answers and nothing has to be remembered, not even over a change of the process at this end.
 */
#include "hv/qmp.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"

#define OUT_MAX	     4096 /* some dozens of commands that QEMU does not read: it hangs */
#define READS_A_TURN 16

void qmp_reader_init(struct qmp_reader *r, bool adopted)
{
	r->line = BUF_INIT(QMP_LINE_MAX);
	r->lost = adopted;
}

void qmp_reader_finish(struct qmp_reader *r)
{
	buf_finish(&r->line);
}

/* Return: 0, or -EPROTO for an object that is no message. */
static int read_message(const json_t *root, struct qmp_message *m)
{
	const json_t *error = json_object_get(root, "error");
	const char *id = json_string_value(json_object_get(root, "id"));
	const char *event = json_string_value(json_object_get(root, "event"));
	const char *text = json_string_value(json_object_get(error, "desc"));

	*m = (struct qmp_message){ .name = id ? id : "", .text = "" };
	if (event) {
		m->kind = QMP_EVENT;
		m->name = event;
		m->data = json_object_get(root, "data");
	} else if (error) {
		m->kind = QMP_ERROR;
		m->text = text ? text : "";
	} else if (json_object_get(root, "return")) {
		m->kind = QMP_RETURN;
		m->data = json_object_get(root, "return");
	} else if (json_object_get(root, "QMP")) {
		m->kind = QMP_GREETING;
		m->data = json_object_get(root, "QMP");
	} else {
		return -EPROTO;
	}
	return 0;
}

/* One whole line. Return: 1 to go on, 0 to stop, negative for nonsense. */
static int read_line(struct qmp_reader *r, bool (*on_message)(void *, const struct qmp_message *), void *arg, struct err *e)
{
	bool lost = r->lost;
	struct qmp_message m;
	json_error_t je;
	json_t *root;
	int result = 1;

	r->lost = false;
	if (r->line.len == strspn(r->line.data, " \t\r"))
		return 1;
	root = json_loadb(r->line.data, r->line.len, JSON_REJECT_DUPLICATES, &je);
	if (root && read_message(root, &m) == 0)
		result = on_message(arg, &m);
	else if (!lost)
		result = err_set(e, -EPROTO, "QEMU sent a line that is no message of QMP: %s", root ? "unknown kind" : je.text);
	json_decref(root);
	return result;
}

int qmp_feed(struct qmp_reader *r, const char *data, size_t len, bool (*on_message)(void *arg, const struct qmp_message *m), void *arg,
	     struct err *e)
{
	while (len > 0) {
		const char *nl = memchr(data, '\n', len);
		size_t n = nl ? (size_t)(nl - data) : len;
		int go_on = 1, x = buf_add(&r->line, data, n);

		if (x < 0)
			return err_set(e, x, x == -ENOSPC ? "QEMU sent a line of more than %d bytes" : "no memory for %d bytes of QMP",
				       QMP_LINE_MAX);
		if (nl) {
			go_on = r->line.data ? read_line(r, on_message, arg, e) : 1;
			n++;
		}
		if (go_on <= 0)
			return go_on;
		if (nl)
			buf_eat(&r->line, r->line.len);
		data += n;
		len -= n;
	}
	return 0;
}

struct qmp {
	struct loop *loop; /* borrowed */
	const struct qmp_hooks *hooks; /* borrowed */
	void *arg;
	int fd; /* owned; -1 once hung up */
	struct qmp_reader in;
	struct buf out;
	ev_io readable, writable;
	struct loop_task reap;
};

static void hang_up(struct qmp *q)
{
	ev_io_stop(q->loop->ev, &q->readable);
	ev_io_stop(q->loop->ev, &q->writable);
	q->fd = fd_close(q->fd);
}

static void flush(struct qmp *q)
{
	while (q->out.len > 0) {
		ssize_t n = send(q->fd, q->out.data, q->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			buf_eat(&q->out, (size_t)n);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			break;
		ev_io_start(q->loop->ev, &q->writable);
		return;
	}
	ev_io_stop(q->loop->ev, &q->writable);
}

static void on_writable(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)events;
	flush(w->data);
}

static bool pass_on(void *arg, const struct qmp_message *m)
{
	struct qmp *q = arg;

	q->hooks->on_message(q->arg, m);
	return q->fd >= 0; /* the hook may have closed it */
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
	struct qmp *q = w->data;
	char data[4096];

	(void)ev;
	(void)events;
	for (int i = 0; i < READS_A_TURN && q->fd >= 0; i++) {
		ssize_t n = recv(q->fd, data, sizeof(data), MSG_DONTWAIT);
		struct err e = { 0 };

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			hang_up(q);
			return;
		}
		if (qmp_feed(&q->in, data, (size_t)n, pass_on, q, &e) < 0) {
			hang_up(q);
			q->hooks->on_broken(q->arg, e.msg);
			return;
		}
	}
}

int qmp_open(struct qmp **out, struct loop *loop, int fd, bool adopted, const struct qmp_hooks *hooks, void *arg)
{
	struct qmp *q = calloc(1, sizeof(*q));
	int r = q ? fd_nonblock(fd) : -ENOMEM;

	if (r < 0) {
		(void)fd_close(fd);
		free(q);
		return r;
	}
	q->loop = loop;
	q->hooks = hooks;
	q->arg = arg;
	q->fd = fd;
	q->out = BUF_INIT(OUT_MAX);
	qmp_reader_init(&q->in, adopted);
	ev_io_init(&q->readable, on_readable, fd, EV_READ);
	ev_io_init(&q->writable, on_writable, fd, EV_WRITE);
	q->readable.data = q->writable.data = q;
	ev_io_start(loop->ev, &q->readable);
	*out = q;
	/* Again after adoption: an earlier process may have ended before it. QEMU then only says that it is done already. */
	return qmp_send(q, "qmp_capabilities");
}

int qmp_send(struct qmp *q, const char *command)
{
	int r;

	if (!q || q->fd < 0)
		return -ENOTCONN;
	r = buf_printf(&q->out, "{\"execute\":\"%s\",\"id\":\"%s\"}\n", command, command);
	if (r < 0)
		return r;
	flush(q);
	return 0;
}

/* With the descriptor goes the whole line, which is short. */
static int send_with_fd(const struct qmp *q, const char *text, size_t len, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(q->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len ? 0 : -EAGAIN;
}

int qmp_command(struct qmp *q, const char *command, json_t *args, int fd)
{
	json_t *root = json_pack("{s:s, s:s, s:o*}", "execute", command, "id", command, "arguments", args);
	_free_ char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	_free_ char *line = NULL;
	int r = 0;

	json_decref(root);
	if (!text || asprintf(&line, "%s\n", text) < 0)
		return -ENOMEM;
	if (!q || q->fd < 0)
		return -ENOTCONN;
	flush(q);
	if (fd >= 0)
		return q->out.len > 0 ? -EAGAIN : send_with_fd(q, line, strlen(line), fd);
	r = buf_add(&q->out, line, strlen(line));
	if (r == 0)
		flush(q);
	return r;
}

static void run_reap(struct loop_task *t)
{
	struct qmp *q = container_of(t, struct qmp, reap);

	qmp_reader_finish(&q->in);
	buf_finish(&q->out);
	free(q);
}

struct qmp *qmp_close(struct qmp *q)
{
	if (!q)
		return NULL;
	hang_up(q);
	/* Not freed yet: this may be inside a hook, with the reader at work on its line. */
	loop_defer(q->loop, &q->reap, run_reap);
	return NULL;
}
