/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static const char *log_name = "terrarium";
static enum log_level log_max = LOG_LEVEL_INFO;

int log_open(const char *name, const char *level)
{
	static const struct {
		const char *word;
		enum log_level level;
	} words[] = {
		{ "error", LOG_LEVEL_ERR },
		{ "warn", LOG_LEVEL_WARN },
		{ "info", LOG_LEVEL_INFO },
		{ "debug", LOG_LEVEL_DEBUG },
	};

	log_name = name;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(level, words[i].word) != 0)
			continue;
		log_max = words[i].level;
		return 0;
	}
	return -EINVAL;
}

int log_enabled(enum log_level level)
{
	return level <= log_max;
}

static size_t put_head(char *line, size_t size, enum log_level level)
{
	static const char *const names[] = { "", "", "", "error", "warn", "", "info", "debug" };
	struct timespec now;
	struct tm tm;
	char stamp[32];
	int n;

	if (getenv("JOURNAL_STREAM"))
		return (size_t)snprintf(line, size, "<%d>", (int)level);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	n = snprintf(line, size, "%s.%03ldZ %s %s: ", stamp, now.tv_nsec / 1000000, log_name, names[level]);
	return n < 0 ? 0 : (size_t)n;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 64];
	size_t at;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	at = put_head(line, 64, level);
	for (const char *p = text; *p && at + 2 < sizeof(line); p++)
		line[at++] = (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p;
	line[at++] = '\n';
	/* A log that cannot be written must not stop the program. */
	if (write(STDERR_FILENO, line, at) < 0)
		return;
}
