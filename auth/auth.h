/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include <stdint.h>

#define EMAIL_BYTES 256
#define SESSION_HASH_BYTES 32

/**
 * struct who - the signed-in person behind a request or a socket
 * @person:       row id of the person
 * @session_hash: SHA-256 of the session's secret; the secret itself is never kept
 * @expires_at:   seconds since 1970
 */
struct who {
	int64_t person;
	char email[EMAIL_BYTES];
	uint8_t session_hash[SESSION_HASH_BYTES];
	int64_t expires_at;
};

#endif
