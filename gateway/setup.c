/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   WAITING --agent there--> RUNNING (packages, then script, one command each) --exit 0 of the last--> DONE
 *                            RUNNING --another exit, the guest gone or started anew--> FAILED
 *
 * Nothing runs twice. Before the agent hears of a command the row says which (@run is in its tag) and in which life of the agent (@boot). A gateway
 * that comes later asks for the command with the same tag: the agent of that life has it, running or ended, or has never heard of it and starts it now;
 * another life is a failure. An exit is in the row before the agent is told to forget the command. Output is taken at the ends of pieces, so
 * whoever goes on finds the beginning of one.
 */
#include "gateway/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/secret.h"
#include "auth/setup.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/recipe.h"
#include "hv/agent/host.h"

#define TAG	       "terrsetp" /* 8 bytes; the run follows */
#define WINDOW	       65536u
#define LOG_MAX	       (SETUP_LOG_BYTES - 1U)
#define LINES	       3U
#define LINE_MAX_BYTES 160U
#define NOTIFY_S       0.5
#define SAVE_MS	       10000u /* how old what the row has of the output may be */
#define TIMEOUT_MS     3600000u

_Static_assert(SETUP_SCRIPT_BYTES > RECIPE_SCRIPT_MAX, "a script fits its row");
_Static_assert(SETUP_PACKAGES_BYTES > RECIPE_PACKAGES_MAX * (RECIPE_PACKAGE_MAX + 3) + 2, "and so do packages");

enum setup_state { WAITING, RUNNING, DONE, FAILED, STATE_COUNT };
enum setup_step { NO_STEP, PACKAGES, SCRIPT, STEP_COUNT };

static const char *const state_names[] = { "waiting", "running", "done", "failed" };
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == STATE_COUNT, "a word for every state");
static const char *const step_names[] = { NULL, "packages", "script" };
_Static_assert(sizeof(step_names) / sizeof(step_names[0]) == STEP_COUNT, "a word for every step");

/* What the guest's shell is told; names and script are its arguments, never part of it. */
static const char install[] = "apt-get -q update && exec apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 install --no-install-recommends -- \"$@\"";
/* With #! it is a program of its own; it stays, to be read. */
static const char run_script[] =
	"cd \"${HOME:-/}\" || cd /\n"
	"case $1 in\n"
	"'#!'*)\n"
	"	d=$(mktemp -d /tmp/startup.XXXXXX) && printf '%s' \"$1\" >$d/startup && chmod 700 $d/startup || exit 126\n"
	"	exec $d/startup ;;\n"
	"*) exec /bin/sh -c \"$1\" startup ;;\n"
	"esac";

/**
 * struct piece - where in the command's output the next byte is
 * @head: of the piece, @have bytes of it; @left: of its content; @at: offset of the next byte
 */
struct piece {
	uint8_t head[AGENT_PIECE_HEAD];
	size_t have, left;
	uint64_t at;
};

struct setup {
	struct loop *loop; /* borrowed, like db, hooks, arg and host */
	struct db *db;
	const struct setup_hooks *hooks;
	void *arg;
	struct agent_host *host;       /* NULL until there was an agent */
	struct agent_channel *channel; /* owned; NULL: nothing runs, or not known yet */
	struct piece piece;
	enum setup_state state;
	enum setup_step step;
	uint8_t machine[16], run[8], boot[16], host_boot[16];
	char recipe[RECIPE_NAME_BYTES], reason[sizeof(((struct setup_row *)0)->reason)];
	json_t *packages; /* owned */
	char *script;	  /* owned; NULL for none */
	int code, signal;
	int64_t began_s, ended_s;
	struct buf log;	       /* the end of what was printed, without control characters */
	unsigned escape;       /* of a terminal, within the output: 1 after ESC, 2 in its arguments */
	uint64_t saved_ms;
	ev_timer notify;
	bool news; /* while @notify runs */
};

/* --- keeping and telling ------------------------------------------------------------------------------------ */

