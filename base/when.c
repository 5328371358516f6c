/* SPDX-License-Identifier: Apache-2.0 */
#include "base/when.h"

#include <errno.h>
#include <string.h>
#include <time.h>

int when_parse(const char *text, int64_t *out)
{
	/* glibc's %z takes Z and offsets with or without a colon. */
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%d" };

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm;
		const char *end;
		long offset_s;
		int day;
		time_t t;

		memset(&tm, 0, sizeof(tm));
		end = strptime(text, forms[i], &tm);
		if (!end || *end != '\0' || tm.tm_year < 70 || tm.tm_year > 8000)
			continue;
		offset_s = tm.tm_gmtoff;
		day = tm.tm_mday;
		t = timegm(&tm);
		/* timegm() would turn 31 June into 1 July. */
		if (t == (time_t)-1 || tm.tm_mday != day)
			continue;
		/* 0 stands for "no date" wherever dates are kept: who ends access in 1970 must not get it for ever. */
		if ((int64_t)t - offset_s <= 0)
			return -EINVAL;
		*out = (int64_t)t - offset_s;
		return 0;
	}
	return -EINVAL;
}

const char *when_format(int64_t seconds, char out[WHEN_BYTES])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, WHEN_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		out[0] = '\0';
	return out;
}
