/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_INNER_H
#define NETSETUP_INNER_H

#include "netsetup/plan.h"

struct buf;

/*
 * The same address in every guest (plan.inner4): each TAP translates it into its slot's own. One table, `netdev terrarium`, with two chains
 * per slot. All functions are pure.
 */

/** inner_base_text() - the table, replacing any older one; @wanted: else only that. Refused by kernels that lack the hook of what leaves */
void inner_base_text(struct buf *out, bool wanted);

/** inner_slot_text() - the chains of a slot that is translated, whose TAP exists; nothing for another */
void inner_slot_text(struct buf *out, const struct plan_slot *s);

/** inner_slot_delete_text() - the commands that take them away */
void inner_slot_delete_text(struct buf *out, const struct plan_slot *s);

#endif
