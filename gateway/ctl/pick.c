/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/pick.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "gateway/ctl/list.h"
#include "gateway/ctl/rest.h"

/*
 * The one item of a list that is meant. @meant says 2: surely, 1: perhaps, 0: no; what is sure goes before what is not.
 * Return: 0 with a new reference, or negative with @e.
 */
static int find(const char *socket, const char *path, int (*meant)(const json_t *item, const char *what), const char *what, json_t **found,
		struct err *e)
{
	json_t *items = NULL, *item;
	int best = 1, count = 0, r = list_all(socket, path, &items, e);
	size_t i;

	*found = NULL;
	if (r < 0)
		return r;
	json_array_foreach(items, i, item) {
		int how = meant(item, what);

		if (how < best || how == 0)
			continue;
		count = how > best ? 1 : count + 1;
		best = how;
		*found = item;
	}
	if (count != 1)
		r = err_set(e, -ENOENT, count ? "%s means more than one: say its id" : "there is no %s", what);
	*found = r == 0 ? json_incref(*found) : NULL;
	json_decref(items);
	return r;
}

static int meant_vm(const json_t *vm, const char *what)
{
	const char *id = json_string_value(json_object_get(vm, "id")), *name = json_string_value(json_object_get(vm, "name"));

	if (!id || !name)
		return 0;
	if (strcmp(id, what) == 0 || strcmp(name, what) == 0)
		return 2;
	return strlen(what) >= 4 && strncmp(id, what, strlen(what)) == 0;
}

int pick_vm(const char *socket, const char *what, json_t **vm, struct err *e)
{
	return find(socket, rest_by_socket(socket) ? "/api/v1/admin/vms" : "/api/v1/vms", meant_vm, what, vm, e);
}

static int meant_stream(const json_t *stream, const char *what)
{
	const char *id = json_string_value(json_object_get(stream, "id")), *name = json_string_value(json_object_get(stream, "name"));
	const char *dot = id ? strchr(id, '.') : NULL;

	if (!dot)
		return 0;
	return strcmp(id, what) == 0 || strcmp(dot + 1, what) == 0 || (name && strcmp(name, what) == 0) ? 2 : 0;
}

int pick_stream(const char *socket, const char *vm_id, const char *what, char out[WIRE_STREAM_TEXT], struct err *e)
{
	json_t *found = NULL;
	char path[REST_PATH_BYTES];
	int r;

	/* Whose machine it is need not be asked: administrators name a stream by its id. */
	if (strchr(what, '.') && strlen(what) < WIRE_STREAM_TEXT) {
		(void)snprintf(out, WIRE_STREAM_TEXT, "%s", what);
		return 0;
	}
	r = rest_path(path, "/api/v1/vms/", vm_id, "/streams", e);
	if (r == 0)
		r = find(socket, path, meant_stream, what, &found, e);
	if (r == 0 && pick_text(found, "id", out, WIRE_STREAM_TEXT) < 0)
		r = err_set(e, -EPROTO, "the gateway's answer names no stream");
	json_decref(found);
	return r;
}

const char *pick_string(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "";
}

int pick_text(const json_t *object, const char *member, char *out, size_t size)
{
	const json_t *v = json_object_get(object, member);

	if (!json_is_string(v) || json_string_length(v) >= size || strlen(json_string_value(v)) != json_string_length(v))
		return -EPROTO;
	memcpy(out, json_string_value(v), json_string_length(v) + 1);
	return 0;
}
