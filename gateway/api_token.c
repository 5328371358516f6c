/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/audit.h"
#include "auth/store.h"
#include "auth/token.h"
#include "base/err.h"
#include "base/log.h"
#include "base/when.h"
#include "gateway/api.h"
#include "gateway/attach.h"
#include "gateway/settings.h"

/* API tokens: made, listed and taken back by their person; and who is behind one. */

#define DEVICE_TOKEN "command line"

int api_token_identify(const struct api *api, const char *text, const struct peer *peer, struct who *who,
		       struct err *e)
{
	struct db *db = store_db(api->store);
	char address[PEER_TEXT];
	const char *from = peer_text(peer, address);
	struct err why = { 0 };
	struct token t;
	bool fresh = false;
	int r = token_check(db, text, api->now_s(), &t, who->session_hash, who->email, &why);

	if (r != 0) {
		log_debug("a bearer token from %s: %s", from, why.msg);
		return r < 0 ? err_set(e, r, "%s", why.msg) : r;
	}
	who->person = t.person;
	who->expires_at = t.expires_s;
	who->bearer = true;
	who->scopes = t.scopes;
	r = token_used(db, &t, from, api->now_s(), &fresh, e);
	if (r == 0 && fresh) {
		const struct audit_event ev = { .actor = who->email,
						.address = from,
						.action = "token.new_address",
						.object = who->email,
						.detail = t.name };

		r = audit_add(api->audit, &ev, api->now_s() * 1000, e);
	}
	return r;
}

/* --- showing --- */

static json_t *scope_list(unsigned scopes)
{
	json_t *list = json_array();
	char names[SCOPE_NAMES_BYTES];

	for (unsigned bit = 1; bit <= SCOPE_ALL; bit <<= 1)
		if (scopes & bit)
			(void)json_array_append_new(list, json_string(scope_names(bit, names)));
	return list;
}

static json_t *token_json(const struct token *t)
{
	char created[WHEN_BYTES], expires[WHEN_BYTES], used[WHEN_BYTES];

	return json_pack("{s:I, s:s, s:o, s:s, s:s, s:o}", "id", (json_int_t)t->id, "name", t->name, "scopes",
			 scope_list(t->scopes), "created_at", when_format(t->created_s, created), "expires_at",
			 when_format(t->expires_s, expires), "last_used",
			 t->used_s ? json_string(when_format(t->used_s, used)) : json_null());
}

static int add_token(void *arg, const struct token *t)
{
	return json_array_append_new(arg, token_json(t)) < 0 ? -ENOMEM : 0;
}

void api_token_list(struct http_call *call)
{
	const struct api *api = call->app;
	json_t *items = json_array();
	struct err e = { 0 };
	int r = items ? token_list(store_db(api->store), call->who.person, api->now_s(), add_token, items, &e) :
			-ENOMEM;

	if (r < 0) {
		json_decref(items);
		http_failed(call->resp, &e);
		return;
	}
	http_json(call->resp, 200, json_pack("{s:o, s:n}", "items", items, "next"));
}

/* --- making --- */

static int read_name(const char *name, struct token *t, struct err *e)
{
	size_t len = strlen(name);

	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			len = 0;
	if (len == 0 || len >= sizeof(t->name))
		return err_set(
			e, -EINVAL,
			"name is needed: a text of at most %d bytes by which you will know the token again",
			TOKEN_NAME_BYTES - 1);
	memcpy(t->name, name, len + 1);
	return 0;
}

static int read_scopes(const json_t *list, struct token *t, struct err *e)
{
	const json_t *item;
	unsigned bit;
	size_t i;

	json_array_foreach (list, i, item) {
		if (scope_parse(json_string_value(item), &bit) < 0) {
			t->scopes = 0;
			break;
		}
		t->scopes |= bit;
	}
	return t->scopes ? 0 : err_set(e, -EINVAL, "scopes is needed: a list of vm, rules, audit, people");
}

static int read_end(const char *when, const struct api *api, struct token *t, struct err *e)
{
	t->expires_s = t->created_s + (int64_t)(api->settings->token_life / 1000);
	if (when && when_parse(when, &t->expires_s) < 0)
		return err_set(e, -EINVAL,
			       "expires_at must be a date such as 2027-01-31 or 2027-01-31T18:00:00Z");
	if (t->expires_s <= t->created_s || t->expires_s > t->created_s + TOKEN_LIFE_MAX_S)
		return err_set(e, -EINVAL, "expires_at must be in the future, and within a year");
	return 0;
}

