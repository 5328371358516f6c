/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_CP_H
#define GATEWAY_CTL_CP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "gateway/ctl/pick.h"

struct err;

/*
 * Files of a machine over the gateway's REST interface, in pieces, so that neither side holds a whole file. A piece that gets no answer is sent
 * again for a while. What comes from the machine is not believed: cp_name().
 */
#define CP_PATH_BYTES 4096

/** struct cp - @replace: what is there already; @going: the machine has answered; @shown_ms: time of the last line of progress */
struct cp {
	const char *socket;
	char vm[PICK_ID_BYTES];
	bool replace, tty, going;
	struct timespec began;
	uint64_t shown_ms;
};

/**
 * struct cp_node - what is at a path in the machine
 * @mode: permissions; @items: of a directory, the first page (owned); @next: cursor or ""
 */
struct cp_node {
	bool dir, file;
	unsigned mode;
	uint64_t size;
	char etag[64], next[64];
	json_t *items;
};

/** cp_look() - Return: 0, -ENOENT, or another negative with @e */
int cp_look(const struct cp *c, const char *path, const char *cursor, struct cp_node *n, struct err *e);
void cp_node_finish(struct cp_node *n);

/** cp_read_node() - the same of an item of a directory. Return: 0, or -EPROTO */
int cp_read_node(const json_t *item, struct cp_node *n);

/** cp_name() - the name of an item, NULL when it is none that may be used here: "..", with a slash, not UTF-8 */
const char *cp_name(const json_t *item);

/** cp_mkdir() - Return: 0, also when it is there already */
int cp_mkdir(const struct cp *c, const char *path, unsigned mode, struct err *e);

int cp_put(struct cp *c, const char *local, const char *path, struct err *e);
int cp_get(struct cp *c, const char *path, const struct cp_node *n, const char *local, struct err *e);

#endif
