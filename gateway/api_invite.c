/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/audit.h"
#include "auth/email.h"
#include "auth/invite.h"
#include "auth/rulebook.h"
#include "auth/signin.h"
#include "auth/store.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/when.h"
#include "gateway/api.h"
#include "gateway/invite_text.h"
#include "gateway/mailer.h"
#include "gateway/settings.h"

/* Inviting people: a rule when none lets them in, and words to tell them, by mail or to copy. */

/* --- what is told --- */

/* The one way in, when there is only one. */
static void only_way(const struct api *api, char out[64])
{
	json_t *list = signins_providers(api->signins);
	const char *title = json_array_size(list) == 1 ?
		json_string_value(json_object_get(json_array_get(list, 0), "title")) :
		NULL;

	(void)snprintf(out, 64, "%s", title ? title : "");
	json_decref(list);
}

struct message {
	struct buf text, html;
};

static int write_message(const struct api *api, const struct invitation *i, struct message *m)
{
	char way[64];
	const struct invite_words words = { .url = settings_base_url(api->settings),
					    .email = i->email,
					    .invited_by = i->invited_by,
					    .note = i->note,
					    .way = way };

	only_way(api, way);
	*m = (struct message){ .text = BUF_INIT(MAIL_TEXT_MAX), .html = BUF_INIT(MAIL_TEXT_MAX) };
	return invite_text(&m->text, &words) < 0 || invite_html(&m->html, &words) < 0 ? -ENOMEM : 0;
}

static void message_finish(struct message *m)
{
	buf_finish(&m->text);
	buf_finish(&m->html);
}

/* --- mail --- */

static void on_mailed(void *arg, const char *to, const char *why)
{
	struct api *api = arg;
	const struct audit_event ev = { .actor = "system",
					.action = why ? "invitation.failed" : "invitation.sent",
					.object = to,
					.detail = why };
	struct err e = { 0 };

	if (invite_mailed(store_db(api->store), to, why ? INVITE_FAILED : INVITE_SENT, why ? why : "",
			  api->now_s(), &e) < 0)
		log_err("%s", e.msg);
	if (audit_add(api->audit, &ev, api->now_s() * 1000, &e) < 0)
		log_err("audit: %s", e.msg);
}

/* Hand it to the mail server, where there is one. What becomes of it stands in @i, and later in its row. */
static void send_mail(struct api *api, struct invitation *i, const struct message *m)
{
	const struct mail mail = {
		.to = i->email, .subject = INVITE_SUBJECT, .text = m->text.data, .html = m->html.data
	};
	struct err e = { 0 };

	if (!api->mailer)
		return;
	i->mail_s = api->now_s();
	i->mail = INVITE_SENDING;
	if (mailer_send(api->mailer, &mail, on_mailed, api, &e) == 0)
		return;
	i->mail = INVITE_FAILED;
	(void)snprintf(i->why, sizeof(i->why), "%s", e.msg);
}

/* --- the rule --- */

/* See to it that the list lets @i in. Return: 1 when a rule was added, 0 when one did already, -EEXIST after a
 * refusal, else negative with @e. */
static int let_in(struct http_call *call, const struct invitation *i, struct err *e)
{
	const struct api *api = call->app;
	const struct rules *rules = rulebook_rules(api->book);
	struct decision d = rules_decide(rules, i->email, api->now_s());
	char address[PEER_TEXT];
	const struct rule_actor who = { .email = call->who.email,
					.address = peer_text(&call->req->peer, address) };
	struct rule rule = { .effect = RULE_ALLOW, .role = ROLE_USER, .source = "invitation" };
	int r;

	if (d.verdict == VERDICT_ALLOWED)
		return 0;
	if (rules_get(rules, i->email)) {
		http_problem_with(
			call->resp, 409, "rule_stands",
			json_pack("{s:o}", "current", rule_json(rules_get(rules, i->email))),
			"There is a rule for this address, and it does not let it in: change that first.");
		return -EEXIST;
	}
	(void)snprintf(rule.pattern, sizeof(rule.pattern), "%s", i->email);
	(void)snprintf(rule.note, sizeof(rule.note), "invited by %.200s", i->invited_by);
	r = rulebook_put(api->book, &rule, RULE_VERSION_NEW, &who, api->now_s(), e);
	return r == 0 ? 1 : r < 0 ? r : err_set(e, -EIO, "the rule was not taken");
}

