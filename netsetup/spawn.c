/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

/*
 * Theory of operation
 *
 * clone3() with CLONE_VFORK, not with CLONE_VM: this process is small (a few MiB), so copying its page tables
 * costs 0.1 ms of the 0.5 ms that a start takes, and the child cannot scribble over us. There is a worker
 * thread, so between clone and exec the child makes only plain system calls: no allocation, no stdio, and no
 * libc wrapper that talks to other threads (setresuid() would). It tells a failure through one shared page;
 * when clone3() returns, it has either started the program or written there.
 */
#define FIRST_FD  3
#define SAFE_FD   64 /* sources are moved above every number that they may be given */
#define FILES_MAX 4096

enum step {
	STEP_NONE,
	STEP_CGROUP,
	STEP_FDS,
	STEP_TERMINAL,
	STEP_LIMITS,
	STEP_UID,
	STEP_LIFE,
	STEP_EXEC,
	STEP_COUNT
};

static const char *const step_names[] = {
	[STEP_NONE] = "?",
	[STEP_CGROUP] = "cannot enter its control group",
	[STEP_FDS] = "cannot arrange its file descriptors",
	[STEP_TERMINAL] = "cannot take its terminal",
	[STEP_LIMITS] = "cannot set its limits",
	[STEP_UID] = "cannot become its uid",
	[STEP_LIFE] = "cannot tie its life to the helper's",
	[STEP_EXEC] = "cannot execute it",
};
_Static_assert(sizeof(step_names) / sizeof(step_names[0]) == STEP_COUNT, "every step has a name");

/* Shared with the child until it has started. */
struct report {
	enum step step;
	int error;
};

#define FIXED_ENV                                                                                                                                    \
	(char *)(uintptr_t)"PATH=/usr/local/bin:/usr/bin:/bin", (char *)(uintptr_t)"HOME=/", (char *)(uintptr_t)"TERM=xterm-256color",               \
		(char *)(uintptr_t)"LANG=C.UTF-8"

static char *const fixed_env[] = { FIXED_ENV, NULL };
static char *const lean_env[] = { FIXED_ENV, (char *)(uintptr_t)"GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=32768", NULL };

static int enter_cgroups(const struct cgroup_place *place)
{
	for (size_t i = 0; i < place->ntasks; i++)
		if (write(place->tasks_fd[i], "0", 1) != 1)
			return -1;
	return 0;
}

