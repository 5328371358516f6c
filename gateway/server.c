/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include <libwebsockets.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/attach.h"
#include "gateway/http.h"
#include "gateway/listen.h"
#include "gateway/metrics.h"

/*
 * Theory of operation
 *
 * One struct conn for each accepted socket, from accept to LWS_CALLBACK_WSI_DESTROY; the library's own per-protocol storage is not used,
 * for it comes and goes with every request. A connection is in one phase:
 *
 *   HEAD --complete--> BODY --last byte--> ANSWER --sent--> closed        a request has one struct exchange, from its head to its answer
 *     `--upgrade allowed--> UPGRADE --established--> SOCKET --> closed    from then on messages go to and from a struct attach
 *
 * A connection carries one request. What libwebsockets 4.1.6 (Debian 12) does with a second one that shares a segment with the first cannot
 * be made safe from outside: it gives a POST its own head as the body, calls itself for it, and frees the connection twice when that
 * call ends it; an unknown Upgrade on a connection that is kept alive uses freed memory (CVE-2025-11677). With one request each there is
 * nothing to be confused about, nor to smuggle. The page asks rarely, and a proxy in front keeps its own connections to browsers alive.
 *
 * Every request passes http_gate() before anything else looks at it, every upgrade http_upgrade().
 *
 * Answers go to the socket by send(2), not through the library. While one waits for room, the library must not read on: it would wake for ever
 * for bytes that it does not take. But its flow control, which stops the reading, stops its writing as well; so the writing is ours. (TLS
 * is not the library's either: gateway/tls.c hands plain text on.)
 *
 * Deadlines are watched by one sweep each second over all connections, not by a timer each: an idle terminal costs nothing between sweeps.
 * Frames are written when the loop turns (flush), without waiting for the socket to say that it is writable; only a socket that was full is
 * waited for.
 *
 * Rejected: libwebsockets' own accept (no limits before allocation), its idle policy (one sorted list of timers over all connections, and
 * its pings would end a client whose input rests), its per-session storage (freed between a head and its body).
 */

#define SWEEP_S		   1.
#define REQUEST_MS	   10000 /* from the first byte, or the head, to the last byte of a body */
#define LARGE_REQUEST_MS   120000 /* a mebibyte at 9 KiB/s */
#define LATER_MS	   120000 /* for an answer that is made elsewhere, which has deadlines of its own */
#define ANSWER_MS	   30000 /* to read an answer: 450 KiB at 15 KiB/s */
#define ANSWER_PER_TURN	   16	 /* writes of 64 KiB, then others get their turn */
#define HEAD_TIMEOUT_S	   5	 /* the library's own, for a head that drips */
#define CLOSE_MS	   5000	 /* for a closing websocket */
#define PING_MS		   25000 /* docs/protocol.md */
#define SILENCE_MS	   75000
#define DRAIN_S		   1.
#define HEADERS_MAX	   8192	 /* bytes of a request's head */
#define WS_RX_BYTES	   1024	 /* the library's read size and buffer for each websocket */
#define FRAMES_PER_TURN	   2	 /* then others get their turn */
#define CLOSE_REASON_BYTES 100	 /* a control frame holds 123 (RFC 6455 §5.5) */
#define SWALLOW_BYTES	   (256 * 1024)

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_ANSWER, PHASE_UPGRADE, PHASE_SOCKET };

/**
 * struct exchange - one request and its answer
 * @text: the headers, one NUL-terminated string after the other
 * @sent: bytes of the answer that are out, head included
 */
struct exchange {
	struct http_request req;
	struct http_response resp;
	struct who who;
	struct buf body, head;
	uint64_t sent;
	size_t text_len;
	bool begun, answered; /* handed to its route; its answer is on the way */
	char text[HEADERS_MAX + 1024];
};

struct conn {
	struct server *srv; /* borrowed */
	struct lws *wsi;    /* borrowed: the library's; NULL until adopted */
	struct conn *prev, *next;
	struct peer peer;
	enum phase phase;
	uint64_t deadline_ms; /* of the phase; in PHASE_SOCKET only while closing */
	struct exchange *x;   /* owned */

	/* PHASE_SOCKET */
	struct attach *attach; /* owned */
	struct loop_task flush;
	uint8_t *rx; /* owned: a message that comes in pieces; ATTACH_INPUT_MAX bytes */
	size_t rx_len;
	uint64_t heard_ms, pinged_ms;
	bool blocked, closing, close_sent, paused, ping_due;
	ev_io room; /* runs while an answer waits for room in the socket */
	uint16_t close_code;
	char close_reason[CLOSE_REASON_BYTES];
};

