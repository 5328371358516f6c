/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/db.h"
#include "auth/store.h"
#include "auth/token.h"
#include "base/err.h"

#define NOW 1800000000

static char dir[64], path[96];
static struct store *store;
static int64_t ann, bob;

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_token.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	assert_int_equal(store_open(&store, path, NULL), 0);
	assert_int_equal(store_person_seen(store, "i", "ann", "ann@x.org", NOW, &ann, NULL), 0);
	assert_int_equal(store_person_seen(store, "i", "bob", "bob@x.org", NOW, &bob, NULL), 0);
	return 0;
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

static struct token make(int64_t person, unsigned scopes, char text[TOKEN_TEXT_BYTES])
{
	struct token t = {
		.person = person, .name = "ci", .scopes = scopes, .created_s = NOW, .expires_s = NOW + 1000
	};

	assert_int_equal(token_make(store_db(store), &t, "127.0.0.1", text, NULL), 0);
	assert_true(t.id > 0);
	return t;
}

static int check_at(const char *text, int64_t now_s, struct token *t)
{
	uint8_t hash[SECRET_HASH_BYTES];
	char email[EMAIL_BYTES];

	return token_check(store_db(store), text, now_s, t, hash, email, NULL);
}

static void a_token_stands_for_its_person(void **state)
{
	char text[TOKEN_TEXT_BYTES], email[EMAIL_BYTES];
	uint8_t hash[SECRET_HASH_BYTES];
	struct token made = make(ann, SCOPE_VM | SCOPE_AUDIT, text), t;

	(void)state;
	assert_int_equal(token_check(store_db(store), text, NOW + 1, &t, hash, email, NULL), 0);
	assert_int_equal(t.id, made.id);
	assert_int_equal(t.person, ann);
	assert_int_equal(t.scopes, SCOPE_VM | SCOPE_AUDIT);
	assert_int_equal(t.expires_s, NOW + 1000);
	assert_string_equal(t.name, "ci");
	assert_string_equal(email, "ann@x.org");
	assert_int_equal(check_at(text, NOW + 999, &t), 0);
	assert_int_equal(check_at(text, NOW + 1000, &t), TOKEN_E_NONE);
	assert_int_equal(check_at(text, NOW - 61, &t), TOKEN_E_NONE);
}

static void a_token_is_taken_back(void **state)
{
	char text[TOKEN_TEXT_BYTES], other[TOKEN_TEXT_BYTES], name[TOKEN_NAME_BYTES], email[EMAIL_BYTES];
	uint8_t hash[SECRET_HASH_BYTES];
	struct token t = make(ann, SCOPE_VM, text), got;

	(void)state;
	(void)make(bob, SCOPE_VM, other);
	assert_int_equal(token_drop(store_db(store), bob, t.id, name, hash, NULL), TOKEN_E_NONE);
	assert_int_equal(check_at(text, NOW, &got), 0);
	assert_int_equal(token_drop(store_db(store), ann, t.id, name, hash, NULL), 0);
	assert_string_equal(name, "ci");
	assert_int_equal(check_at(text, NOW, &got), TOKEN_E_NONE);
	assert_int_equal(check_at(other, NOW, &got), 0);
	assert_int_equal(token_drop_email(store_db(store), "bob@x.org", NULL), 0);
	assert_int_equal(check_at(other, NOW, &got), TOKEN_E_NONE);
	(void)make(ann, SCOPE_VM, text);
	assert_int_equal(token_check(store_db(store), text, NOW, &got, hash, email, NULL), 0);
	assert_int_equal(token_drop_hash(store_db(store), hash, NULL), 0);
	assert_int_equal(token_drop_hash(store_db(store), hash, NULL), TOKEN_E_NONE);
}

static int64_t number(const char *sql)
{
	struct db_row *row = db_start(store_db(store), sql, DB_NONE);
	int64_t n;

	assert_int_equal(db_step(store_db(store), row, "count", NULL), 1);
	n = db_int(row, 0);
	db_end(row);
	return n;
}

