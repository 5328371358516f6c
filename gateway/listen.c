/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/metrics.h"
#include "gateway/settings.h"
#include "gateway/tls.h"

#define BACKLOG		 1024
#define ACCEPTS_PER_TURN 64
#define PAUSE_S		 0.25 /* rest after EMFILE: long enough for something to close, short enough not to be noticed */
#define FIRST_PASSED_FD	 3    /* SD_LISTEN_FDS_START */
#define BUCKETS		 1024
#define SOURCES_MAX	 (LISTEN_MAX + 1) /* and the control socket */

/*
 * What a terminal's socket may hold in the kernel. Small, for whatever lies there is old output that Ctrl-C cannot call back; large enough
 * for one line's bandwidth-delay product (a 20 ms line of 50 Mbit/s holds 128 KiB).
 */
#define SEND_BUFFER_BYTES (128 * 1024)
#define NOTSENT_BYTES	  (64 * 1024)
#define USER_TIMEOUT_MS	  120000 /* unacknowledged for so long: the other end is gone, even while its reading rests */

struct source {
	ev_io io;
	struct listeners *l; /* borrowed */
	int fd;		     /* owned */
	bool control;
};

struct count {
	struct count *next;
	uint8_t key[16];
	uint32_t open;
};

struct listeners {
	struct loop *loop;		 /* borrowed */
	const struct settings *settings; /* borrowed */
	struct metrics *metrics;	 /* borrowed */
	struct tls *tls;		 /* owned; NULL without */
	struct source sources[SOURCES_MAX];
	size_t source_count;
	ev_timer pause;
	bool (*on_accept)(void *arg, int fd, const struct peer *p);
	void *arg;
	struct count *buckets[BUCKETS]; /* owned */
};

/* --- counting --- */

static struct count **find_count(struct listeners *l, const uint8_t key[16])
{
	uint32_t hash = 2166136261u;
	struct count **p;

	for (int i = 0; i < 16; i++)
		hash = (hash ^ key[i]) * 16777619u;
	for (p = &l->buckets[hash % BUCKETS]; *p; p = &(*p)->next)
		if (memcmp((*p)->key, key, 16) == 0)
			break;
	return p;
}

/* One more of this address. Return: 0, -EUSERS at its limit, -ENOMEM. */
static int count_in(struct listeners *l, const struct peer *p)
{
	struct count **at = find_count(l, p->key);

	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return -ENOMEM;
		memcpy((*at)->key, p->key, sizeof(p->key));
	}
	if ((*at)->open >= (uint32_t)l->settings->connections_per_address)
		return -EUSERS;
	(*at)->open++;
	return 0;
}

static void count_out(struct listeners *l, const struct peer *p)
{
	struct count **at = find_count(l, p->key), *c = *at;

	if (!c || --c->open > 0)
		return;
	*at = c->next;
	free(c);
}

void listeners_closed(struct listeners *l, const struct peer *p)
{
	count_out(l, p);
	l->metrics->connections--;
}

/* --- accepting --- */

/* A word instead of a bare reset; if it does not fit the socket, so be it. */
static void turn_away(int fd, const char *status)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: 0\r\nRetry-After: 5\r\nCache-Control: no-store\r\n"
					     "Connection: close\r\n\r\n", status);

	(void)send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)fd_close(fd);
}

static void admit(struct listeners *l, int fd, const struct sockaddr_storage *addr, bool control)
{
	struct peer p;
	int r;

	peer_of(addr, &p);
	p.control = control;
	if (l->metrics->connections >= (uint64_t)l->settings->max_connections) {
		l->metrics->refused_full++;
		turn_away(fd, "503 Service Unavailable");
		return;
	}
	r = count_in(l, &p);
	if (r == 0 && l->tls && !control) {
		fd = tls_wrap(l->tls, fd);
		if (fd < 0) {
			count_out(l, &p);
			l->metrics->refused_full++;
			return;
		}
	}
	if (r < 0) {
		l->metrics->refused_address++;
		turn_away(fd, r == -EUSERS ? "429 Too Many Requests" : "503 Service Unavailable");
		return;
	}
	l->metrics->connections++;
	l->metrics->accepted++;
	if (!l->on_accept(l->arg, fd, &p))
		listeners_closed(l, &p);
}

