/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/err.h"
#include "hv/snp/check.h"
#include "hv/snp/crl.h"
#include "hv/snp/roots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No revocation list of AMD's is among the seeds, so none that the input makes can be one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct snp_root *root = snp_root_find(SNP_PRODUCT_GENOA);
	mbedtls_x509_crt ark;
	struct err e = { 0 };

	mbedtls_x509_crt_init(&ark);
	if (mbedtls_x509_crt_parse_der(&ark, root->der, root->len) != 0)
		abort();
	if (snp_crl_check((struct snp_bytes){ data, size }, &ark, &ark, 1800000000, &e) != SNP_CHECK_CRL)
		abort();
	mbedtls_x509_crt_free(&ark);
	return 0;
}
