/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/agent/codec.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t *take(struct agent_in *in, size_t len)
{
	const uint8_t *at = in->at;

	if (in->bad || len > in->left) {
		in->bad = true;
		return NULL;
	}
	in->at += len;
	in->left -= len;
	return at;
}

void agent_get_bytes(struct agent_in *in, void *out, size_t len)
{
	const uint8_t *at = take(in, len);

	if (at)
		memcpy(out, at, len);
	else
		memset(out, 0, len);
}

uint8_t agent_get_u8(struct agent_in *in)
{
	uint8_t v;

	agent_get_bytes(in, &v, sizeof(v));
	return v;
}

uint16_t agent_get_u16(struct agent_in *in)
{
	uint16_t v;

	agent_get_bytes(in, &v, sizeof(v));
	return be16toh(v);
}

uint32_t agent_get_u32(struct agent_in *in)
{
	uint32_t v;

	agent_get_bytes(in, &v, sizeof(v));
	return be32toh(v);
}

uint64_t agent_get_u64(struct agent_in *in)
{
	uint64_t v;

	agent_get_bytes(in, &v, sizeof(v));
	return be64toh(v);
}

const char *agent_get_str(struct agent_in *in, size_t max)
{
	const uint8_t *nul = in->bad ? NULL : memchr(in->at, '\0', in->left < max + 1 ? in->left : max + 1);

	if (!nul) {
		in->bad = true;
		return "";
	}
	return (const char *)take(in, (size_t)(nul - in->at) + 1);
}

bool agent_get_done(const struct agent_in *in)
{
	return !in->bad && in->left == 0;
}

void agent_put_bytes(struct buf *b, const void *data, size_t len)
{
	if (len > 0 && !b->full)
		(void)buf_add(b, data, len); /* b->full remembers, agent_frame_end() asks */
}

void agent_put_u8(struct buf *b, uint8_t v)
{
	agent_put_bytes(b, &v, sizeof(v));
}

void agent_put_u16(struct buf *b, uint16_t v)
{
	v = htobe16(v);
	agent_put_bytes(b, &v, sizeof(v));
}

void agent_put_u32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	agent_put_bytes(b, &v, sizeof(v));
}

void agent_put_u64(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	agent_put_bytes(b, &v, sizeof(v));
}

void agent_put_str(struct buf *b, const char *s)
{
	agent_put_bytes(b, s, strlen(s) + 1);
}

size_t agent_frame_begin(struct buf *b, const struct agent_frame *head)
{
	size_t start = b->len;

	b->full = false;
	agent_put_u32(b, 0);
	agent_put_u8(b, head->type);
	agent_put_u8(b, head->stream);
	agent_put_u16(b, 0);
	agent_put_u32(b, head->job);
	agent_put_u32(b, head->seq);
	return start;
}

int agent_frame_end(struct buf *b, size_t start, uint32_t tail)
{
	uint32_t size;
	bool fits;

	agent_put_u32(b, tail);
	fits = !b->full;
	b->full = false;
	if (!fits || b->len - start > AGENT_FRAME_MAX) {
		b->len = start;
		return fits ? -EMSGSIZE : -ENOSPC;
	}
	size = htobe32((uint32_t)(b->len - start));
	memcpy(b->data + start, &size, sizeof(size));
	return 0;
}

void agent_put_pad(struct buf *b)
{
	uint8_t pad[1024];

	memset(pad, AGENT_PAD, sizeof(pad));
	for (size_t left = AGENT_FRAME_MAX; left > 0;) {
		size_t n = left < sizeof(pad) ? left : sizeof(pad);

		agent_put_bytes(b, pad, n);
		left -= n;
	}
}

bool agent_good_tail(uint32_t tail)
{
	for (unsigned shift = 0; shift < 32; shift += 8) {
		if (((tail >> shift) & 0xffU) == AGENT_PAD)
			return false;
	}
	return tail != 0;
}

void agent_reader_init(struct agent_reader *r, uint8_t hello)
{
	memset(r, 0, sizeof(*r));
	r->hello = hello;
}

void agent_reader_finish(struct agent_reader *r)
{
	free(r->frame);
	r->frame = NULL;
	r->len = 0;
}

static uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static void lose_sync(struct agent_reader *r)
{
	r->synced = false;
	r->in_pad = false;
	r->tail = 0;
	r->len = 0;
}

/* Bytes before a frame: all of the pad, and what comes before a pad while none was seen. */
static size_t skip(struct agent_reader *r, const uint8_t *data, size_t len)
{
	size_t n = 0;

	if (r->len > 0)
		return 0;
	if (!r->synced && !r->in_pad) {
		const uint8_t *pad = memchr(data, (int)AGENT_PAD, len);

		if (!pad)
			return len;
		r->in_pad = true;
		n = (size_t)(pad - data);
	}
	while (n < len && data[n] == AGENT_PAD)
		n++;
	if (n < len)
		r->synced = true;
	return n;
}

/* Copies what the frame at hand still lacks. Returns bytes used, or -1 if the size cannot be. */
static long fill(struct agent_reader *r, const uint8_t *data, size_t len)
{
	size_t want, n;

	if (!r->frame)
		r->frame = malloc(AGENT_FRAME_MAX);
	if (!r->frame)
		return -1;
	want = r->len < 4 ? 4 : u32_at(r->frame);
	if (r->len >= 4 && (want < AGENT_HEAD_BYTES + AGENT_TAIL_BYTES || want > AGENT_FRAME_MAX))
		return -1;
	n = want - r->len < len ? want - r->len : len;
	memcpy(r->frame + r->len, data, n);
	r->len += n;
	return (long)n;
}

/* A whole frame is there: 1 = handed over, 0 = the taker wants no more, -1 = not to be believed. */
static int finish_frame(struct agent_reader *r, const uint8_t *frame, size_t size, bool (*on_frame)(void *arg, struct agent_frame *f), void *arg)
{
	struct agent_in head = { frame + 4, AGENT_HEAD_BYTES - 4, false };
	struct agent_frame f = { .body = { frame + AGENT_HEAD_BYTES, size - AGENT_HEAD_BYTES - AGENT_TAIL_BYTES, false } };
	uint32_t tail = u32_at(frame + size - AGENT_TAIL_BYTES);
	uint16_t reserved;

	f.type = agent_get_u8(&head);
	f.stream = agent_get_u8(&head);
	reserved = agent_get_u16(&head);
	f.job = agent_get_u32(&head);
	f.seq = agent_get_u32(&head);
	r->len = 0;
	/* A HELLO brings a new tail of its own, at any time. */
	if (reserved != 0 || f.stream >= AGENT_STREAMS || (f.type != r->hello && (r->tail == 0 || tail != r->tail)) || !agent_good_tail(tail))
		return -1;
	return on_frame(arg, &f) ? 1 : 0;
}

/* The size of a frame that begins at @data and is all there: it need not be copied. 0 if it is not. */
static size_t whole_frame(const struct agent_reader *r, const uint8_t *data, size_t len)
{
	size_t size = r->len == 0 && len >= AGENT_HEAD_BYTES + AGENT_TAIL_BYTES ? u32_at(data) : 0;

	return size >= AGENT_HEAD_BYTES + AGENT_TAIL_BYTES && size <= AGENT_FRAME_MAX && size <= len ? size : 0;
}

unsigned agent_reader_feed(struct agent_reader *r, const uint8_t *data, size_t *len, bool (*on_frame)(void *arg, struct agent_frame *f),
			   void *arg)
{
	unsigned bad = 0;
	size_t at = 0;

	while (at < *len) {
		size_t whole;
		long n;
		int got = 1;

		at += skip(r, data + at, *len - at);
		if (at == *len)
			break;
		whole = whole_frame(r, data + at, *len - at);
		n = whole > 0 ? (long)whole : fill(r, data + at, *len - at);
		at += n > 0 ? (size_t)n : 0;
		if (n < 0)
			got = -1;
		else if (whole > 0)
			got = finish_frame(r, data + at - whole, whole, on_frame, arg);
		else if (r->len >= AGENT_HEAD_BYTES + AGENT_TAIL_BYTES && r->len == u32_at(r->frame))
			got = finish_frame(r, r->frame, r->len, on_frame, arg);
		if (got < 0) {
			bad++;
			lose_sync(r);
		}
		if (got == 0)
			break;
	}
	*len = at;
	if (r->len == 0)
		agent_reader_finish(r);
	return bad;
}

