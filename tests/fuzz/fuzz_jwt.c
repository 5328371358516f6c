/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A key set and a token, separated by a NUL. No set can be made by fuzzing whose owner also signed the token: nothing may pass. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cut = size ? memchr(data, 0, size) : NULL;
	struct jwks *set = NULL;
	json_t *claims = NULL;
	char *token;

	if (!cut || jwks_parse(&set, (const char *)data, (size_t)(cut - data), NULL) != 0)
		return 0;
	token = strndup((const char *)cut + 1, size - (size_t)(cut - data) - 1);
	if (token && jwt_verify(token, set, 0, &claims, NULL) == 0)
		abort();
	free(token);
	jwks_free(set);
	return 0;
}
