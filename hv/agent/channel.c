/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A channel is one job as the gateway sees it, across conversations: NEW -OPEN-> ASKED -ATTACH-> LIVE, back to NEW when the
 * conversation ends; LOST when the guest has it no more. Output is counted by what came (got) and what is in safe hands (taken). ATTACH names
 * taken, since that is what the guest may forget; what comes again up to got is passed over. Input is kept from in_base, which the guest has confirmed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/agent/host_priv.h"

#define OPEN_WAIT_MS 15000

static void lose_job(struct agent_channel *c, int status)
{
	c->state = CHANNEL_LOST;
	if (c->hooks)
		c->hooks->on_open(c->arg, status, NULL);
}

/* A guest that is slow has not said no; both requests may be repeated. */
static void not_answered(struct agent_channel *c, int status)
{
	if (status != -ETIMEDOUT) {
		lose_job(c, status);
		return;
	}
	c->state = CHANNEL_NEW;
	host_wake(c->h);
}

static int send_credit(struct agent_channel *c, int s)
{
	struct host_source *src = &c->out[s];
	uint8_t room[16];
	struct buf body = { .data = NULL, .limit = sizeof(room) };
	int r;

	agent_put_u64(&body, src->taken);
	agent_put_u64(&body, src->taken + c->window);
	r = host_send(c->h, &(struct agent_frame){ .type = AGENT_CREDIT, .stream = (uint8_t)(AGENT_STDOUT + s), .job = c->job }, body.data,
		      body.len);
	buf_finish(&body);
	if (r == 0)
		src->limit = src->taken + c->window;
	return r;
}

static int send_size(struct agent_channel *c);

/* Where input goes on is the guest's to say, within what it can know. */
static bool resume_input(struct agent_channel *c, uint64_t in_taken)
{
	if (!c->opened)
		c->in_base = in_taken; /* nothing was sent yet */
	if (in_taken < c->in_base || in_taken - c->in_base > c->in.len)
		return false;
	buf_eat(&c->in, (size_t)(in_taken - c->in_base));
	c->in_base = c->in_sent = c->in_limit = in_taken;
	c->end_sent = false;
	return true;
}

static bool resume_output(struct host_source *src, uint64_t first, uint64_t end)
{
	if (src->taken == AGENT_OLDEST)
		src->taken = src->got = first;
	if (src->taken != first || end < src->got)
		return false;
	src->next = src->limit = src->taken;
	src->ended = false;
	return true;
}

static void on_attached(void *arg, int status, struct agent_in *in)
{
	struct agent_channel *c = arg;
	struct agent_job job;

	if (!c->hooks || status == -ENOTCONN)
		return;
	if (status < 0) {
		not_answered(c, status);
		return;
	}
	if (agent_get_job(in, &job) < 0 || !agent_get_done(in) || job.id != c->job || !resume_input(c, job.in_taken) ||
	    !resume_output(&c->out[0], job.first[0], job.end[0]) || !resume_output(&c->out[1], job.first[1], job.end[1])) {
		host_lose(c->h, "a job that is not the one of before");
		return;
	}
	c->state = CHANNEL_LIVE;
	(void)send_credit(c, 0);
	if (job.kind == AGENT_KIND_EXEC)
		(void)send_credit(c, 1);
	else
		c->out[1].ended = c->out[1].end_told = true;
	c->size_due = c->sized;
	host_wake(c->h);
	if (!c->opened) {
		c->opened = true;
		c->hooks->on_open(c->arg, 0, &job);
	}
}

static void attach(struct agent_channel *c)
{
	struct buf body = BUF_INIT(16);
	int r;

	agent_put_u64(&body, c->out[0].taken);
	agent_put_u64(&body, c->out[1].taken);
	c->state = CHANNEL_ASKED;
	r = agent_host_ask(c->h, AGENT_ATTACH, c->job, &body, OPEN_WAIT_MS, on_attached, c);
	buf_finish(&body);
	if (r < 0)
		c->state = CHANNEL_NEW; /* channel_pump() tries again */
}

static void on_opened(void *arg, int status, struct agent_in *in)
{
	struct agent_channel *c = arg;
	struct agent_job job;

	if (!c->hooks || status == -ENOTCONN)
		return;
	if (status < 0) {
		not_answered(c, status);
		return;
	}
	if (agent_get_job(in, &job) < 0 || !agent_get_done(in)) {
		host_lose(c->h, "a malformed job");
		return;
	}
	c->job = job.id;
	buf_finish(&c->open);
	/* A job that an earlier gateway opened: it has taken what is not there any more. */
	for (int s = 0; s < 2; s++)
		c->out[s].taken = c->out[s].got = job.first[s];
	attach(c);
}

void channel_resume(struct agent_channel *c)
{
	int r;

	if (!c->hooks || c->state != CHANNEL_NEW)
		return;
	if (c->job != 0) {
		attach(c);
		return;
	}
	c->state = CHANNEL_ASKED;
	r = agent_host_ask(c->h, AGENT_OPEN, 0, &c->open, OPEN_WAIT_MS, on_opened, c);
	if (r < 0)
		c->state = CHANNEL_NEW;
}

