/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <string.h>

#include "base/err.h"
#include "base/hex.h"
#include "hv/snp/check.h"
#include "hv/snp/idblock.h"

/* Public keys and digests of the test of virtee/sev-snp-measure. */
static const char id_pub[] = "-----BEGIN PUBLIC KEY-----\n"
			     "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEsg/RocK9K2UYOnbiOQrIBfbY5eKvcl5a\n"
			     "jpPPh+wCn51F6zJrBLkr63FOFPqYb4qaLJSguKswzHY1JnWUSHaJHpVP9u9YJqYj\n"
			     "G6bW1/br+2jOMw4eWTlO+3CAiD3caTZL\n-----END PUBLIC KEY-----\n";
static const char id_digest[] = "870b7e35c53f8a72d0d322f75ab2af8262792aaf6579622ce4131c3f21f289e77cb0560a5e3b90b3932e674ec709cb14";

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context random_source;

static void new_key(mbedtls_pk_context *key, mbedtls_ecp_group_id curve)
{
	mbedtls_pk_init(key);
	assert_int_equal(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), 0);
	assert_int_equal(mbedtls_ecp_gen_key(curve, mbedtls_pk_ec(*key), mbedtls_ctr_drbg_random, &random_source), 0);
}

static void the_block_is_laid_out(void **state)
{
	struct snp_id id = { .guest_svn = 0x01020304, .policy = 0x30000 };
	uint8_t block[SNP_ID_BLOCK_BYTES];
	char hex[2 * SNP_ID_BLOCK_BYTES + 1];

	(void)state;
	memset(id.measurement, 0xaa, sizeof(id.measurement));
	memset(id.family_id, 0xbb, sizeof(id.family_id));
	memset(id.image_id, 0xcc, sizeof(id.image_id));
	snp_id_block(&id, block);
	hex_encode(block, sizeof(block), hex);
	assert_memory_equal(hex + 2 * 0x2f, "aabb", 4);
	assert_memory_equal(hex + 2 * 0x3f, "bbcc", 4);
	assert_string_equal(hex + 2 * 0x50, "01000000040302010000030000000000");
}

static void a_key_has_its_digest(void **state)
{
	uint8_t digest[SHA384_BYTES];
	mbedtls_pk_context key;
	char hex[97];

	(void)state;
	mbedtls_pk_init(&key);
	assert_int_equal(mbedtls_pk_parse_public_key(&key, (const unsigned char *)id_pub, sizeof(id_pub)), 0);
	assert_int_equal(snp_id_key_digest(&key, digest, NULL), 0);
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(hex, id_digest);
	mbedtls_pk_free(&key);
}

static void signatures_fit_and_changes_are_found(void **state)
{
	const struct snp_id id = { .policy = 0x30000 };
	uint8_t block[SNP_ID_BLOCK_BYTES], auth[SNP_ID_AUTH_BYTES];
	mbedtls_pk_context id_key, author_key;
	struct err e = { 0 };

	(void)state;
	new_key(&id_key, MBEDTLS_ECP_DP_SECP384R1);
	new_key(&author_key, MBEDTLS_ECP_DP_SECP384R1);
	snp_id_block(&id, block);
	assert_int_equal(snp_id_auth(block, &id_key, NULL, auth, &e), 0);
	assert_int_equal(snp_id_auth_check(block, auth, &e), 0);
	assert_true(bytes_zero(auth + 0x680, SNP_ID_AUTH_BYTES - 0x680));
	for (int i = 0; i < 8; i++) { /* R and S with fewer bytes come up now and then */
		assert_int_equal(snp_id_auth(block, &id_key, &author_key, auth, &e), 0);
		assert_int_equal(snp_id_auth_check(block, auth, &e), 0);
	}
	block[0] ^= 1;
	assert_int_equal(snp_id_auth_check(block, auth, &e), SNP_CHECK_SIGNATURE);
	block[0] ^= 1;
	auth[0x680] ^= 1;
	assert_int_equal(snp_id_auth_check(block, auth, &e), SNP_CHECK_SIGNATURE);
	auth[0x240] = 1; /* another curve */
	assert_int_equal(snp_id_auth_check(block, auth, &e), SNP_CHECK_STRUCTURE);
	mbedtls_pk_free(&id_key);
	mbedtls_pk_free(&author_key);
}

static void other_curves_are_refused(void **state)
{
	uint8_t block[SNP_ID_BLOCK_BYTES] = { 0 }, auth[SNP_ID_AUTH_BYTES];
	mbedtls_pk_context key;

	(void)state;
	new_key(&key, MBEDTLS_ECP_DP_SECP256R1);
	assert_int_equal(snp_id_auth(block, &key, NULL, auth, NULL), -EINVAL);
	mbedtls_pk_free(&key);
	new_key(&key, MBEDTLS_ECP_DP_BP384R1);
	assert_int_equal(snp_id_auth(block, &key, NULL, auth, NULL), -EINVAL);
	mbedtls_pk_free(&key);
}

static int seed(void **state)
{
	(void)state;
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random_source);
	return mbedtls_ctr_drbg_seed(&random_source, mbedtls_entropy_func, &entropy, NULL, 0);
}

static int unseed(void **state)
{
	(void)state;
	mbedtls_ctr_drbg_free(&random_source);
	mbedtls_entropy_free(&entropy);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_block_is_laid_out),
		cmocka_unit_test(a_key_has_its_digest),
		cmocka_unit_test(signatures_fit_and_changes_are_found),
		cmocka_unit_test(other_curves_are_refused),
	};

	return cmocka_run_group_tests_name("snp_idblock", tests, seed, unseed);
}
