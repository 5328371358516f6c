/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phases of slots with stand-ins for network, processes and control groups: every order in which their ends may
 * come.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "netsetup/cgroup.h"
#include "netsetup/config.h"
#include "netsetup/slot.h"
#include "netsetup/spawn.h"

static struct {
	struct net_job *jobs[16];
	size_t njobs;
	int pidfd, start_error, exit_code, exit_signal, last_signal;
	unsigned starts, group_removals_left, group_kills, dues;
	bool in_group;
} fake;

void net_submit(struct net *net, struct net_job *job)
{
	(void)net;
	job->status = 0;
	fake.jobs[fake.njobs++] = job;
}

pid_t spawn_start(const struct spawn *s, int *pidfd, struct err *e)
{
	assert_non_null(s->argv[0]);
	if (fake.start_error)
		return err_set(e, fake.start_error, "as told");
	*pidfd = fake.pidfd = eventfd(0, EFD_CLOEXEC);
	fake.starts++;
	return 4242;
}

int spawn_reap(int pidfd, int *code, int *signal)
{
	assert_int_equal(pidfd, fake.pidfd);
	*code = fake.exit_code;
	*signal = fake.exit_signal;
	return 0;
}

int spawn_signal(int pidfd, int signal)
{
	assert_int_equal(pidfd, fake.pidfd);
	fake.last_signal = signal;
	return 0;
}

void spawn_kill_session(pid_t sid)
{
	assert_int_equal(sid, 4242);
}

int cgroups_add(struct cgroups *cg, const char *name, const struct cgroup_limits *limits,
		struct cgroup_place *place, struct err *e)
{
	(void)cg;
	(void)limits;
	(void)e;
	assert_string_equal(name, "slot-1");
	*place = (struct cgroup_place){ .dir_fd = -1 };
	fake.in_group = true;
	return 0;
}

int cgroups_change(struct cgroups *cg, const char *name, const struct cgroup_limits *limits, struct err *e)
{
	(void)cg;
	(void)name;
	(void)limits;
	(void)e;
	return 0;
}

void cgroup_place_finish(struct cgroup_place *place)
{
	(void)place;
}

unsigned cgroups_oom_kills(struct cgroups *cg, const char *name)
{
	(void)cg;
	(void)name;
	return 3;
}

bool cgroups_kill(struct cgroups *cg, const char *name)
{
	(void)cg;
	(void)name;
	fake.group_kills++;
	return true;
}

bool cgroups_remove(struct cgroups *cg, const char *name)
{
	(void)cg;
	(void)name;
	if (fake.group_removals_left > 0) {
		fake.group_removals_left--;
		return false;
	}
	fake.in_group = false;
	return true;
}

static struct loop loop;
static struct config config;
static struct slots *slots;

static void on_due(void *arg)
{
	(void)arg;
	fake.dues++;
}

/* Stand-ins take these for what they cannot look into. */
static char some_net, some_cgroups;

static void open_slots(bool network, bool groups, uint32_t files_max)
{
	struct slots_config sc = {
		.config = &config, .loop = &loop, .files_max = files_max, .on_due = on_due,
		.net = network ? (struct net *)(void *)&some_net : NULL,
		.cgroups = groups ? (struct cgroups *)(void *)&some_cgroups : NULL,
	};

	slots = slots_create(&sc, NULL);
	assert_non_null(slots);
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&config, 0, sizeof(config));
	fake.pidfd = -1;
	config.slots = 3;
	config.start_rate = 10;
	config.cpu_max = config.pids_max = 100;
	config.memory_max = 1 << 20;
	memcpy(config.plan.prefix, "trm", 4);
	assert_int_equal(subnet_parse("10.213.0.0/19", &config.plan.net4, NULL), 0);
	return loop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	slots = slots_destroy(slots);
	loop_finish(&loop);
	return 0;
}

static void id(uint8_t out[16], uint8_t n)
{
	memset(out, 0, 16);
	out[0] = n;
}

static struct slot *alloc(uint8_t n, enum netd_net net, struct err *e)
{
	uint8_t vm_id[16];

	id(vm_id, n);
	return slot_alloc(slots, vm_id, net, e);
}

