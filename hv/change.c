/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes about a machine while it runs: held and let go, larger and smaller; and what it tells meanwhile: its kernel's log and
 * what its VMM counts.
 *
 * Theory of operation of a change of size
 *
 *   hv_vm_resize -> VM_LIMITS, if it grows -> driver -> hv_event_resized -> VM_LIMITS, if that is not what was set -> on_resized
 *
 * The control group gets room before the guest does and loses it behind it: in between neither is killed for what it was just given.
 * A stop on the way waits for a request to the helper and for nothing else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "hv/vm.h"

/* --- held and let go ------------------------------------------------------------------------------------- */

static int wrong_state(const struct hv_vm *vm, const char *what, struct err *e)
{
	return err_set(e, -EINVAL, "a machine that is %s cannot be %s", hv_state_name(vm->state), what);
}

static int cannot(const struct hv_vm *vm, const char *what, struct err *e)
{
	return err_set(e, -EOPNOTSUPP, "a machine of the driver %s cannot be %s", vm->driver->name, what);
}

int hv_vm_pause(struct hv_vm *vm, struct err *e)
{
	if (vm->state != HV_READY)
		return wrong_state(vm, "paused", e);
	if (!vm->driver->pause || vm->driver->pause(vm, vm->instance) < 0)
		return cannot(vm, "paused", e);
	return 0;
}

int hv_vm_resume(struct hv_vm *vm, struct err *e)
{
	if (vm->state != HV_PAUSED)
		return wrong_state(vm, "resumed", e);
	if (!vm->driver->resume || vm->driver->resume(vm, vm->instance) < 0)
		return cannot(vm, "resumed", e);
	return 0;
}

void vm_paused(struct hv_vm *vm)
{
	if (vm->state != HV_READY && vm->state != HV_BOOTING)
		return;
	vm->held_booting = vm->state == HV_BOOTING;
	vm_enter(vm, HV_PAUSED);
}

void vm_resumed(struct hv_vm *vm)
{
	if (vm->state != HV_PAUSED)
		return;
	if (vm->held_booting)
		vm_booting(vm);
	else
		vm_enter(vm, HV_READY);
}

/* --- size ------------------------------------------------------------------------------------------------ */

static struct vm_size size_of(const struct hv_vm *vm)
{
	return (struct vm_size){ .cpus = vm->spec.cpus, .memory_bytes = vm->spec.memory_bytes };
}

static void set_size(struct hv_vm *vm, const struct vm_size *size)
{
	vm->spec.cpus = size->cpus;
	vm->spec.memory_bytes = size->memory_bytes;
}

bool hv_vm_size(const struct hv_vm *vm, struct vm_size *now, struct vm_size *wish)
{
	*now = size_of(vm);
	*wish = vm->resizing ? vm->wish : *now;
	return vm->resizing;
}

static void told(struct hv_vm *vm, const char *why)
{
	vm->resizing = false;
	if (vm->hooks->on_resized)
		vm->hooks->on_resized(vm->hooks_arg, vm, why);
}

void vm_resize_ended(struct hv_vm *vm)
{
	if (vm->resizing)
		told(vm, "the machine ended meanwhile");
}

/* Return: true if the helper was asked; @done follows. */
static bool set_limits(struct hv_vm *vm, const struct vm_size *size, bool grow_only,
		       void (*done)(struct helper_call *c, const struct helper_result *r))
{
	uint64_t memory = 0;
	uint32_t cpu = 0;

	vm->driver->limits(size, &memory, &cpu);
	if (grow_only || vm->driver->balloons)
		memory = memory > vm->memory_limit ? memory : vm->memory_limit;
	if (grow_only)
		cpu = cpu > vm->cpu_limit ? cpu : vm->cpu_limit;
	if ((memory == vm->memory_limit && cpu == vm->cpu_limit) || vm->calling != CALL_NONE)
		return false;
	vm->memory_limit = memory;
	vm->cpu_limit = cpu;
	vm->calling = CALL_LIMITS;
	vm->call.done = done;
	helper_limits(vm->hv->helper, &vm->call, vm->info.slot, memory, cpu);
	return true;
}

