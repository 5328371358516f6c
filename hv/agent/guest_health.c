/* SPDX-License-Identifier: Apache-2.0 */
/* How the guest is, for lists and graphs. Asked every few seconds: a handful of small files, nothing that waits for a disk. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define INTERFACES_MAX 64
#define FILE_MAX  65536
#define SSH_LOCAL ":0016 " /* port 22, as the kernel writes it */
#define LISTENS	  " 0A "

/* What could be had without swapping; the plain numbers of sysinfo(2) count caches as used. */
static uint64_t memory_available(const struct sysinfo *s)
{
	char text[4096];
	const char *at;

	if (fd_read_file(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) < 0 || !(at = strstr(text, "MemAvailable:")))
		return (uint64_t)(s->freeram + s->bufferram) * s->mem_unit;
	return strtoull(at + strlen("MemAvailable:"), NULL, 10) << 10;
}

/* netdevice(7). Not by /sys/class/net: a clone has asked for its interface in this way before, so that nothing new has to be translated. */
static bool is_up(int fd, int index)
{
	struct ifreq ifr = { .ifr_ifindex = index };

	return ioctl(fd, SIOCGIFNAME, &ifr) == 0 && ioctl(fd, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_LOOPBACK) && (ifr.ifr_flags & IFF_RUNNING);
}

static bool has_network(void)
{
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool found = false;

	for (int index = 1; !found && fd >= 0 && index <= INTERFACES_MAX; index++)
		found = is_up(fd, index);
	return found;
}

/* Of /proc/net/tcp: "sl local_address rem_address st ...". Listening sockets come first in it, so its beginning is enough. */
static bool listens_for_ssh(const char *file)
{
	_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	_free_ char *text = malloc(FILE_MAX);
	char *save = NULL;
	bool found = false;
	size_t len = 0;
	ssize_t n = 1;

	if (!text || fd < 0)
		return false;
	for (; n > 0 && len < FILE_MAX - 1; len += n > 0 ? (size_t)n : 0)
		n = read(fd, text + len, FILE_MAX - 1 - len);
	text[len] = '\0';
	for (const char *line = strtok_r(text, "\n", &save); line && !found; line = strtok_r(NULL, "\n", &save)) {
		const char *local = strstr(line, SSH_LOCAL), *state = strstr(line, LISTENS);

		found = local && state && local < state;
	}
	return found;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

int health_take(const struct guest *g, struct agent_health *h)
{
	struct sysinfo s;
	struct statvfs fs;

	if (sysinfo(&s) < 0)
		return -errno;
	*h = (struct agent_health){ .uptime_ms = (uint64_t)s.uptime * 1000, .memory = (uint64_t)s.totalram * s.mem_unit, .jobs = g->njobs,
				    .load_milli = (uint32_t)((uint64_t)s.loads[0] * 1000 >> SI_LOAD_SHIFT) };
	h->memory_available = memory_available(&s);
	if (h->memory_available > h->memory)
		h->memory_available = h->memory;
	if (g->sealed)
		return 0;
	h->whole = true;
	h->flags = (has_network() ? AGENT_HEALTH_NETWORK : 0U) |
		   (listens_for_ssh("/proc/net/tcp") || listens_for_ssh("/proc/net/tcp6") ? AGENT_HEALTH_SSH : 0U);
	if (fstatvfs(g->root_fd, &fs) == 0) {
		h->disk = (uint64_t)fs.f_blocks * fs.f_frsize;
		h->disk_available = (uint64_t)fs.f_bavail * fs.f_frsize;
	}
	h->clock_ns = now_ns();
	return 0;
}
