/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives hv/ from a script of words, against a real terrarium-netd: what a gateway does with machines, without the gateway.
 *
 *   hv_boot [--KEY=VALUE ...] WORD...
 *
 *   start stop kill reset pause resume  what they say
 *   resize=CPUSxMIB                   ask for another size; resized wait until that is done, resized=TEXT until it is refused like this
 *   window=COLSxROWS                  size of the terminal
 *   log=TEXT                          wait for TEXT in the kernel's log on its own line
 *   state=NAME reason=TEXT accel=NAME wait until the machine is so (accel: of the host, "decided" for any)
 *   send=TEXT expect=TEXT             type; wait for TEXT on the console (each looks behind the last match); \n and \e are known
 *   turn=MS                           serve for so long
 *   agent                             wait until the guest's agent answers; the next time: until one answers anew
 *   health name=HOST off              ask it; replied=STATUS waits for the answer
 *   exec=COMMAND pty=COMMAND          start a program through it, without a command the login shell; what it prints is there for "expect" too
 *   type=TEXT size=COLSxROWS          for that program; exit=STATUS waits for its end
 *   show                              print what may be shown of the machine and the host
 *   crash                             end by SIGKILL, as a gateway dies; the end of the words ends without stopping anything
 *
 * The console goes to stdout, everything else to stderr. Exit status 0: every word came true within --wait ms.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/loop.h"
#include "hv/hv.h"
#include "tests/run/hv_boot_agent.h"

#define SEEN_MAX   (4U << 20)
#define RING_BYTES (1 << 20)

struct settings {
	char socket[108], driver[24], images[256], machine[16], accel[16], state_dir[256], command[256], console[16], agent[24], id[33], log[16], network[16];
	uint64_t wait, boot, stop, memory;
	int64_t cpus, cols, rows;
};

#define KEY(field, kind, def, text) CONF_KEY(settings, field, kind, 0, 0, def, text)
static const struct conf_key keys[] = {
	KEY(socket, CONF_STR, "netd.sock", "socket of terrarium-netd"),
	KEY(driver, CONF_STR, "qemu", "auto, cloud-hypervisor, qemu or local"),
	KEY(images, CONF_STR, "build/images", "directory of the images"),
	KEY(machine, CONF_STR, "microvm", "microvm or q35"),
	KEY(accel, CONF_STR, "tcg", "auto, kvm or tcg"),
	KEY(state_dir, CONF_STR, ".", "for the accelerator probe"),
	KEY(command, CONF_STR, "/bin/sh -i", "of the local driver"),
	KEY(console, CONF_STR, "pty", "of the local driver"),
	KEY(agent, CONF_STR, "", "of the local driver: its name in the helper's list"),
	KEY(network, CONF_STR, "nat", "nat, isolated or none"),
	KEY(id, CONF_STR, "00112233445566778899aabbccddeeff", "of the machine"),
	KEY(log, CONF_STR, "warn", "log level"),
	KEY(wait, CONF_MS, "90s", "for each word to come true"),
	KEY(boot, CONF_MS, "60s", "boot deadline"),
	KEY(stop, CONF_MS, "10s", "stop deadline"),
	KEY(memory, CONF_BYTES, "128M", "of the machine"),
	KEY(cpus, CONF_INT, "1", "of the machine"),
	KEY(cols, CONF_INT, "80", "of the terminal"),
	KEY(rows, CONF_INT, "24", "of the terminal"),
	{ .name = NULL },
};

static const struct conf_program program = {
	.name = "hv_boot", .purpose = "Drives machines from a script of words.", .section = "hv_boot", .keys = keys,
};

static struct {
	struct settings s;
	struct loop loop;
	struct hv *hv;
	struct hv_vm *vm;
	int console_fd, ring_fd;
	off_t ring_at; /* the ring is a plain record here, behind a header page as the gateway has one */
	ev_io readable;
	struct buf seen; /* console output not yet matched */
	char refused[400]; /* why the last change of size was; "done" when it was not */
	uint64_t began_ms;
} b;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "%8.3f ", (double)(loop_now_ms() - b.began_ms) / 1000);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

static struct hv_view view(void)
{
	struct hv_view v;

	hv_vm_view(b.vm, &v);
	return v;
}

/* --- the console --- */

