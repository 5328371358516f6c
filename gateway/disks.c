/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/disks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth/db.h"
#include "auth/secret.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "base/log.h"
#include "gateway/disk_work.h"

struct disks {
	struct db *db;		/* borrowed */
	struct disk_work *work; /* owned */
	uint64_t home_bytes;
	void (*on_done)(void *arg, const struct disk_row *row);
	void *arg;
};

uint64_t disks_home_bytes(const struct disks *d)
{
	return d->home_bytes;
}

struct db *disks_db(const struct disks *d)
{
	return d->db;
}

void disks_watch(struct disks *d, void (*fn)(void *arg, const struct disk_row *row), void *arg)
{
	d->on_done = fn;
	d->arg = arg;
}

/* --- jobs -------------------------------------------------------------------------------------------------------------- */

/* What the state of @row asks for. */
static int submit(struct disks *d, const struct disk_row *row, struct err *e)
{
	struct disk_job *job = calloc(1, sizeof(*job));

	if (!job)
		return err_set(e, -ENOMEM, "no memory for the disk");
	memcpy(job->id, row->id, sizeof(job->id));
	memcpy(job->source, row->source, sizeof(job->source));
	(void)snprintf(job->label, sizeof(job->label), "%.16s", row->name);
	job->bytes = row->bytes;
	if (row->state == DISK_LEAVING)
		job->action = DISK_REMOVE;
	else if (row->state == DISK_GROWING)
		job->action = DISK_GROW;
	else
		job->action = row->source[0] ? DISK_COPY : DISK_MAKE;
	disk_work_add(d->work, job);
	return 0;
}

static void on_removed(struct disks *d, const struct disk_row *row, const struct disk_job *job)
{
	struct err e = { 0 };

	/* Its row stays "leaving": the next process tries again. */
	if (job->status < 0)
		log_err("disk %s: %s", row->id, job->why);
	else if (disk_drop(d->db, row->id, &e) < 0)
		log_err("disk %s: %s", row->id, e.msg);
}

static void on_job(void *arg, struct disk_job *job)
{
	struct disks *d = arg;
	struct disk_row row;
	struct err e = { 0 };
	int r = disk_get(d->db, job->id, &row, &e);

	if (r < 0)
		log_err("disk %s: %s", job->id, e.msg);
	/* One that was made while somebody wanted it gone has its removal behind it in the queue. */
	if (r == 1 && row.state == DISK_LEAVING && job->action == DISK_REMOVE) {
		on_removed(d, &row, job);
	} else if (r == 1 && row.state != DISK_LEAVING) {
		row.state = job->status < 0 ? DISK_FAILED : DISK_READY;
		row.bytes = job->bytes;
		(void)snprintf(row.reason, sizeof(row.reason), "%s", job->why);
		if (job->status < 0)
			log_err("disk %s: %s", row.id, job->why);
		if (disk_set(d->db, &row, &e) < 0)
			log_err("disk %s: %s", row.id, e.msg);
	}
	free(job);
	if (r == 1 && d->on_done)
		d->on_done(d->arg, &row);
}

static int go_on(void *arg, const struct disk_row *row)
{
	return submit(arg, row, NULL);
}

int disks_create(struct disks **out, const struct disks_config *c, struct err *e)
{
	struct disks *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_set(e, -ENOMEM, "no memory for disks");
	d->db = c->db;
	d->home_bytes = c->home_bytes;
	r = disk_work_create(&d->work, c->loop, c->dir, on_job, d, e);
	if (r == 0)
		r = disk_each_begun(d->db, go_on, d, e);
	if (r < 0) {
		(void)disks_destroy(d);
		return r;
	}
	*out = d;
	return 0;
}

struct disks *disks_destroy(struct disks *d)
{
	if (!d)
		return NULL;
	d->work = disk_work_destroy(d->work);
	free(d);
	return NULL;
}

/* --- what people ask for ----------------------------------------------------------------------------------------------- */

int disks_make(struct disks *d, struct disk_row *row, struct err *e)
{
	uint8_t id[(DISK_ID_TEXT - 1) / 2];
	int r = secret_random(id, sizeof(id));

	if (r < 0)
		return err_set(e, r, "no randomness for the disk's id: %s", strerror(-r));
	hex_encode(id, sizeof(id), row->id);
	row->created_s = time(NULL);
	row->state = DISK_NEW;
	row->reason[0] = '\0';
	/* A row that a loss of power takes back would leave a file that belongs to nobody. */
	r = db_begin(d->db, DB_POWER, e);
	if (r < 0)
		return r;
	r = disk_put(d->db, row, e);
	if (r != 0) {
		db_rollback(d->db);
		return r == DISK_E_EXISTS ? DISKS_E_EXISTS : r;
	}
	r = db_commit(d->db, e);
	return r < 0 ? r : submit(d, row, e);
}

static int set_state(struct disks *d, struct disk_row *row, enum disk_state state, struct err *e)
{
	struct disk_row next = *row;
	int r;

	next.state = state;
	next.reason[0] = '\0';
	r = disk_set(d->db, &next, e);
	if (r == 0) {
		*row = next;
		r = submit(d, row, e);
	}
	return r;
}

