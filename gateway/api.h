/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_API_H
#define GATEWAY_API_H

#include <stdint.h>

#include "auth/secret.h"
#include "gateway/http.h"
#include "gateway/peer.h"

struct access;
struct askers;
struct attestations;
struct attach_hub;
struct audit;
struct demo;
struct disks;
struct doorman;
struct identity;
struct machines;
struct mailer;
struct metrics;
struct peer_limit;
struct preview;
struct recorder;
struct rulebook;
struct settings;
struct signins;
struct store;
struct tickets;

/* What is counted for each account, however many addresses it comes from. */
enum account_limit { ACCOUNT_SIGN_IN, ACCOUNT_TOKEN, ACCOUNT_ASK, ACCOUNT_MAIL /* to that address */, ACCOUNT_SHARE, ACCOUNT_ATTEST, ACCOUNT_LIMIT_COUNT };

/**
 * struct api - what the handlers of docs/protocol.md work with; everything borrowed
 * @proxy_headers: names of headers in which proxies say who somebody is
 * @now_s:  wall clock, seconds since 1970
 * @now_ms: monotonic
 */
struct api {
	const struct settings *settings;
	struct store *store;
	struct demo *demo; /* NULL where it is not offered */
	struct access *access;
	struct audit *audit;
	struct rulebook *book;
	struct signins *signins;
	struct doorman *doorman;
	struct machines *machines;
	struct disks *disks; /* NULL where machines have none */
	struct attestations *attestations;
	struct tickets *tickets;
	struct attach_hub *hub;
	struct mailer *mailer; /* NULL where no mail server is configured */
	struct recorder *recorder;
	struct askers *askers; /* NULL where nobody may ask to be let in */
	struct peer_limit *sign_in_limit, *share_limit; /* share_limit: NULL for none */
	struct peer_limit *account_limits[ACCOUNT_LIMIT_COUNT]; /* NULL: none */
	const struct metrics *metrics;
	struct preview *preview; /* NULL where there is no domain for it */
	char proxy_headers[HTTP_EXTRA_MAX][72]; /* lower case, with the colon; filled by api_app() */
	int64_t (*now_s)(void);
	uint64_t (*now_ms)(void);
};

/** api_app() - the application that http.c serves: routes over @api */
void api_app(struct http_app *app, struct api *api);

#define API_EXPORT_MAX	      (32 << 20) /* bytes of a downloaded list */
#define API_AUDIT_EXPORT_ROWS 10000
#define API_PIECE_MAX	      (1 << 20) /* of an uploaded file, in one request */
#define API_IMPORT_MAX	      (6 << 20) /* a spreadsheet inside JSON */

/** api_over_quota() - 403 with the "field" that does not fit. @e: of gateway/quota.h */
void api_over_quota(struct http_call *call, const struct err *e);

/** api_limit() - ?limit= of a list. Return: 0, or -EINVAL after a refusal */
int api_limit(struct http_call *call, int64_t *out);

/**
 * struct api_part - the part of a list of numbered rows that is asked for: ?limit= and ?cursor=
 * @cursor: the number of the last row before it, 0 = from the beginning
 */
struct api_part {
	int64_t limit, cursor;
};

/** api_part() - Return: 0, or -EINVAL after a refusal */
int api_part(struct http_call *call, struct api_part *out);

/** api_next() - "next" of an answer: the cursor behind row @last, or null where there is no @more */
json_t *api_next(int64_t last, bool more);

/** api_proxy_header() - value of a header in which a proxy speaks, NULL when absent. @name: as configured */
const char *api_proxy_header(const struct http_call *call, const char *name);

/** api_identify() - for routes that anybody may ask: who is it? Return: 0 with call->who, positive for nobody, negative with @e */
int api_identify(struct http_call *call, struct err *e);

/** api_signin_waits() - too many failures from this address: refuses with 429. Return: true if refused */
bool api_signin_waits(struct http_call *call);

/** api_account_waits() - this account does that too often: refuses with 429; else counts it. Return: true if refused */
bool api_account_waits(struct http_call *call, const char *email, enum account_limit what);

/** api_admit() - an identity is proven: let in with a session (or, for a device, a token), or refuse */
void api_admit(struct http_call *call, const struct identity *id, bool device);

/** api_session_open() - answer with a fresh session of @who */
void api_session_open(struct http_call *call, struct who *who, bool device);

/** api_token_identify() - who is behind one of our own API tokens. Return: 0, TOKEN_E_NONE, or negative with @e */
int api_token_identify(const struct api *api, const char *text, const struct peer *peer, struct who *who, struct err *e);

/** api_token_open() - answer with a fresh token of @who that is for everything, for the command line */
void api_token_open(struct http_call *call, const struct who *who);

/** api_needs_person() - the control socket is an administrator, but nobody with machines and sessions: refuses it. Return: true if refused */
bool api_needs_person(struct http_call *call);

/** api_signin_secret() - what names a sign-in: of the cookie, or of the body (@device). Return: 0 or -ENOENT */
int api_signin_secret(const struct http_call *call, char secret[SECRET_TEXT], bool *device);

/** api_ask_offer() - somebody was refused: may this person ask to be let in? @secret: of the sign-in that has proven @id */
void api_ask_offer(struct http_call *call, const char *secret, const struct identity *id);

