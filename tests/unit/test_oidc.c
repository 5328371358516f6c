/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <time.h>

#include "auth/oidc_internal.h"
#include "base/err.h"
#include "base/httpc.h"
#include "tests/unit/idp.h"
#include "tests/unit/keys.h"

static struct loop loop;
static struct httpc *httpc;
static char key_set[2048]; /* the RSA key only; the other one comes in when keys are turned over */
static int serial;	   /* of the issuers, for each test has one of its own */

static int start_all(void **state)
{
	(void)state;
	keys_make();
	(void)snprintf(key_set, sizeof(key_set), "{\"keys\":[%s]}", rsa_jwk);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(httpc_create(&httpc, &loop, NULL), 0);
	idp_start();
	return 0;
}

static int stop_all(void **state)
{
	(void)state;
	httpc = httpc_destroy(httpc);
	idp_stop();
	loop_finish(&loop);
	keys_drop();
	return 0;
}

/* --- a service of one's own for each test ------------------------------------------------------------------------------ */

struct service {
	struct oidc_config c;
	struct oidc *o;
	char base[32]; /* path of this issuer */
	bool done;
	int calls;
	struct identity id; /* of the last call; provider "" when refused */
	struct err e;
	struct oidc_device shown;
	uint8_t browser[OIDC_BROWSER_BYTES];
	char state[SECRET_TEXT], nonce[SECRET_TEXT], challenge[64];
};

static const char *path_of(const struct service *s, const char *name)
{
	static char path[96];

	(void)snprintf(path, sizeof(path), "%s%s", s->base, name);
	return path;
}

static void metadata(const struct service *s, const char *more)
{
	char text[2048];

	(void)snprintf(text, sizeof(text),
		       "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/auth\",\"token_endpoint\":\"%s/token\",\"jwks_uri\":\"%s/jwks\","
		       "\"userinfo_endpoint\":\"%s/userinfo\",\"device_authorization_endpoint\":\"%s/device\"%s}",
		       s->c.issuer, s->c.issuer, s->c.issuer, s->c.issuer, s->c.issuer, s->c.issuer, more);
	idp_says(path_of(s, "/.well-known/openid-configuration"), IDP_BODY, 200, text);
}

static void service_init(struct service *s)
{
	memset(s, 0, sizeof(*s));
	(void)snprintf(s->base, sizeof(s->base), "/i%d", ++serial);
	s->c = (struct oidc_config){ .name = "corp", .title = "Corp", .client_id = "term", .scopes = "openid email",
				     .redirect_uri = "https://term.example/auth/corp/callback", .api_audience = "term-api", .skew_s = 60 };
	(void)snprintf(s->c.issuer, sizeof(s->c.issuer), "%s%s", idp.url, s->base);
	memset(s->browser, 7, sizeof(s->browser));
}

static void service_open(struct service *s)
{
	bool never = false;

	assert_int_equal(oidc_create(&s->o, &loop, httpc, &s->c, NULL), 0);
	for (int i = 0; i < 400 && !oidc_ready(s->o, NULL); i++)
		(void)loop_until(&loop, &never, 10);
	assert_true(oidc_ready(s->o, NULL));
}

/* The usual: everything there and in order. */
static void service_start(struct service *s)
{
	service_init(s);
	metadata(s, ",\"authorization_response_iss_parameter_supported\":true");
	idp_says(path_of(s, "/jwks"), IDP_BODY, 200, key_set);
	service_open(s);
}

static void service_stop(struct service *s)
{
	s->o = oidc_destroy(s->o);
	idp_forget(NULL);
}

static void on_done(void *arg, const struct identity *id, const struct err *e)
{
	struct service *s = arg;

	memset(&s->id, 0, sizeof(s->id));
	memset(&s->e, 0, sizeof(s->e));
	if (id)
		s->id = *id;
	else
		s->e = *e;
	s->calls++;
	s->done = true;
}

static void copy_parameter(const char *url, const char *name, char *out, size_t size)
{
	const char *at = strstr(url, name);

	assert_non_null(at);
	at += strlen(name);
	assert_true(strcspn(at, "&") < size);
	memcpy(out, at, strcspn(at, "&"));
	out[strcspn(at, "&")] = '\0';
}

static void begin(struct service *s)
{
	char url[OIDC_URL_BYTES];

	assert_int_equal(oidc_begin(s->o, s->browser, url, sizeof(url), NULL), 0);
	copy_parameter(url, "&state=", s->state, sizeof(s->state));
	copy_parameter(url, "&nonce=", s->nonce, sizeof(s->nonce));
	copy_parameter(url, "&code_challenge=", s->challenge, sizeof(s->challenge));
	assert_non_null(strstr(url, "response_type=code&client_id=term&redirect_uri=https%3A%2F%2Fterm.example%2Fauth%2Fcorp%2Fcallback"));
	assert_non_null(strstr(url, "scope=openid%20email"));
	assert_non_null(strstr(url, "code_challenge_method=S256"));
}

