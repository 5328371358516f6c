/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_PICK_H
#define GATEWAY_CTL_PICK_H

#include <jansson.h>
#include <stddef.h>

#include "gateway/wire.h"

struct err;

#define PICK_ID_BYTES 33

/**
 * pick_vm() - the machine that is meant by its id, the beginning of its id, or its name
 * @socket: as in struct rest_request; over the control socket everybody's machines count
 * @vm:     new reference
 *
 * Return: 0 or negative with @e: none, or several.
 */
int pick_vm(const char *socket, const char *what, json_t **vm, struct err *e);

/** pick_stream() - the id of a machine's stream by its id, what follows the dot in that, or its name. Return: 0 or negative with @e */
int pick_stream(const char *socket, const char *vm_id, const char *what, char out[WIRE_STREAM_TEXT], struct err *e);

/** pick_text() - copy a member of @object. Return: 0, or -EPROTO when it is no text or does not fit */
int pick_text(const json_t *object, const char *member, char *out, size_t size);

/** pick_string() - a member of @object, borrowed; "" when it is no text */
const char *pick_string(const json_t *object, const char *member);

#endif
