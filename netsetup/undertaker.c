/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/undertaker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "netsetup/cgroup.h"
#include "netsetup/privs.h"

static _Noreturn void wait_and_bury(int fd, struct cgroups *cg)
{
	char byte;
	ssize_t n;

	(void)prctl(PR_SET_NAME, "netd-undertaker");
	/* It must survive what ends the helper: Ctrl-C at a terminal, a service manager's SIGTERM to all. */
	(void)setsid();
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	if (privs_drop(PRIVS_UNDERTAKER, NULL) < 0)
		_exit(1);
	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	cgroups_bury(cg);
	_exit(0);
}

int undertaker_start(struct undertaker *u, struct cgroups *cg, struct err *e)
{
	int ends[2];

	u->fd = -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(e, -errno, "cannot open a pipe: %s", strerror(errno));
	u->pid = fork();
	if (u->pid == 0) {
		(void)close(ends[1]);
		wait_and_bury(ends[0], cg);
	}
	(void)fd_close(ends[0]);
	u->fd = ends[1];
	if (u->pid > 0)
		return 0;
	u->fd = fd_close(u->fd);
	return err_set(e, -errno, "cannot start the process that cleans up: %s", strerror(errno));
}

void undertaker_finish(struct undertaker *u)
{
	if (u->fd < 0)
		return;
	u->fd = fd_close(u->fd);
	/* Its work is bounded, see cgroups_bury(). */
	while (waitpid(u->pid, NULL, 0) < 0 && errno == EINTR)
		;
}
