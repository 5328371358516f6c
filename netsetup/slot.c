/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "netsetup/cgroup.h"
#include "netsetup/config.h"
#include "netsetup/ends.h"
#include "netsetup/spawn.h"

#define SWEEP_S	      0.01  /* how often the rest of an ended process is looked at */
#define ENDING_MAX_MS 5000  /* SIGKILL takes milliseconds; what stands longer hangs in the kernel */
#define FILES_RESERVE 64    /* the helper's own, and those of a start that is under way */
#define BURST_MS      1000.0 /* of the start rate: so many starts may come at once */

struct slots {
	struct slots_config c;
	struct slot *slot[NETD_SLOTS_MAX + 1]; /* owned; 0 is never used */
	uint32_t used, last, ending, running;
	uint32_t fds; /* kept by all slots */
	int null_fd;  /* owned */
	struct slot *due, **due_last;
	ev_timer sweep; /* runs while something is ending */
	double starts;	/* that may be made now */
	uint64_t starts_ms;
};

static void on_sweep(struct ev_loop *ev, ev_timer *w, int events);
static void on_exit_event(struct ev_loop *ev, ev_io *w, int events);

struct slots *slots_create(const struct slots_config *c, struct err *e)
{
	struct slots *slots = calloc(1, sizeof(*slots));

	if (!slots) {
		err_set(e, -ENOMEM, "no memory for the table of slots");
		return NULL;
	}
	slots->c = *c;
	slots->due_last = &slots->due;
	slots->starts = (double)c->config->start_rate;
	slots->starts_ms = loop_now_ms();
	ev_timer_init(&slots->sweep, on_sweep, SWEEP_S, SWEEP_S);
	slots->sweep.data = slots;
	slots->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (slots->null_fd < 0) {
		err_set(e, -errno, "cannot open /dev/null: %s", strerror(errno));
		return slots_destroy(slots);
	}
	return slots;
}

uint32_t slots_used(const struct slots *slots)
{
	return slots->used;
}

uint32_t slots_running(const struct slots *slots)
{
	return slots->running + slots->ending;
}

struct slot *slots_get(const struct slots *slots, uint32_t number)
{
	return number <= NETD_SLOTS_MAX ? slots->slot[number] : NULL;
}

struct slot *slots_find(const struct slots *slots, const uint8_t vm_id[16])
{
	for (uint32_t n = 1; n <= slots->c.config->slots; n++) {
		struct slot *s = slots->slot[n];

		if (s && s->phase != SLOT_LEAVING && memcmp(s->vm_id, vm_id, sizeof(s->vm_id)) == 0)
			return s;
	}
	return NULL;
}

/* --- notices --- */

void slot_say(struct slot *s, enum slot_due what)
{
	bool queued = s->due != 0;

	s->due |= what;
	if (!queued) {
		s->next_due = NULL;
		*s->slots->due_last = s;
		s->slots->due_last = &s->next_due;
	}
	s->slots->c.on_due(s->slots->c.arg);
}

struct slot *slots_first_due(struct slots *slots)
{
	return slots->due;
}

static void unqueue(struct slot *s)
{
	for (struct slot **p = &s->slots->due; *p; p = &(*p)->next_due) {
		if (*p != s)
			continue;
		*p = s->next_due;
		if (s->slots->due_last == &s->next_due)
			s->slots->due_last = p;
		break;
	}
	s->due = 0;
	s->next_due = NULL;
}

/* --- allocation --- */

static void drop_ends(struct slot *s)
{
	for (size_t i = 0; i < NETD_FDS_MAX; i++)
		s->near[i] = fd_close(s->near[i]);
	ends_dir_remove(&s->dir);
	s->slots->fds -= s->fds_charged;
	s->fds_charged = 0;
	s->nwant = s->ring_bytes = 0;
	memset(s->want, 0, sizeof(s->want));
}

static void drop_card_tap(struct slot_card *c)
{
	c->slot->slots->fds -= c->tap_fd >= 0;
	c->tap_fd = fd_close(c->tap_fd);
}

static void forget(struct slot *s)
{
	struct slots *slots = s->slots;

	if (s->due)
		unqueue(s);
	drop_ends(s);
	slots->fds -= s->tap_fd >= 0;
	(void)fd_close(s->tap_fd);
	for (size_t i = 0; s->cards && i < NETD_CARDS_MAX; i++)
		drop_card_tap(&s->cards[i]);
	(void)fd_close(s->pidfd);
	slots->slot[s->plan.slot] = NULL;
	slots->used--;
	free(s->cards);
	free(s);
}

