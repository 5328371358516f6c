/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: every block of data is hashed after the salt; the digests, side by side and padded to a power of two, fill
 * the blocks of the lowest level of the tree, which are hashed in turn for the level above, until one block is left. Its hash is
 * the root. On disk lie a superblock and then the levels, highest first, so the place of each level follows from the size of the
 * data alone. That lets the data be read once, like a carry that ripples upwards: each level owns one block that is being
 * filled; when it is full it is written, hashed, and its digest goes into the block above.
 *
 * A device of a single block has no tree: its root is the hash of that block.
 */
#include "hv/verity/verity.h"

#include "base/err.h"
#include "base/hex.h"

#include <assert.h>
#include <errno.h>
#include <mbedtls/md.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEVELS_MAX 24 /* 512-byte blocks of eight digests reach 2^63 bytes in fewer */

static const struct {
	char name[8];
	mbedtls_md_type_t md;
	uint8_t bytes; /* a power of two already */
} hashes[] = {
	[VERITY_SHA256] = { "sha256", MBEDTLS_MD_SHA256, 32 },
	[VERITY_SHA512] = { "sha512", MBEDTLS_MD_SHA512, 64 },
};
static_assert(sizeof(hashes) / sizeof(hashes[0]) == VERITY_HASH_COUNT, "every hash has its row");

struct level {
	uint8_t *block; /* owned */
	size_t used;	/* bytes of digests in it */
	uint64_t at;	/* where the next full block goes, in blocks of the hash device */
};

struct tree {
	const struct verity_params *params; /* borrowed */
	struct level levels[LEVELS_MAX];    /* lowest first */
	size_t level_count, digest_len;
	int hash_fd;
	mbedtls_md_context_t md;
	struct err *e; /* borrowed, may be NULL */
};

static int check_params(const struct verity_params *p, struct err *e)
{
	if (p->block_bytes < VERITY_BLOCK_MIN || p->block_bytes > VERITY_BLOCK_MAX || (p->block_bytes & (p->block_bytes - 1)) != 0)
		return err_set(e, -EINVAL, "block size %u: a power of two from %d to %d is needed", p->block_bytes, VERITY_BLOCK_MIN,
			       VERITY_BLOCK_MAX);
	if (p->salt_len > VERITY_SALT_MAX)
		return err_set(e, -EINVAL, "the salt has more than %d bytes", VERITY_SALT_MAX);
	return 0;
}

