/* SPDX-License-Identifier: Apache-2.0 */
/* Answers and events of Cloud Hypervisor as they are and as they should not be; requests over a real socket without a name. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "hv/ch_api.h"
#include "hv/ch_handover.h"

/* --- answers --- */

static void error_chains(void **state)
{
	static const struct { const char *body, *want; } rows[] = {
		{ "[\"Error from API\",\"The VM could not boot\",\"No such file or directory (os error 2)\"]",
		  "No such file or directory (os error 2)" },
		{ "[\"one\"]", "one" },
		{ "", "" },
		{ "[]", "[]" },
		{ "[1]", "[1]" },
		{ "{ \"error\": \"Invalid\nAll previous unanswered requests will be dropped.\" }",
		  "{ \"error\": \"Invalid All previous unanswered requests will be dropped.\" }" },
		{ "[\"a\\nb\\u001b[31m\"]", "a b [31m" },
		{ "not json\r\n\n", "not json" },
	};
	char out[80], tiny[5];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ch_error_text(rows[i].body, strlen(rows[i].body), out, sizeof(out));
		assert_string_equal(out, rows[i].want);
	}
	ch_error_text("[\"abcdefgh\"]", 12, tiny, sizeof(tiny));
	assert_string_equal(tiny, "abcd");
}

static void versions(void **state)
{
	static const struct { const char *json; int want; } rows[] = {
		{ "{\"version\":\"53.0\"}", 53 }, { "{\"version\":\"v52.0.0-12-gabc\"}", 52 }, { "{\"version\":\"51\"}", 51 },
		{ "{\"version\":\"\"}", -EPROTO }, { "{\"version\":\"x53\"}", -EPROTO }, { "{\"version\":53}", -EPROTO }, { "{}", -EPROTO },
		{ "{\"version\":\"v-53\"}", -EPROTO }, { "{\"version\":\"99999999999999999999.0\"}", -EPROTO }, { "{\"version\":\"53x\"}", -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *root = json_loads(rows[i].json, 0, NULL);

		assert_int_equal(ch_version(root), rows[i].want);
		json_decref(root);
	}
	assert_int_equal(ch_version(NULL), -EPROTO);
}

/* --- events --- */

static char seen[4096];
static unsigned stop_after;

static bool note(void *arg, const struct ch_event *e)
{
	size_t n = strlen(seen);

	(void)arg;
	(void)snprintf(seen + n, sizeof(seen) - n, e->lost ? "lost%s%s " : "%s/%s ", e->source, e->name);
	return stop_after == 0 || --stop_after > 0;
}

#define RECORD(source, event) \
	"{\n  \"timestamp\": {\n    \"secs\": 0,\n    \"nanos\": 43211987\n  },\n  \"source\": \"" source "\",\n  \"event\": \"" event "\",\n" \
	"  \"properties\": null\n}\n\n"

static const char talk[] = RECORD("vmm", "starting") "\n\n\n" RECORD("vm", "booted") RECORD("vm", "rebooting");

static void reads_events_however_cut(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= strlen(talk); cut++) {
		struct ch_events r;

		seen[0] = '\0';
		ch_events_init(&r);
		ch_events_feed(&r, talk, cut, note, NULL);
		ch_events_feed(&r, talk + cut, strlen(talk) - cut, note, NULL);
		assert_string_equal(seen, "vmm/starting vm/booted vm/rebooting ");
		ch_events_finish(&r);
	}
}

