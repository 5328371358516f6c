/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/machine.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "auth/secret.h"
#include "auth/store.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/agent_tie.h"
#include "gateway/disks.h"
#include "gateway/health.h"
#include "gateway/machine_disks.h"
#include "gateway/quota.h"
#include "gateway/ring_dir.h"
#include "gateway/secrets.h"
#include "gateway/setup.h"
#include "gateway/shell.h"
#include "gateway/standby.h"
#include "gateway/stream.h"
#include "gateway/viewer.h"
#include "hv/agent/host.h"

#define CONSOLE_SUFFIX ".console"

#define PLUGS_MAX 4 /* volumes that were plugged into a machine while it runs */

enum plug_state { PLUG_BEGUN, PLUG_IN, PLUG_LEAVING, PLUG_REFUSED, PLUG_STATE_COUNT };

static const char *const plug_names[] = { "plugging", "plugged", "unplugging", "refused" };
_Static_assert(sizeof(plug_names) / sizeof(plug_names[0]) == PLUG_STATE_COUNT, "one name for each enum plug_state");

/** struct plug - @volume: name, "" in a free place; @reason: why it did not become as asked */
struct plug {
	char volume[VM_NAME_BYTES], serial[HV_SERIAL_BYTES + 1], reason[160];
	enum plug_state state;
};

/**
 * struct machine - one row of the store, one machine of hv/, one console
 * @next:     in the registry, oldest first
 * @vm:       owned; destroyed only in stopped, failed or requested
 * @console:  owned
 * @tie:      owned; to the agent in the guest. NULL until there was a way to one
 * @shells:   owned
 * @secrets:  owned
 * @setup:    owned; NULL: nothing is to be done in it
 * @boot_id:  of the guest that is being told who it is; @agent_boot: of the agent that answered last
 * @refused:  why the last change of size did not come about, @asked: to what; empty = it did, or there was none
 * @deleting: freed as soon as it has stopped
 * @up:       as the last event said; @was_ready: as the last state; @recalled: its state is that of a former process
 * @unnamed:  a clone that has not said yet that it knows who it is: nobody uses it
 * @found:    it ran already when this gateway started
 * @aside:    put aside, or woken and not ready yet: its shells are there still
 * @rouse:    somebody uses it: it is woken
 * @spare:    nobody's yet, kept ready: then in another list; @spare_ready: it can be handed out; @kind: of it, as pool_kind()
 * @gone:     the free that is put off, for hv's hooks must not destroy a machine
 */
struct machine {
	struct machines *ms; /* borrowed */
	struct machine *next;
	struct loop_task gone;
	struct hv_vm *vm;
	struct stream *console;
	struct agent_tie *tie;
	struct shells *shells;
	struct secrets *secrets;
	struct setup *setup;
	struct vm_spec spec;
	uint8_t id[MACHINE_ID_BYTES], boot_id[AGENT_BOOT_BYTES], agent_boot[AGENT_BOOT_BYTES];
	char id_text[MACHINE_ID_TEXT];
	char key[sizeof(((struct vm_row *)0)->key)];
	int64_t owner, created_s;
	char refused[256];
	struct vm_size asked;
	struct plug plugs[PLUGS_MAX];
	uint64_t used_ms; /* loop_now_ms() of the last use */
	bool deleting, up, was_ready, recalled, unnamed, found, spare, spare_ready, aside;
	int memory_fd; /* owned: it is being written to; -1 without */
	struct loop_task rouse;
	char kind[POOL_KIND_BYTES];
};

struct machines {
	struct loop *loop;   /* borrowed */
	struct store *store; /* borrowed */
	struct sched *sched; /* borrowed */
	struct disks *disks; /* borrowed; may be NULL */
	struct hv *hv;	     /* owned */
	struct machine *first, **last, *spares; /* owned */
	struct pool *pool;	       /* owned */
	struct shells_shared shells;
	char standby_dir[SHELL_RING_DIR_BYTES];
	void (*on_event)(void *arg, const struct machine *m, enum machine_event what, const char *reason);
	void (*on_stream)(void *stream_arg, struct stream *s);
	void *arg, *stream_arg;
	uint64_t created, deleted, failed;
};

static enum hv_state state_of(const struct machine *m)
{
	struct hv_view view;

	hv_vm_view(m->vm, &view);
	return view.state;
}

static bool at_rest(enum hv_state s)
{
	return s == HV_REQUESTED || s == HV_STOPPED || s == HV_FAILED || s == HV_STANDBY;
}

static void tell(const struct machine *m, enum machine_event what, const char *reason)
{
	if (m->ms->on_event)
		m->ms->on_event(m->ms->arg, m, what, reason ? reason : "");
}

static void tell_stream(const struct machine *m, struct stream *s)
{
	if (m->ms->on_stream)
		m->ms->on_stream(m->ms->stream_arg, s);
}

/* --- life of a machine --- */

static void unlink_machine(struct machine *m)
{
	struct machine **p = m->spare ? &m->ms->spares : &m->ms->first;

	while (*p != m)
		p = &(*p)->next;
	*p = m->next;
	if (m->ms->last == &m->next)
		m->ms->last = p;
}

/* Frees what is there of it; not the row. The hv_vm must be at rest, or hv itself be gone already. */
static void free_machine(struct machine *m)
{
	loop_cancel(m->ms->loop, &m->gone);
	loop_cancel(m->ms->loop, &m->rouse);
	m->memory_fd = fd_close(m->memory_fd);
	if (m->vm)
		m->vm = hv_vm_destroy(m->vm);
	m->shells = shells_destroy(m->shells);
	m->setup = setup_destroy(m->setup);
	m->tie = agent_tie_destroy(m->tie);
	m->secrets = secrets_destroy(m->secrets);
	m->console = stream_destroy(m->console);
	spec_finish(&m->spec);
	free(m);
}

static void on_output(void *arg, const uint8_t *data, size_t len)
{
	const struct machine *m = arg;

	hv_vm_console_seen(m->vm, data, len);
}

static const struct stream_hooks stream_hooks = { .on_output = on_output };

/* Everybody who looks at one of its terminals hears of it. */
static void notify(struct machine *m)
{
	stream_notify(m->console);
	for (struct shell *sh = m->shells ? shell_next(m->shells, NULL) : NULL; sh; sh = shell_next(m->shells, sh))
		stream_notify(shell_stream(sh));
}

static void on_shells(void *arg)
{
	notify(arg);
}

static void on_shell_stream(void *arg, struct stream *s)
{
	tell_stream(arg, s);
}

static void on_setup(void *arg)
{
	notify(arg);
}

static const struct setup_hooks setup_hooks = { .on_change = on_setup };
static const struct shells_hooks shells_hooks = { .on_change = on_shells, .on_stream = on_shell_stream };

/* A machine of @row, known to hv, in no list yet. Return: the machine, or NULL without memory. */
static struct machine *new_machine(struct machines *ms, const struct vm_row *row, const struct vm_spec *spec)
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
		free_machine(m);
		return NULL;
	}
	return m;
}

static void append(struct machines *ms, struct machine *m)
{
	m->next = NULL;
	*ms->last = m;
	ms->last = &m->next;
}

static struct machine *add_machine(struct machines *ms, const struct vm_row *row, const struct vm_spec *spec)
{
	struct machine *m = new_machine(ms, row, spec);

