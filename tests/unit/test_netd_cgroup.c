/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups on a directory tree that behaves as the kernel's: mkdirat() and unlinkat() are stand-ins that
 * make and remove the files of a group. So both versions are tested wherever the tests run; with real ones the
 * stories do it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "netsetup/cgroup.h"
#include "netsetup/proto.h"

static char top[64];
static bool
	leaf_first; /* as where other processes share our group: controllers can be given on only after we left it */

static void put_file(int dir_fd, const char *dir, const char *name, const char *text)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	(void)close(fd);
}

static const char *const v1_files[] = {
	"tasks",    "cgroup.procs", "memory.limit_in_bytes", "memory.oom_control", "cpu.cfs_quota_us",
	"pids.max", NULL,
};
static const char *const v2_files[] = {
	"cgroup.procs",	      "cgroup.kill",
	"cgroup.controllers", "cgroup.subtree_control",
	"memory.max",	      "memory.swap.max",
	"memory.events",      "cpu.max",
	"pids.max",	      NULL,
};

static bool is_v2(int dir_fd)
{
	char path[64], real[256];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
	n = readlink(path, real, sizeof(real) - 1);
	real[n > 0 ? n : 0] = '\0';
	return strstr(real, "/v2") != NULL;
}

int mkdirat(int dir_fd, const char *path, mode_t mode)
{
	bool v2 = is_v2(dir_fd);

	if (syscall(SYS_mkdirat, dir_fd, path, mode) < 0)
		return -1;
	for (const char *const *f = v2 ? v2_files : v1_files; *f; f++)
		put_file(dir_fd, path, *f, strcmp(*f, "cgroup.controllers") == 0 ? "cpu memory pids\n" : "");
	if (leaf_first && strcmp(path, "helper") == 0)
		put_file(dir_fd, "..", "cgroup.subtree_control", "");
	return 0;
}

int unlinkat(int dir_fd, const char *path, int flags)
{
	if (flags & AT_REMOVEDIR)
		for (const char *const *f = is_v2(dir_fd) ? v2_files : v1_files; *f; f++) {
			char file[300];

			(void)snprintf(file, sizeof(file), "%s/%s", path, *f);
			(void)syscall(SYS_unlinkat, dir_fd, file, 0);
		}
	return (int)syscall(SYS_unlinkat, dir_fd, path, flags);
}

static void make_group(const char *path, const char *controllers, bool can_give_on)
{
	char full[128];

	(void)snprintf(full, sizeof(full), "%s/%s", top, path);
	assert_int_equal(syscall(SYS_mkdirat, AT_FDCWD, full, 0755), 0);
	put_file(AT_FDCWD, full, "cgroup.procs", "");
	if (!controllers)
		return;
	put_file(AT_FDCWD, full, "cgroup.controllers", controllers);
	if (can_give_on)
		put_file(AT_FDCWD, full, "cgroup.subtree_control", "");
}

static const char *content(const char *path)
{
	static char text[256];
	char full[256];

	(void)snprintf(full, sizeof(full), "%s/%s", top, path);
	return fd_read_file(AT_FDCWD, full, text, sizeof(text)) < 0 ? NULL : text;
}

static bool exists(const char *path)
{
	char full[256];

	(void)snprintf(full, sizeof(full), "%s/%s", top, path);
	return access(full, F_OK) == 0;
}

