/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hex.h"
#include "gateway/api.h"
#include "gateway/preview.h"
#include "gateway/settings.h"

/* The way to a place of gateway/preview.h: only for whom is signed in here, and only to one's own machines. */

static void say(struct http_call *call, int status, const char *words)
{
	call->resp->status = status;
	call->resp->type = "text/html; charset=utf-8";
	(void)buf_printf(&call->resp->body, "<!doctype html><meta charset=utf-8><title>Terrarium</title><p>%s", words);
}

static int read_query(struct http_call *call, struct preview_place *place, char path[PREVIEW_PATH_BYTES], uint8_t state[SECRET_HASH_BYTES])
{
	const struct api *api = call->app;
	char to[80], host[512], hex[2 * SECRET_HASH_BYTES + 1];
	int n;

	if (http_query(call->req, "to", to, sizeof(to)) < 0 || http_query(call->req, "path", path, PREVIEW_PATH_BYTES) < 0 ||
	    http_query(call->req, "state", hex, sizeof(hex)) < 0 || strlen(hex) != sizeof(hex) - 1 || hex_decode(hex, state, SECRET_HASH_BYTES) < 0)
		return -EINVAL;
	n = snprintf(host, sizeof(host), "%s.%s", to, api->settings->preview_domain);
	if (n < 0 || (size_t)n >= sizeof(host) || preview_place((struct head_text){ host, (size_t)n }, api->settings->preview_domain, place) < 0)
		return -EINVAL;
	/* It goes into a header of that host: nothing but what came from one. */
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
			return -EINVAL;
	return path[0] == '/' ? 0 : -EINVAL;
}

void api_preview(struct http_call *call)
{
	const struct api *api = call->app;
	struct preview_place place;
	char path[PREVIEW_PATH_BYTES], url[PREVIEW_URL_BYTES], port[16];
	uint8_t state[SECRET_HASH_BYTES];
	struct err e = { 0 };
	int r;

	if (!api->preview || read_query(call, &place, path, state) < 0) {
		say(call, 404, "There is no such place.");
		return;
	}
	r = api_identify(call, &e);
	if (r < 0) {
		http_failed(call->resp, &e);
		return;
	}
	if (r > 0 || call->who.bearer || call->who.person == 0) {
		say(call, 401, "<a href=\"/\">Sign in</a> first, then open this page again.");
		return;
	}
	r = preview_pass(api->preview, &call->who, &place, path, state, url, &e);
	if (r == -ENOENT) {
		say(call, 404, "You have no such machine.");
		return;
	}
	if (r < 0) {
		http_failed(call->resp, &e);
		return;
	}
	if (r == 0) {
		(void)snprintf(port, sizeof(port), "port %u", place.port);
		api_note(call, "preview.open", place.machine, port);
	}
	call->resp->status = 303;
	http_header(call->resp, "Location", "%s", url);
}
