/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_MACHINE_H
#define GATEWAY_MACHINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/pool.h"
#include "hv/hv.h"

struct agent_host;
struct disk_row;
struct disks;
struct err;
struct loop;
struct machine;
struct machines;
struct quota;
struct recipe_wish;
struct sched;
struct secrets;
struct setup;
struct shell;
struct shell_wish;
struct shells;
struct store;
struct stream;

/*
 * The registry that ties a person's row in the store to a machine of hv/ and to its streams. A machine outlives sockets, sessions
 * and this process.
 */
#define MACHINE_ID_BYTES 16
#define MACHINE_ID_TEXT	 33
#define STREAM_ID_BYTES	 64 /* "<32 hex>.console", "<32 hex>.<16 hex>" and room */

/* Positive outcomes, beside negative errno with @e filled. */
enum {
	MACHINE_E_EXISTS = 1, /* the person has as many as allowed; *out is the (first) one */
	MACHINE_E_STATE = 2,  /* not in this state; @e says which */
	MACHINE_E_OFFLINE = 3, /* the helper is away */
	MACHINE_E_QUOTA = 4,  /* more than the person may use; @e has the numbers */
	MACHINE_E_CANNOT = 6, /* not this machine, or not so; @e says why */
	MACHINE_E_REPEATED = 5, /* the Idempotency-Key has been here: *out is what it made */
};

/* What happens to a machine by itself, or after it was asked for; in the order of a life. */
enum machine_event { MACHINE_UP /* starts, or was found running */, MACHINE_STOPPED, MACHINE_FAILED, MACHINE_GONE, MACHINE_EVENT_COUNT };

/**
 * struct machines_config - what machines need to be told
 * @disks:      borrowed; NULL: machines have none
 * @standby_dir: where what is put aside is kept; NULL or "": nothing is
 * @ring_dir:   where the rings of shells are kept; NULL or "": no shells. @shells_max: of one machine
 * @on_event: @reason in words, may be empty; may stop no machine. NULL for none
 * @on_stream: a stream of a machine has been opened, fresh or found again; NULL for none
 */
struct machines_config {
	struct hv_config hv;
	struct disks *disks;
	struct pool_config pool;
	const char *ring_dir, *standby_dir;
	uint32_t shells_max;
	void (*on_event)(void *arg, const struct machine *m, enum machine_event what, const char *reason);
	void (*on_stream)(void *stream_arg, struct stream *s);
	void *arg, *stream_arg;
};

/** machines_create() - load every row, connect hv, adopt what runs. Borrowed: loop, store, sched */
int machines_create(struct machines **out, struct loop *loop, struct store *store, struct sched *sched,
		    const struct machines_config *c, struct err *e);
/** machines_destroy() - let go; the machines run on */
struct machines *machines_destroy(struct machines *ms);

/** machines_host() - host facts, as hv_host() */
void machines_host(const struct machines *ms, struct hv_host *out);

/** machines_images() - as hv_images() */
json_t *machines_images(const struct machines *ms);

/** machines_may_run() - as hv_may_run() */
int machines_may_run(struct machines *ms, const struct vm_spec *spec, struct err *e);

/**
 * struct machine_wish - a machine that somebody wants
 * @quota: what its person may use
 * @key:   Idempotency-Key or ""
 * @recipe: what is to be done in it once; NULL for nothing
 */
struct machine_wish {
	int64_t person;
	const struct vm_spec *spec;
	const struct quota *quota;
	const char *key;
	const struct recipe_wish *recipe;
};

/**
 * machine_create() - make and start a machine
 *
 * Return: 0, MACHINE_E_EXISTS, _QUOTA, _OFFLINE, _REPEATED, or negative with @e. *@out is borrowed: lives until deleted.
 */
int machine_create(struct machines *ms, const struct machine_wish *wish, struct machine **out, struct err *e);

/** machine_fits() - may it be started, beside the others of its person? Return: 0, or MACHINE_E_QUOTA with the numbers in @e */
int machine_fits(const struct machine *m, const struct quota *q, struct err *e);

/** machine_find() - by id text, only if it belongs to @person. NULL otherwise: "not yours" and "not there" look the same */
struct machine *machine_find(struct machines *ms, int64_t person, const char *id);

/** machine_find_any(), machine_next_any() - the same over everybody's, for administrators */
struct machine *machine_find_any(struct machines *ms, const char *id);
struct machine *machine_next_any(struct machines *ms, const struct machine *after);

/** machine_stream_any() - stream by its id, whoever it belongs to; NULL when there is none */
struct stream *machine_stream_any(struct machines *ms, const char *stream_id);

/** machine_name() - as its spec has it */
const char *machine_name(const struct machine *m);

/** machine_owner() - the person's row; machine_created_s() - seconds since 1970; machine_up() - neither stopped nor failed */
int64_t machine_owner(const struct machine *m);
int64_t machine_created_s(const struct machine *m);
bool machine_up(const struct machine *m);

/** machine_touch() - somebody uses it; machine_unused_ms() - since then, since its start, or 0 while somebody is at one of its terminals */
void machine_touch(struct machine *m);
uint64_t machine_unused_ms(const struct machine *m);

