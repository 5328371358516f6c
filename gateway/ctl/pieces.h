/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_PIECES_H
#define GATEWAY_CTL_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/wire.h"

/*
 * A command's stream (WIRE_PIECE_HEAD), cut anywhere, into what is stdout's and what is stderr's. What comes from a guest is believed no further
 * than that. Pure.
 */

/** struct pieces - zeroed to begin. @head: as far as it has come; @left: bytes of the piece under way; @which: 1 or 2 */
struct pieces {
	uint8_t head[WIRE_PIECE_HEAD];
	size_t head_len;
	uint32_t left;
	uint8_t which;
};

/**
 * pieces_next() - the next bytes of one output
 * @data, @len: what is to be read; afterwards what is left of it
 * @out, @out_len: in @data
 *
 * Return: 1 or 2: whose bytes these are; 0: everything is read; -EPROTO: this is no command's stream.
 */
int pieces_next(struct pieces *p, const uint8_t **data, size_t *len, const uint8_t **out, size_t *out_len);

#endif
