/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/report.h"

#include "base/err.h"
#include "hv/snp/check.h"

#include <assert.h>
#include <string.h>

/* Bytes that must be zero in versions from @since to @until. */
static const struct {
	uint16_t at, len, since, until;
} reserved[] = {
	{ 0x04c, 4, 2, 5 },	/* after the key information */
	{ 0x188, 24, 2, 2 },	/* where CPUID came in version 3 */
	{ 0x18b, 21, 3, 5 },	/* after CPUID */
	{ 0x1eb, 1, 2, 5 },	/* after the current version */
	{ 0x1ef, 1, 2, 5 },	/* after the committed version */
	{ 0x1f8, 168, 2, 4 },	/* where the mitigation vectors came in version 5 */
	{ 0x208, 152, 5, 5 },	/* after them */
	{ 0x330, 368, 2, 5 },	/* after S: not signed, so anything there would be a place to hide */
};

#define POLICY_RESERVED_ZERO (~0ull << 26)
#define KEY_INFO_RESERVED    (~0u << 5)

static int check_reserved(const uint8_t *p, uint32_t version, struct err *e)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (version < reserved[i].since || version > reserved[i].until)
			continue;
		if (!bytes_zero(p + reserved[i].at, reserved[i].len))
			return err_set(e, SNP_CHECK_STRUCTURE, "bytes 0x%03x to 0x%03x must be zero in a report of version %u",
				       reserved[i].at, reserved[i].at + reserved[i].len - 1u, version);
	}
	return 0;
}

static enum snp_product product_of_cpuid(uint8_t family, uint8_t model)
{
	static const struct {
		uint8_t family, first, last;
		enum snp_product product;
	} models[] = {
		{ 0x19, 0x00, 0x0f, SNP_PRODUCT_MILAN },  { 0x19, 0x10, 0x1f, SNP_PRODUCT_GENOA },
		{ 0x19, 0xa0, 0xaf, SNP_PRODUCT_GENOA }, /* Bergamo, Siena */
		{ 0x1a, 0x00, 0x11, SNP_PRODUCT_TURIN },  { 0x1a, 0x50, 0x57, SNP_PRODUCT_VENICE },
		{ 0x1a, 0x90, 0xaf, SNP_PRODUCT_VENICE }, { 0x1a, 0xc0, 0xc7, SNP_PRODUCT_VENICE },
	};

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (family == models[i].family && model >= models[i].first && model <= models[i].last)
			return models[i].product;
	}
	return SNP_PRODUCT_UNKNOWN;
}

static int check_fields(const uint8_t *p, struct snp_report *r, struct err *e)
{
	uint32_t key_info = le32(p + 0x048), signing_key = key_info >> 2 & 7;

	if (le32(p + 0x034) != 1)
		return err_set(e, SNP_CHECK_STRUCTURE, "signature algorithm %u; only 1 (ECDSA P-384 with SHA-384) exists", le32(p + 0x034));
	if (!(r->policy & SNP_POLICY_RESERVED_ONE))
		return err_set(e, SNP_CHECK_STRUCTURE, "bit 17 of the guest policy must be one");
	if (r->policy & POLICY_RESERVED_ZERO)
		return err_set(e, SNP_CHECK_STRUCTURE, "bits 26 to 63 of the guest policy must be zero");
	if (key_info & KEY_INFO_RESERVED)
		return err_set(e, SNP_CHECK_STRUCTURE, "bits 5 to 31 of the key information must be zero");
	if (signing_key != SNP_KEY_VCEK && signing_key != SNP_KEY_VLEK)
		return err_set(e, SNP_CHECK_SIGNING_KEY, "signing key %u is neither VCEK (0) nor VLEK (1)", signing_key);
	if (r->vmpl > 3 && r->vmpl != SNP_VMPL_HOST)
		return err_set(e, SNP_CHECK_STRUCTURE, "there is no VMPL %u", r->vmpl);
	r->author_key_enabled = key_info & 1;
	r->chip_key_masked = key_info & 2;
	r->signing_key = (enum snp_signing_key)signing_key;
	return 0;
}

static struct snp_version version_at(const uint8_t *p)
{
	return (struct snp_version){ .build = p[0], .minor = p[1], .major = p[2] };
}

