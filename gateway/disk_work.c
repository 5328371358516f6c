/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/disk_work.h"

#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/thread.h"

#define LOCK_AT	   (INT64_MAX - 4096) /* QEMU locks bytes 100 to 300, Cloud Hypervisor those of the file */
#define NAME_BYTES 48		      /* of a file in the directory */
#define SAID_BYTES 512		      /* kept of what a tool prints */

struct disk_work {
	struct loop *loop; /* borrowed */
	void (*done)(void *arg, struct disk_job *job);
	void *arg;
	char dir[256];
	int dir_fd; /* owned */
	pthread_t thread;
	bool started;
	ev_async wake;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t todo_more;
	struct disk_job *todo, **todo_last, *finished, **finished_last;
	bool stop;
};

int disk_dir_fd(const struct disk_work *w)
{
	return w->dir_fd;
}

int disk_lock(int fd)
{
	struct flock others = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct flock ours = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_AT, .l_len = 1 };

	if (fcntl(fd, F_OFD_GETLK, &others) < 0)
		return -errno;
	if (others.l_type != F_UNLCK)
		return -EBUSY;
	if (fcntl(fd, F_OFD_SETLK, &ours) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* --- tools ------------------------------------------------------------------------------------------------------------- */

static const struct tool {
	const char *name, *package;
	int good; /* the highest exit status that is no failure */
} mke2fs = { "mke2fs", "e2fsprogs", 0 }, e2fsck = { "e2fsck", "e2fsprogs", 1 }, resize2fs = { "resize2fs", "e2fsprogs", 0 },
  cp = { "cp", "coreutils", 0 };

/* The last line that is not empty: tools say what they do before they say what is wrong. */
static const char *last_line(char *text)
{
	const char *best = "";
	char *line;

	while ((line = strsep(&text, "\r\n")))
		if (line[0] != '\0')
			best = line;
	return best;
}

static void read_words(int fd, char *out, size_t size)
{
	size_t len = 0;
	char more[256];
	ssize_t n;

	while ((n = read(fd, more, sizeof(more))) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0)
			(void)tail_add(out, &len, size - 1, more, (size_t)n);
	}
	out[len] = '\0';
}

static int set_up(posix_spawn_file_actions_t *fa, posix_spawnattr_t *attr, int dir_fd, int out)
{
	sigset_t none, pipe_only;
	int r = posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);

	(void)sigemptyset(&none);
	(void)sigemptyset(&pipe_only);
	(void)sigaddset(&pipe_only, SIGPIPE);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(fa, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(fa, out, 2);
	if (r == 0)
		r = posix_spawn_file_actions_addfchdir_np(fa, dir_fd);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(fa, 3);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attr, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attr, &pipe_only);
	return r == 0 ? posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) : r;
}

/*
 * Return: 0 or the errno of posix_spawn(3); ENOENT where none of the places has the program. It is looked for first: not everywhere does the
 * parent hear what exec(2) said (valgrind).
 */
static int start(pid_t *pid, const struct tool *tool, char *const *argv, int dir_fd, int out)
{
	static const char *const places[] = { "/usr/sbin", "/sbin", "/usr/bin", "/bin" };
	static char *const env[] = { (char *)(uintptr_t)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)(uintptr_t)"LC_ALL=C.UTF-8", NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int r = ENOENT;

	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawnattr_init(&attr);
	if (set_up(&fa, &attr, dir_fd, out) == 0) {
		for (size_t i = 0; r == ENOENT && i < sizeof(places) / sizeof(places[0]); i++) {
			char path[64];

			(void)snprintf(path, sizeof(path), "%s/%s", places[i], tool->name);
			if (access(path, X_OK) == 0)
				r = posix_spawn(pid, path, &fa, &attr, argv, env);
		}
	} else {
		r = ENOMEM;
	}
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&fa);
	return r;
}

