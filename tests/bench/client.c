// SPDX-License-Identifier: Apache-2.0
/*
 * Theory of operation. The client must never be what is measured: it shares two cores with the server, and a server that moves
 * 1 GB/s must find somebody who drinks it. libwebsockets as a client costs 2-4 times the CPU of the server's sending side (each
 * frame is copied out of a 4 KiB receive buffer in pieces), so the framing of RFC 6455 is written out here: it is a
 * head of 2 to 10 bytes and a payload, client frames masked. Output is read by one recv() of 256 KiB and handed on in place.
 *
 * Only what the servers under test send is understood: unfragmented binary frames, ping, close. Anything else ends the program.
 */
#include "tests/bench/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define RX_BYTES (256U << 10)
#define HTTP_BYTES 8192
#define SILENCE_S 60 /* a peer that says nothing for so long is broken */
#define TTYD_RESUME_BYTES 100000
#define AGENT_TRIES 10000 /* a millisecond each */

enum { WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
enum { HELLO = 0x01, INPUT = 0x02, CREDIT = 0x04 };
enum { WELCOME = 0x81, OUTPUT = 0x82, EVENT = 0x86, EXIT = 0x87, ERROR = 0x88 };
#define OUTPUT_HEAD 10
#define FLAG_PREAMBLE 4

static _Thread_local uint8_t rx[RX_BYTES];

void die(const char *fmt, ...)
{
	int why = errno;
	va_list args;

	fputs("bench: ", stderr);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, why != 0 ? ": %s\n" : "\n", strerror(why));
	exit(1);
}

static uint64_t get_be(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		v = v << 8 | p[i];
	return v;
}

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put_be64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* --- TCP and HTTP ------------------------------------------------------------------------------------------------------ */

static int tcp_connect(const struct peer *p)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(p->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval silence = { .tv_sec = SILENCE_S };
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect to port %u", p->port);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
	return fd;
}

static void send_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("send");
		p += n;
		len -= (size_t)n;
	}
}

/* Read up to and including the empty line; what follows it in the buffer is the caller's. Return: its offset; 0 at the end. */
static size_t read_head(int fd, char *buf, size_t size, size_t *len)
{
	*len = 0;
	for (;;) {
		ssize_t n = recv(fd, buf + *len, size - 1 - *len, 0);
		const char *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		*len += (size_t)n;
		buf[*len] = '\0';
		end = strstr(buf, "\r\n\r\n");
		if (end != NULL)
			return (size_t)(end - buf) + 4;
		if (*len + 1 == size)
			die("the head of an HTTP answer has over %zu bytes", size);
	}
}

static size_t content_length(const char *head)
{
	const char *at = strcasestr(head, "\r\ncontent-length:");

	return at == NULL ? 0 : strtoul(at + 17, NULL, 10);
}

void http_close(struct http *h)
{
	if (h->open)
		close(h->fd);
	h->open = false;
}

static bool http_exchange(struct http *h, const char *request, size_t request_len, char *buf, size_t *body, size_t *len)
{
	size_t want;

	send_all(h->fd, request, request_len);
	*body = read_head(h->fd, buf, HTTP_BYTES, len);
	if (*body == 0)
		return false;
	buf[*body - 1] = '\0';
	want = *body + content_length(buf);
	if (want >= HTTP_BYTES)
		die("an HTTP answer has %zu bytes", want);
	while (*len < want) {
		ssize_t n = recv(h->fd, buf + *len, want - *len, 0);

		if (n <= 0)
			die("an HTTP answer ended early");
		*len += (size_t)n;
	}
	buf[want] = '\0';
	return true;
}

