/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/list.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/table.h"

/*
 * `terrarium recording ...`: recordings of terminals. Over the control socket, and with --all, everybody's; with the token of `terrarium
 * login` one's own.
 */

#define PIECE_BYTES (4 << 20) /* fetched at once: a recording may be larger than memory should be */

struct options {
	const char *id, *socket, *owner, *output;
	bool json, all;
};

#define COMMON_OPTIONS(o) \
	{ .name = "all", .flag = &(o).all, .help = "everybody's, for auditors; the control socket knows no others" }, \
	CTL_SOCKET_OPTION((o).socket)

static const char *base_of(const struct options *o)
{
	return o->all || o->owner || rest_by_socket(o->socket) ? "/api/v1/admin/recordings" : "/api/v1/recordings";
}

int cmd_recording_list(int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "ID", "id" },	      { "OWNER", "owner" }, { "NAME", "name" },	  { "STARTED", "started_at" },
		{ "MS", "duration_ms" }, { "BYTES", "size" },  { "STATE", "state" }, { "REASON", "reason" },
	};
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "owner", .text = &o.owner, .value = "EMAIL", .help = "of this person" },
		COMMON_OPTIONS(o), { .name = "json", .flag = &o.json, .help = "print JSON" }, { 0 },
	};
	char path[REST_PATH_BYTES];
	struct err e = { 0 };
	int r = ctl_options("recording list", table, argc, argv);

	if (r != CTL_GO)
		return r;
	(void)snprintf(path, sizeof(path), "%s", base_of(&o));
	if (rest_query(path, "owner", o.owner, &e) < 0)
		return ctl_refuse("recording list", o.json, &e);
	return list_show("recording list", o.socket, o.json, path, columns, sizeof(columns) / sizeof(columns[0]));
}

static int path_of(char path[REST_PATH_BYTES], const struct options *o, const char *rest, struct err *e)
{
	char prefix[REST_PATH_BYTES];

	(void)snprintf(prefix, sizeof(prefix), "%s/", base_of(o));
	return rest_path(path, prefix, o->id, rest, e);
}

static int size_of(const struct options *o, long long *size, struct err *e)
{
	char path[REST_PATH_BYTES];
	struct rest_request req = { .socket = o->socket, .method = "GET", .path = path };
	json_t *answer = NULL;
	int r = path_of(path, o, "", e);

	if (r == 0)
		r = rest_call(&req, &answer, e);
	if (r < 0)
		return r;
	*size = (long long)json_integer_value(json_object_get(answer, "size"));
	json_decref(answer);
	return 0;
}

/* All of it, to @out, piece by piece. */
static int fetch(const struct options *o, FILE *out, struct err *e)
{
	char path[REST_PATH_BYTES], range[64];
	struct rest_request req = { .socket = o->socket, .method = "GET", .path = path, .range = range };
	long long at = 0, size = 0;
	int r = size_of(o, &size, e);

	if (r == 0)
		r = path_of(path, o, "/content", e);
	while (r == 0 && at < size) {
		struct buf piece = BUF_INIT(PIECE_BYTES);

		(void)snprintf(range, sizeof(range), "bytes=%lld-%lld", at, (at + PIECE_BYTES < size ? at + PIECE_BYTES : size) - 1);
		r = rest_text(&req, &piece, e);
		if (r == 0 && (piece.len == 0 || fwrite(piece.data, 1, piece.len, out) != piece.len))
			r = err_set(e, -EIO, "the recording cannot be %s", piece.len ? "written" : "read to its end");
		at += (long long)piece.len;
		buf_finish(&piece);
	}
	return r == 0 && fflush(out) != 0 ? err_set(e, -errno, "the recording cannot be written: %s", strerror(errno)) : r;
}

int cmd_recording_get(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "output", .letter = 'o', .text = &o.output, .value = "FILE", .help = "write there; standard output unless given" },
		COMMON_OPTIONS(o), { 0 },
	};
	struct err e = { 0 };
	FILE *out = stdout;
	int r = ctl_operand("recording get", "ID", table, argc, argv, &o.id);

	if (r != CTL_GO)
		return r;
	if (o.output)
		out = fopen(o.output, "wxe");
	if (!out)
		r = err_set(&e, -errno, "cannot make %s: %s", o.output, strerror(errno));
	else
		r = fetch(&o, out, &e);
	if (out && o.output && fclose(out) != 0 && r == 0)
		r = err_set(&e, -errno, "%s cannot be written: %s", o.output, strerror(errno));
	return r < 0 ? ctl_refuse("recording get", false, &e) : CLI_OK;
}

int cmd_recording_delete(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = { COMMON_OPTIONS(o), { .name = "json", .flag = &o.json, .help = "print JSON" }, { 0 } };
	char path[REST_PATH_BYTES];
	struct rest_request req = { .method = "DELETE", .path = path };
	json_t *answer = NULL;
	struct err e = { 0 };
	int r = ctl_operand("recording delete", "ID", table, argc, argv, &o.id);

	if (r != CTL_GO)
		return r;
	req.socket = o.socket;
	r = path_of(path, &o, "", &e);
	if (r == 0)
		r = rest_call(&req, &answer, &e);
	json_decref(answer);
	return r < 0 ? ctl_refuse("recording delete", o.json, &e) : CLI_OK;
}
