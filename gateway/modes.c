/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 * A parser after ECMA-48 and DEC STD 070 as xterm.js has it, cut down to what changes modes. It runs over
 * bytes on their way out of the ring (gateway/ring.c), so speed matters: in GROUND, plain text is skipped
 * many bytes at a time; only ESC, SO, SI and 0xc2 (the first byte of a C1 control in UTF-8) stop the
 * skipping. UTF-8 needs no state of its own: a byte 10xxxxxx tells that it is not the start of a character.
 *
 *   GROUND -ESC-> ESCAPE -[-> CSI -final-> GROUND          ESC, CAN, SUB and C1 act in every state, as on the real thing
 *                        -]-> OSC -BEL,ST-> GROUND
 *                        -P,X,^,_-> STRING -ST-> GROUND
 *                        -0x20..0x2f-> ESCAPE_INTER -final-> GROUND
 *
 * Invariants: nothing grows; numbers saturate; a title holds no control characters and is cut between
 * characters. Not followed: what DECSC saved, tab stops, palettes, open hyperlinks. Programs set these up
 * again when they draw anew. Rejected: an emulator that keeps the screen. It would be the softest target in
 * the process (CVE-2024-35164); see docs/protocol.md.
 */
#include "gateway/modes.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

enum state { GROUND, ESCAPE, ESCAPE_INTER, CSI, CSI_INTER, CSI_IGNORE, OSC, STRING, STATE_COUNT };

#define C0_BEL 0x07
#define C0_SO  0x0e
#define C0_SI  0x0f
#define C0_CAN 0x18
#define C0_SUB 0x1a
#define C0_ESC 0x1b
#define DEL    0x7f
#define C1_LEAD 0xc2 /* U+0080..U+009F are 0xc2 0x80..0x9f in UTF-8 */

#define INTER_MANY 0xff /* more than one intermediate byte: nothing that is followed here */
#define OSC_NONE   0xffff
#define LINE_SEEK_BYTES 4096 /* how far modes_seek() looks for the start of a line */

/* Modes that are on or off. The first rows have names because the code below uses them. */
enum mode_row { ROW_ORIGIN, ROW_ALT, ROW_BLINK, ROW_KEYPAD };
static const struct {
	uint16_t number;
	bool dec, preset, soft; /* soft: DECSTR sets it back to its preset */
} mode_table[] = {
	[ROW_ORIGIN] = { 6, true, false, true },
	[ROW_ALT] = { 1049, true, false, false },
	[ROW_BLINK] = { 12, true, false, true },
	[ROW_KEYPAD] = { 66, true, false, true },
	{ 7, true, true, true },     /* wrap-around */
	{ 25, true, true, true },    /* the cursor is shown */
	{ 1, true, false, true },    /* application cursor keys */
	{ 5, true, false, false },   /* reverse video */
	{ 45, true, false, true },   /* reverse wrap-around */
	{ 1004, true, false, true }, /* focus events */
	{ 1007, true, false, false }, /* wheel as cursor keys */
	{ 2004, true, false, true }, /* bracketed paste */
	{ 2031, true, false, false }, /* colour scheme reports */
	{ 4, false, false, true },   /* insert */
	{ 20, false, false, false }, /* newline mode */
};
#define MODE_ROWS (sizeof(mode_table) / sizeof(mode_table[0]))
_Static_assert(sizeof(mode_table) / sizeof(mode_table[0]) <= 32, "modes.set has a bit for each row");

static void set_row(struct modes *m, size_t row, bool on)
{
	if (on)
		m->set |= 1u << row;
	else
		m->set &= ~(1u << row);
}

static bool row_on(const struct modes *m, size_t row)
{
	return m->set & 1u << row;
}

static void charset_reset(struct modes *m)
{
	memset(m->charset, 'B', sizeof(m->charset));
	m->gl = 0;
}

void modes_init(struct modes *m)
{
	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < MODE_ROWS; i++)
		set_row(m, i, mode_table[i].preset);
	charset_reset(m);
}

/* RIS. The title stays, as it does in xterm. */
static void hard_reset(struct modes *m)
{
	char title[sizeof(m->title)];
	uint16_t len = m->title_len;

	memcpy(title, m->title, sizeof(title));
	modes_init(m);
	memcpy(m->title, title, sizeof(title));
	m->title_len = len;
}

/* DECSTR */
static void soft_reset(struct modes *m)
{
	size_t screen = row_on(m, ROW_ALT);

	for (size_t i = 0; i < MODE_ROWS; i++) {
		if (mode_table[i].soft)
			set_row(m, i, mode_table[i].preset);
	}
	m->top[screen] = m->bottom[screen] = 0;
	m->cursor_style = 0;
	m->sgr = (struct sgr){ 0 };
	charset_reset(m);
}

