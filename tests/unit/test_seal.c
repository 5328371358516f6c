/* SPDX-License-Identifier: Apache-2.0 */
/* The sealed conversation, with everything that somebody in between can do to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/seal/curve.h"
#include "hv/seal/seal.h"

#define VM "0123456789abcdef0123456789abcdef"
#define ROOM (1U << 20)

struct frame {
	enum seal_frame type;
	size_t len;
	uint8_t body[SEAL_BODY_MAX];
};

/* Takes the frames of a stream one by one. */
struct tap {
	struct seal_reader reader;
	struct frame got[8];
	size_t count;
};

static bool on_frame(void *arg, enum seal_frame type, const uint8_t *body, size_t len)
{
	struct tap *t = arg;

	assert_true(t->count < 8);
	t->got[t->count].type = type;
	t->got[t->count].len = len;
	memcpy(t->got[t->count++].body, body, len);
	return true;
}

/* What is in @b, which must be whole frames; empties it. */
static void carry(struct tap *t, struct buf *b)
{
	t->count = 0;
	assert_int_equal(seal_feed(&t->reader, (const uint8_t *)b->data, b->len, on_frame, t), 0);
	b->len = 0;
}

struct pair {
	struct seal client, guest;
	struct tap to_client, to_guest;
	struct buf wire;
	uint8_t report[1184];
};

static struct pair *pair_new(void)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->wire = BUF_INIT(ROOM);
	return p;
}

static void pair_free(struct pair *p)
{
	buf_finish(&p->wire);
	free(p);
}

/* HELLO and REPLY; the report is REPORT_DATA and nothing else. */
static void until_reply(struct pair *p)
{
	assert_int_equal(seal_hello(&p->client, VM, &p->wire), 0);
	carry(&p->to_guest, &p->wire);
	assert_int_equal(p->to_guest.count, 1);
	assert_int_equal(p->to_guest.got[0].type, SEAL_HELLO);
	assert_int_equal(seal_on_hello(&p->guest, p->to_guest.got[0].body, p->to_guest.got[0].len, VM), 0);
	memcpy(p->report, p->guest.bind, SEAL_BIND_BYTES);
	assert_int_equal(seal_reply(&p->guest, p->report, sizeof(p->report), &p->wire), 0);
	carry(&p->to_client, &p->wire);
	assert_int_equal(p->to_client.got[0].type, SEAL_REPLY);
}

static void until_open(struct pair *p)
{
	struct seal_report report;

	until_reply(p);
	assert_int_equal(seal_on_reply(&p->client, p->to_client.got[0].body, p->to_client.got[0].len, &report), 0);
	assert_int_equal(report.len, sizeof(p->report));
	assert_memory_equal(report.data, p->client.bind, SEAL_BIND_BYTES);
	assert_int_equal(seal_confirm(&p->client, &p->wire), 0);
	carry(&p->to_guest, &p->wire);
	assert_int_equal(seal_on_confirm(&p->guest, p->to_guest.got[0].body, p->to_guest.got[0].len, &p->wire), 0);
	carry(&p->to_client, &p->wire);
	assert_int_equal(seal_on_confirmed(&p->client, p->to_client.got[0].body, p->to_client.got[0].len), 0);
}

static int open_frame(struct seal *s, const struct frame *f, uint8_t *plain, size_t *len)
{
	*len = f->len;
	assert_int_equal(f->type, SEAL_RECORD);
	return seal_get(s, f->body, len, plain);
}

static void bytes_both_ways(void **state)
{
	static uint8_t data[3 * SEAL_DATA_MAX + 5], plain[SEAL_CONTENT_MAX];
	struct pair *p = pair_new();
	size_t at = 0, len;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	until_open(p);
	assert_int_equal(seal_put_data(&p->guest, SEAL_DATA, data, sizeof(data), &p->wire), 0);
	carry(&p->to_client, &p->wire);
	for (size_t i = 0; i < p->to_client.count; i++) {
		assert_int_equal(open_frame(&p->client, &p->to_client.got[i], plain, &len), SEAL_DATA);
		assert_memory_equal(plain, data + at, len);
		at += len;
	}
	assert_int_equal(at, sizeof(data));
	assert_int_equal(seal_put_data(&p->client, SEAL_DATA, (const uint8_t *)"ls\r", 3, &p->wire), 0);
	carry(&p->to_guest, &p->wire);
	assert_int_equal(open_frame(&p->guest, &p->to_guest.got[0], plain, &len), SEAL_DATA);
	assert_int_equal(len, 3);
	assert_memory_equal(plain, "ls\r", 3);
	pair_free(p);
}

