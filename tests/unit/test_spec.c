/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "hv/spec.h"

static int parse(struct vm_spec *s, const char *text, struct err *e)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	int r;

	assert_non_null(json);
	r = spec_parse(s, json, e);
	json_decref(json);
	return r;
}

static void empty_means_defaults(void **state)
{
	struct vm_spec s;

	(void)state;
	spec_defaults(&s);
	assert_int_equal(parse(&s, "{}", NULL), 0);
	assert_string_equal(s.image, "micro");
	assert_int_equal(s.cpus, 1);
	assert_int_equal(s.memory_bytes, 256 << 20);
	assert_int_equal(s.net, VM_NET_NAT);
	assert_int_equal(s.cols, 0);
}

static void all_members_go_in_and_out(void **state)
{
	static const char text[] = "{\"name\":\"a-1\",\"image\":\"big\",\"cpus\":8,\"memory\":17179869184,\"network\":\"isolated\","
				   "\"cols\":1000,\"rows\":1,\"disk\":4398046511104,\"home\":\"seeds\",\"data\":16777216}";
	struct vm_spec s, again;
	json_t *json;

	(void)state;
	memset(&s, 0, sizeof(s));
	memset(&again, 0, sizeof(again));
	assert_int_equal(parse(&s, text, NULL), 0);
	assert_string_equal(s.name, "a-1");
	assert_int_equal(s.memory_bytes, VM_MEMORY_MAX);
	assert_int_equal(s.net, VM_NET_ISOLATED);
	assert_string_equal(s.home, "seeds");
	assert_true(s.overlay_bytes == VM_DISK_MAX && s.data_bytes == VM_DISK_MIN);
	json = spec_json(&s);
	assert_non_null(json);
	assert_int_equal(spec_parse(&again, json, NULL), 0);
	json_decref(json);
	assert_memory_equal(&s, &again, sizeof(s));
}

static void hostile_members_are_refused_by_name(void **state)
{
	static const struct {
		const char *text, *word;
	} rows[] = {
		{ "[]", "object" }, { "null", "object" }, { "\"x\"", "object" }, { "1", "object" },
		{ "{\"disc\":1}", "\"disc\"" },
		{ "{\"disk\":1}", "disk" }, { "{\"disk\":true}", "disk" }, { "{\"disk\":\"16M\"}", "disk" }, { "{\"disk\":16777217}", "disk" },
		{ "{\"disk\":4398047559680}", "disk" }, { "{\"data\":-16777216}", "data" }, { "{\"data\":16777215}", "data" },
		{ "{\"home\":1}", "home" }, { "{\"home\":\"\"}", "home" }, { "{\"home\":\"../a\"}", "home" }, { "{\"home\":\"A\"}", "home" },
		{ "{\"home\":true,\"confidential\":\"snp\"}", "home" }, { "{\"data\":16777216,\"confidential\":\"snp\"}", "data" },
		{ "{\"\":1}", "\"\"" },
		{ "{\"Name\":\"a\"}", "\"Name\"" },
		{ "{\"name\":\"\"}", "name" }, { "{\"name\":1}", "name" }, { "{\"name\":null}", "name" },
		{ "{\"name\":\"-a\"}", "name" }, { "{\"name\":\"a-\"}", "name" }, { "{\"name\":\"A\"}", "name" },
		{ "{\"name\":\"a.b\"}", "name" }, { "{\"name\":\"a b\"}", "name" }, { "{\"name\":\"a\\n\"}", "name" },
		{ "{\"name\":\"a=b\"}", "name" }, { "{\"name\":\"a,b\"}", "name" }, { "{\"name\":\"\\u00e4\"}", "name" },
		{ "{\"name\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", "name" },
		{ "{\"image\":\"..\"}", "image" }, { "{\"image\":\"../etc\"}", "image" }, { "{\"image\":\"/\"}", "image" },
		{ "{\"cpus\":0}", "cpus" }, { "{\"cpus\":9}", "cpus" }, { "{\"cpus\":-1}", "cpus" }, { "{\"cpus\":1.0}", "cpus" },
		{ "{\"cpus\":\"1\"}", "cpus" }, { "{\"cpus\":true}", "cpus" }, { "{\"cpus\":9223372036854775807}", "cpus" },
		{ "{\"memory\":67108863}", "memory" }, { "{\"memory\":67108865}", "memory" }, { "{\"memory\":17179869185}", "memory" },
		{ "{\"memory\":-9223372036854775808}", "memory" }, { "{\"memory\":1e9}", "memory" },
		{ "{\"network\":\"bridge\"}", "network" }, { "{\"network\":0}", "network" }, { "{\"network\":{}}", "network" },
		{ "{\"cols\":1001}", "cols" }, { "{\"rows\":65536}", "rows" }, { "{\"rows\":[1]}", "rows" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = { 0 };
		struct vm_spec s, before;

		memset(&s, 0, sizeof(s));
		spec_defaults(&s);
		before = s;
		if (parse(&s, rows[i].text, &e) != -EINVAL || !strstr(e.msg, rows[i].word))
			fail_msg("%s: \"%s\"", rows[i].text, e.msg);
		assert_memory_equal(&s, &before, sizeof(s)); /* a refused request changes nothing */
	}
}

static void some_home_or_none(void **state)
{
	struct vm_spec s;

	(void)state;
	spec_defaults(&s);
	assert_int_equal(parse(&s, "{\"home\":true,\"disk\":0}", NULL), 0);
	assert_true(s.home_wanted);
	assert_string_equal(s.home, "home");
	assert_int_equal(parse(&s, "{\"home\":false}", NULL), 0);
	assert_false(s.home_wanted);
	assert_string_equal(s.home, "");
}

static void half_good_changes_nothing(void **state)
{
	struct vm_spec s;

	(void)state;
	spec_defaults(&s);
	assert_int_equal(parse(&s, "{\"cpus\":4,\"name\":\"bob\",\"rows\":-3}", NULL), -EINVAL);
	assert_int_equal(s.cpus, 1);
	assert_string_equal(s.name, "terrarium");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_means_defaults),
		cmocka_unit_test(all_members_go_in_and_out),
		cmocka_unit_test(hostile_members_are_refused_by_name),
		cmocka_unit_test(some_home_or_none),
		cmocka_unit_test(half_good_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
