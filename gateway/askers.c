/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/askers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/identity.h"
#include "auth/secret.h"

struct asker {
	uint8_t hash[SECRET_HASH_BYTES];
	uint64_t until_ms; /* 0 = unused */
	struct identity id;
};

struct askers {
	struct asker all[ASKERS_MAX];
	size_t next; /* the oldest */
};

struct askers *askers_create(void)
{
	return calloc(1, sizeof(struct askers)); /* pages that are never used are never touched */
}

struct askers *askers_destroy(struct askers *a)
{
	free(a);
	return NULL;
}

int askers_add(struct askers *a, const char *secret, const struct identity *id, uint64_t now_ms)
{
	struct asker *x = &a->all[a->next];
	uint8_t hash[SECRET_HASH_BYTES];

	if (secret_hash(secret, hash) < 0)
		return -EINVAL;
	memcpy(x->hash, hash, sizeof(x->hash));
	x->id = *id;
	x->until_ms = now_ms + ASKERS_LIFE_MS;
	a->next = (a->next + 1) % ASKERS_MAX;
	return 0;
}

int askers_take(struct askers *a, const char *secret, struct identity *id, uint64_t now_ms)
{
	uint8_t hash[SECRET_HASH_BYTES];
	struct asker *found = NULL;

	if (secret_hash(secret, hash) < 0)
		return -ENOENT;
	for (size_t i = 0; i < ASKERS_MAX; i++)
		if (a->all[i].until_ms > now_ms && secret_equal(a->all[i].hash, hash, sizeof(hash)))
			found = &a->all[i];
	if (!found)
		return -ENOENT;
	*id = found->id;
	memset(found, 0, sizeof(*found));
	return 0;
}
