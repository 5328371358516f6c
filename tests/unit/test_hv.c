/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine of hv/, against a helper that lives in this file (a real SEQPACKET socket, real FDs) and a driver without a process.
 * Every wait is some 10 ms long here; what the tests look at is the order of things and where they end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "hv/driver.h"
#include "hv/hv.h"

#define READY "\033]7717;ready\007"
#define SLOTS 8
#define RING  65536

/* --- the stand-in for the helper ---------------------------------------------------------------------------------------------- */

struct slot {
	struct netd_slot_info info;
	int near[NETD_FDS_MAX], far[NETD_FDS_MAX]; /* near: what ADOPT gives again; -1 where none */
};

static struct {
	int listen_fd, fd;
	ev_io accepting, readable;
	struct slot slots[SLOTS + 1]; /* from 1 */
	uint32_t caps, version;
	unsigned mute, refuse; /* bit 1 << op */
	bool immune_to_term, immune_to_kill, drop_after_spawn, no_qemu;
	char ops[4096]; /* a letter for each request: A F S T K L D */
	char argv0[64];
	unsigned accepted;
	uint64_t memory_max;
	uint32_t cpu_percent, cards_of_slot, cards_added, cards_removed;
} net;

static void net_reply(const struct netd_head *q, void *frame, size_t size, const int *fds, size_t nfds)
{
	struct netd_head *h = frame;

	h->size = (uint32_t)size;
	h->op = q->op | NETD_REPLY;
	h->seq = q->seq;
	assert_int_equal(ipc_send(net.fd, frame, size, fds, nfds), 0);
}

static void net_refuse(const struct netd_head *q, int code, const char *reason)
{
	struct netd_error f = { .head = { .status = code } };

	(void)snprintf(f.reason, sizeof(f.reason), "%s", reason);
	net_reply(q, &f, sizeof(f), NULL, 0);
}

static void net_close(void)
{
	if (net.fd < 0)
		return;
	ev_io_stop(net.readable.data, &net.readable);
	net.fd = fd_close(net.fd);
}

static void slot_reset(struct slot *s)
{
	for (int i = 0; i < NETD_FDS_MAX; i++) {
		s->near[i] = fd_close(s->near[i]);
		s->far[i] = fd_close(s->far[i]);
	}
	memset(&s->info, 0, sizeof(s->info));
}

static void exit_slot(struct slot *s, int code, int signal, bool oom)
{
	struct netd_exited f = { .head = { .size = sizeof(f), .op = NETD_EXITED } };

	if (s->info.state != NETD_SLOT_RUNNING)
		return;
	s->info.state = NETD_SLOT_EXITED;
	s->info.pid = 0;
	s->info.exit_code = code;
	s->info.exit_signal = signal;
	s->info.oom_killed = oom;
	for (int i = 0; i < NETD_FDS_MAX; i++)
		s->far[i] = fd_close(s->far[i]);
	f.info = s->info;
	if (net.fd >= 0)
		assert_int_equal(ipc_send(net.fd, &f, sizeof(f), NULL, 0), 0);
}

static struct slot *find_slot(const uint8_t id[16])
{
	for (int i = 1; i <= SLOTS; i++) {
		if (net.slots[i].info.state != NETD_SLOT_FREE && memcmp(net.slots[i].info.vm_id, id, 16) == 0)
			return &net.slots[i];
	}
	return NULL;
}

static struct slot *new_slot(const uint8_t id[16], uint32_t kind)
{
	for (uint32_t i = 1; i <= SLOTS; i++) {
		struct netd_slot_info *s = &net.slots[i].info;

		if (s->state != NETD_SLOT_FREE)
			continue;
		memcpy(s->vm_id, id, 16);
		s->slot = i;
		s->cards = net.cards_of_slot;
		s->state = NETD_SLOT_ALLOCATED;
		s->net = kind;
		if (kind != NETD_NET_NONE) {
			(void)snprintf(s->ifname, sizeof(s->ifname), "t%u", i);
			s->ip4 = s->slot4 = htonl(0x0a4d0002 + i);
			s->gw4 = htonl(0x0a4d0001);
			s->prefix4 = 24;
		}
		return &net.slots[i];
	}
	return NULL;
}

static void give_fds(struct slot *s, const uint8_t *want, uint32_t nwant, uint32_t ring)
{
	s->info.nwant = nwant;
	memcpy(s->info.want, want, NETD_FDS_MAX);
	s->info.ring_bytes = ring;
	s->info.state = NETD_SLOT_RUNNING;
	s->info.pid = 4711;
	for (uint32_t i = 0; i < nwant; i++) {
		int sv[2];

		if (want[i] == NETD_FD_TAP)
			continue;
		if (want[i] == NETD_FD_RING) {
			s->near[i] = memfd_create("ring", MFD_CLOEXEC);
			assert_int_equal(ftruncate(s->near[i], ring), 0);
			continue;
		}
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
		s->near[i] = sv[0];
		s->far[i] = sv[1];
	}
}

static size_t near_fds(const struct slot *s, int *fds)
{
	size_t n = 0;

	for (uint32_t i = 0; i < s->info.nwant; i++) {
		if (s->near[i] >= 0)
			fds[n++] = s->near[i];
	}
	return n;
}

static void net_spawn(const struct netd_vm_spawn *q, size_t len)
{
	struct slot *s = &net.slots[q->slot <= SLOTS ? q->slot : 0];
	struct netd_vm_spawn_reply f = { .head = { .status = 0 } };
	int fds[NETD_FDS_MAX];
	size_t n;

	assert_int_equal(len, sizeof(*q) + q->argv_bytes);
	assert_int_equal(s->info.state, NETD_SLOT_ALLOCATED);
	(void)snprintf(net.argv0, sizeof(net.argv0), "%.63s", (const char *)(q + 1));
	give_fds(s, q->want, q->nwant, q->ring_bytes);
	if (net.drop_after_spawn) {
		net.drop_after_spawn = false;
		net_close();
		return;
	}
	n = near_fds(s, fds);
	f.info = s->info;
	net_reply(&q->head, &f, sizeof(f), fds, n);
}

static void net_kill(const struct netd_vm_kill *q)
{
	struct slot *s = &net.slots[q->slot];
	struct netd_head f = { 0 };

	if (s->info.state != NETD_SLOT_RUNNING) {
		net_refuse(&q->head, -ESRCH, "no process");
		return;
	}
	net_reply(&q->head, &f, sizeof(f), NULL, 0);
	if (q->how == NETD_KILL_TERM ? !net.immune_to_term : !net.immune_to_kill)
		exit_slot(s, 0, q->how == NETD_KILL_TERM ? 15 : 9, false);
}

static void net_alloc(const struct netd_net_alloc *q)
{
	struct netd_net_alloc_reply f = { .head = { .status = 0 } };
	struct slot *s = find_slot(q->vm_id);

	if (!s)
		s = new_slot(q->vm_id, q->net);
	if (!s) {
		net_refuse(&q->head, -ENOSPC, "every slot is taken");
		return;
	}
	f.info = s->info;
	net_reply(&q->head, &f, sizeof(f), NULL, 0);
}

static void net_card(const struct netd_card *q)
{
	struct netd_card_reply f = { .head = { .status = 0 } };
	bool add = q->head.op == NETD_CARD_ADD;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (add)
		net.cards_added |= q->card;
	else
		net.cards_removed |= q->card;
	f.info = (struct netd_card_info){ .slot = q->slot, .card = q->card, .mac = { [5] = (uint8_t)q->card }, .prefix4 = 22 };
	(void)snprintf(f.info.ifname, sizeof(f.info.ifname), "trm%uc%u", q->slot % 10, q->card % 10);
	net_reply(&q->head, &f, add ? sizeof(f) : sizeof(f.head), &fd, add);
	(void)fd_close(fd);
}

static void net_free(const struct netd_net_free *q)
{
	struct slot *s = &net.slots[q->slot];
	struct netd_head f = { 0 };

	if (s->info.state == NETD_SLOT_RUNNING) {
		net_refuse(&q->head, -EBUSY, "a process runs in it");
		return;
	}
	slot_reset(s);
	net_reply(&q->head, &f, sizeof(f), NULL, 0);
}

/* Two a page, so that paging is at work in every test. */
static void net_list(const struct netd_list *q)
{
	struct netd_list_reply f = { .count = 0 };

	for (uint32_t i = q->from_slot ? q->from_slot : 1; i <= SLOTS; i++) {
		if (net.slots[i].info.state == NETD_SLOT_FREE)
			continue;
		if (f.count == 2) {
			f.next_slot = i;
			break;
		}
		f.info[f.count++] = net.slots[i].info;
	}
	net_reply(&q->head, &f, sizeof(f), NULL, 0);
}

static void net_adopt(const struct netd_adopt *q)
{
	struct slot *s = &net.slots[q->slot];
	struct netd_adopt_reply f = { .info = s->info };
	int fds[NETD_FDS_MAX];

	assert_memory_equal(q->vm_id, s->info.vm_id, 16);
	net_reply(&q->head, &f, sizeof(f), fds, near_fds(s, fds));
}

static void net_hello(const struct netd_hello *q)
{
	struct netd_hello_reply f = { .version = net.version, .caps = net.caps, .slots_max = SLOTS };

	(void)snprintf(f.binaries[0].name, sizeof(f.binaries[0].name), "sh");
	if (!net.no_qemu)
		(void)snprintf(f.binaries[1].name, sizeof(f.binaries[1].name), "qemu");
	net_reply(&q->head, &f, sizeof(f), NULL, 0);
}

