/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without this uthash ends the process when memory is short; with it the element simply is not added. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "auth/email.h"
#include "base/err.h"

static const char *const effect_names[] = { [RULE_ALLOW] = "allow", [RULE_DENY] = "deny" };
static const char *const role_names[] = {
	[ROLE_USER] = "user", [ROLE_AUDITOR] = "auditor", [ROLE_OPERATOR] = "operator", [ROLE_ADMIN] = "admin",
};
static const char *const verdict_names[] = {
	[VERDICT_ALLOWED] = "allowed", [VERDICT_NO_RULE] = "no_rule", [VERDICT_DENIED] = "denied", [VERDICT_NOT_YET] = "not_yet",
	[VERDICT_EXPIRED] = "expired",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
_Static_assert(COUNT(effect_names) == RULE_EFFECT_COUNT, "a name for each effect");
_Static_assert(COUNT(role_names) == ROLE_COUNT, "a name for each role");
_Static_assert(COUNT(verdict_names) == VERDICT_COUNT, "a name for each verdict");

struct entry {
	struct rule rule;
	UT_hash_handle hh; /* by rule.pattern */
};

struct rules {
	struct entry *by_pattern; /* owned */
};

const char *rule_effect_name(enum rule_effect effect)
{
	return effect_names[effect];
}

const char *role_name(enum role role)
{
	return role_names[role];
}

const char *verdict_name(enum verdict v)
{
	return verdict_names[v];
}

static int find_name(const char *const *names, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], text) == 0)
			return (int)i;
	return -EINVAL;
}

int rule_effect_parse(const char *text, enum rule_effect *out)
{
	int i = find_name(effect_names, RULE_EFFECT_COUNT, text);

	if (i < 0)
		return i;
	*out = (enum rule_effect)i;
	return 0;
}

int role_parse(const char *text, enum role *out)
{
	int i = find_name(role_names, ROLE_COUNT, text);

	if (i < 0)
		return i;
	*out = (enum role)i;
	return 0;
}

/* "@example.org" and "@*.example.org": the domain must be one, in lower case. */
static int domain_pattern(const char *text, size_t len, char out[RULE_PATTERN_BYTES], struct err *e)
{
	size_t skip = len > 3 && memcmp(text, "@*.", 3) == 0 ? 3 : 1;

	if (len >= RULE_PATTERN_BYTES)
		return err_set(e, -EINVAL, "the pattern is longer than %d bytes", RULE_PATTERN_BYTES - 1);
	for (size_t i = 0; i < len; i++)
		out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 0x20 : text[i]);
	out[len] = '\0';
	if (!email_domain_ok(out + skip, len - skip))
		return err_set(e, -EINVAL, "the domain of %.64s is malformed; write @example.org, or @*.example.org for what is below it", out);
	return 0;
}

int rule_pattern(const char *text, size_t len, char out[RULE_PATTERN_BYTES], struct err *e)
{
	while (len > 0 && (*text == ' ' || *text == '\t'))
		text++, len--;
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	if (len == 1 && *text == '*') {
		memcpy(out, "*", 2);
		return 0;
	}
	if (len > 0 && *text != '@' && memchr(text, '*', len))
		return err_set(e, -EINVAL, "a * stands only for itself, or as in @*.example.org");
	return len > 0 && *text == '@' ? domain_pattern(text, len, out, e) : email_normalise(text, len, out, e);
}

struct rules *rules_create(void)
{
	return calloc(1, sizeof(struct rules));
}

struct rules *rules_destroy(struct rules *r)
{
	struct entry *at, *next;

	if (!r)
		return NULL;
	HASH_ITER(hh, r->by_pattern, at, next)
	{
		HASH_DEL(r->by_pattern, at);
		free(at);
	}
	free(r);
	return NULL;
}

static struct entry *find(const struct rules *r, const char *pattern)
{
	struct entry *found = NULL;

