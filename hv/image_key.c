/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/image_key.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "hv/snp/sha.h"

struct image_key {
	mbedtls_pk_context pk;
};

struct source { /* of randomness */
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context random;
};

static int source_init(struct source *s)
{
	mbedtls_entropy_init(&s->entropy);
	mbedtls_ctr_drbg_init(&s->random);
	return mbedtls_ctr_drbg_seed(&s->random, mbedtls_entropy_func, &s->entropy, NULL, 0);
}

static void source_finish(struct source *s)
{
	mbedtls_ctr_drbg_free(&s->random);
	mbedtls_entropy_free(&s->entropy);
}

struct image_key *image_key_free(struct image_key *key)
{
	if (key) {
		mbedtls_pk_free(&key->pk);
		free(key);
	}
	return NULL;
}

static struct image_key *key_new(void)
{
	struct image_key *key = calloc(1, sizeof(*key));

	if (key)
		mbedtls_pk_init(&key->pk);
	return key;
}

static bool fits(struct image_key *key)
{
	size_t bits = mbedtls_pk_get_bitlen(&key->pk);

	return mbedtls_pk_can_do(&key->pk, MBEDTLS_PK_ECDSA) && (bits == 256 || bits == 384);
}

static struct image_key *judge(struct image_key *key, int r, const char *what, struct err *e)
{
	if (r == 0 && fits(key))
		return key;
	err_set(e, key ? -EINVAL : -ENOMEM, "it is no %s key on the curve P-256 or P-384 in PEM", what);
	return image_key_free(key);
}

struct image_key *image_key_public(const char *text, struct err *e)
{
	struct image_key *key = key_new();

	return judge(key, key ? mbedtls_pk_parse_public_key(&key->pk, (const unsigned char *)text, strlen(text) + 1) : -1, "public", e);
}

struct image_key *image_key_private(const char *text, struct err *e)
{
	struct image_key *key = key_new();
	struct source s;
	int r = source_init(&s);

	if (r == 0 && key) {
#if MBEDTLS_VERSION_MAJOR >= 3
		r = mbedtls_pk_parse_key(&key->pk, (const unsigned char *)text, strlen(text) + 1, NULL, 0, mbedtls_ctr_drbg_random, &s.random);
#else
		r = mbedtls_pk_parse_key(&key->pk, (const unsigned char *)text, strlen(text) + 1, NULL, 0);
#endif
	}
	source_finish(&s);
	return judge(key, r, "private", e);
}

struct image_key *image_key_load(const char *path, struct err *e)
{
	char text[IMAGE_KEY_MAX];
	long n = fd_read_file(AT_FDCWD, path, text, sizeof(text));
	struct image_key *key;

	if (n < 0) {
		err_set(e, (int)n, "%s: %s", path, strerror((int)-n));
		return NULL;
	}
	key = image_key_public(text, e);
	if (!key)
		err_prefix(e, "%s", path);
	return key;
}

int image_key_make(char *private_pem, char *public_pem, struct err *e)
{
	struct image_key *key = key_new();
	struct source s;
	int r = source_init(&s);

	if (r == 0)
		r = key ? mbedtls_pk_setup(&key->pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) : MBEDTLS_ERR_PK_ALLOC_FAILED;
	if (r == 0)
		r = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key->pk), mbedtls_ctr_drbg_random, &s.random);
	if (r == 0)
		r = mbedtls_pk_write_key_pem(&key->pk, (unsigned char *)private_pem, IMAGE_KEY_MAX);
	if (r == 0)
		r = mbedtls_pk_write_pubkey_pem(&key->pk, (unsigned char *)public_pem, IMAGE_KEY_MAX);
	source_finish(&s);
	(void)image_key_free(key);
	return r == 0 ? 0 : err_set(e, -EIO, "the key cannot be made (mbedtls -0x%x)", (unsigned)-r);
}

int image_key_sign(struct image_key *key, const void *manifest, size_t len, uint8_t sig[IMAGE_SIGNATURE_MAX], size_t *sig_len, struct err *e)
{
	uint8_t hash[SHA256_BYTES];
	struct source s;
	int r = source_init(&s);

	if (r == 0)
		r = sha256(manifest, len, hash);
	if (r == 0) {
#if MBEDTLS_VERSION_MAJOR >= 3
		r = mbedtls_pk_sign(&key->pk, MBEDTLS_MD_SHA256, hash, sizeof(hash), sig, IMAGE_SIGNATURE_MAX, sig_len, mbedtls_ctr_drbg_random, &s.random);
#else
		r = mbedtls_pk_sign(&key->pk, MBEDTLS_MD_SHA256, hash, sizeof(hash), sig, sig_len, mbedtls_ctr_drbg_random, &s.random);
#endif
	}
	source_finish(&s);
	return r == 0 ? 0 : err_set(e, -EIO, "the manifest cannot be signed (mbedtls -0x%x)", (unsigned)-r);
}

int image_key_check(const struct image_key *key, const void *manifest, size_t len, const uint8_t *sig, size_t sig_len, struct err *e)
{
	mbedtls_pk_context pk = key->pk; /* the function below takes it without const and changes nothing */
	uint8_t hash[SHA256_BYTES];

	if (sha256(manifest, len, hash) < 0 || mbedtls_pk_verify(&pk, MBEDTLS_MD_SHA256, hash, sizeof(hash), sig, sig_len) != 0)
		return err_set(e, -EBADMSG, "its manifest is not signed with the key that images must be signed with (image_key)");
	return 0;
}
