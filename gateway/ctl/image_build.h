/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_IMAGE_BUILD_H
#define GATEWAY_CTL_IMAGE_BUILD_H

#include <stdbool.h>

struct err;

/**
 * struct image_build - what deploy/guest/build.sh is to make of it
 * @images: folder of images; @cache: where packages are kept, NULL for .cache in it
 * @root_tar: archive with the whole root, NULL for Debian's packages, to which @with adds
 * @release: of Debian, that the root's packages are of, such as trixie; NULL: the builder's choice; @kernel stays the host's
 * @origin: digest of what @root_tar was made of, for the manifest; NULL: nobody knows
 * @kernel: folder of a kernel that is not Debian's; NULL
 * @key: private key to sign with; @firmware: OVMF for expected measurements; NULL
 * @keep: machines get what they get now; @cached: take the root of a former build
 */
struct image_build {
	const char *images, *cache, *with, *release, *root_tar, *origin, *kernel, *key, *firmware;
	bool keep, cached;
};

/** image_build() - make a version of the image @name, judge and sign it, let machines have it, and say so. Return: 0 or negative with @e */
int image_build(const struct image_build *b, const char *name, struct err *e);

#endif
