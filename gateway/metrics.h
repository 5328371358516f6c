/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include <stdint.h>

struct buf;

/**
 * struct metrics - what the transport counts; everything else is asked of its owner when /metrics is read
 * @connections, @websockets: open now
 * @responses: by class of status, [0] = 1xx
 * @refused_address, @refused_full: connections turned away
 * @accept_pauses: times that accepting rested for want of file descriptors
 * @deadlines: connections ended because they were too slow
 */
struct metrics {
	uint64_t connections, websockets, accepted, refused_address, refused_full, accept_pauses, deadlines;
	uint64_t responses[5], bytes_in, bytes_out;
	uint64_t started_ms;
};

/** metrics_text() - append the transport's and the process's lines in Prometheus' text format */
void metrics_text(const struct metrics *m, uint64_t now_ms, struct buf *out);

#endif
