/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/oidc_internal.h"

#include <errno.h>
#include <mbedtls/base64.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "base/httpc.h"
#include "base/log.h"
#include "base/loop.h"

/*
 * Theory of operation of a sign-in:
 *
 *   oidc_begin()    a record {state, nonce, verifier, browser} is kept for 10 minutes, the browser goes to the service
 *   oidc_finish()   the record of that state is taken out, whatever follows; the browser must be the same; iss must be the issuer
 *   token endpoint  code + verifier -> ID token; signature, iss, aud, azp, exp, nbf, iat, nonce
 *   userinfo        only when the ID token has no e-mail; its sub must be the ID token's, and e-mail and email_verified both come from it
 *   identity_accept()
 *
 * Nothing in the log or in an error shown to a person holds a code, a token or a verifier.
 */

#define FORM_BYTES 8192
#define KEYS_WAIT_S 0.2
#define KEYS_WAIT_MAX_MS 12000
#define END_MAX_S 253402300799. /* the end of the year 9999 */

static int sha256(const void *data, size_t len, uint8_t out[32])
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	return mbedtls_sha256_ret(data, len, out, 0);
#else
	return mbedtls_sha256(data, len, out, 0);
#endif
}

int oidc_create(struct oidc **out, struct loop *loop, struct httpc *httpc, const struct oidc_config *c, struct err *e)
{
	struct oidc *o;

	if (!identity_url_https(c->issuer) && !identity_url_loopback(c->issuer))
		return err_set(e, -EINVAL, "identity %s: issuer must be https (http only for a loopback address)", c->name);
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->c = *c;
	o->loop = loop;
	o->httpc = httpc;
	if (oidc_meta_start(o) < 0) {
		free(o);
		return -ENOMEM;
	}
	*out = o;
	return 0;
}

struct oidc *oidc_destroy(struct oidc *o)
{
	if (!o)
		return NULL;
	while (o->calls)
		oidc_call_free(o->calls);
	oidc_meta_stop(o);
	explicit_bzero(o, sizeof(*o));
	free(o);
	return NULL;
}

const struct oidc_config *oidc_config(const struct oidc *o)
{
	return &o->c;
}

bool oidc_ready(const struct oidc *o, struct err *e)
{
	struct err keys = { 0 };

	if (o->known && keyset_keys(o->keys, &keys))
		return true;
	err_set(e, -EAGAIN, "the identity service %s is not available: %s", o->c.title, o->known ? keys.msg : o->why.msg);
	return false;
}

/* --- the way out ------------------------------------------------------------------------------------------------------ */

/* RFC 7636 §4.2: BASE64URL(SHA256(verifier)). */
static int challenge_of(const char *verifier, char out[64])
{
	uint8_t hash[32];
	size_t n = 0;

	if (sha256(verifier, strlen(verifier), hash) != 0 || mbedtls_base64_encode((uint8_t *)out, 64, &n, hash, sizeof(hash)) != 0)
		return -EIO;
	while (n > 0 && out[n - 1] == '=')
		n--;
	out[n] = '\0';
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
	return 0;
}

static struct oidc_login *free_login(struct oidc *o)
{
	struct oidc_login *oldest = &o->logins[0];

	for (size_t i = 0; i < OIDC_LOGINS_MAX; i++) {
		if (o->logins[i].started_ms == 0)
			return &o->logins[i];
		if (o->logins[i].started_ms < oldest->started_ms)
			oldest = &o->logins[i];
	}
	return oldest;
}

int oidc_begin(struct oidc *o, const uint8_t browser[OIDC_BROWSER_BYTES], char *url, size_t size, struct err *e)
{
	char state[SECRET_TEXT], challenge[64], client[384], redirect[1536], scopes[384];
	struct oidc_login *login;
	uint8_t unused[SECRET_HASH_BYTES];
	int n;

	if (!oidc_ready(o, e))
		return -EAGAIN;
	login = free_login(o);
	memset(login, 0, sizeof(*login));
	if (secret_make(state, login->state) < 0 || secret_make(login->nonce, unused) < 0 || secret_make(login->verifier, unused) < 0 ||
	    challenge_of(login->verifier, challenge) < 0)
		return err_set(e, -EIO, "no randomness");
	if (httpc_escape(o->c.client_id, client, sizeof(client)) < 0 || httpc_escape(o->c.redirect_uri, redirect, sizeof(redirect)) < 0 ||
	    httpc_escape(o->c.scopes, scopes, sizeof(scopes)) < 0)
		return err_set(e, -ENOSPC, "identity %s: client_id, scopes or redirect URI is too long", o->c.name);
	n = snprintf(url, size,
		     "%s%cresponse_type=code&client_id=%s&redirect_uri=%s&scope=%s&state=%s&nonce=%s&code_challenge=%s&code_challenge_method=S256",
		     o->meta.authorization, strchr(o->meta.authorization, '?') ? '&' : '?', client, redirect, scopes, state, login->nonce,
		     challenge);
	if (n < 0 || (size_t)n >= size)
		return err_set(e, -ENOSPC, "identity %s: the sign-in URL is too long", o->c.name);
	memcpy(login->browser, browser, OIDC_BROWSER_BYTES);
	login->started_ms = loop_now_ms();
	return 0;
}