static int spawn(struct slot *s, struct netd_vm_spawn rq, struct err *e)
{
	char name[] = "sh", *argv[] = { name, NULL };

	return slot_spawn(s, &rq, argv, NULL, e);
}

static void end_process(int code)
{
	fake.exit_code = code;
	assert_int_equal(eventfd_write(fake.pidfd, 1), 0);
	ev_run(loop.ev, EVRUN_NOWAIT);
}

/* As the worker would. */
static void do_job(size_t i, int tap_fd, int status)
{
	struct net_job *job = fake.jobs[i];

	if (job->action == NET_JOIN)
		job->tap_fd = tap_fd;
	else
		job->tap_fd = fd_close(job->tap_fd);
	job->status = status;
	job->done(job);
}

static enum netd_slot_state shown(const struct slot *s)
{
	struct netd_slot_info info;

	slot_info(s, &info);
	return (enum netd_slot_state)info.state;
}

/* The next thing to say: takes it. Return: 0 when there is none. */
static unsigned next_due(void)
{
	struct slot *s = slots_first_due(slots);
	unsigned what;

	if (!s)
		return 0;
	what = s->due & -s->due;
	slot_told(s, (enum slot_due)what);
	return what;
}

static void a_whole_life(void **state)
{
	struct slot *s;
	struct netd_slot_info info;

	(void)state;
	open_slots(true, false, 1000);
	s = alloc(1, NETD_NET_NAT, NULL);
	assert_int_equal(s->phase, SLOT_JOINING);
	assert_int_equal(slots_first_due(slots) != NULL, 0);
	do_job(0, eventfd(0, EFD_CLOEXEC), 0);
	assert_int_equal(s->phase, SLOT_READY);
	assert_int_equal(next_due(), DUE_ALLOCATED);
	assert_int_equal(spawn(s,
			       (struct netd_vm_spawn){ .want = { NETD_FD_TAP, NETD_FD_STREAM, NETD_FD_RING },
						       .nwant = 3,
						       .ring_bytes = 4096 },
			       NULL),
			 0);
	assert_int_equal(shown(s), NETD_SLOT_RUNNING);
	assert_int_equal(s->near[0], -1);
	assert_true(s->near[1] >= 0 && s->near[2] >= 0);
	slot_info(s, &info);
	assert_int_equal(info.pid, 4242);
	assert_int_equal(info.nwant, 3);
	assert_string_equal(info.ifname, "trm1");
	assert_int_equal(info.slot4, info.ip4);
	assert_int_equal(slot_kill(s, NETD_KILL_TERM), 0);
	assert_int_equal(fake.last_signal, SIGTERM);
	end_process(5);
	assert_int_equal(s->phase, SLOT_EXITED);
	assert_int_equal(next_due(), DUE_EXITED);
	slot_info(s, &info);
	assert_int_equal(info.exit_code, 5);
	assert_int_equal(info.pid, 0);
	assert_true(s->near[1] >= 0);
	slot_free(s);
	assert_int_equal(s->phase, SLOT_LEAVING);
	assert_null(slots_find(slots, s->vm_id));
	do_job(1, -1, 0);
	assert_int_equal(slots_used(slots), 1);
	assert_int_equal(next_due(), DUE_FREED);
	assert_int_equal(slots_used(slots), 0);
	assert_int_equal(next_due(), 0);
}

/* A guest that has what all have is told that, and the gateway also which slot it is. */
static void the_same_inside(void **state)
{
	struct netd_slot_info info;
	struct slot *s;

	(void)state;
	assert_int_equal(subnet_parse("10.0.99.0/30", &config.plan.inner4, NULL), 0);
	open_slots(true, false, 1000);
	s = alloc(1, NETD_NET_NAT, NULL);
	slot_info(s, &info);
	assert_int_equal(info.ip4, htonl(0x0a006302));
	assert_int_equal(info.gw4, htonl(0x0a006301));
	assert_int_equal(info.prefix4, 30);
	assert_int_equal(info.slot4, htonl(0x0ad50002));
	assert_memory_equal(info.mac, "\x02\x74\x72\x6d\x00\x00", 6);
	do_job(0, -1, -EBUSY);
}

