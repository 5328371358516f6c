/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_STANDBY_H
#define GATEWAY_STANDBY_H

#include <stdint.h>
#include <sys/uio.h>

#include "hv/hv.h"

/*
 * What is kept of a machine that was put aside, in files of a directory that only this program may enter: ID.memory, written by its VMM; ID.ring, its
 * console's output; ID.json, what it takes to wake it. Without the last there is nothing.
 */
struct err;

#define STANDBY_VMM_BYTES 96
#define STANDBY_PATH_BYTES 512

/** struct standby_meta - @vmm: for hv_vm_wake(); @key: of hv_vm_wake_key(); @bytes: of the memory file */
struct standby_meta {
	char vmm[STANDBY_VMM_BYTES];
	uint64_t key, bytes;
	uint32_t ring_bytes;
};

/** standby_prepare() - make the directory. Return: 0 or negative with @e */
int standby_prepare(const char *dir, struct err *e);

/** standby_begin() - an empty file for the memory of @id; @bytes: how much there must be room for. Return: FD, or negative with @e: -ENOSPC */
int standby_begin(const char *dir, const char *id, uint64_t bytes, struct err *e);

/** standby_commit() - the memory is written: keep the ring, too, and then the note of both. Return: 0 or negative with @e; nothing is left then */
int standby_commit(const char *dir, const char *id, const struct iovec ring[2], struct standby_meta *meta, struct err *e);

/** standby_open() - Return: FD of the memory, with *@meta; or negative: there is nothing, or it is damaged */
int standby_open(const char *dir, const char *id, struct standby_meta *meta);

/** standby_ring() - put what was kept of the ring into @ring_fd of @bytes. Return: 0 or negative */
int standby_ring(const char *dir, const char *id, int ring_fd, uint32_t bytes);

/** standby_drop() - forget; idempotent */
void standby_drop(const char *dir, const char *id);

#endif
