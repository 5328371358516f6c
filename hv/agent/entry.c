/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/agent/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"

/* --- the text ---------------------------------------------------------------------------------------------------------- */

/* In place; what remains is not longer. Return: false for a backslash that nothing known follows. */
static bool unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s != '\\') {
			*to++ = *s;
			continue;
		}
		s++;
		if (*s != '\\' && *s != 'n')
			return false;
		*to++ = *s == 'n' ? '\n' : '\\';
	}
	*to = '\0';
	return true;
}

static bool read_id(const char *s, uint32_t *id)
{
	char *end;
	unsigned long long n = strtoull(s, &end, 10);

	if (*s < '0' || *s > '9' || *end != '\0' || n >= UINT32_MAX) /* the last one means "nobody" to the kernel */
		return false;
	*id = (uint32_t)n;
	return true;
}

static bool append(char **list, char *word)
{
	size_t n = 0;

	while (list[n])
		n++;
	if (n == ENTRY_WORDS_MAX)
		return false;
	list[n] = word;
	return true;
}

static bool is_variable(const char *s)
{
	const char *eq = strchr(s, '=');

	return eq && eq != s;
}

static bool read_line(struct entry *e, char *line)
{
	char *value = strchr(line, ' ');

	if (!value)
		return false;
	*value++ = '\0';
	if (!unescape(value))
		return false;
	if (strcmp(line, "uid") == 0)
		return read_id(value, &e->uid);
	if (strcmp(line, "gid") == 0)
		return read_id(value, &e->gid);
	if (strcmp(line, "group") == 0)
		return e->ngroups < ENTRY_GROUPS_MAX && read_id(value, &e->groups[e->ngroups++]);
	if (strcmp(line, "cwd") == 0) {
		e->cwd = value;
		return value[0] == '/';
	}
	if (strcmp(line, "env") == 0)
		return is_variable(value) && append(e->env, value);
	return strcmp(line, "arg") == 0 && append(e->argv, value);
}

int entry_decode(struct entry *out, const char *text, size_t len)
{
	char *rest = out->text, *line;

	memset(out, 0, offsetof(struct entry, text));
	if (len == 0 || len > ENTRY_MAX || memchr(text, '\0', len) || text[len - 1] != '\n')
		return -EINVAL;
	memcpy(out->text, text, len);
	out->text[len - 1] = '\0'; /* the last line feed ends a line, none begins behind it */
	while ((line = strsep(&rest, "\n"))) {
		if (!read_line(out, line))
			return -EINVAL;
	}
	return out->cwd ? 0 : -EINVAL;
}

static void add_value(struct buf *out, const char *word, const char *value)
{
	(void)buf_printf(out, "%s ", word);
	for (; *value; value++) {
		size_t plain = strcspn(value, "\n\\");

		(void)buf_add(out, value, plain);
		value += plain;
		if (*value == '\0')
			break;
		(void)buf_add(out, *value == '\n' ? "\\n" : "\\\\", 2);
	}
	(void)buf_add(out, "\n", 1);
}

int entry_encode(const struct entry *e, struct buf *out)
{
	size_t nenv = 0, nargs = 0;

	if (!e->cwd || e->cwd[0] != '/' || e->uid == UINT32_MAX || e->gid == UINT32_MAX || e->ngroups > ENTRY_GROUPS_MAX)
		return -EINVAL;
	(void)buf_printf(out, "uid %u\ngid %u\n", e->uid, e->gid);
	for (size_t i = 0; i < e->ngroups; i++)
		(void)buf_printf(out, "group %u\n", e->groups[i]);
	add_value(out, "cwd", e->cwd);
	for (; e->env[nenv]; nenv++) {
		if (!is_variable(e->env[nenv]))
			return -EINVAL;
		add_value(out, "env", e->env[nenv]);
	}
	for (; e->argv[nargs]; nargs++)
		add_value(out, "arg", e->argv[nargs]);
	return out->full ? -ENOSPC : out->len > ENTRY_MAX || nenv > ENTRY_WORDS_MAX || nargs > ENTRY_WORDS_MAX ? -EINVAL : 0;
}

