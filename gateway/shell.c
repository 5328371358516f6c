/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   OPEN: row, ring and stream are there; its channel from shell_open() on, or since the agent's list had its tag
 *   OPEN --exit--> EXITED, --agent or guest started anew--> LOST: row, ring and stream stay, to be read, until shell_close()
 *
 * Order of safety. The row is written before the agent hears of a shell, so no gateway ever finds a shell in a guest that it has no row of,
 * but one whose closing the agent has not heard of: that is closed then. Output is called safe (agent_channel_take()) when it lies in the ring, a
 * file that survives this process, so the next gateway goes on at the ring's end. Input counts as written when the agent has it, and the agent
 * says how much that is when it is asked again: until it was, nobody may attach (stream_line_up()). An exit is written into the row before the
 * agent is told to forget it.
 *
 * The tag of a shell in the agent's list is TAG and its id.
 */
#include "gateway/shell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/secret.h"
#include "auth/store.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/machine.h"
#include "gateway/ring.h"
#include "gateway/ring_dir.h"
#include "gateway/stream.h"
#include "gateway/viewer.h"
#include "hv/agent/host.h"

#define TAG	     "terrshel" /* 8 bytes */
#define WINDOW	     (4u * (AGENT_DATA_MAX - 8u)) /* output on its way from the agent, in whole frames: with what the agent keeps and the client's window 512 KiB, as with consoles */
#define ASK_MS	     15000
#define FIND_S	     120. /* for an agent to say which shells there are still; nobody can attach to them meanwhile */
#define ALONE_S	     60. /* how often it is looked who attends a command */
#define ALONE_MOST   10  /* so often nobody did: it goes */
#define LOOK_MS	     500 /* between two looks at what runs in front */
#define CWD_MAX	     1024 /* of many shells in one answer; a longer one is not known */
#define ENDED_FACTOR 2	 /* shells that have ended and are kept, beside as many open ones: then the oldest goes */

static const char not_found[] = "the guest was started anew, or its agent";

struct shell {
	struct shells *s; /* borrowed: is in its list */
	struct shell *next;
	struct stream_line line;
	struct stream *stream;	       /* owned */
	struct agent_channel *channel; /* owned; NULL: not found yet, or ended */
	uint32_t job;		       /* its number in the guest; 0 = not known */
	unsigned alone;		       /* of a command: looks at which nobody was attached */
	struct shell_row row;
	char id[SHELL_ID_TEXT], name[STREAM_ID_BYTES];
	char program[AGENT_PROGRAM_BYTES], *cwd; /* owned; what was in front at the last look */
};

struct shells {
	struct shells_shared *shared; /* borrowed, like arg and host */
	const struct shells_hooks *hooks;
	void *arg;
	struct agent_host *host; /* NULL until there was an agent */
	uint8_t machine[16];
	struct shell *first; /* owned; by position */
	ev_timer find, alone;
	uint64_t looked_ms;
	bool look_waits;
};

static bool is_open(const struct shell *sh)
{
	return sh->row.state == SHELL_OPEN;
}

static void changed(struct shells *s)
{
	s->hooks->on_change(s->arg);
}

/* --- the stream's far end ---------------------------------------------------------------------------------- */

static size_t line_write(struct stream_line *line, const uint8_t *data, size_t len)
{
	struct shell *sh = container_of(line, struct shell, line);
	size_t n = sh->channel ? agent_channel_write(sh->channel, data, len) : 0;

	sh->s->shared->bytes_in += n;
	return n;
}

static void line_take(struct stream_line *line, uint64_t offset)
{
	struct shell *sh = container_of(line, struct shell, line);

	if (sh->channel)
		agent_channel_take(sh->channel, AGENT_STDOUT, offset);
}

static void line_resize(struct stream_line *line, struct ring_size size)
{
	struct shell *sh = container_of(line, struct shell, line);

	if (sh->channel && !sh->row.command)
		(void)agent_channel_resize(sh->channel, size.cols, size.rows, size.xpix, size.ypix);
}

static void line_end(struct stream_line *line)
{
	struct shell *sh = container_of(line, struct shell, line);

	if (sh->channel)
		agent_channel_end(sh->channel);
}

