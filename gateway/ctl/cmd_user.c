/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/list.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/table.h"

/* `terrarium user ...`: the list. */

#define CSV_MAX (4 << 20)
#define TEXT_MAX (64 << 20)

struct options {
	const char *operand, *socket, *role, *until, *from, *note, *machines, *cpus, *memory, *network, *search, *effect, *file, *at;
	bool json, force, dry_run;
};

#define FORCE_OPTION(o)	 { .name = "force", .flag = &(o).force, .help = "even if nobody is administrator afterwards" }

static int finish(const char *command, const struct options *o, json_t *answer, const char *words)
{
	if (o->json)
		return ctl_print_json(answer ? answer : json_object());
	json_decref(answer);
	return puts(words) != EOF ? CLI_OK : CLI_REFUSED;
	(void)command;
}

/* Numbers of a quota; absent is the default. */
static int add_number(json_t *quota, const char *member, const char *text, uint64_t unit, struct err *e)
{
	uint64_t v = 0;

	if (!text)
		return 0;
	if (ctl_number(text, UINT32_MAX, &v) < 0)
		return err_set(e, -EINVAL, "%s must be a whole number", member);
	return json_object_set_new(quota, member, json_integer((json_int_t)v * (json_int_t)unit));
}

static json_t *rule_of(const struct options *o, const char *effect, struct err *e)
{
	json_t *quota = json_object();
	json_t *rule = json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:s*}", "pattern", o->operand, "effect", effect, "role", o->role, "expires_at",
				 o->until, "not_before", o->from, "note", o->note);

	if (add_number(quota, "machines", o->machines, 1, e) < 0 || add_number(quota, "cpus", o->cpus, 1, e) < 0 ||
	    add_number(quota, "memory", o->memory, 1 << 20, e) < 0) {
		json_decref(quota);
		json_decref(rule);
		return NULL;
	}
	if (o->network)
		(void)json_object_set_new(quota, "networks", json_pack("[s]", o->network));
	(void)json_object_set_new(rule, "quota", quota);
	return rule;
}

static int put_rule(const char *command, const char *effect, const struct options *o)
{
	struct err e = { 0 };
	json_t *rule = rule_of(o, effect, &e), *answer = NULL;
	struct rest_request req = { .socket = o->socket, .method = "POST", .path = o->force ? "/api/v1/rules?force=1" : "/api/v1/rules",
				    .body = rule };
	int r = rule ? rest_call(&req, &answer, &e) : -EINVAL;

	json_decref(rule);
	return r < 0 ? ctl_refuse(command, o->json, &e) : finish(command, o, answer, effect[0] == 'a' ? "allowed" : "denied");
}

static int allow_or_deny(const char *command, const char *effect, int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "role", .text = &o.role, .value = "ROLE", .help = "user (unless given), auditor, operator or admin" },
		{ .name = "until", .text = &o.until, .value = "DATE", .help = "it ends then: 2027-01-31 or 2027-01-31T18:00:00Z" },
		{ .name = "from", .text = &o.from, .value = "DATE", .help = "it begins then" },
		{ .name = "note", .text = &o.note, .value = "TEXT", .help = "for people" },
		{ .name = "machines", .text = &o.machines, .value = "N", .help = "machines at most" },
		{ .name = "cpus", .text = &o.cpus, .value = "N", .help = "processors in all" },
		{ .name = "memory", .text = &o.memory, .value = "MIB", .help = "memory in all, in MiB" },
		{ .name = "network", .text = &o.network, .value = "NET", .help = "only nat, isolated or none" },
		{ .name = "i-mean-everyone", .flag = &o.dry_run, .help = "needed for the pattern *" },
		FORCE_OPTION(o), CTL_COMMON_OPTIONS(o), { 0 },
	};
	int r = ctl_operand(command, "PATTERN", table, argc, argv, &o.operand);

	if (r != CTL_GO)
		return r;
	if (strcmp(o.operand, "*") == 0 && effect[0] == 'a' && !o.dry_run)
		return ctl_usage(command, "* lets everybody in whom an identity service knows; say --i-mean-everyone as well");
	return put_rule(command, effect, &o);
}

int cmd_user_allow(int argc, char **argv)
{
	return allow_or_deny("user allow", "allow", argc, argv);
}

