/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network cards that come and go while a machine runs.
 *
 * Theory of operation
 *
 *   plug     helper sets up a TAP (CARD_ADD) -> the driver gives it to the VMM -> there          what fails on the way is taken back
 *   unplug   the driver asks the VMM -> the guest lets go -> the helper takes the TAP away (CARD_REMOVE) -> gone
 *   adopted  the driver tells which the VMM has; of those the helper is asked again what they are, the others it takes away
 *
 * One request to the helper is under way at a time; the rest waits as sets. With the process all of them are gone, at the helper too.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "hv/vm.h"

_Static_assert(HV_CARDS_MAX == NETD_CARDS_MAX, "as many as the helper gives");

static const char *const names[HV_CARDS_MAX] = { HV_CARD_PREFIX "1", HV_CARD_PREFIX "2" };

static void go_on(struct hv_vm *vm);

static bool is_under_way(const struct hv_vm *vm, unsigned number)
{
	return strcmp(vm->plugging, names[number - 1]) == 0;
}

static void give_back(struct hv_vm *vm, unsigned number, const char *why)
{
	vm->cards.unwanted |= 1U << (number - 1);
	vm_plug_told(vm, names[number - 1], false, why);
}

/* The helper has set it up: the VMM gets it, unless it has it already or nobody waits for it any more. */
static void on_added(struct hv_vm *vm, unsigned number, const struct helper_result *r)
{
	_close_ int tap = r->status == 0 && r->nfds == 1 ? fd_take(&r->fds[0]) : -1;
	struct err e = { 0 };

	if (r->status < 0 || !r->card || r->card->card != number) {
		if (is_under_way(vm, number))
			vm_plug_told(vm, names[number - 1], false, r->status < 0 ? r->reason : "the helper speaks of another card");
		return;
	}
	vm->cards.info[number - 1] = *r->card;
	if (vm->cards.in & 1U << (number - 1))
		vm_plug_told(vm, names[number - 1], true, NULL);
	else if (!is_under_way(vm, number))
		vm->cards.unwanted |= 1U << (number - 1);
	else if (vm->driver->plug_card(vm, vm->instance, names[number - 1], r->card->mac, tap, &e) < 0)
		give_back(vm, number, e.msg);
}

static void on_removed(struct hv_vm *vm, unsigned number, const struct helper_result *r)
{
	memset(&vm->cards.info[number - 1], 0, sizeof(vm->cards.info[number - 1]));
	if (r->status < 0 && r->status != -ENOENT)
		log_warn("machine %s: the helper keeps its card %u: %s", vm->spec.name, number, r->reason);
	if (is_under_way(vm, number) && !vm->plug_in)
		vm_plug_told(vm, names[number - 1], false, NULL);
}

static void on_helper(struct helper_call *c, const struct helper_result *r)
{
	struct hv_vm *vm = container_of(c, struct hv_vm, cards.call);

	if (!vm->running)
		return;
	if (vm->cards.adding)
		on_added(vm, vm->cards.at, r);
	else
		on_removed(vm, vm->cards.at, r);
	go_on(vm);
}

static void go_on(struct hv_vm *vm)
{
	struct vm_cards *c = &vm->cards;
	uint32_t *set = c->unwanted ? &c->unwanted : &c->wanted;

	if (c->call.pending || !vm->running || !*set)
		return;
	c->adding = set == &c->wanted;
	c->at = (unsigned)__builtin_ctz(*set) + 1;
	*set &= *set - 1;
	c->call.done = on_helper;
	helper_card(vm->hv->helper, &c->call, vm->info.slot, c->at, c->adding);
}

void vm_card_event(struct hv_vm *vm, unsigned number, bool in, const char *why)
{
	uint32_t bit = 1U << (number - 1);

	if (in) {
		vm->cards.in |= bit;
		vm_plug_told(vm, names[number - 1], true, why);
		return;
	}
	vm->cards.in &= ~bit;
	vm->cards.unwanted |= bit;
	/* What the guest let go of by itself, or was given up, is told at once; what was asked for when the helper has done its part. */
	if (why || !is_under_way(vm, number))
		vm_plug_told(vm, names[number - 1], false, why);
	go_on(vm);
}

void hv_event_cards(struct hv_vm *vm, uint32_t cards)
{
	vm->cards.in = cards & vm->info.cards;
	vm->cards.wanted = vm->cards.in;
	vm->cards.unwanted = vm->info.cards & ~cards;
	go_on(vm);
}

int hv_vm_card_plug(struct hv_vm *vm, unsigned number, struct err *e)
{
	int r = vm_plug_may(vm, "given a network card", e);

	if (r == 0 && !vm->driver->plug_card)
		r = err_set(e, -EOPNOTSUPP, "a running machine of the driver %s takes no network card", vm->driver->name);
	if (r == 0 && vm->info.net == NETD_NET_NONE)
		r = err_set(e, -EOPNOTSUPP, "a machine without a network takes no network card");
	if (r < 0 || vm_plug_begin(vm, names[number - 1], true, 0) < 0)
		return r;
	vm->cards.wanted |= 1U << (number - 1);
	go_on(vm);
	return 0;
}

int hv_vm_card_unplug(struct hv_vm *vm, unsigned number, struct err *e)
{
	int r = vm_plug_may(vm, "deprived of a network card", e);

	return vm_plug_begin(vm, names[number - 1], false, r == 0 ? vm->driver->unplug(vm, vm->instance, names[number - 1], e) : r);
}

bool hv_vm_card(const struct hv_vm *vm, unsigned number, struct hv_card *out)
{
	const struct netd_card_info *i = &vm->cards.info[number - 1];

	if (!(vm->cards.in & 1U << (number - 1)) || i->card != number)
		return false;
	*out = (struct hv_card){ .prefix4 = i->prefix4, .prefix6 = i->prefix6, .ip4 = i->ip4, .gw4 = i->gw4 };
	memcpy(out->ifname, i->ifname, sizeof(out->ifname));
	memcpy(out->mac, i->mac, sizeof(out->mac));
	memcpy(out->ip6, i->ip6, sizeof(out->ip6));
	memcpy(out->gw6, i->gw6, sizeof(out->gw6));
	return true;
}

void vm_cards_ended(struct hv_vm *vm)
{
	helper_cancel(vm->hv->helper, &vm->cards.call);
	memset(&vm->cards, 0, sizeof(vm->cards));
}
