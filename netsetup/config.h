/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_CONFIG_H
#define NETSETUP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "netsetup/nft.h"
#include "netsetup/plan.h"
#include "netsetup/proto.h"

struct err;

enum network_mode { NETWORK_AUTO, NETWORK_REQUIRED, NETWORK_OFF };

/** struct config_binary - a program that VM_SPAWN may start */
struct config_binary {
	char name[sizeof(((struct netd_binary *)0)->name)];
	char path[192];
};

/** struct config - settings of the helper, read once from a root-owned place and checked */
struct config {
	/* As in the file. */
	char socket[108], gateway_user[64], log_level[8], binary_list[1024];
	char network[16], ifname[PLAN_PREFIX_MAX + 1];
	char subnet4[32], subnet6[64], inner_subnet4[32], dns[128], deny[1024];
	bool use_cgroups;
	int64_t slots, uid_base, start_rate, cpu_max, pids_max;
	uint64_t memory_max;

	/* What follows from them. */
	uid_t gateway_uid;
	enum network_mode mode;
	struct plan plan;
	struct nft_config rules;
	struct config_binary binaries[NETD_BINARIES_MAX];
	size_t nbinaries;
};

/** config_read() - as conf_read() of base/conf.h, and all checks that need no privilege. Return: likewise */
int config_read(struct config *c, int argc, char **argv, struct err *e);

/**
 * config_resolvers() - take name servers from the text of /etc/resolv.conf, for families that have none yet
 *
 * Loopback and link-local ones are of no use to guests and are skipped. Pure.
 */
void config_resolvers(struct nft_config *rules, const char *text);

#endif
