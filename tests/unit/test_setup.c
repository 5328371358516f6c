/* SPDX-License-Identifier: Apache-2.0 */
/* What is done in a machine once, over the real agent in a process of its own; the gateway is killed at every point, the agent too. */
#include <setjmp.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/store.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "gateway/agent_tie.h"
#include "gateway/recipe.h"
#include "gateway/secrets.h"
#include "gateway/setup.h"
#include "hv/agent/host.h"
#include "tests/unit/agent_child.h"

static const uint8_t machine[16] = { 0xab, 1, 2, 3 };

struct world {
	struct loop loop;
	struct store *store;
	struct setup *setup;
	struct agent_tie *tie;
	char dir[64], db[96];
	struct agent_child agent;
	unsigned ready, changes, handed;
	uint8_t boot[16];
};

static struct world w;

#define WAIT_FOR(what) WAIT_IN(w.loop.ev, what)

static void on_state(void *arg)
{
	(void)arg;
}

static int renew(void *arg)
{
	(void)arg;
	if (w.agent.near_fd < 0)
		return -ENOTCONN;
	agent_tie_use(w.tie, fcntl(w.agent.near_fd, F_DUPFD_CLOEXEC, 0));
	return 0;
}

static void on_ready(void *arg, const uint8_t boot_id[16])
{
	(void)arg;
	memcpy(w.boot, boot_id, sizeof(w.boot));
	w.ready++;
	setup_ready(w.setup, agent_tie_host(w.tie), boot_id);
}

static const struct agent_tie_hooks tie_hooks = { .on_state = on_state, .renew = renew, .on_ready = on_ready };

static void on_change(void *arg)
{
	(void)arg;
	w.changes++;
}

static const struct setup_hooks setup_hooks = { .on_change = on_change };

/* The gateway is killed, and comes back. */
static void vanish(void)
{
	w.setup = setup_destroy(w.setup);
	w.tie = agent_tie_destroy(w.tie);
	w.store = store_close(w.store);
}

static void meet(void)
{
	unsigned before = w.ready;

	if (!w.tie)
		w.tie = agent_tie_create(&w.loop, &tie_hooks, NULL);
	assert_non_null(w.tie);
	assert_int_equal(renew(NULL), 0);
	WAIT_FOR(w.ready > before);
}

static void back(void)
{
	assert_int_equal(store_open(&w.store, w.db, NULL), 0);
	assert_int_equal(setup_load(&w.setup, &w.loop, store_db(w.store), machine, &setup_hooks, NULL, NULL), 0);
}

static int begin(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	(void)snprintf(w.dir, sizeof(w.dir), "/tmp/test_setup.XXXXXX");
	if (!mkdtemp(w.dir) || loop_init(&w.loop) < 0)
		return -1;
	(void)snprintf(w.db, sizeof(w.db), "%s/db", w.dir);
	assert_int_equal(store_open(&w.store, w.db, NULL), 0);
	put_machine(w.store, machine);
	agent_child_start(&w.agent);
	return 0;
}

static int end(void **state)
{
	(void)state;
	vanish();
	agent_child_stop(&w.agent, SIGTERM);
	loop_finish(&w.loop);
	return remove_tree(w.dir);
}

/* @script has one %s: the directory of this test. */
static void wish_for(const char *script)
{
	struct recipe_wish wish = { .recipe = "custom", .packages = json_array() };

	wish.script = malloc(1024);
	assert_non_null(wish.script);
	(void)snprintf(wish.script, 1024, "d=%s; %s", w.dir, script);
	assert_int_equal(setup_create(&w.setup, &w.loop, store_db(w.store), machine, &wish, &setup_hooks, NULL, NULL), 0);
	recipe_finish(&wish);
}

static const char *said(const char *key)
{
	static char out[20000];
	json_t *json = setup_json(w.setup, true);
	const json_t *v = json_object_get(json, key);

	if (json_is_integer(v))
		(void)snprintf(out, sizeof(out), "%d", (int)json_integer_value(v));
	else
		(void)snprintf(out, sizeof(out), "%s", json_is_string(v) ? json_string_value(v) : "null");
	json_decref(json);
	return out;
}

#define STATE(s) (strcmp(said("state"), s) == 0)

static bool there(const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", w.dir, name);
	return access(path, F_OK) == 0;
}

static void make_file(const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", w.dir, name);
	assert_int_equal(fd_close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), -1);
}

static long size_of(const char *name)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", w.dir, name);
	return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static void runs_once_and_is_remembered(void **state)
{
	(void)state;
	wish_for("printf x >>$d/count; echo one; printf '\\033[1mtwo\\033[0m\\r\\nthree'; echo err >&2; exit 0");
	assert_true(STATE("waiting"));
	meet();
	WAIT_FOR(STATE("done"));
	assert_string_equal(said("code"), "0");
	assert_non_null(strstr(said("log"), "one\n"));
	assert_non_null(strstr(said("log"), "two\nthree"));
	assert_non_null(strstr(said("log"), "err\n"));
	assert_true(w.changes > 0);
	vanish();
	back();
	assert_true(STATE("done"));
	assert_non_null(strstr(said("log"), "three"));
	meet();
	assert_true(STATE("done"));
	assert_int_equal(setup_again(w.setup, NULL), 0);
	WAIT_FOR(STATE("done"));
	assert_int_equal(size_of("count"), 2); /* only when somebody said so */
}

