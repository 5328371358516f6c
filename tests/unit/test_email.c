/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "auth/email.h"
#include "base/err.h"

static void good_addresses_have_one_spelling(void **state)
{
	static const char *const rows[][2] = {
		{ "alice@example.org", "alice@example.org" },
		{ "  Alice@Example.ORG\t", "alice@example.org" },
		{ "a.b+tag@sub.example.org", "a.b+tag@sub.example.org" },
		{ "root@localhost", "root@localhost" },
		{ "x@xn--bcher-kva.example", "x@xn--bcher-kva.example" },
		{ "o'brien@example.org", "o'brien@example.org" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[EMAIL_BYTES];

		assert_int_equal(email_normalise(rows[i][0], strlen(rows[i][0]), out, NULL), 0);
		assert_string_equal(out, rows[i][1]);
	}
	assert_string_equal(email_domain("a@b.c"), "b.c");
}

static void bad_addresses_are_refused(void **state)
{
	static const char *const rows[] = {
		"", "@", "a@", "@b.c", "a@b@c.d", "a b@c.d", "a@b..c", "a@.b", "a@b.", "a..b@c.d", ".a@c.d", "a.@c.d", "a@-b.c",
		"a@b-.c", "a@b_c.d", "\"a b\"@c.d", "a@[127.0.0.1]", "a\n@b.c", "a@b.c\n", "a@b.c\r\nBcc: x@y.z",
		"\xd0\xb0lice@example.org", /* Cyrillic a */
		"a@ex\xc3\xa4mple.org", "a<script>@b.c,", "a@b,c", "a@b.c;d@e.f", "a/b@c.d", "/c=us@d.e",
		"0123456789012345678901234567890123456789012345678901234567890123x@b.c",
		"a@0123456789012345678901234567890123456789012345678901234567890123.c",
	};
	char big[400], out[EMAIL_BYTES] = "untouched";
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (email_normalise(rows[i], strlen(rows[i]), out, &e) == 0)
			fail_msg("accepted: %s", rows[i]);
	assert_int_not_equal(email_normalise("a@b\0.c", 6, out, &e), 0);
	memset(big, 'a', sizeof(big));
	memcpy(big, "a@", 2);
	assert_int_not_equal(email_normalise(big, sizeof(big), out, &e), 0);
	assert_non_null(strstr(e.msg, "254"));
	assert_string_equal(out, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_addresses_have_one_spelling),
		cmocka_unit_test(bad_addresses_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
