/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
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
 * One thread uses the database, so SQLite's own locks are off. WAL with synchronous=NORMAL survives the death of the process without loss and
 * the death of the machine without corruption; what was promised to an administrator is committed with FULL instead.
 */
#define BUSY_MS	       200
#define STATEMENTS_MAX 192

/* A struct db_row is a sqlite3_stmt; the name keeps sqlite3 out of the header. */
struct kept {
	const char *sql; /* its address is the key */
	sqlite3_stmt *st;
};

struct db {
	sqlite3 *db;
	struct kept kept[STATEMENTS_MAX];
	size_t count;
	int version;
	int prepare_rc; /* why db_start() gave NULL */
	bool full;
};

static sqlite3_stmt *stmt(struct db_row *row)
{
	return (sqlite3_stmt *)(void *)row;
}

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

/* A full disk is also an I/O error whose cause is one level deeper, or no room for the file that readers share. */
static bool is_full(const struct db *d, int rc)
{
	return (rc & 0xff) == SQLITE_IOERR && d->db &&
	       (sqlite3_system_errno(d->db) == ENOSPC || sqlite3_extended_errcode(d->db) == SQLITE_IOERR_SHMSIZE);
}

static int fail(const struct db *d, int rc, const char *what, struct err *e)
{
	int code = is_full(d, rc) ? -ENOSPC : to_errno(rc);

	return err_set(e, code, "cannot %s: %s%s", what, d->db ? sqlite3_errmsg(d->db) : sqlite3_errstr(rc),
		       code == -ENOSPC ? ": the disk is full, free some space" : "");
}

static int exec(const struct db *d, const char *text, const char *what, struct err *e)
{
	int rc = sqlite3_exec(d->db, text, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(d, rc, what, e);
}

static int user_version(const struct db *d, int *out, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(d->db, "PRAGMA user_version", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : fail(d, rc, "read the database", e);
}

static int migrate(struct db *d, const char *const *migrations, int count, struct err *e)
{
	int at = 0, r = user_version(d, &at, e);

	if (r < 0)
		return r;
	if (at > count)
		return err_set(e, -ENOTSUP, "the database has version %d, this program knows %d: use the newer program", at, count);
	for (; at < count; at++) {
		char *text = sqlite3_mprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;", migrations[at], at + 1);

		if (!text)
			return err_set(e, -ENOMEM, "no memory to set up the database");
		r = exec(d, text, "set up the database", e);
		sqlite3_free(text);
		if (r < 0) {
			(void)sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
			return r;
		}
	}
	d->version = count;
	return 0;
}

static int configure(const struct db *d, struct err *e)
{
	(void)sqlite3_busy_timeout(d->db, BUSY_MS);
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DQS_DML, 0, (int *)NULL);
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)NULL);
	return exec(d,
		    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;"
		    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
		    "configure the database", e);
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

int db_open(struct db **out, const char *path, const char *const *migrations, int count, struct err *e)
{
	struct db *d = calloc(1, sizeof(*d));
	int rc, r;

	if (!d)
		return err_set(e, -ENOMEM, "no memory for the database");
	r = create_file(path, e);
	if (r == 0) {
		rc = sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
		if (rc != SQLITE_OK)
			r = fail(d, rc, "open the database", e);
	}
	if (r == 0)
		r = configure(d, e);
	if (r == 0)
		r = migrate(d, migrations, count, e);
	if (r == 0)
		r = db_writable(d, e);
	if (r < 0) {
		err_prefix(e, "%s", path);
		(void)db_close(d);
		return r;
	}
	*out = d;
	return 0;
}

struct db *db_close(struct db *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < d->count; i++)
		(void)sqlite3_finalize(d->kept[i].st);
	(void)sqlite3_close(d->db);
	free(d);
	return NULL;
}