static void network_fails(void **state)
{
	struct slot *s;

	(void)state;
	open_slots(true, false, 1000);
	s = alloc(1, NETD_NET_NAT, NULL);
	do_job(0, -1, -EBUSY);
	assert_null(slots_find(slots, s->vm_id));
	assert_int_equal(s->due, DUE_ALLOCATED | DUE_FREED);
	assert_int_equal(next_due(), DUE_ALLOCATED);
	assert_int_equal(next_due(), DUE_FREED);
	assert_int_equal(slots_used(slots), 0);
}

static void freed_while_joining(void **state)
{
	struct slot *s;
	int tap = eventfd(0, EFD_CLOEXEC);

	(void)state;
	open_slots(true, false, 1000);
	s = alloc(1, NETD_NET_NAT, NULL);
	slot_free(s);
	assert_int_equal(fake.njobs, 2);
	do_job(0, tap, 0);
	assert_int_equal(s->phase, SLOT_LEAVING);
	assert_int_equal(s->due, DUE_ALLOCATED);
	do_job(1, -1, 0);
	/* The TAP that came after the request is closed with the slot. */
	assert_int_equal(next_due(), DUE_ALLOCATED);
	assert_int_equal(next_due(), DUE_FREED);
	assert_int_equal(fd_nonblock(tap), -EBADF);
	assert_int_equal(slots_used(slots), 0);
}

/* The rest of a process: EXITED is said only when its control group is empty. */
static void ending_takes_time(void **state)
{
	struct slot *s;

	(void)state;
	open_slots(false, true, 1000);
	s = alloc(1, NETD_NET_NAT, NULL);
	assert_int_equal(s->phase, SLOT_READY);
	assert_int_equal(s->net, NETD_NET_NONE);
	assert_int_equal(spawn(s, (struct netd_vm_spawn){ .nwant = 0 }, NULL), 0);
	assert_true(fake.in_group);
	fake.group_removals_left = 3;
	end_process(0);
	assert_int_equal(s->phase, SLOT_ENDING);
	assert_int_equal(shown(s), NETD_SLOT_RUNNING);
	assert_int_equal(slots_running(slots), 1);
	assert_int_equal(next_due(), 0);
	while (s->phase == SLOT_ENDING)
		ev_run(loop.ev, EVRUN_ONCE);
	assert_false(fake.in_group);
	assert_true(fake.group_kills >= 2);
	assert_int_equal(s->oom_kills, 3);
	assert_int_equal(slots_running(slots), 0);
	assert_int_equal(next_due(), DUE_EXITED);
	/* A second life in the same slot. */
	assert_int_equal(spawn(s, (struct netd_vm_spawn){ .nwant = 0 }, NULL), 0);
	assert_int_equal(s->oom_kills, 0);
	assert_int_equal(slot_kill(s, NETD_KILL_HARD), 0);
	assert_int_equal(fake.last_signal, 0); /* by the group */
	end_process(0);
	assert_int_equal(next_due(), DUE_EXITED);
}

static void start_fails(void **state)
{
	struct slot *s;
	struct err e = { 0 };

	(void)state;
	open_slots(false, true, 1000);
	s = alloc(1, NETD_NET_NONE, NULL);
	fake.start_error = -ENOEXEC;
	assert_int_equal(spawn(s, (struct netd_vm_spawn){ .want = { NETD_FD_PTY }, .nwant = 1 }, &e), -ENOEXEC);
	assert_int_equal(s->phase, SLOT_READY);
	assert_int_equal(s->near[0], -1);
	assert_int_equal(s->nwant, 0);
	assert_false(fake.in_group);
	fake.start_error = 0;
	assert_int_equal(spawn(s, (struct netd_vm_spawn){ .want = { NETD_FD_PTY }, .nwant = 1 }, &e), 0);
}

