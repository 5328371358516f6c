/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cli.h"
#include "base/conf.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME	 "config check"
#define PATH_LEN 4096

struct options {
	const char *file;
	bool json;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "config", .letter = 'c', .text = &o->file, .value = "FILE", .help = "configuration; /etc/terrarium/terrarium.conf unless given" },
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_options(NAME, table, argc, argv);
}

/* Ask as the gateway itself would, started with -n: same file, same environment, same words. */
static int check(const char *file, struct err *e)
{
	static struct settings settings; /* too large for a stack */
	char program[] = "terrariumd", dry_run[] = "-n", config[PATH_LEN + 16] = "";
	char *args[] = { program, dry_run, file ? config : NULL, NULL };

	if (file)
		(void)snprintf(config, sizeof(config), "--config=%s", file);
	return settings_read(&settings, file ? 3 : 2, args, e);
}

int cmd_config_check(int argc, char **argv)
{
	struct options o = { 0 };
	struct err e = { 0 };
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (check(o.file, &e) != CONF_E_CHECK)
		return ctl_refuse(NAME, o.json, &e);
	if (o.json)
		return ctl_print_json(json_pack("{s:b}", "valid", 1));
	return puts("valid") != EOF ? CLI_OK : CLI_REFUSED;
}
