/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/list.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/table.h"
#include "hv/agent/proto.h"

/* `terrarium vm secret ...`: what a machine keeps in its memory under /run/secrets. A value comes from a file or standard input, never from the command
 * line, which everybody on this computer can read. */

struct options {
	const char *vm, *name, *socket, *file, *mode, *owner;
	bool json;
};

/* VM KEY and options, in this order or KEY last. */
static int read_operands(const char *command, const struct ctl_option *table, struct options *o, int argc, char **argv)
{
	char *own[CTL_LIST_MAX];
	int n = 0, vm = 0;

	for (int i = 0; i < argc && n < CTL_LIST_MAX; i++) {
		/* The one that follows VM. */
		if (vm > 0 && i == vm + 1 && argv[i][0] != '-' && !o->name) {
			o->name = argv[i];
			continue;
		}
		if (i == 1 && argv[i][0] != '-')
			vm = i;
		own[n++] = argv[i];
	}
	return ctl_operand(command, "VM", table, n, own, &o->vm);
}

static int secrets_path(const struct options *o, char path[REST_PATH_BYTES], struct err *e)
{
	char id[PICK_ID_BYTES], prefix[128];
	json_t *vm = NULL;
	int r = pick_vm(o->socket, o->vm, &vm, e);

	if (r == 0 && pick_text(vm, "id", id, sizeof(id)) < 0)
		r = err_set(e, -EPROTO, "the gateway's answer has no machine");
	json_decref(vm);
	if (r == 0)
		r = rest_path(path, "/api/v1/vms/", id, o->name ? "/secrets/" : "/secrets", e);
	if (r < 0 || !o->name)
		return r;
	(void)snprintf(prefix, sizeof(prefix), "%s", path);
	return rest_path(path, prefix, o->name, "", e);
}

static int read_value(const char *file, uint8_t value[AGENT_DATA_MAX + 1], size_t *len, struct err *e)
{
	FILE *in = file ? fopen(file, "re") : stdin;

	if (!in)
		return err_set(e, -errno, "%s: cannot be opened", file);
	(void)setvbuf(in, NULL, _IONBF, 0); /* no copy of it stays in a buffer of stdio */
	*len = fread(value, 1, AGENT_DATA_MAX + 1, in);
	if (ferror(in))
		(void)err_set(e, -EIO, "%s: cannot be read", file ? file : "standard input");
	else if (*len > AGENT_DATA_MAX)
		(void)err_set(e, -EFBIG, "a secret has at most %u bytes", AGENT_DATA_MAX);
	if (file)
		(void)fclose(in);
	return e->code;
}

int cmd_vm_secret_set(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "file", .text = &o.file, .value = "F", .help = "the value is what is in this file; else it is read from standard input" },
		{ .name = "mode", .text = &o.mode, .value = "MODE", .help = "of the file in the machine; 0400 unless given" },
		{ .name = "owner", .text = &o.owner, .value = "USER", .help = "whose it is in the machine; root unless given" },
		CTL_COMMON_OPTIONS(o),
		{ 0 },
	};
	static uint8_t value[AGENT_DATA_MAX + 1];
	char path[REST_PATH_BYTES];
	struct rest_request req = { .method = "PUT", .path = path, .bytes = value };
	json_t *answer = NULL;
	struct err e = { 0 };
	int r = read_operands("vm secret set", table, &o, argc, argv);

	if (r != CTL_GO)
		return r;
	if (!o.name)
		return ctl_usage("vm secret set", "KEY is missing: terrarium vm secret set VM KEY");
	r = secrets_path(&o, path, &e);
	if (r == 0)
		r = rest_query(path, "mode", o.mode, &e);
	if (r == 0)
		r = rest_query(path, "owner", o.owner, &e);
	if (r == 0)
		r = read_value(o.file, value, &req.bytes_len, &e);
	req.socket = o.socket;
	if (r == 0)
		r = rest_call(&req, &answer, &e);
	explicit_bzero(value, sizeof(value));
	json_decref(answer);
	return r < 0 ? ctl_refuse("vm secret set", o.json, &e) : CLI_OK;
}

int cmd_vm_secret_rm(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	char path[REST_PATH_BYTES];
	struct rest_request req = { .method = "DELETE", .path = path };
	json_t *answer = NULL;
	struct err e = { 0 };
	int r = read_operands("vm secret rm", table, &o, argc, argv);

	if (r != CTL_GO)
		return r;
	if (!o.name)
		return ctl_usage("vm secret rm", "KEY is missing: terrarium vm secret rm VM KEY");
	r = secrets_path(&o, path, &e);
	req.socket = o.socket;
	if (r == 0)
		r = rest_call(&req, &answer, &e);
	json_decref(answer);
	return r < 0 ? ctl_refuse("vm secret rm", o.json, &e) : CLI_OK;
}

int cmd_vm_secret_list(int argc, char **argv)
{
	static const struct table_column columns[] = { { "NAME", "name" }, { "SIZE", "size" }, { "MODE", "mode" }, { "OWNER", "owner" }, { "SET", "set_at" }, { "HELD", "held" } };
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	char path[REST_PATH_BYTES];
	struct err e = { 0 };
	int r = ctl_operand("vm secret list", "VM", table, argc, argv, &o.vm);

	if (r != CTL_GO)
		return r;
	if (secrets_path(&o, path, &e) < 0)
		return ctl_refuse("vm secret list", o.json, &e);
	return list_show("vm secret list", o.socket, o.json, path, columns, sizeof(columns) / sizeof(columns[0]));
}
