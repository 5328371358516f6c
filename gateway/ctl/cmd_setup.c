/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/list.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/table.h"

/* `terrarium vm setup`, `terrarium recipe list`: what a machine begins as. */

struct options {
	const char *vm, *socket;
	bool json, again;
};

int cmd_recipe_list(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "NAME", "name" }, { "IMAGE", "image" }, { "CPUS", "cpus" }, { "MEMORY", "memory" }, { "AVAILABLE", "available" }, { "DESCRIPTION", "description" },
	};
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	int r = ctl_options("recipe list", table, argc, argv);

	return r != CTL_GO ? r : list_show("recipe list", o.socket, o.json, "/api/v1/recipes", columns, sizeof(columns) / sizeof(columns[0]));
}

/* The text of a guest: what a terminal would obey was taken out by the gateway, which need not be believed either. */
static void print_log(const char *log)
{
	for (const char *p = log; *p; p++)
		(void)putchar((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t' ? '?' : *p == 0x7f ? '?' : *p);
}

static int show(const json_t *setup)
{
	const char *step = pick_string(setup, "step"), *reason = pick_string(setup, "reason");

	print_log(pick_string(setup, "log"));
	printf("%s%s%s%s%s\n", pick_string(setup, "state"), step[0] ? " at " : "", step, reason[0] ? ": " : "", reason);
	if (fflush(stdout) != 0)
		return CLI_REFUSED;
	return strcmp(pick_string(setup, "state"), "failed") == 0 ? CLI_REFUSED : CLI_OK;
}

int cmd_vm_setup(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "again", .flag = &o.again, .help = "do it once more" },
		CTL_COMMON_OPTIONS(o),
		{ 0 },
	};
	char path[REST_PATH_BYTES], id[PICK_ID_BYTES];
	struct rest_request req = { .path = path };
	json_t *vm = NULL, *answer = NULL;
	struct err e = { 0 };
	int r = ctl_operand("vm setup", "VM", table, argc, argv, &o.vm);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	req.method = o.again ? "POST" : "GET";
	r = pick_vm(o.socket, o.vm, &vm, &e);
	if (r == 0 && pick_text(vm, "id", id, sizeof(id)) < 0)
		r = err_set(&e, -EPROTO, "the gateway's answer has no machine");
	json_decref(vm);
	if (r == 0)
		r = rest_path(path, "/api/v1/vms/", id, "/setup", &e);
	if (r == 0)
		r = rest_call(&req, &answer, &e);
	if (r < 0)
		return ctl_refuse("vm setup", o.json, &e);
	if (o.json)
		return ctl_print_json(answer);
	r = show(answer);
	json_decref(answer);
	return r;
}
