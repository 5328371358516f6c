/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/rules.h"
#include "auth/store.h"
#include "base/buf.h"
#include "base/loop.h"
#include "gateway/machine.h"
#include "tests/unit/fake_hv.h"

/* One world for every test: a store on disk, a loop that is turned by hand, two people. */
static struct loop loop;
static struct store *store;
static struct machines *ms;
static int64_t ann, bob;
static char dir[64], path[96];

static struct quota quota;
static int events[MACHINE_EVENT_COUNT];

static void on_event(void *arg, const struct machine *m, enum machine_event what, const char *reason)
{
	(void)arg;
	assert_non_null(machine_id(m));
	assert_non_null(reason);
	events[what]++;
}

static int create(int64_t person, const struct vm_spec *spec, const char *key, struct machine **out, struct err *e)
{
	const struct machine_wish wish = { .person = person, .spec = spec, .quota = &quota, .key = key };

	return machine_create(ms, &wish, out, e);
}

static void open_all(uint32_t per_person)
{
	struct machines_config c = { .on_event = on_event };

	quota = (struct quota){ .machines = per_person, .cpus = 8 };
	assert_int_equal(store_open(&store, path, NULL), 0);
	assert_int_equal(store_person_seen(store, "demo", "ann@x.org", "ann@x.org", 1, &ann, NULL), 0);
	assert_int_equal(store_person_seen(store, "demo", "bob@x.org", "bob@x.org", 1, &bob, NULL), 0);
	assert_int_equal(machines_create(&ms, &loop, store, NULL, &c, NULL), 0);
}

static void close_all(void)
{
	ms = machines_destroy(ms);
	store = store_close(store);
	assert_int_equal(fake_machines, 0);
	assert_int_equal(fake_streams, 0);
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_machine.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	assert_int_equal(loop_init(&loop), 0);
	fake_start_result = 0;
	memset(events, 0, sizeof(events));
	open_all(1);
	return 0;
}

static int teardown(void **state)
{
	static const char *const tails[] = { "", "-wal", "-shm" };

	(void)state;
	close_all();
	loop_finish(&loop);
	for (size_t i = 0; i < 3; i++) {
		char file[128];

		(void)snprintf(file, sizeof(file), "%s%s", path, tails[i]);
		(void)unlink(file);
	}
	return rmdir(dir);
}

static void turn(void)
{
	for (int i = 0; i < 4; i++)
		ev_run(loop.ev, EVRUN_NOWAIT);
}

static struct machine *make(int64_t person, const char *key)
{
	struct machine *m = NULL;
	struct vm_spec spec;
	int r;

	spec_defaults(&spec);
	r = create(person, &spec, key, &m, NULL);
	assert_true(r == 0 || r == MACHINE_E_REPEATED);
	assert_non_null(m);
	return m;
}

static struct hv_vm *vm_of(struct machine *m)
{
	struct hv_vm *vm = fake->first;

	while (vm && vm->owner != m)
		vm = vm->next;
	assert_non_null(vm);
	return vm;
}

static void one_machine_for_one_person(void **state)
{
	struct machine *m = make(ann, ""), *other = NULL;
	struct vm_spec spec;
	struct err e = { 0 };

	(void)state;
	spec_defaults(&spec);
	assert_int_equal(vm_of(m)->state, HV_PLACING);
	assert_int_equal(create(ann, &spec, "", &other, &e), MACHINE_E_EXISTS);
	assert_ptr_equal(other, m);
	assert_non_null(strstr(e.msg, "1 of 1 machine"));
	assert_ptr_not_equal(make(bob, ""), m);
	assert_null(machine_find(ms, bob, machine_id(m)));
	assert_ptr_equal(machine_find(ms, ann, machine_id(m)), m);
	assert_null(machine_find(ms, ann, ""));
	assert_ptr_equal(machine_next(ms, ann, NULL), m);
	assert_null(machine_next(ms, ann, m));
}

