/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the machines (gateway/machine*.c) share, and nobody else sees. */
#ifndef GATEWAY_MACHINE_PRIV_H
#define GATEWAY_MACHINE_PRIV_H

#include "auth/store.h"
#include "base/loop.h"
#include "gateway/agent_tie.h"
#include "gateway/machine.h"
#include "gateway/machine_disks.h"
#include "gateway/shell.h"
#include "hv/bootwatch.h"

#define CONSOLE_SUFFIX ".console"

#define PLUGS_MAX 4 /* volumes that were plugged into a machine while it runs */

enum plug_state { PLUG_BEGUN, PLUG_IN, PLUG_LEAVING, PLUG_REFUSED, PLUG_STATE_COUNT };

/** struct plug - @volume: name, "" in a free place; @reason: why it did not become as asked */
struct plug {
	char volume[VM_NAME_BYTES], serial[HV_SERIAL_BYTES + 1], reason[160];
	enum plug_state state;
};

/** struct card - a network card that came while it runs; its state only where it is @used; @told: the guest has its addresses */
struct card {
	bool used, told;
	enum plug_state state;
	char reason[160];
	unsigned tries;
};

/** struct cards - all of a machine's; @again runs while the guest has not seen one yet */
struct cards {
	struct card card[HV_CARDS_MAX];
	ev_timer again;
};

/**
 * struct machine - one row of the store, one machine of hv/, one console
 * @next:     in the registry, oldest first
 * @vm:       owned; destroyed only in stopped, failed or requested
 * @console:  owned
 * @tie:      owned; to the agent in the guest. NULL until there was a way to one
 * @shells:   owned
 * @secrets:  owned
 * @setup:    owned; NULL: nothing is to be done in it
 * @boot_id:  of the guest that is being told who it is; @agent_boot: of the agent that answered last
 * @refused:  why the last change of size did not come about, @asked: to what; empty = it did, or there was none
 * @deleting: freed as soon as it has stopped
 * @up:       as the last event said; @was_ready: as the last state; @recalled: its state is that of a former process
 * @unnamed:  a clone that has not said yet that it knows who it is: nobody uses it
 * @found:    it ran already when this gateway started
 * @aside:    put aside, or woken and not ready yet: its shells are there still
 * @rouse:    somebody uses it: it is woken
 * @spare:    nobody's yet, kept ready: then in another list; @spare_ready: it can be handed out; @kind: owned, of a spare: as pool_kind()
 * @introduced: the spare has all but a name; @rehearsed: and its shell has gone the way to its prompt once. @held: owned: looks for that; else NULL
 * @gone:     the free that is put off, for hv's hooks must not destroy a machine
 */
struct machine {
	struct machines *ms; /* borrowed */
	struct machine *next;
	struct loop_task gone;
	struct hv_vm *vm;
	struct stream *console;
	struct agent_tie *tie;
	struct shells *shells;
	struct secrets *secrets;
	struct setup *setup;
	struct vm_spec spec;
	uint8_t id[MACHINE_ID_BYTES], boot_id[AGENT_BOOT_BYTES], agent_boot[AGENT_BOOT_BYTES];
	char id_text[MACHINE_ID_TEXT];
	char key[sizeof(((struct vm_row *)0)->key)];
	int64_t owner, created_s;
	char refused[256];
	struct vm_size asked;
	struct plug *plugs; /* PLUGS_MAX; NULL until there is one */
	struct cards *cards; /* owned; NULL until there is one */
	uint64_t used_ms; /* loop_now_ms() of the last use */
	bool deleting, up, was_ready, recalled, unnamed, found, spare, spare_ready, introduced, rehearsed, aside;
	int memory_fd; /* owned: it is being written to; -1 without */
	struct loop_task rouse;
	char *kind;
	struct marker *held;
};
_Static_assert(sizeof(struct machine) <= 1024, "each idle machine has one: what few need is kept by pointer");

struct machines {
	struct loop *loop;   /* borrowed */
	struct store *store; /* borrowed */
	struct sched *sched; /* borrowed */
	struct disks *disks; /* borrowed; may be NULL */
	struct hv *hv;	     /* owned */
	struct machine *first, **last, *spares; /* owned */
	struct pool *pool;	       /* owned */
	struct shells_shared shells;
	char standby_dir[SHELL_RING_DIR_BYTES];
	void (*on_event)(void *arg, const struct machine *m, enum machine_event what, const char *reason);
	void (*on_stream)(void *stream_arg, struct stream *s);
	void *arg, *stream_arg;
	uint64_t created, deleted, failed;
};

/* --- machine_life.c --- */

extern const struct setup_hooks machine_setup_hooks;

/** machine_state() - as hv has it */
enum hv_state machine_state(const struct machine *m);
/** machine_at_rest() - is nothing of it running in this state? */
bool machine_at_rest(enum hv_state s);
/** machine_tell(), machine_tell_stream() - to who made the registry; @reason may be NULL */
void machine_tell(const struct machine *m, enum machine_event what, const char *reason);
void machine_tell_stream(const struct machine *m, struct stream *s);
/** machine_notify() - everybody who looks at one of its terminals hears that it is another one */
void machine_notify(struct machine *m);
/** machine_new() - a machine of @row, known to hv, in no list yet. Return: the machine, or NULL without memory */
struct machine *machine_new(struct machines *ms, const struct vm_row *row, const struct vm_spec *spec);
/** machine_unlink() - out of its list; machine_free() - what is there of it, not the row: at rest, or hv is gone already */
void machine_unlink(struct machine *m);
void machine_free(struct machine *m);
/** machines_append() - as the newest; machines_add() - a new one at once. Return: as machine_new() */
void machines_append(struct machines *ms, struct machine *m);
struct machine *machines_add(struct machines *ms, const struct vm_row *row, const struct vm_spec *spec);
/** machine_run_gone() - the task @gone of one that is being deleted */
void machine_run_gone(struct loop_task *task);
/** machine_put_spec() - as the store keeps it. Return: 0, or -ENOMEM, also when @size is too small */
int machine_put_spec(const struct vm_spec *spec, char *out, size_t size);
/** machine_note_size() - its size is another one: here and in the store. Return: 0, or negative with @e */
int machine_note_size(struct machine *m, const struct vm_size *now, struct err *e);

