/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/plan.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "netsetup/proto.h"

_Static_assert(PLAN_PORTS + 3 <= 1 << PLAN_BRIDGE_BITS, "network, gateway and broadcast fit beside the slots");
_Static_assert(PLAN_BRIDGES_MAX * PLAN_PORTS >= NETD_SLOTS_MAX * (1 + NETD_CARDS_MAX), "every card of every slot has a bridge");

unsigned plan_bridges(uint32_t slots)
{
	return (slots + PLAN_PORTS - 1) / PLAN_PORTS;
}

unsigned plan_cards(const struct plan *p, uint32_t slots)
{
	unsigned room = p->net4.len <= 32 - PLAN_BRIDGE_BITS ? 1U << (32 - PLAN_BRIDGE_BITS - p->net4.len) : 0;
	unsigned cards = room / plan_bridges(slots);

	return cards > NETD_CARDS_MAX ? NETD_CARDS_MAX : cards ? cards - 1 : 0;
}

/* Bits of address below the subnet that @slots slots need. */
static unsigned bits_needed(uint32_t slots)
{
	unsigned bits = PLAN_BRIDGE_BITS;

	while (1U << (bits - PLAN_BRIDGE_BITS) < plan_bridges(slots))
		bits++;
	return bits;
}

int plan_check(const struct plan *p, uint32_t slots, struct err *e)
{
	unsigned bits = bits_needed(slots);

	if (!p->prefix[0])
		return err_set(e, -EINVAL, "ifname is empty: it must be 1 to %d lower-case letters",
			       PLAN_PREFIX_MAX);
	for (const char *c = p->prefix; *c; c++)
		if (!islower((unsigned char)*c))
			return err_set(e, -EINVAL, "ifname = %s: it must be 1 to %d lower-case letters",
				       p->prefix, PLAN_PREFIX_MAX);
	if (p->net4.family != AF_INET || p->net4.len < 8 || p->net4.len + bits > 32)
		return err_set(e, -ERANGE, "subnet4 must be an IPv4 range from /8 to /%u to hold %u slots",
			       32 - bits, slots);
	/* The suggestion and the plan both keep to the last 64 bits of IPv6. */
	if (p->net6.family && (p->net6.family != AF_INET6 || p->net6.len < 8 || p->net6.len > 64))
		return err_set(e, -ERANGE, "subnet6 must be empty or an IPv6 range from /8 to /64");
	if (p->inner4.family && (p->inner4.family != AF_INET || p->inner4.len < 8 || p->inner4.len > 30))
		return err_set(e, -ERANGE, "inner_subnet4 must be empty or an IPv4 range from /8 to /30");
	if (p->inner4.family && (p->inner4.addr[0] == 0 || p->inner4.addr[0] == 127 || p->inner4.addr[0] >= 224))
		return err_set(e, -ERANGE, "inner_subnet4 must be a range that hosts can have");
	if (subnet_overlaps(&p->inner4, &p->net4))
		return err_set(e, -EINVAL, "inner_subnet4 and subnet4 overlap: one is inside the guests, the other outside");
	if (p->uid_base && (p->uid_base < 65536 || p->uid_base > INT32_MAX - NETD_SLOTS_MAX))
		return err_set(e, -ERANGE, "uid_base must be 0 or from 65536 to %d", INT32_MAX - NETD_SLOTS_MAX);
	return 0;
}

/* Address number @host of the subnets. */
static void address(const struct plan *p, uint32_t host, uint32_t *ip4, uint8_t ip6[16])
{
	uint32_t base, low;

	memcpy(&base, p->net4.addr, sizeof(base));
	*ip4 = htonl(ntohl(base) + host);
	if (!p->net6.family)
		return;
	memcpy(ip6, p->net6.addr, 16);
	low = htonl(host);
	memcpy(ip6 + 12, &low, sizeof(low));
}

/* Address number @host of the range that all guests have in common. */
static uint32_t inner_address(const struct plan *p, uint32_t host)
{
	uint32_t base;

	memcpy(&base, p->inner4.addr, sizeof(base));
	return htonl(ntohl(base) + host);
}