static void close_console(void)
{
	if (b.console_fd >= 0)
		ev_io_stop(b.loop.ev, &b.readable);
	b.console_fd = fd_close(b.console_fd);
	b.ring_fd = fd_close(b.ring_fd);
}

static void record(const char *data, size_t len)
{
	if (b.ring_at + (off_t)len < RING_BYTES && pwrite(b.ring_fd, data, len, b.ring_at) == (ssize_t)len)
		b.ring_at += (off_t)len;
}

/* Goes on behind what the last process recorded. */
static void open_ring(void)
{
	char byte;

	for (b.ring_at = 4096; pread(b.ring_fd, &byte, 1, b.ring_at) == 1 && byte != 0; b.ring_at++)
		;
}

static void read_console(void)
{
	char data[65536];
	ssize_t n;

	while (b.console_fd >= 0 && (n = read(b.console_fd, data, sizeof(data))) != 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			break;
		(void)fwrite(data, 1, (size_t)n, stdout);
		(void)fflush(stdout);
		record(data, (size_t)n);
		if (b.seen.len + (size_t)n > SEEN_MAX)
			buf_eat(&b.seen, b.seen.len);
		(void)buf_add(&b.seen, data, (size_t)n);
		hv_vm_console_seen(b.vm, (const uint8_t *)data, (size_t)n);
	}
	close_console();
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)w;
	(void)events;
	read_console();
}

/* --- what hv tells --- */

static void on_state(void *arg, struct hv_vm *vm)
{
	struct hv_view v;

	(void)arg;
	hv_vm_view(vm, &v);
	say("state %s%s%s", hv_state_name(v.state), v.reason[0] ? ": " : "", v.reason);
}

static void on_console(void *arg, struct hv_vm *vm, const struct hv_console *c)
{
	(void)arg;
	(void)vm;
	close_console();
	b.console_fd = c->fd;
	b.ring_fd = c->ring_fd;
	open_ring();
	say("console %s%s", c->kind == HV_CONSOLE_PTY ? "pty" : "socket", c->adopted ? " adopted" : "");
	ev_io_init(&b.readable, on_readable, c->fd, EV_READ);
	ev_io_start(b.loop.ev, &b.readable);
}

static void on_agent(void *arg, struct hv_vm *vm, int fd)
{
	(void)arg;
	(void)vm;
	say("agent's stream");
	talk_connect(fd);
}

static void on_agent_lost(void)
{
	(void)hv_vm_agent_renew(b.vm);
}

static void on_agent_answer(void)
{
	hv_vm_agent_seen(b.vm);
}

static void on_exit_hook(void *arg, struct hv_vm *vm, int code, int signal)
{
	(void)arg;
	(void)vm;
	say("process ended: status %d, signal %d", code, signal);
	read_console();
}

static void on_online(void *arg)
{
	(void)arg;
	say("online");
}

static void on_offline(void *arg, const char *why)
{
	(void)arg;
	say("offline: %s", why);
}

static void on_resized(void *arg, struct hv_vm *vm, const char *why)
{
	struct vm_size now, wish;

	(void)arg;
	(void)hv_vm_size(vm, &now, &wish);
	(void)snprintf(b.refused, sizeof(b.refused), "%s", why ? why : "done");
	say("resized: %s; %u CPUs, %llu MiB", b.refused, now.cpus, (unsigned long long)now.memory_bytes >> 20);
}

static const struct hv_hooks hooks = {
	.on_resized = on_resized, .on_state = on_state, .on_console = on_console, .on_agent = on_agent, .on_exit = on_exit_hook, .on_online = on_online,
	.on_offline = on_offline,
};

/* --- words --- */

static void on_tick(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)w;
	(void)events;
}

static bool until(bool (*done)(const char *arg), const char *arg)
{
	uint64_t end = loop_now_ms() + b.s.wait;
	bool good;
	ev_timer tick;

	ev_timer_init(&tick, on_tick, 0.05, 0.05);
	ev_timer_start(b.loop.ev, &tick);
	while (!(good = done(arg)) && loop_now_ms() < end)
		ev_run(b.loop.ev, EVRUN_ONCE);
	ev_timer_stop(b.loop.ev, &tick);
	return good;
}

static bool is_online(const char *arg)
{
	(void)arg;
	return hv_online(b.hv);
}

