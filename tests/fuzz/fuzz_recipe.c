/* SPDX-License-Identifier: Apache-2.0 */
/* What a create request says of a recipe, packages and a script: what is accepted keeps to its bounds, what is refused is refused by name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "gateway/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct recipe_wish *w, const json_t *spec)
{
	const json_t *each;
	size_t i;

	if (json_object_get(spec, "recipe") || json_object_get(spec, "packages") || json_object_get(spec, "script"))
		abort();
	if (!json_is_array(w->packages) || json_array_size(w->packages) > RECIPE_PACKAGES_MAX || (w->script && strlen(w->script) > RECIPE_SCRIPT_MAX))
		abort();
	json_array_foreach(w->packages, i, each) {
		const char *name = json_string_value(each);

		if (!name || name[0] == '-' || strlen(name) > RECIPE_PACKAGE_MAX || name[strcspn(name, " \t\n;&|$`'\"\\<>()*?[]{}~#!=/%")])
			abort();
	}
	for (const char *p = w->script; p && *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\n' && *p != '\t')
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *spec = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct recipe_wish w;
	struct err e = { 0 };

	if (!json_is_object(spec)) {
		json_decref(spec);
		return 0;
	}
	if (recipe_parse(&w, spec, size % 2 == 0, &e) == 0)
		check(&w, spec);
	else if (strncmp(e.msg, "recipe", 6) != 0 && strncmp(e.msg, "packages", 8) != 0 && strncmp(e.msg, "script", 6) != 0)
		abort();
	recipe_finish(&w);
	json_decref(spec);
	return 0;
}
