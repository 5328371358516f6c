/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a clone of another guest must not have in common with it, beside what every guest is told (guest_identity.c): its hardware address, and its
 * name where files have it. And its console's shell, which has waited at its prompt (/etc/profile) since before the guest was cloned, goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define HELD_FIFO    "/run/held"
#define CONSOLE_FILE "/run/console"
#define SEED_MASK    0x7fffffffU /* of a shell's $RANDOM */

static int write_file(const char *path, const char *text)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

static int open_console(void)
{
	char name[32] = "/dev/", *end;

	if (fd_read_file(AT_FDCWD, CONSOLE_FILE, name + strlen(name), sizeof(name) - strlen(name)) <= 0)
		return -1;
	end = strchr(name, '\n');
	if (end)
		*end = '\0';
	return open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

void rebirth_hold(struct guest_held *h)
{
	static const struct sched_param none;

	h->fifo = open(HELD_FIFO, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (h->fifo < 0)
		return;
	h->tty = open_console();
	h->random = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	(void)sched_setscheduler(0, SCHED_IDLE, &none);
}

void rebirth_drop(struct guest_held *h)
{
	static const struct sched_param none;

	if (h->fifo < 0)
		return;
	h->fifo = fd_close(h->fifo);
	h->tty = fd_close(h->tty);
	h->random = fd_close(h->random);
	(void)sched_setscheduler(0, SCHED_OTHER, &none);
}

/*
 * A line for the shell that waits, or is on the way to it: its name, and a seed that no other clone has; without a name, the wish to rehearse.
 * What is written waits, for the FIFO is open here.
 */
void rebirth_release(struct guest_held *h, const struct agent_rebirth *r)
{
	const struct winsize size = { .ws_col = r->cols, .ws_row = r->rows };
	char name[HOST_NAME_MAX + 1] = "", line[HOST_NAME_MAX + 32] = "\n";
	uint32_t seed = 0;

	if (h->fifo < 0)
		return;
	if (h->tty >= 0 && r->cols > 0 && r->rows > 0)
		(void)ioctl(h->tty, TIOCSWINSZ, &size);
	if (r->release && gethostname(name, sizeof(name) - 1) == 0 && getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed))
		(void)snprintf(line, sizeof(line), "%s %u\n", name[0] ? name : "localhost", (unsigned)(seed & SEED_MASK));
	(void)fd_write_all(h->fifo, line, strlen(line));
	if (r->release)
		(void)unlink(HELD_FIFO);
}

int rebirth_apply(const struct agent_rebirth *r)
{
	static const uint8_t none[6];

	/* To give an interface an address it has to be taken down: what has it already, as where all have the same, stays up. */
	if (memcmp(r->mac, none, sizeof(none)) == 0 || mac_is(r->interface, r->mac))
		return 0;
	return mac_apply(r->interface, r->mac);
}

/* As /etc/rc has it for a guest that is told by its command line. */
int rebirth_name(const char *hostname, const char *address)
{
	char text[256];
	int r;

	(void)snprintf(text, sizeof(text), "%s\n", hostname);
	r = write_file("/etc/hostname", text);
	(void)snprintf(text, sizeof(text), "127.0.0.1\tlocalhost\n::1\tlocalhost\n%s\t%s\n", address, hostname);
	return r < 0 ? r : write_file("/etc/hosts", text);
}
