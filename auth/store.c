/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/audit.h"
#include "auth/db.h"
#include "auth/disk.h"
#include "auth/invite.h"
#include "auth/prefs.h"
#include "auth/recording.h"
#include "auth/rulebook.h"
#include "auth/setup.h"
#include "auth/share.h"
#include "auth/token.h"
#include "base/err.h"

static const char *const migrations[] = {
	"CREATE TABLE person ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  issuer TEXT NOT NULL, subject TEXT NOT NULL, email TEXT NOT NULL,"
	"  created_s INTEGER NOT NULL, seen_s INTEGER NOT NULL,"
	"  UNIQUE (issuer, subject)) STRICT;"
	"CREATE TABLE session ("
	"  hash BLOB PRIMARY KEY CHECK (length(hash) = 32),"
	"  person INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,"
	"  created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX session_expires ON session (expires_s);"
	"CREATE TABLE vm ("
	"  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),"
	"  owner INTEGER NOT NULL REFERENCES person (id),"
	"  created_s INTEGER NOT NULL, spec TEXT NOT NULL, key TEXT NOT NULL) STRICT;",
	AUDIT_SCHEMA,
	RULEBOOK_SCHEMA,
	"ALTER TABLE person ADD COLUMN rebind INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX person_email ON person (email);"
	"CREATE INDEX session_person ON session (person);"
	"CREATE INDEX vm_owner ON vm (owner);",
	TOKEN_SCHEMA,
	INVITE_SCHEMA,
	PREFS_SCHEMA,
	SHARE_SCHEMA,
	"ALTER TABLE vm ADD COLUMN boot BLOB NOT NULL DEFAULT x'00000000000000000000000000000000';"
	"CREATE TABLE shell ("
	"  id BLOB PRIMARY KEY CHECK (length(id) = 8),"
	"  vm BLOB NOT NULL REFERENCES vm (id) ON DELETE CASCADE,"
	"  created_s INTEGER NOT NULL, position INTEGER NOT NULL, state INTEGER NOT NULL, code INTEGER NOT NULL,"
	"  signal INTEGER NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX shell_vm ON shell (vm);",
	RECORDING_SCHEMA,
	"ALTER TABLE shell ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;",
	"ALTER TABLE shell ADD COLUMN command INTEGER NOT NULL DEFAULT 0;",
	"ALTER TABLE vm ADD COLUMN rest INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vm ADD COLUMN reason TEXT NOT NULL DEFAULT '';",
	SETUP_SCHEMA,
	DISK_SCHEMA,
};


struct store {
	struct db *db; /* owned */
};

int store_open(struct store **out, const char *path, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	int r = s ? db_open(&s->db, path, migrations, (int)(sizeof(migrations) / sizeof(migrations[0])), e) : -ENOMEM;

	if (r < 0) {
		free(s);
		return r;
	}
	*out = s;
	return 0;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	db_close(s->db);
	free(s);
	return NULL;
}

struct db *store_db(struct store *s)
{
	return s->db;
}

int store_person_seen(struct store *s, const char *issuer, const char *subject, const char *email, int64_t now_s, int64_t *person,
		      struct err *e)
{
	static const char sql[] = "INSERT INTO person (issuer, subject, email, created_s, seen_s) VALUES (?1, ?2, ?3, ?4, ?4)"
				  " ON CONFLICT (issuer, subject) DO UPDATE SET email = ?3, seen_s = ?4 RETURNING id";
	struct db_row *row = db_start(s->db, sql, DB_VALUES(DB_TEXT(issuer), DB_TEXT(subject), DB_TEXT(email), DB_INT(now_s)));
	int r = db_step(s->db, row, "note the person", e);
	int64_t id;

	if (r <= 0)
		return r;
	id = db_int(row, 0);
	/* The insert is committed by the step that ends it. */
	r = db_step(s->db, row, "note the person", e);
	if (r == 0)
		*person = id;
	return r;
}

int store_person_email(struct store *s, int64_t person, char email[EMAIL_BYTES], struct err *e)
{
	static const char sql[] = "SELECT email FROM person WHERE id = ?1";
	struct db_row *row = db_start(s->db, sql, DB_VALUES(DB_INT(person)));
	int r = db_step(s->db, row, "look for the person", e);

	if (r <= 0)
		return r == 0 ? STORE_E_NONE : r;
	r = db_text(row, 0, email, EMAIL_BYTES);
	db_end(row);
	return r < 0 ? err_set(e, r, "the database holds a bad address") : 0;
}

static int read_person(struct db_row *row, struct person_row *p)
{
	p->id = db_int(row, 0);
	p->created_s = db_int(row, 4);
	p->seen_s = db_int(row, 5);
	p->rebind = db_int(row, 6) != 0;
	return db_text(row, 1, p->issuer, sizeof(p->issuer)) < 0 || db_text(row, 2, p->subject, sizeof(p->subject)) < 0 ||
			       db_text(row, 3, p->email, sizeof(p->email)) < 0 ?
		       -EBADMSG :
		       0;
}

