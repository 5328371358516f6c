/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_UNDERTAKER_H
#define NETSETUP_UNDERTAKER_H

#include <sys/types.h>

struct cgroups;
struct err;

/*
 * A process that does nothing until the helper is gone, in whatever way, and then ends what is left in its
 * control groups and removes them. It keeps the one capability for that which the helper itself should not
 * have.
 */

/**
 * struct undertaker - @fd: owned; its other end is all that the undertaker listens to. Zeroed with fd -1 = none
 */
struct undertaker {
	pid_t pid;
	int fd;
};

/**
 * undertaker_start() - before threads, sockets and the loop exist: it shares what is open
 *
 * Return: 0 or negative with @e
 */
int undertaker_start(struct undertaker *u, struct cgroups *cg, struct err *e);

/** undertaker_finish() - let it do its work now and wait for it */
void undertaker_finish(struct undertaker *u);

#endif