int cmd_user_deny(int argc, char **argv)
{
	return allow_or_deny("user deny", "deny", argc, argv);
}

int cmd_user_remove(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { FORCE_OPTION(o), CTL_COMMON_OPTIONS(o), { 0 } };
	char path[REST_PATH_BYTES];
	struct rest_request req = { .method = "DELETE", .path = path };
	json_t *answer = NULL;
	struct err e = { 0 };
	int r = ctl_operand("user remove", "PATTERN", table, argc, argv, &o.operand);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	if (rest_path(path, "/api/v1/rules/", o.operand, o.force ? "?force=1" : "", &e) < 0 || rest_call(&req, &answer, &e) < 0)
		return ctl_refuse("user remove", o.json, &e);
	return finish("user remove", &o, answer, "removed");
}

static int get_rule(const struct options *o, json_t **rule, struct err *e)
{
	char path[REST_PATH_BYTES];
	struct rest_request req = { .socket = o->socket, .method = "GET", .path = path };
	int r = rest_path(path, "/api/v1/rules/", o->operand, "", e);

	return r < 0 ? r : rest_call(&req, rule, e);
}

/* Read, change the date, write: only if nobody came between. */
int cmd_user_expire(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "at", .text = &o.at, .value = "DATE", .help = "when; \"never\" takes the date away", .needed = true },
		FORCE_OPTION(o), CTL_COMMON_OPTIONS(o), { 0 },
	};
	char version[32];
	struct rest_request req = { .method = "POST", .match = version };
	json_t *rule = NULL, *answer = NULL;
	struct err e = { 0 };
	int r = ctl_operand("user expire", "PATTERN", table, argc, argv, &o.operand);

	if (r != CTL_GO)
		return r;
	r = get_rule(&o, &rule, &e);
	if (r == 0) {
		(void)snprintf(version, sizeof(version), "\"%lld\"", (long long)json_integer_value(json_object_get(rule, "version")));
		(void)json_object_set_new(rule, "expires_at", strcmp(o.at, "never") == 0 ? json_null() : json_string(o.at));
		req.socket = o.socket;
		req.path = o.force ? "/api/v1/rules?force=1" : "/api/v1/rules";
		req.body = rule;
		r = rest_call(&req, &answer, &e);
	}
	json_decref(rule);
	return r < 0 ? ctl_refuse("user expire", o.json, &e) : finish("user expire", &o, answer, "changed");
}

int cmd_user_show(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	json_t *rule = NULL;
	struct err e = { 0 };
	int r = ctl_operand("user show", "PATTERN", table, argc, argv, &o.operand);

	if (r != CTL_GO)
		return r;
	return get_rule(&o, &rule, &e) < 0 ? ctl_refuse("user show", o.json, &e) : ctl_print_json(rule);
}

int cmd_user_list(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "PATTERN", "pattern" }, { "EFFECT", "effect" }, { "ROLE", "role" },	{ "UNTIL", "expires_at" },
		{ "SOURCE", "source" },	  { "BY", "created_by" }, { "NOTE", "note" },
	};
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "search", .text = &o.search, .value = "TEXT", .help = "part of the pattern or note" },
		{ .name = "effect", .text = &o.effect, .value = "EFFECT", .help = "allow or deny only" },
		{ .name = "role", .text = &o.role, .value = "ROLE", .help = "that role only" },
		CTL_COMMON_OPTIONS(o), { 0 },
	};
	char path[REST_PATH_BYTES] = "/api/v1/rules";
	struct err e = { 0 };
	int r = ctl_options("user list", table, argc, argv);

	if (r != CTL_GO)
		return r;
	if (rest_query(path, "search", o.search, &e) < 0 || rest_query(path, "effect", o.effect, &e) < 0 || rest_query(path, "role", o.role, &e) < 0)
		return ctl_refuse("user list", o.json, &e);
	return list_show("user list", o.socket, o.json, path, columns, sizeof(columns) / sizeof(columns[0]));
}

