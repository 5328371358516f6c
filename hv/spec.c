/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/spec.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/base64.h>

#include "base/err.h"
#include "base/hex.h"

#define COLS_MAX 1000 /* more than any screen; a terminal of 65535 columns only costs the guest memory */
#define MIB	 (1ULL << 20)

static const char *const net_names[] = { "nat", "isolated", "none" };
_Static_assert(sizeof(net_names) / sizeof(net_names[0]) == VM_NET_COUNT, "one name for each enum vm_net");

static const char *const confidential_names[] = { "none", "snp", "snp-debug" };
_Static_assert(sizeof(confidential_names) / sizeof(confidential_names[0]) == VM_CONFIDENTIAL_COUNT, "one name for each enum vm_confidential");

void spec_defaults(struct vm_spec *s)
{
	*s = (struct vm_spec){ .name = "terrarium", .image = "micro", .cpus = 1, .memory_bytes = 256 * MIB, .net = VM_NET_NAT };
}

int spec_copy(struct vm_spec *out, const struct vm_spec *s)
{
	struct vm_id *id = NULL;

	if (s->id) {
		id = malloc(sizeof(*id));
		if (!id)
			return -ENOMEM;
		*id = *s->id;
	}
	*out = *s;
	out->id = id;
	return 0;
}

void spec_finish(struct vm_spec *s)
{
	free(s->id);
	s->id = NULL;
}

/* RFC 1123 section 2.1, one label, in lower case: safe as host name, folder name and kernel command line word. */
bool spec_label(const char *s, size_t len)
{
	if (len == 0 || len >= VM_NAME_BYTES || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}

static int read_label(const json_t *v, const char *key, char *out, struct err *e)
{
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);

	if (!s || !spec_label(s, len))
		return err_set(e, -EINVAL, "%s must be 1 to %d lower-case letters, digits or inner hyphens", key, VM_NAME_BYTES - 1);
	memset(out, 0, VM_NAME_BYTES);
	memcpy(out, s, len);
	return 0;
}

static int read_number(const json_t *v, const char *key, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || (uint64_t)n < min || (uint64_t)n > max)
		return err_set(e, -EINVAL, "%s must be a whole number from %llu to %llu", key, (unsigned long long)min,
			       (unsigned long long)max);
	*out = (uint64_t)n;
	return 0;
}

static int read_name(struct vm_spec *s, const json_t *v, struct err *e)
{
	return read_label(v, "name", s->name, e);
}

static int read_image(struct vm_spec *s, const json_t *v, struct err *e)
{
	return read_label(v, "image", s->image, e);
}

static int read_cpus(struct vm_spec *s, const json_t *v, struct err *e)
{
	uint64_t n = 0;
	int r = read_number(v, "cpus", 1, VM_CPUS_MAX, &n, e);

	if (r == 0)
		s->cpus = (uint32_t)n;
	return r;
}

static int read_memory(struct vm_spec *s, const json_t *v, struct err *e)
{
	uint64_t n = 0;
	int r = read_number(v, "memory", VM_MEMORY_MIN, VM_MEMORY_MAX, &n, e);

	if (r == 0 && n % MIB != 0)
		return err_set(e, -EINVAL, "memory must be a multiple of 1 MiB (1048576 bytes)");
	if (r == 0)
		s->memory_bytes = n;
	return r;
}

const char *vm_net_name(enum vm_net net)
{
	return net_names[net];
}

