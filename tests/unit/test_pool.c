/* SPDX-License-Identifier: Apache-2.0 */
/* How many machines are kept ready, of which kinds, and what happens when they cannot be made. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/loop.h"
#include "gateway/pool.h"

static struct loop loop;
static struct pool *pool;
static struct pool_count have;
static enum hv_template_state template_state;
static int made, dropped, make_result;
static bool crowded;

static struct pool_count count(void *arg, const char *kind)
{
	(void)arg;
	(void)kind;
	return have;
}

static int make(void *arg, const struct vm_spec *spec, const char *kind)
{
	(void)arg;
	assert_string_equal(spec->image, "micro");
	assert_non_null(strstr(kind, "micro"));
	made++;
	have.making += make_result == 0;
	return make_result;
}

static void drop(void *arg, const char *kind)
{
	(void)arg;
	(void)kind;
	dropped++;
	have.ready--;
}

static enum hv_template_state template_of(void *arg, const struct vm_spec *spec, bool wanted)
{
	(void)arg;
	(void)spec;
	assert_false(wanted); /* whoever asks for the first of a kind boots, and is not disturbed */
	return template_state;
}

static bool is_crowded(void *arg)
{
	(void)arg;
	return crowded;
}

static const struct pool_hooks hooks = { .count = count, .make = make, .drop = drop, .template = template_of, .crowded = is_crowded };

static void begin(unsigned min, unsigned max, uint64_t reserve)
{
	const struct pool_config c = { .min = min, .max = max, .reserve_bytes = reserve };

	assert_int_equal(loop_init(&loop), 0);
	pool = pool_create(&loop, &c, &hooks, NULL);
	assert_non_null(pool);
	memset(&have, 0, sizeof(have));
	made = dropped = make_result = 0;
	template_state = HV_TEMPLATE_READY;
}

static int end(void **state)
{
	(void)state;
	pool = pool_destroy(pool);
	loop_finish(&loop);
	return 0;
}

static const char *kind_of(const char *name, uint16_t cols, char out[POOL_KIND_BYTES])
{
	struct vm_spec s;

	spec_defaults(&s);
	(void)snprintf(s.name, sizeof(s.name), "%s", name);
	s.cols = cols;
	assert_int_equal(pool_kind(&s, out), 0);
	return out;
}

/* @n are wanted; what the pool does of it is done. */
static void want(int n)
{
	char kind[POOL_KIND_BYTES];
	struct vm_spec s;

	spec_defaults(&s);
	(void)kind_of("a", 80, kind);
	while (n-- > 0)
		pool_wanted(pool, &s, kind);
	pool_changed(pool, kind, false);
	ev_run(loop.ev, EVRUN_NOWAIT);
}

static void all_under_way_are_ready(void)
{
	have.ready += have.making;
	have.making = 0;
	want(0);
}

static void a_kind_has_no_name(void **state)
{
	char a[POOL_KIND_BYTES], b[POOL_KIND_BYTES];
	struct vm_spec s;

	(void)state;
	assert_string_equal(kind_of("ann", 80, a), kind_of("bob", 120, b));
	spec_defaults(&s);
	s.cpus = 2;
	assert_int_equal(pool_kind(&s, b), 0);
	assert_string_not_equal(a, b);
}

static void follows_the_demand(void **state)
{
	char kind[POOL_KIND_BYTES];
	struct pool_state s;

	(void)state;
	begin(0, 4, 1);
	want(1);
	assert_int_equal(made, 1);
	want(9); /* two at a time, and four at most */
	assert_int_equal(made, 2);
	for (int i = 0; i < 5; i++) {
		have.ready += have.making;
		have.making = 0;
		pool_changed(pool, kind_of("a", 80, kind), false);
		ev_run(loop.ev, EVRUN_NOWAIT);
	}
	assert_int_equal(made, 4);
	pool_state(pool, &s);
	assert_int_equal(s.ready, 4);
	assert_int_equal(s.wanted, 4);
	assert_int_equal(dropped, 0);
}

static void none_without_a_template(void **state)
{
	(void)state;
	begin(2, 4, 1);
	template_state = HV_TEMPLATE_MAKING;
	want(3);
	assert_int_equal(made, 0);
	template_state = HV_TEMPLATE_READY;
	want(0 + 1);
	assert_int_equal(made, 2);
}

struct seen {
	unsigned kinds, wanted;
	char image[64];
};

static void see(void *arg, const struct pool_kind_state *k)
{
	struct seen *seen = arg;

	seen->kinds++;
	seen->wanted += k->wanted;
	(void)snprintf(seen->image, sizeof(seen->image), "%s", k->spec->image);
}

static void none_beside_those_who_wait(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	begin(2, 4, 1);
	crowded = true;
	want(3);
	assert_int_equal(made, 0);
	pool_each(pool, see, &seen);
	assert_int_equal(seen.kinds, 1);
	assert_int_equal(seen.wanted, 3);
	assert_string_equal(seen.image, "micro");
	crowded = false;
	want(0);
	assert_int_equal(made, 2);
}

static void none_when_memory_is_short(void **state)
{
	struct pool_state s;

	(void)state;
	begin(2, 4, 1ULL << 50);
	want(3);
	assert_int_equal(made, 0);
	pool_state(pool, &s);
	assert_true(s.low);
	have.ready = 2; /* what is there goes, one at a look */
	want(1);
	assert_int_equal(dropped, 1);
}

static void pauses_after_a_failure(void **state)
{
	char kind[POOL_KIND_BYTES];
	struct pool_state s;

	(void)state;
	begin(0, 4, 1);
	make_result = -ENOMEM;
	want(2);
	assert_int_equal(made, 1);
	want(1);
	assert_int_equal(made, 1);
	pool_changed(pool, kind_of("a", 80, kind), true);
	ev_run(loop.ev, EVRUN_NOWAIT);
	assert_int_equal(made, 1);
	pool_state(pool, &s);
	assert_int_equal(s.failed, 1);
}

static void switched_off(void **state)
{
	(void)state;
	begin(3, 0, 1);
	want(5);
	all_under_way_are_ready();
	assert_int_equal(made, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kind_has_no_name),
		cmocka_unit_test_teardown(follows_the_demand, end),
		cmocka_unit_test_teardown(none_without_a_template, end),
		cmocka_unit_test_teardown(none_beside_those_who_wait, end),
		cmocka_unit_test_teardown(none_when_memory_is_short, end),
		cmocka_unit_test_teardown(pauses_after_a_failure, end),
		cmocka_unit_test_teardown(switched_off, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
