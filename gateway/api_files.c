/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <dirent.h>

#include "base/loop.h"
#include "base/when.h"
#include "gateway/api.h"
#include "gateway/fileop.h"

/* Files of a guest: what is in a directory; making, renaming and removing. Their contents: api_download.c and api_upload.c. */

#define PAGE   200U /* names in one answer */
#define WINDOW 16U  /* of them looked at at once */
#define NS     1000000000U

/**
 * struct listing - a page of a directory
 * @cookie: of the agent's frame that the page lies in; @skip: names of it that came in earlier pages
 * @next:   cookie of the next frame; 0 = none
 * @names:  owned, @count of them
 */
struct listing {
	struct fileop op;
	struct agent_stat self;
	uint64_t cookie, skip, next;
	char *names[PAGE];
	uint8_t types[PAGE];
	unsigned count, asked, looked;
	bool more_here, failed;
	json_t *items; /* owned */
};

static void finish_listing(struct fileop *op)
{
	struct listing *l = container_of(op, struct listing, op);

	for (unsigned i = 0; i < l->count; i++)
		free(l->names[i]);
	json_decref(l->items);
}

static void fail(struct listing *l, int status)
{
	if (!l->failed)
		fileop_fail(&l->op, status);
	l->failed = true;
}

static const char *kind_of(uint32_t mode)
{
	return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "dir" : "other";
}

static int add_stat(json_t *object, const struct agent_stat *st)
{
	char mode[8], when[WHEN_BYTES], etag[FILEOP_ETAG_BYTES];
	json_t *more;
	int r;

	(void)snprintf(mode, sizeof(mode), "%04o", st->mode & 07777U);
	more = json_pack("{s:s, s:I, s:s, s:s, s:s}", "kind", kind_of(st->mode), "size", (json_int_t)(st->size & INT64_MAX), "mode", mode, "mtime",
			 when_format((int64_t)(st->mtime_ns / NS), when), "etag", fileop_etag(st, etag));
	r = more ? json_object_update(object, more) : -ENOMEM;
	json_decref(more);
	return r;
}

/* JSON holds UTF-8 only; a name that is none is shown with '?' and can be asked for by its escaped form. */
static json_t *item_of(const char *name, uint8_t type)
{
	json_t *text = json_string(name), *item;
	char shown[256], escaped[3 * 256];
	size_t n = 0, k = 0;

	if (text)
		return json_pack("{s:o, s:s, s:b, s:n, s:n, s:n}", "name", text, "kind", type == DT_DIR ? "dir" : type == DT_REG ? "file" : "other", "link",
				 type == DT_LNK, "size", "mode", "mtime");
	for (const unsigned char *p = (const unsigned char *)name; *p && n + 1 < sizeof(shown); p++) {
		shown[n++] = (char)(*p >= 0x20 && *p < 0x7f ? *p : '?');
		k += (size_t)snprintf(escaped + k, sizeof(escaped) - k, "%%%02X", *p);
	}
	shown[n] = '\0';
	item = json_pack("{s:s, s:s, s:s, s:b, s:n, s:n, s:n}", "name", shown, "escaped", escaped, "kind", type == DT_DIR ? "dir" : "other", "link",
			 type == DT_LNK, "size", "mode", "mtime");
	return item;
}

static void answer(struct listing *l)
{
	json_t *json = json_pack("{s:O}", "items", l->items);
	char next[48] = "";

	if (l->more_here)
		(void)snprintf(next, sizeof(next), "%" PRIu64 ".%" PRIu64, l->cookie, l->skip + l->count);
	else if (l->next)
		(void)snprintf(next, sizeof(next), "%" PRIu64 ".0", l->next);
	if (json && (add_stat(json, &l->self) < 0 || json_object_set_new(json, "path", json_string(l->op.path)) < 0 ||
		     json_object_set_new(json, "next", next[0] ? json_string(next) : json_null()) < 0)) {
		json_decref(json);
		json = NULL;
	}
	http_json(l->op.call.resp, 200, json);
	fileop_wake(&l->op);
}

static void look_on(struct listing *l);

static void on_looked(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct listing *l = container_of(op, struct listing, op);
	struct agent_stat st = { 0 };

	if (l->failed)
		return;
	l->looked++;
	if (status == -ENOTCONN || status == -ETIMEDOUT) {
		fail(l, status);
		return;
	}
	/* A file that is gone meanwhile, a link to nowhere: the name alone. */
	if (status == 0 && agent_get_stat(in, &st) == 0)
		(void)add_stat(json_array_get(l->items, tag), &st);
	look_on(l);
}

static int look_at(struct listing *l, unsigned i)
{
	char path[FILEOP_PATH_BYTES + 256];
	size_t n = strlen(l->op.path);

	(void)snprintf(path, sizeof(path), "%s%s%s", l->op.path, n > 0 && l->op.path[n - 1] == '/' ? "" : "/", l->names[i]);
	if (strlen(path) > AGENT_PATH_MAX)
		return -ENAMETOOLONG;
	return fileop_ask_path(&l->op, AGENT_STAT, path, i, on_looked);
}

static void look_on(struct listing *l)
{
	while (l->asked < l->count && l->op.waiting < WINDOW) {
		int r = look_at(l, l->asked);

		if (r == -EAGAIN && l->op.waiting > 0)
			return;
		if (r < 0) {
			fail(l, r);
			return;
		}
		l->asked++;
	}
	if (l->looked == l->count)
		answer(l);
}

