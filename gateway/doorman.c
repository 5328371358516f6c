/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/doorman.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/access.h"
#include "auth/audit.h"
#include "auth/share.h"
#include "auth/store.h"
#include "auth/token.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/attach.h"
#include "gateway/machine.h"

#define RETRY_S	 5    /* for a machine that could not be stopped while the helper was away */
#define LATEST_S 3600. /* a wall clock that is set back must not put a date off for ever */

struct doorman {
	struct doorman_config c;
	struct loop_task look;
	ev_timer date;
	int64_t now_s, until_s; /* of the look at work: the soonest date met */
};

/* Look again then, if not sooner. */
static void expect(struct doorman *d, int64_t at_s)
{
	if (at_s && (d->until_s == 0 || at_s < d->until_s))
		d->until_s = at_s;
}

static bool listed(struct doorman *d, const char *email, enum role need)
{
	struct grant g;
	bool ok = auth_check(d->c.access, email, d->now_s, &g, NULL) == 0 && g.role >= need;

	expect(d, g.until_s);
	return ok;
}

/* Who came by a share may stay as long as it is there, and its owner. */
static bool share_holds(struct doorman *d, const struct ticket_right *right)
{
	char owner[EMAIL_BYTES];
	struct share s;

	return share_get(store_db(d->c.store), right->share, d->now_s, &s, NULL) == 0 &&
	       store_person_email(d->c.store, right->owner, owner, NULL) == 0 && listed(d, owner, ROLE_USER);
}

static bool may_be_here(void *arg, const struct attach_claim *c)
{
	struct doorman *d = arg;
	bool guest = c->right->share && c->who->person == 0;

	return (guest || listed(d, c->who->email, c->need)) && (!c->right->share || share_holds(d, c->right));
}

/* The same at another time than that of a look. */
static bool may_come_in(void *arg, const struct attach_claim *c)
{
	struct doorman *d = arg;

	d->now_s = time(NULL);
	return may_be_here(d, c);
}

static void stop_machine(struct doorman *d, struct machine *m, const char *email, const char *why)
{
	const struct audit_event ev = { .actor = "system", .action = "vm.stop", .object = machine_id(m), .detail = why };
	struct err e = { 0 };
	int r = machine_stop(m, HV_STOP_ASK, &e);

	if (r == MACHINE_E_OFFLINE)
		expect(d, d->now_s + RETRY_S);
	if (r != 0)
		return;
	log_info("machine %s of %s stops: %s", machine_id(m), email, why);
	if (d->c.audit && audit_add(d->c.audit, &ev, d->now_s * 1000, &e) < 0)
		log_err("audit: %s", e.msg);
}

/* A machine stops at the end of its lifetime (0: none), or when nobody will have used it for long. */
/* One that cannot be, now or ever, runs on. */
static void put_aside(struct doorman *d, struct machine *m, const char *email)
{
	const struct audit_event ev = { .actor = "system", .action = "vm.suspend", .object = machine_id(m), .detail = "nobody has used it for long" };
	struct err e = { 0 };

	if (machine_suspend(m, &e) != 0)
		return;
	log_info("machine %s of %s is put aside: nobody has used it for long", machine_id(m), email);
	if (d->c.audit && audit_add(d->c.audit, &ev, d->now_s * 1000, &e) < 0)
		log_err("audit: %s", e.msg);
}

static void expect_end(struct doorman *d, int64_t end_s, int64_t unused_s)
{
	expect(d, end_s);
	if (d->c.idle_stop_s)
		expect(d, d->now_s + d->c.idle_stop_s - unused_s);
	if (d->c.idle_standby_s)
		expect(d, unused_s >= d->c.idle_standby_s ? d->now_s + RETRY_S : d->now_s + d->c.idle_standby_s - unused_s);
}

/* Lifetimes count from when a machine was made. @g: what its person may do, NULL for nothing any more */
static void look_at_machine(struct doorman *d, struct machine *m, const char *email, const struct grant *g)
{
	int64_t end_s = g && g->quota.lifetime_s ? machine_created_s(m) + (int64_t)g->quota.lifetime_s : 0;
	int64_t unused_s = (int64_t)(machine_unused_ms(m) / 1000);

	if (!machine_up(m))
		return;
	if (!g)
		stop_machine(d, m, email, "its person was removed");
	else if (end_s && end_s <= d->now_s)
		stop_machine(d, m, email, "its lifetime is over");
	else if (unused_s >= d->c.idle_stop_s && d->c.idle_stop_s)
		stop_machine(d, m, email, "nobody has used it for long");
	else {
		if (unused_s >= d->c.idle_standby_s && d->c.idle_standby_s)
			put_aside(d, m, email);
		expect_end(d, end_s, unused_s);
	}
}

