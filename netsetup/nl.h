/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_NL_H
#define NETSETUP_NL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netsetup/plan.h"

struct err;
struct nl;

/*
 * Route netlink through libmnl: the few link, address, neighbour and route operations that slots need. Changes
 * are collected with the nl_*() calls below and sent by nl_commit(), in one go; interfaces are named by index,
 * see nl_index().
 */

#define NL_GROUP 0x7472 /* link group of our TAPs */
#define NL_GROUP_DYING 0x7473 /* of those about to go: deleted together, with one wait for the kernel's readers */

/** nl_open() - Return: a netlink socket of this network namespace, or NULL with @e */
struct nl *nl_open(struct err *e);

/** nl_close() - safe on NULL. Returns NULL */
struct nl *nl_close(struct nl *nl);

/** nl_index() - index of an interface. Return: 0 when there is none of that name */
uint32_t nl_index(const char *name);

/** nl_bridge_add() - a bridge without spanning tree, multicast snooping or link-local address; down */
void nl_bridge_add(struct nl *nl, const struct plan_bridge *b);

/** nl_bridge_up() - give it its gateway addresses and set it up */
void nl_bridge_up(struct nl *nl, uint32_t index, const struct plan_bridge *b);

/**
 * nl_port_join() - make TAP @tap an isolated port of @bridge and set it up
 *
 * The port learns nothing and is flooded with nothing: its one address and its neighbour entries are written
 * down here, and what a guest claims by ARP or neighbour discovery changes nothing.
 */
void nl_port_join(struct nl *nl, uint32_t tap, uint32_t bridge, const struct plan_slot *s);

/** nl_port_leave() - take the neighbour entries away and put the TAP into NL_GROUP_DYING */
void nl_port_leave(struct nl *nl, uint32_t tap, uint32_t bridge, const struct plan_slot *s);

/** nl_link_delete() - remove one interface */
void nl_link_delete(struct nl *nl, uint32_t index);

/** nl_group_delete() - remove every interface of link group @group */
void nl_group_delete(struct nl *nl, uint32_t group);

/**
 * nl_commit() - send what was collected
 *
 * Return: 0, or the first failure as -errno; later changes were tried all the same
 */
int nl_commit(struct nl *nl);

/**
 * nl_subnets() - addresses and routes in use, without those of interfaces whose name starts with @skip
 *
 * Return: how many are in @out (at most @max), or -errno.
 */
int nl_subnets(struct nl *nl, const char *skip, struct subnet *out, size_t max);

/**
 * nl_uplink() - interface of the IPv4 default route with the smallest metric
 *
 * Return: true and @name, or false without one
 */
bool nl_uplink(struct nl *nl, char name[16]);

#endif
