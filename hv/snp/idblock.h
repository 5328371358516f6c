/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_IDBLOCK_H
#define HV_SNP_IDBLOCK_H

#include "hv/snp/bytes.h"
#include "hv/snp/sha.h"

#include <mbedtls/pk.h>

struct err;

#define SNP_ID_BLOCK_BYTES 96
#define SNP_ID_AUTH_BYTES  4096
#define SNP_PUBKEY_BYTES   1028

/**
 * struct snp_id - what the owner of a guest vouches for
 * @measurement: launch digest; the secure processor refuses to launch anything else under this block
 * @policy:      guest policy of the launch, bit 17 set
 */
struct snp_id {
	uint8_t measurement[SHA384_BYTES], family_id[16], image_id[16];
	uint32_t guest_svn;
	uint64_t policy;
};

/** snp_id_block() - lay out the ID block (SEV-SNP firmware ABI, table 75) */
void snp_id_block(const struct snp_id *id, uint8_t block[SNP_ID_BLOCK_BYTES]);

/**
 * snp_id_auth() - sign an ID block, and with @author_key the key that signed it
 * @id_key, @author_key: private keys on P-384; @author_key may be NULL
 *
 * Return: 0; -EINVAL for another kind of key; -EIO when the random generator or the signing fails.
 */
int snp_id_auth(const uint8_t block[SNP_ID_BLOCK_BYTES], mbedtls_pk_context *id_key, mbedtls_pk_context *author_key,
		uint8_t auth[SNP_ID_AUTH_BYTES], struct err *e);

/** snp_id_key_digest() - what reports call ID_KEY_DIGEST or AUTHOR_KEY_DIGEST. Return: 0 or -EINVAL */
int snp_id_key_digest(mbedtls_pk_context *key, uint8_t digest[SHA384_BYTES], struct err *e);

/** snp_id_auth_check() - do the signatures in @auth fit @block and the keys in it? Return: 0; SNP_CHECK_STRUCTURE or _SIGNATURE */
int snp_id_auth_check(const uint8_t block[SNP_ID_BLOCK_BYTES], const uint8_t auth[SNP_ID_AUTH_BYTES], struct err *e);

#endif
