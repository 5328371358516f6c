/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All attachments of this process: their list, the few timers that they share, and what is done to many of
 * them at once.
 */
#include "gateway/attach_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/buf.h"
#include "base/loop.h"
#include "gateway/wire.h"

#define HELLO_MS 5000
#define SWEEP_S	 .5
#define IDLE_WARN_MS 60000 /* so long before it closes, or half of the time if that is less */

struct attach *attach_create(struct attach_hub *hub, const struct attach_transport *t, void *conn,
			     const struct who *who)
{
	struct attach *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->viewer.on_news = attach_on_news;
	a->hub = hub;
	a->t = t;
	a->conn = conn;
	a->who = *who;
	a->phase = WAITING;
	a->deadline_ms = loop_now_ms() + HELLO_MS;
	a->next = hub->all;
	if (a->next)
		a->next->prev = a;
	hub->all = a;
	hub->count++;
	hub->n.opened++;
	a->id = hub->next_id++;
	a->opened_ms = a->typed_ms = loop_now_ms();
	if (!ev_is_active(&hub->sweep))
		ev_timer_again(hub->loop->ev, &hub->sweep);
	return a;
}

struct attach *attach_closed(struct attach *a)
{
	struct attach_hub *hub;

	if (!a)
		return NULL;
	hub = a->hub;
	a->phase = CLOSING;
	if (!a->reason[0])
		(void)snprintf(a->reason, sizeof(a->reason), "the connection ended");
	attach_leave(a);
	if (a->next)
		a->next->prev = a->prev;
	if (a->prev)
		a->prev->next = a->next;
	else
		hub->all = a->next;
	hub->count--;
	if (hub->count == 0)
		ev_timer_stop(hub->loop->ev, &hub->sweep);
	free(a);
	return NULL;
}

/* A terminal at which nobody types. A command is none: it may run for a day and be told nothing. */
static void check_idle(struct attach *a, uint64_t now_ms)
{
	uint64_t limit_ms = a->hub->idle_ms, unused_ms = now_ms - a->typed_ms;
	uint64_t warn_ms = limit_ms / 2 < IDLE_WARN_MS ? limit_ms / 2 : IDLE_WARN_MS;

	if (limit_ms == 0 || a->phase != LIVE || stream_state(a->viewer.stream).command)
		return;
	if (unused_ms >= limit_ms) {
		attach_refuse(a, WIRE_CLOSE_IDLE, "nobody has typed here for long");
	} else if (unused_ms >= limit_ms - warn_ms && !a->warned) {
		a->warned = true;
		attach_say(a, SAY_IDLE);
	}
}

/* Two looks a second at all attachments, in place of timers for each. */
static void on_sweep(struct ev_loop *ev, ev_timer *timer, int events)
{
	struct attach_hub *hub = container_of(timer, struct attach_hub, sweep);
	uint64_t now_ms = loop_now_ms();
	int64_t now_s = (int64_t)time(NULL);

	(void)ev;
	(void)events;
	for (struct attach *a = hub->all, *next; a; a = next) {
		next = a->next;
		if (a->phase == CLOSING && now_ms >= a->deadline_ms)
			attach_hang_up(a, a->close_code, a->reason);
		else if (a->phase == WAITING && now_ms >= a->deadline_ms)
			attach_refuse(a, WIRE_CLOSE_IDLE, "no HELLO within 5 seconds");
		else if (a->right.share && a->right.ends_s <= now_s)
			attach_refuse(a, WIRE_CLOSE_REVOKED, "this link has ended");
		else if (a->who.expires_at <= now_s)
			attach_refuse(a, WIRE_CLOSE_LOGIN, "the session has expired: sign in again");
		else
			check_idle(a, now_ms);
	}
}

/* Late acknowledgements. Stops itself: typing starts it. */
static void on_ack(struct ev_loop *ev, ev_timer *timer, int events)
{
	struct attach_hub *hub = container_of(timer, struct attach_hub, ack);
	bool more = false;

	(void)events;
	for (struct attach *a = hub->all; a; a = a->next) {
		struct stream_state st;

		if (!a->typed || a->phase != LIVE)
			continue;
		st = stream_state(a->viewer.stream);
		if (attach_ack_due(a, &st))
			attach_ask_to_write(a);
		else
			more = more || attach_ack_waits(a, &st);
	}
	if (!more)
		ev_timer_stop(ev, timer);
}

int attach_hub_create(struct attach_hub **out, struct loop *loop, struct machines *machines,
		      struct tickets *tickets)
{
	struct attach_hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return -ENOMEM;
	hub->loop = loop;
	hub->machines = machines;
	hub->tickets = tickets;
	hub->born_ms = loop_now_ms();
	/* A number of another process must not name somebody in this one; JSON holds 53 bits. */
	if (getrandom(&hub->next_id, sizeof(hub->next_id), GRND_NONBLOCK) < 0)
		hub->next_id = (uint64_t)time(NULL);
	hub->next_id = hub->next_id % (1ULL << 52) + 1;
	ev_timer_init(&hub->sweep, on_sweep, 0., SWEEP_S);
	ev_timer_init(&hub->ack, on_ack, 0., ATTACH_ACK_S);
	*out = hub;
	return 0;
}

void attach_hub_idle(struct attach_hub *hub, uint64_t idle_ms)
{
	hub->idle_ms = idle_ms;
}

struct attach_hub *attach_hub_destroy(struct attach_hub *hub)
{
	if (!hub)
		return NULL;
	while (hub->all)
		(void)attach_closed(hub->all);
	ev_timer_stop(hub->loop->ev, &hub->sweep);
	ev_timer_stop(hub->loop->ev, &hub->ack);
	free(hub);
	return NULL;
}

