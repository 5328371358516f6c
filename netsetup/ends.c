/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/ends.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#define COLS_PRESET 80
#define ROWS_PRESET 24
#define LISTEN_BACKLOG 16
#define FIFO_BYTES (256 * 1024)

/* One end of a stream pair for the child, the other, which never blocks, for us. */
static int open_pair(int *near, int *far)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*near = pair[0];
	*far = pair[1];
	return fd_nonblock(pair[0]);
}

/* The device node belongs to whoever opened the master, by its file system uid. */
static int open_master(uid_t uid)
{
	int fd;

	if (uid)
		(void)setfsuid(uid);
	fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (uid)
		(void)setfsuid(geteuid());
	return fd;
}

static int open_pty(int *near, int *far, const struct netd_vm_spawn *s, uid_t uid)
{
	struct winsize size = { .ws_col = s->cols ? s->cols : COLS_PRESET,
				.ws_row = s->rows ? s->rows : ROWS_PRESET };
	struct termios mode;
	int unlocked = 0;

	*near = open_master(uid);
	if (*near < 0 || ioctl(*near, TIOCSPTLCK, &unlocked) < 0)
		return -errno;
	/* By number instead of by name: /dev/pts may be another instance's. */
	*far = ioctl(*near, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*far < 0 || tcgetattr(*far, &mode) < 0)
		return -errno;
	mode.c_iflag |= IUTF8;
	if (tcsetattr(*far, TCSANOW, &mode) < 0 || ioctl(*far, TIOCSWINSZ, &size) < 0)
		return -errno;
	return 0;
}

