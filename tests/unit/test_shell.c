/* SPDX-License-Identifier: Apache-2.0 */
/* Shells as the gateway keeps them, over the real agent in a process of its own; the gateway goes and comes, the agent too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/store.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "gateway/agent_tie.h"
#include "gateway/ring_dir.h"
#include "gateway/sched.h"
#include "gateway/shell.h"
#include "gateway/stream.h"
#include "gateway/viewer.h"
#include "hv/agent/host.h"
#include "tests/unit/agent_child.h"

static const uint8_t machine[16] = { 0xab, 1, 2, 3 };
#define MACHINE "ab010203000000000000000000000000"

struct world {
	struct loop loop;
	struct sched *sched;
	char dir[64], db[96];
	struct shells_shared shared;
	struct shells *shells;
	struct agent_tie *tie;
	struct agent_child agent;
	unsigned ready, changes, streams;
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
	(void)boot_id;
	w.ready++;
	shells_ready(w.shells, agent_tie_host(w.tie));
}

static const struct agent_tie_hooks tie_hooks = { .on_state = on_state, .renew = renew, .on_ready = on_ready };

static void on_change(void *arg)
{
	(void)arg;
	w.changes++;
}

static void on_stream(void *arg, struct stream *s)
{
	(void)arg;
	assert_false(stream_state(s).waits);
	w.streams++;
}

static const struct shells_hooks shells_hooks = { .on_change = on_change, .on_stream = on_stream };

/* A gateway: what it finds in the store, and the agent when it has answered. */
static void begin(void)
{
	assert_int_equal(store_open(&w.shared.store, w.db, NULL), 0);
	assert_int_equal(shells_create(&w.shells, &w.shared, machine, &shells_hooks, NULL, NULL), 0);
}

static void meet(void)
{
	unsigned before = w.ready;

	if (!w.tie)
		w.tie = agent_tie_create(&w.loop, &tie_hooks, NULL);
	assert_non_null(w.tie);
	assert_int_equal(renew(NULL), 0);
	WAIT_FOR(w.ready > before);
	assert_int_equal(agent_tie_state(w.tie), AGENT_TIE_READY);
}

/* Nobody is told anything, as when it is killed. */
static void vanish(void)
{
	w.shells = shells_destroy(w.shells);
	w.tie = agent_tie_destroy(w.tie);
	w.shared.store = store_close(w.shared.store);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	(void)snprintf(w.dir, sizeof(w.dir), "/tmp/test_shell.XXXXXX");
	if (!mkdtemp(w.dir) || loop_init(&w.loop) < 0 || sched_create(&w.sched, &w.loop) < 0)
		return -1;
	(void)snprintf(w.db, sizeof(w.db), "%s/db", w.dir);
	w.shared = (struct shells_shared){ .loop = &w.loop, .sched = w.sched, .ring_bytes = shell_ring_bytes(1), .max = 3 };
	(void)snprintf(w.shared.ring_dir, sizeof(w.shared.ring_dir), "%s/rings", w.dir);
	assert_int_equal(ring_dir_prepare(w.shared.ring_dir, NULL), 0);
	assert_int_equal(store_open(&w.shared.store, w.db, NULL), 0);
	put_machine(w.shared.store, machine);
	w.shared.store = store_close(w.shared.store);
	agent_child_start(&w.agent);
	begin();
	meet();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vanish();
	agent_child_stop(&w.agent, SIGTERM);
	w.sched = sched_destroy(w.sched);
	loop_finish(&w.loop);
	return remove_tree(w.dir);
}

static struct shell *open_shell(const char *name)
{
	const struct shell_wish wish = { .name = name, .cwd = "/" };
	struct shell *sh = NULL;
	struct err e = { 0 };

	if (shell_open(w.shells, agent_tie_host(w.tie), &wish, &sh, &e) != 0)
		fail_msg("%s", e.msg);
	return sh;
}

