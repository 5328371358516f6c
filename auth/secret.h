/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Secrets that a browser holds: 256 random bits, handed out once as text. The server keeps only their SHA-256, so that a copy of its
 * memory or database lets nobody in.
 */
#define SECRET_TEXT 65 /* 64 hex digits and NUL */
#define SECRET_HASH_BYTES 32

/** secret_make() - a fresh secret as text, and its hash. Return: 0, or -errno without randomness */
int secret_make(char text[SECRET_TEXT], uint8_t hash[SECRET_HASH_BYTES]);

/** secret_hash() - hash of a secret's text. Return: 0, or -EINVAL when it is not 64 lower-case hex digits */
int secret_hash(const char *text, uint8_t hash[SECRET_HASH_BYTES]);

/** secret_digest() - SHA-256 of any bytes. Return: 0 or -EIO */
int secret_digest(const void *data, size_t len, uint8_t out[SECRET_HASH_BYTES]);

/** secret_equal() - compare in a time that does not depend on the content */
bool secret_equal(const uint8_t *a, const uint8_t *b, size_t len);

/** secret_random() - fill with randomness of the kernel. Return: 0 or -errno */
int secret_random(void *out, size_t len);

#endif
