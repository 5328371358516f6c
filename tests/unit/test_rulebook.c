/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/audit.h"
#include "auth/db.h"
#include "auth/rulebook.h"
#include "auth/store.h"
#include "base/err.h"
#include "base/when.h"

#define NOW 1795000000

static char dir[64], path[96];
static struct store *store;
static struct audit *audit;
static struct rulebook *book;
static int changes;
static const struct rule_actor admin = { .email = "root@example.org", .address = "127.0.0.1" };
static const struct rule_actor forced = { .email = "root@example.org", .address = "127.0.0.1", .force = true };

static void on_change(void *arg)
{
	(void)arg;
	changes++;
}

static void open_all(void)
{
	struct err e = { 0 };

	if (store_open(&store, path, &e) < 0 || audit_open(&audit, store_db(store), &e) < 0 ||
	    rulebook_open(&book, store_db(store), audit, on_change, NULL, &e) < 0)
		fail_msg("%s", e.msg);
}

static void close_all(void)
{
	book = rulebook_close(book);
	audit = audit_close(audit);
	store = store_close(store);
}

static int begin(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/terrarium-book-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	open_all();
	changes = 0;
	return 0;
}

static int end(void **state)
{
	static const char *const tails[] = { "", "-wal", "-shm" };

	(void)state;
	close_all();
	for (size_t i = 0; i < 3; i++) {
		char file[128];

		(void)snprintf(file, sizeof(file), "%s%s", path, tails[i]);
		(void)unlink(file);
	}
	return rmdir(dir);
}

static struct rule make(const char *pattern, enum rule_effect effect, enum role role)
{
	struct rule r = { .effect = effect, .role = role };

	assert_int_equal(rule_pattern(pattern, strlen(pattern), r.pattern, NULL), 0);
	return r;
}

static int put(const char *pattern, enum role role, int64_t version)
{
	struct rule r = make(pattern, RULE_ALLOW, role);

	return rulebook_put(book, &r, version, &admin, NOW, NULL);
}

static int64_t audit_rows(void)
{
	struct audit_state st;

	assert_int_equal(audit_verify(store_db(store), &st, NULL), 0);
	assert_int_equal(st.bad, 0);
	return st.rows;
}

static void rules_survive_a_restart(void **state)
{
	struct rule r = make("@example.org", RULE_ALLOW, ROLE_USER);

	(void)state;
	r.quota = (struct quota){ .machines = 2, .cpus = 4, .networks = 3, .memory_bytes = 1ULL << 30, .lifetime_s = 60 };
	r.expires_s = NOW + 100;
	(void)snprintf(r.note, sizeof(r.note), "the lab");
	assert_int_equal(rulebook_put(book, &r, RULE_VERSION_NEW, &admin, NOW, NULL), 0);
	assert_int_equal(changes, 1);
	close_all();
	open_all();
	{
		const struct rule *got = rules_get(rulebook_rules(book), "@example.org");

		assert_non_null(got);
		assert_int_equal(got->quota.memory_bytes, 1ULL << 30);
		assert_int_equal(got->quota.networks, 3);
		assert_int_equal(got->expires_s, NOW + 100);
		assert_int_equal(got->version, 1);
		assert_string_equal(got->note, "the lab");
		assert_string_equal(got->created_by, "root@example.org");
	}
	assert_int_equal(audit_rows(), 1);
}

static void the_second_editor_is_told(void **state)
{
	(void)state;
	assert_int_equal(put("a@b.c", ROLE_USER, RULE_VERSION_NEW), 0);
	assert_int_equal(put("a@b.c", ROLE_USER, RULE_VERSION_NEW), RULEBOOK_E_CONFLICT);
	assert_int_equal(put("a@b.c", ROLE_OPERATOR, 1), 0);
	assert_int_equal(put("a@b.c", ROLE_AUDITOR, 1), RULEBOOK_E_CONFLICT);
	assert_int_equal(rulebook_drop(book, "a@b.c", 1, &admin, NOW, NULL), RULEBOOK_E_CONFLICT);
	assert_int_equal(rulebook_drop(book, "a@b.c", 2, &admin, NOW, NULL), 0);
	assert_int_equal(rulebook_drop(book, "a@b.c", 2, &admin, NOW, NULL), RULEBOOK_E_NONE);
	assert_int_equal(audit_rows(), 3);
}