/* --- the way back ----------------------------------------------------------------------------------------------------- */

struct oidc_call *oidc_call_create(struct oidc *o, oidc_done *done, void *arg)
{
	struct oidc_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->o = o;
	c->done = done;
	c->arg = arg;
	c->newer = o->calls;
	c->link = &o->calls;
	if (c->newer)
		c->newer->link = &c->newer;
	o->calls = c;
	ev_timer_init(&c->poll, NULL, 0., 0.);
	return c;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void oidc_call_free(struct oidc_call *c)
{
	(void)httpc_cancel(c->http);
	ev_timer_stop(c->o->loop->ev, &c->poll);
	*c->link = c->newer;
	if (c->newer)
		c->newer->link = c->link;
	wipe(c->id_token);
	wipe(c->access_token);
	free(c);
}

struct oidc_call *oidc_cancel(struct oidc_call *c)
{
	if (c)
		oidc_call_free(c);
	return NULL;
}

void oidc_call_refuse(struct oidc_call *c, const struct err *e)
{
	oidc_done *done = c->done;
	void *arg = c->arg;
	struct err copy = *e;

	oidc_call_free(c);
	done(arg, NULL, &copy);
}

static void accept_identity(struct oidc_call *c)
{
	oidc_done *done = c->done;
	void *arg = c->arg;
	struct identity id = c->id;
	struct err e = { 0 };

	if (identity_accept(&id, c->o->c.email_policy, &e) < 0) {
		oidc_call_refuse(c, &e);
		return;
	}
	oidc_call_free(c);
	done(arg, &id, NULL);
}

static void copy_text(const json_t *claims, const char *member, char *out, size_t size)
{
	const json_t *v = json_object_get(claims, member);

	out[0] = '\0';
	if (json_is_string(v) && json_string_length(v) < size && strlen(json_string_value(v)) == json_string_length(v))
		memcpy(out, json_string_value(v), json_string_length(v) + 1);
}

static enum email_verified verified_of(const json_t *claims)
{
	const json_t *v = json_object_get(claims, "email_verified");

	if (!v)
		return EMAIL_VERIFIED_ABSENT;
	/* Some services send the word instead of the boolean. */
	if (json_is_true(v) || (json_is_string(v) && strcmp(json_string_value(v), "true") == 0))
		return EMAIL_VERIFIED_YES;
	return EMAIL_VERIFIED_NO;
}

void oidc_identity(struct identity *id, const struct oidc_config *c, const json_t *claims)
{
	memset(id, 0, sizeof(*id));
	(void)snprintf(id->provider, sizeof(id->provider), "%s", c->name);
	(void)snprintf(id->issuer, sizeof(id->issuer), "%s", c->issuer);
	copy_text(claims, "sub", id->subject, sizeof(id->subject));
	copy_text(claims, "email", id->email, sizeof(id->email));
	copy_text(claims, "name", id->name, sizeof(id->name));
	id->email_verified = verified_of(claims);
}

void oidc_error_text(const char *body, size_t len, char *out, size_t size)
{
	json_error_t where;
	json_t *doc = json_loadb(body, len, 0, &where);

	copy_text(doc, "error", out, size);
	json_decref(doc);
	for (char *p = out; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || *p == '_' || *p == '-'))
			*p = '?';
}

/* Names and addresses of our network are for the log; the person is told less. */
static void tell_away(const struct oidc_call *c, const struct httpc_answer *a)
{
	if (a->error)
		log_warn("identity service %s cannot be reached: %s", c->o->c.name, a->why);
}

