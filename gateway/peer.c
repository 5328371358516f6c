/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"

#define ENTRIES 1024

struct entry {
	uint8_t key[16];
	uint64_t free_at_ms; /* when all failures are forgotten; 0 = unused */
};

struct peer_limit {
	uint32_t burst, refill_ms;
	struct entry entries[ENTRIES];
};

void peer_of(const struct sockaddr_storage *addr, struct peer *out)
{
	memset(out, 0, sizeof(*out));
	if (addr->ss_family == AF_INET) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)(const void *)addr;

		out->key[10] = out->key[11] = 0xff;
		memcpy(out->key + 12, &sin->sin_addr, 4);
		out->loopback = out->key[12] == 127;
		memcpy(out->address, out->key, 16);
	} else if (addr->ss_family == AF_INET6) {
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)(const void *)addr;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr);

		out->loopback = mapped ? sin6->sin6_addr.s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr);
		memcpy(out->key, &sin6->sin6_addr, mapped ? 16 : 8);
		memcpy(out->address, &sin6->sin6_addr, 16);
	} else {
		out->loopback = true;
	}
}

int peer_of_account(const char *email, struct peer *out)
{
	uint8_t digest[SECRET_HASH_BYTES];
	int r = secret_digest(email, strlen(email), digest);

	memset(out, 0, sizeof(*out));
	memcpy(out->key, digest, sizeof(out->key));
	return r;
}

const char *peer_text(const struct peer *p, char out[PEER_TEXT])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }, none[16];
	const char *text;

	if (p->control || memcmp(p->key, none, sizeof(none)) == 0)
		text = p->control ? "control" : p->loopback ? "local" : "?";
	else if (memcmp(p->key, mapped, sizeof(mapped)) == 0)
		text = inet_ntop(AF_INET, p->key + 12, out, PEER_TEXT);
	else
		text = inet_ntop(AF_INET6, p->key, out, PEER_TEXT);
	return text ? text : "?";
}

struct peer_limit *peer_limit_create(uint32_t burst, uint32_t refill_ms)
{
	struct peer_limit *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->burst = burst;
	l->refill_ms = refill_ms;
	return l;
}

struct peer_limit *peer_limit_destroy(struct peer_limit *l)
{
	free(l);
	return NULL;
}

static struct entry *find(struct peer_limit *l, const struct peer *p)
{
	for (size_t i = 0; i < ENTRIES; i++)
		if (l->entries[i].free_at_ms && memcmp(l->entries[i].key, p->key, sizeof(p->key)) == 0)
			return &l->entries[i];
	return NULL;
}

/* The bucket as a point in time: each failure pushes it one refill further; it is full when that is more than the burst ahead. */
uint64_t peer_limit_wait_ms(struct peer_limit *l, const struct peer *p, uint64_t now_ms)
{
	const struct entry *en = find(l, p);
	uint64_t limit_ms = (uint64_t)l->burst * l->refill_ms;

	if (!en || en->free_at_ms + l->refill_ms <= now_ms + limit_ms)
		return 0;
	return en->free_at_ms + l->refill_ms - now_ms - limit_ms;
}

void peer_limit_charge(struct peer_limit *l, const struct peer *p, uint64_t now_ms)
{
	struct entry *en = find(l, p);

	if (!en) {
		en = &l->entries[0];
		for (size_t i = 1; i < ENTRIES; i++)
			if (l->entries[i].free_at_ms < en->free_at_ms)
				en = &l->entries[i];
		memcpy(en->key, p->key, sizeof(en->key));
		en->free_at_ms = 0;
	}
	en->free_at_ms = (en->free_at_ms > now_ms ? en->free_at_ms : now_ms) + l->refill_ms;
}
