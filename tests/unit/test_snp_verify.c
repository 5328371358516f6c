/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/asn1.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "hv/snp/kds.h"
#include "hv/snp/roots.h"
#include "hv/snp/sha.h"
#include "hv/snp/verify.h"

/*
 * Reports are made and signed here, with the key of tests/vectors/snp-pki (see make.sh there), whose root of our own bears AMD's names.
 * Its leaf is of a Genoa with the TCB below and a chip id of 1, 2, ..., 64.
 */
#define PKI "tests/vectors/snp-pki/"
#define AT  1893456000 /* 2030-01-01 */

static const uint8_t genoa_tcb[8] = { 10, 0, 0, 0, 0, 0, 23, 84 };

struct file {
	uint8_t bytes[4096];
	size_t len;
};

static struct snp_bytes load(const char *name, struct file *f)
{
	char path[96];
	long n;

	(void)snprintf(path, sizeof(path), PKI "%s.der", name);
	n = fd_read_file(AT_FDCWD, path, (char *)f->bytes, sizeof(f->bytes));
	assert_true(n > 0);
	f->len = (size_t)n;
	return (struct snp_bytes){ f->bytes, f->len };
}

static void reverse(uint8_t *to, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = from[len - 1 - i];
}

static int parse_key(mbedtls_pk_context *key, const struct file *f, mbedtls_ctr_drbg_context *random)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return mbedtls_pk_parse_key(key, f->bytes, f->len, NULL, 0, mbedtls_ctr_drbg_random, random);
#else
	(void)random;
	return mbedtls_pk_parse_key(key, f->bytes, f->len, NULL, 0);
#endif
}

static void sign_der(mbedtls_pk_context *key, const uint8_t hash[48], unsigned char *der, size_t size, size_t *len,
		     mbedtls_ctr_drbg_context *random)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	assert_int_equal(mbedtls_pk_sign(key, MBEDTLS_MD_SHA384, hash, 48, der, size, len, mbedtls_ctr_drbg_random, random), 0);
#else
	(void)size;
	assert_int_equal(mbedtls_pk_sign(key, MBEDTLS_MD_SHA384, hash, 48, der, len, mbedtls_ctr_drbg_random, random), 0);
#endif
}

/* Sign as the secure processor does: R and S little-endian, 72 bytes each. */
static void sign_report(uint8_t report[SNP_REPORT_BYTES])
{
	unsigned char der[256], *p = der;
	mbedtls_ctr_drbg_context random;
	mbedtls_entropy_context entropy;
	mbedtls_pk_context key;
	struct file f;
	uint8_t hash[48];
	size_t len, part;

	(void)load("leaf.key", &f);
	mbedtls_pk_init(&key);
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random);
	assert_int_equal(mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0), 0);
	assert_int_equal(parse_key(&key, &f, &random), 0);
	assert_int_equal(sha384(report, SNP_REPORT_SIGNED_BYTES, hash), 0);
	sign_der(&key, hash, der, sizeof(der), &len, &random);
	memset(report + SNP_REPORT_SIGNED_BYTES, 0, (size_t)2 * SNP_COMPONENT_BYTES);
	assert_int_equal(mbedtls_asn1_get_tag(&p, der + len, &part, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(mbedtls_asn1_get_tag(&p, der + len, &part, MBEDTLS_ASN1_INTEGER), 0);
		reverse(report + SNP_REPORT_SIGNED_BYTES + i * SNP_COMPONENT_BYTES, p, part);
		p += part;
	}
	mbedtls_pk_free(&key);
	mbedtls_ctr_drbg_free(&random);
	mbedtls_entropy_free(&entropy);
}

static void make_report(uint8_t r[SNP_REPORT_BYTES])
{
	memset(r, 0, SNP_REPORT_BYTES);
	put32(r, 5);
	put64(r + 0x008, 0x30000);
	put32(r + 0x034, 1);
	put64(r + 0x040, 0x25);
	memset(r + 0x050, 0xd1, 64);
	memset(r + 0x090, 0x3e, 48);
	memset(r + 0x0c0, 0x40, 32);
	r[0x188] = 0x19;
	r[0x189] = 0x11;
	for (uint8_t i = 0; i < 64; i++)
		r[0x1a0 + i] = i + 1;
	memcpy(r + 0x038, genoa_tcb, 8);
	memcpy(r + 0x180, genoa_tcb, 8);
	memcpy(r + 0x1e0, genoa_tcb, 8);
	memcpy(r + 0x1f0, genoa_tcb, 8);
	memcpy(r + 0x1e8, "\x15\x37\x01", 3); /* 1.55.21 */
	memcpy(r + 0x1ec, "\x15\x37\x01", 3);
}