int entry_load(struct entry *out, const char *path)
{
	_free_ char *text = malloc(ENTRY_MAX + 1);
	long n = text ? fd_read_file(AT_FDCWD, path, text, ENTRY_MAX + 1) : -ENOMEM;

	return n < 0 ? (int)n : entry_decode(out, text, (size_t)n);
}

/* --- the process ------------------------------------------------------------------------------------------------------- */

/* Not getpwuid(): a program that is linked statically has only the file, and the image's name services are none of its business. */
static bool find_person(uint32_t uid, struct passwd *out, char *room, size_t size)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *found = NULL;

	while (f && fgetpwent_r(f, out, room, size, &found) == 0 && found && found->pw_uid != uid)
		found = NULL;
	if (f)
		(void)fclose(f);
	return found != NULL;
}

/* Groups that name the person among their members. */
static size_t find_groups(const char *name, gid_t *groups, size_t n)
{
	FILE *f = fopen("/etc/group", "re");
	struct group gr, *found = NULL;
	char room[4096];

	while (f && n < ENTRY_GROUPS_MAX && fgetgrent_r(f, &gr, room, sizeof(room), &found) == 0 && found) {
		for (char **member = gr.gr_mem; *member; member++) {
			if (strcmp(*member, name) != 0)
				continue;
			groups[n++] = gr.gr_gid;
			break;
		}
	}
	if (f)
		(void)fclose(f);
	return n;
}

static const char *usable_shell(const char *wish)
{
	static const char *const shells[] = { "/bin/bash", "/bin/sh", "/usr/lib/terrarium/bin/sh" };

	/* Who may not sign in elsewhere still is who the image runs as. */
	if (wish && wish[0] == '/' && access(wish, X_OK) == 0 && !strstr(wish, "nologin") && !strstr(wish, "/false"))
		return wish;
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		if (access(shells[i], X_OK) == 0)
			return shells[i];
	}
	return "/bin/sh";
}

static int set_environment(const struct entry *e, const struct passwd *pw)
{
	char name[256];
	int r = setenv("HOME", pw && pw->pw_dir[0] == '/' ? pw->pw_dir : "/", 1);

	r |= setenv("USER", pw ? pw->pw_name : "user", 1);
	r |= setenv("LOGNAME", pw ? pw->pw_name : "user", 1);
	r |= setenv("SHELL", usable_shell(pw ? pw->pw_shell : NULL), 1);
	for (size_t i = 0; e->env[i]; i++) {
		const char *eq = strchr(e->env[i], '=');
		int n = snprintf(name, sizeof(name), "%.*s", (int)(eq - e->env[i]), e->env[i]);

		if (n < (int)sizeof(name))
			r |= setenv(name, eq + 1, 1);
	}
	return r < 0 ? -ENOMEM : 0;
}

int entry_enter(const struct entry *e)
{
	gid_t groups[ENTRY_GROUPS_MAX];
	struct passwd pw;
	char room[1024];
	bool known = find_person(e->uid, &pw, room, sizeof(room));
	size_t n = e->ngroups;

	for (size_t i = 0; i < n; i++)
		groups[i] = e->groups[i];
	if (known)
		n = find_groups(pw.pw_name, groups, n);
	/* The groups and the group first: the user may not change them any more. */
	if (setgroups(n, groups) < 0 || setresgid(e->gid, e->gid, e->gid) < 0 || setresuid(e->uid, e->uid, e->uid) < 0)
		return -errno;
	return set_environment(e, known ? &pw : NULL);
}

int entry_own(const struct entry *e, int fd)
{
	return fchown(fd, e->uid, (gid_t)-1) < 0 ? -errno : 0;
}
