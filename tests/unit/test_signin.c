/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "auth/hypha.h"
#include "auth/oidc.h"
#include "auth/proxy.h"
#include "auth/signin.h"
#include "base/err.h"
#include "base/httpc.h"
#include "tests/unit/idp.h"
#include "tests/unit/keys.h"

static struct loop loop;
static struct httpc *httpc;
static struct signins *s;

static int start_all(void **state)
{
	(void)state;
	keys_make();
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

static void add_corp(void)
{
	struct oidc_config c = { .name = "corp", .client_id = "term", .scopes = "openid", .redirect_uri = "https://t.example/cb", .skew_s = 60 };
	struct oidc *o = NULL;
	char text[2048];

	(void)snprintf(text, sizeof(text), "{\"keys\":[%s]}", rsa_jwk);
	idp_says("/jwks", IDP_BODY, 200, text);
	(void)snprintf(text, sizeof(text), "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/auth\",\"token_endpoint\":\"%s/token\",\"jwks_uri\":\"%s/jwks\"}",
		       idp.url, idp.url, idp.url, idp.url);
	idp_says("/.well-known/openid-configuration", IDP_BODY, 200, text);
	(void)snprintf(c.issuer, sizeof(c.issuer), "%s", idp.url);
	assert_int_equal(oidc_create(&o, &loop, httpc, &c, NULL), 0);
	assert_int_equal(signins_add_oidc(s, o), 0);
	for (int i = 0; i < 200 && !oidc_ready(o, NULL); i++)
		loop_for(&loop, 10);
	assert_true(oidc_ready(o, NULL));
}

static void add_hypha(void)
{
	struct hypha_config c = { .name = "hypha", .title = "Hypha", .login_timeout_ms = 10000 };
	struct hypha *h = NULL;

	(void)snprintf(c.server_url, sizeof(c.server_url), "%s", idp.url);
	assert_int_equal(hypha_create(&h, &loop, httpc, &c, NULL), 0);
	assert_int_equal(signins_add_hypha(s, h), 0);
	assert_int_equal(signins_add_hypha(s, h), -EEXIST);
}

static void add_front(void)
{
	struct proxy_config c = { .name = "front", .title = "Front", .plain_header = "X-Email", .secret_header = "X-Secret", .secret = "sixteen letters!",
				  .trusted_peers = "127.0.0.1" };
	struct proxy *p = NULL;

	assert_int_equal(proxy_create(&p, &loop, httpc, &c, NULL), 0);
	assert_int_equal(signins_add_proxy(s, p), 0);
}

static int setup(void **state)
{
	(void)state;
	s = signins_create(&loop);
	add_corp();
	add_hypha();
	add_front();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	s = signins_destroy(s);
	idp_forget(NULL);
	return 0;
}

static int begin_from(unsigned address, const char *provider, enum signin_how how, char secret[SECRET_TEXT], struct err *e)
{
	struct signin_wish wish = { .provider = provider, .how = how };

	memcpy(wish.from, &address, sizeof(address));
	return signin_begin(s, &wish, secret, e);
}

static enum signin_state state_of(const char *secret)
{
	struct signin_view v;

	assert_int_equal(signin_look(s, secret, &v), 0);
	return v.state;
}

/* Turn the loop until the sign-in leaves a state. */
static enum signin_state after(const char *secret, enum signin_state wait)
{
	for (int i = 0; i < 800 && state_of(secret) == wait; i++)
		loop_for(&loop, 10);
	return state_of(secret);
}

/* Begin at corp and put down the ID token that fits. @state: what the browser will bring back */
static void begin_corp(char secret[SECRET_TEXT], char state[SECRET_TEXT])
{
	struct signin_view v;
	char nonce[SECRET_TEXT], body[1024], text[9000];

	assert_int_equal(begin_from(1, "corp", SIGNIN_BROWSER, secret, NULL), 0);
	assert_int_equal(signin_look(s, secret, &v), 0);
	assert_int_equal(v.state, SIGNIN_REDIRECT);
	assert_string_equal(v.provider, "corp");
	(void)snprintf(state, SECRET_TEXT, "%s", strstr(v.url, "&state=") + 7);
	(void)snprintf(nonce, sizeof(nonce), "%s", strstr(v.url, "&nonce=") + 7);
	(void)snprintf(body, sizeof(body), "{\"iss\":\"%s\",\"aud\":\"term\",\"sub\":\"u1\",\"exp\":%lld,\"nonce\":\"%s\",\"email\":\"a@example.org\",\"email_verified\":true}",
		       idp.url, (long long)time(NULL) + 60, nonce);
	(void)snprintf(text, sizeof(text), "{\"id_token\":\"%s\"}", token(RSA_HEAD, body, 'r'));
	idp_forget("/token");
	idp_says("/token", IDP_BODY, 200, text);
}

static void ways_to_sign_in_are_listed(void **state)
{
	json_t *list = signins_providers(s);
	char *text = json_dumps(list, JSON_COMPACT);

	(void)state;
	assert_string_equal(text, "[{\"name\":\"corp\",\"title\":\"corp\",\"kind\":\"oidc\",\"device\":true,\"ready\":true},"
				  "{\"name\":\"hypha\",\"title\":\"Hypha\",\"kind\":\"hypha\",\"device\":false,\"ready\":true},"
				  "{\"name\":\"front\",\"title\":\"Front\",\"kind\":\"proxy\",\"device\":false,\"ready\":true}]");
	free(text);
	json_decref(list);
	assert_non_null(signins_oidc(s, NULL));
	assert_null(signins_oidc(s, signins_oidc(s, NULL)));
	assert_non_null(signins_proxy(s, "front"));
	assert_null(signins_proxy(s, "corp"));
	assert_null(signins_proxy(s, "nope"));
}

static void a_sign_in_is_taken_once(void **state)
{
	char secret[SECRET_TEXT], st[SECRET_TEXT];
	struct oidc_callback cb = { .state = st, .code = "c" };
	struct identity id;

	(void)state;
	begin_corp(secret, st);
	assert_int_equal(signin_take(s, secret, &id), -ENOENT); /* not yet */
	assert_int_equal(signin_callback(s, "corp", secret, &cb, NULL), 0);
	assert_int_equal(state_of(secret), SIGNIN_WAITING);
	assert_int_equal(signin_callback(s, "corp", secret, &cb, NULL), -EACCES); /* the browser reloads */
	assert_int_equal(after(secret, SIGNIN_WAITING), SIGNIN_DONE);
	assert_int_equal(signin_take(s, secret, &id), 0);
	assert_string_equal(id.email, "a@example.org");
	assert_int_equal(signin_take(s, secret, &id), -ENOENT);
	assert_int_equal(signin_callback(s, "corp", secret, &cb, NULL), -EACCES);
}

static void refusals_stay_to_be_looked_at(void **state)
{
	char secret[SECRET_TEXT], st[SECRET_TEXT];
	struct oidc_callback cb = { .state = st, .code = "c" };
	struct signin_view v;
	struct err e = { 0 };

	(void)state;
	begin_corp(secret, st);
	cb.state = "0000000000000000000000000000000000000000000000000000000000000000";
	assert_int_equal(signin_callback(s, "corp", secret, &cb, &e), -EACCES);
	assert_int_equal(signin_look(s, secret, &v), 0);
	assert_int_equal(v.state, SIGNIN_REFUSED);
	assert_string_equal(v.why, e.msg);
	begin_corp(secret, st);
	cb.state = st;
	idp_forget("/token");
	idp_says("/token", IDP_BODY, 400, "{\"error\":\"invalid_grant\"}");
	assert_int_equal(signin_callback(s, "corp", secret, &cb, NULL), 0);
	assert_int_equal(after(secret, SIGNIN_WAITING), SIGNIN_REFUSED);
	assert_int_equal(signin_look(s, secret, &v), 0);
	assert_non_null(strstr(v.why, "invalid_grant"));
	signin_drop(s, secret);
	signin_drop(s, secret);
	assert_int_equal(signin_look(s, secret, &v), -ENOENT);
}

/* The state of one browser's sign-in does not fit the secret of another's. */
static void two_browsers_do_not_mix(void **state)
{
	char mine[SECRET_TEXT], my_state[SECRET_TEXT], yours[SECRET_TEXT], your_state[SECRET_TEXT];
	struct oidc_callback cb = { .state = my_state, .code = "c" };

	(void)state;
	begin_corp(mine, my_state);
	begin_corp(yours, your_state);
	assert_int_equal(signin_callback(s, "corp", yours, &cb, NULL), -EACCES);
	assert_int_equal(state_of(yours), SIGNIN_REFUSED);
	/* The state is spent: whose it was must start again. */
	assert_int_equal(signin_callback(s, "corp", mine, &cb, NULL), -EACCES);
	assert_int_equal(signin_callback(s, "corp", "nothing", &cb, NULL), -EACCES);
	assert_int_equal(signin_callback(s, "corp", NULL, &cb, NULL), -EACCES);
}

static void ways_that_do_not_exist_say_so(void **state)
{
	char secret[SECRET_TEXT];
	struct oidc_callback cb = { 0 };
	struct proxy_request r = { 0 };
	struct identity id;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(begin_from(1, "nope", SIGNIN_BROWSER, secret, &e), -ENOENT);
	assert_int_equal(begin_from(1, "", SIGNIN_BROWSER, secret, &e), -ENOENT);
	assert_int_equal(begin_from(1, "hypha", SIGNIN_DEVICE, secret, &e), -EOPNOTSUPP);
	assert_int_equal(begin_from(1, "front", SIGNIN_BROWSER, secret, &e), -EOPNOTSUPP);
	assert_int_equal(begin_from(1, "corp", SIGNIN_DEVICE, secret, &e), -EOPNOTSUPP); /* its metadata has no device grant */
	assert_int_equal(signin_callback(s, "front", secret, &cb, &e), -ENOENT);
	assert_int_equal(signin_proxy(s, "corp", &r, &id, &e), -ENOENT);
	assert_int_equal(signin_proxy(s, "nope", &r, &id, &e), -ENOENT);
}

static void a_proxy_needs_no_second_look(void **state)
{
	struct proxy_request r = { .plain = "A@example.org", .secret = "sixteen letters!", .peer = { [10] = 0xff, 0xff, 127, 0, 0, 1 } };
	struct identity id;

	(void)state;
	assert_int_equal(signin_proxy(s, "front", &r, &id, NULL), 0);
	assert_string_equal(id.email, "a@example.org");
	assert_string_equal(id.provider, "front");
	r.secret = "x";
	assert_int_equal(signin_proxy(s, "front", &r, &id, NULL), -EACCES);
}

static void a_hypha_sign_in_shows_its_page(void **state)
{
	char secret[SECRET_TEXT];
	struct oidc_callback cb = { 0 };
	struct signin_view v;
	struct identity id;

	(void)state;
	idp_says("/public/services/hypha-login/start", IDP_BODY, 200, "{\"login_url\":\"/l?key=K\",\"key\":\"K\"}");
	idp_says("/public/services/hypha-login/check", IDP_BODY, 200, "\"T\"");
	idp_says("/assets/config.json", IDP_BODY, 200,
		 "{\"user\":{\"id\":\"u\",\"email\":\"h@example.org\",\"is_anonymous\":false,\"expires_at\":99999999999}}");
	assert_int_equal(begin_from(1, "hypha", SIGNIN_BROWSER, secret, NULL), 0);
	assert_int_equal(after(secret, SIGNIN_WAITING), SIGNIN_REDIRECT);
	assert_int_equal(signin_look(s, secret, &v), 0);
	assert_non_null(strstr(v.url, "/l?key=K"));
	/* Back from there: from now on the page waits for the token. */
	assert_int_equal(signin_callback(s, "hypha", secret, &cb, NULL), 0);
	assert_int_equal(state_of(secret), SIGNIN_WAITING);
	assert_int_equal(signin_callback(s, "hypha", secret, &cb, NULL), -EACCES);
	assert_int_equal(after(secret, SIGNIN_WAITING), SIGNIN_DONE);
	assert_int_equal(signin_take(s, secret, &id), 0);
	assert_string_equal(id.email, "h@example.org");
}

/* The table is bounded: whoever begins without end pushes out the oldest, and what was under way for it ends. */
static void the_oldest_goes_when_there_are_too_many(void **state)
{
	char first[SECRET_TEXT], secret[SECRET_TEXT], st[SECRET_TEXT];
	struct oidc_callback cb = { .state = st, .code = "c" };
	struct signin_view v;

	(void)state;
	begin_corp(first, st);
	assert_int_equal(signin_callback(s, "corp", first, &cb, NULL), 0); /* a request is under way */
	for (unsigned i = 0; i < SIGNINS_MAX; i++)
		assert_int_equal(begin_from(2 + i / SIGNINS_PER_ADDRESS, "corp", SIGNIN_BROWSER, secret, NULL), 0);
	assert_int_equal(signin_look(s, first, &v), -ENOENT);
	assert_int_equal(signin_look(s, secret, &v), 0);
	loop_for(&loop, 50);
}

/* Begun without end at one address, sign-ins push out each other and nobody else's, here and in the provider. */
static void nobody_pushes_out_the_others(void **state)
{
	char mine[SECRET_TEXT], first[SECRET_TEXT], secret[SECRET_TEXT], st[SECRET_TEXT];
	struct oidc_callback cb = { .state = st, .code = "c" };
	struct signin_view v;

	(void)state;
	begin_corp(mine, st);
	assert_int_equal(begin_from(2, "corp", SIGNIN_BROWSER, first, NULL), 0);
	for (unsigned i = 0; i < 2 * SIGNINS_MAX; i++)
		assert_int_equal(begin_from(2, "corp", SIGNIN_BROWSER, secret, NULL), 0);
	assert_int_equal(signin_look(s, first, &v), -ENOENT);
	assert_int_equal(signin_look(s, secret, &v), 0);
	assert_int_equal(signin_callback(s, "corp", mine, &cb, NULL), 0);
	assert_int_equal(after(mine, SIGNIN_WAITING), SIGNIN_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ways_to_sign_in_are_listed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sign_in_is_taken_once, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_stay_to_be_looked_at, setup, teardown),
		cmocka_unit_test_setup_teardown(two_browsers_do_not_mix, setup, teardown),
		cmocka_unit_test_setup_teardown(ways_that_do_not_exist_say_so, setup, teardown),
		cmocka_unit_test_setup_teardown(a_proxy_needs_no_second_look, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hypha_sign_in_shows_its_page, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_pushes_out_the_others, setup, teardown),
		cmocka_unit_test_setup_teardown(the_oldest_goes_when_there_are_too_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, start_all, stop_all);
}
