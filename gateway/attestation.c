/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/attestation.h"

#include <errno.h>
#include <mbedtls/base64.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/httpc.h"
#include "base/loop.h"
#include "gateway/machine.h"
#include "hv/agent/host.h"
#include "hv/confidential.h"
#include "hv/snp/certs.h"
#include "hv/snp/check.h"
#include "hv/snp/crl.h"
#include "hv/snp/report.h"

#define REPORT_WAIT_MS 15000u /* the processor takes milliseconds; a host that throttles its guests, seconds */

enum state { ASKING, LOOKING, READY, FAILED, STATE_COUNT };

static const char *const state_names[] = { "pending", "pending", "ready", "failed" };
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == STATE_COUNT, "every state has a name");

/* Lives as long as its machine: the agent's answer may come at any time until then. */
struct attestation {
	struct attestation *next;
	struct attestations *as; /* borrowed: has the list */
	char machine[MACHINE_ID_TEXT];
	enum state state;
	uint8_t data[ATTESTATION_DATA_BYTES];
	struct buf report, host_certs, files[SNP_KDS_COUNT];
	struct snp_certs_call *call; /* pending; NULL when not */
	char reason[256], certs_reason[384];
};

struct attestations {
	struct loop *loop;	   /* borrowed */
	struct httpc *http;	   /* owned: a thread, so only once it is needed */
	struct snp_certs *certs;   /* owned; likewise */
	char dir[288], url[256];
	struct attestation *first; /* owned */
};

static void forget_answer(struct attestation *a)
{
	a->call = snp_certs_cancel(a->call);
	buf_finish(&a->report);
	buf_finish(&a->host_certs);
	for (size_t i = 0; i < SNP_KDS_COUNT; i++)
		buf_finish(&a->files[i]);
	a->report = BUF_INIT(AGENT_REPORT_MAX);
	a->host_certs = BUF_INIT(AGENT_CERTS_MAX);
	for (size_t i = 0; i < SNP_KDS_COUNT; i++)
		a->files[i] = BUF_INIT(SNP_CRL_MAX);
	a->reason[0] = a->certs_reason[0] = '\0';
}

int attestations_create(struct attestations **out, const struct attestation_config *c, struct err *e)
{
	struct attestations *as = calloc(1, sizeof(*as));

	if (!as)
		return err_set(e, -ENOMEM, "no memory");
	as->loop = c->loop;
	(void)snprintf(as->dir, sizeof(as->dir), "%s", c->dir);
	(void)snprintf(as->url, sizeof(as->url), "%s", c->url);
	*out = as;
	return 0;
}

