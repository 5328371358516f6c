/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake of terrarium-seal/1. Whatever fails leaves the conversation in SEAL_OVER with its keys wiped; nothing leads out of that but a
 * new HELLO, which begins another conversation.
 */
#include "hv/seal/seal.h"

#include <errno.h>
#include <string.h>

#include <mbedtls/hkdf.h>
#include <mbedtls/md.h>
#include <mbedtls/platform_util.h>

#include "hv/seal/curve.h"
#include "hv/seal/priv.h"

#define LABEL	    "terrarium-seal/1 "
#define HELLO_LEAST (2U + 2U + SEAL_POINT_BYTES + SEAL_NONCE_BYTES + 1U)
#define REPLY_LEAST (SEAL_NONCE_BYTES + SEAL_POINT_BYTES + SEAL_NONCE_BYTES + 4U)

const char *seal_strerror(int error)
{
	switch (error) {
	case SEAL_E_FORMAT: return "something that is no part of the protocol arrived";
	case SEAL_E_ORDER: return "a message arrived that has no place there";
	case SEAL_E_VERSION: return "the other end speaks another version: a downgrade is not accepted";
	case SEAL_E_KEY: return "the other end's key is no point of the curve";
	case SEAL_E_CONFIRM: return "the other end has not seen the same handshake: somebody in between changed it";
	case SEAL_E_SEQUENCE: return "a record is missing, repeated or out of order: somebody in between did that";
	case SEAL_E_TAG: return "a record was changed on its way";
	case SEAL_E_OWNER: return "this key is not the owner's";
	case SEAL_E_CRYPTO: return "the cryptographic library failed";
	default: return "the sealed conversation failed";
	}
}

void seal_finish(struct seal *s)
{
	mbedtls_platform_zeroize(s, sizeof(*s));
}

int seal_over(struct seal *s, int why)
{
	enum seal_role role = s->role;

	seal_finish(s);
	s->role = role;
	s->state = SEAL_OVER;
	return why;
}

int seal_frame(struct buf *out, enum seal_frame type, const void *a, size_t a_len, const void *b, size_t b_len)
{
	uint8_t head[5] = { (uint8_t)type };
	size_t before = out->len;

	put_u32(head + 1, (uint32_t)(a_len + b_len));
	if (buf_add(out, head, sizeof(head)) < 0 || (a_len && buf_add(out, a, a_len) < 0) || (b_len && buf_add(out, b, b_len) < 0)) {
		out->len = before;
		return -ENOSPC;
	}
	return 0;
}

static int pad(struct buf *out, size_t len)
{
	static const uint8_t zeros[512];

	while (len > 0) {
		size_t n = len < sizeof(zeros) ? len : sizeof(zeros);

		if (buf_add(out, zeros, n) < 0)
			return -ENOSPC;
		len -= n;
	}
	return 0;
}

/* --- hashes ---------------------------------------------------------------------------------------------------------------- */

struct part {
	const void *data;
	size_t len;
};

/* Hash of L(part)..., L = u32 length and the bytes: no two lists of parts look the same. */
static int hash_parts(mbedtls_md_type_t type, const struct part *parts, size_t count, uint8_t *out)
{
	mbedtls_md_context_t md;
	int r;

	mbedtls_md_init(&md);
	r = mbedtls_md_setup(&md, mbedtls_md_info_from_type(type), 0);
	if (r == 0)
		r = mbedtls_md_starts(&md);
	for (size_t i = 0; r == 0 && i < count; i++) {
		uint8_t len[4];

		put_u32(len, (uint32_t)parts[i].len);
		r = mbedtls_md_update(&md, len, sizeof(len));
		if (r == 0)
			r = mbedtls_md_update(&md, parts[i].data, parts[i].len);
	}
	if (r == 0)
		r = mbedtls_md_finish(&md, out);
	mbedtls_md_free(&md);
	return r == 0 ? 0 : SEAL_E_CRYPTO;
}

#define PART_LABEL(word) { LABEL word, sizeof(LABEL word) - 1 }

/* REPORT_DATA: both keys, both nonces, version, suite and machine. */
static int bind_session(struct seal *s, const uint8_t *guest_key_and_nonce)
{
	const struct part parts[] = { PART_LABEL("attest"),
				      { s->hello, s->hello_len },
				      { guest_key_and_nonce, SEAL_POINT_BYTES + SEAL_NONCE_BYTES } };

	return hash_parts(MBEDTLS_MD_SHA512, parts, 3, s->bind);
}

