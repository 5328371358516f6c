/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_POLICY_H
#define HV_SNP_POLICY_H

#include "hv/snp/report.h"

struct err;

#define SNP_ALLOWED_MAX 64 /* values in a list */

/* What a policy may ask for by a yes or no; each is checked only if its bit is set. */
enum snp_demand {
	SNP_NO_DEBUG = 1u << 0,
	SNP_NO_MIGRATE_MA = 1u << 1,
	SNP_NO_SMT = 1u << 2,
	SNP_NO_CXL = 1u << 3,
	SNP_SINGLE_SOCKET = 1u << 4,
	SNP_MEM_AES_256_XTS = 1u << 5,
	SNP_CIPHERTEXT_HIDING = 1u << 6,
	SNP_NO_TSME = 1u << 7,
	SNP_ALIAS_CHECK = 1u << 8,
	SNP_NO_TIO = 1u << 9,
	SNP_NO_PROVISIONAL = 1u << 10,
	SNP_ID_BLOCK = 1u << 11,
	SNP_AUTHOR_KEY = 1u << 12,
	SNP_CHIP_ID = 1u << 13,
	SNP_AT_VMPL = 1u << 14,
};

/** struct snp_allowed - values of which one must be there; an empty list allows all */
struct snp_allowed {
	uint8_t value[SNP_ALLOWED_MAX][64];
	size_t count;
};

/**
 * struct snp_policy - what somebody wants of a genuine report; zeroed, it wants nothing
 * @demands:  set of enum snp_demand
 * @vmpl:     looked at with SNP_AT_VMPL
 * @min_abi:  major << 8 | minor
 * @min_tcb, @min_launch_tcb: part by part
 * @min_firmware: of the secure processor, now
 * @min_launch_mit, @min_current_mit: bits that must be set
 * @min_product: the oldest product that is good enough
 */
struct snp_policy {
	uint32_t demands, vmpl, min_guest_svn;
	uint16_t min_abi;
	struct snp_tcb min_tcb, min_launch_tcb;
	struct snp_version min_firmware;
	uint64_t min_launch_mit, min_current_mit;
	enum snp_product min_product;
	struct snp_allowed measurement, report_data, host_data, family_id, image_id, id_keys, author_keys, chip_ids;
};

/** snp_policy_strict() - what holds without a policy: no debugging, no migration agent, VMPL 0 */
void snp_policy_strict(struct snp_policy *policy);

/**
 * snp_policy_check() - compare a report with a policy
 * @product: as proven by the certificates; it settles the order of the TCB
 *
 * Return: 0; SNP_CHECK_POLICY with the first difference in @e.
 */
int snp_policy_check(const struct snp_policy *policy, const struct snp_report *report, enum snp_product product, struct err *e);

/**
 * snp_policy_parse() - read a policy from JSON
 *
 * An unknown option, a value of the wrong type or length, and an option given twice are errors: a policy that is not understood
 * in full protects nobody. Return: 0, or -EINVAL with the option in @e.
 */
int snp_policy_parse(const char *json, size_t len, struct snp_policy *policy, struct err *e);

#endif