int http_post(const struct peer *p, struct http *h, const char *path, const char *body, char *reply, size_t size)
{
	char request[HTTP_BYTES], buf[HTTP_BYTES];
	size_t at, len;
	int n = snprintf(request, sizeof(request),
			 "POST %s HTTP/1.1\r\nHost: localhost:%u\r\nOrigin: http://localhost:%u\r\nX-Terrarium: 1\r\nCookie: %s\r\n"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 path, p->port, p->port, p->cookie, strlen(body), body);
	bool fresh = !h->open;

	if (n < 0 || (size_t)n >= sizeof(request))
		die("request too long");
	if (fresh)
		h->fd = tcp_connect(p);
	h->open = true;
	if (!http_exchange(h, request, (size_t)n, buf, &at, &len)) {
		http_close(h);
		if (fresh)
			die("no answer to POST %s", path);
		return http_post(p, h, path, body, reply, size); /* the server let the idle connection go */
	}
	(void)snprintf(reply, size, "%s", buf + at);
	if (strcasestr(buf, "\r\nconnection: close") != NULL)
		http_close(h);
	return (int)strtol(buf + strlen("HTTP/1.1 "), NULL, 10);
}

static void post_for(const struct peer *p, struct http *h, const char *path, const char *body, const char *member, char *out,
		     size_t size)
{
	char reply[HTTP_BYTES];
	int status = http_post(p, h, path, body, reply, sizeof(reply));
	json_t *json = json_loads(reply, 0, NULL);
	const char *text = json_string_value(json_object_get(json, member));

	errno = 0;
	if (status != 201 || text == NULL || strlen(text) >= size)
		die("POST %s: %d %s", path, status, reply);
	(void)snprintf(out, size, "%s", text);
	json_decref(json);
}

/* A shell of the machine that @h has, or of a new one. Its agent needs a moment. */
static void shell_create(const struct peer *p, struct http *h, char stream[STREAM_TEXT])
{
	char path[64 + VM_TEXT], reply[HTTP_BYTES];
	json_t *json;

	if (h->shells++ % SHELLS_PER_MACHINE == 0)
		post_for(p, h, "/api/v1/vms", p->vm, "id", h->vm, sizeof(h->vm));
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s/streams", h->vm);
	for (int tries = 0;; tries++) {
		int status = http_post(p, h, path, p->owner_key != NULL ? "{\"kind\":\"sealed\"}" : "{\"kind\":\"shell\"}", reply, sizeof(reply));

		if (status == 201)
			break;
		errno = 0;
		if (tries == AGENT_TRIES || strstr(reply, "no_agent") == NULL)
			die("POST %s: %d %s", path, status, reply);
		(void)poll(NULL, 0, 1);
	}
	json = json_loads(reply, 0, NULL);
	(void)snprintf(stream, STREAM_TEXT, "%s", json_string_value(json_object_get(json, "id")));
	json_decref(json);
}

void session_create(const struct peer *p, struct http *h, char stream[STREAM_TEXT])
{
	char id[STREAM_TEXT - 8];

	stream[0] = '\0';
	if (p->dialect == DIALECT_TTYD)
		return;
	if (p->shell != NULL) {
		shell_create(p, h, stream);
		return;
	}
	post_for(p, h, "/api/v1/vms", p->vm, "id", id, sizeof(id));
	(void)snprintf(stream, STREAM_TEXT, "%s.console", id);
}

/* --- frames out -------------------------------------------------------------------------------------------------------- */

