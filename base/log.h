/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/* Severities of syslog(3), the four that are used. */
enum log_level { LOG_LEVEL_ERR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/**
 * log_open() - name the process and choose the least severe level that is printed
 * @name:  borrowed for the life of the process
 * @level: "error", "warn", "info" or "debug"
 *
 * Output goes to stderr: with the "<N>" prefix of sd-daemon(3) when stderr is the journal, else with a UTC time.
 * Return: 0, or -EINVAL for an unknown level.
 */
int log_open(const char *name, const char *level);

/**
 * log_line() - write one event as one line; control characters are escaped, 1 KiB at most
 *
 * Never give it tokens, keys, cookies or terminal bytes.
 */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** log_enabled() - true if a line of @level would be printed */
int log_enabled(enum log_level level);

#define log_err(...)   log_line(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) \
	do { \
		if (log_enabled(LOG_LEVEL_DEBUG)) \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
