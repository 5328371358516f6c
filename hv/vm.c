/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one machine.
 *
 * Theory of operation
 *
 *   begin -> placing -NET_ALLOC-> placing -answer-> starting -VM_SPAWN-> starting -answer-> booting -marker-> ready
 *            (placing first waits a little while KVM is being probed)
 *
 *   stopping: each rung acts and has a deadline: ask the guest, ask the VMM, SIGTERM, SIGKILL, give up.
 *             NETD_EXITED ends the climb: NET_FREE, and its answer ends the machine in `end` (stopped or failed).
 *
 * What is under way is written in three places and nowhere else: `calling` (the one request to the helper), `running` (a process is
 * attached) and `has_slot`. Whatever happens to a machine that has to end goes through vm_stop_from() and vm_climb(), which look at these
 * three: a request under way is waited for (its answer climbs on), a process is ended, a slot is freed. Without a connection to
 * the helper nothing can be freed: the machine ends at once and sync.c clears its slot away when the helper is back.
 *
 * Hooks may call back into hv; so they come last in a function, or the state is looked at again behind them.
 */
#include "hv/ch_snapshot.h"
#include "hv/qemu_balloon.h"
#include "hv/vm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "base/log.h"

#define TAIL_BYTES   4096
#define CONFIG_MAX   65536
#define CORRUPT_ROOT "dm-verity device corrupted" /* the kernel's words */

/* --- small things -------------------------------------------------------------------------------------------------------- */

static void deadline_in(struct hv_vm *vm, uint64_t ms)
{
	struct ev_loop *ev = vm->hv->loop->ev;

	ev_timer_stop(ev, &vm->deadline);
	ev_now_update(ev);
	ev_timer_set(&vm->deadline, (double)ms / 1000.0, 0.);
	ev_timer_start(ev, &vm->deadline);
}

static void no_deadline(struct hv_vm *vm)
{
	ev_timer_stop(vm->hv->loop->ev, &vm->deadline);
}

void vm_enter(struct hv_vm *vm, enum hv_state state)
{
	char id[2 * sizeof(vm->id) + 1];

	if (vm->state == state)
		return;
	hex_encode(vm->id, sizeof(vm->id), id);
	/* For people it is the owner of the machine that logs; it knows whose it is. */
	log_debug("machine %s (%s): %s%s%s", id, vm->spec.name, hv_state_name(state), vm->reason[0] ? ": " : "", vm->reason);
	vm->state = state;
	vm->since_ms = loop_now_ms();
	if (state != HV_PLACING && state != HV_STARTING && state != HV_BOOTING)
		turn_left(vm);
	vm->hooks->on_state(vm->hooks_arg, vm);
}

static void set_reason(struct hv_vm *vm, const char *fmt, va_list ap)
{
	(void)vsnprintf(vm->reason, sizeof(vm->reason), fmt, ap);
}

