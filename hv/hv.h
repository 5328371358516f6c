/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_HV_H
#define HV_HV_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hv/spec.h"

struct err;
struct loop;
struct hv;
struct hv_vm;

/*
 * Virtual machines: one state machine over the drivers (hv/driver.h) and the privileged helper (netsetup/proto.h). Knows no users
 * and no HTTP. Single-threaded: every call and every hook runs on the loop.
 *
 *   requested -> placing -> starting -> booting -> ready -> stopping -> stopped
 *                                                  ready <-> paused by hv_vm_pause() and hv_vm_resume()
 *                                                  ready -> stopping -> standby by hv_vm_suspend(), standby -> placing by hv_vm_wake()
 *        any state but stopped -> failed(reason);   stopped | failed -> placing by hv_vm_start()
 *
 * placing: NET_ALLOC (and waiting for the accelerator probe), starting: VM_SPAWN, booting: process runs, ready: first prompt or agent hello.
 */
enum hv_state {
	HV_REQUESTED, HV_PLACING, HV_STARTING, HV_BOOTING, HV_READY, HV_PAUSED, HV_STOPPING, HV_STOPPED, HV_FAILED, HV_STANDBY, HV_STATE_COUNT,
};

/** hv_state_name() - lower-case word for REST, logs and the page */
const char *hv_state_name(enum hv_state s);

/* How the other end of the console FD behaves. */
enum hv_console_kind {
	HV_CONSOLE_PTY,	   /* pty master: read() gives EIO at the end, TIOCSWINSZ sets the size */
	HV_CONSOLE_SOCKET, /* SOCK_STREAM: read() gives 0 at the end; the size has nowhere to go */
};

/**
 * struct hv_console - a machine's console, handed over once per life of its process
 * @fd:      owned by the receiver; non-blocking
 * @ring_fd: owned by the receiver; memfd of ring_bytes, zero-filled on a fresh start, as the last gateway left it when @adopted
 * @adopted: the process was already running when this gateway started
 * @mute:    nothing may be typed before the machine is ready: a guest that is being restored loses it
 * @relayed: between the PTY and the guest's terminal stands a VMM: the PTY's modes say nothing about the guest, and what is typed is taken in
 *           however much it is, so it is given slowly
 */
struct hv_console {
	int fd, ring_fd;
	uint32_t ring_bytes;
	enum hv_console_kind kind;
	bool adopted, relayed, mute;
};

#define HV_DISKS_MAX 4
#define HV_PLUG_PREFIX "vol-" /* of serial numbers of disks that come and go while a machine runs */
#define HV_SERIAL_BYTES 20 /* virtio has room for that many, without a '\0' */

/**
 * struct hv_disk - a disk for a machine's process
 * @fd:     owned by the receiver; raw image. To be written by one process at a time: the caller has seen to it
 * @serial: what the guest knows it by: "overlay", "home", "data"
 */
struct hv_disk {
	int fd;
	char serial[HV_SERIAL_BYTES + 1];
	bool readonly;
};

/*
 * Network cards that come and go while a machine runs are called so, with a number from 1 to HV_CARDS_MAX behind it, where disks have their serial
 * numbers.
 */
#define HV_CARD_PREFIX "card"
#define HV_CARDS_MAX 2

/** struct hv_card - such a card; addresses in network byte order, @prefix6 0: no IPv6 */
struct hv_card {
	char ifname[16]; /* of the host's end */
	uint8_t mac[6], prefix4, prefix6;
	uint32_t ip4, gw4;
	uint8_t ip6[16], gw6[16];
};

