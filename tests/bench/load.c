// SPDX-License-Identifier: Apache-2.0
/*
 * load SCENARIO OPTIONS: puts one kind of load on one server and prints one JSON object with what it saw. Which servers, in which
 * order and how often is bench.mjs's part.
 *
 * The processes of the server are named with --pid=NAME:PID; their CPU time and memory are read from outside at the start and at
 * the end of what is measured. Units are in the names: _ms, _us, _mib (2^20 bytes), _kib.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "hv/seal/seal.h"
#include "tests/bench/pattern.h"
#include "tests/bench/session.h"
#include "tests/bench/usage.h"

#define MIB (1U << 20)
#define STEP_BYTES (256U << 10)
#define PIDS_MAX 4
#define STEPS_MAX 8
#define DEADLINE_S 170 /* of a whole scenario: bench.mjs goes on after 180 s */

struct process {
	char name[24];
	pid_t pid;
};

struct bench {
	struct peer peer;
	struct process process[PIDS_MAX];
	size_t processes;
	uint64_t bytes;
	size_t count, keys, floods, drops, per_stream, steps;
	size_t step[STEPS_MAX];
	double ms, gap_us, mib_per_s;
	json_t *out;
};

/* --- figures ----------------------------------------------------------------------------------------------------------- */

static void put_real(json_t *o, const char *name, double v)
{
	/* Three digits after the point are finer than anything here can be known. */
	(void)json_object_set_new(o, name, json_real(round(v * 1e3) / 1e3));
}

static void put_int(json_t *o, const char *name, uint64_t v)
{
	(void)json_object_set_new(o, name, json_integer((json_int_t)v));
}

static void put_bool(json_t *o, const char *name, bool v)
{
	(void)json_object_set_new(o, name, json_boolean(v));
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void put_percentiles(json_t *o, const char *prefix, const char *unit, double *v, size_t n)
{
	static const struct {
		const char *name;
		double part;
	} points[] = { { "p50", 0.50 }, { "p90", 0.90 }, { "p99", 0.99 }, { "max", 1 } };

	qsort(v, n, sizeof(*v), by_value);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		char name[64];
		size_t at = (size_t)((double)n * points[i].part);

		(void)snprintf(name, sizeof(name), "%s%s_%s", prefix, points[i].name, unit);
		put_real(o, name, v[at < n ? at : n - 1]);
	}
}

/* CPU time of the server's processes: cpu_begin() and, at the end, cpu_end() with the difference. */
struct cpu {
	double ms[PIDS_MAX];
};

static struct cpu cpu_begin(const struct bench *b)
{
	struct cpu c = { 0 };

	for (size_t i = 0; i < b->processes; i++)
		c.ms[i] = usage_cpu_ms(b->process[i].pid);
	return c;
}

static double cpu_end(const struct bench *b, const struct cpu *c, json_t *o, const char *prefix)
{
	double sum = 0;

	for (size_t i = 0; i < b->processes; i++) {
		char name[64];
		double ms = usage_cpu_ms(b->process[i].pid) - c->ms[i];

		(void)snprintf(name, sizeof(name), "%scpu_%s_ms", prefix, b->process[i].name);
		put_real(o, name, ms);
		sum += ms;
	}
	return sum;
}

/*
 * The agents are the guests' and no part of the server: their CPU time is told beside, and that of the processes below them which seal. 0 where there
 * are none.
 */
static double agents_cpu_ms(const struct bench *b)
{
	for (size_t i = 0; b->peer.shell != NULL && i < b->processes; i++) {
		if (strcmp(b->process[i].name, "netd") == 0)
			return usage_children_cpu_ms(b->process[i].pid, b->peer.owner_key != NULL ? 2 : 1);
	}
	return 0;
}

static void put_usage(const struct bench *b, json_t *o)
{
	int64_t rss = 0, fds = 0;

	for (size_t i = 0; i < b->processes; i++) {
		struct usage u = { 0 };
		json_t *one = json_object();

		usage_read(b->process[i].pid, &u);
		put_int(one, "rss_kib", (uint64_t)u.rss_kib);
		put_int(one, "ring_kib", (uint64_t)u.shared_kib);
		put_int(one, "threads", (uint64_t)u.threads);
		put_int(one, "fds", (uint64_t)u.fds);
		(void)json_object_set_new(o, b->process[i].name, one);
		rss += u.rss_kib;
		fds += u.fds;
	}
	put_int(o, "rss_kib", (uint64_t)rss);
	put_int(o, "fds", (uint64_t)fds);
}