static const struct stream_line_ops line_ops = { .write = line_write, .take = line_take, .resize = line_resize, .end = line_end };

/* --- the end ------------------------------------------------------------------------------------------------ */

static void finish(struct shell *sh, enum shell_state how, int code, int signal, const char *why)
{
	struct err e = { 0 };

	if (!is_open(sh))
		return;
	sh->row.state = how;
	sh->row.code = code;
	sh->row.signal = signal;
	(void)snprintf(sh->row.reason, sizeof(sh->row.reason), "%s", why);
	if (store_shell_put(sh->s->shared->store, &sh->row, &e) < 0)
		log_warn("shell %s: its end is not noted: %s", sh->name, e.msg);
	sh->channel = agent_channel_destroy(sh->channel, AGENT_HANG_UP);
	stream_line_end(sh->stream, code, signal, sh->row.reason);
	changed(sh->s);
}

static void lose(struct shell *sh, const char *why)
{
	log_info("shell %s is lost: %s", sh->name, why);
	finish(sh, SHELL_LOST, -1, 0, why);
}

/* --- what the agent says ------------------------------------------------------------------------------------ */

static void on_open(void *arg, int status, const struct agent_job *job)
{
	struct shell *sh = arg;
	char why[sizeof(sh->row.reason)];

	if (status == 0) {
		bool found = stream_state(sh->stream).waits;

		sh->job = job->id;
		stream_line_up(sh->stream, job->in_taken);
		if (found && !sh->row.command)
			sh->s->hooks->on_stream(sh->s->arg, sh->stream);
		return;
	}
	if (status == -ESRCH)
		(void)snprintf(why, sizeof(why), "%s", not_found);
	else if (status == -EPERM && sh->row.command)
		(void)snprintf(why, sizeof(why), "a sealed guest runs nothing for its host; use a sealed terminal");
	else
		(void)snprintf(why, sizeof(why), "the guest cannot serve it: %s", strerror(-status));
	lose(sh, why);
}

static void on_output(void *arg, enum agent_stream stream, uint64_t offset, const uint8_t *data, size_t len)
{
	struct shell *sh = arg;

	(void)offset; /* the channel sees to it that it is the ring's end */
	if (stream != AGENT_STDOUT)
		return;
	sh->s->shared->bytes_out += len;
	stream_line_output(sh->stream, data, len);
}

static void on_end(void *arg, enum agent_stream stream)
{
	(void)arg;
	(void)stream;
}

static void on_input(void *arg)
{
	struct shell *sh = arg;

	if (sh->channel)
		stream_line_moved(sh->stream, agent_channel_input(sh->channel));
}

static void on_exit_told(void *arg, int status, unsigned signal)
{
	finish(arg, SHELL_EXITED, status, (int)signal, "");
}

static const struct agent_channel_hooks channel_hooks = {
	.on_open = on_open, .on_output = on_output, .on_end = on_end, .on_room = on_input, .on_taken = on_input, .on_exit = on_exit_told,
};

/* --- finding them again ------------------------------------------------------------------------------------- */

static struct shell *find(struct shells *s, const uint8_t id[SHELL_ID_BYTES])
{
	struct shell *sh = s->first;

	while (sh && memcmp(sh->row.id, id, SHELL_ID_BYTES) != 0)
		sh = sh->next;
	return sh;
}

static void ignore_reply(void *arg, int status, struct agent_in *in)
{
	(void)arg;
	(void)status;
	(void)in;
}

static void close_job(struct shells *s, uint32_t job)
{
	(void)agent_host_ask(s->host, AGENT_CLOSE, job, NULL, ASK_MS, ignore_reply, NULL);
}

static void attach(struct shell *sh, const struct agent_job *job)
{
	const uint64_t from[2] = { stream_state(sh->stream).end, 0 };

	if (from[0] < job->first[0] || from[0] > job->end[0]) {
		close_job(sh->s, job->id);
		lose(sh, "its output does not fit to what was kept of it");
		return;
	}
	sh->channel = agent_channel_attach(sh->s->host, job->id, from, sh->line.window, &channel_hooks, sh);
	if (!sh->channel)
		log_err("shell %s: no memory", sh->name);
}

