/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/prefs.h"
#include "auth/store.h"
#include "base/err.h"
#include "gateway/api.h"

/* How a person likes the page: kept for the page, which alone knows what it means. */

void api_prefs_get(struct http_call *call)
{
	const struct api *api = call->app;
	char text[PREFS_MAX + 1];
	struct err e = { 0 };
	json_t *prefs;

	if (api_needs_person(call))
		return;
	if (prefs_get(store_db(api->store), call->who.person, text, &e) < 0) {
		http_failed(call->resp, &e);
		return;
	}
	prefs = text[0] ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	http_json(call->resp, 200, prefs ? prefs : json_object());
}

void api_prefs_put(struct http_call *call)
{
	const struct api *api = call->app;
	struct err e = { 0 };
	char *text;
	int r;

	if (api_needs_person(call))
		return;
	text = json_dumps(call->json, JSON_COMPACT);
	if (text && strlen(text) > PREFS_MAX) {
		free(text);
		http_problem(call->resp, 413, "too_large", "Settings may have %d bytes.", PREFS_MAX);
		return;
	}
	r = text ? prefs_put(store_db(api->store), call->who.person, text, api->now_s(), &e) : -ENOMEM;
	free(text);
	if (r < 0)
		http_failed(call->resp, &e);
	else
		http_json(call->resp, 200, json_incref(call->json));
}
