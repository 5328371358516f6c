/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terrarium.v1 from HELLO to EXIT, with a client in place of the websocket and a socketpair in place of a
 * machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/attach.h"
#include "gateway/machine.h"
#include "gateway/sched.h"
#include "gateway/stream.h"
#include "gateway/ticket.h"
#include "gateway/viewer.h"
#include "gateway/wire.h"
#include "tests/unit/console.h"

#define STREAM "00112233445566778899aabbccddeeff.console"

/* --- stand-ins for gateway/machine.c --------------------------------------------------------------------- */

static struct stream *the_stream;

struct stream *machine_stream_find(struct machines *ms, int64_t person, const char *stream_id)
{
	(void)ms;
	return person == 7 && strcmp(stream_id, STREAM) == 0 ? the_stream : NULL;
}

struct stream *machine_stream_any(struct machines *ms, const char *stream_id)
{
	(void)ms;
	return strcmp(stream_id, STREAM) == 0 ? the_stream : NULL;
}

struct machine *machine_of_stream(struct stream *s)
{
	return (struct machine *)s;
}

void machine_rouse(struct machine *m)
{
	(void)m;
}

void machine_touch(struct machine *m)
{
	(void)m;
}

json_t *machine_json(const struct machine *m)
{
	(void)m;
	return json_pack("{s:s}", "state", "ready");
}

/* --- the other ends -------------------------------------------------------------------------------------- */

#define IDLE_MS 1200

/* A gateway with one stream. */
struct world {
	struct loop loop;
	struct sched *sched;
	struct tickets *tickets;
	struct attach_hub *hub;
	struct test_console console;
	struct who who;
	size_t seen; /* bytes that the owner's hook saw */
};

/* A browser. What it was sent last of each kind is kept. */
struct client {
	struct world *w;
	struct attach *a;
	bool wants_write, paused, closed, credits, gapped;
	uint16_t code;
	char epoch[17], role[16];
	uint64_t offset, credit, in_offset, inack, window; /* window: 0 = 64 KiB */
	size_t output, largest, frames, replayed, gaps, preambles, viewers; /* largest: output of one message */
	uint32_t turn, typed_turn;
	uint16_t cols, rows;
	int exit_code, exit_signal, exits, pongs, sizes, epochs, vms, errors, idles;
	bool closing; /* it was told that it will be closed */
	char error[32];
	uint8_t tail[256]; /* end of what was shown */
	size_t tail_len;
	void (*check)(uint64_t offset, const uint8_t *data, size_t len);
};

static void want_write(void *conn)
{
	struct client *c = conn;

	assert_false(c->closed);
	c->wants_write = true;
}

static void close_conn(void *conn, uint16_t code, const char *reason)
{
	struct client *c = conn;

	assert_non_null(reason);
	assert_false(c->closed);
	c->closed = true;
	c->code = code;
}

static void pause_input(void *conn, bool paused)
{
	struct client *c = conn;

	assert_true(c->paused != paused);
	c->paused = paused;
}

static const struct attach_transport transport = { .want_write = want_write,
						   .close = close_conn,
						   .pause_input = pause_input };

static void on_output(void *arg, const uint8_t *data, size_t len)
{
	struct world *w = arg;

	assert_non_null(data);
	w->seen += len;
}

static const struct stream_hooks hooks = { .on_output = on_output };

static void world_stream(struct world *w)
{
	assert_int_equal(stream_create(&the_stream, &w->loop, w->sched, STREAM, &hooks, w), 0);
}

static void world_open(struct world *w, bool adopted)
{
	struct hv_console c = test_console_hand(&w->console, adopted);

	assert_int_equal(stream_open(the_stream, &c), 0);
}

static void world_init(struct world *w, enum hv_console_kind kind)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(loop_init(&w->loop), 0);
	assert_int_equal(sched_create(&w->sched, &w->loop), 0);
	w->tickets = tickets_create();
	assert_non_null(w->tickets);
	assert_int_equal(attach_hub_create(&w->hub, &w->loop, NULL, w->tickets), 0);
	test_console_open(&w->console, kind);
	w->who = (struct who){ .person = 7, .email = "a@example.org", .expires_at = time(NULL) + 100 };
	world_stream(w);
}

static void world_finish(struct world *w)
{
	the_stream = stream_destroy(the_stream);
	w->hub = attach_hub_destroy(w->hub);
	w->tickets = tickets_destroy(w->tickets);
	w->sched = sched_destroy(w->sched);
	test_console_close(&w->console);
	loop_finish(&w->loop);
}

static void turn(struct world *w, int times)
{
	for (int i = 0; i < times; i++)
		ev_run(w->loop.ev, EVRUN_NOWAIT);
}

