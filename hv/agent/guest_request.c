/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "hv/agent/guest.h"
#include "hv/agent/report.h"

#define REPORT_BURST	8.0 /* terminals opened at once */
#define REPORT_EVERY_MS 1000.0

#define FRONT_MAX AGENT_DATA_MAX /* bytes of one answer */

/* One request: reads @f->body, adds the body of the answer after the status. Returns 0 or -errno; -EPROTO is a malformed request; JOB_E_LATER. */
typedef int serve_fn(struct guest *g, struct agent_frame *f, struct buf *out);

static int on_health(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct agent_health h;
	int r;

	if (!agent_get_done(&f->body))
		return -EPROTO;
	r = health_take(g, &h);
	if (r == 0)
		agent_put_health(out, &h);
	return r;
}

static void put_description(const struct guest_job *j, struct buf *out)
{
	struct agent_job d;

	job_describe(j, &d);
	agent_put_job(out, &d);
}

/* Nothing that comes with it may change what it does. */
static bool is_sealed_terminal(const struct agent_open *o)
{
	return o->kind == AGENT_KIND_SEALED && !o->env[0] && !o->cwd[0];
}

static int on_open(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct agent_open o;
	struct guest_job *j;
	int r = agent_get_open(&f->body, &o);

	if (r == 0 && g->sealed && !is_sealed_terminal(&o))
		r = -EPERM;
	if (r == 0)
		r = job_open(g, &o, f->seq, &j);
	if (r == 0)
		put_description(j, out);
	return r;
}

void guest_opened(struct guest_job *j, uint32_t seq, int status)
{
	struct guest *g = j->g;
	size_t start = guest_begin(g, &(struct agent_frame){ .type = AGENT_OPEN | AGENT_REPLY, .seq = seq });

	agent_put_u32(&g->link.out, (uint32_t)status);
	if (status == 0)
		put_description(j, &g->link.out);
	(void)guest_end(g, start);
}

static int on_attach(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct guest_job *j = job_find(g, f->job);
	uint64_t from[2];
	int r;

	from[0] = agent_get_u64(&f->body);
	from[1] = agent_get_u64(&f->body);
	if (!agent_get_done(&f->body))
		return -EPROTO;
	r = j ? job_attach(j, from) : -ESRCH;
	if (r == 0)
		put_description(j, out);
	return r;
}

/* The list is in no order: jobs take turns in it. */
static const struct guest_job *job_after(const struct guest *g, uint32_t id)
{
	const struct guest_job *next = NULL;

	for (const struct guest_job *j = g->jobs; j; j = j->next) {
		if (j->id > id && !j->closing && (!next || j->id < next->id))
			next = j;
	}
	return next;
}

static int on_list(struct guest *g, struct agent_frame *f, struct buf *out)
{
	const struct guest_job *found[AGENT_LIST_MAX];
	uint32_t after = agent_get_u32(&f->body), n = 0;

	if (!agent_get_done(&f->body))
		return -EPROTO;
	while (n < AGENT_LIST_MAX && (found[n] = job_after(g, after)) != NULL)
		after = found[n++]->id;
	agent_put_u32(out, n);
	for (uint32_t i = 0; i < n; i++)
		put_description(found[i], out);
	return 0;
}

/* As many as fit: the next request goes on after the last one. */
static int on_front(struct guest *g, struct agent_frame *f, struct buf *out)
{
	uint32_t after = agent_get_u32(&f->body), n = 0;
	const struct guest_job *j;
	struct buf list = BUF_INIT(FRONT_MAX);

	if (!agent_get_done(&f->body))
		return -EPROTO;
	while (n < AGENT_LIST_MAX && (j = job_after(g, after)) != NULL) {
		char program[AGENT_PROGRAM_BYTES], cwd[AGENT_PATH_MAX + 1];
		struct agent_front front = { .job = j->id, .program = program, .cwd = cwd };

		after = j->id;
		if (job_front(j, &front.pid, program, cwd) < 0)
			continue;
		if (FRONT_MAX - list.len < sizeof(program) + sizeof(cwd) + 8)
			break;
		agent_put_front(&list, &front);
		n++;
	}
	agent_put_u32(out, n);
	agent_put_bytes(out, list.data, list.len);
	buf_finish(&list);
	return 0;
}

