/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 * The memfd holds one header and then the ring. Everything that a successor must know lives in it, and each
 * fact changes by one aligned store, so a SIGKILL leaves either the old or the new state, never a mixture.
 *
 * How many bytes a read has taken is known only when it returns: a SIGKILL between the kernel's copy and
 * our store of the count would lose the bytes or repeat them. So the kernel does the store itself:
 *
 *   Sockets: recvmmsg(2) of one message, its struct mmsghdr in the header; the kernel writes msg_len there before it returns to user
 *   mode, which is where a SIGKILL acts. The offset is base + msg_len of the current slot. The next read uses the other slot: its base is
 *   set to the offset, its msg_len to 0, then "current" is switched (the offset stays the same over the switch), then the call is
 *   made. Input to sockets is counted the same way by sendmmsg(2).
 *
 *   PTYs: read(2) only. The bytes that it may fill are first set to a sentinel of 0xf8-0xff, which UTF-8 never holds; "filled" tells how
 *   far they reach. After a SIGKILL the offset is found behind the last byte that is not the sentinel. (Binary output that ends in
 *   just these bytes, killed in that microsecond, loses them.) Input to a PTY is counted after write(2) has returned.
 *
 *   Given bytes (ring_put()): whoever gives them keeps them until he is told that they lie here, so they are copied first and counted then.
 *
 * Dropping the oldest bytes: start = offset of the current snapshot of the mode tracker. Before bytes are
 * overwritten the tracker runs over them into the other snapshot, and "current" is switched: then start is
 * behind them. So the modes at start are always known, each byte is parsed at most once, and an idle
 * console costs nothing.
 *
 * Invariants: start <= end <= start + size; filled - start <= size; only this file writes the memory.
 * Trust: the helper that keeps the memfd is trusted not to write to it while we live; at adoption every
 * field is checked all the same, since what wrote it may have been killed, been another version, or had a
 * bug. Pointers in the mmsghdr are never read.
 */
#include "gateway/ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "gateway/modes.h"

#define RING_MAGIC   0x676e697272726574ULL /* "terrring" */
#define RING_VERSION 2
#define OFFSET_MAX   (1ULL << 62) /* no console lives to see it; keeps sums from wrapping */
#define FILL_AHEAD   8192u /* bytes set to the sentinel at once: an idle terminal touches no more memory. PTY reads give 4 KiB */
#define FILL_LEAST   4096u
#define DROP_LEAST   (RING_SLACK - FILL_AHEAD)

struct ring_slot {
	_Atomic uint64_t base;
	struct mmsghdr msg;
};

struct ring_snapshot {
	uint64_t offset;
	struct modes modes;
};

struct ring_header {
	uint64_t magic; /* set last: without it the rest means nothing */
	uint32_t version, header_bytes, ring_bytes, kind;
	uint64_t epoch;
	_Atomic uint64_t size; /* struct ring_size */
	_Atomic uint32_t out_now, in_now, snap_now;
	_Atomic uint64_t filled; /* PTY: bytes from end to here are the sentinel */
	struct ring_slot out[2], in[2];
	struct ring_snapshot snap[2];
	_Atomic uint64_t turns; /* struct ring_turns */
};
_Static_assert(sizeof(struct ring_header) <= 4096, "the header takes one page");

static size_t header_bytes(void)
{
	long page = sysconf(_SC_PAGESIZE);
	size_t unit = page > 4096 ? (size_t)page : 4096;

	return (sizeof(struct ring_header) + unit - 1) / unit * unit;
}

/* --- counting slots -------------------------------------------------------------------------------------- */

static uint64_t slot_offset(const struct ring_slot *slot)
{
	return slot->base + *(const volatile unsigned int *)&slot->msg.msg_len;
}

/*
 * Make the other slot current with the same offset and a count of 0. Return: it, for one call of the
 * kernel.
 */
static struct ring_slot *slot_turn(struct ring_slot *slots, _Atomic uint32_t *now)
{
	uint32_t cur = atomic_load_explicit(now, memory_order_relaxed), next = cur ^ 1;

