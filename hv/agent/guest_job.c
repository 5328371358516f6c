/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A job outlives conversations: it owns the program's descriptors and a ring for each output. The ring's front moves only when
 * the host has taken bytes, so a host that vanishes finds everything since then; a full ring stops the reading, which stops the program. Input is
 * counted when it comes and waits in a bounded buffer; what may come is announced, so it always fits. A job ends in this order: program
 * reaped, outputs read to their ends, END and EXIT sent, CLOSE from the host. Only CLOSE frees it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define CUTOFF_S 1.0 /* after the program's end; what it wrote is in the pipes by then, others may hold them for ever */
#define FLOOD_S	  0.1 /* a terminal that has given more than FLOOD_BYTES in this time floods, until a while has passed with less */
#define FLOOD_BYTES 16384U
#define SEND_MAX  (AGENT_DATA_MAX - 8U) /* two of them fit into one message of the gateway to a browser */
#define GATHER_BYTES (4U * SEND_MAX) /* what the gateway lets come; each time it wakes up costs it as much as copying some ten thousand bytes */
#define HANGUP_S 3.0 /* from SIGHUP to SIGKILL */

void job_free(struct guest_job *j)
{
	struct ev_loop *ev = j->g->loop->ev;

	for (struct guest_job **p = &j->g->jobs; *p; p = &(*p)->next) {
		if (*p == j) {
			*p = j->next;
			j->g->njobs--;
			break;
		}
	}
	ev_io_stop(ev, &j->on_exit);
	ev_io_stop(ev, &j->on_input);
	ev_timer_stop(ev, &j->deadline);
	ev_timer_stop(ev, &j->patience);
	port_stop(j);
	for (int s = 0; s < 2; s++) {
		ev_io_stop(ev, &j->out[s].io);
		(void)fd_close(j->out[s].fd);
		free(j->out[s].ring);
	}
	(void)fd_close(j->in_fd);
	(void)fd_close(j->pid_fd);
	buf_finish(&j->in);
	free(j);
}

static void source_end(struct guest_source *src)
{
	ev_io_stop(src->job->g->loop->ev, &src->io);
	src->fd = fd_close(src->fd);
	src->ended = true;
	guest_wake(src->job->g);
}

static void ring_add(struct guest_source *to, const uint8_t *data, size_t len)
{
	size_t at = (size_t)(to->end % AGENT_RING_BYTES), first = AGENT_RING_BYTES - at;

	first = len < first ? len : first;
	memcpy(to->ring + at, data, first);
	memcpy(to->ring, data + first, len - first);
	to->end += len;
}

/* A command's outputs share the ring of the first, in pieces. Returns bytes, 0 at a full ring or when nothing is there. */
static size_t piece_read(struct guest_source *src)
{
	struct guest_source *to = &src->job->out[0];
	size_t room = AGENT_RING_BYTES - (size_t)(to->end - to->first);
	uint8_t piece[AGENT_PIECE_HEAD + AGENT_PIECE_MAX];
	ssize_t n;

	if (room <= AGENT_PIECE_HEAD) {
		ev_io_stop(src->job->g->loop->ev, &src->io);
		return 0;
	}
	room -= AGENT_PIECE_HEAD;
	n = read(src->fd, piece + AGENT_PIECE_HEAD, room < AGENT_PIECE_MAX ? room : AGENT_PIECE_MAX);
	if (n > 0) {
		piece[0] = src == to ? AGENT_STDOUT : AGENT_STDERR;
		piece[1] = piece[2] = 0;
		piece[3] = (uint8_t)(n >> 8);
		piece[4] = (uint8_t)n;
		ring_add(to, piece, AGENT_PIECE_HEAD + (size_t)n);
		return (size_t)n;
	}
	if (n == 0 || (errno != EINTR && errno != EAGAIN) || (errno == EAGAIN && src->job->cutoff))
		source_end(src);
	return 0;
}