static void numbers_rest(void **state)
{
	struct slot *s[3];
	struct err e = { 0 };

	(void)state;
	open_slots(false, false, 1000);
	for (uint8_t i = 0; i < 3; i++) {
		s[i] = alloc((uint8_t)(i + 1), NETD_NET_NONE, NULL);
		assert_int_equal(s[i]->plan.slot, i + 1);
		assert_ptr_equal(slots_find(slots, s[i]->vm_id), s[i]);
	}
	assert_null(alloc(9, NETD_NET_NONE, &e));
	assert_int_equal(e.code, -ENOSPC);
	slot_free(s[0]);
	slot_free(s[1]);
	assert_int_equal(next_due(), DUE_FREED);
	assert_int_equal(next_due(), DUE_FREED);
	assert_int_equal(alloc(4, NETD_NET_NONE, NULL)->plan.slot, 1);
	slot_free(slots_get(slots, 1));
	assert_int_equal(next_due(), DUE_FREED);
	/* 1 was the last one given: 2 comes before it. */
	assert_int_equal(alloc(5, NETD_NET_NONE, NULL)->plan.slot, 2);
}

static void quotas(void **state)
{
	const struct netd_vm_spawn too_much[] = {
		{ .memory_max = (1 << 20) + 1 }, { .cpu_percent = 101 }, { .pids_max = 101 },
	};
	struct slot *s;
	struct err e = { 0 };

	(void)state;
	open_slots(false, false, 1000);
	s = alloc(1, NETD_NET_NONE, NULL);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(spawn(s, too_much[i], &e), -EDQUOT);
	assert_int_equal(spawn(s, (struct netd_vm_spawn){ .want = { NETD_FD_TAP }, .nwant = 1 }, &e),
			 -EOPNOTSUPP);
	assert_int_equal(fake.starts, 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(spawn(s, (struct netd_vm_spawn){ .nwant = 0 }, &e), 0);
		end_process(0);
	}
	assert_int_equal(spawn(s, (struct netd_vm_spawn){ .nwant = 0 }, &e), -EAGAIN);
	(void)poll(NULL, 0, 250);
	assert_int_equal(spawn(s, (struct netd_vm_spawn){ .nwant = 0 }, &e), 0);
}

/* Kept file descriptors are charged, and given back. */
static void files(void **state)
{
	const struct netd_vm_spawn three = { .want = { NETD_FD_STREAM, NETD_FD_STREAM, NETD_FD_LOG },
					     .nwant = 3 };
	struct slot *a, *b;
	struct err e = { 0 };

	(void)state;
	open_slots(false, false, 64 + 6);
	a = alloc(1, NETD_NET_NONE, NULL);
	b = alloc(2, NETD_NET_NONE, NULL);
	assert_int_equal(spawn(a, three, &e), 0);
	assert_int_equal(spawn(b, three, &e), -EMFILE);
	end_process(0);
	assert_int_equal(next_due(), DUE_EXITED);
	assert_int_equal(spawn(b, three, &e), -EMFILE);
	slot_free(a);
	assert_int_equal(next_due(), DUE_FREED);
	assert_int_equal(spawn(b, three, &e), 0);
}

static struct slot *running(uint8_t n)
{
	struct slot *s = alloc(n, NETD_NET_NAT, NULL);

	do_job(fake.njobs - 1, eventfd(0, EFD_CLOEXEC), 0);
	assert_int_equal(next_due(), DUE_ALLOCATED);
	assert_int_equal(spawn(s, (struct netd_vm_spawn){ .nwant = 0 }, NULL), 0);
	return s;
}

static uint32_t shown_cards(const struct slot *s)
{
	struct netd_slot_info info;

	slot_info(s, &info);
	return info.cards;
}

