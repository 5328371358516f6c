/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/check.h"

#include <assert.h>

static const char *const names[] = {
	[SNP_CHECK_NONE] = "none",
	[SNP_CHECK_LENGTH] = "length",
	[SNP_CHECK_STRUCTURE] = "structure",
	[SNP_CHECK_CERTIFICATE] = "certificate",
	[SNP_CHECK_ROOT] = "root",
	[SNP_CHECK_CHAIN] = "chain",
	[SNP_CHECK_VALIDITY] = "validity",
	[SNP_CHECK_CRL] = "crl",
	[SNP_CHECK_SIGNING_KEY] = "signing-key",
	[SNP_CHECK_SIGNATURE] = "signature",
	[SNP_CHECK_TCB] = "tcb",
	[SNP_CHECK_CHIP_ID] = "chip-id",
	[SNP_CHECK_PRODUCT] = "product",
	[SNP_CHECK_POLICY] = "policy",
};
static_assert(sizeof(names) / sizeof(names[0]) == SNP_CHECK_COUNT, "every check has a name");

const char *snp_check_name(enum snp_check check)
{
	return check < SNP_CHECK_COUNT ? names[check] : "unknown";
}
