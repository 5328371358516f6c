/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/oidc_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/httpc.h"
#include "base/log.h"
#include "base/loop.h"

/* What a service says about itself: fetched at start and twice a day; a failure keeps what was known and tries again, ever more slowly. */

#define WELL_KNOWN "/.well-known/openid-configuration"
#define EVERY_S	    (12 * 3600.)
#define RETRY_MAX_S 60

static void fetch(struct oidc *o);

/* An endpoint must be https, or plain http on loopback when the issuer is that too. */
static int endpoint(const json_t *doc, const char *member, bool required, bool allow_http, char out[OIDC_ENDPOINT_BYTES], struct err *e)
{
	const json_t *v = json_object_get(doc, member);
	const char *url = json_string_value(v);

	out[0] = '\0';
	if (!v && !required)
		return 0;
	if (!url || json_string_length(v) != strlen(url) || strlen(url) >= OIDC_ENDPOINT_BYTES)
		return err_set(e, -EINVAL, "its metadata has no usable %s", member);
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
			return err_set(e, -EINVAL, "its %s is not a URL", member);
	if (!identity_url_https(url) && !(allow_http && identity_url_loopback(url)))
		return err_set(e, -EINVAL, "its %s is not https", member);
	memcpy(out, url, strlen(url) + 1);
	return 0;
}

static bool lists(const json_t *doc, const char *member, const char *value)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(doc, member), i, v)
		if (json_is_string(v) && strcmp(json_string_value(v), value) == 0)
			return true;
	return false;
}

int oidc_meta_parse(struct oidc_metadata *m, const char *issuer, bool allow_http, const char *text, size_t len, struct err *e)
{
	json_error_t where;
	json_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	const char *says = json_string_value(json_object_get(doc, "issuer"));
	int r;

	memset(m, 0, sizeof(*m));
	if (!says || strcmp(says, issuer) != 0) {
		r = err_set(e, -EINVAL, says ? "it calls itself another issuer than the configuration does" : "its metadata is not the JSON of an issuer");
		json_decref(doc);
		return r;
	}
	r = endpoint(doc, "authorization_endpoint", true, allow_http, m->authorization, e);
	r = r ? r : endpoint(doc, "token_endpoint", true, allow_http, m->token, e);
	r = r ? r : endpoint(doc, "jwks_uri", true, allow_http, m->jwks, e);
	r = r ? r : endpoint(doc, "userinfo_endpoint", false, allow_http, m->userinfo, e);
	r = r ? r : endpoint(doc, "device_authorization_endpoint", false, allow_http, m->device, e);
	if (!r && json_object_get(doc, "code_challenge_methods_supported") && !lists(doc, "code_challenge_methods_supported", "S256"))
		r = err_set(e, -EINVAL, "it does not offer PKCE with S256");
	m->names_issuer = json_is_true(json_object_get(doc, "authorization_response_iss_parameter_supported"));
	m->secret_in_body = lists(doc, "token_endpoint_auth_methods_supported", "client_secret_post") &&
			    !lists(doc, "token_endpoint_auth_methods_supported", "client_secret_basic");
	json_decref(doc);
	return r;
}

static void again_in(struct oidc *o, double seconds)
{
	ev_now_update(o->loop->ev);
	ev_timer_stop(o->loop->ev, &o->refresh);
	ev_timer_set(&o->refresh, seconds, 0.);
	ev_timer_start(o->loop->ev, &o->refresh);
}

static void failed(struct oidc *o, const struct err *e)
{
	unsigned wait_s = o->failures < 6 ? 1U << o->failures : RETRY_MAX_S;

	o->why = *e;
	/* The first failure and every tenth: a service that is down for a night must not fill the log. */
	if (o->failures++ % 10 == 0)
		log_warn("identity service %s: %s; trying again in %u s", o->c.name, e->msg, wait_s);
	again_in(o, wait_s);
}

static void on_meta(void *arg, const struct httpc_answer *a)
{
	struct oidc *o = arg;
	struct oidc_metadata m;
	struct err e = { 0 };

	o->fetch = NULL;
	if (a->error)
		err_set(&e, a->error, "it cannot be reached: %s", a->why);
	else if (a->status != 200)
		err_set(&e, -EPROTO, "it answers %ld for its metadata", a->status);
	else if (oidc_meta_parse(&m, o->c.issuer, o->allow_http, a->body, a->len, &e) == 0) {
		o->meta = m;
		o->known = true;
		o->failures = 0;
		keyset_fetch(o->keys, m.jwks, o->allow_http);
		again_in(o, EVERY_S);
		return;
	}
	failed(o, &e);
}

static void fetch(struct oidc *o)
{
	char url[ISSUER_BYTES + sizeof(WELL_KNOWN)];
	size_t len = strlen(o->c.issuer);
	struct httpc_request req = {
		.method = "GET", .url = url, .ca_file = o->c.ca_file[0] ? o->c.ca_file : NULL, .limit_bytes = OIDC_ANSWER_MAX,
		.deadline_ms = OIDC_DEADLINE_MS, .allow_http = o->allow_http,
	};
	struct err e = { 0 };

	/* Discovery 1.0 §4: a slash at the end of the issuer is not doubled. */
	while (len > 0 && o->c.issuer[len - 1] == '/')
		len--;
	(void)snprintf(url, sizeof(url), "%.*s%s", (int)len, o->c.issuer, WELL_KNOWN);
	o->fetch = httpc_start(o->httpc, &req, on_meta, o, &e);
	if (!o->fetch)
		failed(o, &e);
}

static void on_refresh(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev, (void)events;
	fetch(container_of(w, struct oidc, refresh));
}

int oidc_meta_start(struct oidc *o)
{
	o->allow_http = identity_url_loopback(o->c.issuer);
	o->keys = keyset_create(o->loop, o->httpc, o->c.name, o->c.ca_file[0] ? o->c.ca_file : NULL);
	if (!o->keys)
		return -ENOMEM;
	err_set(&o->why, -EAGAIN, "it has not answered yet");
	ev_timer_init(&o->refresh, on_refresh, 0., 0.);
	fetch(o);
	return 0;
}

void oidc_meta_stop(struct oidc *o)
{
	o->fetch = httpc_cancel(o->fetch);
	ev_timer_stop(o->loop->ev, &o->refresh);
	o->keys = keyset_destroy(o->keys);
}
