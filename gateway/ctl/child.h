/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_CHILD_H
#define GATEWAY_CTL_CHILD_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/**
 * struct child - a program of somebody else's that works on foreign data
 * @argv:    by PATH, ends with a NULL
 * @home:    its folder for temporary files; all of its environment beside PATH
 * @log:     file that gets what it prints; its last line becomes the reason of a failure
 * @watched: folder that may grow to @bytes_max and @files_max; what is in it is counted every second
 * @alone:   in a user namespace of its own, where it is root over its own files only, and without a network
 * @uid:     who it runs as, with no privilege and no group; 0 = as the caller
 */
struct child {
	const char *const *argv;
	const char *home, *log, *watched;
	uint64_t bytes_max, files_max;
	uint32_t timeout_s, uid;
	bool alone;
};

/** child_run() - start it and wait; it and all of its group are killed when time or room are used up. Return: 0, or negative with @e */
int child_run(const struct child *c, struct err *e);

/** child_measure() - bytes and names below a folder, links not followed. Return: 0 or -errno */
int child_measure(const char *folder, uint64_t *bytes, uint64_t *files);

/** child_remove() - a folder with all that is in it, links not followed, no other file system entered */
void child_remove(const char *folder);

#endif