static int take_transcript(struct seal *s, const uint8_t *reply, size_t len)
{
	const struct part parts[] = { PART_LABEL("transcript"), { s->hello, s->hello_len }, { reply, len } };

	return hash_parts(MBEDTLS_MD_SHA256, parts, 3, s->transcript);
}

static int owner_hash(const struct seal *s, uint8_t hash[32])
{
	const struct part parts[] = { PART_LABEL("owner"), { s->transcript, sizeof(s->transcript) } };

	return hash_parts(MBEDTLS_MD_SHA256, parts, 2, hash);
}

static int hmac(const uint8_t key[32], const uint8_t *data, size_t len, uint8_t out[32])
{
	return mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), key, 32, data, len, out) == 0 ? 0 : SEAL_E_CRYPTO;
}

/* In a time that does not depend on what is in them. */
static bool equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	volatile uint8_t differ = 0;

	for (size_t i = 0; i < len; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

int seal_expand(const uint8_t key[32], const char *label, uint8_t *out, size_t len)
{
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);

	return mbedtls_hkdf_expand(md, key, 32, (const uint8_t *)label, strlen(label), out, len) == 0 ? 0 : SEAL_E_CRYPTO;
}

static int derive_way(const uint8_t prk[32], const char *label, struct seal_way *way)
{
	uint8_t both[SEAL_KEY_BYTES + SEAL_IV_BYTES];
	int r = seal_expand(prk, label, both, sizeof(both));

	*way = (struct seal_way){ 0 };
	memcpy(way->key, both, SEAL_KEY_BYTES);
	memcpy(way->iv, both + SEAL_KEY_BYTES, SEAL_IV_BYTES);
	mbedtls_platform_zeroize(both, sizeof(both));
	return r;
}

/* All keys, once both points are known. The private key is not needed any more. */
static int derive(struct seal *s)
{
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
	bool client = s->role == SEAL_CLIENT;
	uint8_t shared[32], prk[32];
	int r = curve_shared(s->secret, s->peer, shared) == 0 ? 0 : SEAL_E_KEY;

	if (r == 0 && mbedtls_hkdf_extract(md, s->bind, SEAL_BIND_BYTES / 2, shared, sizeof(shared), prk) != 0)
		r = SEAL_E_CRYPTO;
	if (r == 0)
		r = derive_way(prk, LABEL "c2s", client ? &s->out : &s->in);
	if (r == 0)
		r = derive_way(prk, LABEL "s2c", client ? &s->in : &s->out);
	if (r == 0)
		r = seal_expand(prk, LABEL "c confirm", s->confirm[0], 32);
	if (r == 0)
		r = seal_expand(prk, LABEL "s confirm", s->confirm[1], 32);
	mbedtls_platform_zeroize(shared, sizeof(shared));
	mbedtls_platform_zeroize(prk, sizeof(prk));
	mbedtls_platform_zeroize(s->secret, sizeof(s->secret));
	return r;
}

/* --- the client ------------------------------------------------------------------------------------------------------------ */

int seal_hello(struct seal *s, const char *vm, struct buf *out)
{
	size_t vm_len = strlen(vm);
	uint8_t *p = s->hello;

	*s = (struct seal){ .role = SEAL_CLIENT };
	if (vm_len > SEAL_VM_MAX)
		return seal_over(s, SEAL_E_FORMAT);
	if (curve_key(s->secret, s->point) < 0 || curve_random(s->nonce, sizeof(s->nonce)) < 0)
		return seal_over(s, SEAL_E_CRYPTO);
	put_u16(p, SEAL_VERSION);
	put_u16(p + 2, SEAL_SUITE);
	memcpy(p + 4, s->point, SEAL_POINT_BYTES);
	memcpy(p + 4 + SEAL_POINT_BYTES, s->nonce, SEAL_NONCE_BYTES);
	p[HELLO_LEAST - 1] = (uint8_t)vm_len;
	for (size_t i = 0; i < vm_len; i++)
		p[HELLO_LEAST + i] = (uint8_t)vm[i];
	s->hello_len = HELLO_LEAST + vm_len;
	if (pad(out, SEAL_PAD_BYTES) < 0)
		return seal_over(s, -ENOSPC);
	s->state = SEAL_SAID_HELLO;
	return seal_frame(out, SEAL_HELLO, s->hello, s->hello_len, NULL, 0);
}

