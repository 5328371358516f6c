/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_IMAGE_H
#define HV_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/verity/verity.h"

struct err;
struct image_key;

#define IMAGE_CMDLINE_MAX  1024
#define IMAGE_READY_MAX	   64
#define IMAGE_DIGEST_TEXT  65
#define IMAGE_VERSION_TEXT 13
#define IMAGE_MANIFEST_MAX (256 << 10)
#define IMAGE_VERITY_WORD  "terrarium.root=verity:" /* on the kernel's command line: blocks of data, salt, root hash, with colons between */

/**
 * struct image - a guest image: what its manifest.json says, checked
 * @kernel, @initrd: owned; absolute paths (image_load() only)
 * @kernel_name, @initrd_name: as in the manifest, without a folder
 * @kernel_size, @initrd_size: bytes, as the manifest says
 * @kernel_digest, @initrd_digest: SHA-256, hexadecimal
 * @confidential: what confidential machines boot instead of kernel and command line; @confidential.kernel_name is empty when there is nothing
 * @root: the disk with its root, a file system and behind it its dm-verity tree; @root_name is empty when all of the system is in the initrd
 * @root_hash, @root_salt, @root_blocks: of that tree, as both command lines say it
 * @name, @tier, @description: as in the manifest; may be empty
 * @version: of what image_load() has read: the first digits of the SHA-256 of its manifest
 * @compressed_bytes: what it takes to transport it; 0 = not said
 * @ready: the bytes that the guest prints just before its first prompt; @ready_len of them
 * @memory_min: bytes that it needs
 * @packages: apt is among its packages (or "packages" is true), so that more can be installed in its machines
 */
struct image {
	char *kernel, *initrd, *root;
	struct image_confidential {
		char *kernel; /* owned, as @kernel */
		char kernel_name[64], kernel_digest[IMAGE_DIGEST_TEXT], cmdline[IMAGE_CMDLINE_MAX];
		uint64_t kernel_size;
	} confidential;
	char kernel_name[64], initrd_name[64];
	uint64_t kernel_size, initrd_size;
	char kernel_digest[IMAGE_DIGEST_TEXT], initrd_digest[IMAGE_DIGEST_TEXT];
	char cmdline[IMAGE_CMDLINE_MAX];
	char root_name[64], root_digest[IMAGE_DIGEST_TEXT], root_hash[IMAGE_DIGEST_TEXT], root_salt[2 * VERITY_SALT_MAX + 1];
	uint64_t root_size, root_blocks, compressed_bytes;
	char version[IMAGE_VERSION_TEXT], name[64], tier[16], description[128];
	uint8_t ready[IMAGE_READY_MAX];
	size_t ready_len;
	uint64_t memory_min;
	bool packages;
};

/** image_parse() - read the text of a manifest; touches no file. Return: 0, -EINVAL or -ENOMEM with @e */
int image_parse(struct image *out, const char *text, size_t len, struct err *e);

/**
 * image_load() - read @images/@name/manifest.json and find its files
 * @name: a label of spec_parse(), so it cannot lead out of @images
 * @key:  the manifest must be signed with it; NULL: it need not be signed. The files are looked at by name and size only:
 *        `terrarium image verify` reads them, the firmware of a confidential machine and dm-verity in the guest do, too
 *
 * Return: 0, or negative with @e; @out holds nothing then.
 */
int image_load(struct image *out, const char *images, const char *name, const struct image_key *key, struct err *e);

/** image_version() - of the bytes of a manifest, hexadecimal. Return: 0 or -EIO */
int image_version(const void *manifest, size_t len, char out[IMAGE_VERSION_TEXT]);

/** image_finish() - free the paths; idempotent */
void image_finish(struct image *img);

#endif
