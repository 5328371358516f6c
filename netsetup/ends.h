/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_ENDS_H
#define NETSETUP_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "netsetup/proto.h"

struct err;

/** struct ends_dir - directory of a process. @fd: owned, O_PATH; -1 = none. @uid: its owner; 0 = as we are */
struct ends_dir {
	int fd;
	uid_t uid;
	char path[32];
};

/**
 * struct ends - both ends of everything that a VM_SPAWN wants
 * @near:  kept by the helper and given to the gateway, at the index of its want; -1 for kinds without one
 * @child: become 3, 4, 5 ... in the process; @nchild of them. -1 marks the slot's TAP, which is not owned here
 * @stdio_fd: becomes those of 0, 1 and 2 that are set in @stdio; the others are /dev/null. -1 without any
 * @ctty:  @stdio_fd is a terminal that the process shall control
 * @dir:   of NETD_FD_DIR; ends_dir_remove() is up to whoever keeps it
 */
struct ends {
	int near[NETD_FDS_MAX], child[NETD_FDS_MAX + NETD_FILES_MAX];
	size_t nchild;
	int stdio_fd;
	bool stdio[3], ctty;
	struct ends_dir dir;
};

/**
 * ends_open() - make them
 * @uid: owner of a PTY's device; 0 = as we are
 *
 * Near ends do not block. Return: 0, or negative with @e and nothing left open.
 */
int ends_open(struct ends *out, const struct netd_vm_spawn *s, uid_t uid, struct err *e);

/** ends_files() - behind them, what the caller gives to the child; moved out of @fds */
void ends_files(struct ends *ends, int *fds, size_t count);

/** ends_close_far() - close what only the child needs */
void ends_close_far(struct ends *ends);

/** ends_dir_connect() - to its socket NETD_SOCKET_NAME. Return: an FD that does not block, or -errno */
int ends_dir_connect(const struct ends_dir *dir);

/** ends_dir_remove() - with the socket; idempotent */
void ends_dir_remove(struct ends_dir *dir);

/** ends_close() - close all, the directory is removed */
void ends_close(struct ends *ends);

#endif
