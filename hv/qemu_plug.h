/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_QEMU_PLUG_H
#define HV_QEMU_PLUG_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "hv/hv.h"

struct err;
struct qmp;
struct qmp_message;

/*
 * Disks and network cards that are plugged into a QEMU that runs, and out of it, one after the other.
 *
 *   add-fd -> blockdev-add -> device_add, at the next port while one is taken -> there      what fails is taken back
 *   device_del -> DEVICE_DELETED, once the guest lets go -> blockdev-del -> gone
 *
 * For a card they are getfd, netdev_add and netdev_del. Nothing has to be remembered over a change of the process at this end: query-block and
 * qom-list tell what is plugged in.
 */
#define QEMU_PORTS 4 /* pcie-root-port, "hot1" to "hot4" */

enum qemu_plug_step { PLUG_NONE, PLUG_FD, PLUG_NODE, PLUG_DEVICE, UNPLUG_DEVICE, UNPLUG_NODE };

struct qemu_plug {
	struct hv_vm *vm; /* borrowed */
	struct qmp *qmp;  /* borrowed */
	enum qemu_plug_step step;
	char serial[HV_SERIAL_BYTES + 1];
	bool readonly, card;
	uint8_t mac[6];
	json_int_t set;
	int port;
};

/** qemu_plug_is_fixed() - a machine of this type takes nothing while it runs */
bool qemu_plug_is_fixed(const struct hv_vm *vm);

/** qemu_plug_begin() - @d->fd stays the caller's. Return: 0, and hv_event_plugged() follows; or negative with @e */
int qemu_plug_begin(struct qemu_plug *p, const struct hv_disk *d, struct err *e);
int qemu_plug_card_begin(struct qemu_plug *p, const char *name, const uint8_t mac[6], int tap_fd, struct err *e);
int qemu_unplug_begin(struct qemu_plug *p, const char *serial, struct err *e);

/** qemu_plug_look() - what is plugged in already? hv_event_plugged() follows for each disk, and hv_event_cards() */
void qemu_plug_look(struct qemu_plug *p);

/** qemu_plug_message() - of the monitor; what is not about disks and cards is passed over */
void qemu_plug_message(struct qemu_plug *p, const struct qmp_message *m);

#endif
