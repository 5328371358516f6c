/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_SETUP_H
#define AUTH_SETUP_H

#include <stdint.h>

struct db;
struct err;

/* What is to be done in a machine once, and how far it has come: gateway/setup.h. Goes with the machine's row. */
#define SETUP_SCHEMA \
	"CREATE TABLE setup (" \
	"  vm BLOB PRIMARY KEY REFERENCES vm (id) ON DELETE CASCADE," \
	"  recipe TEXT NOT NULL, packages TEXT NOT NULL, script TEXT NOT NULL," \
	"  state INTEGER NOT NULL, step INTEGER NOT NULL, run BLOB NOT NULL CHECK (length(run) = 8)," \
	"  boot BLOB NOT NULL CHECK (length(boot) = 16), code INTEGER NOT NULL, signal INTEGER NOT NULL, reason TEXT NOT NULL," \
	"  log TEXT NOT NULL, began_s INTEGER NOT NULL, ended_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

#define SETUP_PACKAGES_BYTES 8192
#define SETUP_SCRIPT_BYTES   16385
#define SETUP_LOG_BYTES	     16385

/**
 * struct setup_row - one machine's
 * @packages: JSON array of names; @script: "" for none
 * @state, @step: enumerations of gateway/setup.c
 * @run:  tells the command in the guest from earlier ones; @boot: of the guest's agent that was told to run it
 * @code, @signal: of the command that ended last
 * @log:  the end of what was printed, UTF-8
 * @began_s, @ended_s: 0 = not yet
 */
struct setup_row {
	uint8_t vm[16], run[8], boot[16];
	char recipe[24], packages[SETUP_PACKAGES_BYTES], script[SETUP_SCRIPT_BYTES], log[SETUP_LOG_BYTES], reason[160];
	int state, step, code, signal;
	int64_t began_s, ended_s;
};

/** setup_row_put() - keep it, in place of the former one. Return: 0 or negative with @e */
int setup_row_put(struct db *db, const struct setup_row *row, struct err *e);

/** setup_row_get() - Return: 1 with @out, 0 when the machine has none, or negative with @e */
int setup_row_get(struct db *db, const uint8_t vm[16], struct setup_row *out, struct err *e);

#endif
