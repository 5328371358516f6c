/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_BEGIN_H
#define GATEWAY_CTL_BEGIN_H

#include <jansson.h>

#include "gateway/wire.h"

struct err;

/**
 * begin_stream() - a new stream of a machine, which its agent opens: a shell, or a command
 * @socket: as in struct rest_request
 * @vm:     its whole id
 * @body:   of the request, borrowed
 *
 * A machine that is on its way up is waited for, and for half a minute an agent that has been there: it comes back to a gateway that was restarted, or
 * is started anew. Where somebody reads standard error it is said there.
 *
 * Return: 0 with the stream's id in @out; -EHOSTDOWN with @e: there is no agent, or none any more; other negative with @e.
 */
int begin_stream(const char *socket, const char *vm, const json_t *body, char out[WIRE_STREAM_TEXT], struct err *e);

#endif
