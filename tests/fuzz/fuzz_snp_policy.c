/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/snp/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the text: lists keep to their limit, and a refusal says that it is about the policy. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct snp_policy policy;
	struct err e = { 0 };

	if (snp_policy_parse((const char *)data, size, &policy, &e) < 0 && !strstr(e.msg, "policy"))
		abort();
	if (policy.measurement.count > SNP_ALLOWED_MAX || policy.chip_ids.count > SNP_ALLOWED_MAX || policy.vmpl > 3)
		abort();
	return 0;
}
