/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/rule_csv.h"

#include <csv.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/rulebook.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/when.h"

enum column { COL_PATTERN, COL_EFFECT, COL_ROLE, COL_NOT_BEFORE, COL_EXPIRES, COL_NOTE, COLUMN_COUNT };
#define FIELDS_MAX 32

static const unsigned field_bits[] = {
	[COL_PATTERN] = 0, [COL_EFFECT] = RULE_HAS_EFFECT, [COL_ROLE] = RULE_HAS_ROLE, [COL_NOT_BEFORE] = RULE_HAS_NOT_BEFORE,
	[COL_EXPIRES] = RULE_HAS_EXPIRES, [COL_NOTE] = RULE_HAS_NOTE,
};
_Static_assert(sizeof(field_bits) / sizeof(field_bits[0]) == COLUMN_COUNT, "a bit for each column");

#define LINE_BYTES 1024
#define FORMULA	   "=+-@|%\t\r" /* a cell that begins so, a spreadsheet runs */

static const char *const names[] = {
	[COL_PATTERN] = "pattern", [COL_EFFECT] = "effect", [COL_ROLE] = "role", [COL_NOT_BEFORE] = "not_before", [COL_EXPIRES] = "expires",
	[COL_NOTE] = "note",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == COLUMN_COUNT, "a name for each column");

struct reading {
	struct rule_csv *out;
	enum column columns[FIELDS_MAX]; /* by position; COLUMN_COUNT = ignored */
	size_t column_count, at, line;
	bool head_done, bad, memory;
	struct rule rule;
};

static void tell(struct rule_csv *out, size_t line, const char *why)
{
	if (out->bad_count < RULE_CSV_BAD_MAX && !out->bad)
		out->bad = calloc(RULE_CSV_BAD_MAX, sizeof(*out->bad));
	if (out->bad_count < RULE_CSV_BAD_MAX && out->bad) {
		out->bad[out->bad_count].line = line;
		(void)snprintf(out->bad[out->bad_count].why, sizeof(out->bad[0].why), "%s", why);
	}
	out->bad_count++;
}

static int keep(struct rule_csv *out, const struct rule *rule, size_t line)
{
	if (out->count == RULES_MAX)
		return -ENOSPC;
	if (out->count == out->capacity) {
		size_t capacity = out->capacity ? out->capacity * 2 : 64;
		struct rule *rules = realloc(out->rules, capacity * sizeof(*rules));
		size_t *lines;

		if (!rules)
			return -ENOMEM;
		out->rules = rules;
		lines = realloc(out->lines, capacity * sizeof(*lines));
		if (!lines)
			return -ENOMEM;
		out->lines = lines;
		out->capacity = capacity;
	}
	out->rules[out->count] = *rule;
	out->lines[out->count++] = line;
	return 0;
}

struct place {
	const struct rule *rule;
	size_t line;
};

static int by_pattern(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = strcmp(x->rule->pattern, y->rule->pattern);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* Which of two lines for one pattern is meant, nobody can tell: what begins a rule stays, what says it again is bad. */
static int refuse_doubles(struct rule_csv *out)
{
	struct place *places = calloc(out->count + 1, sizeof(*places));
	size_t kept = 0;
	char why[64];

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < out->count; i++)
		places[i] = (struct place){ &out->rules[i], out->lines[i] };
	qsort(places, out->count, sizeof(*places), by_pattern);
	for (size_t i = out->count; i-- > 1;) {
		if (strcmp(places[i].rule->pattern, places[i - 1].rule->pattern) != 0)
			continue;
		(void)snprintf(why, sizeof(why), "line %zu has the same pattern", places[i - 1].line);
		tell(out, places[i].line, why);
		out->lines[places[i].rule - out->rules] = 0;
	}
	free(places);
	for (size_t i = 0; i < out->count; i++) {
		if (out->lines[i] == 0)
			continue;
		out->rules[kept] = out->rules[i];
		out->lines[kept++] = out->lines[i];
	}
	out->count = kept;
	return 0;
}