static int open_ring(int *near, uint32_t bytes)
{
	*near = memfd_create("terrarium-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* Its size is fixed from now on: whoever maps it cannot be hurt by another holder. */
	if (*near < 0 || ftruncate(*near, bytes) < 0 ||
	    fcntl(*near, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return 0;
}

static int open_log(int *near, int *far)
{
	int r = open_pair(near, far);

	/* A process must not stand still because nobody reads its log. */
	return r < 0 ? r : fd_nonblock(*far);
}

/*
 * Safe because: the file is made in a directory that only we can enter, loses its name at once, and only then
 * may be connected to by others: by those who were given the FD. An abstract name would be open to every
 * machine's process in this network namespace.
 */
static int open_nameless(int *near, int *far, const char *dir)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char own[32];
	int r;

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
	*far = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*far < 0 || bind(*far, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	*near = open(addr.sun_path, O_PATH | O_CLOEXEC);
	r = *near < 0 || listen(*far, LISTEN_BACKLOG) < 0 ? -errno : 0;
	if (unlink(addr.sun_path) < 0 && r == 0)
		r = -errno;
	(void)snprintf(own, sizeof(own), "/proc/self/fd/%d", *near);
	if (r == 0 && chmod(own, 0666) < 0)
		r = -errno;
	return r;
}

static int open_listener(int *near, int *far)
{
	char dir[] = "/tmp/terrarium-netd.XXXXXX";
	int r;

	if (!mkdtemp(dir))
		return -errno;
	r = open_nameless(near, far, dir);
	(void)rmdir(dir);
	return r;
}

/*
 * Safe because: everything is done with the rights of the slot's uid, so nothing is reached by it that the process itself could not reach. It is
 * reached by the FD, for the process may have put something else in place of the name; and only a socket of that uid is connected to.
 */
int ends_dir_connect(const struct ends_dir *dir)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_close_ int file = -1;
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;
	int r = 0;

	if (dir->fd < 0)
		return -EOPNOTSUPP;
	if (dir->uid)
		(void)setfsuid(dir->uid);
	file = openat(dir->fd, NETD_SOCKET_NAME, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || file < 0 || fstat(file, &st) < 0)
		r = -errno;
	else if (!S_ISSOCK(st.st_mode) || st.st_uid != (dir->uid ? dir->uid : geteuid()))
		r = -EPERM;
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", file);
	if (r == 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		r = -errno;
	if (dir->uid)
		(void)setfsuid(geteuid());
	return r < 0 ? r : fd_take(&fd);
}

void ends_dir_remove(struct ends_dir *dir)
{
	if (dir->fd < 0)
		return;
	if (dir->uid)
		(void)setfsuid(dir->uid);
	(void)unlinkat(dir->fd, NETD_SOCKET_NAME, 0);
	if (rmdir(dir->path) < 0)
		log_warn("%s of a process that has ended cannot be removed: %s", dir->path, strerror(errno));
	if (dir->uid)
		(void)setfsuid(geteuid());
	dir->fd = fd_close(dir->fd);
}

/* Of the slot's uid from the beginning. */
static int open_dir(struct ends_dir *dir, int *far, uid_t uid)
{
	char path[] = "/tmp/terrarium-netd.XXXXXX";
	int r = 0;

	if (uid)
		(void)setfsuid(uid);
	if (!mkdtemp(path) || (dir->fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		r = -errno;
	if (uid)
		(void)setfsuid(geteuid());
	if (r < 0)
		return r;
	dir->uid = uid;
	(void)snprintf(dir->path, sizeof(dir->path), "%s", path);
	*far = fcntl(dir->fd, F_DUPFD_CLOEXEC, 0);
	return *far < 0 ? -errno : 0;
}

/* The far end first, or there would be none to open without waiting. It may be opened again by the child's own uid. */
static int open_fifo_at(int *near, int *far, const char *path)
{
	int r = 0;

	if (mkfifo(path, 0600) < 0)
		return -errno;
	*near = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (*near >= 0)
		*far = open(path, O_WRONLY | O_CLOEXEC);
	if (*near < 0 || *far < 0 || fchmod(*far, 0622) < 0)
		r = -errno;
	if (unlink(path) < 0 && r == 0)
		r = -errno;
	if (r == 0)
		(void)fcntl(*near, F_SETPIPE_SZ, FIFO_BYTES); /* the kernel's preset of 64 KiB does as well */
	return r;
}

/*
 * A file's FIFO, no pipe: Landlock gives rights to what a file system holds only, and Cloud Hypervisor asks for the
 * right to write what it was told to log to.
 */
static int open_fifo(int *near, int *far)
{
	char dir[] = "/tmp/terrarium-netd.XXXXXX", path[sizeof(dir) + 2];
	int r;

	if (!mkdtemp(dir))
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/f", dir);
	r = open_fifo_at(near, far, path);
	(void)rmdir(dir);
	return r;
}

static int open_one(struct ends *out, size_t i, const struct netd_vm_spawn *s, uid_t uid)
{
	switch (s->want[i]) {
	case NETD_FD_TAP:
		out->child[out->nchild++] = -1;
		return 0;
	case NETD_FD_STREAM:
		return open_pair(&out->near[i], &out->child[out->nchild++]);
	case NETD_FD_LISTEN:
		return open_listener(&out->near[i], &out->child[out->nchild++]);
	case NETD_FD_DIR:
		return open_dir(&out->dir, &out->child[out->nchild++], uid);
	case NETD_FD_FIFO:
		return open_fifo(&out->near[i], &out->child[out->nchild++]);
	case NETD_FD_RING:
		return open_ring(&out->near[i], s->ring_bytes);
	case NETD_FD_STDIO:
		out->stdio[0] = out->stdio[1] = out->stdio[2] = true;
		return open_pair(&out->near[i], &out->stdio_fd);
	case NETD_FD_PTY:
		out->stdio[0] = out->stdio[1] = out->stdio[2] = true;
		out->ctty = true;
		return open_pty(&out->near[i], &out->stdio_fd, s, uid);
	case NETD_FD_LOG:
		out->stdio[1] = out->stdio[2] = true;
		return open_log(&out->near[i], &out->stdio_fd);
	default:
		return -EINVAL;
	}
}

int ends_open(struct ends *out, const struct netd_vm_spawn *s, uid_t uid, struct err *e)
{
	memset(out, 0, sizeof(*out));
	out->stdio_fd = out->dir.fd = -1;
	for (size_t i = 0; i < NETD_FDS_MAX; i++)
		out->near[i] = -1;
	for (size_t i = 0; i < NETD_FDS_MAX + NETD_FILES_MAX; i++)
		out->child[i] = -1;
	for (size_t i = 0; i < s->nwant; i++) {
		int r = open_one(out, i, s, uid);

		if (r == 0)
			continue;
		ends_close(out);
		return err_set(e, r, "cannot open the file descriptors of the process: %s", strerror(-r));
	}
	return 0;
}

void ends_files(struct ends *ends, int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ends->child[ends->nchild++] = fd_take(&fds[i]);
}

void ends_close_far(struct ends *ends)
{
	for (size_t i = 0; i < ends->nchild; i++)
		ends->child[i] = fd_close(ends->child[i]);
	ends->stdio_fd = fd_close(ends->stdio_fd);
}

void ends_close(struct ends *ends)
{
	ends_close_far(ends);
	ends_dir_remove(&ends->dir);
	for (size_t i = 0; i < NETD_FDS_MAX; i++)
		ends->near[i] = fd_close(ends->near[i]);
}