int seal_on_reply(struct seal *s, const uint8_t *body, size_t len, struct seal_report *report)
{
	const uint8_t *key = body + SEAL_NONCE_BYTES;
	int r;

	if (s->role != SEAL_CLIENT)
		return seal_over(s, SEAL_E_ORDER);
	if (len < REPLY_LEAST || get_u32(body + REPLY_LEAST - 4) != len - REPLY_LEAST || len - REPLY_LEAST > SEAL_REPORT_MAX)
		return seal_over(s, SEAL_E_FORMAT);
	if (!equal(body, s->nonce, SEAL_NONCE_BYTES))
		return SEAL_OTHERS;
	if (s->state != SEAL_SAID_HELLO)
		return seal_over(s, SEAL_E_ORDER);
	memcpy(s->peer, key, SEAL_POINT_BYTES);
	r = bind_session(s, key);
	if (r == 0)
		r = take_transcript(s, body, len);
	if (r == 0)
		r = derive(s);
	if (r < 0)
		return seal_over(s, r);
	*report = (struct seal_report){ body + REPLY_LEAST, len - REPLY_LEAST };
	s->state = SEAL_BOUND;
	return 0;
}

int seal_confirm(struct seal *s, struct buf *out)
{
	uint8_t mac[32];
	int r;

	if (s->role != SEAL_CLIENT || s->state != SEAL_BOUND)
		return seal_over(s, SEAL_E_ORDER);
	r = hmac(s->confirm[0], s->transcript, sizeof(s->transcript), mac);
	if (r == 0)
		r = seal_frame(out, SEAL_CONFIRM, mac, sizeof(mac), NULL, 0);
	if (r < 0)
		return seal_over(s, r);
	s->state = SEAL_CONFIRMING;
	return 0;
}

/* The other end's HMAC; its key is used up then. */
static int check_confirm(struct seal *s, const uint8_t *body, size_t len, uint8_t key[32])
{
	uint8_t mac[32];
	int r = len == sizeof(mac) ? hmac(key, s->transcript, sizeof(s->transcript), mac) : SEAL_E_FORMAT;

	if (r == 0 && !equal(mac, body, sizeof(mac)))
		r = SEAL_E_CONFIRM;
	return r < 0 ? seal_over(s, r) : 0;
}

int seal_on_confirmed(struct seal *s, const uint8_t *body, size_t len)
{
	int r;

	if (s->role != SEAL_CLIENT || s->state != SEAL_CONFIRMING)
		return seal_over(s, SEAL_E_ORDER);
	r = check_confirm(s, body, len, s->confirm[1]);
	if (r == 0)
		s->state = SEAL_OPEN;
	return r;
}

/* --- the guest ------------------------------------------------------------------------------------------------------------- */

static int parse_hello(struct seal *s, const uint8_t *body, size_t len, const char *vm)
{
	size_t vm_len = strlen(vm);

	if (len < HELLO_LEAST || len != HELLO_LEAST + body[HELLO_LEAST - 1] || len > sizeof(s->hello))
		return SEAL_E_FORMAT;
	if (body[0] != 0 || body[1] != SEAL_VERSION || body[2] != 0 || body[3] != SEAL_SUITE)
		return SEAL_E_VERSION;
	if (body[HELLO_LEAST - 1] != vm_len || memcmp(body + HELLO_LEAST, vm, vm_len) != 0)
		return SEAL_E_FORMAT;
	memcpy(s->hello, body, len);
	s->hello_len = len;
	memcpy(s->peer, body + 4, SEAL_POINT_BYTES);
	return 0;
}

