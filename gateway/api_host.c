/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "auth/secret.h"
#include "auth/store.h"
#include "base/err.h"
#include "base/hex.h"
#include "gateway/api.h"
#include "gateway/assets.h"
#include "gateway/attach.h"
#include "gateway/machine.h"
#include "gateway/metrics.h"
#include "gateway/settings.h"

/* How the server is, and the page itself. */

static json_t *why_json(int r, const struct err *e)
{
	return r == 0 ? json_null() : json_string(e->msg);
}

/* Drivers that somebody may ask for, each with why not. */
static json_t *drivers_json(struct machines *ms)
{
	static const char *const names[] = { "cloud-hypervisor", "qemu", "local" };
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct err e = { 0 };
		struct vm_spec spec;
		int r;

		spec_defaults(&spec);
		memcpy(spec.driver, names[i], strlen(names[i]) + 1);
		r = machines_may_run(ms, &spec, &e);
		(void)json_array_append_new(list, json_pack("{s:s, s:o}", "name", names[i], "why", why_json(r, &e)));
	}
	return list;
}

static json_t *confidential_json(struct machines *ms)
{
	struct err e = { 0 };
	struct vm_spec spec;
	int r;

	spec_defaults(&spec);
	spec.confidential = VM_CONFIDENTIAL_SNP;
	r = machines_may_run(ms, &spec, &e);
	return json_pack("{s:b, s:o}", "able", r == 0, "why", why_json(r, &e));
}

static json_t *starts_json(struct machines *ms)
{
	struct hv_turns t;

	machines_turns(ms, &t);
	return json_pack("{s:i, s:i, s:i}", "at_once", (int)t.at_once, "under_way", (int)t.under_way, "waiting", (int)t.waiting);
}

void api_host_get(struct http_call *call)
{
	const struct api *api = call->app;
	const char *domain = api->settings->preview_domain;
	struct hv_host h = { 0 };
	json_t *preview = json_null();

	if (domain[0])
		preview = json_sprintf("%s://{vm}-{port}.%s/", strncmp(settings_base_url(api->settings), "https:", 6) == 0 ? "https" : "http", domain);
	machines_host(api->machines, &h);
	http_json(call->resp, 200,
		  json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "driver", h.driver ? h.driver : "", "driver_why",
			    h.driver_why ? h.driver_why : "", "accel", h.accel ? h.accel : "",
			    "accel_reason", h.accel_reason ? h.accel_reason : "", "missing", h.missing ? h.missing : "", "uplink",
			    h.uplink ? h.uplink : "", "online", h.online, "share_open", (int)api->settings->share_open,
			    "preview", preview, "drivers", drivers_json(api->machines), "confidential", confidential_json(api->machines),
			    "starts", starts_json(api->machines), "pool", machines_pool_json(api->machines)));
}

/* Few, and each of them somebody's choice: one page. */
void api_image_list(struct http_call *call)
{
	const struct api *api = call->app;
	json_t *list = machines_images(api->machines);

	if (!list)
		http_problem(call->resp, 503, "overloaded", "The server is short of memory; try again.");
	else
		http_json(call->resp, 200, json_pack("{s:o, s:n}", "items", list, "next"));
}

void api_health(struct http_call *call)
{
	http_json(call->resp, 200, json_pack("{s:s}", "status", "ok"));
}

void api_ready(struct http_call *call)
{
	const struct api *api = call->app;
	struct hv_host h = { 0 };
	struct err e = { 0 };

	machines_host(api->machines, &h);
	if (!h.online)
		http_problem(call->resp, 503, "helper_away", "terrarium-netd is not connected.");
	else if (store_writable(api->store, &e) < 0)
		http_problem(call->resp, 503, "storage", "The database cannot be written.");
	else
		http_json(call->resp, 200, json_pack("{s:s}", "status", "ok"));
}

void api_metrics(struct http_call *call)
{
	const struct api *api = call->app;
	struct http_response *resp = call->resp;

	if (!call->req->peer.loopback) {
		http_problem(resp, 403, "loopback_only", "Figures are given on this host only.");
		return;
	}
	resp->status = 200;
	resp->type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_text(api->metrics, api->now_ms(), &resp->body);
	machines_metrics(api->machines, &resp->body);
	attach_hub_metrics(api->hub, &resp->body);
}

/* --- the page --- */

static const struct asset *find_asset(const char *path)
{
	for (size_t i = 0; i < assets_count; i++)
		if (strcmp(assets[i].path, path) == 0)
			return &assets[i];
	return NULL;
}

/* The page itself, with a nonce of this answer in place of each mark. Never cached: a nonce must not come twice. */
static void answer_with_nonce(struct http_response *resp, const struct asset *a)
{
	static const size_t mark_len = sizeof(ASSET_NONCE) - 1;
	const uint8_t *at = a->identity.data, *end = at + a->identity.len;
	uint8_t raw[(HTTP_NONCE_BYTES - 1) / 2];
	int r = secret_random(raw, sizeof(raw));

	if (r < 0) {
		http_problem(resp, 503, "overloaded", "No randomness for the page; try again.");
		return;
	}
	hex_encode(raw, sizeof(raw), resp->nonce);
	for (const uint8_t *mark; r == 0 && (mark = memmem(at, (size_t)(end - at), ASSET_NONCE, mark_len)); at = mark + mark_len) {
		r = buf_add(&resp->body, at, (size_t)(mark - at));
		if (r == 0)
			r = buf_add(&resp->body, resp->nonce, HTTP_NONCE_BYTES - 1);
	}
	if (r == 0)
		r = buf_add(&resp->body, at, (size_t)(end - at));
	if (r < 0)
		http_problem(resp, 503, "overloaded", "The server is short of memory; try again.");
}

static void choose_body(struct http_call *call, const struct asset *a)
{
	const struct asset_body *b = &a->identity;
	const char *coding = NULL;

	if (a->br.len > 0 && http_accepts(call->req->accept_encoding, "br")) {
		b = &a->br;
		coding = "br";
	} else if (a->gzip.len > 0 && http_accepts(call->req->accept_encoding, "gzip")) {
		b = &a->gzip;
		coding = "gzip";
	}
	call->resp->fixed = b->data;
	call->resp->fixed_len = b->len;
	if (coding)
		http_header(call->resp, "Content-Encoding", "%s", coding);
}

bool api_page(struct http_call *call)
{
	const struct asset *a = find_asset(call->req->path);
	struct http_response *resp = call->resp;

	if (!a)
		return false;
	resp->status = 200;
	resp->type = a->type;
	resp->wasm = a->wasm;
	if (a->nonce) {
		answer_with_nonce(resp, a);
		return true;
	}
	resp->cache = a->immutable ? "public, max-age=31536000, immutable" : "no-cache";
	http_header(resp, "ETag", "%s", a->etag);
	if (a->gzip.len > 0 || a->br.len > 0)
		http_header(resp, "Vary", "Accept-Encoding");
	if (http_etag_matches(call->req->if_none_match, a->etag))
		resp->status = 304;
	else
		choose_body(call, a);
	return true;
}
