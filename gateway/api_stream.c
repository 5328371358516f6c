/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "gateway/api.h"
#include "gateway/machine.h"
#include "gateway/shell.h"
#include "gateway/stream.h"
#include "gateway/ticket.h"
#include "gateway/viewer.h"
#include "hv/agent/proto.h"

/* Streams of a machine: its console, its shells, and the tickets to attach. */

#define TICKETS_RETRY_S 30 /* the life of a ticket */
#define SIZE_MAX_CELLS	4096
#define COMMAND_BYTES_MAX 28672 /* with cwd and head AGENT_STRINGS_MAX at most */
#define TIMEOUT_MS_MAX	604800000 /* of a command: a week */

static void no_stream(struct http_call *call)
{
	http_problem(call->resp, 404, "not_found", "You have no such stream.");
}

static struct machine *find_machine(struct http_call *call)
{
	const struct api *api = call->app;
	struct machine *m = machine_find(api->machines, call->who.person, call->id);

	if (!m)
		http_problem(call->resp, 404, "not_found", "You have no such machine.");
	return m;
}

static struct stream *find_stream(struct http_call *call)
{
	const struct api *api = call->app;
	struct stream *s = machine_stream_find(api->machines, call->who.person, call->id);

	if (!s)
		no_stream(call);
	return s;
}

/* A shell of the caller; consoles are refused. */
static struct shell *find_shell(struct http_call *call)
{
	struct stream *s = find_stream(call);
	struct shell *sh = s ? machine_shell_of(s) : NULL;

	if (s && !sh)
		http_problem(call->resp, 409, "is_console", "A console comes and goes with its machine; only shells can be named, moved or closed.");
	return sh;
}

/* --- what a stream looks like --- */

static json_t *console_json(const struct stream_state *st)
{
	bool exited = st->ended && st->exit_signal == 0, killed = st->ended && st->exit_signal != 0;

	return json_pack("{s:s, s:i, s:s, s:o, s:o, s:n, s:n, s:n}", "name", "console", "position", 0, "state", st->ended ? "exited" : "open",
			 "code", exited ? json_integer(st->exit_code) : json_null(), "signal",
			 killed ? json_integer(st->exit_signal) : json_null(), "reason", "title", "cwd");
}

static int viewer_count(const struct stream *s)
{
	int n = 0;

	for (const struct viewer *v = stream_viewers(s); v; v = v->next)
		n++;
	return n;
}

static void time_text(int64_t s, char out[32])
{
	time_t t = (time_t)s;
	struct tm tm;

	gmtime_r(&t, &tm);
	(void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static const char *recording_word(const struct stream_state *st)
{
	static const char *const words[] = { [STREAM_UNRECORDED] = "off", [STREAM_RECORDED] = "output", [STREAM_RECORDED_TYPING] = "input" };

	return words[st->recording];
}

static const char *kind_word(const struct shell *sh)
{
	if (!sh)
		return "console";
	return shell_is_command(sh) ? "exec" : shell_sealed(sh) ? "sealed" : "shell";
}

static json_t *stream_json(const struct machine *m, struct stream *s, const struct shell *sh)
{
	struct stream_state st = stream_state(s);
	json_t *json = sh ? shell_json(sh) : console_json(&st), *common;
	char created[32];

	time_text(sh ? shell_created_s(sh) : machine_created_s(m), created);
	common = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:s}", "id", stream_id(s), "vm", machine_id(m), "kind", kind_word(sh),
			   "created", created, "cols", (int)st.size.cols, "rows", (int)st.size.rows, "viewers", viewer_count(s), "recording", recording_word(&st));
	if (!json || json_object_update(json, common) < 0) {
		json_decref(json);
		json = NULL;
	}
	json_decref(common);
	return json;
}

void api_stream_list(struct http_call *call)
{
	const struct machine *m = find_machine(call);
	json_t *items = m ? json_array() : NULL;
	struct shell *sh = NULL;
	char kind[16] = "";
	bool commands;

	if (!m)
		return;
	/* Commands are no terminals: only who asks for them gets them. */
	commands = http_query(call->req, "kind", kind, sizeof(kind)) == 0 && strcmp(kind, "exec") == 0;
	shells_look(machine_shells(m));
	if (!commands)
		(void)json_array_append_new(items, stream_json(m, machine_console(m), NULL));
	while ((sh = shell_next(machine_shells(m), sh))) {
		if (shell_is_command(sh) == commands)
			(void)json_array_append_new(items, stream_json(m, shell_stream(sh), sh));
	}
	/* As many as a machine may have fit into one page. */
	http_json(call->resp, 200, json_pack("{s:o, s:n}", "items", items, "next"));
}

static void answer_stream(struct http_call *call, int status, struct stream *s)
{
	const struct machine *m = machine_of_stream(s);

	http_json(call->resp, status, stream_json(m, s, machine_shell_of(s)));
}

void api_stream_get(struct http_call *call)
{
	struct stream *s = find_stream(call);

	if (!s)
		return;
	shells_look(machine_shells(machine_of_stream(s)));
	answer_stream(call, 200, s);
}