/* As the kernel writes it. */
static void net_memory(const struct netd_head *h)
{
	static const char text[] = "55d0c2a00000-7ffd3b9fe000 ---p 00000000 00:00 0                          [rollup]\n"
				   "Rss:               40960 kB\nPss:               24000 kB\nPss_Anon:          10000 kB\n";
	int fd = memfd_create("rollup", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	net_reply(h, &(struct netd_head){ 0 }, sizeof(struct netd_head), &fd, 1);
	(void)fd_close(fd);
}

static void net_request(const struct netd_head *h, size_t len)
{
	static const char letters[NETD_OP_COUNT] = { 'H', 'H', 'A', 'F', 'S', 'K', 'L', 'D', 'C', 'M', 'P', 'N', 'U' };
	size_t n = strlen(net.ops);
	char letter = letters[h->op];

	if (h->op == NETD_VM_KILL && ((const struct netd_vm_kill *)h)->how == NETD_KILL_TERM)
		letter = 'T';
	if (letter != 'H' && n + 1 < sizeof(net.ops))
		net.ops[n] = letter;
	if (net.mute & 1U << h->op)
		return;
	if (net.refuse & 1U << h->op) {
		net_refuse(h, -EPERM, "not today");
		return;
	}
	switch (h->op) {
	case NETD_HELLO:
		net_hello((const struct netd_hello *)h);
		break;
	case NETD_NET_ALLOC:
		net_alloc((const struct netd_net_alloc *)h);
		break;
	case NETD_NET_FREE:
		net_free((const struct netd_net_free *)h);
		break;
	case NETD_VM_SPAWN:
		net_spawn((const struct netd_vm_spawn *)h, len);
		break;
	case NETD_VM_KILL:
		net_kill((const struct netd_vm_kill *)h);
		break;
	case NETD_VM_LIMITS:
		net.memory_max = ((const struct netd_vm_limits *)h)->memory_max;
		net.cpu_percent = ((const struct netd_vm_limits *)h)->cpu_percent;
		net_reply(h, &(struct netd_head){ 0 }, sizeof(struct netd_head), NULL, 0);
		break;
	case NETD_MEMORY:
		net_memory(h);
		break;
	case NETD_CARD_ADD:
	case NETD_CARD_REMOVE:
		net_card((const struct netd_card *)h);
		break;
	case NETD_LIST:
		net_list((const struct netd_list *)h);
		break;
	default:
		net_adopt((const struct netd_adopt *)h);
		break;
	}
}

static void on_net_readable(struct ev_loop *ev, ev_io *w, int events)
{
	static _Alignas(8) uint8_t frame[NETD_FRAME_MAX];
	struct ipc_msg msg;
	int r;

	(void)ev;
	(void)w;
	(void)events;
	while (net.fd >= 0 && (r = ipc_recv(net.fd, frame, sizeof(frame), &msg)) != -EAGAIN) {
		if (r < 0) {
			net_close();
			return;
		}
		net_request((const struct netd_head *)(const void *)frame, msg.len);
	}
}

static void on_accept(struct ev_loop *ev, ev_io *w, int events)
{
	(void)events;
	net_close();
	net.fd = ipc_accept(w->fd);
	assert_true(net.fd >= 0);
	net.accepted++;
	ev_io_init(&net.readable, on_net_readable, net.fd, EV_READ);
	net.readable.data = ev;
	ev_io_start(ev, &net.readable);
}

/* --- the stand-in for QEMU's driver ------------------------------------------------------------------------------------------------ */

static struct {
	int ask, quit, reset; /* results */
	unsigned asked, quitted, resets, finished, attached;
	bool last_adopted;
	enum hv_accel accel;
	bool has_agent, pauses;
	unsigned resumed, resizes;
	struct vm_size wish;
	char plugs[64];
	int plug_error;
} drv;

static int fake_plan(const struct plan_input *in, struct spawn_plan *p, struct err *e)
{
	(void)e;
	drv.accel = in->accel;
	p->binary = "qemu";
	(void)plan_arg(p, "qemu");
	(void)plan_arg(p, "%s", in->cmdline);
	(void)plan_want(p, NETD_FD_STREAM);
	(void)plan_want(p, NETD_FD_RING);
	if (drv.has_agent)
		(void)plan_want(p, NETD_FD_STREAM);
	p->ring_bytes = in->ring_bytes;
	return 0;
}

static int fake_attach(struct hv_vm *vm, void *instance, int *fds, const struct netd_slot_info *info, struct hv_console *console,
		       struct err *e)
{
	int agent = plan_take(info, fds, NETD_FD_STREAM, 1);

	*(int *)instance = 1;
	drv.attached++;
	drv.last_adopted = console->adopted;
	console->fd = plan_take(info, fds, NETD_FD_STREAM, 0);
	console->ring_fd = plan_take(info, fds, NETD_FD_RING, 0);
	console->ring_bytes = info->ring_bytes;
	console->kind = HV_CONSOLE_SOCKET;
	if (agent >= 0) {
		hv_agent_stream(vm, agent);
		hv_agent_here(vm);
	}
	return console->fd >= 0 ? 0 : err_set(e, -EPROTO, "no console");
}

static int fake_ask(struct hv_vm *vm, void *instance)
{
	(void)vm;
	(void)instance;
	drv.asked++;
	return drv.ask;
}

static int fake_quit(struct hv_vm *vm, void *instance)
{
	(void)vm;
	(void)instance;
	drv.quitted++;
	return drv.quit;
}

static int fake_reset(struct hv_vm *vm, void *instance)
{
	(void)instance;
	drv.resets++;
	if (drv.reset == 0)
		hv_event(vm, HV_EV_RESET, NULL);
	return drv.reset;
}

static int fake_pause(struct hv_vm *vm, void *instance)
{
	(void)instance;
	if (drv.pauses)
		hv_event(vm, HV_EV_PAUSED, NULL);
	return 0;
}

static int fake_resume(struct hv_vm *vm, void *instance)
{
	(void)instance;
	drv.resumed++;
	hv_event(vm, HV_EV_RESUMED, NULL);
	return 0;
}

static int fake_may_resize(const void *instance, const struct vm_size *now, const struct vm_size *wish, struct err *e)
{
	(void)instance;
	return wish->memory_bytes < now->memory_bytes ? err_set(e, -EINVAL, "only more") : 0;
}

/* The test says what comes of it. */
static int fake_resize(struct hv_vm *vm, void *instance, const struct vm_size *wish)
{
	(void)vm;
	(void)instance;
	drv.wish = *wish;
	drv.resizes++;
	return 0;
}

static int fake_plug(struct hv_vm *vm, void *instance, const struct hv_disk *d, struct err *e)
{
	(void)vm;
	(void)instance;
	(void)d;
	return err_set(e, -EBUSY, "no disks here");
}

static int fake_plug_card(struct hv_vm *vm, void *instance, const char *name, const uint8_t mac[6], int tap_fd, struct err *e)
{
	(void)vm;
	(void)instance;
	assert_true(fcntl(tap_fd, F_GETFD) >= 0);
	(void)snprintf(drv.plugs + strlen(drv.plugs), sizeof(drv.plugs) - strlen(drv.plugs), "+%s/%u ", name, mac[5]);
	return drv.plug_error ? err_set(e, drv.plug_error, "not in there") : 0;
}

static int fake_unplug(struct hv_vm *vm, void *instance, const char *serial, struct err *e)
{
	(void)vm;
	(void)instance;
	(void)e;
	(void)snprintf(drv.plugs + strlen(drv.plugs), sizeof(drv.plugs) - strlen(drv.plugs), "-%s ", serial);
	return 0;
}

static void fake_limits(const struct vm_size *size, uint64_t *memory_max, uint32_t *cpu_percent)
{
	*memory_max = size->memory_bytes + (1 << 20);
	*cpu_percent = 100 * size->cpus;
}

static const char *fake_words(void *instance)
{
	(void)instance;
	return "could not set up the frobnicator";
}

static void fake_finish(struct hv_vm *vm, void *instance)
{
	(void)vm;
	assert_int_equal(*(int *)instance, 1);
	drv.finished++;
}

const struct hv_driver hv_driver_qemu = {
	.name = "qemu", .has_guest = true, .instance_bytes = sizeof(int), .plan = fake_plan, .attach = fake_attach, .ask_stop = fake_ask,
	.quit = fake_quit, .reset = fake_reset, .pause = fake_pause, .resume = fake_resume,
	.may_resize = fake_may_resize, .resize = fake_resize, .limits = fake_limits, .plug = fake_plug, .plug_card = fake_plug_card,
	.unplug = fake_unplug, .last_words = fake_words, .finish = fake_finish,
};

/* --- the fixture ----------------------------------------------------------------------------------------------------------------------- */

static struct {
	struct loop loop;
	struct hv *hv;
	struct hv_vm *vm;
	char dir[64], socket[96], images[96];
	struct hv_config c;
	struct hv_limits limits;
	char states[1024]; /* names of the states entered, one after the other */
	char why_offline[256], resized[64], plugged[160];
	int console_fd, ring_fd;
	bool adopted;
	unsigned online, offline, exits, consoles, agents;
	int agent_fd;
	int exit_code, exit_signal;
	bool restart_in_hook, stop_in_exit;
	unsigned waited;
} t;

static void hook_state(void *arg, struct hv_vm *vm)
{
	struct hv_view v;
	size_t n = strlen(t.states);

	assert_ptr_equal(arg, &t);
	hv_vm_view(vm, &v);
	(void)snprintf(t.states + n, sizeof(t.states) - n, "%s ", hv_state_name(v.state));
	if (t.restart_in_hook && v.state == HV_STOPPED) {
		t.restart_in_hook = false;
		assert_int_equal(hv_vm_start(vm, NULL), 0);
	}
}

static void hook_console(void *arg, struct hv_vm *vm, const struct hv_console *c)
{
	(void)arg;
	(void)vm;
	assert_null(strstr(t.states, "booting starting"));
	assert_true(fcntl(c->fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(c->ring_bytes, RING);
	(void)fd_close(t.console_fd);
	(void)fd_close(t.ring_fd);
	t.console_fd = c->fd;
	t.ring_fd = c->ring_fd;
	t.adopted = c->adopted;
	t.consoles++;
}

static void hook_agent(void *arg, struct hv_vm *vm, int fd)
{
	(void)arg;
	(void)vm;
	assert_true(t.consoles > 0);
	(void)fd_close(t.agent_fd);
	t.agent_fd = fd;
	t.agents++;
}

static void hook_exit(void *arg, struct hv_vm *vm, int code, int signal)
{
	(void)arg;
	t.exits++;
	t.exit_code = code;
	t.exit_signal = signal;
	if (t.stop_in_exit)
		assert_int_equal(hv_vm_stop(vm, HV_STOP_KILL, NULL), 0);
	t.stop_in_exit = false;
}

static void hook_online(void *arg)
{
	(void)arg;
	t.online++;
}

static void hook_offline(void *arg, const char *why)
{
	(void)arg;
	t.offline++;
	(void)snprintf(t.why_offline, sizeof(t.why_offline), "%s", why);
}

static void hook_resized(void *arg, struct hv_vm *vm, const char *why)
{
	(void)arg;
	(void)vm;
	(void)snprintf(t.resized, sizeof(t.resized), "%s", why ? why : "done");
}

static void hook_waiting(void *arg, struct hv_vm *vm)
{
	struct hv_view v;

	(void)arg;
	hv_vm_view(vm, &v);
	assert_true(v.before >= 0);
	t.waited++;
}

static void hook_plugged(void *arg, struct hv_vm *vm, const char *serial, bool in, const char *why)
{
	(void)arg;
	(void)vm;
	(void)snprintf(t.plugged, sizeof(t.plugged), "%s %s%s%s", serial, in ? "in" : "out", why ? ": " : "", why ? why : "");
}

static const struct hv_hooks hooks = {
	.on_plugged = hook_plugged,
	.on_waiting = hook_waiting,
	.on_resized = hook_resized,
	.on_state = hook_state, .on_console = hook_console, .on_agent = hook_agent, .on_exit = hook_exit, .on_online = hook_online,
	.on_offline = hook_offline,
};

static void write_text(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void write_image(void)
{
	char dir[128];

	(void)snprintf(dir, sizeof(dir), "%s/micro", t.images);
	assert_int_equal(mkdir(t.images, 0700), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	write_text(dir, "vmlinux", "kernel");
	write_text(dir, "initrd", "init");
	write_text(dir, "manifest.json",
		   "{\"kernel\":\"vmlinux\",\"initrd\":\"initrd\",\"cmdline\":\"console=ttyS0\",\"memory_min\":100000000,"
		   "\"ready\":\"\\u001b]7717;ready\\u0007\",\"files\":{\"vmlinux\":{\"sha256\":\"" DIGEST "\",\"size\":6},"
		   "\"initrd\":{\"sha256\":\"" DIGEST "\",\"size\":4}}}");
}

static void start_net(void)
{
	net.listen_fd = ipc_listen(t.socket, 0600);
	assert_true(net.listen_fd >= 0);
	ev_io_init(&net.accepting, on_accept, net.listen_fd, EV_READ);
	ev_io_start(t.loop.ev, &net.accepting);
}

static void stop_net(void)
{
	net_close();
	if (net.listen_fd >= 0)
		ev_io_stop(t.loop.ev, &net.accepting);
	net.listen_fd = fd_close(net.listen_fd);
	(void)unlink(t.socket);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	memset(&net, 0, sizeof(net));
	memset(&drv, 0, sizeof(drv));
	t.console_fd = t.ring_fd = t.agent_fd = net.fd = net.listen_fd = -1;
	for (int i = 0; i <= SLOTS; i++) {
		for (int k = 0; k < NETD_FDS_MAX; k++)
			net.slots[i].near[k] = net.slots[i].far[k] = -1;
	}
	net.version = NETD_VERSION;
	(void)log_open("test", getenv("TEST_LOG") ? getenv("TEST_LOG") : "error");
	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/test_hv.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	(void)snprintf(t.socket, sizeof(t.socket), "%s/netd", t.dir);
	(void)snprintf(t.images, sizeof(t.images), "%s/images", t.dir);
	write_image();
	assert_int_equal(loop_init(&t.loop), 0);
	start_net();
	t.limits = (struct hv_limits){ .call_ms = 400, .retry_ms = 10, .start_ms = 3000, .quit_ms = 30, .term_ms = 30, .kill_ms = 30,
				       .probe_ms = 3000, .probe_wait_ms = 3000, .resets_ms = 5000,
				       .resets_gap_ms = 1, .resets = 4, .memory_gap_ms = 3600000 };
	t.c = (struct hv_config){ .helper_socket = t.socket, .driver = "auto", .images = t.images, .machine = "microvm", .accel = "tcg",
				  .state_dir = t.dir, .local_command = "/bin/sh -i", .local_console = "pty", .ring_bytes = RING,
				  .boot_deadline_ms = 5000, .stop_deadline_ms = 5000, .limits = &t.limits };
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	t.hv = hv_destroy(t.hv);
	stop_net();
	for (int i = 1; i <= SLOTS; i++)
		slot_reset(&net.slots[i]);
	loop_finish(&t.loop);
	t.console_fd = fd_close(t.console_fd);
	t.ring_fd = fd_close(t.ring_fd);
	t.agent_fd = fd_close(t.agent_fd);
	(void)snprintf(command, sizeof(command), "%s/images/micro", t.dir);
	for (const char *const *f = (const char *const[]){ "vmlinux", "initrd", "manifest.json", NULL }; *f; f++) {
		char path[192];

		(void)snprintf(path, sizeof(path), "%s/%s", command, *f);
		(void)unlink(path);
	}
	(void)rmdir(command);
	(void)rmdir(t.images);
	(void)snprintf(command, sizeof(command), "%s/accel-0123456789abcdef.json", t.dir);
	(void)unlink(command);
	assert_int_equal(rmdir(t.dir), 0);
	return 0;
}

static void on_tick(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)w;
	(void)events;
}

/* Turns the loop until @done or some seconds have passed. */
static bool until(bool (*done)(void))
{
	uint64_t end = loop_now_ms() + 10000;
	ev_timer tick;

	ev_timer_init(&tick, on_tick, 0.01, 0.01);
	ev_timer_start(t.loop.ev, &tick);
	while (!done() && loop_now_ms() < end)
		ev_run(t.loop.ev, EVRUN_ONCE);
	ev_timer_stop(t.loop.ev, &tick);
	return done();
}

static void turn_for(uint64_t ms)
{
	uint64_t end = loop_now_ms() + ms;
	ev_timer tick;

	ev_timer_init(&tick, on_tick, 0.005, 0.005);
	ev_timer_start(t.loop.ev, &tick);
	while (loop_now_ms() < end)
		ev_run(t.loop.ev, EVRUN_ONCE);
	ev_timer_stop(t.loop.ev, &tick);
}

static enum hv_state state_now(void)
{
	struct hv_view v;

	hv_vm_view(t.vm, &v);
	return v.state;
}

static const char *reason_now(void)
{
	struct hv_view v;

	hv_vm_view(t.vm, &v);
	return v.reason;
}

static bool is_online(void)
{
	return hv_online(t.hv);
}

static bool is_offline(void)
{
	return !hv_online(t.hv);
}

static bool is_booting(void)
{
	return state_now() == HV_BOOTING;
}

static bool is_ready(void)
{
	return state_now() == HV_READY;
}

static bool is_stopped(void)
{
	return state_now() == HV_STOPPED;
}

static bool is_failed(void)
{
	return state_now() == HV_FAILED;
}

static bool is_clear(void)
{
	for (int i = 1; i <= SLOTS; i++) {
		if (net.slots[i].info.state != NETD_SLOT_FREE)
			return false;
	}
	return true;
}

static const uint8_t id_a[16] = { 'a' }, id_b[16] = { 'b' }, id_c[16] = { 'c' };

static struct hv_vm *make(const uint8_t id[16])
{
	struct vm_spec spec;
	struct hv_vm *vm;

	spec_defaults(&spec);
	vm = hv_vm_create(t.hv, id, &spec, &t);
	assert_non_null(vm);
	assert_ptr_equal(hv_vm_owner(vm), &t);
	return vm;
}

static void create(void)
{
	struct err e = { 0 };

	assert_int_equal(hv_create(&t.hv, &t.loop, &t.c, &hooks, &t, &e), 0);
}

static void go_online(void)
{
	create();
	assert_true(until(is_online));
	t.vm = make(id_a);
}

static void say(const char *text)
{
	hv_vm_console_seen(t.vm, (const uint8_t *)text, strlen(text));
}

static struct slot *slot_of(const uint8_t id[16])
{
	struct slot *s = find_slot(id);

	assert_non_null(s);
	return s;
}

static void go_booting(void)
{
	go_online();
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_booting));
}

static void go_ready(void)
{
	go_booting();
	say(READY);
	assert_int_equal(state_now(), HV_READY);
}

/* --- the straight line ------------------------------------------------------------------------------------------------------------------- */

static void boots_and_stops(void **state)
{
	struct hv_view v;

	(void)state;
	go_online();
	assert_int_equal(state_now(), HV_REQUESTED);
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_int_equal(hv_vm_start(t.vm, NULL), -EINVAL);
	assert_true(until(is_booting));
	assert_int_equal(t.consoles, 1);
	assert_false(t.adopted);
	say("Linux\r\n\033]7717;");
	say("\033]7717;re");
	assert_int_equal(state_now(), HV_BOOTING);
	say("ady\007$ ");
	assert_int_equal(state_now(), HV_READY);
	hv_vm_view(t.vm, &v);
	assert_string_equal(v.ip4, "10.77.0.3");
	assert_string_equal(v.slot4, "10.77.0.3");
	assert_string_equal(v.gw4, "10.77.0.1");
	assert_string_equal(v.accel, "tcg");
	assert_string_equal(v.driver, "qemu");
	assert_int_equal(v.pid, 4711);
	assert_false(v.can_resize);
	assert_true(v.can_plug);
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, NULL), 0);
	assert_int_equal(drv.asked, 1);
	exit_slot(slot_of(id_a), 0, 0, false);
	assert_true(until(is_stopped));
	assert_string_equal(t.states, "placing starting booting ready stopping stopped ");
	assert_string_equal(reason_now(), "");
	assert_true(is_clear());
	assert_int_equal(t.exits, 1);
	assert_int_equal(drv.finished, 1);
	assert_int_equal(drv.quitted, 0);
	assert_string_equal(net.ops, "LASF");
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, NULL), -EINVAL);
	t.vm = hv_vm_destroy(t.vm);
}