int cmd_user_people(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "EMAIL", "email" },	  { "VERDICT", "verdict" }, { "ROLE", "role" },	    { "SESSIONS", "sessions" },
		{ "MACHINES", "machines" }, { "LAST SEEN", "last_seen" }, { "ISSUER", "issuer" },
	};
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "search", .text = &o.search, .value = "TEXT", .help = "part of the address" }, CTL_COMMON_OPTIONS(o), { 0 },
	};
	char path[REST_PATH_BYTES] = "/api/v1/users";
	struct err e = { 0 };
	int r = ctl_options("user people", table, argc, argv);

	if (r != CTL_GO)
		return r;
	if (rest_query(path, "search", o.search, &e) < 0)
		return ctl_refuse("user people", o.json, &e);
	return list_show("user people", o.socket, o.json, path, columns, sizeof(columns) / sizeof(columns[0]));
}

int cmd_user_why(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	char path[REST_PATH_BYTES] = "/api/v1/why";
	struct rest_request req = { .method = "GET", .path = path };
	json_t *why = NULL, *rule, *refusal;
	struct err e = { 0 };
	int r = ctl_operand("user why", "EMAIL", table, argc, argv, &o.operand);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	if (rest_query(path, "email", o.operand, &e) < 0 || rest_call(&req, &why, &e) < 0)
		return ctl_refuse("user why", o.json, &e);
	if (o.json)
		return ctl_print_json(why);
	rule = json_object_get(why, "rule");
	refusal = json_object_get(why, "last_refusal");
	printf("%s: %s", json_string_value(json_object_get(why, "email")), json_string_value(json_object_get(why, "verdict")));
	if (json_is_object(rule))
		printf(" by the rule for %s (%s, %s)", json_string_value(json_object_get(rule, "pattern")),
		       json_string_value(json_object_get(rule, "effect")), json_string_value(json_object_get(rule, "role")));
	printf("\n");
	if (json_is_object(refusal))
		printf("last refused %s from %s: %s\n", json_string_value(json_object_get(refusal, "at")),
		       json_string_value(json_object_get(refusal, "address")), json_string_value(json_object_get(refusal, "detail")));
	json_decref(why);
	return fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

int cmd_user_import(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "file", .letter = 'f', .text = &o.file, .value = "CSV", .help = "header row with email or pattern; role, expires, note, effect", .needed = true },
		{ .name = "dry-run", .flag = &o.dry_run, .help = "say what would happen, change nothing" },
		FORCE_OPTION(o), CTL_COMMON_OPTIONS(o), { 0 },
	};
	struct rest_request req = { .method = "POST" };
	_file_ struct ctl_file file = { 0 };
	json_t *body, *answer = NULL, *bad, *item;
	struct err e = { 0 };
	size_t i;
	int r = ctl_options("user import", table, argc, argv);

	if (r != CTL_GO)
		return r;
	if (ctl_load(o.file, CSV_MAX, &file, &e) < 0)
		return ctl_refuse("user import", o.json, &e);
	body = json_pack("{s:s%, s:b}", "csv", (const char *)file.data, file.len, "dry_run", o.dry_run);
	if (!body) {
		err_set(&e, -EINVAL, "%s is not UTF-8 text", o.file);
		return ctl_refuse("user import", o.json, &e);
	}
	req.socket = o.socket;
	req.path = o.force ? "/api/v1/rules/import?force=1" : "/api/v1/rules/import";
	req.body = body;
	r = rest_call(&req, &answer, &e);
	json_decref(body);
	if (r < 0)
		return ctl_refuse("user import", o.json, &e);
	if (o.json)
		return ctl_print_json(answer);
	bad = json_object_get(answer, "bad");
	json_array_foreach(bad, i, item)
		printf("line %lld: %s\n", (long long)json_integer_value(json_object_get(item, "line")), json_string_value(json_object_get(item, "why")));
	printf("%s%lld added, %lld changed, %lld as they were, %lld bad\n", o.dry_run ? "would be: " : "",
	       (long long)json_integer_value(json_object_get(answer, "added")), (long long)json_integer_value(json_object_get(answer, "changed")),
	       (long long)json_integer_value(json_object_get(answer, "same")), (long long)json_integer_value(json_object_get(answer, "bad_count")));
	r = json_integer_value(json_object_get(answer, "bad_count")) == 0 ? CLI_OK : CLI_REFUSED;
	json_decref(answer);
	return r;
}