void slot_told(struct slot *s, enum slot_due what)
{
	s->due &= ~(unsigned)what;
	if (!s->due)
		unqueue(s);
	if (what == DUE_FREED)
		forget(s);
}

/* The next free number after the last one given: numbers, addresses and uids rest as long as possible. */
static uint32_t next_number(const struct slots *slots)
{
	uint32_t max = (uint32_t)slots->c.config->slots;

	for (uint32_t i = 0; i < max; i++) {
		uint32_t n = (slots->last + i) % max + 1;

		if (!slots->slot[n])
			return n;
	}
	return 0;
}

static void on_joined(struct net_job *job)
{
	struct slot *s = container_of(job, struct slot, join);

	s->tap_fd = fd_take(&job->tap_fd);
	s->slots->fds += s->tap_fd >= 0;
	if (job->status < 0)
		log_warn("slot %u: %s", s->plan.slot, job->err.msg);
	slot_say(s, DUE_ALLOCATED);
	/* A NET_FREE may have come meanwhile: its job is queued behind this one and finds the TAP by name. */
	if (s->phase != SLOT_JOINING)
		return;
	s->phase = job->status < 0 ? SLOT_LEAVING : SLOT_READY;
	if (job->status < 0)
		slot_say(s, DUE_FREED); /* a slot without its network is of no use to anybody */
}

static void on_left(struct net_job *job)
{
	struct slot *s = container_of(job, struct slot, leave);

	if (s->tap_fd >= 0) {
		s->slots->fds--;
		s->tap_fd = fd_close(s->tap_fd);
	}
	slot_say(s, DUE_FREED);
}

static bool files_left(const struct slots *slots, uint32_t more)
{
	return slots->fds + more + FILES_RESERVE <= slots->c.files_max;
}

struct slot *slot_alloc(struct slots *slots, const uint8_t vm_id[16], enum netd_net net, struct err *e)
{
	uint32_t number = next_number(slots);
	struct slot *s;

	if (!number || !files_left(slots, 1)) {
		err_set(e, number ? -EMFILE : -ENOSPC, "%s: %u of %lld slots are taken",
			number ? "the helper's limit of open files is reached" : "no slot is free", slots->used,
			(long long)slots->c.config->slots);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		err_set(e, -ENOMEM, "the helper has no memory for another slot");
		return NULL;
	}
	s->slots = slots;
	s->net = slots->c.net ? net : NETD_NET_NONE;
	plan_slot(&slots->c.config->plan, number, &s->plan);
	if (!(slots->c.caps & NETD_CAP_SLOT_UID))
		s->plan.uid = 0;
	memcpy(s->vm_id, vm_id, sizeof(s->vm_id));
	s->tap_fd = s->pidfd = s->dir.fd = s->join.tap_fd = s->leave.tap_fd = -1;
	for (size_t i = 0; i < NETD_FDS_MAX; i++)
		s->near[i] = -1;
	slots->slot[number] = s;
	slots->last = number;
	slots->used++;
	s->phase = SLOT_READY;
	if (s->net != NETD_NET_NONE) {
		s->phase = SLOT_JOINING;
		s->join.action = NET_JOIN;
		s->join.net = s->net;
		s->join.plan = s->plan;
		s->join.done = on_joined;
		net_submit(slots->c.net, &s->join);
	}
	return s;
}

void slot_free(struct slot *s)
{
	bool joining = s->phase == SLOT_JOINING;

	s->phase = SLOT_LEAVING;
	drop_ends(s);
	if (s->net == NETD_NET_NONE) {
		slot_say(s, DUE_FREED);
		return;
	}
	s->leave.action = NET_LEAVE;
	s->leave.plan = s->plan;
	s->leave.done = on_left;
	s->leave.tap_fd = -1;
	if (!joining && s->tap_fd >= 0) {
		s->slots->fds--;
		s->leave.tap_fd = fd_take(&s->tap_fd);
	}
	net_submit(s->slots->c.net, &s->leave);
}

/* --- more cards --- */

static enum slot_due card_due(const struct slot_card *c)
{
	return c == &c->slot->cards[0] ? DUE_CARD1 : DUE_CARD2;
}