static json_t *invitation_json(const struct invitation *i)
{
	char created[WHEN_BYTES], mailed[WHEN_BYTES];

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "email", i->email, "note", i->note,
			 "invited_by", i->invited_by, "invited_at", when_format(i->created_s, created), "mail",
			 invite_mail_name(i->mail), "mail_at",
			 i->mail_s ? json_string(when_format(i->mail_s, mailed)) : json_null(), "why", i->why);
}

int api_invite(struct http_call *call, const char *email, const char *note, json_t **out)
{
	struct api *api = call->app;
	struct invitation i = { .created_s = api->now_s() };
	struct message m = { 0 };
	struct err e = { 0 };
	int r, added;

	(void)snprintf(i.email, sizeof(i.email), "%s", email);
	(void)snprintf(i.note, sizeof(i.note), "%s", note);
	(void)snprintf(i.invited_by, sizeof(i.invited_by), "%s", call->who.email);
	added = let_in(call, &i, &e);
	if (added == -EEXIST)
		return added;
	r = added < 0 ? added : write_message(api, &i, &m);
	if (r == 0) {
		send_mail(api, &i, &m);
		r = invite_put(store_db(api->store), &i, &e);
	}
	if (r < 0) {
		http_failed(call->resp, &e);
	} else {
		api_note(call, "invitation.make", i.email, invite_mail_name(i.mail));
		*out = invitation_json(&i);
		(void)json_object_set_new(*out, "rule_added", json_boolean(added > 0));
		(void)json_object_set_new(*out, "subject", json_string(INVITE_SUBJECT));
		(void)json_object_set_new(*out, "text", json_string(m.text.data));
	}
	message_finish(&m);
	return r;
}

/* --- requests --- */

void api_invitation_make(struct http_call *call)
{
	const char *email = NULL, *note = "";
	char address[EMAIL_BYTES];
	json_t *json = NULL;
	struct err e = { 0 };

	if (json_unpack(call->json, "{s:s, s?s !}", "email", &email, "note", &note) < 0 ||
	    strlen(note) >= INVITE_NOTE_BYTES)
		http_problem(call->resp, 400, "bad_request",
			     "email is needed, and note may be a text of at most %d bytes.",
			     INVITE_NOTE_BYTES - 1);
	else if (email_normalise(email, strlen(email), address, &e) < 0)
		http_problem(call->resp, 400, "bad_email", "%s.", e.msg);
	else if (!api_account_waits(call, address, ACCOUNT_MAIL) && api_invite(call, address, note, &json) == 0)
		http_json(call->resp, 201, json);
}

static int add_invitation(void *arg, const struct invitation *i)
{
	return json_array_append_new(arg, invitation_json(i)) < 0 ? -ENOMEM : 0;
}

void api_page_of(struct http_call *call, json_t *items, bool more, int r, const struct err *e)
{
	json_t *last =
		more ? json_object_get(json_array_get(items, json_array_size(items) - 1), "email") : NULL;

	if (r < 0) {
		json_decref(items);
		http_failed(call->resp, e);
		return;
	}
	http_json(call->resp, 200, json_pack("{s:o, s:O}", "items", items, "next", last ? last : json_null()));
}

void api_invitation_list(struct http_call *call)
{
	const struct api *api = call->app;
	char after[EMAIL_BYTES] = "";
	struct err e = { 0 };
	json_t *items;
	int64_t limit = 0;
	bool more = false;
	int r;

	if (api_limit(call, &limit) < 0)
		return;
	(void)http_query(call->req, "cursor", after, sizeof(after));
	items = json_array();
	r = items ? invite_list(store_db(api->store), after, limit, add_invitation, items, &more, &e) : -ENOMEM;
	api_page_of(call, items, more, r, &e);
}

void api_invitation_drop(struct http_call *call)
{
	const struct api *api = call->app;
	struct err e = { 0 };
	int r = invite_drop(store_db(api->store), call->id, &e);

	if (r < 0)
		http_failed(call->resp, &e);
	else if (r == 0)
		http_problem(call->resp, 404, "no_invitation", "Nobody has invited that address.");
	if (r <= 0)
		return;
	api_note(call, "invitation.withdraw", call->id, "");
	call->resp->status = 204;
}
