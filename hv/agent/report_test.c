/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A software "report" for tests on hosts without SEV-SNP, in place of hv/agent/report.c. In no release: make install refuses an agent that holds the words below. Signed
 * with a key of a root of our own, under which nobody but a test that says so believes anything.
 *
 * Environment: TERRARIUM_TEST_KEY (private key on P-384, DER), TERRARIUM_TEST_MEASUREMENT and TERRARIUM_TEST_HOST_DATA (hexadecimal).
 */
#include "hv/agent/report.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/asn1.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/hex.h"
#include "hv/snp/bytes.h"
#include "hv/snp/report.h"
#include "hv/snp/sha.h"

/* What make install looks for. */
static const char report_test_mark[] = "terrarium test build: software report";

static const uint8_t tcb[8] = { 10, 0, 0, 0, 0, 0, 23, 84 };

static int from_environment(const char *name, uint8_t *out, size_t len)
{
	const char *text = getenv(name);

	return text && hex_decode(text, out, len) < 0 ? -EINVAL : 0;
}

static void fill(uint8_t r[SNP_REPORT_BYTES], const uint8_t *data)
{
	static const uint8_t version[3] = { 0x15, 0x37, 0x01 }; /* 1.55.21 */
	static const size_t tcbs[] = { 0x038, 0x180, 0x1e0, 0x1f0 }, versions[] = { 0x1e8, 0x1ec };

	memset(r, 0, SNP_REPORT_BYTES);
	put32(r, 5);
	put64(r + 0x008, SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT);
	put32(r + 0x034, 1);
	put64(r + 0x040, SNP_PLATFORM_SMT | SNP_PLATFORM_ECC | SNP_PLATFORM_ALIAS_CHECK);
	memcpy(r + 0x050, data, REPORT_DATA_BYTES);
	r[0x188] = 0x19;
	r[0x189] = 0x11;
	for (uint8_t i = 0; i < 64; i++)
		r[0x1a0 + i] = i + 1;
	for (size_t i = 0; i < 4; i++)
		memcpy(r + tcbs[i], tcb, sizeof(tcb));
	for (size_t i = 0; i < 2; i++)
		memcpy(r + versions[i], version, sizeof(version));
}

static int parse_key(mbedtls_pk_context *key, const uint8_t *der, size_t len, mbedtls_ctr_drbg_context *random)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return mbedtls_pk_parse_key(key, der, len, NULL, 0, mbedtls_ctr_drbg_random, random);
#else
	(void)random;
	return mbedtls_pk_parse_key(key, der, len, NULL, 0);
#endif
}

static int sign_hash(mbedtls_pk_context *key, const uint8_t hash[48], uint8_t der[256], size_t *len, mbedtls_ctr_drbg_context *random)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return mbedtls_pk_sign(key, MBEDTLS_MD_SHA384, hash, 48, der, 256, len, mbedtls_ctr_drbg_random, random);
#else
	return mbedtls_pk_sign(key, MBEDTLS_MD_SHA384, hash, 48, der, len, mbedtls_ctr_drbg_random, random);
#endif
}

/* R and S, little-endian, out of a DER signature. */
static int put_signature(uint8_t *to, const uint8_t *der, size_t len)
{
	unsigned char *p = (unsigned char *)(uintptr_t)der;
	const unsigned char *end = der + len;
	size_t part;

	if (mbedtls_asn1_get_tag(&p, end, &part, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0)
		return -EIO;
	for (size_t i = 0; i < 2; i++) {
		if (mbedtls_asn1_get_tag(&p, end, &part, MBEDTLS_ASN1_INTEGER) != 0 || part > SNP_COMPONENT_BYTES)
			return -EIO;
		for (size_t k = 0; k < part; k++)
			to[i * SNP_COMPONENT_BYTES + k] = p[part - 1 - k];
		p += part;
	}
	return 0;
}

static int sign(uint8_t report[SNP_REPORT_BYTES], const uint8_t *key_der, size_t key_len)
{
	mbedtls_ctr_drbg_context random;
	mbedtls_entropy_context entropy;
	mbedtls_pk_context key;
	uint8_t hash[48], der[256];
	size_t len = 0;
	int r;

	mbedtls_pk_init(&key);
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random);
	r = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0);
	if (r == 0)
		r = parse_key(&key, key_der, key_len, &random);
	if (r == 0)
		r = sha384(report, SNP_REPORT_SIGNED_BYTES, hash);
	if (r == 0)
		r = sign_hash(&key, hash, der, &len, &random);
	if (r == 0)
		r = put_signature(report + SNP_REPORT_SIGNED_BYTES, der, len);
	mbedtls_pk_free(&key);
	mbedtls_ctr_drbg_free(&random);
	mbedtls_entropy_free(&entropy);
	return r == 0 ? 0 : -EIO;
}

struct report_source report_source_default(void)
{
	return (struct report_source){ .tsm = report_test_mark };
}

int report_take(const struct report_source *s, const uint8_t data[REPORT_DATA_BYTES], struct buf *out, struct buf *certs)
{
	const char *path = getenv("TERRARIUM_TEST_KEY");
	uint8_t report[SNP_REPORT_BYTES];
	char key[4096];
	long n = path ? fd_read_file(AT_FDCWD, path, key, sizeof(key)) : -EOPNOTSUPP;
	int r;

	(void)s;
	(void)certs;
	if (n < 0)
		return (int)n;
	fill(report, data);
	r = from_environment("TERRARIUM_TEST_MEASUREMENT", report + 0x090, 48);
	if (r == 0)
		r = from_environment("TERRARIUM_TEST_HOST_DATA", report + 0x0c0, 32);
	if (r == 0)
		r = sign(report, (const uint8_t *)key, (size_t)n);
	return r == 0 ? buf_add(out, report, sizeof(report)) : r;
}
