/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/hypha.h"

#include <errno.h>
#include <ev.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/jwt.h"
#include "base/err.h"
#include "base/httpc.h"
#include "base/loop.h"

#define DEADLINE_MS   10000
#define ANSWER_MAX    65536
#define POLL_S	      1.0
#define POLL_SLOW_S   4.0 /* after an answer that is neither yes nor no */
#define KEY_BYTES     256
#define LOGIN_URL_BYTES 2048

struct hypha {
	struct hypha_config c;
	struct loop *loop;   /* borrowed */
	struct httpc *httpc; /* borrowed */
	struct hypha_call *calls; /* owned */
};

struct hypha_call {
	struct hypha *h;
	struct hypha_call *newer, **link;
	hypha_page *page;
	hypha_done *done;
	void *arg;
	struct httpc_call *http;
	ev_timer poll;
	uint64_t give_up_ms;
	char key[KEY_BYTES];
	char *token; /* owned */
};

int hypha_create(struct hypha **out, struct loop *loop, struct httpc *httpc, const struct hypha_config *c, struct err *e)
{
	struct hypha *h;
	size_t len = strlen(c->server_url);

	if (!identity_url_https(c->server_url) && !identity_url_loopback(c->server_url))
		return err_set(e, -EINVAL, "identity %s: server_url must be https (http only for a loopback address)", c->name);
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->c = *c;
	while (len > 0 && h->c.server_url[len - 1] == '/')
		h->c.server_url[--len] = '\0';
	h->loop = loop;
	h->httpc = httpc;
	*out = h;
	return 0;
}

static void call_free(struct hypha_call *c)
{
	(void)httpc_cancel(c->http);
	ev_timer_stop(c->h->loop->ev, &c->poll);
	*c->link = c->newer;
	if (c->newer)
		c->newer->link = c->link;
	if (c->token)
		explicit_bzero(c->token, strlen(c->token));
	free(c->token);
	explicit_bzero(c->key, sizeof(c->key));
	free(c);
}

struct hypha *hypha_destroy(struct hypha *h)
{
	if (!h)
		return NULL;
	while (h->calls)
		call_free(h->calls);
	free(h);
	return NULL;
}

const struct hypha_config *hypha_config(const struct hypha *h)
{
	return &h->c;
}

struct hypha_call *hypha_cancel(struct hypha_call *c)
{
	if (c)
		call_free(c);
	return NULL;
}

static void finish(struct hypha_call *c, const struct identity *id, const struct err *e)
{
	hypha_done *done = c->done;
	void *arg = c->arg;

	call_free(c);
	done(arg, id, e);
}

static void refuse(struct hypha_call *c, const char *why)
{
	struct err e = { 0 };

	err_set(&e, -EACCES, "%s", why);
	finish(c, NULL, &e);
}

/* Begins a request of this call. Return: 0, or negative with @e; the call lives on either way. */
static int request(struct hypha_call *c, const char *method, const char *path, const char *body, const char *header, httpc_done *done,
		   struct err *e)
{
	const struct hypha_config *conf = &c->h->c;
	char url[ISSUER_BYTES + 128];
	struct httpc_request req = {
		.method = method, .url = url, .headers = { header, "Accept: application/json" }, .nheaders = 2, .body = body,
		.body_len = body ? strlen(body) : 0, .ca_file = conf->ca_file[0] ? conf->ca_file : NULL, .limit_bytes = ANSWER_MAX,
		.deadline_ms = DEADLINE_MS, .allow_http = identity_url_loopback(conf->server_url),
	};

	(void)snprintf(url, sizeof(url), "%s%s", conf->server_url, path);
	c->http = httpc_start(c->h->httpc, &req, done, c, e);
	return c->http ? 0 : -EAGAIN;
}

