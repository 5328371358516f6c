/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "netsetup/plan.h"
#include "netsetup/proto.h"

static struct plan preset(void)
{
	struct plan p = { .prefix = "trm", .uid_base = 1900000000 };

	assert_int_equal(subnet_parse("10.213.0.0/19", &p.net4, NULL), 0);
	assert_int_equal(subnet_parse("fd7a:7272:6d00::/64", &p.net6, NULL), 0);
	return p;
}

static const char *text4(uint32_t ip)
{
	static char text[INET_ADDRSTRLEN];

	return inet_ntop(AF_INET, &ip, text, sizeof(text));
}

static const char *text6(const uint8_t *ip)
{
	static char text[INET6_ADDRSTRLEN];

	return inet_ntop(AF_INET6, ip, text, sizeof(text));
}

static void slots(void **state)
{
	static const struct {
		uint32_t slot;
		const char *ifname, *bridge, *ip4, *gw4, *ip6, *gw6;
		uint8_t mac[6];
	} rows[] = {
		{ 1,
		  "trm1",
		  "trmbr0",
		  "10.213.0.2",
		  "10.213.0.1",
		  "fd7a:7272:6d00::2",
		  "fd7a:7272:6d00::1",
		  { 2, 0x74, 0x72, 0x6d, 0, 1 } },
		{ 254,
		  "trm254",
		  "trmbr0",
		  "10.213.0.255",
		  "10.213.0.1",
		  "fd7a:7272:6d00::ff",
		  "fd7a:7272:6d00::1",
		  { 2, 0x74, 0x72, 0x6d, 0, 254 } },
		{ 1000,
		  "trm1000",
		  "trmbr0",
		  "10.213.3.233",
		  "10.213.0.1",
		  "fd7a:7272:6d00::3e9",
		  "fd7a:7272:6d00::1",
		  { 2, 0x74, 0x72, 0x6d, 3, 0xe8 } },
		{ 1001,
		  "trm1001",
		  "trmbr1",
		  "10.213.4.2",
		  "10.213.4.1",
		  "fd7a:7272:6d00::402",
		  "fd7a:7272:6d00::401",
		  { 2, 0x74, 0x72, 0x6d, 3, 0xe9 } },
		{ 4096,
		  "trm4096",
		  "trmbr4",
		  "10.213.16.97",
		  "10.213.16.1",
		  "fd7a:7272:6d00::1061",
		  "fd7a:7272:6d00::1001",
		  { 2, 0x74, 0x72, 0x6d, 0x10, 0 } },
	};
	struct plan p = preset();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan_slot s;

		plan_slot(&p, rows[i].slot, &s);
		assert_string_equal(s.ifname, rows[i].ifname);
		assert_string_equal(s.bridge.name, rows[i].bridge);
		assert_string_equal(text4(s.ip4), rows[i].ip4);
		assert_string_equal(text4(s.bridge.gw4), rows[i].gw4);
		assert_string_equal(text6(s.ip6), rows[i].ip6);
		assert_string_equal(text6(s.bridge.gw6), rows[i].gw6);
		assert_memory_equal(s.mac, rows[i].mac, 6);
		assert_int_equal(s.uid, 1900000000 + rows[i].slot);
		assert_int_equal(s.bridge.len4, 22);
		assert_int_equal(s.bridge.len6, 118);
	}
}

/* Every slot has its own of everything, its gateway's subnet holds it, and no name is too long. */
static void all_differ(void **state)
{
	struct plan p = preset();
	uint32_t *seen = calloc(NETD_SLOTS_MAX + 1, sizeof(*seen));
	uint32_t mask = htonl(0xfffffc00);

	(void)state;
	memcpy(p.prefix, "abcdefgh", 9);
	assert_non_null(seen);
	for (uint32_t n = 1; n <= NETD_SLOTS_MAX; n++) {
		struct plan_slot s;
		struct subnet addr = { .family = AF_INET, .len = 32 };

		plan_slot(&p, n, &s);
		memcpy(addr.addr, &s.ip4, 4);
		assert_true(subnet_overlaps(&p.net4, &addr));
		assert_int_equal(s.ip4 & mask, s.bridge.gw4 & mask);
		assert_int_not_equal(s.ip4, s.bridge.gw4);
		assert_int_not_equal(ntohl(s.ip4) & 0x3ff, 0);
		assert_int_not_equal(ntohl(s.ip4) & 0x3ff, 0x3ff);
		assert_memory_not_equal(s.mac, s.bridge.mac, 6);
		assert_true(strlen(s.ifname) < 16 && strlen(s.bridge.name) < 16);
		seen[n] = s.ip4;
	}
	for (uint32_t n = 2; n <= NETD_SLOTS_MAX; n++)
		assert_true(ntohl(seen[n]) > ntohl(seen[n - 1]));
	free(seen);
}

