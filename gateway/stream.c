/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   console FD --ring_read()--> ring --stream_read()--> frames of attachments        (output; the scheduler says when)
 *   console FD <--ring_write()-- held <--stream_input()-- the controller             (input)
 *
 * Reading is gated by the controller's credit alone: output runs at most its window ahead of what it has
 * consumed, so the process behind the console blocks when the person's terminal cannot follow, and what is
 * read is never lost to it. When the controller goes, or this process has just taken the stream over from a
 * former one, what may still be missing at the other end is kept for LINGER_S: a page that comes back from
 * a bad line or a restart finds all of it. After that, without a controller, the console is read for ever
 * and the oldest bytes go. Viewers read from the ring as fast as they can; who falls behind finds his
 * offset gone and goes on at stream_safe().
 *
 * What a flood gives is told to the attachments in pieces of GATHER_BYTES, or when it has rested for GATHER_S; what
 * is no flood at once.
 *
 * The end has two parts that come in either order: the process exits (stream_exit()) and the console has no
 * more bytes. A console may stay open in the hands of a grandchild, so after the exit, silence for GRACE_S
 * counts as its end, too.
 *
 * A shell's bytes come from its owner (struct stream_line) and are in the ring as soon as they come. Its gate is to say how much more is
 * wanted: what has been asked for cannot be put off, so it asks only for what the controller's window has room for.
 *
 *   unopened -> open -> (eof, exited) -> ended -> open (next epoch) ...
 */
#include "gateway/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/machine.h"
#include "gateway/modes.h"
#include "gateway/sched.h"
#include "gateway/viewer.h"
#include "hv/hv.h"

#define PACE_BYTES 256	 /* of a relayed console, each PACE_S: 50 KiB a second */
#define PACE_S	 0.005
#define GRACE_S	      0.1
#define GATHER_BYTES  32768u /* output of a flood that makes a frame: sending costs 10 us, be it 4 KiB or 32 */
#define GATHER_S      0.001  /* a tenth of a frame of the screen */
#define LINGER_S      5. /* a page is back within 2 s of a restart; nobody's job should rest for much longer than a page needs */
#define ROOM_LEAST    4096u /* smaller gaps in the window are not worth a read */
#define SHORT_READ    1024u /* a PTY that gives less has nothing more, as a rule */
#define MARK_DISTANCE 65536u

/*
 * Modes at an offset inside of the ring, so that a viewer who is often skipped ahead does not cost the
 * whole way each time.
 */
struct mark {
	uint64_t offset;
	struct modes modes;
};

struct stream {
	struct loop *loop;		   /* borrowed */
	struct sched *sched;		   /* borrowed */
	const struct stream_hooks *hooks; /* borrowed, like arg */
	void *arg;
	char id[STREAM_ID_BYTES];
	int fd; /* owned; -1 when there is no console */
	struct stream_line *line; /* borrowed; NULL for a console, and at the end */
	uint64_t given;		  /* with a line: input offset up to which it has taken */
	struct ring ring;
	struct sched_source source;
	ev_io writer; /* runs while input is held and the console is open */
	ev_timer pacer; /* of a relayed console: runs while it has enough to swallow */
	ev_timer grace, linger, gather;
	struct viewer *viewers, *controller, *recorder; /* borrowed */
	enum stream_recording recording;
	char recording_end[24];
	uint64_t linger_end; /* while linger runs: output may grow up to here */
	struct buf held;
	struct mark *mark; /* owned; NULL until needed */
	uint32_t untold;    /* bytes of output that the viewers have not been told of */
	uint64_t quiet_end; /* end of output at the last look of the grace timer */
	struct ring_size size;
	struct ring_turns turns; /* kept in the ring as well */
	bool eof, exited, ended;
	bool relayed; /* see struct hv_console */
	bool deaf; /* the console takes no input any more */
	bool asleep; /* its process is put aside */
	bool mute; /* see struct hv_console */
	bool up;   /* the line's far end is there */
	bool input_over; /* of a command: told the line when nothing is held any more */
	char why[80];
	int exit_code, exit_signal;
};

