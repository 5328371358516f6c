/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of Cloud Hypervisor's answers: byte 0 is the room for words, the rest the body; or the whole answer, head and all. */
#include <ctype.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/ch_api.h"
#include "hv/ch_handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct httpc_answer a;
	char out[256];
	size_t room;
	json_t *root;

	if (size == 0)
		return 0;
	if (ch_answer_parse((const char *)data + 1, size - 1, &a) == 1 &&
	    (a.status < 0 || a.status > 999 || a.body < (const char *)data + 1 || a.body + a.len > (const char *)data + size || a.len > CH_HANDOVER_MAX))
		abort();
	room = data[0] == 0 ? 1 : data[0];
	ch_error_text((const char *)data + 1, size - 1, out, room);
	if (strlen(out) >= room)
		abort();
	for (const char *s = out; *s; s++) {
		if (iscntrl((unsigned char)*s))
			abort();
	}
	root = json_loadb((const char *)data + 1, size - 1, JSON_REJECT_DUPLICATES, NULL);
	if (ch_version(root) > 100000)
		abort();
	json_decref(root);
	return 0;
}
