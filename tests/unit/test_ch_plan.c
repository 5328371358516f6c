/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of Cloud Hypervisor, word by word. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "hv/driver.h"
#include "tests/unit/no_hv.h"

static struct vm_spec spec;
static struct netd_slot_info net;
static struct plan_input in;
static struct spawn_plan plan;
static struct buf text;

/* What this driver tells beyond the others. */
void hv_event_counters(struct hv_vm *vm, const struct hv_counters *now)
{
	(void)vm;
	(void)now;
}

void hv_event_log(struct hv_vm *vm, const char *data, size_t len)
{
	(void)vm;
	(void)data;
	(void)len;
}

bool hv_vm_landlock(const struct hv_vm *vm)
{
	(void)vm;
	return false;
}

static int setup(void **state)
{
	(void)state;
	spec_defaults(&spec);
	(void)snprintf(spec.name, sizeof(spec.name), "alice");
	spec.cpus = 2;
	spec.cols = 120;
	spec.rows = 40;
	memset(&net, 0, sizeof(net));
	net.net = NETD_NET_NAT;
	(void)snprintf(net.ifname, sizeof(net.ifname), "t7");
	memcpy(net.mac, "\x02\x54\x00\x00\x00\x07", 6);
	net.ip4 = net.slot4 = htonl(0x0a4d0008);
	net.gw4 = htonl(0x0a4d0001);
	net.prefix4 = 24;
	in = (struct plan_input){ .spec = &spec, .net = &net, .kernel = "/img/vmlinux", .initrd = "/img/initrd",
				  .cmdline = "console=ttyS0 quiet", .machine = "microvm", .local_command = "", .local_console = "pty",
				  .accel = HV_ACCEL_KVM, .tsc_khz = 2299998, .ring_bytes = 1 << 20, .seccomp = "true" };
	memset(&plan, 0, sizeof(plan));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_finish(&text);
	return 0;
}

/* The arguments with a line feed after each. */
static const char *lines(void)
{
	buf_finish(&text);
	text = BUF_INIT(NETD_ARGV_BYTES + 1);
	for (size_t i = 0; i < plan.argc; i++)
		assert_int_equal(buf_printf(&text, "%s\n", plan.argv[i]), 0);
	return text.data;
}

#define SIZE "--cpus\nboot=2,max=8,nested=off\n--memory\nsize=256M,hotplug_size=16128M\n--balloon\nsize=0,deflate_on_oom=on,free_page_reporting=on\n"
#define KERNEL "--kernel\n/img/vmlinux\n--initramfs\n/img/initrd\n--cmdline\n"
#define WORDS "console=ttyS0 quiet console=hvc0 memhp_default_state=online swiotlb=noforce "
#define VSOCK(FD) "--vsock\ncid=3,socket=/proc/self/fd/" FD "/vsock\n"
#define HEAD "cloud-hypervisor\n--api-socket\nfd=3\n--event-monitor\nfd=4\n--log-file\n/dev/null\n--seccomp\ntrue\n"
#define TAIL "--console\ntty\n--serial\nfile=/proc/self/fd/5\n--pvpanic\n"

static void with_a_network(void **state)
{
	static const uint8_t want[] = { NETD_FD_LISTEN, NETD_FD_STREAM, NETD_FD_FIFO, NETD_FD_TAP, NETD_FD_DIR, NETD_FD_PTY, NETD_FD_RING };

	(void)state;
	assert_int_equal(hv_driver_ch.plan(&in, &plan, NULL), 0);
	assert_string_equal(plan.binary, "cloud-hypervisor");
	assert_null(plan.or_binary);
	assert_string_equal(lines(), HEAD SIZE KERNEL WORDS "terrarium.host=alice terrarium.ip4=10.77.0.8/24 terrarium.gw4=10.77.0.1 "
					  "terrarium.dns=10.77.0.1 terrarium.size=120x40\n" TAIL "--net\nfd=6,mac=02:54:00:00:00:07\n" VSOCK("7"));
	assert_int_equal(plan.nwant, sizeof(want));
	assert_memory_equal(plan.want, want, sizeof(want));
	assert_int_equal(plan.ring_bytes, 1 << 20);
	assert_true(plan.memory_max == 320ULL << 20);
	assert_int_equal(plan.cpu_percent, 250);
	assert_int_equal(plan.cols, 120);
	assert_int_equal(plan.rows, 40);
}

