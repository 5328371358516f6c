/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "gateway/modes.h"
#include "gateway/ring.h"
#include "tests/unit/console.h"

#define KILLS 200

/*
 * Byte @o of the test stream: a lost or doubled byte shows at every offset behind it. Below 0xf8, as text
 * is.
 */
static uint8_t pattern(uint64_t o)
{
	uint64_t h = (o >> 3) * 0x9e3779b97f4a7c15ULL;

	return (uint8_t)((h >> 8 * (o & 7)) & 0x7f);
}

static void make(uint8_t *out, uint64_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = pattern(from + i);
}

static void check_kept(const struct ring *r)
{
	uint64_t start = ring_start(r), end = ring_end(r);

	assert_true(start <= end && end - start <= r->size);
	for (uint64_t o = start; o < end; o++) {
		if (*ring_at(r, o) != pattern(o))
			fail_msg("offset %llu of %llu..%llu holds another byte", (unsigned long long)o,
				 (unsigned long long)start, (unsigned long long)end);
	}
}

static enum ring_kind ring_kind_of(const struct test_console *c)
{
	return c->kind == HV_CONSOLE_PTY ? RING_PTY : RING_SOCKET;
}

static int open_ring(struct ring *r, const struct test_console *c, bool adopt)
{
	return ring_open(r, fcntl(c->ring, F_DUPFD_CLOEXEC, 0), CONSOLE_RING_BYTES, ring_kind_of(c), adopt);
}

/* Read @total bytes of the pattern that are written to the far end piece by piece. */
static void pump(struct ring *r, const struct test_console *c, size_t total, size_t piece)
{
	static uint8_t buf[32768];
	size_t sent = 0;

	while (sent < total) {
		make(buf, sent, piece);
		assert_int_equal(write(c->far, buf, piece), piece);
		sent += piece;
		while (ring_end(r) < sent) {
			ssize_t n = ring_read(r, c->near, RING_READ_MAX);

			if (n == -EAGAIN)
				(void)poll(&(struct pollfd){ .fd = c->near, .events = POLLIN }, 1, 100);
			else
				assert_true(n > 0);
		}
		check_kept(r);
	}
	assert_int_equal(ring_end(r), total);
}

static void wraps(enum hv_console_kind kind)
{
	struct test_console c;
	struct ring r;

	test_console_open(&c, kind);
	assert_int_equal(open_ring(&r, &c, false), 0);
	assert_true(ring_epoch(&r) != 0);
	assert_int_equal(ring_start(&r), 0);
	pump(&r, &c, 1200000, 3000);
	assert_true(ring_start(&r) > 1200000 - r.size - 1 &&
		    ring_start(&r) + r.size - RING_SLACK - 65536 <= 1200000);
	ring_close(&r);
	test_console_close(&c);
}

static void wraps_socket(void **state)
{
	(void)state;
	wraps(HV_CONSOLE_SOCKET);
}

static void wraps_pty(void **state)
{
	(void)state;
	wraps(HV_CONSOLE_PTY);
}

static void end_of_socket(void **state)
{
	struct test_console c;
	struct ring r;

	(void)state;
	test_console_open(&c, HV_CONSOLE_SOCKET);
	assert_int_equal(open_ring(&r, &c, false), 0);
	assert_int_equal(ring_read(&r, c.near, 100), -EAGAIN);
	assert_int_equal(write(c.far, "last words", 10), 10);
	/* Input that nobody read turns the close into a reset; the output must still come. */
	assert_int_equal(ring_write(&r, c.near, "unread", 6), 6);
	c.far = fd_close(c.far);
	assert_int_equal(ring_read(&r, c.near, 100), 10);
	assert_memory_equal(ring_at(&r, 0), "last words", 10);
	assert_int_equal(ring_read(&r, c.near, 100), 0);
	assert_int_equal(ring_write(&r, c.near, "x", 1), -EPIPE);
	assert_int_equal(ring_written(&r), 6);
	ring_close(&r);
	test_console_close(&c);
}

