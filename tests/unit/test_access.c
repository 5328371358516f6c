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

#include "auth/access.h"
#include "auth/audit.h"
#include "auth/demo.h"
#include "auth/identity.h"
#include "auth/rulebook.h"
#include "auth/store.h"
#include "base/err.h"

#define NOW 1800000000

static char dir[64];
static struct store *store;
static struct audit *audit;
static struct rulebook *book;
static struct access *entrance;
static const struct rule_actor root = { .email = "root", .address = "control", .force = true };

static void on_change(void *arg)
{
	(void)arg;
}

static char cut[EMAIL_BYTES];

static void on_cut(void *arg, const char *email)
{
	(void)arg;
	(void)snprintf(cut, sizeof(cut), "%s", email);
}

static void open_with(enum binding_policy binding, const char *demo_people)
{
	struct access_config c = { .store = store, .book = book, .audit = audit, .binding = binding, .demo_people = demo_people, .on_cut = on_cut,
				   .defaults = { .machines = 1, .cpus = 8, .memory_bytes = 1 << 30, .networks = 3, .images = "micro" } };

	entrance = access_destroy(entrance);
	entrance = access_create(&c);
	assert_non_null(entrance);
}

static int setup(void **state)
{
	char path[96];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_access.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	assert_int_equal(store_open(&store, path, NULL), 0);
	assert_int_equal(audit_open(&audit, store_db(store), NULL), 0);
	assert_int_equal(rulebook_open(&book, store_db(store), audit, on_change, NULL, NULL), 0);
	open_with(BINDING_ENFORCE, NULL);
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "db", "db-wal", "db-shm" };

	(void)state;
	entrance = access_destroy(entrance);
	book = rulebook_close(book);
	audit = audit_close(audit);
	store = store_close(store);
	for (size_t i = 0; i < 3; i++) {
		char path[96];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

static void allow(const char *pattern, struct rule more)
{
	(void)snprintf(more.pattern, sizeof(more.pattern), "%s", pattern);
	assert_int_equal(rulebook_put(book, &more, RULE_VERSION_ANY, &root, NOW, NULL), 0);
}

static struct identity account(const char *issuer, const char *subject, const char *email)
{
	struct identity id = { .provider = "corp", .email_verified = EMAIL_VERIFIED_YES };

	(void)snprintf(id.issuer, sizeof(id.issuer), "%s", issuer);
	(void)snprintf(id.subject, sizeof(id.subject), "%s", subject);
	(void)snprintf(id.email, sizeof(id.email), "%s", email);
	return id;
}

static int admit(const char *subject, const char *email, struct who *who, struct err *e)
{
	struct identity id = account("https://id.example", subject, email);

	memset(who, 0, sizeof(*who));
	memset(e, 0, sizeof(*e));
	return access_admit(entrance, &id, "192.0.2.1", NOW, who, e);
}

/* The newest row of the audit. */
static const char *last_audit(const char *member)
{
	static char text[512];
	struct audit_query q = { .limit = 1 };
	json_t *items = NULL;
	int64_t next;

	assert_int_equal(audit_list(audit, &q, &items, &next, NULL), 0);
	(void)snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(json_array_get(items, 0), member)));
	json_decref(items);
	return text;
}

static void an_empty_list_is_nobody(void **state)
{
	struct who who;
	struct err e;
	struct grant g;

	(void)state;
	assert_int_equal(admit("u1", "alice@example.org", &who, &e), -EACCES);
	assert_int_equal(auth_check(entrance, "alice@example.org", NOW, &g, NULL), -EACCES);
	assert_string_equal(last_audit("action"), "sign_in.refused");
	assert_string_equal(last_audit("actor"), "alice@example.org");
	assert_string_equal(last_audit("address"), "192.0.2.1");
	assert_non_null(strstr(last_audit("detail"), "no_rule"));
}