void channel_suspend(struct agent_channel *c)
{
	if (c->state != CHANNEL_LOST)
		c->state = CHANNEL_NEW;
}

static const char *on_data(struct agent_channel *c, struct host_source *src, struct agent_frame *f)
{
	uint64_t offset = agent_get_u64(&f->body);
	size_t known;

	if (f->body.bad || f->body.left == 0 || offset != src->next || src->ended || f->body.left > src->limit - src->next)
		return "output out of place";
	src->next += f->body.left;
	known = src->got > offset ? (size_t)(src->got - offset) : 0;
	if (known >= f->body.left)
		return NULL;
	src->got = src->next;
	c->hooks->on_output(c->arg, (enum agent_stream)f->stream, offset + known, f->body.at + known, f->body.left - known);
	return NULL;
}

static const char *on_credit(struct agent_channel *c, struct agent_frame *f)
{
	uint64_t taken = agent_get_u64(&f->body), limit = agent_get_u64(&f->body);
	bool moved;

	if (!agent_get_done(&f->body) || f->stream != AGENT_STDIN || taken < c->in_base || taken > c->in_sent || limit < c->in_limit ||
	    limit < taken)
		return "credit out of place";
	moved = taken > c->in_base;
	buf_eat(&c->in, (size_t)(taken - c->in_base));
	c->in_base = taken;
	c->in_limit = limit;
	host_wake(c->h);
	if (moved && c->hooks->on_taken)
		c->hooks->on_taken(c->arg);
	if (c->hooks && c->wants_room && c->in.len < AGENT_INPUT_BYTES / 2) {
		c->wants_room = false;
		c->hooks->on_room(c->arg);
	}
	return NULL;
}

static const char *on_end(struct agent_channel *c, struct host_source *src, struct agent_frame *f)
{
	uint64_t offset = agent_get_u64(&f->body);

	if (!agent_get_done(&f->body) || offset != src->next || src->got > offset || src->ended)
		return "an end out of place";
	src->ended = true;
	if (src->end_told)
		return NULL;
	src->end_told = true;
	c->hooks->on_end(c->arg, (enum agent_stream)f->stream);
	return NULL;
}

static const char *on_exit_frame(struct agent_channel *c, struct agent_frame *f)
{
	int status = (int)(int32_t)agent_get_u32(&f->body);
	unsigned signal = agent_get_u32(&f->body);

	if (!agent_get_done(&f->body) || !c->out[0].ended || !c->out[1].ended)
		return "an exit before the end of the output";
	if (c->exit_told)
		return NULL;
	c->exit_told = true;
	c->hooks->on_exit(c->arg, status, signal);
	return NULL;
}

const char *channel_frame(struct agent_channel *c, struct agent_frame *f)
{
	struct host_source *src = &c->out[f->stream == AGENT_STDERR];

	if (f->type == AGENT_EXIT)
		return on_exit_frame(c, f);
	if (f->type == AGENT_CREDIT)
		return on_credit(c, f);
	if (f->stream == AGENT_STDIN)
		return "output in the stream of input";
	return f->type == AGENT_DATA ? on_data(c, src, f) : on_end(c, src, f);
}

static int send_input(struct agent_channel *c)
{
	struct agent_frame head = { .type = AGENT_DATA, .stream = AGENT_STDIN, .job = c->job };
	size_t at = (size_t)(c->in_sent - c->in_base), n = c->in.len - at, start;
	int r;

	if (n > c->in_limit - c->in_sent)
		n = (size_t)(c->in_limit - c->in_sent);
	n = n < AGENT_DATA_MAX ? n : AGENT_DATA_MAX;
	if (n == 0)
		return -EAGAIN;
	start = agent_frame_begin(&c->h->out, &head);
	agent_put_u64(&c->h->out, c->in_sent);
	agent_put_bytes(&c->h->out, c->in.data + at, n);
	r = agent_frame_end(&c->h->out, start, c->h->hello.tail);
	if (r == 0)
		c->in_sent += n;
	return r;
}

static void send_end(struct agent_channel *c)
{
	struct buf body = BUF_INIT(8);

	agent_put_u64(&body, c->in_sent);
	if (host_send(c->h, &(struct agent_frame){ .type = AGENT_END, .stream = AGENT_STDIN, .job = c->job }, body.data, body.len) == 0)
		c->end_sent = true;
	buf_finish(&body);
}

void channel_pump(struct agent_channel *c)
{
	if (c->state == CHANNEL_NEW)
		channel_resume(c);
	if (c->state != CHANNEL_LIVE)
		return;
	for (int s = 0; s < 2; s++) {
		struct host_source *src = &c->out[s];

		/* Half of it at a time: few frames, and the guest has the other half meanwhile. */
		if (!src->ended && src->taken + c->window - src->limit >= c->window / 2U && send_credit(c, s) < 0)
			return;
	}
	if (c->size_due)
		(void)send_size(c);
	while (c->h->out.len < HOST_STREAM_MAX && send_input(c) == 0)
		;
	if (c->in_end && !c->end_sent && c->in_sent == c->in_base + c->in.len)
		send_end(c);
}