/* Keys of one byte and of six are the same to who looks on. */
static void lengths_of_keys_do_not_show(void **state)
{
	struct pair *p = pair_new();
	size_t one;

	(void)state;
	until_open(p);
	assert_int_equal(seal_put_data(&p->client, SEAL_DATA, (const uint8_t *)"x", 1, &p->wire), 0);
	one = p->wire.len;
	p->wire.len = 0;
	assert_int_equal(seal_put_data(&p->client, SEAL_DATA, (const uint8_t *)"\033[1;5A", 6, &p->wire), 0);
	assert_int_equal(p->wire.len, one);
	pair_free(p);
}

static void every_changed_bit_is_found(void **state)
{
	struct pair *p = pair_new();
	uint8_t plain[SEAL_CONTENT_MAX];
	struct seal before;
	size_t len;

	(void)state;
	until_open(p);
	assert_int_equal(seal_put_data(&p->guest, SEAL_DATA, (const uint8_t *)"secret", 6, &p->wire), 0);
	carry(&p->to_client, &p->wire);
	before = p->client;
	for (size_t bit = 0; bit < p->to_client.got[0].len * 8; bit++) {
		struct frame f = p->to_client.got[0];
		int r;

		f.body[bit / 8] ^= (uint8_t)(1U << bit % 8);
		p->client = before;
		r = open_frame(&p->client, &f, plain, &len);
		assert_true(r == SEAL_E_TAG || r == SEAL_E_SEQUENCE || r == SEAL_E_FORMAT);
		assert_int_equal(p->client.state, SEAL_OVER);
		/* And there is no way back. */
		assert_int_equal(open_frame(&p->client, &p->to_client.got[0], plain, &len), SEAL_E_ORDER);
	}
	p->client = before;
	assert_int_equal(open_frame(&p->client, &p->to_client.got[0], plain, &len), SEAL_DATA);
	pair_free(p);
}

static void repeats_gaps_and_mirrors_are_found(void **state)
{
	struct pair *p = pair_new();
	uint8_t plain[SEAL_CONTENT_MAX];
	struct seal before;
	size_t len;

	(void)state;
	until_open(p);
	assert_int_equal(seal_put_data(&p->client, SEAL_DATA, (const uint8_t *)"1", 1, &p->wire), 0);
	assert_int_equal(seal_put_data(&p->client, SEAL_DATA, (const uint8_t *)"2", 1, &p->wire), 0);
	carry(&p->to_guest, &p->wire);
	before = p->guest;
	assert_int_equal(open_frame(&p->guest, &p->to_guest.got[1], plain, &len), SEAL_E_SEQUENCE);
	p->guest = before;
	assert_int_equal(open_frame(&p->guest, &p->to_guest.got[0], plain, &len), SEAL_DATA);
	assert_int_equal(open_frame(&p->guest, &p->to_guest.got[0], plain, &len), SEAL_E_SEQUENCE);
	/* What the client said, sent back to it. */
	assert_int_equal(open_frame(&p->client, &p->to_guest.got[0], plain, &len), SEAL_E_TAG);
	pair_free(p);
}

/* Records of one conversation mean nothing in another with the same guest. */
static void conversations_do_not_mix(void **state)
{
	struct pair *a = pair_new(), *b = pair_new();
	uint8_t plain[SEAL_CONTENT_MAX];
	struct seal_report report;
	size_t len;

	(void)state;
	until_open(a);
	until_open(b);
	assert_int_equal(seal_put_data(&a->guest, SEAL_DATA, (const uint8_t *)"a", 1, &a->wire), 0);
	carry(&a->to_client, &a->wire);
	assert_int_equal(open_frame(&b->client, &a->to_client.got[0], plain, &len), SEAL_E_TAG);
	/* Nor does the evidence: another client's REPLY is passed over, and one with our nonce pasted in binds other keys. */
	until_reply(a);
	until_reply(b);
	assert_int_equal(seal_on_reply(&b->client, a->to_client.got[0].body, a->to_client.got[0].len, &report), SEAL_OTHERS);
	memcpy(a->to_client.got[0].body, b->client.nonce, SEAL_NONCE_BYTES);
	assert_int_equal(seal_on_reply(&b->client, a->to_client.got[0].body, a->to_client.got[0].len, &report), 0);
	assert_memory_not_equal(report.data, b->client.bind, SEAL_BIND_BYTES);
	pair_free(a);
	pair_free(b);
}

