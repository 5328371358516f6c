/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_AGENT_ENTRY_H
#define HV_AGENT_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/*
 * What an imported image says of its programs: as whom they run, where, in which environment, and which one is its own. Written by `terrarium image
 * import` onto the root disk, under the same hash tree as all the rest; read by terrarium-agent in the guest.
 *
 * Text, one thing a line, "word value": uid, gid, group, cwd, env, arg; of the last four words group, env and arg may come again. In a value \n
 * stands for a line feed and \\ for a backslash.
 */
#define ENTRY_PATH	 "/usr/lib/terrarium/entry"
#define ENTRY_MAX	 (64U << 10) /* bytes of the text */
#define ENTRY_GROUPS_MAX 32
#define ENTRY_WORDS_MAX	 256 /* variables; words of the command */

/**
 * struct entry - @env, @argv: end with a NULL; they and @cwd point into @text after entry_decode(), and are borrowed for entry_encode()
 */
struct entry {
	uint32_t uid, gid, groups[ENTRY_GROUPS_MAX];
	size_t ngroups;
	char *cwd;
	char *env[ENTRY_WORDS_MAX + 1], *argv[ENTRY_WORDS_MAX + 1];
	char text[ENTRY_MAX + 1];
};

/** entry_decode() - Return: 0, or -EINVAL: not such a text. The directory is absolute, each variable has a name and a '=' */
int entry_decode(struct entry *out, const char *text, size_t len);

/** entry_encode() - append the text of @e. Return: 0; -EINVAL when entry_decode() would refuse it; -ENOSPC, -ENOMEM */
int entry_encode(const struct entry *e, struct buf *out);

/** entry_load() - read the guest's. Return: 0; -ENOENT: this is no such image; another negative errno */
int entry_load(struct entry *out, const char *path);

/**
 * entry_enter() - become what the image says: groups, user, environment. The directory is left to the caller, as is what runs
 *
 * HOME, USER, LOGNAME and SHELL come from the guest's /etc/passwd where the image does not set them, more groups from its /etc/group. Return: 0 or -errno; the process should end
 * then.
 */
int entry_enter(const struct entry *e);

/** entry_own() - the terminal @fd is the user's from now on, as login(1) would make it. Before entry_enter(). Return: 0 or -errno */
int entry_own(const struct entry *e, int fd);

#endif
