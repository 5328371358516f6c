/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/audit.h"

#include <errno.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/db.h"
#include "base/err.h"
#include "base/hex.h"

#define JSON_BYTES 16384 /* of a row's before or after; an import writes a row for each line instead of a larger one */

/* A row as it stands in the table. */
struct row {
	int64_t id, at_ms;
	char actor[AUDIT_TEXT_BYTES], address[64], action[AUDIT_ACTION_BYTES], object[AUDIT_TEXT_BYTES], detail[AUDIT_TEXT_BYTES];
	char before[JSON_BYTES], after[JSON_BYTES];
	uint8_t hash[AUDIT_HASH_BYTES];
};

struct audit {
	struct db *db; /* borrowed */
	int64_t id;
	uint8_t hash[AUDIT_HASH_BYTES];
	struct row row; /* the one being added: too large for a stack, too often needed for the heap */
};

static int sha256(const void *data, size_t len, uint8_t out[AUDIT_HASH_BYTES])
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	return mbedtls_sha256_ret(data, len, out, 0);
#else
	return mbedtls_sha256(data, len, out, 0);
#endif
}

/*
 * hash = SHA-256 of the JSON list [previous hash in hex, id, at_ms, actor, address, action, object, before, after, detail], compact.
 * JSON keeps "a","bc" and "ab","c" apart.
 */
static int row_hash(const struct row *r, const uint8_t previous[AUDIT_HASH_BYTES], uint8_t out[AUDIT_HASH_BYTES])
{
	char hex[2 * AUDIT_HASH_BYTES + 1];
	json_t *json;
	char *text;
	int bad;

	hex_encode(previous, AUDIT_HASH_BYTES, hex);
	json = json_pack("[s, I, I, s, s, s, s, s, s, s]", hex, (json_int_t)r->id, (json_int_t)r->at_ms, r->actor, r->address, r->action,
			 r->object, r->before, r->after, r->detail);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	bad = !text || sha256(text, strlen(text), out) != 0;
	json_decref(json);
	free(text);
	return bad ? -ENOMEM : 0;
}

static int read_head(struct db *db, int64_t *id, uint8_t hash[AUDIT_HASH_BYTES], struct err *e)
{
	static const char sql[] = "SELECT id, hash FROM audit_head";
	struct db_row *row = db_start(db, sql, DB_NONE);
	int r = db_step(db, row, "read the audit log", e);

	if (r <= 0)
		return r < 0 ? r : err_set(e, -EBADMSG, "the audit log has lost its head");
	*id = db_int(row, 0);
	r = db_blob(row, 1, hash, AUDIT_HASH_BYTES);
	db_end(row);
	return r < 0 ? err_set(e, r, "the audit log's head is damaged") : 0;
}

int audit_open(struct audit **out, struct db *db, struct err *e)
{
	struct audit *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_set(e, -ENOMEM, "out of memory");
	a->db = db;
	r = audit_rolled_back(a, e);
	if (r < 0) {
		free(a);
		return r;
	}
	*out = a;
	return 0;
}

struct audit *audit_close(struct audit *a)
{
	free(a);
	return NULL;
}

int audit_rolled_back(struct audit *a, struct err *e)
{
	return read_head(a->db, &a->id, a->hash, e);
}

const uint8_t *audit_head(const struct audit *a, int64_t *id)
{
	*id = a->id;
	return a->hash;
}