static struct shell *nth(unsigned n)
{
	struct shell *sh = shell_next(w.shells, NULL);

	while (sh && n-- > 0)
		sh = shell_next(w.shells, sh);
	return sh;
}

static void type(const struct shell *sh, const char *text)
{
	struct stream *s = shell_stream(sh);

	assert_int_equal(stream_input(s, stream_state(s).wanted, (const uint8_t *)text, strlen(text)), 0);
}

static bool has(const struct shell *sh, const char *text)
{
	struct stream_state st = stream_state(shell_stream(sh));
	static uint8_t out[1 << 20];
	size_t n = stream_read(shell_stream(sh), st.start, out, sizeof(out));

	return memmem(out, n, text, strlen(text)) != NULL;
}

static bool ended(const struct shell *sh)
{
	return stream_state(shell_stream(sh)).ended;
}

static const char *text_of(const struct shell *sh, const char *key, char out[128])
{
	json_t *json = shell_json(sh);
	const json_t *v = json_object_get(json, key);

	(void)snprintf(out, 128, "%s", json_is_string(v) ? json_string_value(v) : json_is_integer(v) ? "number" : "null");
	json_decref(json);
	return out;
}

static void outlives_the_gateway(void **state)
{
	struct stream_state before, after;
	struct shell *sh;
	char text[128];

	(void)state;
	sh = open_shell("");
	type(sh, "x=kept; echo one-$((1+1))\n");
	WAIT_FOR(has(sh, "one-2") && stream_state(shell_stream(sh)).held == 0);
	for (int i = 0; i < 3; i++) {
		before = stream_state(shell_stream(nth(0)));
		vanish();
		begin();
		sh = nth(0);
		assert_non_null(sh);
		after = stream_state(shell_stream(sh));
		assert_true(after.waits && after.epoch == before.epoch && after.end == before.end);
		meet();
		WAIT_FOR(!stream_state(shell_stream(sh)).waits);
		assert_true(stream_state(shell_stream(sh)).written >= before.written);
		(void)snprintf(text, sizeof(text), "echo $x-%d-$((20+%d))\n", i, i);
		type(sh, text);
		(void)snprintf(text, sizeof(text), "kept-%d-%d", i, 20 + i);
		WAIT_FOR(has(sh, text));
	}
	/* An end is remembered, and what was said before it. */
	type(sh, "exit 3\n");
	WAIT_FOR(ended(sh));
	vanish();
	begin();
	sh = nth(0);
	assert_true(ended(sh) && has(sh, "one-2"));
	assert_int_equal(stream_state(shell_stream(sh)).exit_code, 3);
	assert_string_equal(text_of(sh, "state", text), "exited");
	assert_string_equal(text_of(sh, "code", text), "number");
	meet();
	assert_int_equal(shells_open_count(w.shells), 0);
}

/* Keystrokes that a gateway took and had not handed on when it died are sent again by the page, and counted by the agent. */
static void counts_input_over_a_gap(void **state)
{
	struct shell *sh = open_shell("");
	uint64_t at;

	(void)state;
	type(sh, "stty -echo; echo quiet-$((1+1))\n");
	WAIT_FOR(has(sh, "quiet-2") && stream_state(shell_stream(sh)).held == 0);
	at = stream_state(shell_stream(sh)).wanted;
	type(sh, "echo again-$((2+2))\n"); /* lies in our buffers still */
	vanish();
	begin();
	meet();
	sh = nth(0);
	WAIT_FOR(!stream_state(shell_stream(sh)).waits);
	assert_int_equal(stream_state(shell_stream(sh)).wanted, at);
	type(sh, "echo again-$((2+2))\n");
	assert_int_equal(stream_input(shell_stream(sh), at, (const uint8_t *)"echo", 4), 0);
	assert_int_equal(stream_state(shell_stream(sh)).wanted, at + 20);
	WAIT_FOR(has(sh, "again-4") && stream_state(shell_stream(sh)).written == at + 20);
}