int seal_on_hello(struct seal *s, const uint8_t *body, size_t len, const char *vm)
{
	uint8_t mine[SEAL_POINT_BYTES + SEAL_NONCE_BYTES];
	int r;

	seal_finish(s);
	s->role = SEAL_GUEST;
	r = parse_hello(s, body, len, vm);
	if (r == 0 && (curve_key(s->secret, s->point) < 0 || curve_random(s->nonce, sizeof(s->nonce)) < 0))
		r = SEAL_E_CRYPTO;
	if (r < 0)
		return seal_over(s, r);
	memcpy(mine, s->point, SEAL_POINT_BYTES);
	memcpy(mine + SEAL_POINT_BYTES, s->nonce, SEAL_NONCE_BYTES);
	r = bind_session(s, mine);
	if (r == 0)
		r = derive(s);
	if (r < 0)
		return seal_over(s, r);
	s->state = SEAL_SAID_HELLO;
	return 0;
}

int seal_reply(struct seal *s, const uint8_t *report, size_t len, struct buf *out)
{
	uint8_t body[REPLY_LEAST + SEAL_REPORT_MAX], *p = body;
	int r;

	if (s->role != SEAL_GUEST || s->state != SEAL_SAID_HELLO)
		return seal_over(s, SEAL_E_ORDER);
	if (len > SEAL_REPORT_MAX)
		return seal_over(s, SEAL_E_FORMAT);
	memcpy(p, s->hello + 4 + SEAL_POINT_BYTES, SEAL_NONCE_BYTES);
	memcpy(p + SEAL_NONCE_BYTES, s->point, SEAL_POINT_BYTES);
	memcpy(p + SEAL_NONCE_BYTES + SEAL_POINT_BYTES, s->nonce, SEAL_NONCE_BYTES);
	put_u32(p + REPLY_LEAST - 4, (uint32_t)len);
	memcpy(p + REPLY_LEAST, report, len);
	r = take_transcript(s, body, REPLY_LEAST + len);
	if (r == 0)
		r = pad(out, SEAL_PAD_RUN);
	if (r == 0)
		r = seal_frame(out, SEAL_REPLY, body, REPLY_LEAST + len, NULL, 0);
	if (r < 0)
		return seal_over(s, r);
	s->state = SEAL_BOUND;
	return 0;
}

int seal_on_confirm(struct seal *s, const uint8_t *body, size_t len, struct buf *out)
{
	uint8_t mac[32];
	int r;

	if (s->role != SEAL_GUEST || s->state != SEAL_BOUND)
		return seal_over(s, SEAL_E_ORDER);
	r = check_confirm(s, body, len, s->confirm[0]);
	if (r < 0)
		return r;
	r = hmac(s->confirm[1], s->transcript, sizeof(s->transcript), mac);
	if (r == 0)
		r = seal_frame(out, SEAL_CONFIRMED, mac, sizeof(mac), NULL, 0);
	if (r < 0)
		return seal_over(s, r);
	s->state = SEAL_OPEN;
	return 0;
}

/* --- the owner ------------------------------------------------------------------------------------------------------------- */

static int sha256_of(const uint8_t *data, size_t len, uint8_t out[32])
{
	return mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), data, len, out) == 0 ? 0 : SEAL_E_CRYPTO;
}

int seal_owner(const uint8_t key[SEAL_KEY_BYTES], uint8_t point[SEAL_POINT_BYTES], uint8_t hash[32])
{
	if (curve_point(key, point) < 0)
		return SEAL_E_KEY;
	return sha256_of(point, SEAL_POINT_BYTES, hash);
}

int seal_sign(const struct seal *s, const uint8_t key[SEAL_KEY_BYTES], uint8_t out[SEAL_POINT_BYTES + SEAL_SIGN_BYTES])
{
	uint8_t hash[32];
	int r = owner_hash(s, hash);

	if (r < 0)
		return r;
	return curve_point(key, out) < 0 || curve_sign(key, hash, out + SEAL_POINT_BYTES) < 0 ? SEAL_E_KEY : 0;
}

int seal_check_owner(const struct seal *s, const uint8_t *content, size_t len, const uint8_t owner[32])
{
	uint8_t point_hash[32], hash[32];
	int r;

	if (len != SEAL_POINT_BYTES + SEAL_SIGN_BYTES)
		return SEAL_E_FORMAT;
	r = sha256_of(content, SEAL_POINT_BYTES, point_hash);
	if (r == 0)
		r = owner_hash(s, hash);
	if (r < 0)
		return r;
	if (!equal(point_hash, owner, 32) || curve_verify(content, hash, content + SEAL_POINT_BYTES) < 0)
		return SEAL_E_OWNER;
	return 0;
}