static void decode(const uint8_t *p, struct snp_report *r)
{
	r->raw = p;
	r->version = le32(p);
	r->guest_svn = le32(p + 0x004);
	r->policy = le64(p + 0x008);
	memcpy(r->family_id, p + 0x010, sizeof(r->family_id));
	memcpy(r->image_id, p + 0x020, sizeof(r->image_id));
	r->vmpl = le32(p + 0x030);
	r->current_tcb = le64(p + 0x038);
	r->platform_info = le64(p + 0x040);
	memcpy(r->report_data, p + 0x050, sizeof(r->report_data));
	memcpy(r->measurement, p + 0x090, sizeof(r->measurement));
	memcpy(r->host_data, p + 0x0c0, sizeof(r->host_data));
	memcpy(r->id_key_digest, p + 0x0e0, sizeof(r->id_key_digest));
	memcpy(r->author_key_digest, p + 0x110, sizeof(r->author_key_digest));
	memcpy(r->report_id, p + 0x140, sizeof(r->report_id));
	memcpy(r->report_id_ma, p + 0x160, sizeof(r->report_id_ma));
	r->reported_tcb = le64(p + 0x180);
	r->cpuid_family = p[0x188];
	r->cpuid_model = p[0x189];
	r->cpuid_stepping = p[0x18a];
	memcpy(r->chip_id, p + 0x1a0, sizeof(r->chip_id));
	r->committed_tcb = le64(p + 0x1e0);
	r->current = version_at(p + 0x1e8);
	r->committed = version_at(p + 0x1ec);
	r->launch_tcb = le64(p + 0x1f0);
	r->launch_mit = le64(p + 0x1f8);
	r->current_mit = le64(p + 0x200);
}

int snp_report_parse(struct snp_bytes bytes, struct snp_report *report, struct err *e)
{
	int r;

	*report = (struct snp_report){ 0 };
	if (bytes.len != SNP_REPORT_BYTES)
		return err_set(e, SNP_CHECK_LENGTH, "the report has %zu bytes, not %d", bytes.len, SNP_REPORT_BYTES);
	decode(bytes.data, report);
	if (report->version < 2 || report->version > 5)
		return err_set(e, SNP_CHECK_STRUCTURE, "report version %u; 2 to 5 are known", report->version);
	r = check_reserved(bytes.data, report->version, e);
	if (r == 0)
		r = check_fields(bytes.data, report, e);
	if (r != 0)
		return r;
	if (report->version >= 3) {
		report->product = product_of_cpuid(report->cpuid_family, report->cpuid_model);
		if (report->product == SNP_PRODUCT_UNKNOWN)
			return err_set(e, SNP_CHECK_PRODUCT, "processor family 0x%02x model 0x%02x is not known", report->cpuid_family,
				       report->cpuid_model);
	}
	return 0;
}

/* Which byte of TCB_VERSION holds a part; 8 is none. */
static const uint8_t tcb_bytes[2][SNP_TCB_PARTS] = {
	{ [SNP_TCB_FMC] = 8, [SNP_TCB_BL] = 0, [SNP_TCB_TEE] = 1, [SNP_TCB_SNP] = 6, [SNP_TCB_UCODE] = 7 },
	{ [SNP_TCB_FMC] = 0, [SNP_TCB_BL] = 1, [SNP_TCB_TEE] = 2, [SNP_TCB_SNP] = 3, [SNP_TCB_UCODE] = 7 },
};

struct snp_tcb snp_tcb_decode(uint64_t tcb, enum snp_product product)
{
	const uint8_t *bytes = tcb_bytes[product == SNP_PRODUCT_TURIN || product == SNP_PRODUCT_VENICE];
	struct snp_tcb out = { { 0 } };

	for (size_t i = 0; i < SNP_TCB_PARTS; i++) {
		if (bytes[i] < 8)
			out.part[i] = (uint8_t)(tcb >> 8 * bytes[i]);
	}
	return out;
}

enum snp_tcb_part snp_tcb_short_of(const struct snp_tcb *have, const struct snp_tcb *want)
{
	for (size_t i = 0; i < SNP_TCB_PARTS; i++) {
		if (have->part[i] < want->part[i])
			return (enum snp_tcb_part)i;
	}
	return SNP_TCB_PARTS;
}

const char *snp_tcb_part_name(enum snp_tcb_part part)
{
	static const char *const names[] = { "fmc", "bl", "tee", "snp", "ucode" };
	static_assert(sizeof(names) / sizeof(names[0]) == SNP_TCB_PARTS, "every part has a name");

	return part < SNP_TCB_PARTS ? names[part] : "none";
}

static const char *const products[] = { "unknown", "Milan", "Genoa", "Turin", "Venice" };
static_assert(sizeof(products) / sizeof(products[0]) == SNP_PRODUCT_COUNT, "every product has a name");

const char *snp_product_name(enum snp_product product)
{
	return product < SNP_PRODUCT_COUNT ? products[product] : products[0];
}

enum snp_product snp_product_parse(const char *name)
{
	for (size_t i = SNP_PRODUCT_MILAN; i < SNP_PRODUCT_COUNT; i++) {
		if (strcmp(name, products[i]) == 0)
			return (enum snp_product)i;
	}
	return SNP_PRODUCT_UNKNOWN;
}
