/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. One struct csession lives through all connections; each connection has a loop of its own, for between two of them a ticket
 * is asked for, which waits. Keystrokes are read only when there is room for them, output is written to the terminal before it is credited. What
 * ends a connection says how it goes on: again, with a pause that grows, or not.
 */
#include "gateway/ctl/attach.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "gateway/ctl/frames.h"
#include "gateway/ctl/login.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/csession.h"
#include "gateway/ctl/sealed.h"
#include "gateway/ctl/ws.h"

#define PING_S	     15.
#define PAUSE_LEAST_S .25
#define PAUSE_MOST_S  8.
#define LEAVE_S	     1.
#define REPLY_S	     .5 /* what a terminal says of itself after a replay was meant for the program of then */
#define KEYS_MAX     4096U
#define SEALED_ROOM  (4U * KEYS_MAX) /* what keystrokes may come to as records */
#define HANDSHAKE_S  15.
#define REKEY_PINGS  60U /* every 15 minutes */
#define SILENT_PINGS 3U

enum outcome { GOING_ON, AGAIN, LEFT, EXITED, REFUSED };

struct attach {
	const struct attach_options *o; /* borrowed */
	struct login login;
	const char *unix_path;
	struct csession session;
	struct sealed *sealed; /* NULL: the stream is plain */
	unsigned pings;
	struct loop loop;
	struct ws *ws;
	ev_io keys;
	ev_signal winch;
	ev_timer ping, pause, handshake;
	ev_tstamp replayed_at;
	struct termios before;
	char ticket[ATTACH_TICKET_BYTES], why[400];
	enum outcome outcome;
	double pause_s;
	int status;
	bool line_start, tilde, heard, live, told_away, leaving;
};

/* --- the terminal ---------------------------------------------------------------------------------------------------------- */

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	va_list args;

	(void)fputs("\r\n[terrarium: ", stderr);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputs("]\r\n", stderr);
}

static struct wire_size size_now(void)
{
	struct winsize w = { 0 };

	(void)ioctl(STDIN_FILENO, TIOCGWINSZ, &w);
	return (struct wire_size){ w.ws_col, w.ws_row, w.ws_xpixel, w.ws_ypixel };
}

static int raw(struct attach *a)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &a->before) < 0)
		return -errno;
	t = a->before;
	cfmakeraw(&t);
	return tcsetattr(STDIN_FILENO, TCSADRAIN, &t) < 0 ? -errno : 0;
}

static void finish_with(struct attach *a, enum outcome how, const char *why)
{
	if (a->outcome != GOING_ON)
		return;
	a->outcome = how;
	(void)snprintf(a->why, sizeof(a->why), "%s", why);
	loop_stop(&a->loop);
}

/* --- to the server --------------------------------------------------------------------------------------------------------- */

static void post(struct attach *a, const struct buf *message, int built)
{
	if (built < 0 || ws_send(a->ws, message->data, message->len) < 0)
		finish_with(a, AGAIN, "the line is full");
}

/* What ends a sealed conversation ends this command: a person should look before there is another. */
static void unsealed(struct attach *a)
{
	if (a->sealed->exited) {
		a->status = a->sealed->status;
		finish_with(a, EXITED, "");
	} else {
		finish_with(a, REFUSED, a->sealed->why);
	}
}

static void send_keys(struct attach *a)
{
	uint64_t offset;
	const char *data;
	size_t n;

	while (a->live && ws_room(a->ws) && (n = csession_input(&a->session, &offset, &data)) > 0) {
		struct buf b = BUF_INIT(WIRE_INPUT_MAX);

		post(a, &b, frame_put_input(&b, offset, a->session.turn, data, n));
		buf_finish(&b);
	}
	if ((!a->sealed || a->sealed->ready) && a->session.queue.len + (a->sealed ? SEALED_ROOM : KEYS_MAX) <= CSESSION_INPUT_MAX)
		ev_io_start(a->loop.ev, &a->keys);
	else
		ev_io_stop(a->loop.ev, &a->keys);
}

