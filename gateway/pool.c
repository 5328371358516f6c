/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/pool.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/loop.h"

#define KINDS_MAX    16
#define TICK_S	     1.
#define AT_ONCE	     2		/* being made: whoever waits for a machine of his own comes first */
#define LIFE_MS	     90000.0	/* of a demand: it has halved in a minute */
#define FIRST_MS     30000
#define FORGET_MS    3600000	/* a kind that nobody has wanted for so long */
#define PAUSE_MS     5000	/* after a failure, doubled up to 64 times */
#define EACH_BYTES   (48ULL << 20) /* what one takes at most before somebody uses it: 16 to 32 MiB were measured */
#define MEMINFO_MAX  8192

struct kind {
	char text[POOL_KIND_BYTES];
	struct vm_spec spec;
	double demand; /* of the last minute or so */
	uint64_t demand_ms, wanted_ms, retry_ms;
	unsigned failures;
};

struct pool {
	struct loop *loop; /* borrowed, like hooks and arg */
	const struct pool_hooks *hooks;
	void *arg;
	struct pool_config c;
	struct kind kind[KINDS_MAX];
	size_t nkinds;
	ev_timer tick;
	struct loop_task soon;
	uint64_t taken, missed, failed;
	bool low;
};

int pool_kind(const struct vm_spec *spec, char out[POOL_KIND_BYTES])
{
	json_t *json = spec_json(spec);
	size_t len;

	(void)json_object_del(json, "name");
	(void)json_object_del(json, "cols");
	(void)json_object_del(json, "rows");
	len = json ? json_dumpb(json, out, POOL_KIND_BYTES - 1, JSON_COMPACT | JSON_SORT_KEYS) : 0;
	json_decref(json);
	if (len == 0 || len >= POOL_KIND_BYTES)
		return -E2BIG;
	out[len] = '\0';
	return 0;
}

static uint64_t meminfo(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) << 10 : 0;
}

/* Is there room for one more? */
static bool has_room(struct pool *p)
{
	char text[MEMINFO_MAX];
	uint64_t all, free, reserve;

	if (fd_read_file(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) <= 0)
		return false;
	all = meminfo(text, "MemTotal:");
	free = meminfo(text, "MemAvailable:");
	reserve = p->c.reserve_bytes ? p->c.reserve_bytes : all / 8;
	p->low = free < reserve + EACH_BYTES;
	return !p->low;
}

static void decay(struct kind *k)
{
	uint64_t now = loop_now_ms();

	k->demand *= LIFE_MS / (LIFE_MS + (double)(now - k->demand_ms));
	k->demand_ms = now;
}

static unsigned target(const struct pool *p, const struct kind *k)
{
	unsigned n = (unsigned)(k->demand + 0.9);

	n = n < p->c.min ? p->c.min : n;
	return n > p->c.max ? p->c.max : n;
}

static struct kind *find(struct pool *p, const char *text)
{
	for (size_t i = 0; i < p->nkinds; i++)
		if (strcmp(p->kind[i].text, text) == 0)
			return &p->kind[i];
	return NULL;
}

static void end_all(struct pool *p, const struct kind *k)
{
	for (unsigned n = p->hooks->count(p->arg, k->text).ready; n > 0; n--)
		p->hooks->drop(p->arg, k->text);
}

static void forget(struct pool *p, struct kind *k)
{
	end_all(p, k);
	*k = p->kind[--p->nkinds];
}

static unsigned all_making(const struct pool *p)
{
	unsigned n = 0;

	for (size_t i = 0; i < p->nkinds; i++)
		n += p->hooks->count(p->arg, p->kind[i].text).making;
	return n;
}

static void fail(struct kind *k)
{
	k->retry_ms = loop_now_ms() + ((uint64_t)PAUSE_MS << (k->failures < 6 ? k->failures : 6));
	k->failures++;
}