static void on_job(struct shells *s, const struct agent_job *job)
{
	struct shell *sh;

	if (job->kind == AGENT_KIND_PORT && memcmp(job->tag, s->shared->port_tag, sizeof(s->shared->port_tag)) != 0)
		close_job(s, job->id); /* a former gateway's connection */
	if (job->kind == AGENT_KIND_EXEC || job->kind == AGENT_KIND_PORT || memcmp(job->tag, TAG, 8) != 0)
		return;
	sh = find(s, job->tag + 8);
	if (!sh || !is_open(sh))
		close_job(s, job->id);
	else if (!sh->channel)
		attach(sh, job);
}

static int open_channel(struct shell *sh, const struct shell_wish *wish)
{
	char machine[33];
	struct agent_open o = { .kind = AGENT_KIND_PTY, .cols = wish->cols, .rows = wish->rows, .cwd = wish->cwd, .env = { "COLORTERM=truecolor" } };

	hex_encode(sh->row.vm, sizeof(sh->row.vm), machine);
	if (sh->row.sealed)
		o = (struct agent_open){ .kind = AGENT_KIND_SEALED, .cwd = "", .argv = { machine } };
	if (sh->row.command) {
		o = (struct agent_open){ .kind = AGENT_KIND_COMMAND, .cwd = wish->cwd, .timeout_ms = wish->timeout_ms };
		for (size_t i = 0; i < AGENT_ARGC_MAX && wish->argv[i]; i++)
			o.argv[i] = wish->argv[i];
		for (size_t i = 0; i < AGENT_ARGC_MAX && wish->env[i]; i++)
			o.env[i] = wish->env[i];
	}
	memcpy(o.tag, TAG, 8);
	memcpy(o.tag + 8, sh->row.id, SHELL_ID_BYTES);
	sh->channel = agent_channel_open(sh->s->host, &o, sh->line.window, &channel_hooks, sh);
	return sh->channel ? 0 : -ENOMEM;
}

/* What the list did not have is gone; but a shell that never said anything may not have got as far as the agent. */
static void miss(struct shell *sh)
{
	struct stream_state st = stream_state(sh->stream);
	struct shell_wish again = { .cwd = "", .cols = st.size.cols, .rows = st.size.rows };

	if (st.end > 0 || st.written > 0 || sh->row.command || open_channel(sh, &again) < 0)
		lose(sh, not_found);
}

static void ask_list(struct shells *s, uint32_t after);

static void on_list(void *arg, int status, struct agent_in *in)
{
	struct shells *s = arg;
	uint32_t count = status == 0 ? agent_get_u32(in) : 0, last = 0;
	struct agent_job job;

	if (status < 0 || in->bad || count > AGENT_LIST_MAX) {
		if (status != -ENOTCONN)
			log_warn("a guest's agent does not list its jobs: %s", status < 0 ? strerror(-status) : "malformed");
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (agent_get_job(in, &job) < 0 || job.id <= last) {
			log_warn("a guest's agent lists jobs that are none");
			return;
		}
		last = job.id;
		on_job(s, &job);
	}
	if (count == AGENT_LIST_MAX) {
		ask_list(s, last);
		return;
	}
	for (struct shell *sh = s->first; sh; sh = sh->next) {
		if (is_open(sh) && !sh->channel)
			miss(sh);
	}
}

static void ask_list(struct shells *s, uint32_t after)
{
	struct buf body = BUF_INIT(4);

	agent_put_u32(&body, after);
	(void)agent_host_ask(s->host, AGENT_LIST, 0, &body, ASK_MS, on_list, s);
	buf_finish(&body);
}

static void on_find(struct ev_loop *ev, ev_timer *timer, int events)
{
	struct shells *s = container_of(timer, struct shells, find);

	(void)events;
	ev_timer_stop(ev, timer);
	for (struct shell *sh = s->first; sh; sh = sh->next) {
		if (is_open(sh) && !sh->channel)
			lose(sh, "the guest's agent does not answer");
	}
}

