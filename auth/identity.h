/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/auth.h"

struct err;

/* What an identity service says about the e-mail. Many services send no such claim at all, and some send false for everybody. */
enum email_verified { EMAIL_VERIFIED_ABSENT, EMAIL_VERIFIED_YES, EMAIL_VERIFIED_NO };

enum email_policy {
	EMAIL_REQUIRE,	 /* the claim must be there and true */
	EMAIL_NOT_FALSE, /* absent is taken as verified */
	EMAIL_IGNORE,	 /* the operator vouches for the service */
	EMAIL_POLICY_COUNT,
};

/** email_policy_parse() - "require", "not_false", "ignore". Return: 0 or -EINVAL */
int email_policy_parse(const char *text, enum email_policy *out);

#define ISSUER_BYTES  256
#define SUBJECT_BYTES 256
#define NAME_BYTES    128

/**
 * struct identity - what every provider ends in; everything behind it knows only this
 * @provider: name in the configuration
 * @issuer, @subject: who the machine belongs to, for ever; both from the same signed document
 * @email:    who may enter; from the same document as @email_verified; normalised by identity_accept()
 * @name:     for greeting people; control characters removed; may be empty
 * @expires_s: until when a bearer token says so, seconds since 1970; 0 for a sign-in
 */
struct identity {
	char provider[32], issuer[ISSUER_BYTES], subject[SUBJECT_BYTES], email[EMAIL_BYTES], name[NAME_BYTES];
	enum email_verified email_verified;
	int64_t expires_s;
};

/**
 * identity_accept() - the last check of a provider: is this a usable identity?
 *
 * Normalises the e-mail. An identity without an e-mail is refused: no other claim ever stands in for it.
 * Return: 0, or -EACCES with the claim that failed.
 */
int identity_accept(struct identity *id, enum email_policy policy, struct err *e);

/** identity_url_https() - an https URL with a host */
bool identity_url_https(const char *url);

/** identity_url_loopback() - plain http to a loopback address: the only place where a service may be asked without TLS */
bool identity_url_loopback(const char *url);

#endif