static void the_last_administrator_stays(void **state)
{
	struct rule deny = make("root@example.org", RULE_DENY, ROLE_ADMIN), ends = make("root@example.org", RULE_ALLOW, ROLE_ADMIN);

	(void)state;
	ends.expires_s = NOW + 1000;
	assert_int_equal(put("root@example.org", ROLE_ADMIN, RULE_VERSION_NEW), 0);
	assert_int_equal(put("@example.org", ROLE_ADMIN, RULE_VERSION_NEW), 0); /* a domain rule may have nobody behind it */
	assert_int_equal(put("root@example.org", ROLE_USER, RULE_VERSION_ANY), RULEBOOK_E_LAST_ADMIN);
	assert_int_equal(rulebook_put(book, &deny, RULE_VERSION_ANY, &admin, NOW, NULL), RULEBOOK_E_LAST_ADMIN);
	assert_int_equal(rulebook_put(book, &ends, RULE_VERSION_ANY, &admin, NOW, NULL), RULEBOOK_E_LAST_ADMIN);
	assert_int_equal(rulebook_drop(book, "root@example.org", RULE_VERSION_ANY, &admin, NOW, NULL), RULEBOOK_E_LAST_ADMIN);
	assert_int_equal(rulebook_drop(book, "root@example.org", RULE_VERSION_ANY, &forced, NOW, NULL), 0);
	assert_int_equal(put("root@example.org", ROLE_ADMIN, RULE_VERSION_NEW), 0);
	assert_int_equal(put("second@example.org", ROLE_ADMIN, RULE_VERSION_NEW), 0);
	assert_int_equal(put("root@example.org", ROLE_USER, RULE_VERSION_ANY), 0);
}

/* Each line alone would leave the other one; together they once left nobody. */
static void many_changes_leave_an_administrator_too(void **state)
{
	struct rule both[3] = { make("root@example.org", RULE_ALLOW, ROLE_USER), make("second@example.org", RULE_DENY, ROLE_USER),
				make("third@example.org", RULE_ALLOW, ROLE_ADMIN) };
	struct rule file[2] = { make("a@file.org", RULE_ALLOW, ROLE_ADMIN), make("b@file.org", RULE_ALLOW, ROLE_ADMIN) };
	const unsigned fields = RULE_HAS_EFFECT | RULE_HAS_ROLE;

	(void)state;
	assert_int_equal(put("root@example.org", ROLE_ADMIN, 0), 0);
	assert_int_equal(put("second@example.org", ROLE_ADMIN, 0), 0);
	assert_int_equal(rulebook_import(book, both, 2, fields, true, NULL, &admin, NOW, NULL), RULEBOOK_E_LAST_ADMIN);
	assert_int_equal(rulebook_import(book, both, 2, fields, false, NULL, &admin, NOW, NULL), RULEBOOK_E_LAST_ADMIN);
	assert_int_equal(rules_get(rulebook_rules(book), "second@example.org")->effect, RULE_ALLOW);
	/* Handing over in one step is fine. */
	assert_int_equal(rulebook_import(book, both, 3, fields, false, NULL, &admin, NOW, NULL), 0);
	assert_int_equal(rulebook_drop(book, "third@example.org", RULE_VERSION_ANY, &forced, NOW, NULL), 0);

	assert_int_equal(rulebook_replace(book, "file", file, 2, true, &admin, NOW, NULL), 0);
	file[0].role = file[1].role = ROLE_USER;
	assert_int_equal(rulebook_replace(book, "file", file, 2, true, &admin, NOW, NULL), RULEBOOK_E_LAST_ADMIN);
	assert_int_equal(rulebook_replace(book, "file", NULL, 0, true, &admin, NOW, NULL), RULEBOOK_E_LAST_ADMIN);
	assert_int_equal(rules_get(rulebook_rules(book), "a@file.org")->role, ROLE_ADMIN);
	assert_int_equal(rulebook_replace(book, "file", file, 1, true, &forced, NOW, NULL), 0);
	(void)audit_rows();
}