/* One read into the contiguous room of the ring. Returns bytes, 0 at a full ring or when nothing is there. */
static size_t source_read(struct guest_source *src)
{
	size_t used = (size_t)(src->end - src->first), at = (size_t)(src->end % AGENT_RING_BYTES);
	size_t room = AGENT_RING_BYTES - used;
	ssize_t n;

	if (src->job->kind == AGENT_KIND_COMMAND)
		return piece_read(src);
	if (room > AGENT_RING_BYTES - at)
		room = AGENT_RING_BYTES - at;
	if (room == 0) {
		ev_io_stop(src->job->g->loop->ev, &src->io);
		return 0;
	}
	n = read(src->fd, src->ring + at, room);
	if (n > 0) {
		src->end += (uint64_t)n;
		return (size_t)n;
	}
	if (n < 0 && errno == EINTR)
		return 0;
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK) || src->job->cutoff)
		source_end(src); /* a PTY ends with EIO */
	return 0;
}

static void judge_flood(struct guest_source *src, ev_tstamp now, size_t n)
{
	if (now - src->since >= FLOOD_S) {
		src->floods = src->lately > FLOOD_BYTES && now - src->since < 2 * FLOOD_S;
		src->since = now;
		src->lately = 0;
	}
	src->lately += n;
	src->floods = src->floods || src->lately > FLOOD_BYTES;
}

/* What comes next may be the answer to what was typed: it does not wait, and many answers are no flood. A sealed one is a hundred times its key. */
static void source_answers(struct guest_source *src)
{
	src->floods = false;
	src->lately = 0;
}

/* A flood may be gathered: nobody waits for one piece of it. */
static void output_came(struct guest_source *src)
{
	if (src->floods && src->end - src->sent < GATHER_BYTES)
		guest_wake_soon(src->job->g);
	else
		guest_wake(src->job->g);
}

static void on_output(struct ev_loop *ev, ev_io *w, int events)
{
	struct guest_source *src = w->data;
	size_t n = source_read(src);

	(void)events;
	if (n == 0)
		return;
	if (src->job->kind == AGENT_KIND_PTY || src->job->kind == AGENT_KIND_SEALED)
		judge_flood(src, ev_now(ev), n);
	output_came(src);
}

static void source_start(struct guest_job *j, int which)
{
	struct guest_source *src = &j->out[which];

	src->job = j;
	src->ended = src->end_sent = src->fd < 0;
	if (src->fd < 0)
		return;
	ev_io_init(&src->io, on_output, src->fd, EV_READ);
	src->io.data = src;
	ev_io_start(j->g->loop->ev, &src->io);
}

/* In its first moments a program leads no group yet: then it is alone. Return: 0 or -errno */
static int kill_group(const struct guest_job *j, int number)
{
	if (j->reaped)
		return -ESRCH;
	return kill(-j->pid, number) < 0 && kill(j->pid, number) < 0 ? -errno : 0;
}

static void on_deadline(struct ev_loop *ev, ev_timer *w, int events)
{
	struct guest_job *j = w->data;

	(void)events;
	ev_timer_stop(ev, w);
	(void)kill_group(j, SIGKILL);
}

/* After CLOSE: patience with the program is over. After its end: with whoever holds its pipes. */
static void on_patience(struct ev_loop *ev, ev_timer *w, int events)
{
	struct guest_job *j = w->data;

	(void)events;
	ev_timer_stop(ev, w);
	if (j->closing) {
		(void)kill_group(j, SIGKILL);
		return;
	}
	j->cutoff = true;
	for (int s = 0; s < 2; s++) {
		while (!j->out[s].ended && source_read(&j->out[s]) > 0)
			;
	}
	guest_wake(j->g);
}

static void patience_start(struct guest_job *j, double seconds)
{
	ev_timer_stop(j->g->loop->ev, &j->patience);
	ev_timer_set(&j->patience, seconds, 0.);
	ev_timer_start(j->g->loop->ev, &j->patience);
}

