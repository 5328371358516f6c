/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "hv/host/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME	   "host check"
#define STATE_DIR  "/var/lib/terrarium"
#define RECORD_MAX (256u * 1024)

struct options {
	const char *state_dir, *firmware, *record, *recorded;
	bool json, snp;
};

static const struct group {
	const char *title, *able, *unable;
} groups[HOST_GROUP_COUNT] = {
	[HOST_MACHINES] = { "Machines", "Machines run here", "Machines do not run here" },
	[HOST_CONFIDENTIAL] = { "Confidential machines (AMD SEV-SNP)", "Confidential machines can run here",
				"This host cannot run confidential machines" },
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "snp", .flag = &o->snp, .help = "fail also when confidential machines cannot run" },
		{ .name = "firmware", .text = &o->firmware, .value = "F", .help = "OVMF image for confidential machines" },
		{ .name = "state-dir", .text = &o->state_dir, .value = "D", .help = "of the gateway; " STATE_DIR " unless given" },
		{ .name = "record", .text = &o->record, .value = "FILE", .help = "also write down what was asked and answered" },
		{ .name = "recorded", .text = &o->recorded, .value = "FILE", .help = "judge what was written down, not this host" },
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_options(NAME, table, argc, argv);
}

static json_t *load_record(const char *path, struct err *e)
{
	_file_ struct ctl_file file = { 0 };
	json_error_t je;
	json_t *root;

	if (ctl_load(path, RECORD_MAX, &file, e) < 0)
		return NULL;
	root = json_loadb((const char *)file.data, file.len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(root)) {
		json_decref(root);
		err_set(e, -EINVAL, "%s is no record of a host: %s", path, root ? "not an object" : je.text);
		return NULL;
	}
	return root;
}

static int save_record(const char *path, const json_t *record, struct err *e)
{
	char *text = json_dumps(record, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	int r = text ? ctl_write(path, text, strlen(text), e) : err_set(e, -ENOMEM, "no memory to record");

	free(text);
	return r;
}

/* Ask this host, or the record. */
static int judge(const struct options *o, struct host_report *report, struct err *e)
{
	struct host_live live = { .state_dir = o->state_dir ? o->state_dir : STATE_DIR };
	struct host_recorder recorder = { .from = host_live_probe(&live), .record = o->recorded ? load_record(o->recorded, e) : json_object() };
	struct host_probe probe = o->recorded ? host_record_probe(recorder.record) : host_recorder_probe(&recorder);
	int r = recorder.record ? 0 : -EINVAL;

	if (r == 0)
		host_check(&probe, o->firmware, report);
	if (r == 0 && o->record)
		r = save_record(o->record, recorder.record, e);
	json_decref(recorder.record);
	return r;
}

/* Words of a foreign record may hold anything; a terminal gets to see none of it. */
static void print_clean(const char *text)
{
	for (; *text; text++)
		(void)putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void print_row(const struct host_row *row)
{
	printf("  %-4s  %-24s  ", host_verdict_name(row->verdict), row->title);
	print_clean(row->found);
	(void)putchar('\n');
	if (row->advice[0])
		printf("        %-24s  -> %s\n", "", row->advice);
}

static int print_text(const struct host_report *report)
{
	for (int g = 0; g < HOST_GROUP_COUNT; g++) {
		printf("%s%s\n", g ? "\n" : "", groups[g].title);
		for (size_t i = 0; i < report->count; i++) {
			if (report->rows[i].group == (enum host_group)g)
				print_row(&report->rows[i]);
		}
	}
	(void)putchar('\n');
	for (int g = 0; g < HOST_GROUP_COUNT; g++) {
		printf("%s%s", report->able[g] ? groups[g].able : groups[g].unable, report->able[g] ? "" : ". ");
		print_clean(report->because[g]);
		puts(".");
	}
	return fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

static int print_json(const struct host_report *report)
{
	json_t *rows = json_array();

	for (size_t i = 0; rows && i < report->count; i++) {
		const struct host_row *r = &report->rows[i];

		(void)json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s}", "id", r->id, "group",
							   r->group == HOST_MACHINES ? "machines" : "confidential", "title", r->title,
							   "verdict", host_verdict_name(r->verdict), "found",
							   r->found, "advice", r->advice));
	}
	return ctl_print_json(json_pack("{s:b, s:s, s:b, s:s, s:s, s:s, s:o}", "machines", report->able[HOST_MACHINES], "machines_because",
				       report->because[HOST_MACHINES], "confidential", report->able[HOST_CONFIDENTIAL], "confidential_because",
				       report->because[HOST_CONFIDENTIAL], "driver", report->driver, "driver_because", report->why, "checks", rows));
}

int cmd_host_check(int argc, char **argv)
{
	static struct host_report report; /* its rows are too large for a stack */
	struct options o = { 0 };
	struct err e = { 0 };
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (o.record && o.recorded)
		return ctl_usage(NAME, "give one of --record and --recorded");
	if (judge(&o, &report, &e) < 0)
		return ctl_refuse(NAME, o.json, &e);
	r = o.json ? print_json(&report) : print_text(&report);
	if (!report.able[HOST_MACHINES] || (o.snp && !report.able[HOST_CONFIDENTIAL]))
		return CLI_REFUSED;
	return r;
}
