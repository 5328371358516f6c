/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/ctl.h"

#include "base/cli.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Make room for one more chunk. */
static int grow(struct ctl_file *file, size_t *room, size_t limit)
{
	size_t want = *room ? *room * 2 : 64u * 1024;
	uint8_t *bigger;

	/* One byte past the limit tells a file that is too large from one that just fits. */
	if (want > limit + 1)
		want = limit + 1;
	bigger = realloc(file->data, want);
	if (!bigger)
		return -ENOMEM;
	file->data = bigger;
	*room = want;
	return 0;
}

static int read_all(int fd, size_t limit, struct ctl_file *file)
{
	size_t room = 0;

	for (;;) {
		ssize_t n;
		int r = file->len == room ? grow(file, &room, limit) : 0;

		if (r < 0)
			return r;
		n = read(fd, file->data + file->len, room - file->len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (n > 0)
			file->len += (size_t)n;
		if (file->len > limit)
			return -EFBIG;
	}
}

int ctl_load(const char *path, size_t limit, struct ctl_file *file, struct err *e)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	*file = (struct ctl_file){ 0 };
	if (fd < 0)
		return err_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
	r = read_all(fd, limit, file);
	if (r < 0) {
		ctl_file_finish(file);
		return r == -EFBIG ? err_set(e, r, "%s is larger than %zu bytes", path, limit) :
				     err_set(e, r, "cannot read %s: %s", path, strerror(-r));
	}
	return 0;
}

void ctl_file_finish(struct ctl_file *file)
{
	free(file->data);
	*file = (struct ctl_file){ 0 };
}

int ctl_write(const char *path, const void *data, size_t len, struct err *e)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : fd_write_all(fd, data, len);

	return r == 0 ? 0 : err_set(e, r, "cannot write %s: %s", path, strerror(-r));
}

static void print_help(const char *command, const struct ctl_option *table)
{
	printf("usage: terrarium %s [OPTIONS]\n\n", command);
	for (; table->name; table++) {
		char left[64];
		int n = table->letter ? snprintf(left, sizeof(left), "-%c, ", table->letter) : 0;

		(void)snprintf(left + n, sizeof(left) - (size_t)n, "--%s%s%s", table->name, table->value ? " " : "",
			       table->value ? table->value : "");
		printf("  %-26s %s%s\n", left, table->help, table->needed ? " (needed)" : "");
	}
}

static int check_needed(const char *command, const struct ctl_option *table)
{
	for (; table->name; table++) {
		if (table->needed && !*table->text)
			return ctl_usage(command, "--%s is missing", table->name);
	}
	return CTL_GO;
}

/* The table in getopt's terms: values from 0x100 on are places in it. */
static size_t to_getopt(const struct ctl_option *table, struct option *options, char *letters)
{
	size_t n = 0;

	*letters++ = ':'; /* tell a missing value from an unknown option */
	for (; table[n].name; n++) {
		assert(n < CTL_OPTIONS_MAX);
		options[n] = (struct option){ table[n].name, table[n].text || table[n].list ? required_argument : no_argument, NULL, 0x100 + (int)n };
		if (table[n].letter) {
			*letters++ = table[n].letter;
			if (table[n].text || table[n].list)
				*letters++ = ':';
		}
	}
	*letters = '\0';
	options[n] = (struct option){ "help", no_argument, NULL, 0x100 + (int)n };
	options[n + 1] = (struct option){ 0 };
	return n;
}

static size_t place_of(const struct ctl_option *table, int c, size_t count)
{
	size_t i = 0;

	if (c >= 0x100)
		return (size_t)(c - 0x100);
	while (i < count && table[i].letter != c)
		i++;
	return i;
}

static bool list_add(const char **list, const char *value)
{
	size_t n = 0;

	while (list[n])
		n++;
	if (n < CTL_LIST_MAX)
		list[n] = value;
	return n < CTL_LIST_MAX;
}

int ctl_operand(const char *command, const char *what, const struct ctl_option *table, int argc, char **argv, const char **operand)
{
	struct option options[CTL_OPTIONS_MAX + 2];
	char letters[2 * CTL_OPTIONS_MAX + 2];
	size_t count = to_getopt(table, options, letters);

	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, letters, options, NULL)) != -1;) {
		size_t i = place_of(table, c, count);

		if (c == '?' || c == ':')
			return ctl_usage(command, "%s %s", argv[optind - 1], c == ':' ? "needs a value" : "is no option of it");
		if (i == count) {
			print_help(command, table);
			return CLI_OK;
		}
		if (table[i].list && !list_add(table[i].list, optarg))
			return ctl_usage(command, "--%s can be given %d times", table[i].name, CTL_LIST_MAX);
		if (table[i].list)
			continue;
		if (table[i].text)
			*table[i].text = optarg;
		else
			*table[i].flag = true;
	}
	if (what && optind == argc)
		return ctl_usage(command, "%s is missing", what);
	if (what)
		*operand = argv[optind++];
	if (optind < argc)
		return ctl_usage(command, "unexpected argument %s", argv[optind]);
	return check_needed(command, table);
}

int ctl_options(const char *command, const struct ctl_option *table, int argc, char **argv)
{
	return ctl_operand(command, NULL, table, argc, argv, NULL);
}

int ctl_number(const char *text, uint64_t max, uint64_t *value)
{
	const char *digits = strncmp(text, "0x", 2) == 0 ? text + 2 : text;
	char *end;

	/* strtoull() would take signs and leading blanks. */
	if (*digits == '\0' || strspn(digits, digits == text ? "0123456789" : "0123456789abcdefABCDEF") != strlen(digits))
		return -EINVAL;
	errno = 0;
	*value = strtoull(digits, &end, digits == text ? 10 : 16);
	return errno == 0 && *value <= max ? 0 : -EINVAL;
}

void ctl_say_usage(const char *command, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "terrarium %s: ", command);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "; terrarium %s --help shows how it is used\n", command);
}

int ctl_refuse(const char *command, bool json, const struct err *e)
{
	if (json)
		(void)ctl_print_json(json_pack("{s:s}", "error", e->msg));
	else
		fprintf(stderr, "terrarium %s: %s\n", command, e->msg);
	return CLI_REFUSED;
}

int ctl_print_json(json_t *object)
{
	int r = object ? json_dumpf(object, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : -1;

	json_decref(object);
	if (r < 0 || putchar('\n') == EOF || fflush(stdout) != 0)
		return CLI_REFUSED;
	return CLI_OK;
}

json_t *ctl_json_hex(const uint8_t *data, size_t len)
{
	char text[2 * CTL_HEX_MAX + 1];

	if (len > CTL_HEX_MAX)
		return NULL;
	hex_encode(data, len, text);
	return json_string(text);
}
