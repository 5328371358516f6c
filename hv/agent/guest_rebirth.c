/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a clone of another guest must not have in common with it, beside what every guest is told (guest_identity.c): its hardware address, and its
 * name where files have it. And its console's shell, which has waited in /etc/profile since before the guest was
 * cloned, goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "hv/agent/guest.h"

#define HELD_FIFO    "/run/held"
#define CONSOLE_FILE "/run/console"

static int write_file(const char *path, const char *text)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

static void console_size(uint16_t cols, uint16_t rows)
{
	struct winsize size = { .ws_col = cols, .ws_row = rows };
	char name[32] = "/dev/", *end;
	_close_ int fd = -1;

	if (cols == 0 || rows == 0 || fd_read_file(AT_FDCWD, CONSOLE_FILE, name + strlen(name), sizeof(name) - strlen(name)) <= 0)
		return;
	end = strchr(name, '\n');
	if (end)
		*end = '\0';
	fd = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		(void)ioctl(fd, TIOCSWINSZ, &size);
}

/*
 * Whoever waits at the FIFO, or is on the way into it, gets a line; who has not looked for it yet finds none. That its window has another size
 * interrupts the shell's open(), which then begins anew: so it may come after us, and the FIFO stays open for as long as this process lives.
 */
static void release(void)
{
	int fd = open(HELD_FIFO, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)fd_write_all(fd, "\n", 1);
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

void rebirth_release(const struct agent_rebirth *r)
{
	console_size(r->cols, r->rows);
	if (r->release)
		release();
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
