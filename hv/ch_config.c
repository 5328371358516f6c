/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/ch_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "netsetup/proto.h"

/* Nothing of this kind was ever asked for: it would be a file, a socket or a device of the host's. */
static const char *const never[] = {
	"devices", "fs", "generic_vhost_user", "ivshmem", "numa", "pmem", "rate_limit_groups", "tpm", "user_devices", "vdpa",
};

static int wrong(struct err *e, const char *what)
{
	return err_set(e, -EPROTO, "the snapshot's config.json is not of this machine: %s", what);
}

static bool is_none(const json_t *v)
{
	return !v || json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0) || (json_is_object(v) && json_object_size(v) == 0);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static bool is_id(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return n > 0 && n <= CH_ID_BYTES && s[n] == '\0';
}

static int read_size(struct ch_config *c, struct err *e)
{
	const json_t *memory = json_object_get(c->root, "memory");
	json_int_t cpus = json_integer_value(json_object_get(json_object_get(c->root, "cpus"), "boot_vcpus"));
	json_int_t bytes = json_integer_value(json_object_get(memory, "size"));

	if (cpus < 1 || cpus > VM_CPUS_MAX || bytes < 1 || (uint64_t)bytes > VM_MEMORY_MAX)
		return wrong(e, "its processors or its memory");
	if (!is_none(json_object_get(memory, "zones")) || json_integer_value(json_object_get(memory, "hotplugged_size")) != 0)
		return wrong(e, "its memory is not one piece");
	c->cpus = (uint32_t)cpus;
	c->memory_bytes = (uint64_t)bytes;
	return 0;
}

static int read_lines(const struct ch_config *c, struct err *e)
{
	const json_t *vsock = json_object_get(c->root, "vsock"), *payload = json_object_get(c->root, "payload");

	if (strcmp(text_of(json_object_get(c->root, "console"), "mode"), "Tty") != 0 || strcmp(text_of(json_object_get(c->root, "serial"), "mode"), "File") != 0)
		return wrong(e, "its consoles");
	if (json_integer_value(json_object_get(vsock, "cid")) != 3)
		return wrong(e, "its vsock");
	if (!json_is_object(payload) || !is_none(json_object_get(payload, "firmware")) || !is_none(json_object_get(payload, "igvm")))
		return wrong(e, "what it boots");
	return 0;
}

/* One card at most, which came as a descriptor. */
static int read_net(struct ch_config *c, struct err *e)
{
	const json_t *list = json_object_get(c->root, "net"), *card = json_array_get(list, 0);
	const char *id = text_of(card, "id");

	if (is_none(list))
		return 0;
	if (json_array_size(list) != 1 || !json_is_object(card) || !is_id(id) || !is_none(json_object_get(card, "tap")) ||
	    !is_none(json_object_get(card, "vhost_socket")) || json_array_size(json_object_get(card, "fds")) != 1)
		return wrong(e, "its network");
	(void)snprintf(c->net_id, sizeof(c->net_id), "%s", id);
	return 0;
}

static int read_disks(struct ch_config *c, struct err *e)
{
	const json_t *list = json_object_get(c->root, "disks"), *disk;
	size_t i;

	if (!is_none(list) && (!json_is_array(list) || json_array_size(list) > HV_DISKS_MAX))
		return wrong(e, "its disks");
	json_array_foreach(list, i, disk) {
		if (!is_id(text_of(disk, "serial")) || !is_none(json_object_get(disk, "vhost_socket")) || json_is_true(json_object_get(disk, "vhost_user")) ||
		    json_is_true(json_object_get(disk, "backing_files")) || strcmp(text_of(disk, "image_type"), "Raw") != 0)
			return wrong(e, "a disk");
	}
	c->ndisks = json_array_size(list);
	return 0;
}

