/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cli.h"
#include "base/err.h"
#include "base/httpc.h"
#include "base/loop.h"
#include "gateway/ctl/ctl.h"
#include "hv/snp/certs.h"
#include "hv/snp/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAME "snp fetch"

struct options {
	const char *report, *dir, *product, *url;
	bool offline, json;
};

struct fetch {
	const struct options *o;
	struct loop loop;
	struct snp_certs_call *call; /* pending */
	int status;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "report", .text = &o->report, .value = "R", .help = "report whose certificates are wanted", .needed = true },
		{ .name = "dir", .text = &o->dir, .value = "D", .help = "folder to keep them in; made if it is not there", .needed = true },
		{ .name = "product", .text = &o->product, .value = "P", .help = "Milan, Genoa or Turin, for a report of version 2" },
		{ .name = "url", .text = &o->url, .value = "URL", .help = "another service than " SNP_KDS_URL },
		{ .name = "offline", .flag = &o->offline, .help = "use what is in the folder only" },
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_options(NAME, table, argc, argv);
}

static int print_names(const struct options *o, const struct snp_certs_found *found)
{
	static const char *const keys[SNP_KDS_COUNT] = { "vek", "intermediate", "crl" };
	json_t *object = o->json ? json_object() : NULL;

	for (size_t i = 0; i < SNP_KDS_COUNT; i++) {
		if (!found->files[i].data)
			continue;
		if (object)
			json_object_set_new(object, keys[i], json_sprintf("%s/%s", o->dir, found->names[i].file));
		else
			printf("%s %s/%s\n", keys[i], o->dir, found->names[i].file);
	}
	if (o->json)
		return ctl_print_json(object);
	return fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

static void on_found(void *arg, const struct snp_certs_found *found, const struct err *e)
{
	struct fetch *f = arg;

	f->call = NULL;
	f->status = found ? print_names(f->o, found) : ctl_refuse(NAME, f->o->json, e);
	loop_stop(&f->loop);
}

static int load_report(const struct options *o, struct ctl_file *file, struct snp_report *report, enum snp_product *product,
		       struct err *e)
{
	int r = ctl_load(o->report, SNP_REPORT_BYTES, file, e);

	if (r == 0)
		r = snp_report_parse((struct snp_bytes){ file->data, file->len }, report, e);
	if (r != 0)
		return r;
	*product = o->product ? snp_product_parse(o->product) : report->product;
	return 0;
}

static int run(struct fetch *f, const struct snp_report *report, enum snp_product product, struct err *e)
{
	const struct snp_certs_config config = {
		.dir = f->o->dir, .url = f->o->offline ? "" : f->o->url, .allow_http = f->o->url && strncmp(f->o->url, "http:", 5) == 0
	};
	struct snp_certs *certs = NULL;
	struct httpc *http = NULL;
	int r = loop_init(&f->loop);

	if (r < 0)
		return err_set(e, r, "cannot make an event loop: %s", strerror(-r));
	if (mkdir(f->o->dir, 0755) < 0 && errno != EEXIST)
		r = err_set(e, -errno, "cannot make the folder %s: %s", f->o->dir, strerror(errno));
	if (r == 0 && !f->o->offline)
		r = httpc_create(&http, &f->loop, e);
	if (r == 0)
		r = snp_certs_create(&certs, &f->loop, http, &config, e);
	if (r == 0) {
		f->call = snp_certs_get(certs, report, product, on_found, f, e);
		r = f->call ? 0 : -EINVAL;
	}
	if (r == 0)
		loop_run(&f->loop);
	f->call = snp_certs_cancel(f->call); /* a signal ended the loop */
	certs = snp_certs_destroy(certs);
	http = httpc_destroy(http);
	loop_finish(&f->loop);
	return r;
}

int cmd_snp_fetch(int argc, char **argv)
{
	_file_ struct ctl_file file = { 0 };
	struct options o = { 0 };
	struct fetch f = { .o = &o, .status = CLI_REFUSED };
	struct snp_report report;
	enum snp_product product;
	struct err e = { 0 };
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (o.product && snp_product_parse(o.product) == SNP_PRODUCT_UNKNOWN)
		return ctl_usage(NAME, "--product %s: Milan, Genoa or Turin is needed", o.product);
	if (load_report(&o, &file, &report, &product, &e) != 0 || run(&f, &report, product, &e) < 0)
		return ctl_refuse(NAME, o.json, &e);
	return f.status;
}
