/* SPDX-License-Identifier: Apache-2.0 */
/* The line that the VMM answers with before the agent's bytes begin. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/ch_vsock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[64] = "";
	size_t len = size < sizeof(line) ? size : sizeof(line) - 1;

	memcpy(line, data, len);
	/* Good is what begins with OK and a space, and is digits to its end. */
	if (ch_vsock_answer(line, len) == 0 && (strncmp(line, "OK ", 3) != 0 || strspn(line + 3, "0123456789") != len - 3 || len == 3))
		abort();
	return 0;
}
