/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/inner.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/buf.h"

/*
 * Theory of operation
 *
 *   guest            | TAP                                        | bridge, routing, NAT: as without it
 *   inner address  --+-> in:  source becomes the slot's, then ----+--> the slot's chain (nft.c) judges it as ever
 *   inner MAC      <-+-- out: destination becomes the inner one <-+--- neighbour and forwarding entries of the slot
 *
 * The translation has no state: each frame is rewritten by itself, so there is nothing to run full and nothing that a guest could confuse. It
 * comes before everything else that a guest's frame meets, and what it lets pass goes through the same rules as the frames of a guest
 * that has the slot's addresses itself: who is behind one TAP cannot become somebody else. The gateway that guests know is an address of
 * every bridge and is not translated. IPv6 addresses stay each guest's own; only the MAC address is translated.
 *
 * Not only heads carry addresses. ARP has both in its body. An ICMP error quotes the head of the packet that it is about: untranslated, the
 * receiver would not know it as its own, and path MTU discovery would fail. nftables cannot bring the checksum of ICMP up to date for a
 * change in there. But both addresses are known here, and so is the difference that they make in it, which the unused field of those errors (RFC 792; zero, and
 * ignored) makes up for. The checksum of the quoted head itself nobody checks.
 *
 * A namespace per slot was the alternative, and needs SYS_ADMIN; so was a conntrack zone per slot, whose answers need a routing table each to find
 * their TAP; and tc's own stateless translation, which does no ARP.
 */

struct texts {
	char ip4[INET_ADDRSTRLEN], inner4[INET_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN], mac[18], inner_mac[18];
};

static void mac_text(const uint8_t m[6], char out[18])
{
	(void)snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void write_texts(const struct plan_slot *s, struct texts *t)
{
	(void)inet_ntop(AF_INET, &s->ip4, t->ip4, sizeof(t->ip4));
	(void)inet_ntop(AF_INET, &s->guest.ip4, t->inner4, sizeof(t->inner4));
	(void)inet_ntop(AF_INET6, s->ip6, t->ip6, sizeof(t->ip6));
	mac_text(s->mac, t->mac);
	mac_text(s->guest.mac, t->inner_mac);
}

/* What an address adds to a checksum; network byte order in, host's out. */
static uint32_t weight(uint32_t ip4)
{
	return (ntohl(ip4) >> 16) + (ntohl(ip4) & 0xffff);
}

/* In the quoted head, at bit @at of the ICMP message, @from becomes @to; what that adds to the sum is taken away in the unused field. */
static void put_quoted(struct buf *out, unsigned at, uint32_t from, uint32_t to)
{
	unsigned balance = (weight(from) + 2 * 0xffffU - weight(to)) % 0xffffU;

	(void)buf_printf(out,
			 "\t\ticmp type { destination-unreachable, time-exceeded } @th,32,16 0 @th,%u,32 0x%08x "
			 "@th,%u,32 set 0x%08x @th,32,16 set 0x%04x\n",
			 at, ntohl(from), at, ntohl(to), balance);
}

#define QUOTED_SADDR 160 /* 8 bytes of ICMP, then an IPv4 head; in bits */
#define QUOTED_DADDR 192

static void put_in(struct buf *out, const struct plan_slot *s, const struct texts *t)
{
	(void)buf_printf(out,
			 "\tchain %s_in {\n"
			 "\t\ttype filter hook ingress device \"%s\" priority -10; policy drop;\n"
			 "\t\tether saddr != %s counter drop\n"
			 "\t\tether saddr set %s\n"
			 "\t\tarp htype 1 arp ptype 0x0800 arp hlen 6 arp plen 4 arp saddr ether set %s arp saddr ip set %s accept\n",
			 s->chain, s->ifname, t->inner_mac, t->mac, t->mac, t->ip4);
	if (s->bridge.len6) {
		/* All guests have one link-local address, where an answer would find nobody; at its own each is found. */
		(void)buf_printf(out,
				 "\t\ticmpv6 type nd-neighbor-solicit ip6 saddr fe80::/10 ip6 saddr set %s\n"
				 "\t\tmeta protocol ip6 accept\n",
				 t->ip6);
	}
	(void)buf_printf(out, "\t\tip saddr != %s counter drop\n", t->inner4);
	put_quoted(out, QUOTED_DADDR, s->guest.ip4, s->ip4);
	(void)buf_printf(out, "\t\tip saddr set %s accept\n\t}\n", t->ip4);
}

static void put_out(struct buf *out, const struct plan_slot *s, const struct texts *t)
{
	(void)buf_printf(out,
			 "\tchain %s_out {\n"
			 "\t\ttype filter hook egress device \"%s\" priority -10; policy accept;\n"
			 "\t\tether daddr set %s\n"
			 "\t\tarp daddr ether set %s arp daddr ip set %s accept\n"
			 "\t\tip daddr != %s accept\n",
			 s->chain, s->ifname, t->inner_mac, t->inner_mac, t->inner4, t->ip4);
	put_quoted(out, QUOTED_SADDR, s->ip4, s->guest.ip4);
	(void)buf_printf(out, "\t\tip daddr set %s\n\t}\n", t->inner4);
}

void inner_base_text(struct buf *out, bool wanted)
{
	(void)buf_printf(out, "add table netdev terrarium\ndelete table netdev terrarium\n");
	if (!wanted)
		return;
	(void)buf_printf(out, "table netdev terrarium {\n"
			      "\tchain try {\n\t\ttype filter hook egress device \"lo\" priority 0; policy accept;\n\t}\n}\n"
			      "delete chain netdev terrarium try\n");
}

void inner_slot_text(struct buf *out, const struct plan_slot *s)
{
	struct texts t;

	if (!s->is_translated)
		return;
	write_texts(s, &t);
	(void)buf_printf(out, "table netdev terrarium {\n");
	put_in(out, s, &t);
	put_out(out, s, &t);
	(void)buf_printf(out, "}\n");
}

void inner_slot_delete_text(struct buf *out, const struct plan_slot *s)
{
	static const char *const directions[] = { "in", "out" };

	for (size_t i = 0; s->is_translated && i < 2; i++)
		(void)buf_printf(out, "flush chain netdev terrarium %s_%s\ndelete chain netdev terrarium %s_%s\n", s->chain, directions[i],
				 s->chain, directions[i]);
}
