/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   WAITING --HELLO--> LIVE --fault, end of the stream, revocation--> CLOSING --attach_closed()--> freed
 *
 * Nothing is queued. What has to be said is a set of bits (and a few numbers), and each message is made
 * from the present state when the transport asks for it: a client that does not read costs the size of
 * struct attach, whatever happens meanwhile. So a later PING, SIZE or EVENT replaces an earlier one of its
 * kind that has not been sent.
 *
 * Order: control messages, then output, with an INACK between two frames of it when one is due. INACK is
 * lazy: it rides along with output (behind the echo), at most once in ATTACH_ACK_S, or goes after that: a
 * frame for each keystroke would cost as much as its echo.
 *
 * Output: sent <= credit + window. The stream keeps a controller's bytes until they are sent. A viewer
 * whose next byte has left the ring is skipped ahead: gap, preamble, on from a safe place near the end.
 *
 * Control: at most one attachment of a stream controls; see attach_control.c.
 */
#include "gateway/attach_priv.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/loop.h"
#include "gateway/machine.h"
#include "gateway/modes.h"
#include "gateway/ticket.h"
#include "gateway/wire.h"

#define CLOSE_MS       1000 /* a client that does not take its ERROR is cut off after this */
#define ADOPT_MS       10000 /* after a start, machines are still being adopted */
#define ACK_BYTES      4096u /* so much written input is acknowledged at once */
#define KEEPALIVE_MS   25000
#define WINDOW_DEFAULT (384u << 10) /* a console may hold 128 KiB more: 512 KiB of old output before a Ctrl-C shows */
#define WINDOW_MIN     (16u << 10)
#define WINDOW_MAX     (1u << 20)
#define PAUSE_BYTES    49152u /* held input that stops reading from the client: one more message still fits in 64 KiB */
#define RESUME_BYTES   16384u
#define SKIP_BYTES     65536u /* a viewer that fell behind goes on so far before the end */
#define VIEWERS_MAX    32     /* attachments of one stream */
#define BY_SHARE_MAX   24     /* of them by shares: whoever has a link cannot keep the owner out */

static struct attach *from_viewer(struct viewer *v)
{
	return container_of(v, struct attach, viewer);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

void attach_ask_to_write(struct attach *a)
{
	if (a->asked)
		return;
	a->asked = true;
	a->t->want_write(a->conn);
}

void attach_say(struct attach *a, unsigned what)
{
	a->say |= what;
	attach_ask_to_write(a);
}

void attach_notice(struct attach *a, const char *code)
{
	a->notice = code;
	attach_say(a, SAY_NOTICE);
}

void attach_pause_client(struct attach *a, bool paused)
{
	if (a->paused == paused)
		return;
	a->paused = paused;
	a->t->pause_input(a->conn, paused);
}

void attach_leave(struct attach *a)
{
	struct stream *s = a->viewer.stream;
	bool had_control = attach_controls(a);

	if (!s)
		return;
	attach_tell(a, ATTACH_CLOSED);
	stream_leave(&a->viewer);
	machine_touch(machine_of_stream(s));
	if (had_control)
		attach_hand_over(s);
	attach_say_to_all(s, SAY_VIEWERS);
}

/* --- refusing and closing -------------------------------------------------------------------------------- */

static const char *code_text(uint16_t code)
{
	static const struct {
		uint16_t code;
		const char *text;
	} table[] = {
		{ WIRE_CLOSE_RESTART, "restart" },	 { WIRE_CLOSE_MALFORMED, "malformed" },
		{ WIRE_CLOSE_LOGIN, "login_needed" },	 { WIRE_CLOSE_REVOKED, "revoked" },
		{ WIRE_CLOSE_NO_STREAM, "no_such_stream" }, { WIRE_CLOSE_IDLE, "idle" },
		{ WIRE_CLOSE_TAKEN, "taken_over" },	 { WIRE_CLOSE_TOO_BIG, "too_big" },
		{ WIRE_CLOSE_TOO_MANY, "too_many" },	 { WIRE_CLOSE_NOT_READY, "not_ready" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].code == code)
			return table[i].text;
	}
	return "error";
}

