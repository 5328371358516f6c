/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/access.h"
#include "base/err.h"
#include "base/when.h"
#include "gateway/api.h"
#include "gateway/disks.h"
#include "gateway/machine.h"
#include "gateway/quota.h"
#include "hv/spec.h"

/* Volumes: disks that belong to a person and outlive machines. */

/* Return: true if there is no place for any; refused then. */
static bool no_disks(struct http_call *call)
{
	const struct api *api = call->app;

	if (!api->disks)
		http_problem(call->resp, 409, "not_possible", "There is no place for volumes on this server.");
	return !api->disks || api_needs_person(call);
}

/* What came of it: DISKS_E_* or negative. */
static void not_done(struct http_call *call, int r, const struct disk_row *row, const struct err *e)
{
	const struct api *api = call->app;
	const struct machine *m = machine_volume_user(api->machines, row->owner, row->name, NULL);

	if (r == DISKS_E_EXISTS)
		http_problem(call->resp, 409, "volume_exists", "You have a volume %s already.", row->name);
	else if (r == DISKS_E_BUSY && m)
		http_problem(call->resp, 409, "in_use", "The volume %s is being used by your machine %s; stop that one first.", row->name, machine_name(m));
	else if (r == DISKS_E_BUSY)
		http_problem(call->resp, 409, "in_use", "%s; try again when that is over.", e->msg);
	else
		http_failed(call->resp, e);
}

static json_t *volume_json(const struct api *api, const struct disk_row *row)
{
	const struct machine *m = machine_volume_user(api->machines, row->owner, row->name, NULL);
	char created[WHEN_BYTES];

	return json_pack("{s:s, s:s, s:I, s:I, s:s, s:o, s:o, s:s}", "id", row->id, "name", row->name, "size", (json_int_t)row->bytes, "taken",
			 (json_int_t)disks_taken(api->disks, row), "state", disk_state_name(row->state), "reason",
			 row->reason[0] ? json_string(row->reason) : json_null(), "vm", m ? json_string(machine_id(m)) : json_null(),
			 "created_at", when_format(row->created_s, created));
}

/* By its id, or by its name. Return: 1, 0 or negative with @e */
static int look_up(const struct api *api, int64_t person, const char *which, struct disk_row *row, struct err *e)
{
	int r = strlen(which) == DISK_ID_TEXT - 1 ? disk_get(disks_db(api->disks), which, row, e) : 0;

	if (r == 1 && (row->owner != person || row->vm[0]))
		r = 0;
	return r != 0 ? r : disk_find(disks_db(api->disks), person, "", which, row, e);
}

/* The volume of the path. Return: false after a refusal. */
static bool find(struct http_call *call, struct disk_row *row)
{
	struct err e = { 0 };
	int r;

	if (no_disks(call))
		return false;
	r = look_up(call->app, call->who.person, call->id, row, &e);
	if (r == 0)
		http_problem(call->resp, 404, "not_found", "You have no such volume.");
	else if (r < 0)
		http_failed(call->resp, &e);
	return r == 1;
}

/* --- list -------------------------------------------------------------------------------------------------------------- */

struct listing {
	const struct api *api;
	json_t *items;
	int64_t last;
};

static int add_row(void *arg, const struct disk_row *row)
{
	struct listing *l = arg;

	l->last = row->seq;
	return json_array_append_new(l->items, volume_json(l->api, row));
}

static bool read_quota(struct http_call *call, struct grant *g)
{
	const struct api *api = call->app;

	if (auth_check(api->access, call->who.email, api->now_s(), g, NULL) == 0)
		return true;
	http_problem(call->resp, 403, "not_allowed", "You may not be here any more.");
	return false;
}

