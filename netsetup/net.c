/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/net.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "netsetup/nl.h"
#include "netsetup/sysctl.h"
#include "netsetup/tap.h"

#define BATCH_MAX   32		 /* jobs of one nftables transaction */
#define RULES_LIMIT (256 * 1024) /* text of the largest transaction */
#define USED_MAX    1024	 /* addresses and routes that conflicts are looked for in */

/*
 * Theory of operation
 *
 * The loop submits jobs and gets them back done; in between they belong to the worker, which alone uses nft and
 * its own netlink socket once it runs. It takes what has come up in batches: an nftables transaction costs a
 * dump of all chains (4 ms at 1000 slots) and deleting TAPs costs a wait for the kernel's readers (20 ms), in
 * both cases nearly the same for one slot as for thirty.
 */
struct net {
	struct loop *loop; /* borrowed */
	const struct plan *plan; /* borrowed */
	uint32_t slots;
	unsigned bridges;
	int lock_fd;		/* owned: abstract socket, one helper per network namespace and prefix */
	struct nl *nl, *worker_nl; /* owned */
	struct nft *nft;	/* owned */
	struct sysctls sysctls;
	uint32_t bridge_index[PLAN_BRIDGES_MAX];

	pthread_t worker;
	bool started;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t wake;
	struct net_job *todo, **todo_last, *done, **done_last;
	bool stop;
	ev_async on_done;
};

/* --- opening --- */

/* An abstract name belongs to the network namespace and goes with the process. */
static int take_lock(struct net *net, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "terrarium-netd/%s", net->plan->prefix);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);

	net->lock_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (net->lock_fd < 0 || bind(net->lock_fd, (struct sockaddr *)&sa, len) < 0)
		return err_set(e, -errno,
			       "another terrarium-netd with ifname = %s serves this network namespace (%s)",
			       net->plan->prefix, strerror(errno));
	return 0;
}

static void remove_links(struct net *net)
{
	nl_group_delete(net->nl, NL_GROUP);
	nl_group_delete(net->nl, NL_GROUP_DYING);
	for (unsigned i = 0; i < PLAN_BRIDGES_MAX; i++) {
		struct plan_bridge b;
		uint32_t index;

		plan_bridge(net->plan, i, &b);
		index = nl_index(b.name);
		if (index)
			nl_link_delete(net->nl, index);
	}
	/* Most of it usually is not there; that is no failure. */
	(void)nl_commit(net->nl);
}

static int check_subnets(struct net *net, struct err *e)
{
	struct subnet *used = calloc(USED_MAX, sizeof(*used));
	int n, r = 0;

	if (!used)
		return err_set(e, -ENOMEM, "no memory to look for address conflicts");
	n = nl_subnets(net->nl, net->plan->prefix, used, USED_MAX);
	if (n < 0)
		r = err_set(e, n, "cannot list addresses and routes: %s", strerror(-n));
	if (r == 0)
		r = subnet_check(&net->plan->net4, "subnet4", used, (size_t)n, e);
	if (r == 0 && net->plan->inner4.family)
		r = subnet_check(&net->plan->inner4, "inner_subnet4", used, (size_t)n, e);
	if (r == 0 && net->plan->net6.family)
		r = subnet_check(&net->plan->net6, "subnet6", used, (size_t)n, e);
	free(used);
	return r;
}

static int add_bridge(struct net *net, unsigned number, struct err *e)
{
	static const char *const zero[] = {
		"net/ipv4/conf/%s/accept_redirects", "net/ipv4/conf/%s/send_redirects",
		"net/ipv6/conf/%s/accept_ra",	     "net/ipv6/conf/%s/accept_redirects",
		"net/ipv6/conf/%s/disable_ipv6",
	};
	struct sysctls gone_with_bridge = { .count = 0 };
	struct plan_bridge b;
	int r;

	plan_bridge(net->plan, number, &b);
	nl_bridge_add(net->nl, &b);
	r = nl_commit(net->nl);
	if (r < 0)
		return err_set(e, r, "cannot create bridge %s: %s", b.name, strerror(-r));
	/* No guest may tell this namespace about routes: neither by redirects nor by router advertisements. */
	for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++) {
		char path[80];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(path, sizeof(path), zero[i], b.name);
#pragma GCC diagnostic pop
		if ((b.len6 || strncmp(path, "net/ipv6", 8) != 0) &&
		    sysctl_set(&gone_with_bridge, path, "0", e) < 0)
			return err_prefix(e, "bridge %s", b.name);
	}
	net->bridge_index[number] = nl_index(b.name);
	nl_bridge_up(net->nl, net->bridge_index[number], &b);
	r = nl_commit(net->nl);
	if (r < 0)
		return err_set(e, r, "cannot give bridge %s its addresses: %s", b.name, strerror(-r));
	return 0;
}

/*
 * A router ignores router advertisements unless told otherwise: the uplink's own IPv6 route must survive that
 * we forward.
 */
