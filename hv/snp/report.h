/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_REPORT_H
#define HV_SNP_REPORT_H

#include "hv/snp/bytes.h"

struct err;

#define SNP_REPORT_BYTES	1184
#define SNP_REPORT_SIGNED_BYTES 0x2a0
#define SNP_REPORT_DATA_BYTES	64
#define SNP_CHIP_ID_BYTES	64
#define SNP_COMPONENT_BYTES	72 /* R and S, little-endian */

/* Families of processors that differ in roots and in the order of TCB_VERSION. */
enum snp_product { SNP_PRODUCT_UNKNOWN, SNP_PRODUCT_MILAN, SNP_PRODUCT_GENOA, SNP_PRODUCT_TURIN, SNP_PRODUCT_VENICE, SNP_PRODUCT_COUNT };

enum snp_signing_key { SNP_KEY_VCEK = 0, SNP_KEY_VLEK = 1 };

enum snp_policy_bit {
	SNP_POLICY_SMT = 1u << 16,
	SNP_POLICY_RESERVED_ONE = 1u << 17,
	SNP_POLICY_MIGRATE_MA = 1u << 18,
	SNP_POLICY_DEBUG = 1u << 19,
	SNP_POLICY_SINGLE_SOCKET = 1u << 20,
	SNP_POLICY_CXL = 1u << 21,
	SNP_POLICY_MEM_AES_256_XTS = 1u << 22,
	SNP_POLICY_RAPL_DIS = 1u << 23,
	SNP_POLICY_CIPHERTEXT_HIDING = 1u << 24,
	SNP_POLICY_PAGE_SWAP_DISABLE = 1u << 25,
};

enum snp_platform_bit {
	SNP_PLATFORM_SMT = 1u << 0,
	SNP_PLATFORM_TSME = 1u << 1,
	SNP_PLATFORM_ECC = 1u << 2,
	SNP_PLATFORM_RAPL_DIS = 1u << 3,
	SNP_PLATFORM_CIPHERTEXT_HIDING = 1u << 4,
	SNP_PLATFORM_ALIAS_CHECK = 1u << 5,
	SNP_PLATFORM_TIO = 1u << 7,
};

/* Parts of a TCB_VERSION; they are compared one by one, never as one number. */
enum snp_tcb_part { SNP_TCB_FMC, SNP_TCB_BL, SNP_TCB_TEE, SNP_TCB_SNP, SNP_TCB_UCODE, SNP_TCB_PARTS };

struct snp_tcb {
	uint8_t part[SNP_TCB_PARTS]; /* fmc is 0 before Turin */
};

struct snp_version {
	uint8_t major, minor, build;
};

/**
 * struct snp_report - an attestation report, decoded (SEV-SNP firmware ABI, ATTESTATION_REPORT)
 * @vmpl:    0..3, or SNP_VMPL_HOST when the host asked for it
 * @product: from CPUID; unknown in version 2, which does not say
 * @raw:     borrowed: the bytes it was decoded from, which are what is signed
 */
struct snp_report {
	uint32_t version, guest_svn, vmpl;
	uint64_t policy, platform_info;
	bool author_key_enabled, chip_key_masked;
	enum snp_signing_key signing_key;
	uint8_t family_id[16], image_id[16];
	uint8_t report_data[SNP_REPORT_DATA_BYTES], measurement[48], host_data[32];
	uint8_t id_key_digest[48], author_key_digest[48], report_id[32], report_id_ma[32], chip_id[SNP_CHIP_ID_BYTES];
	uint64_t current_tcb, reported_tcb, committed_tcb, launch_tcb; /* as they stand; see snp_tcb_decode() */
	uint8_t cpuid_family, cpuid_model, cpuid_stepping;
	struct snp_version current, committed;
	uint64_t launch_mit, current_mit;
	enum snp_product product;
	const uint8_t *raw;
};

#define SNP_VMPL_HOST 0xffffffffu

/**
 * snp_report_parse() - decode and check the structure of a report, versions 2 to 5
 *
 * Return: 0; SNP_CHECK_LENGTH or SNP_CHECK_STRUCTURE with the reason in @e.
 */
int snp_report_parse(struct snp_bytes bytes, struct snp_report *report, struct err *e);

/** snp_tcb_decode() - parts of a TCB_VERSION in the byte order of @product */
struct snp_tcb snp_tcb_decode(uint64_t tcb, enum snp_product product);

/** snp_tcb_short_of() - the first part in which @have is below @want. Return: a part, or SNP_TCB_PARTS when none is */
enum snp_tcb_part snp_tcb_short_of(const struct snp_tcb *have, const struct snp_tcb *want);

/** snp_tcb_part_name() - "fmc", "bl", "tee", "snp" or "ucode" */
const char *snp_tcb_part_name(enum snp_tcb_part part);

/** snp_product_name() - "Milan", "Genoa", "Turin", "Venice" or "unknown" */
const char *snp_product_name(enum snp_product product);

/** snp_product_parse() - from its name. Return: SNP_PRODUCT_UNKNOWN for any other text */
enum snp_product snp_product_parse(const char *name);

#endif
