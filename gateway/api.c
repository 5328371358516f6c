/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api.h"

#include "auth/session.h"
#include "gateway/settings.h"

static void attach_without_upgrade(struct http_call *call)
{
	http_problem(call->resp, 426, "websocket_only", "This path is a websocket.");
	http_header(call->resp, "Upgrade", "websocket");
}

static const struct http_route routes[] = {
	{ HTTP_GET, "/healthz", 0, api_health },
	{ HTTP_GET, "/readyz", 0, api_ready },
	{ HTTP_GET, "/metrics", 0, api_metrics },
	{ HTTP_GET, "/api/v1/session", HTTP_SIGNED_IN, api_session_get },
	{ HTTP_POST, "/api/v1/session", 0, api_session_post },
	{ HTTP_DELETE, "/api/v1/session", HTTP_SIGNED_IN, api_session_delete },
	{ HTTP_GET, "/api/v1/host", HTTP_SIGNED_IN, api_host_get },
	{ HTTP_GET, "/api/v1/vms", HTTP_SIGNED_IN, api_vm_list },
	{ HTTP_POST, "/api/v1/vms", HTTP_SIGNED_IN, api_vm_create },
	{ HTTP_GET, "/api/v1/vms/{id}", HTTP_SIGNED_IN, api_vm_get },
	{ HTTP_DELETE, "/api/v1/vms/{id}", HTTP_SIGNED_IN, api_vm_delete },
	{ HTTP_POST, "/api/v1/vms/{id}/start", HTTP_SIGNED_IN, api_vm_start },
	{ HTTP_POST, "/api/v1/vms/{id}/stop", HTTP_SIGNED_IN, api_vm_stop },
	{ HTTP_POST, "/api/v1/vms/{id}/restart", HTTP_SIGNED_IN, api_vm_restart },
	{ HTTP_GET, "/api/v1/vms/{id}/streams", HTTP_SIGNED_IN, api_vm_streams },
	{ HTTP_POST, "/api/v1/streams/{id}/tickets", HTTP_SIGNED_IN, api_ticket_create },
	{ HTTP_GET, "/api/v1/attach", 0, attach_without_upgrade },
	{ 0 },
};

static int identify(void *app, const struct http_request *req, struct who *who, struct err *e)
{
	const struct api *api = app;

	return session_check(api->store, req->cookie, api->now_s(), who, e);
}

void api_app(struct http_app *app, struct api *api)
{
	*app = (struct http_app){
		.routes = routes,
		.hosts = &api->settings->host_list,
		.origins = &api->settings->origin_list,
		.identify = identify,
		.on_nobody = api_session_nobody,
		.on_other = api_page,
		.app = api,
	};
}
