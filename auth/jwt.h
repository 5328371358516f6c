/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct jwks;

/*
 * JSON Web Tokens that others signed: JWS compact form (RFC 7515) under RS256 or ES256 (RFC 7518), keys from a JWK set (RFC 7517).
 * Verified with mbedTLS against the key's own kind, so that a token cannot choose how it is checked. Our own tokens are another matter
 * (auth/token.c).
 */
#define JWT_BYTES_MAX  16384
#define JWKS_BYTES_MAX 262144
#define JWKS_KEYS_MAX  64

/**
 * jwks_parse() - read a JWK set
 *
 * Keys of other kinds, for other uses, without a kid, RSA under 2048 or over 8192 bits and points off the curve are left out, as RFC 7517
 * §5 wants; a set without one usable key is an error. Return: 0, -ENOMEM or -EINVAL.
 */
int jwks_parse(struct jwks **out, const char *text, size_t len, struct err *e);
struct jwks *jwks_free(struct jwks *keys);
size_t jwks_count(const struct jwks *keys);

#define JWT_E_KEY 1 /* no key of that kid: the set may be stale */

/**
 * jwt_verify() - check the signature of a compact JWS
 * @type_at_jwt: refuse (0) or require (1) the header typ "at+jwt": an access token must not pass for an ID token (RFC 9068 §4)
 * @claims: new reference to the payload object, on success only; its claims are not yet checked: jwt_check()
 *
 * Return: 0; JWT_E_KEY; -EINVAL malformed; -EACCES signature or algorithm wrong.
 */
int jwt_verify(const char *token, const struct jwks *keys, int type_at_jwt, json_t **claims, struct err *e);

/**
 * struct jwt_want - what the claims must say
 * @issuer:   equal byte for byte
 * @audience: equal, or a member of an array; then azp, where present, must be equal too
 * @nonce:    equal; NULL = not looked at
 * @now_s, @skew_s: seconds since 1970, and tolerance; exp is mandatory, nbf and iat are checked where present
 * @max_age_s: refuse when iat is older; 0 = no limit
 */
struct jwt_want {
	const char *issuer, *audience, *nonce;
	int64_t now_s, skew_s, max_age_s;
};

/** jwt_check() - Return: 0, or -EACCES with the claim that failed */
int jwt_check(const json_t *claims, const struct jwt_want *want, struct err *e);

/** jwt_base64url() - strict base64url (RFC 7515 §2: no padding, no other character, no stray bits). Return: bytes, or -EINVAL */
long jwt_base64url(const char *text, size_t len, uint8_t *out, size_t size);

#endif
