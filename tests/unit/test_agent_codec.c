/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/agent/codec.h"

#define TAIL 0x01020304U

struct seen {
	struct agent_reader *reader;
	unsigned frames, hellos;
	uint32_t last_job;
	size_t last_len;
	unsigned stop_after;
};

static bool on_frame(void *arg, struct agent_frame *f)
{
	struct seen *s = arg;
	struct agent_hello h;

	s->frames++;
	s->last_job = f->job;
	s->last_len = f->body.left;
	if (f->type == AGENT_HELLO && agent_get_hello(&f->body, &h) == 0) {
		s->hellos++;
		s->reader->tail = h.tail;
	}
	return s->frames != s->stop_after;
}

static void put_frame(struct buf *b, uint32_t job, size_t len, uint32_t tail)
{
	static const uint8_t zeros[AGENT_FRAME_MAX];
	size_t start = agent_frame_begin(b, &(struct agent_frame){ .type = AGENT_DATA, .job = job });

	agent_put_bytes(b, zeros, len);
	assert_int_equal(agent_frame_end(b, start, tail), 0);
}

static void put_greeting(struct buf *b, uint32_t tail)
{
	struct agent_hello h = { .lowest = 1, .highest = 1, .tail = tail };
	size_t start;

	agent_put_pad(b);
	start = agent_frame_begin(b, &(struct agent_frame){ .type = AGENT_HELLO });
	agent_put_hello(b, &h);
	assert_int_equal(agent_frame_end(b, start, tail), 0);
}

static unsigned feed(struct agent_reader *r, struct seen *s, const char *data, size_t len, size_t step)
{
	unsigned bad = 0;

	for (size_t at = 0; at < len; at += step) {
		size_t n = len - at < step ? len - at : step;

		bad += agent_reader_feed(r, (const uint8_t *)data + at, &n, on_frame, s);
	}
	return bad;
}

static void begin(struct agent_reader *r, struct seen *s)
{
	agent_reader_init(r, AGENT_HELLO);
	memset(s, 0, sizeof(*s));
	s->reader = r;
}

static void test_reader_any_pieces(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 17, 4096, 1U << 20 };
	struct buf b = BUF_INIT(1U << 20);
	struct agent_reader r;
	struct seen s;

	(void)state;
	put_greeting(&b, TAIL);
	put_frame(&b, 5, 0, TAIL);
	put_frame(&b, 6, AGENT_DATA_MAX, TAIL);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		begin(&r, &s);
		assert_int_equal(feed(&r, &s, b.data, b.len, steps[i]), 0);
		assert_int_equal(s.frames, 3);
		assert_int_equal(s.last_job, 6);
		assert_int_equal(s.last_len, AGENT_DATA_MAX);
		agent_reader_finish(&r);
	}
	buf_finish(&b);
}

/* A conversation cut at every byte of a frame, then another: the torn frame never counts, the greeting always does. */
static void test_reader_torn_frames(void **state)
{
	struct buf first = BUF_INIT(1U << 20), second = BUF_INIT(1U << 20), frame = BUF_INIT(1U << 20);
	struct agent_reader r;
	struct seen s;

	(void)state;
	put_greeting(&first, TAIL);
	put_frame(&frame, 1, 300, TAIL);
	put_greeting(&second, TAIL + 0x01010101U);
	put_frame(&second, 9, 3, TAIL + 0x01010101U);
	for (size_t cut = 0; cut < frame.len; cut++) {
		begin(&r, &s);
		(void)feed(&r, &s, first.data, first.len, 1U << 20);
		(void)feed(&r, &s, frame.data, cut, 1U << 20);
		(void)feed(&r, &s, second.data, second.len, 1U << 20);
		assert_int_equal(s.hellos, 2);
		assert_int_equal(s.frames, 3);
		assert_int_equal(s.last_job, 9);
		agent_reader_finish(&r);
	}
	buf_finish(&first);
	buf_finish(&second);
	buf_finish(&frame);
}