/* First everything out of the way, then each to its number, then nothing else stays open. */
static int arrange_fds(const struct spawn *s)
{
	int from[FIRST_FD + NETD_FDS_MAX + NETD_FILES_MAX];
	size_t n = FIRST_FD + s->ends->nchild;

	for (size_t i = 0; i < n; i++) {
		int fd;

		if (i < FIRST_FD)
			fd = s->ends->stdio[i] ? s->ends->stdio_fd : s->null_fd;
		else
			fd = s->ends->child[i - FIRST_FD] >= 0 ? s->ends->child[i - FIRST_FD] : s->tap_fd;
		from[i] = fcntl(fd, F_DUPFD_CLOEXEC, SAFE_FD);
		if (from[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (dup2(from[i], (int)i) < 0)
			return -1;
	return (int)syscall(SYS_close_range, (unsigned)n, ~0U, 0);
}

static int take_terminal(const struct spawn *s)
{
	if (setsid() < 0)
		return -1;
	return s->ends->ctty ? ioctl(STDIN_FILENO, TIOCSCTTY, 0) : 0;
}

static int set_limits(const struct spawn *s)
{
	const struct rlimit files = { FILES_MAX, FILES_MAX }, core = { 0, 0 }, procs = { s->nproc, s->nproc };
	struct rlimit old;

	if (getrlimit(RLIMIT_NOFILE, &old) < 0 ||
	    (old.rlim_max >= FILES_MAX && setrlimit(RLIMIT_NOFILE, &files) < 0))
		return -1;
	if (s->nproc && setrlimit(RLIMIT_NPROC, &procs) < 0)
		return -1;
	if (s->lean)
		(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* a kernel that has no huge pages makes none */
	return setrlimit(RLIMIT_CORE, &core);
}

/* Raw system calls: libc's wrappers would ask all threads, which the child does not have, to follow. */
static int become_uid(const struct spawn *s)
{
	const gid_t gid = s->uid, groups[1] = { s->extra_gid };

	if (s->uid) {
		if (syscall(SYS_setgroups, s->extra_gid ? 1 : 0, groups) < 0 ||
		    syscall(SYS_setresgid, gid, gid, gid) < 0 ||
		    syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0)
			return -1;
	}
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* After the change of uid, which would clear it. The parent may have died before. */
static int tie_life(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -1;
	if (getppid() != parent) {
		errno = ESRCH;
		return -1;
	}
	return 0;
}

static void reset_signals(void)
{
	/* rt_sigaction(2) as the kernel knows it: handler, flags, restorer, mask; all zero is SIG_DFL. The C library's own function
	 * leaves out the two signals that it keeps for itself, and they are inherited ignored from some parents. */
	static const unsigned long dfl[4];
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)syscall(SYS_rt_sigaction, sig, dfl, NULL, (size_t)_NSIG / 8);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void run_child(const struct spawn *s, pid_t parent, struct report *report)
{
	enum step step = STEP_CGROUP;

	if (enter_cgroups(s->place) < 0)
		goto fail;
	step = STEP_FDS;
	if (arrange_fds(s) < 0)
		goto fail;
	step = STEP_TERMINAL;
	if (take_terminal(s) < 0)
		goto fail;
	step = STEP_LIMITS;
	if (set_limits(s) < 0)
		goto fail;
	step = STEP_UID;
	if (become_uid(s) < 0)
		goto fail;
	step = STEP_LIFE;
	if (tie_life(parent) < 0)
		goto fail;
	step = STEP_EXEC;
	(void)umask(022);
	if (chdir("/") < 0)
		goto fail;
	reset_signals();
	(void)execve(s->path, s->argv, s->lean ? lean_env : fixed_env);
fail:
	report->error = errno;
	report->step = step;
	_exit(127);
}

static pid_t clone_child(const struct spawn *s, int *pidfd, struct report *report)
{
	struct clone_args args = {
		.flags = CLONE_VFORK | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	pid_t parent = (pid_t)syscall(SYS_getpid);
	sigset_t all, old;
	long pid;

	if (s->place->dir_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)s->place->dir_fd;
	}
	/*
	 * Until it has reset them, a signal would run our handlers in the child, and they would write to our
	 * loop's event FD.
	 */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &old);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		run_child(s, parent, report);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return pid < 0 ? -errno : (pid_t)pid;
}

pid_t spawn_start(const struct spawn *s, int *pidfd, struct err *e)
{
	struct report *report =
		mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct report said;
	pid_t pid;

	*pidfd = -1;
	if (report == MAP_FAILED)
		return err_set(e, -errno, "no memory to start %s", s->path);
	pid = clone_child(s, pidfd, report);
	said = *report;
	(void)munmap(report, sizeof(*report));
	if (pid < 0)
		return err_set(e, pid, "cannot start a process for %s: %s", s->path, strerror(-pid));
	if (said.step == STEP_NONE)
		return pid;
	(void)waitpid(pid, NULL, 0);
	*pidfd = fd_close(*pidfd);
	return err_set(e, said.error ? -said.error : -EIO, "%s: %s: %s", s->path, step_names[said.step],
		       strerror(said.error));
}

int spawn_reap(int pidfd, int *code, int *signal)
{
	siginfo_t si = { .si_pid = 0 };

	if (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG) < 0)
		return -errno;
	if (si.si_pid == 0)
		return -EAGAIN;
	*code = si.si_code == CLD_EXITED ? si.si_status : 0;
	*signal = si.si_code == CLD_EXITED ? 0 : si.si_status;
	return 0;
}

int spawn_signal(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

void spawn_kill_session(pid_t sid)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		long pid = strtol(d->d_name, NULL, 10);

		if (pid > 1 && getsid((pid_t)pid) == sid)
			(void)kill((pid_t)pid, SIGKILL);
	}
	if (dir)
		(void)closedir(dir);
}