static void starts_again_from_the_hook(void **state)
{
	(void)state;
	go_ready();
	t.restart_in_hook = true;
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_KILL, NULL), 0);
	assert_true(until(is_booting));
	assert_string_equal(t.states, "placing starting booting ready stopping stopped placing starting booting ");
	assert_int_equal(t.consoles, 2);
}

static void start_needs_the_helper(void **state)
{
	struct err e = { 0 };

	(void)state;
	stop_net();
	create();
	t.vm = make(id_a);
	turn_for(50);
	assert_int_equal(hv_vm_start(t.vm, &e), -ENOTCONN);
	assert_non_null(strstr(e.msg, "away"));
	assert_int_equal(t.offline, 0); /* it never was online */
	start_net();
	assert_true(until(is_online));
	assert_int_equal(state_now(), HV_STOPPED);
}

/* --- the stop ladder ----------------------------------------------------------------------------------------------------------------------- */

static void ladder_climbs_rung_by_rung(void **state)
{
	(void)state;
	t.c.stop_deadline_ms = 30;
	net.immune_to_term = true;
	go_ready();
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, NULL), 0);
	assert_true(until(is_stopped));
	assert_int_equal(drv.asked, 1);
	assert_int_equal(drv.quitted, 1);
	assert_string_equal(net.ops, "LASTKF");
	assert_non_null(strstr(reason_now(), "did not stop when asked"));
	assert_int_equal(t.exit_signal, 9);
	assert_true(is_clear());
}