/* One question to the verifier; fields that are NULL have the names of the good files. */
struct question {
	const char *vek, *intermediate, *crl, *policy;
	int64_t at;
	bool amd_root;
};

static int ask(const uint8_t *report, const struct question *q, struct err *e)
{
	static struct snp_policy policy;
	struct file vek, intermediate, ark, crl;
	struct snp_findings found;
	struct snp_evidence in = { .report = { report, SNP_REPORT_BYTES }, .vek = load(q->vek ? q->vek : "vcek", &vek),
				   .intermediate = load(q->intermediate ? q->intermediate : "ask", &intermediate) };

	if (!q->amd_root)
		in.ark = load("ark", &ark);
	if (q->crl)
		in.crl = load(q->crl, &crl);
	if (q->policy)
		assert_int_equal(snp_policy_parse(q->policy, strlen(q->policy), &policy, NULL), 0);
	else
		snp_policy_strict(&policy);
	return snp_verify(&in, &policy, q->at ? q->at : AT, &found, e);
}

static void a_good_report_is_valid(void **state)
{
	static const char *const lists[] = { NULL, "crl-ok" };
	uint8_t report[SNP_REPORT_BYTES];
	struct err e = { 0 };

	(void)state;
	make_report(report);
	sign_report(report);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(ask(report, &(struct question){ .crl = lists[i] }, &e), 0);
	memset(report + 0x1a0, 0, 64); /* the host masks the chip's id */
	sign_report(report);
	assert_int_equal(ask(report, &(struct question){ 0 }, &e), 0);
	put32(report + 0x048, 1 << 2);
	sign_report(report);
	assert_int_equal(ask(report, &(struct question){ .vek = "vlek", .intermediate = "asvk" }, &e), 0);
}

static void older_versions_are_read(void **state)
{
	uint8_t report[SNP_REPORT_BYTES];

	(void)state;
	for (uint32_t version = 2; version <= 5; version++) {
		make_report(report);
		put32(report, version);
		if (version == 2)
			memset(report + 0x188, 0, 3);
		sign_report(report);
		assert_int_equal(ask(report, &(struct question){ 0 }, NULL), 0);
	}
}

static void chains_that_are_not_amds_are_refused(void **state)
{
	static const struct {
		struct question q;
		enum snp_check check;
	} cases[] = {
		{ { .amd_root = true }, SNP_CHECK_CHAIN },
		{ { .vek = "vcek-cn" }, SNP_CHECK_CHAIN },
		{ { .vek = "vcek-p256" }, SNP_CHECK_CHAIN },
		{ { .vek = "vcek-salt32" }, SNP_CHECK_CHAIN },
		{ { .vek = "vcek-mgf1" }, SNP_CHECK_CHAIN },
		{ { .vek = "vcek-sha256" }, SNP_CHECK_CHAIN },
		{ { .vek = "vcek-pkcs1" }, SNP_CHECK_CHAIN },
		{ { .vek = "vcek-fmc" }, SNP_CHECK_CERTIFICATE },
		{ { .vek = "vcek-hwid63" }, SNP_CHECK_CERTIFICATE },
		{ { .vek = "vcek-csp" }, SNP_CHECK_SIGNING_KEY },
		{ { .vek = "leaf.key" }, SNP_CHECK_CERTIFICATE },
		{ { .vek = "crl-ok" }, SNP_CHECK_CERTIFICATE },
		{ { .intermediate = "ask-notca" }, SNP_CHECK_CHAIN },
		{ { .intermediate = "asvk" }, SNP_CHECK_CHAIN },
		{ { .intermediate = "ark" }, SNP_CHECK_CHAIN },
		{ { .vek = "vlek" }, SNP_CHECK_CHAIN },
		{ { .vek = "vlek", .intermediate = "asvk" }, SNP_CHECK_SIGNING_KEY },
		{ { .at = 1700000000 }, SNP_CHECK_VALIDITY },
		{ { .at = 4000000000 }, SNP_CHECK_VALIDITY },
		{ { .crl = "crl-ask" }, SNP_CHECK_CRL },
		{ { .crl = "crl-ark" }, SNP_CHECK_CRL },
		{ { .crl = "crl-old" }, SNP_CHECK_CRL },
		{ { .crl = "ark" }, SNP_CHECK_CRL },
	};
	uint8_t report[SNP_REPORT_BYTES];

	(void)state;
	make_report(report);
	sign_report(report);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = { 0 };

		assert_int_equal(ask(report, &cases[i].q, &e), cases[i].check);
		assert_string_not_equal(e.msg, "");
	}
}

