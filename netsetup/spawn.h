/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_SPAWN_H
#define NETSETUP_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "netsetup/cgroup.h"
#include "netsetup/ends.h"

struct err;

/**
 * struct spawn - one process to start; everything is borrowed
 * @path, @argv: the program; argv is passed on, never looked into
 * @uid, @groups: 0 = stays as we are
 * @tap_fd: for the -1 among ends->child
 * @null_fd: /dev/null
 * @nproc:  RLIMIT_NPROC, 0 = leave; only for a uid of its own
 * @lean: see NETD_SPAWN_LEAN
 */
struct spawn {
	const char *path;
	char *const *argv;
	uid_t uid;
	gid_t extra_gid;
	const struct ends *ends;
	int tap_fd, null_fd;
	const struct cgroup_place *place;
	uint32_t nproc;
	bool lean;
};

/**
 * spawn_start() - start it; returns once the program runs or could not be started
 * @pidfd: owned by the caller
 *
 * The process has its own session, an empty environment but PATH, HOME, TERM and LANG, no capabilities and no
 * way to get any, no FDs but its own, and dies when this process dies.
 * Return: pid, or negative with @e.
 */
pid_t spawn_start(const struct spawn *s, int *pidfd, struct err *e);

/** spawn_reap() - collect an ended process. Return: 0 and @code, @signal (0 = by exit); -EAGAIN if it runs */
int spawn_reap(int pidfd, int *code, int *signal);

/** spawn_signal() - Return: 0 or -errno; -ESRCH when it has ended */
int spawn_signal(int pidfd, int signal);

/** spawn_kill_session() - SIGKILL to every process of session @sid: the weak substitute for a control group */
void spawn_kill_session(pid_t sid);

#endif
