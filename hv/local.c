/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver "local": a command of this host in place of a machine; for development, tests and benchmarks. With an agent it is the agent that runs, with
 * the command as its child on the same terminal.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "hv/driver.h"

#define PIDS_MAX 256

/* Splits at spaces; there is no quoting. */
static int split(struct spawn_plan *p, const char *command)
{
	int r = 0;

	for (const char *s = command; *s && r == 0;) {
		size_t len = strcspn(s, " ");

		if (len > 0)
			r = plan_arg(p, "%.*s", (int)len, s);
		s += len + strspn(s + len, " ");
	}
	return r;
}

/* sh, bash, zsh, ...: one shell is as good as another; the helper calls the one it has "shell". */
static bool is_shell(const char *name)
{
	size_t len = strlen(name);

	return len >= 2 && strcmp(name + len - 2, "sh") == 0;
}

static int local_plan(const struct plan_input *in, struct spawn_plan *p, struct err *e)
{
	bool socket = strcmp(in->local_console, "socket") == 0;
	bool agent = in->local_agent && in->local_agent[0] != '\0';
	const char *slash;
	size_t own;

	if (!socket && strcmp(in->local_console, "pty") != 0)
		return err_set(e, -EINVAL, "local_console must be \"pty\" or \"socket\", not \"%s\"", in->local_console);
	(void)plan_want(p, socket ? NETD_FD_STDIO : NETD_FD_PTY);
	(void)plan_want(p, NETD_FD_RING);
	if (agent) {
		(void)plan_arg(p, "terrarium-agent");
		(void)plan_arg(p, "--fd=%d", plan_want(p, NETD_FD_STREAM));
		(void)plan_arg(p, "--");
	}
	own = p->argc;
	if (split(p, in->local_command) < 0)
		return err_set(e, -E2BIG, "local_command is too long");
	if (p->argc == own)
		return err_set(e, -EINVAL, "local_command is empty: name a program and its arguments");
	slash = strrchr(p->argv[0], '/');
	p->binary = agent ? in->local_agent : slash ? slash + 1 : p->argv[0];
	p->or_binary = !agent && is_shell(p->binary) ? "shell" : NULL;
	p->memory_max = in->spec->memory_bytes;
	p->cpu_percent = in->spec->cpus * 100;
	p->pids_max = PIDS_MAX;
	p->ring_bytes = in->ring_bytes;
	p->cols = in->spec->cols;
	p->rows = in->spec->rows;
	return 0;
}

static int local_attach(struct hv_vm *vm, void *instance, int *fds, const struct netd_slot_info *info, struct hv_console *console,
			struct err *e)
{
	_close_ int fd = plan_take(info, fds, NETD_FD_PTY, 0);
	_close_ int ring = plan_take(info, fds, NETD_FD_RING, 0);
	_close_ int agent = plan_take(info, fds, NETD_FD_STREAM, 0);

	(void)instance;
	console->kind = fd >= 0 ? HV_CONSOLE_PTY : HV_CONSOLE_SOCKET;
	if (fd < 0)
		fd = plan_take(info, fds, NETD_FD_STDIO, 0);
	if (fd < 0 || ring < 0)
		return err_set(e, -EPROTO, "the process has no terminal or no ring");
	console->fd = fd_take(&fd);
	console->ring_fd = fd_take(&ring);
	console->ring_bytes = info->ring_bytes;
	if (agent >= 0) {
		hv_agent_stream(vm, fd_take(&agent));
		hv_agent_here(vm);
	}
	return 0;
}

const struct hv_driver hv_driver_local = {
	.name = "local",
	.any_exit_ok = true,
	.plan = local_plan,
	.attach = local_attach,
};
