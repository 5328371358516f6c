/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   stream --news--> recording: ring_end > offset? --scribe_text()--> scribe (thread) --> file
 *
 *   WAITING (a former process began it) --its stream is opened, same epoch--> LIVE --why--> ENDING --file closed--> ended
 *      `-- not within ADOPT_S, or another epoch: ends as "interrupted"
 *
 * The ring of the stream is the queue: a recording copies output from its own offset on, as far as the scribe has
 * room, and goes on when that has written. What has left the ring by then is lost, and then the recording ends:
 * it would not be true any more. Marks in the file say up to which offset it holds the output, so a recording
 * that was broken off goes on right there.
 *
 * Room: a person's recordings together may have quota_bytes. Each one that goes on may grow by what is left of it;
 * the thread stops at the byte.
 */
#include "gateway/recorder.h"

#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth/secret.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/modes.h"
#include "gateway/scribe.h"
#include "gateway/viewer.h"

#define ADOPT_S	      30. /* machines that run on are found within seconds */
#define SWEEP_S	      3600.
#define SWEEP_MAX     200 /* recordings deleted at once; the rest comes in the next turn */
#define MEND_BYTES    (4u << 20) /* pieces with their marks are much smaller */
#define PATH_BYTES    80
#define ROOM_LEAST    65536u /* with less it is not worth to begin */
#define SUFFIX	      ".cast"

struct recording {
	struct viewer viewer; /* its stream is NULL while WAITING and once ENDING */
	struct recorder *r;
	struct recording *next;
	struct recording_row row;
	struct scribe_file *file; /* NULL while WAITING */
	struct scribe_state st;
	uint64_t epoch, offset, zero_us, done_bytes;
	bool ending, unwanted;
};

struct recorder {
	struct recorder_config c;
	struct scribe *scribe;
	int dir_fd;
	struct recording *all;
	ev_timer adopt, sweep;
};

static const char *const mode_names[] = { [RECORD_OFF] = "off", [RECORD_ALLOWED] = "allowed", [RECORD_ALWAYS] = "always" };
_Static_assert(sizeof(mode_names) / sizeof(mode_names[0]) == RECORD_MODE_COUNT, "a name for each mode");

int record_mode_parse(const char *text, enum record_mode *out)
{
	for (int m = 0; m < RECORD_MODE_COUNT; m++)
		if (strcmp(text, mode_names[m]) == 0) {
			*out = (enum record_mode)m;
			return 0;
		}
	return -EINVAL;
}

const char *record_mode_name(enum record_mode m)
{
	return mode_names[m];
}

enum record_mode recorder_mode(const struct recorder *r)
{
	return r->c.mode;
}

static uint64_t now_us(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static uint64_t at_us(const struct recording *rec)
{
	return now_us(CLOCK_MONOTONIC) - rec->zero_us;
}

static void path_of(const struct recording_row *row, char out[PATH_BYTES])
{
	(void)snprintf(out, PATH_BYTES, "%lld/%s" SUFFIX, (long long)row->owner, row->id);
}

static void tell(const struct recorder *r, enum record_event what, const struct recording_row *row)
{
	if (r->c.on_event)
		r->c.on_event(r->c.arg, what, row);
}

static void set_reason(struct recording *rec, const char *reason)
{
	(void)snprintf(rec->row.reason, sizeof(rec->row.reason), "%s", reason);
}

/* --- room ------------------------------------------------------------------------------------------------ */

static uint64_t used(const struct recorder *r, int64_t owner, uint64_t done_bytes)
{
	for (const struct recording *rec = r->all; rec; rec = rec->next)
		if (rec->row.owner == owner)
			done_bytes += rec->st.size;
	return done_bytes;
}

/* What each recording of @owner may grow to, now. */
static void share_room(struct recorder *r, int64_t owner)
{
	for (struct recording *rec = r->all; rec; rec = rec->next) {
		uint64_t all = used(r, owner, rec->done_bytes);

		if (rec->row.owner == owner && rec->file)
			scribe_limit(rec->file, rec->st.size + (r->c.quota_bytes > all ? r->c.quota_bytes - all : 0));
	}
}

/* The sum of what has ended changed. */
static void count_room(struct recorder *r, int64_t owner)
{
	struct err e = { 0 };
	uint64_t bytes = 0;

	if (recording_used(r->c.db, owner, &bytes, &e) < 0) {
		log_err("recordings: %s", e.msg);
		return;
	}
	for (struct recording *rec = r->all; rec; rec = rec->next)
		if (rec->row.owner == owner)
			rec->done_bytes = bytes;
	share_room(r, owner);
}

/* --- the end --------------------------------------------------------------------------------------------- */

static void unlink_recording(struct recording *rec)
{
	struct recording **p = &rec->r->all;

	while (*p != rec)
		p = &(*p)->next;
	*p = rec->next;
}

static void forget_file(struct recorder *r, const struct recording_row *row)
{
	char path[PATH_BYTES];

	path_of(row, path);
	scribe_remove(r->scribe, path);
}

/* The row says how it ended, or goes. */
static void note_end(struct recording *rec)
{
	struct recorder *r = rec->r;
	struct recording_row *row = &rec->row;
	struct err e = { 0 };
	int n;

	row->live = false;
	row->size = (int64_t)rec->st.size;
	row->duration_ms = (int64_t)(rec->st.at_us / 1000);
	n = rec->unwanted ? recording_drop(r->c.db, row->id, &e) : recording_ended(r->c.db, row, &e);
	if (n < 0)
		log_err("recording %s: %s", row->id, e.msg);
	if (rec->unwanted)
		forget_file(r, row);
}

/* The file is closed. Frees. */
static void settle(struct recording *rec)
{
	struct recorder *r = rec->r;
	struct recording_row row;

	note_end(rec);
	row = rec->row;
	rec->file = scribe_forget(rec->file);
	unlink_recording(rec);
	free(rec);
	tell(r, RECORD_ENDED, &row);
	count_room(r, row.owner);
}

static void finish(struct recording *rec, const char *reason)
{
	struct stream *s = rec->viewer.stream;

	if (rec->ending)
		return;
	rec->ending = true;
	set_reason(rec, reason);
	if (s)
		stream_record(s, NULL, STREAM_UNRECORDED, rec->row.reason);
	if (rec->file)
		scribe_close(rec->file);
}

static const char *reason_of(int error)
{
	return error == -EDQUOT ? "quota" : error == -ENOSPC ? "disk_full" : "disk_error";
}

/* --- what the stream tells ------------------------------------------------------------------------------- */

static void take_output(struct recording *rec)
{
	struct stream *s = rec->viewer.stream;
	const struct stream_state st = stream_state(s);
	uint8_t piece[SCRIBE_PIECE_MAX];

	if (rec->ending || st.epoch != rec->epoch)
		return;
	if (rec->offset < st.start) {
		finish(rec, "disk_slow");
		return;
	}
	while (rec->offset < st.end) {
		size_t n = stream_read(s, rec->offset, piece, sizeof(piece));

		if (!scribe_text(rec->file, CAST_OUTPUT, at_us(rec), rec->offset + n, piece, n))
			return; /* on_written() comes back here */
		rec->offset += n;
	}
	if (st.ended) {
		scribe_exit(rec->file, at_us(rec), rec->offset, st.exit_code, st.exit_signal);
		finish(rec, "exited");
	}
}

static void on_news(struct viewer *v, unsigned news)
{
	struct recording *rec = container_of(v, struct recording, viewer);

	if (rec->ending)
		return;
	if (news & VIEWER_OUTPUT)
		take_output(rec);
	if ((news & VIEWER_SIZE) && !rec->ending) {
		struct ring_size size = stream_state(v->stream).size;

		scribe_resize(rec->file, at_us(rec), rec->offset, size.cols, size.rows);
	}
	if (news & VIEWER_EPOCH)
		finish(rec, "replaced");
	if (news & VIEWER_GONE)
		finish(rec, "gone");
}

static void on_typed(struct viewer *v, const uint8_t *data, size_t len)
{
	struct recording *rec = container_of(v, struct recording, viewer);

	for (size_t at = 0, n; at < len && !rec->ending; at += n) {
		n = len - at < SCRIBE_PIECE_MAX ? len - at : SCRIBE_PIECE_MAX;
		if (!scribe_text(rec->file, CAST_INPUT, at_us(rec), rec->offset, data + at, n))
			return; /* a disk that is so slow loses keystrokes first; the output follows */
	}
}

static void on_written(void *arg, const struct scribe_state *st)
{
	struct recording *rec = arg;

	rec->st = *st;
	if (st->closed) {
		/* What could not be brought to the disk any more is not "stopped". */
		if (st->error < 0 && st->error != -EDQUOT && strncmp(rec->row.reason, "disk_", 5) != 0)
			set_reason(rec, reason_of(st->error));
		settle(rec);
		return;
	}
	if (st->error < 0)
		finish(rec, reason_of(st->error));
	if (rec->ending)
		return;
	share_room(rec->r, rec->row.owner);
	take_output(rec);
}

/* --- beginning ------------------------------------------------------------------------------------------- */

static struct recording *new_recording(struct recorder *r, const struct recording_row *row)
{
	struct recording *rec = calloc(1, sizeof(*rec));

	if (!rec)
		return NULL;
	rec->r = r;
	rec->row = *row;
	rec->viewer.on_news = on_news;
	rec->viewer.on_typed = row->input ? on_typed : NULL;
	memcpy(&rec->epoch, row->epoch, sizeof(rec->epoch));
	rec->next = r->all;
	r->all = rec;
	return rec;
}

static int open_file(const struct recorder *r, const struct recording_row *row, int flags)
{
	char path[PATH_BYTES];
	int fd;

	path_of(row, path);
	fd = openat(r->dir_fd, path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

static int make_file(const struct recorder *r, const struct recording_row *row, struct err *e)
{
	char dir[24];
	int fd;

	(void)snprintf(dir, sizeof(dir), "%lld", (long long)row->owner);
	if (mkdirat(r->dir_fd, dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make a folder for recordings: %s", strerror(errno));
	fd = open_file(r, row, O_WRONLY | O_CREAT | O_EXCL);
	return fd < 0 ? err_set(e, fd, "cannot make the recording's file: %s", strerror(-fd)) : fd;
}

/* The scribe gets the file, the stream its recorder. @fd: consumed */
static int go_live(struct recording *rec, struct stream *s, int fd, struct err *e)
{
	const struct scribe_open o = { .fd = fd, .state = rec->st, .limit = 0, .on_news = on_written, .arg = rec };

	rec->file = scribe_open(rec->r->scribe, &o);
	if (!rec->file)
		return err_set(e, -ENOMEM, "no memory for the recording");
	count_room(rec->r, rec->row.owner);
	stream_record(s, &rec->viewer, rec->row.input ? STREAM_RECORDED_TYPING : STREAM_RECORDED, "");
	return 0;
}

/* Bytes that are no output of the process: what brings a player's terminal to the state that this one is in. */
static void write_preamble(struct recording *rec, struct stream *s)
{
	uint8_t preamble[MODES_PREAMBLE_MAX];
	size_t n = stream_preamble(s, rec->offset, preamble);

	(void)scribe_text(rec->file, CAST_OUTPUT, at_us(rec), rec->offset, preamble, n);
	scribe_cut(rec->file);
}

static int fill_row(struct recorder *r, struct stream *s, struct recording_row *row, struct err *e)
{
	const struct stream_state st = stream_state(s);
	uint8_t id[(RECORDING_ID_TEXT - 1) / 2];
	int n = secret_random(id, sizeof(id));

	if (n < 0)
		return err_set(e, n, "no randomness for the recording's id: %s", strerror(-n));
	*row = (struct recording_row){ .started_ms = (int64_t)(now_us(CLOCK_REALTIME) / 1000), .live = true,
				       .cols = st.size.cols ? st.size.cols : 80, .rows = st.size.rows ? st.size.rows : 24,
				       .input = r->c.input && stream_shows_typing(s) != STREAM_TYPING_UNKNOWN };
	hex_encode(id, sizeof(id), row->id);
	(void)snprintf(row->stream, sizeof(row->stream), "%s", stream_id(s));
	memcpy(row->epoch, &st.epoch, sizeof(row->epoch));
	return r->c.about(r->c.arg, s, &row->owner, row->name) ? 0 : err_set(e, -ENOENT, "the terminal belongs to nobody");
}

static int begin(struct recorder *r, struct stream *s, const struct recording_row *row, struct err *e)
{
	const struct cast_head head = { .cols = row->cols, .rows = row->rows, .started_s = row->started_ms / 1000, .title = row->name };
	const struct stream_state st = stream_state(s);
	struct recording *rec;
	int fd = make_file(r, row, e), n;

	if (fd < 0)
		return fd;
	rec = new_recording(r, row);
	if (!rec) {
		(void)fd_close(fd);
		return err_set(e, -ENOMEM, "no memory for the recording");
	}
	/* From the beginning where all are recorded: what came before the gateway heard of the stream is in its ring. */
	rec->offset = rec->st.offset = r->c.mode == RECORD_ALWAYS && st.start == 0 ? 0 : st.end;
	rec->zero_us = now_us(CLOCK_MONOTONIC);
	n = go_live(rec, s, fd, e);
	if (n < 0) {
		unlink_recording(rec);
		free(rec);
		return n;
	}
	scribe_header(rec->file, &head);
	if (rec->offset > 0)
		write_preamble(rec, s);
	take_output(rec);
	return 0;
}

int recorder_start(struct recorder *r, struct stream *s, struct recording_row *out, struct err *e)
{
	const struct stream_state st = stream_state(s);
	uint64_t done = 0;
	int n;

	if (r->c.mode == RECORD_OFF)
		return RECORD_E_OFF;
	if (st.recording != STREAM_UNRECORDED)
		return RECORD_E_ON;
	if (st.epoch == 0 || st.ended)
		return RECORD_E_REST;
	n = fill_row(r, s, out, e);
	if (n == 0)
		n = recording_used(r->c.db, out->owner, &done, e);
	if (n < 0)
		return n;
	if (used(r, out->owner, done) + ROOM_LEAST > r->c.quota_bytes)
		return RECORD_E_FULL;
	n = recording_put(r->c.db, out, e);
	if (n < 0)
		return n;
	n = begin(r, s, out, e);
	if (n < 0) {
		(void)recording_drop(r->c.db, out->id, NULL);
		forget_file(r, out);
	}
	return n;
}

static struct recording *find(const struct recorder *r, const char *id)
{
	struct recording *rec = r->all;

	while (rec && strcmp(rec->row.id, id) != 0)
		rec = rec->next;
	return rec;
}

static struct recording *find_stream(const struct recorder *r, const struct stream *s)
{
	struct recording *rec = r->all;

	while (rec && rec->viewer.stream != s)
		rec = rec->next;
	return rec;
}

int recorder_stop(struct recorder *r, struct stream *s, struct recording_row *out)
{
	struct recording *rec = find_stream(r, s);

	if (r->c.mode == RECORD_ALWAYS)
		return RECORD_E_OFF;
	if (!rec)
		return RECORD_E_ON;
	take_output(rec);
	finish(rec, "stopped");
	*out = rec->row;
	recorder_refresh(r, out);
	return 0;
}

void recorder_refresh(const struct recorder *r, struct recording_row *row)
{
	const struct recording *rec = find(r, row->id);

	if (!rec)
		return;
	row->size = (int64_t)rec->st.size;
	row->duration_ms = (int64_t)((rec->ending || !rec->file ? rec->st.at_us : at_us(rec)) / 1000);
}

int recorder_file(const struct recorder *r, const struct recording_row *row, uint64_t *size)
{
	const struct recording *rec = find(r, row->id);
	int fd = open_file(r, row, O_RDONLY);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0) {
		int error = -errno;

		(void)fd_close(fd);
		return error;
	}
	*size = rec ? rec->st.size : (uint64_t)st.st_size;
	return fd;
}

int recorder_delete(struct recorder *r, const struct recording_row *row, struct err *e)
{
	struct recording *rec = find(r, row->id);
	int n;

	if (rec) {
		rec->unwanted = true;
		finish(rec, "deleted");
		if (!rec->file)
			settle(rec);
		return 0;
	}
	n = recording_drop(r->c.db, row->id, e);
	if (n < 0)
		return n;
	forget_file(r, row);
	count_room(r, row->owner);
	return 0;
}

/* --- over the death of a gateway ------------------------------------------------------------------------- */

/* Cut the file back to its last mark. Return: an FD at its end, or -errno; -ENODATA when there is nothing to keep. */
static int mend(const struct recorder *r, const struct recording_row *row, struct scribe_state *out)
{
	_close_ int fd = open_file(r, row, O_RDWR);
	_free_ char *end = malloc(MEND_BYTES);
	struct cast_mark mark = { 0 };
	struct stat st;
	off_t from;
	ssize_t n;
	size_t keep;

	if (fd < 0 || !end)
		return fd < 0 ? fd : -ENOMEM;
	if (fstat(fd, &st) < 0)
		return -errno;
	from = st.st_size > (off_t)MEND_BYTES ? st.st_size - (off_t)MEND_BYTES : 0;
	n = pread(fd, end, MEND_BYTES, from);
	if (n < 0)
		return -errno;
	keep = cast_find_mark(end, (size_t)n, &mark);
	if (keep == 0)
		return -ENODATA;
	from += (off_t)keep;
	if (ftruncate(fd, from) < 0 || lseek(fd, from, SEEK_SET) < 0)
		return -errno;
	*out = (struct scribe_state){ .size = (uint64_t)from, .offset = mark.offset, .at_us = mark.at_us, .replaced = mark.replaced };
	return fd_take(&fd);
}

/* Nobody goes on with it: what there is stays. */
static void interrupted(struct recording *rec)
{
	rec->ending = true;
	set_reason(rec, "interrupted");
	settle(rec);
}

static int wait_for(void *arg, const struct recording_row *row)
{
	struct recorder *r = arg;
	struct scribe_state st = { 0 };
	struct recording *rec;
	int fd = mend(r, row, &st);

	rec = new_recording(r, row);
	if (!rec) {
		(void)fd_close(fd < 0 ? -1 : fd);
		return -ENOMEM;
	}
	rec->st = st;
	if (fd < 0) {
		log_warn("recording %s is lost: %s", row->id, fd == -ENODATA ? "nothing of it had been written" : strerror(-fd));
		rec->unwanted = fd == -ENODATA || fd == -ENOENT;
		rec->ending = true; /* settled by on_adopt_over(): not inside of the walk over the rows */
	} else {
		(void)fd_close(fd);
	}
	return 0;
}

/* Output between the file's end and the ring's start is gone: say so, and set the terminal right. */
static void bridge_gap(struct recording *rec, struct stream *s, uint64_t start)
{
	char text[80];
	int n = snprintf(text, sizeof(text), "%llu bytes of output are missing here", (unsigned long long)(start - rec->offset));

	rec->offset = start;
	(void)scribe_text(rec->file, CAST_MARKER, at_us(rec), rec->offset, (const uint8_t *)text, (size_t)n);
	write_preamble(rec, s);
}

static void resume(struct recording *rec, struct stream *s)
{
	const struct stream_state st = stream_state(s);
	uint64_t since_us = now_us(CLOCK_REALTIME) - (uint64_t)rec->row.started_ms * 1000;
	int fd = st.epoch == rec->epoch && rec->st.offset <= st.end ? mend(rec->r, &rec->row, &rec->st) : -ESTALE;
	struct err e = { 0 };

	/* Clocks are set; time in a recording goes forward. */
	if (since_us < rec->st.at_us || since_us > INT64_MAX)
		since_us = rec->st.at_us;
	rec->zero_us = now_us(CLOCK_MONOTONIC) - since_us;
	rec->offset = rec->st.offset;
	if (fd < 0 || go_live(rec, s, fd, &e) < 0) {
		interrupted(rec);
		return;
	}
	log_info("recording %s goes on", rec->row.id);
	if (rec->offset < st.start)
		bridge_gap(rec, s, stream_safe(s, st.start));
	take_output(rec);
}

void recorder_stream(struct recorder *r, struct stream *s)
{
	struct recording_row row = { 0 };
	struct err e = { 0 };
	int n;

	for (struct recording *rec = r->all; rec; rec = rec->next)
		if (!rec->file && !rec->ending && strcmp(rec->row.stream, stream_id(s)) == 0) {
			resume(rec, s);
			break;
		}
	if (r->c.mode != RECORD_ALWAYS || stream_state(s).recording != STREAM_UNRECORDED || stream_state(s).sealed)
		return;
	n = recorder_start(r, s, &row, &e);
	if (n == 0) {
		tell(r, RECORD_STARTED, &row);
		return;
	}
	if (n == RECORD_E_REST)
		return;
	(void)snprintf(row.reason, sizeof(row.reason), "%s", n == RECORD_E_FULL ? "quota" : "disk_error");
	if (n < 0)
		log_err("stream %s is not recorded: %s", stream_id(s), e.msg);
	tell(r, RECORD_REFUSED, &row);
	stream_record(s, NULL, STREAM_UNRECORDED, n == RECORD_E_FULL ? "quota" : "disk_error");
}

static void on_adopt_over(struct ev_loop *ev, ev_timer *w, int events)
{
	struct recorder *r = container_of(w, struct recorder, adopt);
	struct recording *next;

	(void)events;
	ev_timer_stop(ev, w);
	for (struct recording *rec = r->all; rec; rec = next) {
		next = rec->next;
		if (!rec->file)
			interrupted(rec);
	}
}

/* --- what is too old, and what nobody knows -------------------------------------------------------------- */

struct batch {
	struct recording_row rows[SWEEP_MAX];
	size_t count;
};

static int collect(void *arg, const struct recording_row *row)
{
	struct batch *b = arg;

	b->rows[b->count++] = *row;
	return b->count == SWEEP_MAX;
}

static void sweep(struct recorder *r)
{
	int64_t before_ms = (int64_t)(now_us(CLOCK_REALTIME) / 1000) - r->c.retention_s * 1000;
	struct batch *b = r->c.retention_s > 0 ? calloc(1, sizeof(*b)) : NULL;
	struct err e = { 0 };

	if (!b)
		return;
	if (recording_each_old(r->c.db, before_ms, SWEEP_MAX, collect, b, &e) < 0)
		log_err("recordings: %s", e.msg);
	for (size_t i = 0; i < b->count; i++) {
		if (recorder_delete(r, &b->rows[i], &e) < 0)
			log_err("recordings: %s", e.msg);
		else
			tell(r, RECORD_EXPIRED, &b->rows[i]);
	}
	if (b->count == SWEEP_MAX)
		ev_timer_set(&r->sweep, 1., SWEEP_S);
	free(b);
}

static void on_sweep(struct ev_loop *ev, ev_timer *w, int events)
{
	struct recorder *r = container_of(w, struct recorder, sweep);

	(void)events;
	ev_timer_stop(ev, w);
	ev_timer_set(w, SWEEP_S, SWEEP_S);
	sweep(r);
	ev_timer_start(ev, w);
}

/* A file whose row was never committed, or is gone while its removal was not done. */
static void remove_unknown(struct recorder *r, const char *owner, int dir_fd)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		struct recording_row row;
		char path[PATH_BYTES];
		size_t len = strlen(d->d_name);

		if (len != RECORDING_ID_TEXT - 1 + sizeof(SUFFIX) - 1 || strcmp(d->d_name + RECORDING_ID_TEXT - 1, SUFFIX) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%.40s", owner, d->d_name);
		d->d_name[RECORDING_ID_TEXT - 1] = '\0';
		if (recording_get(r->c.db, d->d_name, &row, NULL) == 0)
			scribe_remove(r->scribe, path);
	}
	if (dir)
		(void)closedir(dir);
	else
		(void)fd_close(dir_fd);
}

static void look_for_unknown(struct recorder *r)
{
	int base = fcntl(r->dir_fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = base < 0 ? NULL : fdopendir(base);
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		int fd = d->d_name[0] >= '1' && d->d_name[0] <= '9' && strlen(d->d_name) < 20 ?
				 openat(r->dir_fd, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) :
				 -1;

		if (fd >= 0)
			remove_unknown(r, d->d_name, fd);
	}
	if (dir)
		(void)closedir(dir);
	else
		(void)fd_close(base);
}

/* --- life ------------------------------------------------------------------------------------------------ */

static int open_dir(struct recorder *r, struct err *e)
{
	if (mkdir(r->c.dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make the folder %s for recordings: %s", r->c.dir, strerror(errno));
	r->dir_fd = open(r->c.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return r->dir_fd < 0 ? err_set(e, -errno, "cannot open the folder %s for recordings: %s", r->c.dir, strerror(errno)) : 0;
}

int recorder_create(struct recorder **out, const struct recorder_config *c, struct err *e)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int n;

	if (!r)
		return err_set(e, -ENOMEM, "no memory for recordings");
	r->c = *c;
	r->dir_fd = -1;
	ev_timer_init(&r->adopt, on_adopt_over, ADOPT_S, 0.);
	ev_timer_init(&r->sweep, on_sweep, 1., SWEEP_S);
	n = open_dir(r, e);
	if (n == 0)
		n = scribe_create(&r->scribe, c->loop, r->dir_fd, e);
	if (n == 0)
		n = recording_each_live(c->db, wait_for, r, e);
	if (n < 0) {
		(void)recorder_destroy(r);
		return n;
	}
	look_for_unknown(r);
	ev_timer_start(c->loop->ev, &r->adopt);
	ev_timer_start(c->loop->ev, &r->sweep);
	*out = r;
	return 0;
}

struct recorder *recorder_destroy(struct recorder *r)
{
	if (!r)
		return NULL;
	ev_timer_stop(r->c.loop->ev, &r->adopt);
	ev_timer_stop(r->c.loop->ev, &r->sweep);
	while (r->all) {
		struct recording *rec = r->all;

		/* Unless it is at its end, its row stays as it is: the next process goes on. */
		if (rec->viewer.stream)
			take_output(rec);
		if (rec->viewer.stream)
			stream_record(rec->viewer.stream, NULL, STREAM_UNRECORDED, "");
		if (rec->ending)
			note_end(rec);
		rec->file = scribe_forget(rec->file);
		r->all = rec->next;
		free(rec);
	}
	r->scribe = scribe_destroy(r->scribe);
	r->dir_fd = fd_close(r->dir_fd);
	free(r);
	return NULL;
}
