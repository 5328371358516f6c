/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. As gateway/ctl/attach.c: one struct csession through all connections. Input is read only when there is room for it, and each
 * piece of output is written before it is credited, so neither side ever holds more than a window. The end of input is said on every connection
 * after the last of it: a gateway that was replaced does not know of it.
 */
#include "gateway/ctl/exec.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "gateway/ctl/attach.h"
#include "gateway/ctl/csession.h"
#include "gateway/ctl/frames.h"
#include "gateway/ctl/login.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/pieces.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/ws.h"

#define PING_S	      15.
#define PAUSE_LEAST_S .25
#define PAUSE_MOST_S  8.
#define READ_MAX      16384U

enum outcome { GOING_ON, AGAIN, STOPPED, EXITED, FAILED };

struct exec {
	struct login login;
	struct csession session;
	struct pieces pieces;
	struct loop loop;
	struct ws *ws;
	ev_io in;
	ev_timer ping, pause;
	ev_signal hup;
	char ticket[ATTACH_TICKET_BYTES], why[400];
	enum outcome outcome;
	double pause_s;
	int status, code;
	bool heard, live, in_over, over_sent, begun;
};

static void finish_with(struct exec *x, enum outcome how, const char *why)
{
	if (x->outcome != GOING_ON)
		return;
	x->outcome = how;
	(void)snprintf(x->why, sizeof(x->why), "%s", why);
	loop_stop(&x->loop);
}

/* --- to the server --------------------------------------------------------------------------------------------------------- */

static void post(struct exec *x, const struct buf *message, int built)
{
	if (built < 0 || ws_send(x->ws, message->data, message->len) < 0)
		finish_with(x, AGAIN, "the line is full");
}

static void post_json(struct exec *x, enum wire_type type, json_t *json)
{
	struct buf b = BUF_INIT(WIRE_HELLO_MAX + 1);

	post(x, &b, json ? frame_put_json(&b, type, json) : -ENOMEM);
	json_decref(json);
	buf_finish(&b);
}

static void send_number(struct exec *x, enum wire_type type, uint64_t number)
{
	struct buf b = BUF_INIT(WIRE_FIXED_MAX);

	post(x, &b, frame_put_number(&b, type, number));
	buf_finish(&b);
}

static void taken(struct exec *x)
{
	finish_with(x, FAILED, "somebody else has taken this command's input");
}

static void send_input(struct exec *x)
{
	uint64_t offset;
	const char *data;
	size_t n;

	while (x->live && ws_room(x->ws) && (n = csession_input(&x->session, &offset, &data)) > 0) {
		struct buf b = BUF_INIT(WIRE_INPUT_MAX);

		post(x, &b, frame_put_input(&b, offset, x->session.turn, data, n));
		buf_finish(&b);
	}
	if (x->live && x->in_over && !x->over_sent && x->session.sent == x->session.queue.len) {
		x->over_sent = true;
		post_json(x, WIRE_ACTION, json_pack("{s:s}", "do", "eof"));
	}
	if (!x->in_over && x->session.queue.len + READ_MAX <= CSESSION_INPUT_MAX)
		ev_io_start(x->loop.ev, &x->in);
	else
		ev_io_stop(x->loop.ev, &x->in);
}

static void on_stdin(struct ev_loop *ev, ev_io *w, int events)
{
	struct exec *x = w->data;
	char in[READ_MAX];
	ssize_t n = read(STDIN_FILENO, in, sizeof(in));

	(void)ev;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		x->in_over = true;
	else if (csession_type(&x->session, in, (size_t)n) < 0)
		taken(x);
	send_input(x);
}

/* --- from the server ------------------------------------------------------------------------------------------------------- */

static void on_open(void *arg)
{
	struct exec *x = arg;
	const struct wire_size none = { 0 };

	post_json(x, WIRE_HELLO, csession_hello(&x->session, x->ticket, &none));
}

static void welcome(struct exec *x, json_t *json)
{
	struct csession_news news;

	if (csession_welcome(&x->session, json, &news) < 0) {
		finish_with(x, FAILED, "the gateway speaks another language: are both of the same version?");
		return;
	}
	if (news.fresh || news.lost > 0 || (!x->begun && x->session.received > 0)) {
		finish_with(x, FAILED, "output of the command is gone: the line was away for too long");
		return;
	}
	if (news.dropped > 0) {
		taken(x);
		return;
	}
	x->begun = x->live = true;
	x->pause_s = 0;
	send_input(x);
}