static int make_cards(struct slot *s)
{
	if (!s->cards)
		s->cards = calloc(NETD_CARDS_MAX, sizeof(*s->cards));
	for (size_t i = 0; s->cards && i < NETD_CARDS_MAX; i++)
		if (!s->cards[i].slot)
			s->cards[i] = (struct slot_card){ .slot = s, .tap_fd = -1, .join.tap_fd = -1, .leave.tap_fd = -1 };
	return s->cards ? 0 : -ENOMEM;
}

static void on_card_left(struct net_job *job)
{
	struct slot_card *c = container_of(job, struct slot_card, leave);

	drop_card_tap(c);
	c->phase = CARD_NONE;
	slot_say(c->slot, card_due(c));
}

/* Also while it is joining: the job is queued behind that one and finds the TAP by name. */
static void leave_card(struct slot_card *c)
{
	c->phase = CARD_LEAVING;
	c->leave.action = NET_LEAVE;
	c->leave.plan = c->plan;
	c->leave.done = on_card_left;
	c->leave.tap_fd = -1;
	if (c->tap_fd >= 0) {
		c->slot->slots->fds--;
		c->leave.tap_fd = fd_take(&c->tap_fd);
	}
	net_submit(c->slot->slots->c.net, &c->leave);
}

static void on_card_joined(struct net_job *job)
{
	struct slot_card *c = container_of(job, struct slot_card, join);

	c->tap_fd = fd_take(&job->tap_fd);
	c->slot->slots->fds += c->tap_fd >= 0;
	if (job->status < 0)
		log_warn("slot %u: %s", c->plan.slot, job->err.msg);
	if (c->phase != CARD_JOINING)
		return; /* its process has ended meanwhile: it is told once it is gone */
	c->phase = job->status < 0 ? CARD_NONE : CARD_UP;
	slot_say(c->slot, card_due(c));
}

int slot_card_add(struct slot *s, unsigned card, struct err *e)
{
	const struct config *conf = s->slots->c.config;
	unsigned room = plan_cards(&conf->plan, (uint32_t)conf->slots);
	struct slot_card *c;

	if (s->net == NETD_NET_NONE)
		return err_set(e, -EOPNOTSUPP, "CARD_ADD: slot %u has no network", s->plan.slot);
	if (card > room)
		return err_set(e, -EDQUOT, "subnet4 has room for %u more cards of each machine: a larger one, or fewer slots, are needed", room);
	if (make_cards(s) < 0)
		return err_set(e, -ENOMEM, "the helper has no memory for another card");
	c = &s->cards[card - 1];
	if (c->phase == CARD_LEAVING)
		return err_set(e, -EBUSY, "CARD_ADD: card %u is still being taken away", card);
	if (c->phase == CARD_UP)
		return 1;
	if (c->phase == CARD_JOINING)
		return 0;
	if (!files_left(s->slots, 1))
		return err_set(e, -EMFILE, "the helper's limit of %u open files is reached", s->slots->c.files_max);
	plan_card(&conf->plan, (uint32_t)conf->slots, s->plan.slot, card, &c->plan);
	c->phase = CARD_JOINING;
	c->join.action = NET_JOIN;
	c->join.net = s->net;
	c->join.plan = c->plan;
	c->join.done = on_card_joined;
	c->join.tap_fd = -1;
	net_submit(s->slots->c.net, &c->join);
	return 0;
}

int slot_card_remove(struct slot *s, unsigned card, struct err *e)
{
	struct slot_card *c = s->cards ? &s->cards[card - 1] : NULL;

	if (!c || c->phase == CARD_NONE)
		return err_set(e, -ENOENT, "CARD_REMOVE: slot %u has no card %u", s->plan.slot, card);
	if (c->phase == CARD_JOINING)
		return err_set(e, -EBUSY, "CARD_REMOVE: card %u is still being set up", card);
	if (c->phase == CARD_UP)
		leave_card(c);
	return 0;
}

/* What came for a process goes with it. */
static void leave_cards(struct slot *s)
{
	for (size_t i = 0; s->cards && i < NETD_CARDS_MAX; i++)
		if (s->cards[i].phase == CARD_UP || s->cards[i].phase == CARD_JOINING)
			leave_card(&s->cards[i]);
}