static void lost_halves_cost_one_record(void **state)
{
	static const struct { const char *text, *want; } rows[] = {
		{ "{ \"source\": \"v\n\n" RECORD("vm", "booted"), "lost vm/booted " },
		{ "{ \"source\": \"v" RECORD("vm", "shutdown") RECORD("vm", "booted"), "lost vm/booted " },
		{ "null\n\n[]\n\n{}\n\n", "lost lost lost " },
		{ "{\"source\":1,\"event\":2}\n\n", "lost " },
		{ "{\"source\":\"vm\",\"source\":\"vm\",\"event\":\"booted\"}\n\n", "lost " },
		{ "{\"source\":\"vm\",\"event\":\"bo\\u0000oted\"}\n\n", "lost " },
		{ "\xff\xfe\n\n" RECORD("guest", "panic"), "lost guest/panic " },
		{ "\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ch_events r;

		seen[0] = '\0';
		ch_events_init(&r);
		ch_events_feed(&r, rows[i].text, strlen(rows[i].text), note, NULL);
		assert_string_equal(seen, rows[i].want);
		ch_events_finish(&r);
	}
}

static void endless_records_are_bounded(void **state)
{
	static char big[10 * CH_RECORD_MAX];
	struct ch_events r;

	(void)state;
	memset(big, '[', sizeof(big));
	seen[0] = '\0';
	ch_events_init(&r);
	for (int i = 0; i < 10; i++) {
		ch_events_feed(&r, big, sizeof(big), note, NULL);
		assert_true(r.record.cap <= 2 * CH_RECORD_MAX);
	}
	assert_string_equal(seen, "");
	ch_events_feed(&r, "\n\n", 2, note, NULL);
	ch_events_feed(&r, talk, strlen(talk), note, NULL);
	assert_string_equal(seen, "lost vmm/starting vm/booted vm/rebooting ");
	stop_after = 1;
	seen[0] = '\0';
	ch_events_feed(&r, talk, strlen(talk), note, NULL);
	assert_string_equal(seen, "vmm/starting ");
	stop_after = 0;
	ch_events_finish(&r);
}

/* --- requests --- */

static struct {
	int listen_fd, path_fd;
	const char *const *answers; /* one for each request, then NULL */
	char asked[1024];
	const char *wrong; /* what no request of ours has: a body, a pause for 100-continue */
	pthread_t thread;
	struct loop loop;
	struct ch_api *api;
	char got[1024];
	unsigned left;
} t;

/* Reads up to the blank line. Return: false at the end of the connection. */
static bool read_head(int fd, char *head, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && recv(fd, head + n, 1, 0) == 1) {
		head[++n] = '\0';
		if (n >= 4 && strcmp(head + n - 4, "\r\n\r\n") == 0)
			return true;
	}
	return false;
}