static void wait_ms(struct world *w, uint64_t ms)
{
	uint64_t until = loop_now_ms() + ms;

	while (loop_now_ms() < until) {
		turn(w, 1);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static void guest_says(struct world *w, const char *text)
{
	assert_int_equal(write(w->console.far, text, strlen(text)), strlen(text));
	turn(w, 3);
}

/* --- the client ------------------------------------------------------------------------------------------ */

static uint64_t get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static void put64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint64_t number(const json_t *json, const char *name)
{
	assert_true(json_is_integer(json_object_get(json, name)));
	return (uint64_t)json_integer_value(json_object_get(json, name));
}

static void set_text(char *out, size_t size, const json_t *json, const char *name)
{
	(void)snprintf(out, size, "%s", json_string_value(json_object_get(json, name)));
}

static void got_welcome(struct client *c, const json_t *json)
{
	char epoch[17];

	set_text(epoch, sizeof(epoch), json, "epoch");
	if (strcmp(epoch, c->epoch) == 0 && c->offset != number(json, "out_offset"))
		c->gapped = true;
	memcpy(c->epoch, epoch, sizeof(epoch));
	set_text(c->role, sizeof(c->role), json, "role");
	c->offset = c->credit = number(json, "out_offset");
	c->inack = number(json, "in_offset");
	c->turn = (uint32_t)number(json, "turn");
	c->typed_turn = (uint32_t)number(json, "typed_turn");
	c->cols = (uint16_t)number(json, "cols");
	c->rows = (uint16_t)number(json, "rows");
	assert_string_equal(json_string_value(json_object_get(json, "stream")), STREAM);
	assert_string_equal(json_string_value(json_object_get(json_object_get(json, "vm"), "state")), "ready");
}

static void got_event(struct client *c, const json_t *json)
{
	const char *type = json_string_value(json_object_get(json, "type"));

	if (strcmp(type, "vm") == 0) {
		c->vms++;
	} else if (strcmp(type, "role") == 0) {
		set_text(c->role, sizeof(c->role), json, "role");
		if (c->turn != number(json, "turn"))
			c->in_offset = number(json, "in_offset");
		c->turn = (uint32_t)number(json, "turn");
	} else if (strcmp(type, "viewers") == 0) {
		c->viewers = json_array_size(json_object_get(json, "viewers"));
	} else if (strcmp(type, "idle") == 0) {
		c->idles++;
		c->closing = !json_is_null(json_object_get(json, "closes_in_ms"));
		if (c->closing)
			assert_in_range(number(json, "closes_in_ms"), 1, IDLE_MS / 2);
	} else {
		assert_string_equal(type, "epoch");
		c->epochs++;
		got_welcome(c, json);
		c->in_offset = c->inack;
	}
}

static void got_output(struct client *c, const uint8_t *m, size_t len)
{
	uint64_t offset = get64(m + 1);
	uint8_t flags = m[9];
	size_t n = len - WIRE_OUTPUT_HEAD, keep = n < sizeof(c->tail) ? n : sizeof(c->tail);

	assert_true(n > 0 && len <= ATTACH_MSG_MAX);
	c->frames++;
	c->gaps += (flags & WIRE_GAP) != 0;
	c->preambles += (flags & WIRE_PREAMBLE) != 0;
	if (flags & WIRE_GAP)
		c->offset = offset;
	assert_int_equal(offset, c->offset);
	memmove(c->tail, c->tail + keep, sizeof(c->tail) - keep);
	memcpy(c->tail + sizeof(c->tail) - keep, m + len - keep, keep);
	if (flags & WIRE_PREAMBLE)
		return;
	if (c->check)
		c->check(offset, m + WIRE_OUTPUT_HEAD, n);
	c->replayed += flags & WIRE_REPLAY ? n : 0;
	c->output += n;
	c->largest = n > c->largest ? n : c->largest;
	c->offset += n;
}

static void got(struct client *c, const uint8_t *m, size_t len)
{
	json_t *json = NULL;

	if (m[0] == WIRE_WELCOME || m[0] == WIRE_EVENT || m[0] == WIRE_ERROR) {
		json = json_loadb((const char *)m + 1, len - 1, 0, NULL);
		assert_non_null(json);
	}
	switch (m[0]) {
	case WIRE_WELCOME:
		got_welcome(c, json);
		break;
	case WIRE_EVENT:
		got_event(c, json);
		break;
	case WIRE_ERROR:
		c->errors++;
		set_text(c->error, sizeof(c->error), json, "code");
		break;
	case WIRE_OUTPUT:
		got_output(c, m, len);
		break;
	case WIRE_SIZE:
		c->sizes++;
		c->cols = (uint16_t)(m[1] << 8 | m[2]);
		c->rows = (uint16_t)(m[3] << 8 | m[4]);
		break;
	case WIRE_INACK:
		assert_true(get64(m + 1) >= c->inack);
		c->inack = get64(m + 1);
		break;
	case WIRE_PONG:
		assert_int_equal(get64(m + 1), 0x1122334455667788);
		c->pongs++;
		break;
	default:
		assert_int_equal(m[0], WIRE_EXIT);
		c->exits++;
		c->exit_code = m[4];
		c->exit_signal = m[5];
		break;
	}
	json_decref(json);
}

static void send_u64(struct client *c, enum wire_type type, uint64_t v)
{
	uint8_t m[9] = { (uint8_t)type };

	put64(m + 1, v);
	attach_input(c->a, m, sizeof(m));
}

static void credit(struct client *c)
{
	if (c->credit == c->offset || c->closed)
		return;
	c->credit = c->offset;
	send_u64(c, WIRE_CREDIT, c->offset);
}

/* Take at most @max messages. Return: how many there were. */
static int pull(struct client *c, int max)
{
	static uint8_t buf[ATTACH_MSG_MAX];
	int n = 0;

	while (c->wants_write && n < max) {
		bool more = false;
		size_t len = attach_next(c->a, buf, sizeof(buf), &more);

		c->wants_write = more;
		if (len == 0)
			break;
		got(c, buf, len);
		n++;
		if (c->credits)
			credit(c);
	}
	return n;
}

/* Let everything settle. */
static void settle(struct client *c)
{
	for (int idle = 0; idle < 3;) {
		turn(c->w, 2);
		idle = pull(c, 1000) > 0 ? 0 : idle + 1;
	}
}

static void connect_client(struct client *c, struct world *w)
{
	c->w = w;
	c->closed = c->wants_write = c->paused = false;
	c->a = attach_create(w->hub, &transport, c, &w->who);
	assert_non_null(c->a);
}

static void send_json(struct client *c, enum wire_type type, json_t *json)
{
	uint8_t m[WIRE_HELLO_MAX];
	size_t len = wire_json(m, sizeof(m), type, json);

	assert_true(len > 0);
	json_decref(json);
	attach_input(c->a, m, len);
}

static json_t *hello_json(const struct client *c, enum stream_role role)
{
	char ticket[TICKET_TEXT];

	assert_int_equal(ticket_issue(c->w->tickets, &c->w->who, STREAM, role, loop_now_ms(), ticket), 0);
	return json_pack("{s:s, s:s, s:i}", "ticket", ticket, "stream", STREAM, "window",
			 c->window ? (int)c->window : 65536);
}

/* Attach; with what it has when it was attached before. */
static void attach_client(struct client *c, struct world *w, enum stream_role role)
{
	json_t *hello;

	connect_client(c, w);
	hello = hello_json(c, role);
	if (c->epoch[0]) {
		json_object_set_new(hello, "epoch", json_string(c->epoch));
		json_object_set_new(hello, "out_offset", json_integer((json_int_t)c->offset));
		json_object_set_new(hello, "in_offset", json_integer((json_int_t)c->in_offset));
	}
	send_json(c, WIRE_HELLO, hello);
}

static void close_client(struct client *c)
{
	c->a = attach_closed(c->a);
}

static void type_at(struct client *c, uint64_t offset, const void *text, size_t len)
{
	uint8_t m[ATTACH_INPUT_MAX] = { WIRE_INPUT };

	put64(m + 1, offset);
	for (int i = 0; i < 4; i++)
		m[9 + i] = (uint8_t)(c->turn >> (24 - 8 * i));
	memcpy(m + WIRE_INPUT_HEAD, text, len);
	attach_input(c->a, m, WIRE_INPUT_HEAD + len);
}

static void type(struct client *c, const char *text)
{
	type_at(c, c->in_offset, text, strlen(text));
	c->in_offset += strlen(text);
}

static void guest_hears(struct world *w, const char *want)
{
	char buf[256];
	ssize_t n = read(w->console.far, buf, sizeof(buf));

	assert_int_equal(n, strlen(want));
	assert_memory_equal(buf, want, (size_t)n);
}

static bool shows(const struct client *c, const char *end)
{
	return memcmp(c->tail + sizeof(c->tail) - strlen(end), end, strlen(end)) == 0;
}

/* --- the tests ------------------------------------------------------------------------------------------- */

static void line_and_back(void **state)
{
	struct client c = { .credits = true };
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	guest_says(&w, "boot\r\n");
	assert_int_equal(w.seen, 6);
	attach_client(&c, &w, ROLE_CONTROLLER);
	settle(&c);
	assert_string_equal(c.role, "controller");
	assert_int_equal(c.viewers, 1);
	assert_int_equal(c.output, 6);
	assert_int_equal(c.replayed, 6);
	assert_int_equal(c.gaps, 0);
	guest_says(&w, "$ ");
	settle(&c);
	assert_int_equal(c.output, 8);
	assert_int_equal(c.replayed, 6);
	type(&c, "ls\r");
	guest_hears(&w, "ls\r");
	settle(&c);
	assert_int_equal(c.inack, 0); /* lazy */
	wait_ms(&w, 80);
	settle(&c);
	assert_int_equal(c.inack, 3);
	wait_ms(&w, 80);
	type(&c, "x");
	guest_says(&w, "x");
	settle(&c);
	assert_int_equal(c.inack, 4); /* along with the echo */
	send_u64(&c, WIRE_PING, 0x1122334455667788);
	settle(&c);
	assert_int_equal(c.pongs, 1);
	stream_notify(the_stream);
	settle(&c);
	assert_int_equal(c.vms, 1);
	close_client(&c);
	world_finish(&w);
}

/* Everything the process said comes before its EXIT, however late the reader. */
static void exit_is_last(enum hv_console_kind kind, bool stays_open)
{
	struct client c = { 0 };
	struct world w;
	char text[3001];

	world_init(&w, kind);
	world_open(&w, false);
	attach_client(&c, &w, ROLE_CONTROLLER);
	settle(&c);
	memset(text, 'z', 3000);
	text[3000] = '\0';
	guest_says(&w, text);
	assert_int_equal(write(w.console.far, text, 3000), 3000);
	if (!stays_open)
		w.console.far = fd_close(w.console.far);
	stream_exit(the_stream, 3, 0);
	wait_ms(&w, stays_open ? 350 : 20);
	settle(&c);
	assert_int_equal(c.output, 6000);
	assert_int_equal(c.exits, 1);
	assert_int_equal(c.exit_code, 3);
	assert_true(c.closed);
	assert_int_equal(c.code, 1000);
	close_client(&c);
	/* Who comes later gets the same. */
	memset(&c, 0, sizeof(c));
	attach_client(&c, &w, ROLE_CONTROLLER);
	settle(&c);
	assert_int_equal(c.output, 6000);
	assert_int_equal(c.exits, 1);
	close_client(&c);
	world_finish(&w);
}

static void exits(void **state)
{
	(void)state;
	exit_is_last(HV_CONSOLE_SOCKET, false);
	exit_is_last(HV_CONSOLE_PTY, false);
	exit_is_last(HV_CONSOLE_SOCKET, true);
}

/* Each of these ends the connection with an ERROR and this code. */
static void faults(void **state)
{
	static const struct {
		const char *hex;
		bool before_hello;
		uint16_t code;
	} rows[] = {
		{ "", true, 4400 },
		{ "0700", true, 4400 },
		{ "017b7d", true, 4400 },
		{ "02000000000000000061", true, 4400 }, /* INPUT first */
		{ "02000000000000000161", false, 4400 }, /* input from the future */
		{ "040000000000000001", false, 4400 },	 /* credit for nothing */
		{ "04", false, 4400 },
		{ "0300500000000000000000", false, 4400 },
		{ "82000000000000000000", false, 4400 },
		{ "06", false, 4400 },
	};
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client c = { 0 };
		uint8_t m[64];
		size_t len = strlen(rows[i].hex) / 2;

		for (size_t k = 0; k < len; k++) {
			unsigned v;

			assert_int_equal(sscanf(rows[i].hex + 2 * k, "%2x", &v), 1);
			m[k] = (uint8_t)v;
		}
		connect_client(&c, &w);
		if (!rows[i].before_hello)
			send_json(&c, WIRE_HELLO, hello_json(&c, ROLE_CONTROLLER));
		settle(&c);
		assert_false(c.closed);
		attach_input(c.a, m, len);
		attach_input(c.a, m, len); /* counts no more */
		settle(&c);
		assert_true(c.closed);
		assert_int_equal(c.code, rows[i].code);
		assert_string_equal(c.error, "malformed");
		assert_int_equal(c.errors, 1);
		close_client(&c);
	}
	world_finish(&w);
}

static void refuse(struct world *w, json_t *(*make)(struct client *), uint16_t code, const char *text)
{
	struct client c = { 0 };

	connect_client(&c, w);
	send_json(&c, WIRE_HELLO, make(&c));
	settle(&c);
	assert_true(c.closed);
	assert_int_equal(c.code, code);
	assert_string_equal(c.error, text);
	close_client(&c);
}

static json_t *no_such_ticket(struct client *c)
{
	json_t *json = hello_json(c, ROLE_CONTROLLER);

	json_object_set_new(json, "ticket",
			    json_string("0000000000000000000000000000000000000000000000000000000000000000"));
	return json;
}

static json_t *other_stream(struct client *c)
{
	char ticket[TICKET_TEXT];

	assert_int_equal(ticket_issue(c->w->tickets, &c->w->who, "other", ROLE_VIEWER, loop_now_ms(), ticket),
			 0);
	return json_pack("{s:s, s:s}", "ticket", ticket, "stream", "other");
}

static json_t *from_the_future(struct client *c)
{
	json_t *json = hello_json(c, ROLE_CONTROLLER);
	char epoch[17];

	wire_epoch_text(stream_state(the_stream).epoch, epoch);
	json_object_set_new(json, "epoch", json_string(epoch));
	json_object_set_new(json, "out_offset", json_integer(1));
	return json;
}

static json_t *too_early(struct client *c)
{
	json_t *json = hello_json(c, ROLE_CONTROLLER);

	json_object_set_new(json, "epoch", json_string("0000000000000001"));
	return json;
}

static void refusals(void **state)
{
	struct client c = { 0 };
	struct world w;
	json_t *twice;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	refuse(&w, too_early, 4503, "not_ready");
	world_open(&w, false);
	refuse(&w, no_such_ticket, 4401, "login_needed");
	refuse(&w, other_stream, 4404, "no_such_stream");
	refuse(&w, from_the_future, 4400, "malformed");
	connect_client(&c, &w);
	twice = hello_json(&c, ROLE_CONTROLLER);
	send_json(&c, WIRE_HELLO, json_incref(twice));
	settle(&c);
	assert_false(c.closed);
	send_json(&c, WIRE_HELLO, twice);
	settle(&c);
	assert_int_equal(c.code, 4400);
	close_client(&c);
	memset(&c, 0, sizeof(c));
	connect_client(&c, &w);
	attach_refuse(c.a, 4413, "too long");
	settle(&c);
	assert_int_equal(c.code, 4413);
	close_client(&c);
	world_finish(&w);
}

static void many_viewers(void **state)
{
	struct client c[33];
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	memset(c, 0, sizeof(c));
	for (size_t i = 0; i < 33; i++) {
		attach_client(&c[i], &w, ROLE_VIEWER);
		settle(&c[i]);
	}
	assert_int_equal(c[31].viewers, 32);
	assert_int_equal(c[32].code, 4429);
	for (size_t i = 0; i < 33; i++)
		close_client(&c[i]);
	world_finish(&w);
}

static void take(struct client *c, const char *what)
{
	send_json(c, WIRE_ACTION, json_pack("{s:s}", "do", what));
}

static void roles(void **state)
{
	struct client a = { .credits = true }, b = { .credits = true }, v = { .credits = true };
	uint8_t resize[9] = { WIRE_RESIZE, 0, 100, 0, 40, 0, 0, 0, 0 };
	struct winsize ws;
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_PTY);
	world_open(&w, false);
	attach_client(&a, &w, ROLE_CONTROLLER);
	attach_client(&v, &w, ROLE_VIEWER);
	settle(&a);
	settle(&v);
	assert_string_equal(a.role, "controller");
	assert_string_equal(v.role, "viewer");
	type(&a, "aa");
	guest_hears(&w, "aa");

	/* A viewer may look, and nothing else; it stays connected. */
	type(&v, "rm");
	assert_int_equal(read(w.console.far, resize, 1), -1);
	settle(&v);
	assert_string_equal(v.error, "read_only");
	attach_input(v.a, resize, sizeof(resize));
	take(&v, "take");
	settle(&v);
	assert_string_equal(v.error, "forbidden");
	assert_false(v.closed);

	/* The size is the controller's, the others hear of it. */
	resize[0] = WIRE_RESIZE;
	attach_input(a.a, resize, sizeof(resize));
	settle(&a);
	settle(&v);
	assert_int_equal(ioctl(w.console.far, TIOCGWINSZ, &ws), 0);
	assert_int_equal(ws.ws_col, 100);
	assert_int_equal(a.sizes, 0);
	assert_int_equal(v.sizes, 1);
	assert_int_equal(v.cols, 100);

	/* The newest that asks wins; the former one is told, and where input goes on. */
	attach_client(&b, &w, ROLE_CONTROLLER);
	settle(&a);
	settle(&b);
	assert_string_equal(a.role, "viewer");
	assert_string_equal(b.role, "controller");
	assert_int_equal(b.cols, 100);
	b.in_offset = b.inack;
	type(&b, "bb");
	guest_hears(&w, "bb");
	take(&a, "take");
	settle(&a);
	settle(&b);
	assert_string_equal(a.role, "controller");
	assert_string_equal(b.role, "viewer");
	type(&a, "cc");
	guest_hears(&w, "cc");

	/* Let go: the other one that wants control has it. */
	take(&a, "release");
	settle(&a);
	settle(&b);
	assert_string_equal(a.role, "viewer");
	assert_string_equal(b.role, "controller");
	close_client(&b);
	settle(&a);
	settle(&v);
	assert_string_equal(a.role, "viewer"); /* it has released */
	assert_string_equal(v.role, "viewer");
	assert_int_equal(v.viewers, 2);
	close_client(&a);
	close_client(&v);
	world_finish(&w);
}