static void ladder_skips_what_a_driver_cannot(void **state)
{
	(void)state;
	drv.ask = drv.quit = -EOPNOTSUPP;
	go_ready();
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, NULL), 0);
	assert_true(until(is_stopped));
	assert_string_equal(net.ops, "LASTF");
}

static void kill_goes_to_the_top(void **state)
{
	(void)state;
	go_ready();
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_KILL, NULL), 0);
	assert_true(until(is_stopped));
	assert_int_equal(drv.asked + drv.quitted, 0);
	assert_string_equal(net.ops, "LASKF");
	assert_string_equal(reason_now(), "");
}

static void kill_overtakes_ask(void **state)
{
	(void)state;
	t.c.stop_deadline_ms = 60000;
	go_ready();
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, NULL), 0);
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_KILL, NULL), 0);
	assert_true(until(is_stopped));
	assert_string_equal(net.ops, "LASKF");
}

static void a_booting_guest_is_not_asked(void **state)
{
	(void)state;
	t.c.stop_deadline_ms = 60000;
	go_booting();
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, NULL), 0);
	assert_int_equal(drv.asked, 0);
	assert_int_equal(drv.quitted, 1);
	exit_slot(slot_of(id_a), 0, 0, false);
	assert_true(until(is_stopped));
}

static void the_exit_hook_may_stop_the_machine(void **state)
{
	(void)state;
	t.stop_in_exit = true;
	t.restart_in_hook = true;
	go_ready();
	exit_slot(slot_of(id_a), 0, 0, false);
	assert_true(until(is_booting));
	assert_string_equal(t.states, "placing starting booting ready stopping stopped placing starting booting ");
}

static void gives_up_on_a_process_that_never_ends(void **state)
{
	(void)state;
	t.c.stop_deadline_ms = 30;
	net.immune_to_term = net.immune_to_kill = true;
	go_ready();
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, NULL), 0);
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "does not end"));
	/* It ends after all: its slot is cleared away though nobody waits. */
	exit_slot(slot_of(id_a), 0, 9, false);
	assert_true(until(is_clear));
	assert_int_equal(state_now(), HV_FAILED);
}

static bool stop_while(unsigned muted_op, const char *ops)
{
	go_online();
	net.mute = 1U << muted_op;
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	turn_for(30);
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, NULL), 0);
	net.mute = 0;
	/* The unanswered call ends the connection; what it did is found by LIST. */
	return until(is_stopped) && until(is_clear) && strncmp(net.ops, ops, strlen(ops)) == 0;
}

static void stops_while_placing(void **state)
{
	(void)state;
	assert_true(stop_while(NETD_NET_ALLOC, "LA"));
}

static void stops_while_starting(void **state)
{
	(void)state;
	assert_true(stop_while(NETD_VM_SPAWN, "LAS"));
}

static void stops_before_the_answer(void **state)
{
	(void)state;
	go_online();
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, NULL), 0);
	assert_true(until(is_stopped));
	assert_string_equal(net.ops, "LAF");
	assert_true(is_clear());
}

/* --- deadlines on the way up ---------------------------------------------------------------------------------------------------------------- */

static void silent_helper_fails_the_start(void **state)
{
	(void)state;
	t.limits.start_ms = 100;
	t.limits.call_ms = 60000;
	go_online();
	net.mute = 1U << NETD_NET_ALLOC;
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	/* The call is still under way: it fails when the connection ends. */
	turn_for(150);
	assert_int_equal(state_now(), HV_STOPPING);
	assert_non_null(strstr(reason_now(), "could not be started"));
	net_close();
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "could not be started"));
}

static void overdue_answer_ends_the_connection(void **state)
{
	(void)state;
	t.limits.call_ms = 50;
	go_online();
	net.mute = 1U << NETD_VM_SPAWN;
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_offline));
	assert_non_null(strstr(t.why_offline, "does not answer"));
	net.mute = 0;
	/* Started all the same, by the next connection. */
	assert_true(until(is_booting));
	assert_true(net.accepted >= 2);
}

static void boot_deadline_is_told_in_words(void **state)
{
	(void)state;
	t.c.boot_deadline_ms = 50;
	go_booting();
	say("Booting from ROM..\r\n");
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "no prompt within"));
	assert_true(is_clear());
	assert_string_equal(t.states, "placing starting booting stopping failed ");
}

static void refusals_are_passed_on(void **state)
{
	(void)state;
	go_online();
	net.refuse = 1U << NETD_NET_ALLOC;
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_failed));
	assert_string_equal(reason_now(), "no place for it: not today");
	net.refuse = 1U << NETD_VM_SPAWN;
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_failed));
	assert_string_equal(reason_now(), "it could not be started: not today");
	assert_true(is_clear());
	net.refuse = 1U << NETD_NET_FREE;
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_booting));
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_KILL, NULL), 0);
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "could not be cleared: not today"));
}

static void says_what_is_missing(void **state)
{
	char path[192];

	(void)state;
	net.no_qemu = true;
	t.c.driver = "qemu";
	go_online();
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "no program \"qemu\""));
	(void)snprintf(path, sizeof(path), "%s/micro/vmlinux", t.images);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "vmlinux cannot be read"));
	assert_true(is_clear());
}

static void image_needs_memory(void **state)
{
	struct vm_spec spec;

	(void)state;
	create();
	assert_true(until(is_online));
	spec_defaults(&spec);
	spec.memory_bytes = 64ULL << 20;
	t.vm = hv_vm_create(t.hv, id_a, &spec, &t);
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "needs at least 95 MiB"));
}

/* --- what guests and processes do ------------------------------------------------------------------------------------------------------------ */

static void guest_reboots(void **state)
{
	(void)state;
	go_ready();
	hv_event(t.vm, HV_EV_RESET, NULL);
	assert_int_equal(state_now(), HV_BOOTING);
	say(READY);
	assert_int_equal(state_now(), HV_READY);
	assert_int_equal(t.consoles, 1);
}

static void reboot_loop_is_bounded(void **state)
{
	(void)state;
	go_ready();
	for (int i = 0; i < 3; i++) {
		hv_event(t.vm, HV_EV_RESET, NULL);
		assert_int_equal(state_now(), HV_BOOTING);
		turn_for(3);
	}
	hv_event(t.vm, HV_EV_RESET, NULL);
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "rebooted 4 times"));
	assert_true(is_clear());
}

static void a_burst_of_resets_is_one_reboot(void **state)
{
	(void)state;
	t.limits.resets_gap_ms = 1000;
	go_ready();
	assert_int_equal(hv_vm_reset(t.vm, NULL), 0);
	for (int i = 0; i < 20; i++)
		hv_event(t.vm, HV_EV_RESET, NULL);
	assert_int_equal(state_now(), HV_BOOTING);
	say(READY);
	assert_int_equal(state_now(), HV_READY);
}

static void slow_reboots_are_no_loop(void **state)
{
	(void)state;
	t.limits.resets_ms = 1;
	go_ready();
	for (int i = 0; i < 10; i++) {
		turn_for(5);
		hv_event(t.vm, HV_EV_RESET, NULL);
	}
	assert_int_equal(state_now(), HV_BOOTING);
}

