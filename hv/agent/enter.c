/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/agent/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/entry.h"

#define EXIT_NOT_RUN  127
#define LOG_MAX	      (1 << 20) /* bytes; there are two of them at most */
#define PAUSE_MAX_S   60
#define LONG_ENOUGH_S 60 /* who has run for so long failed for a new reason: the pause begins anew */

/* --- a program in front ------------------------------------------------------------------------------------------------ */

static void run(const char *program, char *const *argv)
{
	(void)execvp(program, argv);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
}

static void run_shell(void)
{
	const char *shell = getenv("SHELL");
	const char *slash = shell ? strrchr(shell, '/') : NULL;
	char login[64];
	char *argv[] = { login, NULL };

	(void)snprintf(login, sizeof(login), "-%s", slash ? slash + 1 : "sh");
	run(shell ? shell : "/bin/sh", argv);
}

/* Return: 0 when this process is what the image says, or nobody says anything. */
static int become(struct entry *e)
{
	const char *home;
	int r = entry_load(e, ENTRY_PATH);

	if (r == -ENOENT) {
		e->cwd = NULL;
		return 0;
	}
	if (r == 0 && isatty(STDIN_FILENO))
		(void)entry_own(e, STDIN_FILENO);
	if (r == 0)
		r = entry_enter(e);
	if (r < 0) {
		dprintf(STDERR_FILENO, "%s: %s\n", ENTRY_PATH, strerror(-r));
		return r;
	}
	home = getenv("HOME");
	return chdir(e->cwd) < 0 && chdir(home ? home : "/") < 0 && chdir("/") < 0 ? -errno : 0;
}

int enter_run(char *const *argv)
{
	static struct entry e; /* too large for a small stack */

	if (become(&e) < 0)
		return EXIT_NOT_RUN;
	if (argv)
		run(argv[0], argv);
	else
		run_shell();
	return EXIT_NOT_RUN;
}

/* --- the image's own program ------------------------------------------------------------------------------------------- */

struct service {
	const char *log;
	int log_fd; /* owned */
	off_t written;
};

static void log_open_file(struct service *s)
{
	struct stat st;

	s->log_fd = fd_close(s->log_fd);
	s->log_fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
	s->written = s->log_fd >= 0 && fstat(s->log_fd, &st) == 0 ? st.st_size : 0;
}

/* What cannot be written is lost: the program must not wait for its log. */
static void log_write(struct service *s, const char *data, size_t len)
{
	char old[256];

	if (s->written > LOG_MAX) {
		(void)snprintf(old, sizeof(old), "%s.1", s->log);
		(void)rename(s->log, old);
		log_open_file(s);
	}
	if (s->log_fd >= 0 && fd_write_all(s->log_fd, data, len) == 0)
		s->written += (off_t)len;
}

__attribute__((format(printf, 2, 3))) static void note(struct service *s, const char *fmt, ...)
{
	char line[256];
	time_t now = time(NULL);
	struct tm tm;
	size_t n = strftime(line, sizeof(line), "[%Y-%m-%d %H:%M:%S] ", gmtime_r(&now, &tm));
	va_list ap;
	int more;

	va_start(ap, fmt);
	more = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	n += more < 0 ? 0 : (size_t)more < sizeof(line) - n - 1 ? (size_t)more : sizeof(line) - n - 2;
	line[n++] = '\n';
	log_write(s, line, n);
}

static _Noreturn void child(int out)
{
	static struct entry e;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)setsid();
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || become(&e) < 0)
		_exit(EXIT_NOT_RUN);
	run(e.argv[0], e.argv);
	_exit(EXIT_NOT_RUN);
}

/* Return: what waitpid(2) says of it, or a negative errno. */
static int run_once(struct service *s)
{
	char data[4096];
	int ends[2], status;
	pid_t pid;
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		child(ends[1]);
	(void)fd_close(ends[1]);
	if (pid < 0) {
		int r = -errno;

		(void)fd_close(ends[0]);
		return r;
	}
	/* Until all who hold the other end have closed it: a program that goes into the background is still there. */
	while ((n = read(ends[0], data, sizeof(data))) > 0 || (n < 0 && errno == EINTR))
		log_write(s, data, n > 0 ? (size_t)n : 0);
	(void)fd_close(ends[0]);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return status;
}

static void pause_for(unsigned seconds)
{
	struct timespec left = { .tv_sec = seconds };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

int enter_service(const char *log)
{
	static struct entry e;
	struct service s = { .log = log, .log_fd = -1 };
	unsigned pause_s = 1;

	if (entry_load(&e, ENTRY_PATH) < 0 || !e.argv[0])
		return 0;
	(void)signal(SIGPIPE, SIG_DFL);
	log_open_file(&s);
	for (;;) {
		time_t began = time(NULL);
		int status;

		note(&s, "starting %s", e.argv[0]);
		status = run_once(&s);
		if (status < 0) {
			note(&s, "%s cannot be started: %s", e.argv[0], strerror(-status));
			return 1;
		}
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
			note(&s, "%s has ended", e.argv[0]);
			return 0;
		}
		pause_s = time(NULL) - began >= LONG_ENOUGH_S ? 1 : pause_s;
		note(&s, "%s has failed with %s %d; it is started again in %u s", e.argv[0], WIFSIGNALED(status) ? "signal" : "status",
		     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), pause_s);
		pause_for(pause_s);
		pause_s = pause_s * 2 < PAUSE_MAX_S ? pause_s * 2 : PAUSE_MAX_S;
	}
}