static void agent_is_another_one(void **state)
{
	struct shell *sh = open_shell("");
	char text[128];

	(void)state;
	type(sh, "echo a-$((1+1))\n");
	WAIT_FOR(has(sh, "a-2"));
	agent_child_stop(&w.agent, SIGKILL);
	agent_child_start(&w.agent);
	WAIT_FOR(ended(sh)); /* the tie finds out and asks for another way by itself */
	assert_int_equal(stream_state(shell_stream(sh)).exit_code, -1);
	assert_non_null(strstr(stream_state(shell_stream(sh)).why, "anew"));
	assert_string_equal(text_of(sh, "code", text), "null");
	sh = open_shell("");
	type(sh, "echo b-$((1+1))\n");
	WAIT_FOR(has(sh, "b-2"));
	/* Nobody was there to see it. */
	vanish();
	agent_child_stop(&w.agent, SIGKILL);
	agent_child_start(&w.agent);
	begin();
	meet();
	WAIT_FOR(shells_open_count(w.shells) == 0);
	assert_true(has(nth(1), "b-2"));
}

static uint32_t jobs_left;
static bool jobs_known;

static void on_list(void *arg, int status, struct agent_in *in)
{
	(void)arg;
	jobs_known = status == 0;
	jobs_left = agent_get_u32(in);
}

static uint32_t count_jobs(void)
{
	struct buf body = BUF_INIT(4);

	jobs_known = false;
	agent_put_u32(&body, 0);
	assert_int_equal(agent_host_ask(agent_tie_host(w.tie), AGENT_LIST, 0, &body, WAIT_MS, on_list, NULL), 0);
	buf_finish(&body);
	WAIT_FOR(jobs_known);
	return jobs_left;
}

/* Closed while the agent was away; a ring that is damaged; a ring that is nobody's. */
static void what_is_not_ours_goes(void **state)
{
	char path[512], id[64];
	struct shell *sh = open_shell("first");
	int fd;

	(void)state;
	(void)open_shell("second");
	(void)open_shell("third");
	WAIT_FOR(stream_state(shell_stream(nth(2))).end > 0);
	assert_int_equal(count_jobs(), 3);
	agent_tie_rest(w.tie);
	assert_int_equal(shell_close(sh, NULL), 0);
	assert_string_equal(shell_name(nth(0)), "second");
	(void)snprintf(id, sizeof(id), "%s", stream_id(shell_stream(nth(0))));
	vanish();

	(void)snprintf(path, sizeof(path), "%s/%s.ring", w.shared.ring_dir, id);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "garbage!", 8, 0), 8);
	(void)close(fd);
	begin();
	assert_string_equal(shell_name(nth(0)), "third");
	assert_null(nth(1));
	assert_int_equal(access(path, F_OK), -1);
	meet();
	WAIT_FOR(count_jobs() == 1);
	assert_int_equal(shells_open_count(w.shells), 1);
}

static bool is_third(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "third") == 0;
}

static void rings_are_files(void **state)
{
	char path[512];
	uint32_t bytes;
	int fd;

	(void)state;
	fd = ring_dir_create(w.shared.ring_dir, "third", 1 << 20);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(ring_dir_create(w.shared.ring_dir, "third", 1 << 20), -EEXIST);
	fd = ring_dir_create(w.shared.ring_dir, "fourth", 4096);
	assert_true(fd >= 0);
	(void)close(fd);
	(void)snprintf(path, sizeof(path), "%s/notes.txt", w.shared.ring_dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)close(fd);
	ring_dir_sweep(w.shared.ring_dir, is_third, NULL);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(ring_dir_open(w.shared.ring_dir, "fourth", &bytes), -ENOENT);
	fd = ring_dir_open(w.shared.ring_dir, "third", &bytes);
	assert_true(fd >= 0 && bytes == 1 << 20);
	(void)close(fd);
	ring_dir_remove(w.shared.ring_dir, "third");
	ring_dir_remove(w.shared.ring_dir, "third");
	assert_true(ring_dir_prepare("/proc/none", NULL) < 0);
}

