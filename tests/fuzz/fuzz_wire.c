/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_hello(const struct wire_hello *h)
{
	if (strlen(h->ticket) != WIRE_TICKET_TEXT - 1 || h->stream[0] == '\0' ||
	    !memchr(h->stream, 0, sizeof(h->stream)))
		abort();
	if (h->size.cols > WIRE_SIZE_MAX || h->size.rows > WIRE_SIZE_MAX ||
	    (h->size.cols == 0) != (h->size.rows == 0))
		abort();
}

/* A message is refused with a reason, or every field is in range. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	struct wire_msg m;

	if (wire_decode(data, size, &m, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	switch (m.type) {
	case WIRE_HELLO:
		check_hello(&m.hello);
		break;
	case WIRE_INPUT:
		if (m.input.len == 0 || m.input.data + m.input.len != data + size ||
		    m.input.offset + m.input.len < m.input.offset)
			abort();
		break;
	case WIRE_RESIZE:
		if (m.size.cols == 0 || m.size.rows == 0 || m.size.cols > WIRE_SIZE_MAX ||
		    m.size.rows > WIRE_SIZE_MAX)
			abort();
		break;
	default:
		break;
	}
	return 0;
}
