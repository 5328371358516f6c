/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a guest prints: each line is JSON that says the same however the bytes were cut, and the end of a broken file is found where it is.
 * The first byte chooses the pieces.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "gateway/cast.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX (1 << 20)

static void must(bool good)
{
	if (!good)
		abort();
}

/* All output of a recording, put together by somebody else's parser. */
static void gather(const struct buf *lines, struct buf *text)
{
	const char *at = lines->data, *end = lines->data + lines->len, *stop;

	for (; at < end; at = stop + 1) {
		json_t *event;

		stop = memchr(at, '\n', (size_t)(end - at));
		must(stop);
		event = json_loadb(at, (size_t)(stop - at), JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
		must(json_array_size(event) == 3 && json_real_value(json_array_get(event, 0)) >= 0);
		must(buf_add(text, json_string_value(json_array_get(event, 2)), json_string_length(json_array_get(event, 2))) == 0);
		json_decref(event);
	}
}

static void record(const uint8_t *data, size_t size, size_t piece, struct buf *text)
{
	struct cast cast = { 0 };
	struct buf lines = BUF_INIT(TEXT_MAX);
	size_t n;

	for (size_t at = 0; at < size; at += n) {
		n = size - at < piece ? size - at : piece;
		must(cast_text(&cast, &lines, CAST_OUTPUT, at, data + at, n) == 0);
	}
	must(cast_flush(&cast, &lines, size) == 0);
	gather(&lines, text);
	buf_finish(&lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_INIT(TEXT_MAX), pieces = BUF_INIT(TEXT_MAX);
	struct cast_mark mark;
	size_t keep;

	if (size == 0 || size > 4096)
		return 0;
	record(data + 1, size - 1, size, &whole);
	record(data + 1, size - 1, data[0] % 5 + 1u, &pieces);
	must(whole.len == pieces.len && (whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0));
	buf_finish(&whole);
	buf_finish(&pieces);
	keep = cast_find_mark((const char *)data, size, &mark);
	must(keep <= size && (keep == 0 || data[keep - 1] == '\n'));
	return 0;
}
