/* SPDX-License-Identifier: Apache-2.0 */
/* Records of terrarium-seal/1, and the frames they come in. */
#include <errno.h>
#include <string.h>

#include <mbedtls/gcm.h>
#include <mbedtls/platform_util.h>

#include "hv/seal/priv.h"

#define HEAD_BYTES 9U /* type and sequence */
#define DATA_ALIGN 64U
#define AAD_BYTES  17U
#define NEXT	   "terrarium-seal/1 next"

/* What a record's tag also covers. */
static void additional(const struct seal *s, bool sending, const uint8_t head[HEAD_BYTES], size_t content, uint8_t aad[AAD_BYTES])
{
	bool from_client = (s->role == SEAL_CLIENT) == sending;

	put_u16(aad, SEAL_VERSION);
	aad[2] = SEAL_RECORD;
	aad[3] = from_client ? 1 : 2;
	memcpy(aad + 4, head, HEAD_BYTES);
	put_u32(aad + 4 + HEAD_BYTES, (uint32_t)content);
}

static void nonce_of(const struct seal_way *w, uint8_t nonce[SEAL_IV_BYTES])
{
	uint8_t seq[8];

	put_u64(seq, w->seq);
	memcpy(nonce, w->iv, SEAL_IV_BYTES);
	for (size_t i = 0; i < sizeof(seq); i++)
		nonce[SEAL_IV_BYTES - 8 + i] ^= seq[i];
}

/* Encrypt or open @len bytes. @tag is written when sending. Return: 0, SEAL_E_TAG or SEAL_E_CRYPTO */
static int crypt(const struct seal_way *w, bool sending, const uint8_t aad[AAD_BYTES], const uint8_t *in, size_t len, uint8_t *out,
		 uint8_t tag[SEAL_TAG_BYTES])
{
	mbedtls_gcm_context gcm;
	uint8_t nonce[SEAL_IV_BYTES];
	int r;

	nonce_of(w, nonce);
	mbedtls_gcm_init(&gcm);
	r = mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, w->key, SEAL_KEY_BYTES * 8);
	if (r == 0 && sending)
		r = mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, len, nonce, sizeof(nonce), aad, AAD_BYTES, in, out, SEAL_TAG_BYTES, tag);
	else if (r == 0)
		r = mbedtls_gcm_auth_decrypt(&gcm, len, nonce, sizeof(nonce), aad, AAD_BYTES, tag, SEAL_TAG_BYTES, in, out);
	mbedtls_gcm_free(&gcm);
	return r == 0 ? 0 : r == MBEDTLS_ERR_GCM_AUTH_FAILED ? SEAL_E_TAG : SEAL_E_CRYPTO;
}

/* The key after this one. The sequence goes on: a vector and a number never meet twice anyway, for the vector is new as well. */
static int next_key(struct seal_way *w)
{
	uint8_t both[SEAL_KEY_BYTES + SEAL_IV_BYTES];
	int r = seal_expand(w->key, NEXT, both, sizeof(both));

	memcpy(w->key, both, SEAL_KEY_BYTES);
	memcpy(w->iv, both + SEAL_KEY_BYTES, SEAL_IV_BYTES);
	mbedtls_platform_zeroize(both, sizeof(both));
	w->records = w->bytes = 0;
	return r;
}

static void counted(struct seal_way *w, size_t len)
{
	w->seq++;
	w->records++;
	w->bytes += len;
}

static int put(struct seal *s, enum seal_record type, const void *content, size_t len, struct buf *out)
{
	uint8_t head[HEAD_BYTES] = { (uint8_t)type }, aad[AAD_BYTES], sealed[SEAL_CONTENT_MAX + SEAL_TAG_BYTES];
	int r;

	if (s->state != SEAL_OPEN)
		return seal_over(s, SEAL_E_ORDER);
	if (len > SEAL_CONTENT_MAX)
		return SEAL_E_FORMAT;
	put_u64(head + 1, s->out.seq);
	additional(s, true, head, len, aad);
	r = crypt(&s->out, true, aad, content, len, sealed, sealed + len);
	if (r < 0)
		return seal_over(s, r);
	r = seal_frame(out, SEAL_RECORD, head, sizeof(head), sealed, len + SEAL_TAG_BYTES);
	if (r < 0)
		return r; /* as if it had not been called */
	counted(&s->out, len);
	return 0;
}

int seal_rekey(struct seal *s, struct buf *out)
{
	int r = put(s, SEAL_REKEY, "", 0, out);

	if (r == 0 && next_key(&s->out) < 0)
		r = seal_over(s, SEAL_E_CRYPTO);
	return r;
}

int seal_put(struct seal *s, enum seal_record type, const void *content, size_t len, struct buf *out)
{
	int r = 0;

	if (s->out.records >= SEAL_REKEY_RECORDS || s->out.bytes >= SEAL_REKEY_BYTES)
		r = seal_rekey(s, out);
	return r < 0 ? r : put(s, type, content, len, out);
}

