/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_SEALED_H
#define GATEWAY_CTL_SEALED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/evidence.h"
#include "gateway/ctl/owner_key.h"
#include "hv/seal/seal.h"
#include "hv/snp/verify.h"

/**
 * struct sealed_terms - what a machine has to prove before anything is typed into it
 * @vm:     its id
 * @policy: JSON of `terrarium snp verify --policy`, but for REPORT_DATA, which every handshake has of its own
 * @files:  certificates, from the gateway, which is not believed; @ark: a root to trust instead of AMD's
 */
struct sealed_terms {
	char vm[SEAL_VM_MAX + 1], measurement[97];
	struct owner_key owner;
	struct ctl_file files[EVIDENCE_PIECES], ark;
};

/** struct sealed_hooks - @send: ciphertext to the stream; @show: to this terminal; both return 0 or negative, which ends the conversation */
struct sealed_hooks {
	int (*send)(void *arg, const void *data, size_t len);
	int (*show)(void *arg, const uint8_t *data, size_t len, bool replay);
	void (*ready)(void *arg);
};

/**
 * struct sealed - the client's end of a sealed terminal, between a stream and a terminal; web/sealed.js does the same
 * @why:    what went wrong, for people, after a function has returned SEALED_OVER
 * @exited: the guest has said that the program ended: @status, as a shell would have it
 */
struct sealed {
	const struct sealed_terms *terms; /* borrowed */
	const struct sealed_hooks *hooks;
	void *arg;
	struct seal seal;
	struct seal_reader reader;
	struct snp_findings found;
	char why[400];
	unsigned unanswered;
	int status, failed;
	bool ready, exited;
};

enum { SEALED_OVER = -2000 };

/** sealed_begin() - begin a conversation, or another one; @anew: what comes next does not continue what came. Return: 0 or SEALED_OVER */
int sealed_begin(struct sealed *s, bool anew);

/** sealed_output() - the next bytes of the stream. Return: 0 or SEALED_OVER: look at @exited first */
int sealed_output(struct sealed *s, const uint8_t *data, size_t len);

/** sealed_type() - keystrokes; not before @ready. Return: 0 or SEALED_OVER */
int sealed_type(struct sealed *s, const uint8_t *data, size_t len);

/** sealed_resize() - nothing before @ready. Return: 0 or SEALED_OVER */
int sealed_resize(struct sealed *s, unsigned cols, unsigned rows);

/** sealed_ping() - ask whether the guest is there; @unanswered counts. Return: 0 or SEALED_OVER */
int sealed_ping(struct sealed *s);

/** sealed_rekey() - Return: 0 or SEALED_OVER */
int sealed_rekey(struct sealed *s);

/** sealed_finish() - wipe */
void sealed_finish(struct sealed *s);

#endif
