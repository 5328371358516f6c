/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_AGENT_TIE_H
#define GATEWAY_AGENT_TIE_H

#include <stddef.h>
#include <stdint.h>

#include "hv/agent/codec.h"

/*
 * One machine's conversation with the agent in its guest (hv/agent/host.h): begins it on whatever stream hv hands over, notices that it has died
 * or does not answer, begins again, and tells a guest that has just booted who it is.
 */
struct agent_host;
struct agent_tie;
struct loop;

#define AGENT_BOOT_BYTES 16

/* none: no way to an agent. connecting: there is one, nobody has answered yet. ready: requests may be made. */
enum agent_tie_state { AGENT_TIE_NONE, AGENT_TIE_CONNECTING, AGENT_TIE_READY, AGENT_TIE_STATE_COUNT };

/** agent_tie_state_name() - lower-case word for REST and the page */
const char *agent_tie_state_name(enum agent_tie_state s);

/**
 * struct agent_tie_hooks - all run on the loop; none may destroy the tie
 * @on_state: it is another one
 * @renew:    the conversation is over: agent_tie_use() shall come again, within the call or later. Return: 0, or negative when there is no way now
 * @on_introduced: the guest has answered to agent_tie_identify(); not called when the conversation ends before
 * @on_ready: the agent has answered, for the first time or again. @boot_id: another one than before means that all jobs of before are gone
 */
struct agent_tie_hooks {
	void (*on_state)(void *arg);
	int (*renew)(void *arg);
	void (*on_introduced)(void *arg);
	void (*on_ready)(void *arg, const uint8_t boot_id[AGENT_BOOT_BYTES]);
};

/** agent_tie_create() - @loop, @hooks and @arg are borrowed. Return: NULL without memory */
struct agent_tie *agent_tie_create(struct loop *loop, const struct agent_tie_hooks *hooks, void *arg);
/** agent_tie_destroy() - hang up; jobs stay in the guest. Its channels must have gone before. Return: NULL */
struct agent_tie *agent_tie_destroy(struct agent_tie *t);

/** agent_tie_use() - a way to the agent, in place of the one before; consumes @fd */
void agent_tie_use(struct agent_tie *t, int fd);

/** agent_tie_rest() - the guest has gone: hang up and wait for the next agent_tie_use() */
void agent_tie_rest(struct agent_tie *t);

/** agent_tie_gone() - who answered is no more, and another one will: agent_tie_use() follows, or is asked for by renew(). What was said last is still heard */
void agent_tie_gone(struct agent_tie *t);

enum agent_tie_state agent_tie_state(const struct agent_tie *t);

/**
 * struct agent_tie_health - how the guest said it is
 * @said:      its words
 * @asked_ms:  loop_now_ms() of the answer
 * @offset_ms: of its clock, against this one's, as far as the way there and back lets it be told; with @said.whole
 */
struct agent_tie_health {
	struct agent_health said;
	uint64_t asked_ms;
	int64_t offset_ms;
};

/** agent_tie_health() - of the last answer in this conversation; asked for at its beginning and every ten seconds. NULL when there is none */
const struct agent_tie_health *agent_tie_health(const struct agent_tie *t);

/** agent_tie_host() - for requests and channels; lives as long as the tie */
struct agent_host *agent_tie_host(const struct agent_tie *t);

/**
 * agent_tie_identify() - tell the guest its @hostname, the time, and random bytes that no clone of it has
 * @machine: its machine id, which an agent that is too old is not told
 * @net: its addresses too; NULL for a guest that has them from its command line
 * @reborn: for a clone, what it must not have in common with others; NULL for others
 */
struct agent_rebirth;
struct hv_view;
void agent_tie_identify(struct agent_tie *t, const char *hostname, const uint8_t machine[16], const struct hv_view *net, const struct agent_rebirth *reborn);

#endif
