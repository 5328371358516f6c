/* SPDX-License-Identifier: Apache-2.0 */
/* `terrarium image verify`, and the judgement that promote and sign begin with. */
#include "gateway/ctl/image_verify.h"

#include "base/cli.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/image_store.h"
#include "hv/image.h"
#include "hv/image_key.h"
#include "hv/snp/sha.h"
#include "hv/verity/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/platform_util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES 4096

static void found(json_t *report, const char *what, const char *name)
{
	if (report)
		(void)json_array_append_new(report, json_sprintf("%s%s%s", what, name[0] ? " " : "", name));
}

static int open_file(const char *dir, const char *name, struct err *e)
{
	char path[STORE_PATH_BYTES + 256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 ? fd : err_set(e, -errno, "%s: %s", path, strerror(errno));
}

static int check_file(const char *dir, const char *name, const json_t *entry, struct err *e)
{
	const char *want = json_string_value(json_object_get(entry, "sha256"));
	json_int_t size = json_integer_value(json_object_get(entry, "size"));
	_close_ int fd = strchr(name, '/') || name[0] == '.' ? -1 : open_file(dir, name, e);
	char hex[2 * SHA256_BYTES + 1];
	uint8_t hash[SHA256_BYTES];
	struct stat st;

	if (fd < 0)
		return e->code ? e->code : err_set(e, -EINVAL, "the manifest names a file outside of its folder");
	if (fstat(fd, &st) < 0 || st.st_size != size)
		return err_set(e, -EBADMSG, "%s has %lld bytes; the manifest says %lld", name, (long long)st.st_size, (long long)size);
	if (sha256_file(fd, hash) < 0)
		return err_set(e, -EIO, "%s cannot be read", name);
	hex_encode(hash, sizeof(hash), hex);
	return want && strcmp(hex, want) == 0 ? 0 : err_set(e, -EBADMSG, "%s is not the file that the manifest describes: its SHA-256 is %s", name, hex);
}

static int check_files(const char *dir, const json_t *manifest, json_t *report, struct err *e)
{
	json_t *files = json_object_get(manifest, "files"), *entry;
	const char *name;
	int r = 0;

	json_object_foreach(files, name, entry) {
		r = check_file(dir, name, entry, e);
		if (r < 0)
			return r;
		found(report, "hash and size of", name);
	}
	return r;
}

/* The tree is made anew and compared with what stands behind the data. */
static int compare(int mine, int disk, uint64_t from, uint64_t len, struct err *e)
{
	uint8_t a[16 * 1024], b[sizeof(a)];

	for (uint64_t at = 0; at < len;) {
		size_t want = len - at < sizeof(a) ? (size_t)(len - at) : sizeof(a);
		unsigned long long place = from + at;

		if (pread(mine, a, want, (off_t)at) != (ssize_t)want || pread(disk, b, want, (off_t)place) != (ssize_t)want ||
		    memcmp(a, b, want) != 0)
			return err_set(e, -EBADMSG, "verity: the tree on the root disk is not that of its data (byte %llu)", place);
		at += want;
	}
	return 0;
}

static int check_verity(const char *dir, const struct image *img, struct err *e)
{
	struct verity_params params = { .hash = VERITY_SHA256, .block_bytes = BLOCK_BYTES, .data_blocks = img->root_blocks };
	struct verity_root root = { 0 };
	_close_ int disk = open_file(dir, img->root_name, e);
	_close_ int mine = -1;
	char hex[2 * VERITY_DIGEST_MAX + 1];
	const char *tmp = getenv("TMPDIR");
	int r;

	if (disk < 0)
		return disk;
	mine = open(tmp ? tmp : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (mine < 0)
		return err_set(e, -errno, "cannot make a temporary file (TMPDIR): %s", strerror(errno));
	params.salt_len = strlen(img->root_salt) / 2;
	r = hex_decode(img->root_salt, params.salt, params.salt_len);
	if (r == 0)
		r = verity_build(&params, disk, mine, &root, e);
	if (r < 0)
		return r;
	hex_encode(root.digest, root.digest_len, hex);
	if (strcmp(hex, img->root_hash) != 0)
		return err_set(e, -EBADMSG, "verity: the root hash of the root disk is %s, not the manifest's", hex);
	if (img->root_size != img->root_blocks * BLOCK_BYTES + root.hash_bytes)
		return err_set(e, -EBADMSG, "verity: the root disk holds more than data and tree");
	return compare(mine, disk, img->root_blocks * BLOCK_BYTES, root.hash_bytes, e);
}

static int check_signature(const char *dir, const char *text, size_t len, const char *key_file, struct err *e)
{
	char path[STORE_PATH_BYTES + 32];
	uint8_t sig[IMAGE_SIGNATURE_MAX + 1];
	struct image_key *key = image_key_load(key_file, e);
	long n;
	int r;

	if (!key)
		return -EINVAL;
	(void)snprintf(path, sizeof(path), "%s/" IMAGE_SIGNATURE_FILE, dir);
	n = fd_read_file(AT_FDCWD, path, (char *)sig, sizeof(sig));
	r = n < 0 ? err_set(e, (int)n, "it is not signed: %s: %s", path, strerror((int)-n)) : image_key_check(key, text, len, sig, (size_t)n, e);
	(void)image_key_free(key);
	return r;
}

static int judge(const char *dir, const char *text, size_t len, const char *key_file, json_t *report, struct err *e)
{
	json_t *manifest = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	struct image img;
	int r = key_file ? check_signature(dir, text, len, key_file, e) : 0;

	if (r == 0 && key_file)
		found(report, "signature of the manifest by", key_file);
	if (r == 0)
		r = image_parse(&img, text, len, e);
	if (r == 0)
		r = check_files(dir, manifest, report, e);
	if (r == 0 && img.root_name[0]) {
		r = check_verity(dir, &img, e);
		if (r == 0)
			found(report, "verity tree, block by block, and its root on the command lines:", img.root_hash);
	}
	json_decref(manifest);
	return r;
}

int image_verify(const char *dir, const char *key_file, json_t **report, struct err *e)
{
	char path[STORE_PATH_BYTES + 32];
	_file_ struct ctl_file manifest = { 0 };
	struct err own = { 0 };
	int r;

	if (report)
		*report = json_array();
	(void)snprintf(path, sizeof(path), "%s/manifest.json", dir);
	r = ctl_load(path, IMAGE_MANIFEST_MAX, &manifest, &own);
	if (r == 0)
		r = judge(dir, (const char *)manifest.data, manifest.len, key_file, report ? *report : NULL, &own);
	return r < 0 ? err_set(e, r, "%s", own.msg) : 0;
}

int image_sign(const char *dir, const char *key_file, struct err *e)
{
	char path[STORE_PATH_BYTES + 32], pem[IMAGE_KEY_MAX];
	_file_ struct ctl_file manifest = { 0 };
	uint8_t sig[IMAGE_SIGNATURE_MAX];
	struct image_key *key;
	size_t sig_len = 0;
	long n = fd_read_file(AT_FDCWD, key_file, pem, sizeof(pem));
	int r;

	if (n < 0)
		return err_set(e, (int)n, "%s: %s", key_file, strerror((int)-n));
	key = image_key_private(pem, e);
	mbedtls_platform_zeroize(pem, sizeof(pem));
	if (!key)
		return err_prefix(e, "%s", key_file);
	(void)snprintf(path, sizeof(path), "%s/manifest.json", dir);
	r = ctl_load(path, IMAGE_MANIFEST_MAX, &manifest, e);
	if (r == 0)
		r = image_key_sign(key, manifest.data, manifest.len, sig, &sig_len, e);
	(void)snprintf(path, sizeof(path), "%s/" IMAGE_SIGNATURE_FILE, dir);
	if (r == 0)
		r = ctl_write(path, sig, sig_len, e);
	(void)image_key_free(key);
	return r;
}

int cmd_image_verify(int argc, char **argv)
{
	const char *images = NULL, *key = NULL, *name = NULL, *version = NULL;
	bool json = false;
	const struct ctl_option table[] = {
		{ .name = "version", .text = &version, .value = "V", .help = "as image list shows it; the current one unless given" },
		{ .name = "images", .text = &images, .value = "DIR", .help = "folder of images; the gateway's unless given" },
		{ .name = "key", .text = &key, .value = "F", .help = "public key it must be signed with; the gateway's image_key unless given" },
		{ .name = "json", .flag = &json, .help = "print JSON" },
		{ 0 },
	};
	char dir[STORE_PATH_BYTES];
	struct err e = { 0 };
	json_t *report = NULL, *line;
	size_t i;
	int r = ctl_operand("image verify", "NAME", table, argc, argv, &name);

	if (r != CTL_GO)
		return r;
	images = store_folder(images, &e);
	r = images ? store_dir(images, name, version, dir, &e) : -EINVAL;
	if (r == 0)
		r = image_verify(dir, store_key_file(key), &report, &e);
	if (r < 0) {
		json_decref(report);
		return ctl_refuse("image verify", json, &e);
	}
	if (json)
		return ctl_print_json(json_pack("{s:b, s:o}", "valid", 1, "found", report));
	json_array_foreach(report, i, line)
		printf("%s\n", json_string_value(line));
	json_decref(report);
	return puts(store_key_file(key) ? "valid" : "valid; who made it was not asked (no key)") != EOF ? CLI_OK : CLI_REFUSED;
}
