/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_RING_DIR_H
#define GATEWAY_RING_DIR_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/*
 * Rings that nobody else holds, as files: a console's memfd lives on in the helper when this process dies, but shells come and go without
 * the helper. Mapped shared, such a file loses nothing to a SIGKILL either. It need not outlive the host, so a directory in memory will do.
 *
 * Every file is named after its stream. All its blocks are taken when it is made: a full disk refuses the next shell, and never ends us by SIGBUS.
 */

/** ring_dir_prepare() - make the directory, mode 0700, if it is not there. Return: 0 or negative with @e */
int ring_dir_prepare(const char *dir, struct err *e);

/** ring_dir_create() - a new ring of zeroes, mode 0600. Return: an FD, or -errno: -ENOSPC, -EEXIST */
int ring_dir_create(const char *dir, const char *name, uint32_t bytes);

/** ring_dir_open() - one that is there. Return: an FD with its size in @bytes, or -errno */
int ring_dir_open(const char *dir, const char *name, uint32_t *bytes);

/** ring_dir_remove() - its memory goes when nobody has it mapped any more. Not an error if it is not there */
void ring_dir_remove(const char *dir, const char *name);

/** ring_dir_sweep() - remove every ring that is not @known(); other files are left alone */
void ring_dir_sweep(const char *dir, bool (*known)(void *arg, const char *name), void *arg);

#endif
