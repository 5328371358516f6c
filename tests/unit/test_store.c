/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/store.h"
#include "base/err.h"

struct fixture {
	char dir[64], path[96];
	struct store *store;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_store.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/db", f->dir);
	assert_int_equal(store_open(&f->store, f->path, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	static const char *const tails[] = { "", "-wal", "-shm" };

	f->store = store_close(f->store);
	for (size_t i = 0; i < 3; i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s%s", f->path, tails[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	f->store = store_close(f->store);
	assert_int_equal(store_open(&f->store, f->path, NULL), 0);
}

static int64_t person(struct fixture *f, const char *email)
{
	int64_t id = 0;

	assert_int_equal(store_person_seen(f->store, "demo", email, email, 100, &id, NULL), 0);
	assert_true(id > 0);
	return id;
}

static void a_person_is_found_again(void **state)
{
	struct fixture *f = *state;
	char email[EMAIL_BYTES];
	int64_t a = person(f, "a@x.org"), b = person(f, "b@x.org"), again = 0;

	assert_int_not_equal(a, b);
	reopen(f);
	assert_int_equal(store_person_seen(f->store, "demo", "a@x.org", "new@x.org", 200, &again, NULL), 0);
	assert_int_equal(again, a);
	assert_int_equal(store_person_email(f->store, a, email, NULL), 0);
	assert_string_equal(email, "new@x.org");
	assert_int_equal(store_person_email(f->store, 999, email, NULL), STORE_E_NONE);
}

static int count_person(void *arg, const struct person_row *p, int64_t sessions, int64_t machines)
{
	(void)p, (void)sessions, (void)machines;
	++*(int *)arg;
	return 0;
}

/* People type names as they are written. */
static void people_are_found_by_part_of_their_address(void **state)
{
	static const struct {
		const char *search;
		int found;
	} rows[] = { { "", 2 }, { "Ann@", 1 }, { "X.ORG", 2 }, { "%", 0 }, { "_", 0 } };
	struct fixture *f = *state;
	bool more;

	(void)person(f, "ann@x.org");
	(void)person(f, "bob@x.org");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int n = 0;

		assert_int_equal(store_person_list(f->store, rows[i].search, "", 10, count_person, &n, &more, NULL), 0);
		assert_int_equal(n, rows[i].found);
	}
}

static void sessions_end_on_time_and_on_demand(void **state)
{
	struct fixture *f = *state;
	struct who who = { .person = person(f, "a@x.org"), .email = "a@x.org", .expires_at = 1000 }, got;

	memset(who.session_hash, 7, sizeof(who.session_hash));
	assert_int_equal(store_session_put(f->store, &who, 500, NULL), 0);
	reopen(f);
	assert_int_equal(store_session_get(f->store, who.session_hash, 999, &got, NULL), 0);
	assert_int_equal(got.person, who.person);
	assert_string_equal(got.email, "a@x.org");
	assert_int_equal(got.expires_at, 1000);
	assert_int_equal(store_session_get(f->store, who.session_hash, 1000, &got, NULL), STORE_E_NONE);
	assert_int_equal(store_session_purge(f->store, 999, NULL), 0);
	assert_int_equal(store_session_get(f->store, who.session_hash, 999, &got, NULL), 0);
	assert_int_equal(store_session_drop(f->store, who.session_hash, NULL), 0);
	assert_int_equal(store_session_get(f->store, who.session_hash, 999, &got, NULL), STORE_E_NONE);
	assert_int_equal(store_session_put(f->store, &who, 500, NULL), 0);
	assert_int_equal(store_session_purge(f->store, 1000, NULL), 0);
	assert_int_equal(store_session_get(f->store, who.session_hash, 0, &got, NULL), STORE_E_NONE);
}

static void a_session_needs_a_person(void **state)
{
	struct fixture *f = *state;
	struct who who = { .person = 42, .expires_at = 1000 };
	struct err e = { 0 };

	assert_true(store_session_put(f->store, &who, 500, &e) < 0);
	assert_non_null(strstr(e.msg, "keep the session"));
}

struct seen {
	size_t count;
	uint8_t first[8];
	int stop_at;
};

static int note(void *arg, const struct vm_row *row)
{
	struct seen *s = arg;

	s->first[s->count++ % 8] = row->id[0];
	return (int)s->count == s->stop_at ? 77 : 0;
}

static void machines_are_listed_oldest_first(void **state)
{
	struct fixture *f = *state;
	struct vm_row row = { .owner = person(f, "a@x.org"), .created_s = 5, .spec = "{\"cpus\":1}", .key = "k" };
	struct seen seen = { 0 }, stopped = { .stop_at = 2 };

	for (uint8_t i = 0; i < 3; i++) {
		row.id[0] = (uint8_t)(30 - i);
		assert_int_equal(store_vm_put(f->store, &row, NULL), 0);
	}
	assert_int_equal(store_vm_put(f->store, &row, NULL), STORE_E_EXISTS);
	reopen(f);
	assert_int_equal(store_vm_each(f->store, note, &seen, NULL), 0);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.first[0], 30);
	assert_int_equal(seen.first[2], 28);
	assert_int_equal(store_vm_each(f->store, note, &stopped, NULL), 77);
	assert_int_equal(store_vm_drop(f->store, row.id, NULL), 0);
	assert_int_equal(store_vm_drop(f->store, row.id, NULL), STORE_E_NONE);
}

static void the_file_is_private_and_writable(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(store_writable(f->store, NULL), 0);
}

static void what_cannot_be_opened_is_named(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	struct err e = { 0 };
	char path[128];
	FILE *out;

	assert_true(store_open(&s, "/nonexistent/db", &e) < 0);
	assert_non_null(strstr(e.msg, "/nonexistent/db"));
	(void)snprintf(path, sizeof(path), "%s/garbage", f->dir);
	out = fopen(path, "w");
	assert_non_null(out);
	for (int i = 0; i < 2000; i++)
		(void)fputs("not a database ", out);
	(void)fclose(out);
	assert_int_equal(store_open(&s, path, &e), -EBADMSG);
	assert_non_null(strstr(e.msg, path));
	assert_null(s);
	(void)unlink(path);
}

static void a_newer_database_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };
	struct store *s = NULL;
	FILE *file;

	/* Offset 60 of the header is the user version (SQLite file format, §1.3); the WAL is folded in by closing. */
	f->store = store_close(f->store);
	file = fopen(f->path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, 60, SEEK_SET), 0);
	assert_int_equal(fwrite("\0\0\0\x63", 1, 4, file), 4);
	(void)fclose(file);
	assert_int_equal(store_open(&s, f->path, &e), -ENOTSUP);
	assert_non_null(strstr(e.msg, "version 99"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_person_is_found_again, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_end_on_time_and_on_demand, setup, teardown),
		cmocka_unit_test_setup_teardown(people_are_found_by_part_of_their_address, setup, teardown),
		cmocka_unit_test_setup_teardown(a_session_needs_a_person, setup, teardown),
		cmocka_unit_test_setup_teardown(machines_are_listed_oldest_first, setup, teardown),
		cmocka_unit_test_setup_teardown(the_file_is_private_and_writable, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_opened_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(a_newer_database_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
