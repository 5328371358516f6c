/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   NONE --use()--> CONNECTING --hello--> READY --lost, gone(), no answer to a pulse--> CONNECTING ... --hung up, rest()--> NONE
 *
 * The stream of a virtio-serial port does not end with the agent behind it. Its driver hears of it mostly; for when it does not, a request is made
 * every PULSE_S: without an answer another way is asked for, which may well be the same port, until there is somebody to answer.
 */
#include "gateway/agent_tie.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"
#include "base/loop.h"
#include "hv/agent/host.h"
#include "hv/hv.h"

#define PULSE_S	     10.
#define PULSE_MS     10000 /* a busy guest under software emulation takes seconds */
#define RETRY_S	     1.
#define IDENTITY_MS  10000

struct agent_tie {
	struct loop *loop;			  /* borrowed, like hooks and arg */
	const struct agent_tie_hooks *hooks;
	void *arg;
	struct agent_host *host; /* owned */
	enum agent_tie_state state;
	ev_timer pulse, retry;
	bool pulse_waits, has_health;
	struct agent_tie_health health;
	int64_t pulse_ns; /* of CLOCK_REALTIME, when the pulse was sent */
};

static const char *const state_names[] = { "none", "connecting", "ready" };
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == AGENT_TIE_STATE_COUNT, "a word for every state");

const char *agent_tie_state_name(enum agent_tie_state s)
{
	return state_names[s];
}

static void set_state(struct agent_tie *t, enum agent_tie_state s)
{
	if (t->state == s)
		return;
	t->state = s;
	t->has_health = false;
	if (s != AGENT_TIE_READY)
		ev_timer_stop(t->loop->ev, &t->pulse);
	t->hooks->on_state(t->arg);
}

static void renew_later(struct agent_tie *t)
{
	t->pulse_waits = false;
	set_state(t, AGENT_TIE_CONNECTING);
	ev_timer_again(t->loop->ev, &t->retry);
}

static void on_retry(struct ev_loop *ev, ev_timer *timer, int events)
{
	struct agent_tie *t = container_of(timer, struct agent_tie, retry);

	(void)events;
	ev_timer_stop(ev, timer);
	if (t->hooks->renew(t->arg) < 0)
		set_state(t, AGENT_TIE_NONE);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void note_health(struct agent_tie *t, struct agent_in *in)
{
	int64_t here_ns = t->pulse_ns + (now_ns() - t->pulse_ns) / 2;

	t->has_health = agent_get_health(in, &t->health.said) == 0;
	t->health.asked_ms = loop_now_ms();
	t->health.offset_ms = ((int64_t)t->health.said.clock_ns - here_ns) / 1000000;
}

static void on_pulse_answer(void *arg, int status, struct agent_in *in)
{
	struct agent_tie *t = arg;

	t->pulse_waits = false;
	if (status == 0)
		note_health(t, in);
	if (status != -ETIMEDOUT || t->state != AGENT_TIE_READY)
		return;
	log_info("a guest's agent does not answer; it is greeted anew");
	agent_host_disconnect(t->host);
	renew_later(t);
}

static void pulse(struct agent_tie *t)
{
	if (t->pulse_waits)
		return;
	t->pulse_ns = now_ns();
	t->pulse_waits = agent_host_ask(t->host, AGENT_HEALTH, 0, NULL, PULSE_MS, on_pulse_answer, t) == 0;
}

static void on_pulse(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)ev;
	(void)events;
	pulse(container_of(timer, struct agent_tie, pulse));
}

static void on_ready(void *arg, const uint8_t boot_id[AGENT_BOOT_BYTES])
{
	struct agent_tie *t = arg;

	set_state(t, AGENT_TIE_READY);
	ev_timer_again(t->loop->ev, &t->pulse);
	t->hooks->on_ready(t->arg, boot_id);
	pulse(t); /* after the guest was told the time */
}

static void on_lost(void *arg, const char *why)
{
	struct agent_tie *t = arg;

	log_debug("the conversation with a guest's agent ended: %s", why);
	renew_later(t);
}

static const struct agent_host_hooks host_hooks = { .on_ready = on_ready, .on_lost = on_lost };

