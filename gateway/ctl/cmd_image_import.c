/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `terrarium image import`: a container image, from a folder (OCI layout) or a file (OCI archive), becomes the root disk of machines.
 *
 * Theory of operation. skopeo copies the one image that is meant into a folder of ours, which checks every blob by its digest; umoci unpacks it
 * as nobody that anything else belongs to, in a user namespace, for it has to write to files that it has made read-only; what it leaves is read
 * by descriptors, never by names that a link could turn elsewhere. Time, bytes and files are bounded in each step. The tree goes into an archive,
 * with one more file that tells the guest what to run and as whom (hv/agent/entry.h), and from there on it is an image like any other:
 * deploy/guest/build.sh. Nothing of the image is ever run here.
 */
#include "base/buf.h"
#include "base/cli.h"
#include "base/err.h"
#include "base/fd.h"
#include "gateway/ctl/child.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/image_build.h"
#include "gateway/ctl/image_store.h"
#include "gateway/ctl/oci.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME	    "image import"
#define MIB	    (1ULL << 20)
#define MIB_PRESET  "4096"
#define MIB_MAX	    (1U << 20)
#define FILES_MAX   1000000
#define TIME_PRESET "600"
#define TIME_MAX    86400
#define UID_FIRST   61184 /* of those that systemd gives to services for a while: they own nothing that stays */
#define UID_COUNT   4336
/* Times in an image are its maker's; what is added here has none that would differ from one import to the next. */
#define EPOCH 0

struct options {
	const char *name, *source, *digest, *size, *seconds, *temporary;
	struct image_build build;
	uint64_t mib, timeout_s;
};

/* struct work - a folder for the while. @folder/layout: skopeo's; @folder/umoci: umoci's, who runs as @uid */
struct work {
	char folder[512], layout[560], unpacked[560], log[560], tar[560], digest[OCI_DIGEST_TEXT];
	uint32_t uid;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "digest", .text = &o->digest, .value = "sha256:HEX", .help = "refuse any other image" },
		{ .name = "max-size", .text = &o->size, .value = "MIB", .help = "unpacked; " MIB_PRESET " unless given" },
		{ .name = "timeout", .text = &o->seconds, .value = "S", .help = "of each step; " TIME_PRESET " unless given" },
		{ .name = "kernel", .text = &o->build.kernel, .value = "DIR", .help = "a small kernel that deploy/guest/kernel/build.sh has made, not Debian's" },
		{ .name = "key", .text = &o->build.key, .value = "F", .help = "private key to sign with, from image key" },
		{ .name = "no-promote", .flag = &o->build.keep, .help = "import only: machines get what they get now" },
		{ .name = "images", .text = &o->build.images, .value = "DIR", .help = "folder of images; the gateway's unless given" },
		{ .name = "cache", .text = &o->build.cache, .value = "DIR", .help = "where packages are kept; .cache in the folder of images unless given" },
		{ .name = "temporary", .text = &o->temporary, .value = "DIR", .help = "where it is unpacked; TMPDIR or /var/tmp unless given" },
		{ 0 },
	};

	if (argc > 1 && argv[1][0] != '-') {
		o->name = argv[1];
		argv[1] = argv[0];
		argc--;
		argv++;
	}
	return ctl_operand(NAME, "SOURCE", table, argc, argv, &o->source);
}

static int check_options(struct options *o)
{
	if (!o->name || !store_is_name(o->name))
		return ctl_usage(NAME, "NAME SOURCE are needed; a name has small letters, digits and hyphens");
	if (strncmp(o->source, "oci:", 4) != 0 && strncmp(o->source, "oci-archive:", 12) != 0)
		return ctl_usage(NAME, "SOURCE is oci:DIRECTORY[:TAG] or oci-archive:FILE[:TAG]");
	if (o->digest && !oci_is_digest(o->digest))
		return ctl_usage(NAME, "--digest %.80s: sha256: and 64 hexadecimal digits are needed", o->digest);
	if (ctl_number(o->size ? o->size : MIB_PRESET, MIB_MAX, &o->mib) < 0 || o->mib == 0)
		return ctl_usage(NAME, "--max-size %s: MiB, at most %u", o->size, MIB_MAX);
	if (ctl_number(o->seconds ? o->seconds : TIME_PRESET, TIME_MAX, &o->timeout_s) < 0 || o->timeout_s == 0)
		return ctl_usage(NAME, "--timeout %s: seconds, at most %d", o->seconds, TIME_MAX);
	return CLI_OK;
}

