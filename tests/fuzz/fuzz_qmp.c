/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's monitor: byte 0 says whether the stream was adopted and how it is cut; the rest is the stream. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_message(void *arg, const struct qmp_message *m)
{
	size_t *left = arg;

	if (!m->name || !m->text || m->kind > QMP_ERROR)
		abort();
	*left += strlen(m->name) + strlen(m->text);
	return m->kind != QMP_ERROR;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qmp_reader r;
	size_t step, bytes = 0;

	if (size == 0)
		return 0;
	qmp_reader_init(&r, data[0] & 1);
	step = (data[0] >> 1) + 1U;
	for (size_t at = 1; at < size; at += step) {
		struct err e = { 0 };
		size_t n = size - at < step ? size - at : step;

		if (qmp_feed(&r, (const char *)data + at, n, on_message, &bytes, &e) < 0) {
			if (e.msg[0] == '\0')
				abort();
			break;
		}
	}
	qmp_reader_finish(&r);
	return 0;
}
