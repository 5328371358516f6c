/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_EVIDENCE_H
#define GATEWAY_CTL_EVIDENCE_H

#include <jansson.h>

#include "gateway/ctl/ctl.h"

struct err;

/* What a gateway has to show for a confidential machine. Nothing of it is believed here. */
enum evidence_piece { EVIDENCE_REPORT, EVIDENCE_VEK, EVIDENCE_CHAIN, EVIDENCE_CRL, EVIDENCE_PIECES };

/**
 * evidence_ask() - have the machine make a report, and wait for it, a minute at most
 * @socket: as in struct rest_request; @data: REPORT_DATA, 128 hexadecimal digits
 *
 * Return: 0 with EVIDENCE of docs/protocol.md in @answer, or negative with @e.
 */
int evidence_ask(const char *socket, const char *vm, const char *data, json_t **answer, struct err *e);

/** evidence_take() - the pieces of EVIDENCE; one that is not there is empty. Return: 0, or negative with @e: also when it failed */
int evidence_take(const json_t *answer, struct ctl_file out[EVIDENCE_PIECES], struct err *e);

#endif
