/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_AGENT_CHILD_H
#define TESTS_UNIT_AGENT_CHILD_H

/*
 * The real agent in a process of its own, which is this test program with the arguments `agent FD`; and what tests that run one need besides.
 * Include it after cmocka.h.
 */
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/store.h"
#include "base/fd.h"
#include "base/loop.h"
#include "hv/agent/guest.h"

#define WAIT_MS 60000

/* @near_fd: our end of its line, -1 when it was stopped */
struct agent_child {
	int near_fd;
	pid_t pid;
};

static _Noreturn void agent_child_serve(int fd)
{
	static struct guest g;
	struct loop loop;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (loop_init(&loop) < 0 || guest_init(&g, &loop, "/") < 0)
		_exit(1);
	g.console.pid = getpid(); /* it stands for no machine: nothing is mounted or named */
	guest_use(&g, fd, true);
	loop_run(&loop);
	guest_finish(&g);
	loop_finish(&loop);
	_exit(0);
}

/** agent_child_run() - the first thing in main(): does not return in the agent's process */
static void agent_child_run(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "agent") == 0)
		agent_child_serve(atoi(argv[2]));
}

static void agent_child_start(struct agent_child *a)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	a->near_fd = pair[0];
	a->pid = fork();
	if (a->pid == 0) {
		char fd[16], self[4096] = "";

		if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
			_exit(1);
		(void)snprintf(fd, sizeof(fd), "%d", fcntl(pair[1], F_DUPFD, 3));
		(void)setenv("SHELL", "/bin/sh", 1);
		(void)setenv("HOME", "/", 1);
		(void)execl(self, self, "agent", fd, (char *)NULL);
		_exit(1);
	}
	(void)close(pair[1]);
}

static void agent_child_stop(struct agent_child *a, int signal)
{
	assert_int_equal(kill(a->pid, signal), 0);
	assert_int_equal(waitpid(a->pid, NULL, 0), a->pid);
	a->near_fd = fd_close(a->near_fd);
}

/** put_machine() - a person and a machine of theirs with this id */
static void put_machine(struct store *store, const uint8_t id[16])
{
	struct vm_row row = { .spec = "{}" };

	memcpy(row.id, id, sizeof(row.id));
	assert_int_equal(store_person_seen(store, "i", "s", "a@x.org", 1, &row.owner, NULL), 0);
	assert_int_equal(store_vm_put(store, &row, NULL), 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

/** remove_tree() - a folder and all that is in it. Return: 0 or -1 */
static int remove_tree(const char *dir)
{
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void on_tick(struct ev_loop *ev, ev_timer *t, int events)
{
	(void)ev;
	(void)t;
	(void)events;
}

/* Turns the loop until @what or WAIT_MS. */
#define WAIT_IN(loop_ev, what) \
	do { \
		uint64_t wait_until_ms = loop_now_ms() + WAIT_MS; \
		ev_timer tick; \
		ev_timer_init(&tick, on_tick, .02, .02); \
		ev_timer_start(loop_ev, &tick); \
		while (!(what) && loop_now_ms() < wait_until_ms) \
			ev_run(loop_ev, EVRUN_ONCE); \
		ev_timer_stop(loop_ev, &tick); \
		assert_true(what); \
	} while (0)

#endif
