/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_MEMORY_H
#define HV_MEMORY_H

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/helper.h"

struct hv;

/*
 * What machines really take of the host's memory: the proportional set size (PSS) of their processes, in which a page that many share, as clones of one
 * template do, counts for each by its share. So the sum over all machines is what all of them take together.
 *
 * The kernel counts it page by page when it is asked, a millisecond for a small machine and a tenth of a second for one that uses 16 GiB: so it is read by a
 * thread, one machine at a time, each at most twice a minute, and pausing after each twenty times as long as it took. What is shown is the last reading.
 */

/**
 * struct gauge - inside of struct hv
 * @id: whose turn it is; @fd: what is being read, owned by the thread; @bytes, @took_ms: what came of it
 */
struct gauge {
	ev_timer next;
	ev_async done;
	struct helper_call call;
	pthread_t thread;
	bool busy, reading; /* busy: the helper is asked, or a thread reads */
	uint8_t id[16];
	int fd;
	uint64_t bytes, took_ms;
};

/** gauge_init() - gauge_finish() waits for the thread */
void gauge_init(struct hv *hv);
void gauge_finish(struct hv *hv);

/** gauge_wake() - a machine is there whose memory is not known; cheap to call always */
void gauge_wake(struct hv *hv);

/** gauge_parse() - the sum in the kernel's smaps_rollup, "Pss: N kB". Return: bytes, or 0 */
uint64_t gauge_parse(const char *text, size_t len);

#endif