/* Places, the limit, and what is kept of those that have ended. */
static void many(void **state)
{
	const struct shell_wish wish = { .name = "", .cwd = "" };
	struct shell *sh, *a = open_shell(""), *b = open_shell(""), *c = open_shell("");
	struct err e = { 0 };

	(void)state;
	assert_string_equal(shell_name(a), "shell");
	assert_string_equal(shell_name(c), "shell 3");
	assert_int_equal(shell_open(w.shells, agent_tie_host(w.tie), &wish, &sh, &e), SHELL_E_TOO_MANY);
	assert_int_equal(shell_open(w.shells, NULL, &wish, &sh, &e), SHELL_E_NO_AGENT);
	assert_int_equal(shell_move(c, 1, &e), 0);
	assert_int_equal(shell_move(a, 100, &e), 0);
	assert_int_equal(shell_rename(b, "middle", &e), 0);
	vanish();
	begin();
	assert_string_equal(shell_name(nth(0)), "shell 3");
	assert_string_equal(shell_name(nth(1)), "middle");
	assert_string_equal(shell_name(nth(2)), "shell");
	assert_ptr_equal(shell_of_stream(w.shells, shell_stream(nth(1))), nth(1));
	assert_true(shell_name_valid("журнал") && shell_name_valid("a b"));
	assert_false(shell_name_valid("") || shell_name_valid("a\x1b[31m") || shell_name_valid("\xc2\x9b") || shell_name_valid("\x7f"));
	meet();
	for (unsigned i = 0; i < 8; i++) {
		sh = i < 3 ? nth(i) : open_shell("later");
		WAIT_FOR(!stream_state(shell_stream(sh)).waits);
		type(sh, "exit\n");
		WAIT_FOR(ended(sh));
	}
	assert_null(nth(6));
	assert_non_null(nth(5));
	assert_string_equal(shell_name(nth(5)), "later");
	shells_forget(w.shells);
	assert_null(nth(0));
}

/* More than one answer of the agent's list holds. */
static void a_long_list(void **state)
{
	(void)state;
	w.shared.max = 65;
	for (int i = 0; i < 65; i++)
		(void)open_shell("");
	for (unsigned i = 0; i < 65; i++)
		WAIT_FOR(stream_state(shell_stream(nth(i))).end > 0);
	vanish();
	begin();
	meet();
	for (unsigned i = 0; i < 65; i++)
		WAIT_FOR(!stream_state(shell_stream(nth(i))).waits);
	assert_int_equal(shells_open_count(w.shells), 65);
	shells_end(w.shells, "the machine has stopped");
	assert_int_equal(shells_open_count(w.shells), 0);
	assert_true(w.changes >= 130);
	assert_int_equal(w.streams, 130);
}

static void what_is_in_front(void **state)
{
	struct shell *sh = open_shell("");
	uint64_t until_ms = loop_now_ms() + WAIT_MS;
	char text[128];

	(void)state;
	type(sh, "cd /usr/lib; cat\n");
	do {
		uint64_t next_ms = loop_now_ms() + 50;

		shells_look(w.shells);
		WAIT_FOR(loop_now_ms() > next_ms);
	} while (strcmp(text_of(sh, "title", text), "cat") != 0 && loop_now_ms() < until_ms);
	assert_string_equal(text_of(sh, "title", text), "cat");
	assert_string_equal(text_of(sh, "cwd", text), "/usr/lib");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(outlives_the_gateway, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_input_over_a_gap, setup, teardown),
		cmocka_unit_test_setup_teardown(agent_is_another_one, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_ours_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(rings_are_files, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_list, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_in_front, setup, teardown),
	};

	agent_child_run(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