/** api_invite() - let @email in and tell, by mail where that is set up. Return: 0 with @out for the answer, or negative after a refusal */
int api_invite(struct http_call *call, const char *email, const char *note, json_t **out);

/** api_page_of() - answer with a page of a list whose cursor is the last "email". @items: consumed; @r: < 0 with @e when it failed */
void api_page_of(struct http_call *call, json_t *items, bool more, int r, const struct err *e);

/** api_note() - one row into the audit log, by the caller of this request */
void api_note(struct http_call *call, const char *action, const char *object, const char *detail);

/* Handlers, by file. */
void api_signin_begin(struct http_call *call);
void api_signin_look(struct http_call *call);
void api_signin_callback(struct http_call *call);
void api_rule_list(struct http_call *call);
void api_rule_get(struct http_call *call);
void api_rule_put(struct http_call *call);
void api_rule_delete(struct http_call *call);
void api_rule_import(struct http_call *call);
void api_rule_export(struct http_call *call);
void api_why(struct http_call *call);
void api_user_list(struct http_call *call);
void api_user_kick(struct http_call *call);
void api_user_rebind(struct http_call *call);
void api_live(struct http_call *call);
void api_admin_vm_list(struct http_call *call);
void api_admin_vm_stop(struct http_call *call);
void api_admin_ticket(struct http_call *call);
void api_audit_list(struct http_call *call);
void api_audit_export(struct http_call *call);
void api_audit_verify(struct http_call *call);
void api_capacity(struct http_call *call);
void api_ask(struct http_call *call);
void api_ask_list(struct http_call *call);
void api_ask_approve(struct http_call *call);
void api_ask_deny(struct http_call *call);
void api_invitation_list(struct http_call *call);
void api_invitation_make(struct http_call *call);
void api_invitation_drop(struct http_call *call);
void api_token_list(struct http_call *call);
void api_token_make(struct http_call *call);
void api_token_drop(struct http_call *call);
void api_token_rotate(struct http_call *call);
void api_preview(struct http_call *call);
void api_prefs_get(struct http_call *call);
void api_prefs_put(struct http_call *call);
void api_share_list(struct http_call *call);
void api_share_make(struct http_call *call);
void api_share_change(struct http_call *call);
void api_share_drop(struct http_call *call);
void api_share_redeem(struct http_call *call);
void api_share_ticket(struct http_call *call);
void api_viewer_remove(struct http_call *call);
void api_secret_delete(struct http_call *call);
void api_secret_list(struct http_call *call);
void api_secret_put(struct http_call *call);
void api_session_get(struct http_call *call);
void api_session_post(struct http_call *call);
void api_session_delete(struct http_call *call);
void api_session_nobody(struct http_call *call);
void api_attestation_ask(struct http_call *call);
void api_attestation_get(struct http_call *call);
void api_vm_list(struct http_call *call);
void api_vm_create(struct http_call *call);
void api_vm_get(struct http_call *call);
void api_vm_start(struct http_call *call);
void api_vm_stop(struct http_call *call);
void api_vm_restart(struct http_call *call);
void api_vm_pause(struct http_call *call);
void api_vm_suspend(struct http_call *call);
void api_vm_resume(struct http_call *call);
void api_vm_edit(struct http_call *call);
void api_vm_bootlog(struct http_call *call);
void api_vm_delete(struct http_call *call);
void api_vm_card_plug(struct http_call *call);
void api_vm_card_unplug(struct http_call *call);
void api_vm_plug(struct http_call *call);
void api_vm_unplug(struct http_call *call);
void api_volume_list(struct http_call *call);
void api_volume_make(struct http_call *call);
void api_volume_get(struct http_call *call);
void api_volume_edit(struct http_call *call);
void api_volume_delete(struct http_call *call);
void api_stream_list(struct http_call *call);
void api_stream_open(struct http_call *call);
void api_stream_get(struct http_call *call);
void api_stream_edit(struct http_call *call);
void api_stream_close(struct http_call *call);
void api_ticket_create(struct http_call *call);
void api_file_list(struct http_call *call);
void api_file_get(struct http_call *call);
void api_file_put(struct http_call *call);
void api_file_delete(struct http_call *call);
void api_file_mkdir(struct http_call *call);
void api_file_rename(struct http_call *call);
void api_upload_get(struct http_call *call);
void api_upload_drop(struct http_call *call);
void api_recipe_list(struct http_call *call);
void api_setup_again(struct http_call *call);
void api_setup_get(struct http_call *call);
void api_recording_start(struct http_call *call);
void api_recording_stop(struct http_call *call);
void api_recording_list(struct http_call *call);
void api_recording_get(struct http_call *call);
void api_recording_content(struct http_call *call);
void api_recording_rename(struct http_call *call);
void api_recording_delete(struct http_call *call);
void api_admin_recording_list(struct http_call *call);
void api_admin_recording_get(struct http_call *call);
void api_admin_recording_content(struct http_call *call);
void api_admin_recording_delete(struct http_call *call);
void api_host_get(struct http_call *call);
void api_image_list(struct http_call *call);
void api_health(struct http_call *call);
void api_ready(struct http_call *call);
void api_metrics(struct http_call *call);
bool api_page(struct http_call *call);

#endif
