/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads that pass between browsers and programs in guests. Byte 0: whose it is. What is written for the other end must be a head again that says the
 * same of its body, has none of our cookies, and exactly one Connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "gateway/preview_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const cookies[] = { "__Host-sid", "terrarium-preview", NULL };
static const char *const drop[] = { "X-Assertion", NULL };
static const struct head_way way = { .proto = "https", .from = "2001:db8::", .cookies = cookies, .drop = drop };

static void reread(const struct buf *b, struct head *h)
{
	struct head_text t;

	if (head_parse(h, b->data, b->len) != 1 || h->bytes != b->len || head_find(h, "Connection", &t) != 0)
		abort();
}

static void request(const struct head *h)
{
	struct head_request r, again;
	struct head_text t;
	char value[HEAD_BYTES_MAX];
	struct preview_place place;
	struct buf b = BUF_INIT(4U * HEAD_BYTES_MAX);
	struct head other;

	if (head_request(h, &r) < 0)
		return;
	if (preview_place(r.host, "preview.example.org", &place) == 0 && (place.port == 0 || !place.machine[0]))
		abort();
	/* A head of nearly the greatest size grows past it: that is refused by the next reader, not here. */
	if (head_forward(h, &r, &way, &b) == 0 && b.len < HEAD_BYTES_MAX && h->count + 5 < HEAD_FIELDS_MAX) {
		reread(&b, &other);
		if (head_cookie(&other, "__Host-sid", value, sizeof(value)) != -ENOENT ||
		    head_cookie(&other, "terrarium-preview", value, sizeof(value)) != -ENOENT)
			abort();
		if (head_find(&other, "X-Assertion", &t) != -ENOENT || head_request(&other, &again) < 0 || again.body != r.body || again.websocket != r.websocket || again.target.len != r.target.len)
			abort();
	}
	buf_finish(&b);
}

static void answer(const struct head *h)
{
	struct buf b = BUF_INIT(4U * HEAD_BYTES_MAX), second = BUF_INIT(4U * HEAD_BYTES_MAX);
	unsigned status = 0, again = 0;
	struct head other;

	if (head_answer(h, &way, &status, &b) == 0 && b.len > 0 && b.len < HEAD_BYTES_MAX && h->count + 5 < HEAD_FIELDS_MAX) {
		reread(&b, &other);
		if (head_answer(&other, &way, &again, &second) < 0 || again != status)
			abort();
	}
	buf_finish(&b);
	buf_finish(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct head h;
	char *text;

	if (size < 2)
		return 0;
	text = malloc(size - 1); /* its end is where reading must end */
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	if (head_parse(&h, text, size - 1) == 1) {
		if (data[0] & 1)
			answer(&h);
		else
			request(&h);
	}
	free(text);
	return 0;
}