/* --- control sequences ----------------------------------------------------------------------------------- */

static void dec_mode(struct modes *m, uint16_t number, bool on)
{
	switch (number) {
	case 9:
	case 1000:
	case 1002:
	case 1003:
		m->mouse = on ? number : 0;
		return;
	case 1005:
	case 1006:
	case 1015:
	case 1016:
		m->mouse_encoding = on ? number : 0;
		return;
	case 47:
	case 1047:
		number = 1049;
		break;
	default:
		break;
	}
	for (size_t i = 0; i < MODE_ROWS; i++) {
		if (mode_table[i].dec && mode_table[i].number == number)
			set_row(m, i, on);
	}
}

static void ansi_mode(struct modes *m, uint16_t number, bool on)
{
	for (size_t i = 0; i < MODE_ROWS; i++) {
		if (!mode_table[i].dec && mode_table[i].number == number)
			set_row(m, i, on);
	}
}

static void csi_mode(struct modes *m, bool on)
{
	for (size_t i = 0; i < m->nparam; i++) {
		if (m->prefix == '?')
			dec_mode(m, m->param[i], on);
		else if (m->prefix == 0)
			ansi_mode(m, m->param[i], on);
	}
}

static void csi_region(struct modes *m)
{
	size_t screen = row_on(m, ROW_ALT);
	uint16_t top = m->nparam > 0 ? m->param[0] : 0, bottom = m->nparam > 1 ? m->param[1] : 0;

	if (bottom != 0 && bottom <= top)
		return;
	m->top[screen] = top;
	m->bottom[screen] = bottom;
}

static void csi_final(struct modes *m, uint8_t c)
{
	if (m->inter == 0 && (c == 'h' || c == 'l'))
		csi_mode(m, c == 'h');
	else if (m->inter == 0 && m->prefix == 0 && c == 'r')
		csi_region(m);
	else if (m->inter == 0 && m->prefix == 0 && c == 'm')
		sgr_apply(&m->sgr, m->param, m->nparam, m->colon);
	else if (m->inter == '!' && m->prefix == 0 && c == 'p')
		soft_reset(m);
	else if (m->inter == ' ' && m->prefix == 0 && c == 'q')
		m->cursor_style = (uint8_t)(m->nparam > 0 && m->param[0] <= 6 ? m->param[0] : 0);
}

static void csi_digit(struct modes *m, uint8_t c)
{
	unsigned v;

	if (m->nparam == 0)
		m->nparam = 1;
	v = m->param[m->nparam - 1] * 10u + (c - '0');
	m->param[m->nparam - 1] = (uint16_t)(v > UINT16_MAX ? UINT16_MAX : v);
}

static void csi_separator(struct modes *m, uint8_t c)
{
	if (m->nparam == 0)
		m->nparam = 1;
	if (m->nparam == MODES_PARAMS_MAX) {
		m->state = CSI_IGNORE;
		return;
	}
	if (c == ':')
		m->colon |= 1u << m->nparam;
	m->param[m->nparam++] = 0;
}

static void in_csi(struct modes *m, uint8_t c)
{
	if (c >= 0x40 && c <= 0x7e) {
		if (m->state != CSI_IGNORE)
			csi_final(m, c);
		m->state = GROUND;
	} else if (m->state == CSI_IGNORE) {
		return;
	} else if (c >= 0x20 && c <= 0x2f) {
		m->inter = m->inter == 0 ? c : INTER_MANY;
		m->state = CSI_INTER;
	} else if (m->state == CSI_INTER) {
		m->state = CSI_IGNORE;
	} else if (c >= '0' && c <= '9') {
		csi_digit(m, c);
	} else if (c == ';' || c == ':') {
		csi_separator(m, c);
	} else if (m->nparam == 0 && m->prefix == 0) {
		m->prefix = c; /* 0x3c to 0x3f */
	} else {
		m->state = CSI_IGNORE;
	}
}

/* --- escape sequences and strings ------------------------------------------------------------------------ */

static void begin(struct modes *m, enum state state)
{
	m->state = (uint8_t)state;
	m->prefix = m->inter = m->nparam = 0;
	m->colon = 0;
	m->osc = state == OSC ? 0 : OSC_NONE;
	m->collect = 0;
	m->next_len = 0;
	m->param[0] = 0;
}

