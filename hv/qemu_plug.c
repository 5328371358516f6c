/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/qemu_plug.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "hv/driver.h"
#include "hv/qmp.h"

/* Serial numbers of what is plugged in begin so: other disks are there from the start, and stay. */
#define PREFIX HV_PLUG_PREFIX

static void done(struct qemu_plug *p, bool in, const char *why)
{
	char serial[sizeof(p->serial)];

	memcpy(serial, p->serial, sizeof(serial));
	p->step = PLUG_NONE;
	hv_event_plugged(p->vm, serial, in, why);
}

/* Send the command of the next step; what cannot be sent ends it. */
static void send_step(struct qemu_plug *p, enum qemu_plug_step step, const char *command, json_t *args)
{
	p->step = step;
	if (!args || qmp_command(p->qmp, command, args, -1) < 0)
		done(p, step >= UNPLUG_DEVICE, "QEMU cannot be told");
}

/* Nobody waits for these: what goes wrong with them changes nothing any more. */
static void send_quietly(struct qemu_plug *p, const char *command, json_t *args)
{
	if (args)
		(void)qmp_command(p->qmp, command, args, -1);
}

/* What a disk and a card are called in QEMU's language. */
struct words {
	const char *give, *make, *unmake, *node;
};

static const struct words *words(const struct qemu_plug *p)
{
	static const struct words disk = { "add-fd", "blockdev-add", "blockdev-del", "node-name" };
	static const struct words card = { "getfd", "netdev_add", "netdev_del", "id" };

	return p->card ? &card : &disk;
}

static json_t *node_name(const struct qemu_plug *p)
{
	return json_sprintf("%s-%s", p->card ? "net" : "disk", p->serial);
}

/* The descriptor that QEMU was sent; it has duplicates where it needs some. A card has taken its own over. */
static void drop_set(struct qemu_plug *p)
{
	if (!p->card)
		send_quietly(p, "remove-fd", json_pack("{s:I}", "fdset-id", p->set));
}

static void add_node(struct qemu_plug *p)
{
	if (p->card) {
		send_step(p, PLUG_NODE, "netdev_add",
			  json_pack("{s:s, s:o, s:s, s:b}", "type", "tap", "id", node_name(p), "fd", p->serial, "vhost", 0));
		return;
	}
	send_step(p, PLUG_NODE, "blockdev-add",
		  json_pack("{s:s, s:o, s:b, s:s, s:{s:b, s:b}, s:{s:s, s:o, s:s, s:s}}", "driver", "raw", "node-name", node_name(p), "read-only",
			    p->readonly, "discard", "unmap", "cache", "direct", 0, "no-flush", 0, "file", "driver", "file", "filename",
			    json_sprintf("/dev/fdset/%lld", (long long)p->set), "aio", "threads", "discard", "unmap"));
}

static void add_device(struct qemu_plug *p)
{
	const uint8_t *m = p->mac;

	if (p->card) {
		/* No boot ROM: nothing boots from this card, and its file may not be installed. */
		send_step(p, PLUG_DEVICE, "device_add",
			  json_pack("{s:s, s:s, s:o, s:s, s:o, s:s, s:o}", "addr", "0", "driver", "virtio-net-pci", "netdev", node_name(p), "id", p->serial,
				    "mac", json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]), "romfile", "", "bus",
				    json_sprintf("hot%d", p->port)));
		return;
	}
	/* Without an address the next one of the same port would be taken, where no guest looks. */
	send_step(p, PLUG_DEVICE, "device_add",
		  json_pack("{s:s, s:s, s:o, s:s, s:s, s:o}", "addr", "0", "driver", "virtio-blk-pci", "drive", node_name(p), "id", p->serial, "serial", p->serial,
			    "bus", json_sprintf("hot%d", p->port)));
}

static bool is_answer(const struct qemu_plug *p, const struct qmp_message *m, enum qemu_plug_step step, const char *command)
{
	return p->step == step && strcmp(m->name, command) == 0;
}

static void on_return(struct qemu_plug *p, const struct qmp_message *m)
{
	const struct words *w = words(p);

	if (is_answer(p, m, PLUG_FD, w->give)) {
		p->set = json_integer_value(json_object_get(m->data, "fdset-id"));
		add_node(p);
	} else if (is_answer(p, m, PLUG_NODE, w->make)) {
		p->port = 1;
		add_device(p);
	} else if (is_answer(p, m, PLUG_DEVICE, "device_add")) {
		drop_set(p);
		done(p, true, NULL);
	} else if (is_answer(p, m, UNPLUG_NODE, w->unmake)) {
		done(p, false, NULL);
	}
}

static void on_error(struct qemu_plug *p, const struct qmp_message *m)
{
	const struct words *w = words(p);

	if (is_answer(p, m, PLUG_FD, w->give)) {
		done(p, false, m->text);
	} else if (is_answer(p, m, PLUG_NODE, w->make)) {
		if (p->card)
			send_quietly(p, "closefd", json_pack("{s:s}", "fdname", p->serial));
		drop_set(p);
		done(p, false, m->text);
	} else if (is_answer(p, m, PLUG_DEVICE, "device_add")) {
		if (p->port++ < QEMU_PORTS) {
			add_device(p); /* that port is taken */
			return;
		}
		send_quietly(p, w->unmake, json_pack("{s:o}", w->node, node_name(p)));
		drop_set(p);
		done(p, false, m->text);
	} else if (is_answer(p, m, UNPLUG_DEVICE, "device_del")) {
		done(p, true, m->text);
	} else if (is_answer(p, m, UNPLUG_NODE, w->unmake)) {
		done(p, true, m->text);
	}
}

