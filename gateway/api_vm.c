/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/access.h"
#include "auth/store.h"
#include "base/err.h"
#include "gateway/api.h"
#include "gateway/machine.h"
#include "gateway/recipe.h"
#include "gateway/settings.h"
#include "hv/confidential.h"

/* Machines. */

#define LIST_LIMIT_DEFAULT 50
#define LIST_LIMIT_MAX	   200
#define KEY_BYTES	   64 /* of an Idempotency-Key; the store has room for 79 */
#define OFFLINE_RETRY_S	   2  /* the helper is looked for every second */

static void no_machine(struct http_call *call)
{
	http_problem(call->resp, 404, "not_found", "You have no such machine.");
}

static void offline(struct http_call *call, const struct err *e)
{
	http_problem(call->resp, 503, "helper_away", "%s; try again in a moment.", e->msg);
	http_header(call->resp, "Retry-After", "%d", OFFLINE_RETRY_S);
}

/* What the caller may use now. Return: false after a refusal. */
static bool read_grant(struct http_call *call, struct grant *g)
{
	const struct api *api = call->app;

	if (auth_check(api->access, call->who.email, api->now_s(), g, NULL) == 0)
		return true;
	http_problem(call->resp, 403, "not_allowed", "You may not be here any more.");
	return false;
}

/* Outcomes of machine_*() other than 0. */
static void not_done(struct http_call *call, int r, const struct err *e)
{
	if (r == MACHINE_E_STATE)
		http_problem(call->resp, 409, "wrong_state", "%s.", e->msg);
	else if (r == MACHINE_E_CANNOT)
		http_problem(call->resp, 409, "not_possible", "%s.", e->msg);
	else if (r == MACHINE_E_OFFLINE)
		offline(call, e);
	else if (r == MACHINE_E_QUOTA)
		api_over_quota(call, e);
	else
		http_failed(call->resp, e);
}

static struct machine *find(struct http_call *call)
{
	const struct api *api = call->app;
	struct machine *m = machine_find(api->machines, call->who.person, call->id);

	if (!m)
		no_machine(call);
	return m;
}

/* --- list and create --- */

static int read_limit(struct http_call *call, size_t *out)
{
	char text[8];
	int r = http_query(call->req, "limit", text, sizeof(text));
	long v = LIST_LIMIT_DEFAULT;
	char *end;

	if (r == 0) {
		v = strtol(text, &end, 10);
		if (*end || end == text || v < 1 || v > LIST_LIMIT_MAX)
			r = -EINVAL;
	}
	if (r == -EINVAL) {
		http_problem(call->resp, 400, "bad_limit", "limit is a number from 1 to %d.", LIST_LIMIT_MAX);
		return r;
	}
	*out = (size_t)v;
	return 0;
}

static int read_cursor(struct http_call *call, struct machine **after)
{
	const struct api *api = call->app;
	char text[MACHINE_ID_TEXT];
	int r = http_query(call->req, "cursor", text, sizeof(text));

	*after = r == 0 ? machine_find(api->machines, call->who.person, text) : NULL;
	if (r == -ENOENT || *after)
		return 0;
	http_problem(call->resp, 400, "bad_cursor", "The list has changed or the cursor is wrong; begin again without one.");
	return -EINVAL;
}

void api_vm_list(struct http_call *call)
{
	const struct api *api = call->app;
	json_t *items = json_array(), *next = NULL;
	struct machine *m = NULL, *last = NULL;
	size_t limit = 0;

	if (!items || read_limit(call, &limit) < 0 || read_cursor(call, &last) < 0) {
		json_decref(items);
		return;
	}
	while ((m = machine_next(api->machines, call->who.person, last))) {
		if (json_array_size(items) == limit) {
			next = json_string(machine_id(last));
			break;
		}
		(void)json_array_append_new(items, machine_json(m));
		last = m;
	}
	http_json(call->resp, 200, json_pack("{s:o, s:o}", "items", items, "next", next ? next : json_null()));
}

/* Visible ASCII, as RFC 9110 has it for tokens and quoted text; it goes into the store. */
static int read_key(struct http_call *call, const char **out)
{
	const char *key = call->req->idempotency_key;

	*out = key ? key : "";
	if (!key)
		return 0;
	for (const char *p = key; *p; p++)
		if (*p < 0x21 || *p > 0x7e)
			key = "";
	if (key[0] && strlen(key) <= KEY_BYTES)
		return 0;
	http_problem(call->resp, 400, "bad_key", "Idempotency-Key is 1 to %d visible ASCII characters.", KEY_BYTES);
	return -EINVAL;
}

