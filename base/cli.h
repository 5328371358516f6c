/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLI_H
#define BASE_CLI_H

/* Exit statuses of the command line: every command keeps to them. */
enum { CLI_OK = 0, CLI_REFUSED = 1, CLI_USAGE = 2 };

/**
 * struct cli_command - one command, normally one file
 * @name: up to two words, such as "host check"
 * @args: synopsis after the name
 * @help: one sentence
 * @run:  gets the arguments after the name, argv[0] being the last word of the name; returns an exit status
 */
struct cli_command {
	const char *name, *args, *help;
	int (*run)(int argc, char **argv);
};

/**
 * cli_run() - find the command in @table (ended by an empty entry) and run it
 *
 * Without a command, or with --help, the table itself is printed as the help text; an unknown command is CLI_USAGE.
 */
int cli_run(const char *program, const struct cli_command *table, int argc, char **argv);

#endif
