/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/rfc3339.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

/* @digits decimal digits as a number in *@out; moves *@p. */
static bool take(const char **p, int digits, int *out)
{
	int n = 0;

	for (int i = 0; i < digits; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		n = n * 10 + (**p - '0');
	}
	*out = n;
	return true;
}

static bool skip(const char **p, const char *any)
{
	if (**p == '\0' || !strchr(any, **p))
		return false;
	(*p)++;
	return true;
}

/* "Z" or an offset; its seconds east of Greenwich. */
static bool take_zone(const char **p, int *seconds)
{
	int sign = **p == '-' ? -1 : 1, hours, minutes;

	*seconds = 0;
	if (skip(p, "Zz"))
		return true;
	if (!skip(p, "+-") || !take(p, 2, &hours) || !skip(p, ":") || !take(p, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*seconds = sign * (hours * 60 + minutes) * 60;
	return true;
}

int rfc3339_parse(const char *text, int64_t *seconds)
{
	struct tm tm = { 0 }, back;
	const char *p = text;
	int zone;
	time_t t;

	if (!take(&p, 4, &tm.tm_year) || !skip(&p, "-") || !take(&p, 2, &tm.tm_mon) || !skip(&p, "-") || !take(&p, 2, &tm.tm_mday) ||
	    !skip(&p, "Tt ") || !take(&p, 2, &tm.tm_hour) || !skip(&p, ":") || !take(&p, 2, &tm.tm_min) || !skip(&p, ":") ||
	    !take(&p, 2, &tm.tm_sec))
		return -EINVAL;
	if (skip(&p, ".")) {
		size_t digits = strspn(p, "0123456789");

		if (digits == 0)
			return -EINVAL;
		p += digits;
	}
	if (!take_zone(&p, &zone) || *p != '\0' || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	back = tm;
	t = timegm(&tm);
	/* timegm() takes the 30th of February for the 2nd of March. A leap second is all that may roll over. */
	if (back.tm_sec < 60 && (tm.tm_mday != back.tm_mday || tm.tm_mon != back.tm_mon))
		return -EINVAL;
	if (back.tm_mon < 0 || back.tm_mon > 11 || back.tm_mday < 1 || back.tm_mday > 31)
		return -EINVAL;
	*seconds = (int64_t)t - zone;
	return 0;
}
