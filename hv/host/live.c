/* SPDX-License-Identifier: Apache-2.0 */
/* This computer, asked. Nothing is changed by asking, and no module is loaded. */
#include "hv/host/host.h"

#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kvm.h>
#include <linux/psp-sev.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "hv/snp/bytes.h"
#include "hv/snp/firmware.h"

#define PROGRAM_MS   5000 /* QEMU takes 50 ms to say what it is; a loaded machine more */
#define GUESTS_MAX   4096
#define KVM_SEV_GROUP 1 /* linux/kvm.h: KVM_X86_GRP_SEV, attribute 0: KVM_X86_SEV_VMSA_FEATURES */

static int answer_u64(uint64_t v, void *out, size_t size)
{
	if (size < 8)
		return -ENOSPC;
	put64(out, v);
	return 8;
}

static int answer_text(const char *text, void *out, size_t size)
{
	size_t len = strlen(text);

	if (len > size)
		len = size;
	memcpy(out, text, len);
	return (int)len;
}

static int ask_cpuid(uint32_t leaf, void *out, size_t size)
{
	uint32_t r[4];

	if (size < sizeof(r))
		return -ENOSPC;
	if (!__get_cpuid_count(leaf, 0, &r[0], &r[1], &r[2], &r[3]))
		return -ENOENT;
	for (unsigned i = 0; i < 4; i++)
		put32((uint8_t *)out + 4 * (size_t)i, r[i]);
	return sizeof(r);
}

static int ask_msr(uint32_t number, void *out, size_t size)
{
	_close_ int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, out, size < 8 ? size : 8, (off_t)number);

	return n == 8 ? 8 : n < 0 ? -errno : -EIO;
}

static int ask_kvm(uint32_t question, void *out, size_t size)
{
	_close_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	uint64_t features = 0;
	struct kvm_device_attr attr = { .group = KVM_SEV_GROUP, .addr = (uint64_t)(uintptr_t)&features };
	int r;

	if (fd < 0)
		return -errno;
	r = question == HOST_KVM_API ? ioctl(fd, KVM_GET_API_VERSION, 0) : ioctl(fd, KVM_GET_DEVICE_ATTR, &attr);
	if (r < 0)
		return -errno;
	return answer_u64(question == HOST_KVM_API ? (uint64_t)r : features, out, size);
}

static int ask_limit(void *out, size_t size)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_MEMLOCK, &l) < 0)
		return -errno;
	return answer_u64(l.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)l.rlim_cur, out, size);
}

