/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "netsetup/proto.h"

/*
 * Theory of operation
 *
 * In every usable hierarchy there is <group of this process>/terrarium-N, held by a lock on its directory, and
 * in it one group per slot. N is the first free number, so several helpers live side by side and what a killed
 * one left is taken over and cleaned.
 *
 * Version 2 lets only leaves hold processes: if controllers must be switched on, this process first moves into
 * terrarium-N/helper, which works when nobody else is in its group (a systemd unit with Delegate=yes).
 * Elsewhere the controllers count as missing.
 */
#define OWN_MAX	      64   /* helpers beside each other */
#define HIERARCHIES   4	   /* version 2, and version 1 memory, pids, cpu */
#define TABLE_BYTES   65536 /* of mountinfo; longer ones are cut */
#define CPU_PERIOD_US 100000
#define HELPER	      "helper"
#define BURY_STEPS    200 /* of BURY_STEP_MS: processes die in milliseconds, or hang in the kernel for ever */
#define BURY_STEP_MS  10

struct hierarchy {
	bool v2, left_parent;
	uint32_t caps;
	int parent_fd, base_fd; /* owned: the group of this process; ours in it */
};

struct cgroups {
	struct hierarchy h[HIERARCHIES];
	size_t count;
	char own[24];
};

struct controller {
	const char *name;
	uint32_t cap;
};

static const struct controller controllers[] = {
	{ "memory", NETD_CAP_MEMORY }, { "pids", NETD_CAP_PIDS }, { "cpu", NETD_CAP_CPU },
};
#define CONTROLLERS (sizeof(controllers) / sizeof(controllers[0]))

