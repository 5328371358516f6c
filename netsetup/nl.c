/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/nl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/err.h"

#define BATCH_BYTES   (64 * 1024)
#define MESSAGE_BYTES 512 /* more than any single change needs */
#define ANSWER_WAIT_S 5	  /* the kernel answers at once; this bounds a fault */
#define ADDR_GEN_NONE 1	  /* IN6_ADDR_GEN_MODE_NONE: no link-local address of its own */

struct nl {
	struct mnl_socket *sock; /* owned */
	unsigned seq, first_seq, pending;
	size_t used;
	int failed; /* first failure since the last commit */
	char out[BATCH_BYTES] __attribute__((aligned(8)));
	char in[BATCH_BYTES] __attribute__((aligned(8)));
};

struct nl *nl_open(struct err *e)
{
	struct nl *nl = calloc(1, sizeof(*nl));
	struct timeval wait = { .tv_sec = ANSWER_WAIT_S };

	if (!nl) {
		err_set(e, -ENOMEM, "no memory for a netlink socket");
		return NULL;
	}
	nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0) {
		err_set(e, -errno, "cannot open a route netlink socket: %s", strerror(errno));
		return nl_close(nl);
	}
	return nl;
}

struct nl *nl_close(struct nl *nl)
{
	if (nl && nl->sock)
		(void)mnl_socket_close(nl->sock);
	free(nl);
	return NULL;
}

uint32_t nl_index(const char *name)
{
	return if_nametoindex(name);
}

/* Reads the acknowledgements of everything that was sent. */
static int collect_acks(struct nl *nl)
{
	while (nl->pending > 0) {
		ssize_t n = mnl_socket_recvfrom(nl->sock, nl->in, sizeof(nl->in));
		const struct nlmsghdr *h = (const void *)nl->in;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *ack = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type != NLMSG_ERROR ||
			    h->nlmsg_seq - nl->first_seq >= nl->seq - nl->first_seq + 1)
				continue;
			if (nl->pending > 0)
				nl->pending--;
			if (ack->error && !nl->failed)
				nl->failed = ack->error;
		}
	}
	return 0;
}

static int flush(struct nl *nl)
{
	int r = 0;

	if (nl->pending == 0)
		return 0;
	if (mnl_socket_sendto(nl->sock, nl->out, nl->used) < 0)
		r = -errno;
	else
		r = collect_acks(nl);
	nl->used = 0;
	nl->pending = 0;
	nl->first_seq = nl->seq + 1;
	if (r < 0 && !nl->failed)
		nl->failed = r;
	return r;
}

int nl_commit(struct nl *nl)
{
	int r;

	(void)flush(nl);
	r = nl->failed;
	nl->failed = 0;
	return r;
}

/* Room for one more message; what came before is sent when it gets tight. */
static struct nlmsghdr *begin(struct nl *nl, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h;

	if (nl->used + MESSAGE_BYTES > sizeof(nl->out))
		(void)flush(nl);
	h = mnl_nlmsg_put_header(nl->out + nl->used);
	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	h->nlmsg_seq = ++nl->seq;
	if (nl->pending == 0)
		nl->first_seq = nl->seq;
	return h;
}

static void end(struct nl *nl, const struct nlmsghdr *h)
{
	nl->used += (h->nlmsg_len + 3U) & ~3U; /* NLMSG_ALIGN in unsigned arithmetic */
	nl->pending++;
}

static struct nlmsghdr *begin_link(struct nl *nl, uint16_t type, uint16_t flags, uint32_t index,
				   unsigned char family)
{
	struct nlmsghdr *h = begin(nl, type, flags);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->ifi_family = family;
	m->ifi_index = (int)index;
	return h;
}

static void set_up(struct nlmsghdr *h)
{
	struct ifinfomsg *m = mnl_nlmsg_get_payload(h);

	m->ifi_flags |= IFF_UP;
	m->ifi_change |= IFF_UP;
}

static void put_no_link_local(struct nlmsghdr *h)
{
	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC), *v6 = mnl_attr_nest_start(h, AF_INET6);

	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, ADDR_GEN_NONE);
	mnl_attr_nest_end(h, v6);
	mnl_attr_nest_end(h, spec);
}

void nl_bridge_add(struct nl *nl, const struct plan_bridge *b)
{
	struct nlmsghdr *h = begin_link(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, AF_UNSPEC);
	struct nlattr *info, *data;

	mnl_attr_put_strz(h, IFLA_IFNAME, b->name);
	mnl_attr_put(h, IFLA_ADDRESS, sizeof(b->mac), b->mac);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	mnl_attr_put_u32(h, IFLA_BR_STP_STATE, 0);
	mnl_attr_put_u32(h, IFLA_BR_FORWARD_DELAY, 0);
	mnl_attr_put_u8(h, IFLA_BR_MCAST_SNOOPING, 0);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	end(nl, h);
}

