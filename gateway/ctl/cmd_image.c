/* SPDX-License-Identifier: Apache-2.0 */
/* `terrarium image list|promote|rollback|key|sign`: what is done with images that are there. */
#include "base/cli.h"
#include "base/err.h"
#include "base/fd.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/image_store.h"
#include "gateway/ctl/image_verify.h"
#include "gateway/ctl/table.h"
#include "hv/image_key.h"
#include "hv/image_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mbedtls/platform_util.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIB (1ULL << 20)

/* --- list --------------------------------------------------------------------------------------------------------------- */

static void add_sizes(json_t *o)
{
	json_int_t bytes = json_integer_value(json_object_get(o, "bytes")), packed = json_integer_value(json_object_get(o, "compressed_bytes"));

	(void)json_object_set_new(o, "size", json_sprintf("%llu MiB", (unsigned long long)bytes / MIB));
	(void)json_object_set_new(o, "packed", json_sprintf("%llu MiB", (unsigned long long)packed / MIB));
}

/* One line for each version; an image that cannot be used is told with the reason. */
static json_t *lines(const char *images, json_t *list)
{
	json_t *out = json_array(), *image, *version;
	size_t i, k;

	json_array_foreach(list, i, image) {
		json_t *versions = store_versions(images, json_string_value(json_object_get(image, "name")));
		bool usable = json_is_true(json_object_get(image, "usable"));

		json_array_foreach(versions, k, version) {
			(void)json_object_set(version, "name", json_object_get(image, "name"));
			(void)json_object_set(version, "description", json_object_get(image, usable ? "description" : "reason"));
			add_sizes(version);
			(void)json_array_append(out, version);
		}
		(void)json_object_set_new(image, "versions", versions);
	}
	return out;
}

int cmd_image_list(int argc, char **argv)
{
	static const struct table_column columns[] = { { "NAME", "name" }, { "VERSION", "version" }, { "STATE", "state" },	  { "SIZE", "size" },
						       { "PACKED", "packed" }, { "SIGNED", "signed" }, { "DESCRIPTION", "description" } };
	const char *images = NULL;
	bool json = false;
	const struct ctl_option table[] = {
		{ .name = "images", .text = &images, .value = "DIR", .help = "folder of images; the gateway's unless given" },
		{ .name = "json", .flag = &json, .help = "print JSON" },
		{ 0 },
	};
	struct err e = { 0 };
	json_t *list, *rows;
	int r = ctl_options("image list", table, argc, argv);

	if (r != CTL_GO)
		return r;
	images = store_folder(images, &e);
	list = images ? image_list(images, NULL) : NULL;
	if (!list)
		return ctl_refuse("image list", json, &e);
	rows = lines(images, list);
	if (json) {
		json_decref(rows);
		return ctl_print_json(json_pack("{s:o}", "items", list));
	}
	if (json_array_size(rows) > 0)
		table_print(rows, columns, sizeof(columns) / sizeof(columns[0]));
	else
		printf("no image in %s; terrarium image build makes them\n", images);
	json_decref(rows);
	json_decref(list);
	return CLI_OK;
}

/* --- promote, rollback ----------------------------------------------------------------------------------------------------- */

static int promote(const char *images, const char *name, const char *version, const char *key, struct err *e)
{
	char dir[STORE_PATH_BYTES];
	int r = store_dir(images, name, version, dir, e);

	/* Whole, before any machine gets it. */
	if (r == 0)
		r = image_verify(dir, key, NULL, e);
	return r == 0 ? store_promote(images, name, version, e) : r;
}