/* What is written into a report before it is signed, and the check that must fail. */
static void reports_that_contradict_themselves_are_refused(void **state)
{
	static const struct {
		uint16_t at;
		uint8_t value;
		enum snp_check check;
	} cases[] = {
		{ 0x000, 1, SNP_CHECK_STRUCTURE }, /* version */
		{ 0x000, 6, SNP_CHECK_STRUCTURE },
		{ 0x000, 4, SNP_CHECK_NONE },
		{ 0x00a, 1, SNP_CHECK_STRUCTURE }, /* policy: bit 17 missing */
		{ 0x00b, 4, SNP_CHECK_STRUCTURE }, /* policy: bit 26 */
		{ 0x00f, 0x80, SNP_CHECK_STRUCTURE },
		{ 0x030, 4, SNP_CHECK_STRUCTURE }, /* VMPL */
		{ 0x034, 0, SNP_CHECK_STRUCTURE }, /* algorithm */
		{ 0x048, 1 << 2, SNP_CHECK_SIGNING_KEY },
		{ 0x048, 7 << 2, SNP_CHECK_SIGNING_KEY },
		{ 0x048, 1 << 5, SNP_CHECK_STRUCTURE },
		{ 0x04c, 1, SNP_CHECK_STRUCTURE },
		{ 0x18b, 1, SNP_CHECK_STRUCTURE },
		{ 0x19f, 1, SNP_CHECK_STRUCTURE },
		{ 0x1eb, 1, SNP_CHECK_STRUCTURE },
		{ 0x1ef, 1, SNP_CHECK_STRUCTURE },
		{ 0x208, 1, SNP_CHECK_STRUCTURE },
		{ 0x29f, 1, SNP_CHECK_STRUCTURE },
		{ 0x330, 1, SNP_CHECK_STRUCTURE },
		{ 0x49f, 1, SNP_CHECK_STRUCTURE },
		{ 0x2a0 + 48, 1, SNP_CHECK_NONE }, /* R: written over by signing */
		{ 0x188, 0x1a, SNP_CHECK_PRODUCT }, /* Turin by CPUID, Genoa by certificate */
		{ 0x189, 0x20, SNP_CHECK_PRODUCT }, /* no such model */
		{ 0x180, 9, SNP_CHECK_TCB },	    /* reported differs from the certificate */
		{ 0x186, 22, SNP_CHECK_TCB },
		{ 0x187, 85, SNP_CHECK_TCB },
		{ 0x038, 9, SNP_CHECK_TCB },  /* reported above current */
		{ 0x1e6, 24, SNP_CHECK_TCB }, /* committed above current */
		{ 0x1df, 0, SNP_CHECK_CHIP_ID },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t report[SNP_REPORT_BYTES];

		make_report(report);
		report[cases[i].at] = cases[i].value;
		sign_report(report);
		assert_int_equal(ask(report, &(struct question){ 0 }, NULL), cases[i].check);
	}
}

