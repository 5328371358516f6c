/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_SIGNIN_H
#define AUTH_SIGNIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/identity.h"
#include "auth/oidc.h"
#include "auth/secret.h"

#define SIGNIN_COOKIE "__Host-signin" /* names a sign-in under way */

struct err;
struct httpc;
struct hypha;
struct loop;
struct proxy;
struct proxy_request;
struct signins;

/*
 * Sign-ins under way. An identity service answers when it pleases, so nobody waits inside a request: a client begins a sign-in, gets a secret
 * for it (a cookie of the browser, or a value that the command line keeps), and looks at it until it is done or refused.
 *
 *   begin ─► WAITING ─► REDIRECT(url) ─► [browser goes and comes back] ─► WAITING ─► DONE(identity) | REFUSED(why)
 *                   └─► CODE(device)  ─► [person confirms elsewhere]  ────────────┘
 */
#define SIGNINS_MAX	   1024 /* in all; the oldest goes */
#define SIGNINS_PER_ADDRESS 64 /* begun at one address: the oldest of them goes, so that nobody pushes out those of others */
#define SIGNIN_LIFE_MS	   600000
#define SIGNIN_PROVIDERS_MAX 8

enum signin_state { SIGNIN_WAITING, SIGNIN_REDIRECT, SIGNIN_CODE, SIGNIN_DONE, SIGNIN_REFUSED, SIGNIN_STATE_COUNT };
enum signin_how { SIGNIN_BROWSER, SIGNIN_DEVICE };

const char *signin_state_name(enum signin_state s);

struct signins *signins_create(struct loop *loop);
/** signins_destroy() - also destroys the providers. Returns NULL */
struct signins *signins_destroy(struct signins *s);

/** signins_add_*() - take a provider over. Return: 0, -EEXIST for a name that is taken, -ENOSPC: then it stays the caller's */
int signins_add_oidc(struct signins *s, struct oidc *o);
int signins_add_hypha(struct signins *s, struct hypha *h);
int signins_add_proxy(struct signins *s, struct proxy *p);

/** signins_keep() - own what a provider asks with, and destroy it after the providers. Return: 0, or -ENOSPC: then it stays the caller's */
int signins_keep(struct signins *s, struct httpc *httpc);

/** signins_providers() - [{"name","title","kind","device","ready"}]. Return: a new reference or NULL */
json_t *signins_providers(const struct signins *s);

/** signins_proxy() - provider of that name and kind, or NULL */
const struct proxy *signins_proxy(const struct signins *s, const char *provider);

/** signins_oidc() - the next provider of that kind after @after (NULL starts); for bearer tokens */
struct oidc *signins_oidc(const struct signins *s, const struct oidc *after);

/** struct signin_wish - @from: the address that asks, as struct peer has it in its key */
struct signin_wish {
	const char *provider;
	enum signin_how how;
	uint8_t from[16];
};

/**
 * signin_begin() - begin at a provider
 * @secret: what names this sign-in from now on
 *
 * Return: 0; -ENOENT without such a provider; -EAGAIN while it cannot be reached; -EOPNOTSUPP when it has no sign-in of that kind; else
 * negative with @e.
 */
int signin_begin(struct signins *s, const struct signin_wish *wish, char secret[SECRET_TEXT], struct err *e);

/** signin_proxy() - sign in at once, by what a proxy wrote into this request. Return: as proxy_check(), or -ENOENT */
int signin_proxy(struct signins *s, const char *provider, const struct proxy_request *r, struct identity *id, struct err *e);

/**
 * signin_callback() - the browser came back from an identity service
 * @secret: from the browser's cookie; @cb: the query, for OpenID Connect; @cb->browser is filled here
 *
 * Return: 0: look again; negative with @e: refused, and the sign-in with it.
 */
int signin_callback(struct signins *s, const char *provider, const char *secret, struct oidc_callback *cb, struct err *e);

/**
 * struct signin_view - borrowed until the loop turns
 * @url: SIGNIN_REDIRECT; @device: SIGNIN_CODE; @why: SIGNIN_REFUSED
 */
struct signin_view {
	enum signin_state state;
	const char *provider, *url, *why;
	const struct oidc_device *device;
};

/** signin_look() - Return: 0 or -ENOENT */
int signin_look(const struct signins *s, const char *secret, struct signin_view *v);

/** signin_take() - the identity of a sign-in that is done; it is over then. Return: 0, or -ENOENT */
int signin_take(struct signins *s, const char *secret, struct identity *id);

/** signin_drop() - forget a sign-in; fine when there is none */
void signin_drop(struct signins *s, const char *secret);

#endif
