/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SHELL_H
#define GATEWAY_SHELL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Shells of a machine: terminals that the agent in its guest opens, as many as wanted, each with a stream. They live in the guest: a shell
 * outlives sockets, sessions and this process, until its program ends, its guest does, or it is closed. What has ended stays to be looked at until
 * it is closed.
 */
struct agent_host;
struct err;
struct loop;
struct sched;
struct shell;
struct shells;
struct store;
struct stream;

#define SHELL_ID_BYTES	 8
#define SHELL_ID_TEXT	 17
#define SHELL_NAME_BYTES 65 /* of UTF-8, with NUL */
#define SHELL_PATH_BYTES 4096
#define SHELL_RING_DIR_BYTES 272

/* Positive outcomes, beside negative errno with @e filled. */
enum {
	SHELL_E_TOO_MANY = 1, /* as many as a machine may have are open */
	SHELL_E_NO_AGENT = 2, /* there is no agent to open one */
	SHELL_E_NO_ROOM = 3,  /* the directory of rings is full */
	SHELL_E_OLD_AGENT = 4, /* it knows no commands */
};

/**
 * struct shells_shared - what the shells of all machines have in common
 * @ring_dir: where the rings are kept, a directory of the gateway's own; "" = there are no shells
 * @ring_bytes: of each; @max: open ones of one machine
 * @port_tag: connections to guests' ports with another one are a former gateway's and closed
 * @bytes_out, @bytes_in, @opened: counted here
 */
struct shells_shared {
	struct loop *loop;   /* borrowed, like all pointers here */
	struct sched *sched;
	struct store *store;
	char ring_dir[SHELL_RING_DIR_BYTES];
	uint32_t ring_bytes, max;
	uint8_t port_tag[12];
	uint32_t ports;
	uint64_t bytes_out, bytes_in, opened;
};

/** shell_ring_bytes() - the next size that a ring can have */
uint32_t shell_ring_bytes(uint32_t wished);

/**
 * struct shells_hooks - may destroy nothing
 * @on_change: a shell has come, ended, gone, or has another name or place
 * @on_stream: a stream can be attached to: its shell is new, or was found again
 */
struct shells_hooks {
	void (*on_change)(void *arg);
	void (*on_stream)(void *arg, struct stream *s);
};

/**
 * shells_create() - the shells of one machine, as the store has them. Not yet found in its guest
 * @machine: its id
 * @hooks:   borrowed
 * @arg:     for @hooks, and stream_arg() of every stream
 *
 * Return: 0 or negative with @e.
 */
int shells_create(struct shells **out, struct shells_shared *shared, const uint8_t machine[16], const struct shells_hooks *hooks, void *arg,
		  struct err *e);

/** shells_destroy() - let go: they run on, rows and rings stay. Return: NULL */
struct shells *shells_destroy(struct shells *s);

/** shells_forget() - the machine is deleted: so are their rows and rings. Then shells_destroy() */
void shells_forget(struct shells *s);

/** shells_sweep() - delete rings in the directory that are no shell's, once every machine's shells are loaded. @known: is this one? */
void shells_sweep(const struct shells_shared *shared, bool (*known)(void *arg, const char *stream_id), void *arg);

/** shells_expect() - the machine runs: shells that its agent has not named in two minutes are lost */
void shells_expect(struct shells *s);

/** shells_ready() - the agent has answered: find every shell again. @host: borrowed, must outlive the shells or be left by shells_leave() */
void shells_ready(struct shells *s, struct agent_host *host);

/** shells_end() - the guest has gone, and all open shells with it. @why: static */
void shells_end(struct shells *s, const char *why);

/**
 * struct shell_wish - @name: "" = one is chosen; @cwd: "" = home; @cols, @rows: 0 = 80 x 24; @sealed: the guest encrypts it for its owner
 * @argv, @env: of a command, which is no terminal (see WIRE_PIECE_HEAD): NULL-terminated, AGENT_ARGC_MAX at most, "NAME=value"; @argv NULL: a shell
 * @timeout_ms: after which the command is killed; 0 = none
 */
struct shell_wish {
	const char *name, *cwd;
	uint16_t cols, rows;
	bool sealed;
	const char *const *argv, *const *env;
	uint32_t timeout_ms;
};

/** shell_open() - a login shell. Return: 0 with *@out (borrowed: lives until it is closed), SHELL_E_*, or negative with @e */
int shell_open(struct shells *s, struct agent_host *host, const struct shell_wish *wish, struct shell **out, struct err *e);

/** shell_close() - hang up, forget: the stream's attachments get 4404 */
int shell_close(struct shell *sh, struct err *e);

/** shell_name_valid() - 1 to 64 bytes of UTF-8 without control characters */
bool shell_name_valid(const char *name);

/** shell_rename(), shell_move() - @position: 1 is the first; past the end is the last. Return: 0 or negative with @e */
int shell_rename(struct shell *sh, const char *name, struct err *e);
int shell_move(struct shell *sh, uint32_t position, struct err *e);

/** shell_find() - by the text of its id; NULL. shell_next() - in order of position, @after NULL starts */
struct shell *shell_find(struct shells *s, const char *id);
struct shell *shell_next(struct shells *s, const struct shell *after);

struct stream *shell_stream(const struct shell *sh);
/** shell_of_stream() - the shell of @s behind this stream, or NULL */
struct shell *shell_of_stream(struct shells *s, const struct stream *stream);
const char *shell_name(const struct shell *sh);
/** shell_sealed() - what passes here is ciphertext (hv/seal/seal.h) */
bool shell_sealed(const struct shell *sh);
/** shell_is_command() - no terminal: it is not listed among them, and goes when nobody has looked at it for ten minutes */
bool shell_is_command(const struct shell *sh);
int64_t shell_created_s(const struct shell *sh);

/** shells_open_count() - how many have not ended */
uint32_t shells_open_count(const struct shells *s);

/** shell_json() - what a shell adds to the stream object of docs/protocol.md. Return: a new reference, or NULL without memory */
json_t *shell_json(const struct shell *sh);

/** shells_look() - ask the agent for working directories and programs in front, at most twice a second; shell_json() has them later */
void shells_look(struct shells *s);

#endif
