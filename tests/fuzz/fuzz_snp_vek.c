/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/snp/check.h"
#include "hv/snp/vek.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the extensions of a certificate: strings end, lengths are possible, and what is checked is whole. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snp_vek vek;
	struct err e = { 0 };
	int r = snp_vek_parse((struct snp_bytes){ data, size }, &vek, &e);

	if (r != 0 && r != SNP_CHECK_CERTIFICATE)
		abort();
	if (!memchr(vek.csp_id, 0, sizeof(vek.csp_id)) || !memchr(vek.product_name, 0, sizeof(vek.product_name)))
		abort();
	if (vek.hwid_len != 0 && vek.hwid_len != 8 && vek.hwid_len != sizeof(vek.hwid))
		abort();
	if (r == 0 && snp_vek_check(&vek, SNP_KEY_VLEK, SNP_PRODUCT_GENOA, &e) == 0 && (vek.hwid_len != 0 || !vek.csp_id[0]))
		abort();
	return 0;
}