static int write_pieces(struct exec *x, const uint8_t *data, size_t len)
{
	const uint8_t *part;
	size_t n;
	int which;

	while ((which = pieces_next(&x->pieces, &data, &len, &part, &n)) > 0) {
		if (fd_write_all(which == 1 ? STDOUT_FILENO : STDERR_FILENO, part, n) < 0 && which == 1)
			return -EPIPE;
	}
	return which;
}

static void output(struct exec *x, const struct frame *f)
{
	const uint8_t *data;
	uint64_t credit;
	size_t len;
	int r;

	if (f->flags & WIRE_PREAMBLE)
		return; /* for terminals */
	if ((f->flags & WIRE_GAP) && f->offset != x->session.received) {
		finish_with(x, FAILED, "output of the command is gone: the line was away for too long");
		return;
	}
	if (csession_output(&x->session, f, &data, &len) < 0) {
		finish_with(x, AGAIN, "output was missing");
		return;
	}
	r = write_pieces(x, data, len);
	if (r == -EPIPE) {
		x->status = 128 + SIGPIPE;
		finish_with(x, STOPPED, "");
	} else if (r < 0) {
		finish_with(x, FAILED, "this is no command's output");
	} else if (csession_credit(&x->session, &credit)) {
		send_number(x, WIRE_CREDIT, credit);
	}
}

/* Whether input was on its way then is not known: what a command reads must not have a hole. */
static void role(struct exec *x, json_t *json)
{
	bool unread = x->session.queue.len > 0;

	if (csession_role(&x->session, json) > 0 && unread)
		taken(x);
}

static void event(struct exec *x, json_t *json)
{
	const char *type = pick_string(json, "type");

	if (strcmp(type, "epoch") == 0)
		welcome(x, json);
	else if (strcmp(type, "role") == 0)
		role(x, json);
}

static void on_message(void *arg, const uint8_t *data, size_t len)
{
	struct exec *x = arg;
	struct frame f;

	x->heard = true;
	if (x->outcome != GOING_ON)
		return;
	if (frame_decode(data, len, &f) < 0) {
		finish_with(x, FAILED, "the gateway sent what is no message");
		return;
	}
	switch (f.type) {
	case WIRE_WELCOME: welcome(x, f.json); break;
	case WIRE_OUTPUT: output(x, &f); break;
	case WIRE_EVENT: event(x, f.json); break;
	case WIRE_INACK:
		csession_inack(&x->session, f.offset);
		send_input(x);
		break;
	case WIRE_EXIT:
		x->code = f.code;
		x->status = f.signal ? 128 + f.signal : (f.code & 255);
		finish_with(x, EXITED, "");
		break;
	case WIRE_ERROR: (void)snprintf(x->why, sizeof(x->why), "%s", pick_string(f.json, "message")); break;
	default: break;
	}
	frame_finish(&f);
}

static void on_close(void *arg, uint16_t code, const char *why)
{
	struct exec *x = arg;
	char said[sizeof(x->why)];
	/* Ours from 4400 on are for good, but these: come again. A gateway that was started since knows the ticket no more. */
	bool spent = code == WIRE_CLOSE_LOGIN && !x->live;
	bool final = code >= 4400 && code < 4500 && code != WIRE_CLOSE_TOO_MANY && code != WIRE_CLOSE_IDLE && !spent;

	(void)snprintf(said, sizeof(said), "%s", why[0] ? why : x->why);
	finish_with(x, final ? FAILED : AGAIN, said);
}

static const struct ws_hooks hooks = { .on_open = on_open, .on_message = on_message, .on_close = on_close };

static void on_ping(struct ev_loop *ev, ev_timer *w, int events)
{
	struct exec *x = w->data;

	(void)ev;
	(void)events;
	if (!x->heard) {
		finish_with(x, AGAIN, "nothing comes from the gateway");
		return;
	}
	x->heard = false;
	if (x->live)
		send_number(x, WIRE_PING, loop_now_ms());
}

static void on_pause_over(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)events;
	finish_with(w->data, AGAIN, "");
}

static void on_hup(struct ev_loop *ev, ev_signal *w, int events)
{
	struct exec *x = w->data;

	(void)ev;
	(void)events;
	x->status = 128 + SIGHUP;
	finish_with(x, STOPPED, "");
}

/* --- connections ----------------------------------------------------------------------------------------------------------- */

