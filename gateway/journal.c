/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/journal.h"

#include <ev.h>
#include <stdlib.h>
#include <time.h>

#include "auth/audit.h"
#include "auth/store.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/doorman.h"
#include "gateway/peer.h"

#define HEAD_EVERY_S 3600.
/* Rows about terminals of one account: a page that reconnects in a circle must not fill the disk. What is left
 * out is counted and told. */
#define TERMINAL_BURST 600
#define TERMINAL_MS    2000

struct journal {
	struct journal_config c;
	struct doorman *doorman; /* borrowed */
	struct peer_limit *terminals;
	uint64_t left_out;
	ev_timer head;
};

static void add(const struct journal *j, const struct audit_event *ev)
{
	struct err e = { 0 };

	if (audit_add(j->c.audit, ev, (int64_t)time(NULL) * 1000, &e) < 0)
		log_err("audit: %s", e.msg);
}

static void tell_head(const struct journal *j)
{
	char hash[2 * AUDIT_HASH_BYTES + 1];
	int64_t id = 0;

	hex_encode(audit_head(j->c.audit, &id), AUDIT_HASH_BYTES, hash);
	log_info("audit log: row %lld, head %s", (long long)id, hash);
}

static void on_hour(struct ev_loop *ev, ev_timer *w, int events)
{
	struct journal *j = container_of(w, struct journal, head);
	struct err words = { 0 };

	(void)ev, (void)events;
	if (j->left_out) {
		err_set(&words, 0, "%llu rows about terminals that were opened too often",
			(unsigned long long)j->left_out);
		add(j,
		    &(const struct audit_event){
			    .actor = "system", .action = "audit.left_out", .detail = words.msg });
		j->left_out = 0;
	}
	tell_head(j);
}

struct journal *journal_create(const struct journal_config *c)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->c = *c;
	j->terminals = peer_limit_create(TERMINAL_BURST, TERMINAL_MS);
	if (!j->terminals) {
		free(j);
		return NULL;
	}
	ev_timer_init(&j->head, on_hour, HEAD_EVERY_S, HEAD_EVERY_S);
	ev_timer_start(c->loop->ev, &j->head);
	tell_head(j);
	return j;
}

struct journal *journal_destroy(struct journal *j)
{
	if (!j)
		return NULL;
	ev_timer_stop(j->c.loop->ev, &j->head);
	tell_head(j);
	j->terminals = peer_limit_destroy(j->terminals);
	free(j);
	return NULL;
}

void journal_doorman(struct journal *j, struct doorman *d)
{
	j->doorman = d;
}

void journal_machine(void *arg, const struct machine *m, enum machine_event what, const char *reason)
{
	static const char *const actions[] = { [MACHINE_STOPPED] = "vm.stopped",
					       [MACHINE_FAILED] = "vm.failed",
					       [MACHINE_GONE] = "vm.destroyed" };
	const struct journal *j = arg;
	char email[EMAIL_BYTES] = "";
	json_t *owner;

	_Static_assert(sizeof(actions) / sizeof(actions[0]) == MACHINE_EVENT_COUNT, "an action for each event");
	/* Who asked for a start is in the row of the request; here it matters that it runs. */
	if (what == MACHINE_UP) {
		if (j->doorman)
			doorman_machine_up(j->doorman, m);
		return;
	}
	(void)store_person_email(j->c.store, machine_owner(m), email, NULL);
	owner = json_pack("{s:s}", "owner", email);
	add(j,
	    &(const struct audit_event){ .actor = "system",
					 .action = actions[what],
					 .object = machine_id(m),
					 .before = owner,
					 .detail = reason });
	json_decref(owner);
}

void journal_recording(void *arg, enum record_event what, const struct recording_row *row)
{
	static const char *const actions[] = { [RECORD_STARTED] = "recording.start", [RECORD_REFUSED] = "recording.refused",
					       [RECORD_ENDED] = "recording.end", [RECORD_EXPIRED] = "recording.expired" };
	const struct journal *j = arg;
	char email[EMAIL_BYTES] = "";
	json_t *facts;

	_Static_assert(sizeof(actions) / sizeof(actions[0]) == RECORD_EVENT_COUNT, "an action for each event");
	(void)store_person_email(j->c.store, row->owner, email, NULL);
	facts = json_pack("{s:s, s:s, s:I}", "owner", email, "stream", row->stream, "bytes", (json_int_t)row->size);
	add(j, &(const struct audit_event){ .actor = "system", .action = actions[what], .object = row->id, .after = facts, .detail = row->reason });
	json_decref(facts);
}

static bool too_often(struct journal *j, const char *email)
{
	struct peer account;
	uint64_t now_ms = loop_now_ms();

	if (peer_of_account(email, &account) < 0)
		return false;
	if (peer_limit_wait_ms(j->terminals, &account, now_ms) > 0) {
		j->left_out++;
		return true;
	}
	peer_limit_charge(j->terminals, &account, now_ms);
	return false;
}

void journal_terminal(void *arg, enum attach_change what, const struct attach_view *v)
{
	struct journal *j = arg;
	struct audit_event ev = { .actor = v->email, .address = v->address, .object = v->stream };
	json_t *facts = json_pack("{s:I, s:s}", "terminal", (json_int_t)v->id, "role",
				  v->role == ROLE_CONTROLLER ? "controller" : "viewer");

	if (v->share)
		(void)json_object_set_new(facts, "share", json_integer((json_int_t)v->share));
	if (what == ATTACH_CLOSED) {
		ev.action = "terminal.close";
		ev.detail = v->reason;
		(void)json_object_set_new(facts, "seconds", json_integer((json_int_t)time(NULL) - v->since_s));
		(void)json_object_set_new(facts, "bytes_in", json_integer((json_int_t)v->bytes_in));
		(void)json_object_set_new(facts, "bytes_out", json_integer((json_int_t)v->bytes_out));
	} else {
		ev.action = "terminal.open";
	}
	ev.after = facts;
	if (!too_often(j, v->email))
		add(j, &ev);
	json_decref(facts);
}
