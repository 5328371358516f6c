/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CAST_H
#define GATEWAY_CAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/*
 * The format of recordings: asciicast v3 (https://docs.asciinema.org/manual/asciicast/v3/), one JSON line for
 * the header and one for each event. Pure: time and bytes come from the caller, lines go into a buffer.
 *
 * A line holds text, a terminal gives bytes. UTF-8 that is cut at the end of a piece is held until the rest of
 * it comes; what is not UTF-8 becomes U+FFFD, one for each maximal part of a sequence, as browsers do it
 * (https://encoding.spec.whatwg.org/#utf-8-decoder), and is counted.
 */

/**
 * struct cast - where a recording stands; zeroed = at its beginning
 * @last_us:  when the last event was, since the beginning
 * @replaced: how often U+FFFD stands for something else
 * @held, @held_len: the beginning of a UTF-8 sequence
 */
struct cast {
	uint64_t last_us, replaced;
	uint8_t held[4], held_len, need, lower, upper;
};

/** struct cast_head - the header; @title may be "" */
struct cast_head {
	uint16_t cols, rows;
	int64_t started_s;
	const char *title;
};

/* What happened. A marker's data is UTF-8 already. */
enum cast_event { CAST_OUTPUT, CAST_INPUT, CAST_MARKER };

/* Each appends whole lines to @out. Return: 0, or -ENOSPC or -ENOMEM as buf_add(), @out being as before. */
int cast_header(struct buf *out, const struct cast_head *h);

/** cast_text() - @len bytes of the terminal; may write nothing, when all of it is held. @at_us: since the beginning */
int cast_text(struct cast *c, struct buf *out, enum cast_event what, uint64_t at_us, const uint8_t *data, size_t len);

/** cast_flush() - what is held will not be completed any more */
int cast_flush(struct cast *c, struct buf *out, uint64_t at_us);

int cast_resize(struct cast *c, struct buf *out, uint64_t at_us, uint16_t cols, uint16_t rows);

/** cast_exit() - how the process ended, as a shell says it: 128 + @signal unless that is 0 */
int cast_exit(struct cast *c, struct buf *out, uint64_t at_us, int code, int signal);

/**
 * struct cast_mark - a comment line that says which output the lines before it hold
 * @offset: of the stream, after the last byte that is written; what is held counts as not written
 */
struct cast_mark {
	uint64_t offset, at_us, replaced;
};

int cast_mark(struct buf *out, const struct cast_mark *m);

/** cast_closing() - a last comment that says what is not as it was, if anything */
int cast_closing(const struct cast *c, struct buf *out);

/**
 * cast_find_mark() - the last mark in the end of a recording that was broken off
 * @data: begins anywhere in the file and reaches to its end
 *
 * Return: how many bytes of @data stay, the mark's line being the last of them; 0 without a mark.
 */
size_t cast_find_mark(const char *data, size_t len, struct cast_mark *out);

#endif
