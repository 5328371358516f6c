/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_CSESSION_H
#define GATEWAY_CTL_CSESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "gateway/wire.h"

struct frame;

#define CSESSION_INPUT_MAX (64U << 10) /* keystrokes that wait for the server */

/**
 * struct csession - what this client knows of one stream: what output it has had, what input the server has. Outlives connections. Pure; the
 * page's web/session.js does the same
 * @turn: in which what is queued was typed: the last in which this client had control, 0 when it has none
 * @queue: input from offset @acked on; @sent of its bytes have gone over this connection
 */
struct csession {
	char stream[WIRE_STREAM_TEXT], epoch[17];
	uint64_t received, credited, acked;
	uint32_t turn;
	size_t sent;
	struct buf queue;
	bool viewer;
};

/** csession_init() - nothing is known yet. csession_finish() frees */
void csession_init(struct csession *s, const char *stream, bool viewer);
void csession_finish(struct csession *s);

/** csession_hello() - Return: the HELLO of the next connection, a new reference, or NULL without memory */
json_t *csession_hello(const struct csession *s, const char *ticket, const struct wire_size *size);

/**
 * struct csession_news - what a WELCOME, or the EVENT "epoch", changed. @lost: bytes of output that are gone for good; @fresh: another process;
 * @first: nothing was known before; @astray: the server wants other input than waits here; @dropped: bytes of input that will not be sent
 */
struct csession_news {
	uint64_t lost, dropped;
	bool fresh, first, astray;
};

/** csession_welcome() - Return: 0, or -EPROTO when something is missing in it */
int csession_welcome(struct csession *s, json_t *welcome, struct csession_news *news);

/**
 * csession_output() - take in an OUTPUT
 * @data, @len: what to write; may be nothing
 *
 * Return: 0, or -EPROTO when bytes are missing before it.
 */
int csession_output(struct csession *s, const struct frame *f, const uint8_t **data, size_t *len);

/** csession_credit() - Return: true when the server should hear how far output was received: that is *@offset */
bool csession_credit(struct csession *s, uint64_t *offset);

/** csession_type() - queue keystrokes. Return: 0, or -ENOSPC: none was taken */
int csession_type(struct csession *s, const void *data, size_t len);

/** csession_input() - the next INPUT to send on this connection. Return: its bytes, 0 when there is nothing */
size_t csession_input(struct csession *s, uint64_t *offset, const char **data);

/**
 * csession_role() - take in the EVENT "role": this client types from now on, or not any more. What waited is forgotten, also when control went and
 * came back before this was heard of. Said again, it changes nothing
 *
 * Return: 1 when something has changed, 0 when not, -EPROTO when something is missing in it.
 */
int csession_role(struct csession *s, json_t *event);

/** csession_inack() - the stream has taken everything before @offset */
void csession_inack(struct csession *s, uint64_t offset);

#endif
