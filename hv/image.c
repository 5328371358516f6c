/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/image.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "hv/image_key.h"
#include "hv/snp/sha.h"

#define IMAGE_BLOCK_BYTES 4096 /* of dm-verity, as deploy/guest makes it */

/* A plain file name: neither a path nor hidden. */
static bool is_file_name(const char *s)
{
	return s[0] != '\0' && s[0] != '.' && !strchr(s, '/');
}

static int read_name(const json_t *root, const char *key, char *out, size_t size, struct err *e)
{
	const char *s = json_string_value(json_object_get(root, key));

	if (!s || strlen(s) >= size || !is_file_name(s))
		return err_set(e, -EINVAL, "\"%s\" must be the name of a file beside the manifest", key);
	memcpy(out, s, strlen(s) + 1);
	return 0;
}

static bool is_digest(const char *s)
{
	return s && strlen(s) == IMAGE_DIGEST_TEXT - 1 && strspn(s, "0123456789abcdef") == IMAGE_DIGEST_TEXT - 1;
}

static int read_file_entry(const json_t *root, const char *name, uint64_t *size, char *digest, struct err *e)
{
	const json_t *entry = json_object_get(json_object_get(root, "files"), name);
	const char *text = json_string_value(json_object_get(entry, "sha256"));
	json_int_t n = json_integer_value(json_object_get(entry, "size"));

	if (n <= 0 || !is_digest(text))
		return err_set(e, -EINVAL, "\"files\" must give size and sha256 of %s", name);
	memcpy(digest, text, IMAGE_DIGEST_TEXT);
	*size = (uint64_t)n;
	return 0;
}

/* The kernel's own words: printable, and no quotes that would make the kernel read over spaces. */
static int read_cmdline(char out[IMAGE_CMDLINE_MAX], const json_t *root, struct err *e)
{
	const char *s = json_string_value(json_object_get(root, "cmdline"));

	if (!s || strlen(s) >= IMAGE_CMDLINE_MAX)
		return err_set(e, -EINVAL, "\"cmdline\" must be a string of less than %d bytes", IMAGE_CMDLINE_MAX);
	for (const char *c = s; *c; c++) {
		if (*c < ' ' || *c > '~' || *c == '"')
			return err_set(e, -EINVAL, "\"cmdline\" holds a byte that has no place on a kernel command line");
	}
	memcpy(out, s, strlen(s) + 1);
	return 0;
}

static int read_ready(struct image *out, const json_t *root, struct err *e)
{
	const json_t *v = json_object_get(root, "ready");
	size_t len = json_string_length(v);

	if (len == 0 || len > sizeof(out->ready))
		return err_set(e, -EINVAL, "\"ready\" must be a string of 1 to %d bytes", IMAGE_READY_MAX);
	memcpy(out->ready, json_string_value(v), len);
	out->ready_len = len;
	return 0;
}

static bool is_salt(const char *s)
{
	size_t len = s ? strlen(s) : 0;

	return len > 0 && len % 2 == 0 && len <= (size_t)2 * VERITY_SALT_MAX && strspn(s, "0123456789abcdef") == len;
}

/* A guest believes its command line: what stands there must be what is said here. */
static bool names_root(const struct image *img, const char *cmdline)
{
	char word[sizeof(IMAGE_VERITY_WORD) + 32 + sizeof(img->root_salt) + sizeof(img->root_hash)];
	const char *at;
	int n = snprintf(word, sizeof(word), IMAGE_VERITY_WORD "%llu:%s:%s", (unsigned long long)img->root_blocks, img->root_salt, img->root_hash);

	at = strstr(cmdline, word);
	return at && (at == cmdline || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' ') && !strstr(at + n, IMAGE_VERITY_WORD);
}

