/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_AGENT_HOST_PRIV_H
#define HV_AGENT_HOST_PRIV_H

#include <ev.h>

#include "base/loop.h"
#include "hv/agent/host.h"

/* host.c: the conversation and its requests. channel.c: streams. */

#define HOST_STREAM_MAX (4U * AGENT_DATA_MAX)  /* queued input beyond this waits in its channel */
#define HOST_OUT_MAX	(32U * AGENT_DATA_MAX) /* requests beyond this are refused */
#define HOST_ASK_MAX	256U

enum host_state { HOST_DOWN, HOST_GREETING, HOST_READY };

struct host_ask {
	struct host_ask *next; /* owned */
	uint32_t seq, job;
	uint8_t type;
	bool surely; /* is answered also by a host that is being destroyed */
	uint64_t deadline_ms;
	void (*on_reply)(void *arg, int status, struct agent_in *in);
	void *arg;
};

struct agent_host {
	struct loop *loop;
	const struct agent_host_hooks *hooks;
	void *arg;
	enum host_state state;
	bool dead, feeding; /* feeding: what is being read belongs to this conversation still */
	int fd;		    /* owned */
	ev_io on_read, on_write;
	ev_timer sweep;
	uint64_t greet_by_ms;
	struct agent_reader reader;
	struct buf out;
	bool wipe; /* there was a secret in it */
	struct agent_hello hello;
	uint16_t version; /* agreed on */
	uint32_t seq;
	struct host_ask *asks; /* owned */
	size_t nasks;
	struct agent_channel *channels; /* owned */
	struct loop_task task;		/* frees, or pumps the channels */
};

/** struct host_source - one output. @next: offset of the next DATA; below @got in a reconnection: repeats are passed over */
struct host_source {
	uint64_t next, got, taken, limit;
	bool ended, end_told;
};

enum channel_state { CHANNEL_NEW, CHANNEL_ASKED, CHANNEL_LIVE, CHANNEL_LOST };

/**
 * struct agent_channel - @in holds input from @in_base on, which the guest has not confirmed; @in_sent: how far it was sent in this conversation
 */
struct agent_channel {
	struct agent_channel *next; /* owned */
	struct agent_host *h;
	const struct agent_channel_hooks *hooks; /* NULL = destroyed, waits to be freed */
	void *arg;
	enum channel_state state;
	struct buf open; /* the request, until it is answered */
	uint32_t job, window;
	bool opened, exited, exit_told, in_end, end_sent, wants_room, sized, size_due;
	uint16_t size[4];
	struct host_source out[2];
	struct buf in;
	uint64_t in_base, in_sent, in_limit;
	struct loop_task reap;
};

/** host_lose() - the conversation cannot go on */
void host_lose(struct agent_host *h, const char *why);
/** host_send() - a frame with a body that is already encoded. Return: 0, -ENOTCONN, -EAGAIN, -EMSGSIZE */
int host_send(struct agent_host *h, const struct agent_frame *head, const void *body, size_t len);
/** host_wake() - pump the channels at the end of this turn */
void host_wake(struct agent_host *h);

/** channel_resume() - a conversation has begun */
void channel_resume(struct agent_channel *c);
/** channel_suspend() - it has ended */
void channel_suspend(struct agent_channel *c);
/** channel_frame() - DATA, CREDIT, END or EXIT. Return: NULL, or what is wrong with it */
const char *channel_frame(struct agent_channel *c, struct agent_frame *f);
/** channel_pump() - send what may be sent */
void channel_pump(struct agent_channel *c);
void channel_free(struct agent_channel *c);

#endif
