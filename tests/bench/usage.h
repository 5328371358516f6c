/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* What a process of the server has used, read from outside it. */

/**
 * struct usage - one process at one moment
 * @cpu_ms:    user and system time of all its threads, ended ones too
 * @rss_kib:   resident memory without shared memory; @shared_kib: resident shared memory: the rings
 * @file_kib:  what of @rss_kib are pages of files: programs and libraries
 * @threads, @fds: how many it has
 */
struct usage {
	double cpu_ms;
	int64_t rss_kib, shared_kib, file_kib, threads, fds;
};

/** usage_cpu_ms() - CPU time alone, to the nanosecond where /proc has 10 ms steps */
double usage_cpu_ms(pid_t pid);

/** usage_read() - all of it; ends the program when there is no such process */
void usage_read(pid_t pid, struct usage *u);

/** usage_children_cpu_ms() - CPU time of the living processes below @pid, @generations deep, without what has ended there */
double usage_children_cpu_ms(pid_t pid, unsigned generations);

/** now_us() - monotonic clock in microseconds */
double now_us(void);

#endif
