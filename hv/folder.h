/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_FOLDER_H
#define HV_FOLDER_H

#include <stdint.h>

struct err;

/*
 * A folder for files that go between the gateway and a VMM, which runs as somebody else: what a template's VMM writes, or a clone's reads. It lies below
 * the state directory, in a place that only the gateway enters; the process gets its descriptor, and comes in by that.
 */

/**
 * struct folder - zeroed and with fd = -1: none
 * @fd: owned, O_PATH; @number: what it is in the process
 */
struct folder {
	int fd, number;
	char path[384];
};

/**
 * folder_for_writing() - an empty one, in which the process makes files that the gateway may read, whatever the process' umask
 * @bytes: so much will be written: refused where there is no room for it
 *
 * Return: 0, or negative with @e.
 */
int folder_for_writing(struct folder *f, const char *state_dir, uint64_t bytes, struct err *e);

/** folder_for_reading() - one that the process can only look into. Return: 0, or negative with @e */
int folder_for_reading(struct folder *f, const char *state_dir, struct err *e);

/** folder_put() - a file for the process. Return: 0, or negative with @e */
int folder_put(const struct folder *f, const char *name, const char *text, struct err *e);

/** folder_link() - a name for what is number @number in the process. Return: 0, or negative with @e */
int folder_link(const struct folder *f, const char *name, int number, struct err *e);

/** folder_remove() - with what is in it; idempotent */
void folder_remove(struct folder *f);

/** folder_sweep() - remove what an earlier gateway has left */
void folder_sweep(const char *state_dir);

#endif
