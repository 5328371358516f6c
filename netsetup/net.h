/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_NET_H
#define NETSETUP_NET_H

#include <stdbool.h>

#include "base/err.h"
#include "netsetup/nft.h"
#include "netsetup/plan.h"
#include "netsetup/proto.h"

struct loop;
struct net;

/*
 * The guests' network: bridges, TAPs, rules. Taking a TAP away waits 16-70 ms for the kernel, so a worker
 * thread does the changes of slots.
 */

enum net_action { NET_JOIN, NET_LEAVE };

/**
 * struct net_job - one change, embedded in its slot; must not move until done
 * @tap_fd: of NET_JOIN: the new TAP, owned by the slot after done; of NET_LEAVE: consumed. -1 when empty
 * @status: 0 or negative, with the reason in @err
 * @done:   called on the loop
 */
struct net_job {
	struct net_job *next; /* borrowed: the queue */
	enum net_action action;
	enum netd_net net;
	struct plan_slot plan;
	int tap_fd, status;
	struct err err;
	void (*done)(struct net_job *);
};

/**
 * struct net_config - borrowed while net_open() runs, except @rules.plan, which must outlive the network
 * @slots: how many slots there will be
 */
struct net_config {
	struct nft_config rules;
	uint32_t slots;
};

/**
 * net_open() - find conflicts, make bridges and base rules, replacing what an earlier helper left behind
 *
 * Return: 0; -EADDRINUSE when a subnet is in use or another helper serves this network namespace; else
 * negative: this host cannot have a guests' network. Whatever was made is gone again on failure.
 */
int net_open(struct net **out, struct loop *loop, const struct net_config *c, struct err *e);

/**
 * net_start() - start the worker. Safe because: called after capabilities are dropped, so the thread has no
 * more than we
 *
 * Return: 0 or negative
 */
int net_start(struct net *net, struct err *e);

/** net_submit() - queue a job; jobs are done in order */
void net_submit(struct net *net, struct net_job *job);

/** net_uplink() - interface of the default route. Return: true and @name, or false */
bool net_uplink(struct net *net, char name[16]);

/**
 * net_destroy() - stop the worker; remove TAPs, bridges and rules; put sysctls back. Queued jobs are not called
 * back
 *
 * Returns NULL
 */
struct net *net_destroy(struct net *net);

#endif
