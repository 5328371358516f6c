/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_CH_PLAN_H
#define HV_CH_PLAN_H

#include "hv/driver.h"

#define CH_PROGRAM     "cloud-hypervisor"
#define CH_MEMORY_STEP (128ULL << 20) /* memory is plugged in by ACPI, in pieces of this size */

/** ch_plan(), ch_limits() - those of struct hv_driver */
int ch_plan(const struct plan_input *in, struct spawn_plan *p, struct err *e);
void ch_limits(const struct vm_size *size, uint64_t *memory_max, uint32_t *cpu_percent);

#endif
