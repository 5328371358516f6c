/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"

#define FILE_MAX_BYTES (256 * 1024)
#define OPT_CONFIG 1000
#define OPT_HELP   1001
#define OPT_KEY0   2000

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit byte_units[] = {
	{ "", 1 }, { "K", 1ULL << 10 }, { "M", 1ULL << 20 }, { "G", 1ULL << 30 }, { "T", 1ULL << 40 }, { NULL, 0 },
};

static const struct unit time_units[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
};

static int parse_scaled(const char *text, const struct unit *units, uint64_t *out)
{
	char *end;
	unsigned long long v;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	for (; units->name; units++) {
		if (strcmp(end, units->name) != 0)
			continue;
		if (v > INT64_MAX / units->factor)
			return -ERANGE;
		*out = v * units->factor;
		return 0;
	}
	return -EINVAL;
}

static int parse_int(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	if (errno)
		return -ERANGE;
	return end == text || *end ? -EINVAL : 0;
}

static int parse_bool(const char *text, bool *out)
{
	static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off", "0" };

	for (size_t i = 0; i < 4; i++) {
		if (strcmp(text, yes[i]) != 0 && strcmp(text, no[i]) != 0)
			continue;
		*out = strcmp(text, yes[i]) == 0;
		return 0;
	}
	return -EINVAL;
}

static int in_range(const struct conf_key *k, int64_t v)
{
	return (k->min == 0 && k->max == 0) || (v >= k->min && v <= k->max);
}

static const char *wants(enum conf_type type)
{
	static const char *const words[] = {
		[CONF_STR] = "text", [CONF_INT] = "a whole number", [CONF_BOOL] = "yes or no",
		[CONF_BYTES] = "bytes, such as 512K, 64M or 2G", [CONF_MS] = "a time, such as 500ms, 30s, 10m, 12h or 7d",
	};

	return words[type];
}

static int set_key(const struct conf_key *k, void *target, const char *value, struct err *e)
{
	char *field = (char *)target + k->offset;
	uint64_t u = 0;
	int64_t i = 0;
	bool b = false;
	int r = 0;

	switch (k->type) {
	case CONF_STR:
		if (strlen(value) >= k->size)
			return err_set(e, -ERANGE, "%s is longer than %zu bytes", k->name, k->size - 1);
		memcpy(field, value, strlen(value) + 1);
		return 0;
	case CONF_INT:
		r = parse_int(value, &i);
		break;
	case CONF_BOOL:
		r = parse_bool(value, &b);
		break;
	case CONF_BYTES:
		r = parse_scaled(value, byte_units, &u);
		i = (int64_t)u;
		break;
	case CONF_MS:
		r = parse_scaled(value, time_units, &u);
		i = (int64_t)u;
		break;
	}
	if (r < 0)
		return err_set(e, r, "%s = %.64s: must be %s", k->name, value, wants(k->type));
	if (k->type != CONF_BOOL && !in_range(k, i))
		return err_set(e, -ERANGE, "%s = %.64s: must be from %lld to %lld%s", k->name, value, (long long)k->min,
			       (long long)k->max, k->type == CONF_BYTES ? " bytes" : k->type == CONF_MS ? " ms" : "");
	if (k->type == CONF_BOOL)
		memcpy(field, &b, sizeof(b));
	else
		memcpy(field, &i, sizeof(i));
	return 0;
}

