/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/*
 * What the child writes and the load generator expects: numbered lines, the same block again and again. Any byte lost, doubled or
 * swapped makes the rest differ, unless exactly a block is missing, and then the count is short.
 */
#define PATTERN_LINE  16
#define PATTERN_BLOCK (1U << 20)

/* The child's side of the talk: one line with a command; it answers with these bytes, which the pattern never holds. */
#define CHILD_READY   '\x02' /* a command may come */
#define CHILD_STOPPED '\x06' /* the flood has ended on Ctrl-C */
#define CHILD_CTRL_C  '\x03'

static inline void pattern_fill(uint8_t block[PATTERN_BLOCK])
{
	char line[PATTERN_LINE + 1];

	for (unsigned int i = 0; i < PATTERN_BLOCK / PATTERN_LINE; i++) {
		(void)snprintf(line, sizeof(line), "%07u line ok\n", i % 10000000U);
		memcpy(block + (size_t)i * PATTERN_LINE, line, PATTERN_LINE);
	}
}

#endif
