/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver "cloud-hypervisor".
 *
 * Theory of operation
 *
 * The whole machine is on the command line, so the guest boots as soon as the process runs, and an option
 * that a build does not know ends it with a message, where the API would ignore an unknown member silently.
 * What runs is then confirmed by vmm.ping (version) and vm.info (consoles, Landlock).
 *
 * The console is a virtio-console (hvc0) in mode "tty" on a PTY that the helper made: its near end is ours for the
 * life of the process, over every reboot of the guest, and its size is the guest's: the VMM is told by SIGWINCH, for the
 * PTY is its controlling terminal. In mode "pty" the VMM would make a new one at each reboot, in its own devpts and under
 * its own uid, where the gateway cannot open it. What the VMM says on stderr shows on the console: only errors that
 * end it, for its log goes to /dev/null.
 *
 * The serial line carries the kernel's log alone, in mode "file" into a FIFO of the helper's: panics before the
 * virtio driver is there. In mode "socket" one close with bytes unread would end its serial thread for ever.
 *
 * Events come through a stream that may lose records; after a gap vm.info says how things are.
 *
 *   rebooting -> HV_EV_RESET;   deleted -> HV_EV_SHUTDOWN;   paused, resumed -> HV_EV_PAUSED, HV_EV_RESUMED
 *   shutdown -> nothing while it reboots, for then it is the old machine's; else vm.info
 *   guest/panic -> HV_EV_BROKEN;   anything lost -> vm.info
 *
 * The agent is reached by vsock (ch_vsock.c): looked for from the start, and again whenever its conversation is lost.
 *
 * A template: vm.pause, vm.snapshot into a folder, and its three files are copied into memory of ours (ch_snapshot.c). A clone is started with
 * --restore on a folder with links to that and a config.json of its own (ch_config.c). What it was told is looked at while it still stands, and only then
 * it is let go.
 *
 * A change of size: vm.resize is only a request, 204 or not. It is done when vm.info shows it.
 */
#include <errno.h>
#include <fcntl.h>
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
#include "hv/ch_config.h"
#include "hv/ch_plan.h"
#include "hv/ch_snapshot.h"
#include "hv/ch_vsock.h"
#include "hv/driver.h"

#define MIB		(1ULL << 20)
#define READS_A_TURN	16
#define AGENT_FIRST_MS	300 /* no guest has booted before */
#define CONFIRM_S	0.25	    /* between two looks at whether a change of size has come about */
#define CONFIRM_TRIES	20
#define LOOK_S		0.5 /* whether a clone is there, should its event be lost */
#define COUNT_FIRST_S	3.
#define COUNT_S		15. /* one request at a time and one thread: it is not asked more often than that */

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
	int log_fd; /* owned; of the serial line; -1 at its end */
	ev_io log_readable;
	ev_timer count;
	bool has_agent, attached, rebooting, checked, adopted, booted, held;

	/* A change of size under way: asked for, then looked for. */
	struct vm_size wish;
	ev_timer confirm;
	unsigned looks;
	uint64_t total, seen; /* bytes that it has with those in its balloon, 0 = not known; that it had at the last look */
	bool resizing, accepted;

	/* What it is of the way to a template's memory, or from there. */
	enum { SAVE_NONE, SAVE_PAUSE, SAVE_WRITE, SAVE_COPY } saving;
	struct hv_origin into;	      /* borrowed: as long as that goes on */
	struct ch_snapshot *snapshot; /* owned; NULL without */
	char vmm[HV_VMM_BYTES];
	bool restoring, let_go; /* it is a clone that does not run yet; that was asked to */
	ev_timer look;

	char plugging[HV_SERIAL_BYTES + 1]; /* "": none */
	int plug_number; /* of the folder, in the VMM */
	bool looked;	 /* what is plugged in was told */
};

static void look_soon(struct instance *in)
{
	struct ev_loop *ev = hv_vm_loop(in->vm)->ev;

	ev_timer_stop(ev, &in->look);
	ev_timer_set(&in->look, LOOK_S, 0.);
	ev_timer_start(ev, &in->look);
}

static void unfit(struct instance *in, const char *why)
{
	in->restoring = false;
	hv_event(in->vm, HV_EV_UNFIT, why);
}

/* Only what has written a snapshot can be trusted to read it. */
static void check_saver(struct instance *in)
{
	const struct hv_origin *origin = hv_vm_origin(in->vm);
	char why[3 * HV_VMM_BYTES];

	if (strcmp(in->vmm, origin->vmm) == 0) {
		(void)ch_api_send(in->api, CH_INFO);
		return;
	}
	(void)snprintf(why, sizeof(why), "this is %s, and %s has saved it", in->vmm, origin->vmm);
	unfit(in, why);
}