static void escape_final(struct modes *m, uint8_t c)
{
	m->state = GROUND;
	switch (c) {
	case '[':
		begin(m, CSI);
		break;
	case ']':
		begin(m, OSC);
		break;
	case 'P':
	case 'X':
	case '^':
	case '_':
		begin(m, STRING);
		break;
	case '=':
	case '>':
		set_row(m, ROW_KEYPAD, c == '=');
		break;
	case 'n':
	case 'o':
		m->gl = c == 'n' ? 2 : 3;
		break;
	case 'c':
		hard_reset(m);
		break;
	default:
		break;
	}
}

/* ESC ( ) * + designate G0 to G3 (94 characters), - . / G1 to G3 (96 characters). */
static void escape_inter_final(struct modes *m, uint8_t c)
{
	static const char slots94[] = "()*+", slots96[] = "-./";
	const char *p;

	m->state = GROUND;
	if (m->inter == INTER_MANY)
		return;
	p = strchr(slots94, m->inter);
	if (p)
		m->charset[p - slots94] = c;
	p = strchr(slots96, m->inter);
	if (p)
		m->charset[p - slots96 + 1] = 'B'; /* the 96-character sets matter only for bytes that UTF-8 does not have */
}

static void in_escape(struct modes *m, uint8_t c)
{
	if (c >= 0x20 && c <= 0x2f) {
		m->inter = m->state == ESCAPE ? c : INTER_MANY;
		m->state = ESCAPE_INTER;
	} else if (c >= 0x30 && c <= 0x7e) {
		if (m->state == ESCAPE)
			escape_final(m, c);
		else
			escape_inter_final(m, c);
	}
}

/*
 * Length of the character at @p if it is sound UTF-8 and no C1 control; 0 otherwise. Overlong forms do no
 * harm in a title.
 */
