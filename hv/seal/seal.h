/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SEAL_SEAL_H
#define HV_SEAL_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * terrarium-seal/1: a terminal encrypted between a person's client and a guest, over a byte stream that anybody in between may read, cut,
 * delay, change or answer himself. What he can do is to stop it; he is found out, and learns only lengths and times. docs/confidential.md
 * has the reasons, web/seal.js the other implementation.
 *
 * Frames: u8 type, u32 length, body; integers are big-endian. A single zero byte where a frame would begin is padding. Streams are joined
 * in the middle: who sends a HELLO sends SEAL_PAD_BYTES of padding first, which complete whatever a former client left unfinished; who reads
 * begins by looking for SEAL_PAD_RUN zeros, which no ciphertext has.
 *
 *   client -> guest  HELLO    u16 version, u16 suite, point[65], nonce[32], u8 length, name of the machine
 *   guest -> client  REPLY    nonce[32] of the HELLO, point[65], nonce[32], u32 length, attestation report
 *                    The report's REPORT_DATA is SHA-512(L(label "attest"), L(HELLO), L(point, nonce)), L = u32 length and the bytes: it binds both keys.
 *   client -> guest  CONFIRM  HMAC-SHA-256(c, T), T = SHA-256(L(label "transcript"), L(HELLO), L(REPLY)), after it has judged the report
 *   guest -> client  CONFIRMED HMAC-SHA-256(s, T)
 *   both             RECORD   u8 enum seal_record, u64 sequence, AES-256-GCM of the content, tag[16]
 *
 * P-256; PRK = HKDF-SHA-256-Extract(first half of REPORT_DATA, ECDH); keys, 12-byte initial vectors and the HMAC keys by Expand with labels.
 * A record's nonce is the vector xor its sequence number, which grows by one; additional data: version, frame type, direction, record type,
 * sequence, length of the content. The client's first record is AUTH: the owner's public key (its SHA-256 is the guest's HOST_DATA) and
 * ECDSA over "owner" and T; the guest answers READY, or CLOSE with a reason. CLOSE is the only proper end.
 */
#define SEAL_VERSION 1
#define SEAL_SUITE   1 /* P-256, HKDF-SHA-256, AES-256-GCM */

#define SEAL_POINT_BYTES  65
#define SEAL_NONCE_BYTES  32
#define SEAL_KEY_BYTES	  32
#define SEAL_IV_BYTES	  12
#define SEAL_TAG_BYTES	  16
#define SEAL_BIND_BYTES	  64 /* REPORT_DATA */
#define SEAL_SIGN_BYTES	  64 /* r and s */
#define SEAL_VM_MAX	  64
#define SEAL_REPORT_MAX	  8192
#define SEAL_CONTENT_MAX  8192 /* of a record, before encryption */
#define SEAL_BODY_MAX	  (SEAL_CONTENT_MAX + 256)
#define SEAL_FRAME_MAX	  (SEAL_BODY_MAX + 5)
#define SEAL_PAD_RUN	  64
#define SEAL_PAD_BYTES	  (SEAL_FRAME_MAX + SEAL_PAD_RUN)
#define SEAL_DATA_MAX	  (SEAL_CONTENT_MAX - 64) /* bytes of a terminal in one record: there is a length before, and padding behind */
#define SEAL_REKEY_RECORDS (1ULL << 20)
#define SEAL_REKEY_BYTES   (1ULL << 30)
#define SEAL_REKEY_MS	   900000ULL

enum seal_frame { SEAL_PAD, SEAL_HELLO, SEAL_REPLY, SEAL_CONFIRM, SEAL_CONFIRMED, SEAL_RECORD, SEAL_FRAMES };

enum seal_record {
	SEAL_DATA = 1, /* u16 length, bytes, zeros: content is a multiple of 64 bytes, so that keys of several bytes look like others */
	SEAL_RESIZE,   /* u16 cols, u16 rows */
	SEAL_SIGNAL,   /* u8 number; to the foreground of the terminal */
	SEAL_REKEY,    /* nothing: the sender's next record has the next key */
	SEAL_PING,     /* u64, which comes back in */
	SEAL_PONG,
	SEAL_AUTH,     /* point[65], r and s[64] */
	SEAL_READY,    /* u16 cols, u16 rows; SEAL_REPLAY and SEAL_DATA follow */
	SEAL_REPLAY,   /* as DATA: output of before, whose questions a terminal must not answer again */
	SEAL_EXIT,     /* i32 code, u8 signal; CLOSE follows */
	SEAL_CLOSE,    /* a reason in UTF-8 */
	SEAL_RECORDS,
};

enum seal_role { SEAL_CLIENT, SEAL_GUEST };

/* Why a conversation is over; negative results of the functions below. The words are for people: seal_strerror(). */
enum seal_error {
	SEAL_E_FORMAT = -1001,	 /* malformed frame or content */
	SEAL_E_ORDER = -1002,	 /* a frame that has no place here */
	SEAL_E_VERSION = -1003,	 /* other version or suite: a downgrade */
	SEAL_E_KEY = -1004,	 /* no point of the curve */
	SEAL_E_CONFIRM = -1005,	 /* the other end does not have the keys, or saw another handshake */
	SEAL_E_SEQUENCE = -1006, /* a record is missing, repeated or out of order */
	SEAL_E_TAG = -1007,	 /* a record was changed */
	SEAL_E_OWNER = -1008,	 /* not the owner's key */
	SEAL_E_CRYPTO = -1009,	 /* the library failed: no randomness, no memory */
};

const char *seal_strerror(int error);

/* One direction's key. */
struct seal_way {
	uint8_t key[SEAL_KEY_BYTES], iv[SEAL_IV_BYTES];
	uint64_t seq, records, bytes; /* next sequence number; both others since the key was new */
};

enum seal_state { SEAL_NEW, SEAL_SAID_HELLO, SEAL_BOUND, SEAL_CONFIRMING, SEAL_OPEN, SEAL_OVER };

/**
 * struct seal - one end of one conversation. seal_finish() wipes it
 * @bind: what REPORT_DATA has to be
 */
struct seal {
	enum seal_role role;
	enum seal_state state;
	uint8_t secret[SEAL_KEY_BYTES], point[SEAL_POINT_BYTES], peer[SEAL_POINT_BYTES], nonce[SEAL_NONCE_BYTES];
	uint8_t hello[2 + 2 + SEAL_POINT_BYTES + SEAL_NONCE_BYTES + 1 + SEAL_VM_MAX];
	size_t hello_len;
	uint8_t bind[SEAL_BIND_BYTES], transcript[32], confirm[2][32]; /* HMAC keys: the client's, the guest's */
	struct seal_way out, in;
};

/** seal_finish() - wipe */
void seal_finish(struct seal *s);

/* --- the handshake; each appends whole frames to @out. Return: 0 or an enum seal_error ------------------------------------ */

/** seal_hello() - client: begin, for the machine called @vm (at most SEAL_VM_MAX bytes). Padding and HELLO */
int seal_hello(struct seal *s, const char *vm, struct buf *out);

/** seal_on_hello() - guest: a HELLO's body begins a conversation; @s->bind is then what the report has to carry */
int seal_on_hello(struct seal *s, const uint8_t *body, size_t len, const char *vm);

/** seal_reply() - guest: padding and REPLY with the report for @s->bind */
int seal_reply(struct seal *s, const uint8_t *report, size_t len, struct buf *out);

/** struct seal_report - in the body of a REPLY */
struct seal_report {
	const uint8_t *data;
	size_t len;
};

enum { SEAL_OTHERS = 1 }; /* the REPLY answers another client's HELLO: ignore it */

/** seal_on_reply() - client: a REPLY's body. Afterwards @report is to be judged, with REPORT_DATA equal to @s->bind. Return also SEAL_OTHERS */
int seal_on_reply(struct seal *s, const uint8_t *body, size_t len, struct seal_report *report);

/** seal_confirm() - client: the report is good: CONFIRM */
int seal_confirm(struct seal *s, struct buf *out);

/** seal_on_confirm() - guest: checks CONFIRM, appends CONFIRMED; records may go now */
int seal_on_confirm(struct seal *s, const uint8_t *body, size_t len, struct buf *out);

/** seal_on_confirmed() - client: records may go now */
int seal_on_confirmed(struct seal *s, const uint8_t *body, size_t len);

/** seal_sign() - content of AUTH with the owner's key, 32 bytes big-endian */
int seal_sign(const struct seal *s, const uint8_t key[SEAL_KEY_BYTES], uint8_t out[SEAL_POINT_BYTES + SEAL_SIGN_BYTES]);

/** seal_check_owner() - guest: is this AUTH made, in this conversation, by the key whose SHA-256 is @owner? */
int seal_check_owner(const struct seal *s, const uint8_t *content, size_t len, const uint8_t owner[32]);

/** seal_owner() - public key of @key, and its SHA-256 */
int seal_owner(const uint8_t key[SEAL_KEY_BYTES], uint8_t point[SEAL_POINT_BYTES], uint8_t hash[32]);

/* --- records -------------------------------------------------------------------------------------------------------------- */

/** seal_put() - append one record; a REKEY goes before it when one is due. Return: 0, an enum seal_error, or -ENOSPC */
int seal_put(struct seal *s, enum seal_record type, const void *content, size_t len, struct buf *out);

/** seal_put_data() - append DATA or REPLAY records with all of @data */
int seal_put_data(struct seal *s, enum seal_record type, const uint8_t *data, size_t len, struct buf *out);

/** seal_rekey() - the next record has a new key: call it at the latest every SEAL_REKEY_MS */
int seal_rekey(struct seal *s, struct buf *out);

/**
 * seal_get() - open a RECORD's body
 * @plain: SEAL_CONTENT_MAX bytes; @len in: of the body, out: of the content. For DATA and REPLAY, the terminal's bytes only
 *
 * Return: enum seal_record; SEAL_REKEY needs nothing more. Or an enum seal_error: the conversation is over.
 */
int seal_get(struct seal *s, const uint8_t *body, size_t *len, uint8_t *plain);

/* --- frames out of a stream ------------------------------------------------------------------------------------------------- */

/**
 * struct seal_reader - zeroed: looks for padding first
 * @synced: a frame or padding comes next
 */
struct seal_reader {
	uint8_t frame[SEAL_FRAME_MAX];
	size_t have, zeros;
	bool synced;
};

/**
 * seal_feed() - the next bytes of the stream
 * @on_frame: gets each frame; false stops: what follows is not looked at
 *
 * Return: 0; SEAL_E_FORMAT when there was something that is no frame (padding is looked for from then on).
 */
int seal_feed(struct seal_reader *r, const uint8_t *data, size_t len,
	      bool (*on_frame)(void *arg, enum seal_frame type, const uint8_t *body, size_t len), void *arg);

#endif
