/* SPDX-License-Identifier: Apache-2.0 */
/* All machines: configuration, the connection to the helper, what the host gives, views. The life of one machine is in vm.c. */
#include "hv/hv.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "hv/image_key.h"
#include "hv/image_list.h"
#include "hv/landlock.h"
#include "hv/vm.h"

#define RING_BYTES_MAX (64U << 20)

static const struct hv_limits presets = {
	.call_ms = 10000,      /* NET_FREE, the slowest request, takes 0.1 s */
	.retry_ms = 100,       /* 0.1 s, then up to 3.2 s: a restarted helper is found again before anybody worries */
	.start_ms = 30000,
	.quit_ms = 3000,       /* QEMU quits in some ms */
	.term_ms = 1000,
	.clone_ms = 30000,     /* 0.1 s on an idle host, seconds where many begin at once; what is overdue boots instead, which costs ten times as much */
	.save_ms = 120000,     /* 16 GiB to a disk that takes 150 MB/s */
	.kill_ms = 5000,       /* SIGKILL acts at once, unless a process hangs in the kernel */
	.probe_ms = 10000,     /* a guest boots under KVM in 1 s */
	.probe_wait_ms = 3000, /* then starting without KVM is better than waiting on */
	.resets_ms = 60000,
	.resets_gap_ms = 500,
	.memory_ms = 30000,
	.memory_gap_ms = 250,
	.resets = 10,
};
#define BOOT_MS 60000 /* 2 s on an idle host, 12 s on a loaded one */
#define STOP_MS 8000
#define TURN_MS 600000 /* a hundred cold boots, two at a time, of 12 s each */
#define LANDLOCK_ABI_MIN 3 /* Cloud Hypervisor ends with an error where there is less */

static const char *const state_names[] = {
	"requested", "placing", "starting", "booting", "ready", "paused", "stopping", "stopped", "failed", "standby",
};
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == HV_STATE_COUNT, "one name for each enum hv_state");

const char *hv_state_name(enum hv_state s)
{
	return state_names[s];
}

/* --- the host --------------------------------------------------------------------------------------------------------------- */

static const struct {
	uint32_t cap;
	const char *missing;
} caps[] = {
	{ NETD_CAP_NET, "network" },	      { NETD_CAP_SLOT_UID, "own user id for each machine" },
	{ NETD_CAP_MEMORY, "memory limit" },  { NETD_CAP_CPU, "cpu limit" },
	{ NETD_CAP_PIDS, "process limit" },   { NETD_CAP_CGROUP_KILL, "cgroup.kill" },
};

static void list_missing(struct hv *hv)
{
	char before[sizeof(hv->missing)];
	size_t at = 0;

	memcpy(before, hv->missing, sizeof(before));
	hv->missing[0] = '\0';
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		int n;

		if (hv->hello.caps & caps[i].cap)
			continue;
		n = snprintf(hv->missing + at, sizeof(hv->missing) - at, "%s%s", at > 0 ? ", " : "", caps[i].missing);
		if (n > 0 && at + (size_t)n < sizeof(hv->missing))
			at += (size_t)n;
	}
	if (at > 0 && strcmp(before, hv->missing) != 0)
		log_warn("this host does not confine machines fully; missing: %s", hv->missing);
}

static bool has_binary(const struct netd_hello_reply *hello, const char *name)
{
	for (size_t i = 0; i < NETD_BINARIES_MAX; i++) {
		if (strcmp(hello->binaries[i].name, name) == 0)
			return true;
	}
	return false;
}

static const struct hv_driver *const all_drivers[] = { &hv_driver_ch, &hv_driver_qemu, &hv_driver_local };

static const struct hv_driver *by_name(const char *name)
{
	for (size_t i = 0; i < sizeof(all_drivers) / sizeof(all_drivers[0]); i++) {
		if (strcmp(name, all_drivers[i]->name) == 0)
			return all_drivers[i];
	}
	return NULL;
}

const struct hv_driver *hv_driver_for(const struct hv *hv, const struct vm_spec *spec)
{
	const struct hv_driver *asked = by_name(spec->driver);

	if (spec->confidential != VM_CONFIDENTIAL_NONE)
		return &hv_driver_qemu;
	return asked ? asked : hv->driver;
}

/* "auto": Cloud Hypervisor where guests really run under KVM, QEMU where they do not or where that is not known yet. */
static const struct hv_driver *choose_driver(const struct hv *hv)
{
	bool ch = has_binary(&hv->hello, hv_driver_ch.name), qemu = has_binary(&hv->hello, hv_driver_qemu.name);

	if (by_name(hv->c.driver))
		return by_name(hv->c.driver);
	if (ch && (hv->accel == HV_ACCEL_KVM || !qemu))
		return &hv_driver_ch;
	return qemu ? &hv_driver_qemu : &hv_driver_local;
}

