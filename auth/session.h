/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_SESSION_H
#define AUTH_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "auth/auth.h"
#include "auth/secret.h"

struct err;
struct store;

/*
 * Sessions in the browser's cookie. "__Host-" makes the browser insist on Secure, on Path=/ and on no Domain, so that no other host
 * and no plain-http page can plant one (RFC 6265bis §4.1.3.2). Lax, for a link into Terrarium from elsewhere should arrive signed in;
 * writes are guarded by Origin and X-Terrarium.
 */
#define SESSION_COOKIE "__Host-sid"
#define SESSION_COOKIE_BYTES 256 /* of a Set-Cookie value, NUL included */

/**
 * session_open() - begin a session
 * @who:    person and email are given; the rest is filled
 * @life_s: seconds until it expires
 * @cookie: value for Set-Cookie
 *
 * Return: 0, or negative with @e.
 */
int session_open(struct store *store, struct who *who, int64_t now_s, int64_t life_s, char cookie[SESSION_COOKIE_BYTES],
		 struct err *e);

/** session_gone_cookie() - Set-Cookie value that takes the cookie away */
const char *session_gone_cookie(void);

/**
 * session_cookie() - find a secret in a Cookie header
 * @name: SESSION_COOKIE, or that of another cookie which holds one
 *
 * Return: 0; -ENOENT without one; -EINVAL when it is malformed or there are two, for then one of them was planted.
 */
int session_cookie(const char *header, const char *name, char secret[SECRET_TEXT]);

/** session_check() - whose session a Cookie header (may be NULL) names. Return: 0, STORE_E_NONE, or negative with @e */
int session_check(struct store *store, const char *header, int64_t now_s, struct who *who, struct err *e);

#endif