/* An administrator whom the list has already is not the configuration's to take away when it stops naming them. */
static void the_configuration_takes_over_only_what_it_must(void **state)
{
	struct rule conf[2] = { make("root@example.org", RULE_ALLOW, ROLE_ADMIN), make("user@example.org", RULE_ALLOW, ROLE_ADMIN) };
	const struct rule *r;

	(void)state;
	assert_int_equal(put("root@example.org", ROLE_ADMIN, 0), 0);
	assert_int_equal(put("user@example.org", ROLE_USER, 0), 0);
	assert_int_equal(rulebook_replace(book, "config", conf, 2, false, &forced, NOW, NULL), 0);
	assert_string_equal(rules_get(rulebook_rules(book), "root@example.org")->source, "admin");
	r = rules_get(rulebook_rules(book), "user@example.org");
	assert_string_equal(r->source, "config");
	assert_int_equal(r->role, ROLE_ADMIN);
	assert_int_equal(rulebook_replace(book, "config", NULL, 0, false, &forced, NOW, NULL), 0);
	assert_non_null(rules_get(rulebook_rules(book), "root@example.org"));
	assert_null(rules_get(rulebook_rules(book), "user@example.org"));
	(void)audit_rows();
}

/* More rules than are read at the start: they were written, and the next start refused the list. */
static void the_list_has_an_end(void **state)
{
	struct rule *rules = calloc(RULES_MAX + 1, sizeof(*rules));

	(void)state;
	assert_non_null(rules);
	for (size_t i = 0; i <= RULES_MAX; i++)
		(void)snprintf(rules[i].pattern, sizeof(rules[i].pattern), "p%zu@b.c", i);
	assert_int_equal(rulebook_import(book, rules, RULES_MAX + 1, 0, true, NULL, &admin, NOW, NULL), RULEBOOK_E_FULL);
	assert_int_equal(rulebook_import(book, rules, RULES_MAX, 0, true, NULL, &admin, NOW, NULL), 0);
	assert_int_equal(put("one@b.c", ROLE_USER, 0), 0);
	assert_int_equal(rulebook_import(book, rules, RULES_MAX, 0, true, NULL, &admin, NOW, NULL), RULEBOOK_E_FULL);
	free(rules);
}

static void an_import_is_all_or_nothing(void **state)
{
	struct rule rules[3];
	enum rule_outcome outcomes[3];

	(void)state;
	assert_int_equal(put("root@example.org", ROLE_ADMIN, RULE_VERSION_NEW), 0);
	assert_int_equal(put("same@example.org", ROLE_USER, RULE_VERSION_NEW), 0);
	rules[0] = make("new@example.org", RULE_ALLOW, ROLE_USER);
	rules[1] = make("same@example.org", RULE_ALLOW, ROLE_USER);
	rules[2] = make("root@example.org", RULE_ALLOW, ROLE_USER);
	assert_int_equal(rulebook_import(book, rules, 3, RULE_HAS_EFFECT | RULE_HAS_ROLE, false, outcomes, &admin, NOW, NULL), RULEBOOK_E_LAST_ADMIN);
	assert_null(rules_get(rulebook_rules(book), "new@example.org"));
	assert_int_equal(audit_rows(), 2);
	rules[2] = make("third@example.org", RULE_DENY, ROLE_USER);
	assert_int_equal(rulebook_import(book, rules, 3, RULE_HAS_EFFECT | RULE_HAS_ROLE, true, outcomes, &admin, NOW, NULL), 0);
	assert_int_equal(outcomes[0], RULE_ADDED);
	assert_int_equal(outcomes[1], RULE_SAME);
	assert_int_equal(rules_count(rulebook_rules(book)), 2);
	assert_int_equal(rulebook_import(book, rules, 3, RULE_HAS_EFFECT | RULE_HAS_ROLE, false, outcomes, &admin, NOW, NULL), 0);
	assert_int_equal(rules_count(rulebook_rules(book)), 4);
	assert_int_equal(audit_rows(), 4);
}

