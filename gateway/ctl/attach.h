/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_ATTACH_H
#define GATEWAY_CTL_ATTACH_H

#include <stdbool.h>

#include "gateway/wire.h"

struct sealed_terms;

/** struct attach_options - @socket: as in struct rest_request; @watch: look on only; @sealed: the guest encrypts the stream, on these terms; NULL */
struct attach_options {
	const char *socket;
	char stream[WIRE_STREAM_TEXT];
	bool watch;
	const struct sealed_terms *sealed;
};

#define ATTACH_TICKET_BYTES 128

struct csession;
struct err;

/** attach_ticket() - ask for a ticket to attach to @session's stream. Return: 0 or negative with @e */
int attach_ticket(const char *socket, const struct csession *session, char out[ATTACH_TICKET_BYTES], struct err *e);

/**
 * attach_run() - be the terminal of a stream, until it ends or the person leaves with `~.` at the beginning of a line
 *
 * Reconnects by itself; nothing typed or said is lost meanwhile. Return: exit status: that of what ran there (128 and the signal's number
 * where it was killed), CLI_OK after `~.`, CLI_REFUSED.
 */
int attach_run(const struct attach_options *o);

#endif