int disks_retry(struct disks *d, struct disk_row *row, struct err *e)
{
	struct stat st;
	char name[DISK_ID_TEXT + 4];

	/* One that has its file was made: what failed is to make it larger. */
	(void)snprintf(name, sizeof(name), "%s.img", row->id);
	return set_state(d, row, fstatat(disk_dir_fd(d->work), name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? DISK_GROWING : DISK_NEW, e);
}

static int busy(const struct disk_row *row, struct err *e)
{
	static const char *const what[] = { [DISK_NEW] = "is still being made", [DISK_READY] = "is being used", [DISK_GROWING] = "is still growing",
					    [DISK_LEAVING] = "is being removed", [DISK_FAILED] = "could not be made" };

	return err_set(e, DISKS_E_BUSY, "%s %s %s", row->vm[0] ? "the disk" : "the volume", row->name, what[row->state]);
}

int disks_grow(struct disks *d, struct disk_row *row, uint64_t bytes, struct err *e)
{
	struct disk_row next = *row;
	int r;

	if ((row->state != DISK_READY && row->state != DISK_FAILED) || disks_in_use(d, row))
		return busy(row, e);
	next.bytes = bytes;
	r = set_state(d, &next, DISK_GROWING, e);
	if (r == 0)
		*row = next;
	return r;
}

int disks_remove(struct disks *d, struct disk_row *row, struct err *e)
{
	if (row->state == DISK_GROWING || disks_in_use(d, row))
		return busy(row, e);
	return row->state == DISK_LEAVING ? 0 : set_state(d, row, DISK_LEAVING, e);
}

struct leavers {
	struct disk_row rows[4];
	size_t count;
};

static int note_leaver(void *arg, const struct disk_row *row)
{
	struct leavers *l = arg;

	if (l->count < sizeof(l->rows) / sizeof(l->rows[0]))
		l->rows[l->count++] = *row;
	return 0;
}

int disks_remove_of(struct disks *d, const char *vm, struct err *e)
{
	struct leavers l = { .count = 0 };
	int r = disk_each_of(d->db, vm, note_leaver, &l, e);

	for (size_t i = 0; r == 0 && i < l.count; i++)
		r = l.rows[i].state == DISK_LEAVING ? 0 : set_state(d, &l.rows[i], DISK_LEAVING, e);
	return r;
}

/* --- its file ---------------------------------------------------------------------------------------------------------- */

static int open_file(const struct disks *d, const struct disk_row *row)
{
	char name[DISK_ID_TEXT + 4];
	int fd;

	(void)snprintf(name, sizeof(name), "%s.img", row->id);
	fd = openat(disk_dir_fd(d->work), name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

int disks_open(struct disks *d, const struct disk_row *row, int *fd, struct err *e)
{
	_close_ int file = -1;
	int r;

	if (row->state != DISK_READY)
		return busy(row, e);
	file = open_file(d, row);
	if (file == -ENOENT)
		return err_set(e, -ENOENT, "the file of %s %s is gone from the server", row->vm[0] ? "the disk" : "the volume", row->name);
	if (file < 0)
		return err_set(e, file, "the file of %s cannot be opened: %s", row->name, strerror(-file));
	r = disk_lock(file);
	if (r == -EBUSY)
		return busy(row, e);
	if (r < 0)
		return err_set(e, r, "the file of %s cannot be locked: %s", row->name, strerror(-r));
	*fd = fd_take(&file);
	return 0;
}

bool disks_in_use(struct disks *d, const struct disk_row *row)
{
	_close_ int file = open_file(d, row);

	return file >= 0 && disk_lock(file) == -EBUSY;
}

uint64_t disks_taken(const struct disks *d, const struct disk_row *row)
{
	char name[DISK_ID_TEXT + 4];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s.img", row->id);
	return fstatat(disk_dir_fd(d->work), name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* --- by name ----------------------------------------------------------------------------------------------------------- */

#define PLUG_NAME_BYTES 80

static const char *plug_name(char out[PLUG_NAME_BYTES], const char *vm, const char *serial)
{
	(void)snprintf(out, PLUG_NAME_BYTES, "plug-%s%s%s", vm, serial[0] ? "/" : "", serial);
	return out;
}

/* Whoever has its descriptor may enter it; nobody else gets so far. */
int disks_plug_dir(struct disks *d, const char *vm)
{
	char name[PLUG_NAME_BYTES];
	int dir_fd = disk_dir_fd(d->work), fd;

	if (mkdirat(dir_fd, plug_name(name, vm, ""), 0711) < 0 && errno != EEXIST)
		return -errno;
	if (fchmodat(dir_fd, name, 0711, 0) < 0)
		return -errno;
	fd = openat(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int disks_plug_link(struct disks *d, const struct disk_row *row, const char *vm, const char *serial, struct err *e)
{
	char name[PLUG_NAME_BYTES], file[DISK_ID_TEXT + 4];
	int dir_fd = disk_dir_fd(d->work);

	if (faccessat(dir_fd, plug_name(name, vm, ""), F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	(void)snprintf(file, sizeof(file), "%s.img", row->id);
	if (linkat(dir_fd, file, dir_fd, plug_name(name, vm, serial), 0) < 0 && errno != EEXIST)
		return err_set(e, -errno, "the file of %s cannot be given to the machine: %s", row->name, strerror(errno));
	return 0;
}

void disks_plug_unlink(struct disks *d, const char *vm, const char *serial)
{
	char name[PLUG_NAME_BYTES];

	(void)unlinkat(disk_dir_fd(d->work), plug_name(name, vm, serial), 0);
}

void disks_plug_forget(struct disks *d, const char *vm)
{
	char name[PLUG_NAME_BYTES];

	(void)unlinkat(disk_dir_fd(d->work), plug_name(name, vm, ""), AT_REMOVEDIR);
}