static void put_address(struct nl *nl, uint32_t index, unsigned char family, uint8_t len, const void *addr,
			size_t bytes)
{
	struct nlmsghdr *h = begin(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->ifa_family = family;
	m->ifa_prefixlen = len;
	m->ifa_index = index;
	/* The address is ours by construction: nobody has to be asked, and it serves from the first moment. */
	m->ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0;
	mnl_attr_put(h, IFA_LOCAL, bytes, addr);
	mnl_attr_put(h, IFA_ADDRESS, bytes, addr);
	end(nl, h);
}

void nl_bridge_up(struct nl *nl, uint32_t index, const struct plan_bridge *b)
{
	struct nlmsghdr *h = begin_link(nl, RTM_NEWLINK, 0, index, AF_UNSPEC);

	set_up(h);
	end(nl, h);
	put_address(nl, index, AF_INET, b->len4, &b->gw4, sizeof(b->gw4));
	if (b->inner_gw4)
		put_address(nl, index, AF_INET, 32, &b->inner_gw4, sizeof(b->inner_gw4));
	if (b->len6)
		put_address(nl, index, AF_INET6, b->len6, b->gw6, sizeof(b->gw6));
}

static void put_neighbour(struct nl *nl, uint16_t type, uint32_t bridge, const struct plan_slot *s,
			  unsigned char family)
{
	struct nlmsghdr *h = begin(nl, type, type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0);
	struct ndmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->ndm_family = family;
	m->ndm_ifindex = (int)bridge;
	m->ndm_state = NUD_PERMANENT;
	if (family == AF_INET)
		mnl_attr_put(h, NDA_DST, sizeof(s->ip4), &s->ip4);
	else
		mnl_attr_put(h, NDA_DST, sizeof(s->ip6), s->ip6);
	if (type == RTM_NEWNEIGH)
		mnl_attr_put(h, NDA_LLADDR, sizeof(s->mac), s->mac);
	end(nl, h);
}

/* The bridge's forwarding entry for the guest's MAC. */
static void put_forwarding(struct nl *nl, uint32_t tap, const struct plan_slot *s)
{
	struct nlmsghdr *h = begin(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
	struct ndmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->ndm_family = AF_BRIDGE;
	m->ndm_ifindex = (int)tap;
	m->ndm_state = NUD_NOARP;
	m->ndm_flags = NTF_MASTER;
	mnl_attr_put(h, NDA_LLADDR, sizeof(s->mac), s->mac);
	end(nl, h);
}

void nl_port_join(struct nl *nl, uint32_t tap, uint32_t bridge, const struct plan_slot *s)
{
	static const uint16_t off[] = {
		IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_MCAST_FLOOD, IFLA_BRPORT_BCAST_FLOOD,
	};
	struct nlmsghdr *h = begin_link(nl, RTM_NEWLINK, 0, tap, AF_UNSPEC);
	struct nlattr *info, *data;

	mnl_attr_put_u32(h, IFLA_MASTER, bridge);
	mnl_attr_put_u32(h, IFLA_GROUP, NL_GROUP);
	put_no_link_local(h);
	end(nl, h);

	/* It is down until isolated: there is no moment in which it could reach another port. */
	h = begin_link(nl, RTM_NEWLINK, 0, tap, AF_UNSPEC);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_SLAVE_KIND, "bridge");
	data = mnl_attr_nest_start(h, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(h, IFLA_BRPORT_ISOLATED, 1);
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		mnl_attr_put_u8(h, off[i], 0);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	set_up(h);
	end(nl, h);

	put_forwarding(nl, tap, s);
	put_neighbour(nl, RTM_NEWNEIGH, bridge, s, AF_INET);
	if (s->bridge.len6)
		put_neighbour(nl, RTM_NEWNEIGH, bridge, s, AF_INET6);
}

void nl_port_leave(struct nl *nl, uint32_t tap, uint32_t bridge, const struct plan_slot *s)
{
	struct nlmsghdr *h;

	put_neighbour(nl, RTM_DELNEIGH, bridge, s, AF_INET);
	if (s->bridge.len6)
		put_neighbour(nl, RTM_DELNEIGH, bridge, s, AF_INET6);
	if (tap == 0)
		return;
	h = begin_link(nl, RTM_NEWLINK, 0, tap, AF_UNSPEC);
	mnl_attr_put_u32(h, IFLA_GROUP, NL_GROUP_DYING);
	end(nl, h);
}

void nl_link_delete(struct nl *nl, uint32_t index)
{
	end(nl, begin_link(nl, RTM_DELLINK, 0, index, AF_UNSPEC));
}

void nl_group_delete(struct nl *nl, uint32_t group)
{
	struct nlmsghdr *h = begin_link(nl, RTM_DELLINK, 0, 0, AF_UNSPEC);

	mnl_attr_put_u32(h, IFLA_GROUP, group);
	end(nl, h);
}

/* What a dump collects. */
struct dump {
	const char *skip;
	struct subnet *out;
	size_t max, count;
	uint32_t uplink, uplink_metric;
};

/* Adds a range, unless its interface is one of ours. */
static void note_subnet(struct dump *d, int family, uint8_t len, const struct nlattr *addr, uint32_t index)
{
	struct subnet *s = &d->out[d->count];
	size_t bytes = family == AF_INET ? 4 : 16;

	if (d->count == d->max || (family != AF_INET && family != AF_INET6) ||
	    mnl_attr_get_payload_len(addr) < bytes)
		return;
	memset(s, 0, sizeof(*s));
	s->family = family;
	s->len = len;
	memcpy(s->addr, mnl_attr_get_payload(addr), bytes);
	subnet_clip(s);
	if (index && !if_indextoname(index, s->ifname))
		s->ifname[0] = '\0';
	if (strncmp(s->ifname, d->skip, strlen(d->skip)) != 0)
		d->count++;
}

#define ATTRS_MAX (RTA_PRIORITY + 1) /* the highest attribute that is looked at */

static int on_attr(const struct nlattr *a, void *arg)
{
	const struct nlattr **table = arg;

	if (mnl_attr_get_type(a) < ATTRS_MAX)
		table[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static int on_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a[ATTRS_MAX] = { NULL };

	if (mnl_attr_parse(h, sizeof(*m), on_attr, a) == MNL_CB_OK && a[IFA_ADDRESS])
		note_subnet(arg, m->ifa_family, m->ifa_prefixlen, a[IFA_ADDRESS], m->ifa_index);
	return MNL_CB_OK;
}

/* Multicast, link-local and other routes that every interface has are nobody's subnets. */
static bool is_plain_route(const struct rtmsg *m, const struct nlattr *dst)
{
	const uint8_t *addr = mnl_attr_get_payload(dst);

	if (m->rtm_type != RTN_UNICAST && m->rtm_type != RTN_BLACKHOLE && m->rtm_type != RTN_UNREACHABLE)
		return false;
	return m->rtm_family != AF_INET6 || (addr[0] != 0xff && !(addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80));
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a[ATTRS_MAX] = { NULL }, *dst;
	struct dump *d = arg;
	uint32_t index, metric;

	if (mnl_attr_parse(h, sizeof(*m), on_attr, a) != MNL_CB_OK)
		return MNL_CB_OK;
	dst = a[RTA_DST];
	index = a[RTA_OIF] ? mnl_attr_get_u32(a[RTA_OIF]) : 0;
	metric = a[RTA_PRIORITY] ? mnl_attr_get_u32(a[RTA_PRIORITY]) : 0;
	if (d->out && dst && m->rtm_table != RT_TABLE_LOCAL && is_plain_route(m, dst))
		note_subnet(d, m->rtm_family, m->rtm_dst_len, dst, index);
	if (!dst && m->rtm_dst_len == 0 && m->rtm_family == AF_INET && m->rtm_type == RTN_UNICAST &&
	    m->rtm_table == RT_TABLE_MAIN && index && (!d->uplink || metric < d->uplink_metric)) {
		d->uplink = index;
		d->uplink_metric = metric;
	}
	return MNL_CB_OK;
}

static int run_dump(struct nl *nl, uint16_t type, unsigned char family, mnl_cb_t cb, struct dump *d)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(nl->in);
	struct rtmsg *m;
	unsigned seq = ++nl->seq, port = mnl_socket_get_portid(nl->sock);
	int r = MNL_CB_OK;

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = seq;
	/* struct rtmsg is longer than struct ifaddrmsg and, like it, begins with the family. */
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->rtm_family = family;
	if (mnl_socket_sendto(nl->sock, h, h->nlmsg_len) < 0)
		return -errno;
	while (r == MNL_CB_OK) {
		ssize_t n = mnl_socket_recvfrom(nl->sock, nl->in, sizeof(nl->in));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = mnl_cb_run(nl->in, (size_t)n, seq, port, cb, d);
	}
	return r < 0 ? -errno : 0;
}

int nl_subnets(struct nl *nl, const char *skip, struct subnet *out, size_t max)
{
	struct dump d = { .skip = skip, .out = out, .max = max };
	int r = run_dump(nl, RTM_GETADDR, AF_UNSPEC, on_address, &d);

	if (r == 0)
		r = run_dump(nl, RTM_GETROUTE, AF_INET, on_route, &d);
	if (r == 0)
		r = run_dump(nl, RTM_GETROUTE, AF_INET6, on_route, &d);
	return r < 0 ? r : (int)d.count;
}

bool nl_uplink(struct nl *nl, char name[16])
{
	struct dump d = { .skip = "" };

	memset(name, 0, 16);
	if (run_dump(nl, RTM_GETROUTE, AF_INET, on_route, &d) < 0 || !d.uplink)
		return false;
	return if_indextoname(d.uplink, name) != NULL;
}
