/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_HYPHA_H
#define AUTH_HYPHA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/identity.h"

struct err;
struct httpc;
struct hypha;
struct hypha_call;
struct loop;

/*
 * Sign-in at a Hypha server: start gives a page to visit and a key; check with that key gives a token once; the token is validated by asking the
 * server for the user behind it, which is the only answer that also knows of revocation. The profile that check can return is whatever the
 * login page claimed: it is never asked for. Anonymous users, child tokens and tokens with extra scopes are refused.
 */

/**
 * struct hypha_config - copied by hypha_create()
 * @server_url: without a slash at the end; https, or http for loopback
 * @return_url: where its login page sends the browser when it is done; empty: nowhere
 * @allow_child_tokens: accept tokens that a person made for a program (a leaked one then opens a terminal)
 */
struct hypha_config {
	char name[32], title[64], server_url[ISSUER_BYTES], ca_file[256], return_url[512];
	uint64_t login_timeout_ms;
	bool allow_child_tokens;
};

int hypha_create(struct hypha **out, struct loop *loop, struct httpc *httpc, const struct hypha_config *c, struct err *e);
struct hypha *hypha_destroy(struct hypha *h);
const struct hypha_config *hypha_config(const struct hypha *h);

/* The page to visit is known. The URL holds the key that also fetches the token: it goes to the one browser that began, and to no log. */
typedef void hypha_page(void *arg, const char *login_url);

/* The end of it: @id, or NULL and the reason. Runs once, on the loop. */
typedef void hypha_done(void *arg, const struct identity *id, const struct err *e);

/**
 * hypha_begin() - ask for a login page; polls for its outcome until the deadline
 *
 * Return: the call, borrowed until @done or hypha_cancel(); NULL with @e.
 */
struct hypha_call *hypha_begin(struct hypha *h, hypha_page *page, hypha_done *done, void *arg, struct err *e);

/**
 * hypha_validate() - identity behind a token that somebody brought (command line, scripts)
 *
 * Return: as hypha_begin().
 */
struct hypha_call *hypha_validate(struct hypha *h, const char *token, hypha_done *done, void *arg, struct err *e);

/** hypha_returned() - the browser is back from the login page: look for the token now rather than in a second */
void hypha_returned(struct hypha_call *call);

/** hypha_cancel() - nobody waits any more. Returns NULL; NULL is fine */
struct hypha_call *hypha_cancel(struct hypha_call *call);

/** hypha_identity() - pure: read the answer of assets/config.json. Return: 0, or -EACCES with the reason */
int hypha_identity(const struct hypha_config *c, const char *text, size_t len, int64_t now_s, struct identity *id, struct err *e);

#endif
