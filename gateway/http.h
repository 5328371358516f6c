/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "auth/auth.h"
#include "base/buf.h"
#include "gateway/peer.h"

struct err;
struct name_list;

/*
 * HTTP without a transport: what a request must look like before anybody else sees it, which handler it goes to, and what every
 * answer carries. Works on plain structs; gateway/server.c fills and sends them. A connection carries one request: see there.
 */
#define HTTP_BODY_MAX	  65536	   /* bytes of a request body */
#define HTTP_ID_BYTES	  320	   /* of the {id} in a path: an e-mail pattern is the longest */
#define HTTP_NAME_BYTES	  65	   /* of the {name} in a path */
#define HTTP_ANSWER_MAX	  524288   /* bytes of an answer's own body */
#define HTTP_HEAD_MAX	  4096	   /* bytes of an answer's head */
#define HTTP_NONCE_BYTES  33
#define HTTP_EXTRA_MAX	  16	   /* headers that the application asks for by name */
#define HTTP_GUEST "guest" /* in place of the e-mail of somebody without an account */
#define WS_SUBPROTOCOL	  "terrarium.v1"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OTHER, HTTP_METHOD_COUNT };

/**
 * struct http_request - a request as it came; strings are borrowed, NULL when the header is absent
 * @version: "HTTP/1.1"
 * @path:    decoded and without dot segments; @query: "" without one
 * @marker:  X-Terrarium
 * @proxy_authorization: Authorization where a proxy writes it: see http_app
 * @extra:   values of http_app's @extra_names, in that order
 */
struct http_request {
	enum http_method method;
	const char *version, *path, *query;
	const char *host, *origin, *cookie, *content_type, *content_length, *transfer_encoding, *accept_encoding, *if_none_match, *range, *if_range;
	const char *fetch_site, *marker, *idempotency_key, *if_match, *authorization, *proxy_authorization;
	const char *extra[HTTP_EXTRA_MAX];
	const char *ws_version, *ws_protocols;
	struct peer peer;
	const char *body;
	size_t body_len;
};

/**
 * struct http_later - an answer that is not there yet, or whose body comes bit by bit; a member of what makes it
 * @read: copy up to @len bytes of the body, from @at on; what is before @at is never asked for again. Return: bytes; 0: none yet, wake() follows;
 *        negative: nothing more comes, the connection ends
 * @drop: nobody waits any more; from then on neither request nor response may be touched
 * @wake: the server's, NULL while the handler runs: the response is filled, or there is more of the body
 */
struct http_later {
	ssize_t (*read)(struct http_later *l, uint64_t at, uint8_t *out, size_t len);
	void (*drop)(struct http_later *l);
	void (*wake)(void *arg);
	void *arg;
};

/**
 * struct http_response - an answer; begins zeroed by http_response_init(), ends by http_response_finish()
 * @type:  content type; NULL without a body
 * @head:  further header lines, each ended by CR LF
 * @body:  owned; or else @fixed, borrowed for the life of the process; or else, @from_file, @file_len bytes from @file_at on of
 *         @file, owned, which are read as the client takes them; or else, @from_later, @file_len bytes of @later from @file_at on
 * @later: who makes the answer, dropped by http_response_finish(); with a @status of 0 it is waited for
 * @wasm:  the page may compile WebAssembly
 * @https: a browser is to come by https only (RFC 6797)
 * @nonce: of styles, for the page; "" otherwise
 */
struct http_response {
	int status;
	const char *type, *cache;
	struct buf head, body;
	const uint8_t *fixed;
	size_t fixed_len;
	int file;
	uint64_t file_at, file_len;
	bool from_file, from_later, wasm, https;
	struct http_later *later;
	char nonce[HTTP_NONCE_BYTES];
};

/**
 * struct http_call - a request on its way through a handler
 * @id, @name: what stood for {id} and {name} in the path
 * @who:  of routes with HTTP_SIGNED_IN
 * @json: the body, an object; an empty body is an empty object. Borrowed
 */
struct http_call {
	void *app;
	const struct http_request *req;
	struct http_response *resp;
	char id[HTTP_ID_BYTES], name[HTTP_NAME_BYTES];
	struct who who;
	json_t *json;
};

/* HTTP_BYTES: the body is application/octet-stream, not JSON */
enum { HTTP_SIGNED_IN = 1, HTTP_BYTES = 2 };

struct http_route {
	enum http_method method;
	const char *path; /* may hold one {id} segment, and {name} as its last */
	unsigned flags;
	void (*run)(struct http_call *call);
	enum role role;	 /* at least, for HTTP_SIGNED_IN */
	unsigned scope;	 /* SCOPE_* of which a bearer token must have one; 0: no token will do, it takes a session */
	size_t body_max; /* 0 = HTTP_BODY_MAX; more only for HTTP_SIGNED_IN, who are looked at before the body */
};

