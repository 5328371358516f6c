/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/log.h"
#include "netsetup/config.h"

static struct config c;
static struct err e;

/* Reads options; warnings about missing programs are not what is tested. */
static int read_options(const char *a, const char *b)
{
	char *argv[] = {
		strdup("terrarium-netd"), strdup("--config=/dev/null"), strdup("--binaries=sh=/bin/sh"),
		a ? strdup(a) : NULL,	  b ? strdup(b) : NULL,		NULL
	};
	int argc = 3 + (a != NULL) + (b != NULL), r;

	e = (struct err){ 0 };
	r = config_read(&c, argc, argv, &e);
	for (int i = 0; i < 5; i++)
		free(argv[i]);
	return r;
}

static void presets(void **state)
{
	(void)state;
	assert_int_equal(read_options(NULL, NULL), 0);
	assert_int_equal(c.gateway_uid, geteuid());
	assert_int_equal(c.mode, NETWORK_AUTO);
	assert_int_equal(c.nbinaries, 1);
	assert_string_equal(c.binaries[0].name, "sh");
	assert_string_equal(c.binaries[0].path, "/bin/sh");
	assert_int_equal(c.rules.bridges, 3); /* one for each card of a slot */
	assert_int_equal(c.plan.net4.len, 19);
	assert_string_equal(c.plan.prefix, "trm");
}

static void values(void **state)
{
	(void)state;
	assert_int_equal(read_options("--dns=192.0.2.1 2001:db8::1",
				      "--deny=198.51.100.0/24, 203.0.113.7 2001:db8::/32"),
			 0);
	assert_int_equal(c.rules.dns4.family != 0 && c.rules.dns6.family != 0, 1);
	assert_int_equal(c.rules.ndeny, 3);
	assert_int_equal(c.rules.deny[1].len, 32);
	assert_int_equal(read_options("--gateway-user=4321", "--network=required"), 0);
	assert_int_equal(c.gateway_uid, 4321);
	assert_int_equal(c.mode, NETWORK_REQUIRED);
	assert_int_equal(read_options("--gateway-user=root", "--subnet6="), 0);
	assert_int_equal(c.gateway_uid, 0);
	assert_int_equal(c.plan.net6.family, 0);
	assert_int_equal(read_options("--slots=1001", "-n"), CONF_E_CHECK);
	assert_int_equal(c.rules.bridges, 6);
	assert_int_equal(read_options("--subnet4=10.213.0.0/22", NULL), 0);
	assert_int_equal(c.rules.bridges, 1);
}

static void bad_values(void **state)
{
	static const char *const bad[] = {
		"--gateway-user=no-such-user-here",
		"--network=maybe",
		"--subnet4=10.0.0.0",
		"--subnet4=x",
		"--subnet6=10.0.0.0/8",
		"--inner-subnet4=x",
		"--inner-subnet4=10.0.99.2/30",
		"--inner-subnet4=10.213.0.0/30",
		"--dns=192.0.2.1 192.0.2.2",
		"--dns=192.0.2.0/24",
		"--deny=192.0.2.1/24",
		"--deny=everything",
		"--log-level=loud",
		"--slots=0",
		"--slots=4097",
		"--ifname=",
		"--ifname=abcdefghi",
		"--binaries=sh",
		"--binaries==/bin/sh",
		"--binaries=a=bin/sh",
		"--binaries=a=/bin/sh a=/bin/sh",
		"--binaries=",
		"--binaries=a=/etc/passwd",
		"--binaries=a=/bin/sh b=/bin/sh c=/bin/sh d=/bin/sh e=/bin/sh f=/bin/sh g=/bin/sh h=/bin/sh i=/bin/sh",
		"--binaries=a-name-that-is-too-long-x=/bin/sh",
		"--uid-base=100",
		"--memory-max=lots",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (read_options(bad[i], NULL) == 0)
			fail_msg("%s was accepted", bad[i]);
		assert_true(e.msg[0]);
	}
}

