/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/csession.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/ctl/frames.h"

#define CREDIT_STEP 32768U
#define WINDOW	    (384 << 10)
#define UNOPENED    "0000000000000000" /* no process has been behind the stream yet: what is typed waits for the first one */

void csession_init(struct csession *s, const char *stream, bool viewer)
{
	*s = (struct csession){ .viewer = viewer, .queue = BUF_INIT(CSESSION_INPUT_MAX) };
	(void)snprintf(s->stream, sizeof(s->stream), "%s", stream);
}

void csession_finish(struct csession *s)
{
	buf_finish(&s->queue);
}

json_t *csession_hello(const struct csession *s, const char *ticket, const struct wire_size *size)
{
	uint64_t typed = s->acked + s->queue.len;
	json_t *hello = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i}", "ticket", ticket, "stream", s->stream, "role",
				  s->viewer ? "viewer" : "controller", "window", WINDOW, "cols", size->cols, "rows", size->rows, "xpix",
				  size->xpix, "ypix", size->ypix);

	if (hello && s->epoch[0])
		(void)json_object_update_new(hello, json_pack("{s:s, s:I, s:I}", "epoch", s->epoch, "out_offset", (json_int_t)s->received,
							      "in_offset", (json_int_t)typed));
	return hello;
}

/*
 * The server wants input from @offset on. An offset outside the queue means that somebody else has typed since: a lost key is better than one
 * typed twice.
 */
static void cut(struct csession *s, uint64_t offset)
{
	if (offset < s->acked || offset - s->acked > s->queue.len)
		s->queue.len = 0;
	else
		buf_eat(&s->queue, (size_t)(offset - s->acked));
	s->acked = offset;
}

/* What is in WELCOME and in both EVENTs that tell who types. */
static int unpack_role(json_t *json, const char **role, uint64_t *in, uint32_t *turn)
{
	json_int_t in_offset, number;

	if (json_unpack(json, "{s:s, s:I, s:I}", "role", role, "in_offset", &in_offset, "turn", &number) < 0 || in_offset < 0 ||
	    number < 0 || number > UINT32_MAX)
		return -EPROTO;
	*in = (uint64_t)in_offset;
	*turn = (uint32_t)number;
	return 0;
}

static void drop_keys(struct csession *s)
{
	s->queue.len = 0;
	s->sent = 0;
}

int csession_welcome(struct csession *s, json_t *w, struct csession_news *news)
{
	bool first = s->epoch[0] == '\0', others;
	const char *epoch, *role;
	json_int_t out, typed;
	uint64_t in;
	uint32_t turn;

	*news = (struct csession_news){ 0 };
	if (json_unpack(w, "{s:s, s:I, s:I}", "epoch", &epoch, "out_offset", &out, "typed_turn", &typed) < 0 ||
	    unpack_role(w, &role, &in, &turn) < 0 || strlen(epoch) != 16 || out < 0)
		return -EPROTO;
	news->fresh = !first && strcmp(s->epoch, UNOPENED) != 0 && strcmp(s->epoch, epoch) != 0;
	if (!first && !news->fresh && (uint64_t)out > s->received)
		news->lost = (uint64_t)out - s->received;
	news->first = first;
	others = !first && typed > (json_int_t)s->turn; /* somebody else has typed since */
	news->astray = !first && !news->fresh && (others || in < s->acked || in - s->acked > s->queue.len);
	s->viewer = strcmp(role, "viewer") == 0;
	if (news->fresh || others || s->viewer) {
		news->dropped = s->queue.len;
		drop_keys(s);
	}
	if (!first && !news->fresh)
		cut(s, in);
	memcpy(s->epoch, epoch, sizeof(s->epoch));
	s->received = s->credited = (uint64_t)out;
	s->acked = in;
	s->turn = turn;
	s->sent = 0;
	return 0;
}

int csession_output(struct csession *s, const struct frame *f, const uint8_t **data, size_t *len)
{
	uint64_t have;

	*data = f->data;
	*len = f->len;
	if ((f->flags & (WIRE_GAP | WIRE_PREAMBLE)) && f->offset != s->received)
		s->received = s->credited = f->offset;
	if (f->flags & WIRE_PREAMBLE)
		return 0; /* sets the modes; not part of the stream */
	if (f->offset > s->received)
		return -EPROTO;
	have = s->received - f->offset;
	if (have >= f->len) {
		*len = 0;
		return 0;
	}
	*data += have;
	*len -= (size_t)have;
	s->received += *len;
	return 0;
}

bool csession_credit(struct csession *s, uint64_t *offset)
{
	if (s->received - s->credited < CREDIT_STEP)
		return false;
	s->credited = *offset = s->received;
	return true;
}

int csession_type(struct csession *s, const void *data, size_t len)
{
	if (s->viewer || s->queue.len + len > CSESSION_INPUT_MAX)
		return -ENOSPC;
	return buf_add(&s->queue, data, len);
}

size_t csession_input(struct csession *s, uint64_t *offset, const char **data)
{
	size_t n = s->queue.len - s->sent, most = WIRE_INPUT_MAX - WIRE_INPUT_HEAD;

	if (n > most)
		n = most;
	*offset = s->acked + s->sent;
	*data = s->queue.data + s->sent;
	s->sent += n;
	return n;
}

void csession_inack(struct csession *s, uint64_t offset)
{
	size_t n;

	if (offset <= s->acked)
		return;
	n = (size_t)(offset - s->acked);
	cut(s, offset);
	s->sent = n < s->sent ? s->sent - n : 0;
}

int csession_role(struct csession *s, json_t *event)
{
	const char *role;
	uint64_t in;
	uint32_t turn;

	if (unpack_role(event, &role, &in, &turn) < 0)
		return -EPROTO;
	/* To whom types already, the offset is how far the gateway has taken input in: no INACK, which says how far the machine has it. */
	if (turn == s->turn)
		return 0;
	drop_keys(s);
	s->viewer = strcmp(role, "viewer") == 0;
	if (!s->viewer)
		s->acked = in;
	s->turn = turn;
	return 1;
}
