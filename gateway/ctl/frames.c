/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/frames.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"

#define JSON_MAX (64U << 10)

static uint64_t get(const uint8_t *p, size_t bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | *p++;
	return v;
}

static int put(struct buf *out, uint64_t v, size_t bytes)
{
	uint8_t data[8];

	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
	return buf_add(out, data, bytes);
}

static int decode_json(const uint8_t *data, size_t len, struct frame *f)
{
	if (len > JSON_MAX)
		return -EINVAL;
	f->json = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(f->json)) {
		frame_finish(f);
		return -EINVAL;
	}
	return 0;
}

static int decode_body(const uint8_t *p, size_t len, struct frame *f)
{
	switch (f->type) {
	case WIRE_WELCOME:
	case WIRE_EVENT:
	case WIRE_ERROR:
		return decode_json(p, len, f);
	case WIRE_OUTPUT:
		if (len < 9)
			return -EINVAL;
		f->offset = get(p, 8);
		f->flags = p[8];
		f->data = p + 9;
		f->len = len - 9;
		return f->offset <= INT64_MAX ? 0 : -EINVAL;
	case WIRE_SIZE:
		if (len != 4)
			return -EINVAL;
		f->cols = (uint16_t)get(p, 2);
		f->rows = (uint16_t)get(p + 2, 2);
		return 0;
	case WIRE_INACK:
		f->offset = len == 8 ? get(p, 8) : 0;
		return len == 8 && f->offset <= INT64_MAX ? 0 : -EINVAL;
	case WIRE_PONG:
		f->clock = len == 12 ? get(p, 8) : 0;
		return len == 12 ? 0 : -EINVAL;
	case WIRE_EXIT:
		if (len != 5)
			return -EINVAL;
		f->code = (int32_t)(uint32_t)get(p, 4);
		f->signal = p[4];
		return 0;
	default:
		return -EINVAL;
	}
}

int frame_decode(const uint8_t *data, size_t len, struct frame *out)
{
	*out = (struct frame){ 0 };
	if (len == 0)
		return -EINVAL;
	out->type = (enum wire_type)data[0];
	return decode_body(data + 1, len - 1, out);
}

void frame_finish(struct frame *f)
{
	json_decref(f->json);
	f->json = NULL;
}

int frame_put_json(struct buf *out, enum wire_type type, const json_t *json)
{
	char text[WIRE_HELLO_MAX];
	size_t len = json_dumpb(json, text, sizeof(text), JSON_COMPACT);

	if (len == 0 || len > sizeof(text))
		return -ENOSPC;
	return put(out, (uint64_t)type, 1) < 0 ? -ENOSPC : buf_add(out, text, len);
}

int frame_put_input(struct buf *out, uint64_t offset, uint32_t turn, const void *data, size_t len)
{
	if (put(out, WIRE_INPUT, 1) < 0 || put(out, offset, 8) < 0 || put(out, turn, 4) < 0)
		return -ENOSPC;
	return buf_add(out, data, len);
}

int frame_put_resize(struct buf *out, const struct wire_size *size)
{
	if (put(out, WIRE_RESIZE, 1) < 0 || put(out, size->cols, 2) < 0 || put(out, size->rows, 2) < 0 || put(out, size->xpix, 2) < 0)
		return -ENOSPC;
	return put(out, size->ypix, 2);
}

int frame_put_number(struct buf *out, enum wire_type type, uint64_t number)
{
	return put(out, (uint64_t)type, 1) < 0 ? -ENOSPC : put(out, number, 8);
}
