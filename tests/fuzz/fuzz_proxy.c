/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/email.h"
#include "auth/jwt.h"
#include "auth/proxy.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "a secret of the proxy"

/* The P-256 key of RFC 7515 appendix A.3. */
static const char key_set[] = "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
			      "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static void plain(const char *email, const char *secret, const char *peers)
{
	struct proxy_config c = { .name = "p", .plain_header = "X-Email", .secret_header = "X-Secret", .secret = SECRET };
	struct proxy_request r = { .plain = email, .secret = secret, .peer = { [10] = 0xff, 0xff, 10, 1, 2, 3 } };
	char again[EMAIL_BYTES];
	struct proxy *p = NULL;
	struct identity id;

	if (strlen(peers) >= sizeof(c.trusted_peers))
		return;
	memcpy(c.trusted_peers, peers, strlen(peers) + 1);
	if (proxy_create(&p, NULL, NULL, &c, NULL) < 0)
		return;
	if (proxy_check(p, &r, &id, NULL) == 0 &&
	    (strcmp(secret, SECRET) != 0 || email_normalise(id.email, strlen(id.email), again, NULL) < 0 || strcmp(id.email, again) != 0))
		abort();
	proxy_destroy(p);
}

/* Three texts, each ended by a NUL: a header's value, the secret's, a list of peers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proxy_config c = { .name = "p", .issuer = "https://e.example", .audience = "a", .assertion_header = "X-Assertion" },
					 bearer = { .name = "p", .issuer = "https://e.example", .audience = "a", .assertion_header = "Authorization" };
	static struct jwks *keys;
	char *text = malloc(size + 3);
	const char *secret, *peers;
	struct identity id;

	if (!keys && jwks_parse(&keys, key_set, sizeof(key_set) - 1, NULL) < 0)
		abort();
	if (!text)
		return 0;
	memcpy(text, data, size);
	memset(text + size, 0, 3);
	secret = text + strlen(text) + 1;
	peers = secret + (secret < text + size ? strlen(secret) + 1 : 0);
	/* Nobody has the private key and the time. */
	if (proxy_assertion(&c, keys, text, 1795000000, &id, NULL) == 0 || proxy_assertion(&bearer, keys, text, 1795000000, &id, NULL) == 0)
		abort();
	if (peers <= text + size + 1)
		plain(text, secret, peers);
	free(text);
	return 0;
}
