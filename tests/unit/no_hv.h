/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_NO_HV_H
#define TEST_NO_HV_H

/* What drivers tell and ask, where a test has a driver's plan and no hv.c: nothing comes of it. For one file of a program. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/driver.h"

void hv_event_plugged(struct hv_vm *vm, const char *serial, bool there, const char *why)
{
	(void)vm;
	(void)serial;
	(void)there;
	(void)why;
}

void hv_event_cards(struct hv_vm *vm, uint32_t cards)
{
	(void)vm;
	(void)cards;
}

const char *hv_vm_machine(const struct hv_vm *vm)
{
	(void)vm;
	return "q35";
}

void hv_event(struct hv_vm *vm, enum hv_event ev, const char *reason)
{
	(void)vm;
	(void)ev;
	(void)reason;
}

void hv_event_saved(struct hv_vm *vm, const char *vmm, const char *why)
{
	(void)vm;
	(void)vmm;
	(void)why;
}

const struct hv_origin *hv_vm_origin(const struct hv_vm *vm)
{
	(void)vm;
	return NULL;
}

int hv_vm_folder(const struct hv_vm *vm, int *number)
{
	(void)vm;
	*number = 0;
	return -1;
}

uint64_t hv_vm_memory(const struct hv_vm *vm)
{
	(void)vm;
	return 0;
}

bool hv_vm_balloon(const struct hv_vm *vm)
{
	(void)vm;
	return true;
}

bool hv_vm_size(const struct hv_vm *vm, struct vm_size *now, struct vm_size *wish)
{
	(void)vm;
	(void)now;
	(void)wish;
	return false;
}

void hv_event_resized(struct hv_vm *vm, const char *why)
{
	(void)vm;
	(void)why;
}

void hv_event_size(struct hv_vm *vm, const struct vm_size *size)
{
	(void)vm;
	(void)size;
}

void hv_event_accel(struct hv_vm *vm, enum hv_accel accel)
{
	(void)vm;
	(void)accel;
}

void hv_agent_stream(struct hv_vm *vm, int fd)
{
	(void)vm;
	(void)fd;
}

void hv_agent_here(struct hv_vm *vm)
{
	(void)vm;
}

void hv_agent_gone(struct hv_vm *vm)
{
	(void)vm;
}

void hv_reach(struct hv_vm *vm, struct helper_call *c)
{
	(void)vm;
	(void)c;
}

void hv_reach_cancel(struct hv_vm *vm, struct helper_call *c)
{
	(void)vm;
	(void)c;
}

struct loop *hv_vm_loop(const struct hv_vm *vm)
{
	(void)vm;
	return NULL;
}

#endif
