/* SPDX-License-Identifier: Apache-2.0 */
/* `terrarium vm exec`: starts a command in a machine, then is its stdin, stdout and stderr (gateway/ctl/exec.c). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/begin.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/exec.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/rest.h"

#define TIMEOUT_S_MAX 604800U

struct options {
	const char *vm, *cwd, *timeout, *env[CTL_LIST_MAX + 1];
	bool input;
};

static json_t *argv_json(char **argv)
{
	json_t *list = json_array();

	for (; *argv; argv++)
		(void)json_array_append_new(list, json_string(*argv));
	return list;
}

static int env_json(const struct options *o, json_t **out, struct err *e)
{
	*out = json_object();
	for (size_t i = 0; o->env[i]; i++) {
		const char *eq = strchr(o->env[i], '=');

		if (!eq || eq == o->env[i])
			return err_set(e, -EINVAL, "--env takes NAME=VALUE, not %s", o->env[i]);
		if (json_object_setn_new(*out, o->env[i], (size_t)(eq - o->env[i]), json_string(eq + 1)) < 0)
			return err_set(e, -EINVAL, "--env %s is not UTF-8", o->env[i]);
	}
	return 0;
}

static int start(const struct options *o, char **argv, char out[WIRE_STREAM_TEXT], struct err *e)
{
	char id[PICK_ID_BYTES];
	json_t *vm = NULL, *env = NULL, *body;
	uint64_t timeout_s = 0;
	int r = 0;

	if (o->timeout && (ctl_number(o->timeout, TIMEOUT_S_MAX, &timeout_s) < 0 || timeout_s == 0))
		r = err_set(e, -EINVAL, "--timeout is a whole number of seconds, a week at most");
	if (r == 0)
		r = pick_vm(NULL, o->vm, &vm, e);
	if (r == 0 && pick_text(vm, "id", id, sizeof(id)) < 0)
		r = err_set(e, -EPROTO, "the gateway's answer has no machine");
	if (r == 0)
		r = env_json(o, &env, e);
	body = json_pack("{s:s, s:o, s:s*, s:O*, s:I}", "kind", "exec", "argv", argv_json(argv), "cwd", o->cwd, "env", env, "timeout_ms",
			 (json_int_t)timeout_s * 1000);
	if (r == 0 && json_array_size(json_object_get(body, "argv")) == 0)
		r = err_set(e, -EINVAL, "the command is not UTF-8");
	if (r == 0)
		r = begin_stream(NULL, id, body, out, e);
	json_decref(body);
	json_decref(env);
	json_decref(vm);
	return r;
}

/* What stands before `--`; the command is what comes after it. */
static int own_arguments(int argc, char **argv)
{
	int n = 0;

	while (n < argc && strcmp(argv[n], "--") != 0)
		n++;
	return n;
}

int cmd_vm_exec(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "input", .letter = 'i', .flag = &o.input, .help = "give it this terminal's input; other input it gets anyway" },
		{ .name = "cwd", .text = &o.cwd, .value = "DIR", .help = "where it runs; otherwise at home" },
		{ .name = "env", .list = o.env, .value = "K=V", .help = "for its environment; may be repeated" },
		{ .name = "timeout", .text = &o.timeout, .value = "S", .help = "kill it after so many seconds" },
		{ 0 },
	};
	int own = own_arguments(argc, argv), r = ctl_operand("vm exec", "VM", table, own, argv, &o.vm);
	char stream[WIRE_STREAM_TEXT];
	struct err e = { 0 };

	if (r != CTL_GO)
		return r;
	if (own + 1 >= argc)
		return ctl_usage("vm exec", "the command is missing: terrarium vm exec VM -- COMMAND...");
	if (rest_by_socket(NULL)) {
		(void)err_set(&e, -EPERM, "the control socket runs no commands: terrarium login");
		(void)ctl_refuse("vm exec", false, &e);
		return EXEC_FAILED;
	}
	if (start(&o, argv + own + 1, stream, &e) < 0) {
		(void)ctl_refuse("vm exec", false, &e);
		return EXEC_FAILED;
	}
	return exec_run(stream, o.input || !isatty(STDIN_FILENO));
}