/* Run a tool in the directory and wait for its end; this thread may. Its arguments are ours alone: ids, numbers and fixed words. */
static int run(const struct disk_work *w, const struct tool *tool, const char *const *args, struct err *e)
{
	char said[SAID_BYTES];
	const char *argv[24] = { tool->name };
	int fds[2], status = 0, r;
	pid_t pid = 0;

	for (size_t i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, -errno, "no pipe to %s: %s", tool->name, strerror(errno));
	r = start(&pid, tool, (char *const *)(uintptr_t)argv, w->dir_fd, fds[1]);
	(void)fd_close(fds[1]);
	if (r == 0) {
		read_words(fds[0], said, sizeof(said));
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	(void)fd_close(fds[0]);
	if (r == ENOENT)
		return err_set(e, -ENOENT, "%s is missing on the server: install %s", tool->name, tool->package);
	if (r != 0)
		return err_set(e, -r, "cannot start %s: %s", tool->name, strerror(r));
	if (WIFEXITED(status) && WEXITSTATUS(status) <= tool->good)
		return 0;
	return err_set(e, -EIO, "%s: %s", tool->name, last_line(said));
}

/* --- jobs -------------------------------------------------------------------------------------------------------------- */

static int sync_fd(int fd, const char *what, struct err *e)
{
	return fsync(fd) == 0 ? 0 : err_set(e, -errno, "cannot bring %s to the disk: %s", what, strerror(errno));
}

static void name_of(char out[NAME_BYTES], const char *id, const char *suffix)
{
	(void)snprintf(out, NAME_BYTES, "%s%s", id, suffix);
}

/*
 * The new file gets its name. Anybody may open it who is given it: the VMM runs as another user, and Cloud Hypervisor opens its descriptor again. Nobody is who is
 * not: the directory is closed to others.
 */
static int publish(const struct disk_work *w, const char *id, struct err *e)
{
	char new[NAME_BYTES], img[NAME_BYTES];
	_close_ int fd = -1;
	int r;

	name_of(new, id, ".new");
	name_of(img, id, ".img");
	fd = openat(w->dir_fd, new, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fchmod(fd, 0666) < 0)
		return err_set(e, -errno, "cannot open the new disk: %s", strerror(errno));
	r = sync_fd(fd, "the new disk", e);
	if (r == 0 && renameat(w->dir_fd, new, w->dir_fd, img) < 0)
		r = err_set(e, -errno, "cannot name the new disk: %s", strerror(errno));
	return r == 0 ? sync_fd(w->dir_fd, "the directory of disks", e) : r;
}

static bool is_there(const struct disk_work *w, const char *id, struct stat *st)
{
	char img[NAME_BYTES];

	name_of(img, id, ".img");
	return fstatat(w->dir_fd, img, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int make(const struct disk_work *w, const struct disk_job *job, struct err *e)
{
	char new[NAME_BYTES];
	/* What the guest writes first need not wait for tables that nobody has used yet; nobody but root uses it, so nothing is set aside. */
	const char *const args[] = { "-q", "-F", "-t", "ext4", "-m", "0", "-L", job->label, "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0",
				     new, NULL };
	_close_ int fd = -1;
	struct stat st;
	int r;

	if (is_there(w, job->id, &st))
		return 0;
	name_of(new, job->id, ".new");
	(void)unlinkat(w->dir_fd, new, 0);
	fd = openat(w->dir_fd, new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)job->bytes) < 0)
		return err_set(e, -errno, "cannot make a file of %llu bytes: %s", (unsigned long long)job->bytes, strerror(errno));
	r = run(w, &mke2fs, args, e);
	return r == 0 ? publish(w, job->id, e) : r;
}

/* A file that nobody uses, and nobody will until the descriptor is closed. Return: it, or negative with @e */
static int hold(const struct disk_work *w, const char *id, struct stat *st, struct err *e)
{
	char img[NAME_BYTES];
	_close_ int fd = -1;
	int r;

	name_of(img, id, ".img");
	fd = openat(w->dir_fd, img, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, st) < 0)
		return err_set(e, -errno, "its file cannot be opened: %s", strerror(errno));
	r = disk_lock(fd);
	return r == 0 ? fd_take(&fd) : err_set(e, r, r == -EBUSY ? "it is being used" : "its file cannot be locked: %s", strerror(-r));
}

