/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_AGENT_SEALED_PTY_H
#define HV_AGENT_SEALED_PTY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SEALED_RING_BYTES 262144U

/**
 * struct sealed_pty - the terminal behind a sealed conversation, and the end of what it said
 * @fd:  of the terminal, -1 after its end; @pid_fd: -1 once reaped. Both owned
 * @end: bytes of output so far; the ring has the last SEALED_RING_BYTES of them
 */
struct sealed_pty {
	int fd, pid_fd, status;
	pid_t pid;
	uint64_t end;
	uint8_t ring[SEALED_RING_BYTES];
};

/** sealed_pty_start() - run @argv, or a login shell where it is empty. Return: 0 or -errno */
int sealed_pty_start(struct sealed_pty *p, char *const *argv);

void sealed_pty_resize(const struct sealed_pty *p, unsigned cols, unsigned rows);
/** sealed_pty_signal() - to what is in front */
void sealed_pty_signal(const struct sealed_pty *p, int number);

/** sealed_pty_remember() - output that was read */
void sealed_pty_remember(struct sealed_pty *p, const uint8_t *data, size_t len);

/** sealed_pty_recall() - output at @offset, moved up to the oldest that is kept. Return: how many bytes lie in one piece; 0 at the end */
size_t sealed_pty_recall(const struct sealed_pty *p, uint64_t *offset, const uint8_t **data);

#endif
