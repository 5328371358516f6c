/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway in miniature for the stories about terrarium-netd: one command per line of standard input, one line
 * of answer each.
 *
 *   netdc SOCKET            see commands[] at the end
 *
 * Exit status 1 when a command could not be carried out at all; a refusal by the helper is an answer like any
 * other.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hex.h"
#include "base/ipc.h"
#include "netsetup/proto.h"

#define ANSWER_MS 20000

union frame {
	struct netd_head head;
	struct netd_error error;
	struct netd_hello_reply hello;
	struct netd_net_alloc_reply alloc;
	struct netd_vm_spawn_reply spawn;
	struct netd_list_reply list;
	struct netd_adopt_reply adopt;
	struct netd_exited exited;
	uint8_t bytes[16384];
};

static struct client {
	const char *path;
	int fd;
	uint32_t seq;
	struct netd_binary binaries[NETD_BINARIES_MAX];
	int near[NETD_SLOTS_MAX + 1][NETD_FDS_MAX];
	struct netd_slot_info ended[NETD_SLOTS_MAX + 1]; /* EXITED that came while something else was awaited */
	bool has_ended[NETD_SLOTS_MAX + 1];
	uint8_t ring[NETD_SLOTS_MAX + 1];
	int files[2 * NETD_FILES_MAX]; /* for the next spawn; lies: so many more are said to come */
	uint32_t nfiles, lies;
} cl;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static _Noreturn void fail(const char *what)
{
	printf("netdc: %s\n", what);
	exit(1);
}

static void note_exited(const struct netd_slot_info *info)
{
	cl.ended[info->slot] = *info;
	cl.has_ended[info->slot] = true;
}

/* The next frame that is no EXITED. Return: false at the end of the connection or after @ms. */
static bool next_frame(union frame *f, struct ipc_msg *msg, double ms)
{
	double end = now_ms() + ms;

	for (;;) {
		struct pollfd p = { .fd = cl.fd, .events = POLLIN };
		int left = (int)(end - now_ms()), r;

		if (cl.fd < 0 || poll(&p, 1, left > 0 ? left : 0) <= 0)
			return false;
		r = ipc_recv(cl.fd, f, sizeof(*f), msg);
		if (r == -EAGAIN)
			continue;
		if (r < 0) {
			cl.fd = fd_close(cl.fd);
			return false;
		}
		if (f->head.op != NETD_EXITED)
			return true;
		note_exited(&f->exited.info);
	}
}

static void send_with(void *frame, size_t len, const int *fds, size_t nfds)
{
	((struct netd_head *)frame)->size = (uint32_t)len;
	((struct netd_head *)frame)->seq = ++cl.seq;
	while (ipc_send(cl.fd, frame, len, fds, nfds) == -EAGAIN) {
		struct pollfd p = { .fd = cl.fd, .events = POLLOUT };

		(void)poll(&p, 1, 1000);
	}
}

static void send_frame(void *frame, size_t len)
{
	send_with(frame, len, NULL, 0);
}

/* Prints a refusal. Return: true if it was none. */
static bool accepted(const union frame *f)
{
	if (f->head.status == 0)
		return true;
	printf("error %s %s\n", strerrorname_np(-f->head.status), f->error.reason);
	return false;
}

/* Answer to the last request. Return: false when it was refused or the connection ended; that is printed. */
static bool answer(union frame *f, struct ipc_msg *msg)
{
	if (!next_frame(f, msg, ANSWER_MS)) {
		printf(cl.fd < 0 ? "closed\n" : "no answer\n");
		return false;
	}
	return accepted(f);
}