static void grants_are_complete(void **state)
{
	struct who who;
	struct err e;
	struct grant g;

	(void)state;
	allow("@example.org", (struct rule){ .role = ROLE_USER });
	allow("ops@example.org", (struct rule){ .role = ROLE_OPERATOR, .quota = { .cpus = 2, .images = "other" }, .expires_s = NOW + 60 });
	assert_int_equal(admit("u1", "alice@example.org", &who, &e), 0);
	assert_true(who.person > 0);
	assert_string_equal(who.email, "alice@example.org");
	assert_string_equal(last_audit("action"), "sign_in");
	assert_string_equal(last_audit("detail"), "corp");
	assert_int_equal(auth_check(entrance, "alice@example.org", NOW, &g, NULL), 0);
	assert_int_equal(g.role, ROLE_USER);
	assert_int_equal(g.until_s, 0);
	assert_int_equal(g.quota.cpus, 8);
	assert_string_equal(g.quota.images, "micro");
	assert_int_equal(auth_check(entrance, "ops@example.org", NOW, &g, NULL), 0);
	assert_int_equal(g.role, ROLE_OPERATOR);
	assert_int_equal(g.until_s, NOW + 60);
	assert_int_equal(g.quota.cpus, 2);
	assert_int_equal(g.quota.machines, 1);
	assert_string_equal(g.quota.images, "other");
	/* Its end is the end, though the domain would let them in. */
	assert_int_equal(auth_check(entrance, "ops@example.org", NOW + 60, &g, &e), -EACCES);
	assert_non_null(strstr(e.msg, "ops@example.org"));
}

static void an_address_stays_with_its_account(void **state)
{
	struct who first, again, who;
	struct err e;

	(void)state;
	allow("@example.org", (struct rule){ .role = ROLE_USER });
	assert_int_equal(admit("u1", "alice@example.org", &first, &e), 0);
	assert_int_equal(admit("u1", "alice@example.org", &again, &e), 0);
	assert_int_equal(again.person, first.person);
	/* The address was given to somebody else, or another service vouches for it. */
	assert_int_equal(admit("u2", "alice@example.org", &who, &e), -EACCES);
	assert_non_null(strstr(e.msg, "another account"));
	assert_int_equal(access_admit(entrance, &(struct identity){ .issuer = "https://other.example", .subject = "u1", .email = "alice@example.org" }, "",
				      NOW, &who, &e), -EACCES);
	/* Her own address may change; the machines go with the account. */
	assert_int_equal(admit("u1", "alice.b@example.org", &again, &e), 0);
	assert_int_equal(again.person, first.person);
	/* And the old one is free for the next. */
	assert_int_equal(admit("u3", "alice@example.org", &who, &e), 0);
	assert_int_not_equal(who.person, first.person);
}

static void an_administrator_binds_anew(void **state)
{
	struct who first, who;
	struct err e;

	(void)state;
	allow("@example.org", (struct rule){ .role = ROLE_USER });
	assert_int_equal(admit("u1", "alice@example.org", &first, &e), 0);
	assert_int_equal(access_rebind(entrance, "nobody@example.org", "root", "", NOW, &e), -ENOENT);
	assert_int_equal(access_rebind(entrance, "alice@example.org", "root", "", NOW, &e), 0);
	assert_string_equal(last_audit("action"), "person.rebind");
	assert_int_equal(admit("u2", "alice@example.org", &who, &e), 0);
	assert_int_equal(who.person, first.person); /* with the machines */
	/* Once: the one after that is refused again. */
	assert_int_equal(admit("u3", "alice@example.org", &who, &e), -EACCES);
	/* An account that stands for somebody already cannot be two people. */
	assert_int_equal(admit("u4", "bob@example.org", &who, &e), 0);
	assert_int_equal(access_rebind(entrance, "alice@example.org", "root", "", NOW, &e), 0);
	assert_int_equal(admit("u4", "alice@example.org", &who, &e), -EACCES);
}

