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
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "gateway/recipe.h"
#include "hv/spec.h"

static json_t *spec;
static struct recipe_wish w;

static int parse(const char *text, struct err *e)
{
	recipe_finish(&w);
	json_decref(spec);
	spec = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(spec);
	return recipe_parse(&w, spec, true, e);
}

static int done(void **state)
{
	(void)state;
	recipe_finish(&w);
	json_decref(spec);
	spec = NULL;
	return 0;
}

static void a_recipe_fills_in_what_is_not_said(void **state)
{
	struct vm_spec vm;

	(void)state;
	assert_int_equal(parse("{\"recipe\":\"web\",\"name\":\"fern\",\"cpus\":3}", NULL), 0);
	assert_string_equal(w.recipe, "web");
	assert_true(json_array_size(w.packages) > 2 && strncmp(w.script, "#!/bin/sh\n", 10) == 0);
	spec_defaults(&vm);
	assert_int_equal(spec_parse(&vm, spec, NULL), 0); /* nothing is left that it does not know */
	assert_string_equal(vm.image, "standard");
	assert_int_equal(vm.cpus, 3);
	assert_int_equal(vm.memory_bytes, 512 << 20);
	assert_int_equal(vm.overlay_bytes, 2ULL << 30);
	assert_int_equal(parse("{\"recipe\":\"web\",\"confidential\":\"snp\"}", NULL), 0);
	assert_null(json_object_get(spec, "disk"));

	assert_int_equal(parse("{\"recipe\":\"web\",\"packages\":[],\"script\":\"\",\"image\":\"mine\"}", NULL), 0);
	assert_false(recipe_any(&w));
	assert_string_equal(json_string_value(json_object_get(spec, "image")), "mine");
	assert_int_equal(parse("{\"recipe\":\"custom\"}", NULL), 0);
	assert_int_equal(json_object_size(spec), 0);
	assert_int_equal(parse("{}", NULL), 0);
	assert_false(recipe_any(&w) || w.recipe[0]);
}

static void hostile_members_are_refused_by_name(void **state)
{
	static const struct {
		const char *json, *begins;
	} bad[] = {
		{ "{\"recipe\":\"jungle\"}", "recipe " },
		{ "{\"recipe\":\"../web\"}", "recipe " },
		{ "{\"recipe\":7}", "recipe " },
		{ "{\"recipe\":null}", "recipe " },
		{ "{\"packages\":\"curl\"}", "packages " },
		{ "{\"packages\":{\"curl\":1}}", "packages " },
		{ "{\"packages\":[\"curl\",7]}", "packages[1] " },
		{ "{\"packages\":[\"c\"]}", "packages[0] " },
		{ "{\"packages\":[\"-y\"]}", "packages[0] " },
		{ "{\"packages\":[\"--allow-unauthenticated\"]}", "packages[0] " },
		{ "{\"packages\":[\"curl-\"]}", "packages[0] " },
		{ "{\"packages\":[\"curl=1\"]}", "packages[0] " },
		{ "{\"packages\":[\"./evil.deb\"]}", "packages[0] " },
		{ "{\"packages\":[\"/tmp/evil.deb\"]}", "packages[0] " },
		{ "{\"packages\":[\"a;reboot\"]}", "packages[0] " },
		{ "{\"packages\":[\"a b\"]}", "packages[0] " },
		{ "{\"packages\":[\"curl\\n\"]}", "packages[0] " },
		{ "{\"packages\":[\"Curl\"]}", "packages[0] " },
		{ "{\"packages\":[\"\"]}", "packages[0] " },
		{ "{\"script\":[\"ls\"]}", "script " },
		{ "{\"script\":\"\\u001b[2J\"}", "script " },
		{ "{\"script\":\"a\\rb\"}", "script " },
	};
	struct err e = { 0 };
	char *text = malloc(40000);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i].json, &e), -EINVAL);
		if (strncmp(e.msg, bad[i].begins, strlen(bad[i].begins)) != 0)
			fail_msg("%s: %s", bad[i].json, e.msg);
	}
	assert_non_null(text);
	(void)snprintf(text, 40000, "{\"script\":\"%016385d\"}", 7);
	assert_int_equal(parse(text, &e), -EINVAL);
	(void)snprintf(text, 40000, "{\"script\":\"%016384d\"}", 7);
	assert_int_equal(parse(text, &e), 0);
	(void)snprintf(text, 40000, "{\"packages\":[\"%065d\"]}", 7);
	assert_int_equal(parse(text, &e), -EINVAL);
	free(text);
	assert_int_equal(parse("{\"packages\":[\"g++\",\"libstdc++6\",\"python3.11\",\"0ad\"],\"script\":\"a\\r\\nb\\t\\n\"}", &e), 0);
	assert_string_equal(w.script, "a\nb\t\n");
}

