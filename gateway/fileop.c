/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/fileop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/audit.h"
#include "base/loop.h"
#include "gateway/api.h"
#include "gateway/machine.h"
#include "hv/agent/host.h"

/**
 * struct asking - one question under way
 */
struct asking {
	struct fileop *op;
	fileop_reply *reply;
	unsigned tag;
};

static void free_op(struct fileop *op)
{
	if (op->finish)
		op->finish(op);
	free(op);
}

static void drop(struct http_later *later)
{
	struct fileop *op = container_of(later, struct fileop, later);

	op->dropped = true;
	if (op->waiting == 0)
		free_op(op);
}

static ssize_t read_nothing(struct http_later *later, uint64_t at, uint8_t *out, size_t len)
{
	(void)later;
	(void)at;
	(void)out;
	(void)len;
	return -EIO;
}

/* Decoded once more: libwebsockets ends a request's line at a line break that is escaped only once. */
static bool read_path(struct http_call *call, char out[FILEOP_PATH_BYTES])
{
	char text[FILEOP_PATH_BYTES];
	int r = http_query(call->req, "path", text, sizeof(text));

	if (r == 0)
		r = http_unescape(text, strlen(text), out, FILEOP_PATH_BYTES);
	if (r == 0 && out[0])
		return true;
	http_problem(call->resp, 400, "bad_path", r == -ENOENT || r == 0 ? "Which path? Say ?path=." : "A path has at most %u bytes, no NUL, and %% and control characters escaped twice.", AGENT_PATH_MAX);
	return false;
}

static struct agent_host *find_agent(const struct http_call *call, const struct machine **machine)
{
	const struct api *api = call->app;

	struct machine *m = machine_find(api->machines, call->who.person, call->id);

	*machine = m;
	if (m)
		machine_touch(m);
	return m ? machine_agent(m) : NULL;
}

void *fileop_begin(struct http_call *call, size_t size)
{
	const struct machine *m;
	const struct agent_host *agent;
	struct fileop *op;

	if (api_needs_person(call))
		return NULL;
	agent = find_agent(call, &m);
	if (!m) {
		http_problem(call->resp, 404, "not_found", "You have no such machine.");
		return NULL;
	}
	if (!agent) {
		http_problem(call->resp, 409, "no_agent", "The machine's agent does not answer: it is off, still starting, or its image has none.");
		return NULL;
	}
	op = calloc(1, size);
	if (!op) {
		http_problem(call->resp, 503, "overloaded", "The server is short of memory; try again.");
		return NULL;
	}
	op->call = *call;
	op->call.json = NULL; /* lives only while the handler runs */
	op->later.drop = drop;
	op->later.read = read_nothing;
	call->resp->later = &op->later;
	return op;
}

void *fileop_create(struct http_call *call, size_t size)
{
	struct fileop *op = fileop_begin(call, size);

	return op && read_path(call, op->path) ? op : NULL;
}

unsigned fileop_version(const struct fileop *op)
{
	const struct machine *m;
	const struct agent_host *agent = find_agent(&op->call, &m);

	return agent ? agent_host_version(agent) : 0;
}

static void on_reply(void *arg, int status, struct agent_in *in)
{
	struct asking *a = arg;
	struct fileop *op = a->op;

	op->waiting--;
	if (!op->dropped)
		a->reply(op, a->tag, status, in);
	else if (op->waiting == 0)
		free_op(op);
	free(a);
}

int fileop_ask(struct fileop *op, enum agent_type type, const struct buf *body, unsigned tag, fileop_reply *reply)
{
	const struct machine *m;
	struct agent_host *agent = find_agent(&op->call, &m);
	struct asking *a = agent ? malloc(sizeof(*a)) : NULL;
	int r = !agent ? -ENOTCONN : a ? 0 : -ENOMEM;

	if (r == 0) {
		*a = (struct asking){ .op = op, .reply = reply, .tag = tag };
		r = agent_host_ask_surely(agent, type, body, FILEOP_WAIT_MS, on_reply, a);
	}
	if (r == 0)
		op->waiting++;
	else
		free(a);
	return r;
}

int fileop_ask_path(struct fileop *op, enum agent_type type, const char *path, unsigned tag, fileop_reply *reply)
{
	struct buf body = BUF_INIT(FILEOP_PATH_BYTES);
	int r;

	agent_put_str(&body, path);
	r = fileop_ask(op, type, &body, tag, reply);
	buf_finish(&body);
	return r;
}

