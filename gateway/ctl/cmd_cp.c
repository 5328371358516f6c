/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/cp.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/rest.h"

/* `terrarium vm cp SRC DST`: between this computer and a machine; one side is VM:PATH. */

#define DEPTH_MAX 64 /* of directories in one another: a machine could show an endless tree */
#define PAGES_MAX 5000

/* "VM:PATH", with no slash before the colon. Return: where the path begins, or NULL */
static const char *remote_part(const char *side)
{
	size_t n = strcspn(side, ":/");

	return n > 0 && side[n] == ':' ? side + n + 1 : NULL;
}

static int join(char out[CP_PATH_BYTES], const char *dir, const char *name, struct err *e)
{
	size_t n = strlen(dir);
	int len = snprintf(out, CP_PATH_BYTES, "%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name);

	return len > 0 && len < CP_PATH_BYTES ? 0 : err_set(e, -ENAMETOOLONG, "%s/%s is too long a path", dir, name);
}

/* The last name of a path; "" when it has none that could be used. */
static void last_name(const char *path, char out[256])
{
	size_t end = strlen(path), begin;

	while (end > 0 && path[end - 1] == '/')
		end--;
	for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--)
		;
	(void)snprintf(out, 256, "%.*s", (int)(end - begin), path + begin);
	if (strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
		out[0] = '\0';
}

static void skipped(const char *path, const char *why)
{
	fprintf(stderr, "terrarium vm cp: %s: %s; left out\n", path, why);
}

/* --- into the machine --- */

static int put_tree(struct cp *c, const char *local, const char *path, int depth, struct err *e);

static int put_entries(struct cp *c, DIR *dir, const char *local, const char *path, int depth, struct err *e)
{
	char from[CP_PATH_BYTES], to[CP_PATH_BYTES];
	const struct dirent *d;
	int r = 0;

	while (r == 0 && (d = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		r = join(from, local, d->d_name, e);
		if (r == 0)
			r = join(to, path, d->d_name, e);
		if (r == 0)
			r = put_tree(c, from, to, depth + 1, e);
	}
	return r;
}

static int put_tree(struct cp *c, const char *local, const char *path, int depth, struct err *e) /* NOLINT(misc-no-recursion) */
{
	struct stat st;
	DIR *dir;
	int r;

	if (lstat(local, &st) < 0)
		return err_set(e, -errno, "cannot look at %s: %s", local, strerror(errno));
	if (S_ISREG(st.st_mode))
		return cp_put(c, local, path, e);
	if (!S_ISDIR(st.st_mode)) {
		skipped(local, "neither a regular file nor a directory");
		return 0;
	}
	if (depth > DEPTH_MAX)
		return err_set(e, -ELOOP, "%s: more than %d directories deep", local, DEPTH_MAX);
	dir = opendir(local);
	if (!dir)
		return err_set(e, -errno, "cannot open %s: %s", local, strerror(errno));
	r = cp_mkdir(c, path, st.st_mode & 0777U, e);
	if (r == 0)
		r = put_entries(c, dir, local, path, depth, e);
	(void)closedir(dir);
	return r;
}

static int put(struct cp *c, bool recursive, const char *local, const char *path, struct err *e)
{
	char target[CP_PATH_BYTES], name[256];
	struct cp_node n;
	struct stat st;
	int r;

	if (stat(local, &st) < 0)
		return err_set(e, -errno, "cannot look at %s: %s", local, strerror(errno));
	if (S_ISDIR(st.st_mode) && !recursive)
		return err_set(e, -EISDIR, "%s is a directory; -r copies all of it", local);
	r = cp_look(c, path, NULL, &n, e);
	cp_node_finish(&n);
	if (r < 0 && r != -ENOENT)
		return r;
	(void)snprintf(target, sizeof(target), "%s", path);
	last_name(local, name);
	if (r == 0 && n.dir && name[0])
		r = join(target, path, name, e);
	else
		r = 0;
	if (r < 0)
		return r;
	*e = (struct err){ 0 };
	return S_ISDIR(st.st_mode) ? put_tree(c, local, target, 0, e) : cp_put(c, local, target, e);
}

/* --- out of the machine --- */

static int get_tree(struct cp *c, const char *path, struct cp_node *n, const char *local, int depth, struct err *e);

static int get_entry(struct cp *c, const char *path, const json_t *item, const char *local, int depth, struct err *e)
{
	char from[CP_PATH_BYTES], to[CP_PATH_BYTES];
	const char *name = cp_name(item);
	struct cp_node n;
	int r;

	if (!name) {
		skipped(path, "a name in it cannot be used here");
		return 0;
	}
	r = join(from, path, name, e);
	if (r == 0)
		r = join(to, local, name, e);
	if (r < 0)
		return r;
	if (json_is_true(json_object_get(item, "link")) || cp_read_node(item, &n) < 0 || (!n.file && !n.dir)) {
		skipped(to, "neither a regular file nor a directory");
		return 0;
	}
	if (n.file)
		return cp_get(c, from, &n, to, e);
	r = cp_look(c, from, NULL, &n, e);
	if (r == 0)
		r = get_tree(c, from, &n, to, depth + 1, e);
	cp_node_finish(&n);
	return r;
}

static int get_entries(struct cp *c, const char *path, struct cp_node *n, const char *local, int depth, struct err *e)
{
	int r = 0;

	for (int page = 0; r == 0; page++) {
		char cursor[sizeof(n->next)];
		const json_t *item;
		size_t i;

		json_array_foreach(n->items, i, item) {
			r = get_entry(c, path, item, local, depth, e);
			if (r < 0)
				return r;
		}
		if (!n->next[0])
			return 0;
		if (page > PAGES_MAX)
			return err_set(e, -EFBIG, "%s does not end", path);
		memcpy(cursor, n->next, sizeof(cursor));
		cp_node_finish(n);
		r = cp_look(c, path, cursor, n, e);
	}
	return r;
}

static int get_tree(struct cp *c, const char *path, struct cp_node *n, const char *local, int depth, struct err *e) /* NOLINT(misc-no-recursion) */
{
	unsigned mode = n->mode;
	int r;

	if (n->file)
		return cp_get(c, path, n, local, e);
	if (!n->dir)
		return err_set(e, -EINVAL, "%s is neither a regular file nor a directory", path);
	if (depth > DEPTH_MAX)
		return err_set(e, -ELOOP, "%s: more than %d directories deep", path, DEPTH_MAX);
	if (mkdir(local, (mode | 0700U) & 0777U) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make %s: %s", local, strerror(errno));
	r = get_entries(c, path, n, local, depth, e);
	if (r == 0 && chmod(local, mode & 0777U) < 0)
		r = err_set(e, -errno, "%s: %s", local, strerror(errno));
	return r;
}

static int get(struct cp *c, bool recursive, const char *path, const char *local, struct err *e)
{
	char target[CP_PATH_BYTES], name[256];
	struct cp_node n;
	struct stat st;
	int r = cp_look(c, path, NULL, &n, e);

	last_name(path, name);
	(void)snprintf(target, sizeof(target), "%s", local);
	if (r == 0 && n.dir && !recursive)
		r = err_set(e, -EISDIR, "%s is a directory; -r copies all of it", path);
	if (r == 0 && name[0] && stat(local, &st) == 0 && S_ISDIR(st.st_mode))
		r = join(target, local, name, e);
	if (r == 0)
		r = get_tree(c, path, &n, target, 0, e);
	cp_node_finish(&n);
	return r;
}

/* --- the command --- */

static int copy(struct cp *c, bool recursive, const char *from, const char *to, struct err *e)
{
	const char *path = remote_part(from), *side = path ? from : to;
	char vm_name[256];
	json_t *vm = NULL;
	int r;

	(void)snprintf(vm_name, sizeof(vm_name), "%.*s", (int)strcspn(side, ":"), side);
	r = pick_vm(c->socket, vm_name, &vm, e);
	if (r == 0 && pick_text(vm, "id", c->vm, sizeof(c->vm)) < 0)
		r = err_set(e, -EPROTO, "the gateway's answer has no machine");
	json_decref(vm);
	if (r < 0)
		return r;
	c->tty = isatty(STDERR_FILENO);
	side = path ? path : remote_part(to);
	if (!side[0])
		return err_set(e, -EINVAL, "which path in the machine? As in %s:/tmp", vm_name);
	return path ? get(c, recursive, path, to, e) : put(c, recursive, from, side, e);
}

int cmd_vm_cp(int argc, char **argv)
{
	struct cp c = { 0 };
	bool recursive = false;
	const struct ctl_option table[] = {
		{ .name = "recursive", .letter = 'r', .flag = &recursive, .help = "directories with all that is in them" },
		{ .name = "replace", .flag = &c.replace, .help = "files that are there already" },
		CTL_SOCKET_OPTION(c.socket),
		{ 0 },
	};
	const char *from = NULL, *to = argc > 2 && argv[argc - 1][0] != '-' ? argv[argc - 1] : NULL;
	struct err e = { 0 };
	int r = ctl_operand("vm cp", "SRC", table, to ? argc - 1 : argc, argv, &from);

	if (r != CTL_GO)
		return r;
	if (!to)
		return ctl_usage("vm cp", "DST is missing, or does not come last");
	if (!remote_part(from) == !remote_part(to))
		return ctl_usage("vm cp", "one of SRC and DST is VM:PATH");
	r = copy(&c, recursive, from, to, &e);
	return r < 0 ? ctl_refuse("vm cp", false, &e) : CLI_OK;
}