static void test_reader_refuses(void **state)
{
	struct buf b = BUF_INIT(1U << 20);
	struct agent_reader r;
	struct seen s;

	(void)state;
	put_frame(&b, 1, 10, TAIL); /* nobody has greeted */
	begin(&r, &s);
	(void)feed(&r, &s, b.data, b.len, 1U << 20);
	assert_int_equal(s.frames, 0);
	put_greeting(&b, TAIL);
	put_frame(&b, 1, 10, TAIL + 1); /* of somebody else */
	put_frame(&b, 1, 10, TAIL);	/* nothing is believed after that */
	assert_int_equal(feed(&r, &s, b.data, b.len, 1U << 20), 1);
	assert_int_equal(s.frames, 1);
	assert_int_equal(r.tail, 0);
	agent_reader_finish(&r);
	buf_finish(&b);
}

static void test_reader_stops(void **state)
{
	struct buf b = BUF_INIT(1U << 20);
	struct agent_reader r;
	struct seen s;
	size_t used;

	(void)state;
	put_greeting(&b, TAIL);
	used = b.len;
	put_frame(&b, 1, 10, TAIL);
	begin(&r, &s);
	s.stop_after = 1;
	{
		size_t n = b.len;

		assert_int_equal(agent_reader_feed(&r, (const uint8_t *)b.data, &n, on_frame, &s), 0);
		assert_int_equal(n, used);
		n = b.len - used;
		assert_int_equal(agent_reader_feed(&r, (const uint8_t *)b.data + used, &n, on_frame, &s), 0);
	}
	assert_int_equal(s.frames, 2);
	agent_reader_finish(&r);
	buf_finish(&b);
}

static void test_tails(void **state)
{
	(void)state;
	assert_false(agent_good_tail(0));
	assert_false(agent_good_tail(0xff000000U));
	assert_false(agent_good_tail(0x0000ff01U));
	assert_true(agent_good_tail(TAIL));
}

static void test_frame_too_large(void **state)
{
	static const uint8_t zeros[AGENT_FRAME_MAX];
	struct buf b = BUF_INIT(1U << 20), small = BUF_INIT(64);
	size_t start = agent_frame_begin(&b, &(struct agent_frame){ .type = AGENT_DATA });

	(void)state;
	agent_put_bytes(&b, zeros, sizeof(zeros));
	assert_int_equal(agent_frame_end(&b, start, TAIL), -EMSGSIZE);
	assert_int_equal(b.len, 0);
	start = agent_frame_begin(&small, &(struct agent_frame){ .type = AGENT_DATA });
	agent_put_bytes(&small, zeros, 100);
	assert_int_equal(agent_frame_end(&small, start, TAIL), -ENOSPC);
	assert_int_equal(small.len, 0);
	buf_finish(&b);
	buf_finish(&small);
}

static struct agent_in in_of(const struct buf *b, size_t len)
{
	return (struct agent_in){ (const uint8_t *)b->data, len, false };
}

static void test_open(void **state)
{
	struct agent_open o = { .kind = AGENT_KIND_PTY, .cols = 100, .rows = 50, .tag = "tag", .timeout_ms = 5, .memory_bytes = 1ULL << 40,
				.cwd = "/tmp", .argv = { "sh", "-l" }, .env = { "A=b" } }, back;
	struct buf b = BUF_INIT(AGENT_FRAME_MAX);
	struct agent_in in;

	(void)state;
	agent_put_open(&b, &o);
	in = in_of(&b, b.len);
	assert_int_equal(agent_get_open(&in, &back), 0);
	assert_int_equal(back.memory_bytes, o.memory_bytes);
	assert_string_equal(back.cwd, "/tmp");
	assert_string_equal(back.argv[1], "-l");
	assert_null(back.argv[2]);
	assert_string_equal(back.env[0], "A=b");
	for (size_t cut = 0; cut < b.len; cut++) {
		in = in_of(&b, cut);
		assert_int_equal(agent_get_open(&in, &back), -EPROTO);
	}
	buf_finish(&b);
}

