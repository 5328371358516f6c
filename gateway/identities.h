/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITIES_H
#define GATEWAY_IDENTITIES_H

#include <stddef.h>

struct audit;
struct err;
struct loop;
struct rulebook;
struct settings;
struct signins;
struct allow_file;

/**
 * identities_add() - make the providers that the settings name
 *
 * Each asks with a client of its own, so that a service that is slow cannot use up the requests of the others. Return: 0, or negative with @e.
 */
int identities_add(struct signins *s, struct loop *loop, const struct settings *conf, struct err *e);

/** secret_from_file() - a secret without the line break at its end; empty for no path. Return: 0, or negative with @e */
int secret_from_file(const char *path, char *out, size_t size, struct err *e);

/** bootstrap_apply() - the administrators of the configuration, worked out anew at each start. Return: 0, or negative with @e */
int bootstrap_apply(struct rulebook *b, const struct settings *conf, struct err *e);

/*
 * allow_file: a list in a text file, for those who keep it in git. Watched by its path, so a replaced file or link counts too; a broken
 * file keeps the old list and says so in log and audit.
 */

/** allow_file_open() - read it and go on watching. Return: 0 (also when the file is broken: that is logged), -ENOMEM */
int allow_file_open(struct allow_file **out, struct loop *loop, struct rulebook *b, struct audit *audit, const char *path);
struct allow_file *allow_file_close(struct allow_file *f);

#endif
