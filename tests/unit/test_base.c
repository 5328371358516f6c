/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cli.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"

/* --- err --- */

static void err_keeps_code_and_words(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(err_set(&e, -ENOENT, "no kernel at %s", "/x"), -ENOENT);
	assert_int_equal(err_prefix(&e, "image %s", "micro"), -ENOENT);
	assert_string_equal(e.msg, "image micro: no kernel at /x");
	assert_int_equal(err_set(NULL, -EIO, "nobody listens"), -EIO);
}

static void err_cuts_what_is_too_long(void **state)
{
	struct err e = { 0 };
	char big[1000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&e, -1, "%s", big);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	err_prefix(&e, "%s", big);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
}

/* --- buf --- */

static void buf_refuses_past_its_limit_and_keeps_the_rest(void **state)
{
	struct buf b = BUF_INIT(10);

	(void)state;
	assert_int_equal(buf_add(&b, "12345678", 8), 0);
	assert_int_equal(buf_add(&b, "abc", 3), -ENOSPC);
	assert_true(b.full);
	assert_int_equal(b.len, 8);
	assert_int_equal(buf_add(&b, "ab", 2), 0);
	assert_string_equal(b.data, "12345678ab");
	buf_eat(&b, 8);
	assert_string_equal(b.data, "ab");
	buf_eat(&b, 100);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_add(&b, NULL, SIZE_MAX), -ENOSPC);
	buf_finish(&b);
	assert_int_equal(b.limit, 10);
}

static void tail_keeps_the_newest(void **state)
{
	char kept[8];
	size_t len = 0;

	(void)state;
	assert_false(tail_add(kept, &len, sizeof(kept), "12345", 5));
	assert_false(tail_add(kept, &len, sizeof(kept), "678", 3));
	assert_int_equal(len, 8);
	assert_memory_equal(kept, "12345678", 8);
	assert_true(tail_add(kept, &len, sizeof(kept), "ab", 2));
	assert_memory_equal(kept, "345678ab", 8);
	assert_true(tail_add(kept, &len, sizeof(kept), "0123456789", 10));
	assert_int_equal(len, 8);
	assert_memory_equal(kept, "23456789", 8);
}

static void buf_formats(void **state)
{
	struct buf b = BUF_INIT(4096);

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(buf_printf(&b, "%03d,", i), 0);
	assert_int_equal(b.len, 400);
	assert_memory_equal(b.data, "000,001,", 8);
	buf_finish(&b);
}

/* --- hex --- */

static void hex_round_trip_and_refusals(void **state)
{
	uint8_t in[4] = { 0, 0x7f, 0x80, 0xff }, out[4];
	char text[9];

	(void)state;
	hex_encode(in, 4, text);
	assert_string_equal(text, "007f80ff");
	assert_int_equal(hex_decode("007F80ff", out, 4), 0);
	assert_memory_equal(in, out, 4);
	assert_int_equal(hex_decode("007f80f", out, 4), -EINVAL);
	assert_int_equal(hex_decode("007f80fg", out, 4), -EINVAL);
	assert_int_equal(hex_decode("007f80ff00", out, 4), -EINVAL);
}

/* --- fd --- */

static void fd_reads_small_files_only(void **state)
{
	char dir[] = "/tmp/terrarium-test-XXXXXX", path[64], text[8];
	_close_ int fd = -1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/f", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, "1234567", 7), 0);
	assert_int_equal(fd_read_file(AT_FDCWD, path, text, sizeof(text)), 7);
	assert_string_equal(text, "1234567");
	assert_int_equal(fd_write_all(fd, "8", 1), 0);
	assert_int_equal(fd_read_file(AT_FDCWD, path, text, sizeof(text)), -EFBIG);
	assert_int_equal(fd_read_file(AT_FDCWD, dir, text, sizeof(text)), -EISDIR);
	assert_int_equal(fd_read_file(AT_FDCWD, "/nowhere/at/all", text, sizeof(text)), -ENOENT);
	unlink(path);
	rmdir(dir);
}

static void fd_take_moves(void **state)
{
	int a = open("/dev/null", O_RDONLY | O_CLOEXEC), b;

	(void)state;
	b = fd_take(&a);
	assert_int_equal(a, -1);
	assert_int_equal(fd_close(b), -1);
	assert_int_equal(fd_close(-1), -1);
}

/* --- ipc --- */

