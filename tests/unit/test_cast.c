/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "gateway/cast.h"

static struct cast cast;
static struct buf out;

static int set_up(void **state)
{
	(void)state;
	cast = (struct cast){ 0 };
	out = BUF_INIT(1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_finish(&out);
	return 0;
}

static void shows(uint64_t at_us, const char *bytes, size_t len)
{
	assert_int_equal(cast_text(&cast, &out, CAST_OUTPUT, at_us, (const uint8_t *)bytes, len), 0);
}

#define SHOWS(at_us, text) shows(at_us, text, sizeof(text) - 1)

static void lines_are(const char *want)
{
	assert_string_equal(out.len ? out.data : "", want);
	out.len = 0;
}

static void a_recording(void **state)
{
	const struct cast_head head = { .cols = 80, .rows = 24, .started_s = 1504467315, .title = "a \"moss\" \xc3\xa9\x01" };

	(void)state;
	assert_int_equal(cast_header(&out, &head), 0);
	lines_are("{\"version\": 3, \"term\": {\"cols\": 80, \"rows\": 24, \"type\": \"xterm-256color\"}, \"timestamp\": 1504467315, "
		  "\"title\": \"a \\\"moss\\\" \xc3\xa9\\u0001\"}\n");
	SHOWS(248000, "\033[1mHi\033[m\r\n\t\"\\\b\x7f");
	lines_are("[0.248000, \"o\", \"\\u001b[1mHi\\u001b[m\\r\\n\\t\\\"\\\\\\u0008\\u007f\"]\n");
	assert_int_equal(cast_text(&cast, &out, CAST_INPUT, 1248001, (const uint8_t *)"ls\r", 3), 0);
	assert_int_equal(cast_resize(&cast, &out, 1248001, 100, 30), 0);
	assert_int_equal(cast_text(&cast, &out, CAST_MARKER, 1248000, (const uint8_t *)"here", 4), 0);
	assert_int_equal(cast_exit(&cast, &out, 61248001, 0, 9), 0);
	lines_are("[1.000001, \"i\", \"ls\\r\"]\n[0.000000, \"r\", \"100x30\"]\n[0.000000, \"m\", \"here\"]\n[60.000000, \"x\", \"137\"]\n");
	assert_int_equal(cast_closing(&cast, &out), 0);
	lines_are("");
}

/* A sequence that is cut comes whole, at the time of its last byte; what is typed meanwhile does not break it. */
static void cut_sequences(void **state)
{
	(void)state;
	SHOWS(0, "a\xf0\x9f");
	lines_are("[0.000000, \"o\", \"a\"]\n");
	assert_int_equal(cast.held_len, 2);
	SHOWS(10, "\x8c");
	lines_are("");
	assert_int_equal(cast_text(&cast, &out, CAST_INPUT, 20, (const uint8_t *)"\xc3", 1), 0);
	SHOWS(30, "\xb1z");
	lines_are("[0.000020, \"i\", \"\xef\xbf\xbd\"]\n[0.000010, \"o\", \"\xf0\x9f\x8c\xb1z\"]\n");
	SHOWS(40, "\xc3");
	assert_int_equal(cast_flush(&cast, &out, 50), 0);
	assert_int_equal(cast_flush(&cast, &out, 60), 0);
	lines_are("[0.000020, \"o\", \"\xef\xbf\xbd\"]\n");
	assert_int_equal(cast.replaced, 2);
	assert_int_equal(cast_closing(&cast, &out), 0);
	lines_are("# not UTF-8, and so written as U+FFFD: 2\n");
}

/* As https://encoding.spec.whatwg.org/#utf-8-decoder has it; R is U+FFFD. */
static void what_is_not_utf8(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {
		{ "\xff\xfe", "RR" },		    { "\xc3(", "R(" },		      { "\x80\xbf", "RR" },
		{ "\xc0\xaf", "RR" },		    { "\xe0\x80\xaf", "RRR" },	      { "\xed\xa0\x80", "RRR" },
		{ "\xf4\x90\x80\x80", "RRRR" },	    { "\xf0\x80\x80\x80", "RRRR" },   { "\xf8\x88\x80\x80\x80", "RRRRR" },
		{ "\xe2\x82", "" },		    { "\xe2\x82" "A", "RA" },	      { "\xf0\x9f\x8c" "\xf0\x9f\x8c\xb1", "R\xf0\x9f\x8c\xb1" },
		{ "\xe2\x82\xe2\x82\xac", "R\xe2\x82\xac" }, { "\xc3\xbc\xc3", "\xc3\xbc" }, { "\xed\x9f\xbf", "\xed\x9f\xbf" },
		{ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" }, { "\xc2\x9b", "\xc2\x9b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char want[128] = "";

		cast = (struct cast){ 0 };
		out.len = 0;
		shows(0, rows[i].bytes, strlen(rows[i].bytes));
		for (const char *p = rows[i].text; *p; p++)
			(void)strncat(want, *p == 'R' ? "\xef\xbf\xbd" : p, *p == 'R' ? 3 : 1);
		if (want[0] ? !strstr(out.data, want) || strlen(out.data) != strlen(want) + strlen("[0.000000, \"o\", \"\"]\n") : out.len != 0)
			fail_msg("row %zu: %s", i, out.data);
	}
}

/* A buffer that is full holds no half line, and the next try is as the first. */
static void no_half_lines(void **state)
{
	struct buf small = BUF_INIT(40);
	const struct cast before = cast;

	(void)state;
	assert_int_equal(cast_text(&cast, &small, CAST_OUTPUT, 5, (const uint8_t *)"0123456789\xc3", 11), 0);
	assert_int_equal(cast_text(&cast, &small, CAST_OUTPUT, 9, (const uint8_t *)"\xbc" "0123456789", 11), -ENOSPC);
	assert_string_equal(small.data, "[0.000005, \"o\", \"0123456789\"]\n");
	assert_int_equal(cast.held_len, 1);
	assert_int_equal(cast.last_us, 5);
	buf_finish(&small);
	cast = before;
}

static void marks(void **state)
{
	static const char *const none[] = { "", "# at 1 2 3\n", "\n# at 1 2 3", "\n# at 1 2\n", "\n# at 1 2 3 4\n", "\n# at -1 2 3\n", "\n# at 12345678901234567890 2 3\n",
					    "\n# at  1 2 3\n" };
	const struct cast_mark m = { .offset = 77, .at_us = 8, .replaced = 9 };
	struct cast_mark got = { 0 };
	size_t whole;

	(void)state;
	SHOWS(8, "x\n# at 1 2 3\n");
	assert_int_equal(cast_mark(&out, &m), 0);
	whole = out.len;
	assert_int_equal(cast_find_mark(out.data, out.len, &got), whole);
	assert_memory_equal(&got, &m, sizeof(m));
	SHOWS(9, "lost");
	for (size_t len = whole; len <= out.len; len++)
		assert_int_equal(cast_find_mark(out.data, len, &got), whole);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (cast_find_mark(none[i], strlen(none[i]), &got) != 0)
			fail_msg("%s", none[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_recording, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cut_sequences, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_utf8, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_half_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(marks, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
