/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's protocol as bytes: byte 0 chooses which end reads; bodies are decoded as every kind, and what is good must survive a second coding. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/agent/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_open(struct agent_in in)
{
	struct buf b = BUF_INIT(2U * AGENT_FRAME_MAX);
	struct agent_open o, again;
	struct agent_in second;

	if (agent_get_open(&in, &o) < 0)
		return;
	agent_put_open(&b, &o);
	second = (struct agent_in){ (const uint8_t *)b.data, b.len, false };
	if (agent_get_open(&second, &again) < 0 || strcmp(o.cwd, again.cwd) != 0)
		abort();
	buf_finish(&b);
}

static void check_job(struct agent_in in)
{
	struct agent_job j;

	if (agent_get_job(&in, &j) == 0 && (j.id == 0 || j.end[0] - j.first[0] > AGENT_RING_BYTES))
		abort();
}

static void check_front(struct agent_in in)
{
	struct buf b = BUF_INIT(2U * AGENT_FRAME_MAX);
	struct agent_front f, again;
	struct agent_in second;

	if (agent_get_front(&in, &f) < 0)
		return;
	if (f.job == 0 || strlen(f.program) >= AGENT_PROGRAM_BYTES || strlen(f.cwd) > AGENT_PATH_MAX)
		abort();
	agent_put_front(&b, &f);
	second = (struct agent_in){ (const uint8_t *)b.data, b.len, false };
	if (agent_get_front(&second, &again) < 0 || strcmp(f.cwd, again.cwd) != 0 || !agent_get_done(&second))
		abort();
	buf_finish(&b);
}

static void check_identity(struct agent_in in)
{
	struct agent_in in_card = in;
	struct agent_identity i;
	struct agent_card card;

	if (agent_get_card(&in_card, &card) == 0 && card.addresses > AGENT_CARD_ADDRESSES_MAX)
		abort();
	if (agent_get_identity(&in, &i) == 0 && (i.addresses > AGENT_ADDRESSES_MAX || strlen(i.hostname) > 64))
		abort();
}

static void check_secret(struct agent_in in)
{
	struct buf b = BUF_INIT(2U * AGENT_FRAME_MAX);
	struct agent_secret s, again;
	struct agent_in second;

	if (agent_get_secret(&in, &s) < 0)
		return;
	if (!agent_secret_name(s.name) || !agent_owner_name(s.owner) || s.len > AGENT_DATA_MAX || s.mode > 0777)
		abort();
	agent_put_secret(&b, &s);
	second = (struct agent_in){ (const uint8_t *)b.data, b.len, false };
	if (agent_get_secret(&second, &again) < 0 || again.len != s.len || strcmp(again.name, s.name) != 0 || strcmp(again.owner, s.owner) != 0)
		abort();
	buf_finish(&b);
}

static void check_report(struct agent_in in)
{
	struct buf b = BUF_INIT(2U * AGENT_FRAME_MAX);
	struct agent_report r, again;
	struct agent_in second;

	if (agent_get_report(&in, &r) < 0)
		return;
	if (r.report_len > AGENT_REPORT_MAX || r.certs_len > AGENT_CERTS_MAX)
		abort();
	agent_put_report(&b, &r);
	second = (struct agent_in){ (const uint8_t *)b.data, b.len, false };
	if (agent_get_report(&second, &again) < 0 || again.report_len != r.report_len || again.certs_len != r.certs_len)
		abort();
	buf_finish(&b);
}

static bool on_frame(void *arg, struct agent_frame *f)
{
	struct agent_reader *r = arg;
	struct agent_in in = f->body;
	struct agent_hello h;
	struct agent_stat st;

	if (f->body.left > AGENT_FRAME_MAX)
		abort();
	if (f->type == AGENT_HELLO && agent_get_hello(&in, &h) == 0)
		r->tail = h.tail;
	in = f->body;
	if (f->type == (AGENT_HELLO | AGENT_REPLY) && agent_get_hello_reply(&in, &h) == 0)
		r->tail = 0x01010101;
	in = f->body;
	(void)agent_get_stat(&in, &st);
	check_open(f->body);
	check_job(f->body);
	check_identity(f->body);
	check_secret(f->body);
	check_report(f->body);
	check_front(f->body);
	return f->job % 7 != 6;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct agent_reader r;
	struct agent_in whole;
	size_t at = 1;

	if (size == 0)
		return 0;
	whole = (struct agent_in){ data + 1, size - 1, false };
	check_open(whole);
	check_job(whole);
	check_identity(whole);
	check_secret(whole);
	check_report(whole);
	check_front(whole);
	agent_reader_init(&r, data[0] & 1 ? AGENT_HELLO : AGENT_HELLO | AGENT_REPLY);
	while (at < size) {
		size_t n = size - at;

		if (data[0] & 2)
			n = n < 5 ? n : 5;
		(void)agent_reader_feed(&r, data + at, &n, on_frame, &r);
		if (n == 0 || n > size - at)
			abort();
		at += n;
	}
	agent_reader_finish(&r);
	return 0;
}