static void test_job(void **state)
{
	struct agent_job j = { .id = 3, .pid = 77, .kind = AGENT_KIND_EXEC, .flags = AGENT_JOB_ENDED, .first = { 5, 6 }, .end = { 500, 6 },
			       .in_taken = 9, .status = -1, .signal = 9 }, back;
	struct buf b = BUF_INIT(AGENT_FRAME_MAX);
	struct agent_in in;

	(void)state;
	agent_put_job(&b, &j);
	in = in_of(&b, b.len);
	assert_int_equal(agent_get_job(&in, &back), 0);
	assert_true(agent_get_done(&in));
	assert_int_equal(back.end[0], 500);
	assert_int_equal(back.status, -1);
	buf_finish(&b);
	j.end[0] = j.first[0] + AGENT_RING_BYTES + 1;
	agent_put_job(&b, &j);
	in = in_of(&b, b.len);
	assert_int_equal(agent_get_job(&in, &back), -EPROTO);
	buf_finish(&b);
}

/* A clone is told more; what is cut short is refused. */
static void test_rebirth(void **state)
{
	struct agent_identity i = { .hostname = "guest", .has_machine = true, .machine = "machine", .reborn = true, .rebirth = {
		.boot_id = "boot", .mac = { 2, 0, 0, 0, 0, 7 }, .interface = "eth0", .release = true, .cols = 100, .rows = 30 } }, back;
	struct buf b = BUF_INIT(AGENT_FRAME_MAX);
	struct agent_in in;

	(void)state;
	agent_put_identity(&b, &i);
	in = in_of(&b, b.len);
	assert_int_equal(agent_get_identity(&in, &back), 0);
	assert_true(back.reborn && back.has_machine && back.rebirth.release);
	assert_memory_equal(&back.rebirth.mac, &i.rebirth.mac, 6);
	assert_string_equal(back.rebirth.interface, "eth0");
	assert_string_equal((const char *)back.machine, "machine");
	assert_int_equal(back.rebirth.rows, 30);
	for (size_t len = b.len - 1; len > b.len - 30; len--) {
		in = in_of(&b, len);
		assert_int_equal(agent_get_identity(&in, &back), -EPROTO);
	}
	buf_finish(&b);
}

static void test_identity(void **state)
{
	struct agent_identity i = { .clock_ns = 12, .hostname = "guest", .entropy = "x", .entropy_len = 32, .addresses = 1 }, back;
	struct buf b = BUF_INIT(AGENT_FRAME_MAX);
	struct agent_in in;

	(void)state;
	i.address[0] = (struct agent_address){ .interface = "eth0", .family = 4, .prefix = 31 };
	agent_put_identity(&b, &i);
	in = in_of(&b, b.len);
	assert_int_equal(agent_get_identity(&in, &back), 0);
	assert_string_equal(back.hostname, "guest");
	assert_string_equal(back.address[0].interface, "eth0");
	assert_false(back.has_machine);
	i.has_machine = true;
	i.machine[15] = 7;
	buf_finish(&b);
	agent_put_identity(&b, &i);
	in = in_of(&b, b.len);
	assert_int_equal(agent_get_identity(&in, &back), 0);
	assert_true(back.has_machine && back.machine[15] == 7);
	in = in_of(&b, b.len - 1);
	assert_int_equal(agent_get_identity(&in, &back), -EPROTO);
	i.address[0].prefix = 33;
	buf_finish(&b);
	agent_put_identity(&b, &i);
	in = in_of(&b, b.len);
	assert_int_equal(agent_get_identity(&in, &back), -EPROTO);
	buf_finish(&b);
}

static int secret_back(const struct agent_secret *s, struct agent_secret *back, struct buf *b)
{
	struct agent_in in;

	buf_finish(b);
	agent_put_secret(b, s);
	in = in_of(b, b->len);
	return agent_get_secret(&in, back);
}

