/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/cp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/rest.h"

#define PIECE_UP   (1U << 20) /* as much as the gateway takes */
#define PIECE_DOWN (4U << 20)
#define TRIES	   6 /* with pauses of 1, 2, 4... s */
#define SHOW_MS	   200

/* --- requests --- */

static int files_path(const struct cp *c, const char *verb, const char *path, char out[REST_PATH_BYTES], struct err *e)
{
	char twice[3 * CP_PATH_BYTES];
	size_t n = 0;

	/* As docs/protocol.md says: % and control characters are escaped once more. */
	for (const unsigned char *p = (const unsigned char *)path; *p && n + 4 < sizeof(twice); p++)
		n += (size_t)snprintf(twice + n, sizeof(twice) - n, *p < 0x20 || *p == 0x7f || *p == '%' ? "%%%02X" : "%c", *p);
	twice[n] = '\0';
	if (rest_path(out, "/api/v1/vms/", c->vm, verb, e) < 0)
		return -ENOSPC;
	return rest_query(out, "path", twice, e);
}

/* Did the request not get through, rather than being refused? An agent that was there a moment ago comes back. */
static bool lost(const struct cp *c, int r)
{
	return r == -ETIMEDOUT || r == -ECONNREFUSED || r == -EHOSTUNREACH || r == -EIO || r == -EPROTO || (r == -EHOSTDOWN && c->going);
}

static bool wait_again(int *tries)
{
	if (++*tries >= TRIES)
		return false;
	(void)sleep(1U << (*tries - 1));
	return true;
}

static int call(const struct cp *c, struct rest_request *req, json_t **answer, struct err *e)
{
	int r, tries = 0;

	req->socket = c->socket;
	do {
		*e = (struct err){ 0 };
		r = rest_call(req, answer, e);
	} while (lost(c, r) && wait_again(&tries));
	return r;
}

static unsigned mode_of(const json_t *json)
{
	return (unsigned)strtoul(pick_string(json, "mode"), NULL, 8) & 0777U;
}

int cp_read_node(const json_t *item, struct cp_node *n)
{
	const char *kind = pick_string(item, "kind");
	json_int_t size = json_integer_value(json_object_get(item, "size"));

	*n = (struct cp_node){ .dir = strcmp(kind, "dir") == 0, .file = strcmp(kind, "file") == 0, .mode = mode_of(item), .size = (uint64_t)size };
	(void)pick_text(item, "next", n->next, sizeof(n->next));
	if (n->file && (size < 0 || pick_text(item, "etag", n->etag, sizeof(n->etag)) < 0))
		return -EPROTO;
	return 0;
}

int cp_look(const struct cp *c, const char *path, const char *cursor, struct cp_node *n, struct err *e)
{
	char url[REST_PATH_BYTES];
	struct rest_request req = { .method = "GET", .path = url };
	json_t *answer = NULL;
	int r = files_path(c, "/files", path, url, e);

	*n = (struct cp_node){ 0 };
	if (r == 0)
		r = rest_query(url, "cursor", cursor, e);
	if (r == 0)
		r = call(c, &req, &answer, e);
	if (r == 0 && cp_read_node(answer, n) < 0)
		r = err_set(e, -EPROTO, "the gateway's answer says nothing about %s", path);
	n->items = r == 0 ? json_incref(json_object_get(answer, "items")) : NULL;
	json_decref(answer);
	return r;
}

void cp_node_finish(struct cp_node *n)
{
	json_decref(n->items);
	n->items = NULL;
}

const char *cp_name(const json_t *item)
{
	const char *name = pick_string(item, "name");

	if (!name[0] || strlen(name) > 255 || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || json_object_get(item, "escaped"))
		return NULL;
	return name;
}

int cp_mkdir(const struct cp *c, const char *path, unsigned mode, struct err *e)
{
	char url[REST_PATH_BYTES];
	json_t *body = json_object(), *answer = NULL;
	struct rest_request req = { .method = "POST", .path = url, .body = body };
	struct cp_node n;
	char text[8];
	int r = files_path(c, "/files/dir", path, url, e);

	(void)snprintf(text, sizeof(text), "%04o", (mode & 0777U) | 0700U);
	(void)json_object_set_new(body, "mode", json_string(text));
	if (r == 0)
		r = call(c, &req, &answer, e);
	json_decref(body);
	json_decref(answer);
	if (r != -EEXIST)
		return r;
	*e = (struct err){ 0 };
	r = cp_look(c, path, NULL, &n, e);
	if (r == 0 && !n.dir)
		r = err_set(e, -ENOTDIR, "%s is no directory in the machine", path);
	cp_node_finish(&n);
	return r;
}

