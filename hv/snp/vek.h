/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_VEK_H
#define HV_SNP_VEK_H

#include "hv/snp/report.h"

struct err;

#define SNP_NAME_MAX 128

/**
 * struct snp_vek - what AMD writes into the certificate of a chip's or a cloud's key (extensions 1.3.6.1.4.1.3704.1)
 * @has:     which parts of the TCB it names
 * @tcb:     those parts
 * @product_name, @csp_id: empty when absent
 * @hwid_len: bytes of the chip's id: 0 when absent, 8 on Turin, 64 before
 */
struct snp_vek {
	bool has[SNP_TCB_PARTS];
	struct snp_tcb tcb;
	char product_name[SNP_NAME_MAX], csp_id[SNP_NAME_MAX];
	uint8_t hwid[SNP_CHIP_ID_BYTES];
	size_t hwid_len;
};

/**
 * snp_vek_parse() - read the extensions of a certificate
 * @extensions: DER of the SEQUENCE OF Extension
 *
 * Extensions that are not AMD's are passed over. Return: 0; SNP_CHECK_CERTIFICATE with the reason in @e.
 */
int snp_vek_parse(struct snp_bytes extensions, struct snp_vek *vek, struct err *e);

/** snp_vek_check() - is it all there for a key of this kind and product? Return: 0; SNP_CHECK_CERTIFICATE or _SIGNING_KEY */
int snp_vek_check(const struct snp_vek *vek, enum snp_signing_key kind, enum snp_product product, struct err *e);

#endif
