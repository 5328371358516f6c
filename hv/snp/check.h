/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_CHECK_H
#define HV_SNP_CHECK_H

/*
 * What a verifier may find wrong with evidence. These are outcomes, not failures of the verifier: functions of this folder
 * return 0, or one of them with the details in their struct err, or a negative errno when they could not do their work.
 */
enum snp_check {
	SNP_CHECK_NONE = 0,
	SNP_CHECK_LENGTH,      /* the report has not 1184 bytes */
	SNP_CHECK_STRUCTURE,   /* version, reserved bits and bytes, algorithm */
	SNP_CHECK_CERTIFICATE, /* not a certificate, or without what AMD puts into one */
	SNP_CHECK_ROOT,	       /* not AMD's root */
	SNP_CHECK_CHAIN,       /* names, signatures, algorithms */
	SNP_CHECK_VALIDITY,    /* dates */
	SNP_CHECK_CRL,	       /* of another issuer, badly signed, out of date, or it names a certificate of the chain */
	SNP_CHECK_SIGNING_KEY, /* VCEK and VLEK confused */
	SNP_CHECK_SIGNATURE,   /* of the report */
	SNP_CHECK_TCB,	       /* certificate and report disagree on the TCB, or its parts are out of order */
	SNP_CHECK_CHIP_ID,     /* certificate and report are of different chips */
	SNP_CHECK_PRODUCT,     /* CPUID and certificates are of different products */
	SNP_CHECK_POLICY,      /* genuine, but not what was asked for */
	SNP_CHECK_COUNT,
};

/** snp_check_name() - short name of a check, such as "signature" */
const char *snp_check_name(enum snp_check check);

#endif
