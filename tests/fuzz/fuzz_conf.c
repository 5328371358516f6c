/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/err.h"

struct settings {
	char text[32];
	int64_t number;
	bool flag;
	uint64_t size, time;
};

static const struct conf_key keys[] = {
	CONF_KEY(settings, text, CONF_STR, 0, 0, "preset", "text"),
	CONF_KEY(settings, number, CONF_INT, -100, 100, "1", "number"),
	CONF_KEY(settings, flag, CONF_BOOL, 0, 0, "no", "flag"),
	CONF_KEY(settings, size, CONF_BYTES, 0, 1 << 30, "1M", "size"),
	CONF_KEY(settings, time, CONF_MS, 0, 86400000, "1s", "time"),
	{ 0 },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the text: settings stay in range, and a refusal names its line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const others[] = { "other", NULL };
	static const struct conf_program p = { .name = "fuzz", .purpose = "", .section = "main", .other_sections = others, .keys = keys };
	struct settings s;
	struct err e = { 0 };

	if (conf_presets(keys, &s, &e) < 0)
		abort();
	if (conf_text(&p, &s, "input", (const char *)data, size, &e) < 0 && !strstr(e.msg, "line"))
		abort();
	if (s.number < -100 || s.number > 100 || s.size > 1 << 30 || s.time > 86400000 || !memchr(s.text, 0, sizeof(s.text)))
		abort();
	return 0;
}
