/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/email.h"
#include "auth/hypha.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The answer about a token: whoever comes out of it has a subject and a normalised address. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct hypha_config strict = { .name = "h", .server_url = "https://hypha.example" },
					 lenient = { .name = "h", .server_url = "https://hypha.example", .allow_child_tokens = true };
	struct identity id, other;
	char email[EMAIL_BYTES];
	struct err e = { 0 };

	if (hypha_identity(&strict, (const char *)data, size, 1795000000, &id, &e) != 0) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	if (!id.subject[0] || email_normalise(id.email, strlen(id.email), email, NULL) < 0 || strcmp(email, id.email) != 0)
		abort();
	/* Who passes the strict check passes the other one, as the same. */
	if (hypha_identity(&lenient, (const char *)data, size, 1795000000, &other, NULL) != 0 || strcmp(id.email, other.email) != 0)
		abort();
	return 0;
}
