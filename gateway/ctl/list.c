/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/list.h"

#include <stdio.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/table.h"

int list_all(const char *socket, const char *first, json_t **items, struct err *e)
{
	char path[REST_PATH_BYTES];
	struct rest_request req = { .socket = socket, .method = "GET", .path = path };
	json_t *page = NULL;
	const char *next;
	int r = 0;

	*items = json_array();
	(void)snprintf(path, sizeof(path), "%s", first);
	do {
		r = rest_query(path, "limit", "200", e);
		if (r == 0)
			r = rest_call(&req, &page, e);
		if (r < 0)
			break;
		(void)json_array_extend(*items, json_object_get(page, "items"));
		next = json_string_value(json_object_get(page, "next"));
		(void)snprintf(path, sizeof(path), "%s", first);
		if (next)
			r = rest_query(path, "cursor", next, e);
		json_decref(page);
		page = NULL;
	} while (r == 0 && next);
	if (r < 0)
		json_decref(*items);
	return r;
}

int list_show(const char *command, const char *socket, bool json, const char *path,
	      const struct table_column *columns, size_t count)
{
	json_t *items = NULL;
	struct err e = { 0 };

	if (list_all(socket, path, &items, &e) < 0)
		return ctl_refuse(command, json, &e);
	if (json)
		return ctl_print_json(items);
	table_print(items, columns, count);
	json_decref(items);
	return fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}
