/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cli.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "gateway/ctl/ctl.h"
#include "hv/verity/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "verity verify"

struct options {
	const char *data, *hash, *root;
	bool json;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "data", .text = &o->data, .value = "F", .help = "image", .needed = true },
		{ .name = "hash-file", .text = &o->hash, .value = "H", .help = "superblock and tree", .needed = true },
		{ .name = "root", .text = &o->root, .value = "HEX", .help = "root hash that is wanted", .needed = true },
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_options(NAME, table, argc, argv);
}

static int read_superblock(int fd, struct verity_params *params, uint64_t *blocks, struct err *e)
{
	uint8_t sb[VERITY_SUPERBLOCK];
	ssize_t n = pread(fd, sb, sizeof(sb), 0);

	if (n < 0)
		return err_set(e, -errno, "cannot read the superblock: %s", strerror(errno));
	if (n < (ssize_t)sizeof(sb))
		return err_set(e, -EINVAL, "superblock: the hash file has only %zd bytes", n);
	return verity_superblock_parse(sb, params, blocks, e);
}

/* Compare the tree that was computed into @mine with the one in the hash file. */
static int compare_trees(int mine, int theirs, uint64_t len, struct err *e)
{
	uint8_t a[16 * 1024], b[sizeof(a)];

	for (uint64_t at = 0; at < len;) {
		size_t want = len - at < sizeof(a) ? (size_t)(len - at) : sizeof(a);
		ssize_t n = pread(mine, a, want, (off_t)at), m = pread(theirs, b, want, (off_t)at);

		if (n != (ssize_t)want)
			return err_set(e, -EIO, "cannot read back the computed tree");
		if (m != n || memcmp(a, b, want) != 0)
			return err_set(e, -EBADMSG, "the hash file differs from the tree of the data between byte %llu and %llu",
				       (unsigned long long)at, (unsigned long long)at + want);
		at += want;
	}
	return 0;
}

/* A nameless file for the computed tree: it is as large as the hash file, too large for memory on a small machine. */
static int scratch_file(struct err *e)
{
	const char *dir = getenv("TMPDIR");
	int fd = open(dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd >= 0 ? fd : err_set(e, -errno, "cannot make a temporary file (TMPDIR): %s", strerror(errno));
}

static int run(const struct options *o, const uint8_t *wanted, size_t wanted_len, struct verity_root *root, struct err *e)
{
	_close_ int data_fd = open(o->data, O_RDONLY | O_CLOEXEC);
	_close_ int hash_fd = open(o->hash, O_RDONLY | O_CLOEXEC);
	_close_ int mine = -1;
	struct verity_params params;
	uint64_t blocks = 0;
	int r;

	if (data_fd < 0 || hash_fd < 0)
		return err_set(e, -errno, "cannot open %s: %s", data_fd < 0 ? o->data : o->hash, strerror(errno));
	r = read_superblock(hash_fd, &params, &blocks, e);
	if (r < 0)
		return r;
	mine = scratch_file(e);
	if (mine < 0)
		return mine;
	r = verity_build(&params, data_fd, mine, root, e);
	if (r < 0)
		return r;
	if (root->data_blocks != blocks)
		return err_set(e, -EBADMSG, "the data has %llu blocks, the superblock covers %llu",
			       (unsigned long long)root->data_blocks, (unsigned long long)blocks);
	if (root->digest_len != wanted_len || memcmp(root->digest, wanted, wanted_len) != 0)
		return err_set(e, -EBADMSG, "the root hash of the data is another one");
	return compare_trees(mine, hash_fd, root->hash_bytes, e);
}

int cmd_verity_verify(int argc, char **argv)
{
	struct verity_root root = { 0 };
	struct options o = { 0 };
	struct err e = { 0 };
	uint8_t wanted[VERITY_DIGEST_MAX];
	size_t wanted_len;
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	wanted_len = strlen(o.root) / 2;
	if (wanted_len > sizeof(wanted) || hex_decode(o.root, wanted, wanted_len) < 0)
		return ctl_usage(NAME, "--root: a hash in hexadecimal is needed");
	if (run(&o, wanted, wanted_len, &root, &e) < 0)
		return ctl_refuse(NAME, o.json, &e);
	if (o.json)
		return ctl_print_json(json_pack("{s:b, s:s, s:I}", "valid", 1, "root_hash", o.root, "data_blocks",
						(json_int_t)root.data_blocks));
	return puts("valid") != EOF ? CLI_OK : CLI_REFUSED;
}
