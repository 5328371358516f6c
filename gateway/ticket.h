/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_TICKET_H
#define GATEWAY_TICKET_H

#include <stdint.h>

#include "auth/auth.h"
#include "gateway/machine.h"

struct tickets;

/*
 * One-time tickets: what a POST gives to a page so that its next websocket may attach. Bound to session,
 * stream and role; 30 s.
 */
#define TICKET_TEXT 65	  /* 64 hex digits and NUL */
#define TICKET_LIFE_MS 30000
#define TICKETS_MAX 4096	 /* in all; the oldest goes */
#define TICKETS_PER_SESSION 64
#define TICKETS_PER_PERSON  256 /* over all sessions and tokens */

enum stream_role { ROLE_VIEWER, ROLE_CONTROLLER };

/**
 * struct ticket_right - what a ticket, and then an attachment, is good for
 * @share: the share (auth/share.h) by which somebody comes to the stream of @owner, a person's row; 0: it is one's
 *         own stream, or one that an operator watches
 * @ends_s: when the share ends, seconds since 1970
 */
struct ticket_right {
	enum stream_role role;
	int64_t share, owner, ends_s;
};

struct tickets *tickets_create(void);
struct tickets *tickets_destroy(struct tickets *t);

/** ticket_issue() - Return: 0; -EAGAIN when the session or the person has too many waiting; -EIO without randomness */
int ticket_issue(struct tickets *t, const struct who *who, const char *stream_id, enum stream_role role,
		 uint64_t now_ms, char out[TICKET_TEXT]);

/**
 * ticket_issue_for() - the same with a share. Guests, who have no session, count by share: their tickets are only
 * good for sockets without one
 */
int ticket_issue_for(struct tickets *t, const struct who *who, const char *stream_id, const struct ticket_right *right,
		     uint64_t now_ms, char out[TICKET_TEXT]);

/**
 * ticket_take() - spend a ticket; all of session, stream and time must fit. Return: 0 with @right, or
 * -EACCES
 */
int ticket_take(struct tickets *t, const char *text, const struct who *who, const char *stream_id,
		uint64_t now_ms, struct ticket_right *right);

/** ticket_drop_share() - tickets that wait for this share are worth nothing any more */
void ticket_drop_share(struct tickets *t, int64_t share);

#endif
