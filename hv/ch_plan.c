/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of Cloud Hypervisor: the whole machine is on it (ch.c), or, of a clone, a folder with what it goes on from. Pure. */
#include "hv/ch_plan.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "hv/ch_config.h"
#include "hv/cmdline.h"

#define MIB		(1ULL << 20)
#define OVERHEAD_BYTES	(64 * MIB) /* its own tests allow 10 MiB; page tables and kernel buffers count too */
#define IO_PERCENT	50	   /* for the threads that serve console and network beside busy CPUs */
#define PIDS_MAX	64	   /* a thread for each CPU and queue, the API, events, signals */
/*
 * hvc0 is what /dev/console leads to, for it is the last one; memory that is plugged in needs nobody to switch it on, and that there may be
 * some above 4 GiB is no reason to set 64 MiB aside for devices that could not reach it: there are none.
 */
#define CMDLINE_WORDS	"console=hvc0 memhp_default_state=online swiotlb=noforce"

static void option(struct spawn_plan *p, const char *name, const char *value)
{
	(void)plan_arg(p, "%s", name);
	(void)plan_arg(p, "%s", value);
}

static void plan_net(const struct plan_input *in, struct spawn_plan *p)
{
	const uint8_t *mac = in->net->mac;

	if (!plan_has_tap(in))
		return;
	/* No address, MTU or host MAC: these it would set itself, without the privilege to. */
	(void)plan_arg(p, "--net");
	(void)plan_arg(p, "fd=%d,mac=%02x:%02x:%02x:%02x:%02x:%02x", plan_want(p, NETD_FD_TAP), mac[0], mac[1], mac[2],
		       mac[3], mac[4], mac[5]);
}

/* Commas end a value and quotes would have to be balanced: such a path is another machine. */
static int check_path(const char *what, const char *path, struct err *e)
{
	if (strpbrk(path, ",\"[]") == NULL)
		return 0;
	return err_set(e, -EINVAL, "the path of the image's %s may not hold any of , \" [ ] with Cloud Hypervisor: %.200s",
		       what, path);
}

static void plan_size(const struct vm_spec *s, struct spawn_plan *p)
{
	uint64_t room = (VM_MEMORY_MAX - s->memory_bytes) / CH_MEMORY_STEP * CH_MEMORY_STEP;

	(void)plan_arg(p, "--cpus");
	(void)plan_arg(p, "boot=%u,max=%u,nested=off", s->cpus, VM_CPUS_MAX);
	(void)plan_arg(p, "--memory");
	if (room > 0)
		(void)plan_arg(p, "size=%lluM,hotplug_size=%lluM", (unsigned long long)(s->memory_bytes / MIB),
			       (unsigned long long)(room / MIB));
	else
		(void)plan_arg(p, "size=%lluM", (unsigned long long)(s->memory_bytes / MIB));
	/* Through it memory is taken away from a guest that runs, and the guest tells which pages it does not use: the host has them back. */
	option(p, "--balloon", "size=0,deflate_on_oom=on,free_page_reporting=on");
}

/* Always raw: what a guest wrote must not be taken for another format. The file is opened again by its descriptor. */
static void plan_disks(const struct plan_input *in, struct spawn_plan *p)
{
	if (in->ndisks > 0)
		(void)plan_arg(p, "--disk");
	for (size_t i = 0; i < in->ndisks; i++)
		(void)plan_arg(p, "path=/proc/self/fd/%d,readonly=%s,serial=%s,id=%s,image_type=raw,backing_files=off", plan_file(p, in->disks[i].fd),
			       in->disks[i].readonly ? "on" : "off", in->disks[i].serial, in->disks[i].serial);
}

void ch_limits(const struct vm_size *size, uint64_t *memory_max, uint32_t *cpu_percent)
{
	*memory_max = size->memory_bytes + OVERHEAD_BYTES;
	*cpu_percent = size->cpus * 100 + IO_PERCENT;
}

/* What every process of this driver has, first of all. */
static void plan_ways(const struct plan_input *in, struct spawn_plan *p)
{
	p->binary = in->accel == HV_ACCEL_KVM ? CH_PROGRAM : CH_STANDIN;
	(void)plan_arg(p, CH_PROGRAM);
	(void)plan_arg(p, "--api-socket");
	(void)plan_arg(p, "fd=%d", plan_want(p, NETD_FD_LISTEN));
	(void)plan_arg(p, "--event-monitor");
	(void)plan_arg(p, "fd=%d", plan_want(p, NETD_FD_STREAM));
	option(p, "--log-file", "/dev/null");
	option(p, "--seccomp", in->seccomp);
}

/* Disks that come while it runs it finds there by name; and the first file it stays, for later gateways. */
static int plan_plug_dir(const struct plan_input *in, struct spawn_plan *p)
{
	return in->plug_dir > 0 ? plan_file(p, in->plug_dir) : 0;
}

static void plan_landlock(const struct plan_input *in, int dir, int plug, struct spawn_plan *p)
{
	if (!in->landlock)
		return;
	/* It knows by itself which files it was given, but up to version 53 not that a socket is made in a folder, and not what comes later. */
	(void)plan_arg(p, "--landlock");
	(void)plan_arg(p, "--landlock-rules");
	(void)plan_arg(p, "path=/proc/self/fd/%d,access=rw", dir);
	if (plug > 0)
		(void)plan_arg(p, "path=/proc/self/fd/%d,access=rw", plug);
	if (p->folder > 0)
		(void)plan_arg(p, "path=/proc/self/fd/%d,access=rw", p->folder);
}

