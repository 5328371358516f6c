/* SPDX-License-Identifier: Apache-2.0 */
/* The interface of docs/protocol.md, request by request, over a store on disk and machines that go where the test says. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/access.h"
#include "auth/audit.h"
#include "auth/demo.h"
#include "auth/rulebook.h"
#include "auth/session.h"
#include "auth/signin.h"
#include "auth/store.h"
#include "auth/token.h"
#include "base/fd.h"
#include "base/loop.h"
#include "gateway/api.h"
#include "gateway/assets.h"
#include "gateway/attach.h"
#include "gateway/machine.h"
#include "gateway/metrics.h"
#include "gateway/peer.h"
#include "gateway/settings.h"
#include "gateway/ticket.h"
#include "tests/unit/fake_hv.h"
#include "tests/unit/fake_recorder.h"

static const uint8_t script[] = "export", script_br[] = "BR", script_gz[] = "GZIP", page[] = "<meta content=\"{{style-nonce}}\">{{style-nonce}}";

const struct asset assets[] = {
	{ .path = "/", .type = "text/html; charset=utf-8", .etag = "\"p\"", .nonce = true, .identity = { page, sizeof(page) - 1 } },
	{ .path = "/assets/app-1.js", .type = "text/javascript; charset=utf-8", .etag = "\"s\"", .immutable = true,
	  .identity = { script, 6 }, .gzip = { script_gz, 4 }, .br = { script_br, 2 } },
	{ .path = "/favicon.svg", .type = "image/svg+xml", .etag = "\"f\"", .identity = { script, 6 } },
};
const size_t assets_count = 3;

static struct settings settings;
static struct metrics metrics;
static struct loop loop;
static struct api api;
static struct recorder recorder;
static struct http_app app;
static char dir[64], cookie[SESSION_COOKIE_BYTES], bearer[TOKEN_TEXT_BYTES + 8];
static uint16_t revoked;
static int64_t clock_s = 1800000000;
static uint64_t clock_ms = 1000;

void attach_hub_revoke(struct attach_hub *hub, const uint8_t hash[SESSION_HASH_BYTES], uint16_t code, const char *reason)
{
	(void)hub;
	(void)hash;
	(void)reason;
	revoked = code;
}

void attach_hub_metrics(const struct attach_hub *hub, struct buf *out)
{
	(void)hub;
	(void)buf_printf(out, "terrarium_attachments 0\n");
}

void attach_hub_each(const struct attach_hub *hub, void (*fn)(void *arg, const struct attach_view *v), void *arg)
{
	(void)hub;
	(void)fn;
	(void)arg;
}

size_t attach_hub_check(struct attach_hub *hub, bool (*may)(void *arg, const struct attach_claim *claim), void *arg)
{
	(void)hub;
	(void)may;
	(void)arg;
	return 0;
}

void attach_hub_guard(struct attach_hub *hub, bool (*fn)(void *arg, const struct attach_claim *claim), void *arg)
{
	(void)hub;
	(void)fn;
	(void)arg;
}

bool attach_hub_allows(const struct attach_hub *hub, const struct attach_claim *claim)
{
	(void)hub;
	(void)claim;
	return true;
}

void attach_hub_end_share(struct attach_hub *hub, int64_t share, const char *reason)
{
	(void)hub;
	(void)share;
	(void)reason;
}

void attach_hub_send_away(struct attach_hub *hub, int64_t share, const char *email, const char *reason)
{
	(void)hub;
	(void)share;
	(void)email;
	(void)reason;
}

void attach_hub_set_share_role(struct attach_hub *hub, int64_t share, enum stream_role role)
{
	(void)hub;
	(void)share;
	(void)role;
}

static int64_t now_s(void)
{
	return clock_s;
}

static uint64_t now_ms(void)
{
	return clock_ms;
}

static void nothing_to_do(void *arg)
{
	(void)arg;
}

/* As in the demo: everybody with a link is let in, and the list only adds to that. */
static void open_access(void)
{
	struct access_config c = { .store = api.store, .demo_people = "ann@x.org,bob@x.org,eve@x.org", .defaults = { .machines = 1, .cpus = 8, .memory_bytes = 16ULL << 30 } };

	assert_int_equal(audit_open(&api.audit, store_db(api.store), NULL), 0);
	assert_int_equal(rulebook_open(&api.book, store_db(api.store), api.audit, nothing_to_do, NULL, NULL), 0);
	c.book = api.book;
	c.audit = api.audit;
	api.access = access_create(&c);
	api.signins = signins_create(&loop);
	assert_non_null(api.access);
	assert_non_null(api.signins);
}