static int begin(struct work *w, const char *where, struct err *e)
{
	const char *base = where ? where : getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
	char place[560];

	if (snprintf(w->folder, sizeof(w->folder), "%s/terrarium-import.XXXXXX", base) >= (int)sizeof(w->folder))
		return err_set(e, -ENAMETOOLONG, "the path of the temporary folder is too long");
	if (!mkdtemp(w->folder) || chmod(w->folder, 0711) < 0)
		return err_set(e, -errno, "%s: %s", w->folder, strerror(errno));
	(void)snprintf(w->layout, sizeof(w->layout), "%s/layout", w->folder);
	(void)snprintf(place, sizeof(place), "%s/umoci", w->folder);
	(void)snprintf(w->unpacked, sizeof(w->unpacked), "%s/umoci/bundle", w->folder);
	(void)snprintf(w->log, sizeof(w->log), "%s/log", w->folder);
	(void)snprintf(w->tar, sizeof(w->tar), "%s/root.tar", w->folder);
	if (mkdir(place, 0700) < 0)
		return err_set(e, -errno, "%s: %s", place, strerror(errno));
	if (geteuid() != 0)
		return 0;
	w->uid = UID_FIRST + (uint32_t)getpid() % UID_COUNT;
	return chown(place, w->uid, w->uid) < 0 ? err_set(e, -errno, "%s: %s", place, strerror(errno)) : 0;
}

static int copy(const struct options *o, struct work *w, struct err *e)
{
	char to[600], path[600];
	const char *const argv[] = { "skopeo", "copy", "--quiet", "--insecure-policy", "--preserve-digests", "--override-os", "linux",
				     "--override-arch", "amd64", o->source, to, NULL };
	const struct child c = { .argv = argv, .home = w->folder, .log = w->log, .watched = w->folder, .bytes_max = o->mib * MIB,
				 .files_max = FILES_MAX, .timeout_s = (uint32_t)o->timeout_s };
	_file_ struct ctl_file index = { 0 };
	int r;

	(void)snprintf(to, sizeof(to), "oci:%s:image", w->layout);
	r = child_run(&c, e);
	(void)snprintf(path, sizeof(path), "%s/index.json", w->layout);
	if (r == 0)
		r = ctl_load(path, OCI_JSON_MAX, &index, e);
	if (r == 0)
		r = oci_read_digest((const char *)index.data, index.len, w->digest, e);
	if (r == 0 && o->digest && strcmp(w->digest, o->digest) != 0)
		r = err_set(e, -EBADMSG, "the image is %s, not the one that was asked for", w->digest);
	return r;
}

static int unpack(const struct options *o, const struct work *w, struct err *e)
{
	char image[600], home[600];
	const char *const argv[] = { "umoci", "unpack", "--rootless", "--image", image, w->unpacked, NULL };
	const struct child c = { .argv = argv, .home = home, .log = w->log, .watched = home, .bytes_max = o->mib * MIB, .files_max = FILES_MAX,
				 .timeout_s = (uint32_t)o->timeout_s, .uid = w->uid, .alone = true };

	(void)snprintf(image, sizeof(image), "%s:image", w->layout);
	(void)snprintf(home, sizeof(home), "%s/umoci", w->folder);
	return child_run(&c, e);
}

static int read_config(const struct work *w, struct buf *entry, struct err *e)
{
	char path[600];
	_file_ struct ctl_file config = { 0 };
	int r;

	(void)snprintf(path, sizeof(path), "%s/config.json", w->unpacked);
	r = ctl_load(path, OCI_JSON_MAX, &config, e);
	return r == 0 ? oci_read_process((const char *)config.data, config.len, entry, e) : r;
}

static int pack(const struct work *w, struct err *e)
{
	struct buf entry = BUF_INIT(2 * ENTRY_MAX);
	char path[600];
	_close_ int root_fd = -1, tar_fd = -1;
	int r = read_config(w, &entry, e);

	(void)snprintf(path, sizeof(path), "%s/rootfs", w->unpacked);
	if (r == 0) {
		root_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		tar_fd = open(w->tar, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (root_fd < 0 || tar_fd < 0)
			r = err_set(e, -errno, "%s: %s", root_fd < 0 ? path : w->tar, strerror(errno));
	}
	if (r == 0)
		r = oci_write_tar(root_fd, tar_fd, &entry, EPOCH, e);
	buf_finish(&entry);
	return r;
}

static int import(struct options *o, struct work *w, struct err *e)
{
	int r = begin(w, o->temporary, e);

	if (r == 0)
		r = copy(o, w, e);
	if (r == 0)
		r = unpack(o, w, e);
	if (r == 0)
		r = pack(w, e);
	if (r < 0)
		return r;
	/* The tree is not needed any more, and may be large. */
	child_remove(w->unpacked);
	o->build.root_tar = w->tar;
	o->build.origin = w->digest;
	r = image_build(&o->build, o->name, e);
	if (r == 0)
		printf("imported %s\n", w->digest);
	return r;
}

int cmd_image_import(int argc, char **argv)
{
	struct work w = { .folder = "" };
	struct options o = { 0 };
	struct err e = { 0 };
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (check_options(&o) != CLI_OK)
		return CLI_USAGE;
	o.build.images = store_folder(o.build.images, &e);
	r = o.build.images ? import(&o, &w, &e) : -EINVAL;
	if (w.folder[0])
		child_remove(w.folder);
	return r == 0 && fflush(stdout) == 0 ? CLI_OK : ctl_refuse(NAME, false, &e);
}
