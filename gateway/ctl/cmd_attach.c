/* SPDX-License-Identifier: Apache-2.0 */
/* `terrarium vm attach`: finds the stream, then gives the terminal to gateway/ctl/attach.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/attach.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/rest.h"

struct options {
	const char *vm, *socket, *stream, *name;
	bool console, watch;
};

/* A new shell, as large as this terminal. Return: 0 with its id in @out */
static int open_shell(const struct options *o, const char *vm, char out[WIRE_STREAM_TEXT], struct err *e)
{
	char path[REST_PATH_BYTES];
	struct winsize size = { 0 };
	struct rest_request req = { .socket = o->socket, .method = "POST", .path = path };
	json_t *body, *answer = NULL;
	int r = rest_path(path, "/api/v1/vms/", vm, "/streams", e);

	(void)ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	body = json_pack("{s:s, s:s*, s:i, s:i}", "kind", "shell", "name", o->name, "cols", size.ws_col, "rows", size.ws_row);
	req.body = body;
	if (r == 0)
		r = rest_call(&req, &answer, e);
	if (r == 0 && pick_text(answer, "id", out, WIRE_STREAM_TEXT) < 0)
		r = err_set(e, -EPROTO, "the gateway's answer names no stream");
	json_decref(body);
	json_decref(answer);
	return r;
}

static int choose(const struct options *o, struct attach_options *a, struct err *e)
{
	json_t *vm = NULL;
	char id[PICK_ID_BYTES];
	int r = pick_vm(o->socket, o->vm, &vm, e);
	bool agent = r == 0 && strcmp(pick_string(vm, "agent"), "ready") == 0;

	if (r == 0 && pick_text(vm, "id", id, sizeof(id)) < 0)
		r = err_set(e, -EPROTO, "the gateway's answer has no machine");
	json_decref(vm);
	if (r < 0)
		return r;
	if (o->stream)
		return pick_stream(o->socket, id, o->stream, a->stream, e);
	if (o->console || (!agent && !o->name)) {
		(void)snprintf(a->stream, sizeof(a->stream), "%s.console", id);
		return 0;
	}
	return open_shell(o, id, a->stream, e);
}

int cmd_vm_attach(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "stream", .text = &o.stream, .value = "S", .help = "an open shell, by its name or id" },
		{ .name = "name", .text = &o.name, .value = "NAME", .help = "what a new shell is called" },
		{ .name = "console", .flag = &o.console, .help = "the machine's console, which is there without an agent, too" },
		{ .name = "watch", .flag = &o.watch, .help = "look on only" },
		{ .name = "socket", .text = &o.socket, .value = "PATH", .help = "control socket of the gateway: to watch anybody's" },
		{ 0 },
	};
	struct attach_options a = { 0 };
	struct err e = { 0 };
	int r = ctl_operand("vm attach", "VM", table, argc, argv, &o.vm);

	if (r != CTL_GO)
		return r;
	if ((o.stream != NULL) + o.console + (o.name != NULL) > 1)
		return ctl_usage("vm attach", "--stream, --name and --console exclude one another");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return ctl_usage("vm attach", "this is no terminal: terrarium vm exec is for programs");
	a.socket = o.socket;
	a.watch = o.watch;
	r = choose(&o, &a, &e);
	return r < 0 ? ctl_refuse("vm attach", false, &e) : attach_run(&a);
}
