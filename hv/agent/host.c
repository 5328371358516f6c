/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. agent_host_connect() sends pad and HELLO and believes nothing before the answer with its nonce; then channels say where
 * they are (channel.c). Requests wait in a short list, swept every half second. The first frame against the rules ends the conversation in host_lose():
 * the descriptor is closed, requests fail, channels are suspended, the owner is told once.
 */
#include "hv/agent/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/host_priv.h"

#define GREET_WAIT_MS 10000 /* a guest that has just booted may be busy */
#define SWEEP_S	      0.5
#define OUT_KEEP      4096 /* bytes of memory for what goes out, between two bursts: credit fits, and the padding of a greeting is not kept for ever */

static void end_asks(struct agent_host *h, int status)
{
	struct host_ask *a = h->asks, *next;

	h->asks = NULL;
	h->nasks = 0;
	for (; a; a = next) {
		struct agent_in none = { .bad = true };

		next = a->next;
		if (!h->dead || a->surely)
			a->on_reply(a->arg, status, &none);
		free(a);
	}
}

static void wipe(struct agent_host *h)
{
	if (h->wipe && h->out.data)
		explicit_bzero(h->out.data, h->out.cap);
	h->wipe = false;
}

static void hang_up(struct agent_host *h)
{
	ev_io_stop(h->loop->ev, &h->on_read);
	ev_io_stop(h->loop->ev, &h->on_write);
	ev_timer_stop(h->loop->ev, &h->sweep);
	h->fd = fd_close(h->fd);
	wipe(h);
	buf_finish(&h->out);
	h->state = HOST_DOWN;
	h->feeding = false;
	for (struct agent_channel *c = h->channels; c; c = c->next)
		channel_suspend(c);
}

void host_lose(struct agent_host *h, const char *why)
{
	if (h->state == HOST_DOWN || h->dead)
		return;
	hang_up(h);
	end_asks(h, -ENOTCONN);
	if (!h->dead && h->state == HOST_DOWN)
		h->hooks->on_lost(h->arg, why);
}

int host_send(struct agent_host *h, const struct agent_frame *head, const void *body, size_t len)
{
	size_t start;
	int r;

	if (h->state == HOST_DOWN || h->dead)
		return -ENOTCONN;
	start = agent_frame_begin(&h->out, head);
	agent_put_bytes(&h->out, body, len);
	r = agent_frame_end(&h->out, start, h->hello.tail);
	if (r == 0)
		host_wake(h);
	return r == -ENOSPC ? -EAGAIN : r;
}

static int ask(struct agent_host *h, const struct host_ask *wish, const struct buf *body, unsigned wait_ms)
{
	struct agent_frame head = { .type = wish->type, .job = wish->job };
	struct host_ask *a, **last = &h->asks;
	int r;

	if (h->state != HOST_READY)
		return -ENOTCONN;
	if (h->nasks >= HOST_ASK_MAX)
		return -EAGAIN;
	if (body && body->full)
		return -EMSGSIZE;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	head.seq = ++h->seq ? h->seq : ++h->seq;
	h->wipe = h->wipe || wish->type == AGENT_SECRET;
	r = host_send(h, &head, body ? body->data : NULL, body ? body->len : 0);
	if (r < 0) {
		free(a);
		return r;
	}
	*a = *wish;
	a->seq = head.seq;
	a->deadline_ms = loop_now_ms() + wait_ms;
	while (*last)
		last = &(*last)->next;
	*last = a;
	h->nasks++;
	if (!ev_is_active(&h->sweep))
		ev_timer_again(h->loop->ev, &h->sweep);
	return 0;
}

int agent_host_ask(struct agent_host *h, enum agent_type type, uint32_t job, const struct buf *body, unsigned wait_ms,
		   void (*on_reply)(void *arg, int status, struct agent_in *in), void *arg)
{
	const struct host_ask wish = { .job = job, .type = (uint8_t)type, .on_reply = on_reply, .arg = arg };

	return ask(h, &wish, body, wait_ms);
}

int agent_host_ask_surely(struct agent_host *h, enum agent_type type, const struct buf *body, unsigned wait_ms,
			  void (*on_reply)(void *arg, int status, struct agent_in *in), void *arg)
{
	const struct host_ask wish = { .type = (uint8_t)type, .surely = true, .on_reply = on_reply, .arg = arg };

	return ask(h, &wish, body, wait_ms);
}

static struct host_ask *take_ask(struct agent_host *h, struct host_ask **at)
{
	struct host_ask *a = *at;

