/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/list.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/table.h"

/* `terrarium volume ...`: disks of one's own that outlive machines; with the token of `terrarium login`. */

struct options {
	const char *volume, *socket, *size, *from;
	bool json;
};

int cmd_volume_list(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "NAME", "name" }, { "SIZE", "size" }, { "TAKEN", "taken" }, { "STATE", "state" },
		{ "VM", "vm" },	    { "CREATED", "created_at" }, { "REASON", "reason" },
	};
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_options("volume list", table, argc, argv);

	return r != CTL_GO ? r : list_show("volume list", o.socket, o.json, "/api/v1/volumes", columns, sizeof(columns) / sizeof(columns[0]));
}

/* @body: consumed */
static int act(const char *command, const struct options *o, const char *method, const char *path, json_t *body)
{
	const struct rest_request req = { .socket = o->socket, .method = method, .path = path, .body = body };
	json_t *answer = NULL;
	struct err e = { 0 };
	int r = rest_call(&req, &answer, &e);

	json_decref(body);
	if (r < 0)
		return ctl_refuse(command, o->json, &e);
	if (o->json)
		return ctl_print_json(answer);
	r = printf("%s %s\n", json_string_value(json_object_get(answer, "name")), json_string_value(json_object_get(answer, "state")));
	json_decref(answer);
	return r > 0 && fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

/* MiB to bytes, as a member of @body. */
static int add_size(json_t *body, const char *text, struct err *e)
{
	uint64_t mib = 0;

	if (ctl_number(text, UINT32_MAX, &mib) < 0)
		return err_set(e, -EINVAL, "--size must be a whole number of MiB");
	return json_object_set_new(body, "size", json_integer((json_int_t)mib << 20));
}

int cmd_volume_create(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "size", .text = &o.size, .value = "MIB", .help = "size in MiB" },
		{ .name = "from", .text = &o.from, .value = "VOLUME", .help = "make it a copy of this one, which nobody may be using" },
		CTL_COMMON_OPTIONS(o),
		{ 0 },
	};
	struct err e = { 0 };
	json_t *body;
	int r = ctl_operand("volume create", "NAME", table, argc, argv, &o.volume);

	if (r != CTL_GO)
		return r;
	if (!o.size == !o.from)
		return ctl_usage("volume create", "it takes one of --size and --from");
	body = json_pack("{s:s, s:s*}", "name", o.volume, "from", o.from);
	if (o.size && add_size(body, o.size, &e) < 0) {
		json_decref(body);
		return ctl_refuse("volume create", o.json, &e);
	}
	return act("volume create", &o, "POST", "/api/v1/volumes", body);
}

int cmd_volume_grow(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "size", .text = &o.size, .value = "MIB", .help = "new size in MiB", .needed = true },
		CTL_COMMON_OPTIONS(o),
		{ 0 },
	};
	char path[REST_PATH_BYTES];
	struct err e = { 0 };
	json_t *body;
	int r = ctl_operand("volume grow", "VOLUME", table, argc, argv, &o.volume);

	if (r != CTL_GO)
		return r;
	body = json_object();
	if (add_size(body, o.size, &e) < 0 || rest_path(path, "/api/v1/volumes/", o.volume, "", &e) < 0) {
		json_decref(body);
		return ctl_refuse("volume grow", o.json, &e);
	}
	return act("volume grow", &o, "PATCH", path, body);
}

int cmd_volume_rm(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	char path[REST_PATH_BYTES];
	struct err e = { 0 };
	int r = ctl_operand("volume rm", "VOLUME", table, argc, argv, &o.volume);

	if (r != CTL_GO)
		return r;
	if (rest_path(path, "/api/v1/volumes/", o.volume, "", &e) < 0)
		return ctl_refuse("volume rm", o.json, &e);
	return act("volume rm", &o, "DELETE", path, NULL);
}