static bool is_open(const struct stream *s)
{
	return s->ring.header;
}

static void tell(struct stream *s, const struct viewer *but, unsigned news)
{
	struct viewer *next;

	for (struct viewer *v = s->viewers; v; v = next) {
		next = v->next;
		if (v != but)
			v->on_news(v, news);
	}
	if (s->recorder)
		s->recorder->on_news(s->recorder, news);
}

/* --- whose turn it is ------------------------------------------------------------------------------------ */

static void keep_turns(struct stream *s)
{
	if (is_open(s))
		ring_set_turns(&s->ring, s->turns);
}

static void begin_turn(struct stream *s)
{
	s->controller->turn = ++s->turns.now;
	keep_turns(s);
}

static uint64_t epoch_now(const struct stream *s)
{
	return is_open(s) ? ring_epoch(&s->ring) : 0;
}

/* The ring is another one than @before. What it knows of turns, and what was counted until it was found, is over: another one begins. */
static void find_turns(struct stream *s, uint64_t before)
{
	struct ring_turns left = ring_turns(&s->ring);
	bool typed = s->turns.typed > 0;

	if (epoch_now(s) != before && left.now > 0) {
		s->turns.now = (left.now > s->turns.now ? left.now : s->turns.now) + 1;
		s->turns.typed = typed ? s->turns.now : left.typed;
		if (s->controller)
			begin_turn(s);
	}
	keep_turns(s);
}

/* --- output ---------------------------------------------------------------------------------------------- */

/* How many bytes may be read before the controller, or the one who is expected back, has to consume some. */
static uint64_t room(const struct stream *s)
{
	const struct viewer *c = s->controller;
	uint64_t end = ring_end(&s->ring), limit = c ? c->credit + c->window : s->linger_end;

	if (!c && !ev_is_active(&s->linger) && !(s->line && s->line->command))
		return UINT64_MAX;
	return limit > end ? limit - end : 0;
}

static void tell_output(struct stream *s)
{
	ev_timer_stop(s->loop->ev, &s->gather);
	if (s->untold == 0)
		return;
	s->untold = 0;
	tell(s, NULL, VIEWER_OUTPUT);
}

static void on_gather(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)ev;
	(void)events;
	tell_output(container_of(timer, struct stream, gather));
}

/* A flood that rests gives more at once, as a rule: what has come waits a moment for it. */
static void gather(struct stream *s)
{
	if (ev_is_active(&s->gather))
		return;
	ev_timer_set(&s->gather, GATHER_S, 0.);
	ev_timer_start(s->loop->ev, &s->gather);
}

/* How far a line may send: one window less than there is room for, for that is on its way; but never nothing. */
static void ask_for_more(struct stream *s)
{
	const struct viewer *c = s->controller;
	uint64_t end = ring_end(&s->ring), left = room(s), least = c ? c->credit : 0, limit;

	limit = left == UINT64_MAX ? end : end + left;
	limit = limit > s->line->window ? limit - s->line->window : 0;
	if (left == UINT64_MAX)
		limit = end;
	if (limit < least)
		limit = least;
	s->line->ops->take(s->line, limit < end ? limit : end);
}

/* Open or shut the way from the console to the ring. */
static void gate(struct stream *s)
{
	if (s->line)
		ask_for_more(s);
	if (s->fd < 0 || s->eof)
		return;
	if (room(s) >= ROOM_LEAST) {
		sched_source_open(&s->source);
	} else {
		sched_source_shut(&s->source);
		tell_output(s);
	}
}

/* Keep what comes after @offset for a while, whatever is written meanwhile. */
static void linger(struct stream *s, uint64_t offset)
{
	s->linger_end = offset + s->ring.size - RING_SLACK - (s->line && s->line->command ? s->line->window : 0);
	ev_timer_again(s->loop->ev, &s->linger);
}

