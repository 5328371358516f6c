/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is KVM any good here? /dev/kvm can be opened on hosts where no guest kernel comes up, so the answer is got by booting one: a
 * machine like any other, with the image's real kernel, that prints its ready marker and switches itself off. The answer is kept for
 * this kernel, machine type, CPU, host kernel and QEMU; a "no" for a day only, for it may be due to a bad moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "hv/vm.h"

#define YES_SECONDS (30 * 86400)
#define NO_SECONDS  86400
#define CACHE_MAX   4096
#define MIB	    (1ULL << 20)

/* --- what the answer depends on ----------------------------------------------------------------------------------------------- */

static void cpu_model(char *out, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	(void)snprintf(out, size, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		const char *value = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;

		if (!value)
			continue;
		value += 1 + strspn(value + 1, " ");
		(void)snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
		break;
	}
	if (f)
		(void)fclose(f);
}

/* QEMU as a person would find it: a new package is a new size and time. */
static void qemu_stamp(char *out, size_t size)
{
	static const char *const places[] = { "/usr/bin/qemu-system-x86_64", "/usr/local/bin/qemu-system-x86_64",
					      "/usr/libexec/qemu-kvm" };
	struct stat st;

	(void)snprintf(out, size, "unknown");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (stat(places[i], &st) == 0) {
			(void)snprintf(out, size, "%s %lld %lld", places[i], (long long)st.st_size, (long long)st.st_mtime);
			return;
		}
	}
}

void probe_host_stamp(char *out, size_t size)
{
	char cpu[128], qemu[128];
	struct utsname u;

	cpu_model(cpu, sizeof(cpu));
	qemu_stamp(qemu, sizeof(qemu));
	if (uname(&u) < 0)
		u.release[0] = '\0';
	(void)snprintf(out, size, "cpu %s; host %s; qemu %s", cpu, u.release, qemu);
}

static void make_key(struct hv *hv, const struct image *img)
{
	struct probe *p = &hv->probe;
	char host[352];

	probe_host_stamp(host, sizeof(host));
	(void)snprintf(p->key, sizeof(p->key), "kernel %.64s; machine %.16s; %s", img->kernel_digest, hv->c.machine, host);
	(void)snprintf(p->path, sizeof(p->path), "%s/accel-%.16s.json", hv->c.state_dir, img->kernel_digest);
}

/* --- the answer, kept ----------------------------------------------------------------------------------------------------------- */

/* Return: true if the file holds a fresh answer for this key; it is set then. */
static bool use_kept(struct hv *hv)
{
	char text[CACHE_MAX];
	long n = fd_read_file(AT_FDCWD, hv->probe.path, text, sizeof(text));
	json_t *root = n > 0 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *key = json_string_value(json_object_get(root, "key"));
	const char *reason = json_string_value(json_object_get(root, "reason"));
	bool kvm = json_is_true(json_object_get(root, "kvm"));
	json_int_t age = (json_int_t)time(NULL) - json_integer_value(json_object_get(root, "at"));
	bool good = key && reason && strcmp(key, hv->probe.key) == 0 && age >= 0 && age < (kvm ? YES_SECONDS : NO_SECONDS);

	if (good)
		hv_set_accel(hv, kvm ? HV_ACCEL_KVM : HV_ACCEL_TCG, reason);
	json_decref(root);
	return good;
}

static int write_file(const char *path, const char *text)
{
	char tmp[sizeof(((struct probe *)0)->path) + 8];
	_close_ int fd = -1;
	int r;

	(void)snprintf(tmp, sizeof(tmp), "%s.new", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, text, strlen(text));
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(tmp);
	return r;
}

static void keep(struct hv *hv, bool kvm, const char *reason)
{
	json_t *root = json_pack("{s:s, s:b, s:s, s:I}", "key", hv->probe.key, "kvm", kvm, "reason", reason, "at", (json_int_t)time(NULL));
	_free_ char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	int r = text ? write_file(hv->probe.path, text) : -ENOMEM;

	json_decref(root);
	if (r < 0)
		log_warn("the answer whether KVM works is not kept in %s: %s", hv->probe.path, strerror(-r));
}

/* --- the machine ------------------------------------------------------------------------------------------------------------------ */

static void close_console(struct hv *hv)
{
	if (hv->probe.console_fd >= 0)
		ev_io_stop(hv->loop->ev, &hv->probe.console);
	hv->probe.console_fd = fd_close(hv->probe.console_fd);
}

