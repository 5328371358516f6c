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
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "hv/qmp.h"

/* --- the reader --- */

static char seen[4096];
static unsigned stop_after;

static bool note(void *arg, const struct qmp_message *m)
{
	static const char *const kinds[] = { "greeting", "event", "return", "error" };
	size_t n = strlen(seen);

	(void)arg;
	(void)snprintf(seen + n, sizeof(seen) - n, "%s(%s%s%s) ", kinds[m->kind], m->name, m->text[0] ? ": " : "", m->text);
	return stop_after == 0 || --stop_after > 0;
}

static int feed(struct qmp_reader *r, const char *text, struct err *e)
{
	return qmp_feed(r, text, strlen(text), note, NULL, e);
}

static const char talk[] =
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}, \"capabilities\": [\"oob\"]}}\r\n"
	"{\"return\": {}, \"id\": \"qmp_capabilities\"}\r\n\r\n"
	"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RESET\", \"data\": {\"guest\": true}}\r\n"
	"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no such\"}, \"id\": \"query-x\"}\r\n"
	"{\"return\": [1]}\r\n";
static const char heard[] = "greeting() return(qmp_capabilities) event(RESET) error(query-x: no such) return() ";

static void reads_a_conversation_however_cut(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= strlen(talk); cut++) {
		struct qmp_reader r;

		seen[0] = '\0';
		qmp_reader_init(&r, false);
		assert_int_equal(qmp_feed(&r, talk, cut, note, NULL, NULL), 0);
		assert_int_equal(qmp_feed(&r, talk + cut, strlen(talk) - cut, note, NULL, NULL), 0);
		assert_string_equal(seen, heard);
		qmp_reader_finish(&r);
	}
}

static void adopted_stream_finds_the_next_line(void **state)
{
	(void)state;
	for (size_t from = 0; from < strlen(talk); from++) {
		struct qmp_reader r;

		seen[0] = '\0';
		qmp_reader_init(&r, true);
		assert_int_equal(feed(&r, talk + from, NULL), 0);
		assert_true(strlen(seen) <= strlen(heard));
		assert_string_equal(seen, heard + strlen(heard) - strlen(seen));
		/* The second line without sense is one too many. */
		assert_int_equal(feed(&r, "what?\n", NULL), -EPROTO);
		qmp_reader_finish(&r);
	}
}

static void nonsense_is_an_error(void **state)
{
	static const char *const rows[] = {
		"hello\n", "{\n", "{}\n", "[]\n", "null\n", "1\n", "{\"foo\": 1}\n", "{\"event\": 1}\n", "{\"return\": {}} x\n",
		"{\"event\": \"A\", \"event\": \"B\"}\n", "\xff\n", "{\"return\": 99999999999999999999}\n", "{\"event\": \"\\u0000\"}\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = { 0 };
		struct qmp_reader r;

		seen[0] = '\0';
		qmp_reader_init(&r, false);
		if (feed(&r, rows[i], &e) != -EPROTO || e.msg[0] == '\0' || seen[0] != '\0')
			fail_msg("accepted: %s", rows[i]);
		qmp_reader_finish(&r);
	}
}

static void endless_lines_are_bounded(void **state)
{
	char *big = malloc(QMP_LINE_MAX + 1);
	struct err e = { 0 };
	struct qmp_reader r;

	(void)state;
	assert_non_null(big);
	memset(big, '[', QMP_LINE_MAX + 1);
	qmp_reader_init(&r, false);
	assert_int_equal(qmp_feed(&r, big, QMP_LINE_MAX + 1, note, NULL, &e), -ENOSPC);
	assert_non_null(strstr(e.msg, "more than 65536 bytes"));
	qmp_reader_finish(&r);
	/* Deep, but within the limit: refused by depth, not by the stack. */
	big[QMP_LINE_MAX - 1] = '\n';
	qmp_reader_init(&r, false);
	assert_int_equal(qmp_feed(&r, big, QMP_LINE_MAX, note, NULL, &e), -EPROTO);
	qmp_reader_finish(&r);
	free(big);
}

