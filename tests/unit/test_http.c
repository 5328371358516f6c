/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "gateway/http.h"
#include "gateway/peer.h"
#include "gateway/settings.h"

static const struct name_list hosts = { .names = { "localhost:7681", "127.0.0.1:7681" }, .count = 2 };
static const struct name_list origins = { .names = { "http://localhost:7681" }, .count = 1 };

static char seen_id[HTTP_ID_BYTES];
static int identity; /* what identify() answers */

static int identify(void *app, const struct http_request *req, struct who *who, struct err *e)
{
	(void)app;
	(void)req;
	if (identity < 0)
		return err_set(e, identity, "the database is full");
	who->person = 7;
	return identity;
}

static void nobody(struct http_call *call)
{
	http_problem(call->resp, 401, "login_needed", "Sign in.");
}

static bool other(struct http_call *call)
{
	if (strcmp(call->req->path, "/") != 0)
		return false;
	call->resp->status = 200;
	call->resp->type = "text/html; charset=utf-8";
	call->resp->fixed = (const uint8_t *)"page";
	call->resp->fixed_len = 4;
	return true;
}

static void on_thing(struct http_call *call)
{
	memcpy(seen_id, call->id, sizeof(seen_id));
	assert_int_equal(call->who.person, 7);
	http_json(call->resp, 200, json_pack("{s:b}", "ok", 1));
}

static void on_make(struct http_call *call)
{
	assert_true(json_is_object(call->json));
	http_json(call->resp, 201, json_incref(call->json));
}

static const struct http_route routes[] = {
	{ .method = HTTP_GET, .path = "/things/{id}", .flags = HTTP_SIGNED_IN, .run = on_thing },
	{ .method = HTTP_GET, .path = "/things/{id}/parts", .flags = HTTP_SIGNED_IN, .run = on_thing },
	{ .method = HTTP_POST, .path = "/things", .run = on_make },
	{ .path = NULL },
};

static const struct http_app app = { .routes = routes, .hosts = &hosts, .origins = &origins, .identify = identify,
				     .on_nobody = nobody, .on_other = other };

static struct http_request request(enum http_method m, const char *path)
{
	return (struct http_request){ .method = m, .version = "HTTP/1.1", .path = path, .query = "", .host = "localhost:7681",
				      .origin = "http://localhost:7681", .marker = "1", .content_type = "application/json" };
}

static int gate(const struct http_request *q)
{
	struct http_response resp;
	int status;

	http_response_init(&resp);
	status = http_gate(&app, q, &resp);
	assert_int_equal(status, status ? resp.status : 0);
	http_response_finish(&resp);
	return status;
}

static int answer(const struct http_request *q)
{
	struct http_response resp;
	int status;

	http_response_init(&resp);
	http_answer(&app, q, &resp);
	status = resp.status;
	http_response_finish(&resp);
	return status;
}

static void the_gate_lets_in_what_is_sound(void **state)
{
	struct http_request q = request(HTTP_GET, "/things/a");

	(void)state;
	assert_int_equal(gate(&q), 0);
	q.origin = q.marker = q.content_type = NULL;
	assert_int_equal(gate(&q), 0);
	q.version = "HTTP/1.0";
	assert_int_equal(gate(&q), 0);
	q = request(HTTP_POST, "/things");
	q.content_length = "65536";
	assert_int_equal(gate(&q), 0);
	q.content_type = "Application/JSON; charset=utf-8";
	assert_int_equal(gate(&q), 0);
	q.content_length = "0";
	q.content_type = NULL;
	assert_int_equal(gate(&q), 0);
	q = request(HTTP_DELETE, "/things/a");
	assert_int_equal(gate(&q), 0);
	q.fetch_site = "same-origin";
	assert_int_equal(gate(&q), 0);
}