/* All hooks get @arg of hv_create(). They may call any hv_ function except hv_destroy() and hv_vm_destroy(). */
struct hv_hooks {
	/* Optional: its place among those that wait for their turn to start has changed; at most once a second. It may only look */
	void (*on_waiting)(void *arg, struct hv_vm *vm);
	/* The state changed; hv_vm_view() has the details. */
	void (*on_state)(void *arg, struct hv_vm *vm);
	/* A console to serve; comes before the first on_state(booting). Consumes the FDs. Until on_end or a newer console, the receiver drains it. */
	void (*on_console)(void *arg, struct hv_vm *vm, const struct hv_console *c);
	/*
	 * A byte stream to the agent in the guest (hv/agent/proto.h); the receiver consumes @fd and lets an older one go. Comes after
	 * on_console, after adoption too, and again whenever an agent is at the other end anew: the guest rebooted, say. Optional.
	 */
	void (*on_agent)(void *arg, struct hv_vm *vm, int fd);
	/* Nobody is at the other end of that stream just now: the agent has ended. on_agent() follows. Not every driver hears of it. Optional. */
	void (*on_agent_gone)(void *arg, struct hv_vm *vm);
	/*
	 * Optional: a machine is about to be started: is all there that it needs? Return: 0; positive: not yet, hv_vm_prepared() follows; or
	 * negative with @e: it cannot be started.
	 */
	int (*on_prepare)(void *arg, struct hv_vm *vm, struct err *e);
	/* Optional: the disks for its process, which is about to be started. Return: how many, or negative with @e */
	int (*on_disks)(void *arg, struct hv_vm *vm, struct hv_disk out[HV_DISKS_MAX], struct err *e);
	/*
	 * Optional: hv_vm_suspend() is done, or was not for a reason: @why is NULL or that, in words. @vmm: for hv_vm_wake(). Return: 0 when the caller
	 * has all that it needs to wake the machine: its process is ended then; else it goes on.
	 */
	int (*on_saved)(void *arg, struct hv_vm *vm, const char *vmm, const char *why);
	/*
	 * Optional: the disk or card @serial is there now (@in) or is not; @why: NULL, or why it did not become as asked. Unasked for what an
	 * adopted machine has, and for what its guest lets go of late.
	 */
	void (*on_plugged)(void *arg, struct hv_vm *vm, const char *serial, bool in, const char *why);
	/* Optional: an O_PATH FD of the folder in which a machine finds files of disks by their serial numbers, where its driver needs one; or -errno */
	int (*on_plug_dir)(void *arg, struct hv_vm *vm);
	/* Optional: hv_vm_resize() is done, or was refused for a reason: @why is NULL or that, in words. hv_vm_size() says what is so now. */
	void (*on_resized)(void *arg, struct hv_vm *vm, const char *why);
	/* The process has ended: @code or, when not 0, @signal. The console FD still holds the last output. */
	void (*on_exit)(void *arg, struct hv_vm *vm, int code, int signal);
	/* The helper answered HELLO and every known machine was adopted or found gone: requests may be served. */
	void (*on_online)(void *arg);
	/* The helper is gone; hv reconnects by itself. Machines become failed when the helper no longer knows them. */
	void (*on_offline)(void *arg, const char *why);
};

enum hv_accel { HV_ACCEL_AUTO, HV_ACCEL_KVM, HV_ACCEL_TCG };

/**
 * struct hv_config - borrowed strings must live as long as the hv
 * @helper_socket: path of terrarium-netd's socket
 * @driver:    "auto", "cloud-hypervisor", "qemu" or "local"
 * @firmware:  OVMF for confidential machines; NULL or empty: where distributions have it
 * @images:    directory with one folder per image (vmlinux or bzImage, initrd, manifest.json)
 * @image_key: public key (PEM file) that images must be signed with; NULL or empty: they need not be
 * @machine:   "microvm" or "q35"
 * @accel:     "auto", "kvm" or "tcg"
 * @state_dir: where the accelerator probe's result is kept
 * @local_command: argv of the local driver, split at spaces; @local_console: "pty" or "socket"
 * @local_agent: name of terrarium-agent in the helper's list, which then runs local_command; NULL or empty = no agent
 * @ring_bytes: size of the replay ring's memfd
 * @boot_deadline_ms: from the start of the process, or a guest's reboot, to the ready marker; 0 = 60 s
 * @stop_deadline_ms: what a guest gets to end by itself once asked; 0 = 8 s
 * @ch_seccomp:  what Cloud Hypervisor does on a forbidden system call: "true" (end), "log" or "errno"; NULL = true
 * @ch_landlock: "auto": where the kernel has it; or "off"; NULL = auto
 * @templates: machines that can begin as clones of one that has booted do so
 * @starts_at_once: so many machines are on their way to a prompt; the others wait for their turn. 0: as the processors can do
 * @start_wait_ms: so long they wait; 0 = 10 min
 * @limits: shorter waits for tests; NULL = the presets
 */
struct hv_config {
	const char *helper_socket, *driver, *firmware, *images, *image_key, *machine, *accel, *state_dir, *local_command, *local_console,
		*local_agent;
	const char *ch_seccomp, *ch_landlock;
	uint32_t ring_bytes;
	uint64_t boot_deadline_ms, stop_deadline_ms, start_wait_ms;
	unsigned starts_at_once;
	bool templates;
	const struct hv_limits *limits;
};

