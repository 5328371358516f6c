/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terrariumd - the gateway.
 *
 * Trusts: its configuration, and terrarium-netd for what it says about slots. Nothing else: browsers, guests, VMMs and the database's
 * content are parsed and bounded.
 * May: listen, read and write its state directory, talk to the helper's socket and to the sockets that the helper hands over.
 * Can never: gain a privilege. It needs none, starts with none worth having, and gives up for good the ability to get one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "auth/access.h"
#include "auth/audit.h"
#include "auth/demo.h"
#include "auth/invite.h"
#include "auth/rulebook.h"
#include "auth/signin.h"
#include "auth/store.h"
#include "base/cli.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/httpc.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/api.h"
#include "gateway/askers.h"
#include "gateway/attach.h"
#include "gateway/attestation.h"
#include "gateway/disks.h"
#include "gateway/doorman.h"
#include "gateway/identities.h"
#include "gateway/journal.h"
#include "gateway/listen.h"
#include "gateway/machine.h"
#include "gateway/mailer.h"
#include "gateway/metrics.h"
#include "gateway/preview.h"
#include "gateway/recorder.h"
#include "gateway/sched.h"
#include "gateway/server.h"
#include "gateway/settings.h"
#include "gateway/shell.h"
#include "gateway/ticket.h"

#define SIGN_IN_BURST	  10   /* wrong links from one address */
#define SIGN_IN_REFILL_MS 6000 /* then one more each */
#define ACCOUNT_SIGN_IN_BURST 60 /* sign-ins of one account, good ones too: a person with many browsers, or a program gone wild */
#define ACCOUNT_SIGN_IN_MS    5000
#define ACCOUNT_TOKEN_BURST   10 /* tokens made by one account */
#define ACCOUNT_TOKEN_MS      30000
#define ACCOUNT_ASK_BURST     3 /* requests to be let in */
#define ACCOUNT_ASK_MS	      600000
#define ACCOUNT_MAIL_BURST    5 /* invitations to one address */
#define ACCOUNT_MAIL_MS	      60000
#define ACCOUNT_SHARE_BURST   60 /* links made and followed by one account */
#define ACCOUNT_SHARE_MS      1000
#define ACCOUNT_ATTEST_BURST  30 /* reports asked for by one account: each may be a question to AMD, which counts those of this host */
#define ACCOUNT_ATTEST_MS     5000
#define SHARE_BURST	      120 /* wrong links from one address, and guests, of whom a class room may come from one */
#define SHARE_MS	      1000

/* Everything that main() puts together, in the order in which it is made; taken apart in reverse. */
struct gateway {
	struct settings settings;
	struct metrics metrics;
	struct loop loop;
	int lock_fd;
	struct store *store;
	struct audit *audit;
	struct rulebook *book;
	struct access *access;
	struct signins *signins;
	struct httpc *mail_httpc;
	struct mailer *mailer;
	struct askers *askers;
	struct allow_file *allow_file;
	struct journal *journal;
	struct doorman *doorman;
	struct demo *demo;
	struct recorder *recorder;
	struct sched *sched;
	struct disks *disks;
	struct machines *machines;
	struct attestations *attestations;
	struct tickets *tickets;
	struct attach_hub *hub;
	struct peer_limit *sign_in_limit, *share_limit, *account_limits[ACCOUNT_LIMIT_COUNT];
	struct listeners *listeners;
	struct api api;
	struct http_app app;
	struct server *server;
	struct preview *preview;
};

static int64_t wall_s(void)
{
	return time(NULL);
}