static void on_linger(struct ev_loop *ev, ev_timer *timer, int events)
{
	struct stream *s = container_of(timer, struct stream, linger);

	(void)events;
	ev_timer_stop(ev, timer);
	gate(s);
}

static void forget(struct stream *s);

static void let_go(struct stream *s)
{
	s->line = NULL;
	ev_timer_stop(s->loop->ev, &s->linger);
	ev_timer_stop(s->loop->ev, &s->gather);
	if (s->fd < 0)
		return;
	sched_source_shut(&s->source);
	ev_io_stop(s->loop->ev, &s->writer);
	ev_timer_stop(s->loop->ev, &s->pacer);
	s->fd = fd_close(s->fd);
}

static void end(struct stream *s)
{
	ev_timer_stop(s->loop->ev, &s->grace);
	let_go(s);
	buf_finish(&s->held);
	s->ended = true;
	s->untold = 0;
	tell(s, NULL, VIEWER_OUTPUT);
}

static void on_eof(struct stream *s, ssize_t result)
{
	if (result < 0)
		log_warn("stream %s: reading the console failed: %s", s->id, strerror((int)-result));
	s->eof = true;
	sched_source_shut(&s->source);
	if (s->exited)
		end(s);
}

/*
 * Read until the quantum is used up or there is nothing more; a flood once. Return: the last result of
 * ring_read().
 */
static ssize_t read_some(struct stream *s, size_t want, size_t *got)
{
	ssize_t n;

	do {
		n = ring_read(&s->ring, s->fd, want - *got);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n;
		*got += (size_t)n;
		if (s->ring.kind == RING_SOCKET || s->source.flooding || n < (ssize_t)SHORT_READ)
			break;
	} while (*got < want);
	return n;
}

/* Is it likely that another read would find something? */
static bool has_more(const struct stream *s, ssize_t last, size_t got, size_t want)
{
	if (s->ring.kind == RING_PTY && s->source.flooding)
		return last >= (ssize_t)SHORT_READ; /* it gives what its own buffer holds, and that is filled again meanwhile */
	return got == want;
}

static enum sched_rest on_serve(struct sched_source *src, size_t quantum, size_t *got)
{
	struct stream *s = container_of(src, struct stream, source);
	uint64_t left = room(s), from = ring_end(&s->ring);
	size_t want = quantum < RING_READ_MAX ? quantum : RING_READ_MAX;
	bool more;
	ssize_t n;

	if (left < ROOM_LEAST) {
		tell_output(s);
		return SCHED_SHUT;
	}
	if (want > left)
		want = (size_t)left;
	n = read_some(s, want, got);
	more = has_more(s, n, *got, want);
	s->untold += (uint32_t)*got;
	if (*got > 0 && s->hooks->on_output)
		s->hooks->on_output(s->arg, ring_at(&s->ring, from), *got);
	if (!src->flooding || s->untold >= GATHER_BYTES || (n <= 0 && n != -EAGAIN))
		tell_output(s);
	else if (!more)
		gather(s);
	if (n == 0 || (n < 0 && n != -EAGAIN)) {
		on_eof(s, n);
		return SCHED_SHUT;
	}
	return more ? SCHED_MORE : SCHED_EMPTY;
}

static void on_grace(struct ev_loop *ev, ev_timer *timer, int events)
{
	struct stream *s = container_of(timer, struct stream, grace);
	uint64_t now = ring_end(&s->ring);

	(void)ev;
	(void)events;
	if (s->source.open && !s->source.queued && now == s->quiet_end)
		end(s);
	else
		s->quiet_end = s->source.open ? now : UINT64_MAX;
}