static struct oidc_callback callback(const struct service *s)
{
	struct oidc_callback cb = { .state = s->state, .code = "C0DE", .iss = s->c.issuer };

	memcpy(cb.browser, s->browser, sizeof(cb.browser));
	return cb;
}

/* The body of a token answer with an ID token: the given claims and those that must always be there. */
static const char *token_answer(const struct service *s, const char *head, char how, const char *nonce, const char *claims)
{
	static char text[10000];
	char body[1024];

	(void)snprintf(body, sizeof(body), "{\"iss\":\"%s\",\"aud\":\"term\",\"sub\":\"u1\",\"iat\":%lld,\"exp\":%lld,\"nonce\":\"%s\"%s}", s->c.issuer,
		       (long long)time(NULL), (long long)time(NULL) + 300, nonce, claims);
	(void)snprintf(text, sizeof(text), "{\"token_type\":\"Bearer\",\"access_token\":\"S3CRET-AT\",\"id_token\":\"%s\"}", token(head, body, how));
	return text;
}

/* Finish a sign-in that was begun. Return: refused at once or later, with s->e; or not */
static bool finish(struct service *s, const struct oidc_callback *cb)
{
	struct err e = { 0 };

	s->done = false;
	if (!oidc_finish(s->o, cb, on_done, s, &e)) {
		s->e = e;
		return false;
	}
	assert_true(loop_until(&loop, &s->done, 8000));
	return s->id.provider[0] != '\0';
}

#define ALICE ",\"email\":\"Alice@Example.org\",\"email_verified\":true,\"name\":\"Alice\""

/* A whole sign-in whose ID token has these claims. */
static bool sign_in(struct service *s, const char *claims)
{
	struct oidc_callback cb;

	begin(s);
	idp_forget(path_of(s, "/token"));
	idp_says(path_of(s, "/token"), IDP_BODY, 200, token_answer(s, RSA_HEAD, 'r', s->nonce, claims));
	cb = callback(s);
	return finish(s, &cb);
}

/* --- the flow ----------------------------------------------------------------------------------------------------------- */

static void a_person_signs_in(void **state)
{
	struct service s;
	const char *asked;

	(void)state;
	service_start(&s);
	assert_true(sign_in(&s, ALICE));
	assert_string_equal(s.id.provider, "corp");
	assert_string_equal(s.id.issuer, s.c.issuer);
	assert_string_equal(s.id.subject, "u1");
	assert_string_equal(s.id.email, "alice@example.org");
	assert_string_equal(s.id.name, "Alice");
	asked = idp_asked(path_of(&s, "/token"), 0);
	assert_non_null(strstr(asked, "POST "));
	assert_non_null(strstr(asked, "grant_type=authorization_code&code=C0DE&redirect_uri=https%3A%2F%2Fterm.example%2Fauth%2Fcorp%2Fcallback&code_verifier="));
	assert_non_null(strstr(asked, "&client_id=term")); /* a public client names itself in the body */
	assert_null(strstr(asked, "Authorization:"));
	assert_null(idp_asked(path_of(&s, "/userinfo"), 0));
	service_stop(&s);
}

/* RFC 7636 §4.6: what the service computes from the verifier must be what the browser took there. */
static void the_verifier_fits_the_challenge(void **state)
{
	struct service s;
	char verifier[SECRET_TEXT], challenge[64];
	uint8_t hash[32];

	(void)state;
	service_start(&s);
	assert_true(sign_in(&s, ALICE));
	copy_parameter(idp_asked(path_of(&s, "/token"), 0), "&code_verifier=", verifier, sizeof(verifier));
	assert_int_equal(mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), (const uint8_t *)verifier, strlen(verifier), hash), 0);
	b64url(hash, sizeof(hash), challenge, sizeof(challenge));
	assert_string_equal(challenge, s.challenge);
	service_stop(&s);
}