void attach_hub_revoke(struct attach_hub *hub, const uint8_t session_hash[SESSION_HASH_BYTES], uint16_t code,
		       const char *reason)
{
	for (struct attach *a = hub->all, *next; a; a = next) {
		next = a->next;
		if (memcmp(a->who.session_hash, session_hash, SESSION_HASH_BYTES) == 0)
			attach_refuse(a, code, reason);
	}
}

void attach_set_address(struct attach *a, const char *address)
{
	(void)snprintf(a->address, sizeof(a->address), "%s", address);
}

static struct attach_view view_of(const struct attach *a, uint64_t now_ms, int64_t now_s)
{
	return (struct attach_view){
		.id = a->id,
		.email = a->who.email,
		.address = a->address,
		.bytes_in = a->bytes_in,
		.bytes_out = a->bytes_out,
		.stream = a->viewer.stream ? stream_id(a->viewer.stream) : "",
		.reason = a->reason,
		.share = a->right.share,
		.role = attach_may_control(a) && a->wants_control ? ROLE_CONTROLLER : ROLE_VIEWER,
		.since_s = now_s - (int64_t)((now_ms - a->opened_ms) / 1000),
		.idle_ms = now_ms - a->typed_ms,
	};
}

void attach_hub_each(const struct attach_hub *hub, void (*fn)(void *arg, const struct attach_view *v),
		     void *arg)
{
	uint64_t now_ms = loop_now_ms();
	int64_t now_s = (int64_t)time(NULL);

	for (const struct attach *a = hub->all; a; a = a->next) {
		const struct attach_view v = view_of(a, now_ms, now_s);

		if (a->phase == LIVE)
			fn(arg, &v);
	}
}

void attach_hub_watch(struct attach_hub *hub, void (*fn)(void *arg, enum attach_change what, const struct attach_view *v), void *arg)
{
	hub->on_change = fn;
	hub->on_change_arg = arg;
}

void attach_tell(const struct attach *a, enum attach_change what)
{
	const struct attach_view v = view_of(a, loop_now_ms(), (int64_t)time(NULL));

	if (a->hub->on_change)
		a->hub->on_change(a->hub->on_change_arg, what, &v);
}

struct attach_claim attach_claim(const struct attach *a)
{
	return (struct attach_claim){ .who = &a->who, .need = a->need, .right = &a->right };
}

void attach_hub_guard(struct attach_hub *hub, bool (*fn)(void *arg, const struct attach_claim *claim), void *arg)
{
	hub->guard = fn;
	hub->guard_arg = arg;
}

bool attach_hub_allows(const struct attach_hub *hub, const struct attach_claim *claim)
{
	return !hub->guard || hub->guard(hub->guard_arg, claim);
}

void attach_hub_send_away(struct attach_hub *hub, int64_t share, const char *email, const char *reason)
{
	ticket_drop_share(hub->tickets, share); /* others fetch a new one */
	for (struct attach *a = hub->all, *next; a; a = next) {
		next = a->next;
		if (a->right.share == share && (!email || strcmp(a->who.email, email) == 0))
			attach_refuse(a, WIRE_CLOSE_REVOKED, reason);
	}
}

void attach_hub_end_share(struct attach_hub *hub, int64_t share, const char *reason)
{
	attach_hub_send_away(hub, share, NULL, reason);
}

void attach_hub_set_share_role(struct attach_hub *hub, int64_t share, enum stream_role role)
{
	ticket_drop_share(hub->tickets, share);
	for (struct attach *a = hub->all; a; a = a->next)
		if (a->right.share == share && a->phase != CLOSING)
			attach_set_right(a, role);
}

size_t attach_hub_check(struct attach_hub *hub, bool (*may)(void *arg, const struct attach_claim *claim), void *arg)
{
	size_t closed = 0;

	for (struct attach *a = hub->all, *next; a; a = next) {
		const struct attach_claim claim = attach_claim(a);

		next = a->next;
		if (a->phase == CLOSING || may(arg, &claim))
			continue;
		attach_refuse(a, WIRE_CLOSE_REVOKED, "your access has ended");
		closed++;
	}
	return closed;
}

void attach_hub_restart(struct attach_hub *hub)
{
	for (struct attach *a = hub->all, *next; a; a = next) {
		next = a->next;
		attach_refuse(a, WIRE_CLOSE_RESTART, "the server restarts: your machine runs on");
	}
}

void attach_hub_metrics(const struct attach_hub *hub, struct buf *out)
{
	const struct {
		const char *name, *type, *help;
		uint64_t value;
	} rows[] = {
		{ "attachments", "gauge", "open attachments", hub->count },
		{ "attachments_opened_total", "counter", "attachments since the start", hub->n.opened },
		{ "attachments_refused_total", "counter", "attachments ended by an error", hub->n.refused },
		{ "output_bytes_total", "counter", "terminal bytes sent to clients", hub->n.output_bytes },
		{ "input_bytes_total", "counter", "terminal bytes received from clients",
		  hub->n.input_bytes },
		{ "credit_stalls_total", "counter", "times that output waited for a client's credit",
		  hub->n.stalls },
		{ "resumes_total", "counter", "attachments that went on where they had stopped",
		  hub->n.resumes },
		{ "gaps_total", "counter", "preambles sent because earlier output was gone", hub->n.gaps },
		{ "viewers_skipped_total", "counter", "times that a slow viewer was skipped ahead",
		  hub->n.skips },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)buf_printf(out, "# HELP terrarium_%s %s\n# TYPE terrarium_%s %s\nterrarium_%s %llu\n",
				 rows[i].name, rows[i].help, rows[i].name, rows[i].type, rows[i].name,
				 (unsigned long long)rows[i].value);
	}
}