/* Text for the log: bounded, printable, and whole UTF-8, for JSON takes nothing else. */
static void put_text(char *out, size_t size, const char *text)
{
	bool ascii = true;
	json_t *whole;

	(void)snprintf(out, size, "%s", text ? text : "");
	for (char *p = out; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
		ascii = ascii && (unsigned char)*p < 0x80;
	}
	if (ascii)
		return;
	whole = json_string(out);
	for (char *p = out; !whole && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	json_decref(whole);
}

static int put_json(char out[JSON_BYTES], const json_t *json)
{
	size_t n = json ? json_dumpb(json, out, JSON_BYTES - 1, JSON_COMPACT | JSON_SORT_KEYS) : 0;

	if (n >= JSON_BYTES)
		return -EMSGSIZE;
	out[n] = '\0';
	return 0;
}

static int fill_row(struct row *row, const struct audit_event *ev)
{
	put_text(row->actor, sizeof(row->actor), ev->actor);
	put_text(row->address, sizeof(row->address), ev->address);
	put_text(row->action, sizeof(row->action), ev->action);
	put_text(row->object, sizeof(row->object), ev->object);
	put_text(row->detail, sizeof(row->detail), ev->detail);
	return put_json(row->before, ev->before) < 0 || put_json(row->after, ev->after) < 0 ? -EMSGSIZE : 0;
}

/* The row, and the head that names it. */
static int write_row(struct db *db, const struct row *row, struct err *e)
{
	static const char insert[] = "INSERT INTO audit (id, at_ms, actor, address, action, object, before, after, detail, hash)"
				     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
	static const char head[] = "UPDATE audit_head SET id = ?1, hash = ?2";
	int r = db_run(db, insert, "write the audit log", e,
		       DB_VALUES(DB_INT(row->id), DB_INT(row->at_ms), DB_TEXT(row->actor), DB_TEXT(row->address), DB_TEXT(row->action),
				 DB_TEXT(row->object), DB_TEXT(row->before), DB_TEXT(row->after), DB_TEXT(row->detail),
				 DB_BLOB(row->hash, sizeof(row->hash))));

	return r < 0 ? r : db_run(db, head, "write the audit log", e, DB_VALUES(DB_INT(row->id), DB_BLOB(row->hash, sizeof(row->hash))));
}

/* A row without its head would take the next row's id, and none could be written any more: both or neither. */
static int write_whole(struct db *db, const struct row *row, struct err *e)
{
	int r;

	if (db_in_change(db))
		return write_row(db, row, e);
	r = db_begin(db, DB_NORMAL, e);
	if (r < 0)
		return r;
	r = write_row(db, row, e);
	if (r == 0)
		return db_commit(db, e);
	db_rollback(db);
	return r;
}

int audit_add(struct audit *a, const struct audit_event *ev, int64_t now_ms, struct err *e)
{
	struct row *row = &a->row;
	int r;

	row->id = a->id + 1;
	row->at_ms = now_ms;
	if (fill_row(row, ev) < 0)
		return err_set(e, -EMSGSIZE, "too long a change for the audit log");
	if (row_hash(row, a->hash, row->hash) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	r = write_whole(a->db, row, e);
	if (r < 0)
		return r;
	a->id = row->id;
	memcpy(a->hash, row->hash, sizeof(a->hash));
	return 0;
}

static int read_row(struct db_row *from, struct row *r)
{
	r->id = db_int(from, 0);
	r->at_ms = db_int(from, 1);
	return db_text(from, 2, r->actor, sizeof(r->actor)) < 0 || db_text(from, 3, r->address, sizeof(r->address)) < 0 ||
			       db_text(from, 4, r->action, sizeof(r->action)) < 0 || db_text(from, 5, r->object, sizeof(r->object)) < 0 ||
			       db_text(from, 6, r->before, sizeof(r->before)) < 0 || db_text(from, 7, r->after, sizeof(r->after)) < 0 ||
			       db_text(from, 8, r->detail, sizeof(r->detail)) < 0 || db_blob(from, 9, r->hash, sizeof(r->hash)) < 0 ?
		       -EBADMSG :
		       0;
}

#define COLUMNS "id, at_ms, actor, address, action, object, before, after, detail, hash"

static json_t *row_json(const struct row *r)
{
	time_t t = (time_t)(r->at_ms / 1000);
	char at[48], hash[2 * AUDIT_HASH_BYTES + 1]; /* lower-case hex */
	struct tm tm;
	size_t n;
	json_t *before = r->before[0] ? json_loads(r->before, JSON_DECODE_ANY, NULL) : json_null();
	json_t *after = r->after[0] ? json_loads(r->after, JSON_DECODE_ANY, NULL) : json_null();

	gmtime_r(&t, &tm);
	n = strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(at + n, sizeof(at) - n, ".%03dZ", (int)(r->at_ms % 1000));
	hex_encode(r->hash, AUDIT_HASH_BYTES, hash);
	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s}", "id", (json_int_t)r->id, "at", at, "actor", r->actor, "address",
			 r->address, "action", r->action, "object", r->object, "before", before ? before : json_null(), "after",
			 after ? after : json_null(), "detail", r->detail, "hash", hash);
}