/* --- shells --- */

/* Outcomes of shell_*() and machine_shell_open() other than 0. */
static void not_done(struct http_call *call, int r, const struct err *e)
{
	if (r == SHELL_E_TOO_MANY)
		http_problem(call->resp, 409, "too_many_shells", "%s.", e->msg);
	else if (r == SHELL_E_NO_AGENT)
		http_problem(call->resp, 409, "no_agent", "%s.", e->msg);
	else if (r == SHELL_E_OLD_AGENT)
		http_problem(call->resp, 409, "old_agent", "%s.", e->msg);
	else if (r == SHELL_E_NO_ROOM)
		http_problem(call->resp, 507, "no_room", "%s.", e->msg);
	else
		http_failed(call->resp, e);
}

static bool bad_name(struct http_call *call, const char *name)
{
	if (shell_name_valid(name))
		return false;
	http_problem(call->resp, 400, "bad_name", "A name has 1 to %d bytes and no control characters.", SHELL_NAME_BYTES - 1);
	return true;
}

static bool bad_wish(struct http_call *call, const char *kind, const struct shell_wish *wish, json_int_t cols, json_int_t rows)
{
	if (strcmp(kind, "shell") != 0 && !wish->sealed)
		http_problem(call->resp, 400, "bad_request", "kind is \"shell\", \"sealed\" or \"exec\": a machine has one console.");
	else if (cols < 0 || cols > SIZE_MAX_CELLS || rows < 0 || rows > SIZE_MAX_CELLS)
		http_problem(call->resp, 400, "bad_request", "cols and rows are at most %d.", SIZE_MAX_CELLS);
	else if (strlen(wish->cwd) >= SHELL_PATH_BYTES || (wish->cwd[0] && wish->cwd[0] != '/'))
		http_problem(call->resp, 400, "bad_request", "cwd is an absolute path.");
	else
		return wish->name[0] && bad_name(call, wish->name);
	return true;
}

/* --- commands --- */

struct command {
	const char *argv[AGENT_ARGC_MAX + 1];
	char *env[AGENT_ARGC_MAX + 1]; /* owned */
	char name[SHELL_NAME_BYTES];
};

static void command_finish(struct command *c)
{
	for (size_t i = 0; c->env[i]; i++)
		free(c->env[i]);
	free(c);
}

/* Return: NULL, or what is wrong with it */
static const char *read_command(struct command *c, const json_t *argv, json_t *env)
{
	size_t bytes = 0, n = 0, i;
	const json_t *each;
	const char *name, *base;
	json_t *value;

	if (!json_is_array(argv) || json_array_size(argv) == 0 || json_array_size(argv) > AGENT_ARGC_MAX)
		return "argv is a list of 1 to 256 texts.";
	json_array_foreach(argv, i, each) {
		c->argv[i] = json_string_value(each);
		if (!c->argv[i])
			return "argv is a list of 1 to 256 texts.";
		bytes += strlen(c->argv[i]) + 1;
	}
	if ((env && !json_is_object(env)) || json_object_size(env) > AGENT_ARGC_MAX)
		return "env is an object of at most 256 names with their texts.";
	json_object_foreach(env, name, value) {
		if (!name[0] || strchr(name, '=') || !json_is_string(value))
			return "env is an object of names, without =, with their texts.";
		if (asprintf(&c->env[n], "%s=%s", name, json_string_value(value)) < 0) {
			c->env[n] = NULL;
			return "There is no memory for that environment.";
		}
		bytes += strlen(c->env[n++]) + 1;
	}
	base = c->argv[0] ? strrchr(c->argv[0], '/') : NULL;
	base = base && base[1] ? base + 1 : c->argv[0];
	(void)snprintf(c->name, sizeof(c->name), "%s", shell_name_valid(base) ? base : "command");
	return bytes <= COMMAND_BYTES_MAX ? NULL : "argv and env are longer than 28 KiB together.";
}

static void open_command(struct http_call *call, struct machine *m)
{
	struct command *c = calloc(1, sizeof(*c));
	json_int_t timeout_ms = 0;
	json_t *argv = NULL, *env = NULL;
	const char *kind, *wrong = "A command has kind, argv, cwd, env and timeout_ms.";
	struct shell_wish wish = { .cwd = "" };
	struct shell *sh = NULL;
	struct err e = { 0 };
	int r;

	if (!c) {
		http_problem(call->resp, 503, "overloaded", "No memory for a command; try again.");
		return;
	}
	if (json_unpack(call->json, "{s:s, s:o, s?s, s?o, s?I !}", "kind", &kind, "argv", &argv, "cwd", &wish.cwd, "env", &env, "timeout_ms",
			&timeout_ms) == 0)
		wrong = read_command(c, argv, env);
	if (!wrong && (timeout_ms < 0 || timeout_ms > TIMEOUT_MS_MAX))
		wrong = "timeout_ms is a week at most.";
	if (!wrong && (strlen(wish.cwd) >= SHELL_PATH_BYTES || (wish.cwd[0] && wish.cwd[0] != '/')))
		wrong = "cwd is an absolute path.";
	if (wrong) {
		http_problem(call->resp, 400, "bad_request", "%s", wrong);
		command_finish(c);
		return;
	}
	wish.name = c->name;
	wish.argv = c->argv;
	wish.env = (const char *const *)c->env;
	wish.timeout_ms = (uint32_t)timeout_ms;
	r = machine_shell_open(m, &wish, &sh, &e);
	if (r != 0) {
		not_done(call, r, &e);
	} else {
		api_note(call, "exec.start", stream_id(shell_stream(sh)), c->argv[0]);
		answer_stream(call, 201, shell_stream(sh));
		http_header(call->resp, "Location", "/api/v1/streams/%s", stream_id(shell_stream(sh)));
	}
	command_finish(c);
}

