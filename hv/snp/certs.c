/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: a call walks over the files that a report needs, one after the other. Each comes from the folder if it is there and
 * fresh enough; else from the service, if that may be asked now; else, for a list that has merely grown old, from the folder after all.
 *
 *	next ── in the folder, fresh ──────────────► keep ──► next file
 *	  │                                            ▲
 *	  └─ ask the service ──► answer, well-formed ──┤ (written to the folder)
 *	                    └──► failure ── old one? ──┘
 *	                              └── needed? the call fails; not needed (CRL): next file
 *
 * The service is AMD's for the whole world and limits its callers, so one back-off holds for all calls: after a failure nobody asks until
 * it is over. Verdicts do not depend on any of this: what is found is judged like all evidence.
 */
#include "hv/snp/certs.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/httpc.h"
#include "base/loop.h"
#include "hv/snp/chain.h"
#include "hv/snp/crl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CRL_FRESH_S    (24 * 3600)
#define BACKOFF_MIN_MS 1000u
#define BACKOFF_MAX_MS (15u * 60 * 1000)
#define DEADLINE_MS    20000u /* of one request; the service takes seconds when it makes a certificate */

static const size_t limits[SNP_KDS_COUNT] = { SNP_CERT_MAX, SNP_CERT_MAX, SNP_CRL_MAX };

struct snp_certs {
	struct loop *loop;  /* borrowed */
	struct httpc *http; /* borrowed, may be NULL */
	int dir_fd;
	char url[256];
	bool offline, allow_http;
	uint64_t quiet_until_ms;
	uint32_t backoff_ms;
};

struct snp_certs_call {
	struct snp_certs *certs; /* borrowed */
	struct loop_task step;
	struct httpc_call *request; /* pending; NULL when not */
	enum snp_kds_file at;
	struct snp_certs_found found; /* files: owned */
	struct snp_bytes old;	      /* owned: what the folder has of the file at hand, though not fresh */
	snp_certs_done *done;
	void *arg;
};

static void drop(struct snp_bytes *bytes)
{
	free((void *)(uintptr_t)bytes->data);
	*bytes = (struct snp_bytes){ 0 };
}

static void free_call(struct snp_certs_call *call)
{
	for (size_t i = 0; i < SNP_KDS_COUNT; i++)
		drop(&call->found.files[i]);
	drop(&call->old);
	free(call);
}

/* The call ends: tell the owner once, then free. */
static void finish(struct snp_certs_call *call, const struct err *e)
{
	call->done(call->arg, e ? NULL : &call->found, e);
	free_call(call);
}

/* --- the folder --- */

/* Return: 0 with a copy in @out and the age of the file; -ENOENT when there is none; else -errno */
static int read_cached(const struct snp_certs *certs, const char *name, size_t limit, struct snp_bytes *out, int64_t *age_s)
{
	uint8_t *data;
	struct stat st;
	long n;

	if (fstatat(certs->dir_fd, name, &st, 0) < 0)
		return -errno;
	data = malloc(limit + 1);
	if (!data)
		return -ENOMEM;
	n = fd_read_file(certs->dir_fd, name, (char *)data, limit + 1);
	if (n < 0) {
		free(data);
		return (int)n;
	}
	*out = (struct snp_bytes){ data, (size_t)n };
	*age_s = (int64_t)time(NULL) - st.st_mtime;
	return 0;
}

