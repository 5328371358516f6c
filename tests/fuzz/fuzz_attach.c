/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/loop.h"
#include "gateway/attach.h"
#include "gateway/machine.h"
#include "gateway/sched.h"
#include "gateway/stream.h"
#include "gateway/ticket.h"
#include "gateway/viewer.h"
#include "tests/unit/console.h"

#define STREAM "00112233445566778899aabbccddeeff.console"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct stream *the_stream;

/* Stand-ins for gateway/machine.c. */
struct stream *machine_stream_find(struct machines *ms, int64_t person, const char *stream_id)
{
	(void)ms;
	(void)person;
	return strcmp(stream_id, STREAM) == 0 ? the_stream : NULL;
}

struct stream *machine_stream_any(struct machines *ms, const char *stream_id)
{
	(void)ms;
	return strcmp(stream_id, STREAM) == 0 ? the_stream : NULL;
}

struct machine *machine_of_stream(struct stream *s)
{
	return (struct machine *)(void *)s;
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

static void check(bool ok)
{
	if (!ok)
		abort();
}

struct client {
	struct attach *a;
	bool wants_write, closed;
	uint64_t sent;
};

static void want_write(void *conn)
{
	struct client *c = conn;

	check(!c->closed);
	c->wants_write = true;
}

static void close_conn(void *conn, uint16_t code, const char *reason)
{
	struct client *c = conn;

	check(!c->closed && code >= 1000 && reason);
	c->closed = true;
}

static void pause_input(void *conn, bool paused)
{
	(void)conn;
	(void)paused;
}

static const struct attach_transport transport = { .want_write = want_write,
						   .close = close_conn,
						   .pause_input = pause_input };
static const struct stream_hooks hooks = { .on_output = NULL };
static struct loop loop;
static struct sched *sched;
static struct tickets *tickets;
static const struct who who = { .person = 1, .email = "a@example.org", .expires_at = INT64_MAX };

static void set_up(void)
{
	if (sched)
		return;
	(void)log_open("fuzz", "error");
	check(loop_init(&loop) == 0 && sched_create(&sched, &loop) == 0);
	tickets = tickets_create();
	check(tickets);
}

static void pull(struct client *c)
{
	static uint8_t buf[ATTACH_MSG_MAX];

	for (int i = 0; i < 8 && c->wants_write; i++) {
		bool more = false;
		size_t len = attach_next(c->a, buf, sizeof(buf), &more);

		check(len <= sizeof(buf) && (len == 0 || buf[0] >= 0x81));
		c->wants_write = more;
		if (len == 0)
			break;
	}
}

/* What a client that knows its ticket can say first; @how chooses among the rest. */
static void hello(struct client *c, uint8_t how)
{
	char ticket[TICKET_TEXT], text[400], epoch[17] = "0000000000000000";
	struct stream_state st = stream_state(the_stream);
	int n;

	struct ticket_right right = { .role = how & 1 ? ROLE_CONTROLLER : ROLE_VIEWER };

	/* Half of those that hold nothing come by a share. */
	if ((how & 20) == 16) {
		right.share = 1 + (how >> 5);
		right.owner = who.person;
		right.ends_s = INT64_MAX;
	}
	if (ticket_issue_for(tickets, &who, STREAM, &right, loop_now_ms(), ticket) < 0)
		return;
	if (how & 2)
		(void)snprintf(epoch, sizeof(epoch), "%016llx", (unsigned long long)st.epoch);
	n = snprintf(
		text, sizeof(text),
		"\001{\"ticket\":\"%s\",\"stream\":\"%s\",\"epoch\":%s%s%s,\"out_offset\":%u,\"window\":%u}",
		ticket, STREAM, how & 4 ? "\"" : "", how & 4 ? epoch : "null", how & 4 ? "\"" : "", how >> 4,
		how & 8 ? 20000 : 0);
	attach_input(c->a, (const uint8_t *)text, (size_t)n);
}

static void guest(struct test_console *console, const uint8_t *data, size_t len, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		if (write(console->far, data, len) < 0)
			break;
	}
}

static void open_console(struct test_console *console)
{
	struct hv_console c = test_console_hand(console, false);

	check(stream_open(the_stream, &c) == 0);
}

static void note_id(void *arg, const struct attach_view *v)
{
	uint64_t *newest = arg;

	if (v->id > *newest)
		*newest = v->id;
}

static void give_to_newest(struct client *c, struct attach_hub *hub)
{
	uint64_t newest = 0;
	char text[64];
	int n;

	attach_hub_each(hub, note_id, &newest);
	n = snprintf(text, sizeof(text), "\006{\"do\":\"give\",\"to\":%llu}", (unsigned long long)newest);
	attach_input(c->a, (const uint8_t *)text, (size_t)n);
}

/* One step of the story that the input tells. */
static void step(struct client *c, struct attach_hub *hub, struct test_console *console, const uint8_t *data,
		 size_t len, uint8_t what)
{
	static uint8_t drain[65536];

	switch (what & 7) {
	case 0:
	case 1:
		attach_input(c->a, data, len);
		break;
	case 2:
		hello(c, len > 0 ? data[0] : 0);
		break;
	case 3:
		guest(console, data, len, 1u + what);
		break;
	case 4:
		(void)!read(console->far, drain, sizeof(drain));
		break;
	case 5:
		pull(c);
		break;
	case 6:
		if (what & 8)
			open_console(console);
		else if (what & 16)
			stream_exit(the_stream, what, 0);
		else if (what & 32)
			attach_hub_restart(hub);
		else if (len > 1 && data[0] & 1)
			attach_hub_set_share_role(hub, 1 + (data[1] & 7), data[0] & 2 ? ROLE_CONTROLLER : ROLE_VIEWER);
		else if (len > 1 && data[0] & 2)
			attach_hub_end_share(hub, 1 + (data[1] & 7), "taken back");
		else if (len > 8) /* whom a client cannot guess: hand over to the other one */
			give_to_newest(c, hub);
		else
			stream_notify(the_stream);
		break;
	default:
		c->a = attach_closed(c->a);
		*c = (struct client){ .a = attach_create(hub, &transport, c, &who) };
		check(c->a);
		break;
	}
}

/* Steps {u8 what and which client, u8 length, bytes} of two clients, a guest and the owner, in any order. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct test_console console;
	struct client clients[2] = { 0 };
	struct attach_hub *hub;

	set_up();
	test_console_open(&console, HV_CONSOLE_SOCKET);
	check(attach_hub_create(&hub, &loop, NULL, tickets) == 0);
	check(stream_create(&the_stream, &loop, sched, STREAM, &hooks, NULL) == 0);
	for (size_t i = 0; i < 2; i++) {
		clients[i].a = attach_create(hub, &transport, &clients[i], &who);
		check(clients[i].a);
	}
	for (size_t at = 0; at + 2 <= size;) {
		uint8_t what = data[at];
		size_t len = data[at + 1];

		at += 2;
		if (len > size - at)
			len = size - at;
		step(&clients[what >> 7], hub, &console, data + at, len, what & 0x7f);
		at += len;
		ev_run(loop.ev, EVRUN_NOWAIT);
	}
	the_stream = stream_destroy(the_stream);
	pull(&clients[0]);
	pull(&clients[1]);
	hub = attach_hub_destroy(hub);
	test_console_close(&console);
	return 0;
}