/* --- machine_hooks.c --- */

extern const struct hv_hooks machines_hv_hooks;

/** machine_note_state() - is it up, or at rest: tell, and note it for the next process */
void machine_note_state(struct machine *m, const struct hv_view *view);

/* --- machine_agent.c --- */

/** machine_on_agent() - hook of hv: a way to its agent, @fd is taken */
void machine_on_agent(void *arg, struct hv_vm *vm, int fd);
/** machine_on_agent_gone() - hook of hv */
void machine_on_agent_gone(void *arg, struct hv_vm *vm);
/** machine_on_handed_over() - @arg, a machine, has its secrets: what uses them may begin */
void machine_on_handed_over(void *arg);

/* --- machine_aside.c --- */

/** machine_on_saved() - hook of hv: its memory is written, or not. Return: 0, or negative and it runs on */
int machine_on_saved(void *arg, struct hv_vm *vm, const char *vmm, const char *why);
/** machine_recall_aside() - one that a former process put aside. Return: 0, or -EIO: nothing of use was kept */
int machine_recall_aside(struct machine *m);
/** machine_discard() - what was kept of it; then it is stopped */
void machine_discard(struct machine *m);
/** machine_wake() - on from where it was put aside; if that cannot be, it boots. Return: 0, or negative with @e */
int machine_wake(struct machine *m, struct err *e);

/* --- machine_plug.c --- */

/** machine_disks_of() - for gateway/machine_disks.h; valid as long as @m */
struct mdisks machine_disks_of(const struct machine *m);
/** machine_forget_plugs() - all volumes that were plugged in are out */
void machine_forget_plugs(struct machine *m);
/** machine_on_prepare(), _disks(), _plug_dir(), _plugged() - hooks of hv, as there */
int machine_on_prepare(void *arg, struct hv_vm *vm, struct err *e);
int machine_on_disks(void *arg, struct hv_vm *vm, struct hv_disk out[HV_DISKS_MAX], struct err *e);
int machine_on_plug_dir(void *arg, struct hv_vm *vm);
void machine_on_plugged(void *arg, struct hv_vm *vm, const char *serial, bool in, const char *why);
/** machines_on_disk() - @arg, machines: a disk has been made, or not */
void machines_on_disk(void *arg, const struct disk_row *row);

/* --- machine_card.c --- */

/** machine_forget_cards() - all are out, or it is freed */
void machine_forget_cards(struct machine *m);
/** machine_on_card() - the hook on_plugged() about card @number */
void machine_on_card(struct machine *m, unsigned number, bool in, const char *why);
/** machine_tell_cards() - its agent answers: the guest gets the addresses of its cards */
void machine_tell_cards(struct machine *m);
/** machine_cards_json() - Return: new reference */
json_t *machine_cards_json(const struct machine *m);
/** machine_has_card() - is any plugged in, or about to be? */
bool machine_has_card(const struct machine *m);
/** machine_plug_word() - the word of @s in REST */
const char *machine_plug_word(enum plug_state s);

/* --- machine_spare.c --- */

extern const struct pool_hooks machines_pool_hooks;

/** machines_want_spare() - for one that somebody wants now. Return: one to take, or NULL */
struct machine *machines_want_spare(struct machines *ms, const struct vm_spec *spec, const char *kind);
/** machine_take_spare() - it becomes the machine of @row. Return: 0, or -ENOMEM and it is as before */
int machine_take_spare(struct machines *ms, struct machine *m, const struct vm_row *row, const struct vm_spec *spec);
/** machine_reveal() - one that was taken is seen from now on */
void machine_reveal(struct machine *m);
/** machine_on_spare_state() - one that is nobody's is in another state */
void machine_on_spare_state(struct machine *m, const struct hv_view *view);
/** machine_introduce_spare() - its agent answers; machine_spare_introduced() - and has all but a name */
void machine_introduce_spare(struct machine *m, const struct hv_view *view, const uint8_t boot_id[AGENT_BOOT_BYTES]);
void machine_spare_introduced(struct machine *m);
/** machine_spare_said() - of one that is nobody's: it says when its shell has rehearsed */
void machine_spare_said(struct machine *m, const uint8_t *data, size_t len);

/* --- machine_ask.c --- */

/** machine_wrong_state() - it cannot be @what now. Return: MACHINE_E_STATE with @e */
int machine_wrong_state(const struct machine *m, const char *what, struct err *e);
/** machine_offline() - is the helper away? Return: 0, or MACHINE_E_OFFLINE with @e */
int machine_offline(const struct machine *m, struct err *e);
/** machine_refused() - MACHINE_E_CANNOT for an @r of hv that has a reason for people, else @r */
int machine_refused(int r);

#endif
