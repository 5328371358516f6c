/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <mbedtls/base64.h>
#include <stdio.h>
#include <string.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/list.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/table.h"
#include "hv/spec.h"

/*
 * `terrarium vm ...`: over the control socket, and with --all, everybody's machines; with the token of
 * `terrarium login` one's own.
 */

struct options {
	const char *id, *socket, *name, *image, *cpus, *memory, *network, *confidential, *host_data, *id_block, *id_auth, *driver, *disk, *home, *data, *volume, *card, *recipe, *script, *packages;
	bool json, force, all;
};

#define ALL_OPTION(o) \
	{ \
		.name = "all", .flag = &(o).all, \
		.help = "everybody's, for operators; the control socket knows no others" \
	}

static bool everybody(const struct options *o)
{
	return o->all || rest_by_socket(o->socket);
}

int cmd_vm_list(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "ID", "id" },		{ "OWNER", "owner" }, { "NAME", "name" },
		{ "STATE", "state" },	{ "IMAGE", "image" }, { "CPUS", "cpus" },
		{ "MEMORY", "memory" TABLE_BYTES }, { "IP", "ip4" },      { "SETUP", "setup.state" },
		{ "WAITS BEHIND", "waiting.before" }, { "USED", "memory_used" TABLE_BYTES },
		{ "LOAD", "health.load" }, { "FREE", "health.memory_available" TABLE_BYTES },
		{ "CREATED", "created_at" },
	};
	struct options o = { 0 };
	const struct ctl_option table[] = { ALL_OPTION(o), CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_options("vm list", table, argc, argv);

	return r != CTL_GO ?
		r :
		list_show("vm list", o.socket, o.json, everybody(&o) ? "/api/v1/admin/vms" : "/api/v1/vms",
			  columns, sizeof(columns) / sizeof(columns[0]));
}