static int setup(void **state)
{
	const struct machines_config c = { 0 };
	char path[96];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_api.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	cookie[0] = bearer[0] = '\0';
	fake_start_result = 0;
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(settings_presets(&settings, NULL), 0);
	(void)snprintf(settings.demo_people, sizeof(settings.demo_people), "ann@x.org,bob@x.org");
	assert_int_equal(settings_resolve(&settings, NULL), 0);
	api = (struct api){ .settings = &settings, .metrics = &metrics, .now_s = now_s, .now_ms = now_ms };
	assert_int_equal(store_open(&api.store, path, NULL), 0);
	open_access();
	assert_int_equal(demo_create(&api.demo, settings.demo_people, dir, settings_base_url(&settings), NULL), 0);
	assert_int_equal(machines_create(&api.machines, &loop, api.store, NULL, &c, NULL), 0);
	recorder = (struct recorder){ .mode = RECORD_ALLOWED, .db = store_db(api.store) };
	api.recorder = &recorder;
	api.tickets = tickets_create();
	api.sign_in_limit = peer_limit_create(3, 1000);
	api_app(&app, &api);
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "db", "db-wal", "db-shm", "demo-links" };

	(void)state;
	api.machines = machines_destroy(api.machines);
	api.tickets = tickets_destroy(api.tickets);
	api.sign_in_limit = peer_limit_destroy(api.sign_in_limit);
	api.demo = demo_destroy(api.demo);
	api.signins = signins_destroy(api.signins);
	api.access = access_destroy(api.access);
	api.book = rulebook_close(api.book);
	api.audit = audit_close(api.audit);
	api.account_limits[ACCOUNT_TOKEN] = peer_limit_destroy(api.account_limits[ACCOUNT_TOKEN]);
	api.store = store_close(api.store);
	loop_finish(&loop);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[96];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

static bool by_control;

/* One request and its answer; @resp must be finished by the caller. */
static void ask_into(struct http_response *resp, enum http_method m, const char *path, const char *body, const char *key)
{
	struct http_request q = { .method = m, .version = "HTTP/1.1", .path = path, .query = "", .host = "localhost:7681",
				  .origin = "http://localhost:7681", .marker = "1", .content_type = "application/json",
				  .cookie = cookie[0] ? cookie : NULL, .idempotency_key = key, .peer = { .loopback = true, .control = by_control },
				  .accept_encoding = "gzip, br", .authorization = bearer[0] ? bearer : NULL };
	char plain[128], length[24];
	const char *query = strchr(path, '?');

	if (query) {
		(void)snprintf(plain, sizeof(plain), "%.*s", (int)(query - path), path);
		q.path = plain;
		q.query = query + 1;
	}
	if (http_has_body(m)) {
		q.body = body ? body : "";
		q.body_len = strlen(q.body);
		(void)snprintf(length, sizeof(length), "%zu", q.body_len);
		q.content_length = length;
	}
	http_response_init(resp);
	if (http_gate(&app, &q, resp) == 0)
		http_answer(&app, &q, resp);
}

/* The same; the answer's JSON, or NULL, goes to @out (may be NULL). Return: the status. */
static int ask(enum http_method m, const char *path, const char *body, json_t **out)
{
	struct http_response resp;
	int status;

	ask_into(&resp, m, path, body, NULL);
	status = resp.status;
	if (out)
		*out = resp.body.len > 0 ? json_loadb(resp.body.data, resp.body.len, 0, NULL) : NULL;
	http_response_finish(&resp);
	return status;
}

static const char *text(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));

	return s ? s : "";
}

static void link_of(const char *email, char body[256])
{
	char file[4096], path[96], *at;

	(void)snprintf(path, sizeof(path), "%s/demo-links", dir);
	assert_true(fd_read_file(AT_FDCWD, path, file, sizeof(file)) > 0);
	at = strstr(strstr(file, email), "#demo=");
	(void)snprintf(body, 256, "{\"provider\":\"demo\",\"token\":\"%.64s\"}", at + 6);
}

static void sign_in(const char *email)
{
	struct http_response resp;
	char body[256], *set;

	link_of(email, body);
	ask_into(&resp, HTTP_POST, "/api/v1/session", body, NULL);
	assert_int_equal(resp.status, 201);
	set = strstr(resp.head.data, "Set-Cookie: ");
	assert_non_null(set);
	(void)snprintf(cookie, sizeof(cookie), "%.*s", (int)strcspn(set + 12, ";"), set + 12);
	http_response_finish(&resp);
}

/* It is administrator, and nobody: no machine can be its own, and it has no session to end. */
static void the_control_socket_is_nobody(void **state)
{
	(void)state;
	by_control = true;
	revoked = 0;
	assert_int_equal(ask(HTTP_GET, "/api/v1/vms", NULL, NULL), 200);
	assert_int_equal(ask(HTTP_POST, "/api/v1/vms", "{}", NULL), 403);
	assert_int_equal(ask(HTTP_POST, "/api/v1/tokens", "{\"name\":\"x\",\"scopes\":[\"vm\"]}", NULL), 403);
	assert_int_equal(ask(HTTP_DELETE, "/api/v1/session", NULL, NULL), 403);
	assert_int_equal(revoked, 0);
	by_control = false;
}

