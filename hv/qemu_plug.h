/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_QEMU_PLUG_H
#define HV_QEMU_PLUG_H

#include <stdbool.h>

#include <jansson.h>

#include "hv/hv.h"

struct err;
struct qmp;
struct qmp_message;

/*
 * Disks that are plugged into a QEMU that runs, and out of it, one after the other.
 *
 *   add-fd -> blockdev-add -> device_add, at the next port while one is taken -> there      what fails is taken back
 *   device_del -> DEVICE_DELETED, once the guest lets go -> blockdev-del -> gone
 *
 * Nothing has to be remembered over a change of the process at this end: query-block tells what is plugged in.
 */
#define QEMU_PORTS 4 /* pcie-root-port, "hot1" to "hot4" */

enum qemu_plug_step { PLUG_NONE, PLUG_FD, PLUG_NODE, PLUG_DEVICE, UNPLUG_DEVICE, UNPLUG_NODE };

struct qemu_plug {
	struct hv_vm *vm; /* borrowed */
	struct qmp *qmp;  /* borrowed */
	enum qemu_plug_step step;
	char serial[HV_SERIAL_BYTES + 1];
	bool readonly;
	json_int_t set;
	int port;
};

/** qemu_plug_begin() - @d->fd stays the caller's. Return: 0, and hv_event_plugged() follows; or negative with @e */
int qemu_plug_begin(struct qemu_plug *p, const struct hv_disk *d, struct err *e);
int qemu_unplug_begin(struct qemu_plug *p, const char *serial, struct err *e);

/** qemu_plug_look() - what is plugged in already? hv_event_plugged() follows for each */
void qemu_plug_look(struct qemu_plug *p);

/** qemu_plug_message() - of the monitor; what is not about disks is passed over */
void qemu_plug_message(struct qemu_plug *p, const struct qmp_message *m);

#endif