static int one_person(struct store *s, struct db_row *row, struct person_row *out, struct err *e)
{
	int r = db_step(s->db, row, "look for the person", e);

	if (r <= 0)
		return r == 0 ? STORE_E_NONE : r;
	r = read_person(row, out);
	db_end(row);
	return r < 0 ? err_set(e, r, "the database holds a bad person") : 0;
}

int store_person_by_email(struct store *s, const char *email, struct person_row *out, struct err *e)
{
	static const char sql[] = "SELECT id, issuer, subject, email, created_s, seen_s, rebind FROM person WHERE email = ?1"
				  " ORDER BY seen_s DESC, id DESC LIMIT 1";

	return one_person(s, db_start(s->db, sql, DB_VALUES(DB_TEXT(email))), out, e);
}

int store_person_by_account(struct store *s, const char *issuer, const char *subject, struct person_row *out, struct err *e)
{
	static const char sql[] = "SELECT id, issuer, subject, email, created_s, seen_s, rebind FROM person WHERE issuer = ?1 AND subject = ?2";

	return one_person(s, db_start(s->db, sql, DB_VALUES(DB_TEXT(issuer), DB_TEXT(subject))), out, e);
}

int store_person_each(struct store *s, int (*fn)(void *arg, int64_t person, const char *email), void *arg, struct err *e)
{
	static const char sql[] = "SELECT id, email FROM person p WHERE id > ?1 AND (EXISTS (SELECT 1 FROM session WHERE person = p.id)"
				  " OR EXISTS (SELECT 1 FROM token WHERE person = p.id) OR EXISTS (SELECT 1 FROM vm WHERE owner = p.id)) ORDER BY id LIMIT 1";
	char email[EMAIL_BYTES];
	int64_t at = 0;
	int r;

	/* One row at a time: @fn may change the tables. */
	for (;;) {
		struct db_row *row = db_start(s->db, sql, DB_VALUES(DB_INT(at)));

		r = db_step(s->db, row, "look at the people", e);
		if (r <= 0)
			return r;
		at = db_int(row, 0);
		r = db_text(row, 1, email, sizeof(email));
		db_end(row);
		if (r < 0)
			return err_set(e, r, "the database holds a bad address");
		r = fn(arg, at, email);
		if (r != 0)
			return r;
	}
}

int store_person_list(struct store *s, const char *search, const char *after, int64_t limit,
		      int (*fn)(void *arg, const struct person_row *p, int64_t sessions, int64_t machines), void *arg, bool *more, struct err *e)
{
	static const char sql[] = "SELECT id, issuer, subject, email, created_s, seen_s, rebind,"
				  " (SELECT count(*) FROM session WHERE person = p.id), (SELECT count(*) FROM vm WHERE owner = p.id)"
				  " FROM person p WHERE email > ?1 AND instr(email, lower(?2)) > 0 ORDER BY email, id LIMIT ?3";
	struct db_row *row = db_start(s->db, sql, DB_VALUES(DB_TEXT(after), DB_TEXT(search), DB_INT(limit + 1)));
	struct person_row p;
	int64_t n = 0;
	int r;

	*more = false;
	while ((r = db_step(s->db, row, "list the people", e)) > 0) {
		if (n++ == limit) {
			*more = true;
			r = 0;
			break;
		}
		r = read_person(row, &p);
		if (r == 0)
			r = fn(arg, &p, db_int(row, 7), db_int(row, 8));
		else
			err_set(e, r, "the database holds a bad person");
		if (r != 0)
			break;
	}
	db_end(row);
	return r;
}

int store_person_rebind(struct store *s, int64_t person, const char *issuer, const char *subject, struct err *e)
{
	static const char sql[] = "UPDATE person SET issuer = ?2, subject = ?3, rebind = 0 WHERE id = ?1";
	int r = db_run(s->db, sql, "bind the account", e, DB_VALUES(DB_INT(person), DB_TEXT(issuer), DB_TEXT(subject)));

	return r == -EEXIST && db_unique(s->db) ? STORE_E_EXISTS : r;
}

int store_person_allow_rebind(struct store *s, const char *email, struct err *e)
{
	static const char sql[] = "UPDATE person SET rebind = 1 WHERE email = ?1";
	int r = db_run(s->db, sql, "let the account be bound anew", e, DB_VALUES(DB_TEXT(email)));

	return r == 0 && db_changes(s->db) == 0 ? STORE_E_NONE : r;
}

