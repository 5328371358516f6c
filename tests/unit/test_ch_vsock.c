/* SPDX-License-Identifier: Apache-2.0 */
/* The way to the agent through Cloud Hypervisor's socket: the VMM is this file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/loop.h"
#include "hv/ch_vsock.h"

static struct {
	struct loop loop;
	struct ch_vsock v;
	struct helper_call *call; /* waits for an answer */
	int far, stream;
	unsigned reached, here;
} t;

struct loop *hv_vm_loop(const struct hv_vm *vm)
{
	(void)vm;
	return &t.loop;
}

void hv_reach(struct hv_vm *vm, struct helper_call *c)
{
	(void)vm;
	t.call = c;
	t.reached++;
}

void hv_reach_cancel(struct hv_vm *vm, struct helper_call *c)
{
	(void)vm;
	(void)c;
	t.call = NULL;
}

void hv_agent_stream(struct hv_vm *vm, int fd)
{
	(void)vm;
	(void)fd_close(t.stream);
	t.stream = fd;
}

void hv_agent_here(struct hv_vm *vm)
{
	(void)vm;
	t.here++;
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.far = t.stream = -1;
	assert_int_equal(loop_init(&t.loop), 0);
	ch_vsock_init(&t.v, (struct hv_vm *)&t);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ch_vsock_stop(&t.v);
	ch_vsock_stop(&t.v);
	t.far = fd_close(t.far);
	t.stream = fd_close(t.stream);
	loop_finish(&t.loop);
	return 0;
}

static void on_tick(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)w;
	(void)events;
}

#define UNTIL(what) \
	do { \
		uint64_t end_ms = loop_now_ms() + 5000; \
		ev_timer tick; \
		ev_timer_init(&tick, on_tick, .01, .01); \
		ev_timer_start(t.loop.ev, &tick); \
		while (!(what) && loop_now_ms() < end_ms) \
			ev_run(t.loop.ev, EVRUN_ONCE); \
		ev_timer_stop(t.loop.ev, &tick); \
		assert_true(what); \
	} while (0)

/* The helper refuses, or the VMM takes the connection. */
static void answer(int status)
{
	struct helper_call *c = t.call;
	struct helper_result r = { .status = status, .reason = "not yet" };
	int pair[2];

	t.call = NULL;
	if (status == 0) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		(void)fd_close(t.far);
		t.far = pair[1];
		r.fds = &pair[0];
		r.nfds = 1;
	}
	c->done(c, &r);
	if (status == 0)
		assert_int_equal(pair[0], -1);
}

static void asked(void)
{
	char line[32] = "";

	assert_int_equal(recv(t.far, line, sizeof(line), MSG_DONTWAIT), 13);
	assert_string_equal(line, "CONNECT 7717\n");
}

static void say(const char *text)
{
	assert_int_equal(send(t.far, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void tries_until_the_agent_is_there(void **state)
{
	static const char *const nonsense[] = { "ERR\n", "OK\n", "OK x\n", "OK 12345678901\n", "OK 1 \n", "ok 1\n", "\n",
						"OK 1111111111111111111111111111111111111111" };
	char rest[8] = "";

	(void)state;
	ch_vsock_seek(&t.v, 0);
	ch_vsock_seek(&t.v, 0);
	UNTIL(t.reached == 1);
	answer(-ENOENT);
	UNTIL(t.reached == 2);
	answer(0);
	asked();
	t.far = fd_close(t.far); /* hangs up: nobody listens in the guest */
	UNTIL(t.reached == 3);
	answer(0);
	asked();
	say("OK 10737");
	assert_int_equal(t.here, 0);
	say("41824\nhello");
	UNTIL(t.here == 1);
	assert_int_equal(read(t.stream, rest, sizeof(rest)), 5);
	assert_string_equal(rest, "hello");
	assert_int_equal(t.v.step, CH_VSOCK_IDLE);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		unsigned before = t.reached;

		ch_vsock_stop(&t.v);
		ch_vsock_seek(&t.v, 0);
		UNTIL(t.reached == before + 1);
		answer(0);
		asked();
		say(nonsense[i]);
		UNTIL(t.reached == before + 2);
		assert_int_equal(t.here, 1);
	}
}

static void stops_in_every_step(void **state)
{
	(void)state;
	ch_vsock_seek(&t.v, 60000);
	ch_vsock_stop(&t.v);
	ch_vsock_seek(&t.v, 0);
	UNTIL(t.reached == 1);
	ch_vsock_stop(&t.v);
	assert_null(t.call);
	ch_vsock_seek(&t.v, 0);
	UNTIL(t.reached == 2);
	answer(0);
	ch_vsock_stop(&t.v);
	assert_int_equal(t.v.fd, -1);
	ch_vsock_seek(&t.v, 0);
	UNTIL(t.reached == 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tries_until_the_agent_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(stops_in_every_step, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