void stream_exit(struct stream *s, int code, int signal)
{
	if (!is_open(s) || s->exited)
		return;
	s->exited = true;
	s->exit_code = code;
	s->exit_signal = signal;
	if (s->eof) {
		end(s);
		return;
	}
	s->quiet_end = UINT64_MAX;
	ev_timer_again(s->loop->ev, &s->grace);
}

void stream_speak(struct stream *s)
{
	if (!s->mute)
		return;
	s->mute = false;
	if (s->held.len > 0 && s->fd >= 0)
		ev_io_start(s->loop->ev, &s->writer);
}

void stream_settle(struct stream *s)
{
	ssize_t n = 1;

	while (is_open(s) && s->fd >= 0 && n > 0) {
		n = ring_read(&s->ring, s->fd, RING_READ_MAX);
		s->untold += n > 0 ? (uint32_t)n : 0;
	}
	if (is_open(s))
		tell_output(s);
}

void stream_sleep(struct stream *s)
{
	let_go(s);
	s->asleep = true;
}

void stream_ring(const struct stream *s, struct iovec out[2])
{
	out[0] = (struct iovec){ .iov_base = s->ring.header, .iov_len = s->ring.map_bytes - 2 * (size_t)s->ring.size };
	out[1] = (struct iovec){ .iov_base = s->ring.data, .iov_len = s->ring.size };
}

int stream_open_asleep(struct stream *s, int ring_fd, uint32_t ring_bytes)
{
	int r;

	forget(s);
	r = ring_open(&s->ring, ring_fd, ring_bytes, RING_SOCKET, true);
	if (r < 0)
		return r;
	s->asleep = true;
	s->size = ring_size(&s->ring);
	find_turns(s, 0);
	tell(s, NULL, VIEWER_EPOCH);
	return 0;
}

size_t stream_read(const struct stream *s, uint64_t offset, uint8_t *out, size_t cap)
{
	uint64_t left = ring_end(&s->ring) - offset;
	size_t n = left < cap ? (size_t)left : cap;

	memcpy(out, ring_at(&s->ring, offset), n);
	return n;
}

static void keep_mark(struct stream *s, uint64_t offset, const struct modes *modes)
{
	if (!s->mark)
		s->mark = malloc(sizeof(*s->mark));
	if (s->mark)
		*s->mark = (struct mark){ .offset = offset, .modes = *modes };
}

/* Modes at @offset. Cost: the output between the start of the ring, or the mark, and there is followed. */
static void modes_at(struct stream *s, uint64_t offset, struct modes *out)
{
	uint64_t from = ring_start(&s->ring);

	*out = *ring_modes(&s->ring);
	if (s->ring.opaque)
		return;
	if (s->mark && s->mark->offset >= from && s->mark->offset <= offset) {
		from = s->mark->offset;
		*out = s->mark->modes;
	}
	modes_feed(out, ring_at(&s->ring, from), offset - from);
	if (offset - from > MARK_DISTANCE)
		keep_mark(s, offset, out);
}

uint64_t stream_safe(struct stream *s, uint64_t offset)
{
	uint64_t from = ring_start(&s->ring), to = ring_end(&s->ring);
	struct modes modes;

	if (offset < from || offset > to)
		offset = from;
	if (offset == 0)
		return 0;
	modes_at(s, offset, &modes);
	return offset + modes_seek(&modes, ring_at(&s->ring, offset), to - offset);
}

size_t stream_preamble(struct stream *s, uint64_t offset, uint8_t *out)
{
	struct modes modes;

	modes_at(s, offset, &modes);
	return modes_preamble(&modes, out, MODES_PREAMBLE_MAX);
}

/* --- input ----------------------------------------------------------------------------------------------- */

static uint64_t written(const struct stream *s)
{
	return is_open(s) ? ring_written(&s->ring) : 0;
}

