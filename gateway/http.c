/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "gateway/settings.h"

#define HEAD_LINES_MAX 2048
#define CONTENT_LENGTH_DIGITS 9

static const char *const method_names[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "" };
_Static_assert(sizeof(method_names) / sizeof(method_names[0]) == HTTP_METHOD_COUNT, "every method has a name");

static const struct {
	int status;
	const char *title;
} titles[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 411, "Length Required" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 416, "Range Not Satisfiable" },
	{ 422, "Unprocessable Content" },
	{ 415, "Unsupported Media Type" },
	{ 421, "Misdirected Request" },
	{ 426, "Upgrade Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
	{ 507, "Insufficient Storage" },
};

static const char *title_of(int status)
{
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "";
}

/* --- answers --- */

void http_response_init(struct http_response *resp)
{
	memset(resp, 0, sizeof(*resp));
	resp->head = BUF_INIT(HEAD_LINES_MAX);
	resp->body = BUF_INIT(HTTP_ANSWER_MAX);
}

void http_response_finish(struct http_response *resp)
{
	buf_finish(&resp->head);
	buf_finish(&resp->body);
	if (resp->from_file)
		resp->file = fd_close(resp->file);
	resp->from_file = false;
	if (resp->later)
		resp->later->drop(resp->later);
	resp->later = NULL;
}

/* Back to an empty answer. */
static void start_over(struct http_response *resp, int status)
{
	struct http_later *later = resp->later; /* who may be writing this very answer */

	resp->later = NULL;
	http_response_finish(resp);
	http_response_init(resp);
	resp->later = later;
	resp->status = status;
}

uint64_t http_body_len(const struct http_response *resp)
{
	if (resp->from_file || resp->from_later)
		return resp->file_len;
	return resp->fixed ? resp->fixed_len : resp->body.len;
}

void http_header(struct http_response *resp, const char *name, const char *fmt, ...)
{
	char value[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	/* A header that does not fit is our own mistake; the answer is good without it. */
	if (buf_printf(&resp->head, "%s: %s\r\n", name, value) < 0)
		log_err("header %s does not fit into an answer", name);
}

static int add_json_bytes(const char *data, size_t len, void *arg)
{
	return buf_add(arg, data, len) < 0 ? -1 : 0;
}

static void put_json(struct http_response *resp, int status, const char *type, json_t *json)
{
	start_over(resp, status);
	if (!json || json_dump_callback(json, add_json_bytes, &resp->body, JSON_COMPACT) < 0) {
		log_err("an answer could not be written: no memory");
		start_over(resp, 503);
	} else {
		resp->type = type;
	}
	json_decref(json);
}

void http_json(struct http_response *resp, int status, json_t *json)
{
	put_json(resp, status, "application/json", json);
}

/* A text that quotes others may be cut inside of a character. What is not UTF-8 becomes '?', for JSON holds nothing else. */
static void keep_utf8(char *text)
{
	json_t *whole = json_string(text);

	for (char *p = text; !whole && *p;) {
		size_t len = 1;
		json_t *one;

		while (len < 4 && ((unsigned char)p[len] & 0xc0) == 0x80)
			len++;
		one = json_stringn(p, len);
		if (one)
			p += len;
		else
			*p++ = '?';
		json_decref(one);
	}
	json_decref(whole);
}

static void put_problem(struct http_response *resp, int status, const char *code, json_t *extra, char *detail)
{
	json_t *json;

	keep_utf8(detail);
	json = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title", title_of(status), "status", status,
				 "code", code, "detail", detail);

	if (json && extra)
		(void)json_object_update(json, extra);
	json_decref(extra);
	put_json(resp, status, "application/problem+json", json);
}

void http_problem(struct http_response *resp, int status, const char *code, const char *detail, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, detail);
	(void)vsnprintf(text, sizeof(text), detail, ap);
	va_end(ap);
	put_problem(resp, status, code, NULL, text);
}

void http_problem_with(struct http_response *resp, int status, const char *code, json_t *extra, const char *detail, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, detail);
	(void)vsnprintf(text, sizeof(text), detail, ap);
	va_end(ap);
	put_problem(resp, status, code, extra, text);
}

