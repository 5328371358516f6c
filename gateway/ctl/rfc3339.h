/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_RFC3339_H
#define GATEWAY_CTL_RFC3339_H

#include <stdint.h>

/** rfc3339_parse() - seconds since 1970 of a date-time of RFC 3339, fractions cut off. Return: 0 or -EINVAL */
int rfc3339_parse(const char *text, int64_t *seconds);

#endif
