/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_RECORDING_H
#define AUTH_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct err;

/* The rows of recordings; what was recorded is in files of its own (gateway/recorder.h). */
#define RECORDING_SCHEMA \
	"CREATE TABLE recording (" \
	"  seq INTEGER PRIMARY KEY AUTOINCREMENT," \
	"  id TEXT NOT NULL UNIQUE CHECK (length(id) = 32)," \
	"  owner INTEGER NOT NULL REFERENCES person (id)," \
	"  stream TEXT NOT NULL, name TEXT NOT NULL, epoch BLOB NOT NULL CHECK (length(epoch) = 8)," \
	"  started_ms INTEGER NOT NULL, duration_ms INTEGER NOT NULL, size INTEGER NOT NULL," \
	"  cols INTEGER NOT NULL, rows INTEGER NOT NULL, input INTEGER NOT NULL," \
	"  live INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;" \
	"CREATE INDEX recording_owner ON recording (owner, seq);" \
	"CREATE INDEX recording_started ON recording (live, started_ms);"

#define RECORDING_ID_TEXT    33 /* 32 hex digits */
#define RECORDING_NAME_BYTES 128
#define RECORDING_STREAM_BYTES 64

/**
 * struct recording_row - one recording
 * @seq:     order of beginning; set by recording_put()
 * @epoch:   of the stream, as bytes of a u64
 * @input:   what was typed is in it, too
 * @live:    goes on; @size and @duration_ms are then from some time ago
 * @reason:  why it ended, a word for programs; "" while it goes on
 */
struct recording_row {
	int64_t seq, owner, started_ms, duration_ms, size;
	char id[RECORDING_ID_TEXT], stream[RECORDING_STREAM_BYTES], name[RECORDING_NAME_BYTES], reason[24];
	uint8_t epoch[8];
	uint16_t cols, rows;
	bool input, live;
};

/* Results: 0 or negative with @e, as auth/db.h says. */
int recording_put(struct db *db, struct recording_row *row, struct err *e);
/** recording_ended() - note how long, how large and why */
int recording_ended(struct db *db, const struct recording_row *row, struct err *e);
int recording_rename(struct db *db, const char *id, const char *name, struct err *e);
int recording_drop(struct db *db, const char *id, struct err *e);

/** recording_get() - by id. Return: 1 with @out, 0 when there is none, or negative with @e */
int recording_get(struct db *db, const char *id, struct recording_row *out, struct err *e);

/** recording_used() - bytes of a person's recordings that have ended */
int recording_used(struct db *db, int64_t owner, uint64_t *out, struct err *e);

/**
 * recording_list() - newest first; a non-zero result of @fn ends the walk and is returned
 * @owner:  0 = everybody's
 * @below:  only with a seq below it; 0 = from the newest
 * @more:   set when there are more than @limit
 */
int recording_list(struct db *db, int64_t owner, int64_t below, int64_t limit,
		   int (*fn)(void *arg, const struct recording_row *row), void *arg, bool *more, struct err *e);

/** recording_each_live() - those that had not ended; recording_each_old() - ended, and begun before @before_ms, @limit of them */
int recording_each_live(struct db *db, int (*fn)(void *arg, const struct recording_row *row), void *arg, struct err *e);
int recording_each_old(struct db *db, int64_t before_ms, int64_t limit,
		       int (*fn)(void *arg, const struct recording_row *row), void *arg, struct err *e);

#endif
