/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ring_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#define SUFFIX ".ring"

static int path_of(const char *dir, const char *name, char out[PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s/%s" SUFFIX, dir, name);

	return n > 0 && n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int ring_dir_prepare(const char *dir, struct err *e)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make the directory of rings %s: %s; choose another with --ring-dir", dir, strerror(errno));
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || access(dir, R_OK | W_OK | X_OK) < 0)
		return err_set(e, -EACCES, "the directory of rings %s cannot be used: it must be a directory that terrariumd may write to", dir);
	return 0;
}

int ring_dir_create(const char *dir, const char *name, uint32_t bytes)
{
	char path[PATH_MAX];
	_close_ int fd = -1;
	int r = path_of(dir, name, path);

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = -posix_fallocate(fd, 0, bytes);
	if (r < 0) {
		(void)unlink(path);
		return r;
	}
	return fd_take(&fd);
}

int ring_dir_open(const char *dir, const char *name, uint32_t *bytes)
{
	char path[PATH_MAX];
	_close_ int fd = -1;
	struct stat st;
	int r = path_of(dir, name, path);

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > UINT32_MAX)
		return -EBADMSG;
	r = -posix_fallocate(fd, 0, st.st_size);
	if (r < 0)
		return r;
	*bytes = (uint32_t)st.st_size;
	return fd_take(&fd);
}

void ring_dir_remove(const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (path_of(dir, name, path) == 0 && unlink(path) < 0 && errno != ENOENT)
		log_warn("the ring %s stays: %s", path, strerror(errno));
}

void ring_dir_sweep(const char *dir, bool (*known)(void *arg, const char *name), void *arg)
{
	const size_t suffix = sizeof(SUFFIX) - 1;
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) { /* NOLINT(concurrency-mt-unsafe): one thread */
		size_t len = strlen(entry->d_name);

		if (len <= suffix || strcmp(entry->d_name + len - suffix, SUFFIX) != 0)
			continue;
		entry->d_name[len - suffix] = '\0';
		if (!known(arg, entry->d_name))
			ring_dir_remove(dir, entry->d_name);
	}
	if (d)
		(void)closedir(d);
}