/*
 * Memory of the server as a stalled client could make it grow: all of it, rings too. But not what is a file's: a page of the
 * program that runs for the first time is no buffer, and is there once for all clients.
 */
static int64_t memory_kib(const struct bench *b)
{
	int64_t sum = 0;

	for (size_t i = 0; i < b->processes; i++) {
		struct usage u = { 0 };

		usage_read(b->process[i].pid, &u);
		sum += u.rss_kib - u.file_kib + u.shared_kib;
	}
	return sum;
}

static void pause_ms(double ms)
{
	struct timespec ts = { .tv_sec = (time_t)(ms / 1e3), .tv_nsec = (long)(fmod(ms, 1e3) * 1e6) };

	(void)nanosleep(&ts, NULL);
}

static struct session *sessions_new(size_t n)
{
	struct session *s = calloc(n, sizeof(*s));

	if (s == NULL)
		die("memory for %zu sessions", n);
	return s;
}

static void await_ready(struct session *s)
{
	while (!s->ready) {
		errno = 0;
		if (term_step(&s->t, WAIT_BLOCK, STEP_BYTES) == 0)
			die("the terminal closed with %u in the middle", s->t.close_code);
	}
}

/* --- scenarios --------------------------------------------------------------------------------------------------------- */

static void throughput(struct bench *b)
{
	struct session *s = sessions_new(1);
	struct http h = { 0 };
	struct cpu cpu;
	double start, seconds, ms, agents_ms, mib = (double)b->bytes / MIB;

	session_open(s, &b->peer, &h);
	cpu = cpu_begin(b);
	agents_ms = agents_cpu_ms(b);
	start = now_us();
	session_command(s, b->bytes, "data %llu\n", (unsigned long long)b->bytes);
	await_ready(s);
	seconds = (now_us() - start) / 1e6;
	ms = cpu_end(b, &cpu, b->out, "");
	if (b->peer.shell != NULL)
		put_real(b->out, "agent_cpu_ms_per_mib", (agents_cpu_ms(b) - agents_ms) / mib);
	put_real(b->out, "mib_per_s", mib / seconds);
	put_real(b->out, "cpu_ms_per_mib", ms / mib);
	put_real(b->out, "bytes_per_frame", (double)s->t.total / (double)s->t.frames);
	put_bool(b->out, "whole", !s->wrong && s->t.lost == 0);
	put_usage(b, b->out);
}

static double press_key(struct session *s)
{
	uint64_t before = s->heard;
	double start = now_us();

	session_say(s, "x");
	while (s->heard == before) {
		errno = 0;
		if (term_step(&s->t, WAIT_BLOCK, STEP_BYTES) == 0)
			die("the terminal closed with %u in the middle", s->t.close_code);
	}
	return now_us() - start;
}

static void echo(struct bench *b)
{
	struct session *s = sessions_new(1);
	struct http h = { 0 };
	struct flooders f;
	double *us = calloc(b->keys, sizeof(*us));

	if (us == NULL)
		die("memory");
	if (b->floods > 0)
		flooders_start(&f, &b->peer, b->floods);
	session_open(s, &b->peer, &h);
	session_command(s, 0, "echo\n");
	for (int i = 0; i < 50; i++)
		(void)press_key(s);
	for (size_t i = 0; i < b->keys; i++) {
		us[i] = press_key(s);
		if (b->gap_us > 0)
			pause_ms(b->gap_us / 1e3);
	}
	put_percentiles(b->out, "", "us", us, b->keys);
	if (b->floods > 0)
		put_real(b->out, "floods_mib_per_s", flooders_stop(&f));
}