int cmd_user_export(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_SOCKET_OPTION(o.socket), { 0 } };
	struct rest_request req = { .method = "GET", .path = "/api/v1/rules/export" };
	struct buf out = BUF_INIT(TEXT_MAX);
	struct err e = { 0 };
	int r = ctl_options("user export", table, argc, argv);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	r = rest_text(&req, &out, &e) < 0 ? ctl_refuse("user export", false, &e) : CLI_OK;
	if (r == CLI_OK && (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0))
		r = CLI_REFUSED;
	buf_finish(&out);
	return r;
}

static int post_to_person(const char *command, const char *prefix, const char *suffix, const char *words, int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	char path[REST_PATH_BYTES];
	struct rest_request req = { .method = "POST", .path = path };
	json_t *answer = NULL;
	struct err e = { 0 };
	int r = ctl_operand(command, "EMAIL", table, argc, argv, &o.operand);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	if (rest_path(path, prefix, o.operand, suffix, &e) < 0 || rest_call(&req, &answer, &e) < 0)
		return ctl_refuse(command, o.json, &e);
	return finish(command, &o, answer, words);
}

int cmd_user_invite(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { { .name = "note", .text = &o.note, .value = "TEXT", .help = "a few words to the person" },
					    CTL_COMMON_OPTIONS(o), { 0 } };
	struct rest_request req = { .method = "POST", .path = "/api/v1/invitations" };
	json_t *body, *answer = NULL;
	struct err e = { 0 };
	int r = ctl_operand("user invite", "EMAIL", table, argc, argv, &o.operand);

	if (r != CTL_GO)
		return r;
	body = json_pack("{s:s, s:s*}", "email", o.operand, "note", o.note);
	req.socket = o.socket;
	req.body = body;
	r = rest_call(&req, &answer, &e);
	json_decref(body);
	if (r < 0)
		return ctl_refuse("user invite", o.json, &e);
	if (o.json)
		return ctl_print_json(answer);
	if (strcmp(json_string_value(json_object_get(answer, "mail")), "sending") == 0)
		printf("The mail is on its way; terrarium user invitations tells what becomes of it.\n\n");
	r = printf("%s", json_string_value(json_object_get(answer, "text")));
	json_decref(answer);
	return r > 0 && fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

int cmd_user_invitations(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "EMAIL", "email" }, { "BY", "invited_by" }, { "AT", "invited_at" }, { "MAIL", "mail" }, { "WHY", "why" },
	};
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_options("user invitations", table, argc, argv);

	return r != CTL_GO ? r : list_show("user invitations", o.socket, o.json, "/api/v1/invitations", columns, sizeof(columns) / sizeof(columns[0]));
}

int cmd_user_requests(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "EMAIL", "email" }, { "NAME", "name" }, { "AT", "asked_at" }, { "ISSUER", "issuer" }, { "REASON", "reason" },
	};
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_options("user requests", table, argc, argv);

	return r != CTL_GO ? r : list_show("user requests", o.socket, o.json, "/api/v1/access-requests", columns, sizeof(columns) / sizeof(columns[0]));
}

int cmd_user_rebind(int argc, char **argv)
{
	return post_to_person("user rebind", "/api/v1/users/", "/rebind", "the next account that proves the address takes it over", argc, argv);
}

int cmd_session_kick(int argc, char **argv)
{
	return post_to_person("session kick", "/api/v1/users/", "/kick", "sessions and terminals ended", argc, argv);
}

int cmd_session_list(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "EMAIL", "email" },	  { "ADDRESS", "address" }, { "STREAM", "stream" },    { "ROLE", "role" },
		{ "SINCE", "since" },	  { "IDLE MS", "idle_ms" }, { "BYTES IN", "bytes_in" }, { "BYTES OUT", "bytes_out" },
	};
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_options("session list", table, argc, argv);

	return r != CTL_GO ? r : list_show("session list", o.socket, o.json, "/api/v1/live", columns, sizeof(columns) / sizeof(columns[0]));
}

int cmd_user_approve(int argc, char **argv)
{
	return post_to_person("user approve", "/api/v1/access-requests/", "/approve", "let in", argc, argv);
}

int cmd_user_refuse(int argc, char **argv)
{
	return post_to_person("user refuse", "/api/v1/access-requests/", "/deny", "refused", argc, argv);
}
