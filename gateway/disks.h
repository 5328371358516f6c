/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DISKS_H
#define GATEWAY_DISKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/disk.h"

struct db;
struct disks;
struct err;
struct loop;

/*
 * Disks of machines: rows in the database (auth/disk.h), files in a directory (gateway/disk_work.h). A volume belongs to a person and
 * outlives machines; a machine's own disks go with it. What is asked for is written down first and done later: the state of a row says how far it is.
 *
 *   making -> ready <-> growing;   any -> leaving -> gone;   making, growing -> failed(reason), tried again when it is needed
 */
#define DISKS_MIN_BYTES (16ULL << 20) /* less holds no file system worth the name */
#define DISKS_MAX_BYTES (1ULL << 42)

enum { DISKS_E_EXISTS = 1 /* the name is taken */, DISKS_E_BUSY = 2 /* being used, or worked on; @e says which */ };

/**
 * struct disks_config - borrowed: loop, db
 * @dir:        where the files are; made when it is missing, closed to everybody else
 * @home_bytes: size of a home that is made because somebody wants one
 */
struct disks_config {
	struct loop *loop;
	struct db *db;
	const char *dir;
	uint64_t home_bytes;
};

/** disks_create() - and go on with what a former process had begun */
int disks_create(struct disks **out, const struct disks_config *c, struct err *e);
/** disks_destroy() - waits for the job under way; what waits is found again in the rows. Returns NULL */
struct disks *disks_destroy(struct disks *d);

/** disks_watch() - @fn is told when a job on a disk has ended, well or not; NULL to end it */
void disks_watch(struct disks *d, void (*fn)(void *arg, const struct disk_row *row), void *arg);

uint64_t disks_home_bytes(const struct disks *d);
struct db *disks_db(const struct disks *d);

/**
 * disks_make() - a new disk; @row: owner, vm, name, bytes, or source in place of bytes
 *
 * Return: 0 with the row filled, state making; DISKS_E_EXISTS; or negative with @e.
 */
int disks_make(struct disks *d, struct disk_row *row, struct err *e);

/** disks_retry() - of one that failed. Return: 0 or negative with @e */
int disks_retry(struct disks *d, struct disk_row *row, struct err *e);

/** disks_grow() - nobody may be using it. Return: 0 with the row changed, DISKS_E_BUSY, or negative with @e */
int disks_grow(struct disks *d, struct disk_row *row, uint64_t bytes, struct err *e);

/** disks_remove() - nobody may be using it. Return: 0, DISKS_E_BUSY, or negative with @e */
int disks_remove(struct disks *d, struct disk_row *row, struct err *e);

/** disks_remove_of() - all that belongs to a machine, whose process has ended */
int disks_remove_of(struct disks *d, const char *vm, struct err *e);

/**
 * disks_open() - for a VMM, for as long as it lives (disk_lock())
 *
 * Return: 0 with @fd, the caller's; DISKS_E_BUSY with @e; or negative with @e.
 */
int disks_open(struct disks *d, const struct disk_row *row, int *fd, struct err *e);

/** disks_in_use() - does a process have it open as its disk? */
bool disks_in_use(struct disks *d, const struct disk_row *row);

/**
 * disks_plug_dir() - the folder of a machine in which its VMM finds files by name, made when it is missing. Return: an O_PATH FD, or -errno
 * disks_plug_link() - put a disk's file there, if there is such a folder; disks_plug_unlink() - and take it away again
 * disks_plug_forget() - remove the folder
 */
int disks_plug_dir(struct disks *d, const char *vm);
int disks_plug_link(struct disks *d, const struct disk_row *row, const char *vm, const char *serial, struct err *e);
void disks_plug_unlink(struct disks *d, const char *vm, const char *serial);
void disks_plug_forget(struct disks *d, const char *vm);

/** disks_taken() - bytes that its file really takes on the server */
uint64_t disks_taken(const struct disks *d, const struct disk_row *row);

#endif