/* Sessions opened in steps, each step's rate and the server's memory after it; then all of them at rest. */
static void sessions(struct bench *b)
{
	size_t have = 0, last = b->step[b->steps - 1];
	struct session *s = sessions_new(last);
	double *ms = calloc(last, sizeof(*ms));
	json_t *steps = json_array();
	struct cpu cpu;

	if (ms == NULL)
		die("memory");
	for (size_t i = 0; i < b->steps; i++) {
		size_t n = b->step[i] - have;
		json_t *o = json_object();
		double seconds;

		cpu = cpu_begin(b);
		seconds = sessions_open(s + have, n, &b->peer, OPEN_NEW);
		put_real(o, "cpu_ms_per_open", cpu_end(b, &cpu, o, "") / (double)n);
		for (size_t k = 0; k < n; k++)
			ms[k] = s[have + k].open_ms;
		have = b->step[i];
		put_int(o, "sessions", have);
		put_real(o, "per_s", (double)n / seconds);
		put_percentiles(o, "open_", "ms", ms, n);
		(void)sessions_serve(s, have, 300, -1);
		put_usage(b, o);
		(void)json_array_append_new(steps, o);
	}
	(void)json_object_set_new(b->out, "steps", steps);
	cpu = cpu_begin(b);
	double rest_ms = sessions_serve(s, have, b->ms, -1) * 1e3;
	put_real(b->out, "rest_cpu_percent", 100 * cpu_end(b, &cpu, b->out, "rest_") / rest_ms);

	if (b->peer.dialect == DIALECT_TTYD)
		return;
	/* Half of the pages are reloaded. */
	size_t half = have / 2;

	for (size_t i = half; i < have; i++)
		term_drop(&s[i].t);
	pause_ms(300);
	put_real(b->out, "attach_per_s", (double)(have - half) / sessions_open(s + half, have - half, &b->peer, OPEN_ATTACH));
}

static void tail(struct bench *b)
{
	struct session *s = sessions_new(b->count);
	uint64_t most_lost = 0;
	size_t whole = 0, with_code = 0;

	(void)sessions_open(s, b->count, &b->peer, OPEN_NEW);
	for (size_t i = 0; i < b->count; i++)
		session_command(&s[i], b->bytes, "exit %llu 7\n", (unsigned long long)b->bytes);
	(void)sessions_serve(s, b->count, 10e3, -1);
	for (size_t i = 0; i < b->count; i++) {
		uint64_t lost = b->bytes - s[i].at;

		whole += lost == 0 && !s[i].wrong && s[i].t.closed;
		with_code += s[i].t.exited && s[i].t.exit_code == 7;
		most_lost = lost > most_lost ? lost : most_lost;
	}
	put_int(b->out, "whole", whole);
	put_int(b->out, "of", b->count);
	put_int(b->out, "exit_code_told", with_code);
	put_int(b->out, "most_lost_bytes", most_lost);
}

/* What a server allocates once, for whoever comes first, is not the stalled reader's. */
static void warm_up(const struct bench *b, struct http *h)
{
	struct session *s = sessions_new(1);

	session_open(s, &b->peer, h);
	session_command(s, 8 * MIB, "data %u\n", 8 * MIB);
	await_ready(s);
	term_drop(&s->t);
	free(s);
	pause_ms(300);
}

/* The reader stops for --ms while the child floods; then it reads on and presses Ctrl-C. */
static void stall(struct bench *b)
{
	struct session *s = sessions_new(1);
	struct http h = { 0 };
	struct cpu cpu;
	int64_t before, peak = 0;
	double start;

	warm_up(b, &h);
	session_open(s, &b->peer, &h);
	before = memory_kib(b);
	s->awaits_stop = true;
	session_command(s, FLOOD_WITHOUT_END, "flood\n");
	(void)sessions_serve(s, 1, 300, -1);
	cpu = cpu_begin(b);
	start = now_us();
	while (now_us() - start < b->ms * 1e3) {
		int64_t kib = memory_kib(b);

		peak = kib > peak ? kib : peak;
		pause_ms(200);
	}
	put_real(b->out, "stalled_cpu_ms", cpu_end(b, &cpu, b->out, "stalled_"));
	put_int(b->out, "growth_kib", peak > before ? (uint64_t)(peak - before) : 0);

	uint64_t seen = s->at;

	start = now_us();
	session_say(s, (const char[]){ CHILD_CTRL_C, '\0' });
	while (!s->stopped && term_step(&s->t, WAIT_BLOCK, STEP_BYTES) > 0)
		;
	put_bool(b->out, "alive", s->stopped);
	put_real(b->out, "ctrl_c_ms", (now_us() - start) / 1e3);
	put_real(b->out, "old_kib", (double)(s->at - seen) / 1024);
	put_bool(b->out, "whole", !s->wrong && s->t.lost == 0);
}