static void copy_card(const struct plan_slot *p, struct netd_card_info *out)
{
	memcpy(out->ifname, p->ifname, sizeof(out->ifname));
	memcpy(out->mac, p->mac, sizeof(out->mac));
	out->prefix4 = p->bridge.len4;
	out->prefix6 = p->bridge.len6;
	out->ip4 = p->ip4;
	out->gw4 = p->bridge.gw4;
	memcpy(out->ip6, p->ip6, sizeof(out->ip6));
	memcpy(out->gw6, p->bridge.gw6, sizeof(out->gw6));
}

void slot_card_info(const struct slot *s, unsigned card, struct netd_card_info *out)
{
	memset(out, 0, sizeof(*out));
	out->slot = s->plan.slot;
	out->card = card;
	copy_card(&s->cards[card - 1].plan, out);
}

/* --- processes --- */

static bool take_start(struct slots *slots)
{
	uint64_t now = loop_now_ms();
	double rate = (double)slots->c.config->start_rate, most = rate * BURST_MS / 1000.;

	slots->starts += (double)(now - slots->starts_ms) * rate / 1000.;
	slots->starts_ms = now;
	if (slots->starts > most)
		slots->starts = most;
	if (slots->starts < 1.)
		return false;
	slots->starts -= 1.;
	return true;
}

static int check_quota(const struct slot *s, const struct netd_vm_spawn *rq, struct err *e)
{
	const struct config *c = s->slots->c.config;

	if (rq->memory_max > c->memory_max)
		return err_set(e, -EDQUOT, "VM_SPAWN: more memory than memory_max = %llu bytes",
			       (unsigned long long)c->memory_max);
	if (rq->cpu_percent > c->cpu_max)
		return err_set(e, -EDQUOT, "VM_SPAWN: more processor time than cpu_max = %lld %%",
			       (long long)c->cpu_max);
	if (rq->pids_max > c->pids_max)
		return err_set(e, -EDQUOT, "VM_SPAWN: more processes than pids_max = %lld",
			       (long long)c->pids_max);
	if (!files_left(s->slots, rq->nwant + 1U))
		return err_set(e, -EMFILE, "the helper's limit of %u open files is reached",
			       s->slots->c.files_max);
	for (size_t i = 0; i < rq->nwant; i++)
		if (rq->want[i] == NETD_FD_TAP && s->tap_fd < 0)
			return err_set(e, -EOPNOTSUPP, "VM_SPAWN: slot %u has no network interface",
				       s->plan.slot);
	if (!take_start(s->slots))
		return err_set(e, -EAGAIN, "too many starts: start_rate = %lld per second",
			       (long long)c->start_rate);
	return 0;
}

static pid_t start(struct slot *s, const struct netd_vm_spawn *rq, char *const *argv, const struct ends *ends,
		   struct err *e)
{
	const struct slots_config *c = &s->slots->c;
	const struct config *conf = c->config;
	struct cgroup_limits limits = {
		.memory_bytes = rq->memory_max ? rq->memory_max : conf->memory_max,
		.cpu_percent = rq->cpu_percent ? rq->cpu_percent : (uint32_t)conf->cpu_max,
		.pids = rq->pids_max ? rq->pids_max : (uint32_t)conf->pids_max,
	};
	struct cgroup_place place = { .dir_fd = -1 };
	struct spawn sp = {
		.path = conf->binaries[rq->binary].path,
		.argv = argv,
		.uid = s->plan.uid,
		.extra_gid = c->kvm_gid,
		.ends = ends,
		.tap_fd = s->tap_fd,
		.null_fd = s->slots->null_fd,
		.place = &place,
		/* Where no pids controller counts, the uid does; only one that nobody else has. */
		.lean = rq->flags & NETD_SPAWN_LEAN,
		.nproc = s->plan.uid && !(c->caps & NETD_CAP_PIDS) ? limits.pids : 0,
	};
	pid_t pid;
	int r;

	if (c->cgroups) {
		r = cgroups_add(c->cgroups, s->plan.cgroup, &limits, &place, e);
		if (r < 0)
			return r;
	}
	pid = spawn_start(&sp, &s->pidfd, e);
	cgroup_place_finish(&place);
	if (pid < 0 && c->cgroups)
		(void)cgroups_remove(c->cgroups, s->plan.cgroup);
	return pid;
}

static void keep_ends(struct slot *s, const struct netd_vm_spawn *rq, const struct ends *ends)
{
	drop_ends(s);
	s->dir = ends->dir;
	memcpy(s->near, ends->near, sizeof(s->near));
	memcpy(s->want, rq->want, sizeof(s->want));
	s->nwant = rq->nwant;
	s->ring_bytes = rq->ring_bytes;
	for (size_t i = 0; i < NETD_FDS_MAX; i++)
		s->fds_charged += s->near[i] >= 0;
	s->fds_charged += s->dir.fd >= 0;
	s->slots->fds += s->fds_charged;
}

