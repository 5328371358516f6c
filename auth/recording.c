/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/recording.h"

#include <errno.h>
#include <string.h>

#include "auth/db.h"
#include "base/err.h"

#define COLUMNS "seq, id, owner, stream, name, epoch, started_ms, duration_ms, size, cols, rows, input, live, reason"

int recording_put(struct db *db, struct recording_row *r, struct err *e)
{
	static const char sql[] =
		"INSERT INTO recording (id, owner, stream, name, epoch, started_ms, duration_ms, size, cols, rows, input, live, reason)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8, ?9, 1, '') RETURNING seq";
	struct db_row *row = db_start(db, sql,
				      DB_VALUES(DB_TEXT(r->id), DB_INT(r->owner), DB_TEXT(r->stream), DB_TEXT(r->name),
						DB_BLOB(r->epoch, sizeof(r->epoch)), DB_INT(r->started_ms), DB_INT(r->cols),
						DB_INT(r->rows), DB_INT(r->input)));
	int n = db_step(db, row, "note the recording", e);
	int64_t seq;

	if (n <= 0)
		return n;
	seq = db_int(row, 0);
	/* The insert is committed by the step that ends it. */
	n = db_step(db, row, "note the recording", e);
	if (n == 0)
		r->seq = seq;
	return n;
}

int recording_ended(struct db *db, const struct recording_row *r, struct err *e)
{
	static const char sql[] =
		"UPDATE recording SET live = 0, duration_ms = ?2, size = ?3, reason = ?4 WHERE id = ?1";

	return db_run(db, sql, "note the end of the recording", e,
		      DB_VALUES(DB_TEXT(r->id), DB_INT(r->duration_ms), DB_INT(r->size), DB_TEXT(r->reason)));
}

int recording_rename(struct db *db, const char *id, const char *name, struct err *e)
{
	static const char sql[] = "UPDATE recording SET name = ?2 WHERE id = ?1";

	return db_run(db, sql, "name the recording", e, DB_VALUES(DB_TEXT(id), DB_TEXT(name)));
}

int recording_drop(struct db *db, const char *id, struct err *e)
{
	static const char sql[] = "DELETE FROM recording WHERE id = ?1";

	return db_run(db, sql, "forget the recording", e, DB_VALUES(DB_TEXT(id)));
}

int recording_used(struct db *db, int64_t owner, uint64_t *out, struct err *e)
{
	static const char sql[] = "SELECT coalesce(sum(size), 0) FROM recording WHERE owner = ?1 AND live = 0";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_INT(owner)));
	int r = db_step(db, row, "count the recordings", e);

	if (r <= 0)
		return r;
	*out = (uint64_t)db_int(row, 0);
	db_end(row);
	return 0;
}

static int read_row(struct db_row *row, struct recording_row *r)
{
	r->seq = db_int(row, 0);
	r->owner = db_int(row, 2);
	r->started_ms = db_int(row, 6);
	r->duration_ms = db_int(row, 7);
	r->size = db_int(row, 8);
	r->cols = (uint16_t)db_int(row, 9);
	r->rows = (uint16_t)db_int(row, 10);
	r->input = db_int(row, 11) != 0;
	r->live = db_int(row, 12) != 0;
	return db_text(row, 1, r->id, sizeof(r->id)) < 0 || db_text(row, 3, r->stream, sizeof(r->stream)) < 0 ||
			       db_text(row, 4, r->name, sizeof(r->name)) < 0 ||
			       db_blob(row, 5, r->epoch, sizeof(r->epoch)) < 0 ||
			       db_text(row, 13, r->reason, sizeof(r->reason)) < 0 ?
		       -EBADMSG :
		       0;
}

int recording_get(struct db *db, const char *id, struct recording_row *out, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM recording WHERE id = ?1";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_TEXT(id)));
	int r = db_step(db, row, "look for the recording", e);

	if (r <= 0)
		return r;
	r = read_row(row, out);
	db_end(row);
	return r < 0 ? err_set(e, r, "the database holds a bad recording") : 1;
}

/* Give rows to @fn until it says otherwise. @more may be NULL: then @limit is not looked at. */
static int walk(struct db *db, struct db_row *row, int64_t limit, int (*fn)(void *arg, const struct recording_row *row), void *arg,
		bool *more, struct err *e)
{
	struct recording_row rec;
	int64_t n = 0;
	int r;

	while ((r = db_step(db, row, "list the recordings", e)) > 0) {
		if (more && n++ == limit) {
			*more = true;
			r = 0;
		} else if (read_row(row, &rec) < 0) {
			r = err_set(e, -EBADMSG, "the database holds a bad recording");
		} else {
			r = fn(arg, &rec);
		}
		if (r != 0 || (more && *more)) {
			db_end(row);
			return r;
		}
	}
	return r;
}

int recording_list(struct db *db, int64_t owner, int64_t below, int64_t limit,
		   int (*fn)(void *arg, const struct recording_row *row), void *arg, bool *more, struct err *e)
{
	static const char own[] = "SELECT " COLUMNS " FROM recording WHERE owner = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
			  all[] = "SELECT " COLUMNS " FROM recording WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";

	*more = false;
	if (below == 0)
		below = INT64_MAX;
	return walk(db,
		    owner ? db_start(db, own, DB_VALUES(DB_INT(owner), DB_INT(below), DB_INT(limit + 1))) :
			    db_start(db, all, DB_VALUES(DB_INT(below), DB_INT(limit + 1))),
		    limit, fn, arg, more, e);
}

int recording_each_live(struct db *db, int (*fn)(void *arg, const struct recording_row *row), void *arg, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM recording WHERE live = 1 ORDER BY seq";

	return walk(db, db_start(db, sql, DB_NONE), 0, fn, arg, NULL, e);
}

int recording_each_old(struct db *db, int64_t before_ms, int64_t limit,
		       int (*fn)(void *arg, const struct recording_row *row), void *arg, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM recording WHERE live = 0 AND started_ms < ?1 ORDER BY seq LIMIT ?2";

	return walk(db, db_start(db, sql, DB_VALUES(DB_INT(before_ms), DB_INT(limit))), 0, fn, arg, NULL, e);
}
