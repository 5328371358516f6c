/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/recipe.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/image.h"
#include "hv/spec.h"

#define MIB (1LL << 20)

/**
 * struct recipe - @image: NULL = the preset; @cpus, @memory: 0 = the preset; @disk: of its own, 0 = none; @packages: divided by blanks
 */
static const struct recipe {
	const char *name, *title, *description, *image, *packages, *script;
	int cpus;
	json_int_t memory, disk;
} recipes[] = {
	{
		.name = "minimal",
		.title = "Minimal",
		.description = "A shell and little else, there in an instant.",
		.image = "micro",
		.cpus = 1,
		.memory = 128 * MIB,
		.packages = "",
	},
	{
		.name = "web",
		.title = "Web",
		.description = "nginx serves /var/www/html at port 80; with git and curl.",
		.image = "standard",
		.cpus = 1,
		.memory = 512 * MIB,
		.disk = 2048 * MIB,
		.packages = "ca-certificates curl git nginx-light",
		.script = "#!/bin/sh\n"
			  "set -e\n"
			  "mkdir -p /var/www/html\n"
			  "echo '<!doctype html><title>It works</title><h1>It works</h1>' >/var/www/html/index.html\n"
			  "pidof nginx >/dev/null || nginx\n"
			  "echo 'nginx serves /var/www/html at port 80'\n",
	},
	{
		.name = "data-science",
		.title = "Data science",
		.description = "Python with NumPy, pandas, SciPy and Matplotlib, and IPython.",
		.image = "standard",
		.cpus = 2,
		.memory = 2048 * MIB,
		.disk = 4096 * MIB,
		.packages = "ipython3 python3-matplotlib python3-numpy python3-pandas python3-scipy python3-venv",
		.script = "#!/bin/sh\n"
			  "set -e\n"
			  "mkdir -p \"$HOME/notebooks\"\n"
			  "python3 -c 'import numpy, pandas; print(\"NumPy\", numpy.__version__, \"pandas\", pandas.__version__)'\n",
	},
	{
		.name = "custom",
		.title = "Custom",
		.description = "Choose everything yourself.",
		.packages = "",
	},
};

#define RECIPES (sizeof(recipes) / sizeof(recipes[0]))

static json_t *words(const char *text)
{
	json_t *list = json_array();

	while (*text) {
		size_t n = strcspn(text, " ");

		(void)json_array_append_new(list, json_stringn(text, n));
		text += n + strspn(text + n, " ");
	}
	return list;
}

/* --- what a request says --- */

static const struct recipe *find(const char *name)
{
	for (size_t i = 0; name && i < RECIPES; i++)
		if (strcmp(recipes[i].name, name) == 0)
			return &recipes[i];
	return NULL;
}

/* Debian Policy 5.6.1; and no hyphen at the end, by which apt-get would remove what stands before it. */
static bool is_package(const json_t *v)
{
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);

	if (!s || len < 2 || len > RECIPE_PACKAGE_MAX || strchr("+-.", s[0]) || s[len - 1] == '-')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == len;
}

static int read_packages(struct recipe_wish *w, json_t *v, struct err *e)
{
	const json_t *each;
	size_t i;

	if (!json_is_array(v) || json_array_size(v) > RECIPE_PACKAGES_MAX)
		return err_set(e, -EINVAL, "packages must be a list of at most %d names", RECIPE_PACKAGES_MAX);
	json_array_foreach(v, i, each) {
		if (!is_package(each))
			return err_set(e, -EINVAL,
				       "packages[%zu] must be the name of a Debian package: 2 to %d lower-case letters, digits, plus, minus or dot",
				       i, RECIPE_PACKAGE_MAX);
	}
	w->packages = json_deep_copy(v);
	return w->packages ? 0 : err_set(e, -ENOMEM, "no memory for the packages");
}

/* Line breaks of other systems become plain ones: no shell takes them otherwise. */
static int read_script(struct recipe_wish *w, const json_t *v, struct err *e)
{
	const char *s = json_string_value(v);
	size_t len = json_string_length(v), n = 0;

	if (!s || len > RECIPE_SCRIPT_MAX || strlen(s) != len)
		return err_set(e, -EINVAL, "script must be a text of at most %d bytes", RECIPE_SCRIPT_MAX);
	w->script = calloc(1, len + 1);
	if (!w->script)
		return err_set(e, -ENOMEM, "no memory for the script");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\r' && s[i + 1] == '\n')
			continue;
		if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
			return err_set(e, -EINVAL, "script may have no control characters but tabs and line breaks");
		w->script[n++] = (char)c;
	}
	w->script[n] = '\0';
	return 0;
}

/* The recipe's word where the request has none. */
static int preset(json_t *spec, const char *member, json_t *value, struct err *e)
{
	int r = 0;

	if (!value)
		return err_set(e, -ENOMEM, "no memory for the machine");
	if (!json_object_get(spec, member))
		r = json_object_set(spec, member, value);
	json_decref(value);
	return r < 0 ? err_set(e, -ENOMEM, "no memory for the machine") : 0;
}

