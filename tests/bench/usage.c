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

double usage_children_cpu_ms(pid_t pid, unsigned generations)
{
	char path[64], number[16];
	double sum = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		die("%s", path);
	while (generations > 0 && fscanf(f, "%15s", number) == 1) {
		pid_t child = (pid_t)strtol(number, NULL, 10);

		sum += usage_cpu_ms(child) + (generations > 1 ? usage_children_cpu_ms(child, generations - 1) : 0);
	}
	(void)fclose(f);
	return sum;
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

/* Look up numbers of kilobytes in a file of "Name:   number kB" lines of /proc/PID. */
struct field {
	const char *name;
	int64_t *value;
};

static void read_fields(pid_t pid, const char *file, const struct field *fields, size_t n)
{
	char path[64], line[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "re");
	if (f == NULL)
		die("%s", path);
	while (fgets(line, sizeof(line), f) != NULL) {
		for (size_t i = 0; i < n; i++) {
			size_t len = strlen(fields[i].name);

			if (strncmp(line, fields[i].name, len) == 0)
				*fields[i].value = strtoll(line + len, NULL, 10);
		}
	}
	(void)fclose(f);
}

void usage_read(pid_t pid, struct usage *u)
{
	int64_t shared_rss = 0;
	const struct field status[] = { { "VmRSS:", &u->rss_kib }, { "RssShmem:", &shared_rss }, { "RssFile:", &u->file_kib },
					{ "Threads:", &u->threads } };
	/* A ring is mapped twice in a row and its pages count twice in RssShmem; their shares in "proportional" size add up to one. */
	const struct field rollup[] = { { "Pss_Shmem:", &u->shared_kib } };

	read_fields(pid, "status", status, sizeof(status) / sizeof(status[0]));
	read_fields(pid, "smaps_rollup", rollup, sizeof(rollup) / sizeof(rollup[0]));
	u->rss_kib -= shared_rss;
	u->fds = count_fds(pid);
	u->cpu_ms = usage_cpu_ms(pid);
}
