/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_WHEN_H
#define BASE_WHEN_H

#include <stdint.h>

#define WHEN_BYTES 32

/** when_parse() - seconds since 1970 of "2026-11-25", "2026-11-25T18:00:00Z" or with an offset "+01:00" (RFC 3339); later than 1970 began. Return: 0 or -EINVAL */
int when_parse(const char *text, int64_t *out);

/** when_format() - RFC 3339 in UTC. Returns @out */
const char *when_format(int64_t seconds, char out[WHEN_BYTES]);

#endif