static void end_of_pty(void **state)
{
	struct test_console c;
	struct ring r;

	(void)state;
	test_console_open(&c, HV_CONSOLE_PTY);
	assert_int_equal(open_ring(&r, &c, false), 0);
	assert_int_equal(write(c.far, "last words", 10), 10);
	c.far = fd_close(c.far);
	assert_int_equal(ring_read(&r, c.near, 100), 10);
	assert_int_equal(ring_read(&r, c.near, 100), 0);
	ring_close(&r);
	test_console_close(&c);
}

/* Offsets, size and modes are there for the next process; the modes belong to the start of the ring. */
static void taken_over(void **state)
{
	struct ring_size size = { 132, 43, 1000, 800 };
	static uint8_t text[40000];
	struct test_console c;
	struct ring r, next;
	uint64_t epoch;
	struct modes want;

	(void)state;
	test_console_open(&c, HV_CONSOLE_SOCKET);
	assert_int_equal(open_ring(&r, &c, false), 0);
	epoch = ring_epoch(&r);
	ring_set_size(&r, size);
	assert_true(ring_turns(&r).now == 0 && ring_turns(&r).typed == 0);
	ring_set_turns(&r, (struct ring_turns){ .now = UINT32_MAX, .typed = 7 });
	assert_int_equal(ring_write(&r, c.near, "hello", 5), 5);
	memset(text, 'a', sizeof(text));
	memcpy(text, "\033[?2004h\033[1;31m", 15);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(write(c.far, text, sizeof(text)), sizeof(text));
		while (ring_read(&r, c.near, RING_READ_MAX) > 0)
			;
	}
	ring_close(&r);

	assert_int_equal(open_ring(&next, &c, true), 0);
	assert_int_equal(ring_epoch(&next), epoch);
	assert_int_equal(ring_end(&next), 20 * sizeof(text));
	assert_int_equal(ring_written(&next), 5);
	size = ring_size(&next);
	assert_int_equal(size.cols, 132);
	assert_int_equal(size.ypix, 800);
	assert_true(ring_turns(&next).now == UINT32_MAX && ring_turns(&next).typed == 7);
	modes_init(&want);
	for (uint64_t o = 0; o < ring_start(&next); o++)
		modes_feed(&want, &text[o % sizeof(text)], 1);
	assert_memory_equal(ring_modes(&next), &want, sizeof(want));
	assert_true(want.sgr.fg == (SGR_INDEXED | 1));
	ring_close(&next);

	/* Not to be taken over: the same memory begins anew. */
	assert_int_equal(open_ring(&next, &c, false), 0);
	assert_true(ring_epoch(&next) != epoch);
	assert_int_equal(ring_end(&next), 0);
	assert_int_equal(ring_size(&next).cols, 0);
	assert_int_equal(ring_turns(&next).now, 0);
	ring_close(&next);
	test_console_close(&c);
}

static void refused(void **state)
{
	struct ring r;

	(void)state;
	assert_int_equal(ring_open(&r, test_ring_fd(65536), 65536, RING_SOCKET, false), -EINVAL);
	assert_int_equal(
		ring_open(&r, test_ring_fd(CONSOLE_RING_BYTES), CONSOLE_RING_BYTES + 1, RING_SOCKET, false),
		-EINVAL);
	assert_int_equal(
		ring_open(&r, test_ring_fd(CONSOLE_RING_BYTES / 2), CONSOLE_RING_BYTES, RING_SOCKET, false),
		-EINVAL);
	assert_int_equal(ring_open(&r, test_ring_fd(4096), RING_BYTES_MAX + 4096, RING_SOCKET, false), -EINVAL);
	assert_int_equal(ring_open(&r, -1, CONSOLE_RING_BYTES, RING_SOCKET, false), -EBADF);
	/* Zeroes, as after a helper that lost it, are no ring. */
	assert_int_equal(
		ring_open(&r, test_ring_fd(CONSOLE_RING_BYTES), CONSOLE_RING_BYTES, RING_SOCKET, true),
		RING_E_FRESH);
	ring_close(&r);
}

