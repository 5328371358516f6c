/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_QUOTA_H
#define GATEWAY_QUOTA_H

#include <stdint.h>

struct err;
struct quota;
struct vm_spec;

/* Does one more machine fit into what somebody may use (auth/rules.h)? Pure. */

/**
 * struct quota_use - what somebody's machines have, running or not: each may be started at any time
 * @disk_bytes: of all disks, volumes too; of the machine's own ones only those that are not in the spec beside it
 */
struct quota_use {
	uint32_t machines, cpus;
	uint64_t memory_bytes, disk_bytes;
};

enum {
	QUOTA_E_MACHINES = 1, /* as many as allowed */
	QUOTA_E_REFUSED,      /* something about this one */
};

/** quota_disk() - @bytes more of disks beside @used; @key: of what is asked for. Return: 0, or QUOTA_E_REFUSED with the numbers in @e */
int quota_disk(const struct quota *q, uint64_t used, uint64_t bytes, const char *key, struct err *e);

/** quota_check() - @spec beside @use. Return: 0, or QUOTA_E_* with the numbers in @e */
int quota_check(const struct quota *q, const struct quota_use *use, const struct vm_spec *spec, struct err *e);

#endif