bool hv_has_binary(const struct hv *hv, const char *name)
{
	return has_binary(&hv->hello, name);
}

/* Without KVM the stand-in may do, where somebody has put it into the helper's list to try things out. */
static bool ch_is_there(const struct hv *hv)
{
	return has_binary(&hv->hello, hv_driver_ch.name) || (hv->accel != HV_ACCEL_KVM && has_binary(&hv->hello, CH_STANDIN));
}

int hv_may_drive(const struct hv *hv, const struct vm_spec *spec, struct err *e)
{
	const struct hv_driver *d = by_name(spec->driver);

	if (spec->confidential != VM_CONFIDENTIAL_NONE && d && d != &hv_driver_qemu)
		return err_set(e, -EINVAL, "confidential machines run with the driver qemu, not with %s", d->name);
	if (!d || d == hv->driver)
		return 0;
	/* A process on the host is nothing that a person may ask for. */
	if (d == &hv_driver_local)
		return err_set(e, -EINVAL, "this host runs no machines with the driver local");
	if (d == &hv_driver_ch && !ch_is_there(hv))
		return err_set(e, -EINVAL, "the helper has no program cloud-hypervisor: install it, or add it to the helper's list of binaries");
	/* What may run it without KVM, tests/fake/cloud-hypervisor, is not the real thing, and accel says so. */
	if (d == &hv_driver_ch && hv->accel == HV_ACCEL_TCG && !has_binary(&hv->hello, CH_STANDIN))
		return err_set(e, -EINVAL, "Cloud Hypervisor needs KVM, which runs no guests on this host%s%s",
			       hv->accel_reason[0] ? ": " : "", hv->accel_reason);
	if (d == &hv_driver_qemu && !has_binary(&hv->hello, hv_driver_qemu.name))
		return err_set(e, -EINVAL, "the helper has no program qemu: install it, or add it to the helper's list of binaries");
	return 0;
}

int hv_may_run(struct hv *hv, const struct vm_spec *spec, struct err *e)
{
	struct confidential_host here = { .image = NULL };
	int r = hv_may_drive(hv, spec, e);

	if (r < 0 || spec->confidential == VM_CONFIDENTIAL_NONE)
		return r;
	/* In the order in which a start would fail. */
	r = confidential_host_cpu(&here, e);
	if (r == 0 && !has_binary(&hv->hello, hv_driver_qemu.name))
		r = err_set(e, -EINVAL, "the helper has no program qemu: install it, or add it to the helper's list of binaries");
	if (r == 0 && hv->accel != HV_ACCEL_KVM)
		r = err_set(e, -EOPNOTSUPP, "a confidential machine needs KVM, and guests do not run under it here");
	if (r == 0 && !hv->confidential.image)
		r = confidential_host_load(&hv->confidential, hv->c.firmware, e);
	return r;
}

/* In words, for people who ask why it is not the better one. */
static void explain_driver(struct hv *hv)
{
	bool ch = has_binary(&hv->hello, hv_driver_ch.name), kvm = hv->accel == HV_ACCEL_KVM;
	const char *no_kvm = hv->accel == HV_ACCEL_AUTO ? "it is not known yet whether KVM runs guests here" : "KVM runs no guests here";
	size_t size = sizeof(hv->driver_why);

	if (strcmp(hv->c.driver, "auto") != 0)
		(void)snprintf(hv->driver_why, size, "the configuration says driver = %s", hv->c.driver);
	else if (hv->driver == &hv_driver_ch)
		(void)snprintf(hv->driver_why, size, "%s", kvm ? "the helper has cloud-hypervisor, and KVM runs guests here" :
			       "the helper has cloud-hypervisor and no qemu; but Cloud Hypervisor needs KVM");
	else
		(void)snprintf(hv->driver_why, size, "%s%s%s%s%s%s",
			       hv->driver == &hv_driver_local ? "the helper has neither cloud-hypervisor nor qemu: only processes can be tried out. " : "",
			       ch ? "" : "for Cloud Hypervisor, the program is missing: install cloud-hypervisor 52 or newer and add it to the helper's binaries",
			       ch || kvm ? "" : "; ", kvm ? "" : ch ? "Cloud Hypervisor needs KVM: " : "",
			       kvm ? "" : no_kvm, kvm || !hv->accel_reason[0] ? "" : " (see the accelerator)");
}

