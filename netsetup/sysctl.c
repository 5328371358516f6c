/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"

static int write_value(const char *path, const char *value)
{
	_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_all(fd, value, strlen(value));
}

int sysctl_set(struct sysctls *s, const char *path, const char *value, struct err *e)
{
	char full[96], old[16];
	long n;
	int r;

	(void)snprintf(full, sizeof(full), "/proc/sys/%s", path);
	n = fd_read_file(AT_FDCWD, full, old, sizeof(old));
	if (n < 0)
		return err_set(e, (int)n, "cannot read %s: %s", full, strerror((int)-n));
	old[strcspn(old, "\n")] = '\0';
	if (strcmp(old, value) == 0)
		return 0;
	r = write_value(full, value);
	if (r < 0)
		return err_set(e, r, "cannot write %s to %s: %s", value, full, strerror(-r));
	if (s->count < SYSCTL_SAVED_MAX) {
		memcpy(s->saved[s->count].path, full, sizeof(full));
		memcpy(s->saved[s->count].value, old, sizeof(old));
		s->count++;
	}
	return 0;
}

void sysctl_restore(struct sysctls *s)
{
	while (s->count > 0) {
		s->count--;
		(void)write_value(s->saved[s->count].path, s->saved[s->count].value);
	}
}
