/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/folder.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#define PARENT	    "snapshots"
#define LEFT_BYTES  (256ULL << 20) /* the database and recordings are there as well */
#define FILES_MAX   16		   /* in one; there are three */

static int parent_of(const char *state_dir, char *out, size_t size)
{
	int n = snprintf(out, size, "%s/" PARENT, state_dir);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int make(struct folder *f, const char *state_dir, mode_t mode, struct err *e)
{
	char parent[sizeof(f->path) - 8];
	int n;

	f->fd = -1;
	f->path[0] = '\0';
	if (parent_of(state_dir, parent, sizeof(parent)) < 0)
		return err_set(e, -ENAMETOOLONG, "the path of the state directory is too long for snapshots");
	if (mkdir(parent, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "%s: %s", parent, strerror(errno));
	n = snprintf(f->path, sizeof(f->path), "%s/XXXXXX", parent);
	if (n < 0 || (size_t)n >= sizeof(f->path) || !mkdtemp(f->path)) {
		f->path[0] = '\0';
		return err_set(e, -errno, "%s: %s", parent, strerror(errno));
	}
	f->fd = open(f->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (f->fd >= 0 && chmod(f->path, mode) == 0)
		return 0;
	(void)err_set(e, -errno, "%s: %s", f->path, strerror(errno));
	folder_remove(f);
	return e ? e->code : -EIO;
}

/*
 * What is made in it is its maker's and the gateway's: with a list of its own a folder sets the rights of its files, and a umask counts no more. Without
 * one (a file system that has none) only files of a process of the gateway's own user can be read.
 */
static void share_with_us(const struct folder *f)
{
	const struct {
		struct posix_acl_xattr_header head;
		struct posix_acl_xattr_entry entry[5];
	} acl = {
		.head = { htole32(POSIX_ACL_XATTR_VERSION) },
		.entry = {
			{ htole16(ACL_USER_OBJ), htole16(ACL_READ | ACL_WRITE), htole32((uint32_t)ACL_UNDEFINED_ID) },
			{ htole16(ACL_USER), htole16(ACL_READ | ACL_WRITE), htole32(geteuid()) },
			{ htole16(ACL_GROUP_OBJ), 0, htole32((uint32_t)ACL_UNDEFINED_ID) },
			{ htole16(ACL_MASK), htole16(ACL_READ | ACL_WRITE), htole32((uint32_t)ACL_UNDEFINED_ID) },
			{ htole16(ACL_OTHER), 0, htole32((uint32_t)ACL_UNDEFINED_ID) },
		},
	};

	if (setxattr(f->path, "system.posix_acl_default", &acl, sizeof(acl), 0) < 0)
		log_debug("%s: no list of rights: %s", f->path, strerror(errno));
}

int folder_for_writing(struct folder *f, const char *state_dir, uint64_t bytes, struct err *e)
{
	struct statvfs fs;
	int r;

	if (statvfs(state_dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < bytes + LEFT_BYTES)
		return err_set(e, -ENOSPC, "%s has no room for %llu MiB of a machine's memory", state_dir, (unsigned long long)bytes >> 20);
	r = make(f, state_dir, 0777, e); /* for whoever gets so far: it has the descriptor */
	if (r == 0)
		share_with_us(f);
	return r;
}

int folder_for_reading(struct folder *f, const char *state_dir, struct err *e)
{
	return make(f, state_dir, 0755, e);
}

int folder_put(const struct folder *f, const char *name, const char *text, struct err *e)
{
	_close_ int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));

	if (r == 0 && fchmod(fd, 0444) < 0)
		r = -errno;
	return r < 0 ? err_set(e, r, "%s/%s: %s", f->path, name, strerror(-r)) : 0;
}

int folder_link(const struct folder *f, const char *name, int number, struct err *e)
{
	char to[32];

	(void)snprintf(to, sizeof(to), "/proc/self/fd/%d", number);
	return symlinkat(to, f->fd, name) < 0 ? err_set(e, -errno, "%s/%s: %s", f->path, name, strerror(errno)) : 0;
}

/* Whoever writes to it may have put anything there: what is no file is left, and told. */
static void empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int n = 0;

	while (dir && n < FILES_MAX && (d = readdir(dir))) { /* NOLINT(concurrency-mt-unsafe) */
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		(void)unlinkat(dirfd(dir), d->d_name, 0);
		n++;
	}
	if (dir)
		(void)closedir(dir);
}

static void remove_at(const char *path)
{
	empty(path);
	if (rmdir(path) < 0 && errno != ENOENT)
		log_warn("%s of a snapshot cannot be removed: %s", path, strerror(errno));
}

void folder_remove(struct folder *f)
{
	f->fd = fd_close(f->fd);
	if (f->path[0])
		remove_at(f->path);
	f->path[0] = '\0';
}

void folder_sweep(const char *state_dir)
{
	char parent[384], path[sizeof(parent) + NAME_MAX + 2];
	struct dirent *d;
	DIR *dir;

	if (parent_of(state_dir, parent, sizeof(parent)) < 0)
		return;
	dir = opendir(parent);
	while (dir && (d = readdir(dir))) { /* NOLINT(concurrency-mt-unsafe) */
		if (d->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", parent, d->d_name);
		remove_at(path);
	}
	if (dir)
		(void)closedir(dir);
}
