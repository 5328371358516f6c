/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/idblock.h"

#include "base/err.h"
#include "hv/snp/check.h"
#include "hv/snp/report.h"
#include "hv/snp/signature.h"

#include <errno.h>
#include <mbedtls/asn1.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/version.h>
#include <string.h>

/* ID block */
enum { LD = 0, FAMILY = 0x30, IMAGE = 0x40, VERSION = 0x50, SVN = 0x54, POLICY = 0x58 };

/* ID authentication: two keys and two signatures, each in a field of its own. */
enum { ID_ALGO = 0, AUTHOR_ALGO = 4, ID_SIG = 0x40, ID_KEY = 0x240, AUTHOR_SIG = 0x680, AUTHOR_KEY = 0x880 };

/* A public key: u32 curve, x[72], y[72], little-endian. A signature: r[72], s[72], little-endian. */
enum { CURVE_P384 = 2, COORDINATE = 72, P384_BYTES = 48, ECDSA_P384_SHA384 = 1 };

void snp_id_block(const struct snp_id *id, uint8_t block[SNP_ID_BLOCK_BYTES])
{
	memcpy(block + LD, id->measurement, sizeof(id->measurement));
	memcpy(block + FAMILY, id->family_id, sizeof(id->family_id));
	memcpy(block + IMAGE, id->image_id, sizeof(id->image_id));
	put32(block + VERSION, 1);
	put32(block + SVN, id->guest_svn);
	put64(block + POLICY, id->policy);
}

static void reverse(uint8_t *to, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = from[len - 1 - i];
}

/*
 * The key's point, big-endian, from the end of its SubjectPublicKeyInfo: 3.x of mbedtls hides its fields, and this encoding is
 * the same in both versions.
 */
static int public_point(mbedtls_pk_context *key, uint8_t xy[2 * P384_BYTES])
{
	static const uint8_t secp384r1[] = { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 };
	unsigned char der[160];
	int len = mbedtls_pk_write_pubkey_der(key, der, sizeof(der));
	const unsigned char *p = der + sizeof(der) - (len > 0 ? len : 0);

	/* SEQUENCE { SEQUENCE { id-ecPublicKey, curve }, BIT STRING 0x04 x y } has 120 bytes on this curve. */
	if (len != 120 || memcmp(p + 13, secp384r1, sizeof(secp384r1)) != 0 || p[23] != 0x04)
		return -EINVAL;
	memcpy(xy, p + 24, (size_t)2 * P384_BYTES);
	return 0;
}

static int put_key(mbedtls_pk_context *key, uint8_t out[SNP_PUBKEY_BYTES], struct err *e)
{
	uint8_t xy[2 * P384_BYTES];

	if (public_point(key, xy) < 0)
		return err_set(e, -EINVAL, "the key is not one of the curve P-384");
	memset(out, 0, SNP_PUBKEY_BYTES);
	put32(out, CURVE_P384);
	reverse(out + 4, xy, P384_BYTES);
	reverse(out + 4 + COORDINATE, xy + P384_BYTES, P384_BYTES);
	return 0;
}

/* r and s of an ECDSA-Sig-Value into little-endian fields. */
static int put_components(unsigned char *p, size_t len, uint8_t *out)
{
	const unsigned char *end = p + len;
	size_t part;

	if (mbedtls_asn1_get_tag(&p, end, &part, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0)
		return -EIO;
	for (int i = 0; i < 2; i++) {
		if (mbedtls_asn1_get_tag(&p, end, &part, MBEDTLS_ASN1_INTEGER) != 0 || part == 0 || part > COORDINATE)
			return -EIO;
		reverse(out + (size_t)i * COORDINATE, p, part);
		p += part;
	}
	return 0;
}

static int sign(mbedtls_pk_context *key, const uint8_t *data, size_t len, mbedtls_ctr_drbg_context *random, uint8_t *out)
{
	unsigned char der[MBEDTLS_PK_SIGNATURE_MAX_SIZE];
	uint8_t hash[SHA384_BYTES];
	size_t der_len = 0;
	int r;

	if (sha384(data, len, hash) < 0)
		return -EIO;
#if MBEDTLS_VERSION_MAJOR >= 3
	r = mbedtls_pk_sign(key, MBEDTLS_MD_SHA384, hash, sizeof(hash), der, sizeof(der), &der_len, mbedtls_ctr_drbg_random, random);
#else
	r = mbedtls_pk_sign(key, MBEDTLS_MD_SHA384, hash, sizeof(hash), der, &der_len, mbedtls_ctr_drbg_random, random);
#endif
	return r == 0 ? put_components(der, der_len, out) : -EIO;
}

static int sign_all(const uint8_t *block, mbedtls_pk_context *id_key, mbedtls_pk_context *author_key, uint8_t *auth)
{
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context random;
	int r = -EIO;

	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random);
	if (mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0) == 0)
		r = sign(id_key, block, SNP_ID_BLOCK_BYTES, &random, auth + ID_SIG);
	if (r == 0 && author_key)
		r = sign(author_key, auth + ID_KEY, SNP_PUBKEY_BYTES, &random, auth + AUTHOR_SIG);
	mbedtls_ctr_drbg_free(&random);
	mbedtls_entropy_free(&entropy);
	return r;
}