/* Names come from the guest: one that could lead elsewhere is none. */
static bool good_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n < 256 && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int take_names(struct listing *l, struct agent_in *in)
{
	uint64_t seen = 0;

	l->next = agent_get_u64(in);
	while (in->left > 0 && !in->bad) {
		uint8_t type = agent_get_u8(in);
		const char *name = agent_get_str(in, AGENT_PATH_MAX);

		if (in->bad || !good_name(name) || seen++ < l->skip)
			continue;
		l->more_here = l->count == PAGE;
		if (l->more_here)
			return 0;
		l->types[l->count] = type;
		l->names[l->count] = strdup(name);
		if (!l->names[l->count] || json_array_append_new(l->items, item_of(name, type)) < 0) {
			free(l->names[l->count]);
			return -ENOMEM;
		}
		l->count++;
	}
	return in->bad ? -EINVAL : 0;
}

static void on_names(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct listing *l = container_of(op, struct listing, op);

	(void)tag;
	if (status == 0)
		status = take_names(l, in);
	if (status < 0)
		fail(l, status);
	else
		look_on(l);
}

static void on_self(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	struct listing *l = container_of(op, struct listing, op);
	struct buf body = BUF_INIT(FILEOP_PATH_BYTES + 8);

	(void)tag;
	if (status == 0 && agent_get_stat(in, &l->self) < 0)
		status = -EINVAL;
	if (status == 0 && !S_ISDIR(l->self.mode)) {
		answer(l);
		return;
	}
	agent_put_u64(&body, l->cookie);
	agent_put_str(&body, op->path);
	if (status == 0)
		status = fileop_ask(op, AGENT_READDIR, &body, 0, on_names);
	buf_finish(&body);
	if (status < 0)
		fail(l, status);
}

static bool read_cursor(struct http_call *call, struct listing *l)
{
	char text[48], *end = text;
	int r = http_query(call->req, "cursor", text, sizeof(text));

	if (r == -ENOENT)
		return true;
	if (r == 0 && strspn(text, "0123456789.") == strlen(text)) {
		l->cookie = strtoull(text, &end, 10);
		l->skip = *end == '.' && end != text ? strtoull(end + 1, &end, 10) : 0;
	}
	if (end != text && *end == '\0' && l->cookie <= INT64_MAX)
		return true;
	http_problem(call->resp, 400, "bad_cursor", "The cursor is wrong; begin again without one.");
	return false;
}

void api_file_list(struct http_call *call)
{
	struct listing *l = fileop_create(call, sizeof(*l));
	int r;

	if (!l || !read_cursor(call, l))
		return;
	l->op.finish = finish_listing;
	l->items = json_array();
	r = l->items ? fileop_ask_path(&l->op, AGENT_STAT, l->op.path, 0, on_self) : -ENOMEM;
	if (r < 0)
		fail(l, r);
}

/* --- making, renaming, removing --- */

/** struct change - @to: the new name of what is renamed */
struct change {
	struct fileop op;
	const char *action;
	char to[FILEOP_PATH_BYTES];
	int status;
};

static void on_changed(struct fileop *op, unsigned tag, int status, struct agent_in *in)
{
	const struct change *c = container_of(op, struct change, op);

	(void)tag;
	(void)in;
	if (status < 0) {
		fileop_fail(op, status);
		return;
	}
	if (c->action)
		fileop_note(op, c->action, op->path, 0);
	op->call.resp->status = c->status;
	if (c->status != 204)
		http_json(op->call.resp, c->status, json_pack("{s:s}", "path", c->to[0] ? c->to : op->path));
	fileop_wake(op);
}

void api_file_mkdir(struct http_call *call)
{
	struct change *c = fileop_create(call, sizeof(*c));
	struct buf body = BUF_INIT(FILEOP_PATH_BYTES + 4);
	const char *text = "0755";
	char *end;
	unsigned long mode;
	int r;

	if (!c)
		return;
	c->status = 201;
	r = json_unpack(call->json, "{s?s !}", "mode", &text);
	mode = strtoul(text, &end, 8);
	if (r < 0 || !*text || *end || mode > 0777) {
		http_problem(call->resp, 400, "bad_mode", "The body may have a mode, in octal, 0777 at most.");
		return;
	}
	agent_put_u32(&body, (uint32_t)mode);
	agent_put_str(&body, c->op.path);
	r = fileop_ask(&c->op, AGENT_MKDIR, &body, 0, on_changed);
	buf_finish(&body);
	if (r < 0)
		fileop_fail(&c->op, r);
}

void api_file_rename(struct http_call *call)
{
	struct change *c = fileop_create(call, sizeof(*c));
	struct buf body = BUF_INIT(2 * FILEOP_PATH_BYTES + 4);
	const char *to = NULL;
	int r, replace = 0;

	if (!c)
		return;
	c->status = 200;
	if (json_unpack(call->json, "{s:s, s?b !}", "to", &to, "replace", &replace) < 0 || !*to || strlen(to) > AGENT_PATH_MAX) {
		http_problem(call->resp, 400, "bad_path", "The body has `to`, the new path, and may have `replace`.");
		return;
	}
	(void)snprintf(c->to, sizeof(c->to), "%s", to);
	agent_put_u32(&body, replace ? 0 : 1);
	agent_put_str(&body, c->op.path);
	agent_put_str(&body, to);
	r = fileop_ask(&c->op, AGENT_RENAME, &body, 0, on_changed);
	buf_finish(&body);
	if (r < 0)
		fileop_fail(&c->op, r);
}

void api_file_delete(struct http_call *call)
{
	struct change *c = fileop_create(call, sizeof(*c));
	int r;

	if (!c)
		return;
	c->action = "file.delete";
	c->status = 204;
	r = fileop_ask_path(&c->op, AGENT_REMOVE, c->op.path, 0, on_changed);
	if (r < 0)
		fileop_fail(&c->op, r);
}
