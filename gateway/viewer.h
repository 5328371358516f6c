/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_VIEWER_H
#define GATEWAY_VIEWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/ring.h"
#include "gateway/stream.h"

/*
 * The attachments' side of a stream (gateway/stream.c): who looks at it, whose credit decides whether the
 * console is read, what is in the ring, and the way in for keystrokes. The owner's side is
 * gateway/stream.h.
 */

/*
 * What a viewer is told; a set of bits. All calls come from the loop; none may leave the stream before it
 * returns.
 */
enum viewer_news {
	VIEWER_OUTPUT = 1,  /* there is more output, or its end */
	VIEWER_INPUT = 2,   /* the console has taken input: see written and held in the state */
	VIEWER_SIZE = 4,    /* another viewer changed the size */
	VIEWER_VM = 8,	    /* the machine's state changed */
	VIEWER_EPOCH = 16,  /* another process is behind the stream: offsets begin again */
	VIEWER_RECORDING = 64, /* it is recorded from now on, or no longer */
	VIEWER_GONE = 32,   /* the stream ends its life: let go of it now (the one news that asks for stream_leave()) */
};

/**
 * struct viewer - one attachment of a stream; embedded in it
 * @on_news: see above
 * @turn:    since when it controls, or did: its input is good in this turn only. 0: it never did
 * @on_typed: of the recorder: input that is taken, unless the terminal hides it; may be NULL
 * @credit:  output offset up to which it has consumed; @window: how far output may run ahead of that. Kept
 * by the attachment,
 *           which calls stream_credited() after a change; used only while it controls
 */
struct viewer {
	void (*on_news)(struct viewer *v, unsigned news);
	void (*on_typed)(struct viewer *v, const uint8_t *data, size_t len);
	uint64_t credit, window;
	uint32_t turn;
	struct stream *stream; /* borrowed; NULL when it has not joined */
	struct viewer *next, *prev;
};

enum stream_recording { STREAM_UNRECORDED, STREAM_RECORDED, STREAM_RECORDED_TYPING /* what is typed as well */ };

#define STREAM_HELD_MAX 131072 /* bytes of input that wait for the console; attachments pause their clients long before */

/**
 * struct stream_state - how things stand
 * @epoch:    0 = never opened
 * @start, @end: offsets of the oldest byte kept and after the newest
 * @lasting: what is kept from here on is not pushed out by output that is on its way already
 * @written:  input offset up to which the console has taken; @wanted: offset of the next byte that
 * stream_input() takes
 * @typed_turn: the turn in which input was last taken
 * @held:     wanted - written: taken from clients, and not yet by what reads it
 * @ended:    the last byte has been read and the process has exited with @exit_code or @exit_signal; @why: more
 *            about it, or ""
 * @waits:    the far end is still being looked for: nobody may join
 * @size:     zeroes when unknown
 * @command:  what passes here is no terminal (docs/protocol.md, commands): it is neither shared nor recorded
 * @sealed:   what passes here is ciphertext (hv/seal/seal.h): it is neither shared nor recorded
 * @pty:      the size reaches what runs there
 * @recording: is it recorded? @recording_end: why it is no longer, a word for programs, or ""
 * @ring_bytes: how much the ring can hold beside what comes unasked for; 0 when never opened
 * @piece_bytes: output of one message at most: as much as comes together. A reader that stalls costs one message beside the ring
 */
struct stream_state {
	uint64_t epoch, start, lasting, end, written, wanted, held;
	bool ended, pty, waits, sealed, command;
	int exit_code, exit_signal;
	const char *why;
	struct ring_size size;
	uint32_t ring_bytes, piece_bytes, typed_turn;
	enum stream_recording recording;
	const char *recording_end;
};

struct stream_state stream_state(const struct stream *s);

/** stream_join() - become one of the stream's viewers; stream_leave() - no longer (also gives up control) */
void stream_join(struct stream *s, struct viewer *v);
void stream_leave(struct viewer *v);

/** stream_viewers() - the newest viewer; the others follow by ->next. NULL when there is none */
struct viewer *stream_viewers(const struct stream *s);

/**
 * stream_controller() - the viewer that controls, or NULL; stream_control() - @v (which has joined)
 * controls from now on, or nobody. Each time that somebody gets control begins a turn: the number in v->turn is greater
 * than every earlier one of this stream, also over a restart of the gateway
 */
struct viewer *stream_controller(const struct stream *s);
void stream_control(struct stream *s, struct viewer *v);

/**
 * stream_expect_nobody() - no controller will come back soon (its session was ended): do not keep the
 * console waiting for it
 */
void stream_expect_nobody(struct stream *s);

/** stream_credited() - @v's credit or window changed: reading may go on */
void stream_credited(struct viewer *v);

/** stream_read() - copy output from @offset, which must be kept. Return: bytes copied, at most @cap */
size_t stream_read(const struct stream *s, uint64_t offset, uint8_t *out, size_t cap);

/**
 * stream_safe() - the first place at or after @offset where a replay may begin
 *
 * An offset that is not kept counts as the start of the ring. The start of a line is preferred; offset 0 is
 * always safe.
 */
uint64_t stream_safe(struct stream *s, uint64_t offset);

/**
 * stream_preamble() - bytes that bring a terminal to the modes it has at @offset, which must be kept.
 * @out: MODES_PREAMBLE_MAX bytes
 */
size_t stream_preamble(struct stream *s, uint64_t offset, uint8_t *out);

/* Outcomes of stream_input(). */
enum { STREAM_E_AHEAD = 1, /* bytes before @offset are missing */
       STREAM_E_FULL = 2,  /* more than STREAM_HELD_MAX would wait */
       STREAM_E_ENDED = 3  /* nothing reads it any more; dropped */ };

/**
 * stream_input() - give @len bytes of input at @offset; those before state.wanted are repeats and dropped
 *
 * What the console does not take at once is held; what comes before the console is open, too.
 * Return: 0 or STREAM_E_*.
 */
int stream_input(struct stream *s, uint64_t offset, const uint8_t *data, size_t len);

/** stream_input_end() - nothing follows what was typed; means something to a command only, which can be told again after a restart */
void stream_input_end(struct stream *s);

/**
 * stream_record() - @v hears what viewers hear, but is none of them: it is not counted, controls nothing, and nobody
 * waits for it. NULL for no longer
 * @how: what all viewers are told; @why: the reason for an end, or "". Copied
 */
void stream_record(struct stream *s, struct viewer *v, enum stream_recording how, const char *why);

/**
 * stream_shows_typing() - does the terminal show what is typed now?
 *
 * HIDDEN is a line that is read without an echo, as passwords are. A program that takes single keys, an editor of lines
 * say, shows them itself: SHOWN. UNKNOWN: the terminal is in a guest, where we cannot look.
 */
enum stream_typing { STREAM_TYPING_UNKNOWN, STREAM_TYPING_SHOWN, STREAM_TYPING_HIDDEN };
enum stream_typing stream_shows_typing(const struct stream *s);

/** stream_resize() - set the size; every viewer but @by hears of it */
void stream_resize(struct stream *s, const struct viewer *by, struct ring_size size);

#endif
