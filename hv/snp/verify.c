/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/verify.h"

#include "base/err.h"
#include "hv/snp/chain.h"

#include <string.h>

static const char *kind_name(enum snp_signing_key kind)
{
	return kind == SNP_KEY_VLEK ? "VLEK" : "VCEK";
}

static int check_kind(const struct snp_chain *chain, const struct snp_report *report, struct err *e)
{
	if (report->signing_key == chain->kind)
		return 0;
	return err_set(e, SNP_CHECK_SIGNING_KEY, "the report is signed by a %s, the certificate is of a %s",
		       kind_name(report->signing_key), kind_name(chain->kind));
}

/* The key is derived from the reported TCB, so certificate and report must agree on every part of it. */
static int check_reported_tcb(const struct snp_chain *chain, const struct snp_report *report, struct err *e)
{
	struct snp_tcb reported = snp_tcb_decode(report->reported_tcb, chain->product);

	for (size_t i = 0; i < SNP_TCB_PARTS; i++) {
		if (reported.part[i] != chain->vek.tcb.part[i])
			return err_set(e, SNP_CHECK_TCB, "the report has %s level %u, the certificate of its key %u",
				       snp_tcb_part_name((enum snp_tcb_part)i), reported.part[i], chain->vek.tcb.part[i]);
	}
	return 0;
}

static int check_chip(const struct snp_chain *chain, const struct snp_report *report, struct err *e)
{
	/* A host may mask the id, which is zero then; a VLEK is not bound to a chip. */
	if (chain->kind == SNP_KEY_VLEK || bytes_zero(report->chip_id, sizeof(report->chip_id)))
		return 0;
	if (memcmp(report->chip_id, chain->vek.hwid, sizeof(report->chip_id)) != 0)
		return err_set(e, SNP_CHECK_CHIP_ID, "the report and the certificate of its key are of different chips");
	return 0;
}

static int check_tcb_order(const struct snp_report *report, enum snp_product product, struct err *e)
{
	struct snp_tcb current = snp_tcb_decode(report->current_tcb, product);
	struct snp_tcb reported = snp_tcb_decode(report->reported_tcb, product);
	struct snp_tcb committed = snp_tcb_decode(report->committed_tcb, product);
	enum snp_tcb_part part = snp_tcb_short_of(&current, &reported);

	if (part != SNP_TCB_PARTS)
		return err_set(e, SNP_CHECK_TCB, "the reported %s level is above the current one", snp_tcb_part_name(part));
	part = snp_tcb_short_of(&current, &committed);
	if (part != SNP_TCB_PARTS)
		return err_set(e, SNP_CHECK_TCB, "the committed %s level is above the current one", snp_tcb_part_name(part));
	return 0;
}

static int check_product(const struct snp_chain *chain, const struct snp_report *report, struct err *e)
{
	if (report->product == SNP_PRODUCT_UNKNOWN || report->product == chain->product)
		return 0;
	return err_set(e, SNP_CHECK_PRODUCT, "the report is of a %s, its certificates are for %s", snp_product_name(report->product),
		       snp_product_name(chain->product));
}

static int check_all(struct snp_chain *chain, const struct snp_evidence *in, const struct snp_policy *policy, int64_t at,
		     struct snp_findings *found, struct err *e)
{
	const struct snp_report *report = &found->report;
	int r = snp_chain_load(chain, in->vek, in->intermediate, in->ark, e);

	if (r == 0)
		r = snp_chain_verify(chain, at, in->crl, e);
	if (r != 0)
		return r;
	found->vek = chain->vek;
	found->product = chain->product;
	found->kind = chain->kind;
	found->pinned = chain->pinned;
	found->crl_checked = in->crl.data != NULL;
	r = check_kind(chain, report, e);
	if (r == 0)
		r = snp_chain_check_report(chain, report, e);
	if (r == 0)
		r = check_reported_tcb(chain, report, e);
	if (r == 0)
		r = check_chip(chain, report, e);
	if (r == 0)
		r = check_tcb_order(report, chain->product, e);
	if (r == 0)
		r = check_product(chain, report, e);
	return r == 0 ? snp_policy_check(policy, report, chain->product, e) : r;
}

int snp_verify(const struct snp_evidence *evidence, const struct snp_policy *policy, int64_t at, struct snp_findings *found,
	       struct err *e)
{
	struct snp_chain chain;
	int r;

	*found = (struct snp_findings){ 0 };
	r = snp_report_parse(evidence->report, &found->report, e);
	if (r != 0)
		return r;
	snp_chain_init(&chain);
	r = check_all(&chain, evidence, policy, at, found, e);
	snp_chain_finish(&chain);
	return r;
}