static void resolvers(void **state)
{
	struct nft_config rules = { .ndeny = 0 };

	(void)state;
	config_resolvers(&rules, "# comment\nnameserver 127.0.0.53\nsearch nameserver 9.9.9.9\nnameserver "
				 "::1\nnameserver fe80::1\n"
				 "nameserver 0.0.0.0\nnameserver 169.254.1.1\nnameserver "
				 "192.0.2.0/24\nnameserver junk\nnameserver\n"
				 "nameserver 192.0.2.53\nnameserver 192.0.2.54\nnameserver 2001:db8::53");
	assert_int_equal(rules.dns4.addr[3], 53);
	assert_int_equal(rules.dns6.addr[15], 0x53);
	rules = (struct nft_config){ .ndeny = 0 };
	config_resolvers(&rules, "");
	config_resolvers(&rules, "\n\n\n");
	assert_int_equal(rules.dns4.family, 0);
}

static const char *text(struct buf *b)
{
	assert_false(b->full);
	return b->data;
}

/* The rules as text: what each setting adds, and that it adds nothing else. */
static void rules(void **state)
{
	struct buf b = BUF_INIT(1 << 16);
	struct plan_slot s;

	(void)state;
	assert_int_equal(read_options("--dns=192.0.2.1", "--deny=198.51.100.0/24 2001:db8::/32"), 0);
	nft_base_text(&b, &c.rules);
	assert_non_null(strstr(text(&b), "ip daddr 198.51.100.0/24 drop\n"));
	assert_non_null(strstr(text(&b), "ip6 daddr 2001:db8::/32 drop\n"));
	assert_non_null(
		strstr(text(&b),
		       "ip daddr { 10.213.0.1, 10.213.4.1, 10.213.8.1 } meta l4proto { tcp, udp } th dport 53 dnat ip to 192.0.2.1\n"));
	assert_null(strstr(text(&b), "dnat ip6"));
	assert_non_null(strstr(text(&b), "ip6 saddr fd7a:7272:6d00::/64 masquerade"));
	buf_finish(&b);

	plan_slot(&c.plan, 3, &s);
	nft_slot_text(&b, &s, NETD_NET_NAT);
	assert_non_null(strstr(text(&b), "chain slot3 {"));
	assert_non_null(strstr(text(&b), "device \"trm3\""));
	assert_non_null(strstr(text(&b), "ip saddr 10.213.0.4 meta mark set"));
	buf_finish(&b);
	nft_slot_text(&b, &s, NETD_NET_ISOLATED);
	assert_null(strstr(text(&b), "mark"));
	assert_non_null(strstr(text(&b), "ip saddr 10.213.0.4 ip daddr 10.213.0.1 counter accept"));
	buf_finish(&b);
	nft_slot_delete_text(&b, &s);
	assert_string_equal(text(&b), "flush chain inet terrarium slot3\ndelete chain inet terrarium slot3\n");
	buf_finish(&b);

	assert_int_equal(read_options("--subnet6=", "--dns=192.0.2.1"), 0);
	plan_slot(&c.plan, 3, &s);
	nft_base_text(&b, &c.rules);
	nft_slot_text(&b, &s, NETD_NET_NAT);
	assert_null(strstr(text(&b), "ip6"));
	buf_finish(&b);
}

/* Words of a chain as it is when the packet comes, in the order they must have: no address is looked at that is still the inner one. */
static void in_order(const char *chain, const char *const *words)
{
	for (size_t i = 0; words[i]; i++) {
		const char *at = strstr(chain, words[i]);

		if (at)
			chain = at + strlen(words[i]);
		else
			fail_msg("after the others there is no: %s", words[i]);
	}
}

/* The sum of 16-bit words that a checksum is made of. */
static uint32_t folded(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum % 0xffff;
}

static uint32_t hex_behind(const char *s, const char *words)
{
	const char *at = strstr(s, words);

	assert_non_null(at);
	return (uint32_t)strtoul(at + strlen(words), NULL, 16);
}