static void people_may_reset_as_often_as_they_like(void **state)
{
	(void)state;
	go_ready();
	for (unsigned i = 1; i <= 10; i++) {
		assert_int_equal(hv_vm_reset(t.vm, NULL), 0);
		assert_int_equal(drv.resets, i);
		assert_int_equal(state_now(), HV_BOOTING);
	}
}

static void reset_falls_back_to_a_new_process(void **state)
{
	(void)state;
	drv.reset = -EOPNOTSUPP;
	go_ready();
	assert_int_equal(hv_vm_reset(t.vm, NULL), 0);
	assert_true(until(is_booting));
	assert_int_equal(t.consoles, 2);
	assert_int_equal(t.exits, 1);
	assert_string_equal(t.states, "placing starting booting ready stopping placing starting booting ");
}

static bool is_paused(void)
{
	return state_now() == HV_PAUSED;
}

static void stands_still_and_goes_on(void **state)
{
	struct err e = { 0 };

	(void)state;
	go_ready();
	assert_int_equal(hv_vm_resume(t.vm, &e), -EINVAL);
	assert_int_equal(hv_vm_pause(t.vm, &e), 0);
	turn_for(20);
	assert_int_equal(state_now(), HV_READY); /* asked is not done */
	drv.pauses = true;
	assert_int_equal(hv_vm_pause(t.vm, &e), 0);
	assert_true(until(is_paused));
	assert_int_equal(hv_vm_reset(t.vm, &e), -EINVAL);
	assert_int_equal(hv_vm_resume(t.vm, &e), 0);
	assert_int_equal(state_now(), HV_READY);
	/* To hear that it shall end it must run. */
	assert_int_equal(hv_vm_pause(t.vm, &e), 0);
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, &e), 0);
	assert_int_equal(drv.resumed, 2);
	assert_int_equal(drv.asked, 1);
	assert_true(until(is_stopped));
}

static bool is_asked(void)
{
	return drv.resizes > 0;
}

static bool was_told(void)
{
	return t.plugged[0] != '\0';
}

static bool was_plugged(void)
{
	return drv.plugs[0] != '\0';
}

static bool were_removed(void)
{
	return net.cards_removed > 0;
}

static void a_card_comes_and_goes(void **state)
{
	struct hv_card card;
	struct err e = { 0 };

	(void)state;
	go_ready();
	assert_int_equal(hv_vm_card_plug(t.vm, 2, &e), 0);
	assert_int_equal(hv_vm_card_plug(t.vm, 1, &e), -EBUSY);
	assert_true(until(was_plugged));
	assert_string_equal(drv.plugs, "+card2/2 ");
	assert_false(hv_vm_card(t.vm, 2, &card));
	hv_event_plugged(t.vm, "card2", true, NULL);
	assert_string_equal(t.plugged, "card2 in");
	assert_true(hv_vm_card(t.vm, 2, &card));
	assert_string_equal(card.ifname, "trm1c2");
	/* Out: told when the helper has done its part. */
	t.plugged[0] = '\0';
	assert_int_equal(hv_vm_card_unplug(t.vm, 2, &e), 0);
	hv_event_plugged(t.vm, "card2", false, NULL);
	assert_string_equal(t.plugged, "");
	assert_true(until(was_told));
	assert_string_equal(t.plugged, "card2 out");
	assert_int_equal(net.cards_removed, 2);
	assert_false(hv_vm_card(t.vm, 2, &card));
}

/* What fails on the way is given back, and told why. */
static void a_card_that_fails_is_given_back(void **state)
{
	struct err e = { 0 };

	(void)state;
	go_ready();
	net.refuse = 1U << NETD_CARD_ADD;
	assert_int_equal(hv_vm_card_plug(t.vm, 1, &e), 0);
	assert_true(until(was_told));
	assert_non_null(strstr(t.plugged, "card1 out: "));
	assert_int_equal(net.cards_removed, 0);
	net.refuse = 0;
	drv.plug_error = -EBUSY;
	t.plugged[0] = '\0';
	assert_int_equal(hv_vm_card_plug(t.vm, 1, &e), 0);
	assert_true(until(was_told));
	assert_string_equal(t.plugged, "card1 out: not in there");
	assert_true(until(were_removed));
	drv.plug_error = 0;
	net.cards_removed = 0;
	drv.plugs[0] = t.plugged[0] = '\0';
	assert_int_equal(hv_vm_card_plug(t.vm, 1, &e), 0);
	assert_true(until(was_plugged));
	hv_event_plugged(t.vm, "card1", false, "no port is free");
	assert_string_equal(t.plugged, "card1 out: no port is free");
	assert_true(until(were_removed));
}

/* Of an adopted machine: what only the helper has goes; what both have is looked up. */
static void cards_of_an_adopted_machine(void **state)
{
	struct hv_card card;

	(void)state;
	net.cards_of_slot = 3;
	go_ready();
	hv_event_cards(t.vm, 1);
	assert_true(until(was_told));
	assert_string_equal(t.plugged, "card1 in");
	assert_true(hv_vm_card(t.vm, 1, &card));
	assert_int_equal(net.cards_removed, 2);
	assert_false(hv_vm_card(t.vm, 2, &card));
}

static bool has_room(void)
{
	return net.memory_max == (256 << 20) + (1 << 20) && net.cpu_percent == 100;
}

static void the_group_grows_first_and_shrinks_last(void **state)
{
	struct vm_size size = { .cpus = 2, .memory_bytes = 512 << 20 }, now, wish;
	struct err e = { 0 };

	(void)state;
	go_ready();
	(void)hv_vm_size(t.vm, &now, &wish);
	assert_int_equal(now.cpus, 1);
	assert_int_equal(hv_vm_resize(t.vm, &size, &e), 0);
	assert_int_equal(drv.resizes, 0); /* not before the helper has answered */
	assert_int_equal(hv_vm_resize(t.vm, &size, &e), -EBUSY);
	assert_true(until(is_asked));
	assert_true(net.memory_max == (512ULL << 20) + (1 << 20) && net.cpu_percent == 200);
	assert_true(hv_vm_size(t.vm, &now, &wish));
	assert_int_equal(wish.cpus, 2);
	assert_int_equal(now.cpus, 1);
	hv_event_resized(t.vm, "not today");
	assert_string_equal(t.resized, "not today");
	assert_false(hv_vm_size(t.vm, &now, &wish));
	assert_int_equal(now.cpus, 1);
	assert_true(until(has_room)); /* it has no more than it had */
	drv.resizes = 0;
	turn_for(20);
	assert_int_equal(hv_vm_resize(t.vm, &size, &e), 0);
	assert_true(until(is_asked));
	hv_event_resized(t.vm, NULL);
	assert_string_equal(t.resized, "done");
	(void)hv_vm_size(t.vm, &now, &wish);
	assert_int_equal(now.cpus, 2);
	size.memory_bytes = 256 << 20;
	assert_int_equal(hv_vm_resize(t.vm, &size, &e), -EINVAL);
	assert_string_equal(e.msg, "only more");
	/* An end takes what was under way with it. */
	size.memory_bytes = 1 << 30;
	assert_int_equal(hv_vm_resize(t.vm, &size, &e), 0);
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_KILL, &e), 0);
	assert_true(until(is_stopped));
	assert_string_equal(t.resized, "the machine ended meanwhile");
	assert_int_equal(hv_vm_resize(t.vm, &size, &e), 0); /* at rest at once */
	(void)hv_vm_size(t.vm, &now, &wish);
	assert_true(now.memory_bytes == 1 << 30);
}

static void guest_switches_itself_off(void **state)
{
	(void)state;
	go_ready();
	hv_event(t.vm, HV_EV_SHUTDOWN, NULL);
	exit_slot(slot_of(id_a), 0, 0, false);
	assert_true(until(is_stopped));
	assert_string_equal(reason_now(), "the guest switched itself off");
}

static void shutdown_without_an_end_is_ended(void **state)
{
	(void)state;
	go_ready();
	hv_event(t.vm, HV_EV_SHUTDOWN, NULL);
	assert_true(until(is_stopped));
	assert_string_equal(reason_now(), "the guest switched itself off");
	assert_string_equal(net.ops, "LASTF");
}

static void nonsense_ends_the_machine(void **state)
{
	(void)state;
	go_ready();
	hv_event(t.vm, HV_EV_BROKEN, "QEMU sent a line that is no message of QMP");
	hv_event(t.vm, HV_EV_BROKEN, "and another");
	hv_event(t.vm, HV_EV_RESET, NULL);
	assert_true(until(is_failed));
	assert_string_equal(reason_now(), "QEMU sent a line that is no message of QMP");
	assert_int_equal(drv.asked, 0);
	assert_int_equal(drv.quitted, 1);
	hv_event(t.vm, HV_EV_BROKEN, "too late");
	assert_int_equal(state_now(), HV_FAILED);
}

static void panic_is_told_in_words(void **state)
{
	(void)state;
	go_booting();
	say("[    0.5] Kernel panic - not sync");
	say("ing: Attempted to kill init! exit");
	assert_int_equal(state_now(), HV_BOOTING);
	say("code=0x00000100\r\n");
	assert_true(until(is_failed));
	assert_string_equal(reason_now(), "the guest's kernel panicked: Attempted to kill init! exitcode=0x00000100");
}

static void a_damaged_root_is_told_in_words(void **state)
{
	(void)state;
	go_booting();
	say("[    0.5] Kernel panic - not syncing: dm-verity device corrupted\r\n");
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "dm-verity device corrupted; a block of the image's root disk is not what its hash tree says"));
}

static void a_root_that_is_found_damaged_later_is_told_too(void **state)
{
	(void)state;
	go_ready();
	for (int i = 0; i < 2000; i++)
		say("a line that somebody reads\r\n");
	say("[   60.5] Kernel panic - not syncing: dm-verity dev");
	say("ice corrupted\r\nCall Trace:\r\n");
	hv_event(t.vm, HV_EV_RESET, NULL);
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "dm-verity device corrupted; a block"));
}

