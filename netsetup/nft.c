/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "netsetup/inner.h"

/*
 * Theory of operation
 *
 * A guest's frame is judged twice. First at the ingress hook of its own TAP, in its slot's chain, where it is
 * still known which guest sent it: only frames with the slot's MAC and source addresses pass, and those of a
 * NAT guest get the mark. What is not IP (ARP) passes there by nature of the hook; it can do no harm, because
 * the bridge ports learn nothing and the neighbour entries are permanent (nl.c). Then in the routing hooks,
 * whose chains are the same for all guests:
 *
 *   input       to this host: ping and neighbour discovery of the gateway addresses, nothing else
 *   forward     from a guest: marked frames, to anywhere but other guests and the denied ranges;
 *               to a guest: answers only
 *   prerouting  port 53 of a gateway address leads to the resolver
 *   postrouting what leaves is masqueraded by whatever interface the route chose
 *
 * So everything that belongs to a slot is one chain, added and removed in one transaction, and the base chains
 * never change. They accept whatever does not come from or go to our bridges: other users of the namespace are
 * not concerned.
 *
 * A verdict map over the slots' chains was the alternative; routing hooks see only the bridge, not the TAP.
 */
#define MARK "0x74726d"

struct nft {
	struct nft_ctx *ctx; /* owned */
};

static const char *family_word(const struct subnet *s)
{
	return s->family == AF_INET ? "ip" : "ip6";
}

/* "{ a, b }" of the gateway addresses of one family. */
static void put_gateways(struct buf *out, const struct nft_config *c, int family)
{
	for (unsigned i = 0; i < c->bridges; i++) {
		char text[INET6_ADDRSTRLEN] = "";
		struct plan_bridge b;

		plan_bridge(c->plan, i, &b);
		(void)inet_ntop(family, family == AF_INET ? (const void *)&b.gw4 : b.gw6, text, sizeof(text));
		(void)buf_printf(out, "%s %s", i ? "," : "{", text);
		if (i == 0 && family == AF_INET && b.inner_gw4) {
			(void)inet_ntop(AF_INET, &b.inner_gw4, text, sizeof(text));
			(void)buf_printf(out, ", %s", text);
		}
	}
	(void)buf_printf(out, " }");
}

static void put_input(struct buf *out, const struct nft_config *c)
{
	(void)buf_printf(out,
			 "\tchain input {\n"
			 "\t\ttype filter hook input priority filter; policy accept;\n"
			 "\t\tiifname != \"%sbr*\" accept\n"
			 "\t\tct state established,related accept\n"
			 "\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
			 "\t\ticmp type echo-request ip daddr ",
			 c->plan->prefix);
	put_gateways(out, c, AF_INET);
	if (c->plan->net6.family) {
		(void)buf_printf(out, " accept\n\t\ticmpv6 type echo-request ip6 daddr ");
		put_gateways(out, c, AF_INET6);
	}
	(void)buf_printf(out, " accept\n\t\tdrop\n\t}\n");
}

static void put_forward(struct buf *out, const struct nft_config *c)
{
	(void)buf_printf(out,
			 "\tchain guest_out {\n"
			 "\t\toifname \"%sbr*\" drop\n"
			 "\t\tmeta mark != " MARK " drop\n"
			 "\t\tct status dnat accept\n",
			 c->plan->prefix);
	for (size_t i = 0; i < c->ndeny; i++) {
		char text[SUBNET_TEXT];

		subnet_text(&c->deny[i], text);
		(void)buf_printf(out, "\t\t%s daddr %s drop\n", family_word(&c->deny[i]), text);
	}
	(void)buf_printf(out,
			 "\t\taccept\n\t}\n"
			 "\tchain guest_in {\n"
			 "\t\tct state established,related accept\n"
			 "\t\tdrop\n\t}\n"
			 "\tchain forward {\n"
			 "\t\ttype filter hook forward priority filter; policy accept;\n"
			 "\t\tiifname \"%sbr*\" jump guest_out\n"
			 "\t\toifname \"%sbr*\" jump guest_in\n\t}\n",
			 c->plan->prefix, c->plan->prefix);
}

static void put_resolver(struct buf *out, const struct nft_config *c, const struct subnet *resolver)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (!resolver->family)
		return;
	(void)inet_ntop(resolver->family, resolver->addr, text, sizeof(text));
	(void)buf_printf(out, "\t\tiifname \"%sbr*\" meta mark " MARK " %s daddr ", c->plan->prefix,
			 family_word(resolver));
	put_gateways(out, c, resolver->family);
	(void)buf_printf(out, " meta l4proto { tcp, udp } th dport 53 dnat %s to %s\n", family_word(resolver),
			 text);
}

