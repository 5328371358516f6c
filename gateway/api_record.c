/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/recording.h"
#include "auth/store.h"
#include "base/err.h"
#include "base/when.h"
#include "gateway/api.h"
#include "gateway/machine.h"
#include "gateway/recorder.h"
#include "gateway/stream.h"
#include "gateway/viewer.h"

/* Recordings: beginning and ending them, one's own, and everybody's for those who may look at them. */

#define CAST_TYPE "application/x-asciicast"

/* --- telling --- */

static json_t *recording_json(const struct api *api, const struct recording_row *row, bool with_owner)
{
	char started[WHEN_BYTES], email[EMAIL_BYTES] = "", vm[33] = "";
	struct recording_row r = *row;
	json_t *json;

	recorder_refresh(api->recorder, &r);
	(void)snprintf(vm, sizeof(vm), "%.32s", r.stream);
	json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:b, s:s, s:o}", "id", r.id, "name", r.name, "stream", r.stream,
			 "vm", vm, "started_at", when_format(r.started_ms / 1000, started), "duration_ms", (json_int_t)r.duration_ms,
			 "size", (json_int_t)r.size, "cols", r.cols, "rows", r.rows, "input", r.input, "state",
			 r.live ? "recording" : "done", "reason", r.reason[0] ? json_string(r.reason) : json_null());
	if (json && with_owner) {
		(void)store_person_email(api->store, r.owner, email, NULL);
		(void)json_object_set_new(json, "owner", json_string(email));
	}
	return json;
}

static void not_found(struct http_call *call)
{
	http_problem(call->resp, 404, "not_found", "You have no such recording.");
}

/* The recording of the path; @any: whoever it belongs to. Return: false after a refusal. */
static bool find(struct http_call *call, bool any, struct recording_row *row)
{
	const struct api *api = call->app;
	struct err e = { 0 };
	int r = strlen(call->id) == RECORDING_ID_TEXT - 1 ? recording_get(store_db(api->store), call->id, row, &e) : 0;

	if (r < 0)
		http_failed(call->resp, &e);
	else if (r == 0 || (!any && row->owner != call->who.person))
		not_found(call);
	return r > 0 && (any || row->owner == call->who.person);
}

/* --- lists --- */

struct listing {
	const struct api *api;
	json_t *items;
	int64_t last;
	bool with_owner;
};

static int add_row(void *arg, const struct recording_row *row)
{
	struct listing *l = arg;

	l->last = row->seq;
	return json_array_append_new(l->items, recording_json(l->api, row, l->with_owner));
}

/* @owner: 0 = everybody's */
static void list(struct http_call *call, int64_t owner, bool with_owner)
{
	const struct api *api = call->app;
	struct listing l = { .api = api, .items = json_array(), .with_owner = with_owner };
	struct api_part part;
	struct err e = { 0 };
	bool more = false;
	int r;

	if (!l.items || api_part(call, &part) < 0) {
		json_decref(l.items);
		return;
	}
	r = recording_list(store_db(api->store), owner, part.cursor, part.limit, add_row, &l, &more, &e);
	if (r < 0) {
		json_decref(l.items);
		http_failed(call->resp, &e);
		return;
	}
	http_json(call->resp, 200,
		  json_pack("{s:o, s:o, s:s}", "items", l.items, "next", api_next(l.last, more), "mode",
			    record_mode_name(recorder_mode(api->recorder))));
}

void api_recording_list(struct http_call *call)
{
	if (!api_needs_person(call))
		list(call, call->who.person, false);
}

void api_admin_recording_list(struct http_call *call)
{
	const struct api *api = call->app;
	char email[EMAIL_BYTES];
	struct person_row person;
	struct err e = { 0 };
	int r = http_query(call->req, "owner", email, sizeof(email));

	if (r == -ENOENT) {
		list(call, 0, true);
		return;
	}
	if (r < 0) {
		http_problem(call->resp, 400, "bad_owner", "owner is an e-mail address.");
		return;
	}
	r = store_person_by_email(api->store, email, &person, &e);
	if (r < 0)
		http_failed(call->resp, &e);
	else if (r == STORE_E_NONE)
		http_json(call->resp, 200, json_pack("{s:[], s:n}", "items", "next"));
	else
		list(call, person.id, true);
}

/* --- one recording --- */

void api_recording_get(struct http_call *call)
{
	struct recording_row row;

	if (find(call, false, &row))
		http_json(call->resp, 200, recording_json(call->app, &row, false));
}

void api_admin_recording_get(struct http_call *call)
{
	struct recording_row row;

	if (find(call, true, &row))
		http_json(call->resp, 200, recording_json(call->app, &row, true));
}

static void content(struct http_call *call, const struct recording_row *row)
{
	const struct api *api = call->app;
	uint64_t size = 0;
	struct err e = { 0 };
	int fd = recorder_file(api->recorder, row, &size);

	if (fd == -ENOENT) {
		http_problem(call->resp, 404, "no_file", "The file of this recording is gone.");
		return;
	}
	if (fd < 0) {
		err_set(&e, fd, "recording %s cannot be read: %s", row->id, strerror(-fd));
		http_failed(call->resp, &e);
		return;
	}
	http_file(call, CAST_TYPE, fd, size);
	http_header(call->resp, "Content-Disposition", "attachment; filename=\"terrarium-%s.cast\"", row->id);
}