/* A cache that cannot be written costs a request next time, no more. */
static void write_cached(const struct snp_certs *certs, const char *name, const void *data, size_t len)
{
	char temporary[SNP_KDS_PATH_MAX + 24];
	int fd, r;

	(void)snprintf(temporary, sizeof(temporary), ".%s.%ld", name, (long)getpid());
	fd = openat(certs->dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	r = fd_write_all(fd, data, len);
	(void)fd_close(fd);
	if (r < 0 || renameat(certs->dir_fd, temporary, certs->dir_fd, name) < 0)
		(void)unlinkat(certs->dir_fd, temporary, 0);
}

/* --- the service --- */

static void back_off(struct snp_certs *certs)
{
	certs->backoff_ms = certs->backoff_ms ? certs->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (certs->backoff_ms > BACKOFF_MAX_MS)
		certs->backoff_ms = BACKOFF_MAX_MS;
	certs->quiet_until_ms = loop_now_ms() + certs->backoff_ms;
}

static void step(struct loop_task *task);

static void next_file(struct snp_certs_call *call)
{
	drop(&call->old);
	call->at++;
	loop_defer(call->certs->loop, &call->step, step);
}

/* The service did not help: an old file will do, and a report can be judged without a revocation list. */
static void do_without(struct snp_certs_call *call, const struct err *e)
{
	if (call->old.data) {
		call->found.files[call->at] = call->old;
		call->old = (struct snp_bytes){ 0 };
	} else if (call->at != SNP_KDS_CRL) {
		finish(call, e);
		return;
	}
	next_file(call);
}

static int keep(struct snp_certs_call *call, const struct httpc_answer *a)
{
	uint8_t *copy = malloc(a->len + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, a->body, a->len);
	call->found.files[call->at] = (struct snp_bytes){ copy, a->len };
	write_cached(call->certs, call->found.names[call->at].file, copy, a->len);
	return 0;
}

static void on_answer(void *arg, const struct httpc_answer *a)
{
	struct snp_certs_call *call = arg;
	struct snp_certs *certs = call->certs;
	struct err e = { 0 };

	call->request = NULL;
	if (a->error != 0)
		(void)err_set(&e, a->error, "%s does not answer: %s", certs->url, a->why);
	else if (a->status != 200)
		(void)err_set(&e, a->status == 404 ? -ENOENT : -EIO, "%s answers with status %ld", certs->url, a->status);
	else if (snp_kds_check(call->at, (struct snp_bytes){ (const uint8_t *)a->body, a->len }) < 0)
		(void)err_set(&e, -EBADMSG, "%s sent something else than what was asked for", certs->url);
	else if (keep(call, a) < 0)
		(void)err_set(&e, -ENOMEM, "out of memory");
	if (e.code != 0) {
		/* "No such chip" is an answer; it is not the service that is in trouble. */
		if (e.code != -ENOENT)
			back_off(certs);
		do_without(call, &e);
		return;
	}
	certs->backoff_ms = 0;
	next_file(call);
}

static void ask_service(struct snp_certs_call *call)
{
	struct snp_certs *certs = call->certs;
	const struct snp_kds_name *name = &call->found.names[call->at];
	uint64_t now = loop_now_ms();
	char url[sizeof(certs->url) + SNP_KDS_PATH_MAX];
	struct httpc_request request = { .method = "GET", .url = url, .limit_bytes = limits[call->at], .deadline_ms = DEADLINE_MS,
					 .allow_http = certs->allow_http };
	struct err e = { 0 };

	if (certs->offline || name->path[0] == '\0') {
		(void)err_set(&e, -ENOENT, "there is no file %s in the folder of certificates%s", name->file,
			      certs->offline ? "" : "; AMD gives it to the cloud provider only");
	} else if (now < certs->quiet_until_ms) {
		(void)err_set(&e, -EAGAIN, "%s did not answer before; it is asked again in %llu s", certs->url,
			      (unsigned long long)(certs->quiet_until_ms - now) / 1000 + 1);
	} else {
		(void)snprintf(url, sizeof(url), "%s%s", certs->url, name->path);
		call->request = httpc_start(certs->http, &request, on_answer, call, &e);
	}
	if (!call->request)
		do_without(call, &e);
}

static void step(struct loop_task *task)
{
	struct snp_certs_call *call = container_of(task, struct snp_certs_call, step);
	struct snp_bytes cached = { 0 };
	int64_t age_s = 0;

	if (call->at == SNP_KDS_COUNT) {
		finish(call, NULL);
		return;
	}
	if (read_cached(call->certs, call->found.names[call->at].file, limits[call->at], &cached, &age_s) == 0) {
		if (call->at != SNP_KDS_CRL || age_s < CRL_FRESH_S) {
			call->found.files[call->at] = cached;
			next_file(call);
			return;
		}
		call->old = cached;
	}
	ask_service(call);
}

/* --- the outside --- */

int snp_certs_create(struct snp_certs **out, struct loop *loop, struct httpc *http, const struct snp_certs_config *config,
		     struct err *e)
{
	const char *url = config->url ? config->url : SNP_KDS_URL;
	struct snp_certs *certs;
	int dir_fd;

	if (strlen(url) >= sizeof(certs->url))
		return err_set(e, -EINVAL, "the address of the service is too long");
	dir_fd = open(config->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_set(e, -errno, "cannot open the folder of certificates %s: %s", config->dir, strerror(errno));
	certs = calloc(1, sizeof(*certs));
	if (!certs) {
		(void)fd_close(dir_fd);
		return err_set(e, -ENOMEM, "out of memory");
	}
	certs->loop = loop;
	certs->http = http;
	certs->dir_fd = dir_fd;
	certs->offline = !http || url[0] == '\0';
	certs->allow_http = config->allow_http;
	(void)snprintf(certs->url, sizeof(certs->url), "%s", url);
	*out = certs;
	return 0;
}

struct snp_certs *snp_certs_destroy(struct snp_certs *certs)
{
	if (certs)
		(void)fd_close(certs->dir_fd);
	free(certs);
	return NULL;
}

struct snp_certs_call *snp_certs_get(struct snp_certs *certs, const struct snp_report *report, enum snp_product product,
				     snp_certs_done *done, void *arg, struct err *e)
{
	struct snp_certs_call *call = calloc(1, sizeof(*call));

	if (!call) {
		(void)err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < SNP_KDS_COUNT; i++) {
		if (snp_kds_name((enum snp_kds_file)i, report, product, &call->found.names[i], e) < 0) {
			free_call(call);
			return NULL;
		}
	}
	call->certs = certs;
	call->done = done;
	call->arg = arg;
	loop_defer(certs->loop, &call->step, step);
	return call;
}

struct snp_certs_call *snp_certs_cancel(struct snp_certs_call *call)
{
	if (!call)
		return NULL;
	loop_cancel(call->certs->loop, &call->step);
	call->request = httpc_cancel(call->request);
	free_call(call);
	return NULL;
}