	slots[next].base = slot_offset(&slots[cur]);
	slots[next].msg = (struct mmsghdr){ 0 };
	atomic_store_explicit(now, next, memory_order_release);
	return &slots[next];
}

static struct ring_slot *slot_now(struct ring_slot *slots, _Atomic uint32_t *now)
{
	return &slots[atomic_load_explicit(now, memory_order_relaxed)];
}

uint64_t ring_end(const struct ring *r)
{
	return slot_offset(slot_now(r->header->out, &r->header->out_now));
}

uint64_t ring_written(const struct ring *r)
{
	return slot_offset(slot_now(r->header->in, &r->header->in_now));
}

/* --- dropping the oldest bytes --------------------------------------------------------------------------- */

static struct ring_snapshot *snap_now(const struct ring *r)
{
	return &r->header->snap[atomic_load_explicit(&r->header->snap_now, memory_order_relaxed)];
}

uint64_t ring_start(const struct ring *r)
{
	return snap_now(r)->offset;
}

const struct modes *ring_modes(const struct ring *r)
{
	return &snap_now(r)->modes;
}

const uint8_t *ring_at(const struct ring *r, uint64_t offset)
{
	return r->data + offset % r->size;
}

static uint8_t *write_at(struct ring *r, uint64_t offset)
{
	return r->data + offset % r->size;
}

/*
 * Free the room in front of @upto; DROP_LEAST at a time, so that the snapshot is not written for every
 * read. No more than that: bytes within size - RING_SLACK of the end are never dropped, also while a PTY's
 * sentinel takes FILL_AHEAD.
 */
static void make_room(struct ring *r, uint64_t upto)
{
	struct ring_snapshot *old = snap_now(r), *new;
	uint64_t start = old->offset, end = ring_end(r), drop;
	uint32_t next;

	if (upto - start <= r->size)
		return;
	drop = upto - start - r->size;
	if (drop < DROP_LEAST)
		drop = DROP_LEAST;
	if (drop > end - start)
		drop = end - start;
	next = atomic_load_explicit(&r->header->snap_now, memory_order_relaxed) ^ 1;
	new = &r->header->snap[next];
	new->modes = old->modes;
	if (!r->opaque)
		modes_feed(&new->modes, ring_at(r, start), drop);
	new->offset = start + drop;
	atomic_store_explicit(&r->header->snap_now, next, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst); /* the bytes are overwritten only after this */
}

/* --- reading --------------------------------------------------------------------------------------------- */

static ssize_t read_socket(struct ring *r, int fd, size_t want)
{
	struct ring_slot *slot;
	struct iovec iov = { .iov_len = want };

	make_room(r, ring_end(r) + want);
	slot = slot_turn(r->header->out, &r->header->out_now);
	iov.iov_base = write_at(r, slot->base);
	slot->msg.msg_hdr.msg_iov = &iov;
	slot->msg.msg_hdr.msg_iovlen = 1;
	if (recvmmsg(fd, &slot->msg, 1, MSG_DONTWAIT, NULL) < 0)
		return -errno;
	return (ssize_t)slot->msg.msg_len;
}

/* The sentinel for offset o is noise[o % 4096]: so that a run of equal bytes hardly ever looks like it. */
static uint8_t noise[4096];

static void make_noise(void)
{
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(noise); i++) {
		x = x * 1664525u + 1013904223u;
		noise[i] = (uint8_t)(0xf8 | x >> 29);
	}
}

static void fill(struct ring *r, uint64_t from, uint64_t upto)
{
	while (from < upto) {
		size_t at = from % sizeof(noise), n = sizeof(noise) - at;

		if (n > upto - from)
			n = (size_t)(upto - from);
		memcpy(write_at(r, from), noise + at, n);
		from += n;
	}
}