static void send_size(struct attach *a)
{
	struct buf b = BUF_INIT(WIRE_FIXED_MAX);
	struct wire_size size = size_now();

	if (a->sealed && size.cols > 0 && size.rows > 0 && sealed_resize(a->sealed, size.cols, size.rows) < 0)
		unsealed(a);
	else if (!a->sealed && a->live && !a->session.viewer && size.cols > 0 && size.rows > 0)
		post(a, &b, frame_put_resize(&b, &size));
	buf_finish(&b);
}

static void send_number(struct attach *a, enum wire_type type, uint64_t number)
{
	struct buf b = BUF_INIT(WIRE_FIXED_MAX);

	post(a, &b, frame_put_number(&b, type, number));
	buf_finish(&b);
}

/* --- keys ------------------------------------------------------------------------------------------------------------------ */

/*
 * `~` at the beginning of a line: `~.` leaves, `~~` is one `~`, `~?` tells. Anything else goes as it was typed.
 * Return: bytes of @out to send, which holds twice @len.
 */
static size_t escapes(struct attach *a, const char *in, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = in[i];

		if (a->tilde) {
			a->tilde = false;
			if (c == '.') {
				a->leaving = true;
				break;
			}
			if (c == '?') {
				say("~. leaves (what runs goes on), ~~ types one ~");
				continue;
			}
			out[n++] = '~';
			if (c == '~') {
				a->line_start = false;
				continue;
			}
		} else if (a->line_start && c == '~') {
			a->tilde = true;
			continue;
		}
		out[n++] = c;
		a->line_start = c == '\r' || c == '\n';
	}
	return n;
}

/* Answers to questions that a replay asked again: ESC [ ... R, c, n, y, or a string. */
static bool is_answer(const struct attach *a, const char *keys, size_t n)
{
	if (ev_now(a->loop.ev) - a->replayed_at > REPLY_S || n < 3 || keys[0] != '\033')
		return false;
	return keys[1] == ']' || keys[1] == 'P' || (keys[1] == '[' && strchr("Rcnyu", keys[n - 1]));
}

/* Not before what was typed until then has arrived, if that is soon. */
static void leave(struct attach *a)
{
	ev_io_stop(a->loop.ev, &a->keys);
	if (!a->live || a->session.queue.len == 0) {
		finish_with(a, LEFT, "");
	} else if (!ev_is_active(&a->pause)) {
		ev_timer_set(&a->pause, LEAVE_S, 0.);
		ev_timer_start(a->loop.ev, &a->pause);
	}
}

static void on_keys(struct ev_loop *ev, ev_io *w, int events)
{
	struct attach *a = w->data;
	char in[KEYS_MAX / 2], out[KEYS_MAX];
	ssize_t n;

	(void)events;
	if (a->sealed && !a->sealed->ready && a->live) {
		ev_io_stop(ev, w); /* until the handshake is done, which has a deadline */
		return;
	}
	n = read(STDIN_FILENO, in, sizeof(in));
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		finish_with(a, LEFT, "this terminal is gone");
		return;
	}
	if (n < 0 || is_answer(a, in, (size_t)n))
		return;
	n = (ssize_t)escapes(a, in, (size_t)n, out);
	if (n > 0 && !a->sealed)
		(void)csession_type(&a->session, out, (size_t)n);
	else if (n > 0 && sealed_type(a->sealed, (const uint8_t *)out, (size_t)n) < 0)
		unsealed(a);
	send_keys(a);
	if (a->leaving)
		leave(a);
}

static void on_winch(struct ev_loop *ev, ev_signal *w, int events)
{
	(void)ev;
	(void)events;
	send_size(w->data);
}

/* --- from the server ------------------------------------------------------------------------------------------------------- */

static void on_open(void *arg)
{
	struct attach *a = arg;
	struct wire_size size = size_now();
	struct buf b = BUF_INIT(WIRE_HELLO_MAX + 1);
	json_t *hello = csession_hello(&a->session, a->ticket, &size);

	post(a, &b, hello ? frame_put_json(&b, WIRE_HELLO, hello) : -ENOMEM);
	json_decref(hello);
	buf_finish(&b);
}

/* --- a sealed terminal: between the stream and this one -------------------------------------------------------------------- */

static int sealed_send(void *arg, const void *data, size_t len)
{
	struct attach *a = arg;
	int r = csession_type(&a->session, data, len);

	if (r == 0)
		send_keys(a);
	return r;
}

