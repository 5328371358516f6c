/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_KEYS_H
#define TESTS_UNIT_KEYS_H

/*
 * For tests of foreign tokens: one RSA and one P-256 key, made for this run, the set that an issuer would publish, and tokens of any header and
 * payload. After cmocka.h.
 */
#include <mbedtls/base64.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/entropy.h>
#include <mbedtls/md.h>
#include <mbedtls/rsa.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context rng;
static mbedtls_rsa_context rsa;
static mbedtls_ecp_group p256;
static mbedtls_mpi ec_d;
static mbedtls_ecp_point ec_q;
static char modulus_text[700], rsa_jwk[1024], ec_jwk[512]; /* kid "r" and "e" */

static inline void b64url(const void *data, size_t len, char *out, size_t size)
{
	size_t n = 0;

	assert_int_equal(mbedtls_base64_encode((uint8_t *)out, size, &n, data, len), 0);
	while (n > 0 && out[n - 1] == '=')
		n--;
	out[n] = '\0';
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
}

static inline void keys_make(void)
{
	uint8_t n[256], point[65];
	char x[64], y[64];
	size_t len;

	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&rng);
	assert_int_equal(mbedtls_ctr_drbg_seed(&rng, mbedtls_entropy_func, &entropy, NULL, 0), 0);
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	mbedtls_rsa_init(&rsa, MBEDTLS_RSA_PKCS_V15, 0);
#else
	mbedtls_rsa_init(&rsa);
#endif
	assert_int_equal(mbedtls_rsa_gen_key(&rsa, mbedtls_ctr_drbg_random, &rng, 2048, 65537), 0);
	assert_int_equal(mbedtls_rsa_export_raw(&rsa, n, sizeof(n), NULL, 0, NULL, 0, NULL, 0, NULL, 0), 0);
	b64url(n, sizeof(n), modulus_text, sizeof(modulus_text));
	mbedtls_ecp_group_init(&p256);
	mbedtls_mpi_init(&ec_d);
	mbedtls_ecp_point_init(&ec_q);
	assert_int_equal(mbedtls_ecp_group_load(&p256, MBEDTLS_ECP_DP_SECP256R1), 0);
	assert_int_equal(mbedtls_ecp_gen_keypair(&p256, &ec_d, &ec_q, mbedtls_ctr_drbg_random, &rng), 0);
	assert_int_equal(mbedtls_ecp_point_write_binary(&p256, &ec_q, MBEDTLS_ECP_PF_UNCOMPRESSED, &len, point, sizeof(point)), 0);
	b64url(point + 1, 32, x, sizeof(x));
	b64url(point + 33, 32, y, sizeof(y));
	(void)snprintf(rsa_jwk, sizeof(rsa_jwk), "{\"kty\":\"RSA\",\"kid\":\"r\",\"use\":\"sig\",\"alg\":\"RS256\",\"n\":\"%s\",\"e\":\"AQAB\"}",
		       modulus_text);
	(void)snprintf(ec_jwk, sizeof(ec_jwk), "{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
}

static inline void keys_drop(void)
{
	mbedtls_rsa_free(&rsa);
	mbedtls_ecp_point_free(&ec_q);
	mbedtls_mpi_free(&ec_d);
	mbedtls_ecp_group_free(&p256);
	mbedtls_ctr_drbg_free(&rng);
	mbedtls_entropy_free(&entropy);
}

static inline size_t sign_rs(const char *text, uint8_t sig[256])
{
	uint8_t hash[32];

	mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), (const uint8_t *)text, strlen(text), hash);
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	assert_int_equal(mbedtls_rsa_pkcs1_sign(&rsa, mbedtls_ctr_drbg_random, &rng, MBEDTLS_RSA_PRIVATE, MBEDTLS_MD_SHA256, 32, hash, sig), 0);
#else
	assert_int_equal(mbedtls_rsa_pkcs1_sign(&rsa, mbedtls_ctr_drbg_random, &rng, MBEDTLS_MD_SHA256, 32, hash, sig), 0);
#endif
	return 256;
}

static inline size_t sign_es(const char *text, uint8_t sig[64])
{
	uint8_t hash[32];
	mbedtls_mpi r, s;

	mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), (const uint8_t *)text, strlen(text), hash);
	mbedtls_mpi_init(&r);
	mbedtls_mpi_init(&s);
	assert_int_equal(mbedtls_ecdsa_sign(&p256, &r, &s, &ec_d, hash, 32, mbedtls_ctr_drbg_random, &rng), 0);
	assert_int_equal(mbedtls_mpi_write_binary(&r, sig, 32), 0);
	assert_int_equal(mbedtls_mpi_write_binary(&s, sig + 32, 32), 0);
	mbedtls_mpi_free(&r);
	mbedtls_mpi_free(&s);
	return 64;
}

/**
 * token() - a token of any header and payload, in static memory
 * @how: 'r' RSA, 'e' ECDSA, 'h' HMAC with the public modulus text as key, 'z' zeros, '0' an empty signature
 */
static inline const char *token(const char *head, const char *body, char how)
{
	static char out[8192];
	char h[1024], b[4096], s[512];
	uint8_t sig[256] = { 0 };
	size_t len = 0;

	b64url(head, strlen(head), h, sizeof(h));
	b64url(body, strlen(body), b, sizeof(b));
	(void)snprintf(out, sizeof(out), "%s.%s", h, b);
	if (how == 'r')
		len = sign_rs(out, sig);
	else if (how == 'e')
		len = sign_es(out, sig);
	else if (how == 'h') {
		mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), (const uint8_t *)modulus_text, strlen(modulus_text),
				(const uint8_t *)out, strlen(out), sig);
		len = 32;
	} else if (how == 'z')
		len = 64;
	b64url(sig, len, s, sizeof(s));
	(void)snprintf(out, sizeof(out), "%s.%s.%s", h, b, s);
	return out;
}

#define RSA_HEAD "{\"alg\":\"RS256\",\"kid\":\"r\"}"
#define EC_HEAD	 "{\"alg\":\"ES256\",\"kid\":\"e\"}"

#endif
