/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_ROOTS_H
#define HV_SNP_ROOTS_H

#include "hv/snp/report.h"
#include "hv/snp/sha.h"

/** struct snp_root - a root certificate that AMD has published, with the fingerprint it is known by */
struct snp_root {
	enum snp_product product;
	const uint8_t *der;
	size_t len;
	uint8_t fingerprint[SHA256_BYTES]; /* SHA-256 of der */
};

/** snp_root_find() - AMD's root of @product. Return: NULL when none has been published */
const struct snp_root *snp_root_find(enum snp_product product);

/** snp_intermediate_known() - true for the SHA-256 of an intermediate that AMD had published when this was released */
bool snp_intermediate_known(const uint8_t fingerprint[SHA256_BYTES]);

#endif