void agent_put_hello(struct buf *b, const struct agent_hello *h)
{
	agent_put_bytes(b, AGENT_MAGIC, 8);
	agent_put_u16(b, h->lowest);
	agent_put_u16(b, h->highest);
	agent_put_bytes(b, h->nonce, sizeof(h->nonce));
	agent_put_u32(b, h->tail);
}

static bool get_magic(struct agent_in *in)
{
	char magic[8];

	agent_get_bytes(in, magic, sizeof(magic));
	return memcmp(magic, AGENT_MAGIC, sizeof(magic)) == 0;
}

int agent_get_hello(struct agent_in *in, struct agent_hello *h)
{
	bool good = get_magic(in);

	memset(h, 0, sizeof(*h));
	h->lowest = agent_get_u16(in);
	h->highest = agent_get_u16(in);
	agent_get_bytes(in, h->nonce, sizeof(h->nonce));
	h->tail = agent_get_u32(in);
	return good && agent_get_done(in) && h->lowest <= h->highest && agent_good_tail(h->tail) ? 0 : -EPROTO;
}

void agent_put_hello_reply(struct buf *b, const struct agent_hello *h)
{
	agent_put_bytes(b, AGENT_MAGIC, 8);
	agent_put_u16(b, h->highest);
	agent_put_u16(b, 0);
	agent_put_bytes(b, h->nonce, sizeof(h->nonce));
	agent_put_bytes(b, h->boot_id, sizeof(h->boot_id));
}

int agent_get_hello_reply(struct agent_in *in, struct agent_hello *h)
{
	bool good = get_magic(in);

	memset(h, 0, sizeof(*h));
	h->lowest = h->highest = agent_get_u16(in);
	good = agent_get_u16(in) == 0 && good;
	agent_get_bytes(in, h->nonce, sizeof(h->nonce));
	agent_get_bytes(in, h->boot_id, sizeof(h->boot_id));
	return good && agent_get_done(in) ? 0 : -EPROTO;
}

static void put_strings(struct buf *b, const char *const *s)
{
	for (; *s; s++)
		agent_put_str(b, *s);
}

static uint16_t count(const char *const *s)
{
	uint16_t n = 0;

	while (s[n])
		n++;
	return n;
}

void agent_put_open(struct buf *b, const struct agent_open *o)
{
	agent_put_u8(b, (uint8_t)o->kind);
	agent_put_u8(b, 0);
	agent_put_u16(b, o->cols);
	agent_put_u16(b, o->rows);
	agent_put_u16(b, count(o->argv));
	agent_put_u16(b, count(o->env));
	agent_put_u16(b, 0);
	agent_put_bytes(b, o->tag, sizeof(o->tag));
	agent_put_u32(b, o->timeout_ms);
	agent_put_u32(b, o->cpu_s);
	agent_put_u64(b, o->memory_bytes);
	agent_put_str(b, o->cwd ? o->cwd : "");
	put_strings(b, o->argv);
	put_strings(b, o->env);
}

static bool known_kind(uint8_t kind)
{
	return kind >= AGENT_KIND_PTY && kind <= AGENT_KIND_PORT;
}

int agent_get_open(struct agent_in *in, struct agent_open *o)
{
	uint16_t argc, envc, zero;
	uint8_t kind;

	memset(o, 0, sizeof(*o));
	kind = agent_get_u8(in);
	zero = agent_get_u8(in);
	o->cols = agent_get_u16(in);
	o->rows = agent_get_u16(in);
	argc = agent_get_u16(in);
	envc = agent_get_u16(in);
	zero |= agent_get_u16(in);
	agent_get_bytes(in, o->tag, sizeof(o->tag));
	o->timeout_ms = agent_get_u32(in);
	o->cpu_s = agent_get_u32(in);
	o->memory_bytes = agent_get_u64(in);
	if (in->bad || zero != 0 || argc > AGENT_ARGC_MAX || envc > AGENT_ARGC_MAX || in->left > AGENT_STRINGS_MAX)
		return -EPROTO;
	if (!known_kind(kind) || ((kind == AGENT_KIND_EXEC || kind == AGENT_KIND_COMMAND) && argc == 0) || ((kind == AGENT_KIND_SEALED || kind == AGENT_KIND_PORT) && argc != 1))
		return -EPROTO;
	o->kind = (enum agent_kind)kind;
	o->cwd = agent_get_str(in, AGENT_PATH_MAX);
	for (uint16_t i = 0; i < argc; i++)
		o->argv[i] = agent_get_str(in, AGENT_STRINGS_MAX);
	for (uint16_t i = 0; i < envc; i++)
		o->env[i] = agent_get_str(in, AGENT_STRINGS_MAX);
	return agent_get_done(in) ? 0 : -EPROTO;
}