/* From here on the client gets nothing but its ERROR, and nothing it sends counts. */
void attach_refuse(struct attach *a, uint16_t code, const char *message)
{
	struct stream *s = a->viewer.stream;

	if (a->phase == CLOSING)
		return;
	a->phase = CLOSING;
	a->close_code = code;
	a->hub->n.refused++;
	(void)snprintf(a->reason, sizeof(a->reason), "%s", message);
	a->deadline_ms = loop_now_ms() + CLOSE_MS;
	attach_pause_client(a, true);
	attach_leave(a);
	if (s && (code == WIRE_CLOSE_LOGIN || code == WIRE_CLOSE_REVOKED))
		stream_expect_nobody(s);
	a->say = 0;
	attach_say(a, SAY_GOODBYE);
}

void attach_hang_up(struct attach *a, uint16_t code, const char *reason)
{
	a->phase = CLOSING;
	a->say = 0;
	a->deadline_ms = UINT64_MAX; /* only once */
	if (reason != a->reason)
		(void)snprintf(a->reason, sizeof(a->reason), "%s", reason);
	attach_leave(a);
	a->t->close(a->conn, code, reason);
}

/* --- output ---------------------------------------------------------------------------------------------- */

static uint64_t allowance(const struct attach *a)
{
	uint64_t limit = a->viewer.credit + a->viewer.window;

	return limit > a->sent ? limit - a->sent : 0;
}

static bool has_output(const struct attach *a, const struct stream_state *st)
{
	return a->phase == LIVE && st->epoch != 0 && (a->gap || (a->sent < st->end && allowance(a) > 0));
}

static bool has_exit(const struct attach *a, const struct stream_state *st)
{
	return a->phase == LIVE && st->ended && !a->gap && a->sent == st->end;
}

bool attach_ack_waits(const struct attach *a, const struct stream_state *st)
{
	return a->phase == LIVE && a->typed && st->written > a->acked;
}

bool attach_ack_due(const struct attach *a, const struct stream_state *st)
{
	return attach_ack_waits(a, st) &&
	       (st->written - a->acked >= ACK_BYTES || ev_now(a->hub->loop->ev) - a->acked_at >= ATTACH_ACK_S);
}

static bool has_more(const struct attach *a)
{
	struct stream_state st;

	if (a->say)
		return true;
	if (a->phase != LIVE)
		return false;
	st = stream_state(a->viewer.stream);
	return has_output(a, &st) || has_exit(a, &st) || attach_ack_due(a, &st);
}

/* How far output may run ahead: what was asked for, within our bounds and what the ring can keep. */
static void set_window(struct attach *a, const struct stream_state *st)
{
	uint32_t window = a->asked_window;

	if (st->ring_bytes > 0 && window > st->ring_bytes - RING_SLACK)
		window = st->ring_bytes - RING_SLACK;
	a->viewer.window = window;
}

/*
 * Begin at @offset or the next safe place, with a preamble. What has been sent and not yet consumed still
 * counts against the window.
 */
static void go_to(struct attach *a, uint64_t offset)
{
	uint64_t open = a->sent - a->viewer.credit;

	a->sent = stream_safe(a->viewer.stream, offset);
	a->viewer.credit = a->sent > open ? a->sent - open : 0;
	a->gap = true;
	a->hub->n.gaps++;
}

static void skip_ahead(struct attach *a, const struct stream_state *st)
{
	a->hub->n.skips++;
	go_to(a, st->end - st->start > SKIP_BYTES ? st->end - SKIP_BYTES : st->start);
	stream_credited(&a->viewer);
}

/* An attachment that waits for credit, counted once each time. */
static void note_stall(struct attach *a, const struct stream_state *st)
{
	bool stalled = a->sent < st->end && allowance(a) == 0;

	a->hub->n.stalls += stalled && !a->stalled;
	a->stalled = stalled;
}