/* Every address that has a session, a token or a machine. Return: 0 to go on. */
static int look_at_person(void *arg, int64_t person, const char *email)
{
	struct doorman *d = arg;
	struct grant g;
	struct err e = { 0 };
	bool here = auth_check(d->c.access, email, d->now_s, &g, NULL) == 0;

	expect(d, g.until_s);
	if (!here && (store_session_drop_email(d->c.store, email, &e) < 0 || token_drop_email(store_db(d->c.store), email, &e) < 0 ||
		      share_drop_email(store_db(d->c.store), email, &e) < 0))
		log_err("%s", e.msg);
	for (struct machine *m = NULL; (here || d->c.stop_machines) && (m = machine_next(d->c.machines, person, m));)
		look_at_machine(d, m, email, here ? &g : NULL);
	return 0;
}

static void arm(struct doorman *d)
{
	double wait_s = d->until_s ? (double)(d->until_s - d->now_s) : LATEST_S;

	ev_now_update(d->c.loop->ev);
	ev_timer_stop(d->c.loop->ev, &d->date);
	ev_timer_set(&d->date, wait_s < 1. ? 1. : wait_s > LATEST_S ? LATEST_S : wait_s, 0.);
	ev_timer_start(d->c.loop->ev, &d->date);
}

static void look(struct doorman *d)
{
	struct err e = { 0 };
	size_t closed;

	d->now_s = time(NULL);
	d->until_s = 0;
	closed = attach_hub_check(d->c.hub, may_be_here, d);
	if (closed)
		log_info("%zu terminals closed: access has ended", closed);
	if (store_person_each(d->c.store, look_at_person, d, &e) < 0)
		log_err("%s", e.msg);
	arm(d);
}

static void on_look(struct loop_task *t)
{
	look(container_of(t, struct doorman, look));
}

static void on_date(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev, (void)events;
	look(container_of(w, struct doorman, date));
}

struct doorman *doorman_create(const struct doorman_config *c)
{
	struct doorman *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->c = *c;
	ev_timer_init(&d->date, on_date, 0., 0.);
	attach_hub_guard(d->c.hub, may_come_in, d);
	doorman_look(d);
	return d;
}

struct doorman *doorman_destroy(struct doorman *d)
{
	if (!d)
		return NULL;
	attach_hub_guard(d->c.hub, NULL, NULL);
	loop_cancel(d->c.loop, &d->look);
	ev_timer_stop(d->c.loop->ev, &d->date);
	free(d);
	return NULL;
}

/* Called while the machine changes, so nothing is stopped here: at the earliest by the timer. */
void doorman_machine_up(struct doorman *d, const struct machine *m)
{
	char email[EMAIL_BYTES];
	struct grant g;
	int64_t until_s = d->until_s;

	if (store_person_email(d->c.store, machine_owner(m), email, NULL) != 0)
		return;
	d->now_s = time(NULL);
	if (auth_check(d->c.access, email, d->now_s, &g, NULL) < 0)
		expect(d, d->c.stop_machines ? d->now_s : 0);
	else
		expect_end(d, g.quota.lifetime_s ? machine_created_s(m) + (int64_t)g.quota.lifetime_s : 0, 0);
	if (d->until_s != until_s)
		arm(d);
}

void doorman_look(struct doorman *d)
{
	loop_defer(d->c.loop, &d->look, on_look);
}

struct kick {
	struct doorman *d;
	const char *email;
};

/* Neither this one's, nor by a share of this one's. */
static bool not_this_one(void *arg, const struct attach_claim *c)
{
	const struct kick *k = arg;
	char owner[EMAIL_BYTES];

	if (strcmp(k->email, c->who->email) == 0)
		return false;
	return !c->right->share ||
	       (store_person_email(k->d->c.store, c->right->owner, owner, NULL) == 0 && strcmp(k->email, owner) != 0);
}

long doorman_kick(struct doorman *d, const char *email)
{
	char name[EMAIL_BYTES];
	struct kick k = { .d = d, .email = name };
	struct err e = { 0 };

	(void)strncpy(name, email, sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	if (store_session_drop_email(d->c.store, name, &e) < 0 || token_drop_email(store_db(d->c.store), name, &e) < 0 ||
	    share_drop_email(store_db(d->c.store), name, &e) < 0) {
		log_err("%s", e.msg);
		return -1;
	}
	return (long)attach_hub_check(d->c.hub, not_this_one, &k);
}
