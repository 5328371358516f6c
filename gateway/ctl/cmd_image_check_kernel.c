/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "hv/kconfig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME "image check-kernel"

struct options {
	const char *file, *users[CTL_LIST_MAX + 1];
	bool all, json;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "for", .list = o->users, .value = "USER",
		  .help = "microvm, q35, cloud-hypervisor, confidential, micro or standard; all but confidential unless given" },
		{ .name = "all", .flag = &o->all, .help = "also what is built in" },
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_operand(NAME, "CONFIG", table, argc, argv, &o->file);
}

static int read_users(const struct options *o, unsigned *mask)
{
	*mask = o->users[0] ? 0 : KCONFIG_PLAIN;
	for (size_t i = 0; o->users[i]; i++) {
		int user = kconfig_user_parse(o->users[i]);

		if (user < 0)
			return ctl_usage(NAME, "--for %s: microvm, q35, cloud-hypervisor, confidential, micro or standard is needed", o->users[i]);
		*mask |= KCONFIG_BIT((unsigned)user);
	}
	return CLI_OK;
}

static void names(char *out, size_t size, unsigned mask)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < KCONFIG_USERS; i++) {
		if (mask & KCONFIG_BIT(i) && used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", kconfig_user_name(i));
	}
}

static void print_row(const struct kconfig_feature *f, const struct kconfig_row *row, unsigned mask)
{
	bool needed = f->needed & mask;
	char users[128];

	names(users, sizeof(users), (needed ? f->needed : f->useful) & mask);
	printf("%-8s  %-20s  %s %s%s%s\n", kconfig_state_name(row->state), f->name, needed ? "needed by" : "useful to", users,
	       f->purpose[0] ? ": " : "", f->purpose);
	for (const char *word = row->missing; *word;) {
		size_t len = strcspn(word, " ");

		printf("%32sCONFIG_%.*s\n", "", (int)len, word);
		word += len + strspn(word + len, " ");
	}
}

static int print_text(const struct options *o, const struct kconfig_report *report, unsigned mask)
{
	char able[128], unable[128];

	if (report->release[0])
		printf("Linux %s\n", report->release);
	for (int state = KCONFIG_NO; state < (o->all ? KCONFIG_STATES : KCONFIG_BUILTIN); state++) {
		for (size_t i = 0; i < KCONFIG_FEATURES; i++) {
			const struct kconfig_feature *f = &kconfig_features[i];

			if ((f->needed | f->useful) & mask && report->rows[i].state == (enum kconfig_state)state)
				print_row(f, &report->rows[i], mask);
		}
	}
	names(able, sizeof(able), mask & ~report->lacks);
	names(unable, sizeof(unable), mask & report->lacks);
	printf("%s%s%s%s%s\n", able[0] ? "good for " : "", able, able[0] && unable[0] ? "; " : "", unable[0] ? "no good for " : "", unable);
	return fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

static json_t *json_users(unsigned mask)
{
	json_t *list = json_array();

	for (unsigned i = 0; list && i < KCONFIG_USERS; i++) {
		if (mask & KCONFIG_BIT(i))
			(void)json_array_append_new(list, json_string(kconfig_user_name(i)));
	}
	return list;
}

static int print_json(const struct kconfig_report *report, unsigned mask)
{
	json_t *rows = json_array();

	for (size_t i = 0; rows && i < KCONFIG_FEATURES; i++) {
		const struct kconfig_feature *f = &kconfig_features[i];

		if ((f->needed | f->useful) & mask)
			(void)json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:o, s:o}", "feature", f->name, "state",
								   kconfig_state_name(report->rows[i].state), "missing", report->rows[i].missing,
								   "needed_by", json_users(f->needed & mask), "useful_to",
								   json_users(f->useful & mask)));
	}
	return ctl_print_json(json_pack("{s:s, s:o, s:o, s:o}", "release", report->release, "good_for", json_users(mask & ~report->lacks),
					"no_good_for", json_users(mask & report->lacks), "features", rows));
}

int cmd_image_check_kernel(int argc, char **argv)
{
	struct options o = { 0 };
	struct err e = { 0 };
	struct kconfig_report report;
	_file_ struct ctl_file file = { 0 };
	unsigned mask;
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (read_users(&o, &mask) != CLI_OK)
		return CLI_USAGE;
	if (ctl_load(o.file, KCONFIG_MAX, &file, &e) < 0)
		return ctl_refuse(NAME, o.json, &e);
	if (kconfig_check((const char *)file.data, file.len, &report, &e) < 0) {
		err_prefix(&e, "%s", o.file);
		return ctl_refuse(NAME, o.json, &e);
	}
	r = o.json ? print_json(&report, mask) : print_text(&o, &report, mask);
	return report.lacks & mask ? CLI_REFUSED : r;
}
