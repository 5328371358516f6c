/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/identities.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "auth/audit.h"
#include "auth/email.h"
#include "auth/hypha.h"
#include "auth/oidc.h"
#include "auth/proxy.h"
#include "auth/rule_csv.h"
#include "auth/rulebook.h"
#include "auth/signin.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/httpc.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/settings.h"

#define WATCH_S 0.5 /* one stat(2) each: ev_stat looks at a symbolic link itself, and not at the file behind it */
#define ADMINS_MAX 32

/* --- providers --------------------------------------------------------------------------------------------------------------- */

int secret_from_file(const char *path, char *out, size_t size, struct err *e)
{
	long n;

	out[0] = '\0';
	if (path[0] == '\0')
		return 0;
	n = fd_read_file(AT_FDCWD, path, out, size);
	if (n < 0)
		return err_set(e, (int)n, "cannot read the secret in %s: %s", path, strerror((int)-n));
	out[strcspn(out, "\r\n")] = '\0';
	return 0;
}

static int add_oidc(struct signins *s, struct loop *loop, struct httpc *httpc, const struct settings *conf,
		    const struct identity_settings *i, struct err *e)
{
	struct oidc_config c = { .skew_s = (int64_t)(i->clock_skew / 1000) };
	struct oidc *o = NULL;
	int r;

	memcpy(c.name, i->name, sizeof(c.name));
	memcpy(c.title, i->title, sizeof(c.title));
	memcpy(c.issuer, i->issuer, sizeof(c.issuer));
	memcpy(c.client_id, i->client_id, sizeof(c.client_id));
	memcpy(c.scopes, i->scopes, sizeof(c.scopes));
	memcpy(c.api_audience, i->api_audience, sizeof(c.api_audience));
	memcpy(c.ca_file, i->ca_file, sizeof(c.ca_file));
	(void)email_policy_parse(i->email_verified, &c.email_policy);
	(void)snprintf(c.redirect_uri, sizeof(c.redirect_uri), "%s/auth/%s/callback", settings_base_url(conf), i->name);
	if (c.email_policy == EMAIL_IGNORE)
		log_warn("identity %s: email_verified = ignore: whoever may set an address there may be anybody here", i->name);
	r = secret_from_file(i->client_secret_file, c.secret, sizeof(c.secret), e);
	if (r == 0)
		r = oidc_create(&o, loop, httpc, &c, e);
	explicit_bzero(&c, sizeof(c));
	if (r == 0)
		r = signins_add_oidc(s, o);
	if (r < 0)
		oidc_destroy(o);
	return r;
}

static int add_hypha(struct signins *s, struct loop *loop, struct httpc *httpc, const struct settings *conf,
		     const struct identity_settings *i, struct err *e)
{
	struct hypha_config c = { .login_timeout_ms = i->login_timeout, .allow_child_tokens = i->allow_child_tokens };
	struct hypha *h = NULL;
	int r;

	memcpy(c.name, i->name, sizeof(c.name));
	memcpy(c.title, i->title, sizeof(c.title));
	memcpy(c.server_url, i->server_url, sizeof(c.server_url));
	memcpy(c.ca_file, i->ca_file, sizeof(c.ca_file));
	(void)snprintf(c.return_url, sizeof(c.return_url), "%s/auth/%s/callback", settings_base_url(conf), i->name);
	r = hypha_create(&h, loop, httpc, &c, e);
	if (r == 0)
		r = signins_add_hypha(s, h);
	if (r < 0)
		hypha_destroy(h);
	return r;
}

static int add_proxy(struct signins *s, struct loop *loop, struct httpc *httpc, const struct identity_settings *i, struct err *e)
{
	struct proxy_config c = { .skew_s = (int64_t)(i->clock_skew / 1000) };
	struct proxy *p = NULL;
	int r;

	memcpy(c.name, i->name, sizeof(c.name));
	memcpy(c.title, i->title, sizeof(c.title));
	memcpy(c.ca_file, i->ca_file, sizeof(c.ca_file));
	memcpy(c.issuer, i->issuer, sizeof(c.issuer));
	memcpy(c.audience, i->audience, sizeof(c.audience));
	memcpy(c.jwks_url, i->jwks_url, sizeof(c.jwks_url));
	memcpy(c.assertion_header, i->assertion_header, sizeof(c.assertion_header));
	memcpy(c.plain_header, i->plain_header, sizeof(c.plain_header));
	memcpy(c.secret_header, i->secret_header, sizeof(c.secret_header));
	memcpy(c.trusted_peers, i->trusted_peers, sizeof(c.trusted_peers));
	(void)email_policy_parse(i->email_verified, &c.email_policy);
	r = secret_from_file(i->secret_file, c.secret, sizeof(c.secret), e);
	if (r == 0)
		r = proxy_create(&p, loop, httpc, &c, e);
	explicit_bzero(&c, sizeof(c));
	if (r == 0)
		r = signins_add_proxy(s, p);
	if (r < 0)
		proxy_destroy(p);
	return r;
}

static int add_identity(struct signins *s, struct loop *loop, const struct settings *conf, const struct identity_settings *i, struct err *e)
{
	struct httpc *httpc = NULL;
	int r = httpc_create(&httpc, loop, e);

	if (r == 0)
		r = signins_keep(s, httpc);
	if (r < 0) {
		httpc_destroy(httpc);
		return r;
	}
	if (strcmp(i->type, "oidc") == 0)
		return add_oidc(s, loop, httpc, conf, i, e);
	return strcmp(i->type, "hypha") == 0 ? add_hypha(s, loop, httpc, conf, i, e) : add_proxy(s, loop, httpc, i, e);
}

