/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/identity.h"
#include "auth/invite.h"
#include "auth/rulebook.h"
#include "auth/store.h"
#include "base/err.h"
#include "base/log.h"
#include "base/when.h"
#include "gateway/api.h"
#include "gateway/askers.h"
#include "gateway/settings.h"

/* Asking to be let in: for people who have proven who they are and are not on the list. Off unless
 * request_access says otherwise. */

void api_ask_offer(struct http_call *call, const char *secret, const struct identity *id)
{
	struct api *api = call->app;

	if (!api->askers || call->resp->status != 403 || askers_add(api->askers, secret, id, api->now_ms()) < 0)
		return;
	/* The same for everybody who is refused, or the button would tell who is known here. */
	http_problem_with(call->resp, 403, "refused", json_pack("{s:b}", "may_ask", 1),
			  "You are not let in here with this account. If you should be, ask an administrator.");
}

/* Whom no rule has named goes on the list of requests. Of others it is known already that they are not wanted,
 * or that they were let in. */
static int keep(const struct api *api, const struct identity *id, const char *reason, struct err *e)
{
	struct decision d = rules_decide(rulebook_rules(api->book), id->email, api->now_s());
	struct ask a = { .created_s = api->now_s() };

	if (d.verdict != VERDICT_NO_RULE && d.verdict != VERDICT_EXPIRED)
		return 0;
	(void)snprintf(a.email, sizeof(a.email), "%s", id->email);
	(void)snprintf(a.issuer, sizeof(a.issuer), "%s", id->issuer);
	(void)snprintf(a.name, sizeof(a.name), "%s", id->name);
	(void)snprintf(a.reason, sizeof(a.reason), "%s", reason);
	return ask_put(store_db(api->store), &a, e);
}

void api_ask(struct http_call *call)
{
	struct api *api = call->app;
	char secret[SECRET_TEXT];
	const char *reason = "";
	struct identity id;
	struct err e = { 0 };
	bool device;
	int r;

	if (api_signin_waits(call))
		return;
	if (json_unpack(call->json, "{s?s}", "reason", &reason) < 0 || strlen(reason) >= INVITE_NOTE_BYTES) {
		http_problem(call->resp, 400, "bad_request", "reason may be a text of at most %d bytes.",
			     INVITE_NOTE_BYTES - 1);
		return;
	}
	if (!api->askers || api_signin_secret(call, secret, &device) < 0 ||
	    askers_take(api->askers, secret, &id, api->now_ms()) < 0) {
		http_problem(call->resp, 404, "no_signin",
			     "Sign in first; whoever is refused may ask then, for ten minutes.");
		return;
	}
	if (api_account_waits(call, id.email, ACCOUNT_ASK))
		return;
	peer_limit_charge(api->sign_in_limit, &call->req->peer, api->now_ms());
	r = keep(api, &id, reason, &e);
	if (r < 0 && r != -ENOSPC) {
		http_failed(call->resp, &e);
		return;
	}
	if (r == -ENOSPC)
		log_warn("%s", e.msg);
	memcpy(call->who.email, id.email, sizeof(call->who.email));
	api_note(call, "access.ask", id.email, "");
	http_json(call->resp, 202, json_pack("{s:b}", "asked", 1));
}

/* --- deciding --- */

static int add_ask(void *arg, const struct ask *a)
{
	char at[WHEN_BYTES];
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "email", a->email, "name", a->name, "issuer",
				 a->issuer, "reason", a->reason, "asked_at", when_format(a->created_s, at));

	return json_array_append_new(arg, json) < 0 ? -ENOMEM : 0;
}

void api_ask_list(struct http_call *call)
{
	const struct api *api = call->app;
	char after[EMAIL_BYTES] = "";
	struct err e = { 0 };
	json_t *items;
	int64_t limit = 0;
	bool more = false;
	int r;

	if (api_limit(call, &limit) < 0)
		return;
	(void)http_query(call->req, "cursor", after, sizeof(after));
	items = json_array();
	r = items ? ask_list(store_db(api->store), after, limit, add_ask, items, &more, &e) : -ENOMEM;
	api_page_of(call, items, more, r, &e);
}

/* What ask_waits() or ask_drop() said. Return: true for one request, or false after a refusal. */
static bool one(struct http_call *call, int r, const struct err *e)
{
	if (r < 0)
		http_failed(call->resp, e);
	else if (r == 0)
		http_problem(call->resp, 404, "no_request",
			     "That address has not asked, or it is decided already.");
	return r > 0;
}

void api_ask_approve(struct http_call *call)
{
	const struct api *api = call->app;
	struct db *db = store_db(api->store);
	json_t *json = NULL;
	struct err e = { 0 };

	/* The rule first: a request that is gone without one would be lost. */
	if (!one(call, ask_waits(db, call->id, &e), &e) ||
	    api_invite(call, call->id, "You have asked for it: welcome.", &json) < 0)
		return;
	if (!one(call, ask_drop(db, call->id, &e), &e)) {
		json_decref(json);
		return;
	}
	api_note(call, "access.approve", call->id, "");
	http_json(call->resp, 200, json);
}

void api_ask_deny(struct http_call *call)
{
	const struct api *api = call->app;
	struct err e = { 0 };

	if (!one(call, ask_drop(store_db(api->store), call->id, &e), &e))
		return;
	api_note(call, "access.deny", call->id, "");
	call->resp->status = 204;
}
