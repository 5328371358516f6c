/* SPDX-License-Identifier: Apache-2.0 */
/* Machines that are kept ready, nobody's yet, and how one becomes somebody's. */
#include "gateway/machine_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/stream.h"
#include "hv/agent/host.h"

static struct pool_count count_spares(void *arg, const char *kind)
{
	const struct machines *ms = arg;
	struct pool_count n = { 0 };

	for (const struct machine *m = ms->spares; m; m = m->next) {
		if (strcmp(m->kind, kind) != 0 || m->gone.run)
			continue;
		n.ready += m->spare_ready;
		n.making += !m->spare_ready;
	}
	return n;
}

static int make_spare(void *arg, const struct vm_spec *spec, const char *kind)
{
	struct machines *ms = arg;
	struct vm_row row = { 0 };
	struct err e = { 0 };
	struct machine *m;
	int r = secret_random(row.id, sizeof(row.id));

	m = r < 0 ? NULL : machine_new(ms, &row, spec);
	if (!m)
		return -ENOMEM;
	m->spare = true;
	m->kind = strdup(kind);
	m->held = malloc(sizeof(*m->held));
	if (!m->kind || !m->held) {
		machine_free(m);
		return -ENOMEM;
	}
	marker_init(m->held, AGENT_HELD, strlen(AGENT_HELD));
	m->next = ms->spares;
	ms->spares = m;
	r = hv_vm_start(m->vm, &e);
	if (r < 0) {
		log_warn("no machine can be kept ready: %s", e.msg);
		machine_unlink(m);
		machine_free(m);
	}
	return r;
}

static void end_spare(struct machine *m)
{
	m->spare_ready = false;
	m->deleting = true;
	(void)hv_vm_stop(m->vm, HV_STOP_KILL, NULL);
}

static void drop_spare(void *arg, const char *kind)
{
	const struct machines *ms = arg;

	for (struct machine *m = ms->spares; m; m = m->next) {
		if (!m->spare_ready || strcmp(m->kind, kind) != 0)
			continue;
		end_spare(m);
		return;
	}
}

static enum hv_template_state template_of(void *arg, const struct vm_spec *spec, bool make)
{
	const struct machines *ms = arg;

	return hv_template(ms->hv, spec, make);
}

static bool crowded(void *arg)
{
	const struct machines *ms = arg;
	struct hv_turns t;

	hv_turns(ms->hv, &t);
	return t.waiting > 0 || t.under_way >= t.at_once;
}

const struct pool_hooks machines_pool_hooks = { .count = count_spares, .make = make_spare, .drop = drop_spare, .template = template_of, .crowded = crowded };

static void run_spare_gone(struct loop_task *task)
{
	struct machine *m = container_of(task, struct machine, gone);

	machine_unlink(m);
	machine_free(m);
}

/* One that is nobody's: when it has ended, it is forgotten, and the pool makes another. */
void machine_on_spare_state(struct machine *m, const struct hv_view *view)
{
	bool failed = !m->spare_ready && !m->deleting;

	log_debug("spare machine %s: %s %s", m->id_text, hv_state_name(view->state), view->reason ? view->reason : "");
	if (!machine_at_rest(view->state))
		return;
	if (m->tie)
		agent_tie_rest(m->tie);
	m->spare_ready = false;
	loop_defer(m->ms->loop, &m->gone, run_spare_gone);
	pool_changed(m->ms->pool, m->kind, failed);
}

/* All but a name: what takes time is done before it is somebody's. Its shell waits on. */
void machine_introduce_spare(struct machine *m, const struct hv_view *view, const uint8_t boot_id[AGENT_BOOT_BYTES])
{
	struct agent_rebirth r = { .interface = "eth0" };

	m->unnamed = true;
	/* One that had to boot is no gain: the pool pauses, and tries again. */
	if (!view->cloned || secret_random(r.boot_id, sizeof(r.boot_id)) < 0) {
		(void)hv_vm_stop(m->vm, HV_STOP_KILL, NULL);
		return;
	}
	if (m->spare_ready && memcmp(boot_id, m->boot_id, sizeof(m->boot_id)) == 0)
		return; /* the same conversation, begun anew */
	memcpy(m->boot_id, r.boot_id, sizeof(m->boot_id));
	memcpy(r.mac, view->mac_bytes, sizeof(r.mac));
	agent_tie_identify(m->tie, "", m->id, view, &r);
}