	*at = a->next;
	h->nasks--;
	return a;
}

/* Callbacks may add requests, end the conversation or destroy the host: after each the list is looked at anew. */
static bool expire_one(struct agent_host *h, uint64_t now_ms)
{
	for (struct host_ask **at = &h->asks; *at; at = &(*at)->next) {
		struct agent_in none = { .bad = true };
		struct host_ask *a;

		if ((*at)->deadline_ms > now_ms)
			continue;
		a = take_ask(h, at);
		a->on_reply(a->arg, -ETIMEDOUT, &none);
		free(a);
		return true;
	}
	return false;
}

static void on_sweep(struct ev_loop *ev, ev_timer *w, int events)
{
	struct agent_host *h = w->data;
	uint64_t now_ms = loop_now_ms();

	(void)events;
	if (h->state == HOST_GREETING && now_ms >= h->greet_by_ms) {
		host_lose(h, "the agent does not answer");
		return;
	}
	while (!h->dead && expire_one(h, now_ms))
		;
	if (!h->dead && h->state == HOST_READY && !h->asks)
		ev_timer_stop(ev, w);
}

static const char *on_reply(struct agent_host *h, struct agent_frame *f)
{
	uint8_t type = f->type & (uint8_t)~AGENT_REPLY;
	struct host_ask **at = &h->asks, *a;
	int status = (int)(int32_t)agent_get_u32(&f->body);

	while (*at && (*at)->seq != f->seq)
		at = &(*at)->next;
	if (f->body.bad || status > 0 || status < -4095)
		return "a malformed answer";
	if (!*at)
		return NULL; /* came too late */
	if ((*at)->type != type || (*at)->job != f->job)
		return "an answer to something else";
	a = take_ask(h, at);
	a->on_reply(a->arg, status, &f->body);
	free(a);
	return NULL;
}

static const char *on_hello(struct agent_host *h, struct agent_frame *f)
{
	struct agent_hello hello;

	if (h->state != HOST_GREETING || agent_get_hello_reply(&f->body, &hello) < 0)
		return "an unexpected greeting";
	if (memcmp(hello.nonce, h->hello.nonce, sizeof(hello.nonce)) != 0)
		return NULL; /* meant for a predecessor */
	if (hello.highest < AGENT_VERSION_LOWEST || hello.highest > AGENT_VERSION)
		return "another version of the protocol";
	h->version = hello.highest;
	h->state = HOST_READY;
	h->reader.tail = h->hello.tail;
	for (struct agent_channel *c = h->channels; c; c = c->next)
		channel_resume(c);
	h->hooks->on_ready(h->arg, hello.boot_id);
	return NULL;
}

static const char *on_stream(struct agent_host *h, struct agent_frame *f)
{
	for (struct agent_channel *c = h->channels; c; c = c->next) {
		if (c->hooks && c->job == f->job && c->state == CHANNEL_LIVE)
			return channel_frame(c, f);
	}
	return NULL; /* of a channel that was let go */
}

static bool on_frame(void *arg, struct agent_frame *f)
{
	struct agent_host *h = arg;
	const char *wrong;

	if (f->type == (AGENT_HELLO | AGENT_REPLY))
		wrong = on_hello(h, f);
	else if (f->type & AGENT_REPLY)
		wrong = on_reply(h, f);
	else if (f->type >= AGENT_DATA && f->type <= AGENT_EXIT)
		wrong = on_stream(h, f);
	else
		wrong = "an unknown frame";
	if (wrong)
		host_lose(h, wrong);
	return h->feeding;
}

static void on_read(struct ev_loop *ev, ev_io *w, int events)
{
	static uint8_t chunk[4 * AGENT_FRAME_MAX]; /* one thread; nothing of it is needed after this. What a flood gives at once stays whole */
	struct agent_host *h = w->data;
	ssize_t n = read(h->fd, chunk, sizeof(chunk));
	size_t used = n > 0 ? (size_t)n : 0;

	(void)ev;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		host_lose(h, n < 0 ? strerror(errno) : "the agent has gone"); /* NOLINT(concurrency-mt-unsafe) */
		return;
	}
	h->feeding = true;
	(void)agent_reader_feed(&h->reader, chunk, &used, on_frame, h);
	/* What comes before the greeting belongs to another conversation and may be cut anywhere. */
	if (h->feeding && h->state == HOST_READY && h->reader.tail == 0)
		host_lose(h, "a malformed frame");
}

