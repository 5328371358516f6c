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
#include "base/err.h"
#include "base/httpc.h"
#include "tests/unit/idp.h"

#define START  "/public/services/hypha-login/start"
#define CHECK  "/public/services/hypha-login/check"
#define CONFIG "/assets/config.json"
#define FAR    "99999999999.0"

static struct loop loop;
static struct httpc *httpc;

static int start_all(void **state)
{
	(void)state;
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
	return 0;
}

/* One sign-in and what came of it. */
struct visit {
	struct hypha *h;
	bool done, shown;
	int calls;
	char page[2048];
	struct identity id;
	struct err e;
};

static void on_page(void *arg, const char *login_url)
{
	struct visit *v = arg;

	(void)snprintf(v->page, sizeof(v->page), "%s", login_url);
	v->shown = true;
}

static void on_done(void *arg, const struct identity *id, const struct err *e)
{
	struct visit *v = arg;

	if (id)
		v->id = *id;
	else
		v->e = *e;
	v->calls++;
	v->done = true;
}

static struct hypha_config config(void)
{
	struct hypha_config c = { .name = "hypha", .title = "Hypha", .login_timeout_ms = 20000 };

	(void)snprintf(c.server_url, sizeof(c.server_url), "%s/", idp.url);
	return c;
}

static void visit_init(struct visit *v)
{
	struct hypha_config c = config();

	memset(v, 0, sizeof(*v));
	assert_int_equal(hypha_create(&v->h, &loop, httpc, &c, NULL), 0);
}

static void visit_stop(struct visit *v)
{
	v->h = hypha_destroy(v->h);
	idp_forget(NULL);
}

/* A sign-in to its end. Return: true if somebody came out of it */
static bool visit(struct visit *v)
{
	v->done = v->shown = false;
	memset(&v->id, 0, sizeof(v->id));
	assert_non_null(hypha_begin(v->h, on_page, on_done, v, NULL));
	assert_true(loop_until(&loop, &v->done, 15000));
	return v->id.provider[0] != '\0';
}

/* The same for a token that somebody brought. */
static bool bring(struct visit *v, const char *token)
{
	v->done = false;
	memset(&v->id, 0, sizeof(v->id));
	assert_non_null(hypha_validate(v->h, token, on_done, v, NULL));
	assert_true(loop_until(&loop, &v->done, 15000));
	return v->id.provider[0] != '\0';
}

#define KEY	   "{\"login_url\":\"/public/apps/hypha-login/?key=K3Y\",\"key\":\"K3Y\",\"check_url\":\"https://elsewhere.example/check\"}"
#define USER(more) "{\"user\":{\"id\":\"u1\",\"roles\":[],\"is_anonymous\":false,\"email\":\"Alice@Example.org\",\"parent\":null," \
		   "\"expires_at\":" FAR ",\"scope\":{\"extra_scopes\":[]}" more "},\"hypha_version\":\"0.21\"}"

static void a_person_signs_in(void **state)
{
	struct visit v;
	const char *asked;

	(void)state;
	visit_init(&v);
	idp_says(START, IDP_BODY, 200, KEY);
	idp_says(CHECK, IDP_BODY, 200, "null");
	idp_says(CHECK, IDP_BODY, 200, "\"T0KEN\"");
	idp_says(CONFIG, IDP_BODY, 200, USER(""));
	assert_true(visit(&v));
	assert_true(v.shown);
	assert_string_equal(v.page + strlen(idp.url), "/public/apps/hypha-login/?key=K3Y");
	assert_string_equal(v.id.email, "alice@example.org");
	assert_string_equal(v.id.subject, "u1");
	assert_string_equal(v.id.issuer, idp.url); /* without the slash at the end */
	/* Polled for the token alone: what comes with "profile" is what the login page claimed. */
	asked = idp_asked(CHECK, 0);
	assert_non_null(strstr(asked, "{\"key\":\"K3Y\",\"timeout\":0}"));
	assert_null(strstr(asked, "profile"));
	assert_non_null(strstr(idp_asked(CONFIG, 0), "Authorization: Bearer T0KEN\r\n"));
	visit_stop(&v);
}

