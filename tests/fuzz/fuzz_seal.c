/* SPDX-License-Identifier: Apache-2.0 */
/* terrarium-seal/1 with a peer that sends anything: first byte says which end is attacked; records are tried in an open conversation, too. */
#include <stdlib.h>
#include <string.h>

#include "hv/seal/seal.h"

#define VM "0123456789abcdef0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct victim {
	struct seal seal;
	struct buf out;
	bool open;
};

static bool on_frame(void *arg, enum seal_frame type, const uint8_t *body, size_t len)
{
	static uint8_t plain[SEAL_CONTENT_MAX];
	struct victim *v = arg;
	struct seal_report report;
	int r;

	v->out.len = 0;
	switch (type) {
	case SEAL_HELLO:
		r = seal_on_hello(&v->seal, body, len, VM);
		if (r == 0)
			r = seal_reply(&v->seal, body, len, &v->out);
		break;
	case SEAL_REPLY:
		r = seal_on_reply(&v->seal, body, len, &report);
		if (r == 0)
			r = report.len <= SEAL_REPORT_MAX ? seal_confirm(&v->seal, &v->out) : (abort(), 0);
		break;
	case SEAL_CONFIRM: r = seal_on_confirm(&v->seal, body, len, &v->out); break;
	case SEAL_CONFIRMED: r = seal_on_confirmed(&v->seal, body, len); break;
	case SEAL_RECORD:
		if (v->open)
			v->seal.state = SEAL_OPEN; /* with keys of zeros */
		r = seal_get(&v->seal, body, &len, plain);
		if (r >= 0 && len > SEAL_CONTENT_MAX)
			abort();
		break;
	default: return true;
	}
	return r >= 0 || v->open;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seal_reader reader;
	static struct victim v;

	if (size == 0)
		return 0;
	reader = (struct seal_reader){ .synced = (data[0] & 4) != 0 };
	seal_finish(&v.seal);
	buf_finish(&v.out);
	v.out = BUF_INIT(65536);
	v.open = (data[0] & 2) != 0;
	if (data[0] & 1)
		(void)seal_hello(&v.seal, VM, &v.out);
	else
		v.seal.role = SEAL_GUEST;
	(void)seal_feed(&reader, data + 1, size - 1, on_frame, &v);
	return 0;
}
