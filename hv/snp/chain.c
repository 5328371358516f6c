/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: three certificates, always: ARK-<product> signs SEV-<product> (or SEV-VLEK-<product>), which signs
 * SEV-VCEK (or SEV-VLEK). mbedtls builds and checks the path with the root as its only anchor. What it does not look at is looked
 * at here: names, the exact signature algorithm, the dates at the moment asked for (it knows only the clock of the system), and
 * whether a revocation list is of the right issuer (it passes over a list of another one, silently).
 *
 * The root is AMD's by its fingerprint, unless the caller brings another. An intermediate that AMD had not published when this
 * was released is believed only together with a revocation list: it may be a replacement, or the one that was replaced.
 */
#include "hv/snp/chain.h"

#include "base/err.h"
#include "hv/snp/check.h"
#include "hv/snp/crl.h"
#include "hv/snp/roots.h"
#include "hv/snp/signature.h"

#include <errno.h>
#include <mbedtls/oid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROFILE_FLAG(id) (1u << ((id) - 1))

/* PK_RSASSA_PSS is about the signatures, PK_ECKEY about the leaf's own key; PK_RSA would let PKCS#1 v1.5 in. */
static const mbedtls_x509_crt_profile profile = {
	.allowed_mds = PROFILE_FLAG(MBEDTLS_MD_SHA384),
	.allowed_pks = PROFILE_FLAG(MBEDTLS_PK_RSASSA_PSS) | PROFILE_FLAG(MBEDTLS_PK_ECKEY),
	.allowed_curves = PROFILE_FLAG(MBEDTLS_ECP_DP_SECP384R1),
	.rsa_min_bitlen = 4096,
};

void snp_chain_init(struct snp_chain *chain)
{
	*chain = (struct snp_chain){ 0 };
	mbedtls_x509_crt_init(&chain->ark);
	mbedtls_x509_crt_init(&chain->intermediate);
	mbedtls_x509_crt_init(&chain->leaf);
}

void snp_chain_finish(struct snp_chain *chain)
{
	mbedtls_x509_crt_free(&chain->ark);
	mbedtls_x509_crt_free(&chain->intermediate);
	mbedtls_x509_crt_free(&chain->leaf);
	snp_chain_init(chain);
}

int64_t snp_time_seconds(const mbedtls_x509_time *t)
{
	struct tm tm = { .tm_year = t->year - 1900, .tm_mon = t->mon - 1, .tm_mday = t->day,
			 .tm_hour = t->hour,	    .tm_min = t->min,	  .tm_sec = t->sec };

	return timegm(&tm);
}

/* --- loading --- */

static int parse_pem(mbedtls_x509_crt *crt, struct snp_bytes in)
{
	/* mbedtls tells PEM by the NUL that must follow it. */
	unsigned char *text = malloc(in.len + 1);
	int r;

	if (!text)
		return MBEDTLS_ERR_X509_ALLOC_FAILED;
	memcpy(text, in.data, in.len);
	text[in.len] = '\0';
	r = mbedtls_x509_crt_parse(crt, text, in.len + 1);
	free(text);
	return r;
}

static int parse(mbedtls_x509_crt *crt, struct snp_bytes in, const char *what, struct err *e)
{
	static const char pem[] = "-----BEGIN";
	bool is_pem = in.len > sizeof(pem) && memcmp(in.data, pem, sizeof(pem) - 1) == 0;
	int r;

	if (!in.data)
		return err_set(e, SNP_CHECK_CHAIN, "no %s was given", what);
	if (in.len > SNP_CERT_MAX)
		return err_set(e, SNP_CHECK_CERTIFICATE, "the %s is larger than %d bytes", what, SNP_CERT_MAX);
	r = is_pem ? parse_pem(crt, in) : mbedtls_x509_crt_parse_der(crt, in.data, in.len);
	if (r == MBEDTLS_ERR_X509_ALLOC_FAILED)
		return err_set(e, -ENOMEM, "out of memory");
	if (r != 0)
		return err_set(e, SNP_CHECK_CERTIFICATE, "the %s is not a certificate", what);
	if (!is_pem && crt->raw.len != in.len)
		return err_set(e, SNP_CHECK_CERTIFICATE, "bytes follow the %s", what);
	return 0;
}

/* It will be shown to a person, on a terminal. */
static bool printable(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	}
	return true;
}