/* A 500 of the long poll means "not yet", and a server that stumbles is asked again; a 400 means that the key is gone. */
static void polling_goes_on_until_the_key_is_gone(void **state)
{
	struct visit v;

	(void)state;
	visit_init(&v);
	idp_says(START, IDP_BODY, 200, KEY);
	idp_says(CHECK, IDP_BODY, 500, "{\"success\":false,\"detail\":\"Login timeout, waited for 10 seconds\"}");
	idp_says(CHECK, IDP_BODY, 200, "\"T0KEN\"");
	idp_says(CONFIG, IDP_BODY, 200, USER(""));
	assert_true(visit(&v));
	idp_forget(CHECK);
	idp_says(CHECK, IDP_BODY, 400, "{\"success\":false,\"detail\":\"AssertionError: Invalid key\"}");
	assert_false(visit(&v));
	assert_non_null(strstr(v.e.msg, "used already"));
	visit_stop(&v);
}

static void a_sign_in_has_a_deadline(void **state)
{
	struct hypha_config c = config();
	struct visit v = { 0 };

	(void)state;
	c.login_timeout_ms = 1500;
	assert_int_equal(hypha_create(&v.h, &loop, httpc, &c, NULL), 0);
	idp_says(START, IDP_BODY, 200, KEY);
	idp_says(CHECK, IDP_BODY, 200, "null");
	assert_false(visit(&v));
	assert_non_null(strstr(v.e.msg, "in time"));
	visit_stop(&v);
}

/* The browser comes back: the login page honours "redirect". */
static void the_page_is_told_the_way_back(void **state)
{
	struct hypha_config c = config();
	struct visit v = { 0 };

	(void)state;
	(void)snprintf(c.return_url, sizeof(c.return_url), "https://term.example/#signin");
	assert_int_equal(hypha_create(&v.h, &loop, httpc, &c, NULL), 0);
	idp_says(START, IDP_BODY, 200, KEY);
	idp_says(CHECK, IDP_BODY, 400, "{}");
	assert_false(visit(&v));
	assert_string_equal(v.page + strlen(idp.url), "/public/apps/hypha-login/?key=K3Y&redirect=https%3A%2F%2Fterm.example%2F%23signin");
	visit_stop(&v);
}

static void only_the_servers_own_page_is_shown(void **state)
{
	static const char *const rows[] = {
		"", "{}", "null", "\"x\"", "{\"login_url\":\"/l\"}", "{\"key\":\"K\"}", "{\"login_url\":\"/l\",\"key\":\"\"}",
		"{\"login_url\":\"https://evil.example/?key=K\",\"key\":\"K\"}", "{\"login_url\":\"//evil.example/\",\"key\":\"K\"}",
		"{\"login_url\":\"javascript:alert(1)\",\"key\":\"K\"}", "{\"login_url\":\"/l\\r\\nX: y\",\"key\":\"K\"}",
		"{\"login_url\":\"/l\",\"key\":[\"K\"]}",
	};
	struct visit v;
	char text[256];

	(void)state;
	visit_init(&v);
	for (size_t i = 0; i <= sizeof(rows) / sizeof(rows[0]); i++) {
		/* The last: a host whose name begins like ours. */
		(void)snprintf(text, sizeof(text), "{\"login_url\":\"%s.evil.example/\",\"key\":\"K\"}", idp.url);
		idp_forget(START);
		idp_says(START, IDP_BODY, 200, i < sizeof(rows) / sizeof(rows[0]) ? rows[i] : text);
		assert_false(visit(&v));
		if (v.shown)
			fail_msg("row %zu was shown: %s", i, v.page);
		assert_non_null(strstr(v.e.msg, "does not start"));
	}
	assert_null(idp_asked(CHECK, 0));
	visit_stop(&v);
}

