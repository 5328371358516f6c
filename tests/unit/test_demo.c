/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/demo.h"
#include "auth/secret.h"
#include "base/err.h"
#include "base/fd.h"

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_demo.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/demo-links", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

/* The token of @email in the file. */
static void token_of(const char *email, char token[SECRET_TEXT])
{
	char text[4096], *line, *at;

	assert_true(fd_read_file(AT_FDCWD, path, text, sizeof(text)) > 0);
	line = strstr(text, email);
	assert_non_null(line);
	at = strstr(line, "/#demo=");
	assert_non_null(at);
	memcpy(token, at + 7, SECRET_TEXT - 1);
	token[SECRET_TEXT - 1] = '\0';
	assert_int_equal(at[7 + SECRET_TEXT - 1], '\n');
}

static void a_link_works_once(void **state)
{
	struct demo *d = NULL;
	char token[SECRET_TEXT], next[SECRET_TEXT], other[SECRET_TEXT], email[EMAIL_BYTES] = "";

	(void)state;
	assert_int_equal(demo_create(&d, "Ann@x.org, bob@x.org", dir, "http://localhost:1", NULL), 0);
	token_of("ann@x.org", token);
	token_of("bob@x.org", other);
	assert_int_equal(demo_redeem(d, token, email, NULL), 0);
	assert_string_equal(email, "ann@x.org");
	assert_int_equal(demo_redeem(d, token, email, NULL), -EACCES);
	token_of("ann@x.org", next);
	assert_string_not_equal(token, next);
	assert_int_equal(demo_redeem(d, other, email, NULL), 0);
	assert_string_equal(email, "bob@x.org");
	assert_int_equal(demo_redeem(d, next, email, NULL), 0);
	assert_string_equal(email, "ann@x.org");
	d = demo_destroy(d);
}

static void wrong_tokens_open_nothing(void **state)
{
	static const char *const rows[] = { "", "x", "0000000000000000000000000000000000000000000000000000000000000000" };
	struct demo *d = NULL;
	char email[EMAIL_BYTES] = "untouched";

	(void)state;
	assert_int_equal(demo_create(&d, "a@x.org", dir, "http://localhost:1", NULL), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(demo_redeem(d, rows[i], email, NULL), -EACCES);
	assert_string_equal(email, "untouched");
	d = demo_destroy(d);
}

static void the_file_is_private(void **state)
{
	struct demo *d = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(demo_create(&d, "a@x.org", dir, "http://localhost:1", NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	d = demo_destroy(d);
}

static void bad_people_are_refused(void **state)
{
	static const char *const rows[] = { "", " , ", "a@x.org,a@X.org", "nobody", "a@x.org b" };
	struct demo *d = NULL;
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(demo_create(&d, rows[i], dir, "http://localhost:1", &e) < 0);
		assert_non_null(strstr(e.msg, "demo_people"));
	}
	assert_true(demo_create(&d, "a@x.org", "/nonexistent", "http://localhost:1", &e) < 0);
	assert_non_null(strstr(e.msg, "/nonexistent/demo-links"));
	assert_null(d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_link_works_once, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_tokens_open_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_file_is_private, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_people_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
