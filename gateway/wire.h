/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_WIRE_H
#define GATEWAY_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Codec of terrarium.v1 (docs/protocol.md). Pure: bytes to typed messages and back. tests/vectors/wire.json
 * has examples of every frame, good and bad; the page's codec (web/wire.js) is held to the same.
 */
#define WIRE_INPUT_MAX	16384 /* bytes of a message from the browser */
#define WIRE_HELLO_MAX	4096  /* bytes of its JSON */
#define WIRE_ACTION_MAX 1024
#define WIRE_INPUT_HEAD 13   /* bytes in front of INPUT's data */
#define WIRE_OUTPUT_HEAD 10   /* bytes in front of OUTPUT's data */
#define WIRE_SIZE_MAX	4096  /* columns or rows */
#define WIRE_TICKET_TEXT 65
#define WIRE_STREAM_TEXT 64

enum wire_type {
	WIRE_HELLO = 0x01, WIRE_INPUT, WIRE_RESIZE, WIRE_CREDIT, WIRE_PING, WIRE_ACTION,
	WIRE_WELCOME = 0x81, WIRE_OUTPUT, WIRE_SIZE, WIRE_INACK, WIRE_PONG, WIRE_EVENT, WIRE_EXIT, WIRE_ERROR,
};

/* Flags of OUTPUT. */
enum { WIRE_REPLAY = 1, WIRE_GAP = 2, WIRE_PREAMBLE = 4 };

enum wire_action { WIRE_TAKE, WIRE_RELEASE, WIRE_GIVE, WIRE_EOF, WIRE_STAY };

/* What a command's stream carries instead of a terminal's output: pieces of u8 1 (stdout) or 2 (stderr), u32 length, bytes. */
#define WIRE_PIECE_HEAD 5
#define WIRE_PIECE_MAX	65536

/* Close codes; messages that cannot be kept to the protocol get the first one of ours. */
enum wire_close {
	WIRE_CLOSE_DONE = 1000, WIRE_CLOSE_RESTART = 1012,
	WIRE_CLOSE_MALFORMED = 4400, WIRE_CLOSE_LOGIN = 4401, WIRE_CLOSE_REVOKED = 4403, WIRE_CLOSE_NO_STREAM = 4404,
	WIRE_CLOSE_IDLE = 4408, WIRE_CLOSE_TAKEN = 4409, WIRE_CLOSE_TOO_BIG = 4413, WIRE_CLOSE_TOO_MANY = 4429,
	WIRE_CLOSE_NOT_READY = 4503,
};

struct wire_size {
	uint16_t cols, rows, xpix, ypix;
};

/**
 * struct wire_hello - a HELLO, checked
 * @has_epoch: the browser holds output of @epoch up to @out_offset
 * @has_in:    @in_offset was given
 * @size:      cols 0 when not given
 * @window:    0 when not given
 * @viewer:    it asks to watch only
 */
struct wire_hello {
	char ticket[WIRE_TICKET_TEXT], stream[WIRE_STREAM_TEXT];
	bool has_epoch, has_in, viewer;
	uint64_t epoch, out_offset, in_offset;
	struct wire_size size;
	uint64_t window;
};

/**
 * struct wire_msg - a message from the browser
 * @action: @to: whom WIRE_GIVE gives to
 * @turn: of INPUT: in which it was typed
 * @offset: of INPUT and CREDIT; @data, @len: of INPUT, in the caller's buffer
 */
struct wire_msg {
	enum wire_type type;
	union {
		struct wire_hello hello;
		struct {
			uint64_t offset;
			uint32_t turn;
			const uint8_t *data;
			size_t len;
		} input;
		struct wire_size size;
		uint64_t credit, clock;
		struct {
			enum wire_action what;
			uint64_t to;
		} action;
	};
};

/**
 * wire_decode() - read one message from the browser
 * @why: set to a static sentence when it is refused
 *
 * Return: 0, or -EINVAL.
 */
int wire_decode(const uint8_t *data, size_t len, struct wire_msg *out, const char **why);

/*
 * Messages to the browser. Each writes to @out and returns the message's length; the fixed ones need at
 * most WIRE_FIXED_MAX bytes.
 */
#define WIRE_FIXED_MAX 16

/** wire_output_head() - the head of an OUTPUT; its bytes follow at @out + WIRE_OUTPUT_HEAD */
size_t wire_output_head(uint8_t *out, uint64_t offset, uint8_t flags);
size_t wire_size(uint8_t *out, uint16_t cols, uint16_t rows);
size_t wire_inack(uint8_t *out, uint64_t offset);
size_t wire_pong(uint8_t *out, uint64_t clock, uint32_t held_us);
size_t wire_exit(uint8_t *out, int32_t code, uint8_t signal);

/** wire_json() - WELCOME, EVENT or ERROR. Return: the length, or 0 when @json does not fit into @cap */
size_t wire_json(uint8_t *out, size_t cap, enum wire_type type, const json_t *json);

/** wire_epoch_text() - an epoch as its 16 hex digits and NUL */
void wire_epoch_text(uint64_t epoch, char out[17]);

#endif
