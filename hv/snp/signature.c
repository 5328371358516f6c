/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/signature.h"

#include "hv/snp/check.h"
#include "hv/snp/report.h"
#include "hv/snp/sha.h"

#include <mbedtls/asn1.h>
#include <mbedtls/asn1write.h>
#include <mbedtls/bignum.h>
#include <mbedtls/rsa.h>
#include <string.h>

/*
 * The AlgorithmIdentifier as AMD encodes it (RFC 4055): a new certificate leaves the trailer field out, an old one writes its
 * default. The parsers of mbedtls 2.28 and 3.6 check less of it (the salt and the hash of MGF1 are taken as they come), so the
 * encoding is compared as a whole.
 */
#define PSS_HEAD 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a /* id-RSASSA-PSS */
#define SHA384_ID 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00
#define PSS_PARAMS \
	0xa0, 0x0f, SHA384_ID, /* hash */ \
	0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, SHA384_ID, /* MGF1 */ \
	0xa2, 0x03, 0x02, 0x01, 0x30 /* salt of 48 bytes */

static const uint8_t pss_short[] = { PSS_HEAD, 0x30, 0x34, PSS_PARAMS };
static const uint8_t pss_long[] = { PSS_HEAD, 0x30, 0x39, PSS_PARAMS, 0xa3, 0x03, 0x02, 0x01, 0x01 };

static bool is_pss(const uint8_t *p, size_t len)
{
	return (len == sizeof(pss_short) && memcmp(p, pss_short, len) == 0) ||
	       (len == sizeof(pss_long) && memcmp(p, pss_long, len) == 0);
}

struct signed_parts {
	struct snp_bytes content; /* with its header: what is signed */
	struct snp_bytes signature;
};

/* Take the three parts of signed DER apart; refuses other algorithms. */
static int split(struct snp_bytes der, struct signed_parts *parts)
{
	unsigned char *p = (unsigned char *)(uintptr_t)der.data; /* mbedtls's readers only read */
	const unsigned char *end = p + der.len;
	size_t len;

	if (mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0 || p + len != end)
		return SNP_CHECK_CHAIN;
	parts->content.data = p;
	if (mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0)
		return SNP_CHECK_CHAIN;
	p += len;
	parts->content.len = (size_t)(p - parts->content.data);
	if (mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0 || !is_pss(p, len))
		return SNP_CHECK_CHAIN;
	p += len;
	if (mbedtls_asn1_get_bitstring_null(&p, end, &len) != 0 || p + len != end)
		return SNP_CHECK_CHAIN;
	parts->signature = (struct snp_bytes){ p, len };
	return 0;
}

int snp_signed_check(struct snp_bytes der, mbedtls_pk_context *key)
{
	const mbedtls_pk_rsassa_pss_options pss = { .mgf1_hash_id = MBEDTLS_MD_SHA384, .expected_salt_len = SHA384_BYTES };
	struct signed_parts parts;
	uint8_t hash[SHA384_BYTES];

	if (split(der, &parts) != 0 || sha384(parts.content.data, parts.content.len, hash) < 0)
		return SNP_CHECK_CHAIN;
	if (mbedtls_pk_verify_ext(MBEDTLS_PK_RSASSA_PSS, &pss, key, MBEDTLS_MD_SHA384, hash, sizeof(hash), parts.signature.data,
				  parts.signature.len) != 0)
		return SNP_CHECK_CHAIN;
	return 0;
}

/* ECDSA-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER }, written backwards as mbedtls does. Return: its length, or negative */
static int write_der(unsigned char *buf, unsigned char **p, const mbedtls_mpi *r, const mbedtls_mpi *s)
{
	int s_len = mbedtls_asn1_write_mpi(p, buf, s), r_len, head;

	r_len = s_len < 0 ? s_len : mbedtls_asn1_write_mpi(p, buf, r);
	if (r_len < 0)
		return r_len;
	head = mbedtls_asn1_write_len(p, buf, (size_t)r_len + (size_t)s_len);
	if (head < 0)
		return head;
	return mbedtls_asn1_write_tag(p, buf, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) < 0 ? -1 : r_len + s_len + head + 1;
}

int snp_p384_check(mbedtls_pk_context *key, const uint8_t hash[48], const uint8_t *r, const uint8_t *s)
{
	unsigned char der[2 * SNP_COMPONENT_BYTES + 16], *p = der + sizeof(der);
	mbedtls_mpi mr, ms;
	int len = -1;

	/* A component of P-384 has 48 bytes; anything above would be cut away by some readers and not by others. */
	if (!bytes_zero(r + 48, SNP_COMPONENT_BYTES - 48) || !bytes_zero(s + 48, SNP_COMPONENT_BYTES - 48))
		return SNP_CHECK_SIGNATURE;
	mbedtls_mpi_init(&mr);
	mbedtls_mpi_init(&ms);
	if (mbedtls_mpi_read_binary_le(&mr, r, 48) == 0 && mbedtls_mpi_read_binary_le(&ms, s, 48) == 0)
		len = write_der(der, &p, &mr, &ms);
	mbedtls_mpi_free(&mr);
	mbedtls_mpi_free(&ms);
	if (len < 0 || mbedtls_pk_verify(key, MBEDTLS_MD_SHA384, hash, 48, p, (size_t)len) != 0)
		return SNP_CHECK_SIGNATURE;
	return 0;
}
