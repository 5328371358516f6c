/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_CHAIN_H
#define HV_SNP_CHAIN_H

#include "hv/snp/vek.h"

#include <mbedtls/x509_crt.h>

struct err;

#define SNP_CERT_MAX 16384 /* bytes; those seen have less than 2 KiB, a PEM chain less than 8 */

/**
 * struct snp_chain - root, intermediate and the key that signs reports
 * @product:  of all three, by their names
 * @kind:     VCEK or VLEK, by the name of the leaf
 * @pinned:   the root is AMD's, known by its fingerprint
 * @known_intermediate: its fingerprint is one that AMD had published when this was released
 */
struct snp_chain {
	mbedtls_x509_crt ark, intermediate, leaf;
	struct snp_vek vek;
	enum snp_product product;
	enum snp_signing_key kind;
	bool pinned, known_intermediate;
};

/** snp_chain_init() - an empty chain */
void snp_chain_init(struct snp_chain *chain);

/** snp_chain_finish() - free it; may be called again */
void snp_chain_finish(struct snp_chain *chain);

/**
 * snp_chain_load() - parse the certificates, DER or PEM, and settle product, kind and root by their names
 * @ark: a root to trust instead of AMD's; empty for AMD's
 *
 * Nothing is verified yet. Return: 0; a check of enum snp_check with the reason in @e; -ENOMEM.
 */
int snp_chain_load(struct snp_chain *chain, struct snp_bytes vek, struct snp_bytes intermediate, struct snp_bytes ark,
		   struct err *e);

/**
 * snp_chain_verify() - signatures, algorithms and dates of a loaded chain
 * @at:  seconds since 1970, the moment for which the question is asked
 * @crl: the root's revocation list, DER or PEM; may be empty when root and intermediate are known ones
 *
 * Return: 0; a check of enum snp_check with the reason in @e; -ENOMEM.
 */
int snp_chain_verify(struct snp_chain *chain, int64_t at, struct snp_bytes crl, struct err *e);

/** snp_chain_check_report() - is @report signed by the leaf? Return: 0; SNP_CHECK_SIGNATURE; -ENOMEM */
int snp_chain_check_report(struct snp_chain *chain, const struct snp_report *report, struct err *e);

/** snp_time_seconds() - seconds since 1970 of a certificate's date, read as UTC */
int64_t snp_time_seconds(const mbedtls_x509_time *t);

#endif