static void keep_uplink_autoconf(struct net *net)
{
	DIR *dir = opendir("/proc/sys/net/ipv6/conf");
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		char path[96], value[8];
		int n = snprintf(path, sizeof(path), "net/ipv6/conf/%s/accept_ra", d->d_name);
		char full[112];

		if (n >= (int)sizeof(path) || d->d_name[0] == '.' || strcmp(d->d_name, "all") == 0 ||
		    strncmp(d->d_name, net->plan->prefix, strlen(net->plan->prefix)) == 0)
			continue;
		(void)snprintf(full, sizeof(full), "/proc/sys/%s", path);
		if (fd_read_file(-1, full, value, sizeof(value)) > 0 && value[0] == '1')
			(void)sysctl_set(&net->sysctls, path, "2", NULL);
	}
	if (dir)
		(void)closedir(dir);
}

static int set_forwarding(struct net *net, struct err *e)
{
	struct err e6 = { 0 };

	if (sysctl_set(&net->sysctls, "net/ipv4/ip_forward", "1", e) < 0)
		return err_prefix(e, "guests' packets cannot be forwarded");
	if (!net->plan->net6.family)
		return 0;
	keep_uplink_autoconf(net);
	if (sysctl_set(&net->sysctls, "net/ipv6/conf/all/forwarding", "1", &e6) < 0)
		log_warn("IPv6 of guests ends at their gateway: %s", e6.msg);
	return 0;
}

static int add_base_rules(struct net *net, const struct nft_config *rules, struct err *e)
{
	struct buf text = BUF_INIT(RULES_LIMIT);
	int r;

	nft_base_text(&text, rules);
	r = nft_run(net->nft, &text, e);
	buf_finish(&text);
	if (r < 0 && net->plan->inner4.family)
		return err_prefix(e, "with inner_subnet4, which needs Linux 5.16 and its egress hook");
	return r;
}

static void on_done(struct ev_loop *ev, ev_async *w, int events);

static int open_parts(struct net *net, const struct net_config *c, struct err *e)
{
	int r = tap_available(e);

	if (r < 0 || (r = take_lock(net, e)) < 0)
		return r;
	net->nl = nl_open(e);
	net->worker_nl = net->nl ? nl_open(e) : NULL;
	net->nft = net->worker_nl ? nft_open(e) : NULL;
	if (!net->nft)
		return -ENOMEM;
	remove_links(net);
	r = check_subnets(net, e);
	/* The rules come first: at no moment is there a guest's bridge without them. */
	if (r == 0)
		r = add_base_rules(net, &c->rules, e);
	for (unsigned i = 0; r == 0 && i < net->bridges; i++)
		r = add_bridge(net, i, e);
	return r == 0 ? set_forwarding(net, e) : r;
}

int net_open(struct net **out, struct loop *loop, const struct net_config *c, struct err *e)
{
	struct net *net = calloc(1, sizeof(*net));
	int r;

	if (!net)
		return err_set(e, -ENOMEM, "no memory for the guests' network");
	net->loop = loop;
	net->plan = c->rules.plan;
	net->slots = c->slots;
	net->bridges = c->rules.bridges;
	net->lock_fd = -1;
	net->todo_last = &net->todo;
	net->done_last = &net->done;
	(void)pthread_mutex_init(&net->mutex, NULL);
	(void)pthread_cond_init(&net->wake, NULL);
	ev_async_init(&net->on_done, on_done);
	net->on_done.data = net;
	ev_async_start(loop->ev, &net->on_done);
	r = open_parts(net, c, e);
	if (r < 0) {
		(void)net_destroy(net);
		return r;
	}
	*out = net;
	return 0;
}

bool net_uplink(struct net *net, char name[16])
{
	return nl_uplink(net->nl, name);
}

/* --- the worker --- */

/* One transaction for all; if it is refused, one each, so that only the guilty job fails. */
static void apply_rules(struct net *net, struct net_job **jobs, size_t n)
{
	struct buf text = BUF_INIT(RULES_LIMIT);
	struct err e = { 0 };
	size_t wanted = 0;
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		if (jobs[i]->status < 0)
			continue;
		wanted++;
		if (jobs[i]->action == NET_JOIN)
			nft_slot_text(&text, &jobs[i]->plan, jobs[i]->net);
		else
			nft_slot_delete_text(&text, &jobs[i]->plan);
	}
	if (wanted > 0)
		r = nft_run(net->nft, &text, &e);
	buf_finish(&text);
	if (r == 0)
		return;
	for (size_t i = 0; n > 1 && i < n; i++)
		apply_rules(net, &jobs[i], 1);
	if (n == 1) {
		jobs[0]->status = r;
		jobs[0]->err = e;
	}
}

static void drop_rules(struct net *net, struct net_job *job)
{
	struct buf text = BUF_INIT(RULES_LIMIT);

	nft_slot_delete_text(&text, &job->plan);
	(void)nft_run(net->nft, &text, NULL);
	buf_finish(&text);
}

static uint32_t bridge_of(const struct net *net, const struct net_job *job)
{
	return net->bridge_index[job->plan.bridge.number];
}