static void a_hook_may_stop_the_reading(void **state)
{
	struct qmp_reader r;

	(void)state;
	seen[0] = '\0';
	stop_after = 2;
	qmp_reader_init(&r, false);
	assert_int_equal(feed(&r, talk, NULL), 0);
	assert_string_equal(seen, "greeting() return(qmp_capabilities) ");
	stop_after = 0;
	qmp_reader_finish(&r);
}

/* --- the connection --- */

static struct {
	struct loop loop;
	struct qmp *q;
	int far;
	unsigned messages, broken;
	bool close_in_hook;
} c;

static void on_message(void *arg, const struct qmp_message *m)
{
	(void)arg;
	(void)m;
	c.messages++;
	if (c.close_in_hook)
		c.q = qmp_close(c.q);
}

static void on_broken(void *arg, const char *why)
{
	(void)arg;
	assert_true(why[0] != '\0');
	c.broken++;
	if (c.close_in_hook)
		c.q = qmp_close(c.q);
}

static const struct qmp_hooks hooks = { .on_message = on_message, .on_broken = on_broken };

static int setup(void **state)
{
	int sv[2];

	(void)state;
	memset(&c, 0, sizeof(c));
	assert_int_equal(loop_init(&c.loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	c.far = sv[1];
	assert_int_equal(qmp_open(&c.q, &c.loop, sv[0], false, &hooks, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	c.q = qmp_close(c.q);
	loop_finish(&c.loop);
	(void)fd_close(c.far);
	return 0;
}

static void turn(void)
{
	for (int i = 0; i < 5; i++)
		ev_run(c.loop.ev, EVRUN_NOWAIT);
}

static void says(const char *text)
{
	assert_int_equal(write(c.far, text, strlen(text)), (ssize_t)strlen(text));
	turn();
}

static void commands_carry_their_name(void **state)
{
	char data[256] = "";

	(void)state;
	assert_int_equal(qmp_send(c.q, "query-status"), 0);
	assert_true(read(c.far, data, sizeof(data) - 1) > 0);
	assert_string_equal(data, "{\"execute\":\"qmp_capabilities\",\"id\":\"qmp_capabilities\"}\n"
				  "{\"execute\":\"query-status\",\"id\":\"query-status\"}\n");
	says(talk);
	assert_int_equal(c.messages, 5);
	assert_int_equal(c.broken, 0);
}

static void end_of_stream_is_quiet(void **state)
{
	(void)state;
	c.far = fd_close(c.far);
	turn();
	assert_int_equal(c.broken, 0);
	assert_int_equal(qmp_send(c.q, "quit"), -ENOTCONN);
}

static void garbage_breaks_once(void **state)
{
	(void)state;
	says("garbage\nmore garbage\n");
	assert_int_equal(c.broken, 1);
	assert_int_equal(qmp_send(c.q, "quit"), -ENOTCONN);
}

static void may_be_closed_in_its_hooks(void **state)
{
	(void)state;
	c.close_in_hook = true;
	says(talk);
	assert_int_equal(c.messages, 1);
	assert_null(c.q);
}

static void may_be_closed_when_broken(void **state)
{
	(void)state;
	c.close_in_hook = true;
	says("garbage\n");
	assert_null(c.q);
}

static void peer_that_reads_nothing_costs_no_memory(void **state)
{
	int r = 0;

	(void)state;
	for (int i = 0; i < 100000 && r == 0; i++)
		r = qmp_send(c.q, "query-status");
	assert_int_equal(r, -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_conversation_however_cut),
		cmocka_unit_test(adopted_stream_finds_the_next_line),
		cmocka_unit_test(nonsense_is_an_error),
		cmocka_unit_test(endless_lines_are_bounded),
		cmocka_unit_test(a_hook_may_stop_the_reading),
		cmocka_unit_test_setup_teardown(commands_carry_their_name, setup, teardown),
		cmocka_unit_test_setup_teardown(end_of_stream_is_quiet, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_breaks_once, setup, teardown),
		cmocka_unit_test_setup_teardown(may_be_closed_in_its_hooks, setup, teardown),
		cmocka_unit_test_setup_teardown(may_be_closed_when_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(peer_that_reads_nothing_costs_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
