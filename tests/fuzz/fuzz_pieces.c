/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that says anything to `terrarium vm exec`: cut in two at a place of its choice, it must read as it does in one. */
#include <stdlib.h>

#include "gateway/ctl/pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sums {
	uint64_t bytes[3], sum[3];
	int end;
};

static void take(struct pieces *p, struct sums *s, const uint8_t *data, size_t len)
{
	const uint8_t *last = data + len, *out;
	size_t n;

	while (s->end == 0) {
		int which = pieces_next(p, &data, &len, &out, &n);

		if (which == 0)
			return;
		if (which < 0) {
			s->end = which;
			return;
		}
		if (which > 2 || n == 0 || n > WIRE_PIECE_MAX || out + n != data || data + len != last)
			abort();
		s->bytes[which] += n;
		while (n-- > 0)
			s->sum[which] = s->sum[which] * 31 + *out++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pieces whole = { 0 }, cut = { 0 };
	struct sums a = { 0 }, b = { 0 };
	size_t at;

	if (size == 0)
		return 0;
	at = *data++ % size--;
	take(&whole, &a, data, size);
	take(&cut, &b, data, at);
	take(&cut, &b, data + at, size - at);
	for (int i = 1; i <= 2; i++) {
		if (a.bytes[i] != b.bytes[i] || a.sum[i] != b.sum[i])
			abort();
	}
	if (a.end != b.end)
		abort();
	return 0;
}