static int copy(const struct disk_work *w, struct disk_job *job, struct err *e)
{
	char new[NAME_BYTES], img[NAME_BYTES];
	/* Where the file system can, both share their blocks until one changes. */
	const char *const args[] = { "--reflink=auto", "--sparse=always", "--", img, new, NULL };
	_close_ int fd = -1;
	struct stat st = { .st_size = 0 };
	int r;

	/* Copied before this process was started anew, and not yet noted: how large it is neither. */
	if (is_there(w, job->id, &st)) {
		job->bytes = (uint64_t)st.st_size;
		return 0;
	}
	name_of(new, job->id, ".new");
	name_of(img, job->source, ".img");
	fd = hold(w, job->source, &st, e);
	if (fd < 0)
		return fd;
	job->bytes = (uint64_t)st.st_size;
	(void)unlinkat(w->dir_fd, new, 0);
	r = run(w, &cp, args, e);
	return r == 0 ? publish(w, job->id, e) : r;
}

static int grow(const struct disk_work *w, const struct disk_job *job, struct err *e)
{
	char img[NAME_BYTES];
	const char *const check[] = { "-f", "-p", img, NULL }, *const resize[] = { img, NULL };
	_close_ int fd = -1;
	struct stat st = { .st_size = 0 };
	int r;

	name_of(img, job->id, ".img");
	fd = hold(w, job->id, &st, e);
	if (fd < 0)
		return fd;
	/* Checked at its old size: what was cut off by a loss of power is mended before anything moves. */
	r = run(w, &e2fsck, check, e);
	if (r == 0 && (uint64_t)st.st_size < job->bytes && ftruncate(fd, (off_t)job->bytes) < 0)
		r = err_set(e, -errno, "its file cannot grow to %llu bytes: %s", (unsigned long long)job->bytes, strerror(errno));
	if (r == 0)
		r = run(w, &resize2fs, resize, e);
	return r == 0 ? sync_fd(fd, "the larger disk", e) : r;
}

static int remove_files(const struct disk_work *w, const struct disk_job *job, struct err *e)
{
	static const char *const suffixes[] = { ".new", ".img" };
	char name[NAME_BYTES];

	for (size_t i = 0; i < 2; i++) {
		name_of(name, job->id, suffixes[i]);
		if (unlinkat(w->dir_fd, name, 0) < 0 && errno != ENOENT)
			return err_set(e, -errno, "its file cannot be removed: %s", strerror(errno));
	}
	return 0;
}

static void carry_out(const struct disk_work *w, struct disk_job *job)
{
	struct err e = { 0 };
	int r = 0;

	switch (job->action) {
	case DISK_MAKE:
		r = make(w, job, &e);
		break;
	case DISK_COPY:
		r = copy(w, job, &e);
		break;
	case DISK_GROW:
		r = grow(w, job, &e);
		break;
	case DISK_REMOVE:
		r = remove_files(w, job, &e);
		break;
	}
	job->status = r < 0 ? r : 0;
	(void)snprintf(job->why, sizeof(job->why), "%.*s", (int)sizeof(job->why) - 1, e.msg);
	if (r < 0 && (job->action == DISK_MAKE || job->action == DISK_COPY)) {
		char new[NAME_BYTES];

		name_of(new, job->id, ".new");
		(void)unlinkat(w->dir_fd, new, 0);
	}
}

/* --- the thread -------------------------------------------------------------------------------------------------------- */

static void *work(void *arg)
{
	struct disk_work *w = arg;

	(void)pthread_mutex_lock(&w->mutex);
	for (;;) {
		struct disk_job *job;

		while (!w->stop && !w->todo)
			(void)pthread_cond_wait(&w->todo_more, &w->mutex);
		if (w->stop)
			break;
		job = w->todo;
		w->todo = job->next;
		if (!w->todo)
			w->todo_last = &w->todo;
		(void)pthread_mutex_unlock(&w->mutex);
		carry_out(w, job);
		job->next = NULL;
		(void)pthread_mutex_lock(&w->mutex);
		*w->finished_last = job;
		w->finished_last = &job->next;
		ev_async_send(w->loop->ev, &w->wake);
	}
	(void)pthread_mutex_unlock(&w->mutex);
	return NULL;
}

