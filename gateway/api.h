/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_API_H
#define GATEWAY_API_H

#include <stdint.h>

#include "gateway/http.h"

struct attach_hub;
struct demo;
struct machines;
struct metrics;
struct peer_limit;
struct settings;
struct store;
struct tickets;

/**
 * struct api - what the handlers of docs/protocol.md work with; everything borrowed
 * @now_s:  wall clock, seconds since 1970
 * @now_ms: monotonic
 */
struct api {
	const struct settings *settings;
	struct store *store;
	struct demo *demo; /* NULL with another identity */
	struct machines *machines;
	struct tickets *tickets;
	struct attach_hub *hub;
	struct peer_limit *sign_in_limit;
	const struct metrics *metrics;
	int64_t (*now_s)(void);
	uint64_t (*now_ms)(void);
};

/** api_app() - the application that http.c serves: routes over @api */
void api_app(struct http_app *app, struct api *api);

/* Handlers, by file. */
void api_session_get(struct http_call *call);
void api_session_post(struct http_call *call);
void api_session_delete(struct http_call *call);
void api_session_nobody(struct http_call *call);
void api_vm_list(struct http_call *call);
void api_vm_create(struct http_call *call);
void api_vm_get(struct http_call *call);
void api_vm_start(struct http_call *call);
void api_vm_stop(struct http_call *call);
void api_vm_restart(struct http_call *call);
void api_vm_delete(struct http_call *call);
void api_vm_streams(struct http_call *call);
void api_ticket_create(struct http_call *call);
void api_host_get(struct http_call *call);
void api_health(struct http_call *call);
void api_ready(struct http_call *call);
void api_metrics(struct http_call *call);
bool api_page(struct http_call *call);

#endif
