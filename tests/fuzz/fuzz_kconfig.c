/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/kconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the text: each row has a state, words only where something is missing, and who lacks something is told why. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kconfig_report r;
	struct err e = { 0 };
	uint8_t lacks = 0;

	if (kconfig_check((const char *)data, size, &r, &e) < 0) {
		if (!strstr(e.msg, "no kernel configuration"))
			abort();
		return 0;
	}
	for (size_t i = 0; i < KCONFIG_FEATURES; i++) {
		const struct kconfig_row *row = &r.rows[i];

		if (row->state >= KCONFIG_STATES || (row->state == KCONFIG_BUILTIN) != (row->missing[0] == '\0') ||
		    !memchr(row->missing, '\0', sizeof(row->missing)))
			abort();
		lacks |= row->state == KCONFIG_NO ? kconfig_features[i].needed : 0;
	}
	for (const char *c = r.release; *c; c++) {
		if (*c <= ' ' || *c > '~')
			abort();
	}
	if (r.lacks != lacks || !memchr(r.release, '\0', sizeof(r.release)))
		abort();
	return 0;
}
