/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

/**
 * struct buf - bytes that grow up to a limit
 * @data:  owned; NUL follows the last byte
 * @len:   bytes held
 * @cap:   bytes allocated
 * @limit: bytes it may ever hold
 * @full:  set when something did not fit; what is there stays as it was
 */
struct buf {
	char *data;
	size_t len, cap, limit;
	bool full;
};

#define BUF_INIT(limit_bytes) ((struct buf){ .limit = (limit_bytes) })

/** buf_add() - append; nothing is added when it would pass the limit. Return: 0, -ENOSPC at the limit, -ENOMEM */
int buf_add(struct buf *b, const void *data, size_t len);

/** buf_printf() - append formatted text, under the same rule */
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** buf_eat() - drop @len bytes from the front */
void buf_eat(struct buf *b, size_t len);

/** buf_finish() - free; the buffer may be used again */
void buf_finish(struct buf *b);

/** tail_add() - append to @kept, which holds the last @cap bytes of all; @len: how many it holds. Return: true if older ones were dropped */
bool tail_add(char *kept, size_t *len, size_t cap, const char *data, size_t n);

#endif
