/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_SHA_H
#define HV_SNP_SHA_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32
#define SHA384_BYTES 48

/** sha256() - of @len bytes. Return: 0 or -EIO */
int sha256(const void *data, size_t len, uint8_t out[SHA256_BYTES]);

/** sha384() - of @len bytes. Return: 0 or -EIO */
int sha384(const void *data, size_t len, uint8_t out[SHA384_BYTES]);

/** sha256_file() - of all that can be read from @fd. Return: 0 or -errno */
int sha256_file(int fd, uint8_t out[SHA256_BYTES]);

#endif