static sqlite3_stmt *find(struct db *d, const char *sql)
{
	struct kept *k;

	for (size_t i = 0; i < d->count; i++)
		if (d->kept[i].sql == sql)
			return d->kept[i].st;
	d->prepare_rc = SQLITE_NOMEM;
	if (d->count == STATEMENTS_MAX)
		return NULL;
	k = &d->kept[d->count];
	d->prepare_rc = sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &k->st, NULL);
	if (d->prepare_rc != SQLITE_OK)
		return NULL;
	k->sql = sql;
	d->count++;
	return k->st;
}

struct db_row *db_start(struct db *d, const char *sql, const struct db_value *values, size_t count)
{
	sqlite3_stmt *st = find(d, sql);

	if (!st)
		return NULL;
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	for (size_t i = 0; i < count; i++) {
		const struct db_value *v = &values[i];
		int at = (int)i + 1;

		if (v->kind == DB_KIND_INT)
			(void)sqlite3_bind_int64(st, at, v->number);
		else if (v->kind == DB_KIND_TEXT)
			(void)sqlite3_bind_text(st, at, v->data, -1, SQLITE_STATIC);
		else
			(void)sqlite3_bind_blob(st, at, v->data, (int)v->len, SQLITE_STATIC);
	}
	return (struct db_row *)(void *)st;
}

int db_step(struct db *d, struct db_row *row, const char *what, struct err *e)
{
	int rc = row ? sqlite3_step(stmt(row)) : d->prepare_rc, r = rc == SQLITE_DONE ? 0 : 1;

	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		r = fail(d, rc, what, e);
	db_end(row);
	return r;
}

void db_end(struct db_row *row)
{
	if (row)
		(void)sqlite3_reset(stmt(row));
}

int db_run(struct db *d, const char *sql, const char *what, struct err *e, const struct db_value *values, size_t count)
{
	struct db_row *row = db_start(d, sql, values, count);
	int r;

	while ((r = db_step(d, row, what, e)) > 0)
		;
	return r;
}

int64_t db_int(struct db_row *row, int at)
{
	return sqlite3_column_int64(stmt(row), at);
}

int db_text(struct db_row *row, int at, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(stmt(row), at);
	size_t len = (size_t)sqlite3_column_bytes(stmt(row), at);

	if (!text || len >= size)
		return -EBADMSG;
	memcpy(out, text, len);
	out[len] = '\0';
	return 0;
}

int db_blob(struct db_row *row, int at, uint8_t *out, size_t len)
{
	if (sqlite3_column_bytes(stmt(row), at) != (int)len)
		return -EBADMSG;
	if (len > 0)
		memcpy(out, sqlite3_column_blob(stmt(row), at), len);
	return 0;
}

int64_t db_changes(const struct db *d)
{
	return sqlite3_changes64(d->db);
}

bool db_unique(const struct db *d)
{
	int rc = sqlite3_extended_errcode(d->db);

	return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY;
}

bool db_in_change(const struct db *d)
{
	return !sqlite3_get_autocommit(d->db);
}

int db_begin(struct db *d, enum db_safety safety, struct err *e)
{
	int r = 0;

	/* The pragma cannot be changed inside a transaction. */
	d->full = safety == DB_POWER;
	if (d->full)
		r = exec(d, "PRAGMA synchronous = FULL", "begin a change", e);
	return r < 0 ? r : exec(d, "BEGIN IMMEDIATE", "begin a change", e);
}

static void back_to_normal(struct db *d)
{
	if (d->full)
		(void)sqlite3_exec(d->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
	d->full = false;
}

int db_commit(struct db *d, struct err *e)
{
	int r = exec(d, "COMMIT", "write the change", e);

	if (r < 0)
		db_rollback(d);
	back_to_normal(d);
	return r;
}

void db_rollback(struct db *d)
{
	if (db_in_change(d))
		(void)sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
	back_to_normal(d);
}

int db_writable(struct db *d, struct err *e)
{
	/* Only a commit meets the disk: setting the version to what it is writes one page. */
	char text[48];

	(void)sqlite3_snprintf(sizeof(text), text, "PRAGMA user_version = %d", d->version);
	return exec(d, text, "write the database", e);
}