/* The console takes no input any more: it will soon be read to its end as well. */
static void drop_input(struct stream *s, ssize_t error)
{
	log_debug("stream %s: writing to the console failed: %s", s->id, strerror((int)-error));
	ev_io_stop(s->loop->ev, &s->writer);
	buf_finish(&s->held);
	s->deaf = true;
}

/* The VMM would keep megabytes in its memory, and the guest's terminal drops what it cannot take. */
static void pace(struct stream *s)
{
	ev_timer_set(&s->pacer, PACE_S, 0.);
	ev_timer_start(s->loop->ev, &s->pacer);
	ev_io_stop(s->loop->ev, &s->writer);
}

static void on_pace(struct ev_loop *ev, ev_timer *t, int events)
{
	struct stream *s = container_of(t, struct stream, pacer);

	(void)events;
	if (s->fd >= 0 && s->held.len > 0)
		ev_io_start(ev, &s->writer);
}

/* Give @len bytes to the console. Return: how many it took, or a negative error that is not EAGAIN. */
static ssize_t give(struct stream *s, const void *data, size_t len)
{
	ssize_t n;

	if (s->relayed && ev_is_active(&s->pacer))
		return 0;
	if (s->relayed && len > PACE_BYTES)
		len = PACE_BYTES;
	do
		n = ring_write(&s->ring, s->fd, data, len);
	while (n == -EINTR);
	if (s->relayed && n > 0)
		pace(s);
	return n == -EAGAIN ? 0 : n;
}

/* Offset of the next byte that stream_input() takes. */
static uint64_t wanted(const struct stream *s)
{
	return (s->line ? s->given : written(s)) + s->held.len;
}

/* Will nothing that is typed ever be read? */
static bool is_deaf(const struct stream *s)
{
	return is_open(s) && !s->line && !s->asleep && (s->fd < 0 || s->eof || s->deaf);
}

static void on_writable(struct ev_loop *ev, ev_io *io, int events)
{
	struct stream *s = container_of(io, struct stream, writer);
	ssize_t n = give(s, s->held.data, s->held.len);

	(void)events;
	if (n < 0) {
		drop_input(s, n);
	} else {
		buf_eat(&s->held, (size_t)n);
		if (s->held.len == 0) {
			ev_io_stop(ev, io);
			buf_finish(&s->held);
		}
	}
	tell(s, NULL, VIEWER_INPUT);
}

enum stream_typing stream_shows_typing(const struct stream *s)
{
	struct termios t;

	if (s->fd < 0 || s->ring.kind != RING_PTY || s->relayed || tcgetattr(s->fd, &t) < 0)
		return STREAM_TYPING_UNKNOWN;
	return (t.c_lflag & ICANON) && !(t.c_lflag & ECHO) ? STREAM_TYPING_HIDDEN : STREAM_TYPING_SHOWN;
}

static void tell_typed(struct stream *s, const uint8_t *data, size_t len)
{
	if (s->recorder->on_typed && stream_shows_typing(s) == STREAM_TYPING_SHOWN)
		s->recorder->on_typed(s->recorder, data, len);
}

/* To the line, and what it does not take to those that wait. */
static int line_input(struct stream *s, const uint8_t *data, size_t len)
{
	size_t n;

	if (s->input_over)
		return STREAM_E_ENDED;
	n = s->held.len == 0 && s->up ? s->line->ops->write(s->line, data, len) : 0;
	s->given += n;
	return n < len && buf_add(&s->held, data + n, len - n) < 0 ? STREAM_E_FULL : 0;
}

