/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terrarium-netd: the privileged helper of terrariumd.
 *
 * Whom it trusts: the kernel, its settings, and nobody else. The gateway may be anyone's by tomorrow: it is one
 *   uid, sends frames of fixed size, and names slots by number; everything else follows from the number (plan.c).
 * What it may do: create TAPs, bridges and rules in its network namespace; start the programs of a root-owned
 *   list, each as the uid of its slot, in the slot's control group, with the slot's file descriptors; end them;
 *   keep what belongs to them while gateways come and go.
 * What it can never do: reach another network namespace (no SYS_ADMIN), read or write files as root does (no
 *   DAC_OVERRIDE), gain anything back by exec or uid 0 (securebits, bounding set). It parses no byte of a guest,
 *   a VMM, JSON or HTTP.
 *
 * When it ends, its machines end with it: told to (SIGTERM), it takes everything away first; killed, the kernel
 * sends SIGKILL to the processes (PDEATHSIG), TAPs go with their FDs, the undertaker removes the control
 * groups, and the next helper the bridges and rules that are left.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "netsetup/caller.h"
#include "netsetup/cgroup.h"
#include "netsetup/config.h"
#include "netsetup/net.h"
#include "netsetup/ops.h"
#include "netsetup/privs.h"
#include "netsetup/slot.h"
#include "netsetup/undertaker.h"

#define END_S 3. /* SIGKILL works in milliseconds; what is still there then is left to the kernel */

/* All of the process. */
struct helper {
	struct config config;
	struct loop loop;
	struct net *net;
	struct cgroups *cgroups;
	struct undertaker undertaker;
	struct slots *slots;
	struct ops ops;
	ev_timer end_check;
	uint64_t end_ms;
};

static const struct {
	uint32_t cap;
	const char *missing;
} cap_words[] = {
	{ NETD_CAP_NET, "network" },	     { NETD_CAP_SLOT_UID, "a uid per slot" },
	{ NETD_CAP_MEMORY, "memory limit" }, { NETD_CAP_CPU, "processor limit" },
	{ NETD_CAP_PIDS, "process limit" },  { NETD_CAP_CGROUP_KILL, "cgroup.kill" },
	{ NETD_CAP_KVM, "/dev/kvm" },
};

static void say_missing(uint32_t caps)
{
	char text[256] = "";
	size_t at = 0;

	for (size_t i = 0; i < sizeof(cap_words) / sizeof(cap_words[0]); i++)
		if (!(caps & cap_words[i].cap))
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? ", " : "",
					       cap_words[i].missing);
	if (at)
		log_warn("this host or its settings do not give: %s", text);
}

/* No IPv6 in the kernel is no reason to do without IPv4. */
static void check_ipv6(struct config *c)
{
	if (!c->plan.net6.family || access("/proc/sys/net/ipv6", F_OK) == 0)
		return;
	log_warn("this kernel has no IPv6: guests get IPv4 only");
	memset(&c->plan.net6, 0, sizeof(c->plan.net6));
}

static int open_network(struct helper *h, struct err *e)
{
	struct net_config nc = { .rules = h->config.rules, .slots = (uint32_t)h->config.slots };
	struct err why = { 0 };
	int r;

	if (h->config.mode == NETWORK_OFF)
		return 0;
	check_ipv6(&h->config);
	r = net_open(&h->net, &h->loop, &nc, &why);
	if (r == 0) {
		if (!nc.rules.dns4.family && !nc.rules.dns6.family)
			log_warn("guests have no resolver: /etc/resolv.conf names none they can reach; set dns");
		return 0;
	}
	/* An address conflict is a mistake in the settings that somebody must see, not a lack of the host. */
	if (h->config.mode == NETWORK_REQUIRED || r == -EADDRINUSE)
		return err_set(e, r, "%s", why.msg);
	log_warn("machines have no network: %s", why.msg);
	return 0;
}

static uint32_t find_caps(struct helper *h, gid_t *kvm_gid)
{
	const struct config *c = &h->config;
	uid_t first = c->plan.uid_base ? c->plan.uid_base + 1 : 0;
	uint32_t caps = h->net ? NETD_CAP_NET : 0;

	if (h->cgroups)
		caps |= cgroups_caps(h->cgroups);
	if (privs_can_switch(first, (uint32_t)c->slots))
		caps |= NETD_CAP_SLOT_UID;
	if (privs_kvm(caps & NETD_CAP_SLOT_UID ? first : 0, kvm_gid))
		caps |= NETD_CAP_KVM;
	return caps;
}