static void cards_come_and_go(void **state)
{
	struct netd_card_info info;
	struct err e = { 0 };
	struct slot *s;
	int tap = eventfd(0, EFD_CLOEXEC);

	(void)state;
	open_slots(true, false, 1000);
	s = running(1);
	assert_int_equal(slot_card_remove(s, 1, &e), -ENOENT);
	assert_int_equal(slot_card_add(s, 2, &e), 0);
	assert_int_equal(slot_card_remove(s, 2, &e), -EBUSY);
	assert_int_equal(slot_card_add(s, 2, &e), 0);
	assert_int_equal(fake.njobs, 2);
	assert_string_equal(fake.jobs[1]->plan.ifname, "trm1c2");
	assert_int_equal(fake.jobs[1]->net, NETD_NET_NAT);
	assert_int_equal(shown_cards(s), 0);
	do_job(1, tap, 0);
	assert_int_equal(next_due(), DUE_CARD2);
	assert_int_equal(shown_cards(s), 2);
	assert_int_equal(slot_card_add(s, 2, &e), 1);
	slot_card_info(s, 2, &info);
	assert_string_equal(info.ifname, "trm1c2");
	assert_int_equal(info.prefix4, 22);
	assert_int_equal(slot_card_remove(s, 2, &e), 0);
	assert_int_equal(slot_card_add(s, 2, &e), -EBUSY);
	assert_int_equal(shown_cards(s), 0);
	do_job(2, -1, 0);
	assert_int_equal(next_due(), DUE_CARD2);
	assert_int_equal(fd_nonblock(tap), -EBADF);
	/* One that cannot be set up is none. */
	assert_int_equal(slot_card_add(s, 1, &e), 0);
	do_job(3, -1, -EBUSY);
	assert_int_equal(next_due(), DUE_CARD1);
	assert_int_equal(shown_cards(s), 0);
	assert_int_equal(slot_card_remove(s, 1, &e), -ENOENT);
}

/* They go with the process, also the one that is just being set up. */
static void cards_go_with_the_process(void **state)
{
	struct err e = { 0 };
	struct slot *s;
	int taps[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };

	(void)state;
	open_slots(true, false, 1000);
	s = running(1);
	assert_int_equal(slot_card_add(s, 1, &e), 0);
	do_job(1, taps[0], 0);
	assert_int_equal(next_due(), DUE_CARD1);
	assert_int_equal(slot_card_add(s, 2, &e), 0);
	end_process(0);
	assert_int_equal(fake.njobs, 5);
	assert_int_equal(shown_cards(s), 0);
	assert_int_equal(next_due(), DUE_EXITED);
	do_job(2, taps[1], 0);
	assert_int_equal(next_due(), 0); /* it is told once it is gone */
	slot_free(s);
	do_job(3, -1, 0);
	do_job(4, -1, 0);
	do_job(5, -1, 0);
	assert_int_equal(next_due(), DUE_CARD1);
	assert_int_equal(next_due(), DUE_CARD2);
	assert_int_equal(next_due(), DUE_FREED);
	assert_int_equal(fd_nonblock(taps[0]), -EBADF);
	assert_int_equal(fd_nonblock(taps[1]), -EBADF);
	assert_int_equal(slots_used(slots), 0);
}

static void cards_are_limited(void **state)
{
	struct err e = { 0 };
	struct slot *s;

	(void)state;
	open_slots(false, false, 1000);
	s = alloc(1, NETD_NET_NONE, NULL);
	assert_int_equal(spawn(s, (struct netd_vm_spawn){ .nwant = 0 }, NULL), 0);
	assert_int_equal(slot_card_add(s, 1, &e), -EOPNOTSUPP);
	slots = slots_destroy(slots);
	open_slots(true, false, 64 + 3);
	s = running(1); /* its TAP and its process */
	assert_int_equal(slot_card_add(s, 1, &e), 0);
	do_job(1 + (fake.njobs - 2), eventfd(0, EFD_CLOEXEC), 0);
	assert_int_equal(slot_card_add(s, 2, &e), -EMFILE);
	slots = slots_destroy(slots);
	assert_int_equal(subnet_parse("10.213.0.0/21", &config.plan.net4, NULL), 0);
	open_slots(true, false, 1000);
	s = running(1);
	assert_int_equal(slot_card_add(s, 2, &e), -EDQUOT);
	assert_int_equal(slot_card_add(s, 1, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_whole_life, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(network_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_while_joining, setup, teardown),
		cmocka_unit_test_setup_teardown(ending_takes_time, setup, teardown),
		cmocka_unit_test_setup_teardown(start_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(quotas, setup, teardown),
		cmocka_unit_test_setup_teardown(files, setup, teardown),
		cmocka_unit_test_setup_teardown(cards_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(cards_go_with_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(cards_are_limited, setup, teardown),
	};

	return cmocka_run_group_tests_name("netd_slot", tests, NULL, NULL);
}