/* Whatever one byte of the header turns into: taken over with sound offsets, or begun anew. */
static void damaged(void **state)
{
	struct test_console c;
	struct ring r;
	uint8_t *header, saved[2048];

	(void)state;
	test_console_open(&c, HV_CONSOLE_PTY);
	assert_int_equal(open_ring(&r, &c, false), 0);
	pump(&r, &c, 300000, 3000);
	ring_close(&r);
	header = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, c.ring, 0);
	assert_true(header != MAP_FAILED);
	memcpy(saved, header, sizeof(saved));
	for (size_t i = 0; i < 4 * sizeof(saved); i++) {
		static const uint8_t values[] = { 0x00, 0xff, 0x80, 0x01 };
		int e;

		memcpy(header, saved, sizeof(saved));
		header[i / 4] ^= values[i % 4];
		e = open_ring(&r, &c, true);
		assert_true(e == 0 || e == RING_E_FRESH);
		assert_true(ring_start(&r) <= ring_end(&r) && ring_end(&r) - ring_start(&r) <= r.size);
		assert_true(modes_valid(ring_modes(&r)));
		ring_close(&r);
	}
	munmap(header, 4096);
	test_console_close(&c);
}

/* --- SIGKILL --------------------------------------------------------------------------------------------- */

static void nap_us(long us)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

static pid_t fork_child(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void kill_child(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A gateway that is given the pattern, and is killed: what counts is there, and it can go on behind it. */
static void killed_while_given(void **state)
{
	struct ring r;
	int file = test_ring_fd(CONSOLE_RING_BYTES);

	(void)state;
	assert_int_equal(ring_open(&r, dup(file), CONSOLE_RING_BYTES, RING_GIVEN, false), 0);
	srandom(2);
	for (int i = 0; i < KILLS; i++) {
		uint64_t before = ring_end(&r);
		pid_t gateway = fork_child();

		if (gateway == 0) {
			static uint8_t piece[32768];

			for (unsigned n = 1;; n++) {
				size_t len = 1 + n * 7919u % sizeof(piece);

				make(piece, ring_end(&r), len);
				ring_put(&r, piece, len);
				ring_set_written(&r, ring_end(&r) / 2);
			}
		}
		for (int n = 0; n < 2000 && ring_end(&r) == before; n++)
			nap_us(100);
		nap_us(random() % 500);
		kill_child(gateway);
		ring_close(&r);
		assert_int_equal(ring_open(&r, dup(file), CONSOLE_RING_BYTES, RING_GIVEN, true), 0);
		check_kept(&r);
		assert_true(ring_end(&r) > before && ring_written(&r) <= ring_end(&r) / 2);
	}
	assert_true(ring_end(&r) - ring_start(&r) >= r.size - RING_SLACK);
	ring_close(&r);
	(void)close(file);
}

/* The guest: writes the pattern for ever, in pieces of changing length. */
/* Ciphertext that looks like control sequences leaves no traces in the modes; a terminal's output does. */
static void opaque(void **state)
{
	static const char looks_like[] = "\033[?2004h\033[?1049h\016";
	int file = test_ring_fd(CONSOLE_RING_BYTES);
	struct modes untouched;

	(void)state;
	modes_init(&untouched);
	for (int is_opaque = 0; is_opaque < 2; is_opaque++) {
		struct ring r;

		assert_int_equal(ring_open(&r, dup(file), CONSOLE_RING_BYTES, RING_GIVEN, false), 0);
		r.opaque = is_opaque;
		while (ring_start(&r) == 0)
			ring_put(&r, (const uint8_t *)looks_like, sizeof(looks_like) - 1);
		assert_int_equal(memcmp(ring_modes(&r), &untouched, sizeof(untouched)) == 0, is_opaque);
		ring_close(&r);
	}
	(void)close(file);
}

static void flood(int fd)
{
	static uint8_t buf[20000];
	uint64_t at = 0;

	for (unsigned i = 0;; i++) {
		size_t len = 1 + i * 7919u % sizeof(buf), done = 0;

		make(buf, at, len);
		while (done < len) {
			ssize_t n = write(fd, buf + done, len - done);

			if (n > 0)
				done += (size_t)n;
			else
				(void)poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 100);
		}
		at += len;
	}
}

/* The gateway: reads for ever. */
static void serve(const struct test_console *c)
{
	struct ring r;

	if (open_ring(&r, c, true) != 0)
		_exit(1);
	for (;;) {
		if (ring_read(&r, c->near, RING_READ_MAX) < 0)
			(void)poll(&(struct pollfd){ .fd = c->near, .events = POLLIN }, 1, 100);
	}
}

/*
 * Until the gateway has come to reading, and a random while longer. On a busy machine, or under valgrind,
 * that takes its time.
 */
static void let_it_read(const struct ring *r, uint64_t before)
{
	for (int i = 0; i < 2000 && ring_end(r) == before; i++)
		nap_us(100);
	nap_us(random() % 500);
}

static void killed_while_reading(enum hv_console_kind kind)
{
	struct test_console c;
	struct ring r;
	pid_t guest;

	test_console_open(&c, kind);
	assert_int_equal(open_ring(&r, &c, false), 0);
	guest = fork_child();
	if (guest == 0)
		flood(c.far);
	srandom(1);
	for (int i = 0; i < KILLS; i++) {
		uint64_t before = ring_end(&r);
		pid_t gateway = fork_child();

		if (gateway == 0)
			serve(&c);
		let_it_read(&r, before);
		kill_child(gateway);
		ring_close(&r);
		assert_int_equal(open_ring(&r, &c, true), 0);
		check_kept(&r);
		assert_true(ring_end(&r) > before);
	}
	ring_close(&r);
	kill_child(guest);
	test_console_close(&c);
}

static void killed_reading_socket(void **state)
{
	(void)state;
	killed_while_reading(HV_CONSOLE_SOCKET);
}

static void killed_reading_pty(void **state)
{
	(void)state;
	killed_while_reading(HV_CONSOLE_PTY);
}

/* The gateway: gives the pattern as input for ever. */
static void type(const struct test_console *c)
{
	static uint8_t buf[3000];
	struct ring r;

	if (open_ring(&r, c, true) != 0)
		_exit(1);
	for (unsigned i = 0;; i++) {
		size_t len = 1 + i * 7919u % sizeof(buf);

		make(buf, ring_written(&r), len);
		if (ring_write(&r, c->near, buf, len) < 0)
			(void)poll(&(struct pollfd){ .fd = c->near, .events = POLLOUT }, 1, 1);
	}
}

/* Take what the guest has got. Return: how many bytes that is by now. */
static uint64_t drain(int fd, uint64_t at)
{
	static uint8_t buf[65536], want[sizeof(buf)];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		make(want, at, (size_t)n);
		assert_memory_equal(buf, want, (size_t)n);
		at += (uint64_t)n;
	}
	return at;
}