/* Answer for a machine that exists now; @again: by the same Idempotency-Key as before. */
static void created(struct http_call *call, const struct machine *m, bool again)
{
	if (!again)
		api_note(call, "vm.create", machine_id(m), call->req->idempotency_key ? call->req->idempotency_key : "");
	http_json(call->resp, 201, machine_json(m));
	http_header(call->resp, "Location", "/api/v1/vms/%s", machine_id(m));
}

/* Whose a confidential machine is, its reports say by HOST_DATA: the person's own choice, such as the hash of a key, or the account. */
static int read_machine(struct http_call *call, struct vm_spec *spec, struct err *e)
{
	const struct api *api = call->app;
	struct person_row person;
	int r = spec_parse(spec, call->json, e);

	if (r < 0 || spec->confidential == VM_CONFIDENTIAL_NONE || json_object_get(call->json, "host_data"))
		return r;
	if (store_person_by_email(api->store, call->who.email, &person, e) != 0 || person.id != call->who.person)
		return err_set(e, -EINVAL, "whose the machine would be is not known; sign in again");
	r = confidential_owner(person.issuer, person.subject, spec->host_data);
	return r < 0 ? err_set(e, r, "the owner has too long a name for HOST_DATA") : 0;
}

/* The machine, and what is to be done in it once. */
static int read_spec(struct http_call *call, struct vm_spec *spec, struct recipe_wish *recipe, struct err *e)
{
	const struct api *api = call->app;
	struct hv_host host;
	int r = recipe_parse(recipe, call->json, strcmp(api->settings->disk_dir, "none") != 0, e);

	if (r == 0)
		r = read_machine(call, spec, e);
	machines_host(api->machines, &host);
	return r < 0 ? r : recipe_fits(recipe, spec, api->settings->images, spec->driver[0] ? spec->driver : host.driver ? host.driver : "", e);
}

void api_vm_create(struct http_call *call)
{
	const struct api *api = call->app;
	struct machine *m = NULL;
	struct vm_spec spec;
	struct grant g;
	struct recipe_wish recipe;
	struct machine_wish wish = { .person = call->who.person, .spec = &spec, .quota = &g.quota, .recipe = &recipe };
	struct err e = { 0 };
	int r;

	if (api_needs_person(call) || read_key(call, &wish.key) < 0 || !read_grant(call, &g))
		return;
	spec_defaults(&spec);
	if (read_spec(call, &spec, &recipe, &e) < 0) {
		http_problem(call->resp, 400, "bad_spec", "%s.", e.msg);
		spec_finish(&spec);
		recipe_finish(&recipe);
		return;
	}
	r = machine_create(api->machines, &wish, &m, &e);
	spec_finish(&spec);
	recipe_finish(&recipe);
	if (r == 0 || r == MACHINE_E_REPEATED)
		created(call, m, r == MACHINE_E_REPEATED);
	else if (r == MACHINE_E_EXISTS)
		http_problem_with(call->resp, 409, "vm_exists", m ? json_pack("{s:o}", "vm", machine_json(m)) : NULL, "%s.", e.msg);
	else
		not_done(call, r, &e);
}

/* --- one machine --- */

void api_vm_get(struct http_call *call)
{
	const struct machine *m = find(call);

	if (m)
		http_json(call->resp, 200, machine_json(m));
}

/* What came of asking a machine for @action. */
static void after(struct http_call *call, const struct machine *m, const char *action, int r, const struct err *e)
{
	if (r != 0) {
		not_done(call, r, e);
		return;
	}
	api_note(call, action, machine_id(m), "");
	http_json(call->resp, 202, machine_json(m));
}

/* A machine from better days must fit into what its person may use now. */
static int may_start(struct http_call *call, const struct machine *m, struct err *e)
{
	const struct api *api = call->app;
	struct grant g;

	if (auth_check(api->access, call->who.email, api->now_s(), &g, NULL) < 0)
		return err_set(e, MACHINE_E_QUOTA, "you may not be here any more");
	if (g.quota.lifetime_s && machine_created_s(m) + (int64_t)g.quota.lifetime_s <= api->now_s())
		return err_set(e, MACHINE_E_QUOTA, "the machine's lifetime of %llu minutes is over; delete it and make a new one",
			       (unsigned long long)g.quota.lifetime_s / 60);
	return machine_fits(m, &g.quota, e);
}

void api_vm_start(struct http_call *call)
{
	struct machine *m = find(call);
	struct err e = { 0 };
	int r;

	if (!m)
		return;
	r = may_start(call, m, &e);
	after(call, m, "vm.start", r ? r : machine_start(m, &e), &e);
}

