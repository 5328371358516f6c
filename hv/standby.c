/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine is put aside with all that is in its memory, and goes on from there another day.
 *
 *   ready -hv_vm_suspend()-> ready, being written -hv_event_saved()-> on_saved() -> stopping -> standby -hv_vm_wake()-> placing ... ready
 *
 * While it is written the guest runs; it stands still for the last few megabytes only. If that fails it runs on. What does not fit any more when it
 * is to wake (hv_vm_wake_key(), and QEMU says itself which it is) is refused by the caller or by the driver, and the machine boots.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "hv/vm.h"

static void on_late(struct ev_loop *ev, ev_timer *w, int events)
{
	struct hv_vm *vm = container_of(w, struct hv_vm, save_timer);

	(void)events;
	ev_timer_stop(ev, w);
	hv_event_saved(vm, "", "its disk is too slow");
}

int hv_vm_suspend(struct hv_vm *vm, int fd, struct err *e)
{
	struct ev_loop *ev = vm->hv->loop->ev;
	int r;

	if (vm->state != HV_READY || vm->saving)
		return err_set(e, -EINVAL, "a machine that is %s cannot be put aside", vm->saving ? "just being put aside" : hv_state_name(vm->state));
	if (vm->spec.confidential != VM_CONFIDENTIAL_NONE || !vm->driver->save)
		return err_set(e, -EOPNOTSUPP, "%s cannot be put aside", vm->spec.confidential != VM_CONFIDENTIAL_NONE ?
			       "the memory of a confidential machine" : "a machine of this driver");
	r = vm->resizing ? -EBUSY : vm->driver->save(vm, vm->instance, fd, true);
	if (r == -ERANGE)
		return err_set(e, -EOPNOTSUPP, "a machine that has less memory now than it began with cannot be put aside: give it that again first");
	if (r < 0)
		return err_set(e, -EBUSY, "its monitor cannot be asked now");
	vm->saving = true;
	ev_timer_init(&vm->save_timer, on_late, (double)vm->hv->limits.save_ms / 1000., 0.);
	ev_timer_start(ev, &vm->save_timer);
	return 0;
}

static void go_on(struct hv_vm *vm)
{
	if (vm->driver->resume)
		(void)vm->driver->resume(vm, vm->instance);
}

void hv_event_saved(struct hv_vm *vm, const char *vmm, const char *why)
{
	bool was = vm->saving;

	if (vm->template) {
		template_saved(vm, vmm, why);
		return;
	}
	standby_stop(vm);
	if (!was || vm->state == HV_STOPPING) {
		go_on(vm); /* too late: nobody waits for it */
		return;
	}
	/* Its last output is in the sockets; the hook takes what it keeps. */
	if (vm->hooks->on_saved && vm->hooks->on_saved(vm->hooks_arg, vm, vmm, why) == 0 && !why) {
		vm->end = HV_STANDBY;
		vm->reason[0] = '\0';
		vm_stop_from(vm, RUNG_KILL);
	} else {
		go_on(vm);
	}
}

void standby_stop(struct hv_vm *vm)
{
	vm->saving = false;
	ev_timer_stop(vm->hv->loop->ev, &vm->save_timer);
}

int hv_vm_wake(struct hv_vm *vm, int fd, const char *vmm, struct err *e)
{
	if (vm->state != HV_STANDBY)
		return err_set(e, -EINVAL, "a machine that is %s cannot be woken", hv_state_name(vm->state));
	if (!vm->hv->online)
		return err_set(e, -ENOTCONN, "machines cannot be started now: the helper terrarium-netd is away");
	vm->origin.begin = HV_BEGIN_WAKE;
	vm->origin.state_fd = fd;
	(void)snprintf(vm->origin.vmm, sizeof(vm->origin.vmm), "%s", vmm);
	vm_begin(vm);
	return 0;
}

void hv_vm_discard(struct hv_vm *vm)
{
	if (vm->state == HV_STANDBY)
		vm_enter(vm, HV_STOPPED);
}
