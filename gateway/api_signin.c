/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "auth/access.h"
#include "auth/proxy.h"
#include "auth/session.h"
#include "auth/signin.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/api.h"
#include "gateway/settings.h"

/* Signing in at an identity service: begin, come back, look. auth/signin.h has the states. */

#define SIGNIN_ATTRIBUTES "Path=/; Secure; HttpOnly; SameSite=Lax" /* Lax: the way back is a navigation from another site */
#define AWAY_RETRY_S  5

/* The secret that names a sign-in: of the browser's cookie, or of the body for a client without cookies. */
int api_signin_secret(const struct http_call *call, char secret[SECRET_TEXT], bool *device)
{
	const char *text = json_string_value(json_object_get(call->json, "secret"));

	*device = text != NULL;
	if (!text)
		return call->req->cookie ? session_cookie(call->req->cookie, SIGNIN_COOKIE, secret) : -ENOENT;
	if (strlen(text) != SECRET_TEXT - 1)
		return -ENOENT;
	memcpy(secret, text, SECRET_TEXT);
	return 0;
}

static json_t *device_json(const struct oidc_device *d)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:i}", "user_code", d->user_code, "verification_uri", d->verification_uri,
			 "verification_uri_complete", d->verification_uri_complete, "expires_in_s", (int)d->expires_s, "interval_s",
			 (int)d->interval_s);
}

static json_t *signin_json(const struct signin_view *v, const char *secret)
{
	json_t *json = json_pack("{s:s, s:s}", "state", signin_state_name(v->state), "provider", v->provider);

	if (v->state == SIGNIN_REDIRECT)
		(void)json_object_set_new(json, "url", json_string(v->url));
	if (v->state == SIGNIN_CODE)
		(void)json_object_set_new(json, "device", device_json(v->device));
	if (secret)
		(void)json_object_set_new(json, "secret", json_string(secret));
	return json;
}

static void refuse(struct http_call *call, const char *why)
{
	const struct api *api = call->app;

	peer_limit_charge(api->sign_in_limit, &call->req->peer, api->now_ms());
	/* The reason is in log and audit; a stranger gets the same answer whether or not the address is known here. */
	(void)why;
	http_problem(call->resp, 403, "refused", "You are not let in here with this account. If you should be, ask an administrator.");
}

static void away(struct http_call *call, const struct err *e)
{
	log_warn("sign-in: %s", e->msg);
	http_problem(call->resp, 503, "provider_away", "The identity service does not answer at the moment; try again soon.");
	http_header(call->resp, "Retry-After", "%d", AWAY_RETRY_S);
}

bool api_account_waits(struct http_call *call, const char *email, enum account_limit what)
{
	const struct api *api = call->app;
	struct peer account;
	uint64_t wait_ms;

	if (!api->account_limits[what] || peer_of_account(email, &account) < 0)
		return false;
	wait_ms = peer_limit_wait_ms(api->account_limits[what], &account, api->now_ms());
	if (wait_ms == 0) {
		peer_limit_charge(api->account_limits[what], &account, api->now_ms());
		return false;
	}
	http_problem(call->resp, 429, "slow_down", "This account does that too often; wait a little.");
	http_header(call->resp, "Retry-After", "%llu", (unsigned long long)(wait_ms + 999) / 1000);
	return true;
}

/* Proven: let in or refused; counted alike whether or not the account is known here. */
void api_admit(struct http_call *call, const struct identity *id, bool device)
{
	struct api *api = call->app;
	char address[PEER_TEXT];
	struct who who = { 0 };
	struct err e = { 0 };
	int r;

	if (api_account_waits(call, id->email, ACCOUNT_SIGN_IN))
		return;
	r = access_admit(api->access, id, peer_text(&call->req->peer, address), api->now_s(), &who, &e);
	if (r == -EACCES) {
		log_warn("sign-in refused: %s", e.msg);
		refuse(call, e.msg);
	} else if (r < 0) {
		http_failed(call->resp, &e);
	} else {
		api_session_open(call, &who, device);
	}
}

/* By what the proxy in front of us wrote into this very request. */
static void sign_in_proxy(struct http_call *call, const struct proxy_config *c)
{
	struct api *api = call->app;
	struct proxy_request r = { .assertion = api_proxy_header(call, c->assertion_header), .plain = api_proxy_header(call, c->plain_header),
				   .secret = api_proxy_header(call, c->secret_header) };
	char address[PEER_TEXT];
	struct identity id;
	struct err e = { 0 };
	int result;

	memcpy(r.peer, call->req->peer.address, sizeof(r.peer));
	result = signin_proxy(api->signins, c->name, &r, &id, &e);
	if (result == 0) {
		api_admit(call, &id, false);
	} else if (result == -EAGAIN) {
		away(call, &e);
	} else {
		log_warn("sign-in by %s refused: %s", c->name, e.msg);
		access_refused(api->access, "", peer_text(&call->req->peer, address), e.msg, api->now_s());
		peer_limit_charge(api->sign_in_limit, &call->req->peer, api->now_ms());
		if (result == -EINVAL)
			http_problem(call->resp, 400, "header_twice", "A header of the proxy in front of this server came twice.");
		else
			http_problem(call->resp, 403, "refused", "The proxy in front of this server has not proved who you are; open this server through it.");
	}
}