static struct agent_channel *channel_create(struct agent_host *h, uint32_t window, const struct agent_channel_hooks *hooks, void *arg)
{
	struct agent_channel *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->h = h;
	c->hooks = hooks;
	c->arg = arg;
	c->window = window;
	c->in = BUF_INIT(AGENT_INPUT_BYTES);
	c->open = BUF_INIT(AGENT_FRAME_MAX);
	c->next = h->channels;
	h->channels = c;
	host_wake(h);
	return c;
}

struct agent_channel *agent_channel_open(struct agent_host *h, const struct agent_open *open, uint32_t window,
					 const struct agent_channel_hooks *hooks, void *arg)
{
	struct agent_channel *c = channel_create(h, window, hooks, arg);

	if (!c)
		return NULL;
	agent_put_open(&c->open, open);
	return c->open.full ? agent_channel_destroy(c, AGENT_LEAVE) : c;
}

struct agent_channel *agent_channel_attach(struct agent_host *h, uint32_t job, const uint64_t from[2], uint32_t window,
					   const struct agent_channel_hooks *hooks, void *arg)
{
	struct agent_channel *c = channel_create(h, window, hooks, arg);

	if (!c)
		return NULL;
	c->job = job;
	for (int s = 0; s < 2; s++)
		c->out[s].taken = c->out[s].got = from[s];
	return c;
}

size_t agent_channel_write(struct agent_channel *c, const void *data, size_t len)
{
	size_t n = AGENT_INPUT_BYTES - c->in.len;

	n = len < n ? len : n;
	if (c->in_end || buf_add(&c->in, data, n) < 0)
		n = 0;
	c->wants_room = c->wants_room || n < len;
	host_wake(c->h);
	return n;
}

void agent_channel_end(struct agent_channel *c)
{
	c->in_end = true;
	host_wake(c->h);
}

void agent_channel_take(struct agent_channel *c, enum agent_stream stream, uint64_t offset)
{
	struct host_source *src = &c->out[stream == AGENT_STDERR];

	if (offset <= src->taken || offset > src->got)
		return;
	src->taken = offset;
	host_wake(c->h);
}

uint64_t agent_channel_input(const struct agent_channel *c)
{
	return c->in_base;
}

static void ignore_reply(void *arg, int status, struct agent_in *in)
{
	(void)arg;
	(void)status;
	(void)in;
}

/* What cannot be said now, because too much is under way, is said by channel_pump(). */
static int send_size(struct agent_channel *c)
{
	struct buf body = BUF_INIT(8);
	int r;

	for (size_t i = 0; i < 4; i++)
		agent_put_u16(&body, c->size[i]);
	r = agent_host_ask(c->h, AGENT_RESIZE, c->job, &body, OPEN_WAIT_MS, ignore_reply, NULL);
	buf_finish(&body);
	c->size_due = r < 0;
	return r;
}

int agent_channel_resize(struct agent_channel *c, uint16_t cols, uint16_t rows, uint16_t xpix, uint16_t ypix)
{
	const uint16_t size[4] = { cols, rows, xpix, ypix };

	memcpy(c->size, size, sizeof(size));
	c->sized = true;
	return c->state == CHANNEL_LIVE ? send_size(c) : 0;
}

int agent_channel_signal(struct agent_channel *c, unsigned number)
{
	struct buf body = BUF_INIT(4);
	int r;

	agent_put_u32(&body, number);
	r = c->state == CHANNEL_LIVE ? agent_host_ask(c->h, AGENT_SIGNAL, c->job, &body, OPEN_WAIT_MS, ignore_reply, NULL) : -ENOTCONN;
	buf_finish(&body);
	return r;
}

/* Replies to its own requests may still come: they find hooks empty as long as the object is there, so it goes when none is left. */
static void reap(struct loop_task *task)
{
	channel_free(container_of(task, struct agent_channel, reap));
}

void channel_free(struct agent_channel *c)
{
	buf_finish(&c->in);
	buf_finish(&c->open);
	free(c);
}

/* A reply to a channel that has gone is nobody's. */
static void forget_asks(struct agent_channel *c)
{
	for (struct host_ask *a = c->h->asks; a; a = a->next) {
		if (a->arg == c && (a->on_reply == on_attached || a->on_reply == on_opened)) {
			a->on_reply = ignore_reply;
			a->arg = NULL;
		}
	}
}

struct agent_channel *agent_channel_destroy(struct agent_channel *c, enum agent_parting how)
{
	if (!c || !c->hooks)
		return NULL;
	if (how == AGENT_HANG_UP && c->job != 0 && c->h->state == HOST_READY)
		(void)agent_host_ask(c->h, AGENT_CLOSE, c->job, NULL, OPEN_WAIT_MS, ignore_reply, NULL);
	c->hooks = NULL;
	forget_asks(c);
	for (struct agent_channel **p = &c->h->channels; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	loop_defer(c->h->loop, &c->reap, reap);
	return NULL;
}