static void guest_hears_nothing(struct world *w)
{
	char c;

	assert_int_equal(read(w->console.far, &c, 1), -1);
}

/* Control goes and comes back within one round trip: keys that were on their way are of an earlier turn, whatever the offsets say. */
static void turns_within_a_round_trip(void **state)
{
	struct client a = { .credits = true }, b = { .credits = true };
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_PTY);
	world_open(&w, false);
	attach_client(&a, &w, ROLE_CONTROLLER);
	settle(&a);
	assert_int_equal(a.turn, 1);
	type(&a, "aa");
	guest_hears(&w, "aa");
	attach_client(&b, &w, ROLE_CONTROLLER);
	settle(&b);
	assert_int_equal(b.turn, 2);
	assert_int_equal(b.typed_turn, 1);
	b.in_offset = b.inack;
	type(&b, "bb");
	guest_hears(&w, "bb");
	take(&a, "take");
	type(&a, "rm -r x"); /* it knows of nothing; its offset is one of what the other has typed */
	guest_hears_nothing(&w);
	settle(&a);
	assert_false(a.closed);
	assert_string_equal(a.role, "controller");
	assert_string_equal(a.error, "");
	assert_int_equal(a.turn, 3);
	assert_int_equal(a.in_offset, 4);
	type(&a, "cc");
	guest_hears(&w, "cc");

	/* Also where the other one has typed nothing: in whose line it would come is not known to who typed it. */
	take(&b, "take");
	take(&a, "take");
	type(&a, "old");
	type(&a, "er"); /* past what the server wants: no error, for the same reason */
	guest_hears_nothing(&w);
	settle(&a);
	assert_int_equal(a.turn, 5);
	type(&a, "dd");
	guest_hears(&w, "dd");
	assert_false(a.closed);
	close_client(&b);
	a.turn++;
	type(&a, "?");
	settle(&a);
	assert_int_equal(a.code, 4400);
	guest_hears_nothing(&w);
	close_client(&a);
	world_finish(&w);
}