static void ready_if_both(struct machine *m)
{
	if (m->spare_ready || m->deleting || !m->introduced || !m->rehearsed)
		return;
	m->spare_ready = true;
	pool_changed(m->ms->pool, m->kind, false);
}

void machine_spare_introduced(struct machine *m)
{
	m->introduced = true;
	m->rehearsed = m->rehearsed || agent_host_version(agent_tie_host(m->tie)) < AGENT_VERSION_REHEARSE;
	hv_vm_agent_seen(m->vm);
	ready_if_both(m);
}

void machine_spare_said(struct machine *m, const uint8_t *data, size_t len)
{
	if (m->rehearsed || marker_feed(m->held, data, len) == 0)
		return;
	m->rehearsed = true;
	ready_if_both(m);
}

/* It has all of a machine but a name. */
static void name_spare(struct machine *m)
{
	struct agent_rebirth r = { .release = true, .cols = m->spec.cols, .rows = m->spec.rows };
	struct hv_view view;

	hv_vm_view(m->vm, &view);
	memcpy(r.boot_id, m->boot_id, sizeof(r.boot_id));
	m->unnamed = true;
	agent_tie_identify(m->tie, m->spec.name, m->id, &view, &r);
}

/* The first that is ready and of today's image; those that are not go. */
static struct machine *find_spare(struct machines *ms, const char *kind)
{
	for (struct machine *m = ms->spares; m; m = m->next) {
		if (!m->spare_ready || strcmp(m->kind, kind) != 0)
			continue;
		if (hv_vm_fits(m->vm) && machine_state(m) == HV_READY && agent_tie_state(m->tie) == AGENT_TIE_READY)
			return m;
		end_spare(m);
	}
	return NULL;
}

struct machine *machines_want_spare(struct machines *ms, const struct vm_spec *spec, const char *kind)
{
	struct machine *m = find_spare(ms, kind);

	pool_wanted(ms->pool, spec, kind);
	pool_taken(ms->pool, m != NULL);
	return m;
}

/* It becomes the machine of @row. Return: 0, or -ENOMEM and it is as before */
int machine_take_spare(struct machines *ms, struct machine *m, const struct vm_row *row, const struct vm_spec *spec)
{
	struct vm_spec own;

	if (spec_copy(&own, spec) < 0)
		return -ENOMEM;
	machine_unlink(m);
	m->spare = m->spare_ready = false;
	machines_append(ms, m);
	spec_finish(&m->spec);
	m->spec = own;
	m->owner = row->owner;
	m->created_s = row->created_s;
	memcpy(m->key, row->key, sizeof(m->key));
	hv_vm_become(m->vm, &m->spec);
	hv_vm_group(m->vm, m->owner);
	return 0;
}

/* From now on it is seen. */
void machine_reveal(struct machine *m)
{
	struct hv_view view;

	hv_vm_view(m->vm, &view);
	m->was_ready = true;
	machine_note_state(m, &view);
	machine_tell_stream(m, m->console);
	name_spare(m);
	machine_notify(m);
}

struct kinds {
	const struct machines *ms;
	json_t *list;
};

static void add_kind(void *arg, const struct pool_kind_state *k)
{
	struct kinds *all = arg;
	uint64_t bytes = 0;

	for (const struct machine *m = all->ms->spares; m; m = m->next) {
		struct hv_view view;

		if (strcmp(m->kind, k->kind) != 0)
			continue;
		hv_vm_view(m->vm, &view);
		bytes += view.pss_bytes;
	}
	(void)json_array_append_new(all->list, json_pack("{s:s, s:i, s:I, s:s, s:i, s:i, s:i, s:I}", "image", k->spec->image, "cpus", (int)k->spec->cpus,
							 "memory", (json_int_t)k->spec->memory_bytes, "network", vm_net_name(k->spec->net),
							 "ready", (int)k->ready, "making", (int)k->making, "wanted", (int)k->wanted,
							 "memory_used", (json_int_t)bytes));
}

json_t *machines_pool_json(const struct machines *ms)
{
	struct kinds all = { .ms = ms, .list = json_array() };
	struct pool_state p;

	pool_each(ms->pool, add_kind, &all);
	pool_state(ms->pool, &p);
	return json_pack("{s:b, s:I, s:I, s:I, s:o}", "low_memory", p.low, "taken", (json_int_t)p.taken, "missed", (json_int_t)p.missed, "failed",
			 (json_int_t)p.failed, "kinds", all.list);
}

void machines_pool(const struct machines *ms, struct pool_state *out)
{
	pool_state(ms->pool, out);
}