/* Where all guests have the same inside, a slot is known by its own outside, and behind every bridge there is the one gateway. */
static void the_same_inside(void **state)
{
	struct plan p = preset();
	struct plan_slot s, first;
	struct plan_bridge b;

	(void)state;
	plan_slot(&p, 1001, &s);
	assert_false(s.is_translated);
	assert_int_equal(s.guest.ip4, s.ip4);
	assert_int_equal(s.guest.gw4, s.bridge.gw4);
	assert_int_equal(s.guest.len4, 22);
	assert_memory_equal(s.guest.mac, s.mac, 6);
	assert_int_equal(s.bridge.inner_gw4, 0);

	assert_int_equal(subnet_parse("10.0.99.0/30", &p.inner4, NULL), 0);
	assert_int_equal(plan_check(&p, 4096, NULL), 0);
	plan_slot(&p, 1, &first);
	plan_slot(&p, 4096, &s);
	assert_true(s.is_translated);
	assert_string_equal(text4(s.guest.ip4), "10.0.99.2");
	assert_string_equal(text4(s.guest.gw4), "10.0.99.1");
	assert_int_equal(s.guest.len4, 30);
	assert_string_equal(text4(s.ip4), "10.213.16.97");
	assert_memory_equal(&s.guest, &first.guest, sizeof(s.guest));
	assert_memory_equal(s.guest.mac, "\x02\x74\x72\x6d\x00\x00", 6);
	assert_memory_not_equal(s.mac, s.guest.mac, 6);
	plan_bridge(&p, 4, &b);
	assert_string_equal(text4(b.inner_gw4), "10.0.99.1");
	assert_memory_equal(b.mac, first.bridge.mac, 6);
}

static void cards(void **state)
{
	struct plan p = preset();
	struct plan_slot first, s;

	(void)state;
	assert_int_equal(plan_cards(&p, 1000), 2);
	assert_int_equal(plan_cards(&p, 2000), 2);
	assert_int_equal(plan_cards(&p, 3000), 1);
	assert_int_equal(plan_cards(&p, 4096), 0);
	for (uint32_t n = 1; n <= 2000; n++) {
		plan_slot(&p, n, &first);
		for (unsigned card = 1; card <= 2; card++) {
			plan_card(&p, 2000, n, card, &s);
			assert_int_equal(s.bridge.number, 2 * card + (n - 1) / 1000);
			assert_int_equal(ntohl(s.ip4), ntohl(first.ip4) + card * 2048);
			assert_int_equal(ntohl(s.bridge.gw4), ntohl(first.bridge.gw4) + card * 2048);
			assert_int_equal(s.mac[3], 0x6d + card);
			assert_memory_equal(s.mac + 4, first.mac + 4, 2);
			assert_int_equal(s.uid, first.uid);
		}
	}
	assert_string_equal(s.ifname, "trm2000c2");
	assert_string_equal(s.chain, "slot2000c2");
	assert_string_equal(text4(s.ip4), "10.213.23.233");
	assert_string_equal(text4(s.bridge.gw4), "10.213.20.1");
	assert_string_equal(text6(s.ip6), "fd7a:7272:6d00::17e9");
	assert_int_equal(subnet_parse("10.213.0.0/18", &p.net4, NULL), 0);
	memcpy(p.prefix, "abcdefgh", 9);
	assert_int_equal(plan_cards(&p, 4096), 2);
	plan_card(&p, 4096, 4096, 2, &s);
	assert_string_equal(s.ifname, "abcdefgh4096c2");
	assert_string_equal(s.bridge.name, "abcdefghbr14");
	/* Where all guests have the same inside, these still have their own. */
	assert_int_equal(subnet_parse("10.0.99.0/30", &p.inner4, NULL), 0);
	plan_card(&p, 4096, 7, 1, &s);
	assert_false(s.is_translated);
	assert_int_equal(s.guest.ip4, s.ip4);
	assert_int_equal(subnet_parse("10.213.0.0/22", &p.net4, NULL), 0);
	assert_int_equal(plan_cards(&p, 1), 0);
}

