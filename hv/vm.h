/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_VM_H
#define HV_VM_H

/*
 * Inside of hv/: what hv.c (all machines), vm.c (the life of one), sync.c (finding them again) and probe.c (does KVM work?)
 * share. Everybody else uses hv/hv.h.
 */

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "hv/bootwatch.h"
#include "hv/confidential.h"
#include "hv/driver.h"
#include "hv/folder.h"
#include "hv/helper.h"
#include "hv/hv.h"
#include "hv/image.h"
#include "hv/memory.h"
#include "hv/tsc.h"
#include "hv/turn.h"

/* Rungs of the stop ladder, in the order they are climbed. */
enum rung { RUNG_NONE, RUNG_ASK, RUNG_QUIT, RUNG_TERM, RUNG_KILL, RUNG_GIVE_UP };

/* What the helper was asked for this machine. */
enum vm_call { CALL_NONE, CALL_ALLOC, CALL_SPAWN, CALL_ADOPT, CALL_KILL, CALL_FREE, CALL_LIMITS };

#define BOOTLOG_BYTES 16384 /* what is kept of a kernel's log on a line of its own */

struct template;

/**
 * struct vm_cards - network cards that come and go while it runs (card.c); sets are of 1 << (number - 1)
 * @call: to the helper, one at a time, about card @at; @adding: or it is taken away
 * @wanted, @unwanted: what the helper is still to be asked for, or to take away
 * @in: what the VMM has
 * @info: valid for those that the helper has set up: with a number in it
 */
struct vm_cards {
	struct helper_call call;
	unsigned at;
	bool adding;
	uint32_t wanted, unwanted, in;
	struct netd_card_info info[HV_CARDS_MAX];
};

struct hv_vm {
	struct hv *hv; /* borrowed: it owns this */
	struct hv_vm *next, **link;
	const struct hv_hooks *hooks; /* borrowed: the hv's, or the probe's */
	void *hooks_arg;
	uint8_t id[16];
	struct vm_spec spec;
	void *owner;

	enum hv_state state;
	uint64_t since_ms;
	char reason[384];
	uint64_t boot_ms;
	enum hv_accel accel; /* AUTO: not decided, or not known yet */
	bool probe;	     /* the machine of the accelerator probe */
	struct template *template; /* borrowed: the one that this machine is booted for; else NULL */
	struct hv_origin origin;
	struct folder folder; /* by which its process writes what it is saved to, or reads what it begins with */
	bool boots; /* from nothing, because what it was to begin with did not do */
	bool saving;	     /* it is being written; save_timer runs */
	ev_timer save_timer;
	bool lived; /* it has been ready since its process began */

	struct helper_call call;
	enum vm_call calling;
	struct netd_slot_info info;
	bool has_slot, running; /* running: a process that attach() has seen and whose end was not reported yet */

	const struct hv_driver *driver; /* borrowed; NULL before the first start */
	void *instance;			/* owned; while running */
	bool can_resize;
	int agent_fd;			/* owned; -1 without */
	bool console_given, agent_due;	/* agent_due: on_agent() follows on_console() */
	struct bootwatch watch, log_watch;
	char *tail;    /* owned: the end of what a guest that is ready has shown; NULL before the first byte */
	size_t tail_len;
	char *bootlog; /* owned; NULL before the first byte */
	size_t bootlog_len;
	bool held_booting; /* paused before it was ready */
	bool resizing;
	char plugging[HV_SERIAL_BYTES + 1]; /* "": none */
	bool plug_in;
	ev_timer plug_late;
	struct vm_cards cards;
	struct vm_size wish;
	uint64_t memory_limit;
	uint32_t cpu_limit; /* as the helper was told last; 0 = not by us */
	struct hv_counters counted; /* as the driver said last */
	uint64_t pss_bytes, pss_ms; /* memory.c: the last reading, and when it was asked for; 0: never */
	unsigned resets;
	uint64_t resets_since_ms, reset_ms; /* of the first and the last one that counts */
	bool reset_asked;

	ev_timer deadline; /* of the state */
	bool waits_for_probe, preparing; /* preparing: on_prepare() said so */
	bool waits_for_turn, has_turn;	 /* turn.c */
	struct hv_vm *turn_next;	 /* borrowed: the line */
	uint64_t ticket;		 /* its place in the line; 0: it gets one with its next start */
	int64_t group;			 /* hv_vm_group() */
	uint64_t round;			 /* in which it may start, while it waits for its turn or has one */
	enum rung rung, rung_done;
	enum hv_state end; /* stopped or failed: where stopping leads */
	enum hv_state recalled; /* the same, in an earlier process; counts for who is not adopted, and reason with it */
	bool again;	   /* stopping leads to placing */

