/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_FRAMES_H
#define HV_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "netsetup/proto.h"

struct err;

/* Any frame that comes from the helper. */
union helper_frame {
	struct netd_head head;
	struct netd_error error;
	struct netd_hello_reply hello;
	struct netd_net_alloc_reply alloc;
	struct netd_vm_spawn_reply spawn;
	struct netd_adopt_reply adopt;
	struct netd_card_reply card;
	struct netd_list_reply list;
	struct netd_exited exited;
};

/**
 * frame_check() - is this a well-formed frame of the helper? Pure.
 * @len:  bytes received
 * @nfds: FDs that came with it
 *
 * After 0 every count, enum and string in it is within its bounds, and @nfds is what the frame's want[] calls for.
 * Return: 0, or -EPROTO with @e.
 */
int frame_check(const union helper_frame *f, size_t len, size_t nfds, struct err *e);

/** frame_info() - the slot info in a good frame, or NULL if its kind has none or more than one */
const struct netd_slot_info *frame_info(const union helper_frame *f);

#endif
