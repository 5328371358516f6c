/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree as an archive, in the format of POSIX (pax): header blocks as ustar has them, and before them an extended header where a name, a
 * link's target or a size does not fit. Written by hand, for what tar(1) cannot be told: whom each file belongs to stands in an attribute of it.
 *
 * The tree comes from an image, so it is walked by descriptors: no name is followed through a link. Entries are sorted, hence the
 * same tree gives the same archive.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "gateway/ctl/oci.h"

#define BLOCK	     512
#define DEPTH_MAX    256
#define LINKS_MAX    65536 /* files with several names */
#define OWNER_XATTR  "user.rootlesscontainers"
#define OWNER_FOLDER "usr/lib/terrarium"

/* One header block: IEEE Std 1003.1, pax, ustar interchange format. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2], uname[32], gname[32],
		major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a block");

/* A file that has been written under one name, for its others. */
struct name {
	dev_t dev;
	ino_t ino;
	char *path; /* owned */
};

struct tar {
	int fd; /* borrowed */
	struct err *e;
	uint64_t epoch;
	struct name *names; /* owned */
	size_t nnames, cap;
	char out[64 << 10];
	size_t len;
};

struct item {
	const char *path, *link; /* without a slash in front; NULL for no link */
	char type;
	mode_t mode;
	uint32_t uid, gid;
	uint64_t size, mtime;
};

static int flush(struct tar *t)
{
	int r = fd_write_all(t->fd, t->out, t->len);

	t->len = 0;
	return r < 0 ? err_set(t->e, r, "the archive cannot be written: %s", strerror(-r)) : 0;
}

