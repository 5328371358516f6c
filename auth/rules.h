/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_RULES_H
#define AUTH_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/auth.h"

struct err;
struct rules;

/*
 * The list of who may enter, in memory: one rule for each pattern, decided by the most specific one.
 *
 *   alice@example.org   that address
 *   @example.org        every address of that domain, and of no other (a suffix compare lets exploitexample.org in)
 *   @*.example.org      every address of a domain below it
 *   *                   everybody with a verified address
 *
 * The address beats the domain, the domain beats what stands above it, the longer "@*." beats the shorter. A deny that is in force refuses;
 * so does an allow that has ended or not begun, without a look at what is less specific: who ends Alice's access means Alice. A deny
 * outside its dates counts as absent. No rule refuses: an empty list is nobody.
 */
#define RULE_PATTERN_BYTES (EMAIL_BYTES + 2)
#define RULE_NOTE_BYTES	   256
#define RULES_MAX	   100000

enum rule_effect { RULE_ALLOW, RULE_DENY, RULE_EFFECT_COUNT };

const char *rule_effect_name(enum rule_effect effect);
const char *role_name(enum role role);
/** rule_effect_parse(), role_parse() - Return: 0, or -EINVAL for an unknown word */
int rule_effect_parse(const char *text, enum rule_effect *out);
int role_parse(const char *text, enum role *out);

/**
 * struct quota - what the people of a rule may use; 0 = the default of the configuration
 * @networks: bits of 1 << enum vm_net of hv/spec.h; 0 = all
 */
struct quota {
	uint32_t machines, cpus, networks;
	uint64_t memory_bytes, disk_bytes, lifetime_s;
	char images[128]; /* names, comma-separated; empty = all */
};

/**
 * struct rule - one line of the list
 * @pattern:  normalised by rule_pattern()
 * @not_before_s, @expires_s: seconds since 1970; 0 = none
 * @version:  counts changes; an editor that saw an older one is told so
 */
struct rule {
	char pattern[RULE_PATTERN_BYTES];
	enum rule_effect effect;
	enum role role;
	struct quota quota;
	int64_t not_before_s, expires_s, created_s;
	int64_t version;
	char note[RULE_NOTE_BYTES], source[16], created_by[EMAIL_BYTES];
};

/**
 * rule_pattern() - one spelling for each pattern
 *
 * Return: 0, or -EINVAL with the reason.
 */
int rule_pattern(const char *text, size_t len, char out[RULE_PATTERN_BYTES], struct err *e);

struct rules *rules_create(void);
struct rules *rules_destroy(struct rules *r);

/** rules_put() - add, or replace the rule of the same pattern; copies. Return: 0, -ENOMEM, -ENOSPC past RULES_MAX */
int rules_put(struct rules *r, const struct rule *rule);

/** rules_drop() - Return: 0 or -ENOENT */
int rules_drop(struct rules *r, const char *pattern);

/** rules_get() - borrowed until the next change; NULL when there is none */
const struct rule *rules_get(const struct rules *r, const char *pattern);

size_t rules_count(const struct rules *r);

/* Why a decision fell as it did. */
enum verdict {
	VERDICT_ALLOWED,
	VERDICT_NO_RULE, /* nobody has named this address */
	VERDICT_DENIED,
	VERDICT_NOT_YET,
	VERDICT_EXPIRED,
	VERDICT_COUNT,
};

const char *verdict_name(enum verdict v);

/**
 * struct decision - what the list says of one address
 * @rule:    the deciding one, borrowed until the next change; NULL when there is none
 * @until_s: when this decision has to be taken again, seconds since 1970; 0 = only when the list changes
 */
struct decision {
	enum verdict verdict;
	const struct rule *rule;
	int64_t until_s;
};

/** rules_decide() - @email normalised. Pure: memory only, at most one look-up for each label of the domain */
struct decision rules_decide(const struct rules *r, const char *email, int64_t now_s);

/**
 * rules_admins() - how many rules for single addresses make an administrator at @now_s, without that of @except (may be NULL)
 *
 * Domain rules do not count: nobody may be behind them.
 */
size_t rules_admins(const struct rules *r, const char *except, int64_t now_s);

#endif