static void sign_in_and_out(void **state)
{
	json_t *j = NULL;
	char body[256];

	(void)state;
	assert_int_equal(ask(HTTP_GET, "/api/v1/session", NULL, &j), 401);
	assert_string_equal(text(j, "code"), "login_needed");
	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "providers"), 0)), "demo");
	json_decref(j);
	link_of("ann@x.org", body);
	sign_in("ann@x.org");
	assert_int_equal(ask(HTTP_POST, "/api/v1/session", body, NULL), 403);
	assert_int_equal(ask(HTTP_GET, "/api/v1/session", NULL, &j), 200);
	assert_string_equal(text(j, "email"), "ann@x.org");
	assert_string_equal(text(j, "name"), "ann");
	assert_string_equal(text(j, "expires_at"), "2027-01-22T08:00:00Z");
	json_decref(j);
	clock_s += 7 * 86400;
	assert_int_equal(ask(HTTP_GET, "/api/v1/session", NULL, NULL), 401);
	clock_s -= 7 * 86400;
	revoked = 0;
	assert_int_equal(ask(HTTP_DELETE, "/api/v1/session", NULL, NULL), 204);
	assert_int_equal(revoked, 4401);
	assert_int_equal(ask(HTTP_GET, "/api/v1/session", NULL, NULL), 401);
}

static void bad_sign_ins(void **state)
{
	static const char *const bodies[] = { "", "{}", "{\"provider\":\"demo\"}", "{\"provider\":7,\"token\":\"x\"}",
					      "{\"provider\":\"demo\",\"token\":[]}", "{\"provider\":\"other\",\"token\":\"x\"}" };
	struct http_response resp;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		assert_int_equal(ask(HTTP_POST, "/api/v1/session", bodies[i], NULL), 400);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(HTTP_POST, "/api/v1/session", "{\"provider\":\"demo\",\"token\":\"x\"}", NULL), 403);
	ask_into(&resp, HTTP_POST, "/api/v1/session", "{\"provider\":\"demo\",\"token\":\"x\"}", NULL);
	assert_int_equal(resp.status, 429);
	assert_non_null(strstr(resp.head.data, "Retry-After: 1\r\n"));
	http_response_finish(&resp);
	clock_ms += 5000;
	sign_in("ann@x.org");
}

static void machines_need_a_session(void **state)
{
	static const struct {
		enum http_method m;
		const char *path;
	} rows[] = {
		{ HTTP_GET, "/api/v1/vms" },	  { HTTP_POST, "/api/v1/vms" },		{ HTTP_GET, "/api/v1/vms/x" },
		{ HTTP_DELETE, "/api/v1/vms/x" }, { HTTP_POST, "/api/v1/vms/x/start" }, { HTTP_POST, "/api/v1/vms/x/stop" },
		{ HTTP_POST, "/api/v1/vms/x/restart" }, { HTTP_GET, "/api/v1/vms/x/streams" }, { HTTP_POST, "/api/v1/streams/x/tickets" },
		{ HTTP_GET, "/api/v1/host" }, { HTTP_GET, "/api/v1/images" }, { HTTP_GET, "/api/v1/settings" },	{ HTTP_PUT, "/api/v1/settings" },
		{ HTTP_DELETE, "/api/v1/session" }, { HTTP_POST, "/api/v1/vms/x/pause" }, { HTTP_POST, "/api/v1/vms/x/resume" },
		{ HTTP_PATCH, "/api/v1/vms/x" }, { HTTP_GET, "/api/v1/vms/x/bootlog" }, { HTTP_GET, "/api/v1/vms/x/secrets" },
		{ HTTP_DELETE, "/api/v1/vms/x/secrets/key" }, { HTTP_GET, "/api/v1/vms/x/setup" }, { HTTP_POST, "/api/v1/vms/x/setup" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (ask(rows[i].m, rows[i].path, "{}", NULL) != 401)
			fail_msg("%s", rows[i].path);
	sign_in("ann@x.org");
	for (size_t i = 2; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((i < 9 || i > 13) && ask(rows[i].m, rows[i].path, "{}", NULL) != 404)
			fail_msg("%s", rows[i].path);
}

static void a_machine_is_held_and_changes_its_size(void **state)
{
	char path[96];
	json_t *j = NULL;

	(void)state;
	sign_in("ann@x.org");
	assert_int_equal(ask(HTTP_POST, "/api/v1/vms", "{\"driver\":\"nobody\"}", NULL), 400);
	assert_int_equal(ask(HTTP_POST, "/api/v1/vms", "{\"driver\":\"qemu\"}", &j), 201);
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s", json_string_value(json_object_get(j, "id")));
	json_decref(j);
	fake_state(fake->first, HV_READY, "");
	assert_int_equal(ask(HTTP_PATCH, path, "{}", NULL), 400);
	assert_int_equal(ask(HTTP_PATCH, path, "{\"cpus\":2,\"name\":\"x\"}", NULL), 400);
	assert_int_equal(ask(HTTP_PATCH, path, "{\"cpus\":9}", NULL), 400);
	assert_int_equal(ask(HTTP_PATCH, path, "{\"memory\":1048577}", NULL), 400);
	assert_int_equal(ask(HTTP_PATCH, path, "{\"cpus\":2}", &j), 202);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "resize"), "state")), "under_way");
	json_decref(j);
	fake_resize_result = -EBUSY;
	assert_int_equal(ask(HTTP_PATCH, path, "{\"cpus\":2}", NULL), 409);
	fake_resize_result = 0;
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s/pause", machine_id(hv_vm_owner(fake->first)));
	assert_int_equal(ask(HTTP_POST, path, "{}", &j), 202);
	assert_string_equal(json_string_value(json_object_get(j, "state")), "paused");
	json_decref(j);
	assert_int_equal(ask(HTTP_POST, path, "{}", NULL), 409);
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s/resume", machine_id(hv_vm_owner(fake->first)));
	assert_int_equal(ask(HTTP_POST, path, "{}", NULL), 202);
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s/bootlog", machine_id(hv_vm_owner(fake->first)));
	assert_int_equal(ask(HTTP_GET, path, NULL, NULL), 200);
}

