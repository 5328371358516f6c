/* SPDX-License-Identifier: Apache-2.0 */
/* Driver "qemu": machine microvm (virtio over MMIO, quick to boot) or q35 (PCI). */
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "hv/agent/proto.h"
#include "hv/cmdline.h"
#include "hv/confidential.h"
#include "hv/driver.h"
#include "hv/qemu_balloon.h"
#include "hv/qemu_plug.h"
#include "hv/qmp.h"

#define PROGRAM		"qemu-system-x86_64" /* what QEMU calls itself in its messages */
#define MIB		(1ULL << 20)
#define OVERHEAD_BYTES	(192 * MIB) /* QEMU itself, its translation cache, page tables: 60-90 MiB were measured */
#define IO_PERCENT	50 /* for the thread that serves console and network beside busy CPUs */
#define PIDS_MAX	64	    /* a thread for each CPU, the main loop, RCU, a few workers */
#define DISK_PIDS	64	    /* threads that read and write disks; QEMU ends when it cannot start one */
#define LOG_KEEP	512	    /* bytes of what QEMU prints; they go into the reason of a failure */
#define LOG_READS_A_TURN 16
#define AGENT_PORT_ID	"agent-port"
#define SAVE_BYTES_S	(8ULL << 30) /* to a file: as fast as it takes it */

/* --- the command line -------------------------------------------------------------------------------------------------- */

static void args(struct spawn_plan *p, const char *const *list)
{
	for (; *list; list++)
		(void)plan_arg(p, "%s", *list);
}

static void option(struct spawn_plan *p, const char *name, const char *value)
{
	(void)plan_arg(p, "%s", name);
	(void)plan_arg(p, "%s", value);
}

/* Nothing of the host's configuration, nothing that was not asked for, no privileges to win, no program to start. */
static const char *const always[] = {
	"-no-user-config", "-nodefaults", "-display", "none", "-msg", "timestamp=off",
	"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", NULL,
};

/*
 * acpi=on: a Debian kernel finds virtio-mmio devices by ACPI only. rtc=on: without, the kernel waits 2 s for a clock. mem-merge=off:
 * no page of one person's machine is ever merged with another's, whatever ksmd does on this host (docs/templates.md).
 */
#define MACHINE_MICROVM "microvm,rtc=on,acpi=on,mem-merge=off"
/* No timer of 1981: a guest that is told its processor's rate has no use for it, and left alone it wakes QEMU 36 times a second. */
#define WITHOUT_PIT	",pit=off"
#define MACHINE_Q35	"q35,usb=off,smbus=off,sata=off,vmport=off,mem-merge=off"

/* One port beside port 0, which is for consoles: each has two queues, and the preset is 31 ports. */
static void plan_agent(bool microvm, struct spawn_plan *p)
{
	option(p, "-device", microvm ? "virtio-serial-device,max_ports=2" : "virtio-serial-pci,max_ports=2");
	(void)plan_arg(p, "-chardev");
	(void)plan_arg(p, "socket,id=agent,fd=%d", plan_want(p, NETD_FD_STREAM));
	option(p, "-device", "virtserialport,id=" AGENT_PORT_ID ",chardev=agent,name=" AGENT_PORT_NAME);
}