void api_volume_list(struct http_call *call)
{
	const struct api *api = call->app;
	struct listing l = { .api = api };
	struct api_part part;
	uint64_t used = 0;
	struct err e = { 0 };
	struct grant g;
	bool more = false;
	int r;

	if (no_disks(call) || !read_quota(call, &g) || api_part(call, &part) < 0)
		return;
	l.items = json_array();
	r = disk_used(disks_db(api->disks), call->who.person, "", &used, &e);
	if (r == 0)
		r = disk_list(disks_db(api->disks), call->who.person, part.cursor, part.limit, add_row, &l, &more, &e);
	if (r < 0) {
		json_decref(l.items);
		http_failed(call->resp, &e);
		return;
	}
	http_json(call->resp, 200,
		  json_pack("{s:o, s:o, s:I, s:o}", "items", l.items, "next", api_next(l.last, more), "used", (json_int_t)used,
			    "quota", g.quota.disk_bytes ? json_integer((json_int_t)g.quota.disk_bytes) : json_null()));
}

/* --- make -------------------------------------------------------------------------------------------------------------- */

static int read_name(const json_t *v, struct disk_row *row, struct err *e)
{
	const char *name = json_string_value(v);

	if (!name || !spec_label(name, json_string_length(v)))
		return err_set(e, -EINVAL, "name must be 1 to %d lower-case letters, digits or inner hyphens", DISK_NAME_BYTES - 1);
	(void)snprintf(row->name, sizeof(row->name), "%s", name);
	return 0;
}

/* "name" and one of "size" and "from". Return: 0 or -EINVAL with @e; -ENOENT for a volume that is not there */
static int read_wish(struct http_call *call, struct disk_row *row, struct err *e)
{
	const json_t *size = json_object_get(call->json, "size"), *from = json_object_get(call->json, "from");
	const char *name = json_string_value(from);
	struct disk_row source;
	int r = read_name(json_object_get(call->json, "name"), row, e);

	if (r < 0)
		return r;
	if (!size == !from || json_object_size(call->json) != 2)
		return err_set(e, -EINVAL, "a volume has a name, and either a size or from, the volume that it shall be a copy of");
	if (size)
		return spec_disk_bytes(size, "size", &row->bytes, e);
	r = name && json_string_length(from) < DISK_NAME_BYTES ? look_up(call->app, call->who.person, name, &source, e) : 0;
	if (r <= 0)
		return r < 0 ? r : err_set(e, -EINVAL, "from: you have no such volume");
	if (source.state != DISK_READY)
		return err_set(e, -EINVAL, "from: the volume %s is not ready", source.name);
	row->bytes = source.bytes;
	memcpy(row->source, source.id, sizeof(row->source));
	return 0;
}

/* Return: true if it fits; refused otherwise. */
static bool fits(struct http_call *call, uint64_t bytes, uint64_t less, enum quota_refusal what)
{
	const struct api *api = call->app;
	uint64_t used = 0;
	struct err e = { 0 };
	struct grant g;

	if (!read_quota(call, &g))
		return false;
	if (disk_used(disks_db(api->disks), call->who.person, "", &used, &e) < 0) {
		http_failed(call->resp, &e);
		return false;
	}
	if (quota_disk(&g.quota, used - less, bytes, what, &e) == 0)
		return true;
	api_over_quota(call, &e);
	return false;
}

void api_volume_make(struct http_call *call)
{
	const struct api *api = call->app;
	struct disk_row row = { .owner = call->who.person };
	struct err e = { 0 };
	char note[64];
	int r;

	if (no_disks(call))
		return;
	r = read_wish(call, &row, &e);
	if (r == -EINVAL)
		http_problem(call->resp, 400, "bad_spec", "%s.", e.msg);
	else if (r < 0)
		http_failed(call->resp, &e);
	if (r < 0 || !fits(call, row.bytes, 0, row.source[0] ? QUOTA_E_FROM : QUOTA_E_SIZE))
		return;
	r = disks_make(api->disks, &row, &e);
	if (r != 0) {
		not_done(call, r, &row, &e);
		return;
	}
	(void)snprintf(note, sizeof(note), "%llu MiB%s", (unsigned long long)row.bytes >> 20, row.source[0] ? ", a copy" : "");
	api_note(call, "volume.create", row.name, note);
	http_json(call->resp, 201, volume_json(api, &row));
	http_header(call->resp, "Location", "/api/v1/volumes/%s", row.id);
}

