/* SPDX-License-Identifier: Apache-2.0 */
/* Files below the agent's root. openat2(2) with RESOLVE_BENEATH keeps every path inside, whatever links a program in the guest puts in the way. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define READDIR_BYTES (AGENT_DATA_MAX - 512U) /* a name and its type always fit after this */

static int open_beneath(int root_fd, const char *path, int flags, mode_t mode)
{
	struct open_how how = { .flags = (unsigned)flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	long fd;

	while (*path == '/')
		path++;
	if (flags & O_CREAT)
		how.mode = mode & 07777;
	fd = syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

/* The directory of @path, and its last name, which is neither empty nor . nor .. */
static int open_parent(int root_fd, const char *path, const char **name)
{
	char dir[AGENT_PATH_MAX + 1];
	const char *slash = strrchr(path, '/');

	*name = slash ? slash + 1 : path;
	if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
		return -EINVAL;
	(void)snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 0, path);
	return open_beneath(root_fd, dir, O_RDONLY | O_DIRECTORY, 0);
}

/* A regular file: opening a pipe or a terminal must not hold the agent up, so O_NONBLOCK and a look at what it is. */
static int open_regular(int root_fd, const char *path, int flags, mode_t mode)
{
	int fd = open_beneath(root_fd, path, flags | O_NONBLOCK | O_NOCTTY, mode);
	struct stat st = { 0 };

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	(void)fd_close(fd);
	return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
}

static int file_stat(int root_fd, struct agent_in *in, struct buf *out)
{
	const char *path = agent_get_str(in, AGENT_PATH_MAX);
	_close_ int fd = -1;
	struct agent_stat a;
	struct stat st;

	if (!agent_get_done(in))
		return -EPROTO;
	fd = open_beneath(root_fd, path, O_PATH, 0);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	a = (struct agent_stat){ .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid, .size = (uint64_t)st.st_size };
	a.mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000U + (uint64_t)st.st_mtim.tv_nsec;
	agent_put_stat(out, &a);
	return 0;
}

/* Names until the frame is full. Returns the place to go on from, 0 at the end. */
static uint64_t put_names(DIR *dir, struct buf *out)
{
	size_t start = out->len;
	const struct dirent *d;

	/* One thread: readdir(3) keeps its state in @dir. */
	while ((d = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0) {
			agent_put_u8(out, d->d_type);
			agent_put_str(out, d->d_name);
		}
		if (out->len - start >= READDIR_BYTES)
			return (uint64_t)d->d_off;
	}
	return 0;
}

static int file_readdir(int root_fd, struct agent_in *in, struct buf *out)
{
	uint64_t cookie = agent_get_u64(in), be = 0;
	const char *path = agent_get_str(in, AGENT_PATH_MAX);
	size_t at = out->len;
	struct buf next = BUF_INIT(sizeof(be));
	DIR *dir;
	int fd;

	if (!agent_get_done(in))
		return -EPROTO;
	fd = open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		(void)fd_close(fd);
		return -ENOMEM;
	}
	if (cookie > 0)
		seekdir(dir, (long)cookie);
	agent_put_u64(out, 0);
	agent_put_u64(&next, put_names(dir, out));
	(void)closedir(dir);
	if (!out->full && next.len == sizeof(be))
		memcpy(out->data + at, next.data, sizeof(be));
	buf_finish(&next);
	return 0;
}

