/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/signin.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/hypha.h"
#include "auth/proxy.h"
#include "base/err.h"
#include "base/httpc.h"
#include "base/log.h"
#include "base/loop.h"

#define SWEEP_S 10.

static const char *const state_names[] = {
	[SIGNIN_WAITING] = "waiting", [SIGNIN_REDIRECT] = "redirect", [SIGNIN_CODE] = "code", [SIGNIN_DONE] = "done",
	[SIGNIN_REFUSED] = "refused",
};
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == SIGNIN_STATE_COUNT, "a name for each state");

enum provider_kind { PROVIDER_OIDC, PROVIDER_HYPHA, PROVIDER_PROXY, PROVIDER_KIND_COUNT };

static const char *const kind_names[] = { [PROVIDER_OIDC] = "oidc", [PROVIDER_HYPHA] = "hypha", [PROVIDER_PROXY] = "proxy" };
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == PROVIDER_KIND_COUNT, "a name for each kind");

/* Of the pointers, the one of @kind is set. */
struct provider {
	enum provider_kind kind;
	const char *name, *title; /* borrowed from the provider */
	struct oidc *oidc;   /* owned */
	struct hypha *hypha; /* owned */
	struct proxy *proxy; /* owned */
};

struct signin {
	struct signins *owner;
	struct signin *newer, *older;
	const struct provider *provider;
	uint8_t hash[SECRET_HASH_BYTES], from[16];
	uint64_t begun_ms;
	enum signin_state state;
	struct oidc_call *oidc_call;
	struct hypha_call *hypha_call;
	char url[OIDC_URL_BYTES];
	struct oidc_device device;
	struct identity id;
	struct err why;
};

struct signins {
	struct loop *loop;
	struct provider providers[SIGNIN_PROVIDERS_MAX];
	struct httpc *httpc[SIGNIN_PROVIDERS_MAX]; /* owned */
	size_t provider_count, httpc_count, count;
	struct signin *oldest, *newest;
	ev_timer sweep; /* runs only while there is something to sweep */
};

const char *signin_state_name(enum signin_state s)
{
	return state_names[s];
}

static void drop(struct signin *g)
{
	struct signins *s = g->owner;

	(void)oidc_cancel(g->oidc_call);
	if (g->provider->oidc)
		oidc_forget(g->provider->oidc, g->hash);
	(void)hypha_cancel(g->hypha_call);
	*(g->older ? &g->older->newer : &s->oldest) = g->newer;
	*(g->newer ? &g->newer->older : &s->newest) = g->older;
	s->count--;
	explicit_bzero(g, sizeof(*g));
	free(g);
	if (s->count == 0)
		ev_timer_stop(s->loop->ev, &s->sweep);
}

static void on_sweep(struct ev_loop *ev, ev_timer *w, int events)
{
	struct signins *s = container_of(w, struct signins, sweep);
	uint64_t now_ms = loop_now_ms();

	(void)ev, (void)events;
	while (s->oldest && now_ms - s->oldest->begun_ms > SIGNIN_LIFE_MS)
		drop(s->oldest);
}

struct signins *signins_create(struct loop *loop)
{
	struct signins *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	ev_timer_init(&s->sweep, on_sweep, SWEEP_S, SWEEP_S);
	return s;
}

struct signins *signins_destroy(struct signins *s)
{
	if (!s)
		return NULL;
	while (s->oldest)
		drop(s->oldest);
	for (size_t i = 0; i < s->provider_count; i++) {
		oidc_destroy(s->providers[i].oidc);
		hypha_destroy(s->providers[i].hypha);
		proxy_destroy(s->providers[i].proxy);
	}
	for (size_t i = 0; i < s->httpc_count; i++)
		httpc_destroy(s->httpc[i]);
	free(s);
	return NULL;
}

static const struct provider *find_provider(const struct signins *s, const char *name)
{
	for (size_t i = 0; i < s->provider_count; i++)
		if (strcmp(s->providers[i].name, name) == 0)
			return &s->providers[i];
	return NULL;
}

