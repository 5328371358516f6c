/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of images: what is current, what was, and that a change of it is one step. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "gateway/ctl/image_store.h"

static char images[64];

static void write_text(const char *dir, const char *name, const char *text)
{
	char path[STORE_PATH_BYTES + 64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(images, sizeof(images), "/tmp/test_image_store.XXXXXX");
	return mkdtemp(images) ? 0 : -1;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(images, drop, 8, FTW_DEPTH | FTW_PHYS);
}

/* A version whose manifest is @text. */
static void build(const char *name, const char *text, char version[IMAGE_VERSION_TEXT])
{
	char dir[STORE_PATH_BYTES];
	struct err e = { 0 };

	assert_int_equal(store_begin(images, name, dir, &e), 0);
	write_text(dir, "manifest.json", text);
	assert_int_equal(store_keep(images, name, dir, version, &e), 0);
	assert_int_equal(access(dir, F_OK), -1);
}

static const char *current(const char *name)
{
	static char version[IMAGE_VERSION_TEXT];
	char dir[STORE_PATH_BYTES];

	if (store_dir(images, name, NULL, dir, NULL) < 0 || store_version(dir, version, NULL) < 0)
		return "none";
	return version;
}

static const char *state_of(const char *name, const char *version)
{
	static char word[16];
	json_t *list = store_versions(images, name), *v;
	size_t i;

	word[0] = '\0';
	json_array_foreach(list, i, v) {
		if (strcmp(json_string_value(json_object_get(v, "version")), version) == 0)
			(void)snprintf(word, sizeof(word), "%s", json_string_value(json_object_get(v, "state")));
	}
	json_decref(list);
	return word;
}

static void a_version_is_current_once_it_is_promoted(void **state)
{
	char one[IMAGE_VERSION_TEXT], two[IMAGE_VERSION_TEXT], again[IMAGE_VERSION_TEXT], former[IMAGE_VERSION_TEXT];
	struct err e = { 0 };

	(void)state;
	build("leaf", "one", one);
	assert_string_equal(current("leaf"), "none");
	assert_int_equal(store_promote(images, "leaf", one, &e), 0);
	assert_string_equal(current("leaf"), one);
	assert_int_equal(store_former(images, "leaf", former, &e), -ENOENT);
	build("leaf", "two", two);
	assert_string_not_equal(one, two);
	assert_string_equal(current("leaf"), one);
	assert_int_equal(store_promote(images, "leaf", two, &e), 0);
	assert_string_equal(current("leaf"), two);
	assert_int_equal(store_former(images, "leaf", former, &e), 0);
	assert_string_equal(former, one);
	/* Promoting what is current already forgets nothing. */
	assert_int_equal(store_promote(images, "leaf", two, &e), 0);
	assert_int_equal(store_former(images, "leaf", former, &e), 0);
	assert_string_equal(former, one);
	/* Back, and back again. */
	assert_int_equal(store_promote(images, "leaf", one, &e), 0);
	assert_int_equal(store_former(images, "leaf", former, &e), 0);
	assert_string_equal(former, two);
	/* The same again is the same version. */
	build("leaf", "two", again);
	assert_string_equal(again, two);
	assert_string_equal(current("leaf"), one);
	assert_string_equal(state_of("leaf", one), "broken"); /* "one" is no manifest */
}

static void a_folder_becomes_a_version(void **state)
{
	char dir[STORE_PATH_BYTES], old[IMAGE_VERSION_TEXT], fresh[IMAGE_VERSION_TEXT], former[IMAGE_VERSION_TEXT];
	struct err e = { 0 };
	struct stat st;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/micro", images);
	assert_int_equal(mkdir(dir, 0755), 0);
	write_text(dir, "manifest.json", "made by hand");
	write_text(dir, "initrd", "x");
	assert_int_equal(store_version(dir, old, &e), 0);
	build("micro", "built", fresh);
	assert_int_equal(store_promote(images, "micro", fresh, &e), 0);
	assert_string_equal(current("micro"), fresh);
	assert_int_equal(lstat(dir, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(store_former(images, "micro", former, &e), 0);
	assert_string_equal(former, old);
	assert_int_equal(store_dir(images, "micro", old, dir, &e), 0);
	assert_int_equal(access(strncat(dir, "/initrd", sizeof(dir) - strlen(dir) - 1), F_OK), 0);
	assert_int_equal(store_promote(images, "micro", old, &e), 0);
	assert_string_equal(current("micro"), old);
}

static void names_and_versions_lead_nowhere_else(void **state)
{
	static const char *const names[] = { "", ".", "..", "../x", "a/b", "-a", "a-", "A", "a b", ".versions" };
	static const char *const versions[] = { "", "..", "../../../x", "0123456789a", "0123456789abc", "0123456789aB" };
	char dir[STORE_PATH_BYTES], version[IMAGE_VERSION_TEXT];
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(store_dir(images, names[i], NULL, dir, &e), -EINVAL);
		assert_int_equal(store_begin(images, names[i], dir, &e), -EINVAL);
	}
	build("leaf", "one", version);
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		assert_int_equal(store_dir(images, "leaf", versions[i], dir, &e), -EINVAL);
		assert_int_equal(store_promote(images, "leaf", versions[i], &e), -EINVAL);
	}
	assert_int_equal(store_promote(images, "leaf", "0123456789ab", &e), -ENOENT);
	assert_string_equal(current("leaf"), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_version_is_current_once_it_is_promoted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_folder_becomes_a_version, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_and_versions_lead_nowhere_else, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
