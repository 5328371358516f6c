/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/image_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "gateway/settings.h"
#include "hv/image_key.h"
#include "hv/spec.h"

#define VERSIONS ".versions"
#define FORMER	 "former"

static const struct settings *configured(struct err *e)
{
	static struct settings s;
	static int is = 1;
	char program[] = "terrariumd";
	char *args[] = { program, NULL };

	if (is > 0)
		is = settings_read(&s, 1, args, e);
	return is == 0 ? &s : NULL;
}

const char *store_folder(const char *given, struct err *e)
{
	const struct settings *s = given ? NULL : configured(e);

	return given ? given : s ? s->images : NULL;
}

const char *store_key_file(const char *given)
{
	const struct settings *s = given ? NULL : configured(NULL);
	const char *file = given ? given : s ? s->image_key : NULL;

	return file && file[0] ? file : NULL;
}

bool store_is_name(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len < VM_NAME_BYTES && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && s[0] != '-' && s[len - 1] != '-';
}

static bool is_version(const char *s)
{
	return strlen(s) == IMAGE_VERSION_TEXT - 1 && strspn(s, "0123456789abcdef") == IMAGE_VERSION_TEXT - 1;
}

/* Every path here is made of @images, names that were looked at, and words of this file. */
static int make_path(char out[STORE_PATH_BYTES], struct err *e, const char *images, const char *a, const char *b, const char *c)
{
	int n = snprintf(out, STORE_PATH_BYTES, "%s/%s%s%s%s%s", images, a, b ? "/" : "", b ? b : "", c ? "/" : "", c ? c : "");

	return n > 0 && n < STORE_PATH_BYTES ? 0 : err_set(e, -ENAMETOOLONG, "the path of the folder of images is too long");
}

int store_dir(const char *images, const char *name, const char *version, char out[STORE_PATH_BYTES], struct err *e)
{
	struct stat st;
	int r;

	if (!store_is_name(name))
		return err_set(e, -EINVAL, "\"%.40s\" is no name of an image: small letters, digits and hyphens", name);
	if (version && !is_version(version))
		return err_set(e, -EINVAL, "\"%.40s\" is no version: %d hexadecimal digits, as image list shows them", version, IMAGE_VERSION_TEXT - 1);
	r = version ? make_path(out, e, images, VERSIONS, name, version) : make_path(out, e, images, name, NULL, NULL);
	if (r == 0 && stat(out, &st) < 0)
		r = version ? err_set(e, -ENOENT, "there is no version %s of %s in %s", version, name, images) :
			      err_set(e, -ENOENT, "there is no image %s in %s", name, images);
	return r;
}

int store_version(const char *dir, char version[IMAGE_VERSION_TEXT], struct err *e)
{
	char path[STORE_PATH_BYTES + 32];
	_free_ char *text = malloc(IMAGE_MANIFEST_MAX);
	long n;

	(void)snprintf(path, sizeof(path), "%s/manifest.json", dir);
	n = text ? fd_read_file(AT_FDCWD, path, text, IMAGE_MANIFEST_MAX) : -ENOMEM;
	if (n < 0)
		return err_set(e, (int)n, "%s: %s", path, strerror((int)-n));
	return image_version(text, (size_t)n, version);
}

static int make_dir(const char *path, struct err *e)
{
	return mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : err_set(e, -errno, "%s: %s", path, strerror(errno));
}

int store_begin(const char *images, const char *name, char dir[STORE_PATH_BYTES], struct err *e)
{
	char path[STORE_PATH_BYTES];
	int r = make_path(path, e, images, VERSIONS, NULL, NULL);

	if (!store_is_name(name))
		return err_set(e, -EINVAL, "\"%.40s\" is no name of an image: small letters, digits and hyphens", name);
	if (r == 0)
		r = make_dir(images, e);
	if (r == 0)
		r = make_dir(path, e);
	if (r == 0)
		r = make_path(path, e, images, VERSIONS, name, NULL);
	if (r == 0)
		r = make_dir(path, e);
	if (r == 0)
		r = make_path(dir, e, images, VERSIONS, name, "new.XXXXXX");
	if (r < 0)
		return r;
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	return 0;
}

void store_drop(const char *dir)
{
	char path[STORE_PATH_BYTES + 256];
	DIR *d = opendir(dir);

	for (const struct dirent *f; d && (f = readdir(d));) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, f->d_name);
		if (f->d_type != DT_DIR)
			(void)unlink(path);
	}
	if (d)
		(void)closedir(d);
	(void)rmdir(dir);
}

