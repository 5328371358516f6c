/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest. The greeting is answered as it should be; then the input is a list of frames {type, stream, job, seq, len, body} which get the
 * right tail, with channels and requests under way. Output must come without holes, callbacks at most once where it says so.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "hv/agent/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WINDOW 4096U

struct run {
	struct agent_host *host;
	struct agent_channel *channel[2];
	uint64_t next[2][2];
	bool known[2][2];
	unsigned exits[2], lost, replies, asked;
};

struct end {
	struct run *run;
	int which;
};

static void on_ready(void *arg, const uint8_t boot_id[16])
{
	(void)arg;
	(void)boot_id;
}

static void on_lost(void *arg, const char *why)
{
	struct run *r = arg;

	(void)why;
	if (++r->lost > 1)
		abort();
}

static void on_open(void *arg, int status, const struct agent_job *job)
{
	if ((status == 0) != (job != NULL) || !arg)
		abort();
}

static void on_output(void *arg, enum agent_stream stream, uint64_t offset, const uint8_t *data, size_t len)
{
	struct end *e = arg;
	int s = stream == AGENT_STDERR;
	uint64_t *next = &e->run->next[e->which][s];

	if (len == 0 || len > WINDOW || !data || (e->run->known[e->which][s] && offset != *next))
		abort();
	e->run->known[e->which][s] = true;
	*next = offset + len;
	if (data[0] & 1)
		agent_channel_take(e->run->channel[e->which], stream, *next);
}

static void on_end(void *arg, enum agent_stream stream)
{
	struct end *e = arg;

	if (stream == AGENT_STDERR && e->which == 1)
		e->run->channel[1] = agent_channel_destroy(e->run->channel[1], AGENT_HANG_UP);
}

static void on_room(void *arg)
{
	(void)arg;
}

static void on_exit_told(void *arg, int status, unsigned signal)
{
	struct end *e = arg;

	(void)status;
	(void)signal;
	if (++e->run->exits[e->which] > 1)
		abort();
}

static void on_reply(void *arg, int status, struct agent_in *in)
{
	struct run *r = arg;

	if (status > 0 || !in || ++r->replies > r->asked)
		abort();
}

static void spin(struct loop *l)
{
	for (int i = 0; i < 4; i++)
		ev_run(l->ev, EVRUN_NOWAIT);
}

/* Reads the host's pad and HELLO and answers. Returns the tail. */
static uint32_t greet(struct loop *l, int fd)
{
	static uint8_t in[2 * AGENT_FRAME_MAX];
	size_t hello_bytes = AGENT_HEAD_BYTES + 32 + AGENT_TAIL_BYTES, got = 0;
	struct buf out = BUF_INIT(2 * AGENT_FRAME_MAX);
	struct agent_hello h = { 0 };
	struct agent_in body;
	size_t start;

	for (int i = 0; i < 64 && got < AGENT_FRAME_MAX + hello_bytes; i++) {
		ssize_t n;

		spin(l);
		n = read(fd, in + got, sizeof(in) - got);
		got += n > 0 ? (size_t)n : 0;
	}
	body = (struct agent_in){ in + AGENT_FRAME_MAX + AGENT_HEAD_BYTES, 32, false };
	if (got != AGENT_FRAME_MAX + hello_bytes || agent_get_hello(&body, &h) < 0)
		abort();
	agent_put_pad(&out);
	start = agent_frame_begin(&out, &(struct agent_frame){ .type = AGENT_HELLO | AGENT_REPLY });
	agent_put_hello_reply(&out, &h);
	if (agent_frame_end(&out, start, h.tail) < 0 || write(fd, out.data, out.len) != (ssize_t)out.len)
		abort();
	buf_finish(&out);
	spin(l);
	return h.tail;
}

/* Says the input in frames. */
static void talk(struct loop *l, int fd, uint32_t tail, struct agent_in in)
{
	static uint8_t drain[65536];

	while (in.left > 0) {
		struct agent_frame head = { .type = agent_get_u8(&in), .stream = agent_get_u8(&in) % 4 };
		struct buf out = BUF_INIT(AGENT_FRAME_MAX);
		size_t len, start;

		head.job = agent_get_u8(&in);
		head.seq = agent_get_u8(&in);
		len = agent_get_u8(&in);
		len = len < in.left ? len : in.left;
		start = agent_frame_begin(&out, &head);
		agent_put_bytes(&out, in.at, len);
		in.at += len;
		in.left -= len;
		if (agent_frame_end(&out, start, tail) < 0)
			abort();
		(void)!write(fd, out.data, out.len);
		buf_finish(&out);
		spin(l);
		(void)!read(fd, drain, sizeof(drain));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct agent_host_hooks host_hooks = { .on_ready = on_ready, .on_lost = on_lost };
	static const struct agent_channel_hooks hooks = {
		.on_open = on_open, .on_output = on_output, .on_end = on_end, .on_room = on_room, .on_exit = on_exit_told
	};
	const struct agent_open open = { .kind = AGENT_KIND_EXEC, .argv = { "x" } };
	const uint64_t from[2] = { AGENT_OLDEST, 0 };
	struct run run = { 0 };
	struct end ends[2] = { { &run, 0 }, { &run, 1 } };
	struct loop l;
	uint32_t tail;
	int pair[2];

	if (loop_init(&l) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	run.host = agent_host_create(&l, &host_hooks, &run);
	if (!run.host || agent_host_connect(run.host, pair[0]) < 0)
		abort();
	tail = greet(&l, pair[1]);
	run.channel[0] = agent_channel_open(run.host, &open, WINDOW, &hooks, &ends[0]);
	run.channel[1] = agent_channel_attach(run.host, 2, from, WINDOW, &hooks, &ends[1]);
	(void)agent_channel_write(run.channel[0], "some input", 10);
	run.asked += agent_host_ask(run.host, AGENT_HEALTH, 0, NULL, 1000, on_reply, &run) == 0;
	spin(&l);
	talk(&l, pair[1], tail, (struct agent_in){ data, size, false });
	run.host = agent_host_destroy(run.host);
	(void)close(pair[1]);
	loop_finish(&l);
	return 0;
}