void shells_expect(struct shells *s)
{
	if (s->first && !ev_is_active(&s->find))
		ev_timer_again(s->shared->loop->ev, &s->find);
}

void shells_ready(struct shells *s, struct agent_host *host)
{
	s->host = host;
	s->look_waits = false;
	ask_list(s, 0);
}

void shells_end(struct shells *s, const char *why)
{
	for (struct shell *sh = s->first; sh; sh = sh->next) {
		if (is_open(sh))
			lose(sh, why);
	}
}

/* --- making and unmaking ------------------------------------------------------------------------------------ */

static const struct stream_hooks stream_hooks = { .on_output = NULL };

static struct shell *shell_free(struct shell *sh)
{
	if (!sh)
		return NULL;
	sh->channel = agent_channel_destroy(sh->channel, AGENT_LEAVE);
	sh->stream = stream_destroy(sh->stream);
	free(sh->cwd);
	free(sh);
	return NULL;
}

static struct shell *shell_alloc(struct shells *s, const struct shell_row *row)
{
	struct shell *sh = calloc(1, sizeof(*sh));
	char machine[MACHINE_ID_TEXT];

	if (!sh)
		return NULL;
	sh->s = s;
	sh->row = *row;
	sh->line.ops = &line_ops;
	sh->line.sealed = row->sealed;
	sh->line.command = row->command;
	hex_encode(row->id, sizeof(row->id), sh->id);
	hex_encode(s->machine, sizeof(s->machine), machine);
	(void)snprintf(sh->name, sizeof(sh->name), "%s.%s", machine, sh->id);
	if (stream_create(&sh->stream, s->shared->loop, s->shared->sched, sh->name, &stream_hooks, s->arg) < 0)
		return shell_free(sh);
	return sh;
}

/* Give it its ring; consumes @fd. Return: 0, or negative: -EBADMSG for one that was to be taken over and is damaged */
static int open_ring(struct shell *sh, int fd, uint32_t bytes, bool adopt)
{
	uint32_t most = (bytes - RING_SLACK) / 2;

	sh->line.window = most < WINDOW ? most : WINDOW;
	return stream_open_line(sh->stream, &sh->line, fd, bytes, adopt);
}

static void insert(struct shell *sh)
{
	struct shell **at = &sh->s->first;

	if (sh->row.command)
		ev_timer_start(sh->s->shared->loop->ev, &sh->s->alone);
	while (*at && (*at)->row.position <= sh->row.position)
		at = &(*at)->next;
	sh->next = *at;
	*at = sh;
}

static void take_out(struct shell *sh)
{
	struct shell **at = &sh->s->first;

	while (*at != sh)
		at = &(*at)->next;
	*at = sh->next;
	sh->next = NULL;
}

static void on_alone(struct ev_loop *ev, ev_timer *timer, int events);

static int load_row(void *arg, const struct shell_row *row)
{
	struct shells *s = arg;
	struct shell *sh = shell_alloc(s, row);
	uint32_t bytes = 0;
	int r;

	if (!sh)
		return -ENOMEM;
	r = ring_dir_open(s->shared->ring_dir, sh->name, &bytes);
	if (r >= 0)
		r = open_ring(sh, r, bytes, true);
	if (r < 0) {
		/* It cannot go on without knowing where. If it still runs it is closed when the agent lists it. */
		log_warn("shell %s is forgotten, its ring cannot be used: %s", sh->name, strerror(-r));
		(void)store_shell_drop(s->shared->store, row->vm, row->id, NULL);
		ring_dir_remove(s->shared->ring_dir, sh->name);
		(void)shell_free(sh);
		return 0;
	}
	insert(sh);
	if (!is_open(sh))
		stream_line_end(sh->stream, row->code, row->signal, row->reason);
	return 0;
}

uint32_t shell_ring_bytes(uint32_t wished)
{
	uint32_t bytes = wished < RING_BYTES_MIN ? RING_BYTES_MIN : wished;

	bytes = (bytes + RING_SLACK - 1) / RING_SLACK * RING_SLACK;
	return bytes < RING_BYTES_MAX ? bytes : RING_BYTES_MAX;
}

