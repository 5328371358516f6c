/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/owner_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "gateway/ctl/login.h"

#define TRIES 16 /* a number that is no key of the curve comes once in 2^32 */

static int make(const char *path, struct owner_key *k, struct err *e)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = -EIO;

	if (fd < 0)
		return err_set(e, -errno, "cannot make the owner's key %.300s: %s", path, strerror(errno));
	for (int i = 0; i < TRIES && r < 0; i++) {
		uint8_t point[SEAL_POINT_BYTES];

		if (getrandom(k->key, sizeof(k->key), 0) == (ssize_t)sizeof(k->key))
			r = seal_owner(k->key, point, k->hash);
	}
	if (r == 0)
		r = fd_write_all(fd, k->key, sizeof(k->key));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(path);
		return err_set(e, -EIO, "cannot write the owner's key %.300s", path);
	}
	return 0;
}

static int take(int fd, const char *path, struct owner_key *k, struct err *e)
{
	uint8_t point[SEAL_POINT_BYTES];
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != SEAL_KEY_BYTES)
		return err_set(e, -EINVAL, "%.300s is no owner's key: that is a file of %d bytes", path, SEAL_KEY_BYTES);
	if (st.st_mode & 077)
		return err_set(e, -EPERM, "others can read the owner's key %.300s: chmod 600 it", path);
	if (read(fd, k->key, sizeof(k->key)) != (ssize_t)sizeof(k->key))
		return err_set(e, -EIO, "cannot read the owner's key %.300s", path);
	return seal_owner(k->key, point, k->hash) == 0 ? 0 : err_set(e, -EINVAL, "what is in %.300s is no key of P-256", path);
}

int owner_key_read(const char *path, struct owner_key *out, struct err *e)
{
	char standard[LOGIN_PATH_BYTES];
	int r = path ? 0 : login_path("/owner.key", standard, e);
	_close_ int fd = -1;

	if (r < 0)
		return r;
	if (!path) {
		path = standard;
		r = login_make_folder(e);
	}
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return make(path, out, e);
	if (fd < 0)
		return err_set(e, -errno, "cannot open the owner's key %.300s: %s", path, strerror(errno));
	return take(fd, path, out, e);
}
