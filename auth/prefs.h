/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_PREFS_H
#define AUTH_PREFS_H

#include <stddef.h>
#include <stdint.h>

struct db;
struct err;

/*
 * How people like the page, so that it follows them from one browser to another. One text for each person, made
 * and understood by the page; nothing here looks into it.
 */
#define PREFS_SCHEMA \
	"CREATE TABLE prefs (" \
	"  person INTEGER PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE," \
	"  text TEXT NOT NULL CHECK (length(text) <= 16384), changed_s INTEGER NOT NULL) STRICT;"

#define PREFS_MAX 16384 /* bytes */

/** prefs_get() - text of @person, "" when none is kept. @out: PREFS_MAX + 1 bytes. Return: 0, or negative with @e */
int prefs_get(struct db *db, int64_t person, char *out, struct err *e);

/** prefs_put() - keep @text, of at most PREFS_MAX bytes, in place of what was there. Return: 0, or negative with @e */
int prefs_put(struct db *db, int64_t person, const char *text, int64_t now_s, struct err *e);

#endif
