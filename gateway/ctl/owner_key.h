/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_OWNER_KEY_H
#define GATEWAY_CTL_OWNER_KEY_H

#include <stdint.h>

#include "hv/seal/seal.h"

struct err;

/**
 * struct owner_key - who a person is to his confidential machines. Wipe it with explicit_bzero()
 * @key:  P-256, big-endian
 * @hash: SHA-256 of the public point: HOST_DATA
 */
struct owner_key {
	uint8_t key[SEAL_KEY_BYTES], hash[32];
};

/**
 * owner_key_read() - the key in @path, 32 raw bytes; made there, mode 0600, when there is no such file
 * @path: NULL: owner.key beside the token of `terrarium login`
 *
 * Return: 0, or negative with @e: also when others can read the file.
 */
int owner_key_read(const char *path, struct owner_key *out, struct err *e);

#endif