static int begin_loop(struct exec *x)
{
	int r = loop_init(&x->loop);

	if (r < 0)
		return r;
	x->outcome = GOING_ON;
	x->live = x->over_sent = false;
	x->heard = true;
	ev_io_init(&x->in, on_stdin, STDIN_FILENO, EV_READ);
	ev_timer_init(&x->ping, on_ping, PING_S, PING_S);
	ev_timer_init(&x->pause, on_pause_over, x->pause_s, 0.);
	ev_signal_init(&x->hup, on_hup, SIGHUP);
	x->in.data = x->ping.data = x->pause.data = x->hup.data = x;
	ev_signal_start(x->loop.ev, &x->hup);
	return 0;
}

static void end_loop(struct exec *x)
{
	if (x->ws)
		x->ws = ws_destroy(x->ws);
	ev_io_stop(x->loop.ev, &x->in);
	ev_timer_stop(x->loop.ev, &x->ping);
	ev_timer_stop(x->loop.ev, &x->pause);
	ev_signal_stop(x->loop.ev, &x->hup);
	loop_finish(&x->loop);
	if (x->outcome == GOING_ON) { /* a signal ended the loop */
		x->outcome = STOPPED;
		x->status = 128 + SIGINT;
	}
}

static int connection(struct exec *x, struct err *e)
{
	int r = attach_ticket(NULL, &x->session, x->ticket, e);

	if (r < 0)
		return r;
	r = begin_loop(x);
	if (r < 0)
		return err_set(e, r, "no event loop: %s", strerror(-r));
	ev_timer_start(x->loop.ev, &x->ping);
	r = ws_open(&x->ws, &x->loop, NULL, &x->login, &hooks, x, e);
	if (r == 0)
		loop_run(&x->loop);
	end_loop(x);
	return r;
}

static void rest_a_while(struct exec *x)
{
	x->pause_s = x->pause_s == 0 ? PAUSE_LEAST_S : x->pause_s * 2 > PAUSE_MOST_S ? PAUSE_MOST_S : x->pause_s * 2;
	if (begin_loop(x) < 0)
		return;
	ev_timer_start(x->loop.ev, &x->pause);
	loop_run(&x->loop);
	end_loop(x);
}

/* Why a command is lost that did not end by itself. */
static void ask_why(struct exec *x)
{
	char path[REST_PATH_BYTES];
	const struct rest_request req = { .method = "GET", .path = path };
	json_t *answer = NULL;
	struct err e = { 0 };

	if (rest_path(path, "/api/v1/streams/", x->session.stream, "", &e) == 0 && rest_call(&req, &answer, &e) == 0)
		(void)snprintf(x->why, sizeof(x->why), "%s", pick_string(answer, "reason"));
	json_decref(answer);
	if (!x->why[0])
		(void)snprintf(x->why, sizeof(x->why), "the command is lost");
}

/* Nobody will read it any more; what still runs of it is hung up on. */
static void forget(const struct exec *x)
{
	char path[REST_PATH_BYTES];
	const struct rest_request req = { .method = "DELETE", .path = path };
	json_t *answer = NULL;
	struct err e = { 0 };

	if (rest_path(path, "/api/v1/streams/", x->session.stream, "", &e) == 0)
		(void)rest_call(&req, &answer, &e);
	json_decref(answer);
}

/* Refusals that will not become better; a gateway that restarts, or a line that is away, will. */
static bool is_final(int r)
{
	return r == -EACCES || r == -EPERM || r == -ENOENT || r == -EINVAL || r == -EPROTO;
}

int exec_run(const char *stream, bool input)
{
	struct exec x = { .in_over = !input };
	struct err e = { 0 };

	csession_init(&x.session, stream, false);
	if (login_read(&x.login, &e) < 0) {
		x.outcome = FAILED;
		(void)snprintf(x.why, sizeof(x.why), "%s", e.msg);
	}
	while (x.outcome == GOING_ON || x.outcome == AGAIN) {
		int r = connection(&x, &e);

		if (r < 0) {
			x.outcome = is_final(r) ? FAILED : AGAIN;
			(void)snprintf(x.why, sizeof(x.why), "%s", e.msg);
		}
		if (x.outcome == AGAIN)
			rest_a_while(&x);
	}
	if (x.outcome == EXITED && x.code < 0) {
		ask_why(&x);
		x.outcome = FAILED;
	}
	forget(&x);
	csession_finish(&x.session);
	explicit_bzero(&x.login, sizeof(x.login));
	if (x.outcome == FAILED)
		(void)fprintf(stderr, "terrarium vm exec: %s\n", x.why);
	return x.outcome == FAILED ? EXEC_FAILED : x.status;
}