int snp_id_auth(const uint8_t block[SNP_ID_BLOCK_BYTES], mbedtls_pk_context *id_key, mbedtls_pk_context *author_key,
		uint8_t auth[SNP_ID_AUTH_BYTES], struct err *e)
{
	int r;

	memset(auth, 0, SNP_ID_AUTH_BYTES);
	put32(auth + ID_ALGO, ECDSA_P384_SHA384);
	r = put_key(id_key, auth + ID_KEY, e);
	if (r == 0 && author_key) {
		put32(auth + AUTHOR_ALGO, ECDSA_P384_SHA384);
		r = put_key(author_key, auth + AUTHOR_KEY, e);
	}
	if (r < 0)
		return r;
	r = sign_all(block, id_key, author_key, auth);
	return r == 0 ? 0 : err_set(e, r, "the ID block could not be signed");
}

int snp_id_key_digest(mbedtls_pk_context *key, uint8_t digest[SHA384_BYTES], struct err *e)
{
	uint8_t encoded[SNP_PUBKEY_BYTES];
	int r = put_key(key, encoded, e);

	return r == 0 ? sha384(encoded, sizeof(encoded), digest) : r;
}

/* A public key of the firmware's encoding, as mbedtls wants it. */
static int get_key(const uint8_t in[SNP_PUBKEY_BYTES], mbedtls_pk_context *key)
{
	static const uint8_t head[] = { 0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
					0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04 };
	uint8_t der[sizeof(head) + 2 * P384_BYTES];

	if (le32(in) != CURVE_P384 || !bytes_zero(in + 4 + P384_BYTES, COORDINATE - P384_BYTES) ||
	    !bytes_zero(in + 4 + COORDINATE + P384_BYTES, SNP_PUBKEY_BYTES - 4 - COORDINATE - P384_BYTES))
		return SNP_CHECK_STRUCTURE;
	memcpy(der, head, sizeof(head));
	reverse(der + sizeof(head), in + 4, P384_BYTES);
	reverse(der + sizeof(head) + P384_BYTES, in + 4 + COORDINATE, P384_BYTES);
	return mbedtls_pk_parse_public_key(key, der, sizeof(der)) == 0 ? 0 : SNP_CHECK_STRUCTURE;
}

static int check_signed(const uint8_t *key_bytes, const uint8_t *signature, const uint8_t *data, size_t len)
{
	mbedtls_pk_context key;
	uint8_t hash[SHA384_BYTES];
	int r;

	mbedtls_pk_init(&key);
	r = get_key(key_bytes, &key);
	if (r == 0 && sha384(data, len, hash) == 0)
		r = snp_p384_check(&key, hash, signature, signature + COORDINATE);
	mbedtls_pk_free(&key);
	return r;
}

int snp_id_auth_check(const uint8_t block[SNP_ID_BLOCK_BYTES], const uint8_t auth[SNP_ID_AUTH_BYTES], struct err *e)
{
	int r;

	if (le32(auth + ID_ALGO) != ECDSA_P384_SHA384 || le32(auth + AUTHOR_ALGO) > ECDSA_P384_SHA384)
		return err_set(e, SNP_CHECK_STRUCTURE, "ID authentication: unknown algorithm");
	r = check_signed(auth + ID_KEY, auth + ID_SIG, block, SNP_ID_BLOCK_BYTES);
	if (r != 0)
		return err_set(e, r, "ID authentication: the ID key has not signed this ID block");
	if (le32(auth + AUTHOR_ALGO) == 0)
		return 0;
	r = check_signed(auth + AUTHOR_KEY, auth + AUTHOR_SIG, auth + ID_KEY, SNP_PUBKEY_BYTES);
	return r == 0 ? 0 : err_set(e, r, "ID authentication: the author key has not signed the ID key");
}