/* Turns go on over a restart, so that who comes back learns whether somebody else has typed meanwhile. */
static void turns_outlive_the_gateway(void **state)
{
	struct client a = { .credits = true }, b = { .credits = true }, early = { .credits = true };
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_PTY);
	world_open(&w, false);
	attach_client(&a, &w, ROLE_CONTROLLER);
	settle(&a);
	type(&a, "aa");
	attach_client(&b, &w, ROLE_CONTROLLER);
	settle(&b);
	close_client(&a);
	close_client(&b);
	assert_int_equal(stream_state(the_stream).typed_turn, 1);
	the_stream = stream_destroy(the_stream);
	world_stream(&w);
	attach_client(&early, &w, ROLE_CONTROLLER); /* before its console is found */
	settle(&early);
	assert_int_equal(early.turn, 1);
	world_open(&w, true);
	settle(&early);
	assert_int_equal(early.epochs, 1);
	assert_int_equal(early.turn, 4); /* past all that the former one has counted */
	assert_int_equal(early.typed_turn, 1);
	early.in_offset = early.inack;
	type(&early, "ee");
	attach_client(&b, &w, ROLE_CONTROLLER);
	settle(&b);
	assert_int_equal(b.turn, 5);
	assert_int_equal(b.typed_turn, 4);
	close_client(&early);
	close_client(&b);
	world_finish(&w);
}

