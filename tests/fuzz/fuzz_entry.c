/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "hv/agent/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is taken can be written down, and is taken again as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct entry first, second;
	struct buf out = BUF_INIT(2 * ENTRY_MAX);
	struct buf again = BUF_INIT(2 * ENTRY_MAX);

	if (entry_decode(&first, (const char *)data, size) < 0)
		return 0;
	/* Numbers may have been written with more digits than are needed, so the text may have become longer only in its "uid" and "gid". */
	if (size > ENTRY_MAX - 64)
		return 0;
	if (entry_encode(&first, &out) < 0 || entry_decode(&second, out.data, out.len) < 0 || entry_encode(&second, &again) < 0)
		abort();
	if (out.len != again.len || memcmp(out.data, again.data, out.len) != 0)
		abort();
	buf_finish(&out);
	buf_finish(&again);
	return 0;
}
