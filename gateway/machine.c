/* SPDX-License-Identifier: Apache-2.0 */
/* The registry: it loads the machines that the store has, finds them, and answers what is known about one without asking anybody. */
#include "gateway/machine_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/disks.h"
#include "gateway/ring_dir.h"
#include "gateway/setup.h"
#include "gateway/standby.h"
#include "gateway/stream.h"
#include "gateway/viewer.h"

struct loading {
	struct machines *ms;
	struct err *e;
};

static void recall(struct machine *m, const struct vm_row *row)
{
	m->recalled = true;
	if (row->rest == VM_REST_STANDBY && machine_recall_aside(m) == 0)
		return;
	standby_drop(m->ms->standby_dir, m->id_text);
	if (row->rest == VM_REST_UP)
		hv_vm_recall(m->vm, HV_STOPPED, "it was gone when this server came back: the host or the helper terrarium-netd was restarted");
	else if (row->rest != VM_REST_UNKNOWN)
		hv_vm_recall(m->vm, row->rest == VM_REST_FAILED ? HV_FAILED : HV_STOPPED, row->reason);
}

static int load_row(void *arg, const struct vm_row *row)
{
	const struct loading *l = arg;
	struct machine *m;
	struct vm_spec spec;
	struct err e = { 0 };
	json_t *json = json_loads(row->spec, JSON_REJECT_DUPLICATES, NULL);
	int r;

	spec_defaults(&spec);
	r = json ? spec_parse(&spec, json, &e) : err_set(&e, -EBADMSG, "not JSON");
	json_decref(json);
	if (r < 0) {
		spec_finish(&spec);
		/* One bad row must not keep everybody else out; it is not adopted and not shown. */
		log_err("the database holds a machine that cannot be read: %s", e.msg);
		return 0;
	}
	m = machines_add(l->ms, row, &spec);
	spec_finish(&spec);
	if (!m)
		return err_set(l->e, -ENOMEM, "no memory for the machines");
	recall(m, row);
	if (setup_load(&m->setup, l->ms->loop, store_db(l->ms->store), m->id, &machine_setup_hooks, m, &e) < 0)
		log_err("machine %s: %s", m->id_text, e.msg);
	/* What a former process left of their recordings goes on now: whether the guest still has them is not known yet. */
	for (struct shell *sh = NULL; (sh = shell_next(m->shells, sh));)
		machine_tell_stream(m, shell_stream(sh));
	return 0;
}

static bool is_stream(void *arg, const char *name)
{
	return machine_stream_any(arg, name);
}

int machines_create(struct machines **out, struct loop *loop, struct store *store, struct sched *sched,
		    const struct machines_config *c, struct err *e)
{
	struct machines *ms = calloc(1, sizeof(*ms));
	struct loading loading = { .ms = ms, .e = e };
	int r;

	if (!ms)
		return err_set(e, -ENOMEM, "no memory for the machines");
	ms->loop = loop;
	ms->store = store;
	ms->sched = sched;
	ms->last = &ms->first;
	ms->disks = c->disks;
	if (ms->disks)
		disks_watch(ms->disks, machines_on_disk, ms);
	ms->on_event = c->on_event;
	ms->arg = c->arg;
	ms->on_stream = c->on_stream;
	ms->stream_arg = c->stream_arg;
	ms->shells = (struct shells_shared){ .loop = loop, .sched = sched, .store = store,
					     .ring_bytes = shell_ring_bytes(c->hv.ring_bytes), .max = c->shells_max };
	if (secret_random(ms->shells.port_tag, sizeof(ms->shells.port_tag)) < 0)
		log_warn("no randomness to tell connections to guests apart by");
	(void)snprintf(ms->shells.ring_dir, sizeof(ms->shells.ring_dir), "%s", c->ring_dir ? c->ring_dir : "");
	r = ms->shells.ring_dir[0] ? ring_dir_prepare(ms->shells.ring_dir, e) : 0;
	(void)snprintf(ms->standby_dir, sizeof(ms->standby_dir), "%s", c->standby_dir ? c->standby_dir : "");
	if (r == 0 && ms->standby_dir[0])
		r = standby_prepare(ms->standby_dir, e);
	if (r < 0) {
		free(ms);
		return r;
	}
	ms->pool = pool_create(loop, &c->pool, &machines_pool_hooks, ms);
	r = ms->pool ? hv_create(&ms->hv, loop, &c->hv, &machines_hv_hooks, ms, e) : err_set(e, -ENOMEM, "no memory for the machines");
	if (r == 0)
		r = store_vm_each(store, load_row, &loading, e);
	if (r == 0)
		shells_sweep(&ms->shells, is_stream, ms);
	if (r < 0) {
		(void)machines_destroy(ms);
		return r;
	}
	*out = ms;
	return 0;
}