/* The state directory, private, and ours alone: two gateways on one database would both think they own its machines. */
static int take_state_dir(struct gateway *g, struct err *e)
{
	const char *dir = g->settings.state_dir;
	char path[sizeof(g->settings.state_dir) + 16];

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make the state directory %s: %s; choose another with --state-dir", dir, strerror(errno));
	(void)snprintf(path, sizeof(path), "%s/lock", dir);
	g->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (g->lock_fd < 0)
		return err_set(e, -errno, "cannot write to the state directory %s: %s", dir, strerror(errno));
	if (flock(g->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, -errno, "the state directory %s is in use by another terrariumd", dir);
	return 0;
}

static int open_store(struct gateway *g, struct err *e)
{
	char path[sizeof(g->settings.state_dir) + 16];

	(void)snprintf(path, sizeof(path), "%s/terrarium.db", g->settings.state_dir);
	return store_open(&g->store, path, e);
}

static int make_mailer(struct gateway *g, struct err *e)
{
	const struct settings *s = &g->settings;
	char password[256] = "";
	struct mailer_config c = { .url = s->smtp_url, .from = s->smtp_from, .user = s->smtp_user, .password = password, .ca_file = s->smtp_ca_file };
	int r = invite_restarted(store_db(g->store), e);

	if (r < 0 || !s->smtp_url[0])
		return r;
	r = secret_from_file(s->smtp_password_file, password, sizeof(password), e);
	if (r == 0)
		r = httpc_create(&g->mail_httpc, &g->loop, e);
	if (r == 0)
		r = mailer_create(&g->mailer, g->mail_httpc, &c, e);
	explicit_bzero(password, sizeof(password));
	return r;
}

static int make_askers(struct gateway *g, struct err *e)
{
	g->askers = g->settings.request_access ? askers_create() : NULL;
	return g->askers || !g->settings.request_access ? 0 : err_set(e, -ENOMEM, "no memory");
}

static int make_journal(struct gateway *g, struct err *e)
{
	const struct journal_config c = { .loop = &g->loop, .store = g->store, .audit = g->audit };

	g->journal = journal_create(&c);
	return g->journal ? 0 : err_set(e, -ENOMEM, "no memory");
}

static bool about_stream(void *arg, struct stream *s, int64_t *owner, char name[RECORDING_NAME_BYTES])
{
	const struct machine *m = machine_of_stream(s);
	const struct shell *sh = m ? machine_shell_of(s) : NULL;

	(void)arg;
	if (!m)
		return false;
	*owner = machine_owner(m);
	(void)snprintf(name, RECORDING_NAME_BYTES, "%s: %s", machine_name(m), sh ? shell_name(sh) : "console");
	return true;
}

static void on_stream(void *arg, struct stream *s)
{
	struct gateway *g = arg;

	if (g->recorder)
		recorder_stream(g->recorder, s);
}

static int make_recorder(struct gateway *g, struct err *e)
{
	const struct settings *s = &g->settings;
	char dir[sizeof(s->state_dir) + 16];
	struct recorder_config c = { .loop = &g->loop, .db = store_db(g->store), .dir = dir, .input = s->record_input,
				     .quota_bytes = s->record_quota, .retention_s = (int64_t)(s->record_retention / 1000),
				     .about = about_stream, .on_event = journal_recording, .arg = g->journal };

	(void)snprintf(dir, sizeof(dir), "%s/recordings", s->state_dir);
	(void)record_mode_parse(s->recording, &c.mode); /* settings_resolve() has seen to it */
	return recorder_create(&g->recorder, &c, e);
}

static void on_machine(void *arg, const struct machine *m, enum machine_event what, const char *reason)
{
	struct gateway *g = arg;

	journal_machine(g->journal, m, what, reason);
	if (what == MACHINE_GONE && g->preview)
		preview_forget(g->preview, m);
	if (what == MACHINE_GONE && g->attestations)
		attestation_forget(g->attestations, m);
}

static int make_attestations(struct gateway *g, struct err *e)
{
	char dir[sizeof(g->settings.state_dir) + 16];
	const struct attestation_config c = { .loop = &g->loop, .dir = dir, .url = g->settings.snp_kds };

	(void)snprintf(dir, sizeof(dir), "%s/snp-certs", g->settings.state_dir);
	return attestations_create(&g->attestations, &c, e);
}

/* As configured; else below the unit's runtime directory, which systemd names; else below the state directory. */
static void find_ring_dir(const struct settings *s, char *out, size_t size)
{
	const char *runtime = getenv("RUNTIME_DIRECTORY");

	if (s->ring_dir[0])
		(void)snprintf(out, size, "%s", s->ring_dir);
	else
		(void)snprintf(out, size, "%s/rings", runtime && runtime[0] == '/' && strlen(runtime) < sizeof(s->state_dir) ? runtime : s->state_dir);
}

static int make_disks(struct gateway *g, struct err *e)
{
	const struct settings *s = &g->settings;
	char dir[sizeof(s->state_dir) + 8];
	const struct disks_config c = { .loop = &g->loop, .db = store_db(g->store), .dir = dir, .home_bytes = s->home_size & ~((1ULL << 20) - 1) };

	if (strcmp(s->disk_dir, "none") == 0)
		return 0;
	if (s->disk_dir[0])
		(void)snprintf(dir, sizeof(dir), "%s", s->disk_dir);
	else
		(void)snprintf(dir, sizeof(dir), "%s/disks", s->state_dir);
	return disks_create(&g->disks, &c, e);
}

static int make_machines(struct gateway *g, struct err *e)
{
	const struct settings *s = &g->settings;
	char ring_dir[sizeof(s->state_dir) + 8], standby_dir[sizeof(s->state_dir) + 16];
	struct machines_config c = {
		.hv = { .helper_socket = s->helper_socket, .driver = s->driver, .ch_seccomp = s->cloud_hypervisor_seccomp, .ch_landlock = s->cloud_hypervisor_landlock, .firmware = s->snp_firmware, .image_key = s->image_key, .images = s->images, .machine = s->machine,
			.accel = s->accel, .state_dir = s->state_dir, .local_command = s->local_command,
			.local_console = s->local_console, .local_agent = s->local_agent, .ring_bytes = (uint32_t)s->ring_size,
			.boot_deadline_ms = s->boot_deadline, .stop_deadline_ms = s->stop_deadline,
			.starts_at_once = (unsigned)s->starts_at_once, .start_wait_ms = s->start_wait,
			.templates = s->templates },
		.pool = { .min = (unsigned)s->pool_min, .max = s->templates ? (unsigned)s->pool_max : 0, .reserve_bytes = s->pool_reserve },
		.disks = g->disks, .ring_dir = ring_dir, .standby_dir = standby_dir, .shells_max = (uint32_t)s->shells_per_machine, .on_event = on_machine, .arg = g,
		.on_stream = on_stream, .stream_arg = g,
	};

	find_ring_dir(s, ring_dir, sizeof(ring_dir));
	(void)snprintf(standby_dir, sizeof(standby_dir), "%s/standby", s->state_dir);
	if (sched_create(&g->sched, &g->loop) < 0)
		return err_set(e, -ENOMEM, "no memory for the scheduler");
	return machines_create(&g->machines, &g->loop, g->store, g->sched, &c, e);
}

static int make_terminals(struct gateway *g, struct err *e)
{
	g->tickets = tickets_create();
	g->sign_in_limit = peer_limit_create(SIGN_IN_BURST, SIGN_IN_REFILL_MS);
	g->account_limits[ACCOUNT_SIGN_IN] = peer_limit_create(ACCOUNT_SIGN_IN_BURST, ACCOUNT_SIGN_IN_MS);
	g->account_limits[ACCOUNT_TOKEN] = peer_limit_create(ACCOUNT_TOKEN_BURST, ACCOUNT_TOKEN_MS);
	g->account_limits[ACCOUNT_ASK] = peer_limit_create(ACCOUNT_ASK_BURST, ACCOUNT_ASK_MS);
	g->account_limits[ACCOUNT_MAIL] = peer_limit_create(ACCOUNT_MAIL_BURST, ACCOUNT_MAIL_MS);
	g->account_limits[ACCOUNT_SHARE] = peer_limit_create(ACCOUNT_SHARE_BURST, ACCOUNT_SHARE_MS);
	g->account_limits[ACCOUNT_ATTEST] = peer_limit_create(ACCOUNT_ATTEST_BURST, ACCOUNT_ATTEST_MS);
	g->share_limit = peer_limit_create(SHARE_BURST, SHARE_MS);
	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++)
		if (!g->account_limits[i])
			return err_set(e, -ENOMEM, "no memory for the limits");
	if (!g->tickets || !g->sign_in_limit || !g->share_limit || attach_hub_create(&g->hub, &g->loop, g->machines, g->tickets) < 0)
		return err_set(e, -ENOMEM, "no memory for the terminals");
	attach_hub_idle(g->hub, g->settings.idle_timeout);
	attach_hub_watch(g->hub, journal_terminal, g->journal);
	return 0;
}

