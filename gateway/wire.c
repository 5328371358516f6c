/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/wire.h"

#include <errno.h>
#include <string.h>

#include "base/hex.h"

/* --- integers -------------------------------------------------------------------------------------------- */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

/* --- JSON bodies ----------------------------------------------------------------------------------------- */

static json_t *parse(const uint8_t *data, size_t len)
{
	json_t *json = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, NULL);

	if (json && !json_is_object(json)) {
		json_decref(json);
		return NULL;
	}
	return json;
}

/* Text of exactly or at most @size - 1 bytes. Return: false unless it is there and fits. */
static bool text_member(const json_t *json, const char *name, char *out, size_t size, bool exact)
{
	const json_t *v = json_object_get(json, name);
	size_t len = json_string_length(v);

	if (!json_is_string(v) || len == 0 || len >= size || (exact && len != size - 1))
		return false;
	memcpy(out, json_string_value(v), len + 1);
	return true;
}

/*
 * A whole number from 0 to @max. Return: false when it is there and is something else; *@has tells if it is
 * there.
 */
static bool number_member(const json_t *json, const char *name, uint64_t max, uint64_t *out, bool *has)
{
	const json_t *v = json_object_get(json, name);

	*has = v;
	if (!v)
		return true;
	if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return true;
}

static bool epoch_member(const json_t *json, struct wire_hello *h)
{
	const json_t *v = json_object_get(json, "epoch");
	uint8_t bytes[8];

	if (!v || json_is_null(v))
		return true;
	if (!json_is_string(v) || hex_decode(json_string_value(v), bytes, sizeof(bytes)) < 0)
		return false;
	h->epoch = get64(bytes);
	h->has_epoch = true;
	return true;
}

static bool size_members(const json_t *json, struct wire_size *size)
{
	uint64_t cols = 0, rows = 0, xpix = 0, ypix = 0;
	bool has;

	if (!number_member(json, "cols", WIRE_SIZE_MAX, &cols, &has) ||
	    !number_member(json, "rows", WIRE_SIZE_MAX, &rows, &has) ||
	    !number_member(json, "xpix", UINT16_MAX, &xpix, &has) ||
	    !number_member(json, "ypix", UINT16_MAX, &ypix, &has))
		return false;
	if (cols == 0 || rows == 0)
		return true;
	*size = (struct wire_size){ (uint16_t)cols, (uint16_t)rows, (uint16_t)xpix, (uint16_t)ypix };
	return true;
}

static bool role_member(const json_t *json, struct wire_hello *h)
{
	const json_t *v = json_object_get(json, "role");
	const char *role = json_string_value(v);

	if (!v)
		return true;
	h->viewer = role && strcmp(role, "viewer") == 0;
	return role && (h->viewer || strcmp(role, "controller") == 0);
}

/* What is wrong with a HELLO; NULL when nothing is. Unknown members are left to later versions. */
static const char *hello_members(const json_t *json, struct wire_hello *h)
{
	bool has;

	if (!text_member(json, "ticket", h->ticket, sizeof(h->ticket), true))
		return "HELLO has no sound ticket";
	if (!text_member(json, "stream", h->stream, sizeof(h->stream), false))
		return "HELLO has no sound stream";
	if (!epoch_member(json, h))
		return "epoch is not 16 hex digits";
	if (!number_member(json, "out_offset", INT64_MAX, &h->out_offset, &has))
		return "out_offset is not an offset";
	if (!number_member(json, "in_offset", INT64_MAX, &h->in_offset, &h->has_in))
		return "in_offset is not an offset";
	if (!size_members(json, &h->size))
		return "the size is out of range";
	if (!number_member(json, "window", INT64_MAX, &h->window, &has))
		return "window is not a number of bytes";
	if (!role_member(json, h))
		return "role is neither controller nor viewer";
	return NULL;
}

static const char *get_hello(const uint8_t *body, size_t len, struct wire_msg *out)
{
	json_t *json;
	const char *why;

	if (len > WIRE_HELLO_MAX)
		return "HELLO is too long";
	json = parse(body, len);
	if (!json)
		return "HELLO is not a JSON object";
	why = hello_members(json, &out->hello);
	json_decref(json);
	return why;
}

