/* SPDX-License-Identifier: Apache-2.0 */
/* The small pure parts of hv/: ready marker, frames of the helper, the host's time stamp counter. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "hv/bootwatch.h"
#include "hv/frames.h"
#include "hv/tsc.h"

/* --- bootwatch --- */

/* Compares with the plain search, for every way to cut the text in two. */
static void marker_is_found_however_it_is_cut(void **state)
{
	static const struct {
		const char *needle, *text;
		size_t at; /* first byte after the match; 0 = none */
	} rows[] = {
		{ "a", "xa", 2 },	   { "aab", "aaab", 4 },       { "abab", "abaabab", 7 },
		{ "aaaa", "aaabaaaa", 8 }, { "abcabd", "abcabcabd", 9 }, { "abc", "ababab", 0 },
		{ "\033]7717;ready\007", "\033\033]7717;\033]7717;ready\007$ ", 21 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].text);
		const uint8_t *text = (const uint8_t *)rows[i].text;

		for (size_t cut = 0; cut <= len; cut++) {
			struct marker m;
			size_t n;

			marker_init(&m, rows[i].needle, strlen(rows[i].needle));
			n = marker_feed(&m, text, cut);
			if (n == 0) {
				n = marker_feed(&m, text + cut, len - cut);
				n += n ? cut : 0;
			}
			assert_int_equal(n, rows[i].at);
		}
	}
}

static enum boot_sign feed(struct bootwatch *w, const char *text)
{
	return bootwatch_feed(w, (const uint8_t *)text, strlen(text));
}

static void panic_words_are_kept_and_bounded(void **state)
{
	struct bootwatch w;

	(void)state;
	bootwatch_init(&w, "READY", 5);
	assert_int_equal(feed(&w, "Kernel panic - not syncing: VFS: \x1b[1m"), BOOT_NOTHING);
	assert_int_equal(feed(&w, "no root\n more"), BOOT_PANIC);
	assert_string_equal(w.words, "VFS: ?[1mno root");
	bootwatch_init(&w, NULL, 0);
	assert_int_equal(feed(&w, "Kernel panic - not syncing: "), BOOT_NOTHING);
	for (size_t i = 0; i < sizeof(w.words) - 1; i++)
		assert_int_equal(feed(&w, "x"), BOOT_NOTHING);
	assert_int_equal(feed(&w, "x"), BOOT_PANIC);
	assert_int_equal(strlen(w.words), sizeof(w.words) - 1);
}

static void a_guest_that_refuses_is_heard(void **state)
{
	struct bootwatch w;

	(void)state;
	bootwatch_init(&w, "\033]7717;ready\007", 13);
	assert_int_equal(feed(&w, "\033]7717;re"), BOOT_NOTHING);
	assert_int_equal(feed(&w, "fused;no \033[1m root"), BOOT_NOTHING);
	assert_int_equal(feed(&w, " disk\007more\n"), BOOT_REFUSED);
	assert_string_equal(w.words, "no ?[1m root disk");
}

static void ready_comes_before_panic(void **state)
{
	struct bootwatch w;

	(void)state;
	bootwatch_init(&w, "READY", 5);
	assert_int_equal(feed(&w, "READY $ echo Kernel panic - not syncing: x\n"), BOOT_READY);
}

/* --- frames --- */

static union helper_frame f;

static void make(unsigned op, size_t size)
{
	memset(&f, 0, sizeof(f));
	f.head.size = (uint32_t)size;
	f.head.op = (uint16_t)op;
}

static void good_frames_pass(void **state)
{
	(void)state;
	make(NETD_HELLO | NETD_REPLY, sizeof(f.hello));
	f.hello.slots_max = NETD_SLOTS_MAX;
	assert_int_equal(frame_check(&f, sizeof(f.hello), 0, NULL), 0);
	make(NETD_NET_FREE | NETD_REPLY, sizeof(f.head));
	assert_int_equal(frame_check(&f, sizeof(f.head), 0, NULL), 0);
	assert_null(frame_info(&f));
	make(NETD_VM_SPAWN | NETD_REPLY, sizeof(f.spawn));
	f.spawn.info.nwant = 3;
	memcpy(f.spawn.info.want, (const uint8_t[]){ NETD_FD_TAP, NETD_FD_STREAM, NETD_FD_RING }, 3);
	assert_int_equal(frame_check(&f, sizeof(f.spawn), 2, NULL), 0);
	assert_ptr_equal(frame_info(&f), &f.spawn.info);
	make(NETD_LIST | NETD_REPLY, sizeof(f.list));
	f.list.count = NETD_LIST_MAX;
	assert_int_equal(frame_check(&f, sizeof(f.list), 0, NULL), 0);
	make(NETD_EXITED, sizeof(f.exited));
	assert_int_equal(frame_check(&f, sizeof(f.exited), 0, NULL), 0);
	make(NETD_VM_KILL | NETD_REPLY, sizeof(f.error));
	f.head.status = -ESRCH;
	assert_int_equal(frame_check(&f, sizeof(f.error), 0, NULL), 0);
}