static size_t next_preamble(struct attach *a, uint8_t *buf)
{
	uint8_t flags = WIRE_GAP | WIRE_PREAMBLE | (a->sent < a->replay_end ? WIRE_REPLAY : 0);
	size_t at = wire_output_head(buf, a->sent, flags);

	a->gap = false;
	return at + stream_preamble(a->viewer.stream, a->sent, buf + at);
}

static size_t next_output(struct attach *a, uint8_t *buf)
{
	struct stream_state st = stream_state(a->viewer.stream);
	size_t want = ATTACH_MSG_MAX - WIRE_OUTPUT_HEAD, at, n;
	bool replay = a->sent < a->replay_end;

	note_stall(a, &st);
	if (!has_output(a, &st))
		return 0;
	if (a->sent < st.start)
		skip_ahead(a, &st);
	if (a->gap)
		return next_preamble(a, buf);
	if (want > st.piece_bytes)
		want = st.piece_bytes;
	if (want > allowance(a))
		want = (size_t)allowance(a);
	if (replay && want > a->replay_end - a->sent)
		want = (size_t)(a->replay_end - a->sent);
	at = wire_output_head(buf, a->sent, replay ? WIRE_REPLAY : 0);
	n = stream_read(a->viewer.stream, a->sent, buf + at, want);
	a->sent += n;
	a->hub->n.output_bytes += n;
	a->bytes_out += n;
	a->ack_turn = attach_ack_due(a, &st);
	return at + n;
}

static size_t next_ack(struct attach *a, uint8_t *buf)
{
	struct stream_state st = stream_state(a->viewer.stream);

	if (!attach_ack_due(a, &st))
		return 0;
	a->acked = st.written;
	a->acked_at = ev_now(a->hub->loop->ev);
	a->ack_turn = false;
	return wire_inack(buf, st.written);
}

static size_t next_exit(struct attach *a, uint8_t *buf)
{
	struct stream_state st = stream_state(a->viewer.stream);

	if (!has_exit(a, &st))
		return 0;
	attach_hang_up(a, WIRE_CLOSE_DONE, st.why[0] ? st.why : "exit");
	return wire_exit(buf, st.exit_code, (uint8_t)st.exit_signal);
}

/* --- control messages ------------------------------------------------------------------------------------ */

static const char *role_text(const struct attach *a)
{
	return attach_controls(a) ? "controller" : "viewer";
}

static json_int_t turn_now(const struct attach *a)
{
	return attach_controls(a) ? (json_int_t)a->viewer.turn : 0;
}

/* The machine as this client may know it: by a share one sees a terminal, not what is behind it. */
static json_t *vm_json(const struct attach *a)
{
	static const char *const seen[] = { "id", "name", "state", "state_ms", "can_resize" };
	struct machine *m = machine_of_stream(a->viewer.stream);
	json_t *vm = m ? machine_json(m) : json_null(), *part;

	if (!a->right.share || !m)
		return vm;
	part = json_object();
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		(void)json_object_set(part, seen[i], json_object_get(vm, seen[i]));
	json_decref(vm);
	return part;
}

static const char *recording_text(const struct stream_state *st)
{
	static const char *const names[] = { [STREAM_UNRECORDED] = "off", [STREAM_RECORDED] = "output", [STREAM_RECORDED_TYPING] = "input" };

	return names[st->recording];
}

static json_t *welcome(const struct attach *a)
{
	struct stream *s = a->viewer.stream;
	struct stream_state st = stream_state(s);
	char epoch[17];

	wire_epoch_text(st.epoch, epoch);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:i, s:i, s:I, s:i, s:b, s:s, s:o, s:I, s:b}", "stream",
			 stream_id(s), "epoch", epoch, "ring_start", (json_int_t)st.start, "out_offset",
			 (json_int_t)a->sent, "in_offset", (json_int_t)a->acked, "turn", turn_now(a), "typed_turn",
			 (json_int_t)st.typed_turn, "role", role_text(a), "cols",
			 (int)st.size.cols, "rows", (int)st.size.rows, "window", (json_int_t)a->viewer.window,
			 "keepalive_ms", KEEPALIVE_MS, "can_resize", (int)st.pty, "recording", recording_text(&st), "vm", vm_json(a), "viewer",
			 (json_int_t)a->id, "may_control", (int)attach_may_control(a));
}

