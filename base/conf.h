/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * One table of keys describes the settings of a program. The INI file, the environment (TERRARIUM_<KEY>) and the options
 * (--<key>=VALUE, underscores as dashes) are all read through it, in this order, the later one winning; so is the help text.
 * Secrets are never values: a key of that kind names a file.
 */
enum conf_type {
	CONF_STR,   /* char[size], NUL-terminated */
	CONF_INT,   /* int64_t */
	CONF_BOOL,  /* bool: yes/no, true/false, on/off, 1/0 */
	CONF_BYTES, /* uint64_t: a number with K, M or G (powers of 1024) */
	CONF_MS,    /* uint64_t milliseconds: a number with ms, s, m, h or d */
};

/**
 * struct conf_key - one setting
 * @name:   as in the INI file, lower case with underscores
 * @offset: of the field in the target struct; @size: of that field
 * @min, @max: bounds for numbers, in the unit of the field; not checked when both are 0
 * @preset: default in the notation of the file; NULL leaves the field as it is
 * @help:   one sentence
 */
struct conf_key {
	const char *name;
	enum conf_type type;
	size_t offset, size;
	int64_t min, max;
	const char *preset;
	const char *help;
};

#define CONF_KEY(struct_type, field, kind, lo, hi, def, text) \
	{ .name = #field, .type = (kind), .offset = offsetof(struct struct_type, field), \
	  .size = sizeof(((struct struct_type *)0)->field), .min = (lo), .max = (hi), .preset = (def), .help = (text) }

/**
 * struct conf_group - sections that may come several times under names: [identity corp], [identity lab]
 * @prefix: the first word of the section
 * @keys:   of one such section; the offsets are into an item, whose first field is `char name[CONF_NAME_BYTES]`
 * @offset, @item_bytes, @max: the array of items in the target; @count_offset: of the size_t that counts them
 *
 * Only the file has them: they are neither options nor environment variables.
 */
struct conf_group {
	const char *prefix;
	const struct conf_key *keys;
	size_t offset, item_bytes, max, count_offset;
};

/**
 * struct conf_program - a program's settings
 * @section: INI section that belongs to it; other sections are left to their programs if named in @other_sections
 * @other_sections: NULL-terminated; a name that ends in a space stands for all sections that begin so
 * @group:   NULL for none
 * @file:    read when --config is not given and it exists; NULL for none
 * @keys:    ends with a key without a name; at most CONF_KEYS_MAX
 */
struct conf_program {
	const char *name, *purpose, *section;
	const char *const *other_sections;
	const char *file;
	const struct conf_key *keys;
	const struct conf_group *group;
};

#define CONF_KEYS_MAX	96
#define CONF_GROUP_MAX	16 /* items of a group */
#define CONF_NAME_BYTES 32 /* of an item's name: lower-case letters, digits and dashes */
#define CONF_LINE_MAX 1024 /* bytes of one line of the file */

/* Outcomes of conf_read() that are not settings. */
enum { CONF_E_HELP = 1, CONF_E_CHECK = 2, CONF_E_USAGE = 3 };

/**
 * conf_read() - presets, file, environment, options into @target
 * @rest: index of the first argument that is no option; NULL refuses any such argument
 *
 * Return: 0; CONF_E_HELP after printing the help text; CONF_E_CHECK when -n asked for a check only and all is well;
 * CONF_E_USAGE for a bad option; else negative. @e has the reason for the last two, with file and line.
 */
int conf_read(const struct conf_program *p, void *target, int argc, char **argv, int *rest, struct err *e);

/** conf_presets() - fill @target with the presets of @keys. Return: 0 or negative */
int conf_presets(const struct conf_key *keys, void *target, struct err *e);

/** conf_set() - set one key from text. Return: 0; -ENOENT for an unknown key; -EINVAL or -ERANGE for a bad value */
int conf_set(const struct conf_key *keys, void *target, const char *name, const char *value, struct err *e);

/**
 * conf_text() - read INI text
 * @label: name of the source for messages
 *
 * Unknown keys and sections, keys given twice, bad values, NUL bytes and lines over CONF_LINE_MAX are errors with a line number.
 * Return: 0 or negative.
 */
int conf_text(const struct conf_program *p, void *target, const char *label, const char *text, size_t len, struct err *e);

#endif
