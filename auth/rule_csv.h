/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_RULE_CSV_H
#define AUTH_RULE_CSV_H

#include <stddef.h>

#include "auth/rules.h"

struct buf;
struct err;

/*
 * The list as a spreadsheet has it (RFC 4180): a header row with `pattern` (or `email`) and any of effect, role, not_before, expires, note, in any order;
 * UTF-8 with or without a BOM; CRLF or LF. Also the plain form of allow_file: see rule_lines().
 */
#define RULE_CSV_BYTES_MAX (4 << 20)
#define RULE_CSV_BAD_MAX   200 /* bad lines that are told of */

struct rule_csv_bad {
	size_t line; /* the first is 1 */
	char why[160];
};

/**
 * struct rule_csv - what a file held; begins zeroed
 * @rules:  owned; @lines[i] is where rules[i] stood
 * @bad:    owned; @bad_count counts all, @bad holds at most RULE_CSV_BAD_MAX
 */
struct rule_csv {
	struct rule *rules;
	size_t *lines;
	size_t count, capacity;
	unsigned fields; /* RULE_HAS_* of auth/rulebook.h: the columns that were there */
	struct rule_csv_bad *bad;
	size_t bad_count;
};

/** rule_csv_read() - Return: 0, also with bad lines in @out; negative with @e when there is nothing to be had (no header, no memory) */
int rule_csv_read(struct rule_csv *out, const char *text, size_t len, struct err *e);

/**
 * rule_lines() - read the plain form: a line is `PATTERN [allow|deny] [user|auditor|operator|admin] [until=DATE]`; '#' begins a comment
 *
 * Return: as rule_csv_read().
 */
int rule_lines(struct rule_csv *out, const char *text, size_t len, struct err *e);

void rule_csv_finish(struct rule_csv *c);

/** rule_csv_head(), rule_csv_row() - write; a cell that a spreadsheet would take for a formula is led by an apostrophe. Return: 0 or negative */
int rule_csv_head(struct buf *out);
int rule_csv_row(struct buf *out, const struct rule *r);

#endif