static json_t *event_recording(const struct attach *a)
{
	struct stream_state st = stream_state(a->viewer.stream);

	return json_pack("{s:s, s:s, s:s}", "type", "recording", "recording", recording_text(&st), "reason", st.recording_end);
}

static json_t *event_epoch(const struct attach *a)
{
	json_t *json = welcome(a);

	if (json)
		(void)json_object_set_new(json, "type", json_string("epoch"));
	return json;
}

static json_t *event_role(const struct attach *a)
{
	struct stream_state st = stream_state(a->viewer.stream);

	return json_pack("{s:s, s:s, s:I, s:I, s:b}", "type", "role", "role", role_text(a), "in_offset",
			 (json_int_t)st.wanted, "turn", turn_now(a), "may_control", (int)attach_may_control(a));
}

static json_t *event_vm(const struct attach *a)
{
	return json_pack("{s:s, s:o}", "type", "vm", "vm", vm_json(a));
}

static json_t *event_idle(const struct attach *a)
{
	uint64_t unused_ms = loop_now_ms() - a->typed_ms;
	uint64_t left_ms = a->hub->idle_ms > unused_ms ? a->hub->idle_ms - unused_ms : 0;

	return json_pack("{s:s, s:o}", "type", "idle", "closes_in_ms",
			 a->warned ? json_integer((json_int_t)left_ms) : json_null());
}

static json_t *error_notice(const struct attach *a)
{
	const char *words = strcmp(a->notice, "read_only") == 0	     ? "this attachment only watches" :
			    strcmp(a->notice, "no_such_viewer") == 0 ? "whom that was meant for has gone" :
								       "this attachment may not do that with control";

	return json_pack("{s:s, s:s, s:i}", "code", a->notice, "message", words, "retry_after_ms", 0);
}

static json_t *error_goodbye(const struct attach *a)
{
	bool again = a->close_code == WIRE_CLOSE_RESTART || a->close_code == WIRE_CLOSE_NOT_READY;

	return json_pack("{s:s, s:s, s:i}", "code", code_text(a->close_code), "message", a->reason,
			 "retry_after_ms", again ? 250 : 0);
}

static size_t next_size(struct attach *a, uint8_t *buf)
{
	struct stream_state st = stream_state(a->viewer.stream);

	return wire_size(buf, st.size.cols, st.size.rows);
}

static size_t next_pong(struct attach *a, uint8_t *buf)
{
	uint64_t held = now_us() - a->pong_us;

	return wire_pong(buf, a->pong_clock, held > UINT32_MAX ? UINT32_MAX : (uint32_t)held);
}

/* The messages of enum say, in its order. */
static const struct {
	unsigned what;
	enum wire_type type;
	json_t *(*json)(const struct attach *a);
	size_t (*fixed)(struct attach *a, uint8_t *buf);
} sayings[] = {
	{ SAY_WELCOME, WIRE_WELCOME, welcome, NULL },	  { SAY_EPOCH, WIRE_EVENT, event_epoch, NULL },
	{ SAY_ROLE, WIRE_EVENT, event_role, NULL },	  { SAY_SIZE, WIRE_SIZE, NULL, next_size },
	{ SAY_VM, WIRE_EVENT, event_vm, NULL },		  { SAY_VIEWERS, WIRE_EVENT, attach_event_viewers, NULL },
	{ SAY_NOTICE, WIRE_ERROR, error_notice, NULL },	  { SAY_PONG, WIRE_PONG, NULL, next_pong },
	{ SAY_RECORDING, WIRE_EVENT, event_recording, NULL }, { SAY_IDLE, WIRE_EVENT, event_idle, NULL },
	{ SAY_GOODBYE, WIRE_ERROR, error_goodbye, NULL },
};

