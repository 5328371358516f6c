/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "hv/agent/host.h"

#define HAND_OVER_MS 15000
/*
 * The kernel of a guest has up to 1024 buffers of a page for what comes to its agent (of microvm; 128 elsewhere), and uses them in turn. A request of just
 * some pages fills each to its end.
 */
#define SCRUB_NAME  ".scrub"
#define SCRUB_PAGES 8U
#define SCRUB_BYTES (SCRUB_PAGES * 4096U - AGENT_HEAD_BYTES - AGENT_TAIL_BYTES - 9U - sizeof(SCRUB_NAME))
#define SCRUB_TURNS (1024U / SCRUB_PAGES + 16U)
_Static_assert(SCRUB_BYTES <= AGENT_DATA_MAX, "it fits a request");

/**
 * struct held - one secret
 * @bytes: a mapping of its own, @len of them; never NULL
 * @round: of the hand-over that had it last
 */
struct held {
	struct held *next; /* owned */
	char name[AGENT_SECRET_NAME_MAX + 1], owner[AGENT_OWNER_MAX + 1];
	uint32_t mode;
	uint8_t *bytes;
	size_t len;
	int64_t set_s;
	uint64_t round;
};

struct secrets {
	struct held *first; /* owned; by name */
	uint64_t round;
	struct agent_host *host; /* borrowed, while it is handed over */
	void (*done)(void *arg);
	void *arg;
	char asked[AGENT_SECRET_NAME_MAX + 1];
	bool completing, withdrawing;
	void (*withdrawn)(void *arg, int status);
	void *withdrawn_arg;
	struct agent_host *leaves; /* a withdrawal that begins when they have been handed over; NULL without */
	unsigned scrubs; /* to come before the last request of a withdrawal */
};

struct secrets *secrets_create(void)
{
	return calloc(1, sizeof(struct secrets));
}

/* --- bytes --------------------------------------------------------------------------------------------------- */

static size_t map_len(size_t len)
{
	return len > 0 ? len : 1;
}

/* Pages of their own: neither in a core file nor, as far as RLIMIT_MEMLOCK goes, on a swap disk. */
static uint8_t *bytes_map(const uint8_t *data, size_t len)
{
	uint8_t *bytes = mmap(NULL, map_len(len), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (bytes == MAP_FAILED)
		return NULL;
	(void)madvise(bytes, map_len(len), MADV_DONTDUMP);
	(void)mlock(bytes, map_len(len));
	memcpy(bytes, data, len);
	return bytes;
}

static void held_free(struct held *h)
{
	explicit_bzero(h->bytes, map_len(h->len));
	(void)munmap(h->bytes, map_len(h->len));
	free(h);
}

struct secrets *secrets_destroy(struct secrets *s)
{
	while (s && s->first) {
		struct held *h = s->first;

		s->first = h->next;
		held_free(h);
	}
	free(s);
	return NULL;
}

/* --- keeping ------------------------------------------------------------------------------------------------- */

static struct held *find(const struct secrets *s, const char *name)
{
	struct held *h = s->first;

	while (h && strcmp(h->name, name) != 0)
		h = h->next;
	return h;
}

bool secrets_has(const struct secrets *s, const char *name)
{
	return find(s, name) != NULL;
}

int secrets_room(const struct secrets *s, const char *name, size_t len, struct err *e)
{
	size_t count = 0, bytes = len;

	for (const struct held *h = s->first; h; h = h->next) {
		if (strcmp(h->name, name) == 0)
			continue;
		count++;
		bytes += h->len;
	}
	if (count >= SECRETS_MAX)
		return err_set(e, -ENOSPC, "the machine has %d of %d secrets", SECRETS_MAX, SECRETS_MAX);
	if (bytes > SECRETS_BYTES_MAX)
		return err_set(e, -ENOSPC, "the secrets of a machine have at most %u KiB together", SECRETS_BYTES_MAX >> 10);
	return 0;
}

int secrets_keep(struct secrets *s, const struct agent_secret *secret, int64_t now_s, struct err *e)
{
	struct held **at = &s->first, *h;
	int r = secrets_room(s, secret->name, secret->len, e);

	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h));
	if (h)
		h->bytes = bytes_map(secret->data, secret->len);
	if (!h || !h->bytes) {
		free(h);
		return err_set(e, -ENOMEM, "no memory for the secret");
	}
	(void)snprintf(h->name, sizeof(h->name), "%s", secret->name);
	(void)snprintf(h->owner, sizeof(h->owner), "%s", secret->owner ? secret->owner : "");
	h->mode = secret->mode;
	h->len = secret->len;
	h->set_s = now_s;
	(void)secrets_drop(s, h->name);
	while (*at && strcmp((*at)->name, h->name) < 0)
		at = &(*at)->next;
	h->next = *at;
	*at = h;
	return 0;
}

bool secrets_drop(struct secrets *s, const char *name)
{
	struct held **at = &s->first, *h;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	h = *at;
	if (!h)
		return false;
	*at = h->next;
	held_free(h);
	return true;
}

/* --- handing over -------------------------------------------------------------------------------------------- */

static void next(struct secrets *s);

static void begin_withdrawal(struct secrets *s);
static void end_withdrawal(struct secrets *s, int status);