static void print_info(const struct netd_slot_info *i)
{
	static const char *const states[] = { "free", "allocated", "running", "exited" };
	static const char *const nets[] = { "none", "nat", "isolated" };
	char ip4[16], gw4[16], slot4[16], ip6[46], gw6[46];

	(void)inet_ntop(AF_INET, &i->ip4, ip4, sizeof(ip4));
	(void)inet_ntop(AF_INET, &i->gw4, gw4, sizeof(gw4));
	(void)inet_ntop(AF_INET, &i->slot4, slot4, sizeof(slot4));
	(void)inet_ntop(AF_INET6, i->ip6, ip6, sizeof(ip6));
	(void)inet_ntop(AF_INET6, i->gw6, gw6, sizeof(gw6));
	printf("slot=%u state=%s net=%s vm=%.16s uid=%u pid=%d", i->slot, states[i->state & 3], nets[i->net % 3],
	       (const char *)i->vm_id, i->uid, i->pid);
	if (i->ifname[0])
		printf(" if=%s mac=%02x:%02x:%02x:%02x:%02x:%02x ip4=%s/%u gw4=%s ip6=%s/%u gw6=%s", i->ifname,
		       i->mac[0], i->mac[1], i->mac[2], i->mac[3], i->mac[4], i->mac[5], ip4, i->prefix4, gw4,
		       ip6, i->prefix6, gw6);
	if (i->slot4 != i->ip4)
		printf(" slot4=%s", slot4);
	printf("\n");
}

static void take_fds(const struct netd_slot_info *info, struct ipc_msg *msg)
{
	size_t at = 0;

	for (size_t i = 0; i < NETD_FDS_MAX; i++)
		cl.near[info->slot][i] = fd_close(cl.near[info->slot][i] > 0 ? cl.near[info->slot][i] : -1);
	for (size_t i = 0; i < info->nwant && at < msg->nfds; i++)
		if (info->want[i] != NETD_FD_TAP && info->want[i] != NETD_FD_DIR)
			cl.near[info->slot][i] = msg->fds[at++];
	if (at != msg->nfds)
		fail("more FDs came than were wanted");
}

static void set_vm_id(uint8_t id[16], const char *name)
{
	memset(id, 0, 16);
	memcpy(id, name, strlen(name) < 16 ? strlen(name) : 16);
}

static const char *word(char **at)
{
	char *w = strsep(at, " ");

	return w ? w : "";
}

static uint32_t slot_arg(char **at)
{
	return (uint32_t)strtoul(word(at), NULL, 10);
}

/* --- commands --- */

static void cmd_connect(char *args)
{
	(void)args;
	cl.fd = fd_close(cl.fd);
	cl.fd = ipc_connect(cl.path);
	printf(cl.fd < 0 ? "error %s\n" : "connected\n", cl.fd < 0 ? strerrorname_np(-cl.fd) : "");
}

static void cmd_hello(char *args)
{
	struct netd_hello rq = { .head.op = NETD_HELLO, .version = NETD_VERSION };
	union frame f;
	struct ipc_msg msg;

	if (args && *args)
		rq.version = slot_arg(&args);
	send_frame(&rq, sizeof(rq));
	if (!answer(&f, &msg))
		return;
	memcpy(cl.binaries, f.hello.binaries, sizeof(cl.binaries));
	printf("hello version=%u caps=%u slots=%u/%u uplink=%s binaries=", f.hello.version, f.hello.caps,
	       f.hello.slots_used, f.hello.slots_max, f.hello.uplink);
	for (int i = 0; i < NETD_BINARIES_MAX && cl.binaries[i].name[0]; i++)
		printf("%s%s", i ? "," : "", cl.binaries[i].name);
	printf("\n");
}

static void send_alloc(const char *name, const char *net)
{
	struct netd_net_alloc rq = { .head.op = NETD_NET_ALLOC };

	set_vm_id(rq.vm_id, name);
	rq.net = strcmp(net, "nat") == 0	? NETD_NET_NAT
		 : strcmp(net, "isolated") == 0 ? NETD_NET_ISOLATED
						: NETD_NET_NONE;
	if (strcmp(net, "bad") == 0)
		rq.net = 7;
	send_frame(&rq, sizeof(rq));
}

static void cmd_alloc(char *args)
{
	const char *name = word(&args), *net = word(&args);
	union frame f;
	struct ipc_msg msg;

	send_alloc(name, net);
	if (answer(&f, &msg))
		print_info(&f.alloc.info);
}

/* rush NAME NET: ask and be gone before the answer */
static void cmd_rush(char *args)
{
	const char *name = word(&args), *net = word(&args);

	send_alloc(name, net);
	cl.fd = fd_close(cl.fd);
	printf("rushed\n");
}

static void cmd_free(char *args)
{
	struct netd_net_free rq = { .head.op = NETD_NET_FREE, .slot = slot_arg(&args) };
	union frame f;
	struct ipc_msg msg;

	send_frame(&rq, sizeof(rq));
	if (answer(&f, &msg))
		printf("freed\n");
}

