/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/err.h"
#include "gateway/api.h"
#include "gateway/machine.h"
#include "gateway/recipe.h"
#include "gateway/settings.h"
#include "gateway/setup.h"

/* Recipes, and what is done in a machine once. */

void api_recipe_list(struct http_call *call)
{
	const struct api *api = call->app;

	http_json(call->resp, 200, json_pack("{s:o, s:n}", "items", recipe_list(api->settings->images), "next"));
}

/* Return: NULL after a refusal */
static struct setup *find(struct http_call *call)
{
	const struct api *api = call->app;
	const struct machine *m = machine_find(api->machines, call->who.person, call->id);
	struct setup *s = m ? machine_setup(m) : NULL;

	if (!s)
		http_problem(call->resp, 404, "not_found", m ? "Nothing was to be done in this machine." : "You have no such machine.");
	return s;
}

void api_setup_get(struct http_call *call)
{
	const struct setup *s = find(call);

	if (s)
		http_json(call->resp, 200, setup_json(s, true));
}

void api_setup_again(struct http_call *call)
{
	struct setup *s = find(call);
	struct err e = { 0 };
	int r;

	if (!s)
		return;
	r = setup_again(s, &e);
	if (r == -EBUSY) {
		http_problem(call->resp, 409, "wrong_state", "Once more is not possible now: %s.", e.msg);
	} else if (r < 0) {
		http_failed(call->resp, &e);
	} else {
		api_note(call, "vm.setup", call->id, "");
		http_json(call->resp, 202, setup_json(s, true));
	}
}
