/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/email.h"
#include "auth/share.h"
#include "auth/store.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/when.h"
#include "gateway/api.h"
#include "gateway/attach.h"
#include "gateway/machine.h"
#include "gateway/settings.h"
#include "gateway/stream.h"
#include "gateway/ticket.h"
#include "gateway/viewer.h"

/*
 * Shares of one's terminals: made, listed, changed and taken back by their owner; and the way in for others.
 *
 * Whoever has no right gets one answer, whatever the reason: a wrong secret, a link that was taken back or has
 * ended, one that is meant for somebody else. So a secret that was found tells nothing but to the right person.
 */
#define LIFE_DEFAULT_S	3600
#define TICKETS_RETRY_S 30
#define NOTE_BYTES	(EMAIL_BYTES + 96)

_Static_assert(SHARE_STREAM_BYTES >= STREAM_ID_BYTES && SHARE_VM_BYTES == MACHINE_ID_BYTES,
	       "a row holds any stream");

static struct db *rows(const struct api *api)
{
	return store_db(api->store);
}

static const char *role_name(const struct share *s)
{
	return s->controller ? "controller" : "viewer";
}

/* "share 7: viewer, for bob@example.org", for the audit log. */
static const char *in_words(const struct share *s, char out[NOTE_BYTES])
{
	(void)snprintf(out, NOTE_BYTES, "share %lld: %s, for %s", (long long)s->id, role_name(s),
		       s->open ? "anybody" : s->email[0] ? s->email : "everybody who is signed in");
	return out;
}

/* --- of one's own stream --- */

struct count {
	int64_t share, viewers;
};

static void count_viewer(void *arg, const struct attach_view *v)
{
	struct count *c = arg;

	c->viewers += v->share == c->share;
}

static json_t *share_json(const struct api *api, const struct share *s)
{
	char created[WHEN_BYTES], expires[WHEN_BYTES], used[WHEN_BYTES];
	struct count c = { .share = s->id };

	attach_hub_each(api->hub, count_viewer, &c);
	return json_pack("{s:I, s:s, s:s, s:o, s:b, s:s, s:s, s:o, s:I}", "id", (json_int_t)s->id, "stream", s->stream,
			 "role", role_name(s), "email", s->email[0] ? json_string(s->email) : json_null(), "open",
			 (int)s->open, "created_at", when_format(s->created_s, created), "expires_at",
			 when_format(s->expires_s, expires), "last_used",
			 s->used_s ? json_string(when_format(s->used_s, used)) : json_null(), "viewers",
			 (json_int_t)c.viewers);
}

static struct stream *find_stream(struct http_call *call)
{
	const struct api *api = call->app;
	struct stream *s = machine_stream_find(api->machines, call->who.person, call->id);

	if (!s)
		http_problem(call->resp, 404, "not_found", "You have no such stream.");
	return s;
}

static int read_role(const char *role, struct share *s)
{
	s->controller = strcmp(role, "controller") == 0;
	return s->controller || strcmp(role, "viewer") == 0 ? 0 : -EINVAL;
}

/* What the body asks for. Return: 0, or -EINVAL after a refusal. */
static int read_wish(struct http_call *call, struct share *s)
{
	const struct api *api = call->app;
	const char *role = "viewer";
	const json_t *email = NULL;
	json_int_t life_s = LIFE_DEFAULT_S;
	json_error_t error;
	struct err e = { 0 };
	int open = 0, r = 0;

	if (json_unpack_ex(call->json, &error, 0, "{s?s, s?I, s?o, s?b !}", "role", &role, "expires_in_s", &life_s, "email",
			   &email, "open", &open) < 0)
		r = err_set(&e, -EINVAL, "%s", error.text);
	else if (read_role(role, s) < 0)
		r = err_set(&e, -EINVAL, "role is \"controller\" or \"viewer\"");
	else if (life_s < 1 || life_s > SHARE_LIFE_MAX_S)
		r = err_set(&e, -EINVAL, "expires_in_s is from 1 to %lld: thirty days at most", SHARE_LIFE_MAX_S);
	else if (email && !json_is_null(email) && !json_is_string(email))
		r = err_set(&e, -EINVAL, "email is an address, or null");
	else if (json_is_string(email))
		r = email_normalise(json_string_value(email), json_string_length(email), s->email, &e);
	if (r == 0 && open && (s->controller || s->email[0]))
		r = err_set(&e, -EINVAL, "who comes without an account can only watch, and is nobody in particular");
	if (r < 0) {
		http_problem(call->resp, 400, "bad_request", "%s.", e.msg);
		return r;
	}
	if (open && !api->settings->share_open) {
		http_problem(call->resp, 403, "no_open_shares", "This server lets nobody in without an account (share_open).");
		return -EINVAL;
	}
	s->open = open;
	s->created_s = api->now_s();
	s->expires_s = s->created_s + life_s;
	return 0;
}