/* First of all: what the undertaker inherits should be little. */
static int open_cgroups(struct helper *h, struct err *e)
{
	h->undertaker.fd = -1;
	if (!h->config.use_cgroups)
		return 0;
	h->cgroups = cgroups_open();
	if (!h->cgroups)
		return err_set(e, -ENOMEM, "no memory for control groups");
	return cgroups_any(h->cgroups) ? undertaker_start(&h->undertaker, h->cgroups, e) : 0;
}

static int open_parts(struct helper *h, struct err *e)
{
	static const struct caller_hooks hooks = { .on_request = ops_request, .next_notice = ops_next_notice };
	const struct config *c = &h->config;
	struct request_limits lim = { .slots = (uint32_t)c->slots, .binaries = (uint32_t)c->nbinaries };
	struct slots_config sc = { .config = c, .loop = &h->loop, .on_due = ops_on_due, .arg = &h->ops };
	int r = open_network(h, e);

	if (r < 0)
		return r;
	sc.files_max = privs_raise_files();
	sc.caps = find_caps(h, &sc.kvm_gid);
	sc.net = h->net;
	sc.cgroups = h->cgroups;
	h->slots = slots_create(&sc, e);
	if (!h->slots)
		return e->code;
	h->ops = (struct ops){ .config = c, .slots = h->slots, .net = h->net, .caps = sc.caps };
	r = caller_listen(&h->ops.caller, &h->loop, c->socket, c->gateway_uid, &lim, &hooks, &h->ops, e);
	if (r < 0 || (r = privs_drop(PRIVS_HELPER, e)) < 0 || (h->net && (r = net_start(h->net, e)) < 0))
		return r;
	say_missing(sc.caps);
	log_info("ready on %s: %lld slots, %zu binaries, at most %u open files", c->socket, (long long)c->slots,
		 c->nbinaries, sc.files_max);
	return 0;
}

static void on_end_check(struct ev_loop *ev, ev_timer *w, int events)
{
	const struct helper *h = w->data;

	(void)events;
	if (slots_running(h->slots) == 0 || loop_now_ms() > h->end_ms)
		ev_break(ev, EVBREAK_ALL);
}

/* Ends all machines and waits for them, within a bound. Nobody can start one meanwhile. */
static void end_machines(struct helper *h)
{
	log_info("ending: %u machines", slots_running(h->slots));
	h->ops.caller = caller_close(h->ops.caller);
	slots_end_all(h->slots);
	h->end_ms = loop_now_ms() + (uint64_t)(END_S * 1000.);
	ev_timer_init(&h->end_check, on_end_check, 0., 0.01);
	h->end_check.data = h;
	ev_timer_start(h->loop.ev, &h->end_check);
	loop_run(&h->loop);
	ev_timer_stop(h->loop.ev, &h->end_check);
}

static void close_parts(struct helper *h)
{
	h->ops.caller = caller_close(h->ops.caller);
	h->net = net_destroy(h->net);
	h->slots = slots_destroy(h->slots);
	if (h->cgroups)
		cgroups_leave(h->cgroups);
	h->cgroups = cgroups_close(h->cgroups);
	undertaker_finish(&h->undertaker);
	loop_finish(&h->loop);
}

int main(int argc, char **argv)
{
	static struct helper h;
	struct err e = { 0 };
	int r = config_read(&h.config, argc, argv, &e);

	if (r == CONF_E_HELP)
		return 0;
	if (r == CONF_E_CHECK) {
		printf("terrarium-netd: the settings are good\n");
		return 0;
	}
	if (r) {
		log_err("%s", e.msg);
		return r == CONF_E_USAGE ? 2 : 1;
	}
	(void)umask(022);
	r = open_cgroups(&h, &e);
	if (r == 0 && (r = loop_init(&h.loop)) < 0)
		err_set(&e, r, "cannot start the event loop: %s", strerror(-r));
	if (r == 0)
		r = open_parts(&h, &e);
	if (r < 0) {
		log_err("%s", e.msg);
		close_parts(&h);
		return 1;
	}
	loop_run(&h.loop);
	end_machines(&h);
	close_parts(&h);
	log_info("ended");
	return 0;
}
