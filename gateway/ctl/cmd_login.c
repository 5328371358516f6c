/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/login.h"
#include "gateway/ctl/rest.h"

/* `terrarium login`, `logout`, `whoami`: by code, for this program has no browser. */

#define LOOK_EVERY_S	2
#define SIGN_IN_FOR_S	600 /* the gateway forgets a sign-in after this */
#define WAIT_FOR_CODE_S 30  /* an identity service that has not given a code by then is down */

struct options {
	const char *server, *provider, *ca_file, *socket;
	bool json, force;
};

static const char *text(const json_t *json, const char *member)
{
	const char *value = json_string_value(json_object_get(json, member));

	return value ? value : "";
}

/* Terminals obey what they are shown: only printable ASCII of what a server says. */
static void say(const char *label, const char *value)
{
	fputs(label, stderr);
	for (; *value; value++)
		fputc(*value > 0x20 && *value < 0x7f ? *value : '?', stderr);
	fputc('\n', stderr);
}

/* The one way in that works by code, or the one that was named. */
static int choose(const json_t *ways, const char *wanted, char out[64], struct err *e)
{
	char names[256] = "";
	const json_t *way;
	size_t i, n = 0;

	json_array_foreach (ways, i, way) {
		const char *name = text(way, "name");

		if (!json_is_true(json_object_get(way, "device")) || (wanted && strcmp(name, wanted) != 0))
			continue;
		n++;
		(void)snprintf(out, 64, "%s", name);
		(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			       names[0] ? ", " : "", name);
	}
	if (n == 1)
		return 0;
	if (n == 0)
		return err_set(e, -ENOENT,
			       wanted ? "that server has no way to sign in by code called %s" :
					"that server has no way to sign in by code%s",
			       wanted ? wanted : "");
	return err_set(e, -EINVAL, "several ways to sign in: choose one with --provider: %s", names);
}

static int find_provider(const struct login *l, const char *wanted, char out[64], struct err *e)
{
	json_t *session = NULL, *problem = NULL;
	struct rest_request req = {
		.login = l, .method = "GET", .path = "/api/v1/session", .problem = &problem
	};
	struct err why = { 0 };
	int r = rest_call(&req, &session, &why);

	/* Nobody is signed in yet, and the refusal tells the ways in. */
	if (json_object_get(problem, "sign_in"))
		r = choose(json_object_get(problem, "sign_in"), wanted, out, e);
	else
		r = err_set(e, r < 0 ? r : -EPROTO, "%s: %s", l->server,
			    r < 0 ? why.msg : "this is no Terrarium");
	json_decref(session);
	json_decref(problem);
	return r;
}

static int post(const struct login *l, const char *path, json_t *body, json_t **answer, struct err *e)
{
	struct rest_request req = { .login = l, .method = "POST", .path = path, .body = body };
	int r = rest_call(&req, answer, e);

	json_decref(body);
	return r < 0 ? r : *answer ? 0 : err_set(e, -EPROTO, "the server's answer is empty");
}

static void show_code(const json_t *device)
{
	const char *whole = text(device, "verification_uri_complete");

	say("Open this page in a browser:  ", whole[0] ? whole : text(device, "verification_uri"));
	say("and confirm this code there:  ", text(device, "user_code"));
}

/* Look until there is a token. */
static int wait_for_token(const struct login *l, const char *secret, json_t **answer, struct err *e)
{
	time_t begun = time(NULL);
	bool shown = false;

	for (;;) {
		int r = post(l, "/api/v1/signin/look", json_pack("{s:s}", "secret", secret), answer, e);

		if (r < 0)
			return r;
		if (text(*answer, "token")[0])
			return 0;
		if (!shown && strcmp(text(*answer, "state"), "code") == 0) {
			show_code(json_object_get(*answer, "device"));
			shown = true;
		}
		json_decref(*answer);
		*answer = NULL;
		if (time(NULL) - begun > (shown ? SIGN_IN_FOR_S : WAIT_FOR_CODE_S))
			return err_set(e, -ETIMEDOUT,
				       shown ? "nobody confirmed the code in time" :
					       "the identity service gives no code");
		(void)nanosleep(&(struct timespec){ .tv_sec = shown ? LOOK_EVERY_S : 0,
						    .tv_nsec = shown ? 0 : 200000000 },
				NULL);
	}
}

static int sign_in(struct login *l, const char *provider, struct err *e)
{
	json_t *begun = NULL, *answer = NULL;
	int r = post(l, "/api/v1/signin", json_pack("{s:s, s:b}", "provider", provider, "device", 1), &begun,
		     e);

	if (r == 0)
		r = wait_for_token(l, text(begun, "secret"), &answer, e);
	json_decref(begun);
	if (r < 0)
		return r;
	(void)snprintf(l->token, sizeof(l->token), "%s", text(answer, "token"));
	(void)snprintf(l->email, sizeof(l->email), "%s", text(answer, "email"));
	(void)snprintf(l->expires_at, sizeof(l->expires_at), "%s", text(answer, "expires_at"));
	json_decref(answer);
	return 0;
}

