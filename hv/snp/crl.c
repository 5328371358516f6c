/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/crl.h"

#include "base/err.h"
#include "hv/snp/chain.h"
#include "hv/snp/check.h"
#include "hv/snp/signature.h"

#include <errno.h>
#include <mbedtls/x509_crl.h>
#include <stdlib.h>
#include <string.h>

static int parse(mbedtls_x509_crl *list, struct snp_bytes in)
{
	static const char pem[] = "-----BEGIN";
	unsigned char *text;
	int r;

	if (in.len <= sizeof(pem) || memcmp(in.data, pem, sizeof(pem) - 1) != 0) {
		r = mbedtls_x509_crl_parse_der(list, in.data, in.len);
		return r == 0 && list->raw.len != in.len ? MBEDTLS_ERR_X509_INVALID_FORMAT : r;
	}
	text = malloc(in.len + 1);
	if (!text)
		return MBEDTLS_ERR_X509_ALLOC_FAILED;
	memcpy(text, in.data, in.len);
	text[in.len] = '\0'; /* mbedtls tells PEM by it */
	r = mbedtls_x509_crl_parse(list, text, in.len + 1);
	free(text);
	return r;
}

static int judge(mbedtls_x509_crl *list, mbedtls_x509_crt *ark, const mbedtls_x509_crt *intermediate, int64_t at, struct err *e)
{
	if (list->issuer_raw.len != ark->subject_raw.len ||
	    memcmp(list->issuer_raw.p, ark->subject_raw.p, list->issuer_raw.len) != 0)
		return err_set(e, SNP_CHECK_CRL, "the revocation list is of another issuer than the root");
	if (mbedtls_x509_crt_check_key_usage(ark, MBEDTLS_X509_KU_CRL_SIGN) != 0)
		return err_set(e, SNP_CHECK_CRL, "the root may not sign revocation lists");
	if (snp_signed_check((struct snp_bytes){ list->raw.p, list->raw.len }, &ark->pk) != 0)
		return err_set(e, SNP_CHECK_CRL, "the revocation list is not signed by the root");
	if (at < snp_time_seconds(&list->this_update))
		return err_set(e, SNP_CHECK_CRL, "the revocation list is of a later time");
	if (list->next_update.year == 0)
		return err_set(e, SNP_CHECK_CRL, "the revocation list does not say until when it holds");
	if (at > snp_time_seconds(&list->next_update))
		return err_set(e, SNP_CHECK_CRL, "the revocation list is out of date since %04d-%02d-%02d", list->next_update.year,
			       list->next_update.mon, list->next_update.day);
	if (mbedtls_x509_crt_is_revoked(intermediate, list))
		return err_set(e, SNP_CHECK_CRL, "the intermediate certificate has been revoked");
	if (mbedtls_x509_crt_is_revoked(ark, list))
		return err_set(e, SNP_CHECK_CRL, "the root certificate has been revoked");
	return 0;
}

int snp_crl_check(struct snp_bytes crl, mbedtls_x509_crt *ark, const mbedtls_x509_crt *intermediate, int64_t at, struct err *e)
{
	mbedtls_x509_crl list;
	int r;

	if (crl.len > SNP_CRL_MAX)
		return err_set(e, SNP_CHECK_CRL, "the revocation list is larger than %u bytes", SNP_CRL_MAX);
	mbedtls_x509_crl_init(&list);
	r = parse(&list, crl);
	if (r == MBEDTLS_ERR_X509_ALLOC_FAILED)
		r = err_set(e, -ENOMEM, "out of memory");
	else if (r != 0 || list.next)
		r = err_set(e, SNP_CHECK_CRL, "the revocation list cannot be read");
	else
		r = judge(&list, ark, intermediate, at, e);
	mbedtls_x509_crl_free(&list);
	return r;
}