int slot_spawn(struct slot *s, const struct netd_vm_spawn *rq, char *const *argv, int *files, struct err *e)
{
	struct slots *slots = s->slots;
	struct ends ends;
	pid_t pid;
	int r = check_quota(s, rq, e);

	if (r < 0)
		return r;
	r = ends_open(&ends, rq, s->plan.uid, e);
	if (r < 0)
		return r;
	ends_files(&ends, files, rq->nfiles);
	pid = start(s, rq, argv, &ends, e);
	ends_close_far(&ends);
	if (pid < 0) {
		ends_close(&ends);
		return pid;
	}
	keep_ends(s, rq, &ends);
	s->phase = SLOT_RUNNING;
	s->pid = pid;
	s->exit_code = s->exit_signal = 0;
	s->oom_kills = 0;
	slots->running++;
	slots->fds++;
	ev_io_init(&s->on_exit, on_exit_event, s->pidfd, EV_READ);
	s->on_exit.data = s;
	ev_io_start(slots->c.loop->ev, &s->on_exit);
	log_debug("slot %u: started %s, pid %d", s->plan.slot, slots->c.config->binaries[rq->binary].name,
		  (int)pid);
	return 0;
}

int slot_kill(struct slot *s, enum netd_kill how)
{
	if (how == NETD_KILL_HARD && s->slots->c.cgroups && cgroups_kill(s->slots->c.cgroups, s->plan.cgroup))
		return 0;
	return spawn_signal(s->pidfd, how == NETD_KILL_HARD ? SIGKILL : SIGTERM);
}

int slot_limits(struct slot *s, uint64_t memory_max, uint32_t cpu_percent, struct err *e)
{
	const struct config *c = s->slots->c.config;
	const struct cgroup_limits limits = { .memory_bytes = memory_max, .cpu_percent = cpu_percent };

	if (memory_max > c->memory_max)
		return err_set(e, -EDQUOT, "VM_LIMITS: more memory than memory_max = %llu bytes", (unsigned long long)c->memory_max);
	if (cpu_percent > c->cpu_max)
		return err_set(e, -EDQUOT, "VM_LIMITS: more processor time than cpu_max = %lld %%", (long long)c->cpu_max);
	return s->slots->c.cgroups ? cgroups_change(s->slots->c.cgroups, s->plan.cgroup, &limits, e) : 0;
}

/*
 * Safe because: the process has not been reaped (it would be in ENDING then), so the number is its own; the kernel lets nobody see more than sums of its
 * memory there, and only as the file system's uid of the process is it opened, which ends in this function. No capability is used but the one to be that.
 */
int slot_memory(const struct slot *s)
{
	const uid_t uid = s->plan.uid;
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)s->pid);
	if (uid) {
		(void)setfsgid((gid_t)uid);
		(void)setfsuid(uid);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	fd = fd < 0 ? -errno : fd;
	if (uid) {
		(void)setfsuid(geteuid());
		(void)setfsgid(getegid());
	}
	return fd;
}

static void finish_ending(struct slot *s)
{
	s->slots->ending--;
	s->phase = SLOT_EXITED;
	slot_say(s, DUE_EXITED);
}

/* Whether everything of the ended process is gone, or cannot be waited for any longer. */
static bool is_over(struct slot *s)
{
	struct cgroups *cg = s->slots->c.cgroups;

	if (!cg || cgroups_remove(cg, s->plan.cgroup))
		return true;
	(void)cgroups_kill(cg, s->plan.cgroup);
	if (cgroups_remove(cg, s->plan.cgroup))
		return true;
	if (loop_now_ms() - s->ended_ms < ENDING_MAX_MS)
		return false;
	log_err("slot %u: processes of control group %s do not die", s->plan.slot, s->plan.cgroup);
	return true;
}