static void plan_devices(const struct plan_input *in, bool microvm, struct spawn_plan *p)
{
	const uint8_t *mac = in->net->mac;

	option(p, "-object", "rng-builtin,id=rng");
	option(p, "-device", microvm ? "virtio-rng-device,rng=rng" : "virtio-rng-pci,rng=rng");
	(void)plan_arg(p, "-chardev");
	(void)plan_arg(p, "socket,id=console,fd=%d", plan_want(p, NETD_FD_STREAM));
	option(p, "-serial", "chardev:console");
	(void)plan_arg(p, "-chardev");
	(void)plan_arg(p, "socket,id=qmp,fd=%d", plan_want(p, NETD_FD_STREAM));
	option(p, "-mon", "chardev=qmp,mode=control");
	plan_agent(microvm, p);
	if (!plan_has_tap(in))
		return;
	(void)plan_arg(p, "-netdev");
	(void)plan_arg(p, "tap,id=net,fd=%d,vhost=off", plan_want(p, NETD_FD_TAP));
	(void)plan_arg(p, "-device");
	/*
	 * No boot ROM: nothing boots from this card, and its file may not be installed. One that was restored does not announce itself: its address
	 * is what it was, or is about to be another one.
	 */
	(void)plan_arg(p, "%s,netdev=net,guest_announce=off,mac=%02x:%02x:%02x:%02x:%02x:%02x", microvm ? "virtio-net-device" : "virtio-net-pci,romfile=",
		       mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/*
 * A write is in the host's memory when the guest hears that it is done, and on its disk when the guest has flushed: the end of QEMU alone loses
 * nothing. What the guest discards is given back to the host.
 */
static void plan_disks(const struct plan_input *in, bool microvm, struct spawn_plan *p)
{
	for (size_t i = 0; i < in->ndisks; i++) {
		const struct hv_disk *d = &in->disks[i];
		int fd = plan_file(p, d->fd);

		(void)plan_arg(p, "-add-fd");
		(void)plan_arg(p, "fd=%d,set=%d", fd, fd);
		(void)plan_arg(p, "-blockdev");
		(void)plan_arg(p, "driver=raw,node-name=disk-%s,read-only=%s,discard=unmap,cache.direct=off,cache.no-flush=off,"
			       "file.driver=file,file.filename=/dev/fdset/%d,file.aio=threads,file.discard=unmap",
			       d->serial, d->readonly ? "on" : "off", fd);
		(void)plan_arg(p, "-device");
		(void)plan_arg(p, "%s,drive=disk-%s,id=%s,serial=%s", microvm ? "virtio-blk-device" : "virtio-blk-pci", d->serial, d->serial, d->serial);
	}
	if (in->ndisks > 0 || !microvm)
		p->pids_max += DISK_PIDS;
}

/* Where disks and cards may come while it runs. */
static void plan_ports(struct spawn_plan *p)
{
	for (int i = 1; i <= QEMU_PORTS; i++) {
		(void)plan_arg(p, "-device");
		(void)plan_arg(p, "pcie-root-port,id=hot%d,chassis=%d,slot=%d", i, i, i);
	}
}

/*
 * Memory has one name, so that a state that was saved finds it. A template's is a file that its clones map privately. QEMU opens such a file for
 * writing, so it comes as a descriptor, which a memfd lets anybody open anew.
 */
static void plan_memory(const struct plan_input *in, struct spawn_plan *p)
{
	unsigned long long mib = in->spec->memory_bytes / MIB;

	(void)plan_arg(p, "-object");
	if (in->begin == HV_BEGIN_TEMPLATE || in->begin == HV_BEGIN_CLONE)
		(void)plan_arg(p, "memory-backend-file,id=ram0,size=%lluM,mem-path=/proc/self/fd/%d,share=%s", mib, plan_file(p, in->memory_fd),
			       in->begin == HV_BEGIN_TEMPLATE ? "on" : "off");
	else
		(void)plan_arg(p, "memory-backend-ram,id=ram0,size=%lluM", mib);
	if (in->begin == HV_BEGIN_CLONE || in->begin == HV_BEGIN_WAKE)
		option(p, "-incoming", "defer");
}

/* What a plain machine boots, and how. */
static int plan_boot(const struct plan_input *in, bool microvm, struct spawn_plan *p, struct err *e)
{
	bool kvm = in->accel == HV_ACCEL_KVM;
	struct cmdline cmdline;
	/* A microvm has nothing to calibrate its time stamp counter against: without this, one boot in two hangs. */
	int r = cmdline_build(&cmdline, in, NULL, microvm ? in->tsc_khz : 0, e);

	if (r < 0)
		return r;
	(void)plan_arg(p, "-M");
	(void)plan_arg(p, "%s%s,memory-backend=ram0", microvm ? MACHINE_MICROVM : MACHINE_Q35,
		       microvm && !kvm && in->tsc_khz != 0 ? WITHOUT_PIT : "");
	option(p, "-accel", kvm ? "kvm" : "tcg,tb-size=64");
	option(p, "-cpu", kvm ? "host" : "max");
	(void)plan_arg(p, "-smp");
	(void)plan_arg(p, "%u", in->spec->cpus);
	(void)plan_arg(p, "-m");
	(void)plan_arg(p, "%lluM", (unsigned long long)(in->spec->memory_bytes / MIB));
	option(p, "-kernel", in->kernel);
	option(p, "-initrd", in->initrd);
	option(p, "-append", cmdline.s);
	return 0;
}

static int plan_confidential(const struct plan_input *in, struct spawn_plan *p, struct err *e)
{
	if (in->accel != HV_ACCEL_KVM)
		return err_set(e, -EOPNOTSUPP, "a confidential machine needs KVM, and guests do not run under it here");
	qemu_snp_plan(in->snp, in, p);
	return 0;
}

static void qemu_limits(const struct vm_size *size, uint64_t *memory_max, uint32_t *cpu_percent)
{
	*memory_max = size->memory_bytes + OVERHEAD_BYTES;
	*cpu_percent = size->cpus * 100 + IO_PERCENT;
}

static int qemu_plan(const struct plan_input *in, struct spawn_plan *p, struct err *e)
{
	bool microvm = strcmp(in->machine, "microvm") == 0 && !in->snp;
	int r;

	if (strcmp(in->machine, "microvm") != 0 && strcmp(in->machine, "q35") != 0)
		return err_set(e, -EINVAL, "machine must be \"microvm\" or \"q35\", not \"%s\"", in->machine);
	p->binary = "qemu";
	(void)plan_arg(p, PROGRAM);
	option(p, "-name", in->spec->name);
	args(p, always);
	r = in->snp ? plan_confidential(in, p, e) : plan_boot(in, microvm, p, e);
	if (r < 0)
		return r;
	plan_devices(in, microvm, p);
	(void)plan_want(p, NETD_FD_LOG);
	(void)plan_want(p, NETD_FD_RING);
	p->pids_max = PIDS_MAX;
	if (!in->snp)
		plan_memory(in, p);
	if (!microvm && !in->snp && !in->probe)
		plan_ports(p);
	if (!microvm && !in->snp && !in->probe && in->balloon)
		option(p, "-device", "virtio-balloon-pci,deflate-on-oom=on,free-page-reporting=on");
	plan_disks(in, microvm, p);
	if (!plan_whole(p))
		return err_set(e, -E2BIG, "the command line of QEMU is too long");
	qemu_limits(&(struct vm_size){ .cpus = in->spec->cpus, .memory_bytes = in->spec->memory_bytes }, &p->memory_max, &p->cpu_percent);
	if (in->snp)
		p->memory_max = confidential_memory(in->spec->memory_bytes) + OVERHEAD_BYTES;
	p->ring_bytes = in->ring_bytes;
	p->lean = in->accel == HV_ACCEL_TCG; /* 3 MiB of each clone lay idle in huge pages, and it is no quicker with them */
	return 0;
}

/* --- the running process ----------------------------------------------------------------------------------------------- */

struct instance {
	struct hv_vm *vm; /* borrowed: it owns this */
	struct qmp *qmp;  /* owned */
	struct qemu_plug plug;
	struct qemu_balloon balloon;
	int log_fd;	  /* owned; -1 at its end */
	ev_io log_readable;
	char log[LOG_KEEP + 1]; /* the end of what QEMU printed; '\0' terminated */
	size_t log_len;
	bool log_cut; /* its beginning was dropped */
	bool attached, adopted, restoring, saving;
	int major;
	char vmm[HV_VMM_BYTES]; /* name and version, as its greeting has it */
};

static void keep_log(struct instance *in, const char *data, size_t len)
{
	in->log_cut |= tail_add(in->log, &in->log_len, LOG_KEEP, data, len);
	in->log[in->log_len] = '\0';
}

static void read_log(struct instance *in)
{
	char data[512];

	for (int i = 0; i < LOG_READS_A_TURN && in->log_fd >= 0; i++) {
		ssize_t n = read(in->log_fd, data, sizeof(data));

		if (n > 0) {
			keep_log(in, data, (size_t)n);
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		ev_io_stop(hv_vm_loop(in->vm)->ev, &in->log_readable);
		in->log_fd = fd_close(in->log_fd);
	}
}

static void on_log(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)events;
	read_log(w->data);
}

/*
 * One line of what is kept: the first that is no mere warning, for the cause comes first and what follows from it behind. Where the beginning
 * was dropped, the first line is only a part of one.
 */
static const char *qemu_last_words(void *instance)
{
	struct instance *in = instance;
	const char *best = "";
	char *rest = in->log, *line;

	read_log(in);
	if (in->log_cut)
		(void)strsep(&rest, "\r\n");
	while ((line = strsep(&rest, "\r\n"))) {
		const char *text = strncmp(line, PROGRAM ": ", strlen(PROGRAM ": ")) == 0 ? line + strlen(PROGRAM ": ") : line;

		if (text[0] != '\0' && (best[0] == '\0' || strncmp(best, "warning:", 8) == 0))
			best = text;
	}
	in->log_len = 0; /* strsep() has cut it up: what comes later begins anew */
	return best;
}

static void on_shutdown(struct instance *in, const json_t *data)
{
	const char *reason = json_string_value(json_object_get(data, "reason"));

	/* "host-…": this end asked for it. */
	if (!json_is_true(json_object_get(data, "guest")))
		return;
	if (reason && strcmp(reason, "guest-panic") == 0)
		hv_event(in->vm, HV_EV_BROKEN, "the guest's kernel panicked");
	else
		hv_event(in->vm, HV_EV_SHUTDOWN, NULL);
}

/* After a stop: asked for, or KVM gives a guest up that it cannot run. */
static void on_status(struct instance *in, const json_t *ret)
{
	const char *status = json_string_value(json_object_get(ret, "status"));
	char why[LOG_KEEP];

	if (status && (strcmp(status, "paused") == 0 || strcmp(status, "running") == 0))
		hv_event(in->vm, status[0] == 'p' ? HV_EV_PAUSED : HV_EV_RESUMED, NULL);
	if (!status || strcmp(status, "internal-error") != 0)
		return;
	(void)snprintf(why, sizeof(why), "QEMU stopped the guest by an internal error: %s", qemu_last_words(in));
	hv_event(in->vm, HV_EV_GAVE_UP, why);
}

/* An agent has opened its port, the first one, or another after a reboot or its own end; or it has ended. */
static void on_port(struct instance *in, const json_t *data)
{
	const char *id = json_string_value(json_object_get(data, "id"));

	if (!id || strcmp(id, AGENT_PORT_ID) != 0)
		return;
	if (json_is_true(json_object_get(data, "open")))
		hv_agent_here(in->vm);
	else
		hv_agent_gone(in->vm);
}

/* --- saved and restored -------------------------------------------------------------------------------------------------- */

static int capability(struct instance *in, bool ignore_shared)
{
	json_t *args = json_pack("{s:[{s:s, s:b}, {s:s, s:b}]}", "capabilities", "capability", "x-ignore-shared", "state", ignore_shared,
				 "capability", "events", "state", true);

	return args ? qmp_command(in->qmp, "migrate-set-capabilities", args, -1) : -ENOMEM;
}

/*
 * The descriptor goes over the monitor: whoever is behind the sandbox opens no path. Newer ones take a file by its number in a set only,
 * older ones only by the name that "getfd" gives.
 */
static int migrate(struct instance *in, const char *command, int fd)
{
	bool set = in->major >= 9;
	json_t *args = set ? json_pack("{s:i}", "fdset-id", 7) : json_pack("{s:s}", "fdname", "state");
	int r = args ? qmp_command(in->qmp, set ? "add-fd" : "getfd", args, fd) : -ENOMEM;

	if (r < 0)
		return r;
	args = json_pack("{s:s}", "uri", set ? "file:/dev/fdset/7" : "fd:state");
	return args ? qmp_command(in->qmp, command, args, -1) : -ENOMEM;
}

/* What a state is saved by: a version, and whether there is a balloon in it. */
static const char *saver(const struct instance *in, char out[HV_VMM_BYTES])
{
	(void)snprintf(out, HV_VMM_BYTES, "%.80s%s", in->vmm, in->balloon.present ? QEMU_BALLOON_WORD : "");
	return out;
}

static void restore(struct instance *in, const struct hv_origin *origin)
{
	char why[3 * HV_VMM_BYTES], own[HV_VMM_BYTES];
	int r;

	if (strcmp(saver(in, own), origin->vmm) != 0) {
		(void)snprintf(why, sizeof(why), "this is %s, and %s has saved it", in->vmm, origin->vmm);
		hv_event(in->vm, HV_EV_UNFIT, why);
		return;
	}
	r = capability(in, origin->begin == HV_BEGIN_CLONE);
	if (r == 0)
		r = migrate(in, "migrate-incoming", origin->state_fd);
	if (r < 0)
		hv_event(in->vm, HV_EV_UNFIT, "QEMU cannot be told what to go on with");
}

/* As the greeting has it, or the answer to query-version. */
static void on_version(struct instance *in, const json_t *version)
{
	const json_t *qemu = json_object_get(version, "qemu");
	const char *package = json_string_value(json_object_get(version, "package"));

	in->major = (int)json_integer_value(json_object_get(qemu, "major"));
	(void)snprintf(in->vmm, sizeof(in->vmm), "QEMU %d.%d.%d %.48s", in->major, (int)json_integer_value(json_object_get(qemu, "minor")),
		       (int)json_integer_value(json_object_get(qemu, "micro")), package ? package : "");
	if (in->restoring)
		restore(in, hv_vm_origin(in->vm));
}

static int qemu_save(struct hv_vm *vm, void *instance, int fd, bool memory)
{
	struct instance *in = instance;
	json_t *fast;
	int r;

	(void)vm;
	if (memory && qemu_balloon_holds(&in->balloon))
		return -ERANGE;
	fast = json_pack("{s:I}", "max-bandwidth", (json_int_t)SAVE_BYTES_S);
	r = fast ? qmp_command(in->qmp, "migrate-set-parameters", fast, -1) : -ENOMEM;
	if (r == 0)
		r = capability(in, !memory);
	if (r == 0)
		r = migrate(in, "migrate", fd);
	in->saving = r == 0;
	return r == 0 ? 0 : -EOPNOTSUPP;
}

/* The memory is in the template's file already. */
static int qemu_save_template(struct hv_vm *vm, void *instance, const struct hv_origin *into)
{
	return qemu_save(vm, instance, into->state_fd, false);
}

static void on_migration(struct instance *in, const json_t *data)
{
	const char *status = json_string_value(json_object_get(data, "status"));
	bool done = status && strcmp(status, "completed") == 0;

	char own[HV_VMM_BYTES];

	if (!in->saving || !status || (!done && strcmp(status, "failed") != 0))
		return;
	in->saving = false;
	hv_event_saved(in->vm, saver(in, own), done ? NULL : "QEMU could not write it all");
}

static void on_resume(struct instance *in)
{
	if (!in->restoring) {
		hv_event(in->vm, HV_EV_RESUMED, NULL);
		return;
	}
	in->restoring = false;
	hv_event(in->vm, HV_EV_RESTORED, NULL);
}

static void on_refused(struct instance *in, const struct qmp_message *m)
{
	log_debug("QEMU refused %s: %s", m->name, m->text);
	if (in->saving && (strcmp(m->name, "migrate") == 0 || strcmp(m->name, "getfd") == 0 || strcmp(m->name, "add-fd") == 0)) {
		in->saving = false;
		hv_event_saved(in->vm, in->vmm, m->text);
	} else if (in->restoring && strcmp(m->name, "qmp_capabilities") != 0) {
		hv_event(in->vm, HV_EV_UNFIT, m->text);
	}
}

static void on_event(struct instance *in, const struct qmp_message *m)
{
	if (strcmp(m->name, "SHUTDOWN") == 0)
		on_shutdown(in, m->data);
	else if (strcmp(m->name, "RESET") == 0)
		hv_event(in->vm, HV_EV_RESET, NULL);
	else if (strcmp(m->name, "GUEST_PANICKED") == 0)
		hv_event(in->vm, HV_EV_BROKEN, "the guest's kernel panicked");
	else if (strcmp(m->name, "VSERPORT_CHANGE") == 0)
		on_port(in, m->data);
	else if (strcmp(m->name, "RESUME") == 0)
		on_resume(in);
	else if (strcmp(m->name, "MIGRATION") == 0)
		on_migration(in, m->data);
	else if (strcmp(m->name, "STOP") == 0 && !in->saving && !in->restoring)
		(void)qmp_send(in->qmp, "query-status");
}

static void on_message(void *arg, const struct qmp_message *m)
{
	struct instance *in = arg;

	qemu_plug_message(&in->plug, m);
	if (in->attached)
		qemu_balloon_message(&in->balloon, m);
	if (!in->attached)
		return;
	if (m->kind == QMP_EVENT)
		on_event(in, m);
	else if (m->kind == QMP_GREETING)
		on_version(in, json_object_get(m->data, "version"));
	else if (m->kind == QMP_RETURN && strcmp(m->name, "query-status") == 0)
		on_status(in, m->data);
	else if (m->kind == QMP_RETURN && strcmp(m->name, "query-version") == 0)
		on_version(in, m->data);
	else if (m->kind == QMP_RETURN && strcmp(m->name, "query-kvm") == 0)
		hv_event_accel(in->vm, json_is_true(json_object_get(m->data, "enabled")) ? HV_ACCEL_KVM : HV_ACCEL_TCG);
	else if (m->kind == QMP_ERROR)
		on_refused(in, m);
}

static void on_broken(void *arg, const char *why)
{
	struct instance *in = arg;

	hv_event(in->vm, HV_EV_BROKEN, why);
}

static const struct qmp_hooks qmp_hooks = { .on_message = on_message, .on_broken = on_broken };

static int qemu_attach(struct hv_vm *vm, void *instance, int *fds, const struct netd_slot_info *info, struct hv_console *console,
		       struct err *e)
{
	struct instance *in = instance;
	_close_ int con = plan_take(info, fds, NETD_FD_STREAM, 0);
	_close_ int qmp = plan_take(info, fds, NETD_FD_STREAM, 1);
	_close_ int agent = plan_take(info, fds, NETD_FD_STREAM, 2); /* -1 when it was started before machines had one */
	_close_ int log = plan_take(info, fds, NETD_FD_LOG, 0);
	_close_ int ring = plan_take(info, fds, NETD_FD_RING, 0);

	in->vm = vm;
	in->log_fd = -1;
	in->attached = true;
	in->adopted = console->adopted;
	in->restoring = !in->adopted && hv_vm_origin(vm)->begin >= HV_BEGIN_CLONE;
	if (con < 0 || qmp < 0 || log < 0 || ring < 0)
		return err_set(e, -EPROTO, "the process is no QEMU of this driver: a console, a monitor, a log or a ring is missing");
	if (fd_nonblock(log) < 0 || qmp_open(&in->qmp, hv_vm_loop(vm), fd_take(&qmp), console->adopted, &qmp_hooks, in) < 0)
		return err_set(e, -ENOMEM, "no memory for the monitor of QEMU");
	in->plug = (struct qemu_plug){ .vm = vm, .qmp = in->qmp };
	qemu_balloon_open(&in->balloon, vm, in->qmp, !console->adopted && strcmp(hv_vm_machine(vm), "q35") == 0 && hv_vm_balloon(vm), console->adopted);
	if (console->adopted) {
		qemu_plug_look(&in->plug);
		(void)qmp_send(in->qmp, "query-version");
		(void)qmp_send(in->qmp, "query-kvm");
		(void)qmp_send(in->qmp, "query-status"); /* it may stand still */
	}
	in->log_fd = fd_take(&log);
	ev_io_init(&in->log_readable, on_log, in->log_fd, EV_READ);
	in->log_readable.data = in;
	ev_io_start(hv_vm_loop(vm)->ev, &in->log_readable);
	hv_agent_stream(vm, fd_take(&agent));
	if (console->adopted)
		hv_agent_here(vm); /* the port may have been open for long */
	console->kind = HV_CONSOLE_SOCKET;
	console->fd = fd_take(&con);
	console->ring_fd = fd_take(&ring);
	console->ring_bytes = info->ring_bytes;
	return 0;
}

static int send_command(void *instance, const char *command)
{
	const struct instance *in = instance;

	return qmp_send(in->qmp, command) < 0 ? -EOPNOTSUPP : 0;
}

static int qemu_ask_stop(struct hv_vm *vm, void *instance)
{
	(void)vm;
	return send_command(instance, "system_powerdown");
}

static int qemu_quit(struct hv_vm *vm, void *instance)
{
	(void)vm;
	return send_command(instance, "quit");
}

static int qemu_pause(struct hv_vm *vm, void *instance)
{
	(void)vm;
	return send_command(instance, "stop");
}

static int qemu_resume(struct hv_vm *vm, void *instance)
{
	(void)vm;
	return send_command(instance, "cont");
}

static int qemu_reset(struct hv_vm *vm, void *instance)
{
	(void)vm;
	return send_command(instance, "system_reset");
}

static int qemu_plug(struct hv_vm *vm, void *instance, const struct hv_disk *d, struct err *e)
{
	struct instance *in = instance;

	(void)vm;
	return qemu_plug_begin(&in->plug, d, e);
}

static int qemu_plug_card(struct hv_vm *vm, void *instance, const char *name, const uint8_t mac[6], int tap_fd, struct err *e)
{
	struct instance *in = instance;

	(void)vm;
	return qemu_plug_card_begin(&in->plug, name, mac, tap_fd, e);
}

static int qemu_unplug(struct hv_vm *vm, void *instance, const char *serial, struct err *e)
{
	struct instance *in = instance;

	(void)vm;
	return qemu_unplug_begin(&in->plug, serial, e);
}

static int qemu_may_resize(const void *instance, const struct vm_size *now, const struct vm_size *wish, struct err *e)
{
	const struct instance *in = instance;

	return qemu_balloon_may(in ? &in->balloon : NULL, now, wish, e);
}

static int qemu_resize(struct hv_vm *vm, void *instance, const struct vm_size *wish)
{
	struct instance *in = instance;

	(void)vm;
	return qemu_balloon_resize(&in->balloon, wish);
}

static void qemu_finish(struct hv_vm *vm, void *instance)
{
	struct instance *in = instance;

	if (!in->attached)
		return;
	in->attached = false;
	qemu_balloon_close(&in->balloon);
	in->qmp = qmp_close(in->qmp);
	if (in->log_fd >= 0)
		ev_io_stop(hv_vm_loop(vm)->ev, &in->log_readable);
	in->log_fd = fd_close(in->log_fd);
}

const struct hv_driver hv_driver_qemu = {
	.name = "qemu",
	.has_guest = true,
	.instance_bytes = sizeof(struct instance),
	.plan = qemu_plan,
	.attach = qemu_attach,
	.ask_stop = qemu_ask_stop,
	.quit = qemu_quit,
	.reset = qemu_reset,
	.pause = qemu_pause,
	.resume = qemu_resume,
	.may_resize = qemu_may_resize,
	.resize = qemu_resize,
	.limits = qemu_limits,
	.balloons = true,
	.plug = qemu_plug,
	.plug_card = qemu_plug_card,
	.unplug = qemu_unplug,
	.is_fixed = qemu_plug_is_fixed,
	.save = qemu_save,
	.save_template = qemu_save_template,
	.last_words = qemu_last_words,
	.finish = qemu_finish,
};
