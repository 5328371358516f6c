/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cast.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

#define MARK	    "# at "
#define REPLACEMENT "\xef\xbf\xbd"

/* Undo what was appended since @len, so that nobody finds half a line. */
static int undo(struct buf *out, size_t len)
{
	out->len = len;
	if (out->data)
		out->data[len] = '\0';
	return -ENOSPC;
}

/* --- text ------------------------------------------------------------------------------------------------ */

static int add_escaped(struct buf *out, uint8_t b)
{
	switch (b) {
	case '"':
		return buf_add(out, "\\\"", 2);
	case '\\':
		return buf_add(out, "\\\\", 2);
	case '\n':
		return buf_add(out, "\\n", 2);
	case '\r':
		return buf_add(out, "\\r", 2);
	case '\t':
		return buf_add(out, "\\t", 2);
	default:
		return buf_printf(out, "\\u%04x", b);
	}
}

static bool is_plain(uint8_t b)
{
	return b >= 0x20 && b < 0x7f && b != '"' && b != '\\';
}

static int add_replacement(struct cast *c, struct buf *out)
{
	c->held_len = 0;
	c->replaced++;
	return buf_add(out, REPLACEMENT, sizeof(REPLACEMENT) - 1);
}

/* The first byte of a sequence that is no ASCII. What may follow it is narrower for some: no surrogates, nothing longer than needed. */
static int begin_sequence(struct cast *c, struct buf *out, uint8_t b)
{
	c->lower = 0x80;
	c->upper = 0xbf;
	if (b < 0xc2 || b > 0xf4)
		return add_replacement(c, out);
	c->need = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
	if (b == 0xe0)
		c->lower = 0xa0;
	else if (b == 0xed)
		c->upper = 0x9f;
	else if (b == 0xf0)
		c->lower = 0x90;
	else if (b == 0xf4)
		c->upper = 0x8f;
	c->held[0] = b;
	c->held_len = 1;
	return 0;
}

/* One byte that is no plain ASCII, or comes within a sequence. */
static int add_byte(struct cast *c, struct buf *out, uint8_t b)
{
	int r = 0;

	if (c->held_len > 0 && b >= c->lower && b <= c->upper) {
		c->held[c->held_len++] = b;
		c->lower = 0x80;
		c->upper = 0xbf;
		if (c->held_len == c->need) {
			r = buf_add(out, c->held, c->held_len);
			c->held_len = 0;
		}
		return r;
	}
	if (c->held_len > 0)
		r = add_replacement(c, out);
	if (r == 0)
		r = b < 0x80 ? is_plain(b) ? buf_add(out, &b, 1) : add_escaped(out, b) : begin_sequence(c, out, b);
	return r;
}

static int add_text(struct cast *c, struct buf *out, const uint8_t *data, size_t len)
{
	size_t at = 0, run;
	int r = 0;

	while (r == 0 && at < len) {
		for (run = 0; c->held_len == 0 && at + run < len && is_plain(data[at + run]); run++)
			;
		if (run > 0)
			r = buf_add(out, data + at, run);
		else
			r = add_byte(c, out, data[at]);
		at += run > 0 ? run : 1;
	}
	return r;
}

/* --- events ---------------------------------------------------------------------------------------------- */

/* "[<seconds since the event before>, "<code>", ". Microseconds: nothing adds up over a long recording. */
static int begin_event(const struct cast *c, struct buf *out, uint64_t at_us, char code)
{
	uint64_t gap = at_us > c->last_us ? at_us - c->last_us : 0;

	return buf_printf(out, "[%llu.%06llu, \"%c\", \"", (unsigned long long)(gap / 1000000),
			  (unsigned long long)(gap % 1000000), code);
}

/* Close the line; or take all of it back, with the state as it was. */
static int end_event(struct cast *c, struct buf *out, uint64_t at_us, int r, const struct cast *before, size_t len)
{
	if (r == 0)
		r = buf_add(out, "\"]\n", 3);
	if (r < 0) {
		(void)undo(out, len);
		*c = *before;
		return r;
	}
	if (at_us > c->last_us)
		c->last_us = at_us;
	return 0;
}

