/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/modes.h"

static struct modes after(const char *bytes)
{
	struct modes m;

	modes_init(&m);
	modes_feed(&m, (const uint8_t *)bytes, strlen(bytes));
	assert_true(modes_valid(&m));
	return m;
}

static const char *preamble(const struct modes *m)
{
	static char text[MODES_PREAMBLE_MAX + 1];
	size_t len = modes_preamble(m, (uint8_t *)text, MODES_PREAMBLE_MAX);

	assert_true(len < MODES_PREAMBLE_MAX);
	text[len] = '\0';
	return text;
}

/* What a sequence must leave in the preamble, and what it must not. A leading '!' says not. */
static void each_sequence(void **state)
{
	static const struct {
		const char *bytes, *want;
	} rows[] = {
		{ "", "\033[?25h" },
		{ "", "\033[?7h" },
		{ "", "\033[?2004l" },
		{ "", "!\033[?1049h" },
		{ "", "!\033[38" },
		{ "\033[?25l", "\033[?25l" },
		{ "\033[?7l", "\033[?7l" },
		{ "\033[?1h", "\033[?1h" },
		{ "\033=", "\033[?66h" },
		{ "\033=\033>", "\033[?66l" },
		{ "\033[?2004h", "\033[?2004h" },
		{ "\033[?1004;2004h", "\033[?1004h" },
		{ "\033[?1004;2004h", "\033[?2004h" },
		{ "\033[?1004;2004h\033[?2004;1004l", "\033[?1004l" },
		{ "\033[?1002h\033[?1006h", "\033[?1002h\033[?1006h" },
		{ "\033[?1002h\033[?1006h\033[?1002l", "!\033[?1002h" },
		{ "\033[?1000h\033[?1003h", "\033[?1003h" },
		{ "\033[?1049h", "\033[H\033[2J" },
		{ "\033[?47h", "\033[?1049h" },
		{ "\033[?1049h\033[?1049l", "\033[?47l" },
		{ "\033[4h", "\033[4h" },
		{ "\033[20h", "\033[20h" },
		{ "\033[?6h", "\033[?6h" },
		{ "\033[3;20r", "\033[3;20r" },
		{ "\033[3;20r\033[r", "!;20r" },
		{ "\033[20;3r", "!\033[20;3r" },
		{ "\033[3;20r\033[?1049h", "!;20r" }, /* each screen has its own */
		{ "\033[3;20r\033[?1049h\033[?1049l", "\033[3;20r" },
		{ "\033[?3;20r", "!;20r" }, /* restores private modes: another sequence */
		{ "\033(0", "\033(0" },
		{ "\033)0\016", "\033)0\033*B\033+B\016" },
		{ "\033)0\016\017", "\033+B\017" },
		{ "\033n", "\033n" },
		{ "\033[5 q", "\033[5 q" },
		{ "\033[1;3;9m", "\033[1m\033[3m\033[9m" },
		{ "\033[1;3m\033[22m", "!\033[1m" },
		{ "\033[7m\033[m", "!\033[7m" },
		{ "\033[31;42m", "\033[31m\033[42m" },
		{ "\033[95;106m", "\033[95m\033[106m" },
		{ "\033[38;5;200m", "\033[38:5:200m" },
		{ "\033[38;2;1;2;3m", "\033[38:2::1:2:3m" },
		{ "\033[38:2::1:2:3m", "\033[38:2::1:2:3m" },
		{ "\033[38:2:1:2:3m", "\033[38:2::1:2:3m" },
		{ "\033[58:5:9;4:3m", "\033[4:3m\033[58:5:9m" },
		{ "\033[38;2;1;2;3;1m", "\033[1m" },
		{ "\033[38;5;1;39m", "!\033[38" },
		{ "\033[4:0m", "!\033[4:" },
		{ "\033[21m", "\033[4:2m" },
		{ "\033]0;one\a", "\033]2;one\033\\" },
		{ "\033]2;two\033\\", "\033]2;two\033\\" },
		{ "\033]2;\a", "!\033]2;" },
		{ "\033]1;icon\a", "!icon" },
		{ "\033]52;c;c2VjcmV0\a", "!c2VjcmV0" },
		{ "\033]2;cut\030", "!cut" },
		{ "\033]2;a\001b\177c\a", "\033]2;abc\033\\" },
		{ "\033]2;gr\303\274n\a", "\033]2;gr\303\274n\033\\" },
		{ "\xc2\x9d" "2;eight\xc2\x9c", "\033]2;eight\033\\" },
		{ "\033]2;a\xc2\001\x9c" "b\a", "!\xc2" }, /* no C1 control out of two halves */
		{ "\xc2\x9b" "?1h", "\033[?1h" },
		{ "\033[?1\xc2\x84h", "!\033[?1h" }, /* a C1 control ends it */
		{ "\033[?1\033[?25l", "\033[?25l" },
		{ "\033[?1\rh", "\033[?1h" }, /* C0 controls act inside */
		{ "\033[?1\030h", "!\033[?1h" },
		{ "\033P1$r?1h\033\\", "\033[?1l" },
		{ "\033_?\033[?1h", "\033[?1h" },
		{ "\033[1$p\033[?1$h", "\033[?1l" },
		{ "\033[?1h\033[1m\033[!p", "\033[?1l" },
		{ "\033[5 q\033[!p", "\033[0 q" },
		{ "\033[?1000h\033[!p", "\033[?1000h" },
		{ "\033[?1h\033[?1000h\033]2;t\a\033c", "\033[?1l" },
		{ "\033[?1h\033[?1000h\033]2;t\a\033c", "\033]2;t\033\\" },
		{ "\033]2;never ended", "\033]9999;" },
		{ "\033P never ended", "\033_" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct modes m = after(rows[i].bytes);
		bool no = rows[i].want[0] == '!';
		const char *want = rows[i].want + no, *got = preamble(&m);

		if ((strstr(got, want) == NULL) != no)
			fail_msg("row %zu: \"%s\" gives \"%s\"", i, rows[i].bytes + 1, got + 1);
	}
}

static void long_title(void **state)
{
	char text[1200] = "\033]2;";
	struct modes m;

	(void)state;
	for (size_t i = 0; i < 500; i++)
		memcpy(text + 4 + 2 * i, "\303\274", 2);
	text[1004] = '\a';
	m = after(text);
	assert_int_equal(m.title_len, 254); /* no half of a character */
	(void)preamble(&m);
}

/* Numbers, parameters and strings without end stay within bounds. */
static void huge(void **state)
{
	struct modes m;

	(void)state;
	modes_init(&m);
	modes_feed(&m, (const uint8_t *)"\033[?", 3);
	for (int i = 0; i < 5000; i++)
		modes_feed(&m, (const uint8_t *)"99999999999999999999;", 21);
	modes_feed(&m, (const uint8_t *)"h\033]99999999999999999999999;x", 28);
	assert_true(modes_valid(&m));
	for (int i = 0; i < 5000; i++)
		modes_feed(&m, (const uint8_t *)"0123456789", 10);
	assert_true(modes_valid(&m));
}

static const char *const bits[] = {
	"\033[?1h",
	"\033[?1l",
	"\033[?25l",
	"\033[?2004h",
	"\033[?1049h",
	"\033[?1049l",
	"\033[?1002;1006h",
	"\033[?1000l",
	"\033[4h",
	"\033[4l",
	"\033=",
	"\033>",
	"\033(0",
	"\033(B",
	"\033)0",
	"\016",
	"\017",
	"\033n",
	"\033[2;9r",
	"\033[r",
	"\033[m",
	"\033[1;3;31m",
	"\033[38;2;9;8;7m",
	"\033[48:5:77m",
	"\033[58:2::1:2:3m",
	"\033[4:3m",
	"\033[22;23m",
	"\033[2 q",
	"\033]2;title\a",
	"\033]0;\303\274ber\033\\",
	"\033[!p",
	"\033c",
	"text and more text\r\n",
	"\303\274\342\202\254\360\237\230\200",
	"\033P...\033\\",
	"\033[?6h",
	"\033[?6l",
	"\033[?5h",
	"\033[?12h",
	"\xc2\x9b?7l",
	"\033[?1;",
	"\033]2;half",
	"\033",
	"\030",
	"\xc2",
	"\033[38:5",
};

static size_t random_text(uint8_t *out, size_t cap)
{
	size_t at = 0;

	for (;;) {
		const char *bit = bits[(size_t)random() % (sizeof(bits) / sizeof(bits[0]))];
		size_t len = strlen(bit);

		if (at + len > cap || random() % 64 == 0)
			return at;
		memcpy(out + at, bit, len);
		at += len;
	}
}

/* Cut anywhere, the result is the same. */
static void cuts(void **state)
{
	uint8_t text[2000];

	(void)state;
	srandom(3);
	for (int i = 0; i < 2000; i++) {
		size_t len = random_text(text, sizeof(text)), at = 0;
		struct modes whole, parts;

		modes_init(&whole);
		modes_init(&parts);
		modes_feed(&whole, text, len);
		while (at < len) {
			size_t n = 1 + (size_t)random() % 40;

			if (n > len - at)
				n = len - at;
			modes_feed(&parts, text + at, n);
			at += n;
		}
		assert_memory_equal(&whole, &parts, sizeof(whole));
		assert_true(modes_valid(&whole));
	}
}

/* The fields that a preamble carries. */
static void same_modes(const struct modes *a, const struct modes *b)
{
	size_t screen = strstr(preamble(a), "\033[?1049h") != NULL;

	assert_int_equal(a->set, b->set);
	assert_int_equal(a->mouse, b->mouse);
	assert_int_equal(a->mouse_encoding, b->mouse_encoding);
	assert_int_equal(a->top[screen], b->top[screen]);
	assert_int_equal(a->bottom[screen], b->bottom[screen]);
	assert_memory_equal(a->charset, b->charset, sizeof(a->charset));
	assert_int_equal(a->gl, b->gl);
	assert_int_equal(a->cursor_style, b->cursor_style);
	assert_memory_equal(&a->sgr, &b->sgr, sizeof(a->sgr));
	if (a->title_len)
		assert_string_equal(a->title, b->title);
}

/* A terminal in whatever state, given the preamble of another, is in the other's. */
static void preamble_restores(void **state)
{
	uint8_t text[2000];

	(void)state;
	srandom(4);
	for (int i = 0; i < 2000; i++) {
		struct modes from, to;

		modes_init(&from);
		modes_init(&to);
		modes_feed(&from, text, random_text(text, sizeof(text)));
		modes_feed(&to, text, random_text(text, sizeof(text)));
		modes_feed(&from, (const uint8_t *)preamble(&to), strlen(preamble(&to)));
		same_modes(&to, &from);
	}
}

/* Long plain text is skipped in large steps: what changes a mode is found at every place in and between them. */
static void found_everywhere(void **state)
{
	static const char *const changes[] = { "\033[?1049h", "\016", "\033[?2004h\017", "\302\233?1h", "\033]2;title\007" };
	char text[600];

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		for (size_t at = 0; at < 400; at++) {
			struct modes whole, alone = after(changes[i]);

			memset(text, 'a' + (int)(at % 26), sizeof(text));
			memcpy(text + at, changes[i], strlen(changes[i]));
			modes_init(&whole);
			modes_feed(&whole, (const uint8_t *)text, sizeof(text));
			same_modes(&whole, &alone);
		}
	}
}