static void a_client_secret_goes_where_the_service_wants_it(void **state)
{
	struct service s;

	(void)state;
	service_init(&s);
	(void)snprintf(s.c.secret, sizeof(s.c.secret), "p:w");
	metadata(&s, "");
	idp_says(path_of(&s, "/jwks"), IDP_BODY, 200, key_set);
	service_open(&s);
	assert_true(sign_in(&s, ALICE));
	/* base64("term:p%3Aw"): RFC 6749 §2.3.1 encodes first */
	assert_non_null(strstr(idp_asked(path_of(&s, "/token"), 0), "Authorization: Basic dGVybTpwJTNBdw==\r\n"));
	assert_null(strstr(idp_asked(path_of(&s, "/token"), 0), "client_secret"));
	service_stop(&s);
	service_init(&s);
	(void)snprintf(s.c.secret, sizeof(s.c.secret), "p:w");
	metadata(&s, ",\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"]");
	idp_says(path_of(&s, "/jwks"), IDP_BODY, 200, key_set);
	service_open(&s);
	assert_true(sign_in(&s, ALICE));
	assert_non_null(strstr(idp_asked(path_of(&s, "/token"), 0), "&client_id=term&client_secret=p%3Aw"));
	service_stop(&s);
}

static void the_callback_must_be_of_this_sign_in(void **state)
{
	struct service s;
	struct oidc_callback cb;
	char state_before[SECRET_TEXT];

	(void)state;
	service_start(&s);
	idp_says(path_of(&s, "/token"), IDP_BODY, 500, "{}");

	begin(&s);
	cb = callback(&s);
	cb.state = "0000000000000000000000000000000000000000000000000000000000000000";
	assert_false(finish(&s, &cb));
	assert_non_null(strstr(s.e.msg, "not known here"));
	cb.state = "no hex";
	assert_false(finish(&s, &cb));
	cb.state = NULL;
	assert_false(finish(&s, &cb));

	/* Another browser: somebody was sent a link that carries the sender's sign-in. It is spent by that. */
	cb = callback(&s);
	memset(cb.browser, 8, sizeof(cb.browser));
	assert_false(finish(&s, &cb));
	assert_non_null(strstr(s.e.msg, "another browser"));
	cb = callback(&s);
	assert_false(finish(&s, &cb));
	assert_non_null(strstr(s.e.msg, "used already"));

	begin(&s);
	cb = callback(&s);
	cb.iss = "https://other.example";
	assert_false(finish(&s, &cb));
	assert_non_null(strstr(s.e.msg, "(iss)"));
	begin(&s);
	cb = callback(&s);
	cb.iss = NULL; /* this service has promised to name itself */
	assert_false(finish(&s, &cb));
	assert_non_null(strstr(s.e.msg, "(iss)"));

	begin(&s);
	cb = callback(&s);
	cb.error = "access_denied";
	assert_false(finish(&s, &cb));
	assert_non_null(strstr(s.e.msg, "refused or cancelled"));
	begin(&s);
	cb = callback(&s);
	cb.code = "";
	assert_false(finish(&s, &cb));
	assert_non_null(strstr(s.e.msg, "no code"));
	assert_null(idp_asked(path_of(&s, "/token"), 0)); /* none of these reached the token endpoint */

	/* A state works once, also when it worked. */
	assert_true(sign_in(&s, ALICE));
	memcpy(state_before, s.state, sizeof(state_before));
	cb = callback(&s);
	assert_false(finish(&s, &cb));
	assert_non_null(strstr(s.e.msg, "used already"));
	service_stop(&s);
}

/* What the service says of a code that was traded in before (RFC 6749 §5.2) reaches the log as a word, nothing else does. */
static void a_refusal_of_the_service_is_told_without_secrets(void **state)
{
	struct service s;
	struct oidc_callback cb;

	(void)state;
	service_start(&s);
	begin(&s);
	idp_says(path_of(&s, "/token"), IDP_BODY, 400, "{\"error\":\"invalid_grant\",\"error_description\":\"code C0DE was used\"}");
	idp_says(path_of(&s, "/token"), IDP_BODY, 400, "{\"error\":\"bad\\u001b[31m<b>C0DE\"}");
	cb = callback(&s);
	assert_false(finish(&s, &cb));
	assert_non_null(strstr(s.e.msg, "invalid_grant"));
	assert_null(strstr(s.e.msg, "C0DE"));
	begin(&s);
	cb = callback(&s);
	assert_false(finish(&s, &cb));
	assert_null(strchr(s.e.msg, '\x1b'));
	assert_null(strstr(s.e.msg, "C0DE"));
	service_stop(&s);
}