static void disks(void **state)
{
	static const struct hv_disk two[] = { { .fd = 90, .serial = "overlay" }, { .fd = 91, .serial = "root", .readonly = true } };

	(void)state;
	in.disks = two;
	in.ndisks = 2;
	assert_int_equal(hv_driver_ch.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), "--disk\npath=/proc/self/fd/8,readonly=off,serial=overlay,id=overlay,image_type=raw,backing_files=off\n"
					"path=/proc/self/fd/9,readonly=on,serial=root,id=root,image_type=raw,backing_files=off\n"));
	assert_int_equal(plan.nfile, 2);
	assert_int_equal(plan.file[1], 91);
	/* With a folder for those that come later, which is the first file for ever, and inside of what Landlock allows. */
	memset(&plan, 0, sizeof(plan));
	in.plug_dir = 92;
	in.landlock = true;
	assert_int_equal(hv_driver_ch.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), "--landlock-rules\npath=/proc/self/fd/7,access=rw\npath=/proc/self/fd/8,access=rw\n"));
	assert_non_null(strstr(lines(), "--disk\npath=/proc/self/fd/9,"));
	assert_int_equal(plan.file[0], 92);
	memcpy(net.want, plan.want, sizeof(net.want));
	net.nwant = (uint32_t)plan.nwant;
	assert_int_equal(plan_first_file(&net), 8);
}

/* As one that boots, and a folder for its snapshot. */
static void a_template(void **state)
{
	(void)state;
	in.begin = HV_BEGIN_TEMPLATE;
	in.folder = 93;
	in.landlock = true;
	assert_int_equal(hv_driver_ch.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), WORDS "terrarium.template\n"));
	assert_non_null(strstr(text.data, "--landlock-rules\npath=/proc/self/fd/7,access=rw\npath=/proc/self/fd/8,access=rw\n"));
	assert_int_equal(plan.folder, 8);
	assert_int_equal(plan.file[0], 93);
	assert_null(plan.config);
	assert_true(plan.memory_max == 576ULL << 20); /* and what it writes: on a tmpfs that counts as its own */
}

#define TEMPLATE "{\"cpus\":{\"boot_vcpus\":2},\"memory\":{\"size\":268435456},\"payload\":{\"kernel\":\"/k\"},\"console\":{\"mode\":\"Tty\"}," \
		 "\"serial\":{\"mode\":\"File\"},\"vsock\":{\"cid\":3},\"net\":[{\"id\":\"_net3\",\"fds\":[6]}]," \
		 "\"disks\":[{\"serial\":\"root\",\"readonly\":true,\"image_type\":\"Raw\"}]}"

/* All that is its own is in its config.json, or among its descriptors. */
static void a_clone(void **state)
{
	static const struct hv_disk one = { .fd = 91, .serial = "root", .readonly = true };
	struct err e = { 0 };

	(void)state;
	in.begin = HV_BEGIN_CLONE;
	in.plug_dir = 92;
	in.folder = 93;
	in.state_fd = 94;
	in.memory_fd = 95;
	in.disks = &one;
	in.ndisks = 1;
	in.config = TEMPLATE;
	in.config_len = strlen(TEMPLATE);
	assert_int_equal(hv_driver_ch.plan(&in, &plan, NULL), 0);
	assert_string_equal(lines(), HEAD "--restore\nsource_url=file:///proc/self/fd/9,memory_restore_mode=copy,net_fds=[_net3@[6]]\n");
	assert_int_equal(plan.nfile, 5);
	assert_memory_equal(plan.file, ((const int[]){ 92, 93, 94, 95, 91 }), sizeof(int[5]));
	assert_true(plan.folder == 9 && plan.state == 10 && plan.memory == 11);
	assert_non_null(strstr(plan.config, "\"cmdline\":\"" WORDS "terrarium.host=alice "));
	assert_non_null(strstr(plan.config, "\"socket\":\"/proc/self/fd/7/vsock\""));
	assert_non_null(strstr(plan.config, "\"mac\":\"02:54:00:00:00:07\""));
	assert_non_null(strstr(plan.config, "\"path\":\"/proc/self/fd/12\""));
	assert_true(plan.memory_max == 320ULL << 20);
	plan_finish(&plan);
	plan_finish(&plan);
	memset(&plan, 0, sizeof(plan));
	in.on_demand = true;
	assert_int_equal(hv_driver_ch.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), "memory_restore_mode=ondemand,"));
	plan_finish(&plan);
	memset(&plan, 0, sizeof(plan));
	spec.cpus = 1;
	assert_int_equal(hv_driver_ch.plan(&in, &plan, &e), -EPROTO);
	assert_null(plan.config);
	in.config = NULL;
	in.config_len = 0;
	memset(&plan, 0, sizeof(plan));
	assert_int_equal(hv_driver_ch.plan(&in, &plan, &e), -EPROTO);
}