/* A spreadsheet of addresses and notes once took everybody's quota away. */
static void an_import_keeps_what_it_does_not_speak_of(void **state)
{
	struct rule r = make("a@b.c", RULE_DENY, ROLE_OPERATOR), said = make("a@b.c", RULE_ALLOW, ROLE_USER);
	enum rule_outcome outcome;

	(void)state;
	r.quota.machines = 7;
	r.expires_s = NOW + 5;
	(void)snprintf(said.note, sizeof(said.note), "moved");
	assert_int_equal(rulebook_put(book, &r, 0, &admin, NOW, NULL), 0);
	assert_int_equal(rulebook_import(book, &said, 1, RULE_HAS_NOTE, false, &outcome, &admin, NOW, NULL), 0);
	assert_int_equal(outcome, RULE_CHANGED);
	{
		const struct rule *now = rules_get(rulebook_rules(book), "a@b.c");

		assert_string_equal(now->note, "moved");
		assert_int_equal(now->quota.machines, 7);
		assert_int_equal(now->effect, RULE_DENY);
		assert_int_equal(now->role, ROLE_OPERATOR);
		assert_int_equal(now->expires_s, NOW + 5);
	}
	assert_int_equal(rulebook_import(book, &said, 1, RULE_HAS_NOTE, false, &outcome, &admin, NOW, NULL), 0);
	assert_int_equal(outcome, RULE_SAME);
}

static void a_source_is_replaced_as_a_whole(void **state)
{
	struct rule first[2] = { make("a@x.y", RULE_ALLOW, ROLE_USER), make("b@x.y", RULE_ALLOW, ROLE_USER) };
	struct rule second[2] = { make("b@x.y", RULE_ALLOW, ROLE_OPERATOR), make("byhand@x.y", RULE_DENY, ROLE_USER) };

	(void)state;
	assert_int_equal(put("byhand@x.y", ROLE_USER, RULE_VERSION_NEW), 0);
	assert_int_equal(rulebook_replace(book, "file", first, 2, true, &admin, NOW, NULL), 0);
	assert_int_equal(rules_count(rulebook_rules(book)), 3);
	assert_int_equal(rulebook_replace(book, "file", second, 2, true, &admin, NOW, NULL), 0);
	assert_null(rules_get(rulebook_rules(book), "a@x.y"));
	assert_int_equal(rules_get(rulebook_rules(book), "b@x.y")->role, ROLE_OPERATOR);
	assert_int_equal(rules_get(rulebook_rules(book), "byhand@x.y")->effect, RULE_ALLOW);
	assert_int_equal(rulebook_replace(book, "file", NULL, 0, true, &admin, NOW, NULL), 0);
	assert_int_equal(rules_count(rulebook_rules(book)), 1);
	(void)audit_rows();
}

static void listing_pages_and_filters(void **state)
{
	json_t *items = NULL;
	bool more = false;
	struct rule_query q = { .search = "lab", .limit = 2 };

	(void)state;
	assert_int_equal(put("a@lab.org", ROLE_USER, 0), 0);
	assert_int_equal(put("b@lab.org", ROLE_USER, 0), 0);
	assert_int_equal(put("c@lab.org", ROLE_ADMIN, 0), 0);
	assert_int_equal(put("d@other.org", ROLE_USER, 0), 0);
	assert_int_equal(rulebook_list(book, &q, &items, &more, NULL), 0);
	assert_int_equal(json_array_size(items), 2);
	assert_true(more);
	json_decref(items);
	q.after = "b@lab.org";
	assert_int_equal(rulebook_list(book, &q, &items, &more, NULL), 0);
	assert_int_equal(json_array_size(items), 1);
	assert_false(more);
	json_decref(items);
	q = (struct rule_query){ .search = "A@Lab", .limit = 2 };
	assert_int_equal(rulebook_list(book, &q, &items, &more, NULL), 0);
	assert_int_equal(json_array_size(items), 1);
	json_decref(items);
	q = (struct rule_query){ .role = "admin", .limit = 10 };
	assert_int_equal(rulebook_list(book, &q, &items, &more, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(json_array_get(items, 0), "pattern")), "c@lab.org");
	json_decref(items);
}