static void seeks(void **state)
{
	static const struct {
		const char *before, *text;
		size_t want;
	} rows[] = {
		{ "", "abc\ndef", 4 },
		{ "", "abc", 0 },
		{ "\303", "\274bc", 1 },
		{ "\360\237", "\230\200x", 2 },
		{ "\033[3", "1mx", 2 },
		{ "\033]2;ti", "tle\ax", 4 },
		{ "\033]2;ti", "tle\n\a", 5 },
		{ "\033[", "1mred\033[\n0mx\nz", 12 },
		{ "\033P", "abc", 3 },
		{ "\xc2", "\x9b" "1mx", 3 },
	};
	static uint8_t long_line[10000];
	struct modes m;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct modes want;
		size_t got;

		m = after(rows[i].before);
		want = m;
		got = modes_seek(&m, (const uint8_t *)rows[i].text, strlen(rows[i].text));
		if (got != rows[i].want)
			fail_msg("row %zu: %zu", i, got);
		modes_feed(&want, (const uint8_t *)rows[i].text, got);
		assert_memory_equal(&m, &want, sizeof(m));
	}
	modes_init(&m);
	memset(long_line, 'x', sizeof(long_line));
	long_line[9000] = '\n';
	assert_int_equal(modes_seek(&m, long_line, sizeof(long_line)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sequence), cmocka_unit_test(long_title),	       cmocka_unit_test(huge),
		cmocka_unit_test(cuts),		 cmocka_unit_test(preamble_restores), cmocka_unit_test(seeks),
		cmocka_unit_test(found_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