static bool is_state(const char *name)
{
	return strcmp(hv_state_name(view().state), name) == 0;
}

static bool is_reason(const char *text)
{
	return strstr(view().reason, text) != NULL;
}

static bool is_accel(const char *name)
{
	struct hv_host h;

	hv_host(b.hv, &h);
	return strcmp(name, "decided") == 0 ? strcmp(h.accel, "probing") != 0 : strcmp(h.accel, name) == 0;
}

static bool is_seen(const char *text)
{
	char *hit = b.seen.len > 0 ? memmem(b.seen.data, b.seen.len, text, strlen(text)) : NULL;

	if (hit)
		buf_eat(&b.seen, (size_t)(hit - b.seen.data) + strlen(text));
	return hit;
}

static bool do_start(const char *arg)
{
	struct err e = { 0 };

	(void)arg;
	if (hv_vm_start(b.vm, &e) == 0)
		return true;
	say("not started: %s", e.msg);
	return false;
}

static bool do_stop(const char *arg)
{
	(void)arg;
	return hv_vm_stop(b.vm, HV_STOP_ASK, NULL) == 0;
}

static bool do_kill(const char *arg)
{
	(void)arg;
	return hv_vm_stop(b.vm, HV_STOP_KILL, NULL) == 0;
}

static bool do_reset(const char *arg)
{
	(void)arg;
	return hv_vm_reset(b.vm, NULL) == 0;
}

static bool do_pause(const char *arg)
{
	(void)arg;
	return hv_vm_pause(b.vm, NULL) == 0;
}

static bool do_resume(const char *arg)
{
	(void)arg;
	return hv_vm_resume(b.vm, NULL) == 0;
}

static bool do_resize(const char *text)
{
	struct vm_size size;
	struct err e = { 0 };
	char *end;

	size.cpus = (uint32_t)strtoul(text, &end, 10);
	size.memory_bytes = *end == 'x' ? strtoull(end + 1, NULL, 10) << 20 : 0;
	b.refused[0] = '\0';
	if (hv_vm_resize(b.vm, &size, &e) == 0)
		return true;
	(void)snprintf(b.refused, sizeof(b.refused), "%s", e.msg);
	return true;
}

static bool is_resized(const char *text)
{
	return strstr(b.refused, text[0] ? text : "done") != NULL;
}

static bool do_window(const char *text)
{
	struct winsize w = { 0 };
	char *end;

	w.ws_col = (unsigned short)strtoul(text, &end, 10);
	w.ws_row = *end == 'x' ? (unsigned short)strtoul(end + 1, NULL, 10) : 0;
	return ioctl(b.console_fd, TIOCSWINSZ, &w) == 0;
}

static bool is_logged(const char *text)
{
	size_t len;
	const char *log = hv_vm_bootlog(b.vm, &len);

	return memmem(log, len, text, strlen(text)) != NULL;
}

static bool do_send(const char *text)
{
	return fd_write_all(b.console_fd, text, strlen(text)) == 0;
}

static bool never(const char *arg)
{
	(void)arg;
	return false;
}

static bool do_turn(const char *ms)
{
	uint64_t wait = b.s.wait;

	b.s.wait = ms ? strtoul(ms, NULL, 10) : 0;
	(void)until(never, NULL);
	b.s.wait = wait;
	return true;
}

static bool do_show(const char *arg)
{
	struct hv_view v = view();
	struct hv_host h;

	(void)arg;
	hv_host(b.hv, &h);
	say("vm state=%s driver=%s accel=%s can_resize=%d ip4=%s gw4=%s ip6=%s mac=%s slot=%u pid=%d", hv_state_name(v.state), v.driver,
	    v.accel, v.can_resize, v.ip4, v.gw4, v.ip6, v.mac, v.slot, v.pid);
	say("host accel=%s (%s) missing=%s uplink=%s slots=%u/%u", h.accel, h.accel_reason, h.missing, h.uplink, h.slots_used, h.slots_max);
	return true;
}

static bool do_crash(const char *arg)
{
	(void)arg;
	say("crash");
	return kill(getpid(), SIGKILL) == 0;
}