/* What waits goes at the end of the turn; only for a full descriptor is the loop asked. */
static void write_out(struct agent_host *h)
{
	bool was_full = h->out.len >= HOST_STREAM_MAX;
	ssize_t n = h->out.len > 0 ? write(h->fd, h->out.data, h->out.len) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		host_lose(h, strerror(errno)); /* NOLINT(concurrency-mt-unsafe) */
		return;
	}
	buf_eat(&h->out, n > 0 ? (size_t)n : 0);
	if (h->out.len == 0) {
		wipe(h);
		ev_io_stop(h->loop->ev, &h->on_write);
	} else {
		ev_io_start(h->loop->ev, &h->on_write);
	}
	if (h->out.len == 0 && h->out.cap > OUT_KEEP)
		buf_finish(&h->out);
	if (was_full && h->out.len < HOST_STREAM_MAX)
		host_wake(h);
}

static void on_write(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)events;
	write_out(w->data);
}

static void run_task(struct loop_task *task)
{
	struct agent_host *h = container_of(task, struct agent_host, task);

	if (h->dead) {
		agent_reader_finish(&h->reader);
		free(h);
		return;
	}
	for (struct agent_channel *c = h->channels; c && h->state == HOST_READY; c = c->next)
		channel_pump(c);
	loop_cancel(h->loop, task); /* what they queued goes now */
	if (h->state != HOST_DOWN && !ev_is_active(&h->on_write))
		write_out(h);
}

void host_wake(struct agent_host *h)
{
	loop_defer(h->loop, &h->task, run_task);
}

struct agent_host *agent_host_create(struct loop *loop, const struct agent_host_hooks *hooks, void *arg)
{
	struct agent_host *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->loop = loop;
	h->hooks = hooks;
	h->arg = arg;
	h->fd = -1;
	ev_init(&h->on_read, on_read);
	ev_init(&h->on_write, on_write);
	ev_timer_init(&h->sweep, on_sweep, SWEEP_S, SWEEP_S);
	h->on_read.data = h->on_write.data = h->sweep.data = h;
	return h;
}

static int choose_hello(struct agent_hello *hello)
{
	*hello = (struct agent_hello){ .lowest = AGENT_VERSION_LOWEST, .highest = AGENT_VERSION };
	if (getrandom(hello->nonce, sizeof(hello->nonce), 0) != (ssize_t)sizeof(hello->nonce))
		return -EIO;
	memcpy(&hello->tail, hello->nonce, sizeof(hello->tail));
	hello->tail = (hello->tail & 0x7f7f7f7fU) | 1U; /* no byte of a good tail is the pad, and it is not 0 */
	return 0;
}

int agent_host_connect(struct agent_host *h, int fd)
{
	struct buf body = BUF_INIT(64);
	int r = choose_hello(&h->hello);

	if (h->state != HOST_DOWN) {
		hang_up(h);
		end_asks(h, -ENOTCONN);
	}
	if (r == 0)
		r = fd_nonblock(fd);
	if (r < 0) {
		(void)fd_close(fd);
		return r;
	}
	agent_reader_finish(&h->reader);
	agent_reader_init(&h->reader, AGENT_HELLO | AGENT_REPLY);
	h->fd = fd;
	h->out = BUF_INIT(HOST_OUT_MAX);
	h->state = HOST_GREETING;
	h->greet_by_ms = loop_now_ms() + GREET_WAIT_MS;
	ev_io_set(&h->on_read, fd, EV_READ);
	ev_io_set(&h->on_write, fd, EV_WRITE);
	ev_io_start(h->loop->ev, &h->on_read);
	ev_timer_again(h->loop->ev, &h->sweep);
	agent_put_pad(&h->out);
	agent_put_hello(&body, &h->hello);
	r = host_send(h, &(struct agent_frame){ .type = AGENT_HELLO }, body.data, body.len);
	buf_finish(&body);
	if (r < 0)
		hang_up(h);
	return r;
}

void agent_host_disconnect(struct agent_host *h)
{
	if (h->state == HOST_DOWN)
		return;
	hang_up(h);
	end_asks(h, -ENOTCONN);
}

unsigned agent_host_version(const struct agent_host *h)
{
	return h->state == HOST_READY ? h->version : 0;
}

struct agent_host *agent_host_destroy(struct agent_host *h)
{
	if (!h || h->dead)
		return NULL;
	h->dead = true;
	hang_up(h);
	end_asks(h, -ENOTCONN);
	while (h->channels)
		(void)agent_channel_destroy(h->channels, AGENT_LEAVE);
	loop_defer(h->loop, &h->task, run_task);
	return NULL;
}
