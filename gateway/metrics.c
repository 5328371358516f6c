/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"

static void line(struct buf *out, const char *name, const char *type, uint64_t value)
{
	(void)buf_printf(out, "# TYPE %s %s\n%s %llu\n", name, type, name, (unsigned long long)value);
}

/* Second number of /proc/self/statm: resident pages (proc(5)). */
static uint64_t resident_bytes(void)
{
	char text[128];
	unsigned long long pages = 0;

	/* proc(5): the second number is the resident set. */
	if (fd_read_file(AT_FDCWD, "/proc/self/statm", text, sizeof(text)) > 0)
		pages = strtoull(text + strcspn(text, " "), NULL, 10);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n > 3 ? n - 3 : 0; /* ".", ".." and the directory's own */
}

static void process_lines(struct buf *out)
{
	struct rusage ru;

	if (getrusage(RUSAGE_SELF, &ru) == 0)
		(void)buf_printf(out, "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %lld.%06lld\n",
				 (long long)ru.ru_utime.tv_sec + ru.ru_stime.tv_sec +
					 (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1000000,
				 (long long)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) % 1000000);
	line(out, "process_resident_memory_bytes", "gauge", resident_bytes());
	line(out, "process_open_fds", "gauge", open_fds());
}

void metrics_text(const struct metrics *m, uint64_t now_ms, struct buf *out)
{
	line(out, "terrarium_uptime_seconds", "counter", (now_ms - m->started_ms) / 1000);
	line(out, "terrarium_connections", "gauge", m->connections);
	line(out, "terrarium_websockets", "gauge", m->websockets);
	line(out, "terrarium_connections_accepted_total", "counter", m->accepted);
	(void)buf_printf(out,
			 "# TYPE terrarium_connections_refused_total counter\n"
			 "terrarium_connections_refused_total{reason=\"address\"} %llu\n"
			 "terrarium_connections_refused_total{reason=\"full\"} %llu\n",
			 (unsigned long long)m->refused_address, (unsigned long long)m->refused_full);
	line(out, "terrarium_accept_pauses_total", "counter", m->accept_pauses);
	line(out, "terrarium_connections_too_slow_total", "counter", m->deadlines);
	(void)buf_printf(out, "# TYPE terrarium_http_responses_total counter\n");
	for (int i = 0; i < 5; i++)
		(void)buf_printf(out, "terrarium_http_responses_total{class=\"%dxx\"} %llu\n", i + 1,
				 (unsigned long long)m->responses[i]);
	line(out, "terrarium_websocket_received_bytes_total", "counter", m->bytes_in);
	line(out, "terrarium_websocket_sent_bytes_total", "counter", m->bytes_out);
	process_lines(out);
}
