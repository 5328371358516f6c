/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sealed terminal as in a guest, on a host without SNP: its "report" has REPORT_DATA and HOST_DATA where a report has them, and nothing that
 * would be believed: no signature. For tests of what comes after the report.
 *
 *   sealed_shell VM HOST_DATA_HEX [PROGRAM...]
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/hex.h"
#include "base/log.h"
#include "hv/agent/sealed.h"

static int report(void *arg, const uint8_t data[64], struct buf *out)
{
	uint8_t r[1184] = { 5 };

	memcpy(r + 0x50, data, 64);
	memcpy(r + 0xc0, arg, 32);
	return buf_add(out, r, sizeof(r));
}

int main(int argc, char **argv)
{
	uint8_t owner[32];
	struct sealed_options o = { .report = report, .arg = owner };

	if (argc < 3 || strlen(argv[2]) != 64 || hex_decode(argv[2], owner, sizeof(owner)) != 0) {
		(void)fprintf(stderr, "usage: sealed_shell VM HOST_DATA_HEX [PROGRAM...]\n");
		return 2;
	}
	(void)log_open("sealed_shell", "warn");
	o.vm = argv[1];
	o.argv = argv + 3;
	return sealed_run(&o);
}
