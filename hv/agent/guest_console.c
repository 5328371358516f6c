/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program on the agent's own terminal, for an agent that stands for a process of the host instead of serving a machine. The agent leads the
 * session and stays in the background; when the program has ended, so does the agent, in the same way, and the terminal hangs up.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define EXIT_NOT_RUN 127

static _Noreturn void child(char *const *argv)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	/* Its own group in front, so that the keys of the terminal reach it and not the agent. All signals are blocked still, SIGTTOU too. */
	(void)setpgid(0, 0);
	(void)tcsetpgrp(STDIN_FILENO, getpid());
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)syscall(SYS_close_range, 3U, ~0U, 0U);
	(void)execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(EXIT_NOT_RUN);
}

static void on_exit_told(struct ev_loop *ev, ev_io *w, int events)
{
	struct guest *g = w->data;

	(void)events;
	if (waitpid(g->console.pid, &g->console.status, WNOHANG) != g->console.pid)
		return;
	ev_io_stop(ev, w);
	g->console.pid_fd = fd_close(g->console.pid_fd);
	g->console.ended = true;
	loop_stop(g->loop);
}

int console_start(struct guest *g, char *const *argv)
{
	struct guest_console *c = &g->console;
	sigset_t all, before;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	c->pid = fork();
	if (c->pid == 0)
		child(argv);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (c->pid < 0)
		return -errno;
	(void)setpgid(c->pid, c->pid); /* whoever comes first */
	c->pid_fd = (int)syscall(SYS_pidfd_open, c->pid, 0U);
	if (c->pid_fd < 0)
		return -errno;
	(void)fd_cloexec(c->pid_fd, 1);
	ev_io_init(&c->on_exit, on_exit_told, c->pid_fd, EV_READ);
	c->on_exit.data = g;
	ev_io_start(g->loop->ev, &c->on_exit);
	return 0;
}

int console_hang_up(struct guest *g)
{
	g->console.asked = true;
	return g->console.pid > 0 && kill(-g->console.pid, SIGHUP) == 0 ? 0 : -ESRCH;
}

int console_end(struct guest *g)
{
	struct guest_console *c = &g->console;
	int number = c->ended && WIFSIGNALED(c->status) ? WTERMSIG(c->status) : c->ended ? 0 : SIGTERM;

	if (c->pid_fd >= 0)
		ev_io_stop(g->loop->ev, &c->on_exit);
	c->pid_fd = fd_close(c->pid_fd);
	if (number == 0)
		return WEXITSTATUS(c->status);
	if (number == SIGHUP && c->asked)
		return 0;
	(void)console_hang_up(g);
	(void)signal(number, SIG_DFL);
	(void)kill(getpid(), number);
	return 128 + number; /* one that does not end a process */
}
