/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_REQUEST_H
#define NETSETUP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "netsetup/proto.h"

struct err;

/* The first two checks of a request: size and range. Pure; states and quotas are checked in ops.c. */

/* Any request, aligned for all of them. */
union netd_request {
	struct netd_head head;
	struct netd_hello hello;
	struct netd_net_alloc net_alloc;
	struct netd_net_free net_free;
	struct netd_vm_spawn vm_spawn;
	struct netd_vm_kill vm_kill;
	struct netd_list list;
	struct netd_adopt adopt;
	struct netd_connect connect;
	struct netd_vm_limits vm_limits;
	struct netd_memory memory;
	struct netd_card card;
	uint8_t bytes[NETD_FRAME_MAX + 1]; /* one more than any frame, so that a longer one is seen */
};

enum request_verdict {
	REQUEST_OK,
	REQUEST_REFUSED, /* well-formed, values out of range: answer with the error */
	REQUEST_BROKEN,  /* the other side does not speak the protocol: end the connection */
};

/** struct request_limits - ranges that depend on the settings */
struct request_limits {
	uint32_t slots, binaries;
};

/**
 * request_check() - judge the @len bytes in @rq
 * @greeted: HELLO was answered on this connection
 *
 * After REQUEST_OK every field is in range and the tail of VM_SPAWN holds exactly argc terminated strings.
 * @e has code and reason for the other two.
 */
enum request_verdict request_check(const union netd_request *rq, size_t len, bool greeted,
				   const struct request_limits *lim, struct err *e);

/**
 * request_files() - judge the descriptors that came with a request that request_check() found right
 * @owner: whose the files must be that can be written
 */
enum request_verdict request_files(const union netd_request *rq, const int *fds, size_t nfds, uid_t owner, struct err *e);

/** request_op_name() - "VM_SPAWN"; "?" for no operation */
const char *request_op_name(unsigned op);

/** request_argv() - point @argv (argc + 1 entries, NULL last) into the checked tail of VM_SPAWN */
void request_argv(union netd_request *rq, char **argv);

#endif