static void id_tokens_that_lie_are_refused(void **state)
{
	static const char hs[] = "{\"alg\":\"HS256\",\"kid\":\"r\"}", none[] = "{\"alg\":\"none\",\"kid\":\"r\"}";
	struct service s;
	struct oidc_callback cb;
	const struct {
		const char *head;
		char how;
		const char *nonce, *claims, *says;
	} rows[] = {
		{ hs, 'h', NULL, ALICE, "algorithm" },
		{ none, '0', NULL, ALICE, "algorithm" },
		{ RSA_HEAD, 'z', NULL, ALICE, "signature" },
		{ RSA_HEAD, 'r', "other", ALICE, "(nonce)" },
		{ RSA_HEAD, 'r', "", ALICE, "(nonce)" },
		{ RSA_HEAD, 'r', NULL, ",\"azp\":\"evil\"" ALICE, "(azp)" },
		{ RSA_HEAD, 'r', NULL, ",\"nbf\":9999999999" ALICE, "(nbf)" },
		{ RSA_HEAD, 'r', NULL, ",\"sub\":\"u2\"" ALICE, "payload" }, /* two of them: which one is meant? */
		{ "{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"at+jwt\"}", 'r', NULL, ALICE, "access token" },
		{ RSA_HEAD, 'r', NULL, ",\"email\":\"root@@example.org\",\"email_verified\":true", "" },
		{ RSA_HEAD, 'r', NULL, ",\"email\":\"\xd0\xb0lice@example.org\",\"email_verified\":true", "" }, /* Cyrillic a */
		{ RSA_HEAD, 'r', NULL, ",\"email\":[\"alice@example.org\"],\"email_verified\":true", "userinfo" },
	};

	(void)state;
	service_start(&s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(&s);
		idp_forget(path_of(&s, "/token"));
		idp_says(path_of(&s, "/token"), IDP_BODY, 200,
			 token_answer(&s, rows[i].head, rows[i].how, rows[i].nonce ? rows[i].nonce : s.nonce, rows[i].claims));
		cb = callback(&s);
		if (finish(&s, &cb))
			fail_msg("row %zu was accepted", i);
		if (!s.e.msg[0] || !strstr(s.e.msg, rows[i].says))
			fail_msg("row %zu says: %s", i, s.e.msg);
	}
	service_stop(&s);
}

/* Keys are turned over between two sign-ins: the new one is fetched within the sign-in that needs it, and the next one does not ask again. */
static void turned_over_keys_are_fetched(void **state)
{
	struct service s;
	struct oidc_callback cb;
	char both[2048];

	(void)state;
	service_start(&s);
	(void)snprintf(both, sizeof(both), "{\"keys\":[%s,%s]}", rsa_jwk, ec_jwk);
	idp_forget(path_of(&s, "/jwks"));
	idp_says(path_of(&s, "/jwks"), IDP_BODY, 200, both);
	begin(&s);
	idp_says(path_of(&s, "/token"), IDP_BODY, 200, token_answer(&s, EC_HEAD, 'e', s.nonce, ALICE));
	cb = callback(&s);
	assert_true(finish(&s, &cb));
	assert_non_null(idp_asked(path_of(&s, "/jwks"), 1));
	/* A key that nobody has: one fetch a minute, so that a liar cannot make us hammer the service. */
	begin(&s);
	idp_forget(path_of(&s, "/token"));
	idp_says(path_of(&s, "/token"), IDP_BODY, 200, token_answer(&s, "{\"alg\":\"RS256\",\"kid\":\"none\"}", 'r', s.nonce, ALICE));
	cb = callback(&s);
	assert_false(finish(&s, &cb));
	assert_non_null(strstr(s.e.msg, "does not list"));
	assert_null(idp_asked(path_of(&s, "/jwks"), 2));
	service_stop(&s);
}

/* --- e-mail -------------------------------------------------------------------------------------------------------------- */

static void verification_is_as_strict_as_configured(void **state)
{
	static const struct {
		enum email_policy policy;
		bool yes, absent, no;
	} rows[] = {
		{ EMAIL_REQUIRE, true, false, false }, { EMAIL_NOT_FALSE, true, true, false }, { EMAIL_IGNORE, true, true, true },
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct service s;

		service_init(&s);
		s.c.email_policy = rows[i].policy;
		metadata(&s, "");
		idp_says(path_of(&s, "/jwks"), IDP_BODY, 200, key_set);
		service_open(&s);
		assert_int_equal(sign_in(&s, ",\"email\":\"a@example.org\",\"email_verified\":true"), rows[i].yes);
		assert_int_equal(sign_in(&s, ",\"email\":\"a@example.org\",\"email_verified\":\"true\""), rows[i].yes);
		assert_int_equal(sign_in(&s, ",\"email\":\"a@example.org\""), rows[i].absent);
		assert_int_equal(sign_in(&s, ",\"email\":\"a@example.org\",\"email_verified\":false"), rows[i].no);
		assert_int_equal(sign_in(&s, ",\"email\":\"a@example.org\",\"email_verified\":null"), rows[i].no);
		assert_int_equal(sign_in(&s, ",\"email\":\"a@example.org\",\"email_verified\":1"), rows[i].no);
		if (!rows[i].no)
			assert_non_null(strstr(s.e.msg, "email_verified"));
		service_stop(&s);
	}
}