int cast_text(struct cast *c, struct buf *out, enum cast_event what, uint64_t at_us, const uint8_t *data, size_t len)
{
	static const char codes[] = { [CAST_OUTPUT] = 'o', [CAST_INPUT] = 'i', [CAST_MARKER] = 'm' };
	const struct cast before = *c;
	struct cast apart = { 0 }; /* what is typed does not complete what is shown */
	struct cast *decoder = what == CAST_OUTPUT ? c : &apart;
	size_t start = out->len, text;
	int r = begin_event(c, out, at_us, codes[what]);

	text = out->len;
	if (r == 0)
		r = add_text(decoder, out, data, len);
	if (r == 0 && decoder == &apart && apart.held_len > 0)
		r = add_replacement(&apart, out);
	if (r == 0 && out->len == text && what == CAST_OUTPUT) {
		(void)undo(out, start);
		return 0;
	}
	r = end_event(c, out, at_us, r, &before, start);
	if (r == 0)
		c->replaced += apart.replaced;
	return r;
}

int cast_flush(struct cast *c, struct buf *out, uint64_t at_us)
{
	const struct cast before = *c;
	size_t start = out->len;
	int r;

	if (c->held_len == 0)
		return 0;
	r = begin_event(c, out, at_us, 'o');
	if (r == 0)
		r = add_replacement(c, out);
	return end_event(c, out, at_us, r, &before, start);
}

int cast_resize(struct cast *c, struct buf *out, uint64_t at_us, uint16_t cols, uint16_t rows)
{
	const struct cast before = *c;
	size_t start = out->len;
	int r = begin_event(c, out, at_us, 'r');

	if (r == 0)
		r = buf_printf(out, "%ux%u", cols, rows);
	return end_event(c, out, at_us, r, &before, start);
}

int cast_exit(struct cast *c, struct buf *out, uint64_t at_us, int code, int signal)
{
	const struct cast before = *c;
	size_t start = out->len;
	int r = begin_event(c, out, at_us, 'x');

	if (r == 0)
		r = buf_printf(out, "%d", signal ? 128 + signal : code);
	return end_event(c, out, at_us, r, &before, start);
}

int cast_header(struct buf *out, const struct cast_head *h)
{
	struct cast text = { 0 };
	size_t start = out->len;
	int r = buf_printf(out,
			   "{\"version\": 3, \"term\": {\"cols\": %u, \"rows\": %u, \"type\": \"xterm-256color\"}, "
			   "\"timestamp\": %lld, \"title\": \"",
			   h->cols ? h->cols : 80u, h->rows ? h->rows : 24u, (long long)h->started_s);

	if (r == 0)
		r = add_text(&text, out, (const uint8_t *)h->title, strlen(h->title));
	if (r == 0)
		r = buf_add(out, "\"}\n", 3);
	if (r < 0)
		(void)undo(out, start);
	return r;
}

/* --- comments -------------------------------------------------------------------------------------------- */

int cast_mark(struct buf *out, const struct cast_mark *m)
{
	return buf_printf(out, MARK "%llu %llu %llu\n", (unsigned long long)m->offset, (unsigned long long)m->at_us,
			  (unsigned long long)m->replaced);
}

int cast_closing(const struct cast *c, struct buf *out)
{
	if (c->replaced == 0)
		return 0;
	return buf_printf(out, "# not UTF-8, and so written as U+FFFD: %llu\n", (unsigned long long)c->replaced);
}

/* A decimal number that ends with @stop. Return: where it goes on, or NULL. */
static const char *read_number(const char *at, const char *end, char stop, uint64_t *out)
{
	const char *from = at;

	*out = 0;
	while (at < end && *at >= '0' && *at <= '9' && at - from < 19)
		*out = *out * 10 + (uint64_t)(*at++ - '0');
	return at > from && at < end && *at == stop ? at + 1 : NULL;
}

/* The mark at @line. Return: where the next line begins, or NULL. */
static const char *read_mark(const char *line, const char *end, struct cast_mark *m)
{
	const char *at = line;

	if ((size_t)(end - line) < sizeof(MARK) - 1 || memcmp(line, MARK, sizeof(MARK) - 1) != 0)
		return NULL;
	at = read_number(line + sizeof(MARK) - 1, end, ' ', &m->offset);
	at = at ? read_number(at, end, ' ', &m->at_us) : NULL;
	return at ? read_number(at, end, '\n', &m->replaced) : NULL;
}

size_t cast_find_mark(const char *data, size_t len, struct cast_mark *out)
{
	const char *end = data + len, *at = data + len;

	/* From the end, line by line. A line break never stands inside a line: JSON writes it as \n. */
	while (len > 0) {
		const char *before = memrchr(data, '\n', (size_t)(at - data)), *next;
		struct cast_mark m;

		if (!before)
			return 0;
		next = read_mark(before + 1, end, &m);
		if (next) {
			*out = m;
			return (size_t)(next - data);
		}
		at = before;
	}
	return 0;
}
