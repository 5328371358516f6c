/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_DRIVER_H
#define HV_DRIVER_H

/* For implementers of drivers; everybody else uses hv/hv.h. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/hv.h"
#include "netsetup/proto.h"

struct confidential;
struct err;
struct helper_call;

#define SPAWN_ARGC_MAX 128
#define CH_STANDIN     "ch-standin"

/**
 * struct spawn_plan - a command line and the FDs that it needs; pure data
 * @binary: name in the helper's list; @or_binary: taken where the list has no such name, or NULL
 * @argv:   strings in @text; argc of them
 * @want:   enum netd_fd_kind, nwant of them
 * @file:   borrowed; nfile of them go along
 */
struct spawn_plan {
	const char *binary, *or_binary;
	size_t argc;
	const char *argv[SPAWN_ARGC_MAX];
	char text[NETD_ARGV_BYTES];
	size_t text_len;
	uint8_t want[NETD_FDS_MAX];
	size_t nwant;
	int file[NETD_FILES_MAX];
	size_t nfile;
	uint64_t memory_max;
	uint32_t cpu_percent, pids_max, ring_bytes;
	uint16_t cols, rows;
	bool lean; /* see NETD_SPAWN_LEAN */
	/* What its folder is filled with, and the numbers of that, a state and a memory in the process: 0 without. */
	char *config; /* owned; NULL without; plan_finish() */
	int folder, state, memory;
};

/** plan_finish() - frees what a plan owns; idempotent */
void plan_finish(struct spawn_plan *p);

