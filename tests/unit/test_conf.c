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

#include "base/conf.h"
#include "base/err.h"
#include "base/fd.h"

struct settings {
	char listen[32];
	int64_t limit;
	bool quiet;
	uint64_t ring_size, session_life;
};

static const struct conf_key keys[] = {
	CONF_KEY(settings, listen, CONF_STR, 0, 0, "127.0.0.1:7681", "address"),
	CONF_KEY(settings, limit, CONF_INT, -5, 100, "10", "how many"),
	CONF_KEY(settings, quiet, CONF_BOOL, 0, 0, "no", "say less"),
	CONF_KEY(settings, ring_size, CONF_BYTES, 4096, 64 << 20, "1M", "bytes"),
	CONF_KEY(settings, session_life, CONF_MS, 1000, 0x7fffffffff, "12h", "time"),
	{ 0 },
};

static const char *const others[] = { "netd", NULL };
static const struct conf_program program = {
	.name = "prog", .purpose = "A test.", .section = "gateway", .other_sections = others, .keys = keys,
};

static int read_text(struct settings *s, struct err *e, const char *text)
{
	assert_int_equal(conf_presets(keys, s, e), 0);
	return conf_text(&program, s, "test.conf", text, strlen(text), e);
}

static void presets_and_units(void **state)
{
	struct settings s;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(read_text(&s, &e,
				   "; comment\n[gateway]\nlisten = [::1]:80\nring_size=64K\nsession_life = 90s\nquiet = on\n"
				   "[netd]\nanything = goes\n"),
			 0);
	assert_string_equal(s.listen, "[::1]:80");
	assert_int_equal(s.limit, 10);
	assert_true(s.quiet);
	assert_int_equal(s.ring_size, 65536);
	assert_int_equal(s.session_life, 90000);
}

static void bad_files_are_refused_with_the_line(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "[gateway]\nlisten = a\nlissen = b\n", "test.conf line 3" },
		{ "[gatway]\nlisten = a\n", "test.conf line" },
		{ "listen = a\n", "test.conf line 1" },
		{ "[gateway]\nlimit = ten\n", "must be a whole number" },
		{ "[gateway]\nlimit = 101\n", "must be from -5 to 100" },
		{ "[gateway]\nlimit = 99999999999999999999\n", "line 2" },
		{ "[gateway]\nring_size = 1X\n", "must be bytes" },
		{ "[gateway]\nring_size = -1\n", "must be bytes" },
		{ "[gateway]\nring_size = 99999999999999T\n", "line 2" },
		{ "[gateway]\nsession_life = 5 weeks\n", "must be a time" },
		{ "[gateway]\nquiet = maybe\n", "must be yes or no" },
		{ "[gateway]\nlisten = 0123456789012345678901234567890123456789\n", "longer than 31 bytes" },
		{ "[gateway]\nlisten = a\nlisten = b\n", "line 3" },
		{ "[gateway\nlisten = a\n", "line" },
		{ "[gateway]\njust words\n", "line 2" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings s;
		struct err e = { 0 };

		if (read_text(&s, &e, rows[i].text) >= 0)
			fail_msg("accepted: %s", rows[i].text);
		if (!strstr(e.msg, rows[i].says) || !strstr(e.msg, "test.conf"))
			fail_msg("row %zu says: %s", i, e.msg);
	}
}

static void long_lines_and_nul_are_refused(void **state)
{
	static char text[3 * CONF_LINE_MAX];
	struct settings s;
	struct err e = { 0 };
	int n = snprintf(text, sizeof(text), "[gateway]\nlisten = ");

	(void)state;
	memset(text + n, 'x', 2 * CONF_LINE_MAX);
	assert_true(read_text(&s, &e, text) < 0);
	assert_non_null(strstr(e.msg, "line 2"));
	memset(&e, 0, sizeof(e));
	assert_true(conf_text(&program, &s, "test.conf", "[gateway]\nlisten = a\0b\n", 23, &e) < 0);
	assert_non_null(strstr(e.msg, "line 2"));
}

struct item {
	char name[CONF_NAME_BYTES];
	char issuer[32];
	int64_t skew;
};

struct grouped {
	struct settings base;
	struct item items[2];
	size_t count;
};