const struct hv_driver *hv_driver_of(const struct hv *hv, const struct netd_slot_info *info)
{
	for (size_t i = 0; i < sizeof(all_drivers) / sizeof(all_drivers[0]); i++) {
		if (all_drivers[i]->is_mine && all_drivers[i]->is_mine(info))
			return all_drivers[i];
	}
	/* Nobody else tells its processes apart, and today's driver may have been chosen since. */
	return hv->driver->is_mine ? &hv_driver_qemu : hv->driver;
}

json_t *hv_images(const struct hv *hv)
{
	return image_list(hv->c.images, hv->image_key);
}

void hv_host(const struct hv *hv, struct hv_host *out)
{
	*out = (struct hv_host){
		.online = hv->online, .driver = hv->driver->name, .driver_why = hv->driver_why, .accel = "", .accel_reason = hv->accel_reason, .missing = hv->missing,
		.uplink = hv->hello.uplink, .slots_max = hv->hello.slots_max,
	};
	if (hv->driver->has_guest)
		out->accel = hv->accel == HV_ACCEL_KVM ? "kvm" : hv->accel == HV_ACCEL_TCG ? "tcg" : "probing";
	for (const struct hv_vm *vm = hv->first; vm; vm = vm->next) {
		out->slots_used += vm->has_slot;
		out->pss_bytes += vm->pss_bytes;
	}
}

void hv_set_accel(struct hv *hv, enum hv_accel accel, const char *reason)
{
	hv->accel = accel;
	(void)snprintf(hv->accel_reason, sizeof(hv->accel_reason), "%s", reason);
	hv->driver = choose_driver(hv);
	explain_driver(hv);
	if (hv->driver->has_guest)
		log_info("machines run with %s %s%s%s", hv->driver->name, accel == HV_ACCEL_KVM ? "under KVM" : "in software emulation", reason[0] ? ": " : "", reason);
	for (struct hv_vm *vm = hv->first; vm; vm = vm->next) {
		if (vm->state == HV_PLACING && vm->waits_for_probe) {
			vm->waits_for_probe = false;
			vm->driver = hv_driver_for(hv, &vm->spec);
			vm_place(vm);
		}
	}
}

/* --- the helper --------------------------------------------------------------------------------------------------------------- */

static void on_up(void *arg, const struct netd_hello_reply *hello)
{
	struct hv *hv = arg;

	hv->hello = *hello;
	hv->driver = choose_driver(hv);
	explain_driver(hv);
	list_missing(hv);
	sync_begin(hv);
}

static void on_down(void *arg, const char *why)
{
	struct hv *hv = arg;
	bool was_online = hv->online;

	hv->online = false;
	if (was_online)
		hv->hooks.on_offline(hv->arg, why);
	else
		log_warn("%s; trying again", why);
}

static void on_exited(void *arg, const struct netd_slot_info *info)
{
	struct hv *hv = arg;
	struct hv_vm *vm = hv_find(hv, info->vm_id);

	if (vm && vm->running)
		vm_exited(vm, info);
	else if (!vm || vm->calling == CALL_NONE)
		vm_forget_slot(hv, info);
	/* else a request about this slot is under way; its answer tells the same */
}

void hv_now_online(struct hv *hv)
{
	for (struct hv_vm *vm = hv->first; vm && !hv->was_online; vm = vm->next) {
		if (vm->state == HV_REQUESTED)
			vm_settle(vm);
	}
	hv->online = true;
	hv->was_online = true;
	hv->hooks.on_online(hv->arg);
	probe_begin(hv);
}

static const struct helper_hooks helper_hooks = { .on_up = on_up, .on_down = on_down, .on_exited = on_exited };

/* --- create, destroy ------------------------------------------------------------------------------------------------------------ */

static bool one_of(const char *s, const char *const *words)
{
	for (; *words; words++) {
		if (s && strcmp(s, *words) == 0)
			return true;
	}
	return false;
}

