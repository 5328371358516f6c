/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "netsetup/subnet.h"

static struct subnet parse(const char *text, const char *ifname)
{
	struct subnet s;

	assert_int_equal(subnet_parse(text, &s, NULL), 0);
	(void)snprintf(s.ifname, sizeof(s.ifname), "%s", ifname);
	return s;
}

static void parsing(void **state)
{
	static const char *const good[] = { "0.0.0.0/0", "10.0.0.0/8",	    "192.0.2.1/32", "::/0",
					    "fd00::/8",	 "2001:db8::1/128", "10.128.0.0/9" };
	static const char *const bad[] = {
		"",
		"/",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/ 8",
		"10.0.0.0/8x",
		"10.0.0.1/8",
		"10.0.0/8",
		"fd00::/129",
		"fd00::1/64",
		"fd00::/64/64",
		"10.0.0.0/99999999999999999999",
		"a",
		"1.2.3.4.5",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	char text[SUBNET_TEXT];
	struct subnet s;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(subnet_parse(good[i], &s, NULL), 0);
		subnet_text(&s, text);
		assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = { 0 };

		assert_int_equal(subnet_parse(bad[i], &s, &e), -EINVAL);
		assert_true(e.msg[0]);
	}
	s = parse("192.0.2.7", "");
	assert_int_equal(s.len, 32);
	s = parse("fd00::7", "");
	assert_int_equal(s.len, 128);
}

static void overlapping(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} rows[] = {
		{ "10.0.0.0/8", "10.213.0.0/19", true },      { "10.213.0.0/19", "10.213.31.255/32", true },
		{ "10.213.0.0/19", "10.213.32.0/24", false }, { "10.213.0.0/19", "10.212.0.0/16", false },
		{ "0.0.0.0/0", "10.0.0.0/8", true },	      { "0.0.0.0/0", "::/0", false },
		{ "fd00::/8", "fd7a::/64", true },	      { "fd7a:0:0:1::/64", "fd7a::/64", false },
		{ "fd7a::/63", "fd7a:0:0:1::/64", true },     { "10.1.0.0/17", "10.1.128.0/17", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct subnet a = parse(rows[i].a, ""), b = parse(rows[i].b, "");

		assert_int_equal(subnet_overlaps(&a, &b), rows[i].overlap);
		assert_int_equal(subnet_overlaps(&b, &a), rows[i].overlap);
	}
}

static void conflicts(void **state)
{
	const struct subnet used[] = {
		parse("0.0.0.0/0", "eth0"), parse("127.0.0.0/8", "lo"), parse("192.168.1.0/24", "eth0"),
		parse("10.213.0.0/16", "wg0"), parse("fd7a:7272:6d00::/48", "eth1"),
	};
	const size_t n = sizeof(used) / sizeof(used[0]);
	struct subnet want = parse("10.213.0.0/19", ""), want6 = parse("fd7a:7272:6d00::/64", ""),
		      fine = parse("10.99.0.0/19", "");
	struct err e = { 0 };

	(void)state;
	assert_int_equal(subnet_check(&fine, "subnet4", used, n, &e), 0);
	assert_int_equal(e.code, 0);
	assert_int_equal(subnet_check(&want, "subnet4", used, n, &e), -EADDRINUSE);
	assert_string_equal(
		e.msg,
		"subnet4 = 10.213.0.0/19 overlaps 10.213.0.0/16, in use on wg0; subnet4 = 10.0.0.0/19 is free");
	e = (struct err){ 0 };
	assert_int_equal(subnet_check(&want6, "subnet6", used, n, &e), -EADDRINUSE);
	assert_string_equal(e.msg, "subnet6 = fd7a:7272:6d00::/64 overlaps fd7a:7272:6d00::/48, in use on eth1; "
				   "subnet6 = fd7a:7272:6d01::/64 is free");
}

/* What is suggested is free, private and of the wanted size; when nothing is free, that is said. */
static void suggestions(void **state)
{
	const struct subnet used[] = { parse("10.0.0.0/9", "a"), parse("10.128.0.0/10", "b"),
				       parse("10.192.0.0/10", "c"), parse("172.16.0.0/13", "d") };
	const struct subnet everything[] = { parse("10.0.0.0/8", "a"), parse("172.16.0.0/12", "b"),
					     parse("192.168.0.0/16", "c") };
	struct subnet want = parse("10.213.0.0/19", ""), small = parse("10.0.0.0/30", ""), got;
	char text[SUBNET_TEXT];
	struct err e = { 0 };

	(void)state;
	assert_true(subnet_free(&want, used, 4, &got));
	subnet_text(&got, text);
	assert_string_equal(text, "172.24.0.0/19");
	assert_true(subnet_free(&small, used, 4, &got));
	assert_int_equal(got.len, 30);
	assert_false(subnet_free(&want, everything, 3, &got));
	assert_int_equal(subnet_check(&want, "subnet4", everything, 3, &e), -EADDRINUSE);
	assert_non_null(strstr(e.msg, "no private range"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parsing),
		cmocka_unit_test(overlapping),
		cmocka_unit_test(conflicts),
		cmocka_unit_test(suggestions),
	};

	return cmocka_run_group_tests_name("netd_subnet", tests, NULL, NULL);
}