static void servers_that_misbehave_refuse(void **state)
{
	static const struct {
		const char *path;
		enum idp_way way;
		int status;
		const char *body;
	} rows[] = {
		{ START, IDP_BODY, 500, "{}" },	      { START, IDP_FLOOD, 200, "" },	 { START, IDP_NONSENSE, 200, "" },
		{ START, IDP_REDIRECT, 302, "/good" }, { START, IDP_HANG_UP, 0, "" },	 { CONFIG, IDP_BODY, 401, "{}" },
		{ CONFIG, IDP_BODY, 500, "Internal Server Error" } /* revoked */,	 { CONFIG, IDP_BODY, 200, "<html>" },
		{ CONFIG, IDP_FLOOD, 200, "" },	      { CONFIG, IDP_NONSENSE, 200, "" }, { CONFIG, IDP_REDIRECT, 302, "/good" },
		{ CONFIG, IDP_BODY, 204, "" },	      { CHECK, IDP_BODY, 200, "\"with space\"" },
		{ CHECK, IDP_BODY, 200, "\"\"" },     { CHECK, IDP_BODY, 200, "\"x\\r\\nHost: y\"" },
	};
	struct visit v;

	(void)state;
	visit_init(&v);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		idp_forget(NULL);
		idp_says("/good", IDP_BODY, 200, USER(""));
		if (strcmp(rows[i].path, START) != 0)
			idp_says(START, IDP_BODY, 200, KEY);
		if (strcmp(rows[i].path, CHECK) != 0)
			idp_says(CHECK, IDP_BODY, 200, "\"T0KEN\"");
		if (strcmp(rows[i].path, CONFIG) != 0)
			idp_says(CONFIG, IDP_BODY, 200, USER(""));
		idp_says(rows[i].path, rows[i].way, rows[i].status, rows[i].body);
		/* Validation alone needs no polling. */
		if (strcmp(rows[i].path, CONFIG) == 0 ? bring(&v, "T0KEN") : visit(&v))
			fail_msg("row %zu was accepted", i);
		assert_true(v.e.msg[0] != '\0');
		assert_null(strstr(v.e.msg, "T0KEN"));
		assert_null(strstr(v.e.msg, "K3Y"));
		assert_null(idp_asked("/good", 0));
	}
	visit_stop(&v);
}

static void tokens_can_be_brought(void **state)
{
	struct visit v;
	struct err e = { 0 };

	(void)state;
	visit_init(&v);
	idp_says(CONFIG, IDP_BODY, 200, USER(""));
	assert_true(bring(&v, "eyJ.x.y"));
	assert_string_equal(v.id.email, "alice@example.org");
	assert_null(hypha_validate(v.h, "x\r\nHost: y", on_done, &v, &e));
	assert_int_equal(e.code, -EACCES);
	assert_null(hypha_validate(v.h, "", on_done, &v, &e));
	visit_stop(&v);
}

static void cancelled_calls_stay_silent(void **state)
{
	struct visit v;

	(void)state;
	visit_init(&v);
	idp_says(START, IDP_BODY, 200, KEY);
	idp_says(CHECK, IDP_BODY, 200, "null");
	hypha_cancel(hypha_begin(v.h, on_page, on_done, &v, NULL));
	assert_non_null(hypha_begin(v.h, on_page, on_done, &v, NULL));
	assert_true(loop_until(&loop, &v.shown, 5000));
	visit_stop(&v); /* while it polls */
	loop_for(&loop, 50);
	assert_int_equal(v.calls, 0);
}

/* --- the answer that decides ------------------------------------------------------------------------------------------ */

static int read_user(const char *text, bool child_tokens, struct identity *id, struct err *e)
{
	struct hypha_config c = { .name = "hypha", .server_url = "https://hypha.example", .allow_child_tokens = child_tokens };

	return hypha_identity(&c, text, strlen(text), 1795000000, id, e);
}

#define PERSON "\"id\":\"u1\",\"email\":\"a@example.org\",\"is_anonymous\":false,\"expires_at\":1795000001"

