/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_KDS_H
#define HV_SNP_KDS_H

#include "hv/snp/report.h"

struct err;

#define SNP_KDS_URL	"https://kdsintf.amd.com"
#define SNP_KDS_PATH_MAX 320

/* What AMD's key distribution service (KDS) has for the verifier of a report. */
enum snp_kds_file { SNP_KDS_VEK, SNP_KDS_CHAIN, SNP_KDS_CRL, SNP_KDS_COUNT };

/**
 * struct snp_kds_name - one file of the service
 * @path: behind the service's address, with the query; empty when the service has no such file
 * @file: how it is called in a folder
 */
struct snp_kds_name {
	char path[SNP_KDS_PATH_MAX], file[SNP_KDS_PATH_MAX];
};

/**
 * snp_kds_name() - where the service has what @report needs, as the "VCEK Certificate and KDS Interface Specification" says
 * @product: of the report; a report of version 2 does not say
 *
 * Return: 0; -EINVAL with the reason in @e when the name cannot be made (chip not named, product unknown).
 */
int snp_kds_name(enum snp_kds_file what, const struct snp_report *report, enum snp_product product, struct snp_kds_name *name,
		 struct err *e);

/** snp_kds_check() - does @bytes look like this kind of file? Keeps error pages out of a cache; proves nothing. Return: 0 or -EBADMSG */
int snp_kds_check(enum snp_kds_file what, struct snp_bytes bytes);

#endif