static void with_warn_the_next_account_takes_over(void **state)
{
	struct who first, who;
	struct err e;

	(void)state;
	allow("@example.org", (struct rule){ .role = ROLE_USER });
	open_with(BINDING_WARN, NULL);
	assert_int_equal(admit("u1", "alice@example.org", &first, &e), 0);
	assert_int_equal(admit("u2", "alice@example.org", &who, &e), 0);
	assert_int_equal(who.person, first.person);
}

static void the_open_door_of_the_demo_still_knows_deny(void **state)
{
	struct grant g;

	(void)state;
	open_with(BINDING_ENFORCE, "demo@localhost, Anybody@example.org,guest@example.org");
	assert_int_equal(auth_check(entrance, "anybody@example.org", NOW, &g, NULL), 0);
	assert_int_equal(g.role, ROLE_USER);
	assert_int_equal(g.quota.cpus, 8);
	allow("anybody@example.org", (struct rule){ .effect = RULE_DENY });
	assert_int_equal(auth_check(entrance, "anybody@example.org", NOW, &g, NULL), -EACCES);
	allow("guest@example.org", (struct rule){ .expires_s = NOW });
	assert_int_equal(auth_check(entrance, "guest@example.org", NOW, &g, NULL), -EACCES);
}

/* Beside another identity service the demo once let everybody in whom that service knew. */
static void the_demo_is_open_for_its_people_only(void **state)
{
	const struct identity demo = { .provider = "demo", .issuer = DEMO_ISSUER, .subject = "demo@localhost", .email = "demo@localhost" };
	struct grant g;
	struct who who;
	struct err e;

	(void)state;
	open_with(BINDING_ENFORCE, "demo@localhost");
	assert_int_equal(auth_check(entrance, "stranger@example.org", NOW, &g, NULL), -EACCES);
	assert_int_equal(auth_check(entrance, "demo@localhost.example.org", NOW, &g, NULL), -EACCES);
	assert_int_equal(admit("u1", "stranger@example.org", &who, &e), -EACCES);
	assert_int_equal(admit("u1", "demo@localhost", &who, &e), -EACCES);
	assert_int_equal(access_admit(entrance, &demo, "", NOW, &who, &e), 0);
	assert_int_equal(admit("u1", "demo@localhost", &who, &e), -EACCES);
}

/* What was open stays with whom it was opened by: it is closed. */
static void terminals_do_not_outlive_their_account(void **state)
{
	struct who who;
	struct err e;

	(void)state;
	cut[0] = '\0';
	allow("@example.org", (struct rule){ .role = ROLE_USER });
	assert_int_equal(admit("u1", "alice@example.org", &who, &e), 0);
	assert_int_equal(admit("u1", "alice@example.org", &who, &e), 0);
	assert_string_equal(cut, "");
	assert_int_equal(admit("u1", "alice.b@example.org", &who, &e), 0);
	assert_string_equal(cut, "alice@example.org");
	assert_int_equal(access_rebind(entrance, "alice.b@example.org", "root", "", NOW, &e), 0);
	assert_int_equal(admit("u2", "alice.b@example.org", &who, &e), 0);
	assert_string_equal(cut, "alice.b@example.org");
}

static void refusals_before_an_identity_are_noted(void **state)
{
	(void)state;
	access_refused(entrance, "", "192.0.2.7", "token has expired (exp)", NOW);
	assert_string_equal(last_audit("action"), "sign_in.refused");
	assert_string_equal(last_audit("detail"), "token has expired (exp)");
	assert_string_equal(last_audit("address"), "192.0.2.7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_list_is_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(grants_are_complete, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_stays_with_its_account, setup, teardown),
		cmocka_unit_test_setup_teardown(an_administrator_binds_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(with_warn_the_next_account_takes_over, setup, teardown),
		cmocka_unit_test_setup_teardown(the_open_door_of_the_demo_still_knows_deny, setup, teardown),
		cmocka_unit_test_setup_teardown(the_demo_is_open_for_its_people_only, setup, teardown),
		cmocka_unit_test_setup_teardown(terminals_do_not_outlive_their_account, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_before_an_identity_are_noted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
