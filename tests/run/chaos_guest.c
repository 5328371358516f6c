// SPDX-License-Identifier: Apache-2.0
/*
 * The program in the guest for tests/run/chaos.mjs: writes numbered lines in bursts, answers what is typed, and tells at the end what it has written.
 *
 *	chaos_guest SEED KIB_PER_S
 *
 *	\2 PID PPID	first; all that follows until the end is summed
 *	D N HEX FILL	output, numbered from 1; HEX and FILL follow from SEED and N
 *	K LINE		a line that was typed, whatever was in it
 *	S COLS ROWS	the terminal has another size
 *	E N BYTES SHA256	after "q" was typed: how many D, and bytes from the \2 on up to here
 */
#include <errno.h>
#include <fcntl.h>
#include <mbedtls/md.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_BYTES 65536U
#define LINE_BYTES  256U
#define ENOUGH	    8192U /* no more is made up while so much waits to be written */

static volatile sig_atomic_t resized;

struct guest {
	uint32_t seed, chance, rate_kib_s;
	uint64_t lines, bytes;
	int64_t burst;	   /* bytes that are still to come now */
	uint64_t pause_to; /* the next burst, CLOCK_MONOTONIC ms */
	bool summed, quit;
	mbedtls_md_context_t sum;
	size_t queued, typed;
	char queue[QUEUE_BYTES], line[LINE_BYTES];
};

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The same in chaos.mjs. */
static uint32_t mix(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7feb352dU;
	x ^= x >> 15;
	x *= 0x846ca68bU;
	return x ^ x >> 16;
}

static uint32_t below(struct guest *g, uint32_t n)
{
	g->chance = mix(g->chance + 0x9e3779b9U);
	return g->chance % n;
}

static void put(struct guest *g, const char *text, size_t len)
{
	if (g->summed) {
		(void)mbedtls_md_update(&g->sum, (const unsigned char *)text, len);
		g->bytes += len;
	}
	memcpy(g->queue + g->queued, text, len);
	g->queued += len;
}

static void put_numbered(struct guest *g)
{
	char line[LINE_BYTES];
	uint32_t x = mix(g->seed + (uint32_t)++g->lines);
	size_t fill = (x >> 8) % 120;
	int n = snprintf(line, sizeof(line), "D %llu %x ", (unsigned long long)g->lines, x);

	memset(line + n, 'a' + (int)(x % 26), fill);
	line[(size_t)n + fill] = '\n';
	put(g, line, (size_t)n + fill + 1);
	g->burst -= (int64_t)((size_t)n + fill + 1);
}

static void put_end(struct guest *g)
{
	unsigned char sum[32];
	char text[LINE_BYTES];
	int n = snprintf(text, sizeof(text), "E %llu %llu ", (unsigned long long)g->lines, (unsigned long long)g->bytes);

	(void)mbedtls_md_finish(&g->sum, sum);
	g->summed = false;
	for (size_t i = 0; i < sizeof(sum); i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x", sum[i]);
	text[n++] = '\n';
	put(g, text, (size_t)n);
}

static void on_line(struct guest *g)
{
	char text[LINE_BYTES + 4];
	int n;

	if (g->typed == 1 && g->line[0] == 'q') {
		g->quit = true;
		put_end(g);
		return;
	}
	n = snprintf(text, sizeof(text), "K %.*s\n", (int)g->typed, g->line);
	put(g, text, (size_t)n);
}

/* What follows the q in the same bytes is for whoever has the terminal next, so one byte is read at a time. */
static void take_keys(struct guest *g)
{
	while (!g->quit && g->queued + 2 * (size_t)LINE_BYTES < QUEUE_BYTES) {
		char c;
		ssize_t n = read(STDIN_FILENO, &c, 1);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			_exit(1);
		if (n < 0)
			return;
		if (c == '\n' || g->typed + 1 == LINE_BYTES) {
			on_line(g);
			g->typed = 0;
		} else {
			g->line[g->typed++] = c;
		}
	}
}

static void tell_size(struct guest *g)
{
	struct winsize w;
	char text[64];

	resized = 0;
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &w) < 0)
		_exit(1);
	put(g, text, (size_t)snprintf(text, sizeof(text), "S %u %u\n", w.ws_col, w.ws_row));
}

/* Mostly little, sometimes a flood; on average the wished rate. */
static void next_burst(struct guest *g)
{
	uint32_t kib = below(g, 20) == 0 ? 256 + below(g, 512) : 1 + below(g, 32);

	g->burst = (int64_t)kib * 1024;
	g->pause_to = now_ms() + (uint64_t)kib * 1000 / g->rate_kib_s;
}

static void make_up(struct guest *g)
{
	if (g->burst <= 0 && now_ms() >= g->pause_to)
		next_burst(g);
	while (g->burst > 0 && g->queued < ENOUGH)
		put_numbered(g);
}

static void give(struct guest *g)
{
	ssize_t n = write(STDOUT_FILENO, g->queue, g->queued);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		_exit(1);
	if (n > 0) {
		g->queued -= (size_t)n;
		memmove(g->queue, g->queue + n, g->queued);
	}
}

static void serve(struct guest *g)
{
	while (!g->quit || g->queued > 0) {
		struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = STDOUT_FILENO } };
		uint64_t now = now_ms();

		if (resized)
			tell_size(g);
		if (!g->quit)
			make_up(g);
		p[0].fd = g->quit || g->queued + 2 * (size_t)LINE_BYTES >= QUEUE_BYTES ? -1 : STDIN_FILENO;
		p[1].events = g->queued > 0 ? POLLOUT : 0;
		if (poll(p, 2, g->burst <= 0 && g->pause_to > now ? (int)(g->pause_to - now) : g->queued > 0 ? 1000 : 0) < 0 && errno != EINTR)
			_exit(1);
		if (p[1].revents)
			give(g);
		if (p[0].revents)
			take_keys(g);
	}
}

static void on_winch(int sig)
{
	(void)sig;
	resized = 1;
}

static void set_blocking(bool on)
{
	int flags = fcntl(STDIN_FILENO, F_GETFL);

	(void)fcntl(STDIN_FILENO, F_SETFL, on ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
	flags = fcntl(STDOUT_FILENO, F_GETFL);
	(void)fcntl(STDOUT_FILENO, F_SETFL, on ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

int main(int argc, char **argv)
{
	static struct guest g;
	struct sigaction act = { .sa_handler = on_winch };
	struct termios before, raw;
	char text[64];

	if (argc != 3 || tcgetattr(STDIN_FILENO, &before) < 0)
		return 2;
	g.seed = g.chance = (uint32_t)strtoul(argv[1], NULL, 10);
	g.rate_kib_s = (uint32_t)strtoul(argv[2], NULL, 10);
	if (g.rate_kib_s == 0)
		return 2;
	mbedtls_md_init(&g.sum);
	if (mbedtls_md_setup(&g.sum, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 0) || mbedtls_md_starts(&g.sum))
		return 2;
	raw = before;
	cfmakeraw(&raw);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	(void)sigaction(SIGWINCH, &act, NULL);
	set_blocking(false);
	g.summed = true;
	put(&g, text, (size_t)snprintf(text, sizeof(text), "\2 %d %d\n", (int)getpid(), (int)getppid()));
	tell_size(&g);
	serve(&g);
	set_blocking(true);
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	mbedtls_md_free(&g.sum);
	return 0;
}