int seal_put_data(struct seal *s, enum seal_record type, const uint8_t *data, size_t len, struct buf *out)
{
	uint8_t content[SEAL_CONTENT_MAX];
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n = len < SEAL_DATA_MAX ? len : SEAL_DATA_MAX, whole = (n + 2 + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;

		memset(content, 0, whole);
		put_u16(content, (unsigned)n);
		memcpy(content + 2, data, n);
		r = seal_put(s, type, content, whole, out);
		data += n;
		len -= n;
	}
	mbedtls_platform_zeroize(content, sizeof(content));
	return r;
}

/* The terminal's bytes in the content of DATA: moves them to the front. */
static int unpad(uint8_t *plain, size_t *len)
{
	size_t n;

	if (*len < 2)
		return SEAL_E_FORMAT;
	n = (size_t)plain[0] << 8 | plain[1];
	if (n > *len - 2)
		return SEAL_E_FORMAT;
	memmove(plain, plain + 2, n);
	*len = n;
	return 0;
}

int seal_get(struct seal *s, const uint8_t *body, size_t *len, uint8_t *plain)
{
	uint8_t aad[AAD_BYTES], tag[SEAL_TAG_BYTES];
	enum seal_record type;
	size_t content;
	int r;

	if (s->state != SEAL_OPEN)
		return seal_over(s, SEAL_E_ORDER);
	if (*len < HEAD_BYTES + SEAL_TAG_BYTES || *len - HEAD_BYTES - SEAL_TAG_BYTES > SEAL_CONTENT_MAX || body[0] == 0 || body[0] >= SEAL_RECORDS)
		return seal_over(s, SEAL_E_FORMAT);
	if (get_u64(body + 1) != s->in.seq)
		return seal_over(s, SEAL_E_SEQUENCE);
	content = *len - HEAD_BYTES - SEAL_TAG_BYTES;
	type = (enum seal_record)body[0];
	additional(s, false, body, content, aad);
	memcpy(tag, body + HEAD_BYTES + content, sizeof(tag));
	r = crypt(&s->in, false, aad, body + HEAD_BYTES, content, plain, tag);
	*len = content;
	if (r == 0)
		counted(&s->in, content);
	if (r == 0 && type == SEAL_REKEY)
		r = content == 0 ? next_key(&s->in) : SEAL_E_FORMAT;
	if (r == 0 && (type == SEAL_DATA || type == SEAL_REPLAY))
		r = unpad(plain, len);
	return r < 0 ? seal_over(s, r) : (int)type;
}

/* --- frames out of a stream ------------------------------------------------------------------------------------------------ */

/* Not synced: a frame may begin only after SEAL_PAD_RUN zeros. Return: bytes used */
static size_t look_for_pad(struct seal_reader *r, const uint8_t *data, size_t len)
{
	size_t i = 0;

	for (; i < len; i++) {
		if (data[i] == SEAL_PAD) {
			r->zeros++;
			continue;
		}
		if (r->zeros >= SEAL_PAD_RUN) {
			r->synced = true;
			r->have = 0;
			break;
		}
		r->zeros = 0;
	}
	return i;
}

static void lose(struct seal_reader *r)
{
	r->synced = false;
	r->zeros = r->have = 0;
}

static size_t body_length(const struct seal_reader *r)
{
	return get_u32(r->frame + 1);
}

/* Synced: gather one frame. @whole: it is complete. Return: bytes used, or SEAL_E_FORMAT */
static int gather(struct seal_reader *r, const uint8_t *data, size_t len, bool *whole)
{
	size_t want = r->have < 5 ? 5 : 5 + body_length(r), n;

	if (r->have == 0 && data[0] == SEAL_PAD)
		return 1;
	n = want - r->have < len ? want - r->have : len;
	memcpy(r->frame + r->have, data, n);
	r->have += n;
	if (r->frame[0] >= SEAL_FRAMES || (r->have >= 5 && body_length(r) > SEAL_BODY_MAX))
		return SEAL_E_FORMAT;
	*whole = r->have >= 5 && r->have == 5 + body_length(r);
	return (int)n;
}

int seal_feed(struct seal_reader *r, const uint8_t *data, size_t len,
	      bool (*on_frame)(void *arg, enum seal_frame type, const uint8_t *body, size_t len), void *arg)
{
	int result = 0;

	for (size_t at = 0; at < len;) {
		bool whole = false;
		int n;

		if (!r->synced) {
			at += look_for_pad(r, data + at, len - at);
			continue;
		}
		n = gather(r, data + at, len - at, &whole);
		if (n < 0) {
			lose(r);
			result = n;
			continue;
		}
		at += (size_t)n;
		if (!whole)
			continue;
		r->have = 0;
		if (!on_frame(arg, (enum seal_frame)r->frame[0], r->frame + 5, body_length(r)))
			return result;
	}
	return result;
}
