/* SPDX-License-Identifier: Apache-2.0 */
/* Cloud Hypervisor's event monitor: byte 0 says how the stream is cut; the rest is the stream. A whole event behind it must always be read. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/ch_api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_event(void *arg, const struct ch_event *e)
{
	bool *last = arg;

	if (e->lost && (e->source[0] != '\0' || e->name[0] != '\0'))
		abort();
	*last = strcmp(e->source, "vm") == 0 && strcmp(e->name, "the last") == 0;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char last[] = "\n\n{\"source\":\"vm\",\"event\":\"the last\"}\n\n";
	struct ch_events r;
	bool seen = false;
	size_t step;

	if (size == 0)
		return 0;
	step = data[0] + 1U;
	ch_events_init(&r);
	for (size_t at = 1; at < size; at += step)
		ch_events_feed(&r, (const char *)data + at, size - at < step ? size - at : step, on_event, &seen);
	ch_events_feed(&r, last, strlen(last), on_event, &seen);
	if (!seen || r.record.len != 0)
		abort();
	ch_events_finish(&r);
	return 0;
}
