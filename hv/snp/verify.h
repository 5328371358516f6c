/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_VERIFY_H
#define HV_SNP_VERIFY_H

#include "hv/snp/check.h"
#include "hv/snp/policy.h"
#include "hv/snp/vek.h"

struct err;

/**
 * struct snp_evidence - what is to be judged; all of it comes from people who may lie
 * @report:       1184 bytes
 * @vek:          certificate of the VCEK or VLEK, DER or PEM
 * @intermediate: SEV-<product> or SEV-VLEK-<product>
 * @ark:          a root to trust instead of AMD's; empty for AMD's
 * @crl:          revocation list of the root; empty when there is none
 */
struct snp_evidence {
	struct snp_bytes report, vek, intermediate, ark, crl;
};

/**
 * struct snp_findings - what was learned, as far as the checks went
 * @report:  its fields, decoded even if their structure is wrong; version 0 when its length is. report.raw points into the evidence
 * @vek:     what the certificate of the key says
 * @product: as proven
 * @pinned:  the root is AMD's
 * @crl_checked: the chain was held against a revocation list
 */
struct snp_findings {
	struct snp_report report;
	struct snp_vek vek;
	enum snp_product product;
	enum snp_signing_key kind;
	bool pinned, crl_checked;
};

/**
 * snp_verify() - is this a genuine report of a guest as @policy wants it?
 * @policy: compared last, when everything else is proven
 * @at:     seconds since 1970, the moment for which the question is asked
 *
 * Pure and offline. Return: 0 when valid; a check of enum snp_check with the reason in @e when not; negative errno when the question
 * could not be answered, which is no better than not valid.
 */
int snp_verify(const struct snp_evidence *evidence, const struct snp_policy *policy, int64_t at, struct snp_findings *found,
	       struct err *e);

#endif
