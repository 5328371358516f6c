// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/usage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/client.h"

double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

double usage_cpu_ms(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	errno = clock_getcpuclockid(pid, &clock);
	if (errno != 0 || clock_gettime(clock, &ts) < 0)
		die("CPU clock of process %d", (int)pid);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int64_t count_fds(pid_t pid)
{
	char path[64];
	int64_t n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		return -1;
	for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir))
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

void usage_read(pid_t pid, struct usage *u)
{
	static const struct {
		const char *name;
		size_t offset;
	} fields[] = {
		{ "VmRSS:", offsetof(struct usage, rss_kib) },
		{ "RssShmem:", offsetof(struct usage, shared_kib) },
		{ "Threads:", offsetof(struct usage, threads) },
	};
	char path[64], line[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		die("%s", path);
	while (fgets(line, sizeof(line), f) != NULL) {
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
			size_t len = strlen(fields[i].name);

			if (strncmp(line, fields[i].name, len) == 0)
				*(int64_t *)(void *)((char *)u + fields[i].offset) = strtoll(line + len, NULL, 10);
		}
	}
	(void)fclose(f);
	u->rss_kib -= u->shared_kib;
	u->fds = count_fds(pid);
	u->cpu_ms = usage_cpu_ms(pid);
}