static ssize_t read_pty(struct ring *r, int fd, size_t want)
{
	struct ring_slot *slot = slot_now(r->header->out, &r->header->out_now);
	uint64_t end = slot_offset(slot),
		 filled = atomic_load_explicit(&r->header->filled, memory_order_relaxed);
	ssize_t n;

	if (filled - end < FILL_LEAST) {
		make_room(r, end + FILL_AHEAD);
		fill(r, filled, end + FILL_AHEAD);
		filled = end + FILL_AHEAD;
		atomic_store_explicit(&r->header->filled, filled, memory_order_release);
	}
	if (want > filled - end)
		want = (size_t)(filled - end);
	n = read(fd, write_at(r, end), want);
	if (n < 0)
		return errno == EIO ? 0 : -errno; /* EIO: the last slave has been closed */
	atomic_store_explicit(&slot->base, end + (uint64_t)n, memory_order_release);
	return n;
}

ssize_t ring_read(struct ring *r, int fd, size_t want)
{
	ssize_t n;

	if (want > RING_READ_MAX)
		want = RING_READ_MAX;
	if (r->kind == RING_PTY)
		return read_pty(r, fd, want);
	n = read_socket(r, fd, want);
	/*
	 * recvmmsg() reports a reset by the peer before the bytes that are still there, and only once
	 * (net/socket.c).
	 */
	return n == -ECONNRESET ? read_socket(r, fd, want) : n;
}

/* One store makes them count. */
static void slot_set(struct ring_slot *slot, uint64_t offset)
{
	atomic_store_explicit(&slot->base, offset, memory_order_release);
}

void ring_put(struct ring *r, const uint8_t *data, size_t len)
{
	uint64_t end = ring_end(r);

	make_room(r, end + len);
	memcpy(write_at(r, end), data, len);
	slot_set(slot_now(r->header->out, &r->header->out_now), end + len);
}

void ring_set_written(struct ring *r, uint64_t offset)
{
	slot_set(slot_now(r->header->in, &r->header->in_now), offset);
}

