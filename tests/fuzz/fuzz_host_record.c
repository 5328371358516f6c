/* SPDX-License-Identifier: Apache-2.0 */
/* A recorded host that somebody has sent: whatever it claims, every check gives a verdict and words for it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/host/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_report report;
	json_t *record = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct host_probe probe = host_record_probe(record);

	if (json_is_object(record)) {
		host_check(&probe, NULL, &report);
		for (size_t i = 0; i < report.count; i++) {
			const struct host_row *r = &report.rows[i];

			if (!r->found[0] || memchr(r->found, '\0', sizeof(r->found)) == NULL || (r->verdict == HOST_FAIL && !r->advice[0]))
				abort();
		}
		if (!report.count || !report.driver[0])
			abort();
	}
	json_decref(record);
	return 0;
}