/* The address may come from userinfo, but then all of it does: e-mail and verification of one document. */
static void userinfo_fills_in(void **state)
{
	struct service s;

	(void)state;
	service_start(&s);
	idp_says(path_of(&s, "/userinfo"), IDP_BODY, 200, "{\"sub\":\"u1\",\"email\":\"bob@example.org\",\"email_verified\":true}");
	assert_true(sign_in(&s, ""));
	assert_string_equal(s.id.email, "bob@example.org");
	assert_non_null(strstr(idp_asked(path_of(&s, "/userinfo"), 0), "Authorization: Bearer S3CRET-AT\r\n"));
	idp_forget(path_of(&s, "/userinfo"));
	idp_says(path_of(&s, "/userinfo"), IDP_BODY, 200, "{\"sub\":\"u1\",\"email\":\"bob@example.org\"}");
	assert_false(sign_in(&s, ",\"email_verified\":true"));
	assert_non_null(strstr(s.e.msg, "email_verified is absent"));
	/* Core §5.3.2: an answer about somebody else. */
	idp_forget(path_of(&s, "/userinfo"));
	idp_says(path_of(&s, "/userinfo"), IDP_BODY, 200, "{\"sub\":\"u2\",\"email\":\"bob@example.org\",\"email_verified\":true}");
	assert_false(sign_in(&s, ""));
	assert_non_null(strstr(s.e.msg, "another person"));
	idp_forget(path_of(&s, "/userinfo"));
	idp_says(path_of(&s, "/userinfo"), IDP_BODY, 200, "{\"sub\":\"u1\"}");
	assert_false(sign_in(&s, ",\"preferred_username\":\"root@example.org\",\"upn\":\"root@example.org\""));
	assert_non_null(strstr(s.e.msg, "gives no e-mail"));
	service_stop(&s);
}

/* --- services that misbehave --------------------------------------------------------------------------------------------- */

static void bad_answers_of_the_token_endpoint_refuse(void **state)
{
	static const struct {
		enum idp_way way;
		int status;
		const char *body;
	} rows[] = {
		{ IDP_BODY, 500, "{\"error\":\"oops\"}" }, { IDP_BODY, 503, "<html>" },	   { IDP_BODY, 200, "<html>" },
		{ IDP_BODY, 200, "{}" },		   { IDP_BODY, 200, "[1]" },	   { IDP_BODY, 200, "{\"id_token\":1}" },
		{ IDP_BODY, 200, "{\"id_token\":\"\"}" },  { IDP_BODY, 204, "" },	   { IDP_FLOOD, 200, "" },
		{ IDP_NONSENSE, 200, "" },		   { IDP_REDIRECT, 302, "/good" }, { IDP_REDIRECT, 307, "/good" },
		{ IDP_HANG_UP, 0, "" },
	};
	struct service s;

	(void)state;
	service_start(&s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct oidc_callback cb;

		begin(&s);
		idp_says("/good", IDP_BODY, 200, token_answer(&s, RSA_HEAD, 'r', s.nonce, ALICE));
		idp_forget(path_of(&s, "/token"));
		idp_says(path_of(&s, "/token"), rows[i].way, rows[i].status, rows[i].body);
		cb = callback(&s);
		if (finish(&s, &cb))
			fail_msg("row %zu was accepted", i);
		assert_true(s.e.msg[0] != '\0');
		assert_null(strstr(s.e.msg, "C0DE"));
	}
	/* Nobody went where the service pointed, with a code and a verifier in hand. */
	assert_null(idp_asked("/good", 0));
	service_stop(&s);
}

static void bad_answers_of_userinfo_refuse(void **state)
{
	static const struct {
		enum idp_way way;
		int status;
		const char *body;
	} rows[] = {
		{ IDP_BODY, 401, "{}" },   { IDP_BODY, 500, "" },     { IDP_BODY, 200, "eyJ.eyJ.x" },
		{ IDP_BODY, 200, "[]" },   { IDP_FLOOD, 200, "" },    { IDP_NONSENSE, 200, "" },
		{ IDP_HANG_UP, 0, "" },	   { IDP_REDIRECT, 302, "/good" },
	};
	struct service s;

	(void)state;
	service_start(&s);
	idp_says("/good", IDP_BODY, 200, "{\"sub\":\"u1\",\"email\":\"bob@example.org\",\"email_verified\":true}");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		idp_forget(path_of(&s, "/userinfo"));
		idp_says(path_of(&s, "/userinfo"), rows[i].way, rows[i].status, rows[i].body);
		if (sign_in(&s, ""))
			fail_msg("row %zu was accepted", i);
		assert_null(strstr(s.e.msg, "S3CRET"));
	}
	assert_null(idp_asked("/good", 0));
	service_stop(&s);
}