static void what_a_guest_refuses_is_told(void **state)
{
	(void)state;
	go_booting();
	say("\033]7717;refused;this image needs its root disk\007");
	assert_true(until(is_failed));
	assert_string_equal(reason_now(), "the guest refuses to go on: this image needs its root disk");
}

static void exits_are_explained(void **state)
{
	static const struct {
		int code, signal;
		bool oom;
		enum hv_state end;
		const char *words;
	} rows[] = {
		{ 0, 0, false, HV_STOPPED, "the guest ended" },
		{ 1, 0, false, HV_FAILED, "qemu ended with status 1: could not set up the frobnicator" },
		{ 0, 11, false, HV_FAILED, "qemu was ended by signal 11 (Segmentation fault)" },
		{ 0, 9, true, HV_FAILED, "more memory than its limit" },
	};

	(void)state;
	go_online();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(hv_vm_start(t.vm, NULL), 0);
		assert_true(until(is_booting));
		exit_slot(slot_of(id_a), rows[i].code, rows[i].signal, rows[i].oom);
		assert_true(until(is_clear));
		turn_for(10);
		assert_int_equal(state_now(), rows[i].end);
		assert_non_null(strstr(reason_now(), rows[i].words));
		assert_int_equal(t.exit_code, rows[i].code);
		assert_int_equal(t.exit_signal, rows[i].signal);
	}
}

static void local_driver_is_ready_at_once(void **state)
{
	struct hv_view v;

	(void)state;
	net.no_qemu = true; /* driver "auto" */
	go_online();
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_ready));
	assert_string_equal(t.states, "placing starting booting ready ");
	assert_string_equal(net.argv0, "/bin/sh");
	hv_vm_view(t.vm, &v);
	assert_string_equal(v.driver, "local");
	assert_string_equal(v.accel, "");
	assert_true(v.can_resize);
	assert_false(v.can_plug);
	exit_slot(slot_of(id_a), 3, 0, false);
	assert_true(until(is_stopped));
	assert_string_equal(reason_now(), "the command ended with status 3");
}

/* --- the helper goes and comes ------------------------------------------------------------------------------------------------------------------ */

static void machines_survive_the_connection(void **state)
{
	(void)state;
	go_ready();
	net_close();
	assert_true(until(is_offline));
	assert_int_equal(t.offline, 1);
	assert_int_equal(state_now(), HV_READY);
	assert_true(until(is_online));
	assert_int_equal(t.online, 2);
	assert_int_equal(state_now(), HV_READY);
	assert_int_equal(drv.attached, 1); /* what is attached is not adopted again */
	assert_int_equal(t.exits, 0);
}

static void ends_while_the_helper_was_away(void **state)
{
	(void)state;
	go_ready();
	net_close();
	exit_slot(slot_of(id_a), 0, 0, false);
	assert_true(until(is_stopped));
	assert_true(until(is_online));
	assert_int_equal(t.exits, 1);
	assert_true(is_clear());
}

static void restarted_helper_has_lost_them(void **state)
{
	(void)state;
	go_ready();
	net_close();
	slot_reset(slot_of(id_a));
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "knows it no more"));
	assert_int_equal(t.exits, 1);
	assert_int_equal(drv.quitted, 1); /* should it run still, it is told to end */
}

static void lost_answer_to_spawn_is_adopted(void **state)
{
	(void)state;
	go_online();
	net.drop_after_spawn = true;
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_booting));
	assert_string_equal(net.ops, "LASLD");
	say(READY);
	assert_int_equal(state_now(), HV_READY);
}

static void stop_without_the_helper_is_finished_later(void **state)
{
	(void)state;
	t.c.stop_deadline_ms = 30;
	net.immune_to_term = true;
	go_ready();
	stop_net();
	assert_true(until(is_offline));
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_ASK, NULL), 0);
	assert_true(until(is_failed));
	assert_non_null(strstr(reason_now(), "does not end"));
	start_net();
	assert_true(until(is_online));
	assert_true(until(is_clear)); /* killed and freed */
	assert_int_equal(state_now(), HV_FAILED);
}

/* Makes a slot in which a process runs, as an earlier gateway left it. */
static struct slot *left_over(const uint8_t id[16])
{
	static const uint8_t want[NETD_FDS_MAX] = { NETD_FD_STREAM, NETD_FD_RING };
	struct slot *s = new_slot(id, NETD_NET_NAT);

	give_fds(s, want, 2, RING);
	return s;
}

static void write_ring(const struct slot *s, off_t at, const char *text)
{
	assert_int_equal(pwrite(s->near[1], text, strlen(text), at), (ssize_t)strlen(text));
}

static void adopts_what_it_knows_and_clears_the_rest(void **state)
{
	(void)state;
	(void)left_over(id_b);
	write_ring(left_over(id_a), 5000, "Linux\r\n" READY "$ ");
	(void)left_over(id_c);
	create();
	t.vm = make(id_a);
	assert_true(until(is_online));
	assert_int_equal(state_now(), HV_READY);
	assert_int_equal(t.consoles, 1);
	assert_true(t.adopted);
	assert_true(drv.last_adopted);
	turn_for(50);
	assert_null(find_slot(id_b));
	assert_null(find_slot(id_c));
	assert_non_null(find_slot(id_a));
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_KILL, NULL), 0);
	assert_true(until(is_stopped));
	assert_true(is_clear());
}

/* What the process wrote is read through @fd, and the other way round. */
static void check_agent_stream(int far)
{
	char byte = 0;

	assert_int_equal(write(far, "h", 1), 1);
	assert_int_equal(read(t.agent_fd, &byte, 1), 1);
	assert_int_equal(byte, 'h');
	assert_int_equal(write(t.agent_fd, "g", 1), 1);
	assert_int_equal(read(far, &byte, 1), 1);
	assert_int_equal(byte, 'g');
}

static void agent_stream_is_given_and_given_again(void **state)
{
	int far;

	(void)state;
	drv.has_agent = true;
	go_online();
	assert_int_equal(hv_vm_agent_renew(t.vm), -ENOTCONN);
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_booting));
	assert_int_equal(t.agents, 1);
	far = find_slot(id_a)->far[2];
	check_agent_stream(far);
	/* The first who had it hangs up: the process sees nothing of that. */
	t.agent_fd = fd_close(t.agent_fd);
	assert_int_equal(hv_vm_agent_renew(t.vm), 0);
	assert_int_equal(t.agents, 2);
	check_agent_stream(far);
	assert_int_equal(state_now(), HV_BOOTING);
	hv_vm_agent_seen(t.vm);
	assert_int_equal(state_now(), HV_READY);
	hv_vm_agent_seen(t.vm);
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_KILL, NULL), 0);
	assert_true(until(is_stopped));
	hv_vm_agent_seen(t.vm);
	assert_int_equal(state_now(), HV_STOPPED);
	assert_int_equal(hv_vm_agent_renew(t.vm), -ENOTCONN);
	assert_int_equal(t.agents, 2);
}

static void a_rest_is_recalled_unless_it_runs(void **state)
{
	static const uint8_t want[NETD_FDS_MAX] = { NETD_FD_STREAM, NETD_FD_RING };
	struct hv_view v;

	(void)state;
	create();
	t.vm = make(id_a);
	hv_vm_recall(t.vm, HV_FAILED, "it burned");
	assert_true(until(is_failed));
	hv_vm_view(t.vm, &v);
	assert_string_equal(v.reason, "it burned");
	assert_true(until(is_online));
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	hv_vm_view(t.vm, &v);
	assert_string_equal(v.reason, "");
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_KILL, NULL), 0);
	assert_true(until(is_stopped));
	t.hv = hv_destroy(t.hv);
	give_fds(new_slot(id_a, NETD_NET_NAT), want, 2, RING);
	create();
	t.vm = make(id_a);
	hv_vm_recall(t.vm, HV_FAILED, "it burned");
	assert_true(until(is_online));
	hv_vm_view(t.vm, &v);
	assert_int_not_equal(v.state, HV_FAILED);
	assert_string_equal(v.reason, "");
}

static void agent_stream_of_an_adopted_machine(void **state)
{
	static const uint8_t want[NETD_FDS_MAX] = { NETD_FD_STREAM, NETD_FD_RING, NETD_FD_STREAM };
	struct slot *s = new_slot(id_a, NETD_NET_NAT);

	(void)state;
	give_fds(s, want, 3, RING);
	create();
	t.vm = make(id_a);
	assert_true(until(is_online));
	assert_int_equal(t.agents, 1);
	check_agent_stream(s->far[2]);
}

static void adopted_machine_of_before_has_no_agent(void **state)
{
	(void)state;
	(void)left_over(id_a);
	create();
	t.vm = make(id_a);
	assert_true(until(is_online));
	assert_int_equal(t.consoles, 1);
	assert_int_equal(t.agents, 0);
	assert_int_equal(hv_vm_agent_renew(t.vm), -ENOTCONN);
}

static void adopted_before_its_prompt_still_boots(void **state)
{
	(void)state;
	write_ring(left_over(id_a), 5000, "Booting from ROM..\r\n");
	create();
	t.vm = make(id_a);
	assert_true(until(is_online));
	assert_int_equal(state_now(), HV_BOOTING);
	say(READY);
	assert_int_equal(state_now(), HV_READY);
}

static void adopted_with_a_full_ring_is_ready(void **state)
{
	(void)state;
	write_ring(left_over(id_a), RING - 100, "line 1234567\r\n");
	create();
	t.vm = make(id_a);
	assert_true(until(is_online));
	assert_int_equal(state_now(), HV_READY);
}

