/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver makes of a running Cloud Hypervisor: its events, its answers, and the socket without a name in between, as the
 * helper makes it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "hv/driver.h"
#include "netsetup/ends.h"

#define WAIT_MS 5000

static struct {
	struct loop loop;
	struct ends ends;
	struct netd_slot_info info;
	int events_fd; /* the VMM's end */
	pthread_t thread;
	const char *version, *mode, *state;
	bool refuses; /* all that it is asked */
	bool landlock, locks, deaf; /* told to lock itself in; does it; carries out no change of size */
	unsigned cpus, pending; /* so many changes are refused */
	unsigned long long memory;
	atomic_uint infos;
	void *instance;
	struct hv_console console;
	char told[1024], log[256];
	struct hv_counters counted;
	const char *features; /* of vmm.ping, with what is before and behind; "" without */
	enum hv_accel accel_told;
	struct hv_origin origin;
	int folder; /* of a template */
	char asked[512]; /* what the VMM was asked to do, in that order */
} t;

/* --- what the driver tells hv.c --- */

void hv_event_plugged(struct hv_vm *vm, const char *serial, bool there, const char *why)
{
	(void)vm;
	(void)serial;
	(void)there;
	(void)why;
}

void hv_event_cards(struct hv_vm *vm, uint32_t cards)
{
	(void)vm;
	(void)cards;
}

const char *hv_vm_machine(const struct hv_vm *vm)
{
	(void)vm;
	return "q35";
}

void hv_event(struct hv_vm *vm, enum hv_event ev, const char *reason)
{
	static const char *const names[] = { "reset", "shutdown", "ready", "paused", "resumed", "restored", "unfit", "gave up", "broken" };

	(void)vm;
	(void)snprintf(t.told + strlen(t.told), sizeof(t.told) - strlen(t.told), "%s%s%s;", names[ev], reason ? ": " : "",
		       reason ? reason : "");
}

void hv_event_accel(struct hv_vm *vm, enum hv_accel accel)
{
	(void)vm;
	t.accel_told = accel;
}

void hv_agent_stream(struct hv_vm *vm, int fd)
{
	(void)vm;
	(void)fd;
}

void hv_agent_here(struct hv_vm *vm)
{
	(void)vm;
}

void hv_reach(struct hv_vm *vm, struct helper_call *c)
{
	(void)vm;
	(void)c;
}

void hv_reach_cancel(struct hv_vm *vm, struct helper_call *c)
{
	(void)vm;
	(void)c;
}

void hv_event_resized(struct hv_vm *vm, const char *why)
{
	(void)vm;
	(void)snprintf(t.told + strlen(t.told), sizeof(t.told) - strlen(t.told), "size %s;", why ? why : "done");
}

void hv_event_size(struct hv_vm *vm, const struct vm_size *size)
{
	(void)vm;
	(void)size;
}

void hv_event_counters(struct hv_vm *vm, const struct hv_counters *now)
{
	(void)vm;
	t.counted = *now;
}

void hv_event_log(struct hv_vm *vm, const char *data, size_t len)
{
	(void)vm;
	(void)snprintf(t.log + strlen(t.log), sizeof(t.log) - strlen(t.log), "%.*s", (int)len, data);
}

bool hv_vm_landlock(const struct hv_vm *vm)
{
	(void)vm;
	return t.landlock;
}

const struct hv_origin *hv_vm_origin(const struct hv_vm *vm)
{
	(void)vm;
	return &t.origin;
}

int hv_vm_folder(const struct hv_vm *vm, int *number)
{
	(void)vm;
	*number = t.folder; /* the VMM is a thread here */
	return t.folder;
}

#define MEMORY_BYTES (64 * 4096)

uint64_t hv_vm_memory(const struct hv_vm *vm)
{
	(void)vm;
	return MEMORY_BYTES;
}

