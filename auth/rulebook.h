/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_RULEBOOK_H
#define AUTH_RULEBOOK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/rules.h"

struct audit;
struct db;
struct err;
struct rulebook;

/*
 * The list as it is kept: every change goes to the database (committed so that it survives the loss of power) together with its audit row, then to
 * the list in memory that decides (auth/rules.h), then to the hook that cuts people off.
 */
#define RULEBOOK_SCHEMA \
	"CREATE TABLE rule (" \
	"  pattern TEXT PRIMARY KEY, effect TEXT NOT NULL CHECK (effect IN ('allow', 'deny'))," \
	"  role TEXT NOT NULL CHECK (role IN ('user', 'auditor', 'operator', 'admin'))," \
	"  machines INTEGER NOT NULL, cpus INTEGER NOT NULL, networks INTEGER NOT NULL, memory_bytes INTEGER NOT NULL," \
	"  disk_bytes INTEGER NOT NULL, lifetime_s INTEGER NOT NULL, images TEXT NOT NULL," \
	"  not_before_s INTEGER NOT NULL, expires_s INTEGER NOT NULL, created_s INTEGER NOT NULL, version INTEGER NOT NULL," \
	"  note TEXT NOT NULL, source TEXT NOT NULL, created_by TEXT NOT NULL) STRICT, WITHOUT ROWID;" \
	"CREATE INDEX rule_source ON rule (source);"

enum {
	RULEBOOK_E_CONFLICT = 1, /* the rule has another version than the editor saw */
	RULEBOOK_E_LAST_ADMIN,	 /* nobody would be administrator any more */
	RULEBOOK_E_NONE,	 /* no such rule */
	RULEBOOK_E_FULL,	 /* more than RULES_MAX */
};

/** struct rule_actor - who changes the list, for the audit; @force: even if the last administrator goes */
struct rule_actor {
	const char *email, *address;
	bool force;
};

#define RULE_VERSION_ANY (-1)
#define RULE_VERSION_NEW 0

/** rulebook_open() - read the list. Borrowed: db, audit. @on_change runs after each change that may take something from somebody */
int rulebook_open(struct rulebook **out, struct db *db, struct audit *audit, void (*on_change)(void *), void *arg, struct err *e);
struct rulebook *rulebook_close(struct rulebook *b);

/** rulebook_rules() - the list in memory, borrowed */
const struct rules *rulebook_rules(const struct rulebook *b);

/**
 * rulebook_put() - add or replace a rule
 * @rule:    version, created_s and created_by are filled from the old rule or from the actor
 * @version: that the editor saw, RULE_VERSION_NEW for a rule that must not exist, or RULE_VERSION_ANY
 *
 * Return: 0, RULEBOOK_E_CONFLICT, RULEBOOK_E_LAST_ADMIN, RULEBOOK_E_FULL, or negative with @e.
 */
int rulebook_put(struct rulebook *b, const struct rule *rule, int64_t version, const struct rule_actor *who, int64_t now_s, struct err *e);

/** rulebook_drop() - take a rule away. Return: as rulebook_put(), and RULEBOOK_E_NONE */
int rulebook_drop(struct rulebook *b, const char *pattern, int64_t version, const struct rule_actor *who, int64_t now_s, struct err *e);

/**
 * rulebook_replace() - all rules of one source become @rules, as one change
 * @keep_others: a pattern that another source has already stays as it is; else it is taken over, unless it makes an administrator for good already
 *
 * For the rules of the configuration and of allow_file. Return: 0, RULEBOOK_E_LAST_ADMIN, RULEBOOK_E_FULL, or negative with @e: then nothing has changed.
 */
int rulebook_replace(struct rulebook *b, const char *source, const struct rule *rules, size_t count, bool keep_others,
		     const struct rule_actor *who, int64_t now_s, struct err *e);

/** struct rule_outcome - of one line of an import */
enum rule_outcome { RULE_ADDED, RULE_CHANGED, RULE_SAME, RULE_OUTCOME_COUNT };
const char *rule_outcome_name(enum rule_outcome o);

/* What a list says of its rules; the rest stays as an existing rule has it. */
enum { RULE_HAS_EFFECT = 1, RULE_HAS_ROLE = 2, RULE_HAS_NOT_BEFORE = 4, RULE_HAS_EXPIRES = 8, RULE_HAS_NOTE = 16, RULE_HAS_QUOTA = 32 };

/**
 * rulebook_import() - put many rules as one change: all or none
 * @fields:   RULE_HAS_* that the list has
 * @outcomes: one for each rule; may be NULL
 * @dry:      find the outcomes, change nothing
 *
 * Return: as rulebook_replace().
 */
int rulebook_import(struct rulebook *b, const struct rule *rules, size_t count, unsigned fields, bool dry,
		    enum rule_outcome *outcomes, const struct rule_actor *who, int64_t now_s, struct err *e);

/** struct rule_query - what to list, by pattern; NULL = any. @search: part of pattern or note; @after: cursor */
struct rule_query {
	const char *search, *effect, *role, *source, *after;
	int64_t limit;
};

/** rulebook_list() - Return: 0 with @items (new reference) and @more, or negative with @e */
int rulebook_list(struct rulebook *b, const struct rule_query *q, json_t **items, bool *more, struct err *e);

/** rule_json() - a rule as REST shows it. Return: new reference or NULL */
json_t *rule_json(const struct rule *r);

/** rule_from_json() - read what REST, CLI and page send; unknown members and bad values are refused by name. Return: 0 or -EINVAL */
int rule_from_json(struct rule *r, const json_t *json, struct err *e);

#endif
