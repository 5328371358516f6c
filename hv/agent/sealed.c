/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. One terminal, one conversation at a time. What the program says goes into a ring; from there, once the owner is proven,
 * into records. An owner who comes back gets the ring again as REPLAY, whatever he had seen: his client is a new one, or it would still have its keys
 * and would go on in the old conversation, whose ciphertext nobody lost. A HELLO ends the conversation before it; that may be
 * somebody else's doing, but who carries the bytes can always stop them. Without an owner the program is read on, and the oldest output goes.
 */
#include "hv/agent/sealed.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "hv/agent/sealed_pty.h"
#include "hv/seal/seal.h"

#define OUT_MAX		(512U << 10)
#define OUT_BUSY	(64U << 10)	/* more than this waits: no more output is sealed, no more input is read */
#define PTY_READS	16
#define SHORT_READ	1024 /* a terminal that gives less has nothing more, as a rule */
#define INPUT_MAX	(64U << 10)	/* keystrokes that the program has not taken */
#define HANDSHAKE_S	15.
#define CUTOFF_S	1. /* after the program's end; what it wrote is in the terminal by then, others may hold that for ever */
#define REPORTS_BURST	4.
#define REPORT_EVERY_S	2. /* the processor makes a report in milliseconds and is shared by all guests */
#define HOST_DATA_AT	0xc0U
#define REPORT_BYTES	1184U

struct sealed {
	const struct sealed_options *o; /* borrowed */
	struct loop loop;
	struct seal seal;
	struct seal_reader reader;
	struct sealed_pty pty;
	struct buf out, typed;
	ev_io on_stdin, on_stdout, on_pty, on_typing, on_exit;
	ev_timer handshake, rekey, cutoff;
	uint8_t owner[32];
	uint64_t told;	  /* output before this offset has been sealed */
	uint64_t replay;  /* output before this offset is sealed as REPLAY */
	double tokens;	  /* reports that may be asked for now */
	ev_tstamp tokens_at;
	bool authorised, exit_told, hung_up;
};

static void pump(struct sealed *s);

/* The conversation is over, for this side. With a reason, if records can still go. */
static void part(struct sealed *s, const char *why)
{
	if (s->seal.state == SEAL_OPEN)
		(void)seal_put(&s->seal, SEAL_CLOSE, why, strlen(why), &s->out);
	seal_finish(&s->seal);
	s->seal.state = SEAL_OVER;
	s->authorised = false;
	s->typed.len = 0; /* of whoever typed it; half a line must not run for the next one */
	ev_timer_stop(s->loop.ev, &s->handshake);
	ev_timer_stop(s->loop.ev, &s->rekey);
}

static void watch(struct loop *loop, ev_io *io, bool on)
{
	if (on)
		ev_io_start(loop->ev, io);
	else
		ev_io_stop(loop->ev, io);
}

/* --- what the client says -------------------------------------------------------------------------------------------------- */

static bool may_ask_for_report(struct sealed *s)
{
	ev_tstamp now = ev_now(s->loop.ev);

	s->tokens += (now - s->tokens_at) / REPORT_EVERY_S;
	s->tokens_at = now;
	if (s->tokens > REPORTS_BURST)
		s->tokens = REPORTS_BURST;
	if (s->tokens < 1)
		return false;
	s->tokens -= 1;
	return true;
}

static void begin(struct sealed *s, const uint8_t *body, size_t len)
{
	struct buf report = BUF_INIT(SEAL_REPORT_MAX);
	int r;

	part(s, "another client has begun a conversation");
	if (!may_ask_for_report(s)) {
		log_warn("sealed terminal: handshakes come too fast: one is not answered");
		return;
	}
	r = seal_on_hello(&s->seal, body, len, s->o->vm);
	if (r == 0)
		r = s->o->report(s->o->arg, s->seal.bind, &report);
	if (r == 0 && report.len < REPORT_BYTES)
		r = -EPROTO;
	if (r == 0) {
		memcpy(s->owner, report.data + HOST_DATA_AT, sizeof(s->owner));
		r = seal_reply(&s->seal, (const uint8_t *)report.data, report.len, &s->out);
	}
	buf_finish(&report);
	if (r < 0) {
		log_warn("sealed terminal: a handshake failed: %s", r > SEAL_E_FORMAT ? strerror(-r) : seal_strerror(r));
		part(s, "");
		return;
	}
	ev_timer_set(&s->handshake, HANDSHAKE_S, 0.);
	ev_timer_start(s->loop.ev, &s->handshake);
}