static void a_changed_handshake_is_found(void **state)
{
	struct pair *p = pair_new();
	struct seal_report report;
	struct frame f;

	(void)state;
	/* A byte of the report that REPORT_DATA does not cover. */
	until_reply(p);
	f = p->to_client.got[0];
	f.body[f.len - 1] ^= 1;
	assert_int_equal(seal_on_reply(&p->client, f.body, f.len, &report), 0);
	assert_int_equal(seal_confirm(&p->client, &p->wire), 0);
	carry(&p->to_guest, &p->wire);
	assert_int_equal(seal_on_confirm(&p->guest, p->to_guest.got[0].body, p->to_guest.got[0].len, &p->wire), SEAL_E_CONFIRM);
	/* Older versions and other suites. */
	until_reply(p);
	f = p->to_guest.got[0];
	f.body[1] = 0;
	assert_int_equal(seal_on_hello(&p->guest, f.body, f.len, VM), SEAL_E_VERSION);
	f = p->to_guest.got[0];
	f.body[3] = 9;
	assert_int_equal(seal_on_hello(&p->guest, f.body, f.len, VM), SEAL_E_VERSION);
	/* A key that is no point, the point at infinity, another machine, a short one. */
	f = p->to_guest.got[0];
	f.body[4 + 64] ^= 1;
	assert_int_equal(seal_on_hello(&p->guest, f.body, f.len, VM), SEAL_E_KEY);
	memset(f.body + 4, 0, SEAL_POINT_BYTES);
	assert_int_equal(seal_on_hello(&p->guest, f.body, f.len, VM), SEAL_E_KEY);
	f = p->to_guest.got[0];
	f.body[f.len - 1] ^= 1;
	assert_int_equal(seal_on_hello(&p->guest, f.body, f.len, VM), SEAL_E_FORMAT);
	assert_int_equal(seal_on_hello(&p->guest, f.body, f.len - 1, VM), SEAL_E_FORMAT);
	/* Records before the keys are confirmed. */
	until_reply(p);
	assert_int_equal(seal_put(&p->guest, SEAL_PING, "12345678", 8, &p->wire), SEAL_E_ORDER);
	pair_free(p);
}

static void only_the_owner_gets_in(void **state)
{
	uint8_t key[32], point[65], owner[32], other[32], hash[32], auth[SEAL_POINT_BYTES + SEAL_SIGN_BYTES];
	struct pair *p = pair_new(), *q = pair_new();

	(void)state;
	assert_int_equal(curve_key(key, point), 0);
	assert_int_equal(seal_owner(key, point, owner), 0);
	assert_int_equal(curve_key(other, point), 0);
	assert_int_equal(seal_owner(other, point, hash), 0);
	until_open(p);
	until_open(q);
	assert_int_equal(seal_sign(&p->client, key, auth), 0);
	assert_int_equal(seal_check_owner(&p->guest, auth, sizeof(auth), owner), 0);
	assert_int_equal(seal_check_owner(&p->guest, auth, sizeof(auth), hash), SEAL_E_OWNER);
	/* The same signature in another conversation: a relayed login. */
	assert_int_equal(seal_check_owner(&q->guest, auth, sizeof(auth), owner), SEAL_E_OWNER);
	auth[SEAL_POINT_BYTES + 3] ^= 1;
	assert_int_equal(seal_check_owner(&p->guest, auth, sizeof(auth), owner), SEAL_E_OWNER);
	assert_int_equal(seal_check_owner(&p->guest, auth, sizeof(auth) - 1, owner), SEAL_E_FORMAT);
	/* Another's key with the owner's point before it. */
	assert_int_equal(seal_sign(&p->client, other, auth), 0);
	assert_int_equal(seal_owner(key, auth, hash), 0);
	assert_int_equal(seal_check_owner(&p->guest, auth, sizeof(auth), owner), SEAL_E_OWNER);
	pair_free(p);
	pair_free(q);
}

