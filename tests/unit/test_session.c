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
#include <unistd.h>

#include "auth/session.h"
#include "auth/store.h"

#define S64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define T64 "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static void secrets_differ_and_hash_alike(void **state)
{
	char a[SECRET_TEXT], b[SECRET_TEXT];
	uint8_t ha[SECRET_HASH_BYTES], hb[SECRET_HASH_BYTES];

	(void)state;
	assert_int_equal(secret_make(a, ha), 0);
	assert_int_equal(secret_make(b, hb), 0);
	assert_string_not_equal(a, b);
	assert_false(secret_equal(ha, hb, sizeof(ha)));
	assert_int_equal(secret_hash(a, hb), 0);
	assert_true(secret_equal(ha, hb, sizeof(ha)));
}

static void only_64_lower_case_digits_are_a_secret(void **state)
{
	static const char too_long[] = S64 "0";
	static const char *const bad[] = { "", "00", too_long, "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
					   "g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
	uint8_t hash[SECRET_HASH_BYTES];

	(void)state;
	assert_int_equal(secret_hash(S64, hash), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(secret_hash(bad[i], hash), -EINVAL);
}

static void the_cookie_is_found_among_others(void **state)
{
	static const struct {
		const char *header;
		int result;
	} rows[] = {
		{ "__Host-sid=" S64, 0 },
		{ "a=b; __Host-sid=" S64 "; c=d", 0 },
		{ "a=b;__Host-sid=" S64 " ", 0 },
		{ "x__Host-sid=" S64, -ENOENT },
		{ "__Host-sidx=" S64, -ENOENT },
		{ "__host-sid=" S64, -ENOENT },
		{ "a=__Host-sid=" S64, -ENOENT },
		{ "", -ENOENT },
		{ ";;; ;", -ENOENT },
		{ "__Host-sid", -ENOENT },
		{ "__Host-sid=", -EINVAL },
		{ "__Host-sid=" S64 "0", -EINVAL },
		{ "__Host-sid=\"" S64 "\"", -EINVAL },
		{ "__Host-sid=0123", -EINVAL },
		{ "__Host-sid=" S64 "; __Host-sid=" T64, -EINVAL },
		{ "__Host-sid=" S64 "; __Host-sid=" S64, -EINVAL },
	};
	char secret[SECRET_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(secret, 0, sizeof(secret));
		if (session_cookie(rows[i].header, SESSION_COOKIE, secret) != rows[i].result)
			fail_msg("row %zu: %s", i, rows[i].header);
		if (rows[i].result == 0)
			assert_string_equal(secret, S64);
	}
}

/* Another host of the domain may plant "x__Host-signin" and so have a visitor finish the planter's own sign-in. */
static void any_secret_is_found_by_its_whole_name(void **state)
{
	char secret[SECRET_TEXT] = "";

	(void)state;
	assert_int_equal(session_cookie("x__Host-signin=" T64 "; __Host-signin=" S64, "__Host-signin", secret), 0);
	assert_string_equal(secret, S64);
	assert_int_equal(session_cookie("a=__Host-signin=" T64, "__Host-signin", secret), -ENOENT);
	assert_int_equal(session_cookie("__Host-signin=" S64 "00", "__Host-signin", secret), -EINVAL);
	assert_int_equal(session_cookie("__Host-signin=" S64 "; __Host-signin=" T64, "__Host-signin", secret), -EINVAL);
	assert_int_equal(session_cookie("__Host-sid=" S64, "__Host-signin", secret), -ENOENT);
}

static void a_session_opens_by_its_cookie_only(void **state)
{
	char dir[] = "/tmp/test_session.XXXXXX", path[64];
	struct store *store = NULL;
	struct who who = { .email = "a@x.org" }, got = { 0 };
	char cookie[SESSION_COOKIE_BYTES], header[SESSION_COOKIE_BYTES];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	assert_int_equal(store_open(&store, path, NULL), 0);
	assert_int_equal(store_person_seen(store, "demo", "a@x.org", "a@x.org", 1, &who.person, NULL), 0);
	assert_int_equal(session_open(store, &who, 1000, 60, cookie, NULL), 0);
	assert_non_null(strstr(cookie, "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"));
	assert_null(strstr(cookie, "Domain"));
	(void)snprintf(header, sizeof(header), "x=y; %.*s", (int)strcspn(cookie, ";"), cookie);
	assert_int_equal(session_check(store, header, 1059, &got, NULL), 0);
	assert_int_equal(got.person, who.person);
	assert_int_equal(session_check(store, header, 1060, &got, NULL), STORE_E_NONE);
	assert_int_equal(session_check(store, "__Host-sid=" S64, 1000, &got, NULL), STORE_E_NONE);
	assert_int_equal(session_check(store, NULL, 1000, &got, NULL), STORE_E_NONE);
	store = store_close(store);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_differ_and_hash_alike),
		cmocka_unit_test(only_64_lower_case_digits_are_a_secret),
		cmocka_unit_test(the_cookie_is_found_among_others),
		cmocka_unit_test(any_secret_is_found_by_its_whole_name),
		cmocka_unit_test(a_session_opens_by_its_cookie_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
