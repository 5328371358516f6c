/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent in a guest tells, and what it is told about itself. */
#include "gateway/machine_priv.h"

#include <errno.h>
#include <string.h>

#include "auth/secret.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "gateway/secrets.h"
#include "gateway/setup.h"
#include "gateway/stream.h"
#include "hv/agent/host.h"

struct agent_host *machine_agent(const struct machine *m)
{
	return m->tie && agent_tie_state(m->tie) == AGENT_TIE_READY ? agent_tie_host(m->tie) : NULL;
}

struct agent_host *machine_secret_agent(const struct machine *m)
{
	return m->memory_fd < 0 ? machine_agent(m) : NULL; /* not while it goes to disk */
}

static void on_tie_state(void *arg)
{
	machine_notify(arg);
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
void machine_on_handed_over(void *arg)
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
		secrets_hand_over(m->secrets, agent_tie_host(m->tie), machine_on_handed_over, m);
	else
		machine_on_handed_over(m);
	hv_vm_agent_seen(m->vm);
	machine_tell_cards(m);
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

/*
 * It knows all but how late it is, and where it is now: its slot is another one than before. Its name stays, for that would write files of its owner's
 * anew.
 */
static void introduce_woken(struct machine *m, const struct hv_view *view)
{
	struct agent_rebirth r = { .interface = "eth0" };
	bool knows_how = agent_host_version(agent_tie_host(m->tie)) >= AGENT_VERSION_REBIRTH;

	memcpy(r.boot_id, m->boot_id, sizeof(r.boot_id));
	memcpy(r.mac, view->mac_bytes, sizeof(r.mac));
	agent_tie_identify(m->tie, "", m->id, knows_how ? view : NULL, knows_how ? &r : NULL);
}

/* A guest that has just booted, or a clone of one, is told who it is. */
static void introduce(struct machine *m, const struct hv_view *view, const uint8_t boot_id[AGENT_BOOT_BYTES])
{
	uint8_t before[AGENT_BOOT_BYTES] = { 0 };
	struct err e = { 0 };

	m->unnamed = false;
	if (store_vm_boot(m->ms->store, m->id, before, &e) == 0 && memcmp(before, boot_id, sizeof(before)) == 0) {
		memcpy(m->boot_id, boot_id, sizeof(m->boot_id));
		if (view->wakes)
			introduce_woken(m, view);
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
		machine_spare_introduced(m);
		return;
	}
	if (store_vm_set_boot(m->ms->store, m->id, m->boot_id, &e) < 0)
		log_warn("machine %s: %s", m->id_text, e.msg);
	if (!m->unnamed)
		return;
	m->unnamed = false;
	stream_speak(m->console);
	agent_here(m, m->boot_id);
}

static void on_tie_ready(void *arg, const uint8_t boot_id[AGENT_BOOT_BYTES])
{
	struct machine *m = arg;
	struct hv_view view;

	hv_vm_view(m->vm, &view);
	if (!is_process(m)) /* name and clock would be the host's */
		m->spare ? machine_introduce_spare(m, &view, boot_id) : introduce(m, &view, boot_id);
	if (!m->unnamed)
		agent_here(m, boot_id);
}

static const struct agent_tie_hooks tie_hooks = { .on_state = on_tie_state, .renew = on_renew, .on_introduced = on_introduced,
						    .on_ready = on_tie_ready };

void machine_on_agent(void *arg, struct hv_vm *vm, int fd)
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

void machine_on_agent_gone(void *arg, struct hv_vm *vm)
{
	struct machine *m = hv_vm_owner(vm);

	(void)arg;
	if (m->tie)
		agent_tie_gone(m->tie);
}
