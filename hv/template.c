/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines that begin as clones of one that has booted.
 *
 * Theory of operation
 *
 *   a machine boots and is ready -> MAKING: one more like it is booted that is nobody ("terrarium.template" on its command line); when its agent
 *   answers and its console's shell waits, the state of its devices is saved, and it ends -> READY: its memory is sealed, so that nobody can
 *   change it any more, and lent to others, who map it privately: what they do not write is there once
 *
 *   what came of it is thrown away when it does not fit any more (image, processor, host kernel, QEMU), when a clone did not come to life, or when
 *   others are used more
 *
 * Kept in memory only: a gateway that is started anew makes its templates again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "hv/agent/host.h"
#include "hv/vm.h"

#define TEMPLATES_MAX  8
#define LATE_MAX       8
#define RETRY_MS       600000 /* after a failure: an image whose agent is too old, say */
#define KEY_BYTES      2816
#define BOOT_MS        120000

/**
 * struct template - one, of a kind of machine
 * @key:     what it depends on, in words
 * @spec:    of the machines that may be cloned from it
 * @state_fd: of its devices; @memory_fd; @config_fd: what else its VMM has written of it, -1 without. All owned, memfds
 * @net:     what its guest has on its interface: 0, or what every guest has (common_net())
 * @vm:      while it is being made; owned by the hv as any other
 * @why:     it failed
 */
struct template {
	struct template *next;
	struct hv *hv; /* borrowed */
	enum hv_template_state state;
	char key[KEY_BYTES], vmm[HV_VMM_BYTES], why[256];
	struct vm_spec spec;
	int memory_fd, state_fd, config_fd;
	uint64_t used_ms, failed_ms, net;
	unsigned late; /* clones in a row that were not ready in time */

	struct hv_vm *vm;
	struct agent_host *agent; /* owned */
	int console_fd;		  /* owned */
	ev_io console;
	struct marker held;
	bool is_held, answers, saving, saved;
	struct loop_task end;
};

/* The address that a slot's guest has in common with all others; 0 where each has its own. */
static uint64_t common_net(const struct netd_slot_info *i)
{
	return i->ip4 == i->slot4 ? 0 : (uint64_t)i->prefix4 << 32 | i->ip4;
}

void origin_drop(struct hv_origin *o)
{
	o->memory_fd = fd_close(o->memory_fd);
	o->state_fd = fd_close(o->state_fd);
	o->config_fd = fd_close(o->config_fd);
	o->begin = HV_BEGIN_BOOT;
}

/* --- which one --------------------------------------------------------------------------------------------------------- */