/** machine_next() - walk one person's machines, oldest first; @after NULL starts. @after need not exist any more only if found by cursor */
struct machine *machine_next(struct machines *ms, int64_t person, const struct machine *after);

/** machine_id() - 32 hex digits */
const char *machine_id(const struct machine *m);

int machine_start(struct machine *m, struct err *e);
int machine_stop(struct machine *m, enum hv_stop how, struct err *e);
int machine_restart(struct machine *m, struct err *e);
/** machine_pause(), machine_resume() - ready <-> paused. Return: 0, MACHINE_E_STATE, _CANNOT or _OFFLINE */
int machine_pause(struct machine *m, struct err *e);
int machine_resume(struct machine *m, struct err *e);

/** machine_suspend() - ready -> standby: put aside, with all that is in its memory, into a file; machine_start() wakes it. Return: as machine_pause() */
int machine_suspend(struct machine *m, struct err *e);
/** machine_rouse() - somebody uses it: it is woken if it is put aside. Cheap to call always */
void machine_rouse(struct machine *m);

/** machine_size() - what it has, or is being changed to */
void machine_size(const struct machine *m, struct vm_size *out);

/**
 * machine_resize() - other processors and memory: at once for a machine at rest; else asked for, and machine_json() tells what came of it
 * @q: what its person may use
 *
 * Return: 0, MACHINE_E_STATE, _CANNOT, _QUOTA, _OFFLINE, or negative with @e.
 */
int machine_resize(struct machine *m, const struct vm_size *size, const struct quota *q, struct err *e);

/** machine_bootlog() - the end of what its kernel wrote to a serial line of its own; borrowed, @len may be 0 */
const char *machine_bootlog(const struct machine *m, size_t *len);

/** machine_delete() - stop, then forget: row, stream, ring */
int machine_delete(struct machine *m, struct err *e);

/** machine_volume_user() - the machine that is up with this volume of @person, as its home or plugged in, but for @except (may be NULL); NULL for none */
struct machine *machine_volume_user(struct machines *ms, int64_t person, const char *volume, const struct machine *except);

/**
 * machine_card_plug(), machine_card_unplug() - a network card more while it runs, in @number from 1, or that one less; machine_json() tells what
 * comes of it. Return: 0, MACHINE_E_* or negative with @e
 */
int machine_card_plug(struct machine *m, unsigned *number, struct err *e);
int machine_card_unplug(struct machine *m, unsigned number, struct err *e);

/** machine_plug(), machine_unplug() - a volume of its owner, while it runs; machine_json() tells what comes of it. Return: 0, MACHINE_E_* or negative with @e */
int machine_plug(struct machine *m, const struct disk_row *row, struct err *e);
int machine_unplug(struct machine *m, const struct disk_row *row, struct err *e);

/** machine_json() - the VM object of docs/protocol.md. Return: a new reference, or NULL without memory */
json_t *machine_json(const struct machine *m);

/** machine_secrets() - what is handed to its agent, in this process' memory. machine_takes_secrets() - does such a machine? Else why not in @e */
struct secrets *machine_secrets(const struct machine *m);
/** machine_secret_agent() - who is given them now; NULL: they wait for the next time it answers */
struct agent_host *machine_secret_agent(const struct machine *m);
bool machine_takes_secrets(const struct machine *m, struct err *e);

/** machine_setup() - what is done in it once (gateway/setup.h); NULL where nothing is */
struct setup *machine_setup(const struct machine *m);

/** machine_stream_find() - stream by its id, only if its machine belongs to @person; NULL otherwise */
struct stream *machine_stream_find(struct machines *ms, int64_t person, const char *stream_id);

/** machine_of_stream() - the machine behind a stream of this registry */
struct machine *machine_of_stream(struct stream *s);

/** machine_console() - the stream of its console */
struct stream *machine_console(const struct machine *m);

/** machine_confidential() - as hv_vm_confidential(). Return: 0, or negative with @e, also for a machine that is not */
struct confidential;
int machine_confidential(const struct machine *m, struct confidential *out, struct err *e);

/** machine_agent() - for requests to the agent in its guest (hv/agent/host.h); NULL while it does not answer. Valid until the loop turns */
struct agent_host *machine_agent(const struct machine *m);

/** machine_shells() - its shells (gateway/shell.h) */
struct shells *machine_shells(const struct machine *m);

/** machine_shell_of() - the shell behind a stream, NULL for a console */
struct shell *machine_shell_of(struct stream *s);

/** machine_port_tag() - the agent's tag for one more connection to a port of a guest */
void machine_port_tag(struct machine *m, uint8_t tag[16]);

/** machine_shell_open() - Return: as shell_open() */
int machine_shell_open(struct machine *m, const struct shell_wish *wish, struct shell **out, struct err *e);

/** machines_pool() - of the machines that are kept ready */
void machines_pool(const struct machines *ms, struct pool_state *out);

/** machines_pool_json() - the same for people, by kind: "pool" of GET /host in docs/protocol.md. Return: new reference, or NULL without memory */
json_t *machines_pool_json(const struct machines *ms);

/** machines_turns() - as hv_turns() */
void machines_turns(const struct machines *ms, struct hv_turns *out);

/** machines_metrics() - append Prometheus lines */
struct buf;
void machines_metrics(const struct machines *ms, struct buf *out);

#endif