ssize_t ring_write(struct ring *r, int fd, const void *data, size_t len)
{
	struct ring_slot *slot = slot_turn(r->header->in, &r->header->in_now);
	struct iovec iov = { .iov_len = len };
	ssize_t n;

	if (r->kind == RING_SOCKET) {
		memcpy(&iov.iov_base, &data, sizeof(data)); /* not written through, but iovec has no const */
		slot->msg.msg_hdr.msg_iov = &iov;
		slot->msg.msg_hdr.msg_iovlen = 1;
		if (sendmmsg(fd, &slot->msg, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return -errno;
		return (ssize_t)slot->msg.msg_len;
	}
	n = write(fd, data, len);
	if (n < 0)
		return -errno;
	atomic_store_explicit(&slot->base, slot_offset(slot) + (uint64_t)n, memory_order_release);
	return n;
}

/* --- the terminal's size --------------------------------------------------------------------------------- */

struct ring_size ring_size(const struct ring *r)
{
	uint64_t v = atomic_load_explicit(&r->header->size, memory_order_relaxed);
	struct ring_size size;

	memcpy(&size, &v, sizeof(size));
	return size;
}

void ring_set_size(struct ring *r, struct ring_size size)
{
	uint64_t v;

	memcpy(&v, &size, sizeof(v));
	atomic_store_explicit(&r->header->size, v, memory_order_relaxed);
}

/* --- whose turn it is ------------------------------------------------------------------------------------ */

struct ring_turns ring_turns(const struct ring *r)
{
	uint64_t v = atomic_load_explicit(&r->header->turns, memory_order_relaxed);

	return (struct ring_turns){ .now = (uint32_t)(v >> 32), .typed = (uint32_t)v };
}

void ring_set_turns(struct ring *r, struct ring_turns turns)
{
	atomic_store_explicit(&r->header->turns, (uint64_t)turns.now << 32 | turns.typed, memory_order_relaxed);
}

/* --- opening --------------------------------------------------------------------------------------------- */

uint64_t ring_epoch(const struct ring *r)
{
	return r->header->epoch;
}

/* Reserve address space, then put the file there, and its ring part once more behind it. */
static int map(struct ring *r, int fd, uint32_t bytes)
{
	size_t head = header_bytes(), data = bytes - head;
	uint8_t *at = mmap(NULL, bytes + data, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
	    mmap(at + bytes, data, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)head) ==
		    MAP_FAILED) {
		int e = -errno;

		(void)munmap(at, bytes + data);
		return e;
	}
	r->header = (struct ring_header *)(void *)at;
	r->data = at + head;
	r->size = (uint32_t)data;
	r->map_bytes = bytes + data;
	return 0;
}

static bool slots_valid(const struct ring_slot *slots, uint32_t now, uint32_t count_max)
{
	return now <= 1 && slots[now].base < OFFSET_MAX && slots[now].msg.msg_len <= count_max;
}

/* Where a PTY's output really ends: behind the last byte that is not the sentinel any more. */
static uint64_t find_end(const struct ring *r, uint64_t end, uint64_t filled)
{
	while (filled > end && *ring_at(r, filled - 1) == noise[(filled - 1) % sizeof(noise)])
		filled--;
	return filled;
}

/* Everything that the rest of this file takes for granted. */
static bool header_valid(const struct ring *r)
{
	struct ring_header *h = r->header;
	uint32_t snap = atomic_load(&h->snap_now);
	uint64_t end, start, filled = atomic_load(&h->filled);

	if (h->magic != RING_MAGIC || h->version != RING_VERSION || h->kind != r->kind || h->epoch == 0 ||
	    h->header_bytes != header_bytes() || h->ring_bytes != r->size || snap > 1)
		return false;
	if (!slots_valid(h->out, atomic_load(&h->out_now), RING_READ_MAX) ||
	    !slots_valid(h->in, atomic_load(&h->in_now), INT32_MAX))
		return false;
	end = ring_end(r);
	start = h->snap[snap].offset;
	if (start > end || end - start > r->size || !modes_valid(&h->snap[snap].modes))
		return false;
	return r->kind != RING_PTY ||
	       (filled >= end && filled - end <= FILL_AHEAD && filled - start <= r->size) ||
	       (filled == 0 && end == 0);
}

static int begin(struct ring *r)
{
	struct ring_header *h = r->header;
	uint64_t epoch;

	if (getrandom(&epoch, sizeof(epoch), GRND_NONBLOCK) != sizeof(epoch))
		return -EIO;
	h->magic = 0;
	atomic_signal_fence(memory_order_seq_cst);
	memset((uint8_t *)h + sizeof(h->magic), 0, sizeof(*h) - sizeof(h->magic));
	h->version = RING_VERSION;
	h->header_bytes = (uint32_t)header_bytes();
	h->ring_bytes = r->size;
	h->kind = r->kind;
	h->epoch = epoch ? epoch : 1;
	modes_init(&h->snap[0].modes);
	atomic_signal_fence(memory_order_seq_cst);
	h->magic = RING_MAGIC;
	return 0;
}

static void resume(struct ring *r)
{
	struct ring_header *h = r->header;
	uint64_t end = ring_end(r), filled = atomic_load(&h->filled);

	if (r->kind == RING_PTY)
		atomic_store(&slot_now(h->out, &h->out_now)->base, find_end(r, end, filled));
}

int ring_open(struct ring *r, int fd, uint32_t bytes, enum ring_kind kind, bool adopt)
{
	_close_ int file = fd;
	struct stat st;
	int e;

	memset(r, 0, sizeof(*r));
	r->kind = kind;
	if (bytes < RING_BYTES_MIN || bytes > RING_BYTES_MAX || bytes % header_bytes() != 0)
		return -EINVAL;
	if (fstat(file, &st) < 0)
		return -errno;
	if (st.st_size != (off_t)bytes)
		return -EINVAL; /* a shorter file would end us by SIGBUS */
	e = map(r, file, bytes);
	if (e < 0)
		return e;
	make_noise();
	if (adopt && header_valid(r)) {
		resume(r);
		return 0;
	}
	e = begin(r);
	if (e < 0) {
		ring_close(r);
		return e;
	}
	return adopt ? RING_E_FRESH : 0;
}

void ring_close(struct ring *r)
{
	if (r->header)
		(void)munmap(r->header, r->map_bytes);
	memset(r, 0, sizeof(*r));
}