/* --- validation --------------------------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *member)
{
	const json_t *v = json_object_get(object, member);

	return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v) ? json_string_value(v) : NULL;
}

static int check_user(const struct hypha_config *c, const json_t *user, int64_t now_s, struct err *e)
{
	const json_t *expires = json_object_get(user, "expires_at"), *parent = json_object_get(user, "parent");
	const json_t *scope = json_object_get(user, "scope"), *extra = json_object_get(scope, "extra_scopes");

	if (!json_is_object(user))
		return err_set(e, -EACCES, "the Hypha server does not say who the token belongs to");
	/* A token that the server does not know is not an error there, but an anonymous user. */
	if (!json_is_false(json_object_get(user, "is_anonymous")))
		return err_set(e, -EACCES, "the Hypha server takes the token for an anonymous user");
	if (!json_is_number(expires) || json_number_value(expires) <= (double)now_s)
		return err_set(e, -EACCES, "the Hypha token has expired");
	if (c->allow_child_tokens)
		return 0;
	if (parent && !json_is_null(parent))
		return err_set(e, -EACCES, "the Hypha token was made for a program (it has a parent)");
	/* Absent, null or an empty list; what is none of these is not understood. */
	if ((scope && !json_is_object(scope) && !json_is_null(scope)) ||
	    (extra && !json_is_null(extra) && !(json_is_array(extra) && json_array_size(extra) == 0)))
		return err_set(e, -EACCES, "the Hypha token has extra scopes");
	return 0;
}

int hypha_identity(const struct hypha_config *c, const char *text, size_t len, int64_t now_s, struct identity *id, struct err *e)
{
	json_error_t where;
	json_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where), *user = json_object_get(doc, "user");
	const char *email = text_of(user, "email"), *subject = text_of(user, "id");
	int r = check_user(c, user, now_s, e);

	memset(id, 0, sizeof(*id));
	if (r == 0) {
		(void)snprintf(id->provider, sizeof(id->provider), "%s", c->name);
		(void)snprintf(id->issuer, sizeof(id->issuer), "%s", c->server_url);
		if (subject && strlen(subject) < sizeof(id->subject))
			memcpy(id->subject, subject, strlen(subject) + 1);
		if (email && strlen(email) < sizeof(id->email))
			memcpy(id->email, email, strlen(email) + 1);
		/* There is no claim about verification: the server's own sign-up decides, and the operator chose the server. */
		r = identity_accept(id, EMAIL_IGNORE, e);
	}
	json_decref(doc);
	return r;
}

static void on_validated(void *arg, const struct httpc_answer *a)
{
	struct hypha_call *c = arg;
	struct identity id;
	struct err e = { 0 };

	c->http = NULL;
	/* A revoked token is answered with 500: anything but 200 refuses. */
	if (a->error || a->status != 200) {
		refuse(c, a->error ? "the Hypha server cannot be reached to validate the token" : "the Hypha server does not accept the token");
		return;
	}
	if (hypha_identity(&c->h->c, a->body, a->len, time(NULL), &id, &e) < 0)
		finish(c, NULL, &e);
	else
		finish(c, &id, NULL);
}

static int validate(struct hypha_call *c, struct err *e)
{
	char header[JWT_BYTES_MAX + 32];
	int r;

	(void)snprintf(header, sizeof(header), "Authorization: Bearer %s", c->token);
	r = request(c, "GET", "/assets/config.json", NULL, header, on_validated, e);
	explicit_bzero(header, sizeof(header));
	return r;
}

static int take_token(struct hypha_call *c, const char *token)
{
	if (!token || strlen(token) > JWT_BYTES_MAX || token[0] == '\0')
		return -EINVAL;
	for (const char *p = token; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f)
			return -EINVAL;
	c->token = strdup(token);
	return c->token ? 0 : -ENOMEM;
}

/* --- login page and polling ------------------------------------------------------------------------------------------- */

static void poll_in(struct hypha_call *c, double seconds);

static void on_check(void *arg, const struct httpc_answer *a)
{
	struct hypha_call *c = arg;
	struct err e = { 0 };
	json_error_t where;
	json_t *v = NULL;

	c->http = NULL;
	if (a->error == 0 && a->status == 400) {
		refuse(c, "the sign-in page has expired or was used already; start again");
		return;
	}
	if (a->error == 0 && a->status == 200)
		v = json_loadb(a->body, a->len, JSON_DECODE_ANY, &where);
	if (json_is_string(v)) {
		int r = take_token(c, json_string_value(v));

		json_decref(v);
		if (r < 0)
			refuse(c, "the Hypha server sent something that is not a token");
		else if (validate(c, &e) < 0)
			finish(c, NULL, &e);
		return;
	}
	poll_in(c, json_is_null(v) ? POLL_S : POLL_SLOW_S);
	json_decref(v);
}