int ch_config_read(struct ch_config *out, const char *text, size_t len, struct err *e)
{
	int r = 0;

	memset(out, 0, sizeof(*out));
	if (len > 0 && len <= CH_CONFIG_MAX)
		out->root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(out->root))
		r = wrong(e, "it is no JSON object");
	for (size_t i = 0; r == 0 && i < sizeof(never) / sizeof(never[0]); i++) {
		if (!is_none(json_object_get(out->root, never[i])))
			r = wrong(e, never[i]);
	}
	if (r == 0)
		r = read_size(out, e);
	if (r == 0)
		r = read_lines(out, e);
	if (r == 0)
		r = read_net(out, e);
	if (r == 0)
		r = read_disks(out, e);
	if (r < 0)
		ch_config_finish(out);
	return r;
}

void ch_config_finish(struct ch_config *c)
{
	json_decref(c->root);
	memset(c, 0, sizeof(*c));
}

/* --- a clone's ----------------------------------------------------------------------------------------------------------- */

static int set_text(json_t *object, const char *key, const char *value)
{
	return json_object_set_new(object, key, json_string(value));
}

static int set_number(json_t *object, const char *key, int number, const char *below)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d%s", number, below);
	return set_text(object, key, path);
}

static const json_t *find_disk(const json_t *list, const char *serial)
{
	const json_t *disk;
	size_t i;

	json_array_foreach(list, i, disk) {
		if (strcmp(text_of(disk, "serial"), serial) == 0)
			return disk;
	}
	return NULL;
}

static bool set_disks(json_t *root, const struct ch_config_own *own)
{
	const json_t *list = json_object_get(root, "disks");

	for (size_t i = 0; i < own->ndisks; i++) {
		const json_t *disk = find_disk(list, own->disks[i].serial);

		if (!disk || json_is_true(json_object_get(disk, "readonly")) != own->disks[i].readonly ||
		    set_number((json_t *)(uintptr_t)disk, "path", own->first_disk + (int)i, "") < 0)
			return false;
	}
	return true;
}

static bool set_net(json_t *root, const uint8_t *m)
{
	char mac[18];

	if (!m)
		return true;
	(void)snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return set_text(json_array_get(json_object_get(root, "net"), 0), "mac", mac) == 0;
}

static int add_rule(json_t *rules, int number)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	return json_array_append_new(rules, json_pack("{s:s, s:s}", "path", path, "access", "rw"));
}

/* As on the command line of one that boots (ch.c). */
static bool set_landlock(json_t *root, const struct ch_config_own *own)
{
	json_t *rules = own->landlock ? json_array() : json_null();
	int r = 0;

	if (own->landlock)
		r = add_rule(rules, own->dir);
	if (own->landlock && r == 0 && own->plug > 0)
		r = add_rule(rules, own->plug);
	r |= json_object_set_new(root, "landlock_enable", json_boolean(own->landlock));
	return (json_object_set_new(root, "landlock_rules", rules) | r) == 0;
}

static bool set_all(json_t *root, const struct ch_config_own *own)
{
	json_t *payload = json_object_get(root, "payload");

	return set_text(payload, "kernel", own->kernel) == 0 && set_text(payload, "initramfs", own->initrd) == 0 && set_text(payload, "cmdline", own->cmdline) == 0 &&
	       set_number(json_object_get(root, "serial"), "file", own->fifo, "") == 0 &&
	       set_number(json_object_get(root, "vsock"), "socket", own->dir, "/" NETD_SOCKET_NAME) == 0 && set_net(root, own->mac) && set_disks(root, own) &&
	       set_landlock(root, own);
}

char *ch_config_write(const struct ch_config *c, const struct ch_config_own *own, struct err *e)
{
	char *text = NULL;
	json_t *root;

	if (c->cpus != own->cpus || c->memory_bytes != own->memory_bytes || (own->mac != NULL) != (c->net_id[0] != '\0') || c->ndisks != own->ndisks) {
		(void)wrong(e, "it has other processors, memory, disks or another network");
		return NULL;
	}
	root = json_deep_copy(c->root);
	if (root && set_all(root, own))
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!text || strlen(text) > CH_CONFIG_MAX) {
		free(text);
		(void)wrong(e, "a clone's cannot be made of it");
		return NULL;
	}
	return text;
}