static void ipc_carries_frames_and_descriptors(void **state)
{
	int pair[2], pipe_fds[2];
	struct ipc_msg m;
	char buf[16];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(ipc_recv(pair[1], buf, sizeof(buf), &m), -EAGAIN);
	assert_int_equal(ipc_send(pair[0], "hello", 5, pipe_fds, 2), 0);
	assert_int_equal(ipc_send(pair[0], "x", 1, NULL, 0), 0);
	assert_int_equal(ipc_recv(pair[1], buf, sizeof(buf), &m), 0);
	assert_int_equal(m.len, 5);
	assert_int_equal(m.nfds, 2);
	assert_true(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(m.fds[1], "!", 1), 1);
	assert_int_equal(read(pipe_fds[0], buf, 1), 1);
	ipc_msg_finish(&m);
	assert_int_equal(m.nfds, 0);
	assert_int_equal(ipc_recv(pair[1], buf, sizeof(buf), &m), 0);
	assert_int_equal(m.nfds, 0);
	close(pair[0]);
	assert_int_equal(ipc_recv(pair[1], buf, sizeof(buf), &m), -EPIPE);
	close(pair[1]);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A frame that does not fit is refused whole, and its descriptors do not leak. */
static void ipc_refuses_long_frames_without_leaking(void **state)
{
	int pair[2], fds[IPC_FDS_MAX], before;
	struct ipc_msg m;
	char big[64] = { 0 }, buf[16];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	for (size_t i = 0; i < IPC_FDS_MAX; i++)
		fds[i] = pair[0];
	before = open_fds();
	assert_int_equal(ipc_send(pair[0], big, sizeof(big), fds, IPC_FDS_MAX), 0);
	assert_int_equal(ipc_recv(pair[1], buf, sizeof(buf), &m), -EMSGSIZE);
	assert_int_equal(open_fds(), before);
	assert_int_equal(ipc_send(pair[0], big, 1, fds, IPC_FDS_MAX + 1), -EINVAL);
	close(pair[0]);
	close(pair[1]);
}

static void ipc_listen_takes_over_dead_sockets_only(void **state)
{
	char dir[] = "/tmp/terrarium-test-XXXXXX", path[64], longer[200];
	struct stat st;
	uid_t uid = 12345;
	int a, b, c, s;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	a = ipc_listen(path, 0600);
	assert_true(a >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(ipc_listen(path, 0600), -EADDRINUSE);
	c = ipc_connect(path);
	assert_true(c >= 0);
	s = ipc_accept(a); /* the probe of the second ipc_listen() */
	close(s);
	s = ipc_accept(a);
	assert_int_equal(ipc_peer_uid(s, &uid), 0);
	assert_int_equal(uid, getuid());
	close(s);
	close(c);
	close(a);
	b = ipc_listen(path, 0600);
	assert_true(b >= 0);
	close(b);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(ipc_listen(longer, 0600), -ENAMETOOLONG);
	assert_int_equal(ipc_connect("/nowhere/s"), -ENOENT);
	unlink(path);
	rmdir(dir);
}

/* --- cli --- */

static int seen_argc;

static int command_one(int argc, char **argv)
{
	(void)argv;
	seen_argc = argc;
	return CLI_OK;
}

static int command_two(int argc, char **argv)
{
	(void)argc;
	assert_string_equal(argv[0], "check");
	return CLI_REFUSED;
}

static void cli_finds_commands_of_one_and_two_words(void **state)
{
	static const struct cli_command table[] = {
		{ "login", "", "sign in", command_one }, { "config check", "[-c FILE]", "check", command_two }, { 0 }
	};
	char *one[] = { "terrarium", "login", "a", "b", NULL }, *two[] = { "terrarium", "config", "check", NULL },
	     *half[] = { "terrarium", "config", NULL }, *none[] = { "terrarium", "log", NULL };

	(void)state;
	assert_int_equal(cli_run("terrarium", table, 4, one), CLI_OK);
	assert_int_equal(seen_argc, 3);
	assert_int_equal(cli_run("terrarium", table, 3, two), CLI_REFUSED);
	assert_int_equal(cli_run("terrarium", table, 2, half), CLI_USAGE);
	assert_int_equal(cli_run("terrarium", table, 2, none), CLI_USAGE);
}

/* --- log --- */

static void log_writes_one_line_without_control_characters(void **state)
{
	int pipe_fds[2], saved = dup(STDERR_FILENO);
	char text[2048];
	ssize_t n;

	(void)state;
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(log_open("test", "loud"), -EINVAL);
	assert_int_equal(log_open("test", "info"), 0);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	dup2(pipe_fds[1], STDERR_FILENO);
	log_info("name %s", "evil\nline\x1b[31m");
	log_debug("not wanted");
	dup2(saved, STDERR_FILENO);
	n = read(pipe_fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "Z test info: name evil?line?[31m\n"));
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close(saved);
}

/* --- loop --- */

struct job {
	struct loop_task task;
	struct loop *loop;
	int *log, id;
};

static int order[8], ran;

static void on_job(struct loop_task *t)
{
	struct job *j = container_of(t, struct job, task);

	order[ran++] = j->id;
	if (j->id == 1) /* again: must wait for the next turn */
		loop_defer(j->loop, t, on_job);
	j->id += 10;
	if (ran == 3)
		loop_stop(j->loop);
}

static void loop_runs_put_off_work_in_order_and_once(void **state)
{
	struct loop l;
	struct job a = { .id = 1 }, b = { .id = 2 }, c = { .id = 3 };

	(void)state;
	assert_int_equal(loop_init(&l), 0);
	a.loop = b.loop = c.loop = &l;
	ran = 0;
	loop_defer(&l, &a.task, on_job);
	loop_defer(&l, &c.task, on_job);
	loop_defer(&l, &b.task, on_job);
	loop_defer(&l, &b.task, on_job);
	loop_cancel(&l, &c.task);
	loop_cancel(&l, &c.task);
	loop_run(&l);
	loop_finish(&l);
	assert_int_equal(ran, 3);
	assert_int_equal(order[0], 1);
	assert_int_equal(order[1], 2);
	assert_int_equal(order[2], 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_keeps_code_and_words),
		cmocka_unit_test(err_cuts_what_is_too_long),
		cmocka_unit_test(buf_refuses_past_its_limit_and_keeps_the_rest),
		cmocka_unit_test(buf_formats),
		cmocka_unit_test(tail_keeps_the_newest),
		cmocka_unit_test(hex_round_trip_and_refusals),
		cmocka_unit_test(fd_reads_small_files_only),
		cmocka_unit_test(fd_take_moves),
		cmocka_unit_test(ipc_carries_frames_and_descriptors),
		cmocka_unit_test(ipc_refuses_long_frames_without_leaking),
		cmocka_unit_test(ipc_listen_takes_over_dead_sockets_only),
		cmocka_unit_test(cli_finds_commands_of_one_and_two_words),
		cmocka_unit_test(log_writes_one_line_without_control_characters),
		cmocka_unit_test(loop_runs_put_off_work_in_order_and_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