static void the_audit_log_shows_who_did_what(void **state)
{
	struct audit_query q = { .action = "rule.", .limit = 1 };
	json_t *items = NULL, *row;
	int64_t next = 0;

	(void)state;
	assert_int_equal(put("a@b.c", ROLE_USER, 0), 0);
	assert_int_equal(put("a@b.c", ROLE_ADMIN, 1), 0);
	assert_int_equal(audit_list(audit, &q, &items, &next, NULL), 0);
	row = json_array_get(items, 0);
	assert_string_equal(json_string_value(json_object_get(row, "actor")), "root@example.org");
	assert_string_equal(json_string_value(json_object_get(json_object_get(row, "before"), "role")), "user");
	assert_string_equal(json_string_value(json_object_get(json_object_get(row, "after"), "role")), "admin");
	json_decref(items);
	assert_true(next > 0);
	q.below = next;
	assert_int_equal(audit_list(audit, &q, &items, &next, NULL), 0);
	assert_int_equal(json_array_size(items), 1);
	assert_int_equal(next, 0);
	json_decref(items);
	{
		const struct audit_event odd = { .actor = "x\ny", .action = "odd", .detail = "\xff\xfe" };

		assert_int_equal(audit_add(audit, &odd, NOW * 1000LL, NULL), 0);
	}
	assert_int_equal(audit_rows(), 3);
}

/* A row that was written without the head that names it (a full disk, a kill between the two) made every later row impossible. */
static void a_row_that_fails_leaves_nothing(void **state)
{
	static const char stop[] = "CREATE TRIGGER stop BEFORE UPDATE ON audit_head BEGIN SELECT RAISE(ABORT, 'no'); END",
			  go_on[] = "DROP TRIGGER stop";
	const struct audit_event ev = { .actor = "x@y.z", .action = "sign_in" };

	(void)state;
	assert_int_equal(audit_add(audit, &ev, NOW * 1000LL, NULL), 0);
	assert_int_equal(db_run(store_db(store), stop, "stop", NULL, DB_NONE), 0);
	assert_true(audit_add(audit, &ev, NOW * 1000LL, NULL) < 0);
	assert_true(put("a@b.c", ROLE_USER, 0) < 0);
	assert_int_equal(db_run(store_db(store), go_on, "go on", NULL, DB_NONE), 0);
	assert_int_equal(audit_rows(), 1);
	assert_int_equal(audit_add(audit, &ev, NOW * 1000LL, NULL), 0);
	assert_int_equal(put("a@b.c", ROLE_USER, 0), 0);
	assert_int_equal(audit_rows(), 3);
	close_all();
	open_all();
	assert_int_equal(audit_add(audit, &ev, NOW * 1000LL, NULL), 0);
	assert_int_equal(audit_rows(), 4);
}

static void tampering_is_found(void **state)
{
	static const struct {
		const char *sql;
		int64_t bad;
	} rows[] = {
		{ "UPDATE audit SET actor = 'nobody' WHERE id = 2", 2 },
		{ "DELETE FROM audit WHERE id = 2", 2 },
		{ "DELETE FROM audit WHERE id = 4", 4 },
		{ "UPDATE audit SET at_ms = at_ms + 1 WHERE id = 1", 1 },
		{ "UPDATE audit SET after = '' WHERE id = 3", 3 },
	};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		char pattern[32];

		(void)snprintf(pattern, sizeof(pattern), "p%zu@b.c", i);
		assert_int_equal(put(pattern, ROLE_USER, 0), 0);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct audit_state st;

		assert_int_equal(db_begin(store_db(store), DB_NORMAL, NULL), 0);
		assert_int_equal(db_run(store_db(store), rows[i].sql, "tamper", NULL, DB_NONE), 0);
		assert_int_equal(audit_verify(store_db(store), &st, NULL), 0);
		assert_int_equal(st.bad, rows[i].bad);
		db_rollback(store_db(store));
	}
	assert_int_equal(audit_rows(), 4);
}

