/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_IMAGE_VERIFY_H
#define GATEWAY_CTL_IMAGE_VERIFY_H

#include <jansson.h>

struct err;

/**
 * image_verify() - read every file of an image and judge it by its manifest
 * @dir: its folder
 * @key_file: public key that the manifest must be signed with; NULL: it need not be signed
 * @report:   gets what was found to be so, an array of strings owned by the caller; may be NULL
 *
 * Signature, sizes and hashes of all files, the dm-verity tree block by block, and that the command lines name its root.
 * Return: 0, or negative with @e: the first thing that is wrong.
 */
int image_verify(const char *dir, const char *key_file, json_t **report, struct err *e);

/** image_sign() - sign the manifest in a folder with a private key. Return: 0 or negative with @e */
int image_sign(const char *dir, const char *key_file, struct err *e);

#endif
