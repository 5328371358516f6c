/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <stdlib.h>

/* Locals that clean up after themselves: `_close_ int fd = -1;` and `_free_ char *s = NULL;`. */
#define _close_ __attribute__((cleanup(fd_cleanup)))
#define _free_	__attribute__((cleanup(free_cleanup)))

/** fd_close() - close @fd unless it is -1, keeping errno. Return: -1, so that `fd = fd_close(fd)` empties the field */
int fd_close(int fd);

/** fd_take() - move an FD out of *@fd. Return: the FD; *@fd is -1 afterwards */
int fd_take(int *fd);

/** fd_nonblock() - set O_NONBLOCK. Return: 0 or -errno */
int fd_nonblock(int fd);

/** fd_cloexec() - set FD_CLOEXEC to @on. Return: 0 or -errno */
int fd_cloexec(int fd, int on);

/**
 * fd_read_file() - read a small file whole
 * @dirfd: directory FD or AT_FDCWD
 * @size:  capacity of @buf; the text is terminated with NUL and holds at most size-1 bytes
 *
 * Return: bytes read, or -errno; -EFBIG when the file holds more.
 */
long fd_read_file(int dirfd, const char *path, char *buf, size_t size);

/** fd_write_all() - write @len bytes to a blocking FD, resuming after signals. Return: 0 or -errno */
int fd_write_all(int fd, const void *data, size_t len);

static inline void fd_cleanup(const int *fd)
{
	(void)fd_close(*fd);
}

static inline void free_cleanup(void *p)
{
	free(*(void **)p);
}

#endif