int store_session_put(struct store *s, const struct who *who, int64_t now_s, struct err *e)
{
	static const char sql[] = "INSERT INTO session (hash, person, created_s, expires_s) VALUES (?1, ?2, ?3, ?4)";

	return db_run(s->db, sql, "keep the session", e,
		      DB_VALUES(DB_BLOB(who->session_hash, SESSION_HASH_BYTES), DB_INT(who->person), DB_INT(now_s), DB_INT(who->expires_at)));
}

int store_session_get(struct store *s, const uint8_t hash[SESSION_HASH_BYTES], int64_t now_s, struct who *out, struct err *e)
{
	static const char sql[] = "SELECT s.person, s.expires_s, p.email FROM session s JOIN person p ON p.id = s.person"
				  " WHERE s.hash = ?1 AND s.expires_s > ?2";
	struct db_row *row = db_start(s->db, sql, DB_VALUES(DB_BLOB(hash, SESSION_HASH_BYTES), DB_INT(now_s)));
	struct who who = { 0 };
	int r = db_step(s->db, row, "look for the session", e);

	if (r <= 0)
		return r == 0 ? STORE_E_NONE : r;
	who.person = db_int(row, 0);
	who.expires_at = db_int(row, 1);
	memcpy(who.session_hash, hash, SESSION_HASH_BYTES);
	r = db_text(row, 2, who.email, sizeof(who.email));
	db_end(row);
	if (r < 0)
		return err_set(e, r, "the database holds a bad address");
	*out = who;
	return 0;
}

int store_session_drop(struct store *s, const uint8_t hash[SESSION_HASH_BYTES], struct err *e)
{
	static const char sql[] = "DELETE FROM session WHERE hash = ?1";

	return db_run(s->db, sql, "end the session", e, DB_VALUES(DB_BLOB(hash, SESSION_HASH_BYTES)));
}

int store_session_drop_email(struct store *s, const char *email, struct err *e)
{
	static const char sql[] = "DELETE FROM session WHERE person IN (SELECT id FROM person WHERE email = ?1)";

	return db_run(s->db, sql, "end the sessions", e, DB_VALUES(DB_TEXT(email)));
}

int store_session_purge(struct store *s, int64_t now_s, struct err *e)
{
	static const char sql[] = "DELETE FROM session WHERE expires_s <= ?1";

	return db_run(s->db, sql, "drop expired sessions", e, DB_VALUES(DB_INT(now_s)));
}

int store_vm_put(struct store *s, const struct vm_row *row, struct err *e)
{
	static const char sql[] = "INSERT INTO vm (id, owner, created_s, spec, key) VALUES (?1, ?2, ?3, ?4, ?5)";
	int r = db_run(s->db, sql, "keep the machine", e,
		       DB_VALUES(DB_BLOB(row->id, sizeof(row->id)), DB_INT(row->owner), DB_INT(row->created_s), DB_TEXT(row->spec),
				 DB_TEXT(row->key)));

	return r == -EEXIST && db_unique(s->db) ? STORE_E_EXISTS : r;
}

int store_vm_spec(struct store *s, const uint8_t id[16], const char *spec, struct err *e)
{
	static const char sql[] = "UPDATE vm SET spec = ?2 WHERE id = ?1";
	int r = db_run(s->db, sql, "note the machine's size", e, DB_VALUES(DB_BLOB(id, 16), DB_TEXT(spec)));

	return r == 0 && db_changes(s->db) == 0 ? STORE_E_NONE : r;
}

int store_vm_rest(struct store *s, const uint8_t id[16], enum vm_rest rest, const char *reason, struct err *e)
{
	static const char sql[] = "UPDATE vm SET rest = ?2, reason = ?3 WHERE id = ?1";
	int r = db_run(s->db, sql, "note how the machine is", e, DB_VALUES(DB_BLOB(id, 16), DB_INT(rest), DB_TEXT(reason)));

	return r == 0 && db_changes(s->db) == 0 ? STORE_E_NONE : r;
}

int store_vm_drop(struct store *s, const uint8_t id[16], struct err *e)
{
	static const char sql[] = "DELETE FROM vm WHERE id = ?1";
	int r = db_run(s->db, sql, "forget the machine", e, DB_VALUES(DB_BLOB(id, 16)));

	return r == 0 && db_changes(s->db) == 0 ? STORE_E_NONE : r;
}

static int read_vm(struct db_row *from, struct vm_row *row)
{
	int r;

	memset(row, 0, sizeof(*row));
	r = db_blob(from, 0, row->id, sizeof(row->id));
	row->owner = db_int(from, 1);
	row->created_s = db_int(from, 2);
	r = r < 0 ? r : db_text(from, 3, row->spec, sizeof(row->spec));
	r = r < 0 ? r : db_text(from, 4, row->key, sizeof(row->key));
	row->rest = (enum vm_rest)db_int(from, 5);
	return r < 0 ? r : db_text(from, 6, row->reason, sizeof(row->reason));
}

