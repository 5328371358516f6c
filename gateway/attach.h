/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ATTACH_H
#define GATEWAY_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/auth.h"
#include "gateway/ticket.h"

struct attach;
struct attach_hub;
struct loop;
struct machines;
struct tickets;

/*
 * One client's attachment to one stream: the state machine of terrarium.v1 (docs/protocol.md). Knows
 * messages, not websockets: the transport (gateway/server.c, or a test) feeds whole messages in and asks
 * for whole messages to send.
 */
#define ATTACH_MSG_MAX 65536	/* bytes of one message to the client */
#define ATTACH_INPUT_MAX 16384	/* bytes of one message from the client */
#define ATTACH_HELLO_MAX 4096

/* What the attachment needs from its transport. @conn is the transport's own object. */
struct attach_transport {
	/* There is something to send: call attach_next() as soon as the socket takes more. */
	void (*want_write)(void *conn);
	/*
	 * Close with this code after what attach_next() has given is out. attach_closed() follows; nothing
	 * else is called after this.
	 */
	void (*close)(void *conn, uint16_t code, const char *reason);
	/* Stop or go on reading from the client. A message already on its way may still come. */
	void (*pause_input)(void *conn, bool paused);
};

/**
 * struct attach_claim - by what right somebody is at a terminal
 * @need: the role at least that this attachment takes, more than a user's where an operator watches
 * @right: with the share by which it came, if one
 */
struct attach_claim {
	const struct who *who;
	enum role need;
	const struct ticket_right *right;
};

/** attach_hub_create() - what all attachments share. Borrowed: loop, machines, tickets */
int attach_hub_create(struct attach_hub **out, struct loop *loop, struct machines *machines,
		      struct tickets *tickets);
struct attach_hub *attach_hub_destroy(struct attach_hub *hub);

/**
 * attach_hub_idle() - a terminal's connection closes with 4408 when nobody has typed into it for @idle_ms, after
 * a warning. 0, as in the beginning: never
 */
void attach_hub_idle(struct attach_hub *hub, uint64_t idle_ms);

/**
 * attach_create() - a client connected and is @who (copied); HELLO must follow within 5 s. NULL without
 * memory
 */
struct attach *attach_create(struct attach_hub *hub, const struct attach_transport *t, void *conn,
			     const struct who *who);

#define ATTACH_ADDRESS_BYTES 46

/** attach_set_address() - where the client is, as text; for administrators */
void attach_set_address(struct attach *a, const char *address);

/**
 * attach_input() - one whole binary message from the client, at most ATTACH_INPUT_MAX bytes. May call
 * transport hooks
 */
void attach_input(struct attach *a, const uint8_t *data, size_t len);

/** attach_refuse() - the transport saw a fault (text message, message too long): ERROR and close */
void attach_refuse(struct attach *a, uint16_t code, const char *message);

/**
 * attach_next() - write the next message for the client into @buf
 * @cap:  at least ATTACH_MSG_MAX
 * @more: set when a further message is ready: ask again at the next writable
 *
 * Return: its length; 0 when there is nothing.
 */
size_t attach_next(struct attach *a, uint8_t *buf, size_t cap, bool *more);

/** attach_closed() - the connection is gone; frees. Returns NULL */
struct attach *attach_closed(struct attach *a);

/** attach_hub_revoke() - close every attachment of a session: 4401, or 4403 */
void attach_hub_revoke(struct attach_hub *hub, const uint8_t session_hash[SESSION_HASH_BYTES], uint16_t code,
		       const char *reason);

/**
 * attach_hub_check() - the list has changed, or a date in it has come: close with 4403 whoever may not be
 * here any more
 * @may: may call no attach_ function
 *
 * Return: how many were closed.
 */
size_t attach_hub_check(struct attach_hub *hub, bool (*may)(void *arg, const struct attach_claim *claim), void *arg);

/** attach_hub_guard() - @fn decides about everybody who comes by a share, at that moment. NULL: nobody is asked */
void attach_hub_guard(struct attach_hub *hub, bool (*fn)(void *arg, const struct attach_claim *claim), void *arg);

/** attach_hub_allows() - what the guard says */
bool attach_hub_allows(const struct attach_hub *hub, const struct attach_claim *claim);

/** attach_hub_end_share() - a share is no more: its tickets are void, its sockets close with 4403 */
void attach_hub_end_share(struct attach_hub *hub, int64_t share, const char *reason);

/** attach_hub_send_away() - the same for one address among those who came by it */
void attach_hub_send_away(struct attach_hub *hub, int64_t share, const char *email, const char *reason);

/** attach_hub_set_share_role() - who came by this share may do more, or less, from now on */
void attach_hub_set_share_role(struct attach_hub *hub, int64_t share, enum stream_role role);

/**
 * struct attach_view - an attachment as administrators see it; strings are borrowed during the call
 * @reason:  why it closes; empty while it is open
 * @since_s: seconds since 1970; @idle_ms: since the last keystroke
 * @share:   by which it came, or 0
 */
struct attach_view {
	uint64_t id;
	const char *email, *address, *stream, *reason;
	enum stream_role role;
	int64_t since_s, share;
	uint64_t idle_ms, bytes_in, bytes_out;
};

/** attach_hub_each() - look at every attachment that is live */
void attach_hub_each(const struct attach_hub *hub, void (*fn)(void *arg, const struct attach_view *v),
		     void *arg);

enum attach_change { ATTACH_OPENED, ATTACH_CLOSED };

/** attach_hub_watch() - hear of each attachment that becomes live, and of its end; @fn may call no attach_ function */
void attach_hub_watch(struct attach_hub *hub, void (*fn)(void *arg, enum attach_change what, const struct attach_view *v), void *arg);

/** attach_hub_restart() - tell every client that this process ends (1012) */
void attach_hub_restart(struct attach_hub *hub);

struct buf;
/** attach_hub_metrics() - append Prometheus lines: attachments, bytes, credit stalls, resumes, gaps */
void attach_hub_metrics(const struct attach_hub *hub, struct buf *out);

#endif
