/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/policy.h"

#include "base/err.h"
#include "hv/snp/check.h"

#include <mbedtls/constant_time.h>
#include <string.h>

void snp_policy_strict(struct snp_policy *policy)
{
	*policy = (struct snp_policy){ .demands = SNP_NO_DEBUG | SNP_NO_MIGRATE_MA | SNP_AT_VMPL };
}

/* Demands that are about one bit of the guest's policy or of the platform's state. */
static const struct bit_rule {
	enum snp_demand demand;
	bool platform;
	uint32_t bit;
	bool wanted;
	const char *otherwise;
} bit_rules[] = {
	{ SNP_NO_DEBUG, false, SNP_POLICY_DEBUG, false, "the host may debug this guest (DEBUG)" },
	{ SNP_NO_MIGRATE_MA, false, SNP_POLICY_MIGRATE_MA, false, "a migration agent may move this guest (MIGRATE_MA)" },
	{ SNP_NO_SMT, false, SNP_POLICY_SMT, false, "the guest may run with SMT" },
	{ SNP_NO_CXL, false, SNP_POLICY_CXL, false, "the guest may run with CXL devices" },
	{ SNP_SINGLE_SOCKET, false, SNP_POLICY_SINGLE_SOCKET, true, "the guest is not bound to a single socket" },
	{ SNP_MEM_AES_256_XTS, false, SNP_POLICY_MEM_AES_256_XTS, true, "the guest does not demand memory under AES-256-XTS" },
	{ SNP_CIPHERTEXT_HIDING, false, SNP_POLICY_CIPHERTEXT_HIDING, true, "the guest does not demand ciphertext hiding" },
	{ SNP_NO_TSME, true, SNP_PLATFORM_TSME, false, "TSME is on" },
	{ SNP_ALIAS_CHECK, true, SNP_PLATFORM_ALIAS_CHECK, true, "memory was not checked for aliases (ALIAS_CHECK_COMPLETE)" },
	{ SNP_NO_TIO, true, SNP_PLATFORM_TIO, false, "trusted I/O is on" },
};

static int check_bits(const struct snp_policy *p, const struct snp_report *r, struct err *e)
{
	for (size_t i = 0; i < sizeof(bit_rules) / sizeof(bit_rules[0]); i++) {
		const struct bit_rule *rule = &bit_rules[i];
		uint64_t field = rule->platform ? r->platform_info : r->policy;

		if ((p->demands & rule->demand) && ((field & rule->bit) != 0) != rule->wanted)
			return err_set(e, SNP_CHECK_POLICY, "%s", rule->otherwise);
	}
	return 0;
}

/* Without a hint, by its duration, at which byte a value differs. */
static bool allowed(const struct snp_allowed *list, const uint8_t *value, size_t len)
{
	bool found = list->count == 0;

	for (size_t i = 0; i < list->count; i++)
		found |= mbedtls_ct_memcmp(list->value[i], value, len) == 0;
	return found;
}

static int check_values(const struct snp_policy *p, const struct snp_report *r, struct err *e)
{
	const struct {
		const char *name;
		const struct snp_allowed *list;
		const uint8_t *value;
		size_t len;
	} rules[] = {
		{ "the measurement", &p->measurement, r->measurement, sizeof(r->measurement) },
		{ "the report data", &p->report_data, r->report_data, sizeof(r->report_data) },
		{ "the host data", &p->host_data, r->host_data, sizeof(r->host_data) },
		{ "the family id", &p->family_id, r->family_id, sizeof(r->family_id) },
		{ "the image id", &p->image_id, r->image_id, sizeof(r->image_id) },
		{ "the digest of the ID key", &p->id_keys, r->id_key_digest, sizeof(r->id_key_digest) },
		{ "the digest of the author key", &p->author_keys, r->author_key_digest, sizeof(r->author_key_digest) },
		{ "the chip", &p->chip_ids, r->chip_id, sizeof(r->chip_id) },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (!allowed(rules[i].list, rules[i].value, rules[i].len))
			return err_set(e, SNP_CHECK_POLICY, "%s is another one", rules[i].name);
	}
	return 0;
}