static int count_blocks(int fd, uint32_t block_bytes, uint64_t *blocks, struct err *e)
{
	off_t size = lseek(fd, 0, SEEK_END);

	if (size < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_set(e, -errno, "cannot tell the size of the data: %s", strerror(errno));
	if (size == 0 || size % block_bytes != 0)
		return err_set(e, -EINVAL, "%lld bytes of data are not one or more whole blocks of %u; pad the image", (long long)size,
			       block_bytes);
	*blocks = (uint64_t)size / block_bytes;
	return 0;
}

/* Lay out the levels behind the superblock, highest first. */
static int lay_out(struct tree *t, uint64_t data_blocks, uint64_t *hash_blocks)
{
	uint64_t per_block = t->params->block_bytes / t->digest_len, sizes[LEVELS_MAX], at = 1;
	size_t n = 0;

	for (uint64_t blocks = data_blocks; blocks > 1 && n < LEVELS_MAX; n++) {
		blocks = (blocks + per_block - 1) / per_block;
		sizes[n] = blocks;
	}
	t->level_count = n;
	for (size_t i = n; i-- > 0;) {
		t->levels[i].at = at;
		at += sizes[i];
		t->levels[i].block = calloc(1, t->params->block_bytes);
		if (!t->levels[i].block)
			return -ENOMEM;
	}
	*hash_blocks = at;
	return 0;
}

static int hash_block(struct tree *t, const uint8_t *block, uint8_t *digest)
{
	if (mbedtls_md_starts(&t->md) != 0 || mbedtls_md_update(&t->md, t->params->salt, t->params->salt_len) != 0 ||
	    mbedtls_md_update(&t->md, block, t->params->block_bytes) != 0 || mbedtls_md_finish(&t->md, digest) != 0)
		return -EIO;
	return 0;
}

static int write_at(struct tree *t, const uint8_t *data, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(t->hash_fd, data, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(t->e, n < 0 ? -errno : -EIO, "cannot write the hash tree: %s", strerror(n < 0 ? errno : EIO));
		data += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

/* Write out the block that @level has filled and empty it; @digest becomes its hash. */
static int flush_level(struct tree *t, struct level *level, uint8_t *digest)
{
	size_t len = t->params->block_bytes;
	int r = hash_block(t, level->block, digest);

	if (r == 0 && t->hash_fd >= 0)
		r = write_at(t, level->block, len, level->at * len);
	level->at++;
	level->used = 0;
	memset(level->block, 0, len);
	return r;
}

/* Add one digest to level @i; full blocks ripple upwards. The highest level is full only at the end: its block stays. */
static int add_digest(struct tree *t, size_t i, uint8_t *digest)
{
	for (; i < t->level_count; i++) {
		struct level *level = &t->levels[i];
		int r;

		memcpy(level->block + level->used, digest, t->digest_len);
		level->used += t->digest_len;
		if (level->used < t->params->block_bytes || i + 1 == t->level_count)
			return 0;
		r = flush_level(t, level, digest);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Close the blocks that are partly filled, lowest first; @digest ends as the root. */
static int close_levels(struct tree *t, uint8_t *digest)
{
	for (size_t i = 0; i < t->level_count; i++) {
		int r;

		if (t->levels[i].used == 0)
			continue;
		r = flush_level(t, &t->levels[i], digest);
		if (r == 0)
			r = add_digest(t, i + 1, digest);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_block(int fd, uint8_t *block, size_t len, struct err *e)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = read(fd, block + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, -errno, "cannot read the data: %s", strerror(errno));
		if (n == 0)
			return err_set(e, -EIO, "the data became shorter while it was read");
		got += (size_t)n;
	}
	return 0;
}

static int hash_data(struct tree *t, int data_fd, uint64_t blocks, uint8_t *digest)
{
	uint8_t *block = malloc(t->params->block_bytes);
	int r = block ? 0 : -ENOMEM;

	for (uint64_t i = 0; i < blocks && r == 0; i++) {
		r = read_block(data_fd, block, t->params->block_bytes, t->e);
		if (r == 0)
			r = hash_block(t, block, digest);
		if (r == 0)
			r = add_digest(t, 0, digest);
	}
	free(block);
	return r == 0 ? close_levels(t, digest) : r;
}

/* --- superblock (cryptsetup, lib/verity/verity.c: struct verity_sb) --- */

enum {
	SB_VERSION = 8,
	SB_HASH_TYPE = 12,
	SB_UUID = 16,
	SB_ALGORITHM = 32,
	SB_DATA_BLOCK = 64,
	SB_HASH_BLOCK = 68,
	SB_DATA_BLOCKS = 72,
	SB_SALT_LEN = 80,
	SB_SALT = 88,
	SB_ALGORITHM_BYTES = 32,
};

static const char signature[8] = "verity\0";

static void put_le(uint8_t *p, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_le(const uint8_t *p, size_t bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | p[bytes];
	return value;
}

static int write_superblock(struct tree *t, uint64_t data_blocks)
{
	const struct verity_params *p = t->params;
	uint8_t sb[VERITY_BLOCK_MAX] = { 0 };

	memcpy(sb, signature, sizeof(signature));
	put_le(sb + SB_VERSION, 1, 4);
	put_le(sb + SB_HASH_TYPE, 1, 4);
	memcpy(sb + SB_UUID, p->uuid, sizeof(p->uuid));
	memcpy(sb + SB_ALGORITHM, hashes[p->hash].name, sizeof(hashes[p->hash].name));
	put_le(sb + SB_DATA_BLOCK, p->block_bytes, 4);
	put_le(sb + SB_HASH_BLOCK, p->block_bytes, 4);
	put_le(sb + SB_DATA_BLOCKS, data_blocks, 8);
	put_le(sb + SB_SALT_LEN, p->salt_len, 2);
	memcpy(sb + SB_SALT, p->salt, p->salt_len);
	return write_at(t, sb, p->block_bytes, 0);
}

int verity_superblock_parse(const uint8_t sb[VERITY_SUPERBLOCK], struct verity_params *params, uint64_t *data_blocks,
			    struct err *e)
{
	struct verity_params p = { 0 };
	char name[SB_ALGORITHM_BYTES + 1] = { 0 };

	if (memcmp(sb, signature, sizeof(signature)) != 0)
		return err_set(e, -EINVAL, "superblock: not one of dm-verity");
	if (get_le(sb + SB_VERSION, 4) != 1 || get_le(sb + SB_HASH_TYPE, 4) != 1)
		return err_set(e, -EINVAL, "superblock: only version 1 with hash type 1 is known");
	memcpy(name, sb + SB_ALGORITHM, SB_ALGORITHM_BYTES);
	if (verity_hash_parse(name, &p.hash) < 0)
		return err_set(e, -EINVAL, "superblock: the hash is neither sha256 nor sha512");
	p.block_bytes = (uint32_t)get_le(sb + SB_DATA_BLOCK, 4);
	if (get_le(sb + SB_HASH_BLOCK, 4) != p.block_bytes)
		return err_set(e, -EINVAL, "superblock: blocks of data and of hashes differ in size");
	p.salt_len = (size_t)get_le(sb + SB_SALT_LEN, 2);
	memcpy(p.uuid, sb + SB_UUID, sizeof(p.uuid));
	if (check_params(&p, e) < 0)
		return err_prefix(e, "superblock");
	*data_blocks = get_le(sb + SB_DATA_BLOCKS, 8);
	if (*data_blocks == 0 || *data_blocks > INT64_MAX / p.block_bytes)
		return err_set(e, -EINVAL, "superblock: an impossible number of data blocks");
	memcpy(p.salt, sb + SB_SALT, p.salt_len);
	*params = p;
	return 0;
}

int verity_build(const struct verity_params *params, int data_fd, int hash_fd, struct verity_root *root, struct err *e)
{
	struct tree t = { .params = params, .hash_fd = hash_fd, .e = e };
	uint64_t hash_blocks = 0;
	int r = check_params(params, e);

	*root = (struct verity_root){ 0 };
	root->data_blocks = params->data_blocks;
	if (r == 0 && root->data_blocks == 0)
		r = count_blocks(data_fd, params->block_bytes, &root->data_blocks, e);
	if (r < 0)
		return r;
	t.digest_len = hashes[params->hash].bytes;
	mbedtls_md_init(&t.md);
	r = mbedtls_md_setup(&t.md, mbedtls_md_info_from_type(hashes[params->hash].md), 0) == 0 ? 0 : -ENOMEM;
	if (r == 0)
		r = lay_out(&t, root->data_blocks, &hash_blocks);
	if (r == 0)
		r = hash_data(&t, data_fd, root->data_blocks, root->digest);
	if (r == 0 && hash_fd >= 0)
		r = write_superblock(&t, root->data_blocks);
	root->digest_len = t.digest_len;
	root->hash_bytes = hash_blocks * params->block_bytes;
	for (size_t i = 0; i < t.level_count; i++)
		free(t.levels[i].block);
	mbedtls_md_free(&t.md);
	if (r < 0 && e && e->code == 0)
		(void)err_set(e, r, "cannot hash the data: %s", strerror(-r));
	return r;
}

int verity_hash_parse(const char *name, enum verity_hash *hash)
{
	for (size_t i = 0; i < VERITY_HASH_COUNT; i++) {
		if (strcmp(name, hashes[i].name) == 0) {
			*hash = (enum verity_hash)i;
			return 0;
		}
	}
	return -EINVAL;
}

int verity_uuid_parse(const char *text, uint8_t uuid[VERITY_UUID_BYTES])
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	char digits[2 * VERITY_UUID_BYTES + 1];
	size_t n = 0;

	if (strlen(text) != sizeof(shape) - 1)
		return -EINVAL;
	for (size_t i = 0; shape[i]; i++) {
		if ((shape[i] == '-') != (text[i] == '-'))
			return -EINVAL;
		if (shape[i] != '-')
			digits[n++] = text[i];
	}
	digits[n] = '\0';
	return hex_decode(digits, uuid, VERITY_UUID_BYTES);
}
