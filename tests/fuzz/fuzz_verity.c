/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/verity/verity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the superblock: what is taken from it can be computed with. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t sb[VERITY_SUPERBLOCK] = { 0 };
	struct verity_params p;
	struct err e = { 0 };
	uint64_t blocks;

	memcpy(sb, data, size < sizeof(sb) ? size : sizeof(sb));
	if (verity_superblock_parse(sb, &p, &blocks, &e) < 0) {
		if (!strstr(e.msg, "superblock"))
			abort();
		return 0;
	}
	if (p.hash >= VERITY_HASH_COUNT || p.salt_len > VERITY_SALT_MAX || p.block_bytes < VERITY_BLOCK_MIN ||
	    p.block_bytes > VERITY_BLOCK_MAX || blocks == 0 || blocks > INT64_MAX / p.block_bytes)
		abort();
	return 0;
}
