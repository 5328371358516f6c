/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_OIDC_INTERNAL_H
#define AUTH_OIDC_INTERNAL_H

/* Shared by the files oidc*.c and nobody else. */

#include <ev.h>
#include <jansson.h>

#include "auth/jwt.h"
#include "auth/keyset.h"
#include "auth/oidc.h"
#include "auth/secret.h"
#include "base/err.h"

#define OIDC_LOGINS_MAX	   1024
#define OIDC_LOGIN_LIFE_MS 600000 /* a person reads mail for a code, finds a phone */
#define OIDC_DEADLINE_MS   10000
#define OIDC_ANSWER_MAX	   (256 * 1024)
#define OIDC_ENDPOINT_BYTES 512

/**
 * struct oidc_login - a browser on its way to the service and back
 * @state: what it brings back, as a hash; all zero = free
 * @verifier: PKCE; @nonce: must stand in the ID token
 */
struct oidc_login {
	uint8_t state[SECRET_HASH_BYTES], browser[OIDC_BROWSER_BYTES];
	char nonce[SECRET_TEXT], verifier[SECRET_TEXT];
	uint64_t started_ms;
};

/* What the service says about itself (OpenID Connect Discovery 1.0 §3). */
struct oidc_metadata {
	char authorization[OIDC_ENDPOINT_BYTES], token[OIDC_ENDPOINT_BYTES], jwks[OIDC_ENDPOINT_BYTES], userinfo[OIDC_ENDPOINT_BYTES],
		device[OIDC_ENDPOINT_BYTES];
	bool names_issuer;  /* RFC 9207: the callback carries iss */
	bool secret_in_body; /* client_secret_basic is not offered */
};

struct oidc {
	struct oidc_config c;
	struct loop *loop;   /* borrowed */
	struct httpc *httpc; /* borrowed */
	struct oidc_metadata meta;
	struct keyset *keys; /* owned */
	bool known;	   /* meta is valid */
	bool allow_http;
	struct httpc_call *fetch;
	ev_timer refresh;
	uint32_t failures;
	struct err why; /* of the last failure */
	struct oidc_login logins[OIDC_LOGINS_MAX];
	struct oidc_call *calls; /* owned */
};

/* A sign-in at work: one request to the service at a time. */
struct oidc_call {
	struct oidc *o;
	struct oidc_call *newer, **link;
	oidc_done *done;
	oidc_device_shown *shown;
	void *arg;
	struct httpc_call *http;
	ev_timer poll; /* device grant */
	uint64_t give_up_ms;
	uint32_t interval_s;
	bool keys_refetched;
	char nonce[SECRET_TEXT];   /* empty: not looked at (device grant) */
	char *id_token, *access_token; /* owned */
	char device_code[512];
	struct identity id;
};

/** oidc_meta_start() - fetch metadata, then keys, and both again from time to time. Return: 0 or -ENOMEM */
int oidc_meta_start(struct oidc *o);
void oidc_meta_stop(struct oidc *o);

/** oidc_meta_parse() - pure: read the discovery document. Return: 0 or -EINVAL */
int oidc_meta_parse(struct oidc_metadata *m, const char *issuer, bool allow_http, const char *text, size_t len, struct err *e);

/** oidc_call_create(), oidc_call_free() - linked into @o; freeing cancels what is pending and calls nobody */
struct oidc_call *oidc_call_create(struct oidc *o, oidc_done *done, void *arg);
void oidc_call_free(struct oidc_call *c);

/** oidc_call_refuse() - tell the caller and free. @e is prefixed with the issuer's title by nobody: it goes to the log */
void oidc_call_refuse(struct oidc_call *c, const struct err *e);

/** oidc_call_token() - a token response came: verify it and go on to the identity. Frees @c sooner or later */
void oidc_call_token(struct oidc_call *c, const json_t *response);

/** oidc_token_request() - POST a form to the token endpoint with the client's authentication. Return: 0 or negative with @e */
struct httpc_answer;
int oidc_token_request(struct oidc_call *c, const char *endpoint, const char *form, void (*done)(void *, const struct httpc_answer *),
		       struct err *e);

/** oidc_identity() - fill an identity out of claims. @claims holds e-mail and email_verified of one document */
void oidc_identity(struct identity *id, const struct oidc_config *c, const json_t *claims);

/** oidc_error_text() - "error" member of a JSON answer for the log: letters only, bounded */
void oidc_error_text(const char *body, size_t len, char *out, size_t size);

#endif