/** plan_arg() - append one argument, formatted. Return: 0, or -E2BIG; after the first failure all others fail too */
int plan_arg(struct spawn_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** plan_want() - ask for an FD. Return: its number in the child, or 0 for kinds without one; -E2BIG */
int plan_want(struct spawn_plan *p, enum netd_fd_kind kind);

/** plan_file() - give an FD of ours, which stays ours; behind every plan_want(). Return: its number in the child; -E2BIG */
int plan_file(struct spawn_plan *p, int fd);

/** plan_whole() - false if some plan_arg(), plan_want() or plan_file() has failed */
bool plan_whole(const struct spawn_plan *p);

/** plan_returns() - true if a near end of this kind comes back from VM_SPAWN and ADOPT */
bool plan_returns(enum netd_fd_kind kind);

/** plan_first_file() - number of the first plan_file() in a process that wanted this */
int plan_first_file(const struct netd_slot_info *info);

/**
 * plan_take() - move the near end of the @nth FD (from 0) of a kind out of what VM_SPAWN or ADOPT gave
 * @fds: one per returning kind of @info->want, in that order
 *
 * Return: the FD, now the caller's; -1 if there is none.
 */
int plan_take(const struct netd_slot_info *info, int *fds, enum netd_fd_kind kind, unsigned nth);

/*
 * How a process begins. Another machine's memory is a memfd that all its clones share until they write.
 * TEMPLATE: boots without being anybody, to be saved. CLONE: from a template. WAKE: from what it was saved to itself.
 */
enum hv_begin { HV_BEGIN_BOOT, HV_BEGIN_TEMPLATE, HV_BEGIN_CLONE, HV_BEGIN_WAKE };

#define HV_VMM_BYTES 96

/**
 * struct hv_origin - what a machine that does not boot comes from
 * @memory_fd: of TEMPLATE and CLONE, owned; @state_fd: of devices, or for WAKE of everything, owned. -1 without
 * @config_fd: what else the VMM has written of a template, owned; -1 without
 * @kind: a digest of what it depended on; not a secret one
 * @vmm: the program, and its version, that has saved it
 */
struct hv_origin {
	enum hv_begin begin;
	int memory_fd, state_fd, config_fd;
	uint64_t kind;
	char vmm[HV_VMM_BYTES];
};

/**
 * struct plan_input - everything a plan depends on
 * @net:     what the slot has
 * @kernel, @initrd, @cmdline: of the image, from its manifest
 * @tsc_khz: of the host; 0 = unknown
 * @snp:     what a confidential machine is launched with; NULL for others
 * @landlock: the kernel has it and nobody forbids it; @seccomp: "true", "log" or "errno"
 * @standin: the helper has a program CH_STANDIN, which runs without KVM what Cloud Hypervisor would
 * @disks:   ndisks of them, in the order in which the guest finds them
 * @plug_dir: FD of the folder with files of disks that come later; 0 or less without
 * @probe:   the guest only shows that it boots
 * @balloon: it may have one: its memory is its own, and if it goes on from something, that had one
 * @begin, @memory_fd, @state_fd: of struct hv_origin; @config: what is in its config_fd, config_len bytes
 * @folder: FD of a folder that a template's VMM writes to, or a clone's reads, where its driver needs one; 0 or less without
 * @on_demand: a clone's process may be given its memory page by page
 */
struct plan_input {
	const struct vm_spec *spec;
	const struct netd_slot_info *net;
	const char *kernel, *initrd, *cmdline, *machine;
	const char *local_command, *local_console, *local_agent;
	const struct confidential *snp;
	enum hv_accel accel;
	uint64_t tsc_khz;
	uint32_t ring_bytes;
	const char *seccomp;
	const struct hv_disk *disks;
	size_t ndisks;
	int plug_dir;
	bool probe, landlock, standin, balloon, on_demand;
	enum hv_begin begin;
	int memory_fd, state_fd, folder;
	const char *config;
	size_t config_len;
};

/** plan_has_tap() - does its slot have a network? */
bool plan_has_tap(const struct plan_input *in);

/* What a driver reports to hv.c. */
enum hv_event {
	HV_EV_RESET,	/* the guest rebooted: booting again */
	HV_EV_SHUTDOWN, /* the guest switched itself off */
	HV_EV_READY,	/* an agent said hello */
	HV_EV_PAUSED,	/* the guest stands still */
	HV_EV_RESUMED,	/* it runs; no news unless it stood still */
	HV_EV_RESTORED, /* a guest that was saved runs: what is sent to it arrives */
	HV_EV_UNFIT,	/* this VMM cannot go on with what was saved; reason given */
	HV_EV_GAVE_UP,	/* the accelerator cannot run this guest; reason given. What a guest does wrong by itself is none of it */
	HV_EV_BROKEN,	/* the VMM talks nonsense or stopped by itself; reason given */
};

/*
 * struct hv_driver
 * @has_guest:   a kernel boots: image, accelerator and ready marker matter; without, the process is ready at once
 * @balloons:   memory that it takes away it gives back when the guest runs out of it: the limit does not follow
 * @plugs_by_name: plug() needs the file in the folder of on_plug_dir(), named as its serial
 * @by_folder:   templates and clones are given a folder, through which files of the VMM's own go
 * @any_exit_ok: an exit status says something about the user's commands only
 */
struct hv_driver {
	const char *name;
	bool has_guest, any_exit_ok, plugs_by_name, balloons, by_folder;
	size_t instance_bytes; /* private state per running process, zeroed; may be 0 */

	/* Mandatory, pure. */
	int (*plan)(const struct plan_input *in, struct spawn_plan *out, struct err *e);
	/*
	 * Mandatory. The process runs: @fds are the near ends, one per returning want, -1 where taken. The driver moves out what it keeps
	 * (sets -1); @console gets fd, kind and ring. Events follow through hv_event().
	 */
	int (*attach)(struct hv_vm *vm, void *instance, int *fds, const struct netd_slot_info *info, struct hv_console *console,
		      struct err *e);
	/* Optional: ask the guest to end. Return: 0 if asked, -EOPNOTSUPP to go on to the next rung. */
	int (*ask_stop)(struct hv_vm *vm, void *instance);
	/* Optional: tell the VMM to end (rung two). */
	int (*quit)(struct hv_vm *vm, void *instance);
	/* Optional: reboot in place. */
	int (*reset)(struct hv_vm *vm, void *instance);
	/* Optional: hold the guest, let it go on; HV_EV_PAUSED or HV_EV_RESUMED follows. Return: 0 if asked, -EOPNOTSUPP. */
	int (*pause)(struct hv_vm *vm, void *instance);
	int (*resume)(struct hv_vm *vm, void *instance);
	/*
	 * Optional: write the state of its devices to @fd, and with @memory the guest's memory too; the guest stands still afterwards.
	 * hv_event_saved() follows. Return: 0 if asked, -EOPNOTSUPP, or -ERANGE: its memory is not as large as
	 * when it began, so nothing of that size could go on with it.
	 */
	int (*save)(struct hv_vm *vm, void *instance, int fd, bool memory);
	/*
	 * Optional: write what clones of it begin with into the files of @into; the guest stands still afterwards. hv_event_saved() follows. Without,
	 * machines of this driver always boot. Return: 0 if asked, -EOPNOTSUPP.
	 */
	int (*save_template)(struct hv_vm *vm, void *instance, const struct hv_origin *into);
	/* Optional: can a running machine become so? @instance: NULL for one that was just started. Return: 0, or -EINVAL with @e. Goes with resize(). */
	int (*may_resize)(const void *instance, const struct vm_size *now, const struct vm_size *wish, struct err *e);
	/* Optional: make it so; hv_event_resized() follows. Return: 0 if asked, -EOPNOTSUPP. */
	int (*resize)(struct hv_vm *vm, void *instance, const struct vm_size *wish);
	/* Optional, pure: limits of the control group for a machine of this size. Goes with resize(). */
	void (*limits)(const struct vm_size *size, uint64_t *memory_max, uint32_t *cpu_percent);
	/* Optional: a disk in, or out; hv_event_plugged() follows. Return: 0, or negative with @e. plug() and unplug() go together */
	int (*plug)(struct hv_vm *vm, void *instance, const struct hv_disk *d, struct err *e);
	int (*unplug)(struct hv_vm *vm, void *instance, const char *serial, struct err *e);
	/* Optional, goes with plug(): its devices are fixed when it starts. Without, they never are. */
	bool (*is_fixed)(const struct hv_vm *vm);
	/* Optional: a network card in, whose TAP @tap_fd stays the caller's; as plug(), with which it goes: unplug() takes it out */
	int (*plug_card)(struct hv_vm *vm, void *instance, const char *name, const uint8_t mac[6], int tap_fd, struct err *e);
	/* Optional: what the process said last, one line, for the reason of an unexpected end; NULL or empty without. */
	const char *(*last_words)(void *instance);
	/* Optional: what an end by this signal means with this VMM, and what to do; NULL if nothing special. */
	const char *(*signal_hint)(int signal);
	/* Optional: did this driver start the process of that slot? Without, its processes are those that no other driver claims. */
	bool (*is_mine)(const struct netd_slot_info *info);
	/* Optional: hv_vm_agent_renew() for a driver whose stream has to be made anew. Without, the one that it has given serves again. */
	int (*agent_renew)(struct hv_vm *vm, void *instance);
	/* Optional: frees what attach() kept; idempotent. Also called when the process is let go for the next gateway. */
	void (*finish)(struct hv_vm *vm, void *instance);
};

extern const struct hv_driver hv_driver_ch, hv_driver_qemu, hv_driver_local;

/** hv_event() - a driver reports; @reason may be NULL */
void hv_event(struct hv_vm *vm, enum hv_event ev, const char *reason);

/** hv_event_saved() - what save() asked for is done, by @vmm; or is not: then @why says why, and the guest runs on */
void hv_event_saved(struct hv_vm *vm, const char *vmm, const char *why);

/** hv_vm_balloon() - @balloon of struct plan_input, for a process that this program started */
bool hv_vm_balloon(const struct hv_vm *vm);

/** hv_vm_origin() - how its process began; lives as long as that */
const struct hv_origin *hv_vm_origin(const struct hv_vm *vm);

/** hv_vm_folder() - FD, not the caller's, of the folder that its process was started with; -1 without. @number: what it is in the process */
int hv_vm_folder(const struct hv_vm *vm, int *number);

/** hv_vm_memory() - bytes that it was started with */
uint64_t hv_vm_memory(const struct hv_vm *vm);

/** hv_event_accel() - the running process of an adopted machine says what it uses */
void hv_event_accel(struct hv_vm *vm, enum hv_accel accel);

/** hv_agent_stream() - what leads to the agent, also from within attach(); consumed, closed when the process has ended */
void hv_agent_stream(struct hv_vm *vm, int fd);

/** hv_agent_here() - there may be an agent at the other end: on_agent() gets a duplicate of the stream, once the console was handed out */
void hv_agent_here(struct hv_vm *vm);

/** hv_agent_gone() - there is none */
void hv_agent_gone(struct hv_vm *vm);

/** hv_reach() - let the helper connect to the socket that the machine's process made (NETD_CONNECT); @c->done follows */
void hv_reach(struct hv_vm *vm, struct helper_call *c);
void hv_reach_cancel(struct hv_vm *vm, struct helper_call *c);

/** hv_event_resized() - what was asked for by resize() is so, or is not: then @why says why, in words */
void hv_event_resized(struct hv_vm *vm, const char *why);

/** hv_event_plugged() - as on_plugged() */
void hv_event_plugged(struct hv_vm *vm, const char *serial, bool in, const char *why);

/** hv_event_cards() - those that an adopted machine has, as a set of 1 << (number - 1): once, when its driver has looked */
void hv_event_cards(struct hv_vm *vm, uint32_t cards);

/** hv_cards_named() - for hv_event_cards(): those that objects of @list name in @key; what is no array has none */
static inline uint32_t hv_cards_named(const json_t *list, const char *key)
{
	uint32_t cards = 0;
	size_t i;
	const json_t *item;

	json_array_foreach(list, i, item) {
		const char *name = json_string_value(json_object_get(item, key));
		unsigned number = name ? hv_card_number(name) : 0;

		cards |= number ? 1U << (number - 1) : 0;
	}
	return cards;
}

/** hv_vm_machine() - type of machines that this program starts with QEMU */
const char *hv_vm_machine(const struct hv_vm *vm);

/** hv_event_size() - what the VMM says the machine has, when no change is under way; one that a dead gateway had begun, say */
void hv_event_size(struct hv_vm *vm, const struct vm_size *size);

/** hv_event_counters() - what the VMM counts; since its start or the guest's */
void hv_event_counters(struct hv_vm *vm, const struct hv_counters *now);

/** hv_event_log() - the kernel's log on a line of its own; a panic in it ends the machine */
void hv_event_log(struct hv_vm *vm, const char *data, size_t len);

/** hv_vm_landlock() - was the process told to lock itself in, if this program started it? */
bool hv_vm_landlock(const struct hv_vm *vm);

/** hv_vm_loop() - the loop, for a driver's watchers */
struct loop *hv_vm_loop(const struct hv_vm *vm);

#endif