int cmd_login(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "server",
		  .text = &o.server,
		  .value = "URL",
		  .help = "where; the last one unless given" },
		{ .name = "provider",
		  .text = &o.provider,
		  .value = "P",
		  .help = "which of its identity services" },
		{ .name = "ca-file",
		  .text = &o.ca_file,
		  .value = "PEM",
		  .help = "certificate authorities to trust; the system's unless given" },
		{ .name = "json", .flag = &o.json, .help = "print JSON" },
		{ 0 },
	};
	struct login l = { 0 }, last;
	char provider[64];
	struct err e = { 0 };
	int r = ctl_options("login", table, argc, argv);

	if (r != CTL_GO)
		return r;
	if (login_read(&last, &e) == 0 && !o.server)
		l = last;
	l.token[0] = '\0';
	if (!o.server && !l.server[0])
		return ctl_usage("login", "--server is missing");
	if (o.server && login_server(o.server, l.server, &e) < 0)
		return ctl_refuse("login", o.json, &e);
	if (o.ca_file)
		(void)snprintf(l.ca_file, sizeof(l.ca_file), "%s", o.ca_file);
	r = find_provider(&l, o.provider, provider, &e);
	if (r == 0)
		r = sign_in(&l, provider, &e);
	if (r == 0)
		r = login_write(&l, &e);
	explicit_bzero(l.token, sizeof(l.token));
	explicit_bzero(&last, sizeof(last));
	if (r < 0)
		return ctl_refuse("login", o.json, &e);
	if (o.json)
		return ctl_print_json(json_pack("{s:s, s:s, s:s}", "email", l.email, "server", l.server,
						"expires_at", l.expires_at));
	return printf("%s at %s until %s\n", l.email, l.server, l.expires_at) > 0 ? CLI_OK : CLI_REFUSED;
}

int cmd_logout(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { { .name = "force",
					      .flag = &o.force,
					      .help = "forget the token even if the server cannot be asked" },
					    { .name = "json", .flag = &o.json, .help = "print JSON" },
					    { 0 } };
	struct login l;
	json_t *answer = NULL, *problem = NULL;
	struct rest_request req = {
		.login = &l, .method = "DELETE", .path = "/api/v1/session", .problem = &problem
	};
	struct err e = { 0 };
	int r = ctl_options("logout", table, argc, argv);

	if (r != CTL_GO)
		return r;
	r = login_read(&l, &e);
	if (r == -ENOENT)
		return o.json				  ? ctl_print_json(json_object()) :
			puts("nobody was logged in") >= 0 ? CLI_OK :
							    CLI_REFUSED;
	if (r == 0)
		r = rest_call(&req, &answer, &e);
	explicit_bzero(l.token, sizeof(l.token));
	/* A token that the server no longer knows is as good as taken back. */
	if (r < 0 && json_integer_value(json_object_get(problem, "status")) == 401)
		r = 0;
	json_decref(answer);
	json_decref(problem);
	if (r < 0 && !o.force) {
		err_prefix(&e, "the token is still there");
		return ctl_refuse("logout", o.json, &e);
	}
	if (login_forget(&e) < 0)
		return ctl_refuse("logout", o.json, &e);
	return o.json ? ctl_print_json(json_object()) : puts("logged out") >= 0 ? CLI_OK : CLI_REFUSED;
}

int cmd_whoami(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	struct rest_request req = { .method = "GET", .path = "/api/v1/session" };
	struct login l = { 0 };
	json_t *me = NULL;
	struct err e = { 0 };
	int r = ctl_options("whoami", table, argc, argv);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	if (rest_call(&req, &me, &e) < 0)
		return ctl_refuse("whoami", o.json, &e);
	if (!rest_by_socket(o.socket))
		(void)login_read(&l, NULL);
	(void)json_object_set_new(me, "server", json_string(l.server));
	explicit_bzero(l.token, sizeof(l.token));
	if (o.json)
		return ctl_print_json(me);
	r = printf("%s (%s)%s%s\n", text(me, "email"), text(me, "role"), l.server[0] ? " at " : "", l.server);
	json_decref(me);
	return r > 0 && fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

int cmd_token_rotate(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { CTL_COMMON_OPTIONS(o), { 0 } };
	struct rest_request req = { .method = "POST", .path = "/api/v1/tokens/rotate" };
	json_t *answer = NULL;
	struct err e = { 0 };
	int r = ctl_options("token rotate", table, argc, argv);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	if (rest_call(&req, &answer, &e) < 0)
		return ctl_refuse("token rotate", o.json, &e);
	json_decref(answer);
	if (o.json)
		return ctl_print_json(json_object());
	return puts("a new key signs from now on; tokens made before go on working") >= 0 ? CLI_OK :
											    CLI_REFUSED;
}
