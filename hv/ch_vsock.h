/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_CH_VSOCK_H
#define HV_CH_VSOCK_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/driver.h"
#include "hv/helper.h"

/*
 * Cloud Hypervisor's "hybrid vsock": who connects to its socket and says "CONNECT 7717\n" is led to that port of the guest after "OK n\n". As long as
 * nobody listens there, it says nothing, or hangs up. So it is tried again and again, with pauses, until the agent is there.
 */

#define CH_VSOCK_LINE 32 /* bytes of an answer, its line feed included */

enum ch_vsock_step { CH_VSOCK_IDLE, CH_VSOCK_PAUSE, CH_VSOCK_REACH, CH_VSOCK_ASKED };

/** struct ch_vsock - zeroed and with ch_vsock_init(): at rest */
struct ch_vsock {
	struct hv_vm *vm; /* borrowed */
	enum ch_vsock_step step;
	struct helper_call call;
	int fd; /* owned; in CH_VSOCK_ASKED, else -1 */
	ev_io readable;
	ev_timer timer;
	uint64_t pause_ms;
	char line[CH_VSOCK_LINE];
	size_t len;
};

void ch_vsock_init(struct ch_vsock *v, struct hv_vm *vm);

/** ch_vsock_seek() - after @pause_ms look for the agent; when it is found it becomes the machine's stream. No harm when it is being looked for */
void ch_vsock_seek(struct ch_vsock *v, uint64_t pause_ms);

/** ch_vsock_stop() - idempotent */
void ch_vsock_stop(struct ch_vsock *v);

/** ch_vsock_answer() - what a line without its line feed says. Return: 0 for "OK number", or -EPROTO. Pure */
int ch_vsock_answer(const char *line, size_t len);

#endif