/* How somebody likes the page: kept for that person, as it came, within bounds. */
static void settings_follow_the_person(void **state)
{
	char large[17000];
	json_t *j = NULL;

	(void)state;
	sign_in("ann@x.org");
	assert_int_equal(ask(HTTP_GET, "/api/v1/settings", NULL, &j), 200);
	assert_int_equal(json_object_size(j), 0);
	json_decref(j);
	assert_int_equal(ask(HTTP_PUT, "/api/v1/settings", "{\"theme\":\"dark\",\"font\":\"\xc3\xbc\"}", NULL), 200);
	assert_int_equal(ask(HTTP_PUT, "/api/v1/settings", "[1]", NULL), 400);
	(void)snprintf(large, sizeof(large), "{\"x\":\"%*s\"}", 16380, "");
	assert_int_equal(ask(HTTP_PUT, "/api/v1/settings", large, NULL), 413);
	sign_in("bob@x.org");
	assert_int_equal(ask(HTTP_GET, "/api/v1/settings", NULL, &j), 200);
	assert_int_equal(json_object_size(j), 0);
	json_decref(j);
	sign_in("ann@x.org");
	assert_int_equal(ask(HTTP_GET, "/api/v1/settings", NULL, &j), 200);
	assert_string_equal(text(j, "theme"), "dark");
	assert_string_equal(text(j, "font"), "\xc3\xbc");
	json_decref(j);
}

/* Make a machine; its id goes to @id. */
static void make(char id[MACHINE_ID_TEXT])
{
	json_t *j = NULL;

	assert_int_equal(ask(HTTP_POST, "/api/v1/vms", "{\"name\":\"moss\"}", &j), 201);
	(void)snprintf(id, MACHINE_ID_TEXT, "%s", text(j, "id"));
	assert_string_equal(text(j, "name"), "moss");
	assert_string_equal(text(j, "state"), "placing");
	json_decref(j);
}

static void a_machine_and_its_life(void **state)
{
	char id[MACHINE_ID_TEXT], path[128];
	json_t *j = NULL;

	(void)state;
	sign_in("ann@x.org");
	make(id);
	assert_int_equal(ask(HTTP_POST, "/api/v1/vms", "{}", &j), 409);
	assert_string_equal(text(j, "code"), "vm_exists");
	assert_string_equal(text(json_object_get(j, "vm"), "id"), id);
	json_decref(j);
	assert_int_equal(ask(HTTP_GET, "/api/v1/vms", NULL, &j), 200);
	assert_int_equal(json_array_size(json_object_get(j, "items")), 1);
	assert_true(json_is_null(json_object_get(j, "next")));
	json_decref(j);
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s/start", id);
	assert_int_equal(ask(HTTP_POST, path, "{}", &j), 409);
	assert_string_equal(text(j, "code"), "wrong_state");
	json_decref(j);
	fake_state(fake->first, HV_READY, "");
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s/restart", id);
	assert_int_equal(ask(HTTP_POST, path, "", NULL), 202);
	fake_state(fake->first, HV_READY, "");
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s/stop", id);
	assert_int_equal(ask(HTTP_POST, path, "{\"force\":1}", NULL), 400);
	assert_int_equal(ask(HTTP_POST, path, "{\"force\":true}", &j), 202);
	assert_string_equal(text(j, "state"), "stopping");
	assert_string_equal(text(j, "reason"), "killed");
	json_decref(j);
	fake->online = false;
	fake_state(fake->first, HV_STOPPED, "");
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s/start", id);
	assert_int_equal(ask(HTTP_POST, path, "", &j), 503);
	assert_string_equal(text(j, "code"), "helper_away");
	json_decref(j);
	fake->online = true;
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s", id);
	assert_int_equal(ask(HTTP_DELETE, path, NULL, NULL), 202);
	for (int i = 0; i < 4; i++)
		ev_run(loop.ev, EVRUN_NOWAIT);
	assert_int_equal(ask(HTTP_GET, path, NULL, NULL), 404);
}

