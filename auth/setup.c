/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/setup.h"

#include <errno.h>
#include <string.h>

#include "auth/db.h"
#include "base/err.h"

int setup_row_put(struct db *db, const struct setup_row *row, struct err *e)
{
	static const char sql[] = "INSERT OR REPLACE INTO setup (vm, recipe, packages, script, state, step, run, boot, code, signal, reason, log,"
				  " began_s, ended_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

	return db_run(db, sql, "note what is to be done in the machine", e,
		      DB_VALUES(DB_BLOB(row->vm, sizeof(row->vm)), DB_TEXT(row->recipe), DB_TEXT(row->packages), DB_TEXT(row->script),
				DB_INT(row->state), DB_INT(row->step), DB_BLOB(row->run, sizeof(row->run)),
				DB_BLOB(row->boot, sizeof(row->boot)), DB_INT(row->code), DB_INT(row->signal), DB_TEXT(row->reason),
				DB_TEXT(row->log), DB_INT(row->began_s), DB_INT(row->ended_s)));
}

static int read_row(struct db_row *from, struct setup_row *row)
{
	int r = db_text(from, 0, row->recipe, sizeof(row->recipe));

	r = r < 0 ? r : db_text(from, 1, row->packages, sizeof(row->packages));
	r = r < 0 ? r : db_text(from, 2, row->script, sizeof(row->script));
	row->state = (int)db_int(from, 3);
	row->step = (int)db_int(from, 4);
	r = r < 0 ? r : db_blob(from, 5, row->run, sizeof(row->run));
	r = r < 0 ? r : db_blob(from, 6, row->boot, sizeof(row->boot));
	row->code = (int)db_int(from, 7);
	row->signal = (int)db_int(from, 8);
	r = r < 0 ? r : db_text(from, 9, row->reason, sizeof(row->reason));
	r = r < 0 ? r : db_text(from, 10, row->log, sizeof(row->log));
	row->began_s = db_int(from, 11);
	row->ended_s = db_int(from, 12);
	return r;
}

int setup_row_get(struct db *db, const uint8_t vm[16], struct setup_row *out, struct err *e)
{
	static const char sql[] = "SELECT recipe, packages, script, state, step, run, boot, code, signal, reason, log, began_s, ended_s"
				  " FROM setup WHERE vm = ?1";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_BLOB(vm, 16)));
	int r = db_step(db, row, "look what is to be done in the machine", e);

	if (r <= 0)
		return r;
	memset(out, 0, sizeof(*out));
	memcpy(out->vm, vm, sizeof(out->vm));
	r = read_row(row, out);
	db_end(row);
	return r < 0 ? err_set(e, -EBADMSG, "the database holds a bad list of what is to be done in a machine") : 1;
}