static void one_event_for_each_turn(void **state)
{
	struct machine *m = make(ann, "");

	(void)state;
	assert_int_equal(events[MACHINE_UP], 1);
	fake_state(vm_of(m), HV_BOOTING, "");
	fake_state(vm_of(m), HV_READY, "");
	fake_state(vm_of(m), HV_STOPPING, "");
	assert_true(machine_up(m));
	assert_int_equal(events[MACHINE_UP], 1);
	assert_int_equal(events[MACHINE_STOPPED], 0);
	fake_state(vm_of(m), HV_STOPPED, "done");
	assert_false(machine_up(m));
	assert_int_equal(events[MACHINE_STOPPED], 1);
	assert_int_equal(machine_start(m, NULL), 0);
	fake_state(vm_of(m), HV_FAILED, "no kernel");
	assert_int_equal(events[MACHINE_UP], 2);
	assert_int_equal(events[MACHINE_FAILED], 1);
	assert_int_equal(machine_delete(m, NULL), 0);
	turn();
	assert_int_equal(events[MACHINE_GONE], 1);
}

static void what_others_have_counts(void **state)
{
	struct machine *m, *other = NULL;
	struct vm_spec spec;
	struct err e = { 0 };

	(void)state;
	quota = (struct quota){ .machines = 3, .cpus = 4, .memory_bytes = 1ULL << 30 };
	spec_defaults(&spec);
	spec.cpus = 3;
	assert_int_equal(create(ann, &spec, "", &m, NULL), 0);
	assert_int_equal(create(ann, &spec, "", &other, &e), MACHINE_E_QUOTA);
	assert_null(other);
	assert_non_null(strstr(e.msg, "needs 3 processors; your others have 3, and you may have 4"));
	assert_int_equal(create(bob, &spec, "", &other, NULL), 0);
	assert_int_equal(machine_fits(m, &quota, NULL), 0);
	quota.cpus = 2;
	assert_int_equal(machine_fits(m, &quota, &e), MACHINE_E_QUOTA);
}

static void a_key_repeats_the_answer(void **state)
{
	struct machine *m = make(ann, "k");

	(void)state;
	assert_ptr_equal(make(ann, "k"), m);
	assert_ptr_not_equal(make(bob, "k"), m);
}

static void machines_outlive_the_process(void **state)
{
	struct machine *m = make(ann, "k");
	char id[MACHINE_ID_TEXT];

	(void)state;
	memcpy(id, machine_id(m), sizeof(id));
	fake_state(vm_of(m), HV_READY, "");
	close_all();
	open_all(2);
	m = machine_find(ms, ann, id);
	assert_non_null(m);
	assert_ptr_equal(make(ann, "k"), m);
	assert_ptr_not_equal(make(ann, "l"), m);
	assert_int_equal(vm_of(m)->state, HV_REQUESTED); /* until hv has heard of the helper */
}

static void how_it_came_to_rest_is_kept(void **state)
{
	static const struct { enum hv_state was, is; const char *said, *why; } rows[] = {
		{ HV_FAILED, HV_FAILED, "qemu ended with status 1", "qemu ended with status 1" },
		{ HV_STOPPED, HV_STOPPED, "the guest switched itself off", "the guest switched itself off" },
		{ HV_READY, HV_STOPPED, "", "was restarted" },
	};
	struct machine *m = make(ann, "k");
	struct buf out = BUF_INIT(65536);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_state(vm_of(m), HV_PLACING, "");
		fake_state(vm_of(m), rows[i].was, rows[i].said);
		close_all();
		fake_recalled_why[0] = '\0';
		open_all(2);
		m = make(ann, "k");
		assert_int_equal(fake_recalled, rows[i].is);
		assert_non_null(strstr(fake_recalled_why, rows[i].why));
		fake_state(vm_of(m), fake_recalled, fake_recalled_why);
		assert_int_equal(events[MACHINE_FAILED], 1); /* it was told when it happened */
	}
	fake_state(vm_of(m), HV_FAILED, "again");
	machines_metrics(ms, &out);
	assert_non_null(strstr(out.data, "terrarium_machines_failed_total 1\n"));
	buf_finish(&out);
}

