/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_CERTS_H
#define HV_SNP_CERTS_H

#include "hv/snp/kds.h"

#include <stdbool.h>

struct err;
struct httpc;
struct loop;
struct snp_certs;
struct snp_certs_call;

/**
 * struct snp_certs_config - where certificates come from; all strings are copied
 * @dir:      folder of files named as in snp_kds_name(): a cache, and the only source when @url is empty
 * @url:      of the service; NULL for AMD's; "" to stay offline
 * @allow_http: for tests
 */
struct snp_certs_config {
	const char *dir, *url;
	bool allow_http;
};

/**
 * struct snp_certs_found - the answer, valid during the callback only
 * @files: by enum snp_kds_file; no data when there is none. They are as untrusted as the report: snp_verify() judges them
 * @names: in the folder
 */
struct snp_certs_found {
	struct snp_bytes files[SNP_KDS_COUNT];
	struct snp_kds_name names[SNP_KDS_COUNT];
};

/* Runs once, from the loop, unless the call was cancelled. @found is NULL on failure, with the reason in @e. */
typedef void snp_certs_done(void *arg, const struct snp_certs_found *found, const struct err *e);

/** snp_certs_create() - @loop and @http are borrowed; @http may be NULL when offline. Return: 0 or negative with @e */
int snp_certs_create(struct snp_certs **out, struct loop *loop, struct httpc *http, const struct snp_certs_config *config,
		     struct err *e);

/** snp_certs_destroy() - all calls must have ended or been cancelled. Returns NULL */
struct snp_certs *snp_certs_destroy(struct snp_certs *certs);

/**
 * snp_certs_get() - find the certificates of a report: in the folder, else from the service, whose answers are kept there
 * @product: as for snp_kds_name()
 *
 * A revocation list that is older than a day is asked for again; if the service cannot give one, the old one or none is handed out. After
 * a failure the service is left alone, for a second at first and longer each time (AMD limits its callers), and only the folder counts.
 *
 * Return: the call, borrowed until @done or snp_certs_cancel(); NULL with @e.
 */
struct snp_certs_call *snp_certs_get(struct snp_certs *certs, const struct snp_report *report, enum snp_product product,
				     snp_certs_done *done, void *arg, struct err *e);

/** snp_certs_cancel() - forget a call: @done does not run. Returns NULL; NULL is fine */
struct snp_certs_call *snp_certs_cancel(struct snp_certs_call *call);

#endif