static void signatures_are_exact(void **state)
{
	static const uint8_t order[48] = { /* n of P-384, little-endian */
		0x73, 0x29, 0xc5, 0xcc, 0x6a, 0x19, 0xec, 0xec, 0x7a, 0xa7, 0xb0, 0x48, 0xb2, 0x0d, 0x1a, 0x58,
		0xdf, 0x2d, 0x37, 0xf4, 0x81, 0x4d, 0x63, 0xc7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	};
	uint8_t report[SNP_REPORT_BYTES], good[SNP_REPORT_BYTES];
	unsigned carry = 0;

	(void)state;
	make_report(good);
	sign_report(good);
	for (size_t at = 0; at < SNP_REPORT_BYTES; at += 5) {
		memcpy(report, good, sizeof(report));
		report[at] ^= 0x10;
		assert_int_not_equal(ask(report, &(struct question){ .policy = "{}" }, NULL), 0);
	}
	memcpy(report, good, sizeof(report));
	memset(report + 0x2a0, 0, (size_t)2 * SNP_COMPONENT_BYTES);
	assert_int_equal(ask(report, &(struct question){ 0 }, NULL), SNP_CHECK_SIGNATURE);
	memcpy(report, good, sizeof(report));
	for (size_t i = 0; i < 49; i++) { /* s + n: as good modulo n, and out of range */
		carry += report[0x2e8 + i] + (i < 48 ? order[i] : 0u);
		report[0x2e8 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(ask(report, &(struct question){ 0 }, NULL), SNP_CHECK_SIGNATURE);
	memcpy(report, good, sizeof(report));
	reverse(report + 0x2a0, good + 0x2a0, SNP_COMPONENT_BYTES);
	reverse(report + 0x2e8, good + 0x2e8, SNP_COMPONENT_BYTES);
	assert_int_equal(ask(report, &(struct question){ 0 }, NULL), SNP_CHECK_SIGNATURE);
}

static void the_strict_policy_holds_by_default(void **state)
{
	static const struct {
		uint16_t at;
		uint8_t value;
	} cases[] = { { 0x00a, 0x0b }, { 0x00a, 0x07 }, { 0x030, 1 } }; /* DEBUG, MIGRATE_MA, VMPL 1 */

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t report[SNP_REPORT_BYTES];

		make_report(report);
		report[cases[i].at] = cases[i].value;
		sign_report(report);
		assert_int_equal(ask(report, &(struct question){ 0 }, NULL), SNP_CHECK_POLICY);
		assert_int_equal(ask(report, &(struct question){ .policy = "{}" }, NULL), 0);
	}
}

static int against(const uint8_t *report, const char *json)
{
	static struct snp_policy policy;
	struct snp_report parsed;
	struct err e = { 0 };

	if (snp_policy_parse(json, strlen(json), &policy, &e) < 0)
		fail_msg("%s: %s", json, e.msg);
	assert_int_equal(snp_report_parse((struct snp_bytes){ report, SNP_REPORT_BYTES }, &parsed, &e), 0);
	return snp_policy_check(&policy, &parsed, SNP_PRODUCT_GENOA, &e);
}

#define X16(s) s s s s s s s s s s s s s s s s
#define X48(s) X16(s) X16(s) X16(s)
#define X64(s) X48(s) X16(s)

static void every_option_has_two_answers(void **state)
{
	/* A byte of the report, an option that this fails, and one that the report as it was made keeps. */
	static const struct {
		uint16_t at;
		uint8_t value;
		const char *fails, *keeps;
	} cases[] = {
		{ 0x00a, 0x0b, "{\"allow_debug\":false}", "{\"allow_debug\":false}" },
		{ 0x00a, 0x07, "{\"allow_migrate_ma\":false}", "{\"allow_migrate_ma\":false}" },
		{ 0x00a, 0x03, "{\"allow_smt\":false}", "{\"allow_smt\":true}" },
		{ 0x00a, 0x23, "{\"allow_cxl\":false}", "{\"allow_cxl\":false}" },
		{ 0x00a, 0x03, "{\"require_single_socket\":true}", "{\"require_single_socket\":false}" },
		{ 0x00a, 0x03, "{\"require_mem_aes_256_xts\":true}", "{\"require_mem_aes_256_xts\":false}" },
		{ 0x00a, 0x03, "{\"require_ciphertext_hiding\":true}", "{\"require_ciphertext_hiding\":false}" },
		{ 0x040, 0x27, "{\"allow_tsme\":false}", "{\"allow_tsme\":false}" },
		{ 0x040, 0x05, "{\"require_alias_check\":true}", "{\"require_alias_check\":true}" },
		{ 0x040, 0xa5, "{\"allow_tio\":false}", "{\"allow_tio\":false}" },
		{ 0x030, 2, "{\"vmpl\":0}", "{\"vmpl\":0}" },
		{ 0x1e8, 0x16, "{\"permit_provisional\":false}", "{\"permit_provisional\":false}" },
		{ 0x1e6, 22, "{\"permit_provisional\":false}", "{\"permit_provisional\":true}" },
		{ 0x090, 0, "{\"measurement\":\"" X48("3e") "\"}", "{\"measurement\":\"" X48("3E") "\"}" },
		{ 0x090, 0, "{\"measurement\":[\"" X48("3e") "\",\"" X48("11") "\"]}",
		  "{\"measurement\":[\"" X48("11") "\",\"" X48("3e") "\"]}" },
		{ 0x08f, 0, "{\"report_data\":\"" X64("d1") "\"}", "{\"report_data\":\"" X64("d1") "\"}" },
		{ 0x0df, 0, "{\"host_data\":\"" X16("40") X16("40") "\"}", "{\"host_data\":\"" X16("40") X16("40") "\"}" },
		{ 0x010, 1, "{\"family_id\":\"" X16("00") "\"}", "{\"family_id\":\"" X16("00") "\"}" },
		{ 0x02f, 1, "{\"image_id\":\"" X16("00") "\"}", "{\"image_id\":\"" X16("00") "\"}" },
		{ 0x004, 0, "{\"min_guest_svn\":1}", "{\"min_guest_svn\":0}" },
		{ 0x009, 1, "{\"min_policy_abi\":\"1.1\"}", "{\"min_policy_abi\":\"0.0\"}" },
		{ 0x1e9, 54, "{\"min_firmware\":\"1.55\"}", "{\"min_firmware\":\"1.55.21\"}" },
		{ 0x180, 9, "{\"min_tcb\":{\"bl\":10}}", "{\"min_tcb\":{\"bl\":10,\"ucode\":84,\"snp\":23,\"tee\":0,\"fmc\":0}}" },
		{ 0x1f6, 22, "{\"min_launch_tcb\":{\"snp\":23}}", "{\"min_launch_tcb\":{\"snp\":23}}" },
		{ 0x1f8, 1, "{\"min_launch_mit\":3}", "{\"min_launch_mit\":0}" },
		{ 0x200, 2, "{\"min_current_mit\":\"0x3\"}", "{\"min_current_mit\":\"0x0\"}" },
		{ 0x0e0, 0, "{\"require_id_block\":true}", "{\"require_id_block\":false}" },
		{ 0x0e0, 0, "{\"trusted_id_key_digests\":[\"" X48("00") "\"]}", "{}" },
		{ 0x048, 1, "{\"require_author_key\":true}", "{\"require_author_key\":false}" },
		{ 0x110, 1, "{\"require_author_key\":true}", "{}" },
		{ 0x1a0, 0, "{\"require_chip_id\":\"" X64("01") "\"}", "{\"require_chip_id\":true}" },
		{ 0x1a0, 0, "{\"min_product\":\"Turin\"}", "{\"min_product\":\"Genoa\"}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t report[SNP_REPORT_BYTES];

		make_report(report);
		if (against(report, cases[i].keeps) != 0)
			fail_msg("%s refuses a report that keeps to it", cases[i].keeps);
		report[cases[i].at] = cases[i].value;
		if (against(report, cases[i].fails) != SNP_CHECK_POLICY)
			fail_msg("%s lets a report pass", cases[i].fails);
	}
}

static void policies_that_are_not_understood_are_errors(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"null",
		"{",
		"{} x",
		"{\"allow_everything\":true}",
		"{\"allow_debug\":0}",
		"{\"allow_debug\":false,\"allow_debug\":true}",
		"{\"vmpl\":4}",
		"{\"vmpl\":-1}",
		"{\"vmpl\":\"0\"}",
		"{\"vmpl\":0.0}",
		"{\"measurement\":\"00\"}",
		"{\"measurement\":[]}",
		"{\"measurement\":7}",
		"{\"report_data\":\"" X48("zz") X16("zz") "\"}",
		"{\"min_guest_svn\":4294967296}",
		"{\"min_policy_abi\":\"1\"}",
		"{\"min_policy_abi\":\"1.55.1\"}",
		"{\"min_policy_abi\":\"1.256\"}",
		"{\"min_policy_abi\":1.55}",
		"{\"min_firmware\":\"1..5\"}",
		"{\"min_product\":\"Naples\"}",
		"{\"min_tcb\":{\"spl\":1}}",
		"{\"min_tcb\":{\"bl\":256}}",
		"{\"min_tcb\":3}",
		"{\"min_launch_mit\":\"3\"}",
		"{\"min_launch_mit\":\"0x\"}",
		"{\"min_launch_mit\":\"0x10000000000000000\"}",
	};
	static struct snp_policy policy;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = { 0 };

		if (snp_policy_parse(bad[i], strlen(bad[i]), &policy, &e) != -EINVAL)
			fail_msg("%s was understood", bad[i]);
		assert_non_null(strstr(e.msg, "policy"));
	}
}

