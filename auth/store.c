/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/err.h"
#include "base/fd.h"

/*
 * Theory of operation
 *
 * Every statement is prepared once, at opening, in the table below; a call binds, steps and resets. One thread uses the database, so
 * SQLite's own locks are off. WAL with synchronous=NORMAL survives the death of the process without loss and the death of the machine
 * without corruption; losing the last sign-in to a power cut is acceptable, 3 ms for every write is not.
 *
 * The schema is the list of migrations: entry n brings a database of version n to n+1, in one transaction with the new user_version. A
 * newer database is refused, for an older program would not know what it breaks.
 */
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
};

#define VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))
#define BUSY_MS 200

enum statement {
	PERSON_SEEN, PERSON_EMAIL, SESSION_PUT, SESSION_GET, SESSION_DROP, SESSION_PURGE, VM_PUT, VM_DROP, VM_EACH, STATEMENT_COUNT,
};

static const char *const sql[] = {
	[PERSON_SEEN] = "INSERT INTO person (issuer, subject, email, created_s, seen_s) VALUES (?1, ?2, ?3, ?4, ?4)"
			" ON CONFLICT (issuer, subject) DO UPDATE SET email = ?3, seen_s = ?4 RETURNING id",
	[PERSON_EMAIL] = "SELECT email FROM person WHERE id = ?1",
	[SESSION_PUT] = "INSERT INTO session (hash, person, created_s, expires_s) VALUES (?1, ?2, ?3, ?4)",
	[SESSION_GET] = "SELECT s.person, s.expires_s, p.email FROM session s JOIN person p ON p.id = s.person"
			" WHERE s.hash = ?1 AND s.expires_s > ?2",
	[SESSION_DROP] = "DELETE FROM session WHERE hash = ?1",
	[SESSION_PURGE] = "DELETE FROM session WHERE expires_s <= ?1",
	[VM_PUT] = "INSERT INTO vm (id, owner, created_s, spec, key) VALUES (?1, ?2, ?3, ?4, ?5)",
	[VM_DROP] = "DELETE FROM vm WHERE id = ?1",
	[VM_EACH] = "SELECT id, owner, created_s, spec, key FROM vm ORDER BY seq",
};

_Static_assert(sizeof(sql) / sizeof(sql[0]) == STATEMENT_COUNT, "every statement has its text");

struct store {
	sqlite3 *db;
	sqlite3_stmt *st[STATEMENT_COUNT];
};

static int to_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		return -EACCES;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	default:
		return -EIO;
	}
}

static int fail(const struct store *s, int rc, const char *what, struct err *e)
{
	int code = to_errno(rc);

	return err_set(e, code, "cannot %s: %s%s", what, s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc),
		       code == -ENOSPC ? "; free some space" : "");
}

static int run(const struct store *s, const char *text, const char *what, struct err *e)
{
	int rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(s, rc, what, e);
}

/* A statement ready to bind; the one before it is over by now. */
static sqlite3_stmt *begin(struct store *s, enum statement which)
{
	sqlite3_stmt *st = s->st[which];

	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return st;
}

/* Run to the end a statement that gives no rows; how many rows it changed is sqlite3_changes(). */
static int finish(struct store *s, sqlite3_stmt *st, const char *what, struct err *e)
{
	int rc = sqlite3_step(st), r = rc == SQLITE_DONE ? 0 : fail(s, rc, what, e);

	(void)sqlite3_reset(st);
	return r;
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	(void)sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *st, int at, const uint8_t *data, int len)
{
	(void)sqlite3_bind_blob(st, at, data, len, SQLITE_STATIC);
}

/* Copy a column's text; what does not fit was not written by this program. */
static int column_text(sqlite3_stmt *st, int at, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(st, at);
	size_t len = (size_t)sqlite3_column_bytes(st, at);

	if (!text || len >= size)
		return -EBADMSG;
	memcpy(out, text, len);
	out[len] = '\0';
	return 0;
}

static int user_version(const struct store *s, int *out, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : fail(s, rc, "read the database", e);
}

