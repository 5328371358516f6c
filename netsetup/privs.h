/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_PRIVS_H
#define NETSETUP_PRIVS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* Capabilities that a process of ours keeps: see privs.c. */
enum privs_role { PRIVS_HELPER, PRIVS_UNDERTAKER };

/**
 * privs_drop() - keep only those capabilities of @role that we have; nothing comes back by exec or by uid 0
 *
 * Only for the calling thread and those it makes later: call it before the first one.
 * Return: 0, or negative with @e.
 */
int privs_drop(enum privs_role role, struct err *e);

/**
 * privs_can_switch() - whether uids and gids from @first on, @count of them, exist here and we may become them
 */
bool privs_can_switch(uid_t first, uint32_t count);

/**
 * privs_kvm() - whether a process of @uid may open /dev/kvm
 * @uid: 0 = runs as we do
 * @gid: set to the supplementary group it needs for that, or 0
 */
bool privs_kvm(uid_t uid, gid_t *gid);

/** privs_raise_files() - allow this process as many FDs as it may have. Return: the limit */
uint32_t privs_raise_files(void);

#endif