static uint16_t binary_index(const char *name)
{
	for (uint16_t i = 0; i < NETD_BINARIES_MAX; i++)
		if (strcmp(cl.binaries[i].name, name) == 0)
			return i;
	return 99;
}

static void add_wants(struct netd_vm_spawn *rq, char *list)
{
	static const char *const kinds[] = { "", "tap", "stream", "stdio", "pty", "log", "ring", "listen", "dir", "fifo" };
	static_assert(sizeof(kinds) / sizeof(kinds[0]) == NETD_FD_LAST + 1, "each kind has a word");
	const char *w;

	while ((w = strsep(&list, ",")))
		for (uint8_t k = 1; k <= NETD_FD_LAST && rq->nwant < NETD_FDS_MAX; k++)
			if (strcmp(w, kinds[k]) == 0)
				rq->want[rq->nwant++] = k;
}

static void add_option(struct netd_vm_spawn *rq, const char *o)
{
	const char *eq = strchr(o, '=');
	unsigned long long v = eq ? strtoull(eq + 1, NULL, 10) : 0;

	if (strncmp(o, "mem=", 4) == 0)
		rq->memory_max = v;
	else if (strncmp(o, "cpu=", 4) == 0)
		rq->cpu_percent = (uint32_t)v;
	else if (strncmp(o, "pids=", 5) == 0)
		rq->pids_max = (uint32_t)v;
	else if (strncmp(o, "ring=", 5) == 0)
		rq->ring_bytes = (uint32_t)v;
	else if (strncmp(o, "cols=", 5) == 0)
		rq->cols = (uint16_t)v;
	else if (strncmp(o, "rows=", 5) == 0)
		rq->rows = (uint16_t)v;
	else if (strncmp(o, "flags=", 6) == 0)
		rq->flags = (uint32_t)v;
}

static void send_spawn(uint32_t slot, const char *binary, const char *wants, char *options, char *argv)
{
	static union {
		struct netd_vm_spawn rq;
		char bytes[NETD_FRAME_MAX];
	} u;
	char list[128];
	const char *w;

	memset(&u, 0, sizeof(u.rq));
	u.rq.head.op = NETD_VM_SPAWN;
	u.rq.slot = slot;
	u.rq.binary = binary_index(binary);
	(void)snprintf(list, sizeof(list), "%s", wants);
	add_wants(&u.rq, list);
	while ((w = strsep(&options, " ")))
		add_option(&u.rq, w);
	while ((w = strsep(&argv, "^"))) {
		size_t n = strlen(w) + 1;

		memcpy(u.bytes + sizeof(u.rq) + u.rq.argv_bytes, w, n);
		u.rq.argv_bytes += (uint32_t)n;
		u.rq.argc++;
	}
	u.rq.nfiles = cl.nfiles + cl.lies;
	send_with(&u, sizeof(u.rq) + u.rq.argv_bytes, cl.files, cl.nfiles);
	while (cl.nfiles > 0)
		(void)fd_close(cl.files[--cl.nfiles]);
	cl.lies = 0;
}

/* file HOW PATH: one for the next spawn. HOW: r, w (both), o (write only), a (append), p (O_PATH); "lie": say one more than come */
static void cmd_file(char *args)
{
	const char *how = word(&args), *path = word(&args);
	int flags = how[0] == 'w' ? O_RDWR : how[0] == 'o' ? O_WRONLY : how[0] == 'a' ? O_RDWR | O_APPEND : how[0] == 'p' ? O_PATH : O_RDONLY;
	int fd = strcmp(how, "lie") == 0 ? -1 : open(path, flags | O_CLOEXEC);

	if (fd >= 0 && cl.nfiles < 2 * NETD_FILES_MAX)
		cl.files[cl.nfiles++] = fd;
	else if (strcmp(how, "lie") == 0)
		cl.lies++;
	else
		fail("the file cannot be opened");
	printf("file %u\n", cl.nfiles);
}