int identities_add(struct signins *s, struct loop *loop, const struct settings *conf, struct err *e)
{
	for (size_t n = 0; n < conf->identity_count; n++) {
		int r = add_identity(s, loop, conf, &conf->identities[n], e);

		if (r < 0) {
			(void)err_prefix(e, "[identity %s]", conf->identities[n].name);
			return r;
		}
	}
	return 0;
}

/* --- rules from outside the database --------------------------------------------------------------------------------------------- */

int bootstrap_apply(struct rulebook *b, const struct settings *conf, struct err *e)
{
	static const struct rule_actor who = { .email = "config", .address = "", .force = true };
	struct rule admins[ADMINS_MAX];
	const char *at = conf->bootstrap_admins;
	size_t count = 0;
	int r;

	memset(admins, 0, sizeof(admins));
	while (*(at += strspn(at, ", ")) != '\0') {
		size_t len = strcspn(at, ", ");

		if (count == ADMINS_MAX)
			return err_set(e, -E2BIG, "bootstrap_admins: at most %d", ADMINS_MAX);
		r = email_normalise(at, len, admins[count].pattern, e);
		if (r < 0)
			return err_prefix(e, "bootstrap_admins: %.*s", (int)(len < 64 ? len : 64), at);
		admins[count].role = ROLE_ADMIN;
		(void)snprintf(admins[count].note, sizeof(admins[0].note), "administrator by the configuration");
		at += len;
		count++;
	}
	r = rulebook_replace(b, "config", admins, count, false, &who, (int64_t)time(NULL), e);
	return r == RULEBOOK_E_FULL ? err_set(e, -ENOSPC, "bootstrap_admins: the list may have %d rules", RULES_MAX) : r;
}

struct allow_file {
	struct loop *loop;	/* borrowed */
	struct rulebook *book;	/* borrowed */
	struct audit *audit;	/* borrowed */
	char path[256];
	ev_timer watch;
	struct stat seen;
	bool changing; /* and so perhaps half written */
};

/* The rows of single rules stand beside this one. */
static void note_file(const struct allow_file *f, int r, size_t count, const char *why)
{
	json_t *rules = r < 0 ? NULL : json_pack("{s:I}", "rules", (json_int_t)count);
	const struct audit_event ev = { .actor = "file", .action = r < 0 ? "allow_file.refused" : "allow_file.read", .object = f->path,
					.detail = r < 0 ? why : "", .after = rules };
	struct err e = { 0 };

	if (audit_add(f->audit, &ev, (int64_t)time(NULL) * 1000, &e) < 0)
		log_err("audit: %s", e.msg);
	json_decref(rules);
}

static void read_file(struct allow_file *f)
{
	static const struct rule_actor who = { .email = "file", .address = "" };
	char *text = malloc(RULE_CSV_BYTES_MAX + 1);
	long n = text ? fd_read_file(AT_FDCWD, f->path, text, RULE_CSV_BYTES_MAX) : -ENOMEM;
	struct rule_csv list = { 0 };
	struct err e = { 0 };
	int r = n < 0 ? err_set(&e, (int)n, "%s", strerror((int)-n)) : rule_lines(&list, text, (size_t)n, &e);

	/* What a program leaves that has opened the file for writing, or a full disk. */
	if (r == 0 && n == 0)
		r = err_set(&e, -ENODATA, "it is empty; a list of nobody is a file with a comment in it");
	if (r == 0 && list.bad_count > 0)
		r = err_set(&e, -EINVAL, "line %zu: %s", list.bad ? list.bad[0].line : 0, list.bad ? list.bad[0].why : "");
	if (r == 0)
		r = rulebook_replace(f->book, "file", list.rules, list.count, true, &who, (int64_t)time(NULL), &e);
	if (r == RULEBOOK_E_LAST_ADMIN)
		r = err_set(&e, -EPERM, "it would leave no administrator");
	if (r == RULEBOOK_E_FULL)
		r = err_set(&e, -ENOSPC, "the list may have %d rules", RULES_MAX);
	if (r < 0)
		log_err("allow_file %s is not taken over, the list stays as it was: %s", f->path, e.msg);
	else
		log_info("allow_file %s: %zu rules", f->path, list.count);
	note_file(f, r, list.count, e.msg);
	rule_csv_finish(&list);
	free(text);
}

/* All zero when it is not there. */
static struct stat look_at(const struct allow_file *f)
{
	struct stat st;

	if (stat(f->path, &st) < 0)
		memset(&st, 0, sizeof(st));
	return st;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Read when it has changed and then stood still from one look to the next: half a list would throw out the other half. */
static void on_watch(struct ev_loop *ev, ev_timer *w, int events)
{
	struct allow_file *f = container_of(w, struct allow_file, watch);
	struct stat now = look_at(f);
	bool changed = !same_file(&now, &f->seen);

	(void)ev, (void)events;
	f->seen = now;
	if (!changed && f->changing)
		read_file(f);
	f->changing = changed;
}

int allow_file_open(struct allow_file **out, struct loop *loop, struct rulebook *b, struct audit *audit, const char *path)
{
	struct allow_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->loop = loop;
	f->book = b;
	f->audit = audit;
	(void)snprintf(f->path, sizeof(f->path), "%s", path);
	f->seen = look_at(f);
	read_file(f);
	ev_timer_init(&f->watch, on_watch, WATCH_S, WATCH_S);
	ev_timer_start(loop->ev, &f->watch);
	*out = f;
	return 0;
}

struct allow_file *allow_file_close(struct allow_file *f)
{
	if (!f)
		return NULL;
	ev_timer_stop(f->loop->ev, &f->watch);
	free(f);
	return NULL;
}