/* --- progress --- */

static uint64_t since_ms(const struct timespec *t)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)((now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000);
}

static void begin(struct cp *c)
{
	(void)clock_gettime(CLOCK_MONOTONIC, &c->began);
	c->shown_ms = 0;
	c->going = true;
}

static void print_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	/* A name may hold what a terminal would obey. */
	for (const char *p = slash ? slash + 1 : path; *p; p++)
		(void)fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, stderr);
}

static void show(struct cp *c, const char *path, uint64_t done, uint64_t total)
{
	uint64_t ms = since_ms(&c->began);
	double mib = (double)done / 1048576.;

	if (!c->tty || (done < total && ms - c->shown_ms < SHOW_MS))
		return;
	c->shown_ms = ms;
	fprintf(stderr, "\r\033[K");
	print_name(path);
	fprintf(stderr, "  %d %%  %.1f of %.1f MiB  %.1f MiB/s%s", total ? (int)((double)done * 100. / (double)total) : 100, mib, (double)total / 1048576.,
		mib * 1000. / (double)(ms ? ms : 1), done == total ? "\n" : "");
}

/* --- up --- */

/** struct sending - one file on its way into the machine */
struct sending {
	struct cp *c;
	const char *local, *path;
	char id[33];
	int fd; /* borrowed */
	unsigned mode;
	uint64_t total;
	uint8_t *piece; /* owned: PIECE_UP bytes */
};

static int how_far(const struct sending *s, uint64_t *offset, struct err *e)
{
	char url[REST_PATH_BYTES];
	struct rest_request req = { .method = "GET", .path = url };
	json_t *answer = NULL;
	int r = files_path(s->c, "/files/upload", s->path, url, e);

	if (r == 0)
		r = rest_query(url, "upload", s->id, e);
	if (r == 0)
		r = call(s->c, &req, &answer, e);
	*offset = (uint64_t)json_integer_value(json_object_get(answer, "offset"));
	if (r == 0 && *offset > s->total)
		r = err_set(e, -EPROTO, "more has arrived of %s than was sent", s->local);
	json_decref(answer);
	return r;
}

/* After the last piece the answer may be lost: then the file is there, and nothing of the upload. */
static bool arrived(const struct sending *s)
{
	struct cp_node n;
	struct err e = { 0 };
	int r = cp_look(s->c, s->path, NULL, &n, &e);

	cp_node_finish(&n);
	return r == 0 && n.file && n.size == s->total;
}

static int send_piece(const struct sending *s, uint64_t offset, size_t len, struct err *e)
{
	char url[REST_PATH_BYTES], rest[160];
	struct rest_request req = { .socket = s->c->socket, .method = "PUT", .path = url, .bytes = s->piece, .bytes_len = len };
	json_t *answer = NULL;
	int r = files_path(s->c, "/files/content", s->path, url, e);

	(void)snprintf(rest, sizeof(rest), "&upload=%s&offset=%" PRIu64 "&total=%" PRIu64 "&mode=%04o%s", s->id, offset, s->total, s->mode,
		       s->c->replace ? "&replace=1" : "");
	if (r == 0 && strlen(url) + strlen(rest) >= sizeof(url))
		r = err_set(e, -ENAMETOOLONG, "%s is too long a path", s->path);
	if (r < 0)
		return r;
	memcpy(url + strlen(url), rest, strlen(rest) + 1);
	r = rest_call(&req, &answer, e);
	json_decref(answer);
	return r;
}

static int send_all(const struct sending *s, struct err *e)
{
	uint64_t at = 0;
	int tries = 0, r = 0;

	do {
		ssize_t n = pread(s->fd, s->piece, s->total - at < PIECE_UP ? (size_t)(s->total - at) : PIECE_UP, (off_t)at);

		if (n < 0 || (n == 0 && at < s->total))
			return err_set(e, n < 0 ? -errno : -EIO, "%s cannot be read, or has become shorter", s->local);
		*e = (struct err){ 0 };
		r = send_piece(s, at, (size_t)n, e);
		if (r == 0) {
			at += (uint64_t)n;
			tries = 0;
			show(s->c, s->local, at, s->total);
		} else if (lost(s->c, r) && wait_again(&tries)) {
			bool last = at + (uint64_t)n == s->total;

			r = how_far(s, &at, e);
			if (r == 0 && last && at == 0 && s->total > 0 && arrived(s))
				return 0;
			if (r == 0 && at == s->total)
				r = send_piece(s, at, 0, e);
		}
	} while (r == 0 && at < s->total);
	return r;
}