/* What is said about streams where there is no agent; with one, story 38 does the talking. */
static void streams_without_an_agent(void **state)
{
	static const char *const bad[] = { "{\"kind\":\"console\"}", "{\"name\":\"\\u001b\"}", "{\"cwd\":\"here\"}", "{\"cols\":5000}", "{\"x\":1}", "{\"rows\":-1}" };
	char id[MACHINE_ID_TEXT], path[128], stream[128];
	json_t *j = NULL, *item;

	(void)state;
	sign_in("ann@x.org");
	make(id);
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s/streams", id);
	(void)snprintf(stream, sizeof(stream), "/api/v1/streams/%s.console", id);
	assert_int_equal(ask(HTTP_GET, path, NULL, &j), 200);
	item = json_array_get(json_object_get(j, "items"), 0);
	assert_string_equal(text(item, "kind"), "console");
	assert_string_equal(text(item, "vm"), id);
	json_decref(j);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ask(HTTP_POST, path, bad[i], NULL), 400);
	assert_int_equal(ask(HTTP_POST, path, "{\"kind\":\"shell\"}", &j), 409);
	assert_string_equal(text(j, "code"), "no_agent");
	json_decref(j);
	assert_int_equal(ask(HTTP_GET, stream, NULL, NULL), 200);
	assert_int_equal(ask(HTTP_PATCH, stream, "{\"name\":\"x\"}", &j), 409);
	assert_string_equal(text(j, "code"), "is_console");
	json_decref(j);
	assert_int_equal(ask(HTTP_DELETE, stream, NULL, NULL), 409);
	(void)snprintf(stream, sizeof(stream), "/api/v1/streams/%s.0123456789abcdef", id);
	assert_int_equal(ask(HTTP_GET, stream, NULL, NULL), 404);
	assert_int_equal(ask(HTTP_PATCH, stream, "{}", NULL), 404);
	sign_in("bob@x.org");
	assert_int_equal(ask(HTTP_GET, path, NULL, NULL), 404);
	assert_int_equal(ask(HTTP_POST, path, "{}", NULL), 404);
}

static void specs_and_keys_are_checked(void **state)
{
	struct http_response resp;
	char first[MACHINE_ID_TEXT], key[128];
	json_t *j;

	(void)state;
	sign_in("ann@x.org");
	assert_int_equal(ask(HTTP_POST, "/api/v1/vms", "{\"cpus\":\"one\"}", &j), 400);
	assert_string_equal(text(j, "code"), "bad_spec");
	assert_non_null(strstr(text(j, "detail"), "cpus"));
	json_decref(j);
	memset(key, 'k', sizeof(key));
	key[65] = '\0';
	for (int i = 0; i < 3; i++) {
		ask_into(&resp, HTTP_POST, "/api/v1/vms", "{}", i == 0 ? key : i == 1 ? "a b" : "");
		assert_int_equal(resp.status, 400);
		http_response_finish(&resp);
	}
	key[64] = '\0';
	for (int i = 0; i < 2; i++) {
		ask_into(&resp, HTTP_POST, "/api/v1/vms", "{}", key);
		assert_int_equal(resp.status, 201);
		j = json_loadb(resp.body.data, resp.body.len, 0, NULL);
		if (i == 0)
			(void)snprintf(first, sizeof(first), "%s", text(j, "id"));
		assert_string_equal(text(j, "id"), first);
		assert_non_null(strstr(resp.head.data, first));
		json_decref(j);
		http_response_finish(&resp);
	}
}

static void others_see_nothing(void **state)
{
	char id[MACHINE_ID_TEXT], path[128];

	(void)state;
	sign_in("ann@x.org");
	make(id);
	sign_in("bob@x.org");
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s", id);
	assert_int_equal(ask(HTTP_GET, path, NULL, NULL), 404);
	assert_int_equal(ask(HTTP_DELETE, path, NULL, NULL), 404);
	(void)snprintf(path, sizeof(path), "/api/v1/streams/%s.console/tickets", id);
	assert_int_equal(ask(HTTP_POST, path, "{}", NULL), 404);
	(void)snprintf(path, sizeof(path), "/api/v1/vms?cursor=%s", id);
	assert_int_equal(ask(HTTP_GET, path, NULL, NULL), 400);
}

static void tickets(void **state)
{
	char id[MACHINE_ID_TEXT], path[128];
	struct http_response resp;
	json_t *j = NULL;

	(void)state;
	sign_in("ann@x.org");
	make(id);
	(void)snprintf(path, sizeof(path), "/api/v1/vms/%s/streams", id);
	assert_int_equal(ask(HTTP_GET, path, NULL, &j), 200);
	(void)snprintf(path, sizeof(path), "/api/v1/streams/%s/tickets", text(json_array_get(json_object_get(j, "items"), 0), "id"));
	json_decref(j);
	assert_int_equal(ask(HTTP_POST, path, "{\"role\":\"boss\"}", NULL), 400);
	assert_int_equal(ask(HTTP_POST, path, "{\"role\":1}", NULL), 400);
	assert_int_equal(ask(HTTP_POST, path, "{\"role\":\"viewer\"}", &j), 201);
	assert_int_equal(strlen(text(j, "ticket")), TICKET_TEXT - 1);
	assert_int_equal(json_integer_value(json_object_get(j, "expires_in_ms")), TICKET_LIFE_MS);
	json_decref(j);
	for (int i = 1; i < TICKETS_PER_SESSION; i++)
		assert_int_equal(ask(HTTP_POST, path, "", NULL), 201);
	ask_into(&resp, HTTP_POST, path, "", NULL);
	assert_int_equal(resp.status, 429);
	assert_non_null(strstr(resp.head.data, "Retry-After"));
	http_response_finish(&resp);
}

#define RECORDING "/api/v1/recordings/0123456789abcdef0123456789abcdef"