static const struct word {
	const char *name;
	bool (*run)(const char *arg);
	bool waits;
} words[] = {
	{ "start", do_start, false },  { "stop", do_stop, false },	{ "kill", do_kill, false },  { "reset", do_reset, false },
	{ "show", do_show, false },    { "crash", do_crash, false },	{ "send", do_send, false },  { "state", is_state, true },
	{ "reason", is_reason, true }, { "accel", is_accel, true },	{ "expect", is_seen, true }, { "turn", do_turn, false },
	{ "agent", talk_is_answered, true }, { "health", talk_health, false }, { "name", talk_name, false }, { "off", talk_off, false },
	{ "exec", talk_exec, false },  { "pty", talk_pty, false },	{ "type", talk_type, false }, { "size", talk_size, false },
	{ "exit", talk_is_exit, true }, { "replied", talk_is_replied, true },
	{ "pause", do_pause, false },  { "resume", do_resume, false },	{ "resize", do_resize, false }, { "resized", is_resized, true },
	{ "window", do_window, false }, { "log", is_logged, true },
};

/* Turns \n and \e into what they mean. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && (s[1] == 'n' || s[1] == 'e'))
			*out++ = *++s == 'n' ? '\n' : '\033';
		else
			*out++ = *s;
	}
	*out = '\0';
}

static bool run_word(char *text)
{
	char *arg = strchr(text, '=');

	if (arg) {
		*arg++ = '\0';
		unescape(arg);
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].name, text) != 0)
			continue;
		if (words[i].waits ? until(words[i].run, arg ? arg : "") : words[i].run(arg))
			return true;
		size_t len;
		const char *log = hv_vm_bootlog(b.vm, &len);

		(void)fprintf(stderr, "%.*s", (int)len, log);
		say("FAILED: %s %s; state %s: %s", text, arg ? arg : "", hv_state_name(view().state), view().reason);
		return false;
	}
	say("FAILED: unknown word %s", text);
	return false;
}

static int create(struct err *e)
{
	struct hv_config c = {
		.helper_socket = b.s.socket, .driver = b.s.driver, .images = b.s.images, .machine = b.s.machine, .accel = b.s.accel,
		.state_dir = b.s.state_dir, .local_command = b.s.command, .local_console = b.s.console, .local_agent = b.s.agent, .ring_bytes = RING_BYTES,
		.boot_deadline_ms = b.s.boot, .stop_deadline_ms = b.s.stop,
	};
	struct vm_spec spec;
	uint8_t id[16];
	int r = loop_init(&b.loop);

	if (r == 0)
		r = hex_decode(b.s.id, id, sizeof(id));
	if (r == 0)
		talk_init(&b.loop, &b.seen, on_agent_answer, on_agent_lost);
	if (r == 0)
		r = hv_create(&b.hv, &b.loop, &c, &hooks, NULL, e);
	if (r < 0)
		return r;
	spec_defaults(&spec);
	(void)snprintf(spec.name, sizeof(spec.name), "test-%.4s", b.s.id);
	spec.memory_bytes = b.s.memory;
	spec.cpus = (uint32_t)b.s.cpus;
	spec.cols = (uint16_t)b.s.cols;
	spec.rows = (uint16_t)b.s.rows;
	spec.net = strcmp(b.s.network, "none") == 0 ? VM_NET_NONE : strcmp(b.s.network, "nat") == 0 ? VM_NET_NAT : VM_NET_ISOLATED;
	b.vm = hv_vm_create(b.hv, id, &spec, NULL);
	return b.vm ? 0 : -ENOMEM;
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	int first = argc, r;
	bool good;

	b.console_fd = b.ring_fd = -1;
	b.seen = BUF_INIT(SEEN_MAX);
	b.began_ms = loop_now_ms();
	r = conf_read(&program, &b.s, argc, argv, &first, &e);
	if (r == 0)
		(void)log_open("hv_boot", b.s.log);
	if (r == 0)
		r = create(&e);
	if (r != 0) {
		(void)fprintf(stderr, "hv_boot: %s\n", e.msg);
		return 2;
	}
	good = until(is_online, NULL);
	if (!good)
		say("FAILED: the helper does not come");
	for (int i = first; good && i < argc; i++)
		good = run_word(argv[i]);
	hv_destroy(b.hv);
	talk_finish();
	close_console();
	buf_finish(&b.seen);
	loop_finish(&b.loop);
	return good ? 0 : 1;
}