static void finish(struct secrets *s)
{
	s->host = NULL;
	s->done(s->arg);
	if (s->leaves)
		begin_withdrawal(s);
}

/* The conversation has ended; the next one begins with it again. */
static void break_off(struct secrets *s)
{
	s->host = NULL;
	if (s->leaves) {
		s->leaves = NULL;
		end_withdrawal(s, -ENOTCONN);
	}
}

static void on_handed(void *arg, int status, struct agent_in *in)
{
	struct secrets *s = arg;

	(void)in;
	if (status == -ENOTCONN || !s->host) {
		break_off(s);
		return;
	}
	if (status < 0)
		log_warn("a machine did not take its secret %s: %s", s->asked, strerror(-status));
	if (s->completing)
		finish(s);
	else
		next(s);
}

static void give(struct secrets *s, const struct agent_secret *secret)
{
	struct buf body = BUF_INIT(AGENT_FRAME_MAX);
	int r;

	(void)snprintf(s->asked, sizeof(s->asked), "%s", secret->name);
	agent_put_secret(&body, secret);
	r = agent_host_ask(s->host, AGENT_SECRET, 0, &body, HAND_OVER_MS, on_handed, s);
	if (body.data)
		explicit_bzero(body.data, body.cap);
	buf_finish(&body);
	if (r < 0) {
		log_warn("a machine's secrets cannot be handed over: %s", strerror(-r));
		finish(s);
	}
}

static void next(struct secrets *s)
{
	struct held *h = s->first;

	while (h && h->round == s->round)
		h = h->next;
	s->completing = !h;
	if (!h) {
		give(s, &(struct agent_secret){ .name = SECRETS_COMPLETE, .mode = 0444, .data = (const uint8_t *)"" });
		return;
	}
	h->round = s->round;
	give(s, &(struct agent_secret){ .name = h->name, .owner = h->owner, .mode = h->mode, .data = h->bytes, .len = h->len });
}

void secrets_hand_over(struct secrets *s, struct agent_host *host, void (*done)(void *arg), void *arg)
{
	s->host = host;
	s->done = done;
	s->arg = arg;
	s->round++;
	if (agent_host_version(host) < AGENT_VERSION_SECRET)
		finish(s);
	else
		next(s);
}

/* --- taking them away --------------------------------------------------------------------------------------------- */

static void end_withdrawal(struct secrets *s, int status)
{
	s->host = NULL;
	s->withdrawing = false;
	s->withdrawn(s->withdrawn_arg, status);
}

static void on_withdrawn(void *arg, int status, struct agent_in *in);

static void withdraw_more(struct secrets *s)
{
	static const uint8_t zeros[SCRUB_BYTES];
	const struct agent_secret scrub = { .name = SCRUB_NAME, .data = zeros, .len = sizeof(zeros) }, all = { .name = SCRUB_NAME, .how = AGENT_SECRET_ALL };
	struct buf body = BUF_INIT(AGENT_FRAME_MAX);
	int r;

	agent_put_secret(&body, s->scrubs > 0 ? &scrub : &all);
	r = agent_host_ask(s->host, AGENT_SECRET, 0, &body, HAND_OVER_MS, on_withdrawn, s);
	buf_finish(&body);
	if (r < 0)
		end_withdrawal(s, r);
}

static void on_withdrawn(void *arg, int status, struct agent_in *in)
{
	struct secrets *s = arg;

	(void)in;
	if (status < 0 || s->scrubs == 0) {
		end_withdrawal(s, status);
		return;
	}
	s->scrubs--;
	withdraw_more(s);
}

static void begin_withdrawal(struct secrets *s)
{
	s->host = s->leaves;
	s->leaves = NULL;
	s->scrubs = SCRUB_TURNS;
	withdraw_more(s);
}

void secrets_withdraw(struct secrets *s, struct agent_host *host, void (*done)(void *arg, int status), void *arg)
{
	int r = s->withdrawing ? -EBUSY : agent_host_version(host) < AGENT_VERSION_WITHDRAW ? -EOPNOTSUPP : 0;

	if (r < 0) {
		done(arg, r);
		return;
	}
	s->withdrawing = true;
	s->withdrawn = done;
	s->withdrawn_arg = arg;
	s->leaves = host;
	if (!s->host)
		begin_withdrawal(s);
}

/* --- looking at them ------------------------------------------------------------------------------------------ */

json_t *secrets_json(const struct secrets *s)
{
	json_t *list = json_array();

	for (const struct held *h = s->first; list && h; h = h->next) {
		time_t t = (time_t)h->set_s;
		struct tm tm;
		char set[32], mode[8];

		gmtime_r(&t, &tm);
		(void)strftime(set, sizeof(set), "%Y-%m-%dT%H:%M:%SZ", &tm);
		(void)snprintf(mode, sizeof(mode), "%04o", (unsigned)h->mode);
		(void)json_array_append_new(list, json_pack("{s:s, s:I, s:s, s:s, s:s, s:b}", "name", h->name, "size", (json_int_t)h->len, "mode",
							    mode, "owner", h->owner[0] ? h->owner : "root", "set_at", set, "held", 1));
	}
	return list;
}
