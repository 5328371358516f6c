/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/standby.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

#define MARGIN_BYTES (64ULL << 20) /* for devices, and for whoever else writes meanwhile */
#define NOTE_MAX     1024

static void path_of(const char *dir, const char *id, const char *kind, char out[STANDBY_PATH_BYTES])
{
	(void)snprintf(out, STANDBY_PATH_BYTES, "%.400s/%.40s.%s", dir, id, kind);
}

int standby_prepare(const char *dir, struct err *e)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make %s: %s", dir, strerror(errno));
	if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
		return err_set(e, -EPERM, "%s must be a directory of this user that nobody else may enter", dir);
	return 0;
}

void standby_drop(const char *dir, const char *id)
{
	static const char *const kinds[] = { "json", "memory", "ring" };
	char path[STANDBY_PATH_BYTES];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		path_of(dir, id, kinds[i], path);
		(void)unlink(path);
	}
}

int standby_begin(const char *dir, const char *id, uint64_t bytes, struct err *e)
{
	char path[STANDBY_PATH_BYTES];
	struct statvfs fs;
	int fd;

	standby_drop(dir, id);
	if (statvfs(dir, &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize < bytes + MARGIN_BYTES)
		return err_set(e, -ENOSPC, "there is no room in %s for its memory", dir);
	path_of(dir, id, "memory", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? err_set(e, -errno, "%s: %s", path, strerror(errno)) : fd;
}

static int write_note(const char *path, const struct standby_meta *m)
{
	json_t *root = json_pack("{s:s, s:I, s:I, s:I}", "vmm", m->vmm, "key", (json_int_t)m->key, "bytes", (json_int_t)m->bytes, "ring_bytes",
				 (json_int_t)m->ring_bytes);
	_free_ char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	_close_ int fd = -1;
	int r;

	json_decref(root);
	if (!text)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, text, strlen(text));
	return r < 0 ? r : fsync(fd) < 0 ? -errno : 0;
}

static int copy(int to, int from, uint64_t bytes)
{
	off_t at = 0;

	while ((uint64_t)at < bytes) {
		ssize_t n = sendfile(to, from, &at, (size_t)(bytes - (uint64_t)at));

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
	}
	return 0;
}

static int keep_ring(const char *path, const struct iovec ring[2])
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : fd_write_all(fd, ring[0].iov_base, ring[0].iov_len);

	return r < 0 ? r : fd_write_all(fd, ring[1].iov_base, ring[1].iov_len);
}

int standby_commit(const char *dir, const char *id, const struct iovec ring[2], struct standby_meta *meta, struct err *e)
{
	char path[STANDBY_PATH_BYTES];
	struct stat st;
	int r;

	path_of(dir, id, "memory", path);
	r = stat(path, &st) < 0 ? -errno : 0;
	meta->bytes = r == 0 ? (uint64_t)st.st_size : 0;
	meta->ring_bytes = (uint32_t)(ring[0].iov_len + ring[1].iov_len);
	path_of(dir, id, "ring", path);
	if (r == 0)
		r = keep_ring(path, ring);
	path_of(dir, id, "json", path);
	if (r == 0)
		r = write_note(path, meta);
	if (r == 0)
		return 0;
	standby_drop(dir, id);
	return err_set(e, r, "it cannot be kept in %s: %s", dir, strerror(-r));
}

static int read_note(const char *path, struct standby_meta *m)
{
	char text[NOTE_MAX];
	long n = fd_read_file(AT_FDCWD, path, text, sizeof(text));
	json_t *root = n > 0 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *vmm = json_string_value(json_object_get(root, "vmm"));
	json_int_t ring = json_integer_value(json_object_get(root, "ring_bytes"));
	int r = vmm && strlen(vmm) < sizeof(m->vmm) && ring > 0 && ring <= UINT32_MAX ? 0 : -EBADMSG;

	memset(m, 0, sizeof(*m));
	if (r == 0) {
		(void)snprintf(m->vmm, sizeof(m->vmm), "%s", vmm);
		m->key = (uint64_t)json_integer_value(json_object_get(root, "key"));
		m->bytes = (uint64_t)json_integer_value(json_object_get(root, "bytes"));
		m->ring_bytes = (uint32_t)ring;
	}
	json_decref(root);
	return r;
}

int standby_open(const char *dir, const char *id, struct standby_meta *meta)
{
	char path[STANDBY_PATH_BYTES];
	_close_ int fd = -1;
	struct stat st;
	int r;

	path_of(dir, id, "json", path);
	r = read_note(path, meta);
	if (r < 0)
		return r;
	path_of(dir, id, "memory", path);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return (uint64_t)st.st_size == meta->bytes ? fd_take(&fd) : -EBADMSG;
}

int standby_ring(const char *dir, const char *id, int ring_fd, uint32_t bytes)
{
	char path[STANDBY_PATH_BYTES];
	_close_ int fd = -1;
	struct stat st;

	path_of(dir, id, "ring", path);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != bytes || lseek(ring_fd, 0, SEEK_SET) != 0)
		return -EBADMSG;
	return copy(ring_fd, fd, bytes);
}
