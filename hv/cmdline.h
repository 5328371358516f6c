/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_CMDLINE_H
#define HV_CMDLINE_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct netd_slot_info;
struct plan_input;

#define CMDLINE_MAX 2048 /* COMMAND_LINE_SIZE of x86 */

/** struct cmdline - a guest kernel's command line, NUL-terminated */
struct cmdline {
	char s[CMDLINE_MAX];
	size_t len;
};

/**
 * cmdline_build() - the image's own words, then those that deploy/guest reads; pure
 * @words:   of the driver, behind those of the image; NULL = none
 * @tsc_khz: rate of the time stamp counter, for machines that cannot find it out; 0 = they can
 *
 * Return: 0, or -E2BIG with @e.
 */
int cmdline_build(struct cmdline *out, const struct plan_input *in, const char *words, uint64_t tsc_khz, struct err *e);

#endif