static void on_userinfo(void *arg, const struct httpc_answer *a)
{
	struct oidc_call *c = arg;
	struct identity info;
	struct err e = { 0 };
	json_error_t where;
	json_t *doc;

	c->http = NULL;
	if (a->error || a->status != 200) {
		tell_away(c, a);
		err_set(&e, -EACCES, "the identity service does not tell who signed in (userinfo): %s",
			a->error ? "no answer" : a->status == 401 ? "401" : "unexpected status");
		oidc_call_refuse(c, &e);
		return;
	}
	doc = json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(doc)) {
		json_decref(doc);
		err_set(&e, -EACCES, "the identity service's userinfo is not JSON");
		oidc_call_refuse(c, &e);
		return;
	}
	oidc_identity(&info, &c->o->c, doc);
	json_decref(doc);
	/* OpenID Connect Core §5.3.2: the sub must be that of the ID token, or the answer is about somebody else. */
	if (info.subject[0] == '\0' || strcmp(info.subject, c->id.subject) != 0) {
		err_set(&e, -EACCES, "userinfo speaks of another person than the ID token (sub)");
		oidc_call_refuse(c, &e);
		return;
	}
	c->id = info;
	accept_identity(c);
}

static void ask_userinfo(struct oidc_call *c)
{
	char header[JWT_BYTES_MAX + 32];
	struct httpc_request req = {
		.method = "GET", .url = c->o->meta.userinfo, .headers = { header }, .nheaders = 1,
		.ca_file = c->o->c.ca_file[0] ? c->o->c.ca_file : NULL, .limit_bytes = OIDC_ANSWER_MAX,
		.deadline_ms = OIDC_DEADLINE_MS, .allow_http = c->o->allow_http,
	};
	struct err e = { 0 };

	(void)snprintf(header, sizeof(header), "Authorization: Bearer %s", c->access_token);
	c->http = httpc_start(c->o->httpc, &req, on_userinfo, c, &e);
	explicit_bzero(header, sizeof(header));
	if (!c->http)
		oidc_call_refuse(c, &e);
}

static void verify_id_token(struct oidc_call *c);

static void on_keys_waited(struct ev_loop *ev, ev_timer *w, int events)
{
	struct oidc_call *c = container_of(w, struct oidc_call, poll);

	(void)ev, (void)events;
	if (keyset_busy(c->o->keys) && loop_now_ms() < c->give_up_ms) {
		ev_timer_set(&c->poll, KEYS_WAIT_S, 0.);
		ev_timer_start(c->o->loop->ev, &c->poll);
		return;
	}
	verify_id_token(c);
}

/* The service may have turned its keys over since we asked last: once per sign-in the set is fetched anew. */
static bool wait_for_keys(struct oidc_call *c)
{
	if (c->keys_refetched || !keyset_want(c->o->keys))
		return false;
	c->keys_refetched = true;
	c->give_up_ms = loop_now_ms() + KEYS_WAIT_MAX_MS;
	ev_timer_init(&c->poll, on_keys_waited, KEYS_WAIT_S, 0.);
	ev_timer_start(c->o->loop->ev, &c->poll);
	return true;
}

static void verify_id_token(struct oidc_call *c)
{
	struct jwt_want want = {
		.issuer = c->o->c.issuer, .audience = c->o->c.client_id, .nonce = c->nonce[0] ? c->nonce : NULL, .now_s = time(NULL),
		.skew_s = c->o->c.skew_s,
	};
	struct err e = { 0 };
	json_t *claims = NULL;
	int r = jwt_verify(c->id_token, keyset_keys(c->o->keys, NULL), 0, &claims, &e);

	if (r == JWT_E_KEY && wait_for_keys(c))
		return;
	if (r == 0)
		r = jwt_check(claims, &want, &e);
	if (r) {
		json_decref(claims);
		oidc_call_refuse(c, &e);
		return;
	}
	oidc_identity(&c->id, &c->o->c, claims);
	json_decref(claims);
	if (c->id.email[0] == '\0' && c->access_token && c->o->meta.userinfo[0])
		ask_userinfo(c);
	else
		accept_identity(c);
}

