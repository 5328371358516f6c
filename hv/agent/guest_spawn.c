/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/entry.h"
#include "hv/agent/guest.h"

#define EXIT_NOT_RUN 127 /* as shells say it */

/* FDs of a program: near ends stay here, child ends become 0, 1 and 2. */
struct ends {
	int near_in, near_out, near_err;
	int child[3];
};

static void ends_close(struct ends *e)
{
	e->near_in = fd_close(e->near_in);
	e->near_out = fd_close(e->near_out);
	e->near_err = fd_close(e->near_err);
	for (int i = 0; i < 3; i++)
		e->child[i] = fd_close(e->child[i]);
}

static int ends_pty(struct ends *e, const struct agent_open *o)
{
	struct winsize size = { .ws_col = o->cols ? o->cols : 80, .ws_row = o->rows ? o->rows : 24 };

	if (openpty(&e->near_out, &e->child[0], NULL, NULL, &size) < 0)
		return -errno;
	e->near_in = fcntl(e->near_out, F_DUPFD_CLOEXEC, 3);
	e->child[1] = fcntl(e->child[0], F_DUPFD_CLOEXEC, 3);
	e->child[2] = fcntl(e->child[0], F_DUPFD_CLOEXEC, 3);
	if (e->near_in < 0 || e->child[1] < 0 || e->child[2] < 0)
		return -errno;
	if (fd_cloexec(e->near_out, 1) < 0 || fd_cloexec(e->child[0], 1) < 0)
		return -EBADF;
	return 0;
}

static int ends_pipes(struct ends *e, const struct agent_open *o)
{
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	e->child[0] = in[0];
	e->near_in = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	e->near_out = out[0];
	e->child[1] = out[1];
	if (o->kind == AGENT_KIND_SEALED) {
		e->child[2] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3); /* the agent's own log: nothing of it goes to the host */
		return e->child[2] < 0 ? -errno : 0;
	}
	if (pipe2(err, O_CLOEXEC) < 0)
		return -errno;
	e->near_err = err[0];
	e->child[2] = err[1];
	return 0;
}

static void limit(int which, uint64_t value)
{
	struct rlimit r = { .rlim_cur = value, .rlim_max = value };

	if (value > 0 && setrlimit((__rlimit_resource_t)which, &r) < 0)
		_exit(EXIT_NOT_RUN);
}

/*
 * In an imported image, programs are what it says. Not a sealed terminal: it needs the rights of the agent to ask for evidence.
 * Return: the directory to begin in, NULL when nobody says
 */
static const char *enter_image(const struct agent_open *o)
{
	static struct entry e; /* too large for a small stack */
	int r = o->kind == AGENT_KIND_SEALED ? -ENOENT : entry_load(&e, ENTRY_PATH);

	if (r == -ENOENT)
		return NULL;
	if (r == 0 && o->kind == AGENT_KIND_PTY)
		(void)entry_own(&e, STDIN_FILENO);
	if (r == 0)
		r = entry_enter(&e);
	if (r == 0)
		return e.cwd;
	dprintf(STDERR_FILENO, ENTRY_PATH ": %s\n", strerror(-r));
	_exit(EXIT_NOT_RUN);
}

static void set_environment(const struct agent_open *o)
{
	if (!getenv("PATH"))
		(void)setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	if (!getenv("HOME"))
		(void)setenv("HOME", "/root", 1);
	if (!getenv("SHELL"))
		(void)setenv("SHELL", access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh", 1);
	if (o->kind == AGENT_KIND_PTY)
		(void)setenv("TERM", "xterm-256color", 1);
	for (size_t i = 0; o->env[i]; i++) {
		const char *eq = strchr(o->env[i], '=');
		_free_ char *name = eq ? strndup(o->env[i], (size_t)(eq - o->env[i])) : NULL;

		if (name)
			(void)setenv(name, eq + 1, 1);
	}
}

/* This program again, in its other part (guest.c). */
static void run_sealed(const char *machine)
{
	char option[AGENT_PATH_MAX];

	(void)snprintf(option, sizeof(option), "--sealed-terminal=%s", machine);
	(void)execl("/proc/self/exe", "terrarium-agent", option, (char *)NULL);
}

static void run_program(const struct agent_open *o)
{
	char *argv[AGENT_ARGC_MAX + 1] = { 0 };
	const char *shell = getenv("SHELL"), *program = o->argv[0];
	char login[64];

	if (!program)
		program = shell ? shell : "/bin/sh";
	for (size_t i = 0; o->argv[i]; i++)
		argv[i] = strdup(o->argv[i]);
	if (!o->argv[0]) {
		const char *slash = strrchr(program, '/');

		(void)snprintf(login, sizeof(login), "-%s", slash ? slash + 1 : program);
		argv[0] = login;
	}
	(void)execvp(program, argv);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
}

/* In the child, which is one thread after fork() and may use everything. */
static _Noreturn void child(const struct agent_open *o, const int ends[3])
{
	const char *cwd;
	sigset_t none;

	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL); /* fails for KILL, STOP and the C library's own, rightly */
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setsid();
	for (int i = 0; i < 3; i++) {
		if (dup2(ends[i], i) < 0)
			_exit(EXIT_NOT_RUN);
	}
	if (o->kind == AGENT_KIND_PTY && ioctl(0, TIOCSCTTY, 0) < 0)
		_exit(EXIT_NOT_RUN);
	(void)syscall(SYS_close_range, 3U, ~0U, 0U); /* all are close-on-exec; this is for what a caller may have left open */
	cwd = enter_image(o);
	set_environment(o);
	if (o->cwd[0] || !cwd || chdir(cwd) < 0)
		cwd = o->cwd[0] ? o->cwd : getenv("HOME");
	if (chdir(cwd) < 0 && (o->cwd[0] || chdir("/") < 0)) {
		dprintf(STDERR_FILENO, "%s: %s\n", o->cwd, strerror(errno));
		_exit(EXIT_NOT_RUN);
	}
	limit(RLIMIT_CPU, o->cpu_s);
	limit(RLIMIT_AS, o->memory_bytes);
	if (o->kind == AGENT_KIND_SEALED)
		run_sealed(o->argv[0]);
	else
		run_program(o);
	_exit(EXIT_NOT_RUN);
}

/* No signal may find the agent's handlers in the child: it would be lost there. */
static pid_t fork_child(const struct agent_open *o, const int ends[3])
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		child(o, ends);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

int spawn_job(struct guest_job *j, const struct agent_open *o)
{
	struct ends e = { -1, -1, -1, { -1, -1, -1 } };
	int r = o->kind == AGENT_KIND_PTY ? ends_pty(&e, o) : ends_pipes(&e, o);

	if (r == 0)
		r = fd_nonblock(e.near_in);
	if (r == 0)
		r = fd_nonblock(e.near_out);
	if (r == 0 && e.near_err >= 0)
		r = fd_nonblock(e.near_err);
	if (r < 0)
		goto fail;
	j->pid = fork_child(o, e.child);
	if (j->pid < 0) {
		r = -errno;
		goto fail;
	}
	j->pid_fd = (int)syscall(SYS_pidfd_open, j->pid, 0U);
	if (j->pid_fd < 0) {
		r = -errno;
		(void)kill(j->pid, SIGKILL);
		goto fail;
	}
	(void)fd_cloexec(j->pid_fd, 1);
	j->in_fd = fd_take(&e.near_in);
	j->out[0].fd = fd_take(&e.near_out);
	j->out[1].fd = fd_take(&e.near_err);
	ends_close(&e);
	return 0;
fail:
	ends_close(&e);
	return r;
}