/* Say what came of it: the machine as JSON, or its id and state. */
static int show(const char *command, const struct options *o, int r, json_t *vm, const struct err *e)
{
	const json_t *waiting;

	if (r < 0)
		return ctl_refuse(command, o->json, e);
	if (o->json)
		return ctl_print_json(vm);
	waiting = json_object_get(json_object_get(vm, "waiting"), "before");
	r = printf("%s %s", json_string_value(json_object_get(vm, "id")), json_string_value(json_object_get(vm, "state")));
	if (r > 0 && waiting)
		r = printf(", waiting, %lld before it", (long long)json_integer_value(waiting));
	if (r > 0)
		r = printf("\n");
	json_decref(vm);
	return r > 0 && fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

static int add_number(json_t *spec, const char *member, const char *text, uint64_t unit, struct err *e)
{
	uint64_t v = 0;

	if (!text)
		return 0;
	if (ctl_number(text, UINT32_MAX, &v) < 0)
		return err_set(e, -EINVAL, "--%s must be a whole number", member);
	return json_object_set_new(spec, member, json_integer((json_int_t)v * (json_int_t)unit));
}

/* A small file, in base64. */
static int add_file(json_t *spec, const char *member, const char *path, struct err *e)
{
	unsigned char text[4 * ((VM_ID_AUTH_BYTES + 2) / 3) + 1];
	_file_ struct ctl_file file = { 0 };
	size_t n;
	int r = path ? ctl_load(path, VM_ID_AUTH_BYTES, &file, e) : 0;

	if (r < 0 || !path)
		return r;
	if (mbedtls_base64_encode(text, sizeof(text), &n, file.data, file.len) != 0)
		return err_set(e, -EIO, "%s cannot be encoded", path);
	return json_object_set_new(spec, member, json_stringn((const char *)text, n));
}

#define SCRIPT_MAX 16384

static int add_script(json_t *spec, const char *path, struct err *e)
{
	_file_ struct ctl_file file = { 0 };
	json_t *text;
	int r = path ? ctl_load(strcmp(path, "-") == 0 ? "/dev/stdin" : path, SCRIPT_MAX, &file, e) : 0;

	if (r < 0 || !path)
		return r;
	text = json_stringn(file.data ? (const char *)file.data : "", file.len);
	if (!text)
		return err_set(e, -EINVAL, "%s is not UTF-8", path);
	return json_object_set_new(spec, "script", text);
}

static int add_packages(json_t *spec, const char *text, struct err *e)
{
	json_t *list = text ? json_array() : NULL;

	while (text && *text) {
		size_t n = strcspn(text, ", ");

		if (n > 0 && json_array_append_new(list, json_stringn(text, n)) < 0) {
			json_decref(list);
			return err_set(e, -EINVAL, "--packages is not UTF-8");
		}
		text += n + strspn(text + n, ", ");
	}
	return list ? json_object_set_new(spec, "packages", list) : 0;
}

int cmd_vm_create(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "name", .text = &o.name, .value = "NAME", .help = "host name of the machine" },
		{ .name = "image", .text = &o.image, .value = "IMAGE", .help = "guest image" },
		{ .name = "cpus", .text = &o.cpus, .value = "N", .help = "processors" },
		{ .name = "memory", .text = &o.memory, .value = "MIB", .help = "memory in MiB" },
		{ .name = "network", .text = &o.network, .value = "NET", .help = "nat, isolated or none" },
		{ .name = "driver", .text = &o.driver, .value = "DRIVER", .help = "cloud-hypervisor, qemu or auto" },
		{ .name = "disk", .text = &o.disk, .value = "MIB", .help = "keep what it changes, in so many MiB; without, memory does" },
		{ .name = "home", .text = &o.home, .value = "VOLUME", .help = "your volume that is its home, or yes: the one called home" },
		{ .name = "data", .text = &o.data, .value = "MIB", .help = "another disk, in MiB" },
		{ .name = "recipe", .text = &o.recipe, .value = "R", .help = "what it begins as: see recipe list" },
		{ .name = "packages", .text = &o.packages, .value = "P,P,...", .help = "Debian packages to be installed once" },
		{ .name = "script", .text = &o.script, .value = "FILE", .help = "runs once after the first boot, as root; - is standard input" },
		{ .name = "confidential", .text = &o.confidential, .value = "C", .help = "snp: sealed from the host; snp-debug; none" },
		{ .name = "host-data", .text = &o.host_data, .value = "HEX", .help = "HOST_DATA of a confidential machine; your account's unless given" },
		{ .name = "id-block", .text = &o.id_block, .value = "F", .help = "what you have signed to be launched, of snp id-block" },
		{ .name = "id-auth", .text = &o.id_auth, .value = "F", .help = "and the signature" },
		CTL_COMMON_OPTIONS(o),
		{ 0 },
	};
	struct rest_request req = { .method = "POST", .path = "/api/v1/vms" };
	json_t *spec, *answer = NULL;
	struct err e = { 0 };
	int r = ctl_options("vm create", table, argc, argv);

	if (r != CTL_GO)
		return r;
	spec = json_pack("{s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*}", "recipe", o.recipe, "name", o.name, "image", o.image, "network", o.network, "driver", o.driver,
			 "confidential", o.confidential, "host_data", o.host_data);
	r = add_file(spec, "id_block", o.id_block, &e);
	if (r == 0)
		r = add_file(spec, "id_auth", o.id_auth, &e);
	if (r == 0)
		r = add_script(spec, o.script, &e);
	if (r == 0)
		r = add_packages(spec, o.packages, &e);
	if (r == 0)
		r = add_number(spec, "cpus", o.cpus, 1, &e);
	if (r == 0)
		r = add_number(spec, "memory", o.memory, 1 << 20, &e);
	if (r == 0)
		r = add_number(spec, "disk", o.disk, 1 << 20, &e);
	if (r == 0)
		r = add_number(spec, "data", o.data, 1 << 20, &e);
	if (r == 0 && o.home)
		r = json_object_set_new(spec, "home", strcmp(o.home, "yes") == 0 ? json_true() : json_string(o.home));
	req.socket = o.socket;
	req.body = spec;
	if (r == 0)
		r = rest_call(&req, &answer, &e);
	json_decref(spec);
	return show("vm create", &o, r, answer, &e);
}

int cmd_vm_show(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	char path[REST_PATH_BYTES];
	struct rest_request req = { .method = "GET", .path = path };
	json_t *answer = NULL;
	struct err e = { 0 };
	int r = ctl_operand("vm show", "ID", table, argc, argv, &o.id);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	if (rest_path(path, "/api/v1/vms/", o.id, "", &e) < 0 || rest_call(&req, &answer, &e) < 0)
		return ctl_refuse("vm show", o.json, &e);
	return ctl_print_json(answer);
}

/* POST to @prefix of one's own machines, or of everybody's. */
static int act(const char *command, const char *method, const char *suffix, struct options *o,
	       const json_t *body)
{
	char path[REST_PATH_BYTES];
	struct rest_request req = { .socket = o->socket, .method = method, .path = path, .body = body };
	json_t *answer = NULL;
	struct err e = { 0 };
	int r = rest_path(path, everybody(o) ? "/api/v1/admin/vms/" : "/api/v1/vms/", o->id, suffix, &e);

	if (r == 0)
		r = rest_call(&req, &answer, &e);
	if (r == 0 && !answer)
		answer = json_pack("{s:s, s:s}", "id", o->id, "state", "gone");
	return show(command, o, r, answer, &e);
}

