// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/sealed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "hv/seal/seal.h"

#define MESSAGE_BYTES 1024U /* term_send() takes no more */
#define STEP_BYTES (256U << 10)
#define REPORT_DATA_AT 0x50U
#define OUT_MAX (64U << 10)

struct sealed {
	struct term *t;
	const uint8_t *key;
	void (*on_plain)(void *arg, const uint8_t *data, size_t len);
	void *arg;
	struct seal seal;
	struct seal_reader reader;
	struct buf out;
	bool open;
};

static void must(int result, const char *what)
{
	errno = 0;
	if (result < 0)
		die("sealed terminal: %s: %s", what, result > SEAL_E_FORMAT ? strerror(-result) : seal_strerror(result));
}

static void flush(struct sealed *s)
{
	for (size_t at = 0; at < s->out.len; at += MESSAGE_BYTES)
		term_send(s->t, s->out.data + at, s->out.len - at < MESSAGE_BYTES ? s->out.len - at : MESSAGE_BYTES);
	s->out.len = 0;
}

static void on_reply(struct sealed *s, const uint8_t *body, size_t len)
{
	struct seal_report report = { 0 };

	must(seal_on_reply(&s->seal, body, len, &report), "REPLY");
	if (report.len < REPORT_DATA_AT + SEAL_BIND_BYTES || memcmp(report.data + REPORT_DATA_AT, s->seal.bind, SEAL_BIND_BYTES) != 0)
		must(SEAL_E_CONFIRM, "the report");
	must(seal_confirm(&s->seal, &s->out), "CONFIRM");
}

static void on_confirmed(struct sealed *s, const uint8_t *body, size_t len)
{
	uint8_t proof[SEAL_POINT_BYTES + SEAL_SIGN_BYTES];

	must(seal_on_confirmed(&s->seal, body, len), "CONFIRMED");
	must(seal_sign(&s->seal, s->key, proof), "the owner's key");
	must(seal_put(&s->seal, SEAL_AUTH, proof, sizeof(proof), &s->out), "AUTH");
}

static void on_record(struct sealed *s, const uint8_t *body, size_t len)
{
	uint8_t plain[SEAL_CONTENT_MAX];
	int record = seal_get(&s->seal, body, &len, plain);

	must(record, "a record");
	errno = 0;
	if (record == SEAL_CLOSE)
		die("sealed terminal: the guest says: %.*s", (int)len, (const char *)plain);
	s->open = s->open || record == SEAL_READY;
	if (record == SEAL_DATA || record == SEAL_REPLAY)
		s->on_plain(s->arg, plain, len);
}

static bool on_frame(void *arg, enum seal_frame type, const uint8_t *body, size_t len)
{
	struct sealed *s = arg;

	switch (type) {
	case SEAL_REPLY: on_reply(s, body, len); break;
	case SEAL_CONFIRMED: on_confirmed(s, body, len); break;
	case SEAL_RECORD: on_record(s, body, len); break;
	default: must(SEAL_E_ORDER, "a frame"); break;
	}
	return true;
}

void sealed_feed(struct sealed *s, const uint8_t *data, size_t len)
{
	must(seal_feed(&s->reader, data, len, on_frame, s), "the stream");
	flush(s);
}

void sealed_send(struct sealed *s, const char *data, size_t len)
{
	must(seal_put_data(&s->seal, SEAL_DATA, (const uint8_t *)data, len, &s->out), "DATA");
	flush(s);
}

struct sealed *sealed_new(struct term *t, const uint8_t *key, void (*on_plain)(void *arg, const uint8_t *data, size_t len), void *arg)
{
	struct sealed *s = calloc(1, sizeof(*s));

	if (s == NULL)
		die("memory");
	s->t = t;
	s->key = key;
	s->on_plain = on_plain;
	s->arg = arg;
	s->out = BUF_INIT(OUT_MAX);
	return s;
}

void sealed_greet(struct sealed *s)
{
	char machine[STREAM_TEXT];

	memcpy(machine, s->t->stream, sizeof(machine));
	machine[strcspn(machine, ".")] = '\0';
	must(seal_hello(&s->seal, machine, &s->out), "HELLO");
	flush(s);
	while (!s->open) {
		errno = 0;
		if (term_step(s->t, WAIT_BLOCK, STEP_BYTES) == 0)
			die("the sealed terminal closed with %u before its guest had answered", s->t->close_code);
	}
}

void sealed_free(struct sealed *s)
{
	if (s == NULL)
		return;
	seal_finish(&s->seal);
	buf_finish(&s->out);
	free(s);
}