static bool adopt(void *arg, int fd, const struct peer *p)
{
	struct gateway *g = arg;

	return server_adopt(g->server, fd, p);
}

static int make_preview(struct gateway *g, struct err *e)
{
	const struct preview_config c = { .loop = &g->loop, .settings = &g->settings, .listeners = g->listeners, .machines = g->machines, .store = g->store,
					  .access = g->access, .adopt = adopt, .arg = g };

	if (!g->settings.preview_domain[0])
		return 0;
	g->preview = preview_create(&c);
	return g->preview ? 0 : err_set(e, -ENOMEM, "no memory");
}

static int make_server(struct gateway *g, struct err *e)
{
	struct server_config c = { .loop = &g->loop, .listeners = g->listeners, .app = &g->app, .hub = g->hub,
				   .metrics = &g->metrics, .max_connections = (unsigned)g->settings.max_connections,
				   .on_accept = g->preview ? preview_accept : NULL, .arg = g->preview,
				   .https = strncmp(settings_base_url(&g->settings), "https:", 6) == 0 };

	g->api = (struct api){ .settings = &g->settings, .store = g->store, .demo = g->demo, .access = g->access, .audit = g->audit,
			       .book = g->book, .signins = g->signins, .doorman = g->doorman, .machines = g->machines, .disks = g->disks, .attestations = g->attestations,
			       .tickets = g->tickets, .hub = g->hub, .mailer = g->mailer, .recorder = g->recorder, .askers = g->askers, .sign_in_limit = g->sign_in_limit, .share_limit = g->share_limit, .metrics = &g->metrics, .preview = g->preview,
			       .now_s = wall_s, .now_ms = loop_now_ms };
	memcpy(g->api.account_limits, g->account_limits, sizeof(g->api.account_limits));
	api_app(&g->app, &g->api);
	return server_create(&g->server, &c, e);
}

