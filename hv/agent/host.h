/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_AGENT_HOST_H
#define HV_AGENT_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "hv/agent/codec.h"

/*
 * The gateway's side of hv/agent/proto.h. Nothing blocks; every callback comes from the loop, never from within a call. The guest may be hostile:
 * whatever breaks the rules ends the conversation. Jobs and channels survive that: connect again.
 */
struct loop;
struct agent_host;
struct agent_channel;

struct agent_host_hooks {
	/* The agent has answered. @boot_id: another one than before means that all jobs of before are gone. Channels go on by themselves. */
	void (*on_ready)(void *arg, const uint8_t boot_id[16]);
	/* Nothing more comes until agent_host_connect(); requests under way have been answered -ENOTCONN. */
	void (*on_lost)(void *arg, const char *why);
};

/** agent_host_create() - Return: NULL without memory. @hooks and @loop are borrowed */
struct agent_host *agent_host_create(struct loop *loop, const struct agent_host_hooks *hooks, void *arg);

/** agent_host_connect() - talk over @fd, which may have been used by an earlier process; consumes it. Return: 0 or -errno */
int agent_host_connect(struct agent_host *h, int fd);

/** agent_host_disconnect() - hang up; requests under way are answered -ENOTCONN, on_lost() is not called. Channels go on after a connect */
void agent_host_disconnect(struct agent_host *h);

/** agent_host_version() - of the protocol, as agreed with the agent; 0 while there is none */
unsigned agent_host_version(const struct agent_host *h);

/** agent_host_destroy() - hang up; its channels go too, their jobs stay in the guest. Callbacks may call it. Return: NULL */
struct agent_host *agent_host_destroy(struct agent_host *h);

/**
 * agent_host_ask() - one request of proto.h that is not about a stream
 * @job:      the job it is about, or 0
 * @body:     encoded by agent_put_...
 * @wait_ms:  then the answer is -ETIMEDOUT
 * @on_reply: gets 0 and the body after the status, or a negative errno. Called exactly once if this returned 0; not after agent_host_destroy()
 *
 * Return: 0; -ENOTCONN; -EAGAIN when too much is under way; -ENOMEM; -EMSGSIZE.
 */
int agent_host_ask(struct agent_host *h, enum agent_type type, uint32_t job, const struct buf *body, unsigned wait_ms,
		   void (*on_reply)(void *arg, int status, struct agent_in *in), void *arg);

/** agent_host_ask_surely() - the same, but answered -ENOTCONN also when the host is destroyed: for those who outlive it */
int agent_host_ask_surely(struct agent_host *h, enum agent_type type, const struct buf *body, unsigned wait_ms,
			  void (*on_reply)(void *arg, int status, struct agent_in *in), void *arg);

struct agent_channel_hooks {
	/* Once: 0 and what the job is, or why there is none; the channel then only waits for agent_channel_destroy(). May come again with
	 * an error if the job is lost in a reconnection (-ESRCH: the agent is a new one; -ERANGE: somebody else took output). */
	void (*on_open)(void *arg, int status, const struct agent_job *job);
	/* Output, without holes or repeats. The guest keeps it until agent_channel_take(); at most the window is ever untaken. */
	void (*on_output)(void *arg, enum agent_stream stream, uint64_t offset, const uint8_t *data, size_t len);
	void (*on_end)(void *arg, enum agent_stream stream);
	/* Input was refused or cut short before; there is room now. */
	void (*on_room)(void *arg);
	/* The guest has more of the input than before: see agent_channel_input(). May be NULL. */
	void (*on_taken)(void *arg);
	/* After the last output. */
	void (*on_exit)(void *arg, int status, unsigned signal);
};

/** agent_channel_open() - start a job; @open is copied. Works while not connected: it is then started later. Return: NULL without memory */
struct agent_channel *agent_channel_open(struct agent_host *h, const struct agent_open *open, uint32_t window,
					 const struct agent_channel_hooks *hooks, void *arg);

/** agent_channel_attach() - go on with a job. @from: of stdout and stderr, or AGENT_OLDEST. Return: NULL without memory */
struct agent_channel *agent_channel_attach(struct agent_host *h, uint32_t job, const uint64_t from[2], uint32_t window,
					   const struct agent_channel_hooks *hooks, void *arg);

/** agent_channel_write() - input; kept until the guest has it. Return: bytes taken; fewer than @len: on_room() follows */
size_t agent_channel_write(struct agent_channel *c, const void *data, size_t len);

/** agent_channel_end() - end of input, after what was written; means nothing to a PTY */
void agent_channel_end(struct agent_channel *c);

/** agent_channel_take() - output before @offset is in safe hands: the guest may forget it and send more */
void agent_channel_take(struct agent_channel *c, enum agent_stream stream, uint64_t offset);

/** agent_channel_input() - offset of input that the guest has for certain; what agent_channel_write() took after it is kept here */
uint64_t agent_channel_input(const struct agent_channel *c);

/** agent_channel_resize() - Return: as agent_host_ask(); the newest size is also sent after a reconnection */
int agent_channel_resize(struct agent_channel *c, uint16_t cols, uint16_t rows, uint16_t xpix, uint16_t ypix);

int agent_channel_signal(struct agent_channel *c, unsigned number);

enum agent_parting { AGENT_LEAVE, AGENT_HANG_UP };

/** agent_channel_destroy() - let go: the job runs on, or is hung up on and forgotten. Callbacks may call it. Return: NULL */
struct agent_channel *agent_channel_destroy(struct agent_channel *c, enum agent_parting how);

#endif
