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
#include "base/fd.h"
#include "gateway/ctl/oci.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int process(const char *text, struct buf *out)
{
	struct err e = { 0 };
	int r = oci_read_process(text, strlen(text), out, &e);

	assert_true(r == 0 || e.msg[0]);
	return r;
}

static void a_process_becomes_an_entry(void **state)
{
	struct buf out = BUF_INIT(2 * ENTRY_MAX);

	(void)state;
	assert_int_equal(process("{\"process\": {\"user\": {\"uid\": 1000, \"gid\": 7, \"additionalGids\": [5]}, \"args\": [\"/bin/a b\", \"\\n\"],"
				 " \"env\": [\"A=b\", \"TERM=xterm\", \"C=\"], \"cwd\": \"/app\"}, \"more\": 1}",
				 &out),
			 0);
	assert_string_equal(out.data, "uid 1000\ngid 7\ngroup 5\ncwd /app\nenv A=b\nenv C=\narg /bin/a b\narg \\n\n");
	buf_finish(&out);
	assert_int_equal(process("{\"process\": {\"user\": {\"uid\": 0, \"gid\": 0}, \"cwd\": \"\"}}", &out), 0);
	assert_string_equal(out.data, "uid 0\ngid 0\ncwd /\n");
	buf_finish(&out);
}

static void others_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "[]", "{}", "{\"process\": {}}", "{\"process\": {\"user\": {\"uid\": -1, \"gid\": 0}}}", "{\"process\": {\"user\": {\"uid\": \"0\", \"gid\": 0}}}",
		"{\"process\": {\"user\": {\"uid\": 4294967295, \"gid\": 0}}}", "{\"process\": {\"user\": {\"uid\": 0, \"gid\": 0}, \"cwd\": \"x\"}}",
		"{\"process\": {\"user\": {\"uid\": 0, \"gid\": 0}, \"env\": [1]}}", "{\"process\": {\"user\": {\"uid\": 0, \"gid\": 0}, \"env\": [\"A\"]}}",
		"{\"process\": {\"user\": {\"uid\": 0, \"gid\": 0}, \"args\": [\"\\u0000\"]}}", "{\"process\": {\"user\": {\"uid\": 0, \"gid\": 0, \"uid\": 1}}}",
	};
	struct buf out = BUF_INIT(2 * ENTRY_MAX);
	struct buf many = BUF_INIT(8192);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(process(bad[i], &out) < 0);
		buf_finish(&out);
	}
	assert_int_equal(buf_printf(&many, "{\"process\": {\"user\": {\"uid\": 0, \"gid\": 0}, \"args\": [\"\""), 0);
	for (int i = 0; i < ENTRY_WORDS_MAX; i++)
		assert_int_equal(buf_printf(&many, ",\"x\""), 0);
	assert_int_equal(buf_printf(&many, "]}}"), 0);
	assert_int_equal(process(many.data, &out), -E2BIG);
	buf_finish(&out);
	buf_finish(&many);
}

static int digest(const char *text, char out[OCI_DIGEST_TEXT])
{
	struct err e = { 0 };

	return oci_read_digest(text, strlen(text), out, &e);
}

static void a_layout_has_one_digest(void **state)
{
	char out[OCI_DIGEST_TEXT];

	(void)state;
	assert_int_equal(digest("{\"manifests\": [{\"digest\": \"" DIGEST "\"}]}", out), 0);
	assert_string_equal(out, DIGEST);
	assert_true(oci_is_digest(DIGEST));
	assert_true(digest("{\"manifests\": []}", out) < 0);
	assert_true(digest("{\"manifests\": [{\"digest\": \"" DIGEST "0\"}]}", out) < 0);
	assert_true(digest("{\"manifests\": [{\"digest\": \"sha512:00\"}]}", out) < 0);
	assert_true(digest("{\"manifests\": [{\"digest\": \"" DIGEST "\"}, {\"digest\": \"" DIGEST "\"}]}", out) < 0);
	assert_true(digest("{\"manifests\": {\"digest\": \"" DIGEST "\"}}", out) < 0);
	assert_true(digest("no", out) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_becomes_an_entry),
		cmocka_unit_test(others_are_refused),
		cmocka_unit_test(a_layout_has_one_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
