/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cli.h"

#include <stdio.h>
#include <string.h>

static void usage(FILE *out, const char *program, const struct cli_command *table)
{
	fprintf(out, "usage: %s COMMAND [ARGUMENTS]\n\n", program);
	for (; table->name; table++) {
		char synopsis[96];

		(void)snprintf(synopsis, sizeof(synopsis), "%s %s", table->name, table->args);
		fprintf(out, "  %-36s %s\n", synopsis, table->help);
	}
}

/* How many of the words in argv[1..] are the name of @c; 0 when it is another command. */
static int match(const struct cli_command *c, int argc, char **argv)
{
	const char *p = c->name;

	for (int i = 1; i < argc; i++) {
		size_t len = strcspn(p, " ");

		if (strlen(argv[i]) != len || strncmp(p, argv[i], len) != 0)
			return 0;
		p += len;
		if (*p == '\0')
			return i;
		p++;
	}
	return 0;
}

int cli_run(const char *program, const struct cli_command *table, int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(argc < 2 ? stderr : stdout, program, table);
		return argc < 2 ? CLI_USAGE : CLI_OK;
	}
	for (const struct cli_command *c = table; c->name; c++) {
		int words = match(c, argc, argv);

		if (words > 0)
			return c->run(argc - words, argv + words);
	}
	fprintf(stderr, "%s: unknown command %.64s; --help lists them\n", program, argv[1]);
	return CLI_USAGE;
}
