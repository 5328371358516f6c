/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SGR_H
#define GATEWAY_SGR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How text looks: what "select graphic rendition" (ECMA-48 8.3.117, ITU-T T.416 13.1.8) has set. Part of
 * gateway/modes.h.
 */

/* Colours: 0 = default, SGR_INDEXED | n, SGR_RGB | 0xrrggbb. */
#define SGR_INDEXED 0x01000000u
#define SGR_RGB	    0x02000000u

/**
 * struct sgr - plain data; all zero is what a terminal begins with
 * @attributes: bit per row of the table in sgr.c
 * @underline:  0 none, 1 single, 2 double, 3 curly, 4 dotted, 5 dashed
 */
struct sgr {
	uint16_t attributes;
	uint8_t underline, reserved;
	uint32_t fg, bg, ul;
};

/**
 * sgr_apply() - follow one sequence
 * @param: @n numbers, missing ones as 0
 * @colon: bit i: param[i] follows a ':'
 */
void sgr_apply(struct sgr *s, const uint16_t *param, size_t n, uint32_t colon);

/** struct sgr_out - text of sequences that grows; what does not fit whole is left out */
struct sgr_out {
	char *text;
	size_t len, cap;
};

/** sgr_put() - append formatted text */
void sgr_put(struct sgr_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * sgr_text() - the sequences that lead from the beginning to this, as a C string. Return: its length, at
 * most 160
 */
size_t sgr_text(const struct sgr *s, char *out, size_t cap);

/** sgr_valid() - true if every field is in range: for what comes out of shared memory */
bool sgr_valid(const struct sgr *s);

#endif