/* Root, or whoever we are: the one could do as it likes anyway, the other is us. */
static bool may_control(int fd)
{
	uid_t uid;

	return ipc_peer_uid(fd, &uid) == 0 && (uid == 0 || uid == geteuid());
}

static void watch(struct listeners *l, bool on)
{
	for (size_t i = 0; i < l->source_count; i++) {
		if (on)
			ev_io_start(l->loop->ev, &l->sources[i].io);
		else
			ev_io_stop(l->loop->ev, &l->sources[i].io);
	}
}

static void on_pause_over(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)events;
	watch(w->data, true);
}

/* Without a free descriptor the waiting connection would wake us for ever. */
static void pause_accepting(struct listeners *l, int error)
{
	log_warn("cannot accept connections: %s; resting for %d ms", strerror(error), (int)(PAUSE_S * 1000));
	l->metrics->accept_pauses++;
	watch(l, false);
	ev_timer_set(&l->pause, PAUSE_S, 0.);
	ev_timer_start(l->loop->ev, &l->pause);
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
	const struct source *src = w->data;

	(void)ev;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage addr = { 0 };
		socklen_t len = sizeof(addr);
		int fd = accept4(src->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			if (src->control && !may_control(fd))
				turn_away(fd, "403 Forbidden");
			else
				admit(src->l, fd, &addr, src->control);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(src->l, errno);
			return;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		/* ECONNABORTED and the like concern that connection only (accept(2)). */
	}
}

/* --- sockets --- */

/* Set on the listening socket: Linux hands them down to every accepted one. */
static void set_options(int fd, bool tcp)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES }, { SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_NODELAY, 1 },	      { IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 60 },	      { IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if ((tcp || options[i].level == SOL_SOCKET) &&
		    setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int)) < 0)
			log_warn("socket option %d: %s", options[i].name, strerror(errno));
}

static void add_source(struct listeners *l, int fd, bool tcp)
{
	struct source *src = &l->sources[l->source_count++];

	src->l = l;
	src->fd = fd;
	set_options(fd, tcp);
	ev_io_init(&src->io, on_readable, fd, EV_READ);
	src->io.data = src;
}

static int bind_one(const struct listen_address *a)
{
	int on = 1, r;
	_close_ int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (a->addr.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	r = bind(fd, (const struct sockaddr *)&a->addr, a->len);
	if (r < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return fd_take(&fd);
}

/* A host without IPv6 is no reason to stay down when another address works. */
static bool is_missing_ip6(const struct listen_address *a, int r)
{
	return a->addr.ss_family == AF_INET6 && (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT);
}

static int bind_all(struct listeners *l, struct err *e)
{
	const struct settings *s = l->settings;

	for (size_t i = 0; i < s->address_count; i++) {
		const struct listen_address *a = &s->addresses[i];
		int fd = bind_one(a);

		if (fd >= 0)
			add_source(l, fd, true);
		else if (is_missing_ip6(a, fd) && s->address_count > 1)
			log_info("not listening on %s: this host has no IPv6", a->text);
		else if (fd == -EADDRINUSE)
			return err_set(e, fd, "cannot listen on %s: another program has the port; end it, or choose another with "
					      "--listen=127.0.0.1:PORT", a->text);
		else
			return err_set(e, fd, "cannot listen on %s: %s", a->text, strerror(-fd));
	}
	return l->source_count > 0 ? 0 : err_set(e, -EADDRNOTAVAIL, "no address to listen on is there");
}

/* sd_listen_fds(3) is two environment variables. Return: how many sockets were handed over. */
static int passed_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	long n = 0;

	if (pid && fds && strtol(pid, NULL, 10) == (long)getpid())
		n = strtol(fds, NULL, 10);
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return n > 0 && n < 1024 ? (int)n : 0;
}

static int take_passed(struct listeners *l, int n, struct err *e)
{
	if (n > LISTEN_MAX)
		return err_set(e, -E2BIG, "systemd hands over %d sockets, at most %d are taken", n, LISTEN_MAX);
	for (int fd = FIRST_PASSED_FD; fd < FIRST_PASSED_FD + n; fd++) {
		struct sockaddr_storage addr = { 0 };
		socklen_t len = sizeof(addr);
		struct peer p;

		if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0 || fd_nonblock(fd) < 0 || fd_cloexec(fd, 1) < 0)
			return err_set(e, -errno, "file descriptor %d from systemd is no socket: %s", fd, strerror(errno));
		peer_of(&addr, &p);
		if (settings_demo(l->settings) && !p.loopback)
			return err_set(e, -EPERM, "the demo identity works on loopback only; the socket from systemd is open to others");
		add_source(l, fd, addr.ss_family != AF_UNIX);
	}
	return 0;
}

