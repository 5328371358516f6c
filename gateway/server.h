/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SERVER_H
#define GATEWAY_SERVER_H

#include <stdbool.h>

struct attach_hub;
struct err;
struct http_app;
struct listeners;
struct loop;
struct metrics;
struct peer;
struct server;

/*
 * The transport: HTTP/1.1 and websockets over libwebsockets, on our loop. Decodes callbacks and calls http.h and attach.h; the only
 * file that includes libwebsockets.
 */

/**
 * struct server_config - everything borrowed, lives as long as the server
 * @on_accept: NULL, or gets the connections; server_adopt() takes those that are for the server. @arg: for it
 * @max_connections: sizes the library's tables; the limit itself is listeners'
 * @https: people come by https: browsers are told to keep to it
 */
struct server_config {
	struct loop *loop;
	struct listeners *listeners;
	const struct http_app *app;
	struct attach_hub *hub;
	struct metrics *metrics;
	unsigned max_connections;
	bool (*on_accept)(void *arg, int fd, const struct peer *p);
	void *arg;
	bool https;
};

/** server_create() - serve what @c->listeners accept. Return: 0, or negative with @e */
int server_create(struct server **out, const struct server_config *c, struct err *e);

/** server_adopt() - serve a connection; consumes @fd. @arg: the server. Return: true: listeners_closed() follows */
bool server_adopt(void *arg, int fd, const struct peer *p);

/**
 * server_drain() - accept no more and end every connection; at most a second
 *
 * Websockets must have been told before (attach_hub_restart()). Runs the loop meanwhile.
 */
void server_drain(struct server *s);

/** server_destroy() - close what is still open; attach_closed() is called for every attachment. Returns NULL */
struct server *server_destroy(struct server *s);

#endif
