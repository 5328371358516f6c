/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/machine_disks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "gateway/disks.h"

#define KINDS 3

/* In the order in which the guest finds them. */
struct kind {
	const char *serial, *vm, *name; /* vm, name: of the row */
	uint64_t bytes;			/* 0 for a volume, which has its own size */
};

/* Return: how many */
static size_t kinds_of(const struct mdisks *m, struct kind out[KINDS])
{
	const struct vm_spec *s = m->spec;
	size_t n = 0;

	if (s->overlay_bytes)
		out[n++] = (struct kind){ .serial = "overlay", .vm = m->vm, .name = "overlay", .bytes = s->overlay_bytes };
	if (s->home[0])
		out[n++] = (struct kind){ .serial = "home", .vm = "", .name = s->home };
	if (s->data_bytes)
		out[n++] = (struct kind){ .serial = "data", .vm = m->vm, .name = "data", .bytes = s->data_bytes };
	return n;
}

bool mdisks_any(const struct vm_spec *spec)
{
	return spec->overlay_bytes || spec->home[0] || spec->data_bytes;
}

/* Return: 1 with @row, 0 when there is none, or negative with @e */
static int find(const struct mdisks *m, const struct kind *k, struct disk_row *row, struct err *e)
{
	return disk_find(disks_db(m->disks), m->owner, k->vm, k->name, row, e);
}

int mdisks_check(const struct mdisks *m, uint64_t *home, struct err *e)
{
	const struct kind k = { .vm = "", .name = m->spec->home };
	struct disk_row row;
	int r;

	*home = 0;
	if (!mdisks_any(m->spec))
		return 0;
	if (!m->disks)
		return err_set(e, -ENOENT, "%s: there is no place for disks on this server",
			       m->spec->home[0] ? "home" : m->spec->overlay_bytes ? "disk" : "data");
	if (!m->spec->home[0])
		return 0;
	r = find(m, &k, &row, e);
	if (r < 0)
		return r;
	if (r == 0 && !m->spec->home_wanted)
		return err_set(e, -ENOENT, "home: you have no volume %s; make it first", m->spec->home);
	if (r == 1 && row.state == DISK_LEAVING)
		return err_set(e, -ENOENT, "home: the volume %s is being removed", m->spec->home);
	*home = r == 0 ? disks_home_bytes(m->disks) : 0;
	return 0;
}

int mdisks_make(const struct mdisks *m, struct err *e)
{
	struct kind kinds[KINDS];
	size_t n = kinds_of(m, kinds);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct disk_row row = { .owner = m->owner, .bytes = kinds[i].bytes ? kinds[i].bytes : disks_home_bytes(m->disks) };

		(void)snprintf(row.vm, sizeof(row.vm), "%s", kinds[i].vm);
		(void)snprintf(row.name, sizeof(row.name), "%s", kinds[i].name);
		r = disks_make(m->disks, &row, e);
		if (r == DISKS_E_EXISTS && kinds[i].vm[0] == '\0')
			r = 0;
	}
	return r > 0 ? err_set(e, -EEXIST, "two machines got one id") : r;
}

static int prepare_one(const struct mdisks *m, const struct kind *k, struct err *e)
{
	struct disk_row row;
	int r = find(m, k, &row, e);

	if (r < 0)
		return r;
	if (r == 0 && k->bytes == 0)
		return err_set(e, -ENOENT, "its home, the volume %s, is gone", k->name);
	if (r == 0)
		return err_set(e, -ENOENT, "its disk %s is gone", k->name);
	if (row.state == DISK_LEAVING)
		return err_set(e, -ENOENT, "its disk %s is being removed", k->name);
	if (row.state == DISK_FAILED) {
		r = disks_retry(m->disks, &row, e);
		return r < 0 ? r : 1;
	}
	return row.state != DISK_READY;
}

int mdisks_prepare(const struct mdisks *m, struct err *e)
{
	struct kind kinds[KINDS];
	size_t n = kinds_of(m, kinds);
	int r, waits = 0;

	if (n > 0 && !m->disks)
		return err_set(e, -ENOENT, "there is no place for its disks on this server: disk_dir is none");
	for (size_t i = 0; i < n; i++) {
		r = prepare_one(m, &kinds[i], e);
		if (r < 0)
			return r;
		waits |= r;
	}
	return waits;
}

int mdisks_open(const struct mdisks *m, struct hv_disk out[HV_DISKS_MAX], struct err *e)
{
	struct kind kinds[KINDS];
	size_t n = kinds_of(m, kinds), i;
	struct disk_row row;
	int r = 1;

	for (i = 0; i < n; i++) {
		r = find(m, &kinds[i], &row, e);
		if (r == 0)
			r = err_set(e, -ENOENT, "its disk %s is gone", kinds[i].name);
		if (r == 1)
			r = disks_open(m->disks, &row, &out[i].fd, e);
		if (r != 0)
			break;
		out[i].readonly = false;
		(void)snprintf(out[i].serial, sizeof(out[i].serial), "%s", kinds[i].serial);
	}
	if (i == n)
		return (int)n;
	while (i-- > 0)
		out[i].fd = fd_close(out[i].fd);
	return r == DISKS_E_BUSY ? -EBUSY : r;
}

bool mdisks_has(const struct mdisks *m, const struct disk_row *row)
{
	struct kind kinds[KINDS];
	size_t n = kinds_of(m, kinds);

	for (size_t i = 0; i < n; i++)
		if (row->owner == m->owner && strcmp(row->vm, kinds[i].vm) == 0 && strcmp(row->name, kinds[i].name) == 0)
			return true;
	return false;
}