static int open_certs(struct attestations *as, struct err *e)
{
	bool offline = strcmp(as->url, "none") == 0;
	const struct snp_certs_config c = { .dir = as->dir, .url = offline ? "" : as->url[0] ? as->url : NULL,
					    .allow_http = strncmp(as->url, "http://127.0.0.1:", strlen("http://127.0.0.1:")) == 0 };
	int r = 0;

	if (as->certs)
		return 0;
	if (mkdir(as->dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make the folder %s: %s", as->dir, strerror(errno));
	if (!offline && !as->http)
		r = httpc_create(&as->http, as->loop, e);
	return r < 0 ? r : snp_certs_create(&as->certs, as->loop, as->http, &c, e);
}

static struct attestation *find(struct attestations *as, const struct machine *m)
{
	struct attestation *a = as->first;

	while (a && strcmp(a->machine, machine_id(m)) != 0)
		a = a->next;
	return a;
}

void attestation_forget(struct attestations *as, const struct machine *m)
{
	for (struct attestation **p = &as->first; *p; p = &(*p)->next) {
		struct attestation *a = *p;

		if (strcmp(a->machine, machine_id(m)) != 0)
			continue;
		*p = a->next;
		forget_answer(a);
		free(a);
		return;
	}
}

struct attestations *attestations_destroy(struct attestations *as)
{
	if (!as)
		return NULL;
	while (as->first) {
		struct attestation *a = as->first;

		as->first = a->next;
		forget_answer(a);
		free(a);
	}
	if (as->certs)
		as->certs = snp_certs_destroy(as->certs);
	if (as->http)
		as->http = httpc_destroy(as->http);
	free(as);
	return NULL;
}

/* --- certificates ------------------------------------------------------------------------------------------------------ */

static void without_certificates(struct attestation *a, const struct err *e)
{
	(void)snprintf(a->certs_reason, sizeof(a->certs_reason), "%s", e->msg);
	a->state = READY;
}

static void on_certs(void *arg, const struct snp_certs_found *found, const struct err *e)
{
	struct attestation *a = arg;

	a->call = NULL;
	if (!found) {
		without_certificates(a, e);
		return;
	}
	for (size_t i = 0; i < SNP_KDS_COUNT; i++) {
		if (found->files[i].data)
			(void)buf_add(&a->files[i], found->files[i].data, found->files[i].len);
	}
	a->state = READY;
}

static void look_for_certificates(struct attestation *a)
{
	struct snp_report report;
	struct err e = { 0 };

	a->state = LOOKING;
	if (open_certs(a->as, &e) == 0 &&
	    snp_report_parse((struct snp_bytes){ (const uint8_t *)a->report.data, a->report.len }, &report, &e) == 0)
		a->call = snp_certs_get(a->as->certs, &report, report.product, on_certs, a, &e);
	if (!a->call)
		without_certificates(a, &e);
}

/* --- the report -------------------------------------------------------------------------------------------------------- */

static void fail(struct attestation *a, const char *why)
{
	(void)snprintf(a->reason, sizeof(a->reason), "%s", why);
	a->state = FAILED;
}

static const char *explain(int status)
{
	switch (status) {
	case -EOPNOTSUPP:
		return "the guest can give no report: it is not a confidential machine, or its kernel has no driver for reports";
	case -EBUSY:
		return "the guest was asked for too many reports; wait a second";
	case -ENOTCONN:
		return "the agent in the guest went away";
	case -ETIMEDOUT:
		return "the agent in the guest did not answer in time";
	default:
		return strerror(-status);
	}
}

static void on_report(void *arg, int status, struct agent_in *in)
{
	struct attestation *a = arg;
	struct agent_report r;

	if (a->state != ASKING)
		return;
	if (status < 0)
		fail(a, explain(status));
	else if (agent_get_report(in, &r) < 0)
		fail(a, "the agent in the guest answered nonsense");
	else if (buf_add(&a->report, r.report, r.report_len) < 0 || (r.certs_len > 0 && buf_add(&a->host_certs, r.certs, r.certs_len) < 0))
		fail(a, "no memory");
	else
		look_for_certificates(a);
}

static struct attestation *add(struct attestations *as, const struct machine *m)
{
	struct attestation *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->as = as;
	a->state = FAILED;
	(void)snprintf(a->machine, sizeof(a->machine), "%s", machine_id(m));
	a->next = as->first;
	as->first = a;
	return a;
}

int attestation_ask(struct attestations *as, const struct machine *m, const uint8_t data[ATTESTATION_DATA_BYTES], struct err *e)
{
	struct agent_host *agent = machine_agent(m);
	struct buf body = BUF_INIT(ATTESTATION_DATA_BYTES);
	struct attestation *a = find(as, m);
	int r;

	if (!agent)
		return err_set(e, ATTESTATION_E_NO_AGENT, "the agent in the machine does not answer");
	if (a && (a->state == ASKING || a->state == LOOKING))
		return err_set(e, ATTESTATION_E_BUSY, "the machine is being asked already");
	if (!a)
		a = add(as, m);
	if (!a)
		return err_set(e, -ENOMEM, "no memory");
	forget_answer(a);
	memcpy(a->data, data, sizeof(a->data));
	agent_put_bytes(&body, data, ATTESTATION_DATA_BYTES);
	r = agent_host_ask(agent, AGENT_REPORT, 0, &body, REPORT_WAIT_MS, on_report, a);
	buf_finish(&body);
	if (r < 0) {
		fail(a, explain(r));
		return err_set(e, r, "the agent cannot be asked: %s", strerror(-r));
	}
	a->state = ASKING;
	return 0;
}

/* --- as JSON ----------------------------------------------------------------------------------------------------------- */

static json_t *base64_json(const struct buf *b)
{
	size_t size = 4 * ((b->len + 2) / 3) + 1, n;
	unsigned char *text;
	json_t *v = NULL;

	if (b->len == 0)
		return json_null();
	text = malloc(size);
	if (text && mbedtls_base64_encode(text, size, &n, (const unsigned char *)b->data, b->len) == 0)
		v = json_stringn((const char *)text, n);
	free(text);
	return v ? v : json_null();
}

static json_t *hex_json(const uint8_t *data, size_t len)
{
	char text[2 * ATTESTATION_DATA_BYTES + 1];

	hex_encode(data, len, text);
	return json_string(text);
}

/* What the machine was launched with, and what that measures as: the gateway's word, for comparing with one's own. */
static json_t *expected_json(const struct machine *m)
{
	struct confidential *c = malloc(sizeof(*c));
	json_t *o = NULL;

	if (c && machine_confidential(m, c, NULL) == 0) {
		o = json_pack("{s:o, s:s, s:o, s:o, s:o, s:s, s:I, s:s, s:s, s:o}", "measurement", hex_json(c->measured.digest, SNP_DIGEST_BYTES),
			      "recipe", vm_confidential_name(c->recipe), "firmware_digest", hex_json(c->host->digest, SNP_DIGEST_BYTES), "kernel_sha256",
			      hex_json(c->boot.kernel, SHA256_BYTES), "initrd_sha256", hex_json(c->boot.initrd, SHA256_BYTES), "append", c->cmdline,
			      "vcpus", (json_int_t)c->vcpus, "vcpu_type", CONFIDENTIAL_CPU, "guest_features", "0x1", "host_data",
			      hex_json(c->host_data, sizeof(c->host_data)));
		if (o)
			(void)json_object_set_new(o, "policy", json_sprintf("0x%llx", (unsigned long long)c->policy));
	}
	free(c);
	return o ? o : json_null();
}

json_t *attestation_json(struct attestations *as, const struct machine *m)
{
	const struct attestation *a = find(as, m);

	if (!a)
		return NULL;
	return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "state", state_names[a->state], "report_data",
			 hex_json(a->data, sizeof(a->data)), "reason", a->reason, "report", base64_json(&a->report), "vek",
			 base64_json(&a->files[SNP_KDS_VEK]), "chain", base64_json(&a->files[SNP_KDS_CHAIN]), "crl",
			 base64_json(&a->files[SNP_KDS_CRL]), "host_certificates", base64_json(&a->host_certs), "certificates_reason",
			 a->certs_reason, "expected", expected_json(m));
}