static const char *get_action(const uint8_t *body, size_t len, struct wire_msg *out)
{
	const char *why = NULL, *what;
	const json_t *to;
	json_t *json;

	if (len > WIRE_ACTION_MAX)
		return "ACTION is too long";
	json = parse(body, len);
	if (!json)
		return "ACTION is not a JSON object";
	what = json_string_value(json_object_get(json, "do"));
	to = json_object_get(json, "to");
	if (what && strcmp(what, "take") == 0)
		out->action.what = WIRE_TAKE;
	else if (what && strcmp(what, "release") == 0)
		out->action.what = WIRE_RELEASE;
	else if (what && strcmp(what, "give") == 0)
		out->action.what = WIRE_GIVE;
	else if (what && strcmp(what, "eof") == 0)
		out->action.what = WIRE_EOF;
	else if (what && strcmp(what, "stay") == 0)
		out->action.what = WIRE_STAY;
	else
		why = "unknown ACTION";
	if (!why && out->action.what == WIRE_GIVE) {
		out->action.to = (uint64_t)json_integer_value(to);
		if (!json_is_integer(to) || json_integer_value(to) < 0)
			why = "to is not the id of a viewer";
	}
	json_decref(json);
	return why;
}

/* --- binary bodies --------------------------------------------------------------------------------------- */

static const char *get_input(const uint8_t *body, size_t len, struct wire_msg *out)
{
	if (len < WIRE_INPUT_HEAD)
		return "INPUT is too short";
	out->input.offset = get64(body);
	out->input.turn = get32(body + 8);
	out->input.data = body + WIRE_INPUT_HEAD - 1;
	out->input.len = len - (WIRE_INPUT_HEAD - 1);
	return out->input.len > UINT64_MAX - out->input.offset ? "INPUT's offset wraps round" : NULL;
}

static const char *get_resize(const uint8_t *body, size_t len, struct wire_msg *out)
{
	struct wire_size *s = &out->size;

	if (len != 8)
		return "RESIZE has a wrong length";
	*s = (struct wire_size){ get16(body), get16(body + 2), get16(body + 4), get16(body + 6) };
	if (s->cols == 0 || s->rows == 0 || s->cols > WIRE_SIZE_MAX || s->rows > WIRE_SIZE_MAX)
		return "RESIZE is out of range";
	return NULL;
}

static const char *get_credit(const uint8_t *body, size_t len, struct wire_msg *out)
{
	if (len != 8)
		return "CREDIT has a wrong length";
	out->credit = get64(body);
	return NULL;
}

static const char *get_ping(const uint8_t *body, size_t len, struct wire_msg *out)
{
	if (len != 8)
		return "PING has a wrong length";
	out->clock = get64(body);
	return NULL;
}

int wire_decode(const uint8_t *data, size_t len, struct wire_msg *out, const char **why)
{
	static const char *(*const get[])(const uint8_t *, size_t, struct wire_msg *) = {
		[WIRE_HELLO] = get_hello,   [WIRE_INPUT] = get_input, [WIRE_RESIZE] = get_resize,
		[WIRE_CREDIT] = get_credit, [WIRE_PING] = get_ping,   [WIRE_ACTION] = get_action,
	};

	memset(out, 0, sizeof(*out));
	if (len == 0) {
		*why = "empty message";
		return -EINVAL;
	}
	if (data[0] >= sizeof(get) / sizeof(get[0]) || !get[data[0]]) {
		*why = "unknown message type";
		return -EINVAL;
	}
	out->type = data[0];
	*why = get[data[0]](data + 1, len - 1, out);
	return *why ? -EINVAL : 0;
}

/* --- messages to the browser ----------------------------------------------------------------------------- */

size_t wire_output_head(uint8_t *out, uint64_t offset, uint8_t flags)
{
	out[0] = WIRE_OUTPUT;
	put64(out + 1, offset);
	out[9] = flags;
	return WIRE_OUTPUT_HEAD;
}

size_t wire_size(uint8_t *out, uint16_t cols, uint16_t rows)
{
	out[0] = WIRE_SIZE;
	put16(out + 1, cols);
	put16(out + 3, rows);
	return 5;
}

size_t wire_inack(uint8_t *out, uint64_t offset)
{
	out[0] = WIRE_INACK;
	put64(out + 1, offset);
	return 9;
}

size_t wire_pong(uint8_t *out, uint64_t clock, uint32_t held_us)
{
	out[0] = WIRE_PONG;
	put64(out + 1, clock);
	put32(out + 9, held_us);
	return 13;
}

size_t wire_exit(uint8_t *out, int32_t code, uint8_t signal)
{
	out[0] = WIRE_EXIT;
	put32(out + 1, (uint32_t)code);
	out[5] = signal;
	return 6;
}

size_t wire_json(uint8_t *out, size_t cap, enum wire_type type, const json_t *json)
{
	size_t len;

	if (!json || cap < 2)
		return 0;
	out[0] = (uint8_t)type;
	len = json_dumpb(json, (char *)out + 1, cap - 1, JSON_COMPACT);
	return len == 0 || len > cap - 1 ? 0 : len + 1;
}

void wire_epoch_text(uint64_t epoch, char out[17])
{
	uint8_t bytes[8];

	put64(bytes, epoch);
	hex_encode(bytes, sizeof(bytes), out);
}
