/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_VERITY_H
#define HV_VERITY_H

#include <stddef.h>
#include <stdint.h>

struct err;

#define VERITY_SALT_MAX	  256
#define VERITY_DIGEST_MAX 64
#define VERITY_UUID_BYTES 16
#define VERITY_BLOCK_MIN  512
#define VERITY_BLOCK_MAX  (64 * 1024)
#define VERITY_SUPERBLOCK 512 /* bytes; the rest of its block is zero */

enum verity_hash { VERITY_SHA256, VERITY_SHA512, VERITY_HASH_COUNT };

/**
 * struct verity_params - what decides a hash tree, beside the data
 * @block_bytes: of data and of hashes, a power of two
 * @data_blocks: how many of what can be read are data; 0: all
 * @uuid:        stands in the superblock and is not hashed
 */
struct verity_params {
	enum verity_hash hash;
	uint32_t block_bytes;
	uint8_t salt[VERITY_SALT_MAX];
	size_t salt_len;
	uint64_t data_blocks;
	uint8_t uuid[VERITY_UUID_BYTES];
};

/** struct verity_root - the root hash, and the size of what it covers */
struct verity_root {
	uint8_t digest[VERITY_DIGEST_MAX];
	size_t digest_len;
	uint64_t data_blocks, hash_bytes; /* hash_bytes: superblock and tree */
};

/** verity_hash_parse() - from "sha256" or "sha512". Return: 0 or -EINVAL */
int verity_hash_parse(const char *name, enum verity_hash *hash);

/** verity_uuid_parse() - from the usual 36 characters. Return: 0 or -EINVAL */
int verity_uuid_parse(const char *text, uint8_t uuid[VERITY_UUID_BYTES]);

/**
 * verity_build() - the hash tree of all that can be read from @data_fd (dm-verity, format version 1)
 * @hash_fd: where superblock and tree are written, root level first; -1 computes the root only
 *
 * The data is read once, front to back, in constant memory: one block for each of the tree's few levels.
 * Return: 0; -EINVAL for parameters or a size that dm-verity does not take; else -errno. @e has the reason.
 */
int verity_build(const struct verity_params *params, int data_fd, int hash_fd, struct verity_root *root, struct err *e);

/**
 * verity_superblock_parse() - read the superblock of a hash device
 * @data_blocks: how many blocks of data it covers
 *
 * Return: 0, or -EINVAL with the field that is wrong in @e.
 */
int verity_superblock_parse(const uint8_t block[VERITY_SUPERBLOCK], struct verity_params *params, uint64_t *data_blocks,
			    struct err *e);

#endif
