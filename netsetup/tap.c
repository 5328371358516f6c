/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/err.h"
#include "base/fd.h"

#define TUN_PATH "/dev/net/tun"

static int open_tun(struct err *e)
{
	int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(e, -errno, "cannot open " TUN_PATH ": %s%s", strerror(errno),
			       errno == EACCES	 ? "; it is usually mode 0666"
			       : errno == ENOENT ? "; is the tun module loaded?"
						 : "");
	return fd;
}

int tap_available(struct err *e)
{
	int fd = open_tun(e);

	if (fd < 0)
		return fd;
	(void)fd_close(fd);
	return 0;
}

int tap_open(const char *name, struct err *e)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	_close_ int fd = open_tun(e);

	if (fd < 0)
		return fd;
	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &req) < 0)
		return err_set(e, -errno, "cannot create TAP %s: %s", name, strerror(errno));
	return fd_take(&fd);
}