/* A file as it is now: another one has another number or another time of its last change. */
static void file_stamp(const char *path, char out[96])
{
	struct stat st;

	if (stat(path, &st) < 0)
		memset(&st, 0, sizeof(st));
	(void)snprintf(out, 96, "%llx/%llx %lld %lld.%09ld", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino, (long long)st.st_size,
		       (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

/* Return: 0, or negative: machines like this one always boot. */
static int make_key(struct hv *hv, const struct vm_spec *s, char out[KEY_BYTES])
{
	const struct hv_driver *driver = hv_driver_for(hv, s);
	char host[352], kernel[96], initrd[96], root[96] = "";
	struct image img;

	/* What is on a machine's own disks is its own: no clone of another may have seen them. */
	if (s->overlay_bytes || s->data_bytes || s->home[0])
		return -EOPNOTSUPP;
	if (s->confidential != VM_CONFIDENTIAL_NONE || !driver->save_template || hv->accel == HV_ACCEL_AUTO)
		return -EOPNOTSUPP;
	if (image_load(&img, hv->c.images, s->image, hv->image_key, NULL) < 0)
		return -ENOENT;
	probe_host_stamp(host, sizeof(host));
	file_stamp(img.kernel, kernel);
	file_stamp(img.initrd, initrd);
	if (img.root)
		file_stamp(img.root, root);
	(void)snprintf(out, KEY_BYTES, "driver %s; image %.63s %.12s; kernel %.64s %s; initrd %.64s %s; root %.64s %s; words %s; machine %.16s %s; %u processors, %llu bytes; "
		       "network %d; %s", driver->name, s->image, img.version, img.kernel_digest, kernel, img.initrd_digest, initrd, img.root_digest, root, img.cmdline, hv->c.machine,
		       hv->accel == HV_ACCEL_KVM ? "kvm" : "tcg", s->cpus, (unsigned long long)s->memory_bytes, s->net != VM_NET_NONE, host);
	image_finish(&img);
	return 0;
}

/* FNV-1a: keys are ours, nobody chooses them. */
static uint64_t digest(const char *key)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *key; key++)
		h = (h ^ (uint8_t)*key) * 0x100000001b3u;
	return h;
}

bool hv_vm_fits(const struct hv_vm *vm)
{
	char key[KEY_BYTES];

	return vm->origin.begin == HV_BEGIN_CLONE && make_key(vm->hv, &vm->spec, key) == 0 && digest(key) == vm->origin.kind;
}

int hv_vm_wake_key(const struct hv_vm *vm, uint64_t *out)
{
	char key[1024], host[352], root[96] = "";
	const struct hv *hv = vm->hv;
	struct image img;

	if (image_load(&img, hv->c.images, vm->spec.image, hv->image_key, NULL) < 0)
		return -ENOENT;
	if (img.root)
		file_stamp(img.root, root);
	probe_host_stamp(host, sizeof(host));
	(void)snprintf(key, sizeof(key), "root %.64s %s; %u processors, %llu bytes; network %d; machine %.16s; %s", img.root_digest, root,
		       vm->spec.cpus, (unsigned long long)vm->spec.memory_bytes, vm->spec.net != VM_NET_NONE, hv->c.machine, host);
	image_finish(&img);
	*out = digest(key);
	return 0;
}

static void drop(struct template *t)
{
	struct template **p = &t->hv->templates;

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	t->memory_fd = fd_close(t->memory_fd);
	t->state_fd = fd_close(t->state_fd);
	t->config_fd = fd_close(t->config_fd);
	free(t);
}

/* Makes a template of the same kind of machine that depends on something else now go away. */
static void drop_stale(struct hv *hv, const struct vm_spec *s, const char *key)
{
	struct template *next;

	for (struct template *t = hv->templates; t; t = next) {
		bool same = strcmp(t->spec.image, s->image) == 0 && t->spec.cpus == s->cpus && t->spec.memory_bytes == s->memory_bytes &&
			    (t->spec.net == VM_NET_NONE) == (s->net == VM_NET_NONE) && hv_driver_for(hv, &t->spec) == hv_driver_for(hv, s);

		next = t->next;
		if (!same || t->vm || strcmp(t->key, key) == 0)
			continue;
		log_info("the template of \"%s\" is thrown away: the image, the processor or QEMU is another one", s->image);
		drop(t);
	}
}

static struct template *find(struct hv *hv, const char *key)
{
	for (struct template *t = hv->templates; t; t = t->next)
		if (strcmp(t->key, key) == 0)
			return t;
	return NULL;
}

/* --- being made ---------------------------------------------------------------------------------------------------------- */

static void stop_reading(struct template *t)
{
	if (t->console_fd >= 0)
		ev_io_stop(t->hv->loop->ev, &t->console);
	t->console_fd = fd_close(t->console_fd);
}

static void give_up(struct template *t, const char *why)
{
	if (t->why[0] == '\0')
		(void)snprintf(t->why, sizeof(t->why), "%s", why);
	if (t->vm && t->vm->state != HV_STOPPING)
		(void)hv_vm_stop(t->vm, HV_STOP_KILL, NULL);
}

static void save_if_ready(struct template *t)
{
	const struct hv_origin into = { .memory_fd = t->memory_fd, .state_fd = t->state_fd, .config_fd = t->config_fd };

	if (!t->is_held || !t->answers || t->saving)
		return;
	t->saving = true;
	agent_host_disconnect(t->agent);
	if (!t->vm->driver->save_template || t->vm->driver->save_template(t->vm, t->vm->instance, &into) < 0)
		give_up(t, "its VMM cannot be asked to save it");
}

void template_saved(struct hv_vm *vm, const char *vmm, const char *why)
{
	struct template *t = vm->template;

	if (why) {
		give_up(t, why);
		return;
	}
	t->saved = true;
	t->net = common_net(&vm->info);
	(void)snprintf(t->vmm, sizeof(t->vmm), "%s", vmm);
	(void)hv_vm_stop(vm, HV_STOP_KILL, NULL);
}

static void on_console_readable(struct ev_loop *ev, ev_io *w, int events)
{
	struct template *t = w->data;
	uint8_t data[4096];
	ssize_t n = read(t->console_fd, data, sizeof(data)); /* which may be a socket or a terminal, and does not wait */

	(void)ev;
	(void)events;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		stop_reading(t);
	if (n > 0 && marker_feed(&t->held, data, (size_t)n) > 0) {
		t->is_held = true;
		save_if_ready(t);
	}
}

static void on_console(void *arg, struct hv_vm *vm, const struct hv_console *c)
{
	struct template *t = arg;

	(void)vm;
	(void)fd_close(c->ring_fd);
	stop_reading(t);
	t->console_fd = c->fd;
	ev_io_init(&t->console, on_console_readable, c->fd, EV_READ);
	t->console.data = t;
	ev_io_start(t->hv->loop->ev, &t->console);
}

static void on_health(void *arg, int status, struct agent_in *in)
{
	struct template *t = arg;

	(void)in;
	if (status < 0)
		return;
	t->answers = true;
	save_if_ready(t);
}

static void on_agent_ready(void *arg, const uint8_t boot_id[16])
{
	struct template *t = arg;

	(void)boot_id;
	if (agent_host_version(t->agent) < AGENT_VERSION_REBIRTH)
		give_up(t, "its agent is too old to be told that it is a clone; build the image anew");
	else
		(void)agent_host_ask(t->agent, AGENT_HEALTH, 0, NULL, BOOT_MS, on_health, t);
}

static void on_agent_lost(void *arg, const char *why)
{
	struct template *t = arg;

	if (!t->answers && t->vm && t->vm->state == HV_BOOTING)
		give_up(t, why);
}

static const struct agent_host_hooks agent_hooks = { .on_ready = on_agent_ready, .on_lost = on_agent_lost };

static void on_agent(void *arg, struct hv_vm *vm, int fd)
{
	struct template *t = arg;

	(void)vm;
	if (t->answers)
		(void)fd_close(fd);
	else if (agent_host_connect(t->agent, fd) < 0)
		give_up(t, "its agent cannot be greeted");
}

static void on_exit_of_it(void *arg, struct hv_vm *vm, int code, int signal)
{
	(void)arg;
	(void)vm;
	(void)code;
	(void)signal;
}

/* Nobody maps the memory any more but for reading: the kernel refuses to seal it while somebody does. */
static int seal(struct template *t)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	return fcntl(t->memory_fd, F_ADD_SEALS, seals) < 0 || fcntl(t->state_fd, F_ADD_SEALS, seals) < 0 ||
	       (t->config_fd >= 0 && fcntl(t->config_fd, F_ADD_SEALS, seals) < 0) ? -errno : 0;
}