/* Read here and not by hv_vm_console_seen(): the guest's end may be reported before its last bytes are read. */
static void read_console(struct hv *hv)
{
	struct probe *p = &hv->probe;
	uint8_t data[4096];
	enum boot_sign sign = BOOT_NOTHING;
	ssize_t n = 0;

	while (sign == BOOT_NOTHING && p->console_fd >= 0 && (n = recv(p->console_fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		sign = bootwatch_feed(&p->vm->watch, data, (size_t)n);
	if (sign == BOOT_NOTHING && (n == 0 || errno != EAGAIN))
		close_console(hv);
	if (sign == BOOT_READY)
		p->booted = true;
	if (sign == BOOT_PANIC)
		hv_event(p->vm, HV_EV_BROKEN, "its kernel panicked");
	else if (p->booted && p->vm->state == HV_BOOTING)
		(void)hv_vm_stop(p->vm, HV_STOP_KILL, NULL);
}

static void on_console_readable(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)events;
	read_console(w->data);
}

static void on_console(void *arg, struct hv_vm *vm, const struct hv_console *c)
{
	struct hv *hv = arg;

	(void)vm;
	(void)fd_close(c->ring_fd);
	close_console(hv);
	hv->probe.ran = true;
	hv->probe.console_fd = c->fd;
	ev_io_init(&hv->probe.console, on_console_readable, c->fd, EV_READ);
	hv->probe.console.data = hv;
	ev_io_start(hv->loop->ev, &hv->probe.console);
}

static void on_exit_of_probe(void *arg, struct hv_vm *vm, int code, int signal)
{
	(void)vm;
	(void)code;
	(void)signal;
	read_console(arg);
}

static void run_end(struct loop_task *t)
{
	struct probe *p = container_of(t, struct probe, end);
	struct hv *hv = container_of(p, struct hv, probe);
	char reason[384] = "";

	if (!p->booted)
		(void)snprintf(reason, sizeof(reason), "no guest boots under KVM on this host: %.330s", p->vm->reason);
	close_console(hv);
	p->vm = hv_vm_destroy(p->vm);
	if (!p->ran && !helper_up(hv->helper))
		return; /* says nothing about KVM; hv_now_online() probes again */
	if (p->ran)
		keep(hv, p->booted, reason);
	hv_set_accel(hv, p->booted ? HV_ACCEL_KVM : HV_ACCEL_TCG, reason);
}

static void on_state(void *arg, struct hv_vm *vm)
{
	struct hv *hv = arg;

	if (vm->state == HV_STOPPED || vm->state == HV_FAILED)
		loop_defer(hv->loop, &hv->probe.end, run_end);
}

static const struct hv_hooks hooks = { .on_state = on_state, .on_console = on_console, .on_exit = on_exit_of_probe };

static void boot(struct hv *hv, const struct image *img)
{
	struct probe *p = &hv->probe;
	struct vm_spec spec;
	uint8_t id[16];

	spec_defaults(&spec);
	(void)snprintf(spec.name, sizeof(spec.name), "probe");
	spec.net = VM_NET_NONE;
	spec.memory_bytes = (img->memory_min + MIB - 1) / MIB * MIB;
	if (spec.memory_bytes < VM_MEMORY_MIN)
		spec.memory_bytes = VM_MEMORY_MIN;
	if (getrandom(id, sizeof(id), 0) == (ssize_t)sizeof(id))
		p->vm = vm_create(hv, id, &spec, NULL);
	if (!p->vm) {
		hv_set_accel(hv, HV_ACCEL_TCG, "KVM could not be tried: no memory");
		return;
	}
	p->ran = p->booted = false;
	p->vm->hooks = &hooks;
	p->vm->hooks_arg = hv;
	p->vm->probe = true;
	p->vm->boot_ms = hv->limits.probe_ms;
	log_info("trying whether a guest boots under KVM");
	vm_begin(p->vm);
}

void probe_begin(struct hv *hv)
{
	struct vm_spec spec;
	struct image img;
	struct err e = { 0 };

	if (hv->accel != HV_ACCEL_AUTO || hv->probe.vm)
		return;
	spec_defaults(&spec);
	if (!hv->driver->has_guest) {
		hv_set_accel(hv, HV_ACCEL_TCG, "");
	} else if (strcmp(hv->c.accel, "auto") != 0) {
		bool kvm = strcmp(hv->c.accel, "kvm") == 0;

		hv_set_accel(hv, kvm ? HV_ACCEL_KVM : HV_ACCEL_TCG, kvm ? "" : "KVM is switched off in the configuration");
	} else if (!(hv->hello.caps & NETD_CAP_KVM)) {
		hv_set_accel(hv, HV_ACCEL_TCG, "machines cannot open /dev/kvm on this host");
	} else if (image_load(&img, hv->c.images, spec.image, hv->image_key, &e) < 0) {
		hv_set_accel(hv, HV_ACCEL_TCG, e.msg);
	} else {
		make_key(hv, &img);
		if (!use_kept(hv))
			boot(hv, &img);
		image_finish(&img);
	}
}

void probe_doubt(struct hv *hv, const char *why)
{
	char reason[384];

	if (hv->accel != HV_ACCEL_KVM)
		return;
	(void)snprintf(reason, sizeof(reason), "a machine broke under KVM: %.330s", why);
	(void)unlink(hv->probe.path);
	hv_set_accel(hv, HV_ACCEL_TCG, reason);
}

void probe_finish(struct hv *hv)
{
	loop_cancel(hv->loop, &hv->probe.end);
	close_console(hv);
}
