/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/loop.h"
#include "gateway/api.h"
#include "gateway/fileop.h"

/*
 * A file into a guest, in pieces. They go into a file beside the target, named after the upload; the last one renames it. What has arrived is known
 * from that file's size alone: nothing is remembered here, and an upload goes on after a break, with whatever gateway.
 *
 *   LOOK_TARGET --free, or to be replaced--> LOOK_PART --as long as ?offset=--> WRITE --all ranges--> RENAME, after the last piece --> answer
 *   (first and last piece)                   (not for the first piece)          (a few at a time)
 */
#define WINDOW	    3U /* ranges under way: what is typed in terminals waits behind them */
#define UPLOAD_TEXT 65
#define MODE_NEW    0644

struct upload {
	struct fileop op;
	char id[UPLOAD_TEXT];
	char part[FILEOP_PATH_BYTES];
	uint64_t offset, total, mode;
	size_t asked, written; /* of the body */
	bool replace, keep_mode, failed;
};

static bool is_last(const struct upload *u)
{
	return u->offset + u->op.call.req->body_len == u->total;
}

/* "dir/name" gets "dir/.terrarium-ID.part". */
static bool name_part(struct http_call *call, struct upload *u)
{
	const char *slash = strrchr(u->op.path, '/'), *name = slash ? slash + 1 : u->op.path;
	int r = http_query(call->req, "upload", u->id, sizeof(u->id)), dir = (int)(name - u->op.path), n;

	if (r < 0 || strlen(u->id) < 8 || strspn(u->id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != strlen(u->id)) {
		http_problem(call->resp, 400, "bad_upload", "upload is 8 to %d letters, digits and hyphens that the client has chosen.", UPLOAD_TEXT - 1);
		return false;
	}
	n = snprintf(u->part, sizeof(u->part), "%.*s.terrarium-%s.part", dir, u->op.path, u->id);
	if (*name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && n < (int)sizeof(u->part))
		return true;
	http_problem(call->resp, 400, "bad_path", "The path must end with the name of a file.");
	return false;
}

static struct upload *create(struct http_call *call)
{
	struct upload *u = fileop_create(call, sizeof(*u));

	return u && name_part(call, u) ? u : NULL;
}

static void fail(struct upload *u, int status)
{
	if (u->failed)
		return;
	u->failed = true;
	fileop_fail(&u->op, status);
}

/* --- the end of a piece --- */

static void answer_piece(struct upload *u, bool done)
{
	uint64_t offset = u->offset + u->op.call.req->body_len;

	http_json(u->op.call.resp, done ? 201 : 200,
		  json_pack("{s:I, s:I, s:b}", "offset", (json_int_t)offset, "total", (json_int_t)u->total, "done", done));
	fileop_wake(&u->op);
}

static void on_renamed(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct upload *u = container_of(op, struct upload, op);

	(void)tag;
	(void)in;
	if (status < 0) {
		fail(u, status);
		return;
	}
	fileop_note(op, "file.upload", op->path, u->total);
	answer_piece(u, true);
}

static void end_piece(struct upload *u)
{
	struct buf body = BUF_INIT(2 * FILEOP_PATH_BYTES + 8);
	int r;

	if (!is_last(u)) {
		answer_piece(u, false);
		return;
	}
	agent_put_u32(&body, u->replace ? 0 : 1);
	agent_put_str(&body, u->part);
	agent_put_str(&body, u->op.path);
	r = fileop_ask(&u->op, AGENT_RENAME, &body, 0, on_renamed);
	buf_finish(&body);
	if (r < 0)
		fail(u, r);
}

/* --- writing --- */

static void write_more(struct upload *u);

static void on_written(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct upload *u = container_of(op, struct upload, op);
	uint32_t n = agent_get_u32(in);

	if (u->failed)
		return;
	if (status == 0 && n != tag)
		status = -EIO;
	u->written += tag;
	if (status < 0)
		fail(u, status);
	else
		write_more(u);
}

static int write_range(struct upload *u, size_t len)
{
	const struct http_request *req = u->op.call.req;
	struct buf body = BUF_INIT(FILEOP_PATH_BYTES + AGENT_DATA_MAX + 32);
	uint32_t flags = (u->asked == 0 ? AGENT_WRITE_TRUNCATE : 0) | (u->asked == 0 && u->offset == 0 ? AGENT_WRITE_CREATE : 0);
	int r;

	/* What lies behind the first range is of a piece that broke off. */
	agent_put_u64(&body, u->offset + u->asked);
	agent_put_u32(&body, flags);
	agent_put_u32(&body, (uint32_t)u->mode);
	agent_put_str(&body, u->part);
	agent_put_bytes(&body, req->body + u->asked, len);
	r = fileop_ask(&u->op, AGENT_WRITE, &body, (unsigned)len, on_written);
	buf_finish(&body);
	if (r == 0)
		u->asked += len;
	return r;
}

static void write_more(struct upload *u)
{
	size_t all = u->op.call.req->body_len;

	while (u->op.waiting < WINDOW && u->asked < all) {
		int r = write_range(u, all - u->asked < AGENT_DATA_MAX ? all - u->asked : AGENT_DATA_MAX);

		if (r == -EAGAIN && u->op.waiting > 0)
			return;
		if (r < 0) {
			fail(u, r);
			return;
		}
	}
	if (u->written == all && u->op.waiting == 0)
		end_piece(u);
}

static void begin_writing(struct upload *u)
{
	int r = 0;

	if (u->op.call.req->body_len == 0 && u->offset == 0)
		r = write_range(u, 0);
	if (r < 0)
		fail(u, r);
	else if (u->op.waiting == 0)
		write_more(u);
}

/* --- looking first --- */

static void on_part(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct upload *u = container_of(op, struct upload, op);
	struct agent_stat st = { 0 };

	(void)tag;
	if (status == 0 && agent_get_stat(in, &st) < 0)
		status = -EINVAL;
	if (status == -ENOENT)
		fileop_problem(op, 409, "no_upload", NULL, "Nothing of this upload is there; begin at 0.");
	else if (status < 0)
		fail(u, status);
	else if (st.size < u->offset)
		fileop_problem(op, 409, "wrong_offset", json_pack("{s:I}", "offset", (json_int_t)st.size), "Less than that has arrived; go on at `offset`.");
	else
		begin_writing(u);
}

static void look_at_part(struct upload *u)
{
	int r;

	if (u->offset == 0) {
		begin_writing(u);
		return;
	}
	r = fileop_ask_path(&u->op, AGENT_STAT, u->part, 0, on_part);
	if (r < 0)
		fail(u, r);
}

static void on_target(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct upload *u = container_of(op, struct upload, op);
	struct agent_stat st = { 0 };

	(void)tag;
	if (status == 0 && agent_get_stat(in, &st) < 0)
		status = -EINVAL;
	if (status == 0 && S_ISDIR(st.mode))
		status = -EISDIR;
	else if (status == 0 && !u->replace)
		status = -EEXIST;
	else if (status == 0 && u->keep_mode)
		u->mode = st.mode & 0777;
	if (status < 0 && status != -ENOENT)
		fail(u, status);
	else
		look_at_part(u);
}

static bool read_wish(struct http_call *call, struct upload *u)
{
	char mode[8], *end = mode;
	uint64_t replace = 0;
	int r = http_query(call->req, "mode", mode, sizeof(mode));

	if (!fileop_number(call, "offset", INT64_MAX, true, &u->offset) || !fileop_number(call, "total", INT64_MAX, true, &u->total) ||
	    !fileop_number(call, "replace", 1, false, &replace))
		return false;
	u->replace = replace == 1;
	u->keep_mode = r == -ENOENT;
	u->mode = u->keep_mode ? MODE_NEW : r == 0 ? strtoul(mode, &end, 8) : UINT64_MAX;
	if (u->mode > 0777 || (!u->keep_mode && (*end || end == mode)))
		http_problem(call->resp, 400, "bad_mode", "mode is in octal, 0777 at most.");
	else if (u->offset > u->total || call->req->body_len > u->total - u->offset)
		http_problem(call->resp, 400, "bad_number", "The piece goes beyond total.");
	else if (call->req->body_len == 0 && u->offset != u->total)
		http_problem(call->resp, 400, "bad_number", "The piece is empty.");
	else
		return true;
	return false;
}

void api_file_put(struct http_call *call)
{
	struct upload *u = create(call);
	int r;

	if (!u || !read_wish(call, u))
		return;
	if (u->offset > 0 && !is_last(u)) {
		look_at_part(u);
		return;
	}
	r = fileop_ask_path(&u->op, AGENT_STAT, u->op.path, 0, on_target);
	if (r < 0)
		fail(u, r);
}

/* --- how far, and no further --- */

static void on_far(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct agent_stat st = { 0 };

	(void)tag;
	if (status == 0 && agent_get_stat(in, &st) < 0)
		status = -EINVAL;
	if (status < 0 && status != -ENOENT) {
		fileop_fail(op, status);
		return;
	}
	http_json(op->call.resp, 200, json_pack("{s:I}", "offset", status == 0 && st.size < INT64_MAX ? (json_int_t)st.size : (json_int_t)0));
	fileop_wake(op);
}

void api_upload_get(struct http_call *call)
{
	struct upload *u = create(call);
	int r = u ? fileop_ask_path(&u->op, AGENT_STAT, u->part, 0, on_far) : 0;

	if (r < 0)
		fail(u, r);
}

static void on_dropped(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	(void)tag;
	(void)in;
	if (status < 0 && status != -ENOENT) {
		fileop_fail(op, status);
		return;
	}
	op->call.resp->status = 204;
	fileop_wake(op);
}

void api_upload_drop(struct http_call *call)
{
	struct upload *u = create(call);
	int r = u ? fileop_ask_path(&u->op, AGENT_REMOVE, u->part, 0, on_dropped) : 0;

	if (r < 0)
		fail(u, r);
}