void agent_put_job(struct buf *b, const struct agent_job *j)
{
	agent_put_u32(b, j->id);
	agent_put_u32(b, j->pid);
	agent_put_u8(b, (uint8_t)j->kind);
	agent_put_u8(b, j->flags);
	agent_put_u16(b, j->cols);
	agent_put_u16(b, j->rows);
	agent_put_bytes(b, j->tag, sizeof(j->tag));
	for (size_t s = 0; s < 2; s++) {
		agent_put_u64(b, j->first[s]);
		agent_put_u64(b, j->end[s]);
	}
	agent_put_u64(b, j->in_taken);
	agent_put_u32(b, (uint32_t)j->status);
	agent_put_u32(b, j->signal);
}

int agent_get_job(struct agent_in *in, struct agent_job *j)
{
	uint8_t kind;

	memset(j, 0, sizeof(*j));
	j->id = agent_get_u32(in);
	j->pid = agent_get_u32(in);
	kind = agent_get_u8(in);
	j->flags = agent_get_u8(in);
	j->cols = agent_get_u16(in);
	j->rows = agent_get_u16(in);
	agent_get_bytes(in, j->tag, sizeof(j->tag));
	for (size_t s = 0; s < 2; s++) {
		j->first[s] = agent_get_u64(in);
		j->end[s] = agent_get_u64(in);
		if (j->end[s] > INT64_MAX || j->end[s] < j->first[s] || j->end[s] - j->first[s] > AGENT_RING_BYTES)
			return -EPROTO;
	}
	j->in_taken = agent_get_u64(in);
	j->status = (int32_t)agent_get_u32(in);
	j->signal = agent_get_u32(in);
	if (in->bad || j->id == 0 || j->in_taken > INT64_MAX || !known_kind(kind) || j->flags > AGENT_JOB_FLAGS)
		return -EPROTO;
	j->kind = (enum agent_kind)kind;
	return 0;
}

void agent_put_front(struct buf *b, const struct agent_front *f)
{
	agent_put_u32(b, f->job);
	agent_put_u32(b, f->pid);
	agent_put_str(b, f->program);
	agent_put_str(b, f->cwd);
}

int agent_get_front(struct agent_in *in, struct agent_front *f)
{
	f->job = agent_get_u32(in);
	f->pid = agent_get_u32(in);
	f->program = agent_get_str(in, AGENT_PROGRAM_BYTES - 1);
	f->cwd = agent_get_str(in, AGENT_PATH_MAX);
	return in->bad || f->job == 0 ? -EPROTO : 0;
}

void agent_put_stat(struct buf *b, const struct agent_stat *s)
{
	agent_put_u32(b, s->mode);
	agent_put_u32(b, s->uid);
	agent_put_u32(b, s->gid);
	agent_put_u64(b, s->size);
	agent_put_u64(b, s->mtime_ns);
}

int agent_get_stat(struct agent_in *in, struct agent_stat *s)
{
	s->mode = agent_get_u32(in);
	s->uid = agent_get_u32(in);
	s->gid = agent_get_u32(in);
	s->size = agent_get_u64(in);
	s->mtime_ns = agent_get_u64(in);
	return agent_get_done(in) ? 0 : -EPROTO;
}

static void put_rebirth(struct buf *b, const struct agent_rebirth *r)
{
	agent_put_bytes(b, r->boot_id, sizeof(r->boot_id));
	agent_put_bytes(b, r->interface, sizeof(r->interface));
	agent_put_bytes(b, r->mac, sizeof(r->mac));
	agent_put_u8(b, r->release);
	agent_put_u16(b, r->cols);
	agent_put_u16(b, r->rows);
}

