/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads of requests. The input is the method's number, a byte of which headers are there at all, and then the headers, ended by NUL each, in
 * the order of the table.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "gateway/http.h"
#include "gateway/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct name_list hosts = { .names = { "localhost:7681" }, .count = 1 };
static const struct name_list origins = { .names = { "http://localhost:7681" }, .count = 1 };

static int identify(void *app, const struct http_request *req, struct who *who, struct err *e)
{
	(void)app;
	(void)who;
	(void)e;
	return req->cookie ? 0 : 1;
}

static void nobody(struct http_call *call)
{
	http_problem(call->resp, 401, "login_needed", "Sign in.");
}

static bool other(struct http_call *call)
{
	(void)call;
	return false;
}

static void on_route(struct http_call *call)
{
	char value[16];

	if (strlen(call->id) >= HTTP_ID_BYTES || strchr(call->id, '/'))
		abort();
	if (http_query(call->req, "limit", value, sizeof(value)) == 0 && strlen(value) >= sizeof(value))
		abort();
	(void)http_accepts(call->req->accept_encoding, "br");
	(void)http_etag_matches(call->req->if_none_match, "\"0123\"");
	if (call->req->method == HTTP_PUT && call->json)
		abort(); /* bytes are nobody's JSON */
	http_json(call->resp, 200, json_pack("{s:s}", "id", call->id));
}

static const struct http_route routes[] = {
	{ .method = HTTP_GET, .path = "/a/{id}/b", .run = on_route },
	{ .method = HTTP_POST, .path = "/a", .flags = HTTP_SIGNED_IN, .run = on_route },
	{ .method = HTTP_PUT, .path = "/p", .flags = HTTP_SIGNED_IN | HTTP_BYTES, .run = on_route, .body_max = 2 * HTTP_BODY_MAX },
	{ .path = NULL },
};

static const struct http_app app = { .routes = routes, .hosts = &hosts, .origins = &origins, .identify = identify,
				     .on_nobody = nobody, .on_other = other };

/* A head goes out whole: one blank line, at its end, and nothing but printable text in its lines. */
static void check_head(const struct http_response *resp)
{
	struct buf head = BUF_INIT(HTTP_HEAD_MAX);

	if (http_head(resp, &head) < 0 || strlen(head.data) != head.len || strstr(head.data, "\r\n\r\n") != head.data + head.len - 4)
		abort();
	buf_finish(&head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request q = { .path = "/", .query = "" };
	const char **fields[] = { &q.path, &q.query, &q.version, &q.host, &q.origin, &q.marker, &q.content_length, &q.content_type,
				  &q.transfer_encoding, &q.accept_encoding, &q.if_none_match, &q.fetch_site, &q.cookie, &q.ws_version,
				  &q.ws_protocols };
	struct http_response resp;
	struct who who = { 0 };
	char *text = malloc(size + 1), *at = text;
	uint16_t present;

	if (!text || size < 3) {
		free(text);
		return 0;
	}
	memcpy(text, data, size);
	text[size] = '\0';
	q.method = (enum http_method)(data[0] % HTTP_METHOD_COUNT);
	present = (uint16_t)(data[1] | data[2] << 8);
	at += 3;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && at <= text + size; i++)
		if (i < 2 || (present >> i) & 1) {
			*fields[i] = at;
			at += strlen(at) + 1;
		}
	http_response_init(&resp);
	if (http_gate(&app, &q, &resp) == 0) {
		/* What the gate promises to everything behind it. */
		if (!q.host || strcmp(q.host, "localhost:7681") != 0 || q.transfer_encoding || (q.method == HTTP_POST && !q.content_length))
			abort();
		if (q.method == HTTP_POST && (!q.origin || !q.marker))
			abort();
		http_answer(&app, &q, &resp);
	}
	check_head(&resp);
	http_response_finish(&resp);
	http_response_init(&resp);
	if (http_upgrade(&app, &q, &resp, &who) != 0)
		check_head(&resp);
	http_response_finish(&resp);
	free(text);
	return 0;
}
