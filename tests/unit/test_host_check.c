/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded hosts (tests/vectors/hosts) and what is said of them: everything that is not named here must be ok, or follow from what is. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/host/host.h"

static struct host_report report;

static json_t *load(const char *name)
{
	char path[128];
	json_t *root;

	(void)snprintf(path, sizeof(path), "tests/vectors/hosts/%s.json", name);
	root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	return root;
}

static void check(const char *name)
{
	json_t *record = load(name);
	struct host_probe probe = host_record_probe(record);

	host_check(&probe, NULL, &report);
	json_decref(record);
}

static const struct host_row *row(const char *id)
{
	for (size_t i = 0; i < report.count; i++) {
		if (strcmp(report.rows[i].id, id) == 0)
			return &report.rows[i];
	}
	fail_msg("no row %s", id);
	return NULL;
}

/* The rows of one verdict, as "id id ". */
static const char *rows_with(enum host_verdict v)
{
	static char text[1024];

	text[0] = '\0';
	for (size_t i = 0; i < report.count; i++) {
		size_t len = strlen(text);

		if (report.rows[i].verdict == v)
			(void)snprintf(text + len, sizeof(text) - len, "%s ", report.rows[i].id);
	}
	return text;
}

static const struct expect {
	const char *host, *fail, *warn, *na, *driver, *because;
	bool machines, confidential;
} expected[] = {
	{ "genoa", "", "", "secure-tsc ", "cloud-hypervisor", "", true, true },
	{ "snp-off-in-bios", "snp-enabled kvm-snp ", "", "secure-tsc rmp-addresses snp-state rmp alias tcb asids ", "cloud-hypervisor",
	  "SNP switched on: SNP is switched off", true, false },
	{ "old-firmware", "sev-firmware snp-state ", "", "secure-tsc rmp alias tcb ", "cloud-hypervisor",
	  "SEV firmware: firmware 1.50 build 4; 1.51 is the first with SNP", true, false },
	{ "no-memlock", "", "memlock ", "secure-tsc ", "cloud-hypervisor", "", true, true },
	{ "wrong-kernel", "kernel snp-state qemu-snp firmware ", "", "secure-tsc rmp alias tcb kvm-sev kvm-sev-es kvm-snp asids ", "cloud-hypervisor",
	  "Kernel: Linux 6.1.0-42-amd64; 6.11 is the first that runs SNP guests", true, false },
	{ "not-root", "", "sme-enabled snp-enabled rmp-addresses dev-sev sev-firmware sev-state sev-es-state snp-state rmp alias tcb ", "secure-tsc ",
	  "cloud-hypervisor", "", true, true },
	{ "intel", "cpu-amd ", "cloud-hypervisor ", NULL, "qemu", "AMD processor: the processor is no AMD (GenuineIntel): it has no SEV-SNP", true, false },
	{ "vm", "metal ", "kvm cloud-hypervisor ", NULL, "qemu",
	  "No virtual machine: this computer is a virtual machine itself: SEV-SNP is not handed on to it", true, false },
};

static void recorded_hosts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		const struct expect *x = &expected[i];

		check(x->host);
		print_message("%s\n", x->host);
		assert_string_equal(rows_with(HOST_FAIL), x->fail);
		assert_string_equal(rows_with(HOST_WARN), x->warn);
		if (x->na)
			assert_string_equal(rows_with(HOST_NA), x->na);
		assert_string_equal(report.driver, x->driver);
		assert_string_equal(report.because[HOST_CONFIDENTIAL], x->because);
		assert_int_equal(report.able[HOST_MACHINES], x->machines);
		assert_int_equal(report.able[HOST_CONFIDENTIAL], x->confidential);
		for (size_t r = 0; r < report.count; r++) {
			enum host_verdict v = report.rows[r].verdict;

			assert_true(report.rows[r].found[0]);
			assert_int_equal(v == HOST_WARN || v == HOST_FAIL, report.rows[r].advice[0] != '\0');
		}
	}
}