	if (m)
		append(ms, m);
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
	tell(m, MACHINE_GONE, "");
	m->ms->deleted++;
	unlink_machine(m);
	free_machine(m);
	return 0;
}

static void run_gone(struct loop_task *task)
{
	struct machine *m = container_of(task, struct machine, gone);
	struct err e = { 0 };

	/* Started again meanwhile, by a reset of the guest say: the next stop comes back here. */
	if (!at_rest(state_of(m)))
		return;
	if (forget(m, &e) < 0) {
		m->deleting = false;
		log_err("machine %s stays: %s", m->id_text, e.msg);
	}
}

/* --- what hv tells --- */

/* So that the next process knows it. */
static void keep_rest(const struct machine *m, const struct hv_view *view)
{
	enum vm_rest rest = !at_rest(view->state) ? VM_REST_UP : view->state == HV_FAILED ? VM_REST_FAILED :
			    view->state == HV_STANDBY ? VM_REST_STANDBY : VM_REST_STOPPED;
	struct err e = { 0 };

	if (store_vm_rest(m->ms->store, m->id, rest, rest == VM_REST_UP || !view->reason ? "" : view->reason, &e) < 0)
		log_warn("machine %s: %s", m->id_text, e.msg);
}

/* Between "at rest" and "up" there is something to tell; states within are not. */
static void note_state(struct machine *m, const struct hv_view *view)
{
	bool up = !at_rest(view->state);

	if (up != m->up || !up)
		keep_rest(m, view);
	if (up == m->up)
		return;
	m->up = up;
	machine_touch(m);
	tell(m, up ? MACHINE_UP : view->state == HV_FAILED ? MACHINE_FAILED : MACHINE_STOPPED, view->reason);
}

static void programs_gone(struct machine *m, const char *why)
{
	shells_end(m->shells, why);
	setup_gone(m->setup, why);
}

static void forget_plugs(struct machine *m);

static void guest_gone(struct machine *m, const char *why)
{
	forget_plugs(m);
	if (m->tie)
		agent_tie_rest(m->tie);
	m->aside = false;
	if (m->memory_fd >= 0) { /* it has ended while it was written */
		m->memory_fd = fd_close(m->memory_fd);
		standby_drop(m->ms->standby_dir, m->id_text);
	}
	programs_gone(m, why);
}

static void run_spare_gone(struct loop_task *task)
{
	struct machine *m = container_of(task, struct machine, gone);

	unlink_machine(m);
	free_machine(m);
}

/* One that is nobody's: when it has ended, it is forgotten, and the pool makes another. */
static void on_spare_state(struct machine *m, const struct hv_view *view)
{
	bool failed = !m->spare_ready && !m->deleting;

	log_debug("spare machine %s: %s %s", m->id_text, hv_state_name(view->state), view->reason ? view->reason : "");
	if (!at_rest(view->state))
		return;
	if (m->tie)
		agent_tie_rest(m->tie);
	m->spare_ready = false;
	loop_defer(m->ms->loop, &m->gone, run_spare_gone);
	pool_changed(m->ms->pool, m->kind, failed);
}

static void on_state(void *arg, struct hv_vm *vm)
{
	struct machines *ms = arg;
	struct machine *m = hv_vm_owner(vm);
	struct hv_view view;

	hv_vm_view(vm, &view);
	if (m->spare) {
		on_spare_state(m, &view);
		return;
	}
	log_info("machine %s: %s%s%s", m->id_text, hv_state_name(view.state), view.reason && view.reason[0] ? ": " : "",
		 view.reason ? view.reason : "");
	if (view.state == HV_FAILED && !m->recalled)
		ms->failed++;
	m->recalled = false;
	note_state(m, &view);
	if (view.state == HV_READY)
		stream_speak(m->console);
	if (view.state == HV_STANDBY) {
		if (m->tie)
			agent_tie_rest(m->tie);
	} else if (view.state == HV_READY && view.wakes && m->aside) {
		m->aside = false;
		standby_drop(ms->standby_dir, m->id_text);
	} else if (at_rest(view.state) || (view.state == HV_PLACING && !view.wakes))
		guest_gone(m, "the machine has stopped");
	else if (view.state == HV_BOOTING && m->was_ready)
		programs_gone(m, "the machine was started anew"); /* its agent will be another one: on_agent() follows */
	m->was_ready = view.state == HV_READY || view.state == HV_PAUSED;
	notify(m);
	if (m->deleting && at_rest(view.state))
		loop_defer(ms->loop, &m->gone, run_gone);
}

static void on_console(void *arg, struct hv_vm *vm, const struct hv_console *c)
{
	struct machine *m = hv_vm_owner(vm);
	struct hv_console con = *c;
	struct hv_view view;
	int r;

	(void)arg;
	hv_vm_view(vm, &view);
	m->found = c->adopted;
	if (view.wakes && standby_ring(m->ms->standby_dir, m->id_text, con.ring_fd, con.ring_bytes) == 0)
		con.adopted = true;
	r = stream_open(m->console, &con);
	if (r < 0)
		log_err("machine %s: its console cannot be served: %s", m->id_text, strerror(-r));
	else if (!m->spare)
		tell_stream(m, m->console);
	shells_expect(m->shells);
}

static void on_exit_hook(void *arg, struct hv_vm *vm, int code, int signal)
{
	struct machine *m = hv_vm_owner(vm);

	(void)arg;
	if (!m->aside)
		stream_exit(m->console, code, signal);
}

static void on_online(void *arg)
{
	struct machines *ms = arg;

	log_info("the helper is connected");
	/* What was not found running has ended while nobody looked. */
	for (struct machine *m = ms->first; m; m = m->next) {
		if (at_rest(state_of(m)) && !m->aside)
			programs_gone(m, "the machine has stopped");
	}
}

/* --- its agent --- */

static void on_tie_state(void *arg)
{
	notify(arg);
}

static int on_renew(void *arg)
{
	const struct machine *m = arg;

	return hv_vm_agent_renew(m->vm);
}

static bool is_process(const struct machine *m)
{
	struct hv_view view;

	hv_vm_view(m->vm, &view);
	return strcmp(view.driver ? view.driver : "", "local") == 0;
}

bool machine_takes_secrets(const struct machine *m, struct err *e)
{
	if (m->spec.confidential == VM_CONFIDENTIAL_SNP)
		(void)err_set(e, -EPERM, "a sealed machine takes no secrets from its host; use a sealed terminal");
	else if (is_process(m))
		(void)err_set(e, -EPERM, "the machine is a process of this host, whose memory is not its own");
	else
		return true;
	return false;
}

/* It has its secrets: what uses them may begin. */
static void on_handed_over(void *arg)
{
	struct machine *m = arg;

	setup_ready(m->setup, agent_tie_host(m->tie), m->agent_boot);
}

/* Its agent may be spoken to, and it be used. */
static void agent_here(struct machine *m, const uint8_t boot_id[AGENT_BOOT_BYTES])
{
	shells_ready(m->shells, agent_tie_host(m->tie));
	memcpy(m->agent_boot, boot_id, sizeof(m->agent_boot));
	if (machine_takes_secrets(m, NULL))
		secrets_hand_over(m->secrets, agent_tie_host(m->tie), on_handed_over, m);
	else
		on_handed_over(m);
	hv_vm_agent_seen(m->vm);
}

