/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_TURN_H
#define HV_TURN_H

#include <stdbool.h>

struct hv;
struct hv_vm;

/*
 * Inside of hv/: how many machines are on their way to a prompt at once. Each takes a processor for as long as it boots; a hundred that boot beside one
 * another all miss their deadlines, a few after the other do not. So a start needs a turn, and who finds none free waits: in the order of arrival, but one of
 * each group (hv_vm_group(): a person) after the other, so that nobody waits for all that somebody else has asked for.
 *
 * A turn is held from the request for a slot until the machine is ready, or ends: both have deadlines, so that everybody's turn comes, or the
 * waiting itself is given up in words. Probes and templates need none: others wait for them, and there are few. The state is "placing" all the while.
 */

/**
 * turn_take() - in placing: may it begin now?
 *
 * Return: true, and it holds a turn; or false: it stands in the line, and vm_go() follows unless it leaves placing before.
 */
bool turn_take(struct hv_vm *vm);

/** turn_left() - it is in no state any more that needs a turn, or a place in the line; idempotent */
void turn_left(struct hv_vm *vm);

/** turn_before() - how many stand before it; negative when it does not wait */
int turn_before(const struct hv_vm *vm);

/** turns_init() - at most @at_once start at once; 0: as this host's processors can do. turns_finish() - nobody's turn comes any more */
void turns_init(struct hv *hv, unsigned at_once);
void turns_finish(struct hv *hv);

#endif