static void do_joins(struct net *net, struct net_job **jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		jobs[i]->tap_fd = tap_open(jobs[i]->plan.ifname, &jobs[i]->err);
		if (jobs[i]->tap_fd < 0)
			jobs[i]->status = fd_take(&jobs[i]->tap_fd);
	}
	apply_rules(net, jobs, n);
	for (size_t i = 0; i < n; i++) {
		struct net_job *job = jobs[i];
		int r;

		if (job->status == 0) {
			nl_port_join(net->worker_nl, nl_index(job->plan.ifname), bridge_of(net, job), &job->plan);
			r = nl_commit(net->worker_nl);
			if (r < 0) {
				job->status = err_set(&job->err, r, "cannot set up TAP %s: %s",
						      job->plan.ifname, strerror(-r));
				drop_rules(net, job);
			}
		}
		if (job->status < 0)
			job->tap_fd = fd_close(job->tap_fd);
	}
}

static void do_leaves(struct net *net, struct net_job **jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		nl_port_leave(net->worker_nl, nl_index(jobs[i]->plan.ifname), bridge_of(net, jobs[i]),
			      &jobs[i]->plan);
	(void)nl_commit(net->worker_nl);
	apply_rules(net, jobs, n);
	nl_group_delete(net->worker_nl, NL_GROUP_DYING);
	(void)nl_commit(net->worker_nl);
	for (size_t i = 0; i < n; i++)
		jobs[i]->tap_fd = fd_close(jobs[i]->tap_fd);
}

/* Takes jobs of one kind from the front of the queue. */
static size_t take_batch(struct net *net, struct net_job **jobs)
{
	size_t n = 0;

	while (net->todo && n < BATCH_MAX && (n == 0 || net->todo->action == jobs[0]->action)) {
		jobs[n] = net->todo;
		net->todo = jobs[n]->next;
		jobs[n++]->next = NULL;
	}
	if (!net->todo)
		net->todo_last = &net->todo;
	return n;
}

static void *work(void *arg)
{
	struct net *net = arg;
	struct net_job *jobs[BATCH_MAX];

	(void)pthread_mutex_lock(&net->mutex);
	for (;;) {
		size_t n;

		while (!net->todo && !net->stop)
			(void)pthread_cond_wait(&net->wake, &net->mutex);
		if (net->stop)
			break;
		n = take_batch(net, jobs);
		(void)pthread_mutex_unlock(&net->mutex);
		if (jobs[0]->action == NET_JOIN)
			do_joins(net, jobs, n);
		else
			do_leaves(net, jobs, n);
		(void)pthread_mutex_lock(&net->mutex);
		for (size_t i = 0; i < n; i++) {
			*net->done_last = jobs[i];
			net->done_last = &jobs[i]->next;
		}
		ev_async_send(net->loop->ev, &net->on_done);
	}
	(void)pthread_mutex_unlock(&net->mutex);
	return NULL;
}

static void on_done(struct ev_loop *ev, ev_async *w, int events)
{
	struct net *net = w->data;
	struct net_job *list;

	(void)ev;
	(void)events;
	(void)pthread_mutex_lock(&net->mutex);
	list = net->done;
	net->done = NULL;
	net->done_last = &net->done;
	(void)pthread_mutex_unlock(&net->mutex);
	while (list) {
		struct net_job *job = list;

		list = job->next;
		job->next = NULL;
		job->done(job);
	}
}

int net_start(struct net *net, struct err *e)
{
	sigset_t all, old;
	int r;

	/* Signals are the loop's business. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	r = pthread_create(&net->worker, NULL, work, net);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return err_set(e, -r, "cannot start the network worker: %s", strerror(r));
	net->started = true;
	return 0;
}

void net_submit(struct net *net, struct net_job *job)
{
	job->next = NULL;
	job->status = 0;
	(void)pthread_mutex_lock(&net->mutex);
	*net->todo_last = job;
	net->todo_last = &job->next;
	(void)pthread_cond_signal(&net->wake);
	(void)pthread_mutex_unlock(&net->mutex);
}

static void stop_worker(struct net *net)
{
	if (!net->started)
		return;
	(void)pthread_mutex_lock(&net->mutex);
	net->stop = true;
	(void)pthread_cond_signal(&net->wake);
	(void)pthread_mutex_unlock(&net->mutex);
	/* Ends after the batch it is at: a fraction of a second. */
	(void)pthread_join(net->worker, NULL);
	net->started = false;
}

struct net *net_destroy(struct net *net)
{
	if (!net)
		return NULL;
	stop_worker(net);
	ev_async_stop(net->loop->ev, &net->on_done);
	/* Without the lock the links and rules may be another helper's. */
	if (net->nft) {
		remove_links(net);
		nft_remove(net->nft);
		sysctl_restore(&net->sysctls);
	}
	(void)nft_close(net->nft);
	(void)nl_close(net->nl);
	(void)nl_close(net->worker_nl);
	(void)fd_close(net->lock_fd);
	(void)pthread_mutex_destroy(&net->mutex);
	(void)pthread_cond_destroy(&net->wake);
	free(net);
	return NULL;
}