void plan_bridge(const struct plan *p, unsigned number, struct plan_bridge *out)
{
	assert(number < PLAN_BRIDGES_MAX);
	memset(out, 0, sizeof(*out));
	out->number = number;
	(void)snprintf(out->name, sizeof(out->name), "%sbr%u", p->prefix, number);
	/*
	 * Locally administered; the same after a restart, so that guests' neighbour tables stay true. So do those of guests that were cloned
	 * with their table, if all bridges have the same.
	 */
	memcpy(out->mac, (const uint8_t[]){ 0x02, 0x74, 0x72, 0x00, 0x00, (uint8_t)(p->inner4.family ? 1 : number + 1) }, 6);
	out->len4 = 32 - PLAN_BRIDGE_BITS;
	out->len6 = p->net6.family ? 128 - PLAN_BRIDGE_BITS : 0;
	address(p, (number << PLAN_BRIDGE_BITS) + 1, &out->gw4, out->gw6);
	out->inner_gw4 = p->inner4.family ? inner_address(p, 1) : 0;
}

static void plan_guest(const struct plan *p, const struct plan_slot *s, struct plan_guest *out)
{
	*out = (struct plan_guest){ .ip4 = s->ip4, .gw4 = s->bridge.gw4, .len4 = s->bridge.len4 };
	memcpy(out->mac, s->mac, sizeof(out->mac));
	if (!p->inner4.family)
		return;
	*out = (struct plan_guest){ .ip4 = inner_address(p, 2), .gw4 = s->bridge.inner_gw4, .len4 = p->inner4.len };
	/* That of slot 0, which does not exist. */
	memcpy(out->mac, (const uint8_t[]){ 0x02, 0x74, 0x72, 0x6d, 0, 0 }, 6);
}

/* The part that depends on a bridge, and on the place of the slot there. */
static void place(const struct plan *p, unsigned number, uint32_t slot, unsigned card, struct plan_slot *out)
{
	out->slot = slot;
	plan_bridge(p, number, &out->bridge);
	memcpy(out->mac, (const uint8_t[]){ 0x02, 0x74, 0x72, (uint8_t)(0x6d + card), (uint8_t)(slot >> 8), (uint8_t)slot }, 6);
	address(p, (number << PLAN_BRIDGE_BITS) + 2 + (slot - 1) % PLAN_PORTS, &out->ip4, out->ip6);
	out->uid = p->uid_base ? p->uid_base + slot : 0;
}

void plan_slot(const struct plan *p, uint32_t slot, struct plan_slot *out)
{
	assert(slot >= 1 && slot <= NETD_SLOTS_MAX);
	memset(out, 0, sizeof(*out));
	place(p, (slot - 1) / PLAN_PORTS, slot, 0, out);
	(void)snprintf(out->ifname, sizeof(out->ifname), "%s%u", p->prefix, slot);
	(void)snprintf(out->chain, sizeof(out->chain), "slot%u", slot);
	(void)snprintf(out->cgroup, sizeof(out->cgroup), "slot-%u", slot);
	plan_guest(p, out, &out->guest);
	out->is_translated = p->inner4.family != 0;
}

void plan_card(const struct plan *p, uint32_t slots, uint32_t slot, unsigned card, struct plan_slot *out)
{
	struct plan own = *p;

	own.inner4.family = 0;
	assert(slot >= 1 && slot <= slots && card >= 1 && card <= plan_cards(p, slots));
	memset(out, 0, sizeof(*out));
	place(p, card * plan_bridges(slots) + (slot - 1) / PLAN_PORTS, slot, card, out);
	/* Has its own address inside as well: it is known to nobody else, and comes after a clone has become somebody. */
	plan_guest(&own, out, &out->guest);
	(void)snprintf(out->ifname, sizeof(out->ifname), "%s%uc%u", p->prefix, (uint16_t)slot, card % 10);
	(void)snprintf(out->chain, sizeof(out->chain), "slot%uc%u", (uint16_t)slot, card % 10);
}