int shells_create(struct shells **out, struct shells_shared *shared, const uint8_t machine[16], const struct shells_hooks *hooks, void *arg,
		  struct err *e)
{
	struct shells *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return err_set(e, -ENOMEM, "no memory for the shells");
	s->shared = shared;
	s->hooks = hooks;
	ev_timer_init(&s->find, on_find, 0., FIND_S);
	ev_timer_init(&s->alone, on_alone, ALONE_S, ALONE_S);
	s->arg = arg;
	memcpy(s->machine, machine, sizeof(s->machine));
	if (shared->ring_dir[0])
		r = store_shell_each(shared->store, machine, load_row, s, e);
	if (r < 0) {
		(void)shells_destroy(s);
		return r;
	}
	*out = s;
	return 0;
}

struct shells *shells_destroy(struct shells *s)
{
	if (s) {
		ev_timer_stop(s->shared->loop->ev, &s->find);
		ev_timer_stop(s->shared->loop->ev, &s->alone);
	}
	while (s && s->first) {
		struct shell *sh = s->first;

		s->first = sh->next;
		(void)shell_free(sh);
	}
	free(s);
	return NULL;
}

static int forget(struct shell *sh, struct err *e)
{
	int r = store_shell_drop(sh->s->shared->store, sh->row.vm, sh->row.id, e);

	if (r < 0)
		return r;
	take_out(sh);
	sh->channel = agent_channel_destroy(sh->channel, AGENT_HANG_UP);
	ring_dir_remove(sh->s->shared->ring_dir, sh->name);
	(void)shell_free(sh);
	return 0;
}

void shells_forget(struct shells *s)
{
	while (s->first && forget(s->first, NULL) == 0)
		;
}

/* Commands that nobody waits for any more. */
static void on_alone(struct ev_loop *ev, ev_timer *timer, int events)
{
	struct shells *s = container_of(timer, struct shells, alone);
	bool any = false;

	(void)events;
	for (struct shell *sh = s->first, *next; sh; sh = next) {
		next = sh->next;
		if (!sh->row.command)
			continue;
		sh->alone = stream_viewers(sh->stream) ? 0 : sh->alone + 1;
		any = sh->alone < ALONE_MOST || forget(sh, NULL) < 0 || any;
	}
	if (!any)
		ev_timer_stop(ev, timer);
}

static void make_name(const struct shells *s, char name[SHELL_NAME_BYTES])
{
	unsigned n = 0;
	bool taken = true;

	while (taken) {
		n++;
		(void)snprintf(name, SHELL_NAME_BYTES, n == 1 ? "shell" : "shell %u", n);
		taken = false;
		for (const struct shell *sh = s->first; sh; sh = sh->next)
			taken = taken || strcmp(sh->row.name, name) == 0;
	}
}

/* Those that have ended are kept as long as there are not too many. */
static void drop_oldest_ended(struct shells *s)
{
	struct shell *oldest = NULL;
	uint32_t count = 0;

	for (struct shell *sh = s->first; sh; sh = sh->next) {
		count++;
		if (!is_open(sh) && (!oldest || sh->row.created_s < oldest->row.created_s))
			oldest = sh;
	}
	if (oldest && count >= ENDED_FACTOR * s->shared->max)
		(void)forget(oldest, NULL);
}

static int may_open(const struct shells *s, const struct shell_wish *wish, struct err *e)
{
	if (!s->shared->ring_dir[0] || !s->host)
		return err_set(e, SHELL_E_NO_AGENT, "there is no agent in the machine that could open a shell");
	if (wish->argv && agent_host_version(s->host) < AGENT_VERSION_COMMAND)
		return err_set(e, SHELL_E_OLD_AGENT, "the machine's agent is of an older version and runs no commands");
	if (shells_open_count(s) >= s->shared->max)
		return err_set(e, SHELL_E_TOO_MANY, "the machine has %u of %u shells; close one", s->shared->max, s->shared->max);
	return 0;
}

