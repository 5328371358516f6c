/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "hv/agent/entry.h"

static struct entry e; /* too large for a stack */

static int decode(const char *text)
{
	return entry_decode(&e, text, strlen(text));
}

static void what_goes_in_comes_out(void **state)
{
	static char cwd[] = "/a dir\\with\nall", var[] = "A=x=\\n\n", empty[] = "B=", arg[] = "\n", arg2[] = "";
	static struct entry in = { .uid = 1000, .gid = 7, .groups = { 5, 4294967294u }, .ngroups = 2, .cwd = cwd, .env = { var, empty }, .argv = { arg, arg2 } };
	struct buf out = BUF_INIT(ENTRY_MAX);

	(void)state;
	assert_int_equal(entry_encode(&in, &out), 0);
	assert_string_equal(out.data, "uid 1000\ngid 7\ngroup 5\ngroup 4294967294\ncwd /a dir\\\\with\\nall\nenv A=x=\\\\n\\n\nenv B=\narg \\n\narg \n");
	assert_int_equal(entry_decode(&e, out.data, out.len), 0);
	assert_int_equal(e.uid, 1000);
	assert_int_equal(e.gid, 7);
	assert_int_equal(e.ngroups, 2);
	assert_int_equal(e.groups[1], 4294967294u);
	assert_string_equal(e.cwd, cwd);
	assert_string_equal(e.env[0], var);
	assert_string_equal(e.env[1], empty);
	assert_null(e.env[2]);
	assert_string_equal(e.argv[0], arg);
	assert_string_equal(e.argv[1], arg2);
	assert_null(e.argv[2]);
	buf_finish(&out);
}

static void others_are_refused(void **state)
{
	static const char *const bad[] = { "", "cwd /", "uid 1\n", "cwd x\n", "cwd \n", "cwd /\n\n", "cwd /\nuid -1\n", "cwd /\nuid 4294967295\n", "cwd /\nuid 1x\n",
					   "cwd /\nenv A\n", "cwd /\nenv =1\n", "cwd /\narg\n", "cwd /\nwhat 1\n", "cwd /\\x\n", "cwd /\\\n" };
	_free_ char *many = malloc(ENTRY_MAX + 2);
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(decode(bad[i]), -EINVAL);
	assert_int_equal(entry_decode(&e, "cwd /\n\0", 7), -EINVAL);
	assert_int_equal(decode("cwd /\n"), 0);
	/* As many words as there is room for, and one more. */
	n = (size_t)snprintf(many, ENTRY_MAX + 2, "cwd /\n");
	for (int i = 0; i < ENTRY_WORDS_MAX; i++)
		n += (size_t)snprintf(many + n, ENTRY_MAX + 2 - n, "arg %d\n", i);
	assert_int_equal(decode(many), 0);
	assert_string_equal(e.argv[ENTRY_WORDS_MAX - 1], "255");
	(void)snprintf(many + n, ENTRY_MAX + 2 - n, "arg x\n");
	assert_int_equal(decode(many), -EINVAL);
	n = (size_t)snprintf(many, ENTRY_MAX + 2, "cwd /\n");
	for (int i = 0; i <= ENTRY_GROUPS_MAX; i++)
		n += (size_t)snprintf(many + n, ENTRY_MAX + 2 - n, "group %d\n", i);
	assert_int_equal(decode(many), -EINVAL);
	memset(many, 'x', ENTRY_MAX + 1);
	many[ENTRY_MAX] = '\n';
	assert_int_equal(entry_decode(&e, many, ENTRY_MAX + 1), -EINVAL);
}

static void what_would_be_refused_is_not_written(void **state)
{
	static char cwd[] = "/", relative[] = "x", name[] = "A", long_one[ENTRY_MAX];
	static struct entry in;
	struct buf out = BUF_INIT(2 * ENTRY_MAX);

	(void)state;
	assert_int_equal(entry_encode(&in, &out), -EINVAL);
	in.cwd = relative;
	assert_int_equal(entry_encode(&in, &out), -EINVAL);
	in.cwd = cwd;
	in.env[0] = name;
	assert_int_equal(entry_encode(&in, &out), -EINVAL);
	in.env[0] = NULL;
	in.uid = UINT32_MAX;
	assert_int_equal(entry_encode(&in, &out), -EINVAL);
	in.uid = 0;
	memset(long_one, 'x', sizeof(long_one) - 1);
	in.argv[0] = long_one;
	assert_int_equal(entry_encode(&in, &out), -EINVAL);
	buf_finish(&out);
}

static bool env_is(const char *name, const char *want)
{
	const char *value = getenv(name);

	return value && strcmp(value, want) == 0;
}

/* As root: a child that becomes somebody cannot come back. */
static void a_process_becomes_it(void **state)
{
	static char cwd[] = "/", var[] = "HOME=/elsewhere", other[] = "X=y";
	int status;
	pid_t pid;

	(void)state;
	if (getuid() != 0)
		skip();
	e = (struct entry){ .uid = 65534, .gid = 65533, .groups = { 65532 }, .ngroups = 1, .cwd = cwd, .env = { var, other } };
	pid = fork();
	if (pid == 0) {
		gid_t groups[4];
		const char *shell;
		int bad = entry_enter(&e) != 0;

		bad |= getuid() != 65534 || geteuid() != 65534 || getgid() != 65533 || getgroups(4, groups) < 1 || groups[0] != 65532;
		bad |= setuid(0) == 0 || setgid(0) == 0;
		bad |= !env_is("HOME", "/elsewhere") || !env_is("X", "y") || !env_is("USER", "nobody");
		shell = getenv("SHELL");
		bad |= !shell || access(shell, X_OK) != 0;
		_exit(bad);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(others_are_refused),
		cmocka_unit_test(what_would_be_refused_is_not_written),
		cmocka_unit_test(a_process_becomes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
