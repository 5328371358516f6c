/* SPDX-License-Identifier: Apache-2.0 */
/* A server that says anything to `terrarium vm attach`: its messages, each after a length of two bytes, go through codec and session. */
#include <stdlib.h>

#include "gateway/ctl/csession.h"
#include "gateway/ctl/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct csession *s, const uint8_t *data, size_t len)
{
	struct csession_news news;
	const uint8_t *out;
	const char *keys;
	uint64_t offset;
	struct frame f;
	size_t n;

	if (frame_decode(data, len, &f) < 0)
		return;
	if (f.type == WIRE_WELCOME)
		(void)csession_welcome(s, f.json, &news);
	else if (f.type == WIRE_OUTPUT && csession_output(s, &f, &out, &n) == 0 && (n > f.len || (n > 0 && out + n > data + len)))
		abort();
	else if (f.type == WIRE_EVENT)
		(void)csession_role(s, f.json);
	else if (f.type == WIRE_INACK)
		csession_inack(s, f.offset);
	(void)csession_credit(s, &offset);
	(void)csession_type(s, "key", 3);
	n = csession_input(s, &offset, &keys);
	if (s->sent > s->queue.len || n > WIRE_INPUT_MAX)
		abort();
	frame_finish(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct csession s;

	csession_init(&s, "0123456789abcdef0123456789abcdef.console", false);
	while (size >= 2) {
		size_t len = (size_t)data[0] << 8 | data[1];

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		take(&s, data, len);
		data += len;
		size -= len;
	}
	csession_finish(&s);
	return 0;
}
