/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define NS_PER_S 1000000000U

/* A guest that was cloned or resumed must not repeat the numbers of another: mixed in, credited, and the generator seeded anew. */
static int add_entropy(int held_fd, const uint8_t *data, size_t len)
{
	union {
		struct rand_pool_info head;
		uint8_t room[sizeof(struct rand_pool_info) + sizeof(((struct agent_identity *)0)->entropy)];
	} pool;
	_close_ int fd = -1;
	int r = 0;

	memset(&pool, 0, sizeof(pool));
	pool.head.entropy_count = (int)len * 8;
	pool.head.buf_size = (int)len;
	memcpy(pool.room + sizeof(struct rand_pool_info), data, len);
	fd = held_fd < 0 ? open("/dev/urandom", O_WRONLY | O_CLOEXEC) : -1;
	if (held_fd < 0)
		held_fd = fd;
	if (held_fd < 0 || ioctl(held_fd, RNDADDENTROPY, &pool) < 0 || ioctl(held_fd, RNDRESEEDCRNG) < 0)
		r = -errno;
	explicit_bzero(&pool, sizeof(pool));
	return r;
}

static void keep_first(int *r, int now)
{
	if (*r == 0)
		*r = now;
}

/* A guest without a name server asks its gateway, as those do that are told by their command line (deploy/guest/rootfs/etc/rc). */
static void name_server(const struct agent_identity *i)
{
	char text[64], gateway[INET_ADDRSTRLEN];
	_close_ int fd = -1;

	for (size_t n = 0; n < i->addresses; n++) {
		const struct agent_address *a = &i->address[n];

		if (a->family != 4 || !inet_ntop(AF_INET, a->gateway, gateway, sizeof(gateway)) || strcmp(gateway, "0.0.0.0") == 0)
			continue;
		fd = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd >= 0 && snprintf(text, sizeof(text), "nameserver %s\n", gateway) > 0)
			(void)fd_write_all(fd, text, strlen(text));
		return;
	}
}

/* Found nowhere to write it: an image that is read-only there, or that has no such thing. */
static bool is_no_place(int error)
{
	return error == EROFS || error == ENOENT || error == EBUSY || error == ENOTDIR;
}

static int machine_id(int etc_fd, const uint8_t id[16])
{
	char text[34], old[34] = "";
	_close_ int fd = -1;
	int r;

	for (size_t n = 0; n < 16; n++)
		(void)snprintf(text + 2 * n, 3, "%02x", id[n]);
	text[32] = '\n';
	text[33] = '\0';
	if (fd_read_file(etc_fd, "machine-id", old, sizeof(old)) > 0 && strcmp(old, text) == 0)
		return 0;
	(void)unlinkat(etc_fd, ".machine-id~", 0);
	fd = openat(etc_fd, ".machine-id~", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	if (fd < 0)
		return is_no_place(errno) ? 0 : -errno;
	r = fd_write_all(fd, text, 33);
	if (r == 0 && renameat(etc_fd, ".machine-id~", etc_fd, "machine-id") < 0)
		r = is_no_place(errno) ? 0 : -errno;
	(void)unlinkat(etc_fd, ".machine-id~", 0);
	return r;
}

/* Is there a server's directory that has no key yet? */
static bool wants_host_keys(int etc_fd)
{
	int fd = openat(etc_fd, "ssh", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *d;
	bool found = false;

	if (!dir) {
		(void)fd_close(fd);
		return false;
	}
	while (!found && (d = readdir(dir)) != NULL) /* NOLINT(concurrency-mt-unsafe) */
		found = strncmp(d->d_name, "ssh_host_", 9) == 0;
	(void)closedir(dir);
	return !found;
}

/* Not waited for: large keys take a slow machine seconds. Without ssh-keygen nothing happens. */
static int host_keys(int root_fd)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid > 0)
		return waitpid(pid, NULL, 0) == pid ? 0 : -errno;
	if (fork() == 0 && fchdir(root_fd) == 0) { /* a grandchild, so that nobody has to wait for it */
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		for (int fd = 0; null >= 0 && fd < 3; fd++)
			(void)dup2(null, fd);
		(void)execlp("ssh-keygen", "ssh-keygen", "-A", "-f", ".", (char *)NULL);
	}
	_exit(0);
}

