/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host on paper: a JSON object with a member for each question, such as
 *
 *	"cpuid 0x8000001f": "0x0101fd3f 0x00004173 0x000003ee 0x00000008"	numbers of 32 or 64 bits
 *	"sev 1": "0137010001000015…"						bytes
 *	"file /proc/sys/kernel/osrelease": "6.12.95+deb12-amd64\n"		text
 *	"open /dev/kvm": 13							what could not be had, as its errno
 *
 * Whoever sends such a file may write into it what he likes: it says only what is claimed of a host.
 */
#include "hv/host/host.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hex.h"
#include "hv/snp/bytes.h"

enum form { FORM_U32, FORM_U64, FORM_BYTES, FORM_TEXT, FORM_NOTHING };

static const struct kind {
	const char *word;
	bool by_name, by_number;
	enum form form;
} kinds[] = {
	[HOST_CPUID] = { "cpuid", false, true, FORM_U32 },     [HOST_MSR] = { "msr", false, true, FORM_U64 },
	[HOST_KVM] = { "kvm", false, true, FORM_U64 },	       [HOST_LIMIT] = { "memlock", false, false, FORM_U64 },
	[HOST_SEV] = { "sev", false, true, FORM_BYTES },       [HOST_FILE] = { "file", true, false, FORM_TEXT },
	[HOST_EXISTS] = { "exists", true, false, FORM_NOTHING }, [HOST_OPEN] = { "open", true, false, FORM_NOTHING },
	[HOST_PROGRAM] = { "program", true, false, FORM_TEXT }, [HOST_OBJECTS] = { "objects", false, false, FORM_TEXT },
	[HOST_FIRMWARE] = { "firmware", true, false, FORM_TEXT }, [HOST_GUESTS] = { "guests", false, false, FORM_TEXT },
};
static_assert(sizeof(kinds) / sizeof(kinds[0]) == HOST_WHAT_COUNT, "every question has its form");

static void member_name(enum host_what what, const char *name, uint32_t number, char out[HOST_NAME_MAX + 16])
{
	const struct kind *k = &kinds[what];

	if (k->by_name)
		(void)snprintf(out, HOST_NAME_MAX + 16, "%s %.*s", k->word, HOST_NAME_MAX, name);
	else if (k->by_number)
		(void)snprintf(out, HOST_NAME_MAX + 16, what == HOST_CPUID || what == HOST_MSR ? "%s 0x%x" : "%s %u", k->word, number);
	else
		(void)snprintf(out, HOST_NAME_MAX + 16, "%s", k->word);
}

static int read_words(const char *text, size_t bytes, uint8_t *out, size_t size)
{
	size_t len = 0;

	for (const char *p = text; *p;) {
		char *end;
		unsigned long long v;

		if (strncmp(p, "0x", 2) != 0 || len + bytes > size)
			return -EBADMSG;
		errno = 0;
		v = strtoull(p + 2, &end, 16);
		if (errno || end == p + 2 || (*end && *end != ' ') || (bytes == 4 && v > UINT32_MAX))
			return -EBADMSG;
		if (bytes == 4)
			put32(out + len, (uint32_t)v);
		else
			put64(out + len, v);
		len += bytes;
		p = end + (*end == ' ');
	}
	return (int)len;
}

static int read_answer(enum form form, const char *text, size_t len, uint8_t *out, size_t size)
{
	if (form == FORM_NOTHING)
		return 0;
	if (form == FORM_U32 || form == FORM_U64)
		return read_words(text, form == FORM_U32 ? 4 : 8, out, size);
	if (form == FORM_BYTES)
		return len / 2 > size || hex_decode(text, out, len / 2) < 0 ? -EBADMSG : (int)(len / 2);
	len = len < size ? len : size;
	memcpy(out, text, len);
	return (int)len;
}

static int ask_record(void *arg, enum host_what what, const char *name, uint32_t number, void *out, size_t size)
{
	char member[HOST_NAME_MAX + 16];
	const json_t *v;
	json_int_t why;

	member_name(what, name, number, member);
	v = json_object_get(arg, member);
	why = json_integer_value(v);
	if (!v)
		return -ENOENT;
	if (json_is_integer(v))
		return why > 0 && why < 4096 ? (int)-why : -EBADMSG;
	if (kinds[what].form == FORM_NOTHING)
		return json_is_true(v) ? 0 : -EBADMSG;
	return json_is_string(v) ? read_answer(kinds[what].form, json_string_value(v), json_string_length(v), out, size) : -EBADMSG;
}

struct host_probe host_record_probe(json_t *record)
{
	return (struct host_probe){ .ask = ask_record, .arg = record };
}

static json_t *write_words(const uint8_t *data, size_t len, size_t bytes)
{
	struct buf b = BUF_INIT(1024);
	json_t *v;

	for (size_t i = 0; i + bytes <= len; i += bytes) {
		if (bytes == 4)
			(void)buf_printf(&b, "%s0x%08x", i ? " " : "", le32(data + i));
		else
			(void)buf_printf(&b, "%s0x%llx", i ? " " : "", (unsigned long long)le64(data + i));
	}
	v = json_stringn(b.data ? b.data : "", b.len);
	buf_finish(&b);
	return v;
}

static json_t *write_answer(enum form form, const uint8_t *data, size_t len)
{
	char hex[2 * 64 + 1];

	if (form == FORM_NOTHING)
		return json_true();
	if (form == FORM_U32 || form == FORM_U64)
		return write_words(data, len, form == FORM_U32 ? 4 : 8);
	if (form == FORM_TEXT)
		return json_stringn((const char *)data, len);
	if (len > 64)
		return NULL;
	hex_encode(data, len, hex);
	return json_string(hex);
}

static int ask_and_record(void *arg, enum host_what what, const char *name, uint32_t number, void *out, size_t size)
{
	const struct host_recorder *r = arg;
	char member[HOST_NAME_MAX + 16];
	int n = r->from.ask(r->from.arg, what, name, number, out, size);

	member_name(what, name, number, member);
	/* NULL, as for text that is no UTF-8, leaves the member out: it then counts as not there. */
	(void)json_object_set_new(r->record, member, n < 0 ? json_integer(-n) : write_answer(kinds[what].form, out, (size_t)n));
	return n;
}

struct host_probe host_recorder_probe(struct host_recorder *recorder)
{
	return (struct host_probe){ .ask = ask_and_record, .arg = recorder };
}
