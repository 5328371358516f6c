/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_WS_H
#define GATEWAY_CTL_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct login;
struct loop;
struct ws;

/* A websocket to the gateway; the only file of this program that knows libwebsockets. One message in each direction is whole. */

#define WS_MESSAGE_MAX (80U << 10)
#define WS_QUEUE_MAX   (256U << 10)

struct ws_hooks {
	void (*on_open)(void *arg);
	void (*on_message)(void *arg, const uint8_t *data, size_t len);
	/* Once, for good; nothing else follows. @code: of the close frame, 0 when there was none. May call ws_destroy() only later, from the loop. */
	void (*on_close)(void *arg, uint16_t code, const char *why);
};

/**
 * ws_open() - connect to /api/v1/attach
 * @unix_path: the control socket, or NULL: then @login's server with its token
 * @hooks, @arg: borrowed while the ws lives
 *
 * Return: 0 or negative with @e.
 */
int ws_open(struct ws **out, struct loop *loop, const char *unix_path, const struct login *login, const struct ws_hooks *hooks, void *arg,
	    struct err *e);

/** ws_send() - queue one message. Return: 0, -ENOTCONN, -ENOSPC */
int ws_send(struct ws *w, const void *data, size_t len);

/** ws_room() - may more be queued, so that the queue stays short? */
bool ws_room(const struct ws *w);

/** ws_destroy() - hang up; no hook is called. Return: NULL */
struct ws *ws_destroy(struct ws *w);

#endif
