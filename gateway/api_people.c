/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/access.h"
#include "auth/audit.h"
#include "auth/email.h"
#include "auth/rulebook.h"
#include "auth/store.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/when.h"
#include "gateway/api.h"
#include "gateway/attach.h"
#include "gateway/doorman.h"
#include "gateway/machine.h"
#include "gateway/ticket.h"

/* People, what they have open, and cutting them off. */

void api_note(struct http_call *call, const char *action, const char *object, const char *detail)
{
	const struct api *api = call->app;
	char address[PEER_TEXT];
	const struct audit_event ev = { .actor = call->who.email, .address = peer_text(&call->req->peer, address), .action = action,
					.object = object, .detail = detail };
	struct err e = { 0 };

	if (audit_add(api->audit, &ev, api->now_s() * 1000, &e) < 0)
		log_err("audit: %s", e.msg);
}

/* --- people ---------------------------------------------------------------------------------------------------------------- */

struct listing {
	const struct api *api;
	json_t *items;
};

static int add_person(void *arg, const struct person_row *p, int64_t sessions, int64_t machines)
{
	struct listing *l = arg;
	struct grant g;
	struct decision d = rules_decide(rulebook_rules(l->api->book), p->email, l->api->now_s());
	bool here = auth_check(l->api->access, p->email, l->api->now_s(), &g, NULL) == 0;
	char first[WHEN_BYTES], last[WHEN_BYTES];

	return json_array_append_new(l->items,
				     json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "email", p->email, "issuer", p->issuer,
					       "subject", p->subject, "first_seen", when_format(p->created_s, first), "last_seen",
					       when_format(p->seen_s, last), "sessions", (json_int_t)sessions, "machines",
					       (json_int_t)machines, "verdict", here ? "allowed" : verdict_name(d.verdict), "role",
					       here ? role_name(g.role) : ""));
}

void api_user_list(struct http_call *call)
{
	const struct api *api = call->app;
	struct listing l = { .api = api, .items = json_array() };
	char search[128] = "", after[EMAIL_BYTES] = "";
	struct err e = { 0 };
	int64_t limit = 0;
	bool more = false;
	json_t *last;
	int r;

	if (!l.items || api_limit(call, &limit) < 0) {
		json_decref(l.items);
		return;
	}
	(void)http_query(call->req, "search", search, sizeof(search));
	(void)http_query(call->req, "cursor", after, sizeof(after));
	r = store_person_list(api->store, search, after, limit, add_person, &l, &more, &e);
	if (r < 0) {
		json_decref(l.items);
		http_failed(call->resp, &e);
		return;
	}
	last = more ? json_object_get(json_array_get(l.items, json_array_size(l.items) - 1), "email") : NULL;
	http_json(call->resp, 200, json_pack("{s:o, s:O}", "items", l.items, "next", last ? last : json_null()));
}

static int read_email(struct http_call *call, char out[EMAIL_BYTES])
{
	struct err e = { 0 };

	if (email_normalise(call->id, strlen(call->id), out, &e) == 0)
		return 0;
	http_problem(call->resp, 400, "bad_email", "%s.", e.msg);
	return -EINVAL;
}

void api_user_kick(struct http_call *call)
{
	const struct api *api = call->app;
	char email[EMAIL_BYTES];
	long closed;

	if (read_email(call, email) < 0)
		return;
	closed = doorman_kick(api->doorman, email);
	if (closed < 0) {
		http_problem(call->resp, 503, "database", "The sessions could not be ended; the log says why.");
		return;
	}
	api_note(call, "person.kick", email, "");
	http_json(call->resp, 200, json_pack("{s:I}", "closed", (json_int_t)closed));
}

void api_user_rebind(struct http_call *call)
{
	const struct api *api = call->app;
	char email[EMAIL_BYTES], address[PEER_TEXT];
	struct err e = { 0 };
	int r;

	if (read_email(call, email) < 0)
		return;
	r = access_rebind(api->access, email, call->who.email, peer_text(&call->req->peer, address), api->now_s(), &e);
	if (r == -ENOENT)
		http_problem(call->resp, 404, "no_person", "%s.", e.msg);
	else if (r < 0)
		http_failed(call->resp, &e);
	else
		call->resp->status = 204;
}

/* --- what is open ------------------------------------------------------------------------------------------------------------ */

/* The machine behind a stream's id, which is the machine's own, a dot and the kind. */
static struct machine *machine_behind(const struct api *api, const char *stream)
{
	char id[MACHINE_ID_TEXT];
	size_t len = strcspn(stream, ".");

	if (len >= sizeof(id))
		return NULL;
	memcpy(id, stream, len);
	id[len] = '\0';
	return machine_find_any(api->machines, id);
}