static void check_version(struct instance *in, const struct ch_answer *a)
{
	char why[384];
	int v = ch_version(a->data);

	ch_name(a->data, in->vmm, sizeof(in->vmm));
	if (in->restoring) {
		in->checked = true;
		check_saver(in);
		return;
	}
	if (v >= CH_VERSION_MIN) {
		in->checked = true;
		if (in->adopted)
			hv_event_accel(in->vm, ch_lacks(a->data, "kvm") ? HV_ACCEL_TCG : HV_ACCEL_KVM); /* without is the stand-in */
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

/* Return: true if the machine is what it was told to be. */
static bool check_config(struct instance *in, const json_t *config)
{
	const char *wrong = NULL;

	if (!is_mode(config, "console", "Tty") || !is_mode(config, "serial", "File"))
		wrong = "Cloud Hypervisor has not taken over the console it was told to use";
	/* An adopted one may have been started with another configuration of the gateway. */
	else if (!in->adopted && hv_vm_landlock(in->vm) && !json_is_true(json_object_get(config, "landlock_enable")))
		wrong = "Cloud Hypervisor has not locked itself in as it was told to (Landlock)";
	if (wrong && in->restoring)
		unfit(in, wrong);
	else if (wrong)
		hv_event(in->vm, HV_EV_BROKEN, wrong);
	return !wrong;
}

static void holds(struct instance *in, bool held)
{
	if (in->held == held)
		return;
	in->held = held;
	if (in->saving != SAVE_NONE)
		return; /* nobody goes on with it */
	hv_event(in->vm, held ? HV_EV_PAUSED : HV_EV_RESUMED, NULL);
}

/* It runs: from now on it is as any other. */
static void restored(struct instance *in)
{
	ev_timer_stop(hv_vm_loop(in->vm)->ev, &in->look);
	in->restoring = false;
	in->booted = true;
	hv_event(in->vm, HV_EV_RESTORED, NULL);
	/* Connections of the template's time are none any more. */
	if (in->attached && in->has_agent)
		ch_vsock_seek(&in->agent, 0);
}

/* Before it is there, "Created" or no answer at all. */
static void check_clone(struct instance *in, const char *state)
{
	if (strcmp(state, "Running") == 0) {
		restored(in);
	} else if (strcmp(state, "Paused") == 0 && !in->let_go) {
		in->let_go = true;
		(void)ch_api_send(in->api, CH_RESUME);
	} else {
		look_soon(in);
	}
}

static void check_state(struct instance *in, const char *state)
{
	bool over = strcmp(state, "Shutdown") == 0;

	/* "Created" is what a machine is before it boots, and again behind its end. */
	over |= in->booted && strcmp(state, "Created") == 0;
	if (strcmp(state, "Running") == 0) {
		in->booted = true;
		in->rebooting = false;
		holds(in, false);
	} else if (strcmp(state, "Paused") == 0) {
		holds(in, true);
	} else if (over && !in->rebooting) {
		hv_event(in->vm, HV_EV_SHUTDOWN, NULL);
	}
}

static void resized(struct instance *in, const char *why)
{
	ev_timer_stop(hv_vm_loop(in->vm)->ev, &in->confirm);
	in->resizing = false;
	hv_event_resized(in->vm, why);
}

/* Has it come about? What is not there yet is looked for again. */
static void check_size(struct instance *in, const json_t *info)
{
	const json_t *cpus = json_object_get(json_object_get(info, "config"), "cpus");
	json_int_t memory = json_integer_value(json_object_get(info, "memory_actual_size"));

	const json_t *has = json_object_get(json_object_get(info, "config"), "memory");
	struct vm_size is = { .cpus = (uint32_t)json_integer_value(json_object_get(cpus, "boot_vcpus")), .memory_bytes = (uint64_t)memory };

	if (info)
		in->total = (uint64_t)(json_integer_value(json_object_get(has, "size")) + json_integer_value(json_object_get(has, "hotplugged_size")));
	if (!in->resizing && info)
		hv_event_size(in->vm, &is);
	if (!in->resizing || !in->accepted)
		return;
	if (is.cpus == in->wish.cpus && is.memory_bytes == in->wish.memory_bytes) {
		resized(in, NULL);
		return;
	}
	/* A balloon fills bit by bit. */
	in->looks = in->seen == 0 || is.memory_bytes == in->seen ? in->looks + 1 : 0;
	in->seen = is.memory_bytes;
	if (in->looks >= CONFIRM_TRIES) {
		resized(in, "Cloud Hypervisor has accepted the change and not carried it out");
		if (in->attached && in->wish.memory_bytes < in->total && is.memory_bytes > 0 && is.memory_bytes <= in->total)
			(void)ch_api_resize(in->api, is.cpus, in->total, in->total - is.memory_bytes); /* or it would come about some time */
	} else {
		ev_timer_set(&in->confirm, CONFIRM_S, 0.);
		ev_timer_start(hv_vm_loop(in->vm)->ev, &in->confirm);
	}
}

static void look_at_disks(struct instance *in, const json_t *disks)
{
	size_t i;
	json_t *disk;

	json_array_foreach(disks, i, disk) {
		const char *id = json_string_value(json_object_get(disk, "id"));

		if (id && strncmp(id, HV_PLUG_PREFIX, strlen(HV_PLUG_PREFIX)) == 0 && strlen(id) <= HV_SERIAL_BYTES)
			hv_event_plugged(in->vm, id, true, NULL);
	}
}

static void check_info(struct instance *in, const struct ch_answer *a)
{
	const char *state = json_string_value(json_object_get(a->data, "state"));

	if (!check_config(in, json_object_get(a->data, "config")) || !in->attached)
		return;
	check_size(in, a->data);
	if (in->adopted && !in->looked) {
		in->looked = true;
		look_at_disks(in, json_object_get(json_object_get(a->data, "config"), "disks"));
		hv_event_cards(in->vm, hv_cards_named(json_object_get(json_object_get(a->data, "config"), "net"), "id"));
	}
	if (state && in->attached && in->restoring)
		check_clone(in, state);
	else if (state && in->attached)
		check_state(in, state);
}

static void on_look(struct ev_loop *ev, ev_timer *w, int events)
{
	struct instance *in = w->data;

	(void)ev;
	(void)events;
	(void)ch_api_send(in->api, CH_INFO);
}

/* --- a template -------------------------------------------------------------------------------------------- */

static void saved(struct instance *in, const char *why)
{
	in->saving = SAVE_NONE;
	hv_event_saved(in->vm, in->vmm, why);
}

/* Its own words are looked at once before anybody is to begin with them. */
static void on_copied(void *arg, const char *why)
{
	struct instance *in = arg;
	char text[CH_CONFIG_MAX];
	struct ch_config c;
	struct err e = { 0 };
	ssize_t n;

	in->snapshot = NULL;
	n = why ? 0 : pread(in->into.config_fd, text, sizeof(text), 0);
	if (!why && ch_config_read(&c, text, n > 0 ? (size_t)n : 0, &e) == 0)
		ch_config_finish(&c);
	saved(in, why ? why : e.code ? e.msg : NULL);
}

static void begin_copy(struct instance *in)
{
	struct err e = { 0 };
	int number, folder = hv_vm_folder(in->vm, &number);

	in->saving = SAVE_COPY;
	if (ch_snapshot_take(&in->snapshot, hv_vm_loop(in->vm), folder, &in->into, hv_vm_memory(in->vm), on_copied, in, &e) < 0)
		saved(in, e.msg);
}

static void begin_snapshot(struct instance *in)
{
	char path[32];
	int number, folder = hv_vm_folder(in->vm, &number);

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	in->saving = SAVE_WRITE;
	if (folder < 0 || ch_api_snapshot(in->api, path) < 0)
		saved(in, "Cloud Hypervisor cannot be asked for a snapshot");
}

/* vm.pause, vm.snapshot. Return: true if the answer is about a template. */
static bool on_save_step(struct instance *in, const struct ch_answer *a)
{
	if (!(a->command == CH_PAUSE && in->saving == SAVE_PAUSE) && !(a->command == CH_SNAPSHOT && in->saving == SAVE_WRITE))
		return false;
	if (a->error)
		saved(in, a->why);
	else if (a->command == CH_PAUSE)
		begin_snapshot(in);
	else
		begin_copy(in);
	return true;
}

static int ch_save_template(struct hv_vm *vm, void *instance, const struct hv_origin *into)
{
	struct instance *in = instance;

	(void)vm;
	if (in->saving != SAVE_NONE || !in->vmm[0] || ch_api_send(in->api, CH_PAUSE) < 0)
		return -EOPNOTSUPP;
	in->into = *into;
	in->saving = SAVE_PAUSE;
	return 0;
}

/* --- answers and events ------------------------------------------------------------------------------------ */

static void on_confirm(struct ev_loop *ev, ev_timer *w, int events)
{
	struct instance *in = w->data;

	(void)ev;
	(void)events;
	(void)ch_api_send(in->api, CH_INFO);
}

/* vm.add-disk, vm.add-net, vm.remove-device: the first two are done then, the second once the guest lets go. */
static void on_plug(struct instance *in, const struct ch_answer *a)
{
	char serial[sizeof(in->plugging)];

	if (in->plugging[0] == '\0' || (a->command == CH_REMOVE_DEVICE && !a->error))
		return;
	memcpy(serial, in->plugging, sizeof(serial));
	in->plugging[0] = '\0';
	hv_event_plugged(in->vm, serial, (a->command != CH_REMOVE_DEVICE) != (a->error != 0), a->error ? a->why : NULL);
}

/* What was carried out is believed when vm.info says so, and what was refused may still have changed something. */
static void on_acted(struct instance *in, const struct ch_answer *a)
{
	if (a->command == CH_RESIZE && in->resizing) {
		in->accepted = a->error == 0;
		if (a->error)
			resized(in, a->why);
	} else if (a->error) {
		log_warn("Cloud Hypervisor: %s", a->why);
	}
	if (in->attached && a->command != CH_QUIT && a->command != CH_POWER_BUTTON)
		(void)ch_api_send(in->api, CH_INFO);
}

static void count(struct instance *in, const struct ch_answer *a)
{
	struct hv_counters now;

	ch_counters(a->data, &now);
	hv_event_counters(in->vm, &now);
}

static void on_answer(void *arg, const struct ch_answer *a)
{
	struct instance *in = arg;

	if (a->error && in->restoring && (a->command == CH_PING || a->command == CH_RESUME))
		unfit(in, a->why);
	else if (a->error && a->command == CH_PING && !in->checked)
		hv_event(in->vm, HV_EV_BROKEN, a->why);
	else if (on_save_step(in, a))
		return;
	else if (a->error && (a->command == CH_QUIT || a->command == CH_INFO || a->command == CH_COUNTERS))
		log_debug("Cloud Hypervisor: %s", a->why); /* it may be ending already */
	else if (a->command == CH_PING && !a->error)
		check_version(in, a);
	else if (a->command == CH_INFO)
		check_info(in, a);
	else if (a->command == CH_COUNTERS)
		count(in, a);
	else if (a->command == CH_ADD_DISK || a->command == CH_ADD_NET || a->command == CH_REMOVE_DEVICE)
		on_plug(in, a);
	else
		on_acted(in, a);
	if (in->attached && in->restoring && a->error && a->command == CH_INFO)
		look_soon(in);
	/* A look that failed is one of those that there are. */
	if (in->attached && in->resizing && in->accepted && a->error && a->command == CH_INFO)
		check_size(in, NULL);
}

static void on_removed(struct instance *in, const char *id)
{
	if ((strncmp(id, HV_PLUG_PREFIX, strlen(HV_PLUG_PREFIX)) != 0 && !hv_card_number(id)) || strlen(id) > HV_SERIAL_BYTES)
		return;
	if (strcmp(in->plugging, id) == 0)
		in->plugging[0] = '\0';
	hv_event_plugged(in->vm, id, false, NULL);
}

static void on_vm_event(struct instance *in, const char *name)
{
	if (strcmp(name, "rebooting") == 0) {
		in->rebooting = true;
		hv_event(in->vm, HV_EV_RESET, NULL);
	} else if (strcmp(name, "rebooted") == 0 || strcmp(name, "booted") == 0) {
		in->rebooting = false;
		in->booted = true;
		(void)ch_api_send(in->api, CH_INFO);
	} else if (in->restoring && (strcmp(name, "restored") == 0 || strcmp(name, "resumed") == 0)) {
		if (in->checked)
			(void)ch_api_send(in->api, CH_INFO);
	} else if (!in->restoring && (strcmp(name, "paused") == 0 || strcmp(name, "resumed") == 0)) {
		holds(in, name[0] == 'p');
	} else if (in->restoring && strcmp(name, "deleted") == 0) {
		unfit(in, "Cloud Hypervisor has given its snapshot up");
	} else if (strcmp(name, "shutdown") == 0 && !in->rebooting && !in->restoring) {
		(void)ch_api_send(in->api, CH_INFO);
	} else if (strcmp(name, "deleted") == 0) {
		hv_event(in->vm, HV_EV_SHUTDOWN, NULL);
	}
}

static void read_log(struct instance *in)
{
	char data[4096];

	for (int i = 0; i < READS_A_TURN && in->attached && in->log_fd >= 0; i++) {
		ssize_t n = read(in->log_fd, data, sizeof(data));

		if (n > 0) {
			hv_event_log(in->vm, data, (size_t)n);
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

static void on_count(struct ev_loop *ev, ev_timer *w, int events)
{
	struct instance *in = w->data;

	(void)ev;
	(void)events;
	(void)ch_api_send(in->api, CH_COUNTERS);
}

/* Return: false once the instance is finished. */
static bool on_event(void *arg, const struct ch_event *e)
{
	struct instance *in = arg;

	if (e->lost)
		(void)ch_api_send(in->api, CH_INFO);
	else if (strcmp(e->source, "vm") == 0 && strcmp(e->name, "device-removed") == 0)
		on_removed(in, e->id);
	else if (strcmp(e->source, "vm") == 0)
		on_vm_event(in, e->name);
	else if (strcmp(e->source, "guest") == 0 && strcmp(e->name, "panic") == 0) {
		read_log(in); /* it has the words */
		if (in->attached)
			hv_event(in->vm, HV_EV_BROKEN, "the guest's kernel panicked");
	}
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

static void init_watchers(struct instance *in)
{
	ev_init(&in->readable, on_readable);
	ev_init(&in->log_readable, on_log);
	ev_init(&in->confirm, on_confirm);
	ev_init(&in->count, on_count);
	ev_init(&in->look, on_look);
	in->readable.data = in->log_readable.data = in->look.data = in->confirm.data = in->count.data = in;
}

static int ch_attach(struct hv_vm *vm, void *instance, int *fds, const struct netd_slot_info *info,
		     struct hv_console *console, struct err *e)
{
	struct instance *in = instance;
	_close_ int api = plan_take(info, fds, NETD_FD_LISTEN, 0);
	_close_ int events = plan_take(info, fds, NETD_FD_STREAM, 0);
	_close_ int pty = plan_take(info, fds, NETD_FD_PTY, 0);
	_close_ int ring = plan_take(info, fds, NETD_FD_RING, 0);
	_close_ int log = plan_take(info, fds, NETD_FD_FIFO, 0);
	int r;

	in->vm = vm;
	in->events_fd = in->log_fd = -1;
	init_watchers(in);
	in->attached = true;
	ch_events_init(&in->events);
	ch_vsock_init(&in->agent, vm);
	if (api < 0 || events < 0 || pty < 0 || ring < 0 || log < 0)
		return err_set(e, -EPROTO, "the process is no Cloud Hypervisor of this driver: "
					   "an API, events, a console, a log or a ring is missing");
	r = ch_api_open(&in->api, hv_vm_loop(vm), fd_take(&api), on_answer, in, e);
	if (r < 0)
		return r;
	/* The stream of an adopted one may begin in the middle of a record, which then counts as lost. */
	in->checked = in->adopted = in->booted = console->adopted;
	in->restoring = !console->adopted && hv_vm_origin(vm)->begin == HV_BEGIN_CLONE;
	(void)ch_api_send(in->api, CH_PING);
	if (console->adopted)
		(void)ch_api_send(in->api, CH_INFO);
	in->events_fd = fd_take(&events);
	in->log_fd = fd_take(&log);
	ev_io_set(&in->readable, in->events_fd, EV_READ);
	ev_io_start(hv_vm_loop(vm)->ev, &in->readable);
	ev_io_set(&in->log_readable, in->log_fd, EV_READ);
	ev_io_start(hv_vm_loop(vm)->ev, &in->log_readable);
	ev_timer_set(&in->count, COUNT_FIRST_S, COUNT_S);
	ev_timer_start(hv_vm_loop(vm)->ev, &in->count);
	console->kind = HV_CONSOLE_PTY;
	console->relayed = true;
	console->fd = fd_take(&pty);
	console->ring_fd = fd_take(&ring);
	console->ring_bytes = info->ring_bytes;
	in->plug_number = plan_first_file(info);
	in->has_agent = has_directory(info);
	if (in->has_agent && !in->restoring)
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

static int ch_pause(struct hv_vm *vm, void *instance)
{
	(void)vm;
	return send_command(instance, CH_PAUSE);
}

static int ch_resume(struct hv_vm *vm, void *instance)
{
	(void)vm;
	return send_command(instance, CH_RESUME);
}

/* Memory can be plugged in, in whole pieces, and not taken out again, but the balloon can hold any of it; processors come and go. */
static int ch_may_resize(const void *instance, const struct vm_size *now, const struct vm_size *wish, struct err *e)
{
	const struct instance *in = instance;
	uint64_t total = in && in->total > now->memory_bytes ? in->total : now->memory_bytes;

	if (wish->memory_bytes > total && (wish->memory_bytes - total) % CH_MEMORY_STEP != 0)
		return err_set(e, -EINVAL, "a running machine is given memory in pieces of %llu MiB: it has %llu now",
			       CH_MEMORY_STEP / MIB, (unsigned long long)(total / MIB));
	return 0;
}

static int ch_resize(struct hv_vm *vm, void *instance, const struct vm_size *wish)
{
	struct instance *in = instance;
	int r;

	(void)vm;
	in->wish = *wish;
	in->resizing = true;
	in->accepted = false;
	in->looks = 0;
	in->seen = 0;
	if (wish->memory_bytes < in->total)
		r = ch_api_resize(in->api, wish->cpus, in->total, in->total - wish->memory_bytes);
	else
		r = ch_api_resize(in->api, wish->cpus, wish->memory_bytes, 0);
	return r < 0 ? -EOPNOTSUPP : 0;
}

static int may_plug(const struct instance *in, struct err *e)
{
	return in->plugging[0] ? err_set(e, -EBUSY, "the last change of its disks and cards is not done yet") : 0;
}

static int begin_plug(struct instance *in, const char *serial, int r, struct err *e)
{
	if (r < 0)
		return err_set(e, -EBUSY, "Cloud Hypervisor cannot be asked now; try again");
	(void)snprintf(in->plugging, sizeof(in->plugging), "%s", serial);
	return 0;
}

static int ch_plug(struct hv_vm *vm, void *instance, const struct hv_disk *d, struct err *e)
{
	struct instance *in = instance;
	char path[64];

	(void)vm;
	if (may_plug(in, e) < 0)
		return -EBUSY;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", in->plug_number, d->serial);
	return begin_plug(in, d->serial, ch_api_add_disk(in->api, path, d->serial, d->readonly), e);
}

static int ch_plug_card(struct hv_vm *vm, void *instance, const char *name, const uint8_t mac[6], int tap_fd, struct err *e)
{
	struct instance *in = instance;
	int fd;

	(void)vm;
	if (may_plug(in, e) < 0)
		return -EBUSY;
	fd = fcntl(tap_fd, F_DUPFD_CLOEXEC, 3);
	return begin_plug(in, name, fd < 0 ? -errno : ch_api_add_net(in->api, fd, name, mac), e);
}

static int ch_unplug(struct hv_vm *vm, void *instance, const char *serial, struct err *e)
{
	struct instance *in = instance;

	(void)vm;
	return may_plug(in, e) < 0 ? -EBUSY : begin_plug(in, serial, ch_api_remove(in->api, serial), e);
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
	in->snapshot = ch_snapshot_drop(in->snapshot);
	in->api = ch_api_close(in->api);
	stop_events(in);
	ev_timer_stop(hv_vm_loop(in->vm)->ev, &in->confirm);
	ev_timer_stop(hv_vm_loop(in->vm)->ev, &in->count);
	ev_timer_stop(hv_vm_loop(in->vm)->ev, &in->look);
	ev_io_stop(hv_vm_loop(in->vm)->ev, &in->log_readable);
	in->log_fd = fd_close(in->log_fd);
	ch_events_finish(&in->events);
	ch_vsock_stop(&in->agent);
}

const struct hv_driver hv_driver_ch = {
	.name = CH_PROGRAM,
	.has_guest = true,
	.instance_bytes = sizeof(struct instance),
	.plan = ch_plan,
	.attach = ch_attach,
	.ask_stop = ch_ask_stop,
	.quit = ch_quit,
	.reset = ch_reset,
	.pause = ch_pause,
	.resume = ch_resume,
	.may_resize = ch_may_resize,
	.resize = ch_resize,
	.limits = ch_limits,
	.plugs_by_name = true,
	.balloons = true,
	.by_folder = true,
	.save_template = ch_save_template,
	.plug = ch_plug,
	.plug_card = ch_plug_card,
	.unplug = ch_unplug,
	.signal_hint = ch_signal_hint,
	.agent_renew = ch_agent_renew,
	.is_mine = ch_is_mine,
	.finish = ch_finish,
};