static int sealed_show(void *arg, const uint8_t *data, size_t len, bool replay)
{
	struct attach *a = arg;

	if (replay)
		a->replayed_at = ev_now(a->loop.ev);
	return fd_write_all(STDOUT_FILENO, data, len);
}

static void sealed_ready(void *arg)
{
	struct attach *a = arg;
	const struct snp_findings *f = &a->sealed->found;

	ev_timer_stop(a->loop.ev, &a->handshake);
	say("sealed: %s %s under %s root%s, your key, the measurement that you gave, no debugging; the gateway sees lengths and times",
	    snp_product_name(f->product), f->kind == SNP_KEY_VLEK ? "VLEK" : "VCEK", f->pinned ? "AMD's" : "your own",
	    f->crl_checked ? "" : ", without a revocation list");
	send_size(a);
	send_keys(a);
}

static const struct sealed_hooks sealed_hooks = { .send = sealed_send, .show = sealed_show, .ready = sealed_ready };

static void on_handshake_late(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)events;
	finish_with(w->data, REFUSED, "no machine has answered in time: the gateway is slow, or what it has put there is not sealed");
}

static void seal(struct attach *a, bool anew)
{
	ev_timer_start(a->loop.ev, &a->handshake);
	if (sealed_begin(a->sealed, anew) < 0)
		unsealed(a);
}

static void sealed_welcome(struct attach *a, const struct csession_news *news)
{
	if (a->session.viewer)
		finish_with(a, REFUSED, "somebody else types there: a sealed terminal has one reader");
	else if (news->first || news->fresh || news->lost > 0 || news->astray || !a->sealed->ready)
		seal(a, news->first || news->fresh || news->lost > 0);
}

static void welcome(struct attach *a, json_t *json)
{
	struct csession_news news;

	if (csession_welcome(&a->session, json, &news) < 0) {
		finish_with(a, REFUSED, "the gateway speaks another language: are both of the same version?");
		return;
	}
	if (news.fresh)
		say("another process is there now");
	if (news.lost > 0)
		say("%llu bytes of output are gone: the line was away for too long", (unsigned long long)news.lost);
	if (a->told_away)
		say("connected again");
	a->told_away = false;
	a->live = true;
	a->pause_s = 0;
	if (a->sealed)
		sealed_welcome(a, &news);
	send_size(a);
	send_keys(a);
}

static void output(struct attach *a, const struct frame *f)
{
	const uint8_t *data;
	uint64_t credit;
	size_t len;

	if (csession_output(&a->session, f, &data, &len) < 0) {
		finish_with(a, AGAIN, "output was missing");
		return;
	}
	if (!a->sealed && f->flags & (WIRE_REPLAY | WIRE_PREAMBLE))
		a->replayed_at = ev_now(a->loop.ev);
	if (a->sealed && f->flags & WIRE_GAP && !(f->flags & WIRE_PREAMBLE) && a->sealed->ready)
		seal(a, true);
	if (a->sealed && len > 0 && !(f->flags & WIRE_PREAMBLE) && sealed_output(a->sealed, data, len) < 0)
		unsealed(a);
	else if (!a->sealed && len > 0 && fd_write_all(STDOUT_FILENO, data, len) < 0)
		finish_with(a, LEFT, "this terminal is gone");
	if (csession_credit(&a->session, &credit))
		send_number(a, WIRE_CREDIT, credit);
}

static void event(struct attach *a, json_t *json)
{
	const char *type = pick_string(json, "type");

	if (strcmp(type, "epoch") == 0) {
		welcome(a, json);
	} else if (strcmp(type, "role") == 0) {
		if (csession_role(&a->session, json) <= 0)
			return;
		if (a->sealed) {
			finish_with(a, REFUSED, "somebody else types there now: a sealed terminal has one reader");
			return;
		}
		say("%s", a->session.viewer ? "somebody else types now" : "you type now");
		send_size(a);
	}
}

