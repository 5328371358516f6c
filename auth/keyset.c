/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/keyset.h"

#include <errno.h>
#include <ev.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/jwt.h"
#include "base/err.h"
#include "base/httpc.h"
#include "base/log.h"
#include "base/loop.h"

#define URL_BYTES      512
#define DEADLINE_MS    10000
#define LIFE_MIN_S     300
#define LIFE_MAX_S     86400
#define EARLY_EVERY_MS 60000
#define RETRY_MAX_S    60

struct keyset {
	struct loop *loop;   /* borrowed */
	struct httpc *httpc; /* borrowed */
	const char *name, *ca_file; /* borrowed */
	char url[URL_BYTES];
	bool allow_http;
	struct jwks *keys; /* owned */
	struct httpc_call *fetch;
	ev_timer refresh;
	uint32_t failures;
	uint64_t early_ms; /* of the last fetch that an unknown kid caused; 0 = none yet */
	struct err why;	   /* of the last failure */
};

static void begin(struct keyset *k);

static void on_refresh(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev, (void)events;
	begin(container_of(w, struct keyset, refresh));
}

struct keyset *keyset_create(struct loop *loop, struct httpc *httpc, const char *name, const char *ca_file)
{
	struct keyset *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->loop = loop;
	k->httpc = httpc;
	k->name = name;
	k->ca_file = ca_file;
	ev_timer_init(&k->refresh, on_refresh, 0., 0.);
	err_set(&k->why, -EAGAIN, "it has not answered yet");
	return k;
}

struct keyset *keyset_destroy(struct keyset *k)
{
	if (!k)
		return NULL;
	(void)httpc_cancel(k->fetch);
	ev_timer_stop(k->loop->ev, &k->refresh);
	jwks_free(k->keys);
	free(k);
	return NULL;
}

static void again_in(struct keyset *k, double seconds)
{
	ev_now_update(k->loop->ev);
	ev_timer_stop(k->loop->ev, &k->refresh);
	ev_timer_set(&k->refresh, seconds, 0.);
	ev_timer_start(k->loop->ev, &k->refresh);
}

static void failed(struct keyset *k, const struct err *e)
{
	unsigned wait_s = k->failures < 6 ? 1U << k->failures : RETRY_MAX_S;

	k->why = *e;
	/* The first failure and every tenth: a service that is down for a night must not fill the log. */
	if (k->failures++ % 10 == 0)
		log_warn("identity service %s: %s; trying again in %u s", k->name, e->msg, wait_s);
	again_in(k, wait_s);
}

static void on_answer(void *arg, const struct httpc_answer *a)
{
	struct keyset *k = arg;
	struct jwks *keys = NULL;
	struct err e = { 0 };

	k->fetch = NULL;
	if (a->error)
		err_set(&e, a->error, "its key set cannot be fetched: %s", a->why);
	else if (a->status != 200)
		err_set(&e, -EPROTO, "it answers %ld for its key set", a->status);
	else if (jwks_parse(&keys, a->body, a->len, &e) < 0)
		err_prefix(&e, "it sends no usable keys");
	if (!keys) {
		failed(k, &e);
		return;
	}
	if (!k->keys || k->failures)
		log_info("identity service %s is reachable, %zu keys", k->name, jwks_count(keys));
	jwks_free(k->keys);
	k->keys = keys;
	k->failures = 0;
	again_in(k, a->cache_s < LIFE_MIN_S ? LIFE_MIN_S : a->cache_s > LIFE_MAX_S ? LIFE_MAX_S : (double)a->cache_s);
}

static void begin(struct keyset *k)
{
	struct httpc_request req = {
		.method = "GET", .url = k->url, .ca_file = k->ca_file, .limit_bytes = JWKS_BYTES_MAX, .deadline_ms = DEADLINE_MS,
		.allow_http = k->allow_http,
	};
	struct err e = { 0 };

	if (k->fetch || k->url[0] == '\0')
		return;
	k->fetch = httpc_start(k->httpc, &req, on_answer, k, &e);
	if (!k->fetch)
		failed(k, &e);
}

void keyset_fetch(struct keyset *k, const char *url, bool allow_http)
{
	if (k->keys && strcmp(k->url, url) == 0)
		return;
	k->fetch = httpc_cancel(k->fetch);
	(void)snprintf(k->url, sizeof(k->url), "%s", url);
	k->allow_http = allow_http;
	begin(k);
}

const struct jwks *keyset_keys(const struct keyset *k, struct err *e)
{
	if (!k->keys)
		err_set(e, -EAGAIN, "%s", k->why.msg);
	return k->keys;
}

bool keyset_want(struct keyset *k)
{
	uint64_t now_ms = loop_now_ms();

	if (k->fetch)
		return true;
	if (k->early_ms && now_ms - k->early_ms < EARLY_EVERY_MS)
		return false;
	k->early_ms = now_ms;
	begin(k);
	return k->fetch != NULL;
}

bool keyset_busy(const struct keyset *k)
{
	return k->fetch != NULL;
}
