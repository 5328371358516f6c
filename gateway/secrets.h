/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SECRETS_H
#define GATEWAY_SECRETS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Secrets of one machine, as the gateway holds them: in memory that is neither swapped (where the limits allow) nor in a core file, so that a
 * machine that starts anew gets them again. They are on no disk here, and end with this process; what a running machine has stays in the machine.
 */
struct agent_host;
struct agent_secret;
struct err;
struct secrets;

#define SECRETS_MAX	  32	       /* of one machine */
#define SECRETS_BYTES_MAX (256u << 10) /* of them together */
#define SECRETS_COMPLETE  ".complete" /* an empty file that the machine gets after all others */

/** secrets_create() - none yet. Return: NULL without memory */
struct secrets *secrets_create(void);
/** secrets_destroy() - overwrite and free. Return: NULL; NULL is fine */
struct secrets *secrets_destroy(struct secrets *s);

/** secrets_room() - may @name with @len bytes be added, or replaced? Return: 0 or -ENOSPC with @e */
int secrets_room(const struct secrets *s, const char *name, size_t len, struct err *e);

/** secrets_keep() - hold a copy, in place of the former one of that name. @now_s: wall clock. Return: 0, -ENOSPC or -ENOMEM with @e */
int secrets_keep(struct secrets *s, const struct agent_secret *secret, int64_t now_s, struct err *e);

/** secrets_drop() - overwrite and forget. Return: true if there was one */
bool secrets_drop(struct secrets *s, const char *name);

/**
 * secrets_hand_over() - give the machine all of them, one after the other; then @done
 * @host: borrowed; @done does not come when the conversation ends before, and comes at once for a machine that takes none
 *
 * Begun again, it begins anew.
 */
void secrets_hand_over(struct secrets *s, struct agent_host *host, void (*done)(void *arg), void *arg);

/**
 * secrets_withdraw() - take all of them out of the machine, whoever put them there, and what its kernel's buffers still have of them; they stay
 * held here. What is being handed over arrives first
 * @done: always comes; 0, or negative: -EBUSY: they are being taken out, -EOPNOTSUPP: the agent is too old, ...
 */
void secrets_withdraw(struct secrets *s, struct agent_host *host, void (*done)(void *arg, int status), void *arg);

/** secrets_has() - is this one held? */
bool secrets_has(const struct secrets *s, const char *name);

/** secrets_json() - an array with SECRET of docs/protocol.md for each: never the value. Return: a new reference */
json_t *secrets_json(const struct secrets *s);

#endif