struct server {
	struct server_config c;
	struct lws_context *context; /* owned */
	struct lws_vhost *vhost;     /* borrowed: the context's */
	struct conn *first, *adopting;
	ev_timer sweep, drain;
	bool draining;
};

/* One buffer for everything that is written: the loop is one thread, and the library copies what a socket does not take. */
static uint8_t out_buffer[LWS_PRE + ATTACH_MSG_MAX];

/* The library's own few answers (unknown Upgrade and the like) carry these. */
#define CANNED(prev, header, text) { prev, NULL, header, text }
static const struct lws_protocol_vhost_options canned[] = {
	CANNED(NULL, "Content-Security-Policy:", "default-src 'none'; frame-ancestors 'none'"),
	CANNED(&canned[0], "X-Content-Type-Options:", "nosniff"),
	CANNED(&canned[1], "Referrer-Policy:", "no-referrer"),
	CANNED(&canned[2], "Cache-Control:", "no-store"),
};

/* --- connections --- */

static struct conn *conn_of(struct lws *wsi)
{
	return lws_get_opaque_user_data(wsi);
}

static void set_phase(struct conn *c, enum phase phase, uint64_t deadline_ms)
{
	c->phase = phase;
	c->deadline_ms = loop_now_ms() + deadline_ms;
}

/*
 * End a connection from outside its callbacks; the library calls back with CLOSED and WSI_DESTROY later. On a foreign loop the library
 * looks at its timers only after an event of its own: it is given one.
 */
static void kill_conn(struct conn *c)
{
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
	lws_cancel_service(c->srv->context);
}

static void finish_exchange(struct conn *c)
{
	struct exchange *x = c->x;

	c->x = NULL;
	if (!x)
		return;
	http_response_finish(&x->resp);
	if (x->body.data)
		explicit_bzero(x->body.data, x->body.cap); /* it may have been a password, or a machine's secret */
	buf_finish(&x->body);
	buf_finish(&x->head);
	/* Cookies and tokens went through here. */
	explicit_bzero(x->text, x->text_len);
	free(x);
}

static void unlink_conn(struct conn *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		c->srv->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
}

static void detach_socket(struct conn *c)
{
	struct server *s = c->srv;

	if (!c->attach)
		return;
	loop_cancel(s->c.loop, &c->flush);
	c->attach = attach_closed(c->attach);
	s->c.metrics->websockets--;
	if (s->draining && s->c.metrics->websockets == 0)
		loop_stop(s->c.loop);
}

static void free_conn(struct conn *c)
{
	detach_socket(c);
	finish_exchange(c);
	ev_io_stop(c->srv->c.loop->ev, &c->room);
	unlink_conn(c);
	free(c->rx);
	free(c);
}

/* The library is done with a connection. */
static void on_destroyed(struct conn *c)
{
	struct server *s = c->srv;

	if (s->adopting == c)
		s->adopting = NULL; /* adopt() still has to answer for it */
	else
		listeners_closed(s->c.listeners, &c->peer);
	free_conn(c);
}

bool server_adopt(void *arg, int fd, const struct peer *p)
{
	struct server *s = arg;
	struct conn *c = calloc(1, sizeof(*c));
	lws_adopt_desc_t desc = { .vh = s->vhost, .type = LWS_ADOPT_HTTP | LWS_ADOPT_SOCKET, .fd = { .sockfd = fd }, .opaque = c };
	struct lws *wsi;
	bool lives;

	if (!c) {
		(void)fd_close(fd);
		return false;
	}
	c->srv = s;
	c->peer = *p;
	c->next = s->first;
	if (c->next)
		c->next->prev = c;
	s->first = c;
	set_phase(c, PHASE_HEAD, REQUEST_MS);
	s->adopting = c;
	/* Consumes the socket. A connection that fails late was destroyed by callback; one that fails early was not. */
	wsi = lws_adopt_descriptor_vhost_via_info(&desc);
	lives = wsi && s->adopting == c;
	if (lives)
		c->wsi = wsi;
	else if (s->adopting == c)
		free_conn(c);
	s->adopting = NULL;
	return lives;
}

/* --- reading a request --- */

/* Room for one more string. Return: where it goes, with *@room bytes; NULL when the head is too large. */
static char *text_room(struct exchange *x, size_t *room)
{
	*room = sizeof(x->text) - x->text_len;
	return *room > 1 ? x->text + x->text_len : NULL;
}

static int take_text(struct exchange *x, const char **field, int len)
{
	if (len < 0)
		return -E2BIG;
	*field = x->text + x->text_len;
	x->text_len += (size_t)len + 1;
	return 0;
}

