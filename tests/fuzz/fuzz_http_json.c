/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of every POST, for somebody who is signed in. The first byte chooses the route. */
#include <fcntl.h>
#include <stdint.h>
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
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/api.h"
#include "gateway/askers.h"
#include "gateway/assets.h"
#include "gateway/attach.h"
#include "gateway/machine.h"
#include "gateway/metrics.h"
#include "gateway/peer.h"
#include "gateway/settings.h"
#include "gateway/ticket.h"
#include "tests/unit/fake_hv.h"
#include "tests/unit/fake_recorder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

const struct asset assets[1];
const size_t assets_count;

static struct settings settings;
static struct metrics metrics;
static struct loop loop;
static struct api api;
static struct recorder recorder;
static struct http_app app;
static char dir[] = "/tmp/fuzz_http_json.XXXXXX", cookie[SESSION_COOKIE_BYTES], vm[MACHINE_ID_TEXT];
static uint64_t clock_ms;

void attach_hub_revoke(struct attach_hub *hub, const uint8_t hash[SESSION_HASH_BYTES], uint16_t code, const char *reason)
{
	(void)hub;
	(void)hash;
	(void)code;
	(void)reason;
}

void attach_hub_metrics(const struct attach_hub *hub, struct buf *out)
{
	(void)hub;
	(void)out;
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

static void nothing_to_do(void *arg)
{
	(void)arg;
}

static int64_t now_s(void)
{
	return 1800000000;
}

/* Time runs, so that tickets expire and sign-ins are not slowed down. */
static uint64_t now_ms(void)
{
	return clock_ms += 100000;
}

static void clean(void)
{
	static const char *const files[] = { "db", "db-wal", "db-shm", "demo-links" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

static void must(int good)
{
	if (!good)
		abort();
}

static void set_up(void)
{
	static const struct rule root = { .pattern = "a@x.org", .role = ROLE_ADMIN };
	static const struct rule_actor setter = { .email = "fuzz", .address = "" };
	const struct machines_config c = { 0 };
	const struct quota quota = { .machines = 1 };
	struct access_config access = { .defaults = { .machines = 1, .cpus = 8, .memory_bytes = 1 << 30 } };
	struct who who = { .email = "a@x.org" };
	struct machine *m = NULL;
	struct machine_wish wish;
	struct vm_spec spec;
	char path[64], set[SESSION_COOKIE_BYTES];

	must(log_open("fuzz", "error") == 0 && mkdtemp(dir) != NULL && loop_init(&loop) == 0);
	(void)atexit(clean);
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	must(settings_presets(&settings, NULL) == 0 && settings_resolve(&settings, NULL) == 0);
	api = (struct api){ .settings = &settings, .metrics = &metrics, .now_s = now_s, .now_ms = now_ms, .tickets = tickets_create(),
			    .sign_in_limit = peer_limit_create(10, 1) };
	must(store_open(&api.store, path, NULL) == 0 && demo_create(&api.demo, "a@x.org", dir, "http://localhost:7681", NULL) == 0);
	must(audit_open(&api.audit, store_db(api.store), NULL) == 0);
	must(rulebook_open(&api.book, store_db(api.store), api.audit, nothing_to_do, NULL, NULL) == 0);
	must(rulebook_put(api.book, &root, RULE_VERSION_ANY, &setter, now_s(), NULL) == 0);
	access.store = api.store;
	access.book = api.book;
	access.audit = api.audit;
	api.access = access_create(&access);
	api.signins = signins_create(&loop);
	recorder.db = store_db(api.store);
	api.recorder = &recorder;
	api.askers = askers_create();
	must(api.access != NULL && api.signins != NULL);
	must(machines_create(&api.machines, &loop, api.store, NULL, &c, NULL) == 0);
	must(store_person_seen(api.store, DEMO_ISSUER, who.email, who.email, 1, &who.person, NULL) == 0);
	must(session_open(api.store, &who, now_s(), 60, set, NULL) == 0);
	(void)snprintf(cookie, sizeof(cookie), "%.*s", (int)strcspn(set, ";"), set);
	spec_defaults(&spec);
	wish = (struct machine_wish){ .person = who.person, .spec = &spec, .quota = &quota, .key = "" };
	must(machine_create(api.machines, &wish, &m, NULL) == 0);
	memcpy(vm, machine_id(m), sizeof(vm));
	api_app(&app, &api);
}

#define PATHS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[PATHS] = { "/api/v1/session", "/api/v1/vms", "/api/v1/vms/%s/start", "/api/v1/vms/%s/stop",
					     "/api/v1/vms/%s/restart", "/api/v1/streams/%s.console/tickets", "/api/v1/signin", "/api/v1/signin/look",
					     "/api/v1/rules", "/api/v1/rules/import", "/api/v1/tokens", "/api/v1/invitations",
					     "/api/v1/access-requests", "/api/v1/streams/%s.console/shares", "/api/v1/shares/1/tickets",
					     "/api/v1/shares/redeem" };
	const char *pattern;
	struct http_request q = { .method = HTTP_POST, .version = "HTTP/1.1", .query = "", .cookie = cookie };
	struct http_response resp;
	char path[128];

	if (!vm[0])
		set_up();
	if (size == 0)
		return 0;
	pattern = paths[data[0] % PATHS];
	if (strstr(pattern, "%s"))
		(void)snprintf(path, sizeof(path), "%.*s%s%s", (int)strcspn(pattern, "%"), pattern, vm, strstr(pattern, "%s") + 2);
	else
		(void)snprintf(path, sizeof(path), "%s", pattern);
	q.path = path;
	q.body = (const char *)data + 1;
	q.body_len = size - 1;
	fake->first->state = (enum hv_state)(data[0] / PATHS % HV_STATE_COUNT);
	http_response_init(&resp);
	http_answer(&app, &q, &resp);
	must(resp.status >= 200 && resp.status < 500);
	http_response_finish(&resp);
	return 0;
}
