/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines are pure data: here they are, word by word. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "hv/driver.h"
#include "hv/qemu_balloon.h"
#include "tests/unit/no_hv.h"

static struct vm_spec spec;
static struct netd_slot_info net;
static struct plan_input in;
static struct spawn_plan plan;

static int setup(void **state)
{
	(void)state;
	spec_defaults(&spec);
	(void)snprintf(spec.name, sizeof(spec.name), "alice");
	spec.cols = 120;
	spec.rows = 40;
	memset(&net, 0, sizeof(net));
	net.net = NETD_NET_NAT;
	(void)snprintf(net.ifname, sizeof(net.ifname), "t7");
	memcpy(net.mac, "\x02\x54\x00\x00\x00\x07", 6);
	net.ip4 = net.slot4 = htonl(0x0a4d0008);
	net.gw4 = htonl(0x0a4d0001);
	net.prefix4 = 24;
	inet_pton(AF_INET6, "fd77::8", net.ip6);
	inet_pton(AF_INET6, "fd77::1", net.gw6);
	net.prefix6 = 64;
	in = (struct plan_input){ .spec = &spec, .net = &net, .kernel = "/img/vmlinux", .initrd = "/img/initrd",
				  .cmdline = "console=ttyS0 quiet", .machine = "microvm", .local_command = "/bin/bash -l",
				  .local_console = "pty", .accel = HV_ACCEL_TCG, .tsc_khz = 2299998, .ring_bytes = 1 << 20 };
	memset(&plan, 0, sizeof(plan));
	return 0;
}

static struct buf text;

/* The arguments with a line feed after each. */
static const char *lines(void)
{
	buf_finish(&text);
	text = BUF_INIT(NETD_ARGV_BYTES + 1);
	for (size_t i = 0; i < plan.argc; i++)
		assert_int_equal(buf_printf(&text, "%s\n", plan.argv[i]), 0);
	return text.data;
}

static int teardown(void **state)
{
	(void)state;
	buf_finish(&text);
	return 0;
}

#define HEAD \
	"qemu-system-x86_64\n-name\nalice\n-no-user-config\n-nodefaults\n-display\nnone\n-msg\ntimestamp=off\n" \
	"-sandbox\non,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny\n"
#define NET_WORDS \
	"terrarium.host=alice terrarium.ip4=10.77.0.8/24 terrarium.gw4=10.77.0.1 terrarium.dns=10.77.0.1 " \
	"terrarium.ip6=fd77::8/64 terrarium.gw6=fd77::1 terrarium.size=120x40\n"
#define CHANNELS \
	"-chardev\nsocket,id=console,fd=3\n-serial\nchardev:console\n-chardev\nsocket,id=qmp,fd=4\n-mon\nchardev=qmp,mode=control\n"
#define AGENT(BUS) \
	"-device\nvirtio-serial-" BUS ",max_ports=2\n-chardev\nsocket,id=agent,fd=5\n" \
	"-device\nvirtserialport,id=agent-port,chardev=agent,name=org.terrarium.agent\n"
#define RNG "-object\nrng-builtin,id=rng\n-device\n"

static void microvm_with_tcg(void **state)
{
	static const uint8_t want[] = { NETD_FD_STREAM, NETD_FD_STREAM, NETD_FD_STREAM, NETD_FD_TAP, NETD_FD_LOG, NETD_FD_RING };

	(void)state;
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_string_equal(plan.binary, "qemu");
	assert_string_equal(lines(), HEAD "-M\nmicrovm,rtc=on,acpi=on,mem-merge=off,pit=off,memory-backend=ram0\n-accel\ntcg,tb-size=64\n-cpu\nmax\n-smp\n1\n-m\n256M\n"
					  "-kernel\n/img/vmlinux\n-initrd\n/img/initrd\n-append\n"
					  "console=ttyS0 quiet tsc_early_khz=2299998 tsc=reliable " NET_WORDS RNG
					  "virtio-rng-device,rng=rng\n" CHANNELS AGENT("device") "-netdev\ntap,id=net,fd=6,vhost=off\n"
					  "-device\nvirtio-net-device,netdev=net,guest_announce=off,mac=02:54:00:00:00:07\n-object\nmemory-backend-ram,id=ram0,size=256M\n");
	assert_int_equal(plan.nwant, sizeof(want));
	assert_memory_equal(plan.want, want, sizeof(want));
	assert_int_equal(plan.ring_bytes, 1 << 20);
	assert_true(plan.memory_max > 256ULL << 20);
	assert_int_equal(plan.cpu_percent, 150);
	assert_true(plan.lean);
}

