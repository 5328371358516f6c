/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_AUDIT_H
#define AUTH_AUDIT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct audit;
struct db;
struct err;

/*
 * The audit log: rows are only ever added. Each holds the SHA-256 of itself together with the hash before it, so a row that is changed, taken out or put in
 * between breaks the chain from there on; the head kept beside the table tells when the end is missing. Somebody who can write the database can
 * also compute a new chain: against that, the head goes to the system log once an hour, and `terrarium audit verify --head` compares.
 */
#define AUDIT_HASH_BYTES  32
#define AUDIT_ACTION_BYTES 48
#define AUDIT_TEXT_BYTES  512

#define AUDIT_SCHEMA \
	"CREATE TABLE audit (" \
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL," \
	"  actor TEXT NOT NULL, address TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL," \
	"  before TEXT NOT NULL, after TEXT NOT NULL, detail TEXT NOT NULL," \
	"  hash BLOB NOT NULL CHECK (length(hash) = 32)) STRICT;" \
	"CREATE INDEX audit_actor ON audit (actor, id);" \
	"CREATE INDEX audit_object ON audit (object, id);" \
	"CREATE TABLE audit_head (one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL," \
	"  hash BLOB NOT NULL CHECK (length(hash) = 32)) STRICT;" \
	"INSERT INTO audit_head VALUES (1, 0, zeroblob(32));"

/**
 * struct audit_event - one row; NULL is the empty text
 * @actor:   who did it: an e-mail, or "config", "file", "system"
 * @address: where from, as text
 * @action:  such as "sign_in", "sign_in.refused", "rule.put", "terminal.open"
 * @object:  what it was done to: a pattern, an e-mail, a machine
 * @before, @after: JSON of what changed; borrowed
 */
struct audit_event {
	const char *actor, *address, *action, *object, *detail;
	const json_t *before, *after;
};

/** audit_open() - read the head. Borrowed: db */
int audit_open(struct audit **out, struct db *db, struct err *e);
struct audit *audit_close(struct audit *a);

/** audit_add() - append a row; inside the caller's transaction when there is one, so that change and row stand or fall together */
int audit_add(struct audit *a, const struct audit_event *ev, int64_t now_ms, struct err *e);

/** audit_rolled_back() - the caller's transaction was rolled back: read the head again */
int audit_rolled_back(struct audit *a, struct err *e);

/**
 * struct audit_query - what to list, newest first; NULL or 0 = any
 * @action: exact, or a prefix that ends in '.'
 * @below:  only ids below this one: the cursor
 */
struct audit_query {
	const char *actor, *action, *object;
	int64_t since_ms, until_ms, below;
	int64_t limit;
};

/** audit_list() - Return: 0 with @items (new reference to an array) and @next (0 at the end), or negative with @e */
int audit_list(struct audit *a, const struct audit_query *q, json_t **items, int64_t *next, struct err *e);

/**
 * struct audit_state - outcome of a check
 * @rows: checked; @bad: id of the first row that does not fit, 0 = none; @head: hash of the last row
 */
struct audit_state {
	int64_t rows, bad;
	uint8_t head[AUDIT_HASH_BYTES];
	char why[128];
};

/** audit_verify() - walk the whole chain. Return: 0 (look at @st->bad), or negative with @e */
int audit_verify(struct db *db, struct audit_state *st, struct err *e);

/** audit_head() - hash of the newest row */
const uint8_t *audit_head(const struct audit *a, int64_t *id);

#endif