/* One that boots. */
static void plan_boot(const struct plan_input *in, const char *cmdline, struct spawn_plan *p)
{
	int dir, plug;

	plan_size(in->spec, p);
	option(p, "--kernel", in->kernel);
	option(p, "--initramfs", in->initrd);
	option(p, "--cmdline", cmdline);
	option(p, "--console", "tty");
	(void)plan_arg(p, "--serial");
	(void)plan_arg(p, "file=/proc/self/fd/%d", plan_want(p, NETD_FD_FIFO));
	(void)plan_arg(p, "--pvpanic");
	plan_net(in, p);
	/* The VMM makes the socket. The number is the guest's address, in a space of its own. */
	dir = plan_want(p, NETD_FD_DIR);
	plug = plan_plug_dir(in, p);
	if (in->begin == HV_BEGIN_TEMPLATE && in->folder > 0)
		p->folder = plan_file(p, in->folder);
	(void)plan_arg(p, "--vsock");
	(void)plan_arg(p, "cid=3,socket=/proc/self/fd/%d/" NETD_SOCKET_NAME, dir);
	plan_landlock(in, dir, plug, p);
	(void)plan_want(p, NETD_FD_PTY);
	(void)plan_want(p, NETD_FD_RING);
	plan_disks(in, p);
}

/* A clone: all that is its own is in its config.json, but for the TAP. The memory is kept open as long as it runs: pages may come from it later. */
static int plan_clone(const struct plan_input *in, const char *cmdline, struct spawn_plan *p, struct err *e)
{
	struct ch_config_own own = {
		.cpus = in->spec->cpus, .memory_bytes = in->spec->memory_bytes, .mac = plan_has_tap(in) ? in->net->mac : NULL, .kernel = in->kernel,
		.initrd = in->initrd, .cmdline = cmdline, .disks = in->disks, .ndisks = in->ndisks, .landlock = in->landlock,
	};
	struct ch_config c;
	int tap, r = ch_config_read(&c, in->config ? in->config : "", in->config_len, e);

	if (r < 0)
		return r;
	own.fifo = plan_want(p, NETD_FD_FIFO);
	tap = own.mac ? plan_want(p, NETD_FD_TAP) : 0;
	own.dir = plan_want(p, NETD_FD_DIR);
	(void)plan_want(p, NETD_FD_PTY);
	(void)plan_want(p, NETD_FD_RING);
	own.plug = plan_plug_dir(in, p);
	p->folder = plan_file(p, in->folder);
	p->state = plan_file(p, in->state_fd);
	p->memory = plan_file(p, in->memory_fd);
	for (size_t i = 0; i < in->ndisks; i++) {
		int number = plan_file(p, in->disks[i].fd);

		own.first_disk = i == 0 ? number : own.first_disk;
	}
	(void)plan_arg(p, "--restore");
	if (tap > 0)
		(void)plan_arg(p, "source_url=file:///proc/self/fd/%d,memory_restore_mode=%s,net_fds=[%s@[%d]]", p->folder, in->on_demand ? "ondemand" : "copy",
			       c.net_id, tap);
	else
		(void)plan_arg(p, "source_url=file:///proc/self/fd/%d,memory_restore_mode=%s", p->folder, in->on_demand ? "ondemand" : "copy");
	p->config = ch_config_write(&c, &own, e);
	ch_config_finish(&c);
	return p->config ? 0 : -EPROTO;
}

int ch_plan(const struct plan_input *in, struct spawn_plan *p, struct err *e)
{
	const struct vm_size size = { .cpus = in->spec->cpus, .memory_bytes = in->spec->memory_bytes };
	struct cmdline cmdline;
	int r;

	if (in->accel != HV_ACCEL_KVM && !in->standin)
		return err_set(e, -EINVAL,
			       "Cloud Hypervisor needs KVM, which runs no guests on this host: set driver = qemu, or auto");
	r = check_path("kernel", in->kernel, e);
	if (r == 0)
		r = check_path("initrd", in->initrd, e);
	if (r == 0)
		r = cmdline_build(&cmdline, in, CMDLINE_WORDS, 0, e);
	if (r < 0)
		return r;
	plan_ways(in, p);
	if (in->begin == HV_BEGIN_CLONE)
		r = plan_clone(in, cmdline.s, p, e);
	else
		plan_boot(in, cmdline.s, p);
	if (r < 0)
		return r;
	if (!plan_whole(p))
		return err_set(e, -E2BIG, "the command line of Cloud Hypervisor is too long");
	ch_limits(&size, &p->memory_max, &p->cpu_percent);
	if (in->begin == HV_BEGIN_TEMPLATE)
		p->memory_max += in->spec->memory_bytes; /* its snapshot is in memory as well, and counts as its own, where the state directory is a tmpfs */
	p->pids_max = PIDS_MAX;
	p->ring_bytes = in->ring_bytes;
	p->cols = in->spec->cols;
	p->rows = in->spec->rows;
	return 0;
}