static int check_config(const struct hv_config *c, struct err *e)
{
	static const char *const drivers[] = { "auto", "cloud-hypervisor", "qemu", "local", NULL }, *const machines[] = { "microvm", "q35", NULL };
	static const char *const accels[] = { "auto", "kvm", "tcg", NULL }, *const consoles[] = { "pty", "socket", NULL };
	static const char *const seccomps[] = { "true", "log", "errno", NULL }, *const landlocks[] = { "auto", "off", NULL };

	if (!one_of(c->driver, drivers))
		return err_set(e, -EINVAL, "driver must be auto, cloud-hypervisor, qemu or local");
	if (!one_of(c->machine, machines))
		return err_set(e, -EINVAL, "machine must be microvm or q35");
	if (!one_of(c->accel, accels))
		return err_set(e, -EINVAL, "accel must be auto, kvm or tcg");
	if (c->ch_seccomp && !one_of(c->ch_seccomp, seccomps))
		return err_set(e, -EINVAL, "ch_seccomp must be true, log or errno");
	if (c->ch_landlock && !one_of(c->ch_landlock, landlocks))
		return err_set(e, -EINVAL, "ch_landlock must be auto or off");
	if (!one_of(c->local_console, consoles))
		return err_set(e, -EINVAL, "local_console must be pty or socket");
	if (c->ring_bytes == 0 || c->ring_bytes % 4096 != 0 || c->ring_bytes > RING_BYTES_MAX)
		return err_set(e, -EINVAL, "the ring must have a multiple of 4096 bytes, at most 64 MiB");
	return 0;
}

/* Takes the fields of @own over that are not 0. */
static struct hv_limits limits_of(const struct hv_limits *own)
{
	struct hv_limits l = presets;

	if (!own)
		return l;
#define OWN(field) l.field = own->field ? own->field : l.field
	OWN(call_ms);
	OWN(retry_ms);
	OWN(start_ms);
	OWN(quit_ms);
	OWN(term_ms);
	OWN(kill_ms);
	OWN(clone_ms);
	OWN(save_ms);
	OWN(probe_ms);
	OWN(probe_wait_ms);
	OWN(resets_ms);
	OWN(resets_gap_ms);
	OWN(memory_ms);
	OWN(memory_gap_ms);
	OWN(resets);
#undef OWN
	return l;
}

/* May a process without privileges be told of each page that it has not, and fill it in (userfaultfd(2))? */
static bool may_fault_in(void)
{
	char text[8];

	return fd_read_file(AT_FDCWD, "/proc/sys/vm/unprivileged_userfaultfd", text, sizeof(text)) > 0 && text[0] == '1';
}

int hv_create(struct hv **out, struct loop *loop, const struct hv_config *c, const struct hv_hooks *hooks, void *arg, struct err *e)
{
	struct helper_config hc = { .socket = c->helper_socket };
	struct hv *hv;
	int r = check_config(c, e);

	if (r < 0)
		return r;
	hv = calloc(1, sizeof(*hv));
	if (!hv)
		return err_set(e, -ENOMEM, "no memory");
	hv->loop = loop;
	hv->c = *c;
	hv->c.boot_deadline_ms = c->boot_deadline_ms ? c->boot_deadline_ms : BOOT_MS;
	hv->c.stop_deadline_ms = c->stop_deadline_ms ? c->stop_deadline_ms : STOP_MS;
	hv->c.start_wait_ms = c->start_wait_ms ? c->start_wait_ms : TURN_MS;
	turns_init(hv, c->starts_at_once);
	gauge_init(hv);
	hv->limits = limits_of(c->limits);
	hv->hooks = *hooks;
	hv->arg = arg;
	hv->probe.console_fd = -1;
	hv->c.ch_seccomp = c->ch_seccomp ? c->ch_seccomp : "true";
	hv->landlock = (!c->ch_landlock || strcmp(c->ch_landlock, "off") != 0) && landlock_abi() >= LANDLOCK_ABI_MIN;
	hv->driver = choose_driver(hv);
	explain_driver(hv);
	tsc_begin(&hv->tsc);
	hv->on_demand = may_fault_in();
	if (c->state_dir)
		folder_sweep(c->state_dir);
	if (c->image_key && c->image_key[0]) {
		hv->image_key = image_key_load(c->image_key, e);
		if (!hv->image_key) {
			free(hv);
			return -EINVAL;
		}
	}
	hc.call_ms = hv->limits.call_ms;
	hc.retry_ms = hv->limits.retry_ms;
	r = helper_create(&hv->helper, loop, &hc, &helper_hooks, hv);
	if (r < 0) {
		(void)image_key_free(hv->image_key);
		free(hv);
		return err_set(e, r, "no memory");
	}
	*out = hv;
	return 0;
}

static void unlink_vm(struct hv_vm *vm)
{
	*vm->link = vm->next;
	if (vm->next)
		vm->next->link = vm->link;
}

struct hv *hv_destroy(struct hv *hv)
{
	if (!hv)
		return NULL;
	probe_finish(hv);
	template_finish_all(hv);
	helper_cancel(hv->helper, &hv->list);
	gauge_finish(hv);
	while (hv->first) {
		struct hv_vm *vm = hv->first;

		vm_drop(vm);
		unlink_vm(vm);
		spec_finish(&vm->spec);
		free(vm);
	}
	helper_destroy(hv->helper);
	turns_finish(hv); /* they went one by one */
	confidential_host_finish(&hv->confidential);
	(void)image_key_free(hv->image_key);
	free(hv);
	return NULL;
}

