/* SPDX-License-Identifier: Apache-2.0 */
/* The codec against tests/vectors/wire.json, which web/wire.js is held to as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "gateway/wire.h"

#define VECTORS "tests/vectors/wire.json"

static uint8_t *bytes_of(const char *hex, size_t *len)
{
	uint8_t *out;

	*len = strlen(hex) / 2;
	out = malloc(*len ? *len : 1); /* exact, so that the sanitizer sees a read past the end */
	assert_non_null(out);
	assert_int_equal(hex_decode(hex, out, *len), 0);
	return out;
}

static const char *text(const json_t *f, const char *name)
{
	const char *s = json_string_value(json_object_get(f, name));

	if (!s)
		fail_msg("vector has no text \"%s\"", name);
	return s;
}

static uint64_t u64(const json_t *f, const char *name)
{
	return strtoull(text(f, name), NULL, 10);
}

static long number(const json_t *f, const char *name)
{
	return (long)json_integer_value(json_object_get(f, name));
}

static void check_hello(const struct wire_hello *h, const json_t *json)
{
	const json_t *epoch = json_object_get(json, "epoch");
	const char *role = json_string_value(json_object_get(json, "role"));
	char hex[17];

	assert_string_equal(h->ticket, text(json, "ticket"));
	assert_string_equal(h->stream, text(json, "stream"));
	assert_int_equal(h->has_epoch, json_is_string(epoch));
	if (h->has_epoch) {
		wire_epoch_text(h->epoch, hex);
		assert_string_equal(hex, json_string_value(epoch));
	}
	assert_int_equal(h->out_offset, number(json, "out_offset"));
	assert_int_equal(h->in_offset, number(json, "in_offset"));
	assert_int_equal(h->window, number(json, "window"));
	assert_int_equal(h->size.cols, number(json, "cols"));
	assert_int_equal(h->size.rows, number(json, "rows"));
	assert_int_equal(h->size.xpix, number(json, "xpix"));
	assert_int_equal(h->viewer, role && strcmp(role, "viewer") == 0);
}

static void check_c2s(const struct wire_msg *m, const json_t *f)
{
	static const char *const names[] = { "", "HELLO", "INPUT", "RESIZE", "CREDIT", "PING", "ACTION" };
	const json_t *json = json_object_get(f, "json");

	assert_string_equal(names[m->type], text(f, "type"));
	switch (m->type) {
	case WIRE_HELLO:
		check_hello(&m->hello, json);
		break;
	case WIRE_INPUT: {
		size_t len;
		uint8_t *want = bytes_of(text(f, "data"), &len);

		assert_int_equal(m->input.offset, u64(f, "in_offset"));
		assert_int_equal(m->input.turn, number(f, "turn"));
		assert_int_equal(m->input.len, len);
		assert_memory_equal(m->input.data, want, len);
		free(want);
		break;
	}
	case WIRE_RESIZE:
		assert_int_equal(m->size.cols, number(f, "cols"));
		assert_int_equal(m->size.rows, number(f, "rows"));
		assert_int_equal(m->size.xpix, number(f, "xpix"));
		assert_int_equal(m->size.ypix, number(f, "ypix"));
		break;
	case WIRE_CREDIT:
		assert_int_equal(m->credit, u64(f, "offset"));
		break;
	case WIRE_PING:
		assert_int_equal(m->clock, u64(f, "clock"));
		break;
	default:
		assert_int_equal(m->action.what, strcmp(text(json, "do"), "take") == 0 ? WIRE_TAKE :
						 strcmp(text(json, "do"), "give") == 0 ? WIRE_GIVE :
						 strcmp(text(json, "do"), "eof") == 0  ? WIRE_EOF :
						 strcmp(text(json, "do"), "stay") == 0 ? WIRE_STAY :
											 WIRE_RELEASE);
		if (m->action.what == WIRE_GIVE)
			assert_int_equal(m->action.to, number(json, "to"));
		break;
	}
}

/* Encode what the vector describes. Return: length; 0 for bodies of JSON, whose spelling is free. */
static size_t encode(const json_t *f, uint8_t *out)
{
	const char *type = text(f, "type");

	if (strcmp(type, "OUTPUT") == 0) {
		size_t len, at = wire_output_head(out, u64(f, "offset"), (uint8_t)number(f, "flags"));
		uint8_t *data = bytes_of(text(f, "data"), &len);

		memcpy(out + at, data, len);
		free(data);
		return at + len;
	}
	if (strcmp(type, "SIZE") == 0)
		return wire_size(out, (uint16_t)number(f, "cols"), (uint16_t)number(f, "rows"));
	if (strcmp(type, "INACK") == 0)
		return wire_inack(out, u64(f, "offset"));
	if (strcmp(type, "PONG") == 0)
		return wire_pong(out, u64(f, "clock"), (uint32_t)number(f, "held_us"));
	if (strcmp(type, "EXIT") == 0)
		return wire_exit(out, (int32_t)number(f, "code"), (uint8_t)number(f, "signal"));
	return 0;
}

static void check_json(const uint8_t *frame, size_t len, const json_t *f)
{
	uint8_t out[4096];
	size_t n = wire_json(out, sizeof(out), frame[0], json_object_get(f, "json"));
	json_t *back;

	assert_true(n > 1);
	assert_int_equal(out[0], frame[0]);
	back = json_loadb((const char *)out + 1, n - 1, 0, NULL);
	assert_true(json_equal(back, json_object_get(f, "json")));
	assert_int_equal(wire_json(out, len / 2, frame[0], json_object_get(f, "json")), 0);
	json_decref(back);
}

static void vectors(void **state)
{
	json_error_t error;
	json_t *list = json_load_file(VECTORS, 0, &error), *v;
	size_t i, done = 0;

	(void)state;
	if (!list)
		fail_msg("%s: %s", VECTORS, error.text);
	json_array_foreach(list, i, v) {
		const char *name = text(v, "name"), *why = NULL;
		bool good = json_is_true(json_object_get(v, "ok")), up = strcmp(text(v, "dir"), "c2s") == 0;
		const json_t *f = json_object_get(v, "fields");
		size_t len, n;
		uint8_t *frame = bytes_of(text(v, "hex"), &len), out[256];
		struct wire_msg m;

		if (up && (wire_decode(frame, len, &m, &why) == 0) != good)
			fail_msg("%s: %s", name, why ? why : "was taken");
		if (up && !good)
			assert_non_null(why);
		if (up && good)
			check_c2s(&m, f);
		if (!up && good) {
			n = encode(f, out);
			if (n == 0)
				check_json(frame, len, f);
			else if (n != len || memcmp(out, frame, len) != 0)
				fail_msg("%s: encoded otherwise", name);
		}
		done += up || good;
		free(frame);
	}
	assert_true(done > 80);
	json_decref(list);
}

static void limits(void **state)
{
	uint8_t msg[2 + WIRE_HELLO_MAX];
	const char *why;
	struct wire_msg m;

	(void)state;
	memset(msg, ' ', sizeof(msg));
	msg[0] = WIRE_HELLO;
	assert_int_equal(wire_decode(msg, sizeof(msg), &m, &why), -22);
	assert_string_equal(why, "HELLO is too long");
	msg[0] = WIRE_ACTION;
	assert_int_equal(wire_decode(msg, sizeof(msg), &m, &why), -22);
	assert_string_equal(why, "ACTION is too long");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(vectors), cmocka_unit_test(limits) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