static void what_does_not_fit_is_refused_in_words(void **state)
{
	struct vm_spec vm;
	struct err e = { 0 };

	(void)state;
	spec_defaults(&vm);
	assert_int_equal(parse("{\"packages\":[\"curl\"]}", NULL), 0);
	assert_int_equal(recipe_fits(&w, &vm, "/nowhere", "qemu", &e), -EINVAL);
	assert_non_null(strstr(e.msg, "packages: there is no image \"micro\""));
	assert_int_equal(recipe_fits(&w, &vm, "/nowhere", "local", &e), -EINVAL);
	assert_non_null(strstr(e.msg, "packages: the machine would be a process"));
	vm.net = VM_NET_NONE;
	assert_int_equal(recipe_fits(&w, &vm, "/nowhere", "qemu", &e), -EINVAL);
	assert_non_null(strstr(e.msg, "without a network"));
	assert_int_equal(parse("{\"script\":\"ls\"}", NULL), 0);
	assert_int_equal(recipe_fits(&w, &vm, "/nowhere", "qemu", &e), 0);
	vm.confidential = VM_CONFIDENTIAL_SNP;
	assert_int_equal(recipe_fits(&w, &vm, "/nowhere", "qemu", &e), -EINVAL);
	assert_non_null(strstr(e.msg, "script: a sealed machine"));
	assert_int_equal(parse("{}", NULL), 0);
	assert_int_equal(recipe_fits(&w, &vm, "/nowhere", "qemu", &e), 0);
}

/* An image of this name, with or without a package manager. */
static void put_image(const char *dir, const char *name, const char *more)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0700), 0);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, name, i ? "initrd" : "vmlinux");
		f = fopen(path, "we");
		assert_non_null(f);
		assert_true(fputs("x", f) >= 0 && fclose(f) == 0);
	}
	(void)snprintf(path, sizeof(path), "%s/%s/manifest.json", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fprintf(f, "{\"kernel\":\"vmlinux\",\"initrd\":\"initrd\",\"cmdline\":\"\",\"ready\":\"r\",\"memory_min\":1%s,\"files\":{"
			       "\"vmlinux\":{\"size\":1,\"sha256\":\"%064d\"},\"initrd\":{\"size\":1,\"sha256\":\"%064d\"}}}", more, 0, 0) > 0);
	assert_int_equal(fclose(f), 0);
}

static void drop_image(const char *dir, const char *name)
{
	static const char *const files[] = { "/vmlinux", "/initrd", "/manifest.json", "" };
	char path[256];

	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s%s", dir, name, files[i]);
		assert_int_equal(remove(path), 0);
	}
}

static void what_can_be_had_is_told(void **state)
{
	char dir[] = "/tmp/test_recipe.XXXXXX";
	struct vm_spec vm;
	struct err e = { 0 };
	json_t *list;

	(void)state;
	assert_non_null(mkdtemp(dir));
	put_image(dir, "micro", "");
	list = recipe_list(dir);
	assert_int_equal(json_array_size(list), 4);
	assert_true(json_is_true(json_object_get(json_array_get(list, 0), "available")));
	assert_false(json_is_true(json_object_get(json_array_get(list, 1), "available")));
	assert_non_null(json_string_value(json_object_get(json_array_get(list, 1), "why")));
	assert_true(json_is_true(json_object_get(json_array_get(list, 3), "available")));
	json_decref(list);
	put_image(dir, "standard", ",\"packages\":[{\"name\":\"curl\"},{\"name\":\"apt\"}]");
	list = recipe_list(dir);
	assert_true(json_is_true(json_object_get(json_array_get(list, 1), "available")));
	json_decref(list);

	assert_int_equal(parse("{\"packages\":[\"curl\"]}", NULL), 0);
	spec_defaults(&vm);
	assert_int_equal(recipe_fits(&w, &vm, dir, "qemu", &e), -EINVAL);
	assert_non_null(strstr(e.msg, "packages: the image \"micro\" has no package manager"));
	(void)snprintf(vm.image, sizeof(vm.image), "standard");
	assert_int_equal(recipe_fits(&w, &vm, dir, "qemu", &e), 0);
	drop_image(dir, "micro");
	drop_image(dir, "standard");
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_recipe_fills_in_what_is_not_said, done),
		cmocka_unit_test_teardown(hostile_members_are_refused_by_name, done),
		cmocka_unit_test_teardown(what_does_not_fit_is_refused_in_words, done),
		cmocka_unit_test_teardown(what_can_be_had_is_told, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
