/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_AGENT_SEALED_H
#define HV_AGENT_SEALED_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/**
 * struct sealed_options - a sealed terminal, as a process of its own
 * @vm:     the name that a client must say in its HELLO: the machine's id
 * @argv:   what runs in the terminal, NULL-terminated; empty: a login shell
 * @report: an attestation report for 64 bytes of REPORT_DATA, appended to @out. Return: 0 or -errno
 */
struct sealed_options {
	const char *vm;
	char *const *argv;
	int (*report)(void *arg, const uint8_t data[64], struct buf *out);
	void *arg;
};

/**
 * sealed_run() - serve terrarium-seal/1 (hv/seal/seal.h) on standard input and output until the program has ended and a client knows
 *
 * The terminal lives on while no client is there; the newest client that proves to be the owner has it. Return: exit status of the process.
 */
int sealed_run(const struct sealed_options *o);

#endif