/* Beginning, naming and dropping one's own; of others' not even that they are there. */
static void recordings(void **state)
{
	static const struct {
		int result, status;
	} outcomes[] = { { RECORD_E_OFF, 403 }, { RECORD_E_ON, 409 }, { RECORD_E_FULL, 403 }, { RECORD_E_REST, 409 }, { 0, 201 } };
	static const char *const names[] = { "{}", "{\"name\":\"\"}", "{\"name\":1}", "{\"name\":\"a\\nb\"}" };
	char id[MACHINE_ID_TEXT], path[128];
	json_t *j = NULL;

	(void)state;
	sign_in("ann@x.org");
	make(id);
	assert_int_equal(store_person_seen(api.store, "demo", "ann@x.org", "ann@x.org", clock_s, &recorder.owner, NULL), 0);
	(void)snprintf(path, sizeof(path), "/api/v1/streams/%s.console/recording", id);
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		recorder.result = outcomes[i].result;
		assert_int_equal(ask(HTTP_POST, path, "{}", NULL), outcomes[i].status);
	}
	assert_int_equal(ask(HTTP_GET, "/api/v1/recordings", NULL, &j), 200);
	assert_string_equal(text(json_array_get(json_object_get(j, "items"), 0), "state"), "recording");
	assert_string_equal(text(j, "mode"), "allowed");
	json_decref(j);
	assert_int_equal(ask(HTTP_GET, "/api/v1/recordings?cursor=x", NULL, NULL), 400);
	assert_int_equal(ask(HTTP_GET, "/api/v1/admin/recordings", NULL, NULL), 403);
	assert_int_equal(ask(HTTP_GET, RECORDING "/content", NULL, NULL), 200);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(ask(HTTP_PATCH, RECORDING, names[i], NULL), 400);
	assert_int_equal(ask(HTTP_PATCH, RECORDING, "{\"name\":\"fern\"}", &j), 200);
	assert_string_equal(text(j, "name"), "fern");
	json_decref(j);
	assert_int_equal(ask(HTTP_DELETE, path, NULL, NULL), 200);
	sign_in("bob@x.org");
	assert_int_equal(ask(HTTP_POST, path, "{}", NULL), 404);
	assert_int_equal(ask(HTTP_DELETE, path, NULL, NULL), 404);
	assert_int_equal(ask(HTTP_GET, RECORDING, NULL, NULL), 404);
	assert_int_equal(ask(HTTP_GET, RECORDING "/content", NULL, NULL), 404);
	assert_int_equal(ask(HTTP_PATCH, RECORDING, names[0], NULL), 404);
	assert_int_equal(ask(HTTP_DELETE, RECORDING, NULL, NULL), 404);
	by_control = true; /* an administrator */
	assert_int_equal(ask(HTTP_GET, "/api/v1/admin/recordings?owner=bob@x.org", NULL, &j), 200);
	assert_int_equal(json_array_size(json_object_get(j, "items")), 0);
	json_decref(j);
	assert_int_equal(ask(HTTP_GET, "/api/v1/admin/recordings?owner=ann@x.org", NULL, &j), 200);
	assert_string_equal(text(json_array_get(json_object_get(j, "items"), 0), "owner"), "ann@x.org");
	json_decref(j);
	recorder.mode = RECORD_ALWAYS;
	assert_int_equal(ask(HTTP_DELETE, "/api/v1/admin/recordings/0123456789abcdef0123456789abcdef", NULL, NULL), 204);
	by_control = false;
	assert_int_equal(recorder.deleted, 1);
}

/* Make a token by the session at hand; its text becomes @bearer. Return: its id. */
static json_int_t take_token(const char *body)
{
	json_t *j = NULL;
	json_int_t id;

	assert_int_equal(ask(HTTP_POST, "/api/v1/tokens", body, &j), 201);
	(void)snprintf(bearer, sizeof(bearer), "Bearer %s", text(j, "token"));
	id = json_integer_value(json_object_get(j, "id"));
	json_decref(j);
	return id;
}

static void a_token_does_what_it_is_for(void **state)
{
	char path[64], kept[TOKEN_TEXT_BYTES + 8], vm[MACHINE_ID_TEXT];
	json_int_t id;
	json_t *j = NULL;

	(void)state;
	sign_in("ann@x.org");
	id = take_token("{\"name\":\"ci\",\"scopes\":[\"vm\"]}");
	memcpy(kept, bearer, sizeof(kept));
	assert_int_equal(ask(HTTP_GET, "/api/v1/session", NULL, &j), 200);
	assert_string_equal(text(j, "email"), "ann@x.org");
	json_decref(j);
	make(vm);
	/* Neither more tokens nor other people's lists. */
	assert_int_equal(ask(HTTP_POST, "/api/v1/tokens", "{\"name\":\"more\",\"scopes\":[\"vm\"]}", &j), 403);
	assert_string_equal(text(j, "code"), "wrong_scope");
	json_decref(j);
	assert_int_equal(ask(HTTP_GET, "/api/v1/audit", NULL, &j), 403);
	assert_string_equal(text(j, "code"), "wrong_scope");
	json_decref(j);
	bearer[0] = '\0';
	assert_int_equal(ask(HTTP_GET, "/api/v1/tokens", NULL, &j), 200);
	assert_string_equal(text(json_array_get(json_object_get(j, "items"), 0), "name"), "ci");
	assert_null(json_object_get(json_array_get(json_object_get(j, "items"), 0), "token"));
	json_decref(j);
	revoked = 0;
	(void)snprintf(path, sizeof(path), "/api/v1/tokens/%lld", (long long)id);
	assert_int_equal(ask(HTTP_DELETE, path, NULL, NULL), 204);
	assert_int_equal(revoked, 4401);
	assert_int_equal(ask(HTTP_DELETE, path, NULL, NULL), 404);
	memcpy(bearer, kept, sizeof(kept));
	assert_int_equal(ask(HTTP_GET, "/api/v1/session", NULL, NULL), 401);
	/* A bad token is nobody, however good the cookie. */
	(void)snprintf(bearer, sizeof(bearer), "Bearer x");
	assert_int_equal(ask(HTTP_GET, "/api/v1/session", NULL, NULL), 401);
}

