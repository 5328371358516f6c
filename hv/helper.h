/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_HELPER_H
#define HV_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netsetup/proto.h"

struct err;
struct helper;
struct helper_call;
struct loop;
struct spawn_plan;

/*
 * Client of terrarium-netd: connects, says HELLO, connects again when the helper goes away, and turns requests into answers.
 * Every request is answered exactly once: by the helper, or with -ENOTCONN when the connection ends or the answer is overdue
 * (an overdue answer ends the connection: what it would have said is found out by LIST).
 */

/**
 * struct helper_result - the answer to a request; lives during the callback
 * @status: 0; the helper's refusal; -ENOTCONN when there is no connection or it ended meanwhile
 * @reason: in words, when @status is not 0
 * @info:   slot of NET_ALLOC, VM_SPAWN, ADOPT
 * @list:   of LIST
 * @card:   of CARD_ADD
 * @fds:    nfds of them; the callee takes out what it keeps (sets -1)
 */
struct helper_result {
	int status;
	const char *reason;
	const struct netd_slot_info *info;
	const struct netd_list_reply *list;
	const struct netd_card_info *card;
	int *fds;
	size_t nfds;
};

/**
 * struct helper_call - a request under way; embedded in its requester, zeroed = none
 * @done: never called before the request function has returned
 */
struct helper_call {
	struct helper_call *next; /* borrowed: the queue */
	void (*done)(struct helper_call *c, const struct helper_result *r);
	void *frame; /* owned: while not yet sent */
	size_t frame_len;
	int files[NETD_FILES_MAX]; /* owned: the first nfiles, while not yet sent */
	size_t nfiles;
	uint64_t due_ms;
	uint32_t seq;
	uint16_t op;
	bool pending;
};

struct helper_hooks {
	/* HELLO was answered. */
	void (*on_up)(void *arg, const struct netd_hello_reply *hello);
	/* The connection has ended, or could not be made (once per reason). Pending calls were answered before. */
	void (*on_down)(void *arg, const char *why);
	/* A process has ended. */
	void (*on_exited)(void *arg, const struct netd_slot_info *info);
};

/**
 * struct helper_config
 * @socket: borrowed; @call_ms: for an answer; @retry_ms: first pause before connecting again
 */
struct helper_config {
	const char *socket;
	uint64_t call_ms, retry_ms;
};

/** helper_create() - connects in the next turn of the loop. Return: 0 or -ENOMEM. @hooks is borrowed */
int helper_create(struct helper **out, struct loop *loop, const struct helper_config *c, const struct helper_hooks *hooks, void *arg);

/** helper_destroy() - pending calls are answered with -ENOTCONN; no hook is called. Returns NULL; NULL is fine */
struct helper *helper_destroy(struct helper *h);

/** helper_up() - true from on_up to on_down */
bool helper_up(const struct helper *h);

/** helper_reconnect() - the helper answers nonsense: end the connection and try anew after a pause */
void helper_reconnect(struct helper *h, const char *why);

/* Requests; @c must not be pending. @c->done follows, without a connection too. */
void helper_net_alloc(struct helper *h, struct helper_call *c, const uint8_t vm_id[16], enum netd_net net);
void helper_net_free(struct helper *h, struct helper_call *c, uint32_t slot);
/** helper_spawn() - the plan's files stay the caller's */
void helper_spawn(struct helper *h, struct helper_call *c, uint32_t slot, uint16_t binary, const struct spawn_plan *plan);
void helper_kill(struct helper *h, struct helper_call *c, uint32_t slot, enum netd_kill how);
void helper_list(struct helper *h, struct helper_call *c, uint32_t from_slot);
void helper_adopt(struct helper *h, struct helper_call *c, uint32_t slot, const uint8_t vm_id[16]);
/** helper_connect() - the result's one FD leads to the process's own socket */
void helper_connect(struct helper *h, struct helper_call *c, uint32_t slot);

/** helper_memory() - the result's one FD is the kernel's count of what runs in @slot, to be read (netsetup/proto.h) */
void helper_memory(struct helper *h, struct helper_call *c, uint32_t slot);

/** helper_limits() - other limits for what runs in @slot; 0 leaves one as it is */
void helper_limits(struct helper *h, struct helper_call *c, uint32_t slot, uint64_t memory_max, uint32_t cpu_percent);

/** helper_card() - a network card more, and the result's one FD is its TAP; or one less. @card: from 1 to NETD_CARDS_MAX */
void helper_card(struct helper *h, struct helper_call *c, uint32_t slot, unsigned card, bool add);

/** helper_cancel() - forget a call: its answer is dropped when it comes. Fine when it is not pending */
void helper_cancel(struct helper *h, struct helper_call *c);

#endif
