/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "hv/kconfig.h"

#define ROOM (64 << 10)

static size_t feature(const char *name)
{
	for (size_t i = 0; i < KCONFIG_FEATURES; i++) {
		if (strcmp(kconfig_features[i].name, name) == 0)
			return i;
	}
	fail_msg("no feature %s", name);
	return 0;
}

static void check(const char *text, struct kconfig_report *r)
{
	struct err e = { 0 };

	assert_int_equal(kconfig_check(text, strlen(text), r, &e), 0);
}

/* Every symbol of the table, each as `value`, in the head of a file as the kernel writes it. */
static char *whole(char value)
{
	char *text = malloc(ROOM);
	size_t n = (size_t)snprintf(text, ROOM, "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.192-x Kernel Configuration\n#\n");

	for (size_t i = 0; i < KCONFIG_FEATURES; i++) {
		for (const char *s = kconfig_features[i].symbols; *s;) {
			size_t len = strcspn(s, " |");

			n += (size_t)snprintf(text + n, ROOM - n, "CONFIG_%.*s=%c\n", (int)len, s, value);
			s += len + strspn(s + len, " |");
		}
	}
	assert_true(n < ROOM);
	return text;
}

static void everything_built_in(void **state)
{
	_free_ char *text = whole('y');
	struct kconfig_report r;

	(void)state;
	check(text, &r);
	assert_string_equal(r.release, "6.1.192-x");
	assert_int_equal(r.lacks, 0);
	for (size_t i = 0; i < KCONFIG_FEATURES; i++) {
		assert_int_equal(r.rows[i].state, KCONFIG_BUILTIN);
		assert_string_equal(r.rows[i].missing, "");
	}
}

static void modules_come_too_late_for_some(void **state)
{
	_free_ char *text = whole('m');
	struct kconfig_report r;

	(void)state;
	check(text, &r);
	for (size_t i = 0; i < KCONFIG_FEATURES; i++)
		assert_int_equal(r.rows[i].state, kconfig_features[i].early ? KCONFIG_NO : KCONFIG_MODULE);
	assert_string_equal(r.rows[feature("virtio-pci")].missing, "PCI VIRTIO_PCI");
}

static void each_line_counts(void **state)
{
	_free_ char *text = whole('y');
	struct kconfig_report r;

	(void)state;
	/* Without any one of the features: whoever needs it lacks it, and nobody else. */
	for (size_t i = 0; i < KCONFIG_FEATURES; i++) {
		_free_ char *less = strdup(text);
		const char *s = kconfig_features[i].symbols;
		char name[64];
		uint8_t lacks = kconfig_features[i].needed;

		for (size_t len; *s; s += len + strspn(s + len, " |")) {
			char *line;

			len = strcspn(s, " |");
			(void)snprintf(name, sizeof(name), "\nCONFIG_%.*s=", (int)len, s);
			while ((line = strstr(less, name)))
				memcpy(line + 1, "# ", 2);
		}
		check(less, &r);
		assert_int_equal(r.rows[i].state, KCONFIG_NO);
		/* A symbol may stand in several lines of the table. */
		for (size_t j = 0; j < KCONFIG_FEATURES; j++)
			lacks |= r.rows[j].state == KCONFIG_NO ? kconfig_features[j].needed : 0;
		assert_int_equal(r.lacks, lacks);
		assert_true((r.lacks & kconfig_features[i].needed) == kconfig_features[i].needed);
	}
}

static void as_the_kernel_reads_it(void **state)
{
	struct kconfig_report r;

	(void)state;
	check("CONFIG_PVH=y\nCONFIG_PVH=n\n", &r);
	assert_int_equal(r.rows[feature("pvh")].state, KCONFIG_NO);
	check("CONFIG_PVH=n\nCONFIG_PVH=y", &r);
	assert_int_equal(r.rows[feature("pvh")].state, KCONFIG_BUILTIN);
	check("# CONFIG_PVH is not set\nCONFIG_PVHX=y\nXCONFIG_PVH=y\nCONFIG_PVH=yes\nCONFIG_PVH\n", &r);
	assert_int_equal(r.rows[feature("pvh")].state, KCONFIG_NO);
	check("CONFIG_SQUASHFS=m\n", &r);
	assert_int_equal(r.rows[feature("read-only root")].state, KCONFIG_MODULE);
	check("CONFIG_SQUASHFS=m\nCONFIG_EROFS_FS=y\n", &r);
	assert_int_equal(r.rows[feature("read-only root")].state, KCONFIG_BUILTIN);
	assert_string_equal(r.release, "");
}

static void others_are_refused(void **state)
{
	static const char zero[] = "CONFIG_PVH=y\n\0CONFIG_SMP=y\n";
	struct kconfig_report r;
	struct err e = { 0 };
	_free_ char *large = malloc(KCONFIG_MAX + 1);

	(void)state;
	assert_int_equal(kconfig_check("", 0, &r, &e), -EINVAL);
	assert_int_equal(kconfig_check("#!/bin/sh\n", 10, &r, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "no line"));
	assert_int_equal(kconfig_check(zero, sizeof(zero) - 1, &r, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "unpacked"));
	memset(large, 'x', KCONFIG_MAX + 1);
	assert_int_equal(kconfig_check(large, KCONFIG_MAX + 1, &r, &e), -EINVAL);
	/* What a terminal should not see is not taken from the head. */
	check("# Linux/x86 6.1\033[2J Kernel Configuration\nCONFIG_PVH=y\n", &r);
	assert_string_equal(r.release, "6.1");
}

/* The configuration that we ship has all that we ask of others, useful things included. */
static void ours_has_it_all(void **state)
{
	_free_ char *text = malloc(ROOM);
	struct kconfig_report r;
	long n = fd_read_file(AT_FDCWD, "deploy/guest/kernel/config", text, ROOM);

	(void)state;
	assert_true(n > 0);
	check(text, &r);
	for (size_t i = 0; i < KCONFIG_FEATURES; i++) {
		if ((kconfig_features[i].needed | kconfig_features[i].useful) & KCONFIG_PLAIN && r.rows[i].state != KCONFIG_BUILTIN)
			fail_msg("%s: %s", kconfig_features[i].name, r.rows[i].missing);
	}
	assert_int_equal(r.lacks & KCONFIG_PLAIN, 0);
}

static void names(void **state)
{
	(void)state;
	for (int i = 0; i < KCONFIG_USERS; i++)
		assert_int_equal(kconfig_user_parse(kconfig_user_name((enum kconfig_user)i)), i);
	assert_int_equal(kconfig_user_parse("xen"), -EINVAL);
	assert_string_equal(kconfig_state_name(KCONFIG_MODULE), "module");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_built_in),	 cmocka_unit_test(modules_come_too_late_for_some), cmocka_unit_test(each_line_counts),
		cmocka_unit_test(as_the_kernel_reads_it), cmocka_unit_test(others_are_refused),		   cmocka_unit_test(ours_has_it_all),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