static void adopts_the_last_output_of_the_dead(void **state)
{
	(void)state;
	exit_slot(left_over(id_a), 1, 0, false);
	create();
	t.vm = make(id_a);
	assert_true(until(is_failed));
	assert_int_equal(t.consoles, 1);
	assert_int_equal(t.exits, 1);
	assert_int_equal(t.exit_code, 1);
	assert_true(is_clear());
}

static void bare_slot_of_a_known_machine_is_freed(void **state)
{
	(void)state;
	(void)new_slot(id_a, NETD_NET_NAT);
	create();
	t.vm = make(id_a);
	assert_true(until(is_stopped));
	assert_true(until(is_clear));
}

static void refused_adoption_fails_one_machine(void **state)
{
	(void)state;
	(void)left_over(id_a);
	net.refuse = 1U << NETD_ADOPT;
	create();
	t.vm = make(id_a);
	assert_true(until(is_online));
	assert_int_equal(state_now(), HV_FAILED);
	assert_non_null(strstr(reason_now(), "could not be taken over"));
	assert_true(until(is_clear));
}

static void process_of_another_kind_is_not_adopted(void **state)
{
	static const uint8_t want[NETD_FDS_MAX] = { NETD_FD_RING };
	struct slot *s = new_slot(id_a, NETD_NET_NAT);

	(void)state;
	give_fds(s, want, 1, RING);
	create();
	t.vm = make(id_a);
	assert_true(until(is_failed));
	assert_string_equal(reason_now(), "no console");
	assert_true(is_clear());
	assert_int_equal(t.consoles, 0);
}

static void gateway_may_go(void **state)
{
	(void)state;
	go_ready();
	t.hv = hv_destroy(t.hv);
	turn_for(20);
	assert_int_equal(slot_of(id_a)->info.state, NETD_SLOT_RUNNING);
	assert_int_equal(drv.finished, 1);
	assert_int_equal(drv.quitted + drv.asked, 0);
	create();
	t.vm = make(id_a);
	assert_true(until(is_online));
	assert_true(t.adopted);
}

/* --- a helper that talks nonsense ---------------------------------------------------------------------------------------------------------------- */

static void garbage_ends_the_connection(void **state)
{
	static const uint8_t garbage[] = "GET / HTTP/1.1\r\n\r\n";

	(void)state;
	go_ready();
	assert_int_equal(ipc_send(net.fd, garbage, sizeof(garbage), NULL, 0), 0);
	assert_true(until(is_offline));
	assert_non_null(strstr(t.why_offline, "bad head"));
	assert_true(until(is_online));
	assert_int_equal(state_now(), HV_READY);
}

static void other_version_is_refused(void **state)
{
	(void)state;
	net.version = NETD_VERSION + 1;
	create();
	turn_for(100);
	assert_false(hv_online(t.hv));
	assert_true(net.accepted >= 2);
	assert_int_equal(t.online, 0);
}

static void retries_are_slower_and_slower(void **state)
{
	(void)state;
	net.refuse = 1U << NETD_HELLO;
	create();
	turn_for(400); /* 0 10 30 70 150 310 ms */
	assert_in_range(net.accepted, 2, 7);
}

static void unasked_answers_are_dropped(void **state)
{
	struct netd_head f = { .seq = 12345 }, q = { .op = NETD_NET_FREE, .seq = 999 };

	(void)state;
	go_ready();
	net_reply(&q, &f, sizeof(f), NULL, 0);
	turn_for(20);
	assert_true(hv_online(t.hv));
	assert_int_equal(t.offline, 0);
}

/* --- KVM ---------------------------------------------------------------------------------------------------------------------------------------------- */

static struct slot *probe_slot(void)
{
	for (int i = 1; i <= SLOTS; i++) {
		if (net.slots[i].info.state == NETD_SLOT_RUNNING && memcmp(net.slots[i].info.vm_id, id_a, 16) != 0)
			return &net.slots[i];
	}
	return NULL;
}

static bool is_probing(void)
{
	return probe_slot() != NULL;
}

static const char *accel_now(void)
{
	struct hv_host h;

	hv_host(t.hv, &h);
	return h.accel;
}

static bool is_decided(void)
{
	return strcmp(accel_now(), "probing") != 0;
}

static void go_probing(void)
{
	t.c.accel = "auto";
	net.caps = NETD_CAP_KVM;
	go_online();
	assert_true(until(is_probing));
	assert_string_equal(accel_now(), "probing");
	assert_int_equal(drv.accel, HV_ACCEL_KVM);
}

static void kvm_is_used_after_a_guest_booted(void **state)
{
	struct hv_view v;

	(void)state;
	go_probing();
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	turn_for(30);
	assert_int_equal(state_now(), HV_PLACING); /* waits for the answer */
	assert_int_equal(write(probe_slot()->far[0], READY, strlen(READY)), (ssize_t)strlen(READY));
	assert_true(until(is_decided));
	assert_string_equal(accel_now(), "kvm");
	assert_true(until(is_booting));
	hv_vm_view(t.vm, &v);
	assert_string_equal(v.accel, "kvm");
	assert_int_equal(t.consoles, 1); /* the probe's console is nobody's business */
	/* The answer is kept: no second probe. */
	t.hv = hv_destroy(t.hv);
	memset(net.ops, 0, sizeof(net.ops));
	create();
	t.vm = make(id_a);
	assert_true(until(is_online));
	assert_string_equal(accel_now(), "kvm");
	assert_string_equal(net.ops, "LD");
}

static void broken_kvm_is_not_used_and_said(void **state)
{
	struct hv_host h;

	(void)state;
	go_probing();
	exit_slot(probe_slot(), 1, 0, false);
	assert_true(until(is_decided));
	hv_host(t.hv, &h);
	assert_string_equal(h.accel, "tcg");
	assert_non_null(strstr(h.accel_reason, "no guest boots under KVM on this host: qemu ended with status 1: could not set up"));
	t.hv = hv_destroy(t.hv);
	create();
	assert_true(until(is_online));
	hv_host(t.hv, &h);
	assert_string_equal(h.accel, "tcg");
	assert_non_null(strstr(h.accel_reason, "could not set up"));
	assert_null(probe_slot());
}

static void silent_kvm_has_a_deadline(void **state)
{
	(void)state;
	t.limits.probe_ms = 60;
	go_probing();
	assert_true(until(is_decided));
	assert_string_equal(accel_now(), "tcg");
	assert_true(until(is_clear));
}

static void machines_wait_for_the_probe_only_a_while(void **state)
{
	struct hv_view v;

	(void)state;
	t.limits.probe_wait_ms = 50;
	go_probing();
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_booting));
	hv_vm_view(t.vm, &v);
	assert_string_equal(v.accel, "tcg");
	assert_string_equal(accel_now(), "probing");
}

static void lost_probe_is_repeated(void **state)
{
	(void)state;
	go_probing();
	net_close();
	slot_reset(probe_slot());
	assert_true(until(is_offline));
	assert_true(until(is_online));
	turn_for(50);
	/* Without a process that could have told, nothing is kept. */
	assert_string_equal(accel_now(), "tcg");
	t.hv = hv_destroy(t.hv);
	create();
	assert_true(until(is_probing));
}

static void kvm_that_breaks_later_is_given_up(void **state)
{
	struct hv_host h;

	(void)state;
	go_probing();
	assert_int_equal(write(probe_slot()->far[0], READY, strlen(READY)), (ssize_t)strlen(READY));
	assert_true(until(is_decided));
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_booting));
	/* Not by what a guest does to itself. */
	hv_event(t.vm, HV_EV_BROKEN, "the guest's kernel panicked");
	assert_true(until(is_failed));
	hv_host(t.hv, &h);
	assert_string_equal(h.accel, "kvm");
	assert_int_equal(hv_vm_start(t.vm, NULL), 0);
	assert_true(until(is_booting));
	hv_event(t.vm, HV_EV_GAVE_UP, "KVM internal error");
	assert_true(until(is_failed));
	hv_host(t.hv, &h);
	assert_string_equal(h.accel, "tcg");
	assert_non_null(strstr(h.accel_reason, "KVM internal error"));
	t.hv = hv_destroy(t.hv);
	create();
	assert_true(until(is_probing)); /* nothing is kept */
}

static void no_kvm_no_probe(void **state)
{
	struct hv_host h;

	(void)state;
	t.c.accel = "auto";
	go_online();
	hv_host(t.hv, &h);
	assert_string_equal(h.accel, "tcg");
	assert_non_null(strstr(h.accel_reason, "/dev/kvm"));
	assert_non_null(strstr(h.missing, "memory limit"));
}