static void the_gate_refuses_doubtful_frames(void **state)
{
	static const char *const lengths[] = { "", "-1", "+1", " 1", "1 ", "1a", "0x10", "1,1", "3, 7", "9999999999", "1.0" };
	struct http_request q = request(HTTP_POST, "/things");

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		q.content_length = lengths[i];
		if (gate(&q) != 400)
			fail_msg("Content-Length: %s", lengths[i]);
	}
	q.content_length = NULL;
	assert_int_equal(gate(&q), 411);
	q.content_length = "65537";
	assert_int_equal(gate(&q), 413);
	q.content_length = "1";
	q.transfer_encoding = "chunked";
	assert_int_equal(gate(&q), 400);
	for (enum http_method m = HTTP_GET; m < HTTP_METHOD_COUNT; m++) {
		q = request(m, "/things");
		q.content_length = "1";
		assert_int_equal(gate(&q), http_has_body(m) ? 0 : 400);
	}
	q = request(HTTP_GET, "/things/a");
	q.version = "HTTP/2.0";
	assert_int_equal(gate(&q), 505);
	q.version = NULL;
	assert_int_equal(gate(&q), 505);
	q = request(HTTP_OTHER, "/things");
	assert_int_equal(gate(&q), 405);
}

static void the_gate_knows_its_names(void **state)
{
	static const char *const wrong[] = { "localhost", "LOCALHOST:7681", "localhost:7681.", "evil.example", "localhost:7681,evil", "" };
	struct http_request q = request(HTTP_GET, "/things/a");

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		q.host = wrong[i];
		assert_int_equal(gate(&q), 421);
	}
	q.host = NULL;
	assert_int_equal(gate(&q), 400);
}

static void writes_come_from_our_page(void **state)
{
	static const char *const wrong[] = { NULL, "", "null", "http://localhost", "https://localhost:7681", "http://localhost:7681/",
					     "http://localhost:7681.evil.example" };
	struct http_request q;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		q = request(HTTP_DELETE, "/things/a");
		q.origin = wrong[i];
		assert_int_equal(gate(&q), 403);
		/* A browser repeats Basic by itself, wherever a page sends it; a bearer token it never sends. */
		q.authorization = "Basic YTpi";
		assert_int_equal(gate(&q), 403);
		q.authorization = "Bearer x";
		assert_int_equal(gate(&q), 0);
	}
	q = request(HTTP_POST, "/things");
	q.content_length = "2";
	q.marker = NULL;
	assert_int_equal(gate(&q), 403);
	q.marker = "0";
	assert_int_equal(gate(&q), 403);
	q.marker = "1";
	q.fetch_site = "same-site";
	assert_int_equal(gate(&q), 403);
	q.fetch_site = NULL;
	q.content_type = "text/plain";
	assert_int_equal(gate(&q), 415);
	q.content_type = "application/jsonx";
	assert_int_equal(gate(&q), 415);
}

static void routes_are_found(void **state)
{
	static const char *const none[] = { "/things", "/things/", "/things/a/", "/things/a/b", "/things/a b", "/thing/a" };
	char too_long[HTTP_ID_BYTES + 16] = "/things/";
	struct http_request q = request(HTTP_GET, "/things/a.b-c_9");

	(void)state;
	identity = 0;
	assert_int_equal(answer(&q), 200);
	assert_string_equal(seen_id, "a.b-c_9");
	q.path = "/things/x/parts";
	assert_int_equal(answer(&q), 200);
	assert_string_equal(seen_id, "x");
	q.method = HTTP_HEAD;
	assert_int_equal(answer(&q), 200);
	q.method = HTTP_GET;
	for (size_t i = 1; i < sizeof(none) / sizeof(none[0]); i++) {
		q.path = none[i];
		if (answer(&q) != 404)
			fail_msg("%s", none[i]);
	}
	memset(too_long + strlen(too_long), 'a', HTTP_ID_BYTES);
	q.path = too_long;
	assert_int_equal(answer(&q), 404);
	q.path = none[0];
	assert_int_equal(answer(&q), 405);
	q.path = "/";
	assert_int_equal(answer(&q), 200);
	q.method = HTTP_POST;
	assert_int_equal(answer(&q), 404);
}

static void a_405_says_what_is_allowed(void **state)
{
	struct http_request q = request(HTTP_DELETE, "/things/a");
	struct http_response resp;

	(void)state;
	http_response_init(&resp);
	http_answer(&app, &q, &resp);
	assert_int_equal(resp.status, 405);
	assert_non_null(strstr(resp.head.data, "Allow: GET, HEAD\r\n"));
	http_response_finish(&resp);
}