void api_recording_content(struct http_call *call)
{
	struct recording_row row;

	if (find(call, false, &row))
		content(call, &row);
}

void api_admin_recording_content(struct http_call *call)
{
	const struct api *api = call->app;
	char email[EMAIL_BYTES] = "";
	struct recording_row row;

	if (!find(call, true, &row))
		return;
	(void)store_person_email(api->store, row.owner, email, NULL);
	/* Before the first byte: who has looked is noted also when the connection breaks. */
	api_note(call, "recording.watch", row.id, email);
	content(call, &row);
}

/* The name that a body gives. Return: NULL after a refusal. */
static const char *read_name(struct http_call *call)
{
	const char *name = json_string_value(json_object_get(call->json, "name"));
	size_t len = name ? strlen(name) : 0;
	bool good = len > 0 && len < RECORDING_NAME_BYTES;

	for (size_t i = 0; i < len; i++)
		good = good && (unsigned char)name[i] >= 0x20 && name[i] != 0x7f;
	if (good)
		return name;
	http_problem(call->resp, 400, "bad_name", "name is text of 1 to %d bytes.", RECORDING_NAME_BYTES - 1);
	return NULL;
}

void api_recording_rename(struct http_call *call)
{
	const struct api *api = call->app;
	struct recording_row row;
	struct err e = { 0 };
	const char *name;

	if (!find(call, false, &row))
		return;
	name = read_name(call);
	if (!name)
		return;
	if (recording_rename(store_db(api->store), row.id, name, &e) < 0) {
		http_failed(call->resp, &e);
		return;
	}
	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	http_json(call->resp, 200, recording_json(api, &row, false));
}

static void drop(struct http_call *call, const struct recording_row *row)
{
	const struct api *api = call->app;
	char email[EMAIL_BYTES] = "";
	struct err e = { 0 };

	if (recorder_delete(api->recorder, row, &e) < 0) {
		http_failed(call->resp, &e);
		return;
	}
	(void)store_person_email(api->store, row->owner, email, NULL);
	api_note(call, "recording.delete", row->id, email);
	call->resp->status = 204;
}

void api_recording_delete(struct http_call *call)
{
	const struct api *api = call->app;
	struct recording_row row;

	if (!find(call, false, &row))
		return;
	if (recorder_mode(api->recorder) == RECORD_ALWAYS)
		http_problem(call->resp, 403, "always_recorded", "All terminals are recorded here; an administrator deletes recordings, or their age does.");
	else
		drop(call, &row);
}

void api_admin_recording_delete(struct http_call *call)
{
	struct recording_row row;

	if (find(call, true, &row))
		drop(call, &row);
}

/* --- beginning and ending --- */

static struct stream *find_stream(struct http_call *call)
{
	const struct api *api = call->app;
	struct stream *s = machine_stream_find(api->machines, call->who.person, call->id);

	if (!s)
		http_problem(call->resp, 404, "not_found", "You have no such stream.");
	return s;
}

void api_recording_start(struct http_call *call)
{
	const struct api *api = call->app;
	struct stream *s = find_stream(call);
	struct recording_row row;
	struct err e = { 0 };
	int r;

	if (!s)
		return;
	if (stream_state(s).sealed) {
		http_problem(call->resp, 409, "sealed", "This terminal is sealed: what passes here cannot be read. Record it in the machine.");
		return;
	}
	if (stream_state(s).command) {
		http_problem(call->resp, 409, "no_terminal", "This is a command, not a terminal.");
		return;
	}
	r = recorder_start(api->recorder, s, &row, &e);
	if (r == RECORD_E_OFF)
		http_problem(call->resp, 403, "recording_off", "Recordings are switched off on this server.");
	else if (r == RECORD_E_ON)
		http_problem(call->resp, 409, "recorded", "This terminal is being recorded already.");
	else if (r == RECORD_E_FULL)
		http_problem(call->resp, 403, "quota", "Your recordings take all the room they may have; delete some.");
	else if (r == RECORD_E_REST)
		http_problem(call->resp, 409, "wrong_state", "Nothing runs behind this terminal.");
	else if (r < 0)
		http_failed(call->resp, &e);
	if (r)
		return;
	api_note(call, "recording.start", row.id, row.stream);
	http_json(call->resp, 201, recording_json(api, &row, false));
	http_header(call->resp, "Location", "/api/v1/recordings/%s", row.id);
}

void api_recording_stop(struct http_call *call)
{
	const struct api *api = call->app;
	struct stream *s = find_stream(call);
	struct recording_row row;
	int r;

	if (!s)
		return;
	r = recorder_stop(api->recorder, s, &row);
	if (r == RECORD_E_OFF) {
		http_problem(call->resp, 403, "always_recorded", "All terminals are recorded here.");
	} else if (r == RECORD_E_ON) {
		http_problem(call->resp, 409, "not_recorded", "This terminal is not being recorded.");
	} else {
		api_note(call, "recording.stop", row.id, row.stream);
		http_json(call->resp, 200, recording_json(api, &row, false));
	}
}
