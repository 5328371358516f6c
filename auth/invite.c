/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/invite.h"

#include <errno.h>
#include <string.h>

#include "auth/db.h"
#include "base/err.h"

static const char *const mail_names[] = {
	[INVITE_NONE] = "none", [INVITE_SENDING] = "sending", [INVITE_SENT] = "sent", [INVITE_FAILED] = "failed"
};
_Static_assert(sizeof(mail_names) / sizeof(mail_names[0]) == INVITE_MAIL_COUNT, "a name for each state");

const char *invite_mail_name(enum invite_mail m)
{
	return mail_names[m];
}

/* --- invitations --- */

int invite_put(struct db *db, const struct invitation *i, struct err *e)
{
	static const char sql[] =
		"INSERT INTO invitation (email, note, invited_by, created_s, mail, mail_s, why)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (email) DO UPDATE"
		" SET note = ?2, invited_by = ?3, created_s = ?4, mail = ?5, mail_s = ?6, why = ?7";

	return db_run(db, sql, "keep the invitation", e,
		      DB_VALUES(DB_TEXT(i->email), DB_TEXT(i->note), DB_TEXT(i->invited_by),
				DB_INT(i->created_s), DB_TEXT(mail_names[i->mail]), DB_INT(i->mail_s),
				DB_TEXT(i->why)));
}

int invite_mailed(struct db *db, const char *email, enum invite_mail mail, const char *why, int64_t now_s,
		  struct err *e)
{
	static const char sql[] = "UPDATE invitation SET mail = ?2, why = ?3, mail_s = ?4 WHERE email = ?1";

	return db_run(db, sql, "note what became of the mail", e,
		      DB_VALUES(DB_TEXT(email), DB_TEXT(mail_names[mail]), DB_TEXT(why), DB_INT(now_s)));
}

int invite_restarted(struct db *db, struct err *e)
{
	static const char sql[] =
		"UPDATE invitation SET mail = 'failed', why = 'the gateway ended before the server had answered'"
		" WHERE mail = 'sending'";

	return db_run(db, sql, "look at the invitations", e, DB_NONE);
}

int invite_drop(struct db *db, const char *email, struct err *e)
{
	static const char sql[] = "DELETE FROM invitation WHERE email = ?1";
	int r = db_run(db, sql, "take the invitation back", e, DB_VALUES(DB_TEXT(email)));

	return r < 0 ? r : db_changes(db) > 0;
}

static int read_invitation(struct db_row *row, struct invitation *i)
{
	char mail[16];

	i->created_s = db_int(row, 3);
	i->mail_s = db_int(row, 5);
	if (db_text(row, 0, i->email, sizeof(i->email)) < 0 || db_text(row, 1, i->note, sizeof(i->note)) < 0 ||
	    db_text(row, 2, i->invited_by, sizeof(i->invited_by)) < 0 ||
	    db_text(row, 4, mail, sizeof(mail)) < 0 || db_text(row, 6, i->why, sizeof(i->why)) < 0)
		return -EBADMSG;
	for (int m = 0; m < INVITE_MAIL_COUNT; m++)
		if (strcmp(mail, mail_names[m]) == 0) {
			i->mail = (enum invite_mail)m;
			return 0;
		}
	return -EBADMSG;
}

int invite_list(struct db *db, const char *after, int64_t limit,
		int (*fn)(void *arg, const struct invitation *i), void *arg, bool *more, struct err *e)
{
	static const char sql[] =
		"SELECT email, note, invited_by, created_s, mail, mail_s, why FROM invitation i WHERE email > ?1"
		" AND NOT EXISTS (SELECT 1 FROM person WHERE email = i.email) ORDER BY email LIMIT ?2";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_TEXT(after), DB_INT(limit + 1)));
	struct invitation i;
	int64_t n = 0;
	int r;

	*more = false;
	while ((r = db_step(db, row, "list the invitations", e)) > 0) {
		*more = n++ == limit;
		if (*more)
			r = 0;
		else if (read_invitation(row, &i) < 0)
			r = err_set(e, -EBADMSG, "the database holds a bad invitation");
		else
			r = fn(arg, &i);
		if (r != 0 || *more)
			break;
	}
	if (r != 0 || *more)
		db_end(row);
	return r;
}

/* --- access requests --- */

int ask_put(struct db *db, const struct ask *a, struct err *e)
{
	/* One statement: counted and added, or not. */
	static const char sql[] =
		"INSERT INTO access_request (email, issuer, name, reason, created_s) SELECT ?1, ?2, ?3, ?4, ?5"
		" WHERE (SELECT count(*) FROM access_request WHERE email != ?1) < ?6"
		" ON CONFLICT (email) DO UPDATE SET issuer = ?2, name = ?3, reason = ?4, created_s = ?5";
	int r = db_run(db, sql, "keep the request", e,
		       DB_VALUES(DB_TEXT(a->email), DB_TEXT(a->issuer), DB_TEXT(a->name), DB_TEXT(a->reason),
				 DB_INT(a->created_s), DB_INT(ASKS_MAX)));

	return r == 0 && db_changes(db) == 0 ?
		err_set(e, -ENOSPC, "%d access requests wait already", ASKS_MAX) :
		r;
}

int ask_waits(struct db *db, const char *email, struct err *e)
{
	static const char sql[] = "SELECT 1 FROM access_request WHERE email = ?1";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_TEXT(email)));
	int r = db_step(db, row, "look for the request", e);

	if (r > 0)
		db_end(row);
	return r;
}

int ask_drop(struct db *db, const char *email, struct err *e)
{
	static const char sql[] = "DELETE FROM access_request WHERE email = ?1";
	int r = db_run(db, sql, "drop the request", e, DB_VALUES(DB_TEXT(email)));

	return r < 0 ? r : db_changes(db) > 0;
}

static int read_ask(struct db_row *row, struct ask *a)
{
	a->created_s = db_int(row, 4);
	return db_text(row, 0, a->email, sizeof(a->email)) < 0 ||
			db_text(row, 1, a->issuer, sizeof(a->issuer)) < 0 ||
			db_text(row, 2, a->name, sizeof(a->name)) < 0 ||
			db_text(row, 3, a->reason, sizeof(a->reason)) < 0 ?
		-EBADMSG :
		0;
}

int ask_list(struct db *db, const char *after, int64_t limit, int (*fn)(void *arg, const struct ask *a),
	     void *arg, bool *more, struct err *e)
{
	static const char sql[] =
		"SELECT email, issuer, name, reason, created_s FROM access_request WHERE email > ?1"
		" ORDER BY email LIMIT ?2";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_TEXT(after), DB_INT(limit + 1)));
	struct ask a;
	int64_t n = 0;
	int r;

	*more = false;
	while ((r = db_step(db, row, "list the requests", e)) > 0) {
		*more = n++ == limit;
		if (*more)
			r = 0;
		else if (read_ask(row, &a) < 0)
			r = err_set(e, -EBADMSG, "the database holds a bad request");
		else
			r = fn(arg, &a);
		if (r != 0 || *more)
			break;
	}
	if (r != 0 || *more)
		db_end(row);
	return r;
}