static int add(struct signins *s, struct provider p)
{
	if (find_provider(s, p.name))
		return -EEXIST;
	if (s->provider_count == SIGNIN_PROVIDERS_MAX)
		return -ENOSPC;
	if (!p.title[0])
		p.title = p.name;
	s->providers[s->provider_count++] = p;
	return 0;
}

int signins_add_oidc(struct signins *s, struct oidc *o)
{
	const struct oidc_config *c = oidc_config(o);

	return add(s, (struct provider){ .kind = PROVIDER_OIDC, .name = c->name, .title = c->title, .oidc = o });
}

int signins_add_hypha(struct signins *s, struct hypha *h)
{
	const struct hypha_config *c = hypha_config(h);

	return add(s, (struct provider){ .kind = PROVIDER_HYPHA, .name = c->name, .title = c->title, .hypha = h });
}

int signins_add_proxy(struct signins *s, struct proxy *p)
{
	const struct proxy_config *c = proxy_config(p);

	return add(s, (struct provider){ .kind = PROVIDER_PROXY, .name = c->name, .title = c->title, .proxy = p });
}

int signins_keep(struct signins *s, struct httpc *httpc)
{
	if (s->httpc_count == SIGNIN_PROVIDERS_MAX)
		return -ENOSPC;
	s->httpc[s->httpc_count++] = httpc;
	return 0;
}

/* A Hypha server is asked only when somebody signs in. */
static bool ready(const struct provider *p)
{
	return p->oidc ? oidc_ready(p->oidc, NULL) : !p->proxy || proxy_ready(p->proxy, NULL);
}

json_t *signins_providers(const struct signins *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->provider_count; i++) {
		const struct provider *p = &s->providers[i];

		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b, s:b}", "name", p->name, "title", p->title, "kind",
							    kind_names[p->kind], "device", p->oidc != NULL, "ready", ready(p)));
	}
	return list;
}

const struct proxy *signins_proxy(const struct signins *s, const char *provider)
{
	const struct provider *p = find_provider(s, provider);

	return p ? p->proxy : NULL;
}

struct oidc *signins_oidc(const struct signins *s, const struct oidc *after)
{
	bool found = after == NULL;

	for (size_t i = 0; i < s->provider_count; i++) {
		struct oidc *o = s->providers[i].oidc;

		if (o && found)
			return o;
		found = found || (o && o == after);
	}
	return NULL;
}

static struct signin *find(const struct signins *s, const char *secret)
{
	uint8_t hash[SECRET_HASH_BYTES];

	if (!secret || secret_hash(secret, hash) < 0)
		return NULL;
	for (struct signin *g = s->oldest; g; g = g->newer)
		if (secret_equal(g->hash, hash, sizeof(hash)))
			return g;
	return NULL;
}

/* --- what providers report ---------------------------------------------------------------------------------------------- */

static void on_done(void *arg, const struct identity *id, const struct err *e)
{
	struct signin *g = arg;

	g->oidc_call = NULL;
	g->hypha_call = NULL;
	if (id) {
		g->id = *id;
		g->state = SIGNIN_DONE;
		return;
	}
	g->why = *e;
	g->state = SIGNIN_REFUSED;
	log_warn("sign-in by %s refused: %s", g->provider->name, e->msg);
}

static void on_page(void *arg, const char *login_url)
{
	struct signin *g = arg;

	(void)snprintf(g->url, sizeof(g->url), "%s", login_url);
	g->state = SIGNIN_REDIRECT;
}

static void on_device(void *arg, const struct oidc_device *d)
{
	struct signin *g = arg;

	g->device = *d;
	g->state = SIGNIN_CODE;
}

/* --- from the client ------------------------------------------------------------------------------------------------------ */

static int start(struct signin *g, enum signin_how how, struct err *e)
{
	const struct provider *p = g->provider;

	if (p->proxy)
		return err_set(e, -EOPNOTSUPP, "%s signs in with one request that comes through it", p->title);
	if (p->hypha && how == SIGNIN_DEVICE)
		return err_set(e, -EOPNOTSUPP, "%s has no sign-in by code", p->title);
	if (p->hypha)
		g->hypha_call = hypha_begin(p->hypha, on_page, on_done, g, &g->why);
	else if (how == SIGNIN_DEVICE)
		g->oidc_call = oidc_device(p->oidc, on_device, on_done, g, &g->why);
	if (g->hypha_call || g->oidc_call)
		return 0;
	if (g->why.code)
		return err_set(e, g->why.code, "%s", g->why.msg);
	g->state = SIGNIN_REDIRECT;
	return oidc_begin(p->oidc, g->hash, g->url, sizeof(g->url), e);
}

