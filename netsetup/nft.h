/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_NFT_H
#define NETSETUP_NFT_H

#include <stddef.h>
#include <stdint.h>

#include "netsetup/plan.h"
#include "netsetup/proto.h"

struct buf;
struct err;
struct nft;

/*
 * One table, `inet terrarium`: base chains that are the same for all, and one chain per slot. With plan.inner4 also what inner.h adds for
 * each slot, in the same transactions.
 */

#define NFT_DENY_MAX 32

/**
 * struct nft_config - what the base chains depend on
 * @dns4, @dns6: resolvers that port 53 of the gateways leads to; family 0 = none
 * @deny:        ranges that guests may not reach
 */
struct nft_config {
	const struct plan *plan;
	unsigned bridges;
	struct subnet dns4, dns6;
	struct subnet deny[NFT_DENY_MAX];
	size_t ndeny;
};

/** nft_base_text() - the ruleset of the base chains, replacing any older table of ours. Pure */
void nft_base_text(struct buf *out, const struct nft_config *c);

/** nft_slot_text() - the ruleset that adds the chain of one slot, whose TAP exists. Pure */
void nft_slot_text(struct buf *out, const struct plan_slot *s, enum netd_net net);

/** nft_slot_delete_text() - the commands that take it away. Pure */
void nft_slot_delete_text(struct buf *out, const struct plan_slot *s);

/** nft_open() - Return: a handle, or NULL with @e */
struct nft *nft_open(struct err *e);

/** nft_close() - safe on NULL. Returns NULL */
struct nft *nft_close(struct nft *nft);

/** nft_run() - apply @text as one transaction: all of it or nothing. Return: 0, or negative with @e */
int nft_run(struct nft *nft, const struct buf *text, struct err *e);

/** nft_remove() - delete the whole table, if it is there */
void nft_remove(struct nft *nft);

#endif
