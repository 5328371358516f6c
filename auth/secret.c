/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

#include "base/hex.h"

static int sha256(const uint8_t *data, size_t len, uint8_t out[SECRET_HASH_BYTES])
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	return mbedtls_sha256(data, len, out, 0) ? -EIO : 0;
#else
	return mbedtls_sha256_ret(data, len, out, 0) ? -EIO : 0;
#endif
}

int secret_random(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int secret_make(char text[SECRET_TEXT], uint8_t hash[SECRET_HASH_BYTES])
{
	uint8_t raw[32];
	int r = secret_random(raw, sizeof(raw));

	if (r < 0)
		return r;
	hex_encode(raw, sizeof(raw), text);
	r = sha256(raw, sizeof(raw), hash);
	mbedtls_platform_zeroize(raw, sizeof(raw));
	return r;
}

int secret_hash(const char *text, uint8_t hash[SECRET_HASH_BYTES])
{
	uint8_t raw[32];
	int r = -EINVAL;

	if (strspn(text, "0123456789abcdef") == SECRET_TEXT - 1 && text[SECRET_TEXT - 1] == '\0')
		r = hex_decode(text, raw, sizeof(raw));
	if (r == 0)
		r = sha256(raw, sizeof(raw), hash);
	mbedtls_platform_zeroize(raw, sizeof(raw));
	return r;
}

int secret_digest(const void *data, size_t len, uint8_t out[SECRET_HASH_BYTES])
{
	return sha256(data, len, out);
}

bool secret_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	volatile uint8_t differ = 0;

	for (size_t i = 0; i < len; i++)
		differ = (uint8_t)(differ | (a[i] ^ b[i]));
	return differ == 0;
}