static void refused(size_t len, size_t nfds)
{
	struct err e = { 0 };

	assert_int_equal(frame_check(&f, len, nfds, &e), -EPROTO);
	assert_true(e.msg[0] != '\0');
}

static void bad_frames_are_refused(void **state)
{
	(void)state;
	make(NETD_HELLO | NETD_REPLY, sizeof(f.hello));
	refused(0, 0);
	refused(15, 0);
	refused(sizeof(f.hello) - 1, 0);
	f.head.size--;
	refused(sizeof(f.hello) - 1, 0);
	make(NETD_HELLO | NETD_REPLY, sizeof(f.hello));
	refused(sizeof(f.hello), 1);
	f.head.reserved = 1;
	refused(sizeof(f.hello), 0);
	make(NETD_HELLO | NETD_REPLY, sizeof(f.hello));
	f.head.status = 1;
	refused(sizeof(f.hello), 0);
	memset(f.hello.binaries, 'x', sizeof(f.hello.binaries));
	f.head.status = 0;
	refused(sizeof(f.hello), 0);
	make(NETD_HELLO | NETD_REPLY, sizeof(f.hello));
	memset(f.hello.uplink, 'x', sizeof(f.hello.uplink));
	refused(sizeof(f.hello), 0);
	make(NETD_HELLO, sizeof(f.hello)); /* a request */
	refused(sizeof(f.hello), 0);
	make(NETD_REPLY, sizeof(f.head));
	refused(sizeof(f.head), 0);
	make(NETD_OP_COUNT | NETD_REPLY, sizeof(f.head));
	refused(sizeof(f.head), 0);
	make(0xff41, sizeof(f.head));
	refused(sizeof(f.head), 0);
	make(NETD_VM_KILL | NETD_REPLY, sizeof(f.error));
	f.head.status = -ESRCH;
	memset(f.error.reason, 'x', sizeof(f.error.reason));
	refused(sizeof(f.error), 0);
}

static void bad_slots_are_refused(void **state)
{
	static const struct netd_slot_info rows[] = {
		{ .slot = NETD_SLOTS_MAX }, { .state = NETD_SLOT_EXITED + 1 }, { .net = 3 }, { .pid = -1 }, { .nwant = NETD_FDS_MAX + 1 },
		{ .nwant = 1, .want = { 0 } }, { .nwant = 1, .want = { NETD_FD_LAST + 1 } }, { .prefix4 = 33 }, { .prefix6 = 129 },
		{ .ring_bytes = (64U << 20) + 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make(NETD_NET_ALLOC | NETD_REPLY, sizeof(f.alloc));
		f.alloc.info = rows[i];
		refused(sizeof(f.alloc), 0);
		make(NETD_LIST | NETD_REPLY, sizeof(f.list));
		f.list.count = 2;
		f.list.info[1] = rows[i];
		refused(sizeof(f.list), 0);
		make(NETD_EXITED, sizeof(f.exited));
		f.exited.info = rows[i];
		refused(sizeof(f.exited), 0);
	}
	make(NETD_NET_ALLOC | NETD_REPLY, sizeof(f.alloc));
	memset(f.alloc.info.ifname, 'x', sizeof(f.alloc.info.ifname));
	refused(sizeof(f.alloc), 0);
	make(NETD_LIST | NETD_REPLY, sizeof(f.list));
	f.list.count = NETD_LIST_MAX + 1;
	refused(sizeof(f.list), 0);
	make(NETD_ADOPT | NETD_REPLY, sizeof(f.adopt));
	f.adopt.info.nwant = 1;
	f.adopt.info.want[0] = NETD_FD_RING;
	refused(sizeof(f.adopt), 0); /* a descriptor is missing */
	refused(sizeof(f.adopt), 2);
	make(NETD_MEMORY | NETD_REPLY, sizeof(f.head));
	refused(sizeof(f.head), 0);
}

/* --- tsc --- */

static void tsc_is_plausible_and_steady(void **state)
{
	struct tsc t;
	uint64_t a, b;

	(void)state;
	tsc_begin(&t);
	a = tsc_khz(&t);
	if (a == 0)
		skip(); /* no such counter on this CPU */
	b = tsc_khz(&t);
	assert_in_range(a, 100000, 10000000);
	assert_in_range(b > a ? b - a : a - b, 0, a / 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marker_is_found_however_it_is_cut),
		cmocka_unit_test(panic_words_are_kept_and_bounded), cmocka_unit_test(a_guest_that_refuses_is_heard),
		cmocka_unit_test(ready_comes_before_panic),
		cmocka_unit_test(good_frames_pass),
		cmocka_unit_test(bad_frames_are_refused),
		cmocka_unit_test(bad_slots_are_refused),
		cmocka_unit_test(tsc_is_plausible_and_steady),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
