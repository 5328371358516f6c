/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "hv/driver.h"

#define FIRST_CHILD_FD 3 /* netsetup/proto.h: numbered kinds count up from here */

/* A plan that has overflowed is marked by an impossible argc, so that one check at the end is enough. */
#define BROKEN ((size_t)-1)

static bool is_numbered(enum netd_fd_kind kind)
{
	return kind == NETD_FD_TAP || kind == NETD_FD_STREAM || kind == NETD_FD_LISTEN || kind == NETD_FD_DIR ||
	       kind == NETD_FD_FIFO;
}

bool plan_returns(enum netd_fd_kind kind)
{
	return kind != NETD_FD_TAP && kind != NETD_FD_DIR;
}

int plan_arg(struct spawn_plan *p, const char *fmt, ...)
{
	size_t room = sizeof(p->text) - p->text_len;
	va_list ap;
	int n;

	if (p->argc == BROKEN || p->argc >= SPAWN_ARGC_MAX)
		goto fail;
	va_start(ap, fmt);
	n = vsnprintf(p->text + p->text_len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		goto fail;
	p->argv[p->argc++] = p->text + p->text_len;
	p->text_len += (size_t)n + 1;
	return 0;
fail:
	p->argc = BROKEN;
	return -E2BIG;
}

int plan_want(struct spawn_plan *p, enum netd_fd_kind kind)
{
	int number = FIRST_CHILD_FD;

	if (p->nwant >= NETD_FDS_MAX || (p->nfile > 0 && is_numbered(kind))) {
		p->argc = BROKEN;
		return -E2BIG;
	}
	for (size_t i = 0; i < p->nwant; i++)
		number += is_numbered(p->want[i]);
	p->want[p->nwant++] = (uint8_t)kind;
	return is_numbered(kind) ? number : 0;
}

int plan_file(struct spawn_plan *p, int fd)
{
	int number = FIRST_CHILD_FD;

	if (p->nfile >= NETD_FILES_MAX) {
		p->argc = BROKEN;
		return -E2BIG;
	}
	for (size_t i = 0; i < p->nwant; i++)
		number += is_numbered(p->want[i]);
	p->file[p->nfile++] = fd;
	return number + (int)p->nfile - 1;
}

bool plan_whole(const struct spawn_plan *p)
{
	return p->argc != BROKEN;
}

void plan_finish(struct spawn_plan *p)
{
	free(p->config);
	p->config = NULL;
}

bool plan_has_tap(const struct plan_input *in)
{
	return in->net->net != NETD_NET_NONE && in->net->ifname[0] != '\0';
}

int plan_first_file(const struct netd_slot_info *info)
{
	int number = FIRST_CHILD_FD;

	for (uint32_t i = 0; i < info->nwant && i < NETD_FDS_MAX; i++)
		number += is_numbered((enum netd_fd_kind)info->want[i]);
	return number;
}

int plan_take(const struct netd_slot_info *info, int *fds, enum netd_fd_kind kind, unsigned nth)
{
	size_t near = 0;

	for (uint32_t i = 0; i < info->nwant && i < NETD_FDS_MAX; i++) {
		if (info->want[i] == kind && plan_returns(kind) && nth-- == 0) {
			int fd = fds[near];

			fds[near] = -1;
			return fd;
		}
		near += plan_returns(info->want[i]);
	}
	return -1;
}