int stream_input(struct stream *s, uint64_t offset, const uint8_t *data, size_t len)
{
	uint64_t known = wanted(s);
	ssize_t n = 0;

	if (is_deaf(s))
		return STREAM_E_ENDED;
	if (offset > known)
		return STREAM_E_AHEAD;
	if (known - offset >= len)
		return 0;
	data += known - offset;
	len -= known - offset;
	if (s->controller && s->turns.typed != s->controller->turn) {
		s->turns.typed = s->controller->turn;
		keep_turns(s);
	}
	if (s->recorder)
		tell_typed(s, data, len);
	if (s->line)
		return line_input(s, data, len);
	if (s->fd >= 0 && s->held.len == 0 && !s->mute) {
		n = give(s, data, len);
		if (n < 0) {
			drop_input(s, n);
			return STREAM_E_ENDED;
		}
	}
	if ((size_t)n < len && buf_add(&s->held, data + n, len - (size_t)n) < 0)
		return STREAM_E_FULL;
	if (s->held.len > 0 && s->fd >= 0 && !s->mute && !ev_is_active(&s->pacer))
		ev_io_start(s->loop->ev, &s->writer);
	if (n > 0) {
		sched_source_typed(&s->source);
		tell(s, NULL, VIEWER_INPUT);
	}
	return 0;
}

/* --- size ------------------------------------------------------------------------------------------------ */

static void apply_size(struct stream *s)
{
	struct winsize ws = { .ws_col = s->size.cols,
			      .ws_row = s->size.rows,
			      .ws_xpixel = s->size.xpix,
			      .ws_ypixel = s->size.ypix };

	if (!is_open(s) || s->size.cols == 0)
		return;
	ring_set_size(&s->ring, s->size);
	if (s->fd >= 0 && s->ring.kind == RING_PTY && ioctl(s->fd, TIOCSWINSZ, &ws) < 0)
		log_debug("stream %s: TIOCSWINSZ failed: %s", s->id, strerror(errno));
	if (s->line)
		s->line->ops->resize(s->line, s->size);
}

void stream_resize(struct stream *s, const struct viewer *by, struct ring_size size)
{
	bool other = size.cols != s->size.cols || size.rows != s->size.rows;

	if (!other && size.xpix == s->size.xpix && size.ypix == s->size.ypix)
		return;
	s->size = size;
	apply_size(s);
	if (other)
		tell(s, by, VIEWER_SIZE);
}

/* --- viewers --------------------------------------------------------------------------------------------- */

/* A console that has to wait is not read: all that is kept stays. A line sends another window. */
static uint64_t lasting(const struct stream *s)
{
	uint64_t start = ring_start(&s->ring), end = ring_end(&s->ring), least;

	least = s->line ? end + s->line->window + RING_SLACK : 0;
	least = least > s->ring.size ? least - s->ring.size : 0;
	return least > start ? least : start;
}

struct stream_state stream_state(const struct stream *s)
{
	struct stream_state st = {
		.written = written(s),
		.wanted = wanted(s),
		.held = wanted(s) - written(s),
		.typed_turn = s->turns.typed,
		.ended = s->ended,
		.exit_code = s->exit_code,
		.exit_signal = s->exit_signal,
		.size = s->size,
		.why = s->why,
		.waits = s->line && !s->up,
		.sealed = s->line && s->line->sealed,
		.command = s->line && s->line->command,
		.recording = s->recording,
		.recording_end = s->recording_end,
		.piece_bytes = s->ring.kind == RING_PTY ? GATHER_BYTES : UINT32_MAX,
	};

	if (is_open(s)) {
		st.epoch = ring_epoch(&s->ring);
		st.start = ring_start(&s->ring);
		st.end = ring_end(&s->ring);
		st.lasting = lasting(s);
		st.pty = s->ring.kind != RING_SOCKET;
		st.ring_bytes = s->ring.size - (s->line ? s->line->window : 0);
	}
	return st;
}

void stream_join(struct stream *s, struct viewer *v)
{
	v->stream = s;
	v->prev = NULL;
	v->next = s->viewers;
	if (v->next)
		v->next->prev = v;
	s->viewers = v;
}

void stream_leave(struct viewer *v)
{
	struct stream *s = v->stream;

	if (!s)
		return;
	if (v->next)
		v->next->prev = v->prev;
	if (v->prev)
		v->prev->next = v->next;
	else
		s->viewers = v->next;
	v->stream = NULL;
	v->next = v->prev = NULL;
	if (s->controller == v)
		stream_control(s, NULL);
}