static int read_wish(const struct http_call *call, struct token *t, struct err *e)
{
	const struct api *api = call->app;
	const char *name = "", *when = NULL;
	json_t *scopes = NULL;
	json_error_t error;

	*t = (struct token){ .person = call->who.person, .created_s = api->now_s() };
	if (json_unpack_ex(call->json, &error, 0, "{s?s, s?o, s?s !}", "name", &name, "scopes", &scopes,
			   "expires_at", &when) < 0)
		return err_set(e, -EINVAL, "%s", error.text);
	return read_name(name, t, e) < 0 || read_scopes(scopes, t, e) < 0 || read_end(when, api, t, e) < 0 ?
		-EINVAL :
		0;
}

/* Make it, note it, and answer with it: the one time that it is shown. @more: further members of the answer,
 * consumed. */
static void make_token(struct http_call *call, const struct who *who, struct token *t, json_t *more)
{
	struct api *api = call->app;
	char text[TOKEN_TEXT_BYTES], address[PEER_TEXT];
	struct err e = { 0 };
	json_t *json;
	int r = token_make(store_db(api->store), t, peer_text(&call->req->peer, address), text, &e);

	if (r == TOKEN_E_MANY)
		http_problem(call->resp, 409, "too_many_tokens",
			     "You have %d tokens already; delete one that is no longer used.",
			     TOKENS_PER_PERSON);
	else if (r < 0)
		http_failed(call->resp, &e);
	if (r != 0) {
		json_decref(more);
		return;
	}
	call->who.person = who->person;
	memcpy(call->who.email, who->email, sizeof(call->who.email));
	api_note(call, "token.make", who->email, t->name);
	json = token_json(t);
	(void)json_object_set_new(json, "token", json_string(text));
	(void)json_object_update(json, more);
	json_decref(more);
	explicit_bzero(text, sizeof(text));
	http_json(call->resp, 201, json);
}

void api_token_make(struct http_call *call)
{
	struct err e = { 0 };
	struct token t;

	if (api_needs_person(call))
		return;
	if (read_wish(call, &t, &e) < 0)
		http_problem(call->resp, 400, "bad_request", "%s.", e.msg);
	else if (!api_account_waits(call, call->who.email, ACCOUNT_TOKEN))
		make_token(call, &call->who, &t, json_object());
}

void api_token_open(struct http_call *call, const struct who *who)
{
	const struct api *api = call->app;
	struct token t = {
		.person = who->person, .name = DEVICE_TOKEN, .scopes = SCOPE_ALL, .created_s = api->now_s()
	};

	t.expires_s = t.created_s + (int64_t)(api->settings->token_life / 1000);
	make_token(call, who, &t, json_pack("{s:s}", "email", who->email));
}

/* --- taking back --- */

void api_token_drop(struct http_call *call)
{
	const struct api *api = call->app;
	uint8_t hash[SECRET_HASH_BYTES];
	char name[TOKEN_NAME_BYTES], *end;
	struct err e = { 0 };
	int64_t id = strtoll(call->id, &end, 10);
	int r = *end ? TOKEN_E_NONE : token_drop(store_db(api->store), call->who.person, id, name, hash, &e);

	if (r == TOKEN_E_NONE)
		http_problem(call->resp, 404, "not_found", "You have no such token.");
	else if (r < 0)
		http_failed(call->resp, &e);
	if (r != 0)
		return;
	attach_hub_revoke(api->hub, hash, 4401, "the token was taken back");
	api_note(call, "token.revoke", call->who.email, name);
	call->resp->status = 204;
}

void api_token_rotate(struct http_call *call)
{
	const struct api *api = call->app;
	struct err e = { 0 };

	if (token_rotate(store_db(api->store), api->now_s(), &e) < 0) {
		http_failed(call->resp, &e);
		return;
	}
	log_info("a new key signs API tokens");
	api_note(call, "token.rotate", "", "");
	call->resp->status = 204;
}