void fileop_wake(struct fileop *op)
{
	if (op->later.wake)
		op->later.wake(op->later.arg);
}

static const struct {
	int error, status;
	const char *code, *detail;
} meanings[] = {
	{ ENOENT, 404, "not_found", "There is nothing at this path in the machine." },
	{ ENOTDIR, 404, "not_found", "A part of this path is not a directory." },
	{ ELOOP, 404, "not_found", "The links on this path lead in a circle." },
	{ EACCES, 403, "denied", "The machine does not allow this." },
	{ EPERM, 403, "denied", "The machine does not allow this; a sealed one lets nobody at its files." },
	{ EROFS, 403, "denied", "That place in the machine is read-only." },
	{ EXDEV, 403, "denied", "This path leads out of what may be reached, by .., by an absolute link, or to another file system." },
	{ EEXIST, 409, "exists", "There is something at this path already." },
	{ ENOTEMPTY, 409, "not_empty", "The directory is not empty." },
	{ EISDIR, 409, "is_directory", "This is a directory." },
	{ EINVAL, 409, "not_a_file", "This is not a regular file, or no name that can be used." },
	{ EBUSY, 409, "busy", "It is in use in the machine." },
	{ ETXTBSY, 409, "busy", "It is being run in the machine." },
	{ ENXIO, 409, "not_a_file", "This is not a regular file." },
	{ ENAMETOOLONG, 400, "bad_path", "The name is too long." },
	{ EFBIG, 413, "too_large", "The file is larger than the machine can hold." },
	{ ENOSPC, 507, "no_space", "The machine's disk is full." },
	{ EDQUOT, 507, "no_space", "The machine's disk is full." },
	{ ENOTCONN, 409, "no_agent", "The machine's agent has gone; try again when it is back." },
	{ ETIMEDOUT, 503, "agent_silent", "The machine's agent does not answer in time; try again." },
	{ EAGAIN, 503, "overloaded", "The machine is busy with other requests; try again." },
	{ ENOMEM, 503, "overloaded", "Memory is short; try again." },
	{ EOPNOTSUPP, 409, "no_agent", "The machine's agent is too old for this." },
};

void fileop_problem(struct fileop *op, int status, const char *code, json_t *extra, const char *detail)
{
	http_problem_with(op->call.resp, status, code, extra, "%s", detail);
	fileop_wake(op);
}

void fileop_fail(struct fileop *op, int status)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].error == -status) {
			fileop_problem(op, meanings[i].status, meanings[i].code, NULL, meanings[i].detail);
			return;
		}
	http_problem(op->call.resp, 409, "failed", "The machine could not do that (error %d).", -status);
	fileop_wake(op);
}

void fileop_note(struct fileop *op, const char *action, const char *path, uint64_t bytes)
{
	char detail[AUDIT_TEXT_BYTES];
	json_t *text;
	int room = (int)sizeof(detail) - 40, n = (int)strlen(path);

	/* The end of a long path tells more than its beginning. */
	(void)snprintf(detail, sizeof(detail), "%s%s, %llu bytes", n > room ? "..." : "", n > room ? path + n - room : path, (unsigned long long)bytes);
	text = json_string(detail);
	for (char *p = detail; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || (!text && (*p & 0x80)))
			*p = '?';
	json_decref(text);
	api_note(&op->call, action, op->call.id, detail);
}

const char *fileop_etag(const struct agent_stat *st, char out[FILEOP_ETAG_BYTES])
{
	(void)snprintf(out, FILEOP_ETAG_BYTES, "\"%llu-%llx\"", (unsigned long long)st->size, (unsigned long long)st->mtime_ns);
	return out;
}

bool fileop_number(struct http_call *call, const char *name, uint64_t max, bool needed, uint64_t *out)
{
	char text[24], *end = text;
	int r = http_query(call->req, name, text, sizeof(text));

	if (r == -ENOENT && !needed)
		return true;
	errno = 0;
	if (r == 0 && text[0] >= '0' && text[0] <= '9')
		*out = strtoull(text, &end, 10);
	if (end != text && *end == '\0' && errno == 0 && *out <= max)
		return true;
	http_problem(call->resp, 400, "bad_number", "%s is a number from 0 to %llu.", name, (unsigned long long)max);
	return false;
}
