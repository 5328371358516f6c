/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/kds.h"

#include "base/err.h"
#include "base/hex.h"

#include <errno.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <string.h>

static bool is_turin(enum snp_product product)
{
	return product == SNP_PRODUCT_TURIN || product == SNP_PRODUCT_VENICE;
}

/* The certificate of a chip is named by its id and by the TCB that the key was derived from. */
static int name_vcek(const struct snp_report *report, enum snp_product product, struct snp_kds_name *name, struct err *e)
{
	struct snp_tcb tcb = snp_tcb_decode(report->reported_tcb, product);
	size_t id_bytes = is_turin(product) ? 8 : SNP_CHIP_ID_BYTES;
	char id[2 * SNP_CHIP_ID_BYTES + 1], fmc[16] = "";
	const uint8_t *p = tcb.part;

	if (bytes_zero(report->chip_id, sizeof(report->chip_id)))
		return err_set(e, -EINVAL, "the report does not name its chip, so the certificate of its key cannot be looked up");
	hex_encode(report->chip_id, id_bytes, id);
	if (is_turin(product))
		(void)snprintf(fmc, sizeof(fmc), "fmcSPL=%02u&", p[SNP_TCB_FMC]);
	(void)snprintf(name->path, sizeof(name->path), "/vcek/v1/%s/%s?%sblSPL=%02u&teeSPL=%02u&snpSPL=%02u&ucodeSPL=%02u",
		       snp_product_name(product), id, fmc, p[SNP_TCB_BL], p[SNP_TCB_TEE], p[SNP_TCB_SNP], p[SNP_TCB_UCODE]);
	(void)snprintf(name->file, sizeof(name->file), "vcek-%s-%s-%u-%u-%u-%u-%u.der", snp_product_name(product), id, p[SNP_TCB_FMC],
		       p[SNP_TCB_BL], p[SNP_TCB_TEE], p[SNP_TCB_SNP], p[SNP_TCB_UCODE]);
	return 0;
}

int snp_kds_name(enum snp_kds_file what, const struct snp_report *report, enum snp_product product, struct snp_kds_name *name,
		 struct err *e)
{
	const char *kind = report->signing_key == SNP_KEY_VLEK ? "vlek" : "vcek", *end = what == SNP_KDS_CRL ? "crl" : "cert_chain";

	*name = (struct snp_kds_name){ .path = "", .file = "" };
	if (product == SNP_PRODUCT_UNKNOWN)
		return err_set(e, -EINVAL, "a report of version 2 does not say which product it is of; name it");
	if (what == SNP_KDS_VEK && report->signing_key == SNP_KEY_VCEK)
		return name_vcek(report, product, name, e);
	if (what == SNP_KDS_VEK) {
		/* The certificate of a VLEK is given to its cloud provider only. */
		(void)snprintf(name->file, sizeof(name->file), "vlek-%s.der", snp_product_name(product));
		return 0;
	}
	(void)snprintf(name->path, sizeof(name->path), "/%s/v1/%s/%s", kind, snp_product_name(product), end);
	(void)snprintf(name->file, sizeof(name->file), "%s-%s.%s", kind, snp_product_name(product), what == SNP_KDS_CRL ? "crl" : "pem");
	return 0;
}

static int parse_crl(struct snp_bytes bytes)
{
	mbedtls_x509_crl crl;
	int r;

	mbedtls_x509_crl_init(&crl);
	r = mbedtls_x509_crl_parse_der(&crl, bytes.data, bytes.len);
	mbedtls_x509_crl_free(&crl);
	return r;
}

int snp_kds_check(enum snp_kds_file what, struct snp_bytes bytes)
{
	static const char pem[] = "-----BEGIN CERTIFICATE-----";
	mbedtls_x509_crt crt;
	int r;

	if (what == SNP_KDS_CRL)
		return parse_crl(bytes) == 0 ? 0 : -EBADMSG;
	if (what == SNP_KDS_CHAIN)
		return bytes.len > sizeof(pem) && memcmp(bytes.data, pem, sizeof(pem) - 1) == 0 ? 0 : -EBADMSG;
	mbedtls_x509_crt_init(&crt);
	r = mbedtls_x509_crt_parse_der(&crt, bytes.data, bytes.len);
	mbedtls_x509_crt_free(&crt);
	return r == 0 ? 0 : -EBADMSG;
}
