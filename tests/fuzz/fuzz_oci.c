/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "gateway/ctl/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever an image's configuration and index say: what is passed on to the guest is what the guest's own reader takes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct entry entry;
	struct buf out = BUF_INIT(2 * ENTRY_MAX);
	char digest[OCI_DIGEST_TEXT];
	struct err e = { 0 };

	if (oci_read_process((const char *)data, size, &out, &e) == 0) {
		if (entry_decode(&entry, out.data, out.len) < 0)
			abort();
	} else if (!e.msg[0]) {
		abort();
	}
	e.msg[0] = '\0';
	if (oci_read_digest((const char *)data, size, digest, &e) == 0 ? !oci_is_digest(digest) : !e.msg[0])
		abort();
	buf_finish(&out);
	return 0;
}
