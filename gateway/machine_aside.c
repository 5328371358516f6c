/* SPDX-License-Identifier: Apache-2.0 */
/* Machines that are put aside, with all that is in their memory, into a file, and woken from it. */
#include "gateway/machine_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "gateway/secrets.h"
#include "gateway/standby.h"
#include "gateway/stream.h"
#include "hv/agent/host.h"

/* It runs on, with its secrets. */
static void not_aside(struct machine *m, const char *why)
{
	struct agent_host *agent = machine_agent(m);

	m->memory_fd = fd_close(m->memory_fd);
	standby_drop(m->ms->standby_dir, m->id_text);
	log_warn("machine %s is not put aside: %s", m->id_text, why);
	(void)snprintf(m->refused, sizeof(m->refused), "it is not put aside: %.200s", why);
	if (agent && !m->unnamed && machine_takes_secrets(m, NULL))
		secrets_hand_over(m->secrets, agent, machine_on_handed_over, m);
	machine_notify(m);
}

/* The guest stands still. What is kept must be whole before its process is ended. */
int machine_on_saved(void *arg, struct hv_vm *vm, const char *vmm, const char *why)
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

/* It shows its last screen, and waits to be woken. */
int machine_recall_aside(struct machine *m)
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

/* What was kept of it is of no use, or not wanted. */
void machine_discard(struct machine *m)
{
	standby_drop(m->ms->standby_dir, m->id_text);
	m->aside = false;
	hv_vm_discard(m->vm);
}

/* On from where it was put aside. If that cannot be, it boots. */
int machine_wake(struct machine *m, struct err *e)
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
	machine_discard(m);
	return hv_vm_start(m->vm, e);
}

static void run_rouse(struct loop_task *task)
{
	struct machine *m = container_of(task, struct machine, rouse);
	struct err e = { 0 };

	if (machine_state(m) == HV_STANDBY && !m->deleting && machine_wake(m, &e) < 0)
		log_warn("machine %s is not woken: %s", m->id_text, e.msg);
}

void machine_rouse(struct machine *m)
{
	if (machine_state(m) == HV_STANDBY)
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

	if (m->deleting || machine_state(m) != HV_READY || m->unnamed || m->memory_fd >= 0)
		return machine_wrong_state(m, "put aside", e);
	/* Meanwhile another machine may use it, and what this one remembers of it would be wrong. */
	if (m->spec.home[0])
		return err_set(e, MACHINE_E_CANNOT, "a machine with a home that other machines can use cannot be put aside");
	for (size_t i = 0; m->plugs && i < PLUGS_MAX; i++)
		if (m->plugs[i].volume[0] && m->plugs[i].state != PLUG_REFUSED)
			return err_set(e, MACHINE_E_CANNOT, "a machine with a volume that was plugged in cannot be put aside; unplug %s first", m->plugs[i].volume);
	if (machine_has_card(m))
		return err_set(e, MACHINE_E_CANNOT, "a machine with a network card that was plugged in cannot be put aside; unplug it first");
	if (!m->ms->standby_dir[0])
		return err_set(e, MACHINE_E_CANNOT, "there is no directory for machines that are put aside");
	if (machine_offline(m, e))
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
	r = machine_refused(hv_vm_suspend(m->vm, m->memory_fd, e));
	if (r != 0)
		not_aside(m, e ? e->msg : "");
	return r;
}