static const struct conf_key *find_key(const struct conf_key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

int conf_set(const struct conf_key *keys, void *target, const char *name, const char *value, struct err *e)
{
	const struct conf_key *k = find_key(keys, name);

	if (!k)
		return err_set(e, -ENOENT, "unknown key %.64s", name);
	return set_key(k, target, value, e);
}

int conf_presets(const struct conf_key *keys, void *target, struct err *e)
{
	for (; keys->name; keys++) {
		int r = keys->preset ? set_key(keys, target, keys->preset, e) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* State of one pass over INI text: libinih asks read_line() for lines and tells on_pair() what they hold. */
struct reading {
	const struct conf_program *p;
	void *target;
	const char *at, *end, *label;
	bool seen[CONF_KEYS_MAX], group_seen[CONF_GROUP_MAX][CONF_KEYS_MAX];
	int line, status;
	struct err *e;
};

static int refuse(struct reading *rd, int code, const char *what, const char *name)
{
	if (!rd->status)
		rd->status = err_set(rd->e, code, "%s line %d: %s %.64s", rd->label, rd->line, what, name);
	return 0;
}

static char *read_line(char *out, int size, void *arg)
{
	struct reading *rd = arg;
	size_t len;
	const char *nl;

	if (rd->at == rd->end || rd->status)
		return NULL;
	nl = memchr(rd->at, '\n', (size_t)(rd->end - rd->at));
	len = (size_t)((nl ? nl + 1 : rd->end) - rd->at);
	rd->line++;
	if (len > CONF_LINE_MAX || len >= (size_t)size) {
		refuse(rd, -EINVAL, "the line is too long", "");
		return NULL;
	}
	if (memchr(rd->at, '\0', len)) {
		refuse(rd, -EINVAL, "the line holds a NUL byte", "");
		return NULL;
	}
	memcpy(out, rd->at, len);
	out[len] = '\0';
	rd->at += len;
	return out;
}

static bool name_ok(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return len > 0 && len < CONF_NAME_BYTES && name[len] == '\0';
}

/* The item of a group that "[prefix NAME]" means, made when it is new. NULL after a refusal. */
static char *group_item(struct reading *rd, const char *name, size_t *index)
{
	const struct conf_group *g = rd->p->group;
	size_t *count = (size_t *)(void *)((char *)rd->target + g->count_offset);
	char *item = (char *)rd->target + g->offset;

	for (*index = 0; *index < *count; (*index)++, item += g->item_bytes)
		if (strcmp(item, name) == 0)
			return item;
	if (!name_ok(name)) {
		refuse(rd, -EINVAL, "a section's name may have lower-case letters, digits and dashes:", name);
		return NULL;
	}
	if (*count == g->max || *count == CONF_GROUP_MAX) {
		refuse(rd, -ENOSPC, "too many sections of the kind", g->prefix);
		return NULL;
	}
	memset(item, 0, g->item_bytes);
	memcpy(item, name, strlen(name) + 1);
	if (conf_presets(g->keys, item, rd->e) < 0) {
		rd->status = -EINVAL;
		return NULL;
	}
	(*count)++;
	return item;
}

static bool is_group(const struct conf_program *p, const char *section)
{
	size_t len = p->group ? strlen(p->group->prefix) : 0;

	return len > 0 && strncmp(section, p->group->prefix, len) == 0 && section[len] == ' ';
}

static bool of_others(const struct conf_program *p, const char *section)
{
	for (const char *const *o = p->other_sections; o && *o; o++) {
		size_t len = strlen(*o);

		if (strcmp(section, *o) == 0 || (len > 0 && (*o)[len - 1] == ' ' && strncmp(section, *o, len) == 0))
			return true;
	}
	return false;
}

static int set_pair(struct reading *rd, const struct conf_key *keys, void *target, bool *seen, const char *name, const char *value)
{
	const struct conf_key *k = find_key(keys, name);
	int r;

	if (!k)
		return refuse(rd, -ENOENT, "unknown key", name);
	if (seen[k - keys])
		return refuse(rd, -EINVAL, "given twice:", name);
	seen[k - keys] = true;
	r = set_key(k, target, value ? value : "", rd->e);
	if (r < 0) {
		rd->status = r;
		err_prefix(rd->e, "%s line %d", rd->label, rd->line);
	}
	return r == 0;
}

static int on_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *rd = arg;
	size_t index = 0;
	char *item;

	if (rd->status)
		return 0;
	if (strcmp(section, rd->p->section) == 0)
		return set_pair(rd, rd->p->keys, rd->target, rd->seen, name, value);
	if (is_group(rd->p, section)) {
		item = group_item(rd, section + strlen(rd->p->group->prefix) + 1, &index);
		return item ? set_pair(rd, rd->p->group->keys, item, rd->group_seen[index], name, value) : 0;
	}
	if (of_others(rd->p, section))
		return 1;
	return refuse(rd, -ENOENT, section[0] ? "unknown section" : "a key before any [section]:", section[0] ? section : name);
}

int conf_text(const struct conf_program *p, void *target, const char *label, const char *text, size_t len, struct err *e)
{
	struct reading rd = { .p = p, .target = target, .at = text, .end = text + len, .label = label, .e = e };
	int r;

	ini_max_line = CONF_LINE_MAX + 2;
	ini_use_stack = false;
	ini_initial_alloc = CONF_LINE_MAX + 2;
	r = ini_parse_stream(read_line, &rd, on_pair, &rd);
	if (rd.status)
		return rd.status;
	if (r != 0)
		return err_set(e, -EINVAL, "%s line %d: neither [section] nor key = value", label, r);
	return 0;
}

static int read_file(const struct conf_program *p, void *target, const char *path, struct err *e)
{
	_free_ char *text = malloc(FILE_MAX_BYTES);
	long n;

	if (!text)
		return err_set(e, -ENOMEM, "no memory to read %s", path);
	n = fd_read_file(AT_FDCWD, path, text, FILE_MAX_BYTES);
	if (n < 0)
		return err_set(e, (int)n, "cannot read %s: %s", path, strerror((int)-n));
	return conf_text(p, target, path, text, (size_t)n, e);
}

static int read_env(const struct conf_program *p, void *target, struct err *e)
{
	for (const struct conf_key *k = p->keys; k->name; k++) {
		char name[96];
		const char *value;
		size_t at;

		at = (size_t)snprintf(name, sizeof(name), "TERRARIUM_%s", k->name);
		for (size_t i = 0; i < at && i < sizeof(name); i++)
			name[i] = (char)toupper((unsigned char)name[i]);
		value = getenv(name);
		if (value && set_key(k, target, value, e) < 0)
			return err_prefix(e, "environment variable %s", name);
	}
	return 0;
}

static void print_help(const struct conf_program *p)
{
	printf("usage: %s [-c FILE] [-n] [--KEY=VALUE ...]\n\n%s\n\n  %-28s %s\n  %-28s %s\n", p->name, p->purpose,
	       "-c, --config=FILE", "read this file; every key below is a line of its section", "-n, --check",
	       "check the settings and exit");
	for (const struct conf_key *k = p->keys; k->name; k++) {
		char opt[64];

		(void)snprintf(opt, sizeof(opt), "--%s=%s", k->name, k->preset ? k->preset : "");
		for (char *c = opt; *c && *c != '='; c++)
			*c = *c == '_' ? '-' : *c;
		printf("  %-28s %s\n", opt, k->help);
	}
	printf("\nThe file's section is [%s]; each key is also an environment variable, TERRARIUM_KEY.\n", p->section);
}

struct options {
	struct option list[CONF_KEYS_MAX + 4];
	char names[CONF_KEYS_MAX][48];
};

static void make_options(const struct conf_program *p, struct options *o)
{
	size_t n = 0;

	for (const struct conf_key *k = p->keys; k->name && n < CONF_KEYS_MAX; k++, n++) {
		(void)snprintf(o->names[n], sizeof(o->names[n]), "%s", k->name);
		for (char *c = o->names[n]; *c; c++)
			*c = *c == '_' ? '-' : *c;
		o->list[n] = (struct option){ o->names[n], required_argument, NULL, OPT_KEY0 + (int)n };
	}
	o->list[n++] = (struct option){ "config", required_argument, NULL, OPT_CONFIG };
	o->list[n++] = (struct option){ "check", no_argument, NULL, 'n' };
	o->list[n++] = (struct option){ "help", no_argument, NULL, OPT_HELP };
	o->list[n] = (struct option){ 0 };
}

/* The first pass only looks for the file, -n and --help; the second sets keys. */
struct wanted {
	const char *file;
	bool help, check;
};

static int walk_options(const struct conf_program *p, void *target, int argc, char **argv, struct wanted *w, struct err *e)
{
	struct options o;
	int c;

	make_options(p, &o);
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:c:nh", o.list, NULL)) != -1) {
		if (c == '?' || c == ':')
			return err_set(e, CONF_E_USAGE, "%s option %s; --help lists them",
				       c == ':' ? "no value for" : "unknown", argv[optind - 1]);
		if (c == OPT_CONFIG || c == 'c')
			w->file = optarg;
		w->check = w->check || c == 'n';
		w->help = w->help || c == OPT_HELP || c == 'h';
		if (c >= OPT_KEY0 && target && set_key(&p->keys[c - OPT_KEY0], target, optarg, e) < 0) {
			err_prefix(e, "option --%s", o.names[c - OPT_KEY0]);
			return CONF_E_USAGE;
		}
	}
	return 0;
}

int conf_read(const struct conf_program *p, void *target, int argc, char **argv, int *rest, struct err *e)
{
	struct wanted w = { 0 };
	int r = walk_options(p, NULL, argc, argv, &w, e);

	if (r)
		return r;
	if (w.help) {
		print_help(p);
		return CONF_E_HELP;
	}
	if (!rest && optind < argc)
		return err_set(e, CONF_E_USAGE, "unexpected argument %.64s; --help lists the options", argv[optind]);
	if (rest)
		*rest = optind;
	r = conf_presets(p->keys, target, e);
	if (r == 0 && w.file)
		r = read_file(p, target, w.file, e);
	else if (r == 0 && p->file) {
		_close_ int fd = open(p->file, O_RDONLY | O_CLOEXEC);

		if (fd >= 0)
			r = read_file(p, target, p->file, e);
	}
	if (r == 0)
		r = read_env(p, target, e);
	if (r == 0)
		r = walk_options(p, target, argc, argv, &w, e);
	return r == 0 && w.check ? CONF_E_CHECK : r;
}