/* The one common name of a subject or issuer. */
static int common_name(const mbedtls_x509_name *name, char out[SNP_NAME_MAX])
{
	bool found = false;

	for (; name; name = name->next) {
		if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &name->oid) != 0)
			continue;
		if (found || name->val.len >= SNP_NAME_MAX || !printable(name->val.p, name->val.len))
			return SNP_CHECK_CHAIN;
		memcpy(out, name->val.p, name->val.len);
		out[name->val.len] = '\0';
		found = true;
	}
	return found ? 0 : SNP_CHECK_CHAIN;
}

/* Product and kind follow from the name of the intermediate; the leaf must have the name that goes with it. */
static int settle_names(struct snp_chain *chain, struct err *e)
{
	static const char vlek[] = "SEV-VLEK-", vcek[] = "SEV-";
	char name[SNP_NAME_MAX], leaf[SNP_NAME_MAX];
	const char *product;

	if (common_name(&chain->intermediate.subject, name) != 0 || common_name(&chain->leaf.subject, leaf) != 0)
		return err_set(e, SNP_CHECK_CHAIN, "a certificate has not exactly one common name that can be printed");
	chain->kind = strncmp(name, vlek, sizeof(vlek) - 1) == 0 ? SNP_KEY_VLEK : SNP_KEY_VCEK;
	product = name + (chain->kind == SNP_KEY_VLEK ? sizeof(vlek) : sizeof(vcek)) - 1;
	if (strncmp(name, vcek, sizeof(vcek) - 1) == 0)
		chain->product = snp_product_parse(product);
	if (chain->product == SNP_PRODUCT_UNKNOWN)
		return err_set(e, SNP_CHECK_CHAIN, "the intermediate certificate is called %.48s, not SEV-<product> or SEV-VLEK-<product>",
			       name);
	if (strcmp(leaf, chain->kind == SNP_KEY_VLEK ? "SEV-VLEK" : "SEV-VCEK") != 0)
		return err_set(e, SNP_CHECK_CHAIN, "the signing key is called %.48s, which %.48s does not issue", leaf, name);
	return 0;
}

static int settle_root(struct snp_chain *chain, struct snp_bytes ark, struct err *e)
{
	char name[SNP_NAME_MAX], wanted[16];
	uint8_t fingerprint[SHA256_BYTES];
	const struct snp_root *root;
	int r;

	if (!ark.data) {
		root = snp_root_find(chain->product);
		if (!root)
			return err_set(e, SNP_CHECK_ROOT, "AMD has published no root for %s", snp_product_name(chain->product));
		ark = (struct snp_bytes){ root->der, root->len };
	}
	r = parse(&chain->ark, ark, "root certificate", e);
	if (r != 0)
		return r;
	(void)snprintf(wanted, sizeof(wanted), "ARK-%s", snp_product_name(chain->product));
	if (common_name(&chain->ark.subject, name) != 0 || strcmp(name, wanted) != 0)
		return err_set(e, SNP_CHECK_CHAIN, "the root certificate is not called %s", wanted);
	root = snp_root_find(chain->product);
	if (sha256(chain->ark.raw.p, chain->ark.raw.len, fingerprint) < 0)
		return err_set(e, -ENOMEM, "SHA-256 failed");
	chain->pinned = root && memcmp(fingerprint, root->fingerprint, SHA256_BYTES) == 0;
	if (sha256(chain->intermediate.raw.p, chain->intermediate.raw.len, fingerprint) < 0)
		return err_set(e, -ENOMEM, "SHA-256 failed");
	chain->known_intermediate = snp_intermediate_known(fingerprint);
	return 0;
}

int snp_chain_load(struct snp_chain *chain, struct snp_bytes vek, struct snp_bytes intermediate, struct snp_bytes ark,
		   struct err *e)
{
	int r = parse(&chain->leaf, vek, "certificate of the signing key", e);

	if (r == 0)
		r = parse(&chain->intermediate, intermediate, "intermediate certificate", e);
	if (r == 0)
		r = settle_names(chain, e);
	if (r == 0)
		r = settle_root(chain, ark, e);
	if (r == 0)
		r = snp_vek_parse((struct snp_bytes){ chain->leaf.v3_ext.p, chain->leaf.v3_ext.len }, &chain->vek, e);
	return r != 0 ? r : snp_vek_check(&chain->vek, chain->kind, chain->product, e);
}

/* --- verifying --- */