/* spawn SLOT BINARY WANTS [OPTION...] ^ARGV0^ARGV1... */
static void cmd_spawn(char *args)
{
	char *argv = strchr(args, '^');
	uint32_t slot;
	const char *binary, *wants;
	union frame f;
	struct ipc_msg msg;

	if (!argv)
		fail("spawn needs ^argv");
	*argv++ = '\0';
	slot = slot_arg(&args);
	binary = word(&args);
	wants = word(&args);
	send_spawn(slot, binary, wants, args, argv);
	if (!answer(&f, &msg))
		return;
	take_fds(&f.spawn.info, &msg);
	print_info(&f.spawn.info);
}

static void cmd_kill(char *args)
{
	struct netd_vm_kill rq = { .head.op = NETD_VM_KILL, .slot = slot_arg(&args) };
	const char *how = word(&args);
	union frame f;
	struct ipc_msg msg;

	rq.how = strcmp(how, "term") == 0 ? NETD_KILL_TERM : strcmp(how, "hard") == 0 ? NETD_KILL_HARD : 9;
	send_frame(&rq, sizeof(rq));
	if (answer(&f, &msg))
		printf("killed\n");
}

static void cmd_list(char *args)
{
	struct netd_list rq = { .head.op = NETD_LIST };
	uint32_t total = 0;
	union frame f;
	struct ipc_msg msg;

	(void)args;
	do {
		send_frame(&rq, sizeof(rq));
		if (!answer(&f, &msg))
			return;
		for (uint32_t i = 0; i < f.list.count; i++)
			print_info(&f.list.info[i]);
		total += f.list.count;
		rq.from_slot = f.list.next_slot;
	} while (rq.from_slot);
	printf("listed %u\n", total);
}

static void cmd_adopt(char *args)
{
	struct netd_adopt rq = { .head.op = NETD_ADOPT, .slot = slot_arg(&args) };
	union frame f;
	struct ipc_msg msg;

	set_vm_id(rq.vm_id, word(&args));
	send_frame(&rq, sizeof(rq));
	if (!answer(&f, &msg))
		return;
	take_fds(&f.adopt.info, &msg);
	print_info(&f.adopt.info);
}

/* memory SLOT: what the kernel counts of its process */
static void cmd_memory(char *args)
{
	struct netd_memory rq = { .head.op = NETD_MEMORY, .slot = slot_arg(&args) };
	char text[2048];
	union frame f;
	struct ipc_msg msg;
	const char *pss;
	ssize_t n;

	send_frame(&rq, sizeof(rq));
	if (!answer(&f, &msg))
		return;
	n = msg.nfds == 1 ? read(msg.fds[0], text, sizeof(text) - 1) : -1;
	text[n > 0 ? n : 0] = '\0';
	pss = strstr(text, "\nPss:");
	printf("pss %lu kB\n", pss ? strtoul(pss + 5, NULL, 10) : 0);
	ipc_msg_finish(&msg);
}

/* Afterwards the FD is number 7 of the slot. */
static void cmd_reach(char *args)
{
	struct netd_connect rq = { .head.op = NETD_CONNECT, .slot = slot_arg(&args) };
	union frame f;
	struct ipc_msg msg;

	send_frame(&rq, sizeof(rq));
	if (!answer(&f, &msg))
		return;
	if (msg.nfds != 1)
		fail("not one FD");
	(void)fd_close(cl.near[rq.slot][NETD_FDS_MAX - 1] > 0 ? cl.near[rq.slot][NETD_FDS_MAX - 1] : -1);
	cl.near[rq.slot][NETD_FDS_MAX - 1] = msg.fds[0];
	printf("reached\n");
}

static int near_arg(char **at)
{
	uint32_t slot = slot_arg(at), i = slot_arg(at);

	if (slot > NETD_SLOTS_MAX || i >= NETD_FDS_MAX || cl.near[slot][i] <= 0)
		fail("there is no such FD");
	return cl.near[slot][i];
}

/* Reads until @text is there (NULL: until the end). */
static void read_until(int fd, double ms, const char *text)
{
	static char got[1 << 20];
	size_t n = 0;
	double end = now_ms() + ms;
	bool ended = false, found = false;

	while (!found && !ended && n + 1 < sizeof(got) && now_ms() < end) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r;

		(void)poll(&p, 1, 50);
		r = read(fd, got + n, sizeof(got) - 1 - n);
		ended = r == 0 || (r < 0 && errno != EAGAIN && errno != EINTR);
		n += r > 0 ? (size_t)r : 0;
		got[n] = '\0';
		found = text && strstr(got, text);
	}
	printf(found ? "found " : ended ? "end " : "timeout ");
	for (size_t i = 0; i < n && i < 4000; i++)
		printf(got[i] >= 32 && got[i] < 127 ? "%c" : got[i] == '\n' ? "/" : "", got[i]);
	printf("\n");
}