static void fill(struct pool *p, struct kind *k)
{
	struct pool_count n = p->hooks->count(p->arg, k->text);
	unsigned want = target(p, k);

	if (n.ready > want || (p->low && n.ready > 0 && !has_room(p)))
		p->hooks->drop(p->arg, k->text);
	while (n.ready + n.making < want && all_making(p) < AT_ONCE && loop_now_ms() >= k->retry_ms && !p->hooks->crowded(p->arg) && has_room(p)) {
		/* Who has just asked for the first one boots, and what he boots makes the template: not beside him. */
		if (p->hooks->template(p->arg, &k->spec, loop_now_ms() - k->wanted_ms > FIRST_MS) != HV_TEMPLATE_READY)
			return;
		if (p->hooks->make(p->arg, &k->spec, k->text) < 0) {
			fail(k);
			return;
		}
		n.making++;
	}
}

static void look(struct pool *p)
{
	uint64_t now = loop_now_ms();

	for (size_t i = 0; i < p->nkinds; i++) {
		struct kind *k = &p->kind[i];

		decay(k);
		if (now - k->wanted_ms > FORGET_MS) {
			forget(p, k);
			return; /* the rest has its turn at the next tick */
		}
		fill(p, k);
	}
}

static void on_tick(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)events;
	look(container_of(w, struct pool, tick));
}

static void run_soon(struct loop_task *task)
{
	look(container_of(task, struct pool, soon));
}

struct pool *pool_create(struct loop *loop, const struct pool_config *c, const struct pool_hooks *hooks, void *arg)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->loop = loop;
	p->c = *c;
	p->hooks = hooks;
	p->arg = arg;
	ev_timer_init(&p->tick, on_tick, TICK_S, TICK_S);
	return p;
}

struct pool *pool_destroy(struct pool *p)
{
	if (!p)
		return NULL;
	ev_timer_stop(p->loop->ev, &p->tick);
	loop_cancel(p->loop, &p->soon);
	free(p);
	return NULL;
}

/* The kind that nobody has wanted for longest makes room. */
static struct kind *add_kind(struct pool *p, const struct vm_spec *spec, const char *text)
{
	struct kind *k;

	if (p->nkinds == KINDS_MAX) {
		k = &p->kind[0];
		for (size_t i = 1; i < p->nkinds; i++)
			k = p->kind[i].wanted_ms < k->wanted_ms ? &p->kind[i] : k;
		forget(p, k);
	}
	k = &p->kind[p->nkinds++];
	memset(k, 0, sizeof(*k));
	(void)snprintf(k->text, sizeof(k->text), "%s", text);
	k->spec = *spec;
	k->spec.id = NULL; /* of confidential machines, which are never kept */
	k->spec.cols = k->spec.rows = 0;
	(void)snprintf(k->spec.name, sizeof(k->spec.name), "spare");
	return k;
}

void pool_wanted(struct pool *p, const struct vm_spec *spec, const char *kind)
{
	struct kind *k;

	if (p->c.max == 0 || spec->confidential != VM_CONFIDENTIAL_NONE)
		return;
	k = find(p, kind);
	if (!k)
		k = add_kind(p, spec, kind);
	decay(k);
	k->demand += 1.;
	k->wanted_ms = loop_now_ms();
	if (!ev_is_active(&p->tick))
		ev_timer_again(p->loop->ev, &p->tick);
}

void pool_changed(struct pool *p, const char *kind, bool failed)
{
	struct kind *k = find(p, kind);

	p->failed += failed;
	if (k && failed)
		fail(k);
	else if (k)
		k->failures = 0;
	loop_defer(p->loop, &p->soon, run_soon);
}

void pool_taken(struct pool *p, bool ready)
{
	p->taken += ready;
	p->missed += !ready;
}

void pool_state(struct pool *p, struct pool_state *out)
{
	*out = (struct pool_state){ .taken = p->taken, .missed = p->missed, .failed = p->failed, .low = p->low };
	for (size_t i = 0; i < p->nkinds; i++) {
		struct pool_count n = p->hooks->count(p->arg, p->kind[i].text);

		out->ready += n.ready;
		out->making += n.making;
		out->wanted += target(p, &p->kind[i]);
	}
}

void pool_each(const struct pool *p, void (*one)(void *arg, const struct pool_kind_state *k), void *arg)
{
	for (size_t i = 0; i < p->nkinds; i++) {
		const struct kind *k = &p->kind[i];
		struct pool_count n = p->hooks->count(p->arg, k->text);
		const struct pool_kind_state st = { .spec = &k->spec, .kind = k->text, .ready = n.ready, .making = n.making, .wanted = target(p, k) };

		one(arg, &st);
	}
}