static size_t character(const uint8_t *p, size_t left)
{
	size_t len = p[0] < 0x80   ? 1
		     : p[0] < 0xc2 ? 0
		     : p[0] < 0xe0 ? 2
		     : p[0] < 0xf0 ? 3
		     : p[0] < 0xf5 ? 4
				   : 0;

	if (len > left || (p[0] == C1_LEAD && p[1] < 0xa0))
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

/* A string has ended well: a title becomes the title, without what is not text. */
static void string_end(struct modes *m)
{
	const uint8_t *from = (const uint8_t *)m->next_title;
	size_t len = 0, n;

	if (!m->collect)
		return;
	m->collect = 0;
	for (size_t i = 0; i < m->next_len; i += n ? n : 1) {
		n = character(from + i, m->next_len - i);
		memcpy(m->title + len, from + i, n);
		len += n;
	}
	m->title[len] = '\0';
	m->title_len = (uint16_t)len;
}

static void in_osc(struct modes *m, uint8_t c)
{
	if (m->collect) {
		if (m->next_len < MODES_TITLE_MAX)
			m->next_title[m->next_len++] = (char)c;
		return;
	}
	if (m->osc == OSC_NONE)
		return;
	if (c >= '0' && c <= '9' && m->osc < 1000) {
		m->osc = (uint16_t)(m->osc * 10u + (c - '0'));
		m->nparam = 1;
		return;
	}
	if (c == ';' && m->nparam == 1 && (m->osc == 0 || m->osc == 2))
		m->collect = 1;
	m->osc = OSC_NONE;
}

/* --- the parser ------------------------------------------------------------------------------------------ */

static void control(struct modes *m, uint8_t c)
{
	switch (c) {
	case C0_ESC:
		if (m->state == OSC)
			string_end(m);
		m->state = ESCAPE;
		break;
	case C0_CAN:
	case C0_SUB:
		m->state = GROUND;
		break;
	case C0_BEL:
		if (m->state == OSC) {
			string_end(m);
			m->state = GROUND;
		}
		break;
	case C0_SO:
	case C0_SI:
		if (m->state != OSC && m->state != STRING)
			m->gl = c == C0_SO;
		break;
	default:
		break;
	}
}

/* C1 controls as code points; they act in every state. */
static void control_c1(struct modes *m, uint8_t c)
{
	if (c == 0x9c && m->state == OSC)
		string_end(m);
	switch (c) {
	case 0x90:
	case 0x98:
	case 0x9e:
	case 0x9f:
		begin(m, STRING);
		break;
	case 0x9b:
		begin(m, CSI);
		break;
	case 0x9d:
		begin(m, OSC);
		break;
	default:
		m->state = GROUND;
		break;
	}
}

static void high(struct modes *m, uint8_t c)
{
	switch (m->state) {
	case OSC:
		in_osc(m, c);
		break;
	case STRING:
	case CSI_IGNORE:
		break;
	default:
		m->state = GROUND; /* a printed character ends a sequence */
		break;
	}
}

static void low(struct modes *m, uint8_t c)
{
	switch (m->state) {
	case ESCAPE:
	case ESCAPE_INTER:
		in_escape(m, c);
		break;
	case CSI:
	case CSI_INTER:
	case CSI_IGNORE:
		in_csi(m, c);
		break;
	case OSC:
		in_osc(m, c);
		break;
	default:
		break;
	}
}

static void byte(struct modes *m, uint8_t c)
{
	if (m->c1) {
		m->c1 = 0;
		if (c >= 0x80 && c <= 0x9f) {
			control_c1(m, c);
			return;
		}
		if (c >= 0x80 && c <= 0xbf)
			high(m, C1_LEAD); /* else it is nothing at all */
	}
	if (c == C1_LEAD)
		m->c1 = 1;
	else if (c < 0x20)
		control(m, c);
	else if (c >= 0x80)
		high(m, c);
	else if (c != DEL)
		low(m, c);
}

#define EACH(byte) (0x0101010101010101u * (byte))

/* High bit of each byte that is 0. Bytes above the lowest such one may be wrong, so only that one counts. */
static uint64_t zeroes(uint64_t v)
{
	return (v - EACH(1u)) & ~v & EACH(0x80u);
}

/* Sixteen bytes that the compiler compares at once: with instructions for that where the processor has them, and it does without as well. */
typedef uint8_t lane __attribute__((vector_size(16)));

static lane stops(const uint8_t *data)
{
	lane v;

	memcpy(&v, data, sizeof(v));
	return (lane)((v == C0_ESC) | ((v & 0xfe) == C0_SO) | (v == C1_LEAD));
}

#define STRIDE (4 * sizeof(lane))

/* Length of the text at the front that is surely plain, in strides. */
static size_t strides(const uint8_t *data, size_t len)
{
	size_t at = 0;

	for (; at + STRIDE <= len; at += STRIDE) {
		lane any = stops(data + at) | stops(data + at + 16) | stops(data + at + 32) | stops(data + at + 48);
		uint64_t half[2];

		memcpy(half, &any, sizeof(half));
		if (half[0] | half[1])
			break;
	}
	return at;
}

/*
 * Length of the plain text at the front: up to ESC, SO, SI or 0xc2. Eight bytes at a time, since text and
 * colours alternate quickly; what is longer than a line or so in strides.
 */
static size_t plain(const uint8_t *data, size_t len)
{
	size_t at = 0;
	uint64_t v, stop;

	for (; at + sizeof(v) <= len; at += sizeof(v)) {
		if (at == STRIDE)
			at += strides(data + at, len - at - sizeof(v));
		memcpy(&v, data + at, sizeof(v));
		v = le64toh(v);
		stop = zeroes(v ^ EACH(C0_ESC)) | zeroes((v & EACH(0xfeu)) ^ EACH(C0_SO)) |
		       zeroes(v ^ EACH(C1_LEAD));
		if (stop)
			return at + (size_t)__builtin_ctzll(stop) / 8;
	}
	while (at < len && data[at] != C0_ESC && data[at] != C1_LEAD && data[at] != C0_SO && data[at] != C0_SI)
		at++;
	return at;
}

/* The same as byte() for the parameters and the end of a control sequence. Return: bytes fed. */
static size_t parameters(struct modes *m, const uint8_t *data, size_t len)
{
	size_t at;

	for (at = 0; at < len && m->state == CSI; at++) {
		if (data[at] >= '0' && data[at] <= '9') {
			csi_digit(m, data[at]);
		} else if (data[at] == ';') {
			csi_separator(m, ';');
		} else if (data[at] >= 0x40 && data[at] <= 0x7e) {
			csi_final(m, data[at]);
			m->state = GROUND;
		} else {
			break;
		}
	}
	return at;
}

/* Plain text, and the introducer of a control sequence when one follows. Return: bytes fed. */
static size_t text(struct modes *m, const uint8_t *data, size_t len)
{
	size_t n = plain(data, len);

	if (len - n < 2 || data[n] != C0_ESC || data[n + 1] != '[')
		return n;
	begin(m, CSI);
	return n + 2;
}

/* The two things that output consists of have loops of their own; the rest goes byte by byte. */
void modes_feed(struct modes *m, const uint8_t *data, size_t len)
{
	size_t at = 0, n;

	while (at < len) {
		n = 0;
		if (m->state == GROUND && !m->c1)
			n = text(m, data + at, len - at);
		else if (m->state == CSI && !m->c1)
			n = parameters(m, data + at, len - at);
		at += n;
		if (n == 0)
			byte(m, data[at++]);
	}
}

static bool outside(const struct modes *m)
{
	return m->state == GROUND && !m->c1;
}

size_t modes_seek(struct modes *m, const uint8_t *data, size_t len)
{
	struct modes ahead = *m;
	size_t near = len < LINE_SEEK_BYTES ? len : LINE_SEEK_BYTES, at;

	for (at = 0; at < near; at++) {
		byte(&ahead, data[at]);
		if (data[at] == '\n' && outside(&ahead)) {
			*m = ahead;
			return at + 1;
		}
	}
	for (at = 0; at < len; at++) {
		if (outside(m) && (data[at] & 0xc0) != 0x80)
			return at;
		byte(m, data[at]);
	}
	return len;
}

/* --- the preamble ---------------------------------------------------------------------------------------- */

/*
 * Blinking is set but never cleared: clearing would overrule what the person has chosen for the cursor;
 * DECSTR did it.
 */
static void put_modes(struct sgr_out *o, const struct modes *m)
{
	sgr_put(o, "\033[%u q", m->cursor_style);
	for (size_t i = ROW_BLINK; i < MODE_ROWS; i++) {
		if (i != ROW_BLINK || row_on(m, i))
			sgr_put(o, "\033[%s%u%c", mode_table[i].dec ? "?" : "", mode_table[i].number,
				row_on(m, i) ? 'h' : 'l');
	}
	sgr_put(o, "\033[?1000l\033[?1006l");
	if (m->mouse)
		sgr_put(o, "\033[?%uh", m->mouse);
	if (m->mouse_encoding)
		sgr_put(o, "\033[?%uh", m->mouse_encoding);
}

static void put_charsets(struct sgr_out *o, const struct modes *m)
{
	static const char slots[] = "()*+";
	static const char *const shifts[] = { "\017", "\016", "\033n", "\033o" };

	for (size_t i = 0; i < 4; i++)
		sgr_put(o, "\033%c%c", slots[i], m->charset[i]);
	sgr_put(o, "%s", shifts[m->gl]);
}

/*
 * The order matters. CAN ends whatever sequence the terminal was in; DECSTR puts back what it can, the
 * scroll region only of the screen that is shown; erasing comes before colours, since it paints with them;
 * DECSTBM moves the cursor, so it stands between DECSC and DECRC, and those come before attributes and
 * character sets, which DECRC would restore.
 */
size_t modes_preamble(const struct modes *m, uint8_t *out, size_t cap)
{
	struct sgr_out o = { .text = (char *)out, .cap = cap };
	size_t screen = row_on(m, ROW_ALT);

	sgr_put(&o, "\030\033[?%s\033[!p\033]8;;\033\\%s", screen ? "1049h" : "47l",
		screen ? "\033[H\033[2J" : "\r\033[K");
	if (m->top[screen] || m->bottom[screen])
		sgr_put(&o, "\0337\033[%u;%ur\0338", m->top[screen], m->bottom[screen]);
	if (row_on(m, ROW_ORIGIN))
		sgr_put(&o, "\033[?6h");
	put_modes(&o, m);
	put_charsets(&o, m);
	o.len += sgr_text(&m->sgr, o.text + o.len, o.cap - o.len);
	if (m->title_len)
		sgr_put(&o, "\033]2;%s\033\\", m->title);
	if (m->state == OSC)
		sgr_put(&o, "\033]9999;");
	else if (m->state == STRING)
		sgr_put(&o, "\033_");
	return o.len;
}

static bool title_valid(const char *title, size_t len)
{
	if (len > MODES_TITLE_MAX || title[len] != '\0')
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((uint8_t)title[i] < 0x20 || title[i] == DEL)
			return false;
	}
	return true;
}

bool modes_valid(const struct modes *m)
{
	static const uint16_t mice[] = { 0, 9, 1000, 1002, 1003 }, encodings[] = { 0, 1005, 1006, 1015, 1016 };
	bool mouse = false, encoding = false;

	for (size_t i = 0; i < 5; i++) {
		mouse |= m->mouse == mice[i];
		encoding |= m->mouse_encoding == encodings[i];
	}
	for (size_t i = 0; i < 4; i++) {
		if (m->charset[i] < 0x30 || m->charset[i] > 0x7e)
			return false;
	}
	return mouse && encoding && m->state < STATE_COUNT && m->nparam <= MODES_PARAMS_MAX && m->c1 <= 1 &&
	       m->collect <= 1 && m->next_len <= MODES_TITLE_MAX && m->gl < 4 && m->cursor_style <= 6 &&
	       m->set >> (MODE_ROWS - 1) <= 1 && sgr_valid(&m->sgr) && title_valid(m->title, m->title_len);
}
