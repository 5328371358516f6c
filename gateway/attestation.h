/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ATTESTATION_H
#define GATEWAY_ATTESTATION_H

#include <jansson.h>
#include <stdint.h>

struct attestations;
struct err;
struct loop;
struct machine;

/*
 * Evidence about confidential machines: the report, asked of the agent in the guest, and what its verifier needs beside it, from AMD's service
 * or the folder. Nothing is judged here, and nothing that is handed out has to be believed: that is for whoever asked, with his own program. One
 * question at a time for each machine; the answer stays until the next question or the machine's end.
 */
#define ATTESTATION_DATA_BYTES 64

/** struct attestation_config - strings are copied. @dir: where certificates are kept; made if it is not there; @url: of AMD's service, "" for it, "none" = only the folder */
struct attestation_config {
	struct loop *loop;
	const char *dir, *url;
};

/** attestations_create() - nothing is opened before somebody asks. Return: 0 or negative with @e */
int attestations_create(struct attestations **out, const struct attestation_config *c, struct err *e);
/** attestations_destroy() - after the machines. Returns NULL; NULL is fine */
struct attestations *attestations_destroy(struct attestations *as);

enum { ATTESTATION_E_BUSY = 1 /* a question is under way */, ATTESTATION_E_NO_AGENT = 2 };

/** attestation_ask() - ask the machine for a report with these bytes in it. Return: 0, ATTESTATION_E_*, or negative with @e */
int attestation_ask(struct attestations *as, const struct machine *m, const uint8_t data[ATTESTATION_DATA_BYTES], struct err *e);

/** attestation_json() - the question and its answer, as docs/protocol.md has it. Return: new reference; NULL when nobody has asked */
json_t *attestation_json(struct attestations *as, const struct machine *m);

/** attestation_forget() - the machine is about to go */
void attestation_forget(struct attestations *as, const struct machine *m);

#endif
