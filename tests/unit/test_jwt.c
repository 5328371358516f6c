/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
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

#include "auth/jwt.h"
#include "base/err.h"

#define NOW 1795000000

/* One RSA and one P-256 key, made for this run, and the set that an issuer would publish. */
static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context rng;
static mbedtls_rsa_context rsa;
static mbedtls_ecp_group p256;
static mbedtls_mpi ec_d;
static mbedtls_ecp_point ec_q;
static char set_text[4096], modulus_text[700];
static struct jwks *set;

static void b64url(const void *data, size_t len, char *out, size_t size)
{
	size_t n = 0;

	assert_int_equal(mbedtls_base64_encode((uint8_t *)out, size, &n, data, len), 0);
	while (n > 0 && out[n - 1] == '=')
		n--;
	out[n] = '\0';
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
}

static int make_keys(void **state)
{
	uint8_t n[256], point[65];
	char x[64], y[64];
	size_t len;

	(void)state;
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
	(void)snprintf(set_text, sizeof(set_text),
		       "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\",\"use\":\"sig\",\"alg\":\"RS256\",\"n\":\"%s\",\"e\":\"AQAB\"},"
		       "{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"},"
		       "{\"kty\":\"RSA\",\"kid\":\"enc\",\"use\":\"enc\",\"n\":\"%s\",\"e\":\"AQAB\"},"
		       "{\"kty\":\"oct\",\"kid\":\"o\",\"k\":\"c2VjcmV0\"}]}",
		       modulus_text, x, y, modulus_text);
	assert_int_equal(jwks_parse(&set, set_text, strlen(set_text), NULL), 0);
	assert_int_equal(jwks_count(set), 2);
	return 0;
}

static int drop_keys(void **state)
{
	(void)state;
	set = jwks_free(set);
	mbedtls_rsa_free(&rsa);
	mbedtls_ecp_point_free(&ec_q);
	mbedtls_mpi_free(&ec_d);
	mbedtls_ecp_group_free(&p256);
	mbedtls_ctr_drbg_free(&rng);
	mbedtls_entropy_free(&entropy);
	return 0;
}

static size_t sign_rs(const char *text, uint8_t sig[256])
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

static size_t sign_es(const char *text, uint8_t sig[64])
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

/* A token of any header and payload; @how: 'r' RSA, 'e' ECDSA, 'h' HMAC with the public modulus text as key, '0' empty signature */
static const char *token(const char *head, const char *body, char how)
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

#define GOOD_BODY "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"exp\":1795000100,\"iat\":1795000000,\"nonce\":\"n1\"}"

