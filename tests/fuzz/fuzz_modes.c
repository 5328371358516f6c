/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/modes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_preamble(const struct modes *m)
{
	static const uint8_t cancel = 0x18;
	uint8_t preamble[MODES_PREAMBLE_MAX];
	size_t len = modes_preamble(m, preamble, sizeof(preamble));
	struct modes again;

	check(len > 0 && len < sizeof(preamble) - 1);
	modes_init(&again);
	modes_feed(&again, preamble, len);
	check(again.set == m->set && again.mouse == m->mouse &&
	      memcmp(&again.sgr, &m->sgr, sizeof(m->sgr)) == 0 && again.gl == m->gl);
	check(again.state == m->state || again.state == 0 || m->state >= 6);
	modes_feed(&again, &cancel, 1);
	check(again.state == 0 && (m->title_len == 0 || strcmp(again.title, m->title) == 0));
}

/*
 * Whatever a guest prints: the state stays valid, cuts make no difference, the preamble restores what it
 * should.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct modes whole, parts, seek;
	size_t at, cut = size > 0 ? data[0] % 17 + 1u : 1;

	modes_init(&whole);
	modes_init(&parts);
	modes_feed(&whole, data, size);
	for (at = 0; at < size; at += cut)
		modes_feed(&parts, data + at, cut < size - at ? cut : size - at);
	check(modes_valid(&whole));
	check(memcmp(&whole, &parts, sizeof(whole)) == 0);
	check_preamble(&whole);

	modes_init(&seek);
	at = modes_seek(&seek, data, size);
	check(at <= size && modes_valid(&seek));
	modes_feed(&seek, data + at, size - at);
	check(memcmp(&whole, &seek, sizeof(whole)) == 0);
	return 0;
}
