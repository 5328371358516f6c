/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/rest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/httpc.h"
#include "base/loop.h"
#include "gateway/ctl/login.h"

#define DEADLINE_MS 60000
#define ANSWER_MAX  (64 << 20)

/* What an answer becomes, filled on the loop. */
struct reply {
	struct loop loop;
	struct buf *text;
	json_t *json, **problem;
	struct err *e;
	int r;
};

/* What may be otherwise in a moment: the machine's agent has not come back to a new gateway yet, say; or there are too many connections (503, 429 without a word). */
static bool is_passing(long status, const json_t *doc)
{
	static const char *const codes[] = { "no_agent", "agent_silent", "overloaded" };
	const char *code = json_string_value(json_object_get(doc, "code"));

	if (!doc && (status == 503 || status == 429))
		return true;
	for (size_t i = 0; code && i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(code, codes[i]) == 0)
			return true;
	}
	return false;
}

static int problem(const struct httpc_answer *a, json_t **out, struct err *e)
{
	json_t *doc = json_loadb(a->body, a->len, 0, NULL), *bad, *first;
	const char *detail = json_string_value(json_object_get(doc, "detail"));
	int code = is_passing(a->status, doc) ? -EHOSTDOWN : a->status == 404 ? -ENOENT : a->status == 409 ? -EEXIST : -EACCES;

	bad = json_object_get(doc, "bad");
	first = json_array_get(bad, 0);
	if (first)
		err_set(e, code, "%s The first: line %lld: %s", detail ? detail : "", (long long)json_integer_value(json_object_get(first, "line")),
			json_string_value(json_object_get(first, "why")));
	else
		err_set(e, code, "%s", detail ? detail : "the gateway refuses without a reason");
	if (out)
		*out = json_incref(doc);
	json_decref(doc);
	return code;
}

static void on_answer(void *arg, const struct httpc_answer *a)
{
	struct reply *p = arg;

	if (a->error)
		p->r = err_set(p->e, a->error, "the gateway does not answer: %s", a->why);
	else if (a->status >= 400)
		p->r = problem(a, p->problem, p->e);
	else if (p->text)
		p->r = buf_add(p->text, a->body, a->len);
	else if (a->len > 0) {
		p->json = json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES, NULL);
		if (!p->json)
			p->r = err_set(p->e, -EPROTO, "the gateway's answer is not JSON");
	}
	loop_stop(&p->loop);
}

static const char *named_socket(const char *socket)
{
	return socket ? socket : getenv("TERRARIUM_CONTROL_SOCKET");
}

const char *rest_socket_path(const char *socket)
{
	const char *path = named_socket(socket);

	return path ? path : REST_SOCKET;
}

bool rest_by_socket(const char *socket)
{
	struct login l;
	struct err e = { 0 };
	bool logged_in = !named_socket(socket) && login_read(&l, &e) != -ENOENT;

	explicit_bzero(&l, sizeof(l));
	return !logged_in;
}

/**
 * struct target - where a request goes
 * @unix_path: the control socket, or NULL for @login's server
 */
struct target {
	const char *unix_path;
	struct login login;
};

static int find_target(const struct rest_request *req, struct target *t, struct err *e)
{
	int r;

	*t = (struct target){ .unix_path = req->login ? NULL : named_socket(req->socket) };
	if (req->login)
		t->login = *req->login;
	if (req->login || t->unix_path)
		return 0;
	r = login_read(&t->login, e);
	if (r == -ENOENT)
		t->unix_path = REST_SOCKET;
	return r == -ENOENT ? 0 : r;
}

/* As a page of that server would, or with the token. */
static void add_headers(struct httpc_request *http, const struct target *t, char origin[LOGIN_URL_BYTES + 16], char bearer[LOGIN_TOKEN_BYTES + 32])
{
	if (t->unix_path)
		return;
	http->headers[http->nheaders++] = "X-Terrarium: 1";
	(void)snprintf(origin, LOGIN_URL_BYTES + 16, "Origin: %s", t->login.server);
	http->headers[http->nheaders++] = origin;
	(void)snprintf(bearer, LOGIN_TOKEN_BYTES + 32, "Authorization: Bearer %s", t->login.token);
	if (t->login.token[0])
		http->headers[http->nheaders++] = bearer;
}