static size_t next_saying(struct attach *a, uint8_t *buf, size_t cap)
{
	size_t i = 0, len;
	json_t *json;

	if (!a->say)
		return 0;
	while (!(a->say & sayings[i].what))
		i++;
	a->say &= ~sayings[i].what;
	if (sayings[i].fixed)
		return sayings[i].fixed(a, buf);
	json = sayings[i].json(a);
	len = wire_json(buf, cap, sayings[i].type, json);
	json_decref(json);
	if (len == 0)
		log_warn("stream %s: a message could not be made: out of memory?",
			 a->viewer.stream ? stream_id(a->viewer.stream) : "-");
	if (sayings[i].what == SAY_GOODBYE)
		attach_hang_up(a, a->close_code, a->reason);
	return len;
}

size_t attach_next(struct attach *a, uint8_t *buf, size_t cap, bool *more)
{
	size_t len = 0;

	if (cap > ATTACH_MSG_MAX)
		cap = ATTACH_MSG_MAX;
	while (len == 0 && a->say)
		len = next_saying(a, buf, cap);
	if (len == 0 && a->phase == LIVE && a->ack_turn)
		len = next_ack(a, buf);
	if (len == 0 && a->phase == LIVE)
		len = next_output(a, buf);
	if (len == 0 && a->phase == LIVE)
		len = next_ack(a, buf);
	if (len == 0 && a->phase == LIVE)
		len = next_exit(a, buf);
	*more = a->asked = has_more(a);
	return len;
}

/* --- what the stream tells ------------------------------------------------------------------------------- */

static void on_epoch(struct attach *a)
{
	struct stream_state st = stream_state(a->viewer.stream);

	if (a->sent > a->stale_sent)
		a->stale_sent = a->sent;
	a->stale_input = true;
	a->sent = a->viewer.credit = a->replay_end = 0;
	a->acked = st.wanted;
	a->gap = false;
	set_window(a, &st);
	attach_pause_client(a, false);
	if (!(a->say & SAY_WELCOME))
		attach_say(a, SAY_EPOCH);
}

static void on_written(struct attach *a)
{
	struct stream_state st = stream_state(a->viewer.stream);

	if (a->paused && st.held <= RESUME_BYTES)
		attach_pause_client(a, false);
	if (!attach_ack_waits(a, &st))
		return;
	if (st.written - a->acked >= ACK_BYTES)
		attach_ask_to_write(a);
	else if (!ev_is_active(&a->hub->ack))
		ev_timer_again(a->hub->loop->ev, &a->hub->ack);
}

void attach_on_news(struct viewer *v, unsigned news)
{
	struct attach *a = from_viewer(v);

	if (news & VIEWER_GONE) {
		attach_refuse(a, WIRE_CLOSE_NO_STREAM, "the stream is gone");
		return;
	}
	if (news & VIEWER_EPOCH)
		on_epoch(a);
	if (news & VIEWER_SIZE)
		attach_say(a, SAY_SIZE);
	if (news & VIEWER_VM)
		attach_say(a, SAY_VM);
	if (news & VIEWER_RECORDING)
		attach_say(a, SAY_RECORDING);
	if (news & VIEWER_INPUT)
		on_written(a);
	if ((news & VIEWER_OUTPUT) && !a->asked && has_more(a))
		attach_ask_to_write(a);
}

/* --- what the client says -------------------------------------------------------------------------------- */

/* Is there room for @a, which has not joined? */
static bool is_full(struct stream *s, const struct attach *a)
{
	size_t all = 0, by_share = 0;

	for (struct viewer *v = stream_viewers(s); v; v = v->next) {
		all++;
		by_share += from_viewer(v)->right.share != 0;
	}
	return all >= VIEWERS_MAX || (a->right.share && by_share >= BY_SHARE_MAX);
}