static void nobody_and_failure_differ(void **state)
{
	struct http_request q = request(HTTP_GET, "/things/a");

	(void)state;
	identity = 1;
	assert_int_equal(answer(&q), 401);
	identity = -ENOSPC;
	assert_int_equal(answer(&q), 507);
	identity = -EIO;
	assert_int_equal(answer(&q), 500);
	identity = 0;
}

static void bodies_are_objects(void **state)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{ "", 201 }, { "{}", 201 }, { " {\"a\":1} ", 201 }, { "[]", 400 }, { "1", 400 }, { "{", 400 }, { "{}x", 400 },
		{ "{\"a\":1,\"a\":2}", 400 }, { "{\"a\":\"\\u0000\"}", 400 }, { "{\"a\":\xff}", 400 }, { "{\"a\":1e999}", 400 },
	};
	struct http_request q = request(HTTP_POST, "/things");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		q.body = rows[i].text;
		q.body_len = strlen(rows[i].text);
		if (answer(&q) != rows[i].status)
			fail_msg("%s", rows[i].text);
	}
}

/* A part of a file, as RFC 9110 §14 counts it; what is no single range of bytes gets the whole. */
static void files_and_their_parts(void **state)
{
	static const struct {
		const char *range;
		int status;
		uint64_t from, len;
	} rows[] = {
		{ NULL, 200, 0, 10 },	       { "bytes=0-", 206, 0, 10 },     { "bytes=0-0", 206, 0, 1 },   { "bytes=9-", 206, 9, 1 },
		{ "bytes=2-5", 206, 2, 4 },    { "bytes=2-999", 206, 2, 8 },   { "bytes=-3", 206, 7, 3 },    { "bytes=-99", 206, 0, 10 },
		{ "bytes=10-", 416, 0, 0 },    { "bytes=-0", 416, 0, 0 },      { "bytes=5-2", 200, 0, 10 },  { "bytes=1-2,4-5", 200, 0, 10 },
		{ "lines=1-2", 200, 0, 10 },   { "bytes=", 200, 0, 10 },       { "bytes=-", 200, 0, 10 },    { "bytes=a-b", 200, 0, 10 },
		{ "bytes=0-18446744073709551615", 206, 0, 10 }, { "bytes=18446744073709551615-", 200, 0, 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_request q = request(HTTP_GET, "/things/a");
		struct http_response resp;
		struct http_call call = { .req = &q, .resp = &resp };

		q.range = rows[i].range;
		http_response_init(&resp);
		http_file(&call, "text/plain", memfd_create("file", MFD_CLOEXEC), 10);
		if (resp.status != rows[i].status || resp.from_file != (resp.status != 416) ||
		    (resp.from_file && (resp.file_at != rows[i].from || http_body_len(&resp) != rows[i].len)))
			fail_msg("%s: %d, %llu from %llu", rows[i].range ? rows[i].range : "none", resp.status,
				 (unsigned long long)resp.file_len, (unsigned long long)resp.file_at);
		assert_int_equal(resp.status == 206, strstr(resp.head.data, "Content-Range: bytes ") && resp.status != 416);
		http_response_finish(&resp);
		assert_false(resp.from_file);
	}
}

static void upgrades(void **state)
{
	struct http_request q = request(HTTP_GET, "/api/v1/attach");
	struct http_response resp;
	struct who who = { 0 };

	(void)state;
	identity = 0;
	q.ws_version = "13";
	q.ws_protocols = "terrarium.v2, terrarium.v1";
	http_response_init(&resp);
	assert_int_equal(http_upgrade(&app, &q, &resp, &who), 0);
	assert_int_equal(who.person, 7);
	q.ws_protocols = "terrarium.v10, xterrarium.v1";
	assert_int_equal(http_upgrade(&app, &q, &resp, &who), 400);
	q.ws_protocols = NULL;
	assert_int_equal(http_upgrade(&app, &q, &resp, &who), 400);
	q.ws_protocols = "terrarium.v1";
	q.ws_version = "8";
	assert_int_equal(http_upgrade(&app, &q, &resp, &who), 426);
	q.ws_version = "13";
	q.origin = NULL;
	assert_int_equal(http_upgrade(&app, &q, &resp, &who), 403);
	q.origin = "http://localhost:7681";
	q.path = "/";
	assert_int_equal(http_upgrade(&app, &q, &resp, &who), 400);
	q.path = "/api/v1/attach";
	q.host = "evil.example";
	assert_int_equal(http_upgrade(&app, &q, &resp, &who), 421);
	q.host = "localhost:7681";
	identity = 1;
	assert_int_equal(http_upgrade(&app, &q, &resp, &who), 401);
	identity = 0;
	http_response_finish(&resp);
}

/* The whole head of @resp, as text in a buffer of the caller's. */
static void head(const struct http_response *resp, struct buf *out)
{
	*out = BUF_INIT(HTTP_HEAD_MAX);
	assert_int_equal(http_head(resp, out), 0);
}

static void heads_carry_the_policy(void **state)
{
	struct http_request q = request(HTTP_GET, "/");
	struct http_response resp;
	struct buf text;

	(void)state;
	http_response_init(&resp);
	http_answer(&app, &q, &resp);
	(void)snprintf(resp.nonce, sizeof(resp.nonce), "abc");
	head(&resp, &text);
	assert_non_null(strstr(text.data, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 4\r\n"));
	assert_non_null(strstr(text.data, "style-src 'self' 'nonce-abc';"));
	assert_non_null(strstr(text.data, "frame-ancestors 'none'"));
	assert_null(strstr(text.data, "unsafe"));
	assert_string_equal(text.data + text.len - 4, "\r\n\r\n");
	buf_finish(&text);
	resp.status = 304;
	head(&resp, &text);
	assert_null(strstr(text.data, "Content-Length"));
	assert_non_null(strstr(text.data, "Connection: close\r\n"));
	buf_finish(&text);
	http_problem(&resp, 429, "slow_down", "Wait \"%d\" s.", 3);
	http_header(&resp, "Retry-After", "%d", 3);
	head(&resp, &text);
	assert_non_null(strstr(text.data, "Content-Type: application/problem+json\r\n"));
	assert_non_null(strstr(text.data, "Retry-After: 3\r\n"));
	assert_non_null(strstr(text.data, "Cache-Control: no-store\r\n"));
	assert_string_equal(resp.body.data, "{\"type\":\"about:blank\",\"title\":\"Too Many Requests\",\"status\":429,"
					    "\"code\":\"slow_down\",\"detail\":\"Wait \\\"3\\\" s.\"}");
	buf_finish(&text);
	http_response_finish(&resp);
}

static void headers_are_read(void **state)
{
	struct http_request q = { .query = "limit=5&cursor=abc&x" };
	char out[4];

	(void)state;
	assert_true(http_accepts("gzip, deflate, br", "br"));
	assert_true(http_accepts("br;q=0.5", "br"));
	assert_true(http_accepts("GZIP", "gzip"));
	assert_true(http_accepts("br;q=0.001", "br"));
	assert_false(http_accepts("br;q=0", "br"));
	assert_false(http_accepts("br; q=0.000", "br"));
	assert_false(http_accepts("brotli, xbr", "br"));
	assert_false(http_accepts("", "br"));
	assert_false(http_accepts(NULL, "br"));
	assert_true(http_etag_matches("\"a\"", "\"a\""));
	assert_true(http_etag_matches("\"x\", W/\"a\"", "\"a\""));
	assert_true(http_etag_matches("*", "\"a\""));
	assert_false(http_etag_matches("\"ab\"", "\"a\""));
	assert_false(http_etag_matches(NULL, "\"a\""));
	assert_int_equal(http_query(&q, "limit", out, sizeof(out)), 0);
	assert_string_equal(out, "5");
	assert_int_equal(http_query(&q, "cursor", out, sizeof(out)), 0);
	assert_string_equal(out, "abc");
	assert_int_equal(http_query(&q, "x", out, sizeof(out)), -ENOENT);
	assert_int_equal(http_query(&q, "imit", out, sizeof(out)), -ENOENT);
	q.query = "limit=12345";
	assert_int_equal(http_query(&q, "limit", out, sizeof(out)), -EINVAL);
	q.query = "a=%26%41&b=%2&c=%00&d=%g1&e=%";
	assert_int_equal(http_query(&q, "a", out, sizeof(out)), 0);
	assert_string_equal(out, "&A");
	for (const char *name = "bcde"; *name; name++)
		assert_int_equal(http_query(&q, (char[]){ *name, '\0' }, out, sizeof(out)), -EINVAL);
}

static struct peer peer(const char *text)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)(void *)&ss;
	struct peer p;

	if (inet_pton(AF_INET, text, &sin->sin_addr) == 1)
		ss.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &sin6->sin6_addr) == 1)
		ss.ss_family = AF_INET6;
	else
		ss.ss_family = AF_UNIX;
	peer_of(&ss, &p);
	return p;
}