void hv_event_saved(struct hv_vm *vm, const char *vmm, const char *why)
{
	(void)vm;
	(void)snprintf(t.told + strlen(t.told), sizeof(t.told) - strlen(t.told), "saved by %s%s%s;", vmm, why ? ": " : "", why ? why : "");
}

struct loop *hv_vm_loop(const struct hv_vm *vm)
{
	(void)vm;
	return &t.loop;
}

/* --- the VMM: answers GETs until its socket is shut down --- */

static void put_file(const char *dir, const char *name, const void *data, size_t len)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, len), 0);
	(void)fd_close(fd);
}

#define CONFIG "{\"cpus\":{\"boot_vcpus\":1},\"memory\":{\"size\":262144},\"payload\":{},\"console\":{\"mode\":\"Tty\"},\"serial\":{\"mode\":\"File\"}," \
	       "\"vsock\":{\"cid\":3,\"socket\":\"x\"}}"

/* As it is asked to: one page in the middle has something in it. */
static void write_snapshot(const char *asked)
{
	static const char before[] = "{\"destination_url\":\"file://";
	const char *at = strstr(asked, before);
	static char memory[MEMORY_BYTES];
	char dir[64];

	assert_non_null(at);
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)strcspn(at + strlen(before), "\""), at + strlen(before));
	memory[5 * 4096 + 7] = 'm';
	put_file(dir, "config.json", CONFIG, strlen(CONFIG));
	put_file(dir, "state.json", "{}", 2);
	put_file(dir, "memory-ranges", memory, t.deaf ? sizeof(memory) / 2 : sizeof(memory));
}

/* vm.pause, vm.resume, vm.snapshot and vm.resize, and vm.info shows what came of them. */
static void act(int fd, const char *asked)
{
	static const char good[] = "HTTP/1.1 204 \r\n\r\n", later[] = "HTTP/1.1 429 \r\nContent-Length: 21\r\n\r\n[\"a\",\"still pending\"]";
	const char *size = strstr(asked, "\r\n\r\n{\"desired_vcpus\":");
	const char *said = good;

	(void)snprintf(t.asked + strlen(t.asked), sizeof(t.asked) - strlen(t.asked), "%.*s;", (int)strcspn(asked + strlen("PUT /api/v1/"), " "),
		       asked + strlen("PUT /api/v1/"));
	if (strstr(asked, "vm.snapshot"))
		write_snapshot(asked);
	else if (strstr(asked, "vm.pause") || strstr(asked, "vm.resume"))
		t.state = strstr(asked, "vm.pause") ? "Paused" : "Running";
	else if (size && t.pending > 0)
		said = t.pending-- > 0 ? later : good;
	else if (size && !t.deaf)
		(void)sscanf(size + 4, "{\"desired_vcpus\":%u,\"desired_ram\":%llu}", &t.cpus, &t.memory);
	(void)fd_write_all(fd, said, strlen(said));
}

