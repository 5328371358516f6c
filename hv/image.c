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
	return read_confidential(out, root, e);
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

int image_load(struct image *out, const char *images, const char *name, struct err *e)
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
	r = image_parse(out, text, (size_t)n, e);
	if (r < 0) {
		err_prefix(e, "%s", path);
		return r;
	}
	out->kernel = find_file(dir, out->kernel_name, out->kernel_size, e);
	if (out->kernel)
		out->initrd = find_file(dir, out->initrd_name, out->initrd_size, e);
	if (out->initrd && out->confidential.kernel_name[0])
		out->confidential.kernel = find_file(dir, out->confidential.kernel_name, out->confidential.kernel_size, e);
	if (out->kernel && out->initrd && (out->confidential.kernel || !out->confidential.kernel_name[0]))
		return 0;
	image_finish(out);
	return -ENOENT;
}

void image_finish(struct image *img)
{
	free(img->kernel);
	free(img->initrd);
	free(img->confidential.kernel);
	img->confidential.kernel = NULL;
	img->kernel = NULL;
	img->initrd = NULL;
}
