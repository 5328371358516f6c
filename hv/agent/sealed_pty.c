/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/agent/sealed_pty.h"

#include <errno.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utmp.h>

#include "base/fd.h"

#define EXIT_NOT_RUN 127

static void default_variable(const char *name, const char *value)
{
	(void)setenv(name, value, 0);
}

static _Noreturn void child(int tty, char *const *argv)
{
	const char *shell;
	char login[64];
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (login_tty(tty) < 0)
		_exit(EXIT_NOT_RUN);
	(void)syscall(SYS_close_range, 3U, ~0U, 0U);
	(void)setenv("TERM", "xterm-256color", 1);
	default_variable("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	default_variable("HOME", "/root");
	default_variable("SHELL", "/bin/sh");
	if (chdir(getenv("HOME")) < 0 && chdir("/") < 0)
		_exit(EXIT_NOT_RUN);
	if (argv[0]) {
		(void)execvp(argv[0], argv);
	} else {
		shell = getenv("SHELL");
		(void)snprintf(login, sizeof(login), "-%s", strrchr(shell, '/') ? strrchr(shell, '/') + 1 : shell);
		(void)execlp(shell, login, (char *)NULL);
	}
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0] ? argv[0] : "shell", strerror(errno));
	_exit(EXIT_NOT_RUN);
}

int sealed_pty_start(struct sealed_pty *p, char *const *argv)
{
	struct winsize size = { .ws_col = 80, .ws_row = 24 };
	_close_ int tty = -1;
	sigset_t all, before;

	*p = (struct sealed_pty){ .fd = -1, .pid_fd = -1 };
	if (openpty(&p->fd, &tty, NULL, NULL, &size) < 0)
		return -errno;
	if (fd_cloexec(p->fd, 1) < 0 || fd_nonblock(p->fd) < 0)
		return -EBADF;
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	p->pid = fork();
	if (p->pid == 0)
		child(tty, argv);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (p->pid < 0)
		return -errno;
	p->pid_fd = (int)syscall(SYS_pidfd_open, p->pid, 0U);
	return p->pid_fd < 0 ? -errno : 0;
}

void sealed_pty_resize(const struct sealed_pty *p, unsigned cols, unsigned rows)
{
	struct winsize size = { .ws_col = (unsigned short)cols, .ws_row = (unsigned short)rows };

	if (p->fd >= 0)
		(void)ioctl(p->fd, TIOCSWINSZ, &size);
}

void sealed_pty_signal(const struct sealed_pty *p, int number)
{
	pid_t front = p->fd >= 0 ? tcgetpgrp(p->fd) : -1;

	if (front > 1)
		(void)kill(-front, number);
}

void sealed_pty_remember(struct sealed_pty *p, const uint8_t *data, size_t len)
{
	if (len >= SEALED_RING_BYTES) {
		data += len - SEALED_RING_BYTES;
		p->end += len - SEALED_RING_BYTES;
		len = SEALED_RING_BYTES;
	}
	while (len > 0) {
		size_t at = (size_t)(p->end % SEALED_RING_BYTES), n = SEALED_RING_BYTES - at;

		if (n > len)
			n = len;
		memcpy(p->ring + at, data, n);
		p->end += n;
		data += n;
		len -= n;
	}
}

size_t sealed_pty_recall(const struct sealed_pty *p, uint64_t *offset, const uint8_t **data)
{
	uint64_t first = p->end > SEALED_RING_BYTES ? p->end - SEALED_RING_BYTES : 0;
	size_t at, n;

	if (*offset < first)
		*offset = first;
	at = (size_t)(*offset % SEALED_RING_BYTES);
	n = (size_t)(p->end - *offset);
	*data = p->ring + at;
	return n < SEALED_RING_BYTES - at ? n : SEALED_RING_BYTES - at;
}
