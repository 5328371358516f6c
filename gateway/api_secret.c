/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/loop.h"
#include "gateway/api.h"
#include "gateway/fileop.h"
#include "gateway/machine.h"
#include "gateway/secrets.h"
#include "hv/agent/host.h"

/*
 * Secrets of a machine: files in the guest's memory under /run/secrets. The value is the body of the request and goes to the agent and into
 * gateway/secrets.c; no answer, log or row has anything but names.
 */

/** struct secret_op - @action: for the audit log; @held: was held here before */
struct secret_op {
	struct fileop op;
	const char *action;
	bool held;
	struct agent_secret secret; /* its bytes lie in the request */
	char owner[AGENT_OWNER_MAX + 1];
};

static struct machine *find(struct http_call *call)
{
	const struct api *api = call->app;
	struct machine *m = api_needs_person(call) ? NULL : machine_find(api->machines, call->who.person, call->id);

	if (!m && call->resp->status == 0)
		http_problem(call->resp, 404, "not_found", "You have no such machine.");
	return m;
}

/* A dot in front is for what the gateway itself puts there. Return: false after a refusal */
static bool good_name(struct http_call *call)
{
	if (agent_secret_name(call->name) && call->name[0] != '.')
		return true;
	http_problem(call->resp, 400, "bad_name", "A secret's name has 1 to %u letters, digits, dashes, underscores and inner dots.", AGENT_SECRET_NAME_MAX);
	return false;
}

static bool read_mode(const char *text, uint32_t *mode)
{
	char *end;
	unsigned long v = strtoul(text, &end, 8);

	*mode = (uint32_t)v;
	return *text >= '0' && *text <= '7' && *end == '\0' && v > 0 && v <= 0777;
}

/* Return: false after a refusal */
static bool read_secret(struct http_call *call, struct agent_secret *s, char owner[AGENT_OWNER_MAX + 1])
{
	char mode[8] = "0400";
	int r = http_query(call->req, "mode", mode, sizeof(mode));

	if ((r < 0 && r != -ENOENT) || !read_mode(mode, &s->mode)) {
		http_problem(call->resp, 400, "bad_mode", "mode is octal and has permissions only: 0777 at most.");
		return false;
	}
	r = http_query(call->req, "owner", owner, AGENT_OWNER_MAX + 1);
	if ((r < 0 && r != -ENOENT) || !agent_owner_name(owner)) {
		http_problem(call->resp, 400, "bad_owner", "owner is a user of the machine: a number, or a name of at most %u bytes.", AGENT_OWNER_MAX);
		return false;
	}
	if (call->req->body_len > AGENT_DATA_MAX) {
		http_problem(call->resp, 413, "too_large", "A secret has at most %u bytes.", AGENT_DATA_MAX);
		return false;
	}
	s->name = call->name;
	s->owner = owner;
	s->data = (const uint8_t *)(call->req->body ? call->req->body : "");
	s->len = call->req->body_len;
	return true;
}

static void full(struct http_call *call, int r, const struct err *e)
{
	if (r == -ENOSPC)
		http_problem(call->resp, 409, "too_many_secrets", "%s.", e->msg);
	else
		http_failed(call->resp, e);
}

/* What the agent's refusal means here. */
static void fail(struct secret_op *s, int status)
{
	if (status == -ESRCH)
		fileop_problem(&s->op, 409, "no_user", NULL, "The machine has no user of that name.");
	else if (status == -ENOENT)
		fileop_problem(&s->op, 404, "not_found", NULL, "The machine has no such secret.");
	else
		fileop_fail(&s->op, status);
}

static void done(struct secret_op *s)
{
	api_note(&s->op.call, s->action, s->op.call.id, s->op.call.name);
	s->op.call.resp->status = 204;
	fileop_wake(&s->op);
}

static void on_set(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct secret_op *s = container_of(op, struct secret_op, op);
	const struct api *api = op->call.app;
	struct machine *m = machine_find(api->machines, op->call.who.person, op->call.id);
	struct err e = { 0 };
	int r;

	(void)tag;
	(void)in;
	if (status < 0 || !m) {
		fail(s, status < 0 ? status : -ENOTCONN);
		return;
	}
	r = secrets_keep(machine_secrets(m), &s->secret, api->now_s(), &e);
	if (r == 0) {
		done(s);
		return;
	}
	full(&op->call, r, &e);
	fileop_wake(op);
}

static void on_removed(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct secret_op *s = container_of(op, struct secret_op, op);

	(void)tag;
	(void)in;
	if (status < 0 && !(status == -ENOENT && s->held))
		fail(s, status);
	else
		done(s);
}