static bool same(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
	return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

static int check_link(const mbedtls_x509_crt *child, mbedtls_x509_crt *parent, const char *what, struct err *e)
{
	if (!same(&child->issuer_raw, &parent->subject_raw))
		return err_set(e, SNP_CHECK_CHAIN, "the %s names another issuer", what);
	if (snp_signed_check((struct snp_bytes){ child->raw.p, child->raw.len }, &parent->pk) != 0)
		return err_set(e, SNP_CHECK_CHAIN, "the %s is not signed by its issuer with RSASSA-PSS, SHA-384 and a salt of 48 bytes", what);
	return 0;
}

/* The rest of RFC 5280 that matters here: versions, CA flags, path length, key usage, kinds and sizes of keys. */
static int check_path(struct snp_chain *chain, struct err *e)
{
	uint32_t flags = 0;
	int r;

	chain->leaf.next = &chain->intermediate;
	r = mbedtls_x509_crt_verify_with_profile(&chain->leaf, &chain->ark, NULL, &profile, NULL, &flags, NULL, NULL);
	chain->leaf.next = NULL;
	if (r != 0 && r != MBEDTLS_ERR_X509_CERT_VERIFY_FAILED)
		return err_set(e, SNP_CHECK_CHAIN, "the certificates cannot be verified");
	/* The clock of the system is not the moment that was asked for. */
	flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
	if (flags & (MBEDTLS_X509_BADCERT_BAD_KEY | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_MD))
		return err_set(e, SNP_CHECK_CHAIN, "a certificate has a key or an algorithm that AMD does not use");
	if (flags != 0)
		return err_set(e, SNP_CHECK_CHAIN, "the certificates do not form a chain to the root (flags 0x%x)", flags);
	return 0;
}

static int check_dates(const mbedtls_x509_crt *crt, int64_t at, const char *what, struct err *e)
{
	const mbedtls_x509_time *from = &crt->valid_from, *to = &crt->valid_to;

	if (at < snp_time_seconds(from))
		return err_set(e, SNP_CHECK_VALIDITY, "the %s is valid only from %04d-%02d-%02d on", what, from->year, from->mon, from->day);
	if (at > snp_time_seconds(to))
		return err_set(e, SNP_CHECK_VALIDITY, "the %s has expired on %04d-%02d-%02d", what, to->year, to->mon, to->day);
	return 0;
}

static int check_revocation(struct snp_chain *chain, int64_t at, struct snp_bytes crl, struct err *e)
{
	if (!crl.data) {
		if (!chain->pinned || chain->known_intermediate)
			return 0;
		return err_set(e, SNP_CHECK_CRL, "the intermediate certificate is none of those known to this release; it is believed only "
						 "with AMD's revocation list");
	}
	return snp_crl_check(crl, &chain->ark, &chain->intermediate, at, e);
}

int snp_chain_verify(struct snp_chain *chain, int64_t at, struct snp_bytes crl, struct err *e)
{
	/* Of a PEM file with several certificates the first is meant. */
	mbedtls_x509_crt *more[] = { chain->ark.next, chain->intermediate.next, chain->leaf.next };
	int r;

	chain->ark.next = chain->intermediate.next = chain->leaf.next = NULL;
	r = check_link(&chain->ark, &chain->ark, "root certificate", e);
	if (r == 0)
		r = check_link(&chain->intermediate, &chain->ark, "intermediate certificate", e);
	if (r == 0)
		r = check_link(&chain->leaf, &chain->intermediate, "certificate of the signing key", e);
	if (r == 0)
		r = check_path(chain, e);
	if (r == 0)
		r = check_dates(&chain->ark, at, "root certificate", e);
	if (r == 0)
		r = check_dates(&chain->intermediate, at, "intermediate certificate", e);
	if (r == 0)
		r = check_dates(&chain->leaf, at, "certificate of the signing key", e);
	if (r == 0)
		r = check_revocation(chain, at, crl, e);
	chain->ark.next = more[0];
	chain->intermediate.next = more[1];
	chain->leaf.next = more[2];
	return r;
}

int snp_chain_check_report(struct snp_chain *chain, const struct snp_report *report, struct err *e)
{
	const uint8_t *r = report->raw + SNP_REPORT_SIGNED_BYTES;
	uint8_t hash[SHA384_BYTES];

	if (sha384(report->raw, SNP_REPORT_SIGNED_BYTES, hash) < 0)
		return err_set(e, -ENOMEM, "SHA-384 failed");
	if (snp_p384_check(&chain->leaf.pk, hash, r, r + SNP_COMPONENT_BYTES) != 0)
		return err_set(e, SNP_CHECK_SIGNATURE, "the report is not signed by the key of this certificate");
	return 0;
}