static int migrate(const struct store *s, struct err *e)
{
	int at = 0, r = user_version(s, &at, e);

	if (r < 0)
		return r;
	if (at > VERSION)
		return err_set(e, -ENOTSUP, "the database has version %d, this program knows %d: use the newer program", at, VERSION);
	for (; at < VERSION; at++) {
		char *text = sqlite3_mprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;", migrations[at], at + 1);

		if (!text)
			return err_set(e, -ENOMEM, "no memory to set up the database");
		r = run(s, text, "set up the database", e);
		sqlite3_free(text);
		if (r < 0) {
			(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
			return r;
		}
	}
	return 0;
}

static int configure(const struct store *s, struct err *e)
{
	(void)sqlite3_busy_timeout(s->db, BUSY_MS);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DML, 0, (int *)NULL);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)NULL);
	return run(s,
		   "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;"
		   "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
		   "configure the database", e);
}

static int prepare(struct store *s, struct err *e)
{
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		int rc = sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL);

		if (rc != SQLITE_OK)
			return fail(s, rc, "prepare the database", e);
	}
	return 0;
}

/* Created by us first: SQLite would leave the mode to the umask. Its -wal and -shm copy the mode of the file. */
static int create_file(const char *path, struct err *e)
{
	_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_set(e, -errno, "cannot open the database %s: %s", path, strerror(errno));
	if (fchmod(fd, 0600) < 0)
		return err_set(e, -errno, "cannot make the database %s private: %s", path, strerror(errno));
	return 0;
}

int store_open(struct store **out, const char *path, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	int rc, r = s ? create_file(path, e) : err_set(e, -ENOMEM, "no memory for the database");

	if (r == 0) {
		rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
		if (rc != SQLITE_OK)
			r = fail(s, rc, "open the database", e);
	}
	if (r == 0)
		r = configure(s, e);
	if (r == 0)
		r = migrate(s, e);
	if (r == 0)
		r = prepare(s, e);
	if (r == 0)
		r = store_writable(s, e);
	if (r < 0) {
		err_prefix(e, "%s", path);
		(void)store_close(s);
		return r;
	}
	*out = s;
	return 0;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	for (int i = 0; i < STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(s->st[i]);
	(void)sqlite3_close(s->db);
	free(s);
	return NULL;
}

int store_person_seen(struct store *s, const char *issuer, const char *subject, const char *email, int64_t now_s, int64_t *person,
		      struct err *e)
{
	sqlite3_stmt *st = begin(s, PERSON_SEEN);
	int rc, r = 0;

	bind_text(st, 1, issuer);
	bind_text(st, 2, subject);
	bind_text(st, 3, email);
	(void)sqlite3_bind_int64(st, 4, now_s);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		int64_t id = sqlite3_column_int64(st, 0);

		/* The insert is committed by the step that ends it. */
		rc = sqlite3_step(st);
		if (rc == SQLITE_DONE)
			*person = id;
	}
	if (rc != SQLITE_DONE)
		r = fail(s, rc, "note the person", e);
	(void)sqlite3_reset(st);
	return r;
}

int store_person_email(struct store *s, int64_t person, char email[EMAIL_BYTES], struct err *e)
{
	sqlite3_stmt *st = begin(s, PERSON_EMAIL);
	int rc, r;

	(void)sqlite3_bind_int64(st, 1, person);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		r = column_text(st, 0, email, EMAIL_BYTES) < 0 ? err_set(e, -EBADMSG, "the database holds a bad address") : 0;
	else
		r = rc == SQLITE_DONE ? STORE_E_NONE : fail(s, rc, "look for the person", e);
	(void)sqlite3_reset(st);
	return r;
}

int store_session_put(struct store *s, const struct who *who, int64_t now_s, struct err *e)
{
	sqlite3_stmt *st = begin(s, SESSION_PUT);

	bind_blob(st, 1, who->session_hash, SESSION_HASH_BYTES);
	(void)sqlite3_bind_int64(st, 2, who->person);
	(void)sqlite3_bind_int64(st, 3, now_s);
	(void)sqlite3_bind_int64(st, 4, who->expires_at);
	return finish(s, st, "keep the session", e);
}

