/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terrarium-verity: the guest's side of dm-verity, run once, by the initrd.
 *
 *   terrarium-verity NAME DEVICE BLOCKS SALT ROOT
 *
 * Maps DEVICE, which holds BLOCKS blocks of data and behind them what `terrarium verity hash` has written, to a read-only device that gives no
 * block whose hash is not in the tree under ROOT. Prints the device's path. All of it comes from the kernel's command line, which is what is
 * measured or signed: nothing on the disk is believed, its superblock is not even read. A block that is wrong ends the kernel.
 *
 * Trusts its arguments. Needs no library: it is linked statically, into an initrd where every byte is memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CONTROL	     "/dev/mapper/control"
#define BLOCK_BYTES  4096u
#define SECTOR_BYTES 512u
#define DIGITS_MAX   512

/* One request, and room for the table of one target behind it. */
struct request {
	struct dm_ioctl head;
	struct dm_target_spec target;
	char table[1536];
};

static int ask(int fd, unsigned long code, struct request *q, const char *name, uint32_t flags)
{
	q->head.version[0] = DM_VERSION_MAJOR;
	q->head.version[1] = 0;
	q->head.version[2] = 0;
	q->head.data_size = sizeof(*q);
	q->head.data_start = offsetof(struct request, target);
	q->head.flags = flags;
	(void)snprintf(q->head.name, sizeof(q->head.name), "%s", name);
	return ioctl(fd, code, q) < 0 ? -errno : 0;
}

static int is_hex(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= DIGITS_MAX && n % 2 == 0 && strspn(s, "0123456789abcdef") == n;
}

static int fill_table(struct request *q, char **argv)
{
	char *end;
	unsigned long long blocks = strtoull(argv[3], &end, 10);
	int n;

	if (*end != '\0' || blocks == 0 || blocks > UINT32_MAX || !is_hex(argv[4]) || strlen(argv[5]) != 64 || !is_hex(argv[5]))
		return -EINVAL;
	q->head.target_count = 1;
	q->target.sector_start = 0;
	q->target.length = blocks * (BLOCK_BYTES / SECTOR_BYTES);
	q->target.next = sizeof(q->target) + sizeof(q->table);
	(void)snprintf(q->target.target_type, sizeof(q->target.target_type), "verity");
	/* The superblock has a block of its own between data and tree. */
	n = snprintf(q->table, sizeof(q->table), "1 %s %s %u %u %llu %llu sha256 %s %s 1 panic_on_corruption", argv[2], argv[2], BLOCK_BYTES,
		     BLOCK_BYTES, blocks, blocks + 1, argv[5], argv[4]);
	return n > 0 && (size_t)n < sizeof(q->table) ? 0 : -E2BIG;
}

static int failed(const char *what, int r)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(-r));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct request q = { 0 };
	uint64_t dev;
	int fd, r;

	if (argc != 6)
		return failed("usage: terrarium-verity NAME DEVICE BLOCKS SALT ROOT", -EINVAL);
	fd = open(CONTROL, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return failed(CONTROL, -errno);
	r = ask(fd, DM_DEV_CREATE, &q, argv[1], 0);
	if (r < 0)
		return failed("the mapping cannot be made", r);
	dev = q.head.dev;
	memset(&q, 0, sizeof(q));
	r = fill_table(&q, argv);
	if (r < 0)
		return failed("blocks, salt or root hash", r);
	r = ask(fd, DM_TABLE_LOAD, &q, argv[1], DM_READONLY_FLAG);
	if (r < 0)
		return failed("the kernel does not take the tree", r);
	memset(&q, 0, sizeof(q));
	r = ask(fd, DM_DEV_SUSPEND, &q, argv[1], 0); /* without its flag, the opposite: from now on it is there */
	if (r < 0)
		return failed("the mapping cannot be switched on", r);
	return printf("/dev/dm-%u\n", minor((dev_t)dev)) > 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
