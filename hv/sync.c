/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After each HELLO: what runs, and what of it is ours? LIST all slots, compare each machine with its slot, ADOPT one after the
 * other what runs without us. Slots of machines that nobody knows are cleared away. Then hv is online.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "hv/vm.h"

static void adopt_next(struct hv *hv);

/* Return: true if some of the ring's last page is used: then it was filled once, which takes more than a boot prints. */
static bool is_wrapped(const uint8_t *ring, size_t size)
{
	for (size_t i = size - 4096; i < size; i++) {
		if (ring[i] != 0)
			return true;
	}
	return false;
}

bool sync_was_ready(struct hv_vm *vm, const struct hv_console *console)
{
	struct image img;
	void *ring;
	bool found;

	/* Without its image nothing can be looked for; a machine that runs is taken for ready then. */
	if (image_load(&img, vm->hv->c.images, vm->spec.image, NULL, NULL) < 0)
		return true;
	bootwatch_init(&vm->watch, img.ready, img.ready_len);
	image_finish(&img);
	if (console->ring_bytes < 4096)
		return true;
	ring = mmap(NULL, console->ring_bytes, PROT_READ, MAP_SHARED, console->ring_fd, 0);
	if (ring == MAP_FAILED)
		return true;
	found = is_wrapped(ring, console->ring_bytes) || memmem(ring, console->ring_bytes, img.ready, img.ready_len);
	(void)munmap(ring, console->ring_bytes);
	return found;
}

static bool at_rest(const struct hv_vm *vm)
{
	return vm->state == HV_REQUESTED || vm->state == HV_STOPPED || vm->state == HV_FAILED || vm->state == HV_STANDBY;
}

/* A machine whose process we know. */
static void resume_running(struct hv_vm *vm, enum netd_slot_state state)
{
	if (state == NETD_SLOT_EXITED) {
		vm_exited(vm, &vm->listed);
	} else if (state != NETD_SLOT_RUNNING) {
		vm_lost(vm);
		if (state == NETD_SLOT_ALLOCATED)
			vm_forget_slot(vm->hv, &vm->listed);
	} else if (vm->state == HV_STOPPING) {
		/* The signal of this rung may have been lost with the connection. */
		vm->rung_done = RUNG_NONE;
		vm_climb(vm);
	}
}

static void resume(struct hv_vm *vm)
{
	enum netd_slot_state state = vm->is_listed ? (enum netd_slot_state)vm->listed.state : NETD_SLOT_FREE;
	bool process = state == NETD_SLOT_RUNNING || state == NETD_SLOT_EXITED;

	if (vm->running) {
		resume_running(vm, state);
		return;
	}
	if (at_rest(vm)) {
		/* Found at the first time: the machine of an earlier gateway. Later: left over when the helper was away. */
		if (process && !vm->hv->was_online) {
			vm->reason[0] = '\0'; /* was of a rest that is over */
			vm->needs_adopt = true;
		} else if (state != NETD_SLOT_FREE) {
			vm_forget_slot(vm->hv, &vm->listed);
		}
		return;
	}
	if (process) {
		vm->needs_adopt = true; /* the answer to VM_SPAWN was lost */
		return;
	}
	vm->has_slot = false;
	if (vm->state == HV_STOPPING)
		vm_climb(vm);
	else if (!vm->waits_for_probe)
		vm_place(vm);
}

static void on_adopted(struct helper_call *c, const struct helper_result *r)
{
	struct hv_vm *vm = container_of(c, struct hv_vm, call);
	struct hv *hv = vm->hv;

	vm->calling = CALL_NONE;
	if (r->status == -ENOTCONN)
		return; /* the next HELLO begins anew */
	if (r->status < 0) {
		vm_forget_slot(hv, &vm->listed);
		vm->state = vm->state == HV_REQUESTED ? HV_PLACING : vm->state;
		vm_fail(vm, "it could not be taken over from the last gateway: %s", r->reason);
	} else {
		vm_attach(vm, r->info, r->fds, true);
		if (r->info->state == NETD_SLOT_EXITED)
			vm_exited(vm, r->info);
	}
	adopt_next(hv);
}

static void adopt_next(struct hv *hv)
{
	for (struct hv_vm *vm = hv->first; vm; vm = vm->next) {
		if (!vm->needs_adopt)
			continue;
		vm->needs_adopt = false;
		vm->driver = hv_driver_of(hv, &vm->listed);
		vm->calling = CALL_ADOPT;
		vm->call.done = on_adopted;
		helper_adopt(hv->helper, &vm->call, vm->listed.slot, vm->id);
		return;
	}
	hv_now_online(hv);
}

static void sort_out(struct hv *hv)
{
	for (struct hv_vm *vm = hv->first; vm; vm = vm->next) {
		vm->needs_adopt = false;
		resume(vm);
		vm->is_listed = false;
	}
	adopt_next(hv);
}

static void note(struct hv *hv, const struct netd_slot_info *info)
{
	struct hv_vm *vm = hv_find(hv, info->vm_id);

	if (info->state == NETD_SLOT_FREE)
		return;
	if (vm) {
		vm->listed = *info;
		vm->is_listed = true;
		return;
	}
	log_warn("slot %u holds a machine that nobody knows (process %d): it is cleared away", info->slot, info->pid);
	vm_forget_slot(hv, info);
}

static void on_list(struct helper_call *c, const struct helper_result *r)
{
	struct hv *hv = container_of(c, struct hv, list);

	if (r->status == -ENOTCONN)
		return;
	if (r->status < 0) {
		helper_reconnect(hv->helper, r->reason);
		return;
	}
	for (uint32_t i = 0; i < r->list->count; i++)
		note(hv, &r->list->info[i]);
	if (r->list->next_slot != 0)
		helper_list(hv->helper, &hv->list, r->list->next_slot);
	else
		sort_out(hv);
}

void sync_begin(struct hv *hv)
{
	for (struct hv_vm *vm = hv->first; vm; vm = vm->next)
		vm->is_listed = false;
	hv->list.done = on_list;
	helper_list(hv->helper, &hv->list, 0);
}
