/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ATTACH_PRIV_H
#define GATEWAY_ATTACH_PRIV_H

/*
 * Shared by attach.c (the state machine of one attachment) and attach_hub.c (all of them); everybody else
 * uses attach.h.
 */

#include <ev.h>

#include "auth/auth.h"
#include "gateway/attach.h"
#include "gateway/viewer.h"

struct loop;

#define ATTACH_ACK_S 0.05 /* between two INACKs, unless many bytes wait */

enum phase { WAITING, LIVE, CLOSING };

/* What has to be said, in the order of saying it. */
enum say { SAY_WELCOME = 1, SAY_EPOCH = 2, SAY_ROLE = 4, SAY_SIZE = 8, SAY_VM = 16, SAY_VIEWERS = 32, SAY_NOTICE = 64, SAY_PONG = 128,
	   SAY_GOODBYE = 256 };

struct attach {
	struct viewer viewer;
	struct attach_hub *hub;		   /* borrowed */
	const struct attach_transport *t; /* borrowed */
	void *conn;
	struct attach *next, *prev; /* in the hub */
	struct who who;
	enum role need; /* ROLE_OPERATOR where it watches somebody else's stream */
	enum phase phase;
	unsigned say;
	uint64_t deadline_ms; /* WAITING: for HELLO; CLOSING: for the goodbye */
	bool may_control, wants_control;
	bool asked;	 /* want_write() was called and attach_next() has not run dry since */
	bool paused;	 /* pause_input() */
	bool gap;	 /* a gap frame with a preamble comes next */
	bool typed;	 /* has sent input: INACKs are due */
	bool ack_turn;	 /* an OUTPUT has gone since an INACK became due */
	bool stalled;	 /* waits for credit */
	bool stale_input; /* the epoch changed: input for the old one may still come */
	uint32_t asked_window;
	uint64_t sent, replay_end, stale_sent, acked;
	uint64_t pong_clock, pong_us;
	ev_tstamp acked_at;
	const char *notice; /* static */
	uint16_t close_code;
	char reason[96];
	uint64_t id, opened_ms, typed_ms, bytes_in, bytes_out; /* for attach_hub_each() */
	char address[ATTACH_ADDRESS_BYTES];
};

struct attach_counters {
	uint64_t opened, output_bytes, input_bytes, stalls, resumes, gaps, skips, refused;
};

struct attach_hub {
	struct loop *loop;	   /* borrowed, like the next two */
	struct machines *machines;
	struct tickets *tickets;
	struct attach *all;
	size_t count;
	uint64_t born_ms;
	ev_timer sweep, ack;
	struct attach_counters n;
	void (*on_change)(void *arg, enum attach_change what, const struct attach_view *v);
	void *on_change_arg;
};

/** attach_tell() - the one who watches the hub hears of it. While @a still has its stream */
void attach_tell(const struct attach *a, enum attach_change what);

/** attach_on_news() - what the stream tells an attachment: struct viewer's hook */
void attach_on_news(struct viewer *v, unsigned news);

/** attach_ask_to_write() - there is something to send */
void attach_ask_to_write(struct attach *a);

/** attach_ack_waits() - input was written and is not acknowledged; attach_ack_due() - and it is time to */
bool attach_ack_waits(const struct attach *a, const struct stream_state *st);
bool attach_ack_due(const struct attach *a, const struct stream_state *st);

/** attach_leave() - let go of the stream and of control */
void attach_leave(struct attach *a);

/** attach_hang_up() - close the connection; nothing more is said */
void attach_hang_up(struct attach *a, uint16_t code, const char *reason);

#endif
