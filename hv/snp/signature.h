/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_SIGNATURE_H
#define HV_SNP_SIGNATURE_H

#include "hv/snp/bytes.h"

#include <mbedtls/pk.h>

/* The only algorithm in AMD's certificates and lists: RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes. */

/**
 * snp_signed_check() - verify the outer signature of a certificate or revocation list
 * @der: SEQUENCE { to be signed, algorithm, signature }, all of it
 * @key: of the issuer
 *
 * Return: 0; SNP_CHECK_CHAIN for another algorithm or a signature that does not fit.
 */
int snp_signed_check(struct snp_bytes der, mbedtls_pk_context *key);

/**
 * snp_p384_check() - verify a signature as the secure processor writes it
 * @r, @s: SNP_COMPONENT_BYTES each, little-endian
 * @hash:  SHA-384
 *
 * Return: 0; SNP_CHECK_SIGNATURE.
 */
int snp_p384_check(mbedtls_pk_context *key, const uint8_t hash[48], const uint8_t *r, const uint8_t *s);

#endif