static void size_follows_the_machine(void **state)
{
	struct machine *m = make(ann, "");
	struct quota q = { .machines = 2, .cpus = 4, .memory_bytes = 1ULL << 30 };
	struct vm_size size = { .cpus = 2, .memory_bytes = 512ULL << 20 };
	char id[MACHINE_ID_TEXT];
	struct err e = { 0 };
	json_t *j;

	(void)state;
	memcpy(id, machine_id(m), sizeof(id));
	assert_int_equal(machine_resize(m, &size, &q, &e), MACHINE_E_STATE); /* placing */
	fake_state(vm_of(m), HV_READY, "");
	assert_int_equal(machine_resize(m, &size, &q, &e), 0);
	j = machine_json(m);
	assert_int_equal(json_integer_value(json_object_get(j, "cpus")), 1);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "resize"), "state")), "under_way");
	json_decref(j);
	machine_size(m, &size); /* counts for the quota already */
	assert_int_equal(size.cpus, 2);
	fake_resized(vm_of(m), "not today");
	j = machine_json(m);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "resize"), "reason")), "not today");
	json_decref(j);
	assert_int_equal(machine_resize(m, &size, &q, &e), 0);
	fake_resized(vm_of(m), NULL);
	j = machine_json(m);
	assert_int_equal(json_integer_value(json_object_get(j, "cpus")), 2);
	assert_true(json_is_null(json_object_get(j, "resize")));
	json_decref(j);
	size.cpus = 5;
	assert_int_equal(machine_resize(m, &size, &q, &e), MACHINE_E_QUOTA);
	size.cpus = 3;
	fake_resize_result = -EINVAL;
	assert_int_equal(machine_resize(m, &size, &q, &e), MACHINE_E_CANNOT);
	fake_resize_result = 0;
	fake_state(vm_of(m), HV_STOPPED, "");
	assert_int_equal(machine_resize(m, &size, &q, &e), 0); /* at once */
	close_all();
	open_all(2);
	m = machine_find(ms, ann, id);
	assert_non_null(m);
	machine_size(m, &size);
	assert_int_equal(size.cpus, 3);
	assert_true(size.memory_bytes == 512ULL << 20);
}

static void paused_is_neither_up_nor_down(void **state)
{
	struct machine *m = make(ann, "");
	struct err e = { 0 };

	(void)state;
	assert_int_equal(machine_pause(m, &e), MACHINE_E_STATE);
	fake_state(vm_of(m), HV_READY, "");
	assert_int_equal(machine_pause(m, &e), 0);
	assert_int_equal(vm_of(m)->state, HV_PAUSED);
	assert_true(machine_up(m));
	assert_int_equal(events[MACHINE_UP], 1);
	assert_int_equal(machine_pause(m, &e), MACHINE_E_STATE);
	assert_int_equal(machine_restart(m, &e), MACHINE_E_STATE);
	fake->online = false;
	assert_int_equal(machine_resume(m, &e), MACHINE_E_OFFLINE);
	fake->online = true;
	assert_int_equal(machine_resume(m, &e), 0);
	assert_int_equal(vm_of(m)->state, HV_READY);
	assert_int_equal(machine_pause(m, &e), 0);
	assert_int_equal(machine_stop(m, HV_STOP_ASK, &e), 0);
}

static void nothing_begins_without_the_helper(void **state)
{
	struct machine *m = NULL;
	struct vm_spec spec;
	struct err e = { 0 };

	(void)state;
	spec_defaults(&spec);
	fake->online = false;
	assert_int_equal(create(ann, &spec, "", &m, &e), MACHINE_E_OFFLINE);
	assert_null(machine_next(ms, ann, NULL));
	fake->online = true;
	m = make(ann, "");
	fake_state(vm_of(m), HV_READY, "");
	fake->online = false;
	assert_int_equal(machine_stop(m, HV_STOP_ASK, &e), MACHINE_E_OFFLINE);
	assert_int_equal(machine_restart(m, &e), MACHINE_E_OFFLINE);
	assert_int_equal(machine_delete(m, &e), MACHINE_E_OFFLINE);
	fake_state(vm_of(m), HV_FAILED, "gone");
	assert_int_equal(machine_start(m, &e), MACHINE_E_OFFLINE);
}

