/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ATTACH_PRIV_H
#define GATEWAY_ATTACH_PRIV_H

/*
 * Shared by attach.c (the state machine of one attachment), attach_control.c (who may type) and attach_hub.c (all of
 * them); everybody else uses attach.h.
 */

#include <ev.h>
#include <jansson.h>

#include "auth/auth.h"
#include "gateway/attach.h"
#include "gateway/viewer.h"
#include "gateway/wire.h"

struct loop;

#define ATTACH_ACK_S 0.05 /* between two INACKs, unless many bytes wait */

enum phase { WAITING, LIVE, CLOSING };

/* What has to be said, in the order of saying it. */
enum say { SAY_WELCOME = 1, SAY_EPOCH = 2, SAY_ROLE = 4, SAY_SIZE = 8, SAY_VM = 16, SAY_VIEWERS = 32, SAY_NOTICE = 64, SAY_PONG = 128,
	   SAY_GOODBYE = 256, SAY_RECORDING = 512, SAY_IDLE = 1024 };

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
	struct ticket_right right;
	bool lent; /* the owner has handed control to one whose right does not hold it */
	bool wants_control;
	bool asked;	 /* want_write() was called and attach_next() has not run dry since */
	bool paused;	 /* pause_input() */
	bool gap;	 /* a gap frame with a preamble comes next */
	bool typed;	 /* has sent input: INACKs are due */
	bool ack_turn;	 /* an OUTPUT has gone since an INACK became due */
	bool stalled;	 /* waits for credit */
	bool warned;	 /* nobody has typed, and it has been told when it closes */
	bool stale_input; /* the epoch changed: input for the old one may still come */
	uint32_t asked_window;
	uint64_t sent, replay_end, stale_sent, acked;
	uint64_t pong_clock, pong_us;
	ev_tstamp acked_at;
	const char *notice; /* static */
	uint16_t close_code;
	char reason[96];
	int64_t joined_s;
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
	uint64_t idle_ms; /* a terminal closes when nobody has typed for so long; 0: never */
	uint64_t next_id;
	ev_timer sweep, ack;
	struct attach_counters n;
	void (*on_change)(void *arg, enum attach_change what, const struct attach_view *v);
	void *on_change_arg;
	bool (*guard)(void *arg, const struct attach_claim *claim);
	void *guard_arg;
};

/** attach_tell() - the one who watches the hub hears of it. While @a still has its stream */
void attach_tell(const struct attach *a, enum attach_change what);

/** attach_on_news() - what the stream tells an attachment: struct viewer's hook */
void attach_on_news(struct viewer *v, unsigned news);

/** attach_is_used() - somebody is there: they have typed, or said so */
void attach_is_used(struct attach *a);

/** attach_ask_to_write() - there is something to send */
void attach_ask_to_write(struct attach *a);

/** attach_ack_waits() - input was written and is not acknowledged; attach_ack_due() - and it is time to */
bool attach_ack_waits(const struct attach *a, const struct stream_state *st);
bool attach_ack_due(const struct attach *a, const struct stream_state *st);

/** attach_say() - @what, of enum say, is to be said; attach_say_to_all() - to every attachment of a stream */
void attach_say(struct attach *a, unsigned what);
void attach_say_to_all(struct stream *s, unsigned what);

/** attach_notice() - an ERROR that does not end the connection. @code: static */
void attach_notice(struct attach *a, const char *code);

/** attach_pause_client() - read on from the client, or not */
void attach_pause_client(struct attach *a, bool paused);

/** attach_claim() - by what right it is here; borrowed from @a */
struct attach_claim attach_claim(const struct attach *a);

/* attach_control.c */
/** attach_controls() - it does now; attach_may_control() - it may; attach_is_guest() - by an open share, without an account */
bool attach_controls(const struct attach *a);
bool attach_may_control(const struct attach *a);
bool attach_is_guest(const struct attach *a);
/** attach_begin_control() - it has joined its stream and, if it @asks, controls where that is due */
void attach_begin_control(struct attach *a, bool asks);
/** attach_hand_over() - the controller goes or lets go: the newest who still wants control has it */
void attach_hand_over(struct stream *s);
void attach_on_action(struct attach *a, enum wire_action what, uint64_t to);
/** attach_set_right() - what it may do has changed */
void attach_set_right(struct attach *a, enum stream_role role);
json_t *attach_event_viewers(const struct attach *a);

/** attach_leave() - let go of the stream and of control */
void attach_leave(struct attach *a);

/** attach_hang_up() - close the connection; nothing more is said */
void attach_hang_up(struct attach *a, uint16_t code, const char *reason);

#endif
