/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/snp/firmware.h"
#include "hv/snp/measure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the image: what is taken from it keeps to its bounds, and a refusal says which table is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[SHA384_BYTES];
	static const struct snp_boot boot;
	struct snp_launch launch = { .firmware = { data, size }, .firmware_digest = seed, .boot = &boot, .vcpus = 1 };
	struct snp_measurement out;
	struct snp_firmware fw;
	struct err e = { 0 };
	uint64_t pages = 0;

	if (snp_firmware_parse(launch.firmware, &fw, &e) < 0) {
		if (!strstr(e.msg, "firmware"))
			abort();
		return 0;
	}
	if (fw.section_count > SNP_SECTIONS_MAX)
		abort();
	for (size_t i = 0; i < fw.section_count; i++) {
		if (fw.sections[i].gpa % SNP_PAGE || fw.sections[i].size % SNP_PAGE)
			abort();
		pages += fw.sections[i].size / SNP_PAGE;
	}
	/* Hashing many pages would only cost time. */
	if (pages < 256)
		(void)snp_measure(&launch, &out, &e);
	return 0;
}
