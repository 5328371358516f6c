/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_PREVIEW_HEAD_H
#define GATEWAY_PREVIEW_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/*
 * Heads of HTTP/1.1 messages that pass between a browser and a program in a guest (gateway/preview.h): taken apart strictly, and written anew. Pure.
 * What is not understood by the letter is refused, so that nobody behind understands it otherwise.
 */
#define HEAD_BYTES_MAX	16384U
#define HEAD_FIELDS_MAX 100U

struct head_text {
	const char *at;
	size_t len;
};

struct head_field {
	struct head_text name, value;
};

/** struct head - texts lie in the bytes it was read from. @bytes: of the whole head */
struct head {
	struct head_text line;
	struct head_field fields[HEAD_FIELDS_MAX];
	size_t count, bytes;
};

/** head_parse() - Return: 1; 0 when more has to come; -EPROTO for what is no head, or too large */
int head_parse(struct head *h, const char *data, size_t len);

/** head_find() - the value of a header that comes at most once. Return: 0; -ENOENT; -EPROTO when there are two */
int head_find(const struct head *h, const char *name, struct head_text *out);

/** struct head_request - @body: bytes that follow; UINT64_MAX: chunks, as many as there are */
struct head_request {
	struct head_text method, target, host;
	uint64_t body;
	bool websocket;
};

/** head_request() - what a request asks for, HTTP/1.1 only. Return: 0, or -EPROTO */
int head_request(const struct head *h, struct head_request *out);

/** head_cookie() - a cookie of a request, which must be there once. Return: 0, -ENOENT, or -EINVAL: several, or longer than @size holds */
int head_cookie(const struct head *h, const char *name, char *out, size_t size);

/** head_is() - is this text that, whatever its case? */
bool head_is(struct head_text t, const char *other);

/**
 * struct head_way - what the other end is told
 * @proto: "http" or "https"; @from: the browser's address; @cookies: names that are not passed on, NULL-terminated; @drop: headers likewise
 */
struct head_way {
	const char *proto, *from;
	const char *const *cookies, *const *drop;
};

/** head_forward() - write a request for the program: one, and then the connection ends. Return: 0 or -ENOSPC */
int head_forward(const struct head *h, const struct head_request *r, const struct head_way *way, struct buf *out);

/**
 * head_answer() - write an answer for the browser. Cookies stay the host's own: without Domain, and none of @way's names
 * @status: of it; 1xx other than 101 are not written, the next head follows
 *
 * Return: 0, -ENOSPC, or -EPROTO: it is no answer.
 */
int head_answer(const struct head *h, const struct head_way *way, unsigned *status, struct buf *out);

/** struct preview_place - where a host name leads. @machine: its id, or its name */
struct preview_place {
	char machine[64];
	uint16_t port;
};

/** preview_place() - read "MACHINE-PORT.DOMAIN", as in Host. Return: 0; -ENOENT: not of that domain; -EINVAL: of it, and no place */
int preview_place(struct head_text host, const char *domain, struct preview_place *out);

#endif
