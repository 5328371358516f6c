/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/auth.h"
#include "auth/secret.h"

struct db;
struct err;

/*
 * API tokens: JWTs that we sign and nobody else reads. A token is good while its row is there, so it can be
 * taken back at once; the signature and the claims must agree with the row all the same. Of the random `jti`
 * only the hash is kept: a copy of the database holds the signing keys, but no token can be made from it. The
 * only file that includes libjwt.
 *
 * The newest key signs; older ones verify for as long as a token of theirs is alive, so changing the key logs
 * nobody out.
 */
#define TOKEN_SCHEMA \
	"CREATE TABLE token_key (" \
	"  seq INTEGER PRIMARY KEY AUTOINCREMENT, kid TEXT NOT NULL UNIQUE," \
	"  secret BLOB NOT NULL CHECK (length(secret) = 32), created_s INTEGER NOT NULL) STRICT;" \
	"CREATE TABLE token (" \
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, jti BLOB NOT NULL UNIQUE CHECK (length(jti) = 32)," \
	"  key INTEGER NOT NULL REFERENCES token_key (seq)," \
	"  person INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE," \
	"  name TEXT NOT NULL, scopes INTEGER NOT NULL, created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL," \
	"  used_s INTEGER NOT NULL) STRICT;" \
	"CREATE INDEX token_person ON token (person);" \
	"CREATE INDEX token_of_key ON token (key);" \
	"CREATE INDEX token_expires ON token (expires_s);" \
	"CREATE TABLE token_address (" \
	"  token INTEGER NOT NULL REFERENCES token (id) ON DELETE CASCADE, address TEXT NOT NULL," \
	"  first_s INTEGER NOT NULL," \
	"  PRIMARY KEY (token, address)) STRICT, WITHOUT ROWID;"

#define TOKEN_TEXT_BYTES    1024 /* of the JWT, NUL included; ours have about 450 */
#define TOKEN_NAME_BYTES    64
#define TOKENS_PER_PERSON   50
#define TOKEN_LIFE_MAX_S    (366LL * 86400)
#define TOKEN_ADDRESSES_MAX 32 /* remembered for each token */

/* Outcomes beside 0 and negative errno with @e. */
enum {
	TOKEN_E_NONE = 1, /* no such token, or not one that counts */
	TOKEN_E_MANY,	  /* the person has as many as there may be */
};

/** struct token - one row; @used_s: 0 = never */
struct token {
	int64_t id, person, created_s, expires_s, used_s;
	char name[TOKEN_NAME_BYTES];
	unsigned scopes;
};

/** scope_names() - "vm rules" for the bits. Returns @out */
#define SCOPE_NAMES_BYTES 48
const char *scope_names(unsigned scopes, char out[SCOPE_NAMES_BYTES]);

/** scope_parse() - bit of one name (may be NULL). Return: 0 or -EINVAL */
int scope_parse(const char *name, unsigned *bit);

/**
 * token_make() - sign a new token; the first one makes the first key
 * @t:       person, name, scopes, created_s and expires_s are given, id is filled
 * @address: from where it was made: known from the start
 * @text:    the token itself, not kept
 *
 * Return: 0, TOKEN_E_MANY, or negative with @e.
 */
int token_make(struct db *db, struct token *t, const char *address, char text[TOKEN_TEXT_BYTES], struct err *e);

/**
 * token_check() - whose token is this? Any bytes may be given
 * @hash:  of the jti: stands in for a session's
 * @email: of the person
 *
 * Return: 0, TOKEN_E_NONE with the reason in @e, or negative with @e.
 */
int token_check(struct db *db, const char *text, int64_t now_s, struct token *t,
		uint8_t hash[SECRET_HASH_BYTES], char email[EMAIL_BYTES], struct err *e);

/**
 * token_used() - note the use of a token that was checked; at most one write a minute. @fresh: first seen from
 * this address
 */
int token_used(struct db *db, const struct token *t, const char *address, int64_t now_s, bool *fresh,
	       struct err *e);

/** token_list() - of one person, newest first; a non-zero result of @fn ends the walk and is returned */
int token_list(struct db *db, int64_t person, int64_t now_s, int (*fn)(void *arg, const struct token *t),
	       void *arg, struct err *e);

/**
 * token_drop() - take back a token of this person. Return: 0 with @name and @hash, TOKEN_E_NONE, or negative
 * with @e
 */
int token_drop(struct db *db, int64_t person, int64_t id, char name[TOKEN_NAME_BYTES],
	       uint8_t hash[SECRET_HASH_BYTES], struct err *e);

/**
 * token_drop_hash() - take back the token that token_check() gave this hash for. Return: 0, TOKEN_E_NONE, or
 * negative with @e
 */
int token_drop_hash(struct db *db, const uint8_t hash[SECRET_HASH_BYTES], struct err *e);

/** token_drop_email() - take back all tokens of an address */
int token_drop_email(struct db *db, const char *email, struct err *e);

/** token_rotate() - a new key signs from now on; keys without a living token go. Return: 0 or negative with @e */
int token_rotate(struct db *db, int64_t now_s, struct err *e);

#endif