static void ask(struct secret_op *s, fileop_reply *reply)
{
	struct buf body = BUF_INIT(AGENT_FRAME_MAX);
	int r;

	agent_put_secret(&body, &s->secret);
	r = fileop_ask(&s->op, AGENT_SECRET, &body, 0, reply);
	if (body.data)
		explicit_bzero(body.data, body.cap);
	buf_finish(&body);
	if (r < 0)
		fail(s, r);
}

/* Return: NULL after a refusal */
static struct secret_op *begin(struct http_call *call, const char *action)
{
	struct secret_op *s = fileop_begin(call, sizeof(*s));

	if (s && fileop_version(&s->op) < AGENT_VERSION_SECRET) {
		http_problem(call->resp, 409, "old_agent", "The machine's agent is of an older version and keeps no secrets.");
		return NULL;
	}
	if (s) {
		s->action = action;
		s->secret.name = s->op.call.name;
		s->secret.owner = s->owner;
	}
	return s;
}

void api_secret_put(struct http_call *call)
{
	const struct api *api = call->app;
	struct machine *m = find(call);
	struct agent_secret secret = { 0 };
	char owner[AGENT_OWNER_MAX + 1] = "";
	struct secret_op *s;
	struct err e = { 0 };
	int r;

	if (!m || !good_name(call) || !read_secret(call, &secret, owner))
		return;
	if (!machine_takes_secrets(m, &e)) {
		http_problem(call->resp, 403, "denied", "%s.", e.msg);
		return;
	}
	r = machine_secret_agent(m) ? secrets_room(machine_secrets(m), secret.name, secret.len, &e) :
			       secrets_keep(machine_secrets(m), &secret, api->now_s(), &e);
	if (r < 0) {
		full(call, r, &e);
		return;
	}
	if (!machine_secret_agent(m)) { /* it gets them when its agent answers */
		api_note(call, "secret.set", call->id, call->name);
		call->resp->status = 204;
		return;
	}
	s = begin(call, "secret.set");
	if (!s)
		return;
	memcpy(s->owner, owner, sizeof(owner));
	s->secret.mode = secret.mode;
	s->secret.data = secret.data;
	s->secret.len = secret.len;
	ask(s, on_set);
}

void api_secret_delete(struct http_call *call)
{
	struct machine *m = find(call);
	struct secret_op *s;
	bool held;

	if (!m || !good_name(call))
		return;
	held = secrets_drop(machine_secrets(m), call->name);
	if (machine_secret_agent(m) && machine_takes_secrets(m, NULL)) {
		s = begin(call, "secret.delete");
		if (!s)
			return;
		s->held = held;
		s->secret.how = AGENT_SECRET_REMOVE;
		ask(s, on_removed);
	} else if (held) {
		api_note(call, "secret.delete", call->id, call->name);
		call->resp->status = 204;
	} else {
		http_problem(call->resp, 404, "not_found", "The machine has no such secret.");
	}
}

/* --- the list -------------------------------------------------------------------------------------------------- */

static void answer_list(struct http_call *call, json_t *items)
{
	http_json(call->resp, 200, json_pack("{s:o, s:n}", "items", items, "next"));
}

/* Beside what is held here the machine may have some of a former gateway's. One answer has them all: the agent's directory has room for no more. */
static void on_names(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	const struct api *api = op->call.app;
	struct machine *m = machine_find(api->machines, op->call.who.person, op->call.id);
	json_t *items;

	(void)tag;
	if (!m || (status < 0 && status != -ENOENT)) {
		fileop_fail(op, m ? status : -ENOTCONN);
		return;
	}
	items = secrets_json(machine_secrets(m));
	if (status == 0)
		(void)agent_get_u64(in);
	while (status == 0 && in->left > 0 && !in->bad) {
		const char *name;

		(void)agent_get_u8(in);
		name = agent_get_str(in, AGENT_PATH_MAX);
		if (!in->bad && agent_secret_name(name) && name[0] != '.' && !secrets_has(machine_secrets(m), name))
			(void)json_array_append_new(items, json_pack("{s:s, s:n, s:n, s:n, s:n, s:b}", "name", name, "size", "mode", "owner",
								    "set_at", "held", 0));
	}
	answer_list(&op->call, items);
	fileop_wake(op);
}

void api_secret_list(struct http_call *call)
{
	struct machine *m = find(call);
	struct buf body = BUF_INIT(64);
	struct fileop *op;
	int r;

	if (!m)
		return;
	if (!machine_secret_agent(m) || !machine_takes_secrets(m, NULL)) {
		answer_list(call, secrets_json(machine_secrets(m)));
		return;
	}
	op = fileop_begin(call, sizeof(*op));
	if (!op)
		return;
	agent_put_u64(&body, 0);
	agent_put_str(&body, AGENT_SECRET_DIR);
	r = fileop_ask(op, AGENT_READDIR, &body, 0, on_names);
	buf_finish(&body);
	if (r < 0)
		fileop_fail(op, r);
}
