/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HTTPC_H
#define BASE_HTTPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct httpc;
struct httpc_call;

/*
 * Outgoing HTTP, for identity services and VMM sockets, and outgoing mail. The only file that includes libcurl.
 *
 * libcurl runs in a thread of its own, for its resolver can hold a loop up for 9 s (curl issue 8515); the loop sends it requests and gets answers
 * back as callbacks. The loop also owns each deadline: when it passes, the caller hears -ETIMEDOUT at once and an answer that comes later
 * is dropped. One instance serves one kind of peer, so that a silent name server of one cannot hold up the other.
 */
#define HTTPC_HEADERS_MAX 8
#define HTTPC_CALLS_MAX	  64 /* under way in one instance */

/**
 * struct httpc_request - all strings are copied by httpc_start()
 * @method:      "GET", "POST", "PUT"
 * @url:         https, unless @allow_http or @unix_path
 * @unix_path:   AF_UNIX socket to connect to; NULL = by the URL
 * @headers:     "Name: value"; @nheaders of them
 * @body:        NULL for none
 * @secret_user, @secret_password: HTTP Basic; NULL for none
 * @ca_file:     PEM of the authorities to trust; NULL = the system's
 * @limit_bytes: an answer larger than this is an error
 * @deadline_ms: from now to the last byte of the answer
 */
struct httpc_request {
	const char *method, *url, *unix_path;
	const char *headers[HTTPC_HEADERS_MAX];
	size_t nheaders;
	const char *body;
	size_t body_len;
	const char *secret_user, *secret_password, *ca_file;
	size_t limit_bytes;
	uint32_t deadline_ms;
	bool allow_http;
};

/**
 * struct httpc_answer - lives during the callback only
 * @error:  0, or negative errno: -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH (name), -EPROTO (TLS, HTTP), -EFBIG, -EIO (it broke off)
 * @why:    in words, without secrets; empty on success
 * @status: HTTP status
 * @cache_s: max-age of Cache-Control in seconds; -1 without one
 * @body:   NUL-terminated; @len without it
 */
struct httpc_answer {
	int error;
	const char *why;
	long status, cache_s;
	const char *body;
	size_t len;
};

/* Runs once on the loop, unless the call was cancelled. The call is gone afterwards. */
typedef void httpc_done(void *arg, const struct httpc_answer *a);

/** httpc_create() - start the thread. Return: 0 or negative with @e */
int httpc_create(struct httpc **out, struct loop *loop, struct err *e);

/** httpc_destroy() - cancel everything, end the thread (it may take a second: a name look-up cannot be interrupted). Returns NULL */
struct httpc *httpc_destroy(struct httpc *h);

/**
 * httpc_start() - send a request
 *
 * Return: the call, borrowed: valid until @done or httpc_cancel(); NULL with @e when too many are under way or memory is short.
 */
struct httpc_call *httpc_start(struct httpc *h, const struct httpc_request *req, httpc_done *done, void *arg, struct err *e);

/**
 * struct httpc_mail - a message to hand to a mail server by SMTP; all strings are copied by httpc_mail()
 * @url:  smtp://host:port (with STARTTLS, unless @allow_plain) or smtps://host:port
 * @from, @to: bare addresses of the envelope
 * @secret_user, @secret_password: NULL for none
 * @message: RFC 5322, lines ended by CR LF
 */
struct httpc_mail {
	const char *url, *from, *to, *secret_user, *secret_password, *ca_file, *message;
	uint32_t deadline_ms;
	bool allow_plain;
};

/** httpc_mail() - hand a message over; as httpc_start(). The answer's status is the server's last reply, such as 250 or 550 */
struct httpc_call *httpc_mail(struct httpc *h, const struct httpc_mail *m, httpc_done *done, void *arg, struct err *e);

/** httpc_cancel() - forget a call: @done does not run. Returns NULL; NULL is fine */
struct httpc_call *httpc_cancel(struct httpc_call *call);

/** httpc_escape() - percent-encode a value for a URL or form body (RFC 3986 unreserved stays). Return: 0, or -ENOSPC */
int httpc_escape(const char *text, char *out, size_t size);

#endif