/* Where output begins for a client that says it holds output of @h->epoch up to @h->out_offset. */
static void find_start(struct attach *a, const struct wire_hello *h, const struct stream_state *st)
{
	a->replay_end = st->end;
	if (h->has_epoch && h->epoch == st->epoch && h->out_offset >= st->start) {
		a->sent = h->out_offset;
		a->hub->n.resumes++;
	} else if (st->epoch != 0 && (h->has_epoch || st->lasting > 0)) {
		go_to(a, st->lasting);
	}
	a->viewer.credit = a->sent;
}

static uint32_t wished_window(const struct wire_hello *h)
{
	if (h->window == 0)
		return WINDOW_DEFAULT;
	if (h->window < WINDOW_MIN)
		return WINDOW_MIN;
	return h->window < WINDOW_MAX ? (uint32_t)h->window : WINDOW_MAX;
}

static void join(struct attach *a, struct stream *s, const struct wire_hello *h)
{
	struct stream_state st = stream_state(s);
	bool same_epoch = h->has_epoch && h->epoch == st.epoch;

	a->phase = LIVE;
	a->deadline_ms = 0;
	a->joined_s = (int64_t)time(NULL);
	a->asked_window = wished_window(h);
	stream_join(s, &a->viewer);
	set_window(a, &st);
	find_start(a, h, &st);
	attach_begin_control(a, !h->viewer);
	/* Who comes back sends again what was not written. To others, and to whom cannot know all of what is held, input begins behind that. */
	a->acked = same_epoch && (!h->has_in || h->in_offset >= st.wanted) ? st.written : st.wanted;
	a->typed = same_epoch;
	if (attach_controls(a) && h->size.cols > 0)
		stream_resize(s, &a->viewer,
			      (struct ring_size){ h->size.cols, h->size.rows, h->size.xpix, h->size.ypix });
	attach_tell(a, ATTACH_OPENED);
	attach_say_to_all(s, SAY_VIEWERS);
	a->say = SAY_WELCOME | SAY_VIEWERS;
	attach_ask_to_write(a);
}

/* The stream that a ticket was for, if @a may still have it. NULL after a refusal. */
static struct stream *find_stream(struct attach *a, const char *id)
{
	const struct attach_hub *hub = a->hub;
	const struct attach_claim claim = attach_claim(a);
	struct stream *s;

	if (a->right.share && (a->right.ends_s <= (int64_t)time(NULL) || !attach_hub_allows(hub, &claim))) {
		attach_refuse(a, WIRE_CLOSE_REVOKED, "this link has ended");
		return NULL;
	}
	s = machine_stream_find(hub->machines, a->right.share ? a->right.owner : a->who.person, id);
	/* Somebody else's may be watched, and no more, with a ticket that was noted in the audit log. */
	if (!s && !a->right.share && a->who.role >= ROLE_OPERATOR) {
		s = machine_stream_any(hub->machines, id);
		a->right.role = ROLE_VIEWER;
		a->need = ROLE_OPERATOR;
	}
	if (!s)
		attach_refuse(a, WIRE_CLOSE_NO_STREAM, "there is no such stream");
	return s;
}

static void on_hello(struct attach *a, const struct wire_hello *h)
{
	struct attach_hub *hub = a->hub;
	struct stream_state st;
	struct stream *s;

	if (ticket_take(hub->tickets, h->ticket, &a->who, h->stream, loop_now_ms(), &a->right) < 0) {
		a->right = (struct ticket_right){ 0 };
		attach_refuse(a, WIRE_CLOSE_LOGIN, "the ticket is unknown, spent or too old: get a new one");
		return;
	}
	s = find_stream(a, h->stream);
	if (!s)
		return;
	machine_rouse(machine_of_stream(s));
	st = stream_state(s);
	if (is_full(s, a))
		attach_refuse(a, WIRE_CLOSE_TOO_MANY, "too many attachments of this stream");
	else if (st.waits || (h->has_epoch && st.epoch == 0 && loop_now_ms() - hub->born_ms < ADOPT_MS))
		attach_refuse(a, WIRE_CLOSE_NOT_READY, "the machines are still being found: try again at once");
	else if (h->has_epoch && h->epoch == st.epoch && h->out_offset > st.end)
		attach_refuse(a, WIRE_CLOSE_MALFORMED, "out_offset is past the end of the output");
	else
		join(a, s, h);
}

