/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_REST_H
#define GATEWAY_CTL_REST_H

#include <jansson.h>
#include <stdbool.h>

struct buf;
struct err;
struct login;

/*
 * The gateway's REST interface. Over its control socket the caller is known by uid: root and the gateway's own user are administrators. The socket is
 * --socket or TERRARIUM_CONTROL_SOCKET. Without either, whoever is logged in (gateway/ctl/login.h) speaks https to that server with the
 * token; else it is REST_SOCKET.
 */
#define REST_SOCKET    "/var/lib/terrarium/control.sock"
#define REST_PATH_BYTES 2048

/**
 * struct rest_request - one request
 * @socket: NULL for the environment's or the default
 * @login:  this server, without a look at sockets; without a token it is asked as a page would. NULL otherwise
 * @path:   with its query, escaped
 * @body:   borrowed; NULL for none
 * @bytes:  the same for a body that is not JSON, @bytes_len of them
 * @match:  value of If-Match or NULL; @range: of Range or NULL
 * @problem: gets what came with a refusal (new reference) or NULL; may be NULL
 */
struct rest_request {
	const char *socket, *method, *path, *match, *range;
	const struct login *login;
	const json_t *body;
	const void *bytes;
	size_t bytes_len;
	json_t **problem;
};

/** rest_by_socket() - would a request go over the control socket? @socket: as in struct rest_request */
bool rest_by_socket(const char *socket);

/** rest_socket_path() - which socket that is */
const char *rest_socket_path(const char *socket);

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
