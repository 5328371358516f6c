/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/rule_csv.h"
#include "base/buf.h"
#include "base/err.h"

static int read_csv(struct rule_csv *c, const char *text, struct err *e)
{
	memset(c, 0, sizeof(*c));
	return rule_csv_read(c, text, strlen(text), e);
}

static void spreadsheets_of_all_kinds(void **state)
{
	static const char text[] = "\xef\xbb\xbf\"Role\",email,Expires_At,note,colour\r\n"
				   "admin,Root@Example.org,,\"chief, \"\"boss\"\"\",red\r\n"
				   "\r\n"
				   ",@lab.example.org,2027-01-31,\"two\nlines\",\r\n"
				   "user, x@y.z ,,,";
	struct rule_csv c;

	(void)state;
	assert_int_equal(read_csv(&c, text, NULL), 0);
	assert_int_equal(c.bad_count, 0);
	assert_int_equal(c.count, 3);
	assert_string_equal(c.rules[0].pattern, "root@example.org");
	assert_int_equal(c.rules[0].role, ROLE_ADMIN);
	assert_string_equal(c.rules[0].note, "chief, \"boss\"");
	assert_string_equal(c.rules[1].pattern, "@lab.example.org");
	assert_int_equal(c.rules[1].expires_s, 1801353600);
	assert_string_equal(c.rules[1].note, "two lines");
	assert_int_equal(c.lines[0], 2);
	rule_csv_finish(&c);
}

static void bad_lines_are_named(void **state)
{
	static const char text[] = "email,role,expires\nok@b.c,user,\nnobody,user,\na@b.c,king,\nc@d.e,user,soon\n,user,\nfine@b.c,,\n";
	struct rule_csv c;

	(void)state;
	assert_int_equal(read_csv(&c, text, NULL), 0);
	assert_int_equal(c.count, 2);
	assert_int_equal(c.bad_count, 4);
	assert_int_equal(c.bad[0].line, 3);
	assert_int_equal(c.bad[1].line, 4);
	assert_non_null(strstr(c.bad[1].why, "role"));
	assert_int_equal(c.bad[2].line, 5);
	assert_int_equal(c.bad[3].line, 6);
	rule_csv_finish(&c);
}

/* A pattern for the second time: neither line is taken for the other. */
static void doubles_are_bad(void **state)
{
	static const char text[] = "email,role\na@b.c,user\nc@d.e,\nA@B.c,admin\n a@b.c ,user\n";
	static const char lines[] = "x@y.z deny\nX@y.z\n";
	struct rule_csv c;

	(void)state;
	assert_int_equal(read_csv(&c, text, NULL), 0);
	assert_int_equal(c.count, 2);
	assert_string_equal(c.rules[0].pattern, "a@b.c");
	assert_int_equal(c.rules[0].role, ROLE_USER);
	assert_int_equal(c.lines[1], 3);
	assert_int_equal(c.bad_count, 2);
	assert_int_equal(c.bad[0].line + c.bad[1].line, 9);
	rule_csv_finish(&c);
	assert_int_equal(rule_lines(&c, lines, sizeof(lines) - 1, NULL), 0);
	assert_int_equal(c.count, 1);
	assert_int_equal(c.bad_count, 1);
	assert_int_equal(c.bad[0].line, 2);
	rule_csv_finish(&c);
}

/* 0 is "no end" in the list. */
static void an_end_in_1970_is_not_for_ever(void **state)
{
	static const char text[] = "email,expires\na@b.c,1970-01-01\nb@b.c,1970-01-01T01:00:00+02:00\n";
	struct rule_csv c;

	(void)state;
	assert_int_equal(read_csv(&c, text, NULL), 0);
	assert_int_equal(c.count, 0);
	assert_int_equal(c.bad_count, 2);
	rule_csv_finish(&c);
}

static void what_is_no_table_is_refused(void **state)
{
	static const char *const rows[] = { "", "a,b\n", "email\n\"open", "email\n\"a\"b\"\n" };
	struct err e = { 0 };
	struct rule_csv c;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (read_csv(&c, rows[i], &e) >= 0)
			fail_msg("accepted: %s", rows[i]);
		rule_csv_finish(&c);
	}
}

/* A note such as =HYPERLINK(...) must not run when an administrator opens the export. */
static void exports_are_safe_and_come_back(void **state)
{
	struct rule r[6] = { { .role = ROLE_ADMIN, .expires_s = 1801353600 }, { .effect = RULE_DENY }, { .effect = RULE_ALLOW } };
	struct buf out = BUF_INIT(4096);
	struct rule_csv c;

	(void)state;
	(void)snprintf(r[0].pattern, sizeof(r[0].pattern), "a@b.c");
	(void)snprintf(r[0].note, sizeof(r[0].note), "=HYPERLINK(\"http://evil\",\"x\")");
	(void)snprintf(r[1].pattern, sizeof(r[1].pattern), "@b.c");
	(void)snprintf(r[1].note, sizeof(r[1].note), "-1+1, \"quoted\"");
	(void)snprintf(r[2].pattern, sizeof(r[2].pattern), "*");
	(void)snprintf(r[2].note, sizeof(r[2].note), "@SUM(1)");
	/* These are addresses, too; exported with an apostrophe they came back as another one. */
	(void)snprintf(r[3].pattern, sizeof(r[3].pattern), "=cmd|calc@b.c");
	(void)snprintf(r[4].pattern, sizeof(r[4].pattern), "+x@b.c");
	(void)snprintf(r[5].pattern, sizeof(r[5].pattern), "'=x@b.c");
	assert_int_equal(rule_csv_head(&out), 0);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(rule_csv_row(&out, &r[i]), 0);
	assert_null(strstr(out.data, "\"="));
	assert_null(strstr(out.data, "\"-1"));
	assert_null(strstr(out.data, "\"@"));
	assert_null(strstr(out.data, "\"+"));
	assert_int_equal(read_csv(&c, out.data, NULL), 0);
	assert_int_equal(c.bad_count, 0);
	assert_int_equal(c.count, 6);
	for (size_t i = 0; i < 6; i++) {
		assert_string_equal(c.rules[i].pattern, r[i].pattern);
		assert_string_equal(c.rules[i].note, r[i].note);
		assert_int_equal(c.rules[i].role, r[i].role);
		assert_int_equal(c.rules[i].effect, r[i].effect);
		assert_int_equal(c.rules[i].expires_s, r[i].expires_s);
	}
	rule_csv_finish(&c);
	buf_finish(&out);
}

static void plain_lines(void **state)
{
	static const char text[] = "# the lab\nalice@example.org admin\n\n@example.org until=2027-01-31 # till the end\nmallory@example.org deny\nx y z\nbob\n";
	struct rule_csv c = { 0 };

	(void)state;
	assert_int_equal(rule_lines(&c, text, sizeof(text) - 1, NULL), 0);
	assert_int_equal(c.count, 3);
	assert_int_equal(c.rules[0].role, ROLE_ADMIN);
	assert_int_equal(c.rules[1].expires_s, 1801353600);
	assert_int_equal(c.rules[2].effect, RULE_DENY);
	assert_int_equal(c.bad_count, 2);
	assert_int_equal(c.bad[0].line, 6);
	rule_csv_finish(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spreadsheets_of_all_kinds), cmocka_unit_test(bad_lines_are_named),
		cmocka_unit_test(doubles_are_bad), cmocka_unit_test(an_end_in_1970_is_not_for_ever),
		cmocka_unit_test(what_is_no_table_is_refused), cmocka_unit_test(exports_are_safe_and_come_back), cmocka_unit_test(plain_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