static bool get_rebirth(struct agent_in *in, struct agent_rebirth *r)
{
	agent_get_bytes(in, r->boot_id, sizeof(r->boot_id));
	agent_get_bytes(in, r->interface, sizeof(r->interface));
	agent_get_bytes(in, r->mac, sizeof(r->mac));
	r->release = agent_get_u8(in) != 0;
	r->cols = agent_get_u16(in);
	r->rows = agent_get_u16(in);
	return memchr(r->interface, '\0', sizeof(r->interface)) != NULL;
}

static void put_address(struct buf *b, const struct agent_address *a)
{
	agent_put_bytes(b, a->interface, sizeof(a->interface));
	agent_put_u8(b, a->family);
	agent_put_u8(b, a->prefix);
	agent_put_bytes(b, a->address, sizeof(a->address));
	agent_put_bytes(b, a->gateway, sizeof(a->gateway));
}

void agent_put_identity(struct buf *b, const struct agent_identity *i)
{
	agent_put_u64(b, i->clock_ns);
	agent_put_u8(b, (uint8_t)i->entropy_len);
	agent_put_u8(b, (uint8_t)i->addresses);
	agent_put_bytes(b, i->entropy, i->entropy_len);
	for (size_t n = 0; n < i->addresses; n++)
		put_address(b, &i->address[n]);
	agent_put_str(b, i->hostname ? i->hostname : "");
	if (i->has_machine) {
		agent_put_u8(b, 1);
		agent_put_bytes(b, i->machine, sizeof(i->machine));
	}
	if (i->reborn) {
		agent_put_u8(b, 2);
		put_rebirth(b, &i->rebirth);
	}
}

static bool get_address(struct agent_in *in, struct agent_address *a)
{
	agent_get_bytes(in, a->interface, sizeof(a->interface));
	a->family = agent_get_u8(in);
	a->prefix = agent_get_u8(in);
	agent_get_bytes(in, a->address, sizeof(a->address));
	agent_get_bytes(in, a->gateway, sizeof(a->gateway));
	if (in->bad || !memchr(a->interface, '\0', sizeof(a->interface)))
		return false;
	return (a->family == 4 && a->prefix <= 32) || (a->family == 6 && a->prefix <= 128);
}

/* Does the next part, if there is one, have this number? */
static bool get_tag(struct agent_in *in, uint8_t tag)
{
	return !in->bad && in->left > 0 && *in->at == tag && agent_get_u8(in) == tag;
}

int agent_get_identity(struct agent_in *in, struct agent_identity *i)
{
	memset(i, 0, sizeof(*i));
	i->clock_ns = agent_get_u64(in);
	i->entropy_len = agent_get_u8(in);
	i->addresses = agent_get_u8(in);
	if (in->bad || i->entropy_len > sizeof(i->entropy) || i->addresses > AGENT_ADDRESSES_MAX)
		return -EPROTO;
	agent_get_bytes(in, i->entropy, i->entropy_len);
	for (size_t n = 0; n < i->addresses; n++) {
		if (!get_address(in, &i->address[n]))
			return -EPROTO;
	}
	i->hostname = agent_get_str(in, 64);
	if (get_tag(in, 1)) {
		i->has_machine = true;
		agent_get_bytes(in, i->machine, sizeof(i->machine));
	}
	if (get_tag(in, 2)) {
		i->reborn = true;
		if (!get_rebirth(in, &i->rebirth))
			return -EPROTO;
	}
	return agent_get_done(in) ? 0 : -EPROTO;
}

void agent_put_card(struct buf *b, const struct agent_card *c)
{
	agent_put_bytes(b, c->mac, sizeof(c->mac));
	agent_put_u8(b, (uint8_t)c->addresses);
	for (size_t n = 0; n < c->addresses; n++)
		put_address(b, &c->address[n]);
}

int agent_get_card(struct agent_in *in, struct agent_card *c)
{
	memset(c, 0, sizeof(*c));
	agent_get_bytes(in, c->mac, sizeof(c->mac));
	c->addresses = agent_get_u8(in);
	if (in->bad || c->addresses > AGENT_CARD_ADDRESSES_MAX)
		return -EPROTO;
	for (size_t n = 0; n < c->addresses; n++) {
		if (!get_address(in, &c->address[n]) || c->address[n].interface[0] != '\0')
			return -EPROTO;
	}
	return agent_get_done(in) ? 0 : -EPROTO;
}