void oidc_call_token(struct oidc_call *c, const json_t *response)
{
	const json_t *id_token = json_object_get(response, "id_token"), *access = json_object_get(response, "access_token");
	struct err e = { 0 };

	if (!json_is_string(id_token) || json_string_length(id_token) > JWT_BYTES_MAX) {
		err_set(&e, -EACCES, "the identity service sent no ID token (the scope openid must be asked for)");
		oidc_call_refuse(c, &e);
		return;
	}
	c->id_token = strdup(json_string_value(id_token));
	if (json_is_string(access) && json_string_length(access) <= JWT_BYTES_MAX && !strpbrk(json_string_value(access), "\r\n"))
		c->access_token = strdup(json_string_value(access));
	if (!c->id_token) {
		err_set(&e, -ENOMEM, "out of memory");
		oidc_call_refuse(c, &e);
		return;
	}
	verify_id_token(c);
}

static void on_token(void *arg, const struct httpc_answer *a)
{
	struct oidc_call *c = arg;
	struct err e = { 0 };
	char word[64];
	json_error_t where;
	json_t *doc;

	c->http = NULL;
	if (a->error || a->status != 200) {
		tell_away(c, a);
		oidc_error_text(a->body, a->len, word, sizeof(word));
		err_set(&e, -EACCES, "the identity service does not accept the sign-in: %s",
			a->error ? "it cannot be reached" : word[0] ? word : "it answered without a reason");
		oidc_call_refuse(c, &e);
		return;
	}
	doc = json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES, &where);
	oidc_call_token(c, doc);
	json_decref(doc);
}

int oidc_token_request(struct oidc_call *c, const char *endpoint, const char *form, void (*done)(void *, const struct httpc_answer *),
		       struct err *e)
{
	struct oidc *o = c->o;
	char user[384], password[768], body[FORM_BYTES + 1280];
	bool basic = o->c.secret[0] && !o->meta.secret_in_body;
	struct httpc_request req = {
		.method = "POST", .url = endpoint, .headers = { "Content-Type: application/x-www-form-urlencoded", "Accept: application/json" },
		.nheaders = 2, .body = body, .ca_file = o->c.ca_file[0] ? o->c.ca_file : NULL, .limit_bytes = OIDC_ANSWER_MAX,
		.deadline_ms = OIDC_DEADLINE_MS, .allow_http = o->allow_http,
	};
	int n;

	/* RFC 6749 §2.3.1: both are form-encoded before they become Basic credentials. */
	if (httpc_escape(o->c.client_id, user, sizeof(user)) < 0 || httpc_escape(o->c.secret, password, sizeof(password)) < 0)
		return err_set(e, -ENOSPC, "identity %s: client_id or secret is too long", o->c.name);
	if (basic) {
		req.secret_user = user;
		req.secret_password = password;
		n = snprintf(body, sizeof(body), "%s", form);
	} else {
		n = snprintf(body, sizeof(body), "%s&client_id=%s%s%s", form, user, o->c.secret[0] ? "&client_secret=" : "", password);
	}
	if (n > 0 && (size_t)n < sizeof(body)) {
		req.body_len = (size_t)n;
		c->http = httpc_start(o->httpc, &req, done, c, e);
	} else
		err_set(e, -ENOSPC, "the request to the identity service is too long");
	explicit_bzero(body, sizeof(body));
	explicit_bzero(password, sizeof(password));
	return c->http ? 0 : -EAGAIN;
}

void oidc_forget(struct oidc *o, const uint8_t browser[OIDC_BROWSER_BYTES])
{
	for (size_t i = 0; i < OIDC_LOGINS_MAX; i++)
		if (o->logins[i].started_ms && secret_equal(o->logins[i].browser, browser, OIDC_BROWSER_BYTES))
			explicit_bzero(&o->logins[i], sizeof(o->logins[i]));
}

/* Takes the record of a state out: a state works once. */
static int take_login(struct oidc *o, const char *state, const uint8_t *browser, struct oidc_login *out)
{
	uint8_t hash[SECRET_HASH_BYTES];

	if (!state || secret_hash(state, hash) < 0)
		return -ENOENT;
	for (size_t i = 0; i < OIDC_LOGINS_MAX; i++) {
		struct oidc_login *l = &o->logins[i];

		if (l->started_ms == 0 || !secret_equal(l->state, hash, sizeof(hash)))
			continue;
		*out = *l;
		explicit_bzero(l, sizeof(*l));
		if (loop_now_ms() - out->started_ms > OIDC_LOGIN_LIFE_MS)
			return -ETIMEDOUT;
		return secret_equal(out->browser, browser, OIDC_BROWSER_BYTES) ? 0 : -EACCES;
	}
	return -ENOENT;
}