	struct netd_slot_info listed; /* sync.c: what LIST said */
	bool is_listed, needs_adopt;
};

struct probe {
	struct hv_vm *vm; /* owned by the hv as any other; NULL when no probe is under way */
	char key[512];
	char path[512];
	int console_fd; /* owned */
	ev_io console;
	struct loop_task end;
	bool ran, booted;
};

/**
 * struct turns - who may start (turn.h)
 * @first: borrowed: the line, first comes first; @waiting: so long it is; @under_way: hold a turn
 * @round: of the one that was let in last; @overdue: gave it up
 */
struct turns {
	struct loop *loop; /* borrowed */
	struct hv_vm *first;
	unsigned at_once, under_way, waiting;
	uint64_t tickets, round, overdue;
	struct loop_task next;
	ev_timer tell;
	bool untold; /* the line has moved since it was told */
};

struct hv {
	struct loop *loop; /* borrowed */
	struct hv_config c;
	struct hv_limits limits;
	struct hv_hooks hooks;
	void *arg;
	struct helper *helper; /* owned */
	bool online, was_online;
	struct netd_hello_reply hello;
	char missing[160];
	const struct hv_driver *driver;
	enum hv_accel accel; /* AUTO: being probed */
	char accel_reason[384];
	struct tsc tsc;
	struct image_key *image_key; /* owned; NULL: images need not be signed */
	struct confidential_host confidential; /* image is NULL until it is needed */
	struct hv_counters counted;
	bool landlock, on_demand;
	char driver_why[512];
	struct hv_vm *first; /* owned */
	struct helper_call list;
	struct probe probe;
	struct template *templates; /* owned */
	struct turns turns;
	struct gauge gauge;
};

/* hv.c */
/** hv_find() - NULL if unknown */
struct hv_vm *hv_find(struct hv *hv, const uint8_t id[16]);
/** hv_driver_of() - that of a process that was started by an earlier gateway */
const struct hv_driver *hv_driver_of(const struct hv *hv, const struct netd_slot_info *info);
/** hv_driver_for() - the one that a machine starts with: what it asks for, or the host's own; confidential ones run with QEMU */
const struct hv_driver *hv_driver_for(const struct hv *hv, const struct vm_spec *spec);
/** hv_may_drive() - can such a machine be started here? Return: 0, or -EINVAL with @e */
int hv_may_drive(const struct hv *hv, const struct vm_spec *spec, struct err *e);
/** hv_has_binary() - is it in the helper's list? */
bool hv_has_binary(const struct hv *hv, const char *name);
/** hv_set_accel() - the probe has ended: machines that wait for it go on */
void hv_set_accel(struct hv *hv, enum hv_accel accel, const char *reason);
/** hv_now_online() - every known machine is adopted or gone */
void hv_now_online(struct hv *hv);

