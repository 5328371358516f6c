/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_REST_H
#define GATEWAY_CTL_REST_H

#include <jansson.h>

struct buf;
struct err;

/*
 * The gateway's REST interface over its control socket, where the caller is known by uid: root and the gateway's own user are administrators. The
 * socket is --socket, TERRARIUM_CONTROL_SOCKET, or REST_SOCKET.
 */
#define REST_SOCKET    "/var/lib/terrarium/control.sock"
#define REST_PATH_BYTES 2048

/**
 * struct rest_request - one request
 * @socket: NULL for the environment's or the default
 * @path:   with its query, escaped
 * @body:   borrowed; NULL for none
 * @match:  value of If-Match or NULL
 */
struct rest_request {
	const char *socket, *method, *path, *match;
	const json_t *body;
};

/**
 * rest_call() - send and wait, a minute at most
 * @answer: new reference; NULL for an answer without a body
 *
 * Return: 0; or negative with @e, whose message is the `detail` of the problem that came back.
 */
int rest_call(const struct rest_request *req, json_t **answer, struct err *e);

/** rest_text() - the same for answers that are not JSON; appended to @out */
int rest_text(const struct rest_request *req, struct buf *out, struct err *e);

/** rest_path() - put a path together: `prefix`, the escaped @id (NULL for none), `suffix`. Return: 0, or -ENOSPC with @e */
int rest_path(char out[REST_PATH_BYTES], const char *prefix, const char *id, const char *suffix, struct err *e);

/** rest_query() - append "&name=value" (or "?") with the value escaped; NULL and "" are left out. Return: 0, or -ENOSPC with @e */
int rest_query(char path[REST_PATH_BYTES], const char *name, const char *value, struct err *e);

#endif
