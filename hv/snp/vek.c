/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/vek.h"

#include "base/err.h"
#include "hv/snp/check.h"

#include <assert.h>
#include <mbedtls/asn1.h>
#include <string.h>

/* The arcs behind 1.3.6.1.4.1.3704.1 (AMD, "VCEK Certificate and KDS Interface Specification", table 8). */
static const uint8_t amd_arc[] = { 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01 };

enum kind { KIND_PRODUCT, KIND_SPL, KIND_SPL_UNUSED, KIND_HWID, KIND_CSP, KIND_STRUCTURE, KIND_COUNT };

static const struct extension {
	uint8_t arc[2], len;
	enum kind kind;
	enum snp_tcb_part part;
} extensions_known[] = {
	{ { 1 }, 1, KIND_STRUCTURE, SNP_TCB_PARTS },	 { { 2 }, 1, KIND_PRODUCT, SNP_TCB_PARTS },
	{ { 3, 1 }, 2, KIND_SPL, SNP_TCB_BL },		 { { 3, 2 }, 2, KIND_SPL, SNP_TCB_TEE },
	{ { 3, 3 }, 2, KIND_SPL, SNP_TCB_SNP },		 { { 3, 4 }, 2, KIND_SPL_UNUSED, SNP_TCB_PARTS },
	{ { 3, 5 }, 2, KIND_SPL_UNUSED, SNP_TCB_PARTS }, { { 3, 6 }, 2, KIND_SPL_UNUSED, SNP_TCB_PARTS },
	{ { 3, 7 }, 2, KIND_SPL_UNUSED, SNP_TCB_PARTS }, { { 3, 8 }, 2, KIND_SPL, SNP_TCB_UCODE },
	{ { 3, 9 }, 2, KIND_SPL, SNP_TCB_FMC },		 { { 4 }, 1, KIND_HWID, SNP_TCB_PARTS },
	{ { 5 }, 1, KIND_CSP, SNP_TCB_PARTS },
};
#define KNOWN (sizeof(extensions_known) / sizeof(extensions_known[0]))

static const char *kind_name(enum kind kind)
{
	static const char *const names[] = {
		[KIND_PRODUCT] = "name of the product",
		[KIND_SPL] = "level of the TCB",
		[KIND_SPL_UNUSED] = "reserved level of the TCB",
		[KIND_HWID] = "id of the chip",
		[KIND_CSP] = "name of the cloud provider",
		[KIND_STRUCTURE] = "version of the structure",
	};
	static_assert(sizeof(names) / sizeof(names[0]) == KIND_COUNT, "every kind has a name");

	return kind < KIND_COUNT ? names[kind] : "extension";
}

static const struct extension *find_extension(const mbedtls_asn1_buf *oid)
{
	if (oid->len < sizeof(amd_arc) || memcmp(oid->p, amd_arc, sizeof(amd_arc)) != 0)
		return NULL;
	for (size_t i = 0; i < KNOWN; i++) {
		const struct extension *x = &extensions_known[i];

		if (oid->len == sizeof(amd_arc) + x->len && memcmp(oid->p + sizeof(amd_arc), x->arc, x->len) == 0)
			return x;
	}
	return NULL;
}

/* A security patch level: a DER INTEGER from 0 to 255 that fills the value. */
static int read_level(const mbedtls_asn1_buf *value, uint8_t *out)
{
	unsigned char *p = value->p;
	int level;

	if (mbedtls_asn1_get_int(&p, value->p + value->len, &level) != 0 || p != value->p + value->len || level < 0 || level > 255)
		return SNP_CHECK_CERTIFICATE;
	*out = (uint8_t)level;
	return 0;
}

/* An IA5String of printable characters that fills the value. */
static int read_name(const mbedtls_asn1_buf *value, char out[SNP_NAME_MAX])
{
	unsigned char *p = value->p;
	size_t len;

	if (mbedtls_asn1_get_tag(&p, value->p + value->len, &len, MBEDTLS_ASN1_IA5_STRING) != 0 ||
	    p + len != value->p + value->len || len == 0 || len >= SNP_NAME_MAX)
		return SNP_CHECK_CERTIFICATE;
	for (size_t i = 0; i < len; i++) {
		if (p[i] < 0x20 || p[i] > 0x7e)
			return SNP_CHECK_CERTIFICATE;
	}
	memcpy(out, p, len);
	out[len] = '\0';
	return 0;
}

/* Raw bytes, without a DER header of their own. */
static int read_hwid(const mbedtls_asn1_buf *value, struct snp_vek *vek)
{
	if (value->len != 8 && value->len != SNP_CHIP_ID_BYTES)
		return SNP_CHECK_CERTIFICATE;
	memcpy(vek->hwid, value->p, value->len);
	vek->hwid_len = value->len;
	return 0;
}