static int check_callback(struct oidc *o, const struct oidc_callback *cb, struct oidc_login *login, struct err *e)
{
	int r = take_login(o, cb->state, cb->browser, login);

	if (r == -ETIMEDOUT)
		return err_set(e, r, "the sign-in took longer than %d minutes; start again", OIDC_LOGIN_LIFE_MS / 60000);
	if (r == -EACCES)
		return err_set(e, r, "the sign-in was started in another browser; start again here");
	if (r < 0)
		return err_set(e, r, "this sign-in is not known here or was used already; start again");
	/* RFC 9207 §2.4: an answer of another issuer must not be traded in here (mix-up). */
	if ((cb->iss || o->meta.names_issuer) && (!cb->iss || strcmp(cb->iss, o->c.issuer) != 0))
		return err_set(e, -EACCES, "the answer comes from another identity service (iss)");
	if (cb->error)
		return err_set(e, -EACCES, strcmp(cb->error, "access_denied") == 0 ? "the sign-in was refused or cancelled at the identity service" :
										    "the identity service reports an error");
	if (!cb->code || !cb->code[0])
		return err_set(e, -EACCES, "the identity service sent no code");
	return 0;
}

struct oidc_call *oidc_finish(struct oidc *o, const struct oidc_callback *cb, oidc_done *done, void *arg, struct err *e)
{
	char form[FORM_BYTES], code[4096], redirect[1536];
	struct oidc_login login = { 0 };
	struct oidc_call *c = NULL;
	int n;

	if (check_callback(o, cb, &login, e) < 0 || !oidc_ready(o, e))
		return NULL;
	if (httpc_escape(cb->code, code, sizeof(code)) < 0 || httpc_escape(o->c.redirect_uri, redirect, sizeof(redirect)) < 0) {
		err_set(e, -EACCES, "the identity service sent too long a code");
		return NULL;
	}
	n = snprintf(form, sizeof(form), "grant_type=authorization_code&code=%s&redirect_uri=%s&code_verifier=%s", code, redirect, login.verifier);
	c = n > 0 && (size_t)n < sizeof(form) ? oidc_call_create(o, done, arg) : NULL;
	if (!c) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	memcpy(c->nonce, login.nonce, sizeof(c->nonce));
	if (oidc_token_request(c, o->meta.token, form, on_token, e) < 0) {
		oidc_call_free(c);
		c = NULL;
	}
	explicit_bzero(form, sizeof(form));
	explicit_bzero(&login, sizeof(login));
	return c;
}

/* --- bearer tokens ---------------------------------------------------------------------------------------------------- */

/* exp, which jwt_check() has seen to be a number later than now; it may be one that no integer holds. */
static int64_t end_of(const json_t *claims)
{
	double exp = json_number_value(json_object_get(claims, "exp"));

	return exp < END_MAX_S ? (int64_t)exp : (int64_t)END_MAX_S;
}

int oidc_bearer(struct oidc *o, const char *token, struct identity *id, struct err *e)
{
	struct jwt_want want = { .issuer = o->c.issuer, .audience = o->c.api_audience, .now_s = time(NULL), .skew_s = o->c.skew_s };
	const struct jwks *keys;
	json_t *claims = NULL;
	int r;

	if (o->c.api_audience[0] == '\0')
		return err_set(e, -EACCES, "bearer tokens of %s are not accepted here (api_audience is not set)", o->c.title);
	if (!oidc_ready(o, e))
		return -EACCES;
	keys = keyset_keys(o->keys, NULL);
	r = jwt_verify(token, keys, 1, &claims, NULL);
	if (r < 0) /* not of type at+jwt: many services send plain JWTs with our audience */
		r = jwt_verify(token, keys, 0, &claims, e);
	if (r == JWT_E_KEY) {
		(void)keyset_want(o->keys);
		return err_set(e, -EACCES, "token is signed by a key that the issuer does not list");
	}
	if (r < 0)
		return -EACCES;
	/* azp of an access token names the client that asked for it, not us. */
	if (strcmp(o->c.api_audience, o->c.client_id) != 0)
		(void)json_object_del(claims, "azp");
	r = jwt_check(claims, &want, e);
	if (r == 0) {
		oidc_identity(id, &o->c, claims);
		id->expires_s = end_of(claims) + o->c.skew_s;
		r = identity_accept(id, o->c.email_policy, e);
	}
	json_decref(claims);
	return r < 0 ? -EACCES : 0;
}