static void add_live(void *arg, const struct attach_view *v)
{
	struct listing *l = arg;
	struct machine *m = machine_behind(l->api, v->stream);
	json_t *vm = m ? machine_json(m) : NULL, *name = json_object_get(vm, "name");
	char since[WHEN_BYTES];

	(void)json_array_append_new(
		l->items, json_pack("{s:I, s:s, s:s, s:s, s:O?, s:s, s:s, s:s, s:I, s:I, s:I}", "id", (json_int_t)v->id, "email", v->email,
				    "address", v->address, "vm", m ? machine_id(m) : "", "name", name, "stream", v->stream, "role",
				    v->role == ROLE_CONTROLLER ? "controller" : "viewer", "since", when_format(v->since_s, since), "idle_ms",
				    (json_int_t)v->idle_ms, "bytes_in", (json_int_t)v->bytes_in, "bytes_out", (json_int_t)v->bytes_out));
	json_decref(vm);
}

void api_live(struct http_call *call)
{
	const struct api *api = call->app;
	struct listing l = { .api = api, .items = json_array() };

	if (l.items)
		attach_hub_each(api->hub, add_live, &l);
	http_json(call->resp, 200, json_pack("{s:o, s:n}", "items", l.items, "next"));
}

/* --- everybody's machines ------------------------------------------------------------------------------------------------------- */

static json_t *owned_json(const struct api *api, struct machine *m)
{
	char email[EMAIL_BYTES] = "";
	json_t *json = machine_json(m);

	(void)store_person_email(api->store, machine_owner(m), email, NULL);
	if (json)
		(void)json_object_set_new(json, "owner", json_string(email));
	return json;
}

void api_admin_vm_list(struct http_call *call)
{
	const struct api *api = call->app;
	json_t *items = json_array(), *next = NULL;
	char cursor[MACHINE_ID_TEXT];
	struct machine *m = NULL, *last = NULL;
	int64_t limit = 0;

	if (!items || api_limit(call, &limit) < 0) {
		json_decref(items);
		return;
	}
	if (http_query(call->req, "cursor", cursor, sizeof(cursor)) == 0)
		last = machine_find_any(api->machines, cursor);
	while ((m = machine_next_any(api->machines, last))) {
		if ((int64_t)json_array_size(items) == limit) {
			next = json_string(machine_id(last));
			break;
		}
		(void)json_array_append_new(items, owned_json(api, m));
		last = m;
	}
	http_json(call->resp, 200, json_pack("{s:o, s:o}", "items", items, "next", next ? next : json_null()));
}

static struct machine *any_machine(struct http_call *call, const char *id)
{
	const struct api *api = call->app;
	struct machine *m = machine_find_any(api->machines, id);

	if (!m)
		http_problem(call->resp, 404, "not_found", "There is no such machine.");
	return m;
}

void api_admin_vm_stop(struct http_call *call)
{
	const struct api *api = call->app;
	struct machine *m = any_machine(call, call->id);
	struct err e = { 0 };
	int r;

	if (!m)
		return;
	r = machine_stop(m, json_is_true(json_object_get(call->json, "force")) ? HV_STOP_KILL : HV_STOP_ASK, &e);
	if (r == MACHINE_E_STATE)
		http_problem(call->resp, 409, "wrong_state", "%s.", e.msg);
	else if (r)
		http_failed(call->resp, &e);
	if (r)
		return;
	api_note(call, "vm.stop", machine_id(m), "");
	http_json(call->resp, 202, owned_json(api, m));
}

/* Watching: a viewer's ticket for somebody else's stream. The watched page shows who looks on. */
void api_admin_ticket(struct http_call *call)
{
	const struct api *api = call->app;
	char ticket[TICKET_TEXT];
	struct err e = { 0 };
	int r;

	if (!machine_behind(api, call->id)) {
		http_problem(call->resp, 404, "not_found", "There is no such machine.");
		return;
	}
	r = ticket_issue(api->tickets, &call->who, call->id, ROLE_VIEWER, api->now_ms(), ticket);
	if (r < 0) {
		err_set(&e, r, "no ticket");
		http_failed(call->resp, &e);
		return;
	}
	api_note(call, "terminal.watch", call->id, "");
	http_json(call->resp, 201, json_pack("{s:s, s:i}", "ticket", ticket, "expires_in_ms", TICKET_LIFE_MS));
}

/* --- audit --------------------------------------------------------------------------------------------------------------------- */

/* A date of the query as milliseconds; absent is 0. Return: 0, or -EINVAL after a refusal. */
static int read_when(struct http_call *call, const char *name, int64_t *ms)
{
	char text[64];
	int64_t s = 0;
	int r = http_query(call->req, name, text, sizeof(text));

	*ms = 0;
	if (r == -ENOENT)
		return 0;
	if (r < 0 || when_parse(text, &s) < 0) {
		http_problem(call->resp, 400, "bad_date", "%s must be a date such as 2027-01-31 or 2027-01-31T18:00:00Z.", name);
		return -EINVAL;
	}
	*ms = s * 1000;
	return 0;
}