struct viewer *stream_viewers(const struct stream *s)
{
	return s->viewers;
}

struct viewer *stream_controller(const struct stream *s)
{
	return s->controller;
}

void stream_control(struct stream *s, struct viewer *v)
{
	bool moves;

	if (s->controller && !v && (s->fd >= 0 || s->line))
		linger(s, s->controller->credit);
	else if (v)
		ev_timer_stop(s->loop->ev, &s->linger);
	moves = v && v != s->controller;
	s->controller = v;
	if (moves)
		begin_turn(s);
	gate(s);
}

void stream_expect_nobody(struct stream *s)
{
	ev_timer_stop(s->loop->ev, &s->linger);
	gate(s);
}

void stream_credited(struct viewer *v)
{
	if (v->stream && v->stream->controller == v)
		gate(v->stream);
}

void stream_record(struct stream *s, struct viewer *v, enum stream_recording how, const char *why)
{
	if (s->recorder)
		s->recorder->stream = NULL;
	s->recorder = v;
	if (v)
		v->stream = s;
	s->recording = how;
	(void)snprintf(s->recording_end, sizeof(s->recording_end), "%s", why);
	for (struct viewer *each = s->viewers; each; each = each->next)
		each->on_news(each, VIEWER_RECORDING);
}

/* --- the owner's side ------------------------------------------------------------------------------------ */

int stream_create(struct stream **out, struct loop *loop, struct sched *sched, const char *id,
		  const struct stream_hooks *hooks, void *arg)
{
	size_t len = strlen(id);
	struct stream *s;

	if (len >= sizeof(s->id))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	memcpy(s->id, id, len + 1);
	s->loop = loop;
	s->sched = sched;
	s->hooks = hooks;
	s->arg = arg;
	s->fd = -1;
	s->held = BUF_INIT(STREAM_HELD_MAX);
	ev_io_init(&s->writer, on_writable, -1, EV_WRITE);
	ev_init(&s->pacer, on_pace);
	ev_timer_init(&s->grace, on_grace, 0., GRACE_S);
	ev_timer_init(&s->gather, on_gather, GATHER_S, 0.);
	ev_timer_init(&s->linger, on_linger, 0., LINGER_S);
	*out = s;
	return 0;
}

static void drop_mark(struct stream *s)
{
	free(s->mark);
	s->mark = NULL;
}

struct stream *stream_destroy(struct stream *s)
{
	if (!s)
		return NULL;
	tell(s, NULL, VIEWER_GONE);
	ev_timer_stop(s->loop->ev, &s->grace);
	let_go(s);
	ring_close(&s->ring);
	buf_finish(&s->held);
	drop_mark(s);
	free(s);
	return NULL;
}

const char *stream_id(const struct stream *s)
{
	return s->id;
}

void *stream_arg(const struct stream *s)
{
	return s->arg;
}

/* Forget the console that was there before. */
static void forget(struct stream *s)
{
	if (s->recorder && is_open(s))
		s->recorder->on_news(s->recorder, VIEWER_OUTPUT); /* what there is goes with the ring */
	ev_timer_stop(s->loop->ev, &s->grace);
	let_go(s);
	drop_mark(s);
	ring_close(&s->ring);
	s->eof = s->exited = s->ended = s->deaf = s->asleep = s->up = s->input_over = false;
	s->given = 0;
	s->why[0] = '\0';
	s->exit_code = s->exit_signal = 0;
	s->untold = 0;
}

