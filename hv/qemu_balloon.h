/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_QEMU_BALLOON_H
#define HV_QEMU_BALLOON_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/hv.h"

struct err;
struct qmp;
struct qmp_message;

/*
 * The memory of a running machine of QEMU: less than it began with, by a balloon that the guest fills, and that much again. What the guest does not use
 * at all goes back to the host by itself (free page reporting). Only where the machine booted: docs/templates.md.
 */
#define QEMU_BALLOON_WORD " balloon" /* behind the version, in what a machine that is put aside was saved by: it needs one to go on */

/**
 * struct qemu_balloon - embedded in the driver's instance
 * @present: there is one; @total: bytes without it, 0 = not known yet
 * @seen, @looks: what it had at the last look, and how often that was the same
 */
struct qemu_balloon {
	struct hv_vm *vm; /* borrowed */
	struct qmp *qmp;  /* borrowed */
	bool present, resizing;
	uint64_t total, wish, seen;
	unsigned looks;
	ev_timer again;
};

/** qemu_balloon_open() - @look: is there one, and how is it? hv_event_size() follows if so */
void qemu_balloon_open(struct qemu_balloon *b, struct hv_vm *vm, struct qmp *qmp, bool present, bool look);

/** qemu_balloon_close() - what was under way is not told any more */
void qemu_balloon_close(struct qemu_balloon *b);

/** qemu_balloon_may() - can a machine become so? @b: NULL for one that was just started. Return: 0, or negative with @e */
int qemu_balloon_may(const struct qemu_balloon *b, const struct vm_size *now, const struct vm_size *wish, struct err *e);

/** qemu_balloon_holds() - does it have some of the machine's memory now? */
bool qemu_balloon_holds(const struct qemu_balloon *b);

/** qemu_balloon_resize() - hv_event_resized() follows. Return: 0 or negative */
int qemu_balloon_resize(struct qemu_balloon *b, const struct vm_size *wish);

/** qemu_balloon_message() - of the monitor; what is about something else is passed over */
void qemu_balloon_message(struct qemu_balloon *b, const struct qmp_message *m);

#endif