static void keys_change_and_the_stream_goes_on(void **state)
{
	struct pair *p = pair_new();
	uint8_t plain[SEAL_CONTENT_MAX], old[SEAL_KEY_BYTES];
	size_t len;

	(void)state;
	until_open(p);
	memcpy(old, p->guest.out.key, sizeof(old));
	p->guest.out.records = SEAL_REKEY_RECORDS;
	assert_int_equal(seal_put_data(&p->guest, SEAL_DATA, (const uint8_t *)"new", 3, &p->wire), 0);
	assert_memory_not_equal(p->guest.out.key, old, sizeof(old));
	carry(&p->to_client, &p->wire);
	assert_int_equal(p->to_client.count, 2);
	assert_int_equal(open_frame(&p->client, &p->to_client.got[0], plain, &len), SEAL_REKEY);
	assert_int_equal(open_frame(&p->client, &p->to_client.got[1], plain, &len), SEAL_DATA);
	assert_memory_equal(plain, "new", 3);
	pair_free(p);
}

/* A page is reloaded in the middle of a record: its successor is understood all the same. */
static void a_torn_record_does_not_swallow_the_next_hello(void **state)
{
	static const uint8_t data[SEAL_DATA_MAX];
	struct pair *p = pair_new();

	(void)state;
	until_open(p);
	assert_int_equal(seal_put_data(&p->client, SEAL_DATA, data, sizeof(data), &p->wire), 0);
	p->wire.len = 100;
	assert_int_equal(seal_hello(&p->client, VM, &p->wire), 0);
	carry(&p->to_guest, &p->wire);
	assert_int_equal(p->to_guest.count, 2);
	assert_int_equal(p->to_guest.got[0].type, SEAL_RECORD);
	assert_int_equal(p->to_guest.got[1].type, SEAL_HELLO);
	pair_free(p);
}

static void a_reader_finds_back_from_garbage(void **state)
{
	struct pair *p = pair_new();
	uint8_t junk[300];

	(void)state;
	until_open(p);
	memset(junk, 0xa5, sizeof(junk));
	p->to_guest.count = 0;
	assert_int_equal(seal_feed(&p->to_guest.reader, junk, sizeof(junk), on_frame, &p->to_guest), SEAL_E_FORMAT);
	assert_int_equal(seal_hello(&p->client, VM, &p->wire), 0);
	carry(&p->to_guest, &p->wire);
	assert_int_equal(p->to_guest.count, 1);
	assert_int_equal(p->to_guest.got[0].type, SEAL_HELLO);
	pair_free(p);
}

/* FIPS 186 and SEC 1 by known answers: RFC 6979 A.2.5 (the key and its point). */
static void the_curve_is_the_standard_one(void **state)
{
	static const uint8_t key[32] = { 0xc9, 0xaf, 0xa9, 0xd8, 0x45, 0xba, 0x75, 0x16, 0x6b, 0x5c, 0x21, 0x57, 0x67, 0xb1, 0xd6, 0x93,
					 0x4e, 0x50, 0xc3, 0xdb, 0x36, 0xe8, 0x9b, 0x12, 0x7b, 0x8a, 0x62, 0x2b, 0x12, 0x0f, 0x67, 0x21 };
	static const uint8_t x[32] = { 0x60, 0xfe, 0xd4, 0xba, 0x25, 0x5a, 0x9d, 0x31, 0xc9, 0x61, 0xeb, 0x74, 0xc6, 0x35, 0x6d, 0x68,
				       0xc0, 0x49, 0xb8, 0x92, 0x3b, 0x61, 0xfa, 0x6c, 0xe6, 0x69, 0x62, 0x2e, 0x60, 0xf2, 0x9f, 0xb6 };
	uint8_t point[65], zero[32] = { 0 };

	(void)state;
	assert_int_equal(curve_point(key, point), 0);
	assert_int_equal(point[0], 4);
	assert_memory_equal(point + 1, x, sizeof(x));
	assert_int_equal(curve_point(zero, point), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_both_ways),
		cmocka_unit_test(lengths_of_keys_do_not_show),
		cmocka_unit_test(every_changed_bit_is_found),
		cmocka_unit_test(repeats_gaps_and_mirrors_are_found),
		cmocka_unit_test(conversations_do_not_mix),
		cmocka_unit_test(a_changed_handshake_is_found),
		cmocka_unit_test(only_the_owner_gets_in),
		cmocka_unit_test(keys_change_and_the_stream_goes_on),
		cmocka_unit_test(a_torn_record_does_not_swallow_the_next_hello),
		cmocka_unit_test(a_reader_finds_back_from_garbage),
		cmocka_unit_test(the_curve_is_the_standard_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
