/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/audit.h"
#include "auth/db.h"
#include "auth/demo.h"
#include "auth/identity.h"
#include "auth/rulebook.h"
#include "auth/store.h"
#include "auth/token.h"
#include "base/err.h"
#include "base/log.h"

struct access {
	struct access_config c;
};

struct access *access_create(const struct access_config *c)
{
	struct access *a = calloc(1, sizeof(*a));

	if (a)
		a->c = *c;
	return a;
}

struct access *access_destroy(struct access *a)
{
	free(a);
	return NULL;
}

static struct quota filled(const struct quota *q, const struct quota *defaults)
{
	struct quota out = *q;

	out.machines = q->machines ? q->machines : defaults->machines;
	out.cpus = q->cpus ? q->cpus : defaults->cpus;
	out.networks = q->networks ? q->networks : defaults->networks;
	out.memory_bytes = q->memory_bytes ? q->memory_bytes : defaults->memory_bytes;
	out.disk_bytes = q->disk_bytes ? q->disk_bytes : defaults->disk_bytes;
	out.lifetime_s = q->lifetime_s ? q->lifetime_s : defaults->lifetime_s;
	if (!q->images[0])
		memcpy(out.images, defaults->images, sizeof(out.images));
	return out;
}

static bool of_the_demo(const struct access *a, const char *email)
{
	const char *at = a->c.demo_people;
	size_t len = strlen(email);

	while (at && *(at += strspn(at, ", ")) != '\0') {
		size_t n = strcspn(at, ", ");

		if (n == len && strncasecmp(at, email, n) == 0)
			return true;
		at += n;
	}
	return false;
}

int auth_check(const struct access *a, const char *email, int64_t now_s, struct grant *g, struct err *e)
{
	struct decision d = rules_decide(rulebook_rules(a->c.book), email, now_s);

	*g = (struct grant){ .role = ROLE_USER, .until_s = d.until_s };
	if (d.verdict == VERDICT_ALLOWED) {
		g->role = d.rule->role;
		g->quota = filled(&d.rule->quota, &a->c.defaults);
		return 0;
	}
	if (d.verdict == VERDICT_NO_RULE && of_the_demo(a, email)) {
		g->quota = a->c.defaults;
		return 0;
	}
	return err_set(e, -EACCES, "%s: %s%s%s", email, verdict_name(d.verdict), d.rule ? " by the rule for " : "", d.rule ? d.rule->pattern : "");
}

static void note(struct access *a, const char *actor, const char *address, const char *action, const char *object, const char *detail, int64_t now_s)
{
	const struct audit_event ev = { .actor = actor, .address = address, .action = action, .object = object, .detail = detail };
	struct err e = { 0 };

	if (audit_add(a->c.audit, &ev, now_s * 1000, &e) < 0)
		log_err("audit: %s", e.msg);
}

void access_refused(struct access *a, const char *email, const char *address, const char *why, int64_t now_s)
{
	note(a, email, address, "sign_in.refused", "", why, now_s);
}

/* The machines change hands, but nobody who signed in with the other account stays in. */
static int hand_over(struct access *a, const struct person_row *old, const struct identity *id, struct err *e)
{
	struct db *db = store_db(a->c.store);
	int r = db_begin(db, DB_POWER, e);

	if (r < 0)
		return r;
	r = store_person_rebind(a->c.store, old->id, id->issuer, id->subject, e);
	if (r == STORE_E_EXISTS)
		r = err_set(e, -EACCES, "this account already stands for another address here");
	if (r == 0)
		r = store_session_drop_email(a->c.store, id->email, e);
	if (r == 0)
		r = token_drop_email(db, id->email, e);
	if (r == 0)
		return db_commit(db, e);
	db_rollback(db);
	return r;
}

static void cut(struct access *a, const char *email)
{
	if (a->c.on_cut)
		a->c.on_cut(a->c.arg, email);
}

/* The address belongs to another account so far. */
static int take_over(struct access *a, const struct person_row *old, const struct identity *id, const char *address, int64_t now_s,
		     struct err *e)
{
	int r;

	if (!old->rebind && a->c.binding == BINDING_ENFORCE)
		return err_set(e, -EACCES, "%s belongs to another account of %s; an administrator can bind it anew", id->email, old->issuer);
	r = hand_over(a, old, id, e);
	if (r < 0)
		return r;
	log_warn("%s comes with another account of %s; it takes over", id->email, id->issuer);
	note(a, id->email, address, "person.taken_over", id->email, old->issuer, now_s);
	cut(a, id->email);
	return 0;
}

/* Is the address bound to this account? Makes the binding when there is none. */
static int bind_account(struct access *a, const struct identity *id, const char *address, int64_t now_s, struct who *who, struct err *e)
{
	struct person_row old, before;
	int moved, r = store_person_by_email(a->c.store, id->email, &old, e);

	if (r < 0)
		return r;
	if (r == 0 && (strcmp(old.issuer, id->issuer) != 0 || strcmp(old.subject, id->subject) != 0))
		r = take_over(a, &old, id, address, now_s, e);
	if (r < 0)
		return r;
	moved = store_person_by_account(a->c.store, id->issuer, id->subject, &before, e);
	r = moved < 0 ? moved : store_person_seen(a->c.store, id->issuer, id->subject, id->email, now_s, &who->person, e);
	if (r == 0 && moved == 0 && strcmp(before.email, id->email) != 0) {
		note(a, id->email, address, "person.moved", before.email, "", now_s);
		cut(a, before.email);
	}
	return r;
}

/* An address of the demo needs no rule, but it does need the demo: another service that vouches for it is a stranger's. */
static int check_door(const struct access *a, const struct identity *id, int64_t now_s, struct err *e)
{
	struct grant g;
	int r = auth_check(a, id->email, now_s, &g, e);

	if (r == 0 && strcmp(id->issuer, DEMO_ISSUER) != 0 &&
	    rules_decide(rulebook_rules(a->c.book), id->email, now_s).verdict == VERDICT_NO_RULE)
		return err_set(e, -EACCES, "%s: %s", id->email, verdict_name(VERDICT_NO_RULE));
	return r;
}

int access_admit(struct access *a, const struct identity *id, const char *address, int64_t now_s, struct who *who, struct err *e)
{
	int r = check_door(a, id, now_s, e);

	if (r == 0)
		r = bind_account(a, id, address, now_s, who, e);
	if (r == -EACCES)
		access_refused(a, id->email, address, e->msg, now_s);
	if (r < 0)
		return r;
	(void)snprintf(who->email, sizeof(who->email), "%s", id->email);
	note(a, id->email, address, "sign_in", id->email, id->provider, now_s);
	return 0;
}

int access_rebind(struct access *a, const char *email, const char *actor, const char *address, int64_t now_s, struct err *e)
{
	int r = store_person_allow_rebind(a->c.store, email, e);

	if (r == STORE_E_NONE)
		return err_set(e, -ENOENT, "%s has never signed in", email);
	if (r == 0)
		note(a, actor, address, "person.rebind", email, "", now_s);
	return r;
}