static bool is_command(const json_t *wish)
{
	const char *kind = json_string_value(json_object_get(wish, "kind"));

	return kind && strcmp(kind, "exec") == 0;
}

void api_stream_open(struct http_call *call)
{
	struct machine *m = find_machine(call);
	struct shell_wish wish = { .name = "", .cwd = "" };
	const char *kind = "shell";
	json_int_t cols = 0, rows = 0;
	struct shell *sh = NULL;
	struct err e = { 0 };
	int r;

	if (!m)
		return;
	if (is_command(call->json)) {
		open_command(call, m);
		return;
	}
	if (json_unpack(call->json, "{s?s, s?s, s?s, s?I, s?I !}", "kind", &kind, "name", &wish.name, "cwd", &wish.cwd, "cols", &cols, "rows",
			&rows) < 0) {
		http_problem(call->resp, 400, "bad_request", "A stream has kind, name, cwd, cols and rows.");
		return;
	}
	wish.sealed = strcmp(kind, "sealed") == 0;
	if (bad_wish(call, kind, &wish, cols, rows))
		return;
	wish.cols = (uint16_t)cols;
	wish.rows = (uint16_t)rows;
	r = machine_shell_open(m, &wish, &sh, &e);
	if (r != 0) {
		not_done(call, r, &e);
		return;
	}
	api_note(call, "shell.open", stream_id(shell_stream(sh)), shell_name(sh));
	answer_stream(call, 201, shell_stream(sh));
	http_header(call->resp, "Location", "/api/v1/streams/%s", stream_id(shell_stream(sh)));
}

void api_stream_edit(struct http_call *call)
{
	struct shell *sh = find_shell(call);
	const char *name = NULL;
	json_int_t position = -1;
	struct err e = { 0 };
	int r = 0;

	if (!sh)
		return;
	if (shell_is_command(sh)) {
		http_problem(call->resp, 409, "no_terminal", "A command has neither name nor place.");
		return;
	}
	if (json_unpack(call->json, "{s?s, s?I !}", "name", &name, "position", &position) < 0 || position == 0 || position > UINT32_MAX) {
		http_problem(call->resp, 400, "bad_request", "A stream has a name, and a position from 1 on.");
		return;
	}
	if (name && bad_name(call, name))
		return;
	if (name)
		r = shell_rename(sh, name, &e);
	if (r == 0 && position > 0)
		r = shell_move(sh, (uint32_t)position, &e);
	if (r < 0)
		http_failed(call->resp, &e);
	else
		answer_stream(call, 200, shell_stream(sh));
}

void api_stream_close(struct http_call *call)
{
	struct shell *sh = find_shell(call);
	bool command;
	struct err e = { 0 };

	if (!sh)
		return;
	command = shell_is_command(sh);
	if (shell_close(sh, &e) < 0) {
		http_failed(call->resp, &e);
		return;
	}
	if (!command)
		api_note(call, "shell.close", call->id, "");
	call->resp->status = 204;
}

/* --- tickets --- */

void api_ticket_create(struct http_call *call)
{
	const struct api *api = call->app;
	struct stream *s = machine_stream_find(api->machines, call->who.person, call->id);
	const char *role = "controller";
	char ticket[TICKET_TEXT];
	int r;

	if (!s) {
		http_problem(call->resp, 404, "not_found", "You have no such stream.");
		return;
	}
	if (json_unpack(call->json, "{s?s}", "role", &role) < 0 || (strcmp(role, "controller") != 0 && strcmp(role, "viewer") != 0)) {
		http_problem(call->resp, 400, "bad_request", "role is \"controller\" or \"viewer\".");
		return;
	}
	r = ticket_issue(api->tickets, &call->who, stream_id(s), role[0] == 'c' ? ROLE_CONTROLLER : ROLE_VIEWER, api->now_ms(),
			 ticket);
	if (r == 0) {
		http_json(call->resp, 201,
			  json_pack("{s:s, s:i}", "ticket", ticket, "expires_in_ms", TICKET_LIFE_MS));
	} else if (r == -EAGAIN) {
		http_problem(call->resp, 429, "slow_down", "Too many unused tickets; attach with one, or wait.");
		http_header(call->resp, "Retry-After", "%d", TICKETS_RETRY_S);
	} else {
		http_problem(call->resp, 503, "overloaded", "No randomness for a ticket; try again.");
	}
}