static void rotation_logs_nobody_out(void **state)
{
	static const char keys[] = "SELECT count(*) FROM token_key";
	char old[TOKEN_TEXT_BYTES], new[TOKEN_TEXT_BYTES];
	struct token t;

	(void)state;
	(void)make(ann, SCOPE_VM, old);
	assert_int_equal(token_rotate(store_db(store), NOW + 1, NULL), 0);
	(void)make(ann, SCOPE_VM, new);
	assert_int_equal(strspn(old, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
			 strcspn(old, "."));
	assert_true(strncmp(old, new, strcspn(old, ".")) != 0); /* another kid */
	assert_int_equal(check_at(old, NOW + 2, &t), 0);
	assert_int_equal(check_at(new, NOW + 2, &t), 0);
	assert_int_equal(number(keys), 2);
	assert_int_equal(token_rotate(store_db(store), NOW + 3, NULL), 0);
	assert_int_equal(number(keys), 3);
	/* When the tokens have expired, so have the keys. */
	assert_int_equal(token_rotate(store_db(store), NOW + 2000, NULL), 0);
	assert_int_equal(number(keys), 1);
}

/* A token that is signed well, but by other means or with other claims than ours: made with the very key and
 * the very jti. */
static char *forge(jwt_alg_t alg, const char *claim, const char *value, const char *good)
{
	static const char sql[] = "SELECT secret, kid FROM token_key ORDER BY seq DESC LIMIT 1";
	struct db_row *row = db_start(store_db(store), sql, DB_NONE);
	uint8_t key[32];
	char kid[32], *out;
	jwt_t *jwt = NULL;

	assert_int_equal(db_step(store_db(store), row, "read", NULL), 1);
	assert_int_equal(db_blob(row, 0, key, 32), 0);
	assert_int_equal(db_text(row, 1, kid, sizeof(kid)), 0);
	db_end(row);
	assert_int_equal(jwt_decode(&jwt, good, key, 32), 0);
	assert_int_equal(jwt_set_alg(jwt, JWT_ALG_NONE, NULL, 0), 0);
	assert_int_equal(jwt_set_alg(jwt, alg, alg == JWT_ALG_NONE ? NULL : key, alg == JWT_ALG_NONE ? 0 : 32),
			 0);
	(void)jwt_del_grants(jwt, claim);
	if (value)
		assert_int_equal(jwt_add_grants_json(jwt, value), 0);
	out = jwt_encode_str(jwt);
	jwt_free(jwt);
	return out;
}

static void forged_tokens_are_refused(void **state)
{
	static const struct {
		jwt_alg_t alg;
		const char *claim, *value;
	} rows[] = {
		{ JWT_ALG_NONE, "none", NULL },
		{ JWT_ALG_HS384, "none", NULL },
		{ JWT_ALG_HS512, "none", NULL },
		{ JWT_ALG_HS256, "iss", "{\"iss\":\"other\"}" },
		{ JWT_ALG_HS256, "iss", NULL },
		{ JWT_ALG_HS256, "aud", "{\"aud\":[\"terrarium-api\"]}" },
		{ JWT_ALG_HS256, "aud", NULL },
		{ JWT_ALG_HS256, "sub", "{\"sub\":\"2\"}" },
		{ JWT_ALG_HS256, "sub", NULL },
		{ JWT_ALG_HS256, "scope", "{\"scope\":\"vm rules\"}" },
		{ JWT_ALG_HS256, "exp", NULL },
		{ JWT_ALG_HS256, "exp", "{\"exp\":1900000000}" },
		{ JWT_ALG_HS256, "exp", "{\"exp\":\"1800001000\"}" },
		{ JWT_ALG_HS256, "jti", NULL },
		{ JWT_ALG_HS256, "jti",
		  "{\"jti\":\"0000000000000000000000000000000000000000000000000000000000000000\"}" },
		{ JWT_ALG_HS256, "jti", "{\"jti\":7}" },
		{ JWT_ALG_HS256, "iat", "{\"iat\":1}" },
	};
	char good[TOKEN_TEXT_BYTES], *bad;
	struct token t;

	(void)state;
	(void)make(ann, SCOPE_VM, good);
	bad = forge(JWT_ALG_HS256, "none", NULL, good);
	assert_int_equal(check_at(bad, NOW, &t), 0); /* the forger is right where it changes nothing */
	free(bad);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bad = forge(rows[i].alg, rows[i].claim, rows[i].value, good);
		if (!bad || check_at(bad, NOW, &t) != TOKEN_E_NONE)
			fail_msg("row %zu: %s", i, bad ? bad : "not made");
		free(bad);
	}
	assert_int_equal(check_at(good, NOW, &t), 0);
}