static void scopes_do_not_add_to_a_role(void **state)
{
	struct rule rule = { .pattern = "ann@x.org", .role = ROLE_AUDITOR };
	const struct rule_actor root = { .email = "root", .address = "", .force = true };
	json_t *j = NULL;

	(void)state;
	sign_in("ann@x.org");
	(void)take_token("{\"name\":\"all\",\"scopes\":[\"vm\",\"rules\",\"audit\",\"people\"],\"expires_at\":\"2027-06-01\"}");
	assert_int_equal(ask(HTTP_GET, "/api/v1/rules", NULL, &j), 403);
	assert_string_equal(text(j, "code"), "not_allowed");
	json_decref(j);
	assert_int_equal(rulebook_put(api.book, &rule, RULE_VERSION_ANY, &root, clock_s, NULL), 0);
	assert_int_equal(ask(HTTP_GET, "/api/v1/rules", NULL, NULL), 200);
	assert_int_equal(ask(HTTP_POST, "/api/v1/rules", "{\"pattern\":\"eve@x.org\",\"effect\":\"allow\"}", NULL), 403);
	rule.effect = RULE_DENY;
	assert_int_equal(rulebook_put(api.book, &rule, RULE_VERSION_ANY, &root, clock_s, NULL), 0);
	assert_int_equal(ask(HTTP_GET, "/api/v1/session", NULL, NULL), 401);
}

static void token_wishes_are_checked(void **state)
{
	static const char *const bad[] = {
		"{}", "{\"name\":\"x\"}", "{\"scopes\":[\"vm\"]}", "{\"name\":\"\",\"scopes\":[\"vm\"]}", "{\"name\":7,\"scopes\":[\"vm\"]}",
		"{\"name\":\"a\\nb\",\"scopes\":[\"vm\"]}", "{\"name\":\"x\",\"scopes\":[]}", "{\"name\":\"x\",\"scopes\":\"vm\"}",
		"{\"name\":\"x\",\"scopes\":[\"vm\",\"root\"]}", "{\"name\":\"x\",\"scopes\":[\"vm\",7]}",
		"{\"name\":\"x\",\"scopes\":[\"vm\"],\"expires_at\":\"soon\"}", "{\"name\":\"x\",\"scopes\":[\"vm\"],\"expires_at\":\"2020-01-01\"}",
		"{\"name\":\"x\",\"scopes\":[\"vm\"],\"expires_at\":\"2099-01-01\"}", "{\"name\":\"x\",\"scopes\":[\"vm\"],\"admin\":true}",
	};

	(void)state;
	sign_in("ann@x.org");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ask(HTTP_POST, "/api/v1/tokens", bad[i], NULL) != 400)
			fail_msg("%s", bad[i]);
	assert_int_equal(ask(HTTP_DELETE, "/api/v1/tokens/x", NULL, NULL), 404);
	api.account_limits[ACCOUNT_TOKEN] = peer_limit_create(2, 1000);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ask(HTTP_POST, "/api/v1/tokens", "{\"name\":\"x\",\"scopes\":[\"vm\"]}", NULL), 201);
	assert_int_equal(ask(HTTP_POST, "/api/v1/tokens", "{\"name\":\"x\",\"scopes\":[\"vm\"]}", NULL), 429);
	sign_in("bob@x.org");
	assert_int_equal(ask(HTTP_POST, "/api/v1/tokens", "{\"name\":\"x\",\"scopes\":[\"vm\"]}", NULL), 201);
}

static void lists_have_limits(void **state)
{
	static const char *const bad[] = { "limit=0", "limit=201", "limit=x", "limit=", "limit=-1", "limit=99999999", "cursor=", "cursor=x" };
	char path[64];

	(void)state;
	sign_in("ann@x.org");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(path, sizeof(path), "/api/v1/vms?%s", bad[i]);
		if (ask(HTTP_GET, path, NULL, NULL) != 400)
			fail_msg("%s", bad[i]);
	}
	assert_int_equal(ask(HTTP_GET, "/api/v1/vms?limit=200", NULL, NULL), 200);
}