static int save(struct setup *s, struct err *e)
{
	struct setup_row *row = calloc(1, sizeof(*row));
	int r;

	if (!row)
		return err_set(e, -ENOMEM, "no memory to note what is to be done in the machine");
	memcpy(row->vm, s->machine, sizeof(row->vm));
	memcpy(row->run, s->run, sizeof(row->run));
	memcpy(row->boot, s->boot, sizeof(row->boot));
	(void)snprintf(row->recipe, sizeof(row->recipe), "%s", s->recipe);
	(void)json_dumpb(s->packages, row->packages, sizeof(row->packages) - 1, JSON_COMPACT);
	(void)snprintf(row->script, sizeof(row->script), "%s", s->script ? s->script : "");
	(void)snprintf(row->reason, sizeof(row->reason), "%s", s->reason);
	memcpy(row->log, s->log.data ? s->log.data : "", s->log.len);
	row->state = s->state;
	row->step = s->step;
	row->code = s->code;
	row->signal = s->signal;
	row->began_s = s->began_s;
	row->ended_s = s->ended_s;
	r = setup_row_put(s->db, row, e);
	free(row);
	s->saved_ms = loop_now_ms();
	return r;
}

static void save_or_warn(struct setup *s)
{
	struct err e = { 0 };

	if (save(s, &e) < 0)
		log_warn("what was done in a machine is not noted: %s", e.msg);
}

static void changed(struct setup *s)
{
	s->news = true;
	if (ev_is_active(&s->notify))
		return;
	s->news = false;
	ev_timer_again(s->loop->ev, &s->notify);
	s->hooks->on_change(s->arg);
}

static void on_notify(struct ev_loop *ev, ev_timer *timer, int events)
{
	struct setup *s = container_of(timer, struct setup, notify);

	(void)events;
	ev_timer_stop(ev, timer);
	if (!s->news)
		return;
	if (s->state == RUNNING && loop_now_ms() - s->saved_ms >= SAVE_MS)
		save_or_warn(s);
	changed(s);
}

static void end(struct setup *s, enum setup_state how, const char *why)
{
	s->state = how;
	s->ended_s = time(NULL);
	(void)snprintf(s->reason, sizeof(s->reason), "%s", why);
	save_or_warn(s);
	s->channel = agent_channel_destroy(s->channel, AGENT_HANG_UP);
	changed(s);
}

/* --- output -------------------------------------------------------------------------------------------------- */

/* The oldest lines go; what is kept begins with a line. */
static void make_room(struct buf *log, size_t len)
{
	size_t most = LOG_MAX - len, n;
	const char *line;

	if (log->len <= most)
		return;
	n = log->len - most;
	line = memchr(log->data + n, '\n', log->len - n);
	buf_eat(log, line ? (size_t)(line + 1 - log->data) : log->len);
}

/* What is for terminals only is left out. */
static void add_text(struct setup *s, const uint8_t *data, size_t len)
{
	char text[AGENT_PIECE_MAX];
	size_t n = 0;

	for (size_t i = 0; i < len && n < sizeof(text); i++) {
		uint8_t c = data[i];

		if (s->escape) {
			s->escape = s->escape == 1 && c == '[' ? 2 : s->escape == 2 && (c < 0x40 || c > 0x7e) ? 2 : 0;
			continue;
		}
		if (c == 0x1b)
			s->escape = 1;
		else if (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f))
			text[n++] = (char)c;
		else if (c == '\r' && i + 1 < len && data[i + 1] != '\n')
			text[n++] = '\n';
	}
	if (n > LOG_MAX / 2) {
		memmove(text, text + (n - LOG_MAX / 2), LOG_MAX / 2);
		n = LOG_MAX / 2;
	}
	make_room(&s->log, n);
	(void)buf_add(&s->log, text, n);
}

/* The head of the next piece is complete. Return: 0, or -EPROTO for one that is none */
static int begin_piece(struct piece *p)
{
	uint32_t len = (uint32_t)p->head[1] << 24 | (uint32_t)p->head[2] << 16 | (uint32_t)p->head[3] << 8 | p->head[4];

	if ((p->head[0] != AGENT_STDOUT && p->head[0] != AGENT_STDERR) || len == 0 || len > AGENT_PIECE_MAX)
		return -EPROTO;
	p->left = len;
	return 0;
}

