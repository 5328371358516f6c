/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/run/hv_boot_agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/loop.h"
#include "hv/agent/host.h"

#define WINDOW	(256U << 10)
#define WAIT_MS 20000

static struct {
	struct loop *loop;
	struct buf *seen;
	void (*on_answer)(void), (*on_lost)(void);
	ev_timer lost;
	struct agent_host *host;
	struct agent_channel *channel;
	unsigned answers, waited_for;
	bool exited, replied;
	int exit_status, reply_status;
} a;

static void on_ready(void *arg, const uint8_t boot_id[16])
{
	(void)arg;
	(void)fprintf(stderr, "agent: answered, boot id %02x%02x..\n", boot_id[0], boot_id[1]);
	a.answers++;
	a.on_answer();
}

static void on_lost(void *arg, const char *why)
{
	(void)arg;
	(void)fprintf(stderr, "agent: lost: %s\n", why);
	ev_timer_set(&a.lost, 0.2, 0.);
	ev_timer_start(a.loop->ev, &a.lost);
}

static void on_moment(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)w;
	(void)events;
	a.on_lost();
}

static const struct agent_host_hooks host_hooks = { .on_ready = on_ready, .on_lost = on_lost };

void talk_init(struct loop *loop, struct buf *seen, void (*on_answer)(void), void (*on_lost_hook)(void))
{
	a.loop = loop;
	a.seen = seen;
	a.on_answer = on_answer;
	a.on_lost = on_lost_hook;
	ev_init(&a.lost, on_moment);
	a.host = agent_host_create(loop, &host_hooks, NULL);
}

void talk_finish(void)
{
	ev_timer_stop(a.loop->ev, &a.lost);
	a.channel = a.channel ? agent_channel_destroy(a.channel, AGENT_LEAVE) : NULL;
	a.host = agent_host_destroy(a.host);
}

void talk_connect(int fd)
{
	ev_timer_stop(a.loop->ev, &a.lost);
	(void)agent_host_connect(a.host, fd);
}

bool talk_is_answered(const char *arg)
{
	(void)arg;
	if (a.answers <= a.waited_for)
		return false;
	a.waited_for = a.answers;
	return true;
}

/* --- requests --- */

static void on_reply(void *arg, int status, struct agent_in *in)
{
	(void)in;
	(void)fprintf(stderr, "agent: %s: %d\n", (const char *)arg, status);
	a.replied = true;
	a.reply_status = status;
}

static void on_health(void *arg, int status, struct agent_in *in)
{
	if (status == 0) {
		uint64_t up = agent_get_u64(in), memory = agent_get_u64(in), left = agent_get_u64(in);

		(void)buf_printf(a.seen, "health up=%llu memory=%lluM free=%lluM jobs=%u\n", (unsigned long long)up,
				 (unsigned long long)(memory >> 20), (unsigned long long)(left >> 20), agent_get_u32(in));
	}
	on_reply(arg, status, in);
}

static bool ask(enum agent_type type, const struct buf *body, void (*reply)(void *, int, struct agent_in *), const char *what)
{
	a.replied = false;
	return agent_host_ask(a.host, type, 0, body, WAIT_MS, reply, (void *)(uintptr_t)what) == 0;
}

bool talk_health(const char *arg)
{
	(void)arg;
	return ask(AGENT_HEALTH, NULL, on_health, "health");
}

bool talk_name(const char *hostname)
{
	struct agent_identity i = { .hostname = hostname };
	struct buf body = BUF_INIT(1024);
	bool good;

	agent_put_identity(&body, &i);
	good = ask(AGENT_IDENTITY, &body, on_reply, "identity");
	buf_finish(&body);
	return good;
}

bool talk_off(const char *arg)
{
	struct buf body = BUF_INIT(16);
	bool good;

	(void)arg;
	agent_put_u32(&body, AGENT_POWER_OFF);
	good = ask(AGENT_POWER, &body, on_reply, "power");
	buf_finish(&body);
	return good;
}

bool talk_is_replied(const char *status)
{
	return a.replied && a.reply_status == (status ? (int)strtol(status, NULL, 10) : 0);
}

/* --- programs --- */

static void on_open(void *arg, int status, const struct agent_job *job)
{
	(void)arg;
	(void)fprintf(stderr, "agent: opened: %d, job %u\n", status, job ? job->id : 0);
}

static void on_output(void *arg, enum agent_stream stream, uint64_t offset, const uint8_t *data, size_t len)
{
	(void)arg;
	(void)fwrite(data, 1, len, stdout);
	(void)fflush(stdout);
	(void)buf_add(a.seen, data, len);
	agent_channel_take(a.channel, stream, offset + len);
}

static void on_end(void *arg, enum agent_stream stream)
{
	(void)arg;
	(void)stream;
}

static void on_room(void *arg)
{
	(void)arg;
}

static void on_exit_told(void *arg, int status, unsigned signal)
{
	(void)arg;
	(void)fprintf(stderr, "agent: exit %d, signal %u\n", status, signal);
	a.exited = true;
	a.exit_status = signal ? 128 + (int)signal : status;
}

static const struct agent_channel_hooks channel_hooks = {
	.on_open = on_open, .on_output = on_output, .on_end = on_end, .on_room = on_room, .on_exit = on_exit_told,
};

static bool open_job(enum agent_kind kind, const char *command)
{
	struct agent_open o = { .kind = kind, .cols = 80, .rows = 24, .cwd = "" };

	if (command[0] != '\0') {
		o.argv[0] = "sh";
		o.argv[1] = "-c";
		o.argv[2] = command;
	}
	if (getrandom(o.tag, sizeof(o.tag), 0) != (ssize_t)sizeof(o.tag))
		return false;
	if (a.channel)
		(void)agent_channel_destroy(a.channel, AGENT_HANG_UP);
	a.exited = false;
	a.channel = agent_channel_open(a.host, &o, WINDOW, &channel_hooks, NULL);
	return a.channel != NULL;
}

bool talk_exec(const char *command)
{
	return open_job(AGENT_KIND_EXEC, command);
}

bool talk_pty(const char *command)
{
	return open_job(AGENT_KIND_PTY, command ? command : "");
}

bool talk_type(const char *text)
{
	return a.channel && agent_channel_write(a.channel, text, strlen(text)) == strlen(text);
}

bool talk_size(const char *cols_x_rows)
{
	unsigned cols, rows;

	return a.channel && sscanf(cols_x_rows, "%ux%u", &cols, &rows) == 2 &&
	       agent_channel_resize(a.channel, (uint16_t)cols, (uint16_t)rows, 0, 0) == 0;
}

bool talk_is_exit(const char *status)
{
	return a.exited && a.exit_status == (status ? (int)strtol(status, NULL, 10) : 0);
}