static void forget(const struct sending *s)
{
	char url[REST_PATH_BYTES];
	struct rest_request req = { .socket = s->c->socket, .method = "DELETE", .path = url };
	struct err e = { 0 };
	json_t *answer = NULL;

	if (files_path(s->c, "/files/upload", s->path, url, &e) == 0 && rest_query(url, "upload", s->id, &e) == 0)
		(void)rest_call(&req, &answer, &e);
	json_decref(answer);
}

int cp_put(struct cp *c, const char *local, const char *path, struct err *e)
{
	_close_ int fd = open(local, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct sending s = { .c = c, .local = local, .path = path, .fd = fd };
	uint8_t id[16];
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, -errno, "cannot open %s: %s", local, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s is not a regular file", local);
	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return err_set(e, -EIO, "no randomness");
	hex_encode(id, sizeof(id), s.id);
	s.mode = (unsigned)st.st_mode & 0777U;
	s.total = (uint64_t)st.st_size;
	s.piece = malloc(PIECE_UP);
	if (!s.piece)
		return err_set(e, -ENOMEM, "no memory");
	begin(c);
	r = send_all(&s, e);
	free(s.piece);
	if (r < 0) {
		if (c->tty && c->shown_ms)
			(void)fputc('\n', stderr);
		forget(&s);
	}
	return r;
}

/* --- down --- */

static int fetch_piece(const struct cp *c, const char *path, const struct cp_node *n, uint64_t at, struct buf *out, struct err *e)
{
	char url[REST_PATH_BYTES], range[64];
	struct rest_request req = { .socket = c->socket, .method = "GET", .path = url, .match = n->etag, .range = range };
	uint64_t len = n->size - at < PIECE_DOWN ? n->size - at : PIECE_DOWN;
	int tries = 0, r = files_path(c, "/files/content", path, url, e);

	(void)snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, at, at + len - 1);
	if (r < 0)
		return r;
	do {
		*e = (struct err){ 0 };
		buf_finish(out);
		*out = BUF_INIT(PIECE_DOWN);
		r = rest_text(&req, out, e);
	} while (lost(c, r) && wait_again(&tries));
	return r == 0 && out->len != len ? err_set(e, -EPROTO, "a piece of %s has a wrong length", path) : r;
}

static int fetch_all(struct cp *c, const char *path, const struct cp_node *n, const char *local, int fd, struct err *e)
{
	struct buf piece = BUF_INIT(PIECE_DOWN);
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < n->size;) {
		r = fetch_piece(c, path, n, at, &piece, e);
		if (r == 0 && fd_write_all(fd, piece.data, piece.len) < 0)
			r = err_set(e, -errno, "%s cannot be written: %s", local, strerror(errno));
		at += piece.len;
		if (r == 0)
			show(c, local, at, n->size);
	}
	buf_finish(&piece);
	if (r == 0 && fchmod(fd, n->mode) < 0)
		r = err_set(e, -errno, "%s: %s", local, strerror(errno));
	return r;
}

int cp_get(struct cp *c, const char *path, const struct cp_node *n, const char *local, struct err *e)
{
	char part[CP_PATH_BYTES + 32];
	_close_ int fd = -1;
	int r;

	if (!c->replace && access(local, F_OK) == 0)
		return err_set(e, -EEXIST, "%s is there already; --replace replaces it", local);
	(void)snprintf(part, sizeof(part), "%s.terrarium.XXXXXX", local);
	fd = mkostemp(part, O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "cannot make %s: %s", part, strerror(errno));
	begin(c);
	r = fetch_all(c, path, n, local, fd, e);
	/* Two at once: who comes second does not overwrite. */
	if (r == 0 && renameat2(AT_FDCWD, part, AT_FDCWD, local, c->replace ? 0 : RENAME_NOREPLACE) < 0)
		r = err_set(e, -errno, "cannot make %s: %s", local, strerror(errno));
	if (r < 0)
		(void)unlink(part);
	return r;
}
