/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/loop.h"
#include "gateway/modes.h"
#include "gateway/sched.h"
#include "gateway/viewer.h"
#include "tests/unit/console.h"

static struct loop loop;
static struct sched *sched;
static struct stream *stream;
static struct test_console console;

struct eye {
	struct viewer viewer;
	unsigned news, all;
};

static void on_news(struct viewer *v, unsigned news)
{
	struct eye *e = container_of(v, struct eye, viewer);

	e->news |= news;
	e->all++;
	if (news & VIEWER_GONE)
		stream_leave(v);
}

static const struct stream_hooks no_hooks = { .on_output = NULL };

static int set_up(void **state)
{
	(void)state;
	if (loop_init(&loop) < 0 || sched_create(&sched, &loop) < 0)
		return -1;
	return stream_create(&stream, &loop, sched, "s.console", &no_hooks, &console);
}

static int tear_down(void **state)
{
	(void)state;
	stream = stream_destroy(stream);
	sched = sched_destroy(sched);
	loop_finish(&loop);
	return 0;
}

static void turns(int n)
{
	for (int i = 0; i < n; i++)
		ev_run(loop.ev, EVRUN_NOWAIT);
}

static void wait_ms(uint64_t ms)
{
	uint64_t until = loop_now_ms() + ms;

	while (loop_now_ms() < until) {
		turns(1);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static void open_console(enum hv_console_kind kind)
{
	struct hv_console c;

	test_console_open(&console, kind);
	c = test_console_hand(&console, false);
	assert_int_equal(stream_open(stream, &c), 0);
}

static void says(const char *text)
{
	assert_int_equal(write(console.far, text, strlen(text)), strlen(text));
	turns(4);
}

static void unopened(void **state)
{
	struct stream_state st = stream_state(stream);
	struct hv_console bad = { .fd = -1, .ring_fd = -1, .ring_bytes = 1 << 20 };

	(void)state;
	assert_int_equal(st.epoch, 0);
	assert_int_equal(st.end, 0);
	assert_string_equal(stream_id(stream), "s.console");
	assert_ptr_equal(stream_arg(stream), &console);
	stream_exit(stream, 1, 0);
	assert_false(stream_state(stream).ended);
	assert_int_equal(stream_open(stream, &bad), -EBADF);
	bad.fd = dup(0);
	assert_int_equal(stream_open(stream, &bad), -EBADF);
	stream_notify(stream);
}

/* The size goes to a PTY at once, is kept in the ring, and reaches a console that comes later. */
static void sizes(void **state)
{
	struct eye a = { .viewer.on_news = on_news }, b = { .viewer.on_news = on_news };
	struct ring_size size = { 100, 30, 7, 8 };
	struct winsize ws;
	struct hv_console c;

	(void)state;
	stream_join(stream, &a.viewer);
	stream_join(stream, &b.viewer);
	stream_resize(stream, &a.viewer, size);
	assert_int_equal(b.news, VIEWER_SIZE);
	assert_int_equal(a.news, 0);
	stream_resize(stream, &a.viewer, size);
	assert_int_equal(b.all, 1);
	open_console(HV_CONSOLE_PTY);
	assert_int_equal(ioctl(console.far, TIOCGWINSZ, &ws), 0);
	assert_int_equal(ws.ws_col, 100);
	assert_int_equal(ws.ws_ypixel, 8);
	size.rows = 31;
	stream_resize(stream, NULL, size);
	assert_int_equal(ioctl(console.far, TIOCGWINSZ, &ws), 0);
	assert_int_equal(ws.ws_row, 31);
	stream_leave(&a.viewer);
	stream_leave(&b.viewer);

	/* The next gateway knows it, too. */
	stream = stream_destroy(stream);
	assert_int_equal(stream_create(&stream, &loop, sched, "s.console", &no_hooks, NULL), 0);
	c = test_console_hand(&console, true);
	assert_int_equal(stream_open(stream, &c), 0);
	assert_int_equal(stream_state(stream).size.rows, 31);
	test_console_close(&console);
}

static void adopted(void **state)
{
	struct eye a = { .viewer.on_news = on_news };
	struct stream_state before, after;
	uint8_t text[8];
	struct hv_console c;

	(void)state;
	open_console(HV_CONSOLE_SOCKET);
	says("before ");
	assert_int_equal(stream_input(stream, 0, (const uint8_t *)"in", 2), 0);
	before = stream_state(stream);
	stream_join(stream, &a.viewer);
	stream = stream_destroy(stream);
	assert_int_equal(a.news & VIEWER_GONE, VIEWER_GONE);
	assert_null(a.viewer.stream);

	assert_int_equal(write(console.far, "between", 7), 7);
	assert_int_equal(stream_create(&stream, &loop, sched, "s.console", &no_hooks, NULL), 0);
	c = test_console_hand(&console, true);
	assert_int_equal(stream_open(stream, &c), 0);
	turns(4);
	after = stream_state(stream);
	assert_true(before.epoch == after.epoch);
	assert_int_equal(after.end, 14);
	assert_int_equal(after.written, 2);
	assert_int_equal(stream_read(stream, 7, text, sizeof(text)), 7);
	assert_memory_equal(text, "between", 7);

	/* The helper comes back while we live: the same console again is no new epoch. */
	stream_join(stream, &a.viewer);
	a.news = 0;
	c = test_console_hand(&console, true);
	assert_int_equal(stream_open(stream, &c), 0);
	says("!");
	assert_int_equal(a.news, VIEWER_OUTPUT);
	assert_int_equal(stream_state(stream).end, 15);

	/* A ring that is not one: a new epoch, a warning, and the console works. */
	assert_int_equal(ftruncate(console.ring, 0), 0);
	assert_int_equal(ftruncate(console.ring, CONSOLE_RING_BYTES), 0);
	c = test_console_hand(&console, true);
	assert_int_equal(stream_open(stream, &c), 0);
	assert_true(stream_state(stream).epoch != after.epoch);
	assert_int_equal(a.news & VIEWER_EPOCH, VIEWER_EPOCH);
	says("x");
	assert_int_equal(stream_state(stream).end, 1);
	stream_leave(&a.viewer);
	test_console_close(&console);
}

static void takes(const char *text)
{
	char got[64] = "";
	ssize_t n;

	turns(4);
	n = read(console.far, got, sizeof(got) - 1);
	assert_int_equal(n, text[0] ? (ssize_t)strlen(text) : -1);
	if (text[0])
		assert_string_equal(got, text);
}

/*
 * A process that is put aside and woken: its last output is kept, nobody hears of an end, what is typed meanwhile comes, once, when the next process
 * may be spoken to, and offsets go on.
 */
static void sleeps_and_wakes(void **state)
{
	struct eye a = { .viewer.on_news = on_news };
	struct stream_state before, after;
	struct iovec ring[2];
	struct hv_console c;
	int kept = test_ring_fd(CONSOLE_RING_BYTES);

	(void)state;
	open_console(HV_CONSOLE_SOCKET);
	stream_join(stream, &a.viewer);
	assert_int_equal(stream_input(stream, 0, (const uint8_t *)"in", 2), 0);
	takes("in");
	assert_int_equal(write(console.far, "last words", 10), 10);
	stream_settle(stream);
	before = stream_state(stream);
	assert_int_equal(before.end, 10);
	stream_ring(stream, ring);
	assert_int_equal(writev(kept, ring, 2), CONSOLE_RING_BYTES);
	stream_sleep(stream);
	test_console_close(&console);
	turns(4);
	assert_false(stream_state(stream).ended);
	assert_int_equal(stream_input(stream, 2, (const uint8_t *)"typed", 5), 0);

	test_console_open(&console, HV_CONSOLE_SOCKET);
	console.ring = (fd_close(console.ring), kept);
	c = test_console_hand(&console, true);
	c.mute = true;
	assert_int_equal(stream_open(stream, &c), 0);
	assert_int_equal(stream_input(stream, 7, (const uint8_t *)" on", 3), 0);
	takes("");
	stream_speak(stream);
	takes("typed on");
	after = stream_state(stream);
	assert_true(after.epoch == before.epoch && after.end == 10 && after.written == 10);
	says("!");
	assert_int_equal(stream_state(stream).end, 11);
	assert_int_equal(a.news & VIEWER_EPOCH, 0);
	stream_leave(&a.viewer);
	test_console_close(&console);
}

/* Only the controller's credit counts; control can be given and taken. */
static void gates(void **state)
{
	struct eye a = { .viewer = { .on_news = on_news, .window = 16384 } }, b = a;
	static char block[60000];
	size_t total = 0;

	(void)state;
	open_console(HV_CONSOLE_SOCKET);
	stream_join(stream, &a.viewer);
	stream_join(stream, &b.viewer);
	stream_control(stream, &a.viewer);
	assert_int_equal(write(console.far, block, sizeof(block)), sizeof(block));
	turns(10);
	assert_int_equal(stream_state(stream).end, 16384);
	b.viewer.credit = 16384;
	stream_credited(&b.viewer);
	turns(10);
	assert_int_equal(stream_state(stream).end, 16384);
	a.viewer.credit = 10000;
	stream_credited(&a.viewer);
	turns(10);
	assert_int_equal(stream_state(stream).end, 26384);
	stream_control(stream, &b.viewer);
	turns(10);
	assert_int_equal(stream_state(stream).end, 32768);
	/* Who just went may come back: what he has not consumed is kept for a while. */
	stream_leave(&b.viewer);
	assert_null(stream_controller(stream));
	for (int i = 0; i < 4; i++) {
		assert_int_equal(write(console.far, block, sizeof(block)), sizeof(block));
		turns(20);
	}
	assert_true(stream_state(stream).end < 5 * sizeof(block));
	assert_true(stream_state(stream).start <= b.viewer.credit);
	stream_expect_nobody(stream);
	turns(20);
	assert_int_equal(stream_state(stream).end, 5 * sizeof(block));
	while (total < 1 << 20) {
		assert_int_equal(write(console.far, block, sizeof(block)), sizeof(block));
		total += sizeof(block);
		turns(4);
	}
	assert_int_equal(stream_state(stream).end, total + 5 * sizeof(block));
	assert_true(stream_state(stream).start > 0);
	stream_leave(&a.viewer);
	test_console_close(&console);
}

/* Behind the PTY is a VMM: it is fed in pieces, and its terminal's modes are not those of the guest's. */
static void a_relayed_console_is_paced(void **state)
{
	static uint8_t paste[2000], got[2000];
	struct hv_console c;
	size_t len = 0;
	ssize_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(paste); i++)
		paste[i] = (uint8_t)('a' + i % 26);
	test_console_open(&console, HV_CONSOLE_PTY);
	c = test_console_hand(&console, false);
	c.relayed = true;
	assert_int_equal(stream_open(stream, &c), 0);
	assert_int_equal(stream_shows_typing(stream), STREAM_TYPING_UNKNOWN);
	assert_int_equal(stream_input(stream, 0, paste, sizeof(paste)), 0);
	turns(4);
	n = read(console.far, got, sizeof(got));
	assert_true(n > 0 && n <= 256);
	len = (size_t)n;
	for (int ms = 0; ms < 2000 && len < sizeof(got); ms++) {
		wait_ms(1);
		n = read(console.far, got + len, sizeof(got) - len);
		assert_true(n <= 512); /* of two turns, on a busy host */
		len += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(len, sizeof(paste));
	assert_memory_equal(got, paste, sizeof(paste));
	test_console_close(&console);
}

/* What a flood gives is told in few pieces, but the last byte of it is told, too. */
static void gathers(void **state)
{
	struct eye a = { .viewer.on_news = on_news };
	static char block[4096];
	unsigned writes = 0;

	(void)state;
	open_console(HV_CONSOLE_PTY);
	stream_join(stream, &a.viewer);
	for (int i = 0; i < 400; i++) {
		ssize_t n = write(console.far, block, sizeof(block));

		writes += n > 0;
		ev_run(loop.ev, EVRUN_NOWAIT);
	}
	assert_true(writes > 100);
	assert_true(a.all < writes);
	for (int i = 0; i < 20; i++) {
		uint64_t end;

		wait_ms(1);
		end = stream_state(stream).end;
		a.news = 0;
		if (write(console.far, "x", 1) != 1)
			continue;
		/* The kernel moves bytes through a PTY in its own time. */
		for (int ms = 0; ms < 1000 && stream_state(stream).end == end; ms++)
			wait_ms(1);
		wait_ms(1);
		assert_int_equal(a.news, VIEWER_OUTPUT);
	}
	stream_leave(&a.viewer);
	test_console_close(&console);
}

static void input(void **state)
{
	struct eye a = { .viewer.on_news = on_news };
	static uint8_t block[65536];
	uint64_t at = 0;
	int r;

	(void)state;
	open_console(HV_CONSOLE_SOCKET);
	stream_join(stream, &a.viewer);
	assert_int_equal(stream_input(stream, 0, (const uint8_t *)"abc", 3), 0);
	assert_int_equal(a.news, VIEWER_INPUT);
	assert_int_equal(stream_input(stream, 0, (const uint8_t *)"abc", 3), 0);
	assert_int_equal(stream_input(stream, 1, (const uint8_t *)"bcd", 3), 0);
	assert_int_equal(stream_input(stream, 5, (const uint8_t *)"f", 1), STREAM_E_AHEAD);
	assert_int_equal(read(console.far, block, sizeof(block)), 4);
	assert_memory_equal(block, "abcd", 4);
	at = 4;
	while ((r = stream_input(stream, at, block, 16000)) == 0)
		at += 16000;
	assert_int_equal(r, STREAM_E_FULL);
	assert_int_equal(stream_state(stream).wanted, at);
	assert_true(stream_state(stream).held <= STREAM_HELD_MAX);
	while (read(console.far, block, sizeof(block)) > 0)
		turns(2);
	assert_int_equal(stream_state(stream).written, at);
	/* The other end hangs up: input is dropped, output is read to its end. */
	console.far = fd_close(console.far);
	assert_int_equal(stream_input(stream, at, block, 10), STREAM_E_ENDED);
	assert_int_equal(stream_input(stream, at + 10, block, 10), STREAM_E_ENDED);
	stream_leave(&a.viewer);
	test_console_close(&console);
}

static void ends(void **state)
{
	struct eye a = { .viewer.on_news = on_news };

	(void)state;
	open_console(HV_CONSOLE_PTY);
	stream_join(stream, &a.viewer);
	assert_int_equal(write(console.far, "bye", 3), 3);
	stream_exit(stream, 2, 0);
	stream_exit(stream, 9, 9); /* only the first counts */
	wait_ms(10);
	assert_false(stream_state(stream).ended); /* a grandchild may still write */
	says("grandchild");
	wait_ms(400);
	assert_true(stream_state(stream).ended);
	assert_int_equal(stream_state(stream).end, 13);
	assert_int_equal(stream_state(stream).exit_code, 2);
	assert_int_equal(stream_input(stream, 0, (const uint8_t *)"x", 1), STREAM_E_ENDED);
	stream_leave(&a.viewer);
	test_console_close(&console);
}

/* A replay may begin at the start of a line; the modes there are those of all that came before. */
static void safe_places(void **state)
{
	uint8_t preamble[MODES_PREAMBLE_MAX + 1];
	char line[64];
	uint64_t at;
	size_t len;

	(void)state;
	open_console(HV_CONSOLE_SOCKET);
	says("\033[?2004h\033]2;title\a");
	assert_int_equal(stream_safe(stream, 0), 0);
	assert_int_equal(stream_safe(stream, 3), 8);
	for (int i = 0; i < 12000; i++) {
		int n = snprintf(line, sizeof(line), "%036d \033[3%dmx\033[m\r\n", i, i % 8);

		assert_int_equal(write(console.far, line, (size_t)n), n);
		if (i % 50 == 0)
			turns(4);
	}
	turns(100);
	for (int i = 0; i < 100; i++) {
		struct stream_state st = stream_state(stream);
		uint8_t byte;

		at = stream_safe(stream, st.start + (uint64_t)random() % (st.end - st.start - 200));
		assert_true(at >= st.start && at <= st.end);
		assert_int_equal(stream_read(stream, at - 1, &byte, 1), 1);
		assert_int_equal(byte, '\n');
		len = stream_preamble(stream, at, preamble);
		preamble[len] = '\0';
		assert_non_null(strstr((char *)preamble, "\033[?2004h"));
		assert_non_null(strstr((char *)preamble, "\033]2;title\033\\"));
		assert_null(strstr((char *)preamble, "\033[3"));
	}
	test_console_close(&console);
}

/* A far end that sends as much as it is asked for, a window at a time. */
struct far_end {
	struct stream_line line;
	uint64_t asked, came, input;
	size_t room;
	struct ring_size size;
};

static size_t far_write(struct stream_line *line, const uint8_t *data, size_t len)
{
	struct far_end *f = container_of(line, struct far_end, line);
	size_t n = len < f->room ? len : f->room;

	(void)data;
	f->room -= n;
	f->input += n;
	return n;
}

static void far_take(struct stream_line *line, uint64_t offset)
{
	struct far_end *f = container_of(line, struct far_end, line);

	if (offset > f->asked)
		f->asked = offset;
	assert_true(offset <= f->came);
}

static void far_resize(struct stream_line *line, struct ring_size size)
{
	container_of(line, struct far_end, line)->size = size;
}

static const struct stream_line_ops far_ops = { .write = far_write, .take = far_take, .resize = far_resize };

static void far_sends(struct far_end *f)
{
	static uint8_t block[8192];

	for (int i = 0; i < 8 && f->asked + f->line.window - f->came >= sizeof(block); i++) {
		f->came += sizeof(block);
		stream_line_output(stream, block, sizeof(block));
	}
}

/* Nothing of what the controller has not consumed leaves the ring, whatever comes unasked for; and it never stands still. */
static void line_gates(void **state)
{
	struct far_end f = { .line = { .ops = &far_ops, .window = 65536 } };
	struct eye a = { .viewer = { .on_news = on_news } };

	(void)state;
	assert_int_equal(stream_open_line(stream, &f.line, test_ring_fd(CONSOLE_RING_BYTES), CONSOLE_RING_BYTES, false), 0);
	assert_true(stream_state(stream).waits && stream_state(stream).pty);
	stream_line_up(stream, 0);
	assert_false(stream_state(stream).waits);
	far_sends(&f);
	assert_true(f.came == 65536 && f.asked == f.came); /* nobody looks: it may run on */
	stream_join(stream, &a.viewer);
	for (uint32_t window = 16384; window <= stream_state(stream).ring_bytes - RING_SLACK; window += 8192) {
		struct stream_state st = stream_state(stream);

		a.viewer.credit = st.end;
		a.viewer.window = window;
		stream_control(stream, &a.viewer);
		far_sends(&f);
		far_sends(&f);
		st = stream_state(stream);
		assert_true(st.end > a.viewer.credit && st.start <= a.viewer.credit);
		assert_true(st.end - a.viewer.credit <= (window > 65536 ? window : 65536) + 65536);
		assert_true(st.lasting >= st.start && st.lasting <= st.end);
		/* Gone, and back within the time that is kept for it. */
		stream_leave(&a.viewer);
		far_sends(&f);
		assert_true(stream_state(stream).start <= a.viewer.credit);
		stream_join(stream, &a.viewer);
		for (int i = 0; i < 40; i++) {
			a.viewer.credit = stream_state(stream).end;
			stream_control(stream, &a.viewer);
			stream_credited(&a.viewer);
			far_sends(&f);
		}
		assert_true(stream_state(stream).end > st.end + 40u * 16384u);
	}
	stream_leave(&a.viewer);
	stream_expect_nobody(stream);
	for (int i = 0; i < 100; i++)
		far_sends(&f);
	assert_true(stream_state(stream).end > 100u * 65536u);
	stream_line_end(stream, 3, 0, "over");
	assert_true(stream_state(stream).ended && stream_state(stream).exit_code == 3);
	assert_string_equal(stream_state(stream).why, "over");
	stream_line_output(stream, (const uint8_t *)"x", 1);
	assert_int_equal(stream_input(stream, 0, (const uint8_t *)"x", 1), STREAM_E_ENDED);
}

/* Input counts as written when the far end has it; what it has no room for waits. */
static void line_input(void **state)
{
	struct far_end f = { .line = { .ops = &far_ops, .window = 65536 }, .room = 10 };
	struct eye a = { .viewer.on_news = on_news };
	struct stream_state st;

	(void)state;
	assert_int_equal(stream_open_line(stream, &f.line, test_ring_fd(CONSOLE_RING_BYTES), CONSOLE_RING_BYTES, false), 0);
	stream_line_up(stream, 100);
	stream_join(stream, &a.viewer);
	assert_int_equal(stream_input(stream, 100, (const uint8_t *)"0123456789abcdef", 16), 0);
	st = stream_state(stream);
	assert_true(st.written == 100 && st.wanted == 116 && st.held == 16 && f.input == 10);
	assert_int_equal(a.news, 0);
	f.room = 100;
	stream_line_moved(stream, 104);
	st = stream_state(stream);
	assert_true(st.written == 104 && st.wanted == 116 && f.input == 16 && a.news == VIEWER_INPUT);
	assert_int_equal(stream_input(stream, 110, (const uint8_t *)"abcdefgh", 8), 0);
	assert_int_equal(f.input, 18);
	assert_int_equal(stream_input(stream, 119, (const uint8_t *)"x", 1), STREAM_E_AHEAD);
	stream_line_moved(stream, 118);
	assert_int_equal(stream_state(stream).held, 0);
	stream_line_moved(stream, 500); /* more than it was given */
	assert_int_equal(stream_state(stream).written, 118);
	stream_resize(stream, NULL, (struct ring_size){ .cols = 70, .rows = 20 });
	assert_int_equal(f.size.cols, 70);
	stream_leave(&a.viewer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(unopened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sizes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(adopted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(input, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sleeps_and_wakes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_relayed_console_is_paced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gathers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(safe_places, set_up, tear_down),
		cmocka_unit_test_setup_teardown(line_gates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(line_input, set_up, tear_down),
	};

	(void)log_open("test", "error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
