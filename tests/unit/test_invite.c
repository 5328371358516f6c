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
#include <unistd.h>

#include "auth/invite.h"
#include "auth/secret.h"
#include "auth/store.h"
#include "base/err.h"
#include "gateway/askers.h"

static char dir[64], path[96];
static struct store *store;
static struct invitation last;
static int count;

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_invite.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	return store_open(&store, path, NULL);
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

static int take(void *arg, const struct invitation *i)
{
	(void)arg;
	last = *i;
	count++;
	return 0;
}

static int list(const char *after, int64_t limit, bool *more)
{
	count = 0;
	assert_int_equal(invite_list(store_db(store), after, limit, take, NULL, more, NULL), 0);
	return count;
}

static void invitations_wait_for_their_people(void **state)
{
	struct invitation i = { .email = "ann@x.org",
				.note = "hello",
				.invited_by = "root",
				.created_s = 7,
				.mail = INVITE_SENDING,
				.mail_s = 7 };
	int64_t person;
	bool more;

	(void)state;
	assert_int_equal(invite_put(store_db(store), &i, NULL), 0);
	assert_int_equal(list("", 10, &more), 1);
	assert_int_equal(last.mail, INVITE_SENDING);
	assert_int_equal(
		invite_mailed(store_db(store), "ann@x.org", INVITE_FAILED, "550 no such user", 8, NULL), 0);
	(void)list("", 10, &more);
	assert_int_equal(last.mail, INVITE_FAILED);
	assert_string_equal(last.why, "550 no such user");
	assert_int_equal(invite_put(store_db(store), &i, NULL), 0); /* again */
	assert_int_equal(invite_restarted(store_db(store), NULL), 0);
	assert_int_equal(list("", 10, &more), 1);
	assert_int_equal(last.mail, INVITE_FAILED);
	(void)snprintf(i.email, sizeof(i.email), "bob@x.org");
	assert_int_equal(invite_put(store_db(store), &i, NULL), 0);
	assert_int_equal(list("", 1, &more), 1);
	assert_true(more);
	assert_int_equal(list("ann@x.org", 1, &more), 1);
	assert_false(more);
	assert_string_equal(last.email, "bob@x.org");
	assert_int_equal(store_person_seen(store, "i", "s", "ann@x.org", 9, &person, NULL), 0);
	assert_int_equal(list("", 10, &more), 1);
	assert_int_equal(invite_drop(store_db(store), "bob@x.org", NULL), 1);
	assert_int_equal(invite_drop(store_db(store), "bob@x.org", NULL), 0);
	assert_int_equal(list("", 10, &more), 0);
}

static int count_ask(void *arg, const struct ask *a)
{
	(void)a;
	(*(int *)arg)++;
	return 0;
}

static void requests_are_bounded(void **state)
{
	struct ask a = { .issuer = "i", .reason = "please", .created_s = 1 };
	struct err e = { 0 };
	bool more;
	int n = 0;

	(void)state;
	for (int i = 0; i < ASKS_MAX; i++) {
		(void)snprintf(a.email, sizeof(a.email), "p%04d@x.org", i);
		assert_int_equal(ask_put(store_db(store), &a, NULL), 0);
	}
	assert_int_equal(ask_put(store_db(store), &a, NULL), 0); /* the same again */
	(void)snprintf(a.email, sizeof(a.email), "one@more.org");
	assert_int_equal(ask_put(store_db(store), &a, &e), -ENOSPC);
	assert_int_equal(ask_list(store_db(store), "", 200, count_ask, &n, &more, NULL), 0);
	assert_int_equal(n, 200);
	assert_true(more);
	assert_int_equal(ask_waits(store_db(store), "p0000@x.org", NULL), 1);
	assert_int_equal(ask_drop(store_db(store), "p0000@x.org", NULL), 1);
	assert_int_equal(ask_waits(store_db(store), "p0000@x.org", NULL), 0);
	assert_int_equal(ask_put(store_db(store), &a, NULL), 0);
}

static void only_the_holder_of_the_secret_asks_and_once(void **state)
{
	struct askers *a = askers_create();
	struct identity id = { .email = "ann@x.org" }, got;
	char secret[SECRET_TEXT], other[SECRET_TEXT];
	uint8_t hash[SECRET_HASH_BYTES];

	(void)state;
	assert_int_equal(secret_make(secret, hash), 0);
	assert_int_equal(askers_add(a, "no secret", &id, 0), -EINVAL);
	assert_int_equal(askers_add(a, secret, &id, 0), 0);
	assert_int_equal(secret_make(other, hash), 0);
	assert_int_equal(askers_take(a, other, &got, 1), -ENOENT);
	assert_int_equal(askers_take(a, "", &got, 1), -ENOENT);
	assert_int_equal(askers_take(a, secret, &got, ASKERS_LIFE_MS), -ENOENT);
	assert_int_equal(askers_take(a, secret, &got, ASKERS_LIFE_MS - 1), 0);
	assert_string_equal(got.email, "ann@x.org");
	assert_int_equal(askers_take(a, secret, &got, 1), -ENOENT);
	assert_int_equal(askers_add(a, secret, &id, 0), 0);
	for (int i = 0; i < ASKERS_MAX; i++) {
		assert_int_equal(secret_make(other, hash), 0);
		assert_int_equal(askers_add(a, other, &id, 0), 0);
	}
	assert_int_equal(askers_take(a, secret, &got, 1), -ENOENT);
	assert_int_equal(askers_take(a, other, &got, 1), 0);
	a = askers_destroy(a);
	assert_null(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(invitations_wait_for_their_people, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_are_bounded, setup, teardown),
		cmocka_unit_test(only_the_holder_of_the_secret_asks_and_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
