/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: the digest starts as zeros. For every page that the VMM gives to the secure processor before the start,
 * it becomes the SHA-384 of a structure that holds the digest so far, the digest of the page's contents, its kind and address.
 * The order is therefore part of the result: the firmware's pages upwards; the sections of its metadata in the order of its own
 * table; one save area per processor. Nothing here is known about any particular firmware: addresses and order are read.
 */
#include "hv/snp/measure.h"

#include "base/err.h"
#include "hv/snp/firmware.h"

#include <errno.h>
#include <string.h>

enum page_type { PAGE_NORMAL = 1, PAGE_VMSA = 2, PAGE_ZERO = 3, PAGE_UNMEASURED = 4, PAGE_SECRETS = 5, PAGE_CPUID = 6 };

#define VMSA_GPA 0x0000fffffffff000ull

/* PAGE_INFO, SEV-SNP firmware ABI table 67: what each step hashes. */
enum { INFO_CONTENTS = 0x30, INFO_LENGTH = 0x60, INFO_TYPE = 0x62, INFO_GPA = 0x68, INFO_BYTES = 0x70 };

static const uint8_t no_contents[SHA384_BYTES];

static int add(uint8_t digest[SHA384_BYTES], enum page_type type, uint64_t gpa, const uint8_t contents[SHA384_BYTES])
{
	uint8_t info[INFO_BYTES] = { 0 };

	memcpy(info, digest, SHA384_BYTES);
	memcpy(info + INFO_CONTENTS, contents, SHA384_BYTES);
	put16(info + INFO_LENGTH, INFO_BYTES);
	info[INFO_TYPE] = (uint8_t)type;
	put64(info + INFO_GPA, gpa);
	return sha384(info, sizeof(info), digest);
}