static void answer(int fd, const char *asked)
{
	char body[512], text[640];

	if (t.refuses) {
		static const char no[] = "HTTP/1.1 500 \r\nContent-Length: 15\r\n\r\n[\"a\",\"not now\"]";

		(void)fd_write_all(fd, no, strlen(no));
		atomic_fetch_add(&t.infos, 1);
		return;
	}
	if (strstr(asked, "PUT ")) {
		act(fd, asked);
		return;
	}
	if (strstr(asked, "vmm.ping"))
		(void)snprintf(body, sizeof(body), "{\"version\":\"%s\"%s}", t.version, t.features);
	else
		(void)snprintf(body, sizeof(body),
			       "{\"state\":\"%s\",\"memory_actual_size\":%llu,\"config\":{\"cpus\":{\"boot_vcpus\":%u},"
			       "\"serial\":{\"mode\":\"File\"},\"console\":{\"mode\":\"%s\"},\"landlock_enable\":%s}}",
			       t.state, t.memory, t.cpus, t.mode, t.locks ? "true" : "false");
	(void)snprintf(text, sizeof(text), "HTTP/1.1 200 \r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	(void)fd_write_all(fd, text, strlen(text));
	if (strstr(asked, "vm.info"))
		atomic_fetch_add(&t.infos, 1);
}

static void *run_vmm(void *arg)
{
	int listen_fd = t.ends.child[0], fd;

	(void)arg;
	while ((fd = accept(listen_fd, NULL, NULL)) >= 0) {
		char asked[1024];
		ssize_t n;

		while ((n = recv(fd, asked, sizeof(asked) - 1, 0)) > 0) {
			asked[n] = '\0';
			if (strstr(asked, "\r\n\r\n") && t.version)
				answer(fd, asked);
		}
		(void)fd_close(fd);
	}
	return NULL;
}

static int setup(void **state)
{
	static const uint8_t want[] = { NETD_FD_LISTEN, NETD_FD_STREAM, NETD_FD_FIFO, NETD_FD_PTY, NETD_FD_RING };
	struct netd_vm_spawn rq = { .nwant = sizeof(want), .ring_bytes = 4096 };

	(void)state;
	memset(&t, 0, sizeof(t));
	memcpy(rq.want, want, sizeof(want));
	assert_int_equal(loop_init(&t.loop), 0);
	assert_int_equal(ends_open(&t.ends, &rq, 0, NULL), 0);
	t.info.nwant = rq.nwant;
	t.info.ring_bytes = rq.ring_bytes;
	memcpy(t.info.want, want, sizeof(want));
	t.events_fd = t.ends.child[1];
	t.version = "53.0";
	t.features = ",\"features\":[\"kvm\",\"io_uring\"]";
	t.mode = "Tty";
	t.cpus = 1;
	t.memory = 256ULL << 20;
	t.state = "Running";
	t.console = (struct hv_console){ .fd = -1, .ring_fd = -1 };
	t.folder = t.origin.memory_fd = t.origin.state_fd = t.origin.config_fd = -1;
	return 0;
}

static void attach(bool adopted)
{
	int fds[NETD_FDS_MAX] = { -1, -1, -1, -1, -1, -1, -1, -1 };

	for (size_t i = 0; i < t.info.nwant; i++)
		fds[i] = fd_take(&t.ends.near[i]);
	t.console.adopted = adopted;
	t.instance = calloc(1, hv_driver_ch.instance_bytes);
	assert_non_null(t.instance);
	assert_int_equal(pthread_create(&t.thread, NULL, run_vmm, NULL), 0);
	assert_int_equal(hv_driver_ch.attach(NULL, t.instance, fds, &t.info, &t.console, NULL), 0);
	for (size_t i = 0; i < NETD_FDS_MAX; i++)
		assert_int_equal(fds[i], -1);
}

static int teardown(void **state)
{
	(void)state;
	if (t.instance) {
		hv_driver_ch.finish(NULL, t.instance);
		hv_driver_ch.finish(NULL, t.instance); /* idempotent */
		loop_finish(&t.loop); /* the last connection is closed with it */
		(void)shutdown(t.ends.child[0], SHUT_RDWR);
		(void)pthread_join(t.thread, NULL);
		free(t.instance);
	} else {
		loop_finish(&t.loop);
	}
	(void)fd_close(t.console.fd);
	(void)fd_close(t.console.ring_fd);
	ends_close(&t.ends);
	return 0;
}

static void on_tick(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)w;
	(void)events;
}

/* Serve until something was told that contains @text, or so many vm.info were asked for. */
static bool until(const char *text, unsigned infos)
{
	uint64_t end = loop_now_ms() + WAIT_MS;
	ev_timer tick;
	bool good;

	ev_timer_init(&tick, on_tick, 0.01, 0.01);
	ev_timer_start(t.loop.ev, &tick);
	while (!(good = text ? strstr(t.told, text) != NULL : atomic_load(&t.infos) >= infos) && loop_now_ms() < end)
		ev_run(t.loop.ev, EVRUN_ONCE);
	for (int i = 0; i < 10; i++) /* what must not follow has time to */
		ev_run(t.loop.ev, EVRUN_ONCE);
	ev_timer_stop(t.loop.ev, &tick);
	return good;
}