/* What is changed in the head that an ICMP error quotes leaves the sum over it as it was. */
static void is_balanced(const char *chain, const char *match, const char *set)
{
	uint32_t from = hex_behind(chain, match), to = hex_behind(chain, set), balance = hex_behind(chain, "@th,32,16 set ");

	assert_int_equal(folded((from >> 16) + (from & 0xffff)), folded((to >> 16) + (to & 0xffff) + balance));
}

static void inner_rules(void **state)
{
	static const char *const in[] = { "ether saddr != 02:74:72:6d:00:00 counter drop\n", "ether saddr set 02:74:72:6d:03:e9\n", "arp saddr ip set 10.213.4.2 accept\n",
					  "nd-neighbor-solicit ip6 saddr fe80::/10 ip6 saddr set fd7a:7272:6d00::402\n", "ip saddr != 10.0.99.2 counter drop\n",
					  "@th,192,32 set 0x0ad50402", "ip saddr set 10.213.4.2 accept\n", NULL };
	static const char *const outward[] = { "ether daddr set 02:74:72:6d:00:00\n", "arp daddr ip set 10.0.99.2 accept\n", "ip daddr != 10.213.4.2 accept\n",
					       "@th,160,32 set 0x0a006302", "ip daddr set 10.0.99.2\n", NULL };
	struct buf b = BUF_INIT(1 << 16);
	struct plan_slot s;
	const char *out;

	(void)state;
	assert_int_equal(read_options("--inner-subnet4=10.0.99.0/30", "--slots=1500"), 0);
	nft_base_text(&b, &c.rules);
	assert_non_null(strstr(text(&b), "table netdev terrarium {\n"));
	assert_non_null(strstr(text(&b), "icmp type echo-request ip daddr { 10.213.0.1, 10.0.99.1, 10.213.4.1, "));
	buf_finish(&b);

	plan_slot(&c.plan, 1001, &s);
	nft_slot_text(&b, &s, NETD_NET_NAT);
	out = strstr(text(&b), "chain slot1001_out {");
	assert_non_null(out);
	in_order(text(&b), in);
	in_order(out, outward);
	is_balanced(text(&b), "@th,192,32 ", "@th,192,32 set ");
	is_balanced(out, "@th,160,32 ", "@th,160,32 set ");
	/* And then it is judged as what it has become. */
	in_order(text(&b), (const char *const[]){ "chain slot1001 {", "ether saddr != 02:74:72:6d:03:e9 counter drop\n", "ip saddr 10.213.4.2 meta mark set", "counter drop\n", NULL });
	buf_finish(&b);
	nft_slot_text(&b, &s, NETD_NET_ISOLATED);
	assert_non_null(strstr(text(&b), "ip saddr 10.213.4.2 ip daddr 10.0.99.1 counter accept"));
	buf_finish(&b);
	nft_slot_delete_text(&b, &s);
	in_order(text(&b), (const char *const[]){ "delete chain netdev terrarium slot1001_in\n", "delete chain netdev terrarium slot1001_out\n",
						  "delete chain inet terrarium slot1001\n", NULL });
	buf_finish(&b);

	/* Without it there is no such table, also not one that was left behind. */
	assert_int_equal(read_options(NULL, NULL), 0);
	plan_slot(&c.plan, 3, &s);
	nft_base_text(&b, &c.rules);
	assert_non_null(strstr(text(&b), "delete table netdev terrarium\n"));
	assert_null(strstr(text(&b), "table netdev terrarium {"));
	buf_finish(&b);
	nft_slot_text(&b, &s, NETD_NET_NAT);
	nft_slot_delete_text(&b, &s);
	assert_null(strstr(text(&b), "netdev"));
	buf_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets),   cmocka_unit_test(values), cmocka_unit_test(bad_values),
		cmocka_unit_test(resolvers), cmocka_unit_test(rules),
		cmocka_unit_test(inner_rules),
	};

	return cmocka_run_group_tests_name("netd_config", tests, NULL, NULL);
}