static int setup(void **state)
{
	(void)state;
	leaf_first = false;
	(void)snprintf(top, sizeof(top), "/tmp/test-cgroup.XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Mount tables as in /proc/self/mountinfo, with @top as the place of all hierarchies. */
static struct cgroups *find(const char *mounts_fmt, const char *groups)
{
	char mounts[1024], *at = mounts;

	for (const char *c = mounts_fmt; *c; c++)
		at += *c == '@' ? snprintf(at, 100, "%s", top) : snprintf(at, 2, "%c", *c);
	return cgroups_find(mounts, groups);
}

static const char v2_mount[] =
	"22 1 0:5 / / rw - ext4 /dev/vda rw\n30 22 0:26 / @/v2 rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
static const struct cgroup_limits limits = { .memory_bytes = 1 << 20, .cpu_percent = 150, .pids = 7 };

static void version_2(void **state)
{
	struct cgroup_place place;
	struct cgroups *cg;

	(void)state;
	make_group("v2", "cpu io memory pids\n", true);
	make_group("v2/unit", "cpu memory pids\n", true);
	cg = find(v2_mount, "0::/unit\n");
	assert_true(cgroups_any(cg));
	assert_int_equal(cgroups_caps(cg), NETD_CAP_CPU | NETD_CAP_MEMORY | NETD_CAP_PIDS | NETD_CAP_CGROUP_KILL);
	assert_int_equal(cgroups_add(cg, "slot-1", &limits, &place, NULL), 0);
	assert_true(place.dir_fd >= 0);
	assert_int_equal(place.ntasks, 0);
	assert_string_equal(content("v2/unit/terrarium-0/slot-1/memory.max"), "1048576");
	assert_string_equal(content("v2/unit/terrarium-0/slot-1/memory.swap.max"), "0");
	assert_string_equal(content("v2/unit/terrarium-0/slot-1/cpu.max"), "150000 100000");
	assert_string_equal(content("v2/unit/terrarium-0/slot-1/pids.max"), "7");
	assert_int_equal(cgroups_change(cg, "slot-1", &(struct cgroup_limits){ .memory_bytes = 1 << 21 }, NULL), 0);
	assert_string_equal(content("v2/unit/terrarium-0/slot-1/memory.max"), "2097152");
	assert_string_equal(content("v2/unit/terrarium-0/slot-1/cpu.max"), "150000 100000"); /* 0 leaves it */
	assert_true(cgroups_change(cg, "slot-2", &limits, NULL) < 0);
	put_file(place.dir_fd, ".", "memory.events",
		 "low 0\nhigh 0\nmax 8\noom 2\noom_kill 3\noom_group_kill 0\n");
	assert_int_equal(cgroups_oom_kills(cg, "slot-1"), 3);
	assert_true(cgroups_kill(cg, "slot-1"));
	assert_string_equal(content("v2/unit/terrarium-0/slot-1/cgroup.kill"), "1");
	cgroup_place_finish(&place);
	assert_true(cgroups_remove(cg, "slot-1"));
	assert_false(exists("v2/unit/terrarium-0/slot-1"));
	assert_true(cgroups_remove(cg, "slot-1"));
	cgroups_bury(cg);
	assert_false(exists("v2/unit/terrarium-0"));
	(void)cgroups_close(cg);
}

/* A unit of its own: this process has to stand in a leaf before controllers can be given on. */
static void own_leaf(void **state)
{
	struct cgroups *cg;

	(void)state;
	leaf_first = true;
	make_group("v2", "cpu memory pids\n", true);
	make_group("v2/unit", "cpu memory pids\n", false);
	cg = find(v2_mount, "0::/unit\n");
	assert_int_equal(cgroups_caps(cg), NETD_CAP_CPU | NETD_CAP_MEMORY | NETD_CAP_PIDS | NETD_CAP_CGROUP_KILL);
	assert_int_equal(content("v2/unit/cgroup.subtree_control")[0], '+');
	assert_true(exists("v2/unit/terrarium-0/helper"));
	assert_string_equal(content("v2/unit/terrarium-0/helper/cgroup.procs"), "0");
	cgroups_bury(cg);
	assert_false(exists("v2/unit/terrarium-0"));
	(void)cgroups_close(cg);
}

static void version_1(void **state)
{
	static const char mounts[] =
		"30 22 0:26 / @/v2 rw - cgroup2 cgroup2 rw\n"
		"31 22 0:27 /docker/x @/memory rw - cgroup cgroup rw,memory\n"
		"32 22 0:28 / @/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
		"33 22 0:29 / @/pids rw - cgroup cgroup rw,pids\n";
	struct cgroup_place place;
	struct cgroups *cg;

	(void)state;
	make_group("v2", "hugetlb\n", true);
	make_group("memory", NULL, false);
	make_group("memory/a", NULL, false);
	make_group("cpu", NULL, false);
	cg = find(mounts, "5:pids:/gone\n4:cpu,cpuacct:/\n3:memory:/docker/x/a\n1:name=systemd:/\n0::/\n");
	/* No directory for pids. The second version has no controller of use, but cgroup.kill. */
	assert_int_equal(cgroups_caps(cg), NETD_CAP_CPU | NETD_CAP_MEMORY | NETD_CAP_CGROUP_KILL);
	assert_int_equal(cgroups_add(cg, "slot-9", &limits, &place, NULL), 0);
	assert_true(place.dir_fd >= 0);
	assert_int_equal(place.ntasks, 2);
	assert_string_equal(content("memory/a/terrarium-0/slot-9/memory.limit_in_bytes"), "1048576");
	assert_string_equal(content("memory/a/terrarium-0/slot-9/cpu.cfs_quota_us"), "");
	assert_string_equal(content("cpu/terrarium-0/slot-9/cpu.cfs_quota_us"), "150000");
	assert_string_equal(content("v2/terrarium-0/slot-9/memory.max"), "");
	cgroup_place_finish(&place);
	assert_true(cgroups_remove(cg, "slot-9"));
	cgroups_bury(cg);
	assert_false(exists("memory/a/terrarium-0") || exists("cpu/terrarium-0") || exists("v2/terrarium-0"));
	(void)cgroups_close(cg);
}

static void nothing_there(void **state)
{
	static const char *const tables[][2] = {
		{ "", "" },
		{ "garbage\n\n - cgroup2 x\n30 22 0:26 / @/v2 rw - cgroup2", "0::/\n:::\n\n" },
		{ "30 22 0:26 / @/missing rw - cgroup2 cgroup2 rw\n", "0::/\n" },
		{ "30 22 0:26 /other @/v2 rw - cgroup2 cgroup2 rw\n", "0::/mine\n" },
		{ "31 22 0:27 / @/v2 rw - cgroup cgroup rw,name=systemd\n", "1:name=systemd:/\n" },
	};
	struct cgroup_place place;

	(void)state;
	make_group("v2", "cpu memory pids\n", true);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct cgroups *cg = find(tables[i][0], tables[i][1]);

		assert_non_null(cg);
		assert_false(cgroups_any(cg));
		assert_int_equal(cgroups_caps(cg), 0);
		assert_int_equal(cgroups_add(cg, "slot-1", &limits, &place, NULL), 0);
		assert_int_equal(place.dir_fd, -1);
		assert_false(cgroups_kill(cg, "slot-1"));
		assert_true(cgroups_remove(cg, "slot-1"));
		(void)cgroups_close(cg);
	}
}

/* Helpers beside each other have groups of their own; what a dead one left is taken over. */
static void neighbours(void **state)
{
	struct cgroups *one, *two, *three;
	struct cgroup_place place;

	(void)state;
	make_group("v2", "cpu memory pids\n", true);
	one = find(v2_mount, "0::/\n");
	two = find(v2_mount, "0::/\n");
	assert_true(exists("v2/terrarium-0") && exists("v2/terrarium-1"));
	assert_int_equal(cgroups_add(one, "slot-4", &limits, &place, NULL), 0);
	cgroup_place_finish(&place);
	/* It dies with a group in use. */
	(void)cgroups_close(one);
	assert_true(exists("v2/terrarium-0/slot-4"));
	three = find(v2_mount, "0::/\n");
	assert_false(exists("v2/terrarium-0/slot-4"));
	assert_false(exists("v2/terrarium-2"));
	cgroups_bury(three);
	cgroups_bury(two);
	assert_false(exists("v2/terrarium-0") || exists("v2/terrarium-1"));
	(void)cgroups_close(two);
	(void)cgroups_close(three);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(version_2, setup, teardown),
		cmocka_unit_test_setup_teardown(own_leaf, setup, teardown),
		cmocka_unit_test_setup_teardown(version_1, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_there, setup, teardown),
		cmocka_unit_test_setup_teardown(neighbours, setup, teardown),
	};

	return cmocka_run_group_tests_name("netd_cgroup", tests, NULL, NULL);
}