/* A service that is down at our start is found when it comes up; meanwhile people are told. */
static void a_service_may_come_up_later(void **state)
{
	struct service s;
	struct err e = { 0 };
	char url[OIDC_URL_BYTES];
	bool never = false;

	(void)state;
	service_init(&s);
	idp_says(path_of(&s, "/.well-known/openid-configuration"), IDP_BODY, 502, "<html>");
	metadata(&s, "");
	idp_says(path_of(&s, "/jwks"), IDP_BODY, 200, "{\"keys\":[]}");
	idp_says(path_of(&s, "/jwks"), IDP_BODY, 200, key_set);
	assert_int_equal(oidc_create(&s.o, &loop, httpc, &s.c, NULL), 0);
	assert_int_equal(oidc_begin(s.o, s.browser, url, sizeof(url), &e), -EAGAIN);
	for (int i = 0; i < 20 && !strstr(e.msg, "502"); i++) {
		(void)loop_until(&loop, &never, 20);
		assert_false(oidc_ready(s.o, &e));
	}
	assert_non_null(strstr(e.msg, "502"));
	for (int i = 0; i < 200 && !oidc_ready(s.o, NULL); i++)
		(void)loop_until(&loop, &never, 20);
	assert_true(sign_in(&s, ALICE));
	service_stop(&s);
}

static void issuers_must_be_safe_to_ask(void **state)
{
	static const char *const rows[] = { "http://id.example", "ftp://id.example", "", "http://127.0.0.1.example.org", "https://",
					    "http://localhost.example.org/", "http://127.0.0.1:1@example.org/" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct oidc_config c = { .name = "x" };
		struct oidc *o = NULL;
		struct err e = { 0 };

		(void)snprintf(c.issuer, sizeof(c.issuer), "%s", rows[i]);
		assert_int_equal(oidc_create(&o, &loop, httpc, &c, &e), -EINVAL);
		assert_non_null(strstr(e.msg, "https"));
	}
}

static void metadata_is_judged(void **state)
{
#define HEAD "{\"issuer\":\"https://id.example\","
#define REST "\"authorization_endpoint\":\"https://id.example/a?x=1\",\"token_endpoint\":\"https://id.example/t\",\"jwks_uri\":\"https://id.example/k\""
	static const char *const good[] = {
		HEAD REST "}",
		HEAD REST ",\"code_challenge_methods_supported\":[\"plain\",\"S256\"]}",
	};
	static const char *const bad[] = {
		"", "null", "[]", "{}", "{" REST "}", HEAD "\"issuer\":\"https://id.example\"," REST "}",
		"{\"issuer\":\"https://id.example/\"," REST "}", "{\"issuer\":\"https://ID.example\"," REST "}",
		HEAD "\"authorization_endpoint\":\"https://id.example/a\",\"token_endpoint\":\"https://id.example/t\"}",
		HEAD REST ",\"userinfo_endpoint\":\"http://id.example/u\"}", HEAD REST ",\"userinfo_endpoint\":\"javascript:alert(1)\"}",
		HEAD REST ",\"userinfo_endpoint\":\"http://127.0.0.1/u\"}", HEAD REST ",\"userinfo_endpoint\":7}",
		HEAD REST ",\"userinfo_endpoint\":\"https://id.example/a b\"}", HEAD REST ",\"userinfo_endpoint\":\"https://id.example/\\r\\nX: y\"}",
		HEAD REST ",\"code_challenge_methods_supported\":[\"plain\"]}",
	};
	struct oidc_metadata m;
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(oidc_meta_parse(&m, "https://id.example", false, good[i], strlen(good[i]), &e), 0);
	assert_string_equal(m.authorization, "https://id.example/a?x=1");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&e, 0, sizeof(e));
		if (oidc_meta_parse(&m, "https://id.example", false, bad[i], strlen(bad[i]), &e) == 0 || !e.msg[0])
			fail_msg("accepted: %s", bad[i]);
	}
}

/* --- device grant -------------------------------------------------------------------------------------------------------- */

static void on_shown(void *arg, const struct oidc_device *d)
{
	struct service *s = arg;

	s->shown = *d;
}

#define DEVICE(more) "{\"device_code\":\"DEV1CE\",\"user_code\":\"ABCD-EFGH\",\"verification_uri\":\"https://id.example/d\",\"interval\":1" more "}"
#define PENDING	     "{\"error\":\"authorization_pending\"}"

static void device_start(struct service *s, const char *device)
{
	service_start(s);
	idp_says(path_of(s, "/device"), IDP_BODY, 200, device);
}