static void named_sections_become_items(void **state)
{
	static const struct conf_key item_keys[] = {
		CONF_KEY(item, issuer, CONF_STR, 0, 0, "", "issuer"), CONF_KEY(item, skew, CONF_INT, 0, 100, "60", "seconds"), { 0 },
	};
	static const struct conf_group group = {
		.prefix = "identity", .keys = item_keys, .offset = offsetof(struct grouped, items), .item_bytes = sizeof(struct item), .max = 2,
		.count_offset = offsetof(struct grouped, count),
	};
	static const char *const rest[] = { "netd", "room ", NULL };
	static const struct conf_program p = {
		.name = "prog", .purpose = "", .section = "gateway", .other_sections = rest, .keys = keys, .group = &group,
	};
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "[identity a]\nissuer = x\n[identity b]\nissuer = y\n[identity c]\nissuer = z\n", "line 6: too many" },
		{ "[identity A b]\nissuer = x\n", "lower-case" },
		{ "[identity a]\nissuer = x\nissuer = y\n", "given twice" },
		{ "[identity a]\nkey = x\n", "unknown key key" },
		{ "[identity]\nissuer = x\n", "unknown section" },
		{ "[identity a]\nskew = 101\n", "from 0 to 100" },
	};
	static const char good[] = "[identity corp]\nissuer = one\n[gateway]\nlimit = 3\n[identity lab]\nissuer = two\nskew = 5\n"
				   "[identity corp]\nskew = 7\n[room 1]\nx = y\n";
	struct grouped s = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(conf_text(&p, &s, "test.conf", good, sizeof(good) - 1, &e), 0);
	assert_int_equal(s.count, 2);
	assert_string_equal(s.items[0].name, "corp");
	assert_string_equal(s.items[0].issuer, "one");
	assert_int_equal(s.items[0].skew, 7);
	assert_int_equal(s.items[1].skew, 5);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&s, 0, sizeof(s));
		if (conf_text(&p, &s, "test.conf", bad[i].text, strlen(bad[i].text), &e) >= 0 || !strstr(e.msg, bad[i].says))
			fail_msg("row %zu: %s", i, e.msg);
	}
}

static void options_beat_environment_beats_file(void **state)
{
	char path[] = "/tmp/terrarium-conf-XXXXXX", file[64];
	_close_ int fd = mkstemp(path);
	struct settings s;
	struct err e = { 0 };
	char *argv[] = { "prog", "-c", path, "--ring-size=8K", NULL };
	static const char text[] = "[gateway]\nlimit = 1\nring_size = 16K\nlisten = file\n";

	(void)state;
	(void)file;
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, sizeof(text) - 1), 0);
	setenv("TERRARIUM_LIMIT", "2", 1);
	setenv("TERRARIUM_RING_SIZE", "32K", 1);
	assert_int_equal(conf_read(&program, &s, 4, argv, NULL, &e), 0);
	assert_int_equal(s.limit, 2);
	assert_int_equal(s.ring_size, 8192);
	assert_string_equal(s.listen, "file");
	setenv("TERRARIUM_LIMIT", "two", 1);
	assert_true(conf_read(&program, &s, 4, argv, NULL, &e) < 0);
	assert_non_null(strstr(e.msg, "TERRARIUM_LIMIT"));
	unsetenv("TERRARIUM_LIMIT");
	unsetenv("TERRARIUM_RING_SIZE");
	unlink(path);
}

static void usage_outcomes(void **state)
{
	struct settings s;
	struct err e = { 0 };
	char *check[] = { "prog", "-n", NULL }, *unknown[] = { "prog", "--nope=1", NULL }, *extra[] = { "prog", "word", NULL },
	     *bad[] = { "prog", "--limit=1000", NULL }, *missing[] = { "prog", "-c", "/nowhere.conf", NULL },
	     *rest_argv[] = { "prog", "--limit=3", "word", "--not-ours", NULL };
	int rest = 0;

	(void)state;
	assert_int_equal(conf_read(&program, &s, 2, check, NULL, &e), CONF_E_CHECK);
	assert_int_equal(conf_read(&program, &s, 2, unknown, NULL, &e), CONF_E_USAGE);
	assert_int_equal(conf_read(&program, &s, 2, extra, NULL, &e), CONF_E_USAGE);
	assert_int_equal(conf_read(&program, &s, 2, bad, NULL, &e), CONF_E_USAGE);
	assert_non_null(strstr(e.msg, "--limit"));
	assert_true(conf_read(&program, &s, 3, missing, NULL, &e) < 0);
	assert_non_null(strstr(e.msg, "/nowhere.conf"));
	assert_int_equal(conf_read(&program, &s, 4, rest_argv, &rest, &e), 0);
	assert_int_equal(rest, 2);
	assert_int_equal(s.limit, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets_and_units),
		cmocka_unit_test(bad_files_are_refused_with_the_line),
		cmocka_unit_test(named_sections_become_items),
		cmocka_unit_test(long_lines_and_nul_are_refused),
		cmocka_unit_test(options_beat_environment_beats_file),
		cmocka_unit_test(usage_outcomes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
