/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/rulebook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/audit.h"
#include "auth/db.h"
#include "base/err.h"
#include "base/log.h"

/*
 * Theory of operation. A change is one transaction: rows and audit rows. Memory follows only after the commit, so that a failed or cut-off write
 * changes nothing anybody decides by, and an acknowledged one is on the disk. Whether an administrator is left is looked at before, on a count:
 * it is the same thread, nothing comes between.
 */
struct rulebook {
	struct db *db;	     /* borrowed */
	struct audit *audit; /* borrowed */
	struct rules *rules; /* owned */
	void (*on_change)(void *);
	void *arg;
};

static const char *const outcome_names[] = { [RULE_ADDED] = "added", [RULE_CHANGED] = "changed", [RULE_SAME] = "same" };
_Static_assert(sizeof(outcome_names) / sizeof(outcome_names[0]) == RULE_OUTCOME_COUNT, "a name for each outcome");

const char *rule_outcome_name(enum rule_outcome o)
{
	return outcome_names[o];
}

#define COLUMNS "pattern, effect, role, machines, cpus, networks, memory_bytes, disk_bytes, lifetime_s, images, not_before_s, expires_s," \
		" created_s, version, note, source, created_by"

static int read_rule(struct db_row *row, struct rule *r)
{
	char effect[16], role[16];

	memset(r, 0, sizeof(*r));
	if (db_text(row, 0, r->pattern, sizeof(r->pattern)) < 0 || db_text(row, 1, effect, sizeof(effect)) < 0 ||
	    db_text(row, 2, role, sizeof(role)) < 0 || rule_effect_parse(effect, &r->effect) < 0 || role_parse(role, &r->role) < 0 ||
	    db_text(row, 9, r->quota.images, sizeof(r->quota.images)) < 0 || db_text(row, 14, r->note, sizeof(r->note)) < 0 ||
	    db_text(row, 15, r->source, sizeof(r->source)) < 0 || db_text(row, 16, r->created_by, sizeof(r->created_by)) < 0)
		return -EBADMSG;
	r->quota.machines = (uint32_t)db_int(row, 3);
	r->quota.cpus = (uint32_t)db_int(row, 4);
	r->quota.networks = (uint32_t)db_int(row, 5);
	r->quota.memory_bytes = (uint64_t)db_int(row, 6);
	r->quota.disk_bytes = (uint64_t)db_int(row, 7);
	r->quota.lifetime_s = (uint64_t)db_int(row, 8);
	r->not_before_s = db_int(row, 10);
	r->expires_s = db_int(row, 11);
	r->created_s = db_int(row, 12);
	r->version = db_int(row, 13);
	return 0;
}

static int load(struct rulebook *b, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM rule";
	struct db_row *row = db_start(b->db, sql, DB_NONE);
	struct rule rule;
	int r;

	while ((r = db_step(b->db, row, "read the list", e)) > 0) {
		/* A rule that cannot be read may have been a deny: the list as a whole is not trusted then. */
		if (read_rule(row, &rule) < 0)
			r = err_set(e, -EBADMSG, "the database holds a damaged rule");
		else
			r = rules_put(b->rules, &rule);
		if (r < 0) {
			db_end(row);
			return r;
		}
	}
	return r;
}

int rulebook_open(struct rulebook **out, struct db *db, struct audit *audit, void (*on_change)(void *), void *arg, struct err *e)
{
	struct rulebook *b = calloc(1, sizeof(*b));
	int r = -ENOMEM;

	if (b) {
		*b = (struct rulebook){ .db = db, .audit = audit, .rules = rules_create(), .on_change = on_change, .arg = arg };
		r = b->rules ? load(b, e) : -ENOMEM;
	}
	if (r < 0) {
		(void)rulebook_close(b);
		return r;
	}
	*out = b;
	return 0;
}

struct rulebook *rulebook_close(struct rulebook *b)
{
	if (!b)
		return NULL;
	rules_destroy(b->rules);
	free(b);
	return NULL;
}

const struct rules *rulebook_rules(const struct rulebook *b)
{
	return b->rules;
}

/* --- one change in the open transaction --------------------------------------------------------------------------------- */

static int audit_change(struct rulebook *b, const char *action, const struct rule *old, const struct rule *new, const struct rule_actor *who,
			int64_t now_s, struct err *e)
{
	json_t *before = old ? rule_json(old) : NULL, *after = new ? rule_json(new) : NULL;
	struct audit_event ev = {
		.actor = who->email, .address = who->address, .action = action, .object = new ? new->pattern : old->pattern, .before = before,
		.after = after, .detail = who->force ? "forced" : "",
	};
	int r = audit_add(b->audit, &ev, now_s * 1000, e);

	json_decref(before);
	json_decref(after);
	return r;
}