static void on_wake(struct ev_loop *ev, ev_async *async, int events)
{
	struct disk_work *w = async->data;
	struct disk_job *list;

	(void)ev;
	(void)events;
	(void)pthread_mutex_lock(&w->mutex);
	list = w->finished;
	w->finished = NULL;
	w->finished_last = &w->finished;
	(void)pthread_mutex_unlock(&w->mutex);
	while (list) {
		struct disk_job *job = list;

		list = job->next;
		job->next = NULL;
		w->done(w->arg, job);
	}
}

static int start_thread(struct disk_work *w, struct err *e)
{
	int r = thread_begin(&w->thread, work, w);

	w->started = r == 0;
	return r == 0 ? 0 : err_set(e, r, "cannot start the thread for disks: %s", strerror(-r));
}

/* The first job starts the thread: where no machine has a disk, there is none. */
void disk_work_add(struct disk_work *w, struct disk_job *job)
{
	struct err e = { 0 };

	job->next = NULL;
	if (!w->started && start_thread(w, &e) < 0) {
		job->status = -EAGAIN;
		(void)snprintf(job->why, sizeof(job->why), "%.*s", (int)sizeof(job->why) - 1, e.msg);
		*w->finished_last = job;
		w->finished_last = &job->next;
		ev_async_send(w->loop->ev, &w->wake);
		return;
	}
	(void)pthread_mutex_lock(&w->mutex);
	*w->todo_last = job;
	w->todo_last = &job->next;
	(void)pthread_cond_signal(&w->todo_more);
	(void)pthread_mutex_unlock(&w->mutex);
}

static void sweep(const struct disk_work *w)
{
	int fd = openat(w->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *d;

	while (dir && (d = readdir(dir))) {
		size_t len = strlen(d->d_name);

		if (len > 4 && strcmp(d->d_name + len - 4, ".new") == 0 && unlinkat(w->dir_fd, d->d_name, 0) == 0)
			log_info("%s/%s was half made and is removed", w->dir, d->d_name);
	}
	if (dir)
		(void)closedir(dir);
	else
		(void)fd_close(fd);
}

static int open_dir(struct disk_work *w, struct err *e)
{
	if (mkdir(w->dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make the directory of disks %s: %s; choose another with --disk-dir", w->dir, strerror(errno));
	w->dir_fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Others must not be able to enter it: publish() counts on that. */
	if (w->dir_fd < 0 || fchmod(w->dir_fd, 0700) < 0)
		return err_set(e, -errno, "cannot use the directory of disks %s: %s; choose another with --disk-dir", w->dir, strerror(errno));
	sweep(w);
	return 0;
}

int disk_work_create(struct disk_work **out, struct loop *loop, const char *dir, void (*done)(void *arg, struct disk_job *job), void *arg,
		     struct err *e)
{
	struct disk_work *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_set(e, -ENOMEM, "no memory for disks");
	w->loop = loop;
	w->done = done;
	w->arg = arg;
	w->dir_fd = -1;
	w->todo_last = &w->todo;
	w->finished_last = &w->finished;
	(void)snprintf(w->dir, sizeof(w->dir), "%s", dir);
	(void)pthread_mutex_init(&w->mutex, NULL);
	(void)pthread_cond_init(&w->todo_more, NULL);
	ev_async_init(&w->wake, on_wake);
	w->wake.data = w;
	ev_async_start(loop->ev, &w->wake);
	r = open_dir(w, e);
	if (r < 0) {
		(void)disk_work_destroy(w);
		return r;
	}
	*out = w;
	return 0;
}

static void drop_all(struct disk_job *list)
{
	while (list) {
		struct disk_job *job = list;

		list = job->next;
		free(job);
	}
}

struct disk_work *disk_work_destroy(struct disk_work *w)
{
	if (!w)
		return NULL;
	(void)pthread_mutex_lock(&w->mutex);
	w->stop = true;
	(void)pthread_cond_signal(&w->todo_more);
	(void)pthread_mutex_unlock(&w->mutex);
	if (w->started)
		(void)pthread_join(w->thread, NULL);
	ev_async_stop(w->loop->ev, &w->wake);
	drop_all(w->todo);
	drop_all(w->finished);
	(void)fd_close(w->dir_fd);
	(void)pthread_mutex_destroy(&w->mutex);
	(void)pthread_cond_destroy(&w->todo_more);
	free(w);
	return NULL;
}
