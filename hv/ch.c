/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver "cloud-hypervisor".
 *
 * Theory of operation
 *
 * The whole machine is on the command line, so the guest boots as soon as the process runs, and an option
 * that a build does not know ends it with a message, where the API would ignore an unknown member silently.
 * What runs is then confirmed by vmm.ping (version) and vm.info (consoles).
 *
 * The console is the guest's serial line, in mode "tty" on a PTY that the helper made: its near end is ours
 * for the life of the process. In mode "pty" the VMM would make a new one at each reboot, in its own devpts
 * and under its own uid, where the gateway cannot open it; in mode "socket" one close with bytes unread ends
 * its serial thread for ever. What the VMM says on stderr shows on the console: only errors that end it, for
 * its log goes to /dev/null. A guest does not learn the size of a serial line's terminal.
 *
 * Events come through a stream that may lose records; after a gap vm.info says how things are.
 *
 *   rebooting -> HV_EV_RESET, and "shutdown" belongs to it until rebooted or booted
 *   shutdown otherwise -> HV_EV_SHUTDOWN
 *   guest/panic -> HV_EV_BROKEN;   anything lost -> vm.info
 *
 * The agent is reached by vsock (ch_vsock.c): looked for from the start, and again whenever its conversation is lost.
 */
#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "hv/ch_api.h"
#include "hv/ch_vsock.h"
#include "hv/cmdline.h"
#include "hv/driver.h"

#define PROGRAM		"cloud-hypervisor"
#define MIB		(1ULL << 20)
#define OVERHEAD_BYTES	(64 * MIB) /* its own tests allow 10 MiB; page tables and kernel buffers count too */
#define IO_PERCENT	50	   /* for the threads that serve console and network beside busy CPUs */
#define PIDS_MAX	64	   /* a thread for each CPU and queue, the API, events, signals */
#define READS_A_TURN	16
#define AGENT_FIRST_MS	300 /* no guest has booted before */

/* --- the command line ------------------------------------------------------------------------------------- */

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

static int ch_plan(const struct plan_input *in, struct spawn_plan *p, struct err *e)
{
	struct cmdline cmdline;
	int r;

	if (in->accel != HV_ACCEL_KVM)
		return err_set(e, -EINVAL,
			       "Cloud Hypervisor needs KVM, which runs no guests on this host: set driver = qemu, or auto");
	r = check_path("kernel", in->kernel, e);
	if (r == 0)
		r = check_path("initrd", in->initrd, e);
	if (r == 0)
		r = cmdline_build(&cmdline, in, 0, e);
	if (r < 0)
		return r;
	p->binary = PROGRAM;
	(void)plan_arg(p, PROGRAM);
	(void)plan_arg(p, "--api-socket");
	(void)plan_arg(p, "fd=%d", plan_want(p, NETD_FD_LISTEN));
	(void)plan_arg(p, "--event-monitor");
	(void)plan_arg(p, "fd=%d", plan_want(p, NETD_FD_STREAM));
	option(p, "--log-file", "/dev/null");
	option(p, "--seccomp", "true");
	(void)plan_arg(p, "--cpus");
	(void)plan_arg(p, "boot=%u,nested=off", in->spec->cpus);
	(void)plan_arg(p, "--memory");
	(void)plan_arg(p, "size=%lluM", (unsigned long long)(in->spec->memory_bytes / MIB));
	option(p, "--kernel", in->kernel);
	option(p, "--initramfs", in->initrd);
	option(p, "--cmdline", cmdline.s);
	option(p, "--serial", "tty");
	option(p, "--console", "off");
	(void)plan_arg(p, "--pvpanic");
	plan_net(in, p);
	/* The VMM makes the socket. The number is the guest's address, in a space of its own. */
	(void)plan_arg(p, "--vsock");
	(void)plan_arg(p, "cid=3,socket=/proc/self/fd/%d/" NETD_SOCKET_NAME, plan_want(p, NETD_FD_DIR));
	(void)plan_want(p, NETD_FD_PTY);
	(void)plan_want(p, NETD_FD_RING);
	if (!plan_whole(p))
		return err_set(e, -E2BIG, "the command line of Cloud Hypervisor is too long");
	p->memory_max = in->spec->memory_bytes + OVERHEAD_BYTES;
	p->cpu_percent = in->spec->cpus * 100 + IO_PERCENT;
	p->pids_max = PIDS_MAX;
	p->ring_bytes = in->ring_bytes;
	p->cols = in->spec->cols;
	p->rows = in->spec->rows;
	return 0;
}

