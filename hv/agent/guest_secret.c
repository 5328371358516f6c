/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets: files in the guest's memory only, below run/secrets of the agent's root, which is a tmpfs of its own. No disk and no log gets their bytes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define DIRECTORY "secrets"
#define NEW_NAME  ".new~" /* no name of a secret: ~ is in none */
#define MODE	  0400
/* All names fit one answer of READDIR. */
#define OPTIONS	  "mode=0711,size=8m,nr_inodes=257"
#define PASSWD_MAX 65536

static int open_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* In memory, apart from its parent, and nobody else can put names there. */
static bool is_ours(int run_fd, int fd)
{
	struct stat parent, st;
	struct statfs fs;

	return fstat(run_fd, &parent) == 0 && fstat(fd, &st) == 0 && fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC && st.st_dev != parent.st_dev &&
	       st.st_uid == geteuid() && !(st.st_mode & 0022);
}

static int mount_on(int fd)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* Never into a swap file either, where the kernel can do that. */
	if (mount("tmpfs", path, "tmpfs", flags, OPTIONS ",noswap") == 0 || mount("tmpfs", path, "tmpfs", flags, OPTIONS) == 0)
		return 0;
	return -errno;
}

/* Returns a descriptor of the directory, which is made when there is none and @make. */
static int open_secrets(int root_fd, bool make)
{
	_close_ int run_fd = open_directory(root_fd, "run"), fd = -1;
	int r;

	if (run_fd < 0)
		return run_fd;
	if (make && mkdirat(run_fd, DIRECTORY, 0711) < 0 && errno != EEXIST)
		return -errno;
	fd = open_directory(run_fd, DIRECTORY);
	if (fd < 0 || is_ours(run_fd, fd))
		return fd_take(&fd);
	r = make ? mount_on(fd) : -ENOENT;
	(void)fd_close(fd_take(&fd));
	if (r < 0)
		return r;
	fd = open_directory(run_fd, DIRECTORY);
	return fd < 0 || is_ours(run_fd, fd) ? fd_take(&fd) : -EIO;
}

/* Who that is in this guest: a number stands for itself. Return: 0, or -ESRCH */
static int find_owner(int root_fd, const char *owner, uid_t *uid, gid_t *gid)
{
	_free_ char *text = malloc(PASSWD_MAX);
	size_t len = strlen(owner);
	bool number = strspn(owner, "0123456789") == len;
	char *save = NULL;

	*uid = *gid = number ? (uid_t)strtoul(owner, NULL, 10) : 0;
	if (!text)
		return -ENOMEM;
	if (fd_read_file(root_fd, "etc/passwd", text, PASSWD_MAX) < 0)
		return number ? 0 : -ESRCH;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long u = 0, g = 0;
		const char *name_end = strchr(line, ':'), *third = name_end ? strchr(name_end + 1, ':') : NULL;
		char *at = line;

		u = third ? strtoul(third + 1, &at, 10) : 0;
		if (!third || *at != ':')
			continue;
		g = strtoul(at + 1, NULL, 10);
		if (number ? u != *uid : (size_t)(name_end - line) != len || memcmp(line, owner, len) != 0)
			continue;
		*uid = (uid_t)u;
		*gid = (gid_t)g;
		return 0;
	}
	return number ? 0 : -ESRCH;
}

/* What a name leads to now, to be overwritten when it is out of sight. Return: -1 for none */
static int open_old(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* Freed memory keeps what was in it until somebody else needs it; it may be written to a disk with the whole machine before. */
static void overwrite(int fd)
{
	static const uint8_t zeros[4096];
	struct stat st;
	off_t at = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	while (at < st.st_size) {
		ssize_t n = pwrite(fd, zeros, sizeof(zeros), at);

		if (n <= 0)
			return;
		at += n;
	}
}

static int put(int root_fd, int dir_fd, const struct agent_secret *s)
{
	uid_t uid = 0;
	gid_t gid = 0;
	int owner = s->owner[0] ? find_owner(root_fd, s->owner, &uid, &gid) : 0;
	_close_ int fd = -1, old = -1;
	int r;

	if (owner < 0)
		return owner;
	(void)unlinkat(dir_fd, NEW_NAME, 0); /* of an agent that was killed here */
	fd = openat(dir_fd, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, s->data, s->len);
	old = open_old(dir_fd, s->name);
	if (r == 0 && s->owner[0] && fchown(fd, uid, gid) < 0)
		r = -errno;
	if (r == 0 && (fchmod(fd, s->mode ? s->mode : MODE) < 0 || renameat(dir_fd, NEW_NAME, dir_fd, s->name) < 0))
		r = -errno;
	if (r == 0)
		overwrite(old);
	else
		(void)unlinkat(dir_fd, NEW_NAME, 0);
	return r;
}

static int drop(int dir_fd, const char *name)
{
	_close_ int fd = open_old(dir_fd, name);

	if (unlinkat(dir_fd, name, 0) < 0)
		return -errno;
	overwrite(fd);
	return 0;
}

static int drop_all(int dir_fd)
{
	int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *d;

	if (!dir) {
		(void)fd_close(copy);
		return -ENOMEM;
	}
	while ((d = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 && drop(dir_fd, d->d_name) < 0)
			r = -EIO;
	}
	(void)closedir(dir);
	return r;
}

void secret_prepare(int root_fd)
{
	_close_ int dir_fd = open_secrets(root_fd, true);

	(void)dir_fd;
}

int secret_apply(int root_fd, const struct agent_secret *s)
{
	_close_ int dir_fd = open_secrets(root_fd, s->how == AGENT_SECRET_PUT);

	if (dir_fd < 0)
		return dir_fd == -ENOENT && s->how == AGENT_SECRET_ALL ? 0 : dir_fd;
	if (s->how == AGENT_SECRET_ALL)
		return drop_all(dir_fd);
	if (s->how == AGENT_SECRET_REMOVE)
		return drop(dir_fd, s->name);
	return put(root_fd, dir_fd, s);
}
