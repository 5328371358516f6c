/* SPDX-License-Identifier: Apache-2.0 */
/* Reports out of the kernel's files, with a folder that behaves as configfs does as far as can be told: a new directory has its files at once. */
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

#include "base/fd.h"
#include "hv/agent/codec.h"
#include "hv/agent/report.h"

static char top[] = "/tmp/terrarium-tsm.XXXXXX";
static const char *provider, *generation;
static size_t report_len, certs_len; /* certs_len SIZE_MAX: no such file */
static int made, dropped;
static uint8_t asked[REPORT_DATA_BYTES];
static size_t asked_len;

static void put(const char *dir, const char *name, const void *data, size_t len)
{
	char path[300];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, len), 0);
	(void)close(fd);
}

static int make_dir(const char *path)
{
	static const uint8_t bytes[REPORT_CERTS_MAX + 1] = { 5 };

	if (mkdir(path, 0700) < 0)
		return -errno;
	made++;
	put(path, "inblob", "", 0);
	put(path, "outblob", bytes, report_len);
	if (certs_len != SIZE_MAX)
		put(path, "auxblob", bytes, certs_len);
	put(path, "provider", provider, strlen(provider));
	put(path, "generation", generation, strlen(generation));
	return 0;
}

static int drop_dir(const char *path)
{
	static const char *const names[] = { "inblob", "outblob", "auxblob", "provider", "generation" };
	char file[300];
	long n;

	dropped++;
	(void)snprintf(file, sizeof(file), "%s/inblob", path);
	n = fd_read_file(AT_FDCWD, file, (char *)asked, sizeof(asked));
	asked_len = n < 0 ? (n == -EFBIG ? sizeof(asked) : 0) : (size_t)n;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(file, sizeof(file), "%s/%s", path, names[i]);
		(void)unlink(file);
	}
	return rmdir(path) < 0 ? -errno : 0;
}

static int take(struct buf *report, struct buf *certs)
{
	const struct report_source s = { .tsm = top, .device = "/nonexistent", .make_dir = make_dir, .drop_dir = drop_dir };
	uint8_t data[REPORT_DATA_BYTES];

	*report = BUF_INIT(REPORT_BYTES_MAX);
	*certs = BUF_INIT(REPORT_CERTS_MAX);
	memset(data, 0xd1, sizeof(data));
	made = dropped = 0;
	return report_take(&s, data, report, certs);
}

static int setup(void **state)
{
	(void)state;
	provider = "sev_guest\n";
	generation = "1\n";
	report_len = 1184;
	certs_len = 5000;
	return 0;
}

static void a_report_comes(void **state)
{
	struct buf report, certs;

	(void)state;
	assert_int_equal(take(&report, &certs), 0);
	assert_int_equal(report.len, 1184);
	assert_int_equal(report.data[0], 5);
	assert_int_equal(certs.len, 5000);
	assert_int_equal(made, 1);
	assert_int_equal(dropped, 1);
	assert_int_equal(asked_len, REPORT_DATA_BYTES);
	assert_int_equal(asked[0], 0xd1);
	buf_finish(&report);
	buf_finish(&certs);
}

static void without_certificates(void **state)
{
	struct buf report, certs;

	(void)state;
	certs_len = SIZE_MAX;
	assert_int_equal(take(&report, &certs), 0);
	assert_int_equal(certs.len, 0);
	buf_finish(&report);
	buf_finish(&certs);
}

static void what_is_no_report_of_ours(void **state)
{
	struct buf report, certs;

	(void)state;
	provider = "tdx_guest\n";
	assert_int_equal(take(&report, &certs), -EOPNOTSUPP);
	assert_int_equal(dropped, 1);
	provider = "sev_guest\n";
	generation = "2\n"; /* somebody else wrote as well */
	assert_int_equal(take(&report, &certs), -EBUSY);
	assert_int_equal(dropped, 1);
	buf_finish(&report);
	buf_finish(&certs);
	generation = "1\n";
	certs_len = REPORT_CERTS_MAX + 1;
	assert_int_equal(take(&report, &certs), -EMSGSIZE);
	buf_finish(&report);
	buf_finish(&certs);
	certs_len = 0;
	report_len = REPORT_BYTES_MAX + 1;
	assert_int_equal(take(&report, &certs), -EMSGSIZE);
	buf_finish(&report);
	buf_finish(&certs);
}

static void without_a_source(void **state)
{
	const struct report_source s = { .tsm = "/nonexistent/tsm", .device = "/nonexistent", .make_dir = make_dir, .drop_dir = drop_dir };
	const struct report_source wrong = { .tsm = "/nonexistent/tsm", .device = "/dev/null", .make_dir = make_dir, .drop_dir = drop_dir };
	struct buf report = BUF_INIT(REPORT_BYTES_MAX), certs = BUF_INIT(REPORT_CERTS_MAX);
	static const uint8_t data[REPORT_DATA_BYTES];

	(void)state;
	assert_int_equal(report_take(&s, data, &report, &certs), -EOPNOTSUPP);
	assert_int_equal(report_take(&wrong, data, &report, &certs), -ENOTTY);
	assert_int_equal(report.len, 0);
}

static void coding(void **state)
{
	static const uint8_t bytes[AGENT_CERTS_MAX + 1] = { 7 };
	const struct agent_report rows[] = { { bytes, bytes, 1184, 0 }, { bytes, bytes, 1, AGENT_CERTS_MAX }, { bytes, bytes, AGENT_REPORT_MAX, 3 } };
	const struct agent_report bad[] = { { bytes, bytes, 0, 0 }, { bytes, bytes, AGENT_REPORT_MAX + 1, 0 }, { bytes, bytes, 9, AGENT_CERTS_MAX + 1 } };
	struct agent_report out;
	struct agent_in in;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = BUF_INIT(65536);

		agent_put_report(&b, &rows[i]);
		in = (struct agent_in){ (const uint8_t *)b.data, b.len, false };
		assert_int_equal(agent_get_report(&in, &out), 0);
		assert_int_equal(out.report_len, rows[i].report_len);
		assert_int_equal(out.certs_len, rows[i].certs_len);
		for (size_t cut = 0; cut < b.len; cut += 1 + b.len / 50) {
			in = (struct agent_in){ (const uint8_t *)b.data, cut, false };
			assert_int_equal(agent_get_report(&in, &out), -EPROTO);
		}
		buf_finish(&b);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf b = BUF_INIT(65536);

		agent_put_report(&b, &bad[i]);
		in = (struct agent_in){ (const uint8_t *)b.data, b.len, false };
		assert_int_equal(agent_get_report(&in, &out), -EPROTO);
		buf_finish(&b);
	}
}

static int make_top(void **state)
{
	(void)state;
	return mkdtemp(top) ? 0 : -1;
}

static int drop_top(void **state)
{
	(void)state;
	return rmdir(top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_report_comes, setup),		cmocka_unit_test_setup(without_certificates, setup),
		cmocka_unit_test_setup(what_is_no_report_of_ours, setup), cmocka_unit_test_setup(without_a_source, setup),
		cmocka_unit_test_setup(coding, setup),
	};

	return cmocka_run_group_tests(tests, make_top, drop_top);
}
