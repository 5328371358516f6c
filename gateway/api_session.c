/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "auth/access.h"
#include "auth/demo.h"
#include "auth/identity.h"
#include "auth/session.h"
#include "auth/signin.h"
#include "auth/store.h"
#include "auth/token.h"
#include "base/err.h"
#include "base/log.h"
#include "base/when.h"
#include "gateway/api.h"
#include "gateway/attach.h"
#include "gateway/peer.h"
#include "gateway/settings.h"

/* Sign-in, sign-out, and who one is. */

/* Names, as the demo's page has known them from the first, and the ways to sign in with all that a button needs. */
static json_t *providers(const struct api *api)
{
	return api->demo ? json_pack("[s]", "demo") : json_array();
}

static json_t *ways(const struct api *api)
{
	json_t *list = signins_providers(api->signins);

	if (list && api->demo)
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b, s:b}", "name", "demo", "title", "Demo link", "kind", "demo",
							    "device", 0, "ready", 1));
	return list;
}

static json_t *session_json(const struct api *api, const struct who *who)
{
	char expires[WHEN_BYTES];
	bool ends = who->expires_at < INT64_MAX; /* the control socket does not, nor a token that another service looks after */

	return json_pack("{s:s, s:s%, s:o, s:s, s:o}", "email", who->email, "name", who->email, strcspn(who->email, "@"), "expires_at",
			 ends ? json_string(when_format(who->expires_at, expires)) : json_null(), "role", role_name(who->role), "providers", providers(api));
}

void api_session_nobody(struct http_call *call)
{
	http_problem_with(call->resp, 401, "login_needed", json_pack("{s:o, s:o}", "providers", providers(call->app), "sign_in", ways(call->app)), "Sign in first.");
}

void api_session_get(struct http_call *call)
{
	http_json(call->resp, 200, session_json(call->app, &call->who));
}

/* A wrong link costs the address one of its few tries. */
static void refuse_link(struct http_call *call)
{
	const struct api *api = call->app;

	peer_limit_charge(api->sign_in_limit, &call->req->peer, api->now_ms());
	http_problem(call->resp, 403, "bad_link", "This link is wrong or was used already; the server's terminal shows a fresh one.");
}

void api_session_open(struct http_call *call, struct who *who, bool device)
{
	struct api *api = call->app;
	int64_t now_s = api->now_s();
	char cookie[SESSION_COOKIE_BYTES];
	struct grant g;
	struct err e = { 0 };

	if (device) {
		api_token_open(call, who);
		return;
	}
	/* Nothing else would do it in time: sign-ins are what makes rows. */
	if (store_session_purge(api->store, now_s, &e) < 0)
		log_warn("%s", e.msg);
	if (session_open(api->store, who, now_s, (int64_t)(api->settings->session_life / 1000), cookie, &e) < 0) {
		http_failed(call->resp, &e);
		return;
	}
	if (auth_check(api->access, who->email, now_s, &g, NULL) == 0)
		who->role = g.role;
	log_info("%s signed in", who->email);
	http_json(call->resp, 201, session_json(api, who));
	http_header(call->resp, "Set-Cookie", "%s", cookie);
}

/* The demo's link proves an address; from here on it is an identity like any other. */
static void sign_in_demo(struct http_call *call, const char *email)
{
	struct identity id = { .provider = "demo", .issuer = DEMO_ISSUER, .email_verified = EMAIL_VERIFIED_YES };

	(void)snprintf(id.subject, sizeof(id.subject), "%s", email);
	(void)snprintf(id.email, sizeof(id.email), "%s", email);
	api_admit(call, &id, false);
}

bool api_signin_waits(struct http_call *call)
{
	const struct api *api = call->app;
	uint64_t wait_ms = peer_limit_wait_ms(api->sign_in_limit, &call->req->peer, api->now_ms());

	if (wait_ms == 0)
		return false;
	http_problem(call->resp, 429, "slow_down", "Too many failed sign-ins from your address; wait a little.");
	http_header(call->resp, "Retry-After", "%llu", (unsigned long long)(wait_ms + 999) / 1000);
	return true;
}

void api_session_post(struct http_call *call)
{
	struct api *api = call->app;
	const char *provider = NULL, *token = NULL;
	char email[EMAIL_BYTES];
	struct err e = { 0 };
	int r;

	if (api_signin_waits(call))
		return;
	if (json_unpack(call->json, "{s:s, s:s}", "provider", &provider, "token", &token) < 0) {
		http_problem(call->resp, 400, "bad_request", "provider and token are needed, both texts.");
		return;
	}
	if (!api->demo || strcmp(provider, "demo") != 0) {
		http_problem(call->resp, 400, "no_provider", "This server has no such way to sign in.");
		return;
	}
	r = demo_redeem(api->demo, token, email, &e);
	if (r == -EACCES)
		refuse_link(call);
	else if (r < 0)
		http_failed(call->resp, &e);
	else
		sign_in_demo(call, email);
}

bool api_needs_person(struct http_call *call)
{
	if (call->who.person != 0)
		return false;
	http_problem(call->resp, 403, "no_person", "The control socket has no person who could do that: sign in.");
	return true;
}

void api_session_delete(struct http_call *call)
{
	struct api *api = call->app;
	struct err e = { 0 };
	int r;

	if (api_needs_person(call))
		return;
	r = call->who.bearer ? token_drop_hash(store_db(api->store), call->who.session_hash, &e) :
			       store_session_drop(api->store, call->who.session_hash, &e);
	if (r == TOKEN_E_NONE)
		http_problem(call->resp, 404, "no_session", "This token is not one of ours; it ends where it was made.");
	else if (r < 0)
		http_failed(call->resp, &e);
	if (r != 0)
		return;
	attach_hub_revoke(api->hub, call->who.session_hash, 4401, "signed out");
	log_info("%s signed out", call->who.email);
	api_note(call, call->who.bearer ? "token.revoke" : "sign_out", call->who.email, call->who.bearer ? "signed out" : "");
	call->resp->status = 204;
	if (!call->who.bearer)
		http_header(call->resp, "Set-Cookie", "%s", session_gone_cookie());
}
