/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RUN_HV_BOOT_AGENT_H
#define TESTS_RUN_HV_BOOT_AGENT_H

#include <stdbool.h>

struct buf;
struct loop;

/* hv_boot's side of the agent: one conversation, one program at a time. What programs print is added to @seen. */

/** talk_init() - @on_answer is called whenever an agent has answered, @on_lost a moment after a conversation has ended */
void talk_init(struct loop *loop, struct buf *seen, void (*on_answer)(void), void (*on_lost)(void));
void talk_finish(void);

/** talk_connect() - consumes @fd */
void talk_connect(int fd);

/* Words. Those that begin with "is_" may be asked until they are true; the others begin something. */
bool talk_is_answered(const char *arg); /* since it last was true */
bool talk_health(const char *arg);
bool talk_exec(const char *command);
bool talk_pty(const char *command); /* "": the login shell */
bool talk_type(const char *text);
bool talk_size(const char *cols_x_rows);
bool talk_is_exit(const char *status);
bool talk_name(const char *hostname);
bool talk_off(const char *arg);
bool talk_is_replied(const char *status); /* to health, size, name or off */

#endif
