/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "auth/rules.h"
#include "base/err.h"

#define NOW 1000000

static struct rules *list;

static int begin(void **state)
{
	(void)state;
	list = rules_create();
	return list ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	list = rules_destroy(list);
	return 0;
}

static void put(const char *pattern, enum rule_effect effect, enum role role, int64_t from, int64_t until)
{
	struct rule r = { .effect = effect, .role = role, .not_before_s = from, .expires_s = until };

	assert_int_equal(rule_pattern(pattern, strlen(pattern), r.pattern, NULL), 0);
	assert_int_equal(rules_put(list, &r), 0);
}

static void expect(const char *email, enum verdict verdict, const char *pattern)
{
	struct decision d = rules_decide(list, email, NOW);

	if (d.verdict != verdict || strcmp(d.rule ? d.rule->pattern : "", pattern) != 0)
		fail_msg("%s: %s by \"%s\"", email, verdict_name(d.verdict), d.rule ? d.rule->pattern : "");
}

static void empty_list_is_nobody(void **state)
{
	(void)state;
	expect("alice@example.org", VERDICT_NO_RULE, "");
}

static void the_most_specific_rule_decides(void **state)
{
	(void)state;
	put("@example.org", RULE_ALLOW, ROLE_USER, 0, 0);
	put("mallory@example.org", RULE_DENY, ROLE_USER, 0, 0);
	put("@*.example.org", RULE_DENY, ROLE_USER, 0, 0);
	put("@*.lab.example.org", RULE_ALLOW, ROLE_USER, 0, 0);
	put("bob@evil.example.org", RULE_ALLOW, ROLE_OPERATOR, 0, 0);
	expect("alice@example.org", VERDICT_ALLOWED, "@example.org");
	expect("mallory@example.org", VERDICT_DENIED, "mallory@example.org");
	expect("x@evil.example.org", VERDICT_DENIED, "@*.example.org");
	expect("bob@evil.example.org", VERDICT_ALLOWED, "bob@evil.example.org");
	expect("x@a.lab.example.org", VERDICT_ALLOWED, "@*.lab.example.org");
	expect("x@lab.example.org", VERDICT_DENIED, "@*.example.org");
}

/* A suffix compare of domains once let exploitcorp.com in where corp.com was meant. */
static void domains_are_compared_whole(void **state)
{
	(void)state;
	put("@corp.com", RULE_ALLOW, ROLE_USER, 0, 0);
	put("@*.corp.net", RULE_ALLOW, ROLE_USER, 0, 0);
	expect("a@exploitcorp.com", VERDICT_NO_RULE, "");
	expect("a@corp.com.evil.org", VERDICT_NO_RULE, "");
	expect("a@sub.corp.com", VERDICT_NO_RULE, "");
	expect("a@corp.net", VERDICT_NO_RULE, "");
	expect("a@xcorp.net", VERDICT_NO_RULE, "");
	expect("a@b.c.corp.net", VERDICT_ALLOWED, "@*.corp.net");
	expect("corp.com@other.org", VERDICT_NO_RULE, "");
	expect("@corp.com", VERDICT_ALLOWED, "@corp.com"); /* cannot be an address: email_normalise() refuses it before */
}

static void dates_decide_and_tell_when_to_ask_again(void **state)
{
	(void)state;
	put("@example.org", RULE_ALLOW, ROLE_USER, 0, 0);
	put("late@example.org", RULE_ALLOW, ROLE_USER, NOW + 10, 0);
	put("gone@example.org", RULE_ALLOW, ROLE_USER, 0, NOW);
	put("soon@example.org", RULE_ALLOW, ROLE_USER, 0, NOW + 1);
	put("banned@example.org", RULE_DENY, ROLE_USER, 0, NOW + 5);
	put("forgiven@example.org", RULE_DENY, ROLE_USER, 0, NOW);
	put("doomed@example.org", RULE_DENY, ROLE_USER, NOW + 7, 0);
	expect("late@example.org", VERDICT_NOT_YET, "late@example.org");
	expect("gone@example.org", VERDICT_EXPIRED, "gone@example.org");
	expect("soon@example.org", VERDICT_ALLOWED, "soon@example.org");
	expect("banned@example.org", VERDICT_DENIED, "banned@example.org");
	expect("forgiven@example.org", VERDICT_ALLOWED, "@example.org");
	expect("doomed@example.org", VERDICT_ALLOWED, "@example.org");
	assert_int_equal(rules_decide(list, "late@example.org", NOW).until_s, NOW + 10);
	assert_int_equal(rules_decide(list, "soon@example.org", NOW).until_s, NOW + 1);
	assert_int_equal(rules_decide(list, "banned@example.org", NOW).until_s, NOW + 5);
	assert_int_equal(rules_decide(list, "doomed@example.org", NOW).until_s, NOW + 7);
	assert_int_equal(rules_decide(list, "gone@example.org", NOW).until_s, 0);
	assert_int_equal(rules_decide(list, "alice@example.org", NOW).until_s, 0);
}

