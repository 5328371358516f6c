/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a machine: those that it starts with, and volumes that come and go while it runs. */
#include "gateway/machine_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "gateway/disks.h"

struct mdisks machine_disks_of(const struct machine *m)
{
	return (struct mdisks){ .disks = m->ms->disks, .owner = m->owner, .vm = m->id_text, .spec = &m->spec };
}

/* The place of a volume that was plugged in, or of "" a free one. */
static struct plug *find_plug(const struct machine *m, const char *volume)
{
	for (size_t i = 0; m->plugs && i < PLUGS_MAX; i++)
		if (strcmp(m->plugs[i].volume, volume) == 0)
			return &m->plugs[i];
	return NULL;
}

/* Most machines never have one. NULL: no memory, or all are taken. */
static struct plug *free_plug(struct machine *m)
{
	if (!m->plugs)
		m->plugs = calloc(PLUGS_MAX, sizeof(*m->plugs));
	return find_plug(m, "");
}

static bool has_plugged(const struct machine *m, const char *volume)
{
	const struct plug *p = find_plug(m, volume);

	return p && p->state != PLUG_REFUSED;
}

struct machine *machine_volume_user(struct machines *ms, int64_t person, const char *home, const struct machine *except)
{
	for (struct machine *m = ms->first; m; m = m->next)
		if (m != except && m->owner == person && !machine_at_rest(machine_state(m)) && (strcmp(m->spec.home, home) == 0 || has_plugged(m, home)))
			return m;
	return NULL;
}

int machine_on_prepare(void *arg, struct hv_vm *vm, struct err *e)
{
	const struct machine *m = hv_vm_owner(vm);
	const struct mdisks md = machine_disks_of(m);

	(void)arg;
	return mdisks_prepare(&md, e);
}

int machine_on_disks(void *arg, struct hv_vm *vm, struct hv_disk out[HV_DISKS_MAX], struct err *e)
{
	const struct machine *m = hv_vm_owner(vm);
	const struct mdisks md = machine_disks_of(m);

	(void)arg;
	return mdisks_open(&md, out, e);
}

int machine_on_plug_dir(void *arg, struct hv_vm *vm)
{
	const struct machine *m = hv_vm_owner(vm);

	(void)arg;
	return m->ms->disks ? disks_plug_dir(m->ms->disks, m->id_text) : -ENOENT;
}

static void serial_of(const struct disk_row *row, char out[HV_SERIAL_BYTES + 1])
{
	(void)snprintf(out, HV_SERIAL_BYTES + 1, HV_PLUG_PREFIX "%.16s", row->id);
}

struct search {
	const char *serial;
	struct disk_row found;
};

static int is_serial(void *arg, const struct disk_row *row)
{
	struct search *s = arg;
	char serial[HV_SERIAL_BYTES + 1];

	serial_of(row, serial);
	if (strcmp(serial, s->serial) != 0)
		return 0;
	s->found = *row;
	return 1;
}

/* That of a serial number; one that a former process had plugged in gets its place again. NULL for none. */
static struct plug *plug_of(struct machine *m, const char *serial)
{
	struct search s = { .serial = serial };
	struct plug *p = NULL;
	bool more;

	for (size_t i = 0; m->plugs && i < PLUGS_MAX; i++)
		if (m->plugs[i].volume[0] && strcmp(m->plugs[i].serial, serial) == 0)
			return &m->plugs[i];
	if (m->ms->disks && disk_list(disks_db(m->ms->disks), m->owner, 0, INT32_MAX, is_serial, &s, &more, NULL) == 1)
		p = free_plug(m);
	if (p) {
		(void)snprintf(p->volume, sizeof(p->volume), "%s", s.found.name);
		(void)snprintf(p->serial, sizeof(p->serial), "%s", serial);
	}
	return p;
}

void machine_on_plugged(void *arg, struct hv_vm *vm, const char *serial, bool in, const char *why)
{
	struct machine *m = hv_vm_owner(vm);
	unsigned card = hv_card_number(serial);
	struct plug *p;

	(void)arg;
	if (card) {
		machine_on_card(m, card, in, why);
		return;
	}
	p = plug_of(m, serial);
	if (m->ms->disks)
		disks_plug_unlink(m->ms->disks, m->id_text, serial);
	if (!p)
		return;
	log_info("machine %s: the volume %s is %s%s%s", m->id_text, p->volume, in ? "plugged in" : "out", why ? ": " : "", why ? why : "");
	p->state = in ? PLUG_IN : PLUG_REFUSED;
	(void)snprintf(p->reason, sizeof(p->reason), "%s", why ? why : "");
	if (!in && !why)
		memset(p, 0, sizeof(*p));
	machine_notify(m);
}

