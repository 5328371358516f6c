/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snp ROUNDS: what judging a report and computing a launch digest cost, as a JSON object. Processor time: no one waits for a disk or a network in
 * these, and the machine is never alone. Reports are those of the agent's test build, under the root in tests/vectors/snp-pki.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "hv/agent/report.h"
#include "hv/snp/measure.h"
#include "hv/snp/verify.h"
#include "tests/unit/firmware.h"

#define PKI	      "tests/vectors/snp-pki/"
#define FIRMWARE_BYTES (4u << 20)
#define INITRD_BYTES  (20u << 20)

static double cpu_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "snp: %s\n", what);
	exit(1);
}

static struct snp_bytes load(const char *name, char *out, size_t size)
{
	char path[96];
	long n;

	(void)snprintf(path, sizeof(path), PKI "%s.der", name);
	n = fd_read_file(AT_FDCWD, path, out, size);
	if (n < 0)
		die(path);
	return (struct snp_bytes){ (const uint8_t *)out, (size_t)n };
}

/* Everything that `terrarium snp verify` does after reading its files: parsing, chain, revocation list, signature, policy. */
static double verify_ms(int rounds)
{
	static char vek[4096], ask[4096], ark[4096], crl[8192];
	static struct snp_policy policy;
	const struct report_source source = report_source_default();
	struct buf report = BUF_INIT(REPORT_BYTES_MAX), certs = BUF_INIT(REPORT_CERTS_MAX);
	struct snp_evidence ev = { .vek = load("vcek", vek, sizeof(vek)), .intermediate = load("ask", ask, sizeof(ask)),
				   .ark = load("ark", ark, sizeof(ark)), .crl = load("crl-ok", crl, sizeof(crl)) };
	struct snp_findings found;
	struct err e = { 0 };
	uint8_t data[REPORT_DATA_BYTES] = { 1 };
	double began;

	(void)setenv("TERRARIUM_TEST_KEY", PKI "leaf.key.der", 1);
	if (report_take(&source, data, &report, &certs) < 0)
		die("no report");
	ev.report = (struct snp_bytes){ (const uint8_t *)report.data, report.len };
	snp_policy_strict(&policy);
	began = cpu_ms();
	for (int i = 0; i < rounds; i++) {
		if (snp_verify(&ev, &policy, time(NULL), &found, &e) != 0)
			die(e.msg);
	}
	return (cpu_ms() - began) / rounds;
}

static double digest_ms(int rounds)
{
	static struct image_of_firmware tables;
	uint8_t *firmware = malloc(FIRMWARE_BYTES);
	_close_ int initrd = memfd_create("initrd", MFD_CLOEXEC);
	struct snp_launch launch = { .firmware = { firmware, FIRMWARE_BYTES }, .vcpus = 2, .vcpu_sig = 0x00a10f10, .guest_features = 1 };
	struct snp_measurement m;
	struct snp_boot boot;
	struct err e = { 0 };
	double began;

	if (!firmware || initrd < 0)
		die("no memory");
	for (size_t i = 0; i < FIRMWARE_BYTES; i++)
		firmware[i] = (uint8_t)(i * 131 >> 3);
	for (size_t i = 0; i < INITRD_BYTES / FIRMWARE_BYTES; i++)
		if (fd_write_all(initrd, firmware, FIRMWARE_BYTES) < 0)
			die("no memory");
	build(&tables);
	memcpy(firmware + FIRMWARE_BYTES - SIZE, tables.bytes, SIZE);
	memset(boot.kernel, 0x11, sizeof(boot.kernel));
	launch.boot = &boot;
	began = cpu_ms();
	for (int i = 0; i < rounds; i++) {
		if (lseek(initrd, 0, SEEK_SET) < 0 || sha256_file(initrd, boot.initrd) < 0 || snp_boot_cmdline(&boot, "console=ttyS0") < 0 ||
		    snp_measure(&launch, &m, &e) < 0)
			die(e.msg);
	}
	free(firmware);
	return (cpu_ms() - began) / rounds;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 20;
	double verify = verify_ms(rounds > 0 ? rounds : 1), digest = digest_ms(rounds > 4 ? rounds / 4 : 1);

	return printf("{\"verify_ms\": %.3f, \"digest_ms\": %.3f}\n", verify, digest) > 0 ? 0 : 1;
}
