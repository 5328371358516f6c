/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_PREVIEW_H
#define GATEWAY_PREVIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/secret.h"
#include "gateway/preview_head.h"

struct access;
struct err;
struct listeners;
struct loop;
struct machine;
struct machines;
struct peer;
struct preview;
struct settings;
struct store;
struct who;

/*
 * What a program in a machine serves on a port of its loopback, shown to the machine's owner as a site of its own: MACHINE-PORT.preview_domain. Bytes
 * go through the guest's agent. Nothing of it is ever on the gateway's origin.
 */
#define PREVIEW_PATH_BYTES 1024
#define PREVIEW_URL_BYTES  2048

/**
 * struct preview_config - everything borrowed
 * @adopt: takes connections that are for the gateway itself, as listeners' on_accept
 */
struct preview_config {
	struct loop *loop;
	const struct settings *settings;
	struct listeners *listeners;
	struct machines *machines;
	struct store *store;
	struct access *access;
	bool (*adopt)(void *arg, int fd, const struct peer *peer);
	void *arg;
};

/** preview_create() - Return: NULL without memory */
struct preview *preview_create(const struct preview_config *c);
struct preview *preview_destroy(struct preview *p);

/** preview_accept() - on_accept of the listeners: looks whom a connection is for */
bool preview_accept(void *arg, int fd, const struct peer *peer);

/** preview_forget() - a machine goes: so do its connections */
void preview_forget(struct preview *p, const struct machine *m);

enum { PREVIEW_E_NAMED = 1 };

/**
 * preview_pass() - somebody signed in wants to see a place
 * @path:  where to there, with its query
 * @state: hash of what the browser holds for that host, so that a code is of use to it only
 * @url:   where the browser is to go next: with a code, or where the place is called by a name, to its own host first
 *
 * Return: 0; PREVIEW_E_NAMED: @url has no code, for the place is called by a name; -ENOENT: no such machine of this person; or negative with @e.
 */
int preview_pass(struct preview *p, const struct who *who, const struct preview_place *place, const char *path,
		 const uint8_t state[SECRET_HASH_BYTES], char url[PREVIEW_URL_BYTES], struct err *e);

#endif