static void on_exit_of_program(struct ev_loop *ev, ev_io *w, int events)
{
	struct guest_job *j = w->data;
	int status;

	(void)events;
	if (waitpid(j->pid, &status, WNOHANG) != j->pid)
		return;
	ev_io_stop(ev, &j->on_exit);
	ev_timer_stop(ev, &j->deadline);
	j->reaped = true;
	j->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	j->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (j->closing) {
		job_free(j);
		return;
	}
	patience_start(j, CUTOFF_S);
	guest_wake(j->g);
}

static void input_close(struct guest_job *j)
{
	ev_io_stop(j->g->loop->ev, &j->on_input);
	if (j->kind == AGENT_KIND_PORT && j->in_fd >= 0)
		(void)shutdown(j->in_fd, SHUT_WR);
	j->in_fd = fd_close(j->in_fd);
	j->in.len = 0;
}

static void announce(struct guest_job *j)
{
	j->in_limit = j->in_taken + AGENT_INPUT_BYTES - j->in.len;
	j->credit_due = true;
	if (j->in_told - j->in_taken > AGENT_INPUT_BYTES / 2)
		guest_wake_soon(j->g); /* with the answer, as a rule: the host may go on without this */
	else
		guest_wake(j->g);
}

/* Writes what waits. A program that has closed its input gets no more; what still comes is counted and dropped. */
static void input_write(struct guest_job *j)
{
	ssize_t n = j->in.len > 0 ? write(j->in_fd, j->in.data, j->in.len) : 0;

	if (n >= 0)
		buf_eat(&j->in, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		input_close(j);
	if (j->in.len == 0 && j->in_end)
		input_close(j);
	if (j->in_fd >= 0 && j->in.len > 0)
		ev_io_start(j->g->loop->ev, &j->on_input);
	else
		ev_io_stop(j->g->loop->ev, &j->on_input);
	announce(j);
}

static void on_input(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)events;
	input_write(w->data);
}

static struct guest_job *job_alloc(struct guest *g, const struct agent_open *o)
{
	struct guest_job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->g = g;
	j->kind = o->kind;
	memcpy(j->tag, o->tag, sizeof(j->tag));
	j->cols = o->cols ? o->cols : 80;
	j->rows = o->rows ? o->rows : 24;
	j->pid_fd = j->in_fd = j->connect.fd = j->out[0].fd = j->out[1].fd = -1;
	j->in = BUF_INIT(AGENT_INPUT_BYTES);
	j->in_limit = j->in_told = AGENT_INPUT_BYTES;
	ev_init(&j->on_exit, on_exit_of_program);
	ev_init(&j->on_input, on_input);
	ev_timer_init(&j->deadline, on_deadline, o->timeout_ms / 1000., 0.);
	ev_timer_init(&j->patience, on_patience, HANGUP_S, 0.);
	ev_init(&j->out[0].io, on_output);
	ev_init(&j->out[1].io, on_output);
	j->on_exit.data = j->on_input.data = j->deadline.data = j->patience.data = j;
	j->out[0].ring = malloc(AGENT_RING_BYTES);
	j->out[1].ring = o->kind == AGENT_KIND_EXEC ? malloc(AGENT_RING_BYTES) : NULL;
	if (j->out[0].ring && (j->out[1].ring || o->kind != AGENT_KIND_EXEC))
		return j;
	job_free(j);
	return NULL;
}

static struct guest_job *find_tag(const struct guest *g, const uint8_t tag[16])
{
	struct guest_job *j = g->jobs;

	while (j && (j->closing || memcmp(j->tag, tag, sizeof(j->tag)) != 0))
		j = j->next;
	return j;
}

void job_begin_streams(struct guest_job *j)
{
	ev_io_set(&j->on_input, j->in_fd, EV_WRITE);
	source_start(j, 0);
	source_start(j, 1);
}

