/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/access.h"
#include "auth/audit.h"
#include "auth/email.h"
#include "auth/rule_csv.h"
#include "auth/rulebook.h"
#include "auth/store.h"
#include "base/err.h"
#include "gateway/api.h"
#include "gateway/doorman.h"

/* The list: read, change, import, export, and why somebody is let in or not. */

#define IMPORT_LINES_MAX 20000 /* lines whose outcome is told one by one: the answer stays under its limit */

static struct rule_actor actor_of(const struct http_call *call, char address[PEER_TEXT])
{
	char force[4];

	return (struct rule_actor){
		.email = call->who.email, .address = peer_text(&call->req->peer, address),
		.force = http_query(call->req, "force", force, sizeof(force)) == 0 && strcmp(force, "1") == 0,
	};
}

static void put_etag(struct http_call *call, const struct rule *r)
{
	http_header(call->resp, "ETag", "\"%lld\"", (long long)r->version);
}

static void no_rule(struct http_call *call)
{
	http_problem(call->resp, 404, "no_rule", "The list has no such rule.");
}

/* What the second editor needs to see: what stands there now. */
static void not_changed(struct http_call *call, int r, const char *pattern, const struct err *e)
{
	const struct api *api = call->app;
	const struct rule *now = rules_get(rulebook_rules(api->book), pattern);

	if (r == RULEBOOK_E_CONFLICT)
		http_problem_with(call->resp, 409, "conflict", json_pack("{s:o}", "current", now ? rule_json(now) : json_null()),
				  "Somebody else has changed this rule since you saw it.");
	else if (r == RULEBOOK_E_LAST_ADMIN)
		http_problem(call->resp, 409, "last_admin", "Nobody would be administrator any more; force=1 does it all the same.");
	else if (r == RULEBOOK_E_NONE)
		no_rule(call);
	else if (r == RULEBOOK_E_FULL)
		http_problem(call->resp, 409, "list_full", "The list may have %d rules; a rule for a domain takes the place of many.", RULES_MAX);
	else
		http_failed(call->resp, e);
}

/* The version that the editor saw: If-Match "7", If-None-Match *, or neither. Return: 0, or -EINVAL after a refusal. */
static int wanted_version(struct http_call *call, int64_t *out)
{
	const char *match = call->req->if_match, *none = call->req->if_none_match;
	char *end;

	*out = RULE_VERSION_ANY;
	if (none && strcmp(none, "*") == 0)
		*out = RULE_VERSION_NEW;
	if (!match)
		return 0;
	if (match[0] == '"') {
		*out = strtoll(match + 1, &end, 10);
		if (end > match + 1 && strcmp(end, "\"") == 0 && *out > 0)
			return 0;
	}
	http_problem(call->resp, 400, "bad_etag", "If-Match must be the ETag of the rule, such as \"3\".");
	return -EINVAL;
}

static int read_pattern(struct http_call *call, char out[RULE_PATTERN_BYTES])
{
	struct err e = { 0 };

	if (rule_pattern(call->id, strlen(call->id), out, &e) == 0)
		return 0;
	http_problem(call->resp, 400, "bad_pattern", "%s.", e.msg);
	return -EINVAL;
}

void api_rule_list(struct http_call *call)
{
	const struct api *api = call->app;
	char search[128] = "", effect[16] = "", role[16] = "", source[16] = "", after[RULE_PATTERN_BYTES] = "";
	struct rule_query q = { .search = search, .effect = effect, .role = role, .source = source, .after = after };
	json_t *items = NULL, *last;
	struct err e = { 0 };
	bool more = false;

	if (api_limit(call, &q.limit) < 0)
		return;
	(void)http_query(call->req, "search", search, sizeof(search));
	(void)http_query(call->req, "effect", effect, sizeof(effect));
	(void)http_query(call->req, "role", role, sizeof(role));
	(void)http_query(call->req, "source", source, sizeof(source));
	(void)http_query(call->req, "cursor", after, sizeof(after));
	if (rulebook_list(api->book, &q, &items, &more, &e) < 0) {
		http_failed(call->resp, &e);
		return;
	}
	last = more ? json_object_get(json_array_get(items, json_array_size(items) - 1), "pattern") : NULL;
	http_json(call->resp, 200, json_pack("{s:o, s:O, s:i}", "items", items, "next", last ? last : json_null(), "total",
					     (int)rules_count(rulebook_rules(api->book))));
}

