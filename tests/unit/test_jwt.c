/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "auth/jwt.h"
#include "base/err.h"
#include "tests/unit/keys.h"

#define NOW 1795000000

static char set_text[4096];
static struct jwks *set;

static int make_keys(void **state)
{
	(void)state;
	keys_make();
	(void)snprintf(set_text, sizeof(set_text),
		       "{\"keys\":[%s,%s,{\"kty\":\"RSA\",\"kid\":\"enc\",\"use\":\"enc\",\"n\":\"%s\",\"e\":\"AQAB\"},"
		       "{\"kty\":\"oct\",\"kid\":\"o\",\"k\":\"c2VjcmV0\"}]}",
		       rsa_jwk, ec_jwk, modulus_text);
	assert_int_equal(jwks_parse(&set, set_text, strlen(set_text), NULL), 0);
	assert_int_equal(jwks_count(set), 2);
	return 0;
}

static int drop_keys(void **state)
{
	(void)state;
	set = jwks_free(set);
	keys_drop();
	return 0;
}

#define GOOD_BODY "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"exp\":1795000100,\"iat\":1795000000,\"nonce\":\"n1\"}"

static void good_tokens_pass(void **state)
{
	json_t *claims = NULL;
	struct jwt_want want = { .issuer = "https://id.example", .audience = "term", .nonce = "n1", .now_s = NOW, .skew_s = 60 };

	(void)state;
	assert_int_equal(jwt_verify(token("{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD_BODY, 'r'), set, 0, &claims, NULL), 0);
	assert_int_equal(jwt_check(claims, &want, NULL), 0);
	json_decref(claims);
	assert_int_equal(jwt_verify(token("{\"alg\":\"ES256\",\"kid\":\"e\",\"typ\":\"JWT\"}", GOOD_BODY, 'e'), set, 0, &claims, NULL), 0);
	json_decref(claims);
	assert_int_equal(jwt_verify(token("{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"at+jwt\"}", GOOD_BODY, 'r'), set, 1, &claims, NULL), 0);
	json_decref(claims);
}

/* The library that signs our own tokens accepts the HMAC forgery below; this is why foreign tokens do not go through it. */
static void forged_tokens_are_refused(void **state)
{
	static const struct {
		const char *head;
		char how;
	} rows[] = {
		{ "{\"alg\":\"HS256\",\"kid\":\"r\"}", 'h' },   { "{\"alg\":\"none\",\"kid\":\"r\"}", '0' },
		{ "{\"alg\":\"None\",\"kid\":\"r\"}", '0' },    { "{\"alg\":\"RS256\",\"kid\":\"r\"}", '0' },
		{ "{\"alg\":\"RS256\",\"kid\":\"r\"}", 'h' },   { "{\"alg\":\"RS256\",\"kid\":\"r\"}", 'e' },
		{ "{\"alg\":\"ES256\",\"kid\":\"r\"}", 'r' },   { "{\"alg\":\"ES256\",\"kid\":\"e\"}", 'z' },
		{ "{\"alg\":\"RS256\",\"kid\":\"e\"}", 'e' },   { "{\"alg\":\"RS256\"}", 'r' },
		{ "{\"kid\":\"r\"}", 'r' },                     { "{\"alg\":\"RS256\",\"kid\":\"r\",\"crit\":[\"x\"]}", 'r' },
		{ "{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"at+jwt\"}", 'r' },
		{ "{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"r\"}", 'r' },
		{ "[\"alg\"]", 'r' },                           { "{\"alg\":\"HS256\",\"kid\":\"o\"}", 'h' },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *claims = NULL;
		struct err e = { 0 };

		if (jwt_verify(token(rows[i].head, GOOD_BODY, rows[i].how), set, 0, &claims, &e) == 0)
			fail_msg("accepted row %zu", i);
		assert_null(claims);
		assert_true(e.msg[0] != '\0');
	}
}

static void damaged_tokens_are_refused(void **state)
{
	const char *good = token("{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD_BODY, 'r');
	char copy[8192], *big;
	json_t *claims = NULL;
	size_t len = strlen(good);

	(void)state;
	for (size_t i = 0; i < len; i += 7) {
		memcpy(copy, good, len + 1);
		copy[i] = copy[i] == 'A' ? 'B' : 'A';
		if (jwt_verify(copy, set, 0, &claims, NULL) == 0)
			fail_msg("accepted with byte %zu changed", i);
	}
	(void)snprintf(copy, sizeof(copy), "%s=", good);
	assert_int_not_equal(jwt_verify(copy, set, 0, &claims, NULL), 0);
	(void)snprintf(copy, sizeof(copy), "%s.x", good);
	assert_int_not_equal(jwt_verify(copy, set, 0, &claims, NULL), 0);
	memcpy(copy, good, len + 1);
	*strrchr(copy, '.') = '\0';
	assert_int_not_equal(jwt_verify(copy, set, 0, &claims, NULL), 0);
	assert_int_not_equal(jwt_verify("", set, 0, &claims, NULL), 0);
	assert_int_not_equal(jwt_verify("..", set, 0, &claims, NULL), 0);
	big = malloc(2 * JWT_BYTES_MAX);
	assert_non_null(big);
	memset(big, 'A', 2 * JWT_BYTES_MAX - 1);
	big[2 * JWT_BYTES_MAX - 1] = '\0';
	big[10] = big[20] = '.';
	assert_int_not_equal(jwt_verify(big, set, 0, &claims, NULL), 0);
	free(big);
}

static void unknown_key_is_told_apart(void **state)
{
	json_t *claims = NULL;

	(void)state;
	assert_int_equal(jwt_verify(token("{\"alg\":\"RS256\",\"kid\":\"new\"}", GOOD_BODY, 'r'), set, 0, &claims, NULL), JWT_E_KEY);
}

static void claims_are_checked(void **state)
{
	static const struct {
		const char *body, *says;
	} rows[] = {
		{ "{\"iss\":\"https://id.example/\",\"aud\":\"term\",\"exp\":1795000100}", "(iss)" },
		{ "{\"aud\":\"term\",\"exp\":1795000100}", "(iss)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"other\",\"exp\":1795000100}", "(aud)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":[\"a\",\"b\"],\"exp\":1795000100}", "(aud)" },
		{ "{\"iss\":\"https://id.example\",\"exp\":1795000100}", "(aud)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":[\"term\",\"b\"],\"azp\":\"b\",\"exp\":1795000100}", "(azp)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\"}", "(nonce)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n2\",\"exp\":1795000100}", "(nonce)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\"}", "exp" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":\"1795000100\"}", "exp" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":1794999940}", "(exp)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":1795000100,\"nbf\":1795000061}", "(nbf)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":1795000100,\"iat\":1795000061}", "(iat)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":1795000100,\"iat\":1794990000}", "(iat)" },
		{ "{\"iss\":\"https://id.example\",\"aud\":\"term\",\"nonce\":\"n1\",\"exp\":1795000100}", "(iat)" },
	};
	struct jwt_want want = { .issuer = "https://id.example", .audience = "term", .nonce = "n1", .now_s = NOW, .skew_s = 60,
				 .max_age_s = 600 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *claims = json_loads(rows[i].body, 0, NULL);
		struct err e = { 0 };

		assert_int_equal(jwt_check(claims, &want, &e), -EACCES);
		if (!strstr(e.msg, rows[i].says))
			fail_msg("row %zu says: %s", i, e.msg);
		json_decref(claims);
	}
}

static void bad_key_sets_are_refused(void **state)
{
	static const char off_the_curve[] = "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
					    "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}";
	static const char *const rows[] = {
		"", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[1,null,\"x\"]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", /* 24 bits */
		off_the_curve,
		"{\"keys\":[{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-521\",\"x\":\"AA\",\"y\":\"AA\"}]}",
	};
	struct err e = { 0 };
	struct jwks *k = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (jwks_parse(&k, rows[i], strlen(rows[i]), &e) == 0)
			fail_msg("accepted: %s", rows[i]);
}

static void base64url_is_strict(void **state)
{
	uint8_t out[16];

	(void)state;
	assert_int_equal(jwt_base64url("AQAB", 4, out, sizeof(out)), 3);
	assert_int_equal(jwt_base64url("_-8", 3, out, sizeof(out)), 2);
	assert_int_equal(jwt_base64url("", 0, out, sizeof(out)), 0);
	assert_int_equal(jwt_base64url("AQAB=", 5, out, sizeof(out)), -EINVAL);
	assert_int_equal(jwt_base64url("AQ==", 4, out, sizeof(out)), -EINVAL);
	assert_int_equal(jwt_base64url("AR", 2, out, sizeof(out)), -EINVAL); /* stray bits */
	assert_int_equal(jwt_base64url("A+AB", 4, out, sizeof(out)), -EINVAL);
	assert_int_equal(jwt_base64url("A\nAB", 4, out, sizeof(out)), -EINVAL);
	assert_int_equal(jwt_base64url("A", 1, out, sizeof(out)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_tokens_pass),
		cmocka_unit_test(forged_tokens_are_refused),
		cmocka_unit_test(damaged_tokens_are_refused),
		cmocka_unit_test(unknown_key_is_told_apart),
		cmocka_unit_test(claims_are_checked),
		cmocka_unit_test(bad_key_sets_are_refused),
		cmocka_unit_test(base64url_is_strict),
	};

	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