static bool is_connecting(const struct guest_job *j)
{
	return j->connect.fd >= 0;
}

/* Has the OPEN of @j to wait? Who has asked last is answered. */
static int opening(struct guest_job *j, uint32_t seq)
{
	if (!is_connecting(j))
		return 0;
	j->connect.seq = seq;
	j->connect.answer_due = true;
	return JOB_E_LATER;
}

static void program_begins(struct guest_job *j, uint32_t timeout_ms)
{
	ev_io_set(&j->on_exit, j->pid_fd, EV_READ);
	ev_io_start(j->g->loop->ev, &j->on_exit);
	job_begin_streams(j);
	if (timeout_ms > 0)
		ev_timer_start(j->g->loop->ev, &j->deadline);
}

int job_open(struct guest *g, const struct agent_open *o, uint32_t seq, struct guest_job **out)
{
	struct guest_job *j = find_tag(g, o->tag), **last = &g->jobs;
	int r;

	*out = j;
	if (j)
		return opening(j, seq);
	if (g->njobs >= AGENT_JOBS_MAX)
		return -EAGAIN;
	j = job_alloc(g, o);
	if (!j)
		return -ENOMEM;
	r = o->kind == AGENT_KIND_PORT ? port_job(j, o) : spawn_job(j, o);
	if (r < 0) {
		job_free(j);
		return r;
	}
	j->id = ++g->last_id;
	while (*last)
		last = &(*last)->next;
	*last = j;
	g->njobs++;
	j->reaped = j->pid_fd < 0; /* a connection has no program that could end */
	if (!j->reaped)
		program_begins(j, o->timeout_ms);
	*out = j;
	return opening(j, seq);
}

struct guest_job *job_find(struct guest *g, uint32_t id)
{
	struct guest_job *j = g->jobs;

	while (j && (j->id != id || j->closing))
		j = j->next;
	return j;
}

/* Bytes before @to are in safe hands. */
static void source_forget(struct guest_source *src, uint64_t to)
{
	struct guest_job *j = src->job;
	bool shared = j->kind == AGENT_KIND_COMMAND && src == &j->out[0];

	src->first = to;
	if (src->end - src->first >= AGENT_RING_BYTES)
		return;
	if (!src->ended)
		ev_io_start(j->g->loop->ev, &src->io);
	if (shared && !j->out[1].ended)
		ev_io_start(j->g->loop->ev, &j->out[1].io);
}

int job_attach(struct guest_job *j, const uint64_t from[2])
{
	if (is_connecting(j))
		return -EAGAIN;
	for (int s = 0; s < 2; s++) {
		if (from[s] != AGENT_OLDEST && (from[s] < j->out[s].first || from[s] > j->out[s].end))
			return -ERANGE;
	}
	for (int s = 0; s < 2; s++) {
		struct guest_source *src = &j->out[s];

		if (from[s] != AGENT_OLDEST)
			source_forget(src, from[s]);
		src->sent = src->limit = src->first;
		src->end_sent = !src->ring;
	}
	j->attached = true;
	j->exit_sent = false;
	j->in_told = j->in_taken; /* whoever attaches knows of no room */
	announce(j);
	return 0;
}

void job_detach_all(struct guest *g)
{
	for (struct guest_job *j = g->jobs; j; j = j->next)
		j->attached = j->connect.answer_due = false;
}

void job_describe(const struct guest_job *j, struct agent_job *out)
{
	bool ended = j->reaped && j->out[0].ended && j->out[1].ended;

	*out = (struct agent_job){ .id = j->id, .pid = (uint32_t)j->pid, .kind = j->kind, .cols = j->cols, .rows = j->rows };
	memcpy(out->tag, j->tag, sizeof(out->tag));
	for (int s = 0; s < 2; s++) {
		out->first[s] = j->out[s].first;
		out->end[s] = j->out[s].end;
	}
	out->flags = (uint8_t)((ended ? AGENT_JOB_ENDED : 0) | (j->out[0].ended ? AGENT_JOB_STDOUT_END : 0) |
			       (j->out[1].ended ? AGENT_JOB_STDERR_END : 0));
	out->in_taken = j->in_taken;
	out->status = j->status;
	out->signal = (uint32_t)j->signal;
}