static void mangled_tokens_are_refused(void **state)
{
	static const char *const rows[] = {
		"", ".", "..", "...", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"
	};
	char good[TOKEN_TEXT_BYTES], bad[3 * TOKEN_TEXT_BYTES];
	struct token t;
	size_t len;

	(void)state;
	(void)make(ann, SCOPE_VM, good);
	len = strlen(good);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(check_at(rows[i], NOW, &t), TOKEN_E_NONE);
	for (size_t i = 0; i < len; i++) { /* each byte changed, each length cut */
		memcpy(bad, good, len + 1);
		bad[i] = (char)(bad[i] == 'A' ? 'B' : 'A');
		assert_int_equal(check_at(bad, NOW, &t), TOKEN_E_NONE);
		memcpy(bad, good, i);
		bad[i] = '\0';
		assert_int_equal(check_at(bad, NOW, &t), TOKEN_E_NONE);
	}
	(void)snprintf(bad, sizeof(bad), "%s=", good);
	assert_int_equal(check_at(bad, NOW, &t), TOKEN_E_NONE);
	(void)snprintf(bad, sizeof(bad), "%s.%s", good, good);
	assert_int_equal(check_at(bad, NOW, &t), TOKEN_E_NONE);
	memset(bad, 'a', sizeof(bad));
	bad[sizeof(bad) - 1] = '\0';
	assert_int_equal(check_at(bad, NOW, &t), TOKEN_E_NONE);
}

static int count_token(void *arg, const struct token *t)
{
	(void)t;
	(*(int *)arg)++;
	return 0;
}

static void there_is_an_end_to_tokens(void **state)
{
	struct token t = {
		.person = ann, .name = "one more", .scopes = SCOPE_VM, .created_s = NOW, .expires_s = NOW + 10
	};
	char text[TOKEN_TEXT_BYTES];
	int n = 0;

	(void)state;
	for (int i = 0; i < TOKENS_PER_PERSON; i++)
		(void)make(ann, SCOPE_VM, text);
	assert_int_equal(token_make(store_db(store), &t, "", text, NULL), TOKEN_E_MANY);
	(void)make(bob, SCOPE_VM, text);
	assert_int_equal(token_list(store_db(store), ann, NOW, count_token, &n, NULL), 0);
	assert_int_equal(n, TOKENS_PER_PERSON);
	n = 0;
	assert_int_equal(token_list(store_db(store), ann, NOW + 1000, count_token, &n, NULL), 0);
	assert_int_equal(n, 0);
	t.created_s = NOW + 1000;
	t.expires_s = NOW + 1010;
	assert_int_equal(token_make(store_db(store), &t, "", text, NULL), 0); /* the others have expired */
}

static void new_addresses_are_told_once(void **state)
{
	char text[TOKEN_TEXT_BYTES], address[32];
	struct token t = make(ann, SCOPE_VM, text);
	bool fresh = true;

	(void)state;
	assert_int_equal(token_used(store_db(store), &t, "127.0.0.1", NOW, &fresh, NULL), 0);
	assert_false(fresh);
	assert_int_equal(token_used(store_db(store), &t, "192.0.2.1", NOW, &fresh, NULL), 0);
	assert_true(fresh);
	assert_int_equal(token_used(store_db(store), &t, "192.0.2.1", NOW, &fresh, NULL), 0);
	assert_false(fresh);
	for (int i = 0; i < 3 * TOKEN_ADDRESSES_MAX; i++) {
		(void)snprintf(address, sizeof(address), "2001:db8::%x", i);
		assert_int_equal(token_used(store_db(store), &t, address, NOW + i, &fresh, NULL), 0);
		assert_true(fresh);
	}
	assert_int_equal(number("SELECT count(*) FROM token_address"), TOKEN_ADDRESSES_MAX);
	assert_int_equal(check_at(text, NOW, &t), 0);
	assert_true(t.used_s >= NOW);
}

static void scopes_have_names(void **state)
{
	char names[SCOPE_NAMES_BYTES];
	unsigned bit = 0;

	(void)state;
	assert_string_equal(scope_names(SCOPE_ALL, names), "vm rules audit people");
	assert_string_equal(scope_names(0, names), "");
	assert_int_equal(scope_parse("people", &bit), 0);
	assert_int_equal(bit, SCOPE_PEOPLE);
	assert_int_equal(scope_parse("everything", &bit), -EINVAL);
	assert_int_equal(scope_parse(NULL, &bit), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_token_stands_for_its_person, setup, teardown),
		cmocka_unit_test_setup_teardown(a_token_is_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(rotation_logs_nobody_out, setup, teardown),
		cmocka_unit_test_setup_teardown(forged_tokens_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(mangled_tokens_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(there_is_an_end_to_tokens, setup, teardown),
		cmocka_unit_test_setup_teardown(new_addresses_are_told_once, setup, teardown),
		cmocka_unit_test(scopes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
