/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_LISTEN_H
#define GATEWAY_LISTEN_H

#include "gateway/peer.h"

struct err;
struct listeners;
struct loop;
struct metrics;
struct settings;

/*
 * Listening sockets and who may come in: our own accept, so that limits hold before anything is allocated for a connection. Sockets come
 * from systemd (sd_listen_fds(3)) or from the settings.
 */

/** listeners_create() - take or bind the sockets; accepting begins by listeners_start(). Borrowed: loop, settings, metrics */
int listeners_create(struct listeners **out, struct loop *loop, const struct settings *s, struct metrics *m, struct err *e);
struct listeners *listeners_destroy(struct listeners *l);

/** listeners_add_control() - also listen on settings.control_socket, for root and our own uid. Return: 0, or negative with @e */
int listeners_add_control(struct listeners *l, struct err *e);

/**
 * listeners_start() - accept
 * @on_accept: consumes @fd (non-blocking, close-on-exec); true when the connection lives on: then listeners_closed() must follow
 */
void listeners_start(struct listeners *l, bool (*on_accept)(void *arg, int fd, const struct peer *p), void *arg);

/** listeners_stop() - accept no more; the sockets close */
void listeners_stop(struct listeners *l);

/** listeners_closed() - an accepted connection of @p is gone */
void listeners_closed(struct listeners *l, const struct peer *p);

#endif