static bool ch_is_mine(const struct netd_slot_info *info)
{
	for (uint32_t i = 0; i < info->nwant && i < NETD_FDS_MAX; i++) {
		if (info->want[i] == NETD_FD_LISTEN)
			return true;
	}
	return false;
}

/* A machine that was started before there were agents has none. */
static bool has_directory(const struct netd_slot_info *info)
{
	for (uint32_t i = 0; i < info->nwant && i < NETD_FDS_MAX; i++) {
		if (info->want[i] == NETD_FD_DIR)
			return true;
	}
	return false;
}

/* --- the running process ---------------------------------------------------------------------------------- */

struct instance {
	struct hv_vm *vm;   /* borrowed: it owns this */
	struct ch_api *api; /* owned */
	int events_fd;	    /* owned; -1 at its end */
	ev_io readable;
	struct ch_events events;
	struct ch_vsock agent;
	bool has_agent, attached, rebooting, checked;
};

static void check_version(struct instance *in, const struct ch_answer *a)
{
	char why[384];
	int v = ch_version(a->data);

	if (v >= CH_VERSION_MIN) {
		in->checked = true;
		hv_event_accel(in->vm, HV_ACCEL_KVM);
		return;
	}
	if (v < 0)
		(void)snprintf(why, sizeof(why), "Cloud Hypervisor does not tell its version");
	else
		(void)snprintf(why, sizeof(why),
			       "Cloud Hypervisor is of version %d, but %d or newer is needed: install a newer one", v, CH_VERSION_MIN);
	hv_event(in->vm, HV_EV_BROKEN, why);
}

static bool is_mode(const json_t *config, const char *device, const char *mode)
{
	const char *is = json_string_value(json_object_get(json_object_get(config, device), "mode"));

	return is && strcmp(is, mode) == 0;
}

static void check_info(struct instance *in, const struct ch_answer *a)
{
	const json_t *config = json_object_get(a->data, "config");
	const char *state = json_string_value(json_object_get(a->data, "state"));

	if (!is_mode(config, "serial", "Tty") || !is_mode(config, "console", "Off"))
		hv_event(in->vm, HV_EV_BROKEN, "Cloud Hypervisor has not taken over the console it was told to use");
	else if (state && strcmp(state, "Shutdown") == 0 && !in->rebooting)
		hv_event(in->vm, HV_EV_SHUTDOWN, NULL);
}

static void on_answer(void *arg, const struct ch_answer *a)
{
	struct instance *in = arg;

	if (a->error && a->command == CH_PING && !in->checked)
		hv_event(in->vm, HV_EV_BROKEN, a->why);
	else if (a->error && (a->command == CH_QUIT || a->command == CH_INFO))
		log_debug("Cloud Hypervisor: %s", a->why); /* it may be ending already */
	else if (a->error)
		log_warn("Cloud Hypervisor: %s", a->why);
	else if (a->command == CH_PING)
		check_version(in, a);
	else if (a->command == CH_INFO)
		check_info(in, a);
}

static void on_vm_event(struct instance *in, const char *name)
{
	if (strcmp(name, "rebooting") == 0) {
		in->rebooting = true;
		hv_event(in->vm, HV_EV_RESET, NULL);
	} else if (strcmp(name, "rebooted") == 0 || strcmp(name, "booted") == 0) {
		in->rebooting = false;
		(void)ch_api_send(in->api, CH_INFO);
	} else if (strcmp(name, "shutdown") == 0 && !in->rebooting) {
		hv_event(in->vm, HV_EV_SHUTDOWN, NULL);
	}
}

/* Return: false once the instance is finished. */
static bool on_event(void *arg, const struct ch_event *e)
{
	struct instance *in = arg;

	if (e->lost)
		(void)ch_api_send(in->api, CH_INFO);
	else if (strcmp(e->source, "vm") == 0)
		on_vm_event(in, e->name);
	else if (strcmp(e->source, "guest") == 0 && strcmp(e->name, "panic") == 0)
		hv_event(in->vm, HV_EV_BROKEN, "the guest's kernel panicked");
	return in->attached;
}