/* Attach as @who, who came by a share of person 7. */
static void attach_by_share(struct client *c, struct world *w, struct who who, int64_t share, enum stream_role role, int64_t ends_s)
{
	const struct ticket_right right = { .role = role, .share = share, .owner = 7, .ends_s = ends_s };
	const struct who usual = w->who;
	char ticket[TICKET_TEXT];

	who.expires_at = usual.expires_at;
	w->who = who;
	connect_client(c, w);
	assert_int_equal(ticket_issue_for(w->tickets, &who, STREAM, &right, loop_now_ms(), ticket), 0);
	w->who = usual;
	send_json(c, WIRE_HELLO, json_pack("{s:s, s:s, s:i}", "ticket", ticket, "stream", STREAM, "window", 65536));
	settle(c);
}

static bool let_nobody_in(void *arg, const struct attach_claim *claim)
{
	(void)arg;
	return claim->right->share == 0;
}

/* A share's holder disturbs nobody by coming, types only with the right and control, and goes with the share. */
static void by_a_share(void **state)
{
	const struct who guest = { .email = "guest" }, bert = { .person = 9, .email = "b@example.org" };
	struct client a = { .credits = true }, g = { .credits = true }, b = { .credits = true }, late = { 0 }, barred = { 0 };
	int64_t soon = time(NULL) + 100;
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	attach_client(&a, &w, ROLE_CONTROLLER);
	attach_by_share(&g, &w, guest, 3, ROLE_VIEWER, soon);
	attach_by_share(&b, &w, bert, 4, ROLE_CONTROLLER, soon);
	settle(&a);
	assert_string_equal(a.role, "controller");
	assert_string_equal(b.role, "viewer");
	type(&g, "rm");
	take(&g, "take");
	settle(&g);
	assert_string_equal(g.error, "forbidden");
	take(&b, "take");
	settle(&a);
	settle(&b);
	assert_string_equal(b.role, "controller");
	type(&b, "bb");
	guest_hears(&w, "bb");

	/* The right goes while it controls. */
	attach_hub_set_share_role(w.hub, 4, ROLE_VIEWER);
	type(&b, "rm");
	settle(&a);
	settle(&b);
	assert_string_equal(b.role, "viewer");
	assert_string_equal(b.error, "read_only");
	assert_string_equal(a.role, "controller");
	type(&a, "aa");
	guest_hears(&w, "aa");

	attach_hub_end_share(w.hub, 3, "taken back");
	settle(&g);
	assert_int_equal(g.code, 4403);
	assert_false(b.closed);
	attach_by_share(&late, &w, bert, 4, ROLE_VIEWER, time(NULL));
	assert_int_equal(late.code, 4403);
	attach_hub_guard(w.hub, let_nobody_in, NULL);
	attach_by_share(&barred, &w, bert, 4, ROLE_VIEWER, soon);
	assert_int_equal(barred.code, 4403);
	close_client(&a);
	close_client(&b);
	close_client(&g);
	close_client(&late);
	close_client(&barred);
	world_finish(&w);
}

