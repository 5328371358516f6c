/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cli.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "gateway/ctl/ctl.h"
#include "hv/snp/firmware.h"
#include "hv/snp/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define NAME "snp measure"

struct options {
	const char *firmware, *kernel, *initrd, *append, *vcpus, *vcpu_type, *vcpu_sig, *vmm, *guest_features, *firmware_digest;
	bool json;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "firmware", .text = &o->firmware, .value = "F", .help = "OVMF image, its tables are read", .needed = true },
		{ .name = "kernel", .text = &o->kernel, .value = "K", .help = "kernel, as QEMU loads it" },
		{ .name = "initrd", .text = &o->initrd, .value = "I", .help = "initial ramdisk" },
		{ .name = "append", .text = &o->append, .value = "S", .help = "kernel command line" },
		{ .name = "vcpus", .text = &o->vcpus, .value = "N", .help = "number of virtual processors", .needed = true },
		{ .name = "vcpu-type", .text = &o->vcpu_type, .value = "T", .help = "their model, by its QEMU name" },
		{ .name = "vcpu-sig", .text = &o->vcpu_sig, .value = "0xN", .help = "or their CPUID signature" },
		{ .name = "vmm", .text = &o->vmm, .value = "V", .help = "qemu (default), ec2 or gce" },
		{ .name = "guest-features", .text = &o->guest_features, .value = "0xN", .help = "SEV_FEATURES, 0x1 unless given" },
		{ .name = "firmware-digest", .text = &o->firmware_digest, .value = "HEX", .help = "digest of the firmware, computed before" },
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_options(NAME, table, argc, argv);
}

static int check_options(const struct options *o)
{
	if (!o->vcpu_type == !o->vcpu_sig)
		return ctl_usage(NAME, "give one of --vcpu-type and --vcpu-sig");
	if (!o->kernel && (o->initrd || (o->append && *o->append)))
		return ctl_usage(NAME, "--initrd and --append need --kernel");
	if (o->append && strlen(o->append) > SNP_APPEND_MAX)
		return ctl_usage(NAME, "--append is longer than %d bytes", SNP_APPEND_MAX);
	return CLI_OK;
}

/* Numbers and names of the command line into @launch; CLI_USAGE after saying what is wrong. */
static int parse_options(const struct options *o, struct snp_launch *launch, uint8_t digest[SHA384_BYTES])
{
	uint64_t number;

	if (ctl_number(o->vcpus, SNP_VCPUS_MAX, &number) < 0 || number == 0)
		return ctl_usage(NAME, "--vcpus %s: a number from 1 to %d is needed", o->vcpus, SNP_VCPUS_MAX);
	launch->vcpus = (uint32_t)number;
	if (o->vcpu_sig && ctl_number(o->vcpu_sig, UINT32_MAX, &number) < 0)
		return ctl_usage(NAME, "--vcpu-sig %s: a 32-bit number such as 0xa10f10 is needed", o->vcpu_sig);
	launch->vcpu_sig = (uint32_t)number;
	if (o->vcpu_type && snp_vcpu_sig(o->vcpu_type, &launch->vcpu_sig) < 0) {
		fputs("terrarium " NAME ": known processor models:", stderr);
		for (size_t i = 0; snp_vcpu_name(i); i++)
			fprintf(stderr, " %s", snp_vcpu_name(i));
		fputc('\n', stderr);
		return ctl_usage(NAME, "--vcpu-type %s is not a QEMU model; --vcpu-sig takes any CPUID signature", o->vcpu_type);
	}
	if (snp_vmm_parse(o->vmm ? o->vmm : "qemu", &launch->vmm) < 0)
		return ctl_usage(NAME, "--vmm %s: qemu, ec2 or gce is needed", o->vmm);
	if (ctl_number(o->guest_features ? o->guest_features : "0x1", UINT64_MAX, &launch->guest_features) < 0)
		return ctl_usage(NAME, "--guest-features %s: a 64-bit number such as 0x1 is needed", o->guest_features);
	if (o->firmware_digest && hex_decode(o->firmware_digest, digest, SHA384_BYTES) < 0)
		return ctl_usage(NAME, "--firmware-digest: 96 hexadecimal digits are needed");
	launch->firmware_digest = o->firmware_digest ? digest : NULL;
	return CLI_OK;
}

static int hash_file(const char *path, uint8_t out[SHA256_BYTES], struct err *e)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : sha256_file(fd, out);

	return r == 0 ? 0 : err_set(e, r, "cannot read %s: %s", path, strerror(-r));
}

static int hash_boot(const struct options *o, struct snp_boot *boot, struct err *e)
{
	int r = hash_file(o->kernel, boot->kernel, e);

	if (r == 0)
		r = o->initrd ? hash_file(o->initrd, boot->initrd, e) : snp_boot_no_initrd(boot);
	return r == 0 ? snp_boot_cmdline(boot, o->append) : r;
}

static int print_result(const struct options *o, const struct snp_launch *launch, const struct snp_measurement *m)
{
	char hex[2 * SNP_DIGEST_BYTES + 1];
	json_t *object;

	hex_encode(m->digest, sizeof(m->digest), hex);
	if (!o->json)
		return printf("%s\n", hex) > 0 && fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
	object = json_pack("{s:s, s:o, s:I, s:I, s:s, s:I}", "measurement", hex, "firmware_digest",
			   ctl_json_hex(m->firmware, sizeof(m->firmware)), "vcpus", (json_int_t)launch->vcpus, "vcpu_sig",
			   (json_int_t)launch->vcpu_sig, "vmm", o->vmm ? o->vmm : "qemu", "sections", (json_int_t)m->sections);
	if (object && launch->boot) {
		json_object_set_new(object, "kernel_sha256", ctl_json_hex(launch->boot->kernel, SHA256_BYTES));
		json_object_set_new(object, "initrd_sha256", ctl_json_hex(launch->boot->initrd, SHA256_BYTES));
		json_object_set_new(object, "cmdline_sha256", ctl_json_hex(launch->boot->cmdline, SHA256_BYTES));
	}
	return ctl_print_json(object);
}

int cmd_snp_measure(int argc, char **argv)
{
	_file_ struct ctl_file firmware = { 0 };
	struct snp_launch launch = { 0 };
	struct snp_measurement result;
	struct snp_boot boot;
	struct options o = { 0 };
	struct err e = { 0 };
	uint8_t digest[SHA384_BYTES];
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (check_options(&o) != CLI_OK || parse_options(&o, &launch, digest) != CLI_OK)
		return CLI_USAGE;
	if (ctl_load(o.firmware, SNP_FIRMWARE_MAX, &firmware, &e) < 0)
		return ctl_refuse(NAME, o.json, &e);
	launch.firmware = (struct snp_bytes){ firmware.data, firmware.len };
	if (o.kernel) {
		if (hash_boot(&o, &boot, &e) < 0)
			return ctl_refuse(NAME, o.json, &e);
		launch.boot = &boot;
	}
	if (snp_measure(&launch, &result, &e) < 0)
		return ctl_refuse(NAME, o.json, &e);
	return print_result(&o, &launch, &result);
}