struct agent_tie *agent_tie_create(struct loop *loop, const struct agent_tie_hooks *hooks, void *arg)
{
	struct agent_tie *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->loop = loop;
	t->hooks = hooks;
	t->arg = arg;
	ev_timer_init(&t->pulse, on_pulse, PULSE_S, PULSE_S);
	ev_timer_init(&t->retry, on_retry, 0., RETRY_S);
	t->host = agent_host_create(loop, &host_hooks, t);
	return t->host ? t : agent_tie_destroy(t);
}

static void drop(struct agent_tie *t)
{
	ev_timer_stop(t->loop->ev, &t->pulse);
	ev_timer_stop(t->loop->ev, &t->retry);
}

struct agent_tie *agent_tie_destroy(struct agent_tie *t)
{
	if (!t)
		return NULL;
	drop(t);
	t->host = agent_host_destroy(t->host);
	free(t);
	return NULL;
}

void agent_tie_use(struct agent_tie *t, int fd)
{
	int r;

	drop(t);
	r = agent_host_connect(t->host, fd);
	if (r < 0)
		log_warn("a guest's agent cannot be greeted: %s", strerror(-r));
	t->pulse_waits = false;
	set_state(t, AGENT_TIE_CONNECTING);
	if (r < 0)
		renew_later(t);
}

void agent_tie_rest(struct agent_tie *t)
{
	drop(t);
	agent_host_disconnect(t->host);
	set_state(t, AGENT_TIE_NONE);
}

/* Not hung up: there may be something in the stream. */
void agent_tie_gone(struct agent_tie *t)
{
	if (t->state == AGENT_TIE_READY)
		renew_later(t);
}

enum agent_tie_state agent_tie_state(const struct agent_tie *t)
{
	return t->state;
}

const struct agent_tie_health *agent_tie_health(const struct agent_tie *t)
{
	return t->has_health ? &t->health : NULL;
}

struct agent_host *agent_tie_host(const struct agent_tie *t)
{
	return t->host;
}

static void on_identified(void *arg, int status, struct agent_in *in)
{
	struct agent_tie *t = arg;

	(void)in;
	if (status == -ENOTCONN || status == -ETIMEDOUT)
		return; /* the next conversation begins with it again */
	if (status < 0)
		log_warn("a guest could not be told who it is: %s", strerror(-status));
	t->hooks->on_introduced(t->arg);
}

static void add_address(struct agent_identity *i, const char *address, uint8_t prefix, const char *gateway, int family)
{
	struct agent_address *a = &i->address[i->addresses];

	*a = (struct agent_address){ .interface = "eth0", .family = family == AF_INET ? 4 : 6, .prefix = prefix };
	if (address[0] && inet_pton(family, address, a->address) == 1) {
		(void)inet_pton(family, gateway, a->gateway);
		i->addresses++;
	}
}

void agent_tie_identify(struct agent_tie *t, const char *hostname, const uint8_t machine[16], const struct hv_view *net, const struct agent_rebirth *reborn)
{
	struct agent_identity i = { .hostname = hostname, .entropy_len = sizeof(i.entropy), .reborn = reborn };
	struct buf body = BUF_INIT(512);
	struct timespec now;
	int r = -EIO;

	if (reborn)
		i.rebirth = *reborn;
	if (net) {
		add_address(&i, net->ip4, net->prefix4, net->gw4, AF_INET);
		add_address(&i, net->ip6, net->prefix6, net->gw6, AF_INET6);
	}
	i.has_machine = agent_host_version(t->host) >= AGENT_VERSION_MACHINE;
	memcpy(i.machine, machine, sizeof(i.machine));
	clock_gettime(CLOCK_REALTIME, &now);
	i.clock_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (getrandom(i.entropy, sizeof(i.entropy), 0) == (ssize_t)sizeof(i.entropy)) {
		agent_put_identity(&body, &i);
		r = agent_host_ask(t->host, AGENT_IDENTITY, 0, &body, IDENTITY_MS, on_identified, t);
	}
	explicit_bzero(i.entropy, sizeof(i.entropy));
	buf_finish(&body);
	if (r < 0)
		log_warn("a guest cannot be told who it is: %s", strerror(-r));
}