/* What a confidential machine writes to a disk could be read here: it has none. */
static bool is_confidential(const json_t *spec)
{
	const json_t *v = json_object_get(spec, "confidential");

	return v && strcmp(json_is_string(v) ? json_string_value(v) : "", "none") != 0;
}

static int use_recipe(struct recipe_wish *w, const json_t *name, json_t *spec, bool disks, struct err *e)
{
	const struct recipe *recipe = find(json_string_value(name));
	int r = 0;

	if (!recipe)
		return err_set(e, -EINVAL, "recipe must be one of minimal, web, data-science and custom");
	(void)snprintf(w->recipe, sizeof(w->recipe), "%s", recipe->name);
	if (recipe->image)
		r = preset(spec, "image", json_string(recipe->image), e);
	if (r == 0 && recipe->cpus)
		r = preset(spec, "cpus", json_integer(recipe->cpus), e);
	if (r == 0 && recipe->memory)
		r = preset(spec, "memory", json_integer(recipe->memory), e);
	if (r == 0 && recipe->disk && disks && !is_confidential(spec))
		r = preset(spec, "disk", json_integer(recipe->disk), e);
	if (r == 0)
		r = preset(spec, "packages", words(recipe->packages), e);
	if (r == 0 && recipe->script)
		r = preset(spec, "script", json_string(recipe->script), e);
	return r;
}

int recipe_parse(struct recipe_wish *out, json_t *spec, bool disks, struct err *e)
{
	static const char *const members[] = { "recipe", "packages", "script" };
	const json_t *recipe = json_object_get(spec, "recipe");
	int r = 0;

	*out = (struct recipe_wish){ .recipe = "" };
	if (recipe)
		r = use_recipe(out, recipe, spec, disks, e);
	if (r == 0 && json_object_get(spec, "packages"))
		r = read_packages(out, json_object_get(spec, "packages"), e);
	if (r == 0 && json_object_get(spec, "script"))
		r = read_script(out, json_object_get(spec, "script"), e);
	if (r == 0 && !out->packages)
		out->packages = json_array();
	if (out->script && !out->script[0]) {
		free(out->script);
		out->script = NULL;
	}
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		(void)json_object_del(spec, members[i]);
	return r == 0 && !out->packages ? err_set(e, -ENOMEM, "no memory for the packages") : r;
}

void recipe_finish(struct recipe_wish *w)
{
	json_decref(w->packages);
	w->packages = NULL;
	free(w->script);
	w->script = NULL;
}

bool recipe_any(const struct recipe_wish *w)
{
	return json_array_size(w->packages) > 0 || w->script;
}

/* --- what can be had --- */

static int packages_fit(const struct vm_spec *spec, const char *images, const char *driver, struct err *e)
{
	struct image image;
	struct err why = { 0 };
	bool apt;

	if (strcmp(driver, "local") == 0)
		return err_set(e, -EINVAL, "packages: the machine would be a process of this host, into which nothing is installed");
	if (spec->net == VM_NET_NONE)
		return err_set(e, -EINVAL, "packages: a machine without a network cannot fetch any");
	if (image_load(&image, images, spec->image, NULL, &why) < 0)
		return err_set(e, -EINVAL, "packages: %.300s", why.msg);
	apt = image.packages;
	image_finish(&image);
	return apt ? 0 :
		     err_set(e, -EINVAL,
			     "packages: the image \"%s\" has no package manager; choose one that has, such as \"standard\", or leave packages out",
			     spec->image);
}

int recipe_fits(const struct recipe_wish *w, const struct vm_spec *spec, const char *images, const char *driver, struct err *e)
{
	bool packages = json_array_size(w->packages) > 0;

	if (recipe_any(w) && spec->confidential == VM_CONFIDENTIAL_SNP)
		return err_set(e, -EINVAL, "%s: a sealed machine runs nothing for its host; use a sealed terminal for that",
			       packages ? "packages" : "script");
	return packages ? packages_fit(spec, images, driver, e) : 0;
}

/* Whether its image is here, and can do what is in it: NULL, or why not in words. */
static const char *missing(const struct recipe *recipe, const char *images)
{
	struct image image;
	bool apt;

	if (!recipe->image)
		return NULL;
	if (image_load(&image, images, recipe->image, NULL, NULL) < 0)
		return "its image is not installed here";
	apt = image.packages;
	image_finish(&image);
	return recipe->packages[0] && !apt ? "its image here has no package manager" : NULL;
}

json_t *recipe_list(const char *images)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < RECIPES; i++) {
		const struct recipe *r = &recipes[i];
		const char *why = missing(r, images);
		json_t *item = json_pack("{s:s, s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:s, s:b, s:s?}", "name", r->name, "title", r->title,
					 "description", r->description, "image", r->image, "cpus",
					 r->cpus ? json_integer(r->cpus) : json_null(), "memory",
					 r->memory ? json_integer(r->memory) : json_null(), "disk", r->disk ? json_integer(r->disk) : json_null(), "packages", words(r->packages), "script",
					 r->script ? r->script : "", "available", !why, "why", why);

		(void)json_array_append_new(list, item);
	}
	return list;
}
