/* SPDX-License-Identifier: Apache-2.0 */
/* `terrarium image delete`: an image, or one version of it, that no machine uses. */
#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/image_store.h"
#include "gateway/ctl/list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME "image delete"

struct options {
	const char *name, *images, *version, *socket;
	bool force;
};

/* Machines that are switched off count: they would not start any more. */
static int in_use(const struct options *o, struct err *e)
{
	json_t *list = NULL, *vm;
	const char *first = NULL;
	size_t i, count = 0;
	int r = list_all(o->socket, "/api/v1/admin/vms", &list, e);

	if (r < 0) {
		err_prefix(e, "which machines use the image cannot be found out (--force does not ask)");
		return r;
	}
	json_array_foreach(list, i, vm) {
		const char *image = json_string_value(json_object_get(vm, "image"));

		if (!image || strcmp(image, o->name) != 0)
			continue;
		first = first ? first : json_string_value(json_object_get(vm, "id"));
		count++;
	}
	if (count > 0)
		r = err_set(e, -EBUSY, "%zu machine%s made of %s, %s among them: delete %s first", count, count == 1 ? " is" : "s are", o->name,
			    first ? first : "?", count == 1 ? "it" : "them");
	json_decref(list);
	return r;
}

int cmd_image_delete(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "version", .text = &o.version, .value = "V", .help = "only this one, which is not the current one; all of the image unless given" },
		{ .name = "force", .flag = &o.force, .help = "do not ask the gateway whether machines use it" },
		{ .name = "images", .text = &o.images, .value = "DIR", .help = "folder of images; the gateway's unless given" },
		CTL_SOCKET_OPTION(o.socket),
		{ 0 },
	};
	struct err e = { 0 };
	int r = ctl_operand(NAME, "NAME", table, argc, argv, &o.name);

	if (r != CTL_GO)
		return r;
	o.images = store_folder(o.images, &e);
	r = o.images ? 0 : -EINVAL;
	/* Another version is nobody's: a machine boots the current one, and what runs has its files open. */
	if (r == 0 && !o.version && !o.force)
		r = in_use(&o, &e);
	if (r == 0)
		r = store_delete(o.images, o.name, o.version, &e);
	if (r < 0)
		return ctl_refuse(NAME, false, &e);
	printf("%s%s%s is gone\n", o.name, o.version ? " " : "", o.version ? o.version : "");
	return fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}