int store_keep(const char *images, const char *name, const char *dir, char version[IMAGE_VERSION_TEXT], struct err *e)
{
	char to[STORE_PATH_BYTES];
	int r = store_version(dir, version, e);

	if (r == 0)
		r = make_path(to, e, images, VERSIONS, name, version);
	/* The same version again: the one that is there may be in use, and a signature may have come to it. */
	if (r == 0 && rename(dir, to) < 0 && errno != ENOTEMPTY && errno != EEXIST)
		r = err_set(e, -errno, "%s: %s", to, strerror(errno));
	store_drop(dir);
	return r;
}

static int write_former(const char *images, const char *name, const char *version, struct err *e)
{
	char path[STORE_PATH_BYTES], fresh[STORE_PATH_BYTES];
	int r = make_path(path, e, images, VERSIONS, name, FORMER);

	if (r == 0)
		r = make_path(fresh, e, images, VERSIONS, name, FORMER ".new");
	if (r < 0)
		return r;
	(void)unlink(fresh);
	if (symlink(version, fresh) < 0 || rename(fresh, path) < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

int store_former(const char *images, const char *name, char version[IMAGE_VERSION_TEXT], struct err *e)
{
	char path[STORE_PATH_BYTES], text[IMAGE_VERSION_TEXT + 1];
	int r = make_path(path, e, images, VERSIONS, name, FORMER);
	ssize_t n = r == 0 ? readlink(path, text, sizeof(text)) : -1;

	if (r < 0)
		return r;
	if (n != IMAGE_VERSION_TEXT - 1)
		return err_set(e, -ENOENT, "there is no former version of %s: it was never promoted", name);
	memcpy(version, text, IMAGE_VERSION_TEXT - 1);
	version[IMAGE_VERSION_TEXT - 1] = '\0';
	return 0;
}

/* A folder stood where the link is now: keep it as a version, unless that is kept already. */
static int keep_folder(const char *images, const char *name, const char *dir, const char *version, struct err *e)
{
	char to[STORE_PATH_BYTES];
	int r = make_path(to, e, images, VERSIONS, name, version);

	if (r == 0 && rename(dir, to) < 0 && errno != ENOTEMPTY && errno != EEXIST)
		return err_set(e, -errno, "%s: %s", to, strerror(errno));
	store_drop(dir);
	return r;
}

int store_promote(const char *images, const char *name, const char *version, struct err *e)
{
	char place[STORE_PATH_BYTES], fresh[STORE_PATH_BYTES], dir[STORE_PATH_BYTES], text[STORE_PATH_BYTES], hidden[VM_NAME_BYTES + 8];
	char now[IMAGE_VERSION_TEXT] = "";
	struct stat st;
	bool folder;
	int r = store_dir(images, name, version, dir, e);

	(void)snprintf(hidden, sizeof(hidden), ".%s.new", name);
	(void)snprintf(text, sizeof(text), VERSIONS "/%s/%s", name, version);
	if (r == 0)
		r = make_path(place, e, images, name, NULL, NULL);
	if (r == 0)
		r = make_path(fresh, e, images, hidden, NULL, NULL);
	if (r < 0)
		return r;
	if (lstat(place, &st) < 0)
		st.st_mode = 0;
	folder = S_ISDIR(st.st_mode);
	if (st.st_mode != 0)
		(void)store_version(place, now, NULL);
	if (now[0] && strcmp(now, version) == 0 && !folder)
		return 0;
	(void)unlink(fresh);
	if (symlink(text, fresh) < 0)
		return err_set(e, -errno, "%s: %s", fresh, strerror(errno));
	if (renameat2(AT_FDCWD, fresh, AT_FDCWD, place, folder ? RENAME_EXCHANGE : 0) < 0)
		return err_set(e, -errno, "%s: %s", place, strerror(errno));
	if (folder && now[0])
		r = keep_folder(images, name, fresh, now, e);
	return r == 0 && now[0] && strcmp(now, version) != 0 ? write_former(images, name, now, e) : r;
}

static int wanted(const struct dirent *d)
{
	return is_version(d->d_name);
}

static int delete_version(const char *images, const char *name, const char *version, struct err *e)
{
	char dir[STORE_PATH_BYTES], place[STORE_PATH_BYTES], now[IMAGE_VERSION_TEXT] = "";
	int r = store_dir(images, name, version, dir, e);

	if (r == 0)
		r = make_path(place, e, images, name, NULL, NULL);
	if (r < 0)
		return r;
	(void)store_version(place, now, NULL);
	if (strcmp(now, version) == 0)
		return err_set(e, -EBUSY, "%s is the current version of %s: promote another one first", version, name);
	store_drop(dir);
	return access(dir, F_OK) == 0 ? err_set(e, -EIO, "%s cannot be removed", dir) : 0;
}

/* A link, or a folder that is not kept as a version. */
static int take_place_away(const char *images, const char *name, struct err *e)
{
	char place[STORE_PATH_BYTES], gone[STORE_PATH_BYTES], hidden[VM_NAME_BYTES + 8];
	int r;

	(void)snprintf(hidden, sizeof(hidden), ".%s.gone", name);
	r = make_path(place, e, images, name, NULL, NULL);
	if (r == 0)
		r = make_path(gone, e, images, hidden, NULL, NULL);
	if (r < 0)
		return r;
	store_drop(gone); /* of a deletion that was cut short */
	(void)unlink(gone);
	if (rename(place, gone) < 0)
		return err_set(e, -errno, "%s: %s", place, strerror(errno));
	if (unlink(gone) < 0)
		store_drop(gone);
	return 0;
}

int store_delete(const char *images, const char *name, const char *version, struct err *e)
{
	char dir[STORE_PATH_BYTES], one[STORE_PATH_BYTES];
	struct dirent **names = NULL;
	int n, r;

	if (version)
		return delete_version(images, name, version, e);
	r = store_dir(images, name, NULL, dir, e);
	if (r == 0)
		r = take_place_away(images, name, e);
	if (r == 0)
		r = make_path(dir, e, images, VERSIONS, name, NULL);
	n = r == 0 ? scandir(dir, &names, wanted, alphasort) : 0;
	for (int i = 0; i < n; i++) {
		if (make_path(one, NULL, images, VERSIONS, name, names[i]->d_name) == 0)
			store_drop(one);
		free(names[i]);
	}
	free(names);
	if (r == 0)
		store_drop(dir); /* with the link to the former one */
	return r;
}

static json_t *one_version(const char *dir, const char *version, const char *state)
{
	struct err e = { 0 };
	struct image img = { .kernel = NULL };
	char path[STORE_PATH_BYTES + 32];
	_free_ char *text = malloc(IMAGE_MANIFEST_MAX);
	uint64_t bytes;
	long n;

	(void)snprintf(path, sizeof(path), "%s/manifest.json", dir);
	n = text ? fd_read_file(AT_FDCWD, path, text, IMAGE_MANIFEST_MAX) : -ENOMEM;
	if (n < 0 || image_parse(&img, text, (size_t)n, &e) < 0)
		state = "broken";
	bytes = img.kernel_size + img.initrd_size + img.confidential.kernel_size + img.root_size;
	(void)snprintf(path, sizeof(path), "%s/" IMAGE_SIGNATURE_FILE, dir);
	return json_pack("{s:s, s:s, s:I, s:I, s:b}", "version", version, "state", state, "bytes", (json_int_t)bytes, "compressed_bytes",
			 (json_int_t)img.compressed_bytes, "signed", access(path, R_OK) == 0);
}

json_t *store_versions(const char *images, const char *name)
{
	char dir[STORE_PATH_BYTES], place[STORE_PATH_BYTES], now[IMAGE_VERSION_TEXT] = "", former[IMAGE_VERSION_TEXT] = "";
	struct dirent **names = NULL;
	json_t *list = json_array();
	bool seen = false;
	int n = 0;

	if (make_path(place, NULL, images, name, NULL, NULL) == 0)
		(void)store_version(place, now, NULL);
	(void)store_former(images, name, former, NULL);
	if (make_path(dir, NULL, images, VERSIONS, name, NULL) == 0)
		n = scandir(dir, &names, wanted, alphasort);
	for (int i = 0; i < n; i++) {
		const char *v = names[i]->d_name;
		bool current = strcmp(v, now) == 0;

		seen |= current;
		if (make_path(dir, NULL, images, VERSIONS, name, v) == 0)
			(void)json_array_append_new(list, one_version(dir, v, current ? "current" : strcmp(v, former) == 0 ? "former" : "built"));
		free(names[i]);
	}
	free(names);
	if (!seen && now[0])
		(void)json_array_append_new(list, one_version(place, now, "current"));
	return list;
}
