/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_IPC_H
#define BASE_IPC_H

#include <stddef.h>
#include <sys/types.h>

/* SOCK_SEQPACKET messages with file descriptors (unix(7), SCM_RIGHTS). One message is one frame; nothing is ever split. */

#define IPC_FDS_MAX 16

/**
 * struct ipc_msg - a received frame
 * @len:     bytes in the caller's buffer
 * @fds:     owned by the receiver, all close-on-exec; -1 where empty
 * @nfds:    how many
 */
struct ipc_msg {
	size_t len;
	int fds[IPC_FDS_MAX];
	size_t nfds;
};

/** ipc_listen() - bind and listen on @path (mode @mode), replacing a dead socket but never a live one. Return: FD or -errno */
int ipc_listen(const char *path, mode_t mode);

/** ipc_connect() - connect to @path, close-on-exec and non-blocking. Return: FD or -errno */
int ipc_connect(const char *path);

/** ipc_accept() - accept one connection, close-on-exec and non-blocking. Return: FD or -errno */
int ipc_accept(int listen_fd);

/** ipc_peer_uid() - uid of the process at the other end when it connected (SO_PEERCRED). Return: 0 or -errno */
int ipc_peer_uid(int fd, uid_t *uid);

/**
 * ipc_send() - send one frame; the FDs stay the caller's
 * @nfds: at most IPC_FDS_MAX
 *
 * Return: 0, -EAGAIN when the socket is full, or -errno.
 */
int ipc_send(int fd, const void *data, size_t len, const int *fds, size_t nfds);

/**
 * ipc_recv() - receive one frame into @buf
 *
 * A frame longer than @size, or with more FDs than fit, is an error and its FDs are closed.
 * Return: 0; -EAGAIN when there is none; -EPIPE at the end; -EMSGSIZE when cut; else -errno. @msg owns FDs only on 0.
 */
int ipc_recv(int fd, void *buf, size_t size, struct ipc_msg *msg);

/** ipc_msg_finish() - close the FDs that are still in @msg */
void ipc_msg_finish(struct ipc_msg *msg);

#endif
