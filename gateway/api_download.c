/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/loop.h"
#include "gateway/api.h"
#include "gateway/fileop.h"

/*
 * A file of a guest to a client, of whatever size: a window of a few ranges is asked ahead and handed on in order; the next is asked when the client
 * has taken one. A file that becomes shorter meanwhile ends the connection before the length that was promised: the client sees that it is not whole.
 */
#define WINDOW 4U
#define RANGE  AGENT_DATA_MAX

/** struct piece - a range of the file. @len: 0 = free; @full: its bytes are there */
struct piece {
	uint64_t at;
	uint32_t len;
	bool full;
	uint8_t data[RANGE];
};

/** struct download - @next: of the file, what is to be asked next; @end: where the wanted part ends */
struct download {
	struct fileop op;
	struct piece pieces[WINDOW];
	uint64_t next, end;
	bool broken;
};

static void on_range(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct download *d = container_of(op, struct download, op);
	struct piece *p = &d->pieces[tag];

	if (status < 0 || in->left != p->len)
		d->broken = true;
	else
		agent_get_bytes(in, p->data, p->len);
	p->full = !d->broken;
	fileop_wake(op);
}

static int ask_range(struct download *d, unsigned slot)
{
	struct piece *p = &d->pieces[slot];
	struct buf body = BUF_INIT(FILEOP_PATH_BYTES + 16);
	int r;

	p->at = d->next;
	p->len = d->end - d->next < RANGE ? (uint32_t)(d->end - d->next) : RANGE;
	p->full = false;
	agent_put_u64(&body, p->at);
	agent_put_u32(&body, p->len);
	agent_put_str(&body, d->op.path);
	r = fileop_ask(&d->op, AGENT_READ, &body, slot, on_range);
	buf_finish(&body);
	if (r < 0)
		p->len = 0;
	else
		d->next += p->len;
	return r;
}

/* Keep the window full. What is under way already brings us back here. */
static void ask_ahead(struct download *d)
{
	for (unsigned i = 0; i < WINDOW && !d->broken && d->next < d->end; i++) {
		if (d->pieces[i].len > 0)
			continue;
		if (ask_range(d, i) < 0) {
			d->broken = d->op.waiting == 0;
			return;
		}
	}
}

static ssize_t read_ahead(struct http_later *later, uint64_t at, uint8_t *out, size_t len)
{
	struct download *d = container_of(later, struct download, op.later);
	uint64_t from = d->op.call.resp->file_at + at;
	size_t n = 0;

	for (unsigned i = 0; i < WINDOW; i++) {
		struct piece *p = &d->pieces[i];

		if (p->full && p->at + p->len <= from)
			p->len = p->full = 0;
		if (!p->full || from < p->at)
			continue;
		n = (size_t)(p->at + p->len - from) < len ? (size_t)(p->at + p->len - from) : len;
		memcpy(out, p->data + (from - p->at), n);
	}
	ask_ahead(d);
	return n > 0 ? (ssize_t)n : d->broken ? -EIO : 0;
}

/* The name for the client to keep it under, as RFC 8187 writes it. */
static void add_name(struct http_response *resp, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int r = buf_printf(&resp->head, "Content-Disposition: attachment; filename*=UTF-8''");

	for (; *name && r == 0; name++) {
		bool plain = (*name >= '0' && *name <= '9') || (*name >= 'A' && *name <= 'Z') || (*name >= 'a' && *name <= 'z') || strchr("-._~", *name);

		r = plain ? buf_add(&resp->head, name, 1) : buf_printf(&resp->head, "%%%02X", (unsigned char)*name);
	}
	(void)buf_add(&resp->head, "\r\n", 2);
}

static void on_file(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct download *d = container_of(op, struct download, op);
	struct http_response *resp = op->call.resp;
	char etag[FILEOP_ETAG_BYTES];
	struct agent_stat st = { 0 };

	(void)tag;
	if (status == 0 && agent_get_stat(in, &st) < 0)
		status = -EINVAL;
	if (status == 0 && !S_ISREG(st.mode))
		status = S_ISDIR(st.mode) ? -EISDIR : -EINVAL;
	if (status == 0 && st.size > INT64_MAX)
		status = -EFBIG;
	if (status < 0) {
		fileop_fail(op, status);
		return;
	}
	if (http_later_file(&op->call, "application/octet-stream", fileop_etag(&st, etag), st.size) && resp->from_later) {
		add_name(resp, op->path);
		d->next = resp->file_at;
		d->end = resp->file_at + resp->file_len;
		op->later.read = read_ahead;
		/* Before the first byte: who has looked is noted also when the connection breaks. A client that takes it in parts leaves a row for the first. */
		if (op->call.req->method == HTTP_GET && resp->file_at == 0)
			fileop_note(op, "file.download", op->path, st.size);
	}
	fileop_wake(op);
}

void api_file_get(struct http_call *call)
{
	struct download *d = fileop_create(call, sizeof(*d));
	int r = d ? fileop_ask_path(&d->op, AGENT_STAT, d->op.path, 0, on_file) : 0;

	if (r < 0)
		fileop_fail(&d->op, r);
}