static void vmm_says(const char *source, const char *event)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "{\n  \"source\": \"%s\",\n  \"event\": \"%s\",\n  \"properties\": null\n}\n\n", source, event);
	assert_int_equal(fd_write_all(t.events_fd, text, strlen(text)), 0);
}

/* --- stories --- */

static void socket_has_no_name(void **state)
{
	char path[64], target[128];
	struct stat st;
	ssize_t n;

	(void)state;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", t.ends.near[0]);
	n = readlink(path, target, sizeof(target) - 1);
	assert_true(n > 0);
	target[n] = '\0';
	assert_non_null(strstr(target, " (deleted)"));
	*strstr(target, " (deleted)") = '\0';
	assert_int_equal(lstat(target, &st), -1);
	*strrchr(target, '/') = '\0';
	assert_int_equal(lstat(target, &st), -1);
	assert_true(fcntl(t.ends.near[0], F_GETFL) & O_PATH);
	assert_int_equal(fcntl(t.ends.near[0], F_GETFD), FD_CLOEXEC);
}

static void a_reboot_is_no_shutdown(void **state)
{
	(void)state;
	attach(false);
	assert_int_equal(t.console.kind, HV_CONSOLE_PTY);
	assert_true(t.console.relayed);
	vmm_says("vm", "booting");
	vmm_says("vm", "booted");
	assert_true(until(NULL, 1));
	vmm_says("vm", "rebooting");
	vmm_says("vm", "shutdown");
	vmm_says("vm", "booted");
	vmm_says("vm", "rebooted");
	assert_true(until("reset;", 0));
	assert_string_equal(t.told, "reset;");
	vmm_says("vm", "shutdown");
	vmm_says("vm", "deleted");
	vmm_says("vmm", "shutdown");
	assert_true(until("shutdown;", 0));
	assert_string_equal(t.told, "reset;shutdown;");
	assert_int_equal(t.accel_told, HV_ACCEL_AUTO);
}

static void a_panic_is_told(void **state)
{
	(void)state;
	attach(false);
	vmm_says("virtio-device", "panic");
	vmm_says("guest", "panic");
	assert_true(until("broken", 0));
	assert_string_equal(t.told, "broken: the guest's kernel panicked;");
}

static void what_is_lost_is_asked_for(void **state)
{
	static const char half[] = "{\n  \"source\": \"v\n\n";

	(void)state;
	t.state = "Shutdown";
	attach(false);
	assert_int_equal(fd_write_all(t.events_fd, half, strlen(half)), 0);
	assert_true(until("shutdown", 0));
	assert_string_equal(t.told, "shutdown;");
	assert_true(atomic_load(&t.infos) >= 1);
}

static void created_is_an_end_only_behind_a_beginning(void **state)
{
	(void)state;
	t.state = "Created";
	attach(false);
	assert_int_equal(fd_write_all(t.events_fd, "x\n\n", 3), 0);
	assert_true(until(NULL, 1));
	assert_string_equal(t.told, "");
	vmm_says("vm", "booted");
	assert_true(until("shutdown;", 0));
	assert_string_equal(t.told, "shutdown;");
}

static void pauses_by_events_or_by_asking(void **state)
{
	(void)state;
	attach(false);
	vmm_says("vm", "paused");
	assert_true(until("paused;", 0));
	vmm_says("vm", "resumed");
	assert_true(until("resumed;", 0));
	t.told[0] = '\0';
	/* No event follows. */
	assert_int_equal(hv_driver_ch.pause(NULL, t.instance), 0);
	assert_true(until("paused;", 0));
	assert_int_equal(hv_driver_ch.resume(NULL, t.instance), 0);
	assert_true(until("resumed;", 0));
}

static void an_adopted_one_may_stand_still(void **state)
{
	(void)state;
	t.state = "Paused";
	attach(true);
	assert_true(until("paused;", 0));
	assert_int_equal(t.accel_told, HV_ACCEL_KVM);
}