static void health(void **state)
{
	struct http_response resp;
	json_t *j = NULL;

	(void)state;
	assert_int_equal(ask(HTTP_GET, "/healthz", NULL, NULL), 200);
	assert_int_equal(ask(HTTP_GET, "/readyz", NULL, NULL), 200);
	fake->online = false;
	assert_int_equal(ask(HTTP_GET, "/readyz", NULL, &j), 503);
	assert_string_equal(text(j, "code"), "helper_away");
	json_decref(j);
	ask_into(&resp, HTTP_GET, "/metrics", NULL, NULL);
	assert_int_equal(resp.status, 200);
	assert_non_null(strstr(resp.body.data, "terrarium_helper_online 0\n"));
	assert_non_null(strstr(resp.body.data, "process_resident_memory_bytes "));
	assert_non_null(strstr(resp.body.data, "terrarium_attachments 0\n"));
	http_response_finish(&resp);
	sign_in("ann@x.org");
	assert_int_equal(ask(HTTP_GET, "/api/v1/images", NULL, &j), 200);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(j, "items"), 0), "name")), "micro");
	json_decref(j);
	assert_int_equal(ask(HTTP_GET, "/api/v1/host", NULL, &j), 200);
	assert_string_equal(text(j, "driver"), "local");
	assert_int_equal(json_array_size(json_object_get(j, "drivers")), 3);
	assert_false(json_boolean_value(json_object_get(json_object_get(j, "confidential"), "able")));
	assert_string_equal(text(json_object_get(j, "confidential"), "why"), "no SEV-SNP");
	json_decref(j);
}

static void the_page(void **state)
{
	struct http_request q = { .method = HTTP_GET, .version = "HTTP/1.1", .path = "/", .host = "localhost:7681" };
	struct http_response resp;
	char nonce[HTTP_NONCE_BYTES], want[128];

	(void)state;
	http_response_init(&resp);
	http_answer(&app, &q, &resp);
	assert_int_equal(resp.status, 200);
	(void)snprintf(nonce, sizeof(nonce), "%s", resp.nonce);
	(void)snprintf(want, sizeof(want), "<meta content=\"%s\">%s", nonce, nonce);
	assert_string_equal(resp.body.data, want);
	assert_null(resp.cache);
	http_response_finish(&resp);
	http_response_init(&resp);
	http_answer(&app, &q, &resp);
	assert_string_not_equal(resp.nonce, nonce);
	http_response_finish(&resp);
}

static void assets_are_negotiated(void **state)
{
	static const struct {
		const char *path, *accept, *match, *body, *cache;
		int status;
	} rows[] = {
		{ "/assets/app-1.js", "gzip, br", NULL, "BR", "public, max-age=31536000, immutable", 200 },
		{ "/assets/app-1.js", "gzip", NULL, "GZIP", "public, max-age=31536000, immutable", 200 },
		{ "/assets/app-1.js", "br;q=0, gzip;q=0", NULL, "export", "public, max-age=31536000, immutable", 200 },
		{ "/assets/app-1.js", NULL, NULL, "export", "public, max-age=31536000, immutable", 200 },
		{ "/assets/app-1.js", "br", "\"s\"", "", "public, max-age=31536000, immutable", 304 },
		{ "/favicon.svg", "br", NULL, "export", "no-cache", 200 },
		{ "/favicon.svg", "br", "\"f\"", "", "no-cache", 304 },
		{ "/favicon.svg", "br", "\"s\"", "export", "no-cache", 200 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_request q = { .method = HTTP_GET, .version = "HTTP/1.1", .path = rows[i].path, .accept_encoding = rows[i].accept,
					  .if_none_match = rows[i].match };
		struct http_response resp;

		http_response_init(&resp);
		http_answer(&app, &q, &resp);
		assert_int_equal(resp.status, rows[i].status);
		assert_string_equal(resp.cache, rows[i].cache);
		assert_int_equal(http_body_len(&resp), strlen(rows[i].body));
		if (rows[i].body[0])
			assert_memory_equal(resp.fixed, rows[i].body, strlen(rows[i].body));
		assert_non_null(strstr(resp.head.data, "ETag: "));
		http_response_finish(&resp);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_control_socket_is_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(sign_in_and_out, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_sign_ins, setup, teardown),
		cmocka_unit_test_setup_teardown(machines_need_a_session, setup, teardown),
		cmocka_unit_test_setup_teardown(a_machine_is_held_and_changes_its_size, setup, teardown),
		cmocka_unit_test_setup_teardown(settings_follow_the_person, setup, teardown),
		cmocka_unit_test_setup_teardown(a_machine_and_its_life, setup, teardown),
		cmocka_unit_test_setup_teardown(streams_without_an_agent, setup, teardown),
		cmocka_unit_test_setup_teardown(specs_and_keys_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(others_see_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(tickets, setup, teardown),
		cmocka_unit_test_setup_teardown(recordings, setup, teardown),
		cmocka_unit_test_setup_teardown(a_token_does_what_it_is_for, setup, teardown),
		cmocka_unit_test_setup_teardown(scopes_do_not_add_to_a_role, setup, teardown),
		cmocka_unit_test_setup_teardown(token_wishes_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_have_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(health, setup, teardown),
		cmocka_unit_test_setup_teardown(the_page, setup, teardown),
		cmocka_unit_test_setup_teardown(assets_are_negotiated, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
