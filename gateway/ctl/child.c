/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/child.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

#define ARGS_MAX      24
#define PATH_PRESET   "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define LOOK_MS	      1000
#define OPEN_DIRS_MAX 32

/* nftw() has no argument for its callback; this program has one thread. */
static struct {
	uint64_t bytes, files;
} sum;

static int add_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (type != FTW_NS)
		sum.bytes += (uint64_t)st->st_blocks * 512;
	sum.files++;
	return 0;
}

int child_measure(const char *folder, uint64_t *bytes, uint64_t *files)
{
	sum.bytes = sum.files = 0;
	if (nftw(folder, add_up, OPEN_DIRS_MAX, FTW_PHYS) < 0)
		return -errno;
	*bytes = sum.bytes;
	*files = sum.files;
	return 0;
}

/* Folders that their owner may not enter are opened up on the way down, the second time. */
static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if ((type == FTW_D || type == FTW_DNR) && (st->st_mode & 0700) != 0700)
		(void)chmod(path, 0700);
	return 0;
}

static int take_away(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path);
	return 0;
}

void child_remove(const char *folder)
{
	(void)nftw(folder, open_up, OPEN_DIRS_MAX, FTW_PHYS | FTW_MOUNT);
	(void)nftw(folder, take_away, OPEN_DIRS_MAX, FTW_PHYS | FTW_MOUNT | FTW_DEPTH);
}

/* Of what the program printed: a reason is the last thing that is said. */
static void last_line(const char *path, char *out, size_t size)
{
	char data[2048];
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	ssize_t n = fd >= 0 ? pread(fd, data, sizeof(data) - 1, end > (off_t)sizeof(data) - 1 ? end - (off_t)sizeof(data) + 1 : 0) : 0;
	char *line;

	out[0] = '\0';
	while (n > 0 && (data[n - 1] == '\n' || data[n - 1] == ' '))
		n--;
	if (n <= 0)
		return;
	data[n] = '\0';
	line = strrchr(data, '\n');
	(void)snprintf(out, size, "%.*s", (int)size - 1, line ? line + 1 : data);
	for (; *out; out++) {
		if ((unsigned char)*out < ' ' || *out == 0x7f)
			*out = '?'; /* file names of an image may be in it */
	}
}

static int start(const struct child *c, pid_t *pid, struct err *e)
{
	const char *argv[ARGS_MAX + 16] = { NULL };
	char home[1100], tmp[1100], run[1100], uid[16], path[] = PATH_PRESET, locale[] = "LC_ALL=C.UTF-8";
	char *env[] = { path, locale, home, tmp, run, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	size_t n = 0;
	int r;

	(void)snprintf(home, sizeof(home), "HOME=%s", c->home);
	(void)snprintf(tmp, sizeof(tmp), "TMPDIR=%s", c->home);
	(void)snprintf(run, sizeof(run), "XDG_RUNTIME_DIR=%s", c->home);
	if (c->uid != 0) {
		(void)snprintf(uid, sizeof(uid), "%u", c->uid);
		for (const char *const *word = (const char *const[]){ "setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--no-new-privs", NULL }; *word; word++)
			argv[n++] = *word;
	}
	for (const char *const *word = (const char *const[]){ "unshare", "--user", "--map-root-user", "--net", "--", NULL }; c->alone && *word; word++)
		argv[n++] = *word;
	for (size_t i = 0; c->argv[i] && i < ARGS_MAX; i++)
		argv[n++] = c->argv[i];
	if (!argv[0])
		return err_set(e, -EINVAL, "no program");
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_addopen(&files, 1, c->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	(void)posix_spawn_file_actions_adddup2(&files, 1, 2);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	r = posix_spawnp(pid, argv[0], &files, &attr, (char *const *)(uintptr_t)argv, env);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	if (r == ENOENT)
		return err_set(e, -r, "%s is not installed; deploy/install-deps.sh image installs it", argv[0]);
	return r == 0 ? 0 : err_set(e, -r, "%s: %s", argv[0], strerror(r));
}

static int look(const struct child *c, time_t began, struct err *e)
{
	uint64_t bytes = 0, files = 0;
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - began > c->timeout_s)
		return err_set(e, -ETIMEDOUT, "%s has not ended in %u s", c->argv[0], c->timeout_s);
	/* It changes while it is looked at: a folder may be gone. */
	if (!c->watched || child_measure(c->watched, &bytes, &files) < 0)
		return 0;
	if (bytes > c->bytes_max)
		return err_set(e, -EFBIG, "the image takes more than %llu MiB", (unsigned long long)c->bytes_max >> 20);
	if (files > c->files_max)
		return err_set(e, -EFBIG, "the image has more than %llu files", (unsigned long long)c->files_max);
	return 0;
}

int child_run(const struct child *c, struct err *e)
{
	struct rlimit largest = { c->bytes_max, c->bytes_max };
	struct timespec began;
	char why[200];
	pid_t pid = -1;
	int status, r = start(c, &pid, e);
	_close_ int pid_fd = -1;

	if (r < 0)
		return r;
	(void)clock_gettime(CLOCK_MONOTONIC, &began);
	pid_fd = (int)syscall(SYS_pidfd_open, pid, 0U);
	if (c->bytes_max > 0)
		(void)prlimit(pid, RLIMIT_FSIZE, &largest, NULL);
	if (pid_fd < 0)
		r = err_set(e, -errno, "pidfd_open: %s", strerror(errno));
	for (struct pollfd p = { .fd = pid_fd, .events = POLLIN }; r == 0 && poll(&p, 1, LOOK_MS) <= 0;)
		r = look(c, began.tv_sec, e);
	(void)kill(-pid, SIGKILL); /* or only what it has left behind: it has not been waited for, so the number is still its own */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return r;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return look(c, began.tv_sec, e);
	last_line(c->log, why, sizeof(why));
	return err_set(e, -EIO, "%s could not do it: %s", c->argv[0], why[0] ? why : WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it does not say why");
}
