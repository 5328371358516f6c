/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/disk.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "auth/db.h"
#include "base/err.h"

#define COLUMNS "seq, id, owner, vm, name, source, bytes, created_s, state, reason"

static const char *const state_names[] = { "making", "ready", "growing", "leaving", "failed" };
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == DISK_STATE_COUNT, "one name for each enum disk_state");

const char *disk_state_name(enum disk_state s)
{
	return state_names[s];
}

int disk_put(struct db *db, struct disk_row *r, struct err *e)
{
	static const char sql[] = "INSERT INTO disk (id, owner, vm, name, source, bytes, created_s, state, reason)"
				  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '') RETURNING seq";
	struct db_row *row = db_start(db, sql,
				      DB_VALUES(DB_TEXT(r->id), DB_INT(r->owner), DB_TEXT(r->vm), DB_TEXT(r->name), DB_TEXT(r->source),
						DB_INT((int64_t)r->bytes), DB_INT(r->created_s), DB_INT(r->state)));
	int n = db_step(db, row, "note the disk", e);
	int64_t seq;

	if (n < 0)
		return db_unique(db) ? DISK_E_EXISTS : n;
	if (n == 0)
		return 0;
	seq = db_int(row, 0);
	/* The insert is committed by the step that ends it. */
	n = db_step(db, row, "note the disk", e);
	if (n == 0)
		r->seq = seq;
	return n;
}

int disk_set(struct db *db, const struct disk_row *r, struct err *e)
{
	static const char sql[] = "UPDATE disk SET bytes = ?2, state = ?3, reason = ?4 WHERE id = ?1";

	return db_run(db, sql, "note what becomes of the disk", e,
		      DB_VALUES(DB_TEXT(r->id), DB_INT((int64_t)r->bytes), DB_INT(r->state), DB_TEXT(r->reason)));
}

int disk_drop(struct db *db, const char *id, struct err *e)
{
	static const char sql[] = "DELETE FROM disk WHERE id = ?1";

	return db_run(db, sql, "forget the disk", e, DB_VALUES(DB_TEXT(id)));
}

static int read_row(struct db_row *row, struct disk_row *r)
{
	int64_t state = db_int(row, 8);

	r->seq = db_int(row, 0);
	r->owner = db_int(row, 2);
	r->bytes = (uint64_t)db_int(row, 6);
	r->created_s = db_int(row, 7);
	r->state = (enum disk_state)state;
	return state < 0 || state >= DISK_STATE_COUNT || db_text(row, 1, r->id, sizeof(r->id)) < 0 ||
			       db_text(row, 3, r->vm, sizeof(r->vm)) < 0 || db_text(row, 4, r->name, sizeof(r->name)) < 0 ||
			       db_text(row, 5, r->source, sizeof(r->source)) < 0 || db_text(row, 9, r->reason, sizeof(r->reason)) < 0 ?
		       -EBADMSG :
		       0;
}

static int one(struct db *db, struct db_row *row, struct disk_row *out, struct err *e)
{
	int r = db_step(db, row, "look for the disk", e);

	if (r <= 0)
		return r;
	r = read_row(row, out);
	db_end(row);
	return r < 0 ? err_set(e, r, "the database holds a bad disk") : 1;
}

int disk_get(struct db *db, const char *id, struct disk_row *out, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM disk WHERE id = ?1";

	return one(db, db_start(db, sql, DB_VALUES(DB_TEXT(id))), out, e);
}

int disk_find(struct db *db, int64_t owner, const char *vm, const char *name, struct disk_row *out, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM disk WHERE owner = ?1 AND vm = ?2 AND name = ?3";

	return one(db, db_start(db, sql, DB_VALUES(DB_INT(owner), DB_TEXT(vm), DB_TEXT(name))), out, e);
}

int disk_used(struct db *db, int64_t owner, const char *except, uint64_t *out, struct err *e)
{
	static const char sql[] = "SELECT coalesce(sum(bytes), 0) FROM disk WHERE owner = ?1 AND (vm = '' OR vm != ?2)";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_INT(owner), DB_TEXT(except)));
	int r = db_step(db, row, "count the disks", e);

	if (r <= 0)
		return r;
	*out = (uint64_t)db_int(row, 0);
	db_end(row);
	return 0;
}

/* Give rows to @fn until it says otherwise. @more may be NULL: then @limit is not looked at. */
static int walk(struct db *db, struct db_row *row, int64_t limit, int (*fn)(void *arg, const struct disk_row *row), void *arg, bool *more,
		struct err *e)
{
	struct disk_row disk;
	int64_t n = 0;
	int r;

	while ((r = db_step(db, row, "list the disks", e)) > 0) {
		if (more && n++ == limit) {
			*more = true;
			r = 0;
		} else if (read_row(row, &disk) < 0) {
			r = err_set(e, -EBADMSG, "the database holds a bad disk");
		} else {
			r = fn(arg, &disk);
		}
		if (r != 0 || (more && *more)) {
			db_end(row);
			return r;
		}
	}
	return r;
}

int disk_list(struct db *db, int64_t owner, int64_t after, int64_t limit, int (*fn)(void *arg, const struct disk_row *row), void *arg,
	      bool *more, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM disk WHERE owner = ?1 AND vm = '' AND seq > ?2 ORDER BY seq LIMIT ?3";

	*more = false;
	return walk(db, db_start(db, sql, DB_VALUES(DB_INT(owner), DB_INT(after), DB_INT(limit + 1))), limit, fn, arg, more, e);
}

int disk_each_of(struct db *db, const char *vm, int (*fn)(void *arg, const struct disk_row *row), void *arg, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM disk WHERE vm = ?1 ORDER BY seq";

	return walk(db, db_start(db, sql, DB_VALUES(DB_TEXT(vm))), 0, fn, arg, NULL, e);
}

int disk_each_begun(struct db *db, int (*fn)(void *arg, const struct disk_row *row), void *arg, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM disk WHERE state IN (0, 2, 3) ORDER BY seq"; /* NEW, GROWING, LEAVING */

	return walk(db, db_start(db, sql, DB_NONE), 0, fn, arg, NULL, e);
}