static void killed_writing_socket(void **state)
{
	struct test_console c;
	struct ring r;
	uint64_t got = 0;

	(void)state;
	test_console_open(&c, HV_CONSOLE_SOCKET);
	assert_int_equal(open_ring(&r, &c, false), 0);
	ring_close(&r);
	srandom(2);
	for (int i = 0; i < KILLS / 2; i++) {
		uint64_t before = got;
		pid_t gateway = fork_child();

		if (gateway == 0)
			type(&c);
		for (int k = 0; k < 2000 && got == before; k++) {
			nap_us(100);
			got = drain(c.far, got);
		}
		nap_us(random() % 300);
		kill_child(gateway);
		got = drain(c.far, got);
		assert_int_equal(open_ring(&r, &c, true), 0);
		assert_int_equal(ring_written(&r), got);
		ring_close(&r);
	}
	assert_true(got > 100000);
	test_console_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wraps_socket),		 cmocka_unit_test(wraps_pty),
		cmocka_unit_test(end_of_socket),	 cmocka_unit_test(end_of_pty),
		cmocka_unit_test(taken_over),		 cmocka_unit_test(refused),
		cmocka_unit_test(damaged),		 cmocka_unit_test(killed_reading_socket),
		cmocka_unit_test(killed_reading_pty),	 cmocka_unit_test(killed_writing_socket),
		cmocka_unit_test(killed_while_given),	 cmocka_unit_test(opaque),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
