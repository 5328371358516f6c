/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_PLAN_H
#define NETSETUP_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "netsetup/proto.h"
#include "netsetup/subnet.h"

/*
 * What follows from a slot number: names, addresses, uid. Pure: no state, no I/O.
 *
 * The kernel allows 1024 ports on a bridge, so slots are spread over bridges of PLAN_PORTS; each bridge has
 * 1024 addresses of the subnet: the first is the network, the second the gateway, then one per slot. Slots
 * count from 1. Cards that slots get beside their first have as many bridges again behind those, so that each card of a guest is
 * in another subnet, and so far as the subnet has room.
 */
#define PLAN_PORTS	 1000
#define PLAN_BRIDGE_BITS 10
#define PLAN_BRIDGES_MAX (5 * (1 + NETD_CARDS_MAX))
#define PLAN_PREFIX_MAX	 8 /* letters of the interface names' prefix */

/**
 * struct plan - what the addresses are derived from
 * @prefix:   of interface names
 * @net4, @net6: of all slots together; family 0 of @net6: no IPv6
 * @inner4:   family 0, or every guest has the second address of this range and the first as its gateway (inner.h)
 * @uid_base: slot n runs as uid_base + n; 0 = all as the helper itself
 */
struct plan {
	char prefix[PLAN_PREFIX_MAX + 1];
	struct subnet net4, net6, inner4;
	uid_t uid_base;
};

/** struct plan_bridge - one bridge; addresses in network byte order; @inner_gw4: 0, or the gateway that guests know */
struct plan_bridge {
	unsigned number;
	char name[16];
	uint8_t mac[6], len4, len6;
	uint32_t gw4, inner_gw4;
	uint8_t gw6[16];
};

/** struct plan_guest - what a guest has itself: what its slot has, or what all guests have */
struct plan_guest {
	uint32_t ip4, gw4;
	uint8_t len4, mac[6];
};

/**
 * struct plan_slot - one slot
 * @ip4, @ip6, @mac: as which it is known outside its TAP
 * @is_translated: @guest differs from that
 */
struct plan_slot {
	uint32_t slot;
	char ifname[16], chain[16], cgroup[16];
	struct plan_bridge bridge;
	uint8_t mac[6];
	uint32_t ip4;
	uint8_t ip6[16];
	struct plan_guest guest;
	bool is_translated;
	uid_t uid;
};

/**
 * plan_check() - whether names are usable and the subnets hold @slots slots
 *
 * Return: 0, or -EINVAL or -ERANGE with the reason
 */
int plan_check(const struct plan *p, uint32_t slots, struct err *e);

/** plan_bridges() - how many bridges @slots slots need, without more cards */
unsigned plan_bridges(uint32_t slots);

/** plan_cards() - how many more cards for each of @slots slots the subnets have room for; at most NETD_CARDS_MAX */
unsigned plan_cards(const struct plan *p, uint32_t slots);

void plan_bridge(const struct plan *p, unsigned number, struct plan_bridge *out);

/** plan_slot() - @slot from 1 to NETD_SLOTS_MAX */
void plan_slot(const struct plan *p, uint32_t slot, struct plan_slot *out);

/** plan_card() - the same for card @card of it, from 1 to plan_cards(), where there are @slots slots; without a control group */
void plan_card(const struct plan *p, uint32_t slots, uint32_t slot, unsigned card, struct plan_slot *out);

#endif