static void bad_configuration_is_refused(void **state)
{
	static const struct {
		size_t offset;
		const char *value;
	} rows[] = {
		{ offsetof(struct hv_config, driver), "xen" },
		{ offsetof(struct hv_config, machine), "pc" },
		{ offsetof(struct hv_config, accel), "" },
		{ offsetof(struct hv_config, local_console), "vga" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hv_config c = t.c;
		struct err e = { 0 };

		*(const char **)(void *)((char *)&c + rows[i].offset) = rows[i].value;
		assert_int_equal(hv_create(&t.hv, &t.loop, &c, &hooks, &t, &e), -EINVAL);
		assert_true(e.msg[0] != '\0');
	}
	t.c.ring_bytes = 1000;
	assert_int_equal(hv_create(&t.hv, &t.loop, &t.c, &hooks, &t, NULL), -EINVAL);
}

/* --- many at once ---------------------------------------------------------------------------------------------------------- */

static int before(const struct hv_vm *vm)
{
	struct hv_view v;

	hv_vm_view(vm, &v);
	return v.before;
}

static enum hv_state state_of(const struct hv_vm *vm)
{
	struct hv_view v;

	hv_vm_view(vm, &v);
	return v.state;
}

static struct hv_vm *vm_b, *vm_c;

static bool b_boots(void)
{
	return state_of(vm_b) == HV_BOOTING;
}

static bool c_boots(void)
{
	return state_of(vm_c) == HV_BOOTING;
}

static bool told(void)
{
	return t.waited > 0;
}

/* One starts at a time; b and c stand behind it. */
static void go_in_line(void)
{
	t.c.starts_at_once = 1;
	go_booting();
	vm_b = make(id_b);
	vm_c = make(id_c);
	assert_int_equal(hv_vm_start(vm_b, NULL), 0);
	assert_int_equal(hv_vm_start(vm_c, NULL), 0);
}

static void starts_in_the_order_of_arrival(void **state)
{
	struct hv_turns turns;

	(void)state;
	go_in_line();
	turn_for(30);
	assert_int_equal(before(t.vm), -1);
	assert_int_equal(before(vm_b), 0);
	assert_int_equal(before(vm_c), 1);
	assert_int_equal(state_of(vm_c), HV_PLACING);
	assert_string_equal(net.ops, "LAS");
	hv_turns(t.hv, &turns);
	assert_int_equal(turns.under_way, 1);
	assert_int_equal(turns.waiting, 2);
	say(READY);
	assert_true(until(b_boots));
	assert_int_equal(before(vm_c), 0);
	assert_true(until(told));
	/* A turn ends with its machine, too. */
	exit_slot(slot_of(id_b), 1, 0, false);
	assert_true(until(c_boots));
	assert_int_equal(before(vm_c), -1);
	hv_turns(t.hv, &turns);
	assert_int_equal(turns.under_way, 1);
	assert_int_equal(turns.waiting, 0);
}

/* Somebody who starts many does not keep others waiting: one of each in turn. Nor does who comes later wait for less than others of that round. */
static void people_take_turns(void **state)
{
	static const uint8_t id_d[16] = { 0xd };
	struct hv_vm *vm_d;

	(void)state;
	t.c.starts_at_once = 1;
	go_booting();
	vm_b = make(id_b);
	vm_c = make(id_c);
	vm_d = make(id_d);
	hv_vm_group(t.vm, 7);
	hv_vm_group(vm_b, 7);
	hv_vm_group(vm_c, 7);
	hv_vm_group(vm_d, 8);
	assert_int_equal(hv_vm_start(vm_b, NULL), 0);
	assert_int_equal(hv_vm_start(vm_c, NULL), 0);
	assert_int_equal(hv_vm_start(vm_d, NULL), 0);
	assert_int_equal(before(vm_d), 0);
	assert_int_equal(before(vm_b), 1);
	assert_int_equal(before(vm_c), 2);
	assert_int_equal(hv_vm_stop(vm_d, HV_STOP_ASK, NULL), 0);
	say(READY);
	assert_true(until(b_boots));
	/* Round 1 has begun: its newcomer is before 7's third. */
	assert_int_equal(hv_vm_start(vm_d, NULL), 0);
	assert_int_equal(before(vm_d), 0);
	assert_int_equal(before(vm_c), 1);
	assert_int_equal(hv_vm_stop(vm_d, HV_STOP_ASK, NULL), 0);
	vm_d = hv_vm_destroy(vm_d);
	assert_null(vm_d);
}

static void who_leaves_the_line_is_not_waited_for(void **state)
{
	struct hv_turns turns;

	(void)state;
	go_in_line();
	assert_int_equal(hv_vm_stop(vm_b, HV_STOP_ASK, NULL), 0);
	assert_int_equal(state_of(vm_b), HV_STOPPED);
	assert_int_equal(before(vm_c), 0);
	assert_int_equal(hv_vm_start(vm_b, NULL), 0);
	assert_int_equal(before(vm_b), 1); /* at the end */
	assert_int_equal(hv_vm_stop(vm_c, HV_STOP_ASK, NULL), 0);
	vm_c = hv_vm_destroy(vm_c);
	say(READY);
	assert_true(until(b_boots));
	/* Ready, its reboot needs no turn. */
	hv_vm_console_seen(vm_b, (const uint8_t *)READY, strlen(READY));
	assert_int_equal(hv_vm_reset(t.vm, NULL), 0);
	assert_int_equal(state_of(t.vm), HV_BOOTING);
	hv_turns(t.hv, &turns);
	assert_int_equal(turns.under_way, 0);
}

static bool b_failed(void)
{
	return state_of(vm_b) == HV_FAILED;
}

static void waits_no_longer_than_it_may(void **state)
{
	struct hv_turns turns;
	struct hv_view v;

	(void)state;
	t.c.start_wait_ms = 30;
	go_in_line();
	assert_true(until(b_failed));
	hv_vm_view(vm_b, &v);
	assert_non_null(strstr(v.reason, "its turn to start did not come"));
	hv_turns(t.hv, &turns);
	assert_true(turns.overdue >= 1);
	assert_int_equal(state_of(t.vm), HV_BOOTING);
}

static void the_line_outlives_the_helper(void **state)
{
	(void)state;
	go_in_line();
	stop_net();
	assert_true(until(is_offline));
	start_net();
	assert_true(until(is_online));
	assert_int_equal(before(vm_b), 0);
	assert_int_equal(before(vm_c), 1);
	say(READY);
	assert_true(until(b_boots));
}

static bool memory_known(void)
{
	struct hv_view v;

	hv_vm_view(t.vm, &v);
	return v.pss_bytes > 0;
}

static void memory_is_read_and_forgotten(void **state)
{
	struct hv_host h;
	struct hv_view v;

	(void)state;
	t.limits.memory_gap_ms = 1;
	t.limits.memory_ms = 3600000;
	go_ready();
	assert_true(until(memory_known));
	hv_vm_view(t.vm, &v);
	assert_int_equal(v.pss_bytes, 24000 * 1024);
	hv_host(t.hv, &h);
	assert_int_equal(h.pss_bytes, v.pss_bytes);
	turn_for(30);
	assert_string_equal(net.ops, "LASP"); /* once, until it is due again */
	assert_int_equal(hv_vm_stop(t.vm, HV_STOP_KILL, NULL), 0);
	assert_true(until(is_stopped));
	assert_false(memory_known());
}

static void memory_may_be_refused(void **state)
{
	(void)state;
	t.limits.memory_gap_ms = 1;
	t.limits.memory_ms = 20;
	net.refuse = 1U << NETD_MEMORY;
	go_ready();
	turn_for(60);
	assert_false(memory_known());
	net.refuse = 0;
	assert_true(until(memory_known)); /* it asks again */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(starts_in_the_order_of_arrival),
		T(people_take_turns),
		T(who_leaves_the_line_is_not_waited_for),
		T(waits_no_longer_than_it_may),
		T(the_line_outlives_the_helper),
		T(memory_is_read_and_forgotten),
		T(memory_may_be_refused),
		T(boots_and_stops),
		T(starts_again_from_the_hook),
		T(start_needs_the_helper),
		T(ladder_climbs_rung_by_rung),
		T(ladder_skips_what_a_driver_cannot),
		T(kill_goes_to_the_top),
		T(kill_overtakes_ask),
		T(a_booting_guest_is_not_asked),
		T(the_exit_hook_may_stop_the_machine),
		T(gives_up_on_a_process_that_never_ends),
		T(stops_while_placing),
		T(stops_while_starting),
		T(stops_before_the_answer),
		T(silent_helper_fails_the_start),
		T(overdue_answer_ends_the_connection),
		T(boot_deadline_is_told_in_words),
		T(refusals_are_passed_on),
		T(says_what_is_missing),
		T(image_needs_memory),
		T(guest_reboots),
		T(reboot_loop_is_bounded),
		T(a_burst_of_resets_is_one_reboot),
		T(slow_reboots_are_no_loop),
		T(people_may_reset_as_often_as_they_like),
		T(reset_falls_back_to_a_new_process),
		T(stands_still_and_goes_on),
		T(the_group_grows_first_and_shrinks_last),
		T(a_card_comes_and_goes),
		T(a_card_that_fails_is_given_back),
		T(cards_of_an_adopted_machine),
		T(guest_switches_itself_off),
		T(shutdown_without_an_end_is_ended),
		T(nonsense_ends_the_machine),
		T(panic_is_told_in_words), T(a_damaged_root_is_told_in_words), T(a_root_that_is_found_damaged_later_is_told_too), T(what_a_guest_refuses_is_told),
		T(exits_are_explained),
		T(local_driver_is_ready_at_once),
		T(machines_survive_the_connection),
		T(ends_while_the_helper_was_away),
		T(restarted_helper_has_lost_them),
		T(lost_answer_to_spawn_is_adopted),
		T(stop_without_the_helper_is_finished_later),
		T(adopts_what_it_knows_and_clears_the_rest),
		T(agent_stream_is_given_and_given_again),
		T(a_rest_is_recalled_unless_it_runs), T(agent_stream_of_an_adopted_machine),
		T(adopted_machine_of_before_has_no_agent),
		T(adopted_before_its_prompt_still_boots),
		T(adopted_with_a_full_ring_is_ready),
		T(adopts_the_last_output_of_the_dead),
		T(bare_slot_of_a_known_machine_is_freed),
		T(refused_adoption_fails_one_machine),
		T(process_of_another_kind_is_not_adopted),
		T(gateway_may_go),
		T(garbage_ends_the_connection),
		T(other_version_is_refused),
		T(retries_are_slower_and_slower),
		T(unasked_answers_are_dropped),
		T(kvm_is_used_after_a_guest_booted),
		T(broken_kvm_is_not_used_and_said),
		T(silent_kvm_has_a_deadline),
		T(machines_wait_for_the_probe_only_a_while),
		T(lost_probe_is_repeated),
		T(kvm_that_breaks_later_is_given_up),
		T(no_kvm_no_probe),
		T(bad_configuration_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