static void cmd_read(char *args)
{
	int fd = near_arg(&args);
	double ms = (double)slot_arg(&args);

	read_until(fd, ms, args ? args : "");
}

static void cmd_end(char *args)
{
	int fd = near_arg(&args);

	read_until(fd, (double)slot_arg(&args), NULL);
}

static void cmd_write(char *args)
{
	int fd = near_arg(&args);

	printf("wrote %d\n", dprintf(fd, "%s\n", args ? args : ""));
}

static void cmd_exited(char *args)
{
	uint32_t slot = slot_arg(&args);
	double end = now_ms() + (double)slot_arg(&args);
	union frame f;
	struct ipc_msg msg;

	while (!cl.has_ended[slot] && cl.fd >= 0 && now_ms() < end)
		(void)next_frame(&f, &msg, 50);
	if (cl.has_ended[slot])
		printf("exited code=%d signal=%d oom=%u\n", cl.ended[slot].exit_code, cl.ended[slot].exit_signal,
		       cl.ended[slot].oom_killed);
	else
		printf("still runs\n");
	cl.has_ended[slot] = false;
}

/* raw HEX: bytes as they are */
static void cmd_raw(char *args)
{
	static uint8_t bytes[32768];
	size_t n = args ? strlen(args) / 2 : 0;

	if (n > sizeof(bytes) || (n && hex_decode(args, bytes, n) < 0))
		fail("raw needs hex digits");
	printf("sent %d\n", ipc_send(cl.fd, bytes, n, NULL, 0));
}

static void cmd_sendfd(char *args)
{
	struct netd_list rq = { .head = { .size = sizeof(rq), .op = NETD_LIST } };
	int fd = 0;

	(void)args;
	printf("sent %d\n", ipc_send(cl.fd, &rq, sizeof(rq), &fd, 1));
}

/* closed MS: whether the helper hangs up */
static void cmd_closed(char *args)
{
	double end = now_ms() + (double)slot_arg(&args);
	union frame f = { .head.status = 0 };
	struct ipc_msg msg;
	char reason[260] = "";

	while (cl.fd >= 0 && now_ms() < end)
		if (next_frame(&f, &msg, 50) && f.head.status)
			(void)snprintf(reason, sizeof(reason), " %s", f.error.reason);
	printf("%s%s\n", cl.fd < 0 ? "closed" : "open", reason);
}

/* flood N: N LIST requests whose answers nobody reads, until the helper hangs up or 15 s passed */
static void cmd_flood(char *args)
{
	uint32_t n = slot_arg(&args), sent = 0;
	double end = now_ms() + 15000;
	int r = 0;

	while (sent < n && now_ms() < end && r != -EPIPE && r != -ECONNRESET) {
		struct netd_list rq = { .head = { .size = sizeof(rq), .op = NETD_LIST, .seq = ++cl.seq } };
		struct pollfd p = { .fd = cl.fd, .events = POLLOUT };

		r = ipc_send(cl.fd, &rq, sizeof(rq), NULL, 0);
		if (r == 0)
			sent++;
		else if (r == -EAGAIN)
			(void)poll(&p, 1, 100);
	}
	printf("flood sent=%u %s\n", sent, r == 0 ? "taken" : strerrorname_np(-r));
}

static void cmd_sleep(char *args)
{
	uint32_t ms = slot_arg(&args);
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
	printf("slept\n");
}

