/* SPDX-License-Identifier: Apache-2.0 */
/* What hv tells about machines, and what follows from it. */
#include "gateway/machine_priv.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "gateway/setup.h"
#include "gateway/standby.h"
#include "gateway/stream.h"

/* So that the next process knows it. */
static void keep_rest(const struct machine *m, const struct hv_view *view)
{
	enum vm_rest rest = !machine_at_rest(view->state) ? VM_REST_UP : view->state == HV_FAILED ? VM_REST_FAILED :
			    view->state == HV_STANDBY ? VM_REST_STANDBY : VM_REST_STOPPED;
	struct err e = { 0 };

	if (store_vm_rest(m->ms->store, m->id, rest, rest == VM_REST_UP || !view->reason ? "" : view->reason, &e) < 0)
		log_warn("machine %s: %s", m->id_text, e.msg);
}

/* Between "at rest" and "up" there is something to tell; states within are not. */
void machine_note_state(struct machine *m, const struct hv_view *view)
{
	bool up = !machine_at_rest(view->state);

	if (up != m->up || !up)
		keep_rest(m, view);
	if (up == m->up)
		return;
	m->up = up;
	machine_touch(m);
	machine_tell(m, up ? MACHINE_UP : view->state == HV_FAILED ? MACHINE_FAILED : MACHINE_STOPPED, view->reason);
}

static void programs_gone(struct machine *m, const char *why)
{
	shells_end(m->shells, why);
	setup_gone(m->setup, why);
}

static void guest_gone(struct machine *m, const char *why)
{
	machine_forget_plugs(m);
	machine_forget_cards(m);
	if (m->tie)
		agent_tie_rest(m->tie);
	m->aside = false;
	if (m->memory_fd >= 0) { /* it has ended while it was written */
		m->memory_fd = fd_close(m->memory_fd);
		standby_drop(m->ms->standby_dir, m->id_text);
	}
	programs_gone(m, why);
}

static void on_state(void *arg, struct hv_vm *vm)
{
	struct machines *ms = arg;
	struct machine *m = hv_vm_owner(vm);
	struct hv_view view;

	hv_vm_view(vm, &view);
	if (m->spare) {
		machine_on_spare_state(m, &view);
		return;
	}
	log_info("machine %s: %s%s%s", m->id_text, hv_state_name(view.state), view.reason && view.reason[0] ? ": " : "",
		 view.reason ? view.reason : "");
	if (view.state == HV_FAILED && !m->recalled)
		ms->failed++;
	m->recalled = false;
	machine_note_state(m, &view);
	if (view.state == HV_READY)
		stream_speak(m->console);
	if (view.state == HV_STANDBY) {
		if (m->tie)
			agent_tie_rest(m->tie);
	} else if (view.state == HV_READY && view.wakes && m->aside) {
		m->aside = false;
		standby_drop(ms->standby_dir, m->id_text);
	} else if (machine_at_rest(view.state) || (view.state == HV_PLACING && !view.wakes))
		guest_gone(m, "the machine has stopped");
	else if (view.state == HV_BOOTING && m->was_ready) {
		if (m->tie)
			agent_tie_gone(m->tie);
		programs_gone(m, "the machine was started anew");
	}
	m->was_ready = view.state == HV_READY || view.state == HV_PAUSED;
	machine_notify(m);
	if (m->deleting && machine_at_rest(view.state))
		loop_defer(ms->loop, &m->gone, machine_run_gone);
}

static void on_waiting(void *arg, struct hv_vm *vm)
{
	(void)arg;
	machine_notify(hv_vm_owner(vm));
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
		machine_tell_stream(m, m->console);
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
		if (machine_at_rest(machine_state(m)) && !m->aside)
			programs_gone(m, "the machine has stopped");
	}
}

static void on_offline(void *arg, const char *why)
{
	(void)arg;
	log_warn("the helper is away: %s", why ? why : "no reason given");
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
	if (machine_note_size(m, &now, &e) != 0)
		log_err("machine %s: its size is not noted: %s", m->id_text, e.msg);
	stream_notify(m->console);
}

const struct hv_hooks machines_hv_hooks = {
	.on_saved = machine_on_saved, .on_prepare = machine_on_prepare, .on_disks = machine_on_disks, .on_plugged = machine_on_plugged, .on_plug_dir = machine_on_plug_dir, .on_resized = on_resized, .on_state = on_state, .on_waiting = on_waiting, .on_console = on_console, .on_agent = machine_on_agent, .on_agent_gone = machine_on_agent_gone, .on_exit = on_exit_hook, .on_online = on_online, .on_offline = on_offline,
};
