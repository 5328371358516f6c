/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/table.h"

/* `terrarium audit ...`: who did what. */

#define TEXT_MAX (64 << 20)

struct options {
	const char *socket, *actor, *action, *object, *since, *until, *limit, *head;
	bool json;
};

#define FILTER_OPTIONS(o) \
	{ .name = "actor", .text = &(o).actor, .value = "EMAIL", .help = "by whom" }, \
	{ .name = "action", .text = &(o).action, .value = "ACTION", .help = "such as sign_in.refused; with a dot at the end, all that begin so" }, \
	{ .name = "object", .text = &(o).object, .value = "WHAT", .help = "to what" }, \
	{ .name = "since", .text = &(o).since, .value = "DATE", .help = "from then on" }, \
	{ .name = "until", .text = &(o).until, .value = "DATE", .help = "before then" }, \
	CTL_SOCKET_OPTION((o).socket)

static int add_filters(char path[REST_PATH_BYTES], const struct options *o, struct err *e)
{
	return rest_query(path, "actor", o->actor, e) < 0 || rest_query(path, "action", o->action, e) < 0 ||
			       rest_query(path, "object", o->object, e) < 0 || rest_query(path, "since", o->since, e) < 0 ||
			       rest_query(path, "until", o->until, e) < 0 ?
		       -EINVAL :
		       0;
}

int cmd_audit_show(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "ID", "id" }, { "AT", "at" }, { "ACTOR", "actor" }, { "FROM", "address" }, { "ACTION", "action" }, { "OBJECT", "object" },
		{ "DETAIL", "detail" },
	};
	struct options o = { .limit = "50" };
	const struct ctl_option table[] = {
		FILTER_OPTIONS(o), { .name = "limit", .text = &o.limit, .value = "N", .help = "rows, newest first; 50 unless given, 200 at most" },
		{ .name = "json", .flag = &o.json, .help = "print JSON" }, { 0 },
	};
	char path[REST_PATH_BYTES] = "/api/v1/audit";
	struct rest_request req = { .method = "GET", .path = path };
	json_t *page = NULL;
	struct err e = { 0 };
	int r = ctl_options("audit show", table, argc, argv);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	if (add_filters(path, &o, &e) < 0 || rest_query(path, "limit", o.limit, &e) < 0 || rest_call(&req, &page, &e) < 0)
		return ctl_refuse("audit show", o.json, &e);
	if (o.json)
		return ctl_print_json(page);
	table_print(json_object_get(page, "items"), columns, sizeof(columns) / sizeof(columns[0]));
	json_decref(page);
	return fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

int cmd_audit_export(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { FILTER_OPTIONS(o), { 0 } };
	char path[REST_PATH_BYTES] = "/api/v1/audit/export";
	struct rest_request req = { .method = "GET", .path = path };
	struct buf out = BUF_INIT(TEXT_MAX);
	struct err e = { 0 };
	int r = ctl_options("audit export", table, argc, argv);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	r = add_filters(path, &o, &e) < 0 || rest_text(&req, &out, &e) < 0 ? ctl_refuse("audit export", false, &e) : CLI_OK;
	if (r == CLI_OK && out.len > 0 && fwrite(out.data, 1, out.len, stdout) != out.len)
		r = CLI_REFUSED;
	buf_finish(&out);
	return r;
}

int cmd_audit_verify(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "head", .text = &o.head, .value = "HEX", .help = "hash that the newest row must have, from the system log" },
		CTL_SOCKET_OPTION(o.socket),
		{ .name = "json", .flag = &o.json, .help = "print JSON" }, { 0 },
	};
	struct rest_request req = { .method = "GET", .path = "/api/v1/audit/verify" };
	json_t *state = NULL;
	struct err e = { 0 };
	const char *head;
	bool ok;
	int r = ctl_options("audit verify", table, argc, argv);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	if (rest_call(&req, &state, &e) < 0)
		return ctl_refuse("audit verify", o.json, &e);
	head = json_string_value(json_object_get(state, "head"));
	ok = json_is_true(json_object_get(state, "ok")) && (!o.head || (head && strcmp(o.head, head) == 0));
	if (o.json)
		(void)ctl_print_json(json_incref(state));
	else if (ok)
		printf("whole: %lld rows, head %s\n", (long long)json_integer_value(json_object_get(state, "rows")), head);
	else if (json_is_true(json_object_get(state, "ok")))
		printf("not whole: the newest row is not the one whose hash you gave; its hash is %s\n", head);
	else
		printf("not whole: row %lld: %s\n", (long long)json_integer_value(json_object_get(state, "bad")),
		       json_string_value(json_object_get(state, "why")));
	json_decref(state);
	return ok ? CLI_OK : CLI_REFUSED;
}