int cmd_image_promote(int argc, char **argv)
{
	const char *images = NULL, *key = NULL, *name = NULL, *version = NULL;
	const struct ctl_option table[] = {
		{ .name = "version", .text = &version, .value = "V", .help = "as image list shows it", .needed = true },
		{ .name = "images", .text = &images, .value = "DIR", .help = "folder of images; the gateway's unless given" },
		{ .name = "key", .text = &key, .value = "F", .help = "public key it must be signed with; the gateway's image_key unless given" },
		{ 0 },
	};
	struct err e = { 0 };
	int r = ctl_operand("image promote", "NAME", table, argc, argv, &name);

	if (r != CTL_GO)
		return r;
	images = store_folder(images, &e);
	if (!images || promote(images, name, version, store_key_file(key), &e) < 0)
		return ctl_refuse("image promote", false, &e);
	printf("%s is version %s from now on\n", name, version);
	return CLI_OK;
}

int cmd_image_rollback(int argc, char **argv)
{
	const char *images = NULL, *key = NULL, *name = NULL;
	const struct ctl_option table[] = {
		{ .name = "images", .text = &images, .value = "DIR", .help = "folder of images; the gateway's unless given" },
		{ .name = "key", .text = &key, .value = "F", .help = "public key it must be signed with; the gateway's image_key unless given" },
		{ 0 },
	};
	char version[IMAGE_VERSION_TEXT] = "";
	struct err e = { 0 };
	int r = ctl_operand("image rollback", "NAME", table, argc, argv, &name);

	if (r != CTL_GO)
		return r;
	images = store_folder(images, &e);
	if (!images || !store_is_name(name) || store_former(images, name, version, &e) < 0 || promote(images, name, version, store_key_file(key), &e) < 0)
		return ctl_refuse("image rollback", false, &e);
	printf("%s is version %s again\n", name, version);
	return CLI_OK;
}

/* --- key, sign -------------------------------------------------------------------------------------------------------------- */

/* Never over another key: images are signed with it. */
static int write_key(const char *path, const char *pem, mode_t mode, struct err *e)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	int r = fd < 0 ? -errno : fd_write_all(fd, pem, strlen(pem));

	return r == 0 ? 0 : err_set(e, r, "%s: %s", path, strerror(-r));
}

int cmd_image_key(int argc, char **argv)
{
	const char *out = NULL;
	const struct ctl_option table[] = {
		{ .name = "out", .text = &out, .value = "F", .help = "where the private key goes; the public one goes to F.pub", .needed = true },
		{ 0 },
	};
	char secret[IMAGE_KEY_MAX], public[IMAGE_KEY_MAX], path[STORE_PATH_BYTES];
	struct err e = { 0 };
	int r = ctl_options("image key", table, argc, argv);

	if (r != CTL_GO)
		return r;
	r = image_key_make(secret, public, &e);
	if (r == 0)
		r = write_key(out, secret, 0600, &e);
	mbedtls_platform_zeroize(secret, sizeof(secret));
	(void)snprintf(path, sizeof(path), "%s.pub", out);
	if (r == 0)
		r = write_key(path, public, 0644, &e);
	if (r < 0)
		return ctl_refuse("image key", false, &e);
	printf("%s signs images; image_key = %s lets the gateway take no others\n", out, path);
	return CLI_OK;
}

int cmd_image_sign(int argc, char **argv)
{
	const char *images = NULL, *key = NULL, *name = NULL, *version = NULL;
	const struct ctl_option table[] = {
		{ .name = "key", .text = &key, .value = "F", .help = "private key, from image key", .needed = true },
		{ .name = "version", .text = &version, .value = "V", .help = "as image list shows it; the current one unless given" },
		{ .name = "images", .text = &images, .value = "DIR", .help = "folder of images; the gateway's unless given" },
		{ 0 },
	};
	char dir[STORE_PATH_BYTES];
	struct err e = { 0 };
	int r = ctl_operand("image sign", "NAME", table, argc, argv, &name);

	if (r != CTL_GO)
		return r;
	images = store_folder(images, &e);
	r = images ? store_dir(images, name, version, dir, &e) : -EINVAL;
	/* A name under a manifest that does not describe its files would vouch for nothing. */
	if (r == 0)
		r = image_verify(dir, NULL, NULL, &e);
	if (r == 0)
		r = image_sign(dir, key, &e);
	return r == 0 ? CLI_OK : ctl_refuse("image sign", false, &e);
}