static void device_ask(struct service *s)
{
	assert_non_null(oidc_device(s->o, on_shown, on_done, s, NULL));
}

/* All at once: each of them waits for seconds. RFC 8628 §3.5. */
static void device_sign_ins_end_as_they_should(void **state)
{
	struct service good, slower, denied, expired, late, away;
	uint64_t begun_ms = loop_now_ms();

	(void)state;
	device_start(&good, DEVICE(""));
	idp_says(path_of(&good, "/token"), IDP_BODY, 400, PENDING);
	idp_says(path_of(&good, "/token"), IDP_BODY, 200, token_answer(&good, RSA_HEAD, 'r', "", ALICE));
	device_start(&slower, DEVICE(""));
	idp_says(path_of(&slower, "/token"), IDP_BODY, 400, "{\"error\":\"slow_down\"}");
	idp_says(path_of(&slower, "/token"), IDP_BODY, 200, token_answer(&slower, RSA_HEAD, 'r', "", ALICE));
	device_start(&denied, DEVICE(",\"expires_in\":86400"));
	idp_says(path_of(&denied, "/token"), IDP_BODY, 400, "{\"error\":\"access_denied\"}");
	device_start(&expired, DEVICE(""));
	idp_says(path_of(&expired, "/token"), IDP_BODY, 400, "{\"error\":\"expired_token\"}");
	device_start(&late, DEVICE(",\"expires_in\":2"));
	idp_says(path_of(&late, "/token"), IDP_BODY, 400, PENDING);
	device_start(&away, DEVICE(""));
	idp_says(path_of(&away, "/token"), IDP_BODY, 500, "<html>");
	idp_says(path_of(&away, "/token"), IDP_BODY, 200, token_answer(&away, RSA_HEAD, 'r', "", ALICE));

	device_ask(&good);
	device_ask(&slower);
	device_ask(&denied);
	device_ask(&expired);
	device_ask(&late);
	device_ask(&away);
	assert_true(loop_until(&loop, &denied.done, 4000));
	assert_non_null(strstr(denied.e.msg, "refused in the browser"));
	/* Promised longer than auth/signin.h keeps it, the code would be confirmed for nothing. */
	assert_in_range(denied.shown.expires_s, 1, 599);
	assert_true(loop_until(&loop, &expired.done, 4000));
	assert_non_null(strstr(expired.e.msg, "in time"));
	assert_true(loop_until(&loop, &good.done, 4000));
	assert_string_equal(good.id.email, "alice@example.org");
	assert_string_equal(good.shown.user_code, "ABCD-EFGH");
	assert_non_null(strstr(idp_asked(path_of(&good, "/token"), 0), "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=DEV1CE"));
	assert_true(loop_until(&loop, &late.done, 5000));
	assert_non_null(strstr(late.e.msg, "in time"));
	assert_true(loop_until(&loop, &slower.done, 10000));
	assert_string_equal(slower.id.email, "alice@example.org");
	assert_true(loop_now_ms() - begun_ms >= 6500); /* 1 s, then 1 + 5 s */
	/* A service that stumbles once is asked again, more slowly: the person is about to confirm. */
	assert_true(loop_until(&loop, &away.done, 10000));
	assert_string_equal(away.id.email, "alice@example.org");
	oidc_destroy(slower.o);
	oidc_destroy(denied.o);
	oidc_destroy(expired.o);
	oidc_destroy(late.o);
	oidc_destroy(away.o);
	service_stop(&good);
}

static void device_answers_that_cannot_be_shown_are_refused(void **state)
{
	static const char *const rows[] = {
		"{}", "[]", "<html>",
		"{\"device_code\":\"d\",\"user_code\":\"\\u001b[2J\",\"verification_uri\":\"https://id.example/d\"}",
		"{\"device_code\":\"d\",\"user_code\":\"A\",\"verification_uri\":\"javascript:alert(1)\"}",
		"{\"device_code\":\"d\",\"user_code\":\"A\",\"verification_uri\":\"http://id.example/d\"}",
		"{\"user_code\":\"A\",\"verification_uri\":\"https://id.example/d\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct service s;

		device_start(&s, rows[i]);
		device_ask(&s);
		assert_true(loop_until(&loop, &s.done, 4000));
		if (s.id.provider[0] || s.shown.user_code[0])
			fail_msg("shown: %s", rows[i]);
		service_stop(&s);
	}
}