static int make_demo(struct gateway *g, struct err *e)
{
	const struct settings *s = &g->settings;

	if (!settings_demo(s))
		return 0;
	return demo_create(&g->demo, s->demo_people, s->state_dir, settings_base_url(s), e);
}

static void on_list_changed(void *arg)
{
	struct gateway *g = arg;

	if (g->doorman)
		doorman_look(g->doorman);
}

static struct quota default_quota(const struct settings *s)
{
	struct quota q = { .machines = (uint32_t)s->per_person, .cpus = (uint32_t)s->quota_cpus, .memory_bytes = s->quota_memory, .disk_bytes = s->quota_disk,
			   .lifetime_s = s->quota_lifetime / 1000 };
	const char *at = s->quota_networks;
	enum vm_net net;

	(void)snprintf(q.images, sizeof(q.images), "%s", s->quota_images);
	while (*(at += strspn(at, ", ")) != '\0') {
		size_t len = strcspn(at, ", ");

		if (vm_net_parse(at, len, &net) == 0) /* settings_resolve() has seen to it */
			q.networks |= 1U << net;
		at += len;
	}
	return q;
}

static void on_cut(void *arg, const char *email)
{
	struct gateway *g = arg;

	if (g->doorman && doorman_kick(g->doorman, email) > 0)
		log_info("terminals of %s closed: the address or its account has changed", email);
}

/* The list, and what decides by it. */
static int make_access(struct gateway *g, struct err *e)
{
	struct access_config c = { .store = g->store, .defaults = default_quota(&g->settings), .on_cut = on_cut, .arg = g };
	int r = audit_open(&g->audit, store_db(g->store), e);

	if (r == 0)
		r = rulebook_open(&g->book, store_db(g->store), g->audit, on_list_changed, g, e);
	if (r == 0)
		r = bootstrap_apply(g->book, &g->settings, e);
	if (r < 0)
		return r;
	c.book = g->book;
	c.audit = g->audit;
	c.binding = strcmp(g->settings.subject_binding, "warn") == 0 ? BINDING_WARN : BINDING_ENFORCE;
	c.demo_people = settings_demo(&g->settings) ? g->settings.demo_people : NULL;
	g->access = access_create(&c);
	if (!g->access || (g->settings.allow_file[0] && allow_file_open(&g->allow_file, &g->loop, g->book, g->audit, g->settings.allow_file) < 0))
		return err_set(e, -ENOMEM, "no memory for the list");
	if (!c.demo_people && rules_count(rulebook_rules(g->book)) == 0)
		log_warn("the list is empty: nobody gets in. Make yourself administrator: terrarium user allow you@example.org --role admin");
	return 0;
}

static int make_signins(struct gateway *g, struct err *e)
{
	g->signins = signins_create(&g->loop);
	return g->signins ? identities_add(g->signins, &g->loop, &g->settings, e) : err_set(e, -ENOMEM, "no memory for sign-ins");
}

static int make_doorman(struct gateway *g, struct err *e)
{
	const struct doorman_config c = { .loop = &g->loop, .audit = g->audit, .access = g->access, .store = g->store, .machines = g->machines, .hub = g->hub,
					  .stop_machines = strcmp(g->settings.on_removal, "stop") == 0,
					  .idle_stop_s = (int64_t)(g->settings.idle_stop / 1000),
					  .idle_standby_s = (int64_t)(g->settings.idle_standby / 1000) };

	g->doorman = doorman_create(&c);
	if (!g->doorman)
		return err_set(e, -ENOMEM, "no memory");
	journal_doorman(g->journal, g->doorman);
	return 0;
}

