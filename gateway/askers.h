/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ASKERS_H
#define GATEWAY_ASKERS_H

#include <stdint.h>

struct askers;
struct identity;

/*
 * Identities that were proven and refused, kept for a while under the hash of their sign-in's secret, so that
 * whoever holds it may ask to be let in. In memory; the oldest goes when there are too many.
 */
#define ASKERS_MAX     256
#define ASKERS_LIFE_MS 600000

/** askers_create() - NULL without memory */
struct askers *askers_create(void);
struct askers *askers_destroy(struct askers *a);

/** askers_add() - Return: 0, or -EINVAL for what is no secret */
int askers_add(struct askers *a, const char *secret, const struct identity *id, uint64_t now_ms);

/** askers_take() - once. Return: 0 with @id, or -ENOENT */
int askers_take(struct askers *a, const char *secret, struct identity *id, uint64_t now_ms);

#endif
