/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#define EMAIL_BYTES 256
#define SESSION_HASH_BYTES 32

/* What somebody may do, each more than the one before: one's own machines; read lists and audit; stop and cut off; change the list. */
enum role { ROLE_USER, ROLE_AUDITOR, ROLE_OPERATOR, ROLE_ADMIN, ROLE_COUNT };

/* What an API token is for; sessions are for everything. */
enum { SCOPE_VM = 1, SCOPE_RULES = 2, SCOPE_AUDIT = 4, SCOPE_PEOPLE = 8, SCOPE_ALL = 15 };

/**
 * struct who - the signed-in person behind a request or a socket
 * @person:       row id of the person
 * @session_hash: SHA-256 of the session's or token's secret; the secret itself is never kept
 * @expires_at:   seconds since 1970
 * @role:         by the list as it is now; not kept in the store
 * @bearer:       came with a token: only what @scopes (SCOPE_*) name
 */
struct who {
	int64_t person;
	char email[EMAIL_BYTES];
	uint8_t session_hash[SESSION_HASH_BYTES];
	int64_t expires_at;
	enum role role;
	bool bearer;
	unsigned scopes;
};

#endif