static void test_secret(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "../x", "a b", "a~", "caf\xc3\xa9", "12345678901234567890123456789012345678901234567890123456789012345" };
	static const uint8_t bytes[AGENT_DATA_MAX + 1];
	struct agent_secret s = { .name = ".a-B_9.x", .mode = 0440, .data = bytes, .len = AGENT_DATA_MAX }, back;
	struct buf b = BUF_INIT(2 * AGENT_FRAME_MAX);

	(void)state;
	assert_int_equal(secret_back(&s, &back, &b), 0);
	assert_string_equal(back.name, s.name);
	assert_true(back.mode == 0440 && back.len == AGENT_DATA_MAX && back.how == AGENT_SECRET_PUT && back.owner[0] == '\0');
	s.owner = "www-data";
	assert_int_equal(secret_back(&s, &back, &b), 0);
	assert_string_equal(back.owner, "www-data");
	s.owner = "no:body";
	assert_int_equal(secret_back(&s, &back, &b), -EPROTO);
	s.owner = NULL;
	s.len++;
	assert_int_equal(secret_back(&s, &back, &b), -EPROTO);
	s.len = 1;
	s.how = AGENT_SECRET_REMOVE;
	assert_int_equal(secret_back(&s, &back, &b), -EPROTO);
	s.len = 0;
	assert_int_equal(secret_back(&s, &back, &b), 0);
	assert_true(back.how == AGENT_SECRET_REMOVE);
	s.mode = 04400;
	assert_int_equal(secret_back(&s, &back, &b), -EPROTO);
	s.mode = 0;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		s.name = bad[i];
		assert_int_equal(secret_back(&s, &back, &b), -EPROTO);
	}
	buf_finish(&b);
}

static void test_strings(void **state)
{
	struct agent_in in = { (const uint8_t *)"abc\0rest", 8, false };

	(void)state;
	assert_string_equal(agent_get_str(&in, 3), "abc");
	assert_string_equal(agent_get_str(&in, 100), ""); /* no NUL */
	assert_true(in.bad);
	assert_int_equal(agent_get_u64(&in), 0);
	in = (struct agent_in){ (const uint8_t *)"abcd", 5, false };
	assert_string_equal(agent_get_str(&in, 3), "");
	assert_true(in.bad);
}

static void cards(void **state)
{
	struct agent_card c = { .mac = { 2, 0x74, 0x72, 0x6e, 0, 1 }, .addresses = 2, .address = { { .family = 4, .prefix = 22, .address = { 10, 213, 4, 2 } }, { .family = 6, .prefix = 118 } } };
	struct buf b = BUF_INIT(4096);
	struct agent_card back;
	struct agent_in in;

	(void)state;
	agent_put_card(&b, &c);
	in = (struct agent_in){ .at = (const uint8_t *)b.data, .left = b.len };
	assert_int_equal(agent_get_card(&in, &back), 0);
	assert_memory_equal(&back, &c, sizeof(c));
	for (size_t n = 0; n < b.len; n++) {
		in = (struct agent_in){ .at = (const uint8_t *)b.data, .left = n };
		assert_int_equal(agent_get_card(&in, &back), -EPROTO);
	}
	b.data[6] = 3; /* addresses */
	in = (struct agent_in){ .at = (const uint8_t *)b.data, .left = b.len };
	assert_int_equal(agent_get_card(&in, &back), -EPROTO);
	b.data[6] = 2;
	b.data[7] = 'e'; /* an interface: which one it is, the MAC address says */
	in = (struct agent_in){ .at = (const uint8_t *)b.data, .left = b.len };
	assert_int_equal(agent_get_card(&in, &back), -EPROTO);
	buf_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cards),
		cmocka_unit_test(test_reader_any_pieces), cmocka_unit_test(test_reader_torn_frames), cmocka_unit_test(test_reader_refuses),
		cmocka_unit_test(test_reader_stops),	  cmocka_unit_test(test_tails),		     cmocka_unit_test(test_frame_too_large),
		cmocka_unit_test(test_open),		  cmocka_unit_test(test_job),		     cmocka_unit_test(test_identity), cmocka_unit_test(test_rebirth),
		cmocka_unit_test(test_strings),		  cmocka_unit_test(test_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