/**
 * struct http_app - what answers are made from; lives as long as the server
 * @routes:   ends with a route without a path; HEAD is answered by the GET route
 * @hosts, @origins: exact values that are let in
 * @identify: who is behind a request: 0, positive for nobody, negative with the reason
 * @extra_names: headers to copy, in lower case and ended by a colon; NULL-terminated
 * @proxy_authorization: the header Authorization is written by a proxy into every request, so it says nothing about who made one and excuses
 *            from nothing
 * @on_nobody: fills the 401
 * @guests: a page may open a websocket with nobody signed in; what it may then do, its ticket says
 * @on_other: a GET or HEAD that no route has; true when it was answered
 */
struct http_app {
	const struct http_route *routes;
	const struct name_list *hosts, *origins;
	const char *extra_names[HTTP_EXTRA_MAX + 1];
	bool proxy_authorization;
	int (*identify)(void *app, const struct http_request *req, struct who *who, struct err *e);
	void (*on_nobody)(struct http_call *call);
	bool guests;
	bool (*on_other)(struct http_call *call);
	void *app;
};

void http_response_init(struct http_response *resp);
void http_response_finish(struct http_response *resp);

/**
 * http_gate() - may this request be read on? Before its body, before every route
 *
 * Return: 0; or the status of a refusal, with @resp filled.
 */
int http_gate(const struct http_app *app, const struct http_request *req, struct http_response *resp);

/** http_body_max() - bytes that the body of this request may have, by its route */
size_t http_body_max(const struct http_app *app, const struct http_request *req);

/** http_answer() - find the route and fill @resp; for requests that passed the gate, with their whole body */
void http_answer(const struct http_app *app, const struct http_request *req, struct http_response *resp);

/** http_upgrade() - may this websocket be opened, and whose is it? Return: 0 with @who (a guest: no person), or the status of a refusal as http_gate() */
int http_upgrade(const struct http_app *app, const struct http_request *req, struct http_response *resp, struct who *who);

/** http_head() - write status line and headers of an answer. Return: 0, -ENOMEM or -ENOSPC */
int http_head(const struct http_response *resp, struct buf *out);

/** http_has_body() - does a request with this method carry one? */
bool http_has_body(enum http_method m);

/**
 * http_file() - answer with a file, or with the part that a Range asks for (one range; several are answered by the whole)
 * @fd:   consumed
 * @size: bytes of it
 */
void http_file(struct http_call *call, const char *type, int fd, uint64_t size);

/** http_later_file() - the same with resp->later as the file. Return: true unless it was refused; the body may have fewer bytes than the file, or none */
bool http_later_file(struct http_call *call, const char *type, const char *etag, uint64_t size);

/** http_body_len() - bytes of the body, owned, fixed or of a file */
uint64_t http_body_len(const struct http_response *resp);

/** http_problem() - RFC 9457 answer; a former content of @resp is dropped. @code: for programs, @detail: for people */
void http_problem(struct http_response *resp, int status, const char *code, const char *detail, ...)
	__attribute__((format(printf, 4, 5)));

/** http_problem_with() - the same with further members; consumes @extra, which may be NULL */
void http_problem_with(struct http_response *resp, int status, const char *code, json_t *extra, const char *detail, ...)
	__attribute__((format(printf, 5, 6)));

/** http_failed() - something failed that is not the client's fault: logged here, told as 507, 503 or 500 */
void http_failed(struct http_response *resp, const struct err *e);

/** http_json() - answer with JSON; consumes @json, NULL means no memory */
void http_json(struct http_response *resp, int status, json_t *json);

/** http_header() - add a header line; values are ours, never the client's */
void http_header(struct http_response *resp, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** http_accepts() - does an Accept-Encoding header (may be NULL) take @coding? */
bool http_accepts(const char *header, const char *coding);

/** http_etag_matches() - does an If-None-Match header (may be NULL) hold @etag? (RFC 9110 §13.1.2) */
bool http_etag_matches(const char *header, const char *etag);

/** http_query() - value of @name in the query, percent-decoded. Return: 0 with @out; -ENOENT without it; -EINVAL when it does not fit */
int http_query(const struct http_request *req, const char *name, char *out, size_t size);

/** http_unescape() - decode %XX. Return: 0, or -EINVAL: cut short, a NUL, or it does not fit */
int http_unescape(const char *text, size_t len, char *out, size_t size);

/**
 * http_bearer() - the token of "Authorization: Bearer", NULL without one
 *
 * With a token the cookie does not count, and the checks against other sites' pages do not run: no page can make a browser send one. Any
 * other scheme, such as the Basic that a browser repeats by itself, is as no header at all.
 */
const char *http_bearer(const struct http_request *req);

#endif
