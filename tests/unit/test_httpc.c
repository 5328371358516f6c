/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/httpc.h"
#include "base/loop.h"

/* A server on a unix socket that answers by the path of the request, one connection at a time. */
static char dir[] = "/tmp/terrarium-httpc-XXXXXX", path[64];
static int listen_fd = -1;
static pthread_t server;
static char last_request[4096];

static void answer(int fd, const char *request)
{
	static char big[70000];
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: public, max-age=600\r\nConnection: close\r\n\r\nhello",
			  bad[] = "HTTP/1.1 500 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\n:(",
			  redirect[] = "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			  rubbish[] = "\x01\x02\x03 what\r\n\r\n";
	const char *text = ok;
	size_t len;

	if (strstr(request, " /big ")) {
		int n = snprintf(big, sizeof(big), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");

		memset(big + n, 'x', sizeof(big) - (size_t)n - 1);
		text = big;
	} else if (strstr(request, " /bad "))
		text = bad;
	else if (strstr(request, " /redirect "))
		text = redirect;
	else if (strstr(request, " /rubbish "))
		text = rubbish;
	len = strlen(text);
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static void *serve(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(listen_fd, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			return NULL;
		n = recv(fd, last_request, sizeof(last_request) - 1, 0);
		last_request[n > 0 ? n : 0] = '\0';
		if (strstr(last_request, " /slow "))
			(void)poll(NULL, 0, 400);
		if (!strstr(last_request, " /gone "))
			answer(fd, last_request);
		close(fd);
	}
}

static int start_server(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return listen_fd < 0 || bind(listen_fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(listen_fd, 16) < 0 ||
	       pthread_create(&server, NULL, serve, NULL) != 0;
}

static int stop_server(void **state)
{
	(void)state;
	shutdown(listen_fd, SHUT_RDWR);
	pthread_join(server, NULL);
	close(listen_fd);
	unlink(path);
	rmdir(dir);
	return 0;
}

struct seen {
	struct loop *loop;
	int calls, error;
	long status, cache_s;
	char body[64], why[256];
};

static void on_done(void *arg, const struct httpc_answer *a)
{
	struct seen *s = arg;

	s->calls++;
	s->error = a->error;
	s->status = a->status;
	s->cache_s = a->cache_s;
	(void)snprintf(s->body, sizeof(s->body), "%s", a->body);
	(void)snprintf(s->why, sizeof(s->why), "%s", a->why);
	loop_stop(s->loop);
}

static struct seen get(const char *url, uint32_t deadline_ms)
{
	struct loop l;
	struct httpc *h = NULL;
	struct seen s = { .loop = &l };
	struct httpc_request req = { .method = "GET", .url = url, .unix_path = path, .limit_bytes = 1000, .deadline_ms = deadline_ms };

	assert_int_equal(loop_init(&l), 0);
	assert_int_equal(httpc_create(&h, &l, NULL), 0);
	assert_non_null(httpc_start(h, &req, on_done, &s, NULL));
	loop_run(&l);
	assert_int_equal(s.calls, 1);
	httpc_destroy(h);
	loop_finish(&l);
	return s;
}

static void answers_come_back_on_the_loop(void **state)
{
	struct seen s = get("http://host/ok", 5000);

	(void)state;
	assert_int_equal(s.error, 0);
	assert_int_equal(s.status, 200);
	assert_int_equal(s.cache_s, 600);
	assert_string_equal(s.body, "hello");
	s = get("http://host/bad", 5000);
	assert_int_equal(s.error, 0);
	assert_int_equal(s.status, 500);
	assert_int_equal(s.cache_s, -1);
}

static void redirects_are_not_followed(void **state)
{
	(void)state;
	assert_int_equal(get("http://host/redirect", 5000).status, 302);
}

static void too_large_late_and_rubbish_are_errors(void **state)
{
	struct seen s = get("http://host/big", 5000);

	(void)state;
	assert_int_equal(s.error, -EFBIG);
	assert_string_equal(s.why, "the answer is too large");
	assert_int_equal(get("http://host/slow", 100).error, -ETIMEDOUT);
	assert_true(get("http://host/rubbish", 5000).error < 0);
	assert_int_equal(get("http://host/gone", 5000).error, -EIO); /* a server that has just died: whoever asks may come again */
}

static void plain_http_and_other_schemes_are_refused(void **state)
{
	struct loop l;
	struct httpc *h = NULL;
	static const char *const urls[] = { "http://127.0.0.1:9/", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/" };

	(void)state;
	assert_int_equal(loop_init(&l), 0);
	assert_int_equal(httpc_create(&h, &l, NULL), 0);
	for (size_t i = 0; i < 4; i++) {
		struct seen s = { .loop = &l };
		struct httpc_request req = { .method = "GET", .url = urls[i], .limit_bytes = 1000, .deadline_ms = 2000 };

		assert_non_null(httpc_start(h, &req, on_done, &s, NULL));
		loop_run(&l);
		assert_int_equal(s.error, -EPROTO);
	}
	httpc_destroy(h);
	loop_finish(&l);
}

static void posts_carry_headers_and_body(void **state)
{
	struct loop l;
	struct httpc *h = NULL;
	struct seen s = { .loop = &l };
	struct httpc_request req = { .method = "POST", .url = "http://host/ok", .unix_path = path, .headers = { "X-One: 1" }, .nheaders = 1,
				     .body = "a=b", .body_len = 3, .secret_user = "u", .secret_password = "p", .limit_bytes = 100,
				     .deadline_ms = 5000 };

	(void)state;
	assert_int_equal(loop_init(&l), 0);
	assert_int_equal(httpc_create(&h, &l, NULL), 0);
	assert_non_null(httpc_start(h, &req, on_done, &s, NULL));
	loop_run(&l);
	httpc_destroy(h);
	loop_finish(&l);
	assert_int_equal(s.status, 200);
	assert_non_null(strstr(last_request, "POST /ok HTTP/1.1\r\n"));
	assert_non_null(strstr(last_request, "X-One: 1\r\n"));
	assert_non_null(strstr(last_request, "Authorization: Basic dTpw\r\n"));
	assert_null(strstr(last_request, "Expect:"));
	assert_non_null(strstr(last_request, "\r\n\r\na=b"));
}

/* Whoever is gone must not be called, and what is under way at the end must not leak. */
static void cancelled_calls_stay_silent(void **state)
{
	struct loop l;
	struct httpc *h = NULL;
	struct seen gone = { .loop = &l }, s = { .loop = &l };
	struct httpc_request slow = { .method = "GET", .url = "http://host/slow", .unix_path = path, .limit_bytes = 100, .deadline_ms = 5000 };
	struct httpc_call *first;

	(void)state;
	assert_int_equal(loop_init(&l), 0);
	assert_int_equal(httpc_create(&h, &l, NULL), 0);
	first = httpc_start(h, &slow, on_done, &gone, NULL);
	assert_non_null(httpc_start(h, &slow, on_done, &s, NULL));
	assert_null(httpc_cancel(first));
	loop_run(&l);
	assert_int_equal(s.status, 200);
	assert_int_equal(gone.calls, 0);
	assert_non_null(httpc_start(h, &slow, on_done, &gone, NULL));
	httpc_destroy(h);
	loop_finish(&l);
	assert_int_equal(gone.calls, 0);
}

static void calls_are_bounded(void **state)
{
	struct loop l;
	struct httpc *h = NULL;
	struct seen s = { .loop = &l };
	struct httpc_request req = { .method = "GET", .url = "http://host/slow", .unix_path = path, .limit_bytes = 100, .deadline_ms = 50 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(loop_init(&l), 0);
	assert_int_equal(httpc_create(&h, &l, NULL), 0);
	for (int i = 0; i < HTTPC_CALLS_MAX; i++)
		assert_non_null(httpc_start(h, &req, on_done, &s, NULL));
	assert_null(httpc_start(h, &req, on_done, &s, &e));
	assert_int_equal(e.code, -EAGAIN);
	httpc_destroy(h);
	loop_finish(&l);
}

static void escaping(void **state)
{
	char out[32];

	(void)state;
	assert_int_equal(httpc_escape("a b&c=d/~", out, sizeof(out)), 0);
	assert_string_equal(out, "a%20b%26c%3Dd%2F~");
	assert_int_equal(httpc_escape("&&&&&&&&&&&&&&&&&&&&", out, sizeof(out)), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_come_back_on_the_loop),
		cmocka_unit_test(redirects_are_not_followed),
		cmocka_unit_test(too_large_late_and_rubbish_are_errors),
		cmocka_unit_test(plain_http_and_other_schemes_are_refused),
		cmocka_unit_test(posts_carry_headers_and_body),
		cmocka_unit_test(cancelled_calls_stay_silent),
		cmocka_unit_test(calls_are_bounded),
		cmocka_unit_test(escaping),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