int store_vm_each(struct store *s, int (*fn)(void *arg, const struct vm_row *row), void *arg, struct err *e)
{
	static const char sql[] = "SELECT id, owner, created_s, spec, key, rest, reason FROM vm ORDER BY seq";
	struct db_row *from = db_start(s->db, sql, DB_NONE);
	struct vm_row row;
	int r;

	while ((r = db_step(s->db, from, "read the machines", e)) > 0) {
		if (read_vm(from, &row) < 0)
			r = err_set(e, -EBADMSG, "the database holds a bad machine");
		else
			r = fn(arg, &row);
		if (r != 0) {
			db_end(from);
			return r;
		}
	}
	return r;
}

int store_vm_boot(struct store *s, const uint8_t vm[16], uint8_t boot[16], struct err *e)
{
	static const char sql[] = "SELECT boot FROM vm WHERE id = ?1";
	struct db_row *row = db_start(s->db, sql, DB_VALUES(DB_BLOB(vm, 16)));
	int r = db_step(s->db, row, "look for the machine", e);

	if (r <= 0)
		return r == 0 ? STORE_E_NONE : r;
	r = db_blob(row, 0, boot, 16);
	db_end(row);
	return r < 0 ? err_set(e, r, "the database holds a bad machine") : 0;
}

int store_vm_set_boot(struct store *s, const uint8_t vm[16], const uint8_t boot[16], struct err *e)
{
	static const char sql[] = "UPDATE vm SET boot = ?2 WHERE id = ?1";

	return db_run(s->db, sql, "note the guest", e, DB_VALUES(DB_BLOB(vm, 16), DB_BLOB(boot, 16)));
}

int store_shell_put(struct store *s, const struct shell_row *row, struct err *e)
{
	static const char sql[] = "INSERT OR REPLACE INTO shell (id, vm, created_s, position, state, code, signal, name, reason, sealed, command)"
				  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

	return db_run(s->db, sql, "keep the shell", e,
		      DB_VALUES(DB_BLOB(row->id, sizeof(row->id)), DB_BLOB(row->vm, sizeof(row->vm)), DB_INT(row->created_s),
				DB_INT(row->position), DB_INT(row->state), DB_INT(row->code), DB_INT(row->signal), DB_TEXT(row->name),
				DB_TEXT(row->reason), DB_INT(row->sealed), DB_INT(row->command)));
}

int store_shell_drop(struct store *s, const uint8_t vm[16], const uint8_t id[8], struct err *e)
{
	static const char sql[] = "DELETE FROM shell WHERE vm = ?1 AND id = ?2";

	return db_run(s->db, sql, "forget the shell", e, DB_VALUES(DB_BLOB(vm, 16), DB_BLOB(id, 8)));
}

static int read_shell(struct db_row *from, struct shell_row *row)
{
	int64_t state = db_int(from, 4);

	memset(row, 0, sizeof(*row));
	row->created_s = db_int(from, 2);
	row->position = (uint32_t)db_int(from, 3);
	row->state = state == SHELL_OPEN || state == SHELL_EXITED ? (enum shell_state)state : SHELL_LOST;
	row->code = (int)db_int(from, 5);
	row->signal = (int)db_int(from, 6);
	row->sealed = db_int(from, 9) != 0;
	row->command = db_int(from, 10) != 0;
	return db_blob(from, 0, row->id, sizeof(row->id)) < 0 || db_blob(from, 1, row->vm, sizeof(row->vm)) < 0 ||
			       db_text(from, 7, row->name, sizeof(row->name)) < 0 || db_text(from, 8, row->reason, sizeof(row->reason)) < 0 ?
		       -EBADMSG :
		       0;
}

int store_shell_each(struct store *s, const uint8_t vm[16], int (*fn)(void *arg, const struct shell_row *row), void *arg, struct err *e)
{
	static const char sql[] = "SELECT id, vm, created_s, position, state, code, signal, name, reason, sealed, command FROM shell WHERE vm = ?1"
				  " AND (position, id) > (?2, ?3) ORDER BY position, id LIMIT 1";
	struct shell_row at = { 0 };
	int64_t position = -1;

	/* One row at a time: @fn may change the table. */
	for (;;) {
		struct db_row *row = db_start(s->db, sql, DB_VALUES(DB_BLOB(vm, 16), DB_INT(position), DB_BLOB(at.id, sizeof(at.id))));
		int r = db_step(s->db, row, "read the shells", e);

		if (r <= 0)
			return r;
		r = read_shell(row, &at);
		db_end(row);
		if (r < 0)
			return err_set(e, r, "the database holds a bad shell");
		position = at.position;
		r = fn(arg, &at);
		if (r != 0)
			return r;
	}
}

int store_writable(struct store *s, struct err *e)
{
	return db_writable(s->db, e);
}