/* Each of these alone makes its row fail, or warn, and no other one than those that need it. */
static void one_thing_wrong(void **state)
{
	static const struct {
		const char *member, *value, *id;
		enum host_verdict verdict;
	} wrong[] = {
		{ "cpuid 0x80000002", "0x20444d41 0x657a7952 0x2039206e 0x30353937", "cpu-epyc", HOST_FAIL },
		{ "cpuid 0x8000001f", "0x3e 0x4173 0x3ee 0x64", "sme", HOST_FAIL },
		{ "cpuid 0x8000001f", "0x3d 0x4173 0x3ee 0x64", "sev", HOST_FAIL },
		{ "cpuid 0x8000001f", "0x37 0x4173 0x3ee 0x64", "sev-es", HOST_FAIL },
		{ "cpuid 0x8000001f", "0x2f 0x4173 0x3ee 0x64", "snp", HOST_FAIL },
		{ "cpuid 0x8000001f", "0x1f 0x4173 0x3ee 0x64", "vmpl", HOST_FAIL },
		{ "msr 0xc0010010", "0x1000000", "sme-enabled", HOST_FAIL },
		{ "msr 0xc0010010", "0x800000", "snp-enabled", HOST_FAIL },
		{ "msr 0xc0010132", "0x0", "rmp-addresses", HOST_FAIL },
		{ "sev 1", "003701010100001500000000", "sev-firmware", HOST_FAIL }, /* 0.55 is below 1.51 */
		{ "sev 1", "020001010100001500000000", "sev-firmware", HOST_OK },   /* 2.0 is not */
		{ "sev 1", "013700010100001500000000", "sev-state", HOST_FAIL },
		{ "sev 1", "013701010000001500000000", "sev-es-state", HOST_FAIL },
		{ "sev 1", "0137", "sev-firmware", HOST_FAIL },
		{ "sev 9", "01370003150000000400000000000000" "0a000000000017540a00000000001754", "snp-state", HOST_FAIL },
		{ "sev 9", "01370102150000000400000000000000" "0a000000000017540a00000000001754", "rmp", HOST_FAIL },
		{ "sev 9", "01370101150000000400000000000000" "0a000000000017540a00000000001754", "alias", HOST_WARN },
		{ "sev 9", "01370103150000000400000000000000" "0a000000000018540a00000000001754", "tcb", HOST_WARN },
		{ "file /proc/sys/kernel/osrelease", "6.10.14", "kernel", HOST_FAIL },
		{ "file /proc/sys/kernel/osrelease", "6.11-rc1", "kernel", HOST_OK },
		{ "file /proc/sys/kernel/osrelease", "7.0.3", "kernel", HOST_OK },
		{ "file /proc/cmdline", "ro iommu=pt quiet", "iommu", HOST_FAIL },
		{ "file /proc/cmdline", "ro iommu=ptx quiet", "iommu", HOST_OK },
		{ "file /sys/module/kvm_amd/parameters/sev", "0\n", "kvm-sev", HOST_FAIL },
		{ "file /sys/module/kvm_amd/parameters/sev_es", "N\n", "kvm-sev-es", HOST_FAIL },
		{ "file /sys/fs/cgroup/misc.capacity", "sev 907\n", "asids", HOST_FAIL },
		{ "file /sys/fs/cgroup/misc.current", "sev 0\nsev_es 99\n", "asids", HOST_FAIL },
		{ "objects", "  sev-snp-guests\n", "qemu-snp", HOST_FAIL },
		{ "firmware /usr/share/ovmf/OVMF.amdsev.fd", "snp", "firmware", HOST_FAIL },
		{ "file /sys/fs/cgroup/cgroup.controllers", "cpu pids", "cgroup", HOST_WARN },
		{ "guests", "no guest boots", "kvm-guests", HOST_WARN },
		{ "kvm 1", "0x220", "secure-tsc", HOST_OK },
		{ "kvm 0", "0xc 0xc", "kvm", HOST_WARN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		json_t *record = load("genoa");
		struct host_probe probe = host_record_probe(record);

		assert_non_null(json_object_get(record, wrong[i].member));
		(void)json_object_set_new(record, wrong[i].member, json_string(wrong[i].value));
		host_check(&probe, NULL, &report);
		print_message("%s: %s: %s\n", wrong[i].member, row(wrong[i].id)->id, row(wrong[i].id)->found);
		assert_int_equal(row(wrong[i].id)->verdict, wrong[i].verdict);
		if (wrong[i].verdict == HOST_FAIL)
			assert_int_equal(report.able[HOST_CONFIDENTIAL], false);
		json_decref(record);
	}
}

/* Debian's ordinary firmware is there, but not the one that measures a kernel. */
static void the_wrong_firmware(void **state)
{
	json_t *record = load("genoa");
	struct host_probe probe = host_record_probe(record);

	(void)state;
	(void)json_object_del(record, "firmware /usr/share/ovmf/OVMF.amdsev.fd");
	(void)json_object_set_new(record, "firmware /usr/share/ovmf/OVMF.fd", json_string("snp"));
	host_check(&probe, NULL, &report);
	assert_int_equal(row("firmware")->verdict, HOST_FAIL);
	assert_string_equal(row("firmware")->found, "/usr/share/ovmf/OVMF.fd: for SNP, but without a place for kernel hashes");
	(void)json_object_set_new(record, "firmware /mine.fd", json_string("kernel-hashes"));
	host_check(&probe, "/mine.fd", &report);
	assert_int_equal(row("firmware")->verdict, HOST_OK);
	json_decref(record);
}

static void without_tun_or_vmm(void **state)
{
	json_t *record = load("genoa");
	struct host_probe probe = host_record_probe(record);

	(void)state;
	(void)json_object_del(record, "open /dev/net/tun");
	host_check(&probe, NULL, &report);
	assert_int_equal(row("tun")->verdict, HOST_FAIL);
	assert_false(report.able[HOST_MACHINES]);
	(void)json_object_set_new(record, "open /dev/net/tun", json_true());
	(void)json_object_del(record, "program cloud-hypervisor");
	(void)json_object_del(record, "program qemu-system-x86_64");
	host_check(&probe, NULL, &report);
	assert_string_equal(report.driver, "local");
	assert_false(report.able[HOST_MACHINES]);
	json_decref(record);
}

/* What a record of nothing, or of nonsense, is worth. */
static void nothing_is_known(void **state)
{
	static const char *const nonsense[] = { "", "0x", "0x1 0x2 0x3", "0x1ffffffff 0x0 0x0 0x0", "0x1 0x2 0x3 0x4 0x5", "zz", "0x1,0x2" };
	json_t *record = json_object();
	struct host_probe probe = host_record_probe(record);

	(void)state;
	host_check(&probe, NULL, &report);
	assert_false(report.able[HOST_CONFIDENTIAL]);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		(void)json_object_set_new(record, "cpuid 0x0", json_string(nonsense[i]));
		host_check(&probe, NULL, &report);
		assert_int_equal(row("cpu-amd")->verdict, HOST_FAIL);
	}
	(void)json_object_set_new(record, "open /dev/kvm", json_integer(-5));
	(void)json_object_set_new(record, "open /dev/net/tun", json_string("yes"));
	host_check(&probe, NULL, &report);
	assert_int_equal(row("kvm")->verdict, HOST_WARN);
	assert_int_equal(row("tun")->verdict, HOST_FAIL);
	json_decref(record);
}