static void an_adopted_standin_is_not_kvm(void **state)
{
	(void)state;
	t.features = ",\"features\":[\"io_uring\"]";
	attach(true);
	assert_true(until(NULL, 1));
	assert_int_equal(t.accel_told, HV_ACCEL_TCG);
}

static void a_version_without_features_is_kvm(void **state)
{
	(void)state;
	t.features = "";
	attach(true);
	assert_true(until(NULL, 1));
	assert_int_equal(t.accel_told, HV_ACCEL_KVM);
}

/* A VMM that was killed leaves its socket: the next one finds another folder, and of the first one there is nothing. */
static void a_stale_socket_is_in_nobodys_way(void **state)
{
	const struct netd_vm_spawn rq = { .nwant = 1, .want = { NETD_FD_DIR } };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sockaddr_un addr = { .sun_family = AF_UNIX };
		struct ends ends;
		char path[sizeof(ends.dir.path)];
		struct stat st;
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(ends_open(&ends, &rq, 0, NULL), 0);
		memcpy(path, ends.dir.path, sizeof(path));
		(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" NETD_SOCKET_NAME, path);
		assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
		(void)fd_close(fd);
		assert_int_equal(lstat(addr.sun_path, &st), 0);
		ends_close(&ends);
		assert_int_equal(lstat(path, &st), -1);
	}
}

static void a_size_is_believed_when_it_is_seen(void **state)
{
	const struct vm_size wish = { .cpus = 3, .memory_bytes = 6ULL << 30 };

	(void)state;
	attach(true);
	t.pending = 1;
	assert_int_equal(hv_driver_ch.resize(NULL, t.instance, &wish), 0);
	assert_true(until("size vm.resize is refused with 429: still pending;", 0));
	t.told[0] = '\0';
	assert_int_equal(hv_driver_ch.resize(NULL, t.instance, &wish), 0);
	assert_true(until("size done;", 0));
	assert_int_equal(t.cpus, 3);
	assert_true(t.memory == 6ULL << 30);
}

static void a_size_that_never_comes_is_told(void **state)
{
	const struct vm_size wish = { .cpus = 3, .memory_bytes = 6ULL << 30 };

	(void)state;
	t.deaf = true;
	attach(true);
	assert_int_equal(hv_driver_ch.resize(NULL, t.instance, &wish), 0);
	assert_true(until("size Cloud Hypervisor has accepted the change and not carried it out;", 0));
}

static void a_lock_that_was_ignored_is_found(void **state)
{
	(void)state;
	t.landlock = true;
	attach(false);
	vmm_says("vm", "booted");
	assert_true(until("broken", 0));
	assert_non_null(strstr(t.told, "Landlock"));
}

static void a_lock_that_holds_is_fine(void **state)
{
	(void)state;
	t.landlock = t.locks = true;
	attach(false);
	vmm_says("vm", "booted");
	assert_true(until(NULL, 1));
	assert_null(strstr(t.told, "broken"));
}

/* By the name that the VMM is given: the FIFO has none of its own. */
static void the_log_is_read_over_a_reboot(void **state)
{
	char path[32];

	(void)state;
	attach(false);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", t.ends.child[2]);
	for (int i = 0; i < 2; i++) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

		assert_true(fd >= 0);
		assert_int_equal(fd_write_all(fd, "one\n", 4), 0);
		(void)fd_close(fd);
		vmm_says("vm", "rebooting");
		assert_true(until("reset;", 0));
		t.told[0] = '\0';
	}
	assert_string_equal(t.log, "one\none\n");
}

static void an_old_version_is_refused(void **state)
{
	(void)state;
	t.version = "v51.1.0";
	attach(false);
	assert_true(until("broken", 0));
	assert_string_equal(t.told, "broken: Cloud Hypervisor is of version 51, but 52 or newer is needed: install a newer one;");
}

