/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_AGENT_REPORT_H
#define HV_AGENT_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define REPORT_DATA_BYTES  64U
#define REPORT_BYTES_MAX   4000U  /* what the kernel has room for; a report has 1184 */
#define REPORT_CERTS_MAX   16384U /* linux/sev-guest.h: SEV_FW_BLOB_MAX_SIZE */

/**
 * struct report_source - where the kernel gives attestation reports of AMD SEV-SNP
 * @tsm:    directory of configfs-tsm (Linux 6.7 and later), tried first
 * @device: of the driver sev-guest (5.19 and later)
 * @make_dir, @drop_dir: mkdir() and rmdir() there: in configfs, a new directory has its files at once
 */
struct report_source {
	const char *tsm, *device;
	int (*make_dir)(const char *path);
	int (*drop_dir)(const char *path);
};

/** report_source_default() - those of Linux */
struct report_source report_source_default(void);

/**
 * report_take() - ask the processor for a report
 * @data:  REPORT_DATA_BYTES of the caller's choice
 * @report, @certs: appended to; @certs may stay empty, and is what the host says: a hint
 *
 * Blocks for the processor: some milliseconds, longer when the host holds its guests back. Return: 0; -EOPNOTSUPP where there is none, -EIO and others.
 */
int report_take(const struct report_source *s, const uint8_t data[REPORT_DATA_BYTES], struct buf *report, struct buf *certs);

#endif
