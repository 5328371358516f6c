/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/prefs.h"

#include <errno.h>
#include <string.h>

#include "auth/db.h"
#include "base/err.h"

int prefs_get(struct db *db, int64_t person, char *out, struct err *e)
{
	static const char sql[] = "SELECT text FROM prefs WHERE person = ?1";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_INT(person)));
	int r = db_step(db, row, "read the preferences", e);

	out[0] = '\0';
	if (r <= 0)
		return r;
	r = db_text(row, 0, out, PREFS_MAX + 1);
	db_end(row);
	return r < 0 ? err_set(e, r, "the database holds preferences that are too long") : 0;
}

int prefs_put(struct db *db, int64_t person, const char *text, int64_t now_s, struct err *e)
{
	static const char sql[] = "INSERT INTO prefs (person, text, changed_s) VALUES (?1, ?2, ?3)"
				  " ON CONFLICT (person) DO UPDATE SET text = ?2, changed_s = ?3";

	if (strlen(text) > PREFS_MAX)
		return err_set(e, -E2BIG, "preferences may have %d bytes", PREFS_MAX);
	return db_run(db, sql, "keep the preferences", e,
		      DB_VALUES(DB_INT(person), DB_TEXT(text), DB_INT(now_s)));
}