static void *run_server(void *arg)
{
	static const char *const words[] = { "content-length", "chunked", "expect" };
	char head[1024];
	int fd = -1;

	(void)arg;
	for (size_t i = 0; t.answers[i];) {
		if (fd < 0)
			fd = accept(t.listen_fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		if (!read_head(fd, head, sizeof(head))) {
			fd = fd_close(fd);
			continue;
		}
		for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
			t.wrong = strcasestr(head, words[w]) ? words[w] : t.wrong;
		(void)snprintf(t.asked + strlen(t.asked), sizeof(t.asked) - strlen(t.asked), "%.*s;", (int)strcspn(head, "\r"), head);
		/* No answer is a connection that ends; a client that went away meanwhile gets none. */
		if (t.answers[i][0] == '\0' || fd_write_all(fd, t.answers[i], strlen(t.answers[i])) < 0 || strstr(t.answers[i], "503"))
			fd = fd_close(fd);
		i++;
	}
	(void)fd_close(fd);
	return NULL;
}

static void on_answer(void *arg, const struct ch_answer *a)
{
	(void)arg;
	(void)snprintf(t.got + strlen(t.got), sizeof(t.got) - strlen(t.got), "%s %s%s;", ch_command_name(a->command),
		       a->error ? a->why : "ok", a->data ? " json" : "");
	if (--t.left == 0)
		loop_stop(&t.loop);
}

static int setup(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/test-ch.XXXXXX";

	(void)state;
	memset(&t, 0, sizeof(t));
	assert_non_null(mkdtemp(dir));
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
	t.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(t.listen_fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	t.path_fd = open(addr.sun_path, O_PATH | O_CLOEXEC);
	assert_int_equal(listen(t.listen_fd, 8), 0);
	assert_int_equal(unlink(addr.sun_path), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(loop_init(&t.loop), 0);
	assert_int_equal(ch_api_open(&t.api, &t.loop, t.path_fd, on_answer, NULL, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	t.api = ch_api_close(t.api);
	loop_finish(&t.loop);
	(void)fd_close(t.listen_fd);
	return 0;
}

static void talk_with(const char *const *answers, unsigned expected)
{
	t.answers = answers;
	t.left = expected;
	assert_int_equal(pthread_create(&t.thread, NULL, run_server, NULL), 0);
	loop_run(&t.loop);
	(void)pthread_join(t.thread, NULL);
	assert_null(t.wrong);
}

#define OK(body, len) "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: " len "\r\n\r\n" body
#define NO_CONTENT "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n"

static void one_request_at_a_time(void **state)
{
	static const char *const answers[] = { OK("{}", "2"), OK("{\"a\":1}", "7"), NO_CONTENT, NULL };

	(void)state;
	(void)ch_api_send(t.api, CH_PING);
	(void)ch_api_send(t.api, CH_INFO);
	(void)ch_api_send(t.api, CH_INFO); /* waits already */
	(void)ch_api_send(t.api, CH_REBOOT);
	talk_with(answers, 3);
	assert_string_equal(t.got, "vmm.ping ok json;vm.info ok json;vm.reboot ok;");
	assert_string_equal(t.asked, "GET /api/v1/vmm.ping HTTP/1.1;GET /api/v1/vm.info HTTP/1.1;PUT /api/v1/vm.reboot HTTP/1.1;");
}

static void refusals_and_nonsense(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 500 \r\nContent-Length: 30\r\n\r\n[\"Error from API\",\"not so now\"]", OK("[1]", "3"), OK("oops", "4"), NULL,
	};

	(void)state;
	(void)ch_api_send(t.api, CH_POWER_BUTTON);
	(void)ch_api_send(t.api, CH_PING);
	(void)ch_api_send(t.api, CH_INFO);
	talk_with(answers, 3);
	assert_non_null(strstr(t.got, "vm.power-button is refused with 500"));
	assert_non_null(strstr(t.got, "vmm.ping is answered with nonsense;"));
	assert_non_null(strstr(t.got, "vm.info is answered with nonsense;"));
}

static void busy_is_tried_again(void **state)
{
	static const char *const answers[] = { "HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", "", OK("{}", "2"), NULL };

	(void)state;
	(void)ch_api_send(t.api, CH_PING);
	talk_with(answers, 1);
	assert_string_equal(t.got, "vmm.ping ok json;");
}

static void a_write_is_not_made_twice(void **state)
{
	/* The connection ends without an answer: it may have been done. */
	static const char *const answers[] = { "", NULL };

	(void)state;
	(void)ch_api_send(t.api, CH_REBOOT);
	talk_with(answers, 1);
	assert_non_null(strstr(t.got, "vm.reboot: "));
	assert_string_equal(t.asked, "PUT /api/v1/vm.reboot HTTP/1.1;");
}

static void ending_goes_first(void **state)
{
	/* The server may see the ping that was given up, or not. */
	static const char *const answers[] = { NO_CONTENT, NO_CONTENT, NO_CONTENT, NULL };

	(void)state;
	(void)ch_api_send(t.api, CH_PING);
	(void)ch_api_send(t.api, CH_POWER_BUTTON);
	(void)ch_api_send(t.api, CH_QUIT);
	assert_int_equal(ch_api_send(NULL, CH_PING), -ENOTCONN);
	t.answers = answers;
	t.left = 2;
	assert_int_equal(pthread_create(&t.thread, NULL, run_server, NULL), 0);
	loop_run(&t.loop);
	assert_string_equal(t.got, "vmm.shutdown ok;vm.power-button ok;");
	t.api = ch_api_close(t.api);
	assert_null(ch_api_close(NULL));
	loop_finish(&t.loop);
	(void)shutdown(t.listen_fd, SHUT_RDWR);
	(void)pthread_join(t.thread, NULL);
	assert_int_equal(loop_init(&t.loop), 0);
}

/* As micro_http writes them, whole, in pieces, and what is none. */
static void answers_are_parsed(void **state)
{
	static const char good[] = "HTTP/1.1 200 \r\nServer: Firecracker API\r\ncontent-length: 4\r\n\r\n{\"a\"";
	static const char none[] = "HTTP/1.1 204 \r\nServer: x\r\n\r\n";
	static const char *const bad[] = { "HTTP/1.0 200 \r\n\r\n", "<html>", "HTTP/1.1 2x0 \r\n\r\n", "HTTP/1.1 \r\n\r\n",
					   "HTTP/1.1 200 \r\nContent-Length: 99999999999999999999\r\n\r\n" };
	static char endless[CH_HANDOVER_MAX];
	struct httpc_answer a;

	(void)state;
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		assert_int_equal(ch_answer_parse(good, n, &a), 0);
	assert_int_equal(ch_answer_parse(good, sizeof(good) - 1, &a), 1);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.len, 4);
	assert_memory_equal(a.body, "{\"a\"", 4);
	assert_int_equal(ch_answer_parse(none, sizeof(none) - 1, &a), 1);
	assert_int_equal(a.status, 204);
	assert_int_equal(a.len, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ch_answer_parse(bad[i], strlen(bad[i]), &a), -EPROTO);
	memset(endless, 'x', sizeof(endless));
	memcpy(endless, "HTTP/1.1 200 ", 13);
	assert_int_equal(ch_answer_parse(endless, sizeof(endless), &a), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_parsed),
		cmocka_unit_test(error_chains),
		cmocka_unit_test(versions),
		cmocka_unit_test(reads_events_however_cut),
		cmocka_unit_test(lost_halves_cost_one_record),
		cmocka_unit_test(endless_records_are_bounded),
		cmocka_unit_test_setup_teardown(one_request_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_and_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(busy_is_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_write_is_not_made_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(ending_goes_first, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
