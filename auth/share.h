/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_SHARE_H
#define AUTH_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/auth.h"
#include "auth/secret.h"

struct db;
struct err;

/*
 * Shares: a person lets others to one terminal, by a link that holds a secret. Only the secret's hash is kept.
 * A share is good while its row is there and its date has not come; it goes with the machine and with the
 * person. Who was sent away stays away from that share, whatever the link.
 */
#define SHARE_SCHEMA \
	"CREATE TABLE share (" \
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32)," \
	"  vm BLOB NOT NULL REFERENCES vm (id) ON DELETE CASCADE," \
	"  owner INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE," \
	"  stream TEXT NOT NULL, email TEXT NOT NULL, controller INTEGER NOT NULL, open INTEGER NOT NULL," \
	"  created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL, used_s INTEGER NOT NULL) STRICT;" \
	"CREATE INDEX share_vm ON share (vm);" \
	"CREATE INDEX share_owner ON share (owner);" \
	"CREATE INDEX share_stream ON share (stream, id);" \
	"CREATE INDEX share_expires ON share (expires_s);" \
	"CREATE TABLE share_shut (" \
	"  share INTEGER NOT NULL REFERENCES share (id) ON DELETE CASCADE, email TEXT NOT NULL," \
	"  PRIMARY KEY (share, email)) STRICT, WITHOUT ROWID;"

#define SHARE_STREAM_BYTES 64
#define SHARE_VM_BYTES	   16
#define SHARES_PER_STREAM  50
#define SHARE_LIFE_MAX_S   (30LL * 86400)

/* Outcomes beside 0 and negative errno with @e. */
enum {
	SHARE_E_NONE = 1, /* no such share, or its date has come */
	SHARE_E_MANY,	  /* the stream has as many as there may be */
};

/**
 * struct share - one row
 * @email:      the only one who may come; "" for everybody who is signed in
 * @controller: who comes may take control, and not only watch
 * @open:       people without an account may come, too
 * @used_s:     last redeemed; 0 = never
 */
struct share {
	int64_t id, owner, created_s, expires_s, used_s;
	uint8_t vm[SHARE_VM_BYTES];
	char stream[SHARE_STREAM_BYTES], email[EMAIL_BYTES];
	bool controller, open;
};

/** share_make() - keep a new one: all but id and used_s is given. @secret: shown once. Return: 0, SHARE_E_MANY, or negative with @e */
int share_make(struct db *db, struct share *s, char secret[SECRET_TEXT], struct err *e);

/** share_find() - by its secret (any text may be given). Return: 0, SHARE_E_NONE, or negative with @e */
int share_find(struct db *db, const char *secret, int64_t now_s, struct share *out, struct err *e);

/** share_get() - by id. Return: as share_find() */
int share_get(struct db *db, int64_t id, int64_t now_s, struct share *out, struct err *e);

/** share_used() - somebody came with it */
int share_used(struct db *db, int64_t id, int64_t now_s, struct err *e);

/** share_list() - of one stream, after the id @after; as store_person_list() */
int share_list(struct db *db, const char *stream, int64_t now_s, int64_t after, int64_t limit,
	       int (*fn)(void *arg, const struct share *s), void *arg, bool *more, struct err *e);

/** share_set_role() - what those who come with it may do from now on */
int share_set_role(struct db *db, int64_t id, bool controller, struct err *e);

/** share_drop() - take it back; fine when it is gone */
int share_drop(struct db *db, int64_t id, struct err *e);

/** share_drop_email() - take back everything that this person has shared */
int share_drop_email(struct db *db, const char *email, struct err *e);

/** share_shut() - @email comes in by this share no more; share_is_shut() - Return: 1, 0, or negative with @e */
int share_shut(struct db *db, int64_t id, const char *email, struct err *e);
int share_is_shut(struct db *db, int64_t id, const char *email, struct err *e);

/** share_purge() - forget those whose date has come */
int share_purge(struct db *db, int64_t now_s, struct err *e);

#endif