static void the_two_layouts_of_a_tcb(void **state)
{
	const uint64_t tcb = 0x5400000017020a01; /* bytes 1, 10, 2, 23, 0, 0, 0, 84 */
	struct snp_tcb turin = snp_tcb_decode(tcb, SNP_PRODUCT_TURIN), genoa = snp_tcb_decode(tcb, SNP_PRODUCT_GENOA);

	(void)state;
	assert_memory_equal(turin.part, ((uint8_t[]){ 1, 10, 2, 23, 84 }), SNP_TCB_PARTS);
	assert_memory_equal(genoa.part, ((uint8_t[]){ 0, 1, 10, 0, 84 }), SNP_TCB_PARTS);
	assert_int_equal(snp_tcb_short_of(&genoa, &turin), SNP_TCB_FMC);
	assert_int_equal(snp_tcb_short_of(&turin, &turin), SNP_TCB_PARTS);
}

static void the_service_is_asked_as_it_wants(void **state)
{
	struct snp_report r = { .signing_key = SNP_KEY_VCEK, .reported_tcb = 0x5400000017020a01 };
	struct snp_kds_name name;
	struct err e = { 0 };

	(void)state;
	for (uint8_t i = 0; i < 8; i++)
		r.chip_id[i] = 0xa0 + i;
	assert_int_equal(snp_kds_name(SNP_KDS_VEK, &r, SNP_PRODUCT_TURIN, &name, &e), 0);
	assert_string_equal(name.path, "/vcek/v1/Turin/a0a1a2a3a4a5a6a7?fmcSPL=01&blSPL=10&teeSPL=02&snpSPL=23&ucodeSPL=84");
	assert_string_equal(name.file, "vcek-Turin-a0a1a2a3a4a5a6a7-1-10-2-23-84.der");
	assert_int_equal(snp_kds_name(SNP_KDS_VEK, &r, SNP_PRODUCT_MILAN, &name, &e), 0);
	assert_string_equal(name.path, "/vcek/v1/Milan/a0a1a2a3a4a5a6a7" X48("00") "0000000000000000"
				       "?blSPL=01&teeSPL=10&snpSPL=00&ucodeSPL=84");
	assert_int_equal(snp_kds_name(SNP_KDS_CRL, &r, SNP_PRODUCT_GENOA, &name, &e), 0);
	assert_string_equal(name.path, "/vcek/v1/Genoa/crl");
	r.signing_key = SNP_KEY_VLEK;
	assert_int_equal(snp_kds_name(SNP_KDS_CHAIN, &r, SNP_PRODUCT_GENOA, &name, &e), 0);
	assert_string_equal(name.path, "/vlek/v1/Genoa/cert_chain");
	assert_int_equal(snp_kds_name(SNP_KDS_VEK, &r, SNP_PRODUCT_GENOA, &name, &e), 0);
	assert_string_equal(name.path, "");
	assert_int_equal(snp_kds_name(SNP_KDS_CRL, &r, SNP_PRODUCT_UNKNOWN, &name, &e), -EINVAL);
}

