/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sgr.h"

#include <stdarg.h>
#include <stdio.h>

/* Attributes that are on or off: number that sets, number that clears. */
static const struct {
	uint8_t on, off;
} attribute_table[] = { { 1, 22 }, { 2, 22 }, { 3, 23 }, { 5, 25 },
			{ 7, 27 }, { 8, 28 }, { 9, 29 }, { 53, 55 } };
#define ATTRIBUTES (sizeof(attribute_table) / sizeof(attribute_table[0]))

#define UNDERLINE_MAX 5

static uint32_t rgb(const uint16_t *p)
{
	return SGR_RGB | (p[0] & 255u) << 16 | (p[1] & 255u) << 8 | (p[2] & 255u);
}

/*
 * The older form of an extended colour: 38;5;n or 38;2;r;g;b at @p, @left numbers. Return: how many belong
 * to it.
 */
static size_t listed_colour(const uint16_t *p, size_t left, uint32_t *out)
{
	if (left >= 3 && p[1] == 5) {
		*out = SGR_INDEXED | (p[2] & 255u);
		return 3;
	}
	if (left >= 5 && p[1] == 2) {
		*out = rgb(p + 2);
		return 5;
	}
	return left;
}

/*
 * The newer form: 38:5:n or 38:2:<colour space>:r:g:b, @n numbers at @p. The colour space is mostly empty,
 * and left out by programs that take the colon for another semicolon.
 */
static void joined_colour(const uint16_t *p, size_t n, uint32_t *out)
{
	if (p[1] == 5 && n >= 3)
		*out = SGR_INDEXED | (p[2] & 255u);
	else if (p[1] == 2 && n >= 5)
		*out = rgb(n >= 6 ? p + 3 : p + 2);
}

static void attribute(struct sgr *s, uint16_t n)
{
	for (size_t i = 0; i < ATTRIBUTES; i++) {
		if (n == attribute_table[i].on || (n == 6 && attribute_table[i].on == 5))
			s->attributes = (uint16_t)(s->attributes | 1u << i);
		else if (n == attribute_table[i].off)
			s->attributes = (uint16_t)(s->attributes & ~(1u << i));
	}
}

/* A number that stands for itself. The colours come first, since they are most of what programs send. */
static void single(struct sgr *s, uint16_t n)
{
	if (n >= 30 && n <= 37)
		s->fg = SGR_INDEXED | (n - 30u);
	else if (n == 39)
		s->fg = 0;
	else if (n >= 40 && n <= 47)
		s->bg = SGR_INDEXED | (n - 40u);
	else if (n == 49)
		s->bg = 0;
	else if (n >= 90 && n <= 97)
		s->fg = SGR_INDEXED | (n - 90u + 8);
	else if (n >= 100 && n <= 107)
		s->bg = SGR_INDEXED | (n - 100u + 8);
	else if (n == 59)
		s->ul = 0;
	else if (n == 21)
		s->underline = 2;
	else if (n == 24)
		s->underline = 0;
	else
		attribute(s, n);
}

void sgr_apply(struct sgr *s, const uint16_t *param, size_t n, uint32_t colon)
{
	size_t used;

	if (n == 0)
		*s = (struct sgr){ 0 };
	for (size_t i = 0; i < n; i += used) {
		const uint16_t *p = param + i;
		uint32_t *colour = p[0] == 38 ? &s->fg : p[0] == 48 ? &s->bg : &s->ul;

		for (used = 1; i + used < n && colon & 1u << (i + used); used++)
			;
		if (p[0] == 0)
			*s = (struct sgr){ 0 };
		else if (p[0] == 4)
			s->underline = used == 1 || p[1] > UNDERLINE_MAX ? 1 : (uint8_t)p[1];
		else if (p[0] != 38 && p[0] != 48 && p[0] != 58)
			single(s, p[0]);
		else if (used > 1)
			joined_colour(p, used, colour);
		else
			used = listed_colour(p, n - i, colour);
	}
}

/* --- back to text ---------------------------------------------------------------------------------------- */

void sgr_put(struct sgr_out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->text + o->len, o->cap - o->len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < o->cap - o->len)
		o->len += (size_t)n;
}

/*
 * @base: 38, 48 or 58. The sixteen colours have numbers of their own, which the oldest terminals know, too;
 * underlines have not.
 */
static void put_colour(struct sgr_out *o, unsigned base, uint32_t colour)
{
	uint32_t v = colour & 0xffffff;

	if (colour & SGR_INDEXED && v < 16 && base != 58)
		sgr_put(o, "\033[%um", base - 8 + (v < 8 ? v : v + 52));
	else if (colour & SGR_INDEXED)
		sgr_put(o, "\033[%u:5:%um", base, v);
	else if (colour & SGR_RGB)
		sgr_put(o, "\033[%u:2::%u:%u:%um", base, v >> 16, v >> 8 & 255, v & 255);
}

size_t sgr_text(const struct sgr *s, char *out, size_t cap)
{
	struct sgr_out o = { .text = out, .cap = cap };

	for (size_t i = 0; i < ATTRIBUTES; i++) {
		if (s->attributes & 1u << i)
			sgr_put(&o, "\033[%um", attribute_table[i].on);
	}
	if (s->underline)
		sgr_put(&o, "\033[4:%um", s->underline);
	put_colour(&o, 38, s->fg);
	put_colour(&o, 48, s->bg);
	put_colour(&o, 58, s->ul);
	return o.len;
}

static bool colour_valid(uint32_t c)
{
	return c == 0 || (c & 0xff000000) == SGR_RGB ||
	       ((c & 0xff000000) == SGR_INDEXED && (c & 0xffffff) < 256);
}

bool sgr_valid(const struct sgr *s)
{
	return s->attributes >> ATTRIBUTES == 0 && s->underline <= UNDERLINE_MAX && colour_valid(s->fg) &&
	       colour_valid(s->bg) && colour_valid(s->ul);
}