/* A header into the exchange; absent leaves the field NULL. */
static int copy_header(struct exchange *x, struct lws *wsi, enum lws_token_indexes token, const char **field)
{
	size_t room;
	char *at = text_room(x, &room);

	if (lws_hdr_total_length(wsi, token) == 0)
		return 0;
	return at ? take_text(x, field, lws_hdr_copy(wsi, at, (int)room, token)) : -E2BIG;
}

#if LWS_LIBRARY_VERSION_NUMBER >= 4003000
struct copies {
	const char *name;
	size_t len, count;
};

static void count_copy(const char *name, int len, void *arg)
{
	struct copies *c = arg;

	c->count += (size_t)len == c->len && strncasecmp(name, c->name, c->len) == 0;
}

/* The library hands out the first of several headers of one name and keeps silent about the others. */
static bool came_twice(struct lws *wsi, const char *name)
{
	struct copies c = { .name = name, .len = strlen(name) };

	return lws_hdr_custom_name_foreach(wsi, count_copy, &c) == 0 && c.count > 1;
}
#else
/* 4.1 has no way to tell: docs/administration.md says what the proxy must do */
static bool came_twice(struct lws *wsi, const char *name)
{
	(void)wsi;
	(void)name;
	return false;
}
#endif

static int copy_custom(struct exchange *x, struct lws *wsi, const char *name, const char **field)
{
	size_t room;
	char *at = text_room(x, &room);

	if (lws_hdr_custom_length(wsi, name, (int)strlen(name)) < 0)
		return 0;
	if (came_twice(wsi, name)) {
		/* As RFC 9110 §5.3 joins them; whoever reads it sees a comma where none belongs. */
		*field = ",";
		return 0;
	}
	return at ? take_text(x, field, lws_hdr_custom_copy(wsi, at, (int)room, name, (int)strlen(name))) : -E2BIG;
}

/*
 * The library has split the query at '&' and decoded it; it is put together again. What would then read as another '&', or as a beginning
 * of what http_query() decodes, is escaped once more.
 */
static int copy_query(struct exchange *x, struct lws *wsi)
{
	char part[HEADERS_MAX + 1];
	size_t room, at = 0;
	char *text = text_room(x, &room);
	int n;

	if (!text)
		return -E2BIG;
	for (int i = 0; (n = lws_hdr_copy_fragment(wsi, part, sizeof(part), WSI_TOKEN_HTTP_URI_ARGS, i)) >= 0; i++) {
		if (room - at < 2)
			return -E2BIG;
		if (at > 0)
			text[at++] = '&';
		for (int k = 0; k < n; k++) {
			if (room - at < sizeof("%26"))
				return -E2BIG;
			if (part[k] == '&' || part[k] == '%')
				at += (size_t)snprintf(text + at, room - at, "%%%02X", (unsigned char)part[k]);
			else
				text[at++] = part[k];
		}
	}
	text[at] = '\0';
	return take_text(x, &x->req.query, (int)at);
}