int stream_open(struct stream *s, const struct hv_console *c)
{
	uint64_t before = epoch_now(s);
	int r;

	forget(s);
	if (c->fd < 0) {
		(void)fd_close(c->ring_fd);
		return -EBADF;
	}
	r = ring_open(&s->ring, c->ring_fd, c->ring_bytes, c->kind == HV_CONSOLE_PTY ? RING_PTY : RING_SOCKET,
		      c->adopted);
	if (r < 0) {
		(void)fd_close(c->fd);
		return r;
	}
	if (r == RING_E_FRESH)
		log_warn("stream %s: the ring that was left behind is damaged: earlier output is lost", s->id);
	find_turns(s, before);
	s->fd = c->fd;
	s->relayed = c->relayed;
	s->mute = c->mute;
	if (s->size.cols == 0)
		s->size = ring_size(&s->ring);
	apply_size(s);
	if (before != 0 && ring_epoch(&s->ring) != before)
		buf_finish(&s->held); /* meant for another process; what was typed ahead of the first one is kept for it */
	sched_source_init(&s->source, s->sched, s->fd, on_serve);
	ev_io_set(&s->writer, s->fd, EV_WRITE);
	if (s->held.len > 0 && !s->mute)
		ev_io_start(s->loop->ev, &s->writer);
	if (ring_epoch(&s->ring) != before)
		tell(s, NULL, VIEWER_EPOCH);
	if (c->adopted && !s->controller)
		linger(s, ring_start(&s->ring));
	gate(s);
	return 0;
}

/* --- lines ----------------------------------------------------------------------------------------------- */

int stream_open_line(struct stream *s, struct stream_line *line, int ring_fd, uint32_t ring_bytes, bool adopt)
{
	uint64_t before = epoch_now(s);
	int r;

	forget(s);
	r = ring_open(&s->ring, ring_fd, ring_bytes, RING_GIVEN, adopt);
	if (r == RING_E_FRESH) {
		ring_close(&s->ring);
		r = -EBADMSG;
	}
	if (r < 0)
		return r;
	s->line = line;
	s->ring.opaque = line->sealed || line->command;
	s->size = ring_size(&s->ring);
	s->given = ring_written(&s->ring);
	find_turns(s, before);
	if (adopt || line->command)
		linger(s, ring_start(&s->ring));
	return 0;
}

/* What waited goes on its way. */
static void push(struct stream *s)
{
	size_t n = s->held.len > 0 ? s->line->ops->write(s->line, (const uint8_t *)s->held.data, s->held.len) : 0;

	s->given += n;
	buf_eat(&s->held, n);
	if (s->held.len > 0)
		return;
	buf_finish(&s->held);
	if (s->input_over && s->up)
		s->line->ops->end(s->line);
}

void stream_input_end(struct stream *s)
{
	if (!s->line || !s->line->command)
		return;
	s->input_over = true;
	push(s);
}

void stream_line_up(struct stream *s, uint64_t written_now)
{
	if (!s->line || s->up)
		return;
	s->up = true;
	s->given = written_now;
	ring_set_written(&s->ring, written_now);
	apply_size(s);
	push(s);
	gate(s);
}

void stream_line_output(struct stream *s, const uint8_t *data, size_t len)
{
	if (!s->line)
		return;
	ring_put(&s->ring, data, len);
	if (s->hooks->on_output)
		s->hooks->on_output(s->arg, data, len);
	gate(s);
	tell(s, NULL, VIEWER_OUTPUT);
}

void stream_line_moved(struct stream *s, uint64_t written_now)
{
	if (!s->line)
		return;
	if (written_now > written(s) && written_now <= s->given)
		ring_set_written(&s->ring, written_now);
	push(s);
	tell(s, NULL, VIEWER_INPUT);
}

void stream_line_end(struct stream *s, int code, int signal, const char *why)
{
	if (!s->line)
		return;
	(void)snprintf(s->why, sizeof(s->why), "%s", why);
	s->exited = s->eof = true;
	s->exit_code = code;
	s->exit_signal = signal;
	end(s);
}

void stream_notify(struct stream *s)
{
	tell(s, NULL, VIEWER_VM);
}
