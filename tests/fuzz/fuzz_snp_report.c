/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/snp/check.h"
#include "hv/snp/idblock.h"
#include "hv/snp/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the bytes: a report that is taken keeps to the rules that its readers rely on. The same bytes serve as an ID authentication. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct snp_policy policy;
	struct snp_report report;
	struct err e = { 0 };
	int r;

	if (size == SNP_ID_BLOCK_BYTES + SNP_ID_AUTH_BYTES)
		(void)snp_id_auth_check(data, data + SNP_ID_BLOCK_BYTES, &e);
	r = snp_report_parse((struct snp_bytes){ data, size }, &report, &e);
	if (r < 0 || (r > 0 && (r >= SNP_CHECK_COUNT || e.msg[0] == '\0')))
		abort();
	if (r != 0)
		return 0;
	if (report.version < 2 || report.version > 5 || !(report.policy & SNP_POLICY_RESERVED_ONE))
		abort();
	snp_policy_strict(&policy);
	if (snp_policy_check(&policy, &report, SNP_PRODUCT_TURIN, &e) == 0 && (report.policy & SNP_POLICY_DEBUG))
		abort();
	return 0;
}
