/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_CH_CONFIG_H
#define HV_CH_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "hv/hv.h"

struct err;

/*
 * config.json of a snapshot, which a VMM wrote of a template, and which a clone's VMM reads instead of a command line. What the gateway had told the
 * first is checked and told anew to the second; what it had never told, other devices say, is refused; what only the VMM knows, numbers of its own
 * devices say, stays as it is. Pure.
 */

#define CH_CONFIG_MAX 65536
#define CH_ID_BYTES   32

/**
 * struct ch_config - one that makes sense
 * @root: owned
 * @net_id: of its network card; empty without
 */
struct ch_config {
	json_t *root;
	uint32_t cpus;
	uint64_t memory_bytes;
	char net_id[CH_ID_BYTES + 1];
	size_t ndisks;
};

/**
 * struct ch_config_own - what a clone has of its own, beside what it must have as the template has it
 * @mac:  NULL: no network
 * @fifo, @dir, @plug: numbers of descriptors: of its log, its socket's folder, and that of disks which come later; @plug: 0 without
 * @disks: ndisks of them, whose numbers are @first_disk and so on
 */
struct ch_config_own {
	uint32_t cpus;
	uint64_t memory_bytes;
	const uint8_t *mac;
	const char *kernel, *initrd, *cmdline;
	int fifo, dir, plug, first_disk;
	const struct hv_disk *disks;
	size_t ndisks;
	bool landlock;
};

/** ch_config_read() - @text need not be terminated. Return: 0, or -EPROTO with @e */
int ch_config_read(struct ch_config *out, const char *text, size_t len, struct err *e);

/** ch_config_write() - that of a clone. Return: a text, to be freed; NULL with @e when it does not fit @own */
char *ch_config_write(const struct ch_config *c, const struct ch_config_own *own, struct err *e);

/** ch_config_finish() - idempotent */
void ch_config_finish(struct ch_config *c);

#endif
