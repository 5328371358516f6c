/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include <stdio.h>
#include <string.h>

#include "auth/rules.h"
#include "base/err.h"
#include "gateway/quota.h"
#include "hv/spec.h"

#define MIB (1ULL << 20)

static const struct {
	const char *why; /* part of the words, NULL when it fits */
	int result;
	struct quota q;
	struct quota_use use;
	struct vm_spec spec;
} rows[] = {
	{ NULL, 0, { 0 }, { 100, 100, 1000 * MIB, 0 }, { .cpus = 8, .memory_bytes = MIB } },
	{ NULL, 0, { .machines = 2 }, { 1, 1, 0, 0 }, { .cpus = 1 } },
	{ "you have 2 of 2 machines", QUOTA_E_MACHINES, { .machines = 2 }, { 2, 2, 0, 0 }, { .cpus = 1 } },
	{ "you have 3 of 2 machines", QUOTA_E_MACHINES, { .machines = 2 }, { 3, 2, 0, 0 }, { .cpus = 1 } },
	{ "you have 1 of 1 machine",
	  QUOTA_E_MACHINES,
	  { .machines = 1, .cpus = 1 },
	  { 1, 1, 0, 0 },
	  { .cpus = 8 } },
	{ NULL, 0, { .cpus = 4 }, { 1, 2, 0, 0 }, { .cpus = 2 } },
	{ "needs 2 processors; your others have 3, and you may have 4",
	  QUOTA_E_CPUS,
	  { .cpus = 4 },
	  { 1, 3, 0, 0 },
	  { .cpus = 2 } },
	{ NULL, 0, { .memory_bytes = 512 * MIB }, { 1, 0, 256 * MIB, 0 }, { .memory_bytes = 256 * MIB } },
	{ "needs 256 MiB of memory; your others have 257, and you may have 512",
	  QUOTA_E_MEMORY,
	  { .memory_bytes = 512 * MIB },
	  { 1, 0, 257 * MIB, 0 },
	  { .memory_bytes = 256 * MIB } },
	{ NULL, 0, { .disk_bytes = 64 * MIB }, { 1, 0, 0, 32 * MIB }, { .overlay_bytes = 16 * MIB, .data_bytes = 16 * MIB } },
	{ NULL, 0, { .disk_bytes = 64 * MIB }, { 1, 0, 0, 65 * MIB }, { .cpus = 1 } }, /* what there is counts, and is no reason */
	{ "disk: this needs 33 MiB of disk; you have 32 already, and may have 64",
	  QUOTA_E_DISK,
	  { .disk_bytes = 64 * MIB },
	  { 1, 0, 0, 32 * MIB },
	  { .overlay_bytes = 16 * MIB, .data_bytes = 17 * MIB } },
	{ NULL, 0, { .images = "micro,debian" }, { 0 }, { .image = "debian" } },
	{ NULL, 0, { .images = "micro, debian" }, { 0 }, { .image = "debian" } },
	{ "may not have the image deb; you may have: micro,debian",
	  QUOTA_E_IMAGE,
	  { .images = "micro,debian" },
	  { 0 },
	  { .image = "deb" } },
	{ NULL, 0, { .networks = 1 << VM_NET_NONE }, { 0 }, { .net = VM_NET_NONE } },
	{ "may not have the network nat; you may have: isolated, none",
	  QUOTA_E_NETWORK,
	  { .networks = 1 << VM_NET_NONE | 1 << VM_NET_ISOLATED },
	  { 0 },
	  { .net = VM_NET_NAT } },
};

static void quotas(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = { 0 };
		int r = quota_check(&rows[i].q, &rows[i].use, &rows[i].spec, &e);

		if (r != rows[i].result || e.code != r || (rows[i].why && !strstr(e.msg, rows[i].why)))
			fail_msg("row %zu: %d %s", i, r, e.msg);
	}
}

static void fields(void **state)
{
	(void)state;
	assert_null(quota_field(0));
	assert_null(quota_field(-EIO));
	assert_null(quota_field(QUOTA_E_MACHINES));
	assert_null(quota_field(QUOTA_E_FROM + 1));
	assert_string_equal(quota_field(QUOTA_E_CPUS), "cpus");
	assert_string_equal(quota_field(QUOTA_E_FROM), "from");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(quotas), cmocka_unit_test(fields) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