/* Nobody's key hashes to zeros: a guest started without an owner lets nobody in. */
static void authorise(struct sealed *s, const uint8_t *content, size_t len)
{
	int r = seal_check_owner(&s->seal, content, len, s->owner);

	if (r < 0) {
		part(s, seal_strerror(r));
		return;
	}
	ev_timer_stop(s->loop.ev, &s->handshake);
	ev_timer_again(s->loop.ev, &s->rekey);
	s->authorised = true;
	s->exit_told = false;
	s->told = 0;
	s->replay = s->pty.end;
	(void)seal_put(&s->seal, SEAL_READY, "", 0, &s->out);
}

static void type_out(struct sealed *s)
{
	ssize_t n = s->typed.len ? write(s->pty.fd, s->typed.data, s->typed.len) : 0;

	if (n > 0)
		buf_eat(&s->typed, (size_t)n);
	watch(&s->loop, &s->on_typing, s->typed.len > 0);
}

static void type(struct sealed *s, const uint8_t *data, size_t len)
{
	if (buf_add(&s->typed, data, len) < 0) {
		part(s, "more was typed than the program reads");
		return;
	}
	if (s->pty.fd >= 0 && !ev_is_active(&s->on_typing))
		type_out(s);
}

static void on_authorised(struct sealed *s, int record, const uint8_t *content, size_t len)
{
	switch (record) {
	case SEAL_DATA: type(s, content, len); break;
	case SEAL_RESIZE:
		if (len == 4)
			sealed_pty_resize(&s->pty, (unsigned)content[0] << 8 | content[1], (unsigned)content[2] << 8 | content[3]);
		break;
	case SEAL_SIGNAL:
		if (len == 1 && content[0] > 0 && content[0] < NSIG)
			sealed_pty_signal(&s->pty, content[0]);
		break;
	case SEAL_PING:
		if (len == 8)
			(void)seal_put(&s->seal, SEAL_PONG, content, len, &s->out);
		break;
	case SEAL_CLOSE: part(s, "closed"); break;
	case SEAL_REKEY: break;
	default: part(s, seal_strerror(SEAL_E_ORDER)); break;
	}
}

static void on_record(struct sealed *s, const uint8_t *body, size_t len)
{
	uint8_t plain[SEAL_CONTENT_MAX];
	struct seal_way out = s->seal.out;
	int record;

	if (s->seal.state != SEAL_OPEN)
		return; /* what is left of a conversation before this one */
	record = seal_get(&s->seal, body, &len, plain);
	if (record < 0) {
		log_warn("sealed terminal: %s", seal_strerror(record));
		/* Our own direction is whole: the owner hears it now, and has not to find out by silence. */
		s->seal.out = out;
		s->seal.state = SEAL_OPEN;
		part(s, seal_strerror(record));
	} else if (s->authorised) {
		on_authorised(s, record, plain, len);
	} else if (record == SEAL_AUTH) {
		authorise(s, plain, len);
	} else {
		part(s, seal_strerror(SEAL_E_ORDER));
	}
	explicit_bzero(&out, sizeof(out));
	explicit_bzero(plain, sizeof(plain));
}

static bool on_frame(void *arg, enum seal_frame type, const uint8_t *body, size_t len)
{
	struct sealed *s = arg;

	if (type == SEAL_HELLO)
		begin(s, body, len);
	else if (type == SEAL_CONFIRM && s->seal.state != SEAL_OVER && seal_on_confirm(&s->seal, body, len, &s->out) < 0)
		part(s, "");
	else if (type == SEAL_RECORD)
		on_record(s, body, len);
	return true;
}

