/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/audit.h"
#include "auth/rulebook.h"
#include "auth/store.h"
#include "base/loop.h"
#include "gateway/identities.h"

#define READ_MS 1500 /* two looks, and room for a busy machine */

static char dir[64], file[96], target[96];
static struct loop loop;
static struct store *store;
static struct audit *audit;
static struct rulebook *book;
static struct allow_file *watched;

static void write_to(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void on_over(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)w, (void)events;
	ev_break(ev, EVBREAK_ALL);
}

static void turn(unsigned ms)
{
	ev_timer over;

	ev_now_update(loop.ev);
	ev_timer_init(&over, on_over, ms / 1000., 0.);
	ev_timer_start(loop.ev, &over);
	ev_run(loop.ev, 0);
}

static size_t rules(void)
{
	return rules_count(rulebook_rules(book));
}

static int setup(void **state)
{
	char path[96];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_identities.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	(void)snprintf(file, sizeof(file), "%s/allow", dir);
	(void)snprintf(target, sizeof(target), "%s/target", dir);
	write_to(target, "a@b.c\nb@b.c\n");
	assert_int_equal(symlink(target, file), 0);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(store_open(&store, path, NULL), 0);
	assert_int_equal(audit_open(&audit, store_db(store), NULL), 0);
	assert_int_equal(rulebook_open(&book, store_db(store), audit, NULL, NULL, NULL), 0);
	assert_int_equal(allow_file_open(&watched, &loop, book, audit, file), 0);
	assert_int_equal(rules(), 2);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "db", "db-wal", "db-shm", "allow", "target" };

	(void)state;
	watched = allow_file_close(watched);
	book = rulebook_close(book);
	audit = audit_close(audit);
	store = store_close(store);
	loop_finish(&loop);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[96];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

/* A repository or a cluster keeps the file behind a link; the link itself never changes. */
static void a_change_behind_a_link_is_seen(void **state)
{
	(void)state;
	write_to(target, "a@b.c\nb@b.c\nc@b.c\n");
	turn(READ_MS);
	assert_int_equal(rules(), 3);
}

/* What is still being written has not everybody in it yet. */
static void half_a_file_throws_nobody_out(void **state)
{
	FILE *f = fopen(target, "w");

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 10; i++) {
		turn(300);
		assert_int_equal(rules(), 2);
		assert_true(fprintf(f, "p%d@b.c\n", i) > 0);
		assert_int_equal(fflush(f), 0);
	}
	assert_int_equal(fclose(f), 0);
	turn(READ_MS);
	assert_int_equal(rules(), 10);
}

static void an_empty_or_absent_file_keeps_the_list(void **state)
{
	(void)state;
	write_to(target, "");
	turn(READ_MS);
	assert_int_equal(rules(), 2);
	assert_int_equal(unlink(target), 0);
	turn(READ_MS);
	assert_int_equal(rules(), 2);
	write_to(target, "# nobody\n");
	turn(READ_MS);
	assert_int_equal(rules(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_change_behind_a_link_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_file_throws_nobody_out, setup, teardown),
		cmocka_unit_test_setup_teardown(an_empty_or_absent_file_keeps_the_list, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