static void on_output(void *arg, enum agent_stream stream, uint64_t offset, const uint8_t *data, size_t len)
{
	struct setup *s = arg;
	struct piece *p = &s->piece;
	uint64_t whole = 0;

	if (stream != AGENT_STDOUT)
		return;
	p->at = offset;
	while (len > 0) {
		size_t n = p->left > 0 ? p->left : AGENT_PIECE_HEAD - p->have;

		n = n < len ? n : len;
		if (p->left > 0) {
			add_text(s, data, n);
			p->left -= n;
			p->have = p->left > 0 ? p->have : 0;
		} else {
			memcpy(p->head + p->have, data, n);
			p->have += n;
			if (p->have == AGENT_PIECE_HEAD && begin_piece(p) < 0) {
				end(s, FAILED, "the machine's agent gave output that is none");
				return;
			}
		}
		p->at += n;
		data += n;
		len -= n;
		if (p->left == 0 && p->have == 0)
			whole = p->at;
	}
	if (whole > 0)
		agent_channel_take(s->channel, AGENT_STDOUT, whole);
	changed(s);
}

/* --- commands ------------------------------------------------------------------------------------------------ */

static void on_open(void *arg, int status, const struct agent_job *job)
{
	char why[sizeof(((struct setup *)0)->reason)];

	(void)job;
	if (status == 0)
		return;
	if (status == -EPERM)
		(void)snprintf(why, sizeof(why), "a sealed machine runs nothing for its host");
	else if (status == -ESRCH || status == -ERANGE)
		(void)snprintf(why, sizeof(why), "the machine or its agent was started anew before it had ended");
	else
		(void)snprintf(why, sizeof(why), "the machine cannot run it: %s", strerror(-status));
	end(arg, FAILED, why);
}

static void on_end(void *arg, enum agent_stream stream)
{
	(void)arg;
	(void)stream;
}

static void on_room(void *arg)
{
	(void)arg;
}

static void on_exit_told(void *arg, int status, unsigned signal);

static const struct agent_channel_hooks channel_hooks = {
	.on_open = on_open, .on_output = on_output, .on_end = on_end, .on_room = on_room, .on_exit = on_exit_told,
};

/* Ask for the command that @step and @run say: the agent starts it, or has it already. */
static void open_command(struct setup *s)
{
	struct agent_open o = { .kind = AGENT_KIND_COMMAND, .cwd = "", .timeout_ms = TIMEOUT_MS, .argv = { "/bin/sh", "-c" }, .env = { "DEBIAN_FRONTEND=noninteractive" } };
	const json_t *each;
	size_t i;

	o.argv[2] = s->step == PACKAGES ? install : run_script;
	o.argv[3] = step_names[s->step];
	if (s->step == SCRIPT)
		o.argv[4] = s->script;
	json_array_foreach(s->packages, i, each) {
		if (s->step == PACKAGES && i < RECIPE_PACKAGES_MAX)
			o.argv[4 + i] = json_string_value(each);
	}
	memcpy(o.tag, TAG, 8);
	memcpy(o.tag + 8, s->run, sizeof(s->run));
	s->piece = (struct piece){ 0 };
	s->escape = 0;
	s->channel = agent_channel_open(s->host, &o, WINDOW, &channel_hooks, s);
	if (s->channel)
		agent_channel_end(s->channel);
	else
		end(s, FAILED, "there was no memory to run it");
}

/* The row first: see above. */
static void begin(struct setup *s, enum setup_step step)
{
	struct err e = { 0 };
	int r = secret_random(s->run, sizeof(s->run));

	s->state = RUNNING;
	s->step = step;
	s->code = s->signal = 0;
	s->reason[0] = '\0';
	memcpy(s->boot, s->host_boot, sizeof(s->boot));
	if (s->began_s == 0)
		s->began_s = time(NULL);
	r = r < 0 ? err_set(&e, r, "there is no randomness") : save(s, &e);
	if (r < 0) {
		end(s, FAILED, e.msg);
		return;
	}
	(void)agent_channel_destroy(s->channel, AGENT_HANG_UP);
	open_command(s);
	changed(s);
}

static void on_exit_told(void *arg, int status, unsigned signal)
{
	struct setup *s = arg;
	char why[sizeof(s->reason)];

	s->code = status;
	s->signal = (int)signal;
	if (status == 0 && signal == 0) {
		if (s->step == PACKAGES && s->script)
			begin(s, SCRIPT);
		else
			end(s, DONE, "");
		return;
	}
	if (signal)
		(void)snprintf(why, sizeof(why), "%s was ended by signal %u%s", s->step == PACKAGES ? "the installation" : "the script", signal,
			       signal == 9 && time(NULL) - s->began_s >= TIMEOUT_MS / 1000 ? ", after an hour" : "");
	else
		(void)snprintf(why, sizeof(why), "%s ended with status %d", s->step == PACKAGES ? "the installation" : "the script", status);
	end(s, FAILED, why);
}

