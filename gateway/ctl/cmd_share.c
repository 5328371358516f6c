/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/list.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/table.h"

/* `terrarium share ...`: links to one's own terminals. For people, so with the token of `terrarium login`. */

#define STREAM_BYTES 96

struct options {
	const char *operand, *socket, *role, *life, *email;
	bool json, open;
};

/* "90s", "30m", "8h", "7d". Return: 0 or -EINVAL with @e. */
static int read_life(const char *text, json_int_t *seconds, struct err *e)
{
	static const struct {
		char letter;
		int seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char number[16] = "";
	size_t len = strlen(text);
	uint64_t v = 0;

	for (size_t i = 0; len > 1 && len <= sizeof(number) && i < sizeof(units) / sizeof(units[0]); i++) {
		if (text[len - 1] != units[i].letter)
			continue;
		memcpy(number, text, len - 1);
		number[len - 1] = '\0';
		if (ctl_number(number, UINT32_MAX, &v) < 0)
			break;
		*seconds = (json_int_t)v * units[i].seconds;
		return 0;
	}
	return err_set(e, -EINVAL, "--for is a time such as 30m, 8h or 7d");
}

/* A machine's id stands for its console. Return: 0, or -ENOSPC with @e. */
static int stream_path(char path[REST_PATH_BYTES], const char *id, struct err *e)
{
	char stream[STREAM_BYTES];
	int n = snprintf(stream, sizeof(stream), "%s%s", id, strchr(id, '.') ? "" : ".console");

	if (n < 0 || (size_t)n >= sizeof(stream))
		return err_set(e, -ENOSPC, "%.40s... is no id of a terminal", id);
	return rest_path(path, "/api/v1/streams/", stream, "/shares", e);
}

int cmd_share_create(int argc, char **argv)
{
	struct options o = { .role = "viewer" };
	const struct ctl_option table[] = {
		{ .name = "role", .text = &o.role, .value = "ROLE", .help = "viewer (unless given), or controller: may type" },
		{ .name = "for", .text = &o.life, .value = "TIME", .help = "it ends after 30m, 8h, 7d, ...; an hour unless given" },
		{ .name = "email", .text = &o.email, .value = "EMAIL", .help = "for that person only" },
		{ .name = "open", .flag = &o.open, .help = "for people without an account, too, where the server allows that" },
		CTL_COMMON_OPTIONS(o),
		{ 0 },
	};
	char path[REST_PATH_BYTES];
	struct rest_request req = { .method = "POST", .path = path };
	json_int_t life_s = 3600;
	json_t *body, *answer = NULL;
	struct err e = { 0 };
	int r = ctl_operand("share create", "TERMINAL", table, argc, argv, &o.operand);

	if (r != CTL_GO)
		return r;
	r = o.life ? read_life(o.life, &life_s, &e) : 0;
	if (r < 0 || stream_path(path, o.operand, &e) < 0)
		return ctl_refuse("share create", o.json, &e);
	body = json_pack("{s:s, s:I, s:s*, s:b}", "role", o.role, "expires_in_s", life_s, "email", o.email, "open", (int)o.open);
	req.socket = o.socket;
	req.body = body;
	r = rest_call(&req, &answer, &e);
	json_decref(body);
	if (r < 0)
		return ctl_refuse("share create", o.json, &e);
	if (o.json)
		return ctl_print_json(answer);
	r = printf("%s\n", json_string_value(json_object_get(answer, "url")));
	json_decref(answer);
	return r > 0 && fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

int cmd_share_list(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "ID", "id" },	     { "ROLE", "role" },       { "EMAIL", "email" },  { "OPEN", "open" },
		{ "HERE", "viewers" }, { "UNTIL", "expires_at" }, { "LAST USED", "last_used" },
	};
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	char path[REST_PATH_BYTES];
	struct err e = { 0 };
	int r = ctl_operand("share list", "TERMINAL", table, argc, argv, &o.operand);

	if (r != CTL_GO)
		return r;
	if (stream_path(path, o.operand, &e) < 0)
		return ctl_refuse("share list", o.json, &e);
	return list_show("share list", o.socket, o.json, path, columns, sizeof(columns) / sizeof(columns[0]));
}

int cmd_share_revoke(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	char path[REST_PATH_BYTES];
	struct rest_request req = { .method = "DELETE", .path = path };
	json_t *answer = NULL;
	struct err e = { 0 };
	int r = ctl_operand("share revoke", "ID", table, argc, argv, &o.operand);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	if (rest_path(path, "/api/v1/shares/", o.operand, "", &e) < 0 || rest_call(&req, &answer, &e) < 0)
		return ctl_refuse("share revoke", o.json, &e);
	json_decref(answer);
	if (o.json)
		return ctl_print_json(json_object());
	return puts("taken back") != EOF ? CLI_OK : CLI_REFUSED;
}