/* What is shared with clones is a file; what a template is told names nobody; and both have the same devices. */
static void template_and_clone(void **state)
{
	const char *words = "console=ttyS0 quiet tsc_early_khz=2299998 tsc=reliable terrarium.template\n";

	(void)state;
	in.begin = HV_BEGIN_TEMPLATE;
	in.memory_fd = 77;
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), words));
	assert_null(strstr(lines(), "10.77.0.8"));
	assert_non_null(strstr(lines(), "-object\nmemory-backend-file,id=ram0,size=256M,mem-path=/proc/self/fd/7,share=on\n"));
	assert_null(strstr(lines(), "-incoming"));
	assert_int_equal(plan.nfile, 1);
	assert_int_equal(plan.file[0], 77);
	/* Where all guests have the same address it has that, too, and what is a slot's own it has not. */
	memset(&plan, 0, sizeof(plan));
	net.slot4 = htonl(0x0ad50005);
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), "terrarium.template terrarium.ip4=10.77.0.8/24 terrarium.gw4=10.77.0.1 terrarium.dns=10.77.0.1\n"));
	net.slot4 = net.ip4;
	memset(&plan, 0, sizeof(plan));
	in.begin = HV_BEGIN_CLONE;
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), NET_WORDS)); /* a guest that reboots comes back as itself */
	assert_non_null(strstr(lines(), "mem-path=/proc/self/fd/7,share=off\n-incoming\ndefer\n"));
	assert_int_equal(plan.nfile, 1);
	memset(&plan, 0, sizeof(plan));
	in.begin = HV_BEGIN_WAKE;
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), "-object\nmemory-backend-ram,id=ram0,size=256M\n-incoming\ndefer\n"));
	assert_int_equal(plan.nfile, 0);
}

#define PORT(N) "-device\npcie-root-port,id=hot" N ",chassis=" N ",slot=" N "\n"

static void q35_with_kvm(void **state)
{
	(void)state;
	in.machine = "q35";
	in.accel = HV_ACCEL_KVM;
	spec.cpus = 4;
	spec.memory_bytes = 1ULL << 30;
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_string_equal(lines(), HEAD "-M\nq35,usb=off,smbus=off,sata=off,vmport=off,mem-merge=off,memory-backend=ram0\n-accel\nkvm\n-cpu\nhost\n-smp\n4\n-m\n1024M\n"
					  "-kernel\n/img/vmlinux\n-initrd\n/img/initrd\n-append\nconsole=ttyS0 quiet " NET_WORDS RNG
					  "virtio-rng-pci,rng=rng\n" CHANNELS AGENT("pci") "-netdev\ntap,id=net,fd=6,vhost=off\n"
					  "-device\nvirtio-net-pci,romfile=,netdev=net,guest_announce=off,mac=02:54:00:00:00:07\n-object\nmemory-backend-ram,id=ram0,size=1024M\n" PORT("1") PORT("2") PORT("3") PORT("4"));
	assert_int_equal(plan.cpu_percent, 450);
	assert_false(plan.lean);
	assert_true(plan.memory_max > 1ULL << 30);
	memset(&plan, 0, sizeof(plan));
	in.balloon = true;
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), PORT("4") "-device\nvirtio-balloon-pci,deflate-on-oom=on,free-page-reporting=on\n"));
	memset(&plan, 0, sizeof(plan));
	in.machine = "microvm";
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_null(strstr(lines(), "balloon"));
}