/*
 * An operator may watch a stranger's stream, and no more, whatever the ticket says; others do not even
 * learn that it is there.
 */
static void watched(void **state)
{
	struct client c = { 0 };
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	w.who.person = 8;
	attach_client(&c, &w, ROLE_CONTROLLER);
	settle(&c);
	assert_int_equal(c.code, 4404);
	close_client(&c);
	memset(&c, 0, sizeof(c));
	w.who.role = ROLE_OPERATOR;
	attach_client(&c, &w, ROLE_CONTROLLER);
	settle(&c);
	assert_string_equal(c.role, "viewer");
	type(&c, "rm");
	take(&c, "take");
	settle(&c);
	assert_string_equal(c.role, "viewer");
	assert_int_equal(c.errors, 1);
	assert_string_equal(c.error, "forbidden");
	close_client(&c);
	world_finish(&w);
}

static bool is_user(void *arg, const struct attach_claim *claim)
{
	(void)arg;
	return claim->need <= ROLE_USER;
}

/* Who is no operator any more keeps the own terminal, and no look into others'. */
static void watching_ends_with_the_role(void **state)
{
	struct client own = { 0 }, watch = { 0 };
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	w.who.role = ROLE_OPERATOR;
	attach_client(&own, &w, ROLE_CONTROLLER);
	settle(&own);
	w.who.person = 8;
	attach_client(&watch, &w, ROLE_VIEWER);
	settle(&watch);
	assert_string_equal(watch.role, "viewer");
	assert_int_equal(attach_hub_check(w.hub, is_user, NULL), 1);
	settle(&watch);
	settle(&own);
	assert_int_equal(watch.code, 4403);
	assert_false(own.closed);
	close_client(&own);
	close_client(&watch);
	world_finish(&w);
}

/* Typed before there is a console; then another process comes. */
static void typed_ahead(void **state)
{
	struct client c = { .credits = true };
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	attach_client(&c, &w, ROLE_CONTROLLER);
	settle(&c);
	assert_string_equal(c.epoch, "0000000000000000");
	type(&c, "early");
	world_open(&w, false);
	settle(&c);
	assert_int_equal(c.epochs, 1);
	assert_string_not_equal(c.epoch, "0000000000000000");
	assert_int_equal(c.in_offset, 5);
	guest_hears(&w, "early");
	guest_says(&w, "one");
	settle(&c);
	type(&c, "more");
	guest_hears(&w, "more");

	/* The next process: credit and input for the old one may still be on their way. */
	test_console_close(&w.console);
	test_console_open(&w.console, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	send_u64(&c, WIRE_CREDIT, 3);
	type(&c, "late");
	settle(&c);
	assert_int_equal(c.epochs, 2);
	assert_int_equal(c.in_offset, 0);
	assert_false(c.closed);
	type(&c, "new");
	guest_hears(&w, "new");
	guest_says(&w, "two");
	settle(&c);
	assert_true(shows(&c, "two"));
	assert_int_equal(c.offset, 3);
	close_client(&c);
	world_finish(&w);
}

/* Input that the guest does not read: held within bounds, the client is paused, repeats are dropped. */
/* Another one with output of this process: what is held was not typed there, so input begins behind it, and is no repeat. */
static void knows_less(struct world *w, const struct client *c)
{
	struct client v = { .credits = true, .in_offset = c->in_offset - 7, .offset = c->offset };

	memcpy(v.epoch, c->epoch, sizeof(v.epoch));
	attach_client(&v, w, ROLE_VIEWER);
	settle(&v);
	assert_int_equal(v.inack, c->in_offset);
	close_client(&v);
}

static void stuck_input(void **state)
{
	static uint8_t piece[16000];
	struct client c = { .credits = true };
	struct world w;
	size_t heard = 0;
	ssize_t n;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	attach_client(&c, &w, ROLE_CONTROLLER);
	settle(&c);
	while (!c.paused) {
		type_at(&c, c.in_offset, piece, sizeof(piece));
		c.in_offset += sizeof(piece);
	}
	assert_true(stream_state(the_stream).held <= 65536);
	knows_less(&w, &c);
	type_at(&c, c.in_offset - 5, "zzzzz", 5);
	settle(&c);
	assert_false(c.closed);
	do {
		turn(&w, 2);
		settle(&c);
		n = read(w.console.far, piece, sizeof(piece));
		heard += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	assert_int_equal(heard, c.in_offset);
	assert_false(c.paused);
	wait_ms(&w, 80);
	settle(&c);
	assert_int_equal(c.inack, c.in_offset);
	/* One that does not mind being paused is cut off. */
	for (int i = 0; i < 100 && !c.closed; i++) {
		type_at(&c, c.in_offset, piece, sizeof(piece));
		c.in_offset += sizeof(piece);
		settle(&c);
	}
	assert_int_equal(c.code, 4413);
	close_client(&c);
	world_finish(&w);
}

/* --- floods ---------------------------------------------------------------------------------------------- */

#define PERIOD 65521 /* prime: no boundary in the code divides it */
static uint8_t pattern[2 * PERIOD + 65536];

static void make_pattern(void)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)('!' + i % PERIOD * 2654435761u / 65536u % 90);
}

static void check_pattern(uint64_t offset, const uint8_t *data, size_t len)
{
	assert_true(len <= 65536);
	if (memcmp(data, pattern + offset % PERIOD, len) != 0)
		fail_msg("wrong bytes at offset %llu", (unsigned long long)offset);
}

/* The guest: writes as much of the pattern as the console takes, up to @limit in all. */
static void flood(struct world *w, uint64_t *at, uint64_t limit)
{
	while (*at < limit) {
		size_t n = limit - *at < 32768 ? (size_t)(limit - *at) : 32768;
		ssize_t done = write(w->console.far, pattern + *at % PERIOD, n);

		if (done <= 0)
			return;
		*at += (uint64_t)done;
	}
}

