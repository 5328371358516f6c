/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_DB_H
#define AUTH_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct db_row;
struct err;

/*
 * SQLite, for the modules that keep rows: auth/db.c is the only file that includes sqlite3. Calls are synchronous and short (p99 62 us
 * for a write). Results: 0, or a negative errno with @e filled: -ENOSPC disk full, -EEXIST a constraint, -EBADMSG damaged, ...
 *
 * A statement is known by the address of its text, which must be static: it is prepared when first used and kept. One value for each ?.
 */
enum db_kind { DB_KIND_INT, DB_KIND_TEXT, DB_KIND_BLOB };

struct db_value {
	enum db_kind kind;
	int64_t number;
	const void *data; /* borrowed until the statement is over */
	size_t len;
};

#define DB_INT(v)	{ .kind = DB_KIND_INT, .number = (v) }
#define DB_TEXT(s)	{ .kind = DB_KIND_TEXT, .data = (s) }
#define DB_BLOB(p, n)	{ .kind = DB_KIND_BLOB, .data = (p), .len = (n) }
/* The two last arguments of db_run() and db_start(). */
#define DB_NONE		NULL, 0
#define DB_VALUES(...)	(const struct db_value[]){ __VA_ARGS__ }, sizeof((const struct db_value[]){ __VA_ARGS__ }) / sizeof(struct db_value)

/**
 * db_open() - open or create @path (mode 0600) and bring its schema up
 * @migrations: entry n takes a database of version n to n + 1, each in a transaction; a newer database is refused
 */
int db_open(struct db **out, const char *path, const char *const *migrations, int count, struct err *e);
struct db *db_close(struct db *d);

/** db_run() - run a statement that gives no rows. @what: for the message, as in "cannot <what>" */
int db_run(struct db *d, const char *sql, const char *what, struct err *e, const struct db_value *values, size_t count);

/** db_start() - begin a statement that gives rows; follow with db_step() until it is over, or db_end(). Never NULL but without memory */
struct db_row *db_start(struct db *d, const char *sql, const struct db_value *values, size_t count);

/** db_step() - next row. Return: 1 with a row, 0 after the last (the statement is over then), negative with @e (over as well) */
int db_step(struct db *d, struct db_row *row, const char *what, struct err *e);

/** db_end() - leave a statement before its last row; fine when it is over */
void db_end(struct db_row *row);

int64_t db_int(struct db_row *row, int at);
/** db_text() - copy a text; -EBADMSG when it does not fit: this program did not write it */
int db_text(struct db_row *row, int at, char *out, size_t size);
/** db_blob() - copy a blob of exactly @len bytes, or -EBADMSG */
int db_blob(struct db_row *row, int at, uint8_t *out, size_t len);

/** db_changes() - rows that the last db_run() changed */
int64_t db_changes(const struct db *d);

/** db_unique() - the last failure was a UNIQUE constraint */
bool db_unique(const struct db *d);

enum db_safety {
	DB_NORMAL, /* survives the death of the process */
	DB_POWER,  /* survives the loss of power: a few milliseconds, for rare writes that were promised */
};

/** db_in_change() - a transaction is open */
bool db_in_change(const struct db *d);

/** db_begin(), db_commit(), db_rollback() - one transaction at a time */
int db_begin(struct db *d, enum db_safety safety, struct err *e);
int db_commit(struct db *d, struct err *e);
void db_rollback(struct db *d);

/** db_writable() - one page is really written, so that a full disk or a read-only one shows */
int db_writable(struct db *d, struct err *e);

#endif