static int on_resize(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct guest_job *j = job_find(g, f->job);
	uint16_t v[4];

	(void)out;
	for (size_t i = 0; i < 4; i++)
		v[i] = agent_get_u16(&f->body);
	if (!agent_get_done(&f->body))
		return -EPROTO;
	return j ? job_resize(j, v[0], v[1], v[2], v[3]) : -ESRCH;
}

static int on_signal(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct guest_job *j = job_find(g, f->job);
	uint32_t number = agent_get_u32(&f->body);

	(void)out;
	if (!agent_get_done(&f->body))
		return -EPROTO;
	return j ? job_signal(j, number) : -ESRCH;
}

static int on_close(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct guest_job *j = job_find(g, f->job);

	(void)out;
	if (!agent_get_done(&f->body))
		return -EPROTO;
	if (j)
		job_close(j);
	return j ? 0 : -ESRCH;
}

static int on_file(struct guest *g, struct agent_frame *f, struct buf *out)
{
	return file_request(g->root_fd, f->type, &f->body, out);
}

static int on_identity(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct agent_identity i;
	int r = agent_get_identity(&f->body, &i);

	(void)out;
	if (r < 0)
		return r;
	if (g->sealed) {
		i.entropy_len = 0;
		i.clock_ns = 0;
		i.has_machine = false;
	}
	if (g->console.pid)
		return -EOPNOTSUPP; /* name and clock would be the host's */
	if (i.reborn && g->sealed)
		return -EPERM;
	if (i.reborn)
		memcpy(g->boot_id, i.rebirth.boot_id, sizeof(g->boot_id));
	return identity_apply(g, &i);
}

/* The bytes stay where the request was read, which is wiped: see guest_link.c. */
static int on_secret(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct agent_in whole = f->body;
	struct agent_secret s;
	int r = agent_get_secret(&f->body, &s);

	(void)out;
	if (r == 0)
		r = g->console.pid ? -EOPNOTSUPP : secret_apply(g->root_fd, &s); /* its memory is the host's */
	explicit_bzero((void *)(uintptr_t)whole.at, whole.left);
	g->link.wipe = true;
	return r;
}

static int on_card(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct agent_card c;
	int r = agent_get_card(&f->body, &c);

	(void)out;
	if (r < 0)
		return r;
	return g->console.pid ? -EOPNOTSUPP : card_apply(&c); /* the network would be the host's */
}

static int on_power(struct guest *g, struct agent_frame *f, struct buf *out)
{
	uint32_t how = agent_get_u32(&f->body);

	(void)out;
	if (!agent_get_done(&f->body))
		return -EPROTO;
	if (!g->console.pid)
		return power_request(how);
	return how == AGENT_POWER_OFF ? console_hang_up(g) : -EOPNOTSUPP;
}

/* Refills what a conversation may ask of the processor, which all guests share. */
static bool may_report(struct guest *g)
{
	uint64_t now = loop_now_ms();

	g->report_tokens += (double)(now - g->report_ms) / REPORT_EVERY_MS;
	if (g->report_tokens > REPORT_BURST || g->report_ms == 0)
		g->report_tokens = REPORT_BURST;
	g->report_ms = now;
	if (g->report_tokens < 1)
		return false;
	g->report_tokens -= 1;
	return true;
}

/*
 * Blocks until the processor has answered. Safe because: that takes milliseconds; a host that makes it longer holds up a guest that it could stop
 * altogether.
 */