static int send_and_wait(const struct httpc_request *http, struct reply *p)
{
	struct httpc *h = NULL;

	p->r = loop_init(&p->loop);
	if (p->r == 0)
		p->r = httpc_create(&h, &p->loop, p->e);
	if (p->r == 0 && !httpc_start(h, http, on_answer, p, p->e))
		p->r = -EAGAIN;
	else if (p->r == 0)
		loop_run(&p->loop);
	httpc_destroy(h);
	loop_finish(&p->loop);
	return p->r;
}

static int call(const struct rest_request *req, struct reply *p)
{
	char url[REST_PATH_BYTES + LOGIN_URL_BYTES], match[64], range[64], origin[LOGIN_URL_BYTES + 16], bearer[LOGIN_TOKEN_BYTES + 32];
	char *body = req->body ? json_dumps(req->body, JSON_COMPACT) : NULL;
	bool post = strcmp(req->method, "POST") == 0, bytes = req->bytes != NULL;
	struct httpc_request http = {
		.method = req->method, .url = url, .headers = { bytes ? "Content-Type: application/octet-stream" : "Content-Type: application/json" },
		.nheaders = 1, .body = bytes ? req->bytes : body ? body : post ? "" : NULL, .body_len = bytes ? req->bytes_len : body ? strlen(body) : 0,
		.limit_bytes = ANSWER_MAX, .deadline_ms = DEADLINE_MS,
	};
	struct target t;

	p->problem = req->problem;
	p->r = find_target(req, &t, p->e);
	http.unix_path = t.unix_path;
	http.allow_http = !t.unix_path && login_loopback(t.login.server);
	http.ca_file = t.login.ca_file[0] ? t.login.ca_file : NULL;
	(void)snprintf(url, sizeof(url), "%s%s", t.unix_path ? "http://localhost" : t.login.server, req->path);
	(void)snprintf(match, sizeof(match), "If-Match: %s", req->match ? req->match : "");
	(void)snprintf(range, sizeof(range), "Range: %s", req->range ? req->range : "");
	if (req->match)
		http.headers[http.nheaders++] = match;
	if (req->range)
		http.headers[http.nheaders++] = range;
	add_headers(&http, &t, origin, bearer);
	if (p->r == 0)
		(void)send_and_wait(&http, p);
	free(body);
	if (p->r == -ECONNREFUSED && t.unix_path)
		err_set(p->e, p->r, "no gateway at %s; is terrariumd running, and may you use its socket? --socket names another", t.unix_path);
	explicit_bzero(bearer, sizeof(bearer));
	explicit_bzero(&t, sizeof(t));
	return p->r;
}

int rest_call(const struct rest_request *req, json_t **answer, struct err *e)
{
	struct reply p = { .e = e };
	int r = call(req, &p);

	if (r < 0)
		json_decref(p.json);
	else
		*answer = p.json;
	return r;
}

int rest_text(const struct rest_request *req, struct buf *out, struct err *e)
{
	struct reply p = { .e = e, .text = out };

	return call(req, &p);
}

int rest_path(char out[REST_PATH_BYTES], const char *prefix, const char *id, const char *suffix, struct err *e)
{
	char escaped[REST_PATH_BYTES / 2] = "";
	int n;

	if (id && httpc_escape(id, escaped, sizeof(escaped)) < 0)
		return err_set(e, -ENOSPC, "%.64s... is too long", id);
	n = snprintf(out, REST_PATH_BYTES, "%s%s%s", prefix, escaped, suffix);
	return n > 0 && n < REST_PATH_BYTES ? 0 : err_set(e, -ENOSPC, "too long a request");
}

int rest_query(char path[REST_PATH_BYTES], const char *name, const char *value, struct err *e)
{
	size_t at = strlen(path);
	char escaped[REST_PATH_BYTES / 2];
	int n;

	if (!value || !value[0])
		return 0;
	if (httpc_escape(value, escaped, sizeof(escaped)) < 0)
		return err_set(e, -ENOSPC, "%s is too long", name);
	n = snprintf(path + at, REST_PATH_BYTES - at, "%c%s=%s", strchr(path, '?') ? '&' : '?', name, escaped);
	return n > 0 && (size_t)n < REST_PATH_BYTES - at ? 0 : err_set(e, -ENOSPC, "too long a request");
}
