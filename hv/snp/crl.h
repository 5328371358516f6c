/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_CRL_H
#define HV_SNP_CRL_H

#include "hv/snp/bytes.h"

#include <mbedtls/x509_crt.h>

struct err;

#define SNP_CRL_MAX (256u * 1024)

/**
 * snp_crl_check() - judge a revocation list of the root and ask it about the intermediate and the root itself
 * @crl: DER or PEM, at most SNP_CRL_MAX bytes
 * @at:  seconds since 1970, which must lie between its thisUpdate and nextUpdate
 *
 * Return: 0; SNP_CHECK_CRL with the reason in @e; -ENOMEM.
 */
int snp_crl_check(struct snp_bytes crl, mbedtls_x509_crt *ark, const mbedtls_x509_crt *intermediate, int64_t at, struct err *e);

#endif
