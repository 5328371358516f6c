/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/sha.h"

#include <errno.h>
#include <mbedtls/md.h>
#include <unistd.h>

static int digest(mbedtls_md_type_t type, const void *data, size_t len, uint8_t *out)
{
	return mbedtls_md(mbedtls_md_info_from_type(type), data, len, out) == 0 ? 0 : -EIO;
}

int sha256(const void *data, size_t len, uint8_t out[SHA256_BYTES])
{
	return digest(MBEDTLS_MD_SHA256, data, len, out);
}

int sha384(const void *data, size_t len, uint8_t out[SHA384_BYTES])
{
	return digest(MBEDTLS_MD_SHA384, data, len, out);
}

/* Feed @fd to @md until the end of the file. */
static int update_from(mbedtls_md_context_t *md, int fd)
{
	uint8_t chunk[16 * 1024];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		if (mbedtls_md_update(md, chunk, (size_t)n) != 0)
			return -EIO;
	}
}

int sha256_file(int fd, uint8_t out[SHA256_BYTES])
{
	mbedtls_md_context_t md;
	int r = -ENOMEM;

	mbedtls_md_init(&md);
	if (mbedtls_md_setup(&md, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 0) == 0)
		r = mbedtls_md_starts(&md) == 0 ? update_from(&md, fd) : -EIO;
	if (r == 0 && mbedtls_md_finish(&md, out) != 0)
		r = -EIO;
	mbedtls_md_free(&md);
	return r;
}