bool hv_online(const struct hv *hv)
{
	return hv->online;
}

/* --- machines ------------------------------------------------------------------------------------------------------------------- */

struct hv_vm *hv_find(struct hv *hv, const uint8_t id[16])
{
	for (struct hv_vm *vm = hv->first; vm; vm = vm->next) {
		if (memcmp(vm->id, id, sizeof(vm->id)) == 0)
			return vm;
	}
	return NULL;
}

struct hv_vm *hv_vm_create(struct hv *hv, const uint8_t id[16], const struct vm_spec *spec, void *owner)
{
	return vm_create(hv, id, spec, owner);
}

struct hv_vm *hv_vm_destroy(struct hv_vm *vm)
{
	if (!vm)
		return NULL;
	assert(vm->state == HV_REQUESTED || vm->state == HV_STOPPED || vm->state == HV_FAILED || vm->state == HV_STANDBY);
	vm_drop(vm);
	unlink_vm(vm);
	spec_finish(&vm->spec);
	free(vm);
	return NULL;
}

void *hv_vm_owner(const struct hv_vm *vm)
{
	return vm->owner;
}

void hv_vm_group(struct hv_vm *vm, int64_t group)
{
	vm->group = group;
}

const char *hv_vm_machine(const struct hv_vm *vm)
{
	return vm->hv->c.machine;
}

bool hv_vm_landlock(const struct hv_vm *vm)
{
	return vm->hv->landlock;
}

void hv_vm_become(struct hv_vm *vm, const struct vm_spec *spec)
{
	memcpy(vm->spec.name, spec->name, sizeof(vm->spec.name));
	vm->spec.cols = spec->cols;
	vm->spec.rows = spec->rows;
}

const struct hv_origin *hv_vm_origin(const struct hv_vm *vm)
{
	return &vm->origin;
}

int hv_vm_folder(const struct hv_vm *vm, int *number)
{
	*number = vm->folder.number;
	return vm->folder.fd;
}

uint64_t hv_vm_memory(const struct hv_vm *vm)
{
	return vm->spec.memory_bytes;
}

struct loop *hv_vm_loop(const struct hv_vm *vm)
{
	return vm->hv->loop;
}

static void view_addresses(const struct netd_slot_info *i, struct hv_view *out)
{
	const uint8_t *m = i->mac;

	if (i->ip4 != 0) {
		inet_ntop(AF_INET, &i->ip4, out->ip4, sizeof(out->ip4));
		inet_ntop(AF_INET, &i->gw4, out->gw4, sizeof(out->gw4));
		inet_ntop(AF_INET, &i->slot4, out->slot4, sizeof(out->slot4));
		out->prefix4 = i->prefix4;
	}
	if (i->prefix6 != 0) {
		inet_ntop(AF_INET6, i->ip6, out->ip6, sizeof(out->ip6));
		inet_ntop(AF_INET6, i->gw6, out->gw6, sizeof(out->gw6));
		out->prefix6 = i->prefix6;
	}
	memcpy(out->mac_bytes, m, sizeof(out->mac_bytes));
	(void)snprintf(out->mac, sizeof(out->mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

void hv_vm_view(const struct hv_vm *vm, struct hv_view *out)
{
	static const char *const accels[] = { [HV_ACCEL_AUTO] = "", [HV_ACCEL_KVM] = "kvm", [HV_ACCEL_TCG] = "tcg" };
	const struct hv_driver *d = vm->driver ? vm->driver : vm->hv->driver;

	*out = (struct hv_view){
		.state = vm->state, .state_since_ms = vm->since_ms, .reason = vm->reason, .driver = d->name,
		.accel = d->has_guest ? accels[vm->accel] : "", .can_resize = vm->can_resize, .cloned = vm->origin.begin == HV_BEGIN_CLONE, .wakes = vm->origin.begin == HV_BEGIN_WAKE,
		.can_plug = d->plug && !(d->is_fixed && d->is_fixed(vm)) && vm->spec.confidential == VM_CONFIDENTIAL_NONE,
		.before = turn_before(vm), .pss_bytes = vm->pss_bytes,
	};
	if (!vm->has_slot)
		return;
	out->slot = vm->info.slot;
	out->pid = vm->info.pid;
	if (vm->info.net != NETD_NET_NONE)
		view_addresses(&vm->info, out);
}