static int make_row(struct shells *s, const struct shell_wish *wish, struct shell_row *row, struct err *e)
{
	const struct shell *last = s->first;
	int r = secret_random(row->id, sizeof(row->id));

	while (last && last->next)
		last = last->next;
	memcpy(row->vm, s->machine, sizeof(row->vm));
	row->command = wish->argv != NULL;
	row->position = row->command ? 0 : last ? last->row.position + 1 : 1;
	row->created_s = time(NULL);
	row->sealed = wish->sealed;
	(void)snprintf(row->name, sizeof(row->name), "%s", wish->name);
	if (!row->name[0])
		make_name(s, row->name);
	return r < 0 ? err_set(e, r, "no randomness for the shell's id: %s", strerror(-r)) : 0;
}

static int make_ring(struct shell *sh, struct err *e)
{
	const struct shells_shared *shared = sh->s->shared;
	int r = ring_dir_create(shared->ring_dir, sh->name, shared->ring_bytes);

	if (r == -ENOSPC || r == -EDQUOT)
		return err_set(e, SHELL_E_NO_ROOM, "there is no room for the output of another shell");
	if (r >= 0)
		r = open_ring(sh, r, shared->ring_bytes, false);
	return r < 0 ? err_set(e, r, "cannot keep the output of a shell: %s", strerror(-r)) : 0;
}

int shell_open(struct shells *s, struct agent_host *host, const struct shell_wish *wish, struct shell **out, struct err *e)
{
	struct shell_row row = { 0 };
	struct shell *sh;
	int r;

	s->host = host ? host : s->host;
	r = host ? may_open(s, wish, e) : err_set(e, SHELL_E_NO_AGENT, "the machine's agent is not there (yet)");
	if (r)
		return r;
	drop_oldest_ended(s);
	r = make_row(s, wish, &row, e);
	sh = r == 0 ? shell_alloc(s, &row) : NULL;
	if (!sh)
		return r < 0 ? r : err_set(e, -ENOMEM, "no memory for a shell");
	r = make_ring(sh, e);
	if (r == 0)
		r = store_shell_put(s->shared->store, &row, e);
	if (r == 0 && open_channel(sh, wish) < 0) {
		(void)store_shell_drop(s->shared->store, row.vm, row.id, NULL);
		r = err_set(e, -ENOMEM, "no memory for a shell");
	}
	if (r != 0) {
		ring_dir_remove(s->shared->ring_dir, sh->name);
		(void)shell_free(sh);
		return r;
	}
	stream_line_up(sh->stream, 0);
	stream_resize(sh->stream, NULL, (struct ring_size){ .cols = wish->cols ? wish->cols : 80, .rows = wish->rows ? wish->rows : 24 });
	insert(sh);
	s->shared->opened++;
	*out = sh;
	if (!row.command)
		s->hooks->on_stream(s->arg, sh->stream);
	changed(s);
	return 0;
}

int shell_close(struct shell *sh, struct err *e)
{
	struct shells *s = sh->s;
	int r = forget(sh, e);

	if (r == 0)
		changed(s);
	return r;
}

/* --- names and places --------------------------------------------------------------------------------------- */

bool shell_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= SHELL_NAME_BYTES)
		return false;
	for (const char *p = name; *p; p++) {
		unsigned char c = (unsigned char)*p;

		/* C0 and DEL, and as UTF-8 C1 (c2 80 to c2 9f). That it is UTF-8 is known: it came in JSON. */
		if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)p[1] < 0xa0))
			return false;
	}
	return true;
}

int shell_rename(struct shell *sh, const char *name, struct err *e)
{
	struct shell_row row = sh->row;
	int r;

	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	r = store_shell_put(sh->s->shared->store, &row, e);
	if (r == 0) {
		sh->row = row;
		changed(sh->s);
	}
	return r;
}

int shell_move(struct shell *sh, uint32_t position, struct err *e)
{
	struct shells *s = sh->s;
	struct shell **at = &s->first;
	uint32_t n = 1;
	int r = 0;

	take_out(sh);
	for (; *at && (n < position || (*at)->row.command); at = &(*at)->next)
		n += !(*at)->row.command; /* commands have no place */
	sh->next = *at;
	*at = sh;
	n = 0;
	for (struct shell *each = s->first; each; each = each->next) {
		if (each->row.command || each->row.position == ++n)
			continue;
		each->row.position = n;
		r = r < 0 ? r : store_shell_put(s->shared->store, &each->row, e);
	}
	changed(s);
	return r;
}