static void frame_send(struct term *t, uint8_t opcode, const void *data, size_t len)
{
	static const uint8_t key[4] = { 0x5a, 0xc3, 0x3c, 0xa5 };
	uint8_t buf[8 + 4096];
	size_t at = 2;

	if (len > 4096)
		die("frame too long");
	buf[0] = (uint8_t)(0x80 | opcode);
	buf[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
	if (len >= 126) {
		buf[at++] = (uint8_t)(len >> 8);
		buf[at++] = (uint8_t)len;
	}
	memcpy(buf + at, key, sizeof(key));
	at += sizeof(key);
	for (size_t i = 0; i < len; i++)
		buf[at + i] = ((const uint8_t *)data)[i] ^ key[i % 4];
	send_all(t->fd, buf, at + len);
}

void term_raw(struct term *t, const void *data, size_t len)
{
	frame_send(t, WS_BINARY, data, len);
}

void term_send(struct term *t, const char *data, size_t len)
{
	uint8_t buf[13 + 1024];
	size_t at = 1;

	if (len > 1024)
		die("too many keystrokes at once");
	buf[0] = '0';
	if (t->peer->dialect == DIALECT_TERRARIUM) {
		buf[0] = INPUT;
		put_be64(buf + 1, t->in_offset);
		put_be32(buf + 9, t->turn);
		at = 13;
	}
	memcpy(buf + at, data, len);
	t->in_offset += len;
	term_raw(t, buf, at + len);
}

void term_say(struct term *t, const char *text)
{
	term_send(t, text, strlen(text));
}

void term_credit(struct term *t)
{
	uint8_t buf[9] = { CREDIT };

	t->credited = t->offset;
	if (t->closed)
		return;
	put_be64(buf + 1, t->offset);
	term_raw(t, buf, sizeof(buf));
}

static void pace(struct term *t)
{
	if (t->pace == PACE_HOLD || t->closed)
		return;
	if (t->peer->dialect == DIALECT_TERRARIUM && t->offset - t->credited >= WINDOW_BYTES / 4)
		term_credit(t);
	if (t->peer->dialect == DIALECT_TTYD && t->pace == PACE_STOCK && t->offset - t->credited >= TTYD_RESUME_BYTES) {
		t->credited = t->offset;
		term_raw(t, "3", 1);
	}
}

/* --- messages in ------------------------------------------------------------------------------------------------------- */

static void output(struct term *t, const uint8_t *data, size_t len)
{
	t->total += len;
	t->offset += len;
	t->hooks->on_output(t, data, len);
}

/* The server goes on at @offset, which must be where we are. */
static void go_on_at(struct term *t, uint64_t offset)
{
	if (offset > t->offset)
		t->lost += offset - t->offset;
	else
		t->repeated += t->offset - offset;
	t->offset = offset;
}

static void output_begins(struct term *t)
{
	t->frames++;
	/* A preamble sets the modes again and counts in no offset. */
	if ((t->msg[9] & FLAG_PREAMBLE) == 0)
		go_on_at(t, get_be(t->msg + 1, 8));
}

/* WELCOME, or the EVENT that another process is behind the stream, where offsets begin again: both say where things stand. */
static void stand(struct term *t)
{
	json_t *json = json_loadb((const char *)t->msg + 1, t->msg_len - 1, 0, NULL);
	const char *type = json_string_value(json_object_get(json, "type"));
	const char *epoch = json_string_value(json_object_get(json, "epoch"));
	uint64_t offset = (uint64_t)json_integer_value(json_object_get(json, "out_offset"));
	bool anew = t->epoch[0] == '\0' || t->msg[0] == EVENT;

	errno = 0;
	if (t->msg[0] == WELCOME && epoch == NULL)
		die("WELCOME is no JSON object with an epoch");
	if (t->msg[0] == WELCOME || (type != NULL && strcmp(type, "epoch") == 0 && epoch != NULL)) {
		if (anew)
			t->offset = offset;
		go_on_at(t, offset);
		(void)snprintf(t->epoch, sizeof(t->epoch), "%s", epoch);
		t->in_offset = (uint64_t)json_integer_value(json_object_get(json, "in_offset"));
		t->turn = (uint32_t)json_integer_value(json_object_get(json, "turn"));
		t->credited = t->offset;
		t->welcome = true;
	}
	json_decref(json);
}

static void terrarium_message(struct term *t)
{
	errno = 0;
	switch (t->msg[0]) {
	case WELCOME:
	case EVENT:
		stand(t);
		break;
	case EXIT:
		t->exited = true;
		t->exit_code = (int)(int32_t)get_be(t->msg + 1, 4);
		break;
	case ERROR:
		die("the server says %.*s", (int)(t->msg_len - 1), (const char *)t->msg + 1);
	default:
		break;
	}
}

/* How much of a message's start is not terminal output. */
static size_t prefix_len(const struct term *t)
{
	if (t->peer->dialect == DIALECT_TTYD)
		return 1;
	return t->msg_len > 0 && t->msg[0] == OUTPUT ? OUTPUT_HEAD : sizeof(t->msg);
}

static bool is_output(const struct term *t)
{
	return t->opcode == WS_BINARY && t->msg_len > 0 && t->msg[0] == (t->peer->dialect == DIALECT_TTYD ? '0' : OUTPUT);
}

static void payload(struct term *t, const uint8_t *data, size_t len)
{
	size_t was = t->msg_len;

	/* Byte 0 decides how long the prefix is. */
	while (len > 0 && t->msg_len < (t->opcode == WS_BINARY ? prefix_len(t) : sizeof(t->msg))) {
		t->msg[t->msg_len++] = *data++;
		len--;
	}
	if (!is_output(t))
		return;
	if (was < prefix_len(t) && t->msg_len == prefix_len(t)) {
		if (t->peer->dialect == DIALECT_TERRARIUM)
			output_begins(t);
		else
			t->frames++;
	}
	if (len > 0 && (t->peer->dialect == DIALECT_TTYD || (t->msg[9] & FLAG_PREAMBLE) == 0))
		output(t, data, len);
}

static void frame_end(struct term *t)
{
	if (t->opcode == WS_PING) {
		frame_send(t, WS_PONG, t->msg, t->msg_len);
	} else if (t->opcode == WS_CLOSE) {
		t->close_code = t->msg_len >= 2 ? (uint16_t)get_be(t->msg, 2) : 0;
		t->closed = true;
	} else if (t->opcode == WS_BINARY && t->peer->dialect == DIALECT_TERRARIUM && t->msg_len > 0 && t->msg[0] != OUTPUT) {
		terrarium_message(t);
	}
}

/* Take bytes of a frame's head. Return: how many; @t->in_body is set once the head is whole. */
static size_t frame_head(struct term *t, const uint8_t *data, size_t len)
{
	size_t taken = 0;

	while (taken < len) {
		uint8_t short_len;
		size_t need;

		t->head[t->head_len++] = data[taken++];
		if (t->head_len < 2)
			continue;
		short_len = t->head[1] & 0x7f;
		need = short_len == 127 ? 10U : short_len == 126 ? 4U : 2U;
		if (t->head_len < need)
			continue;
		errno = 0;
		if ((t->head[0] & 0x80) == 0 || (t->head[1] & 0x80) != 0)
			die("the server sends fragmented or masked frames");
		t->opcode = t->head[0] & 0x0f;
		t->left = need == 2 ? short_len : get_be(t->head + 2, need - 2);
		t->msg_len = t->head_len = 0;
		t->in_body = true;
		break;
	}
	return taken;
}

static void feed(struct term *t, const uint8_t *data, size_t len)
{
	while (len > 0 && !t->closed) {
		if (!t->in_body) {
			size_t n = frame_head(t, data, len);

			data += n;
			len -= n;
			if (!t->in_body)
				return;
		}
		size_t n = t->left < len ? (size_t)t->left : len;

		payload(t, data, n);
		data += n;
		len -= n;
		t->left -= n;
		if (t->left == 0) {
			t->in_body = false;
			frame_end(t);
		}
	}
}

/* --- opening and serving ----------------------------------------------------------------------------------------------- */

static void upgrade(struct term *t)
{
	const struct peer *p = t->peer;
	bool ttyd = p->dialect == DIALECT_TTYD;
	char buf[HTTP_BYTES];
	size_t at, len;
	int n = snprintf(buf, sizeof(buf),
			 "GET %s HTTP/1.1\r\nHost: localhost:%u\r\nOrigin: http://localhost:%u\r\n%s%s%sConnection: Upgrade\r\n"
			 "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGVycmFyaXVtLWJlbmNoIQ==\r\n"
			 "Sec-WebSocket-Protocol: %s\r\n\r\n",
			 ttyd ? "/ws" : "/api/v1/attach", p->port, p->port, ttyd ? "" : "Cookie: ", ttyd ? "" : p->cookie,
			 ttyd ? "" : "\r\n", ttyd ? "tty" : "terrarium.v1");

	if (n < 0 || (size_t)n >= sizeof(buf))
		die("request too long");
	send_all(t->fd, buf, (size_t)n);
	at = read_head(t->fd, buf, sizeof(buf), &len);
	errno = 0;
	if (at == 0)
		die("the server hung up on the upgrade");
	if (strncmp(buf, "HTTP/1.1 101", 12) != 0)
		die("upgrade refused: %.80s", buf);
	feed(t, (const uint8_t *)buf + at, len - at);
}

static void hello(struct term *t, struct http *h)
{
	char ticket[128], path[128], msg[1024];
	int n;

	(void)snprintf(path, sizeof(path), "/api/v1/streams/%s/tickets", t->stream);
	post_for(t->peer, h, path, t->viewer ? "{\"role\":\"viewer\"}" : "{\"role\":\"controller\"}", "ticket", ticket, sizeof(ticket));
	t->fd = tcp_connect(t->peer);
	upgrade(t);
	n = snprintf(msg, sizeof(msg), "%c{\"ticket\":\"%s\",\"stream\":\"%s\",\"cols\":80,\"rows\":24,\"window\":%u", HELLO, ticket,
		     t->stream, WINDOW_BYTES);
	if (t->epoch[0] != '\0')
		n += snprintf(msg + n, sizeof(msg) - (size_t)n, ",\"epoch\":\"%s\",\"out_offset\":%llu,\"in_offset\":%llu", t->epoch,
			      (unsigned long long)t->offset, (unsigned long long)t->in_offset);
	n += snprintf(msg + n, sizeof(msg) - (size_t)n, "}");
	term_raw(t, msg, (size_t)n);
	while (!t->welcome && term_step(t, WAIT_BLOCK, RX_BYTES) > 0)
		;
	errno = 0;
	if (!t->welcome)
		die("no WELCOME: closed with %u", t->close_code);
}

void term_open(struct term *t, const struct peer *p, struct http *h, const struct term_hooks *hooks, void *arg)
{
	static const char ttyd_hello[] = "{\"AuthToken\":\"\",\"columns\":80,\"rows\":24}";

	t->peer = p;
	t->hooks = hooks;
	t->arg = arg;
	t->head_len = t->msg_len = 0;
	t->in_body = t->closed = t->welcome = false;
	if (p->dialect == DIALECT_TERRARIUM) {
		hello(t, h);
		return;
	}
	t->fd = tcp_connect(p);
	upgrade(t);
	term_raw(t, ttyd_hello, strlen(ttyd_hello));
}

void term_drop(struct term *t)
{
	if (t->fd > 0)
		close(t->fd);
	t->fd = 0;
	t->closed = true;
}

size_t term_step(struct term *t, enum wait_mode wait, size_t max)
{
	ssize_t n;

	if (t->closed)
		return 0;
	do {
		n = recv(t->fd, rx, max < RX_BYTES ? max : RX_BYTES, wait == WAIT_NOT ? MSG_DONTWAIT : 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && wait == WAIT_NOT && errno == EAGAIN)
		return 0;
	if (n < 0 && errno != ECONNRESET)
		die("nothing came from the server for %d s", SILENCE_S);
	if (n <= 0) {
		t->closed = true;
		return 0;
	}
	feed(t, rx, (size_t)n);
	pace(t);
	return (size_t)n;
}