static int copy_path(struct exchange *x, struct lws *wsi)
{
	static const struct {
		enum lws_token_indexes token;
		enum http_method method;
	} methods[] = {
		{ WSI_TOKEN_GET_URI, HTTP_GET },      { WSI_TOKEN_HEAD_URI, HTTP_HEAD },   { WSI_TOKEN_POST_URI, HTTP_POST },
		{ WSI_TOKEN_DELETE_URI, HTTP_DELETE }, { WSI_TOKEN_PUT_URI, HTTP_PUT },   { WSI_TOKEN_PATCH_URI, HTTP_PATCH },
		{ WSI_TOKEN_OPTIONS_URI, HTTP_OTHER },
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (lws_hdr_total_length(wsi, methods[i].token) > 0) {
			x->req.method = methods[i].method;
			return copy_header(x, wsi, methods[i].token, &x->req.path);
		}
	return -EINVAL;
}

static int copy_headers(struct exchange *x, struct lws *wsi, const struct http_app *app)
{
	struct http_request *q = &x->req;
	const struct {
		enum lws_token_indexes token;
		const char **field;
	} known[] = {
		{ WSI_TOKEN_HTTP, &q->version },
		{ WSI_TOKEN_HOST, &q->host },
		{ WSI_TOKEN_ORIGIN, &q->origin },
		{ WSI_TOKEN_HTTP_COOKIE, &q->cookie },
		{ WSI_TOKEN_HTTP_CONTENT_TYPE, &q->content_type },
		{ WSI_TOKEN_HTTP_CONTENT_LENGTH, &q->content_length },
		{ WSI_TOKEN_HTTP_TRANSFER_ENCODING, &q->transfer_encoding },
		{ WSI_TOKEN_HTTP_ACCEPT_ENCODING, &q->accept_encoding },
		{ WSI_TOKEN_HTTP_IF_NONE_MATCH, &q->if_none_match },
		{ WSI_TOKEN_HTTP_IF_MATCH, &q->if_match },
		{ WSI_TOKEN_HTTP_RANGE, &q->range },
		{ WSI_TOKEN_HTTP_IF_RANGE, &q->if_range },
		{ WSI_TOKEN_HTTP_AUTHORIZATION, &q->authorization },
		{ WSI_TOKEN_VERSION, &q->ws_version },
		{ WSI_TOKEN_PROTOCOL, &q->ws_protocols },
	};
	int r = copy_path(x, wsi);

	for (size_t i = 0; r == 0 && i < sizeof(known) / sizeof(known[0]); i++)
		r = copy_header(x, wsi, known[i].token, known[i].field);
	if (r == 0)
		r = copy_custom(x, wsi, "sec-fetch-site:", &q->fetch_site);
	if (r == 0)
		r = copy_custom(x, wsi, "x-terrarium:", &q->marker);
	if (r == 0)
		r = copy_custom(x, wsi, "idempotency-key:", &q->idempotency_key);
	for (size_t i = 0; r == 0 && i < HTTP_EXTRA_MAX && app->extra_names[i]; i++)
		r = copy_custom(x, wsi, app->extra_names[i], &q->extra[i]);
	if (r == 0)
		r = copy_query(x, wsi);
	if (app->proxy_authorization) {
		q->proxy_authorization = q->authorization;
		q->authorization = NULL;
	}
	return r;
}

/* Begin an exchange with the head that the library holds. Return: 0, -E2BIG with a 431 in it, other negative without one. */
static int begin_exchange(struct conn *c)
{
	struct exchange *x;
	int r;

	finish_exchange(c);
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	c->x = x;
	x->body = BUF_INIT(HTTP_BODY_MAX);
	x->head = BUF_INIT(HTTP_HEAD_MAX);
	http_response_init(&x->resp);
	x->req.peer = c->peer;
	r = copy_headers(x, c->wsi, c->srv->c.app);
	if (r == -E2BIG) {
		http_problem(&x->resp, 431, "headers_too_large", "The headers are larger than %d bytes.", HEADERS_MAX);
	}
	return r;
}

/* --- writing an answer --- */

static uint64_t answer_body_len(const struct exchange *x)
{
	return x->req.method == HTTP_HEAD || x->resp.status == 204 || x->resp.status == 304 ? 0 : http_body_len(&x->resp);
}

/* Copy up to @len bytes of the body, from @at on. Return: bytes; 0: none yet; negative: it ends early, as that of a file that has become shorter. */
static ssize_t body_bytes(const struct http_response *resp, uint64_t at, uint8_t *out, size_t len)
{
	const uint8_t *body = resp->fixed ? resp->fixed : (const uint8_t *)resp->body.data;
	ssize_t n;

	if (resp->from_later)
		return resp->later->read(resp->later, at, out, len);
	if (!resp->from_file) {
		memcpy(out, body + at, len);
		return (ssize_t)len;
	}
	n = pread(resp->file, out, len, (off_t)(resp->file_at + at));
	return n > 0 ? n : -EIO;
}

/* Copy up to @cap bytes of the answer, from @x->sent on. Return: as body_bytes() */
static ssize_t answer_bytes(const struct exchange *x, uint8_t *out, size_t cap)
{
	uint64_t body_len = answer_body_len(x), at;
	size_t n = 0;
	ssize_t more;

	if (x->sent < x->head.len) {
		n = x->head.len - x->sent < cap ? (size_t)(x->head.len - x->sent) : cap;
		memcpy(out, x->head.data + x->sent, n);
	}
	at = x->sent + n - x->head.len;
	if (x->sent + n < x->head.len || at >= body_len || n == cap)
		return (ssize_t)n;
	more = body_bytes(&x->resp, at, out + n, body_len - at < cap - n ? (size_t)(body_len - at) : cap - n);
	if (n > 0)
		return (ssize_t)n + (more > 0 ? more : 0);
	return more;
}

/*
 * Bytes that the peer has sent already and nobody will read would turn our close into a reset, and the reset may overtake the answer. What has
 * come so far is read and dropped.
 */
static void swallow_rest(const struct conn *c)
{
	char scrap[4096];
	ssize_t n = 1;

	for (size_t sum = 0; n > 0 && sum < SWALLOW_BYTES; sum += (size_t)n)
		n = recv(lws_get_socket_fd(c->wsi), scrap, sizeof(scrap), MSG_DONTWAIT);
}

/*
 * Send as much as goes now. Return: 0 when all of it is out; -EAGAIN: the socket is full; -EINPROGRESS: more is still to come; another negative errno:
 * nothing more can be sent.
 */
static int send_answer(struct conn *c)
{
	struct exchange *x = c->x;
	uint64_t total = x->head.len + answer_body_len(x);

	for (int turn = 0; x->sent < total; turn++) {
		ssize_t n = answer_bytes(x, out_buffer + LWS_PRE, ATTACH_MSG_MAX), sent;

		if (n <= 0)
			return n == 0 ? -EINPROGRESS : (int)n;
		if (turn == ANSWER_PER_TURN)
			return -EAGAIN; /* a large file for somebody who is quick: others want their turn, too */
		sent = send(lws_get_socket_fd(c->wsi), out_buffer + LWS_PRE, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
		x->sent += (uint64_t)sent;
		/* As long as something moves: a file of a gigabyte may take its time. */
		if ((x->resp.from_file || x->resp.from_later) && sent > 0)
			c->deadline_ms = loop_now_ms() + ANSWER_MS;
	}
	swallow_rest(c);
	return 0;
}

static void on_room(struct ev_loop *ev, ev_io *w, int events)
{
	struct conn *c = container_of(w, struct conn, room);
	int r = send_answer(c);

	(void)events;
	if (r == -EAGAIN)
		return;
	ev_io_stop(ev, w);
	if (r != -EINPROGRESS)
		kill_conn(c);
}

/* Return: as the library's callbacks, -1 when all of it is out, or nothing more can be: close. */
static int write_answer(struct conn *c)
{
	int r = send_answer(c);

	if (r != -EAGAIN && r != -EINPROGRESS)
		return -1;
	lws_rx_flow_control(c->wsi, 0);
	if (r == -EINPROGRESS)
		return 0;
	ev_io_init(&c->room, on_room, lws_get_socket_fd(c->wsi), EV_WRITE);
	ev_io_start(c->srv->c.loop->ev, &c->room);
	return 0;
}

static int start_answer(struct conn *c)
{
	struct exchange *x = c->x;
	struct metrics *m = c->srv->c.metrics;

	if (x->resp.status < 100 || x->resp.status > 599)
		http_problem(&x->resp, 500, "internal", "Something failed in the server.");
	m->responses[x->resp.status / 100 - 1]++;
	x->answered = true;
	x->resp.https = c->srv->c.https;
	if (http_head(&x->resp, &x->head) < 0)
		return -1;
	set_phase(c, PHASE_ANSWER, ANSWER_MS);
	return write_answer(c);
}

/* Whoever makes the answer has it, or more of it. */
static void on_later(void *arg)
{
	struct conn *c = arg;

	if (!c->x || ev_is_active(&c->room))
		return;
	if ((c->x->answered ? write_answer(c) : start_answer(c)) < 0)
		kill_conn(c);
}

/* The library has no deadline for this; ours only catches what makes answers and forgets to. */
static int wait_for_answer(struct conn *c)
{
	lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
	lws_rx_flow_control(c->wsi, 0);
	set_phase(c, PHASE_ANSWER, LATER_MS);
	return 0;
}

/* --- HTTP callbacks --- */

/* The head is complete. Refusals end the connection here, before the library reads a body. */
static int on_head(struct conn *c)
{
	int r = begin_exchange(c);

	if (r == 0 && http_gate(c->srv->c.app, &c->x->req, &c->x->resp) == 0) {
		c->x->body.limit = http_body_max(c->srv->c.app, &c->x->req);
		/* More than the usual is for people who are known. */
		set_phase(c, PHASE_BODY, c->x->body.limit > HTTP_BODY_MAX ? LARGE_REQUEST_MS : REQUEST_MS);
		return 0;
	}
	if (r == 0 || r == -E2BIG)
		(void)start_answer(c);
	return -1;
}

static int answer(struct conn *c)
{
	struct exchange *x = c->x;

	x->begun = true;
	x->req.body = x->body.data;
	x->req.body_len = x->body.len;
	http_answer(c->srv->c.app, &x->req, &x->resp);
	if (x->resp.later) {
		x->resp.later->wake = on_later;
		x->resp.later->arg = c;
	}
	return x->resp.later && !x->resp.status ? wait_for_answer(c) : start_answer(c);
}

static int on_request(struct conn *c)
{
	const struct http_request *req = c->x ? &c->x->req : NULL;

	if (!req || c->x->begun)
		return -1;
	/* A body is waited for, with POST also an empty one: the library says when it is complete. With other methods it says nothing about none. */
	if (http_has_body(req->method) && (req->method == HTTP_POST || strspn(req->content_length, "0") != strlen(req->content_length)))
		return 0;
	return answer(c);
}

static int on_body(struct conn *c, const void *data, size_t len)
{
	if (!c->x || c->x->begun || !http_has_body(c->x->req.method))
		return -1;
	if (len == 0)
		return 0;
	/* The gate has seen Content-Length; this is for a library that counts otherwise. */
	return buf_add(&c->x->body, data, len) < 0 ? -1 : 0;
}

/* One answer for each request, however often the library says so. */
static int on_body_complete(struct conn *c)
{
	if (!c->x || c->x->answered || !http_has_body(c->x->req.method))
		return -1;
	return c->x->begun ? 0 : answer(c);
}

/*
 * An Upgrade. With an unknown one, 4.1.6 has answered and let go of the headers already, and what it passes in points to freed memory: the
 * header is copied out, which gives nothing then, and the connection ends.
 */
static int on_confirm_upgrade(struct conn *c)
{
	char upgrade[16];
	int n = lws_hdr_copy(c->wsi, upgrade, sizeof(upgrade), WSI_TOKEN_UPGRADE), r;

	if (n <= 0 || strcasecmp(upgrade, "websocket") != 0)
		return -1;
	r = begin_exchange(c);
	if (r == 0 && http_upgrade(c->srv->c.app, &c->x->req, &c->x->resp, &c->x->who) == 0) {
		set_phase(c, PHASE_UPGRADE, REQUEST_MS);
		return 0;
	}
	if (r == 0 || r == -E2BIG)
		(void)start_answer(c);
	return -1;
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct conn *c = wsi ? conn_of(wsi) : NULL;

	(void)user;
	if (!c)
		return 0;
	/* Early callbacks come before adopt() knows it. */
	c->wsi = wsi;
	switch (reason) {
	case LWS_CALLBACK_FILTER_HTTP_CONNECTION:
		return on_head(c);
	case LWS_CALLBACK_HTTP:
		return on_request(c);
	case LWS_CALLBACK_HTTP_BODY:
		return on_body(c, in, len);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return on_body_complete(c);
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return on_confirm_upgrade(c);
	case LWS_CALLBACK_WSI_DESTROY:
		on_destroyed(c);
		return 0;
	/* CONNECT, and websockets that ask for this protocol by name. */
	case LWS_CALLBACK_RAW_ADOPT:
	case LWS_CALLBACK_RAW_RX:
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
	case LWS_CALLBACK_ESTABLISHED:
	case LWS_CALLBACK_RECEIVE:
		return -1;
	default:
		return 0;
	}
}

/* --- websockets: towards the client --- */

static void wait_writable(struct conn *c)
{
	c->blocked = true;
	lws_callback_on_writable(c->wsi);
}

/* Write what there is, at most FRAMES_PER_TURN frames. Return: -1 when the connection is broken. */
static int write_frames(struct conn *c)
{
	struct metrics *m = c->srv->c.metrics;
	bool more = false;

	if (c->ping_due) {
		c->ping_due = false;
		/* Not empty: the library does not tell of an answer without content. */
		memcpy(out_buffer + LWS_PRE, "ping", 4);
		if (lws_write(c->wsi, out_buffer + LWS_PRE, 4, LWS_WRITE_PING) < 0)
			return -1;
	}
	for (int i = 0; i < FRAMES_PER_TURN && !c->closing; i++) {
		size_t n;

		/* The first frame is not worth asking the kernel: a socket that was full has called back, or is waited for. */
		if (i == 0 ? lws_partial_buffered(c->wsi) : lws_send_pipe_choked(c->wsi)) {
			more = true;
			break;
		}
		more = false;
		n = attach_next(c->attach, out_buffer + LWS_PRE, ATTACH_MSG_MAX, &more);
		if (n == 0)
			break;
		m->bytes_out += n;
		if (lws_write(c->wsi, out_buffer + LWS_PRE, n, LWS_WRITE_BINARY) < (int)n)
			return -1;
		if (!more)
			break;
	}
	if (more || (c->closing && lws_partial_buffered(c->wsi)))
		wait_writable(c);
	return 0;
}

static int on_socket_writable(struct conn *c)
{
	c->blocked = false;
	if (!c->attach || c->close_sent)
		return 0;
	if (write_frames(c) < 0)
		return -1;
	/* The library loses a Close frame that would have to queue behind something. */
	if (!c->closing || c->blocked)
		return 0;
	c->close_sent = true;
	lws_close_reason(c->wsi, (enum lws_close_status)c->close_code, (uint8_t *)c->close_reason, strlen(c->close_reason));
	return -1;
}

/* At the end of a turn: everything that was read in it goes out with as few frames as there can be. */
static void run_flush(struct loop_task *task)
{
	struct conn *c = container_of(task, struct conn, flush);

	if (c->blocked || c->close_sent || !c->attach)
		return;
	if (write_frames(c) < 0)
		kill_conn(c);
	else if (c->closing && !c->blocked)
		/* Only from within the library's own callback can a connection be ended with a Close frame. */
		wait_writable(c);
}

static void want_write(void *conn)
{
	struct conn *c = conn;

	if (!c->blocked)
		loop_defer(c->srv->c.loop, &c->flush, run_flush);
}

static void close_socket(void *conn, uint16_t code, const char *reason)
{
	struct conn *c = conn;

	if (c->closing)
		return;
	c->closing = true;
	c->close_code = code;
	(void)snprintf(c->close_reason, sizeof(c->close_reason), "%s", reason ? reason : "");
	c->deadline_ms = loop_now_ms() + CLOSE_MS;
	/* A client whose input rests would never answer our Close: what it still sends is dropped in on_message(). */
	lws_rx_flow_control(c->wsi, 1);
	want_write(c);
}

static void pause_input(void *conn, bool paused)
{
	struct conn *c = conn;

	if (c->closing || c->paused == paused)
		return;
	c->paused = paused;
	c->heard_ms = loop_now_ms();
	lws_rx_flow_control(c->wsi, paused ? 0 : 1);
}

static const struct attach_transport transport = { .want_write = want_write, .close = close_socket, .pause_input = pause_input };

/* --- websockets: from the client --- */

static int on_established(struct conn *c)
{
	struct server *s = c->srv;
	char address[PEER_TEXT];

	c->attach = attach_create(s->c.hub, &transport, c, &c->x->who);
	if (c->attach)
		attach_set_address(c->attach, peer_text(&c->peer, address));
	finish_exchange(c);
	if (!c->attach)
		return -1;
	s->c.metrics->websockets++;
	c->phase = PHASE_SOCKET;
	c->heard_ms = c->pinged_ms = loop_now_ms();
	return 0;
}

/* A piece of a message that came in several. */
static void collect(struct conn *c, const uint8_t *data, size_t len, bool final)
{
	if (!c->rx)
		c->rx = malloc(ATTACH_INPUT_MAX);
	if (!c->rx || len > ATTACH_INPUT_MAX - c->rx_len) {
		attach_refuse(c->attach, c->rx ? 4413 : 1013, c->rx ? "a message is larger than 16 KiB" : "no memory");
		return;
	}
	memcpy(c->rx + c->rx_len, data, len);
	c->rx_len += len;
	if (!final)
		return;
	attach_input(c->attach, c->rx, c->rx_len);
	c->rx_len = 0;
	/* Pasting is rare and idle terminals are many. */
	free(c->rx);
	c->rx = NULL;
}

static int on_message(struct conn *c, const void *data, size_t len)
{
	bool first = lws_is_first_fragment(c->wsi), final = lws_is_final_fragment(c->wsi) && !lws_remaining_packet_payload(c->wsi);

	c->heard_ms = loop_now_ms();
	c->srv->c.metrics->bytes_in += len;
	if (c->closing || !c->attach)
		return 0;
	if (!lws_frame_is_binary(c->wsi))
		attach_refuse(c->attach, 4400, "only binary messages are spoken here");
	else if (first && final && c->rx_len == 0)
		attach_input(c->attach, data, len);
	else if (len > 0 || final)
		collect(c, data, len, final);
	return 0;
}

static int on_socket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct conn *c = wsi ? conn_of(wsi) : NULL;

	(void)user;
	if (!c)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return c->phase == PHASE_UPGRADE && c->x ? 0 : -1;
	case LWS_CALLBACK_ESTABLISHED:
		return c->phase == PHASE_UPGRADE && c->x ? on_established(c) : -1;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return on_socket_writable(c);
	case LWS_CALLBACK_RECEIVE:
		return on_message(c, in, len);
	case LWS_CALLBACK_RECEIVE_PONG:
		c->heard_ms = loop_now_ms();
		return 0;
	/* Also comes without ESTABLISHED, for an upgrade that failed. */
	case LWS_CALLBACK_CLOSED:
		detach_socket(c);
		return 0;
	case LWS_CALLBACK_RAW_ADOPT:
	case LWS_CALLBACK_RAW_RX:
		return -1;
	default:
		return 0;
	}
}