static int write_at(int dir_fd, const char *path, const char *text)
{
	_close_ int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

static int open_dir(int at, const char *path)
{
	return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool has_word(const char *list, const char *word, const char *separators)
{
	size_t n = strlen(word);

	for (const char *at = list; *at; at += strspn(at, separators)) {
		size_t len = strcspn(at, separators);

		if (len == n && memcmp(at, word, n) == 0)
			return true;
		at += len;
	}
	return false;
}

/* --- finding hierarchies --- */

/* Path of this process in the hierarchy of @controller (NULL: version 2), from lines "4:memory:/path". */
static bool own_path(const char *table, const char *controller, char *out, size_t size)
{
	for (const char *line = table; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
		char list[128];
		size_t n, len;

		if (!path)
			return false;
		n = (size_t)(path - names - 1);
		if (n >= sizeof(list))
			continue;
		memcpy(list, names + 1, n);
		list[n] = '\0';
		if (controller ? !has_word(list, controller, ",") : n != 0)
			continue;
		len = strcspn(path + 1, "\n");
		if (len >= size)
			return false;
		memcpy(out, path + 1, len);
		out[len] = '\0';
		return true;
	}
	return false;
}

/* Directory of @path by a line of mountinfo: "36 35 0:31 /root /mount/point opts - cgroup cgroup rw,memory". */
static int open_mounted(const char *line, const char *path)
{
	char root[512], point[512], full[1100];
	size_t n;

	if (sscanf(line, "%*d %*d %*s %511s %511s", root, point) != 2)
		return -1;
	n = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(path, root, n) != 0)
		return -1;
	(void)snprintf(full, sizeof(full), "%s%s", point, path + n);
	return open_dir(AT_FDCWD, full);
}

/* The directory of this process's group, by @controller of version 1 or, with NULL, in version 2. */
static int find_parent(const char *mounts, const char *groups, const char *controller)
{
	char path[512];

	if (!own_path(groups, controller, path, sizeof(path)))
		return -1;
	for (const char *line = mounts; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		char text[1024], *kind, *type_end;
		size_t len = strcspn(line, "\n");
		int fd;

		if (len >= sizeof(text))
			continue;
		memcpy(text, line, len);
		text[len] = '\0';
		kind = strstr(text, " - cgroup");
		type_end = kind ? strchr(kind + 3, ' ') : NULL;
		if (!type_end || (strncmp(kind, " - cgroup2 ", 11) == 0) != !controller)
			continue;
		/* The last word holds the options of the hierarchy, its controllers among them. */
		if (controller && !has_word(strrchr(text, ' ') + 1, controller, ","))
			continue;
		fd = open_mounted(text, path);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

/* --- our own group --- */

/*
 * Version 1 has no cgroup.kill: one signal for each process; what forks meanwhile is caught when the caller
 * asks again.
 */
static void kill_each(int base_fd, const char *name)
{
	char path[300], text[32768], *at = text;
	long n;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", name);
	n = fd_read_file(base_fd, path, text, sizeof(text));
	/* A list that is too long comes in parts, as the first ones die. */
	text[n >= 0 ? n : (long)sizeof(text) - 1] = '\0';
	while (n >= 0 || n == -EFBIG) {
		char *end;
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		/* 0 is a process that this pid namespace cannot name. */
		if (pid > 1)
			(void)kill((pid_t)pid, SIGKILL);
		at = end;
	}
}

static void kill_group(int base_fd, const char *name, bool v2)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/cgroup.kill", name);
	if (!v2 || write_at(base_fd, path, "1") < 0)
		kill_each(base_fd, name);
}

/* Ends what runs in the slots' groups inside @base_fd and removes them. Return: true when none is left */
static bool empty_groups(int base_fd, bool v2)
{
	int copy = openat(base_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *d;
	bool empty = true;

	if (!dir) {
		(void)fd_close(copy);
		return false;
	}
	while ((d = readdir(dir))) {
		if (d->d_type != DT_DIR || d->d_name[0] == '.' || strcmp(d->d_name, HELPER) == 0)
			continue;
		if (unlinkat(base_fd, d->d_name, AT_REMOVEDIR) == 0)
			continue;
		kill_group(base_fd, d->d_name, v2);
		empty = unlinkat(base_fd, d->d_name, AT_REMOVEDIR) == 0 && empty;
	}
	(void)closedir(dir);
	return empty;
}

/* Makes or takes over @name under @parent_fd. Return: locked FD, or -1 if it is another's or not allowed. */
static int take_base(int parent_fd, const char *name, bool v2)
{
	struct stat mine, there;
	_close_ int fd = -1;

	if (mkdirat(parent_fd, name, 0755) < 0 && errno != EEXIST)
		return -1;
	fd = open_dir(parent_fd, name);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -1;
	/* Its last owner may have removed it between our two steps. */
	if (fstat(fd, &mine) < 0 || fstatat(parent_fd, name, &there, 0) < 0 || mine.st_ino != there.st_ino)
		return -1;
	(void)empty_groups(fd, v2);
	(void)unlinkat(fd, HELPER, AT_REMOVEDIR);
	return fd_take(&fd);
}

/* Switches on in @dir_fd those controllers that it has; returns their capabilities. */
static uint32_t enable_controllers(int dir_fd)
{
	char have[256], word[32];
	uint32_t caps = 0;

	if (fd_read_file(dir_fd, "cgroup.controllers", have, sizeof(have)) < 0)
		return 0;
	for (size_t i = 0; i < CONTROLLERS; i++) {
		if (!has_word(have, controllers[i].name, " \n"))
			continue;
		(void)snprintf(word, sizeof(word), "+%s", controllers[i].name);
		if (write_at(dir_fd, "cgroup.subtree_control", word) == 0)
			caps |= controllers[i].cap;
	}
	return caps;
}

static bool any_controller(int dir_fd)
{
	char have[256];

	if (fd_read_file(dir_fd, "cgroup.controllers", have, sizeof(have)) < 0)
		return false;
	for (size_t i = 0; i < CONTROLLERS; i++)
		if (has_word(have, controllers[i].name, " \n"))
			return true;
	return false;
}

static void open_v2(struct hierarchy *h)
{
	if (any_controller(h->parent_fd)) {
		uint32_t caps = enable_controllers(h->parent_fd);

		if (!caps && mkdirat(h->base_fd, HELPER, 0755) == 0) {
			h->left_parent = write_at(h->base_fd, HELPER "/cgroup.procs", "0") == 0;
			caps = enable_controllers(h->parent_fd);
		}
		if (caps)
			h->caps = enable_controllers(h->base_fd);
	}
	if (faccessat(h->base_fd, "cgroup.kill", W_OK, AT_EACCESS) == 0)
		h->caps |= NETD_CAP_CGROUP_KILL;
}

/* The number is chosen in the first hierarchy that can be written; the lock there speaks for all. */
static bool choose_own(struct cgroups *cg, struct hierarchy *h)
{
	if (cg->own[0]) {
		h->base_fd = take_base(h->parent_fd, cg->own, h->v2);
		return h->base_fd >= 0;
	}
	for (unsigned n = 0; n < OWN_MAX; n++) {
		(void)snprintf(cg->own, sizeof(cg->own), "terrarium-%u", n);
		h->base_fd = take_base(h->parent_fd, cg->own, h->v2);
		if (h->base_fd >= 0)
			return true;
		if (errno == EACCES || errno == EROFS || errno == EPERM)
			break;
	}
	cg->own[0] = '\0';
	return false;
}

static void add_hierarchy(struct cgroups *cg, int parent_fd, bool v2, uint32_t caps)
{
	struct hierarchy *h = &cg->h[cg->count];

	*h = (struct hierarchy){ .v2 = v2, .caps = caps, .parent_fd = parent_fd, .base_fd = -1 };
	if (parent_fd < 0 || !choose_own(cg, h)) {
		h->parent_fd = fd_close(parent_fd);
		return;
	}
	cg->count++;
	if (v2)
		open_v2(h);
}

struct cgroups *cgroups_find(const char *mounts, const char *groups)
{
	struct cgroups *cg = calloc(1, sizeof(*cg));

	if (!cg)
		return NULL;
	add_hierarchy(cg, find_parent(mounts, groups, NULL), true, 0);
	for (size_t i = 0; i < CONTROLLERS; i++)
		if (!(cgroups_caps(cg) & controllers[i].cap))
			add_hierarchy(cg, find_parent(mounts, groups, controllers[i].name), false,
				      controllers[i].cap);
	return cg;
}

struct cgroups *cgroups_open(void)
{
	_free_ char *mounts = calloc(1, TABLE_BYTES), *groups = calloc(1, TABLE_BYTES);

	if (!mounts || !groups)
		return NULL;
	/* What cannot be read is empty, and nothing is found in it. */
	(void)fd_read_file(AT_FDCWD, "/proc/self/mountinfo", mounts, TABLE_BYTES - 1);
	(void)fd_read_file(AT_FDCWD, "/proc/self/cgroup", groups, TABLE_BYTES - 1);
	return cgroups_find(mounts, groups);
}

uint32_t cgroups_caps(const struct cgroups *cg)
{
	uint32_t caps = 0;

	for (size_t i = 0; i < cg->count; i++)
		caps |= cg->h[i].caps;
	return caps;
}

/* --- one group --- */

static int set_limit(int dir_fd, const char *file, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int set_limit(int dir_fd, const char *file, const char *fmt, ...)
{
	char text[64];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return write_at(dir_fd, file, text);
}

static int set_memory(int dir_fd, bool v2, uint64_t bytes)
{
	int r = set_limit(dir_fd, v2 ? "memory.max" : "memory.limit_in_bytes", "%llu", (unsigned long long)bytes);

	/* Without this the limit only moves the guest to swap. Not every kernel has the file. */
	if (r == 0 && v2)
		(void)set_limit(dir_fd, "memory.swap.max", "0");
	return r;
}

static int set_cpu(int dir_fd, bool v2, uint32_t percent)
{
	unsigned long long quota = (unsigned long long)percent * (CPU_PERIOD_US / 100);

	if (v2)
		return set_limit(dir_fd, "cpu.max", "%llu %d", quota, CPU_PERIOD_US);
	return set_limit(dir_fd, "cpu.cfs_quota_us", "%llu", quota);
}

static int set_limits(const struct hierarchy *h, int dir_fd, const struct cgroup_limits *l)
{
	int r = 0;

	if (l->memory_bytes && h->caps & NETD_CAP_MEMORY)
		r = set_memory(dir_fd, h->v2, l->memory_bytes);
	if (r == 0 && l->cpu_percent && h->caps & NETD_CAP_CPU)
		r = set_cpu(dir_fd, h->v2, l->cpu_percent);
	if (r == 0 && l->pids && h->caps & NETD_CAP_PIDS)
		r = set_limit(dir_fd, "pids.max", "%u", l->pids);
	return r;
}

static int add_in(const struct hierarchy *h, const char *name, const struct cgroup_limits *limits,
		  struct cgroup_place *place)
{
	_close_ int dir_fd = -1;
	int r;

	if (mkdirat(h->base_fd, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	dir_fd = open_dir(h->base_fd, name);
	if (dir_fd < 0)
		return -errno;
	r = set_limits(h, dir_fd, limits);
	if (r < 0)
		return r;
	if (h->v2) {
		place->dir_fd = fd_take(&dir_fd);
		return 0;
	}
	/*
	 * "tasks", not "cgroup.procs": a thread that moves itself need not wait for all others (a grace period
	 * each time).
	 */
	r = openat(dir_fd, "tasks", O_WRONLY | O_CLOEXEC);
	if (r < 0)
		return -errno;
	place->tasks_fd[place->ntasks++] = r;
	return 0;
}

int cgroups_add(struct cgroups *cg, const char *name, const struct cgroup_limits *limits,
		struct cgroup_place *place, struct err *e)
{
	int r = 0;

	*place = (struct cgroup_place){ .dir_fd = -1 };
	for (size_t i = 0; r == 0 && i < cg->count; i++)
		r = add_in(&cg->h[i], name, limits, place);
	if (r == 0)
		return 0;
	cgroup_place_finish(place);
	(void)cgroups_remove(cg, name);
	return err_set(e, r, "cannot set up control group %s/%s: %s", cg->own, name, strerror(-r));
}

int cgroups_change(struct cgroups *cg, const char *name, const struct cgroup_limits *limits, struct err *e)
{
	for (size_t i = 0; i < cg->count; i++) {
		_close_ int dir_fd = open_dir(cg->h[i].base_fd, name);
		int r = dir_fd < 0 ? -errno : set_limits(&cg->h[i], dir_fd, limits);

		if (r < 0)
			return err_set(e, r, "cannot change the limits of control group %s/%s: %s", cg->own, name, strerror(-r));
	}
	return 0;
}

void cgroup_place_finish(struct cgroup_place *place)
{
	place->dir_fd = fd_close(place->dir_fd);
	while (place->ntasks > 0)
		(void)fd_close(place->tasks_fd[--place->ntasks]);
}

unsigned cgroups_oom_kills(struct cgroups *cg, const char *name)
{
	for (size_t i = 0; i < cg->count; i++) {
		char path[64], text[512];
		const char *at;

		if (!(cg->h[i].caps & NETD_CAP_MEMORY))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", name,
			       cg->h[i].v2 ? "memory.events" : "memory.oom_control");
		if (fd_read_file(cg->h[i].base_fd, path, text, sizeof(text)) < 0)
			continue;
		at = strstr(text, "oom_kill ");
		return at ? (unsigned)strtoul(at + strlen("oom_kill "), NULL, 10) : 0;
	}
	return 0;
}

bool cgroups_kill(struct cgroups *cg, const char *name)
{
	if (cg->count == 0)
		return false;
	kill_group(cg->h[0].base_fd, name, cg->h[0].v2);
	return true;
}

bool cgroups_remove(struct cgroups *cg, const char *name)
{
	bool gone = true;

	for (size_t i = 0; i < cg->count; i++)
		if (unlinkat(cg->h[i].base_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			gone = false;
	return gone;
}

bool cgroups_any(const struct cgroups *cg)
{
	return cg->count > 0;
}

void cgroups_leave(struct cgroups *cg)
{
	for (size_t i = 0; i < cg->count; i++) {
		const struct hierarchy *h = &cg->h[i];

		if (!h->left_parent)
			continue;
		/* Processes may not be where controllers are given on; those were given on for us only. */
		for (size_t k = 0; k < CONTROLLERS; k++) {
			char word[32];

			(void)snprintf(word, sizeof(word), "-%s", controllers[k].name);
			(void)write_at(h->base_fd, "cgroup.subtree_control", word);
			(void)write_at(h->parent_fd, "cgroup.subtree_control", word);
		}
		(void)write_at(h->parent_fd, "cgroup.procs", "0");
	}
}

void cgroups_bury(struct cgroups *cg)
{
	const struct timespec pause = { .tv_nsec = BURY_STEP_MS * 1000000L };

	for (size_t i = 0; i < cg->count; i++)
		for (int n = 0; n < BURY_STEPS && !empty_groups(cg->h[i].base_fd, cg->h[i].v2); n++)
			(void)nanosleep(&pause, NULL);
	cgroups_leave(cg);
	for (size_t i = 0; i < cg->count; i++) {
		(void)unlinkat(cg->h[i].base_fd, HELPER, AT_REMOVEDIR);
		(void)unlinkat(cg->h[i].parent_fd, cg->own, AT_REMOVEDIR);
	}
}

struct cgroups *cgroups_close(struct cgroups *cg)
{
	for (size_t i = 0; cg && i < cg->count; i++) {
		(void)fd_close(cg->h[i].base_fd);
		(void)fd_close(cg->h[i].parent_fd);
	}
	free(cg);
	return NULL;
}