static int ask_sev(uint32_t command, void *out, size_t size)
{
	uint8_t data[64] = { 0 }; /* more than any status has */
	struct sev_issue_cmd cmd = { .cmd = command, .data = (uint64_t)(uintptr_t)data };
	_close_ int fd = open("/dev/sev", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (size > sizeof(data))
		return -ENOSPC;
	if (ioctl(fd, SEV_ISSUE_CMD, &cmd) < 0)
		return -errno;
	memcpy(out, data, size);
	return (int)size;
}

static int ask_file(const char *path, void *out, size_t size)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < size) {
		ssize_t n = read(fd, (char *)out + len, size - len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	return (int)len;
}

static int ask_open(const char *path)
{
	_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : 0;
}

/* --- programs ---------------------------------------------------------------------------------------------------------- */

static bool is_program(const char *dir, size_t len, const char *name, char out[PATH_MAX])
{
	struct stat st;

	return len > 0 && dir[0] == '/' && snprintf(out, PATH_MAX, "%.*s/%s", (int)len, dir, name) < PATH_MAX && stat(out, &st) == 0 &&
	       S_ISREG(st.st_mode) && access(out, X_OK) == 0;
}

/* Where services find programs, then the caller's own path. */
static int find_program(const char *name, char out[PATH_MAX])
{
	static const char places[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/usr/libexec";
	const char *const lists[] = { places, getenv("PATH") };

	for (size_t i = 0; i < 2; i++) {
		for (const char *p = lists[i]; p && *p; p += strcspn(p, ":"), p += *p == ':') {
			if (is_program(p, strcspn(p, ":"), name, out))
				return 0;
		}
	}
	return -ENOENT;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What comes out of @fd until its end or the deadline. Return: bytes; what does not fit is dropped. */
static size_t drain(int fd, uint64_t until_ms, char *out, size_t size)
{
	char rest[4096];
	size_t len = 0;

	for (uint64_t now = now_ms(); now < until_ms; now = now_ms()) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char *to = len < size ? out + len : rest;
		ssize_t n;

		if (poll(&p, 1, (int)(until_ms - now)) <= 0)
			continue;
		n = read(fd, to, len < size ? size - len : sizeof(rest));
		if (n <= 0)
			break;
		len += to == rest ? 0 : (size_t)n;
	}
	return len;
}

/* Run a program without a shell and read what it prints on stdout. Return: bytes or -errno. */
static int run(const char *path, char *const argv[], char *out, size_t size)
{
	_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int ends[2], status;
	size_t len;
	pid_t pid;

	if (null < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		if (dup2(null, 0) == 0 && dup2(ends[1], 1) == 1 && dup2(null, 2) == 2)
			(void)execv(path, argv);
		_exit(127);
	}
	(void)fd_close(ends[1]);
	if (pid < 0) {
		(void)fd_close(ends[0]);
		return -EAGAIN;
	}
	len = drain(ends[0], now_ms() + PROGRAM_MS, out, size);
	(void)fd_close(ends[0]);
	(void)kill(pid, SIGKILL); /* it has said what it had to say, or never will */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return len > 0 ? (int)len : -EIO;
}

static int ask_program(const char *name, void *out, size_t size)
{
	char path[PATH_MAX], text[512];
	char program[HOST_NAME_MAX], version[] = "--version";
	char *const argv[] = { program, version, NULL };
	int n, r = find_program(name, path);

	if (r < 0)
		return r;
	(void)snprintf(program, sizeof(program), "%s", name);
	n = run(path, argv, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	r = snprintf(out, size, "%s\n%s", path, text);
	return r < 0 || (size_t)r >= size ? -ENOSPC : r;
}

static int ask_objects(void *out, size_t size)
{
	char path[PATH_MAX], program[] = "qemu-system-x86_64", object[] = "-object", help[] = "help";
	char *const argv[] = { program, object, help, NULL };
	int r = find_program(program, path);

	return r < 0 ? r : run(path, argv, out, size);
}

/* --- what has to be worked out ----------------------------------------------------------------------------------------- */

static int judge_firmware(struct snp_bytes image, char *out, size_t size)
{
	static struct snp_firmware fw; /* its sections are too large for a stack */
	struct err e = { 0 };

	if (snp_firmware_parse(image, &fw, &e) < 0)
		return answer_text(e.msg, out, size);
	if (fw.hashes_gpa != 0 && snp_firmware_has(&fw, SNP_SECTION_KERNEL_HASHES))
		return answer_text("kernel-hashes", out, size);
	return answer_text(fw.section_count > 0 ? "snp" : "it has no memory sections for SNP", out, size);
}

static int ask_firmware(const char *path, void *out, size_t size)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_free_ uint8_t *image = NULL;
	struct stat st;
	size_t len = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (size_t)st.st_size > SNP_FIRMWARE_MAX)
		return answer_text("no firmware image by its size", out, size);
	image = malloc((size_t)st.st_size);
	while (image && len < (size_t)st.st_size) {
		ssize_t n = read(fd, image + len, (size_t)st.st_size - len);

		if (n <= 0)
			return -EIO;
		len += (size_t)n;
	}
	return image ? judge_firmware((struct snp_bytes){ image, len }, out, size) : -ENOMEM;
}

/* One answer that hv/probe.c keeps. Return: bytes, or -ENOENT when this file is none. */
static int read_guests(int dir, const char *name, void *out, size_t size)
{
	char text[GUESTS_MAX];
	long n = fd_read_file(dir, name, text, sizeof(text));
	json_t *root = n > 0 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *reason = json_string_value(json_object_get(root, "reason"));
	int r = -ENOENT;

	if (json_is_true(json_object_get(root, "kvm")))
		r = answer_text("yes", out, size);
	else if (reason)
		r = answer_text(reason, out, size);
	json_decref(root);
	return r;
}

/* The newest of them. */
static int ask_guests(const char *state_dir, void *out, size_t size)
{
	char newest[NAME_MAX + 1] = "";
	DIR *dir = opendir(state_dir ? state_dir : "");
	struct timespec when = { 0 };
	int r;

	if (!dir)
		return -errno;
	for (const struct dirent *d; (d = readdir(dir));) {
		struct stat st;

		if (strncmp(d->d_name, "accel-", 6) != 0 || fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (newest[0] && (st.st_mtim.tv_sec < when.tv_sec || (st.st_mtim.tv_sec == when.tv_sec && st.st_mtim.tv_nsec <= when.tv_nsec)))
			continue;
		when = st.st_mtim;
		(void)snprintf(newest, sizeof(newest), "%s", d->d_name);
	}
	r = newest[0] ? read_guests(dirfd(dir), newest, out, size) : -ENOENT;
	(void)closedir(dir);
	return r;
}

static int ask(void *arg, enum host_what what, const char *name, uint32_t number, void *out, size_t size)
{
	const struct host_live *live = arg;

	switch (what) {
	case HOST_CPUID:
		return ask_cpuid(number, out, size);
	case HOST_MSR:
		return ask_msr(number, out, size);
	case HOST_KVM:
		return ask_kvm(number, out, size);
	case HOST_LIMIT:
		return ask_limit(out, size);
	case HOST_SEV:
		return ask_sev(number, out, size);
	case HOST_FILE:
		return ask_file(name, out, size);
	case HOST_EXISTS:
		return access(name, F_OK) < 0 ? -errno : 0;
	case HOST_OPEN:
		return ask_open(name);
	case HOST_PROGRAM:
		return ask_program(name, out, size);
	case HOST_OBJECTS:
		return ask_objects(out, size);
	case HOST_FIRMWARE:
		return ask_firmware(name, out, size);
	case HOST_GUESTS:
		return ask_guests(live->state_dir, out, size);
	case HOST_WHAT_COUNT:
		break;
	}
	return -EINVAL;
}

struct host_probe host_live_probe(struct host_live *live)
{
	return (struct host_probe){ .ask = ask, .arg = live };
}