struct audit_texts {
	char actor[EMAIL_BYTES], action[48], object[RULE_PATTERN_BYTES], cursor[24];
};

static int read_audit_query(struct http_call *call, struct audit_texts *t, struct audit_query *q)
{
	memset(t, 0, sizeof(*t));
	*q = (struct audit_query){ .actor = t->actor, .action = t->action, .object = t->object };
	(void)http_query(call->req, "actor", t->actor, sizeof(t->actor));
	(void)http_query(call->req, "action", t->action, sizeof(t->action));
	(void)http_query(call->req, "object", t->object, sizeof(t->object));
	if (http_query(call->req, "cursor", t->cursor, sizeof(t->cursor)) == 0)
		q->below = strtoll(t->cursor, NULL, 10);
	return read_when(call, "since", &q->since_ms) < 0 || read_when(call, "until", &q->until_ms) < 0 ? -EINVAL : 0;
}

void api_audit_list(struct http_call *call)
{
	const struct api *api = call->app;
	struct audit_texts texts;
	struct audit_query q;
	json_t *items = NULL;
	struct err e = { 0 };
	int64_t next = 0;
	char cursor[24];

	if (read_audit_query(call, &texts, &q) < 0 || api_limit(call, &q.limit) < 0)
		return;
	if (audit_list(api->audit, &q, &items, &next, &e) < 0) {
		http_failed(call->resp, &e);
		return;
	}
	(void)snprintf(cursor, sizeof(cursor), "%lld", (long long)next);
	http_json(call->resp, 200, json_pack("{s:o, s:o}", "items", items, "next", next ? json_string(cursor) : json_null()));
}

void api_audit_export(struct http_call *call)
{
	const struct api *api = call->app;
	struct audit_texts texts;
	struct audit_query q;
	struct err e = { 0 };
	int64_t next = 1;
	int r = 0;

	if (read_audit_query(call, &texts, &q) < 0)
		return;
	call->resp->body.limit = API_EXPORT_MAX;
	for (int page = 0; page < API_AUDIT_EXPORT_ROWS / 500 && next && r == 0; page++) {
		json_t *items = NULL, *item;
		size_t i;

		q.limit = 500;
		r = audit_list(api->audit, &q, &items, &next, &e);
		json_array_foreach(items, i, item) {
			char *line = json_dumps(item, JSON_COMPACT);

			if (r == 0)
				r = line ? buf_printf(&call->resp->body, "%s\n", line) : -ENOMEM;
			free(line);
		}
		json_decref(items);
		q.below = next;
	}
	if (r < 0) {
		http_failed(call->resp, &e);
		return;
	}
	call->resp->status = 200;
	call->resp->type = "application/jsonl";
	http_header(call->resp, "Content-Disposition", "attachment; filename=\"terrarium-audit.jsonl\"");
}

void api_audit_verify(struct http_call *call)
{
	const struct api *api = call->app;
	char head[2 * AUDIT_HASH_BYTES + 1];
	struct audit_state st;
	struct err e = { 0 };

	if (audit_verify(store_db(api->store), &st, &e) < 0) {
		http_failed(call->resp, &e);
		return;
	}
	hex_encode(st.head, sizeof(st.head), head);
	http_json(call->resp, 200, json_pack("{s:I, s:b, s:I, s:s, s:s}", "rows", (json_int_t)st.rows, "ok", st.bad == 0, "bad",
					     (json_int_t)st.bad, "why", st.why, "head", head));
}

void api_capacity(struct http_call *call)
{
	const struct api *api = call->app;
	struct hv_host host;
	int64_t machines = 0;
	uint64_t memory = 0;
	uint32_t cpus = 0;

	machines_host(api->machines, &host);
	for (struct machine *m = NULL; (m = machine_next_any(api->machines, m));) {
		json_t *json = machine_json(m);

		machines++;
		memory += (uint64_t)json_integer_value(json_object_get(json, "memory"));
		cpus += (uint32_t)json_integer_value(json_object_get(json, "cpus"));
		json_decref(json);
	}
	http_json(call->resp, 200, json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:i, s:i}", "slots_used", (int)host.slots_used, "slots_max",
					     (int)host.slots_max, "machines", (json_int_t)machines, "memory", (json_int_t)memory,
					     "memory_used", (json_int_t)host.pss_bytes,
					     "memory_host", (json_int_t)sysconf(_SC_PHYS_PAGES) * (json_int_t)sysconf(_SC_PAGESIZE), "cpus",
					     (int)cpus, "cpus_host", (int)sysconf(_SC_NPROCESSORS_ONLN)));
}
