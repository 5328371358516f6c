/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "netsetup/request.h"

static const struct request_limits lim = { .slots = 100, .binaries = 2 };
static union netd_request rq;

static void *begin(enum netd_op op, size_t size)
{
	memset(&rq, 0, sizeof(rq));
	rq.head.size = (uint32_t)size;
	rq.head.op = (uint16_t)op;
	rq.head.seq = 7;
	return &rq;
}

static enum request_verdict check(struct err *e)
{
	*e = (struct err){ 0 };
	return request_check(&rq, rq.head.size, rq.head.op != NETD_HELLO, &lim, e);
}

static struct netd_vm_spawn *begin_spawn(const char *argv, uint32_t bytes, uint32_t argc)
{
	struct netd_vm_spawn *s = begin(NETD_VM_SPAWN, sizeof(*s) + bytes);

	s->slot = 5;
	s->argc = argc;
	s->argv_bytes = bytes;
	memcpy(rq.bytes + sizeof(*s), argv, bytes);
	return s;
}

static void expect(enum request_verdict verdict, int code)
{
	struct err e;

	assert_int_equal(check(&e), verdict);
	assert_int_equal(e.code, code);
	assert_int_equal(e.msg[0] != '\0', verdict != REQUEST_OK);
}

static void good_ones(void **state)
{
	static const uint8_t id[16] = { 1 };

	(void)state;
	((struct netd_hello *)begin(NETD_HELLO, sizeof(struct netd_hello)))->version = NETD_VERSION;
	expect(REQUEST_OK, 0);
	memcpy(((struct netd_net_alloc *)begin(NETD_NET_ALLOC, sizeof(struct netd_net_alloc)))->vm_id, id, 16);
	expect(REQUEST_OK, 0);
	((struct netd_net_free *)begin(NETD_NET_FREE, sizeof(struct netd_net_free)))->slot = 100;
	expect(REQUEST_OK, 0);
	begin_spawn("sh\0-c\0\0exit", 12, 4);
	expect(REQUEST_OK, 0);
	*(struct netd_vm_kill *)begin(NETD_VM_KILL, sizeof(struct netd_vm_kill)) =
		(struct netd_vm_kill){ .head = rq.head, .slot = 1, .how = NETD_KILL_TERM };
	expect(REQUEST_OK, 0);
	begin(NETD_LIST, sizeof(struct netd_list));
	expect(REQUEST_OK, 0);
	((struct netd_adopt *)begin(NETD_ADOPT, sizeof(struct netd_adopt)))->slot = 1;
	expect(REQUEST_OK, 0);
	for (uint32_t n = 1; n <= NETD_CARDS_MAX; n++) {
		*(struct netd_card *)begin(NETD_CARD_ADD, sizeof(struct netd_card)) = (struct netd_card){ .head = rq.head, .slot = 100, .card = n };
		expect(REQUEST_OK, 0);
		*(struct netd_card *)begin(NETD_CARD_REMOVE, sizeof(struct netd_card)) = (struct netd_card){ .head = rq.head, .slot = 1, .card = n };
		expect(REQUEST_OK, 0);
	}
	((struct netd_vm_limits *)begin(NETD_VM_LIMITS, sizeof(struct netd_vm_limits)))->slot = 1;
	rq.vm_limits.cpu_percent = 100;
	expect(REQUEST_OK, 0);
	((struct netd_connect *)begin(NETD_CONNECT, sizeof(struct netd_connect)))->slot = 1;
	expect(REQUEST_OK, 0);
	((struct netd_connect *)begin(NETD_CONNECT, sizeof(struct netd_connect)))->reserved = 1;
	expect(REQUEST_BROKEN, -EPROTO);
	((struct netd_memory *)begin(NETD_MEMORY, sizeof(struct netd_memory)))->slot = 100;
	expect(REQUEST_OK, 0);
	((struct netd_memory *)begin(NETD_MEMORY, sizeof(struct netd_memory)))->slot = 101;
	expect(REQUEST_REFUSED, -ENOENT);
	((struct netd_memory *)begin(NETD_MEMORY, sizeof(struct netd_memory)))->reserved = 1;
	expect(REQUEST_BROKEN, -EPROTO);
}

static void sizes(void **state)
{
	struct err e;

	(void)state;
	begin(NETD_LIST, sizeof(struct netd_list));
	for (size_t len = 0; len < 64; len++) {
		enum request_verdict v = request_check(&rq, len, true, &lim, &e);

		assert_int_equal(v, len == sizeof(struct netd_list) ? REQUEST_OK : REQUEST_BROKEN);
	}
	/* Another length that the head agrees with. */
	for (uint32_t len = 16; len < 64; len++) {
		rq.head.size = len;
		assert_int_equal(check(&e), len == sizeof(struct netd_list) ? REQUEST_OK : REQUEST_BROKEN);
	}
	for (unsigned op = 0; op < 300; op++) {
		begin((enum netd_op)op, 16);
		assert_int_equal(check(&e), REQUEST_BROKEN);
	}
}