/* Credit withheld: window bytes come, then none; given: the rest. */
static void window_holds(void **state)
{
	struct client c = { .check = check_pattern };
	uint64_t at = 0, held;
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	attach_client(&c, &w, ROLE_CONTROLLER);
	settle(&c);
	for (int i = 0; i < 20; i++) {
		flood(&w, &at, 1 << 20);
		settle(&c);
	}
	assert_true(c.output <= 65536 && c.output > 65536 - 4096);
	held = stream_state(the_stream).end;
	assert_true(held <= 65536);
	c.credits = true;
	credit(&c);
	for (int i = 0; i < 200 && c.output < 1 << 20; i++) {
		flood(&w, &at, 1 << 20);
		if (at == 1 << 20)
			wait_ms(&w, 2); /* the end of a flood waits a moment for more */
		settle(&c);
	}
	assert_int_equal(c.output, 1 << 20);
	assert_int_equal(c.gaps, 0);
	close_client(&c);
	world_finish(&w);
}

/*
 * The largest window that a ring allows: a controller loses nothing, however late it reads and whatever the
 * console is.
 */
static void widest_window(enum hv_console_kind kind)
{
	struct client c = { .check = check_pattern, .window = 1 << 20 };
	uint64_t at = 0;
	struct world w;

	world_init(&w, kind);
	world_open(&w, false);
	attach_client(&c, &w, ROLE_CONTROLLER);
	for (int i = 0; i < 20000 && c.output < 2 << 20; i++) {
		flood(&w, &at, 2 << 20);
		turn(&w, 1);
		if (i % 100 == 0) {
			credit(&c);
			pull(&c, 1);
		}
		if (i % 300 == 0)
			pull(&c, 100);
	}
	assert_int_equal(c.output, 2 << 20);
	assert_int_equal(c.gaps, 0);
	/* A whole message waits beside the ring for a reader that stalls: 64 KiB of it were more than that may cost. */
	assert_true(c.largest <= (kind == HV_CONSOLE_PTY ? 32768 : 65536));
	assert_true(c.largest > 16384);
	close_client(&c);
	world_finish(&w);
}

static void widest_windows(void **state)
{
	(void)state;
	widest_window(HV_CONSOLE_SOCKET);
	widest_window(HV_CONSOLE_PTY);
}

/* Without anybody the process is never held up; who comes then gets the newest, after a preamble. */
static void nobody_looks(void **state)
{
	struct client c = { .credits = true, .check = check_pattern };
	uint64_t at = 0;
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	while (at < 2 << 20) {
		flood(&w, &at, 2 << 20);
		turn(&w, 1);
	}
	turn(&w, 10);
	attach_client(&c, &w, ROLE_CONTROLLER);
	settle(&c);
	assert_int_equal(c.offset, 2 << 20);
	assert_int_equal(c.gaps, 1);
	assert_int_equal(c.preambles, 1);
	assert_true(c.output >= CONSOLE_RING_BYTES - 4096 - 65536 - 65536);
	assert_int_equal(c.replayed, c.output);
	close_client(&c);
	world_finish(&w);
}

/* A viewer that reads little is skipped ahead and slows nobody. */
static void slow_viewer(void **state)
{
	struct client c = { .credits = true, .check = check_pattern }, v = { .check = check_pattern };
	uint64_t at = 0;
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	attach_client(&c, &w, ROLE_CONTROLLER);
	attach_client(&v, &w, ROLE_VIEWER);
	for (int i = 0; c.output < 16 << 20; i++) {
		flood(&w, &at, 16 << 20);
		turn(&w, 1);
		pull(&c, 10);
		pull(&v, 1);
		if (i % 16 == 0)
			credit(&v);
	}
	assert_int_equal(c.output, 16 << 20);
	assert_int_equal(c.gaps, 0);
	assert_true(v.gaps > 2 && v.output < 12 << 20);
	v.credits = true;
	credit(&v);
	settle(&v);
	assert_int_equal(v.offset, 16 << 20);
	close_client(&c);
	close_client(&v);
	world_finish(&w);
}

/*
 * The property: whatever is cut, and when, what a client has put together is the stream. 1000 cuts of the
 * connection during a numbered stream, every twentieth together with the gateway, while both sides also
 * type. Gaps only when the ring had lost the bytes, which takes a client that nobody waits for any more.
 */
struct typist {
	uint64_t heard;
};

static void guest_listens(struct world *w, struct typist *t)
{
	static uint8_t buf[65536];
	ssize_t n;

	while ((n = read(w->console.far, buf, sizeof(buf))) > 0) {
		check_pattern(t->heard, buf, (size_t)n);
		t->heard += (uint64_t)n;
	}
}

static void client_types(struct client *c, uint64_t *next)
{
	size_t len = 1 + (size_t)random() % 200;

	/* No more than the protocol lets it have unacknowledged. */
	if (c->paused || *next - c->inack > 65536 - len)
		return;
	type_at(c, *next, pattern + *next % PERIOD, len);
	*next += len;
}

static void new_gateway(struct world *w, struct client *c)
{
	the_stream = stream_destroy(the_stream);
	close_client(c);
	w->hub = attach_hub_destroy(w->hub);
	assert_int_equal(attach_hub_create(&w->hub, &w->loop, NULL, w->tickets), 0);
	world_stream(w);
	world_open(w, true);
}

static void reattach(struct world *w, struct client *c, uint64_t *next)
{
	bool lost = c->epoch[0] && c->offset < stream_state(the_stream).start;

	c->in_offset = *next;
	c->gapped = false;
	attach_client(c, w, ROLE_CONTROLLER);
	turn(w, 1);
	pull(c, 1);
	assert_int_equal(c->gapped, lost);
	/* What is not acknowledged is sent again. */
	for (uint64_t at = c->inack; at < *next;) {
		size_t len = *next - at < 16000 ? (size_t)(*next - at) : 16000;

		type_at(c, at, pattern + at % PERIOD, len);
		at += len;
	}
}