static void what_a_balloon_can_do(void **state)
{
	struct vm_size now = { .cpus = 2, .memory_bytes = 256 << 20 }, wish = { .cpus = 2, .memory_bytes = 128 << 20 };
	struct qemu_balloon b = { .present = true, .total = 512 << 20 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(qemu_balloon_may(&b, &now, &wish, &e), 0);
	wish.memory_bytes = 512 << 20;
	assert_int_equal(qemu_balloon_may(&b, &now, &wish, &e), 0);
	wish.memory_bytes += 1 << 20;
	assert_int_equal(qemu_balloon_may(&b, &now, &wish, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "512 MiB"));
	b.total = 0; /* not known yet: what it has now is taken for it */
	wish.memory_bytes = 257 << 20;
	assert_int_equal(qemu_balloon_may(&b, &now, &wish, &e), -EINVAL);
	wish = (struct vm_size){ .cpus = 1, .memory_bytes = 128 << 20 };
	assert_int_equal(qemu_balloon_may(&b, &now, &wish, &e), -EINVAL);
	b.present = false;
	wish.cpus = 2;
	assert_int_equal(qemu_balloon_may(&b, &now, &wish, &e), -EOPNOTSUPP);
}

static void without_a_network(void **state)
{
	(void)state;
	net.net = NETD_NET_NONE;
	net.ifname[0] = '\0';
	spec.cols = spec.rows = 0;
	in.tsc_khz = 0;
	in.probe = true;
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), "-append\nconsole=ttyS0 quiet terrarium.probe terrarium.host=alice\n"));
	assert_null(strstr(lines(), "netdev"));
	assert_int_equal(plan.nwant, 5);
	for (size_t i = 0; i < plan.nwant; i++)
		assert_int_not_equal(plan.want[i], NETD_FD_TAP);
}

static void one_protocol_alone(void **state)
{
	(void)state;
	net.prefix6 = 0;
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_null(strstr(lines(), "ip6"));
	memset(&plan, 0, sizeof(plan));
	net.prefix6 = 64;
	net.ip4 = 0;
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_null(strstr(lines(), "ip4"));
	assert_null(strstr(lines(), "terrarium.dns"));
}

static void too_long_a_line_is_refused(void **state)
{
	static char big[3000];
	struct err e = { 0 };

	(void)state;
	for (size_t len = 1900; len < sizeof(big) - 1; len++) {
		int r;

		memset(big, 'x', len);
		big[len] = '\0';
		in.cmdline = big;
		memset(&plan, 0, sizeof(plan));
		r = hv_driver_qemu.plan(&in, &plan, &e);
		if (r == 0)
			assert_true(strlen(strstr(lines(), "xxx")) > len && strstr(lines(), "terrarium.size=120x40\n"));
		else
			assert_int_equal(r, -E2BIG);
	}
	assert_non_null(strstr(e.msg, "longer than 2047"));
}

static void other_machines_are_refused(void **state)
{
	struct err e = { 0 };

	(void)state;
	in.machine = "pc";
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "\"pc\""));
}

static void local_command_is_split(void **state)
{
	(void)state;
	in.local_command = "  /usr/bin/env   -i  bash ";
	assert_int_equal(hv_driver_local.plan(&in, &plan, NULL), 0);
	assert_string_equal(lines(), "/usr/bin/env\n-i\nbash\n");
	assert_string_equal(plan.binary, "env");
	assert_null(plan.or_binary);
	assert_int_equal(plan.nwant, 2);
	assert_int_equal(plan.want[0], NETD_FD_PTY);
	assert_int_equal(plan.want[1], NETD_FD_RING);
	assert_int_equal(plan.cols, 120);
	memset(&plan, 0, sizeof(plan));
	in.local_console = "socket";
	assert_int_equal(hv_driver_local.plan(&in, &plan, NULL), 0);
	assert_int_equal(plan.want[0], NETD_FD_STDIO);
	memset(&plan, 0, sizeof(plan));
	in.local_command = "/bin/zsh";
	assert_int_equal(hv_driver_local.plan(&in, &plan, NULL), 0);
	assert_string_equal(plan.binary, "zsh");
	assert_string_equal(plan.or_binary, "shell");
}