/* --- deadlines --- */

static void sweep_socket(struct conn *c, uint64_t now_ms)
{
	uint64_t silent_ms;

	if (c->closing) {
		if (now_ms > c->deadline_ms)
			kill_conn(c);
		return;
	}
	/* Whoever is not listened to cannot be heard. The kernel still notices a peer that is gone (TCP_USER_TIMEOUT). */
	if (c->paused)
		c->heard_ms = now_ms;
	silent_ms = now_ms - c->heard_ms;
	if (silent_ms >= SILENCE_MS) {
		c->srv->c.metrics->deadlines++;
		kill_conn(c);
	} else if (silent_ms >= PING_MS && now_ms - c->pinged_ms >= PING_MS) {
		c->pinged_ms = now_ms;
		c->ping_due = true;
		want_write(c);
	}
}

static void on_sweep(struct ev_loop *ev, ev_timer *w, int events)
{
	struct server *s = w->data;
	uint64_t now_ms = loop_now_ms();

	(void)ev;
	(void)events;
	for (struct conn *c = s->first; c; c = c->next) {
		if (!c->wsi)
			continue;
		if (c->phase == PHASE_SOCKET && c->attach) {
			sweep_socket(c, now_ms);
		} else if (now_ms > c->deadline_ms) {
			s->c.metrics->deadlines++;
			kill_conn(c);
		}
	}
}