/**
 * struct hv_limits - the waits that nobody needs to configure; a field that is 0 keeps its preset
 * @call_ms:  for one answer of the helper; past it the connection is given up
 * @retry_ms: first pause before connecting again; doubles up to 32 times as much
 * @start_ms: from hv_vm_start() to a running process
 * @quit_ms, @term_ms, @kill_ms: rungs two to four of the stop ladder
 * @save_ms: to write a machine that is put aside
 * @clone_ms: from the start of the process to ready, for a machine that is cloned or woken; then it boots
 * @probe_ms: for a guest to boot under KVM; @probe_wait_ms: how long a machine waits for that before it starts without KVM
 * @memory_ms: between two readings of one machine's memory; @memory_gap_ms: of any two
 * @resets, @resets_ms: so many reboots within that time, without reaching ready, are a reboot loop
 * @resets_gap_ms: resets that follow one another quicker are one reboot (q35's firmware resets up to ten times for one)
 */
struct hv_limits {
	uint64_t call_ms, retry_ms, start_ms, quit_ms, term_ms, kill_ms, clone_ms, save_ms, probe_ms, probe_wait_ms, resets_ms, resets_gap_ms, memory_ms, memory_gap_ms;
	uint32_t resets;
};

/** hv_create() - start connecting to the helper; on_online() follows. Return: 0 or negative with @e */
int hv_create(struct hv **out, struct loop *loop, const struct hv_config *c, const struct hv_hooks *hooks, void *arg, struct err *e);

/**
 * hv_destroy() - let go of everything without stopping any machine (they are adopted by the next gateway)
 *
 * Frees every hv_vm too. No hook is called. Returns NULL; NULL is fine.
 */
struct hv *hv_destroy(struct hv *hv);

/** hv_online() - true between on_online and on_offline */
bool hv_online(const struct hv *hv);

/**
 * hv_vm_create() - make a machine known; nothing starts
 * @id:    16 random bytes, kept by the caller over restarts; the helper's slots are found again by it
 * @owner: caller's object, returned by hv_vm_owner()
 *
 * Machines created before on_online() are adopted if the helper runs them; else they stand in stopped, or as hv_vm_recall() says.
 * Return: the machine, or NULL without memory.
 */
struct hv_vm *hv_vm_create(struct hv *hv, const uint8_t id[16], const struct vm_spec *spec, void *owner);

/**
 * hv_vm_recall() - how a machine came to rest, as the caller has kept it over a restart
 * @state: HV_STOPPED or HV_FAILED; @reason: in words, copied
 *
 * Between hv_vm_create() and on_online(): so it stands if the helper does not run it.
 */
void hv_vm_recall(struct hv_vm *vm, enum hv_state state, const char *reason);

/** hv_vm_destroy() - forget a machine that is requested, stopped, failed or in standby; asserts the state. Returns NULL */
struct hv_vm *hv_vm_destroy(struct hv_vm *vm);

void *hv_vm_owner(const struct hv_vm *vm);

/** hv_vm_group() - whose it is, by the caller's number: where starts wait for their turn, those of many groups take turns. Preset: 0 */
void hv_vm_group(struct hv_vm *vm, int64_t group);

/** hv_vm_start() - requested, stopped or failed -> placing. Return: 0, or negative with @e (offline, wrong state) */
int hv_vm_start(struct hv_vm *vm, struct err *e);

/**
 * hv_vm_plug() - one more disk for a machine that is ready; hv_vm_unplug() - and out of it, if the guest lets go. on_plugged() follows
 * @d: its fd stays the caller's; its serial begins with HV_PLUG_PREFIX
 *
 * Return: 0; or negative with @e: -EINVAL (wrong state), -EOPNOTSUPP (not with this driver or type of machine), -EBUSY (one is under way).
 */
int hv_vm_plug(struct hv_vm *vm, const struct hv_disk *d, struct err *e);
int hv_vm_unplug(struct hv_vm *vm, const char *serial, struct err *e);

/** hv_card_number() - of "card1" 1; 0: @name is no card's */
static inline unsigned hv_card_number(const char *name)
{
	if (strncmp(name, HV_CARD_PREFIX, sizeof(HV_CARD_PREFIX) - 1) != 0)
		return 0;
	name += sizeof(HV_CARD_PREFIX) - 1;
	return name[0] >= '1' && name[0] <= '0' + HV_CARDS_MAX && name[1] == '\0' ? (unsigned)(name[0] - '0') : 0;
}

/** hv_vm_card_plug() - one more network card, @number from 1 to HV_CARDS_MAX; on_plugged() follows. Return: 0, or negative with @e */
int hv_vm_card_plug(struct hv_vm *vm, unsigned number, struct err *e);

