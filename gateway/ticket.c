/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets wait in a circle, oldest first; all live equally long, so those that expire are always at its
 * front. A spent one stays in its place as a hole until it gets there. Looking for one compares with all,
 * in constant time each: at most TICKETS_MAX short compares, at an attach.
 */
#include "gateway/ticket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hex.h"

#define SECRET_BYTES ((TICKET_TEXT - 1) / 2)

struct ticket {
	uint8_t secret[SECRET_BYTES];
	uint8_t session_hash[SESSION_HASH_BYTES];
	char stream_id[STREAM_ID_BYTES];
	int64_t person;
	uint64_t expires_ms;
	struct ticket_right right;
	bool live;
};

struct tickets {
	struct ticket slots[TICKETS_MAX];
	size_t first, count;
};

struct tickets *tickets_create(void)
{
	return calloc(1, sizeof(struct tickets)); /* pages that are never used are never touched */
}

struct tickets *tickets_destroy(struct tickets *t)
{
	if (t)
		explicit_bzero(t->slots, sizeof(t->slots));
	free(t);
	return NULL;
}

static struct ticket *at(struct tickets *t, size_t i)
{
	return &t->slots[(t->first + i) % TICKETS_MAX];
}

static void drop_first(struct tickets *t)
{
	explicit_bzero(at(t, 0), sizeof(struct ticket));
	t->first = (t->first + 1) % TICKETS_MAX;
	t->count--;
}

static void drop_expired(struct tickets *t, uint64_t now_ms)
{
	while (t->count > 0 && (!at(t, 0)->live || at(t, 0)->expires_ms <= now_ms))
		drop_first(t);
}

/* True if equal; the time taken does not tell where they differ. */
static bool same(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff = (uint8_t)(diff | (x[i] ^ y[i]));
	return diff == 0;
}

/* Whose tickets are counted together. Persons' rows are positive. */
static int64_t counted_as(const struct who *who, const struct ticket_right *right)
{
	return who->person == 0 && right->share ? -right->share : who->person;
}

static bool too_many(struct tickets *t, const struct who *who, int64_t person_row)
{
	size_t session = 0, person = 0;

	for (size_t i = 0; i < t->count; i++) {
		if (!at(t, i)->live || at(t, i)->person != person_row)
			continue;
		person++;
		session += memcmp(at(t, i)->session_hash, who->session_hash, SESSION_HASH_BYTES) == 0;
	}
	return session >= TICKETS_PER_SESSION || person >= TICKETS_PER_PERSON;
}

int ticket_issue(struct tickets *t, const struct who *who, const char *stream_id, enum stream_role role,
		 uint64_t now_ms, char out[TICKET_TEXT])
{
	return ticket_issue_for(t, who, stream_id, &(const struct ticket_right){ .role = role }, now_ms, out);
}

int ticket_issue_for(struct tickets *t, const struct who *who, const char *stream_id, const struct ticket_right *right,
		     uint64_t now_ms, char out[TICKET_TEXT])
{
	size_t len = strlen(stream_id);
	struct ticket new = { .person = counted_as(who, right), .expires_ms = now_ms + TICKET_LIFE_MS, .right = *right, .live = true };

	if (len >= sizeof(new.stream_id))
		return -EINVAL;
	drop_expired(t, now_ms);
	if (too_many(t, who, new.person))
		return -EAGAIN;
	if (getrandom(new.secret, sizeof(new.secret), GRND_NONBLOCK) != sizeof(new.secret))
		return -EIO;
	memcpy(new.stream_id, stream_id, len + 1);
	memcpy(new.session_hash, who->session_hash, sizeof(new.session_hash));
	if (t->count == TICKETS_MAX)
		drop_first(t);
	t->count++;
	*at(t, t->count - 1) = new;
	hex_encode(new.secret, sizeof(new.secret), out);
	explicit_bzero(&new, sizeof(new));
	return 0;
}

int ticket_take(struct tickets *t, const char *text, const struct who *who, const char *stream_id,
		uint64_t now_ms, struct ticket_right *right)
{
	struct ticket *found = NULL;
	uint8_t secret[SECRET_BYTES];
	bool fits;

	if (hex_decode(text, secret, sizeof(secret)) < 0)
		return -EACCES;
	drop_expired(t, now_ms);
	for (size_t i = 0; i < t->count; i++) {
		if (at(t, i)->live && same(at(t, i)->secret, secret, sizeof(secret)))
			found = at(t, i);
	}
	if (!found)
		return -EACCES;
	/* Shown is spent, whoever shows it. */
	fits = found->expires_ms > now_ms && strcmp(found->stream_id, stream_id) == 0 &&
	       same(found->session_hash, who->session_hash, SESSION_HASH_BYTES);
	*right = found->right;
	explicit_bzero(found, sizeof(*found));
	return fits ? 0 : -EACCES;
}

void ticket_drop_share(struct tickets *t, int64_t share)
{
	for (size_t i = 0; i < t->count; i++) {
		if (at(t, i)->live && at(t, i)->right.share == share)
			explicit_bzero(at(t, i), sizeof(struct ticket));
	}
}