int job_resize(struct guest_job *j, uint16_t cols, uint16_t rows, uint16_t xpix, uint16_t ypix)
{
	struct winsize size = { .ws_row = rows, .ws_col = cols, .ws_xpixel = xpix, .ws_ypixel = ypix };

	if (cols == 0 || rows == 0)
		return -EINVAL;
	if (j->kind != AGENT_KIND_PTY || j->in_fd < 0)
		return -ENOTTY;
	if (ioctl(j->in_fd, TIOCSWINSZ, &size) < 0)
		return -errno;
	j->cols = cols;
	j->rows = rows;
	return 0;
}

int job_signal(struct guest_job *j, uint32_t number)
{
	pid_t front = -1;

	if (number == 0 || number >= NSIG)
		return -EINVAL;
	if (j->kind == AGENT_KIND_PTY && j->in_fd >= 0 && !j->reaped)
		front = tcgetpgrp(j->in_fd);
	if (front > 0 && front != j->pid)
		return kill(-front, (int)number) < 0 ? -errno : 0;
	return kill_group(j, (int)number);
}

int job_front(const struct guest_job *j, uint32_t *pid, char program[AGENT_PROGRAM_BYTES], char cwd[AGENT_PATH_MAX + 1])
{
	char path[64];
	pid_t front;
	ssize_t n;

	if (j->kind != AGENT_KIND_PTY || j->in_fd < 0)
		return -ENOTTY;
	front = tcgetpgrp(j->in_fd);
	if (front <= 0)
		front = j->pid;
	*pid = (uint32_t)front;
	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)front);
	if (fd_read_file(AT_FDCWD, path, program, AGENT_PROGRAM_BYTES) < 0)
		program[0] = '\0';
	program[strcspn(program, "\n")] = '\0';
	(void)snprintf(path, sizeof(path), "/proc/%d/cwd", (int)front);
	n = readlink(path, cwd, AGENT_PATH_MAX);
	cwd[n > 0 ? n : 0] = '\0';
	return 0;
}

void job_close(struct guest_job *j)
{
	if (j->reaped) {
		job_free(j);
		return;
	}
	j->closing = true;
	j->attached = false;
	(void)kill_group(j, SIGHUP);
	(void)kill_group(j, SIGCONT); /* a stopped program would never learn of it */
	input_close(j);
	for (int s = 0; s < 2; s++)
		source_end(&j->out[s]);
	patience_start(j, HANGUP_S);
}

void job_end_all(struct guest *g)
{
	while (g->jobs) {
		(void)kill_group(g->jobs, SIGHUP);
		(void)kill_group(g->jobs, SIGCONT);
		job_free(g->jobs);
	}
}

bool job_on_data(struct guest_job *j, struct agent_in *body)
{
	uint64_t offset = agent_get_u64(body);
	uint64_t known = j->in_taken - offset;

	if (body->bad || !j->attached || offset > j->in_taken || j->in_limit - offset < body->left)
		return false;
	if (known >= body->left)
		return true;
	body->at += known;
	body->left -= (size_t)known;
	if (j->in_end && j->kind != AGENT_KIND_COMMAND)
		return false;
	if (j->in_fd >= 0 && !j->in_end) { /* a gateway that came later does not know of a command's end of input: the rest is dropped */
		if (buf_add(&j->in, body->at, body->left) < 0)
			return false; /* no memory: it was not taken, the host has it still */
	}
	j->in_taken += body->left;
	if (j->in_fd >= 0 && !ev_is_active(&j->on_input))
		input_write(j);
	else
		announce(j);
	source_answers(&j->out[0]);
	return true;
}

