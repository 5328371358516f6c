/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_IMAGE_LIST_H
#define HV_IMAGE_LIST_H

#include <jansson.h>

struct image_key;

/**
 * image_list() - the images of a folder, by name
 * @key: what they must be signed with; NULL: they need not be
 *
 * An array of {name, version, tier, description, usable, reason, bytes, compressed_bytes, memory_min, root_hash, confidential}. An image that
 * cannot be used is listed with the reason. Reads the manifests only.
 * Return: new reference; NULL without memory.
 */
json_t *image_list(const char *images, const struct image_key *key);

#endif