static void without_a_network(void **state)
{
	(void)state;
	net.net = NETD_NET_NONE;
	net.ifname[0] = '\0';
	in.probe = true;
	spec.cols = 0;
	assert_int_equal(hv_driver_ch.plan(&in, &plan, NULL), 0);
	assert_string_equal(lines(), HEAD SIZE KERNEL WORDS "terrarium.probe terrarium.host=alice\n" TAIL VSOCK("6"));
	assert_int_equal(plan.nwant, 6);
}

static void locked_in(void **state)
{
	(void)state;
	in.landlock = true;
	in.seccomp = "log";
	spec.memory_bytes = VM_MEMORY_MAX; /* nothing can be added */
	assert_int_equal(hv_driver_ch.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), "\n--seccomp\nlog\n"));
	assert_non_null(strstr(lines(), "\n--landlock\n--landlock-rules\npath=/proc/self/fd/7,access=rw\n"));
	assert_non_null(strstr(lines(), "\n--memory\nsize=16384M\n"));
}

static void without_kvm(void **state)
{
	(void)state;
	in.accel = HV_ACCEL_TCG;
	in.standin = true;
	assert_int_equal(hv_driver_ch.plan(&in, &plan, NULL), 0);
	assert_string_equal(plan.binary, CH_STANDIN);
	in.accel = HV_ACCEL_KVM;
	memset(&plan, 0, sizeof(plan));
	assert_int_equal(hv_driver_ch.plan(&in, &plan, NULL), 0);
	assert_string_equal(plan.binary, "cloud-hypervisor");
}

static void sizes_that_it_can_take(void **state)
{
	const struct vm_size now = { .cpus = 2, .memory_bytes = 256 << 20 };
	struct vm_size wish = now;
	struct err e = { 0 };
	uint64_t memory;
	uint32_t cpu;

	(void)state;
	wish.cpus = 1;
	wish.memory_bytes = 512 << 20;
	assert_int_equal(hv_driver_ch.may_resize(NULL, &now, &wish, &e), 0);
	hv_driver_ch.limits(&wish, &memory, &cpu);
	assert_true(memory == 576ULL << 20 && cpu == 150);
	wish.memory_bytes = 300 << 20;
	assert_int_equal(hv_driver_ch.may_resize(NULL, &now, &wish, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "pieces of 128 MiB"));
	wish.memory_bytes = 100 << 20; /* by its balloon, any of it */
	assert_int_equal(hv_driver_ch.may_resize(NULL, &now, &wish, &e), 0);
}

static void refusals(void **state)
{
	static char big[3000];
	struct err e = { 0 };

	(void)state;
	in.accel = HV_ACCEL_TCG;
	assert_int_equal(hv_driver_ch.plan(&in, &plan, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "needs KVM"));
	in.accel = HV_ACCEL_KVM;
	/* A comma would begin another option. */
	in.kernel = "/img/a,b/vmlinux";
	assert_int_equal(hv_driver_ch.plan(&in, &plan, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "kernel"));
	in.kernel = "/img/vmlinux";
	in.initrd = "/img/[x]";
	assert_int_equal(hv_driver_ch.plan(&in, &plan, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "initrd"));
	in.initrd = "/img/initrd";
	memset(big, 'x', sizeof(big) - 1);
	in.cmdline = big;
	assert_int_equal(hv_driver_ch.plan(&in, &plan, &e), -E2BIG);
	assert_int_equal(plan.argc, 0);
}

static void knows_its_own(void **state)
{
	const struct netd_slot_info qemu = { .nwant = 2, .want = { NETD_FD_STREAM, NETD_FD_LOG } }, empty = { .nwant = 0 };
	const struct netd_slot_info own = { .nwant = 2, .want = { NETD_FD_STREAM, NETD_FD_LISTEN } };

	(void)state;
	assert_true(hv_driver_ch.is_mine(&own));
	assert_false(hv_driver_ch.is_mine(&qemu));
	assert_false(hv_driver_ch.is_mine(&empty));
	assert_non_null(strstr(hv_driver_ch.signal_hint(SIGSYS), "filter of system calls"));
	assert_null(hv_driver_ch.signal_hint(SIGKILL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(with_a_network, setup, teardown),
		cmocka_unit_test_setup_teardown(disks, setup, teardown), cmocka_unit_test_setup_teardown(a_template, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clone, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_network, setup, teardown),
		cmocka_unit_test_setup_teardown(locked_in, setup, teardown),
		cmocka_unit_test_setup_teardown(without_kvm, setup, teardown),
		cmocka_unit_test_setup_teardown(sizes_that_it_can_take, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(knows_its_own, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
