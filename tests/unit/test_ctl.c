/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/cp.h"
#include "gateway/ctl/csession.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/rfc3339.h"

static void times_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} good[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-09-01T00:00:00Z", 1788220800 },
		{ "2026-09-01t02:00:00.999+02:00", 1788220800 },
		{ "2026-08-31 19:30:00-04:30", 1788220800 },
		{ "2024-02-29T12:00:00z", 1709208000 },
		{ "2016-12-31T23:59:60Z", 1483228800 }, /* a leap second */
		{ "9999-12-31T23:59:59Z", 253402300799 },
	};
	static const char *const bad[] = {
		"",	      "2026-09-01",	      "2026-09-01T00:00:00",	 "2026-09-01T00:00:00ZZ",    "2026-09-01T00:00:00.Z",
		"26-09-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
		"2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00+24:00",
		"2026-01-01T00:00:00+0100", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z ", "+026-01-01T00:00:00Z",
	};
	int64_t seconds;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(rfc3339_parse(good[i].text, &seconds), 0);
		assert_int_equal(seconds, good[i].seconds);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (rfc3339_parse(bad[i], &seconds) == 0)
			fail_msg("'%s' was taken for a time", bad[i]);
	}
}

static void numbers_are_exact(void **state)
{
	static const char *const bad[] = { "", "0x", "-1", "+1", " 1", "1 ", "1k", "0xg", "1.0", "a", "18446744073709551616", "0x10000000000000000" };
	uint64_t n;

	(void)state;
	assert_int_equal(ctl_number("0", 0, &n), 0);
	assert_int_equal(ctl_number("18446744073709551615", UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(ctl_number("0xa10F10", UINT32_MAX, &n), 0);
	assert_int_equal(n, 0xa10f10);
	assert_int_equal(ctl_number("010", 100, &n), 0);
	assert_int_equal(n, 10);
	assert_int_equal(ctl_number("101", 100, &n), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ctl_number(bad[i], UINT64_MAX, &n), -EINVAL);
}

static int options(const char *const *words, const char **text, bool *flag)
{
	const struct ctl_option table[] = {
		{ .name = "text", .letter = 't', .text = text, .value = "T", .help = "text", .needed = true },
		{ .name = "flag", .letter = 'f', .flag = flag, .help = "flag" },
		{ 0 },
	};
	char storage[8][16], *argv[9];
	int argc = 0;

	for (; words[argc]; argc++) {
		(void)strncpy(storage[argc], words[argc], sizeof(storage[argc]) - 1);
		storage[argc][sizeof(storage[argc]) - 1] = '\0';
		argv[argc] = storage[argc];
	}
	argv[argc] = NULL;
	*text = NULL;
	*flag = false;
	optind = 0; /* getopt starts anew */
	return ctl_options("test", table, argc, argv);
}

static void options_are_read_by_their_table(void **state)
{
	const char *text;
	bool flag;

	(void)state;
	assert_int_equal(options((const char *[]){ "x", "--text", "-1", "--flag", NULL }, &text, &flag), CTL_GO);
	assert_true(flag);
	assert_int_equal(options((const char *[]){ "x", "-t", "a", "--text=", NULL }, &text, &flag), CTL_GO);
	assert_false(flag);
	assert_int_equal(options((const char *[]){ "x", "-f", NULL }, &text, &flag), CLI_USAGE);
	assert_int_equal(options((const char *[]){ "x", "--text", NULL }, &text, &flag), CLI_USAGE);
	assert_int_equal(options((const char *[]){ "x", "--text", "a", "--other", NULL }, &text, &flag), CLI_USAGE);
	assert_int_equal(options((const char *[]){ "x", "--text", "a", "rest", NULL }, &text, &flag), CLI_USAGE);
	assert_int_equal(options((const char *[]){ "x", "--flag=1", NULL }, &text, &flag), CLI_USAGE);
	assert_int_equal(options((const char *[]){ "x", "--help", NULL }, &text, &flag), CLI_OK);
}

static void files_are_read_up_to_a_limit(void **state)
{
	struct ctl_file file;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ctl_load("/dev/null", 10, &file, &e), 0);
	assert_int_equal(file.len, 0);
	assert_non_null(file.data); /* there, and empty */
	ctl_file_finish(&file);
	assert_int_equal(ctl_load("/dev/zero", 200000, &file, &e), -EFBIG);
	assert_null(file.data);
	assert_int_equal(ctl_load("/nonexistent", 10, &file, &e), -ENOENT);
	assert_int_equal(ctl_load("/", 10, &file, &e), -EISDIR);
}

/* A machine may say what it likes: no name of its leads out of the directory that is written. */
static void names_of_a_machine_stay_where_they_are(void **state)
{
	static const char *const bad[] = { "", ".", "..", "/etc/passwd", "../up", "a/b", "a/" }, *const good[] = { "a", "...", "..a", " ", "a\nb", "\u0416" };
	char name[300];
	json_t *item;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) + 1; i++) {
		item = json_pack("{s:s}", "name", i == sizeof(bad) / sizeof(bad[0]) ? name : bad[i]);
		assert_null(cp_name(item));
		json_decref(item);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		item = json_pack("{s:s}", "name", good[i]);
		assert_string_equal(cp_name(item), good[i]);
		json_decref(item);
	}
	item = json_pack("{s:s, s:s}", "name", "??", "escaped", "%2F%2E");
	assert_null(cp_name(item));
	json_decref(item);
	item = json_pack("{s:i}", "name", 7);
	assert_null(cp_name(item));
	json_decref(item);
}

