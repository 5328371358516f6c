/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_SYSCTL_H
#define NETSETUP_SYSCTL_H

#include <stddef.h>

struct err;

#define SYSCTL_SAVED_MAX 16

/** struct sysctls - what was changed, to be put back; zeroed = nothing */
struct sysctls {
	struct {
		char path[96], value[16];
	} saved[SYSCTL_SAVED_MAX];
	size_t count;
};

/**
 * sysctl_set() - set /proc/sys/@path to @value and remember what it was; does nothing when it is so already
 *
 * Return: 0, or negative with @e.
 */
int sysctl_set(struct sysctls *s, const char *path, const char *value, struct err *e);

/** sysctl_restore() - put everything back, last change first; skips interfaces that are gone */
void sysctl_restore(struct sysctls *s);

#endif