/* Optional: a root disk, which dm-verity covers whole. */
static int read_root(struct image *out, const json_t *root, struct err *e)
{
	const json_t *v = json_object_get(root, "verity");
	const char *hash = json_string_value(json_object_get(v, "root_hash")), *salt = json_string_value(json_object_get(v, "salt"));
	json_int_t blocks = json_integer_value(json_object_get(v, "data_blocks"));
	int r;

	if (!json_object_get(root, "root"))
		return v ? err_set(e, -EINVAL, "\"verity\" without a \"root\"") : 0;
	r = read_name(root, "root", out->root_name, sizeof(out->root_name), e);
	if (r == 0)
		r = read_file_entry(root, out->root_name, &out->root_size, out->root_digest, e);
	if (r < 0)
		return r;
	if (!is_digest(hash) || !is_salt(salt) || blocks <= 0 || (uint64_t)blocks > out->root_size / IMAGE_BLOCK_BYTES)
		return err_set(e, -EINVAL, "\"verity\" must give root_hash, salt and data_blocks of %s", out->root_name);
	memcpy(out->root_hash, hash, IMAGE_DIGEST_TEXT);
	memcpy(out->root_salt, salt, strlen(salt) + 1);
	out->root_blocks = (uint64_t)blocks;
	if (!names_root(out, out->cmdline) || (out->confidential.kernel_name[0] && !names_root(out, out->confidential.cmdline)))
		return err_set(e, -EINVAL, "a command line does not name the root hash that \"verity\" gives");
	return 0;
}

/* For people; what is too long or missing is nothing to refuse an image for. */
static void read_words(struct image *out, const json_t *root)
{
	const struct {
		const char *key;
		char *to;
		size_t size;
	} words[] = { { "name", out->name, sizeof(out->name) },
		      { "tier", out->tier, sizeof(out->tier) },
		      { "description", out->description, sizeof(out->description) } };
	json_int_t n = json_integer_value(json_object_get(root, "compressed_bytes"));

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const char *s = json_string_value(json_object_get(root, words[i].key));

		if (s && strlen(s) < words[i].size)
			memcpy(words[i].to, s, strlen(s) + 1);
	}
	out->compressed_bytes = n > 0 ? (uint64_t)n : 0;
}

/* Optional. Its command line is measured byte by byte: a blank at an end, which programs treat differently, is none. */
static int read_confidential(struct image *out, const json_t *root, struct err *e)
{
	const json_t *part = json_object_get(root, "confidential");
	struct image_confidential *c = &out->confidential;
	size_t len;
	int r;

	if (!part)
		return 0;
	r = read_name(part, "kernel", c->kernel_name, sizeof(c->kernel_name), e);
	if (r == 0)
		r = read_file_entry(root, c->kernel_name, &c->kernel_size, c->kernel_digest, e);
	if (r == 0)
		r = read_cmdline(c->cmdline, part, e);
	len = strlen(c->cmdline);
	if (r == 0 && (len == 0 || c->cmdline[0] == ' ' || c->cmdline[len - 1] == ' '))
		r = err_set(e, -EINVAL, "\"cmdline\" is empty, or has a blank at an end");
	if (r < 0) {
		err_prefix(e, "confidential");
		return r;
	}
	return 0;
}

/* Among what is in the image. Or an image of one's own just says so. */
static bool has_apt(const json_t *packages)
{
	const json_t *each;
	size_t i;

	json_array_foreach(packages, i, each) {
		const char *name = json_string_value(json_object_get(each, "name"));

		if (name && strcmp(name, "apt") == 0)
			return true;
	}
	return json_is_true(packages);
}

static int read_manifest(struct image *out, const json_t *root, struct err *e)
{
	json_int_t memory = json_integer_value(json_object_get(root, "memory_min"));
	int r = read_name(root, "kernel", out->kernel_name, sizeof(out->kernel_name), e);

	if (r == 0)
		r = read_name(root, "initrd", out->initrd_name, sizeof(out->initrd_name), e);
	if (r == 0)
		r = read_file_entry(root, out->kernel_name, &out->kernel_size, out->kernel_digest, e);
	if (r == 0)
		r = read_file_entry(root, out->initrd_name, &out->initrd_size, out->initrd_digest, e);
	if (r == 0)
		r = read_cmdline(out->cmdline, root, e);
	if (r == 0)
		r = read_ready(out, root, e);
	if (r == 0 && memory < 0)
		r = err_set(e, -EINVAL, "\"memory_min\" must be a number of bytes");
	if (r < 0)
		return r;
	out->memory_min = (uint64_t)memory;
	out->packages = has_apt(json_object_get(root, "packages"));
	read_words(out, root);
	r = read_confidential(out, root, e);
	return r == 0 ? read_root(out, root, e) : r;
}

