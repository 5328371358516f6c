/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/sysinfo.h>

#include "hv/agent/guest.h"

#define FRONT_MAX AGENT_DATA_MAX /* bytes of one answer */

/* One request: reads @f->body, adds the body of the answer after the status. Returns 0 or -errno; -EPROTO is a malformed request. */
typedef int serve_fn(struct guest *g, struct agent_frame *f, struct buf *out);

static int on_health(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct sysinfo s;

	if (!agent_get_done(&f->body))
		return -EPROTO;
	if (sysinfo(&s) < 0)
		return -errno;
	agent_put_u64(out, (uint64_t)s.uptime * 1000);
	agent_put_u64(out, (uint64_t)s.totalram * s.mem_unit);
	agent_put_u64(out, (uint64_t)(s.freeram + s.bufferram) * s.mem_unit);
	agent_put_u32(out, g->njobs);
	agent_put_u32(out, (uint32_t)((uint64_t)s.loads[0] * 1000 >> SI_LOAD_SHIFT));
	return 0;
}

static void put_description(const struct guest_job *j, struct buf *out)
{
	struct agent_job d;

	job_describe(j, &d);
	agent_put_job(out, &d);
}

static int on_open(struct guest *g, struct agent_frame *f, struct buf *out)
{
	struct agent_open o;
	struct guest_job *j;
	int r = agent_get_open(&f->body, &o);

	if (r == 0)
		r = job_open(g, &o, &j);
	if (r == 0)
		put_description(j, out);
	return r;
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
	return g->console.pid ? -EOPNOTSUPP : identity_apply(&i); /* name and clock would be the host's */
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

static serve_fn *const serve[AGENT_REQUESTS] = {
	[AGENT_HEALTH] = on_health, [AGENT_OPEN] = on_open,	 [AGENT_ATTACH] = on_attach, [AGENT_LIST] = on_list,
	[AGENT_RESIZE] = on_resize, [AGENT_SIGNAL] = on_signal,	 [AGENT_CLOSE] = on_close,   [AGENT_STAT] = on_file,
	[AGENT_READDIR] = on_file,  [AGENT_READ] = on_file,	 [AGENT_WRITE] = on_file,    [AGENT_RENAME] = on_file,
	[AGENT_REMOVE] = on_file,   [AGENT_MKDIR] = on_file,	 [AGENT_IDENTITY] = on_identity,
	[AGENT_POWER] = on_power,   [AGENT_FRONT] = on_front,
};

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
	r = f->type < AGENT_REQUESTS && serve[f->type] ? serve[f->type](g, f, out) : -EOPNOTSUPP; /* of a later version, say */
	if (r < 0) {
		out->len = body;
		agent_put_u32(out, (uint32_t)r);
	}
	if (guest_end(g, start) < 0)
		return false;
	guest_wake(g);
	return r != -EPROTO;
}