/* kill -9 in a loop of writes: whatever was acknowledged is there, the chain is whole, and nobody got in by it. */
static void acknowledged_changes_survive_kill(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		int pipe_fds[2], acknowledged = 0, n = 0;
		pid_t pid;

		close_all();
		assert_int_equal(pipe(pipe_fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			open_all();
			for (int i = 0;; i++) {
				char pattern[48];

				(void)snprintf(pattern, sizeof(pattern), "r%d-%d@b.c", round, i);
				if (put(pattern, ROLE_USER, 0) != 0 || write(pipe_fds[1], &i, sizeof(i)) != (ssize_t)sizeof(i))
					_exit(1);
			}
		}
		close(pipe_fds[1]);
		for (int i = 0; i < 3 + round; i++)
			assert_int_equal(read(pipe_fds[0], &n, sizeof(n)), sizeof(n));
		kill(pid, SIGKILL);
		acknowledged = n;
		while (read(pipe_fds[0], &n, sizeof(n)) == (ssize_t)sizeof(n))
			acknowledged = n;
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		close(pipe_fds[0]);
		open_all();
		for (int i = 0; i <= acknowledged; i++) {
			char pattern[48];

			(void)snprintf(pattern, sizeof(pattern), "r%d-%d@b.c", round, i);
			if (!rules_get(rulebook_rules(book), pattern))
				fail_msg("round %d lost change %d of %d", round, i, acknowledged);
		}
		assert_int_equal(audit_rows(), (int64_t)rules_count(rulebook_rules(book)));
	}
}

static void json_goes_both_ways_and_refuses(void **state)
{
	static const char *const bad[] = {
		"[]", "{}", "{\"pattern\":7}", "{\"pattern\":\"nobody\"}", "{\"pattern\":\"a@b.c\",\"effect\":\"maybe\"}",
		"{\"pattern\":\"a@b.c\",\"role\":\"root\"}", "{\"pattern\":\"a@b.c\",\"expires_at\":\"tomorrow\"}",
		"{\"pattern\":\"a@b.c\",\"expires_at\":\"2026-06-31\"}", "{\"pattern\":\"a@b.c\",\"note\":\"x\\u0007\"}",
		"{\"pattern\":\"a@b.c\",\"quota\":{\"cpus\":-1}}", "{\"pattern\":\"a@b.c\",\"quota\":{\"machines\":\"1\"}}",
		"{\"pattern\":\"a@b.c\",\"quota\":{\"gpus\":1}}", "{\"pattern\":\"a@b.c\",\"quota\":{\"networks\":[\"lan\"]}}",
		"{\"pattern\":\"a@b.c\",\"sauce\":1}",
		"{\"pattern\":\"a@b.c\",\"not_before\":\"2027-01-02\",\"expires_at\":\"2027-01-01\"}",
	};
	struct rule r, again;
	struct err e = { 0 };
	json_t *j;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		j = json_loads(bad[i], 0, NULL);
		assert_non_null(j);
		if (rule_from_json(&r, j, &e) == 0)
			fail_msg("accepted: %s", bad[i]);
		json_decref(j);
	}
	j = json_loads("{\"pattern\":\"A@b.c\",\"role\":\"operator\",\"expires_at\":\"2027-01-31T18:00:00+01:00\",\"quota\":{\"machines\":2,"
		       "\"cpus\":3,\"memory\":4,\"disk\":5,\"lifetime_s\":6,\"images\":\"micro\",\"networks\":[\"nat\",\"none\"]}}",
		       0, NULL);
	assert_int_equal(rule_from_json(&r, j, &e), 0);
	json_decref(j);
	assert_int_equal(r.expires_s, 1801414800);
	assert_int_equal(r.quota.networks, 5);
	j = rule_json(&r);
	assert_int_equal(rule_from_json(&again, j, &e), 0);
	json_decref(j);
	again.version = r.version;
	assert_memory_equal(&r.quota, &again.quota, sizeof(r.quota));
	assert_int_equal(again.expires_s, r.expires_s);
	assert_string_equal(again.pattern, "a@b.c");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rules_survive_a_restart), TEST(the_second_editor_is_told), TEST(the_last_administrator_stays),
		TEST(many_changes_leave_an_administrator_too), TEST(the_configuration_takes_over_only_what_it_must),
		TEST(the_list_has_an_end), TEST(an_import_is_all_or_nothing), TEST(an_import_keeps_what_it_does_not_speak_of), TEST(a_source_is_replaced_as_a_whole), TEST(listing_pages_and_filters),
		TEST(the_audit_log_shows_who_did_what), TEST(a_row_that_fails_leaves_nothing), TEST(tampering_is_found), TEST(acknowledged_changes_survive_kill),
		cmocka_unit_test(json_goes_both_ways_and_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
