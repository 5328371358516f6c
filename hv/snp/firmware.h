/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_FIRMWARE_H
#define HV_SNP_FIRMWARE_H

#include "hv/snp/bytes.h"

struct err;

#define SNP_PAGE		4096u
#define SNP_FIRMWARE_MAX	(64u << 20) /* bytes; images seen have 4 MiB */
#define SNP_SECTIONS_MAX	128	    /* images seen have 7 */
#define SNP_SECTION_PAGES_MAX	(1u << 18)  /* of all sections together: 1 GiB; images seen have 50 */

/* Types of the sections of OVMF's SEV metadata (edk2, OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm). */
enum snp_section_type {
	SNP_SECTION_MEMORY = 1,
	SNP_SECTION_SECRETS = 2,
	SNP_SECTION_CPUID = 3,
	SNP_SECTION_SVSM_CAA = 4,
	SNP_SECTION_KERNEL_HASHES = 0x10,
};

struct snp_section {
	uint32_t gpa, size; /* bytes, both multiples of SNP_PAGE */
	enum snp_section_type type;
};

/**
 * struct snp_firmware - what an OVMF image says about itself in its GUIDed table
 * @reset_eip:   where application processors start
 * @hashes_gpa:  of the table of kernel hashes; 0 when the image has no place for it
 * @hashes_size: bytes reserved for it
 * @sections:    in the order of the image, which is the order of measurement
 */
struct snp_firmware {
	uint32_t reset_eip;
	uint32_t hashes_gpa, hashes_size;
	struct snp_section sections[SNP_SECTIONS_MAX];
	size_t section_count;
};

/**
 * snp_firmware_parse() - read the tables at the end of an OVMF image
 *
 * Every length and offset in them is hostile. Return: 0, or -EINVAL with the table that is wrong in @e.
 */
int snp_firmware_parse(struct snp_bytes image, struct snp_firmware *fw, struct err *e);

/** snp_firmware_has() - true if some section is of @type */
bool snp_firmware_has(const struct snp_firmware *fw, enum snp_section_type type);

#endif
