/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/hex.h"
#include "hv/snp/policy.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* How an option's value is read; each reader gets the field at @offset. */
struct option;
typedef int read_fn(const struct option *o, const json_t *value, struct snp_policy *policy);

static read_fn read_switch, read_u32, read_bits, read_list, read_abi, read_version, read_tcb, read_vmpl, read_chip, read_product;

static const struct option {
	const char *name;
	read_fn *read;
	size_t offset;	 /* of the field, where there is one */
	uint32_t demand; /* for switches: set when the value is @trigger */
	bool trigger;
	size_t bytes; /* of a value in a list */
} options[] = {
	{ "allow_debug", read_switch, 0, SNP_NO_DEBUG, false, 0 },
	{ "allow_migrate_ma", read_switch, 0, SNP_NO_MIGRATE_MA, false, 0 },
	{ "allow_smt", read_switch, 0, SNP_NO_SMT, false, 0 },
	{ "allow_cxl", read_switch, 0, SNP_NO_CXL, false, 0 },
	{ "require_single_socket", read_switch, 0, SNP_SINGLE_SOCKET, true, 0 },
	{ "require_mem_aes_256_xts", read_switch, 0, SNP_MEM_AES_256_XTS, true, 0 },
	{ "require_ciphertext_hiding", read_switch, 0, SNP_CIPHERTEXT_HIDING, true, 0 },
	{ "allow_tsme", read_switch, 0, SNP_NO_TSME, false, 0 },
	{ "require_alias_check", read_switch, 0, SNP_ALIAS_CHECK, true, 0 },
	{ "allow_tio", read_switch, 0, SNP_NO_TIO, false, 0 },
	{ "permit_provisional", read_switch, 0, SNP_NO_PROVISIONAL, false, 0 },
	{ "require_id_block", read_switch, 0, SNP_ID_BLOCK, true, 0 },
	{ "require_author_key", read_switch, 0, SNP_AUTHOR_KEY, true, 0 },
	{ "require_chip_id", read_chip, offsetof(struct snp_policy, chip_ids), SNP_CHIP_ID, true, 64 },
	{ "vmpl", read_vmpl, offsetof(struct snp_policy, vmpl), SNP_AT_VMPL, true, 0 },
	{ "min_guest_svn", read_u32, offsetof(struct snp_policy, min_guest_svn), 0, false, 0 },
	{ "min_policy_abi", read_abi, offsetof(struct snp_policy, min_abi), 0, false, 0 },
	{ "min_firmware", read_version, offsetof(struct snp_policy, min_firmware), 0, false, 0 },
	{ "min_product", read_product, offsetof(struct snp_policy, min_product), 0, false, 0 },
	{ "min_tcb", read_tcb, offsetof(struct snp_policy, min_tcb), 0, false, 0 },
	{ "min_launch_tcb", read_tcb, offsetof(struct snp_policy, min_launch_tcb), 0, false, 0 },
	{ "min_launch_mit", read_bits, offsetof(struct snp_policy, min_launch_mit), 0, false, 0 },
	{ "min_current_mit", read_bits, offsetof(struct snp_policy, min_current_mit), 0, false, 0 },
	{ "measurement", read_list, offsetof(struct snp_policy, measurement), 0, false, 48 },
	{ "report_data", read_list, offsetof(struct snp_policy, report_data), 0, false, 64 },
	{ "host_data", read_list, offsetof(struct snp_policy, host_data), 0, false, 32 },
	{ "family_id", read_list, offsetof(struct snp_policy, family_id), 0, false, 16 },
	{ "image_id", read_list, offsetof(struct snp_policy, image_id), 0, false, 16 },
	{ "trusted_id_key_digests", read_list, offsetof(struct snp_policy, id_keys), 0, false, 48 },
	{ "trusted_author_key_digests", read_list, offsetof(struct snp_policy, author_keys), 0, false, 48 },
};

static void *field(const struct option *o, struct snp_policy *policy)
{
	return (char *)policy + o->offset;
}

static int read_switch(const struct option *o, const json_t *value, struct snp_policy *policy)
{
	if (!json_is_boolean(value))
		return -EINVAL;
	if (json_is_true(value) == o->trigger)
		policy->demands |= o->demand;
	return 0;
}

/* A number, or a string with a hexadecimal one: JSON cannot write all 64-bit numbers. */
static int number(const json_t *value, uint64_t max, uint64_t *out)
{
	const char *text = json_string_value(value);

	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*out = (uint64_t)json_integer_value(value);
	} else if (text && strncmp(text, "0x", 2) == 0 && strlen(text) > 2 && strlen(text) <= 18 &&
		   strspn(text + 2, "0123456789abcdefABCDEF") == strlen(text + 2)) {
		*out = strtoull(text + 2, NULL, 16);
	} else {
		return -EINVAL;
	}
	return *out <= max ? 0 : -EINVAL;
}

static int read_u32(const struct option *o, const json_t *value, struct snp_policy *policy)
{
	uint64_t n;

	if (number(value, UINT32_MAX, &n) < 0)
		return -EINVAL;
	*(uint32_t *)field(o, policy) = (uint32_t)n;
	return 0;
}

