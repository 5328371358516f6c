/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/modes.h"
#include "gateway/ring.h"

#define BYTES RING_BYTES_MIN

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* A ring that was used a little: its header is what the input is laid over. */
static void make_ring(int fd, int *pair)
{
	static const char text[] = "\033[1mtext\r\n\033]2;title\a";
	struct ring r;

	check(ring_open(&r, fcntl(fd, F_DUPFD_CLOEXEC, 0), BYTES, RING_SOCKET, false) == 0);
	check(write(pair[1], text, sizeof(text)) == (ssize_t)sizeof(text));
	check(ring_read(&r, pair[0], RING_READ_MAX) == (ssize_t)sizeof(text));
	ring_close(&r);
}

/*
 * After whatever was taken over or begun anew, the ring must work: read a good deal, write, make a
 * preamble.
 */
static void use(struct ring *r, int *pair)
{
	static uint8_t block[60000];
	uint8_t preamble[MODES_PREAMBLE_MAX];
	uint64_t end = ring_end(r), written = ring_written(r);

	check(ring_start(r) <= end && end - ring_start(r) <= r->size);
	check(modes_valid(ring_modes(r)));
	for (int i = 0; i < 3; i++) {
		size_t got = 0;

		check(write(pair[1], block, sizeof(block)) == (ssize_t)sizeof(block));
		while (got < sizeof(block)) {
			ssize_t n = ring_read(r, pair[0], RING_READ_MAX);

			check(n > 0);
			got += (size_t)n;
		}
	}
	check(ring_end(r) == end + 3 * sizeof(block));
	check(ring_end(r) - ring_start(r) <= r->size);
	check(ring_write(r, pair[0], "x", 1) == 1 && ring_written(r) == written + 1);
	check(modes_preamble(ring_modes(r), preamble, sizeof(preamble)) > 0);
	check(read(pair[1], block, sizeof(block)) > 0);
}

/*
 * Input: one byte of choices, then pieces {u16 offset, u8 length, bytes} that are laid over the header of a
 * used ring, as a mad predecessor might have left it.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum ring_kind kind = RING_SOCKET;
	uint8_t *header;
	struct ring r;
	int fd = memfd_create("ring", MFD_CLOEXEC), pair[2], e;

	check(fd >= 0 && ftruncate(fd, BYTES) == 0);
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	make_ring(fd, pair);
	header = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(header != MAP_FAILED);
	for (size_t at = 0; at + 3 < size;) {
		size_t to = (data[at] << 8 | data[at + 1]) & 4095, len = data[at + 2];

		at += 3;
		if (len > size - at)
			len = size - at;
		if (len > 4096 - to)
			len = 4096 - to;
		memcpy(header + to, data + at, len);
		at += len;
	}
	e = ring_open(&r, fcntl(fd, F_DUPFD_CLOEXEC, 0), BYTES, kind, true);
	check(e == 0 || e == RING_E_FRESH);
	use(&r, pair);
	ring_close(&r);
	/* The same memory as a PTY's. */
	e = ring_open(&r, fcntl(fd, F_DUPFD_CLOEXEC, 0), BYTES, RING_PTY, true);
	check(e == RING_E_FRESH);
	ring_close(&r);
	check(munmap(header, 4096) == 0);
	close(pair[0]);
	close(pair[1]);
	close(fd);
	return 0;
}