static int write_rule(struct rulebook *b, const struct rule *r, struct err *e)
{
	static const char sql[] = "INSERT OR REPLACE INTO rule (" COLUMNS ")"
				  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

	return db_run(b->db, sql, "write the rule", e,
		      DB_VALUES(DB_TEXT(r->pattern), DB_TEXT(rule_effect_name(r->effect)), DB_TEXT(role_name(r->role)),
				DB_INT(r->quota.machines), DB_INT(r->quota.cpus), DB_INT(r->quota.networks), DB_INT((int64_t)r->quota.memory_bytes),
				DB_INT((int64_t)r->quota.disk_bytes), DB_INT((int64_t)r->quota.lifetime_s), DB_TEXT(r->quota.images),
				DB_INT(r->not_before_s), DB_INT(r->expires_s), DB_INT(r->created_s), DB_INT(r->version), DB_TEXT(r->note),
				DB_TEXT(r->source), DB_TEXT(r->created_by)));
}

static int delete_rule(struct rulebook *b, const char *pattern, struct err *e)
{
	static const char sql[] = "DELETE FROM rule WHERE pattern = ?1";

	return db_run(b->db, sql, "take the rule away", e, DB_VALUES(DB_TEXT(pattern)));
}

/* What an editor means to say is the same as what stands there. */
static bool same(const struct rule *a, const struct rule *b)
{
	return a->effect == b->effect && a->role == b->role && a->not_before_s == b->not_before_s && a->expires_s == b->expires_s &&
	       a->quota.machines == b->quota.machines && a->quota.cpus == b->quota.cpus && a->quota.networks == b->quota.networks &&
	       a->quota.memory_bytes == b->quota.memory_bytes && a->quota.disk_bytes == b->quota.disk_bytes &&
	       a->quota.lifetime_s == b->quota.lifetime_s && strcmp(a->quota.images, b->quota.images) == 0 && strcmp(a->note, b->note) == 0 &&
	       (b->source[0] == '\0' || strcmp(a->source, b->source) == 0);
}

/* Fills what is not the editor's to say. */
static struct rule complete(const struct rule *rule, const struct rule *old, const struct rule_actor *who, int64_t now_s)
{
	struct rule r = *rule;

	r.version = old ? old->version + 1 : 1;
	r.created_s = old ? old->created_s : now_s;
	if (old)
		memcpy(r.created_by, old->created_by, sizeof(r.created_by));
	else
		(void)snprintf(r.created_by, sizeof(r.created_by), "%s", who->email ? who->email : "");
	if (r.source[0] == '\0')
		(void)snprintf(r.source, sizeof(r.source), "%s", old ? old->source : "admin");
	return r;
}

static int put_one(struct rulebook *b, const struct rule *old, const struct rule *new, const struct rule_actor *who, int64_t now_s,
		   struct err *e)
{
	int r = write_rule(b, new, e);

	return r < 0 ? r : audit_change(b, "rule.put", old, new, who, now_s, e);
}

static int begin(struct rulebook *b, struct err *e)
{
	return db_begin(b->db, DB_POWER, e);
}

/* Ends the transaction: commits when @r is 0. */
static int end(struct rulebook *b, int r, struct err *e)
{
	if (r == 0)
		r = db_commit(b->db, e);
	else
		db_rollback(b->db);
	if (r != 0 && audit_rolled_back(b->audit, NULL) < 0)
		log_err("the audit log cannot be read; changes are refused until it can");
	return r;
}

static bool is_admin(const struct rule *r, int64_t now_s)
{
	return r->effect == RULE_ALLOW && r->role == ROLE_ADMIN && r->not_before_s <= now_s && (r->expires_s == 0 || now_s < r->expires_s) &&
	       r->pattern[0] != '@' && r->pattern[0] != '*';
}

/* What a change, of one rule or of many, takes away and adds: administrators, and rules. */
struct tally {
	size_t admins_lost, admins_gained, dropped, added;
};

/* @old or @new may be NULL. An end date in the future counts as a loss: it would come unnoticed. */
static void count_change(struct tally *n, const struct rule *old, const struct rule *new, int64_t now_s)
{
	bool was = old && is_admin(old, now_s), stays = new && is_admin(new, now_s) && new->expires_s == 0;

	n->admins_lost += was && !stays;
	n->admins_gained += stays && !was;
	n->added += !old;
	n->dropped += !new;
}