void setup_ready(struct setup *s, struct agent_host *host, const uint8_t boot[16])
{
	if (!s)
		return;
	s->host = host;
	memcpy(s->host_boot, boot, sizeof(s->host_boot));
	if (s->state == RUNNING && memcmp(s->boot, boot, sizeof(s->boot)) != 0)
		end(s, FAILED, "the machine or its agent was started anew before it had ended");
	else if (s->state == RUNNING && !s->channel)
		open_command(s);
	else if (s->state == WAITING && agent_host_version(host) < AGENT_VERSION_COMMAND)
		end(s, FAILED, "the machine's agent is of an older version and runs no commands");
	else if (s->state == WAITING)
		begin(s, json_array_size(s->packages) > 0 ? PACKAGES : SCRIPT);
}

void setup_gone(struct setup *s, const char *why)
{
	char text[sizeof(s->reason)];

	if (!s || s->state != RUNNING)
		return;
	(void)snprintf(text, sizeof(text), "%s before it had ended", why);
	end(s, FAILED, text);
}

int setup_again(struct setup *s, struct err *e)
{
	int r;

	if (s->state == RUNNING || s->state == WAITING)
		return err_set(e, -EBUSY, "it is %s", s->state == RUNNING ? "still running" : "waiting for the machine already");
	s->state = WAITING;
	s->step = NO_STEP;
	s->code = s->signal = 0;
	s->began_s = s->ended_s = 0;
	s->reason[0] = '\0';
	buf_finish(&s->log);
	s->log = BUF_INIT(LOG_MAX);
	r = save(s, e);
	if (r == 0 && s->host && agent_host_version(s->host) != 0)
		setup_ready(s, s->host, s->host_boot);
	return r;
}

/* --- making -------------------------------------------------------------------------------------------------- */

static struct setup *make(struct loop *loop, struct db *db, const uint8_t machine[16], const struct setup_hooks *hooks, void *arg)
{
	struct setup *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	s->db = db;
	s->hooks = hooks;
	s->arg = arg;
	s->log = BUF_INIT(LOG_MAX);
	memcpy(s->machine, machine, sizeof(s->machine));
	ev_timer_init(&s->notify, on_notify, 0., NOTIFY_S);
	return s;
}

int setup_create(struct setup **out, struct loop *loop, struct db *db, const uint8_t machine[16], const struct recipe_wish *wish,
		 const struct setup_hooks *hooks, void *arg, struct err *e)
{
	struct setup *s;
	int r;

	*out = NULL;
	if (!wish || (!recipe_any(wish) && !wish->recipe[0]))
		return 0;
	s = make(loop, db, machine, hooks, arg);
	if (!s)
		return err_set(e, -ENOMEM, "no memory for what is to be done in the machine");
	(void)snprintf(s->recipe, sizeof(s->recipe), "%s", wish->recipe);
	s->packages = json_incref(wish->packages);
	s->script = wish->script ? strdup(wish->script) : NULL;
	s->state = recipe_any(wish) ? WAITING : DONE;
	r = wish->script && !s->script ? err_set(e, -ENOMEM, "no memory for the script") : save(s, e);
	if (r < 0) {
		(void)setup_destroy(s);
		return r;
	}
	*out = s;
	return 0;
}

static int use_row(struct setup *s, const struct setup_row *row)
{
	s->packages = json_loads(row->packages, JSON_REJECT_DUPLICATES, NULL);
	s->script = row->script[0] ? strdup(row->script) : NULL;
	(void)snprintf(s->recipe, sizeof(s->recipe), "%s", row->recipe);
	(void)snprintf(s->reason, sizeof(s->reason), "%s", row->reason);
	memcpy(s->run, row->run, sizeof(s->run));
	memcpy(s->boot, row->boot, sizeof(s->boot));
	s->state = (enum setup_state)row->state;
	s->step = (enum setup_step)row->step;
	s->code = row->code;
	s->signal = row->signal;
	s->began_s = row->began_s;
	s->ended_s = row->ended_s;
	if (!json_is_array(s->packages) || row->state < 0 || row->state >= STATE_COUNT || row->step < 0 || row->step >= STEP_COUNT ||
	    (row->step == SCRIPT && !s->script))
		return -EBADMSG;
	return row->script[0] && !s->script ? -ENOMEM : buf_add(&s->log, row->log, strlen(row->log));
}