void http_failed(struct http_response *resp, const struct err *e)
{
	log_err("%s", e->msg);
	if (e->code == -ENOSPC)
		http_problem(resp, 507, "storage_full", "The server's disk is full; tell its operator.");
	else if (e->code == -ENOMEM || e->code == -EBUSY)
		http_problem(resp, 503, "overloaded", "The server is short of memory or time; try again.");
	else
		http_problem(resp, 500, "internal", "Something failed in the server; its log says what.");
}

/*
 * Scripts, styles and sockets only from here, nothing framed, nothing posted elsewhere. Styles that the terminal makes at run time carry
 * the nonce of the page's own answer.
 */
static int add_policy(const struct http_response *resp, struct buf *out)
{
	bool page = resp->type && strncmp(resp->type, "text/html", 9) == 0;
	int r;

	/* A service worker is held to the policy that came with its script: it may fetch from here, as the page may. */
	if (resp->type && strncmp(resp->type, "text/javascript", 15) == 0)
		return buf_printf(out, "Content-Security-Policy: default-src 'none'; connect-src 'self'; frame-ancestors 'none'\r\n");
	if (!page)
		return buf_printf(out, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
	r = buf_printf(out, "Content-Security-Policy: default-src 'none'; script-src 'self'%s; style-src 'self'",
		       resp->wasm ? " 'wasm-unsafe-eval'" : "");
	if (r == 0 && resp->nonce[0])
		r = buf_printf(out, " 'nonce-%s'", resp->nonce);
	if (r == 0)
		r = buf_printf(out, "; connect-src 'self'; img-src 'self' data:; font-src 'self'; worker-src 'self'; "
				    "manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'\r\n");
	return r;
}

int http_head(const struct http_response *resp, struct buf *out)
{
	bool bodyless = resp->status == 204 || resp->status == 304;
	int r = buf_printf(out, "HTTP/1.1 %d %s\r\n", resp->status, title_of(resp->status));

	if (r == 0 && resp->type && !bodyless)
		r = buf_printf(out, "Content-Type: %s\r\n", resp->type);
	if (r == 0 && !bodyless)
		r = buf_printf(out, "Content-Length: %llu\r\n", (unsigned long long)http_body_len(resp));
	if (r == 0)
		r = buf_printf(out, "Cache-Control: %s\r\n", resp->cache ? resp->cache : "no-store");
	if (r == 0)
		r = add_policy(resp, out);
	if (r == 0)
		r = buf_printf(out, "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
				    "Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n");
	if (r == 0 && resp->https)
		r = buf_printf(out, "Strict-Transport-Security: max-age=31536000\r\n");
	if (r == 0 && resp->head.len > 0)
		r = buf_add(out, resp->head.data, resp->head.len);
	return r == 0 ? buf_printf(out, "Connection: close\r\n\r\n") : r;
}

/* --- reading headers --- */

static bool is_token_end(char c)
{
	return c == '\0' || c == ',' || c == ';' || c == ' ' || c == '\t';
}

bool http_accepts(const char *header, const char *coding)
{
	size_t len = strlen(coding);

	for (const char *p = header; p && *p; p += strcspn(p, ","), p += *p == ',') {
		const char *q;

		p += strspn(p, " \t");
		if (strncasecmp(p, coding, len) != 0 || !is_token_end(p[len]))
			continue;
		q = p + len + strspn(p + len, " \t");
		if (*q != ';')
			return true;
		q += 1 + strspn(q + 1, " \t");
		/* "q=0", "q=0.0", ... refuse it (RFC 9110 §12.4.2). */
		if (strncasecmp(q, "q=0", 3) != 0)
			return true;
		q += 3;
		return q[strspn(q, ".0")] >= '1' && q[strspn(q, ".0")] <= '9';
	}
	return false;
}

bool http_etag_matches(const char *header, const char *etag)
{
	size_t len = strlen(etag);

	for (const char *p = header; p && *p; p += strcspn(p, ","), p += *p == ',') {
		p += strspn(p, " \t");
		if (strncmp(p, "W/", 2) == 0)
			p += 2;
		if ((*p == '*' && is_token_end(p[1])) || (strncmp(p, etag, len) == 0 && is_token_end(p[len])))
			return true;
	}
	return false;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int http_unescape(const char *text, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int high = 0, low = (unsigned char)text[i];

		if (text[i] == '%') {
			high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
			low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
			i += 2;
		}
		if (high < 0 || low < 0 || (high == 0 && low == 0) || n + 1 >= size)
			return -EINVAL;
		out[n++] = (char)(high * 16 + low);
	}
	out[n] = '\0';
	return 0;
}

int http_query(const struct http_request *req, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	for (const char *p = req->query; p && *p; p += strcspn(p, "&"), p += *p == '&') {
		if (strncmp(p, name, len) != 0 || p[len] != '=')
			continue;
		p += len + 1;
		return http_unescape(p, strcspn(p, "&"), out, size);
	}
	return -ENOENT;
}

const char *http_bearer(const struct http_request *req)
{
	static const char scheme[] = "Bearer ";

	if (!req->authorization || strncasecmp(req->authorization, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	return req->authorization + sizeof(scheme) - 1;
}

/* Does a comma-separated header hold exactly @word? */
static bool list_has(const char *header, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = header; p && *p; p += strcspn(p, ","), p += *p == ',') {
		p += strspn(p, " \t");
		if (strncmp(p, word, len) == 0 && (p[len] == '\0' || p[len] == ',' || p[len] == ' ' || p[len] == '\t'))
			return true;
	}
	return false;
}

/* Digits only: "7abc", "+7" and "3, 7" are how two readers of one message come to disagree (RFC 9112 §6.3). */
static int parse_length(const char *text, size_t *out)
{
	size_t digits = strspn(text, "0123456789"), v = 0;

	if (digits == 0 || digits > CONTENT_LENGTH_DIGITS || text[digits])
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		v = v * 10 + (size_t)(text[i] - '0');
	*out = v;
	return 0;
}

/* --- files --- */

/* A number within a range. Return: where it ends. */
static const char *read_position(const char *at, uint64_t *out, bool *given)
{
	size_t digits = strspn(at, "0123456789");

	*given = digits > 0 && digits < 19;
	*out = 0;
	for (size_t i = 0; i < digits && *given; i++)
		*out = *out * 10 + (uint64_t)(at[i] - '0');
	return at + digits;
}

/* "bytes=A-B", "bytes=A-" or "bytes=-N". Return: 0; -EINVAL: not one of these, so the whole is sent; -ERANGE: nothing of it is there. */
static int parse_range(const char *text, uint64_t size, uint64_t *from, uint64_t *len)
{
	uint64_t first, last;
	bool has_first, has_last;
	const char *at;

	if (strncasecmp(text, "bytes=", 6) != 0)
		return -EINVAL;
	at = read_position(text + 6, &first, &has_first);
	if (*at != '-')
		return -EINVAL;
	at = read_position(at + 1, &last, &has_last);
	if (*at || (!has_first && !has_last) || (has_first && has_last && last < first))
		return -EINVAL;
	if (!has_first) {
		first = last < size ? size - last : 0;
		has_last = false;
	}
	if (first >= size)
		return -ERANGE;
	*from = first;
	*len = has_last && last < size - 1 ? last - first + 1 : size - first;
	return 0;
}

/* What of @size bytes is wanted. Return: false after a 416. */
static bool choose_part(struct http_call *call, const char *type, const char *range, uint64_t size)
{
	struct http_response *resp = call->resp;
	uint64_t from = 0, len = size;
	int r = range ? parse_range(range, size, &from, &len) : -EINVAL;

	if (r == -ERANGE) {
		http_problem(resp, 416, "bad_range", "There is nothing in that range.");
		http_header(resp, "Content-Range", "bytes */%llu", (unsigned long long)size);
		return false;
	}
	resp->status = r == 0 ? 206 : 200;
	resp->type = type;
	resp->file_at = from;
	resp->file_len = len;
	http_header(resp, "Accept-Ranges", "bytes");
	if (r == 0)
		http_header(resp, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)from,
			    (unsigned long long)(from + len - 1), (unsigned long long)size);
	return true;
}

void http_file(struct http_call *call, const char *type, int fd, uint64_t size)
{
	if (!choose_part(call, type, call->req->range, size)) {
		(void)fd_close(fd);
		return;
	}
	call->resp->from_file = true;
	call->resp->file = fd;
}

bool http_later_file(struct http_call *call, const char *type, const char *etag, uint64_t size)
{
	const struct http_request *req = call->req;
	struct http_response *resp = call->resp;

	if (req->if_match && !http_etag_matches(req->if_match, etag)) {
		http_problem(resp, 412, "changed", "The file is another one than before.");
		return false;
	}
	if (req->if_none_match && http_etag_matches(req->if_none_match, etag)) {
		resp->status = 304;
		http_header(resp, "ETag", "%s", etag);
		return true;
	}
	/* A part of what has changed since is of no use: all of it is sent (RFC 9110 §13.1.5). */
	if (!choose_part(call, type, req->if_range && strcmp(req->if_range, etag) != 0 ? NULL : req->range, size))
		return false;
	http_header(resp, "ETag", "%s", etag);
	resp->from_later = true;
	return true;
}

/* --- routes --- */

/* What a path has for the holes of a pattern. */
struct holes {
	char id[HTTP_ID_BYTES], name[HTTP_NAME_BYTES];
};

/* One segment of printable ASCII, as addresses have it: no space, no control character, no slash. Return: its length, 0 for none that fits */
static size_t take_segment(const char *path, char *out, size_t size)
{
	size_t len = 0;

	while (path[len] > 0x20 && path[len] < 0x7f && path[len] != '/')
		len++;
	if (len >= size)
		return 0;
	memcpy(out, path, len);
	out[len] = '\0';
	return len;
}

/* Does @path fit @pattern? */
static bool path_fits(const char *pattern, const char *path, struct holes *h)
{
	for (const char *hole; (hole = strchr(pattern, '{'));) {
		bool is_id = strncmp(hole, "{id}", 4) == 0;
		size_t before = (size_t)(hole - pattern), len;

		if (strncmp(pattern, path, before) != 0)
			return false;
		path += before;
		len = is_id ? take_segment(path, h->id, sizeof(h->id)) : take_segment(path, h->name, sizeof(h->name));
		if (len == 0)
			return false;
		path += len;
		pattern = hole + (is_id ? strlen("{id}") : strlen("{name}"));
	}
	return strcmp(pattern, path) == 0;
}

static enum http_method as_routed(enum http_method m)
{
	return m == HTTP_HEAD ? HTTP_GET : m;
}

/* Find the route; @allow gets what the path would take, for a 405. */
static const struct http_route *find_route(const struct http_app *app, const struct http_request *req, struct holes *holes,
					   char *allow, size_t size)
{
	allow[0] = '\0';
	for (const struct http_route *r = app->routes; r->path; r++) {
		if (!path_fits(r->path, req->path, holes))
			continue;
		if (r->method == as_routed(req->method))
			return r;
		(void)snprintf(allow + strlen(allow), size - strlen(allow), "%s%s%s", allow[0] ? ", " : "",
			       method_names[r->method], r->method == HTTP_GET ? ", HEAD" : "");
	}
	return NULL;
}

size_t http_body_max(const struct http_app *app, const struct http_request *req)
{
	struct holes holes;
	char allow[64];
	const struct http_route *route = find_route(app, req, &holes, allow, sizeof(allow));

	return route && route->body_max > HTTP_BODY_MAX ? route->body_max : HTTP_BODY_MAX;
}

static void no_such_route(const struct http_app *app, struct http_call *call, const char *allow)
{
	enum http_method m = call->req->method;

	if (allow[0]) {
		http_problem(call->resp, 405, "method_not_allowed", "This path takes %s.", allow);
		http_header(call->resp, "Allow", "%s", allow);
	} else if ((m != HTTP_GET && m != HTTP_HEAD) || !app->on_other(call)) {
		http_problem(call->resp, 404, "not_found", "There is nothing at this path.");
	}
}

bool http_has_body(enum http_method m)
{
	return m == HTTP_POST || m == HTTP_PUT || m == HTTP_PATCH;
}

/* --- the gate --- */

static int refuse(struct http_response *resp, int status, const char *code, const char *detail)
{
	http_problem(resp, status, code, "%s", detail);
	return status;
}

/* The message's own frame: anything over which two readers could disagree ends the connection. */
static int check_framing(const struct http_app *app, const struct http_request *req, struct http_response *resp)
{
	size_t len = 0;

	if (!req->version || (strcmp(req->version, "HTTP/1.1") != 0 && strcmp(req->version, "HTTP/1.0") != 0))
		return refuse(resp, 505, "http_version", "This server speaks HTTP/1.1.");
	if (req->transfer_encoding)
		return refuse(resp, 400, "transfer_encoding", "Request bodies need Content-Length, not Transfer-Encoding.");
	if (req->content_length && parse_length(req->content_length, &len) < 0)
		return refuse(resp, 400, "content_length", "Content-Length is not a plain number.");
	if (len > 0 && !http_has_body(req->method))
		return refuse(resp, 400, "unexpected_body", "Only POST, PUT and PATCH may have a body.");
	if (http_has_body(req->method) && !req->content_length)
		return refuse(resp, 411, "length_required", "A body needs Content-Length.");
	if (len > http_body_max(app, req))
		return refuse(resp, 413, "too_large", "The body is larger than this path takes.");
	return 0;
}

/* DNS rebinding makes a stranger's name lead here; only our own names are answered. */
static int check_host(const struct http_app *app, const struct http_request *req, struct http_response *resp)
{
	if (req->peer.control) /* no browser reaches a unix socket */
		return 0;
	if (!req->host)
		return refuse(resp, 400, "no_host", "The Host header is missing.");
	if (!name_list_has(app->hosts, req->host))
		return refuse(resp, 421, "wrong_host", "This server does not answer to that host name; its setting 'hosts' lists them.");
	return 0;
}

/* Cookies ride along with what other sites send; Origin and a header that no form can set tell our own page's writes. */
static int check_write(const struct http_app *app, const struct http_request *req, struct http_response *resp)
{
	/* Neither rides along with what another site makes a browser send; and with one of them the cookie does not count. */
	if (req->peer.control || http_bearer(req))
		return 0;
	if (!req->origin || !name_list_has(app->origins, req->origin))
		return refuse(resp, 403, "wrong_origin", "Writes come from this server's own page; its setting 'origins' lists them.");
	if (req->fetch_site && strcmp(req->fetch_site, "same-origin") != 0)
		return refuse(resp, 403, "cross_site", "Writes come from this server's own page.");
	if (!req->marker || strcmp(req->marker, "1") != 0)
		return refuse(resp, 403, "no_marker", "Writes carry the header X-Terrarium: 1.");
	return 0;
}

/* Return: 0, or 403 for somebody who may not use this route. */
static int refuse_who(const struct http_route *route, const struct who *who, struct http_response *resp)
{
	if (who->bearer && !(who->scopes & route->scope))
		return refuse(resp, 403, "wrong_scope", route->scope ? "This token is not for that; its scopes say what it is for." :
								       "No token is for that: sign in on the page.");
	if (who->role < route->role)
		return refuse(resp, 403, "not_allowed", "This is for people with another role than yours.");
	return 0;
}

/* Only those who may use a route may make us hold more than a little for it. */
static int check_large(const struct http_app *app, const struct http_request *req, struct http_response *resp)
{
	struct holes holes;
	char allow[64];
	const struct http_route *route = find_route(app, req, &holes, allow, sizeof(allow));
	struct who who = { 0 };
	size_t len = 0;

	if (!route || parse_length(req->content_length, &len) < 0 || len <= HTTP_BODY_MAX)
		return 0;
	if (app->identify(app->app, req, &who, NULL) != 0)
		return refuse(resp, 401, "login_needed", "Sign in first.");
	return refuse_who(route, &who, resp);
}

static bool is_type(const char *type, const char *wanted)
{
	return type && strncasecmp(type, wanted, strlen(wanted)) == 0 && is_token_end(type[strlen(wanted)]);
}

/* Neither type is one that a form of another site could send. */
static int check_type(const struct http_app *app, const struct http_request *req, struct http_response *resp)
{
	struct holes holes;
	char allow[64];
	const struct http_route *route = find_route(app, req, &holes, allow, sizeof(allow));

	if (route && (route->flags & HTTP_BYTES))
		return is_type(req->content_type, "application/octet-stream") ? 0 :
										refuse(resp, 415, "bytes_only", "Bodies here are application/octet-stream.");
	return is_type(req->content_type, "application/json") ? 0 : refuse(resp, 415, "json_only", "Bodies are application/json.");
}

int http_gate(const struct http_app *app, const struct http_request *req, struct http_response *resp)
{
	struct holes holes;
	char allow[64];
	int status = check_framing(app, req, resp);

	if (status == 0)
		status = check_host(app, req, resp);
	if (status == 0 && req->method == HTTP_OTHER) {
		struct http_call call = { .app = app->app, .req = req, .resp = resp };

		(void)find_route(app, req, &holes, allow, sizeof(allow));
		no_such_route(app, &call, allow[0] ? allow : "GET, HEAD");
		return resp->status;
	}
	if (status == 0 && (http_has_body(req->method) || req->method == HTTP_DELETE))
		status = check_write(app, req, resp);
	if (status == 0 && http_has_body(req->method) && strspn(req->content_length, "0") != strlen(req->content_length))
		status = check_type(app, req, resp);
	if (status == 0 && req->content_length)
		status = check_large(app, req, resp);
	return status;
}

int http_upgrade(const struct http_app *app, const struct http_request *req, struct http_response *resp, struct who *who)
{
	struct err e = { 0 };
	int r, status = check_framing(app, req, resp);

	if (status == 0)
		status = check_host(app, req, resp);
	if (status)
		return status;
	if (req->method != HTTP_GET || strcmp(req->path, "/api/v1/attach") != 0)
		return refuse(resp, 400, "no_websocket", "Websockets are opened by GET /api/v1/attach.");
	if (!req->ws_version || strcmp(req->ws_version, "13") != 0)
		return refuse(resp, 426, "ws_version", "Sec-WebSocket-Version must be 13.");
	if (!list_has(req->ws_protocols, WS_SUBPROTOCOL))
		return refuse(resp, 400, "ws_protocol", "Sec-WebSocket-Protocol must offer " WS_SUBPROTOCOL ".");
	/* No page can make a browser send a token of its own choice along with a websocket. */
	if (!http_bearer(req) && (!req->origin || !name_list_has(app->origins, req->origin)))
		return refuse(resp, 403, "wrong_origin", "Websockets come from this server's own page.");
	r = app->identify(app->app, req, who, &e);
	if (r == 0 && who->bearer && !(who->scopes & SCOPE_VM))
		return refuse(resp, 403, "wrong_scope", "This token is not for terminals; its scopes say what it is for.");
	if (r > 0 && app->guests && !http_bearer(req)) {
		*who = (struct who){ .email = HTTP_GUEST, .expires_at = INT64_MAX };
		return 0;
	}
	if (r == 0)
		return 0;
	if (r < 0)
		http_failed(resp, &e);
	else
		http_problem(resp, 401, "login_needed", "Sign in first.");
	return resp->status;
}

/* --- answering --- */

static bool identify(const struct http_app *app, struct http_call *call)
{
	struct err e = { 0 };
	int r = app->identify(app->app, call->req, &call->who, &e);

	if (r < 0)
		http_failed(call->resp, &e);
	else if (r > 0)
		app->on_nobody(call);
	return r == 0;
}

/* The body as an object; duplicates, depth and trailing bytes are refused by the parser. */
static json_t *read_json(struct http_call *call)
{
	const struct http_request *req = call->req;
	json_error_t error;
	json_t *json;

	if (req->body_len == 0)
		return json_object();
	json = json_loadb(req->body, req->body_len, JSON_REJECT_DUPLICATES, &error);
	if (json && !json_is_object(json)) {
		json_decref(json);
		json = NULL;
		(void)snprintf(error.text, sizeof(error.text), "not an object");
		error.line = 1;
	}
	if (!json)
		http_problem(call->resp, 400, "bad_json", "The body is not a JSON object: line %d: %s.", error.line, error.text);
	return json;
}

void http_answer(const struct http_app *app, const struct http_request *req, struct http_response *resp)
{
	struct http_call call = { .app = app->app, .req = req, .resp = resp };
	struct holes holes = { .id = "" };
	char allow[64];
	const struct http_route *route = find_route(app, req, &holes, allow, sizeof(allow));

	memcpy(call.id, holes.id, sizeof(call.id));
	memcpy(call.name, holes.name, sizeof(call.name));
	if (!route) {
		no_such_route(app, &call, allow);
		return;
	}
	if ((route->flags & HTTP_SIGNED_IN) && !identify(app, &call))
		return;
	if ((route->flags & HTTP_SIGNED_IN) && refuse_who(route, &call.who, resp))
		return;
	if (http_has_body(req->method) && !(route->flags & HTTP_BYTES)) {
		call.json = read_json(&call);
		if (!call.json) {
			if (!resp->status)
				http_problem(resp, 503, "overloaded", "The server is short of memory; try again.");
			return;
		}
	}
	route->run(&call);
	json_decref(call.json);
}
