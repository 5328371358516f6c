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
#include <sys/stat.h>
#include <unistd.h>

#define NAME "verity hash"

struct options {
	const char *data, *salt, *uuid, *hash, *block_size, *hash_out;
	bool json;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "data", .text = &o->data, .value = "F", .help = "image, of whole blocks", .needed = true },
		{ .name = "salt", .text = &o->salt, .value = "HEX", .help = "salt, - for none", .needed = true },
		{ .name = "uuid", .text = &o->uuid, .value = "U", .help = "of the superblock, zeros unless given" },
		{ .name = "hash", .text = &o->hash, .value = "H", .help = "sha256 (default) or sha512" },
		{ .name = "block-size", .text = &o->block_size, .value = "N", .help = "bytes, 4096 unless given" },
		{ .name = "hash-out", .text = &o->hash_out, .value = "F", .help = "where superblock and tree go" },
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_options(NAME, table, argc, argv);
}

static int parse_options(const struct options *o, struct verity_params *p)
{
	const char *salt = strcmp(o->salt, "-") == 0 ? "" : o->salt;
	uint64_t block_bytes;

	p->salt_len = strlen(salt) / 2;
	if (p->salt_len > VERITY_SALT_MAX || hex_decode(salt, p->salt, p->salt_len) < 0)
		return ctl_usage(NAME, "--salt: at most %d bytes in hexadecimal are needed, or - for none", VERITY_SALT_MAX);
	if (o->uuid && verity_uuid_parse(o->uuid, p->uuid) < 0)
		return ctl_usage(NAME, "--uuid %s is not a UUID", o->uuid);
	if (verity_hash_parse(o->hash ? o->hash : "sha256", &p->hash) < 0)
		return ctl_usage(NAME, "--hash %s: sha256 or sha512 is needed", o->hash);
	if (ctl_number(o->block_size ? o->block_size : "4096", VERITY_BLOCK_MAX, &block_bytes) < 0 ||
	    block_bytes < VERITY_BLOCK_MIN || (block_bytes & (block_bytes - 1)) != 0)
		return ctl_usage(NAME, "--block-size %s: a power of two from %d to %d is needed", o->block_size, VERITY_BLOCK_MIN,
				 VERITY_BLOCK_MAX);
	p->block_bytes = (uint32_t)block_bytes;
	return CLI_OK;
}

static bool same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Not truncated before it is known to be another file than the data. */
static int open_output(const char *path, int data_fd, int *fd, struct err *e)
{
	struct stat st;

	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (*fd < 0)
		return err_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
	if (same_file(*fd, data_fd))
		return err_set(e, -EINVAL, "--hash-out is the file with the data: the tree would overwrite it");
	if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode) && ftruncate(*fd, 0) < 0)
		return err_set(e, -errno, "cannot empty %s: %s", path, strerror(errno));
	return 0;
}

static int run(const struct options *o, const struct verity_params *p, struct verity_root *root, struct err *e)
{
	_close_ int data_fd = open(o->data, O_RDONLY | O_CLOEXEC);
	_close_ int hash_fd = -1;
	int r;

	if (data_fd < 0)
		return err_set(e, -errno, "cannot open %s: %s", o->data, strerror(errno));
	r = o->hash_out ? open_output(o->hash_out, data_fd, &hash_fd, e) : 0;
	return r == 0 ? verity_build(p, data_fd, hash_fd, root, e) : r;
}

int cmd_verity_hash(int argc, char **argv)
{
	struct verity_params params = { 0 };
	struct verity_root root = { 0 };
	struct options o = { 0 };
	struct err e = { 0 };
	char hex[2 * VERITY_DIGEST_MAX + 1];
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (parse_options(&o, &params) != CLI_OK)
		return CLI_USAGE;
	if (run(&o, &params, &root, &e) < 0)
		return ctl_refuse(NAME, o.json, &e);
	hex_encode(root.digest, root.digest_len, hex);
	if (o.json)
		return ctl_print_json(json_pack("{s:s, s:s, s:I, s:I, s:I}", "root_hash", hex, "hash", o.hash ? o.hash : "sha256",
						"block_bytes", (json_int_t)params.block_bytes, "data_blocks",
						(json_int_t)root.data_blocks, "hash_bytes", (json_int_t)root.hash_bytes));
	return printf("%s\n", hex) > 0 && fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}