static void ask_driver(struct hv_vm *vm)
{
	if (vm->driver->resize(vm, vm->instance, &vm->wish) < 0)
		hv_event_resized(vm, "its monitor cannot be asked");
}

/* The machine may be on its way down by now: the climb goes on, and the change has failed. */
static bool goes_on(struct hv_vm *vm)
{
	vm->calling = CALL_NONE;
	if (vm->state != HV_STOPPING)
		return true;
	vm_climb(vm);
	return false;
}

static void on_room(struct helper_call *c, const struct helper_result *r)
{
	struct hv_vm *vm = container_of(c, struct hv_vm, call);

	if (!goes_on(vm))
		return;
	if (r->status < 0) {
		vm->memory_limit = 0; /* unknown: the next change tells it again */
		told(vm, r->reason);
	} else {
		ask_driver(vm);
	}
}

static void on_trimmed(struct helper_call *c, const struct helper_result *r)
{
	struct hv_vm *vm = container_of(c, struct hv_vm, call);

	if (r->status < 0 && r->status != -ENOTCONN)
		log_warn("machine %s: its limits stay wider than it is: %s", vm->spec.name, r->reason);
	(void)goes_on(vm);
}

int hv_vm_resize(struct hv_vm *vm, const struct vm_size *size, struct err *e)
{
	struct vm_size now = size_of(vm);
	int r;

	if (vm->state == HV_REQUESTED || vm->state == HV_STOPPED || vm->state == HV_FAILED) {
		set_size(vm, size);
		return 0;
	}
	if (vm->state != HV_READY)
		return wrong_state(vm, "changed in size", e);
	if (!vm->driver->resize)
		return err_set(e, -EOPNOTSUPP, "a running machine of the driver %s cannot be changed in size; stop it first",
			       vm->driver->name);
	if (vm->resizing || vm->calling != CALL_NONE)
		return err_set(e, -EBUSY, "the last change of its size is not done yet");
	r = vm->driver->may_resize(vm->instance, &now, size, e);
	if (r < 0)
		return r;
	vm->resizing = true;
	vm->wish = *size;
	if (!set_limits(vm, size, true, on_room))
		ask_driver(vm);
	return 0;
}

void hv_event_resized(struct hv_vm *vm, const char *why)
{
	struct vm_size now;

	if (!vm->resizing)
		return;
	if (!why)
		set_size(vm, &vm->wish);
	now = size_of(vm);
	if (vm->running && vm->state != HV_STOPPING)
		(void)set_limits(vm, &now, false, on_trimmed);
	told(vm, why);
}

void hv_event_size(struct hv_vm *vm, const struct vm_size *size)
{
	struct vm_size now = size_of(vm);

	if (vm->resizing || (size->cpus == now.cpus && size->memory_bytes == now.memory_bytes))
		return;
	if (size->cpus < 1 || size->cpus > VM_CPUS_MAX || size->memory_bytes < VM_MEMORY_MIN || size->memory_bytes > VM_MEMORY_MAX)
		return;
	set_size(vm, size);
	told(vm, NULL);
}

/* --- disks and cards ----------------------------------------------------------------------------------------------- */

#define PLUG_MS 20000 /* a guest that lets go does so in milliseconds */

static void end_plug(struct hv_vm *vm)
{
	ev_timer_stop(vm->hv->loop->ev, &vm->plug_late);
	vm->plugging[0] = '\0';
}

void vm_plug_told(struct hv_vm *vm, const char *serial, bool in, const char *why)
{
	if (strcmp(vm->plugging, serial) == 0)
		end_plug(vm);
	if (vm->hooks->on_plugged)
		vm->hooks->on_plugged(vm->hooks_arg, vm, serial, in, why);
}

static void on_plug_late(struct ev_loop *ev, ev_timer *w, int events)
{
	struct hv_vm *vm = w->data;
	char serial[sizeof(vm->plugging)];

	(void)ev;
	(void)events;
	memcpy(serial, vm->plugging, sizeof(serial));
	vm_plug_told(vm, serial, !vm->plug_in,
		     vm->plug_in ? "its monitor does not answer"
				 : hv_card_number(serial) ? "the guest does not let it go" : "the guest does not let it go: unmount it there, and try again");
}