void api_vm_stop(struct http_call *call)
{
	struct machine *m = find(call);
	struct err e = { 0 };
	int force = 0;

	if (!m)
		return;
	if (json_unpack(call->json, "{s?b}", "force", &force) < 0) {
		http_problem(call->resp, 400, "bad_request", "force is true or false.");
		return;
	}
	after(call, m, "vm.stop", machine_stop(m, force ? HV_STOP_KILL : HV_STOP_ASK, &e), &e);
}

void api_vm_restart(struct http_call *call)
{
	struct machine *m = find(call);
	struct err e = { 0 };
	int r;

	if (!m)
		return;
	r = may_start(call, m, &e);
	after(call, m, "vm.restart", r ? r : machine_restart(m, &e), &e);
}

void api_vm_suspend(struct http_call *call)
{
	struct machine *m = find(call);
	struct err e = { 0 };

	if (m)
		after(call, m, "vm.suspend", machine_suspend(m, &e), &e);
}

void api_vm_pause(struct http_call *call)
{
	struct machine *m = find(call);
	struct err e = { 0 };

	if (m)
		after(call, m, "vm.pause", machine_pause(m, &e), &e);
}

/* Begun: how it ends, the machine tells. */
static void card_answer(struct http_call *call, const struct machine *m, int r, const char *action, unsigned number, const struct err *e)
{
	char note[16];

	if (r != 0) {
		not_done(call, r, e);
		return;
	}
	(void)snprintf(note, sizeof(note), "card %u", number);
	api_note(call, action, machine_id(m), note);
	http_json(call->resp, 202, machine_json(m));
}

void api_vm_card_plug(struct http_call *call)
{
	struct machine *m = find(call);
	unsigned number = 0;
	struct err e = { 0 };
	int r;

	if (!m)
		return;
	if (json_object_size(call->json) > 0) {
		http_problem(call->resp, 400, "bad_spec", "A network card is asked for without any settings.");
		return;
	}
	r = machine_card_plug(m, &number, &e);
	card_answer(call, m, r, "vm.card.add", number, &e);
}

void api_vm_card_unplug(struct http_call *call)
{
	struct machine *m = find(call);
	unsigned number;
	char text[4];
	struct err e = { 0 };

	if (!m)
		return;
	if (http_query(call->req, "card", text, sizeof(text)) != 0 || text[0] < '1' || text[0] > '9' || text[1] != '\0') {
		http_problem(call->resp, 400, "bad_spec", "card: which one is it? Its number stands in the machine's cards.");
		return;
	}
	number = (unsigned)(text[0] - '0');
	card_answer(call, m, machine_card_unplug(m, number, &e), "vm.card.remove", number, &e);
}

void api_vm_resume(struct http_call *call)
{
	struct machine *m = find(call);
	struct err e = { 0 };

	if (m)
		after(call, m, "vm.resume", machine_resume(m, &e), &e);
}

void api_vm_edit(struct http_call *call)
{
	struct machine *m = find(call);
	struct vm_size size;
	struct err e = { 0 };
	struct grant g;
	char note[64];
	int r;

	if (!m || !read_grant(call, &g))
		return;
	machine_size(m, &size);
	if (size_parse(&size, call->json, &e) < 0) {
		http_problem(call->resp, 400, "bad_spec", "%s.", e.msg);
		return;
	}
	r = machine_resize(m, &size, &g.quota, &e);
	if (r != 0) {
		not_done(call, r, &e);
		return;
	}
	(void)snprintf(note, sizeof(note), "%u processors, %llu MiB", size.cpus, (unsigned long long)size.memory_bytes >> 20);
	api_note(call, "vm.resize", machine_id(m), note);
	http_json(call->resp, 202, machine_json(m));
}

/* The end of the kernel's log, as it came: for people, not for terminals, so control characters are dots. */
void api_vm_bootlog(struct http_call *call)
{
	const struct machine *m = find(call);
	size_t len = 0;
	const char *log = m ? machine_bootlog(m, &len) : NULL;
	struct buf *out = &call->resp->body;

	if (!m)
		return;
	call->resp->status = 200;
	call->resp->type = "text/plain; charset=utf-8";
	for (size_t i = 0; i < len; i++) {
		char c = log[i] == '\n' || (log[i] >= ' ' && log[i] <= '~') ? log[i] : '.';

		if (log[i] != '\r')
			(void)buf_add(out, &c, 1);
	}
}

void api_vm_delete(struct http_call *call)
{
	struct machine *m = find(call);
	struct err e = { 0 };

	if (m)
		after(call, m, "vm.delete", machine_delete(m, &e), &e);
}
