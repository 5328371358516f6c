/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_TAP_H
#define NETSETUP_TAP_H

struct err;

/**
 * tap_open() - create TAP @name with IFF_VNET_HDR; it lives as long as the FD
 *
 * Return: FD, close-on-exec, or negative with @e
 */
int tap_open(const char *name, struct err *e);

/** tap_available() - whether /dev/net/tun can be opened. Return: 0, or negative with @e */
int tap_available(struct err *e);

#endif
