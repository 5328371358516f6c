/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/image_list.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/image.h"
#include "hv/spec.h"

#define IMAGES_MAX 256 /* more are nobody's choice, and each is a file to read */

/* What a machine's "image" may be. Folders whose names are none are not for it; versions stand in such. */
static bool is_image_name(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len < VM_NAME_BYTES && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && s[0] != '-' && s[len - 1] != '-';
}

static int wanted(const struct dirent *d)
{
	return is_image_name(d->d_name);
}

static json_t *describe(const char *images, const char *name, const struct image_key *key)
{
	struct err e = { 0 };
	struct image img;
	int r = image_load(&img, images, name, key, &e);
	uint64_t bytes = r < 0 ? 0 : img.kernel_size + img.initrd_size + img.confidential.kernel_size + img.root_size;
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:I, s:I, s:s, s:b}", "name", name, "version", img.version, "tier", img.tier,
			      "description", img.description, "usable", r == 0, "reason", e.msg, "bytes", (json_int_t)bytes, "compressed_bytes",
			      (json_int_t)img.compressed_bytes, "memory_min", (json_int_t)img.memory_min, "root_hash", img.root_hash,
			      "confidential", img.confidential.kernel_name[0] != '\0');

	if (r == 0)
		image_finish(&img);
	return o;
}

json_t *image_list(const char *images, const struct image_key *key)
{
	json_t *list = json_array();
	struct dirent **names = NULL;
	int n = list ? scandir(images, &names, wanted, alphasort) : 0;

	for (int i = 0; i < n; i++) {
		if (i < IMAGES_MAX)
			(void)json_array_append_new(list, describe(images, names[i]->d_name, key));
		free(names[i]);
	}
	free(names);
	return list;
}