/* An empty digest of a key says that there was none; a list of trusted ones cannot allow that. */
static int check_keys(const struct snp_policy *p, const struct snp_report *r, struct err *e)
{
	bool id_wanted = (p->demands & SNP_ID_BLOCK) || p->id_keys.count > 0;
	bool author_wanted = (p->demands & SNP_AUTHOR_KEY) || p->author_keys.count > 0;

	if (id_wanted && bytes_zero(r->id_key_digest, sizeof(r->id_key_digest)))
		return err_set(e, SNP_CHECK_POLICY, "the guest was launched without an ID block");
	if (author_wanted && (!r->author_key_enabled || bytes_zero(r->author_key_digest, sizeof(r->author_key_digest))))
		return err_set(e, SNP_CHECK_POLICY, "the ID key was not certified by an author key");
	if (((p->demands & SNP_CHIP_ID) || p->chip_ids.count > 0) && bytes_zero(r->chip_id, sizeof(r->chip_id)))
		return err_set(e, SNP_CHECK_POLICY, "the report does not name its chip");
	return 0;
}

static int version_number(struct snp_version v)
{
	return v.major << 16 | v.minor << 8 | v.build;
}

static int check_minimums(const struct snp_policy *p, const struct snp_report *r, struct err *e)
{
	uint16_t abi = (uint16_t)(r->policy & 0xffff); /* major in the upper byte */

	if (abi < p->min_abi)
		return err_set(e, SNP_CHECK_POLICY, "the guest accepts ABI %u.%u, %u.%u is the minimum", abi >> 8, abi & 255u,
			       p->min_abi >> 8, p->min_abi & 255u);
	if (r->guest_svn < p->min_guest_svn)
		return err_set(e, SNP_CHECK_POLICY, "the guest's security version is %u, %u is the minimum", r->guest_svn, p->min_guest_svn);
	if (version_number(r->current) < version_number(p->min_firmware))
		return err_set(e, SNP_CHECK_POLICY, "the secure processor runs firmware %u.%u.%u, %u.%u.%u is the minimum", r->current.major,
			       r->current.minor, r->current.build, p->min_firmware.major, p->min_firmware.minor, p->min_firmware.build);
	if ((r->launch_mit & p->min_launch_mit) != p->min_launch_mit)
		return err_set(e, SNP_CHECK_POLICY, "a mitigation was missing at launch");
	if ((r->current_mit & p->min_current_mit) != p->min_current_mit)
		return err_set(e, SNP_CHECK_POLICY, "a mitigation is missing");
	return 0;
}

static int check_tcb(const struct snp_tcb *min, uint64_t tcb, enum snp_product product, const char *which, struct err *e)
{
	struct snp_tcb have = snp_tcb_decode(tcb, product);
	enum snp_tcb_part part = snp_tcb_short_of(&have, min);

	if (part == SNP_TCB_PARTS)
		return 0;
	return err_set(e, SNP_CHECK_POLICY, "the %s TCB has %s level %u, %u is the minimum", which, snp_tcb_part_name(part),
		       have.part[part], min->part[part]);
}

static int check_platform(const struct snp_policy *p, const struct snp_report *r, enum snp_product product, struct err *e)
{
	int result = check_tcb(&p->min_tcb, r->reported_tcb, product, "reported", e);

	if (result == 0)
		result = check_tcb(&p->min_launch_tcb, r->launch_tcb, product, "launch", e);
	if (result != 0)
		return result;
	if ((p->demands & SNP_NO_PROVISIONAL) &&
	    (r->committed_tcb != r->current_tcb || version_number(r->committed) != version_number(r->current)))
		return err_set(e, SNP_CHECK_POLICY, "the platform runs provisional firmware: committed and current versions differ");
	if (product < p->min_product)
		return err_set(e, SNP_CHECK_POLICY, "the processor is a %s, %s is the minimum", snp_product_name(product),
			       snp_product_name(p->min_product));
	return 0;
}

int snp_policy_check(const struct snp_policy *policy, const struct snp_report *report, enum snp_product product, struct err *e)
{
	int r = check_bits(policy, report, e);

	if (r == 0 && (policy->demands & SNP_AT_VMPL) && report->vmpl != policy->vmpl) {
		if (report->vmpl == SNP_VMPL_HOST)
			return err_set(e, SNP_CHECK_POLICY, "the host asked for this report, not the guest");
		return err_set(e, SNP_CHECK_POLICY, "the report was asked for at VMPL %u, not %u", report->vmpl, policy->vmpl);
	}
	if (r == 0)
		r = check_keys(policy, report, e);
	if (r == 0)
		r = check_values(policy, report, e);
	if (r == 0)
		r = check_minimums(policy, report, e);
	return r == 0 ? check_platform(policy, report, product, e) : r;
}