static int start(struct gateway *g, struct err *e)
{
	int r = loop_init(&g->loop);

	if (r < 0)
		return err_set(e, r, "cannot start: %s", strerror(-r));
	g->metrics.started_ms = loop_now_ms();
	/* The port first: a second gateway started by mistake must not touch the first one's links. */
	r = listeners_create(&g->listeners, &g->loop, &g->settings, &g->metrics, e);
	if (r == 0)
		r = take_state_dir(g, e);
	if (r == 0)
		r = listeners_add_control(g->listeners, e);
	if (r == 0)
		r = open_store(g, e);
	if (r == 0)
		r = make_access(g, e);
	if (r == 0)
		r = make_signins(g, e);
	if (r == 0)
		r = make_mailer(g, e);
	if (r == 0)
		r = make_askers(g, e);
	if (r == 0)
		r = make_demo(g, e);
	if (r == 0)
		r = make_journal(g, e);
	if (r == 0)
		r = make_recorder(g, e);
	if (r == 0)
		r = make_attestations(g, e);
	if (r == 0)
		r = make_disks(g, e);
	if (r == 0)
		r = make_machines(g, e);
	if (r == 0)
		r = make_terminals(g, e);
	if (r == 0)
		r = make_doorman(g, e);
	if (r == 0)
		r = make_preview(g, e);
	if (r == 0)
		r = make_server(g, e);
	return r;
}

static void finish(struct gateway *g)
{
	/* Connections first, they point at everything; machines run on without us. */
	g->server = server_destroy(g->server);
	g->preview = preview_destroy(g->preview);
	g->listeners = listeners_destroy(g->listeners);
	if (g->journal)
		journal_doorman(g->journal, NULL);
	g->doorman = doorman_destroy(g->doorman);
	g->hub = attach_hub_destroy(g->hub);
	g->tickets = tickets_destroy(g->tickets);
	g->sign_in_limit = peer_limit_destroy(g->sign_in_limit);
	g->share_limit = peer_limit_destroy(g->share_limit);
	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++)
		g->account_limits[i] = peer_limit_destroy(g->account_limits[i]);
	g->recorder = recorder_destroy(g->recorder);
	g->machines = machines_destroy(g->machines);
	g->disks = disks_destroy(g->disks);
	g->attestations = attestations_destroy(g->attestations);
	g->sched = sched_destroy(g->sched);
	g->journal = journal_destroy(g->journal);
	g->demo = demo_destroy(g->demo);
	g->signins = signins_destroy(g->signins);
	g->mailer = mailer_destroy(g->mailer);
	g->mail_httpc = httpc_destroy(g->mail_httpc);
	g->askers = askers_destroy(g->askers);
	g->allow_file = allow_file_close(g->allow_file);
	g->access = access_destroy(g->access);
	g->book = rulebook_close(g->book);
	g->audit = audit_close(g->audit);
	g->store = store_close(g->store);
	g->lock_fd = fd_close(g->lock_fd);
	loop_finish(&g->loop);
}

/* sd_notify(3), as far as it is needed: one datagram. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_close_ int fd = -1;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(sa.sun_path))
		return;
	memcpy(sa.sun_path, path, strlen(path));
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		log_warn("cannot notify systemd: %s", strerror(errno));
}

static int read_settings(struct gateway *g, int argc, char **argv, int *status)
{
	struct err e = { 0 };
	int r = settings_read(&g->settings, argc, argv, &e);

	*status = r == CONF_E_USAGE ? CLI_USAGE : r < 0 ? CLI_REFUSED : CLI_OK;
	if (r == CONF_E_CHECK)
		printf("The settings are good.\n");
	else if (r < 0 || r == CONF_E_USAGE)
		fprintf(stderr, "terrariumd: %s\n", e.msg);
	return r;
}

int main(int argc, char **argv)
{
	static struct gateway g = { .lock_fd = -1 };
	struct err e = { 0 };
	int status;

	if (read_settings(&g, argc, argv, &status) != 0)
		return status;
	(void)log_open("terrariumd", g.settings.log_level);
	(void)umask(077);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (start(&g, &e) < 0) {
		log_err("%s", e.msg);
		finish(&g);
		return CLI_REFUSED;
	}
	log_info("serving %s", settings_base_url(&g.settings));
	if (g.demo)
		demo_print(g.demo);
	notify("READY=1");
	loop_run(&g.loop);
	notify("STOPPING=1");
	log_info("ending; machines run on");
	attach_hub_restart(g.hub);
	server_drain(g.server);
	finish(&g);
	return CLI_OK;
}