static int on_report(struct guest *g, struct agent_frame *f, struct buf *out)
{
	const struct report_source source = report_source_default();
	struct buf report = BUF_INIT(REPORT_BYTES_MAX), certs = BUF_INIT(REPORT_CERTS_MAX);
	uint8_t data[REPORT_DATA_BYTES];
	int r;

	agent_get_bytes(&f->body, data, sizeof(data));
	if (!agent_get_done(&f->body))
		return -EPROTO;
	r = may_report(g) ? report_take(&source, data, &report, &certs) : -EBUSY;
	if (r == 0)
		agent_put_report(out, &(struct agent_report){ .report = (const uint8_t *)report.data, .report_len = report.len,
							      .certs = (const uint8_t *)certs.data, .certs_len = certs.len });
	buf_finish(&report);
	buf_finish(&certs);
	return r == -EPROTO ? -EIO : r; /* the request itself was well formed */
}

static serve_fn *const serve[AGENT_REQUESTS] = {
	[AGENT_HEALTH] = on_health, [AGENT_OPEN] = on_open,	 [AGENT_ATTACH] = on_attach, [AGENT_LIST] = on_list,
	[AGENT_RESIZE] = on_resize, [AGENT_SIGNAL] = on_signal,	 [AGENT_CLOSE] = on_close,   [AGENT_STAT] = on_file,
	[AGENT_READDIR] = on_file,  [AGENT_READ] = on_file,	 [AGENT_WRITE] = on_file,    [AGENT_RENAME] = on_file,
	[AGENT_REMOVE] = on_file,   [AGENT_MKDIR] = on_file,	 [AGENT_IDENTITY] = on_identity,
	[AGENT_POWER] = on_power,   [AGENT_FRONT] = on_front, [AGENT_REPORT] = on_report,
	[AGENT_SECRET] = on_secret, [AGENT_CARD] = on_card,
};

/* What a host may ask of a guest that does not believe it. */
static const bool for_sealed[AGENT_REQUESTS] = {
	[AGENT_HEALTH] = true, [AGENT_OPEN] = true,	[AGENT_ATTACH] = true, [AGENT_LIST] = true,
	[AGENT_CLOSE] = true,  [AGENT_IDENTITY] = true, [AGENT_POWER] = true,  [AGENT_REPORT] = true,
};

static int serve_one(struct guest *g, struct agent_frame *f, struct buf *out)
{
	if (f->type >= AGENT_REQUESTS || !serve[f->type])
		return -EOPNOTSUPP; /* of a later version, say */
	return g->sealed && !for_sealed[f->type] ? -EPERM : serve[f->type](g, f, out);
}

/* A job that is being closed may still be spoken to by a host that does not know of it yet: that is not wrong. */
static bool on_stream(struct guest *g, struct agent_frame *f)
{
	struct guest_job *j = job_find(g, f->job);

	if (!j)
		return f->job <= g->last_id;
	if (f->type == AGENT_CREDIT)
		return job_on_credit(j, f->stream, &f->body);
	if (f->stream != AGENT_STDIN)
		return false;
	return f->type == AGENT_DATA ? job_on_data(j, &f->body) : job_on_end(j, &f->body);
}

bool guest_request(struct guest *g, struct agent_frame *f)
{
	struct buf *out = &g->link.out;
	struct agent_frame head = { .type = f->type | AGENT_REPLY, .job = f->job, .seq = f->seq };
	size_t start, body;
	int r;

	if (f->type == AGENT_DATA || f->type == AGENT_CREDIT || f->type == AGENT_END)
		return on_stream(g, f);
	if (f->type >= AGENT_DATA || f->stream != 0)
		return false;
	start = guest_begin(g, &head);
	body = out->len;
	agent_put_u32(out, 0);
	r = serve_one(g, f, out);
	if (r == JOB_E_LATER) {
		out->len = start;
		return true;
	}
	if (r < 0) {
		out->len = body;
		agent_put_u32(out, (uint32_t)r);
	}
	if (guest_end(g, start) < 0)
		return false;
	guest_wake(g);
	return r != -EPROTO;
}