static void without_ipv6_and_uids(void **state)
{
	static const uint8_t none[16];
	struct plan p = preset();
	struct plan_slot s;

	(void)state;
	memset(&p.net6, 0, sizeof(p.net6));
	p.uid_base = 0;
	assert_int_equal(plan_check(&p, 1000, NULL), 0);
	plan_slot(&p, 7, &s);
	assert_memory_equal(s.ip6, none, 16);
	assert_int_equal(s.bridge.len6, 0);
	assert_int_equal(s.uid, 0);
}

static void checks(void **state)
{
	static const struct {
		const char *net4, *net6, *prefix;
		uint32_t slots, uid_base;
		int result;
	} rows[] = {
		{ "10.213.0.0/19", "fd00::/64", "trm", 4096, 65536, 0 },
		{ "10.213.0.0/22", "fd00::/64", "trm", 1000, 0, 0 },
		{ "10.213.0.0/22", "fd00::/64", "trm", 1001, 0, -ERANGE },
		{ "10.213.0.0/20", "fd00::/64", "trm", 4000, 0, 0 },
		{ "10.213.0.0/20", "fd00::/64", "trm", 4001, 0, -ERANGE },
		{ "10.213.0.0/23", "fd00::/64", "trm", 1, 0, -ERANGE },
		{ "0.0.0.0/0", "fd00::/64", "trm", 1, 0, -ERANGE },
		{ "fd01::/64", "fd00::/64", "trm", 1, 0, -ERANGE },
		{ "10.213.0.0/19", "fd00::/65", "trm", 1, 0, -ERANGE },
		{ "10.213.0.0/19", "10.0.0.0/19", "trm", 1, 0, -ERANGE },
		{ "10.213.0.0/19", "fd00::/64", "", 1, 0, -EINVAL },
		{ "10.213.0.0/19", "fd00::/64", "t1", 1, 0, -EINVAL },
		{ "10.213.0.0/19", "fd00::/64", "a\"b", 1, 0, -EINVAL },
		{ "10.213.0.0/19", "fd00::/64", "trm", 1, 65535, -ERANGE },
		{ "10.213.0.0/19", "fd00::/64", "trm", 1, INT32_MAX, -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan p = { .uid_base = rows[i].uid_base };
		struct err e = { 0 };

		memcpy(p.prefix, rows[i].prefix, strlen(rows[i].prefix) + 1);
		assert_int_equal(subnet_parse(rows[i].net4, &p.net4, NULL), 0);
		assert_int_equal(subnet_parse(rows[i].net6, &p.net6, NULL), 0);
		assert_int_equal(plan_check(&p, rows[i].slots, &e), rows[i].result);
		assert_int_equal(e.msg[0] != '\0', rows[i].result < 0);
	}
}

static void checks_of_the_inside(void **state)
{
	static const struct {
		const char *range;
		int result;
	} rows[] = {
		{ "10.0.99.0/30", 0 },
		{ "192.168.0.0/16", 0 },
		{ "10.213.31.252/30", -EINVAL },
		{ "10.0.0.0/8", -EINVAL },
		{ "10.0.99.0/31", -ERANGE },
		{ "fd01::/64", -ERANGE },
		{ "127.0.0.0/30", -ERANGE },
		{ "224.0.0.0/24", -ERANGE },
	};
	struct plan p = preset();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = { 0 };

		assert_int_equal(subnet_parse(rows[i].range, &p.inner4, NULL), 0);
		assert_int_equal(plan_check(&p, 4096, &e), rows[i].result);
		assert_int_equal(e.msg[0] != '\0', rows[i].result < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots),
		cmocka_unit_test(all_differ),
		cmocka_unit_test(the_same_inside),
		cmocka_unit_test(cards),
		cmocka_unit_test(without_ipv6_and_uids),
		cmocka_unit_test(checks),
		cmocka_unit_test(checks_of_the_inside),
	};

	return cmocka_run_group_tests_name("netd_plan", tests, NULL, NULL);
}
