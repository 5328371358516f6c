/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_INVITE_H
#define AUTH_INVITE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/identity.h"

struct db;
struct err;

/*
 * Two short lists of people who are not here yet: those who were invited and have not come (invitations), and
 * those who have proven who they are, were refused, and ask to be let in (access requests). Neither is a right:
 * the list of rules alone decides.
 */
#define INVITE_SCHEMA \
	"CREATE TABLE invitation (" \
	"  email TEXT PRIMARY KEY, note TEXT NOT NULL, invited_by TEXT NOT NULL, created_s INTEGER NOT NULL," \
	"  mail TEXT NOT NULL CHECK (mail IN ('none', 'sending', 'sent', 'failed'))," \
	"  mail_s INTEGER NOT NULL, why TEXT NOT NULL)" \
	"  STRICT, WITHOUT ROWID;" \
	"CREATE TABLE access_request (" \
	"  email TEXT PRIMARY KEY, issuer TEXT NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL," \
	"  created_s INTEGER NOT NULL)" \
	"  STRICT, WITHOUT ROWID;"

#define INVITE_NOTE_BYTES 512
#define INVITE_WHY_BYTES  512
#define ASKS_MAX	  1000 /* access requests that wait */

/* What became of the mail: there is no mail server; under way; taken by the server; refused or not reached. */
enum invite_mail { INVITE_NONE, INVITE_SENDING, INVITE_SENT, INVITE_FAILED, INVITE_MAIL_COUNT };

const char *invite_mail_name(enum invite_mail m);

struct invitation {
	char email[EMAIL_BYTES], note[INVITE_NOTE_BYTES], invited_by[EMAIL_BYTES], why[INVITE_WHY_BYTES];
	int64_t created_s, mail_s;
	enum invite_mail mail;
};

/** invite_put() - add, or invite again */
int invite_put(struct db *db, const struct invitation *i, struct err *e);

/** invite_mailed() - what became of the mail; fine when the invitation is gone */
int invite_mailed(struct db *db, const char *email, enum invite_mail mail, const char *why, int64_t now_s,
		  struct err *e);

/** invite_restarted() - mails that were under way when the gateway ended count as failed */
int invite_restarted(struct db *db, struct err *e);

/** invite_drop() - take an invitation back. Return: 1 when there was one, 0, or negative with @e */
int invite_drop(struct db *db, const char *email, struct err *e);

/** invite_list() - of people who have not signed in yet, by e-mail; as store_person_list() */
int invite_list(struct db *db, const char *after, int64_t limit,
		int (*fn)(void *arg, const struct invitation *i), void *arg, bool *more, struct err *e);

/** struct ask - somebody who asks to be let in; @email was proven by @issuer */
struct ask {
	char email[EMAIL_BYTES], issuer[ISSUER_BYTES], name[NAME_BYTES], reason[INVITE_NOTE_BYTES];
	int64_t created_s;
};

/** ask_put() - add, or ask again. Return: 0, -ENOSPC when ASKS_MAX wait, other negative with @e */
int ask_put(struct db *db, const struct ask *a, struct err *e);

/** ask_waits() - is there one of this address? Return: 1, 0, or negative with @e */
int ask_waits(struct db *db, const char *email, struct err *e);

/** ask_drop() - it is decided. Return: 1 when there was one, 0, or negative with @e */
int ask_drop(struct db *db, const char *email, struct err *e);

/** ask_list() - by e-mail; as invite_list() */
int ask_list(struct db *db, const char *after, int64_t limit, int (*fn)(void *arg, const struct ask *a),
	     void *arg, bool *more, struct err *e);

#endif
