/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_IMAGE_H
#define HV_IMAGE_H

#include <stddef.h>
#include <stdint.h>

struct err;

#define IMAGE_CMDLINE_MAX  1024
#define IMAGE_READY_MAX	   64
#define IMAGE_DIGEST_TEXT  65
#define IMAGE_MANIFEST_MAX (256 << 10)

/**
 * struct image - a guest image: what its manifest.json says, checked
 * @kernel, @initrd: owned; absolute paths (image_load() only)
 * @kernel_name, @initrd_name: as in the manifest, without a folder
 * @kernel_size, @initrd_size: bytes, as the manifest says
 * @kernel_digest, @initrd_digest: SHA-256, hexadecimal
 * @confidential: what confidential machines boot instead of kernel and command line; @confidential.kernel_name is empty when there is nothing
 * @ready: the bytes that the guest prints just before its first prompt; @ready_len of them
 * @memory_min: bytes that it needs
 */
struct image {
	char *kernel, *initrd;
	struct image_confidential {
		char *kernel; /* owned, as @kernel */
		char kernel_name[64], kernel_digest[IMAGE_DIGEST_TEXT], cmdline[IMAGE_CMDLINE_MAX];
		uint64_t kernel_size;
	} confidential;
	char kernel_name[64], initrd_name[64];
	uint64_t kernel_size, initrd_size;
	char kernel_digest[IMAGE_DIGEST_TEXT], initrd_digest[IMAGE_DIGEST_TEXT];
	char cmdline[IMAGE_CMDLINE_MAX];
	uint8_t ready[IMAGE_READY_MAX];
	size_t ready_len;
	uint64_t memory_min;
};

/** image_parse() - read the text of a manifest; touches no file. Return: 0, -EINVAL or -ENOMEM with @e */
int image_parse(struct image *out, const char *text, size_t len, struct err *e);

/**
 * image_load() - read @images/@name/manifest.json and find its files
 * @name: a label of spec_parse(), so it cannot lead out of @images
 *
 * Return: 0, or negative with @e; @out holds nothing then.
 */
int image_load(struct image *out, const char *images, const char *name, struct err *e);

/** image_finish() - free the paths; idempotent */
void image_finish(struct image *img);

#endif
