/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DISK_WORK_H
#define GATEWAY_DISK_WORK_H

#include <stdint.h>

#include "auth/disk.h"

struct disk_work;
struct err;
struct loop;

/*
 * What takes long with the files of disks, in a thread of its own: one job after the other. A file is made under another name and gets its
 * own when it is whole and on the disk; one that has its name is never made again. All jobs may be repeated.
 *
 *   DIR/ID.img   raw, sparse, ext4     DIR/ID.new   half-made: removed when the thread begins
 */
enum disk_action {
	DISK_MAKE,   /* an empty file system of @bytes */
	DISK_COPY,   /* of @source, which nobody may be writing */
	DISK_GROW,   /* to @bytes; nobody may be using it */
	DISK_REMOVE,
};

/**
 * struct disk_job - one thing to do; owned by the queue until done() has it
 * @bytes:  of DISK_COPY: set by it
 * @label:  of the file system
 * @status: 0 or negative errno with @why in words
 */
struct disk_job {
	struct disk_job *next;
	enum disk_action action;
	char id[DISK_ID_TEXT], source[DISK_ID_TEXT], label[17];
	uint64_t bytes;
	int status;
	char why[256];
};

/**
 * disk_work_create() - sweep @dir, which is made when it is missing; the first job starts a thread
 * @done: in the loop; consumes @job
 */
int disk_work_create(struct disk_work **out, struct loop *loop, const char *dir, void (*done)(void *arg, struct disk_job *job), void *arg,
		     struct err *e);

/** disk_work_destroy() - end with the job under way; those that wait are dropped, and nobody is told. Returns NULL */
struct disk_work *disk_work_destroy(struct disk_work *w);

/** disk_work_add() - consumes @job */
void disk_work_add(struct disk_work *w, struct disk_job *job);

/** disk_dir_fd() - of the directory; borrowed */
int disk_dir_fd(const struct disk_work *w);

/**
 * disk_lock() - be the one who uses the file behind @fd
 *
 * The lock belongs to the open file: it lasts until the last descriptor of it is closed, in whatever process, and so as long as a VMM that was given it lives.
 * It lies far behind the end of the file, where no VMM's own locks are; those count as well.
 * Return: 0, -EBUSY when it is used, or another -errno.
 */
int disk_lock(int fd);

#endif
