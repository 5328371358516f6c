/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/landlock.h"

#include <linux/landlock.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

int landlock_abi(void)
{
	/* landlock_create_ruleset(2): with this flag it only tells the version. */
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return v > 0 ? (int)v : 0;
}