static void a_service_without_device_grant_says_so(void **state)
{
	struct service s;
	struct err e = { 0 };
	char text[2048];

	(void)state;
	service_init(&s);
	(void)snprintf(text, sizeof(text), "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/a\",\"token_endpoint\":\"%s/t\",\"jwks_uri\":\"%s/jwks\"}",
		       s.c.issuer, s.c.issuer, s.c.issuer, s.c.issuer);
	idp_says(path_of(&s, "/.well-known/openid-configuration"), IDP_BODY, 200, text);
	idp_says(path_of(&s, "/jwks"), IDP_BODY, 200, key_set);
	service_open(&s);
	assert_null(oidc_device(s.o, on_shown, on_done, &s, &e));
	assert_int_equal(e.code, -EOPNOTSUPP);
	service_stop(&s);
}

/* Whoever has gone away must not be called. */
static void cancelled_calls_stay_silent(void **state)
{
	struct service s;
	struct oidc_callback cb;

	(void)state;
	service_start(&s);
	begin(&s);
	idp_says(path_of(&s, "/token"), IDP_BODY, 200, token_answer(&s, RSA_HEAD, 'r', s.nonce, ALICE));
	cb = callback(&s);
	oidc_cancel(oidc_finish(s.o, &cb, on_done, &s, NULL));
	begin(&s);
	cb = callback(&s);
	assert_non_null(oidc_finish(s.o, &cb, on_done, &s, NULL)); /* and this one goes with its owner */
	service_stop(&s);
	loop_for(&loop, 100);
	assert_int_equal(s.calls, 0);
}

/* --- bearer tokens ------------------------------------------------------------------------------------------------------- */

static void bearer_tokens_are_for_our_audience(void **state)
{
	static const char at_head[] = "{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"at+jwt\"}";
	struct service s;
	char body[1024];
	static const struct {
		const char *claims;
		bool good;
	} rows[] = {
		{ "\"aud\":\"term-api\"", true },
		{ "\"aud\":[\"x\",\"term-api\"],\"azp\":\"some-script\"", true },
		{ "\"aud\":\"term\"", false }, /* an ID token of the page */
		{ "\"aud\":[\"x\"]", false },
		{ "\"x\":1", false },
	};

	(void)state;
	service_start(&s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int typed = 0; typed < 2; typed++) {
			struct identity id = { 0 };

			(void)snprintf(body, sizeof(body), "{\"iss\":\"%s\",\"sub\":\"u1\",\"exp\":%lld,%s%s}", s.c.issuer, (long long)time(NULL) + 60,
				       rows[i].claims, ALICE);
			if ((oidc_bearer(s.o, token(typed ? at_head : RSA_HEAD, body, 'r'), &id, NULL) == 0) != rows[i].good)
				fail_msg("row %zu, typed %d", i, typed);
			assert_string_equal(id.email, rows[i].good ? "alice@example.org" : "");
			/* A socket opened with it ends with it. */
			if (rows[i].good)
				assert_in_range(id.expires_s, time(NULL), time(NULL) + 3600);
		}
	(void)snprintf(body, sizeof(body), "{\"iss\":\"%s\",\"sub\":\"u1\",\"aud\":\"term-api\",\"exp\":%lld%s}", s.c.issuer, (long long)time(NULL) - 120, ALICE);
	assert_int_equal(oidc_bearer(s.o, token(RSA_HEAD, body, 'r'), &s.id, &s.e), -EACCES);
	assert_int_equal(oidc_bearer(s.o, "opaque", &s.id, NULL), -EACCES);
	assert_int_equal(oidc_bearer(s.o, "", &s.id, NULL), -EACCES);
	service_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_person_signs_in),
		cmocka_unit_test(the_verifier_fits_the_challenge),
		cmocka_unit_test(a_client_secret_goes_where_the_service_wants_it),
		cmocka_unit_test(the_callback_must_be_of_this_sign_in),
		cmocka_unit_test(a_refusal_of_the_service_is_told_without_secrets),
		cmocka_unit_test(id_tokens_that_lie_are_refused),
		cmocka_unit_test(turned_over_keys_are_fetched),
		cmocka_unit_test(verification_is_as_strict_as_configured),
		cmocka_unit_test(userinfo_fills_in),
		cmocka_unit_test(bad_answers_of_the_token_endpoint_refuse),
		cmocka_unit_test(bad_answers_of_userinfo_refuse),
		cmocka_unit_test(a_service_may_come_up_later),
		cmocka_unit_test(issuers_must_be_safe_to_ask),
		cmocka_unit_test(metadata_is_judged),
		cmocka_unit_test(device_sign_ins_end_as_they_should),
		cmocka_unit_test(device_answers_that_cannot_be_shown_are_refused),
		cmocka_unit_test(a_service_without_device_grant_says_so),
		cmocka_unit_test(cancelled_calls_stay_silent),
		cmocka_unit_test(bearer_tokens_are_for_our_audience),
	};

	return cmocka_run_group_tests(tests, start_all, stop_all);
}
