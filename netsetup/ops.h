/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_OPS_H
#define NETSETUP_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "netsetup/caller.h"

struct config;
struct net;
struct slots;

/**
 * struct ops - what requests act on; all borrowed
 * @caller: NULL once the helper is ending
 * @files: of the request that is being carried out; owned by whoever received it
 * @caps: of enum netd_cap, without NETD_CAP_UPLINK, which HELLO looks up
 */
struct ops {
	const struct config *config;
	struct caller *caller;
	struct slots *slots;
	struct net *net;
	uint32_t caps;
	int *files;
};

/** ops_request() - carry out a request that request_check() found right. A caller hook: @arg is the struct ops */
void ops_request(void *arg, union netd_request *rq, int *fds);

/** ops_next_notice() - what the helper has to say unasked, and answers that had to wait */
bool ops_next_notice(void *arg, struct caller_frame *out);

/** ops_on_due() - a slot has something to say */
void ops_on_due(void *arg);

#endif