static void stop_events(struct instance *in)
{
	if (in->events_fd >= 0)
		ev_io_stop(hv_vm_loop(in->vm)->ev, &in->readable);
	in->events_fd = fd_close(in->events_fd);
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
	struct instance *in = w->data;
	char data[4096];

	(void)ev;
	(void)events;
	for (int i = 0; i < READS_A_TURN; i++) {
		ssize_t n = recv(in->events_fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			stop_events(in); /* the helper reports the end of the process */
			return;
		}
		ch_events_feed(&in->events, data, (size_t)n, on_event, in);
		if (!in->attached)
			return;
	}
}

static int ch_attach(struct hv_vm *vm, void *instance, int *fds, const struct netd_slot_info *info,
		     struct hv_console *console, struct err *e)
{
	struct instance *in = instance;
	_close_ int api = plan_take(info, fds, NETD_FD_LISTEN, 0);
	_close_ int events = plan_take(info, fds, NETD_FD_STREAM, 0);
	_close_ int pty = plan_take(info, fds, NETD_FD_PTY, 0);
	_close_ int ring = plan_take(info, fds, NETD_FD_RING, 0);
	int r;

	in->vm = vm;
	in->events_fd = -1;
	in->attached = true;
	ch_events_init(&in->events);
	ch_vsock_init(&in->agent, vm);
	if (api < 0 || events < 0 || pty < 0 || ring < 0)
		return err_set(e, -EPROTO, "the process is no Cloud Hypervisor of this driver: "
					   "an API, events, a console or a ring is missing");
	r = ch_api_open(&in->api, hv_vm_loop(vm), fd_take(&api), on_answer, in, e);
	if (r < 0)
		return r;
	/* The stream of an adopted one may begin in the middle of a record, which then counts as lost. */
	in->checked = console->adopted;
	(void)ch_api_send(in->api, CH_PING);
	if (console->adopted)
		(void)ch_api_send(in->api, CH_INFO);
	in->events_fd = fd_take(&events);
	ev_io_init(&in->readable, on_readable, in->events_fd, EV_READ);
	in->readable.data = in;
	ev_io_start(hv_vm_loop(vm)->ev, &in->readable);
	console->kind = HV_CONSOLE_PTY;
	console->fixed_size = true;
	console->fd = fd_take(&pty);
	console->ring_fd = fd_take(&ring);
	console->ring_bytes = info->ring_bytes;
	in->has_agent = has_directory(info);
	if (in->has_agent)
		ch_vsock_seek(&in->agent, console->adopted ? 0 : AGENT_FIRST_MS);
	return 0;
}

static int ch_agent_renew(struct hv_vm *vm, void *instance)
{
	struct instance *in = instance;

	if (!in->has_agent)
		return -ENOTCONN;
	hv_agent_stream(vm, -1); /* this one is of no use any more */
	ch_vsock_seek(&in->agent, 0);
	return 0;
}

static int send_command(void *instance, enum ch_command command)
{
	const struct instance *in = instance;

	return ch_api_send(in->api, command) < 0 ? -EOPNOTSUPP : 0;
}

static int ch_ask_stop(struct hv_vm *vm, void *instance)
{
	(void)vm;
	return send_command(instance, CH_POWER_BUTTON);
}

static int ch_quit(struct hv_vm *vm, void *instance)
{
	(void)vm;
	return send_command(instance, CH_QUIT);
}

static int ch_reset(struct hv_vm *vm, void *instance)
{
	(void)vm;
	return send_command(instance, CH_REBOOT);
}

static const char *ch_signal_hint(int signal)
{
	if (signal != SIGSYS)
		return NULL;
	return "its own filter of system calls forbids one that this host's C library or kernel makes; "
	       "install a version that fits the host";
}

static void ch_finish(struct hv_vm *vm, void *instance)
{
	struct instance *in = instance;

	(void)vm;
	if (!in->attached)
		return;
	in->attached = false;
	in->api = ch_api_close(in->api);
	stop_events(in);
	ch_events_finish(&in->events);
	ch_vsock_stop(&in->agent);
}

const struct hv_driver hv_driver_ch = {
	.name = PROGRAM,
	.has_guest = true,
	.instance_bytes = sizeof(struct instance),
	.plan = ch_plan,
	.attach = ch_attach,
	.ask_stop = ch_ask_stop,
	.quit = ch_quit,
	.reset = ch_reset,
	.signal_hint = ch_signal_hint,
	.agent_renew = ch_agent_renew,
	.is_mine = ch_is_mine,
	.finish = ch_finish,
};
