/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/loop.h"
#include "gateway/sched.h"

#define FLOODS 50

/* A source that is always full, or gives what is in its socket. */
struct fake {
	struct sched_source source;
	int far;
	uint64_t bytes;
	unsigned serves;
	bool endless;
	size_t shut_after; /* bytes; 0 = never */
};

static unsigned order; /* serves of all fakes so far */
static unsigned quiet_at;

static enum sched_rest on_serve(struct sched_source *src, size_t quantum, size_t *got)
{
	struct fake *f = container_of(src, struct fake, source);
	char buf[4096];
	ssize_t n;

	f->serves++;
	order++;
	if (f->endless) {
		*got = quantum;
		f->bytes += quantum;
		if (f->shut_after && f->bytes >= f->shut_after)
			return SCHED_SHUT;
		return SCHED_MORE;
	}
	quiet_at = order;
	n = read(src->io.fd, buf, sizeof(buf));
	*got = n > 0 ? (size_t)n : 0;
	f->bytes += *got;
	return SCHED_EMPTY;
}

static void fake_open(struct fake *f, struct sched *s, bool endless)
{
	int pair[2];

	memset(f, 0, sizeof(*f));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	f->far = pair[1];
	f->endless = endless;
	if (endless)
		assert_int_equal(write(f->far, "x", 1), 1); /* stays readable */
	sched_source_init(&f->source, s, pair[0], on_serve);
	sched_source_open(&f->source);
	sched_source_open(&f->source);
}

static void fake_close(struct fake *f)
{
	int fd = f->source.io.fd;

	sched_source_shut(&f->source);
	sched_source_shut(&f->source);
	(void)fd_close(fd);
	f->far = fd_close(f->far);
}

static struct loop loop;
static struct sched *sched;
static struct fake flood[FLOODS], quiet;

static int set_up(void **state)
{
	(void)state;
	order = 0;
	return loop_init(&loop) < 0 || sched_create(&sched, &loop) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	sched = sched_destroy(sched);
	loop_finish(&loop);
	return 0;
}

static void turns(int n)
{
	for (int i = 0; i < n; i++)
		ev_run(loop.ev, EVRUN_NOWAIT);
}

/* Jain's index over the bytes of equal floods. */
static void fair(void **state)
{
	double sum = 0, squares = 0;

	(void)state;
	for (int i = 0; i < FLOODS; i++)
		fake_open(&flood[i], sched, true);
	turns(2000);
	for (int i = 0; i < FLOODS; i++) {
		double b = (double)flood[i].bytes;

		sum += b;
		squares += b * b;
		fake_close(&flood[i]);
	}
	assert_true(sum > 0);
	assert_true(sum * sum / (FLOODS * squares) >= 0.99);
}

/* A keystroke's echo is served in the turn of the loop that finds it, whatever stands in the queue. */
static void quiet_first(void **state)
{
	(void)state;
	for (int i = 0; i < FLOODS; i++)
		fake_open(&flood[i], sched, true);
	fake_open(&quiet, sched, false);
	turns(200);
	assert_int_equal(quiet.serves, 0);
	for (int i = 0; i < 20; i++) {
		unsigned before = order;

		assert_int_equal(write(quiet.far, "e", 1), 1);
		turns(1);
		assert_int_equal(quiet.bytes, i + 1);
		assert_int_equal(quiet_at, order); /* a turn begins with the queue, then polls: nothing comes between poll and serve */
		assert_int_equal(order - before, 2); /* and one flood was read once */
	}
	for (int i = 0; i < FLOODS; i++)
		fake_close(&flood[i]);
	fake_close(&quiet);
}

/* After a keystroke no flood is read before its answer, or before a moment has passed; nor can keystrokes starve floods. */
static void answer_first(void **state)
{
	unsigned before;

	(void)state;
	for (int i = 0; i < FLOODS; i++)
		fake_open(&flood[i], sched, true);
	fake_open(&quiet, sched, false);
	turns(200);
	before = order;
	sched_source_typed(&quiet.source);
	turns(1);
	assert_int_equal(order, before);
	assert_int_equal(write(quiet.far, "e", 1), 1);
	while (quiet.serves == 0)
		turns(1);
	before = order;
	sched_source_typed(&quiet.source); /* too soon: it holds up nobody */
	turns(2);
	assert_int_equal(order, before + 2);
	before = order;
	sched_source_typed(&quiet.source); /* and this one is never answered */
	while (order == before)
		(void)ev_run(loop.ev, EVRUN_ONCE);
	turns(2);
	assert_true(order >= before + 2);
	sched_source_typed(&quiet.source); /* nor this one: its program ends */
	fake_close(&quiet);
	before = order;
	turns(1);
	assert_int_equal(order, before + 1);
	for (int i = 0; i < FLOODS; i++)
		fake_close(&flood[i]);
}

/* A flood that stops is quiet again after a while. */
static void calms_down(void **state)
{
	static const char block[4000];

	(void)state;
	fake_open(&quiet, sched, false);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(write(quiet.far, block, sizeof(block)), sizeof(block));
		turns(3);
	}
	assert_true(quiet.source.flooding);
	(void)nanosleep(&(struct timespec){ .tv_nsec = 250000000 }, NULL);
	turns(1);
	assert_int_equal(write(quiet.far, "e", 1), 1);
	turns(2);
	assert_false(quiet.source.flooding);
	fake_close(&quiet);
}

static void shuts(void **state)
{
	uint64_t bytes;

	(void)state;
	fake_open(&flood[0], sched, true);
	flood[0].shut_after = 1 << 20;
	turns(100);
	bytes = flood[0].bytes;
	assert_true(bytes >= 1 << 20 && bytes < 2 << 20);
	flood[0].shut_after = 0;
	sched_source_open(&flood[0].source);
	assert_int_equal(flood[0].bytes, bytes); /* never before it returns */
	turns(10);
	assert_true(flood[0].bytes > bytes);
	/* Shut and closed while it stands in the queue. */
	assert_true(flood[0].source.queued);
	fake_close(&flood[0]);
	turns(3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fair, set_up, tear_down),
		cmocka_unit_test_setup_teardown(quiet_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(answer_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(calms_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shuts, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
