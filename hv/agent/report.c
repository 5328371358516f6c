/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/agent/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

#define TSM_DIR	     "/sys/kernel/config/tsm/report"
#define DEVICE	     "/dev/sev-guest"
#define PATH_BYTES   256
#define BUSY_TRIES   20
#define BUSY_WAIT_MS 50 /* a second in all: the host throttles guests */
#define PAGE	     4096U

static int make_dir(const char *path)
{
	return mkdir(path, 0700) < 0 ? -errno : 0;
}

static int drop_dir(const char *path)
{
	return rmdir(path) < 0 ? -errno : 0;
}

struct report_source report_source_default(void)
{
	return (struct report_source){ .tsm = TSM_DIR, .device = DEVICE, .make_dir = make_dir, .drop_dir = drop_dir };
}

/* --- configfs-tsm (Documentation/ABI/testing/configfs-tsm-report) -------------------------------------------------------- */

static int write_whole(int dir, const char *name, const void *data, size_t len)
{
	_close_ int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, data, len); /* one write: a second would be another blob */

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

/* Appends what the file holds, @max bytes at most. */
static int read_whole(int dir, const char *name, struct buf *out, size_t max)
{
	_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	uint8_t data[PAGE];

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, data, sizeof(data));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		len += (size_t)n;
		if (len > max)
			return -EMSGSIZE;
		if (buf_add(out, data, (size_t)n) < 0)
			return -ENOMEM;
	}
}

/* A short text without the line feed at its end. */
static bool says(int dir, const char *name, const char *want)
{
	char text[64];
	long n = fd_read_file(dir, name, text, sizeof(text));

	if (n < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, want) == 0;
}

static int ask_tsm(int dir, const uint8_t *data, struct buf *report, struct buf *certs)
{
	int r;

	if (!says(dir, "provider", "sev_guest"))
		return -EOPNOTSUPP; /* another technology's reports */
	r = write_whole(dir, "inblob", data, REPORT_DATA_BYTES);
	if (r == 0)
		r = read_whole(dir, "outblob", report, REPORT_BYTES_MAX);
	if (r == 0)
		r = read_whole(dir, "auxblob", certs, REPORT_CERTS_MAX);
	if (r == -ENOENT)
		r = 0; /* no certificates */
	/* One write was made here: another number means that somebody else wrote between, and whose report this is is not known. */
	return r == 0 && !says(dir, "generation", "1") ? -EBUSY : r;
}

static int from_tsm(const struct report_source *s, const uint8_t *data, struct buf *report, struct buf *certs)
{
	static unsigned count;
	_close_ int dir = -1;
	char path[PATH_BYTES];
	int r;

	(void)snprintf(path, sizeof(path), "%s/terrarium-%d-%u", s->tsm, (int)getpid(), count++);
	r = s->make_dir(path);
	if (r < 0)
		return r == -ENOENT || r == -ENXIO || r == -EPERM ? -EOPNOTSUPP : r;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? -errno : ask_tsm(dir, data, report, certs);
	(void)s->drop_dir(path);
	return r;
}

/* --- /dev/sev-guest (Documentation/virt/coco/sev-guest.rst); own declarations, for headers differ in names ---------------- */

struct guest_call {
	uint8_t version;
	uint64_t request, response;
	uint32_t fw_error, vmm_error;
};
_Static_assert(sizeof(struct guest_call) == 32, "as struct snp_guest_request_ioctl");

struct ext_request {
	uint8_t data[REPORT_DATA_BYTES];
	uint32_t vmpl;
	uint8_t reserved[28];
	uint64_t certs;
	uint32_t certs_len;
};
_Static_assert(sizeof(struct ext_request) == 112, "as struct snp_ext_report_req");

struct response {
	uint32_t status, size;
	uint8_t reserved[24];
	uint8_t report[REPORT_BYTES_MAX - 32];
};
_Static_assert(sizeof(struct response) == REPORT_BYTES_MAX, "as struct snp_report_resp");

#define GET_EXT_REPORT	_IOWR('S', 0x2, struct guest_call)
#define VMM_INVALID_LEN 1U
#define VMM_BUSY	2U

static void pause_ms(long ms)
{
	const struct timespec t = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* Once, and again while the host is busy. */
static int call_guest(int fd, struct ext_request *q, struct response *a, struct guest_call *c)
{
	for (int i = 0;; i++) {
		*c = (struct guest_call){ .version = 1, .request = (uint64_t)(uintptr_t)q, .response = (uint64_t)(uintptr_t)a };
		if (ioctl(fd, GET_EXT_REPORT, c) == 0)
			return 0;
		if (i >= BUSY_TRIES || (errno != EAGAIN && errno != EBUSY && !(errno == EIO && c->vmm_error == VMM_BUSY)))
			return -errno;
		pause_ms(BUSY_WAIT_MS);
	}
}

static int from_device(const struct report_source *s, const uint8_t *data, struct buf *report, struct buf *certs)
{
	_close_ int fd = open(s->device, O_RDWR | O_CLOEXEC);
	_free_ uint8_t *table = NULL;
	struct ext_request q = { .vmpl = 0 };
	struct response a = { 0 };
	struct guest_call c;
	int r;

	if (fd < 0)
		return errno == ENOENT || errno == ENXIO ? -EOPNOTSUPP : -errno;
	memcpy(q.data, data, REPORT_DATA_BYTES);
	r = call_guest(fd, &q, &a, &c);
	if (r == -EIO && c.vmm_error == VMM_INVALID_LEN && q.certs_len > 0 && q.certs_len <= REPORT_CERTS_MAX) {
		table = aligned_alloc(PAGE, (q.certs_len + PAGE - 1) / PAGE * PAGE);
		q.certs = (uint64_t)(uintptr_t)table;
		r = table ? call_guest(fd, &q, &a, &c) : -ENOMEM;
	}
	if (r < 0)
		return r;
	if (a.status != 0 || a.size > sizeof(a.report) || q.certs_len > REPORT_CERTS_MAX)
		return -EIO;
	r = buf_add(report, a.report, a.size);
	if (r == 0 && table)
		r = buf_add(certs, table, q.certs_len);
	return r;
}

int report_take(const struct report_source *s, const uint8_t data[REPORT_DATA_BYTES], struct buf *report, struct buf *certs)
{
	int r = from_tsm(s, data, report, certs);
	return r == -EOPNOTSUPP ? from_device(s, data, report, certs) : r;
}