int setup_load(struct setup **out, struct loop *loop, struct db *db, const uint8_t machine[16], const struct setup_hooks *hooks, void *arg,
	       struct err *e)
{
	struct setup_row *row = malloc(sizeof(*row));
	struct setup *s;
	int r;

	*out = NULL;
	if (!row)
		return err_set(e, -ENOMEM, "no memory for what is to be done in the machine");
	r = setup_row_get(db, machine, row, e);
	if (r <= 0) {
		free(row);
		return r;
	}
	s = make(loop, db, machine, hooks, arg);
	r = s ? use_row(s, row) : -ENOMEM;
	free(row);
	if (r < 0) {
		(void)setup_destroy(s);
		return err_set(e, r, "what is to be done in the machine cannot be read: %s", strerror(-r));
	}
	*out = s;
	return 0;
}

struct setup *setup_destroy(struct setup *s)
{
	if (!s)
		return NULL;
	ev_timer_stop(s->loop->ev, &s->notify);
	(void)agent_channel_destroy(s->channel, AGENT_LEAVE);
	json_decref(s->packages);
	free(s->script);
	buf_finish(&s->log);
	free(s);
	return NULL;
}

/* --- looking at it ------------------------------------------------------------------------------------------- */

bool setup_busy(const struct setup *s)
{
	return s && s->state == RUNNING;
}

const char *setup_recipe(const struct setup *s)
{
	return s ? s->recipe : "";
}

/* Text of a guest: what is not UTF-8 has question marks. */
static json_t *guest_text(const char *text, size_t len)
{
	json_t *json = json_stringn(text, len);
	char *copy = json ? NULL : malloc(len + 1);

	if (!copy)
		return json ? json : json_string("");
	for (size_t i = 0; i < len; i++)
		copy[i] = (char)((unsigned char)text[i] < 0x80 ? text[i] : '?');
	json = json_stringn(copy, len);
	free(copy);
	return json;
}

/* The last lines that say something. */
static json_t *lines_json(const struct buf *log)
{
	json_t *lines = json_array();
	size_t to = log->len;

	while (to > 0 && json_array_size(lines) < LINES) {
		size_t from = to;

		while (from > 0 && log->data[from - 1] != '\n')
			from--;
		if (to > from)
			(void)json_array_insert_new(lines, 0, guest_text(log->data + from, to - from < LINE_MAX_BYTES ? to - from : LINE_MAX_BYTES));
		to = from > 0 ? from - 1 : 0;
	}
	return lines;
}

static json_t *time_json(int64_t s)
{
	time_t t = (time_t)s;
	struct tm tm;
	char text[32];

	if (s == 0)
		return json_null();
	gmtime_r(&t, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

json_t *setup_json(const struct setup *s, bool whole)
{
	bool exited;
	json_t *json;

	if (!s || (!whole && json_array_size(s->packages) == 0 && !s->script))
		return json_null();
	exited = s->state == DONE || (s->state == FAILED && (s->code != 0 || s->signal != 0));
	json = json_pack("{s:s, s:s?, s:o, s:o, s:s?, s:o, s:o, s:o}", "state", state_names[s->state], "step", step_names[s->step], "code",
			 exited && !s->signal ? json_integer(s->code) : json_null(), "signal",
			 exited && s->signal ? json_integer(s->signal) : json_null(), "reason", s->reason[0] ? s->reason : NULL, "lines",
			 lines_json(&s->log), "began_at", time_json(s->began_s), "ended_at", time_json(s->ended_s));
	if (json && whole) {
		(void)json_object_set_new(json, "recipe", s->recipe[0] ? json_string(s->recipe) : json_null());
		(void)json_object_set(json, "packages", s->packages);
		(void)json_object_set_new(json, "script", json_string(s->script ? s->script : ""));
		(void)json_object_set_new(json, "log", guest_text(s->log.data ? s->log.data : "", s->log.len));
	}
	return json;
}
