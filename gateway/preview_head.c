/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/preview_head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

static struct head_text trim(struct head_text t)
{
	while (t.len > 0 && (t.at[0] == ' ' || t.at[0] == '\t')) {
		t.at++;
		t.len--;
	}
	while (t.len > 0 && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
		t.len--;
	return t;
}

bool head_is(struct head_text t, const char *other)
{
	return strlen(other) == t.len && strncasecmp(t.at, other, t.len) == 0;
}

/* The next piece up to @stop. False at the end. */
static bool split(struct head_text *rest, char stop, struct head_text *out)
{
	const char *end;

	if (!rest->at)
		return false;
	end = memchr(rest->at, stop, rest->len);
	*out = (struct head_text){ rest->at, end ? (size_t)(end - rest->at) : rest->len };
	if (end)
		*rest = (struct head_text){ end + 1, rest->len - out->len - 1 };
	else
		*rest = (struct head_text){ 0 };
	*out = trim(*out);
	return true;
}

static bool is_token(struct head_text t)
{
	for (size_t i = 0; i < t.len; i++)
		if ((unsigned char)t.at[i] <= ' ' || (unsigned char)t.at[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", t.at[i]))
			return false;
	return t.len > 0;
}

/* Tab and what is printed; bytes of other than ASCII pass. */
static bool is_text(struct head_text t)
{
	for (size_t i = 0; i < t.len; i++)
		if (((unsigned char)t.at[i] < ' ' && t.at[i] != '\t') || t.at[i] == 0x7f)
			return false;
	return true;
}

static int parse_field(struct head *h, struct head_text line)
{
	const char *colon = memchr(line.at, ':', line.len);
	struct head_field *f = &h->fields[h->count];

	if (!colon || h->count == HEAD_FIELDS_MAX)
		return -EPROTO;
	f->name = (struct head_text){ line.at, (size_t)(colon - line.at) };
	f->value = trim((struct head_text){ colon + 1, line.len - f->name.len - 1 });
	h->count++;
	return is_token(f->name) && is_text(f->value) ? 0 : -EPROTO;
}

int head_parse(struct head *h, const char *data, size_t len)
{
	size_t at = 0;

	h->count = 0;
	h->line = (struct head_text){ 0 };
	if (len > HEAD_BYTES_MAX)
		len = HEAD_BYTES_MAX;
	for (;;) {
		const char *end = memchr(data + at, '\n', len - at);
		struct head_text line;

		if (!end)
			return len == HEAD_BYTES_MAX ? -EPROTO : 0;
		line = (struct head_text){ data + at, (size_t)(end - data) - at };
		if (line.len == 0 || line.at[line.len - 1] != '\r')
			return -EPROTO;
		line.len--;
		at = (size_t)(end - data) + 1;
		if (!h->line.at) {
			if (line.len == 0 || !is_text(line))
				return -EPROTO;
			h->line = line;
		} else if (line.len == 0) {
			h->bytes = at;
			return 1;
		} else if (parse_field(h, line) < 0) {
			return -EPROTO;
		}
	}
}

int head_find(const struct head *h, const char *name, struct head_text *out)
{
	int r = -ENOENT;

	for (size_t i = 0; i < h->count; i++) {
		if (!head_is(h->fields[i].name, name))
			continue;
		if (r == 0)
			return -EPROTO;
		*out = h->fields[i].value;
		r = 0;
	}
	return r;
}

static bool list_has(struct head_text list, const char *word)
{
	struct head_text each;

	while (split(&list, ',', &each))
		if (head_is(each, word))
			return true;
	return false;
}

static int body_length(const struct head *h, uint64_t *out)
{
	struct head_text length, coding;
	int has_length = head_find(h, "Content-Length", &length), has_coding = head_find(h, "Transfer-Encoding", &coding);

	*out = 0;
	if (has_length == -EPROTO || has_coding == -EPROTO || (has_length == 0 && has_coding == 0))
		return -EPROTO;
	if (has_coding == 0) {
		*out = UINT64_MAX;
		return head_is(coding, "chunked") ? 0 : -EPROTO;
	}
	if (has_length == -ENOENT)
		return 0;
	if (length.len == 0 || length.len > 18)
		return -EPROTO;
	for (size_t i = 0; i < length.len; i++) {
		if (length.at[i] < '0' || length.at[i] > '9')
			return -EPROTO;
		*out = *out * 10 + (uint64_t)(length.at[i] - '0');
	}
	return 0;
}

int head_request(const struct head *h, struct head_request *out)
{
	struct head_text line = h->line, version = { 0 }, upgrade, connection;

	*out = (struct head_request){ 0 };
	if (!split(&line, ' ', &out->method) || !split(&line, ' ', &out->target) || !split(&line, ' ', &version) || line.at)
		return -EPROTO;
	if (!is_token(out->method) || out->target.len == 0 || out->target.at[0] != '/' || version.len != 8 || memcmp(version.at, "HTTP/1.1", 8) != 0)
		return -EPROTO;
	if (head_find(h, "Host", &out->host) < 0 || body_length(h, &out->body) < 0)
		return -EPROTO;
	out->websocket = head_find(h, "Upgrade", &upgrade) == 0 && head_is(upgrade, "websocket") && head_find(h, "Connection", &connection) == 0 &&
			 list_has(connection, "upgrade");
	return !out->websocket || (head_is(out->method, "GET") && out->body == 0) ? 0 : -EPROTO;
}

static struct head_text cookie_name(struct head_text pair)
{
	const char *eq = memchr(pair.at, '=', pair.len);

	return trim((struct head_text){ pair.at, eq ? (size_t)(eq - pair.at) : 0 });
}

/* Case counts in names of cookies; but browsers hold names with these prefixes to their rules in any case. */
static bool is_one_of(struct head_text name, const char *const *names)
{
	for (; *names; names++)
		if (head_is(name, *names))
			return true;
	return false;
}

int head_cookie(const struct head *h, const char *name, char *out, size_t size)
{
	int r = -ENOENT;

	for (size_t i = 0; i < h->count; i++) {
		struct head_text rest = h->fields[i].value, pair;

		if (!head_is(h->fields[i].name, "Cookie"))
			continue;
		while (split(&rest, ';', &pair)) {
			struct head_text found = cookie_name(pair), value;

			if (found.len != strlen(name) || memcmp(found.at, name, found.len) != 0)
				continue;
			value = trim((struct head_text){ found.at + found.len, (size_t)(pair.at + pair.len - (found.at + found.len)) });
			value = trim((struct head_text){ value.at + 1, value.len - 1 });
			if (r == 0 || value.len >= size)
				return -EINVAL;
			memcpy(out, value.at, value.len);
			out[value.len] = '\0';
			r = 0;
		}
	}
	return r;
}

/* --- writing ---------------------------------------------------------------------------------------------------------------- */

static int put_field(struct buf *out, struct head_text name, struct head_text value)
{
	return buf_printf(out, "%.*s: %.*s\r\n", (int)name.len, name.at, (int)value.len, value.at);
}

/* Between two ends only (RFC 9110 §7.6.1): the usual ones, and what Connection names. */
static bool is_hop(const struct head *h, struct head_text name)
{
	static const char *const hop[] = { "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "TE", "Upgrade",
					   "Expect", NULL };

	if (is_one_of(name, hop))
		return true;
	if (head_is(name, "Transfer-Encoding") || head_is(name, "Content-Length") || head_is(name, "Host"))
		return false;
	for (size_t i = 0; i < h->count; i++) {
		struct head_text list = h->fields[i].value, each;

		if (!head_is(h->fields[i].name, "Connection"))
			continue;
		while (split(&list, ',', &each))
			if (each.len == name.len && strncasecmp(each.at, name.at, name.len) == 0)
				return true;
	}
	return false;
}

/* A Cookie header without those that are ours; nothing when none is left. */
static int put_cookies(struct buf *out, struct head_text rest, const char *const *ours)
{
	struct head_text pair;
	bool any = false;
	int r = 0;

	while (r == 0 && split(&rest, ';', &pair)) {
		if (pair.len == 0 || is_one_of(cookie_name(pair), ours))
			continue;
		r = buf_printf(out, "%s%.*s", any ? "; " : "Cookie: ", (int)pair.len, pair.at);
		any = true;
	}
	return r == 0 && any ? buf_printf(out, "\r\n") : r;
}

int head_forward(const struct head *h, const struct head_request *r, const struct head_way *way, struct buf *out)
{
	static const char *const told[] = { "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP", "Forwarded", NULL };
	int bad = buf_printf(out, "%.*s %.*s HTTP/1.1\r\n", (int)r->method.len, r->method.at, (int)r->target.len, r->target.at);

	for (size_t i = 0; i < h->count && bad == 0; i++) {
		const struct head_field *f = &h->fields[i];

		if (is_hop(h, f->name) || is_one_of(f->name, told) || is_one_of(f->name, way->drop))
			continue;
		bad = head_is(f->name, "Cookie") ? put_cookies(out, f->value, way->cookies) : put_field(out, f->name, f->value);
	}
	if (bad == 0)
		bad = buf_printf(out, "X-Forwarded-For: %s\r\nX-Forwarded-Proto: %s\r\nX-Forwarded-Host: %.*s\r\n%s\r\n", way->from, way->proto, (int)r->host.len,
				 r->host.at, r->websocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\n" : "Connection: close\r\n");
	return bad == 0 ? 0 : -ENOSPC;
}

static int put_set_cookie(struct buf *out, struct head_text rest, const char *const *ours)
{
	struct head_text part;
	int r = 0;

	if (!split(&rest, ';', &part) || is_one_of(cookie_name(part), ours))
		return 0;
	r = buf_printf(out, "Set-Cookie: %.*s", (int)part.len, part.at);
	while (r == 0 && split(&rest, ';', &part))
		if (!head_is(cookie_name(part), "Domain") && !head_is(part, "Domain"))
			r = buf_printf(out, "; %.*s", (int)part.len, part.at);
	return r == 0 ? buf_printf(out, "\r\n") : r;
}

int head_answer(const struct head *h, const struct head_way *way, unsigned *status, struct buf *out)
{
	const struct head_text *l = &h->line;
	int r;

	if (l->len < 12 || memcmp(l->at, "HTTP/1.", 7) != 0 || l->at[8] != ' ')
		return -EPROTO;
	*status = 0;
	for (size_t i = 9; i < 12; i++) {
		if (l->at[i] < '0' || l->at[i] > '9')
			return -EPROTO;
		*status = *status * 10 + (unsigned)(l->at[i] - '0');
	}
	if (*status < 100 || (l->len > 12 && l->at[12] != ' '))
		return -EPROTO;
	if (*status < 200 && *status != 101)
		return 0;
	r = buf_printf(out, "HTTP/1.1 %.*s\r\n", (int)(l->len - 9), l->at + 9);
	for (size_t i = 0; i < h->count && r == 0; i++) {
		const struct head_field *f = &h->fields[i];

		if (is_hop(h, f->name))
			continue;
		r = head_is(f->name, "Set-Cookie") ? put_set_cookie(out, f->value, way->cookies) : put_field(out, f->name, f->value);
	}
	if (r == 0)
		r = buf_printf(out, "%s\r\n", *status == 101 ? "Connection: Upgrade\r\nUpgrade: websocket\r\n" : "Connection: close\r\n");
	return r == 0 ? 0 : -ENOSPC;
}

/* --- places ----------------------------------------------------------------------------------------------------------------- */

int preview_place(struct head_text host, const char *domain, struct preview_place *out)
{
	size_t tail = strlen(domain), len, dash;
	unsigned long port = 0;

	if (host.len <= tail + 1 || host.at[host.len - tail - 1] != '.' || strncasecmp(host.at + host.len - tail, domain, tail) != 0)
		return -ENOENT;
	len = dash = host.len - tail - 1;
	while (dash > 0 && host.at[dash - 1] != '-')
		dash--;
	if (dash < 2 || dash - 1 >= sizeof(out->machine) || len - dash < 1 || len - dash > 5 || host.at[dash] == '0')
		return -EINVAL;
	for (size_t i = dash; i < len; i++) {
		if (host.at[i] < '0' || host.at[i] > '9')
			return -EINVAL;
		port = port * 10 + (unsigned long)(host.at[i] - '0');
	}
	for (size_t i = 0; i < dash - 1; i++) {
		char c = host.at[i];

		c = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-')
			return -EINVAL;
		out->machine[i] = c;
	}
	out->machine[dash - 1] = '\0';
	out->port = (uint16_t)port;
	return port >= 1 && port <= 65535 ? 0 : -EINVAL;
}