static void run_end(struct loop_task *task)
{
	struct template *t = container_of(task, struct template, end);
	int r;

	stop_reading(t);
	t->agent = agent_host_destroy(t->agent);
	if (!t->saved && t->why[0] == '\0')
		(void)snprintf(t->why, sizeof(t->why), "%.255s", t->vm->reason[0] ? t->vm->reason : "it ended");
	t->vm = hv_vm_destroy(t->vm);
	r = t->saved ? seal(t) : -EIO;
	if (t->saved && r < 0)
		(void)snprintf(t->why, sizeof(t->why), "its memory cannot be sealed: %s", strerror(-r));
	if (r == 0) {
		struct stat st;

		t->state = HV_TEMPLATE_READY;
		(void)fstat(t->memory_fd, &st);
		log_info("a template of \"%s\" is ready (%u processors, %llu MiB of which %llu are used)", t->spec.image, t->spec.cpus,
			 (unsigned long long)(t->spec.memory_bytes >> 20), (unsigned long long)st.st_blocks >> 11);
		return;
	}
	t->state = HV_TEMPLATE_FAILED;
	t->failed_ms = loop_now_ms();
	t->memory_fd = fd_close(t->memory_fd);
	t->state_fd = fd_close(t->state_fd);
	t->config_fd = fd_close(t->config_fd);
	log_warn("no template of \"%s\": %s; machines boot", t->spec.image, t->why);
}