static void a_failure_is_told(void **state)
{
	(void)state;
	wish_for("i=0; while [ $i -lt 9000 ]; do i=$((i+1)); echo line $i; done; exit 7");
	meet();
	WAIT_FOR(STATE("failed"));
	assert_string_equal(said("code"), "7");
	assert_string_equal(said("reason"), "the script ended with status 7");
	assert_non_null(strstr(said("log"), "line 9000\n"));
	assert_true(strlen(said("log")) <= 16384 && strncmp(said("log"), "line ", 5) == 0);
	assert_int_equal(setup_again(w.setup, NULL), 0);
	WAIT_FOR(STATE("failed"));
}

/* Killed while it runs, and while it was about to begin: it goes on, or begins, but never twice. */
static void outlives_the_gateway(void **state)
{
	(void)state;
	wish_for("printf x >>$d/count; echo begun; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; while [ ! -e $d/go ]; do sleep .05; done; echo over");
	meet();
	WAIT_FOR(there("count"));
	for (int i = 0; i < 3; i++) {
		vanish();
		back();
		assert_true(STATE("running"));
		meet();
		WAIT_FOR(i > 0 || strstr(said("log"), "line 3000"));
	}
	vanish();
	make_file("go");
	(void)poll(NULL, 0, 300); /* it ends while nobody is there */
	back();
	meet();
	WAIT_FOR(STATE("done"));
	assert_non_null(strstr(said("log"), "over\n"));
	assert_int_equal(size_of("count"), 1);
}

static void begins_when_the_agent_never_heard_of_it(void **state)
{
	(void)state;
	wish_for("printf x >>$d/count");
	/* The row says that it runs; the request is in a buffer of ours when we die. */
	w.tie = agent_tie_create(&w.loop, &tie_hooks, NULL);
	assert_int_equal(renew(NULL), 0);
	for (unsigned before = w.ready; w.ready == before;)
		ev_run(w.loop.ev, EVRUN_ONCE);
	assert_true(STATE("running"));
	vanish();
	back();
	assert_true(STATE("running"));
	meet();
	WAIT_FOR(STATE("done"));
	assert_int_equal(size_of("count"), 1);
}

static void does_not_begin_again_in_another_life(void **state)
{
	(void)state;
	wish_for("printf x >>$d/count; sleep 60");
	meet();
	WAIT_FOR(there("count"));
	vanish();
	agent_child_stop(&w.agent, SIGKILL);
	agent_child_start(&w.agent);
	back();
	meet();
	assert_true(STATE("failed"));
	assert_non_null(strstr(said("reason"), "started anew"));
	assert_int_equal(size_of("count"), 1);
	assert_int_equal(setup_again(w.setup, NULL), 0);
	WAIT_FOR(size_of("count") == 2);
	setup_gone(w.setup, "the machine has stopped");
	assert_string_equal(said("reason"), "the machine has stopped before it had ended");
}

static void on_handed(void *arg)
{
	(void)arg;
	w.handed++;
}

static void secrets_are_bounded_and_handed_over(void **state)
{
	static const uint8_t bytes[AGENT_DATA_MAX];
	struct agent_secret s = { .name = "b", .mode = 0400, .data = (const uint8_t *)"value", .len = 5 };
	struct secrets *held = secrets_create();
	json_t *list;
	char name[16];

	(void)state;
	meet();
	assert_int_equal(secrets_keep(held, &s, 7, NULL), 0);
	s.name = "a";
	assert_int_equal(secrets_keep(held, &s, 7, NULL), 0);
	assert_int_equal(secrets_keep(held, &s, 8, NULL), 0);
	list = secrets_json(held);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "name")), "a");
	assert_null(json_object_get(json_array_get(list, 0), "value"));
	json_decref(list);
	/* This agent stands for no machine of its own and refuses some; the end comes all the same. */
	secrets_hand_over(held, agent_tie_host(w.tie), on_handed, NULL);
	WAIT_FOR(w.handed == 1);
	assert_true(secrets_drop(held, "a"));
	assert_false(secrets_drop(held, "a"));
	s.data = bytes;
	s.len = sizeof(bytes);
	for (int i = 0; i < 7; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		s.name = name;
		assert_int_equal(secrets_keep(held, &s, 7, NULL), 0);
	}
	s.name = "more";
	assert_int_equal(secrets_keep(held, &s, 7, NULL), -ENOSPC); /* 256 KiB */
	s.name = "n0";
	assert_int_equal(secrets_room(held, "n0", s.len, NULL), 0);
	s.len = 0;
	for (int i = 7; i < SECRETS_MAX - 1; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		s.name = name;
		assert_int_equal(secrets_keep(held, &s, 7, NULL), 0);
	}
	s.name = "more";
	assert_int_equal(secrets_keep(held, &s, 7, NULL), -ENOSPC);
	assert_null(secrets_destroy(held));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_once_and_is_remembered, begin, end),
		cmocka_unit_test_setup_teardown(a_failure_is_told, begin, end),
		cmocka_unit_test_setup_teardown(outlives_the_gateway, begin, end),
		cmocka_unit_test_setup_teardown(begins_when_the_agent_never_heard_of_it, begin, end),
		cmocka_unit_test_setup_teardown(does_not_begin_again_in_another_life, begin, end),
		cmocka_unit_test_setup_teardown(secrets_are_bounded_and_handed_over, begin, end),
	};

	agent_child_run(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
