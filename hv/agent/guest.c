/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terrarium-agent: the hand of terrariumd inside a guest.
 *
 * It trusts the host that owns the guest and does what it says, as the user it runs as, usually root. Nobody inside the guest can speak to it: its
 * transports are a port of the hypervisor, vsock from the host, a socket that it was given, or for tests a unix socket of mode 0600. It never opens
 * a network connection.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "base/log.h"
#include "hv/agent/enter.h"
#include "hv/agent/guest.h"
#include "hv/agent/report.h"
#include "hv/agent/sealed.h"

#define SYS_PORTS  "/sys/class/virtio-ports"
#define SEEK_MIN_S 0.01
#define SEEK_MAX_S 1.0

/** struct seeker - looks for the port until it is there */
struct seeker {
	struct guest *g; /* borrowed */
	ev_timer again;
	bool listens;
};

struct options {
	const char *port, *unix_path, *root, *sealed_terminal;
	char *const *command;
	const char *service_log;
	unsigned vsock_port;
	int fd;
	bool is_vsock, sealed, enter;
};

static void usage(FILE *to)
{
	(void)fprintf(to, "usage: terrarium-agent [--port=FILE | --vsock[=PORT] | --unix=PATH] [--root=DIR] [--sealed]\n"
			  "       terrarium-agent --fd=N [--root=DIR] -- COMMAND...\n"
			  "  --port=FILE   a virtio-serial port; without any of these three, the one named " AGENT_PORT_NAME "\n"
			  "                as soon as it is there, and vsock\n"
			  "  --vsock=PORT  listen for the host on AF_VSOCK (default port %u)\n"
			  "  --unix=PATH   listen on a unix socket, mode 0600\n"
			  "  --fd=N        a socket that is open already; COMMAND runs on this terminal, and the agent ends with it\n"
			  "  --root=DIR    the files it may touch (default /)\n"
			  "  --sealed      believe no host: start nothing for it but sealed terminals, show it no files\n"
			  "       terrarium-agent --sealed-terminal=MACHINE [-- COMMAND...]\n"
			  "                such a terminal, on standard input and output\n"
			  "       terrarium-agent --enter [-- COMMAND...]\n"
			  "                a command or a login shell, as an imported image says\n"
			  "       terrarium-agent --service=LOG\n"
			  "                the image's own program, kept running\n",
		      AGENT_VSOCK_PORT);
}

static bool parse_number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	*out = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && *out <= max;
}

static bool parse_one(struct options *o, const char *arg)
{
	unsigned long n;

	if (strncmp(arg, "--port=", 7) == 0)
		o->port = arg + 7;
	else if (strncmp(arg, "--unix=", 7) == 0)
		o->unix_path = arg + 7;
	else if (strncmp(arg, "--root=", 7) == 0)
		o->root = arg + 7;
	else if (strncmp(arg, "--sealed-terminal=", 18) == 0)
		o->sealed_terminal = arg + 18;
	else if (strncmp(arg, "--service=", 10) == 0)
		o->service_log = arg + 10;
	else if (strcmp(arg, "--enter") == 0)
		o->enter = true;
	else if (strcmp(arg, "--sealed") == 0)
		o->sealed = true;
	else if (strcmp(arg, "--vsock") == 0)
		o->is_vsock = true;
	else if (strncmp(arg, "--vsock=", 8) == 0 && parse_number(arg + 8, UINT_MAX - 1, &n) && n > 0) {
		o->is_vsock = true;
		o->vsock_port = (unsigned)n;
	} else if (strncmp(arg, "--fd=", 5) == 0 && parse_number(arg + 5, INT_MAX, &n) && n > STDERR_FILENO)
		o->fd = (int)n;
	else
		return false;
	return true;
}

static bool parse(struct options *o, int argc, char **argv)
{
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (!parse_one(o, argv[i]))
			return false;
	}
	if (i + 1 < argc)
		o->command = argv + i + 1;
	return o->sealed_terminal || o->enter || (o->fd >= 0) == (o->command != NULL);
}

static int listen_vsock(unsigned port)
{
	const struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_ANY };
	_close_ int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4) < 0)
		return -errno;
	return fd_take(&fd);
}

static int open_port(const char *path)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

/* Where no udev makes /dev/virtio-ports, the kernel knows the name. @port: "vport1p1" */
static bool is_ours(const char *port)
{
	char path[128], name[64] = "";

	if (port[0] == '.' || snprintf(path, sizeof(path), SYS_PORTS "/%s/name", port) >= (int)sizeof(path))
		return false;
	return fd_read_file(AT_FDCWD, path, name, sizeof(name)) > 0 && strcmp(name, AGENT_PORT_NAME "\n") == 0;
}