static void local_agent_runs_the_command(void **state)
{
	static const uint8_t want[] = { NETD_FD_PTY, NETD_FD_RING, NETD_FD_STREAM };

	(void)state;
	in.local_agent = "";
	assert_int_equal(hv_driver_local.plan(&in, &plan, NULL), 0);
	assert_string_equal(lines(), "/bin/bash\n-l\n");
	assert_int_equal(plan.nwant, 2);
	memset(&plan, 0, sizeof(plan));
	in.local_agent = "agent";
	assert_int_equal(hv_driver_local.plan(&in, &plan, NULL), 0);
	assert_string_equal(lines(), "terrarium-agent\n--fd=3\n--\n/bin/bash\n-l\n");
	assert_string_equal(plan.binary, "agent");
	assert_null(plan.or_binary);
	assert_int_equal(plan.nwant, sizeof(want));
	assert_memory_equal(plan.want, want, sizeof(want));
	memset(&plan, 0, sizeof(plan));
	in.local_command = " ";
	assert_int_equal(hv_driver_local.plan(&in, &plan, NULL), -EINVAL);
}

static void empty_local_command_is_refused(void **state)
{
	(void)state;
	in.local_command = "   ";
	assert_int_equal(hv_driver_local.plan(&in, &plan, NULL), -EINVAL);
	in.local_console = "vga";
	assert_int_equal(hv_driver_local.plan(&in, &plan, NULL), -EINVAL);
}

/* --- plans themselves --- */

static void plan_numbers_follow_the_order(void **state)
{
	(void)state;
	assert_int_equal(plan_want(&plan, NETD_FD_RING), 0);
	assert_int_equal(plan_want(&plan, NETD_FD_STREAM), 3);
	assert_int_equal(plan_want(&plan, NETD_FD_LOG), 0);
	assert_int_equal(plan_want(&plan, NETD_FD_TAP), 4);
	assert_int_equal(plan_want(&plan, NETD_FD_STREAM), 5);
	while (plan.nwant < NETD_FDS_MAX)
		(void)plan_want(&plan, NETD_FD_STREAM);
	assert_true(plan_whole(&plan));
	assert_int_equal(plan_want(&plan, NETD_FD_STREAM), -E2BIG);
	assert_false(plan_whole(&plan));
}

#define DISK(FD, NAME, READONLY, DEVICE) \
	"-add-fd\nfd=" FD ",set=" FD "\n-blockdev\ndriver=raw,node-name=disk-" NAME ",read-only=" READONLY \
	",discard=unmap,cache.direct=off,cache.no-flush=off,file.driver=file,file.filename=/dev/fdset/" FD ",file.aio=threads,file.discard=unmap\n" \
	"-device\n" DEVICE ",drive=disk-" NAME ",id=" NAME ",serial=" NAME "\n"

static void disks_are_known_by_their_serial(void **state)
{
	static const struct hv_disk disks[] = { { .fd = 90, .serial = "home" }, { .fd = 91, .serial = "root", .readonly = true } };

	(void)state;
	in.disks = disks;
	in.ndisks = 2;
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), DISK("7", "home", "off", "virtio-blk-device") DISK("8", "root", "on", "virtio-blk-device")));
	assert_int_equal(plan.nfile, 2);
	assert_int_equal(plan.file[0], 90);
	assert_int_equal(plan.file[1], 91);
	assert_true(plan.pids_max > 64); /* threads of QEMU's that read and write */
	memset(&plan, 0, sizeof(plan));
	in.machine = "q35";
	assert_int_equal(hv_driver_qemu.plan(&in, &plan, NULL), 0);
	assert_non_null(strstr(lines(), DISK("7", "home", "off", "virtio-blk-pci")));
}