static int file_read(int root_fd, struct agent_in *in, struct buf *out)
{
	uint64_t offset = agent_get_u64(in);
	uint32_t len = agent_get_u32(in);
	const char *path = agent_get_str(in, AGENT_PATH_MAX);
	uint8_t data[AGENT_DATA_MAX];
	_close_ int fd = -1;
	size_t left = len;

	if (!agent_get_done(in) || left > sizeof(data) || offset > INT64_MAX - sizeof(data))
		return -EPROTO;
	fd = open_regular(root_fd, path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	while (left > 0) {
		size_t got = len - left;
		ssize_t n = pread(fd, data + got, left, (off_t)(offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		left = (size_t)n < left ? left - (size_t)n : 0;
	}
	agent_put_bytes(out, data, len - left);
	return 0;
}

static int write_range(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int file_write(int root_fd, struct agent_in *in, struct buf *out)
{
	uint64_t offset = agent_get_u64(in);
	uint32_t flags = agent_get_u32(in), mode = agent_get_u32(in);
	const char *path = agent_get_str(in, AGENT_PATH_MAX);
	_close_ int fd = -1;
	int how = O_WRONLY, r;

	if (in->bad || in->left > AGENT_DATA_MAX || flags > 15 || offset > INT64_MAX - AGENT_DATA_MAX)
		return -EPROTO;
	how |= flags & AGENT_WRITE_CREATE ? O_CREAT : 0;
	how |= flags & AGENT_WRITE_EXCL ? O_EXCL : 0;
	fd = open_regular(root_fd, path, how, mode);
	if (fd < 0)
		return fd;
	/* Not O_TRUNC: what it is has to be known first. */
	if ((flags & AGENT_WRITE_TRUNCATE) && ftruncate(fd, (off_t)offset) < 0)
		return -errno;
	r = write_range(fd, in->at, in->left, offset);
	if (r == 0 && (flags & AGENT_WRITE_SYNC) && fsync(fd) < 0)
		r = -errno;
	agent_put_u32(out, (uint32_t)in->left);
	return r;
}

/* Atomic also over a power cut: the file's bytes first, then its new name. */
static int file_rename(int root_fd, struct agent_in *in)
{
	uint32_t keep = agent_get_u32(in);
	const char *from = agent_get_str(in, AGENT_PATH_MAX), *to = agent_get_str(in, AGENT_PATH_MAX), *from_name, *to_name;
	_close_ int from_fd = -1, to_fd = -1, fd = -1;

	if (!agent_get_done(in) || keep > 1)
		return -EPROTO;
	from_fd = open_parent(root_fd, from, &from_name);
	if (from_fd < 0)
		return from_fd;
	to_fd = open_parent(root_fd, to, &to_name);
	if (to_fd < 0)
		return to_fd;
	fd = openat(from_fd, from_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd) < 0 && errno != EINVAL)
		return -errno;
	if (renameat2(from_fd, from_name, to_fd, to_name, keep ? RENAME_NOREPLACE : 0) < 0)
		return -errno;
	if (fsync(from_fd) < 0 || fsync(to_fd) < 0)
		return -errno;
	return 0;
}

static int file_remove(int root_fd, struct agent_in *in)
{
	const char *path = agent_get_str(in, AGENT_PATH_MAX), *name;
	_close_ int dir_fd = -1;

	if (!agent_get_done(in))
		return -EPROTO;
	dir_fd = open_parent(root_fd, path, &name);
	if (dir_fd < 0)
		return dir_fd;
	if (unlinkat(dir_fd, name, 0) == 0 || (errno == EISDIR && unlinkat(dir_fd, name, AT_REMOVEDIR) == 0))
		return 0;
	return -errno;
}

static int file_mkdir(int root_fd, struct agent_in *in)
{
	uint32_t mode = agent_get_u32(in);
	const char *path = agent_get_str(in, AGENT_PATH_MAX), *name;
	_close_ int dir_fd = -1;

	if (!agent_get_done(in))
		return -EPROTO;
	dir_fd = open_parent(root_fd, path, &name);
	if (dir_fd < 0)
		return dir_fd;
	return mkdirat(dir_fd, name, mode & 07777) < 0 ? -errno : 0;
}

int file_request(int root_fd, uint8_t type, struct agent_in *body, struct buf *out)
{
	switch (type) {
	case AGENT_STAT:
		return file_stat(root_fd, body, out);
	case AGENT_READDIR:
		return file_readdir(root_fd, body, out);
	case AGENT_READ:
		return file_read(root_fd, body, out);
	case AGENT_WRITE:
		return file_write(root_fd, body, out);
	case AGENT_RENAME:
		return file_rename(root_fd, body);
	case AGENT_REMOVE:
		return file_remove(root_fd, body);
	case AGENT_MKDIR:
		return file_mkdir(root_fd, body);
	default:
		return -EOPNOTSUPP;
	}
}