/* --- looking at them ---------------------------------------------------------------------------------------- */

struct shell *shell_find(struct shells *s, const char *id)
{
	struct shell *sh = s->first;

	while (sh && strcmp(sh->id, id) != 0)
		sh = sh->next;
	return sh;
}

struct shell *shell_next(struct shells *s, const struct shell *after)
{
	return after ? after->next : s->first;
}

struct stream *shell_stream(const struct shell *sh)
{
	return sh->stream;
}

struct shell *shell_of_stream(struct shells *s, const struct stream *stream)
{
	struct shell *sh = s->first;

	while (sh && sh->stream != stream)
		sh = sh->next;
	return sh;
}

bool shell_sealed(const struct shell *sh)
{
	return sh->row.sealed;
}

const char *shell_name(const struct shell *sh)
{
	return sh->row.name;
}

bool shell_is_command(const struct shell *sh)
{
	return sh->row.command;
}

int64_t shell_created_s(const struct shell *sh)
{
	return sh->row.created_s;
}

uint32_t shells_open_count(const struct shells *s)
{
	uint32_t n = 0;

	for (const struct shell *sh = s->first; sh; sh = sh->next)
		n += is_open(sh);
	return n;
}

void shells_sweep(const struct shells_shared *shared, bool (*known)(void *arg, const char *stream_id), void *arg)
{
	if (shared->ring_dir[0])
		ring_dir_sweep(shared->ring_dir, known, arg);
}

static void on_look(void *arg, int status, struct agent_in *in)
{
	struct shells *s = arg;
	uint32_t count = status == 0 ? agent_get_u32(in) : 0;

	s->look_waits = false;
	for (uint32_t i = 0; i < count && !in->bad; i++) {
		struct agent_front front;
		struct shell *sh = s->first;

		if (agent_get_front(in, &front) < 0)
			return;
		while (sh && (sh->job != front.job || !sh->channel))
			sh = sh->next;
		if (!sh)
			continue;
		(void)snprintf(sh->program, sizeof(sh->program), "%s", front.program);
		free(sh->cwd);
		sh->cwd = strlen(front.cwd) <= CWD_MAX ? strdup(front.cwd) : NULL;
	}
}

void shells_look(struct shells *s)
{
	uint64_t now_ms = loop_now_ms();
	struct buf body = BUF_INIT(4);

	if (!s->host || s->look_waits || now_ms - s->looked_ms < LOOK_MS || agent_host_version(s->host) < AGENT_VERSION_FRONT)
		return;
	agent_put_u32(&body, 0);
	s->look_waits = agent_host_ask(s->host, AGENT_FRONT, 0, &body, ASK_MS, on_look, s) == 0;
	buf_finish(&body);
	s->looked_ms = now_ms;
}

/* Text from a guest, as JSON; null where there is none or it is not UTF-8. */
static json_t *guest_text(const char *text)
{
	json_t *json = text && text[0] ? json_string(text) : NULL;

	return json ? json : json_null();
}

json_t *shell_json(const struct shell *sh)
{
	bool exited = sh->row.state == SHELL_EXITED;
	const char *reason = sh->row.reason[0] ? sh->row.reason : NULL;

	return json_pack("{s:s, s:I, s:s, s:o, s:o, s:s?, s:o, s:o}", "name", sh->row.name, "position", (json_int_t)sh->row.position, "state",
			 is_open(sh) ? "open" : "exited", "code", exited && !sh->row.signal ? json_integer(sh->row.code) : json_null(), "signal",
			 exited && sh->row.signal ? json_integer(sh->row.signal) : json_null(), "reason", reason, "title",
			 guest_text(is_open(sh) ? sh->program : NULL), "cwd", guest_text(is_open(sh) ? sh->cwd : NULL));
}