void vm_plug_init(struct hv_vm *vm)
{
	ev_init(&vm->plug_late, on_plug_late);
	vm->plug_late.data = vm;
}

void vm_plug_ended(struct hv_vm *vm)
{
	vm_cards_ended(vm);
	end_plug(vm);
}

int vm_plug_begin(struct hv_vm *vm, const char *serial, bool in, int r)
{
	if (r < 0)
		return r;
	(void)snprintf(vm->plugging, sizeof(vm->plugging), "%s", serial);
	vm->plug_in = in;
	ev_now_update(vm->hv->loop->ev);
	ev_timer_set(&vm->plug_late, PLUG_MS / 1000., 0.);
	ev_timer_start(vm->hv->loop->ev, &vm->plug_late);
	return 0;
}

int vm_plug_may(const struct hv_vm *vm, const char *what, struct err *e)
{
	if (vm->state != HV_READY)
		return wrong_state(vm, what, e);
	if (!vm->driver->plug)
		return err_set(e, -EOPNOTSUPP, "disks and network cards of a running machine of the driver %s cannot be changed; stop it first", vm->driver->name);
	return vm->plugging[0] ? err_set(e, -EBUSY, "the last change of its disks and cards is not done yet") : 0;
}

int hv_vm_plug(struct hv_vm *vm, const struct hv_disk *d, struct err *e)
{
	int r = vm_plug_may(vm, "given a disk", e);

	return vm_plug_begin(vm, d->serial, true, r == 0 ? vm->driver->plug(vm, vm->instance, d, e) : r);
}

int hv_vm_unplug(struct hv_vm *vm, const char *serial, struct err *e)
{
	int r = vm_plug_may(vm, "deprived of a disk", e);

	return vm_plug_begin(vm, serial, false, r == 0 ? vm->driver->unplug(vm, vm->instance, serial, e) : r);
}

void hv_event_plugged(struct hv_vm *vm, const char *serial, bool in, const char *why)
{
	unsigned card = hv_card_number(serial);

	if (card)
		vm_card_event(vm, card, in, why);
	else
		vm_plug_told(vm, serial, in, why);
}

/* --- what it tells --------------------------------------------------------------------------------------- */

void vm_log_begin(struct hv_vm *vm)
{
	bootwatch_init(&vm->log_watch, NULL, 0);
	vm->bootlog_len = 0;
}

static void keep_log(struct hv_vm *vm, const char *data, size_t len)
{
	if (!vm->bootlog)
		vm->bootlog = malloc(BOOTLOG_BYTES);
	if (vm->bootlog)
		(void)tail_add(vm->bootlog, &vm->bootlog_len, BOOTLOG_BYTES, data, len);
}

void hv_event_log(struct hv_vm *vm, const char *data, size_t len)
{
	keep_log(vm, data, len);
	if (bootwatch_feed(&vm->log_watch, (const uint8_t *)data, len) == BOOT_PANIC)
		vm_panicked(vm, vm->log_watch.words);
}

const char *hv_vm_bootlog(const struct hv_vm *vm, size_t *len)
{
	*len = vm->bootlog_len;
	return vm->bootlog ? vm->bootlog : "";
}

static void count(uint64_t *sum, uint64_t *last, uint64_t now)
{
	/* A guest's reboot makes its devices anew, and they count from nothing. */
	*sum += now >= *last ? now - *last : now;
	*last = now;
}

void hv_event_counters(struct hv_vm *vm, const struct hv_counters *now)
{
	struct hv_counters *sum = &vm->hv->counted, *last = &vm->counted;

	count(&sum->rx_bytes, &last->rx_bytes, now->rx_bytes);
	count(&sum->rx_frames, &last->rx_frames, now->rx_frames);
	count(&sum->tx_bytes, &last->tx_bytes, now->tx_bytes);
	count(&sum->tx_frames, &last->tx_frames, now->tx_frames);
	count(&sum->read_bytes, &last->read_bytes, now->read_bytes);
	count(&sum->write_bytes, &last->write_bytes, now->write_bytes);
}

void hv_counters(const struct hv *hv, struct hv_counters *out)
{
	*out = hv->counted;
}