/* cycle N NET: allocate, run, free; N times */
static void cmd_cycle(char *args)
{
	uint32_t n = slot_arg(&args);
	const char *net = word(&args);
	double start = now_ms();

	for (uint32_t i = 0; i < n; i++) {
		union frame f;
		struct ipc_msg msg;
		char argv[] = "true^-c^exit 0", name[16], free_args[16];
		uint32_t slot;

		(void)snprintf(name, sizeof(name), "cycle%u", i);
		send_alloc(name, net);
		if (!answer(&f, &msg))
			return;
		slot = f.alloc.info.slot;
		send_spawn(slot, "shell", strcmp(net, "none") == 0 ? "pty,ring" : "tap,pty,stream,ring",
			   strdup("ring=65536"), argv);
		if (!answer(&f, &msg))
			return;
		take_fds(&f.spawn.info, &msg);
		while (!cl.has_ended[slot] && now_ms() < start + 60000)
			(void)next_frame(&f, &msg, 20);
		cl.has_ended[slot] = false;
		(void)snprintf(free_args, sizeof(free_args), "%u", slot);
		struct netd_net_free rq = { .head.op = NETD_NET_FREE, .slot = slot };
		send_frame(&rq, sizeof(rq));
		if (!answer(&f, &msg))
			return;
	}
	printf("cycled %u in %.0f ms\n", n, now_ms() - start);
}

/* bench N NET: N slots, N starts as fast as the helper goes, all killed, all freed; figures of each part */
static void cmd_bench(char *args)
{
	uint32_t n = slot_arg(&args), done;
	const char *net = word(&args);
	double t0 = now_ms(), t1, t2, t3, t4;
	union frame f;
	struct ipc_msg msg;

	for (uint32_t i = 0; i < n; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "bench%u", i);
		send_alloc(name, net);
		if (i % 32 == 31 || i == n - 1)
			for (uint32_t k = 0; k <= i % 32; k++)
				if (!answer(&f, &msg))
					return;
	}
	t1 = now_ms();
	for (uint32_t i = 1; i <= n; i++) {
		char argv[] = "sh^-c^read line";

		send_spawn(i, "shell", "pty", NULL, argv);
		if (!answer(&f, &msg))
			return;
		take_fds(&f.spawn.info, &msg);
	}
	t2 = now_ms();
	for (uint32_t i = 1; i <= n; i++) {
		struct netd_vm_kill rq = { .head.op = NETD_VM_KILL, .slot = i, .how = NETD_KILL_HARD };

		send_frame(&rq, sizeof(rq));
		if (!answer(&f, &msg))
			return;
	}
	for (done = 0; done < n && now_ms() < t2 + 60000; done += cl.has_ended[done + 1])
		if (!cl.has_ended[done + 1])
			(void)next_frame(&f, &msg, 20);
	t3 = now_ms();
	for (uint32_t i = 1; i <= n; i++) {
		struct netd_net_free rq = { .head.op = NETD_NET_FREE, .slot = i };

		send_frame(&rq, sizeof(rq));
		if (i % 32 == 0 || i == n)
			for (uint32_t k = 0; k < (i % 32 ? i % 32 : 32); k++)
				if (!answer(&f, &msg))
					return;
	}
	t4 = now_ms();
	printf("bench n=%u alloc=%.2f spawn=%.2f kill=%.2f free=%.2f ms each\n", n, (t1 - t0) / n,
	       (t2 - t1) / n, (t3 - t2) / n, (t4 - t3) / n);
}

static const struct {
	const char *name;
	void (*run)(char *args);
} commands[] = {
	{ "connect", cmd_connect }, { "hello", cmd_hello }, { "alloc", cmd_alloc },   { "rush", cmd_rush },
	{ "free", cmd_free },	    { "spawn", cmd_spawn }, { "kill", cmd_kill },     { "list", cmd_list },
	{ "reach", cmd_reach }, { "memory", cmd_memory }, { "adopt", cmd_adopt },	    { "read", cmd_read },   { "end", cmd_end },	      { "write", cmd_write },
	{ "exited", cmd_exited },   { "raw", cmd_raw },	    { "sendfd", cmd_sendfd }, { "closed", cmd_closed },
	{ "file", cmd_file }, { "flood", cmd_flood },	    { "sleep", cmd_sleep }, { "cycle", cmd_cycle },   { "bench", cmd_bench },
};

static void run(char *line)
{
	char *args = line;
	const char *name = word(&args);

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		commands[i].run(args);
		(void)fflush(stdout);
		return;
	}
	fail("unknown command");
}

int main(int argc, char **argv)
{
	static char line[80000];

	if (argc != 2)
		fail("usage: netdc SOCKET <COMMANDS");
	cl.path = argv[1];
	cl.fd = ipc_connect(cl.path);
	if (cl.fd < 0)
		fail(strerror(-cl.fd));
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && line[0] != '#')
			run(line);
	}
	return 0;
}
