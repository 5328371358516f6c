/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a create request; what is accepted must survive being written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(const struct vm_spec *s)
{
	struct vm_spec again;
	json_t *json = spec_json(s);

	memset(&again, 0, sizeof(again));
	spec_defaults(&again);
	if (!json || spec_parse(&again, json, NULL) != 0)
		abort();
	json_decref(json);
	if (!again.id != !s->id || (s->id && memcmp(again.id, s->id, sizeof(*s->id)) != 0))
		abort();
	spec_finish(&again);
	if (strcmp(again.name, s->name) != 0 || strcmp(again.image, s->image) != 0 || again.cpus != s->cpus ||
	    again.memory_bytes != s->memory_bytes || again.net != s->net || again.cols != s->cols || again.rows != s->rows)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct err e = { 0 };
	struct vm_spec s;

	spec_defaults(&s);
	if (json && spec_parse(&s, json, &e) < 0 && e.msg[0] == '\0')
		abort();
	json_decref(json);
	read_again(&s);
	spec_finish(&s);
	return 0;
}
