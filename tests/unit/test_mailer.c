/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "gateway/invite_text.h"
#include "gateway/mailer.h"

static const uint8_t random_bytes[16] = { 0xab, 0xcd };

static int compose(struct buf *out, const char *to, const char *subject, const char *text, const char *from)
{
	const struct mail mail = { .to = to, .subject = subject, .text = text, .html = "<p>x" };

	*out = BUF_INIT(65536);
	return mail_write(out, &mail, from, 1800000000, random_bytes, NULL);
}

static void a_message_is_well_formed(void **state)
{
	struct buf out;

	(void)state;
	assert_int_equal(compose(&out, "ann@x.org", "Hello", "Grüße\n.\nQUIT\n", "t@y.org"), 0);
	assert_ptr_equal(
		strstr(out.data,
		       "From: Terrarium <t@y.org>\r\nTo: <ann@x.org>\r\nSubject: Hello\r\n"
		       "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nMessage-ID: <abcd0000000000000000000000000000@y.org>\r\n"),
		out.data);
	assert_non_null(strstr(out.data, "\r\n--abcd0000000000000000000000000000--\r\n"));
	assert_non_null(strstr(
		out.data,
		"text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQouClFVSVQK\r\n"));
	assert_null(strstr(out.data, "QUIT"));
	for (const char *line = out.data; *line; line = strchr(line, '\n') + 1) {
		const char *end = strchr(line, '\n');

		assert_non_null(end);
		assert_true(end - line <= 100);
		assert_int_equal(end[-1], '\r');
	}
	buf_finish(&out);
}

static void headers_take_nothing_else(void **state)
{
	static const struct {
		const char *to, *subject, *from;
	} rows[] = {
		{ "ann@x.org\r\nBcc: all@x.org", "s", "t@y.org" },
		{ "ann@x.org>", "s", "t@y.org" },
		{ "Ann <ann@x.org>", "s", "t@y.org" },
		{ "ann@x.org,bob@x.org", "s", "t@y.org" },
		{ "ann@x.org ", "s", "t@y.org" },
		{ "", "s", "t@y.org" },
		{ "ann@x.org", "s\r\nBcc: all@x.org", "t@y.org" },
		{ "ann@x.org", "s\n", "t@y.org" },
		{ "ann@x.org", "", "t@y.org" },
		{ "ann@x.org", "s\x80", "t@y.org" },
		{ "ann@x.org", "s", "t@y.org\r\nX: y" },
		{ "ann@x.org", "s", "T@y.org" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;

		if (compose(&out, rows[i].to, rows[i].subject, "t", rows[i].from) != -EINVAL)
			fail_msg("row %zu", i);
		buf_finish(&out);
	}
}

static void long_texts_are_refused(void **state)
{
	char *text = calloc(1, MAIL_TEXT_MAX + 2);
	struct buf out;

	(void)state;
	memset(text, 'x', MAIL_TEXT_MAX);
	assert_int_equal(compose(&out, "ann@x.org", "s", text, "t@y.org"), 0);
	buf_finish(&out);
	text[MAIL_TEXT_MAX] = 'x';
	assert_int_equal(compose(&out, "ann@x.org", "s", text, "t@y.org"), -EINVAL);
	buf_finish(&out);
	free(text);
}

static void an_invitation_says_what_to_do(void **state)
{
	const struct invite_words w = { .url = "https://t.example.org",
					.email = "o'neil&co@x.org",
					.invited_by = "root@x.org",
					.note = "See <b>you</b>\nsoon\x1b[2J%n",
					.way = "Corp" };
	struct buf text = BUF_INIT(4096), html = BUF_INIT(4096), small = BUF_INIT(20);

	(void)state;
	assert_int_equal(invite_text(&text, &w), 0);
	assert_non_null(strstr(text.data, "root@x.org invites you to Terrarium"));
	assert_non_null(strstr(
		text.data, "1. Open https://t.example.org\n2. Choose \"Corp\". Sign in as o'neil&co@x.org.\n"));
	assert_non_null(strstr(text.data, "See <b>you</b>\nsoon [2J%n\n"));
	assert_int_equal(invite_html(&html, &w), 0);
	assert_non_null(strstr(html.data, "<a href=\"https://t.example.org\">https://t.example.org</a>"));
	assert_non_null(strstr(html.data, "<b>o&#39;neil&amp;co@x.org</b>"));
	assert_non_null(strstr(html.data, "See &lt;b&gt;you&lt;/b&gt;<br>\nsoon [2J%n"));
	assert_int_equal(invite_text(&small, &w), -ENOSPC);
	buf_finish(&text);
	buf_finish(&html);
	buf_finish(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_well_formed),
		cmocka_unit_test(headers_take_nothing_else),
		cmocka_unit_test(long_texts_are_refused),
		cmocka_unit_test(an_invitation_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