/** hv_vm_card_unplug() - and out again, likewise */
int hv_vm_card_unplug(struct hv_vm *vm, unsigned number, struct err *e);

/** hv_vm_card() - what it has, once on_plugged() said that it is there. Return: false if it is not */
bool hv_vm_card(const struct hv_vm *vm, unsigned number, struct hv_card *out);

/** hv_vm_prepared() - what on_prepare() waited for has come: the start goes on; or it has not, @why says why. Nothing otherwise */
void hv_vm_prepared(struct hv_vm *vm, const char *why);

enum hv_stop { HV_STOP_ASK, HV_STOP_KILL };

/**
 * hv_vm_stop() - climb the stop ladder: ask the guest, then the VMM, then SIGTERM, then SIGKILL, each with its deadline
 *
 * A guest that is not ready is not asked. HV_STOP_KILL starts at the top. Ends in stopped; slot, rules and files are released then. Return: 0, or negative with @e.
 */
int hv_vm_stop(struct hv_vm *vm, enum hv_stop how, struct err *e);

/** hv_vm_reset() - reboot the guest (or the process, for the local driver), same console. Return: 0, or negative with @e */
int hv_vm_reset(struct hv_vm *vm, struct err *e);

/**
 * hv_vm_pause() - ready -> paused: the guest stands still and keeps its memory. hv_vm_resume() - the way back
 *
 * Both only ask; on_state() follows when it is so. Return: 0, or negative with @e: -EINVAL (wrong state), -EOPNOTSUPP (not with this
 * driver).
 */
int hv_vm_pause(struct hv_vm *vm, struct err *e);
int hv_vm_resume(struct hv_vm *vm, struct err *e);

/**
 * hv_vm_resize() - other processors and memory
 *
 * At rest it is done at once, without on_resized(); a machine that is ready is asked, and on_resized() follows.
 * Return: 0; or negative with @e: -EINVAL (wrong state, or not this size), -EOPNOTSUPP (not with this driver while it runs), -EBUSY
 * (the last one is not done).
 */
int hv_vm_resize(struct hv_vm *vm, const struct vm_size *size, struct err *e);

/** hv_vm_size() - what it has now; @wish: what it is being changed to, else the same. Return: true while it is being changed */
bool hv_vm_size(const struct hv_vm *vm, struct vm_size *now, struct vm_size *wish);

/** hv_vm_bootlog() - the end of what the kernel wrote to its serial line, where that is not the console. Borrowed; @len may be 0 */
const char *hv_vm_bootlog(const struct hv_vm *vm, size_t *len);

/**
 * hv_vm_console_seen() - console bytes just read by the console's owner; looks for the ready marker while booting
 *
 * Cheap to call always: returns at once in other states. May call on_state() before returning.
 */
void hv_vm_console_seen(struct hv_vm *vm, const uint8_t *data, size_t len);

/** hv_vm_agent_seen() - the agent has answered: that is ready, too. Cheap to call always; may call on_state() before returning */
void hv_vm_agent_seen(struct hv_vm *vm);

/**
 * hv_vm_agent_renew() - the conversation with the agent is lost: on_agent() comes again, within this call or later
 *
 * Return: 0, or -ENOTCONN: the machine has no stream to an agent now. Should there be one later, on_agent() comes unasked.
 */
int hv_vm_agent_renew(struct hv_vm *vm);

/**
 * hv_vm_confidential() - what a confidential machine is launched with and must measure as; worked out from the files as they are now
 *
 * Reads the firmware the first time (4 MiB, some 20 ms). Return: 0, or negative with @e.
 */
struct confidential;
int hv_vm_confidential(const struct hv_vm *vm, struct confidential *out, struct err *e);

/**
 * struct hv_view - what may be shown
 * @state_since_ms: loop_now_ms() of the last change
 * @reason:   why it failed or stopped, in words; empty otherwise
 * @driver:   "cloud-hypervisor", "qemu" or "local"; @accel: "kvm", "tcg" or "" for none
 * @cloned: this life of it began as a clone: it has yet to be told who it is when its agent answers for the first time
 * @wakes: this life of it goes on from hv_vm_wake(): all that it knew it knows
 * @can_resize: the guest learns the terminal's size (a PTY); false on a bare serial line
 * @can_plug: disks and network cards can come and go while it runs
 * @pss_bytes: of the host's memory, pages that others share counted by its share; a reading of the last minutes. 0: not known
 * @before: in placing, so many have their turn to start before it; -1 when it does not wait
 * @ip4, @ip6, @gw4: what the guest has, textual, empty without a network; @slot4: as which it is known outside, another than @ip4 where all
 *           have the same
 */