static void on_state(void *arg, struct hv_vm *vm)
{
	struct template *t = arg;

	if (vm->state == HV_STOPPED || vm->state == HV_FAILED)
		loop_defer(t->hv->loop, &t->end, run_end);
}

static const struct hv_hooks hooks = { .on_state = on_state, .on_console = on_console, .on_agent = on_agent, .on_exit = on_exit_of_it };

/* A file in memory whose size cannot change. */
static int make_file(const char *name, uint64_t bytes)
{
	_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || (bytes && (ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)))
		return -errno;
	return fd_take(&fd);
}

static int begin(struct template *t)
{
	struct hv *hv = t->hv;
	bool by_folder = hv_driver_for(hv, &t->spec)->by_folder;
	uint8_t id[16];

	t->memory_fd = make_file("terrarium-memory", t->spec.memory_bytes);
	t->state_fd = make_file("terrarium-state", 0);
	t->config_fd = by_folder ? make_file("terrarium-config", 0) : -1;
	t->agent = agent_host_create(hv->loop, &agent_hooks, t);
	if (t->memory_fd < 0 || t->state_fd < 0 || (by_folder && t->config_fd < 0) || !t->agent || getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return -ENOMEM;
	t->vm = vm_create(hv, id, &t->spec, NULL);
	if (!t->vm)
		return -ENOMEM;
	t->vm->hooks = &hooks;
	t->vm->hooks_arg = t;
	t->vm->template = t;
	t->vm->boot_ms = BOOT_MS;
	t->vm->origin.begin = HV_BEGIN_TEMPLATE;
	t->vm->origin.memory_fd = fcntl(t->memory_fd, F_DUPFD_CLOEXEC, 0);
	vm_begin(t->vm);
	return 0;
}

/* Of those that are not being made, the one that was of use least lately. */
static void make_room(struct hv *hv)
{
	struct template *oldest = NULL;
	size_t n = 0;

	for (struct template *t = hv->templates; t; t = t->next) {
		n++;
		if (!t->vm && (!oldest || t->used_ms < oldest->used_ms))
			oldest = t;
	}
	if (n >= TEMPLATES_MAX && oldest)
		drop(oldest);
}

static void make(struct hv *hv, const struct vm_spec *spec, const char *key)
{
	struct template *t = calloc(1, sizeof(*t));

	if (!t)
		return;
	make_room(hv);
	t->hv = hv;
	t->state = HV_TEMPLATE_MAKING;
	t->spec = *spec;
	t->spec.cols = t->spec.rows = 0;
	(void)snprintf(t->spec.name, sizeof(t->spec.name), "template");
	(void)snprintf(t->key, sizeof(t->key), "%s", key);
	t->used_ms = loop_now_ms();
	t->memory_fd = t->state_fd = t->config_fd = t->console_fd = -1;
	marker_init(&t->held, AGENT_HELD, strlen(AGENT_HELD));
	t->next = hv->templates;
	hv->templates = t;
	log_info("making a template of \"%s\"", spec->image);
	if (begin(t) == 0)
		return;
	t->agent = agent_host_destroy(t->agent);
	t->state = HV_TEMPLATE_FAILED;
	t->failed_ms = loop_now_ms();
}

/* --- for machines --------------------------------------------------------------------------------------------------------- */

enum hv_template_state hv_template(struct hv *hv, const struct vm_spec *spec, bool wanted)
{
	char key[KEY_BYTES];
	struct template *t;

	if (!hv->online || !hv->c.templates || make_key(hv, spec, key) < 0)
		return HV_TEMPLATE_NONE;
	drop_stale(hv, spec, key);
	t = find(hv, key);
	if (t && t->state == HV_TEMPLATE_FAILED && wanted && loop_now_ms() - t->failed_ms > RETRY_MS) {
		drop(t);
		t = NULL;
	}
	if (!t && wanted) {
		make(hv, spec, key);
		t = find(hv, key);
	}
	return t ? t->state : HV_TEMPLATE_NONE;
}

void template_lend(struct hv_vm *vm)
{
	char key[KEY_BYTES];
	struct template *t;

	if (!vm->hv->c.templates || vm->probe || vm->template || vm->boots || vm->origin.begin != HV_BEGIN_BOOT || make_key(vm->hv, &vm->spec, key) < 0)
		return;
	drop_stale(vm->hv, &vm->spec, key);
	t = find(vm->hv, key);
	if (!t || t->state != HV_TEMPLATE_READY)
		return;
	if (t->net != common_net(&vm->info)) {
		log_info("the template of \"%s\" is thrown away: guests' addresses are others now", t->spec.image);
		drop(t);
		return;
	}
	t->used_ms = loop_now_ms();
	vm->origin.kind = digest(key);
	vm->origin.memory_fd = fcntl(t->memory_fd, F_DUPFD_CLOEXEC, 0);
	/* Opened anew, for clones that begin at once must not move each other's place in it. */
	(void)snprintf(key, sizeof(key), "/proc/self/fd/%d", t->state_fd);
	vm->origin.state_fd = open(key, O_RDONLY | O_CLOEXEC);
	vm->origin.config_fd = t->config_fd < 0 ? -1 : fcntl(t->config_fd, F_DUPFD_CLOEXEC, 0);
	memcpy(vm->origin.vmm, t->vmm, sizeof(t->vmm));
	vm->origin.begin = HV_BEGIN_CLONE;
	if (vm->origin.memory_fd < 0 || vm->origin.state_fd < 0 || (t->config_fd >= 0 && vm->origin.config_fd < 0))
		origin_drop(&vm->origin);
}

void template_booted(struct hv_vm *vm)
{
	if (!vm->probe && !vm->template && vm->origin.begin == HV_BEGIN_BOOT)
		(void)hv_template(vm->hv, &vm->spec, true);
}

void template_doubt(struct hv *hv, const struct hv_vm *vm, bool late)
{
	char key[KEY_BYTES];
	struct template *t;

	if (vm->origin.begin != HV_BEGIN_CLONE || make_key(hv, &vm->spec, key) < 0)
		return;
	t = find(hv, key);
	if (t && t->state == HV_TEMPLATE_READY && (!late || ++t->late >= LATE_MAX))
		drop(t);
}

void template_proved(const struct hv_vm *vm)
{
	for (struct template *t = vm->hv->templates; t; t = t->next)
		if (digest(t->key) == vm->origin.kind)
			t->late = 0;
}

void template_finish_all(struct hv *hv)
{
	while (hv->templates) {
		struct template *t = hv->templates;

		loop_cancel(hv->loop, &t->end);
		stop_reading(t);
		t->agent = agent_host_destroy(t->agent);
		drop(t); /* its machine, if there is one, goes with the others */
	}
}
