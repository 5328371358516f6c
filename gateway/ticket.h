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

struct tickets *tickets_create(void);
struct tickets *tickets_destroy(struct tickets *t);

/** ticket_issue() - Return: 0; -EAGAIN when the session or the person has too many waiting; -EIO without randomness */
int ticket_issue(struct tickets *t, const struct who *who, const char *stream_id, enum stream_role role,
		 uint64_t now_ms, char out[TICKET_TEXT]);

/**
 * ticket_take() - spend a ticket; all of session, stream and time must fit. Return: 0 with @role, or
 * -EACCES
 */
int ticket_take(struct tickets *t, const char *text, const struct who *who, const char *stream_id,
		uint64_t now_ms, enum stream_role *role);

#endif
