/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_TSC_H
#define HV_TSC_H

#include <stdint.h>

/**
 * struct tsc - a reading of the host's time stamp counter to measure its rate from
 *
 * A microvm has no timer that its guest could calibrate the counter against (it hangs in one boot of two), so the guest is told.
 * The later tsc_khz() is asked, the more exact its answer.
 */
struct tsc {
	uint64_t ticks, ns;
};

/** tsc_begin() - take the first reading */
void tsc_begin(struct tsc *t);

/** tsc_khz() - ticks per millisecond since tsc_begin(), which must be 10 ms ago: waits for that. Return: kHz, 0 if unknown */
uint64_t tsc_khz(const struct tsc *t);

#endif
