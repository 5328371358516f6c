/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/pieces.h"

#include <errno.h>

/* The head is complete. */
static int begin(struct pieces *p)
{
	const uint8_t *h = p->head;

	p->which = h[0];
	p->left = (uint32_t)h[1] << 24 | (uint32_t)h[2] << 16 | (uint32_t)h[3] << 8 | h[4];
	p->head_len = 0;
	return (p->which == 1 || p->which == 2) && p->left > 0 && p->left <= WIRE_PIECE_MAX ? 0 : -EPROTO;
}

int pieces_next(struct pieces *p, const uint8_t **data, size_t *len, const uint8_t **out, size_t *out_len)
{
	while (p->left == 0) {
		if (*len == 0)
			return 0;
		p->head[p->head_len++] = *(*data)++;
		(*len)--;
		if (p->head_len == WIRE_PIECE_HEAD && begin(p) < 0) {
			p->left = 0;
			return -EPROTO;
		}
	}
	if (*len == 0)
		return 0;
	*out = *data;
	*out_len = *len < p->left ? *len : p->left;
	*data += *out_len;
	*len -= *out_len;
	p->left -= (uint32_t)*out_len;
	return p->which;
}
