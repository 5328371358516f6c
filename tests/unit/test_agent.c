/* SPDX-License-Identifier: Apache-2.0 */
/* The real agent in a process of its own, the gateway's side of the protocol here, and between them a pair of sockets that, like a virtio-serial
 * port, does not know that one host has gone and another come. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/loop.h"
#include "hv/agent/guest.h"
#include "hv/agent/host.h"

#define WAIT_MS	 20000
#define WINDOW	 65536U
#define OUT_ROOM (12U << 20)

struct world {
	struct loop loop;
	int near_fd;
	pid_t agent;
	char root[64];
	struct agent_host *host;
	unsigned ready, lost;
	/* of the last request */
	int status;
	bool answered;
	uint8_t answer[AGENT_FRAME_MAX];
	size_t answer_len;
};

struct term {
	struct world *w;
	struct agent_channel *channel;
	struct agent_job job;
	int open_status, status;
	unsigned opens, exits, ends, signal;
	uint8_t *out[2]; /* what came */
	size_t len[2];
	bool keeps_all; /* takes nothing */
};

/* A network card of the agent's own. */
static bool add_card(void)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		(void)execlp("ip", "ip", "tuntap", "add", "eth0", "mode", "tap", (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static bool may_have_a_card(void)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		(void)execlp("unshare", "unshare", "-Urn", "ip", "tuntap", "add", "eth0", "mode", "tap", (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static _Noreturn void serve(int fd, const char *root)
{
	static struct guest g;
	struct loop loop;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing behind */
	if (loop_init(&loop) < 0 || guest_init(&g, &loop, root) < 0)
		_exit(1);
	g.sealed = getenv("SEALED") != NULL;
	g.console.pid = getenv("CONSOLE") ? getpid() : 0;
	if (getenv("NETNS") && !add_card())
		_exit(1);
	guest_use(&g, fd, true);
	loop_run(&loop);
	guest_finish(&g);
	loop_finish(&loop);
	_exit(0);
}

static void on_ready(void *arg, const uint8_t boot_id[16])
{
	struct world *w = arg;

	(void)boot_id;
	w->ready++;
}

static void on_lost(void *arg, const char *why)
{
	struct world *w = arg;

	print_message("lost: %s\n", why);
	w->lost++;
}

static const struct agent_host_hooks host_hooks = { .on_ready = on_ready, .on_lost = on_lost };

static void on_tick(struct ev_loop *ev, ev_timer *t, int events)
{
	(void)ev;
	(void)t;
	(void)events;
}

/* Turns the loop until @what or WAIT_MS. */
#define WAIT_FOR(w, what) \
	do { \
		uint64_t until_ms = loop_now_ms() + WAIT_MS; \
		ev_timer tick; \
		ev_timer_init(&tick, on_tick, .05, .05); \
		ev_timer_start((w)->loop.ev, &tick); \
		while (!(what) && loop_now_ms() < until_ms) \
			ev_run((w)->loop.ev, EVRUN_ONCE); \
		ev_timer_stop((w)->loop.ev, &tick); \
		assert_true(what); \
	} while (0)

static void connect_host(struct world *w)
{
	unsigned before = w->ready;

	w->host = agent_host_create(&w->loop, &host_hooks, w);
	assert_non_null(w->host);
	assert_int_equal(agent_host_connect(w->host, dup(w->near_fd)), 0);
	WAIT_FOR(w, w->ready > before);
}

static void start_on(struct world *w, int buffer_bytes)
{
	int pair[2];

	memset(w, 0, sizeof(*w));
	(void)snprintf(w->root, sizeof(w->root), "/tmp/test_agent.XXXXXX");
	assert_non_null(mkdtemp(w->root));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (int i = 0; i < 2 && buffer_bytes > 0; i++)
		assert_int_equal(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes)), 0);
	w->agent = fork();
	assert_true(w->agent >= 0);
	if (w->agent == 0) {
		/* A program of its own, so that valgrind, which does not know pidfd_open(2), looks only at this side. */
		char fd[16], self[4096] = "";

		if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
			_exit(1);
		(void)snprintf(fd, sizeof(fd), "%d", fcntl(pair[1], F_DUPFD, 3));
		if (getenv("NETNS"))
			(void)execlp("unshare", "unshare", "-Urnm", self, "agent", fd, w->root, (char *)NULL);
		(void)execl(self, "test_agent", "agent", fd, w->root, (char *)NULL);
		_exit(1);
	}
	(void)close(pair[1]);
	w->near_fd = pair[0];
	assert_int_equal(loop_init(&w->loop), 0);
	connect_host(w);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

static void stop(struct world *w)
{
	int status;

	w->host = agent_host_destroy(w->host);
	loop_finish(&w->loop);
	assert_int_equal(kill(w->agent, SIGTERM), 0);
	assert_int_equal(waitpid(w->agent, &status, 0), w->agent);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	(void)close(w->near_fd);
	assert_int_equal(nftw(w->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void on_open(void *arg, int status, const struct agent_job *job)
{
	struct term *t = arg;

	t->opens++;
	t->open_status = status;
	if (job)
		t->job = *job;
}

static void on_output(void *arg, enum agent_stream stream, uint64_t offset, const uint8_t *data, size_t len)
{
	struct term *t = arg;
	size_t s = stream == AGENT_STDERR;

	assert_int_equal(offset, t->len[s]);
	assert_true(t->len[s] + len <= OUT_ROOM);
	memcpy(t->out[s] + t->len[s], data, len);
	t->len[s] += len;
	if (!t->keeps_all)
		agent_channel_take(t->channel, stream, t->len[s]);
}

static void on_end(void *arg, enum agent_stream stream)
{
	((struct term *)arg)->ends += stream;
}

static void on_room(void *arg)
{
	(void)arg;
}

static void on_exit_told(void *arg, int status, unsigned signal)
{
	struct term *t = arg;

	t->exits++;
	t->status = status;
	t->signal = signal;
}

static const struct agent_channel_hooks term_hooks = {
	.on_open = on_open, .on_output = on_output, .on_end = on_end, .on_room = on_room, .on_exit = on_exit_told
};

static void term_init(struct term *t, struct world *w)
{
	memset(t, 0, sizeof(*t));
	t->w = w;
	for (int s = 0; s < 2; s++)
		t->out[s] = malloc(OUT_ROOM);
	assert_true(t->out[0] && t->out[1]);
}

static void term_finish(struct term *t)
{
	(void)agent_channel_destroy(t->channel, AGENT_HANG_UP);
	free(t->out[0]);
	free(t->out[1]);
}

static void term_open(struct term *t, struct world *w, enum agent_kind kind, const char *script)
{
	struct agent_open o = { .kind = kind, .cols = 91, .rows = 33, .cwd = "/", .argv = { "sh", "-c", script }, .env = { "WORD=here" } };

	term_init(t, w);
	snprintf((char *)o.tag, sizeof(o.tag), "%d", rand());
	t->channel = agent_channel_open(w->host, &o, WINDOW, &term_hooks, t);
	assert_non_null(t->channel);
	WAIT_FOR(w, t->opens > 0);
	assert_int_equal(t->open_status, 0);
}

static bool has(const struct term *t, const char *text)
{
	return memmem(t->out[0], t->len[0], text, strlen(text)) != NULL;
}

static void say(struct term *t, const char *text)
{
	assert_int_equal(agent_channel_write(t->channel, text, strlen(text)), strlen(text));
}

static void test_pty(void **state)
{
	struct world w;
	struct term t;

	(void)state;
	start_on(&w, 0);
	term_open(&t, &w, AGENT_KIND_PTY, "stty size; echo $WORD $TERM; read x; echo got-$x; stty size; exit 7");
	WAIT_FOR(&w, has(&t, "33 91") && has(&t, "here xterm-256color"));
	assert_int_equal(agent_channel_resize(t.channel, 120, 40, 0, 0), 0);
	say(&t, "word\n");
	WAIT_FOR(&w, t.exits == 1);
	assert_true(has(&t, "word\r\n") && has(&t, "got-word") && has(&t, "40 120"));
	assert_int_equal(t.status, 7);
	assert_int_equal(t.signal, 0);
	term_finish(&t);
	stop(&w);
}

static void test_signals(void **state)
{
	struct world w;
	struct term t;

	(void)state;
	start_on(&w, 0);
	term_open(&t, &w, AGENT_KIND_PTY, "trap 'echo caught; exit 3' INT; echo armed; while :; do sleep .05; done");
	WAIT_FOR(&w, has(&t, "armed"));
	say(&t, "\003");
	WAIT_FOR(&w, t.exits == 1);
	assert_int_equal(t.status, 3);
	term_finish(&t);
	term_open(&t, &w, AGENT_KIND_EXEC, "sleep 100");
	assert_int_equal(agent_channel_signal(t.channel, SIGTERM), 0);
	WAIT_FOR(&w, t.exits == 1);
	assert_int_equal(t.signal, SIGTERM);
	term_finish(&t);
	stop(&w);
}

static void test_exec(void **state)
{
	struct world w;
	struct term t;

	(void)state;
	start_on(&w, 0);
	term_open(&t, &w, AGENT_KIND_EXEC, "cat; echo gone >&2; exit 5");
	say(&t, "to be repeated");
	agent_channel_end(t.channel);
	WAIT_FOR(&w, t.exits == 1);
	assert_int_equal(t.status, 5);
	assert_int_equal(t.len[0], 14);
	assert_memory_equal(t.out[0], "to be repeated", 14);
	assert_memory_equal(t.out[1], "gone\n", 5);
	assert_int_equal(t.ends, AGENT_STDOUT + AGENT_STDERR);
	term_finish(&t);
	term_open(&t, &w, AGENT_KIND_EXEC, "exec /no/such/program");
	WAIT_FOR(&w, t.exits == 1);
	assert_int_equal(t.status, 127);
	term_finish(&t);
	stop(&w);
}

/* Somebody who has left the program's group holds its output open: the end comes all the same. */
static void test_exec_left_behind(void **state)
{
	struct world w;
	struct term t;

	(void)state;
	start_on(&w, 0);
	term_open(&t, &w, AGENT_KIND_EXEC, "echo first; sleep 30 & echo $! >&2");
	WAIT_FOR(&w, t.exits == 1);
	assert_true(has(&t, "first\n"));
	t.out[1][t.len[1]] = '\0';
	(void)kill((pid_t)atoi((char *)t.out[1]), SIGKILL);
	term_finish(&t);
	stop(&w);
}

/* What came of @stream in pieces, with a NUL. */
static void pieces_of(const struct term *t, int stream, char out[64])
{
	size_t n = 0;

	for (size_t at = 0, len; at < t->len[0]; at += AGENT_PIECE_HEAD + len) {
		const uint8_t *p = t->out[0] + at;

		assert_true(at + AGENT_PIECE_HEAD <= t->len[0] && (p[0] == 1 || p[0] == 2) && p[1] == 0 && p[2] == 0);
		len = (size_t)p[3] << 8 | p[4];
		assert_true(len > 0 && at + AGENT_PIECE_HEAD + len <= t->len[0]);
		if (p[0] != stream)
			continue;
		assert_true(n + len < 64);
		memcpy(out + n, p + AGENT_PIECE_HEAD, len);
		n += len;
	}
	out[n] = '\0';
}

/* Both outputs in one stream; whoever else holds them is not waited for. */
static void test_command(void **state)
{
	struct world w;
	struct term t;
	char text[64];

	(void)state;
	start_on(&w, 0);
	term_open(&t, &w, AGENT_KIND_COMMAND, "cat; echo apart >&2; echo $WORD; sleep 3 >&- & exit 5");
	say(&t, "typed\n");
	agent_channel_end(t.channel);
	WAIT_FOR(&w, t.exits == 1);
	assert_int_equal(t.status, 5);
	assert_int_equal(t.len[1], 0);
	pieces_of(&t, 1, text);
	assert_string_equal(text, "typed\nhere\n");
	pieces_of(&t, 2, text);
	assert_string_equal(text, "apart\n");
	term_finish(&t);
	stop(&w);
}

static void port_open(struct term *t, struct world *w, const char *port)
{
	struct agent_open o = { .kind = AGENT_KIND_PORT, .cwd = "", .argv = { port } };

	term_init(t, w);
	snprintf((char *)o.tag, sizeof(o.tag), "%s-%d", port, rand() % 1000);
	t->channel = agent_channel_open(w->host, &o, WINDOW, &term_hooks, t);
	assert_non_null(t->channel);
	WAIT_FOR(w, t->opens > 0);
}

static void test_port(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	socklen_t len = sizeof(addr);
	char port[8], got[16];
	struct world w;
	struct term t;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	snprintf(port, sizeof(port), "%u", ntohs(addr.sin_port));
	start_on(&w, 0);
	port_open(&t, &w, port);
	assert_int_equal(t.open_status, 0);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	say(&t, "hello");
	agent_channel_end(t.channel);
	WAIT_FOR(&w, recv(fd, got, sizeof(got), MSG_DONTWAIT | MSG_PEEK) == 5);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 5);
	WAIT_FOR(&w, recv(fd, got, sizeof(got), MSG_DONTWAIT) == 0); /* its direction is shut, ours is open */
	assert_int_equal(send(fd, "answer", 6, MSG_NOSIGNAL), 6);
	close(fd);
	WAIT_FOR(&w, t.exits == 1);
	assert_true(has(&t, "answer"));
	assert_int_equal(t.status, 0);
	term_finish(&t);
	close(listener);
	port_open(&t, &w, port);
	assert_int_equal(t.open_status, -ECONNREFUSED);
	term_finish(&t);
	port_open(&t, &w, "0");
	assert_int_equal(t.open_status, -EINVAL);
	term_finish(&t);
	stop(&w);
}

static void test_limits(void **state)
{
	struct agent_open o = { .kind = AGENT_KIND_EXEC, .cwd = "/", .argv = { "sleep", "100" }, .timeout_ms = 200, .tag = "limited" };
	struct world w;
	struct term t;

	(void)state;
	start_on(&w, 0);
	term_init(&t, &w);
	t.channel = agent_channel_open(w.host, &o, WINDOW, &term_hooks, &t);
	WAIT_FOR(&w, t.exits == 1);
	assert_int_equal(t.signal, SIGKILL);
	term_finish(&t);
	stop(&w);
}

static uint8_t pattern(size_t at)
{
	return (uint8_t)((at * 2654435761U) >> 13);
}

static void check_pattern(const struct term *t, size_t len)
{
	assert_int_equal(t->len[0], len);
	for (size_t i = 0; i < len; i++) {
		if (t->out[0][i] != pattern(i))
			fail_msg("byte %zu differs", i);
	}
}

/* Writes the next of the pattern, as much as is taken. */
static void write_pattern(struct term *t, size_t *at, size_t end)
{
	uint8_t chunk[8192];
	size_t n = end - *at < sizeof(chunk) ? end - *at : sizeof(chunk);

	for (size_t i = 0; i < n; i++)
		chunk[i] = pattern(*at + i);
	if (n > 0)
		*at += agent_channel_write(t->channel, chunk, n);
}

static void test_ten_megabytes(void **state)
{
	const size_t all = 10U << 20;
	struct world w;
	struct term t;
	size_t at = 0;

	(void)state;
	start_on(&w, 0);
	term_open(&t, &w, AGENT_KIND_EXEC, "exec cat");
	while (at < all) {
		write_pattern(&t, &at, all);
		ev_run(w.loop.ev, EVRUN_NOWAIT);
	}
	agent_channel_end(t.channel);
	WAIT_FOR(&w, t.exits == 1);
	check_pattern(&t, all);
	term_finish(&t);
	stop(&w);
}

/* A host that takes nothing stops the program, not the agent; what was written is all there later. */
static void test_back_pressure(void **state)
{
	struct world w;
	struct term t;
	size_t held;

	(void)state;
	start_on(&w, 0);
	term_open(&t, &w, AGENT_KIND_EXEC, "head -c 2000000 /dev/zero; echo done >&2");
	agent_channel_destroy(t.channel, AGENT_LEAVE);
	t.channel = agent_channel_attach(w.host, t.job.id, (uint64_t[]){ t.len[0], t.len[1] }, WINDOW, &term_hooks, &t);
	t.keeps_all = true;
	held = t.len[0];
	WAIT_FOR(&w, t.len[0] == held + WINDOW);
	assert_int_equal(t.len[1], 0);
	t.keeps_all = false;
	agent_channel_take(t.channel, AGENT_STDOUT, t.len[0]);
	WAIT_FOR(&w, t.exits == 1);
	assert_int_equal(t.len[0], 2000000);
	assert_int_equal(t.len[1], 5);
	term_finish(&t);
	stop(&w);
}

/* The host dies anywhere, in the middle of a frame on either side; the next one goes on where it was. */
static void test_cut_anywhere(void **state)
{
	const size_t all = 11U << 20;
	struct world w;
	struct term t;
	size_t at = 0;

	(void)state;
	start_on(&w, 4096);
	term_open(&t, &w, AGENT_KIND_EXEC, "exec cat");
	for (int cut = 0; cut < 100; cut++) {
		for (int turns = rand() % 20; turns > 0; turns--) {
			write_pattern(&t, &at, all);
			ev_run(w.loop.ev, EVRUN_NOWAIT);
		}
		w.host = agent_host_destroy(w.host);
		t.opens = 0;
		connect_host(&w);
		t.channel = agent_channel_attach(w.host, t.job.id, (uint64_t[]){ t.len[0], t.len[1] }, WINDOW, &term_hooks, &t);
		WAIT_FOR(&w, t.opens > 0);
		assert_int_equal(t.open_status, 0);
		assert_true(t.job.in_taken <= at);
		at = (size_t)t.job.in_taken; /* the rest went with the host; its owner has it */
	}
	assert_true(at > 0 && at < all);
	while (at < all) {
		write_pattern(&t, &at, all);
		ev_run(w.loop.ev, EVRUN_NOWAIT);
	}
	agent_channel_end(t.channel);
	WAIT_FOR(&w, t.exits == 1);
	check_pattern(&t, all);
	assert_int_equal(w.lost, 0);
	term_finish(&t);
	stop(&w);
}

/* The same host connects again: its channels go on by themselves, with what they had not got rid of. */
static void test_reconnect(void **state)
{
	const size_t all = 1U << 20;
	struct world w;
	struct term t;
	size_t at = 0;

	(void)state;
	start_on(&w, 4096);
	term_open(&t, &w, AGENT_KIND_EXEC, "exec cat");
	for (int cut = 0; cut < 30; cut++) {
		for (int turns = rand() % 40; turns > 0; turns--) {
			write_pattern(&t, &at, all);
			ev_run(w.loop.ev, EVRUN_NOWAIT);
		}
		assert_int_equal(agent_host_connect(w.host, dup(w.near_fd)), 0);
	}
	while (at < all) {
		write_pattern(&t, &at, all);
		ev_run(w.loop.ev, EVRUN_NOWAIT);
	}
	agent_channel_end(t.channel);
	WAIT_FOR(&w, t.exits == 1);
	check_pattern(&t, all);
	assert_int_equal(t.opens, 1);
	term_finish(&t);
	stop(&w);
}

static void on_reply(void *arg, int status, struct agent_in *in)
{
	struct world *w = arg;

	w->answered = true;
	w->status = status;
	w->answer_len = in->bad ? 0 : in->left;
	agent_get_bytes(in, w->answer, w->answer_len);
}

static int ask(struct world *w, enum agent_type type, struct buf *body)
{
	w->answered = false;
	assert_int_equal(agent_host_ask(w->host, type, 0, body, WAIT_MS, on_reply, w), 0);
	buf_finish(body);
	WAIT_FOR(w, w->answered);
	return w->status;
}

/* A listener whose queue is full makes a connection wait for a second, and nobody else. */
static void test_port_that_waits(void **state)
{
	struct agent_open o = { .kind = AGENT_KIND_PORT, .cwd = "", .tag = "waits" };
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), queued, fd;
	struct buf body = BUF_INIT(64);
	socklen_t len = sizeof(addr);
	char port[8];
	struct world w;
	struct term t;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	snprintf(port, sizeof(port), "%u", ntohs(addr.sin_port));
	queued = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* the one that has room */
	assert_int_equal(connect(queued, (struct sockaddr *)&addr, sizeof(addr)), 0);
	start_on(&w, 0);
	term_init(&t, &w);
	o.argv[0] = port;
	t.channel = agent_channel_open(w.host, &o, WINDOW, &term_hooks, &t);
	assert_int_equal(ask(&w, AGENT_HEALTH, &body), 0);
	assert_int_equal(t.opens, 0); /* it was asked for before */
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	WAIT_FOR(&w, t.opens > 0); /* after the second SYN */
	assert_int_equal(t.open_status, 0);
	term_finish(&t);
	close(queued);
	close(fd);
	close(listener);
	stop(&w);
}

/* A job that is left with unread output is found by the next host, with all of it. */
static void test_list(void **state)
{
	struct buf body = BUF_INIT(64);
	struct agent_health health;
	struct agent_in in;
	struct agent_job job;
	struct world w;
	struct term t;

	(void)state;
	start_on(&w, 0);
	term_open(&t, &w, AGENT_KIND_PTY, "sleep .2; echo while nobody looked");
	w.host = agent_host_destroy(w.host);
	(void)poll(NULL, 0, 600);
	connect_host(&w);
	agent_put_u32(&body, 0);
	assert_int_equal(ask(&w, AGENT_LIST, &body), 0);
	in = (struct agent_in){ w.answer, w.answer_len, false };
	assert_int_equal(agent_get_u32(&in), 1);
	assert_int_equal(agent_get_job(&in, &job), 0);
	assert_int_equal(job.id, t.job.id);
	assert_true(job.flags & AGENT_JOB_ENDED);
	t.channel = agent_channel_attach(w.host, job.id, (uint64_t[]){ AGENT_OLDEST, AGENT_OLDEST }, WINDOW, &term_hooks, &t);
	WAIT_FOR(&w, t.exits == 1);
	assert_true(has(&t, "while nobody looked"));
	term_finish(&t);
	body = BUF_INIT(64);
	assert_int_equal(ask(&w, AGENT_HEALTH, &body), 0);
	in = (struct agent_in){ w.answer, w.answer_len, false };
	assert_int_equal(agent_get_health(&in, &health), 0);
	assert_true(health.whole && health.uptime_ms > 0 && health.memory > health.memory_available && health.memory_available > 0);
	assert_true(health.disk >= health.disk_available && health.disk > 0);
	assert_true(llabs((long long)(health.clock_ns / 1000000000U) - (long long)time(NULL)) < 60);
	stop(&w);
}

static int write_file(struct world *w, const char *path, uint64_t offset, uint32_t flags, const char *data)
{
	struct buf body = BUF_INIT(AGENT_FRAME_MAX);

	agent_put_u64(&body, offset);
	agent_put_u32(&body, flags);
	agent_put_u32(&body, 0640);
	agent_put_str(&body, path);
	agent_put_bytes(&body, data, strlen(data));
	return ask(w, AGENT_WRITE, &body);
}

static int read_file(struct world *w, const char *path, uint64_t offset, uint32_t len)
{
	struct buf body = BUF_INIT(AGENT_FRAME_MAX);

	agent_put_u64(&body, offset);
	agent_put_u32(&body, len);
	agent_put_str(&body, path);
	return ask(w, AGENT_READ, &body);
}

static int rename_file(struct world *w, uint32_t keep, const char *from, const char *to)
{
	struct buf body = BUF_INIT(AGENT_FRAME_MAX);

	agent_put_u32(&body, keep);
	agent_put_str(&body, from);
	agent_put_str(&body, to);
	return ask(w, AGENT_RENAME, &body);
}

static int ask_path(struct world *w, enum agent_type type, const char *path)
{
	struct buf body = BUF_INIT(AGENT_FRAME_MAX);

	if (type == AGENT_MKDIR)
		agent_put_u32(&body, 0700);
	if (type == AGENT_READDIR)
		agent_put_u64(&body, 0);
	agent_put_str(&body, path);
	return ask(w, type, &body);
}

static void test_files(void **state)
{
	struct agent_stat st;
	struct agent_in in;
	struct world w;

	(void)state;
	start_on(&w, 0);
	assert_int_equal(ask_path(&w, AGENT_MKDIR, "dir"), 0);
	assert_int_equal(write_file(&w, "/dir/new", 0, AGENT_WRITE_CREATE | AGENT_WRITE_EXCL, "0123456789"), 0);
	assert_int_equal(write_file(&w, "dir/new", 0, AGENT_WRITE_CREATE | AGENT_WRITE_EXCL, ""), -EEXIST);
	assert_int_equal(write_file(&w, "dir/new", 5, AGENT_WRITE_SYNC, "five"), 0);
	assert_int_equal(read_file(&w, "dir/new", 3, 100), 0);
	assert_int_equal(w.answer_len, 7);
	assert_memory_equal(w.answer, "34five9", 7);
	assert_int_equal(write_file(&w, "dir/new", 4, AGENT_WRITE_TRUNCATE, ""), 0);
	assert_int_equal(ask_path(&w, AGENT_STAT, "dir/new"), 0);
	in = (struct agent_in){ w.answer, w.answer_len, false };
	assert_int_equal(agent_get_stat(&in, &st), 0);
	assert_int_equal(st.size, 4);
	assert_int_equal(st.mode & 0777, 0640);
	assert_int_equal(write_file(&w, "dir/old", 0, AGENT_WRITE_CREATE, "old"), 0);
	assert_int_equal(rename_file(&w, 1, "dir/new", "dir/old"), -EEXIST);
	assert_int_equal(rename_file(&w, 0, "dir/new", "dir/old"), 0);
	assert_int_equal(ask_path(&w, AGENT_READDIR, "dir"), 0);
	assert_int_equal(w.answer_len, 8 + 1 + 4);
	assert_memory_equal(w.answer + 9, "old", 4);
	assert_int_equal(ask_path(&w, AGENT_REMOVE, "dir"), -ENOTEMPTY);
	assert_int_equal(ask_path(&w, AGENT_REMOVE, "dir/old"), 0);
	assert_int_equal(ask_path(&w, AGENT_REMOVE, "dir"), 0);
	stop(&w);
}

static void test_paths_stay_inside(void **state)
{
	static const char *const bad[] = { "../etc/passwd", "a/../../etc/passwd", "/../etc/passwd", "out/passwd", "up/etc/passwd", "magic/root/etc/passwd" };
	struct world w;
	char name[128];

	(void)state;
	start_on(&w, 0);
	snprintf(name, sizeof(name), "%s/out", w.root);
	assert_int_equal(symlink("/etc", name), 0);
	snprintf(name, sizeof(name), "%s/up", w.root);
	assert_int_equal(symlink("../..", name), 0);
	snprintf(name, sizeof(name), "%s/a", w.root);
	assert_int_equal(mkdir(name, 0700), 0);
	snprintf(name, sizeof(name), "%s/pipe", w.root);
	assert_int_equal(mkfifo(name, 0600), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(read_file(&w, bad[i], 0, 100) < 0);
		assert_true(write_file(&w, bad[i], 0, AGENT_WRITE_CREATE, "x") < 0);
		assert_true(ask_path(&w, AGENT_STAT, bad[i]) < 0);
		assert_true(ask_path(&w, AGENT_REMOVE, bad[i]) < 0);
		assert_true(rename_file(&w, 0, bad[i], "mine") < 0);
	}
	assert_int_equal(read_file(&w, "../etc/passwd", 0, 100), -EXDEV);
	assert_int_equal(ask_path(&w, AGENT_READDIR, ".."), -EXDEV);
	assert_int_equal(ask_path(&w, AGENT_REMOVE, ".."), -EINVAL);
	assert_int_equal(read_file(&w, "pipe", 0, 100), -EINVAL);
	assert_int_equal(write_file(&w, "pipe", 0, 0, "x"), -ENXIO);
	assert_int_equal(read_file(&w, "a", 0, 100), -EISDIR);
	stop(&w);
}

/* What the host must not say ends the conversation, not the agent. */
static void test_agent_survives_nonsense(void **state)
{
	uint8_t junk[4096];
	struct world w;
	struct term t;

	(void)state;
	start_on(&w, 0);
	term_open(&t, &w, AGENT_KIND_PTY, "read x; echo still-$x");
	w.host = agent_host_destroy(w.host);
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof(junk); i++)
			junk[i] = (uint8_t)rand();
		for (size_t at = 0; at < sizeof(junk);) {
			ssize_t n = write(w.near_fd, junk + at, sizeof(junk) - at);

			at += n > 0 ? (size_t)n : 0;
			if (n <= 0)
				(void)poll(NULL, 0, 1);
		}
	}
	connect_host(&w);
	t.channel = agent_channel_attach(w.host, t.job.id, (uint64_t[]){ t.len[0], 0 }, WINDOW, &term_hooks, &t);
	say(&t, "alive\n");
	WAIT_FOR(&w, t.exits == 1);
	assert_true(has(&t, "still-alive"));
	term_finish(&t);
	stop(&w);
}

static bool file_has(const char *path, const char *what)
{
	char text[16384];
	long n = fd_read_file(AT_FDCWD, path, text, sizeof(text));

	return n > 0 && strstr(text, what);
}

/* No processor here that would make a report; but whoever asks too often is told so before it is asked. */
static void test_reports_are_counted(void **state)
{
	static const uint8_t data[64];
	unsigned busy = 0;
	struct world w;

	(void)state;
	start_on(&w, 0);
	for (int i = 0; i < 12; i++) {
		struct buf body = BUF_INIT(64);
		int r;

		agent_put_bytes(&body, data, sizeof(data));
		r = ask(&w, AGENT_REPORT, &body);
		assert_true(r == -EBUSY || r == -EOPNOTSUPP);
		busy += r == -EBUSY;
	}
	assert_in_range(busy, 1, 4);
	stop(&w);
}

/* A sealed guest starts nothing for the host, shows no files, and lets nobody push at its jobs. */
static void test_sealed(void **state)
{
	static const enum agent_type refused[] = { AGENT_STAT, AGENT_READDIR, AGENT_READ, AGENT_WRITE, AGENT_RENAME, AGENT_REMOVE, AGENT_MKDIR,
						   AGENT_RESIZE, AGENT_SIGNAL, AGENT_FRONT };
	struct agent_open o = { .kind = AGENT_KIND_EXEC, .cwd = "", .argv = { "/bin/true" } };
	struct buf body = BUF_INIT(65536);
	struct world w;

	(void)state;
	setenv("SEALED", "1", 1);
	start_on(&w, 0);
	unsetenv("SEALED");
	assert_int_equal(ask(&w, AGENT_HEALTH, &body), 0);
	assert_int_equal(w.answer_len, 32); /* no clock, no disk */
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(ask(&w, refused[i], &body), -EPERM);
	agent_put_open(&body, &o);
	assert_int_equal(ask(&w, AGENT_OPEN, &body), -EPERM);
	o.kind = AGENT_KIND_COMMAND;
	agent_put_open(&body, &o);
	assert_int_equal(ask(&w, AGENT_OPEN, &body), -EPERM);
	o.kind = AGENT_KIND_PORT;
	o.argv[0] = "80";
	agent_put_open(&body, &o);
	assert_int_equal(ask(&w, AGENT_OPEN, &body), -EPERM);
	o.kind = AGENT_KIND_PTY;
	o.argv[0] = NULL;
	agent_put_open(&body, &o);
	assert_int_equal(ask(&w, AGENT_OPEN, &body), -EPERM);
	/* Its own program, but with what would let the host change it. */
	o.kind = AGENT_KIND_SEALED;
	o.argv[0] = "vm";
	o.env[0] = "LD_PRELOAD=/tmp/x.so";
	agent_put_open(&body, &o);
	assert_int_equal(ask(&w, AGENT_OPEN, &body), -EPERM);
	o.env[0] = NULL;
	o.cwd = "/tmp";
	agent_put_open(&body, &o);
	assert_int_equal(ask(&w, AGENT_OPEN, &body), -EPERM);
	o.cwd = "";
	agent_put_open(&body, &o);
	assert_int_not_equal(ask(&w, AGENT_OPEN, &body), -EPERM);
	stop(&w);
}

/* What is asked of an agent that does not know it is answered, and the conversation goes on. */
static void test_later_requests(void **state)
{
	struct buf body = BUF_INIT(16);
	struct agent_front front;
	struct agent_in in;
	struct world w;
	struct term t, none;

	(void)state;
	start_on(&w, 0);
	assert_int_equal(agent_host_version(w.host), AGENT_VERSION);
	agent_put_u32(&body, 0);
	assert_int_equal(ask(&w, (enum agent_type)(AGENT_DATA - 1), &body), -EOPNOTSUPP);
	term_open(&none, &w, AGENT_KIND_EXEC, "exec sleep 100");
	term_open(&t, &w, AGENT_KIND_PTY, "cd /usr; echo there; exec sleep 100");
	WAIT_FOR(&w, has(&t, "there"));
	do {
		agent_put_u32(&body, 0);
		assert_int_equal(ask(&w, AGENT_FRONT, &body), 0);
		in = (struct agent_in){ w.answer, w.answer_len, false };
		assert_int_equal(agent_get_u32(&in), 1);
		assert_int_equal(agent_get_front(&in, &front), 0);
	} while (strcmp(front.program, "sleep") != 0);
	assert_true(agent_get_done(&in) && front.job == t.job.id && front.pid == t.job.pid);
	assert_string_equal(front.cwd, "/usr");
	agent_put_u32(&body, t.job.id);
	assert_int_equal(ask(&w, AGENT_FRONT, &body), 0);
	in = (struct agent_in){ w.answer, w.answer_len, false };
	assert_true(agent_get_u32(&in) == 0 && agent_get_done(&in));
	assert_int_equal(w.lost, 0);
	term_finish(&t);
	term_finish(&none);
	stop(&w);
}

static int ask_secret(struct world *w, const char *name, const char *value, bool remove)
{
	const struct agent_secret s = { .name = name, .how = remove ? AGENT_SECRET_REMOVE : AGENT_SECRET_PUT, .data = (const uint8_t *)value, .len = value ? strlen(value) : 0 };
	struct buf body = BUF_INIT(AGENT_FRAME_MAX);

	agent_put_secret(&body, &s);
	return ask(w, AGENT_SECRET, &body);
}

static int ask_owned(struct world *w, const char *name, const char *owner)
{
	const struct agent_secret s = { .name = name, .owner = owner, .data = (const uint8_t *)"x", .len = 1 };
	struct buf body = BUF_INIT(AGENT_FRAME_MAX);

	agent_put_secret(&body, &s);
	return ask(w, AGENT_SECRET, &body);
}

static bool memory_has(pid_t pid, const char *text)
{
	char path[64], line[512];
	size_t len = strlen(text);
	bool found = false;
	FILE *maps;
	int mem;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(maps && mem >= 0);
	while (!found && fgets(line, sizeof(line), maps)) {
		unsigned long from = 0, to = 0;
		char *bytes, mode[5] = "";

		if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[1] != 'w' || to - from > (64U << 20))
			continue;
		bytes = malloc(to - from);
		assert_non_null(bytes);
		if (pread(mem, bytes, to - from, (off_t)from) == (ssize_t)(to - from))
			found = memmem(bytes, to - from, text, len) != NULL;
		free(bytes);
	}
	(void)fclose(maps);
	(void)close(mem);
	return found;
}

/* In memory, for root, replaced whole, and not in the agent's own memory afterwards. */
static void test_secrets(void **state)
{
	const struct agent_identity i = { .hostname = "", .has_machine = true, .machine = { 0xab, [15] = 0x07 } };
	struct buf body = BUF_INIT(65536);
	struct agent_stat st;
	struct agent_in in;
	char path[128];
	struct world w;

	(void)state;
	if (!may_have_a_card())
		skip();
	setenv("NETNS", "1", 1);
	start_on(&w, 0);
	unsetenv("NETNS");
	assert_int_equal(ask_secret(&w, "token", "x", false), -ENOENT); /* no /run */
	assert_int_equal(ask_path(&w, AGENT_MKDIR, "run"), 0);
	assert_int_equal(ask_secret(&w, "token", NULL, true), -ENOENT);
	assert_int_equal(ask_secret(&w, "token", "first", false), 0);
	assert_int_equal(ask_secret(&w, "token", "se" "cond-7717-value", false), 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)w.agent);
	assert_true(file_has(path, "/run/secrets rw,nosuid,nodev,noexec"));
	(void)snprintf(path, sizeof(path), "%s/run/secrets/token", w.root);
	assert_int_equal(access(path, F_OK), -1); /* on no disk: outside of the agent's own mounts there is nothing */
	assert_int_equal(ask_path(&w, AGENT_STAT, "run/secrets"), 0);
	in = (struct agent_in){ w.answer, w.answer_len, false };
	assert_int_equal(agent_get_stat(&in, &st), 0);
	assert_int_equal(st.mode & 07777, 0711);
	assert_int_equal(ask_path(&w, AGENT_STAT, "run/secrets/token"), 0);
	in = (struct agent_in){ w.answer, w.answer_len, false };
	assert_int_equal(agent_get_stat(&in, &st), 0);
	assert_int_equal(st.mode & 07777, 0400);
	assert_int_equal(ask_path(&w, AGENT_READDIR, "run/secrets"), 0);
	assert_int_equal(w.answer_len, 8 + 1 + 6);
	assert_false(memory_has(w.agent, "cond-7717-value"));
	assert_int_equal(read_file(&w, "run/secrets/token", 0, 100), 0);
	assert_int_equal(w.answer_len, 17);
	assert_memory_equal(w.answer, "second-7717-value", 17);
	assert_true(memory_has(w.agent, "cond-7717-value")); /* so it would have been found */
	/* /etc/passwd of this guest says who that is; only root there is somebody here. */
	assert_int_equal(ask_owned(&w, "of-root", "0"), 0);
	assert_int_equal(ask_owned(&w, "of-root", "gardener"), -ESRCH);
	assert_int_equal(ask_path(&w, AGENT_MKDIR, "etc"), 0);
	assert_int_equal(write_file(&w, "etc/passwd", 0, AGENT_WRITE_CREATE, "broken\nroot:x:0:0::/:\ngardener::0:0:g:/:/bin/sh\n"), 0);
	assert_int_equal(ask_owned(&w, "of-root", "gardener"), 0);
	assert_int_equal(ask_owned(&w, "of-root", "gard"), -ESRCH);
	assert_int_equal(ask_secret(&w, "of-root", NULL, true), 0);
	assert_int_equal(ask_secret(&w, "token", NULL, true), 0);
	assert_int_equal(ask_path(&w, AGENT_STAT, "run/secrets/token"), -ENOENT);
	assert_int_equal(ask_owned(&w, "a", "0"), 0);
	assert_int_equal(ask_owned(&w, ".b", "0"), 0);
	agent_put_secret(&body, &(struct agent_secret){ .name = "all", .how = AGENT_SECRET_ALL });
	assert_int_equal(ask(&w, AGENT_SECRET, &body), 0);
	assert_int_equal(ask_path(&w, AGENT_READDIR, "run/secrets"), 0);
	assert_int_equal(w.answer_len, 8); /* none is left */
	body = BUF_INIT(65536);

	assert_int_equal(ask_path(&w, AGENT_MKDIR, "etc/ssh"), 0);
	agent_put_identity(&body, &i);
	assert_int_equal(ask(&w, AGENT_IDENTITY, &body), 0);
	(void)snprintf(path, sizeof(path), "%s/etc/machine-id", w.root);
	assert_true(file_has(path, "ab000000000000000000000000000007\n"));
	(void)snprintf(path, sizeof(path), "%s/etc/ssh/ssh_host_ed25519_key.pub", w.root);
	if (access("/usr/bin/ssh-keygen", X_OK) == 0)
		WAIT_FOR(&w, access(path, R_OK) == 0);
	stop(&w);
}