static void a_console_that_was_ignored_is_found(void **state)
{
	(void)state;
	t.mode = "Null";
	attach(true); /* asks at once */
	assert_true(until("broken", 0));
	assert_non_null(strstr(t.told, "console it was told to use"));
}

static void a_silent_api_hurts_no_adopted_machine(void **state)
{
	(void)state;
	t.version = NULL; /* answers nothing */
	attach(true);
	vmm_says("vm", "rebooting");
	assert_true(until("reset;", 0));
	assert_string_equal(t.told, "reset;");
	assert_int_equal(hv_driver_ch.ask_stop(NULL, t.instance), 0);
	assert_int_equal(hv_driver_ch.quit(NULL, t.instance), 0);
}

static void a_refusal_ends_what_was_never_checked(void **state)
{
	(void)state;
	t.refuses = true;
	attach(false);
	assert_true(until("broken", 0));
	assert_string_equal(t.told, "broken: vmm.ping is refused with 500: not now;");
}

static void a_refusal_hurts_no_adopted_machine(void **state)
{
	(void)state;
	t.refuses = true;
	attach(true);
	assert_true(until(NULL, 2));
	assert_string_equal(t.told, "");
}

static void another_process_is_refused(void **state)
{
	struct netd_slot_info info = { .nwant = 1, .want = { NETD_FD_STREAM } };
	int fds[NETD_FDS_MAX] = { fd_take(&t.ends.near[1]), -1, -1, -1, -1, -1, -1, -1 };
	void *instance = calloc(1, hv_driver_ch.instance_bytes);
	struct err e = { 0 };

	(void)state;
	assert_non_null(instance);
	assert_int_equal(hv_driver_ch.attach(NULL, instance, fds, &info, &t.console, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "no Cloud Hypervisor"));
	hv_driver_ch.finish(NULL, instance);
	free(instance);
}

/* --- templates and clones --- */

static void new_folder(struct hv_origin *into, char dir[32])
{
	(void)snprintf(dir, 32, "/tmp/terrarium-ch.XXXXXX");
	assert_non_null(mkdtemp(dir));
	t.folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*into = (struct hv_origin){ .memory_fd = memfd_create("m", MFD_CLOEXEC), .state_fd = memfd_create("s", MFD_CLOEXEC), .config_fd = memfd_create("c", MFD_CLOEXEC) };
	assert_int_equal(ftruncate(into->memory_fd, MEMORY_BYTES), 0);
}