/* The name of a dead socket is taken over, that of a live one is not. */
int listeners_add_control(struct listeners *l, struct err *e)
{
	const char *path = l->settings->control_socket;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_close_ int fd = -1;

	if (path[0] == '\0')
		return 0;
	if (strlen(path) >= sizeof(sa.sun_path) || l->source_count == SOURCES_MAX)
		return err_set(e, -ENAMETOOLONG, "control_socket: %s is too long a path", path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, -errno, "control_socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return err_set(e, -EADDRINUSE, "control_socket: another program serves %s", path);
	if (errno == ECONNREFUSED)
		(void)unlink(path);
	fd = fd_close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Who may is decided by uid at each connection; the mode is that of the umask, private. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(path, 0600) < 0 || listen(fd, BACKLOG) < 0)
		return err_set(e, -errno, "control_socket: cannot listen on %s: %s", path, strerror(errno));
	add_source(l, fd_take(&fd), false);
	l->sources[l->source_count - 1].control = true;
	return 0;
}

int listeners_create(struct listeners **out, struct loop *loop, const struct settings *s, struct metrics *m, struct err *e)
{
	struct listeners *l = calloc(1, sizeof(*l));
	int n, r;

	if (!l)
		return err_set(e, -ENOMEM, "no memory to listen");
	l->loop = loop;
	l->settings = s;
	l->metrics = m;
	ev_timer_init(&l->pause, on_pause_over, PAUSE_S, 0.);
	l->pause.data = l;
	n = passed_fds();
	r = s->tls_cert[0] ? tls_create(&l->tls, loop, s->tls_cert, s->tls_key, e) : 0;
	if (r == 0)
		r = n > 0 ? take_passed(l, n, e) : bind_all(l, e);
	if (r < 0) {
		(void)listeners_destroy(l);
		return r;
	}
	*out = l;
	return 0;
}

void listeners_start(struct listeners *l, bool (*on_accept)(void *arg, int fd, const struct peer *p), void *arg)
{
	l->on_accept = on_accept;
	l->arg = arg;
	watch(l, true);
}

void listeners_stop(struct listeners *l)
{
	watch(l, false);
	ev_timer_stop(l->loop->ev, &l->pause);
	for (size_t i = 0; i < l->source_count; i++)
		l->sources[i].fd = fd_close(l->sources[i].fd);
	l->source_count = 0;
}

struct listeners *listeners_destroy(struct listeners *l)
{
	if (!l)
		return NULL;
	listeners_stop(l);
	l->tls = tls_destroy(l->tls);
	for (size_t i = 0; i < BUCKETS; i++)
		while (l->buckets[i]) {
			struct count *c = l->buckets[i];

			l->buckets[i] = c->next;
			free(c);
		}
	free(l);
	return NULL;
}