struct hv_view {
	enum hv_state state;
	uint64_t state_since_ms;
	const char *reason, *driver, *accel;
	bool can_resize, can_plug, cloned, wakes;
	uint8_t mac_bytes[6];
	char ip4[16], gw4[16], slot4[16], ip6[46], gw6[46], mac[18];
	uint8_t prefix4, prefix6;
	uint64_t pss_bytes;
	uint32_t slot;
	int pid, before;
};

/** hv_vm_view() - a snapshot; the strings live until the next call into hv */
void hv_vm_view(const struct hv_vm *vm, struct hv_view *out);

enum hv_template_state {
	HV_TEMPLATE_NONE,    /* machines like this one always boot, or nobody has wanted one yet */
	HV_TEMPLATE_MAKING,
	HV_TEMPLATE_READY,
	HV_TEMPLATE_FAILED,  /* for a while they boot */
};

/**
 * hv_template() - can a machine like this begin as a clone?
 * @make: begin to make a template when there is none
 */
enum hv_template_state hv_template(struct hv *hv, const struct vm_spec *spec, bool make);

/** hv_vm_fits() - is a clone still one of what machines like it begin with today? */
bool hv_vm_fits(const struct hv_vm *vm);

/** hv_vm_become() - a clone that was nobody's is somebody's: another name and terminal, all else as before */
void hv_vm_become(struct hv_vm *vm, const struct vm_spec *spec);

/**
 * hv_vm_suspend() - ready -> standby: write the guest and all of its memory to @fd, then end its process
 * @fd: a file, open for writing; stays the caller's
 *
 * on_saved() follows. Return: 0, or negative with @e: -EINVAL (wrong state), -EOPNOTSUPP (not with this driver), -EBUSY.
 */
int hv_vm_suspend(struct hv_vm *vm, int fd, struct err *e);

/**
 * hv_vm_wake() - standby -> placing: go on from what was written to @fd by @vmm
 * @fd: open for reading; consumed on success
 *
 * If it cannot go on from that, it boots. Return: 0, or negative with @e.
 */
int hv_vm_wake(struct hv_vm *vm, int fd, const char *vmm, struct err *e);

/** hv_vm_wake_key() - digest of what must be the same on both sides: size, disk with the root, machine, processor, QEMU. Return: 0 or negative */
int hv_vm_wake_key(const struct hv_vm *vm, uint64_t *out);

/** hv_vm_discard() - standby -> stopped: what was written is of no use any more */
void hv_vm_discard(struct hv_vm *vm);

/** struct hv_counters - bytes and frames that guests have received and sent, read from disks and written to them */
struct hv_counters {
	uint64_t rx_bytes, rx_frames, tx_bytes, tx_frames, read_bytes, write_bytes;
};

/** hv_counters() - of all machines together since this program started, as far as their drivers count; never falls */
void hv_counters(const struct hv *hv, struct hv_counters *out);

/** struct hv_turns - @under_way: machines on their way to a prompt, at most @at_once; @waiting: for their turn; @overdue: waited too long, ever */
struct hv_turns {
	unsigned at_once, under_way, waiting;
	uint64_t overdue;
};

void hv_turns(const struct hv *hv, struct hv_turns *out);

/**
 * struct hv_host - what the host gives; for /readyz, the page and `terrarium host check`
 * @accel: "kvm", "tcg" or "probing"; @accel_reason: why KVM is not used, or empty
 * @driver_why: why this driver, and what is missing for a better one, in words
 * @missing: confinement the helper could not give, comma-separated, or empty
 * @pss_bytes: of its memory, all machines together as far as it is known, those that are nobody's too
 */
struct hv_host {
	bool online;
	const char *driver, *driver_why, *accel, *accel_reason, *missing, *uplink;
	uint32_t slots_used, slots_max;
	uint64_t pss_bytes;
};

void hv_host(const struct hv *hv, struct hv_host *out);

/**
 * hv_may_run() - could such a machine start here? Looks at its driver and at whether it is confidential
 *
 * What no look can tell (does the image exist, is there room) shows at its start. Return: 0, or negative with @e.
 */
int hv_may_run(struct hv *hv, const struct vm_spec *spec, struct err *e);

/** hv_images() - the images that machines may have, as image_list() tells them. Return: new reference, or NULL without memory */
json_t *hv_images(const struct hv *hv);

#endif