/* Answer with the new share and its link: the one time that the secret is shown. */
static void show_new(struct http_call *call, const struct share *s, const char *secret)
{
	const struct api *api = call->app;
	char words[NOTE_BYTES];
	json_t *json = share_json(api, s), *url;

	url = json_sprintf("%s/#share=%s", settings_base_url(api->settings), secret);
	(void)json_object_set_new(json, "url", url);
	api_note(call, "share.make", s->stream, in_words(s, words));
	http_json(call->resp, 201, json);
	http_header(call->resp, "Location", "/api/v1/shares/%lld", (long long)s->id);
}

void api_share_make(struct http_call *call)
{
	const struct api *api = call->app;
	struct stream *stream;
	struct share s = { .owner = call->who.person };
	char secret[SECRET_TEXT];
	struct err e = { 0 };
	int r;

	if (api_needs_person(call))
		return;
	stream = find_stream(call);
	if (stream && stream_state(stream).sealed) {
		http_problem(call->resp, 409, "sealed", "This terminal is sealed: nobody but its owner can read it.");
		return;
	}
	if (stream && stream_state(stream).command) {
		http_problem(call->resp, 409, "no_terminal", "This is a command, not a terminal.");
		return;
	}
	if (!stream || read_wish(call, &s) < 0 || api_account_waits(call, call->who.email, ACCOUNT_SHARE))
		return;
	(void)snprintf(s.stream, sizeof(s.stream), "%s", stream_id(stream));
	r = hex_decode(machine_id(machine_of_stream(stream)), s.vm, sizeof(s.vm));
	if (r == 0)
		r = share_make(rows(api), &s, secret, &e);
	if (r == SHARE_E_MANY)
		http_problem(call->resp, 409, "too_many_shares", "This terminal has %d shares; take one back that is no longer used.",
			     SHARES_PER_STREAM);
	else if (r < 0)
		http_failed(call->resp, &e);
	else
		show_new(call, &s, secret);
	explicit_bzero(secret, sizeof(secret));
}

struct listing {
	const struct api *api;
	json_t *items;
	int64_t last;
};

static int add_share(void *arg, const struct share *s)
{
	struct listing *l = arg;

	l->last = s->id;
	return json_array_append_new(l->items, share_json(l->api, s)) < 0 ? -ENOMEM : 0;
}

void api_share_list(struct http_call *call)
{
	const struct api *api = call->app;
	struct listing l = { .api = api };
	const struct stream *stream;
	char cursor[24] = "0";
	int64_t limit = 0;
	bool more = false;
	struct err e = { 0 };
	int r;

	if (api_needs_person(call) || api_limit(call, &limit) < 0)
		return;
	stream = find_stream(call);
	if (!stream)
		return;
	(void)http_query(call->req, "cursor", cursor, sizeof(cursor));
	l.items = json_array();
	r = l.items ? share_list(rows(api), stream_id(stream), api->now_s(), strtoll(cursor, NULL, 10), limit, add_share, &l,
				 &more, &e) :
		      -ENOMEM;
	if (r < 0) {
		json_decref(l.items);
		http_failed(call->resp, &e);
		return;
	}
	http_json(call->resp, 200,
		  json_pack("{s:o, s:o}", "items", l.items, "next",
			    more ? json_sprintf("%lld", (long long)l.last) : json_null()));
}

/* --- one share of one's own --- */

/* Return: 0; else after a refusal. */
static int find_share(struct http_call *call, struct share *s)
{
	const struct api *api = call->app;
	struct err e = { 0 };
	char *end;
	int64_t id = strtoll(call->id, &end, 10);
	int r = *end || end == call->id ? SHARE_E_NONE : share_get(rows(api), id, api->now_s(), s, &e);

	if (r == 0 && s->owner != call->who.person)
		r = SHARE_E_NONE;
	if (r < 0)
		http_failed(call->resp, &e);
	else if (r > 0)
		http_problem(call->resp, 404, "not_found", "You have no such share.");
	return r;
}

static int take_back(struct http_call *call, const struct share *s, const char *why)
{
	const struct api *api = call->app;
	char words[NOTE_BYTES];
	struct err e = { 0 };

	if (share_drop(rows(api), s->id, &e) < 0) {
		http_failed(call->resp, &e);
		return -EIO;
	}
	attach_hub_end_share(api->hub, s->id, why);
	api_note(call, "share.revoke", s->stream, in_words(s, words));
	return 0;
}