int image_parse(struct image *out, const char *text, size_t len, struct err *e)
{
	json_error_t je;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	int r;

	memset(out, 0, sizeof(*out));
	if (!root)
		return err_set(e, -EINVAL, "line %d: %s", je.line, je.text);
	r = read_manifest(out, root, e);
	json_decref(root);
	return r;
}

/* Return: the absolute path of @dir/@name, owned by the caller; NULL with @e unless it is a file of @size bytes that can be read. */
static char *find_file(const char *dir, const char *name, uint64_t size, struct err *e)
{
	struct stat st;
	_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		path = NULL;
		err_set(e, -ENOMEM, "no memory");
		return NULL;
	}
	if (access(path, R_OK) < 0 || stat(path, &st) < 0) {
		err_set(e, -errno, "%s cannot be read: %s; build the image with \"make image\"", path, strerror(errno));
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size) {
		err_set(e, -EINVAL, "%s is not the file that the manifest describes (%llu bytes); build the image anew with \"make image\"",
			path, (unsigned long long)size);
		return NULL;
	}
	return realpath(path, NULL);
}

int image_version(const void *manifest, size_t len, char out[IMAGE_VERSION_TEXT])
{
	uint8_t hash[SHA256_BYTES];
	int r = sha256(manifest, len, hash);

	if (r == 0)
		hex_encode(hash, (IMAGE_VERSION_TEXT - 1) / 2, out);
	return r;
}

static int check_signature(const char *dir, const char *manifest, size_t len, const struct image_key *key, struct err *e)
{
	_free_ char *path = NULL;
	uint8_t sig[IMAGE_SIGNATURE_MAX + 1];
	long n;

	if (asprintf(&path, "%s/" IMAGE_SIGNATURE_FILE, dir) < 0) {
		path = NULL;
		return err_set(e, -ENOMEM, "no memory");
	}
	n = fd_read_file(AT_FDCWD, path, (char *)sig, sizeof(sig));
	if (n < 0)
		return err_set(e, (int)n, "images must be signed here (image_key), and %s cannot be read: %s", path, strerror((int)-n));
	return image_key_check(key, manifest, len, sig, (size_t)n, e);
}

int image_load(struct image *out, const char *images, const char *name, const struct image_key *key, struct err *e)
{
	_free_ char *dir = NULL;
	_free_ char *path = NULL;
	_free_ char *text = malloc(IMAGE_MANIFEST_MAX);
	long n;
	int r;

	memset(out, 0, sizeof(*out));
	if (asprintf(&dir, "%s/%s", images, name) < 0)
		dir = NULL;
	if (!dir || asprintf(&path, "%s/manifest.json", dir) < 0)
		path = NULL;
	if (!text || !path)
		return err_set(e, -ENOMEM, "no memory to read the image %s", name);
	n = fd_read_file(AT_FDCWD, path, text, IMAGE_MANIFEST_MAX);
	if (n == -ENOENT)
		return err_set(e, -ENOENT, "there is no image \"%s\" in %s; build it with \"make image\"", name, images);
	if (n < 0)
		return err_set(e, (int)n, "%s: %s", path, strerror((int)-n));
	r = key ? check_signature(dir, text, (size_t)n, key, e) : 0;
	if (r == 0)
		r = image_parse(out, text, (size_t)n, e);
	if (r < 0) {
		err_prefix(e, "%s", path);
		return r;
	}
	r = image_version(text, (size_t)n, out->version);
	if (r < 0)
		return err_set(e, r, "%s: its version cannot be worked out", path);
	out->kernel = find_file(dir, out->kernel_name, out->kernel_size, e);
	if (out->kernel)
		out->initrd = find_file(dir, out->initrd_name, out->initrd_size, e);
	if (out->initrd && out->confidential.kernel_name[0])
		out->confidential.kernel = find_file(dir, out->confidential.kernel_name, out->confidential.kernel_size, e);
	if (out->initrd && out->root_name[0])
		out->root = find_file(dir, out->root_name, out->root_size, e);
	if (out->kernel && out->initrd && (out->confidential.kernel || !out->confidential.kernel_name[0]) && (out->root || !out->root_name[0]))
		return 0;
	image_finish(out);
	return -ENOENT;
}

void image_finish(struct image *img)
{
	free(img->kernel);
	free(img->initrd);
	free(img->root);
	img->root = NULL;
	free(img->confidential.kernel);
	img->confidential.kernel = NULL;
	img->kernel = NULL;
	img->initrd = NULL;
}