static void on_message(void *arg, const uint8_t *data, size_t len)
{
	struct attach *a = arg;
	struct frame f;

	a->heard = true;
	if (frame_decode(data, len, &f) < 0) {
		finish_with(a, REFUSED, "the gateway sent what is no message");
		return;
	}
	switch (f.type) {
	case WIRE_WELCOME: welcome(a, f.json); break;
	case WIRE_OUTPUT: output(a, &f); break;
	case WIRE_EVENT: event(a, f.json); break;
	case WIRE_INACK:
		csession_inack(&a->session, f.offset);
		send_keys(a);
		if (a->leaving)
			leave(a);
		break;
	case WIRE_EXIT:
		if (a->sealed) {
			finish_with(a, REFUSED, "the gateway says that the terminal has ended; the machine has not said so");
			break;
		}
		a->status = f.signal ? 128 + f.signal : (f.code & 255);
		finish_with(a, EXITED, "");
		break;
	case WIRE_ERROR:
		(void)snprintf(a->why, sizeof(a->why), "%s", pick_string(f.json, "message"));
		break;
	default: break;
	}
	frame_finish(&f);
}

static void on_close(void *arg, uint16_t code, const char *why)
{
	struct attach *a = arg;
	char said[sizeof(a->why)];
	/* Ours from 4400 on are for good, but these: come again. A gateway that was started since knows the ticket no more. */
	bool spent = code == WIRE_CLOSE_LOGIN && !a->live;
	bool final = code >= 4400 && code < 4500 && code != WIRE_CLOSE_TOO_MANY && !spent;

	(void)snprintf(said, sizeof(said), "%s", why[0] ? why : a->why);
	finish_with(a, final ? REFUSED : AGAIN, said);
}

static const struct ws_hooks hooks = { .on_open = on_open, .on_message = on_message, .on_close = on_close };

/* What the line itself cannot know: whether the machine still answers. */
static void sealed_tick(struct attach *a)
{
	if (a->sealed->unanswered == SILENT_PINGS)
		say("the machine is silent: somebody may hold its messages back");
	if (sealed_ping(a->sealed) < 0 || (++a->pings % REKEY_PINGS == 0 && sealed_rekey(a->sealed) < 0))
		unsealed(a);
}

/* A line on which nothing comes any more is a line that broke. */
static void on_ping(struct ev_loop *ev, ev_timer *w, int events)
{
	struct attach *a = w->data;

	(void)ev;
	(void)events;
	if (!a->heard) {
		finish_with(a, AGAIN, "nothing comes from the gateway");
		return;
	}
	a->heard = false;
	if (a->live)
		send_number(a, WIRE_PING, loop_now_ms());
	if (a->live && a->sealed)
		sealed_tick(a);
}

static void on_pause_over(struct ev_loop *ev, ev_timer *w, int events)
{
	struct attach *a = w->data;

	(void)ev;
	(void)events;
	finish_with(a, a->leaving ? LEFT : AGAIN, "");
}

/* --- connections ----------------------------------------------------------------------------------------------------------- */

int attach_ticket(const char *socket, const struct csession *session, char out[ATTACH_TICKET_BYTES], struct err *e)
{
	char path[REST_PATH_BYTES];
	bool admin = rest_by_socket(socket);
	struct rest_request req = { .socket = socket, .method = "POST", .path = path };
	json_t *body = admin ? json_object() : json_pack("{s:s}", "role", session->viewer ? "viewer" : "controller"), *answer = NULL;
	int r = rest_path(path, admin ? "/api/v1/admin/streams/" : "/api/v1/streams/", session->stream, "/tickets", e);

	req.body = body;
	if (r == 0)
		r = rest_call(&req, &answer, e);
	if (r == 0 && pick_text(answer, "ticket", out, ATTACH_TICKET_BYTES) < 0)
		r = err_set(e, -EPROTO, "the gateway's answer has no ticket");
	json_decref(body);
	json_decref(answer);
	return r;
}

static int begin_loop(struct attach *a)
{
	int r = loop_init(&a->loop);

	if (r < 0)
		return r;
	a->outcome = GOING_ON;
	a->live = false;
	a->heard = true;
	ev_io_init(&a->keys, on_keys, STDIN_FILENO, EV_READ);
	ev_signal_init(&a->winch, on_winch, SIGWINCH);
	ev_timer_init(&a->ping, on_ping, PING_S, PING_S);
	ev_timer_init(&a->pause, on_pause_over, a->pause_s, 0.);
	ev_timer_init(&a->handshake, on_handshake_late, HANDSHAKE_S, 0.);
	a->keys.data = a->winch.data = a->ping.data = a->pause.data = a->handshake.data = a;
	ev_io_start(a->loop.ev, &a->keys);
	return 0;
}