void api_share_drop(struct http_call *call)
{
	struct share s;

	if (!api_needs_person(call) && find_share(call, &s) == 0 && take_back(call, &s, "the link was taken back") == 0)
		call->resp->status = 204;
}

void api_share_change(struct http_call *call)
{
	const struct api *api = call->app;
	const char *role = NULL;
	char words[NOTE_BYTES];
	struct err e = { 0 };
	struct share s;

	if (api_needs_person(call) || find_share(call, &s) != 0)
		return;
	if (json_unpack(call->json, "{s:s !}", "role", &role) < 0 || read_role(role, &s) < 0 || (s.open && s.controller)) {
		http_problem(call->resp, 400, "bad_request",
			     "role is \"controller\" or \"viewer\"; a share that is open to everybody is for viewers.");
		return;
	}
	if (share_set_role(rows(api), s.id, s.controller, &e) < 0) {
		http_failed(call->resp, &e);
		return;
	}
	attach_hub_set_share_role(api->hub, s.id, s.controller ? ROLE_CONTROLLER : ROLE_VIEWER);
	api_note(call, "share.change", s.stream, in_words(&s, words));
	http_json(call->resp, 200, share_json(api, &s));
}

/* --- coming in --- */

static void charge(const struct http_call *call)
{
	const struct api *api = call->app;

	if (api->share_limit)
		peer_limit_charge(api->share_limit, &call->req->peer, api->now_ms());
}

/* One answer for every reason; each counts for the address. */
static void no_way_in(struct http_call *call)
{
	charge(call);
	http_problem(call->resp, 403, "bad_share",
		     "This link does not lead anywhere (any more): it was taken back, has ended, or is meant for somebody else.");
}

/* May the caller come in by this share? A guest: nobody is signed in. Return: 1, 0, or negative with @e. */
static int admits(const struct http_call *call, const struct share *s, bool guest, struct err *e)
{
	const struct api *api = call->app;
	int r;

	if (guest)
		return s->open && api->settings->share_open;
	if (s->email[0] && strcmp(s->email, call->who.email) != 0)
		return 0;
	r = share_is_shut(rows(api), s->id, call->who.email, e);
	return r < 0 ? r : !r;
}

/* Who asks. Return: false after a refusal. */
static bool know_caller(struct http_call *call, bool *guest)
{
	const struct api *api = call->app;
	struct err e = { 0 };
	int r = api_identify(call, &e);

	*guest = r > 0;
	if (r < 0)
		http_failed(call->resp, &e);
	else if (r > 0 && (!api->settings->share_open || http_bearer(call->req)))
		api_session_nobody(call);
	else if (r > 0)
		call->who = (struct who){ .email = HTTP_GUEST };
	else if (call->who.bearer && !(call->who.scopes & SCOPE_VM))
		http_problem(call->resp, 403, "wrong_scope", "This token is not for terminals; its scopes say what it is for.");
	else
		return !api_needs_person(call) && !api_account_waits(call, call->who.email, ACCOUNT_SHARE);
	return *guest && call->resp->status == 0;
}

static bool waits(struct http_call *call)
{
	const struct api *api = call->app;
	uint64_t wait_ms = api->share_limit ? peer_limit_wait_ms(api->share_limit, &call->req->peer, api->now_ms()) : 0;

	if (wait_ms == 0)
		return false;
	http_problem(call->resp, 429, "slow_down", "Too many tries with links from your address; wait a little.");
	http_header(call->resp, "Retry-After", "%llu", (unsigned long long)(wait_ms + 999) / 1000);
	return true;
}

/* The owner may have been cut off this very moment. */
static bool still_holds(const struct http_call *call, const struct share *s)
{
	const struct api *api = call->app;
	const struct ticket_right right = { .share = s->id, .owner = s->owner };

	return attach_hub_allows(api->hub, &(const struct attach_claim){ .who = &call->who, .right = &right });
}

/* The share whose secret the body holds, if it is for the caller. Return: its stream, or NULL after a refusal. */
static struct stream *come_in(struct http_call *call, struct share *s)
{
	const struct api *api = call->app;
	struct stream *stream = NULL;
	const char *secret = NULL;
	struct err e = { 0 };
	bool guest;
	int r;

	if (waits(call) || !know_caller(call, &guest))
		return NULL;
	if (json_unpack(call->json, "{s:s !}", "secret", &secret) < 0) {
		http_problem(call->resp, 400, "bad_request", "secret is needed: what follows #share= in the link.");
		return NULL;
	}
	r = share_find(rows(api), secret, api->now_s(), s, &e);
	if (r == 0)
		r = admits(call, s, guest, &e);
	else if (r > 0)
		r = 0;
	if (r > 0 && still_holds(call, s))
		stream = machine_stream_find(api->machines, s->owner, s->stream);
	if (r < 0)
		http_failed(call->resp, &e);
	else if (!stream && guest)
		api_session_nobody(call); /* perhaps it is for somebody, who has not said who */
	else if (!stream)
		no_way_in(call);
	/* Nobody in particular is counted by address, for good tries too. */
	if (guest)
		charge(call);
	return stream;
}