static void users_are_read_strictly(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "who the token belongs to" },
		{ "[]", "who the token belongs to" },
		{ "{\"user\":\"u1\"}", "who the token belongs to" },
		{ "{\"user\":{\"id\":\"anonymouz-x\",\"is_anonymous\":true,\"email\":null,\"expires_at\":" FAR "}}", "anonymous" },
		{ "{\"user\":{\"id\":\"u1\",\"email\":\"a@example.org\",\"expires_at\":" FAR "}}", "anonymous" },
		{ "{\"user\":{\"id\":\"u1\",\"email\":\"a@example.org\",\"is_anonymous\":0,\"expires_at\":" FAR "}}", "anonymous" },
		{ "{\"user\":{\"id\":\"u1\",\"email\":\"a@example.org\",\"is_anonymous\":false}}", "expired" },
		{ "{\"user\":{\"id\":\"u1\",\"email\":\"a@example.org\",\"is_anonymous\":false,\"expires_at\":1795000000}}", "expired" },
		{ "{\"user\":{\"id\":\"u1\",\"email\":\"a@example.org\",\"is_anonymous\":false,\"expires_at\":\"" FAR "\"}}", "expired" },
		{ "{\"user\":{\"id\":\"u1\",\"email\":null,\"is_anonymous\":false,\"expires_at\":" FAR "}}", "no e-mail" },
		{ "{\"user\":{\"id\":\"u1\",\"email\":[\"a@example.org\"],\"is_anonymous\":false,\"expires_at\":" FAR "}}", "no e-mail" },
		{ "{\"user\":{\"email\":\"a@example.org\",\"is_anonymous\":false,\"expires_at\":" FAR "}}", "no subject" },
		{ "{\"user\":{\"id\":\"u1\",\"email\":\"a@b@example.org\",\"is_anonymous\":false,\"expires_at\":" FAR "}}", "" },
		{ "{\"user\":{\"id\":\"u1\",\"email\":\"a@example.org\",\"email\":\"b@example.org\",\"is_anonymous\":false,\"expires_at\":" FAR "}}", "belongs" },
		{ "{\"user\":{" PERSON ",\"parent\":\"u0\"}}", "parent" },
		{ "{\"user\":{" PERSON ",\"parent\":{}}}", "parent" },
		{ "{\"user\":{" PERSON ",\"scope\":{\"extra_scopes\":[\"download\"]}}}", "extra scopes" },
		/* Shapes that no server sends today: what is not understood is not let in. */
		{ "{\"user\":{" PERSON ",\"scope\":{\"extra_scopes\":\"download\"}}}", "extra scopes" },
		{ "{\"user\":{" PERSON ",\"scope\":{\"extra_scopes\":{\"download\":1}}}}", "extra scopes" },
		{ "{\"user\":{" PERSON ",\"scope\":\"ws:a#a download\"}}", "extra scopes" },
	};
	struct identity id;

	(void)state;
	assert_int_equal(read_user("{\"user\":{" PERSON "}}", false, &id, NULL), 0);
	assert_int_equal(read_user("{\"user\":{" PERSON ",\"parent\":null,\"scope\":{\"extra_scopes\":[]}}}", false, &id, NULL), 0);
	assert_int_equal(read_user("{\"user\":{" PERSON ",\"scope\":null}}", false, &id, NULL), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = { 0 };

		if (read_user(rows[i].text, false, &id, &e) != -EACCES || !strstr(e.msg, rows[i].says) || !e.msg[0])
			fail_msg("row %zu: %s", i, e.msg);
	}
}

static void child_tokens_only_if_allowed(void **state)
{
	static const char child[] = "{\"user\":{" PERSON ",\"parent\":\"u0\",\"scope\":{\"extra_scopes\":[\"x\"]}}}";
	struct identity id;

	(void)state;
	assert_int_equal(read_user(child, false, &id, NULL), -EACCES);
	assert_int_equal(read_user(child, true, &id, NULL), 0);
	assert_int_equal(read_user("{\"user\":{" PERSON ",\"parent\":\"u0\",\"is_anonymous\":true}}", true, &id, NULL), -EACCES);
}

static void servers_must_be_safe_to_ask(void **state)
{
	static const char *const rows[] = { "http://hypha.example", "http://127.0.0.1.example.org", "http://localhost:1@example.org", "https:///x", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hypha_config c = { .name = "hypha" };
		struct hypha *h = NULL;

		(void)snprintf(c.server_url, sizeof(c.server_url), "%s", rows[i]);
		assert_int_equal(hypha_create(&h, &loop, httpc, &c, NULL), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_person_signs_in),
		cmocka_unit_test(polling_goes_on_until_the_key_is_gone),
		cmocka_unit_test(a_sign_in_has_a_deadline),
		cmocka_unit_test(the_page_is_told_the_way_back),
		cmocka_unit_test(only_the_servers_own_page_is_shown),
		cmocka_unit_test(servers_that_misbehave_refuse),
		cmocka_unit_test(tokens_can_be_brought),
		cmocka_unit_test(cancelled_calls_stay_silent),
		cmocka_unit_test(users_are_read_strictly),
		cmocka_unit_test(child_tokens_only_if_allowed),
		cmocka_unit_test(servers_must_be_safe_to_ask),
	};

	return cmocka_run_group_tests(tests, start_all, stop_all);
}