static void test_no_secrets_for_a_process(void **state)
{
	struct world w;

	(void)state;
	setenv("SEALED", "1", 1);
	start_on(&w, 0);
	unsetenv("SEALED");
	assert_int_equal(ask_secret(&w, "token", "x", false), -EPERM);
	stop(&w);
	setenv("CONSOLE", "1", 1);
	start_on(&w, 0);
	unsetenv("CONSOLE");
	assert_int_equal(ask_path(&w, AGENT_MKDIR, "run"), 0);
	assert_int_equal(ask_secret(&w, "token", "x", false), -EOPNOTSUPP);
	assert_int_equal(ask_path(&w, AGENT_STAT, "run/secrets"), -ENOENT);
	stop(&w);
}

/* What a confidential machine is told because its command line does not say it. */
static void test_addresses(void **state)
{
	struct agent_identity i = { .hostname = "", .addresses = 2,
				    .address = { { .interface = "eth0", .family = 4, .prefix = 24, .address = { 10, 77, 0, 8 }, .gateway = { 10, 77, 0, 1 } },
						 { .interface = "eth0", .family = 6, .prefix = 64, .address = { 0xfd, 0x77, [15] = 8 },
						   .gateway = { 0xfd, 0x77, [15] = 1 } } } };
	struct agent_open o = { .kind = AGENT_KIND_EXEC, .cwd = "", .argv = { "ip", "-o", "addr", "show", "eth0" } };
	struct buf body = BUF_INIT(65536);
	char path[64];
	struct world w;

	(void)state;
	if (!may_have_a_card())
		skip();
	setenv("NETNS", "1", 1);
	setenv("SEALED", "1", 1);
	start_on(&w, 0);
	unsetenv("NETNS");
	unsetenv("SEALED");
	agent_put_identity(&body, &i);
	assert_int_equal(ask(&w, AGENT_IDENTITY, &body), 0);
	agent_put_open(&body, &o);
	assert_int_equal(ask(&w, AGENT_OPEN, &body), -EPERM);
	(void)snprintf(path, sizeof(path), "/proc/%d/net/fib_trie", (int)w.agent);
	assert_true(file_has(path, "10.77.0.8"));
	(void)snprintf(path, sizeof(path), "/proc/%d/net/if_inet6", (int)w.agent);
	assert_true(file_has(path, "fd770000000000000000000000000008"));
	(void)snprintf(path, sizeof(path), "/proc/%d/net/route", (int)w.agent);
	assert_true(file_has(path, "eth0\t00000000\t01004D0A"));
	stop(&w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pty),	      cmocka_unit_test(test_signals),	       cmocka_unit_test(test_exec),
		cmocka_unit_test(test_limits),	      cmocka_unit_test(test_exec_left_behind), cmocka_unit_test(test_ten_megabytes),
		cmocka_unit_test(test_back_pressure), cmocka_unit_test(test_cut_anywhere),     cmocka_unit_test(test_reconnect),
		cmocka_unit_test(test_list),	      cmocka_unit_test(test_files),	       cmocka_unit_test(test_paths_stay_inside),
		cmocka_unit_test(test_agent_survives_nonsense), cmocka_unit_test(test_reports_are_counted), cmocka_unit_test(test_command), cmocka_unit_test(test_port),
		cmocka_unit_test(test_port_that_waits), cmocka_unit_test(test_sealed), cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_later_requests), cmocka_unit_test(test_secrets), cmocka_unit_test(test_no_secrets_for_a_process),
	};

	if (argc == 4 && strcmp(argv[1], "agent") == 0)
		serve(atoi(argv[2]), argv[3]);
	srand(7717);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