static void one_that_does_not_start_stays(void **state)
{
	struct machine *m;

	(void)state;
	fake_start_result = -EIO;
	m = make(ann, "");
	assert_int_equal(vm_of(m)->state, HV_REQUESTED);
	fake_start_result = 0;
	assert_int_equal(machine_start(m, NULL), 0);
}

static void requests_must_fit_the_state(void **state)
{
	static const struct {
		enum hv_state s;
		int start, stop, kill, restart;
	} rows[] = {
		{ HV_REQUESTED, 0, MACHINE_E_STATE, MACHINE_E_STATE, 0 },
		{ HV_PLACING, MACHINE_E_STATE, 0, 0, MACHINE_E_STATE },
		{ HV_STARTING, MACHINE_E_STATE, 0, 0, MACHINE_E_STATE },
		{ HV_BOOTING, MACHINE_E_STATE, 0, 0, 0 },
		{ HV_READY, MACHINE_E_STATE, 0, 0, 0 },
		{ HV_STOPPING, MACHINE_E_STATE, MACHINE_E_STATE, 0, MACHINE_E_STATE },
		{ HV_STOPPED, 0, MACHINE_E_STATE, MACHINE_E_STATE, 0 },
		{ HV_FAILED, 0, MACHINE_E_STATE, MACHINE_E_STATE, 0 },
	};
	struct machine *m = make(ann, "");
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vm_of(m)->state = rows[i].s;
		assert_int_equal(machine_start(m, &e), rows[i].start);
		vm_of(m)->state = rows[i].s;
		assert_int_equal(machine_stop(m, HV_STOP_ASK, &e), rows[i].stop);
		vm_of(m)->state = rows[i].s;
		assert_int_equal(machine_stop(m, HV_STOP_KILL, &e), rows[i].kill);
		vm_of(m)->state = rows[i].s;
		assert_int_equal(machine_restart(m, &e), rows[i].restart);
	}
}

static void deleting_stops_first(void **state)
{
	struct machine *m = make(ann, "");
	char id[MACHINE_ID_TEXT];

	(void)state;
	memcpy(id, machine_id(m), sizeof(id));
	fake_state(vm_of(m), HV_READY, "");
	assert_int_equal(machine_delete(m, NULL), 0);
	assert_int_equal(machine_delete(m, NULL), 0);
	assert_int_equal(vm_of(m)->state, HV_STOPPING);
	turn();
	assert_ptr_equal(machine_find(ms, ann, id), m); /* its end can still be watched */
	assert_null(machine_next(ms, ann, NULL));
	assert_int_equal(machine_start(m, NULL), MACHINE_E_STATE);
	fake_state(vm_of(m), HV_STOPPED, "");
	turn();
	assert_null(machine_find(ms, ann, id));
	assert_int_equal(fake_machines + fake_streams, 0);
	close_all();
	open_all(1);
	assert_null(machine_next(ms, ann, NULL));
}

static void one_at_rest_is_deleted_at_once(void **state)
{
	struct machine *m = make(ann, ""), *n = make(bob, "");

	(void)state;
	fake_state(vm_of(m), HV_FAILED, "broken");
	fake_state(vm_of(n), HV_STOPPED, "");
	assert_int_equal(machine_delete(m, NULL), 0);
	assert_int_equal(machine_delete(n, NULL), 0);
	turn();
	assert_int_equal(fake_machines + fake_streams, 0);
	m = make(ann, "");
	assert_ptr_equal(machine_next(ms, ann, NULL), m);
}