void attach_is_used(struct attach *a)
{
	a->typed_ms = loop_now_ms();
	machine_rouse(machine_of_stream(a->viewer.stream));
	if (!a->warned)
		return;
	a->warned = false;
	attach_say(a, SAY_IDLE);
}

static void on_input(struct attach *a, const struct wire_msg *m)
{
	struct stream *s = a->viewer.stream;
	struct stream_state st;

	if (!attach_controls(a)) {
		attach_notice(a, "read_only");
		return;
	}
	attach_is_used(a);
	if (m->input.turn > a->viewer.turn) {
		attach_refuse(a, WIRE_CLOSE_MALFORMED, "input of a turn that has not begun");
		return;
	}
	if (m->input.turn < a->viewer.turn)
		return; /* somebody else has typed, or could have: the news of that is on its way to this client */
	a->typed = true;
	a->hub->n.input_bytes += m->input.len;
	a->bytes_in += m->input.len;
	switch (stream_input(s, m->input.offset, m->input.data, m->input.len)) {
	case STREAM_E_AHEAD:
		if (!a->stale_input)
			attach_refuse(a, WIRE_CLOSE_MALFORMED, "input is missing before this in_offset");
		return;
	case STREAM_E_FULL:
		attach_refuse(a, WIRE_CLOSE_TOO_BIG, "too much unacknowledged input");
		return;
	case STREAM_E_ENDED:
		return;
	default:
		break;
	}
	a->stale_input = false;
	st = stream_state(s);
	if (st.held > PAUSE_BYTES)
		attach_pause_client(a, true);
}

static void on_resize(struct attach *a, const struct wire_size *w)
{
	if (attach_controls(a))
		stream_resize(a->viewer.stream, &a->viewer,
			      (struct ring_size){ w->cols, w->rows, w->xpix, w->ypix });
	else
		attach_notice(a, "read_only");
}

static void on_credit(struct attach *a, uint64_t offset)
{
	if (offset > a->sent) {
		if (offset > a->stale_sent)
			attach_refuse(a, WIRE_CLOSE_MALFORMED, "credit for output that was not sent");
		return;
	}
	if (offset <= a->viewer.credit)
		return;
	a->viewer.credit = offset;
	a->stalled = false;
	stream_credited(&a->viewer);
	if (!a->asked && has_more(a))
		attach_ask_to_write(a);
}

static void on_message(struct attach *a, const struct wire_msg *m)
{
	switch (m->type) {
	case WIRE_INPUT:
		on_input(a, m);
		break;
	case WIRE_RESIZE:
		on_resize(a, &m->size);
		break;
	case WIRE_CREDIT:
		on_credit(a, m->credit);
		break;
	case WIRE_PING:
		a->pong_clock = m->clock;
		a->pong_us = now_us();
		attach_say(a, SAY_PONG);
		break;
	case WIRE_ACTION:
		attach_on_action(a, m->action.what, m->action.to);
		break;
	default:
		attach_refuse(a, WIRE_CLOSE_MALFORMED, "a second HELLO");
		break;
	}
}

void attach_input(struct attach *a, const uint8_t *data, size_t len)
{
	struct wire_msg m;
	const char *why;

	if (a->phase == CLOSING)
		return;
	if (len > ATTACH_INPUT_MAX || (a->phase == WAITING && len > ATTACH_HELLO_MAX + 1))
		attach_refuse(a, WIRE_CLOSE_TOO_BIG, "the message is too long");
	else if (wire_decode(data, len, &m, &why) < 0)
		attach_refuse(a, WIRE_CLOSE_MALFORMED, why);
	else if (a->phase == LIVE)
		on_message(a, &m);
	else if (m.type == WIRE_HELLO)
		on_hello(a, &m.hello);
	else
		attach_refuse(a, WIRE_CLOSE_MALFORMED, "the first message must be HELLO");
}