static void drop_folder(struct hv_origin *into, const char *dir)
{
	static const char *const names[] = { "config.json", "state.json", "memory-ranges" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlinkat(t.folder, names[i], 0);
	t.folder = fd_close(t.folder);
	(void)fd_close(into->memory_fd);
	(void)fd_close(into->state_fd);
	(void)fd_close(into->config_fd);
	assert_int_equal(rmdir(dir), 0);
}

static void a_template_is_saved_while_it_stands(void **state)
{
	struct hv_origin into;
	char dir[32], text[8] = "";
	struct stat st;

	(void)state;
	new_folder(&into, dir);
	attach(false);
	vmm_says("vm", "booted");
	assert_true(until(NULL, 1));
	assert_int_equal(hv_driver_ch.save_template(NULL, t.instance, &into), 0);
	assert_int_equal(hv_driver_ch.save_template(NULL, t.instance, &into), -EOPNOTSUPP);
	vmm_says("vm", "paused");
	assert_true(until("saved", 0));
	assert_string_equal(t.told, "saved by Cloud Hypervisor 53.0 (?);");
	assert_string_equal(t.asked, "vm.pause;vm.snapshot;");
	assert_int_equal(pread(into.memory_fd, text, 1, 5 * 4096 + 7), 1);
	assert_string_equal(text, "m");
	assert_int_equal(fstat(into.memory_fd, &st), 0);
	assert_true(st.st_size == MEMORY_BYTES && st.st_blocks <= 2 * 8); /* what is zero takes no memory */
	assert_int_equal(pread(into.state_fd, text, sizeof(text), 0), 2);
	assert_int_equal(fstat(into.config_fd, &st), 0);
	assert_int_equal(st.st_size, strlen(CONFIG));
	drop_folder(&into, dir);
}

static void half_a_snapshot_is_none(void **state)
{
	struct hv_origin into;
	char dir[32];

	(void)state;
	new_folder(&into, dir);
	t.deaf = true;
	attach(false);
	vmm_says("vm", "booted");
	assert_true(until(NULL, 1));
	assert_int_equal(hv_driver_ch.save_template(NULL, t.instance, &into), 0);
	assert_true(until("saved", 0));
	assert_non_null(strstr(t.told, "memory-ranges has not the size of the machine's memory"));
	drop_folder(&into, dir);
}

/* Nothing of it runs before all of it was looked at. */
static void a_clone_is_looked_at_and_let_go(void **state)
{
	(void)state;
	t.origin.begin = HV_BEGIN_CLONE;
	(void)snprintf(t.origin.vmm, sizeof(t.origin.vmm), "Cloud Hypervisor 53.0 (?)");
	t.state = "Paused";
	attach(false);
	assert_true(until("restored", 0)); /* its event was lost */
	assert_string_equal(t.told, "restored;");
	assert_string_equal(t.asked, "vm.resume;");
	vmm_says("vm", "paused");
	assert_true(until("paused", 0));
}

static void what_another_has_saved_is_refused(void **state)
{
	(void)state;
	t.origin.begin = HV_BEGIN_CLONE;
	(void)snprintf(t.origin.vmm, sizeof(t.origin.vmm), "Cloud Hypervisor 52.0 (?)");
	t.state = "Paused";
	attach(false);
	assert_true(until("unfit", 0));
	assert_string_equal(t.told, "unfit: this is Cloud Hypervisor 53.0 (?), and Cloud Hypervisor 52.0 (?) has saved it;");
	assert_string_equal(t.asked, "");
}

/* A console that was not taken over ends one that boots; a clone may still boot. */
static void a_clone_that_is_another_is_refused(void **state)
{
	(void)state;
	t.origin.begin = HV_BEGIN_CLONE;
	(void)snprintf(t.origin.vmm, sizeof(t.origin.vmm), "Cloud Hypervisor 53.0 (?)");
	t.state = "Paused";
	t.mode = "Null";
	attach(false);
	assert_true(until("unfit", 0));
	assert_null(strstr(t.told, "broken"));
	assert_string_equal(t.asked, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(socket_has_no_name, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reboot_is_no_shutdown, setup, teardown),
		cmocka_unit_test_setup_teardown(a_panic_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_lost_is_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(created_is_an_end_only_behind_a_beginning, setup, teardown),
		cmocka_unit_test_setup_teardown(pauses_by_events_or_by_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(an_adopted_one_may_stand_still, setup, teardown),
		cmocka_unit_test_setup_teardown(an_adopted_standin_is_not_kvm, setup, teardown),
		cmocka_unit_test_setup_teardown(a_version_without_features_is_kvm, setup, teardown),
		cmocka_unit_test(a_stale_socket_is_in_nobodys_way),
		cmocka_unit_test_setup_teardown(a_size_is_believed_when_it_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(a_size_that_never_comes_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lock_that_was_ignored_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lock_that_holds_is_fine, setup, teardown),
		cmocka_unit_test_setup_teardown(the_log_is_read_over_a_reboot, setup, teardown),
		cmocka_unit_test_setup_teardown(an_old_version_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_console_that_was_ignored_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(a_silent_api_hurts_no_adopted_machine, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_ends_what_was_never_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_hurts_no_adopted_machine, setup, teardown),
		cmocka_unit_test_setup_teardown(another_process_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_template_is_saved_while_it_stands, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_snapshot_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clone_is_looked_at_and_let_go, setup, teardown),
		cmocka_unit_test_setup_teardown(what_another_has_saved_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clone_that_is_another_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