void api_signin_begin(struct http_call *call)
{
	struct api *api = call->app;
	const char *provider = json_string_value(json_object_get(call->json, "provider"));
	bool device = json_is_true(json_object_get(call->json, "device"));
	struct signin_wish wish = { .provider = provider, .how = device ? SIGNIN_DEVICE : SIGNIN_BROWSER };
	char secret[SECRET_TEXT];
	struct signin_view v;
	struct err e = { 0 };
	int r;

	if (api_signin_waits(call))
		return;
	if (!provider) {
		http_problem(call->resp, 400, "bad_request", "provider is needed, a text.");
		return;
	}
	if (signins_proxy(api->signins, provider)) {
		sign_in_proxy(call, proxy_config(signins_proxy(api->signins, provider)));
		return;
	}
	memcpy(wish.from, call->req->peer.key, sizeof(wish.from));
	r = signin_begin(api->signins, &wish, secret, &e);
	if (r == -ENOENT)
		http_problem(call->resp, 400, "no_provider", "This server has no such way to sign in.");
	else if (r == -EOPNOTSUPP)
		http_problem(call->resp, 400, "no_device", "This way to sign in needs a browser.");
	else if (r == -EAGAIN)
		away(call, &e);
	else if (r < 0)
		http_failed(call->resp, &e);
	if (r < 0 || signin_look(api->signins, secret, &v) < 0)
		return;
	http_json(call->resp, 202, signin_json(&v, device ? secret : NULL));
	if (!device)
		http_header(call->resp, "Set-Cookie", SIGNIN_COOKIE "=%s; " SIGNIN_ATTRIBUTES "; Max-Age=%d", secret, SIGNIN_LIFE_MS / 1000);
}

void api_signin_look(struct http_call *call)
{
	struct api *api = call->app;
	char secret[SECRET_TEXT], address[PEER_TEXT];
	struct signin_view v = { .state = SIGNIN_REFUSED };
	struct identity id;
	bool device = false;

	if (api_signin_secret(call, secret, &device) < 0 || signin_look(api->signins, secret, &v) < 0) {
		http_problem(call->resp, 404, "no_signin", "No sign-in is under way here; start again.");
		return;
	}
	if (v.state == SIGNIN_DONE && signin_take(api->signins, secret, &id) == 0) {
		api_admit(call, &id, device);
		api_ask_offer(call, secret, &id);
	} else if (v.state == SIGNIN_REFUSED) {
		access_refused(api->access, "", peer_text(&call->req->peer, address), v.why, api->now_s());
		http_problem(call->resp, 403, "refused", "The sign-in did not work: %s.", v.why);
		peer_limit_charge(api->sign_in_limit, &call->req->peer, api->now_ms());
		signin_drop(api->signins, secret);
	} else {
		http_json(call->resp, 202, signin_json(&v, NULL));
	}
}

/* A parameter of the query into @out; NULL when absent. One that is too long is none that could be right, but it is not absent. */
static const char *parameter(const struct http_call *call, const char *name, char *out, size_t size)
{
	int r = http_query(call->req, name, out, size);

	if (r == -EINVAL)
		out[0] = '\0';
	return r == -ENOENT ? NULL : out;
}

/* A navigation, so the answer is one too: back to the page, which looks and shows what came of it. */
void api_signin_callback(struct http_call *call)
{
	struct api *api = call->app;
	char state[128], code[2048], iss[ISSUER_BYTES], error[64], secret[SECRET_TEXT];
	struct oidc_callback cb = {
		.state = parameter(call, "state", state, sizeof(state)), .code = parameter(call, "code", code, sizeof(code)),
		.iss = parameter(call, "iss", iss, sizeof(iss)), .error = parameter(call, "error", error, sizeof(error)),
	};
	struct err e = { 0 };
	bool device;

	if (api_signin_secret(call, secret, &device) == 0 && signin_callback(api->signins, call->id, secret, &cb, &e) < 0)
		log_warn("sign-in by %s: %s", call->id, e.msg);
	explicit_bzero(code, sizeof(code));
	call->resp->status = 303;
	http_header(call->resp, "Location", "/#signin");
	http_header(call->resp, "Referrer-Policy", "no-referrer");
}