void api_rule_get(struct http_call *call)
{
	const struct api *api = call->app;
	char pattern[RULE_PATTERN_BYTES];
	const struct rule *r;

	if (read_pattern(call, pattern) < 0)
		return;
	r = rules_get(rulebook_rules(api->book), pattern);
	if (!r) {
		no_rule(call);
		return;
	}
	http_json(call->resp, 200, rule_json(r));
	put_etag(call, r);
}

void api_rule_put(struct http_call *call)
{
	const struct api *api = call->app;
	char address[PEER_TEXT];
	struct rule_actor who = actor_of(call, address);
	struct rule rule;
	struct err e = { 0 };
	int64_t version;
	bool is_new;
	int r;

	if (wanted_version(call, &version) < 0)
		return;
	if (rule_from_json(&rule, call->json, &e) < 0) {
		http_problem(call->resp, 422, "bad_rule", "%s.", e.msg);
		return;
	}
	is_new = rules_get(rulebook_rules(api->book), rule.pattern) == NULL;
	r = rulebook_put(api->book, &rule, version, &who, api->now_s(), &e);
	if (r) {
		not_changed(call, r, rule.pattern, &e);
		return;
	}
	http_json(call->resp, is_new ? 201 : 200, rule_json(rules_get(rulebook_rules(api->book), rule.pattern)));
	put_etag(call, rules_get(rulebook_rules(api->book), rule.pattern));
}

void api_rule_delete(struct http_call *call)
{
	const struct api *api = call->app;
	char address[PEER_TEXT], pattern[RULE_PATTERN_BYTES];
	struct rule_actor who = actor_of(call, address);
	struct err e = { 0 };
	int64_t version;
	int r;

	if (wanted_version(call, &version) < 0 || read_pattern(call, pattern) < 0)
		return;
	r = rulebook_drop(api->book, pattern, version, &who, api->now_s(), &e);
	if (r)
		not_changed(call, r, pattern, &e);
	else
		call->resp->status = 204;
}

/* --- spreadsheets -------------------------------------------------------------------------------------------------------- */

static json_t *bad_json(const struct rule_csv *csv)
{
	json_t *list = json_array();

	for (size_t i = 0; i < csv->bad_count && i < RULE_CSV_BAD_MAX && csv->bad; i++)
		(void)json_array_append_new(list, json_pack("{s:I, s:s}", "line", (json_int_t)csv->bad[i].line, "why", csv->bad[i].why));
	return list;
}

/* What becomes of every line that can be read: [line, outcome], by line. */
static json_t *lines_json(const struct rule_csv *csv, const enum rule_outcome *outcomes)
{
	json_t *list = json_array();

	for (size_t i = 0; i < csv->count && i < IMPORT_LINES_MAX; i++)
		(void)json_array_append_new(list, json_pack("[I, s]", (json_int_t)csv->lines[i], rule_outcome_name(outcomes[i])));
	return list;
}

static void import(struct http_call *call, const struct rule_csv *csv, bool dry)
{
	const struct api *api = call->app;
	enum rule_outcome *outcomes = calloc(csv->count + 1, sizeof(*outcomes));
	int counts[RULE_OUTCOME_COUNT] = { 0 };
	char address[PEER_TEXT];
	struct rule_actor who = actor_of(call, address);
	struct err e = { 0 };
	json_t *result;
	int r = outcomes ? rulebook_import(api->book, csv->rules, csv->count, csv->fields, dry || csv->bad_count > 0, outcomes, &who, api->now_s(), &e) :
			   -ENOMEM;

	if (r) {
		free(outcomes);
		not_changed(call, r, "", &e);
		return;
	}
	for (size_t i = 0; i < csv->count; i++)
		counts[outcomes[i]]++;
	result = json_pack("{s:b, s:i, s:i, s:i, s:o, s:I, s:o}", "dry_run", dry, "added", counts[RULE_ADDED], "changed", counts[RULE_CHANGED],
			   "same", counts[RULE_SAME], "bad", bad_json(csv), "bad_count", (json_int_t)csv->bad_count, "lines",
			   lines_json(csv, outcomes));
	free(outcomes);
	if (csv->bad_count > 0 && !dry)
		http_problem_with(call->resp, 422, "bad_lines", result, "%zu lines cannot be read; nothing was changed.", csv->bad_count);
	else
		http_json(call->resp, 200, result);
}

