/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_IMAGE_STORE_H
#define GATEWAY_CTL_IMAGE_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "hv/image.h"

struct err;

/*
 * A folder of images with their versions:
 *
 *	NAME			      what machines get: a link to one of the versions, or a folder that no version is kept of (make image)
 *	.versions/NAME/VERSION/	      a version whole; VERSION is the first digits of the SHA-256 of its manifest
 *	.versions/NAME/former	      a link whose text is the version before the current one
 *
 * A running machine has its files open, so no change of a link disturbs it.
 */
#define STORE_PATH_BYTES 1024

/** store_folder() - which folder of images: @given, else the configuration's. Return: it, or NULL with @e. Lives for ever */
const char *store_folder(const char *given, struct err *e);

/** store_key_file() - the public key file that images must be signed with: @given, else the configuration's; NULL without one */
const char *store_key_file(const char *given);

/** store_is_name() - may an image be called so? */
bool store_is_name(const char *name);

/** store_dir() - folder of a version, or of the current one when @version is NULL. Return: 0, or -EINVAL/-ENOENT with @e */
int store_dir(const char *images, const char *name, const char *version, char out[STORE_PATH_BYTES], struct err *e);

/** store_version() - of the manifest in a folder. Return: 0 or negative with @e */
int store_version(const char *dir, char version[IMAGE_VERSION_TEXT], struct err *e);

/** store_begin() - an empty folder for a version that is to be built. Return: 0 or negative with @e */
int store_begin(const char *images, const char *name, char dir[STORE_PATH_BYTES], struct err *e);

/** store_keep() - the folder of store_begin() holds a version whole: give it its name. Return: 0 or negative with @e; the folder is gone then */
int store_keep(const char *images, const char *name, const char *dir, char version[IMAGE_VERSION_TEXT], struct err *e);

/** store_drop() - remove a folder of files; what is not there is no matter */
void store_drop(const char *dir);

/** store_promote() - let machines have this version, in one step, and remember the one before. Return: 0 or negative with @e */
int store_promote(const char *images, const char *name, const char *version, struct err *e);

/** store_former() - the version before the current one. Return: 0, or -ENOENT with @e */
int store_former(const char *images, const char *name, char version[IMAGE_VERSION_TEXT], struct err *e);

/**
 * store_delete() - remove a version that is not the current one, or with @version NULL the image with all its versions
 *
 * Machines do not get it any more from the first step on. Return: 0, or negative with @e.
 */
int store_delete(const char *images, const char *name, const char *version, struct err *e);

/** store_versions() - what is kept of an image: an array of {version, state, bytes, compressed_bytes}. Return: new reference or NULL */
json_t *store_versions(const char *images, const char *name);

#endif