static void order(void **state)
{
	struct err e;

	(void)state;
	begin(NETD_LIST, sizeof(struct netd_list));
	assert_int_equal(request_check(&rq, rq.head.size, false, &lim, &e), REQUEST_BROKEN);
	((struct netd_hello *)begin(NETD_HELLO, sizeof(struct netd_hello)))->version = NETD_VERSION;
	assert_int_equal(request_check(&rq, rq.head.size, true, &lim, &e), REQUEST_BROKEN);
	rq.hello.version = NETD_VERSION + 1;
	expect(REQUEST_REFUSED, -EPROTONOSUPPORT);
}

static void reserved_fields(void **state)
{
	struct netd_list *l = begin(NETD_LIST, sizeof(*l));

	(void)state;
	l->reserved = 1;
	expect(REQUEST_BROKEN, -EPROTO);
	l->reserved = 0;
	l->head.reserved = 1;
	expect(REQUEST_BROKEN, -EPROTO);
	l->head.reserved = 0;
	l->head.status = -1;
	expect(REQUEST_BROKEN, -EPROTO);
	l->head.status = 0;
	expect(REQUEST_OK, 0);
	begin_spawn("sh", 3, 1)->want[0] = NETD_FD_PTY;
	expect(REQUEST_BROKEN, -EPROTO);
}

static void slots(void **state)
{
	static const uint32_t bad[] = { 0, 101, 4096, 4097, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		((struct netd_net_free *)begin(NETD_NET_FREE, sizeof(struct netd_net_free)))->slot = bad[i];
		expect(REQUEST_REFUSED, -ENOENT);
		((struct netd_adopt *)begin(NETD_ADOPT, sizeof(struct netd_adopt)))->slot = bad[i];
		expect(REQUEST_REFUSED, -ENOENT);
		((struct netd_connect *)begin(NETD_CONNECT, sizeof(struct netd_connect)))->slot = bad[i];
		expect(REQUEST_REFUSED, -ENOENT);
		*(struct netd_card *)begin(NETD_CARD_ADD, sizeof(struct netd_card)) = (struct netd_card){ .head = rq.head, .slot = bad[i], .card = 1 };
		expect(REQUEST_REFUSED, -ENOENT);
		begin_spawn("sh", 3, 1)->slot = bad[i];
		expect(REQUEST_REFUSED, -ENOENT);
		*(struct netd_vm_kill *)begin(NETD_VM_KILL, sizeof(struct netd_vm_kill)) =
			(struct netd_vm_kill){ .head = rq.head, .slot = bad[i], .how = NETD_KILL_HARD };
		expect(REQUEST_REFUSED, -ENOENT);
	}
	for (uint32_t card = 0; card < 8; card++) {
		*(struct netd_card *)begin(NETD_CARD_REMOVE, sizeof(struct netd_card)) = (struct netd_card){ .head = rq.head, .slot = 1, .card = card };
		if (card < 1 || card > NETD_CARDS_MAX)
			expect(REQUEST_REFUSED, -EINVAL);
		else
			expect(REQUEST_OK, 0);
	}
}

static void tails(void **state)
{
	static char many[NETD_ARGV_BYTES];
	struct netd_vm_spawn *s;

	(void)state;
	begin_spawn("", 0, 0);
	expect(REQUEST_BROKEN, -EPROTO);
	begin_spawn("sh", 2, 1);
	expect(REQUEST_BROKEN, -EPROTO);
	begin_spawn("sh\0x", 5, 1);
	expect(REQUEST_BROKEN, -EPROTO);
	begin_spawn("sh\0x", 5, 3);
	expect(REQUEST_BROKEN, -EPROTO);
	begin_spawn(many, NETD_ARGC_MAX, NETD_ARGC_MAX);
	expect(REQUEST_OK, 0);
	begin_spawn(many, NETD_ARGC_MAX + 1, NETD_ARGC_MAX + 1);
	expect(REQUEST_REFUSED, -E2BIG);
	s = begin_spawn("sh", 3, 1);
	s->argv_bytes = NETD_ARGV_BYTES + 1;
	s->head.size = sizeof(*s) + NETD_ARGV_BYTES + 1;
	expect(REQUEST_BROKEN, -EPROTO);
	/* Lengths that would wrap around. */
	s = begin_spawn("sh", 3, 1);
	s->argv_bytes = UINT32_MAX;
	expect(REQUEST_BROKEN, -EPROTO);
	s->argv_bytes = 4;
	expect(REQUEST_BROKEN, -EPROTO);
}