static void end_loop(struct attach *a)
{
	if (a->ws)
		a->ws = ws_destroy(a->ws);
	ev_io_stop(a->loop.ev, &a->keys);
	ev_signal_stop(a->loop.ev, &a->winch);
	ev_timer_stop(a->loop.ev, &a->ping);
	ev_timer_stop(a->loop.ev, &a->pause);
	ev_timer_stop(a->loop.ev, &a->handshake);
	loop_finish(&a->loop);
	if (a->outcome == GOING_ON)
		a->outcome = LEFT; /* a signal ended the loop */
}

/* One connection, from ticket to end. */
static int connection(struct attach *a, struct err *e)
{
	int r = attach_ticket(a->o->socket, &a->session, a->ticket, e);

	if (r < 0)
		return r;
	r = begin_loop(a);
	if (r < 0)
		return err_set(e, r, "no event loop: %s", strerror(-r));
	ev_signal_start(a->loop.ev, &a->winch);
	ev_timer_start(a->loop.ev, &a->ping);
	r = ws_open(&a->ws, &a->loop, a->unix_path, &a->login, &hooks, a, e);
	if (r == 0)
		loop_run(&a->loop);
	end_loop(a);
	return r;
}

/* Wait, still listening to `~.`. */
static void rest_a_while(struct attach *a)
{
	a->pause_s = a->pause_s == 0 ? PAUSE_LEAST_S : a->pause_s * 2 > PAUSE_MOST_S ? PAUSE_MOST_S : a->pause_s * 2;
	if (!a->told_away && a->pause_s > PAUSE_LEAST_S) {
		say("no connection%s%s; trying again, ~. leaves", a->why[0] ? ": " : "", a->why);
		a->told_away = true;
	}
	if (begin_loop(a) < 0)
		return;
	ev_timer_start(a->loop.ev, &a->pause);
	loop_run(&a->loop);
	end_loop(a);
}

/* Refusals that will not become better; a gateway that restarts, or a line that is away, will. */
static bool is_final(int r)
{
	return r == -EACCES || r == -EPERM || r == -ENOENT || r == -EINVAL || r == -EPROTO;
}

int attach_run(const struct attach_options *o)
{
	struct sealed sealed = { .terms = o->sealed, .hooks = &sealed_hooks };
	struct attach a = { .o = o, .line_start = true, .sealed = o->sealed ? &sealed : NULL };
	struct err e = { 0 };
	int r;

	sealed.arg = &a;
	a.unix_path = rest_by_socket(o->socket) ? rest_socket_path(o->socket) : NULL;
	csession_init(&a.session, o->stream, o->watch || a.unix_path);
	if (!a.unix_path && login_read(&a.login, &e) < 0)
		a.outcome = REFUSED;
	if (a.outcome == GOING_ON && raw(&a) < 0)
		a.outcome = REFUSED;
	while (a.outcome == GOING_ON || a.outcome == AGAIN) {
		r = connection(&a, &e);
		if (r < 0) {
			a.outcome = is_final(r) || !a.session.epoch[0] ? REFUSED : AGAIN;
			(void)snprintf(a.why, sizeof(a.why), "%s", e.msg);
		}
		if (a.outcome == AGAIN)
			rest_a_while(&a);
	}
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &a.before);
	csession_finish(&a.session);
	sealed_finish(&sealed);
	explicit_bzero(&a.login, sizeof(a.login));
	if (a.outcome == REFUSED)
		(void)fprintf(stderr, "terrarium vm attach: %s\n", a.why[0] ? a.why : e.msg);
	else if (a.outcome == LEFT)
		(void)fprintf(stderr, "left; terrarium vm attach --stream %s comes back to it\n", o->stream);
	return a.outcome == EXITED ? a.status : a.outcome == LEFT ? CLI_OK : CLI_REFUSED;
}
