/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/share.h"

#include <errno.h>
#include <string.h>

#include "auth/db.h"
#include "base/err.h"

#define COLUMNS "id, owner, vm, stream, email, controller, open, created_s, expires_s, used_s"

static int read_share(struct db_row *row, struct share *s, struct err *e)
{
	*s = (struct share){ .id = db_int(row, 0),
			     .owner = db_int(row, 1),
			     .controller = db_int(row, 5) != 0,
			     .open = db_int(row, 6) != 0,
			     .created_s = db_int(row, 7),
			     .expires_s = db_int(row, 8),
			     .used_s = db_int(row, 9) };
	return db_blob(row, 2, s->vm, sizeof(s->vm)) < 0 ||
			db_text(row, 3, s->stream, sizeof(s->stream)) < 0 ||
			db_text(row, 4, s->email, sizeof(s->email)) < 0 ?
		err_set(e, -EBADMSG, "the database holds a bad share") :
		0;
}

int share_make(struct db *db, struct share *s, char secret[SECRET_TEXT], struct err *e)
{
	/* One statement: counted and added, or not. */
	static const char add[] =
		"INSERT INTO share (hash, owner, vm, stream, email, controller, open, created_s, expires_s, used_s)"
		" SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0"
		" WHERE (SELECT count(*) FROM share WHERE stream = ?4) < ?10 RETURNING id";
	uint8_t hash[SECRET_HASH_BYTES];
	struct db_row *row;
	int r = share_purge(db, s->created_s, e);

	if (r < 0)
		return r;
	r = secret_make(secret, hash);
	if (r < 0)
		return err_set(e, r, "no randomness for a share: %s", strerror(-r));
	row = db_start(db, add,
		       DB_VALUES(DB_BLOB(hash, sizeof(hash)), DB_INT(s->owner), DB_BLOB(s->vm, sizeof(s->vm)),
				 DB_TEXT(s->stream), DB_TEXT(s->email), DB_INT(s->controller), DB_INT(s->open),
				 DB_INT(s->created_s), DB_INT(s->expires_s), DB_INT(SHARES_PER_STREAM)));
	r = db_step(db, row, "keep the share", e);
	if (r == 0)
		return SHARE_E_MANY;
	if (r < 0)
		return r;
	s->id = db_int(row, 0);
	s->used_s = 0;
	/* The row is written when the statement is over, not before. */
	r = db_step(db, row, "keep the share", e);
	return r < 0 ? r : 0;
}

/* The one row of a statement that was begun. */
static int one(struct db *db, struct db_row *row, struct share *out, struct err *e)
{
	int r = db_step(db, row, "look for the share", e);

	if (r <= 0)
		return r < 0 ? r : SHARE_E_NONE;
	r = read_share(row, out, e);
	db_end(row);
	return r;
}

int share_find(struct db *db, const char *secret, int64_t now_s, struct share *out, struct err *e)
{
	/* The hash of 256 random bits is looked up, not the secret: the index tells nothing by its timing. */
	static const char find[] = "SELECT " COLUMNS " FROM share WHERE hash = ?1 AND expires_s > ?2";
	uint8_t hash[SECRET_HASH_BYTES];

	if (secret_hash(secret, hash) < 0)
		return SHARE_E_NONE;
	return one(db, db_start(db, find, DB_VALUES(DB_BLOB(hash, sizeof(hash)), DB_INT(now_s))), out, e);
}

int share_get(struct db *db, int64_t id, int64_t now_s, struct share *out, struct err *e)
{
	static const char get[] = "SELECT " COLUMNS " FROM share WHERE id = ?1 AND expires_s > ?2";

	return one(db, db_start(db, get, DB_VALUES(DB_INT(id), DB_INT(now_s))), out, e);
}

int share_used(struct db *db, int64_t id, int64_t now_s, struct err *e)
{
	static const char sql[] = "UPDATE share SET used_s = ?2 WHERE id = ?1";

	return db_run(db, sql, "note the use of the share", e, DB_VALUES(DB_INT(id), DB_INT(now_s)));
}

int share_list(struct db *db, const char *stream, int64_t now_s, int64_t after, int64_t limit,
	       int (*fn)(void *arg, const struct share *s), void *arg, bool *more, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM share WHERE stream = ?1 AND expires_s > ?2 AND id > ?3"
				  " ORDER BY id LIMIT ?4";
	struct db_row *row = db_start(db, sql,
				      DB_VALUES(DB_TEXT(stream), DB_INT(now_s), DB_INT(after), DB_INT(limit + 1)));
	struct share s;
	int64_t n = 0;
	int r;

	*more = false;
	while ((r = db_step(db, row, "list the shares", e)) > 0) {
		*more = n++ == limit;
		r = *more ? 0 : read_share(row, &s, e);
		if (r == 0 && !*more)
			r = fn(arg, &s);
		if (r != 0 || *more)
			break;
	}
	if (r != 0 || *more)
		db_end(row);
	return r;
}

int share_set_role(struct db *db, int64_t id, bool controller, struct err *e)
{
	static const char sql[] = "UPDATE share SET controller = ?2 WHERE id = ?1";

	return db_run(db, sql, "change the share", e, DB_VALUES(DB_INT(id), DB_INT(controller)));
}

int share_drop(struct db *db, int64_t id, struct err *e)
{
	static const char sql[] = "DELETE FROM share WHERE id = ?1";

	return db_run(db, sql, "take the share back", e, DB_VALUES(DB_INT(id)));
}

int share_drop_email(struct db *db, const char *email, struct err *e)
{
	static const char sql[] =
		"DELETE FROM share WHERE owner IN (SELECT id FROM person WHERE email = ?1)";

	return db_run(db, sql, "take the shares back", e, DB_VALUES(DB_TEXT(email)));
}

int share_shut(struct db *db, int64_t id, const char *email, struct err *e)
{
	static const char sql[] = "INSERT OR IGNORE INTO share_shut (share, email) VALUES (?1, ?2)";

	return db_run(db, sql, "shut somebody out", e, DB_VALUES(DB_INT(id), DB_TEXT(email)));
}

int share_is_shut(struct db *db, int64_t id, const char *email, struct err *e)
{
	static const char sql[] = "SELECT 1 FROM share_shut WHERE share = ?1 AND email = ?2";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_INT(id), DB_TEXT(email)));
	int r = db_step(db, row, "look who was shut out", e);

	if (r > 0)
		db_end(row);
	return r;
}

int share_purge(struct db *db, int64_t now_s, struct err *e)
{
	static const char sql[] = "DELETE FROM share WHERE expires_s <= ?1";

	return db_run(db, sql, "forget old shares", e, DB_VALUES(DB_INT(now_s)));
}
