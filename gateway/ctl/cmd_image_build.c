/* SPDX-License-Identifier: Apache-2.0 */
/* `terrarium image build`: runs deploy/guest/build.sh into a version of its own, signs it and lets machines have it. */
#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/image_build.h"
#include "gateway/ctl/image_store.h"
#include "gateway/ctl/image_verify.h"

#include <errno.h>
#include <libgen.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME	 "image build"
#define ARGS_MAX 32

extern char **environ;

struct options {
	const char *name;
	struct image_build build;
	bool all;
};

/* Where the builder and the programs that go into images are: beside this program in the source tree, or where make install puts them. */
struct places {
	char self[STORE_PATH_BYTES], builder[STORE_PATH_BYTES + 64], agent[STORE_PATH_BYTES + 64], verity[STORE_PATH_BYTES + 64];
};

static bool look(struct places *p, const char *dir, const char *builder, const char *programs)
{
	(void)snprintf(p->builder, sizeof(p->builder), "%s/%s/build.sh", dir, builder);
	(void)snprintf(p->agent, sizeof(p->agent), "%s/%s/terrarium-agent", dir, programs);
	(void)snprintf(p->verity, sizeof(p->verity), "%s/%s/terrarium-verity", dir, programs);
	return access(p->builder, X_OK) == 0;
}

static int find_places(struct places *p, struct err *e)
{
	char copy[STORE_PATH_BYTES];
	const char *dir;
	ssize_t n = readlink("/proc/self/exe", p->self, sizeof(p->self) - 1);

	if (n <= 0)
		return err_set(e, -errno, "/proc/self/exe: %s", strerror(errno));
	p->self[n] = '\0';
	memcpy(copy, p->self, (size_t)n + 1);
	dir = dirname(copy);
	/* build/, build/san/ (whose agent fits no guest), bin/ */
	if (look(p, dir, "../deploy/guest", ".") || look(p, dir, "../../deploy/guest", "..") ||
	    look(p, dir, "../libexec/terrarium/guest", "../libexec/terrarium"))
		return 0;
	return err_set(e, -ENOENT, "build.sh is neither in %s/../deploy/guest nor in %s/../libexec/terrarium/guest", dir, dir);
}

/* Its output is ours, and so is Ctrl-C. */
static int run(char *const argv[], struct err *e)
{
	pid_t pid;
	int status, r = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);

	if (r != 0)
		return err_set(e, -r, "%s: %s", argv[0], strerror(r));
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_set(e, -errno, "waitpid: %s", strerror(errno));
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : err_set(e, -EIO, "the builder could not make it; what it said is above");
}

static void add(const char *argv[ARGS_MAX], size_t *n, const char *name, const char *value)
{
	if (!value)
		return;
	argv[(*n)++] = name;
	argv[(*n)++] = value;
}

static int run_builder(const struct places *p, const struct image_build *o, const char *name, const char *dir, const char *cache, struct err *e)
{
	const char *argv[ARGS_MAX] = { p->builder };
	size_t n = 1;

	add(argv, &n, o->root_tar ? "--name" : "--tier", name);
	add(argv, &n, "--root-tar", o->root_tar);
	add(argv, &n, "--origin", o->origin);
	add(argv, &n, "--with", o->with);
	add(argv, &n, "--release", o->release);
	add(argv, &n, "--kernel", o->kernel);
	add(argv, &n, "--out", dir);
	add(argv, &n, "--cache", cache);
	add(argv, &n, "--agent", p->agent);
	add(argv, &n, "--verity", p->verity);
	add(argv, &n, "--terrarium", p->self);
	add(argv, &n, "--firmware", o->firmware);
	if (!o->cached)
		argv[n++] = "--fresh";
	argv[n] = NULL;
	return run((char *const *)(uintptr_t)argv, e);
}

int image_build(const struct image_build *o, const char *name, struct err *e)
{
	static struct places p;
	char dir[STORE_PATH_BYTES], cache[STORE_PATH_BYTES + 16], version[IMAGE_VERSION_TEXT];
	int r = find_places(&p, e);

	(void)snprintf(cache, sizeof(cache), "%s/.cache", o->images);
	if (r == 0)
		r = store_begin(o->images, name, dir, e);
	if (r < 0)
		return r;
	r = run_builder(&p, o, name, dir, o->cache ? o->cache : cache, e);
	/* What the builder says and what lies there are two things. */
	if (r == 0)
		r = image_verify(dir, NULL, NULL, e);
	if (r == 0 && o->key)
		r = image_sign(dir, o->key, e);
	if (r < 0) {
		store_drop(dir);
		return r;
	}
	r = store_keep(o->images, name, dir, version, e);
	if (r == 0 && !o->keep)
		r = store_promote(o->images, name, version, e);
	if (r == 0)
		printf("%s %s%s\n", name, version, o->keep ? "" : " current");
	return fflush(stdout) == 0 ? r : -EIO;
}

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "all", .flag = &o->all, .help = "micro, standard and dev (in place of NAME)" },
		{ .name = "with", .text = &o->build.with, .value = "P,...", .help = "more packages of Debian's, such as python3 (not for micro)" },
		{ .name = "release", .text = &o->build.release, .value = "SUITE", .help = "Debian's release for the root of standard and dev; trixie unless given" },
		{ .name = "root-tar", .text = &o->build.root_tar, .value = "F", .help = "an archive with the whole root, in place of Debian's packages" },
		{ .name = "kernel", .text = &o->build.kernel, .value = "DIR", .help = "a small kernel that deploy/guest/kernel/build.sh has made, not Debian's" },
		{ .name = "key", .text = &o->build.key, .value = "F", .help = "private key to sign with, from image key" },
		{ .name = "firmware", .text = &o->build.firmware, .value = "F", .help = "OVMF that the expected measurements are worked out with" },
		{ .name = "no-promote", .flag = &o->build.keep, .help = "build only: machines get what they get now" },
		{ .name = "cached", .flag = &o->build.cached, .help = "take the root of a former build with the same packages asked for" },
		{ .name = "images", .text = &o->build.images, .value = "DIR", .help = "folder of images; the gateway's unless given" },
		{ .name = "cache", .text = &o->build.cache, .value = "DIR", .help = "where packages are kept; .cache in the folder of images unless given" },
		{ 0 },
	};
	bool named = argc > 1 && argv[1][0] != '-';

	if (named) {
		o->name = argv[1];
		argv[1] = argv[0];
		return ctl_options(NAME, table, argc - 1, argv + 1);
	}
	return ctl_options(NAME, table, argc, argv);
}

int cmd_image_build(int argc, char **argv)
{
	static const char *const tiers[] = { "micro", "standard", "dev" };
	struct options o = { 0 };
	struct err e = { 0 };
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (!o.name == !o.all)
		return ctl_usage(NAME, "either NAME or --all is needed");
	if (o.all && (o.build.root_tar || o.build.with))
		return ctl_usage(NAME, "--all goes with none of --root-tar and --with");
	o.build.images = store_folder(o.build.images, &e);
	r = o.build.images ? 0 : -EINVAL;
	for (size_t i = 0; r == 0 && o.all && i < sizeof(tiers) / sizeof(tiers[0]); i++) {
		struct image_build each = o.build;

		if (strcmp(tiers[i], "micro") == 0)
			each.release = NULL; /* it has no root */
		r = image_build(&each, tiers[i], &e);
	}
	if (r == 0 && o.name)
		r = image_build(&o.build, o.name, &e);
	return r == 0 ? CLI_OK : ctl_refuse(NAME, false, &e);
}