static void the_roots_are_those_of_their_fingerprints(void **state)
{
	(void)state;
	for (int product = SNP_PRODUCT_MILAN; product <= SNP_PRODUCT_TURIN; product++) {
		const struct snp_root *root = snp_root_find((enum snp_product)product);
		uint8_t fingerprint[SHA256_BYTES];

		assert_non_null(root);
		assert_int_equal(sha256(root->der, root->len, fingerprint), 0);
		assert_memory_equal(fingerprint, root->fingerprint, sizeof(fingerprint));
		assert_false(snp_intermediate_known(fingerprint));
	}
	assert_null(snp_root_find(SNP_PRODUCT_VENICE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_report_is_valid),
		cmocka_unit_test(older_versions_are_read),
		cmocka_unit_test(chains_that_are_not_amds_are_refused),
		cmocka_unit_test(reports_that_contradict_themselves_are_refused),
		cmocka_unit_test(signatures_are_exact),
		cmocka_unit_test(the_strict_policy_holds_by_default),
		cmocka_unit_test(every_option_has_two_answers),
		cmocka_unit_test(policies_that_are_not_understood_are_errors),
		cmocka_unit_test(the_two_layouts_of_a_tcb),
		cmocka_unit_test(the_service_is_asked_as_it_wants),
		cmocka_unit_test(the_roots_are_those_of_their_fingerprints),
	};

	return cmocka_run_group_tests_name("snp_verify", tests, NULL, NULL);
}