/* --- life of the server --- */

static const struct lws_protocols protocols[] = {
	{ .name = "http", .callback = on_http, .tx_packet_size = ATTACH_MSG_MAX + LWS_PRE },
	{ .name = WS_SUBPROTOCOL, .callback = on_socket, .rx_buffer_size = WS_RX_BYTES, .tx_packet_size = ATTACH_MSG_MAX + LWS_PRE },
	{ .name = NULL },
};

/* The library blames clients as errors: at "debug" they are shown, else a scan would fill the log. */
static void on_library_log(int level, const char *line)
{
	(void)level;
	log_debug("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

/*
 * The library has two tables as long as the limit on descriptors (a million entries on some systems). A smaller one of its own makes every
 * look-up a search; so the process gets a limit that fits.
 */
static unsigned fit_fd_limit(unsigned max_connections)
{
	rlim_t want = (rlim_t)max_connections * 2 + 1024;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return 1024;
	rl.rlim_cur = rl.rlim_max == RLIM_INFINITY || rl.rlim_max > want ? want : rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) < 0 && getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return 1024;
	if (rl.rlim_cur < want)
		log_warn("only %llu file descriptors are allowed (ulimit -Hn): fewer than %u connections fit",
			 (unsigned long long)rl.rlim_cur, max_connections);
	return (unsigned)rl.rlim_cur;
}

static int create_context(struct server *s, struct err *e)
{
	void *loops[] = { s->c.loop->ev };
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.headers = &canned[sizeof(canned) / sizeof(canned[0]) - 1],
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS,
		.foreign_loops = loops,
		.alpn = "http/1.1",
		.server_string = "terrarium",
		.max_http_header_data = HEADERS_MAX,
		.timeout_secs = HEAD_TIMEOUT_S,
		.fd_limit_per_thread = fit_fd_limit(s->c.max_connections),
	};

	lws_set_log_level(LLL_ERR | LLL_WARN, on_library_log);
	s->context = lws_create_context(&info);
	if (!s->context)
		return err_set(e, -ENOSYS, "libwebsockets does not start: is the package libwebsockets-evlib-ev installed?");
	s->vhost = lws_create_vhost(s->context, &info);
	return s->vhost ? 0 : err_set(e, -EIO, "libwebsockets does not start: no virtual host");
}