static void wants(void **state)
{
	static const struct {
		uint8_t want[NETD_FDS_MAX];
		uint16_t nwant;
		uint32_t ring_bytes;
		enum request_verdict verdict;
	} rows[] = {
		{ { 0 }, 0, 0, REQUEST_OK },
		{ { NETD_FD_TAP, NETD_FD_STREAM, NETD_FD_LOG, NETD_FD_STREAM, NETD_FD_RING },
		  5,
		  4096,
		  REQUEST_OK },
		{ { NETD_FD_STREAM, 2, 2, 2, 2, 2, 2, 2 }, 8, 0, REQUEST_OK },
		{ { NETD_FD_STREAM, 2, 2, 2, 2, 2, 2, 2 }, 9, 0, REQUEST_REFUSED },
		{ { NETD_FD_STREAM, 2, 2, 2, 2, 2, 2, 2 }, 65535, 0, REQUEST_REFUSED },
		{ { 0 }, 1, 0, REQUEST_REFUSED },
		{ { NETD_FD_LISTEN, NETD_FD_STREAM, NETD_FD_PTY }, 3, 0, REQUEST_OK },
		{ { NETD_FD_FIFO, NETD_FD_FIFO }, 2, 0, REQUEST_OK },
		{ { NETD_FD_LAST + 1 }, 1, 0, REQUEST_REFUSED },
		{ { 255 }, 1, 0, REQUEST_REFUSED },
		{ { NETD_FD_TAP, NETD_FD_TAP }, 2, 0, REQUEST_REFUSED },
		{ { NETD_FD_RING, NETD_FD_RING }, 2, 4096, REQUEST_REFUSED },
		{ { NETD_FD_STDIO, NETD_FD_PTY }, 2, 0, REQUEST_REFUSED },
		{ { NETD_FD_PTY, NETD_FD_LOG }, 2, 0, REQUEST_REFUSED },
		{ { NETD_FD_LOG, NETD_FD_STDIO }, 2, 0, REQUEST_REFUSED },
		{ { NETD_FD_RING }, 1, 0, REQUEST_REFUSED },
		{ { NETD_FD_PTY }, 1, 4096, REQUEST_REFUSED },
		{ { NETD_FD_RING }, 1, 4095, REQUEST_REFUSED },
		{ { NETD_FD_RING }, 1, 64 << 20, REQUEST_OK },
		{ { NETD_FD_RING }, 1, (64 << 20) + 4096, REQUEST_REFUSED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct netd_vm_spawn *s = begin_spawn("sh", 3, 1);
		struct err e;

		memcpy(s->want, rows[i].want, sizeof(s->want));
		s->nwant = rows[i].nwant;
		s->ring_bytes = rows[i].ring_bytes;
		assert_int_equal(check(&e), rows[i].verdict);
	}
}

static void other_ranges(void **state)
{
	struct netd_vm_kill *k;

	(void)state;
	begin_spawn("sh", 3, 1)->binary = 2;
	expect(REQUEST_REFUSED, -ENOENT);
	begin_spawn("sh", 3, 1)->cols = 10001;
	expect(REQUEST_REFUSED, -EINVAL);
	begin_spawn("sh", 3, 1)->rows = 65535;
	expect(REQUEST_REFUSED, -EINVAL);
	begin_spawn("sh", 3, 1)->nfiles = NETD_FILES_MAX;
	expect(REQUEST_OK, 0);
	begin_spawn("sh", 3, 1)->nfiles = NETD_FILES_MAX + 1;
	expect(REQUEST_REFUSED, -EINVAL);
	begin_spawn("sh", 3, 1)->flags = NETD_SPAWN_LEAN;
	expect(REQUEST_OK, 0);
	begin_spawn("sh", 3, 1)->flags = NETD_SPAWN_LEAN << 1;
	expect(REQUEST_BROKEN, -EPROTO);
	begin(NETD_NET_ALLOC, sizeof(struct netd_net_alloc));
	expect(REQUEST_REFUSED, -EINVAL);
	rq.net_alloc.vm_id[15] = 1;
	rq.net_alloc.net = 3;
	expect(REQUEST_REFUSED, -EINVAL);
	((struct netd_vm_limits *)begin(NETD_VM_LIMITS, sizeof(struct netd_vm_limits)))->slot = 1;
	expect(REQUEST_REFUSED, -EINVAL); /* nothing to change */
	k = begin(NETD_VM_KILL, sizeof(*k));
	k->slot = 1;
	expect(REQUEST_REFUSED, -EINVAL);
	k->how = 3;
	expect(REQUEST_REFUSED, -EINVAL);
}

static void arguments(void **state)
{
	char *argv[5];

	(void)state;
	begin_spawn("qemu\0-M\0\0x y", 13, 4);
	request_argv(&rq, argv);
	assert_string_equal(argv[0], "qemu");
	assert_string_equal(argv[1], "-M");
	assert_string_equal(argv[2], "");
	assert_string_equal(argv[3], "x y");
	assert_null(argv[4]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),	   cmocka_unit_test(sizes),	   cmocka_unit_test(order),
		cmocka_unit_test(reserved_fields), cmocka_unit_test(slots),	   cmocka_unit_test(tails),
		cmocka_unit_test(wants),	   cmocka_unit_test(other_ranges), cmocka_unit_test(arguments),
	};

	return cmocka_run_group_tests_name("netd_request", tests, NULL, NULL);
}