static int add_data(uint8_t digest[SHA384_BYTES], uint64_t gpa, const uint8_t *data, size_t len)
{
	uint8_t contents[SHA384_BYTES];

	for (size_t at = 0; at < len; at += SNP_PAGE) {
		int r = sha384(data + at, SNP_PAGE, contents);

		if (r == 0)
			r = add(digest, PAGE_NORMAL, gpa + at, contents);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_empty(uint8_t digest[SHA384_BYTES], enum page_type type, uint64_t gpa, size_t len)
{
	for (size_t at = 0; at < len; at += SNP_PAGE) {
		int r = add(digest, type, gpa + at, no_contents);

		if (r < 0)
			return r;
	}
	return 0;
}

/* --- the table of kernel hashes (QEMU, target/i386/sev.c: SevHashTable) --- */

enum { HASH_ENTRY = 50, HASH_TABLE = 168, HASH_TABLE_PADDED = 176 };

static const uint8_t guid_table[16] = { 0x06, 0xd6, 0x38, 0x94, 0x22, 0x4f, 0xc9, 0x4c,
					0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21 };
static const uint8_t guid_cmdline[16] = { 0xd8, 0x2d, 0xd0, 0x97, 0x20, 0xbd, 0x94, 0x4c,
					  0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a };
static const uint8_t guid_initrd[16] = { 0x31, 0xf7, 0xba, 0x44, 0x2f, 0x3a, 0xd7, 0x4b,
					 0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d };
static const uint8_t guid_kernel[16] = { 0x37, 0x94, 0xe7, 0x4d, 0xd2, 0xab, 0x7f, 0x42,
					 0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b };

static uint8_t *put_hash(uint8_t *p, const uint8_t guid[16], const uint8_t hash[SHA256_BYTES])
{
	memcpy(p, guid, 16);
	put16(p + 16, HASH_ENTRY);
	memcpy(p + 18, hash, SHA256_BYTES);
	return p + HASH_ENTRY;
}

static void hashes_page(const struct snp_boot *boot, size_t offset, uint8_t page[SNP_PAGE])
{
	uint8_t *p = page + offset;

	memset(page, 0, SNP_PAGE);
	memcpy(p, guid_table, 16);
	put16(p + 16, HASH_TABLE);
	p = put_hash(p + 18, guid_cmdline, boot->cmdline);
	p = put_hash(p, guid_initrd, boot->initrd);
	(void)put_hash(p, guid_kernel, boot->kernel);
}

static int check_hashes(const struct snp_firmware *fw, struct err *e)
{
	if (!snp_firmware_has(fw, SNP_SECTION_KERNEL_HASHES))
		return err_set(e, -EINVAL, "firmware: it has no section for kernel hashes, so it cannot measure a kernel; "
					   "use an AmdSev build of OVMF or give no kernel");
	if (fw->hashes_gpa == 0 || fw->hashes_size < HASH_TABLE_PADDED ||
	    fw->hashes_gpa % SNP_PAGE + HASH_TABLE_PADDED > SNP_PAGE)
		return err_set(e, -EINVAL, "firmware: no room for the table of kernel hashes at %#x with %u bytes", fw->hashes_gpa,
			       fw->hashes_size);
	for (size_t i = 0; i < fw->section_count; i++) {
		const struct snp_section *s = &fw->sections[i];

		if (s->type == SNP_SECTION_KERNEL_HASHES && s->size != SNP_PAGE)
			return err_set(e, -EINVAL, "firmware: the section of kernel hashes has %u bytes, not one page", s->size);
	}
	return 0;
}

/* --- sections and processors --- */

static int add_section(const struct snp_launch *launch, const struct snp_firmware *fw, const struct snp_section *s,
		       uint8_t digest[SHA384_BYTES])
{
	switch (s->type) {
	case SNP_SECTION_MEMORY:
		return add_empty(digest, launch->vmm == SNP_VMM_GCE ? PAGE_UNMEASURED : PAGE_ZERO, s->gpa, s->size);
	case SNP_SECTION_SECRETS:
		return add_empty(digest, PAGE_SECRETS, s->gpa, SNP_PAGE);
	case SNP_SECTION_CPUID:
		/* EC2 adds the CPUID page after everything else, in a pass of its own. */
		return launch->vmm == SNP_VMM_EC2 ? 0 : add_empty(digest, PAGE_CPUID, s->gpa, SNP_PAGE);
	case SNP_SECTION_SVSM_CAA:
		return add_empty(digest, PAGE_ZERO, s->gpa, s->size);
	case SNP_SECTION_KERNEL_HASHES:
		if (launch->boot) {
			uint8_t page[SNP_PAGE];

			hashes_page(launch->boot, fw->hashes_gpa % SNP_PAGE, page);
			return add_data(digest, s->gpa, page, SNP_PAGE);
		}
		return add_empty(digest, PAGE_ZERO, s->gpa, s->size);
	}
	return -EINVAL;
}

static int add_sections(const struct snp_launch *launch, const struct snp_firmware *fw, uint8_t digest[SHA384_BYTES])
{
	int r = 0;

	for (size_t i = 0; i < fw->section_count && r == 0; i++)
		r = add_section(launch, fw, &fw->sections[i], digest);
	for (size_t i = 0; i < fw->section_count && r == 0 && launch->vmm == SNP_VMM_EC2; i++) {
		if (fw->sections[i].type == SNP_SECTION_CPUID)
			r = add_empty(digest, PAGE_CPUID, fw->sections[i].gpa, SNP_PAGE);
	}
	return r;
}

static int add_processors(const struct snp_launch *launch, uint32_t reset_eip, uint8_t digest[SHA384_BYTES])
{
	struct snp_vcpu cpu = { launch->vmm, SNP_RESET_EIP, launch->vcpu_sig, launch->guest_features };
	uint8_t page[SNP_VMSA_BYTES], first[SHA384_BYTES], others[SHA384_BYTES];
	int r;

	snp_vmsa_build(&cpu, page);
	r = sha384(page, sizeof(page), first);
	cpu.eip = reset_eip;
	snp_vmsa_build(&cpu, page);
	if (r == 0)
		r = sha384(page, sizeof(page), others);
	for (uint32_t i = 0; i < launch->vcpus && r == 0; i++)
		r = add(digest, PAGE_VMSA, VMSA_GPA, i == 0 ? first : others);
	return r;
}

static int add_firmware(const struct snp_launch *launch, uint8_t digest[SHA384_BYTES], struct err *e)
{
	size_t len = launch->firmware.len;

	if (launch->firmware_digest) {
		memcpy(digest, launch->firmware_digest, SHA384_BYTES);
		return 0;
	}
	if (len % SNP_PAGE != 0)
		return err_set(e, -EINVAL, "firmware: %zu bytes are not a multiple of %u", len, SNP_PAGE);
	memset(digest, 0, SHA384_BYTES);
	return add_data(digest, (1ull << 32) - len, launch->firmware.data, len);
}

int snp_measure(const struct snp_launch *launch, struct snp_measurement *out, struct err *e)
{
	struct snp_firmware fw;
	uint8_t digest[SHA384_BYTES];
	int r;

	if (launch->vcpus < 1 || launch->vcpus > SNP_VCPUS_MAX)
		return err_set(e, -EINVAL, "%u virtual processors: at least 1 and at most %d are possible", launch->vcpus, SNP_VCPUS_MAX);
	r = snp_firmware_parse(launch->firmware, &fw, e);
	if (r == 0 && launch->boot)
		r = check_hashes(&fw, e);
	if (r == 0)
		r = add_firmware(launch, digest, e);
	if (r < 0)
		return r;
	memcpy(out->firmware, digest, sizeof(out->firmware));
	r = add_sections(launch, &fw, digest);
	if (r == 0)
		r = add_processors(launch, fw.reset_eip, digest);
	if (r < 0)
		return err_set(e, r, "SHA-384 failed");
	memcpy(out->digest, digest, sizeof(out->digest));
	out->sections = fw.section_count;
	return 0;
}

int snp_boot_cmdline(struct snp_boot *boot, const char *append)
{
	return sha256(append ? append : "", append ? strlen(append) + 1 : 1, boot->cmdline);
}

int snp_boot_no_initrd(struct snp_boot *boot)
{
	return sha256("", 0, boot->initrd);
}