static int read_vmpl(const struct option *o, const json_t *value, struct snp_policy *policy)
{
	uint64_t n;

	if (number(value, 3, &n) < 0)
		return -EINVAL;
	policy->demands |= o->demand;
	policy->vmpl = (uint32_t)n;
	return 0;
}

static int read_bits(const struct option *o, const json_t *value, struct snp_policy *policy)
{
	return number(value, UINT64_MAX, field(o, policy));
}

static int add_value(const struct option *o, const json_t *value, struct snp_allowed *list)
{
	const char *text = json_string_value(value);

	if (!text || list->count == SNP_ALLOWED_MAX || hex_decode(text, list->value[list->count], o->bytes) < 0)
		return -EINVAL;
	list->count++;
	return 0;
}

/* One value in hexadecimal, or a list of them that is not empty. */
static int read_list(const struct option *o, const json_t *value, struct snp_policy *policy)
{
	struct snp_allowed *list = field(o, policy);
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return add_value(o, value, list);
	if (json_array_size(value) == 0)
		return -EINVAL;
	json_array_foreach(value, i, item) {
		if (add_value(o, item, list) < 0)
			return -EINVAL;
	}
	return 0;
}

/* true: any chip, as long as it is named; else the chips that are meant. */
static int read_chip(const struct option *o, const json_t *value, struct snp_policy *policy)
{
	return json_is_boolean(value) ? read_switch(o, value, policy) : read_list(o, value, policy);
}

/* Up to three numbers of one byte with dots between them; at least @least. */
static int dotted(const json_t *value, size_t least, size_t most, uint8_t out[3])
{
	const char *text = json_string_value(value);
	size_t n = 0;

	if (!text)
		return -EINVAL;
	while (n < most) {
		size_t digits = strspn(text, "0123456789");
		long part = digits > 0 && digits <= 3 ? strtol(text, NULL, 10) : 256;

		if (part > 255)
			return -EINVAL;
		out[n++] = (uint8_t)part;
		text += digits;
		if (*text == '\0')
			return n >= least ? 0 : -EINVAL;
		if (*text++ != '.')
			return -EINVAL;
	}
	return -EINVAL;
}

static int read_abi(const struct option *o, const json_t *value, struct snp_policy *policy)
{
	uint8_t part[3] = { 0 };

	if (dotted(value, 2, 2, part) < 0)
		return -EINVAL;
	*(uint16_t *)field(o, policy) = (uint16_t)(part[0] << 8 | part[1]);
	return 0;
}

static int read_version(const struct option *o, const json_t *value, struct snp_policy *policy)
{
	uint8_t part[3] = { 0 };

	if (dotted(value, 2, 3, part) < 0)
		return -EINVAL;
	*(struct snp_version *)field(o, policy) = (struct snp_version){ .major = part[0], .minor = part[1], .build = part[2] };
	return 0;
}

static int read_product(const struct option *o, const json_t *value, struct snp_policy *policy)
{
	const char *name = json_string_value(value);
	enum snp_product product = name ? snp_product_parse(name) : SNP_PRODUCT_UNKNOWN;

	*(enum snp_product *)field(o, policy) = product;
	return product == SNP_PRODUCT_UNKNOWN ? -EINVAL : 0;
}

static int read_tcb(const struct option *o, const json_t *value, struct snp_policy *policy)
{
	struct snp_tcb *tcb = field(o, policy);
	size_t known = 0;

	if (!json_is_object(value))
		return -EINVAL;
	for (size_t i = 0; i < SNP_TCB_PARTS; i++) {
		const json_t *part = json_object_get(value, snp_tcb_part_name((enum snp_tcb_part)i));
		uint64_t n;

		if (!part)
			continue;
		if (number(part, 255, &n) < 0)
			return -EINVAL;
		tcb->part[i] = (uint8_t)n;
		known++;
	}
	return known == json_object_size(value) ? 0 : -EINVAL;
}

static int read_option(const char *name, const json_t *value, struct snp_policy *policy, struct err *e)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strcmp(name, options[i].name) != 0)
			continue;
		if (options[i].read(&options[i], value, policy) < 0)
			return err_set(e, -EINVAL, "policy: the value of %s cannot be used", name);
		return 0;
	}
	return err_set(e, -EINVAL, "policy: there is no option %.48s", name);
}

int snp_policy_parse(const char *json, size_t len, struct snp_policy *policy, struct err *e)
{
	json_error_t error;
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &error), *value;
	const char *name;
	int r = 0;

	*policy = (struct snp_policy){ 0 };
	if (!json_is_object(root)) {
		json_decref(root);
		return err_set(e, -EINVAL, "policy: not a JSON object%s%.100s", root ? "" : ": ", root ? "" : error.text);
	}
	json_object_foreach(root, name, value) {
		r = read_option(name, value, policy, e);
		if (r < 0)
			break;
	}
	json_decref(root);
	return r;
}
