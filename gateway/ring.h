/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_RING_H
#define GATEWAY_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct modes;
struct ring_header;

/*
 * The last bytes of a console, in shared memory that outlives this process, with absolute offsets for
 * output and input. A SIGKILL at any instruction leaves offsets and bytes that agree with what the kernel
 * took from, and gave to, the console.
 */
#define RING_BYTES_MIN (128u << 10)
#define RING_BYTES_MAX (64u << 20)
#define RING_READ_MAX  65536u /* bytes of one read */
#define RING_SLACK     65536u /* of its size, what a read may need: all but so many of the newest bytes are always kept */

/* How bytes get into it: read from a PTY, read from a socket, or given by ring_put(). */
enum ring_kind { RING_PTY = 1, RING_SOCKET = 2, RING_GIVEN = 3 };

/**
 * struct ring - a mapping; embedded in its stream; zeroed = not open
 * @header: shared; @data: of @size bytes, mapped twice in a row, so that a run of bytes is never split
 * @opaque: what is in it is no terminal's output (sealed, or in pieces): it is not looked at, and its modes are those of the beginning. The owner sets it
 */
struct ring {
	struct ring_header *header;
	uint8_t *data;
	size_t map_bytes;
	uint32_t size;
	enum ring_kind kind;
	bool opaque;
};

struct ring_size {
	uint16_t cols, rows, xpix, ypix;
};

enum { RING_E_FRESH = 1 }; /* the ring was to be taken over, but is damaged: it begins anew */

/**
 * ring_open() - map a memfd; consumes @fd on success and failure
 * @bytes: its size
 * @adopt: take over what a former process left
 *
 * A fresh ring has a new random epoch, never 0, and offsets 0. Return: 0, RING_E_FRESH, or -errno.
 */
int ring_open(struct ring *r, int fd, uint32_t bytes, enum ring_kind kind, bool adopt);

/** ring_close() - unmap; the memfd itself belongs to whoever holds it */
void ring_close(struct ring *r);

uint64_t ring_epoch(const struct ring *r);

/** ring_end() - offset after the last byte read; ring_start() - offset of the oldest byte kept */
uint64_t ring_end(const struct ring *r);
uint64_t ring_start(const struct ring *r);

/** ring_at() - the bytes from @offset on, which must be kept; valid until the next ring_read() */
const uint8_t *ring_at(const struct ring *r, uint64_t offset);

/**
 * ring_read() - read once from the console into the ring, dropping the oldest bytes for it
 * @want: at most; no more than RING_READ_MAX are read
 *
 * Return: bytes read; 0 at the end; -EAGAIN, -EINTR, or -errno.
 */
ssize_t ring_read(struct ring *r, int fd, size_t want);

/** ring_put() - for RING_GIVEN: the next @len bytes, at most RING_READ_MAX. A SIGKILL leaves all of them or none */
void ring_put(struct ring *r, const uint8_t *data, size_t len);

/** ring_modes() - the terminal's modes at ring_start() */
const struct modes *ring_modes(const struct ring *r);

/** ring_written() - offset after the last input byte that the console has taken */
uint64_t ring_written(const struct ring *r);

/** ring_write() - give input to the console. Return: bytes taken, -EAGAIN, -EINTR, or -errno */
ssize_t ring_write(struct ring *r, int fd, const void *data, size_t len);

/**
 * struct ring_turns - how often control of the stream has moved (gateway/viewer.h), and in which turn it last took input; zeroes in the beginning
 */
struct ring_turns {
	uint32_t now, typed;
};

/** ring_turns() - kept for the next process, like the size */
struct ring_turns ring_turns(const struct ring *r);
void ring_set_turns(struct ring *r, struct ring_turns turns);

/** ring_set_written() - for RING_GIVEN: input before @offset has reached its reader */
void ring_set_written(struct ring *r, uint64_t offset);

/** ring_size() - the terminal's size, kept for the next process; zeroes when never set */
struct ring_size ring_size(const struct ring *r);
void ring_set_size(struct ring *r, struct ring_size size);

#endif
