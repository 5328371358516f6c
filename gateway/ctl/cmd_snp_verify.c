/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/rfc3339.h"
#include "hv/snp/chain.h"
#include "hv/snp/crl.h"
#include "hv/snp/verify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME	   "snp verify"
#define POLICY_MAX (64u * 1024)

/* Larger than any report, so that one that is too long is judged and not merely refused. */
#define REPORT_MAX (64u * 1024)

struct options {
	const char *report, *vek, *intermediate, *ark, *crl, *at, *policy;
	bool json;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "report", .text = &o->report, .value = "R", .help = "report, 1184 bytes", .needed = true },
		{ .name = "vek", .text = &o->vek, .value = "V", .help = "certificate of the VCEK or VLEK", .needed = true },
		{ .name = "intermediate", .text = &o->intermediate, .value = "I", .help = "certificate of ASK or ASVK" },
		{ .name = "ark", .text = &o->ark, .value = "A", .help = "root to trust instead of AMD's" },
		{ .name = "crl", .text = &o->crl, .value = "C", .help = "revocation list of the root" },
		{ .name = "at", .text = &o->at, .value = "TIME", .help = "moment of the question (RFC 3339), now unless given" },
		{ .name = "policy", .text = &o->policy, .value = "P", .help = "JSON file with what is wanted of the report" },
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_options(NAME, table, argc, argv);
}

static int load_policy(const char *path, struct snp_policy *policy)
{
	_file_ struct ctl_file file = { 0 };
	struct err e = { 0 };

	if (!path) {
		snp_policy_strict(policy);
		return CLI_OK;
	}
	if (ctl_load(path, POLICY_MAX, &file, &e) < 0 || snp_policy_parse((const char *)file.data, file.len, policy, &e) < 0)
		return ctl_usage(NAME, "%s", e.msg);
	return CLI_OK;
}

struct inputs {
	struct ctl_file report, vek, intermediate, ark, crl;
};

static int load(const char *path, size_t limit, struct ctl_file *file, struct snp_bytes *bytes, struct err *e)
{
	int r = path ? ctl_load(path, limit, file, e) : 0;

	if (path && r == 0)
		*bytes = (struct snp_bytes){ file->data, file->len };
	return r;
}

static int load_evidence(const struct options *o, struct inputs *in, struct snp_evidence *out, struct err *e)
{
	int r = load(o->report, REPORT_MAX, &in->report, &out->report, e);

	if (r == 0)
		r = load(o->vek, SNP_CERT_MAX, &in->vek, &out->vek, e);
	if (r == 0)
		r = load(o->intermediate, SNP_CERT_MAX, &in->intermediate, &out->intermediate, e);
	if (r == 0)
		r = load(o->ark, SNP_CERT_MAX, &in->ark, &out->ark, e);
	return r == 0 ? load(o->crl, SNP_CRL_MAX, &in->crl, &out->crl, e) : r;
}

static void free_inputs(struct inputs *in)
{
	ctl_file_finish(&in->report);
	ctl_file_finish(&in->vek);
	ctl_file_finish(&in->intermediate);
	ctl_file_finish(&in->ark);
	ctl_file_finish(&in->crl);
}

/* --- JSON --- */

static json_t *json_bits(uint64_t bits)
{
	char text[19];

	(void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)bits);
	return json_string(text);
}

static json_t *json_tcb(uint64_t tcb, enum snp_product product)
{
	struct snp_tcb parts = snp_tcb_decode(tcb, product);
	json_t *object = json_object();

	for (size_t i = 0; i < SNP_TCB_PARTS; i++) {
		if (i != SNP_TCB_FMC || product == SNP_PRODUCT_TURIN || product == SNP_PRODUCT_VENICE)
			json_object_set_new(object, snp_tcb_part_name((enum snp_tcb_part)i), json_integer(parts.part[i]));
	}
	return object;
}

static json_t *json_version(struct snp_version v)
{
	char text[12];

	(void)snprintf(text, sizeof(text), "%u.%u.%u", v.major, v.minor, v.build);
	return json_string(text);
}

