/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/ctl.h"

#include "base/cli.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"

#include <errno.h>
#include <fcntl.h>
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
	fputs("; terrarium --help shows how it is used\n", stderr);
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
