/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_MACHINE_DISKS_H
#define GATEWAY_MACHINE_DISKS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/hv.h"

struct disk_row;
struct disks;
struct err;
struct quota;

/* Which disks a machine has, by its spec: its own, "overlay" and "data", and its person's volume as "home". */

/** struct mdisks - whose; borrowed. @disks: NULL where there is no place for any */
struct mdisks {
	struct disks *disks;
	int64_t owner;
	const char *vm;
	const struct vm_spec *spec;
};

/** mdisks_any() - has it got one? */
bool mdisks_any(const struct vm_spec *spec);

/**
 * mdisks_check() - may such a machine be made? @home: bytes of the home that would be made for it, 0 for one that is there
 *
 * Return: 0, -ENOENT with @e when it cannot be had, or another negative with @e.
 */
int mdisks_check(const struct mdisks *m, uint64_t *home, struct err *e);

/** mdisks_make() - what a new machine needs; ready later. Return: 0 or negative with @e, and then there may be some */
int mdisks_make(const struct mdisks *m, struct err *e);

/** mdisks_prepare() - before each start. Return: 0 all are ready, 1 not yet, or negative with @e: they never will be */
int mdisks_prepare(const struct mdisks *m, struct err *e);

/** mdisks_open() - for the VMM, as hv_hooks.on_disks() */
int mdisks_open(const struct mdisks *m, struct hv_disk out[HV_DISKS_MAX], struct err *e);

/** mdisks_has() - is this one of them? */
bool mdisks_has(const struct mdisks *m, const struct disk_row *row);

#endif
