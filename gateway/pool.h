/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_POOL_H
#define GATEWAY_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/hv.h"

/*
 * How many machines are kept ready that are nobody's yet. They are clones (docs/templates.md) with everything but a name; who makes a machine of
 * the same kind gets one of them. Kinds are those that were wanted lately. What makes, counts and ends them is given by hooks; this decides.
 */
struct loop;
struct pool;

#define POOL_KIND_BYTES 512

/** struct pool_count - of one kind: that can be handed out, and that are under way */
struct pool_count {
	unsigned ready, making;
};

/**
 * struct pool_hooks - @kind: as pool_kind() has it
 * @count: how many there are
 * @make:  begin to make one. Return: 0 or negative
 * @drop:  end one of them, if there is one that is ready
 * @template: as hv_template()
 * @crowded: those who want a machine now wait for their turn: none is made beside them
 */
struct pool_hooks {
	struct pool_count (*count)(void *arg, const char *kind);
	int (*make)(void *arg, const struct vm_spec *spec, const char *kind);
	void (*drop)(void *arg, const char *kind);
	enum hv_template_state (*template)(void *arg, const struct vm_spec *spec, bool make);
	bool (*crowded)(void *arg);
};

/**
 * struct pool_config - @min: of each kind that was wanted within the last hour; @max: of each kind, as many as were wanted lately
 * @reserve_bytes: memory of the host that stays free; 0 = an eighth of it
 */
struct pool_config {
	unsigned min, max;
	uint64_t reserve_bytes;
};

/** pool_create() - @hooks and @loop are borrowed. Return: NULL without memory */
struct pool *pool_create(struct loop *loop, const struct pool_config *c, const struct pool_hooks *hooks, void *arg);
/** pool_destroy() - Return: NULL; NULL is fine */
struct pool *pool_destroy(struct pool *p);

/** pool_kind() - what two machines must have in common: all but name and terminal. Return: 0 or -E2BIG */
int pool_kind(const struct vm_spec *spec, char out[POOL_KIND_BYTES]);

/** pool_wanted() - somebody makes a machine of this kind; whether one was ready or not */
void pool_wanted(struct pool *p, const struct vm_spec *spec, const char *kind);

/** pool_changed() - one has become ready, or was taken, or has ended; @failed: before it was ready */
void pool_changed(struct pool *p, const char *kind, bool failed);

/** struct pool_state - for those who look at it. @low: the host's memory is short, so none are made */
struct pool_state {
	unsigned ready, making, wanted;
	uint64_t taken, missed, failed;
	bool low;
};

/** pool_taken() - one was handed out (@ready), or had to be made */
void pool_taken(struct pool *p, bool ready);
void pool_state(struct pool *p, struct pool_state *out);

/** struct pool_kind_state - of one kind; borrowed as long as the call that it is told by */
struct pool_kind_state {
	const struct vm_spec *spec;
	const char *kind;
	unsigned ready, making, wanted;
};

/** pool_each() - the kinds that were wanted lately, each with @one */
void pool_each(const struct pool *p, void (*one)(void *arg, const struct pool_kind_state *k), void *arg);

#endif
