/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_CH_HANDOVER_H
#define HV_CH_HANDOVER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/httpc.h"

struct loop;

/* One request to Cloud Hypervisor that a descriptor goes along with (SCM_RIGHTS), which libcurl cannot send. On a connection of its own. */

#define CH_HANDOVER_MAX 8192 /* bytes of an answer: the head and one small object */

/** struct ch_handover - embedded; zeroed = none */
struct ch_handover {
	struct loop *loop; /* borrowed */
	int fd;		   /* owned; valid while @active */
	ev_io readable;
	ev_timer late;
	struct buf in;
	httpc_done *done;
	void *arg;
	bool active;
};

/**
 * ch_handover_start() - send it; @done follows, and never before this returns
 * @socket: path
 * @name:   of the call, "vm.add-net"; @body: JSON
 * @fd:     goes along, stays the caller's
 *
 * Return: 0, or -errno: nobody listens, or it does not take more connections now.
 */
int ch_handover_start(struct ch_handover *h, struct loop *loop, const char *socket, const char *name, const char *body, int fd, uint32_t deadline_ms,
		      httpc_done *done, void *arg);

/** ch_handover_cancel() - forget it: @done does not run. Fine when there is none */
void ch_handover_cancel(struct ch_handover *h);

/** ch_answer_parse() - an answer as micro_http writes it. Return: 1 and @out, whose body lies in @data; 0: not whole yet; -EPROTO */
int ch_answer_parse(const char *data, size_t len, struct httpc_answer *out);

#endif