static void everybody_is_a_rule_of_its_own(void **state)
{
	(void)state;
	put("*", RULE_ALLOW, ROLE_USER, 0, 0);
	put("@bad.org", RULE_DENY, ROLE_USER, 0, 0);
	expect("x@y.z", VERDICT_ALLOWED, "*");
	expect("x@bad.org", VERDICT_DENIED, "@bad.org");
}

static void patterns_have_one_spelling(void **state)
{
	static const char *const bad[] = { "", "@", "@*", "@*.", "@*.*.org", "@-x.org", "**", "a*@b.c", "@b..c", "@ b.c", "@*b.c", "alice", "@b.c\n" };
	char out[RULE_PATTERN_BYTES], big[600] = "@";
	struct err e = { 0 };

	(void)state;
	assert_int_equal(rule_pattern(" @Example.ORG ", 14, out, &e), 0);
	assert_string_equal(out, "@example.org");
	assert_int_equal(rule_pattern("@*.Example.org", 14, out, &e), 0);
	assert_string_equal(out, "@*.example.org");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (rule_pattern(bad[i], strlen(bad[i]), out, &e) == 0)
			fail_msg("accepted: %s", bad[i]);
	memset(big + 1, 'a', sizeof(big) - 2);
	assert_int_not_equal(rule_pattern(big, sizeof(big) - 1, out, &e), 0);
}

static void replacing_dropping_and_admins(void **state)
{
	(void)state;
	put("root@example.org", RULE_ALLOW, ROLE_ADMIN, 0, 0);
	put("@example.org", RULE_ALLOW, ROLE_ADMIN, 0, 0);
	put("old@example.org", RULE_ALLOW, ROLE_ADMIN, 0, NOW - 1);
	assert_int_equal(rules_admins(list, NULL, NOW), 1);
	assert_int_equal(rules_admins(list, "root@example.org", NOW), 0);
	put("root@example.org", RULE_ALLOW, ROLE_USER, 0, 0);
	assert_int_equal(rules_count(list), 3);
	assert_int_equal(rules_admins(list, NULL, NOW), 0);
	assert_int_equal(rules_drop(list, "root@example.org"), 0);
	assert_int_equal(rules_drop(list, "root@example.org"), -ENOENT);
	expect("root@example.org", VERDICT_ALLOWED, "@example.org");
}

static void names_go_both_ways(void **state)
{
	enum role role = ROLE_USER;
	enum rule_effect effect = RULE_ALLOW;

	(void)state;
	assert_int_equal(role_parse("auditor", &role), 0);
	assert_string_equal(role_name(role), "auditor");
	assert_int_equal(role_parse("root", &role), -EINVAL);
	assert_int_equal(rule_effect_parse("deny", &effect), 0);
	assert_string_equal(rule_effect_name(effect), "deny");
	assert_int_equal(rule_effect_parse("", &effect), -EINVAL);
}

static void ten_thousand_rules(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++) {
		char pattern[64];

		(void)snprintf(pattern, sizeof(pattern), "user%d@dept%d.example.org", i, i % 100);
		put(pattern, i % 10 ? RULE_ALLOW : RULE_DENY, ROLE_USER, 0, 0);
	}
	assert_int_equal(rules_count(list), 10000);
	expect("user9999@dept99.example.org", VERDICT_ALLOWED, "user9999@dept99.example.org");
	expect("user9990@dept90.example.org", VERDICT_DENIED, "user9990@dept90.example.org");
	expect("user9990@dept91.example.org", VERDICT_NO_RULE, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(empty_list_is_nobody), TEST(the_most_specific_rule_decides), TEST(domains_are_compared_whole),
		TEST(dates_decide_and_tell_when_to_ask_again), TEST(everybody_is_a_rule_of_its_own), TEST(patterns_have_one_spelling),
		TEST(replacing_dropping_and_admins), TEST(names_go_both_ways), TEST(ten_thousand_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
