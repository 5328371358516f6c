/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_DISK_H
#define AUTH_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct err;

/* The rows of disks: volumes, which belong to a person and outlive machines, and what belongs to one machine. Their files are gateway/disks.h's. */
#define DISK_SCHEMA \
	"CREATE TABLE disk (" \
	"  seq INTEGER PRIMARY KEY AUTOINCREMENT," \
	"  id TEXT NOT NULL UNIQUE CHECK (length(id) = 32)," \
	"  owner INTEGER NOT NULL REFERENCES person (id)," \
	"  vm TEXT NOT NULL CHECK (length(vm) IN (0, 32)), name TEXT NOT NULL, source TEXT NOT NULL," \
	"  bytes INTEGER NOT NULL, created_s INTEGER NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL," \
	"  UNIQUE (owner, vm, name)) STRICT;" \
	"CREATE INDEX disk_vm ON disk (vm);"

#define DISK_ID_TEXT	33 /* 32 hex digits */
#define DISK_NAME_BYTES 64

/* What is written before the file is touched, so that a gateway that finds it goes on with it. */
enum disk_state { DISK_NEW /* to be made */, DISK_READY, DISK_GROWING, DISK_LEAVING, DISK_FAILED, DISK_STATE_COUNT };

enum { DISK_E_EXISTS = 1 /* the name is taken */ };

/**
 * struct disk_row - one disk
 * @seq:    order of making; set by disk_put()
 * @vm:     the machine it belongs to; "" for a volume
 * @name:   of a volume; "overlay" or "data" of a machine's
 * @source: id of the volume that it is a copy of, or ""
 * @bytes:  what it counts for: its size as the guest sees it
 * @reason: why it could not be made or changed, in words
 */
struct disk_row {
	int64_t seq, owner, created_s;
	uint64_t bytes;
	enum disk_state state;
	char id[DISK_ID_TEXT], vm[DISK_ID_TEXT], source[DISK_ID_TEXT], name[DISK_NAME_BYTES], reason[256];
};

/** disk_state_name() - for programs: "making", "ready", "growing", "leaving" or "failed" */
const char *disk_state_name(enum disk_state s);

/* Results: 0, or negative with @e as auth/db.h says. */
/** disk_put() - also DISK_E_EXISTS */
int disk_put(struct db *db, struct disk_row *row, struct err *e);
/** disk_set() - other size, state and reason */
int disk_set(struct db *db, const struct disk_row *row, struct err *e);
int disk_drop(struct db *db, const char *id, struct err *e);

/** disk_get(), disk_find() - by id; by owner, machine and name. Return: 1 with @out, 0 when there is none, or negative with @e */
int disk_get(struct db *db, const char *id, struct disk_row *out, struct err *e);
int disk_find(struct db *db, int64_t owner, const char *vm, const char *name, struct disk_row *out, struct err *e);

/** disk_used() - bytes of a person's disks, but for those of the machine @except ("" for none) */
int disk_used(struct db *db, int64_t owner, const char *except, uint64_t *out, struct err *e);

/**
 * disk_list() - a person's volumes, oldest first; a non-zero result of @fn ends the walk and is returned
 * @after: only with a seq above it
 * @more:  set when there are more than @limit
 */
int disk_list(struct db *db, int64_t owner, int64_t after, int64_t limit, int (*fn)(void *arg, const struct disk_row *row), void *arg,
	      bool *more, struct err *e);

/** disk_each_of() - what belongs to a machine; disk_each_begun() - what a former process had begun. @fn may change no rows */
int disk_each_of(struct db *db, const char *vm, int (*fn)(void *arg, const struct disk_row *row), void *arg, struct err *e);
int disk_each_begun(struct db *db, int (*fn)(void *arg, const struct disk_row *row), void *arg, struct err *e);

#endif
