/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and default routes by rtnetlink(7): three requests, each answered with an error code. */
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define OLD_ADDRESSES_MAX 16
#define NETLINK_WAIT_S 2 /* the kernel answers at once */

/* One request: a head, a body of its kind, attributes. */
struct request {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
		uint8_t room[256];
	} u;
};

static void begin(struct request *q, uint16_t type, uint16_t flags, size_t body)
{
	memset(q, 0, sizeof(*q));
	q->head.nlmsg_type = type;
	q->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	q->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
}

static void add(struct request *q, uint16_t type, const void *data, size_t len)
{
	struct rtattr a = { .rta_len = (uint16_t)RTA_LENGTH(len), .rta_type = type };
	size_t at = NLMSG_ALIGN(q->head.nlmsg_len) - sizeof(q->head);

	memcpy(q->u.room + at, &a, sizeof(a));
	memcpy(q->u.room + at + RTA_LENGTH(0), data, len);
	q->head.nlmsg_len = (uint32_t)(sizeof(q->head) + at + RTA_ALIGN(a.rta_len));
}

static int ask(int fd, const struct request *q)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		uint8_t rest[512];
	} answer;

	if (send(fd, q, q->head.nlmsg_len, 0) < 0)
		return -errno;
	memset(&answer, 0, sizeof(answer));
	if (recv(fd, &answer, sizeof(answer), 0) < (ssize_t)(sizeof(answer.head) + sizeof(answer.error.error)))
		return errno ? -errno : -EPROTO;
	return answer.head.nlmsg_type == NLMSG_ERROR ? answer.error.error : -EPROTO;
}

static int open_netlink(void)
{
	const struct timeval wait = { .tv_sec = NETLINK_WAIT_S };
	_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return -errno;
	return fd_take(&fd);
}

static int set_link(int fd, unsigned index, bool up, const uint8_t *mac)
{
	struct request q;

	begin(&q, RTM_NEWLINK, 0, sizeof(q.u.link));
	q.u.link.ifi_index = (int)index;
	q.u.link.ifi_change = IFF_UP;
	q.u.link.ifi_flags = up ? IFF_UP : 0;
	if (mac)
		add(&q, IFLA_ADDRESS, mac, 6);
	return ask(fd, &q);
}

bool mac_is(const char *interface, const uint8_t mac[6])
{
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq q;

	memset(&q, 0, sizeof(q));
	(void)snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", interface);
	return fd >= 0 && ioctl(fd, SIOCGIFHWADDR, &q) == 0 && memcmp(q.ifr_hwaddr.sa_data, mac, 6) == 0;
}

/* Those of a place where it is not any more: it would go on to speak in their name. Those of IPv6 go when the interface goes down. */
static void forget_addresses(const char *interface)
{
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq q;

	memset(&q, 0, sizeof(q));
	(void)snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", interface);
	for (int i = 0; fd >= 0 && i < OLD_ADDRESSES_MAX && ioctl(fd, SIOCGIFADDR, &q) == 0; i++) {
		memset(&q.ifr_addr, 0, sizeof(q.ifr_addr));
		q.ifr_addr.sa_family = AF_INET;
		if (ioctl(fd, SIOCSIFADDR, &q) < 0)
			return;
	}
}

int mac_apply(const char *interface, const uint8_t mac[6])
{
	unsigned index = if_nametoindex(interface);
	_close_ int fd = -1;
	int r;

	if (index == 0)
		return -ENODEV;
	fd = open_netlink();
	if (fd < 0)
		return fd;
	forget_addresses(interface);
	r = set_link(fd, index, false, NULL);
	return r < 0 ? r : set_link(fd, index, false, mac);
}

int address_apply(const struct agent_address *a)
{
	static const uint8_t none[16];
	uint8_t family = a->family == 4 ? AF_INET : AF_INET6;
	size_t bytes = a->family == 4 ? 4 : 16;
	unsigned index = if_nametoindex(a->interface);
	_close_ int fd = -1;
	struct request q;
	int r;

	if (index == 0)
		return -ENODEV;
	fd = open_netlink();
	if (fd < 0)
		return fd;
	r = set_link(fd, index, true, NULL);
	if (r < 0)
		return r;
	begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(q.u.address));
	q.u.address = (struct ifaddrmsg){ .ifa_family = family, .ifa_prefixlen = a->prefix, .ifa_index = index };
	add(&q, IFA_LOCAL, a->address, bytes);
	add(&q, IFA_ADDRESS, a->address, bytes);
	r = ask(fd, &q);
	if (r < 0 || memcmp(a->gateway, none, sizeof(none)) == 0)
		return r;
	begin(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(q.u.route));
	q.u.route = (struct rtmsg){ .rtm_family = family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST };
	add(&q, RTA_GATEWAY, a->gateway, bytes);
	add(&q, RTA_OIF, &index, sizeof(index));
	return ask(fd, &q);
}

/* Return: true and its name in @out, of IF_NAMESIZE bytes. */
static bool find_interface(const uint8_t mac[6], char *out)
{
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct if_nameindex *list = fd >= 0 ? if_nameindex() : NULL;
	bool found = false;

	for (const struct if_nameindex *i = list; i && i->if_index && !found; i++) {
		struct ifreq rq = { 0 };

		(void)snprintf(rq.ifr_name, sizeof(rq.ifr_name), "%s", i->if_name);
		found = ioctl(fd, SIOCGIFHWADDR, &rq) == 0 && memcmp(rq.ifr_hwaddr.sa_data, mac, 6) == 0;
		if (found)
			(void)snprintf(out, IF_NAMESIZE, "%s", i->if_name);
	}
	if (list)
		if_freenameindex(list);
	return found;
}

/* Addresses are given, not asked for: no duplicate address detection, no router advertisements. */
static void keep_plain(const char *interface)
{
	static const char *const knobs[] = { "accept_ra", "accept_dad", "autoconf" };

	for (size_t i = 0; i < sizeof(knobs) / sizeof(knobs[0]); i++) {
		char path[96];
		_close_ int fd = -1;

		(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", interface, knobs[i]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			(void)fd_write_all(fd, "0", 1);
	}
}

int card_apply(const struct agent_card *c)
{
	char name[IF_NAMESIZE] = "";
	int r = 0;

	if (!find_interface(c->mac, name))
		return -ENODEV;
	keep_plain(name);
	for (size_t n = 0; n < c->addresses && r == 0; n++) {
		struct agent_address a = c->address[n];

		(void)snprintf(a.interface, sizeof(a.interface), "%s", name);
		r = address_apply(&a);
	}
	return r;
}