void agent_put_health(struct buf *b, const struct agent_health *h)
{
	agent_put_u64(b, h->uptime_ms);
	agent_put_u64(b, h->memory);
	agent_put_u64(b, h->memory_available);
	agent_put_u32(b, h->jobs);
	agent_put_u32(b, h->load_milli);
	if (!h->whole)
		return;
	agent_put_u64(b, h->clock_ns);
	agent_put_u64(b, h->disk);
	agent_put_u64(b, h->disk_available);
	agent_put_u32(b, h->flags);
}

int agent_get_health(struct agent_in *in, struct agent_health *h)
{
	*h = (struct agent_health){ .uptime_ms = agent_get_u64(in) };
	h->memory = agent_get_u64(in);
	h->memory_available = agent_get_u64(in);
	h->jobs = agent_get_u32(in);
	h->load_milli = agent_get_u32(in);
	h->whole = !in->bad && in->left > 0;
	if (h->whole) {
		h->clock_ns = agent_get_u64(in);
		h->disk = agent_get_u64(in);
		h->disk_available = agent_get_u64(in);
		h->flags = agent_get_u32(in);
	}
	if (!agent_get_done(in) || h->memory_available > h->memory || h->disk_available > h->disk || h->memory > INT64_MAX || h->disk > INT64_MAX ||
	    h->uptime_ms > INT64_MAX || h->clock_ns > INT64_MAX)
		return -EPROTO;
	return 0;
}

bool agent_secret_name(const char *name)
{
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n > 0 && n <= AGENT_SECRET_NAME_MAX && !name[n] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

bool agent_owner_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return n <= AGENT_OWNER_MAX && !name[n] && name[0] != '-';
}

void agent_put_secret(struct buf *b, const struct agent_secret *s)
{
	agent_put_u32(b, (uint32_t)s->how);
	agent_put_u32(b, s->mode);
	agent_put_str(b, s->owner ? s->owner : "");
	agent_put_str(b, s->name);
	agent_put_bytes(b, s->data, s->len);
}

int agent_get_secret(struct agent_in *in, struct agent_secret *s)
{
	uint32_t flags = agent_get_u32(in);

	memset(s, 0, sizeof(*s));
	s->how = flags <= AGENT_SECRET_ALL ? (enum agent_secret_how)flags : AGENT_SECRET_PUT;
	s->mode = agent_get_u32(in);
	s->owner = agent_get_str(in, AGENT_OWNER_MAX);
	s->name = agent_get_str(in, AGENT_SECRET_NAME_MAX);
	s->data = in->at;
	s->len = in->left;
	if (in->bad || flags > AGENT_SECRET_ALL || s->mode > 0777 || s->len > AGENT_DATA_MAX || (s->how != AGENT_SECRET_PUT && s->len > 0) || !agent_secret_name(s->name) ||
	    !agent_owner_name(s->owner))
		return -EPROTO;
	return 0;
}

static void put_piece(struct buf *b, const uint8_t *data, size_t len)
{
	agent_put_u32(b, (uint32_t)len);
	if (len > 0)
		agent_put_bytes(b, data, len);
}

void agent_put_report(struct buf *b, const struct agent_report *r)
{
	put_piece(b, r->report, r->report_len);
	put_piece(b, r->certs, r->certs_len);
}

static const uint8_t *get_piece(struct agent_in *in, size_t max, size_t *len)
{
	const uint8_t *at;

	*len = agent_get_u32(in);
	if (in->bad || *len > max || *len > in->left) {
		in->bad = true;
		*len = 0;
		return NULL;
	}
	at = in->at;
	in->at += *len;
	in->left -= *len;
	return at;
}

int agent_get_report(struct agent_in *in, struct agent_report *r)
{
	r->report = get_piece(in, AGENT_REPORT_MAX, &r->report_len);
	r->certs = get_piece(in, AGENT_CERTS_MAX, &r->certs_len);
	return agent_get_done(in) && r->report_len > 0 ? 0 : -EPROTO;
}
