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
	assert_int_equal(c.rules.bridges, 1);
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
	assert_int_equal(c.rules.bridges, 2);
}

static void bad_values(void **state)
{
	static const char *const bad[] = {
		"--gateway-user=no-such-user-here",
		"--network=maybe",
		"--subnet4=10.0.0.0",
		"--subnet4=x",
		"--subnet6=10.0.0.0/8",
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
		       "ip daddr { 10.213.0.1 } meta l4proto { tcp, udp } th dport 53 dnat ip to 192.0.2.1\n"));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets),   cmocka_unit_test(values), cmocka_unit_test(bad_values),
		cmocka_unit_test(resolvers), cmocka_unit_test(rules),
	};

	return cmocka_run_group_tests_name("netd_config", tests, NULL, NULL);
}