static void peers_are_told_apart(void **state)
{
	struct peer a = peer("192.0.2.1"), b = peer("::ffff:192.0.2.1"), c = peer("2001:db8::1"), d = peer("2001:db8::ffff:2"),
		    e = peer("2001:db8:0:1::1");

	(void)state;
	assert_memory_equal(a.key, b.key, sizeof(a.key));
	assert_memory_equal(c.key, d.key, sizeof(c.key));
	assert_memory_not_equal(c.key, e.key, sizeof(c.key));
	assert_false(a.loopback || c.loopback);
	assert_true(peer("127.0.0.9").loopback && peer("::1").loopback && peer("::ffff:127.0.0.1").loopback && peer("unix").loopback);
	assert_false(peer("::").loopback);
}

static void failures_slow_an_address_down(void **state)
{
	struct peer_limit *l = peer_limit_create(3, 1000);
	struct peer a = peer("192.0.2.1"), b = peer("192.0.2.2");

	(void)state;
	assert_non_null(l);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(peer_limit_wait_ms(l, &a, 5000), 0);
		peer_limit_charge(l, &a, 5000);
	}
	assert_int_equal(peer_limit_wait_ms(l, &a, 5000), 1000);
	assert_int_equal(peer_limit_wait_ms(l, &a, 5400), 600);
	assert_int_equal(peer_limit_wait_ms(l, &b, 5000), 0);
	assert_int_equal(peer_limit_wait_ms(l, &a, 6000), 0);
	peer_limit_charge(l, &a, 6000);
	assert_int_equal(peer_limit_wait_ms(l, &a, 6000), 1000);
	assert_int_equal(peer_limit_wait_ms(l, &a, 100000), 0);
	/* A full table forgets somebody, and stays a table. */
	for (int i = 0; i < 5000; i++) {
		struct peer p = b;

		p.key[14] = (uint8_t)(i >> 8);
		p.key[15] = (uint8_t)i;
		peer_limit_charge(l, &p, 200000 + (uint64_t)i);
	}
	assert_int_equal(peer_limit_wait_ms(l, &a, 200000), 0);
	assert_null(peer_limit_destroy(l));
}