/* vm.c */
/** vm_create() - in requested, known to @hv. Return: NULL without memory */
struct hv_vm *vm_create(struct hv *hv, const uint8_t id[16], const struct vm_spec *spec, void *owner);
/** vm_begin() - requested, stopped or failed -> placing */
void vm_begin(struct hv_vm *vm);
/** vm_place() - in placing: ask for a slot, unless the probe must be waited for */
void vm_place(struct hv_vm *vm);
/** vm_go() - in placing, it is its turn: ask for a slot */
void vm_go(struct hv_vm *vm);
/** vm_attach() - a process runs: hand its console out -> booting or ready, or down the ladder if it makes no sense */
void vm_attach(struct hv_vm *vm, const struct netd_slot_info *info, int *fds, bool adopted);
/** vm_fail() - any state -> failed, by way of stopping when something has to be cleared away */
void vm_fail(struct hv_vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** vm_panicked() - the same, its kernel having panicked with these words */
void vm_panicked(struct hv_vm *vm, const char *words);
/** vm_stop_from() - go to the ladder's @rung, at least */
void vm_stop_from(struct hv_vm *vm, enum rung rung);
/** vm_climb() - in stopping: do the next thing towards the end */
void vm_climb(struct hv_vm *vm);
/** vm_exited() - the process has ended, as @info says */
void vm_exited(struct hv_vm *vm, const struct netd_slot_info *info);
/** vm_settle() - requested -> stopped: the helper does not know it */
void vm_settle(struct hv_vm *vm);
/** vm_lost() - the helper does not know the process any more */
void vm_lost(struct hv_vm *vm);
/** vm_drop() - let go without stopping: the last thing before the memory is freed */
void vm_drop(struct hv_vm *vm);
/** vm_enter() - change the state and tell; vm_booting() - into booting, with its deadline */
void vm_enter(struct hv_vm *vm, enum hv_state state);
void vm_booting(struct hv_vm *vm);
/** vm_forget_slot() - free a slot, killing what runs in it, for nobody in particular */
void vm_forget_slot(struct hv *hv, const struct netd_slot_info *info);

/* change.c */
/** vm_paused(), vm_resumed() - the driver says so */
void vm_paused(struct hv_vm *vm);
void vm_resumed(struct hv_vm *vm);
/** vm_resize_ended() - the process has ended: so has the change of its size that was under way */
void vm_resize_ended(struct hv_vm *vm);
/* card.c */
/** vm_cards_ended() - the process has ended, and the helper takes them away with it; or the machine is destroyed */
void vm_cards_ended(struct hv_vm *vm);
/** vm_card_event() - hv_event_plugged() about card @number */
void vm_card_event(struct hv_vm *vm, unsigned number, bool in, const char *why);
/** vm_plug_may() - can its disks or cards be changed now? @what: "given a disk". Return: 0, or negative with @e */
int vm_plug_may(const struct hv_vm *vm, const char *what, struct err *e);
/** vm_plug_begin() - the change of @serial has begun; @r: or not. vm_plug_told() - it has ended. Return: @r */
int vm_plug_begin(struct hv_vm *vm, const char *serial, bool in, int r);
void vm_plug_told(struct hv_vm *vm, const char *serial, bool in, const char *why);

/** vm_plug_init() - of a new machine; vm_plug_ended() - the process has ended: so has the change of its disks that was under way */
void vm_plug_init(struct hv_vm *vm);
void vm_plug_ended(struct hv_vm *vm);
/** vm_log_begin() - a process begins: so does its kernel's log */
void vm_log_begin(struct hv_vm *vm);

/* template.c */
/** template_lend() - in starting: let @vm begin as a clone, if there is a template for it. Else it boots */
void template_lend(struct hv_vm *vm);
/** template_booted() - @vm has booted and is ready: the next one like it shall begin as a clone */
void template_booted(struct hv_vm *vm);
/**
 * template_doubt() - a clone did not come to life: what it came from is used no more
 * @late: it may only have been slow: not before that has happened to some in a row
 */
void template_doubt(struct hv *hv, const struct hv_vm *vm, bool late);
/** template_proved() - a clone has */
void template_proved(const struct hv_vm *vm);
/** template_saved() - of hv_event_saved(), for the machine of a template */
void template_saved(struct hv_vm *vm, const char *vmm, const char *why);
/** standby_stop() - what is being written is of no interest any more; idempotent (standby.c) */
void standby_stop(struct hv_vm *vm);
/** template_finish_all() - when hv ends */
void template_finish_all(struct hv *hv);
/** origin_drop() - close what a process began with */
void origin_drop(struct hv_origin *o);

/* sync.c */
/** sync_was_ready() - an adopted machine: does its ring show that it had reached its prompt? Prepares vm->watch otherwise */
bool sync_was_ready(struct hv_vm *vm, const struct hv_console *console);
/** sync_begin() - HELLO was answered: LIST, then ADOPT; ends in hv_now_online() */
void sync_begin(struct hv *hv);

/* probe.c */
/** probe_begin() - decide the accelerator, by the cache or by booting a guest; hv_set_accel() follows, at once or later */
void probe_begin(struct hv *hv);
/** probe_doubt() - a machine broke under KVM: use it no more, and probe again when this program starts anew */
void probe_doubt(struct hv *hv, const char *why);
/** probe_host_stamp() - what a guest's state depends on beside itself: processor, host kernel, QEMU */
void probe_host_stamp(char *out, size_t size);
/** probe_finish() - close what the probe holds */
void probe_finish(struct hv *hv);

#endif
