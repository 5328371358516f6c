/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_MODES_H
#define GATEWAY_MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/sgr.h"

/*
 * What a terminal would be set to after the bytes fed so far: modes, attributes, character sets, scroll
 * region, title; not the text. It lets a replay begin in the middle of a stream. Plain data of fixed size,
 * so that it can live in the ring's header and outlast the process; it is then checked by modes_valid().
 */
#define MODES_PARAMS_MAX 32
#define MODES_TITLE_MAX	 255
#define MODES_PREAMBLE_MAX 1024 /* modes_preamble() never needs more */

struct modes {
	/* the sequence being parsed */
	uint8_t state, prefix, inter, nparam;
	uint16_t param[MODES_PARAMS_MAX];
	uint32_t colon;	   /* bit i: param[i] follows a ':' */
	uint16_t osc;	   /* number in front of the first ';' */
	uint8_t c1;	   /* the last byte was 0xc2: a C1 control may follow */
	uint8_t collect;   /* the string is a title: bytes go to title[] */
	uint16_t next_len; /* of next_title */
	uint16_t title_len;

	/* what holds between sequences */
	uint32_t set;	   /* bit per row of the mode table */
	uint16_t mouse, mouse_encoding; /* DEC mode numbers; 0 = off */
	uint16_t top[2], bottom[2];	/* scroll region of the main and the alternate screen; 0, 0 = all */
	uint8_t charset[4], gl;
	uint8_t cursor_style;
	struct sgr sgr;
	char title[MODES_TITLE_MAX + 1], next_title[MODES_TITLE_MAX + 1];
};

/** modes_init() - as a terminal stands after power-on */
void modes_init(struct modes *m);

/** modes_feed() - follow @len bytes of output; they may be cut anywhere */
void modes_feed(struct modes *m, const uint8_t *data, size_t len);

/**
 * modes_seek() - feed up to a place where a replay may begin
 *
 * That is the start of a line if one comes soon, else any place outside of escape sequences and UTF-8
 * sequences.
 * Return: bytes fed; @len when there is no such place (a string that has not ended yet).
 */
size_t modes_seek(struct modes *m, const uint8_t *data, size_t len);

/**
 * modes_preamble() - bytes that bring any terminal to this state, whatever it showed before
 * @cap: at least MODES_PREAMBLE_MAX
 *
 * Inside of an unfinished string they end with the start of one, so that a terminal swallows the rest of it.
 * Return: their number.
 */
size_t modes_preamble(const struct modes *m, uint8_t *out, size_t cap);

/** modes_valid() - true if every field is in range: for what comes out of shared memory */
bool modes_valid(const struct modes *m);

#endif