/* Sets one property of a rule from text. Return: 0, or -EINVAL with @e. */
static int set_cell(struct rule *r, enum column c, const char *text, size_t len, struct err *e)
{
	char value[LINE_BYTES];

	if (len >= sizeof(value) || memchr(text, '\0', len))
		return err_set(e, -EINVAL, "%s is too long or holds a NUL byte", names[c]);
	memcpy(value, text, len);
	value[len] = '\0';
	if (c == COL_PATTERN)
		return rule_pattern(value, len, r->pattern, e);
	if (c == COL_NOTE) {
		/* What rule_csv_row() put in front of a would-be formula. */
		const char *note = value[0] == '\'' && value[1] && strchr(FORMULA, value[1]) ? value + 1 : value;

		if (strlen(note) >= sizeof(r->note))
			return err_set(e, -EINVAL, "note is longer than %zu bytes", sizeof(r->note) - 1);
		memcpy(r->note, note, strlen(note) + 1);
		for (char *p = r->note; *p; p++)
			*p = (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p;
		return 0;
	}
	if (len == 0)
		return 0;
	if (c == COL_EFFECT)
		return rule_effect_parse(value, &r->effect) == 0 ? 0 : err_set(e, -EINVAL, "effect must be allow or deny");
	if (c == COL_ROLE)
		return role_parse(value, &r->role) == 0 ? 0 : err_set(e, -EINVAL, "role must be user, auditor, operator or admin");
	return when_parse(value, c == COL_EXPIRES ? &r->expires_s : &r->not_before_s) == 0 ?
		       0 :
		       err_set(e, -EINVAL, "%s must be a date such as 2027-01-31", names[c]);
}

static enum column column_of(const char *text, size_t len)
{
	if (len == 5 && strncasecmp(text, "email", 5) == 0)
		return COL_PATTERN;
	if (len == 10 && strncasecmp(text, "expires_at", 10) == 0)
		return COL_EXPIRES;
	for (int c = 0; c < COLUMN_COUNT; c++)
		if (strlen(names[c]) == len && strncasecmp(text, names[c], len) == 0)
			return (enum column)c;
	return COLUMN_COUNT;
}

static void on_field(void *data, size_t len, void *arg)
{
	struct reading *rd = arg;
	const char *text = data;
	struct err e = { 0 };
	size_t at = rd->at++;

	if (at >= FIELDS_MAX || rd->bad)
		return;
	if (!rd->head_done) {
		rd->columns[at] = column_of(text, len);
		if (rd->columns[at] < COLUMN_COUNT)
			rd->out->fields |= field_bits[rd->columns[at]];
		rd->column_count = at + 1;
		return;
	}
	if (at >= rd->column_count || rd->columns[at] == COLUMN_COUNT)
		return;
	if (set_cell(&rd->rule, rd->columns[at], text ? text : "", len, &e) < 0) {
		tell(rd->out, rd->line, e.msg);
		rd->bad = true;
	}
}

static void on_row(int end, void *arg)
{
	struct reading *rd = arg;
	bool empty = rd->at <= 1 && rd->rule.pattern[0] == '\0' && !rd->bad;

	(void)end;
	if (!rd->head_done)
		rd->head_done = true;
	else if (!rd->bad && !empty && rd->rule.pattern[0] == '\0')
		tell(rd->out, rd->line, "no pattern");
	else if (!rd->bad && !empty && rd->rule.expires_s && rd->rule.expires_s <= rd->rule.not_before_s)
		tell(rd->out, rd->line, "expires must be later than not_before");
	else if (!rd->bad && !empty && keep(rd->out, &rd->rule, rd->line) < 0)
		rd->memory = true;
	memset(&rd->rule, 0, sizeof(rd->rule));
	rd->at = 0;
	rd->bad = false;
}

static bool has_pattern(const struct reading *rd)
{
	for (size_t i = 0; i < rd->column_count; i++)
		if (rd->columns[i] == COL_PATTERN)
			return true;
	return false;
}

/* Line by line, so that a bad one is known by its number; a quoted cell may hold line breaks and then counts as the line where it ends. */
int rule_csv_read(struct rule_csv *out, const char *text, size_t len, struct err *e)
{
	struct reading rd = { .out = out };
	struct csv_parser parser;
	int r = 0;

	if (len > RULE_CSV_BYTES_MAX)
		return err_set(e, -EFBIG, "more than %d MiB", RULE_CSV_BYTES_MAX >> 20);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0)
		return -ENOMEM;
	for (size_t at = 0; at < len && r == 0;) {
		const char *nl = memchr(text + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl + 1 - (text + at)) : len - at;

		rd.line++;
		if (csv_parse(&parser, text + at, n, on_field, on_row, &rd) != n)
			r = err_set(e, -EINVAL, "line %zu: a quote is out of place", rd.line);
		at += n;
	}
	if (r == 0 && csv_fini(&parser, on_field, on_row, &rd) != 0)
		r = err_set(e, -EINVAL, "line %zu: a quote is not closed", rd.line);
	csv_free(&parser);
	if (r == 0 && !has_pattern(&rd))
		r = err_set(e, -EINVAL, "the first line must name the columns, one of them pattern or email");
	if (r == 0 && (rd.memory || refuse_doubles(out) < 0))
		r = err_set(e, -ENOMEM, "too many lines");
	return r;
}