void nft_base_text(struct buf *out, const struct nft_config *c)
{
	char net4[SUBNET_TEXT], net6[SUBNET_TEXT];

	subnet_text(&c->plan->net4, net4);
	inner_base_text(out, c->plan->inner4.family != 0);
	(void)buf_printf(out, "add table inet terrarium\ndelete table inet terrarium\ntable inet terrarium {\n");
	put_input(out, c);
	put_forward(out, c);
	(void)buf_printf(out, "\tchain prerouting {\n"
			      "\t\ttype nat hook prerouting priority dstnat; policy accept;\n");
	put_resolver(out, c, &c->dns4);
	put_resolver(out, c, &c->dns6);
	(void)buf_printf(out,
			 "\t}\n"
			 "\tchain postrouting {\n"
			 "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
			 "\t\toifname != \"%sbr*\" ip saddr %s masquerade\n",
			 c->plan->prefix, net4);
	if (c->plan->net6.family) {
		subnet_text(&c->plan->net6, net6);
		(void)buf_printf(out, "\t\toifname != \"%sbr*\" ip6 saddr %s masquerade\n", c->plan->prefix,
				 net6);
	}
	(void)buf_printf(out, "\t}\n}\n");
}

/* IPv6 of a slot: link-local business with the gateway is nobody's concern, and carries no mark. */
static void put_slot6(struct buf *out, const struct plan_slot *s, enum netd_net net)
{
	char ip6[INET6_ADDRSTRLEN], gw6[INET6_ADDRSTRLEN];

	(void)inet_ntop(AF_INET6, s->ip6, ip6, sizeof(ip6));
	(void)inet_ntop(AF_INET6, s->bridge.gw6, gw6, sizeof(gw6));
	(void)buf_printf(out,
			 "\t\ticmpv6 type { nd-router-advert, nd-redirect } drop\n"
			 "\t\tip6 saddr { ::, fe80::/10 } ip6 daddr { %s, fe80::/10, ff02::/16 } accept\n",
			 gw6);
	if (net == NETD_NET_NAT)
		(void)buf_printf(out, "\t\tip6 saddr %s meta mark set " MARK " counter accept\n", ip6);
	else
		(void)buf_printf(out,
				 "\t\tip6 saddr %s ip6 daddr { %s, fe80::/10, ff02::/16 } counter accept\n",
				 ip6, gw6);
}

void nft_slot_text(struct buf *out, const struct plan_slot *s, enum netd_net net)
{
	char ip4[INET_ADDRSTRLEN], gw4[INET_ADDRSTRLEN];

	(void)inet_ntop(AF_INET, &s->ip4, ip4, sizeof(ip4));
	(void)inet_ntop(AF_INET, &s->guest.gw4, gw4, sizeof(gw4));
	inner_slot_text(out, s);
	(void)buf_printf(out,
			 "table inet terrarium {\n\tchain %s {\n"
			 "\t\ttype filter hook ingress device \"%s\" priority filter; policy accept;\n"
			 "\t\tether saddr != %02x:%02x:%02x:%02x:%02x:%02x counter drop\n",
			 s->chain, s->ifname, s->mac[0], s->mac[1], s->mac[2], s->mac[3], s->mac[4], s->mac[5]);
	if (net == NETD_NET_NAT)
		(void)buf_printf(out, "\t\tip saddr %s meta mark set " MARK " counter accept\n", ip4);
	else
		(void)buf_printf(out, "\t\tip saddr %s ip daddr %s counter accept\n", ip4, gw4);
	if (s->bridge.len6)
		put_slot6(out, s, net);
	(void)buf_printf(out, "\t\tcounter drop\n\t}\n}\n");
}

void nft_slot_delete_text(struct buf *out, const struct plan_slot *s)
{
	inner_slot_delete_text(out, s);
	(void)buf_printf(out, "flush chain inet terrarium %s\ndelete chain inet terrarium %s\n", s->chain,
			 s->chain);
}

struct nft *nft_open(struct err *e)
{
	struct nft *nft = calloc(1, sizeof(*nft));

	if (nft)
		nft->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft || !nft->ctx || nft_ctx_buffer_error(nft->ctx) || nft_ctx_buffer_output(nft->ctx)) {
		err_set(e, -ENOMEM, "cannot start libnftables");
		return nft_close(nft);
	}
	return nft;
}

struct nft *nft_close(struct nft *nft)
{
	if (nft && nft->ctx)
		nft_ctx_free(nft->ctx);
	free(nft);
	return NULL;
}

int nft_run(struct nft *nft, const struct buf *text, struct err *e)
{
	const char *said;

	if (text->full || !text->data)
		return err_set(e, -ENOMEM, "no memory for nftables rules");
	errno = 0;
	if (nft_run_cmd_from_buffer(nft->ctx, text->data) == 0)
		return 0;
	said = nft_ctx_get_error_buffer(nft->ctx);
	/* Its first line says what is wrong; the rest repeats our text. */
	return err_set(e, errno ? -errno : -EINVAL, "nftables refused the rules: %.*s",
		       (int)(said ? strcspn(said, "\n") : 0), said ? said : "");
}

void nft_remove(struct nft *nft)
{
	(void)nft_run_cmd_from_buffer(nft->ctx, "add table netdev terrarium\ndelete table netdev terrarium\n"
						"add table inet terrarium\ndelete table inet terrarium\n");
}