bool job_on_end(struct guest_job *j, struct agent_in *body)
{
	uint64_t offset = agent_get_u64(body);

	if (!agent_get_done(body) || !j->attached || offset != j->in_taken)
		return false;
	if (j->kind == AGENT_KIND_PTY)
		return true; /* a terminal has no end of input: closing it hangs up */
	j->in_end = true;
	if (j->in.len == 0)
		input_close(j);
	return true;
}

bool job_on_credit(struct guest_job *j, uint8_t stream, struct agent_in *body)
{
	struct guest_source *src = &j->out[stream == AGENT_STDERR];
	uint64_t taken = agent_get_u64(body), limit = agent_get_u64(body);
	bool waits = src->sent >= src->limit;

	if (!agent_get_done(body) || stream == AGENT_STDIN || !j->attached)
		return false;
	if (taken < src->first || taken > src->sent || limit < src->limit)
		return false;
	source_forget(src, taken);
	src->limit = limit;
	if (waits)
		output_came(src);
	return true;
}

static void send_data(struct guest_job *j, int s)
{
	struct guest_source *src = &j->out[s];
	struct agent_frame head = { .type = AGENT_DATA, .stream = (uint8_t)(AGENT_STDOUT + s), .job = j->id };
	size_t start, sent = 0;

	while (guest_room(j->g) && src->sent < src->end && src->sent < src->limit) {
		uint64_t stop = src->end < src->limit ? src->end : src->limit;
		size_t at = (size_t)(src->sent % AGENT_RING_BYTES), n = SEND_MAX, first = AGENT_RING_BYTES - at;

		n = stop - src->sent < n ? (size_t)(stop - src->sent) : n;
		if (n < SEND_MAX && sent > 0 && src->floods) {
			guest_wake_soon(j->g); /* a small rest of a flood is not worth a frame: it goes with what comes next */
			return;
		}
		first = first < n ? first : n;
		start = guest_begin(j->g, &head);
		agent_put_u64(&j->g->link.out, src->sent);
		agent_put_bytes(&j->g->link.out, src->ring + at, first);
		agent_put_bytes(&j->g->link.out, src->ring, n - first);
		if (guest_end(j->g, start) < 0)
			return;
		src->sent += n;
		sent += n;
	}
	if (!guest_room(j->g) || !src->ended || src->end_sent || src->sent != src->end || (!j->out[1].ring && !j->out[1].ended))
		return;
	head.type = AGENT_END;
	start = guest_begin(j->g, &head);
	agent_put_u64(&j->g->link.out, src->end);
	src->end_sent = guest_end(j->g, start) == 0;
}

static void send_credit(struct guest_job *j)
{
	size_t start = guest_begin(j->g, &(struct agent_frame){ .type = AGENT_CREDIT, .stream = AGENT_STDIN, .job = j->id });

	agent_put_u64(&j->g->link.out, j->in_taken);
	agent_put_u64(&j->g->link.out, j->in_limit);
	if (guest_end(j->g, start) < 0)
		return;
	j->credit_due = false;
	j->in_told = j->in_limit;
}

static void send_exit(struct guest_job *j)
{
	size_t start = guest_begin(j->g, &(struct agent_frame){ .type = AGENT_EXIT, .job = j->id });

	agent_put_u32(&j->g->link.out, (uint32_t)j->status);
	agent_put_u32(&j->g->link.out, (uint32_t)j->signal);
	if (guest_end(j->g, start) == 0)
		j->exit_sent = true;
}

void job_pump(struct guest_job *j)
{
	if (!j->attached)
		return;
	if (j->credit_due)
		send_credit(j);
	send_data(j, 0);
	if (j->out[1].ring)
		send_data(j, 1);
	if (j->reaped && j->out[0].end_sent && j->out[1].end_sent && !j->exit_sent)
		send_exit(j);
}