struct machines *machines_destroy(struct machines *ms)
{
	if (!ms)
		return NULL;
	if (ms->disks)
		disks_watch(ms->disks, NULL, NULL);
	/* hv lets go first: it frees its machines without stopping them. Then nothing reads the consoles any more. */
	ms->hv = hv_destroy(ms->hv);
	while (ms->spares) {
		struct machine *m = ms->spares;

		ms->spares = m->next;
		m->vm = NULL;
		machine_free(m);
	}
	ms->pool = pool_destroy(ms->pool);
	while (ms->first) {
		struct machine *m = ms->first;

		ms->first = m->next;
		m->vm = NULL;
		machine_free(m);
	}
	free(ms);
	return NULL;
}

void machines_host(const struct machines *ms, struct hv_host *out)
{
	hv_host(ms->hv, out);
}

void machines_turns(const struct machines *ms, struct hv_turns *out)
{
	hv_turns(ms->hv, out);
}

json_t *machines_images(const struct machines *ms)
{
	return hv_images(ms->hv);
}

int machines_may_run(struct machines *ms, const struct vm_spec *spec, struct err *e)
{
	return hv_may_run(ms->hv, spec, e);
}

const char *machine_id(const struct machine *m)
{
	return m->id_text;
}

struct machine *machine_next(struct machines *ms, int64_t person, const struct machine *after)
{
	struct machine *m = after ? after->next : ms->first;

	while (m && (m->owner != person || m->deleting))
		m = m->next;
	return m;
}

struct machine *machine_find(struct machines *ms, int64_t person, const char *id)
{
	for (struct machine *m = ms->first; m; m = m->next)
		if (m->owner == person && strcmp(m->id_text, id) == 0)
			return m;
	return NULL;
}

/* Its stream of that name: of the console, or of a shell. */
static struct stream *stream_of(const struct machine *m, const char *stream_name)
{
	const size_t len = MACHINE_ID_TEXT - 1;
	struct shell *sh;

	if (strncmp(m->id_text, stream_name, len) != 0 || stream_name[len] != '.')
		return NULL;
	if (strcmp(stream_name + len, CONSOLE_SUFFIX) == 0)
		return m->console;
	sh = shell_find(m->shells, stream_name + len + 1);
	return sh ? shell_stream(sh) : NULL;
}

struct stream *machine_stream_find(struct machines *ms, int64_t person, const char *stream_name)
{
	struct stream *s = NULL;

	for (struct machine *m = ms->first; m && !s; m = m->next)
		s = m->owner == person ? stream_of(m, stream_name) : NULL;
	return s;
}

struct machine *machine_find_any(struct machines *ms, const char *id)
{
	for (struct machine *m = ms->first; m; m = m->next)
		if (strcmp(m->id_text, id) == 0)
			return m;
	return NULL;
}

struct machine *machine_next_any(struct machines *ms, const struct machine *after)
{
	struct machine *m = after ? after->next : ms->first;

	while (m && m->deleting)
		m = m->next;
	return m;
}

struct stream *machine_stream_any(struct machines *ms, const char *stream_name)
{
	struct stream *s = NULL;

	for (struct machine *m = ms->first; m && !s; m = m->next)
		s = stream_of(m, stream_name);
	return s;
}

const char *machine_name(const struct machine *m)
{
	return m->spec.name;
}

int64_t machine_owner(const struct machine *m)
{
	return m->owner;
}

int64_t machine_created_s(const struct machine *m)
{
	return m->created_s;
}

bool machine_up(const struct machine *m)
{
	return !machine_at_rest(machine_state(m));
}

void machine_touch(struct machine *m)
{
	m->used_ms = loop_now_ms();
}

uint64_t machine_unused_ms(const struct machine *m)
{
	bool used = stream_viewers(m->console) != NULL || setup_busy(m->setup);

	for (struct shell *sh = shell_next(m->shells, NULL); sh && !used; sh = shell_next(m->shells, sh))
		used = stream_viewers(shell_stream(sh)) != NULL;
	return used ? 0 : loop_now_ms() - m->used_ms;
}

struct machine *machine_of_stream(struct stream *s)
{
	return stream_arg(s);
}

struct stream *machine_console(const struct machine *m)
{
	return m->console;
}

int machine_confidential(const struct machine *m, struct confidential *out, struct err *e)
{
	return hv_vm_confidential(m->vm, out, e);
}

struct secrets *machine_secrets(const struct machine *m)
{
	return m->secrets;
}

struct setup *machine_setup(const struct machine *m)
{
	return m->setup;
}

struct shells *machine_shells(const struct machine *m)
{
	return m->shells;
}

struct shell *machine_shell_of(struct stream *s)
{
	return shell_of_stream(machine_of_stream(s)->shells, s);
}

void machine_port_tag(struct machine *m, uint8_t tag[16])
{
	struct shells_shared *shared = &m->ms->shells;

	memcpy(tag, shared->port_tag, sizeof(shared->port_tag));
	shared->ports++;
	memcpy(tag + sizeof(shared->port_tag), &shared->ports, sizeof(shared->ports));
}

int machine_shell_open(struct machine *m, const struct shell_wish *wish, struct shell **out, struct err *e)
{
	return shell_open(m->shells, machine_agent(m), wish, out, e);
}