static void hooks_reach_the_stream(void **state)
{
	struct machine *m = make(ann, "");
	char name[STREAM_ID_BYTES];
	struct stream *s;
	struct hv_console c = { .fd = -1, .ring_fd = -1 };

	(void)state;
	(void)snprintf(name, sizeof(name), "%s.console", machine_id(m));
	s = machine_stream_find(ms, ann, name);
	assert_non_null(s);
	assert_null(machine_stream_find(ms, bob, name));
	assert_null(machine_stream_find(ms, ann, machine_id(m)));
	assert_ptr_equal(machine_of_stream(s), m);
	fake->hooks->on_console(fake->arg, vm_of(m), &c);
	assert_int_equal(s->opened, 1);
	s->notified = 0;
	fake_state(vm_of(m), HV_BOOTING, "");
	assert_int_equal(s->notified, 1);
	fake_seen = 0;
	s->hooks->on_output(s->arg, (const uint8_t *)"login:", 6);
	assert_int_equal(fake_seen, 6);
	fake->hooks->on_exit(fake->arg, vm_of(m), 3, 0);
	assert_int_equal(s->exit_code, 3);
}

static void json_says_it_all(void **state)
{
	static const char *const members[] = { "id",   "name",	 "image",  "cpus", "memory",	 "network", "state",	  "state_ms", "reason",
					       "driver", "accel", "can_resize", "can_plug", "ip4", "inner_ip4", "ip6", "gateway4", "created_at", "agent", "resize", "streams",
					       "confidential", "recipe", "setup", "health", "disk", "home", "data", "disks", "cards", "waiting", "memory_used" };
	struct machine *m = make(ann, "");
	struct buf text = BUF_INIT(65536);
	json_t *json;

	(void)state;
	fake_state(vm_of(m), HV_FAILED, "no kernel");
	json = machine_json(m);
	assert_non_null(json);
	assert_int_equal(json_object_size(json), sizeof(members) / sizeof(members[0]));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (!json_object_get(json, members[i]))
			fail_msg("%s is missing", members[i]);
	assert_string_equal(json_string_value(json_object_get(json, "reason")), "no kernel");
	assert_true(json_is_null(json_object_get(json, "ip6")));
	assert_true(json_is_null(json_object_get(json, "waiting")));
	assert_true(json_is_null(json_object_get(json, "memory_used")));
	assert_true(json_is_null(json_object_get(json, "inner_ip4")));
	json_decref(json);
	machines_metrics(ms, &text);
	assert_non_null(strstr(text.data, "terrarium_machines{state=\"failed\"} 1\n"));
	assert_non_null(strstr(text.data, "terrarium_machines_failed_total 1\n"));
	buf_finish(&text);
}

static void a_row_that_cannot_be_read_keeps_nobody_out(void **state)
{
	struct vm_row row = { .owner = ann, .created_s = 1, .spec = "{\"cpus\":99}" };
	struct machine *m = make(bob, "");
	char id[MACHINE_ID_TEXT];

	(void)state;
	memcpy(id, machine_id(m), sizeof(id));
	row.id[0] = 1;
	assert_int_equal(store_vm_put(store, &row, NULL), 0);
	(void)snprintf(row.spec, sizeof(row.spec), "not JSON");
	row.id[0] = 2;
	assert_int_equal(store_vm_put(store, &row, NULL), 0);
	close_all();
	open_all(1);
	assert_non_null(machine_find(ms, bob, id));
	assert_null(machine_next(ms, ann, NULL));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_machine_for_one_person, setup, teardown),
		cmocka_unit_test_setup_teardown(one_event_for_each_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(what_others_have_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_repeats_the_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(machines_outlive_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(how_it_came_to_rest_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(size_follows_the_machine, setup, teardown),
		cmocka_unit_test_setup_teardown(paused_is_neither_up_nor_down, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_begins_without_the_helper, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_does_not_start_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_must_fit_the_state, setup, teardown),
		cmocka_unit_test_setup_teardown(deleting_stops_first, setup, teardown),
		cmocka_unit_test_setup_teardown(one_at_rest_is_deleted_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(hooks_reach_the_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(json_says_it_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_row_that_cannot_be_read_keeps_nobody_out, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