static int put(struct tar *t, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		size_t n = sizeof(t->out) - t->len < len ? sizeof(t->out) - t->len : len;

		memcpy(t->out + t->len, at, n);
		t->len += n;
		at += n;
		len -= n;
		if (t->len == sizeof(t->out)) {
			int r = flush(t);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int pad(struct tar *t, uint64_t size)
{
	static const char zero[BLOCK];

	return put(t, zero, (BLOCK - size % BLOCK) % BLOCK);
}

/* Octal digits and a NUL; a number that does not fit stands in the extended header, too. */
static void octal(char *field, size_t size, uint64_t n)
{
	for (field[--size] = '\0'; size-- > 0; n >>= 3)
		field[size] = (char)('0' + (n & 7));
}

/* Text without a NUL where it fills the field; where it does not fit, the extended header has it whole. */
static void field(char *out, size_t size, const char *text)
{
	size_t len = strlen(text);

	memcpy(out, text, len < size ? len : size);
}

static int put_header(struct tar *t, const struct item *i, char type, uint64_t size)
{
	struct header h = { .type = type, .magic = "ustar", .version = { '0', '0' } };
	unsigned sum = 0;

	field(h.name, sizeof(h.name), i->path);
	field(h.link, sizeof(h.link), i->link ? i->link : "");
	octal(h.mode, sizeof(h.mode), i->mode & 07777);
	octal(h.uid, sizeof(h.uid), i->uid);
	octal(h.gid, sizeof(h.gid), i->gid);
	octal(h.size, sizeof(h.size), size);
	octal(h.mtime, sizeof(h.mtime), i->mtime);
	memset(h.checksum, ' ', sizeof(h.checksum));
	for (size_t k = 0; k < sizeof(h); k++)
		sum += ((const unsigned char *)&h)[k];
	octal(h.checksum, 7, sum);
	return put(t, &h, sizeof(h));
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts its own digits. */
static int record(struct buf *b, const char *key, const char *value)
{
	size_t rest = strlen(key) + strlen(value) + 3, len = rest + 1;

	for (size_t digits = 1, n = 10; len >= n; n *= 10)
		len = rest + ++digits;
	return buf_printf(b, "%zu %s=%s\n", len, key, value);
}

static int put_item(struct tar *t, const struct item *i)
{
	struct buf more = BUF_INIT(4 * PATH_MAX);
	char number[24];
	int r = 0;

	if (strlen(i->path) >= sizeof(((struct header *)0)->name))
		r |= record(&more, "path", i->path);
	if (i->link && strlen(i->link) >= sizeof(((struct header *)0)->link))
		r |= record(&more, "linkpath", i->link);
	for (int k = 0; k < 3; k++) {
		uint64_t n = k == 0 ? i->uid : k == 1 ? i->gid : i->size;

		(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)n);
		if (n >= (k == 2 ? 1ULL << 33 : 1ULL << 21))
			r |= record(&more, k == 0 ? "uid" : k == 1 ? "gid" : "size", number);
	}
	if (r < 0)
		r = err_set(t->e, -ENAMETOOLONG, "a name in the image is too long: %.100s...", i->path);
	if (r == 0 && more.len > 0) {
		const struct item head = { .path = "pax", .mode = 0644, .mtime = t->epoch };

		r = put_header(t, &head, 'x', more.len);
		if (r == 0)
			r = put(t, more.data, more.len);
		if (r == 0)
			r = pad(t, more.len);
	}
	buf_finish(&more);
	return r == 0 ? put_header(t, i, i->type, i->size) : r;
}

/* --- the tree ---------------------------------------------------------------------------------------------------------- */

/* Two numbers, as protocol buffers write them: field 1 is the user, 2 the group. Absent fields are 0. */
static void read_owner(const uint8_t *p, size_t len, struct item *i)
{
	for (size_t at = 0; at < len;) {
		uint8_t key = p[at++];
		uint64_t n = 0;

		for (unsigned shift = 0; at < len && shift < 35; shift += 7) {
			n |= (uint64_t)(p[at] & 0x7f) << shift;
			if (!(p[at++] & 0x80))
				break;
		}
		if (n < UINT32_MAX && (key == 0x08 || key == 0x10))
			*(key == 0x08 ? &i->uid : &i->gid) = (uint32_t)n;
	}
}

/* Which other name has this file already? NULL: it is new, and remembered under @path. */
static const char *other_name(struct tar *t, const struct stat *st, const char *path)
{
	for (size_t i = 0; i < t->nnames; i++) {
		if (t->names[i].ino == st->st_ino && t->names[i].dev == st->st_dev)
			return t->names[i].path;
	}
	if (t->nnames == t->cap && t->cap < LINKS_MAX) {
		size_t cap = t->cap ? 2 * t->cap : 64;
		struct name *more = realloc(t->names, cap * sizeof(*more));

		if (!more)
			return NULL;
		t->names = more;
		t->cap = cap;
	}
	if (t->nnames < t->cap)
		t->names[t->nnames++] = (struct name){ .dev = st->st_dev, .ino = st->st_ino, .path = strdup(path) };
	return NULL;
}

/* What a builder may not read is the builder's own all the same. */
static int open_anyway(int dir_fd, const char *name, int flags, mode_t mode)
{
	int fd = openat(dir_fd, name, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 || errno != EACCES)
		return fd < 0 ? -errno : fd;
	if (fchmodat(dir_fd, name, mode | 0700, 0) < 0) /* the caller has seen that it is no link */
		return -errno;
	fd = openat(dir_fd, name, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int put_content(struct tar *t, int fd, const struct item *i)
{
	char data[32 << 10];
	uint64_t left = i->size;
	int r = put_item(t, i);

	while (r == 0 && left > 0) {
		ssize_t n = read(fd, data, left < sizeof(data) ? left : sizeof(data));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(t->e, n < 0 ? -errno : -EIO, "%s: %s", i->path, n < 0 ? strerror(errno) : "it has become shorter");
		r = put(t, data, (size_t)n);
		left -= (uint64_t)n;
	}
	return r == 0 ? pad(t, i->size) : r;
}

static int put_file(struct tar *t, int dir_fd, const char *name, const struct stat *st, struct item *i)
{
	const char *first = st->st_nlink > 1 ? other_name(t, st, i->path) : NULL;
	uint8_t owner[32];
	_close_ int fd = -1;
	ssize_t n;

	if (first) {
		i->type = '1';
		i->link = first;
		return put_item(t, i);
	}
	fd = open_anyway(dir_fd, name, 0, st->st_mode & 07777);
	if (fd < 0)
		return err_set(t->e, fd, "%s: %s", i->path, strerror(-fd));
	n = fgetxattr(fd, OWNER_XATTR, owner, sizeof(owner));
	read_owner(owner, n > 0 ? (size_t)n : 0, i);
	i->type = '0';
	i->size = (uint64_t)st->st_size;
	return put_content(t, fd, i);
}

static int put_link(struct tar *t, int dir_fd, const char *name, struct item *i)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target) - 1);
	int r;

	if (n < 0)
		return err_set(t->e, -errno, "%s: %s", i->path, strerror(errno));
	target[n] = '\0';
	i->type = '2';
	i->link = target;
	r = put_item(t, i);
	i->link = NULL;
	return r;
}

static int put_folder(struct tar *t, int dir_fd, const char *path, unsigned depth);

static int put_name(struct tar *t, int dir_fd, const char *folder, const char *name, unsigned depth)
{
	char path[PATH_MAX];
	struct item i = { .path = path };
	struct stat st;
	uint8_t owner[32];
	_close_ int fd = -1;
	ssize_t n;
	int r;

	if (snprintf(path, sizeof(path), "%s%s%s", folder, folder[0] ? "/" : "", name) >= (int)sizeof(path))
		return err_set(t->e, -ENAMETOOLONG, "a name in the image is too long: %.100s...", path);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(t->e, -errno, "%s: %s", path, strerror(errno));
	i.mode = st.st_mode & 07777;
	i.mtime = st.st_mtime > 0 ? (uint64_t)st.st_mtime & ((1ULL << 33) - 1) : 0;
	if (S_ISREG(st.st_mode))
		return put_file(t, dir_fd, name, &st, &i);
	if (S_ISLNK(st.st_mode))
		return put_link(t, dir_fd, name, &i);
	if (!S_ISDIR(st.st_mode) || strcmp(path, OWNER_FOLDER) == 0)
		return 0;
	if (depth == DEPTH_MAX)
		return err_set(t->e, -ELOOP, "the image has folders in more than %d levels", DEPTH_MAX);
	fd = open_anyway(dir_fd, name, O_DIRECTORY, i.mode);
	if (fd < 0)
		return err_set(t->e, fd, "%s: %s", path, strerror(-fd));
	n = fgetxattr(fd, OWNER_XATTR, owner, sizeof(owner));
	read_owner(owner, n > 0 ? (size_t)n : 0, &i);
	i.type = '5';
	r = put_item(t, &i);
	return r == 0 ? put_folder(t, fd, path, depth + 1) : r;
}

static int is_name(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int put_folder(struct tar *t, int dir_fd, const char *path, unsigned depth)
{
	struct dirent **names = NULL;
	int n = scandirat(dir_fd, ".", &names, is_name, by_bytes), r = 0;

	if (n < 0)
		return err_set(t->e, -errno, "%s: %s", path, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = put_name(t, dir_fd, path, names[i]->d_name, depth);
		free(names[i]);
	}
	free(names);
	return r;
}

/* Folders on the way that the image lacks are made; what it has there must be folders. */
static int put_entry(struct tar *t, int root_fd, const struct buf *entry)
{
	static const char *const way[] = { "usr", "usr/lib" };
	struct item i = { .path = &ENTRY_PATH[1], .type = '0', .mode = 0644, .size = entry->len, .mtime = t->epoch };
	struct item folder = { .type = '5', .mode = 0755, .mtime = t->epoch };
	struct stat st;
	int r = 0;

	for (size_t k = 0; r == 0 && k < sizeof(way) / sizeof(way[0]); k++) {
		folder.path = way[k];
		if (fstatat(root_fd, way[k], &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = errno == ENOENT ? put_item(t, &folder) : err_set(t->e, -errno, "%s: %s", way[k], strerror(errno));
		else if (!S_ISDIR(st.st_mode))
			r = err_set(t->e, -ENOTSUP, "the image's /%s is no folder: this cannot be made a machine", way[k]);
	}
	folder.path = OWNER_FOLDER;
	if (r == 0)
		r = put_item(t, &folder);
	if (r == 0)
		r = put_item(t, &i);
	if (r == 0)
		r = put(t, entry->data, entry->len);
	return r == 0 ? pad(t, entry->len) : r;
}

int oci_write_tar(int root_fd, int tar_fd, const struct buf *entry, uint64_t epoch, struct err *e)
{
	static const char end[2 * BLOCK];
	const struct item top = { .path = "./", .type = '5', .mode = 0755, .mtime = epoch };
	struct tar *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(e, -ENOMEM, "no memory");
	t->fd = tar_fd;
	t->e = e;
	t->epoch = epoch;
	r = put_item(t, &top);
	if (r == 0)
		r = put_folder(t, root_fd, "", 0);
	if (r == 0)
		r = put_entry(t, root_fd, entry);
	if (r == 0)
		r = put(t, end, sizeof(end));
	if (r == 0)
		r = flush(t);
	for (size_t i = 0; i < t->nnames; i++)
		free(t->names[i].path);
	free(t->names);
	free(t);
	return r;
}
