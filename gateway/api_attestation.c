/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/err.h"
#include "base/hex.h"
#include "gateway/api.h"
#include "gateway/attestation.h"
#include "gateway/machine.h"

/* Evidence about a confidential machine: asked for, then fetched. */

#define BUSY_RETRY_S 1

static const struct machine *find(struct http_call *call)
{
	const struct api *api = call->app;
	const struct machine *m = machine_find(api->machines, call->who.person, call->id);

	if (!m)
		http_problem(call->resp, 404, "not_found", "You have no such machine.");
	return m;
}

static void answer(struct http_call *call, const struct machine *m, int status)
{
	const struct api *api = call->app;
	json_t *json = attestation_json(api->attestations, m);

	if (json)
		http_json(call->resp, status, json);
	else
		http_problem(call->resp, 404, "not_asked", "No report of this machine was asked for.");
}

void api_attestation_get(struct http_call *call)
{
	const struct machine *m = find(call);

	if (m)
		answer(call, m, 200);
}

void api_attestation_ask(struct http_call *call)
{
	const struct api *api = call->app;
	const struct machine *m = find(call);
	const json_t *text = json_object_get(call->json, "report_data");
	uint8_t data[ATTESTATION_DATA_BYTES];
	struct err e = { 0 };
	int r;

	if (!m)
		return;
	if (json_string_length(text) != sizeof(data) * 2 || hex_decode(json_string_value(text), data, sizeof(data)) < 0) {
		http_problem(call->resp, 400, "bad_request", "report_data is %zu hexadecimal digits of your choice.", 2 * sizeof(data));
		return;
	}
	if (api_account_waits(call, call->who.email, ACCOUNT_ATTEST))
		return;
	r = attestation_ask(api->attestations, m, data, &e);
	if (r == ATTESTATION_E_BUSY) {
		http_problem(call->resp, 429, "slow_down", "%s.", e.msg);
		http_header(call->resp, "Retry-After", "%d", BUSY_RETRY_S);
	} else if (r == ATTESTATION_E_NO_AGENT) {
		http_problem(call->resp, 409, "no_agent", "%s.", e.msg);
	} else if (r < 0) {
		http_failed(call->resp, &e);
	} else {
		api_note(call, "vm.attest", machine_id(m), "");
		answer(call, m, 202);
	}
}