/* --- the loop -------------------------------------------------------------------------------------------------------------- */

/* Output into records, as far as the way is free. */
static void seal_output(struct sealed *s)
{
	const uint8_t *data;
	size_t n;

	while (s->authorised && s->out.len < OUT_BUSY && (n = sealed_pty_recall(&s->pty, &s->told, &data)) > 0) {
		bool replay = s->told < s->replay;

		if (replay && n > s->replay - s->told)
			n = (size_t)(s->replay - s->told);
		if (n > SEAL_DATA_MAX)
			n = SEAL_DATA_MAX;
		if (seal_put_data(&s->seal, replay ? SEAL_REPLAY : SEAL_DATA, data, n, &s->out) < 0)
			part(s, "");
		s->told += n;
	}
}

static void tell_exit(struct sealed *s)
{
	int code = WIFEXITED(s->pty.status) ? WEXITSTATUS(s->pty.status) : 0, sig = WIFSIGNALED(s->pty.status) ? WTERMSIG(s->pty.status) : 0;
	uint8_t content[5] = { 0, 0, 0, (uint8_t)code, (uint8_t)sig };

	if (!s->authorised || s->exit_told || s->pty.fd >= 0 || s->pty.pid_fd >= 0 || s->told < s->pty.end)
		return;
	s->exit_told = true;
	(void)seal_put(&s->seal, SEAL_EXIT, content, sizeof(content), &s->out);
	part(s, "the program has ended");
	s->hung_up = true;
}

static void hang_up(struct sealed *s)
{
	if (s->pty.pid_fd >= 0)
		(void)kill(-s->pty.pid, SIGHUP);
	loop_stop(&s->loop);
}

static void write_out(struct sealed *s)
{
	ssize_t n = write(STDOUT_FILENO, s->out.data, s->out.len);

	if (n > 0)
		buf_eat(&s->out, (size_t)n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		hang_up(s);
}

/* Whatever happened: go on with what can go on. The loop is asked for room only where there was none. */
static void pump(struct sealed *s)
{
	bool free;

	seal_output(s);
	tell_exit(s);
	if (s->out.len > 0 && !ev_is_active(&s->on_stdout))
		write_out(s);
	free = s->out.len < OUT_BUSY;
	watch(&s->loop, &s->on_stdout, s->out.len > 0);
	watch(&s->loop, &s->on_stdin, free && s->typed.len < INPUT_MAX / 2);
	watch(&s->loop, &s->on_pty, s->pty.fd >= 0 && (free || !s->authorised));
	if (s->hung_up && s->out.len == 0)
		loop_stop(&s->loop);
}

static void on_stdin(struct ev_loop *ev, ev_io *w, int events)
{
	struct sealed *s = w->data;
	uint8_t data[16384];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));

	(void)ev;
	(void)events;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		hang_up(s);
		return;
	}
	if (n > 0 && seal_feed(&s->reader, data, (size_t)n, on_frame, s) < 0)
		part(s, "");
	pump(s);
}

static void on_stdout(struct ev_loop *ev, ev_io *w, int events)
{
	struct sealed *s = w->data;

	(void)ev;
	(void)events;
	write_out(s);
	pump(s);
}

static void pty_ended(struct sealed *s)
{
	ev_io_stop(s->loop.ev, &s->on_pty);
	ev_io_stop(s->loop.ev, &s->on_typing);
	ev_timer_stop(s->loop.ev, &s->cutoff);
	s->pty.fd = fd_close(s->pty.fd);
}