/* Would the change as a whole leave no administrator, or more rules than are read again at the next start? */
static int judge(const struct rulebook *b, const struct tally *n, const struct rule_actor *who, int64_t now_s)
{
	if (!who->force && n->admins_lost > 0 && rules_admins(b->rules, NULL, now_s) + n->admins_gained <= n->admins_lost)
		return RULEBOOK_E_LAST_ADMIN;
	return n->added > n->dropped && rules_count(b->rules) + n->added - n->dropped > RULES_MAX ? RULEBOOK_E_FULL : 0;
}

static void changed(struct rulebook *b)
{
	if (b->on_change)
		b->on_change(b->arg);
}

/* --- interface ------------------------------------------------------------------------------------------------------------ */

int rulebook_put(struct rulebook *b, const struct rule *rule, int64_t version, const struct rule_actor *who, int64_t now_s, struct err *e)
{
	const struct rule *old = rules_get(b->rules, rule->pattern);
	struct rule new = complete(rule, old, who, now_s);
	struct tally tally = { 0 };
	int r;

	count_change(&tally, old, &new, now_s);
	if (version != RULE_VERSION_ANY && version != (old ? old->version : RULE_VERSION_NEW))
		return RULEBOOK_E_CONFLICT;
	r = judge(b, &tally, who, now_s);
	if (r == 0)
		r = begin(b, e);
	if (r != 0)
		return r;
	r = end(b, put_one(b, old, &new, who, now_s, e), e);
	if (r < 0)
		return r;
	r = rules_put(b->rules, &new);
	changed(b);
	return r < 0 ? err_set(e, r, "out of memory; the rule counts after a restart") : 0;
}

int rulebook_drop(struct rulebook *b, const char *pattern, int64_t version, const struct rule_actor *who, int64_t now_s, struct err *e)
{
	const struct rule *old = rules_get(b->rules, pattern);
	struct tally tally = { 0 };
	int r;

	if (!old)
		return RULEBOOK_E_NONE;
	if (version != RULE_VERSION_ANY && version != old->version)
		return RULEBOOK_E_CONFLICT;
	count_change(&tally, old, NULL, now_s);
	r = judge(b, &tally, who, now_s);
	if (r == 0)
		r = begin(b, e);
	if (r != 0)
		return r;
	r = delete_rule(b, pattern, e);
	if (r == 0)
		r = audit_change(b, "rule.drop", old, NULL, who, now_s, e);
	r = end(b, r, e);
	if (r == 0) {
		(void)rules_drop(b->rules, pattern);
		changed(b);
	}
	return r;
}

/* Memory after a change of many rules: read again what was committed. */
static int reload(struct rulebook *b, struct err *e)
{
	struct rules *old = b->rules;
	int r;

	b->rules = rules_create();
	r = b->rules ? load(b, e) : -ENOMEM;
	if (r < 0) {
		rules_destroy(b->rules);
		b->rules = old;
		return r;
	}
	rules_destroy(old);
	changed(b);
	return 0;
}

static struct rule merged(const struct rule *rule, const struct rule *old, unsigned fields)
{
	struct rule r = *rule;

	if (!old)
		return r;
	if (!(fields & RULE_HAS_EFFECT))
		r.effect = old->effect;
	if (!(fields & RULE_HAS_ROLE))
		r.role = old->role;
	if (!(fields & RULE_HAS_NOT_BEFORE))
		r.not_before_s = old->not_before_s;
	if (!(fields & RULE_HAS_EXPIRES))
		r.expires_s = old->expires_s;
	if (!(fields & RULE_HAS_NOTE))
		memcpy(r.note, old->note, sizeof(r.note));
	if (!(fields & RULE_HAS_QUOTA))
		r.quota = old->quota;
	return r;
}

int rulebook_import(struct rulebook *b, const struct rule *rules, size_t count, unsigned fields, bool dry,
		    enum rule_outcome *outcomes, const struct rule_actor *who, int64_t now_s, struct err *e)
{
	struct tally tally = { 0 };
	int r = dry ? 0 : begin(b, e);

	for (size_t i = 0; i < count && r == 0; i++) {
		const struct rule *old = rules_get(b->rules, rules[i].pattern);
		struct rule said = merged(&rules[i], old, fields);
		enum rule_outcome o = !old ? RULE_ADDED : same(old, &said) ? RULE_SAME : RULE_CHANGED;
		struct rule new = complete(&said, old, who, now_s);

		if (outcomes)
			outcomes[i] = o;
		if (o == RULE_SAME)
			continue;
		count_change(&tally, old, &new, now_s);
		if (!dry)
			r = put_one(b, old, &new, who, now_s, e);
	}
	if (r == 0)
		r = judge(b, &tally, who, now_s);
	if (dry)
		return r;
	r = end(b, r, e);
	return r == 0 ? reload(b, e) : r;
}