/* Where its own name leads. */
static const char *own_address(const struct agent_identity *i, char text[INET_ADDRSTRLEN])
{
	for (size_t n = 0; n < i->addresses; n++)
		if (i->address[n].family == 4 && inet_ntop(AF_INET, i->address[n].address, text, INET_ADDRSTRLEN))
			return text;
	return "127.0.1.1";
}

/* What the first prompt shows, and what is drawn from the random generator. */
static int apply_first(int random_fd, const struct agent_identity *i)
{
	int r = 0;

	if (i->entropy_len > 0)
		keep_first(&r, add_entropy(random_fd, i->entropy, i->entropy_len));
	if (i->hostname[0] && sethostname(i->hostname, strlen(i->hostname)) < 0)
		keep_first(&r, -errno);
	return r;
}

static int apply_clock(uint64_t clock_ns)
{
	struct timespec clock = { .tv_sec = (time_t)(clock_ns / NS_PER_S), .tv_nsec = (long)(clock_ns % NS_PER_S) };

	return clock_ns > 0 && clock_settime(CLOCK_REALTIME, &clock) < 0 ? -errno : 0;
}

static int apply_network(const struct agent_identity *i)
{
	int r = i->reborn ? rebirth_apply(&i->rebirth) : 0;

	for (size_t n = 0; n < i->addresses; n++)
		keep_first(&r, address_apply(&i->address[n]));
	name_server(i);
	return r;
}

static int apply_files(int root_fd, const struct agent_identity *i)
{
	_close_ int etc_fd = openat(root_fd, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[INET_ADDRSTRLEN];
	int r = etc_fd < 0 && !is_no_place(errno) ? -errno : 0;

	if (i->has_machine && etc_fd >= 0)
		keep_first(&r, machine_id(etc_fd, i->machine));
	if (i->reborn && i->hostname[0])
		keep_first(&r, rebirth_name(i->hostname, own_address(i, text)));
	if (i->has_machine && etc_fd >= 0 && wants_host_keys(etc_fd))
		keep_first(&r, host_keys(root_fd));
	return r;
}

/*
 * A person waits for the prompt: so the shell of a clone goes on as soon as it can. This process, which has stepped back behind it in rebirth_hold(),
 * does the rest, of which the network takes most. Nothing runs meanwhile that somebody has asked for: the host keeps back what is typed until it has
 * the answer.
 */
int identity_apply(struct guest *g, const struct agent_identity *i)
{
	int r = apply_first(g->held.random, i);

	if (i->reborn)
		rebirth_release(&g->held, &i->rebirth);
	keep_first(&r, apply_clock(i->clock_ns));
	keep_first(&r, apply_files(g->root_fd, i));
	keep_first(&r, apply_network(i));
	if (i->reborn && i->rebirth.release)
		rebirth_drop(&g->held);
	return r;
}

/* Its init knows how: both BusyBox and systemd bring these commands. Not waited for: the answer has to get out. */
int power_request(uint32_t how)
{
	static const char *const command[] = { [AGENT_POWER_OFF] = "poweroff", [AGENT_POWER_REBOOT] = "reboot" };
	pid_t pid;

	if (how > AGENT_POWER_REBOOT)
		return -EINVAL;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0)
		return waitpid(pid, NULL, 0) == pid ? 0 : -errno;
	if (fork() == 0) { /* a grandchild, so that nobody has to wait for it */
		(void)execlp(command[how], command[how], (char *)NULL);
		_exit(127);
	}
	_exit(0);
}