static void ends_with(struct hv_vm *vm, enum hv_state end, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Where stopping leads and why; the first failure is the one that is told. */
static void ends_with(struct hv_vm *vm, enum hv_state end, const char *fmt, ...)
{
	va_list ap;

	if (vm->end == HV_FAILED)
		return;
	vm->end = end;
	va_start(ap, fmt);
	set_reason(vm, fmt, ap);
	va_end(ap);
}

static const char *name_of(const struct hv_vm *vm)
{
	return vm->driver ? vm->driver->name : "";
}

/* --- the end ------------------------------------------------------------------------------------------------------------- */

static void let_go(struct hv_vm *vm)
{
	vm_resize_ended(vm);
	standby_stop(vm);
	vm_plug_ended(vm);
	if (vm->instance && vm->driver->finish)
		vm->driver->finish(vm, vm->instance);
	folder_remove(&vm->folder);
	free(vm->instance);
	vm->instance = NULL;
	vm->running = false;
	vm->pss_bytes = vm->pss_ms = 0;
	vm->agent_fd = fd_close(vm->agent_fd);
	vm->console_given = vm->agent_due = false;
}

static void finish(struct hv_vm *vm)
{
	no_deadline(vm);
	let_go(vm);
	origin_drop(&vm->origin);
	vm->rung = vm->rung_done = RUNG_NONE;
	if (vm->again && vm->end == HV_STOPPED && vm->hv->online) {
		vm_begin(vm);
		return;
	}
	vm->again = false;
	vm->ticket = 0;
	vm_enter(vm, vm->end);
}

static void on_freed(struct helper_call *c, const struct helper_result *r)
{
	struct hv_vm *vm = container_of(c, struct hv_vm, call);

	vm->calling = CALL_NONE;
	vm->has_slot = false;
	if (r->status < 0 && r->status != -ENOTCONN)
		ends_with(vm, HV_FAILED, "its place could not be cleared: %s", r->reason);
	finish(vm);
}

/* Nothing runs: the slot goes back, then the machine is at its end. */
static void release(struct hv_vm *vm)
{
	if (!vm->has_slot || !helper_up(vm->hv->helper)) {
		vm->has_slot = false;
		finish(vm);
		return;
	}
	no_deadline(vm);
	vm->calling = CALL_FREE;
	vm->call.done = on_freed;
	helper_net_free(vm->hv->helper, &vm->call, vm->info.slot);
}

static void on_killed(struct helper_call *c, const struct helper_result *r)
{
	struct hv_vm *vm = container_of(c, struct hv_vm, call);

	/* Its end is reported by NETD_EXITED, a failure by the deadline of this rung. */
	vm->calling = CALL_NONE;
	if (r->status < 0)
		log_debug("machine %s: signal not sent: %s", vm->spec.name, r->reason);
}

static void cancel_signal(struct hv_vm *vm)
{
	if (vm->calling != CALL_KILL)
		return;
	helper_cancel(vm->hv->helper, &vm->call);
	vm->calling = CALL_NONE;
}

static void send_signal(struct hv_vm *vm, enum netd_kill how)
{
	cancel_signal(vm);
	vm->calling = CALL_KILL;
	vm->call.done = on_killed;
	helper_kill(vm->hv->helper, &vm->call, vm->info.slot, how);
}

static bool act_ask(struct hv_vm *vm)
{
	return vm->driver->ask_stop && vm->driver->ask_stop(vm, vm->instance) == 0;
}

static bool act_quit(struct hv_vm *vm)
{
	return vm->driver->quit && vm->driver->quit(vm, vm->instance) == 0;
}

static bool act_term(struct hv_vm *vm)
{
	send_signal(vm, NETD_KILL_TERM);
	return true;
}

static bool act_kill(struct hv_vm *vm)
{
	send_signal(vm, NETD_KILL_HARD);
	return true;
}

static void give_up(struct hv_vm *vm)
{
	ends_with(vm, HV_FAILED, "process %d of slot %u does not end; look at it on the host", vm->info.pid, vm->info.slot);
	cancel_signal(vm);
	vm->has_slot = false;
	finish(vm);
}

static uint64_t rung_ms(const struct hv_vm *vm)
{
	const struct hv *hv = vm->hv;
	const uint64_t ms[] = {
		[RUNG_ASK] = hv->c.stop_deadline_ms, [RUNG_QUIT] = hv->limits.quit_ms, [RUNG_TERM] = hv->limits.term_ms,
		[RUNG_KILL] = hv->limits.kill_ms,
	};

	return ms[vm->rung];
}

void vm_climb(struct hv_vm *vm)
{
	static bool (*const act[])(struct hv_vm *) = {
		[RUNG_ASK] = act_ask, [RUNG_QUIT] = act_quit, [RUNG_TERM] = act_term, [RUNG_KILL] = act_kill,
	};

	if (vm->calling != CALL_NONE && vm->calling != CALL_KILL)
		return; /* its answer climbs on */
	if (!vm->running) {
		release(vm);
		return;
	}
	if (vm->rung == vm->rung_done)
		return; /* its deadline climbs on */
	while (vm->rung < RUNG_GIVE_UP && !act[vm->rung](vm))
		vm->rung++;
	if (vm->rung >= RUNG_GIVE_UP) {
		give_up(vm);
		return;
	}
	vm->rung_done = vm->rung;
	deadline_in(vm, rung_ms(vm));
}

void vm_stop_from(struct hv_vm *vm, enum rung rung)
{
	if (vm->rung < rung)
		vm->rung = rung;
	vm->waits_for_probe = vm->preparing = false;
	if (vm->calling == CALL_NONE && !vm->running && !vm->has_slot) {
		finish(vm);
		return;
	}
	vm_enter(vm, HV_STOPPING);
	if (vm->state == HV_STOPPING)
		vm_climb(vm);
}

void vm_fail(struct hv_vm *vm, const char *fmt, ...)
{
	va_list ap;

	if (vm->state == HV_STOPPED || vm->state == HV_FAILED || vm->state == HV_STANDBY)
		return;
	if (vm->end != HV_FAILED) {
		vm->end = HV_FAILED;
		va_start(ap, fmt);
		set_reason(vm, fmt, ap);
		va_end(ap);
	}
	vm_stop_from(vm, RUNG_QUIT);
}

static const char *said_last(const struct hv_vm *vm)
{
	const char *words = vm->driver->last_words && vm->instance ? vm->driver->last_words(vm->instance) : NULL;

	return words ? words : "";
}

/* Why a process ended that nobody had asked to. */
static void explain_exit(struct hv_vm *vm, const struct netd_slot_info *info)
{
	const char *words = said_last(vm);
	const char *sep = words[0] ? ": " : "";

	if (info->exit_signal && vm->driver->signal_hint && vm->driver->signal_hint(info->exit_signal)) {
		words = vm->driver->signal_hint(info->exit_signal);
		sep = ": ";
	}
	if (info->oom_killed)
		ends_with(vm, HV_FAILED, "ended by the host: it needed more memory than its limit of %llu MiB",
			  (unsigned long long)(vm->spec.memory_bytes >> 20));
	else if (info->exit_signal)
		ends_with(vm, HV_FAILED, "%s was ended by signal %d (%s)%s%.200s", name_of(vm), info->exit_signal,
			  strsignal(info->exit_signal), sep, words);
	else if (info->exit_code == 0 && vm->driver->has_guest)
		ends_with(vm, HV_STOPPED, "the guest ended");
	else if (vm->driver->any_exit_ok)
		ends_with(vm, HV_STOPPED, "the command ended with status %d", info->exit_code);
	else
		ends_with(vm, HV_FAILED, "%s ended with status %d%s%.200s", name_of(vm), info->exit_code, sep, words);
}

/*
 * What it was to begin with did not bring it to life. It boots instead; whoever waits for it sees no more than that.
 * Return: false if that cannot be: it has lived already, or nothing else is left to try.
 */
static bool boot_instead(struct hv_vm *vm, const char *why, bool late)
{
	if (vm->origin.begin < HV_BEGIN_CLONE || vm->state != HV_BOOTING || vm->lived)
		return false;
	why = why ? why : said_last(vm);
	log_warn("machine %s boots, for it cannot be %s: %s", vm->spec.name, vm->origin.begin == HV_BEGIN_CLONE ? "cloned" : "woken", why[0] ? why : "its VMM has ended");
	template_doubt(vm->hv, vm, late);
	vm->boots = vm->again = true;
	vm->end = HV_STOPPED;
	return true;
}

static void on_unfit(struct hv_vm *vm, const char *why)
{
	if (boot_instead(vm, why, false))
		vm_stop_from(vm, RUNG_KILL);
	else
		vm_fail(vm, "%s", why);
}

void vm_exited(struct hv_vm *vm, const struct netd_slot_info *info)
{
	if (!vm->running)
		return;
	if (vm->state != HV_STOPPING && !boot_instead(vm, NULL, false))
		explain_exit(vm, info);
	vm->info.state = NETD_SLOT_EXITED;
	vm->info.pid = 0;
	/* Still `running` for the hook: nothing that it asks for may end the machine before this function goes on. */
	vm->hooks->on_exit(vm->hooks_arg, vm, info->exit_code, info->exit_signal);
	cancel_signal(vm);
	let_go(vm);
	vm_stop_from(vm, RUNG_ASK);
}

void vm_lost(struct hv_vm *vm)
{
	struct netd_slot_info end = { .exit_signal = SIGKILL };

	vm->has_slot = false;
	if (vm->state != HV_STOPPING)
		ends_with(vm, HV_FAILED, "the helper terrarium-netd was restarted and knows it no more");
	if (vm->probe)
		vm->hv->probe.ran = false;
	/* Should it run still, nobody else can end it. */
	if (vm->running)
		(void)act_quit(vm);
	if (vm->running)
		vm_exited(vm, &end);
	else
		vm_stop_from(vm, RUNG_ASK);
}

/* --- the beginning --------------------------------------------------------------------------------------------------------- */

/* Return: the place of @name in the helper's list, or -ENOENT. */
static int find_name(const struct hv *hv, const char *name)
{
	for (int i = 0; name && i < NETD_BINARIES_MAX && hv->hello.binaries[i].name[0] != '\0'; i++) {
		if (strcmp(hv->hello.binaries[i].name, name) == 0)
			return i;
	}
	return -ENOENT;
}

static int find_binary(const struct hv *hv, const struct spawn_plan *plan, struct err *e)
{
	int i = find_name(hv, plan->binary);

	if (i < 0)
		i = find_name(hv, plan->or_binary);
	if (i < 0)
		return err_set(e, i, "the helper has no program \"%.40s\": install it, or add it to the helper's list of binaries", plan->binary);
	return i;
}

static bool under_kvm(const struct hv_vm *vm)
{
	return vm->accel == HV_ACCEL_KVM;
}

static int plan_guest(struct hv_vm *vm, struct plan_input *in, struct image *img, struct err *e)
{
	int r = image_load(img, vm->hv->c.images, vm->spec.image, vm->hv->image_key, e);

	if (r < 0)
		return r;
	if (vm->spec.memory_bytes < img->memory_min)
		return err_set(e, -EINVAL, "the image \"%s\" needs at least %llu MiB of memory", vm->spec.image,
			       (unsigned long long)(img->memory_min >> 20));
	bootwatch_init(&vm->watch, img->ready, img->ready_len);
	in->kernel = img->kernel;
	in->initrd = img->initrd;
	in->cmdline = img->cmdline;
	in->tsc_khz = tsc_khz(&vm->hv->tsc);
	return 0;
}

/* The firmware is read once; a package that replaces it counts after a restart. */
static int confidential_of(struct hv *hv, const struct vm_spec *spec, const struct image *img, struct confidential *out, struct err *e)
{
	int r = hv->confidential.image ? 0 : confidential_host_load(&hv->confidential, hv->c.firmware, e);

	return r == 0 ? confidential_make(out, &hv->confidential, img, spec, e) : r;
}

int hv_vm_confidential(const struct hv_vm *vm, struct confidential *out, struct err *e)
{
	struct image img;
	int r = image_load(&img, vm->hv->c.images, vm->spec.image, vm->hv->image_key, e);

	if (r < 0)
		return r;
	r = confidential_of(vm->hv, &vm->spec, &img, out, e);
	image_finish(&img);
	return r;
}

static int plan_snp(struct hv_vm *vm, struct plan_input *in, const struct image *img, struct confidential *out, struct err *e)
{
	struct confidential_host here = { .image = NULL };
	/* The processor first: without it, nobody has to look for a firmware. */
	int r = confidential_host_cpu(&here, e);

	if (r == 0)
		r = confidential_of(vm->hv, &vm->spec, img, out, e);
	if (r == 0)
		r = confidential_host_cpu(&vm->hv->confidential, e);
	in->snp = out;
	in->kernel = img->confidential.kernel;
	return r;
}

/* The image's disk: all machines of it share it, and so nobody writes it. */
static int add_root(const struct image *img, struct hv_disk disks[HV_DISKS_MAX], size_t *ndisks, struct err *e)
{
	struct hv_disk *d = &disks[*ndisks];

	if (!img->root)
		return 0;
	if (*ndisks == HV_DISKS_MAX)
		return err_set(e, -E2BIG, "the machine has too many disks for one with an image of its own");
	d->fd = open(img->root, O_RDONLY | O_CLOEXEC);
	if (d->fd < 0)
		return err_set(e, -errno, "%s: %s", img->root, strerror(errno));
	d->readonly = true;
	(void)snprintf(d->serial, sizeof(d->serial), "root");
	(*ndisks)++;
	return 0;
}

bool hv_vm_balloon(const struct hv_vm *vm)
{
	/* Not of clones, whose pages are others' too; and a state that was saved has no more devices than it was saved with. */
	return vm->origin.begin == HV_BEGIN_BOOT || (vm->origin.begin == HV_BEGIN_WAKE && strstr(vm->origin.vmm, QEMU_BALLOON_WORD));
}

/* What a VMM wrote of a template, or nothing. Return: text, to be freed */
static char *read_config(const struct hv_origin *o, size_t *len)
{
	struct stat st;
	char *text = NULL;

	*len = 0;
	if (o->config_fd < 0 || fstat(o->config_fd, &st) < 0 || st.st_size <= 0 || st.st_size > CONFIG_MAX)
		return NULL;
	text = malloc((size_t)st.st_size);
	if (text && pread(o->config_fd, text, (size_t)st.st_size, 0) == st.st_size)
		*len = (size_t)st.st_size;
	return text;
}

static int make_plan(struct hv_vm *vm, struct hv_disk disks[HV_DISKS_MAX], size_t *ndisks, int plug_dir, struct spawn_plan *plan, int *binary, struct err *e)
{
	const struct hv *hv = vm->hv;
	struct image img = { .kernel = NULL };
	struct plan_input in = {
		.spec = &vm->spec, .net = &vm->info, .machine = hv->c.machine, .local_command = hv->c.local_command,
		.local_console = hv->c.local_console, .local_agent = hv->c.local_agent, .accel = vm->accel, .ring_bytes = hv->c.ring_bytes, .probe = vm->probe,
		.disks = disks, .plug_dir = plug_dir, .landlock = hv->landlock, .seccomp = hv->c.ch_seccomp, .standin = hv_has_binary(hv, CH_STANDIN), .balloon = hv_vm_balloon(vm),
		.begin = vm->origin.begin, .memory_fd = vm->origin.memory_fd, .state_fd = vm->origin.state_fd, .folder = vm->folder.fd, .on_demand = hv->on_demand,
	};
	_free_ char *config = read_config(&vm->origin, &in.config_len);
	struct confidential snp;
	int r = vm->driver->has_guest ? plan_guest(vm, &in, &img, e) : 0;

	if (r == 0 && vm->spec.confidential != VM_CONFIDENTIAL_NONE)
		r = plan_snp(vm, &in, &img, &snp, e);
	if (r == 0 && vm->driver->has_guest)
		r = add_root(&img, disks, ndisks, e);
	in.ndisks = *ndisks;
	in.config = config;
	if (r == 0)
		r = vm->driver->plan(&in, plan, e);
	image_finish(&img);
	if (r == 0)
		r = *binary = find_binary(hv, plan, e);
	return r < 0 ? r : 0;
}

/* Every answer of the helper on the way up begins here. Return: true to go on. */
static bool still_starting(struct hv_vm *vm, const struct helper_result *r, const char *what)
{
	vm->calling = CALL_NONE;
	if (vm->state == HV_STOPPING) {
		/* Stopped meanwhile: what the answer brought is cleared away by the climb. */
		return r->status == 0;
	}
	if (r->status == 0)
		return true;
	/* -ENOTCONN: the helper is away; sync.c goes on when it is back, unless the deadline comes first. */
	if (r->status != -ENOTCONN)
		vm_fail(vm, "%s: %s", what, r->reason);
	return false;
}

static void on_spawned(struct helper_call *c, const struct helper_result *r)
{
	struct hv_vm *vm = container_of(c, struct hv_vm, call);

	if (still_starting(vm, r, "it could not be started"))
		vm_attach(vm, r->info, r->fds, false);
	else if (vm->state == HV_STOPPING)
		vm_climb(vm);
}

/* Where its driver needs one: what a VMM writes of it goes through a folder, and what it is given to go on from, too. */
static int make_folder(struct hv_vm *vm, struct err *e)
{
	const char *dir = vm->hv->c.state_dir;

	folder_remove(&vm->folder);
	if (!vm->driver->by_folder || (vm->origin.begin != HV_BEGIN_TEMPLATE && vm->origin.begin != HV_BEGIN_CLONE))
		return 0;
	if (!dir)
		return err_set(e, -EOPNOTSUPP, "there is no state directory");
	return vm->origin.begin == HV_BEGIN_CLONE ? folder_for_reading(&vm->folder, dir, e) : folder_for_writing(&vm->folder, dir, vm->spec.memory_bytes, e);
}

static int fill_folder(struct hv_vm *vm, const struct spawn_plan *plan, struct err *e)
{
	int r = 0;

	vm->folder.number = plan->folder;
	if (plan->config)
		r = folder_put(&vm->folder, CH_SNAPSHOT_CONFIG, plan->config, e);
	if (r == 0 && plan->state > 0)
		r = folder_link(&vm->folder, CH_SNAPSHOT_STATE, plan->state, e);
	if (r == 0 && plan->memory > 0)
		r = folder_link(&vm->folder, CH_SNAPSHOT_MEMORY, plan->memory, e);
	return r;
}

static int plan_start(struct hv_vm *vm, struct hv_disk disks[HV_DISKS_MAX], size_t *ndisks, int plug_dir, struct spawn_plan *plan, int *binary, struct err *e)
{
	int r = make_folder(vm, e);

	if (r == 0)
		r = make_plan(vm, disks, ndisks, plug_dir, plan, binary, e);
	return r == 0 ? fill_folder(vm, plan, e) : r;
}

/* What it was to begin with cannot even be told to its process: the same without. Nothing runs yet, so it keeps its place. */
static void forget_origin(struct hv_vm *vm, struct spawn_plan *plan, const struct err *e)
{
	log_warn("machine %s boots, for it cannot be cloned: %s", vm->spec.name, e->msg);
	template_doubt(vm->hv, vm, false);
	origin_drop(&vm->origin);
	plan_finish(plan);
	memset(plan, 0, sizeof(*plan));
}

/* Its disks, its plan, and the request. The request has descriptors of its own. */
static int order(struct hv_vm *vm, struct spawn_plan *plan, struct err *e)
{
	_close_ int plug_dir = -1;
	struct hv_disk disks[HV_DISKS_MAX] = { { .fd = -1 } };
	int binary = 0, r = vm->hooks->on_disks && !vm->probe ? vm->hooks->on_disks(vm->hooks_arg, vm, disks, e) : 0;
	size_t n = r > 0 ? (size_t)r : 0;
	struct err why = { 0 };

	if (r < 0)
		return r;
	/* Without it, disks cannot be plugged in later; that is no reason not to start. */
	if (vm->driver->plugs_by_name && vm->hooks->on_plug_dir && !vm->probe)
		plug_dir = vm->hooks->on_plug_dir(vm->hooks_arg, vm);
	if (n == 0)
		template_lend(vm);
	r = plan_start(vm, disks, &n, plug_dir, plan, &binary, &why);
	if (r < 0 && vm->origin.begin == HV_BEGIN_CLONE) {
		/* A clone has no disks of its own. */
		while (n > 0)
			(void)fd_close(disks[--n].fd);
		forget_origin(vm, plan, &why);
		r = plan_start(vm, disks, &n, plug_dir, plan, &binary, &why);
	}
	if (r < 0)
		(void)err_set(e, r, "%s", why.msg);
	if (r == 0) {
		vm->calling = CALL_SPAWN;
		vm->call.done = on_spawned;
		helper_spawn(vm->hv->helper, &vm->call, vm->info.slot, (uint16_t)binary, plan);
	}
	for (size_t i = 0; i < n; i++)
		(void)fd_close(disks[i].fd);
	return r;
}

static void spawn(struct hv_vm *vm)
{
	struct spawn_plan *plan = calloc(1, sizeof(*plan));
	struct err e = { 0 };
	int r;

	r = plan ? order(vm, plan, &e) : err_set(&e, -ENOMEM, "no memory");
	if (!plan || r < 0) {
		if (plan)
			plan_finish(plan);
		free(plan);
		vm_fail(vm, "%s", e.msg);
		return;
	}
	vm->memory_limit = plan->memory_max;
	vm->cpu_limit = plan->cpu_percent;
	plan_finish(plan);
	free(plan);
	vm_enter(vm, HV_STARTING);
}

static void on_placed(struct helper_call *c, const struct helper_result *r)
{
	struct hv_vm *vm = container_of(c, struct hv_vm, call);
	bool go_on = still_starting(vm, r, "no place for it");

	if (r->status == 0) {
		vm->info = *r->info;
		vm->has_slot = true;
	}
	if (vm->state == HV_STOPPING)
		vm_climb(vm);
	else if (go_on)
		spawn(vm);
}

void vm_place(struct hv_vm *vm)
{
	const struct hv *hv = vm->hv;

	if (vm->driver->has_guest && !vm->probe) {
		if (hv->accel == HV_ACCEL_AUTO && hv->probe.vm && vm->waits_for_probe)
			return;
		vm->accel = hv->accel == HV_ACCEL_KVM ? HV_ACCEL_KVM : HV_ACCEL_TCG;
	}
	vm->waits_for_probe = false;
	deadline_in(vm, hv->limits.start_ms);
	if (vm->preparing)
		return;
	if (turn_take(vm))
		vm_go(vm);
	else
		deadline_in(vm, hv->c.start_wait_ms);
}

void vm_go(struct hv_vm *vm)
{
	static const enum netd_net nets[VM_NET_COUNT] = {
		[VM_NET_NAT] = NETD_NET_NAT, [VM_NET_ISOLATED] = NETD_NET_ISOLATED, [VM_NET_NONE] = NETD_NET_NONE,
	};
	const struct hv *hv = vm->hv;

	deadline_in(vm, hv->limits.start_ms);
	vm->calling = CALL_ALLOC;
	vm->call.done = on_placed;
	helper_net_alloc(hv->helper, &vm->call, vm->id, nets[vm->spec.net]);
}

static int prepare(struct hv_vm *vm, struct err *e)
{
	int r = vm->hooks->on_prepare && !vm->probe ? vm->hooks->on_prepare(vm->hooks_arg, vm, e) : 0;

	vm->preparing = r > 0;
	return r;
}

void vm_begin(struct hv_vm *vm)
{
	struct hv *hv = vm->hv;
	struct err e = { 0 };

	vm->driver = hv_driver_for(hv, &vm->spec);
	vm->reason[0] = '\0';
	vm->end = HV_STOPPED;
	vm->again = false;
	vm->rung = vm->rung_done = RUNG_NONE;
	vm->resets = 0;
	vm->reset_ms = 0;
	vm->reset_asked = false;
	vm->can_resize = vm->lived = false;
	vm->memory_limit = vm->cpu_limit = 0;
	if (vm->ticket == 0)
		vm->ticket = ++hv->turns.tickets;
	vm_log_begin(vm);
	vm->accel = vm->probe ? HV_ACCEL_KVM : HV_ACCEL_AUTO;
	vm->waits_for_probe = vm->driver->has_guest && !vm->probe && hv->accel == HV_ACCEL_AUTO;
	if (vm->waits_for_probe)
		deadline_in(vm, hv->limits.probe_wait_ms);
	if (hv_may_drive(hv, &vm->spec, &e) < 0 || prepare(vm, &e) < 0) {
		vm_enter(vm, HV_PLACING);
		vm_fail(vm, "%s", e.msg);
		return;
	}
	vm_place(vm);
	vm_enter(vm, HV_PLACING);
}

void hv_vm_prepared(struct hv_vm *vm, const char *why)
{
	if (vm->state != HV_PLACING || !vm->preparing)
		return;
	vm->preparing = false;
	if (why)
		vm_fail(vm, "%s", why);
	else
		vm_place(vm);
}

void vm_booting(struct hv_vm *vm)
{
	bool short_way = vm->origin.begin >= HV_BEGIN_CLONE && !vm->lived;

	deadline_in(vm, short_way ? vm->hv->limits.clone_ms : vm->boot_ms ? vm->boot_ms : vm->hv->c.boot_deadline_ms);
	vm_enter(vm, HV_BOOTING);
}

static void now_ready(struct hv_vm *vm)
{
	if (vm->state != HV_BOOTING)
		return;
	no_deadline(vm);
	vm->resets = 0;
	vm->boots = false;
	vm->ticket = 0;
	vm->lived = true;
	vm_enter(vm, HV_READY);
	if (vm->origin.begin == HV_BEGIN_CLONE)
		template_proved(vm);
	if (vm->state == HV_READY)
		template_booted(vm);
	gauge_wake(vm->hv);
}

/* It runs. What is left is to be told who it is, for which there is as much time again. */
static void on_restored(struct hv_vm *vm)
{
	folder_remove(&vm->folder); /* it was read */
	if (vm->state == HV_BOOTING)
		deadline_in(vm, vm->hv->limits.clone_ms);
	hv_agent_here(vm);
	if (vm->origin.begin == HV_BEGIN_WAKE)
		now_ready(vm);
}

void vm_attach(struct hv_vm *vm, const struct netd_slot_info *info, int *fds, bool adopted)
{
	struct hv_console console = { .fd = -1, .ring_fd = -1, .adopted = adopted };
	struct err e = { 0 };
	bool ready;
	int r = 0;

	vm->info = *info;
	vm->has_slot = true;
	vm->running = true;
	if (adopted)
		vm_log_begin(vm);
	memset(&vm->counted, 0, sizeof(vm->counted));
	if (vm->driver->instance_bytes > 0) {
		vm->instance = calloc(1, vm->driver->instance_bytes);
		r = vm->instance ? 0 : err_set(&e, -ENOMEM, "no memory");
	}
	if (r == 0)
		r = vm->driver->attach(vm, vm->instance, fds, info, &console, &e);
	if (r < 0) {
		ends_with(vm, HV_FAILED, "%s", e.msg);
		vm_stop_from(vm, RUNG_TERM);
		return;
	}
	console.mute = !adopted && vm->origin.begin >= HV_BEGIN_CLONE;
	(void)fd_nonblock(console.fd);
	vm->can_resize = console.kind == HV_CONSOLE_PTY;
	ready = !vm->driver->has_guest || (adopted && sync_was_ready(vm, &console));
	vm->hooks->on_console(vm->hooks_arg, vm, &console);
	vm->console_given = vm->running;
	if (vm->state == HV_STOPPING) {
		vm_climb(vm);
		return;
	}
	vm_booting(vm);
	if (ready)
		now_ready(vm);
	if (vm->agent_due)
		hv_agent_here(vm);
}

/* --- its agent ------------------------------------------------------------------------------------------------------------- */

void hv_agent_stream(struct hv_vm *vm, int fd)
{
	(void)fd_close(vm->agent_fd);
	vm->agent_fd = fd;
}

/* A duplicate: whoever gets it may hang up and come again, and the process that runs the guest sees nothing of it. */
void hv_agent_here(struct hv_vm *vm)
{
	int fd;

	vm->agent_due = vm->agent_fd >= 0 && !vm->console_given;
	if (vm->agent_fd < 0 || !vm->console_given || !vm->hooks->on_agent)
		return;
	fd = fcntl(vm->agent_fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		vm->hooks->on_agent(vm->hooks_arg, vm, fd);
	else
		log_warn("machine %s: no file descriptor is left for its agent", vm->spec.name);
}

void hv_agent_gone(struct hv_vm *vm)
{
	if (vm->hooks->on_agent_gone)
		vm->hooks->on_agent_gone(vm->hooks_arg, vm);
}

void hv_reach(struct hv_vm *vm, struct helper_call *c)
{
	helper_connect(vm->hv->helper, c, vm->info.slot);
}

void hv_reach_cancel(struct hv_vm *vm, struct helper_call *c)
{
	if (vm->hv->helper)
		helper_cancel(vm->hv->helper, c);
}

void hv_vm_agent_seen(struct hv_vm *vm)
{
	now_ready(vm);
}

int hv_vm_agent_renew(struct hv_vm *vm)
{
	if (!vm->running)
		return -ENOTCONN;
	if (vm->driver->agent_renew)
		return vm->driver->agent_renew(vm, vm->instance);
	if (vm->agent_fd < 0)
		return -ENOTCONN;
	hv_agent_here(vm);
	return 0;
}

/* --- while it runs --------------------------------------------------------------------------------------------------------- */

/* Return: true if this reset is one too many. */
static bool count_reset(struct hv_vm *vm)
{
	const struct hv_limits *l = &vm->hv->limits;
	uint64_t now = loop_now_ms();
	bool asked = vm->reset_asked;

	vm->reset_asked = false;
	if (!asked && now - vm->reset_ms < l->resets_gap_ms)
		return false;
	vm->reset_ms = now;
	if (asked)
		return false;
	if (vm->resets == 0 || now - vm->resets_since_ms > l->resets_ms) {
		vm->resets = 0;
		vm->resets_since_ms = now;
	}
	return ++vm->resets >= l->resets;
}

/*
 * A block of its root that nobody had read before may be damaged as well. The kernel ends then as it does at boot, after the ready marker, where a
 * machine reboots by itself: it would seem to be whole again until the next one reads that block.
 */
static bool died_of_its_root(const struct hv_vm *vm)
{
	static const char text[] = "Kernel panic - not syncing: " CORRUPT_ROOT;

	return vm->state == HV_READY && vm->tail && memmem(vm->tail, vm->tail_len, text, sizeof(text) - 1);
}

static void on_reset_event(struct hv_vm *vm)
{
	if (vm->state != HV_BOOTING && vm->state != HV_READY)
		return;
	if (died_of_its_root(vm)) {
		vm_panicked(vm, CORRUPT_ROOT);
		return;
	}
	vm->watch.ready.at = vm->watch.panic.at = vm->watch.refused.at = 0;
	if (count_reset(vm))
		vm_fail(vm, "the guest rebooted %u times within %llu s without reaching its prompt", vm->resets,
			(unsigned long long)((loop_now_ms() - vm->resets_since_ms) / 1000));
	else
		vm_booting(vm);
}

/*
 * A guest that panics, or a monitor that talks nonsense, says nothing about KVM: else one person's machine could take it from everybody's.
 */
static void on_gave_up_event(struct hv_vm *vm, const char *reason)
{
	bool kvm = under_kvm(vm) && !vm->probe && vm->state == HV_BOOTING;

	vm_fail(vm, "%s", reason);
	if (kvm)
		probe_doubt(vm->hv, reason);
}

void hv_event(struct hv_vm *vm, enum hv_event ev, const char *reason)
{
	switch (ev) {
	case HV_EV_RESET:
		on_reset_event(vm);
		return;
	case HV_EV_SHUTDOWN:
		if (vm->state != HV_BOOTING && vm->state != HV_READY && vm->state != HV_PAUSED)
			return;
		if (died_of_its_root(vm)) { /* one that may not reboot */
			vm_panicked(vm, CORRUPT_ROOT);
			return;
		}
		ends_with(vm, HV_STOPPED, "%s", reason ? reason : "the guest switched itself off");
		vm_stop_from(vm, RUNG_QUIT);
		return;
	case HV_EV_READY:
		now_ready(vm);
		return;
	case HV_EV_PAUSED:
		vm_paused(vm);
		return;
	case HV_EV_RESUMED:
		vm_resumed(vm);
		return;
	case HV_EV_RESTORED:
		on_restored(vm);
		return;
	case HV_EV_UNFIT:
		on_unfit(vm, reason ? reason : "its VMM refuses it");
		return;
	case HV_EV_GAVE_UP:
		on_gave_up_event(vm, reason ? reason : "the accelerator cannot run it");
		return;
	case HV_EV_BROKEN:
		vm_fail(vm, "%s", reason ? reason : "the machine's monitor talks nonsense");
		return;
	}
}

void hv_event_accel(struct hv_vm *vm, enum hv_accel accel)
{
	if (vm->accel == accel)
		return;
	vm->accel = accel;
	vm->hooks->on_state(vm->hooks_arg, vm);
}

/* What dm-verity says, and what it means to people. */
void vm_panicked(struct hv_vm *vm, const char *words)
{
	bool corrupt = strstr(words, CORRUPT_ROOT) != NULL;

	vm_fail(vm, "the guest's kernel panicked: %s%s", words,
		corrupt ? "; a block of the image's root disk is not what its hash tree says: the image is damaged, and has to be built or fetched anew" : "");
}

/* A panic with its trace has some 2 KiB. Little work for little data, and no more for a flood: only its end counts. */
static void keep_tail(struct hv_vm *vm, const uint8_t *data, size_t len)
{
	if (!vm->tail)
		vm->tail = malloc(TAIL_BYTES);
	if (vm->tail)
		(void)tail_add(vm->tail, &vm->tail_len, TAIL_BYTES, (const char *)data, len);
}

void hv_vm_console_seen(struct hv_vm *vm, const uint8_t *data, size_t len)
{
	enum boot_sign sign;

	if (vm->state != HV_BOOTING) {
		if (vm->state == HV_READY && vm->driver->has_guest)
			keep_tail(vm, data, len);
		return;
	}
	vm->tail_len = 0;
	sign = bootwatch_feed(&vm->watch, data, len);
	/* A clone's prompt comes before its agent has told it all. */
	if (sign == BOOT_READY && (vm->lived || vm->origin.begin != HV_BEGIN_CLONE))
		now_ready(vm);
	else if (sign == BOOT_PANIC)
		vm_panicked(vm, vm->watch.words);
	else if (sign == BOOT_REFUSED)
		vm_fail(vm, "the guest refuses to go on: %s", vm->watch.words);
}

static void on_deadline(struct ev_loop *ev, ev_timer *w, int events)
{
	struct hv_vm *vm = w->data;
	const struct hv *hv = vm->hv;

	(void)ev;
	(void)events;
	if (vm->state == HV_PLACING && vm->waits_for_probe) {
		vm->waits_for_probe = false;
		vm_place(vm);
	} else if (vm->waits_for_turn) {
		vm->hv->turns.overdue++;
		vm_fail(vm, "its turn to start did not come within %llu s: %d others were to start before it, %u at a time; start it again",
			(unsigned long long)(hv->c.start_wait_ms / 1000), turn_before(vm), hv->turns.at_once);
	} else if (vm->state == HV_PLACING || vm->state == HV_STARTING) {
		vm_fail(vm, "it could not be started within %llu s: %s", (unsigned long long)(hv->limits.start_ms / 1000),
			vm->preparing ? "its disks are not made yet; start it again" : helper_up(hv->helper) ? "the helper does not answer" : "the helper terrarium-netd is away");
	} else if (vm->state == HV_BOOTING && boot_instead(vm, "it does not come to life in time", true)) {
		vm_stop_from(vm, RUNG_KILL);
	} else if (vm->state == HV_BOOTING) {
		vm_fail(vm, "no prompt within %llu s; its console shows how far it came",
			(unsigned long long)((vm->boot_ms ? vm->boot_ms : hv->c.boot_deadline_ms) / 1000));
	} else if (vm->state == HV_STOPPING) {
		vm->rung++;
		if (vm->rung == RUNG_TERM && vm->driver->has_guest && vm->reason[0] == '\0')
			ends_with(vm, HV_STOPPED, "it did not stop when asked and was ended by force");
		vm_climb(vm);
	}
}

/* --- what people ask for ----------------------------------------------------------------------------------------------------- */

static int wrong_state(const struct hv_vm *vm, const char *what, struct err *e)
{
	return err_set(e, -EINVAL, "a machine that is %s cannot be %s", hv_state_name(vm->state), what);
}

int hv_vm_start(struct hv_vm *vm, struct err *e)
{
	if (vm->state != HV_REQUESTED && vm->state != HV_STOPPED && vm->state != HV_FAILED)
		return wrong_state(vm, "started", e);
	if (!vm->hv->online)
		return err_set(e, -ENOTCONN, "machines cannot be started now: the helper terrarium-netd is away");
	vm_begin(vm);
	return 0;
}

int hv_vm_stop(struct hv_vm *vm, enum hv_stop how, struct err *e)
{
	if (vm->state == HV_REQUESTED || vm->state == HV_STOPPED || vm->state == HV_FAILED || vm->state == HV_STANDBY)
		return wrong_state(vm, "stopped", e);
	vm->again = false;
	/* A guest that is not ready does not hear its power button yet. */
	if (how == HV_STOP_KILL)
		vm_stop_from(vm, RUNG_KILL);
	else if (vm->state == HV_PAUSED && vm->driver->resume && vm->driver->resume(vm, vm->instance) == 0)
		vm_stop_from(vm, RUNG_ASK); /* it can listen again */
	else
		vm_stop_from(vm, vm->state == HV_READY ? RUNG_ASK : RUNG_QUIT);
	return 0;
}

int hv_vm_reset(struct hv_vm *vm, struct err *e)
{
	if (vm->state != HV_BOOTING && vm->state != HV_READY)
		return wrong_state(vm, "restarted", e);
	/* Encrypted registers cannot be reset from outside. */
	if (vm->spec.confidential == VM_CONFIDENTIAL_NONE && vm->driver->reset && vm->driver->reset(vm, vm->instance) == 0) {
		vm->reset_asked = true;
		return 0;
	}
	/* No reboot in place: the process ends and another one starts. */
	vm->again = true;
	vm_stop_from(vm, RUNG_ASK);
	return 0;
}

/* --- for hv.c and sync.c ----------------------------------------------------------------------------------------------------- */

void vm_settle(struct hv_vm *vm)
{
	vm_enter(vm, vm->recalled);
}

void hv_vm_recall(struct hv_vm *vm, enum hv_state state, const char *reason)
{
	assert(vm->state == HV_REQUESTED && (state == HV_STOPPED || state == HV_FAILED || state == HV_STANDBY));
	vm->recalled = state;
	(void)snprintf(vm->reason, sizeof(vm->reason), "%s", reason);
}

void vm_drop(struct hv_vm *vm)
{
	no_deadline(vm);
	turn_left(vm);
	if (vm->hv->helper)
		helper_cancel(vm->hv->helper, &vm->call);
	vm->resizing = false; /* nobody is told any more */
	let_go(vm);
	origin_drop(&vm->origin);
	free(vm->bootlog);
	vm->bootlog = NULL;
	free(vm->tail);
	vm->tail = NULL;
}

struct hv_vm *vm_create(struct hv *hv, const uint8_t id[16], const struct vm_spec *spec, void *owner)
{
	struct hv_vm *vm = calloc(1, sizeof(*vm));

	if (!vm || spec_copy(&vm->spec, spec) < 0) {
		free(vm);
		return NULL;
	}
	vm->hv = hv;
	vm->hooks = &hv->hooks;
	vm->hooks_arg = hv->arg;
	memcpy(vm->id, id, sizeof(vm->id));
	vm->owner = owner;
	vm->end = vm->recalled = HV_STOPPED;
	vm->since_ms = loop_now_ms();
	vm->agent_fd = vm->origin.memory_fd = vm->origin.state_fd = vm->origin.config_fd = vm->folder.fd = -1;
	ev_init(&vm->save_timer, NULL);
	vm_plug_init(vm);
	ev_init(&vm->deadline, on_deadline);
	vm->deadline.data = vm;
	vm->next = hv->first;
	vm->link = &hv->first;
	if (vm->next)
		vm->next->link = &vm->next;
	hv->first = vm;
	return vm;
}

/* A request that nobody waits for: its own object. */
struct errand {
	struct helper_call call;
	uint32_t slot;
};

static void on_errand(struct helper_call *c, const struct helper_result *r)
{
	struct errand *x = container_of(c, struct errand, call);

	if (r->status < 0 && r->status != -ENOTCONN)
		log_warn("slot %u of no known machine could not be cleared: %s", x->slot, r->reason);
	free(x);
}

void vm_forget_slot(struct hv *hv, const struct netd_slot_info *info)
{
	struct errand *x = calloc(1, sizeof(*x));

	if (!x)
		return; /* the next LIST finds it again */
	x->slot = info->slot;
	x->call.done = on_errand;
	/* NETD_EXITED follows a kill, and its slot comes here once more. */
	if (info->state == NETD_SLOT_RUNNING)
		helper_kill(hv->helper, &x->call, info->slot, NETD_KILL_HARD);
	else
		helper_net_free(hv->helper, &x->call, info->slot);
}
