/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway would send to a browser that begins in the middle of a recording, for tests/web/preamble.test.mjs:
 *
 *   preamble CUT... <RECORDING
 *
 * prints for each CUT (offsets, ascending) one line: the offset from which the recording goes on, and the bytes that go before it, in hex.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/modes.h"

#define RECORDING_MAX ((size_t)16 << 20)

static int print(const struct modes *at_cut, const uint8_t *data, size_t cut, size_t len)
{
	struct modes m = *at_cut;
	uint8_t preamble[MODES_PREAMBLE_MAX];
	size_t at = cut + modes_seek(&m, data + cut, len - cut), n = modes_preamble(&m, preamble, sizeof(preamble));

	printf("%zu ", at);
	for (size_t i = 0; i < n; i++)
		printf("%02x", preamble[i]);
	return putchar('\n');
}

int main(int argc, char **argv)
{
	uint8_t *data = malloc(RECORDING_MAX);
	size_t len = data ? fread(data, 1, RECORDING_MAX, stdin) : 0, at = 0;
	struct modes m;

	modes_init(&m);
	for (int i = 1; i < argc; i++) {
		size_t cut = (size_t)strtoumax(argv[i], NULL, 10);

		if (cut < at || cut > len) {
			fprintf(stderr, "preamble: %s is not between %zu and %zu\n", argv[i], at, len);
			return 2;
		}
		modes_feed(&m, data + at, cut - at);
		at = cut;
		print(&m, data, cut, len);
	}
	free(data);
	return 0;
}