static void on_poll(struct ev_loop *ev, ev_timer *w, int events)
{
	struct hypha_call *c = container_of(w, struct hypha_call, poll);
	struct err e = { 0 };
	json_t *body;
	char *text;

	(void)ev, (void)events;
	if (loop_now_ms() > c->give_up_ms) {
		refuse(c, "the sign-in was not finished in time; start again");
		return;
	}
	body = json_pack("{s:s, s:i}", "key", c->key, "timeout", 0);
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (!text || request(c, "POST", "/public/services/hypha-login/check", text, "Content-Type: application/json", on_check, &e) < 0)
		poll_in(c, POLL_SLOW_S);
	free(text);
}

static void poll_in(struct hypha_call *c, double seconds)
{
	ev_now_update(c->h->loop->ev);
	ev_timer_stop(c->h->loop->ev, &c->poll);
	ev_timer_set(&c->poll, seconds, 0.);
	ev_timer_start(c->h->loop->ev, &c->poll);
}

void hypha_returned(struct hypha_call *c)
{
	if (c->key[0] && !c->http)
		poll_in(c, 0.);
}

/* The login page goes there once it has reported. */
static int add_return(const struct hypha *h, char *out, size_t size)
{
	char escaped[1536];
	size_t len = strlen(out);
	int n;

	if (h->c.return_url[0] == '\0')
		return 0;
	if (httpc_escape(h->c.return_url, escaped, sizeof(escaped)) < 0)
		return -ENOSPC;
	n = snprintf(out + len, size - len, "%credirect=%s", strchr(out, '?') ? '&' : '?', escaped);
	return n < 0 || (size_t)n >= size - len ? -ENOSPC : 0;
}

/* The page must be the server's own; its built-in login gives a path without a host. */
static int page_url(const struct hypha *h, const char *url, char *out, size_t size)
{
	size_t base = strlen(h->c.server_url);
	int n;

	for (const char *p = url; *p; p++)
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
			return -EINVAL;
	if (url[0] == '/' && url[1] != '/')
		n = snprintf(out, size, "%s%s", h->c.server_url, url);
	else if (strncmp(url, h->c.server_url, base) == 0 && url[base] == '/')
		n = snprintf(out, size, "%s", url);
	else
		return -EINVAL;
	return n < 0 || (size_t)n >= size ? -ENOSPC : add_return(h, out, size);
}

static void on_started(void *arg, const struct httpc_answer *a)
{
	struct hypha_call *c = arg;
	char url[LOGIN_URL_BYTES] = "";
	json_error_t where;
	json_t *doc = NULL;
	const char *key, *login;
	bool usable;

	c->http = NULL;
	if (a->error == 0 && a->status == 200)
		doc = json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES, &where);
	key = text_of(doc, "key");
	login = text_of(doc, "login_url");
	usable = key && login && key[0] && strlen(key) < sizeof(c->key) && page_url(c->h, login, url, sizeof(url)) == 0;
	if (usable)
		memcpy(c->key, key, strlen(key) + 1);
	json_decref(doc);
	if (!usable) {
		refuse(c, a->error ? "the Hypha server cannot be reached" : "the Hypha server does not start a sign-in");
		return;
	}
	/* At once: whoever sees the link can ask for the token too, and the first who asks gets it. */
	poll_in(c, POLL_S);
	c->page(c->arg, url);
}

static struct hypha_call *call_create(struct hypha *h, hypha_done *done, void *arg)
{
	struct hypha_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->h = h;
	c->done = done;
	c->arg = arg;
	c->newer = h->calls;
	c->link = &h->calls;
	if (c->newer)
		c->newer->link = &c->newer;
	h->calls = c;
	c->give_up_ms = loop_now_ms() + h->c.login_timeout_ms;
	ev_timer_init(&c->poll, on_poll, 0., 0.);
	return c;
}

struct hypha_call *hypha_begin(struct hypha *h, hypha_page *page, hypha_done *done, void *arg, struct err *e)
{
	struct hypha_call *c = call_create(h, done, arg);

	if (!c) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	c->page = page;
	if (request(c, "POST", "/public/services/hypha-login/start", "{}", "Content-Type: application/json", on_started, e) == 0)
		return c;
	call_free(c);
	return NULL;
}

struct hypha_call *hypha_validate(struct hypha *h, const char *token, hypha_done *done, void *arg, struct err *e)
{
	struct hypha_call *c = call_create(h, done, arg);
	int r = c ? take_token(c, token) : -ENOMEM;

	if (r < 0)
		err_set(e, r == -EINVAL ? -EACCES : r, r == -EINVAL ? "that is not a token" : "out of memory");
	else
		r = validate(c, e);
	if (r == 0)
		return c;
	if (c)
		call_free(c);
	return NULL;
}
