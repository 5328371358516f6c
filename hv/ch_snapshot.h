/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_CH_SNAPSHOT_H
#define HV_CH_SNAPSHOT_H

#include <stdint.h>

struct ch_snapshot;
struct err;
struct hv_origin;
struct loop;

/* The three files that Cloud Hypervisor writes of a machine, on their way into the gateway's own memory. */

#define CH_SNAPSHOT_CONFIG "config.json"
#define CH_SNAPSHOT_STATE  "state.json"
#define CH_SNAPSHOT_MEMORY "memory-ranges"
#define CH_STATE_MAX	   (16U << 20) /* a real one has some 200 KiB */

/**
 * ch_snapshot_take() - copy them, in a thread of its own, and remove them; @done follows, unless it is dropped before
 * @folder: FD of where they are, O_PATH; they may have been put there by anybody
 * @into:   config_fd, state_fd and memory_fd, which stay the caller's; pages of zeros are left out
 * @memory_bytes: so much memory the machine has
 * @done:   @why: NULL, or why there is no whole snapshot; the object is gone by then
 *
 * Return: 0, or negative with @e: then @done does not follow.
 */
int ch_snapshot_take(struct ch_snapshot **out, struct loop *loop, int folder, const struct hv_origin *into, uint64_t memory_bytes,
		     void (*done)(void *arg, const char *why), void *arg, struct err *e);

/** ch_snapshot_drop() - it is of no interest any more. Waits for the piece of a file that is just being read. Returns NULL; NULL is fine */
struct ch_snapshot *ch_snapshot_drop(struct ch_snapshot *s);

#endif