/* --- one volume -------------------------------------------------------------------------------------------------------- */

void api_volume_get(struct http_call *call)
{
	struct disk_row row;

	if (find(call, &row))
		http_json(call->resp, 200, volume_json(call->app, &row));
}

void api_volume_edit(struct http_call *call)
{
	const struct api *api = call->app;
	const json_t *size = json_object_get(call->json, "size");
	struct disk_row row;
	uint64_t bytes = 0;
	struct err e = { 0 };
	char note[64];
	int r;

	if (!find(call, &row))
		return;
	if (!size || json_object_size(call->json) != 1 || spec_disk_bytes(size, "size", &bytes, &e) < 0 || bytes < row.bytes) {
		http_problem(call->resp, 400, "bad_spec", "%s.", e.msg[0] ? e.msg : !size ? "what may be changed is size, and nothing else" :
			     "size: a volume can grow, not shrink");
		return;
	}
	if (!fits(call, bytes, row.bytes, QUOTA_E_SIZE))
		return;
	r = disks_grow(api->disks, &row, bytes, &e);
	if (r != 0) {
		not_done(call, r, &row, &e);
		return;
	}
	(void)snprintf(note, sizeof(note), "%llu MiB", (unsigned long long)bytes >> 20);
	api_note(call, "volume.grow", row.name, note);
	http_json(call->resp, 202, volume_json(api, &row));
}

void api_volume_delete(struct http_call *call)
{
	const struct api *api = call->app;
	struct disk_row row;
	struct err e = { 0 };
	int r;

	if (!find(call, &row))
		return;
	r = machine_volume_user(api->machines, row.owner, row.name, NULL) ? DISKS_E_BUSY : disks_remove(api->disks, &row, &e);
	if (r != 0) {
		not_done(call, r, &row, &e);
		return;
	}
	api_note(call, "volume.delete", row.name, "");
	http_json(call->resp, 202, volume_json(api, &row));
}

/* --- in a machine that runs -------------------------------------------------------------------------------------------- */

static void plug(struct http_call *call, const char *volume, const char *action, int (*act)(struct machine *, const struct disk_row *, struct err *))
{
	const struct api *api = call->app;
	struct machine *m = machine_find(api->machines, call->who.person, call->id);
	struct disk_row row;
	struct err e = { 0 };
	int r;

	if (!m) {
		http_problem(call->resp, 404, "not_found", "You have no such machine.");
		return;
	}
	r = volume ? look_up(api, call->who.person, volume, &row, &e) : 0;
	if (r == 0) {
		http_problem(call->resp, 400, "bad_spec", "volume: you have no such volume.");
		return;
	}
	if (r == 1)
		r = act(m, &row, &e);
	if (r == 0) {
		api_note(call, action, machine_id(m), row.name);
		http_json(call->resp, 202, machine_json(m));
	} else if (r == MACHINE_E_STATE) {
		http_problem(call->resp, 409, "wrong_state", "%s.", e.msg);
	} else if (r == MACHINE_E_OFFLINE) {
		http_problem(call->resp, 503, "helper_away", "%s; try again in a moment.", e.msg);
	} else if (r > 0) {
		http_problem(call->resp, 409, "not_possible", "%s.", e.msg);
	} else {
		http_failed(call->resp, &e);
	}
}

void api_vm_plug(struct http_call *call)
{
	const char *volume = json_string_value(json_object_get(call->json, "volume"));

	if (!no_disks(call))
		plug(call, json_object_size(call->json) == 1 ? volume : NULL, "vm.plug", machine_plug);
}

void api_vm_unplug(struct http_call *call)
{
	char volume[DISK_NAME_BYTES];

	if (!no_disks(call))
		plug(call, http_query(call->req, "volume", volume, sizeof(volume)) == 0 ? volume : NULL, "vm.unplug", machine_unplug);
}
