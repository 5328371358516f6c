/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/share.h"
#include "auth/store.h"
#include "base/err.h"

#define STREAM "00112233445566778899aabbccddeeff.console"

static char dir[64], path[96];
static struct store *store;
static struct db *db;
static const struct share model = { .owner = 1, .stream = STREAM, .created_s = 100, .expires_s = 200 };

static int setup(void **state)
{
	struct vm_row vm = { .owner = 1 };
	int64_t person;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_share.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	assert_int_equal(store_open(&store, path, NULL), 0);
	db = store_db(store);
	assert_int_equal(store_person_seen(store, "i", "s", "ann@x.org", 1, &person, NULL), 0);
	assert_int_equal(person, 1);
	return store_vm_put(store, &vm, NULL);
}

static int teardown(void **state)
{
	static const char *const tails[] = { "", "-wal", "-shm" };

	(void)state;
	store = store_close(store);
	for (size_t i = 0; i < 3; i++) {
		char file[128];

		(void)snprintf(file, sizeof(file), "%s%s", path, tails[i]);
		(void)unlink(file);
	}
	return rmdir(dir);
}

static void found_by_its_secret_until_its_date(void **state)
{
	struct share s = model, got;
	char secret[SECRET_TEXT], other[SECRET_TEXT];

	(void)state;
	s.controller = true;
	(void)snprintf(s.email, sizeof(s.email), "bob@x.org");
	assert_int_equal(share_make(db, &s, secret, NULL), 0);
	assert_true(s.id > 0);
	assert_int_equal(share_find(db, secret, 199, &got, NULL), 0);
	assert_int_equal(got.id, s.id);
	assert_string_equal(got.email, "bob@x.org");
	assert_string_equal(got.stream, STREAM);
	assert_true(got.controller && !got.open);
	assert_int_equal(share_find(db, secret, 200, &got, NULL), SHARE_E_NONE);
	assert_int_equal(share_get(db, s.id, 200, &got, NULL), SHARE_E_NONE);
	memcpy(other, secret, sizeof(other));
	other[0] = other[0] == '0' ? '1' : '0';
	assert_int_equal(share_find(db, other, 100, &got, NULL), SHARE_E_NONE);
	assert_int_equal(share_find(db, "", 100, &got, NULL), SHARE_E_NONE);
	assert_int_equal(share_set_role(db, s.id, false, NULL), 0);
	assert_int_equal(share_used(db, s.id, 150, NULL), 0);
	assert_int_equal(share_get(db, s.id, 150, &got, NULL), 0);
	assert_false(got.controller);
	assert_int_equal(got.used_s, 150);
	assert_int_equal(share_drop(db, s.id, NULL), 0);
	assert_int_equal(share_drop(db, s.id, NULL), 0);
	assert_int_equal(share_find(db, secret, 150, &got, NULL), SHARE_E_NONE);
}

static void who_is_shut_out(void **state)
{
	struct share a = model, b = model;
	char secret[SECRET_TEXT];

	(void)state;
	assert_int_equal(share_make(db, &a, secret, NULL), 0);
	assert_int_equal(share_make(db, &b, secret, NULL), 0);
	assert_int_equal(share_shut(db, a.id, "eve@x.org", NULL), 0);
	assert_int_equal(share_shut(db, a.id, "eve@x.org", NULL), 0);
	assert_int_equal(share_is_shut(db, a.id, "eve@x.org", NULL), 1);
	assert_int_equal(share_is_shut(db, b.id, "eve@x.org", NULL), 0);
	assert_int_equal(share_is_shut(db, a.id, "bob@x.org", NULL), 0);
}

static int count(void *arg, const struct share *s)
{
	int64_t *last = arg;

	assert_true(s->id > *last);
	*last = s->id;
	return 0;
}

static void as_many_as_there_may_be(void **state)
{
	struct share s = model, got;
	char secret[SECRET_TEXT];
	int64_t last = 0;
	bool more;

	(void)state;
	for (int i = 0; i < SHARES_PER_STREAM; i++) {
		s = model;
		assert_int_equal(share_make(db, &s, secret, NULL), 0);
	}
	assert_int_equal(share_make(db, &s, secret, NULL), SHARE_E_MANY);
	(void)snprintf(s.stream, sizeof(s.stream), "another");
	assert_int_equal(share_make(db, &s, secret, NULL), 0);
	assert_int_equal(share_list(db, STREAM, 150, 0, 30, count, &last, &more, NULL), 0);
	assert_true(more);
	assert_int_equal(share_list(db, STREAM, 150, last, 30, count, &last, &more, NULL), 0);
	assert_false(more);
	/* Those whose date has come make room. */
	s = model;
	s.created_s = 200;
	s.expires_s = 300;
	assert_int_equal(share_make(db, &s, secret, NULL), 0);
	assert_int_equal(share_drop_email(db, "ann@x.org", NULL), 0);
	assert_int_equal(share_find(db, secret, 250, &got, NULL), SHARE_E_NONE);
}

static void gone_with_the_machine(void **state)
{
	struct share s = model, got;
	char secret[SECRET_TEXT];

	(void)state;
	assert_int_equal(share_make(db, &s, secret, NULL), 0);
	assert_int_equal(store_vm_drop(store, model.vm, NULL), 0);
	assert_int_equal(share_find(db, secret, 150, &got, NULL), SHARE_E_NONE);
	s = model;
	assert_true(share_make(db, &s, secret, NULL) < 0); /* of a machine that is not there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(found_by_its_secret_until_its_date, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_shut_out, setup, teardown),
		cmocka_unit_test_setup_teardown(as_many_as_there_may_be, setup, teardown),
		cmocka_unit_test_setup_teardown(gone_with_the_machine, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