void api_share_redeem(struct http_call *call)
{
	const struct api *api = call->app;
	struct share s;
	struct stream *stream = come_in(call, &s);
	char owner[EMAIL_BYTES] = "", expires[WHEN_BYTES], words[NOTE_BYTES];
	json_t *vm;
	struct err e = { 0 };

	if (!stream)
		return;
	if (share_used(rows(api), s.id, api->now_s(), &e) < 0)
		log_warn("%s", e.msg);
	(void)store_person_email(api->store, s.owner, owner, NULL);
	api_note(call, "share.redeem", s.stream, in_words(&s, words));
	vm = machine_json(machine_of_stream(stream));
	http_json(call->resp, 200,
		  json_pack("{s:I, s:s, s:O?, s:s, s:s, s:s, s:s, s:b, s:o}", "id", (json_int_t)s.id, "stream", s.stream, "name",
			    json_object_get(vm, "name"), "role", role_name(&s), "owner", owner, "you", call->who.email,
			    "expires_at", when_format(s.expires_s, expires), "guest", call->who.person == 0, "tickets",
			    json_sprintf("/api/v1/shares/%lld/tickets", (long long)s.id)));
	json_decref(vm);
}

void api_share_ticket(struct http_call *call)
{
	const struct api *api = call->app;
	struct share s;
	const struct stream *stream = come_in(call, &s);
	struct ticket_right right = { 0 };
	char ticket[TICKET_TEXT];
	int r;

	if (!stream)
		return;
	right = (struct ticket_right){ .role = s.controller ? ROLE_CONTROLLER : ROLE_VIEWER, .share = s.id, .owner = s.owner,
				       .ends_s = s.expires_s };
	if (strtoll(call->id, NULL, 10) != s.id) {
		no_way_in(call);
		return;
	}
	r = ticket_issue_for(api->tickets, &call->who, s.stream, &right, api->now_ms(), ticket);
	if (r == 0) {
		http_json(call->resp, 201, json_pack("{s:s, s:i}", "ticket", ticket, "expires_in_ms", TICKET_LIFE_MS));
	} else if (r == -EAGAIN) {
		http_problem(call->resp, 429, "slow_down", "Too many unused tickets; attach with one, or wait.");
		http_header(call->resp, "Retry-After", "%d", TICKETS_RETRY_S);
	} else {
		http_problem(call->resp, 503, "overloaded", "No randomness for a ticket; try again.");
	}
}

/* --- sending somebody away --- */

struct search {
	uint64_t id;
	bool found;
	int64_t share;
	char email[EMAIL_BYTES];
};

static void look_for(void *arg, const struct attach_view *v)
{
	struct search *s = arg;

	if (v->id != s->id)
		return;
	s->found = true;
	s->share = v->share;
	(void)snprintf(s->email, sizeof(s->email), "%s", v->email);
}

/* A guest has no name by which to keep him out: the link goes instead. */
void api_viewer_remove(struct http_call *call)
{
	const struct api *api = call->app;
	struct search w = { .id = strtoull(call->id, NULL, 10) };
	char words[NOTE_BYTES];
	struct err e = { 0 };
	struct share s;
	int r = SHARE_E_NONE;

	if (api_needs_person(call))
		return;
	attach_hub_each(api->hub, look_for, &w);
	if (w.found && w.share)
		r = share_get(rows(api), w.share, api->now_s(), &s, &e);
	if (r < 0)
		http_failed(call->resp, &e);
	else if (r > 0 || s.owner != call->who.person)
		http_problem(call->resp, 404, "not_found", "Nobody of that number looks on by a link of yours.");
	if (r != 0 || call->resp->status)
		return;
	if (strcmp(w.email, HTTP_GUEST) == 0) {
		r = take_back(call, &s, "the link was taken back");
	} else {
		r = share_shut(rows(api), s.id, w.email, &e);
		if (r < 0)
			http_failed(call->resp, &e);
		else
			attach_hub_send_away(api->hub, s.id, w.email, "the owner of this terminal has sent you away");
		(void)snprintf(words, sizeof(words), "share %lld: %s", (long long)s.id, w.email);
		if (r == 0)
			api_note(call, "share.send_away", s.stream, words);
	}
	if (r == 0)
		call->resp->status = 204;
}
