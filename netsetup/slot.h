/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_SLOT_H
#define NETSETUP_SLOT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "netsetup/ends.h"
#include "netsetup/net.h"
#include "netsetup/plan.h"
#include "netsetup/proto.h"

struct cgroups;
struct config;
struct err;
struct loop;
struct slot;
struct slots;

/*
 *                         +--- NET_FREE (waits for the join) ---+
 *                         |                                     v
 *   (none) --NET_ALLOC--> JOINING --TAP is up--> READY -----> LEAVING --TAP is gone--> (none)
 *                                                  |   NET_FREE ^
 *                                         VM_SPAWN v            | NET_FREE
 *                                              RUNNING       EXITED --VM_SPAWN--> RUNNING
 *                                                  |            ^
 *                                     it has ended +-> ENDING --+ nothing is left
 *
 * ENDING: the process is gone, others in its control group are being killed. The gateway sees the phases as
 * enum netd_slot_state.
 */
enum slot_phase {
	SLOT_JOINING,
	SLOT_READY,
	SLOT_RUNNING,
	SLOT_ENDING,
	SLOT_EXITED,
	SLOT_LEAVING,
	SLOT_PHASE_COUNT
};

#define SLOT_IN(phase) (1U << (phase))

/* What is still to be said about a slot. */
enum slot_due { DUE_ALLOCATED = 1, DUE_CARD1 = 2, DUE_CARD2 = 4, DUE_EXITED = 8, DUE_FREED = 16 };
_Static_assert(NETD_CARDS_MAX == 2, "one enum slot_due for each card");

/*
 * A network card that came while the process runs:
 *
 *   NONE --CARD_ADD--> JOINING --TAP is up--> UP --CARD_REMOVE--> LEAVING --TAP is gone--> NONE
 *                         |  the process has ended  |                ^
 *                         +------------+------------+----------------+
 */
enum card_phase { CARD_NONE, CARD_JOINING, CARD_UP, CARD_LEAVING };

/**
 * struct slot_card - such a card
 * @seq, @caller: of the request that waits for the network; @caller: 0 = none
 * @op: of that request
 */
struct slot_card {
	struct slot *slot; /* borrowed: owner */
	enum card_phase phase;
	struct plan_slot plan;
	int tap_fd; /* owned; -1 without */
	struct net_job join, leave;
	uint32_t seq;
	uint64_t caller;
	uint16_t op;
};

/**
 * struct slot - one place for a machine
 * @alloc_seq, @free_seq: requests that wait for the network; @alloc_caller, @free_caller: connection they came
 *                        by, 0 = none
 * @due:       set of enum slot_due, said in the order of their values; @next_due links slots that have any
 * @near:      kept for ADOPT, owned, by index of want[]
 */
struct slot {
	struct slots *slots; /* borrowed: owner */
	enum slot_phase phase;
	struct plan_slot plan;
	uint8_t vm_id[16];
	enum netd_net net;
	int tap_fd; /* owned; -1 without */
	struct net_job join, leave;
	struct slot_card *cards; /* owned: NETD_CARDS_MAX; NULL until one was asked for */

	pid_t pid;
	int pidfd; /* owned; -1 when no process */
	int exit_code, exit_signal;
	uint32_t oom_kills;
	uint8_t want[NETD_FDS_MAX];
	uint32_t nwant, ring_bytes, fds_charged;
	int near[NETD_FDS_MAX];
	struct ends_dir dir; /* owned */
	ev_io on_exit;
	uint64_t ended_ms;

	uint32_t alloc_seq, free_seq;
	uint64_t alloc_caller, free_caller;
	unsigned due;
	struct slot *next_due; /* borrowed */
};
_Static_assert(sizeof(struct slot) <= 1664, "each idle machine has one: what few need is kept by pointer");

/**
 * struct slots_config - all borrowed
 * @net:     NULL without a network: slots then have no interface
 * @cgroups: NULL = not used
 * @caps:    of enum netd_cap; @kvm_gid: extra group that /dev/kvm needs
 * @files_max: FDs this process may have
 * @on_due:  a slot has something to say (slots_next_due()); may be called from within any call
 */
struct slots_config {
	const struct config *config;
	struct loop *loop;
	struct net *net;
	struct cgroups *cgroups;
	uint32_t caps, files_max;
	gid_t kvm_gid;
	void (*on_due)(void *arg);
	void *arg;
};

/** slots_create() - Return: the table, or NULL with @e */
struct slots *slots_create(const struct slots_config *c, struct err *e);

/** slots_destroy() - free what is left; ends nothing, see slots_end_all(). Returns NULL */
struct slots *slots_destroy(struct slots *slots);

uint32_t slots_used(const struct slots *slots);

/** slots_get() - Return: the slot of that number, or NULL when it is free */
struct slot *slots_get(const struct slots *slots, uint32_t number);

/** slots_find() - Return: the slot allocated for @vm_id that is not leaving, or NULL */
struct slot *slots_find(const struct slots *slots, const uint8_t vm_id[16]);

/**
 * slot_alloc() - take a free slot and begin to set up its network; DUE_ALLOCATED follows unless it is READY at
 * once
 *
 * Return: NULL with @e
 */
struct slot *slot_alloc(struct slots *slots, const uint8_t vm_id[16], enum netd_net net, struct err *e);

/** slot_free() - give it back; DUE_FREED follows. In JOINING, READY and EXITED */
void slot_free(struct slot *s);

/**
 * slot_spawn() - start a process in READY or EXITED
 * @files: rq->nfiles descriptors for it; taken out (-1) where used
 *
 * Return: 0, or negative with @e and the slot as it was.
 */
int slot_spawn(struct slot *s, const struct netd_vm_spawn *rq, char *const *argv, int *files, struct err *e);

/** slot_kill() - in RUNNING. Return: 0 or -errno */
int slot_kill(struct slot *s, enum netd_kill how);

/** slot_limits() - other limits for what runs; 0 leaves one as it is. In RUNNING. Return: 0, or negative with @e */
int slot_limits(struct slot *s, uint64_t memory_max, uint32_t cpu_percent, struct err *e);

/** slot_memory() - the kernel's count of what runs, to be read by the asker. In RUNNING. Return: FD or -errno */
int slot_memory(const struct slot *s);
/** slot_card_add() - begin to set up card @card, from 1; DUE_CARD1 or DUE_CARD2 follows. In RUNNING. Return: 0; 1: it is there; negative with @e */
int slot_card_add(struct slot *s, unsigned card, struct err *e);

/** slot_card_remove() - begin to take it away, likewise. Return: 0, or negative with @e */
int slot_card_remove(struct slot *s, unsigned card, struct err *e);

/** slot_card_info() - what the gateway may know of it */
void slot_card_info(const struct slot *s, unsigned card, struct netd_card_info *out);

/** slot_info() - what the gateway may know */
void slot_info(const struct slot *s, struct netd_slot_info *out);

/** slot_say() - note that something is to be said */
void slot_say(struct slot *s, enum slot_due what);

/** slots_first_due() - Return: the slot that has waited longest with something to say, or NULL */
struct slot *slots_first_due(struct slots *slots);

/** slot_told() - @what was said; after DUE_FREED the slot is forgotten and @s is freed */
void slot_told(struct slot *s, enum slot_due what);

/** slots_end_all() - SIGKILL to everything; slots_running() falls to 0 while the loop turns */
void slots_end_all(struct slots *slots);

/** slots_running() - how many have a process or the rest of one */
uint32_t slots_running(const struct slots *slots);

#endif