/* The guest has let go; whether somebody still waits for it or not. */
static void on_deleted(struct qemu_plug *p, const json_t *data)
{
	const char *id = json_string_value(json_object_get(data, "device"));

	if (!id || strlen(id) > HV_SERIAL_BYTES || (strncmp(id, PREFIX, strlen(PREFIX)) != 0 && !hv_card_number(id)))
		return;
	if (p->step != PLUG_NONE && p->step != UNPLUG_DEVICE)
		return; /* it was given up long ago, and another one is under way: the process keeps its file until the end */
	(void)snprintf(p->serial, sizeof(p->serial), "%s", id);
	p->card = hv_card_number(id) != 0;
	send_step(p, UNPLUG_NODE, words(p)->unmake, json_pack("{s:o}", words(p)->node, node_name(p)));
}

/* "/machine/peripheral/vol-0123456789abcdef/virtio-backend" */
static void on_blocks(struct qemu_plug *p, const json_t *list)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item) {
		const char *path = json_string_value(json_object_get(item, "qdev"));
		const char *id = path ? strstr(path, "/" PREFIX) : NULL;
		char serial[sizeof(p->serial)];

		if (!id)
			continue;
		(void)snprintf(serial, sizeof(serial), "%.*s", (int)strcspn(id + 1, "/"), id + 1);
		hv_event_plugged(p->vm, serial, true, NULL);
	}
}

/* [{"name": "card1", "type": "child<virtio-net-pci>"}, ...] */
static void on_devices(struct qemu_plug *p, const json_t *list)
{
	hv_event_cards(p->vm, hv_cards_named(list, "name"));
}

void qemu_plug_message(struct qemu_plug *p, const struct qmp_message *m)
{
	if (m->kind == QMP_EVENT && strcmp(m->name, "DEVICE_DELETED") == 0)
		on_deleted(p, m->data);
	else if (m->kind == QMP_RETURN && strcmp(m->name, "query-block") == 0)
		on_blocks(p, m->data);
	else if (m->kind == QMP_RETURN && strcmp(m->name, "qom-list") == 0)
		on_devices(p, m->data);
	else if (m->kind == QMP_RETURN)
		on_return(p, m);
	else if (m->kind == QMP_ERROR)
		on_error(p, m);
}

void qemu_plug_look(struct qemu_plug *p)
{
	(void)qmp_send(p->qmp, "query-block");
	send_quietly(p, "qom-list", json_pack("{s:s}", "path", "/machine/peripheral"));
}

bool qemu_plug_is_fixed(const struct hv_vm *vm)
{
	return strcmp(hv_vm_machine(vm), "microvm") == 0;
}

static int may_begin(struct qemu_plug *p, struct err *e)
{
	if (qemu_plug_is_fixed(p->vm))
		return err_set(e, -EOPNOTSUPP, "a running machine of the type microvm takes no disks or cards: its devices are fixed when it starts. Stop it first; "
			       "or set machine = q35 on the server");
	return p->step == PLUG_NONE ? 0 : err_set(e, -EBUSY, "the last change of its disks and cards is not done yet");
}

static int give(struct qemu_plug *p, json_t *args, int fd, struct err *e)
{
	if ((p->card && !args) || qmp_command(p->qmp, words(p)->give, args, fd) < 0)
		return err_set(e, -EBUSY, "QEMU does not listen now; try again");
	p->step = PLUG_FD;
	return 0;
}

int qemu_plug_begin(struct qemu_plug *p, const struct hv_disk *d, struct err *e)
{
	int r = may_begin(p, e);

	if (r < 0)
		return r;
	memcpy(p->serial, d->serial, sizeof(p->serial));
	p->readonly = d->readonly;
	p->card = false;
	return give(p, NULL, d->fd, e);
}

int qemu_plug_card_begin(struct qemu_plug *p, const char *name, const uint8_t mac[6], int tap_fd, struct err *e)
{
	int r = may_begin(p, e);

	if (r < 0)
		return r;
	(void)snprintf(p->serial, sizeof(p->serial), "%s", name);
	memcpy(p->mac, mac, sizeof(p->mac));
	p->card = true;
	return give(p, json_pack("{s:s}", "fdname", name), tap_fd, e);
}

int qemu_unplug_begin(struct qemu_plug *p, const char *serial, struct err *e)
{
	json_t *args;
	int r = may_begin(p, e);

	if (r < 0)
		return r;
	(void)snprintf(p->serial, sizeof(p->serial), "%s", serial);
	p->card = hv_card_number(serial) != 0;
	args = json_pack("{s:s}", "id", serial);
	if (!args || qmp_command(p->qmp, "device_del", args, -1) < 0)
		return err_set(e, -EBUSY, "QEMU does not listen now; try again");
	p->step = UNPLUG_DEVICE;
	return 0;
}