static int read_value(const struct extension *x, const mbedtls_asn1_buf *value, struct snp_vek *vek)
{
	uint8_t ignored;

	switch (x->kind) {
	case KIND_STRUCTURE:
	case KIND_SPL_UNUSED:
		return read_level(value, &ignored);
	case KIND_SPL:
		vek->has[x->part] = true;
		return read_level(value, &vek->tcb.part[x->part]);
	case KIND_PRODUCT:
		return read_name(value, vek->product_name);
	case KIND_CSP:
		return read_name(value, vek->csp_id);
	case KIND_HWID:
		return read_hwid(value, vek);
	case KIND_COUNT:
		break;
	}
	return SNP_CHECK_CERTIFICATE;
}

/* Extension ::= SEQUENCE { OBJECT IDENTIFIER, BOOLEAN DEFAULT FALSE, OCTET STRING }; moves *@p behind it. */
static int next_extension(unsigned char **p, const unsigned char *end, mbedtls_asn1_buf *oid, mbedtls_asn1_buf *value)
{
	size_t len;
	int critical = 0;
	unsigned char *stop;

	if (mbedtls_asn1_get_tag(p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0)
		return SNP_CHECK_CERTIFICATE;
	stop = *p + len;
	if (mbedtls_asn1_get_tag(p, stop, &oid->len, MBEDTLS_ASN1_OID) != 0)
		return SNP_CHECK_CERTIFICATE;
	oid->p = *p;
	*p += oid->len;
	if (*p < stop && **p == MBEDTLS_ASN1_BOOLEAN && mbedtls_asn1_get_bool(p, stop, &critical) != 0)
		return SNP_CHECK_CERTIFICATE;
	if (mbedtls_asn1_get_tag(p, stop, &value->len, MBEDTLS_ASN1_OCTET_STRING) != 0)
		return SNP_CHECK_CERTIFICATE;
	value->p = *p;
	*p += value->len;
	return *p == stop ? 0 : SNP_CHECK_CERTIFICATE;
}

int snp_vek_parse(struct snp_bytes extensions, struct snp_vek *vek, struct err *e)
{
	/* mbedtls's readers take pointers to non-const bytes, and write to none of them. */
	unsigned char *p = (unsigned char *)(uintptr_t)extensions.data;
	const unsigned char *end = p + extensions.len;
	bool seen[KNOWN] = { false };
	size_t len;

	*vek = (struct snp_vek){ 0 };
	if (extensions.len == 0 ||
	    mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0 || p + len != end)
		return err_set(e, SNP_CHECK_CERTIFICATE, "the certificate of the signing key has no extensions");
	while (p < end) {
		mbedtls_asn1_buf oid = { 0 }, value = { 0 };
		const struct extension *x;

		if (next_extension(&p, end, &oid, &value) != 0)
			return err_set(e, SNP_CHECK_CERTIFICATE, "the certificate of the signing key has a malformed extension");
		x = find_extension(&oid);
		if (!x)
			continue;
		if (seen[x - extensions_known])
			return err_set(e, SNP_CHECK_CERTIFICATE, "the certificate of the signing key has an extension twice");
		seen[x - extensions_known] = true;
		if (read_value(x, &value, vek) != 0)
			return err_set(e, SNP_CHECK_CERTIFICATE, "the %s in the certificate of the signing key is malformed",
				       kind_name(x->kind));
	}
	return 0;
}

int snp_vek_check(const struct snp_vek *vek, enum snp_signing_key kind, enum snp_product product, struct err *e)
{
	bool has_fmc = product == SNP_PRODUCT_TURIN || product == SNP_PRODUCT_VENICE;

	for (size_t i = 0; i < SNP_TCB_PARTS; i++) {
		bool wanted = i != SNP_TCB_FMC || has_fmc;

		if (vek->has[i] != wanted)
			return err_set(e, SNP_CHECK_CERTIFICATE, "the certificate of the signing key %s the %s level of the TCB",
				       wanted ? "lacks" : "must not have", snp_tcb_part_name((enum snp_tcb_part)i));
	}
	if (kind == SNP_KEY_VCEK && (vek->hwid_len == 0 || vek->csp_id[0]))
		return err_set(e, SNP_CHECK_SIGNING_KEY, "a VCEK names a chip and no cloud provider; this certificate does otherwise");
	if (kind == SNP_KEY_VLEK && (vek->hwid_len != 0 || !vek->csp_id[0]))
		return err_set(e, SNP_CHECK_SIGNING_KEY, "a VLEK names a cloud provider and no chip; this certificate does otherwise");
	return 0;
}
