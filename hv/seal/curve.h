/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SEAL_CURVE_H
#define HV_SEAL_CURVE_H

#include <stddef.h>
#include <stdint.h>

/* What the sealed terminal needs of mbedTLS; each returns 0 or -1. Numbers are big-endian, points uncompressed. */

#define CURVE_KEY_BYTES	  32
#define CURVE_POINT_BYTES 65
#define CURVE_SIGN_BYTES  64 /* r and s */

/** curve_key() - a fresh private key of P-256 and its point */
int curve_key(uint8_t key[CURVE_KEY_BYTES], uint8_t point[CURVE_POINT_BYTES]);

/** curve_point() - the point of a private key; fails for 0 and for what is not below the order */
int curve_point(const uint8_t key[CURVE_KEY_BYTES], uint8_t point[CURVE_POINT_BYTES]);

/** curve_shared() - x of the shared point (SEC 1, 3.3.1); fails for a peer that is not on the curve */
int curve_shared(const uint8_t key[CURVE_KEY_BYTES], const uint8_t peer[CURVE_POINT_BYTES], uint8_t x[32]);

/** curve_sign() - ECDSA (FIPS 186-5) of a SHA-256 hash */
int curve_sign(const uint8_t key[CURVE_KEY_BYTES], const uint8_t hash[32], uint8_t out[CURVE_SIGN_BYTES]);

/** curve_verify() - 0 only for a good signature by the key with this point */
int curve_verify(const uint8_t point[CURVE_POINT_BYTES], const uint8_t hash[32], const uint8_t signature[CURVE_SIGN_BYTES]);

/** curve_random() - from the kernel */
int curve_random(void *out, size_t len);

#endif