/* --- allow_file ----------------------------------------------------------------------------------------------------------- */

static int set_word(struct rule *r, char *word, struct err *e)
{
	if (r->pattern[0] == '\0')
		return rule_pattern(word, strlen(word), r->pattern, e);
	if (rule_effect_parse(word, &r->effect) == 0 || role_parse(word, &r->role) == 0)
		return 0;
	if (strncmp(word, "until=", 6) == 0 && when_parse(word + 6, &r->expires_s) == 0)
		return 0;
	return err_set(e, -EINVAL, "%.64s is neither allow, deny, a role, nor until=DATE", word);
}

static int read_line(struct rule_csv *out, char *line, size_t number)
{
	struct rule rule = { 0 };
	struct err e = { 0 };
	char *save = NULL;

	line[strcspn(line, "#")] = '\0';
	for (char *word = strtok_r(line, " \t\r", &save); word; word = strtok_r(NULL, " \t\r", &save))
		if (set_word(&rule, word, &e) < 0) {
			tell(out, number, e.msg);
			return 0;
		}
	return rule.pattern[0] ? keep(out, &rule, number) : 0;
}

int rule_lines(struct rule_csv *out, const char *text, size_t len, struct err *e)
{
	size_t number = 0;

	if (len > RULE_CSV_BYTES_MAX)
		return err_set(e, -EFBIG, "more than %d MiB", RULE_CSV_BYTES_MAX >> 20);
	for (size_t at = 0; at < len;) {
		const char *nl = memchr(text + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl - (text + at)) : len - at;
		char line[LINE_BYTES];

		number++;
		if (n >= sizeof(line) || memchr(text + at, '\0', n)) {
			tell(out, number, "too long, or with a NUL byte");
		} else {
			memcpy(line, text + at, n);
			line[n] = '\0';
			if (read_line(out, line, number) < 0)
				return err_set(e, -ENOMEM, "too many lines");
		}
		at += n + 1;
	}
	return refuse_doubles(out) < 0 ? err_set(e, -ENOMEM, "too many lines") : 0;
}

void rule_csv_finish(struct rule_csv *c)
{
	free(c->rules);
	free(c->lines);
	free(c->bad);
	memset(c, 0, sizeof(*c));
}

/* --- writing ----------------------------------------------------------------------------------------------------------------- */

static int put_cell(struct buf *out, const char *text, char after)
{
	char guarded[RULE_NOTE_BYTES + RULE_PATTERN_BYTES], cell[2 * sizeof(guarded) + 4];
	bool formula = text[0] && strchr(FORMULA, text[0]);
	size_t n;

	(void)snprintf(guarded, sizeof(guarded), "%s%s", formula ? "'" : "", text);
	n = csv_write(cell, sizeof(cell) - 1, guarded, strlen(guarded));
	if (n >= sizeof(cell))
		return -EMSGSIZE;
	cell[n] = after;
	return buf_add(out, cell, n + 1);
}

int rule_csv_head(struct buf *out)
{
	int r = 0;

	for (int c = 0; c < COLUMN_COUNT && r == 0; c++)
		r = put_cell(out, names[c], c + 1 == COLUMN_COUNT ? '\n' : ',');
	return r;
}

int rule_csv_row(struct buf *out, const struct rule *r)
{
	char from[WHEN_BYTES] = "", until[WHEN_BYTES] = "", pattern[RULE_PATTERN_BYTES + 1];
	int bad;

	if (r->not_before_s)
		(void)when_format(r->not_before_s, from);
	if (r->expires_s)
		(void)when_format(r->expires_s, until);
	/* A space does for a pattern what the apostrophe does for a note, and is trimmed on the way back in; an apostrophe may begin an address. */
	(void)snprintf(pattern, sizeof(pattern), "%s%s", strchr(FORMULA, r->pattern[0]) ? " " : "", r->pattern);
	bad = put_cell(out, pattern, ',');
	bad = bad ? bad : put_cell(out, rule_effect_name(r->effect), ',');
	bad = bad ? bad : put_cell(out, role_name(r->role), ',');
	bad = bad ? bad : put_cell(out, from, ',');
	bad = bad ? bad : put_cell(out, until, ',');
	return bad ? bad : put_cell(out, r->note, '\n');
}