int cmd_vm_start(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_operand("vm start", "ID", table, argc, argv, &o.id);

	return r != CTL_GO ? r : act("vm start", "POST", "/start", &o, NULL);
}

int cmd_vm_suspend(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_operand("vm suspend", "ID", table, argc, argv, &o.id);

	return r != CTL_GO ? r : act("vm suspend", "POST", "/suspend", &o, NULL);
}

int cmd_vm_wake(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_operand("vm wake", "ID", table, argc, argv, &o.id);

	return r != CTL_GO ? r : act("vm wake", "POST", "/start", &o, NULL);
}

int cmd_vm_pause(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_operand("vm pause", "ID", table, argc, argv, &o.id);

	return r != CTL_GO ? r : act("vm pause", "POST", "/pause", &o, NULL);
}

int cmd_vm_resume(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_operand("vm resume", "ID", table, argc, argv, &o.id);

	return r != CTL_GO ? r : act("vm resume", "POST", "/resume", &o, NULL);
}

int cmd_vm_resize(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "cpus", .text = &o.cpus, .value = "N", .help = "processors" },
		{ .name = "memory", .text = &o.memory, .value = "MIB", .help = "memory in MiB" },
		CTL_COMMON_OPTIONS(o),
		{ 0 },
	};
	json_t *body;
	struct err e = { 0 };
	int r = ctl_operand("vm resize", "ID", table, argc, argv, &o.id);

	if (r != CTL_GO)
		return r;
	body = json_object();
	r = add_number(body, "cpus", o.cpus, 1, &e);
	if (r == 0)
		r = add_number(body, "memory", o.memory, 1 << 20, &e);
	r = r < 0 ? ctl_refuse("vm resize", o.json, &e) : act("vm resize", "PATCH", "", &o, body);
	json_decref(body);
	return r;
}

int cmd_vm_stop(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "force", .flag = &o.force, .help = "without asking the guest" },
		ALL_OPTION(o),
		CTL_COMMON_OPTIONS(o),
		{ 0 }
	};
	json_t *body;
	int r = ctl_operand("vm stop", "ID", table, argc, argv, &o.id);

	if (r != CTL_GO)
		return r;
	body = json_pack("{s:b}", "force", o.force);
	r = act("vm stop", "POST", "/stop", &o, body);
	json_decref(body);
	return r;
}

int cmd_vm_delete(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_operand("vm delete", "ID", table, argc, argv, &o.id);

	return r != CTL_GO ? r : act("vm delete", "DELETE", "", &o, NULL);
}

#define VOLUME_OPTION(o) { .name = "volume", .text = &(o).volume, .value = "VOLUME", .help = "by its name or id", .needed = true }

int cmd_vm_plug(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { VOLUME_OPTION(o), CTL_COMMON_OPTIONS(o), { 0 } };
	json_t *body;
	int r = ctl_operand("vm plug", "ID", table, argc, argv, &o.id);

	if (r != CTL_GO)
		return r;
	body = json_pack("{s:s}", "volume", o.volume);
	r = act("vm plug", "POST", "/disks", &o, body);
	json_decref(body);
	return r;
}

int cmd_vm_unplug(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { VOLUME_OPTION(o), CTL_COMMON_OPTIONS(o), { 0 } };
	char suffix[REST_PATH_BYTES] = "/disks";
	struct err e = { 0 };
	int r = ctl_operand("vm unplug", "ID", table, argc, argv, &o.id);

	if (r != CTL_GO)
		return r;
	if (rest_query(suffix, "volume", o.volume, &e) < 0)
		return ctl_refuse("vm unplug", o.json, &e);
	return act("vm unplug", "DELETE", suffix, &o, NULL);
}

int cmd_vm_card_add(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_operand("vm card-add", "ID", table, argc, argv, &o.id);

	return r != CTL_GO ? r : act("vm card-add", "POST", "/cards", &o, NULL);
}

int cmd_vm_card_remove(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { { .name = "card", .text = &o.card, .value = "N", .help = "its number", .needed = true }, CTL_COMMON_OPTIONS(o), { 0 } };
	char suffix[REST_PATH_BYTES] = "/cards";
	struct err e = { 0 };
	int r = ctl_operand("vm card-remove", "ID", table, argc, argv, &o.id);

	if (r != CTL_GO)
		return r;
	if (rest_query(suffix, "card", o.card, &e) < 0)
		return ctl_refuse("vm card-remove", o.json, &e);
	return act("vm card-remove", "DELETE", suffix, &o, NULL);
}
