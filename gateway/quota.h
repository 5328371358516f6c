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

/* What does not fit: as many machines as allowed, or a member of the request. Numbers that no other module's outcomes have, for they travel in errors. */
enum quota_refusal {
	QUOTA_E_MACHINES = 1001, QUOTA_E_CPUS, QUOTA_E_MEMORY, QUOTA_E_IMAGE, QUOTA_E_NETWORK, QUOTA_E_HOME, QUOTA_E_DISK, QUOTA_E_DATA, QUOTA_E_SIZE, QUOTA_E_FROM,
};

/** quota_field() - the member's name, of the code in an err that is from here; NULL for QUOTA_E_MACHINES and what is none of these */
const char *quota_field(int code);

/** quota_disk() - @bytes more of disks, which are asked for by @what, beside @used. Return: 0, or @what with the numbers in @e */
int quota_disk(const struct quota *q, uint64_t used, uint64_t bytes, enum quota_refusal what, struct err *e);

/** quota_check() - @spec beside @use. Return: 0, or QUOTA_E_* with the numbers in @e, whose code it is */
int quota_check(const struct quota *q, const struct quota_use *use, const struct vm_spec *spec, struct err *e);

#endif