void api_rule_import(struct http_call *call)
{
	const json_t *text = json_object_get(call->json, "csv");
	struct rule_csv csv = { 0 };
	struct err e = { 0 };

	if (!json_is_string(text)) {
		http_problem(call->resp, 400, "bad_request", "csv is needed, a text.");
		return;
	}
	if (rule_csv_read(&csv, json_string_value(text), json_string_length(text), &e) < 0)
		http_problem(call->resp, 422, "bad_csv", "%s.", e.msg);
	else
		import(call, &csv, json_is_true(json_object_get(call->json, "dry_run")));
	rule_csv_finish(&csv);
}

void api_rule_export(struct http_call *call)
{
	const struct api *api = call->app;
	char after[RULE_PATTERN_BYTES] = "";
	struct err e = { 0 };
	bool more = true;
	int r = rule_csv_head(&call->resp->body);

	call->resp->body.limit = API_EXPORT_MAX;
	while (r == 0 && more) {
		struct rule_query q = { .after = after, .limit = 500 };
		json_t *items = NULL, *item;
		size_t i;

		r = rulebook_list(api->book, &q, &items, &more, &e);
		json_array_foreach(items, i, item) {
			const char *pattern = json_string_value(json_object_get(item, "pattern"));
			const struct rule *rule = rules_get(rulebook_rules(api->book), pattern);

			(void)snprintf(after, sizeof(after), "%s", pattern);
			if (r == 0 && rule)
				r = rule_csv_row(&call->resp->body, rule);
		}
		json_decref(items);
	}
	if (r < 0) {
		http_failed(call->resp, &e);
		return;
	}
	call->resp->status = 200;
	call->resp->type = "text/csv; charset=utf-8";
	http_header(call->resp, "Content-Disposition", "attachment; filename=\"terrarium-list.csv\"");
}

/* --- why ------------------------------------------------------------------------------------------------------------------ */

static json_t *last_refusal(const struct api *api, const char *email)
{
	struct audit_query q = { .actor = email, .action = "sign_in.refused", .limit = 1 };
	json_t *items = NULL, *row = NULL;
	int64_t next;

	if (audit_list(api->audit, &q, &items, &next, NULL) == 0)
		row = json_incref(json_array_get(items, 0));
	json_decref(items);
	return row ? row : json_null();
}

void api_why(struct http_call *call)
{
	const struct api *api = call->app;
	char text[EMAIL_BYTES], email[EMAIL_BYTES];
	struct decision d;
	struct person_row person;
	struct err e = { 0 };
	json_t *known = NULL;

	if (http_query(call->req, "email", text, sizeof(text)) < 0 || email_normalise(text, strlen(text), email, &e) < 0) {
		http_problem(call->resp, 400, "bad_email", "%s.", e.msg[0] ? e.msg : "email is needed");
		return;
	}
	d = rules_decide(rulebook_rules(api->book), email, api->now_s());
	if (store_person_by_email(api->store, email, &person, &e) == 0)
		known = json_pack("{s:s, s:s, s:b}", "issuer", person.issuer, "subject", person.subject, "rebind", person.rebind);
	http_json(call->resp, 200, json_pack("{s:s, s:s, s:o, s:o, s:o}", "email", email, "verdict", verdict_name(d.verdict), "rule",
					     d.rule ? rule_json(d.rule) : json_null(), "person", known ? known : json_null(), "last_refusal",
					     last_refusal(api, email)));
}