/* Makes room, at the cost of who has begun most. */
static void make_room(struct signins *s, const uint8_t from[16])
{
	struct signin *first = NULL;
	size_t n = 0;

	for (struct signin *g = s->oldest; g; g = g->newer) {
		if (memcmp(g->from, from, sizeof(g->from)) != 0)
			continue;
		first = first ? first : g;
		n++;
	}
	if (n >= SIGNINS_PER_ADDRESS)
		drop(first);
	else if (s->count >= SIGNINS_MAX && s->oldest)
		drop(s->oldest);
}

int signin_begin(struct signins *s, const struct signin_wish *wish, char secret[SECRET_TEXT], struct err *e)
{
	const struct provider *p = find_provider(s, wish->provider);
	struct signin *g;
	int r;

	if (!p)
		return err_set(e, -ENOENT, "this server has no such way to sign in");
	make_room(s, wish->from);
	g = calloc(1, sizeof(*g));
	if (!g)
		return err_set(e, -ENOMEM, "out of memory");
	g->owner = s;
	g->provider = p;
	memcpy(g->from, wish->from, sizeof(g->from));
	g->begun_ms = loop_now_ms();
	g->older = s->newest;
	*(s->newest ? &s->newest->newer : &s->oldest) = g;
	s->newest = g;
	if (s->count++ == 0)
		ev_timer_again(s->loop->ev, &s->sweep);
	r = secret_make(secret, g->hash);
	if (r < 0)
		err_set(e, r, "no randomness");
	else
		r = start(g, wish->how, e);
	if (r < 0)
		drop(g);
	return r;
}

int signin_proxy(struct signins *s, const char *provider, const struct proxy_request *r, struct identity *id, struct err *e)
{
	const struct provider *p = find_provider(s, provider);

	if (!p || !p->proxy)
		return err_set(e, -ENOENT, "this server has no such way to sign in");
	return proxy_check(p->proxy, r, id, e);
}

int signin_callback(struct signins *s, const char *provider, const char *secret, struct oidc_callback *cb, struct err *e)
{
	struct signin *g = find(s, secret);
	const struct provider *p = find_provider(s, provider);

	if (!p || p->proxy)
		return err_set(e, -ENOENT, "this server has no such way to sign in");
	if (!g || g->provider != p || g->state != SIGNIN_REDIRECT)
		return err_set(e, -EACCES, "this sign-in was not begun in this browser, or is over; start again");
	g->state = SIGNIN_WAITING;
	if (p->hypha) {
		hypha_returned(g->hypha_call);
		return 0;
	}
	memcpy(cb->browser, g->hash, sizeof(cb->browser));
	g->oidc_call = oidc_finish(p->oidc, cb, on_done, g, &g->why);
	if (g->oidc_call)
		return 0;
	g->state = SIGNIN_REFUSED;
	log_warn("sign-in by %s refused: %s", p->name, g->why.msg);
	return err_set(e, -EACCES, "%s", g->why.msg);
}

int signin_look(const struct signins *s, const char *secret, struct signin_view *v)
{
	const struct signin *g = find(s, secret);

	if (!g)
		return -ENOENT;
	*v = (struct signin_view){ .state = g->state, .provider = g->provider->name, .url = g->url, .why = g->why.msg, .device = &g->device };
	return 0;
}

int signin_take(struct signins *s, const char *secret, struct identity *id)
{
	struct signin *g = find(s, secret);

	if (!g || g->state != SIGNIN_DONE)
		return -ENOENT;
	*id = g->id;
	drop(g);
	return 0;
}

void signin_drop(struct signins *s, const char *secret)
{
	struct signin *g = find(s, secret);

	if (g)
		drop(g);
}
