/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_CALLER_H
#define NETSETUP_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "netsetup/request.h"

struct err;
struct loop;
struct caller;

/*
 * The one gateway that is connected: who it is, whether it greeted, frames in, frames out. Nothing here blocks
 * or grows: while an answer does not fit into the socket no further request is read, and what the helper says
 * unasked is fetched by next_notice() when there is room.
 */

/** struct caller_frame - something to send; the FDs stay the owner's */
struct caller_frame {
	union {
		struct netd_head head;
		struct netd_error error;
		struct netd_hello_reply hello;
		struct netd_net_alloc_reply alloc;
		struct netd_vm_spawn_reply spawn;
		struct netd_list_reply list;
		struct netd_adopt_reply adopt;
		struct netd_card_reply card;
		struct netd_exited exited;
	};
	int fds[NETD_FDS_MAX];
	size_t nfds;
};

/* @arg is that of caller_listen(). */
struct caller_hooks {
	/*
	 * A request that request_check() found right; answered by caller_send() now or by a notice later. @fds: the files of a VM_SPAWN,
	 * of which the callee takes what it keeps (sets -1).
	 */
	void (*on_request)(void *arg, union netd_request *rq, int *fds);
	/*
	 * Fill @out with what there is to say. Return: false if nothing. What it gives is said once; without a
	 * connection it is lost.
	 */
	bool (*next_notice)(void *arg, struct caller_frame *out);
};

/**
 * caller_listen() - accept connections on @path, one at a time, of @uid only
 *
 * Return: 0, or negative with @e.
 */
int caller_listen(struct caller **out, struct loop *loop, const char *path, uid_t uid,
		  const struct request_limits *lim, const struct caller_hooks *hooks, void *arg, struct err *e);

/**
 * caller_send() - send an answer; at most one may wait for room at a time, which requests being held back
 * guarantees
 */
void caller_send(struct caller *c, const struct caller_frame *f);

/** caller_refuse() - answer request @head with @e */
void caller_refuse(struct caller *c, const struct netd_head *head, const struct err *e);

/** caller_notice() - next_notice() has something now */
void caller_notice(struct caller *c);

/** caller_number() - number of the present connection, never 0 twice the same; 0 when there is none */
uint64_t caller_number(const struct caller *c);

/** caller_close() - hang up, stop listening, remove the socket; safe on NULL. Returns NULL */
struct caller *caller_close(struct caller *c);

#endif
