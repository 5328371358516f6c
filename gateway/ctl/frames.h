/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_FRAMES_H
#define GATEWAY_CTL_FRAMES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/wire.h"

struct buf;

/* The client's side of terrarium.v1 (docs/protocol.md); gateway/wire.h is the server's. Pure. */

/**
 * struct frame - a message from the server
 * @json:   of WELCOME, EVENT and ERROR: owned, see frame_finish()
 * @offset: of OUTPUT and INACK; @data, @len: of OUTPUT, in the caller's buffer
 * @clock:  of PONG; @cols, @rows: of SIZE; @code, @signal: of EXIT
 */
struct frame {
	enum wire_type type;
	json_t *json;
	uint64_t offset, clock;
	const uint8_t *data;
	size_t len;
	uint8_t flags, signal;
	uint16_t cols, rows;
	int32_t code;
};

/** frame_decode() - read one message from the server. Return: 0, or -EINVAL when it is none */
int frame_decode(const uint8_t *data, size_t len, struct frame *out);

/** frame_finish() - free what frame_decode() made */
void frame_finish(struct frame *f);

/* Messages to the server, appended to @out, which is empty before. Return: 0, or -ENOSPC. */
int frame_put_json(struct buf *out, enum wire_type type, const json_t *json);
int frame_put_input(struct buf *out, uint64_t offset, uint32_t turn, const void *data, size_t len);
int frame_put_resize(struct buf *out, const struct wire_size *size);
/** frame_put_number() - CREDIT or PING */
int frame_put_number(struct buf *out, enum wire_type type, uint64_t number);

#endif
