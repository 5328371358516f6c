/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   vm_place() -> turn_take() -> holds a turn ----------------------------> vm_enter(ready, stopping, ...) -> turn_left()
 *                             -> in the line -> run_next(): holds a turn, vm_go()      the same leaves the line
 *
 * The line is start-time fair queueing (Goyal, Vin, Cheng 1996, §2) of equal shares. A start's round is one more than that of the same group's last one that
 * waits or has a turn, and never less than that of the one let in last: who has had nothing starts now, saves nothing up, and who has asked for a hundred
 * gets one in each round. Within a round vm->ticket decides, which a machine gets when it is asked to start and keeps while it only tries another way to begin:
 * who could not be cloned boots without standing at the end again. Who holds a turn is counted, and the next one is let in at the end of the loop's turn, never
 * from within a hook. Those who wait are told of their place once a second at most: a hundred pages that ask at each step would be the burst once more.
 */
#include "hv/turn.h"

#include <sched.h>
#include <stddef.h>

#include "base/log.h"
#include "hv/vm.h"

#define PER_PROCESSOR 2 /* half of a start is waiting: for the helper, the VMM, the disk */
#define AT_ONCE_MIN   4
#define TELL_S	      1.

static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* At once if nothing has been told for a while. */
static void tell(struct turns *t)
{
	if (!t->untold || ev_is_active(&t->tell))
		return;
	t->untold = false;
	for (struct hv_vm *vm = t->first; vm; vm = vm->turn_next)
		if (vm->hooks->on_waiting)
			vm->hooks->on_waiting(vm->hooks_arg, vm);
	if (!t->first)
		return;
	ev_now_update(t->loop->ev);
	ev_timer_set(&t->tell, TELL_S, 0.);
	ev_timer_start(t->loop->ev, &t->tell);
}

static void on_tell(struct ev_loop *ev, ev_timer *w, int events)
{
	struct turns *t = w->data;

	(void)ev;
	(void)events;
	tell(t);
}

static uint64_t round_of(const struct hv_vm *vm)
{
	uint64_t round = vm->hv->turns.round;

	for (const struct hv_vm *other = vm->hv->first; other; other = other->next)
		if (other != vm && other->group == vm->group && (other->has_turn || other->waits_for_turn) && other->round >= round)
			round = other->round + 1;
	return round;
}

static bool stands_before(const struct hv_vm *a, const struct hv_vm *b)
{
	return a->round != b->round ? a->round < b->round : a->ticket <= b->ticket;
}

static void let_in(struct turns *t, struct hv_vm *vm)
{
	vm->has_turn = true;
	t->round = vm->round;
	t->under_way++;
}

static void run_next(struct loop_task *task)
{
	struct turns *t = container_of(task, struct turns, next);

	while (t->first && t->under_way < t->at_once) {
		struct hv_vm *vm = t->first;

		t->first = vm->turn_next;
		t->waiting--;
		vm->waits_for_turn = false;
		let_in(t, vm);
		t->untold = true;
		vm_go(vm);
	}
	tell(t);
}

static void look(struct turns *t)
{
	if (t->first && t->under_way < t->at_once)
		loop_defer(t->loop, &t->next, run_next);
}

void turns_init(struct hv *hv, unsigned at_once)
{
	struct turns *t = &hv->turns;
	unsigned n = PER_PROCESSOR * processors();

	t->loop = hv->loop;
	t->at_once = at_once ? at_once : n < AT_ONCE_MIN ? AT_ONCE_MIN : n;
	ev_init(&t->tell, on_tell);
	t->tell.data = t;
}

void turns_finish(struct hv *hv)
{
	loop_cancel(hv->loop, &hv->turns.next);
	ev_timer_stop(hv->loop->ev, &hv->turns.tell);
}

bool turn_take(struct hv_vm *vm)
{
	struct turns *t = &vm->hv->turns;
	struct hv_vm **at = &t->first;

	if (vm->has_turn || vm->probe || vm->template)
		return true;
	if (vm->waits_for_turn)
		return false;
	vm->round = round_of(vm);
	if (!t->first && t->under_way < t->at_once) {
		let_in(t, vm);
		return true;
	}
	while (*at && stands_before(*at, vm))
		at = &(*at)->turn_next;
	vm->turn_next = *at;
	*at = vm;
	vm->waits_for_turn = true;
	t->waiting++;
	t->untold = true;
	loop_defer(t->loop, &t->next, run_next);
	return false;
}

void turn_left(struct hv_vm *vm)
{
	struct turns *t = &vm->hv->turns;

	if (vm->waits_for_turn) {
		struct hv_vm **at = &t->first;

		while (*at != vm)
			at = &(*at)->turn_next;
		*at = vm->turn_next;
		t->waiting--;
	}
	if (vm->has_turn)
		t->under_way--;
	vm->waits_for_turn = vm->has_turn = false;
	look(t);
}

int turn_before(const struct hv_vm *vm)
{
	int n = 0;

	if (!vm->waits_for_turn)
		return -1;
	for (const struct hv_vm *other = vm->hv->turns.first; other != vm; other = other->turn_next)
		n++;
	return n;
}

void hv_turns(const struct hv *hv, struct hv_turns *out)
{
	const struct turns *t = &hv->turns;

	*out = (struct hv_turns){ .at_once = t->at_once, .under_way = t->under_way, .waiting = t->waiting, .overdue = t->overdue };
}
