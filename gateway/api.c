/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/access.h"
#include "auth/oidc.h"
#include "auth/session.h"
#include "auth/signin.h"
#include "auth/store.h"
#include "auth/token.h"
#include "base/err.h"
#include "gateway/quota.h"
#include "gateway/settings.h"

#define LIST_LIMIT_DEFAULT 50
#define LIST_LIMIT_MAX	   200

static void attach_without_upgrade(struct http_call *call)
{
	http_problem(call->resp, 426, "websocket_only", "This path is a websocket.");
	http_header(call->resp, "Upgrade", "websocket");
}

#define ANY(m, p, f)	    { .method = HTTP_##m, .path = (p), .run = (f) }
#define FOR(r, m, p, f, s)  { .method = HTTP_##m, .path = (p), .run = (f), .flags = HTTP_SIGNED_IN, .role = ROLE_##r, .scope = SCOPE_##s }
#define SCOPE_NONE	    0 /* takes a session */

/* Who may ask for what: the only place that says so. */
static const struct http_route routes[] = {
	ANY(GET, "/healthz", api_health),
	ANY(GET, "/readyz", api_ready),
	ANY(GET, "/metrics", api_metrics),
	ANY(POST, "/api/v1/session", api_session_post),
	ANY(POST, "/api/v1/signin", api_signin_begin),
	ANY(POST, "/api/v1/signin/look", api_signin_look),
	ANY(GET, "/auth/{id}/callback", api_signin_callback),
	ANY(GET, "/preview", api_preview),
	ANY(GET, "/api/v1/attach", attach_without_upgrade),
	FOR(USER, GET, "/api/v1/session", api_session_get, ALL),
	FOR(USER, DELETE, "/api/v1/session", api_session_delete, ALL),
	FOR(USER, GET, "/api/v1/settings", api_prefs_get, NONE),
	FOR(USER, PUT, "/api/v1/settings", api_prefs_put, NONE),
	FOR(USER, GET, "/api/v1/host", api_host_get, ALL),
	FOR(USER, GET, "/api/v1/recipes", api_recipe_list, VM),
	FOR(USER, GET, "/api/v1/images", api_image_list, ALL),
	FOR(USER, GET, "/api/v1/vms", api_vm_list, VM),
	FOR(USER, POST, "/api/v1/vms", api_vm_create, VM),
	FOR(USER, GET, "/api/v1/vms/{id}", api_vm_get, VM),
	FOR(USER, DELETE, "/api/v1/vms/{id}", api_vm_delete, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/start", api_vm_start, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/stop", api_vm_stop, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/restart", api_vm_restart, VM),
	FOR(USER, GET, "/api/v1/vms/{id}/attestation", api_attestation_get, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/attestation", api_attestation_ask, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/pause", api_vm_pause, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/suspend", api_vm_suspend, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/resume", api_vm_resume, VM),
	FOR(USER, PATCH, "/api/v1/vms/{id}", api_vm_edit, VM),
	FOR(USER, GET, "/api/v1/vms/{id}/bootlog", api_vm_bootlog, VM),
	FOR(USER, GET, "/api/v1/vms/{id}/secrets", api_secret_list, VM),
	{ .method = HTTP_PUT, .path = "/api/v1/vms/{id}/secrets/{name}", .run = api_secret_put, .flags = HTTP_SIGNED_IN | HTTP_BYTES, .role = ROLE_USER,
	  .scope = SCOPE_VM },
	FOR(USER, DELETE, "/api/v1/vms/{id}/secrets/{name}", api_secret_delete, VM),
	FOR(USER, GET, "/api/v1/vms/{id}/setup", api_setup_get, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/setup", api_setup_again, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/disks", api_vm_plug, VM),
	FOR(USER, DELETE, "/api/v1/vms/{id}/disks", api_vm_unplug, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/cards", api_vm_card_plug, VM),
	FOR(USER, DELETE, "/api/v1/vms/{id}/cards", api_vm_card_unplug, VM),
	FOR(USER, GET, "/api/v1/vms/{id}/streams", api_stream_list, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/streams", api_stream_open, VM),
	FOR(USER, GET, "/api/v1/vms/{id}/files", api_file_list, VM),
	FOR(USER, DELETE, "/api/v1/vms/{id}/files", api_file_delete, VM),
	FOR(USER, GET, "/api/v1/vms/{id}/files/content", api_file_get, VM),
	{ .method = HTTP_PUT, .path = "/api/v1/vms/{id}/files/content", .run = api_file_put, .flags = HTTP_SIGNED_IN | HTTP_BYTES, .role = ROLE_USER,
	  .scope = SCOPE_VM, .body_max = API_PIECE_MAX },
	FOR(USER, GET, "/api/v1/vms/{id}/files/upload", api_upload_get, VM),
	FOR(USER, DELETE, "/api/v1/vms/{id}/files/upload", api_upload_drop, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/files/dir", api_file_mkdir, VM),
	FOR(USER, POST, "/api/v1/vms/{id}/files/rename", api_file_rename, VM),
	FOR(USER, GET, "/api/v1/volumes", api_volume_list, VM),
	FOR(USER, POST, "/api/v1/volumes", api_volume_make, VM),
	FOR(USER, GET, "/api/v1/volumes/{id}", api_volume_get, VM),
	FOR(USER, PATCH, "/api/v1/volumes/{id}", api_volume_edit, VM),
	FOR(USER, DELETE, "/api/v1/volumes/{id}", api_volume_delete, VM),
	FOR(USER, GET, "/api/v1/streams/{id}", api_stream_get, VM),
	FOR(USER, PATCH, "/api/v1/streams/{id}", api_stream_edit, VM),
	FOR(USER, DELETE, "/api/v1/streams/{id}", api_stream_close, VM),
	FOR(USER, POST, "/api/v1/streams/{id}/tickets", api_ticket_create, VM),
	FOR(USER, GET, "/api/v1/streams/{id}/shares", api_share_list, VM),
	FOR(USER, POST, "/api/v1/streams/{id}/shares", api_share_make, VM),
	ANY(POST, "/api/v1/shares/redeem", api_share_redeem),
	FOR(USER, PATCH, "/api/v1/shares/{id}", api_share_change, VM),
	FOR(USER, DELETE, "/api/v1/shares/{id}", api_share_drop, VM),
	ANY(POST, "/api/v1/shares/{id}/tickets", api_share_ticket),
	FOR(USER, DELETE, "/api/v1/viewers/{id}", api_viewer_remove, VM),
	FOR(USER, POST, "/api/v1/streams/{id}/recording", api_recording_start, VM),
	FOR(USER, DELETE, "/api/v1/streams/{id}/recording", api_recording_stop, VM),
	FOR(USER, GET, "/api/v1/recordings", api_recording_list, VM),
	FOR(USER, GET, "/api/v1/recordings/{id}", api_recording_get, VM),
	FOR(USER, GET, "/api/v1/recordings/{id}/content", api_recording_content, VM),
	FOR(USER, PATCH, "/api/v1/recordings/{id}", api_recording_rename, VM),
	FOR(USER, DELETE, "/api/v1/recordings/{id}", api_recording_delete, VM),
	FOR(AUDITOR, GET, "/api/v1/admin/recordings", api_admin_recording_list, PEOPLE),
	FOR(AUDITOR, GET, "/api/v1/admin/recordings/{id}", api_admin_recording_get, PEOPLE),
	FOR(AUDITOR, GET, "/api/v1/admin/recordings/{id}/content", api_admin_recording_content, PEOPLE),
	FOR(ADMIN, DELETE, "/api/v1/admin/recordings/{id}", api_admin_recording_delete, PEOPLE),
	{ .method = HTTP_POST, .path = "/api/v1/rules/import", .run = api_rule_import, .flags = HTTP_SIGNED_IN, .role = ROLE_ADMIN,
	  .scope = SCOPE_RULES, .body_max = API_IMPORT_MAX },
	FOR(AUDITOR, GET, "/api/v1/rules/export", api_rule_export, RULES),
	FOR(AUDITOR, GET, "/api/v1/rules", api_rule_list, RULES),
	FOR(ADMIN, POST, "/api/v1/rules", api_rule_put, RULES),
	FOR(AUDITOR, GET, "/api/v1/rules/{id}", api_rule_get, RULES),
	FOR(ADMIN, DELETE, "/api/v1/rules/{id}", api_rule_delete, RULES),
	FOR(AUDITOR, GET, "/api/v1/why", api_why, RULES),
	FOR(AUDITOR, GET, "/api/v1/users", api_user_list, PEOPLE),
	FOR(OPERATOR, POST, "/api/v1/users/{id}/kick", api_user_kick, PEOPLE),
	FOR(ADMIN, POST, "/api/v1/users/{id}/rebind", api_user_rebind, PEOPLE),
	FOR(AUDITOR, GET, "/api/v1/live", api_live, PEOPLE),
	FOR(AUDITOR, GET, "/api/v1/admin/vms", api_admin_vm_list, PEOPLE),
	FOR(OPERATOR, POST, "/api/v1/admin/vms/{id}/stop", api_admin_vm_stop, PEOPLE),
	FOR(OPERATOR, POST, "/api/v1/admin/streams/{id}/tickets", api_admin_ticket, PEOPLE),
	FOR(AUDITOR, GET, "/api/v1/capacity", api_capacity, PEOPLE),
	FOR(AUDITOR, GET, "/api/v1/audit", api_audit_list, AUDIT),
	FOR(AUDITOR, GET, "/api/v1/audit/export", api_audit_export, AUDIT),
	FOR(AUDITOR, GET, "/api/v1/audit/verify", api_audit_verify, AUDIT),
	ANY(POST, "/api/v1/access-requests", api_ask),
	FOR(AUDITOR, GET, "/api/v1/access-requests", api_ask_list, PEOPLE),
	FOR(ADMIN, POST, "/api/v1/access-requests/{id}/approve", api_ask_approve, RULES),
	FOR(ADMIN, POST, "/api/v1/access-requests/{id}/deny", api_ask_deny, RULES),
	FOR(AUDITOR, GET, "/api/v1/invitations", api_invitation_list, PEOPLE),
	FOR(ADMIN, POST, "/api/v1/invitations", api_invitation_make, RULES),
	FOR(ADMIN, DELETE, "/api/v1/invitations/{id}", api_invitation_drop, RULES),
	FOR(USER, GET, "/api/v1/tokens", api_token_list, NONE),
	FOR(USER, POST, "/api/v1/tokens", api_token_make, NONE),
	FOR(ADMIN, POST, "/api/v1/tokens/rotate", api_token_rotate, NONE),
	FOR(USER, DELETE, "/api/v1/tokens/{id}", api_token_drop, NONE),
	{ 0 },
};

/* A bearer token in place of the cookie; never both, for with a token the checks against other sites' pages do not run. */
static int identify_oidc(const struct api *api, const char *token, struct who *who)
{
	struct identity id;

	for (struct oidc *o = NULL; (o = signins_oidc(api->signins, o));) {
		struct person_row person;

		if (oidc_bearer(o, token, &id, NULL) < 0)
			continue;
		/* Owned by whoever signed in with that account before: a token alone makes no new person. */
		if (store_person_by_email(api->store, id.email, &person, NULL) != 0 || strcmp(person.issuer, id.issuer) != 0 ||
		    strcmp(person.subject, id.subject) != 0)
			return STORE_E_NONE;
		who->person = person.id;
		who->expires_at = id.expires_s;
		who->bearer = true;
		who->scopes = SCOPE_ALL;
		/* What tells the holders of different tokens apart, as the hash of a session does. */
		if (secret_digest(token, strlen(token), who->session_hash) < 0)
			return STORE_E_NONE;
		memcpy(who->email, person.email, sizeof(who->email));
		return 0;
	}
	return STORE_E_NONE;
}

static int identify_bearer(const struct api *api, const char *token, const struct peer *peer, struct who *who, struct err *e)
{
	int r = api_token_identify(api, token, peer, who, e);

	return r == TOKEN_E_NONE ? identify_oidc(api, token, who) : r;
}

static int identify(void *app, const struct http_request *req, struct who *who, struct err *e)
{
	const struct api *api = app;
	const char *token;
	struct grant g;
	int r;

	memset(who, 0, sizeof(*who));
	if (req->peer.control) {
		*who = (struct who){ .email = "local", .role = ROLE_ADMIN, .expires_at = INT64_MAX };
		return 0;
	}
	token = http_bearer(req);
	r = token ? identify_bearer(api, token, &req->peer, who, e) : session_check(api->store, req->cookie, api->now_s(), who, e);
	if (r != 0)
		return r;
	/* The list as it is now, on every request: a session is no right of its own. */
	if (auth_check(api->access, who->email, api->now_s(), &g, NULL) < 0)
		return STORE_E_NONE;
	who->role = g.role;
	return 0;
}

int api_identify(struct http_call *call, struct err *e)
{
	return identify(call->app, call->req, &call->who, e);
}

int api_limit(struct http_call *call, int64_t *out)
{
	char text[8], *end;
	int r = http_query(call->req, "limit", text, sizeof(text));

	*out = LIST_LIMIT_DEFAULT;
	if (r == -ENOENT)
		return 0;
	*out = r == 0 ? strtol(text, &end, 10) : 0;
	if (r == 0 && end != text && *end == '\0' && *out >= 1 && *out <= LIST_LIMIT_MAX)
		return 0;
	http_problem(call->resp, 400, "bad_limit", "limit is a number from 1 to %d.", LIST_LIMIT_MAX);
	return -EINVAL;
}

void api_over_quota(struct http_call *call, const struct err *e)
{
	http_problem_with(call->resp, 403, "quota", json_pack("{s:s*}", "field", quota_field(e->code)), "%s.", e->msg);
}

int api_part(struct http_call *call, struct api_part *out)
{
	char text[24], *end = text;
	int r = http_query(call->req, "cursor", text, sizeof(text));

	out->cursor = r == 0 ? strtoll(text, &end, 10) : 0;
	if (r != -ENOENT && (r < 0 || out->cursor <= 0 || *end != '\0')) {
		http_problem(call->resp, 400, "bad_cursor", "The cursor is wrong; begin again without one.");
		return -EINVAL;
	}
	return api_limit(call, &out->limit);
}

json_t *api_next(int64_t last, bool more)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld", (long long)last);
	return more ? json_string(text) : json_null();
}

_Static_assert(HTTP_EXTRA_MAX >= 2 * IDENTITIES_MAX, "room for the headers of every proxy");

static void want_header(struct http_app *app, struct api *api, const char *name)
{
	size_t n = 0;

	if (strcasecmp(name, "Authorization") == 0) {
		app->proxy_authorization = true;
		return;
	}
	if (name[0] == '\0')
		return;
	while (app->extra_names[n])
		n++;
	(void)snprintf(api->proxy_headers[n], sizeof(api->proxy_headers[n]), "%s:", name);
	for (char *c = api->proxy_headers[n]; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
	app->extra_names[n] = api->proxy_headers[n];
}

const char *api_proxy_header(const struct http_call *call, const char *name)
{
	const struct api *api = call->app;
	size_t len = strlen(name);

	if (strcasecmp(name, "Authorization") == 0)
		return call->req->proxy_authorization;
	for (size_t i = 0; len > 0 && i < HTTP_EXTRA_MAX; i++)
		if (strncasecmp(api->proxy_headers[i], name, len) == 0 && api->proxy_headers[i][len] == ':')
			return call->req->extra[i];
	return NULL;
}

void api_app(struct http_app *app, struct api *api)
{
	*app = (struct http_app){
		.routes = routes,
		.hosts = &api->settings->host_list,
		.origins = &api->settings->origin_list,
		.identify = identify,
		.on_nobody = api_session_nobody,
		.guests = api->settings->share_open,
		.on_other = api_page,
		.app = api,
	};
	for (size_t i = 0; i < api->settings->identity_count; i++) {
		const struct identity_settings *s = &api->settings->identities[i];

		if (strcmp(s->type, "proxy") != 0)
			continue;
		want_header(app, api, s->assertion_header[0] ? s->assertion_header : s->plain_header);
		want_header(app, api, s->assertion_header[0] ? "" : s->secret_header);
	}
}