/* A line of --mib-per-s: what the kernel has not been asked for stays in its buffers, as on a slow link. */
static void slow(struct bench *b)
{
	struct session *s = sessions_new(1);
	struct http h = { 0 };
	double start, rate = b->mib_per_s * MIB;

	session_open(s, &b->peer, &h);
	s->t.pace = PACE_STOCK;
	start = now_us();
	session_command(s, b->bytes, "data %llu\n", (unsigned long long)b->bytes);
	while (!s->ready && !s->t.closed) {
		double due_us = (double)s->t.total / rate * 1e6;

		if (term_step(&s->t, WAIT_NOT, 16384) == 0 || now_us() - start < due_us)
			pause_ms(1);
		if (now_us() - start > 3e6 * (double)b->bytes / rate)
			break; /* what is still missing then never comes */
	}
	put_real(b->out, "seconds", (now_us() - start) / 1e6);
	put_int(b->out, "lost_bytes", b->bytes - s->at);
	put_bool(b->out, "whole", s->at == b->bytes && !s->wrong);
}

/* The client says that it has had enough and goes on reading the socket: how much still comes? */
static void hold(struct bench *b)
{
	struct session *s = sessions_new(1);
	struct http h = { 0 };
	uint64_t from;

	session_open(s, &b->peer, &h);
	session_command(s, FLOOD_WITHOUT_END, "flood\n");
	(void)sessions_serve(s, 1, 300, -1);
	if (b->peer.dialect == DIALECT_TTYD)
		term_raw(&s->t, "2", 1);
	s->t.pace = PACE_HOLD;
	from = s->t.credited;
	if (b->peer.dialect == DIALECT_TTYD)
		from = s->t.offset;
	(void)sessions_serve(s, 1, b->ms, -1);
	put_real(b->out, "after_kib", (double)(s->t.offset - from) / 1024);
	from = s->t.offset;
	(void)sessions_serve(s, 1, 1000, -1);
	put_real(b->out, "after_last_second_kib", (double)(s->t.offset - from) / 1024);
	put_bool(b->out, "whole", !s->wrong && s->t.lost == 0);
}

static void fair(struct bench *b)
{
	struct session *s = sessions_new(b->count);
	double sum = 0, squares = 0, least = INFINITY, most = 0, seconds;
	struct cpu cpu;

	(void)sessions_open(s, b->count, &b->peer, OPEN_NEW);
	for (size_t i = 0; i < b->count; i++)
		session_command(&s[i], FLOOD_WITHOUT_END, "flood\n");
	(void)sessions_serve(s, b->count, 500, -1);
	for (size_t i = 0; i < b->count; i++)
		s[i].t.total = 0;
	cpu = cpu_begin(b);
	seconds = sessions_serve(s, b->count, b->ms, -1);
	double cpu_ms = cpu_end(b, &cpu, b->out, "");

	for (size_t i = 0; i < b->count; i++) {
		double x = (double)s[i].t.total;

		sum += x;
		squares += x * x;
		least = x < least ? x : least;
		most = x > most ? x : most;
	}
	put_real(b->out, "jain", sum * sum / ((double)b->count * squares));
	put_real(b->out, "mib_per_s", sum / MIB / seconds);
	put_real(b->out, "cpu_ms_per_mib", cpu_ms / (sum / MIB));
	put_real(b->out, "least_kib", least / 1024);
	put_real(b->out, "most_kib", most / 1024);
	put_usage(b, b->out);
}