static void on_drain_over(struct ev_loop *ev, ev_timer *w, int events)
{
	const struct server *s = w->data;

	(void)ev;
	(void)events;
	loop_stop(s->c.loop);
}

int server_create(struct server **out, const struct server_config *c, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "no memory for the server");
	s->c = *c;
	ev_timer_init(&s->sweep, on_sweep, SWEEP_S, SWEEP_S);
	ev_timer_init(&s->drain, on_drain_over, DRAIN_S, 0.);
	s->sweep.data = s->drain.data = s;
	r = create_context(s, e);
	if (r < 0) {
		(void)server_destroy(s);
		return r;
	}
	ev_timer_start(c->loop->ev, &s->sweep);
	listeners_start(c->listeners, c->on_accept ? c->on_accept : server_adopt, c->on_accept ? c->arg : s);
	*out = s;
	return 0;
}

void server_drain(struct server *s)
{
	listeners_stop(s->c.listeners);
	if (s->c.metrics->websockets == 0)
		return;
	s->draining = true;
	ev_timer_start(s->c.loop->ev, &s->drain);
	loop_run(s->c.loop);
	ev_timer_stop(s->c.loop->ev, &s->drain);
}

struct server *server_destroy(struct server *s)
{
	if (!s)
		return NULL;
	listeners_stop(s->c.listeners);
	ev_timer_stop(s->c.loop->ev, &s->sweep);
	if (s->context)
		lws_context_destroy(s->context);
	/* Whatever the library forgot to tell about. */
	while (s->first)
		free_conn(s->first);
	free(s);
	return NULL;
}