int store_session_get(struct store *s, const uint8_t hash[SESSION_HASH_BYTES], int64_t now_s, struct who *out, struct err *e)
{
	sqlite3_stmt *st = begin(s, SESSION_GET);
	struct who who = { 0 };
	int rc, r = 0;

	bind_blob(st, 1, hash, SESSION_HASH_BYTES);
	(void)sqlite3_bind_int64(st, 2, now_s);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		who.person = sqlite3_column_int64(st, 0);
		who.expires_at = sqlite3_column_int64(st, 1);
		memcpy(who.session_hash, hash, SESSION_HASH_BYTES);
		if (column_text(st, 2, who.email, sizeof(who.email)) < 0)
			r = err_set(e, -EBADMSG, "the database holds a bad address");
		else
			*out = who;
	} else {
		r = rc == SQLITE_DONE ? STORE_E_NONE : fail(s, rc, "look for the session", e);
	}
	(void)sqlite3_reset(st);
	return r;
}

int store_session_drop(struct store *s, const uint8_t hash[SESSION_HASH_BYTES], struct err *e)
{
	sqlite3_stmt *st = begin(s, SESSION_DROP);

	bind_blob(st, 1, hash, SESSION_HASH_BYTES);
	return finish(s, st, "end the session", e);
}

int store_session_purge(struct store *s, int64_t now_s, struct err *e)
{
	sqlite3_stmt *st = begin(s, SESSION_PURGE);

	(void)sqlite3_bind_int64(st, 1, now_s);
	return finish(s, st, "drop expired sessions", e);
}

int store_vm_put(struct store *s, const struct vm_row *row, struct err *e)
{
	sqlite3_stmt *st = begin(s, VM_PUT);
	int r;

	bind_blob(st, 1, row->id, sizeof(row->id));
	(void)sqlite3_bind_int64(st, 2, row->owner);
	(void)sqlite3_bind_int64(st, 3, row->created_s);
	bind_text(st, 4, row->spec);
	bind_text(st, 5, row->key);
	r = finish(s, st, "keep the machine", e);
	return r == -EEXIST && sqlite3_extended_errcode(s->db) == SQLITE_CONSTRAINT_UNIQUE ? STORE_E_EXISTS : r;
}

int store_vm_drop(struct store *s, const uint8_t id[16], struct err *e)
{
	sqlite3_stmt *st = begin(s, VM_DROP);
	int r;

	bind_blob(st, 1, id, 16);
	r = finish(s, st, "forget the machine", e);
	return r == 0 && sqlite3_changes(s->db) == 0 ? STORE_E_NONE : r;
}

static int read_vm(sqlite3_stmt *st, struct vm_row *row)
{
	memset(row, 0, sizeof(*row));
	if (sqlite3_column_bytes(st, 0) != (int)sizeof(row->id))
		return -EBADMSG;
	memcpy(row->id, sqlite3_column_blob(st, 0), sizeof(row->id));
	row->owner = sqlite3_column_int64(st, 1);
	row->created_s = sqlite3_column_int64(st, 2);
	if (column_text(st, 3, row->spec, sizeof(row->spec)) < 0)
		return -EBADMSG;
	return column_text(st, 4, row->key, sizeof(row->key));
}

int store_vm_each(struct store *s, int (*fn)(void *arg, const struct vm_row *row), void *arg, struct err *e)
{
	sqlite3_stmt *st = begin(s, VM_EACH);
	struct vm_row row;
	int rc, r = 0;

	while (r == 0 && (rc = sqlite3_step(st)) != SQLITE_DONE) {
		if (rc != SQLITE_ROW)
			r = fail(s, rc, "read the machines", e);
		else if (read_vm(st, &row) < 0)
			r = err_set(e, -EBADMSG, "the database holds a bad machine");
		else
			r = fn(arg, &row);
	}
	(void)sqlite3_reset(st);
	return r;
}

int store_writable(struct store *s, struct err *e)
{
	/* Only a commit meets the disk: setting the version to what it is writes one page. */
	char text[48];

	(void)sqlite3_snprintf(sizeof(text), text, "PRAGMA user_version = %d", VERSION);
	return run(s, text, "write the database", e);
}