void machine_forget_plugs(struct machine *m)
{
	for (size_t i = 0; m->plugs && i < PLUGS_MAX; i++)
		if (m->plugs[i].volume[0] && m->ms->disks)
			disks_plug_unlink(m->ms->disks, m->id_text, m->plugs[i].serial);
	free(m->plugs);
	m->plugs = NULL;
}

/* A disk has been made, or not: who waits for it? */
void machines_on_disk(void *arg, const struct disk_row *row)
{
	struct machines *ms = arg;

	for (struct machine *m = ms->first, *next; m; m = next) {
		const struct mdisks md = machine_disks_of(m);
		struct err e = { 0 };
		char why[sizeof(row->reason) + 96];
		int r;

		next = m->next;
		if (!mdisks_has(&md, row) || machine_state(m) != HV_PLACING)
			continue;
		(void)snprintf(why, sizeof(why), "its disk %s could not be made: %s", row->name, row->reason);
		if (row->state == DISK_FAILED)
			hv_vm_prepared(m->vm, why);
		else if ((r = mdisks_prepare(&md, &e)) <= 0)
			hv_vm_prepared(m->vm, r < 0 ? e.msg : NULL);
	}
}

/* One at a time, and what stands in the way of it. */
static int may_change_disks(struct machine *m, const struct disk_row *row, struct err *e)
{
	if (m->deleting || machine_state(m) != HV_READY)
		return machine_wrong_state(m, "given or deprived of disks", e);
	if (machine_offline(m, e))
		return MACHINE_E_OFFLINE;
	return strcmp(m->spec.home, row->name) == 0 ? err_set(e, MACHINE_E_CANNOT, "volume: %s is the machine's home, from its start to its end", row->name) : 0;
}

int machine_plug(struct machine *m, const struct disk_row *row, struct err *e)
{
	const struct machine *user = machine_volume_user(m->ms, m->owner, row->name, NULL);
	struct hv_disk disk = { .fd = -1 };
	struct plug *p = find_plug(m, row->name);
	int r = may_change_disks(m, row, e);

	if (r != 0)
		return r;
	if (user)
		return err_set(e, MACHINE_E_CANNOT, "volume: %s is being used by your machine %s", row->name, user->spec.name);
	p = p ? p : free_plug(m);
	if (!p)
		return err_set(e, MACHINE_E_CANNOT, "the machine has %d disks more than it was made with, and can have no more", PLUGS_MAX);
	serial_of(row, disk.serial);
	r = disks_open(m->ms->disks, row, &disk.fd, e);
	if (r == 0)
		r = disks_plug_link(m->ms->disks, row, m->id_text, disk.serial, e);
	if (r == 0)
		r = hv_vm_plug(m->vm, &disk, e);
	(void)fd_close(disk.fd);
	if (r != 0) {
		disks_plug_unlink(m->ms->disks, m->id_text, disk.serial);
		return r == DISKS_E_BUSY ? MACHINE_E_CANNOT : machine_refused(r);
	}
	*p = (struct plug){ .state = PLUG_BEGUN };
	(void)snprintf(p->volume, sizeof(p->volume), "%s", row->name);
	(void)snprintf(p->serial, sizeof(p->serial), "%s", disk.serial);
	machine_notify(m);
	return 0;
}

int machine_unplug(struct machine *m, const struct disk_row *row, struct err *e)
{
	struct plug *p = find_plug(m, row->name);
	int r = may_change_disks(m, row, e);

	if (r != 0)
		return r;
	if (!p || p->state == PLUG_REFUSED)
		return err_set(e, MACHINE_E_CANNOT, "volume: %s is not plugged into this machine", row->name);
	r = hv_vm_unplug(m->vm, p->serial, e);
	if (r != 0)
		return machine_refused(r);
	p->state = PLUG_LEAVING;
	machine_notify(m);
	return 0;
}