static void good_tokens_pass(void **state)
{
	json_t *claims = NULL;
	struct jwt_want want = { .issuer = "https://id.example", .audience = "term", .nonce = "n1", .now_s = NOW, .skew_s = 60 };

	(void)state;
	assert_int_equal(jwt_verify(token("{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD_BODY, 'r'), set, 0, &claims, NULL), 0);
	assert_int_equal(jwt_check(claims, &want, NULL), 0);
	json_decref(claims);
	assert_int_equal(jwt_verify(token("{\"alg\":\"ES256\",\"kid\":\"e\",\"typ\":\"JWT\"}", GOOD_BODY, 'e'), set, 0, &claims, NULL), 0);
	json_decref(claims);
	assert_int_equal(jwt_verify(token("{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"at+jwt\"}", GOOD_BODY, 'r'), set, 1, &claims, NULL), 0);
	json_decref(claims);
}

/* The library that signs our own tokens accepts the HMAC forgery below; this is why foreign tokens do not go through it. */
static void forged_tokens_are_refused(void **state)
{
	static const struct {
		const char *head;
		char how;
	} rows[] = {
		{ "{\"alg\":\"HS256\",\"kid\":\"r\"}", 'h' },   { "{\"alg\":\"none\",\"kid\":\"r\"}", '0' },
		{ "{\"alg\":\"None\",\"kid\":\"r\"}", '0' },    { "{\"alg\":\"RS256\",\"kid\":\"r\"}", '0' },
		{ "{\"alg\":\"RS256\",\"kid\":\"r\"}", 'h' },   { "{\"alg\":\"RS256\",\"kid\":\"r\"}", 'e' },
		{ "{\"alg\":\"ES256\",\"kid\":\"r\"}", 'r' },   { "{\"alg\":\"ES256\",\"kid\":\"e\"}", 'z' },
		{ "{\"alg\":\"RS256\",\"kid\":\"e\"}", 'e' },   { "{\"alg\":\"RS256\"}", 'r' },
		{ "{\"kid\":\"r\"}", 'r' },                     { "{\"alg\":\"RS256\",\"kid\":\"r\",\"crit\":[\"x\"]}", 'r' },
		{ "{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"at+jwt\"}", 'r' },
		{ "{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"r\"}", 'r' },
		{ "[\"alg\"]", 'r' },                           { "{\"alg\":\"HS256\",\"kid\":\"o\"}", 'h' },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *claims = NULL;
		struct err e = { 0 };

		if (jwt_verify(token(rows[i].head, GOOD_BODY, rows[i].how), set, 0, &claims, &e) == 0)
			fail_msg("accepted row %zu", i);
		assert_null(claims);
		assert_true(e.msg[0] != '\0');
	}
}

static void damaged_tokens_are_refused(void **state)
{
	const char *good = token("{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD_BODY, 'r');
	char copy[8192], *big;
	json_t *claims = NULL;
	size_t len = strlen(good);

	(void)state;
	for (size_t i = 0; i < len; i += 7) {
		memcpy(copy, good, len + 1);
		copy[i] = copy[i] == 'A' ? 'B' : 'A';
		if (jwt_verify(copy, set, 0, &claims, NULL) == 0)
			fail_msg("accepted with byte %zu changed", i);
	}
	(void)snprintf(copy, sizeof(copy), "%s=", good);
	assert_int_not_equal(jwt_verify(copy, set, 0, &claims, NULL), 0);
	(void)snprintf(copy, sizeof(copy), "%s.x", good);
	assert_int_not_equal(jwt_verify(copy, set, 0, &claims, NULL), 0);
	memcpy(copy, good, len + 1);
	*strrchr(copy, '.') = '\0';
	assert_int_not_equal(jwt_verify(copy, set, 0, &claims, NULL), 0);
	assert_int_not_equal(jwt_verify("", set, 0, &claims, NULL), 0);
	assert_int_not_equal(jwt_verify("..", set, 0, &claims, NULL), 0);
	big = malloc(2 * JWT_BYTES_MAX);
	assert_non_null(big);
	memset(big, 'A', 2 * JWT_BYTES_MAX - 1);
	big[2 * JWT_BYTES_MAX - 1] = '\0';
	big[10] = big[20] = '.';
	assert_int_not_equal(jwt_verify(big, set, 0, &claims, NULL), 0);
	free(big);
}

static void unknown_key_is_told_apart(void **state)
{
	json_t *claims = NULL;

	(void)state;
	assert_int_equal(jwt_verify(token("{\"alg\":\"RS256\",\"kid\":\"new\"}", GOOD_BODY, 'r'), set, 0, &claims, NULL), JWT_E_KEY);
}

static void claims_are_checked(void **state)
{
	static const struct {
		const char *body, *says;
	} rows[] = {
		{ "{\"iss\":\"https://id.example/\",\"aud\":\"term\",\"exp\":1795000100}", "(iss)" },
		{ "{\"aud\":\"term\",\"exp\":1795000100}", "(iss)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"other\",\"exp\":1795000100}", "(aud)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":[\"a\",\"b\"],\"exp\":1795000100}", "(aud)" },
		{ "{\"iss\":\"https://id.example\",\"exp\":1795000100}", "(aud)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":[\"term\",\"b\"],\"azp\":\"b\",\"exp\":1795000100}", "(azp)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\"}", "(nonce)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n2\",\"exp\":1795000100}", "(nonce)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\"}", "exp" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":\"1795000100\"}", "exp" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":1794999940}", "(exp)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":1795000100,\"nbf\":1795000061}", "(nbf)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":1795000100,\"iat\":1795000061}", "(iat)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":1795000100,\"iat\":1794990000}", "(iat)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":1795000100}", "(iat)" },
	};
	struct jwt_want want = { .issuer = "https://id.example", .audience = "term", .nonce = "n1", .now_s = NOW, .skew_s = 60,
				 .max_age_s = 600 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *claims = json_loads(rows[i].body, 0, NULL);
		struct err e = { 0 };

		assert_int_equal(jwt_check(claims, &want, &e), -EACCES);
		if (!strstr(e.msg, rows[i].says))
			fail_msg("row %zu says: %s", i, e.msg);
		json_decref(claims);
	}
}

static void bad_key_sets_are_refused(void **state)
{
	static const char *const rows[] = {
		"", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[1,null,\"x\"]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", /* 24 bits */
		"{\"keys\":[{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
		"\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}", /* not on the curve */
		"{\"keys\":[{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-521\",\"x\":\"AA\",\"y\":\"AA\"}]}",
	};
	struct err e = { 0 };
	struct jwks *k = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (jwks_parse(&k, rows[i], strlen(rows[i]), &e) == 0)
			fail_msg("accepted: %s", rows[i]);
}

static void base64url_is_strict(void **state)
{
	uint8_t out[16];

	(void)state;
	assert_int_equal(jwt_base64url("AQAB", 4, out, sizeof(out)), 3);
	assert_int_equal(jwt_base64url("_-8", 3, out, sizeof(out)), 2);
	assert_int_equal(jwt_base64url("", 0, out, sizeof(out)), 0);
	assert_int_equal(jwt_base64url("AQAB=", 5, out, sizeof(out)), -EINVAL);
	assert_int_equal(jwt_base64url("AQ==", 4, out, sizeof(out)), -EINVAL);
	assert_int_equal(jwt_base64url("AR", 2, out, sizeof(out)), -EINVAL); /* stray bits */
	assert_int_equal(jwt_base64url("A+AB", 4, out, sizeof(out)), -EINVAL);
	assert_int_equal(jwt_base64url("A\nAB", 4, out, sizeof(out)), -EINVAL);
	assert_int_equal(jwt_base64url("A", 1, out, sizeof(out)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_tokens_pass),
		cmocka_unit_test(forged_tokens_are_refused),
		cmocka_unit_test(damaged_tokens_are_refused),
		cmocka_unit_test(unknown_key_is_told_apart),
		cmocka_unit_test(claims_are_checked),
		cmocka_unit_test(bad_key_sets_are_refused),
		cmocka_unit_test(base64url_is_strict),
	};

	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
