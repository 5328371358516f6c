/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_CGROUP_H
#define NETSETUP_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cgroups;
struct err;

/*
 * One control group per slot, as far as the host has and lets us use the controllers: version 2, and version 1
 * hierarchies for those controllers that only they have. cgroups_caps() tells what is missing.
 */

#define CGROUP_TASKS_MAX 3 /* version 1 hierarchies: memory, pids, cpu */

/** struct cgroup_limits - 0 = none */
struct cgroup_limits {
	uint64_t memory_bytes;
	uint32_t cpu_percent, pids;
};

/**
 * struct cgroup_place - where a new process goes; all FDs are owned by the holder
 * @dir_fd:   for CLONE_INTO_CGROUP; -1 without version 2
 * @tasks_fd: the child writes "0" into each, before it changes its uid
 */
struct cgroup_place {
	int dir_fd;
	int tasks_fd[CGROUP_TASKS_MAX];
	size_t ntasks;
};

/**
 * cgroups_open() - find out what there is and make our own group under the group this process is in
 *
 * Never fails for what the host lacks. Return: NULL only without memory.
 */
struct cgroups *cgroups_open(void);

/** cgroups_find() - the same from the text of /proc/self/mountinfo and /proc/self/cgroup */
struct cgroups *cgroups_find(const char *mounts, const char *groups);

/** cgroups_any() - true if there are groups that will have to be removed */
bool cgroups_any(const struct cgroups *cg);

/** cgroups_caps() - NETD_CAP_MEMORY, _CPU, _PIDS, _CGROUP_KILL that are there */
uint32_t cgroups_caps(const struct cgroups *cg);

/**
 * cgroups_add() - make group @name with limits. Limits without a controller are ignored
 *
 * Return: 0, or negative with @e
 */
int cgroups_add(struct cgroups *cg, const char *name, const struct cgroup_limits *limits,
		struct cgroup_place *place, struct err *e);

/** cgroups_change() - other limits for group @name, which exists; 0 leaves one as it is. Return: 0, or negative with @e */
int cgroups_change(struct cgroups *cg, const char *name, const struct cgroup_limits *limits, struct err *e);

/** cgroup_place_finish() - close the FDs */
void cgroup_place_finish(struct cgroup_place *place);

/** cgroups_oom_kills() - processes that the memory limit has ended in @name */
unsigned cgroups_oom_kills(struct cgroups *cg, const char *name);

/** cgroups_kill() - SIGKILL to everything in @name. Return: true if a group exists to do it through */
bool cgroups_kill(struct cgroups *cg, const char *name);

/** cgroups_remove() - remove @name. Return: true when nothing is left of it, false while processes are ending */
bool cgroups_remove(struct cgroups *cg, const char *name);

/**
 * cgroups_bury() - end what still runs in our groups and remove all of them, the one above the slots included
 *
 * Blocks, up to some seconds. Needs CAP_DAC_OVERRIDE where our group stands in a root group (mode 0555), see
 * undertaker.h.
 */
void cgroups_bury(struct cgroups *cg);

/** cgroups_leave() - move this process back to where it came from */
void cgroups_leave(struct cgroups *cg);

/** cgroups_close() - close the FDs; the groups stay. Returns NULL */
struct cgroups *cgroups_close(struct cgroups *cg);

#endif