static void on_exit_event(struct ev_loop *ev, ev_io *w, int events)
{
	struct slot *s = w->data;
	struct slots *slots = s->slots;

	(void)events;
	ev_io_stop(ev, w);
	if (slots->c.cgroups)
		s->oom_kills = cgroups_oom_kills(slots->c.cgroups, s->plan.cgroup);
	/* Before it is reaped: as long as it is a zombie, its number is nobody else's session. */
	if (!slots->c.cgroups || !cgroups_kill(slots->c.cgroups, s->plan.cgroup))
		spawn_kill_session(s->pid);
	if (spawn_reap(s->pidfd, &s->exit_code, &s->exit_signal) < 0)
		log_err("slot %u: cannot collect process %d: %s", s->plan.slot, (int)s->pid, strerror(errno));
	s->pidfd = fd_close(s->pidfd);
	slots->fds--;
	slots->running--;
	slots->ending++;
	leave_cards(s);
	s->phase = SLOT_ENDING;
	s->ended_ms = loop_now_ms();
	log_debug("slot %u: pid %d ended, %s %d%s", s->plan.slot, (int)s->pid, s->exit_signal ? "signal" : "code",
		  s->exit_signal ? s->exit_signal : s->exit_code, s->oom_kills ? ", out of memory" : "");
	s->pid = 0;
	if (is_over(s))
		finish_ending(s);
	else
		ev_timer_again(ev, &slots->sweep);
}

static void on_sweep(struct ev_loop *ev, ev_timer *w, int events)
{
	struct slots *slots = w->data;

	(void)events;
	for (uint32_t n = 1; slots->ending > 0 && n <= slots->c.config->slots; n++) {
		struct slot *s = slots->slot[n];

		if (s && s->phase == SLOT_ENDING && is_over(s))
			finish_ending(s);
	}
	if (slots->ending == 0)
		ev_timer_stop(ev, w);
}

void slots_end_all(struct slots *slots)
{
	for (uint32_t n = 1; n <= slots->c.config->slots; n++)
		if (slots->slot[n] && slots->slot[n]->phase == SLOT_RUNNING)
			(void)slot_kill(slots->slot[n], NETD_KILL_HARD);
}

/* --- what the gateway sees --- */

static const uint8_t shown_state[SLOT_PHASE_COUNT] = {
	[SLOT_JOINING] = NETD_SLOT_ALLOCATED, [SLOT_READY] = NETD_SLOT_ALLOCATED,
	[SLOT_RUNNING] = NETD_SLOT_RUNNING,   [SLOT_ENDING] = NETD_SLOT_RUNNING,
	[SLOT_EXITED] = NETD_SLOT_EXITED,     [SLOT_LEAVING] = NETD_SLOT_FREE,
};

void slot_info(const struct slot *s, struct netd_slot_info *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->vm_id, s->vm_id, sizeof(out->vm_id));
	out->slot = s->plan.slot;
	out->state = shown_state[s->phase];
	out->net = s->net;
	out->uid = s->plan.uid;
	out->pid = s->pid;
	out->exit_code = s->exit_code;
	out->exit_signal = s->exit_signal;
	out->oom_killed = s->oom_kills;
	memcpy(out->want, s->want, sizeof(out->want));
	out->nwant = s->nwant;
	out->ring_bytes = s->ring_bytes;
	for (unsigned i = 0; s->cards && i < NETD_CARDS_MAX; i++)
		out->cards |= s->cards[i].phase == CARD_UP ? 1U << i : 0;
	if (s->net == NETD_NET_NONE)
		return;
	memcpy(out->ifname, s->plan.ifname, sizeof(out->ifname));
	memcpy(out->mac, s->plan.guest.mac, sizeof(out->mac));
	out->prefix4 = s->plan.guest.len4;
	out->prefix6 = s->plan.bridge.len6;
	out->ip4 = s->plan.guest.ip4;
	out->gw4 = s->plan.guest.gw4;
	out->slot4 = s->plan.ip4;
	memcpy(out->ip6, s->plan.ip6, sizeof(out->ip6));
	memcpy(out->gw6, s->plan.bridge.gw6, sizeof(out->gw6));
}

struct slots *slots_destroy(struct slots *slots)
{
	if (!slots)
		return NULL;
	ev_timer_stop(slots->c.loop->ev, &slots->sweep);
	for (uint32_t n = 1; n <= NETD_SLOTS_MAX; n++) {
		if (!slots->slot[n])
			continue;
		if (slots->slot[n]->phase == SLOT_RUNNING)
			ev_io_stop(slots->c.loop->ev, &slots->slot[n]->on_exit);
		forget(slots->slot[n]);
	}
	(void)fd_close(slots->null_fd);
	free(slots);
	return NULL;
}
