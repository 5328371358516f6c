/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_FILEOP_H
#define GATEWAY_FILEOP_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/http.h"
#include "hv/agent/codec.h"

/*
 * A request about files in a guest, from its route until its answer is sent. What the agent is asked for arrives later, perhaps after the client has
 * gone; the operation lives until both are done with it. Nothing here believes the guest: see hv/agent/host.c for frames; names, sizes
 * and times are checked by who reads them.
 */
#define FILEOP_WAIT_MS	  25000 /* a guest that is busy, or syncs a large file */
#define FILEOP_PATH_BYTES (AGENT_PATH_MAX + 1)

/**
 * struct fileop - first member of each operation
 * @call:    of the route, with its own copy of who and id; valid until @dropped
 * @path:    as the client gave it
 * @waiting: answers of the agent that are still to come
 * @dropped: the client is gone, or has all it wanted
 */
struct fileop {
	struct http_later later;
	struct http_call call;
	unsigned waiting;
	bool dropped;
	char path[FILEOP_PATH_BYTES];
	void (*finish)(struct fileop *op); /* what the operation owns beside itself; may be NULL */
};

typedef void fileop_reply(struct fileop *op, unsigned tag, int status, struct agent_in *in);

/**
 * fileop_create() - an operation for this request, on ?path= of it
 * @size: of the structure that begins with struct fileop; zeroed
 *
 * Return: NULL after a refusal: no such machine, no agent, a bad path. Belongs to the response from then on.
 */
void *fileop_create(struct http_call *call, size_t size);

/** fileop_begin() - the same without a path */
void *fileop_begin(struct http_call *call, size_t size);

/**
 * fileop_ask() - ask the agent
 * @tag: comes back in @reply, which does not run for an operation that was dropped
 *
 * Return: 0, or negative: -EAGAIN: too much is under way, others' answers come first.
 */
int fileop_ask(struct fileop *op, enum agent_type type, const struct buf *body, unsigned tag, fileop_reply *reply);

/** fileop_ask_path() - the same for AGENT_STAT and AGENT_REMOVE */
int fileop_ask_path(struct fileop *op, enum agent_type type, const char *path, unsigned tag, fileop_reply *reply);

/** fileop_version() - of the agent's protocol; 0 while there is none */
unsigned fileop_version(const struct fileop *op);

/** fileop_wake() - the answer is filled, or there is more of its body */
void fileop_wake(struct fileop *op);

/** fileop_fail() - answer with what an errno of the agent means for a person */
void fileop_fail(struct fileop *op, int status);

/** fileop_problem() - answer with a problem; consumes @extra */
void fileop_problem(struct fileop *op, int status, const char *code, json_t *extra, const char *detail);

/** fileop_note() - a row of the audit log: what, in which machine, which path, how many bytes */
void fileop_note(struct fileop *op, const char *action, const char *path, uint64_t bytes);

/** fileop_etag() - of a file as it is */
#define FILEOP_ETAG_BYTES 48
const char *fileop_etag(const struct agent_stat *st, char out[FILEOP_ETAG_BYTES]);

/** fileop_number() - a number of the query. Return: true; false after a refusal. @out keeps its value when there is none, unless @needed */
bool fileop_number(struct http_call *call, const char *name, uint64_t max, bool needed, uint64_t *out);

#endif
