/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_SUBNET_H
#define NETSETUP_SUBNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/**
 * struct subnet - an address range; pure data
 * @family: AF_INET or AF_INET6
 * @len:    bits of the prefix
 * @addr:   network byte order, the first 4 bytes for IPv4; bits past @len are zero
 * @ifname: interface it was seen on, for messages; may be empty
 */
struct subnet {
	int family;
	uint8_t len;
	uint8_t addr[16];
	char ifname[16];
};

#define SUBNET_TEXT 64 /* bytes that subnet_text() may need */

/**
 * subnet_parse() - read "10.0.0.0/8" or "fd00::/64"; a bare address has the full length. Return: 0 or -EINVAL
 */
int subnet_parse(const char *text, struct subnet *out, struct err *e);

/** subnet_clip() - zero the bits past @len */
void subnet_clip(struct subnet *s);

/** subnet_overlaps() - true if the ranges share an address; different families never do */
bool subnet_overlaps(const struct subnet *a, const struct subnet *b);

/** subnet_text() - write the usual notation */
void subnet_text(const struct subnet *s, char out[SUBNET_TEXT]);

/**
 * subnet_free() - find a private range as large as @want that overlaps nothing in @used
 *
 * Return: true if there is one
 */
bool subnet_free(const struct subnet *want, const struct subnet *used, size_t n, struct subnet *out);

/**
 * subnet_check() - refuse @want when the host already uses a part of it
 * @key:  name of the setting, for the message
 * @used: addresses and routes of the host; default routes (length 0) do not count
 *
 * Return: 0, or -EADDRINUSE with the conflict and a free range in @e.
 */
int subnet_check(const struct subnet *want, const char *key, const struct subnet *used, size_t n, struct err *e);

#endif