int vm_net_parse(const char *text, size_t len, enum vm_net *out)
{
	for (unsigned i = 0; i < VM_NET_COUNT; i++) {
		if (strlen(net_names[i]) == len && memcmp(text, net_names[i], len) == 0) {
			*out = (enum vm_net)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int read_network(struct vm_spec *s, const json_t *v, struct err *e)
{
	const char *text = json_string_value(v);

	if (text && vm_net_parse(text, json_string_length(v), &s->net) == 0)
		return 0;
	return err_set(e, -EINVAL, "network must be \"nat\", \"isolated\" or \"none\"");
}

const char *vm_confidential_name(enum vm_confidential c)
{
	return confidential_names[c];
}

static int read_confidential(struct vm_spec *s, const json_t *v, struct err *e)
{
	const char *text = json_string_value(v);

	for (unsigned i = 0; text && i < VM_CONFIDENTIAL_COUNT; i++) {
		if (json_string_length(v) == strlen(confidential_names[i]) && strcmp(text, confidential_names[i]) == 0) {
			s->confidential = (enum vm_confidential)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "confidential must be \"none\", \"snp\" or \"snp-debug\"");
}

static int read_host_data(struct vm_spec *s, const json_t *v, struct err *e)
{
	const char *text = json_string_value(v);

	if (text && json_string_length(v) == strlen(text) && hex_decode(text, s->host_data, sizeof(s->host_data)) == 0)
		return 0;
	return err_set(e, -EINVAL, "host_data must be %zu hexadecimal digits", 2 * sizeof(s->host_data));
}

static int read_base64(const json_t *v, const char *key, uint8_t *out, size_t len, struct err *e)
{
	const char *text = json_string_value(v);
	size_t n = 0;

	if (text && mbedtls_base64_decode(out, len, &n, (const unsigned char *)text, json_string_length(v)) == 0 && n == len)
		return 0;
	return err_set(e, -EINVAL, "%s must be %zu bytes in base64", key, len);
}

static int need_id(struct vm_spec *s, struct err *e)
{
	if (!s->id)
		s->id = calloc(1, sizeof(*s->id));
	return s->id ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int read_id_block(struct vm_spec *s, const json_t *v, struct err *e)
{
	int r = need_id(s, e);

	return r < 0 ? r : read_base64(v, "id_block", s->id->block, sizeof(s->id->block), e);
}

static int read_id_auth(struct vm_spec *s, const json_t *v, struct err *e)
{
	int r = need_id(s, e);

	return r < 0 ? r : read_base64(v, "id_auth", s->id->auth, sizeof(s->id->auth), e);
}

static int read_driver(struct vm_spec *s, const json_t *v, struct err *e)
{
	static const char *const names[] = { "cloud-hypervisor", "qemu", "local" };
	const char *text = json_string_value(v);

	memset(s->driver, 0, sizeof(s->driver));
	if (text && strcmp(text, "auto") == 0)
		return 0;
	for (size_t i = 0; text && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			memcpy(s->driver, names[i], strlen(names[i]));
			return 0;
		}
	}
	return err_set(e, -EINVAL, "driver must be \"auto\", \"cloud-hypervisor\", \"qemu\" or \"local\"");
}

int spec_disk_bytes(const json_t *v, const char *key, uint64_t *out, struct err *e)
{
	int r = read_number(v, key, VM_DISK_MIN, VM_DISK_MAX, out, e);

	return r == 0 && *out % MIB != 0 ? err_set(e, -EINVAL, "%s must be a multiple of 1 MiB (1048576 bytes)", key) : r;
}

/* 0 is as good as nothing. */
static int read_disk_bytes(const json_t *v, const char *key, uint64_t *out, struct err *e)
{
	if (json_is_integer(v) && json_integer_value(v) == 0) {
		*out = 0;
		return 0;
	}
	return spec_disk_bytes(v, key, out, e);
}

static int read_disk(struct vm_spec *s, const json_t *v, struct err *e)
{
	return read_disk_bytes(v, "disk", &s->overlay_bytes, e);
}

static int read_data(struct vm_spec *s, const json_t *v, struct err *e)
{
	return read_disk_bytes(v, "data", &s->data_bytes, e);
}

static int read_home(struct vm_spec *s, const json_t *v, struct err *e)
{
	s->home_wanted = json_is_true(v);
	memset(s->home, 0, sizeof(s->home));
	if (s->home_wanted)
		memcpy(s->home, "home", sizeof("home"));
	return json_is_boolean(v) || json_is_null(v) ? 0 : read_label(v, "home", s->home, e);
}

static int read_size(const json_t *v, const char *key, uint16_t *out, struct err *e)
{
	uint64_t n = 0;
	int r = read_number(v, key, 0, COLS_MAX, &n, e);

	if (r == 0)
		*out = (uint16_t)n;
	return r;
}

static int read_cols(struct vm_spec *s, const json_t *v, struct err *e)
{
	return read_size(v, "cols", &s->cols, e);
}

static int read_rows(struct vm_spec *s, const json_t *v, struct err *e)
{
	return read_size(v, "rows", &s->rows, e);
}

static const struct member {
	const char *name;
	int (*read)(struct vm_spec *s, const json_t *v, struct err *e);
} members[] = {
	{ "name", read_name },	     { "image", read_image }, { "cpus", read_cpus }, { "memory", read_memory },
	{ "network", read_network }, { "cols", read_cols },   { "rows", read_rows },
	{ "confidential", read_confidential }, { "host_data", read_host_data }, { "id_block", read_id_block }, { "id_auth", read_id_auth },
	{ "driver", read_driver }, { "disk", read_disk }, { "home", read_home }, { "data", read_data },
};

static const struct member *find_member(const char *name)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (strcmp(members[i].name, name) == 0)
			return &members[i];
	}
	return NULL;
}

static int read_members(struct vm_spec *s, const json_t *json, struct err *e)
{
	json_t *object = (json_t *)(uintptr_t)json; /* jansson's iterators take no const */

	if (!json_is_object(json))
		return err_set(e, -EINVAL, "the description of a machine must be a JSON object");
	for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
		const char *key = json_object_iter_key(it);
		const struct member *m = find_member(key);
		int r;

		if (!m)
			return err_set(e, -EINVAL, "unknown member \"%.64s\" in the description of a machine", key);
		r = m->read(s, json_object_iter_value(it), e);
		if (r < 0)
			return r;
	}
	if (s->id && (!json_object_get(json, "id_block") || !json_object_get(json, "id_auth")))
		return err_set(e, -EINVAL, "id_block and id_auth belong together");
	if (s->id && s->confidential == VM_CONFIDENTIAL_NONE)
		return err_set(e, -EINVAL, "id_block and id_auth are for confidential machines");
	if (s->confidential != VM_CONFIDENTIAL_NONE && (s->overlay_bytes || s->data_bytes || s->home[0]))
		return err_set(e, -EINVAL, "%s is not for a confidential machine: what it wrote there could be read on the server",
			       s->home[0] ? "home" : s->overlay_bytes ? "disk" : "data");
	return 0;
}

int spec_parse(struct vm_spec *s, const json_t *json, struct err *e)
{
	struct vm_spec next;
	int r = spec_copy(&next, s);

	if (r < 0)
		return err_set(e, r, "out of memory");
	r = read_members(&next, json, e);
	if (r == 0) {
		spec_finish(s);
		*s = next;
	} else {
		spec_finish(&next);
	}
	return r;
}

static json_t *base64_json(const uint8_t *data, size_t len)
{
	char text[4 * ((VM_ID_AUTH_BYTES + 2) / 3) + 1];
	size_t n;

	return mbedtls_base64_encode((unsigned char *)text, sizeof(text), &n, data, len) == 0 ? json_stringn(text, n) : NULL;
}

/* Members that plain machines do not have. */
static json_t *confidential_json(const struct vm_spec *s, json_t *json)
{
	char hex[2 * sizeof(s->host_data) + 1];
	int r;

	hex_encode(s->host_data, sizeof(s->host_data), hex);
	r = json_object_set_new(json, "confidential", json_string(confidential_names[s->confidential]));
	if (r == 0)
		r = json_object_set_new(json, "host_data", json_string(hex));
	if (r == 0 && s->id)
		r = json_object_set_new(json, "id_block", base64_json(s->id->block, sizeof(s->id->block)));
	if (r == 0 && s->id)
		r = json_object_set_new(json, "id_auth", base64_json(s->id->auth, sizeof(s->id->auth)));
	if (r == 0)
		return json;
	json_decref(json);
	return NULL;
}

int size_parse(struct vm_size *s, const json_t *json, struct err *e)
{
	struct vm_spec spec = { .cpus = s->cpus, .memory_bytes = s->memory_bytes };
	json_t *cpus = json_object_get(json, "cpus"), *memory = json_object_get(json, "memory");
	size_t known = (cpus != NULL) + (size_t)(memory != NULL);
	int r = 0;

	if (!json_is_object(json) || known == 0 || json_object_size(json) != known)
		return err_set(e, -EINVAL, "what may be changed is cpus and memory, and nothing else");
	if (cpus)
		r = read_cpus(&spec, cpus, e);
	if (r == 0 && memory)
		r = read_memory(&spec, memory, e);
	if (r == 0)
		*s = (struct vm_size){ .cpus = spec.cpus, .memory_bytes = spec.memory_bytes };
	return r;
}

/* Members that machines without disks do not have. Return: @json or NULL */
static json_t *disks_json(const struct vm_spec *s, json_t *json)
{
	int r = 0;

	if (s->overlay_bytes)
		r = json_object_set_new(json, "disk", json_integer((json_int_t)s->overlay_bytes));
	if (r == 0 && s->data_bytes)
		r = json_object_set_new(json, "data", json_integer((json_int_t)s->data_bytes));
	if (r == 0 && s->home[0])
		r = json_object_set_new(json, "home", json_string(s->home));
	if (r == 0)
		return json;
	json_decref(json);
	return NULL;
}

json_t *spec_json(const struct vm_spec *s)
{
	json_t *json = json_pack("{s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:s}", "name", s->name, "image", s->image, "cpus", (json_int_t)s->cpus,
			 "memory", (json_int_t)s->memory_bytes, "network", net_names[s->net], "cols", (json_int_t)s->cols, "rows",
			 (json_int_t)s->rows, "driver", s->driver[0] ? s->driver : "auto");

	json = json ? disks_json(s, json) : NULL;
	return json && s->confidential != VM_CONFIDENTIAL_NONE ? confidential_json(s, json) : json;
}
