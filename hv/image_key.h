/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_IMAGE_KEY_H
#define HV_IMAGE_KEY_H

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * Who vouches for an image: an ECDSA signature (P-256 or P-384) over SHA-256 of the bytes of its manifest.json, DER, in manifest.sig beside it. The
 * manifest names every other file by its hash, so it is all that has to be signed. openssl can check it:
 *
 *	openssl dgst -sha256 -verify image.pub -signature manifest.sig manifest.json
 */
#define IMAGE_SIGNATURE_MAX  160 /* bytes; 72 on P-256, 104 on P-384 */
#define IMAGE_SIGNATURE_FILE "manifest.sig"
#define IMAGE_KEY_MAX	     4096 /* bytes of a PEM file */

struct image_key;

/** image_key_public() - read a public key from PEM; @text is NUL-terminated. Return: the key, owned by the caller; NULL with @e */
struct image_key *image_key_public(const char *text, struct err *e);

/** image_key_private() - the same of a private key */
struct image_key *image_key_private(const char *text, struct err *e);

/** image_key_load() - a public key from a file */
struct image_key *image_key_load(const char *path, struct err *e);

/** image_key_make() - a new private key on P-256 and its public part, both as PEM of less than IMAGE_KEY_MAX bytes. Return: 0 or negative with @e */
int image_key_make(char *private_pem, char *public_pem, struct err *e);

/** image_key_sign() - by a private key; the same manifest and key give the same signature. Return: 0 or negative with @e */
int image_key_sign(struct image_key *key, const void *manifest, size_t len, uint8_t sig[IMAGE_SIGNATURE_MAX], size_t *sig_len, struct err *e);

/** image_key_check() - Return: 0, or -EBADMSG with @e: nobody with that key has signed this manifest */
int image_key_check(const struct image_key *key, const void *manifest, size_t len, const uint8_t *sig, size_t sig_len, struct err *e);

/** image_key_free() - Returns NULL; NULL is fine */
struct image_key *image_key_free(struct image_key *key);

#endif
