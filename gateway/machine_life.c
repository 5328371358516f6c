/* SPDX-License-Identifier: Apache-2.0 */
/* One machine from its making to the moment when it is forgotten, and who hears of it. */
#include "gateway/machine_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "base/log.h"
#include "gateway/disks.h"
#include "gateway/secrets.h"
#include "gateway/setup.h"
#include "gateway/standby.h"
#include "gateway/stream.h"

enum hv_state machine_state(const struct machine *m)
{
	struct hv_view view;

	hv_vm_view(m->vm, &view);
	return view.state;
}

bool machine_at_rest(enum hv_state s)
{
	return s == HV_REQUESTED || s == HV_STOPPED || s == HV_FAILED || s == HV_STANDBY;
}

void machine_tell(const struct machine *m, enum machine_event what, const char *reason)
{
	if (m->ms->on_event)
		m->ms->on_event(m->ms->arg, m, what, reason ? reason : "");
}

void machine_tell_stream(const struct machine *m, struct stream *s)
{
	if (m->ms->on_stream)
		m->ms->on_stream(m->ms->stream_arg, s);
}

void machine_unlink(struct machine *m)
{
	struct machine **p = m->spare ? &m->ms->spares : &m->ms->first;

	while (*p != m)
		p = &(*p)->next;
	*p = m->next;
	if (m->ms->last == &m->next)
		m->ms->last = p;
}

/* Frees what is there of it; not the row. The hv_vm must be at rest, or hv itself be gone already. */
void machine_free(struct machine *m)
{
	loop_cancel(m->ms->loop, &m->gone);
	loop_cancel(m->ms->loop, &m->rouse);
	machine_forget_cards(m);
	m->memory_fd = fd_close(m->memory_fd);
	if (m->vm)
		m->vm = hv_vm_destroy(m->vm);
	m->shells = shells_destroy(m->shells);
	m->setup = setup_destroy(m->setup);
	m->tie = agent_tie_destroy(m->tie);
	m->secrets = secrets_destroy(m->secrets);
	m->console = stream_destroy(m->console);
	spec_finish(&m->spec);
	free(m->plugs);
	free(m->kind);
	free(m->held);
	free(m);
}

static void on_output(void *arg, const uint8_t *data, size_t len)
{
	struct machine *m = arg;

	hv_vm_console_seen(m->vm, data, len);
	if (m->spare)
		machine_spare_said(m, data, len);
}

static const struct stream_hooks stream_hooks = { .on_output = on_output };

/* Everybody who looks at one of its terminals hears of it. */
void machine_notify(struct machine *m)
{
	stream_notify(m->console);
	for (struct shell *sh = m->shells ? shell_next(m->shells, NULL) : NULL; sh; sh = shell_next(m->shells, sh))
		stream_notify(shell_stream(sh));
}

static void on_shells(void *arg)
{
	machine_notify(arg);
}

static void on_shell_stream(void *arg, struct stream *s)
{
	machine_tell_stream(arg, s);
}

static void on_setup(void *arg)
{
	machine_notify(arg);
}

const struct setup_hooks machine_setup_hooks = { .on_change = on_setup };
static const struct shells_hooks shells_hooks = { .on_change = on_shells, .on_stream = on_shell_stream };

/* A machine of @row, known to hv, in no list yet. Return: the machine, or NULL without memory. */
struct machine *machine_new(struct machines *ms, const struct vm_row *row, const struct vm_spec *spec)
{
	struct machine *m = calloc(1, sizeof(*m));
	char stream_name[STREAM_ID_BYTES];

	if (!m)
		return NULL;
	m->ms = ms;
	m->memory_fd = -1;
	m->owner = row->owner;
	m->created_s = row->created_s;
	memcpy(m->id, row->id, sizeof(m->id));
	memcpy(m->key, row->key, sizeof(m->key));
	hex_encode(m->id, sizeof(m->id), m->id_text);
	(void)snprintf(stream_name, sizeof(stream_name), "%s" CONSOLE_SUFFIX, m->id_text);
	m->secrets = secrets_create();
	if (m->secrets && spec_copy(&m->spec, spec) == 0 &&
	    stream_create(&m->console, ms->loop, ms->sched, stream_name, &stream_hooks, m) == 0 &&
	    shells_create(&m->shells, &ms->shells, m->id, &shells_hooks, m, NULL) == 0)
		m->vm = hv_vm_create(ms->hv, m->id, &m->spec, m);
	if (!m->vm) {
		machine_free(m);
		return NULL;
	}
	hv_vm_group(m->vm, m->owner);
	return m;
}

void machines_append(struct machines *ms, struct machine *m)
{
	m->next = NULL;
	*ms->last = m;
	ms->last = &m->next;
}

struct machine *machines_add(struct machines *ms, const struct vm_row *row, const struct vm_spec *spec)
{
	struct machine *m = machine_new(ms, row, spec);

	if (m)
		machines_append(ms, m);
	return m;
}

static int forget(struct machine *m, struct err *e)
{
	struct err why = { 0 };
	int r = store_vm_drop(m->ms->store, m->id, e);

	if (r < 0)
		return r;
	log_info("machine %s deleted", m->id_text);
	if (m->ms->disks)
		disks_plug_forget(m->ms->disks, m->id_text);
	if (m->ms->disks && disks_remove_of(m->ms->disks, m->id_text, &why) < 0)
		log_err("machine %s: its disks stay: %s", m->id_text, why.msg);
	shells_forget(m->shells);
	standby_drop(m->ms->standby_dir, m->id_text);
	machine_tell(m, MACHINE_GONE, "");
	m->ms->deleted++;
	machine_unlink(m);
	machine_free(m);
	return 0;
}

void machine_run_gone(struct loop_task *task)
{
	struct machine *m = container_of(task, struct machine, gone);
	struct err e = { 0 };

	/* Started again meanwhile, by a reset of the guest say: the next stop comes back here. */
	if (!machine_at_rest(machine_state(m)))
		return;
	if (forget(m, &e) < 0) {
		m->deleting = false;
		log_err("machine %s stays: %s", m->id_text, e.msg);
	}
}

int machine_put_spec(const struct vm_spec *spec, char *out, size_t size)
{
	json_t *json = spec_json(spec);
	size_t len = json ? json_dumpb(json, out, size - 1, JSON_COMPACT) : 0;

	json_decref(json);
	if (len == 0 || len >= size)
		return -ENOMEM;
	out[len] = '\0';
	return 0;
}

/* Its size is another one: here and in the store. What the store misses is found again when the machine is adopted. */
int machine_note_size(struct machine *m, const struct vm_size *now, struct err *e)
{
	char text[STORE_SPEC_BYTES];

	m->spec.cpus = now->cpus;
	m->spec.memory_bytes = now->memory_bytes;
	if (machine_put_spec(&m->spec, text, sizeof(text)) < 0)
		return err_set(e, -ENOMEM, "no memory to note the machine");
	return store_vm_spec(m->ms->store, m->id, text, e);
}