/* What a source says now, to be looked up by pattern. NULL without memory. */
static struct rules *wanted_of(const struct rule *rules, size_t count)
{
	struct rules *wanted = rules_create();

	for (size_t i = 0; wanted && i < count; i++)
		if (rules_put(wanted, &rules[i]) < 0)
			wanted = rules_destroy(wanted);
	return wanted;
}

static int drop_unwanted(struct rulebook *b, const char *source, const struct rules *wanted, struct tally *tally, const struct rule_actor *who,
			 int64_t now_s, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM rule WHERE source = ?1 AND pattern > ?2 ORDER BY pattern LIMIT 1";
	char at[RULE_PATTERN_BYTES] = "";
	struct rule old;
	int r;

	/* One row at a time: the statement must be over before the row is deleted. */
	for (;;) {
		struct db_row *row = db_start(b->db, sql, DB_VALUES(DB_TEXT(source), DB_TEXT(at)));

		r = db_step(b->db, row, "read the list", e);
		if (r <= 0)
			return r;
		r = read_rule(row, &old);
		db_end(row);
		if (r < 0)
			return err_set(e, r, "the database holds a damaged rule");
		memcpy(at, old.pattern, sizeof(at));
		if (rules_get(wanted, old.pattern))
			continue;
		count_change(tally, &old, NULL, now_s);
		r = delete_rule(b, old.pattern, e);
		if (r == 0)
			r = audit_change(b, "rule.drop", &old, NULL, who, now_s, e);
		if (r < 0)
			return r;
	}
}

static int drop_source(struct rulebook *b, const char *source, const struct rule *rules, size_t count, struct tally *tally,
		       const struct rule_actor *who, int64_t now_s, struct err *e)
{
	struct rules *wanted = wanted_of(rules, count);
	int r = wanted ? drop_unwanted(b, source, wanted, tally, who, now_s, e) : err_set(e, -ENOMEM, "out of memory");

	rules_destroy(wanted);
	return r;
}

/* Whose rule is it? One taken over goes when its new source stops naming it: an administrator whom the list has for good is not taken over. */
static bool stays_as_it_is(const struct rule *old, const char *source, bool keep_others, int64_t now_s)
{
	return strcmp(old->source, source) != 0 && (keep_others || (is_admin(old, now_s) && old->expires_s == 0));
}

int rulebook_replace(struct rulebook *b, const char *source, const struct rule *rules, size_t count, bool keep_others,
		     const struct rule_actor *who, int64_t now_s, struct err *e)
{
	struct tally tally = { 0 };
	int r = begin(b, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count && r == 0; i++) {
		const struct rule *old = rules_get(b->rules, rules[i].pattern);
		struct rule new = complete(&rules[i], old, who, now_s);

		(void)snprintf(new.source, sizeof(new.source), "%s", source);
		if (old && (stays_as_it_is(old, source, keep_others, now_s) || same(old, &new)))
			continue;
		count_change(&tally, old, &new, now_s);
		r = put_one(b, old, &new, who, now_s, e);
	}
	if (r == 0)
		r = drop_source(b, source, rules, count, &tally, who, now_s, e);
	if (r == 0)
		r = judge(b, &tally, who, now_s);
	r = end(b, r, e);
	return r == 0 ? reload(b, e) : r;
}

int rulebook_list(struct rulebook *b, const struct rule_query *q, json_t **items, bool *more, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM rule WHERE (?1 = '' OR instr(pattern, lower(?1)) > 0"
				  " OR instr(lower(note), lower(?1)) > 0)"
				  " AND (?2 = '' OR effect = ?2) AND (?3 = '' OR role = ?3) AND (?4 = '' OR source = ?4) AND pattern > ?5"
				  " ORDER BY pattern LIMIT ?6";
	struct db_row *row = db_start(b->db, sql,
				      DB_VALUES(DB_TEXT(q->search ? q->search : ""), DB_TEXT(q->effect ? q->effect : ""),
						DB_TEXT(q->role ? q->role : ""), DB_TEXT(q->source ? q->source : ""),
						DB_TEXT(q->after ? q->after : ""), DB_INT(q->limit + 1)));
	json_t *list = json_array();
	struct rule rule;
	int r;

	*more = false;
	while ((r = db_step(b->db, row, "read the list", e)) > 0) {
		if ((int64_t)json_array_size(list) == q->limit) {
			*more = true;
			break;
		}
		r = read_rule(row, &rule) < 0 ? err_set(e, -EBADMSG, "the database holds a damaged rule") : 0;
		if (r < 0 || json_array_append_new(list, rule_json(&rule)) < 0)
			break;
	}
	db_end(row);
	if (r < 0) {
		json_decref(list);
		return r;
	}
	*items = list;
	return 0;
}
