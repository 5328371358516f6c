/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_MEASURE_H
#define HV_SNP_MEASURE_H

#include "hv/snp/bytes.h"
#include "hv/snp/sha.h"
#include "hv/snp/vmsa.h"

struct err;

#define SNP_DIGEST_BYTES SHA384_BYTES
#define SNP_VCPUS_MAX	 4096
#define SNP_APPEND_MAX	 65535 /* bytes of a kernel command line; Linux takes 2048 on x86, QEMU measures what it is given */

/** struct snp_boot - SHA-256 of what QEMU loads beside the firmware */
struct snp_boot {
	uint8_t kernel[SHA256_BYTES], initrd[SHA256_BYTES], cmdline[SHA256_BYTES];
};

/** snp_boot_cmdline() - hash a command line as QEMU does, with its final NUL; NULL is the empty one. Return: 0 or negative */
int snp_boot_cmdline(struct snp_boot *boot, const char *append);

/** snp_boot_no_initrd() - hash of the initrd that is not there. Return: 0 or negative */
int snp_boot_no_initrd(struct snp_boot *boot);

/**
 * struct snp_launch - everything that decides the launch digest of a guest
 * @firmware:        OVMF image; its tables are read in any case
 * @firmware_digest: 48 bytes, the digest after the firmware's pages, to be used instead of hashing them; or NULL
 * @boot:            NULL when the firmware boots from a disk
 * @vcpus:           1..SNP_VCPUS_MAX
 */
struct snp_launch {
	struct snp_bytes firmware;
	const uint8_t *firmware_digest;
	const struct snp_boot *boot;
	uint32_t vcpus, vcpu_sig;
	enum snp_vmm vmm;
	uint64_t guest_features;
};

/**
 * struct snp_measurement - the launch digest and what it was made of
 * @digest:        MEASUREMENT of the guest's reports
 * @firmware:      the digest after the firmware's pages
 * @sections:      memory sections that the firmware asked for
 */
struct snp_measurement {
	uint8_t digest[SNP_DIGEST_BYTES], firmware[SNP_DIGEST_BYTES];
	size_t sections;
};

/**
 * snp_measure() - the launch digest that the secure processor will compute (SEV-SNP firmware ABI, section 8.17)
 *
 * Pure: no file is read. Return: 0; -EINVAL for a firmware or a combination that cannot be launched, with the reason in @e.
 */
int snp_measure(const struct snp_launch *launch, struct snp_measurement *out, struct err *e);

#endif
