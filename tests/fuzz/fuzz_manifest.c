/* SPDX-License-Identifier: Apache-2.0 */
/* manifest.json of a guest image: its names must stay inside its folder, its words inside their bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = { 0 };
	struct image img;

	if (image_parse(&img, (const char *)data, size, &e) < 0) {
		if (e.msg[0] == '\0')
			abort();
		return 0;
	}
	if (strchr(img.kernel_name, '/') || strchr(img.initrd_name, '/') || img.kernel_name[0] == '.' || img.ready_len == 0 ||
	    img.ready_len > IMAGE_READY_MAX || strpbrk(img.cmdline, "\"\n") || strlen(img.kernel_digest) != IMAGE_DIGEST_TEXT - 1)
		abort();
	if (img.root_name[0] && (strchr(img.root_name, '/') || img.root_name[0] == '.' || strlen(img.root_hash) != IMAGE_DIGEST_TEXT - 1 ||
				 !strstr(img.cmdline, img.root_hash) || img.root_blocks == 0 || img.root_blocks > img.root_size))
		abort();
	image_finish(&img);
	return 0;
}