/* This computer, recorded, is judged as itself. */
static void recording_is_faithful(void **state)
{
	struct host_live live = { .state_dir = "/nonexistent" };
	struct host_recorder recorder = { .from = host_live_probe(&live), .record = json_object() };
	struct host_probe probe = host_recorder_probe(&recorder), again = host_record_probe(recorder.record);
	static struct host_report first;

	(void)state;
	host_check(&probe, NULL, &first);
	host_check(&again, NULL, &report);
	assert_int_equal(report.count, first.count);
	for (size_t i = 0; i < first.count; i++) {
		assert_int_equal(report.rows[i].verdict, first.rows[i].verdict);
		assert_string_equal(report.rows[i].found, first.rows[i].found);
	}
	assert_int_equal(row("kvm-guests")->verdict, HOST_NA);
	json_decref(recorder.record);
}

static void keep_answer(const char *dir, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* What the gateway found out about KVM and keeps: the newest answer counts, and what is none of its files does not. */
static void the_gateways_answer(void **state)
{
	char dir[] = "/tmp/terrarium-host.XXXXXX", path[128];
	struct host_live live = { .state_dir = dir };
	struct host_probe probe = host_live_probe(&live);
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char text[64];
	int n;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(probe.ask(probe.arg, HOST_GUESTS, "", 0, text, sizeof(text)), -ENOENT);
	keep_answer(dir, "accel-0123.json", "{\"key\": \"k\", \"kvm\": true, \"reason\": \"\", \"at\": 1}");
	keep_answer(dir, "other.json", "{\"kvm\": false, \"reason\": \"not this one\"}");
	n = probe.ask(probe.arg, HOST_GUESTS, "", 0, text, sizeof(text));
	assert_int_equal(n, 3);
	assert_memory_equal(text, "yes", 3);
	(void)snprintf(path, sizeof(path), "%s/accel-0123.json", dir);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	keep_answer(dir, "accel-4567.json", "{\"key\": \"k\", \"kvm\": false, \"reason\": \"no guest boots\", \"at\": 2}");
	n = probe.ask(probe.arg, HOST_GUESTS, "", 0, text, sizeof(text));
	assert_int_equal(n, 14);
	assert_memory_equal(text, "no guest boots", 14);
	keep_answer(dir, "accel-4567.json", "rubbish");
	assert_int_equal(probe.ask(probe.arg, HOST_GUESTS, "", 0, text, sizeof(text)), -ENOENT);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/accel-4567.json", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/other.json", dir);
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_hosts),	cmocka_unit_test(one_thing_wrong),	  cmocka_unit_test(without_tun_or_vmm),
		cmocka_unit_test(the_wrong_firmware), cmocka_unit_test(nothing_is_known), cmocka_unit_test(recording_is_faithful), cmocka_unit_test(the_gateways_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
