/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/oidc_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/httpc.h"
#include "base/loop.h"

/* OAuth 2.0 Device Authorization Grant (RFC 8628): a person at a terminal confirms a short code in a browser somewhere else. */

#define INTERVAL_S     5   /* RFC 8628 §3.2: the default */
#define INTERVAL_MAX_S 60
#define LIFE_MAX_S     590 /* a sign-in is forgotten after ten minutes (auth/signin.h): the person must not be promised more */

static void on_poll_answer(void *arg, const struct httpc_answer *a);

static void refuse(struct oidc_call *c, const char *why)
{
	struct err e = { 0 };

	err_set(&e, -EACCES, "%s", why);
	oidc_call_refuse(c, &e);
}

static void on_poll(struct ev_loop *ev, ev_timer *w, int events)
{
	struct oidc_call *c = container_of(w, struct oidc_call, poll);
	char form[2048], code[1600];
	struct err e = { 0 };

	(void)ev, (void)events;
	if (loop_now_ms() > c->give_up_ms) {
		refuse(c, "the code was not confirmed in time; start again");
		return;
	}
	if (httpc_escape(c->device_code, code, sizeof(code)) < 0) {
		refuse(c, "the identity service sent too long a device code");
		return;
	}
	(void)snprintf(form, sizeof(form), "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Adevice_code&device_code=%s", code);
	if (oidc_token_request(c, c->o->meta.token, form, on_poll_answer, &e) < 0)
		oidc_call_refuse(c, &e);
}

static void poll_again(struct oidc_call *c)
{
	ev_now_update(c->o->loop->ev);
	ev_timer_stop(c->o->loop->ev, &c->poll);
	ev_timer_init(&c->poll, on_poll, (double)c->interval_s, 0.);
	ev_timer_start(c->o->loop->ev, &c->poll);
}

/* RFC 8628 §3.5: two errors mean "not yet", and one of them "slower". */
static void on_poll_answer(void *arg, const struct httpc_answer *a)
{
	struct oidc_call *c = arg;
	char word[64] = "";
	json_error_t where;
	json_t *doc;

	c->http = NULL;
	if (a->error == 0 && a->status == 200) {
		doc = json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES, &where);
		oidc_call_token(c, doc);
		json_decref(doc);
		return;
	}
	if (a->error == 0)
		oidc_error_text(a->body, a->len, word, sizeof(word));
	/* A service that cannot be reached or stumbles is asked again, later: the person is about to confirm. */
	if (strcmp(word, "slow_down") == 0 || a->error || a->status >= 500)
		c->interval_s = c->interval_s + 5 > INTERVAL_MAX_S ? INTERVAL_MAX_S : c->interval_s + 5;
	else if (strcmp(word, "access_denied") == 0) {
		refuse(c, "the sign-in was refused in the browser");
		return;
	} else if (strcmp(word, "authorization_pending") != 0) {
		refuse(c, strcmp(word, "expired_token") == 0 ? "the code was not confirmed in time; start again" :
							       "the identity service ended the sign-in");
		return;
	}
	poll_again(c);
}

static void text_of(const json_t *doc, const char *member, char *out, size_t size)
{
	const json_t *v = json_object_get(doc, member);

	out[0] = '\0';
	if (!json_is_string(v) || json_string_length(v) >= size)
		return;
	/* Shown in a terminal: printable ASCII or nothing. */
	for (const char *p = json_string_value(v); *p; p++)
		if (*p < 0x21 || *p > 0x7e)
			return;
	(void)snprintf(out, size, "%s", json_string_value(v));
}

/* A page to send people to. */
static void link_of(const struct oidc *o, const json_t *doc, const char *member, char *out, size_t size)
{
	text_of(doc, member, out, size);
	if (!identity_url_https(out) && !(o->allow_http && identity_url_loopback(out)))
		out[0] = '\0';
}

static uint32_t number_of(const json_t *doc, const char *member, uint32_t preset, uint32_t max)
{
	const json_t *v = json_object_get(doc, member);
	json_int_t n = json_is_integer(v) ? json_integer_value(v) : (json_int_t)preset;

	return n < 1 ? preset : n > (json_int_t)max ? max : (uint32_t)n;
}

static void on_device(void *arg, const struct httpc_answer *a)
{
	struct oidc_call *c = arg;
	struct oidc_device d;
	json_error_t where;
	json_t *doc;

	c->http = NULL;
	if (a->error || a->status != 200) {
		refuse(c, "the identity service does not start a sign-in by code; is the device grant allowed for this client?");
		return;
	}
	doc = json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES, &where);
	memset(&d, 0, sizeof(d));
	text_of(doc, "device_code", c->device_code, sizeof(c->device_code));
	text_of(doc, "user_code", d.user_code, sizeof(d.user_code));
	link_of(c->o, doc, "verification_uri", d.verification_uri, sizeof(d.verification_uri));
	link_of(c->o, doc, "verification_uri_complete", d.verification_uri_complete, sizeof(d.verification_uri_complete));
	d.expires_s = number_of(doc, "expires_in", LIFE_MAX_S, LIFE_MAX_S);
	d.interval_s = number_of(doc, "interval", INTERVAL_S, INTERVAL_MAX_S);
	json_decref(doc);
	if (!c->device_code[0] || !d.user_code[0] || !d.verification_uri[0]) {
		refuse(c, "the identity service sent no usable code");
		return;
	}
	c->interval_s = d.interval_s;
	c->give_up_ms = loop_now_ms() + d.expires_s * 1000ULL;
	poll_again(c);
	if (c->shown)
		c->shown(c->arg, &d);
}

struct oidc_call *oidc_device(struct oidc *o, oidc_device_shown *shown, oidc_done *done, void *arg, struct err *e)
{
	char form[512], scopes[384];
	struct oidc_call *c;

	if (!oidc_ready(o, e))
		return NULL;
	if (o->meta.device[0] == '\0') {
		err_set(e, -EOPNOTSUPP, "the identity service %s has no sign-in by code (device grant)", o->c.title);
		return NULL;
	}
	if (httpc_escape(o->c.scopes, scopes, sizeof(scopes)) < 0) {
		err_set(e, -ENOSPC, "identity %s: scopes are too long", o->c.name);
		return NULL;
	}
	(void)snprintf(form, sizeof(form), "scope=%s", scopes);
	c = oidc_call_create(o, done, arg);
	if (!c) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	c->shown = shown;
	if (oidc_token_request(c, o->meta.device, form, on_device, e) == 0)
		return c;
	oidc_call_free(c);
	return NULL;
}