static void files_come_behind_what_is_wanted(void **state)
{
	(void)state;
	assert_int_equal(plan_want(&plan, NETD_FD_STREAM), 3);
	assert_int_equal(plan_file(&plan, 77), 4);
	assert_int_equal(plan_want(&plan, NETD_FD_RING), 0); /* has no number */
	assert_int_equal(plan_file(&plan, 78), 5);
	assert_true(plan_whole(&plan));
	assert_int_equal(plan.file[1], 78);
	assert_int_equal(plan_want(&plan, NETD_FD_STREAM), -E2BIG); /* its number would not be what was said */
	memset(&plan, 0, sizeof(plan));
	while (plan.nfile < NETD_FILES_MAX)
		(void)plan_file(&plan, 77);
	assert_true(plan_whole(&plan));
	assert_int_equal(plan_file(&plan, 77), -E2BIG);
	assert_false(plan_whole(&plan));
	memset(&plan, 0, sizeof(plan));
}

static void plan_overflow_is_remembered(void **state)
{
	static char big[NETD_ARGV_BYTES];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	assert_int_equal(plan_arg(&plan, "%s", "first"), 0);
	assert_int_equal(plan_arg(&plan, "%s", big), -E2BIG);
	assert_int_equal(plan_arg(&plan, "%s", "small"), -E2BIG);
	assert_false(plan_whole(&plan));
	memset(&plan, 0, sizeof(plan));
	for (int i = 0; i < SPAWN_ARGC_MAX; i++)
		assert_int_equal(plan_arg(&plan, "%d", i), 0);
	assert_int_equal(plan_arg(&plan, "x"), -E2BIG);
}

static void plan_take_finds_near_ends(void **state)
{
	const struct netd_slot_info info = { .nwant = 5,
					     .want = { NETD_FD_TAP, NETD_FD_STREAM, NETD_FD_RING, NETD_FD_TAP, NETD_FD_STREAM } };
	int fds[NETD_FDS_MAX] = { 100, 101, 102, -1, -1, -1, -1, -1 };

	(void)state;
	assert_int_equal(plan_take(&info, fds, NETD_FD_TAP, 0), -1);
	assert_int_equal(plan_take(&info, fds, NETD_FD_STREAM, 1), 102);
	assert_int_equal(plan_take(&info, fds, NETD_FD_STREAM, 0), 100);
	assert_int_equal(plan_take(&info, fds, NETD_FD_RING, 0), 101);
	assert_int_equal(plan_take(&info, fds, NETD_FD_RING, 0), -1);
	assert_int_equal(plan_take(&info, fds, NETD_FD_LOG, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(microvm_with_tcg, setup, teardown),
		cmocka_unit_test_setup_teardown(template_and_clone, setup, teardown),
		cmocka_unit_test_setup_teardown(template_and_clone, setup, teardown),
		cmocka_unit_test(what_a_balloon_can_do),
		cmocka_unit_test_setup_teardown(q35_with_kvm, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_network, setup, teardown),
		cmocka_unit_test_setup_teardown(one_protocol_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(too_long_a_line_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(other_machines_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(local_command_is_split, setup, teardown),
		cmocka_unit_test_setup_teardown(local_agent_runs_the_command, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_local_command_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(plan_numbers_follow_the_order, setup, teardown),
		cmocka_unit_test_setup_teardown(files_come_behind_what_is_wanted, setup, teardown),
		cmocka_unit_test_setup_teardown(plan_overflow_is_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(disks_are_known_by_their_serial, setup, teardown),
		cmocka_unit_test_setup_teardown(plan_take_finds_near_ends, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