static int find_port(void)
{
	DIR *dir = opendir(SYS_PORTS);
	struct dirent *d;
	char path[300];
	int fd = -ENOENT;

	while (dir && fd == -ENOENT && (d = readdir(dir))) { /* NOLINT(concurrency-mt-unsafe) */
		(void)snprintf(path, sizeof(path), "/dev/%s", d->d_name);
		if (is_ours(d->d_name))
			fd = open_port(path);
	}
	if (dir)
		(void)closedir(dir);
	return fd;
}

static int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	(void)unlink(path);
	(void)umask(0177);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4) < 0)
		return -errno;
	(void)umask(022);
	return fd_take(&fd);
}

/* Which way leads to the host is found out, and while the guest starts neither may be there yet. */
static void seek(struct ev_loop *ev, ev_timer *w, int events)
{
	struct seeker *s = w->data;
	int port = find_port();

	(void)events;
	/* Where no driver of vsock is loaded, asking for it would make the kernel look for one, each time. */
	if (!s->listens && access("/dev/vsock", F_OK) == 0) {
		int fd = listen_vsock(AGENT_VSOCK_PORT);

		s->listens = fd >= 0;
		if (fd >= 0)
			guest_listen(s->g, fd);
	}
	if (port >= 0) {
		guest_use(s->g, port, true);
		ev_timer_stop(ev, w);
		return;
	}
	w->repeat = w->repeat < SEEK_MAX_S ? w->repeat * 1.5 : SEEK_MAX_S;
	ev_timer_again(ev, w);
}

static int open_transport(struct guest *g, const struct options *o, struct seeker *s)
{
	int fd;

	if (o->fd >= 0) {
		/* Its other end is kept while gateways come and go. */
		guest_use(g, o->fd, true);
		return console_start(g, o->command);
	}
	if (o->is_vsock || o->unix_path) {
		fd = o->is_vsock ? listen_vsock(o->vsock_port) : listen_unix(o->unix_path);
		if (fd >= 0)
			guest_listen(g, fd);
	} else if (o->port) {
		fd = open_port(o->port);
		if (fd >= 0)
			guest_use(g, fd, true);
	} else {
		ev_timer_init(&s->again, seek, 0., SEEK_MIN_S);
		s->again.data = s;
		ev_timer_start(g->loop->ev, &s->again);
		fd = 0;
	}
	return fd < 0 ? fd : 0;
}

static int take_report(void *arg, const uint8_t data[REPORT_DATA_BYTES], struct buf *out)
{
	const struct report_source source = report_source_default();
	struct buf certs = BUF_INIT(REPORT_CERTS_MAX); /* the gateway has them, too */
	int r = report_take(&source, data, out, &certs);

	(void)arg;
	buf_finish(&certs);
	return r;
}

static int sealed_terminal(const struct options *o)
{
	static char *const shell[] = { NULL };

	return sealed_run(&(struct sealed_options){ .vm = o->sealed_terminal, .argv = o->command ? o->command : shell, .report = take_report });
}

int main(int argc, char **argv)
{
	static struct guest g; /* its buffers are too large for a small stack */
	struct options o = { .root = "/", .vsock_port = AGENT_VSOCK_PORT, .fd = -1 };
	struct seeker seeker = { .g = &g };
	struct loop loop;
	int r;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return 0;
	}
	if (!parse(&o, argc, argv)) {
		usage(stderr);
		return 2;
	}
	if (o.enter)
		return enter_run(o.command);
	if (o.service_log)
		return enter_service(o.service_log);
	/* Its standard error is somebody's screen. */
	(void)log_open("terrarium-agent", o.command ? "error" : "info");
	if (o.sealed_terminal)
		return sealed_terminal(&o);
	r = loop_init(&loop);
	if (r == 0)
		r = guest_init(&g, &loop, o.root);
	g.sealed = o.sealed;
	if (r == 0 && !o.command) {
		rebirth_hold(&g.held);
		if (g.held.fifo >= 0)
			secret_prepare(g.root_fd);
	}
	if (r == 0)
		r = open_transport(&g, &o, &seeker);
	if (r < 0) {
		log_err("cannot start: %s", strerror(-r));
		return 1;
	}
	loop_run(&loop);
	guest_finish(&g);
	return o.command ? console_end(&g) : 0;
}