/* A terminal gives 4 KiB at a time; what is there already goes into few large records, which cost everybody on the way less. */
static void on_pty(struct ev_loop *ev, ev_io *w, int events)
{
	struct sealed *s = w->data;
	uint8_t data[8192];
	ssize_t n = 0;

	(void)ev;
	(void)events;
	for (int i = 0; i < PTY_READS; i++) {
		n = read(s->pty.fd, data, sizeof(data));
		if (n <= 0)
			break;
		sealed_pty_remember(&s->pty, data, (size_t)n);
		if (n < SHORT_READ)
			break;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		pty_ended(s);
	pump(s);
}

static void on_typing(struct ev_loop *ev, ev_io *w, int events)
{
	struct sealed *s = w->data;

	(void)ev;
	(void)events;
	type_out(s);
	pump(s);
}

static void on_exit_told(struct ev_loop *ev, ev_io *w, int events)
{
	struct sealed *s = w->data;

	(void)events;
	if (waitpid(s->pty.pid, &s->pty.status, WNOHANG) != s->pty.pid)
		return;
	ev_io_stop(ev, w);
	s->pty.pid_fd = fd_close(s->pty.pid_fd);
	if (s->pty.fd >= 0)
		ev_timer_start(ev, &s->cutoff);
	pump(s);
}

static void on_cutoff(struct ev_loop *ev, ev_timer *w, int events)
{
	struct sealed *s = w->data;

	(void)ev;
	(void)events;
	pty_ended(s);
	pump(s);
}

static void on_handshake_late(struct ev_loop *ev, ev_timer *w, int events)
{
	struct sealed *s = w->data;

	(void)ev;
	(void)events;
	part(s, "the handshake took too long");
	pump(s);
}

static void on_rekey(struct ev_loop *ev, ev_timer *w, int events)
{
	struct sealed *s = w->data;

	(void)ev;
	(void)events;
	if (s->authorised && seal_rekey(&s->seal, &s->out) < 0)
		part(s, "");
	pump(s);
}

static void watchers(struct sealed *s)
{
	ev_io_init(&s->on_stdin, on_stdin, STDIN_FILENO, EV_READ);
	ev_io_init(&s->on_stdout, on_stdout, STDOUT_FILENO, EV_WRITE);
	ev_io_init(&s->on_pty, on_pty, s->pty.fd, EV_READ);
	ev_io_init(&s->on_typing, on_typing, s->pty.fd, EV_WRITE);
	ev_io_init(&s->on_exit, on_exit_told, s->pty.pid_fd, EV_READ);
	ev_timer_init(&s->handshake, on_handshake_late, HANDSHAKE_S, 0.);
	ev_timer_init(&s->rekey, on_rekey, 0., (double)SEAL_REKEY_MS / 1000.);
	s->on_stdin.data = s->on_stdout.data = s->on_pty.data = s->on_typing.data = s->on_exit.data = s;
	ev_timer_init(&s->cutoff, on_cutoff, CUTOFF_S, 0.);
	s->handshake.data = s->rekey.data = s->cutoff.data = s;
	ev_io_start(s->loop.ev, &s->on_exit);
}

int sealed_run(const struct sealed_options *o)
{
	struct sealed *s = calloc(1, sizeof(*s));
	int r = s ? loop_init(&s->loop) : -ENOMEM;

	if (r == 0)
		r = sealed_pty_start(&s->pty, o->argv);
	if (r == 0)
		r = fd_nonblock(STDIN_FILENO) < 0 || fd_nonblock(STDOUT_FILENO) < 0 ? -EBADF : 0;
	if (r < 0) {
		log_err("sealed terminal: cannot start: %s", strerror(-r));
		free(s);
		return 1;
	}
	s->o = o;
	s->out = BUF_INIT(OUT_MAX);
	s->typed = BUF_INIT(INPUT_MAX);
	s->tokens = REPORTS_BURST;
	s->tokens_at = ev_now(s->loop.ev);
	s->seal.state = SEAL_OVER;
	watchers(s);
	pump(s);
	loop_run(&s->loop);
	r = WIFEXITED(s->pty.status) ? WEXITSTATUS(s->pty.status) : 1;
	seal_finish(&s->seal);
	buf_finish(&s->out);
	buf_finish(&s->typed);
	(void)fd_close(s->pty.fd);
	(void)fd_close(s->pty.pid_fd);
	loop_finish(&s->loop);
	free(s);
	return r;
}