/*
 * A clone has everything of the machine that it was cloned from, the name of its agent's life too: it gets another one. So does one that was
 * found running and that nobody has introduced.
 */
static void introduce_clone(struct machine *m, const struct hv_view *view)
{
	struct agent_rebirth r = { .interface = "eth0", .release = true, .cols = m->spec.cols, .rows = m->spec.rows };

	if (secret_random(r.boot_id, sizeof(r.boot_id)) < 0)
		return; /* it is not ready in time then, and boots */
	memcpy(m->boot_id, r.boot_id, sizeof(m->boot_id));
	memcpy(r.mac, view->mac_bytes, sizeof(r.mac));
	m->unnamed = true;
	agent_tie_identify(m->tie, m->spec.name, m->id, view, &r);
}

/* All but a name: what takes time is done before it is somebody's. Its shell waits on. */
static void introduce_spare(struct machine *m, const struct hv_view *view, const uint8_t boot_id[AGENT_BOOT_BYTES])
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

static void spare_introduced(struct machine *m)
{
	m->spare_ready = true;
	hv_vm_agent_seen(m->vm);
	pool_changed(m->ms->pool, m->kind, false);
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

/* A guest that has just booted, or a clone of one, is told who it is. */
static void introduce(struct machine *m, const struct hv_view *view, const uint8_t boot_id[AGENT_BOOT_BYTES])
{
	uint8_t before[AGENT_BOOT_BYTES] = { 0 };
	struct err e = { 0 };

	m->unnamed = false;
	if (store_vm_boot(m->ms->store, m->id, before, &e) == 0 && memcmp(before, boot_id, sizeof(before)) == 0) {
		memcpy(m->boot_id, boot_id, sizeof(m->boot_id));
		if (view->wakes) /* it knows all but how late it is */
			agent_tie_identify(m->tie, m->spec.name, m->id, NULL, NULL);
		return;
	}
	if (view->cloned || (m->found && agent_host_version(agent_tie_host(m->tie)) >= AGENT_VERSION_REBIRTH &&
			     m->spec.confidential == VM_CONFIDENTIAL_NONE)) {
		introduce_clone(m, view);
		return;
	}
	memcpy(m->boot_id, boot_id, sizeof(m->boot_id));
	/* The command line of a confidential machine is measured, and says nothing about this one. */
	agent_tie_identify(m->tie, m->spec.name, m->id, m->spec.confidential != VM_CONFIDENTIAL_NONE ? view : NULL, NULL);
}

static void on_introduced(void *arg)
{
	struct machine *m = arg;
	struct err e = { 0 };

	if (m->spare) {
		spare_introduced(m);
		return;
	}
	if (store_vm_set_boot(m->ms->store, m->id, m->boot_id, &e) < 0)
		log_warn("machine %s: %s", m->id_text, e.msg);
	if (!m->unnamed)
		return;
	m->unnamed = false;
	agent_here(m, m->boot_id);
}

static void on_tie_ready(void *arg, const uint8_t boot_id[AGENT_BOOT_BYTES])
{
	struct machine *m = arg;
	struct hv_view view;

	hv_vm_view(m->vm, &view);
	if (!is_process(m)) /* name and clock would be the host's */
		m->spare ? introduce_spare(m, &view, boot_id) : introduce(m, &view, boot_id);
	if (!m->unnamed)
		agent_here(m, boot_id);
}

static const struct agent_tie_hooks tie_hooks = { .on_state = on_tie_state, .renew = on_renew, .on_introduced = on_introduced,
						    .on_ready = on_tie_ready };

static void on_agent(void *arg, struct hv_vm *vm, int fd)
{
	struct machine *m = hv_vm_owner(vm);

	(void)arg;
	if (!m->tie)
		m->tie = agent_tie_create(m->ms->loop, &tie_hooks, m);
	if (m->tie)
		agent_tie_use(m->tie, fd);
	else
		(void)fd_close(fd);
}

/* --- its disks --- */

static struct mdisks disks_of(const struct machine *m)
{
	return (struct mdisks){ .disks = m->ms->disks, .owner = m->owner, .vm = m->id_text, .spec = &m->spec };
}

/* The place of a volume that was plugged in, or of "" a free one. */
static struct plug *find_plug(const struct machine *m, const char *volume)
{
	for (size_t i = 0; i < PLUGS_MAX; i++)
		if (strcmp(m->plugs[i].volume, volume) == 0)
			return (struct plug *)(uintptr_t)&m->plugs[i];
	return NULL;
}

static bool has_plugged(const struct machine *m, const char *volume)
{
	const struct plug *p = find_plug(m, volume);

	return p && p->state != PLUG_REFUSED;
}

struct machine *machine_volume_user(struct machines *ms, int64_t person, const char *home, const struct machine *except)
{
	for (struct machine *m = ms->first; m; m = m->next)
		if (m != except && m->owner == person && !at_rest(state_of(m)) && (strcmp(m->spec.home, home) == 0 || has_plugged(m, home)))
			return m;
	return NULL;
}

static int on_prepare(void *arg, struct hv_vm *vm, struct err *e)
{
	const struct machine *m = hv_vm_owner(vm);
	const struct mdisks md = disks_of(m);

	(void)arg;
	return mdisks_prepare(&md, e);
}

static int on_disks(void *arg, struct hv_vm *vm, struct hv_disk out[HV_DISKS_MAX], struct err *e)
{
	const struct machine *m = hv_vm_owner(vm);
	const struct mdisks md = disks_of(m);

	(void)arg;
	return mdisks_open(&md, out, e);
}

static int on_plug_dir(void *arg, struct hv_vm *vm)
{
	const struct machine *m = hv_vm_owner(vm);

	(void)arg;
	return m->ms->disks ? disks_plug_dir(m->ms->disks, m->id_text) : -ENOENT;
}

/* --- disks that come and go --- */

static void serial_of(const struct disk_row *row, char out[HV_SERIAL_BYTES + 1])
{
	(void)snprintf(out, HV_SERIAL_BYTES + 1, HV_PLUG_PREFIX "%.16s", row->id);
}

struct search {
	const char *serial;
	struct disk_row found;
};

static int is_serial(void *arg, const struct disk_row *row)
{
	struct search *s = arg;
	char serial[HV_SERIAL_BYTES + 1];

	serial_of(row, serial);
	if (strcmp(serial, s->serial) != 0)
		return 0;
	s->found = *row;
	return 1;
}

/* That of a serial number; one that a former process had plugged in gets its place again. NULL for none. */
static struct plug *plug_of(struct machine *m, const char *serial)
{
	struct search s = { .serial = serial };
	struct plug *p = NULL;
	bool more;

	for (size_t i = 0; i < PLUGS_MAX; i++)
		if (m->plugs[i].volume[0] && strcmp(m->plugs[i].serial, serial) == 0)
			return &m->plugs[i];
	if (m->ms->disks && disk_list(disks_db(m->ms->disks), m->owner, 0, INT32_MAX, is_serial, &s, &more, NULL) == 1)
		p = find_plug(m, "");
	if (p) {
		(void)snprintf(p->volume, sizeof(p->volume), "%s", s.found.name);
		(void)snprintf(p->serial, sizeof(p->serial), "%s", serial);
	}
	return p;
}

static void on_plugged(void *arg, struct hv_vm *vm, const char *serial, bool in, const char *why)
{
	struct machine *m = hv_vm_owner(vm);
	struct plug *p = plug_of(m, serial);

	(void)arg;
	if (m->ms->disks)
		disks_plug_unlink(m->ms->disks, m->id_text, serial);
	if (!p)
		return;
	log_info("machine %s: the volume %s is %s%s%s", m->id_text, p->volume, in ? "plugged in" : "out", why ? ": " : "", why ? why : "");
	p->state = in ? PLUG_IN : PLUG_REFUSED;
	(void)snprintf(p->reason, sizeof(p->reason), "%s", why ? why : "");
	if (!in && !why)
		memset(p, 0, sizeof(*p));
	notify(m);
}

static void forget_plugs(struct machine *m)
{
	for (size_t i = 0; i < PLUGS_MAX; i++)
		if (m->plugs[i].volume[0] && m->ms->disks)
			disks_plug_unlink(m->ms->disks, m->id_text, m->plugs[i].serial);
	memset(m->plugs, 0, sizeof(m->plugs));
}

/* A disk has been made, or not: who waits for it? */
static void on_disk(void *arg, const struct disk_row *row)
{
	struct machines *ms = arg;

	for (struct machine *m = ms->first, *next; m; m = next) {
		const struct mdisks md = disks_of(m);
		struct err e = { 0 };
		char why[sizeof(row->reason) + 96];
		int r;

		next = m->next;
		if (!mdisks_has(&md, row) || state_of(m) != HV_PLACING)
			continue;
		(void)snprintf(why, sizeof(why), "its disk %s could not be made: %s", row->name, row->reason);
		if (row->state == DISK_FAILED)
			hv_vm_prepared(m->vm, why);
		else if ((r = mdisks_prepare(&md, &e)) <= 0)
			hv_vm_prepared(m->vm, r < 0 ? e.msg : NULL);
	}
}

static void on_offline(void *arg, const char *why)
{
	(void)arg;
	log_warn("the helper is away: %s", why ? why : "no reason given");
}

static int put_spec(const struct vm_spec *spec, char *out, size_t size)
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
static int note_size(struct machine *m, const struct vm_size *now, struct err *e)
{
	char text[STORE_SPEC_BYTES];

	m->spec.cpus = now->cpus;
	m->spec.memory_bytes = now->memory_bytes;
	if (put_spec(&m->spec, text, sizeof(text)) < 0)
		return err_set(e, -ENOMEM, "no memory to note the machine");
	return store_vm_spec(m->ms->store, m->id, text, e);
}

static void on_resized(void *arg, struct hv_vm *vm, const char *why)
{
	struct machine *m = hv_vm_owner(vm);
	struct vm_size now, wish;
	struct err e = { 0 };

	(void)arg;
	(void)hv_vm_size(vm, &now, &wish);
	(void)snprintf(m->refused, sizeof(m->refused), "%s", why ? why : "");
	log_info("machine %s has %u processors and %llu MiB%s%s", m->id_text, now.cpus, (unsigned long long)now.memory_bytes >> 20,
		 why ? ": " : "", why ? why : "");
	if (note_size(m, &now, &e) != 0)
		log_err("machine %s: its size is not noted: %s", m->id_text, e.msg);
	stream_notify(m->console);
}

/* It runs on, with its secrets. */
static void not_aside(struct machine *m, const char *why)
{
	struct agent_host *agent = machine_agent(m);

	m->memory_fd = fd_close(m->memory_fd);
	standby_drop(m->ms->standby_dir, m->id_text);
	log_warn("machine %s is not put aside: %s", m->id_text, why);
	(void)snprintf(m->refused, sizeof(m->refused), "it is not put aside: %.200s", why);
	if (agent && !m->unnamed && machine_takes_secrets(m, NULL))
		secrets_hand_over(m->secrets, agent, on_handed_over, m);
	notify(m);
}

/* The guest stands still. What is kept must be whole before its process is ended. */
static int on_saved(void *arg, struct hv_vm *vm, const char *vmm, const char *why)
{
	struct machines *ms = arg;
	struct machine *m = hv_vm_owner(vm);
	struct standby_meta meta = { .key = 0 };
	struct iovec ring[2];
	struct err e = { 0 };
	int r = why ? err_set(&e, -EIO, "%s", why) : hv_vm_wake_key(vm, &meta.key);

	m->memory_fd = fd_close(m->memory_fd);
	(void)snprintf(meta.vmm, sizeof(meta.vmm), "%s", vmm);
	if (r == 0) {
		stream_settle(m->console);
		stream_ring(m->console, ring);
		r = standby_commit(ms->standby_dir, m->id_text, ring, &meta, &e);
	}
	if (r < 0) {
		not_aside(m, e.msg);
		return r;
	}
	log_info("machine %s is put aside: %llu MiB", m->id_text, (unsigned long long)meta.bytes >> 20);
	stream_sleep(m->console);
	m->aside = true;
	return 0;
}

static const struct hv_hooks hv_hooks = {
	.on_saved = on_saved, .on_prepare = on_prepare, .on_disks = on_disks, .on_plugged = on_plugged, .on_plug_dir = on_plug_dir, .on_resized = on_resized, .on_state = on_state, .on_console = on_console, .on_agent = on_agent, .on_exit = on_exit_hook, .on_online = on_online, .on_offline = on_offline,
};

/* --- machines that are kept ready --- */

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

	m = r < 0 ? NULL : new_machine(ms, &row, spec);
	if (!m)
		return -ENOMEM;
	m->spare = true;
	(void)snprintf(m->kind, sizeof(m->kind), "%s", kind);
	m->next = ms->spares;
	ms->spares = m;
	r = hv_vm_start(m->vm, &e);
	if (r < 0) {
		log_warn("no machine can be kept ready: %s", e.msg);
		unlink_machine(m);
		free_machine(m);
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

static const struct pool_hooks pool_hooks = { .count = count_spares, .make = make_spare, .drop = drop_spare, .template = template_of };

/* The first that is ready and of today's image; those that are not go. */
static struct machine *find_spare(struct machines *ms, const char *kind)
{
	for (struct machine *m = ms->spares; m; m = m->next) {
		if (!m->spare_ready || strcmp(m->kind, kind) != 0)
			continue;
		if (hv_vm_fits(m->vm) && state_of(m) == HV_READY && agent_tie_state(m->tie) == AGENT_TIE_READY)
			return m;
		end_spare(m);
	}
	return NULL;
}

/* It becomes the machine of @row. Return: 0, or -ENOMEM and it is as before */
static int take_spare(struct machines *ms, struct machine *m, const struct vm_row *row, const struct vm_spec *spec)
{
	struct vm_spec own;

	if (spec_copy(&own, spec) < 0)
		return -ENOMEM;
	unlink_machine(m);
	m->spare = m->spare_ready = false;
	append(ms, m);
	spec_finish(&m->spec);
	m->spec = own;
	m->owner = row->owner;
	m->created_s = row->created_s;
	memcpy(m->key, row->key, sizeof(m->key));
	hv_vm_become(m->vm, &m->spec);
	return 0;
}

/* From now on it is seen. */
static void reveal(struct machine *m)
{
	struct hv_view view;

	hv_vm_view(m->vm, &view);
	m->was_ready = true;
	stream_speak(m->console);
	note_state(m, &view);
	tell_stream(m, m->console);
	name_spare(m);
	notify(m);
}

/* --- the registry --- */

struct loading {
	struct machines *ms;
	struct err *e;
};

/* It shows its last screen, and waits to be woken. */
static int recall_aside(struct machine *m)
{
	const char *dir = m->ms->standby_dir;
	struct standby_meta meta;
	_close_ int memory = standby_open(dir, m->id_text, &meta);
	_close_ int ring = memory < 0 ? -1 : memfd_create("terrarium-ring", MFD_CLOEXEC);

	if (ring < 0 || ftruncate(ring, meta.ring_bytes) < 0 || standby_ring(dir, m->id_text, ring, meta.ring_bytes) < 0 ||
	    stream_open_asleep(m->console, fd_take(&ring), meta.ring_bytes) < 0)
		return -EIO;
	hv_vm_recall(m->vm, HV_STANDBY, "");
	m->aside = true;
	return 0;
}

static void recall(struct machine *m, const struct vm_row *row)
{
	m->recalled = true;
	if (row->rest == VM_REST_STANDBY && recall_aside(m) == 0)
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
	m = add_machine(l->ms, row, &spec);
	spec_finish(&spec);
	if (!m)
		return err_set(l->e, -ENOMEM, "no memory for the machines");
	recall(m, row);
	if (setup_load(&m->setup, l->ms->loop, store_db(l->ms->store), m->id, &setup_hooks, m, &e) < 0)
		log_err("machine %s: %s", m->id_text, e.msg);
	/* What a former process left of their recordings goes on now: whether the guest still has them is not known yet. */
	for (struct shell *sh = NULL; (sh = shell_next(m->shells, sh));)
		tell_stream(m, shell_stream(sh));
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
		disks_watch(ms->disks, on_disk, ms);
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
	ms->pool = pool_create(loop, &c->pool, &pool_hooks, ms);
	r = ms->pool ? hv_create(&ms->hv, loop, &c->hv, &hv_hooks, ms, e) : err_set(e, -ENOMEM, "no memory for the machines");
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
		free_machine(m);
	}
	ms->pool = pool_destroy(ms->pool);
	while (ms->first) {
		struct machine *m = ms->first;

		ms->first = m->next;
		m->vm = NULL;
		free_machine(m);
	}
	free(ms);
	return NULL;
}

void machines_host(const struct machines *ms, struct hv_host *out)
{
	hv_host(ms->hv, out);
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
	return !at_rest(state_of(m));
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

struct agent_host *machine_agent(const struct machine *m)
{
	return m->tie && agent_tie_state(m->tie) == AGENT_TIE_READY ? agent_tie_host(m->tie) : NULL;
}

int machine_confidential(const struct machine *m, struct confidential *out, struct err *e)
{
	return hv_vm_confidential(m->vm, out, e);
}

struct agent_host *machine_secret_agent(const struct machine *m)
{
	return m->memory_fd < 0 ? machine_agent(m) : NULL; /* not while it goes to disk */
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

/* --- what people ask for --- */

static struct machine *find_key(struct machines *ms, int64_t person, const char *key)
{
	for (struct machine *m = ms->first; m && key[0]; m = m->next)
		if (m->owner == person && strcmp(m->key, key) == 0)
			return m;
	return NULL;
}

/* What the machines of a person have, but for @except (may be NULL). */
static struct quota_use use_of(const struct machines *ms, int64_t person, const struct machine *except)
{
	struct quota_use use = { 0 };
	struct vm_size size;

	for (const struct machine *m = ms->first; m; m = m->next) {
		if (m->owner != person || m == except)
			continue;
		use.machines++;
		machine_size(m, &size);
		use.cpus += size.cpus;
		use.memory_bytes += size.memory_bytes;
	}
	return use;
}

int machine_fits(const struct machine *m, const struct quota *q, struct err *e)
{
	struct quota_use use = use_of(m->ms, m->owner, m);

	if (m->ms->disks && disk_used(disks_db(m->ms->disks), m->owner, m->id_text, &use.disk_bytes, e) < 0)
		return -EIO;
	return quota_check(q, &use, &m->spec, e) ? MACHINE_E_QUOTA : 0;
}

static int fill_row(struct vm_row *row, int64_t person, const struct vm_spec *spec, const char *key, struct err *e)
{
	int r = secret_random(row->id, sizeof(row->id));

	if (put_spec(spec, row->spec, sizeof(row->spec)) < 0)
		return err_set(e, -ENOMEM, "no memory to note the machine");
	if (r < 0)
		return err_set(e, r, "no randomness for the machine's id: %s", strerror(-r));
	row->owner = person;
	row->created_s = time(NULL);
	(void)snprintf(row->key, sizeof(row->key), "%s", key);
	return 0;
}

/* One at a time writes a volume. */
static bool home_taken(struct machines *ms, int64_t person, const struct vm_spec *spec, const struct machine *except, struct err *e)
{
	const struct machine *user = spec->home[0] ? machine_volume_user(ms, person, spec->home, except) : NULL;

	if (user)
		err_set(e, -EBUSY, "home: the volume %s is being used by your machine %s; stop that one first", spec->home, user->spec.name);
	return user;
}

/* May this be made? Return: 0, or MACHINE_E_* */
static int check_wish(struct machines *ms, const struct machine_wish *w, struct machine **out, struct err *e)
{
	const struct mdisks md = { .disks = ms->disks, .owner = w->person, .vm = "", .spec = w->spec };
	struct quota_use use = use_of(ms, w->person, NULL);
	uint64_t home = 0;
	int r;

	*out = find_key(ms, w->person, w->key);
	if (*out)
		return MACHINE_E_REPEATED;
	r = mdisks_check(&md, &home, e);
	if (r < 0)
		return r == -ENOENT ? MACHINE_E_CANNOT : r;
	if (ms->disks && disk_used(disks_db(ms->disks), w->person, "", &use.disk_bytes, e) < 0)
		return -EIO;
	if (quota_disk(w->quota, use.disk_bytes, home, "home", e))
		return MACHINE_E_QUOTA;
	use.disk_bytes += home;
	r = quota_check(w->quota, &use, w->spec, e);
	if (r == QUOTA_E_MACHINES)
		*out = machine_next(ms, w->person, NULL);
	if (r)
		return r == QUOTA_E_MACHINES ? MACHINE_E_EXISTS : MACHINE_E_QUOTA;
	if (home_taken(ms, w->person, w->spec, NULL, e))
		return MACHINE_E_CANNOT;
	return hv_online(ms->hv) ? 0 : err_set(e, MACHINE_E_OFFLINE, "the helper that starts machines is away");
}

static struct machine *want_spare(struct machines *ms, const struct vm_spec *spec, const char *kind)
{
	struct machine *m = find_spare(ms, kind);

	pool_wanted(ms->pool, spec, kind);
	pool_taken(ms->pool, m != NULL);
	return m;
}

int machine_create(struct machines *ms, const struct machine_wish *w, struct machine **out, struct err *e)
{
	struct vm_row row = { 0 };
	struct err why = { 0 };
	struct machine *m, *spare;
	char kind[POOL_KIND_BYTES];
	struct mdisks md;
	int r = check_wish(ms, w, out, e);

	if (r)
		return r;
	r = fill_row(&row, w->person, w->spec, w->key, e);
	spare = r == 0 && !mdisks_any(w->spec) && pool_kind(w->spec, kind) == 0 ? want_spare(ms, w->spec, kind) : NULL;
	if (spare)
		memcpy(row.id, spare->id, sizeof(row.id));
	if (r == 0)
		r = store_vm_put(ms->store, &row, e);
	if (r != 0)
		return r < 0 ? r : err_set(e, -EIO, "two machines got one id");
	m = spare && take_spare(ms, spare, &row, w->spec) == 0 ? spare : spare ? NULL : add_machine(ms, &row, w->spec);
	r = m ? setup_create(&m->setup, ms->loop, store_db(ms->store), m->id, w->recipe, &setup_hooks, m, e) :
		err_set(e, -ENOMEM, "no memory for the machine");
	if (r < 0) {
		(void)store_vm_drop(ms->store, row.id, NULL);
		if (m && spare) {
			m->deleting = true;
			(void)hv_vm_stop(m->vm, HV_STOP_KILL, NULL);
		} else if (m) {
			unlink_machine(m);
			free_machine(m);
		}
		return r;
	}
	ms->created++;
	log_info("machine %s created%s", m->id_text, spare ? ", which was kept ready" : "");
	*out = m;
	if (spare) {
		reveal(m);
		pool_changed(ms->pool, kind, false);
		return 0;
	}
	md = disks_of(m);
	r = mdisks_any(w->spec) ? mdisks_make(&md, e) : 0;
	if (r < 0) {
		m->deleting = true;
		loop_defer(ms->loop, &m->gone, run_gone);
		return r;
	}
	/* A machine that cannot start stays, as failed or stopped, and says why; its owner may start it again. */
	if (hv_vm_start(m->vm, &why) < 0)
		log_warn("machine %s does not start: %s", m->id_text, why.msg);
	return 0;
}

static int wrong_state(const struct machine *m, const char *what, struct err *e)
{
	return err_set(e, MACHINE_E_STATE, "a machine that is %s cannot be %s", hv_state_name(state_of(m)), what);
}

static int offline(const struct machine *m, struct err *e)
{
	return hv_online(m->ms->hv) ? 0 : err_set(e, MACHINE_E_OFFLINE, "the helper that runs machines is away");
}

/* What hv refuses with a reason for people. */
static int refused(int r)
{
	return r == -EOPNOTSUPP || r == -EINVAL || r == -EBUSY ? MACHINE_E_CANNOT : r;
}

/* What was kept of it is of no use, or not wanted. */
static void discard(struct machine *m)
{
	standby_drop(m->ms->standby_dir, m->id_text);
	m->aside = false;
	hv_vm_discard(m->vm);
}

/* On from where it was put aside. If that cannot be, it boots. */
static int wake(struct machine *m, struct err *e)
{
	struct standby_meta meta;
	uint64_t key = 0;
	_close_ int fd = standby_open(m->ms->standby_dir, m->id_text, &meta);
	int r = fd < 0 ? fd : hv_vm_wake_key(m->vm, &key);

	if (r >= 0 && key == meta.key) {
		r = hv_vm_wake(m->vm, fd, meta.vmm, e);
		if (r == 0)
			(void)fd_take(&fd);
		return r;
	}
	log_warn("machine %s boots, for %s", m->id_text, r < 0 ? "what was kept of it is damaged" :
		 "its image, its size, the processor or QEMU is another one than when it was put aside");
	discard(m);
	return hv_vm_start(m->vm, e);
}

static void run_rouse(struct loop_task *task)
{
	struct machine *m = container_of(task, struct machine, rouse);
	struct err e = { 0 };

	if (state_of(m) == HV_STANDBY && !m->deleting && wake(m, &e) < 0)
		log_warn("machine %s is not woken: %s", m->id_text, e.msg);
}

void machine_rouse(struct machine *m)
{
	if (state_of(m) == HV_STANDBY)
		loop_defer(m->ms->loop, &m->rouse, run_rouse);
}

/* Its secrets stay in this process' memory, and are no part of what goes to disk. */
static void on_withdrawn(void *arg, int status)
{
	struct machine *m = arg;
	struct err e = { 0 };

	if (m->memory_fd < 0)
		return;
	if (status < 0)
		(void)err_set(&e, status, "its secrets cannot be taken out of it: %s", strerror(-status));
	if (status < 0 || hv_vm_suspend(m->vm, m->memory_fd, &e) < 0)
		not_aside(m, e.msg);
}

int machine_suspend(struct machine *m, struct err *e)
{
	struct agent_host *agent;
	int r;

	if (m->deleting || state_of(m) != HV_READY || m->unnamed || m->memory_fd >= 0)
		return wrong_state(m, "put aside", e);
	/* Meanwhile another machine may use it, and what this one remembers of it would be wrong. */
	if (m->spec.home[0])
		return err_set(e, MACHINE_E_CANNOT, "a machine with a home that other machines can use cannot be put aside");
	for (size_t i = 0; i < PLUGS_MAX; i++)
		if (m->plugs[i].volume[0] && m->plugs[i].state != PLUG_REFUSED)
			return err_set(e, MACHINE_E_CANNOT, "a machine with a volume that was plugged in cannot be put aside; unplug %s first", m->plugs[i].volume);
	if (!m->ms->standby_dir[0])
		return err_set(e, MACHINE_E_CANNOT, "there is no directory for machines that are put aside");
	if (offline(m, e))
		return MACHINE_E_OFFLINE;
	r = standby_begin(m->ms->standby_dir, m->id_text, m->spec.memory_bytes, e);
	if (r < 0)
		return MACHINE_E_CANNOT;
	m->memory_fd = r;
	m->refused[0] = '\0';
	agent = machine_agent(m);
	if (agent && agent_host_version(agent) >= AGENT_VERSION_SECRET && machine_takes_secrets(m, NULL)) {
		secrets_withdraw(m->secrets, agent, on_withdrawn, m);
		return 0;
	}
	r = refused(hv_vm_suspend(m->vm, m->memory_fd, e));
	if (r != 0)
		not_aside(m, e ? e->msg : "");
	return r;
}

int machine_start(struct machine *m, struct err *e)
{
	if (m->deleting || !at_rest(state_of(m)))
		return wrong_state(m, "started", e);
	if (home_taken(m->ms, m->owner, &m->spec, m, e))
		return MACHINE_E_CANNOT;
	if (offline(m, e))
		return MACHINE_E_OFFLINE;
	return state_of(m) == HV_STANDBY ? wake(m, e) : hv_vm_start(m->vm, e);
}

int machine_stop(struct machine *m, enum hv_stop how, struct err *e)
{
	enum hv_state s = state_of(m);

	if (s == HV_STANDBY) {
		discard(m);
		return 0;
	}
	/* Stopping twice is fine when the second one is meant to be harder. */
	if (at_rest(s) || (s == HV_STOPPING && how == HV_STOP_ASK))
		return wrong_state(m, "stopped", e);
	return offline(m, e) ? MACHINE_E_OFFLINE : hv_vm_stop(m->vm, how, e);
}

int machine_restart(struct machine *m, struct err *e)
{
	enum hv_state s = state_of(m);

	if (m->deleting || (!at_rest(s) && s != HV_BOOTING && s != HV_READY))
		return wrong_state(m, "restarted", e);
	if (at_rest(s) && home_taken(m->ms, m->owner, &m->spec, m, e))
		return MACHINE_E_CANNOT;
	if (offline(m, e))
		return MACHINE_E_OFFLINE;
	if (s == HV_STANDBY)
		discard(m);
	return at_rest(s) ? hv_vm_start(m->vm, e) : hv_vm_reset(m->vm, e);
}

int machine_pause(struct machine *m, struct err *e)
{
	if (m->deleting || state_of(m) != HV_READY)
		return wrong_state(m, "paused", e);
	return offline(m, e) ? MACHINE_E_OFFLINE : refused(hv_vm_pause(m->vm, e));
}

int machine_resume(struct machine *m, struct err *e)
{
	if (m->deleting || state_of(m) != HV_PAUSED)
		return wrong_state(m, "resumed", e);
	return offline(m, e) ? MACHINE_E_OFFLINE : refused(hv_vm_resume(m->vm, e));
}

void machine_size(const struct machine *m, struct vm_size *out)
{
	struct vm_size now;

	(void)hv_vm_size(m->vm, &now, out);
}

int machine_resize(struct machine *m, const struct vm_size *size, const struct quota *q, struct err *e)
{
	struct quota_use use = use_of(m->ms, m->owner, m);
	struct vm_spec spec = m->spec;
	enum hv_state s = state_of(m);
	int r;

	spec.cpus = size->cpus;
	spec.memory_bytes = size->memory_bytes;
	if (quota_check(q, &use, &spec, e))
		return MACHINE_E_QUOTA;
	if (m->deleting || (!at_rest(s) && s != HV_READY))
		return wrong_state(m, "changed in size", e);
	if (!at_rest(s) && offline(m, e))
		return MACHINE_E_OFFLINE;
	m->refused[0] = '\0';
	m->asked = *size;
	r = refused(hv_vm_resize(m->vm, size, e));
	return r == 0 && at_rest(s) ? note_size(m, size, e) : r;
}

/* One at a time, and what stands in the way of it. */
static int may_change_disks(struct machine *m, const struct disk_row *row, struct err *e)
{
	if (m->deleting || state_of(m) != HV_READY)
		return wrong_state(m, "given or deprived of disks", e);
	if (offline(m, e))
		return MACHINE_E_OFFLINE;
	return strcmp(m->spec.home, row->name) == 0 ? err_set(e, MACHINE_E_CANNOT, "volume: %s is the machine's home, from its start to its end", row->name) : 0;
}

int machine_plug(struct machine *m, const struct disk_row *row, struct err *e)
{
	const struct machine *user = machine_volume_user(m->ms, m->owner, row->name, NULL);
	struct hv_disk disk = { .fd = -1 };
	struct plug *p = find_plug(m, row->name);
	int r = may_change_disks(m, row, e);

	if (r != 0)
		return r;
	if (user)
		return err_set(e, MACHINE_E_CANNOT, "volume: %s is being used by your machine %s", row->name, user->spec.name);
	p = p ? p : find_plug(m, "");
	if (!p)
		return err_set(e, MACHINE_E_CANNOT, "the machine has %d disks more than it was made with, and can have no more", PLUGS_MAX);
	serial_of(row, disk.serial);
	r = disks_open(m->ms->disks, row, &disk.fd, e);
	if (r == 0)
		r = disks_plug_link(m->ms->disks, row, m->id_text, disk.serial, e);
	if (r == 0)
		r = hv_vm_plug(m->vm, &disk, e);
	(void)fd_close(disk.fd);
	if (r != 0) {
		disks_plug_unlink(m->ms->disks, m->id_text, disk.serial);
		return r == DISKS_E_BUSY ? MACHINE_E_CANNOT : refused(r);
	}
	*p = (struct plug){ .state = PLUG_BEGUN };
	(void)snprintf(p->volume, sizeof(p->volume), "%s", row->name);
	(void)snprintf(p->serial, sizeof(p->serial), "%s", disk.serial);
	return 0;
}

int machine_unplug(struct machine *m, const struct disk_row *row, struct err *e)
{
	struct plug *p = find_plug(m, row->name);
	int r = may_change_disks(m, row, e);

	if (r != 0)
		return r;
	if (!p || p->state == PLUG_REFUSED)
		return err_set(e, MACHINE_E_CANNOT, "volume: %s is not plugged into this machine", row->name);
	r = hv_vm_unplug(m->vm, p->serial, e);
	if (r == 0)
		p->state = PLUG_LEAVING;
	return refused(r);
}

const char *machine_bootlog(const struct machine *m, size_t *len)
{
	return hv_vm_bootlog(m->vm, len);
}

int machine_delete(struct machine *m, struct err *e)
{
	int r;

	if (m->deleting)
		return 0;
	if (at_rest(state_of(m))) {
		/* Not here and now: the caller, or hv above it, may still hold it. */
		m->deleting = true;
		loop_defer(m->ms->loop, &m->gone, run_gone);
		return 0;
	}
	if (offline(m, e))
		return MACHINE_E_OFFLINE;
	r = state_of(m) == HV_STOPPING ? 0 : hv_vm_stop(m->vm, HV_STOP_ASK, e);
	if (r == 0)
		m->deleting = true;
	return r;
}

/* --- telling --- */

static json_t *text_or_null(const char *text)
{
	return text && text[0] ? json_string(text) : json_null();
}

static void time_text(int64_t s, char out[32])
{
	time_t t = (time_t)s;
	struct tm tm;

	gmtime_r(&t, &tm);
	(void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static json_t *streams_json(const struct machine *m)
{
	json_t *list = json_pack("[{s:s, s:s}]", "id", stream_id(m->console), "kind", "console");

	for (struct shell *sh = shell_next(m->shells, NULL); sh; sh = shell_next(m->shells, sh)) {
		if (!shell_is_command(sh))
			(void)json_array_append_new(list, json_pack("{s:s, s:s}", "id", stream_id(shell_stream(sh)), "kind",
								    shell_sealed(sh) ? "sealed" : "shell"));
	}
	return list;
}

static const char *agent_word(const struct machine *m)
{
	return agent_tie_state_name(m->tie ? agent_tie_state(m->tie) : AGENT_TIE_NONE);
}

/* The change of size under way or refused; null when there is none. */
static json_t *resize_json(const struct machine *m)
{
	struct vm_size now, wish;
	bool under_way = hv_vm_size(m->vm, &now, &wish);

	if (!under_way && m->refused[0] == '\0')
		return json_null();
	if (!under_way)
		wish = m->asked;
	return json_pack("{s:i, s:I, s:s, s:o}", "cpus", (int)wish.cpus, "memory", (json_int_t)wish.memory_bytes, "state",
			 under_way ? "under_way" : "refused", "reason", text_or_null(under_way ? "" : m->refused));
}

static const struct agent_tie_health *health_of(const struct machine *m)
{
	return m->tie ? agent_tie_health(m->tie) : NULL;
}

static json_t *plugs_json(const struct machine *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < PLUGS_MAX; i++) {
		const struct plug *p = &m->plugs[i];

		if (p->volume[0])
			(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "volume", p->volume, "serial", p->serial, "state",
								    plug_names[p->state], "reason", text_or_null(p->reason)));
	}
	return list;
}

json_t *machine_json(const struct machine *m)
{
	struct hv_view v;
	char created[32];

	hv_vm_view(m->vm, &v);
	time_text(m->created_s, created);
	return json_pack("{s:s, s:s, s:s, s:i, s:I, s:s, s:s, s:I, s:o, s:s, s:s, s:b, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:o, s:I, s:o}", "id",
			 m->id_text, "name", m->spec.name, "image", m->spec.image, "cpus", (int)m->spec.cpus, "memory",
			 (json_int_t)m->spec.memory_bytes, "network", vm_net_name(m->spec.net), "state", hv_state_name(v.state), "state_ms",
			 (json_int_t)(loop_now_ms() - v.state_since_ms), "reason", text_or_null(v.reason), "driver",
			 v.driver ? v.driver : "", "accel", v.accel ? v.accel : "", "can_resize", v.can_resize, "ip4",
			 text_or_null(v.ip4), "ip6", text_or_null(v.ip6), "gateway4", text_or_null(v.gw4), "created_at", created,
			 "agent", agent_word(m), "resize", resize_json(m), "streams", streams_json(m), "confidential", vm_confidential_name(m->spec.confidential), "recipe",
			 text_or_null(setup_recipe(m->setup)), "setup", setup_json(m->setup, false), "health", health_json(health_of(m)),
			 "disk", (json_int_t)m->spec.overlay_bytes, "home",
			 text_or_null(m->spec.home), "data", (json_int_t)m->spec.data_bytes, "disks", plugs_json(m));
}

static void agent_metrics(const struct machines *ms, struct buf *out)
{
	uint32_t ready = 0, open = 0;

	for (const struct machine *m = ms->first; m; m = m->next) {
		ready += machine_agent(m) != NULL;
		open += shells_open_count(m->shells);
	}
	(void)buf_printf(out,
			 "# TYPE terrarium_agents_ready gauge\nterrarium_agents_ready %u\n"
			 "# TYPE terrarium_shells gauge\nterrarium_shells %u\n"
			 "# TYPE terrarium_shells_opened_total counter\nterrarium_shells_opened_total %llu\n"
			 "# TYPE terrarium_shell_output_bytes_total counter\nterrarium_shell_output_bytes_total %llu\n"
			 "# TYPE terrarium_shell_input_bytes_total counter\nterrarium_shell_input_bytes_total %llu\n",
			 ready, open, (unsigned long long)ms->shells.opened, (unsigned long long)ms->shells.bytes_out,
			 (unsigned long long)ms->shells.bytes_in);
}

/* Of the first HEALTH_METRICS_MAX that answer: a scrape stays small, however many machines there are. */
static void health_lines(const struct machines *ms, struct buf *out)
{
	unsigned n = 0, left_out = 0;

	for (const struct health_metric *f = health_metrics; f->name; f++) {
		n = left_out = 0;
		(void)buf_printf(out, "# TYPE %s gauge\n", f->name);
		for (const struct machine *m = ms->first; m; m = m->next) {
			const struct agent_tie_health *h = health_of(m);
			double v = 0;

			if (!h)
				continue;
			if (n++ >= HEALTH_METRICS_MAX)
				left_out++;
			else if (f->take(h, &v))
				(void)buf_printf(out, "%s{machine=\"%s\"} %.15g\n", f->name, m->id_text, v);
		}
	}
	(void)buf_printf(out, "# TYPE terrarium_machines_without_lines gauge\nterrarium_machines_without_lines %u\n", left_out);
}

/* As far as the drivers count: Cloud Hypervisor does. */
static void guest_metrics(const struct machines *ms, struct buf *out)
{
	struct hv_counters c;

	hv_counters(ms->hv, &c);
	(void)buf_printf(out,
			 "# TYPE terrarium_guest_network_bytes_total counter\n"
			 "terrarium_guest_network_bytes_total{direction=\"received\"} %llu\n"
			 "terrarium_guest_network_bytes_total{direction=\"sent\"} %llu\n"
			 "# TYPE terrarium_guest_network_frames_total counter\n"
			 "terrarium_guest_network_frames_total{direction=\"received\"} %llu\n"
			 "terrarium_guest_network_frames_total{direction=\"sent\"} %llu\n"
			 "# TYPE terrarium_guest_disk_bytes_total counter\n"
			 "terrarium_guest_disk_bytes_total{direction=\"read\"} %llu\n"
			 "terrarium_guest_disk_bytes_total{direction=\"written\"} %llu\n",
			 (unsigned long long)c.rx_bytes, (unsigned long long)c.tx_bytes, (unsigned long long)c.rx_frames,
			 (unsigned long long)c.tx_frames, (unsigned long long)c.read_bytes, (unsigned long long)c.write_bytes);
}

void machines_pool(const struct machines *ms, struct pool_state *out)
{
	pool_state(ms->pool, out);
}

static void pool_metrics(const struct machines *ms, struct buf *out)
{
	struct pool_state p;

	machines_pool(ms, &p);
	(void)buf_printf(out,
			 "# TYPE terrarium_pool_machines gauge\nterrarium_pool_machines{state=\"ready\"} %u\n"
			 "terrarium_pool_machines{state=\"making\"} %u\nterrarium_pool_machines{state=\"wanted\"} %u\n"
			 "# TYPE terrarium_pool_low_memory gauge\nterrarium_pool_low_memory %d\n"
			 "# TYPE terrarium_pool_taken_total counter\nterrarium_pool_taken_total %llu\n"
			 "# TYPE terrarium_pool_missed_total counter\nterrarium_pool_missed_total %llu\n"
			 "# TYPE terrarium_pool_failed_total counter\nterrarium_pool_failed_total %llu\n",
			 p.ready, p.making, p.wanted, p.low, (unsigned long long)p.taken, (unsigned long long)p.missed,
			 (unsigned long long)p.failed);
}

void machines_metrics(const struct machines *ms, struct buf *out)
{
	uint32_t counts[HV_STATE_COUNT] = { 0 };
	struct hv_host host;

	for (const struct machine *m = ms->first; m; m = m->next)
		counts[state_of(m)]++;
	hv_host(ms->hv, &host);
	agent_metrics(ms, out);
	(void)buf_printf(out, "# TYPE terrarium_machines gauge\n");
	for (int s = 0; s < HV_STATE_COUNT; s++)
		(void)buf_printf(out, "terrarium_machines{state=\"%s\"} %u\n", hv_state_name((enum hv_state)s), counts[s]);
	(void)buf_printf(out,
			 "# TYPE terrarium_machines_created_total counter\nterrarium_machines_created_total %llu\n"
			 "# TYPE terrarium_machines_deleted_total counter\nterrarium_machines_deleted_total %llu\n"
			 "# TYPE terrarium_machines_failed_total counter\nterrarium_machines_failed_total %llu\n"
			 "# TYPE terrarium_helper_online gauge\nterrarium_helper_online %d\n"
			 "# TYPE terrarium_slots_used gauge\nterrarium_slots_used %u\n"
			 "# TYPE terrarium_slots_max gauge\nterrarium_slots_max %u\n",
			 (unsigned long long)ms->created, (unsigned long long)ms->deleted, (unsigned long long)ms->failed, host.online,
			 host.slots_used, host.slots_max);
	guest_metrics(ms, out);
	health_lines(ms, out);
	pool_metrics(ms, out);
}