static json_t *json_report(const struct snp_report *r, enum snp_product product)
{
	json_t *o = json_object();

	json_object_set_new(o, "version", json_integer(r->version));
	json_object_set_new(o, "guest_svn", json_integer(r->guest_svn));
	json_object_set_new(o, "policy", json_bits(r->policy));
	json_object_set_new(o, "vmpl", json_integer(r->vmpl));
	json_object_set_new(o, "platform_info", json_bits(r->platform_info));
	json_object_set_new(o, "author_key_en", json_boolean(r->author_key_enabled));
	json_object_set_new(o, "mask_chip_key", json_boolean(r->chip_key_masked));
	json_object_set_new(o, "signing_key", json_string(r->signing_key == SNP_KEY_VLEK ? "vlek" : "vcek"));
	json_object_set_new(o, "family_id", ctl_json_hex(r->family_id, sizeof(r->family_id)));
	json_object_set_new(o, "image_id", ctl_json_hex(r->image_id, sizeof(r->image_id)));
	json_object_set_new(o, "report_data", ctl_json_hex(r->report_data, sizeof(r->report_data)));
	json_object_set_new(o, "measurement", ctl_json_hex(r->measurement, sizeof(r->measurement)));
	json_object_set_new(o, "host_data", ctl_json_hex(r->host_data, sizeof(r->host_data)));
	json_object_set_new(o, "id_key_digest", ctl_json_hex(r->id_key_digest, sizeof(r->id_key_digest)));
	json_object_set_new(o, "author_key_digest", ctl_json_hex(r->author_key_digest, sizeof(r->author_key_digest)));
	json_object_set_new(o, "report_id", ctl_json_hex(r->report_id, sizeof(r->report_id)));
	json_object_set_new(o, "report_id_ma", ctl_json_hex(r->report_id_ma, sizeof(r->report_id_ma)));
	json_object_set_new(o, "chip_id", ctl_json_hex(r->chip_id, sizeof(r->chip_id)));
	json_object_set_new(o, "current_tcb", json_tcb(r->current_tcb, product));
	json_object_set_new(o, "reported_tcb", json_tcb(r->reported_tcb, product));
	json_object_set_new(o, "committed_tcb", json_tcb(r->committed_tcb, product));
	json_object_set_new(o, "launch_tcb", json_tcb(r->launch_tcb, product));
	json_object_set_new(o, "current_version", json_version(r->current));
	json_object_set_new(o, "committed_version", json_version(r->committed));
	if (r->version >= 5) {
		json_object_set_new(o, "launch_mit", json_bits(r->launch_mit));
		json_object_set_new(o, "current_mit", json_bits(r->current_mit));
	}
	return o;
}

/* Fields of a report that was not proven genuine are worth nothing, and are left out lest somebody uses them. */
static json_t *json_proven(const struct snp_findings *f)
{
	json_t *o = json_pack("{s:s, s:s, s:b, s:b}", "product", snp_product_name(f->product), "key",
			      f->kind == SNP_KEY_VLEK ? "vlek" : "vcek", "amd_root", f->pinned, "crl_checked", f->crl_checked);

	if (f->vek.csp_id[0])
		json_object_set_new(o, "csp_id", json_string(f->vek.csp_id));
	json_object_set_new(o, "report", json_report(&f->report, f->product));
	return o;
}

static int print_json(int result, const struct snp_findings *found, const struct err *e)
{
	json_t *o = json_pack("{s:s}", "verdict", result == 0 ? "valid" : "invalid");

	if (result != 0) {
		json_object_set_new(o, "check", json_string(result > 0 ? snp_check_name((enum snp_check)result) : "error"));
		json_object_set_new(o, "reason", json_string(e->msg));
	}
	if (result == 0 || result == SNP_CHECK_POLICY)
		json_object_update_new(o, json_proven(found));
	return ctl_print_json(o);
}

static int print_verdict(const struct options *o, int result, const struct snp_findings *found, const struct err *e)
{
	int printed = CLI_OK;

	if (o->json)
		printed = print_json(result, found, e);
	else if (result == 0)
		printed = puts("valid") == EOF;
	else
		(void)printf("invalid: %s: %s\n", result > 0 ? snp_check_name((enum snp_check)result) : "error", e->msg);
	if (fflush(stdout) != 0 || printed != CLI_OK)
		return CLI_REFUSED;
	return result == 0 ? CLI_OK : CLI_REFUSED;
}

int cmd_snp_verify(int argc, char **argv)
{
	static struct snp_policy policy; /* its lists are too large for a stack */
	struct snp_evidence evidence = { 0 };
	struct snp_findings found = { 0 };
	struct inputs in = { 0 };
	struct options o = { 0 };
	struct err e = { 0 };
	int64_t at = time(NULL);
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (load_policy(o.policy, &policy) != CLI_OK)
		return CLI_USAGE;
	if (o.at && rfc3339_parse(o.at, &at) < 0)
		return ctl_usage(NAME, "--at %s: a time such as 2026-09-01T00:00:00Z is needed", o.at);
	r = load_evidence(&o, &in, &evidence, &e);
	if (r == 0)
		r = snp_verify(&evidence, &policy, at, &found, &e);
	r = print_verdict(&o, r, &found, &e);
	free_inputs(&in);
	return r;
}