/* A text that quotes what somebody sent, cut inside of a character, is told all the same. */
static void a_problem_is_always_json(void **state)
{
	struct http_response resp;

	(void)state;
	http_response_init(&resp);
	http_problem(&resp, 400, "bad", "caf\xc3\xa9 \xe2\x82\xac near \xf0\x9f\x98, \xff\xc3");
	assert_int_equal(resp.status, 400);
	assert_non_null(memmem(resp.body.data, resp.body.len, "near ???, ??\"", 13));
	http_response_finish(&resp);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_problem_is_always_json),
		cmocka_unit_test(the_gate_lets_in_what_is_sound),
		cmocka_unit_test(the_gate_refuses_doubtful_frames),
		cmocka_unit_test(the_gate_knows_its_names),
		cmocka_unit_test(writes_come_from_our_page),
		cmocka_unit_test(routes_are_found),
		cmocka_unit_test(a_405_says_what_is_allowed),
		cmocka_unit_test(nobody_and_failure_differ),
		cmocka_unit_test(bodies_are_objects),
		cmocka_unit_test(files_and_their_parts),
		cmocka_unit_test(upgrades),
		cmocka_unit_test(heads_carry_the_policy),
		cmocka_unit_test(headers_are_read),
		cmocka_unit_test(peers_are_told_apart),
		cmocka_unit_test(failures_slow_an_address_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
