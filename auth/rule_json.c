/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/rulebook.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/when.h"

/* Rules as REST, the command line and the page speak of them. */

/* The order is that of enum vm_net in hv/spec.h, which this layer does not include. */
static const char *const network_names[] = { "nat", "isolated", "none" };
#define NETWORK_COUNT (sizeof(network_names) / sizeof(network_names[0]))

static json_t *when_json(int64_t seconds)
{
	char text[WHEN_BYTES];

	return seconds ? json_string(when_format(seconds, text)) : json_null();
}

static json_t *networks_json(uint32_t bits)
{
	json_t *list = json_array();

	for (size_t i = 0; i < NETWORK_COUNT; i++)
		if (bits & 1U << i)
			(void)json_array_append_new(list, json_string(network_names[i]));
	return list;
}

static json_t *quota_json(const struct quota *q)
{
	return json_pack("{s:i, s:i, s:o, s:I, s:I, s:I, s:s}", "machines", (int)q->machines, "cpus", (int)q->cpus, "networks",
			 networks_json(q->networks), "memory", (json_int_t)q->memory_bytes, "disk", (json_int_t)q->disk_bytes, "lifetime_s",
			 (json_int_t)q->lifetime_s, "images", q->images);
}

json_t *rule_json(const struct rule *r)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:s, s:s, s:o, s:I}", "pattern", r->pattern, "effect", rule_effect_name(r->effect),
			 "role", role_name(r->role), "quota", quota_json(&r->quota), "not_before", when_json(r->not_before_s), "expires_at",
			 when_json(r->expires_s), "note", r->note, "source", r->source, "created_by", r->created_by, "created_at",
			 when_json(r->created_s), "version", (json_int_t)r->version);
}

static int want_text(const json_t *v, const char *name, char *out, size_t size, struct err *e)
{
	if (!json_is_string(v))
		return err_set(e, -EINVAL, "%s must be a text", name);
	if (json_string_length(v) >= size)
		return err_set(e, -EINVAL, "%s is longer than %zu bytes", name, size - 1);
	for (const char *p = json_string_value(v); p < json_string_value(v) + json_string_length(v); p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(e, -EINVAL, "%s has a control character", name);
	memcpy(out, json_string_value(v), json_string_length(v) + 1);
	return 0;
}

static int want_when(const json_t *v, const char *name, int64_t *out, struct err *e)
{
	*out = 0;
	if (json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0))
		return 0;
	if (!json_is_string(v) || when_parse(json_string_value(v), out) < 0)
		return err_set(e, -EINVAL, "%s must be a date such as 2027-01-31 or 2027-01-31T18:00:00Z, or null", name);
	return 0;
}

static int want_number(const json_t *v, const char *name, uint64_t max, uint64_t *out, struct err *e)
{
	if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
		return err_set(e, -EINVAL, "%s must be a whole number from 0 (the default) to %llu", name, (unsigned long long)max);
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

static int want_networks(const json_t *v, uint32_t *out, struct err *e)
{
	const json_t *item;
	size_t i;

	*out = 0;
	if (!json_is_array(v))
		return err_set(e, -EINVAL, "quota.networks must be a list of nat, isolated, none");
	json_array_foreach(v, i, item) {
		uint32_t before = *out;

		for (size_t n = 0; json_is_string(item) && n < NETWORK_COUNT; n++)
			if (strcmp(json_string_value(item), network_names[n]) == 0)
				*out |= 1U << n;
		if (*out == before)
			return err_set(e, -EINVAL, "quota.networks must be a list of nat, isolated, none");
	}
	return 0;
}

static int quota_member(struct quota *q, const char *name, const json_t *v, struct err *e)
{
	uint64_t n = 0;
	int r = 0;

	if (strcmp(name, "machines") == 0 && (r = want_number(v, "quota.machines", 1000, &n, e)) == 0)
		q->machines = (uint32_t)n;
	else if (strcmp(name, "cpus") == 0 && (r = want_number(v, "quota.cpus", 4096, &n, e)) == 0)
		q->cpus = (uint32_t)n;
	else if (strcmp(name, "memory") == 0)
		r = want_number(v, "quota.memory", 1ULL << 50, &q->memory_bytes, e);
	else if (strcmp(name, "disk") == 0)
		r = want_number(v, "quota.disk", 1ULL << 50, &q->disk_bytes, e);
	else if (strcmp(name, "lifetime_s") == 0)
		r = want_number(v, "quota.lifetime_s", 10ULL * 366 * 86400, &q->lifetime_s, e);
	else if (strcmp(name, "images") == 0)
		r = want_text(v, "quota.images", q->images, sizeof(q->images), e);
	else if (strcmp(name, "networks") == 0)
		r = want_networks(v, &q->networks, e);
	else if (r == 0 && strcmp(name, "machines") != 0 && strcmp(name, "cpus") != 0)
		r = err_set(e, -EINVAL, "unknown member quota.%.64s", name);
	return r;
}

static int want_quota(struct quota *q, const json_t *v, struct err *e)
{
	const char *name;
	json_t *member;

	if (!json_is_object(v))
		return err_set(e, -EINVAL, "quota must be an object");
	json_object_foreach((json_t *)(uintptr_t)v, name, member) {
		int r = quota_member(q, name, member, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int want_word(const json_t *v, const char *name, struct rule *r, struct err *e)
{
	const char *text = json_string_value(v);

	if (strcmp(name, "effect") == 0)
		return text && rule_effect_parse(text, &r->effect) == 0 ? 0 : err_set(e, -EINVAL, "effect must be allow or deny");
	return text && role_parse(text, &r->role) == 0 ? 0 : err_set(e, -EINVAL, "role must be user, auditor, operator or admin");
}

static int rule_member(struct rule *r, const char *name, const json_t *v, struct err *e)
{
	if (strcmp(name, "pattern") == 0)
		return json_is_string(v) ? rule_pattern(json_string_value(v), json_string_length(v), r->pattern, e) :
					   err_set(e, -EINVAL, "pattern must be a text");
	if (strcmp(name, "effect") == 0 || strcmp(name, "role") == 0)
		return want_word(v, name, r, e);
	if (strcmp(name, "not_before") == 0)
		return want_when(v, name, &r->not_before_s, e);
	if (strcmp(name, "expires_at") == 0)
		return want_when(v, name, &r->expires_s, e);
	if (strcmp(name, "note") == 0)
		return want_text(v, name, r->note, sizeof(r->note), e);
	if (strcmp(name, "quota") == 0)
		return want_quota(&r->quota, v, e);
	return err_set(e, -EINVAL, "unknown member %.64s", name);
}

int rule_from_json(struct rule *r, const json_t *json, struct err *e)
{
	const char *name;
	json_t *v;

	memset(r, 0, sizeof(*r));
	if (!json_is_object(json))
		return err_set(e, -EINVAL, "a rule must be an object");
	json_object_foreach((json_t *)(uintptr_t)json, name, v) {
		/* What rule_json() adds may come back unchanged from an editor; it is not the editor's to say. */
		static const char *const ours[] = { "source", "created_by", "created_at", "version" };
		bool skip = false;
		int bad;

		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			skip = skip || strcmp(name, ours[i]) == 0;
		bad = skip ? 0 : rule_member(r, name, v, e);
		if (bad < 0)
			return bad;
	}
	if (r->pattern[0] == '\0')
		return err_set(e, -EINVAL, "pattern is missing");
	if (r->expires_s && r->not_before_s && r->expires_s <= r->not_before_s)
		return err_set(e, -EINVAL, "expires_at must be later than not_before");
	return 0;
}
