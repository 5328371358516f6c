/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_PEER_H
#define GATEWAY_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/**
 * struct peer - the other end of a connection
 * @control: came by the control socket from somebody who may (root, or our own uid)
 * @address: IPv6, or IPv4 mapped into it; all zero over a unix socket
 * @key: the address for counting: IPv4 mapped into IPv6; of IPv6 only the /64, for that is what one customer has
 */
struct peer {
	uint8_t address[16], key[16];
	bool loopback, control;
};

#define PEER_TEXT 46

/** peer_text() - the address for log and audit; of IPv6 the /64. Returns text that lives as long as @out */
const char *peer_text(const struct peer *p, char out[PEER_TEXT]);

/** peer_of_account() - an account as something to count: nothing but @out->key, from the hash of @email */
int peer_of_account(const char *email, struct peer *out);

/** peer_of() - from an accepted address. Other families (unix sockets by socket activation) count as one loopback peer */
void peer_of(const struct sockaddr_storage *addr, struct peer *out);

/*
 * Token buckets by address, in a table of fixed size: when it is full, the address that was quiet longest is forgotten. Guards sign-in
 * against guessing; only failures are charged.
 */
struct peer_limit;

/** peer_limit_create() - @burst failures at once, then one more each @refill_ms. NULL without memory */
struct peer_limit *peer_limit_create(uint32_t burst, uint32_t refill_ms);
struct peer_limit *peer_limit_destroy(struct peer_limit *l);

/** peer_limit_wait_ms() - how long this peer must wait before it may try again; 0 = not at all */
uint64_t peer_limit_wait_ms(struct peer_limit *l, const struct peer *p, uint64_t now_ms);

/** peer_limit_charge() - one failure of this peer */
void peer_limit_charge(struct peer_limit *l, const struct peer *p, uint64_t now_ms);

#endif
