/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_OIDC_H
#define AUTH_OIDC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/identity.h"

struct err;
struct httpc;
struct loop;
struct oidc;
struct oidc_call;

/*
 * OpenID Connect Core 1.0, authorization code flow with PKCE S256 (RFC 7636), state, nonce and the issuer in the callback (RFC 9207);
 * the device grant (RFC 8628) for the command line; bearer tokens of the same issuer for our audience.
 */

/**
 * struct oidc_config - one issuer; copied by oidc_create()
 * @name:      in our configuration and paths; @title: for people
 * @issuer:    compared byte for byte with what the service says of itself; https, or http for a loopback address
 * @secret:    client secret; empty for a public client
 * @redirect_uri: where the browser comes back to: .../auth/<name>/callback
 * @api_audience: what a bearer token must be for; empty = no bearer tokens
 * @ca_file:   empty = the system's authorities
 */
struct oidc_config {
	char name[32], title[64], issuer[ISSUER_BYTES], client_id[128], secret[256], scopes[128], redirect_uri[512], api_audience[128];
	char ca_file[256];
	enum email_policy email_policy;
	int64_t skew_s;
};

/** oidc_create() - begin to look the service up; retries by itself. Borrowed: loop, httpc. Return: 0 or negative with @e */
int oidc_create(struct oidc **out, struct loop *loop, struct httpc *httpc, const struct oidc_config *c, struct err *e);
struct oidc *oidc_destroy(struct oidc *o);

const struct oidc_config *oidc_config(const struct oidc *o);

/** oidc_ready() - the service has been found and its keys are known; else @e says what is in the way */
bool oidc_ready(const struct oidc *o, struct err *e);

#define OIDC_URL_BYTES	   2048
#define OIDC_BROWSER_BYTES 32

/**
 * oidc_begin() - start a sign-in
 * @browser: hash of the cookie that ties the sign-in to this browser
 * @url:     where to send the browser
 *
 * Return: 0; -EAGAIN while the service is not reachable; else negative with @e.
 */
int oidc_begin(struct oidc *o, const uint8_t browser[OIDC_BROWSER_BYTES], char *url, size_t size, struct err *e);

/**
 * struct oidc_callback - query parameters that the browser brought back; NULL where absent
 */
struct oidc_callback {
	const char *state, *code, *iss, *error;
	uint8_t browser[OIDC_BROWSER_BYTES];
};

/* The end of a sign-in: @id, or NULL and the reason. Runs once, on the loop. */
typedef void oidc_done(void *arg, const struct identity *id, const struct err *e);

/**
 * oidc_finish() - trade the code for an identity
 *
 * The state is spent whatever comes of it. Return: the call, borrowed until @done or oidc_cancel(); NULL with @e when refused at once.
 */
struct oidc_call *oidc_finish(struct oidc *o, const struct oidc_callback *cb, oidc_done *done, void *arg, struct err *e);

/** oidc_cancel() - nobody waits any more: @done does not run. Returns NULL; NULL is fine */
struct oidc_call *oidc_cancel(struct oidc_call *call);

/** oidc_forget() - nobody waits any more for the browser that oidc_begin() sent away; fine when it is back already */
void oidc_forget(struct oidc *o, const uint8_t browser[OIDC_BROWSER_BYTES]);

/**
 * oidc_bearer() - identity, with its end, behind a bearer token (RFC 9068 access token, or an ID token made for our audience)
 *
 * Memory only: when the key is not known the token is refused and the key set fetched anew for the next try.
 * Return: 0, or -EACCES with the reason.
 */
int oidc_bearer(struct oidc *o, const char *token, struct identity *id, struct err *e);

/* What a person at a terminal is told to do: RFC 8628 §3.2. */
struct oidc_device {
	char user_code[64], verification_uri[512], verification_uri_complete[768];
	uint32_t expires_s, interval_s;
};

typedef void oidc_device_shown(void *arg, const struct oidc_device *d);

/**
 * oidc_device() - sign in without a browser of one's own
 * @shown: once, when the code is there; then @done, when the person has agreed, refused or let it expire
 *
 * Return: the call, as oidc_finish(); NULL with @e when the service has no device grant.
 */
struct oidc_call *oidc_device(struct oidc *o, oidc_device_shown *shown, oidc_done *done, void *arg, struct err *e);

#endif
