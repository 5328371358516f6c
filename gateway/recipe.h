/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_RECIPE_H
#define GATEWAY_RECIPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct err;
struct vm_spec;

/*
 * What a person may ask for beside a machine: packages, a script for its first boot, or a recipe that says both. Pure: no I/O but for
 * recipe_fits(). gateway/setup.h carries it out.
 */
#define RECIPE_NAME_BYTES   24
#define RECIPE_PACKAGES_MAX 64
#define RECIPE_PACKAGE_MAX  64	  /* bytes of a name */
#define RECIPE_SCRIPT_MAX   16384 /* bytes; with all packages it fits one request to the agent */

/**
 * struct recipe_wish - what is to be done in a machine once, checked
 * @recipe:   name of the recipe that was chosen, or ""
 * @packages: array of names of Debian packages, owned; never NULL once parsed, may be empty
 * @script:   owned; NULL for none
 */
struct recipe_wish {
	char recipe[RECIPE_NAME_BYTES];
	json_t *packages;
	char *script;
};

/**
 * recipe_parse() - take `recipe`, `packages` and `script` out of a create request
 * @spec: loses those members, and gets what the recipe says of the machine where the request does not say it
 * @disks: machines have disks here
 *
 * What the request names counts before the recipe's. Return: 0; -EINVAL with the member's name in @e, or -ENOMEM. @out is to be finished
 * by recipe_finish() in any case.
 */
int recipe_parse(struct recipe_wish *out, json_t *spec, bool disks, struct err *e);

/** recipe_finish() - free; idempotent */
void recipe_finish(struct recipe_wish *w);

/** recipe_any() - is there anything to do in the machine? */
bool recipe_any(const struct recipe_wish *w);

/**
 * recipe_fits() - can this be done in such a machine? Reads the image's manifest when packages are wanted
 * @images: directory of images
 * @driver: what will run the machine
 *
 * Return: 0, or -EINVAL with the member's name and a sentence in @e.
 */
int recipe_fits(const struct recipe_wish *w, const struct vm_spec *spec, const char *images, const char *driver, struct err *e);

/** recipe_list() - the recipes as docs/protocol.md has them. @images: to say which of them can be had here. Return: a new array */
json_t *recipe_list(const char *images);

#endif
