/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/oidc_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_endpoint(const char *url, bool allow_http)
{
	if (url[0] && !identity_url_https(url) && !(allow_http && identity_url_loopback(url)))
		abort();
	if (strlen(url) >= OIDC_ENDPOINT_BYTES || strpbrk(url, " \r\n\t"))
		abort();
}

/* What a service says about itself: whatever is accepted must be safe to ask. The first byte chooses whether http is allowed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool allow_http = size > 0 && (data[0] & 1);
	struct oidc_metadata m;
	struct err e = { 0 };

	if (size == 0)
		return 0;
	if (oidc_meta_parse(&m, "https://id.example", allow_http, (const char *)data + 1, size - 1, &e) != 0) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	if (!m.authorization[0] || !m.token[0] || !m.jwks[0])
		abort();
	check_endpoint(m.authorization, allow_http);
	check_endpoint(m.token, allow_http);
	check_endpoint(m.jwks, allow_http);
	check_endpoint(m.userinfo, allow_http);
	check_endpoint(m.device, allow_http);
	return 0;
}