static uint64_t random_below(uint64_t n)
{
	uint64_t v;

	if (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
		die("random");
	return v % n;
}

/* The socket is torn down again and again in the middle of a long output. */
static void resume(struct bench *b)
{
	struct session *s = sessions_new(1);
	struct http h = { 0 };
	size_t drops = 0;
	double start;

	session_open(s, &b->peer, &h);
	start = now_us();
	session_command(s, b->bytes, "data %llu\n", (unsigned long long)b->bytes);
	while (!s->ready) {
		uint64_t until = s->t.total + 1 + random_below(2 * b->bytes / b->drops);

		while (!s->ready && s->t.total < until) {
			errno = 0;
			if (term_step(&s->t, WAIT_BLOCK, STEP_BYTES) == 0)
				die("the terminal closed with %u in the middle", s->t.close_code);
		}
		if (s->ready)
			break;
		term_drop(&s->t);
		drops++;
		session_resume(s, &b->peer, &h);
	}
	put_int(b->out, "drops", drops);
	put_int(b->out, "lost_bytes", s->t.lost);
	put_int(b->out, "repeated_bytes", s->t.repeated);
	put_bool(b->out, "whole", s->at == b->bytes && !s->wrong);
	put_real(b->out, "mib_per_s", (double)b->bytes / MIB / ((now_us() - start) / 1e6));
}

/* --count attached terminals, --per-stream of them at one stream: what they cost while nothing happens. */
static void rest(struct bench *b)
{
	size_t streams = b->count / b->per_stream;
	struct session *s = sessions_new(b->count);
	struct cpu cpu;
	double ms, agents_ms;

	(void)sessions_open(s, streams, &b->peer, OPEN_NEW);
	for (size_t i = streams; i < b->count; i++) {
		memcpy(s[i].t.stream, s[i % streams].t.stream, STREAM_TEXT);
		s[i].t.viewer = true;
	}
	(void)sessions_open(s + streams, b->count - streams, &b->peer, OPEN_ATTACH);
	(void)sessions_serve(s, b->count, 1000, -1);
	cpu = cpu_begin(b);
	agents_ms = agents_cpu_ms(b);
	ms = sessions_serve(s, b->count, b->ms, -1) * 1e3;
	put_real(b->out, "rest_cpu_percent", 100 * cpu_end(b, &cpu, b->out, "rest_") / ms);
	if (b->peer.shell != NULL)
		put_real(b->out, "agents_rest_cpu_percent", 100 * (agents_cpu_ms(b) - agents_ms) / ms);
	put_int(b->out, "attached", b->count);
	put_int(b->out, "streams", streams);
	put_usage(b, b->out);
	for (size_t i = 0; i < b->count; i++) {
		errno = 0;
		if (s[i].t.closed)
			die("an idle terminal was closed with %u", s[i].t.close_code);
	}
}

/* --- a real machine ---------------------------------------------------------------------------------------------------- */

#define READY_MARK "\033]7717;ready\007"

struct boot {
	struct term t;
	char text[4096]; /* the last bytes, for the marker may be cut */
	size_t len;
	bool marked, prompt;
};

static void boot_output(struct term *t, const uint8_t *data, size_t len)
{
	struct boot *boot = t->arg;
	const char *mark;

	for (size_t i = 0; i < len; i++) {
		if (boot->len == sizeof(boot->text) - 1) {
			memmove(boot->text, boot->text + 2048, boot->len - 2048);
			boot->len -= 2048;
		}
		boot->text[boot->len++] = data[i] == 0 ? ' ' : (char)data[i];
	}
	boot->text[boot->len] = '\0';
	mark = strstr(boot->text, READY_MARK);
	boot->marked = boot->marked || mark != NULL;
	boot->prompt = mark != NULL && (strstr(mark, "# ") != NULL || strstr(mark, "$ ") != NULL);
}

/* From the click to the prompt: POST of the machine, ticket, socket, the guest's boot, its shell. */
static void boot(struct bench *b)
{
	static const struct term_hooks boot_hooks = { .on_output = boot_output };
	struct boot *boot = calloc(1, sizeof(*boot));
	struct http h = { 0 };
	double start = now_us(), first = 0, marked = 0;

	if (boot == NULL)
		die("memory");
	session_create(&b->peer, &h, boot->t.stream);
	put_real(b->out, "created_ms", (now_us() - start) / 1e3);
	term_open(&boot->t, &b->peer, &h, &boot_hooks, boot);
	put_real(b->out, "attached_ms", (now_us() - start) / 1e3);
	while (!boot->prompt) {
		errno = 0;
		if (term_step(&boot->t, WAIT_BLOCK, STEP_BYTES) == 0)
			die("the terminal closed with %u before the prompt", boot->t.close_code);
		if (first <= 0 && boot->t.total > 0)
			first = now_us();
		if (marked <= 0 && boot->marked)
			marked = now_us();
	}
	put_real(b->out, "first_byte_ms", (first - start) / 1e3);
	put_real(b->out, "ready_ms", (marked - start) / 1e3);
	put_real(b->out, "prompt_ms", (now_us() - start) / 1e3);
}

/* --- command line ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	void (*run)(struct bench *);
} scenarios[] = {
	{ "throughput", throughput }, { "echo", echo }, { "sessions", sessions }, { "tail", tail }, { "stall", stall },
	{ "slow", slow }, { "hold", hold }, { "fair", fair }, { "resume", resume }, { "rest", rest }, { "boot", boot },
};

static void set_peer(struct bench *b, const char *v)
{
	b->peer.dialect = strcmp(v, "ttyd") == 0 ? DIALECT_TTYD : DIALECT_TERRARIUM;
}

static void set_port(struct bench *b, const char *v)
{
	b->peer.port = (uint16_t)strtoul(v, NULL, 10);
}

static void set_auth(struct bench *b, const char *v)
{
	FILE *f = fopen(v, "re");

	if (f == NULL || fgets(b->peer.cookie, sizeof(b->peer.cookie), f) == NULL)
		die("%s", v);
	b->peer.cookie[strcspn(b->peer.cookie, "\r\n")] = '\0';
	(void)fclose(f);
}

static void set_vm(struct bench *b, const char *v)
{
	b->peer.vm = v;
}

static void set_shell(struct bench *b, const char *v)
{
	b->peer.shell = v;
}

static void set_owner_key(struct bench *b, const char *v)
{
	static uint8_t key[SEAL_KEY_BYTES];
	FILE *f = fopen(v, "re");

	if (f == NULL || fread(key, 1, sizeof(key), f) != sizeof(key))
		die("%s", v);
	(void)fclose(f);
	b->peer.owner_key = key;
}

static void set_pid(struct bench *b, const char *v)
{
	struct process *p = &b->process[b->processes];
	const char *colon = strchr(v, ':');

	errno = 0;
	if (colon == NULL || (size_t)(colon - v) >= sizeof(p->name) || b->processes == PIDS_MAX)
		die("--pid=NAME:PID");
	memcpy(p->name, v, (size_t)(colon - v));
	p->pid = (pid_t)strtol(colon + 1, NULL, 10);
	b->processes++;
}

static void set_steps(struct bench *b, const char *v)
{
	char *end = NULL;

	for (b->steps = 0; *v != '\0' && b->steps < STEPS_MAX; v = *end == ',' ? end + 1 : end)
		b->step[b->steps++] = strtoul(v, &end, 10);
}

#define NUMBER(field, type) \
	static void set_##field(struct bench *b, const char *v) \
	{ \
		b->field = (type)strtod(v, NULL); \
	}
NUMBER(bytes, uint64_t)
NUMBER(count, size_t)
NUMBER(keys, size_t)
NUMBER(floods, size_t)
NUMBER(drops, size_t)
NUMBER(per_stream, size_t)
NUMBER(ms, double)
NUMBER(gap_us, double)
NUMBER(mib_per_s, double)

static const struct {
	struct option option;
	void (*set)(struct bench *, const char *);
} options[] = {
	{ { "peer", required_argument, NULL, 0 }, set_peer },
	{ { "port", required_argument, NULL, 0 }, set_port },
	{ { "auth", required_argument, NULL, 0 }, set_auth },
	{ { "vm", required_argument, NULL, 0 }, set_vm },
	{ { "shell", required_argument, NULL, 0 }, set_shell },
	{ { "owner-key", required_argument, NULL, 0 }, set_owner_key },
	{ { "pid", required_argument, NULL, 0 }, set_pid },
	{ { "steps", required_argument, NULL, 0 }, set_steps },
	{ { "bytes", required_argument, NULL, 0 }, set_bytes },
	{ { "count", required_argument, NULL, 0 }, set_count },
	{ { "keys", required_argument, NULL, 0 }, set_keys },
	{ { "floods", required_argument, NULL, 0 }, set_floods },
	{ { "drops", required_argument, NULL, 0 }, set_drops },
	{ { "per-stream", required_argument, NULL, 0 }, set_per_stream },
	{ { "ms", required_argument, NULL, 0 }, set_ms },
	{ { "gap-us", required_argument, NULL, 0 }, set_gap_us },
	{ { "mib-per-s", required_argument, NULL, 0 }, set_mib_per_s },
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static void read_options(struct bench *b, int argc, char **argv)
{
	struct option table[OPTIONS + 1] = { 0 };
	int at;

	for (size_t i = 0; i < OPTIONS; i++)
		table[i] = options[i].option;
	while (getopt_long(argc, argv, "", table, &at) == 0)
		options[at].set(b, optarg);
	errno = 0;
	if (optind + 1 != argc)
		die("give one scenario");
}

int main(int argc, char **argv)
{
	struct bench b = { .count = 20, .keys = 2000, .drops = 100, .per_stream = 1, .bytes = 64ULL << 20, .ms = 3000,
			   .mib_per_s = 4, .steps = 1, .step = { 1 }, .peer.vm = "{\"network\":\"none\"}" };

	read_options(&b, argc, argv);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)alarm(DEADLINE_S);
	b.out = json_object();
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (strcmp(scenarios[i].name, argv[optind]) != 0)
			continue;
		scenarios[i].run(&b);
		(void)json_dumpf(b.out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		(void)putchar('\n');
		return 0;
	}
	errno = 0;
	die("there is no scenario %s", argv[optind]);
}