int audit_list(struct audit *a, const struct audit_query *q, json_t **items, int64_t *next, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM audit WHERE (?1 = '' OR actor = ?1)"
				  " AND (?2 = '' OR action = ?2 OR (substr(?2, -1) = '.' AND substr(action, 1, length(?2)) = ?2))"
				  " AND (?3 = '' OR object = ?3) AND at_ms >= ?4 AND (?5 = 0 OR at_ms < ?5) AND (?6 = 0 OR id < ?6)"
				  " ORDER BY id DESC LIMIT ?7";
	struct db_row *from = db_start(a->db, sql,
				       DB_VALUES(DB_TEXT(q->actor ? q->actor : ""), DB_TEXT(q->action ? q->action : ""),
						 DB_TEXT(q->object ? q->object : ""), DB_INT(q->since_ms), DB_INT(q->until_ms),
						 DB_INT(q->below), DB_INT(q->limit + 1)));
	struct row *row = calloc(1, sizeof(*row));
	json_t *list = json_array();
	int r = row && list ? 1 : -ENOMEM;

	*next = 0;
	while (r > 0 && (r = db_step(a->db, from, "read the audit log", e)) > 0) {
		if (read_row(from, row) < 0)
			r = err_set(e, -EBADMSG, "the audit log has a damaged row; run terrarium audit verify");
		else if ((int64_t)json_array_size(list) == q->limit) {
			*next = row->id + 1;
			break;
		} else if (json_array_append_new(list, row_json(row)) < 0)
			r = -ENOMEM;
	}
	db_end(from);
	free(row);
	if (r < 0) {
		json_decref(list);
		return r;
	}
	*items = list;
	return 0;
}

static void found_bad(struct audit_state *st, int64_t id, const char *why)
{
	st->bad = id;
	(void)snprintf(st->why, sizeof(st->why), "%s", why);
}

static int check_rows(struct db *db, struct row *row, struct audit_state *st, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM audit ORDER BY id";
	struct db_row *from = db_start(db, sql, DB_NONE);
	uint8_t want[AUDIT_HASH_BYTES];
	int r;

	while ((r = db_step(db, from, "read the audit log", e)) > 0 && st->bad == 0) {
		if (db_int(from, 0) != st->rows + 1)
			found_bad(st, st->rows + 1, "a row is missing here");
		else if (read_row(from, row) < 0)
			found_bad(st, st->rows + 1, "the row is damaged");
		else if (row_hash(row, st->head, want) < 0)
			r = err_set(e, -ENOMEM, "out of memory");
		else if (memcmp(want, row->hash, sizeof(want)) != 0)
			found_bad(st, row->id, "the row was changed, or a row before it was");
		else {
			memcpy(st->head, row->hash, sizeof(st->head));
			st->rows++;
		}
		if (r < 0)
			break;
	}
	db_end(from);
	return r < 0 ? r : 0;
}

int audit_verify(struct db *db, struct audit_state *st, struct err *e)
{
	uint8_t head[AUDIT_HASH_BYTES];
	struct row *row = calloc(1, sizeof(*row));
	int64_t id = 0;
	int r;

	memset(st, 0, sizeof(*st));
	if (!row)
		return err_set(e, -ENOMEM, "out of memory");
	r = check_rows(db, row, st, e);
	free(row);
	if (r == 0)
		r = read_head(db, &id, head, e);
	if (r == 0 && st->bad == 0 && (id != st->rows || memcmp(head, st->head, sizeof(head)) != 0))
		found_bad(st, st->rows + 1, "rows at the end are missing");
	return r;
}