static void thousand_cuts(void **state)
{
	const uint64_t limit = 256 << 20;
	struct client c = { .credits = true, .check = check_pattern };
	struct typist t = { 0 };
	uint64_t at = 0, next = 0;
	struct world w;
	int cuts = 0;

	(void)state;
	srandom(5);
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	reattach(&w, &c, &next);
	while (c.offset < limit) {
		flood(&w, &at, limit);
		turn(&w, 1);
		pull(&c, (int)(random() % 6));
		client_types(&c, &next);
		guest_listens(&w, &t);
		if (cuts == 1000 || c.offset < limit / 1000 * (uint64_t)cuts)
			continue;
		if (++cuts % 20 == 0)
			new_gateway(&w, &c);
		else
			close_client(&c);
		if (cuts % 5 == 0)
			stream_expect_nobody(the_stream);
		for (long n = random() % (cuts % 5 == 0 ? 16 : 4); n > 0; n--) {
			flood(&w, &at, at + 40000 < limit ? at + 40000 : limit);
			turn(&w, 1);
		}
		reattach(&w, &c, &next);
		assert_true(cuts % 5 == 0 || !c.gapped);
	}
	settle(&c);
	for (int i = 0; i < 10 && t.heard < next; i++) {
		turn(&w, 2);
		guest_listens(&w, &t);
	}
	assert_int_equal(cuts, 1000);
	assert_int_equal(t.heard, next);
	assert_true(next > 100000);
	assert_true(c.gaps > 0 && c.gaps <= 200);
	close_client(&c);
	world_finish(&w);
}

/* --- what comes from above ------------------------------------------------------------------------------- */

static void told_to_go(void **state)
{
	struct client a = { 0 }, b = { 0 }, d = { 0 };
	uint8_t hash[SESSION_HASH_BYTES] = { 1 };
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	attach_client(&a, &w, ROLE_CONTROLLER);
	w.who.session_hash[0] = 1;
	attach_client(&b, &w, ROLE_CONTROLLER);
	settle(&a);
	settle(&b);
	attach_hub_revoke(w.hub, hash, 4403, "access was withdrawn");
	settle(&a);
	settle(&b);
	assert_false(a.closed);
	assert_string_equal(a.role, "controller");
	assert_int_equal(b.code, 4403);
	assert_string_equal(b.error, "revoked");

	/* A client that does not even read its ERROR is cut off. */
	attach_client(&d, &w, ROLE_CONTROLLER);
	settle(&d);
	attach_hub_restart(w.hub);
	settle(&a);
	assert_int_equal(a.code, 1012);
	assert_false(d.closed);
	wait_ms(&w, 1700);
	assert_int_equal(d.code, 1012);
	close_client(&a);
	close_client(&b);
	close_client(&d);
	world_finish(&w);
}

static void stream_ends(void **state)
{
	struct client a = { 0 };
	struct world w;
	struct buf text = BUF_INIT(8192);

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	attach_client(&a, &w, ROLE_CONTROLLER);
	settle(&a);
	the_stream = stream_destroy(the_stream);
	settle(&a);
	assert_int_equal(a.code, 4404);
	attach_hub_metrics(w.hub, &text);
	assert_non_null(strstr(text.data, "terrarium_attachments 1\n"));
	buf_finish(&text);
	close_client(&a);
	world_finish(&w);
}

/* The sweep serves all deadlines. */
static void deadlines(void **state)
{
	struct client a = { 0 };
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	world_open(&w, false);
	w.who.expires_at = time(NULL);
	attach_client(&a, &w, ROLE_CONTROLLER);
	settle(&a);
	assert_false(a.closed);
	wait_ms(&w, 600);
	settle(&a);
	assert_int_equal(a.code, 4401);
	close_client(&a);
	world_finish(&w);
}

/* Typing and staying keep a terminal; what it writes, and pings, do not. */
static void idle(void **state)
{
	struct client a = { 0 }, b = { 0 };
	struct world w;

	(void)state;
	world_init(&w, HV_CONSOLE_SOCKET);
	attach_hub_idle(w.hub, IDLE_MS);
	world_open(&w, false);
	attach_client(&a, &w, ROLE_CONTROLLER);
	attach_client(&b, &w, ROLE_VIEWER);
	while (!a.closing || !b.closing) {
		wait_ms(&w, 10);
		settle(&a);
		settle(&b);
	}
	type_at(&a, 0, "x", 1);
	send_json(&b, WIRE_ACTION, json_pack("{s:s}", "do", "stay"));
	settle(&a);
	settle(&b);
	assert_false(a.closing || b.closing || a.closed || b.closed);
	assert_true(a.idles == 2 && b.idles == 2);
	for (int i = 0; !a.closed && i < 300; i++) {
		guest_says(&w, "still busy\r\n");
		send_u64(&a, WIRE_PING, 0x1122334455667788);
		if (b.closing)
			send_json(&b, WIRE_ACTION, json_pack("{s:s}", "do", "stay"));
		wait_ms(&w, 10);
		settle(&a);
		settle(&b);
	}
	assert_int_equal(a.code, 4408);
	assert_int_equal(a.idles, 3);
	assert_false(b.closed);
	close_client(&a);
	close_client(&b);
	world_finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_and_back), cmocka_unit_test(exits),
		cmocka_unit_test(faults),	 cmocka_unit_test(refusals),
		cmocka_unit_test(many_viewers),	 cmocka_unit_test(roles),
		cmocka_unit_test(turns_within_a_round_trip),	 cmocka_unit_test(turns_outlive_the_gateway),
		cmocka_unit_test(by_a_share),
		cmocka_unit_test(watched),	 cmocka_unit_test(watching_ends_with_the_role),	 cmocka_unit_test(widest_windows),
		cmocka_unit_test(typed_ahead),	 cmocka_unit_test(stuck_input),
		cmocka_unit_test(window_holds),	 cmocka_unit_test(nobody_looks),
		cmocka_unit_test(slow_viewer),	 cmocka_unit_test(thousand_cuts),
		cmocka_unit_test(told_to_go),	 cmocka_unit_test(stream_ends),
		cmocka_unit_test(deadlines),	 cmocka_unit_test(idle),
	};

	make_pattern();
	(void)log_open("test", "error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
