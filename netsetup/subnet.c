/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/subnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static uint8_t full_len(int family)
{
	return family == AF_INET ? 32 : 128;
}

void subnet_clip(struct subnet *s)
{
	for (unsigned i = 0; i < sizeof(s->addr); i++) {
		unsigned from = i * 8;

		if (from >= s->len)
			s->addr[i] = 0;
		else if (s->len - from < 8)
			s->addr[i] &= (uint8_t)(0xff00 >> (s->len - from));
	}
}

int subnet_parse(const char *text, struct subnet *out, struct err *e)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	struct subnet s = { .family = memchr(text, ':', n) ? AF_INET6 : AF_INET };
	struct subnet clipped;

	if (n >= sizeof(host))
		return err_set(e, -EINVAL, "%.64s is no address range", text);
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(s.family, host, s.addr) != 1)
		return err_set(e, -EINVAL, "%.64s is no address range such as 10.213.0.0/19 or fd00::/64", text);
	s.len = full_len(s.family);
	if (slash) {
		char *end;
		unsigned long len = strtoul(slash + 1, &end, 10);

		if (slash[1] < '0' || slash[1] > '9' || *end || len > s.len)
			return err_set(e, -EINVAL, "%.64s has no prefix length from 0 to %u", text, s.len);
		s.len = (uint8_t)len;
	}
	clipped = s;
	subnet_clip(&clipped);
	if (memcmp(clipped.addr, s.addr, sizeof(s.addr)) != 0)
		return err_set(e, -EINVAL, "%.64s has bits set past its prefix length", text);
	*out = s;
	return 0;
}

bool subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
	unsigned len = a->len < b->len ? a->len : b->len;

	if (a->family != b->family || memcmp(a->addr, b->addr, len / 8) != 0)
		return false;
	return len % 8 == 0 || (a->addr[len / 8] ^ b->addr[len / 8]) >> (8 - len % 8) == 0;
}

void subnet_text(const struct subnet *s, char out[SUBNET_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "?";

	(void)inet_ntop(s->family, s->addr, host, sizeof(host));
	(void)snprintf(out, SUBNET_TEXT, "%s/%u", host, s->len);
}

/* Private ranges that suggestions come from, in the order of preference. */
static const char *const private_ranges[] = { "10.213.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
					      "fd00::/8" };

/* The default route covers everything and conflicts with nothing. */
static const struct subnet *find_conflict(const struct subnet *want, const struct subnet *used, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (used[i].len > 0 && subnet_overlaps(want, &used[i]))
			return &used[i];
	return NULL;
}

/* Step to the next range of the same size; false past the end of the first 8 bytes: no search goes so far. */
static bool next_range(struct subnet *s)
{
	unsigned bit = s->len > 64 ? 64 : s->len;
	unsigned byte = (bit - 1) / 8, add = 1U << (7 - (bit - 1) % 8);

	for (;;) {
		add += s->addr[byte];
		s->addr[byte] = (uint8_t)add;
		if (add < 256)
			return true;
		if (byte-- == 0)
			return false;
		add = 1;
	}
}

bool subnet_free(const struct subnet *want, const struct subnet *used, size_t n, struct subnet *out)
{
	enum { TRIES = 1 << 16 };

	for (size_t r = 0; r < sizeof(private_ranges) / sizeof(private_ranges[0]); r++) {
		struct subnet range = { .family = 0 }, s;

		if (subnet_parse(private_ranges[r], &range, NULL) < 0 || range.family != want->family ||
		    range.len > want->len)
			continue;
		s = range;
		s.len = want->len;
		/* fd00::/64 itself is what everybody picks: begin at a less likely place. */
		if (s.family == AF_INET6 && s.len >= 48)
			memcpy(s.addr, "\xfd\x7a\x72\x72\x6d\x01", 6);
		for (unsigned i = 0; i < TRIES && subnet_overlaps(&s, &range); i++) {
			if (!find_conflict(&s, used, n)) {
				*out = s;
				return true;
			}
			if (!next_range(&s))
				break;
		}
	}
	return false;
}

int subnet_check(const struct subnet *want, const char *key, const struct subnet *used, size_t n, struct err *e)
{
	const struct subnet *hit = find_conflict(want, used, n);
	char mine[SUBNET_TEXT], theirs[SUBNET_TEXT], better[SUBNET_TEXT];
	struct subnet suggestion;

	if (!hit)
		return 0;
	subnet_text(want, mine);
	subnet_text(hit, theirs);
	if (!subnet_free(want, used, n, &suggestion))
		return err_set(e, -EADDRINUSE,
			       "%s = %s overlaps %s on %s, and no private range of that size is free", key,
			       mine, theirs, hit->ifname);
	subnet_text(&suggestion, better);
	return err_set(e, -EADDRINUSE, "%s = %s overlaps %s, in use on %s; %s = %s is free", key, mine, theirs,
		       hit->ifname, key, better);
}