static struct csession_news welcomed(struct csession *s, json_int_t in_offset, uint32_t turn, uint32_t typed_turn)
{
	json_t *w = json_pack("{s:s, s:i, s:I, s:s, s:I, s:i}", "epoch", "00000000000000aa", "out_offset", 0, "in_offset", in_offset, "role",
			      turn ? "controller" : "viewer", "turn", (json_int_t)turn, "typed_turn", (int)typed_turn);
	struct csession_news news;

	assert_int_equal(csession_welcome(s, w, &news), 0);
	json_decref(w);
	return news;
}

static int role(struct csession *s, uint32_t turn, json_int_t in_offset)
{
	json_t *e = json_pack("{s:s, s:s, s:I, s:I}", "type", "role", "role", turn ? "controller" : "viewer", "in_offset", in_offset, "turn", (json_int_t)turn);
	int r = csession_role(s, e);

	json_decref(e);
	return r;
}

static void sends(struct csession *s, uint64_t offset, const char *text)
{
	const char *data;
	uint64_t at;
	size_t n = csession_input(s, &at, &data);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(data, text, n);
	assert_int_equal(at, offset);
}

/* As tests/web/session.test.mjs: the page does the same. */
static void a_role_is_no_acknowledgement(void **state)
{
	struct csession s;

	(void)state;
	csession_init(&s, "vm.console", false);
	(void)welcomed(&s, 0, 1, 0);
	assert_int_equal(csession_type(&s, "abcdef", 6), 0);
	sends(&s, 0, "abcdef");
	assert_int_equal(role(&s, 1, 4), 0); /* the gateway holds four, and dies with them */
	assert_int_equal(csession_type(&s, "g", 1), 0);
	sends(&s, 6, "g");
	(void)welcomed(&s, 0, 2, 1);
	sends(&s, 0, "abcdefg");

	/* Handed over with keys on their way, which come to nothing, and taken back behind what the other one typed. */
	assert_int_equal(role(&s, 0, 3), 1);
	assert_int_equal(csession_type(&s, "x", 1), -ENOSPC);
	assert_int_equal(role(&s, 4, 9), 1);
	assert_int_equal(s.turn, 4);
	assert_int_equal(csession_type(&s, "z", 1), 0);
	sends(&s, 9, "z");

	/* Both before this client heard of the first. */
	assert_int_equal(role(&s, 6, 12), 1);
	assert_int_equal(s.queue.len, 0);
	assert_int_equal(csession_type(&s, "y", 1), 0);
	sends(&s, 12, "y");

	/* Somebody else has it after a break: what waited is not for their line, nor for later. */
	assert_int_equal(welcomed(&s, 12, 0, 6).dropped, 1);
	assert_int_equal(role(&s, 8, 12), 1);
	assert_int_equal(csession_type(&s, "ls", 2), 0);
	sends(&s, 12, "ls");

	/* Somebody else had it during a break, and typed as much as waits here: the offsets alone would not tell. */
	assert_true(welcomed(&s, 13, 10, 9).astray);
	assert_int_equal(s.queue.len, 0);
	csession_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(numbers_are_exact),
		cmocka_unit_test(options_are_read_by_their_table),
		cmocka_unit_test(files_are_read_up_to_a_limit),
		cmocka_unit_test(names_of_a_machine_stay_where_they_are),
		cmocka_unit_test(a_role_is_no_acknowledgement),
	};

	return cmocka_run_group_tests_name("ctl", tests, NULL, NULL);
}
