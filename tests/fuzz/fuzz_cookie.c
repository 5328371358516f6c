/* SPDX-License-Identifier: Apache-2.0 */
/* Cookie headers, as anybody may send them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *header = malloc(size + 1), secret[SECRET_TEXT];
	uint8_t hash[SECRET_HASH_BYTES];

	if (!header)
		return 0;
	memcpy(header, data, size);
	header[size] = '\0';
	/* What it lets through is a secret in form, and stands in the header after the name. */
	if (session_cookie(header, SESSION_COOKIE, secret) == 0) {
		const char *at = strstr(header, SESSION_COOKIE "=");

		if (strlen(secret) != SECRET_TEXT - 1 || secret_hash(secret, hash) != 0 || !at || !strstr(at, secret))
			abort();
	}
	(void)secret_hash(header, hash);
	free(header);
	return 0;
}