	HASH_FIND_STR(r->by_pattern, pattern, found);
	return found;
}

int rules_put(struct rules *r, const struct rule *rule)
{
	struct entry *at = find(r, rule->pattern);

	if (at) {
		at->rule = *rule;
		return 0;
	}
	if (rules_count(r) >= RULES_MAX)
		return -ENOSPC;
	at = calloc(1, sizeof(*at));
	if (!at)
		return -ENOMEM;
	at->rule = *rule;
	HASH_ADD_STR(r->by_pattern, rule.pattern, at);
	if (find(r, rule->pattern) == at)
		return 0;
	free(at);
	return -ENOMEM;
}

int rules_drop(struct rules *r, const char *pattern)
{
	struct entry *at = find(r, pattern);

	if (!at)
		return -ENOENT;
	HASH_DEL(r->by_pattern, at);
	free(at);
	return 0;
}

const struct rule *rules_get(const struct rules *r, const char *pattern)
{
	const struct entry *at = find(r, pattern);

	return at ? &at->rule : NULL;
}

size_t rules_count(const struct rules *r)
{
	return HASH_COUNT(r->by_pattern);
}

static int in_force(const struct rule *rule, int64_t now_s)
{
	return rule->not_before_s <= now_s && (rule->expires_s == 0 || now_s < rule->expires_s);
}

/* The sooner of two moments, where 0 is never. */
static int64_t sooner(int64_t a, int64_t b)
{
	return a == 0 ? b : b == 0 || a < b ? a : b;
}

/* When @rule changes its mind next. */
static int64_t next_change(const struct rule *rule, int64_t now_s)
{
	if (now_s < rule->not_before_s)
		return rule->not_before_s;
	return now_s < rule->expires_s ? rule->expires_s : 0;
}

/* Takes one level into @d. Return: true when it has decided. */
static bool consider(struct decision *d, const struct rules *r, const char *pattern, int64_t now_s)
{
	const struct rule *rule = rules_get(r, pattern);

	if (!rule)
		return false;
	d->until_s = sooner(d->until_s, next_change(rule, now_s));
	if (rule->effect == RULE_DENY && !in_force(rule, now_s))
		return false;
	d->rule = rule;
	if (rule->effect == RULE_DENY)
		d->verdict = VERDICT_DENIED;
	else if (in_force(rule, now_s))
		d->verdict = VERDICT_ALLOWED;
	else
		d->verdict = now_s < rule->not_before_s ? VERDICT_NOT_YET : VERDICT_EXPIRED;
	return true;
}

struct decision rules_decide(const struct rules *r, const char *email, int64_t now_s)
{
	struct decision d = { .verdict = VERDICT_NO_RULE };
	char pattern[RULE_PATTERN_BYTES];
	const char *domain = email_domain(email);
	size_t len = strlen(domain);

	if (consider(&d, r, email, now_s) || len == 0 || len + 4 > sizeof(pattern))
		return d;
	pattern[0] = '@';
	memcpy(pattern + 1, domain, len + 1);
	if (consider(&d, r, pattern, now_s))
		return d;
	while ((domain = strchr(domain, '.')) != NULL) {
		domain++;
		(void)snprintf(pattern, sizeof(pattern), "@*.%s", domain);
		if (consider(&d, r, pattern, now_s))
			return d;
	}
	(void)consider(&d, r, "*", now_s);
	return d;
}

size_t rules_admins(const struct rules *r, const char *except, int64_t now_s)
{
	const struct entry *at;
	size_t n = 0;

	for (at = r->by_pattern; at; at = at->hh.next)
		n += at->rule.effect == RULE_ALLOW && at->rule.role == ROLE_ADMIN && in_force(&at->rule, now_s) &&
		     at->rule.pattern[0] != '@' && at->rule.pattern[0] != '*' && !(except && strcmp(except, at->rule.pattern) == 0);
	return n;
}
