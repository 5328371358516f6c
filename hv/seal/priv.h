/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SEAL_PRIV_H
#define HV_SEAL_PRIV_H

#include "hv/seal/seal.h"

/* Shared by the handshake (seal.c) and the records (record.c). */

static inline void put_u16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_u32(uint8_t *p, uint32_t v)
{
	put_u16(p, v >> 16);
	put_u16(p + 2, v & 0xffff);
}

static inline void put_u64(uint8_t *p, uint64_t v)
{
	put_u32(p, (uint32_t)(v >> 32));
	put_u32(p + 4, (uint32_t)v);
}

static inline uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t get_u64(const uint8_t *p)
{
	return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

/** seal_frame() - append one frame of up to two parts. Return: 0 or -ENOSPC, and nothing is appended */
int seal_frame(struct buf *out, enum seal_frame type, const void *a, size_t a_len, const void *b, size_t b_len);

/** seal_expand() - HKDF-Expand (RFC 5869) with one of our labels. Return: 0 or SEAL_E_CRYPTO */
int seal_expand(const uint8_t key[32], const char *label, uint8_t *out, size_t len);

/** seal_over() - the conversation is over: keys are wiped. Return: @why */
int seal_over(struct seal *s, int why);

#endif
